// Package promgather sends what a Gatherer of github.com/prometheus/client_golang holds by remote write, for programs
// that have a registry and no gateway:
//
//	writer, err := promwrite.NewWriter("http://localhost:9090/api/v1/write", promwrite.WithLabel("job", "etl"))
//	…
//	err = promgather.Push(writer, prometheus.DefaultGatherer)
//
// It is a package of its own so that the package promwrite does not depend on client_golang.
package promgather

import (
	"bytes"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"

	"github.com/promwrite/promwrite/go"
)

// Push gathers once and queues every sample with the writer, with its value as a scrape would see it, and the type and
// help of its family. A metric without a timestamp gets the time of the call. It does not wait for the network: nil
// means accepted, and the writer's Flush tells what became of it. The writer's own labels are added; a label that a
// metric has itself wins.
//
// Histograms become their _bucket, _sum and _count series, summaries their quantiles, _sum and _count; the label le is
// written as Prometheus 3 does, "1.0" for a bound of 1. Of a native histogram the classic buckets are sent, if it has some beside the native ones, else only the +Inf bucket, _sum and
// _count: its native buckets are not sent, and neither are exemplars, created timestamps and units. Names are those of
// the Gatherer; one that is not [a-zA-Z_:][a-zA-Z0-9_:]* is refused.
//
// Nothing is queued when an error is returned: the Gatherer's, also where it has returned a part of its metrics
// beside it, or a *promwrite.Error, as for a full queue or a closed writer.
func Push(w *promwrite.Writer, g prometheus.Gatherer) error {
	families, err := g.Gather()
	if err != nil {
		return err
	}
	var page bytes.Buffer
	for _, family := range families {
		// not an expfmt.Encoder, which renames what is not a name of old in silence
		if _, err := expfmt.MetricFamilyToText(&page, family); err != nil {
			return fmt.Errorf("failed to encode metric family %s: %w", family.GetName(), err)
		}
	}
	_, err = w.PushText(page.Bytes(), "")
	return err
}
