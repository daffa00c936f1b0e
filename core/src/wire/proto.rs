//! The messages of remote write 1.0 and 2.0 as prost structs: the oracle of the encoder's tests and the decoder of the
//! development receiver. Requests are written by [`crate::wire::v1`], not by these.
//!
//! Field numbers are those of `prompb/{remote,types}.proto` and `io/prometheus/write/v2/types.proto` of Prometheus.

use crate::error::{Error, Result};
use prost::Message;

/// `prometheus.WriteRequest`, the body of remote write 1.0.
#[derive(Clone, PartialEq, prost::Message)]
pub struct WriteRequest {
    /// One entry a series.
    #[prost(message, repeated, tag = "1")]
    pub timeseries: Vec<TimeSeries>,
    /// What families mean; not in the 1.0 specification, but Prometheus sends and reads it.
    #[prost(message, repeated, tag = "3")]
    pub metadata: Vec<MetricMetadata>,
}

/// A series with its samples.
#[derive(Clone, PartialEq, prost::Message)]
pub struct TimeSeries {
    /// The complete label set, sorted by name.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Samples, oldest first.
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    /// Exemplars, oldest first.
    #[prost(message, repeated, tag = "3")]
    pub exemplars: Vec<Exemplar>,
    /// Native histograms, oldest first.
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
}

/// A label.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Label {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Value.
    #[prost(string, tag = "2")]
    pub value: String,
}

/// A value at a time.
#[derive(Clone, Copy, PartialEq, prost::Message)]
pub struct Sample {
    /// Value; the bits of a NaN matter.
    #[prost(double, tag = "1")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub timestamp: i64,
}

/// An exemplar of version 1.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Exemplar {
    /// Its own labels, such as `trace_id`.
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    /// Value.
    #[prost(double, tag = "2")]
    pub value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "3")]
    pub timestamp: i64,
}

/// What a metric family means.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct MetricMetadata {
    /// A [`MetricType`] by its number.
    #[prost(enumeration = "MetricType", tag = "1")]
    pub r#type: i32,
    /// Name of the family.
    #[prost(string, tag = "2")]
    pub metric_family_name: String,
    /// Help text.
    #[prost(string, tag = "4")]
    pub help: String,
    /// Unit.
    #[prost(string, tag = "5")]
    pub unit: String,
}

/// Type of a metric family, the same numbers in both versions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, prost::Enumeration)]
#[repr(i32)]
pub enum MetricType {
    /// Unknown or untyped.
    Unknown = 0,
    /// Counter.
    Counter = 1,
    /// Gauge.
    Gauge = 2,
    /// Histogram.
    Histogram = 3,
    /// Histogram of a current state.
    GaugeHistogram = 4,
    /// Summary.
    Summary = 5,
    /// Info.
    Info = 6,
    /// State set.
    StateSet = 7,
}

/// A native histogram. Both versions share the numbers; version 1 leaves 16 and 17 unset.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Histogram {
    /// Observations, when whole.
    #[prost(uint64, optional, tag = "1")]
    pub count_int: Option<u64>,
    /// Observations, when a float.
    #[prost(double, optional, tag = "2")]
    pub count_float: Option<f64>,
    /// Sum of the observations.
    #[prost(double, tag = "3")]
    pub sum: f64,
    /// Bucket schema: -4 to 8 exponential, -53 custom.
    #[prost(sint32, tag = "4")]
    pub schema: i32,
    /// Width of the zero bucket.
    #[prost(double, tag = "5")]
    pub zero_threshold: f64,
    /// Observations in the zero bucket, when whole.
    #[prost(uint64, optional, tag = "6")]
    pub zero_count_int: Option<u64>,
    /// Observations in the zero bucket, when a float.
    #[prost(double, optional, tag = "7")]
    pub zero_count_float: Option<f64>,
    /// Spans of negative buckets.
    #[prost(message, repeated, tag = "8")]
    pub negative_spans: Vec<BucketSpan>,
    /// Differences of negative bucket counts, whole histograms.
    #[prost(sint64, repeated, tag = "9")]
    pub negative_deltas: Vec<i64>,
    /// Negative bucket counts, float histograms.
    #[prost(double, repeated, tag = "10")]
    pub negative_counts: Vec<f64>,
    /// Spans of positive buckets.
    #[prost(message, repeated, tag = "11")]
    pub positive_spans: Vec<BucketSpan>,
    /// Differences of positive bucket counts, whole histograms.
    #[prost(sint64, repeated, tag = "12")]
    pub positive_deltas: Vec<i64>,
    /// Positive bucket counts, float histograms.
    #[prost(double, repeated, tag = "13")]
    pub positive_counts: Vec<f64>,
    /// 0 unspecified, 1 yes, 2 no, 3 gauge.
    #[prost(int32, tag = "14")]
    pub reset_hint: i32,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "15")]
    pub timestamp: i64,
    /// Upper bounds of schema -53.
    #[prost(double, repeated, tag = "16")]
    pub custom_values: Vec<f64>,
    /// Milliseconds since 1970 at which counting began; 0 means unset. Version 2 only.
    #[prost(int64, tag = "17")]
    pub start_timestamp: i64,
}

/// A run of buckets.
#[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
pub struct BucketSpan {
    /// Distance to the span before.
    #[prost(sint32, tag = "1")]
    pub offset: i32,
    /// Number of buckets.
    #[prost(uint32, tag = "2")]
    pub length: u32,
}

/// The messages of remote write 2.0, for decoding.
pub mod v2 {
    use super::Histogram;

    /// `io.prometheus.write.v2.Request`.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Request {
        /// Strings that the series refer to; the first is empty.
        #[prost(string, repeated, tag = "4")]
        pub symbols: Vec<String>,
        /// One entry or more a series.
        #[prost(message, repeated, tag = "5")]
        pub timeseries: Vec<TimeSeries>,
    }

    /// A series with its samples or its histograms.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct TimeSeries {
        /// Pairs of references into the symbols, name and value.
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        /// Samples, oldest first.
        #[prost(message, repeated, tag = "2")]
        pub samples: Vec<Sample>,
        /// Native histograms, oldest first.
        #[prost(message, repeated, tag = "3")]
        pub histograms: Vec<Histogram>,
        /// Exemplars.
        #[prost(message, repeated, tag = "4")]
        pub exemplars: Vec<Exemplar>,
        /// What the metric means.
        #[prost(message, optional, tag = "5")]
        pub metadata: Option<Metadata>,
    }

    /// A value at a time.
    #[derive(Clone, Copy, PartialEq, prost::Message)]
    pub struct Sample {
        /// Value; the bits of a NaN matter.
        #[prost(double, tag = "1")]
        pub value: f64,
        /// Milliseconds since 1970.
        #[prost(int64, tag = "2")]
        pub timestamp: i64,
        /// Milliseconds since 1970 at which counting began; 0 means unset.
        #[prost(int64, tag = "3")]
        pub start_timestamp: i64,
    }

    /// An exemplar.
    #[derive(Clone, PartialEq, prost::Message)]
    pub struct Exemplar {
        /// Pairs of references into the symbols.
        #[prost(uint32, repeated, tag = "1")]
        pub labels_refs: Vec<u32>,
        /// Value.
        #[prost(double, tag = "2")]
        pub value: f64,
        /// Milliseconds since 1970.
        #[prost(int64, tag = "3")]
        pub timestamp: i64,
    }

    /// What a metric means.
    #[derive(Clone, Copy, PartialEq, Eq, prost::Message)]
    pub struct Metadata {
        /// A [`super::MetricType`] by its number.
        #[prost(enumeration = "super::MetricType", tag = "1")]
        pub r#type: i32,
        /// Reference to the help text.
        #[prost(uint32, tag = "3")]
        pub help_ref: u32,
        /// Reference to the unit.
        #[prost(uint32, tag = "4")]
        pub unit_ref: u32,
    }
}

/// Decodes the body of a remote-write 1.0 request: snappy block format around protobuf.
///
/// # Errors
/// [`Error::TooLarge`] when the body says that it holds more than `max_decoded` bytes, checked before anything is
/// allocated for them; [`Error::Invalid`] when it is not snappy block format or not the message.
pub fn decode_v1(snappy_body: &[u8], max_decoded: usize) -> Result<WriteRequest> {
    decode(snappy_body, max_decoded)
}

/// Decodes the body of a remote-write 2.0 request. References are not checked against the symbols.
///
/// # Errors
/// As [`decode_v1`].
pub fn decode_v2(snappy_body: &[u8], max_decoded: usize) -> Result<v2::Request> {
    decode(snappy_body, max_decoded)
}

fn decode<M: Message + Default>(body: &[u8], max_decoded: usize) -> Result<M> {
    let refused = |rule: String| Error::Invalid {
        field: "remote-write body".into(),
        value: format!("{} bytes", body.len()),
        rule: rule.into(),
    };
    let size = snap::raw::decompress_len(body)
        .map_err(|e| refused(format!("must be in the snappy block format ({e})")))?;
    if size > max_decoded {
        return Err(Error::TooLarge { field: "decoded remote-write body".into(), size, limit: max_decoded });
    }
    let plain = snap::raw::Decoder::new()
        .decompress_vec(body)
        .map_err(|e| refused(format!("must be in the snappy block format ({e})")))?;
    M::decode(&*plain).map_err(|e| refused(format!("must be a protobuf message ({e})")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn a_request_of_version_2_made_by_another_implementation_decodes() {
        let body = hex(
            "5cf05b220022085f5f6e616d655f5f22096d795f6d657472696322036a6f62220161220968656c7020746578742207\
             7365636f6e64732a270a04010203041217090000000000c05e4010fbd095ffbc3118f08195ffbc312a06080118052006",
        );
        let request = decode_v2(&body, 92).unwrap();
        assert_eq!(request.symbols, ["", "__name__", "my_metric", "job", "a", "help text", "seconds"]);
        let series = &request.timeseries[0];
        assert_eq!(series.labels_refs, [1, 2, 3, 4]);
        let sample = series.samples[0];
        assert_eq!((sample.value, sample.timestamp), (123.0, 1_700_000_000_123));
        assert_eq!(sample.start_timestamp, 1_699_999_990_000);
        let metadata = series.metadata.unwrap();
        assert_eq!((metadata.r#type(), metadata.help_ref, metadata.unit_ref), (MetricType::Counter, 5, 6));
    }

    #[test]
    fn native_histograms_decode_in_both_versions() {
        let histogram = Histogram {
            count_int: Some(3),
            sum: 1.5,
            schema: -53,
            positive_spans: vec![BucketSpan { offset: -1, length: 2 }],
            positive_deltas: vec![1, -2],
            timestamp: 7,
            ..Histogram::default()
        };
        let series = TimeSeries { histograms: vec![histogram.clone()], ..TimeSeries::default() };
        let v1 = WriteRequest { timeseries: vec![series], metadata: vec![] };
        let body = snap::raw::Encoder::new().compress_vec(&v1.encode_to_vec()).unwrap();
        assert_eq!(decode_v1(&body, 1000).unwrap(), v1);
        let series = v2::TimeSeries { histograms: vec![histogram], ..v2::TimeSeries::default() };
        let v2 = v2::Request { symbols: vec![String::new()], timeseries: vec![series] };
        let body = snap::raw::Encoder::new().compress_vec(&v2.encode_to_vec()).unwrap();
        assert_eq!(decode_v2(&body, 1000).unwrap(), v2);
    }

    #[test]
    fn a_claimed_length_beyond_the_limit_is_refused_before_it_is_allocated() {
        // the length says 4 GiB, nothing follows
        let error = decode_v1(&[0xff, 0xff, 0xff, 0xff, 0x0f], 1 << 20).unwrap_err();
        assert_eq!(
            error,
            Error::TooLarge {
                field: "decoded remote-write body".into(),
                size: u32::MAX as usize,
                limit: 1 << 20
            }
        );
    }

    #[test]
    fn what_is_not_snappy_or_not_protobuf_says_so() {
        for (body, part) in [
            (&b""[..], "snappy block format"),
            (&b"\xff\x06\x00\x00sNaPpY"[..], "snappy block format"),
            (&b"\x02\x04\x0a\x05"[..], "protobuf message"),
            // label name with a byte that is not UTF-8
            (&b"\x07\x18\x0a\x05\x0a\x03\x0a\x01\xff"[..], "protobuf message"),
        ] {
            let error = decode_v1(body, 1 << 20).unwrap_err().to_string();
            assert!(error.starts_with("remote-write body: ") && error.contains(part), "{error}");
        }
    }
}
