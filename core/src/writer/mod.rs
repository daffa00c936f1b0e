//! Remote write without waiting: [`Writer`], its prepared [`Series`], and a [`Batch`] of many at once.
//!
//! ```no_run
//! use promwrite_core::{config::Config, writer::Writer};
//! use std::time::Duration;
//!
//! let config = Config::from_pairs([("labels.job", "etl")])?;
//! let writer = Writer::new("http://127.0.0.1:9090/api/v1/write", config)?;
//! let rows = writer.series("rows_loaded_total", &[("stage", "load")], None)?;
//! rows.append(1200.0)?;
//! let report = writer.close(Duration::from_secs(5));
//! assert!(report.complete(), "{report:?}");
//! # Ok::<(), promwrite_core::error::Error>(())
//! ```

mod batch;
mod request;
mod series;

pub use batch::Batch;
pub use series::Series;

use crate::clock::Clock;
use crate::config::Config;
use crate::error::Result;
use crate::input::exposition::{self, Format, ReadOptions};
use crate::input::labels::{Labels, NameScheme, check_label_name};
use crate::input::series::{Family, Meta, SeriesData};
use crate::ledger::{Dropped, Ledger};
use crate::pending::queue::{Nudge, Queue};
use crate::pending::source::Source;
use crate::pending::spool::{Place, Spooling};
use crate::send::endpoint::Endpoint;
use crate::send::transport::Transport;
use crate::send::transport::http::HttpTransport;
use crate::sender::{Flush, Kind, Parts, Report, Sender, Stats, closed};
use crate::sys::{self, ForkCell};
use crate::wire::v1::encode_labels;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A non-blocking remote-write client. Clones share one queue and one connection.
///
/// It starts its thread with the first sample and holds no connection before. Dropping it loses nothing: what is pending
/// is still sent, and flushed when the process ends by `exit` or by returning from `main`. What runs no exit hook
/// (`_exit`, a signal's default action) needs [`Writer::close`].
#[derive(Clone)]
pub struct Writer {
    shared: Arc<Shared>,
}

struct Shared {
    endpoint: Arc<Endpoint>,
    config: Arc<Config>,
    labels: Vec<(String, String)>,
    place: Option<Place>,
    closed: AtomicBool,
    local: ForkCell<Local>,
}

/// What must not cross a fork.
struct Local {
    queue: Arc<Queue>,
    sender: Arc<Sender>,
    cursor: Mutex<Ledger>,
}

impl Local {
    fn append_many<'a>(&self, samples: impl IntoIterator<Item = (&'a SeriesData, f64, i64)>) -> Result<()> {
        match self.queue.append_many(samples).map_err(|e| self.sender.closed(e))? {
            Nudge::Later => self.sender.ensure_worker(),
            Nudge::Now => self.sender.request_ready(),
        }
        Ok(())
    }
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").field("url", &self.shared.endpoint.shown()).finish_non_exhaustive()
    }
}

impl Writer {
    /// A writer to the remote-write URL `url`, as it is: no path is added to it.
    ///
    /// `instance` is added as a label unless the option `instance` says otherwise, `labels.NAME` are added; a series' own
    /// label wins. Nothing is read, started or connected yet, but files named by options are checked.
    ///
    /// # Errors
    /// `Error::Invalid` for a URL, a label or a file that breaks a rule.
    pub fn new(url: &str, config: Config) -> Result<Self> {
        config.check()?;
        let endpoint = Endpoint::parse(url, "url", config.http())?;
        // made once here for its checks alone: each process makes its own, with the first sample
        HttpTransport::new(Arc::new(endpoint.clone()))?;
        let labels = own_labels(&config)?;
        let place = config.spool_dir.as_ref().map(|path| Place::new(path, &endpoint, &config)).transpose()?;
        let shared = Shared {
            endpoint: Arc::new(endpoint),
            config: Arc::new(config),
            labels,
            place,
            closed: AtomicBool::new(false),
            local: ForkCell::new(),
        };
        let writer = Writer { shared: Arc::new(shared) };
        writer.shared.local()?;
        Ok(writer)
    }

    /// The endpoint, without user, password and query.
    #[must_use]
    pub fn url(&self) -> String {
        self.shared.endpoint.shown()
    }

    /// A prepared series: checked, sorted and encoded once. The fast path for what is appended often.
    ///
    /// `meta` names the metric's type, help and unit, told to the receiver once a minute.
    ///
    /// # Errors
    /// `Error::Invalid` naming the label or the metric; `Error::TooLarge` for labels larger than a request;
    /// `Error::QueueFull` when series fill `queue_config.capacity_bytes`; `Error::Closed`.
    pub fn series<N: AsRef<str>, V: AsRef<str>>(
        &self,
        name: &str,
        labels: &[(N, V)],
        meta: Option<Meta>,
    ) -> Result<Series> {
        let pairs = labels.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
        let labels = Labels::new(name, pairs, &self.shared.labels, self.shared.scheme())?;
        Series::new(self.shared.clone(), encode_labels(&labels), meta.map(|m| (name.into(), m)))
    }

    /// Appends one sample of a series by name and labels, looked up each time; `timestamp_ms` is now if not given.
    ///
    /// # Errors
    /// As [`Writer::series`] and [`Series::append_at`].
    pub fn append<N: AsRef<str>, V: AsRef<str>>(
        &self,
        name: &str,
        labels: &[(N, V)],
        value: f64,
        timestamp_ms: Option<i64>,
    ) -> Result<()> {
        let mut batch = self.batch()?;
        let pairs = labels.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
        batch.add(name, pairs, value, timestamp_ms, None)?;
        batch.commit()
    }

    /// A batch to be filled and appended as one.
    ///
    /// # Errors
    /// `Error::Closed`.
    pub fn batch(&self) -> Result<Batch<'_>> {
        let local = self.shared.local()?;
        Ok(Batch::new(&self.shared, local))
    }

    /// Appends every sample of a text page: text 0.0.4 or OpenMetrics 1.0, by `content_type` (empty means text 0.0.4).
    /// `labels` are added to each series; where it has a label of that name already, its own wins with `honor_labels`, as in
    /// a scrape, and the given one without, as a Pushgateway does with a grouping key. Samples without a timestamp get the
    /// time of this call, all the same. Returns how many samples were taken.
    ///
    /// # Errors
    /// `Error::Exposition` with line and column; then nothing of the page was accepted. Otherwise as [`Writer::append`].
    pub fn push_text(
        &self,
        page: &[u8],
        content_type: &str,
        labels: &[(String, String)],
        honor_labels: bool,
    ) -> Result<usize> {
        let scheme = self.shared.scheme();
        for (name, _) in labels {
            check_label_name(name, scheme)?;
        }
        let options = ReadOptions { names: scheme, ..ReadOptions::default() };
        let page = exposition::read(page, Format::from_content_type(content_type)?, &options)?;
        let mut extra = labels.to_vec();
        extra.extend(
            self.shared.labels.iter().filter(|(n, _)| labels.iter().all(|(own, _)| own != n)).cloned(),
        );
        let mut batch = self.batch()?;
        let families: Vec<Arc<Family>> = page
            .families()
            .map(|f| batch.family(f.name, Meta { kind: f.kind, help: f.help.into(), unit: f.unit.into() }))
            .collect();
        for sample in page.samples() {
            let own = sample
                .labels
                .iter()
                .filter(|(n, _)| honor_labels || labels.iter().all(|(name, _)| name != n));
            let labels = Labels::new(sample.name, own, &extra, scheme)?;
            batch.add_labels(&labels, sample.value, sample.timestamp_ms, families.get(sample.family))?;
        }
        let taken = batch.len();
        batch.commit()?;
        Ok(taken)
    }

    /// Sends what was accepted before this call, at once, and waits for it at most `timeout`. A back-off is cut short
    /// once, a Retry-After is kept.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> Report {
        self.start_flush(timeout).finish();
        self.report()
    }

    /// Starts a flush and does not wait for it.
    #[must_use]
    pub fn start_flush(&self, timeout: Duration) -> Flush {
        Flush::start(self.shared.local.get().map(|l| l.sender.clone()), timeout)
    }

    /// Accepts no more, flushes for at most `timeout`, gives up the rest. A second call does nothing and reports what
    /// happened since.
    #[must_use]
    pub fn close(&self, timeout: Duration) -> Report {
        self.start_close(timeout).finish();
        self.finish_close()
    }

    /// Starts to close and does not wait; [`Writer::finish_close`] follows.
    #[must_use]
    pub fn start_close(&self, timeout: Duration) -> Flush {
        self.shared.closed.store(true, Ordering::SeqCst);
        Flush::start_close(self.shared.local.get().map(|l| l.sender.clone()), timeout)
    }

    /// Gives up what a close did not deliver.
    #[must_use]
    pub fn finish_close(&self) -> Report {
        if let Some(local) = self.shared.local.get() {
            local.sender.clear(Dropped::Shutdown);
        }
        self.report()
    }

    /// What happened since the last report of this writer.
    #[must_use]
    pub fn report(&self) -> Report {
        match self.shared.local.get() {
            Some(local) => local.sender.report(&local.cursor),
            // a forked child that has not used the writer
            None => Report {
                url: self.url(),
                kind: Kind::Samples,
                ledger: Ledger::default(),
                pending: 0,
                failures: Vec::new(),
            },
        }
    }

    /// Everything counted since the writer was made.
    #[must_use]
    pub fn stats(&self) -> Option<Stats> {
        self.shared.local.get().map(|l| l.sender.stats())
    }

    /// Whether [`Writer::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::SeqCst)
    }
}

/// The labels that a writer adds: `labels.NAME`, and `instance` unless it is given there or switched off.
fn own_labels(config: &Config) -> Result<Vec<(String, String)>> {
    let mut labels = config.labels.clone();
    for (name, _) in &labels {
        check_label_name(name, config.metric_name_validation_scheme)?;
    }
    if labels.iter().all(|(name, _)| name != "instance") {
        let instance = config.instance.clone().unwrap_or_else(sys::host_name);
        labels.push(("instance".to_owned(), instance));
    }
    labels.retain(|(_, value)| !value.is_empty());
    Ok(labels)
}

impl Shared {
    fn scheme(&self) -> NameScheme {
        self.config.metric_name_validation_scheme
    }

    #[inline]
    fn local(&self) -> Result<&Local> {
        match self.local.get() {
            Some(local) => Ok(local),
            None => self.make_local(),
        }
    }

    #[cold]
    fn make_local(&self) -> Result<&Local> {
        if self.closed.load(Ordering::SeqCst) {
            return closed("writer");
        }
        self.local.get_or_try_init(|| {
            let queue = Arc::new(Queue::new(self.config.clone(), Clock::Real));
            let transport: Arc<dyn Transport> = Arc::new(HttpTransport::new(self.endpoint.clone())?);
            let source: Arc<dyn Source> = match &self.place {
                Some(place) => Arc::new(Spooling::new(queue.clone(), place.clone(), Clock::Real)),
                None => queue.clone(),
            };
            let sender = Sender::registered(Parts {
                config: self.config.clone(),
                source,
                transport,
                clock: Clock::Real,
                url: self.endpoint.shown(),
                path: self.endpoint.path_and_query().to_owned(),
                kind: Kind::Samples,
            });
            for warning in self.endpoint.warnings() {
                sender.note(&warning, 0, true);
            }
            Ok(Local { queue, sender, cursor: Mutex::default() })
        })
    }
}
