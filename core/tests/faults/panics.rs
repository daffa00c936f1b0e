//! A bug in the worker is caught: the batch is tried once more, and later ones are delivered.

use crate::rig::*;
use promwrite_core::clock::Clock;
use promwrite_core::config::Config;
use promwrite_core::error::Error;
use promwrite_core::input::labels::{Labels, NameScheme};
use promwrite_core::input::series::SeriesData;
use promwrite_core::ledger::{Dropped, Rejected};
use promwrite_core::pending::queue::{Queue, now_stamp};
use promwrite_core::pending::source::Source;
use promwrite_core::send::transport::memory::MemoryTransport;
use promwrite_core::sender::{Flush, Kind, Parts, Sender};
use std::sync::{Arc, Once};

struct Panicking {
    transport: Arc<MemoryTransport>,
    queue: Arc<Queue>,
    sender: Arc<Sender>,
    series: Arc<SeriesData>,
}

impl Panicking {
    /// A sender whose transport panics for the first `times` requests.
    fn new(times: usize) -> Self {
        quiet();
        let config: Arc<Config> = Arc::new(config(&[]));
        let queue = Arc::new(Queue::new(config.clone(), Clock::Real));
        let transport = Arc::new(MemoryTransport::new());
        (0..times).for_each(|_| transport.call(|_| panic!("a bug in the transport")));
        let labels = Labels::new("m", [("job", "test")], &[], NameScheme::Legacy).unwrap();
        let series = queue.register(&promwrite_core::wire::v1::encode_labels(&labels), None).unwrap();
        let sender = Arc::new(Sender::new(Parts {
            config,
            source: queue.clone(),
            transport: transport.clone(),
            clock: Clock::Real,
            url: "http://receiver".into(),
            path: PATH.into(),
            kind: Kind::Samples,
        }));
        Panicking { transport, queue, sender, series }
    }

    fn append(&self, value: f64) -> Result<(), Error> {
        self.queue.append(&self.series, value, now_stamp(now_ms())).map_err(|e| self.sender.closed(e))?;
        self.sender.ensure_worker();
        Ok(())
    }

    fn flush(&self) {
        Flush::start([self.sender.clone()], LONG).finish();
        let balance = balanced(self.queue.balance());
        assert_eq!(balance.pending, 0, "{balance:?}");
    }
}

/// Keeps the messages of panics that are meant from the output of the tests.
fn quiet() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if std::thread::current().name() != Some("promwrite") {
                before(info);
            }
        }));
    });
}

#[test]
fn a_batch_whose_sending_panics_is_tried_once_more() {
    let rig = Panicking::new(1);
    rig.append(1.0).unwrap();
    rig.flush();
    let requests = rig.transport.requests();
    assert_eq!((requests.len(), &requests[0].body), (2, &requests[1].body));
    assert_eq!(rig.queue.balance().ledger.delivered, 1);
}

#[test]
fn a_batch_that_panics_twice_is_rejected_and_later_ones_are_delivered() {
    let rig = Panicking::new(2);
    rig.append(1.0).unwrap();
    rig.flush();
    let ledger = rig.queue.balance().ledger;
    assert_eq!((ledger.delivered, ledger.rejected[Rejected::Panic as usize]), (0, 1));
    let failures = rig.sender.stats().failures;
    assert!(
        failures.iter().any(|e| e.items == 1 && e.message.contains("a bug in the transport")),
        "{failures:?}"
    );
    rig.append(2.0).unwrap();
    rig.flush();
    assert_eq!((rig.queue.balance().ledger.delivered, rig.sender.stats().failed), (1, false));
}

#[test]
fn a_worker_that_panics_three_times_within_a_minute_is_a_failed_sender_that_says_so() {
    let rig = Panicking::new(3);
    rig.append(1.0).unwrap();
    rig.flush();
    rig.append(2.0).unwrap();
    rig.flush();
    until("the sender's failure", || rig.sender.stats().failed);
    assert_eq!(rig.append(3.0), Err(Error::SenderFailed));
    let balance = balanced(rig.queue.balance());
    assert_eq!(
        (
            balance.ledger.rejected[Rejected::Panic as usize],
            balance.ledger.dropped[Dropped::Shutdown as usize]
        ),
        (1, 1)
    );
    assert_eq!((balance.pending, balance.ledger.accepted), (0, 2));
}
