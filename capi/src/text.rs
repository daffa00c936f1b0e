//! Texts that C reads.

use std::ffi::CString;

/// `text` with a NUL behind it. A NUL inside is written as `\0`, or C would see only what stands before it.
pub fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "\\0")).unwrap_or_default()
}
