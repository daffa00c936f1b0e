// Package write compares promwrite with castai/promwrite: the same program on both has the same effect, and what it costs.
package write

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"

	castai "github.com/castai/promwrite"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	promwrite "github.com/promwrite/promwrite/go"
)

// seen is a request as it reached the receiver.
type seen struct {
	Method, Target string
	Header         http.Header
	Request        prompb.WriteRequest
}

// effect is what one program did: at the receiver and to its caller.
type effect struct {
	Seen     []seen
	Response string
	Error    string
	Status   int
	Deadline bool
}

// observe runs a program against a receiver that answers with status and body.
func observe(t *testing.T, status int, body string, program func(url string) (response any, err error)) effect {
	t.Helper()
	var got effect
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		compressed, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		packed, err := snappy.Decode(nil, compressed)
		if err != nil {
			t.Error(err)
		}
		s := seen{Method: r.Method, Target: r.RequestURI, Header: r.Header.Clone()}
		if err := s.Request.Unmarshal(packed); err != nil {
			t.Error(err)
		}
		// the compressors differ, the length with them
		s.Header.Del("Content-Length")
		got.Seen = append(got.Seen, s)
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}))
	defer server.Close()
	response, err := program(server.URL + "/api/v1/write")
	got.Response = fmt.Sprintf("%+v", response)
	if err != nil {
		got.Error = strings.ReplaceAll(err.Error(), server.URL, "URL")
		var status interface{ StatusCode() int }
		if errors.As(err, &status) {
			got.Status = status.StatusCode()
		}
		got.Deadline = errors.Is(err, context.DeadlineExceeded)
	}
	return got
}

func labels(n int) [][2]string {
	all := [][2]string{{"__name__", "rows_processed_total"}}
	for l := range n - 1 {
		all = append(all, [2]string{fmt.Sprintf("label_name_%d", l), fmt.Sprintf("value-%d-ü", l)})
	}
	return all
}

func TestSameEffect(t *testing.T) {
	at := time.UnixMilli(1_700_000_000_123)
	values := []float64{0, 1, -1.5, math.Inf(1), math.Inf(-1), math.MaxFloat64}
	times := []time.Time{at, at.Add(time.Nanosecond), time.UnixMilli(0), time.UnixMilli(-1), {}}
	headers := map[string]string{"X-Scope-OrgID": "tenant"}
	for name, c := range map[string]struct {
		status int
		body   string
		labels [][2]string
	}{
		"accepted":    {204, "", labels(10)},
		"200":         {200, "ok", labels(1)},
		"no labels":   {200, "", nil},
		"refused":     {400, "out of order\nsample", labels(2)},
		"unavailable": {503, "", labels(2)},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := observe(t, c.status, c.body, func(url string) (any, error) {
				req := &castai.WriteRequest{}
				for _, value := range values {
					for _, at := range times {
						s := castai.TimeSeries{Sample: castai.Sample{Time: at, Value: value}}
						for _, l := range c.labels {
							s.Labels = append(s.Labels, castai.Label{Name: l[0], Value: l[1]})
						}
						req.TimeSeries = append(req.TimeSeries, s)
					}
				}
				return castai.NewClient(url).Write(context.Background(), req, castai.WriteHeaders(headers))
			})
			ours := observe(t, c.status, c.body, func(url string) (any, error) {
				req := &promwrite.WriteRequest{}
				for _, value := range values {
					for _, at := range times {
						s := promwrite.TimeSeries{Sample: promwrite.Sample{Time: at, Value: value}}
						for _, l := range c.labels {
							s.Labels = append(s.Labels, promwrite.Label{Name: l[0], Value: l[1]})
						}
						req.TimeSeries = append(req.TimeSeries, s)
					}
				}
				return promwrite.NewClient(url).Write(context.Background(), req, promwrite.WriteHeaders(headers))
			})
			equal(t, theirs, ours)
		})
	}
}

func equal(t *testing.T, theirs, ours effect) {
	t.Helper()
	if len(theirs.Seen) != 1 && theirs.Error == "" {
		t.Fatalf("the peer made %d requests", len(theirs.Seen))
	}
	if !reflect.DeepEqual(theirs, ours) {
		t.Errorf("theirs %+v\n ours  %+v", theirs, ours)
	}
}

func TestSameProto(t *testing.T) {
	req := &prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{{
			Labels:    []prompb.Label{{Name: "__name__", Value: "a"}, {Name: "b", Value: ""}},
			Samples:   []prompb.Sample{{Value: 1, Timestamp: 2}, {Value: 3, Timestamp: 4}},
			Exemplars: []prompb.Exemplar{{Labels: []prompb.Label{{Name: "trace", Value: "x"}}, Value: 5, Timestamp: 6}},
			Histograms: []prompb.Histogram{{
				Count: &prompb.Histogram_CountInt{CountInt: 7}, Sum: 8, Schema: 1, ZeroThreshold: 9,
				ZeroCount: &prompb.Histogram_ZeroCountInt{ZeroCountInt: 1}, PositiveDeltas: []int64{1, -1}, Timestamp: 10,
			}},
		}},
		Metadata: []prompb.MetricMetadata{{Type: prompb.MetricMetadata_COUNTER, MetricFamilyName: "a", Help: "h", Unit: "u"}},
	}
	theirs := observe(t, 200, "", func(url string) (any, error) { return castai.NewClient(url).WriteProto(context.Background(), req) })
	ours := observe(t, 200, "", func(url string) (any, error) { return promwrite.NewClient(url).WriteProto(context.Background(), req) })
	equal(t, theirs, ours)
	if !reflect.DeepEqual(ours.Seen[0].Request, *req) {
		t.Errorf("%+v", ours.Seen[0].Request)
	}
}

func TestSameFailures(t *testing.T) {
	expired, cancel := context.WithDeadline(context.Background(), time.Unix(1, 0))
	defer cancel()
	for name, c := range map[string]struct {
		ctx context.Context
		url string
	}{
		"bad URL":     {context.Background(), "http://example.com:port"},
		"no scheme":   {context.Background(), "example.com/write"},
		"no host":     {context.Background(), "http://"},
		"refused":     {context.Background(), "http://127.0.0.1:1/write"},
		"deadline":    {expired, "http://127.0.0.1:1/write"},
		"nil context": {nil, "http://127.0.0.1:1/write"},
	} {
		t.Run(name, func(t *testing.T) {
			theirs := observe(t, 200, "", func(string) (any, error) {
				return castai.NewClient(c.url).Write(c.ctx, &castai.WriteRequest{})
			})
			ours := observe(t, 200, "", func(string) (any, error) {
				return promwrite.NewClient(c.url).Write(c.ctx, &promwrite.WriteRequest{})
			})
			if theirs.Error == "" {
				t.Error("the peer does not fail")
			}
			equal(t, theirs, ours)
		})
	}
}
