//! What a real receiver would hold, and what it would refuse.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decode::{Decoded, Sample, Series};
use crate::script::{Poison, Rules, Strictness};

/// A label set: name → value, sorted, pairs with an empty value left out (empty means absent).
pub type Labels = BTreeMap<String, String>;

/// What a receiver holds after the requests it answered 2xx (or stored and kept silent about).
///
/// As [`Strictness::Prometheus`] the model of Prometheus (2.42 and 3, no out-of-order window) applies: a sample is
/// judged against what was committed *before* its request. Older than the series' newest: `out of order sample`.
/// Same time, other value: `duplicate sample for timestamp`. Same time, same bits: accepted and not stored again. In
/// 1.0 the first such sample rolls the whole request back; in 2.0 the rest is stored and the answer is 400 all the
/// same. Within one request only the samples newer than the ones before them are kept, the others vanish silently. A
/// label name twice in a series is answered 500, as 2.42 does it (3 skips the series and answers 204).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Store {
    /// Samples of each series in order of arrival.
    pub series: BTreeMap<Labels, Vec<Stored>>,
    /// Gateway groups: grouping key → family → its lines.
    pub groups: BTreeMap<Labels, BTreeMap<String, String>>,
}

/// A stored sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Stored {
    /// Time, value bits, start time.
    #[serde(flatten)]
    pub sample: Sample,
    /// How it stands to what was there.
    pub mark: Mark,
}

/// How a sample stands to those of its series that came before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Newer than all of them.
    InOrder,
    /// Same time and same bits as one of them.
    Duplicate,
    /// Same time as one of them, other bits.
    Conflict,
    /// Older than the newest of them.
    OutOfOrder,
}

impl Store {
    /// Samples of the series with exactly these labels, in order of arrival.
    pub fn samples(&self, labels: &[(&str, &str)]) -> &[Stored] {
        let labels: Labels = labels.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        self.series.get(&labels).map_or(&[], Vec::as_slice)
    }

    /// How many samples are held, by mark.
    pub fn count(&self, mark: Mark) -> usize {
        self.series.values().flatten().filter(|s| s.mark == mark).count()
    }

    /// The families of a gateway group.
    pub fn group(&self, key: &[(&str, &str)]) -> Option<&BTreeMap<String, String>> {
        let key: Labels = key.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
        self.groups.get(&key)
    }

    /// Judges and stores a request.
    pub(crate) fn apply(&mut self, decoded: &Decoded, rules: &Rules) -> Outcome {
        let strict = rules.strictness == Strictness::Prometheus;
        match decoded {
            Decoded::Undecodable { reason } if strict => Outcome::refused(400, reason.clone()),
            Decoded::Undecodable { .. } | Decoded::Other => Outcome::accepted(false),
            Decoded::WriteV2 { .. } if rules.v1_only => Outcome::accepted(false),
            Decoded::WriteV1 { series, .. } => self.write(series, rules, strict, false),
            Decoded::WriteV2 { series } => self.write(series, rules, strict, true),
            Decoded::Push { group, verb, text } => self.push(group, verb, text, strict),
        }
    }

    fn write(&mut self, series: &[Series], rules: &Rules, strict: bool, v2: bool) -> Outcome {
        let written = |n: usize| v2.then_some(n);
        if let Some(what) = poisoned(series, &rules.poison) {
            return Outcome { written: written(0), ..Outcome::refused(400, format!("poison: {what}")) };
        }
        if !strict {
            for s in series {
                self.keep_all(labels_of(s), &s.samples);
            }
            let all = series.iter().map(|s| s.samples.len()).sum();
            return Outcome { written: written(all), ..Outcome::accepted(true) };
        }
        let mut good: Vec<(Labels, Vec<Sample>)> = Vec::with_capacity(series.len());
        let mut errors = Vec::new();
        for s in series {
            if let Some(name) = repeated_label(s) {
                let refused = Outcome::refused(500, format!("label name {name:?} is not unique"));
                return Outcome { written: written(0), ..refused };
            }
            let labels = labels_of(s);
            let newest = self.series.get(&labels).and_then(|held| held.last());
            let mut kept = Vec::with_capacity(s.samples.len());
            for sample in &s.samples {
                match judge(sample, newest.map(|n| &n.sample), rules.time_bounds) {
                    Ok(()) => kept.push(*sample),
                    Err(reason) => errors.push(format!("{reason} for series {labels:?}")),
                }
            }
            good.push((labels, kept));
        }
        if !v2 && let Some(first) = errors.first() {
            return Outcome::refused(400, first.clone());
        }
        let count = good.iter().map(|(_, kept)| kept.len()).sum();
        for (labels, kept) in good {
            let held = self.series.entry(labels).or_default();
            for sample in kept {
                if held.last().is_none_or(|last| last.sample.ts_ms < sample.ts_ms) {
                    held.push(Stored { sample, mark: Mark::InOrder });
                }
            }
        }
        match errors.is_empty() {
            true => Outcome { written: written(count), ..Outcome::accepted(true) },
            false => Outcome {
                stored: count > 0,
                written: written(count),
                ..Outcome::refused(400, errors.join("\n"))
            },
        }
    }

    fn keep_all(&mut self, labels: Labels, samples: &[Sample]) {
        let held = self.series.entry(labels).or_default();
        // Kept beside the list, because a search through it for each sample would be quadratic.
        let mut newest = held.iter().map(|s| s.sample.ts_ms).max();
        for sample in samples {
            let mark = if newest.is_none_or(|n| n < sample.ts_ms) {
                Mark::InOrder
            } else {
                let same_time = || held.iter().filter(|s| s.sample.ts_ms == sample.ts_ms);
                if same_time().any(|s| s.sample.value_bits == sample.value_bits) {
                    Mark::Duplicate
                } else if same_time().next().is_some() {
                    Mark::Conflict
                } else {
                    Mark::OutOfOrder
                }
            };
            newest = newest.max(Some(sample.ts_ms));
            held.push(Stored { sample: *sample, mark });
        }
    }

    fn push(&mut self, group: &Labels, verb: &str, text: &str, strict: bool) -> Outcome {
        if verb == "DELETE" {
            self.groups.remove(group);
            return Outcome::accepted(true);
        }
        let families = match families(text) {
            Err(reason) if strict => return Outcome::refused(400, reason),
            Err(_) => return Outcome::accepted(false),
            Ok(families) => families,
        };
        let held = self.groups.entry(group.clone()).or_default();
        if verb == "PUT" {
            held.clear();
        }
        held.extend(families);
        Outcome::accepted(true)
    }
}

/// What became of a request.
#[derive(Debug, PartialEq)]
pub(crate) struct Outcome {
    /// Status and text of a refusal.
    pub refusal: Option<(u16, String)>,
    /// Whether any of it is now in the store.
    pub stored: bool,
    /// Samples written, which only a 2.0 answer tells.
    pub written: Option<usize>,
}

impl Outcome {
    fn accepted(stored: bool) -> Self {
        Outcome { refusal: None, stored, written: None }
    }

    fn refused(status: u16, text: String) -> Self {
        Outcome { refusal: Some((status, text)), stored: false, written: None }
    }
}

fn labels_of(series: &Series) -> Labels {
    series.labels.iter().filter(|(_, v)| !v.is_empty()).cloned().collect()
}

fn repeated_label(series: &Series) -> Option<&str> {
    let mut names: Vec<&str> = series.labels.iter().map(|(n, _)| n.as_str()).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}

fn judge(sample: &Sample, newest: Option<&Sample>, bounds: Option<(i64, i64)>) -> Result<(), &'static str> {
    if bounds.is_some_and(|(oldest, latest)| sample.ts_ms < oldest || sample.ts_ms > latest) {
        return Err("out of bounds");
    }
    match newest {
        Some(n) if sample.ts_ms < n.ts_ms => Err("out of order sample"),
        Some(n) if sample.ts_ms == n.ts_ms && sample.value_bits != n.value_bits => {
            Err("duplicate sample for timestamp")
        }
        _ => Ok(()),
    }
}

fn poisoned(series: &[Series], poison: &[Poison]) -> Option<String> {
    let hits = |s: &Series, p: &Poison| match p {
        Poison::LabelValue(value) => s.labels.iter().any(|(_, v)| v == value),
        Poison::ValueBits(bits) => s.samples.iter().any(|x| x.value_bits == *bits),
    };
    poison.iter().find(|p| series.iter().any(|s| hits(s, p))).map(|p| format!("{p:?}"))
}

/// Cuts a text page into families, each with its lines as they came. It checks only what decides where a family
/// begins, and the three things the Pushgateway refuses most: no final newline, a carriage return, a family twice.
fn families(text: &str) -> Result<BTreeMap<String, String>, String> {
    if !text.is_empty() && !text.ends_with('\n') {
        return Err("text format parsing error: unexpected end of input stream".into());
    }
    if text.contains('\r') {
        return Err("text format parsing error: carriage return".into());
    }
    let mut families: BTreeMap<String, String> = BTreeMap::new();
    let (mut current, mut kind) = (String::new(), String::new());
    for line in text.split_inclusive('\n') {
        let mut words = line.split_whitespace();
        let family = match (words.next(), words.next(), words.next()) {
            (None, ..) => continue,
            (Some("#"), Some("HELP" | "TYPE"), Some(name)) => {
                let name = name.to_owned();
                let what = line.split_whitespace().nth(1).unwrap_or_default();
                let seen =
                    families.get(&name).is_some_and(|lines| lines.contains(&format!("# {what} {name} ")));
                if seen || name != current && families.contains_key(&name) {
                    return Err(format!(
                        "text format parsing error: second {what} line for metric name {name:?}"
                    ));
                }
                if name != current {
                    kind.clear();
                }
                if what == "TYPE" {
                    kind = words.next().unwrap_or_default().to_owned();
                }
                name
            }
            (Some(word), ..) if word.starts_with('#') => continue,
            (Some(word), ..) => {
                let name = word.split('{').next().unwrap_or_default();
                let suffixes: &[&str] = match kind.as_str() {
                    "histogram" => &["_bucket", "_sum", "_count"],
                    "summary" => &["_sum", "_count"],
                    _ => &[],
                };
                let member = name.strip_prefix(current.as_str()).is_some_and(|rest| suffixes.contains(&rest));
                if member { current.clone() } else { name.to_owned() }
            }
        };
        families.entry(family.clone()).or_default().push_str(line);
        if family != current {
            current = family;
        }
    }
    Ok(families)
}
