// Remote write without a registry: a Writer, and a Series as the fast way for a value that changes often. Nothing waits
// for the network. For Tencent Cloud Managed Prometheus the path is /api/v1/prom/write, the user the APPID and the
// password the token.
//
//	URL=http://127.0.0.1:9090/api/v1/write [USERNAME=… PASSWORD=…] go run ./writer
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

	options := []promwrite.Option{
		promwrite.WithLabel("job", "etl"),
		// two processes of one host must not write the same series
		promwrite.WithLabel("worker", cmp.Or(os.Getenv("WORKER"), "0")),
	}
	if password, ok := os.LookupEnv("PASSWORD"); ok {
		options = append(options, promwrite.WithBasicAuth(os.Getenv("USERNAME"), password))
	}
	writer, err := promwrite.NewWriter(os.Getenv("URL"), options...)
	if err != nil {
		log.Fatal(err)
	}
	rows, err := writer.Series("rows_loaded_total", promwrite.Label{Name: "stage", Value: "load"})
	if err != nil {
		log.Fatal(err)
	}
	if err := rows.Describe("counter", "Rows loaded.", ""); err != nil {
		log.Fatal(err)
	}

	// one second lies between the samples here, as it would in a job
	nowMs := time.Now().UnixMilli()
	loaded := 0.0
	for n, batch := range []float64{700, 300, 200} {
		loaded += batch
		// the total so far, as a scrape would see it, not the increment; rows.Append(loaded) is the same as of now
		if err := rows.AppendAt(loaded, nowMs-int64(2-n)*1000); err != nil {
			log.Fatal(err)
		}
	}
	if err := writer.Append("temperature_celsius", 21.5, promwrite.Label{Name: "room", Value: "a"}); err != nil {
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
