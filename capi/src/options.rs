//! Options: keys and values of the one option table.

use crate::error::promwrite_error;
use crate::guard::{Caller, entry, handle, query, release};
use promwrite_core::config::{Config, Faces, check_face};
use promwrite_core::error::Result;
use std::ffi::c_char;
use std::ptr;

/// Options for new writers, pushers and handlers, which copy them. Not for use by two threads at once.
pub struct promwrite_options {
    keys: Vec<String>,
    config: Config,
}

/// Options with the defaults of the option table. Freed by `promwrite_options_free`; NULL only when memory is gone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_options_new() -> *mut promwrite_options {
    unsafe {
        query("promwrite_options_new", ptr::null_mut(), |_| {
            Some(handle(promwrite_options { keys: Vec::new(), config: Config::default() }))
        })
    }
}

/// Sets one option, `PROMWRITE_OPTION_…` to a value as text: a duration is a number of seconds or `500ms`, `30s`, `1h30m`; a size
/// is a number of bytes or `1MB`, `64MiB`. The last value of a key holds.
///
/// Errors: `PROMWRITE_ERROR_UNKNOWN_OPTION`, naming the nearest key; `PROMWRITE_ERROR_INVALID` for a value outside its type or
/// range (a secret is shown as `***`). Options that contradict each other are refused by the `_new` they are given to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_options_set(
    options: *mut promwrite_options,
    key: *const c_char,
    key_len: usize,
    value: *const c_char,
    value_len: usize,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_options_set", error, |c| {
            let options = c.own(options, "options")?;
            let key = c.text(key, key_len, "key")?;
            options.config.set(key, c.text(value, value_len, "value")?)?;
            options.keys.push(key.to_owned());
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Frees options; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_options_free(options: *mut promwrite_options) {
    unsafe { release("promwrite_options_free", options) }
}

/// The options that a face is made with; NULL means the defaults.
pub fn config(caller: &Caller, options: *const promwrite_options, face: Faces) -> Result<Config> {
    if options.is_null() {
        return Ok(Config::default());
    }
    let options = caller.handle(options, "options")?;
    options.keys.iter().try_for_each(|key| check_face(key, face))?;
    Ok(options.config.clone())
}
