use super::*;
use crate::error::Error;
use crate::wire::proto::{self, Exemplar, Histogram, Label, Sample, WriteRequest};
use proptest::prelude::*;
use prost::Message;

/// What a whole request says, read by this reader as prost reads it. Exemplars and histograms are not looked into.
fn read(bytes: &[u8]) -> Read<WriteRequest> {
    let mut request = Request::new(bytes);
    let mut out = WriteRequest::default();
    while let Some(entry) = request.next()? {
        match entry {
            Entry::Series(series) => out.timeseries.push(read_series(&series)?),
            Entry::Metadata(m) => out.metadata.push(proto::MetricMetadata {
                r#type: m.kind as i32,
                metric_family_name: m.family.text()?.into(),
                help: m.help.text()?.into(),
                unit: m.unit.text()?.into(),
            }),
        }
    }
    Ok(out)
}

fn read_series(series: &TimeSeries<'_>) -> Read<proto::TimeSeries> {
    let mut out = proto::TimeSeries::default();
    series.labels(|name, value| out.labels.push(Label { name: name.into(), value: value.into() }))?;
    let leading = series.leading_labels()?;
    let beside =
        series.samples(leading.len(), |value, timestamp| out.samples.push(Sample { value, timestamp }))?;
    out.exemplars.resize(usize::from(beside.exemplars), Exemplar::default());
    out.histograms.resize(usize::from(beside.histograms), Histogram::default());
    let mut all = 0;
    series.samples(0, |_, _| all += 1)?;
    assert_eq!(all, out.samples.len());
    if !beside.labels {
        let mut alone = 0;
        TimeSeries::alone(leading).labels(|_, _| alone += 1)?;
        assert_eq!(alone, out.labels.len());
    }
    assert_eq!(series.is_sorted()?, out.labels.is_sorted_by(|a, b| a.name.as_bytes() <= b.name.as_bytes()));
    let mut fields = Vec::new();
    series.fields(|whole, _| fields.extend_from_slice(whole))?;
    assert_eq!(fields, series.bytes());
    Ok(out)
}

/// The value bits, because NaN is not equal to itself.
fn bits(request: &WriteRequest) -> Vec<(u64, i64)> {
    let samples = request.timeseries.iter().flat_map(|s| &s.samples);
    samples.map(|s| (s.value.to_bits(), s.timestamp)).collect()
}

fn without_values(mut request: WriteRequest) -> WriteRequest {
    for series in &mut request.timeseries {
        series.samples.iter_mut().for_each(|s| s.value = 0.0);
        (series.exemplars, series.histograms) = (Vec::new(), Vec::new());
    }
    request
}

/// Everything that prost reads this reads the same, and it reads no more, but for what only prost looks into: exemplars,
/// histograms, and text in fields that are overwritten later.
fn as_prost(bytes: &[u8]) -> std::result::Result<(), TestCaseError> {
    match (WriteRequest::decode(bytes), read(bytes)) {
        (Ok(theirs), Ok(ours)) => {
            prop_assert_eq!(bits(&ours), bits(&theirs));
            prop_assert_eq!(without_values(ours), without_values(theirs));
        }
        (Err(theirs), Ok(ours)) => {
            let opaque = ours.timeseries.iter().any(|s| !s.exemplars.is_empty() || !s.histograms.is_empty());
            prop_assert!(opaque || theirs.to_string().contains("UTF-8"), "{}", theirs);
        }
        (Ok(_), Err(ours)) => prop_assert!(false, "{:?}", ours),
        (Err(_), Err(ours)) => prop_assert!(ours.at <= bytes.len(), "{:?}", ours),
    }
    Ok(())
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z_]{0,12}",
        Just("__name__".to_owned()),
        "\\PC{0,9}",
        (100_usize..300).prop_map(|n| "x".repeat(n))
    ]
}

fn labels() -> impl Strategy<Value = Vec<Label>> {
    prop::collection::vec((text(), text()).prop_map(|(name, value)| Label { name, value }), 0..6)
}

fn series() -> impl Strategy<Value = proto::TimeSeries> {
    let value = prop_oneof![any::<f64>(), any::<u64>().prop_map(f64::from_bits), Just(-0.0), Just(0.0)];
    let time = prop_oneof![any::<i64>(), 1_600_000_000_000..1_800_000_000_000_i64, Just(i64::MIN), Just(0)];
    let sample = (value, time).prop_map(|(value, timestamp)| Sample { value, timestamp });
    (labels(), prop::collection::vec(sample, 0..4)).prop_map(|(labels, samples)| proto::TimeSeries {
        labels,
        samples,
        ..proto::TimeSeries::default()
    })
}

fn request() -> impl Strategy<Value = WriteRequest> {
    let metadata = (0..9_i32, text(), text(), text()).prop_map(|(kind, family, help, unit)| {
        proto::MetricMetadata { r#type: kind, metric_family_name: family, help, unit }
    });
    (prop::collection::vec(series(), 0..5), prop::collection::vec(metadata, 0..3))
        .prop_map(|(timeseries, metadata)| WriteRequest { timeseries, metadata })
}

proptest! {
    #[test]
    fn a_request_is_read_as_prost_reads_it(request in request()) {
        let bytes = request.encode_to_vec();
        prop_assert!(read(&bytes).is_ok());
        as_prost(&bytes)?;
    }

    #[test]
    fn bytes_in_disorder_are_read_or_refused_as_prost_does(
        request in request(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>(), 0..4_u8), 1..4),
    ) {
        let mut bytes = request.encode_to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len() + 1);
            match how {
                0 => bytes.truncate(at),
                1 => bytes.insert(at, byte),
                // small numbers are keys, wire types and lengths
                _ if at < bytes.len() => bytes[at] = if how == 2 { byte } else { byte & 0x1f },
                _ => {}
            }
        }
        as_prost(&bytes)?;
    }

    #[test]
    fn any_bytes_are_read_or_refused_as_prost_does(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        as_prost(&bytes)?;
    }

    #[test]
    fn small_bytes_are_read_or_refused_as_prost_does(bytes in prop::collection::vec(0..0x22_u8, 0..40)) {
        as_prost(&bytes)?;
    }
}

/// The bytes of a length-delimited field.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut out = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut out);
    out.extend_from_slice(content);
    out
}

#[test]
fn unknown_fields_are_skipped_wherever_they_stand() {
    // numbers 15: a varint, eight bytes, bytes, a group that holds a group and a varint, four bytes
    let unknown: [&[u8]; 5] = [
        &[0x78, 0x96, 0x01],
        &[0x79, 1, 2, 3, 4, 5, 6, 7, 8],
        &[0x7a, 2, 8, 8],
        &[0x7b, 0x73, 0x74, 0x08, 0x05, 0x7c],
        &[0x7d, 1, 2, 3, 4],
    ];
    let label =
        |name: &str| field(1, &[field(1, name.as_bytes()), unknown.concat(), field(2, b"v")].concat());
    let sample = field(2, &[unknown[0], &[0x10, 7], unknown[3]].concat());
    let series = [label("a"), unknown.concat(), sample, unknown.concat(), label("b")].concat();
    let mut bytes = unknown.concat();
    bytes.extend(field(1, &series));
    bytes.extend(unknown.concat());
    let read = read(&bytes).unwrap();
    assert_eq!(read, WriteRequest::decode(&bytes[..]).unwrap());
    let names: Vec<_> = read.timeseries[0].labels.iter().map(|l| l.name.as_str()).collect();
    assert_eq!((names, read.timeseries[0].samples[0].timestamp), (vec!["a", "b"], 7));
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let good = field(1, &field(1, &[field(1, b"__name__"), field(2, b"up")].concat()));
    let after = |bad: &[u8]| [good.clone(), bad.to_vec()].concat();
    let offset = good.len();
    for (bad, at, rule, series) in [
        (vec![0x0a, 5], offset + 1, "a length must not pass", None),
        (field(1, &[0x0a, 9]), offset + 3, "a length must not pass", Some(1)),
        (field(1, &field(2, &[0x09, 1])), offset + 5, "a number must end within its message", Some(1)),
        (field(1, &field(2, &[0x0d, 1, 2, 3, 4])), offset + 4, "must have wire type 1", Some(1)),
        (field(1, &[0x10, 1]), offset + 2, "must have wire type 2", Some(1)),
        (field(1, &field(1, &field(2, b"\xff"))), offset + 6, "text must be UTF-8", Some(1)),
        (vec![0x08, 1], offset, "must have wire type 2", None),
        (vec![0x07], offset, "the number of a field", None),
        (vec![0x7e], offset, "a wire type must be", None),
        (vec![0x7c], offset, "a group must begin", None),
        (vec![0x7b, 0x74], offset + 1, "a group must end with its own", None),
        (vec![0x7b; 100], offset + 65, "groups must not be nested", None),
        (vec![0x78, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2], offset + 1, "64 bits", None),
        (vec![0x78, 0x80], offset + 1, "a number must end", None),
    ] {
        let bytes = after(&bad);
        let error = read(&bytes).unwrap_err();
        assert_eq!((error.at, error.series), (at, series), "{bad:?}: {error:?}");
        let message = Error::from(error).to_string();
        assert!(message.contains(rule) && message.contains(&format!("byte {at}")), "{bad:?}: {message}");
        assert_eq!(message.contains("(series 1"), series.is_some(), "{message}");
    }
}

#[test]
fn exemplars_and_histograms_are_noticed() {
    for (exemplars, histograms) in [(true, false), (false, true), (true, true)] {
        let series = proto::TimeSeries {
            exemplars: vec![Exemplar::default(); usize::from(exemplars)],
            histograms: vec![Histogram::default(); usize::from(histograms)],
            ..proto::TimeSeries::default()
        };
        let bytes = series.encode_to_vec();
        let beside = TimeSeries::alone(&bytes).samples(0, |_, _| ()).unwrap();
        assert_eq!(beside, Beside { labels: false, exemplars, histograms });
    }
}

#[test]
fn a_usual_sample_is_what_its_fields_say() {
    for time in [(1_i64 << 35) - 1, 1 << 35, 1_700_000_000_123, (1 << 42) - 1, 1 << 42, 0, -1] {
        for value in [1.5, f64::from_bits(0x7ff0_0000_0000_0002), f64::MIN_POSITIVE] {
            let bytes = field(2, &Sample { value, timestamp: time }.encode_to_vec());
            let usual = usual_sample(&bytes).map(|(value, time)| (value.to_bits(), time));
            let expected = ((1 << 35)..(1 << 42)).contains(&time).then_some((value.to_bits(), time));
            assert_eq!(usual, expected, "{time}");
        }
    }
}
