//! Remote write: Writer and Series.

use crate::errors::{OrRaise, guard};
use crate::options::{self, Options};
use crate::process::entered;
use crate::registry::{Family, Sample, Sink, collect};
use crate::report;
use crate::values::{Pairs, bytes, labels, number, timestamp_ms};
use crate::wait::{settle, timeout};
use promwrite_core::config::{Faces, Overflow};
use promwrite_core::error::Result;
use promwrite_core::input::exposition::{MetricType, normal_bound};
use promwrite_core::input::series::{Family as Told, Meta};
use promwrite_core::writer::{self, Batch};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};
use std::collections::HashMap;
use std::sync::Arc;

/// A non-blocking remote-write client.
#[pyclass(frozen, module = "promwrite._promwrite")]
pub struct Writer {
    inner: writer::Writer,
    options: Options,
    url: String,
}

#[pymethods]
impl Writer {
    #[new]
    #[pyo3(signature = (url, options = None, keywords = None))]
    fn new(
        py: Python<'_>,
        url: String,
        options: Option<&Bound<'_, PyAny>>,
        keywords: Option<&Bound<'_, PyDict>>,
    ) -> PyResult<Self> {
        guard(py, "Writer", || {
            entered(py)?;
            let options = options::read(py, options, keywords, Faces::Writer)?;
            let inner = writer::Writer::new(&url, options.config.clone()).or_raise(py)?;
            Ok(Writer { inner, options, url })
        })
    }

    /// The URL, without user, password and query.
    #[getter]
    fn url(&self) -> String {
        self.inner.url()
    }

    /// A prepared series.
    #[pyo3(signature = (name, labels = None, r#type = None, help = "", unit = ""))]
    fn series(
        &self,
        py: Python<'_>,
        name: &str,
        labels: Option<&Bound<'_, PyAny>>,
        r#type: Option<&str>,
        help: &str,
        unit: &str,
    ) -> PyResult<Series> {
        guard(py, "Writer.series", || {
            entered(py)?;
            let labels = self::labels(labels)?;
            let kind: MetricType = r#type.map_or(Ok(MetricType::Unknown), str::parse).or_raise(py)?;
            let told = r#type.is_some() || !help.is_empty() || !unit.is_empty();
            let meta = told.then(|| Meta { kind, help: help.into(), unit: unit.into() });
            let inner = self.inner.series(name, &labels, meta).or_raise(py)?;
            Ok(Series { inner, waits: self.waits() })
        })
    }

    /// Appends a sample by name and labels.
    #[pyo3(signature = (name, value, labels = None, timestamp = None))]
    fn append(
        &self,
        py: Python<'_>,
        name: &str,
        value: &Bound<'_, PyAny>,
        labels: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        guard(py, "Writer.append", || {
            entered(py)?;
            let labels = self::labels(labels)?;
            let (value, at) = (number(value)?, timestamp.map(timestamp_ms).transpose()?);
            self.queue(py, || self.inner.append(name, &labels, value, at))
        })
    }

    /// Appends what `registry` has; the number of samples.
    fn push(&self, py: Python<'_>, registry: &Bound<'_, PyAny>) -> PyResult<usize> {
        guard(py, "Writer.push", || {
            entered(py)?;
            let batch = self.inner.batch().or_raise(py)?;
            let mut samples = Samples::new(py, batch);
            collect(registry, &mut samples)?;
            let taken = samples.batch.len();
            let batch = samples.batch;
            self.queue(py, || batch.commit())?;
            Ok(taken)
        })
    }

    /// Appends the samples of a page; their number. Where a sample has a given label already, its own wins if honor_labels.
    fn push_text(
        &self,
        py: Python<'_>,
        text: &Bound<'_, PyAny>,
        content_type: &str,
        labels: Option<&Bound<'_, PyAny>>,
        honor_labels: bool,
    ) -> PyResult<usize> {
        guard(py, "Writer.push_text", || {
            entered(py)?;
            let labels: Pairs = self::labels(labels)?;
            let page = bytes("text", text)?;
            // reading a page of 64 MiB takes long enough for other threads to run meanwhile
            py.detach(|| self.inner.push_text(&page, content_type, &labels, honor_labels)).or_raise(py)
        })
    }

    /// Flushes; one report.
    fn flush(&self, py: Python<'_>, timeout: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        guard(py, "Writer.flush", || {
            settle(py, &self.inner.start_flush(self::timeout(timeout)?))?;
            report::report(py, &self.inner.report())
        })
    }

    /// Accepts no more and flushes; one report.
    fn close(&self, py: Python<'_>, timeout: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        guard(py, "Writer.close", || {
            settle(py, &self.inner.start_close(self::timeout(timeout)?))?;
            let last = py.detach(|| self.inner.finish_close());
            report::report(py, &last)
        })
    }

    /// Everything counted; nothing in a forked child that has not used the writer.
    fn stats(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        guard(py, "Writer.stats", || self.inner.stats().map(|s| report::stats(py, &s)).transpose())
    }

    /// What makes an equal writer in another process; refused if there is a literal secret in it.
    fn portable(&self, py: Python<'_>) -> PyResult<(String, Vec<(String, String)>)> {
        guard(py, "Writer", || Ok((self.url.clone(), self.options.portable(py, &self.url)?)))
    }
}

impl Writer {
    /// Whether the queue may make its caller wait.
    fn waits(&self) -> bool {
        self.options.config.overflow == Overflow::Block
    }

    fn queue(&self, py: Python<'_>, append: impl FnOnce() -> Result<()> + Send) -> PyResult<()> {
        // the GIL is given up only where the queue may make its caller wait: it costs more than an append
        if self.waits() { py.detach(append) } else { append() }.or_raise(py)
    }
}

/// A registry's samples on their way into a batch, named and told as the reader of its page would name and tell them.
struct Samples<'w, 'py> {
    py: Python<'py>,
    batch: Batch<'w>,
    /// The family as its samples are named.
    name: String,
    kind: MetricType,
    /// The family as it is told of.
    told: Option<Arc<Told>>,
    /// The label that holds a number.
    bound: &'static str,
    bounds: HashMap<String, String>,
}

impl<'w, 'py> Samples<'w, 'py> {
    fn new(py: Python<'py>, batch: Batch<'w>) -> Self {
        let (name, kind, told, bounds) = Default::default();
        Samples { py, batch, name, kind, told, bound: "", bounds }
    }
}

impl Sink for Samples<'_, '_> {
    fn family(&mut self, family: &Family<'_>) -> PyResult<()> {
        let kind: MetricType = family.kind.parse().or_raise(self.py)?;
        self.kind = kind;
        let suffix = match kind {
            MetricType::Counter => "_total",
            MetricType::Info => "_info",
            _ => "",
        };
        family.name.clone_into(&mut self.name);
        let meta = Meta { kind, help: family.help.into(), unit: family.unit.into() };
        self.told = Some(self.batch.family(&format!("{}{suffix}", family.name), meta));
        self.bound = match kind {
            MetricType::Histogram | MetricType::GaugeHistogram => "le",
            MetricType::Summary => "quantile",
            _ => "",
        };
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> PyResult<()> {
        let rest = sample.name.strip_prefix(&*self.name);
        let starts = matches!(self.kind, MetricType::Counter | MetricType::Histogram | MetricType::Summary);
        if starts && rest == Some("_created") {
            return Ok(());
        }
        let mut bound = None;
        if !self.bound.is_empty()
            && let Some((_, value)) = sample.labels.iter().find(|(name, _)| *name == self.bound)
        {
            if !self.bounds.contains_key(*value) {
                let normal = normal_bound(value).unwrap_or_else(|| (*value).to_owned());
                self.bounds.insert((*value).to_owned(), normal);
            }
            bound = self.bounds.get(*value);
        }
        let labels = sample.labels.iter().map(|(name, value)| match bound {
            Some(bound) if *name == self.bound => (*name, bound.as_str()),
            _ => (*name, *value),
        });
        let told = self.told.as_ref();
        self.batch.add(sample.name, labels, sample.value, sample.timestamp_ms, told).or_raise(self.py)
    }
}

/// A prepared label set of a writer: the fast path.
#[pyclass(frozen, module = "promwrite._promwrite")]
pub struct Series {
    inner: writer::Series,
    waits: bool,
}

#[pymethods]
impl Series {
    /// Records value as the series' value now, as a scrape at this moment would see it: of a counter the total so far.
    /// A timestamp is seconds since 1970, or a datetime. Two values within a millisecond are one sample, the later one.
    #[pyo3(signature = (value, timestamp = None))]
    fn append(
        &self,
        py: Python<'_>,
        value: &Bound<'_, PyAny>,
        timestamp: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        guard(py, "Series.append", || {
            entered(py)?;
            let value = number(value)?;
            let at = timestamp.filter(|at| !at.is_none()).map(timestamp_ms).transpose()?;
            let append = || match at {
                None => self.inner.append(value),
                Some(at) => self.inner.append_at(value, at),
            };
            // the GIL is given up only where the queue may make its caller wait: it costs more than an append
            if self.waits { py.detach(append) } else { append() }.or_raise(py)
        })
    }

    /// Records many values with their timestamps. Values are a sequence of numbers or anything with a buffer of them
    /// (array, numpy, Arrow); timestamps are milliseconds since 1970 (int64), or datetime64.
    fn extend(
        &self,
        py: Python<'_>,
        values: &Bound<'_, PyAny>,
        timestamps_ms: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        guard(py, "Series.extend", || {
            entered(py)?;
            let columns = py.import("promwrite._columns")?;
            let values = columns.call_method1("floats", (values,))?;
            let timestamps = columns.call_method1("milliseconds", (timestamps_ms,))?;
            let values = column(&values, f64::from_ne_bytes)?;
            let timestamps = column(&timestamps, i64::from_ne_bytes)?;
            py.detach(|| self.inner.extend(&values, &timestamps)).or_raise(py)
        })
    }

    fn __repr__(&self) -> String {
        let (names, pairs): (Vec<_>, Vec<_>) = self.inner.labels().partition(|(name, _)| *name == "__name__");
        let pairs: Vec<String> = pairs.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let name = names.first().map_or("", |(_, name)| name);
        format!("<promwrite.Series {name}{{{}}}>", pairs.join(","))
    }
}

/// A column: bytes of the machine's own order, or a list.
fn column<'py, T>(column: &Bound<'py, PyAny>, from: fn([u8; 8]) -> T) -> PyResult<Vec<T>>
where
    T: FromPyObjectOwned<'py>,
{
    match column.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().as_chunks().0.iter().map(|chunk| from(*chunk)).collect()),
        Err(_) => column.try_iter()?.map(|item| item?.extract().map_err(Into::into)).collect(),
    }
}
