// Command everything sends by every package there is, to the receiver given: its base URL.
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/promwrite/promwrite/go"
	"github.com/promwrite/promwrite/go/promgather"
	"github.com/promwrite/promwrite/go/push"
)

func main() {
	if err := send(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(promwrite.LinkInfo)
}

func send(base string) error {
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "level", Help: "Level."})
	gauge.Set(7)
	registry := prometheus.NewRegistry()
	registry.MustRegister(gauge)
	text := expfmt.NewFormat(expfmt.TypeTextPlain) // which the receiver reads

	if err := push.New(base, "sync").Gatherer(registry).Format(text).Push(); err != nil {
		return err
	}
	if err := push.New(base, "async").Gatherer(registry).Format(text).Async().Push(); err != nil {
		return err
	}
	writer, err := promwrite.NewWriter(base+"/api/v1/write", promwrite.WithInstance(""))
	if err != nil {
		return err
	}
	if err := promgather.Push(writer, registry); err != nil {
		return err
	}
	request := &promwrite.WriteRequest{TimeSeries: []promwrite.TimeSeries{{
		Labels: []promwrite.Label{{Name: "__name__", Value: "written"}},
		Sample: promwrite.Sample{Time: time.UnixMilli(1700000000123), Value: 42.5},
	}}}
	if _, err := promwrite.NewClient(base+"/api/v1/write").Write(context.Background(), request); err != nil {
		return err
	}
	return promwrite.Shutdown(10 * time.Second)
}
