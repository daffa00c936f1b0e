package push_test

import (
	"errors"
	"net"
	"net/http"
	"reflect"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

// metrics are collectors of each kind.
func metrics() []prometheus.Collector {
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rows_total", Help: "Rows \\ \n loaded."}, []string{"stage"})
	counter.WithLabelValues("load").Add(3)
	counter.WithLabelValues("a \"quoted\" \\ \n é").Add(1e100)
	gauge := prometheus.NewGauge(prometheus.GaugeOpts{Name: "third"})
	gauge.Set(1.0 / 3)
	summary := prometheus.NewSummary(prometheus.SummaryOpts{Name: "wait_seconds", Objectives: map[float64]float64{0.5: 0.05}})
	summary.Observe(4)
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{Name: "size_bytes", Buckets: []float64{1, 10}, NativeHistogramBucketFactor: 1.1})
	histogram.Observe(5)
	return []prometheus.Collector{counter, gauge, summary, histogram}
}

func labelled(name string) prometheus.Collector {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g"}, []string{name})
	vec.WithLabelValues("v").Set(1)
	return vec
}

func registry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	other := prometheus.NewGauge(prometheus.GaugeOpts{Name: "of_a_gatherer"})
	r.MustRegister(other)
	return r
}

// equal are programs of which the servers must see the same. With gateway, real ones as well.
func equal() map[string]setup {
	all := []string{"push", "error", "add", "delete", "push with context", "add with context"}
	return map[string]setup{
		"default format":    {job: "batch", collectors: metrics(), calls: all},
		"text":              {job: "batch", collectors: metrics(), format: expfmt.NewFormat(expfmt.TypeTextPlain), calls: all},
		"gatherers":         {job: "batch", collectors: metrics(), gatherers: []prometheus.Gatherer{registry()}, calls: all},
		"nothing":           {job: "batch", calls: all},
		"slash at the end":  {base: "/", job: "batch", calls: []string{"push"}},
		"one label":         {job: "batch", grouping: [][2]string{{"instance", "10.0.0.1:80"}}, collectors: metrics(), calls: all},
		"many labels":       {job: "batch", grouping: [][2]string{{"z", "1"}, {"a", "2"}, {"m", "3"}, {"a", "4"}}, collectors: metrics(), calls: all},
		"slashes and empty": {job: "a/b", grouping: [][2]string{{"path", "/var/tmp/"}, {"empty", ""}}, collectors: metrics(), calls: all},
		"special values":    {job: "a%b?c#d", grouping: [][2]string{{"x", "a+b&c=d;e:f@g,h~i-é日本"}}, collectors: metrics(), calls: all},
		"job twice":         {job: "a", grouping: [][2]string{{"instance", "i"}}, collectors: []prometheus.Collector{labelled("job")}, calls: all},
		"label twice":       {job: "a", grouping: [][2]string{{"l", "i"}}, collectors: []prometheus.Collector{labelled("l")}, calls: all},
	}
}

// equalAtAServer are further ones that a Pushgateway would not take.
func equalAtAServer() map[string]setup {
	all := []string{"push", "error", "add", "delete", "error"}
	broken := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("broken") })
	twice := labelled("l")
	name, unknown := "g", dto.MetricType(99)
	unencodable := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		return []*dto.MetricFamily{{Name: &name, Type: &unknown, Metric: []*dto.Metric{{}}}}, nil
	})
	text := expfmt.NewFormat(expfmt.TypeTextPlain)
	return map[string]setup{
		"prefix":           {base: "/gw/v1/", job: "j", collectors: metrics(), calls: all},
		"protobuf as text": {job: "j", format: expfmt.NewFormat(expfmt.TypeProtoText), collectors: metrics(), calls: all},
		"compact":          {job: "j", format: expfmt.NewFormat(expfmt.TypeProtoCompact), collectors: metrics(), calls: all},
		"openmetrics":      {job: "j", format: expfmt.NewFormat(expfmt.TypeOpenMetrics), collectors: metrics(), calls: all},
		"basic auth":       {job: "j", user: "u", password: "p", calls: all},
		"header": {
			job: "j", header: http.Header{"X-BK-TOKEN": {"t"}, "Many": {"1", "2"}, "User-Agent": {"own"}, "Authorization": {"Bearer x"}},
			calls: []string{"push", "add"},
		},
		"header and auth":  {job: "j", header: http.Header{"Authorization": {"Bearer x"}, "Content-Type": {"own"}}, user: "u", password: "p", calls: []string{"push"}},
		"header, delete":   {job: "j", header: http.Header{"X-Token": {"t"}}, user: "u", password: "p", calls: []string{"delete"}},
		"context is over":  {job: "j", calls: []string{"push, context is over", "push without a context", "add without a context"}},
		"no job":           {grouping: [][2]string{{"", "x"}}, calls: all},
		"no name":          {job: "j", grouping: [][2]string{{"", "x"}, {"a", "b"}}, calls: all},
		"name not UTF-8":   {job: "j", grouping: [][2]string{{"a\xff", "x"}}, calls: all},
		"name with space":  {job: "j", grouping: [][2]string{{"a b é", "x"}}, calls: []string{"push", "delete"}},
		"registered twice": {job: "j", collectors: []prometheus.Collector{twice, twice}, calls: all},
		"broken gatherer":  {job: "j", gatherers: []prometheus.Gatherer{broken}, calls: all},
		"not encodable":    {job: "j", gatherers: []prometheus.Gatherer{unencodable}, format: text, calls: all},
	}
}

func TestAServerSeesTheSame(t *testing.T) {
	for _, programs := range []map[string]setup{equal(), equalAtAServer()} {
		for name, s := range programs {
			t.Run(name, func(t *testing.T) {
				server := newServer(t, http.StatusAccepted, "")
				wanted := ofPeer(server.URL, s)
				came := server.take()
				if got := ofOurs(server.URL, s); !reflect.DeepEqual(got, wanted) {
					t.Errorf("errors %q, wanted %q", got, wanted)
				}
				if got := server.take(); !reflect.DeepEqual(got, came) {
					t.Errorf("came: %q\nwanted: %q", got, came)
				}
			})
		}
	}
}

func TestAServerSeesTheSameOfAsync(t *testing.T) {
	for name, s := range equal() {
		t.Run(name, func(t *testing.T) {
			server := newServer(t, http.StatusAccepted, "")
			s.user, s.password, s.header = "u", "p", http.Header{"X-BK-TOKEN": {"t"}}
			wanted := ofPeer(server.URL, s)
			came := server.take()
			if got := ofAsync(t, server.URL, s); !reflect.DeepEqual(got, wanted) {
				t.Errorf("errors %q, wanted %q", got, wanted)
			}
			got := server.take()
			for _, requests := range [][]seen{came, got} {
				for i, request := range requests {
					kept := http.Header{}
					for _, name := range []string{"Authorization", "Content-Type", "X-Bk-Token"} {
						kept[name] = request.Header[name]
					}
					if request.Method == http.MethodDelete {
						// the peer's has that of the push before it, by the alias that go/push does not have
						delete(kept, "Content-Type")
					}
					requests[i].Header = kept
				}
			}
			if !reflect.DeepEqual(got, came) {
				t.Errorf("came: %q\nwanted: %q", got, came)
			}
		})
	}
}

func TestRefusalsReadTheSame(t *testing.T) {
	s := setup{job: "j", grouping: [][2]string{{"a", "b/c"}}, collectors: metrics(), calls: []string{"push", "add", "delete"}}
	for _, code := range []int{400, 401, 404, 413, 429, 500, 502, 503} {
		server := newServer(t, code, "because\n")
		if got, wanted := ofOurs(server.URL, s), ofPeer(server.URL, s); !reflect.DeepEqual(got, wanted) || wanted[0] == "" {
			t.Errorf("errors %q, wanted %q", got, wanted)
		}
	}
}

func TestFailuresOfTheTransportReadTheSame(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := listener.Addr().String()
	listener.Close()
	calls := []string{"push", "add", "delete"}
	for _, address := range []string{closed, "http://" + closed, "http://127.0.0.1:port", "ftp://" + closed, "http://a b"} {
		s := setup{job: "j", calls: calls}
		if got, wanted := ofOurs(address, s), ofPeer(address, s); !reflect.DeepEqual(got, wanted) || wanted[0] == "" {
			t.Errorf("errors %q, wanted %q", got, wanted)
		}
	}
}

// What go/push documents under "Differences", as far as a server sees it: if the peer changes, it should be looked at again.
func TestDocumentedDifferences(t *testing.T) {
	space := newServer(t, http.StatusOK, "")
	s := setup{job: "a b", grouping: [][2]string{{"x", "c d"}}, calls: []string{"push"}}
	ofPeer(space.URL, s)
	if got := space.take(); got[0].Group != "job=a%2Bb&x=c%2Bd" {
		t.Errorf("the peer's space: %+v", got)
	}
	ofOurs(space.URL, s)
	if got := space.take(); got[0].Group != "job=a+b&x=c+d" {
		t.Errorf("our space: %+v", got)
	}

	s = setup{job: "j", calls: []string{"push", "delete"}}
	for code, peerTakes := range map[int][]bool{200: {true, false}, 201: {false, false}, 204: {false, false}} {
		server := newServer(t, code, "")
		for i, text := range ofPeer(server.URL, s) {
			if (text == "") != peerTakes[i] {
				t.Errorf("the peer's %d: %s", code, text)
			}
		}
		if got := ofOurs(server.URL, s); !reflect.DeepEqual(got, []string{"", ""}) {
			t.Errorf("our %d: %q", code, got)
		}
	}

	redirected := newServer(t, http.StatusFound, "")
	if got := ofPeer(redirected.URL, s); got[0] != "" {
		t.Errorf("the peer's redirect: %q", got)
	}
	if got := redirected.take(); got[1].Method != http.MethodGet || got[1].Prefix != "/elsewhere" {
		t.Errorf("the peer's redirect: %+v", got)
	}
	if got := ofOurs(redirected.URL, s); !strings.HasPrefix(got[0], "unexpected status code 302 while pushing to SERVER/metrics/job/j: ") {
		t.Errorf("our redirect: %q", got)
	}
	if got := redirected.take(); len(got) != 2 {
		t.Errorf("our redirect: %+v", got)
	}

	aliased := newServer(t, http.StatusAccepted, "")
	s = setup{job: "j", header: http.Header{"X-Token": {"t"}}, calls: []string{"push", "delete"}}
	ofPeer(aliased.URL, s)
	if got := aliased.take(); got[1].Header.Get("Content-Type") == "" {
		t.Errorf("the peer's header: %+v", got)
	}
	ofOurs(aliased.URL, s)
	if got := aliased.take(); got[1].Header["Content-Type"] != nil {
		t.Errorf("our header: %+v", got)
	}
}
