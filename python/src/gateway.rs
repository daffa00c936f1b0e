//! The Pusher: one group of a gateway; and the URLs of groups for the functions that prometheus_client has.

use crate::errors::{OrRaise, guard};
use crate::options::{self, Options};
use crate::process::entered;
use crate::values::{Pairs, TEXT, bytes, grouping_key};
use crate::wait::{settle, timeout};
use crate::{render, report};
use promwrite_core::config::{Faces, Overflow};
use promwrite_core::error::Result;
use promwrite_core::input::group::{Group, gateway_url, parse_path};
use promwrite_core::pusher;
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The URL of a push: `gateway`, then the path of the group.
#[pyfunction]
#[pyo3(signature = (gateway, job, grouping_key = None))]
pub fn push_url(
    py: Python<'_>,
    gateway: &str,
    job: &str,
    grouping_key: Option<&Bound<'_, PyAny>>,
) -> PyResult<String> {
    guard(py, "push", || {
        let group = Group::new(job, self::grouping_key(grouping_key)?).or_raise(py)?;
        Ok(gateway_url(gateway).or_raise(py)? + &group.path())
    })
}

/// The labels that the URL of a push stands for, the job among them.
#[pyfunction]
pub fn grouping_labels(py: Python<'_>, url: &str) -> PyResult<Pairs> {
    guard(py, "grouping_labels", || {
        let path = url.split_once("://").map_or(url, |(_, rest)| rest);
        let path = path.find('/').map_or("", |at| &path[at..]);
        let (_, group) = parse_path(path).or_raise(py)?;
        let mut labels = vec![("job".to_owned(), group.job().to_owned())];
        labels.extend(group.pairs().map(|(n, v)| (n.to_owned(), v.to_owned())));
        Ok(labels)
    })
}

/// Pushes the state of one group.
#[pyclass(frozen, module = "promwrite._promwrite")]
pub struct Pusher {
    inner: pusher::Pusher,
    options: Options,
    gateway: String,
    job: String,
    grouping_key: Pairs,
}

/// What makes an equal pusher: gateway, job, grouping key, options.
type Arguments = (String, String, Vec<(String, String)>, Vec<(String, String)>);

#[pymethods]
impl Pusher {
    #[new]
    #[pyo3(signature = (gateway, job, grouping_key = None, options = None, keywords = None))]
    fn new(
        py: Python<'_>,
        gateway: String,
        job: String,
        grouping_key: Option<&Bound<'_, PyAny>>,
        options: Option<&Bound<'_, PyAny>>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        guard(py, "Pusher", || {
            entered(py)?;
            let grouping_key = self::grouping_key(grouping_key)?;
            let options = options::read(py, options, keywords, Faces::Gateway)?;
            let pairs = grouping_key.iter().cloned();
            let inner = pusher::Pusher::new(&gateway, &job, pairs, options.config.clone()).or_raise(py)?;
            Ok(Pusher { inner, options, gateway, job, grouping_key })
        })
    }

    /// The group's URL, without user and password.
    #[getter]
    fn url(&self) -> &str {
        self.inner.url()
    }

    /// Replaces the group by what `registry` has.
    fn push(&self, py: Python<'_>, registry: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(py, "Pusher.push", || {
            entered(py)?;
            let page = render::page(registry)?;
            self.queue(py, || self.inner.push(page.into_bytes(), TEXT))
        })
    }

    /// Replaces the families that `registry` has.
    fn add(&self, py: Python<'_>, registry: &Bound<'_, PyAny>) -> PyResult<()> {
        guard(py, "Pusher.add", || {
            entered(py)?;
            let page = render::page(registry)?;
            self.queue(py, || self.inner.add(page.into_bytes(), TEXT))
        })
    }

    /// Replaces the group by a page.
    fn push_text(&self, py: Python<'_>, page: &Bound<'_, PyAny>, content_type: &str) -> PyResult<()> {
        guard(py, "Pusher.push_text", || {
            entered(py)?;
            let page = bytes("text", page)?.into_owned();
            self.queue(py, || self.inner.push(page, content_type))
        })
    }

    /// Removes the group.
    fn delete(&self, py: Python<'_>) -> PyResult<()> {
        guard(py, "Pusher.delete", || {
            entered(py)?;
            self.queue(py, || self.inner.delete())
        })
    }

    /// Flushes; one report, or none before the first push.
    fn flush(&self, py: Python<'_>, timeout: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        guard(py, "Pusher.flush", || {
            let handler = self.inner.handler();
            settle(py, &handler.start_flush(self::timeout(timeout)?))?;
            handler.report().iter().map(|r| report::report(py, r)).collect()
        })
    }

    /// Accepts no more and flushes; one report, or none before the first push.
    fn close(&self, py: Python<'_>, timeout: &Bound<'_, PyAny>) -> PyResult<Vec<Py<PyAny>>> {
        guard(py, "Pusher.close", || {
            let handler = self.inner.handler();
            settle(py, &handler.start_close(self::timeout(timeout)?))?;
            let reports = py.detach(|| handler.finish_close());
            reports.iter().map(|r| report::report(py, r)).collect()
        })
    }

    /// Everything counted; one entry, or none before the first push.
    fn stats(&self, py: Python<'_>) -> PyResult<Vec<Py<PyAny>>> {
        guard(py, "Pusher.stats", || {
            self.inner.handler().stats().iter().map(|s| report::stats(py, s)).collect()
        })
    }

    /// What makes an equal pusher in another process; refused if there is a literal secret in it.
    fn portable(&self, py: Python<'_>) -> PyResult<Arguments> {
        guard(py, "Pusher", || {
            let options = self.options.portable(py, &self.gateway)?;
            Ok((self.gateway.clone(), self.job.clone(), self.grouping_key.clone(), options))
        })
    }
}

impl Pusher {
    fn queue(&self, py: Python<'_>, push: impl FnOnce() -> Result<()> + Send) -> PyResult<()> {
        // the GIL is given up only where the queue may make its caller wait
        let result = match self.options.config.overflow {
            Overflow::Block => py.detach(push),
            _ => push(),
        };
        result.or_raise(py)
    }
}
