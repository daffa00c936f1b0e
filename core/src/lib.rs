/*!
promwrite hands the metrics of a job to Prometheus without ever blocking the job.

A job that ends before anybody scrapes it has to push. Here a push is handed over in microseconds; a thread of this
library batches, encodes, authenticates, sends and retries, and says truthfully what became of each sample.

# Overview

* [`writer::Writer`] sends samples by Prometheus remote write 1.0: [`writer::Series`] is the fast path for a prepared
  label set, [`writer::Batch`] appends many at once, [`writer::Writer::push_text`] takes a text page.
* [`pusher::Pusher`] pushes the state of a group to a Pushgateway; [`pusher::Handler`] does so for whoever makes the
  requests itself.
* [`config::Config`] holds the options: one table, the same in every language.
* [`sender::Report`] says what a flush achieved, [`sender::Stats`] everything since the start.

# Example

```no_run
use promwrite_core::{config::Config, writer::Writer};
use std::time::Duration;

let config = Config::from_pairs([
    ("basic_auth.username", "1300000000"),
    ("basic_auth.password_file", "/run/secrets/token"),
    ("labels.job", "etl"),
])?;
let writer = Writer::new("http://10.0.0.1:9090/api/v1/prom/write", config)?;
let rows = writer.series("rows_loaded_total", &[("stage", "load")], None)?;
for total in 1..=1000 {
    rows.append(f64::from(total))?;
}
let report = writer.close(Duration::from_secs(5));
assert!(report.complete(), "{report:?}");
# Ok::<(), promwrite_core::error::Error>(())
```

# Promises

1. **It never blocks.** An append takes one short lock and 24 bytes, whatever the receiver, the name service or the
   worker is doing. Only `queue_config.overflow = block` waits, because it was asked to.
2. **It never lies.** `accepted + adopted = delivered + rejected + dropped + superseded + pending + spooled` at every
   instant ([`ledger`]); delivered means answered with 2xx.
3. **It never hangs.** A flush, a close and the end of the process end when they said they would.
4. **It loses nothing it can keep.** Retries keep the order of each series; what cannot be delivered is counted by reason.
5. **It never harms its host.** No thread before the first push, all signals blocked in it, right after a fork, nothing
   printed, no redirect followed, no secret in any message.

# Limits

* What runs no exit hook (`_exit`, a signal's default action, SIGKILL) loses what is pending in memory: call
  [`writer::Writer::close`] there.
* With the option `spool_dir` a writer puts on disk what is left when it is closed or the process ends, and the oldest part
  of a queue that is nearly full; what lies there survives any end of the process, though not a loss of power, and a later
  writer or [`sender::start_drain`] sends it. What is in memory when a process is killed is lost as without a spool. Nothing is
  written on a thread that appends; while a request hangs, for at most `remote_timeout`, the queue must bridge that time.
* The spool is for processes of one machine and one user. Files tell endpoints apart by URL, user and tenant, never by a
  secret ([`send::endpoint::Endpoint::identity`]).
* A receiver is told the same samples again after a lost answer, because nobody can know whether it has them.
* Remote write was made for servers: a receiver takes a series from one writer at a time, oldest sample first.
* A program whose logger takes `ureq_proto` at trace level sees the bytes of requests, credentials included.

# How it is built

A sample goes one way: [`writer`] → [`input`] (labels checked and encoded once) → [`pending`] (24 bytes in a queue) →
[`wire`] (one request, encoded once) → [`send`] (one attempt, one verdict) → settled with its source. No later step calls
an earlier one. [`sys`] holds every `unsafe`, [`clock`] every look at the time.
*/

#![deny(unsafe_code)]

pub mod clock;
pub mod config;
pub mod error;
pub mod input;
pub mod ledger;
pub mod pending;
pub mod pusher;
pub mod send;
pub mod sender;
pub mod sys;
pub mod wire;
pub mod writer;
