// Command entries calls every function of the package that needs no object made before, and prints what each answers: for
// a linked core of another version.
package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/promwrite/promwrite/go"
	"github.com/promwrite/promwrite/go/push"
)

func main() {
	const url = "http://127.0.0.1:1/api/v1/write"
	ctx := context.Background()
	request := &promwrite.WriteRequest{TimeSeries: []promwrite.TimeSeries{{
		Labels: []promwrite.Label{{Name: "__name__", Value: "written"}},
		Sample: promwrite.Sample{Time: time.Now(), Value: 1},
	}}}
	answer := func(name string, err error) { fmt.Printf("%s: %v\n", name, err) }

	_, err := promwrite.NewWriter(url)
	answer("NewWriter", err)
	_, err = promwrite.NewClient(url).Write(ctx, request)
	answer("Write", err)
	_, err = promwrite.NewClient(url, promwrite.Async()).Write(ctx, request)
	answer("Write with Async", err)
	_, err = promwrite.NewDoer()
	answer("NewDoer", err)
	answer("Push with Async", push.New("http://127.0.0.1:1", "job").Async().Client(http.DefaultClient).Push())
	_, err = promwrite.Flush(ctx)
	answer("Flush", err)
	answer("Shutdown", promwrite.Shutdown(time.Second))
	for _, line := range promwrite.TakeLog() {
		fmt.Println("TakeLog:", line)
	}
}
