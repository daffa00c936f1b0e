//! Request bytes → what they mean, by this crate's own decoder.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use prost::Message as _;
use serde::Serialize;

use crate::http::Head;
use crate::proto::{v1, v2};

/// The largest decoded remote-write body, checked before memory is taken for it: 256 MiB.
const DECODED_LIMIT: usize = 256 << 20;

/// What a request turned out to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Decoded {
    /// Remote write 1.0.
    WriteV1 {
        /// The series, as they stand in the message.
        series: Vec<Series>,
        /// The request's own metadata list.
        metadata: Vec<Metadata>,
    },
    /// Remote write 2.0, symbols resolved.
    WriteV2 {
        /// The series, as they stand in the message.
        series: Vec<Series>,
    },
    /// A call of the Pushgateway API.
    Push {
        /// The grouping key, `job` included, decoded.
        group: BTreeMap<String, String>,
        /// `PUT`, `POST` or `DELETE`.
        verb: String,
        /// The exposition text as it came.
        text: String,
    },
    /// Neither remote write nor a push.
    Other,
    /// It claims to be one of the above and is not; the reason.
    Undecodable {
        /// What is wrong with it.
        reason: String,
    },
}

/// One series of a write request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Series {
    /// Name and value, in the order of the message.
    pub labels: Vec<(String, String)>,
    /// In the order of the message.
    pub samples: Vec<Sample>,
    /// How many exemplars came with it.
    pub exemplars: usize,
    /// How many native histograms came with it.
    pub histograms: usize,
    /// Metadata of the series itself (2.0 only).
    pub metadata: Option<Metadata>,
}

/// One sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// Milliseconds since the epoch.
    pub ts_ms: i64,
    /// The bits of the value, so that NaN payloads and -0.0 can be compared.
    pub value_bits: u64,
    /// Start timestamp in milliseconds, 0 when unset (2.0 only).
    pub start_ms: i64,
}

impl Sample {
    /// The value as a number.
    pub fn value(&self) -> f64 {
        f64::from_bits(self.value_bits)
    }
}

/// Metadata of a metric family.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Family name; in 2.0 the value of the series' `__name__`.
    pub family: String,
    /// `unknown`, `counter`, `gauge`, `histogram`, `gaugehistogram`, `summary`, `info`, `stateset`, or `invalid`.
    pub r#type: String,
    /// Help text.
    pub help: String,
    /// Unit.
    pub unit: String,
}

impl Decoded {
    /// The series of a write request, none for anything else.
    pub fn series(&self) -> &[Series] {
        match self {
            Decoded::WriteV1 { series, .. } | Decoded::WriteV2 { series } => series,
            _ => &[],
        }
    }

    /// How many samples a write request carries.
    pub fn samples(&self) -> usize {
        self.series().iter().map(|s| s.samples.len()).sum()
    }
}

/// Decodes a complete request. Remote write is known by its `Content-Type` (or, that failing, by
/// `Content-Encoding: snappy` on a POST), a push by `/metrics/job` in its path.
pub(crate) fn decode(head: &Head, body: &[u8]) -> Decoded {
    let result = if is_push(head) { push(head, body) } else { write(head, body) };
    result.unwrap_or_else(|reason| Decoded::Undecodable { reason })
}

fn is_push(head: &Head) -> bool {
    matches!(head.method.as_str(), "PUT" | "POST" | "DELETE")
        && (head.path.contains("/metrics/job/") || head.path.contains("/metrics/job@base64/"))
}

fn write(head: &Head, body: &[u8]) -> Result<Decoded, String> {
    let content_type = head.header("content-type").unwrap_or_default();
    let encoding = head.header("content-encoding").unwrap_or_default();
    let protobuf = content_type.starts_with("application/x-protobuf");
    if head.method != "POST" || !(protobuf || content_type.is_empty() && encoding == "snappy") {
        return Ok(Decoded::Other);
    }
    if encoding != "snappy" {
        return Err(format!("Content-Encoding is {encoding:?}, remote write needs \"snappy\""));
    }
    let length = snap::raw::decompress_len(body).map_err(|e| format!("snappy: {e}"))?;
    if length > DECODED_LIMIT {
        return Err(format!("snappy: {length} bytes decoded, above the limit of {DECODED_LIMIT}"));
    }
    let message = snap::raw::Decoder::new().decompress_vec(body).map_err(|e| format!("snappy: {e}"))?;
    if content_type.contains("proto=io.prometheus.write.v2.Request") {
        write_v2(&message)
    } else {
        write_v1(&message)
    }
}

fn write_v1(message: &[u8]) -> Result<Decoded, String> {
    let request = v1::WriteRequest::decode(message).map_err(|e| format!("protobuf: {e}"))?;
    let series = request
        .timeseries
        .into_iter()
        .map(|s| Series {
            labels: s.labels.into_iter().map(|l| (l.name, l.value)).collect(),
            samples: s
                .samples
                .iter()
                .map(|x| Sample { ts_ms: x.timestamp, value_bits: x.value.to_bits(), start_ms: 0 })
                .collect(),
            exemplars: s.exemplars.len(),
            histograms: s.histograms.len(),
            metadata: None,
        })
        .collect();
    let metadata = request
        .metadata
        .into_iter()
        .map(|m| Metadata {
            family: m.metric_family_name,
            r#type: type_name(m.kind),
            help: m.help,
            unit: m.unit,
        })
        .collect();
    Ok(Decoded::WriteV1 { series, metadata })
}

fn write_v2(message: &[u8]) -> Result<Decoded, String> {
    let request = v2::Request::decode(message).map_err(|e| format!("protobuf: {e}"))?;
    let symbols = &request.symbols;
    if symbols.first().is_some_and(|s| !s.is_empty()) {
        return Err("symbols[0] is not the empty string".into());
    }
    let symbol = |at: u32| -> Result<String, String> {
        let missing = || format!("symbol {at} of {}", symbols.len());
        match usize::try_from(at) {
            // An unset reference is 0, legal even with an empty symbol table.
            Ok(0) => Ok(String::new()),
            Ok(i) => symbols.get(i).cloned().ok_or_else(missing),
            Err(_) => Err(missing()),
        }
    };
    let mut series = Vec::with_capacity(request.timeseries.len());
    for s in &request.timeseries {
        if !s.labels_refs.len().is_multiple_of(2) {
            return Err(format!("{} label references: not pairs", s.labels_refs.len()));
        }
        let labels = s
            .labels_refs
            .chunks_exact(2)
            .map(|pair| Ok((symbol(pair[0])?, symbol(pair[1])?)))
            .collect::<Result<Vec<_>, String>>()?;
        let family = labels.iter().find(|(n, _)| n == "__name__").map(|(_, v)| v.clone());
        let metadata = match &s.metadata {
            None => None,
            Some(m) => Some(Metadata {
                family: family.unwrap_or_default(),
                r#type: type_name(m.kind),
                help: symbol(m.help_ref)?,
                unit: symbol(m.unit_ref)?,
            }),
        };
        series.push(Series {
            labels,
            samples: s
                .samples
                .iter()
                .map(|x| Sample {
                    ts_ms: x.timestamp,
                    value_bits: x.value.to_bits(),
                    start_ms: x.start_timestamp,
                })
                .collect(),
            exemplars: s.exemplars.len(),
            histograms: s.histograms.len(),
            metadata,
        });
    }
    Ok(Decoded::WriteV2 { series })
}

fn type_name(kind: i32) -> String {
    const NAMES: [&str; 8] =
        ["unknown", "counter", "gauge", "histogram", "gaugehistogram", "summary", "info", "stateset"];
    usize::try_from(kind).ok().and_then(|k| NAMES.get(k)).unwrap_or(&"invalid").to_string()
}

fn push(head: &Head, body: &[u8]) -> Result<Decoded, String> {
    let group = grouping_key(&head.path)?;
    if let Some(encoding) = head.header("content-encoding").filter(|e| *e != "identity") {
        return Err(format!("Content-Encoding {encoding:?} of a push is not understood"));
    }
    if head.header("content-type").unwrap_or_default().starts_with("application/vnd.google.protobuf") {
        return Err("a push in protobuf is not understood".into());
    }
    let text = std::str::from_utf8(body).map_err(|e| format!("text: {e}"))?.to_owned();
    Ok(Decoded::Push { group, verb: head.method.clone(), text })
}

/// The grouping key of a gateway path. As the Pushgateway does it: percent escapes go first, so that `%2F` splits
/// the path; `+` is a plus; a name ending in `@base64` has a value in the URL alphabet, padding ignored.
fn grouping_key(path: &str) -> Result<BTreeMap<String, String>, String> {
    let path = percent_decode(path)?;
    let at = path.find("/metrics/job").ok_or("no /metrics/job in the path")?;
    let parts: Vec<&str> = path[at + "/metrics/".len()..].trim_end_matches('/').split('/').collect();
    if !parts.len().is_multiple_of(2) {
        return Err(format!("odd number of components in path {path:?}"));
    }
    let mut group = BTreeMap::new();
    for pair in parts.chunks_exact(2) {
        let (name, value) = match pair[0].strip_suffix("@base64") {
            None => (pair[0], pair[1].to_owned()),
            Some(name) => {
                let bytes = URL_SAFE_NO_PAD
                    .decode(pair[1].trim_end_matches('='))
                    .map_err(|e| format!("base64 of label {name:?}: {e}"))?;
                (name, String::from_utf8(bytes).map_err(|e| format!("value of label {name:?}: {e}"))?)
            }
        };
        let legal = name
            .chars()
            .enumerate()
            .all(|(i, c)| c == '_' || c.is_ascii_alphabetic() || i > 0 && c.is_ascii_digit());
        if name.is_empty() || !legal || name.starts_with("__") {
            return Err(format!("illegal label name {name:?} in the path"));
        }
        if group.insert(name.to_owned(), value).is_some() {
            return Err(format!("label {name:?} twice in the path"));
        }
    }
    match group.get("job") {
        Some(job) if !job.is_empty() => Ok(group),
        _ => Err("job name is required".into()),
    }
}

fn percent_decode(path: &str) -> Result<String, String> {
    let bytes = path.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == b'%' {
            let hex = path.get(i + 1..i + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
            out.push(hex.ok_or_else(|| format!("bad percent escape in path {path:?}"))?);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    String::from_utf8(out).map_err(|e| format!("path: {e}"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)] // a failed unwrap is a failed test
mod tests {
    use super::*;

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
    }

    // The vectors come from google.protobuf, so that the messages above are checked against a third party.
    #[test]
    fn a_known_v1_message() {
        let message = bytes(
            "0a330a150a085f5f6e616d655f5f12096d795f6d65747269630a080a036a6f621201611210090000000000c05e4010fbd095ffbc31",
        );
        let Decoded::WriteV1 { series, metadata } = write_v1(&message).unwrap() else { panic!("not v1") };
        assert_eq!(metadata, []);
        assert_eq!(series.len(), 1);
        assert_eq!(series[0].labels, [("__name__".into(), "my_metric".into()), ("job".into(), "a".into())]);
        assert_eq!(
            series[0].samples,
            [Sample { ts_ms: 1_700_000_000_123, value_bits: 123f64.to_bits(), start_ms: 0 }]
        );
    }

    #[test]
    fn a_known_v2_message() {
        let message = bytes(
            "220022085f5f6e616d655f5f22096d795f6d657472696322036a6f62220161220968656c70207465787422077365636f6e64732a270a\
             04010203041217090000000000c05e4010fbd095ffbc3118f08195ffbc312a06080118052006",
        );
        let Decoded::WriteV2 { series } = write_v2(&message).unwrap() else { panic!("not v2") };
        assert_eq!(series[0].labels, [("__name__".into(), "my_metric".into()), ("job".into(), "a".into())]);
        assert_eq!(series[0].samples[0].start_ms, 1_699_999_990_000);
        let metadata = series[0].metadata.clone().unwrap();
        assert_eq!(
            (metadata.r#type.as_str(), metadata.help.as_str(), metadata.unit.as_str()),
            ("counter", "help text", "seconds")
        );
    }

    #[test]
    fn nan_payloads_and_negative_zero_keep_their_bits() {
        for bits in [0x7ff0_0000_0000_0002_u64, 0x7ff8_0000_0000_0001, 0x8000_0000_0000_0000] {
            let mut message = vec![0x0a, 11, 0x12, 9, 0x09];
            message.extend(bits.to_le_bytes());
            let decoded = write_v1(&message).unwrap();
            assert_eq!(decoded.series()[0].samples[0].value_bits, bits);
        }
    }

    #[test]
    fn v2_references_are_checked() {
        for (message, expected) in
            [("2a040a020102", "symbol 1 of 0"), ("22002a030a0100", "not pairs"), ("220161", "symbols[0]")]
        {
            let error = write_v2(&bytes(message)).unwrap_err();
            assert!(error.contains(expected), "{message}: {error}");
        }
    }

    #[test]
    fn gateway_paths() {
        let key = |path: &str| {
            grouping_key(path)
                .map(|g| g.into_iter().map(|(n, v)| format!("{n}={v}")).collect::<Vec<_>>().join(","))
        };
        for (path, expected) in [
            ("/metrics/job/a", "job=a"),
            ("/gw/metrics/job/a/instance/b", "instance=b,job=a"),
            ("/metrics/job/s%20p", "job=s p"),
            ("/metrics/job/s+p", "job=s+p"),
            ("/metrics/job/a/x%2Fy", "job=a,x=y"),
            ("/metrics/job@base64/YS9i/x@base64/=", "job=a/b,x="),
            ("/metrics/job@base64/YQ==", "job=a"),
        ] {
            assert_eq!(key(path).as_deref(), Ok(expected), "{path}");
        }
        for path in [
            "/metrics/job@base64/=",
            "/metrics/job/a/x",
            "/metrics/job@base64/+",
            "/metrics/job/a/__x/y",
            "/metrics/job/%zz",
        ] {
            assert!(key(path).is_err(), "{path}");
        }
    }
}
