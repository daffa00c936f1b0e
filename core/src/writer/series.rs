//! A prepared series: the fast path.

use super::Shared;
use crate::error::{Error, Result};
use crate::input::labels::METRIC_NAME;
use crate::input::series::{Meta, SeriesData};
use crate::input::timestamp::check_timestamp;
use crate::pending::queue::{Nudge, Queue, now_stamp};
use crate::sender::{Sender, closed};
use crate::sys::{self, ForkCell};
use crate::wire::v1::decode_labels;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A prepared label set. Clones are the same series.
#[derive(Clone)]
pub struct Series {
    inner: Arc<SeriesInner>,
}

struct SeriesInner {
    writer: Arc<Shared>,
    /// Encoded: a forked child registers them anew.
    labels: Box<[u8]>,
    meta: Mutex<Option<(Box<str>, Meta)>>,
    local: ForkCell<Registered>,
}

struct Registered {
    data: Arc<SeriesData>,
    queue: Arc<Queue>,
    sender: Arc<Sender>,
}

impl std::fmt::Debug for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_map().entries(self.labels()).finish()
    }
}

impl SeriesInner {
    #[inline]
    fn local(&self) -> Result<&Registered> {
        match self.local.get() {
            Some(local) => Ok(local),
            None => self.register(),
        }
    }

    fn meta(&self) -> MutexGuard<'_, Option<(Box<str>, Meta)>> {
        // whole at every instant: it is only ever replaced
        self.meta.lock().unwrap_or_else(PoisonError::into_inner)
    }

    #[cold]
    fn register(&self) -> Result<&Registered> {
        self.local.get_or_try_init(|| {
            let local = self.writer.local()?;
            let family = self.meta().as_ref().map(|(name, meta)| local.queue.describe(name, meta.clone()));
            let data = local.queue.register(&self.labels, family.as_ref());
            let data = data.map_err(|e| local.sender.closed(e))?;
            Ok(Registered { data, queue: local.queue.clone(), sender: local.sender.clone() })
        })
    }
}

impl Registered {
    #[inline]
    fn append(&self, value: f64, stamp: i64) -> Result<()> {
        let nudge = self.queue.append(&self.data, value, stamp).map_err(|e| self.sender.closed(e))?;
        self.after(nudge);
        Ok(())
    }

    #[inline]
    fn after(&self, nudge: Nudge) {
        match nudge {
            Nudge::Later => self.sender.ensure_worker(),
            Nudge::Now => self.sender.request_ready(),
        }
    }
}

impl Series {
    /// A series with these encoded labels, registered at once so that what is wrong shows here.
    pub(super) fn new(
        writer: Arc<Shared>,
        labels: Box<[u8]>,
        meta: Option<(Box<str>, Meta)>,
    ) -> Result<Self> {
        let inner = SeriesInner { writer, labels, meta: Mutex::new(meta), local: ForkCell::new() };
        inner.local()?;
        Ok(Series { inner: Arc::new(inner) })
    }

    /// Tells the receiver the metric's type, help and unit, once a minute; a change is told at once. The same for every
    /// series of this metric.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn describe(&self, meta: Meta) -> Result<()> {
        if self.inner.writer.closed.load(Ordering::SeqCst) {
            return closed("writer");
        }
        let name = self.labels().find(|(name, _)| *name == METRIC_NAME).map_or("", |(_, value)| value);
        *self.inner.meta() = Some((name.into(), meta.clone()));
        let local = self.inner.local()?;
        let family = local.queue.describe(name, meta);
        local.queue.register(&self.inner.labels, Some(&family)).map_err(|e| local.sender.closed(e))?;
        Ok(())
    }

    /// Records `value` as the series' value now, as a scrape at this moment would see it: for a counter the total so far,
    /// not an increment. Two values within a millisecond are one sample, the later one.
    ///
    /// # Errors
    /// [`Error::QueueFull`] with the overflow policies `error` and `block`; [`Error::Closed`]; [`Error::SenderFailed`].
    #[inline]
    pub fn append(&self, value: f64) -> Result<()> {
        self.inner.local()?.append(value, now_stamp(sys::wall_ms()))
    }

    /// Records `value` at `timestamp_ms`, milliseconds since 1970.
    ///
    /// # Errors
    /// [`Error::InvalidTimestamp`]; otherwise as [`Series::append`].
    #[inline]
    pub fn append_at(&self, value: f64, timestamp_ms: i64) -> Result<()> {
        check_timestamp(timestamp_ms, sys::wall_ms())?;
        self.inner.local()?.append(value, timestamp_ms)
    }

    /// Records many values with their timestamps in milliseconds; both slices have one length.
    ///
    /// # Errors
    /// [`Error::Invalid`] for different lengths and [`Error::InvalidTimestamp`]: nothing was accepted. Otherwise as
    /// [`Series::append`], where what came before the first failure was accepted.
    pub fn extend(&self, values: &[f64], timestamps_ms: &[i64]) -> Result<()> {
        if values.len() != timestamps_ms.len() {
            return Err(Error::invalid(
                "timestamps_ms",
                timestamps_ms.len().to_string(),
                format!("must be as many as values, {}", values.len()),
            ));
        }
        let now = sys::wall_ms();
        timestamps_ms.iter().try_for_each(|t| check_timestamp(*t, now))?;
        let local = self.inner.local()?;
        let samples = values.iter().zip(timestamps_ms).map(|(v, t)| (&*local.data, *v, *t));
        let nudge = local.queue.append_many(samples).map_err(|e| local.sender.closed(e))?;
        local.after(nudge);
        Ok(())
    }

    /// The labels, sorted by name; the metric's name is that of `__name__`.
    pub fn labels(&self) -> impl Iterator<Item = (&str, &str)> {
        decode_labels(&self.inner.labels)
    }
}
