//! What Python sees of a ledger: dictionaries, of which the package makes its `Report`.

use crate::errors::guard;
use promwrite_core::ledger::{Dropped, Ledger, Rejected};
use promwrite_core::sender::{self, Kind, Report, Stats};
use pyo3::prelude::*;
use pyo3::types::PyDict;

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Samples => "samples",
        Kind::Pushes => "pushes",
    }
}

fn counts<'py>(py: Python<'py>, ledger: &Ledger, all: bool) -> PyResult<[Bound<'py, PyDict>; 2]> {
    let (rejected, dropped) = (PyDict::new(py), PyDict::new(py));
    for (why, count) in Rejected::ALL.iter().zip(ledger.rejected) {
        if all || count > 0 {
            rejected.set_item(why.name(), count)?;
        }
    }
    for (why, count) in Dropped::ALL.iter().zip(ledger.dropped) {
        if all || count > 0 {
            dropped.set_item(why.name(), count)?;
        }
    }
    Ok([rejected, dropped])
}

fn ledger<'py>(py: Python<'py>, ledger: &Ledger, all: bool) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("accepted", ledger.accepted)?;
    dict.set_item("adopted", ledger.adopted)?;
    dict.set_item("delivered", ledger.delivered)?;
    dict.set_item("superseded", ledger.superseded)?;
    dict.set_item("spooled", ledger.spooled)?;
    let [rejected, dropped] = counts(py, ledger, all)?;
    dict.set_item("rejected", rejected)?;
    dict.set_item("dropped", dropped)?;
    Ok(dict)
}

/// A report as the keyword arguments of the package's `Report`; only reasons that occurred are named.
pub fn report(py: Python<'_>, report: &Report) -> PyResult<Py<PyAny>> {
    let dict = ledger(py, &report.ledger, false)?;
    dict.set_item("url", &report.url)?;
    dict.set_item("kind", kind(report.kind))?;
    dict.set_item("pending", report.pending)?;
    let failures: Vec<String> = report.failures.iter().map(ToString::to_string).collect();
    dict.set_item("failures", failures)?;
    Ok(dict.into_any().unbind())
}

/// Everything counted; all reasons are named.
pub fn stats(py: Python<'_>, stats: &Stats) -> PyResult<Py<PyAny>> {
    let dict = ledger(py, &stats.balance.ledger, true)?;
    dict.set_item("url", &stats.url)?;
    dict.set_item("kind", kind(stats.kind))?;
    dict.set_item("pending", stats.balance.pending)?;
    dict.set_item("pending_bytes", stats.balance.pending_bytes)?;
    dict.set_item("oldest_pending_age", stats.oldest_pending_age.map(|age| age.as_secs_f64()))?;
    dict.set_item("failed", stats.failed)?;
    let requests = PyDict::new(py);
    requests.set_item("succeeded", stats.requests.succeeded)?;
    requests.set_item("failed", stats.requests.failed)?;
    requests.set_item("retried_items", stats.requests.retried)?;
    requests.set_item("bytes", stats.requests.bytes)?;
    requests.set_item("worker_start_failed", stats.requests.worker_start_failed)?;
    dict.set_item("requests", requests)?;
    let failures: Vec<String> = stats.failures.iter().map(ToString::to_string).collect();
    dict.set_item("failures", failures)?;
    Ok(dict.into_any().unbind())
}

/// Everything counted, one entry for each sender of this process.
#[pyfunction(name = "stats")]
pub fn stats_all(py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
    guard(py, "stats", || sender::all().iter().map(|s| stats(py, &s.stats())).collect())
}

/// Whether `take_log` has something.
#[pyfunction]
pub fn has_log() -> bool {
    sender::has_log()
}

/// Takes the lines for the log that came up since the last call.
#[pyfunction]
pub fn take_log(py: Python<'_>) -> PyResult<Vec<String>> {
    guard(py, "take_log", || Ok(sender::take_log().iter().map(ToString::to_string).collect()))
}
