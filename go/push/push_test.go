package push

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
)

func TestSchemeIsAdded(t *testing.T) {
	g := newGateway(t, nil)
	if err := New(strings.TrimPrefix(g.URL, "http://"), "j").Push(); err != nil {
		t.Fatal(err)
	}
	if got := g.only(t); got.method != http.MethodPut || got.uri != "/metrics/job/j" || got.body != "" {
		t.Errorf("came: %+v", got)
	}
}

func TestMethodsAndBodies(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "rows_total", Help: "Rows."}, []string{"stage"})
	histogram := prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "size_bytes", Help: "Sizes.", Buckets: []float64{1, 10}, NativeHistogramBucketFactor: 1.1,
	})
	registry.MustRegister(counter, histogram)
	counter.WithLabelValues("load").Add(3)
	histogram.Observe(5)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	verbs := map[string]func(*Pusher) error{
		http.MethodPut:  (*Pusher).Push,
		http.MethodPost: (*Pusher).Add,
	}
	for _, kind := range []expfmt.FormatType{
		expfmt.TypeUnknown, expfmt.TypeProtoDelim, expfmt.TypeProtoText, expfmt.TypeProtoCompact, expfmt.TypeTextPlain,
		expfmt.TypeOpenMetrics,
	} {
		format := expfmt.NewFormat(kind)
		for method, verb := range verbs {
			t.Run(fmt.Sprintf("%s %s", method, format), func(t *testing.T) {
				g := newGateway(t, nil)
				p := New(g.URL, "j").Gatherer(registry)
				if kind == expfmt.TypeUnknown {
					format = expfmt.NewFormat(expfmt.TypeProtoDelim) // what is sent when none is set
				} else {
					p.Format(format)
				}
				if err := verb(p); err != nil {
					t.Fatal(err)
				}
				var body bytes.Buffer
				encoder := expfmt.NewEncoder(&body, format)
				for _, family := range families {
					if err := encoder.Encode(family); err != nil {
						t.Fatal(err)
					}
				}
				got := g.only(t)
				if got.method != method || got.header.Get("Content-Type") != string(format) || got.body != body.String() {
					t.Errorf("came: %+v, wanted body %q", got, body.String())
				}
			})
		}
	}
}

func TestDelete(t *testing.T) {
	g := newGateway(t, status(http.StatusAccepted, ""))
	failing := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, errors.New("not asked") })
	if err := New(g.URL, "j").Grouping("x", "1").Gatherer(failing).BasicAuth("u", "p").Delete(); err != nil {
		t.Fatal(err)
	}
	got := g.only(t)
	if got.method != http.MethodDelete || got.uri != "/metrics/job/j/x/1" || got.body != "" || got.header["Content-Type"] != nil {
		t.Errorf("came: %+v", got)
	}
	if got.header.Get("Authorization") != "Basic dTpw" {
		t.Errorf("came: %+v", got.header)
	}
}

func TestFirstErrorStays(t *testing.T) {
	g := newGateway(t, nil)
	twice := gauge("g", 1)
	registration := prometheus.NewRegistry()
	registration.MustRegister(twice)
	for name, c := range map[string]struct {
		pusher *Pusher
		text   string
	}{
		"job":        {New(g.URL, ""), "job name is empty"},
		"job first":  {New(g.URL+"/?q", "").Grouping("", "x"), "job name is empty"},
		"no name":    {New(g.URL, "j").Grouping("", "x"), "grouping label has invalid name: "},
		"utf-8":      {New(g.URL, "j").Grouping("a\xff", "x"), "grouping label has invalid name: a\xff"},
		"slash":      {New(g.URL, "j").Grouping("a/b", "x"), "grouping label has invalid name: a/b"},
		"mark":       {New(g.URL, "j").Grouping("a@base64", "x"), "grouping label has invalid name: a@base64"},
		"dots":       {New(g.URL, "j").Grouping("..", "x"), "grouping label has invalid name: .."},
		"of two":     {New(g.URL, "j").Grouping("a/b", "x").Grouping("", "x"), "grouping label has invalid name: a/b"},
		"collector":  {New(g.URL, "j").Collector(twice).Collector(twice).Grouping("", "x"), registration.Register(twice).Error()},
		"query":      {New(g.URL+"/?token=s3cret", "j"), errBaseURL.Error()},
		"fragment":   {New(g.URL+"/#s3cret", "j"), errBaseURL.Error()},
		"then async": {New(g.URL, "").Async(), "job name is empty"},
	} {
		t.Run(name, func(t *testing.T) {
			for range 2 {
				wantError(t, c.pusher.Error(), c.text)
				wantError(t, c.pusher.Push(), c.text)
				wantError(t, c.pusher.Add(), c.text)
				wantError(t, c.pusher.Delete(), c.text)
				wantError(t, c.pusher.DeleteContext(context.Background()), c.text)
			}
		})
	}
	if !errors.Is(New(g.URL, "").Push(), errJobEmpty) {
		t.Error("not errJobEmpty")
	}
	if sent := g.all(); len(sent) != 0 {
		t.Errorf("sent: %v", sent)
	}
}

func TestLabelsThatClash(t *testing.T) {
	g := newGateway(t, nil)
	labelled := func(name string) prometheus.Collector {
		vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "g"}, []string{name})
		vec.WithLabelValues("v").Set(1)
		return vec
	}
	shown := func(c prometheus.Collector) string {
		registry := prometheus.NewRegistry()
		registry.MustRegister(c)
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		return families[0].GetMetric()[0].String()
	}
	job, other := labelled("job"), labelled("instance")
	p := New(g.URL, "j").Collector(job)
	wantError(t, p.Push(), fmt.Sprintf("pushed metric g (%s) already contains a job label", shown(job)))
	p = New(g.URL, "j").Grouping("instance", "x").Collector(other)
	wantError(t, p.Add(), fmt.Sprintf("pushed metric g (%s) already contains grouping label instance", shown(other)))
	if p.Error() != nil {
		t.Errorf("it is not an error of the configuration: %v", p.Error())
	}
	if sent := g.all(); len(sent) != 0 {
		t.Errorf("sent: %v", sent)
	}
}

func TestErrorsOfGatherersAndEncoding(t *testing.T) {
	g := newGateway(t, nil)
	broken := errors.New("broken")
	p := New(g.URL, "j").Gatherer(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) { return nil, broken }))
	if err := p.Push(); !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
	name, unknown := "g", dto.MetricType(99)
	p = New(g.URL, "j").Format(expfmt.NewFormat(expfmt.TypeTextPlain)).
		Gatherer(prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
			return []*dto.MetricFamily{{Name: &name, Type: &unknown, Metric: []*dto.Metric{{}}}}, nil
		}))
	err := p.Push()
	if err == nil || !strings.HasPrefix(err.Error(), "failed to encode metric family g, error is ") || errors.Unwrap(err) == nil {
		t.Errorf("error %v", err)
	}
	if sent := g.all(); len(sent) != 0 {
		t.Errorf("sent: %v", sent)
	}
}

func TestStatuses(t *testing.T) {
	for _, code := range []int{200, 201, 202, 204, 299, 300, 304, 400, 401, 404, 429, 500, 503} {
		t.Run(fmt.Sprint(code), func(t *testing.T) {
			text := "because\n"
			if code == 204 || code == 304 {
				text = "" // these have no body
			}
			g := newGateway(t, status(code, text))
			p := New(g.URL, "j").Grouping("a", "b").Collector(gauge("g", 1))
			for _, c := range []struct {
				doing string
				call  func() error
			}{{"pushing to", p.Push}, {"pushing to", p.Add}, {"deleting", p.Delete}} {
				err := c.call()
				if code/100 == 2 {
					if err != nil {
						t.Error(err)
					}
					continue
				}
				wantError(t, err, fmt.Sprintf("unexpected status code %d while %s %s/metrics/job/j/a/b: %s", code, c.doing, g.URL, text))
			}
		})
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	other := newGateway(t, nil)
	for _, code := range []int{301, 302, 303, 307, 308} {
		g := newGateway(t, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Location", other.URL+r.RequestURI)
			w.WriteHeader(code)
		})
		p := New(g.URL, "j").BasicAuth("u", "p")
		wantError(t, p.Push(), fmt.Sprintf("unexpected status code %d while pushing to %s/metrics/job/j: ", code, g.URL))
		wantError(t, p.Delete(), fmt.Sprintf("unexpected status code %d while deleting %s/metrics/job/j: ", code, g.URL))
	}
	if sent := other.all(); len(sent) != 0 {
		t.Errorf("sent: %v", sent)
	}
}

func TestOfAnErrorsBodyOnlyTheBeginningIsRead(t *testing.T) {
	g := newGateway(t, status(http.StatusBadRequest, strings.Repeat("x", 1<<20)))
	err := New(g.URL, "j").Push()
	wantError(t, err, fmt.Sprintf("unexpected status code 400 while pushing to %s/metrics/job/j: %s", g.URL, strings.Repeat("x", errorBodyLimit)))
}

func TestHeaders(t *testing.T) {
	g := newGateway(t, nil)
	own := http.Header{"X-BK-TOKEN": {"t0ken"}, "Authorization": {"Bearer x"}, "Content-Type": {"own"}, "X-Many": {"1", "2"}}
	p := New(g.URL, "j").Header(own).BasicAuth("user", "pass")
	own.Set("X-Many", "changed later")
	if err := p.Push(); err != nil {
		t.Fatal(err)
	}
	if err := p.Delete(); err != nil {
		t.Fatal(err)
	}
	if own.Get("Authorization") != "Bearer x" || own.Get("Content-Type") != "own" {
		t.Errorf("the caller's headers were changed: %v", own)
	}
	pushed, deleted := g.all()[0].header, g.all()[1].header
	for _, header := range []http.Header{pushed, deleted} {
		if header.Get("X-Bk-Token") != "t0ken" || header.Get("Authorization") != "Basic dXNlcjpwYXNz" {
			t.Errorf("came: %v", header)
		}
		if many := strings.Join(header["X-Many"], ","); many != "1,2" {
			t.Errorf("X-Many: %s", many)
		}
	}
	if pushed.Get("Content-Type") != string(expfmt.NewFormat(expfmt.TypeProtoDelim)) || deleted.Get("Content-Type") != "own" {
		t.Errorf("content types %q, %q", pushed.Get("Content-Type"), deleted.Get("Content-Type"))
	}
}

func TestUserInTheURL(t *testing.T) {
	g := newGateway(t, nil)
	withUser := strings.Replace(g.URL, "://", "://user:p%40ss@", 1)
	if err := New(withUser, "j").Push(); err != nil {
		t.Fatal(err)
	}
	if got := g.only(t).header.Get("Authorization"); got != "Basic dXNlcjpwQHNz" {
		t.Errorf("Authorization: %s", got)
	}
}

func TestNoErrorShowsAPassword(t *testing.T) {
	g := newGateway(t, status(http.StatusUnauthorized, ""))
	withUser := strings.Replace(g.URL, "://", "://user:s3cret@", 1)
	for _, p := range []*Pusher{
		New(withUser, "j"),
		New("http://user:s3cret@"+closedPort(t), "j"),
		New("http://user:s3cret@host:port", "j"),
		New("http://user:s3cret/x@host", "j"),
		New("http://user:s3cret%zz@host", "j"),
		New(withUser+"?s3cret", "j"),
		New(g.URL, "j").BasicAuth("user", "s3cret"),
		New(g.URL, "j").Header(http.Header{"X-Token": {"s3cret"}}),
	} {
		wantNoSecret(t, p.Push(), "s3cret")
		wantNoSecret(t, p.Add(), "s3cret")
		wantNoSecret(t, p.Delete(), "s3cret")
	}
}

// closedPort is an address at which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().String()
}

func TestTransportErrorsAreNetHTTPs(t *testing.T) {
	address := closedPort(t)
	var failed *url.Error
	if err := New(address, "j").Push(); !errors.As(err, &failed) || failed.Op != "Put" || failed.URL != "http://"+address+"/metrics/job/j" {
		t.Errorf("error %v", err)
	}
	_, want := http.NewRequest(http.MethodPut, "http://host:port/metrics/job/j", nil)
	p := New("host:port", "j")
	wantError(t, p.Push(), want.Error())
	if p.Error() != nil {
		t.Errorf("it is not an error of the configuration: %v", p.Error())
	}
}

func TestContext(t *testing.T) {
	release := make(chan struct{})
	g := newGateway(t, func(http.ResponseWriter, *http.Request) { <-release })
	defer close(release)
	p := New(g.URL, "j")
	for name, call := range map[string]func(context.Context) error{
		"push": p.PushContext, "add": p.AddContext, "delete": p.DeleteContext,
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(context.Background())
			done := make(chan error)
			go func() { done <- call(ctx) }()
			<-g.arrived
			cancel()
			if err := <-done; !errors.Is(err, context.Canceled) {
				t.Errorf("error %v", err)
			}
		})
	}
}

type doerFunc func(*http.Request) (*http.Response, error)

func (f doerFunc) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestClients(t *testing.T) {
	g := newGateway(t, nil)
	var none *http.Client
	for _, client := range []HTTPDoer{nil, none, g.Client()} {
		if err := New(g.URL, "j").Client(client).Push(); err != nil {
			t.Error(err)
		}
	}
	if came := len(g.all()); came != 3 {
		t.Errorf("%d requests came", came)
	}

	called := 0
	own := doerFunc(func(r *http.Request) (*http.Response, error) {
		called++
		r.Header.Set("X-Own", "1")
		return http.DefaultClient.Do(r)
	})
	if err := New(g.URL, "j").Client(own).Push(); err != nil {
		t.Error(err)
	}
	if last := g.all()[3]; called != 1 || last.header.Get("X-Own") != "1" {
		t.Errorf("called %d times, came %+v", called, last)
	}

	p := New(g.URL, "j").Client(doerFunc(func(*http.Request) (*http.Response, error) { return nil, nil }))
	wantError(t, p.Push(), errNoResponse.Error())
	p = New(g.URL, "j").Client(doerFunc(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 202}, nil }))
	if err := p.Push(); err != nil {
		t.Error(err)
	}
	p = New(g.URL, "j").Client(doerFunc(func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 500}, nil }))
	wantError(t, p.Delete(), "unexpected status code 500 while deleting "+g.URL+"/metrics/job/j: ")
}

func TestTheDefaultClientDoesNotWaitForEver(t *testing.T) {
	if defaultClient.Timeout != 30*time.Second {
		t.Errorf("timeout %v", defaultClient.Timeout)
	}
	short := *defaultClient
	short.Timeout = time.Millisecond
	release := make(chan struct{})
	hung := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-release }))
	defer hung.Close()
	defer close(release)
	var failed *url.Error
	if err := New(hung.URL, "j").Client(&short).Push(); !errors.As(err, &failed) || !failed.Timeout() {
		t.Errorf("error %v", err)
	}
}

func TestOnePusherInManyGoroutines(t *testing.T) {
	g := newGateway(t, nil)
	p := New(g.URL, "j").Grouping("a", "b").Grouping("c", "d").Header(http.Header{"X-Token": {"t"}}).BasicAuth("u", "p").Collector(gauge("g", 1))
	var all sync.WaitGroup
	for range 8 {
		all.Add(1)
		go func() {
			defer all.Done()
			for range 10 {
				if err := errors.Join(p.Push(), p.Add(), p.Delete()); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	if came := len(g.all()); came != 240 {
		t.Errorf("%d requests came", came)
	}
}
