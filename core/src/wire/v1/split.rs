//! A request of ours in two, for a receiver that refuses the whole.

use super::body::{Body, TIMESTAMP, VALUE};
use crate::wire::varint;

/// A part of a split request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The compressed body.
    pub body: Vec<u8>,
    /// Samples in it.
    pub samples: usize,
    /// The body's length before compression.
    pub uncompressed_len: usize,
    /// The newest timestamp in it, in ms.
    pub newest_ms: i64,
}

/// Splits a compressed body of [`super::Encoder`] or of this function into an older and a newer part with samples in
/// each; send them in this order.
///
/// It cuts between series where there are several, as near to half of the samples as that allows, and between the times
/// of one series otherwise; so no series has an older sample in the second part than in the first. Metadata goes with
/// the first. None when there are fewer than two samples, or the body is none of ours.
#[must_use]
pub fn split(body: &[u8]) -> Option<(Part, Part)> {
    let plain = snap::raw::Decoder::new().decompress_vec(body).ok()?;
    let mut series = Vec::new();
    let mut rest = &plain[..];
    let mut metadata = &plain[plain.len()..];
    while !rest.is_empty() {
        let from = rest;
        match varint::take_field(&mut rest)? {
            (1, message) => series.push(Series::read(message)?),
            // metadata stands behind all series
            (3, _) => {
                metadata = from;
                break;
            }
            _ => return None,
        }
    }
    let total: usize = series.iter().map(|s| s.samples.len()).sum();
    if total < 2 {
        return None;
    }
    let (older, newer) = match &series[..] {
        [one] => {
            let (older, newer) = one.samples.split_at(total / 2);
            (
                vec![Series { labels: one.labels, samples: older.to_vec() }],
                vec![Series { labels: one.labels, samples: newer.to_vec() }],
            )
        }
        _ => {
            let newer = series.split_off(half(&series, total));
            (series, newer)
        }
    };
    Some((part(&older, metadata)?, part(&newer, &[])?))
}

/// The number of leading series nearest to half of `total` samples, with series on both sides.
fn half(series: &[Series<'_>], total: usize) -> usize {
    let (mut at, mut samples) = (1, series[0].samples.len());
    while at + 1 < series.len() {
        let more = samples + series[at].samples.len();
        if more.abs_diff(total - more) > samples.abs_diff(total - samples) {
            break;
        }
        (at, samples) = (at + 1, more);
    }
    at
}

/// A `TimeSeries` of ours: label bytes, and each sample as it stands.
struct Series<'a> {
    labels: &'a [u8],
    samples: Vec<&'a [u8]>,
}

impl<'a> Series<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let mut rest = message;
        let mut labels_len = 0;
        let mut samples = Vec::new();
        while !rest.is_empty() {
            let from = rest;
            match varint::take_field(&mut rest)?.0 {
                1 if samples.is_empty() => labels_len = message.len() - rest.len(),
                2 => samples.push(&from[..from.len() - rest.len()]),
                _ => return None,
            }
        }
        (!samples.is_empty()).then_some(Series { labels: &message[..labels_len], samples })
    }
}

fn part(series: &[Series<'_>], metadata: &[u8]) -> Option<Part> {
    let mut out = Body::new();
    let mut samples = 0;
    let mut newest_ms = i64::MIN;
    for one in series {
        let len = one.labels.len() + one.samples.iter().map(|s| s.len()).sum::<usize>();
        out.series(len, one.labels);
        one.samples.iter().for_each(|sample| out.bytes(sample));
        samples += one.samples.len();
        newest_ms = newest_ms.max(timestamp(one.samples.last()?)?);
    }
    out.bytes(metadata);
    let (body, uncompressed_len) = out.finish().ok()?;
    Some(Part { body, samples, uncompressed_len, newest_ms })
}

/// The time of an encoded sample.
fn timestamp(sample: &[u8]) -> Option<i64> {
    let mut rest = sample.get(2..)?;
    if rest.first() == Some(&VALUE) {
        rest = rest.get(9..)?;
    }
    if rest.is_empty() {
        return Some(0);
    }
    rest = rest.strip_prefix(&[TIMESTAMP])?;
    varint::take(&mut rest).map(|time| time as i64)
}
