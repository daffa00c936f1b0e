//! A page that was read: records of positions, and the views that callers see.

use super::MetricType;

/// Everything a page holds, in its order.
///
/// Positions in the page and in one string of changed values stand for strings, so that a page of a million lines
/// costs a handful of allocations.
#[derive(Debug)]
pub struct Page<'a> {
    pub(super) text: &'a str,
    /// Unescaped and normalised strings.
    pub(super) changed: String,
    pub(super) families: Vec<FamilyRecord>,
    pub(super) samples: Vec<SampleRecord>,
    pub(super) labels: Vec<(Span, Span)>,
    pub(super) exemplars: Vec<ExemplarRecord>,
}

/// Where a string stands: in the page, or (top bit of `start`) in [`Page::changed`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Span {
    start: u32,
    len: u32,
}

impl Span {
    const CHANGED: u32 = 1 << 31;

    /// In the page, which is shorter than 2 GiB.
    #[inline]
    pub(super) fn in_page(start: usize, len: usize) -> Self {
        Span { start: start as u32, len: len as u32 }
    }

    /// In the changed strings. They stay shorter than the page does: an escape shrinks, and a normalised number is
    /// kept once.
    pub(super) fn in_changed(start: usize, len: usize) -> Self {
        Span { start: start as u32 | Span::CHANGED, len: len as u32 }
    }
}

/// Labels of a sample or an exemplar: a range of [`Page::labels`].
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct LabelRange {
    pub(super) start: u32,
    pub(super) len: u32,
}

#[derive(Debug)]
pub(super) struct FamilyRecord {
    pub(super) name: Span,
    pub(super) kind: MetricType,
    pub(super) help: Span,
    pub(super) unit: Span,
}

#[derive(Debug)]
pub(super) struct SampleRecord {
    pub(super) name: Span,
    pub(super) labels: LabelRange,
    pub(super) value: f64,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) created_ms: Option<i64>,
    pub(super) family: u32,
    /// Index in [`Page::exemplars`] plus one; 0 for none.
    pub(super) exemplar: u32,
}

#[derive(Debug)]
pub(super) struct ExemplarRecord {
    pub(super) labels: LabelRange,
    pub(super) value: f64,
    pub(super) timestamp_ms: Option<i64>,
}

/// A metric family. A sample without `TYPE` and `HELP` belongs to a family of its own name and unknown type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Family<'p> {
    /// The name as `TYPE` or `HELP` gives it: without `_total` in OpenMetrics, with it in most text pages.
    pub name: &'p str,
    /// The type; unknown without `TYPE`.
    pub kind: MetricType,
    /// The help text; empty without `HELP`.
    pub help: &'p str,
    /// The unit; empty without `UNIT`, and always in the text format.
    pub unit: &'p str,
}

/// A sample line.
#[derive(Debug, Clone, Copy)]
pub struct Sample<'p> {
    /// The name of the series, with its suffix (`_bucket`, `_total`).
    pub name: &'p str,
    /// The labels in the order of the line, also those with an empty value.
    pub labels: LabelPairs<'p>,
    /// The value; every NaN is `0x7ff8000000000001`.
    pub value: f64,
    /// Unix milliseconds, if the line has a timestamp.
    pub timestamp_ms: Option<i64>,
    /// Start of the counter, histogram or summary in Unix milliseconds, if the page has a `_created` line with the
    /// same labels.
    pub created_ms: Option<i64>,
    /// The exemplar (OpenMetrics only).
    pub exemplar: Option<Exemplar<'p>>,
    /// Index of the family in [`Page::families`].
    pub family: usize,
}

/// An exemplar of a sample. Its length is not limited here.
#[derive(Debug, Clone, Copy)]
pub struct Exemplar<'p> {
    /// The labels in the order of the line.
    pub labels: LabelPairs<'p>,
    /// The value; every NaN is `0x7ff8000000000001`.
    pub value: f64,
    /// Unix milliseconds; without it, the time of the sample is meant.
    pub timestamp_ms: Option<i64>,
}

/// Names and values of labels, in the order of the line.
#[derive(Clone, Copy)]
pub struct LabelPairs<'p> {
    page: &'p Page<'p>,
    range: LabelRange,
}

impl<'p> LabelPairs<'p> {
    /// The pairs of name and value.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'p str, &'p str)> + use<'p> {
        let page = self.page;
        page.label_spans(self.range).iter().map(|(name, value)| (page.str(*name), page.str(*value)))
    }

    /// How many labels there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.range.len as usize
    }

    /// Whether there is no label.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.range.len == 0
    }
}

impl std::fmt::Debug for LabelPairs<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

impl<'a> Page<'a> {
    /// The families in the order of their first line. One may be without samples.
    pub fn families(&self) -> impl ExactSizeIterator<Item = Family<'_>> {
        self.families.iter().map(|f| self.view(f))
    }

    /// The family of [`Sample::family`].
    #[must_use]
    pub fn family(&self, index: usize) -> Option<Family<'_>> {
        self.families.get(index).map(|f| self.view(f))
    }

    /// The samples in the order of the page.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample<'_>> {
        self.samples.iter().map(|s| Sample {
            name: self.str(s.name),
            labels: LabelPairs { page: self, range: s.labels },
            value: s.value,
            timestamp_ms: s.timestamp_ms,
            created_ms: s.created_ms,
            exemplar: (s.exemplar as usize).checked_sub(1).and_then(|i| self.exemplars.get(i)).map(|e| {
                Exemplar {
                    labels: LabelPairs { page: self, range: e.labels },
                    value: e.value,
                    timestamp_ms: e.timestamp_ms,
                }
            }),
            family: s.family as usize,
        })
    }

    fn view(&self, family: &FamilyRecord) -> Family<'_> {
        Family {
            name: self.str(family.name),
            kind: family.kind,
            help: self.str(family.help),
            unit: self.str(family.unit),
        }
    }

    #[inline]
    pub(super) fn str(&self, span: Span) -> &str {
        let start = (span.start & !Span::CHANGED) as usize;
        let source = if span.start & Span::CHANGED == 0 { self.text } else { &self.changed };
        source.get(start..start + span.len as usize).unwrap_or_default()
    }

    /// The string, if it stands in the page itself.
    pub(super) fn in_text(&self, span: Span) -> Option<&'a str> {
        (span.start & Span::CHANGED == 0)
            .then(|| self.text.get(span.start as usize..(span.start + span.len) as usize))?
    }

    #[inline]
    pub(super) fn label_spans(&self, range: LabelRange) -> &[(Span, Span)] {
        self.labels.get(range.start as usize..(range.start + range.len) as usize).unwrap_or_default()
    }
}
