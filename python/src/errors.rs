//! The one place where errors of the core become Python's, and panics become errors.

use promwrite_core::error::{Error, SendErrorKind};
use pyo3::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// A result of the core as Python sees it.
pub trait OrRaise<T> {
    /// The value, or the exception that the error maps to.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for Result<T, Error> {
    #[inline]
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| exception(py, &error))
    }
}

/// The exception for `error`, an instance of a class of `promwrite._errors`.
#[cold]
pub fn exception(py: Python<'_>, error: &Error) -> PyErr {
    make(py, error).unwrap_or_else(|failed| failed)
}

fn make(py: Python<'_>, error: &Error) -> PyResult<PyErr> {
    let class = match error {
        Error::UnknownOption { .. } => "OptionError",
        Error::Invalid { .. } => "InvalidError",
        Error::InvalidTimestamp { .. } => "TimestampError",
        Error::Exposition { .. } => "ExpositionError",
        Error::TooLarge { .. } => "TooLargeError",
        Error::QueueFull { .. } => "QueueFullError",
        Error::Closed { .. } => "ClosedError",
        Error::Send { .. } | Error::Status { .. } => "SendError",
        // SenderFailed and Internal are bugs in promwrite, and so is a variant that is not mapped
        _ => "InternalError",
    };
    // looked up each time and not kept, because a Python object in a static would outlive its interpreter
    let made = py.import("promwrite._errors")?.getattr(class)?.call1((error.to_string(),))?;
    made.setattr("retryable", error.retryable())?;
    match error {
        Error::Exposition { line, column, .. } => {
            made.setattr("line", *line)?;
            made.setattr("column", *column)?;
        }
        Error::Send { kind, message, .. } => {
            made.setattr("kind", kind_name(*kind))?;
            made.setattr("reason", message)?;
        }
        _ => {}
    }
    Ok(PyErr::from_value(made))
}

fn kind_name(kind: SendErrorKind) -> &'static str {
    match kind {
        SendErrorKind::Dns => "dns",
        SendErrorKind::Refused => "refused",
        SendErrorKind::Unreachable => "unreachable",
        SendErrorKind::Connect => "connect",
        SendErrorKind::Tls => "tls",
        SendErrorKind::Timeout => "timeout",
        SendErrorKind::Disconnected => "disconnected",
        SendErrorKind::Proxy => "proxy",
        SendErrorKind::Cancelled => "cancelled",
        _ => "protocol",
    }
}

/// An `InvalidError` that names field, value and rule.
pub fn invalid(py: Python<'_>, field: &'static str, value: &str, rule: &'static str) -> PyErr {
    exception(py, &Error::invalid(field, value, rule))
}

/// Runs the body of a call. A panic becomes an `InternalError`, because PyO3's own `PanicException` is no `Exception`
/// and would end the host's worker process.
#[inline]
pub fn guard<T>(py: Python<'_>, place: &'static str, run: impl FnOnce() -> PyResult<T>) -> PyResult<T> {
    match catch_unwind(AssertUnwindSafe(run)) {
        Ok(result) => result,
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
            Err(exception(py, &Error::Internal { place: place.into(), message: text }))
        }
    }
}
