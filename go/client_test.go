package promwrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func series(name string, value float64, labels ...Label) TimeSeries {
	return TimeSeries{Labels: append([]Label{{"__name__", name}}, labels...), Sample: Sample{time.Now(), value}}
}

func request(all ...TimeSeries) *WriteRequest { return &WriteRequest{TimeSeries: all} }

// roundTripper records requests as a caller's own transport would.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestWriteArrives(t *testing.T) {
	r := startReceiver(t, nil)
	at := time.UnixMilli(1_700_000_000_123)
	nan := math.Float64frombits(0x7ff0000000000002)
	response, err := NewClient(r.url+"/api/v1/write").Write(soon(t), &WriteRequest{TimeSeries: []TimeSeries{
		{Labels: []Label{{"z", "ü"}, {"__name__", "a_total"}, {"B", "2"}}, Sample: Sample{at, nan}},
		{Labels: []Label{{"__name__", "b"}}, Sample: Sample{at, math.Copysign(0, -1)}},
	}})
	if err != nil || response == nil {
		t.Fatal(response, err)
	}
	seen := r.requests()[0]
	for name, want := range map[string]string{
		"Content-Type": "application/x-protobuf", "Content-Encoding": "snappy", "X-Prometheus-Remote-Write-Version": "0.1.0",
	} {
		if got := seen.header(name); !reflect.DeepEqual(got, []string{want}) {
			t.Errorf("%s: %q", name, got)
		}
	}
	if got := seen.header("Authorization"); got != nil {
		t.Errorf("Authorization: %q", got)
	}
	got := seen.Decoded.Series
	if want := [][2]string{{"B", "2"}, {"__name__", "a_total"}, {"z", "ü"}}; !reflect.DeepEqual(got[0].Labels, want) {
		t.Errorf("labels %v, want %v", got[0].Labels, want)
	}
	if s := got[0].Samples[0]; s.TsMs != at.UnixMilli() || s.ValueBits != 0x7ff0000000000002 {
		t.Errorf("%+v", s)
	}
	if s := got[1].Samples[0]; s.ValueBits != 1<<63 {
		t.Errorf("%+v", s)
	}
}

func TestStatuses(t *testing.T) {
	var status int
	var body string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	client := NewClient(server.URL)
	for _, status = range []int{200, 202, 204} {
		if response, err := client.Write(soon(t), request()); err != nil || response == nil {
			t.Errorf("%d: %v %v", status, response, err)
		}
	}
	body = "out of order\nsample"
	for _, status = range []int{300, 400, 401, 404, 500, 503} {
		response, err := client.Write(soon(t), request(series("a", 1)))
		var refused *WriteError
		if response != nil || !errors.As(err, &refused) || refused.StatusCode() != status {
			t.Fatalf("%d: %v %v", status, response, err)
		}
		if want := fmt.Sprintf("promwrite: expected status 200, got %d: %s", status, body); err.Error() != want {
			t.Errorf("%q, want %q", err, want)
		}
		if errors.Unwrap(refused) != nil {
			t.Error("a WriteError wraps nothing")
		}
	}
	status, body = 500, strings.Repeat("x", 10*errorBodyLimit)
	if _, err := client.Write(soon(t), request()); len(err.Error()) > errorBodyLimit+100 {
		t.Errorf("%d bytes of an error", len(err.Error()))
	}
}

func TestRedirectIsNotFollowed(t *testing.T) {
	followed := false
	mux := http.NewServeMux()
	mux.Handle("/write", http.RedirectHandler("/login", http.StatusFound))
	mux.HandleFunc("/login", func(http.ResponseWriter, *http.Request) { followed = true })
	server := httptest.NewServer(mux)
	defer server.Close()
	var refused *WriteError
	if _, err := NewClient(server.URL+"/write").Write(soon(t), request()); !errors.As(err, &refused) || refused.StatusCode() != 302 {
		t.Error(err)
	}
	if followed {
		t.Error("followed")
	}
	// the caller's client is the caller's
	if _, err := NewClient(server.URL+"/write", HttpClient(&http.Client{})).Write(soon(t), request()); err != nil || !followed {
		t.Error(err, followed)
	}
}

func TestEmptyRequestIsSent(t *testing.T) {
	r := startReceiver(t, nil)
	if _, err := NewClient(r.url+"/api/v1/write").Write(soon(t), request()); err != nil {
		t.Fatal(err)
	}
	if seen := r.requests(); len(seen) != 1 || len(seen[0].Decoded.Series) != 0 {
		t.Errorf("%+v", seen)
	}
}

func TestNilIsAnError(t *testing.T) {
	client := NewClient("http://127.0.0.1:1", HttpClient(nil), nil)
	var typed *message
	for name, call := range map[string]func() (*WriteResponse, error){
		"request":   func() (*WriteResponse, error) { return client.Write(soon(t), nil) },
		"proto":     func() (*WriteResponse, error) { return client.WriteProto(soon(t), nil) },
		"typed nil": func() (*WriteResponse, error) { return client.WriteProto(soon(t), typed) },
		"async request": func() (*WriteResponse, error) {
			return NewClient("http://127.0.0.1:1", Async()).Write(soon(t), nil)
		},
	} {
		if response, err := call(); response != nil || !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v %v", name, response, err)
		}
	}
	var none context.Context
	if _, err := client.Write(none, request()); err == nil {
		t.Error("nil context")
	}
	if _, err := client.Write(soon(t), request(), nil); err == nil || !strings.HasPrefix(err.Error(), "promwrite: sending remote write request: ") {
		t.Error(err)
	}
}

func TestBadURL(t *testing.T) {
	client := NewClient("http://example.com:port")
	_, err := client.Write(soon(t), request())
	var parse *url.Error
	if !errors.As(err, &parse) || err.Error() != `parse "http://example.com:port": invalid port ":port" after host` {
		t.Error(err)
	}
	_, err = NewClient("http://user:canary@host:1@x:y").Write(soon(t), request())
	if !errors.As(err, &parse) || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
	_, err = NewClient("http://user:canary@127.0.0.1:1").Write(soon(t), request())
	if err == nil || strings.Contains(err.Error(), "canary") {
		t.Error(err)
	}
}

func TestPrintingShowsNoSecret(t *testing.T) {
	auth := &BasicAuth{Username: "u", Password: "canary"}
	sync := NewClient("http://u:canary@127.0.0.1:1/?token=canary", HttpClientWithAuth(nil, auth))
	queued := NewClient("http://127.0.0.1:1/?token=canary", HttpClientWithAuth(nil, auth), Async(WithHeader("X-A", "canary")))
	writer, err := NewWriter("http://127.0.0.1:1/?token=canary", WithBearerToken("canary"))
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{auth, *auth, sync, queued, writer, WithBearerToken("canary"), writer.URL()} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			if text := fmt.Sprintf(format, v); strings.Contains(text, "canary") {
				t.Errorf("%T %s: %s", v, format, text)
			}
		}
	}
}

func TestCredentialsAndHeaders(t *testing.T) {
	for name, c := range map[string]struct {
		auth    *BasicAuth
		options []WriteOption
		user    string
		want    map[string]string
	}{
		"none":        {nil, nil, "", map[string]string{"Authorization": ""}},
		"UserName":    {&BasicAuth{UserName: "u", PassWord: "p"}, nil, "", map[string]string{"Authorization": "Basic dTpw"}},
		"Username":    {&BasicAuth{Username: "u", Password: "p"}, nil, "", map[string]string{"Authorization": "Basic dTpw"}},
		"URL":         {nil, nil, "u:p@", map[string]string{"Authorization": "Basic dTpw"}},
		"header wins": {&BasicAuth{UserName: "u"}, []WriteOption{WriteHeaders(map[string]string{"authorization": "Bearer t"})}, "x:y@", map[string]string{"Authorization": "Bearer t"}},
		"the last map wins whole": {
			nil, []WriteOption{WriteHeaders(map[string]string{"X-A": "1"}), WriteHeaders(map[string]string{"X-B": "2"})}, "",
			map[string]string{"X-A": "", "X-B": "2"},
		},
		"set, not added": {
			nil, []WriteOption{WriteHeaders(map[string]string{"Content-Type": "application/x-protobuf", "User-Agent": "mine"})}, "",
			map[string]string{"Content-Type": "application/x-protobuf", "User-Agent": "mine"},
		},
	} {
		for _, mode := range []string{"sync", "async"} {
			t.Run(mode+"/"+name, func(t *testing.T) {
				r := startReceiver(t, nil)
				options := []ClientOption{HttpClientWithAuth(nil, c.auth)}
				if mode == "async" {
					options = append(options, Async())
				}
				client := NewClient(strings.Replace(r.url, "//", "//"+c.user, 1)+"/api/v1/write", options...)
				if _, err := client.Write(soon(t), request(series("a", 1)), c.options...); err != nil {
					t.Fatal(err)
				}
				if _, err := client.Flush(soon(t)); err != nil {
					t.Fatal(err)
				}
				for header, want := range c.want {
					if got := strings.Join(r.requests()[0].header(header), "|"); got != want {
						t.Errorf("%s: %q, want %q", header, got, want)
					}
				}
			})
		}
	}
}

func TestDeadlines(t *testing.T) {
	var deadline time.Time
	var limited bool
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		deadline, limited = r.Context().Deadline()
		return nil, context.DeadlineExceeded
	})
	_, err := NewClient("http://x", HttpClient(&http.Client{Transport: transport})).Write(context.Background(), request())
	if left := time.Until(deadline); !limited || left < defaultTimeout-5*time.Second || left > defaultTimeout {
		t.Error("a client without Timeout:", limited, left)
	}
	if !errors.Is(err, context.DeadlineExceeded) || !strings.HasPrefix(err.Error(), "promwrite: sending remote write request: ") {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
	defer cancel()
	_, _ = NewClient("http://x", HttpClient(&http.Client{Transport: transport})).Write(ctx, request())
	if left := time.Until(deadline); left < 59*time.Minute {
		t.Error("the caller's deadline:", left)
	}

	r := startReceiver(t, object{"hold": true})
	ctx, cancel = context.WithCancel(soon(t))
	failed := make(chan error)
	go func() {
		_, err := NewClient(r.url+"/api/v1/write").Write(ctx, request())
		failed <- err
	}()
	r.await("held", 1)
	cancel()
	if err := <-failed; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// A transport may keep a request and read it later, or repeat it.
func TestBodyOutlivesTheCall(t *testing.T) {
	var kept []*http.Request
	transport := roundTripper(func(r *http.Request) (*http.Response, error) {
		kept = append(kept, r)
		return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
	})
	client := NewClient("http://x", HttpClient(&http.Client{Transport: transport}))
	for i := range 20 {
		if _, err := client.Write(soon(t), request(series(fmt.Sprintf("m%d", i), 1))); err != nil {
			t.Fatal(err)
		}
	}
	for i, r := range kept {
		again, err := r.GetBody()
		if err != nil {
			t.Fatal(err)
		}
		for _, body := range []io.ReadCloser{again, r.Body} {
			text, err := io.ReadAll(body)
			if err != nil || !strings.Contains(string(text), fmt.Sprintf("m%d", i)) || int64(len(text)) != r.ContentLength {
				t.Errorf("%d: %q %v", i, text, err)
			}
			_ = body.Close()
			if _, err := body.Read(make([]byte, 1)); err == nil {
				t.Error("read after close")
			}
		}
		if _, err := r.GetBody(); err == nil {
			t.Error("a body whose memory is gone")
		}
	}
}

type message struct {
	packed []byte
	err    error
}

func (m *message) Marshal() ([]byte, error) { return m.packed, m.err }

func TestWriteProto(t *testing.T) {
	r := startReceiver(t, nil)
	client := NewClient(r.url + "/api/v1/write")
	packed := appendRequest(nil, []TimeSeries{series("a", 1, Label{"l", "v"})})
	if _, err := client.WriteProto(soon(t), &message{packed: packed}); err != nil {
		t.Fatal(err)
	}
	if got := r.requests()[0].Decoded.Series; len(got) != 1 || got[0].Labels[0] != [2]string{"__name__", "a"} {
		t.Errorf("%+v", got)
	}
	broken := errors.New("broken")
	_, err := client.WriteProto(soon(t), &message{err: broken})
	if !errors.Is(err, broken) || err.Error() != "promwrite: marshaling remote write request proto: broken" {
		t.Error(err)
	}
	if _, err := client.WriteProto(soon(t), &message{packed: []byte("no protobuf")}); !errors.Is(err, ErrInvalid) {
		t.Error(err)
	}
}

func TestClientIsSafeForConcurrentUse(t *testing.T) {
	r := startReceiver(t, nil)
	for _, options := range [][]ClientOption{nil, {Async()}} {
		client := NewClient(r.url+"/api/v1/write", options...)
		var group sync.WaitGroup
		for i := range 8 {
			group.Add(1)
			go func() {
				defer group.Done()
				for j := range 50 {
					headers := WriteHeaders(map[string]string{"X-Scope-OrgID": fmt.Sprint(j % 3)})
					if _, err := client.Write(soon(t), request(series(fmt.Sprintf("m%d", i), float64(j))), headers); err != nil {
						t.Error(err)
					}
				}
			}()
		}
		group.Wait()
		if _, err := client.Close(soon(t)); err != nil {
			t.Error(err)
		}
	}
}
