// This file holds every call into the Rust core.
//
// The rules here: strings and slices cross as pointer and length and are not kept; a handle is freed by the cleanup of the Go
// object that owns it and by nothing else, so that no call can meet a freed one; whoever calls keeps the object alive.

//go:build cgo

package promwrite

/*
#include "promwrite.h"

#if PROMWRITE_VERSION_MAJOR != 0 || PROMWRITE_VERSION_MINOR != 1 || PROMWRITE_VERSION_PATCH != 0
#error "promwrite.h is of another version than this Go package: run make build"
#endif

// By value, because a pointer to the error would be checked on each call, which costs 7 ns of the 55.
struct appended { int32_t code; promwrite_error *error; };
static inline struct appended promwrite_go_append(const promwrite_series *series, double value, int64_t timestamp_ms) {
	struct appended result = {0, NULL};
	result.code = promwrite_series_append(series, value, timestamp_ms, &result.error);
	return result;
}

#cgo noescape promwrite_version
#cgo nocallback promwrite_version
#cgo noescape promwrite_error_message
#cgo nocallback promwrite_error_message
#cgo noescape promwrite_error_retryable
#cgo nocallback promwrite_error_retryable
#cgo noescape promwrite_error_free
#cgo nocallback promwrite_error_free
#cgo noescape promwrite_options_new
#cgo nocallback promwrite_options_new
#cgo noescape promwrite_options_set
#cgo nocallback promwrite_options_set
#cgo noescape promwrite_options_free
#cgo nocallback promwrite_options_free
#cgo noescape promwrite_writer_new
#cgo nocallback promwrite_writer_new
#cgo noescape promwrite_writer_url
#cgo nocallback promwrite_writer_url
#cgo noescape promwrite_writer_series_packed
#cgo nocallback promwrite_writer_series_packed
#cgo noescape promwrite_writer_append_packed
#cgo nocallback promwrite_writer_append_packed
#cgo noescape promwrite_writer_push_text
#cgo nocallback promwrite_writer_push_text
#cgo noescape promwrite_writer_flush_start
#cgo nocallback promwrite_writer_flush_start
#cgo noescape promwrite_writer_close_start
#cgo nocallback promwrite_writer_close_start
#cgo noescape promwrite_writer_stats
#cgo nocallback promwrite_writer_stats
#cgo noescape promwrite_writer_free
#cgo nocallback promwrite_writer_free
#cgo noescape promwrite_series_describe
#cgo nocallback promwrite_series_describe
#cgo noescape promwrite_go_append
#cgo nocallback promwrite_go_append
#cgo noescape promwrite_series_append_many
#cgo nocallback promwrite_series_append_many
#cgo noescape promwrite_series_free
#cgo nocallback promwrite_series_free
#cgo noescape promwrite_handler_new
#cgo nocallback promwrite_handler_new
#cgo noescape promwrite_handler_push
#cgo nocallback promwrite_handler_push
#cgo noescape promwrite_handler_flush_start
#cgo nocallback promwrite_handler_flush_start
#cgo noescape promwrite_handler_close_start
#cgo nocallback promwrite_handler_close_start
#cgo noescape promwrite_handler_stats
#cgo nocallback promwrite_handler_stats
#cgo noescape promwrite_handler_free
#cgo nocallback promwrite_handler_free
#cgo noescape promwrite_flush_start
#cgo nocallback promwrite_flush_start
#cgo noescape promwrite_shutdown_start
#cgo nocallback promwrite_shutdown_start
#cgo noescape promwrite_wait_poll
#cgo nocallback promwrite_wait_poll
#cgo noescape promwrite_wait_finish
#cgo nocallback promwrite_wait_finish
#cgo noescape promwrite_wait_free
#cgo nocallback promwrite_wait_free
#cgo noescape promwrite_report_senders
#cgo nocallback promwrite_report_senders
#cgo noescape promwrite_report_url
#cgo nocallback promwrite_report_url
#cgo noescape promwrite_report_kind
#cgo nocallback promwrite_report_kind
#cgo noescape promwrite_report_counters
#cgo nocallback promwrite_report_counters
#cgo noescape promwrite_report_counter_name
#cgo nocallback promwrite_report_counter_name
#cgo noescape promwrite_report_counter_value
#cgo nocallback promwrite_report_counter_value
#cgo noescape promwrite_report_failures
#cgo nocallback promwrite_report_failures
#cgo noescape promwrite_report_failure
#cgo nocallback promwrite_report_failure
#cgo noescape promwrite_report_free
#cgo nocallback promwrite_report_free
#cgo noescape promwrite_log_take
#cgo nocallback promwrite_log_take
#cgo noescape promwrite_log_lines
#cgo nocallback promwrite_log_lines
#cgo noescape promwrite_log_line
#cgo nocallback promwrite_log_line
#cgo noescape promwrite_log_free
#cgo nocallback promwrite_log_free
#cgo noescape promwrite_encode_bound
#cgo nocallback promwrite_encode_bound
#cgo noescape promwrite_encode
#cgo nocallback promwrite_encode
*/
import "C"

import (
	"runtime"
	"unsafe"
)

const (
	// NowMs as a timestamp means the time of the call.
	NowMs int64 = C.PROMWRITE_NOW

	forever int64 = C.PROMWRITE_FOREVER
)

func chars(s string) (*C.char, C.size_t) {
	return (*C.char)(unsafe.Pointer(unsafe.StringData(s))), C.size_t(len(s))
}

func octets(b []byte) (*C.uint8_t, C.size_t) {
	return (*C.uint8_t)(unsafe.Pointer(unsafe.SliceData(b))), C.size_t(len(b))
}

// failure is nil for a code that is not negative, else what e says; e is freed.
func failure(code C.int32_t, e *C.promwrite_error) error {
	if code >= 0 {
		return nil
	}
	err := &Error{Code: Code(code), Message: "no details"}
	if e != nil {
		err.Message = C.GoString(C.promwrite_error_message(e))
		err.retryable = bool(C.promwrite_error_retryable(e))
		C.promwrite_error_free(e)
	}
	return err
}

func coreVersion() string { return C.GoString(C.promwrite_version()) }

// pairs are labels as the C ABI takes them. Their strings are pinned, because the array that points to them lies in Go's memory.
func pairs(labels []Label, pinner *runtime.Pinner) (*C.promwrite_str, C.size_t) {
	if len(labels) == 0 {
		return nil, 0
	}
	list := make([]C.promwrite_str, 0, 2*len(labels))
	for _, label := range labels {
		for _, s := range [2]string{label.Name, label.Value} {
			var item C.promwrite_str
			if s != "" {
				item.data, item.len = chars(s)
				pinner.Pin(item.data)
			}
			list = append(list, item)
		}
	}
	return &list[0], C.size_t(len(labels))
}

// withOptions calls make with a table of these settings.
func withOptions(settings []setting, make func(*C.promwrite_options) error) error {
	if mismatch != nil {
		return mismatch
	}
	options := C.promwrite_options_new()
	defer C.promwrite_options_free(options)
	for _, s := range settings {
		var e *C.promwrite_error
		key, keyLen := chars(s.key)
		value, valueLen := chars(s.value)
		if err := failure(C.promwrite_options_set(options, key, keyLen, value, valueLen, &e), e); err != nil {
			return err
		}
	}
	return make(options)
}

type cWriter struct{ p *C.promwrite_writer }

func newCWriter(url string, settings []setting) (w cWriter, err error) {
	err = withOptions(settings, func(options *C.promwrite_options) error {
		var e *C.promwrite_error
		u, n := chars(url)
		return failure(C.promwrite_writer_new(u, n, options, &w.p, &e), e)
	})
	return w, err
}

func (w cWriter) free() { C.promwrite_writer_free(w.p) }

func (w cWriter) url() string {
	if w.p == nil {
		return ""
	}
	return C.GoString(C.promwrite_writer_url(w.p))
}

func (w cWriter) series(labels []byte) (s cSeries, err error) {
	var e *C.promwrite_error
	p, n := octets(labels)
	return s, failure(C.promwrite_writer_series_packed(w.p, p, n, &s.p, &e), e)
}

func (w cWriter) appendPacked(request []byte) error {
	var e *C.promwrite_error
	var accepted C.uint64_t
	p, n := octets(request)
	return failure(C.promwrite_writer_append_packed(w.p, C.PROMWRITE_PACKED_WRITE_REQUEST, p, n, &accepted, &e), e)
}

func (w cWriter) pushText(page []byte, contentType string, labels []Label, honorLabels bool) (int, error) {
	var e *C.promwrite_error
	var accepted C.uint64_t
	var pinner runtime.Pinner
	defer pinner.Unpin()
	text, textLen := octets(page)
	kind, kindLen := chars(contentType)
	list, count := pairs(labels, &pinner)
	code := C.promwrite_writer_push_text(w.p, (*C.char)(unsafe.Pointer(text)), textLen, kind, kindLen, list, count, C.bool(honorLabels), &accepted, &e)
	return int(accepted), failure(code, e)
}

func (w cWriter) flushStart() (wait cWait, err error) {
	var e *C.promwrite_error
	return wait, failure(C.promwrite_writer_flush_start(w.p, C.int64_t(forever), &wait.p, &e), e)
}

func (w cWriter) closeStart() (wait cWait, err error) {
	var e *C.promwrite_error
	return wait, failure(C.promwrite_writer_close_start(w.p, C.int64_t(forever), &wait.p, &e), e)
}

func (w cWriter) stats() (Stats, error) {
	var e *C.promwrite_error
	var report *C.promwrite_report
	return takeStats(C.promwrite_writer_stats(w.p, &report, &e), &report, &e)
}

type cSeries struct{ p *C.promwrite_series }

func (s cSeries) free() { C.promwrite_series_free(s.p) }

func (s cSeries) describe(kind, help, unit string) error {
	var e *C.promwrite_error
	k, kn := chars(kind)
	h, hn := chars(help)
	u, un := chars(unit)
	return failure(C.promwrite_series_describe(s.p, k, kn, h, hn, u, un, &e), e)
}

func (s cSeries) append(value float64, timestampMs int64) error {
	if r := C.promwrite_go_append(s.p, C.double(value), C.int64_t(timestampMs)); r.code < 0 {
		return failure(r.code, r.error)
	}
	return nil
}

func (s cSeries) appendMany(values []float64, timestampsMs []int64) error {
	var e *C.promwrite_error
	v := (*C.double)(unsafe.Pointer(unsafe.SliceData(values)))
	t := (*C.int64_t)(unsafe.Pointer(unsafe.SliceData(timestampsMs)))
	return failure(C.promwrite_series_append_many(s.p, v, t, C.size_t(len(values)), &e), e)
}

type cHandler struct{ p *C.promwrite_handler }

func newCHandler(settings []setting) (h cHandler, err error) {
	err = withOptions(settings, func(options *C.promwrite_options) error {
		var e *C.promwrite_error
		return failure(C.promwrite_handler_new(options, &h.p, &e), e)
	})
	return h, err
}

func (h cHandler) free() { C.promwrite_handler_free(h.p) }

func (h cHandler) push(method, url, headers string, body []byte) error {
	var e *C.promwrite_error
	m, mn := chars(method)
	u, un := chars(url)
	lines, ln := chars(headers)
	b, bn := octets(body)
	return failure(C.promwrite_handler_push(h.p, m, mn, u, un, lines, ln, b, bn, &e), e)
}

func (h cHandler) flushStart() (wait cWait, err error) {
	var e *C.promwrite_error
	return wait, failure(C.promwrite_handler_flush_start(h.p, C.int64_t(forever), &wait.p, &e), e)
}

func (h cHandler) closeStart() (wait cWait, err error) {
	var e *C.promwrite_error
	return wait, failure(C.promwrite_handler_close_start(h.p, C.int64_t(forever), &wait.p, &e), e)
}

func (h cHandler) stats() (Stats, error) {
	var e *C.promwrite_error
	var report *C.promwrite_report
	return takeStats(C.promwrite_handler_stats(h.p, &report, &e), &report, &e)
}

func flushAllStart() (wait cWait, err error) {
	var e *C.promwrite_error
	return wait, failure(C.promwrite_flush_start(C.int64_t(forever), &wait.p, &e), e)
}

func shutdownStart(timeoutMs int64) (wait cWait, err error) {
	var e *C.promwrite_error
	return wait, failure(C.promwrite_shutdown_start(C.int64_t(timeoutMs), &wait.p, &e), e)
}

type cWait struct{ p *C.promwrite_wait }

// settled reports whether there is nothing more to wait for, and does not wait.
func (w cWait) settled() bool { return bool(C.promwrite_wait_poll(w.p, 0)) }

// finish ends the wait and frees it.
func (w cWait) finish() (Report, error) {
	defer C.promwrite_wait_free(w.p)
	var e *C.promwrite_error
	var report *C.promwrite_report
	stats, err := takeStats(C.promwrite_wait_finish(w.p, &report, &e), &report, &e)
	if err != nil {
		return Report{}, err
	}
	out := Report{Senders: make([]SenderReport, len(stats.Senders))}
	for i := range stats.Senders {
		out.Senders[i] = stats.Senders[i].SenderReport
	}
	return out, nil
}

// takeStats copies a report and frees it; by pointers, because the call that fills them stands in the same expression.
func takeStats(code C.int32_t, report **C.promwrite_report, e **C.promwrite_error) (Stats, error) {
	if err := failure(code, *e); err != nil {
		return Stats{}, err
	}
	r := *report
	defer C.promwrite_report_free(r)
	stats := Stats{Senders: make([]SenderStats, C.promwrite_report_senders(r))}
	for i := range stats.Senders {
		sender, n := &stats.Senders[i], C.size_t(i)
		sender.URL = C.GoString(C.promwrite_report_url(r, n))
		sender.Kind = C.GoString(C.promwrite_report_kind(r, n))
		for c := range C.promwrite_report_counters(r, n) {
			sender.set(C.GoString(C.promwrite_report_counter_name(r, n, c)), uint64(C.promwrite_report_counter_value(r, n, c)))
		}
		for f := range C.promwrite_report_failures(r, n) {
			sender.Failures = append(sender.Failures, C.GoString(C.promwrite_report_failure(r, n, f)))
		}
	}
	return stats, nil
}

func takeLog() []string {
	if mismatch != nil {
		return []string{mismatch.Error()}
	}
	log := C.promwrite_log_take()
	if log == nil {
		return nil
	}
	defer C.promwrite_log_free(log)
	lines := make([]string, C.promwrite_log_lines(log))
	for i := range lines {
		lines[i] = C.GoString(C.promwrite_log_line(log, C.size_t(i)))
	}
	return lines
}

// encodeBound is the size that encode needs for a request of so many bytes.
func encodeBound(requestLen int) int {
	if mismatch != nil {
		// encode says so
		return 0
	}
	return int(C.promwrite_encode_bound(C.size_t(requestLen)))
}

// encode writes the body of a request into body and returns its length. One that is sorted was made here and needs no look; the
// labels of others are checked and sorted.
func encode(request []byte, sorted bool, body []byte) (int, error) {
	if mismatch != nil {
		return 0, mismatch
	}
	var e *C.promwrite_error
	var n C.size_t
	p, pn := octets(request)
	b, bn := octets(body)
	layout := C.uint32_t(C.PROMWRITE_PACKED_WRITE_REQUEST)
	if sorted {
		layout = C.PROMWRITE_PACKED_SORTED_REQUEST
	}
	code := C.promwrite_encode(layout, p, pn, b, bn, &n, &e)
	return int(n), failure(code, e)
}
