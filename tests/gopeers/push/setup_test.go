// Package push_test compares go/push with client_golang's push: one program runs with both, and what a recording server
// and real Pushgateways see of it must be equal, but for the differences that go/push documents.
package push_test

import (
	"context"
	"encoding/base64"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	peer "github.com/prometheus/client_golang/prometheus/push"
	"github.com/prometheus/common/expfmt"

	ours "github.com/promwrite/promwrite/go/push"
)

// pusher is the API of a Pusher. That both fit is a part of the comparison.
type pusher[P, D any] interface {
	Push() error
	PushContext(context.Context) error
	Add() error
	AddContext(context.Context) error
	Delete() error
	Error() error
	Gatherer(prometheus.Gatherer) P
	Collector(prometheus.Collector) P
	Grouping(name, value string) P
	Client(D) P
	Header(http.Header) P
	BasicAuth(username, password string) P
	Format(expfmt.Format) P
}

// setup is a small program: how a Pusher is made and what is called on it.
type setup struct {
	base       string // behind the server's address
	job        string
	grouping   [][2]string
	header     http.Header
	user       string
	password   string
	format     expfmt.Format
	collectors []prometheus.Collector
	gatherers  []prometheus.Gatherer
	calls      []string
}

// build makes the Pusher for the server at that address.
func build[P pusher[P, D], D any](create func(url, job string) P, address string, s setup) P {
	p := create(address+s.base, s.job)
	for _, pair := range s.grouping {
		p.Grouping(pair[0], pair[1])
	}
	if s.header != nil {
		p.Header(s.header.Clone()) // the peer changes it
	}
	if s.user != "" {
		p.BasicAuth(s.user, s.password)
	}
	if s.format != "" {
		p.Format(s.format)
	}
	for _, c := range s.collectors {
		p.Collector(c)
	}
	for _, g := range s.gatherers {
		p.Gatherer(g)
	}
	return p
}

// call makes the calls and returns their errors as text, "" for none, with "SERVER" for the server's address.
func call[P pusher[P, D], D any](p P, address string, calls []string) []string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	cancelled, cancelNow := context.WithCancel(context.Background())
	cancelNow()
	var none context.Context
	methods := map[string]func() error{
		"push": p.Push, "add": p.Add, "delete": p.Delete, "error": p.Error,
		"push with context":      func() error { return p.PushContext(ctx) },
		"add with context":       func() error { return p.AddContext(ctx) },
		"push, context is over":  func() error { return p.PushContext(cancelled) },
		"add without a context":  func() error { return p.AddContext(none) },
		"push without a context": func() error { return p.PushContext(none) },
	}
	var texts []string
	for _, name := range calls {
		text := ""
		if err := methods[name](); err != nil {
			text = strings.ReplaceAll(err.Error(), address, "SERVER")
		}
		texts = append(texts, text)
	}
	return texts
}

func ofPeer(address string, s setup) []string {
	return call[*peer.Pusher, peer.HTTPDoer](build[*peer.Pusher, peer.HTTPDoer](peer.New, address, s), address, s.calls)
}

func ofOurs(address string, s setup) []string {
	return call[*ours.Pusher, ours.HTTPDoer](build[*ours.Pusher, ours.HTTPDoer](ours.New, address, s), address, s.calls)
}

// ofAsync waits after each call, so that none takes the place of another.
func ofAsync(t *testing.T, address string, s setup) []string {
	t.Helper()
	p := build[*ours.Pusher, ours.HTTPDoer](ours.New, address, s).Async()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	var texts []string
	for _, name := range s.calls {
		texts = append(texts, call[*ours.Pusher, ours.HTTPDoer](p, address, []string{name})...)
		if report, err := p.Flush(ctx); err != nil {
			t.Errorf("%s: %v: %v", name, err, report)
		}
	}
	return texts
}

// seen is a request, the path as a Pushgateway reads it.
type seen struct {
	Method string
	Prefix string
	Group  string // the pairs, sorted
	Header http.Header
	Body   string
}

// server records what comes and answers with a status, a body and a Location.
type server struct {
	*httptest.Server
	mu       sync.Mutex
	requests []seen
}

func newServer(t *testing.T, code int, body string) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		came, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		prefix, group, err := readPath(r.URL.Path)
		if err != nil {
			t.Errorf("%s: %v", r.RequestURI, err)
		}
		s.mu.Lock()
		s.requests = append(s.requests, seen{r.Method, prefix, group, r.Header.Clone(), string(came)})
		s.mu.Unlock()
		if code >= 300 && code < 400 {
			w.Header().Set("Location", "/elsewhere"+r.URL.EscapedPath())
			if strings.HasPrefix(r.URL.Path, "/elsewhere") {
				w.WriteHeader(http.StatusOK)
				return
			}
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}))
	t.Cleanup(s.Close)
	return s
}

// take returns what came since the last take.
func (s *server) take() []seen {
	s.mu.Lock()
	defer s.mu.Unlock()
	taken := s.requests
	s.requests = nil
	return taken
}

// readPath reads an unescaped path as a Pushgateway does.
func readPath(path string) (prefix, group string, err error) {
	prefix, key, found := strings.Cut(path, "/metrics/")
	parts := strings.Split(key, "/")
	if !found || len(parts)%2 != 0 {
		return "", "", errors.New("not the path of a group")
	}
	pairs := url.Values{}
	for i := 0; i < len(parts); i += 2 {
		name, value := parts[i], parts[i+1]
		if plain, encoded := strings.CutSuffix(name, "@base64"); encoded {
			decoded, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(value, "="))
			if err != nil {
				return "", "", err
			}
			name, value = plain, string(decoded)
		}
		pairs.Add(name, value)
	}
	return prefix, pairs.Encode(), nil
}
