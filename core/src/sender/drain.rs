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

/// A drain under way; waits in slices, so that a caller can look after signals in between.
pub struct Drain {
    sender: Arc<Sender>,
    flush: Flush,
}

impl Drain {
    /// Starts to send everything in `directory` that processes which ended left for the remote-write URL `url`. Credentials
    /// come with `config`, since the spool holds none; its `spool_dir` is not looked at.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a directory that does not exist or that others can change, and for what a writer refuses.
    pub fn start(directory: &Path, url: &str, config: Config, timeout: Duration) -> Result<Self> {
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
        let sender = Arc::new(Sender::new(Parts {
            config,
            source: Arc::new(Spooling::draining(queue, place, Clock::Real)),
            transport,
            clock: Clock::Real,
            url: endpoint.shown(),
            path: endpoint.path_and_query().to_owned(),
            kind: Kind::Samples,
        }));
        let flush = Flush::start([sender.clone()], timeout);
        Ok(Drain { sender, flush })
    }

    /// Waits at most `slice`; true when there is nothing more to wait for: all is sent, or the time is over.
    #[must_use]
    pub fn wait(&self, slice: Duration) -> bool {
        self.flush.wait(slice)
    }

    /// Ends it and says what was taken and what became of it. What was not sent stays where it is, for the next one.
    #[must_use]
    pub fn finish(self) -> Report {
        self.sender.clear(Dropped::Shutdown);
        self.sender.report(&Mutex::default())
    }
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain").field("url", &self.sender.url()).finish_non_exhaustive()
    }
}

/// Sends everything in `directory` that was left for `url`, for at most `timeout`; see [`Drain::start`].
///
/// # Errors
/// Those of [`Drain::start`]. That the receiver takes nothing is no error, but stands in the report.
pub fn drain(directory: &Path, url: &str, config: Config, timeout: Duration) -> Result<Report> {
    let drain = Drain::start(directory, url, config, timeout)?;
    while !drain.wait(Duration::from_secs(3600)) {}
    Ok(drain.finish())
}
