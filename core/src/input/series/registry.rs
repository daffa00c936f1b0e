//! The registry of series: by labels, by number, and what they take.
//!
//! A series nobody can append to any more (no handle, no pending sample) goes after a while, because labels churn: a job
//! that makes a series a task would otherwise grow for ever.

use super::{ALIAS_OVERHEAD, Family, Meta, SeriesData};
use crate::error::{Error, Result};
use crate::input::request::TimeSeries;
use crate::wire::v1::SeriesBytes;
use foldhash::quality::RandomState;
use std::borrow::Borrow;
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

const PAGE: usize = 256;

struct Page {
    slots: [OnceLock<Arc<SeriesData>>; PAGE],
}

impl Page {
    fn new() -> Self {
        Page { slots: [const { OnceLock::new() }; PAGE] }
    }
}

/// Series by number, for the worker: valid for every series registered before it was taken.
#[derive(Clone, Default)]
pub struct Pages(Vec<Arc<Page>>);

impl Pages {
    /// The series with this number.
    #[inline]
    #[must_use]
    pub fn get(&self, id: u32) -> Option<&Arc<SeriesData>> {
        let id = id as usize;
        self.0.get(id / PAGE)?.slots[id % PAGE].get()
    }
}

impl SeriesBytes for Pages {
    #[inline]
    fn labels(&self, series: u32) -> &[u8] {
        self.get(series).map_or(&[], |s| &s.labels)
    }

    #[inline]
    fn last_cut(&self, series: u32) -> i64 {
        self.get(series).map_or(i64::MIN, |s| s.last_cut.load(Ordering::Relaxed))
    }

    #[inline]
    fn set_last_cut(&mut self, series: u32, newest_ms: i64) {
        if let Some(s) = self.get(series) {
            s.last_cut.store(newest_ms, Ordering::Relaxed);
        }
    }
}

/// The registry of one queue.
pub struct Registry {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    index: HashSet<ByLabels, RandomState>,
    aliases: HashSet<ByAlias, RandomState>,
    families: HashMap<Box<str>, Arc<Family>>,
    pages: Pages,
    free: Vec<u32>,
    next: u32,
    bytes: usize,
}

struct ByLabels(Arc<SeriesData>);

impl Borrow<[u8]> for ByLabels {
    fn borrow(&self) -> &[u8] {
        &self.0.labels
    }
}
impl Hash for ByLabels {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.labels.hash(state);
    }
}
impl PartialEq for ByLabels {
    fn eq(&self, other: &Self) -> bool {
        self.0.labels == other.0.labels
    }
}
impl Eq for ByLabels {}

struct ByAlias(Arc<SeriesData>);

impl ByAlias {
    fn bytes(&self) -> &[u8] {
        self.0.alias.get().map_or(&[], |alias| alias)
    }
}
impl Borrow<[u8]> for ByAlias {
    fn borrow(&self) -> &[u8] {
        self.bytes()
    }
}
impl Hash for ByAlias {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}
impl PartialEq for ByAlias {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}
impl Eq for ByAlias {}

impl Default for Registry {
    fn default() -> Self {
        Self::new()
    }
}

impl Registry {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Registry { inner: Mutex::new(Inner::default()) }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The series with these labels, as [`crate::wire::v1::encode_labels`] wrote them, made if there is none. With a new
    /// series comes how many bytes all series take now. A series keeps the first family it is given.
    ///
    /// # Errors
    /// [`Error::TooLarge`] when the labels alone pass `max_bytes`, the limit of a request: such a series could never be
    /// sent.
    pub fn register(
        &self,
        encoded: &[u8],
        family: Option<&Arc<Family>>,
        max_bytes: usize,
    ) -> Result<(Arc<SeriesData>, Option<usize>)> {
        // a sample and the frames of its messages take fewer than 64 bytes
        if encoded.len() + 64 > max_bytes {
            return Err(Error::TooLarge {
                field: "labels of one series".into(),
                size: encoded.len(),
                limit: max_bytes,
            });
        }
        let mut inner = self.lock();
        let (series, new) = match inner.index.get(encoded) {
            Some(known) => (known.0.clone(), None),
            None => (inner.insert(encoded.into()), Some(inner.bytes)),
        };
        if let Some(family) = family
            && series.family.get().is_none()
        {
            let _ = series.family.set(family.clone());
        }
        Ok((series, new))
    }

    /// Looks up each of `given` by its leading labels and stops at the first that nobody knows; with a series comes the
    /// length of these labels. They are an alias or, where they may be `complete`, labels as
    /// [`crate::wire::v1::encode_labels`] wrote them. One lock for all of them.
    pub(crate) fn find(
        &self,
        given: &[TimeSeries<'_>],
        complete: bool,
        found: &mut Vec<(Arc<SeriesData>, usize)>,
    ) {
        let inner = self.lock();
        // most callers push the same series in the same order, so that the next is the one that was registered next
        let mut in_order = true;
        for one in given {
            let next = found.last().map_or(0, |(last, _)| last.id.wrapping_add(1));
            let guess = if in_order { inner.pages.get(next) } else { None };
            let known = guess.and_then(|guess| Some((guess, guess.leads(one.bytes(), complete)?)));
            let known = known.or_else(|| {
                let labels = one.leading_labels().ok()?;
                Some((inner.find(labels, complete)?, labels.len()))
            });
            let Some((series, len)) = known else { return };
            in_order = series.id == next;
            found.push((series.clone(), len));
        }
    }

    /// Lets `given` lead to `series` in [`Registry::find`] as long as the series stays: how many bytes all series take now.
    /// None, and no alias, where the series has one already or the series would take more than `max_bytes` with it, because
    /// an alias only saves time.
    pub(crate) fn alias(&self, given: &[u8], series: &Arc<SeriesData>, max_bytes: usize) -> Option<usize> {
        let mut inner = self.lock();
        let bytes = inner.bytes + given.len() + ALIAS_OVERHEAD;
        if given.is_empty() || bytes > max_bytes || series.alias.set(given.into()).is_err() {
            return None;
        }
        inner.aliases.insert(ByAlias(series.clone()));
        inner.bytes = bytes;
        Some(bytes)
    }

    /// The family of this name; its metadata is sent again when it differs from what was known.
    pub fn describe(&self, name: &str, meta: Meta) -> Arc<Family> {
        self.lock().family(name, meta)
    }

    /// The series by number, as of now.
    #[must_use]
    pub fn pages(&self) -> Pages {
        self.lock().pages.clone()
    }

    /// Bytes that the series take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// How many series there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().index.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Lets go of series that nobody holds, that have no sample in the queue's chunk `settled` or a later one and, unless `now`
    /// is set, that were not appended to since the sweep before.
    pub fn sweep(&self, settled: u64, now: bool) -> usize {
        let mut inner = self.lock();
        let unused: Vec<Arc<SeriesData>> = inner
            .index
            .iter()
            .map(|s| &s.0)
            .filter(|s| {
                // the index and the page hold it, and the index of aliases. Counted first, and the fence after it, because
                // the holder that let go a moment ago has marked its last append before
                let holders = 2 + usize::from(s.alias.get().is_some());
                let unused = Arc::strong_count(s) == holders;
                fence(Ordering::Acquire);
                let last = s.last_chunk.load(Ordering::Relaxed);
                let idle = now || s.swept_chunk.swap(last, Ordering::Relaxed) == last;
                unused && idle && last < settled
            })
            .cloned()
            .collect();
        for series in &unused {
            inner.remove(series);
        }
        let used: HashSet<Box<str>> =
            inner.index.iter().filter_map(|s| s.0.family().map(|f| f.name.clone())).collect();
        if !unused.is_empty() {
            inner.families.retain(|name, _| used.contains(name));
        }
        unused.len()
    }
}

impl Inner {
    fn find(&self, labels: &[u8], complete: bool) -> Option<&Arc<SeriesData>> {
        let exact = if complete { self.index.get(labels) } else { None };
        exact.map(|s| &s.0).or_else(|| self.aliases.get(labels).map(|s| &s.0))
    }

    fn insert(&mut self, labels: Box<[u8]>) -> Arc<SeriesData> {
        let id = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.next - 1
        });
        let series = Arc::new(SeriesData {
            id,
            labels,
            alias: OnceLock::new(),
            family: OnceLock::new(),
            last_chunk: AtomicU64::new(0),
            swept_chunk: AtomicU64::new(u64::MAX),
            last_cut: AtomicI64::new(i64::MIN),
        });
        let page = id as usize / PAGE;
        if page == self.pages.0.len() {
            self.pages.0.push(Arc::new(Page::new()));
        }
        let _ = self.pages.0[page].slots[id as usize % PAGE].set(series.clone());
        self.bytes += series.bytes();
        self.index.insert(ByLabels(series.clone()));
        series
    }

    fn remove(&mut self, series: &Arc<SeriesData>) {
        self.index.remove(&*series.labels);
        if let Some(alias) = series.alias.get() {
            self.aliases.remove(&**alias);
        }
        self.bytes -= series.bytes();
        let (page, slot) = (series.id as usize / PAGE, series.id as usize % PAGE);
        // a new page and not a cleared slot, because the worker may be reading the old page
        let kept = Page::new();
        for (i, (to, from)) in kept.slots.iter().zip(&self.pages.0[page].slots).enumerate() {
            if i != slot
                && let Some(other) = from.get()
            {
                let _ = to.set(other.clone());
            }
        }
        self.pages.0[page] = Arc::new(kept);
        self.free.push(series.id);
    }

    fn family(&mut self, name: &str, meta: Meta) -> Arc<Family> {
        if let Some(family) = self.families.get(name) {
            let mut known = family.meta.lock().unwrap_or_else(PoisonError::into_inner);
            if *known != meta {
                *known = meta;
                family.due_ns.store(0, Ordering::Relaxed);
            }
            drop(known);
            return family.clone();
        }
        let family =
            Arc::new(Family { name: name.into(), meta: Mutex::new(meta), due_ns: AtomicU64::new(0) });
        self.families.insert(name.into(), family.clone());
        family
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::labels::{Labels, NameScheme};
    use crate::wire::v1::encode_labels;

    fn labels(name: &str, value: impl ToString) -> Box<[u8]> {
        encode_labels(&Labels::new(name, [("n", &*value.to_string())], &[], NameScheme::Legacy).unwrap())
    }

    #[test]
    fn equal_labels_are_one_series() {
        let registry = Registry::new();
        let a = registry.register(&labels("up", 1), None, 1000).unwrap().0;
        let b = registry.register(&labels("up", 1), None, 1000).unwrap().0;
        let c = registry.register(&labels("up", 2), None, 1000).unwrap().0;
        assert!(Arc::ptr_eq(&a, &b) && a.id() != c.id() && registry.len() == 2);
        assert_eq!(registry.pages().labels(c.id()), c.labels());
    }

    #[test]
    fn a_series_larger_than_a_request_is_refused() {
        let registry = Registry::new();
        let error = registry.register(&labels("up", "x".repeat(1000)), None, 1000).unwrap_err();
        assert!(matches!(error, Error::TooLarge { limit: 1000, .. }), "{error}");
        assert!(registry.is_empty());
    }

    #[test]
    fn a_series_goes_when_nobody_can_append_to_it_and_nothing_is_pending() {
        let registry = Registry::new();
        let held = registry.register(&labels("held", 0), None, 1000).unwrap().0;
        let many: Vec<_> =
            (0..600).map(|n| registry.register(&labels("m", n), None, 1000).unwrap().0).collect();
        let pending = registry.register(&labels("pending", 0), None, 1000).unwrap().0;
        for (seq, series) in many.iter().chain([&pending, &held]).enumerate() {
            series.touch(seq as u64 + 1);
        }
        let view = registry.pages();
        let (pending_id, some_id, some_labels) = (pending.id(), many[7].id(), many[7].labels().to_vec());
        drop((many, pending));
        assert_eq!(registry.sweep(601, false), 0, "the first sweep only marks");
        assert_eq!(registry.sweep(601, false), 600);
        assert_eq!(registry.len(), 2);
        assert!(registry.pages().get(pending_id).is_some());
        assert_eq!(view.labels(some_id), some_labels, "a view taken before keeps what it saw");
        drop(view);
        let bytes = registry.bytes();
        let again = registry.register(&labels("m", 9), None, 1000).unwrap().0;
        assert!((again.id() as usize) < 602, "numbers are reused");
        assert_eq!(registry.pages().labels(again.id()), again.labels());
        assert_eq!(registry.bytes(), bytes + again.bytes());
    }

    #[test]
    fn metadata_is_due_when_it_changes_and_once_an_interval() {
        let registry = Registry::new();
        let meta = |help: &str| Meta { help: help.into(), ..Meta::default() };
        let family = registry.describe("up", meta("a"));
        let series = registry.register(&labels("up", 1), Some(&family), 1000).unwrap().0;
        assert!(Arc::ptr_eq(series.family().unwrap(), &family));
        assert!(family.take_due(10, 70) && !family.take_due(69, 129) && family.take_due(70, 130));
        assert!(Arc::ptr_eq(&registry.describe("up", meta("a")), &family));
        assert!(!family.take_due(71, 131));
        registry.describe("up", meta("b"));
        assert!(family.take_due(72, 132) && &*family.meta().help == "b");
    }

    #[test]
    fn other_bytes_lead_to_a_series_as_long_as_it_stays() {
        let registry = Registry::new();
        let series = registry.register(&labels("up", 1), None, 1000).unwrap().0;
        let (bytes, given) = (registry.bytes(), [&labels("up", 1)[..], &labels("up", 1)[..]].concat());
        let find = |given: &[u8], complete| {
            let mut found = Vec::new();
            registry.find(&[TimeSeries::alone(given), TimeSeries::alone(given)], complete, &mut found);
            found.iter().for_each(|(_, len)| assert_eq!(*len, given.len()));
            found.into_iter().map(|(series, _)| series.id()).collect::<Vec<_>>()
        };
        assert_eq!((find(&given, true).len(), find(series.labels(), false).len()), (0, 0));
        assert_eq!(registry.alias(&given, &series, bytes + given.len()), None, "no room");
        let more = registry.alias(&given, &series, 10_000).unwrap();
        assert_eq!((more, series.bytes()), (registry.bytes(), registry.bytes()));
        assert!(more > bytes);
        assert_eq!(registry.alias(series.labels(), &series, 10_000), None, "one alias a series");
        let id = series.id();
        assert_eq!(
            (find(&given, false), find(&given, true), find(series.labels(), true)),
            (vec![id; 2], vec![id; 2], vec![id; 2])
        );
        assert_eq!(find(series.labels(), false), [], "labels of ours are no alias");
        assert_eq!(registry.sweep(9, true), 0);
        drop(series);
        assert_eq!((registry.sweep(9, true), registry.bytes()), (1, 0));
        assert_eq!(find(&given, false), []);
    }

    #[test]
    fn the_series_registered_next_is_taken_only_where_its_labels_stand() {
        let registry = Registry::new();
        let all: Vec<_> =
            (0..600).map(|n| registry.register(&labels("m", n), None, 1000).unwrap().0).collect();
        let find = |order: &[usize]| {
            let given: Vec<_> = order.iter().map(|n| TimeSeries::alone(all[*n].labels())).collect();
            let mut found = Vec::new();
            registry.find(&given, true, &mut found);
            let found: Vec<_> = found.iter().map(|(series, _)| series.id()).collect();
            assert_eq!(found, order.iter().map(|n| all[*n].id()).collect::<Vec<_>>());
        };
        find(&(0..600).collect::<Vec<_>>());
        find(&(0..600).rev().collect::<Vec<_>>());
        find(&[5, 6, 6, 7, 300, 301, 599, 0]);
        // longer by a label than the one that is guessed
        let longer = [all[1].labels(), all[2].labels()].concat();
        let mut found = Vec::new();
        registry.find(&[TimeSeries::alone(all[0].labels()), TimeSeries::alone(&longer)], true, &mut found);
        assert_eq!(found.len(), 1);
    }
}
