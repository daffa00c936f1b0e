// Command ends queues one sample, says so, waits for the end of its input and then ends as it is told:
//
//	ends return|exit|shutdown URL DEADLINE
//
// DEADLINE is how long the sample may wait to be sent.
package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/promwrite/promwrite/go"
)

func main() {
	how, url, deadline := os.Args[1], os.Args[2], os.Args[3]
	if how == "shutdown" {
		defer func() { fmt.Println(promwrite.Shutdown(time.Second)) }()
	}
	writer, err := promwrite.NewWriter(url, promwrite.WithInstance(""), promwrite.WithOption("queue_config.batch_send_deadline", deadline))
	if err != nil {
		panic(err)
	}
	if err := writer.AppendAt("pending", 1, 1700000000000); err != nil {
		panic(err)
	}
	fmt.Println("pending")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		panic(err)
	}
	if how == "exit" {
		os.Exit(3)
	}
}
