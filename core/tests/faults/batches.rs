//! Requests that are refused as a whole: what is good in them arrives all the same.

use crate::rig::*;
use promwrite_core::ledger::Rejected;
use promwrite_receiver::{Auth, Behaviour, Mark, Options, Poison, Receiver, Rules, Script, Strictness};

fn ruled(rules: Rules) -> Receiver {
    Receiver::with(Options { rules, ..Options::default() }).unwrap()
}

/// 2000 series of one sample each; labels that do not compress.
fn append_two_thousand(receiver: &Receiver, bad: Option<usize>) -> promwrite_core::writer::Writer {
    let writer = writer(receiver, &[]);
    let mut batch = writer.batch().unwrap();
    let at = now_ms();
    for i in 0..2000_usize {
        let value =
            if Some(i) == bad { "bad".to_owned() } else { format!("{:x}", i.wrapping_mul(2_654_435_761)) };
        batch.add("m", [("id", value.as_str())], i as f64, Some(at), None).unwrap();
    }
    batch.commit().unwrap();
    writer
}

#[test]
fn one_bad_sample_in_two_thousand_costs_one_sample() {
    let rules = Rules {
        poison: vec![Poison::LabelValue("bad".into())],
        strictness: Strictness::Prometheus,
        ..Rules::default()
    };
    let receiver = ruled(rules);
    let writer = append_two_thousand(&receiver, Some(1234));
    deliver(&writer);
    let ledger = ledger(&writer);
    assert_eq!((ledger.delivered, ledger.rejected[Rejected::BadRequest as usize]), (1999, 1));
    assert_eq!(receiver.store().count(Mark::InOrder), 1999);
    let requests = receiver.requests().len();
    assert!(requests <= 1 + 2 * 11 + 2, "{requests} requests");
    let failures = stats(&writer).failures;
    assert!(failures.iter().any(|e| e.items == 1 && e.message.contains("poison")), "{failures:?}");
}

#[test]
fn a_request_that_is_too_large_is_halved_until_it_fits() {
    let receiver =
        ruled(Rules { body_limit: Some(4096), strictness: Strictness::Prometheus, ..Rules::default() });
    let writer = append_two_thousand(&receiver, None);
    deliver(&writer);
    assert_eq!(ledger(&writer).delivered, 2000);
    assert_eq!(receiver.store().count(Mark::InOrder), 2000);
    assert!(receiver.requests().iter().filter(|r| r.stored).count() > 2, "the limit was never met");
}

#[test]
fn a_redirect_is_not_followed_and_what_was_sent_is_kept() {
    for status in [301, 302, 303, 307, 308] {
        let other = start(Script::default());
        let receiver = start(Script::always(Behaviour::redirect(status, other.url(PATH))));
        let writer = writer(&receiver, &[("headers.X-BK-TOKEN", "canary")]);
        plain_series(&writer, "m").append(1.0).unwrap();
        assert!(receiver.wait_answered(3, LONG), "{status}: not tried again");
        assert_eq!(balanced(stats(&writer).balance).pending, 1, "{status}");
        receiver.set_script(Script::default());
        deliver(&writer);
        assert_eq!(values(&receiver, "m"), [1.0], "{status}");
        assert_eq!(other.inspect(|state| (state.connections, state.bytes)), (0, 0), "{status}");
        let events = stats(&writer).failures;
        assert!(events.iter().any(|e| e.message.contains("redirects are not followed")), "{events:?}");
    }
}

#[test]
fn a_password_file_that_is_rotated_is_read_again_and_what_waited_is_delivered() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    std::fs::write(&file, "old\n").unwrap();
    let auth = Auth::Basic { user: "me".into(), password: "new".into() };
    let receiver = ruled(Rules { auth: Some(auth), ..Rules::default() });
    let path = file.to_str().unwrap();
    let writer = writer(&receiver, &[("basic_auth.username", "me"), ("basic_auth.password_file", path)]);
    let series = plain_series(&writer, "m");
    series.append(1.0).unwrap();
    assert!(receiver.wait_answered(2, LONG));
    assert_eq!(balanced(stats(&writer).balance).pending, 1);
    std::fs::write(&file, "new\n").unwrap();
    deliver(&writer);
    assert_eq!((values(&receiver, "m"), ledger(&writer).delivered), (vec![1.0], 1));
}
