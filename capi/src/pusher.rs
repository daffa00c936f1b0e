//! Pushing the state of one group to a Pushgateway without waiting.

use crate::error::promwrite_error;
use crate::guard::{Caller, entry, promwrite_str, query, release, timeout};
use crate::options::{config, promwrite_options};
use crate::report::{self, promwrite_report};
use crate::text::c_string;
use crate::wait::promwrite_wait;
use promwrite_core::config::Faces;
use promwrite_core::error::{Error, Result};
use promwrite_core::pusher::Pusher;
use std::ffi::{CString, c_char};
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// The content type of a page that comes without one.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A client of one group of one Pushgateway that never waits for it. A push is the state of its group: a newer one makes an older
/// one needless, so what arrives is the newest state, however late. For use by any number of threads; valid in forked children.
pub struct promwrite_pusher {
    pusher: Arc<Pusher>,
    url: CString,
    closed: AtomicBool,
}

impl promwrite_pusher {
    fn open(&self) -> Result<&Arc<Pusher>> {
        match self.closed.load(Ordering::SeqCst) {
            true => Err(Error::Closed { what: "pusher" }),
            false => Ok(&self.pusher),
        }
    }

    fn flushing(&self, timeout_ms: i64) -> Result<promwrite_wait> {
        let pusher = self.open()?.clone();
        let flush = pusher.handler().start_flush(timeout(timeout_ms)?);
        Ok(promwrite_wait::new(flush, move |_| pusher.handler().report()))
    }

    fn closing(&self, timeout_ms: i64) -> Result<promwrite_wait> {
        let timeout = timeout(timeout_ms)?;
        if self.closed.swap(true, Ordering::SeqCst) {
            return Err(Error::Closed { what: "pusher" });
        }
        let pusher = self.pusher.clone();
        let flush = pusher.handler().start_close(timeout);
        Ok(promwrite_wait::new(flush, move |_| pusher.handler().finish_close()))
    }
}

/// A pusher of the group `job` and `grouping_key` (`2 * pairs` strings, a name and its value in turn) at `gateway`, which is `host:port` or a
/// URL; a path in it is kept. `options` may be NULL and is not kept.
///
/// `instance` is added to the grouping key unless it has one or the option `instance` is empty, because two hosts that push one group
/// overwrite each other.
///
/// Errors: `PROMWRITE_ERROR_INVALID` for a gateway, a job, a grouping label or an option that breaks a rule.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_new(
    gateway: *const c_char,
    gateway_len: usize,
    job: *const c_char,
    job_len: usize,
    grouping_key: *const promwrite_str,
    pairs: usize,
    options: *const promwrite_options,
    pusher: *mut *mut promwrite_pusher,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_pusher_new", error, |c| {
            let place = c.place(pusher, "pusher")?;
            let config = config(c, options, Faces::Gateway)?;
            let gateway = c.text(gateway, gateway_len, "gateway")?;
            let job = c.text(job, job_len, "job")?;
            let key = c.pairs(grouping_key, pairs, "grouping_key")?;
            let key = key.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            let pusher = Pusher::new(gateway, job, key, config)?;
            let url = c_string(pusher.url());
            place.give(promwrite_pusher { pusher: Arc::new(pusher), url, closed: AtomicBool::new(false) });
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// The group's URL, without user and password. It ends in NUL and is valid until the pusher is freed; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_url(pusher: *const promwrite_pusher) -> *const c_char {
    unsafe {
        query("promwrite_pusher_url", ptr::null(), |c| Some(c.handle(pusher, "pusher").ok()?.url.as_ptr()))
    }
}

/// A page as it is handed over.
fn page(
    caller: &Caller,
    body: *const u8,
    body_len: usize,
    content_type: *const c_char,
    content_type_len: usize,
) -> Result<(Vec<u8>, &str)> {
    let body = caller.slice(body, body_len, "body")?.to_vec();
    let content_type = caller.text(content_type, content_type_len, "content_type")?;
    Ok((body, if content_type.is_empty() { TEXT } else { content_type }))
}

/// Replaces the group by the page `body` (HTTP PUT); an empty `content_type` means text 0.0.4. The page is copied and not looked at: what
/// the gateway refuses shows in the report.
///
/// Errors: `PROMWRITE_ERROR_INVALID` for a content type that no header can carry; `PROMWRITE_ERROR_TOO_LARGE`;
/// `PROMWRITE_ERROR_QUEUE_FULL` with the overflow policies `error` and `block`; `PROMWRITE_ERROR_CLOSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_put(
    pusher: *const promwrite_pusher,
    body: *const u8,
    body_len: usize,
    content_type: *const c_char,
    content_type_len: usize,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_pusher_put", error, |c| {
            let pusher = c.handle(pusher, "pusher")?.open()?;
            let (body, content_type) = page(c, body, body_len, content_type, content_type_len)?;
            pusher.push(body, content_type)?;
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Replaces the metrics of the group that the page `body` names (HTTP POST). As `promwrite_pusher_put` otherwise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_post(
    pusher: *const promwrite_pusher,
    body: *const u8,
    body_len: usize,
    content_type: *const c_char,
    content_type_len: usize,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_pusher_post", error, |c| {
            let pusher = c.handle(pusher, "pusher")?.open()?;
            let (body, content_type) = page(c, body, body_len, content_type, content_type_len)?;
            pusher.add(body, content_type)?;
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Removes the group (HTTP DELETE).
///
/// Errors: those of `promwrite_pusher_put`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_delete(
    pusher: *const promwrite_pusher,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_pusher_delete", error, |c| {
            c.handle(pusher, "pusher")?.open()?.delete()?;
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
pub unsafe extern "C" fn promwrite_pusher_flush(
    pusher: *const promwrite_pusher,
    timeout_ms: i64,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_pusher_flush", error, |c| {
            c.handle(pusher, "pusher")?.flushing(timeout_ms)?.finish(c, report)
        })
    }
}

/// Accepts no more, flushes for at most `timeout_ms` and gives up the rest, counted as `dropped.shutdown`; what others
/// push to the same gateway stays theirs. Returns as
/// `promwrite_pusher_flush`. `report` may be NULL.
///
/// Errors: `PROMWRITE_ERROR_CLOSED` the second time, also while the first is under way in another thread;
/// `PROMWRITE_ERROR_INVALID` for a negative timeout but `PROMWRITE_FOREVER`, and then nothing was closed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_close(
    pusher: *const promwrite_pusher,
    timeout_ms: i64,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_pusher_close", error, |c| {
            c.handle(pusher, "pusher")?.closing(timeout_ms)?.finish(c, report)
        })
    }
}

/// Starts `promwrite_pusher_flush` and does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_flush_start(
    pusher: *const promwrite_pusher,
    timeout_ms: i64,
    wait: *mut *mut promwrite_wait,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_pusher_flush_start", error, |c| {
            let place = c.place(wait, "wait")?;
            place.give(c.handle(pusher, "pusher")?.flushing(timeout_ms)?);
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Starts `promwrite_pusher_close` and does not wait: from now on nothing is accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_close_start(
    pusher: *const promwrite_pusher,
    timeout_ms: i64,
    wait: *mut *mut promwrite_wait,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_pusher_close_start", error, |c| {
            let place = c.place(wait, "wait")?;
            place.give(c.handle(pusher, "pusher")?.closing(timeout_ms)?);
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Everything counted since the pusher was made, with what others push to its gateway; also after a close.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_stats(
    pusher: *const promwrite_pusher,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_pusher_stats", error, |c| {
            let place = c.place(report, "report")?;
            let stats = c.handle(pusher, "pusher")?.pusher.handler().stats();
            place.give(report::of_stats(&stats));
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Frees a pusher; NULL is fine. It waits for nothing and loses nothing. No other thread may be using the pusher.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_pusher_free(pusher: *mut promwrite_pusher) {
    unsafe { release("promwrite_pusher_free", pusher) }
}
