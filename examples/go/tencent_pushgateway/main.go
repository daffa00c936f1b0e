// Tencent Cloud Managed Prometheus through its built-in Pushgateway: the program of its documentation, with the import
// of push changed. It waits for the answer and makes one request, as ever, but not for ever.
//
//	TMP_ADDRESS=10.0.0.1:9090 TMP_APPID=1250000000 TMP_TOKEN=… go run ./tencent_pushgateway
package main

import (
	"cmp"
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

	completed := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "db_backup_last_completion_timestamp_seconds",
		Help: "The timestamp of the last successful completion of a DB backup.",
	})
	completed.SetToCurrentTime()

	hostname, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	err = push.New("http://"+os.Getenv("TMP_ADDRESS"), "db_backup").
		BasicAuth(os.Getenv("TMP_APPID"), os.Getenv("TMP_TOKEN")).
		Grouping("instance", hostname).
		// two jobs of one host must not overwrite each other's group
		Grouping("worker", cmp.Or(os.Getenv("WORKER"), "0")).
		Collector(completed).
		Format(expfmt.FmtText). //lint:ignore SA1019 as the documentation has it; expfmt.NewFormat(expfmt.TypeTextPlain) is the same
		Push()
	if err != nil {
		log.Fatal(err)
	}
}
