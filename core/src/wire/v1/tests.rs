use super::*;
use crate::input::labels::NameScheme;
use crate::wire::proto::{self, Label, MetricMetadata, Sample, TimeSeries, WriteRequest};
use proptest::prelude::*;
use prost::Message;

struct Table {
    labels: Vec<Box<[u8]>>,
    last_cut: Vec<i64>,
}

impl Table {
    fn new(labels: impl IntoIterator<Item = Box<[u8]>>) -> Self {
        let labels: Vec<_> = labels.into_iter().collect();
        Table { last_cut: vec![i64::MIN; labels.len()], labels }
    }
}

impl SeriesBytes for Table {
    fn labels(&self, series: u32) -> &[u8] {
        &self.labels[series as usize]
    }
    fn last_cut(&self, series: u32) -> i64 {
        self.last_cut[series as usize]
    }
    fn set_last_cut(&mut self, series: u32, timestamp_ms: i64) {
        assert!(timestamp_ms >= self.last_cut[series as usize]);
        self.last_cut[series as usize] = timestamp_ms;
    }
}

const WIDE: Limits = Limits { max_bytes: 1_000_000, out_of_order: false };

fn labels(name: &str, pairs: &[(&str, &str)]) -> Box<[u8]> {
    encode_labels(&Labels::new(name, pairs.iter().copied(), &[], NameScheme::Utf8).unwrap())
}

fn encode(samples: &[RawSample], table: &mut Table, limits: Limits) -> Encoded {
    Encoder::new().encode(samples, table, [], limits).unwrap()
}

fn plain(body: &[u8]) -> Vec<u8> {
    snap::raw::Decoder::new().decompress_vec(body).unwrap()
}

fn raw(series: u32, value: f64, timestamp_ms: i64) -> RawSample {
    RawSample { series, value, timestamp_ms }
}

/// Samples as (time, value bits), because NaN is not equal to itself.
fn bits(samples: &[Sample]) -> Vec<(i64, u64)> {
    samples.iter().map(|s| (s.timestamp, s.value.to_bits())).collect()
}

#[test]
fn a_sample_has_at_most_24_bytes() {
    assert_eq!(size_of::<RawSample>(), 24);
}

#[test]
fn the_golden_vector_of_another_implementation() {
    let mut table = Table::new([labels("my_metric", &[("job", "a")])]);
    let got = encode(&[raw(0, 123.0, 1_700_000_000_123)], &mut table, WIDE);
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let expected = "0a330a150a085f5f6e616d655f5f12096d795f6d65747269630a080a036a6f62120161\
                    1210090000000000c05e4010fbd095ffbc31";
    assert_eq!(hex(&plain(&got.body)), expected);
    assert_eq!(hex(&got.body), format!("35d0{expected}"));
    assert_eq!((got.taken, got.samples, got.superseded, got.uncompressed_len), (1, 1, 0, 53));
    assert_eq!(got.newest_ms, 1_700_000_000_123);
}

#[test]
fn value_bits_arrive_as_they_are() {
    let values = [
        0.0,
        -0.0,
        f64::from_bits(0x7ff0_0000_0000_0002),
        f64::from_bits(0x7ff8_0000_0000_0001),
        f64::INFINITY,
        f64::MIN_POSITIVE,
    ];
    let mut table = Table::new([labels("m", &[])]);
    let samples: Vec<_> = values.iter().enumerate().map(|(i, v)| raw(0, *v, i as i64 - 1)).collect();
    let body = encode(&samples, &mut table, WIDE).body;
    let got = proto::decode_v1(&body, 1000).unwrap();
    let expected: Vec<_> = samples.iter().map(|s| (s.timestamp_ms, s.value.to_bits())).collect();
    assert_eq!(bits(&got.timeseries[0].samples), expected);
}

#[test]
fn a_later_sample_not_newer_than_the_last_cut_is_superseded_unless_allowed() {
    let mut table = Table::new([labels("m", &[])]);
    assert_eq!(encode(&[raw(0, 1.0, 10), raw(0, 2.0, 5)], &mut table, WIDE).samples, 2);
    let late = [raw(0, 3.0, 10), raw(0, 4.0, 7), raw(0, 5.0, 11), raw(0, 6.0, 10)];
    let got = encode(&late, &mut table, WIDE);
    assert_eq!((got.taken, got.samples, got.superseded), (4, 1, 3));
    let got = encode(&late[..1], &mut table, WIDE);
    assert_eq!((got.taken, got.samples, got.superseded, got.body.len()), (1, 0, 1, 0));
    assert_eq!((got.newest_ms, table.last_cut[0]), (i64::MIN, 11));
    let got = encode(&late, &mut table, Limits { out_of_order: true, ..WIDE });
    let series = &proto::decode_v1(&got.body, 1000).unwrap().timeseries[0];
    assert_eq!(bits(&series.samples), [(7, 4f64.to_bits()), (10, 6f64.to_bits()), (11, 5f64.to_bits())]);
    assert_eq!((got.samples, got.superseded, table.last_cut[0]), (3, 1, 11));
}

#[test]
fn metadata_follows_the_series_and_never_takes_more_than_half() {
    let mut table = Table::new([labels("m", &[])]);
    let entry = |family, help| Metadata { family, kind: 1, help, unit: "" };
    let entries = [entry("a", "Help."), entry("b", "x"), entry("c", "")];
    let huge = "h".repeat(100);
    let got = Encoder::new().encode(&[raw(0, 1.0, 1)], &mut table, entries, WIDE).unwrap();
    let request = proto::decode_v1(&got.body, 1000).unwrap();
    let expected = |family: &str, help: &str| MetricMetadata {
        r#type: 1,
        metric_family_name: family.into(),
        help: help.into(),
        unit: String::new(),
    };
    assert_eq!(request.metadata, [expected("a", "Help."), expected("b", "x"), expected("c", "")]);
    assert_eq!(plain(&got.body), request.encode_to_vec());

    let limits = Limits { max_bytes: 44, out_of_order: true };
    let entries = [entry("a", &huge), entry("b", "Help."), entry("c", "Help.")];
    let got = Encoder::new().encode(&[raw(0, 1.0, 1); 9], &mut table, entries, limits).unwrap();
    let request = proto::decode_v1(&got.body, 1000).unwrap();
    assert_eq!((got.metadata, &request.metadata[..]), (2, &[expected("b", "Help.")][..]));
    assert_eq!((got.taken, got.samples), (9, 1), "one sample, nine times the same millisecond");
}

#[test]
fn a_request_without_samples_carries_metadata_alone() {
    let entry = Metadata { family: "a", kind: 0, help: "", unit: "s" };
    let got = Encoder::new().encode(&[], &mut Table::new([]), [entry], WIDE).unwrap();
    assert_eq!((got.taken, got.samples, got.metadata), (0, 0, 1));
    assert_eq!(proto::decode_v1(&got.body, 100).unwrap().metadata[0].unit, "s");
    assert_eq!(split(&got.body), None);
}

#[test]
fn labels_decode_to_what_was_encoded() {
    let encoded = labels("m", &[("a", "é\n"), ("Z", "x")]);
    assert_eq!(decode_labels(&encoded).collect::<Vec<_>>(), [("Z", "x"), ("__name__", "m"), ("a", "é\n")]);
    assert_eq!(decode_labels(b"\x0a\x7fgarbage").count(), 0);
}

/// The seven series of the property tests; label bytes of 20 to 200.
fn table() -> Table {
    Table::new((0..7).map(|i| labels(&format!("m{i}"), &[("l", &"v".repeat(30 * i + 1))])))
}

fn series_of(table: &Table, series: u32) -> Vec<Label> {
    decode_labels(&table.labels[series as usize])
        .map(|(name, value)| Label { name: name.into(), value: value.into() })
        .collect()
}

/// The slow and obvious version: what a request of exactly these samples must hold.
fn model(samples: &[RawSample], table: &Table, out_of_order: bool) -> WriteRequest {
    let mut request = WriteRequest::default();
    let mut seen = Vec::new();
    for sample in samples {
        if !out_of_order && sample.timestamp_ms <= table.last_cut[sample.series as usize] {
            continue;
        }
        let at = seen.iter().position(|id| *id == sample.series).unwrap_or_else(|| {
            seen.push(sample.series);
            request
                .timeseries
                .push(TimeSeries { labels: series_of(table, sample.series), ..TimeSeries::default() });
            seen.len() - 1
        });
        let have = &mut request.timeseries[at].samples;
        have.retain(|other| other.timestamp != sample.timestamp_ms);
        let place = have.partition_point(|other| other.timestamp < sample.timestamp_ms);
        have.insert(place, Sample { value: sample.value, timestamp: sample.timestamp_ms });
    }
    request
}

fn arbitrary_samples() -> impl Strategy<Value = Vec<RawSample>> {
    let time = prop_oneof![6 => 0..12_i64, 2 => 1_700_000_000_000..1_700_000_000_020_i64, 1 => -5..0_i64];
    // -0.0 apart: prost leaves it out
    let value = prop_oneof![Just(0.0), any::<f64>().prop_filter("not -0.0", |v| v.to_bits() != 1 << 63)];
    let sample = (0..7_u32, value, time).prop_map(|(series, value, time)| raw(series, value, time));
    prop::collection::vec(sample, 1..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn bytes_equal_those_of_prost_for_the_obvious_grouping(
        samples in arbitrary_samples(),
        max_bytes in 1..3000_usize,
        out_of_order: bool,
    ) {
        let mut table = table();
        let mut encoder = Encoder::new();
        let mut rest = &samples[..];
        let limits = Limits { max_bytes, out_of_order };
        while !rest.is_empty() {
            let before = Table { labels: table.labels.clone(), last_cut: table.last_cut.clone() };
            let got = encoder.encode(rest, &mut table, [], limits).unwrap();
            prop_assert!(got.taken >= 1);
            prop_assert_eq!(got.taken, got.samples + got.superseded);
            let (settled, left) = rest.split_at(got.taken);
            rest = left;
            let expected = model(settled, &before, out_of_order);
            let all = || expected.timeseries.iter().flat_map(|s| &s.samples);
            prop_assert_eq!(got.samples, all().count());
            prop_assert_eq!(got.newest_ms, all().map(|s| s.timestamp).max().unwrap_or(i64::MIN));
            let bytes = expected.encode_to_vec();
            prop_assert_eq!(got.uncompressed_len, bytes.len());
            prop_assert!(bytes.len() <= max_bytes || got.samples == 1);
            prop_assert_eq!(got.body.is_empty(), bytes.is_empty());
            if !bytes.is_empty() {
                prop_assert_eq!(plain(&got.body), bytes);
            }
            // it stopped only because one more would not fit: with equal times out of order the bound may be early
            let one_more = [settled, &rest[..rest.len().min(1)]].concat();
            let times = one_more.iter().map(|s| (s.series, s.timestamp_ms));
            let distinct = times.collect::<std::collections::HashSet<_>>().len() == one_more.len();
            if !rest.is_empty() && distinct {
                prop_assert!(model(&one_more, &before, out_of_order).encoded_len() > max_bytes);
            }
            for (id, cut) in table.last_cut.iter().enumerate() {
                let labels = series_of(&table, id as u32);
                let written = expected.timeseries.iter().filter(|s| s.labels == labels);
                let newest = written.flat_map(|s| &s.samples).map(|s| s.timestamp).max();
                prop_assert_eq!(*cut, newest.unwrap_or(i64::MIN).max(before.last_cut[id]));
            }
        }
    }

    #[test]
    fn splitting_keeps_every_sample_and_the_order_and_ends_at_single_samples(samples in arbitrary_samples()) {
        let mut table = table();
        let entry = Metadata { family: "m", kind: 2, help: "Help.", unit: "s" };
        let whole = Encoder::new().encode(&samples, &mut table, [entry], WIDE).unwrap();
        let expected = proto::decode_v1(&whole.body, 1 << 20).unwrap();
        let mut singles = Vec::new();
        let mut open = vec![(whole.body, whole.samples)];
        let mut splits = 0;
        while let Some((body, count)) = open.pop() {
            let request = proto::decode_v1(&body, 1 << 20).unwrap();
            prop_assert_eq!(request.timeseries.iter().map(|s| s.samples.len()).sum::<usize>(), count);
            let Some((older, newer)) = split(&body) else {
                prop_assert_eq!(count, 1);
                singles.push(request);
                continue;
            };
            splits += 1;
            prop_assert_eq!(older.samples + newer.samples, count);
            prop_assert!(older.samples > 0 && newer.samples > 0);
            if request.timeseries.len() == 1 {
                prop_assert_eq!(older.samples, count / 2);
            }
            for part in [&older, &newer] {
                let bytes = plain(&part.body);
                prop_assert_eq!(bytes.len(), part.uncompressed_len);
                let request = WriteRequest::decode(&*bytes).unwrap();
                let times = request.timeseries.iter().flat_map(|s| &s.samples).map(|s| s.timestamp);
                prop_assert_eq!(times.max(), Some(part.newest_ms));
            }
            open.push((newer.body, newer.samples));
            open.push((older.body, older.samples));
        }
        // the parts in the order in which they would be sent, put together again
        let mut union = WriteRequest::default();
        for (at, single) in singles.iter().enumerate() {
            prop_assert_eq!(single.metadata.is_empty(), at > 0);
            union.metadata.extend(single.metadata.iter().cloned());
            let series = &single.timeseries[0];
            match union.timeseries.last_mut() {
                Some(last) if last.labels == series.labels => last.samples.extend(&series.samples),
                _ => union.timeseries.push(series.clone()),
            }
        }
        prop_assert_eq!(splits + 1, singles.len());
        prop_assert_eq!(union.encode_to_vec(), expected.encode_to_vec());
    }

    #[test]
    fn splitting_foreign_bytes_never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = split(&bytes);
        let packed = snap::raw::Encoder::new().compress_vec(&bytes).unwrap();
        if let Some((older, newer)) = split(&packed) {
            prop_assert!(older.samples > 0 && newer.samples > 0);
        }
    }
}

#[test]
fn an_early_epoch_is_not_taken_for_the_current_one_after_the_counter_wraps() {
    let mut table = table();
    let mut encoder = Encoder::new();
    encoder.encode(&[raw(3, 1.0, 1)], &mut table, [], WIDE).unwrap();
    encoder.epoch = u32::MAX;
    let got = encoder.encode(&[raw(2, 1.0, 2), raw(3, 1.0, 2)], &mut table, [], WIDE).unwrap();
    assert_eq!(proto::decode_v1(&got.body, 1000).unwrap().timeseries.len(), 2);
}

#[path = "../../../benches/workload/mod.rs"]
mod workload;

/// Uncompressed and compressed bytes of a request of `series` × `steps` samples as the encoder writes it, and the
/// compressed bytes of the same samples with each in a message of its own.
fn sizes(series: usize, steps: usize, label_count: usize) -> (usize, usize, usize) {
    let sets: Vec<_> = (0..series).map(|i| workload::pairs(i, label_count)).collect();
    let mut table = Table::new(sets.iter().map(|pairs| {
        let rest: Vec<_> = pairs[1..].iter().map(|(n, v)| (*n, v.as_str())).collect();
        labels(&pairs[0].1, &rest)
    }));
    let samples: Vec<_> = (0..steps)
        .flat_map(|step| (0..series).map(move |i| (i, step)))
        .map(|(i, step)| raw(i as u32, workload::value(i, step), workload::START_MS + 1000 * step as i64))
        .collect();
    let coalesced = model(&samples, &table, false);
    let mut single = WriteRequest::default();
    for sample in &samples {
        single.timeseries.extend(model(&[*sample], &table, false).timeseries);
    }
    let got = encode(&samples, &mut table, WIDE);
    assert_eq!(plain(&got.body), coalesced.encode_to_vec());
    let single = snap::raw::Encoder::new().compress_vec(&single.encode_to_vec()).unwrap();
    (got.uncompressed_len, got.body.len(), single.len())
}

#[test]
fn exact_bytes_of_a_typical_request() {
    let got = [sizes(2000, 1, 9), sizes(2000, 1, 10), sizes(200, 10, 9), sizes(200, 10, 10)];
    assert_eq!(got[1].0, 2000 * 313, "the workload is the one that the promised figures are about");
    for (_, coalesced, single) in &got[2..] {
        assert!(*coalesced as f64 <= 0.45 * *single as f64, "{coalesced} of {single}");
    }
    let expected = [
        (568_000, 50_492, 50_492),
        (626_000, 73_140, 73_140),
        (89_200, 16_680, 50_471),
        (95_000, 19_000, 71_629),
    ];
    assert_eq!(got, expected);
}

#[test]
fn a_warm_encoder_takes_no_memory_but_the_finished_body() {
    let mut table = table();
    let mut encoder = Encoder::new();
    let held = |e: &Encoder| {
        [
            e.slots.capacity(),
            e.groups.capacity(),
            e.links.capacity(),
            e.order.capacity(),
            e.body.capacity(),
            e.metadata.capacity(),
        ]
    };
    let batch = |at: i64| (0..500).map(|i| raw(i as u32 % 7, 1.0, at + (i % 9))).collect::<Vec<_>>();
    let limits = Limits { out_of_order: true, ..WIDE };
    encoder.encode(&batch(1_700_000_000_000), &mut table, [], limits).unwrap();
    let warm = held(&encoder);
    for round in 1..5 {
        let got = encoder.encode(&batch(1_700_000_000_000 + round), &mut table, [], limits).unwrap();
        assert_eq!((held(&encoder), got.body.capacity()), (warm, got.body.len()));
    }
}

#[test]
fn blocks_compressed_one_by_one_are_what_snappy_makes_of_the_whole() {
    // values of label and help around and beyond one and two blocks, and a series of many blocks of samples
    let many: Vec<_> =
        (0..20_000).map(|i| raw(0, f64::from(i) * 0.1, 1_700_000_000_000 + i64::from(i))).collect();
    for len in [1, 65_000, 65_430, 65_480, 65_535, 65_536, 65_537, 131_072, 200_000] {
        let text = "0123456789abcde".repeat(len / 15 + 1);
        let mut table = Table::new([labels("m", &[("l", &text[..len])]), labels("n", &[])]);
        let samples = [&[raw(1, 1.0, 5)][..], &many, &[raw(1, 2.0, 6)]].concat();
        let entry = Metadata { family: "m", kind: 1, help: &text[..len], unit: "" };
        let got = Encoder::new().encode(&samples, &mut table, [entry], WIDE).unwrap();
        assert_eq!((got.taken, got.metadata), (20_002, 1));
        let mut expected = model(&[raw(1, 1.0, 5), raw(1, 2.0, 6), many[0]], &table_uncut(&table), false);
        expected.timeseries[1].samples =
            many.iter().map(|s| Sample { value: s.value, timestamp: s.timestamp_ms }).collect();
        expected.metadata.push(MetricMetadata {
            r#type: 1,
            metric_family_name: "m".into(),
            help: text[..len].into(),
            unit: String::new(),
        });
        let bytes = expected.encode_to_vec();
        assert!(plain(&got.body) == bytes, "label of {len} bytes");
        assert!(got.body == snap::raw::Encoder::new().compress_vec(&bytes).unwrap(), "label of {len} bytes");
        let (older, newer) = split(&got.body).unwrap();
        assert_eq!((older.samples, newer.samples), (2, 20_000));
        let (older, newer) = split(&newer.body).unwrap();
        assert_eq!((older.samples, newer.samples), (10_000, 10_000));
        assert!(older.newest_ms < newer.newest_ms);
    }
}

fn table_uncut(table: &Table) -> Table {
    Table { labels: table.labels.clone(), last_cut: vec![i64::MIN; table.labels.len()] }
}
