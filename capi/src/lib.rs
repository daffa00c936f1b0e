//! The C ABI of promwrite: opaque handles and plain functions, documented where C programmers read, in
//! `include/promwrite/promwrite.h`, which is made from this crate.
//!
//! Every function converts its arguments, calls `promwrite_core` and maps the outcome; [`guard`] holds every pointer
//! cast and catches every panic.

#![allow(non_camel_case_types)] // the types' names are those of C

mod encode;
mod error;
mod guard;
#[cfg(test)]
mod guard_tests;
mod handler;
mod log;
mod options;
mod process;
mod pusher;
mod report;
mod series;
mod text;
mod wait;
mod writer;

/// Success.
pub const PROMWRITE_OK: i32 = 0;
/// A flush or a close has ended, and something is pending, was rejected or was dropped: the report says what.
pub const PROMWRITE_INCOMPLETE: i32 = 1;
/// An argument breaks a rule, NULL among them. The message names the argument, the value and the rule.
pub const PROMWRITE_ERROR_INVALID: i32 = -1;
/// No option has this key. The message names the nearest one.
pub const PROMWRITE_ERROR_UNKNOWN_OPTION: i32 = -2;
/// A timestamp before 2001 or more than ten minutes ahead.
pub const PROMWRITE_ERROR_INVALID_TIMESTAMP: i32 = -3;
/// A text page breaks the exposition format. The message names line and column.
pub const PROMWRITE_ERROR_EXPOSITION: i32 = -4;
/// An item is larger than any request may be.
pub const PROMWRITE_ERROR_TOO_LARGE: i32 = -5;
/// The queue is full and its policy is to say so (`queue_config.overflow`).
pub const PROMWRITE_ERROR_QUEUE_FULL: i32 = -6;
/// The object was closed before.
pub const PROMWRITE_ERROR_CLOSED: i32 = -7;
/// The sending thread failed three times within a minute; a bug in promwrite.
pub const PROMWRITE_ERROR_SENDER_FAILED: i32 = -8;
/// A request got no answer. No function returns it today, because none waits for an answer.
pub const PROMWRITE_ERROR_SEND: i32 = -9;
/// A request was answered with another status than 2xx. No function returns it today.
pub const PROMWRITE_ERROR_STATUS: i32 = -10;
/// A panic inside promwrite was caught; a bug in promwrite.
pub const PROMWRITE_ERROR_INTERNAL: i32 = -11;

/// As a timestamp: the time of the call.
pub const PROMWRITE_NOW: i64 = i64::MIN;
/// As a timeout: no limit. Any other negative timeout is refused.
pub const PROMWRITE_FOREVER: i64 = -1;
/// The layout of packed samples: an uncompressed `prometheus.WriteRequest` of remote write 1.0.
pub const PROMWRITE_PACKED_WRITE_REQUEST: u32 = 1;
/// The same, where the caller answers for it that the message is well-formed and the labels of each series stand sorted by name as
/// bytes: `promwrite_encode` then compresses it without looking.
pub const PROMWRITE_PACKED_SORTED_REQUEST: u32 = 2;
