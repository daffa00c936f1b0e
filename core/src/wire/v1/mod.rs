//! Remote write 1.0: samples to a snappy-compressed `WriteRequest`, written directly.
//!
//! Labels are encoded once a series ([`encode_labels`]) and copied from then on, because they are nine tenths of a
//! request. The samples of a series stand together in one `TimeSeries`, oldest first: the specification allows it, it
//! saves more than half of the bytes, and it is what makes a resend after a lost answer need care. The bytes are those
//! that prost writes for the same message, but for -0.0, which prost leaves out as if it were +0.0.

mod body;
mod request;
mod split;
#[cfg(test)]
mod tests;

pub use request::{encode_bound, encode_request, encode_sorted_request};
pub use split::{Part, split};

use super::varint;
use crate::error::Result;
use crate::input::labels::Labels;
use body::{Body, sample_len};

const METADATA: u8 = 0x1a; // WriteRequest.metadata = 3
const LABEL: u8 = 0x0a; // TimeSeries.labels = 1

/// Encodes `labels` as they stand inside a `TimeSeries`: once a series.
#[must_use]
pub fn encode_labels(labels: &Labels<'_>) -> Box<[u8]> {
    let mut out = Vec::new();
    encode_labels_into(labels, &mut out);
    out.into_boxed_slice()
}

/// As [`encode_labels`], into a buffer whose content is replaced.
pub fn encode_labels_into(labels: &Labels<'_>, out: &mut Vec<u8>) {
    out.clear();
    for (name, value) in labels.iter() {
        let len = text_len(name) + text_len(value);
        out.push(LABEL);
        varint::push(out, len as u64);
        push_text(out, 1, name);
        push_text(out, 2, value);
    }
}

/// The names and values that [`encode_labels`] wrote, for messages. Ends where the bytes are not what it writes.
pub fn decode_labels(mut encoded: &[u8]) -> impl Iterator<Item = (&str, &str)> {
    std::iter::from_fn(move || {
        let (1, mut label) = varint::take_field(&mut encoded)? else { return None };
        let mut pair = ("", "");
        while !label.is_empty() {
            let (field, text) = varint::take_field(&mut label)?;
            let text = std::str::from_utf8(text).ok()?;
            match field {
                1 => pair.0 = text,
                _ => pair.1 = text,
            }
        }
        Some(pair)
    })
}

fn text_len(text: &str) -> usize {
    if text.is_empty() { 0 } else { 1 + varint::len(text.len() as u64) + text.len() }
}

fn push_text(out: &mut Vec<u8>, field: u8, text: &str) {
    if !text.is_empty() {
        out.push(field << 3 | 2);
        varint::push(out, text.len() as u64);
        out.extend_from_slice(text.as_bytes());
    }
}

/// What a metric family means; sent beside the series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metadata<'a> {
    /// Name of the family.
    pub family: &'a str,
    /// Its type, by the number of [`crate::wire::proto::MetricType`].
    pub kind: u32,
    /// Help text, may be empty.
    pub help: &'a str,
    /// Unit, may be empty.
    pub unit: &'a str,
}

/// What the encoder needs to know about series. Ids are small and dense, because they index scratch memory.
pub trait SeriesBytes {
    /// The label bytes of `series`, as [`encode_labels`] made them.
    fn labels(&self, series: u32) -> &[u8];

    /// The newest timestamp of `series` ever written into a request, in ms; `i64::MIN` before the first.
    fn last_cut(&self, series: u32) -> i64;

    /// Keeps the newest timestamp written for `series`; called once a series and request, never with an older one.
    fn set_last_cut(&mut self, series: u32, timestamp_ms: i64);
}

/// A pending sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawSample {
    /// Id of the series.
    pub series: u32,
    /// Value; its bits arrive as they are.
    pub value: f64,
    /// Milliseconds since 1970.
    pub timestamp_ms: i64,
}

/// How a request is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Uncompressed bytes that a request may have (option `queue_config.max_bytes_per_send`).
    pub max_bytes: usize,
    /// Send samples that are not newer than the last one cut (option `out_of_order`) instead of superseding them.
    pub out_of_order: bool,
}

/// A request, and what became of the samples it was made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// Leading samples that this request settles: `taken == samples + superseded`, at least 1 unless none were given.
    pub taken: usize,
    /// Samples written.
    pub samples: usize,
    /// Samples left out, because a later one has the same time or a newer one was cut before.
    pub superseded: usize,
    /// Leading metadata entries settled; the rest belongs into a later request.
    pub metadata: usize,
    /// The compressed body; empty where there is nothing to send.
    pub body: Vec<u8>,
    /// Its length before compression.
    pub uncompressed_len: usize,
    /// The newest timestamp written, in ms; `i64::MIN` when `samples` is 0.
    pub newest_ms: i64,
}

/// Makes request after request out of the same memory: per request one allocation, the finished body.
pub struct Encoder {
    epoch: u32,
    /// By series id: its group in this request, valid where the epoch is the current one.
    slots: Vec<Slot>,
    groups: Vec<Group>,
    /// The samples of each group as a chain, because sorting the request by series would cost more than writing it.
    links: Vec<Link>,
    order: Vec<(i64, u32)>,
    metadata: Vec<u8>,
    body: Body,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    epoch: u32,
    group: u32,
}

struct Group {
    series: u32,
    head: u32,
    tail: u32,
    /// Length of the `TimeSeries` message; an upper bound where a time stands twice out of order.
    len: usize,
    newest: i64,
    last_cut: i64,
    ascending: bool,
}

struct Link {
    sample: u32,
    next: u32,
}

const END: u32 = u32::MAX;

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// An encoder without memory yet.
    #[must_use]
    pub fn new() -> Self {
        Encoder {
            epoch: 0,
            slots: Vec::new(),
            groups: Vec::new(),
            links: Vec::new(),
            order: Vec::new(),
            metadata: Vec::new(),
            body: Body::new(),
        }
    }

    /// Writes a request of the leading `samples`, in any mix of series in their order of arrival, and of the leading
    /// `metadata`.
    ///
    /// Series stand in the order of their first sample, the samples of one oldest first. Of several samples of a series
    /// with the same millisecond the last to arrive is written, because receivers keep the first of a request and refuse
    /// the next. It stops before the body would pass `limits.max_bytes`, metadata included, but takes at least one
    /// sample. Metadata gets at most half of the bytes, so that it never keeps samples waiting; an entry that is larger
    /// alone is left out.
    ///
    /// # Errors
    /// [`Error::TooLarge`](crate::error::Error::TooLarge) for a body beyond the 4 GiB of the snappy format, which takes
    /// a single series of that size; its samples count as cut.
    pub fn encode<'m, S: SeriesBytes>(
        &mut self,
        samples: &[RawSample],
        series: &mut S,
        metadata: impl IntoIterator<Item = Metadata<'m>>,
        limits: Limits,
    ) -> Result<Encoded> {
        // below what the snappy format and the 32-bit chains hold
        let max_bytes = limits.max_bytes.min(1 << 31);
        let samples = &samples[..samples.len().min(1 << 31)];
        let settled_metadata = self.write_metadata(metadata, max_bytes / 2);
        let budget = max_bytes - self.metadata.len().min(max_bytes);
        let taken = self.group(samples, series, budget, limits.out_of_order);
        self.body.clear();
        let (written, newest_ms) = self.write_series(samples, series);
        self.body.bytes(&self.metadata);
        let (body, uncompressed_len) = self.body.finish()?;
        Ok(Encoded {
            taken,
            samples: written,
            superseded: taken - written,
            metadata: settled_metadata,
            body,
            uncompressed_len,
            newest_ms,
        })
    }

    fn write_metadata<'m>(&mut self, entries: impl IntoIterator<Item = Metadata<'m>>, max: usize) -> usize {
        self.metadata.clear();
        let mut settled = 0;
        for entry in entries {
            let kind = u64::from(entry.kind);
            let kind_len = if kind == 0 { 0 } else { 1 + varint::len(kind) };
            let len = kind_len + text_len(entry.family) + text_len(entry.help) + text_len(entry.unit);
            let whole = 1 + varint::len(len as u64) + len;
            settled += 1;
            if whole > max {
                continue;
            }
            if self.metadata.len() + whole > max {
                return settled - 1;
            }
            self.metadata.push(METADATA);
            varint::push(&mut self.metadata, len as u64);
            if kind != 0 {
                self.metadata.push(0x08);
                varint::push(&mut self.metadata, kind);
            }
            push_text(&mut self.metadata, 2, entry.family);
            push_text(&mut self.metadata, 4, entry.help);
            push_text(&mut self.metadata, 5, entry.unit);
        }
        settled
    }

    /// Chains the leading samples by series until their bytes, at most, would pass `budget`: how many it took.
    fn group<S: SeriesBytes>(
        &mut self,
        samples: &[RawSample],
        series: &S,
        budget: usize,
        out_of_order: bool,
    ) -> usize {
        self.groups.clear();
        self.links.clear();
        self.epoch = self.epoch.wrapping_add(1);
        if self.epoch == 0 {
            self.slots.fill(Slot::default());
            self.epoch = 1;
        }
        let mut total = 0;
        for (index, sample) in samples.iter().enumerate() {
            let id = sample.series as usize;
            if id >= self.slots.len() {
                self.slots.resize(id + 1, Slot::default());
            }
            let time = sample.timestamp_ms;
            let slot = self.slots[id];
            if slot.epoch != self.epoch {
                let last_cut = series.last_cut(sample.series);
                if time <= last_cut && !out_of_order && last_cut != i64::MIN {
                    continue;
                }
                let len = series.labels(sample.series).len() + sample_len(sample);
                let grown = total + 1 + varint::len(len as u64) + len;
                if grown > budget && !self.links.is_empty() {
                    return index;
                }
                total = grown;
                self.slots[id] = Slot { epoch: self.epoch, group: self.groups.len() as u32 };
                let link = self.links.len() as u32;
                self.links.push(Link { sample: index as u32, next: END });
                self.groups.push(Group {
                    series: sample.series,
                    head: link,
                    tail: link,
                    len,
                    newest: time,
                    last_cut,
                    ascending: true,
                });
                continue;
            }
            let group = &mut self.groups[slot.group as usize];
            if time <= group.last_cut && !out_of_order && group.last_cut != i64::MIN {
                continue;
            }
            let again = group.ascending && time == group.newest;
            let replaced = &mut self.links[group.tail as usize];
            let before = if again { sample_len(&samples[replaced.sample as usize]) } else { 0 };
            let len = group.len + sample_len(sample) - before;
            let grown = total + varint::len(len as u64) + len - varint::len(group.len as u64) - group.len;
            if grown > budget {
                return index;
            }
            total = grown;
            group.len = len;
            if again {
                replaced.sample = index as u32;
                continue;
            }
            group.ascending &= time > group.newest;
            group.newest = group.newest.max(time);
            let link = self.links.len() as u32;
            self.links[group.tail as usize].next = link;
            group.tail = link;
            self.links.push(Link { sample: index as u32, next: END });
        }
        samples.len()
    }

    /// Writes the groups to the body: the samples written and the newest timestamp.
    fn write_series<S: SeriesBytes>(&mut self, samples: &[RawSample], series: &mut S) -> (usize, i64) {
        let body = &mut self.body;
        let (mut written, mut newest) = (0, i64::MIN);
        for group in &self.groups {
            newest = newest.max(group.newest);
            series.set_last_cut(group.series, group.newest.max(group.last_cut));
            let labels = series.labels(group.series);
            if group.ascending {
                body.series(group.len, labels);
                let mut next = group.head;
                while let Some(link) = self.links.get(next as usize) {
                    body.sample(&samples[link.sample as usize]);
                    written += 1;
                    next = link.next;
                }
            } else {
                let len = sort_chain(group.head, &self.links, samples, &mut self.order);
                body.series(labels.len() + len, labels);
                for (_, sample) in &self.order {
                    body.sample(&samples[*sample as usize]);
                }
                written += self.order.len();
            }
        }
        (written, newest)
    }
}

/// Puts a chain into `order`, oldest first, of each time the last to arrive; returns the bytes of its samples.
fn sort_chain(head: u32, links: &[Link], samples: &[RawSample], order: &mut Vec<(i64, u32)>) -> usize {
    order.clear();
    let mut next = head;
    while let Some(link) = links.get(next as usize) {
        order.push((samples[link.sample as usize].timestamp_ms, link.sample));
        next = link.next;
    }
    order.sort_unstable();
    // keeps the first of equal times, hence from behind
    order.reverse();
    order.dedup_by_key(|(time, _)| *time);
    order.reverse();
    order.iter().map(|(_, sample)| sample_len(&samples[*sample as usize])).sum()
}
