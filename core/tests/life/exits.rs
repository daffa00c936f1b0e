//! The end of a process: what is pending is delivered, a receiver that does not take it holds nobody up, and the exit code
//! is the job's own.

use crate::job::{self, SLACK, config, run, url, writer};
use promwrite_core::pusher::Pusher;
use promwrite_receiver::{Behaviour, Cut, Options, Phase, Receiver, Script, TlsCase};
use std::time::Duration;

pub const TESTS: &[(&str, fn())] = &[
    ("exits::a_program_that_returns_from_main_delivers_everything", returns),
    ("exits::exit_delivers_everything_and_keeps_its_code", exits),
    ("exits::a_panic_in_main_delivers_everything_too", panics),
    ("exits::a_receiver_that_takes_nothing_holds_the_end_up_no_longer_than_the_option_says", dead),
    ("exits::a_receiver_that_delivers_slowly_is_waited_for", slow),
    ("exits::the_whole_end_takes_no_longer_than_the_other_option_says", endless),
];

pub const JOBS: &[crate::job::Job] = &[
    ("returns", || {
        work();
        0
    }),
    ("leaves", || {
        work();
        7
    }),
    ("exits", || {
        work();
        std::process::exit(3)
    }),
    ("panics", || {
        work();
        panic!("on purpose")
    }),
];

const SERIES: usize = 10;
const SAMPLES: usize = 1000;

/// What a job does: it appends and pushes, and never flushes or closes.
fn work() {
    let writer = writer();
    let base = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap() - 10_000;
    for i in 0..SERIES {
        let series = writer.series("m", &[("series", i.to_string())], None).unwrap();
        for at in 0..SAMPLES / SERIES {
            series.append_at(at as f64, base + at as i64).unwrap();
        }
    }
    let pusher = Pusher::new(&url(), "job", [], config()).unwrap();
    pusher.push(b"m 1\n".to_vec(), "text/plain; version=0.0.4").unwrap();
}

fn everything_came(receiver: &Receiver) {
    let store = receiver.store();
    let counts: Vec<usize> = store.series.values().map(Vec::len).collect();
    assert_eq!(counts, vec![SAMPLES / SERIES; SERIES]);
    assert_eq!(store.count(promwrite_receiver::Mark::InOrder), SAMPLES);
    assert!(store.group(&[("job", "job")]).is_some());
}

fn start(script: Script) -> Receiver {
    Receiver::start(script).unwrap()
}

fn returns() {
    let receiver = start(Script::default());
    run("returns", &receiver, &[]).silently(0);
    everything_came(&receiver);
}

fn exits() {
    let receiver = start(Script::default());
    run("exits", &receiver, &[]).silently(3);
    everything_came(&receiver);
}

fn panics() {
    let receiver = start(Script::default());
    let ended = run("panics", &receiver, &[]);
    assert_eq!(ended.code, Some(101), "{ended:?}");
    assert_eq!(ended.output.matches("panicked").count(), 1, "{ended:?}");
    everything_came(&receiver);
}

fn dead() {
    let stall = |at| Script::always(Behaviour::cut(at, Cut::Stall));
    let refused = {
        let mut receiver = start(Script::default());
        receiver.down();
        receiver
    };
    let with = |options: Options| Receiver::with(options).unwrap();
    let receivers = [
        ("refused", refused),
        ("hung", start(stall(Phase::AfterBody))),
        ("silent", start(stall(Phase::AfterAccept))),
        ("never accepts", with(Options { never_accept: true, ..Options::default() })),
        ("handshake stalls", with(Options { tls: Some(TlsCase::HandshakeStall), ..Options::default() })),
    ];
    std::thread::scope(|scope| {
        for (case, receiver) in &receivers {
            scope.spawn(move || {
                let ended = run("leaves", receiver, &[("exit_idle_timeout", "300ms")]).silently(7);
                let least = Duration::from_millis(300);
                assert!(ended.took >= least && ended.took < 10 * least + SLACK, "{case}: {ended:?}");
            });
        }
    });
}

fn slow() {
    let slow = Behaviour::ok().delay(Duration::from_millis(150));
    let receiver = start(Script::always(slow));
    // ten requests, of which each is in time and all together are not
    let options = [("exit_idle_timeout", "1s"), ("queue_config.max_samples_per_send", "100")];
    let ended = run("returns", &receiver, &options).silently(0);
    assert!(ended.took > Duration::from_millis(1400), "{ended:?}");
    everything_came(&receiver);
}

fn endless() {
    let slow = Behaviour::ok().delay(Duration::from_millis(100));
    let receiver = start(Script::always(slow));
    let options =
        [("exit_idle_timeout", "1m"), ("exit_timeout", "500ms"), ("queue_config.max_samples_per_send", "1")];
    let ended = run("leaves", &receiver, &options).silently(7);
    assert!(ended.took < Duration::from_millis(500) * 10 + SLACK, "{ended:?}");
    assert!(receiver.requests().iter().filter(|r| r.stored).count() > 1, "nothing was delivered meanwhile");
    assert!(job::LONG > ended.took);
}
