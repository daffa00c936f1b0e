//! Sending what other processes left in a spool, without a writer: for a cron job, a sidecar, or the driver of a cluster.

use super::{Flush, Kind, Parts, Report, Sender};
use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::ledger::Dropped;
use crate::pending::queue::Queue;
use crate::pending::spool::{Place, Spooling};
use crate::send::endpoint::Endpoint;
use crate::send::transport::http::HttpTransport;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Starts to send everything in `directory` that processes which ended left for the remote-write URL `url`, and does not wait;
/// [`finish_drain`] follows. Credentials come with `config`, since the spool holds none; its `spool_dir` is not looked at.
///
/// # Errors
/// [`Error::Invalid`] for a directory that does not exist or that others can change, and for what a writer refuses.
pub fn start_drain(directory: &Path, url: &str, config: Config, timeout: Duration) -> Result<Flush> {
    config.check()?;
    if !directory.is_dir() {
        let shown = directory.to_string_lossy();
        return Err(Error::invalid("spool_dir", shown.as_bytes(), "must be a directory that exists"));
    }
    let endpoint = Arc::new(Endpoint::parse(url, "url", config.http())?);
    let transport = Arc::new(HttpTransport::new(endpoint.clone())?);
    let place = Place::new(directory, &endpoint, &config)?;
    let config = Arc::new(config);
    let queue = Arc::new(Queue::new(config.clone(), Clock::Real));
    let sender = Sender::new(Parts {
        config,
        source: Arc::new(Spooling::draining(queue, place, Clock::Real)),
        transport,
        clock: Clock::Real,
        url: endpoint.shown(),
        path: endpoint.path_and_query().to_owned(),
        kind: Kind::Samples,
    });
    Ok(Flush::start([Arc::new(sender)], timeout))
}

/// Ends what [`start_drain`] began and says what was taken and what became of it. What was not sent stays where it is, and
/// counts as pending.
#[must_use]
pub fn finish_drain(flush: &Flush) -> Vec<Report> {
    let finish = |(sender, _): &(Arc<Sender>, u64)| {
        sender.clear(Dropped::Shutdown);
        sender.report(&Mutex::default())
    };
    flush.parts.iter().map(finish).collect()
}
