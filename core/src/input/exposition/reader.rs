//! The grammar of both formats: one pass over the page, line by line.

use super::created::Starts;
use super::lexer::{Cursor, Quoted, unescape};
use super::number::{FLOAT_RULE, float, seconds_to_ms, write_label_float};
use super::page::{ExemplarRecord, LabelRange, Page, SampleRecord, Span};
use super::{Format, MetricType, ReadOptions};
use crate::error::Result;
use crate::input::labels::{METRIC_NAME, check_label_name, check_metric_name};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

pub(super) struct Reader<'a> {
    pub(super) cursor: Cursor<'a>,
    pub(super) format: Format,
    options: ReadOptions,
    pub(super) page: Page<'a>,
    pub(super) by_name: HashMap<Cow<'a, str>, u32>,
    /// The family of the line before, which nearly always is that of the next sample.
    pub(super) current: Option<u32>,
    /// Values of `le` and `quantile` that were normalised, because a histogram repeats them for each label set.
    normalized: HashMap<String, Span>,
    starts: Starts,
}

impl<'a> Reader<'a> {
    pub(super) fn new(page: &'a [u8], format: Format, options: ReadOptions) -> Result<Self> {
        let cursor = Cursor::new(page)?;
        Ok(Reader {
            cursor,
            format,
            options,
            page: Page {
                text: cursor.text(),
                changed: String::new(),
                families: Vec::new(),
                // a line has some 80 bytes; one that is shorter costs a growth of the vector, not memory
                samples: Vec::with_capacity(page.len() / 80),
                labels: Vec::with_capacity(page.len() / 60),
                exemplars: Vec::new(),
            },
            by_name: HashMap::new(),
            current: None,
            normalized: HashMap::new(),
            starts: Starts::default(),
        })
    }

    pub(super) fn read(&mut self) -> Result<()> {
        match self.format {
            Format::Text => self.read_text(),
            Format::OpenMetrics => self.read_openmetrics(),
        }
    }

    pub(super) fn finish(mut self) -> Page<'a> {
        let mut starts = std::mem::take(&mut self.starts);
        starts.take_families(&mut self.page, &self.by_name, self.options.keep_created);
        starts.apply(&mut self.page);
        self.page
    }

    fn read_text(&mut self) -> Result<()> {
        loop {
            self.cursor.blanks();
            if self.cursor.at_end() {
                return Ok(());
            }
            match self.cursor.peek() {
                b'\n' => self.cursor.advance(1),
                b'#' => self.text_comment()?,
                _ => self.sample()?,
            }
        }
    }

    fn read_openmetrics(&mut self) -> Result<()> {
        if self.cursor.at_end() {
            return Ok(());
        }
        loop {
            if self.cursor.at_end() {
                return Err(self.cursor.expected("# EOF, which ends an OpenMetrics page"));
            }
            if self.cursor.peek() != b'#' {
                self.sample()?;
            } else if self.openmetrics_comment()? {
                return Ok(());
            }
        }
    }

    fn sample(&mut self) -> Result<()> {
        let start = self.cursor.pos();
        let mut name = None;
        if self.cursor.peek() != b'{' {
            match self.cursor.metric_name() {
                "" => return Err(self.cursor.expected("a metric name")),
                bare => name = Some(self.span(bare)),
            }
            self.gap();
        }
        let labels = if self.cursor.eat(b'{') {
            self.labels(Some(&mut name))?
        } else {
            LabelRange { start: self.page.labels.len() as u32, len: 0 }
        };
        let Some(name) = name else {
            return Err(self.cursor.expected_at(start, "a metric name before or inside the braces"));
        };
        self.gap_before("a value")?;
        let value = self.number()?;
        let (timestamp_ms, exemplar) = match self.format {
            Format::Text => (self.text_timestamp()?, 0),
            Format::OpenMetrics => self.openmetrics_suffix()?,
        };
        if !self.cursor.at_end() && !self.cursor.eat(b'\n') {
            return Err(self.cursor.expected("the end of the line"));
        }
        let family = self.family_of(name);
        let kind = self.page.families[family as usize].kind;
        if self.options.normalize_le {
            match kind {
                MetricType::Histogram => self.normalize(labels, "le"),
                MetricType::Summary => self.normalize(labels, "quantile"),
                _ => {}
            }
        }
        if kind.has_start() && self.is_start(name, family) {
            self.starts.note(&self.page, family, labels, value);
            if !self.options.keep_created {
                self.page.labels.truncate(labels.start as usize);
                return Ok(());
            }
        }
        self.page.samples.push(SampleRecord {
            name,
            labels,
            value,
            timestamp_ms,
            created_ms: None,
            family,
            exemplar,
        });
        Ok(())
    }

    /// The inside of braces and the closing one. `name` takes a quoted metric name, which an exemplar cannot have.
    fn labels(&mut self, mut name: Option<&mut Option<Span>>) -> Result<LabelRange> {
        let start = self.page.labels.len();
        let open = self.cursor.pos();
        loop {
            self.gap();
            if self.cursor.eat(b'}') {
                break;
            }
            let at = self.cursor.pos();
            let label = if self.cursor.peek() == b'"' {
                let quoted = self.cursor.quoted("a name")?;
                self.gap();
                if let (Some(name), b',' | b'}') = (name.as_deref_mut(), self.cursor.peek()) {
                    if name.is_some() {
                        return Err(self
                            .cursor
                            .expected_at(at, "= and a value, the metric has a name already"));
                    }
                    *name = Some(self.quoted_metric_name(quoted, at)?);
                    self.cursor.eat(b',');
                    continue;
                }
                let label = self.unescaped(quoted, true);
                if let Err(error) = check_label_name(self.page.str(label), self.options.names) {
                    return Err(self.cursor.error_at(at, error));
                }
                label
            } else {
                match self.cursor.label_name() {
                    "" => return Err(self.cursor.expected("a label name or }")),
                    METRIC_NAME => {
                        let rule =
                            "label name __name__ is refused: the metric's name stands before the braces";
                        return Err(self.cursor.error_at(at, rule));
                    }
                    bare => self.span(bare),
                }
            };
            self.gap();
            if !self.cursor.eat(b'=') {
                return Err(self.cursor.expected("= after the label name"));
            }
            self.gap();
            let value = self.cursor.quoted("a label value in quotes")?;
            let value = self.unescaped(value, true);
            self.page.labels.push((label, value));
            self.gap();
            // in the text format Prometheus needs no comma between labels
            if !self.cursor.eat(b',') && self.cursor.peek() != b'}' && self.format == Format::OpenMetrics {
                return Err(self.cursor.expected("a comma or }"));
            }
        }
        let range = LabelRange { start: start as u32, len: (self.page.labels.len() - start) as u32 };
        if let Some(twice) = self.duplicate(range) {
            let rule = format!("label name {twice:?} stands twice in one sample");
            return Err(self.cursor.error_at(open, rule));
        }
        Ok(range)
    }

    fn duplicate(&self, range: LabelRange) -> Option<&str> {
        let labels = self.page.label_spans(range);
        let name = |i: usize| self.page.str(labels[i].0);
        if labels.len() <= 16 {
            (1..labels.len())
                .map(name)
                .enumerate()
                .find(|(i, n)| (0..=*i).any(|j| name(j) == *n))
                .map(|(_, n)| n)
        } else {
            // comparing each with each would let one line of a megabyte hold the caller for minutes
            let mut seen = HashSet::with_capacity(labels.len());
            (0..labels.len()).map(name).find(|n| !seen.insert(*n))
        }
    }

    fn text_timestamp(&mut self) -> Result<Option<i64>> {
        self.cursor.blanks();
        let at = self.cursor.pos();
        let token = self.cursor.token();
        if token.is_empty() {
            return Ok(None);
        }
        let Ok(timestamp) = token.parse() else {
            return Err(self
                .cursor
                .expected_at(at, "a timestamp in whole milliseconds or the end of the line"));
        };
        self.cursor.blanks();
        Ok(Some(timestamp))
    }

    /// Timestamp and exemplar behind a value.
    fn openmetrics_suffix(&mut self) -> Result<(Option<i64>, u32)> {
        let mut timestamp_ms = None;
        if self.cursor.rest().starts_with(b" ") && !self.cursor.rest().starts_with(b" # {") {
            self.cursor.advance(1);
            timestamp_ms = Some(self.timestamp()?);
        }
        if !self.cursor.rest().starts_with(b" # {") {
            return Ok((timestamp_ms, 0));
        }
        self.cursor.advance(4);
        let labels = self.labels(None)?;
        self.gap_before("a value")?;
        let value = self.number()?;
        let exemplar_ms = if self.cursor.eat(b' ') { Some(self.timestamp()?) } else { None };
        self.page.exemplars.push(ExemplarRecord { labels, value, timestamp_ms: exemplar_ms });
        Ok((timestamp_ms, self.page.exemplars.len() as u32))
    }

    fn number(&mut self) -> Result<f64> {
        let at = self.cursor.pos();
        let token = self.cursor.token();
        float(token).ok_or_else(|| self.cursor.expected_at(at, FLOAT_RULE))
    }

    fn timestamp(&mut self) -> Result<i64> {
        let at = self.cursor.pos();
        float(self.cursor.token())
            .and_then(seconds_to_ms)
            .ok_or_else(|| self.cursor.expected_at(at, "a timestamp in seconds or an exemplar"))
    }

    /// Blanks between the parts of a sample: any in the text format, none in OpenMetrics.
    #[inline]
    fn gap(&mut self) {
        if self.format == Format::Text {
            self.cursor.blanks();
        }
    }

    /// Blanks before a value: any in the text format, one space in OpenMetrics.
    #[inline]
    fn gap_before(&mut self, what: &str) -> Result<()> {
        self.gap();
        if self.format == Format::OpenMetrics && !self.cursor.eat(b' ') {
            return Err(self.cursor.expected(&format!("one space and {what}")));
        }
        Ok(())
    }

    pub(super) fn quoted_metric_name(&mut self, quoted: Quoted<'a>, at: usize) -> Result<Span> {
        let name = self.unescaped(quoted, true);
        check_metric_name(self.page.str(name), self.options.names)
            .map_err(|error| self.cursor.error_at(at, error))?;
        Ok(name)
    }

    #[inline]
    pub(super) fn unescaped(&mut self, quoted: Quoted<'a>, quotes: bool) -> Span {
        if !quoted.escaped {
            return self.span(quoted.raw);
        }
        let start = self.page.changed.len();
        unescape(quoted.raw, quotes, &mut self.page.changed);
        Span::in_changed(start, self.page.changed.len() - start)
    }

    /// Where `part` of the page stands.
    #[inline]
    pub(super) fn span(&self, part: &'a str) -> Span {
        let start = (part.as_ptr() as usize).saturating_sub(self.page.text.as_ptr() as usize);
        Span::in_page(start, part.len())
    }

    /// Rewrites the value of label `wanted`, if it is a number.
    fn normalize(&mut self, labels: LabelRange, wanted: &str) {
        let spans = self.page.label_spans(labels);
        let Some(at) = spans.iter().position(|(name, _)| self.page.str(*name) == wanted) else { return };
        let (name, old) = spans[at];
        let text = self.page.str(old);
        let new = if let Some(known) = self.normalized.get(text) {
            *known
        } else {
            let Some(value) = float(text) else { return };
            let key = text.to_owned();
            let start = self.page.changed.len();
            write_label_float(value, &mut self.page.changed);
            let new = if self.page.changed[start..] == key {
                self.page.changed.truncate(start);
                old
            } else {
                Span::in_changed(start, self.page.changed.len() - start)
            };
            self.normalized.insert(key, new);
            new
        };
        self.page.labels[labels.start as usize + at] = (name, new);
    }

    /// Whether the sample `name` gives the start of its family's series.
    fn is_start(&self, name: Span, family: u32) -> bool {
        let base = self.page.str(self.page.families[family as usize].name);
        self.page.str(name).strip_prefix(base) == Some("_created")
    }
}
