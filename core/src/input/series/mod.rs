//! Series: label bytes encoded once, a number for each series, metadata of their families.
//!
//! An append must not search or lock a registry, so a handle holds its [`SeriesData`]; a pending sample holds only the
//! series' number. The worker turns numbers back into label bytes through [`Pages`], a view that needs no lock.

mod registry;

pub use registry::{Pages, Registry};

use crate::input::exposition::MetricType;
use crate::input::request::LABEL_KEY;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// What is told about a family once a minute: its type, help and unit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Meta {
    /// The type.
    pub kind: MetricType,
    /// The help text, without escapes.
    pub help: Box<str>,
    /// The unit, empty where there is none.
    pub unit: Box<str>,
}

/// A metric family and when its metadata is due.
#[derive(Debug)]
pub struct Family {
    /// The family's name, as it stands in the metadata.
    pub name: Box<str>,
    meta: Mutex<Meta>,
    due_ns: AtomicU64,
}

impl Family {
    /// Type, help and unit as last given.
    pub fn meta(&self) -> Meta {
        self.meta.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the metadata is due at `now_ns`; if so it is next due at `next_ns`.
    pub fn take_due(&self, now_ns: u64, next_ns: u64) -> bool {
        let due = self.due_ns.load(Ordering::Relaxed) <= now_ns;
        if due {
            self.due_ns.store(next_ns, Ordering::Relaxed);
        }
        due
    }
}

/// One series: immutable labels, and marks that the queue and its worker keep.
#[derive(Debug)]
pub struct SeriesData {
    id: u32,
    labels: Box<[u8]>,
    /// Other bytes that lead to this series: its labels as they are given in bulk, before they are sorted and completed.
    alias: OnceLock<Box<[u8]>>,
    family: OnceLock<Arc<Family>>,
    /// The chunk of the queue that has the last append, to know whether a sample may be pending.
    last_chunk: AtomicU64,
    swept_chunk: AtomicU64,
    /// Newest timestamp that a request was made with, to tell a sample that came too late.
    last_cut: AtomicI64,
}

impl SeriesData {
    /// The number of the series, reused after it went.
    #[inline]
    #[must_use]
    pub fn id(&self) -> u32 {
        self.id
    }

    /// The labels as they stand inside a `TimeSeries` message.
    #[must_use]
    pub fn labels(&self) -> &[u8] {
        &self.labels
    }

    /// Its family, if metadata was given.
    #[must_use]
    pub fn family(&self) -> Option<&Arc<Family>> {
        self.family.get()
    }

    /// Marks an append with the number of the queue's chunk that it comes to; the last mark is the largest one. Written once
    /// a chunk, because series that lie side by side in memory would otherwise slow down each other's threads.
    #[inline]
    pub fn touch(&self, chunk: u64) {
        if self.last_chunk.load(Ordering::Relaxed) < chunk {
            self.last_chunk.fetch_max(chunk, Ordering::Relaxed);
        }
    }

    /// The length of the labels at the beginning of the message `given`, if they lead to this series; see
    /// [`Registry::find`].
    fn leads(&self, given: &[u8], complete: bool) -> Option<usize> {
        let begins = |labels: &[u8]| given.starts_with(labels) && given.get(labels.len()) != Some(&LABEL_KEY);
        if complete && begins(&self.labels) {
            return Some(self.labels.len());
        }
        self.alias.get().filter(|alias| begins(alias)).map(|alias| alias.len())
    }

    fn bytes(&self) -> usize {
        self.labels.len() + OVERHEAD + self.alias.get().map_or(0, |alias| alias.len() + ALIAS_OVERHEAD)
    }
}

/// What a series takes beside its label bytes: the struct, its slot, its place in the index.
const OVERHEAD: usize = size_of::<SeriesData>() + 4 * size_of::<usize>() + 24;
/// What an alias takes beside its bytes: its place in the index.
const ALIAS_OVERHEAD: usize = 2 * size_of::<usize>();
