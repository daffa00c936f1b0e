// Remote write with the API of github.com/castai/promwrite: only the import is changed.
//
//	URL=http://127.0.0.1:8428/api/v1/write go run ./castai_remote_write
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

	client := promwrite.NewClient(os.Getenv("URL"))
	_, err := client.Write(context.Background(), &promwrite.WriteRequest{
		TimeSeries: []promwrite.TimeSeries{
			{
				Labels: []promwrite.Label{
					{Name: "__name__", Value: "my_metric_name"},
					{Name: "worker", Value: cmp.Or(os.Getenv("WORKER"), "0")},
				},
				Sample: promwrite.Sample{Time: time.Now(), Value: 123},
			},
		},
	})
	if err != nil {
		log.Fatal(err)
	}
}
