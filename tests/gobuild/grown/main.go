// Command grown sends a value by net/http and, with the build tag grown, by promwrite too: what promwrite adds to a program is
// the difference in size.
package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"
)

// too is what is done beside it.
var too = func(string) error { return nil }

func main() {
	if err := send(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func send(base string) error {
	client := http.Client{Timeout: 10 * time.Second}
	answer, err := client.Post(base+"/metrics/job/grown", "text/plain", strings.NewReader("level 7\n"))
	if err != nil {
		return err
	}
	if err := answer.Body.Close(); err != nil {
		return err
	}
	return too(base + "/api/v1/write")
}
