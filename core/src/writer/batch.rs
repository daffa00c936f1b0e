//! Many samples at once.

use super::{Local, Shared};
use crate::error::Result;
use crate::input::labels::Labels;
use crate::input::series::{Family, Meta, SeriesData};
use crate::input::timestamp::check_timestamp;
use crate::pending::queue::now_stamp;
use crate::sys;
use crate::wire::v1::encode_labels_into;
use std::sync::Arc;

/// Many samples that are appended together or not at all. Samples without a timestamp share the time at which the batch
/// was made.
pub struct Batch<'w> {
    shared: &'w Shared,
    local: &'w Local,
    now_ms: i64,
    samples: Vec<(Arc<SeriesData>, f64, i64)>,
    encoded: Vec<u8>,
}

impl<'w> Batch<'w> {
    pub(super) fn new(shared: &'w Shared, local: &'w Local) -> Self {
        Batch { shared, local, now_ms: sys::wall_ms(), samples: Vec::new(), encoded: Vec::new() }
    }

    /// The family of this name, for [`Batch::add`].
    #[must_use]
    pub fn family(&self, name: &str, meta: Meta) -> Arc<Family> {
        self.local.queue.describe(name, meta)
    }

    /// Adds a sample.
    ///
    /// # Errors
    /// As [`super::Writer::series`] and [`super::Series::append_at`].
    pub fn add<'a>(
        &mut self,
        name: &'a str,
        labels: impl IntoIterator<Item = (&'a str, &'a str)>,
        value: f64,
        timestamp_ms: Option<i64>,
        family: Option<&Arc<Family>>,
    ) -> Result<()>
    where
        'w: 'a,
    {
        let labels = Labels::new(name, labels, &self.shared.labels, self.shared.scheme())?;
        self.add_labels(&labels, value, timestamp_ms, family)
    }

    pub(super) fn add_labels(
        &mut self,
        labels: &Labels<'_>,
        value: f64,
        timestamp_ms: Option<i64>,
        family: Option<&Arc<Family>>,
    ) -> Result<()> {
        let stamp = match timestamp_ms {
            Some(at) => {
                check_timestamp(at, self.now_ms)?;
                at
            }
            None => now_stamp(self.now_ms),
        };
        encode_labels_into(labels, &mut self.encoded);
        let series = self.local.queue.register(&self.encoded, family);
        self.samples.push((series.map_err(|e| self.local.sender.closed(e))?, value, stamp));
        Ok(())
    }

    /// Samples added so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Appends all of it.
    ///
    /// # Errors
    /// As [`super::Series::append`].
    pub fn commit(self) -> Result<()> {
        self.local.append_many(self.samples.iter().map(|(series, value, at)| (&**series, *value, *at)))
    }
}
