package promwrite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

func TestAsyncWriteDoesNotWait(t *testing.T) {
	r := startReceiver(t, object{"hold": true})
	client := NewClient(r.url+"/api/v1/write", Async())
	ctx, cancel := context.WithCancel(soon(t))
	response, err := client.Write(ctx, request(series("a", 1), series("b", 2)))
	if err != nil || response == nil {
		t.Fatal(response, err)
	}
	// what was accepted is not the context's any more
	cancel()
	r.await("held", 1)
	stats, err := client.Stats()
	must(t, err)
	if total := stats.Total(); total.Accepted != 2 || total.Pending != 2 {
		t.Error(total)
	}
	r.script(nil)
	r.ask(object{"op": "release"})
	report, err := client.Flush(soon(t))
	if err != nil || report.Total().Delivered != 2 {
		t.Fatal(report, err)
	}
	for _, s := range r.requests()[0].Decoded.Series {
		if len(s.Labels) != 1 {
			t.Error("a label was added:", s.Labels)
		}
	}
	if _, err := client.Close(soon(t)); err != nil {
		t.Error(err)
	}
	if _, err := client.Close(soon(t)); err != nil {
		t.Error("second close:", err)
	}
	if _, err := client.Write(soon(t), request(series("a", 1))); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestAsyncRetries(t *testing.T) {
	r := startReceiver(t, nil, object{"status": 503}, object{"status": 429})
	client := NewClient(r.url+"/api/v1/write", Async(WithOption("queue_config.min_backoff", "1ms")))
	if _, err := client.Write(soon(t), request(series("a", 1))); err != nil {
		t.Fatal(err)
	}
	report, err := client.Flush(soon(t))
	if err != nil || report.Total().Delivered != 1 || len(r.requests()) != 3 {
		t.Error(report, err)
	}
}

func TestAsyncWithACallersClient(t *testing.T) {
	jar, err := cookiejar.New(nil)
	must(t, err)
	for name, c := range map[string]*http.Client{
		"Transport":     {Transport: http.DefaultTransport},
		"Jar":           {Jar: jar},
		"CheckRedirect": {CheckRedirect: func(*http.Request, []*http.Request) error { return nil }},
	} {
		client := NewClient("http://127.0.0.1:1", Async(), HttpClient(c))
		_, write := client.Write(soon(t), request(series("a", 1)))
		_, flush := client.Flush(soon(t))
		_, stats := client.Stats()
		_, closed := client.Close(soon(t))
		for _, err := range []error{write, flush, stats, closed} {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}

	// the Timeout is kept: a receiver that holds the first request gets a second one
	r := startReceiver(t, nil, object{"hold": true})
	client := NewClient(r.url+"/api/v1/write", HttpClient(&http.Client{Timeout: 50 * time.Millisecond}), Async(WithOption("queue_config.min_backoff", "1ms")))
	if _, err := client.Write(soon(t), request(series("a", 1))); err != nil {
		t.Fatal(err)
	}
	if report, err := client.Flush(soon(t)); err != nil || report.Total().Delivered != 1 {
		t.Error(report, err)
	}
}

func TestAsyncErrorsCome(t *testing.T) {
	for name, c := range map[string]struct {
		client  *Client
		headers map[string]string
	}{
		"URL":             {NewClient("http://", Async()), nil},
		"option":          {NewClient("http://x", Async(WithTimeout(-1))), nil},
		"reserved header": {NewClient("http://x", Async()), map[string]string{"Content-Type": "text/plain"}},
		"bad basic auth":  {NewClient("http://x", Async()), map[string]string{"Authorization": "Basic canary"}},
		"line break":      {NewClient("http://x", Async()), map[string]string{"X-A": "canary\r\nX-B: c"}},
	} {
		_, err := c.client.Write(soon(t), request(series("a", 1)), WriteHeaders(c.headers))
		if !errors.Is(err, ErrInvalid) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestHeaderSets(t *testing.T) {
	r := startReceiver(t, nil)
	client := NewClient(r.url+"/api/v1/write", Async())
	const tenants = maxHeaderSets + 40
	for i := range tenants {
		headers := map[string]string{"x-scope-orgid": fmt.Sprint("t", i)}
		if _, err := client.Write(soon(t), request(series("a", float64(i))), WriteHeaders(headers)); err != nil {
			t.Fatal(err)
		}
		if i%10 == 9 {
			if _, err := client.Flush(soon(t)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := client.Flush(soon(t)); err != nil {
		t.Fatal(err)
	}
	if n := len(client.queue.writers); n != maxHeaderSets {
		t.Error(n)
	}
	seen := make(map[string]bool)
	for _, request := range r.requests() {
		for _, tenant := range request.header("X-Scope-OrgID") {
			seen[tenant] = true
		}
	}
	if len(seen) != tenants {
		t.Error(len(seen))
	}
}

func TestHeaderSetsThatArePendingAreBounded(t *testing.T) {
	r := startReceiver(t, object{"status": 503})
	client := NewClient(r.url+"/api/v1/write", Async())
	write := func(i int) error {
		_, err := client.Write(soon(t), request(series("a", 1)), WriteHeaders(map[string]string{"X-A": fmt.Sprint(i)}))
		return err
	}
	for i := range maxHeaderSets {
		must(t, write(i))
	}
	if err := write(maxHeaderSets); !errors.Is(err, ErrQueueFull) {
		t.Error(err)
	}
	must(t, write(0))
	stats, err := client.Stats()
	must(t, err)
	if total := stats.Total(); total.Accepted != maxHeaderSets+1 || total.Pending != maxHeaderSets+1 {
		t.Error(total)
	}
	ctx, cancel := context.WithCancel(soon(t))
	cancel()
	report, err := client.Close(ctx)
	if !errors.Is(err, context.Canceled) || report.Total().Dropped != maxHeaderSets+1 {
		t.Error(report, err)
	}
}

// More sets of headers than writers, at once: what is accepted is in the reports, whichever writer took it.
func TestNothingIsForgottenWhenWritersMakeRoom(t *testing.T) {
	r := startReceiver(t, nil)
	client := NewClient(r.url+"/api/v1/write", Async())
	var accepted, told atomic.Uint64
	flush := func() {
		report, err := client.Flush(soon(t))
		must(t, err)
		told.Add(report.Total().Delivered + report.Total().Superseded)
	}
	var group sync.WaitGroup
	for g := range 4 {
		group.Add(1)
		go func() {
			defer group.Done()
			for i := range 2 * maxHeaderSets {
				headers := WriteHeaders(map[string]string{"X-A": fmt.Sprint(i)})
				_, err := client.Write(soon(t), request(series("a", float64(i), Label{"g", fmt.Sprint(g)})), headers)
				switch {
				case err == nil:
					accepted.Add(1)
				case errors.Is(err, ErrQueueFull):
					flush()
				default:
					t.Error(err)
				}
			}
		}()
	}
	group.Wait()
	flush()
	if accepted.Load() == 0 || accepted.Load() != told.Load() {
		t.Errorf("%d accepted, %d told", accepted.Load(), told.Load())
	}
}

func TestLossOfAWriterLetGoIsTold(t *testing.T) {
	r := startReceiver(t, nil, object{"status": 400})
	client := NewClient(r.url+"/api/v1/write", Async(WithOption("queue_config.batch_send_deadline", "0s")))
	write := func(i int) {
		_, err := client.Write(soon(t), request(series("a", 1)), WriteHeaders(map[string]string{"X-A": fmt.Sprint(i)}))
		must(t, err)
	}
	write(0)
	r.await("answered", 1)
	for i := range maxHeaderSets - 1 {
		write(i + 1)
	}
	// of the whole process, because this leaves the report of each writer as it is
	var loss *LossError
	if _, err := Flush(soon(t)); !errors.As(err, &loss) {
		t.Fatal(err)
	}
	write(maxHeaderSets)
	report, err := client.Flush(soon(t))
	if !errors.As(err, &loss) || report.Total().Rejected != 1 || report.Total().Delivered != maxHeaderSets {
		t.Error(report, err)
	}
}
