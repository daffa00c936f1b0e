//! Many series in one call, as the standard message itself.

use super::{Local, Series, Shared, Writer};
use crate::error::{Error, Result};
use crate::input::exposition::MetricType;
use crate::input::labels::{Labels, METRIC_NAME};
use crate::input::request::{Beside, Entry, MetricMetadata, PACKED, Request, TimeSeries};
use crate::input::series::{Meta, SeriesData};
use crate::input::timestamp::check_timestamp;
use crate::pending::queue::now_stamp;
use crate::sys;
use crate::wire::v1::{decode_labels, encode_labels, encode_labels_into};
use std::collections::HashMap;
use std::sync::Arc;

/// Series looked up under one lock, few enough that nobody waits long for it.
const SLICE: usize = 256;

impl Writer {
    /// Appends every sample of an uncompressed `prometheus.WriteRequest` of remote write 1.0 (protobuf), all of them or,
    /// where anything in it is wrong, none. Returns how many samples it has.
    ///
    /// A timestamp of `i64::MIN` means the time of this call. Labels are checked and completed as those of
    /// [`Writer::series`]; they may stand in any order, `__name__` among them. Metadata is told for the families that have
    /// series in this request, otherwise it is left out. Series that were pushed before with the same bytes cost least,
    /// because these bytes are then looked up and not read.
    ///
    /// # Errors
    /// [`Error::Invalid`] for bytes that are no such message, with the offset; for a series without a name; for a series
    /// with exemplars or native histograms, which would be lost in silence. Otherwise as [`Writer::series`] and
    /// [`Series::append_at`], where a full queue with the policies `error` and `block` may have accepted what came first.
    pub fn push_request(&self, request: &[u8]) -> Result<usize> {
        let local = self.shared.local()?;
        let mut push = Push::new(&self.shared, local);
        let mut metadata = Vec::new();
        let mut entries = Request::new(request);
        while let Some(entry) = entries.next()? {
            match entry {
                Entry::Series(series) => push.add(series)?,
                Entry::Metadata(entry) => metadata.push(entry),
            }
        }
        push.read()?;
        push.describe(&metadata)?;
        let Push { known, samples, .. } = push;
        local
            .append_many(samples.iter().map(|(series, value, stamp)| (&*known[*series].0, *value, *stamp)))?;
        Ok(samples.len())
    }

    /// A prepared series as [`Writer::series`], whose `labels` are given as the `labels` fields (number 1) of a
    /// `prometheus.TimeSeries` of remote write 1.0 (protobuf), `__name__` among them, in any order.
    ///
    /// # Errors
    /// [`Error::Invalid`] for bytes that are no such fields, with the offset, or are more than labels. Otherwise as
    /// [`Writer::series`].
    pub fn series_from_labels(&self, labels: &[u8]) -> Result<Series> {
        let given = TimeSeries::alone(labels);
        let mut pairs = Vec::new();
        let labels = read_labels_alone(&given, &self.shared, &mut pairs).map_err(|error| match error {
            Error::Invalid { field, value, rule } if field == PACKED => {
                Error::Invalid { field: "labels".into(), value, rule }
            }
            other => other,
        })?;
        Series::new(self.shared.clone(), encode_labels(&labels), None)
    }
}

/// A request on its way into the queue.
struct Push<'a> {
    shared: &'a Shared,
    local: &'a Local,
    now_ms: i64,
    /// Series that were not looked up yet.
    unknown: Vec<TimeSeries<'a>>,
    /// The series before those, with the length of their leading labels.
    known: Vec<(Arc<SeriesData>, usize)>,
    /// Of the known series: number, value, stamp.
    samples: Vec<(usize, f64, i64)>,
    encoded: Vec<u8>,
}

impl<'a> Push<'a> {
    fn new(shared: &'a Shared, local: &'a Local) -> Self {
        Push {
            shared,
            local,
            now_ms: sys::wall_ms(),
            unknown: Vec::new(),
            known: Vec::new(),
            samples: Vec::new(),
            encoded: Vec::new(),
        }
    }

    fn add(&mut self, series: TimeSeries<'a>) -> Result<()> {
        self.unknown.push(series);
        if self.unknown.len() == SLICE { self.read() } else { Ok(()) }
    }

    /// Looks up the series that are unknown and reads their samples.
    fn read(&mut self) -> Result<()> {
        let unknown = std::mem::take(&mut self.unknown);
        let begin = self.known.len();
        // where the writer adds no label, labels as we write them name their series themselves
        let complete = self.shared.labels.is_empty();
        while let Some(rest) = unknown.get(self.known.len() - begin..).filter(|rest| !rest.is_empty()) {
            self.local.queue.find(rest, complete, &mut self.known);
            if let Some(series) = unknown.get(self.known.len() - begin) {
                let labels = series.leading_labels()?;
                let known = self.register(series)?;
                self.known.push((known, labels.len()));
            }
        }
        for series in &unknown {
            self.read_samples(series)?;
        }
        self.unknown = unknown;
        self.unknown.clear();
        Ok(())
    }

    fn read_samples(&mut self, series: &TimeSeries<'_>) -> Result<()> {
        let (samples, now_ms) = (&mut self.samples, self.now_ms);
        let mut refused = None;
        let beside = series.samples(self.known[series.number].1, |value, time| {
            let now = time == i64::MIN;
            if !now && check_timestamp(time, now_ms).is_err() {
                refused = Some(time);
            }
            samples.push((series.number, value, if now { now_stamp(now_ms) } else { time }));
        })?;
        if let Some(time) = refused {
            check_timestamp(time, now_ms)?;
        }
        if beside.exemplars || beside.histograms {
            return Err(lost(series, beside));
        }
        if beside.labels {
            // what was found has only a part of the labels
            self.known[series.number].0 = self.register(series)?;
        }
        Ok(())
    }

    /// The way of a series that nobody knows: its labels are read, checked and encoded.
    fn register(&mut self, series: &TimeSeries<'_>) -> Result<Arc<SeriesData>> {
        let mut pairs = Vec::new();
        encode_labels_into(&read_labels(series, self.shared, &mut pairs)?, &mut self.encoded);
        let data = self.local.queue.register(&self.encoded, None).map_err(|e| self.local.sender.closed(e))?;
        let given = series.leading_labels()?;
        let all = !series.samples(given.len(), |_, _| ())?.labels;
        if all && (given != data.labels() || !self.shared.labels.is_empty()) {
            self.local.queue.alias(given, &data);
        }
        Ok(data)
    }

    /// Gives the families that metadata names to their series.
    fn describe(&self, metadata: &[MetricMetadata<'_>]) -> Result<()> {
        if metadata.is_empty() {
            return Ok(());
        }
        let queue = &self.local.queue;
        let mut told = HashMap::with_capacity(metadata.len());
        for entry in metadata {
            let (help, unit) = (entry.help.text()?.into(), entry.unit.text()?.into());
            let meta = Meta { kind: kind(entry.kind), help, unit };
            told.insert(entry.family.text()?, (meta, None));
        }
        for (series, _) in &self.known {
            let name = decode_labels(series.labels()).find(|(name, _)| *name == METRIC_NAME);
            let Some(family) = name.and_then(|(_, name)| family_of(name, &told)) else { continue };
            let Some((meta, described)) = told.get_mut(family) else { continue };
            let described = described.get_or_insert_with(|| queue.describe(family, meta.clone()));
            if series.family().is_none() {
                let registered = queue.register(series.labels(), Some(described));
                registered.map_err(|e| self.local.sender.closed(e))?;
            }
        }
        Ok(())
    }
}

/// The type of this number; one that a later protocol may add is not known.
fn kind(number: u64) -> MetricType {
    use MetricType::{Counter, Gauge, GaugeHistogram, Histogram, Info, StateSet, Summary, Unknown};
    let kinds = [Unknown, Counter, Gauge, Histogram, GaugeHistogram, Summary, Info, StateSet];
    kinds.into_iter().find(|kind| *kind as u64 == number).unwrap_or_default()
}

/// The family that a series of this name belongs to: of its own name, or of its name without a suffix that the family's
/// type has.
fn family_of<'n, T>(name: &'n str, told: &HashMap<&str, (Meta, T)>) -> Option<&'n str> {
    if told.contains_key(name) {
        return Some(name);
    }
    let (family, _) = name.rsplit_once('_')?;
    let (meta, _) = told.get(family)?;
    meta.kind.suffixes().contains(&&name[family.len()..]).then_some(family)
}

/// The labels of a series, checked and completed as all are.
fn read_labels<'a>(
    given: &TimeSeries<'a>,
    shared: &'a Shared,
    pairs: &mut Vec<(&'a str, &'a str)>,
) -> Result<Labels<'a>> {
    pairs.clear();
    given.labels(|name, value| pairs.push((name, value)))?;
    let Some(at) = pairs.iter().position(|(name, _)| *name == METRIC_NAME) else {
        return Err(Error::invalid(PACKED, shown_series(given), "must have a label __name__"));
    };
    let (_, name) = pairs.remove(at);
    if pairs.iter().any(|(name, _)| *name == METRIC_NAME) {
        return Err(Error::invalid("label name", METRIC_NAME, "a label may stand once in a series"));
    }
    Labels::new(name, pairs.iter().copied(), &shared.labels, shared.scheme())
}

/// The error for what is not sent yet and would be lost in silence.
#[cold]
fn lost(series: &TimeSeries<'_>, beside: Beside) -> Error {
    let what = if beside.histograms { "native histograms" } else { "exemplars" };
    Error::invalid(PACKED, shown_series(series), format!("must have no {what}, which are not sent yet"))
}

/// The labels of a series that has nothing else.
fn read_labels_alone<'a>(
    given: &TimeSeries<'a>,
    shared: &'a Shared,
    pairs: &mut Vec<(&'a str, &'a str)>,
) -> Result<Labels<'a>> {
    let mut samples = false;
    let beside = given.samples(0, |_, _| samples = true)?;
    if samples || beside.exemplars || beside.histograms {
        let rule = "must be labels alone, without samples, exemplars and histograms";
        return Err(Error::invalid(PACKED, shown_series(given), rule));
    }
    read_labels(given, shared, pairs)
}

/// A series for messages: its number and its name, as far as it has them.
fn shown_series(series: &TimeSeries<'_>) -> String {
    let number = series.place().map(|number| format!("series {number}, counted from 0"));
    let mut parts: Vec<String> = number.into_iter().collect();
    let _ = series.labels(|name, value| {
        if name == METRIC_NAME {
            parts.push(value.to_owned());
        }
    });
    parts.join(", ")
}
