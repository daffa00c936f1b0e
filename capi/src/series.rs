//! A prepared series: the fast path.

use crate::error::promwrite_error;
use crate::guard::{entry, release, timestamp};
use promwrite_core::error::{Error, Result};
use promwrite_core::input::exposition::MetricType;
use promwrite_core::input::series::Meta;
use promwrite_core::writer::Series;
use std::ffi::c_char;

/// A prepared label set of a writer. For use by any number of threads; valid in forked children.
pub struct promwrite_series {
    series: Series,
}

impl promwrite_series {
    pub(crate) fn new(series: Series) -> Self {
        promwrite_series { series }
    }
}

/// Tells the receiver the metric's type (`counter`, `gauge`, `histogram`, `gaugehistogram`, `summary`, `info`, `stateset`, `unknown`; empty
/// means unknown), help and unit (both may be empty), once a minute (option `metadata_config.send_interval`) and at once when they change.
///
/// Errors: `PROMWRITE_ERROR_INVALID` for another type; `PROMWRITE_ERROR_CLOSED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_series_describe(
    series: *const promwrite_series,
    r#type: *const c_char,
    type_len: usize,
    help: *const c_char,
    help_len: usize,
    unit: *const c_char,
    unit_len: usize,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_series_describe", error, |c| {
            let series = &c.handle(series, "series")?.series;
            let kind = match c.text(r#type, type_len, "type")? {
                "" => MetricType::Unknown,
                name => name.parse()?,
            };
            let help = c.text(help, help_len, "help")?.into();
            series.describe(Meta { kind, help, unit: c.text(unit, unit_len, "unit")?.into() })?;
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Records `value` at `timestamp_ms`, milliseconds since 1970 UTC, or at `PROMWRITE_NOW`. For a counter the value is the total so far, as
/// a scrape at that time would see it, not an increment. Of two values of a series in one millisecond the later is kept.
///
/// It takes a short lock and no memory, and makes no system call, whatever the receiver is doing; only `queue_config.overflow = block` waits.
///
/// Errors: `PROMWRITE_ERROR_INVALID_TIMESTAMP`; `PROMWRITE_ERROR_QUEUE_FULL` with the overflow policies `error` and `block`;
/// `PROMWRITE_ERROR_CLOSED`; `PROMWRITE_ERROR_SENDER_FAILED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_series_append(
    series: *const promwrite_series,
    value: f64,
    timestamp_ms: i64,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_series_append", error, |c| {
            let series = &c.handle(series, "series")?.series;
            match timestamp(timestamp_ms) {
                None => series.append(value)?,
                Some(at) => series.append_at(value, at)?,
            }
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Records `count` values with their timestamps, two arrays of that length; `PROMWRITE_NOW` is not allowed here.
///
/// Errors: `PROMWRITE_ERROR_INVALID_TIMESTAMP`, and then nothing was accepted; otherwise as `promwrite_series_append`, where the samples
/// before the first that did not fit were accepted.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_series_append_many(
    series: *const promwrite_series,
    values: *const f64,
    timestamps_ms: *const i64,
    count: usize,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_series_append_many", error, |c| {
            let series = &c.handle(series, "series")?.series;
            let values = c.slice(values, count, "values")?;
            let timestamps = c.slice(timestamps_ms, count, "timestamps_ms")?;
            refuse_now(timestamps)?;
            series.extend(values, timestamps)?;
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// Several values of one series at one time would be one sample, which cannot be meant.
fn refuse_now(timestamps_ms: &[i64]) -> Result<()> {
    match timestamps_ms.contains(&crate::PROMWRITE_NOW) {
        true => Err(Error::invalid(
            "timestamps_ms",
            "PROMWRITE_NOW",
            "must be a time, because each sample needs its own",
        )),
        false => Ok(()),
    }
}

/// Frees a series; NULL is fine. Its samples are still sent.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_series_free(series: *mut promwrite_series) {
    unsafe { release("promwrite_series_free", series) }
}
