//! Many series in one call: what a `WriteRequest` becomes on its way through a writer, against a receiver that refuses what
//! Prometheus refuses.

#![allow(clippy::unwrap_used, clippy::panic)]

use promwrite_core::config::Config;
use promwrite_core::error::Error;
use promwrite_core::wire::proto::{
    Exemplar, Histogram, Label, MetricMetadata, MetricType, Sample, TimeSeries, WriteRequest,
};
use promwrite_core::writer::Writer;
use promwrite_receiver::{Decoded, Options, Receiver, Rules, Strictness};
use proptest::prelude::*;
use prost::Message;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const LONG: Duration = Duration::from_secs(30);
const NOW: i64 = i64::MIN;

type Set = BTreeMap<String, String>;

fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

struct Pair {
    receiver: Receiver,
    writer: Writer,
}

impl Pair {
    fn new(options: &[(&str, &str)]) -> Self {
        let rules = Rules { strictness: Strictness::Prometheus, ..Rules::default() };
        let receiver = Receiver::with(Options { rules, ..Options::default() }).unwrap();
        let own = [("instance", ""), ("proxy_from_environment", "false")];
        let config = Config::from_pairs(own.iter().chain(options).copied()).unwrap();
        let writer = Writer::new(&receiver.url("/api/v1/write"), config).unwrap();
        Pair { receiver, writer }
    }

    fn push(&self, timeseries: Vec<TimeSeries>) -> Result<usize, Error> {
        self.writer.push_request(&WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec())
    }

    /// What the receiver has after a flush: labels, and (time, value bits) in the order in which they came.
    fn held(&self) -> BTreeMap<Set, Vec<(i64, u64)>> {
        let report = self.writer.flush(LONG);
        assert!(report.complete(), "{report:?}");
        self.receiver.inspect(|state| {
            let one = |(labels, samples): (&_, &Vec<promwrite_receiver::Stored>)| {
                let labels: &Set = labels;
                let samples = samples.iter().map(|s| (s.sample.ts_ms, s.sample.value().to_bits()));
                (labels.clone(), samples.collect())
            };
            state.store.series.iter().map(one).collect()
        })
    }

    fn accepted(&self) -> u64 {
        self.writer.stats().unwrap().balance.ledger.accepted
    }
}

fn series(labels: &[(&str, &str)], samples: &[(f64, i64)]) -> TimeSeries {
    TimeSeries {
        labels: labels.iter().map(|(n, v)| Label { name: (*n).into(), value: (*v).into() }).collect(),
        samples: samples
            .iter()
            .map(|(value, timestamp)| Sample { value: *value, timestamp: *timestamp })
            .collect(),
        ..TimeSeries::default()
    }
}

fn set(labels: &[(&str, &str)]) -> Set {
    labels.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect()
}

#[test]
fn labels_are_sorted_completed_and_without_empty_values_whether_known_or_not() {
    let pair = Pair::new(&[("labels.job", "etl")]);
    let start = now_ms() - 10_000;
    for step in 0..3 {
        let at = start + step;
        let taken = pair.push(vec![
            series(&[("__name__", "a"), ("b", "1")], &[(1.0, at)]),
            series(&[("z", "1"), ("__name__", "a"), ("App", "2"), ("gone", "")], &[(2.0, at)]),
            // the writer's own labels give way, also to an empty one
            series(&[("__name__", "a"), ("b", "1"), ("job", "own")], &[(3.0, at)]),
            series(&[("__name__", "a"), ("b", "1"), ("job", "")], &[(4.0, at)]),
        ]);
        assert_eq!(taken, Ok(4));
    }
    let held = pair.held();
    for (labels, value) in [
        (&[("__name__", "a"), ("b", "1"), ("job", "etl")][..], 1.0_f64),
        (&[("App", "2"), ("__name__", "a"), ("job", "etl"), ("z", "1")], 2.0),
        (&[("__name__", "a"), ("b", "1"), ("job", "own")], 3.0),
        (&[("__name__", "a"), ("b", "1")], 4.0),
    ] {
        let expected: Vec<_> = (0..3).map(|step| (start + step, value.to_bits())).collect();
        assert_eq!(held[&set(labels)], expected, "{labels:?}");
    }
    assert_eq!(held.len(), 4);
}

#[test]
fn one_request_may_repeat_series_have_none_or_no_samples() {
    let pair = Pair::new(&[]);
    let at = now_ms() - 10_000;
    assert_eq!(pair.push(Vec::new()), Ok(0));
    let up = [("__name__", "up"), ("a", "b")];
    let taken = pair.push(vec![
        series(&up, &[(1.0, at), (2.0, at + 1)]),
        series(&[("__name__", "silent")], &[]),
        series(&up, &[(3.0, at + 2)]),
        series(&[up[1], up[0]], &[(4.0, at + 3)]),
    ]);
    assert_eq!(taken, Ok(4));
    let expected: Vec<_> = [1.0_f64, 2.0, 3.0, 4.0].iter().zip(at..).map(|(v, t)| (t, v.to_bits())).collect();
    assert_eq!(pair.held(), BTreeMap::from([(set(&up), expected)]));
}

#[test]
fn now_is_one_time_for_the_whole_call() {
    let pair = Pair::new(&[]);
    // the clock of an append may lie a tick behind
    let before = now_ms() - 100;
    let names = ["a", "b", "c"];
    pair.push(names.map(|name| series(&[("__name__", name)], &[(1.0, NOW)])).into()).unwrap();
    let after = now_ms();
    let times: BTreeSet<i64> = pair.held().values().flatten().map(|(time, _)| *time).collect();
    assert!(times.len() == 1 && times.iter().all(|t| (before..=after).contains(t)), "{times:?}");
}

#[test]
fn nothing_is_appended_where_anything_is_wrong() {
    let pair = Pair::new(&[]);
    let at = now_ms();
    let good = series(&[("__name__", "good")], &[(1.0, at)]);
    let with = |change: fn(&mut TimeSeries)| {
        let mut bad = series(&[("__name__", "bad"), ("a", "1")], &[(1.0, 1_700_000_000_000)]);
        change(&mut bad);
        bad
    };
    for (bad, message) in [
        (
            with(|s| s.labels.clear()),
            "packed: \"series 2, counted from 0\" is refused: must have a label __name__",
        ),
        (with(|s| s.labels[0].value.clear()), "metric name: \"\" is refused"),
        (with(|s| s.labels[0].value = "b-d".into()), "metric name: \"b-d\" is refused"),
        (with(|s| s.labels[1].name = "a-b".into()), "label name: \"a-b\" is refused"),
        (with(|s| s.labels[1].name.clear()), "label name: \"\" is refused"),
        (with(|s| s.labels[1].name = "__name__".into()), "\"__name__\" is refused: a label may stand once"),
        (with(|s| s.labels.push(s.labels[1].clone())), "\"a\" is refused: a label may stand once"),
        (with(|s| s.samples[0].timestamp = 1_700_000_000), "timestamp: 1700000000 is refused"),
        (with(|s| s.samples[0].timestamp = 0), "timestamp: 0 is refused"),
        (
            with(|s| s.exemplars.push(Exemplar::default())),
            "\"series 2, counted from 0, bad\" is refused: must have no exemplars",
        ),
        (with(|s| s.histograms.push(Histogram::default())), "must have no native histograms"),
        (with(|s| s.labels[1].value = "x".repeat(2_000_000)), "labels of one series: "),
    ] {
        let error = pair.push(vec![good.clone(), good.clone(), bad, good.clone()]).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
        assert_eq!(pair.accepted(), 0, "{message}");
    }
    let mut bytes =
        WriteRequest { timeseries: vec![good.clone(), good], metadata: Vec::new() }.encode_to_vec();
    bytes.pop();
    let error = pair.writer.push_request(&bytes).unwrap_err().to_string();
    assert!(error.starts_with("packed: byte "), "{error}");
    assert_eq!(pair.accepted(), 0);
}

#[test]
fn metadata_is_told_for_the_families_that_have_series() {
    let pair = Pair::new(&[]);
    let entry = |kind: MetricType, family: &str| MetricMetadata {
        r#type: kind.into(),
        metric_family_name: family.into(),
        help: format!("Help of {family}."),
        unit: "rows".into(),
    };
    let names = ["rows_total", "jobs_total", "size_bucket", "size_sum", "size_count", "level", "other_total"];
    let request = WriteRequest {
        timeseries: names.iter().map(|name| series(&[("__name__", name)], &[(1.0, NOW)])).collect(),
        metadata: vec![
            entry(MetricType::Counter, "rows_total"),
            entry(MetricType::Counter, "jobs"),
            entry(MetricType::Histogram, "size"),
            entry(MetricType::Gauge, "level"),
            entry(MetricType::Gauge, "other"),
            entry(MetricType::Gauge, "nobody"),
        ],
    };
    assert_eq!(pair.writer.push_request(&request.encode_to_vec()), Ok(names.len()));
    assert_eq!(pair.held().len(), names.len());
    let mut told = Vec::new();
    for request in pair.receiver.requests() {
        if let Decoded::WriteV1 { metadata, .. } = request.decoded {
            told.extend(metadata.into_iter().map(|m| (m.family, m.r#type, m.help, m.unit)));
        }
    }
    told.sort();
    let expected =
        [("jobs", "counter"), ("level", "gauge"), ("rows_total", "counter"), ("size", "histogram")];
    let expected = expected.map(|(family, kind)| {
        (family.to_owned(), kind.to_owned(), format!("Help of {family}."), "rows".to_owned())
    });
    assert_eq!(told, expected);
}

#[test]
fn a_series_is_prepared_from_labels_in_any_order() {
    let pair = Pair::new(&[("labels.job", "etl")]);
    let labels = |pairs| series(pairs, &[]).encode_to_vec();
    let one = pair.writer.series_from_labels(&labels(&[("b", "1"), ("__name__", "up"), ("a", "")])).unwrap();
    assert_eq!(one.labels().collect::<Vec<_>>(), [("__name__", "up"), ("b", "1"), ("job", "etl")]);
    one.append(1.0).unwrap();
    assert_eq!(pair.held().len(), 1);
    for (bytes, message) in [
        (series(&[("__name__", "up")], &[(1.0, NOW)]).encode_to_vec(), "must be labels alone"),
        (labels(&[("a", "1")]), "labels: \"\" is refused: must have a label __name__"),
        (labels(&[("__name__", "up"), ("a-b", "1")]), "label name: \"a-b\""),
        (vec![0x0a, 3], "labels: byte 1 is refused: a length must not pass the end of its message"),
    ] {
        let error = pair.writer.series_from_labels(&bytes).unwrap_err().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn a_closed_writer_takes_no_request() {
    let pair = Pair::new(&[]);
    let _ = pair.writer.close(LONG);
    let up = || vec![series(&[("__name__", "up")], &[(1.0, NOW)])];
    assert_eq!(pair.push(up()), Err(Error::Closed { what: "writer" }));
}

/// A few label sets in a few orders, so that series, aliases and guesses meet.
fn given() -> impl Strategy<Value = Vec<Vec<(&'static str, &'static str)>>> {
    const POOL: [(&str, &str); 7] =
        [("__name__", "m"), ("a", "1"), ("a", "2"), ("b", "1"), ("b", ""), ("job", "own"), ("job", "")];
    let labels = prop::collection::vec(prop::sample::select(&POOL[1..]), 0..3).prop_map(|mut labels| {
        labels.push(POOL[0]);
        labels
    });
    prop::collection::vec(labels.prop_shuffle(), 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn every_way_of_looking_up_finds_the_series_that_a_batch_finds(
        requests in prop::collection::vec(given(), 1..6),
        own_label in any::<bool>(),
        repeat in 1..3_usize,
    ) {
        let options: &[_] = if own_label { &[("labels.job", "etl")] } else { &[] };
        let pair = Pair::new(options);
        let mut at = now_ms() - 100_000;
        let mut expected: BTreeMap<Set, Vec<(i64, u64)>> = BTreeMap::new();
        for request in requests.iter().flat_map(|r| std::iter::repeat_n(r, repeat)) {
            let mut names: Vec<BTreeSet<&str>> = Vec::new();
            let mut sent = Vec::new();
            let mut ours = Vec::new();
            for labels in request {
                at += 1;
                names.push(labels.iter().map(|(name, _)| *name).collect());
                sent.push(series(labels, &[(at as f64, at)]));
                let mut all = set(labels);
                if own_label {
                    all.entry("job".into()).or_insert_with(|| "etl".into());
                }
                all.retain(|_, value| !value.is_empty());
                ours.push((all, (at, (at as f64).to_bits())));
            }
            let good = request.iter().zip(&names).all(|(labels, names)| labels.len() == names.len());
            let pushed = pair.push(sent);
            prop_assert_eq!(pushed.is_ok(), good, "{:?}", pushed);
            if good {
                ours.into_iter().for_each(|(labels, sample)| expected.entry(labels).or_default().push(sample));
            }
        }
        prop_assert_eq!(pair.held(), expected);
    }

    #[test]
    fn any_bytes_are_taken_whole_or_refused_whole(
        names in prop::collection::vec("[a-c]{0,3}", 0..5),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3),
    ) {
        let timeseries = names.iter().map(|name| series(&[("__name__", name), ("a", "1")], &[(1.0, NOW)])).collect();
        let mut bytes = WriteRequest { timeseries, metadata: Vec::new() }.encode_to_vec();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let pair = Pair::new(&[]);
        let taken = pair.writer.push_request(&bytes);
        prop_assert_eq!(pair.accepted(), taken.map_or(0, |n| n as u64));
        if let Ok(labels) = pair.writer.series_from_labels(&bytes) {
            prop_assert!(labels.labels().any(|(name, _)| name == "__name__"));
        }
        let _ = pair.writer.close(LONG);
    }
}
