//! Every entry keeps a panic from its caller, and says so.

#![allow(clippy::cmp_null)] // one macro compares results of every type

use crate::error::*;
use crate::{
    encode::*, handler::*, log::*, options::*, process::*, pusher::*, report::*, series::*, wait::*,
    writer::*,
};
use std::cell::Cell;
use std::collections::BTreeSet;
use std::ptr::{null, null_mut};

thread_local! {
    static ARMED: Cell<bool> = const { Cell::new(false) };
    static HIT: Cell<&'static str> = const { Cell::new("") };
}

/// Panics at the next entry where a test asked for it.
pub fn injected(place: &'static str) {
    HIT.set(place);
    if ARMED.replace(false) {
        panic!("injected");
    }
}

const OPTIONS: *mut promwrite_options = null_mut();
const WRITER: *mut promwrite_writer = null_mut();
const SERIES: *mut promwrite_series = null_mut();
const PUSHER: *mut promwrite_pusher = null_mut();
const HANDLER: *mut promwrite_handler = null_mut();
const REPORT: *mut promwrite_report = null_mut();
const WAIT: *mut promwrite_wait = null_mut();
const LOG: *mut promwrite_log = null_mut();

type Error = *mut *mut promwrite_error;
/// Calls an entry with NULL wherever it takes a pointer.
type Failing = (&'static str, fn(Error) -> i32);
type Plain = (&'static str, fn() -> bool);

macro_rules! failing {
    ($($name:ident($($argument:expr),*);)*) => {
        [$((stringify!($name), (|error| unsafe { $name($($argument,)* error) }) as fn(Error) -> i32)),*]
    };
}

/// Entries that return a code.
fn failing() -> Vec<Failing> {
    failing! {
        promwrite_options_set(OPTIONS, null(), 0, null(), 0);
        promwrite_writer_new(null(), 0, OPTIONS, null_mut());
        promwrite_writer_series(WRITER, null(), 0, null(), 0, null_mut());
        promwrite_writer_series_packed(WRITER, null(), 0, null_mut());
        promwrite_writer_append(WRITER, null(), 0, null(), 0, 0.0, 0);
        promwrite_writer_append_packed(WRITER, 1, null(), 0, null_mut());
        promwrite_writer_push_text(WRITER, null(), 0, null(), 0, null(), 0, false, null_mut());
        promwrite_writer_flush(WRITER, 0, null_mut());
        promwrite_writer_close(WRITER, 0, null_mut());
        promwrite_writer_flush_start(WRITER, 0, null_mut());
        promwrite_writer_close_start(WRITER, 0, null_mut());
        promwrite_writer_stats(WRITER, null_mut());
        promwrite_series_describe(SERIES, null(), 0, null(), 0, null(), 0);
        promwrite_series_append(SERIES, 0.0, 0);
        promwrite_series_append_many(SERIES, null(), null(), 0);
        promwrite_pusher_new(null(), 0, null(), 0, null(), 0, OPTIONS, null_mut());
        promwrite_pusher_put(PUSHER, null(), 0, null(), 0);
        promwrite_pusher_post(PUSHER, null(), 0, null(), 0);
        promwrite_pusher_delete(PUSHER);
        promwrite_pusher_flush(PUSHER, 0, null_mut());
        promwrite_pusher_close(PUSHER, 0, null_mut());
        promwrite_pusher_flush_start(PUSHER, 0, null_mut());
        promwrite_pusher_close_start(PUSHER, 0, null_mut());
        promwrite_pusher_stats(PUSHER, null_mut());
        promwrite_handler_new(OPTIONS, null_mut());
        promwrite_handler_push(HANDLER, null(), 0, null(), 0, null(), 0, null(), 0);
        promwrite_handler_flush(HANDLER, 0, null_mut());
        promwrite_handler_close(HANDLER, 0, null_mut());
        promwrite_handler_flush_start(HANDLER, 0, null_mut());
        promwrite_handler_close_start(HANDLER, 0, null_mut());
        promwrite_handler_stats(HANDLER, null_mut());
        promwrite_wait_finish(WAIT, null_mut());
        promwrite_report_get(REPORT, 0, null(), 0, null_mut());
        promwrite_encode(1, null(), 0, null_mut(), 0, null_mut());
        promwrite_flush_start(-2, null_mut());
        promwrite_shutdown_start(-2, null_mut());
        promwrite_flush(-2, null_mut());
        promwrite_shutdown(-2, null_mut());
        promwrite_drain(null(), 0, null(), 0, OPTIONS, 0, null_mut());
        promwrite_drain_start(null(), 0, null(), 0, OPTIONS, 0, null_mut());
        promwrite_stats(null_mut());
    }
    .to_vec()
}

macro_rules! plain {
    ($($name:ident($($argument:expr),*) => $otherwise:expr;)*) => {
        [$((stringify!($name), (|| unsafe { $name($($argument),*) } == $otherwise) as fn() -> bool)),*]
    };
}

/// Entries that return a value, with what they return for NULL and after a panic.
fn plain() -> Vec<Plain> {
    plain! {
        promwrite_error_code(null()) => 0;
        promwrite_error_message(null()) => c"".as_ptr();
        promwrite_error_retryable(null()) => false;
        promwrite_error_free(null_mut()) => ();
        promwrite_options_free(null_mut()) => ();
        promwrite_writer_url(WRITER) => null();
        promwrite_writer_free(null_mut()) => ();
        promwrite_series_free(null_mut()) => ();
        promwrite_pusher_url(PUSHER) => null();
        promwrite_pusher_free(null_mut()) => ();
        promwrite_handler_free(null_mut()) => ();
        promwrite_wait_poll(WAIT, 0) => true;
        promwrite_wait_free(null_mut()) => ();
        promwrite_report_senders(REPORT) => 0;
        promwrite_report_complete(REPORT) => false;
        promwrite_report_url(REPORT, 0) => null();
        promwrite_report_kind(REPORT, 0) => null();
        promwrite_report_counters(REPORT, 0) => 0;
        promwrite_report_counter_name(REPORT, 0, 0) => null();
        promwrite_report_counter_value(REPORT, 0, 0) => 0;
        promwrite_report_failures(REPORT, 0) => 0;
        promwrite_report_failure(REPORT, 0, 0) => null();
        promwrite_report_free(null_mut()) => ();
        promwrite_log_lines(LOG) => 0;
        promwrite_log_line(LOG, 0) => null();
        promwrite_log_free(null_mut()) => ();
    }
    .to_vec()
}

/// Entries that return something of their own making.
fn made() -> Vec<Plain> {
    plain! {
        promwrite_version() => null();
        promwrite_options_new() => null_mut();
        promwrite_log_take() => null_mut();
        promwrite_encode_bound(1) => 0;
    }
    .to_vec()
}

fn message(error: *mut promwrite_error) -> String {
    let text = unsafe { std::ffi::CStr::from_ptr(promwrite_error_message(error)) };
    let text = text.to_str().unwrap().to_owned();
    unsafe { promwrite_error_free(error) };
    text
}

#[test]
fn a_panic_becomes_a_code_at_every_entry() {
    for (name, call) in failing() {
        let mut error = null_mut();
        ARMED.set(true);
        assert_eq!(call(&raw mut error), crate::PROMWRITE_ERROR_INTERNAL, "{name}");
        assert_eq!(HIT.get(), name, "an entry goes by its own name");
        let text = message(error);
        assert!(text.contains(name) && text.contains("injected"), "{text}");
        ARMED.set(true);
        assert_eq!(call(null_mut()), crate::PROMWRITE_ERROR_INTERNAL, "{name} without a place for the error");
    }
    for (name, call) in plain().into_iter().chain(made()) {
        ARMED.set(true);
        assert!(call(), "{name}");
        assert!(!ARMED.get(), "{name} is not guarded");
        assert_eq!(HIT.get(), name, "an entry goes by its own name");
    }
}

#[test]
fn null_is_an_error_and_never_a_crash() {
    for (name, call) in failing() {
        let mut error = null_mut();
        assert_eq!(call(&raw mut error), crate::PROMWRITE_ERROR_INVALID, "{name}");
        assert!(!message(error).is_empty());
        assert_eq!(call(null_mut()), crate::PROMWRITE_ERROR_INVALID, "{name}");
    }
    for (name, call) in plain() {
        assert!(call(), "{name}");
    }
}

#[test]
fn no_entry_is_left_out() {
    let called: BTreeSet<&str> = failing().iter().map(|(name, _)| *name).collect();
    let plain = plain().into_iter().chain(made()).map(|(name, _)| name);
    let called: BTreeSet<&str> = called.into_iter().chain(plain).collect();
    let exported: BTreeSet<&str> = include_str!("../exports").lines().collect();
    assert_eq!(called, exported);
}

#[test]
fn lengths_that_cannot_be_are_refused() {
    let options = unsafe { promwrite_options_new() };
    let text = c"x".as_ptr();
    for len in [usize::MAX, isize::MAX as usize + 1] {
        let mut error = null_mut();
        let code = unsafe { promwrite_options_set(options, text, len, text, 1, &raw mut error) };
        assert_eq!(code, crate::PROMWRITE_ERROR_INVALID);
        assert!(message(error).contains("key"));
    }
    let mut error = null_mut();
    let code = unsafe { promwrite_options_set(options, text, 0, text, usize::MAX, &raw mut error) };
    assert_eq!((code, message(error).contains("value")), (crate::PROMWRITE_ERROR_INVALID, true));
    unsafe { promwrite_options_free(options) };
}

#[test]
fn a_misaligned_array_is_refused() {
    let url = "http://127.0.0.1:9/write";
    let (mut writer, mut series) = (null_mut(), null_mut());
    let memory = [0_u64; 3];
    unsafe {
        promwrite_writer_new(url.as_ptr().cast(), url.len(), OPTIONS, &raw mut writer, null_mut());
        promwrite_writer_series(writer, c"up".as_ptr(), 2, null(), 0, &raw mut series, null_mut());
        let odd = memory.as_ptr().cast::<u8>().add(1);
        let mut error = null_mut();
        let code = promwrite_series_append_many(series, odd.cast(), odd.cast(), 1, &raw mut error);
        assert_eq!(code, crate::PROMWRITE_ERROR_INVALID);
        assert!(message(error).contains("aligned"));
        promwrite_series_free(series);
        promwrite_writer_free(writer);
    }
}
