//! Every sender of the process at once.

use crate::error::promwrite_error;
use crate::guard::{entry, timeout};
use crate::report::{self, promwrite_report};
use crate::wait::promwrite_wait;
use promwrite_core::error::Result;
use promwrite_core::sender;

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
