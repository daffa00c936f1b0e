//! From a chunk of samples to requests: times settled, due metadata added, encoded.

use super::state::Chunk;
use crate::clock::Mono;
use crate::config::Config;
use crate::input::series::{Family, Meta, Pages};
use crate::pending::source::{Headers, Request};
use crate::send::transport::Method;
use crate::wire::v1::{Encoder, Limits, Metadata, RawSample, SeriesBytes};
use std::sync::Arc;
use std::time::Duration;

/// The stamp of a sample that is recorded now: told apart from a given timestamp by its sign, because at the moment its
/// request is made it may have to move, and a given one never moves.
#[inline]
#[must_use]
pub fn now_stamp(now_ms: i64) -> i64 {
    !now_ms
}

/// How far a sample recorded now may be moved ahead of the clock.
const MOVE_MS: i64 = 1000;

/// What a chunk was made into.
#[derive(Default)]
pub struct Cut {
    /// The requests, oldest first, not yet numbered.
    pub requests: Vec<Request>,
    /// Samples made needless by newer ones.
    pub superseded: u64,
    /// Samples that could not be encoded, which only a bug can bring about.
    pub failed: u64,
}

/// What the worker needs to make requests, kept to be used again.
pub struct Cutter {
    encoder: Encoder,
    scratch: Vec<RawSample>,
    headers: Arc<Headers>,
    config: Arc<Config>,
}

/// The headers that describe a body, as the specification of remote write 1.0 wants them.
pub fn content_headers() -> Arc<Headers> {
    let content = [
        ("Content-Encoding", "snappy"),
        ("Content-Type", "application/x-protobuf"),
        ("X-Prometheus-Remote-Write-Version", "0.1.0"),
    ];
    Arc::new(Headers(content.map(|(n, v)| (n.to_owned(), v.to_owned())).into()))
}

impl Cutter {
    /// A cutter with the limits of `config`.
    pub fn new(config: Arc<Config>) -> Self {
        Cutter { encoder: Encoder::new(), scratch: Vec::new(), headers: content_headers(), config }
    }

    /// Makes requests of a chunk.
    pub fn cut(&mut self, chunk: &Chunk, mut pages: Pages, now: Mono, wall_ms: i64) -> Cut {
        let families = self.due(&pages, chunk.samples(), now);
        let metas: Vec<(&str, Meta)> = families.iter().map(|f| (&*f.name, f.meta())).collect();
        let mut metadata = &metas[..];
        let limits =
            Limits { max_bytes: self.config.max_bytes_per_send, out_of_order: self.config.out_of_order };
        stamp(chunk, &pages, wall_ms, &mut self.scratch);
        let mut rest = &self.scratch[..];
        let mut cut = Cut::default();
        while !rest.is_empty() {
            let told = metadata.iter().map(|(family, m)| Metadata {
                family,
                kind: m.kind as u32,
                help: &m.help,
                unit: &m.unit,
            });
            let Ok(encoded) = self.encoder.encode(rest, &mut pages, told, limits) else {
                cut.failed = rest.len() as u64;
                break;
            };
            let newest_ms = rest[..encoded.taken].iter().map(|s| s.timestamp_ms).max().unwrap_or(0);
            rest = &rest[encoded.taken..];
            metadata = &metadata[encoded.metadata..];
            cut.superseded += encoded.superseded as u64;
            if encoded.samples > 0 {
                cut.requests.push(Request {
                    id: 0,
                    method: Method::Post,
                    path: None,
                    headers: self.headers.clone(),
                    body: encoded.body.into(),
                    items: encoded.samples as u64,
                    newest_ms,
                    accepted: chunk.opened,
                    attempt: 0,
                    ambiguous: false,
                    part: false,
                });
            }
        }
        cut
    }

    /// Families of `samples` whose metadata is due.
    fn due(&self, pages: &Pages, samples: &[RawSample], now: Mono) -> Vec<Arc<Family>> {
        if !self.config.metadata_send {
            return Vec::new();
        }
        let ns = |t: Duration| u64::try_from(t.as_nanos()).unwrap_or(u64::MAX);
        let (now, next) = (ns(now), ns(now + self.config.metadata_send_interval));
        let mut due = Vec::new();
        let mut last = None;
        for sample in samples {
            if last == Some(sample.series) {
                continue;
            }
            last = Some(sample.series);
            if let Some(family) = pages.get(sample.series).and_then(|s| s.family())
                && family.take_due(now, next)
            {
                due.push(family.clone());
            }
        }
        due
    }
}

/// Copies the samples and settles the time of those recorded now: one that falls on the millisecond of the last request of
/// its series moves behind it, because it is newer and would otherwise be lost. The last samples of a burst, which are in
/// a chunk that is not full, may move any distance, others only a little, or a long burst would run away from the clock.
fn stamp(chunk: &Chunk, pages: &Pages, wall_ms: i64, out: &mut Vec<RawSample>) {
    let limit = if chunk.full { wall_ms + MOVE_MS } else { i64::MAX };
    out.clear();
    out.extend(chunk.samples().iter().map(|raw| {
        let mut sample = *raw;
        if sample.timestamp_ms < 0 {
            sample.timestamp_ms = !sample.timestamp_ms;
            let behind = pages.last_cut(sample.series).saturating_add(1);
            if sample.timestamp_ms < behind && behind <= limit {
                sample.timestamp_ms = behind;
            }
        }
        sample
    }));
}
