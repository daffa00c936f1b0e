// The program of tencent_pushgateway with one word more: Async. No push waits for the network, each is tried again while
// the gateway is away, and of the states that wait the newest is sent.
//
//	TMP_ADDRESS=10.0.0.1:9090 TMP_APPID=1250000000 TMP_TOKEN=… go run ./tencent_pushgateway_async
package main

import (
	"cmp"
	"context"
	"log"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/promwrite/promwrite/go"
	"github.com/promwrite/promwrite/go/push"
)

func main() {
	defer promwrite.Shutdown(5 * time.Second)

	progress := prometheus.NewGauge(prometheus.GaugeOpts{Name: "job_progress_ratio", Help: "Progress of the job."})
	hostname, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	pusher := push.New("http://"+os.Getenv("TMP_ADDRESS"), "batchA").
		BasicAuth(os.Getenv("TMP_APPID"), os.Getenv("TMP_TOKEN")).
		Grouping("instance", hostname).
		Grouping("worker", cmp.Or(os.Getenv("WORKER"), "0")).
		Collector(progress).
		Format(expfmt.NewFormat(expfmt.TypeTextPlain)).
		Async()
	for step := 1; step <= 5; step++ {
		progress.Set(float64(step) / 5)
		// nil means accepted
		if err := pusher.Push(); err != nil {
			log.Fatal(err)
		}
	}

	// what became of them, for the exit code
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	report, err := pusher.Flush(ctx)
	if err != nil {
		log.Fatal(err)
	}
	log.Print(report)
}
