//! Every sender of the process at once.

use crate::error::promwrite_error;
use crate::guard::{Caller, entry, promwrite_str, timeout};
use crate::options::{config, promwrite_options};
use crate::report::{self, promwrite_report};
use crate::wait::promwrite_wait;
use promwrite_core::config::Faces;
use promwrite_core::error::Result;
use promwrite_core::sender;
use std::ffi::c_char;
use std::path::Path;

fn flushing(timeout_ms: i64) -> Result<promwrite_wait> {
    Ok(promwrite_wait::new(sender::start_flush_all(timeout(timeout_ms)?), |_| sender::report_all()))
}

fn closing(timeout_ms: i64) -> Result<promwrite_wait> {
    Ok(promwrite_wait::new(sender::start_close_all(timeout(timeout_ms)?), sender::finish_close_all))
}

/// Flushes every sender of this process; all share the timeout. As `promwrite_writer_flush` otherwise.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_flush(
    timeout_ms: i64,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe { entry("promwrite_flush", error, |c| flushing(timeout_ms)?.finish(c, report)) }
}

/// Closes every sender of this process: no more is accepted, what is pending is flushed for at most the timeout, all together,
/// and the rest is given up and counted as `dropped.shutdown`. For what ends without running exit handlers; `exit` and a return
/// from `main` flush by themselves. The report counts since the last report of whatever kind.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_shutdown(
    timeout_ms: i64,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe { entry("promwrite_shutdown", error, |c| closing(timeout_ms)?.finish(c, report)) }
}

/// Starts `promwrite_flush` and does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_flush_start(
    timeout_ms: i64,
    wait: *mut *mut promwrite_wait,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_flush_start", error, |c| {
            let place = c.place(wait, "wait")?;
            place.give(flushing(timeout_ms)?);
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Starts `promwrite_shutdown` and does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_shutdown_start(
    timeout_ms: i64,
    wait: *mut *mut promwrite_wait,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_shutdown_start", error, |c| {
            let place = c.place(wait, "wait")?;
            place.give(closing(timeout_ms)?);
            Ok(crate::PROMWRITE_OK)
        })
    }
}

fn draining(
    c: &Caller,
    directory: promwrite_str,
    url: promwrite_str,
    options: *const promwrite_options,
    timeout_ms: i64,
) -> Result<promwrite_wait> {
    let timeout = timeout(timeout_ms)?;
    let config = config(c, options, Faces::Writer)?;
    let directory = Path::new(c.text(directory.data, directory.len, "spool_dir")?);
    let flush = sender::start_drain(directory, c.text(url.data, url.len, "url")?, config, timeout)?;
    Ok(promwrite_wait::new(flush, sender::finish_drain))
}

/// Sends everything in the directory `spool_dir` that processes which ended left there for the remote-write URL `url` (option
/// spool_dir), for at most the timeout, without a writer. `options` may be NULL; credentials come with them, since the directory
/// holds none. Files of processes that live are left to them, and what was not sent stays for the next call
/// and counts as `pending`.
///
/// The report counts what was taken as `adopted`. Errors: `PROMWRITE_ERROR_INVALID` for a directory that does not exist or that
/// others can change, and as `promwrite_writer_new`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_drain(
    spool_dir: *const c_char,
    spool_dir_len: usize,
    url: *const c_char,
    url_len: usize,
    options: *const promwrite_options,
    timeout_ms: i64,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_drain", error, |c| {
            let spool_dir = promwrite_str { data: spool_dir, len: spool_dir_len };
            let url = promwrite_str { data: url, len: url_len };
            draining(c, spool_dir, url, options, timeout_ms)?.finish(c, report)
        })
    }
}

/// Starts `promwrite_drain` and does not wait.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_drain_start(
    spool_dir: *const c_char,
    spool_dir_len: usize,
    url: *const c_char,
    url_len: usize,
    options: *const promwrite_options,
    timeout_ms: i64,
    wait: *mut *mut promwrite_wait,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_drain_start", error, |c| {
            let place = c.place(wait, "wait")?;
            let spool_dir = promwrite_str { data: spool_dir, len: spool_dir_len };
            let url = promwrite_str { data: url, len: url_len };
            place.give(draining(c, spool_dir, url, options, timeout_ms)?);
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Everything that every sender of this process has counted since it was made.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_stats(
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_stats", error, |c| {
            let place = c.place(report, "report")?;
            let stats: Vec<_> = sender::all().iter().map(|sender| sender.stats()).collect();
            place.give(report::of_stats(&stats));
            Ok(crate::PROMWRITE_OK)
        })
    }
}
