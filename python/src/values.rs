//! Arguments of Python to what the core takes: times, label sets, pages.

use crate::errors::{OrRaise, exception, invalid};
use promwrite_core::error::Error;
use promwrite_core::input::timestamp::check_seconds;
use promwrite_core::sys;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyDict, PyFloat, PyInt, PyMapping, PyString};

/// Label names and values.
pub type Pairs = Vec<(String, String)>;

/// The content type of a page in the text format.
pub const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A timestamp: seconds since 1970 as a number, or a datetime; a naive one is local time, as Python has it.
pub fn timestamp_ms(value: &Bound<'_, PyAny>) -> PyResult<i64> {
    let py = value.py();
    let number = value.is_instance_of::<PyFloat>() || value.is_instance_of::<PyInt>();
    let seconds = if !number && value.hasattr(intern!(py, "timestamp"))? {
        value.call_method0(intern!(py, "timestamp"))?.extract::<f64>()
    } else {
        value.extract::<f64>()
    };
    let seconds = seconds.map_err(|error| {
        if error.is_instance_of::<PyOverflowError>(py) {
            return invalid(py, "timestamp", "a number beyond every float", "must be seconds since 1970");
        }
        wrong_type("timestamp", "seconds since 1970 or a datetime", value)
    })?;
    check_seconds(seconds, sys::wall_ms()).or_raise(py)
}

/// Labels from a mapping; numbers as values are taken as text, as prometheus_client does.
pub fn labels(value: Option<&Bound<'_, PyAny>>) -> PyResult<Pairs> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(Vec::new()) };
    if let Ok(dict) = value.cast::<PyDict>() {
        return dict.iter().map(|(name, value)| label(&name, &value)).collect();
    }
    match value.cast::<PyMapping>() {
        Ok(mapping) => mapping
            .items()?
            .iter()
            .map(|item| item.extract().and_then(|(n, v): (Bound<'_, PyAny>, Bound<'_, PyAny>)| label(&n, &v)))
            .collect(),
        Err(_) => Err(wrong_type("labels", "a mapping of label name to value", value)),
    }
}

fn label(name: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<(String, String)> {
    let Ok(name) = name.cast::<PyString>() else {
        return Err(wrong_type("label name", "a str", name));
    };
    let text = value.cast::<PyString>();
    let value = match text {
        Ok(text) => text.to_str()?.to_owned(),
        Err(_) if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() => {
            value.str()?.to_str()?.to_owned()
        }
        Err(_) => return Err(wrong_type("label value", "a str or a number", value)),
    };
    Ok((name.to_str()?.to_owned(), value))
}

/// A grouping key. Keys and values are taken as text, as prometheus_client does.
pub fn grouping_key(value: Option<&Bound<'_, PyAny>>) -> PyResult<Pairs> {
    let Some(value) = value.filter(|value| !value.is_none()) else { return Ok(Vec::new()) };
    let py = value.py();
    let Ok(mapping) = value.cast::<PyMapping>() else {
        let rule = "must be a mapping of label name to value, such as {\"instance\": \"10.0.0.1\"}";
        let (field, value) = ("grouping_key".into(), format!("a {}", value.get_type().name()?));
        return Err(exception(py, &Error::Invalid { field, value, rule: rule.into() }));
    };
    let mut pairs = Pairs::new();
    for item in mapping.items()? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = item.extract()?;
        pairs.push((name.str()?.to_str()?.to_owned(), value.str()?.to_str()?.to_owned()));
    }
    Ok(pairs)
}

/// The bytes of a page or body: str, bytes or bytearray.
pub fn bytes<'a>(field: &str, value: &'a Bound<'_, PyAny>) -> PyResult<std::borrow::Cow<'a, [u8]>> {
    if let Ok(bytes) = value.cast::<PyBytes>() {
        return Ok(bytes.as_bytes().into());
    }
    if let Ok(text) = value.cast::<PyString>() {
        return Ok(text.to_str()?.as_bytes().into());
    }
    match value.cast::<PyByteArray>() {
        Ok(bytes) => Ok(bytes.to_vec().into()),
        Err(_) => Err(wrong_type(field, "bytes or str", value)),
    }
}

/// A float of anything that has one; a bool counts as a number, a str does not.
#[inline]
pub fn number(value: &Bound<'_, PyAny>) -> PyResult<f64> {
    value.extract::<f64>().map_err(|_| wrong_type("value", "a real number", value))
}

/// A `TypeError` that names field, type and rule.
pub fn wrong_type(field: &str, rule: &str, value: &Bound<'_, PyAny>) -> PyErr {
    match value.get_type().name() {
        Ok(class) => PyTypeError::new_err(format!("{field}: must be {rule}, not {class}")),
        Err(error) => error,
    }
}
