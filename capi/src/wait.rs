//! Waiting for a flush or a close: in one piece, or in steps for callers that must not block a thread.

use crate::error::promwrite_error;
use crate::guard::{Caller, entry, query, release};
use crate::report::{self, promwrite_report};
use promwrite_core::error::{Error, Result};
use promwrite_core::sender::{Flush, Report};
use promwrite_core::sys;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A flush or a close under way, made by a `_start`. Freed by `promwrite_wait_free`. It belongs to the process that made it: in a
/// forked child there is nothing to wait for.
pub struct promwrite_wait {
    generation: u32,
    flush: Option<Flush>,
    end: Mutex<Option<End>>,
}

impl Drop for promwrite_wait {
    fn drop(&mut self) {
        if !self.is_ours() {
            // dropping it could lock or close what the parent still uses
            std::mem::forget(self.flush.take());
        }
    }
}

type End = Box<dyn FnOnce(&Flush) -> Vec<Report> + Send>;

impl promwrite_wait {
    /// `end` says what was achieved, after giving up what has to be given up.
    pub(crate) fn new(flush: Flush, end: impl FnOnce(&Flush) -> Vec<Report> + Send + 'static) -> Self {
        let (generation, flush) = (sys::generation(), Some(flush));
        promwrite_wait { generation, flush, end: Mutex::new(Some(Box::new(end))) }
    }

    fn is_ours(&self) -> bool {
        self.generation == sys::generation()
    }

    /// The flush, in the process that started it.
    fn flush(&self) -> Option<&Flush> {
        self.flush.as_ref().filter(|_| self.is_ours())
    }

    /// Waits to the end in this thread.
    pub(crate) fn finish(&self, caller: &Caller, report: *mut *mut promwrite_report) -> Result<i32> {
        if let Some(flush) = self.flush() {
            flush.finish();
        }
        self.end(caller, report)
    }

    fn end(&self, caller: &Caller, report: *mut *mut promwrite_report) -> Result<i32> {
        let rule = "must be of this process, not of its parent";
        let flush = self.flush().ok_or_else(|| Error::invalid("wait", "of another process", rule))?;
        let end = self.end.lock().unwrap_or_else(PoisonError::into_inner).take();
        let end = end.ok_or(Error::Closed { what: "wait" })?;
        Ok(report::give(caller, &end(flush), report))
    }
}

/// Waits at most `slice_ms` (0 or less: not at all) and says whether there is nothing more to wait for: everything is settled,
/// or the timeout of the start has passed. True for NULL and in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_wait_poll(wait: *const promwrite_wait, slice_ms: i64) -> bool {
    unsafe {
        query("promwrite_wait_poll", true, |c| {
            let slice = Duration::from_millis(u64::try_from(slice_ms).unwrap_or(0));
            let wait = c.handle(wait, "wait").ok()?;
            Some(wait.flush().is_none_or(|flush| flush.wait(slice)))
        })
    }
}

/// Ends the wait, whatever `promwrite_wait_poll` last said, and returns what the call that waits in one piece would have
/// returned; after a close or a shutdown what is still pending is given up. `report` may be NULL.
///
/// Errors: `PROMWRITE_ERROR_CLOSED` the second time; `PROMWRITE_ERROR_INVALID` in a forked child.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_wait_finish(
    wait: *const promwrite_wait,
    report: *mut *mut promwrite_report,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe { entry("promwrite_wait_finish", error, |c| c.handle(wait, "wait")?.end(c, report)) }
}

/// Frees a wait; NULL is fine. One that was not finished is abandoned: what is pending stays so, and a close has stopped new
/// samples.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_wait_free(wait: *mut promwrite_wait) {
    unsafe { release("promwrite_wait_free", wait) }
}
