//! Pages of text, as a scrape serves them, to series, samples and metadata.
//!
//! Two formats are read: the text format 0.0.4 and OpenMetrics 1.0, chosen by the Content-Type. What Prometheus's own
//! reader accepts is accepted: OpenMetrics counters without `_total`, a page without a final line feed, a second
//! `HELP` or `TYPE` (the last one holds), `# UNIT` in the text format (a comment there), unknown escapes (kept as
//! they stand), `_count` without buckets, the same series twice, blanks and tabs in the text format. Beyond that,
//! types are read in any case, all types are known in both formats, and a text timestamp may be negative.
//!
//! A page is accepted whole or not at all: the first line that breaks a rule is reported with line and column.
//! Refused, other than by Prometheus, are two things it lets pass by accident: a raw line feed inside a label value,
//! and a NUL at the start of a line, at which it stops reading without a word.
//!
//! Strings are borrowed from the page and copied only where an escape or a normalised `le` changes them.
//! Native histograms have no text form and are not read.

mod created;
mod families;
mod lexer;
mod metadata;
mod number;
mod page;
mod reader;

pub use families::{families, merge};
pub use page::{Exemplar, Family, LabelPairs, Page, Sample};

use crate::error::{Error, Result};
use crate::input::labels::NameScheme;
use std::str::FromStr;

/// The two text formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// `text/plain`, version 0.0.4 (and 1.0.0, which allows quoted names): timestamps count milliseconds.
    #[default]
    Text,
    /// `application/openmetrics-text`, version 0.0.1 and 1.0.0: timestamps count seconds, `# EOF` ends the page.
    OpenMetrics,
}

impl Format {
    /// The format that a Content-Type names; an empty one means [`Format::Text`].
    ///
    /// `charset` and `escaping` may have any value: a page that is not UTF-8 is refused when it is read, and quoted
    /// names are read as they stand.
    ///
    /// # Errors
    /// [`Error::Invalid`] with field `content_type` for any other media type or version, protobuf among them.
    pub fn from_content_type(content_type: &str) -> Result<Format> {
        let refused = |rule: &'static str| Err(Error::invalid("content_type", content_type, rule));
        let mut parts = content_type.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default();
        let version = parts
            .filter_map(|part| part.split_once('='))
            .find(|(name, _)| name.trim().eq_ignore_ascii_case("version"))
            .map(|(_, value)| value.trim().trim_matches('"'));
        if media_type.is_empty() || media_type.eq_ignore_ascii_case("text/plain") {
            match version {
                None | Some("" | "0.0.1" | "0.0.2" | "0.0.3" | "0.0.4" | "1.0.0") => Ok(Format::Text),
                Some(_) => refused("of text/plain, versions up to 0.0.4 and 1.0.0 are read"),
            }
        } else if media_type.eq_ignore_ascii_case("application/openmetrics-text") {
            match version {
                None | Some("" | "0.0.1" | "1.0.0") => Ok(Format::OpenMetrics),
                Some(_) => refused("of application/openmetrics-text, versions 0.0.1 and 1.0.0 are read"),
            }
        } else {
            refused("must be text/plain or application/openmetrics-text")
        }
    }
}

/// The type of a metric family; the numbers are those of remote write.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[repr(u32)]
pub enum MetricType {
    /// Not known, or `untyped`.
    #[default]
    Unknown = 0,
    /// A total that only grows, but for a restart.
    Counter = 1,
    /// A value that goes up and down.
    Gauge = 2,
    /// Counts by upper bound (`_bucket`), with `_sum` and `_count`.
    Histogram = 3,
    /// A histogram whose counts may go down.
    GaugeHistogram = 4,
    /// Quantiles, with `_sum` and `_count`.
    Summary = 5,
    /// Facts in labels; the value is 1.
    Info = 6,
    /// One of several states is 1, the others are 0.
    StateSet = 7,
}

impl FromStr for MetricType {
    type Err = Error;

    /// Reads the name of a type in any case; `untyped` is [`MetricType::Unknown`].
    fn from_str(name: &str) -> Result<Self> {
        const NAMES: [(&str, MetricType); 9] = [
            ("unknown", MetricType::Unknown),
            ("untyped", MetricType::Unknown),
            ("counter", MetricType::Counter),
            ("gauge", MetricType::Gauge),
            ("histogram", MetricType::Histogram),
            ("gaugehistogram", MetricType::GaugeHistogram),
            ("summary", MetricType::Summary),
            ("info", MetricType::Info),
            ("stateset", MetricType::StateSet),
        ];
        NAMES.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, kind)| *kind).ok_or_else(|| {
            Error::invalid(
                "type",
                name,
                "must be counter, gauge, histogram, gaugehistogram, summary, info, stateset, unknown or untyped",
            )
        })
    }
}

impl MetricType {
    /// Whether a family of this type has start timestamps (`_created`).
    fn has_start(self) -> bool {
        matches!(self, MetricType::Counter | MetricType::Histogram | MetricType::Summary)
    }

    /// The suffixes of the samples of a family of this type, beside the family's own name.
    pub(crate) fn suffixes(self) -> &'static [&'static str] {
        match self {
            MetricType::Counter => &["_total", "_created"],
            MetricType::Histogram => &["_bucket", "_count", "_sum", "_created"],
            MetricType::GaugeHistogram => &["_bucket", "_gcount", "_gsum", "_count", "_sum"],
            MetricType::Summary => &["_count", "_sum", "_created"],
            MetricType::Info => &["_info"],
            MetricType::Gauge | MetricType::StateSet | MetricType::Unknown => &[],
        }
    }
}

/// The value of a label `le` or `quantile` as Prometheus 3 writes it, for callers whose samples come from no page:
/// [`ReadOptions::normalize_le`] does the same, and both must name one series. None if `text` is no number.
#[must_use]
pub fn normal_bound(text: &str) -> Option<String> {
    let mut bound = String::new();
    number::write_label_float(number::float(text)?, &mut bound);
    Some(bound)
}

/// How a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadOptions {
    /// Which names are allowed. Default [`NameScheme::Legacy`], which refuses other names, quoted or not.
    pub names: NameScheme,
    /// Write `le` of histograms and `quantile` of summaries as Prometheus 3 does when it scrapes (`1` becomes `1.0`).
    /// Default true, because otherwise a pushed histogram and a scraped one are different series.
    pub normalize_le: bool,
    /// Keep `_created` lines as series. Default false: they only give [`Sample::created_ms`] of the family's samples.
    pub keep_created: bool,
}

impl Default for ReadOptions {
    fn default() -> Self {
        ReadOptions { names: NameScheme::Legacy, normalize_le: true, keep_created: false }
    }
}

/// Reads a whole page.
///
/// An empty page is a page without samples, in both formats.
///
/// # Errors
/// [`Error::Exposition`] with line, column (in bytes) and rule for the first line that breaks the format, for bytes
/// that are not UTF-8, for a name that [`ReadOptions::names`] does not allow, and for a label that stands twice in a
/// sample. [`Error::TooLarge`] for a page of 2 GiB and more.
pub fn read<'a>(page: &'a [u8], format: Format, options: &ReadOptions) -> Result<Page<'a>> {
    // positions are kept in 31 bits
    const LIMIT: usize = i32::MAX as usize;
    if page.len() > LIMIT {
        return Err(Error::TooLarge { field: "page".into(), size: page.len(), limit: LIMIT });
    }
    let mut reader = reader::Reader::new(page, format, *options)?;
    reader.read()?;
    Ok(reader.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types() {
        for (content_type, format) in [
            ("", Format::Text),
            ("text/plain", Format::Text),
            ("text/plain; version=0.0.4; charset=utf-8", Format::Text),
            ("Text/Plain;Version=\"0.0.4\"", Format::Text),
            ("text/plain; version=1.0.0; charset=utf-8; escaping=allow-utf-8", Format::Text),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; version=1.0.0; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1;escaping=underscores", Format::OpenMetrics),
        ] {
            assert_eq!(Format::from_content_type(content_type), Ok(format), "{content_type}");
        }
        for content_type in [
            "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
            "text/html",
            "text/plain; version=2.0.0",
            "application/openmetrics-text; version=2.0.0",
        ] {
            let error = Format::from_content_type(content_type).unwrap_err().to_string();
            assert!(error.starts_with("content_type: \""), "{error}");
        }
    }

    #[test]
    fn types_by_name_and_number() {
        assert_eq!("GaugeHistogram".parse(), Ok(MetricType::GaugeHistogram));
        assert_eq!("UNTYPED".parse(), Ok(MetricType::Unknown));
        assert!("gage".parse::<MetricType>().unwrap_err().to_string().starts_with("type: \"gage\""));
        assert_eq!(
            [MetricType::Unknown as u32, MetricType::Summary as u32, MetricType::StateSet as u32],
            [0, 5, 7]
        );
    }
}
