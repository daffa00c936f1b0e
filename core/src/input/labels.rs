//! A label set: checked, sorted by bytes, without duplicates, without empty values.
//!
//! The rules are those of the remote-write 1.0 specification: the complete set with `__name__`, sorted by name as
//! bytes (so `App` stands before `__name__`), no repeated names, no empty names, no pair with an empty value, because
//! an empty value means an absent label. Duplicates are refused here, because Prometheus 2.42 answers them with 500,
//! which looks like an outage and would be retried for ever.

use crate::error::{Error, Result};
use std::borrow::Cow;

/// The label that carries the metric's name.
pub const METRIC_NAME: &str = "__name__";

/// Which names are allowed (option `metric_name_validation_scheme`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NameScheme {
    /// `[a-zA-Z_:][a-zA-Z0-9_:]*` for metrics, `[a-zA-Z_][a-zA-Z0-9_]*` for labels: what every receiver takes.
    #[default]
    Legacy,
    /// Any non-empty UTF-8, as Prometheus 3 allows.
    Utf8,
}

/// A checked label set, borrowed from its caller. Equality and order are those of the sorted pairs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels<'a> {
    pairs: Vec<(&'a str, &'a str)>,
}

impl<'a> Labels<'a> {
    /// Checks and sorts `name` and `pairs` into one label set.
    ///
    /// `name` becomes `__name__`; a pair of that name is refused as a duplicate. Pairs with an empty value are left
    /// out. `extra` (the writer's own labels) is added where the set does not have the name already: a series' own
    /// label wins, also an empty one, which keeps the extra label out.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the label for a name outside `scheme`, or a name given twice.
    pub fn new(
        name: &'a str,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
        extra: &'a [(String, String)],
        scheme: NameScheme,
    ) -> Result<Self> {
        check_metric_name(name, scheme)?;
        let pairs = pairs.into_iter();
        let mut all = Vec::with_capacity(1 + extra.len() + pairs.size_hint().0);
        all.push((METRIC_NAME, name));
        for (name, value) in pairs {
            check_label_name(name, scheme)?;
            all.push((name, value));
        }
        all.sort_unstable();
        if let Some(twice) = all.windows(2).find(|w| w[0].0 == w[1].0) {
            return Err(Error::invalid("label name", twice[0].0, "a label may stand once in a series"));
        }
        let own = all.len();
        for (name, value) in extra {
            if all[..own].binary_search_by(|(have, _)| (*have).cmp(name)).is_err() {
                all.push((name, value));
            }
        }
        all.retain(|(_, value)| !value.is_empty());
        all.sort_unstable();
        Ok(Labels { pairs: all })
    }

    /// The pairs, sorted by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, &'a str)> {
        self.pairs.iter().copied()
    }
}

/// Checks a metric's name.
///
/// # Errors
/// [`Error::Invalid`] with field `metric name`.
pub fn check_metric_name(name: &str, scheme: NameScheme) -> Result<()> {
    let legacy = |name: &[u8]| {
        let start = |b: u8| b.is_ascii_alphabetic() || b == b'_' || b == b':';
        name.first().is_some_and(|b| start(*b)) && name.iter().all(|b| start(*b) || b.is_ascii_digit())
    };
    match scheme {
        NameScheme::Legacy if !legacy(name.as_bytes()) => {
            Err(Error::invalid("metric name", name, rule("[a-zA-Z_:][a-zA-Z0-9_:]*")))
        }
        NameScheme::Utf8 if name.is_empty() => Err(Error::invalid("metric name", name, "must not be empty")),
        _ => Ok(()),
    }
}

/// Checks a label's name; `__name__` is refused, because the metric's name is given apart.
///
/// # Errors
/// [`Error::Invalid`] with field `label name`.
pub fn check_label_name(name: &str, scheme: NameScheme) -> Result<()> {
    if name == METRIC_NAME {
        return Err(Error::invalid("label name", name, "the metric's name is given apart"));
    }
    let legacy = |name: &[u8]| {
        let start = |b: u8| b.is_ascii_alphabetic() || b == b'_';
        name.first().is_some_and(|b| start(*b)) && name.iter().all(|b| start(*b) || b.is_ascii_digit())
    };
    match scheme {
        NameScheme::Legacy if !legacy(name.as_bytes()) => {
            Err(Error::invalid("label name", name, rule("[a-zA-Z_][a-zA-Z0-9_]*")))
        }
        NameScheme::Utf8 if name.is_empty() => Err(Error::invalid("label name", name, "must not be empty")),
        _ => Ok(()),
    }
}

fn rule(pattern: &str) -> Cow<'static, str> {
    format!("must match {pattern} (option metric_name_validation_scheme = utf8 allows any UTF-8)").into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(name: &str, pairs: &[(&str, &str)]) -> Result<Vec<(String, String)>> {
        Labels::new(name, pairs.iter().copied(), &[], NameScheme::Legacy)
            .map(|l| l.iter().map(|(n, v)| (n.into(), v.into())).collect())
    }

    #[test]
    fn sorted_by_bytes_so_capitals_stand_before_the_metric_name() {
        let got = set("up", &[("a", "1"), ("App", "2"), ("_b", "3")]).unwrap();
        let names: Vec<_> = got.iter().map(|(n, _)| n.as_str()).collect();
        assert_eq!(names, ["App", "__name__", "_b", "a"]);
    }

    #[test]
    fn empty_values_are_left_out() {
        assert_eq!(set("up", &[("a", "")]).unwrap(), [("__name__".to_string(), "up".to_string())]);
    }

    #[test]
    fn duplicates_and_bad_names_are_refused_by_name() {
        for (pairs, part) in [
            (&[("a", "1"), ("a", "2")][..], "\"a\" is refused: a label may stand once"),
            (&[("a-b", "1")][..], "\"a-b\" is refused: must match"),
            (&[("", "1")][..], "\"\" is refused"),
            (&[("1a", "1")][..], "\"1a\" is refused"),
            (&[("__name__", "x")][..], "given apart"),
        ] {
            let error = set("up", pairs).unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
        assert!(set("a b", &[]).unwrap_err().to_string().starts_with("metric name: \"a b\""));
        assert!(Labels::new("a b", [("ü", "1")], &[], NameScheme::Utf8).is_ok());
    }

    #[test]
    fn a_series_own_label_wins_even_when_empty() {
        let extra = [("job".to_string(), "etl".to_string()), ("instance".to_string(), "h".to_string())];
        let labels =
            Labels::new("up", [("job", "own"), ("instance", "")], &extra, NameScheme::Legacy).unwrap();
        assert_eq!(labels.iter().collect::<Vec<_>>(), [("__name__", "up"), ("job", "own")]);
    }
}
