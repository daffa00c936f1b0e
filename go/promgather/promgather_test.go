package promgather_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/promwrite/promwrite/go"
	"github.com/promwrite/promwrite/go/promgather"
)

// receiver is the receiver of tests/receiver in a child process.
type receiver struct {
	t   *testing.T
	in  io.Writer
	out *bufio.Reader
}

// startReceiver returns it with the URL for remote write.
func startReceiver(t *testing.T) (*receiver, string) {
	t.Helper()
	binary := os.Getenv("PROMWRITE_RECEIVER")
	if binary == "" {
		t.Fatal("PROMWRITE_RECEIVER must name the promwrite-receiver binary: cargo build -p promwrite-receiver makes it")
	}
	command := exec.Command(binary)
	in, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = errors.Join(in.Close(), command.Wait()) })
	r := &receiver{t, in, bufio.NewReader(out)}
	var started struct{ URL string }
	r.ask(`{"op":"start","options":{}}`, &started)
	return r, started.URL + "/api/v1/write"
}

func (r *receiver) ask(line string, answer any) {
	r.t.Helper()
	if _, err := io.WriteString(r.in, line+"\n"); err != nil {
		r.t.Fatal(err)
	}
	text, err := r.out.ReadBytes('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	if !strings.Contains(string(text), `"ok":true`) {
		r.t.Fatalf("%s: %s", line, text)
	}
	if err := json.Unmarshal(text, answer); err != nil {
		r.t.Fatal(err)
	}
}

type sample struct {
	TsMs      int64  `json:"ts_ms"`
	ValueBits uint64 `json:"value_bits"`
}

type metadata struct{ Family, Type, Help string }

// came returns the series that came, by their labels in order of arrival, and the metadata by family.
func (r *receiver) came() (map[string][]sample, map[string]metadata) {
	r.t.Helper()
	var answer struct {
		Requests []struct {
			Decoded struct {
				Series []struct {
					Labels  [][2]string
					Samples []sample
				}
				Metadata []metadata
			}
		}
	}
	r.ask(`{"op":"requests","id":1}`, &answer)
	found, described := map[string][]sample{}, map[string]metadata{}
	for _, request := range answer.Requests {
		for _, series := range request.Decoded.Series {
			var key strings.Builder
			for _, label := range series.Labels {
				key.WriteString("," + label[0] + "=" + label[1])
			}
			found[key.String()[1:]] = append(found[key.String()[1:]], series.Samples...)
		}
		for _, family := range request.Decoded.Metadata {
			described[family.Family] = family
		}
	}
	return found, described
}

func newWriter(t *testing.T, url string, options ...promwrite.Option) *promwrite.Writer {
	t.Helper()
	w, err := promwrite.NewWriter(url, append([]promwrite.Option{promwrite.WithInstance("")}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func flush(t *testing.T, w *promwrite.Writer) promwrite.Counters {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	report, err := w.Flush(ctx)
	if err != nil {
		t.Fatalf("%v: %v", err, report)
	}
	return report.Total()
}

func TestEveryKindOfMetric(t *testing.T) {
	r, url := startReceiver(t)
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rows_total", Help: "Rows \\ \n loaded."}, []string{"stage"})
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "third"})
	infinite := prometheus.NewGauge(prometheus.GaugeOpts{Name: "infinite"})
	summary := prometheus.NewSummary(prometheus.SummaryOpts{Name: "wait_seconds", Objectives: map[float64]float64{0.5: 0.05}})
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "size_bytes", Buckets: []float64{1, 10}})
	native := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "native_bytes", NativeHistogramBucketFactor: 1.1})
	registry.MustRegister(counter, gauge, infinite, summary, histogram, native)
	counter.WithLabelValues("a \"quoted\" \\ \n é").Add(3)
	gauge.Set(1.0 / 3)
	infinite.Set(math.Inf(-1))
	summary.Observe(4)
	histogram.Observe(5)
	native.Observe(6)

	before := time.Now().UnixMilli() - 10 // the core reads a coarse clock, which is up to a tick behind
	w := newWriter(t, url, promwrite.WithLabel("job", "etl"), promwrite.WithLabel("stage", "of the writer"))
	if err := promgather.Push(w, registry); err != nil {
		t.Fatal(err)
	}
	if total := flush(t, w); total.Accepted != 14 || total.Delivered != 14 {
		t.Errorf("%+v", total)
	}
	after := time.Now().UnixMilli()

	series, described := r.came()
	if got, want := described["rows_total"], (metadata{"rows_total", "counter", "Rows \\ \n loaded."}); got != want {
		t.Errorf("%q, wanted %q", got, want)
	}
	if got, want := described["size_bytes"], (metadata{"size_bytes", "histogram", ""}); got != want {
		t.Errorf("%q, wanted %q", got, want)
	}
	got := map[string]float64{}
	times := map[int64]bool{}
	for labels, samples := range series {
		if len(samples) != 1 || samples[0].TsMs < before || samples[0].TsMs > after {
			t.Errorf("%s: %v, wanted one between %d and %d", labels, samples, before, after)
		}
		times[samples[0].TsMs] = true
		got[labels] = math.Float64frombits(samples[0].ValueBits)
	}
	if len(times) != 1 {
		t.Errorf("the samples of one call have %d times", len(times))
	}
	rest := ",job=etl,stage=of the writer"
	want := map[string]float64{
		"__name__=rows_total,job=etl,stage=a \"quoted\" \\ \n é":           3,
		"__name__=third" + rest:                                            1.0 / 3,
		"__name__=infinite" + rest:                                         math.Inf(-1),
		"__name__=wait_seconds,job=etl,quantile=0.5,stage=of the writer":   4,
		"__name__=wait_seconds_sum" + rest:                                 4,
		"__name__=wait_seconds_count" + rest:                               1,
		"__name__=size_bytes_bucket,job=etl,le=1.0,stage=of the writer":    0,
		"__name__=size_bytes_bucket,job=etl,le=10.0,stage=of the writer":   1,
		"__name__=size_bytes_bucket,job=etl,le=+Inf,stage=of the writer":   1,
		"__name__=size_bytes_sum" + rest:                                   5,
		"__name__=size_bytes_count" + rest:                                 1,
		"__name__=native_bytes_bucket,job=etl,le=+Inf,stage=of the writer": 1,
		"__name__=native_bytes_sum" + rest:                                 6,
		"__name__=native_bytes_count" + rest:                               1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("came: %v\nwanted: %v", got, want)
	}
}

func gatherer(families ...*dto.MetricFamily) prometheus.GathererFunc {
	return func() ([]*dto.MetricFamily, error) { return families, nil }
}

func gauge(name string, value float64, timestampMs *int64) *dto.MetricFamily {
	kind := dto.MetricType_GAUGE
	return &dto.MetricFamily{Name: &name, Type: &kind, Metric: []*dto.Metric{{Gauge: &dto.Gauge{Value: &value}, TimestampMs: timestampMs}}}
}

func TestTimestampsAreKept(t *testing.T) {
	r, url := startReceiver(t)
	w := newWriter(t, url)
	at := time.Now().UnixMilli() - 1234
	if err := promgather.Push(w, gatherer(gauge("g", 2, &at))); err != nil {
		t.Fatal(err)
	}
	flush(t, w)
	want := map[string][]sample{"__name__=g": {{at, math.Float64bits(2)}}}
	if got, _ := r.came(); !reflect.DeepEqual(got, want) {
		t.Errorf("came: %v, wanted: %v", got, want)
	}
}

func TestNothingIsQueuedWithAnError(t *testing.T) {
	r, url := startReceiver(t)
	w := newWriter(t, url)
	broken := errors.New("broken")
	partly := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		return []*dto.MetricFamily{gauge("g", 1, nil)}, broken
	})
	if err := promgather.Push(w, partly); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	var refused *promwrite.Error
	if err := promgather.Push(w, gatherer(gauge("good", 1, nil), gauge("not a name", 1, nil))); !errors.As(err, &refused) || refused.Retryable() {
		t.Errorf("error %v", err)
	}
	if err := promgather.Push(w, gatherer(&dto.MetricFamily{})); err == nil || !strings.HasPrefix(err.Error(), "failed to encode metric family") {
		t.Errorf("error %v", err)
	}
	if err := promgather.Push(w, gatherer()); err != nil {
		t.Errorf("an empty registry: %v", err)
	}
	if total := flush(t, w); total.Accepted != 0 {
		t.Errorf("%+v", total)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if _, err := w.Close(ctx); err != nil {
		t.Fatal(err)
	}
	if err := promgather.Push(w, gatherer(gauge("g", 1, nil))); !errors.Is(err, promwrite.ErrClosed) {
		t.Errorf("error %v", err)
	}
	if got, _ := r.came(); len(got) != 0 {
		t.Errorf("came: %v", got)
	}
}
