//! What a real receiver would hold, and what it would refuse.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use common::{Client, field, post, request_v1, request_v2, varint, write_v1};
use promwrite_receiver::{Decoded, Mark, Options, Poison, Receiver, Rules, Script, Strictness};

const A: &[(&str, &str)] = &[("__name__", "a"), ("x", "1")];
const B: &[(&str, &str)] = &[("__name__", "b")];

fn start(rules: Rules) -> (Receiver, Client) {
    let receiver = Receiver::with(Options { rules, ..Options::default() }).unwrap();
    let client = Client::connect(&receiver);
    (receiver, client)
}

fn prometheus() -> Rules {
    Rules { strictness: Strictness::Prometheus, ..Rules::default() }
}

/// Status and body of the answer.
fn send(client: &mut Client, request: Vec<u8>) -> (u16, String) {
    let answer = client.send(request).answer();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

fn values(receiver: &Receiver, labels: &[(&str, &str)]) -> Vec<(i64, f64)> {
    receiver.store().samples(labels).iter().map(|s| (s.sample.ts_ms, s.sample.value())).collect()
}

fn call(verb: &str, path: &str, body: &str) -> Vec<u8> {
    format!("{verb} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes()
}

#[test]
fn writes_are_decoded_and_their_order_judged() {
    let (receiver, mut client) = start(Rules::default());
    let status = send(&mut client, write_v1(&[(A, &[(1, 1.0), (3, 3.0)]), (B, &[(1, -0.0)])])).0;
    assert_eq!(status, 204);
    assert_eq!(send(&mut client, write_v1(&[(A, &[(3, 3.0), (3, 4.0), (2, 2.0), (4, f64::NAN)])])).0, 204);
    let store = receiver.store();
    let marks: Vec<Mark> = store.samples(A).iter().map(|s| s.mark).collect();
    use Mark::*;
    assert_eq!(marks, [InOrder, InOrder, Duplicate, Conflict, OutOfOrder, InOrder]);
    assert_eq!((store.count(InOrder), store.count(Conflict)), (4, 1));
    assert_eq!(store.samples(B)[0].sample.value_bits, (-0.0f64).to_bits());
    assert_eq!(receiver.requests()[0].decoded.samples(), 3);
}

#[test]
fn metadata_of_1_0() {
    let (receiver, mut client) = start(Rules::default());
    let metadata = [vec![0x08, 1], field(2, b"rows_total"), field(4, b"Rows."), field(5, b"rows")].concat();
    send(&mut client, request_v1(&field(3, &metadata)));
    let Decoded::WriteV1 { metadata, .. } = &receiver.requests()[0].decoded else { unreachable!() };
    let m = &metadata[0];
    assert_eq!(
        (m.family.as_str(), m.r#type.as_str(), m.help.as_str(), m.unit.as_str()),
        ("rows_total", "counter", "Rows.", "rows")
    );
}

#[test]
fn prometheus_rolls_a_request_back_for_one_bad_sample() {
    let (receiver, mut client) = start(prometheus());
    assert_eq!(send(&mut client, write_v1(&[(A, &[(10, 1.0), (20, 2.0)])])).0, 204);
    let (status, text) =
        send(&mut client, write_v1(&[(B, &[(30, 1.0)]), (A, &[(15, 1.0)]), (A, &[(30, 3.0)])]));
    assert_eq!(status, 400);
    assert!(text.contains("out of order sample"), "{text}");
    let (status, text) = send(&mut client, write_v1(&[(A, &[(20, 9.0)])]));
    assert_eq!(status, 400);
    assert!(text.contains("duplicate sample for timestamp"), "{text}");
    assert_eq!(values(&receiver, A), [(10, 1.0), (20, 2.0)]);
    assert_eq!(values(&receiver, B), []);
    assert_eq!(receiver.requests().iter().map(|r| r.stored).collect::<Vec<_>>(), [true, false, false]);
}

#[test]
fn prometheus_takes_the_newest_sample_again_but_not_an_older_one() {
    let (receiver, mut client) = start(prometheus());
    let single = write_v1(&[(A, &[(10, 1.0)])]);
    let coalesced = write_v1(&[(B, &[(1, 1.0), (2, 2.0)])]);
    assert_eq!([send(&mut client, single.clone()).0, send(&mut client, single).0], [204, 204]);
    assert_eq!([send(&mut client, coalesced.clone()).0, send(&mut client, coalesced).0], [204, 400]);
    assert_eq!(values(&receiver, A), [(10, 1.0)]);
    assert_eq!(values(&receiver, B), [(1, 1.0), (2, 2.0)]);
}

#[test]
fn within_a_request_prometheus_keeps_the_first_silently() {
    let (receiver, mut client) = start(prometheus());
    assert_eq!(send(&mut client, write_v1(&[(A, &[(2, 2.0), (2, 3.0), (1, 1.0), (3, 3.0)])])).0, 204);
    assert_eq!(values(&receiver, A), [(2, 2.0), (3, 3.0)]);
}

#[test]
fn other_refusals_of_prometheus() {
    let (receiver, mut client) = start(Rules { time_bounds: Some((10, 20)), ..prometheus() });
    assert_eq!(send(&mut client, write_v1(&[(A, &[(10, 1.0), (20, 1.0)])])).0, 204);
    assert!(send(&mut client, write_v1(&[(B, &[(9, 1.0)])])).1.contains("out of bounds"));
    assert_eq!(send(&mut client, write_v1(&[(B, &[(21, 1.0)])])).0, 400);
    let twice = [("__name__", "c"), ("x", "1"), ("x", "2")];
    let (status, text) = send(&mut client, write_v1(&[(&twice, &[(11, 1.0)])]));
    assert_eq!((status, text.as_str()), (500, "label name \"x\" is not unique"));
    let proto = "Content-Type: application/x-protobuf\r\n";
    let snappy = format!("{proto}Content-Encoding: snappy\r\n");
    for (headers, body) in
        [(snappy.as_str(), &b"junk"[..]), (proto, b""), (snappy.as_str(), b"\x03\x08\xff\xff\xff")]
    {
        assert_eq!(send(&mut client, post("/api/v1/write", headers, body)).0, 400);
        let decoded = receiver.requests().pop().unwrap().decoded;
        assert!(matches!(decoded, Decoded::Undecodable { .. }), "{decoded:?}");
    }
    // Empty values are absent: this is the series B.
    assert_eq!(send(&mut client, write_v1(&[(&[("__name__", "b"), ("y", "")], &[(12, 1.0)])])).0, 204);
    assert_eq!(values(&receiver, B), [(12, 1.0)]);
}

#[test]
fn poison_spoils_the_whole_request() {
    let poison = vec![Poison::LabelValue("bad".into()), Poison::ValueBits(666f64.to_bits())];
    for strictness in [Strictness::AcceptAll, Strictness::Prometheus] {
        let (receiver, mut client) = start(Rules { strictness, poison: poison.clone(), ..Rules::default() });
        assert_eq!(send(&mut client, write_v1(&[(A, &[(1, 1.0)]), (&[("x", "bad")], &[(1, 1.0)])])).0, 400);
        assert_eq!(send(&mut client, write_v1(&[(A, &[(1, 1.0), (2, 666.0)])])).0, 400);
        assert!(receiver.store().series.is_empty());
        assert_eq!(send(&mut client, write_v1(&[(A, &[(1, 1.0)])])).0, 204);
    }
}

/// A 2.0 message: series A with these samples, then B with those.
fn v2(a: &[(i64, f64)], b: &[(i64, f64)]) -> Vec<u8> {
    let symbols = ["", "__name__", "a", "x", "1", "b"];
    let mut message: Vec<u8> = symbols.iter().flat_map(|s| field(4, s.as_bytes())).collect();
    for (refs, samples) in [(&[1, 2, 3, 4][..], a), (&[1, 5], b)] {
        let mut series = field(1, refs);
        for (ts, value) in samples {
            let sample = [&[0x09][..], &value.to_bits().to_le_bytes(), &[0x10], &varint(*ts as u64)].concat();
            series.extend(field(2, &sample));
        }
        message.extend(field(5, &series));
    }
    message
}

#[test]
fn remote_write_2_0_is_written_in_part_and_says_so() {
    let (receiver, mut client) = start(prometheus());
    let written = |client: &mut Client, message: &[u8]| {
        let answer = client.send(request_v2(message)).answer();
        let header =
            answer.lines().find_map(|l| l.strip_prefix("X-Prometheus-Remote-Write-Samples-Written: "));
        (answer[9..12].to_owned(), header.map(str::to_owned))
    };
    assert_eq!(written(&mut client, &v2(&[(5, 1.0)], &[(5, 1.0)])), ("204".into(), Some("2".into())));
    assert_eq!(
        written(&mut client, &v2(&[(4, 1.0)], &[(6, 1.0), (7, 1.0)])),
        ("400".into(), Some("2".into()))
    );
    assert_eq!(values(&receiver, B), [(5, 1.0), (6, 1.0), (7, 1.0)]);
    assert_eq!(values(&receiver, A), [(5, 1.0)]);

    receiver.set_rules(Rules { v1_only: true, ..prometheus() });
    assert_eq!(written(&mut client, &v2(&[(9, 1.0)], &[])), ("204".into(), None));
    assert_eq!(values(&receiver, A), [(5, 1.0)]);
}

#[test]
fn gateway_groups() {
    let (receiver, mut client) = start(Rules::default());
    let group = |r: &Receiver| {
        let store = r.store();
        store
            .group(&[("job", "j"), ("instance", "a b")])
            .map(|g| g.keys().cloned().collect::<Vec<_>>().join(" "))
    };
    let path = "/metrics/job/j/instance@base64/YSBi";
    let page = "# HELP rows R.\n# TYPE rows counter\nrows{x=\"# {\"} 1\n\
                # TYPE t histogram\nt_bucket{le=\"+Inf\"} 1\nt_sum 1\nt_count 1\nrows_sum 3\n";
    assert_eq!(send(&mut client, call("PUT", path, page)).0, 200);
    assert_eq!(group(&receiver).as_deref(), Some("rows rows_sum t"));
    assert_eq!(send(&mut client, call("POST", path, "rows 2\n")).0, 200);
    assert_eq!(group(&receiver).as_deref(), Some("rows rows_sum t"));
    assert_eq!(receiver.store().group(&[("job", "j"), ("instance", "a b")]).unwrap()["rows"], "rows 2\n");
    assert_eq!(send(&mut client, call("PUT", path, "other 1\n")).0, 200);
    assert_eq!(group(&receiver).as_deref(), Some("other"));
    assert_eq!(send(&mut client, call("PUT", "/gw/metrics/job/j", "x 1\n")).0, 200);
    assert_eq!(send(&mut client, call("DELETE", path, "")).0, 202);
    assert_eq!(group(&receiver), None);
    assert_eq!(receiver.store().groups.len(), 1);
    let Decoded::Push { group, verb, text } = &receiver.requests()[0].decoded else { unreachable!() };
    assert_eq!((group["instance"].as_str(), verb.as_str(), text.as_str()), ("a b", "PUT", page));
}

#[test]
fn a_strict_gateway_refuses() {
    let (receiver, mut client) = start(prometheus());
    for (path, page) in [
        ("/metrics/job/j", "a 1"),
        ("/metrics/job/j", "a 1\r\n"),
        ("/metrics/job/j", "# TYPE a counter\na 1\n# TYPE a gauge\n"),
        ("/metrics/job/j", "# HELP a x\n# HELP a y\na 1\n"),
        ("/metrics/job/j/x", "a 1\n"),
        ("/metrics/job@base64/=", "a 1\n"),
        ("/metrics/job/j/__a/x", "a 1\n"),
    ] {
        let (status, text) = send(&mut client, call("PUT", path, page));
        assert_eq!(status, 400, "{path} {page:?}: {text}");
    }
    assert!(receiver.store().groups.is_empty());
}

#[test]
fn what_the_script_refuses_is_not_stored() {
    let (receiver, mut client) = start(Rules::default());
    for status in [302, 400, 503] {
        receiver.set_script(Script::always(promwrite_receiver::Behaviour::status(status)));
        assert_eq!(send(&mut client, write_v1(&[(A, &[(1, 1.0)])])).0, status);
    }
    assert!(receiver.store().series.is_empty());
}
