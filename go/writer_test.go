package promwrite

import (
	"context"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
)

func newTestWriter(t *testing.T, url string, options ...Option) *Writer {
	t.Helper()
	w, err := NewWriter(url, options...)
	must(t, err)
	t.Cleanup(func() {
		// at once, because what a test leaves behind is no concern of the next one
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_, _ = w.Close(ctx)
	})
	return w
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// samples of the receiver as name → bits of values in the order of arrival.
func (r *receiver) samples() map[string][]uint64 {
	r.t.Helper()
	all := make(map[string][]uint64)
	for _, request := range r.requests() {
		for _, series := range request.Decoded.Series {
			for _, label := range series.Labels {
				if label[0] != metricName {
					continue
				}
				for _, sample := range series.Samples {
					all[label[1]] = append(all[label[1]], sample.ValueBits)
				}
			}
		}
	}
	return all
}

func bitsOf(values ...float64) (all []uint64) {
	for _, v := range values {
		all = append(all, math.Float64bits(v))
	}
	return all
}

func TestWriterDelivers(t *testing.T) {
	r := startReceiver(t, nil)
	w := newTestWriter(t, r.url+"/api/v1/write", WithInstance("host1"), WithLabels(Label{"job", "etl"}, Label{"zone", "a"}))
	rows, err := w.Series("rows_total", Label{"stage", "load"}, Label{"App", "x"}, Label{"empty", ""}, Label{"zone", "own"})
	must(t, err)
	must(t, rows.Describe("counter", "Rows.", ""))
	now := time.Now().UnixMilli()
	must(t, rows.AppendAt(1, now-10))
	must(t, rows.AppendMany([]float64{2, math.Copysign(0, -1)}, []int64{now - 9, now - 8}))
	must(t, rows.Append(math.Inf(1)))
	must(t, w.Append("one", 21.5, Label{"room", "ü"}))
	must(t, w.Write([]TimeSeries{series("bulk1", 1), series("bulk2", 2)}))
	n, err := w.PushText([]byte("page{a=\"b\"} 5\n"), "", Label{"extra", "e"})
	must(t, err)
	if n != 1 {
		t.Error(n)
	}
	report, err := w.Flush(soon(t))
	must(t, err)
	if total := report.Total(); !report.Complete() || total.Accepted != 8 || total.Delivered != 8 {
		t.Error(report)
	}
	want := map[string][]uint64{
		"rows_total": bitsOf(1, 2, math.Copysign(0, -1), math.Inf(1)), "one": bitsOf(21.5), "bulk1": bitsOf(1), "bulk2": bitsOf(2), "page": bitsOf(5),
	}
	if got := r.samples(); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, s := range r.requests()[0].Decoded.Series {
		if s.Labels[0][0] != "App" && s.Labels[0][0] != metricName {
			t.Error("not sorted:", s.Labels)
		}
		if s.Labels[0][0] == "App" {
			want := [][2]string{{"App", "x"}, {metricName, "rows_total"}, {"instance", "host1"}, {"job", "etl"}, {"stage", "load"}, {"zone", "own"}}
			if !reflect.DeepEqual(s.Labels, want) {
				t.Errorf("%v, want %v", s.Labels, want)
			}
		}
	}
	stats, err := w.Stats()
	must(t, err)
	if s := stats.Senders[0]; s.Kind != "samples" || s.Delivered != 8 || s.RequestsSucceeded == 0 || s.BytesSent == 0 || !strings.HasPrefix(s.URL, r.url) {
		t.Errorf("%+v", s)
	}
}

func TestBadInputIsAnErrorThatNamesIt(t *testing.T) {
	w := newTestWriter(t, "http://127.0.0.1:1/api/v1/write")
	s, err := w.Series("a")
	must(t, err)
	var none *Writer
	var noSeries *Series
	var noContext context.Context
	for name, c := range map[string]struct {
		err  error
		is   error
		says string
	}{
		"url":              {second(NewWriter("ftp://x")), ErrInvalid, "ftp"},
		"option":           {second(NewWriter("http://x", WithOption("remote_timout", "1s"))), ErrUnknownOption, "remote_timeout"},
		"option's value":   {second(NewWriter("http://x", WithTimeout(-time.Second))), ErrInvalid, "-1"},
		"reserved header":  {second(NewWriter("http://x", WithHeader("Content-Type", "text/plain"))), ErrInvalid, "Content-Type"},
		"two ways":         {second(NewWriter("http://x", WithBasicAuth("u", "p"), WithBearerToken("t"))), ErrInvalid, "basic_auth"},
		"metric name":      {second(w.Series("a b")), ErrInvalid, "a b"},
		"label name":       {w.Append("a", 1, Label{"b-c", "d"}), ErrInvalid, "b-c"},
		"duplicate":        {w.Append("a", 1, Label{"b", "1"}, Label{"b", "2"}), ErrInvalid, `"b"`},
		"UTF-8":            {second(w.Series("a", Label{"b", "\xff"})), ErrInvalid, "UTF-8"},
		"no name":          {w.Write([]TimeSeries{{Labels: []Label{{"a", "b"}}, Sample: Sample{time.Now(), 1}}}), ErrInvalid, metricName},
		"zero time":        {w.Write([]TimeSeries{{Labels: []Label{{metricName, "b"}}}}), ErrInvalidTimestamp, "-6795364578871"},
		"seconds":          {s.AppendAt(1, 1_700_000_000), ErrInvalidTimestamp, "1700000000"},
		"page":             {second(w.PushText([]byte("a{ 1\n"), "")), ErrExposition, "line 1"},
		"lengths":          {s.AppendMany([]float64{1}, nil), ErrInvalid, "length 1"},
		"type":             {s.Describe("number", "", ""), ErrInvalid, "number"},
		"nil writer":       {none.Append("a", 1), ErrInvalid, "NULL"},
		"nil flush":        {second(none.Flush(soon(t))), ErrInvalid, "NULL"},
		"nil close":        {second(none.Close(soon(t))), ErrInvalid, "NULL"},
		"nil stats":        {second(none.Stats()), ErrInvalid, "NULL"},
		"nil series":       {noSeries.Append(1), ErrInvalid, "NULL"},
		"zero series":      {new(Series).Append(1), ErrInvalid, "NULL"},
		"zero writer":      {new(Writer).Append("a", 1), ErrInvalid, "NULL"},
		"nil context":      {second(w.Flush(noContext)), ErrInvalid, "ctx"},
		"negative timeout": {Shutdown(-1), ErrInvalid, "-1ns"},
	} {
		var e *Error
		if !errors.Is(c.err, c.is) || !errors.As(c.err, &e) || e.Retryable() || !strings.Contains(e.Error(), c.says) {
			t.Errorf("%s: %v", name, c.err)
		}
	}
	if none.URL() != "" {
		t.Error(none.URL())
	}
	if stats, err := w.Stats(); err != nil || stats.Total().Accepted != 0 {
		t.Error(stats, err)
	}
}

func second[T any](_ T, err error) error { return err }

func TestQueueFull(t *testing.T) {
	r := startReceiver(t, object{"hold": true})
	w := newTestWriter(t, r.url+"/api/v1/write", WithOption("queue_config.capacity", "10"), WithOption("queue_config.overflow", "error"))
	s, err := w.Series("a")
	must(t, err)
	var e *Error
	for i := range 11 {
		err = s.AppendAt(1, time.Now().UnixMilli()+int64(i))
	}
	if !errors.Is(err, ErrQueueFull) || !errors.As(err, &e) || !e.Retryable() {
		t.Error(err)
	}
}

func TestFlushReportsLoss(t *testing.T) {
	r := startReceiver(t, object{"status": 400, "body": "no thanks"})
	w := newTestWriter(t, r.url+"/api/v1/write")
	must(t, w.Append("a", 1))
	report, err := w.Flush(soon(t))
	var loss *LossError
	if !errors.As(err, &loss) || report.Total().Rejected != 1 || loss.Report.Total().Rejected != 1 || loss.Unwrap() != nil {
		t.Fatal(report, err)
	}
	if !strings.Contains(err.Error(), "1 rejected") || !strings.Contains(err.Error(), "no thanks") {
		t.Error(err)
	}
	if n := report.Senders[0].Reasons["rejected.bad_request"]; n != 1 {
		t.Error(report.Senders[0].Reasons)
	}
	if report, err := w.Flush(soon(t)); err != nil || !report.Complete() {
		t.Error("a loss is told once:", report, err)
	}
}

func TestFlushEndsWithItsContext(t *testing.T) {
	r := startReceiver(t, object{"hold": true})
	w := newTestWriter(t, r.url+"/api/v1/write")
	must(t, w.Append("a", 1))
	ctx, cancel := context.WithCancel(soon(t))
	type result struct {
		Report
		error
		at time.Time
	}
	ended := make(chan result)
	go func() {
		report, err := w.Flush(ctx)
		ended <- result{report, err, time.Now()}
	}()
	r.await("held", 1)
	cancelled := time.Now()
	cancel()
	got := <-ended
	if took := got.at.Sub(cancelled); took > 50*time.Millisecond {
		t.Error("took", took)
	}
	if got.error != context.Canceled || got.Total().Pending != 1 || got.Complete() {
		t.Error(got)
	}
	r.script(nil)
	r.ask(object{"op": "release"})
	if report, err := w.Flush(soon(t)); err != nil || report.Total().Delivered != 1 {
		t.Error("what is pending stays pending:", report, err)
	}
}

func TestClose(t *testing.T) {
	r := startReceiver(t, object{"hold": true})
	w := newTestWriter(t, r.url+"/api/v1/write")
	s, err := w.Series("a")
	must(t, err)
	must(t, s.Append(1))
	ctx, cancel := context.WithCancel(soon(t))
	go func() {
		r.await("held", 1)
		cancel()
	}()
	report, err := w.Close(ctx)
	var loss *LossError
	if !errors.As(err, &loss) || !errors.Is(err, context.Canceled) || report.Senders[0].Reasons["dropped.shutdown"] != 1 {
		t.Fatal(report, err)
	}
	if report, err := w.Close(soon(t)); err != nil || len(report.Senders) != 0 {
		t.Error("second close:", report, err)
	}
	for name, err := range map[string]error{
		"series":      second(w.Series("b")),
		"append":      w.Append("b", 1),
		"series' own": s.Append(2),
		"append many": s.AppendMany([]float64{1}, []int64{time.Now().UnixMilli()}),
		"write":       w.Write([]TimeSeries{series("b", 1)}),
		"text":        second(w.PushText([]byte("b 1\n"), "")),
		"flush":       second(w.Flush(soon(t))),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if stats, err := w.Stats(); err != nil || stats.Total().Dropped != 1 {
		t.Error(stats, err)
	}
}

func TestRetriesAndLog(t *testing.T) {
	TakeLog()
	r := startReceiver(t, nil, object{"status": 503}, object{"status": 401, "body": "who are you"})
	w := newTestWriter(t, r.url+"/api/v1/write", WithOption("queue_config.min_backoff", "1ms"), WithOption("queue_config.hold_interval", "1ms"))
	must(t, w.Append("a", 1))
	report, err := w.Flush(soon(t))
	must(t, err)
	if n := len(r.requests()); n != 3 || report.Total().Delivered != 1 {
		t.Error(n, report)
	}
	if lines := strings.Join(TakeLog(), "\n"); !strings.Contains(lines, "401") {
		t.Errorf("%q", lines)
	}
	if lines := TakeLog(); lines != nil {
		t.Errorf("%q", lines)
	}
}
