//! Remote-write bodies to Python, for the development receiver; and the snappy frame format of a Pushgateway.

use crate::errors::{OrRaise, guard, invalid};
use promwrite_core::wire::proto::{self, MetricType};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use std::io::{Read as _, Write as _};

/// The largest body that is unpacked: a development receiver shares its machine.
const MAX_DECODED: usize = 256 << 20;

type Labels<'a> = Vec<(&'a str, &'a str)>;

/// Decodes a remote-write body, 1.0 or 2.0 by its content type, to
/// `{"timeseries": [{"labels": [(name, value)], "samples": [(ms, value)]}], "metadata": [{...}]}`.
#[pyfunction]
pub fn decode_write<'py>(
    py: Python<'py>,
    body: &[u8],
    content_type: &str,
    content_encoding: &str,
) -> PyResult<Bound<'py, PyDict>> {
    guard(py, "decode_write", || {
        if !content_encoding.eq_ignore_ascii_case("snappy") {
            return Err(invalid(py, "Content-Encoding", content_encoding, "must be snappy"));
        }
        let mut parts = content_type.split(';').map(str::trim);
        if !parts.next().is_some_and(|kind| kind.eq_ignore_ascii_case("application/x-protobuf")) {
            return Err(invalid(py, "Content-Type", content_type, "must be application/x-protobuf"));
        }
        let message = parts.find_map(|part| part.strip_prefix("proto="));
        match message.unwrap_or("prometheus.WriteRequest") {
            "prometheus.WriteRequest" => version_1(py, body),
            "io.prometheus.write.v2.Request" => version_2(py, body),
            other => Err(invalid(py, "Content-Type", other, "names no remote-write message")),
        }
    })
}

fn version_1<'py>(py: Python<'py>, body: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let request = proto::decode_v1(body, MAX_DECODED).or_raise(py)?;
    let (timeseries, metadata) = (PyList::empty(py), PyList::empty(py));
    for series in &request.timeseries {
        let labels = series.labels.iter().map(|l| (&*l.name, &*l.value)).collect();
        let samples = series.samples.iter().map(|s| (s.timestamp, s.value)).collect();
        timeseries.append(entry(py, labels, samples)?)?;
    }
    for m in &request.metadata {
        metadata.append(family(py, &m.metric_family_name, m.r#type(), &m.help, &m.unit)?)?;
    }
    decoded(py, timeseries, metadata)
}

fn version_2<'py>(py: Python<'py>, body: &[u8]) -> PyResult<Bound<'py, PyDict>> {
    let request = proto::decode_v2(body, MAX_DECODED).or_raise(py)?;
    let symbol = |at: u32| match request.symbols.get(at as usize) {
        Some(symbol) => Ok(symbol.as_str()),
        None => Err(invalid(py, "symbol", &at.to_string(), "must be the number of a symbol")),
    };
    let (timeseries, metadata) = (PyList::empty(py), PyList::empty(py));
    for series in &request.timeseries {
        let (pairs, rest) = series.labels_refs.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(invalid(py, "labels_refs", &series.labels_refs.len().to_string(), "must be even"));
        }
        let labels: Labels<'_> =
            pairs.iter().map(|[n, v]| Ok((symbol(*n)?, symbol(*v)?))).collect::<PyResult<_>>()?;
        let name = labels.iter().find(|(n, _)| *n == "__name__").map_or("", |(_, v)| v);
        if let Some(m) = series.metadata {
            metadata.append(family(py, name, m.r#type(), symbol(m.help_ref)?, symbol(m.unit_ref)?)?)?;
        }
        let samples = series.samples.iter().map(|s| (s.timestamp, s.value)).collect();
        timeseries.append(entry(py, labels, samples)?)?;
    }
    decoded(py, timeseries, metadata)
}

fn entry<'py>(py: Python<'py>, labels: Labels<'_>, samples: Vec<(i64, f64)>) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("labels", labels)?;
    dict.set_item("samples", samples)?;
    Ok(dict)
}

fn family<'py>(
    py: Python<'py>,
    name: &str,
    kind: MetricType,
    help: &str,
    unit: &str,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("name", name)?;
    dict.set_item("type", format!("{kind:?}").to_ascii_lowercase())?;
    dict.set_item("help", help)?;
    dict.set_item("unit", unit)?;
    Ok(dict)
}

fn decoded<'py>(
    py: Python<'py>,
    timeseries: Bound<'py, PyList>,
    metadata: Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    dict.set_item("timeseries", timeseries)?;
    dict.set_item("metadata", metadata)?;
    Ok(dict)
}

/// Compresses in the snappy frame format, which is what a Pushgateway calls snappy.
#[pyfunction]
pub fn snappy_frame<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    guard(py, "snappy_frame", || {
        let mut frames = snap::write::FrameEncoder::new(Vec::new());
        frames.write_all(data)?;
        let framed = frames.into_inner().map_err(|e| e.into_error())?;
        Ok(PyBytes::new(py, &framed))
    })
}

/// Unpacks the snappy frame format.
#[pyfunction]
pub fn snappy_unframe<'py>(py: Python<'py>, data: &[u8]) -> PyResult<Bound<'py, PyBytes>> {
    guard(py, "snappy_unframe", || {
        let mut plain = Vec::new();
        let frames = snap::read::FrameDecoder::new(data);
        let rule = "must be in the snappy frame format";
        // one byte more than allowed shows that there is more
        let read = frames.take(MAX_DECODED as u64 + 1).read_to_end(&mut plain);
        read.map_err(|error| invalid(py, "body", &error.to_string(), rule))?;
        if plain.len() > MAX_DECODED {
            return Err(invalid(py, "body", "more than 256 MiB", "is too large when it is unpacked"));
        }
        Ok(PyBytes::new(py, &plain))
    })
}
