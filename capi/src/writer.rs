//! Remote write without waiting.

use crate::error::promwrite_error;
use crate::guard::{entry, promwrite_str, query, release, timeout, timestamp};
use crate::options::{config, promwrite_options};
use crate::report::{self, promwrite_report};
use crate::series::promwrite_series;
use crate::text::c_string;
use crate::wait::promwrite_wait;
use promwrite_core::config::Faces;
use promwrite_core::error::{Error, Result};
use promwrite_core::writer::Writer;
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};

/// A client of one remote-write endpoint that never waits for it: samples are queued, and a thread that starts with the first of
/// them sends, retries and counts. For use by any number of threads; valid in forked children, which have a queue of their own.
pub struct promwrite_writer {
    writer: Writer,
    url: CString,
    closed: AtomicBool,
}

impl promwrite_writer {
    fn open(&self) -> Result<&Writer> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err(Error::Closed { what: "writer" }),
            false => Ok(&self.writer),
        }
    }

    fn flushing(&self, timeout_ms: i64) -> Result<promwrite_wait> {
        let writer = self.open()?.clone();
        let flush = writer.start_flush(timeout(timeout_ms)?);
        Ok(promwrite_wait::new(flush, move |_| vec![writer.report()]))
    }

    fn closing(&self, timeout_ms: i64) -> Result<promwrite_wait> {
        let timeout = timeout(timeout_ms)?;
        if self.closed.swap(true, Ordering::SeqCst) {
            return Err(Error::Closed { what: "writer" });
        }
        let writer = self.writer.clone();
        Ok(promwrite_wait::new(writer.start_close(timeout), move |_| vec![writer.finish_close()]))
    }
}

/// A writer to the remote-write URL `url`, as it is: no path is added to it. `options` may be NULL and is not kept.
///
/// The label `instance` is added to every series unless the option `instance` says otherwise. Nothing is connected yet and no
/// thread started, but files named by options are checked.
///
/// Errors: `PROMWRITE_ERROR_INVALID` for a URL, an option, a label or a file that breaks a rule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_new(
    url: *const c_char,
    url_len: usize,
    options: *const promwrite_options,
    writer: *mut *mut promwrite_writer,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_new", error, |c| {
            let place = c.place(writer, "writer")?;
            let config = config(c, options, Faces::Writer)?;
            let writer = Writer::new(c.text(url, url_len, "url")?, config)?;
            let url = c_string(&writer.url());
            place.give(promwrite_writer { writer, url, closed: AtomicBool::new(false) });
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// The endpoint, without user, password and query. It ends in NUL and is valid until the writer is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_url(writer: *const promwrite_writer) -> *const c_char {
    unsafe {
        query("promwrite_writer_url", ptr::null(), |c| Some(c.handle(writer, "writer").ok()?.url.as_ptr()))
    }
}

/// A prepared series: the fast path for what is appended often. `labels` are `2 * pairs` strings, a name and its value in turn, in any
/// order, without `__name__`; a label with an empty value is left out. Equal labels give the same series. The series stays valid
/// when the writer is freed.
///
/// Errors: `PROMWRITE_ERROR_INVALID` naming the metric or the label; `PROMWRITE_ERROR_TOO_LARGE` for labels larger than a request;
/// `PROMWRITE_ERROR_QUEUE_FULL` when series alone fill `queue_config.capacity_bytes`; `PROMWRITE_ERROR_CLOSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_series(
    writer: *const promwrite_writer,
    name: *const c_char,
    name_len: usize,
    labels: *const promwrite_str,
    pairs: usize,
    series: *mut *mut promwrite_series,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_series", error, |c| {
            let place = c.place(series, "series")?;
            let writer = c.handle(writer, "writer")?.open()?;
            let name = c.text(name, name_len, "name")?;
            place.give(promwrite_series::new(writer.series(
                name,
                &c.pairs(labels, pairs, "labels")?,
                None,
            )?));
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// As `promwrite_writer_series`, for callers who have their labels in one piece of memory: the `labels` fields (number 1) of a
/// `prometheus.TimeSeries`, `__name__` among them, in any order.
///
/// Errors: `PROMWRITE_ERROR_INVALID` as well for bytes that are not such fields, with the offset.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_series_packed(
    writer: *const promwrite_writer,
    labels: *const u8,
    labels_len: usize,
    series: *mut *mut promwrite_series,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_series_packed", error, |c| {
            let place = c.place(series, "series")?;
            let writer = c.handle(writer, "writer")?.open()?;
            let series = writer.series_from_labels(c.slice(labels, labels_len, "labels")?)?;
            place.give(promwrite_series::new(series));
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Appends one sample by name and labels, which are looked up each time: a prepared series is ten times as fast. Labels are as for
/// `promwrite_writer_series`, value and time as for `promwrite_series_append`.
///
/// Errors: those of `promwrite_writer_series` and `promwrite_series_append`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_append(
    writer: *const promwrite_writer,
    name: *const c_char,
    name_len: usize,
    labels: *const promwrite_str,
    pairs: usize,
    value: f64,
    timestamp_ms: i64,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_append", error, |c| {
            let writer = c.handle(writer, "writer")?.open()?;
            let name = c.text(name, name_len, "name")?;
            let labels = c.pairs(labels, pairs, "labels")?;
            writer.append(name, &labels, value, timestamp(timestamp_ms))?;
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Appends the samples of many series in one call, all of them or none. `layout` is `PROMWRITE_PACKED_WRITE_REQUEST`: `packed` is an
/// uncompressed `prometheus.WriteRequest` of remote write 1.0, as every protobuf library writes it. A sample whose timestamp is
/// `PROMWRITE_NOW` gets the time of the call; metadata is told to the receiver. Sorted labels are fastest.
///
/// `*accepted`, unless it is NULL, becomes the number of samples.
///
/// Errors: `PROMWRITE_ERROR_INVALID` for bytes that are no such message (with the offset), for native histograms and exemplars,
/// which would be lost, and for an unknown layout; otherwise those of `promwrite_writer_append`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_append_packed(
    writer: *const promwrite_writer,
    layout: u32,
    packed: *const u8,
    packed_len: usize,
    accepted: *mut u64,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_append_packed", error, |c| {
            let writer = c.handle(writer, "writer")?.open()?;
            crate::encode::check_layout(layout)?;
            let taken = writer.push_request(c.slice(packed, packed_len, "packed")?)?;
            if let Some(accepted) = c.wanted(accepted) {
                *accepted = taken as u64;
            }
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Appends every sample of a text page: text 0.0.4, also where `content_type` is empty, or OpenMetrics 1.0. `labels` (pairs, as for
/// `promwrite_writer_series`) are added to each series; where it has a label of that name, its own wins if `honor_labels`, as in a
/// scrape. Samples without a timestamp get the time of the call. `*accepted`, unless it is NULL, becomes the number of samples.
///
/// Errors: `PROMWRITE_ERROR_EXPOSITION` with line and column, and then nothing was accepted; otherwise those of
/// `promwrite_writer_append`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_push_text(
    writer: *const promwrite_writer,
    page: *const c_char,
    page_len: usize,
    content_type: *const c_char,
    content_type_len: usize,
    labels: *const promwrite_str,
    pairs: usize,
    honor_labels: bool,
    accepted: *mut u64,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_push_text", error, |c| {
            let writer = c.handle(writer, "writer")?.open()?;
            let page = c.slice(page.cast::<u8>(), page_len, "page")?;
            let content_type = c.text(content_type, content_type_len, "content_type")?;
            let labels = c.pairs(labels, pairs, "labels")?;
            let labels: Vec<_> = labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect();
            let taken = writer.push_text(page, content_type, &labels, honor_labels)?;
            if let Some(accepted) = c.wanted(accepted) {
                *accepted = taken as u64;
            }
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Sends what was accepted before this call, at once, and waits for it at most `timeout_ms`. A back-off is cut short once, a
/// Retry-After of the receiver is kept. Returns `PROMWRITE_OK` when nothing is pending, rejected or dropped since the last report,
/// `PROMWRITE_INCOMPLETE` otherwise. `report` may be NULL.
///
/// Errors: `PROMWRITE_ERROR_CLOSED`; `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_flush(
    writer: *const promwrite_writer,
    timeout_ms: i64,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_flush", error, |c| {
            c.handle(writer, "writer")?.flushing(timeout_ms)?.finish(c, report)
        })
    }
}

/// Accepts no more, flushes for at most `timeout_ms` and gives up the rest, counted as `dropped.shutdown`. Returns as
/// `promwrite_writer_flush`. `report` may be NULL.
///
/// Errors: `PROMWRITE_ERROR_CLOSED` the second time, also while the first is under way in another thread;
/// `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`, and then nothing was closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_close(
    writer: *const promwrite_writer,
    timeout_ms: i64,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_close", error, |c| {
            c.handle(writer, "writer")?.closing(timeout_ms)?.finish(c, report)
        })
    }
}

/// Starts `promwrite_writer_flush` and does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_flush_start(
    writer: *const promwrite_writer,
    timeout_ms: i64,
    wait: *mut *mut promwrite_wait,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_flush_start", error, |c| {
            let place = c.place(wait, "wait")?;
            place.give(c.handle(writer, "writer")?.flushing(timeout_ms)?);
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Starts `promwrite_writer_close` and does not wait: from now on nothing is accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_close_start(
    writer: *const promwrite_writer,
    timeout_ms: i64,
    wait: *mut *mut promwrite_wait,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_close_start", error, |c| {
            let place = c.place(wait, "wait")?;
            place.give(c.handle(writer, "writer")?.closing(timeout_ms)?);
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Everything counted since the writer was made; also after a close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_stats(
    writer: *const promwrite_writer,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_writer_stats", error, |c| {
            let place = c.place(report, "report")?;
            let stats = c.handle(writer, "writer")?.writer.stats().into_iter().collect::<Vec<_>>();
            place.give(report::of_stats(&stats));
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Frees a writer; NULL is fine. It waits for nothing and loses nothing: what is pending is still sent, and flushed when the
/// process ends by `exit` or by returning from `main`. No other thread may be using the writer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_writer_free(writer: *mut promwrite_writer) {
    unsafe { release("promwrite_writer_free", writer) }
}
