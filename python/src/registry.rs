//! The way over what a prometheus_client registry collects: families and samples, by their public attributes alone.

use crate::values::wrong_type;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};

/// A metric family.
pub struct Family<'a> {
    /// Its name without the suffixes of its samples.
    pub name: &'a str,
    /// The name of its type.
    pub kind: &'a str,
    /// The help text.
    pub help: &'a str,
    /// The unit, or empty.
    pub unit: &'a str,
}

/// A sample of the family before it.
pub struct Sample<'a> {
    /// The whole name.
    pub name: &'a str,
    /// Labels, sorted by name.
    pub labels: &'a [(&'a str, &'a str)],
    /// The value.
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp_ms: Option<i64>,
}

/// Takes what a registry has.
pub trait Sink {
    /// A family begins.
    fn family(&mut self, family: &Family<'_>) -> PyResult<()>;
    /// A sample of that family.
    fn sample(&mut self, sample: &Sample<'_>) -> PyResult<()>;
}

/// Collects `registry` into `sink`. What a collector raises is raised.
pub fn collect(registry: &Bound<'_, PyAny>, sink: &mut impl Sink) -> PyResult<()> {
    let py = registry.py();
    for metric in registry.call_method0(intern!(py, "collect"))?.try_iter()? {
        let metric = metric?;
        let name = text("name", metric.getattr(intern!(py, "name"))?)?;
        let kind = text("type", metric.getattr(intern!(py, "type"))?)?;
        let help = text("documentation", metric.getattr(intern!(py, "documentation"))?)?;
        let unit = metric.getattr_opt(intern!(py, "unit"))?.filter(|unit| !unit.is_none());
        let unit = unit.map(|unit| text("unit", unit)).transpose()?;
        sink.family(&Family {
            name: name.to_str()?,
            kind: kind.to_str()?,
            help: help.to_str()?,
            unit: unit.as_ref().map_or(Ok(""), |unit| unit.to_str())?,
        })?;
        for sample in metric.getattr(intern!(py, "samples"))?.try_iter()? {
            take(&sample?, sink)?;
        }
    }
    Ok(())
}

fn take(sample: &Bound<'_, PyAny>, sink: &mut impl Sink) -> PyResult<()> {
    let py = sample.py();
    // a named tuple, which by index costs a third
    let fields = match sample.cast::<PyTuple>() {
        Ok(tuple) if tuple.len() >= 4 => {
            [tuple.get_item(0)?, tuple.get_item(1)?, tuple.get_item(2)?, tuple.get_item(3)?]
        }
        _ => [
            sample.getattr(intern!(py, "name"))?,
            sample.getattr(intern!(py, "labels"))?,
            sample.getattr(intern!(py, "value"))?,
            sample.getattr(intern!(py, "timestamp"))?,
        ],
    };
    let [name, labels, value, timestamp] = fields;
    let name = text("sample name", name)?;
    let Ok(labels) = labels.cast::<PyDict>() else {
        return Err(wrong_type("sample labels", "a dict", &labels));
    };
    let objects: Vec<(Bound<'_, PyString>, Bound<'_, PyString>)> = labels
        .iter()
        .map(|(name, value)| Ok((text("label name", name)?, text("label value", value)?)))
        .collect::<PyResult<_>>()?;
    let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(objects.len());
    for (name, value) in &objects {
        pairs.push((name.to_str()?, value.to_str()?));
    }
    pairs.sort_unstable();
    let timestamp_ms = if timestamp.is_none() { None } else { Some(milliseconds(&timestamp)?) };
    sink.sample(&Sample { name: name.to_str()?, labels: &pairs, value: float(&value)?, timestamp_ms })
}

fn text<'py>(field: &str, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyString>> {
    value.cast_into::<PyString>().map_err(|error| wrong_type(field, "a str", &error.into_inner()))
}

/// As `float(value)`: also of text, because prometheus_client calls it so.
fn float(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    match value.extract() {
        Ok(number) => Ok(number),
        Err(_) => value.py().import("builtins")?.call_method1("float", (value,))?.extract(),
    }
}

/// As `int(float(timestamp) * 1000)`.
fn milliseconds(timestamp: &Bound<'_, PyAny>) -> PyResult<i64> {
    let ms = float(timestamp)? * 1000.0;
    if !(-9.2e18..9.2e18).contains(&ms) {
        let rule = "must be seconds since 1970";
        return Err(crate::errors::invalid(timestamp.py(), "timestamp", &ms.to_string(), rule));
    }
    Ok(ms as i64)
}
