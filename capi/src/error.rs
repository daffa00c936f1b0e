//! What went wrong, as an object of its own: no thread-local "last error", because a caller may move between threads.

use crate::guard::{query, release};
use crate::text::c_string;
use promwrite_core::error::Error;
use std::ffi::{CString, c_char};
use std::ptr;

/// What went wrong. Made by a call that failed and was given a place for it; freed by `promwrite_error_free`.
pub struct promwrite_error {
    code: i32,
    retryable: bool,
    message: CString,
}

impl promwrite_error {
    pub(crate) fn new(error: &Error) -> Self {
        promwrite_error {
            code: error.code(),
            retryable: error.retryable(),
            message: c_string(&error.to_string()),
        }
    }
}

/// The code that the call returned: one of `PROMWRITE_ERROR_…`, or `PROMWRITE_OK` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_error_code(error: *const promwrite_error) -> i32 {
    unsafe {
        query("promwrite_error_code", crate::PROMWRITE_OK, |c| Some(c.handle(error, "error").ok()?.code))
    }
}

/// The message: what was refused, the value and the rule. It ends in NUL, never holds a secret, and is valid until the
/// error is freed; empty for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_error_message(error: *const promwrite_error) -> *const c_char {
    unsafe {
        query("promwrite_error_message", c"".as_ptr(), |c| {
            Some(c.handle(error, "error").ok()?.message.as_ptr())
        })
    }
}

/// Whether the same call can succeed later without a change by the caller; false for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_error_retryable(error: *const promwrite_error) -> bool {
    unsafe { query("promwrite_error_retryable", false, |c| Some(c.handle(error, "error").ok()?.retryable)) }
}

/// Frees an error; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_error_free(error: *mut promwrite_error) {
    unsafe { release("promwrite_error_free", error) }
}

/// The version of the library that is running, as `PROMWRITE_VERSION` is that of the header. It ends in NUL and is never
/// freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_version() -> *const c_char {
    const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), "\0");
    unsafe { query("promwrite_version", ptr::null(), |_| Some(VERSION.as_ptr().cast())) }
}
