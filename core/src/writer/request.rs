//! Many series in one call, as the standard message itself.

use super::{Local, Series, Shared, Writer};
use crate::error::{Error, Result};
use crate::input::exposition::MetricType;
use crate::input::labels::{Labels, METRIC_NAME};
use crate::input::request::{Entry, Found, MetricMetadata, Request, TimeSeries};
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
        let mut push =
            Push { shared: &self.shared, local, known: Vec::new(), unknown: Vec::new(), encoded: Vec::new() };
        let (mut samples, mut metadata) = (Vec::new(), Vec::new());
        let now_ms = sys::wall_ms();
        let mut entries = Request::new(request);
        while let Some(entry) = entries.next()? {
            match entry {
                Entry::Series(series) => {
                    let mut refused = None;
                    let found = series.samples(|value, time| {
                        let stamp = if time == i64::MIN { now_stamp(now_ms) } else { time };
                        if stamp == time && check_timestamp(time, now_ms).is_err() {
                            refused = Some(time);
                        }
                        samples.push((series.number, value, stamp));
                    })?;
                    refused.map_or(Ok(()), |time| check_timestamp(time, now_ms))?;
                    refuse_what_would_be_lost(&series, found)?;
                    push.add(series, found.labels)?;
                }
                Entry::Metadata(entry) => metadata.push(entry),
            }
        }
        push.look_up()?;
        push.describe(&metadata)?;
        let appended = samples.iter().map(|(series, value, stamp)| (&*push.known[*series], *value, *stamp));
        local.append_many(appended)?;
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
        let mut samples = false;
        let found = given.samples(|_, _| samples = true)?;
        if samples || found.exemplars || found.histograms {
            let rule = "must be labels alone, without samples, exemplars and histograms";
            return Err(Error::invalid("packed", shown_series(&given), rule));
        }
        let mut pairs = Vec::new();
        let labels = read_labels(&given, &self.shared, &mut pairs)?;
        Series::new(self.shared.clone(), encode_labels(&labels), None)
    }
}

/// The series of a request on their way into the registry.
struct Push<'a> {
    shared: &'a Shared,
    local: &'a Local,
    /// By their number in the request.
    known: Vec<Arc<SeriesData>>,
    /// Those that come next, with their labels as they stand.
    unknown: Vec<(TimeSeries<'a>, &'a [u8])>,
    encoded: Vec<u8>,
}

impl<'a> Push<'a> {
    fn add(&mut self, series: TimeSeries<'a>, labels: &'a [u8]) -> Result<()> {
        self.unknown.push((series, labels));
        if self.unknown.len() == SLICE { self.look_up() } else { Ok(()) }
    }

    /// Turns what is unknown into what is known.
    fn look_up(&mut self) -> Result<()> {
        let unknown = std::mem::take(&mut self.unknown);
        // where the writer adds nothing, labels as we write them name their series themselves
        let complete = self.shared.labels.is_empty();
        let mut done = 0;
        while let Some(rest) = unknown.get(done..).filter(|rest| !rest.is_empty()) {
            let before = self.known.len();
            self.local.queue.find(rest.iter().map(|(_, labels)| *labels), complete, &mut self.known);
            done += self.known.len() - before;
            if let Some((series, labels)) = unknown.get(done) {
                let known = self.register(series, labels)?;
                self.known.push(known);
                done += 1;
            }
        }
        self.unknown = unknown;
        self.unknown.clear();
        Ok(())
    }

    /// The way of a series that nobody knows: its labels are read, checked and encoded.
    fn register(&mut self, series: &TimeSeries<'_>, given: &[u8]) -> Result<Arc<SeriesData>> {
        let mut pairs = Vec::new();
        encode_labels_into(&read_labels(series, self.shared, &mut pairs)?, &mut self.encoded);
        let data = self.local.queue.register(&self.encoded, None).map_err(|e| self.local.sender.closed(e))?;
        if given != data.labels() || !self.shared.labels.is_empty() {
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
        for series in &self.known {
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
        let value = format!("series {}, counted from 0", given.number);
        return Err(Error::invalid("packed", value, "must have a label __name__"));
    };
    let (_, name) = pairs.remove(at);
    if pairs.iter().any(|(name, _)| *name == METRIC_NAME) {
        return Err(Error::invalid("label name", METRIC_NAME, "a label may stand once in a series"));
    }
    Labels::new(name, pairs.iter().copied(), &shared.labels, shared.scheme())
}

fn refuse_what_would_be_lost(series: &TimeSeries<'_>, found: Found<'_>) -> Result<()> {
    let what = match found {
        Found { histograms: true, .. } => "must have no native histograms, which are not sent yet",
        Found { exemplars: true, .. } => "must have no exemplars, which are not sent yet",
        _ => return Ok(()),
    };
    Err(Error::invalid("packed", shown_series(series), what))
}

/// A series for messages: its number and, as far as it can be read, its name.
fn shown_series(series: &TimeSeries<'_>) -> String {
    let mut shown = format!("series {}, counted from 0", series.number);
    let _ = series.labels(|name, value| {
        if name == METRIC_NAME {
            shown.push_str(", ");
            shown.push_str(value);
        }
    });
    shown
}
