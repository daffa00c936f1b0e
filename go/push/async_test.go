package push

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"

	"github.com/promwrite/promwrite/go"
)

var text = expfmt.NewFormat(expfmt.TypeTextPlain)

// settle flushes and fails the test when something was lost or is still pending.
func settle(t *testing.T, p *Pusher) promwrite.Counters {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	report, err := p.Flush(ctx)
	if err != nil {
		t.Fatalf("%v: %v", err, report)
	}
	return report.Total()
}

func TestAsyncSendsWhatPushSends(t *testing.T) {
	g := newGateway(t, nil)
	build := func() *Pusher {
		return New(strings.Replace(g.URL, "://", "://user:pass@", 1), "a b").Grouping("z", "").Grouping("path", "/x").
			Header(http.Header{"X-BK-TOKEN": {"t0ken"}}).Collector(gauge("g", 1.5))
	}
	for name, call := range map[string]func(*Pusher) error{
		"push": (*Pusher).Push, "add": (*Pusher).Add, "delete": (*Pusher).Delete,
	} {
		t.Run(name, func(t *testing.T) {
			before := len(g.all())
			if err := call(build()); err != nil {
				t.Fatal(err)
			}
			p := build().Async()
			if err := call(p); err != nil {
				t.Fatal(err)
			}
			if total := settle(t, p); total.Accepted != 1 || total.Delivered != 1 {
				t.Errorf("%+v", total)
			}
			both := g.all()[before:]
			if len(both) != 2 {
				t.Fatalf("came: %v", both)
			}
			direct, queued := both[0], both[1]
			if direct.method != queued.method || direct.uri != queued.uri || direct.body != queued.body {
				t.Errorf("directly %+v, queued %+v", direct, queued)
			}
			for _, header := range []string{"Content-Type", "Authorization", "X-Bk-Token"} {
				if direct.header.Get(header) != queued.header.Get(header) || direct.header.Get(header) == "" && header != "Content-Type" {
					t.Errorf("%s: directly %q, queued %q", header, direct.header[header], queued.header[header])
				}
			}
		})
	}
}

func TestAsyncCredentials(t *testing.T) {
	g := newGateway(t, nil)
	p := New(g.URL, "j").BasicAuth("user", "pass").Header(http.Header{"Authorization": {"Bearer x"}}).Async()
	q := New(g.URL, "k").Async(promwrite.WithHeader("X-BK-TOKEN", "t0ken"), promwrite.WithBearerToken("b"))
	for _, pusher := range []*Pusher{p, q} {
		if err := pusher.Push(); err != nil {
			t.Fatal(err)
		}
		settle(t, pusher)
	}
	all := g.all()
	if got := all[0].header["Authorization"]; len(got) != 1 || got[0] != "Basic dXNlcjpwYXNz" {
		t.Errorf("Authorization: %q", got)
	}
	if got := all[1].header; got.Get("X-Bk-Token") != "t0ken" || got.Get("Authorization") != "Bearer b" {
		t.Errorf("came: %v", got)
	}
}

func TestAsyncDoesNotWaitAndTheNewestStateWins(t *testing.T) {
	release := make(chan struct{})
	g := newGateway(t, func(http.ResponseWriter, *http.Request) { <-release })
	state := gauge("g", 0)
	p := New(g.URL, "j").Format(text).Collector(state).Async()
	push := func(value float64) {
		t.Helper()
		state.Set(value)
		// the gateway answers nothing before the end, so this returning at all is what is tested
		if err := p.Push(); err != nil {
			t.Fatal(err)
		}
	}
	push(1)
	<-g.arrived // in flight, so that what follows waits behind it
	for value := 2.0; value <= 5; value++ {
		push(value)
	}
	close(release)
	total := settle(t, p)
	if total.Accepted != 5 || total.Delivered != 2 || total.Superseded != 3 {
		t.Errorf("%+v", total)
	}
	all := g.all()
	if len(all) != 2 || !strings.HasSuffix(all[0].body, "g 1\n") || !strings.HasSuffix(all[1].body, "g 5\n") {
		t.Errorf("came: %+v", all)
	}
}

func TestAsyncDeleteClearsWhatWaits(t *testing.T) {
	release := make(chan struct{})
	g := newGateway(t, func(http.ResponseWriter, *http.Request) { <-release })
	p := New(g.URL, "j").Format(text).Collector(gauge("g", 1)).Async()
	if err := p.Push(); err != nil {
		t.Fatal(err)
	}
	<-g.arrived
	if err := errors.Join(p.Push(), p.Add(), p.Delete()); err != nil {
		t.Fatal(err)
	}
	close(release)
	if total := settle(t, p); total.Superseded != 2 || total.Delivered != 2 {
		t.Errorf("%+v", total)
	}
	if all := g.all(); len(all) != 2 || all[1].method != http.MethodDelete {
		t.Errorf("came: %+v", all)
	}
}

func TestAsyncArrivesWhenTheGatewayRecovers(t *testing.T) {
	g := newGateway(t, status(http.StatusServiceUnavailable, "starting"))
	p := New(g.URL, "j").Format(text).Collector(gauge("g", 7)).Async()
	if err := p.Push(); err != nil {
		t.Fatal(err)
	}
	<-g.arrived
	g.answers(nil)
	if total := settle(t, p); total.Delivered != 1 {
		t.Errorf("%+v", total)
	}
	all := g.all()
	if last := all[len(all)-1]; len(all) < 2 || last.body != all[0].body || !strings.HasSuffix(last.body, "g 7\n") {
		t.Errorf("came: %+v", all)
	}
}

func TestAsyncArrivesWhenTheGatewayComesUp(t *testing.T) {
	address := closedPort(t)
	p := New(address, "j").Format(text).Collector(gauge("g", 7)).Async()
	if err := p.Push(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	if report, err := p.Flush(ctx); !errors.Is(err, context.DeadlineExceeded) || report.Total().Pending != 1 {
		t.Fatalf("%v: %+v", err, report)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{arrived: make(chan struct{}, 10)}
	server := &http.Server{Handler: g}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	settle(t, p)
	if got := g.only(t); got.method != http.MethodPut || !strings.HasSuffix(got.body, "g 7\n") {
		t.Errorf("came: %+v", got)
	}
}

func TestAsyncTellsWhatWasRefused(t *testing.T) {
	g := newGateway(t, status(http.StatusBadRequest, "pushed metrics are inconsistent"))
	p := New(g.URL, "j").Collector(gauge("g", 1)).Async()
	if err := p.Push(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	report, err := p.Flush(ctx)
	var loss *promwrite.LossError
	if !errors.As(err, &loss) || report.Total().Rejected != 1 {
		t.Fatalf("%v: %+v", err, report)
	}
	if failures := strings.Join(report.Senders[0].Failures, "\n"); !strings.Contains(failures, "pushed metrics are inconsistent") {
		t.Errorf("failures: %s", failures)
	}
}

func TestAsyncContext(t *testing.T) {
	g := newGateway(t, nil)
	p := New(g.URL, "j").Async()
	ctx, cancel := context.WithCancel(context.Background())
	if err := p.PushContext(ctx); err != nil {
		t.Fatal(err)
	}
	cancel() // too late to take back what was accepted
	for _, call := range []func(context.Context) error{p.PushContext, p.AddContext, p.DeleteContext} {
		if err := call(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v", err)
		}
	}
	if total := settle(t, p); total.Accepted != 1 || total.Delivered != 1 {
		t.Errorf("%+v", total)
	}
}

func TestAsyncErrorsOfTheConfiguration(t *testing.T) {
	g := newGateway(t, nil)
	for name, p := range map[string]*Pusher{
		"client first": New(g.URL, "j").Client(g.Client()).Async(),
		"async first":  New(g.URL, "j").Async().Client(g.Client()),
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, p.Error(), errClientAndAsync.Error())
			wantError(t, p.Push(), errClientAndAsync.Error())
		})
	}
	if err := New(g.URL, "j").Client(nil).Async().Client(nil).Error(); err != nil {
		t.Error(err)
	}
	p := New(g.URL, "j").Async(promwrite.WithOption("no_such_option", "1"))
	var refused *promwrite.Error
	if !errors.As(p.Error(), &refused) || !strings.Contains(refused.Error(), "no_such_option") {
		t.Errorf("error %v", p.Error())
	}
	if _, err := p.Flush(context.Background()); err == nil || err != p.Push() {
		t.Errorf("error %v", err)
	}
	if sent := g.all(); len(sent) != 0 {
		t.Errorf("sent: %v", sent)
	}
}

func TestAsyncClose(t *testing.T) {
	g := newGateway(t, nil)
	p := New(g.URL, "j").Collector(gauge("g", 1)).Async()
	if err := p.Push(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if report, err := p.Close(ctx); err != nil || report.Total().Delivered != 1 {
		t.Fatalf("%v: %+v", err, report)
	}
	for _, call := range []func() error{p.Push, p.Add, p.Delete} {
		if err := call(); !errors.Is(err, promwrite.ErrClosed) {
			t.Errorf("error %v", err)
		}
	}
	g.only(t)
}

func TestWithoutAsyncNothingIsPending(t *testing.T) {
	g := newGateway(t, nil)
	p := New(g.URL, "j")
	for _, call := range []func(context.Context) (promwrite.Report, error){p.Flush, p.Close} {
		if report, err := call(context.Background()); err != nil || len(report.Senders) != 0 {
			t.Errorf("%v: %+v", err, report)
		}
	}
	if err := p.Push(); err != nil {
		t.Error(err)
	}
}

func TestAPusherForEachPush(t *testing.T) {
	g := newGateway(t, nil)
	var all sync.WaitGroup
	for worker := range 4 {
		all.Add(1)
		go func() {
			defer all.Done()
			for job := range 25 {
				p := New(g.URL, "j").Grouping("group", fmt.Sprint(worker, "-", job)).Collector(gauge("g", 1)).Async()
				if err := p.Push(); err != nil {
					t.Error(err)
				}
			}
		}()
	}
	all.Wait()
	// none of them is held any more, and what they have queued is sent nevertheless
	runtime.GC()
	runtime.GC()
	for range 100 {
		select {
		case <-g.arrived:
		case <-time.After(20 * time.Second):
			t.Fatalf("%d of 100 pushes came", len(g.all()))
		}
	}
	groups, connections := map[string]bool{}, map[string]bool{}
	for _, request := range g.all() {
		groups[request.uri] = true
		connections[request.client] = true
	}
	if len(groups) != 100 || len(connections) != 1 {
		t.Errorf("%d groups came by %d connections", len(groups), len(connections))
	}
}

func TestADoerAsTheClient(t *testing.T) {
	g := newGateway(t, nil)
	doer, err := promwrite.NewDoer()
	if err != nil {
		t.Fatal(err)
	}
	if err := New(g.URL, "j").Client(doer).BasicAuth("user", "pass").Collector(gauge("g", 1)).Push(); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if report, err := doer.Close(ctx); err != nil || report.Total().Delivered != 1 {
		t.Fatalf("%v: %+v", err, report)
	}
	if got := g.only(t); got.header.Get("Authorization") != "Basic dXNlcjpwYXNz" {
		t.Errorf("came: %+v", got)
	}
}
