//! A prometheus_client handler's native half: requests are queued, or sent while the caller waits.

use crate::errors::{OrRaise, guard};
use crate::options::{self, Options};
use crate::process::entered;
use crate::report;
use crate::values::{bytes, wrong_type};
use crate::wait::{SLICE, settle, timeout};
use promwrite_core::config::{Config, Faces, Overflow};
use promwrite_core::pending::source::Headers;
use promwrite_core::pusher::{self, Handed};
use promwrite_core::sys;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyInt, PyString};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How much of an answer's body a waiting caller gets.
const ANSWER: usize = 1 << 20;

type Answer<'py> = (u16, Vec<(String, String)>, Bound<'py, PyBytes>, String);

/// Queues or sends the requests of a push client.
#[pyclass(frozen, module = "promwrite._promwrite")]
pub struct Handler {
    inner: pusher::Handler,
    options: Options,
}

#[pymethods]
impl Handler {
    #[new]
    #[pyo3(signature = (options = None, keywords = None))]
    fn new(
        py: Python<'_>,
        options: Option<&Bound<'_, PyAny>>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        guard(py, "Handler", || {
            let options = options::read(py, options, keywords, Faces::Gateway)?;
            let inner = pusher::Handler::new(options.config.clone()).or_raise(py)?;
            Ok(Handler { inner, options })
        })
    }

    /// Queues a request and returns.
    fn push(
        &self,
        py: Python<'_>,
        url: &str,
        method: &str,
        headers: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        guard(py, "Handler", || {
            entered(py)?;
            let handed = handed(py, url, method, headers, data)?;
            push(py, &self.inner, &self.options.config, handed)
        })
    }

    /// Sends a request and waits for its answer: status, headers, body and the gateway for messages.
    fn call<'py>(
        &self,
        py: Python<'py>,
        url: &str,
        method: &str,
        timeout: Option<f64>,
        headers: &Bound<'_, PyAny>,
        data: &Bound<'_, PyAny>,
    ) -> PyResult<Answer<'py>> {
        guard(py, "Handler", || {
            let handed = handed(py, url, method, headers, data)?;
            let call = Arc::new(self.inner.call(handed, ANSWER).or_raise(py)?);
            // what no duration can hold is no limit
            let timeout = timeout.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
            let (send, mut answer) = sync_channel(1);
            let sending = call.clone();
            // on a thread of its own, because a signal must be able to end the wait
            sys::spawn("promwrite-call", move || {
                let _ = send.send(sending.send(timeout));
            })?;
            loop {
                let received;
                (answer, received) = py.detach(move || {
                    let received = answer.recv_timeout(SLICE);
                    (answer, received)
                });
                match received {
                    Ok(result) => {
                        let response = result.or_raise(py)?;
                        let body = PyBytes::new(py, &response.body);
                        return Ok((response.status, response.headers, body, call.url()));
                    }
                    Err(RecvTimeoutError::Timeout) => py.check_signals().inspect_err(|_| call.cancel())?,
                    Err(RecvTimeoutError::Disconnected) => {
                        let (place, message) = ("a blocking call".into(), "its thread ended".into());
                        return Err(promwrite_core::error::Error::Internal { place, message }).or_raise(py);
                    }
                }
            }
        })
    }

    /// Flushes; one report a gateway.
    fn flush(&self, py: Python<'_>, timeout: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        guard(py, "Handler.flush", || {
            settle(py, &self.inner.start_flush(self::timeout(timeout)?))?;
            self.inner.report().iter().map(|r| report::report(py, r)).collect()
        })
    }

    /// Accepts no more and flushes; one report a gateway.
    fn close(&self, py: Python<'_>, timeout: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        guard(py, "Handler.close", || {
            settle(py, &self.inner.start_close(self::timeout(timeout)?))?;
            let reports = py.detach(|| self.inner.finish_close());
            reports.iter().map(|r| report::report(py, r)).collect()
        })
    }

    /// Everything counted; one entry a gateway.
    fn stats(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        guard(py, "Handler.stats", || self.inner.stats().iter().map(|s| report::stats(py, s)).collect())
    }

    /// The options, to make an equal handler in another process; refused if one is a literal secret.
    fn portable_options(&self, py: Python<'_>) -> PyResult<Vec<(String, String)>> {
        guard(py, "Handler", || self.options.portable(py, ""))
    }
}

/// Queues without the GIL only where the queue may make its caller wait: giving it up costs more than the push.
pub fn push(py: Python<'_>, handler: &pusher::Handler, config: &Config, handed: Handed<'_>) -> PyResult<()> {
    let result = match config.overflow {
        Overflow::Block => py.detach(|| handler.push(handed)),
        _ => handler.push(handed),
    };
    result.or_raise(py)
}

fn handed<'a>(
    py: Python<'_>,
    url: &'a str,
    method: &str,
    headers: &Bound<'_, PyAny>,
    data: &Bound<'_, PyAny>,
) -> PyResult<Handed<'a>> {
    let method = pusher::method(method).or_raise(py)?;
    Ok(Handed { url, method, headers: pairs(headers)?, body: bytes("data", data)?.into_owned() })
}

/// Headers as prometheus_client has them: tuples or lists of name and value; a value may be bytes or a number.
fn pairs(headers: &Bound<'_, PyAny>) -> PyResult<Headers> {
    let mut pairs: Vec<(String, String)> = Vec::new();
    for item in headers.try_iter()? {
        let item = item?;
        let both = (item.get_item(0), item.get_item(1), item.len());
        let (Ok(name), Ok(value), Ok(2)) = both else {
            return Err(wrong_type("headers", "a list of (name, value)", &item));
        };
        let (name, value) = (header_text(&name)?, header_text(&value)?);
        // the last one wins, whatever its case
        pairs.retain(|(have, _)| !have.eq_ignore_ascii_case(&name));
        pairs.push((name, value));
    }
    Ok(Headers(pairs))
}

fn header_text(part: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(text) = part.cast::<PyString>() {
        return Ok(text.to_str()?.to_owned());
    }
    if let Ok(bytes) = part.cast::<PyBytes>() {
        // a header is ISO 8859-1
        return Ok(bytes.as_bytes().iter().map(|b| char::from(*b)).collect());
    }
    if part.is_instance_of::<PyInt>() {
        return part.str()?.extract();
    }
    Err(wrong_type("header", "a str, bytes or an int", part))
}
