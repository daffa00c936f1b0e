//! Waiting without the GIL, in slices, so that Ctrl-C and other signals are handled within a slice.

use crate::errors::{OrRaise, guard, invalid};
use crate::{options, report};
use promwrite_core::config::Faces;
use promwrite_core::sender::{self, Flush};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long a wait may go on without a look at signals.
pub const SLICE: Duration = Duration::from_millis(50);

/// Waits until `flush` has nothing more to wait for. A signal handler that raises ends the wait; what is pending stays.
pub fn settle(py: Python<'_>, flush: &Flush) -> PyResult<()> {
    while !py.detach(|| flush.wait(SLICE)) {
        py.check_signals()?;
    }
    Ok(())
}

/// A timeout in seconds; `None` means no limit.
pub fn timeout(value: &Bound<'_, PyAny>) -> PyResult<Duration> {
    if value.is_none() {
        return Ok(Duration::MAX);
    }
    if value.is_instance_of::<PyString>() {
        return Err(PyTypeError::new_err("timeout: must be a number of seconds or None, not str"));
    }
    let seconds: f64 = value.extract()?;
    if seconds.is_nan() || seconds < 0.0 {
        let rule = "must be seconds, not negative; None means no limit";
        return Err(invalid(value.py(), "timeout", &seconds.to_string(), rule));
    }
    // what is longer than a duration can be is for ever
    Ok(Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX))
}

/// Flushes every sender of this process; one report a sender.
#[pyfunction]
pub fn flush(py: Python<'_>, timeout: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
    guard(py, "flush", || {
        settle(py, &sender::start_flush_all(self::timeout(timeout)?))?;
        sender::report_all().iter().map(|r| report::report(py, r)).collect()
    })
}

/// Sends what processes which ended left in a directory for `url`; one report. Files of processes that live are left to them.
#[pyfunction]
#[pyo3(signature = (directory, url, timeout, options=None, keywords=None))]
pub fn drain(
    py: Python<'_>,
    directory: PathBuf,
    url: &str,
    timeout: &Bound<'_, PyAny>,
    options: Option<&Bound<'_, PyAny>>,
    keywords: Option<&Bound<'_, PyDict>>,
) -> PyResult<Vec<Py<PyAny>>> {
    guard(py, "drain", || {
        let timeout = self::timeout(timeout)?;
        let options = options::read(py, options, keywords, Faces::Writer)?;
        let flush = sender::start_drain(&directory, url, options.config, timeout).or_raise(py)?;
        let settled = settle(py, &flush);
        // a signal too ends the drain, not only the wait for it
        let reports = py.detach(|| sender::finish_drain(&flush));
        settled?;
        reports.iter().map(|r| report::report(py, r)).collect()
    })
}

/// The end of the process: waits for what may still be delivered, then gives up the rest.
#[pyclass(frozen, module = "promwrite._promwrite")]
pub struct Exit {
    inner: Mutex<Option<sender::Exit>>,
}

#[pymethods]
impl Exit {
    #[new]
    fn new(py: Python<'_>) -> PyResult<Self> {
        guard(py, "Exit", || Ok(Exit { inner: Mutex::new(Some(sender::Exit::start())) }))
    }

    /// Waits as long as waiting can help.
    fn wait(&self, py: Python<'_>) -> PyResult<()> {
        guard(py, "Exit.wait", || {
            let step = || match &*self.inner.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(exit) => exit.wait(SLICE),
                None => true,
            };
            while !py.detach(step) {
                py.check_signals()?;
            }
            Ok(())
        })
    }

    /// Gives up what is left; one report a sender.
    fn finish(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        guard(py, "Exit.finish", || {
            let exit = self.inner.lock().unwrap_or_else(PoisonError::into_inner).take();
            let reports = py.detach(|| exit.map(sender::Exit::finish)).unwrap_or_default();
            reports.iter().map(|r| report::report(py, r)).collect()
        })
    }
}
