//! Receivers and writers as the tests of faults want them.

use promwrite_core::config::Config;
use promwrite_core::ledger::{Balance, Ledger};
use promwrite_core::sender::Stats;
use promwrite_core::writer::{Series, Writer};
use promwrite_receiver::{
    Behaviour, Cut, Drip, Options, Phase, Receiver, Rules, Script, Strictness, TlsCase,
};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Longer than anything here may take.
pub const LONG: Duration = Duration::from_secs(30);
/// The path of remote write.
pub const PATH: &str = "/api/v1/write";
/// What a wait may take on a busy machine beyond what was asked for.
pub const SLACK: Duration = Duration::from_secs(2);

/// Options that make faults pass quickly; `pairs` come on top.
pub fn config(pairs: &[(&str, &str)]) -> Config {
    let quick = [
        ("instance", ""),
        ("proxy_from_environment", "false"),
        ("metadata_config.send", "false"),
        ("queue_config.min_backoff", "5ms"),
        ("queue_config.max_backoff", "50ms"),
        ("queue_config.hold_interval", "5ms"),
    ];
    Config::from_pairs(quick.iter().chain(pairs).copied()).unwrap()
}

pub fn writer_to(url: &str, pairs: &[(&str, &str)]) -> Writer {
    Writer::new(url, config(pairs)).unwrap()
}

pub fn writer(receiver: &Receiver, pairs: &[(&str, &str)]) -> Writer {
    writer_to(&receiver.url(PATH), pairs)
}

pub fn start(script: Script) -> Receiver {
    Receiver::start(script).unwrap()
}

/// A receiver that refuses what Prometheus refuses.
pub fn strict(script: Script) -> Receiver {
    let rules = Rules { strictness: Strictness::Prometheus, ..Rules::default() };
    Receiver::with(Options { script, rules, ..Options::default() }).unwrap()
}

pub fn plain_series(writer: &Writer, name: &str) -> Series {
    writer.series::<&str, &str>(name, &[], None).unwrap()
}

pub fn now_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

pub fn stats(writer: &Writer) -> Stats {
    writer.stats().unwrap()
}

/// The ledger, checked against what is pending.
pub fn ledger(writer: &Writer) -> Ledger {
    balanced(stats(writer).balance).ledger
}

pub fn balanced(balance: Balance) -> Balance {
    assert!(balance.ledger.balances(balance.pending), "{balance:?}");
    balance
}

/// Flushes, and fails if anything is left.
pub fn deliver(writer: &Writer) {
    let report = writer.flush(LONG);
    assert_eq!(report.pending, 0, "{report:?}");
}

/// Everything the receiver holds, as (name, time, value), sorted.
pub fn held(receiver: &Receiver) -> Vec<(String, i64, f64)> {
    let mut all: Vec<(String, i64, f64)> = Vec::new();
    receiver.inspect(|state| {
        for (labels, samples) in &state.store.series {
            for stored in samples {
                all.push((labels["__name__"].clone(), stored.sample.ts_ms, stored.sample.value()));
            }
        }
    });
    all.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
    all
}

/// Values of one series in the order in which they came.
pub fn values(receiver: &Receiver, name: &str) -> Vec<f64> {
    receiver.inspect(|state| {
        state.store.samples(&[("__name__", name)]).iter().map(|s| s.sample.value()).collect()
    })
}

/// Tries `reached` until it holds; fails after [`LONG`]. For what can only be read and not waited for.
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + LONG;
    while !reached() {
        assert!(Instant::now() < end, "never came: {what}");
        std::thread::yield_now();
    }
}

/// A receiver that takes nothing, in one of the ways in which receivers do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dead {
    Refused,
    NeverAccepts,
    Hung,
    Drips,
    TlsStalls,
}

impl Dead {
    pub const ALL: [Dead; 5] = [Dead::Refused, Dead::NeverAccepts, Dead::Hung, Dead::Drips, Dead::TlsStalls];

    pub fn start(self) -> Receiver {
        let drip = Some(Drip::byte_every(Duration::from_secs(3600)));
        let script = match self {
            Dead::Hung => Script::always(Behaviour::cut(Phase::FirstByte, Cut::Stall)),
            Dead::Drips => Script::always(Behaviour { drip_head: drip, ..Behaviour::ok() }),
            _ => Script::default(),
        };
        let mut receiver = Receiver::with(Options {
            script,
            tls: (self == Dead::TlsStalls).then_some(TlsCase::HandshakeStall),
            never_accept: self == Dead::NeverAccepts,
            ..Options::default()
        })
        .unwrap();
        if self == Dead::Refused {
            receiver.down();
        }
        receiver
    }
}
