//! `_created` lines: the start of a counter, histogram or summary, told as a sample of its own.
//!
//! OpenMetrics puts them among the samples of their family. The text format of prometheus_client puts them into a
//! gauge family of their own after it, `foo_created`, with the help text of `foo` (of `foo_total` for a counter).

use super::MetricType;
use super::number::seconds_to_ms;
use super::page::{LabelRange, Page};
use std::borrow::Cow;
use std::collections::HashMap;

/// Starts by family and labels.
#[derive(Default)]
pub(super) struct Starts {
    /// Milliseconds by [`Starts::key`]; none where the value is not a time.
    by_key: HashMap<Vec<u8>, Option<i64>>,
    /// Whether the family of this index has a start.
    families: Vec<bool>,
    key: Vec<u8>,
}

impl Starts {
    /// Remembers the value of a `_created` sample of `family`.
    pub(super) fn note(&mut self, page: &Page<'_>, family: u32, labels: LabelRange, seconds: f64) {
        self.make_key(page, family, labels);
        self.by_key.insert(self.key.clone(), seconds_to_ms(seconds));
        if self.families.len() <= family as usize {
            self.families.resize(family as usize + 1, false);
        }
        self.families[family as usize] = true;
    }

    /// Notes the samples of gauge families that are the starts of another family, and removes them unless `keep`.
    ///
    /// Such a family must have the help text of the other one, because a gauge that is only named alike
    /// (`kube_pod_created`) is a metric of its own and must not be lost.
    pub(super) fn take_families(
        &mut self,
        page: &mut Page<'_>,
        by_name: &HashMap<Cow<'_, str>, u32>,
        keep: bool,
    ) {
        let base_of: Vec<Option<u32>> = (0..page.families.len()).map(|i| base(page, by_name, i)).collect();
        if base_of.iter().all(Option::is_none) {
            return;
        }
        let mut samples = std::mem::take(&mut page.samples);
        samples.retain(|sample| match base_of.get(sample.family as usize) {
            Some(Some(base)) => {
                self.note(page, *base, sample.labels, sample.value);
                keep
            }
            _ => true,
        });
        page.samples = samples;
    }

    /// Writes the starts to the samples of their families.
    pub(super) fn apply(&mut self, page: &mut Page<'_>) {
        if self.by_key.is_empty() {
            return;
        }
        let mut samples = std::mem::take(&mut page.samples);
        for sample in &mut samples {
            if self.families.get(sample.family as usize) == Some(&true) {
                self.make_key(page, sample.family, sample.labels);
                sample.created_ms = self.by_key.get(&self.key).copied().flatten();
            }
        }
        page.samples = samples;
    }

    /// Family and sorted labels but `le` or `quantile`, with 0xff behind each string, which UTF-8 never holds.
    fn make_key(&mut self, page: &Page<'_>, family: u32, labels: LabelRange) {
        let skipped = match page.families[family as usize].kind {
            MetricType::Histogram => "le",
            MetricType::Summary => "quantile",
            _ => "",
        };
        let mut pairs: Vec<(&str, &str)> =
            page.label_spans(labels).iter().map(|(n, v)| (page.str(*n), page.str(*v))).collect();
        pairs.retain(|(name, value)| *name != skipped && !value.is_empty());
        pairs.sort_unstable();
        self.key.clear();
        self.key.extend_from_slice(&family.to_le_bytes());
        for (name, value) in pairs {
            self.key.extend_from_slice(name.as_bytes());
            self.key.push(0xff);
            self.key.extend_from_slice(value.as_bytes());
            self.key.push(0xff);
        }
    }
}

/// The family whose starts the family of this index holds.
fn base(page: &Page<'_>, by_name: &HashMap<Cow<'_, str>, u32>, index: usize) -> Option<u32> {
    let family = &page.families[index];
    if family.kind != MetricType::Gauge {
        return None;
    }
    let name = page.str(family.name).strip_suffix("_created")?;
    let total = format!("{name}_total");
    [name, &total].into_iter().filter_map(|name| by_name.get(name).copied()).find(|base| {
        let base = &page.families[*base as usize];
        base.kind.has_start() && page.str(base.help) == page.str(family.help)
    })
}
