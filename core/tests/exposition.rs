//! Reading pages: against what Prometheus's own readers make of them, and against a renderer written the obvious way.

#![allow(clippy::unwrap_used, clippy::panic)]

use promwrite_core::error::Error;
use promwrite_core::input::exposition::{Format, LabelPairs, MetricType, Page, ReadOptions, read};
use promwrite_core::input::labels::NameScheme;
use std::collections::BTreeMap;
use std::fmt::Write as _;

fn text(page: &str) -> Page<'_> {
    read(page.as_bytes(), Format::Text, &ReadOptions::default()).unwrap()
}

fn openmetrics(page: &str) -> Page<'_> {
    read(page.as_bytes(), Format::OpenMetrics, &ReadOptions::default()).unwrap()
}

/// A sample as `pages/expected.go` prints it.
fn line(name: Option<&str>, labels: LabelPairs<'_>, value: f64, timestamp: Option<i64>) -> String {
    let escape = |s: &str| s.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let mut pairs: Vec<(&str, &str)> = labels.iter().chain(name.map(|n| ("__name__", n))).collect();
    pairs.sort_unstable();
    let pairs: Vec<String> =
        pairs.into_iter().map(|(n, v)| format!("\"{}\"=\"{}\"", escape(n), escape(v))).collect();
    let timestamp = timestamp.map_or("-".to_string(), |t| t.to_string());
    format!("{{{}}} {:016x} {timestamp}", pairs.join(","), value.to_bits())
}

fn lines(page: &Page<'_>, with_start: bool) -> Vec<String> {
    page.samples()
        .map(|sample| {
            let mut out = line(Some(sample.name), sample.labels, sample.value, sample.timestamp_ms);
            if let Some(e) = sample.exemplar {
                let _ = write!(out, " # {}", line(None, e.labels, e.value, e.timestamp_ms));
            }
            if let Some(start) = sample.created_ms.filter(|_| with_start) {
                let _ = write!(out, " start {start}");
            }
            out
        })
        .collect()
}

fn as_prometheus_reads(page: &str, expected: &str, format: Format) {
    // Prometheus keeps the `_created` gauges of the text format as series and knows no start there
    let keep_created = format == Format::Text;
    let options = ReadOptions { names: NameScheme::Utf8, keep_created, ..ReadOptions::default() };
    let page = read(page.as_bytes(), format, &options).unwrap();
    let (samples, metadata): (Vec<&str>, Vec<&str>) =
        expected.lines().partition(|line| line.starts_with('{'));
    let read = lines(&page, format == Format::OpenMetrics);
    for (ours, theirs) in read.iter().zip(&samples) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(read.len(), samples.len());

    let escape = |s: &str| s.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    // the last line of each kind and family holds
    let mut last = BTreeMap::new();
    for line in metadata {
        let mut parts = line.splitn(3, ' ');
        let (keyword, name) = (parts.next().unwrap(), parts.next().unwrap());
        last.insert((keyword, name), parts.next().unwrap_or_default());
    }
    assert!(!last.is_empty());
    for ((keyword, name), theirs) in last {
        let family = page.families().find(|f| f.name == name).unwrap();
        match keyword {
            "TYPE" => assert_eq!(Ok(family.kind), theirs.parse(), "{name}"),
            "HELP" => assert_eq!(escape(family.help), theirs, "{name}"),
            _ => assert_eq!(family.unit, theirs, "{name}"),
        }
    }
}

macro_rules! page {
    ($name:ident, $file:literal, $format:expr) => {
        #[test]
        fn $name() {
            as_prometheus_reads(
                include_str!(concat!("pages/", $file)),
                include_str!(concat!("pages/", $file, ".expected")),
                $format,
            );
        }
    };
}

// written by prometheus_client 0.26.0: every type, exemplars, created times
page!(prometheus_client_text, "prometheus_client.txt", Format::Text);
page!(prometheus_client_openmetrics, "prometheus_client.om", Format::OpenMetrics);
// written by hand
page!(odd_text, "odd.txt", Format::Text);
page!(odd_openmetrics, "odd.om", Format::OpenMetrics);
page!(quoted_names, "quoted.txt", Format::Text);

#[test]
fn starts_of_the_text_format_are_those_of_openmetrics() {
    let text = text(include_str!("pages/prometheus_client.txt"));
    let openmetrics = openmetrics(include_str!("pages/prometheus_client.om"));
    assert!(text.samples().all(|s| !s.name.ends_with("_created")));
    let starts = |page: &Page<'_>| -> BTreeMap<String, i64> {
        let starts =
            page.samples().filter_map(|s| Some((line(Some(s.name), s.labels, 0.0, None), s.created_ms?)));
        starts.collect()
    };
    assert_eq!(starts(&text), starts(&openmetrics));
    assert_eq!(starts(&text).len(), 2 + 2 * 8 + 2 * 2 + 1);
}

#[test]
fn a_gauge_that_is_only_named_like_a_start_is_kept() {
    let page = text(include_str!("pages/odd.txt"));
    assert!(page.samples().any(|s| s.name == "kube_pod_created" && s.value == 1.7e9));
    assert!(page.samples().all(|s| s.created_ms.is_none()));
}

#[test]
fn samples_know_their_family() {
    let page = openmetrics(include_str!("pages/prometheus_client.om"));
    let of = |name: &str| page.family(page.samples().find(|s| s.name == name).unwrap().family).unwrap();
    for (sample, family, kind) in [
        ("rows_loaded_total", "rows_loaded", MetricType::Counter),
        ("batch_seconds_bucket", "batch_seconds", MetricType::Histogram),
        ("batch_seconds_sum", "batch_seconds", MetricType::Histogram),
        ("request_bytes_count", "request_bytes", MetricType::Summary),
        ("build_info", "build", MetricType::Info),
        ("task_state", "task_state", MetricType::StateSet),
        ("queue_size_gsum", "queue_size", MetricType::GaugeHistogram),
        ("free_form", "free_form", MetricType::Unknown),
    ] {
        assert_eq!((of(sample).name, of(sample).kind), (family, kind));
    }
    assert_eq!(of("temperature_celsius").unit, "celsius");

    // not in the block of its family, and a suffix that the type does not have
    let page = text("# TYPE h histogram\n# TYPE g gauge\nh_count 1\ng_count 1\nh_total 1\nh 1\ng 1\n");
    let families: Vec<_> = page.samples().map(|s| page.family(s.family).unwrap().name).collect();
    assert_eq!(families, ["h", "g_count", "h_total", "h", "g"]);
}

#[test]
fn le_stays_as_it_is_written_if_so_wished() {
    let page = "# TYPE h histogram\nh_bucket{le=\"1\"} 1\n";
    let raw = ReadOptions { normalize_le: false, ..ReadOptions::default() };
    let le = |options: &ReadOptions| {
        let page = read(page.as_bytes(), Format::Text, options).unwrap();
        page.samples().next().unwrap().labels.iter().next().unwrap().1.to_owned()
    };
    assert_eq!((le(&raw).as_str(), le(&ReadOptions::default()).as_str()), ("1", "1.0"));
}

#[test]
fn what_is_accepted_beyond_prometheus() {
    let page = text(
        "  blanks_before 1\nnegative 1 -1700000000000\n# TYPE g GaugeHistogram \ng_gsum 1\n# HELP g-b x\n",
    );
    let samples: Vec<_> = page.samples().map(|s| (s.name, s.timestamp_ms)).collect();
    assert_eq!(samples, [("blanks_before", None), ("negative", Some(-1_700_000_000_000)), ("g_gsum", None)]);
    let g = page.families().find(|f| f.name == "g").unwrap();
    assert_eq!((g.kind, g.help), (MetricType::GaugeHistogram, ""));
    // Prometheus leaves escapes in the labels of exemplars as they are
    let page = openmetrics("# TYPE c counter\nc_total 1 # {a=\"\\\"\\\\\"} 1\n# EOF\n");
    let exemplar = page.samples().next().unwrap().exemplar.unwrap();
    assert_eq!(exemplar.labels.iter().collect::<Vec<_>>(), [("a", "\"\\")]);
}

#[test]
fn empty_pages_have_no_samples() {
    for page in ["", "\n\n", "# nothing\n"] {
        assert_eq!(text(page).samples().len(), 0);
    }
    for page in ["", "# EOF", "# EOF\n"] {
        assert_eq!(openmetrics(page).samples().len(), 0);
    }
}

#[test]
fn refusals_name_line_column_and_rule() {
    let utf8 = ReadOptions { names: NameScheme::Utf8, ..ReadOptions::default() };
    let legacy = ReadOptions::default();
    for (page, format, options, line, column, part) in [
        (&b"a 1\nb\n"[..], Format::Text, legacy, 2, 2, "expected a number"),
        (b"a 1\nb x\n", Format::Text, legacy, 2, 3, "found \"x\""),
        (b"a 1\r\n", Format::Text, legacy, 1, 3, "carriage return"),
        (b"# TYPE a gauge\r\na 1\r\n", Format::Text, legacy, 1, 10, "line feed alone"),
        (b"\r\n", Format::Text, legacy, 1, 1, "carriage return"),
        (b"a 0x1p3\n", Format::Text, legacy, 1, 3, "a number"),
        (b"a 1_0\n", Format::Text, legacy, 1, 3, "a number"),
        (b"a 1e999\n", Format::Text, legacy, 1, 3, "a number"),
        (b"a 1 1.5\n", Format::Text, legacy, 1, 5, "whole milliseconds"),
        (b"a 1 9223372036854775808\n", Format::Text, legacy, 1, 5, "whole milliseconds"),
        (b"a 1 1 x\n", Format::Text, legacy, 1, 7, "the end of the line"),
        (b"a 1 # {a=\"b\"} 1\n", Format::Text, legacy, 1, 5, "whole milliseconds"),
        (b"1a 1\n", Format::Text, legacy, 1, 1, "a metric name"),
        (b"\0a 1\n", Format::Text, legacy, 1, 1, "a metric name"),
        (b"a{b=\"1\",,} 1\n", Format::Text, legacy, 1, 9, "a label name"),
        (b"a{b:c=\"1\"} 1\n", Format::Text, legacy, 1, 4, "= after the label name"),
        (b"a{b=1} 1\n", Format::Text, legacy, 1, 5, "a label value in quotes"),
        (b"a{b=\"1\n\"} 1\n", Format::Text, legacy, 1, 5, "closing quote"),
        (b"a{b=\"1\\\n\"} 1\n", Format::Text, legacy, 1, 5, "closing quote"),
        (b"a{b=\"1\"\n", Format::Text, legacy, 1, 8, "a label name or }, found the end"),
        (b"a{b=\"1", Format::Text, legacy, 1, 5, "closing quote"),
        (b"a{b=\"1\",c=\"2\",b=\"3\"} 1\n", Format::Text, legacy, 1, 3, "\"b\" stands twice"),
        (b"a{__name__=\"b\"} 1\n", Format::Text, legacy, 1, 3, "__name__"),
        (b"{\"a\",\"__name__\"=\"b\"} 1\n", Format::Text, utf8, 1, 6, "given apart"),
        (b"{\"a\",\"b\"} 1\n", Format::Text, utf8, 1, 6, "has a name already"),
        (b"a{\"b\"} 1\n", Format::Text, utf8, 1, 3, "has a name already"),
        (b"{a=\"b\"} 1\n", Format::Text, utf8, 1, 1, "before or inside the braces"),
        (b"{\"\"} 1\n", Format::Text, utf8, 1, 2, "must not be empty"),
        (b"{\"a.b\"} 1\n", Format::Text, legacy, 1, 2, "metric_name_validation_scheme"),
        (b"a{\"l.m\"=\"1\"} 1\n", Format::Text, legacy, 1, 3, "metric_name_validation_scheme"),
        (b"# TYPE \"a.b\" gauge\n", Format::Text, legacy, 1, 8, "metric_name_validation_scheme"),
        (b"# TYPE a gage\n", Format::Text, legacy, 1, 10, "\"gage\""),
        (b"# TYPE a\n", Format::Text, legacy, 1, 9, "must be counter"),
        (b"# TYPE a-b gauge\n", Format::Text, legacy, 1, 9, "a blank after"),
        (b"# HELP 1a x\n", Format::Text, legacy, 1, 8, "a metric name"),
        (b"a 1\nb{c=\"\xff\"} 1\n", Format::Text, legacy, 2, 6, "not UTF-8"),
        (b"# a comment \xc3\n", Format::Text, legacy, 1, 13, "not UTF-8"),
        (b"a 1\n", Format::OpenMetrics, legacy, 2, 1, "# EOF"),
        (b"a 1", Format::OpenMetrics, legacy, 1, 4, "# EOF"),
        (b"# EOF\na 1\n", Format::OpenMetrics, legacy, 2, 1, "nothing after # EOF"),
        (b"# EOF\r\n", Format::OpenMetrics, legacy, 1, 6, "nothing after # EOF"),
        (b"# comment\n# EOF\n", Format::OpenMetrics, legacy, 1, 1, "no other comments"),
        (b"\n# EOF\n", Format::OpenMetrics, legacy, 1, 1, "a metric name"),
        (b"a  1\n# EOF\n", Format::OpenMetrics, legacy, 1, 3, "a number"),
        (b"a\t1\n# EOF\n", Format::OpenMetrics, legacy, 1, 2, "one space"),
        (b"a{b=\"1\" } 1\n# EOF\n", Format::OpenMetrics, legacy, 1, 8, "a comma or }"),
        (b"a{b=\"1\"c=\"2\"} 1\n# EOF\n", Format::OpenMetrics, legacy, 1, 8, "a comma or }"),
        (b"a 1 NaN\n# EOF\n", Format::OpenMetrics, legacy, 1, 5, "a timestamp in seconds"),
        (b"a 1 \n# EOF\n", Format::OpenMetrics, legacy, 1, 5, "a timestamp in seconds"),
        (b"a 1 # {b=\"c\"}\n# EOF\n", Format::OpenMetrics, legacy, 1, 14, "one space and a value"),
        (b"a 1 # {\"b\"} 1\n# EOF\n", Format::OpenMetrics, legacy, 1, 11, "= after"),
        (b"# UNIT a_seconds second\n# EOF\n", Format::OpenMetrics, legacy, 1, 18, "suffix"),
        (b"# UNIT seconds seconds\n# EOF\n", Format::OpenMetrics, legacy, 1, 16, "suffix"),
    ] {
        let shown = String::from_utf8_lossy(page).into_owned();
        let error = read(page, format, &options).unwrap_err();
        let Error::Exposition { line: l, column: c, rule } = &error else { panic!("{shown:?}: {error}") };
        assert_eq!((*l, *c), (line, column), "{shown:?}: {rule}");
        assert!(rule.contains(part), "{shown:?}: {rule}");
    }
}

#[test]
fn an_error_in_line_900_says_so() {
    let mut page: String = (1..900).fold(String::new(), |mut page, i| {
        let _ = writeln!(page, "a{{i=\"{i}\"}} {i}");
        page
    });
    page.push_str("a{i=\"900\"} nine hundred\na 1\n");
    let error = read(page.as_bytes(), Format::Text, &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.starts_with("exposition: line 900, column 12: expected a number"), "{error}");
    assert!(error.contains("found \"nine hundred\""), "{error}");
}

#[test]
fn many_labels_are_compared_in_good_time() {
    let pairs: Vec<String> = (0..50_000).map(|i| format!("l{i}=\"v\"")).collect();
    assert_eq!(text(&format!("a{{{}}} 1\n", pairs.join(","))).samples().next().unwrap().labels.len(), 50_000);
    let twice = format!("a{{{},l7=\"v\"}} 1\n", pairs.join(","));
    let error = read(twice.as_bytes(), Format::Text, &ReadOptions::default()).unwrap_err().to_string();
    assert!(error.contains("\"l7\" stands twice"), "{error}");
}

mod properties {
    use super::*;
    use proptest::prelude::*;
    use proptest::sample::select;

    #[derive(Debug, Clone)]
    struct Row {
        labels: BTreeMap<String, String>,
        value: f64,
        timestamp: Option<i64>,
    }

    #[derive(Debug, Clone)]
    struct Metrics {
        kind: &'static str,
        help: String,
        rows: Vec<Row>,
    }

    fn value() -> impl Strategy<Value = f64> {
        prop_oneof![
            any::<u64>().prop_map(f64::from_bits),
            any::<i32>().prop_map(f64::from),
            select(vec![0.0, -0.0, f64::INFINITY, f64::NEG_INFINITY, f64::NAN, f64::MIN_POSITIVE]),
        ]
    }

    fn metrics() -> impl Strategy<Value = BTreeMap<String, Metrics>> {
        let string = || prop_oneof![r#"[a\\"n{}=, #]{0,8}"#, "(?s).{0,12}"];
        let labels = prop::collection::btree_map("[a-z][a-zA-Z0-9_]{0,5}", string(), 0..5);
        // whole seconds, because a fraction of a second in a float need not survive the way there and back
        let timestamp = prop::option::of(-4_000_000_000_i64..4_000_000_000_i64);
        let row = (labels, value(), timestamp).prop_map(|(labels, value, timestamp)| Row {
            labels,
            value,
            timestamp,
        });
        let kind = select(vec!["counter", "gauge", "untyped"]);
        let family = (kind, string(), prop::collection::vec(row, 1..5))
            .prop_map(|(kind, help, rows)| Metrics { kind, help, rows });
        // no name ends with a suffix, so that each family stands for itself
        prop::collection::btree_map("m[a-zA-Z0-9:_]{0,8}x", family, 0..6)
    }

    fn escape(text: &str, quotes: bool) -> String {
        let text = text.replace('\\', "\\\\").replace('\n', "\\n");
        if quotes { text.replace('"', "\\\"") } else { text }
    }

    fn number(value: f64) -> String {
        if value.is_nan() { "NaN".into() } else { format!("{value:?}").replace("inf", "Inf") }
    }

    fn render(metrics: &BTreeMap<String, Metrics>, format: Format) -> String {
        let mut page = String::new();
        for (name, family) in metrics {
            let help = escape(&family.help, format == Format::OpenMetrics);
            let kind = match (format, family.kind) {
                (Format::OpenMetrics, "untyped") => "unknown",
                (_, kind) => kind,
            };
            let _ = writeln!(page, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for row in &family.rows {
                let labels: Vec<String> =
                    row.labels.iter().map(|(n, v)| format!("{n}=\"{}\"", escape(v, true))).collect();
                let _ = write!(page, "{name}{{{}}} {}", labels.join(","), number(row.value));
                if let Some(seconds) = row.timestamp {
                    let unit = if format == Format::Text { 1000 } else { 1 };
                    let _ = write!(page, " {}", seconds * unit);
                }
                page.push('\n');
            }
        }
        if format == Format::OpenMetrics {
            page.push_str("# EOF\n");
        }
        page
    }

    fn check(metrics: &BTreeMap<String, Metrics>, format: Format) -> std::result::Result<(), TestCaseError> {
        let rendered = render(metrics, format);
        let page = read(rendered.as_bytes(), format, &ReadOptions::default()).unwrap();
        prop_assert_eq!(page.families().len(), metrics.len());
        let mut samples = page.samples();
        for (i, (name, family)) in metrics.iter().enumerate() {
            let read = page.family(i).unwrap();
            // help of blanks alone is empty in the text format
            let blank = format == Format::Text && family.help.chars().all(|c| c == ' ' || c == '\t');
            prop_assert_eq!(read.help, if blank { "" } else { &family.help });
            prop_assert_eq!((read.name, Ok(read.kind)), (name.as_str(), family.kind.parse()));
            for row in &family.rows {
                let sample = samples.next().unwrap();
                prop_assert_eq!((sample.name, sample.family), (name.as_str(), i));
                let labels: Vec<(&str, &str)> =
                    row.labels.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
                prop_assert_eq!(sample.labels.iter().collect::<Vec<_>>(), labels);
                let bits = if row.value.is_nan() { 0x7ff8_0000_0000_0001 } else { row.value.to_bits() };
                prop_assert_eq!(sample.value.to_bits(), bits);
                prop_assert_eq!(sample.timestamp_ms, row.timestamp.map(|s| s * 1000));
            }
        }
        prop_assert!(samples.next().is_none());
        Ok(())
    }

    proptest! {
        #[test]
        fn what_was_rendered_is_read_back(metrics in metrics()) {
            check(&metrics, Format::Text)?;
            check(&metrics, Format::OpenMetrics)?;
        }

        #[test]
        fn any_bytes_get_an_answer(page in prop::collection::vec(any::<u8>(), 0..200)) {
            for format in [Format::Text, Format::OpenMetrics] {
                let _ = read(&page, format, &ReadOptions::default());
            }
        }

        // a real page with a few bytes changed reaches every part of the grammar
        #[test]
        fn a_damaged_page_gets_an_answer(
            changes in prop::collection::vec((any::<prop::sample::Index>(), select(&b"\0\n\r\t \"\\{}=,#_.:a1-\xc3\xff"[..])), 1..6),
            cut in any::<prop::sample::Index>(),
        ) {
            for (page, format) in [
                (&include_bytes!("pages/odd.txt")[..1500], Format::Text),
                (&include_bytes!("pages/quoted.txt")[..], Format::Text),
                (&include_bytes!("pages/odd.om")[..], Format::OpenMetrics),
            ] {
                let mut page = page.to_vec();
                for (at, byte) in &changes {
                    let at = at.index(page.len());
                    page[at] = *byte;
                }
                page.truncate(cut.index(page.len()) + 1);
                let options = ReadOptions { names: NameScheme::Utf8, ..ReadOptions::default() };
                match read(&page, format, &options) {
                    Ok(read) => {
                        // every view can be made
                        prop_assert!(lines(&read, true).len() <= page.len());
                    }
                    Err(Error::Exposition { line, column, .. }) => {
                        let text = page.split(|b| *b == b'\n').nth(line - 1);
                        prop_assert!(text.is_some_and(|text| column <= text.len() + 1));
                    }
                    Err(other) => return Err(TestCaseError::fail(other.to_string())),
                }
            }
        }
    }
}
