// The program of castai_remote_write with Async: Write queues and returns, and is retried in the background.
//
//	URL=http://127.0.0.1:8428/api/v1/write go run ./castai_remote_write_async
package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"time"

	"github.com/promwrite/promwrite/go"
)

func main() {
	defer promwrite.Shutdown(5 * time.Second)

	client := promwrite.NewClient(os.Getenv("URL"), promwrite.Async())
	for n := range 3 {
		// nil means accepted
		_, err := client.Write(context.Background(), &promwrite.WriteRequest{
			TimeSeries: []promwrite.TimeSeries{
				{
					Labels: []promwrite.Label{
						{Name: "__name__", Value: "my_metric_name"},
						{Name: "worker", Value: cmp.Or(os.Getenv("WORKER"), "0")},
					},
					Sample: promwrite.Sample{Time: time.Now().Add(time.Duration(n-2) * time.Second), Value: float64(n)},
				},
			},
		})
		if err != nil {
			log.Fatal(err)
		}
	}

	// what became of them, for the exit code
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	report, err := client.Flush(ctx)
	if err != nil {
		log.Fatal(err)
	}
	log.Print(report)
}
