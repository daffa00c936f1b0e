// Command consumer sends one sample to the remote-write URL given and prints how it is linked.
package main

import (
	"fmt"
	"os"
	"time"

	"github.com/promwrite/promwrite/go"
)

func main() {
	if err := send(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(promwrite.LinkInfo)
}

func send(url string) error {
	writer, err := promwrite.NewWriter(url, promwrite.WithInstance(""))
	if err != nil {
		return err
	}
	built, err := writer.Series("built", promwrite.Label{Name: "kind", Value: "consumer"})
	if err != nil {
		return err
	}
	if err := built.AppendAt(42.5, 1700000000123); err != nil {
		return err
	}
	return promwrite.Shutdown(10 * time.Second)
}
