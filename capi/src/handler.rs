//! Whole requests of a push client, to any gateway and group.

use crate::error::promwrite_error;
use crate::guard::{entry, release, timeout};
use crate::options::{config, promwrite_options};
use crate::report::{self, promwrite_report};
use crate::wait::promwrite_wait;
use promwrite_core::config::Faces;
use promwrite_core::error::{Error, Result};
use promwrite_core::pending::source::Headers;
use promwrite_core::pusher::{self, Handed, Handler};
use std::ffi::c_char;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Takes over the requests that a push client makes. It adds no label. For use by any number of threads; valid in forked
/// children.
pub struct promwrite_handler {
    handler: Arc<Handler>,
    closed: AtomicBool,
}

impl promwrite_handler {
    fn open(&self) -> Result<&Arc<Handler>> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err(Error::Closed { what: "handler" }),
            false => Ok(&self.handler),
        }
    }

    fn flushing(&self, timeout_ms: i64) -> Result<promwrite_wait> {
        let handler = self.open()?.clone();
        let flush = handler.start_flush(timeout(timeout_ms)?);
        Ok(promwrite_wait::new(flush, move |_| handler.report()))
    }

    fn closing(&self, timeout_ms: i64) -> Result<promwrite_wait> {
        let timeout = timeout(timeout_ms)?;
        if self.closed.swap(true, Ordering::SeqCst) {
            return Err(Error::Closed { what: "handler" });
        }
        let handler = self.handler.clone();
        let flush = handler.start_close(timeout);
        Ok(promwrite_wait::new(flush, move |_| handler.finish_close()))
    }
}

/// A handler with these options; `options` may be NULL and is not kept.
///
/// Errors: `PROMWRITE_ERROR_INVALID` for options that contradict each other or cannot be sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_handler_new(
    options: *const promwrite_options,
    handler: *mut *mut promwrite_handler,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_handler_new", error, |c| {
            let place = c.place(handler, "handler")?;
            let handler = Arc::new(Handler::new(config(c, options, Faces::Gateway)?)?);
            place.give(promwrite_handler { handler, closed: AtomicBool::new(false) });
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Queues a request and returns: `method` is `PUT`, `POST` or `DELETE`, `url` the whole URL with the group's path (user and password may
/// stand in it), `headers` lines of `Name: value`, each ended by CR LF or LF, of which the last of a name counts; they come before those of
/// the options. Everything is copied. Requests of the same group follow each other: a newer PUT replaces an older one that waits.
///
/// Errors: `PROMWRITE_ERROR_INVALID` for a URL, a method or a header that breaks a rule; `PROMWRITE_ERROR_TOO_LARGE`;
/// `PROMWRITE_ERROR_QUEUE_FULL` with the overflow policies `error` and `block`; `PROMWRITE_ERROR_CLOSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_handler_push(
    handler: *const promwrite_handler,
    method: *const c_char,
    method_len: usize,
    url: *const c_char,
    url_len: usize,
    headers: *const c_char,
    headers_len: usize,
    body: *const u8,
    body_len: usize,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_handler_push", error, |c| {
            let handler = c.handle(handler, "handler")?.open()?;
            handler.push(Handed {
                url: c.text(url, url_len, "url")?,
                method: pusher::method(c.text(method, method_len, "method")?)?,
                headers: lines(c.slice(headers.cast::<u8>(), headers_len, "headers")?)?,
                body: c.slice(body, body_len, "body")?.to_vec(),
            })?;
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Headers from lines. Their bytes are ISO 8859-1, as HTTP has it.
fn lines(block: &[u8]) -> Result<Headers> {
    let text: String = block.iter().map(|b| char::from(*b)).collect();
    let mut headers = Headers::default();
    for line in text.split('\n').map(|line| line.strip_suffix('\r').unwrap_or(line)) {
        if line.is_empty() {
            continue;
        }
        // the line is not shown, because it may hold a secret
        let rule = "each line must be a name, a colon and a value";
        let pair = line.split_once(':');
        let (name, value) = pair.ok_or_else(|| Error::invalid("headers", "***", rule))?;
        headers.0.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
    }
    Ok(headers)
}

/// Sends what was accepted before this call, at once, and waits for it at most `timeout_ms`. A back-off is cut short once, a
/// Retry-After of the receiver is kept. Returns `PROMWRITE_OK` when nothing is pending, rejected or dropped since the last report,
/// `PROMWRITE_INCOMPLETE` otherwise. `report` may be NULL.
///
/// Errors: `PROMWRITE_ERROR_CLOSED`; `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_handler_flush(
    handler: *const promwrite_handler,
    timeout_ms: i64,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_handler_flush", error, |c| {
            c.handle(handler, "handler")?.flushing(timeout_ms)?.finish(c, report)
        })
    }
}

/// Accepts no more, flushes for at most `timeout_ms` and gives up the rest, counted as `dropped.shutdown`; what others
/// push to the same gateway stays theirs. Returns as
/// `promwrite_handler_flush`. `report` may be NULL.
///
/// Errors: `PROMWRITE_ERROR_CLOSED` the second time, also while the first is under way in another thread;
/// `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`, and then nothing was closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_handler_close(
    handler: *const promwrite_handler,
    timeout_ms: i64,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_handler_close", error, |c| {
            c.handle(handler, "handler")?.closing(timeout_ms)?.finish(c, report)
        })
    }
}

/// Starts `promwrite_handler_flush` and does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_handler_flush_start(
    handler: *const promwrite_handler,
    timeout_ms: i64,
    wait: *mut *mut promwrite_wait,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_handler_flush_start", error, |c| {
            let place = c.place(wait, "wait")?;
            place.give(c.handle(handler, "handler")?.flushing(timeout_ms)?);
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Starts `promwrite_handler_close` and does not wait: from now on nothing is accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_handler_close_start(
    handler: *const promwrite_handler,
    timeout_ms: i64,
    wait: *mut *mut promwrite_wait,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_handler_close_start", error, |c| {
            let place = c.place(wait, "wait")?;
            place.give(c.handle(handler, "handler")?.closing(timeout_ms)?);
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Everything counted since the handler was made, gateway by gateway, with what others push there; also after a close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_handler_stats(
    handler: *const promwrite_handler,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_handler_stats", error, |c| {
            let place = c.place(report, "report")?;
            let stats = c.handle(handler, "handler")?.handler.stats();
            place.give(report::of_stats(&stats));
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Frees a handler; NULL is fine. It waits for nothing and loses nothing. No other thread may be using the handler.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_handler_free(handler: *mut promwrite_handler) {
    unsafe { release("promwrite_handler_free", handler) }
}
