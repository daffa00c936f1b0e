package promwrite

import (
	"context"
	"errors"
	"io"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func newTestDoer(t *testing.T, options ...Option) *Doer {
	t.Helper()
	d, err := NewDoer(options...)
	must(t, err)
	return d
}

func newRequest(t *testing.T, ctx context.Context, method, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
	must(t, err)
	return r
}

func TestDoer(t *testing.T) {
	r := startReceiver(t, nil, object{"status": 503})
	d := newTestDoer(t, WithOption("queue_config.min_backoff", "1ms"))
	ctx, cancel := context.WithCancel(soon(t))
	body := "a 1\n"
	req := newRequest(t, ctx, http.MethodPut, strings.Replace(r.url, "//", "//u:p%20@", 1)+"/metrics/job/a%2Fb/instance@base64/YQ", body)
	req.Header.Set("Content-Type", "text/plain; version=0.0.4")
	req.Header.Set("X-BK-TOKEN", "t")
	req.Header.Add("X-Two", "1")
	req.Header.Add("X-Two", "2")
	req.Header.Set("Connection", "close")
	answer, err := d.Do(req)
	must(t, err)
	cancel()
	text, err := io.ReadAll(answer.Body)
	if err != nil || len(text) != 0 || answer.StatusCode != 202 || answer.Request != req || answer.Header == nil || answer.Body.Close() != nil {
		t.Errorf("%+v %q %v", answer, text, err)
	}
	report, err := d.Flush(soon(t))
	if err != nil || report.Total().Delivered != 1 || report.Senders[0].Kind != "pushes" {
		t.Fatal(report, err)
	}
	seen := r.requests()[1]
	if seen.Method != "PUT" || seen.Target != "/metrics/job/a%2Fb/instance@base64/YQ" || string(seen.Body) != body {
		t.Errorf("%+v", seen)
	}
	for name, want := range map[string][]string{
		"Content-Type": {"text/plain; version=0.0.4"}, "X-BK-TOKEN": {"t"}, "X-Two": {"1, 2"},
		"Authorization": {"Basic dTpwIA=="}, "Content-Length": {"4"}, "Host": {strings.TrimPrefix(r.url, "http://")},
	} {
		if got := seen.header(name); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestNewestStateOfAGroupWins(t *testing.T) {
	r := startReceiver(t, nil, object{"hold": true})
	d := newTestDoer(t)
	push := func(method, body string) {
		t.Helper()
		_, err := d.Do(newRequest(t, soon(t), method, r.url+"/metrics/job/a", body))
		must(t, err)
	}
	push("PUT", "a 1\n")
	r.await("held", 1)
	push("PUT", "a 2\n")
	push("PUT", "a 3\n")
	r.ask(object{"op": "release"})
	report, err := d.Close(soon(t))
	if total := report.Total(); err != nil || total.Delivered != 2 || total.Superseded != 1 {
		t.Error(report, err)
	}
	if seen := r.requests(); len(seen) != 2 || string(seen[1].Body) != "a 3\n" {
		t.Errorf("%+v", seen)
	}
	_, err = d.Do(newRequest(t, soon(t), "DELETE", r.url+"/metrics/job/a", ""))
	if !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
	if stats, err := d.Stats(); err != nil || stats.Total().Delivered != 2 {
		t.Error(stats, err)
	}
}

type failingBody struct{ closed bool }

func (b *failingBody) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }
func (b *failingBody) Close() error             { b.closed = true; return nil }

func TestDoerRefuses(t *testing.T) {
	d := newTestDoer(t)
	cancelled, cancel := context.WithCancel(soon(t))
	cancel()
	broken := &failingBody{}
	withBody := newRequest(t, soon(t), "PUT", "http://x/metrics/job/a", "")
	withBody.Body = broken
	split := newRequest(t, soon(t), "PUT", "http://x/metrics/job/a", "")
	split.Header["X-A"] = []string{"canary\r\nX-B: c"}
	var none *Doer
	for name, c := range map[string]struct {
		doer *Doer
		req  *http.Request
		is   error
	}{
		"nil request": {d, nil, ErrInvalid},
		"no URL":      {d, &http.Request{}, ErrInvalid},
		"method":      {d, newRequest(t, soon(t), "GET", "http://x/metrics/job/a", ""), ErrInvalid},
		"scheme":      {d, newRequest(t, soon(t), "PUT", "ftp://x/metrics/job/a", ""), ErrInvalid},
		"cancelled":   {d, newRequest(t, cancelled, "PUT", "http://x/metrics/job/a", ""), context.Canceled},
		"body":        {d, withBody, io.ErrUnexpectedEOF},
		"header":      {d, split, ErrInvalid},
		"nil doer":    {none, newRequest(t, soon(t), "PUT", "http://x/metrics/job/a", ""), ErrInvalid},
	} {
		answer, err := c.doer.Do(c.req)
		if answer != nil || !errors.Is(err, c.is) || strings.Contains(err.Error(), "canary") {
			t.Errorf("%s: %v %v", name, answer, err)
		}
	}
	if !broken.closed {
		t.Error("the body was not closed")
	}
	if _, err := NewDoer(WithOption("no_such_option", "")); !errors.Is(err, ErrUnknownOption) {
		t.Error(err)
	}
}
