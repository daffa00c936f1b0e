package push

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// seen is a request as it came.
type seen struct {
	method, uri string
	header      http.Header
	body        string
	client      string
}

// gateway records requests and answers as told.
type gateway struct {
	*httptest.Server
	// arrived gets one value a request, before the answer.
	arrived chan struct{}

	mu       sync.Mutex
	requests []seen
	answer   http.HandlerFunc
}

// newGateway answers every request with answer; nil means 200.
func newGateway(t *testing.T, answer http.HandlerFunc) *gateway {
	t.Helper()
	g := &gateway{arrived: make(chan struct{}, 1000), answer: answer}
	g.Server = httptest.NewServer(g)
	t.Cleanup(g.Close)
	return g
}

func (g *gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	g.mu.Lock()
	g.requests = append(g.requests, seen{r.Method, r.RequestURI, r.Header.Clone(), string(body), r.RemoteAddr})
	answer := g.answer
	g.mu.Unlock()
	g.arrived <- struct{}{}
	if answer != nil {
		answer(w, r)
	}
}

func (g *gateway) answers(answer http.HandlerFunc) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.answer = answer
}

func (g *gateway) all() []seen {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.requests)
}

// only returns the one request that came.
func (g *gateway) only(t *testing.T) seen {
	t.Helper()
	all := g.all()
	if len(all) != 1 {
		t.Fatalf("%d requests came, wanted 1: %v", len(all), all)
	}
	return all[0]
}

func status(code int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

// gauge is a collector of one value.
func gauge(name string, value float64) prometheus.Gauge {
	g := prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "A gauge."})
	g.Set(value)
	return g
}

func wantError(t *testing.T, err error, text string) {
	t.Helper()
	if err == nil || err.Error() != text {
		t.Fatalf("error %q, wanted %q", err, text)
	}
}

func wantNoSecret(t *testing.T, err error, secret string) {
	t.Helper()
	if err == nil || strings.Contains(err.Error(), secret) {
		t.Fatalf("wanted an error without %q: %v", secret, err)
	}
}
