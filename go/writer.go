//go:build cgo

package promwrite

import (
	"context"
	"runtime"
)

// Writer appends samples to a queue, from which the Rust core sends them by remote write 1.0 with retries. No method waits
// for the network but [Writer.Flush] and [Writer.Close]. It may be used from several goroutines at once.
//
// Call [Shutdown] or [Writer.Close] before main returns, because Go runs no exit hook. A Writer that is collected without
// Close still sends what it has, as long as the process lives.
type Writer struct {
	c cWriter
	closing
}

// NewWriter returns a Writer for the remote-write URL; user and password may stand in it. Each series gets the label
// instance with the host name unless [WithInstance] says otherwise. The error is an [*Error]; nothing is connected yet.
func NewWriter(url string, options ...Option) (*Writer, error) {
	return newWriter(url, collect(options))
}

func newWriter(url string, list []setting) (*Writer, error) {
	c, err := newCWriter(url, list)
	if err != nil {
		return nil, err
	}
	w := &Writer{c: c}
	runtime.AddCleanup(w, cWriter.free, c)
	return w, nil
}

// URL returns the endpoint, without user, password and query.
func (w *Writer) URL() string {
	url := w.handle().url()
	runtime.KeepAlive(w)
	return url
}

// handle of a nil Writer is NULL, which the core refuses with an error.
func (w *Writer) handle() cWriter {
	if w == nil {
		return cWriter{}
	}
	return w.c
}

// Series prepares a series, so that appending to it costs least. Labels are checked here: names by the option
// metric_name_validation_scheme, no duplicates; their order does not matter; empty values are left out.
func (w *Writer) Series(name string, labels ...Label) (*Series, error) {
	buffer := getBuffer()
	defer buffer.release()
	buffer.b = appendLabels(appendLabel(buffer.b, metricName, name), labels)
	c, err := w.handle().series(buffer.b)
	runtime.KeepAlive(w)
	if err != nil {
		return nil, err
	}
	s := &Series{c}
	runtime.AddCleanup(s, cSeries.free, c)
	return s, nil
}

// metricName is the label that holds the name of a series.
const metricName = "__name__"

// Append adds one sample with the time of the call. For many samples of one series [Writer.Series] is faster.
func (w *Writer) Append(name string, value float64, labels ...Label) error {
	return w.AppendAt(name, value, NowMs, labels...)
}

// AppendAt adds one sample with a time in milliseconds since 1970, [NowMs] for the time of the call.
func (w *Writer) AppendAt(name string, value float64, timestampMs int64, labels ...Label) error {
	buffer := getBuffer()
	defer buffer.release()
	size := labelsSize([]Label{{metricName, name}}) + labelsSize(labels) + 2 + sampleSize(value, timestampMs)
	b := appendLength(buffer.b, tagFirst, size)
	buffer.b = appendSample(appendLabels(appendLabel(b, metricName, name), labels), value, timestampMs)
	return w.appendPacked(buffer.b)
}

// Write adds the samples of many series in one call: all of them, or none and an error. The metric name is the label
// __name__. A zero time is refused.
func (w *Writer) Write(series []TimeSeries) error {
	buffer := getBuffer()
	defer buffer.release()
	buffer.b = appendRequest(buffer.b, series)
	return w.appendPacked(buffer.b)
}

func (w *Writer) appendPacked(request []byte) error {
	err := w.handle().appendPacked(request)
	runtime.KeepAlive(w)
	return err
}

// PushText adds the samples of a page in the text format 0.0.4 (contentType empty) or OpenMetrics, with labels added to each
// series; a series' own label of that name wins. Samples without time get the time of the call.
// It returns how many samples were accepted: all of the page's, or none and an error.
func (w *Writer) PushText(page []byte, contentType string, labels ...Label) (int, error) {
	n, err := w.handle().pushText(page, contentType, labels, true)
	runtime.KeepAlive(w)
	return n, err
}

// Flush waits until everything accepted before the call has been delivered, rejected or dropped, or ctx ends.
//
// The error is nil when all was delivered or superseded; a [*LossError] when something was rejected or dropped since the
// last report; the context's error when ctx ended first, and then what is pending stays pending.
func (w *Writer) Flush(ctx context.Context) (Report, error) {
	report, err := wait(ctx, Report{}, one(w.handle().flushStart))
	runtime.KeepAlive(w)
	return report, err
}

// Close accepts no more, waits as [Writer.Flush] does, and gives up what is left when ctx ends: that is then counted as dropped in
// a [*LossError] that wraps the context's error. A second Close waits for the first and returns an empty report.
func (w *Writer) Close(ctx context.Context) (Report, error) {
	closeIt := func() (Report, error) { return wait(ctx, Report{}, one(w.handle().closeStart)) }
	if w == nil {
		return closeIt()
	}
	report, err := w.closing.once(ctx, closeIt)
	runtime.KeepAlive(w)
	return report, err
}

// Stats returns everything counted since the Writer was made, also after Close.
func (w *Writer) Stats() (Stats, error) {
	stats, err := w.handle().stats()
	runtime.KeepAlive(w)
	return stats, err
}

// Series is a prepared series of a [Writer]. It may be used from several goroutines at once.
type Series struct{ c cSeries }

func (s *Series) handle() cSeries {
	if s == nil {
		return cSeries{}
	}
	return s.c
}

// Describe sets what receivers show of the metric: its type ("counter", "gauge", "histogram", "summary", "info", "stateset",
// "unknown"), help text and unit; empty ones are left out.
func (s *Series) Describe(metricType, help, unit string) error {
	err := s.handle().describe(metricType, help, unit)
	runtime.KeepAlive(s)
	return err
}

// Append adds a sample with the time of the call: for a counter the total as of now, as a scrape would see it.
func (s *Series) Append(value float64) error {
	err := s.handle().append(value, NowMs)
	runtime.KeepAlive(s)
	return err
}

// AppendAt adds a sample with a time in milliseconds since 1970, [NowMs] for the time of the call.
func (s *Series) AppendAt(value float64, timestampMs int64) error {
	err := s.handle().append(value, timestampMs)
	runtime.KeepAlive(s)
	return err
}

// AppendMany adds samples, oldest first, with times in milliseconds since 1970; [NowMs] is not allowed here. Both slices must be of
// one length. A bad time means that nothing was accepted; with [ErrQueueFull] what came before the first sample that did not fit was.
func (s *Series) AppendMany(values []float64, timestampsMs []int64) error {
	if len(values) != len(timestampsMs) {
		return invalidCount("timestampsMs", len(timestampsMs), len(values))
	}
	err := s.handle().appendMany(values, timestampsMs)
	runtime.KeepAlive(s)
	return err
}
