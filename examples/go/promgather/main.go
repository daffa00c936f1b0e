// A registry of client_golang goes out by remote write, and no gateway is needed.
//
//	URL=http://127.0.0.1:9090/api/v1/write go run ./promgather
package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/promwrite/promwrite/go"
	"github.com/promwrite/promwrite/go/promgather"
)

func main() {
	defer promwrite.Shutdown(5 * time.Second)

	registry := prometheus.NewRegistry()
	sizes := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "file_size_bytes", Help: "Sizes of the files.", Buckets: []float64{100, 1000, 10_000},
	})
	registry.MustRegister(sizes)
	for _, size := range []float64{80, 800, 8000, 80_000} {
		sizes.Observe(size)
	}

	writer, err := promwrite.NewWriter(os.Getenv("URL"),
		promwrite.WithLabel("job", "batchA"), promwrite.WithLabel("worker", cmp.Or(os.Getenv("WORKER"), "0")))
	if err != nil {
		log.Fatal(err)
	}
	if err := promgather.Push(writer, registry); err != nil {
		log.Fatal(err)
	}

	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	report, err := writer.Close(ctx)
	if err != nil {
		log.Fatal(err)
	}
	log.Print(report)
}
