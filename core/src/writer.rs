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

use crate::clock::Clock;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::input::exposition::{self, Format, ReadOptions};
use crate::input::labels::{Labels, NameScheme, check_label_name};
use crate::input::series::{Meta, SeriesData};
use crate::ledger::Ledger;
use crate::pending::queue::{Nudge, Queue, now_stamp};
use crate::send::endpoint::Endpoint;
use crate::send::transport::Transport;
use crate::send::transport::http::HttpTransport;
use crate::sender::{Flush, Kind, Parts, Report, Sender, Stats, closed};
use crate::sys::{self, ForkCell};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// Earliest timestamp that is taken, 2001-01-01: what lies before is nearly always seconds where milliseconds are meant.
pub const EARLIEST_MS: i64 = 978_307_200_000;
/// How far ahead of now a timestamp may lie; receivers refuse what lies further ahead.
pub const AHEAD_MS: i64 = 600_000;

/// Checks a timestamp in milliseconds against `now_ms`.
///
/// # Errors
/// [`Error::InvalidTimestamp`] before 2001 or more than ten minutes ahead, with both readings of the number.
#[inline]
pub fn check_timestamp(timestamp_ms: i64, now_ms: i64) -> Result<()> {
    if timestamp_ms < EARLIEST_MS || timestamp_ms > now_ms.saturating_add(AHEAD_MS) {
        return Err(bad_timestamp(timestamp_ms));
    }
    Ok(())
}

/// Seconds since 1970 as milliseconds, checked against `now_ms`.
///
/// # Errors
/// As [`check_timestamp`], with both readings of the number of seconds; [`Error::Invalid`] for one that is not finite.
pub fn check_seconds(seconds: f64, now_ms: i64) -> Result<i64> {
    if !seconds.is_finite() {
        return Err(Error::invalid("timestamp", seconds.to_string(), "must be a finite number of seconds"));
    }
    // rounded, because 1.001 s is 1000.9999... ms; a cast of what is out of range saturates, and is refused
    let timestamp_ms = (seconds * 1000.0).round() as i64;
    check_timestamp(timestamp_ms, now_ms).map_err(|_| bad_timestamp(seconds as i64))?;
    Ok(timestamp_ms)
}

#[cold]
fn bad_timestamp(value: i64) -> Error {
    Error::InvalidTimestamp {
        value: value.to_string(),
        as_milliseconds: utc(value.div_euclid(1000)),
        as_seconds: utc(value),
    }
}

/// Seconds since 1970 as a UTC time, for messages.
fn utc(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    if days.abs() > 365 * 8000 {
        return format!(
            "{} the year {}",
            if days < 0 { "before" } else { "after" },
            if days < 0 { -6000 } else { 9000 }
        );
    }
    // days to a civil date in the proleptic Gregorian calendar, whose pattern repeats every 400 years
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

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
    closed: AtomicBool,
    local: ForkCell<Local>,
}

/// What must not cross a fork.
struct Local {
    queue: Arc<Queue>,
    sender: Arc<Sender>,
    cursor: Mutex<Ledger>,
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
    /// [`Error::Invalid`] for a URL, a label or a file that breaks a rule.
    pub fn new(url: &str, config: Config) -> Result<Self> {
        config.check()?;
        let endpoint = Endpoint::parse(url, "url", config.http())?;
        // made once here for its checks alone: each process makes its own, with the first sample
        HttpTransport::new(Arc::new(endpoint.clone()))?;
        let labels = own_labels(&config)?;
        let shared = Shared {
            endpoint: Arc::new(endpoint),
            config: Arc::new(config),
            labels,
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
    /// [`Error::Invalid`] naming the label or the metric; [`Error::TooLarge`] for labels larger than a request;
    /// [`Error::QueueFull`] when series fill `queue_config.capacity_bytes`; [`Error::Closed`].
    pub fn series<N: AsRef<str>, V: AsRef<str>>(
        &self,
        name: &str,
        labels: &[(N, V)],
        meta: Option<Meta>,
    ) -> Result<Series> {
        let pairs = labels.iter().map(|(n, v)| (n.as_ref(), v.as_ref()));
        let labels = Labels::new(name, pairs, &self.shared.labels, self.shared.scheme())?;
        let inner = SeriesInner {
            writer: self.shared.clone(),
            labels,
            meta: meta.map(|m| (name.into(), m)),
            local: ForkCell::new(),
        };
        inner.local()?;
        Ok(Series { inner: Arc::new(inner) })
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
    /// [`Error::Closed`].
    pub fn batch(&self) -> Result<Batch<'_>> {
        let local = self.shared.local()?;
        Ok(Batch { shared: &self.shared, local, now_ms: sys::wall_ms(), samples: Vec::new() })
    }

    /// Appends every sample of a text page: text 0.0.4 or OpenMetrics 1.0, by `content_type` (empty means text 0.0.4).
    /// `labels` are added to each series where it has none of that name. Samples without a timestamp get the time of this
    /// call, all the same. Returns how many samples were taken.
    ///
    /// # Errors
    /// [`Error::Exposition`] with line and column; then nothing of the page was accepted. Otherwise as [`Writer::append`].
    pub fn push_text(&self, page: &[u8], content_type: &str, labels: &[(String, String)]) -> Result<usize> {
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
        let metas: Vec<(&str, Meta)> = page
            .families()
            .map(|f| (f.name, Meta { kind: f.kind, help: f.help.into(), unit: f.unit.into() }))
            .collect();
        for sample in page.samples() {
            let labels = Labels::new(sample.name, sample.labels.iter(), &extra, scheme)?;
            let meta = metas.get(sample.family).cloned();
            batch.add_labels(&labels, sample.value, sample.timestamp_ms, meta)?;
        }
        let taken = batch.samples.len();
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
            local.sender.clear(crate::ledger::Dropped::Shutdown);
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
            let sender = Sender::registered(Parts {
                config: self.config.clone(),
                source: queue.clone(),
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

/// A prepared label set. Clones are the same series.
#[derive(Clone)]
pub struct Series {
    inner: Arc<SeriesInner>,
}

struct SeriesInner {
    writer: Arc<Shared>,
    labels: Labels,
    meta: Option<(Box<str>, Meta)>,
    local: ForkCell<Registered>,
}

struct Registered {
    data: Arc<SeriesData>,
    queue: Arc<Queue>,
    sender: Arc<Sender>,
}

impl std::fmt::Debug for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Series").field(&self.inner.labels).finish()
    }
}

impl SeriesInner {
    #[inline]
    fn local(&self) -> Result<&Registered> {
        match self.local.get() {
            Some(local) => Ok(local),
            None => self.register(),
        }
    }

    #[cold]
    fn register(&self) -> Result<&Registered> {
        self.local.get_or_try_init(|| {
            let local = self.writer.local()?;
            let meta = self.meta.as_ref().map(|(name, meta)| (&**name, meta.clone()));
            let data = local.queue.register(&self.labels, meta).map_err(|e| local.sender.closed(e))?;
            Ok(Registered { data, queue: local.queue.clone(), sender: local.sender.clone() })
        })
    }
}

impl Registered {
    #[inline]
    fn append(&self, value: f64, stamp: i64) -> Result<()> {
        let nudge = self.queue.append(&self.data, value, stamp).map_err(|e| self.sender.closed(e))?;
        self.after(nudge);
        Ok(())
    }

    #[inline]
    fn after(&self, nudge: Nudge) {
        match nudge {
            Nudge::Later => self.sender.ensure_worker(),
            Nudge::Now => self.sender.request_ready(),
        }
    }
}

impl Series {
    /// Records `value` as the series' value now, as a scrape at this moment would see it: for a counter the total so far,
    /// not an increment. Two values within a millisecond are one sample, the later one.
    ///
    /// # Errors
    /// [`Error::QueueFull`] with the overflow policies `error` and `block`; [`Error::Closed`]; [`Error::SenderFailed`].
    #[inline]
    pub fn append(&self, value: f64) -> Result<()> {
        self.inner.local()?.append(value, now_stamp(sys::wall_ms()))
    }

    /// Records `value` at `timestamp_ms`, milliseconds since 1970.
    ///
    /// # Errors
    /// [`Error::InvalidTimestamp`]; otherwise as [`Series::append`].
    #[inline]
    pub fn append_at(&self, value: f64, timestamp_ms: i64) -> Result<()> {
        check_timestamp(timestamp_ms, sys::wall_ms())?;
        self.inner.local()?.append(value, timestamp_ms)
    }

    /// Records many values with their timestamps in milliseconds; both slices have one length.
    ///
    /// # Errors
    /// [`Error::Invalid`] for different lengths and [`Error::InvalidTimestamp`]: nothing was accepted. Otherwise as
    /// [`Series::append`], where what came before the first failure was accepted.
    pub fn extend(&self, values: &[f64], timestamps_ms: &[i64]) -> Result<()> {
        if values.len() != timestamps_ms.len() {
            return Err(Error::invalid(
                "timestamps_ms",
                timestamps_ms.len().to_string(),
                format!("must be as many as values, {}", values.len()),
            ));
        }
        let now = sys::wall_ms();
        timestamps_ms.iter().try_for_each(|t| check_timestamp(*t, now))?;
        let local = self.inner.local()?;
        let samples = values.iter().zip(timestamps_ms).map(|(v, t)| (&*local.data, *v, *t));
        let nudge = local.queue.append_many(samples).map_err(|e| local.sender.closed(e))?;
        local.after(nudge);
        Ok(())
    }

    /// The labels, sorted.
    #[must_use]
    pub fn labels(&self) -> &Labels {
        &self.inner.labels
    }
}

/// Many samples that are appended together or not at all. Samples without a timestamp share the time at which the batch
/// was made.
pub struct Batch<'w> {
    shared: &'w Shared,
    local: &'w Local,
    now_ms: i64,
    samples: Vec<(Arc<SeriesData>, f64, i64)>,
}

impl Batch<'_> {
    /// Adds a sample; `meta` is the family's name and metadata.
    ///
    /// # Errors
    /// As [`Writer::series`] and [`Series::append_at`].
    pub fn add<N: AsRef<str>, V: AsRef<str>>(
        &mut self,
        name: &str,
        labels: impl IntoIterator<Item = (N, V)>,
        value: f64,
        timestamp_ms: Option<i64>,
        meta: Option<(&str, Meta)>,
    ) -> Result<()> {
        let labels = Labels::new(name, labels, &self.shared.labels, self.shared.scheme())?;
        self.add_labels(&labels, value, timestamp_ms, meta)
    }

    fn add_labels(
        &mut self,
        labels: &Labels,
        value: f64,
        timestamp_ms: Option<i64>,
        meta: Option<(&str, Meta)>,
    ) -> Result<()> {
        let stamp = match timestamp_ms {
            Some(at) => {
                check_timestamp(at, self.now_ms)?;
                at
            }
            None => now_stamp(self.now_ms),
        };
        let series = self.local.queue.register(labels, meta).map_err(|e| self.local.sender.closed(e))?;
        self.samples.push((series, value, stamp));
        Ok(())
    }

    /// Samples added so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.samples.len()
    }

    /// Whether nothing was added.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    /// Appends all of it.
    ///
    /// # Errors
    /// As [`Series::append`].
    pub fn commit(self) -> Result<()> {
        let samples = self.samples.iter().map(|(series, value, at)| (&**series, *value, *at));
        let nudge = self.local.queue.append_many(samples).map_err(|e| self.local.sender.closed(e))?;
        match nudge {
            Nudge::Later => self.local.sender.ensure_worker(),
            Nudge::Now => self.local.sender.request_ready(),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readings_of_a_timestamp_are_named() {
        let now = 1_700_000_000_000;
        assert!(check_timestamp(now, now).is_ok() && check_timestamp(now + AHEAD_MS, now).is_ok());
        let seconds = check_timestamp(1_700_000_000, now).unwrap_err().to_string();
        assert!(
            seconds.contains("1970-01-20T16:13:20Z") && seconds.contains("2023-11-14T22:13:20Z"),
            "{seconds}"
        );
        let micros = check_timestamp(1_700_000_000_000_000, now).unwrap_err().to_string();
        assert!(micros.contains("after the year 9000"), "{micros}");
        assert!(check_timestamp(i64::MIN, now).is_err() && check_timestamp(i64::MAX, now).is_err());
    }

    #[test]
    fn seconds_are_rounded_to_milliseconds_and_refused_by_the_number_given() {
        let now = 1_700_000_000_000;
        assert_eq!(check_seconds(1_699_999_999.001, now), Ok(1_699_999_999_001));
        let milliseconds = check_seconds(1_700_000_000_000.0, now).unwrap_err().to_string();
        assert!(milliseconds.contains("1700000000000 is refused"), "{milliseconds}");
        assert!(milliseconds.contains("as milliseconds it is 2023-11-14T22:13:20Z"), "{milliseconds}");
        for bad in [f64::NAN, f64::INFINITY, 1e300, -1e300, 0.0] {
            assert!(check_seconds(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(EARLIEST_MS / 1000), "2001-01-01T00:00:00Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
    }
}
