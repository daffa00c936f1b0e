//! Lines for the caller's log, to be fetched: a library that called back would have to know the caller's threads.

use crate::guard::{handle, query, release};
use crate::text::c_string;
use promwrite_core::sender;
use std::ffi::{CString, c_char};
use std::ptr;

/// Lines for the caller's log. Freed by `promwrite_log_free`.
pub struct promwrite_log {
    lines: Vec<CString>,
}

/// Takes the lines that have come up since the last call, for all senders of this process; NULL when there are none, which costs
/// next to nothing to ask. promwrite itself prints nothing. At most 64 lines are kept for a log that nobody takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_log_take() -> *mut promwrite_log {
    unsafe {
        query("promwrite_log_take", ptr::null_mut(), |_| {
            let lines: Vec<_> = sender::take_log().iter().map(|event| c_string(&event.to_string())).collect();
            (!lines.is_empty()).then(|| handle(promwrite_log { lines }))
        })
    }
}

/// How many lines there are; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_log_lines(log: *const promwrite_log) -> usize {
    unsafe { query("promwrite_log_lines", 0, |c| Some(c.handle(log, "log").ok()?.lines.len())) }
}

/// A line (from 0, oldest first), without a line end. Valid until the log is freed; NULL beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_log_line(log: *const promwrite_log, line: usize) -> *const c_char {
    unsafe {
        query("promwrite_log_line", ptr::null(), |c| {
            Some(c.handle(log, "log").ok()?.lines.get(line)?.as_ptr())
        })
    }
}

/// Frees lines; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_log_free(log: *mut promwrite_log) {
    unsafe { release("promwrite_log_free", log) }
}
