// BlueKing's bk-collector as a gateway, with client_golang's own push and the HTTP client of BlueKing's documentation,
// which sets the token. One line in it is another: doer.Do(r) in the place of http.DefaultClient.Do(r). From then on a
// push waits for nothing and is retried.
//
//	BK_ADDRESS=10.0.0.1:4318 BK_TOKEN=… go run ./blueking
package main

import (
	"cmp"
	"log"
	"net/http"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/push"

	"github.com/promwrite/promwrite/go"
)

var doer *promwrite.Doer

type bkClient struct{}

func (c *bkClient) Do(r *http.Request) (*http.Response, error) {
	r.Header.Set("X-BK-TOKEN", os.Getenv("BK_TOKEN"))
	return doer.Do(r)
}

func main() {
	// here what is pending is sent, because Go runs nothing by itself when main returns
	defer func() {
		if err := promwrite.Shutdown(5 * time.Second); err != nil {
			log.Fatal(err)
		}
	}()

	var err error
	if doer, err = promwrite.NewDoer(); err != nil {
		log.Fatal(err)
	}

	registry := prometheus.NewRegistry()
	duration := prometheus.NewGauge(prometheus.GaugeOpts{Name: "job_duration_seconds", Help: "Duration of the job."})
	registry.MustRegister(duration)
	duration.Set(12.5)

	// the collector takes PUT and POST; it has no DELETE
	err = push.New(os.Getenv("BK_ADDRESS"), "batchA").
		Gatherer(registry).
		Grouping("instance", "my.host.ip").
		Grouping("worker", cmp.Or(os.Getenv("WORKER"), "0")).
		Client(&bkClient{}).
		Push()
	if err != nil {
		log.Fatal(err)
	}
}
