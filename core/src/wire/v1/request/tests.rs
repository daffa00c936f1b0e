use super::*;
use crate::wire::proto::{Exemplar, Label, MetricMetadata, Sample, TimeSeries, WriteRequest};
use proptest::prelude::*;
use prost::Message;

fn encode(request: &[u8]) -> Result<Vec<u8>> {
    let mut out = vec![0xaa; encode_bound(request.len())];
    let len = encode_request(request, &mut out)?;
    Ok(snap::raw::Decoder::new().decompress_vec(&out[..len]).unwrap())
}

/// The slow, obvious way: structs, sorted.
fn sorted(mut request: WriteRequest) -> WriteRequest {
    for series in &mut request.timeseries {
        series.labels.sort_by(|a, b| a.name.as_bytes().cmp(b.name.as_bytes()));
    }
    request
}

fn request() -> impl Strategy<Value = WriteRequest> {
    let name =
        prop_oneof!["[ab]{0,2}", "[A-Z_a-c]{6,10}", "(abcdefgh|abcdefg|abcdefgh\\x00)[ab]{0,3}", "\\PC{0,6}"];
    let value = prop_oneof!["[a-z]{0,8}", (100_usize..300).prop_map(|n| "x".repeat(n))];
    let label = (name, value).prop_map(|(name, value)| Label { name, value });
    // not -0.0, which prost does not write
    let sample = (1..1_000_000_u32, any::<i64>())
        .prop_map(|(value, timestamp)| Sample { value: value.into(), timestamp });
    let exemplar = any::<i64>().prop_map(|timestamp| Exemplar { timestamp, ..Exemplar::default() });
    let series = (
        prop::collection::vec(label, 0..25),
        prop::collection::vec(sample, 0..4),
        prop::collection::vec(exemplar, 0..2),
    )
        .prop_map(|(labels, samples, exemplars)| TimeSeries {
            labels,
            samples,
            exemplars,
            ..TimeSeries::default()
        });
    let metadata =
        "[a-z]{0,9}".prop_map(|help| MetricMetadata { r#type: 1, help, ..MetricMetadata::default() });
    (prop::collection::vec(series, 0..6), prop::collection::vec(metadata, 0..2))
        .prop_map(|(timeseries, metadata)| WriteRequest { timeseries, metadata })
}

proptest! {
    #[test]
    fn labels_are_sorted_and_nothing_else_changes(request in request()) {
        let bytes = request.encode_to_vec();
        let expected = sorted(request);
        prop_assert_eq!(encode(&bytes), Ok(expected.encode_to_vec()));
        let sorted = expected.encode_to_vec();
        prop_assert_eq!(encode(&sorted), Ok(sorted));
    }

    #[test]
    fn bytes_in_disorder_are_refused_or_kept(
        request in request(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let mut bytes = request.encode_to_vec();
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        let theirs = WriteRequest::decode(&bytes[..]);
        match encode(&bytes) {
            Ok(plain) => {
                prop_assert_eq!(plain.len(), bytes.len());
                if let Ok(theirs) = theirs {
                    // as text, because NaN is not equal to itself
                    let ours = WriteRequest::decode(&plain[..]).unwrap();
                    prop_assert_eq!(format!("{ours:?}"), format!("{:?}", sorted(theirs)));
                }
            }
            Err(error) => prop_assert!(theirs.is_err(), "{}", error),
        }
    }

    #[test]
    fn any_bytes_are_refused_or_kept(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        if let Ok(plain) = encode(&bytes) {
            prop_assert_eq!(plain.len(), bytes.len());
        }
    }
}

fn label(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut out = vec![0x0a, u8::try_from(name.len() + value.len() + 4).unwrap()];
    for (key, text) in [(0x0a, name), (0x12, value)] {
        out.extend([key, u8::try_from(text.len()).unwrap()]);
        out.extend(text);
    }
    out
}

fn series(fields: &[&[u8]]) -> Vec<u8> {
    let content = fields.concat();
    let mut out = vec![0x0a, u8::try_from(content.len()).unwrap()];
    out.extend(content);
    out
}

#[test]
fn bits_text_and_unknown_fields_arrive_as_they_are() {
    let sample = |value: f64| [&[0x12, 9, 0x09][..], &value.to_bits().to_le_bytes()].concat();
    let (unknown, broken) = ([0x7a, 2, 8, 8], label(b"a", b"\xff"));
    let (minus_zero, stale) = (sample(-0.0), sample(f64::from_bits(0x7ff0_0000_0000_0002)));
    let (twice, empty) = (label(b"b", b"2"), label(b"b", b""));
    let ordered = [&broken[..], &twice, &empty, &minus_zero, &unknown, &stale];
    let bytes = [series(&ordered), unknown.to_vec()].concat();
    assert_eq!(encode(&bytes), Ok(bytes));
    let bytes = [series(&[&unknown, &twice, &stale, &empty, &broken]), unknown.to_vec()].concat();
    let expected = [series(&[&broken, &twice, &empty, &unknown, &stale]), unknown.to_vec()].concat();
    assert_eq!(encode(&bytes), Ok(expected));
    assert_eq!(encode(&[]), Ok(Vec::new()));
}

#[test]
fn a_sorted_request_gets_the_same_body_without_a_look() {
    let request = series(&[&label(b"App", b"etl"), &label(b"__name__", b"up")]);
    let mut bodies = [vec![0; encode_bound(request.len())], vec![0; encode_bound(request.len())]];
    let [looked, vouched] = &mut bodies;
    assert_eq!(encode_request(&request, looked), encode_sorted_request(&request, vouched));
    assert_eq!(looked, vouched);
    assert!(encode_sorted_request(&request, &mut vouched[1..]).is_err());
}

#[test]
fn a_short_buffer_and_bytes_that_are_no_request_are_refused() {
    let request = series(&[&label(b"__name__", b"up")]);
    let bound = encode_bound(request.len());
    let short = encode_request(&request, &mut vec![0; bound - 1]).unwrap_err();
    assert_eq!(short, Error::TooLarge { field: "body".into(), size: bound, limit: bound - 1 });
    let error = encode(&request[..request.len() - 1]).unwrap_err().to_string();
    assert!(error.starts_with("packed: byte 1 is refused: a length must not pass"), "{error}");
}

#[test]
fn the_limit_is_where_the_bound_ends() {
    assert!(encode_bound(MAX_REQUEST) > 0);
    assert_eq!(encode_bound(MAX_REQUEST + 2), 0);
}
