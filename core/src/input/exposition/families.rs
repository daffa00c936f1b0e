//! Two Pushgateway bodies made one, so that what waits for a slow gateway stays as small as what it will keep.
//!
//! The bodies are read as strictly as the Pushgateway reads them (`expfmt`), which is stricter than [`read`]. What it
//! would refuse, and what needs more than moving blocks of lines, is not merged: the bodies are then sent one by one.
//!
//! [`read`]: super::read

use super::MetricType;
use super::lexer::{Cursor, Quoted};
use super::number::float;
use std::collections::{HashMap, HashSet};
use std::ops::Range;

/// The families of a page of the text format and the bytes of each: `HELP`, `TYPE`, samples and the comments between.
///
/// Families without samples are left out, because the Pushgateway leaves them out. The names are those under which
/// the Pushgateway groups samples: `foo` for `foo_bucket` of a histogram `foo`.
///
/// `None` if the page cannot be cut safely: the Pushgateway would refuse it (a syntax error, a second `TYPE`, a
/// timestamp, no final line feed), a family stands in two places, a name is quoted, or one family has the name of
/// another one's samples (`foo_count` beside a histogram `foo`).
#[must_use]
pub fn families(page: &[u8]) -> Option<Vec<(&str, Range<usize>)>> {
    Some(scan(page)?.into_iter().map(|block| (block.name, block.range)).collect())
}

/// The body that has the effect of POST `older` and then POST `newer` on a Pushgateway: families of `newer` replace
/// those of `older` that have the same name.
///
/// The effect is equal if the gateway accepts both bodies. It may refuse one for what only it knows (another group
/// has the family with another type), and duplicate series inside a body are not looked for; so if it refuses the
/// merged body, send the two one by one.
///
/// `None` if one of them is no page that [`families`] can cut, or if together they have a clash of names.
#[must_use]
pub fn merge(older: &[u8], newer: &[u8]) -> Option<Vec<u8>> {
    let old = scan(older)?;
    let new = scan(newer)?;
    if clash(old.iter().chain(&new)) {
        return None;
    }
    let replaced: HashSet<&str> = new.iter().map(|block| block.name).collect();
    let mut merged = Vec::with_capacity(older.len() + newer.len());
    for block in old.into_iter().filter(|block| !replaced.contains(block.name)) {
        merged.extend_from_slice(older.get(block.range)?);
    }
    for block in new {
        merged.extend_from_slice(newer.get(block.range)?);
    }
    Some(merged)
}

/// The lines of one family.
struct Block<'a> {
    name: &'a str,
    range: Range<usize>,
    kind: Option<MetricType>,
    has_help: bool,
    has_samples: bool,
}

impl Block<'_> {
    fn owns_suffixed(&self) -> bool {
        matches!(self.kind, Some(MetricType::Histogram | MetricType::Summary))
    }
}

fn scan(page: &[u8]) -> Option<Vec<Block<'_>>> {
    if !page.is_empty() && !page.ends_with(b"\n") {
        return None;
    }
    let mut scan = Scan { cursor: Cursor::new(page).ok()?, blocks: Vec::new(), by_name: HashMap::new() };
    while !scan.cursor.at_end() {
        scan.line()?;
    }
    let mut blocks = scan.blocks;
    if let Some(last) = blocks.last_mut() {
        last.range.end = page.len();
    }
    // before the empty ones are left out, because the gateway groups by their types too
    if clash(blocks.iter()) {
        return None;
    }
    blocks.retain(|block| block.has_samples);
    Some(blocks)
}

/// Whether a family has the name that samples of another one have.
fn clash<'b, 'a: 'b>(blocks: impl Iterator<Item = &'b Block<'a>> + Clone) -> bool {
    let names: HashSet<&str> = blocks.clone().map(|block| block.name).collect();
    blocks
        .filter(|block| block.owns_suffixed())
        .any(|block| SUFFIXES.iter().any(|suffix| names.contains(&*format!("{}{suffix}", block.name))))
}

const SUFFIXES: [&str; 3] = ["_bucket", "_count", "_sum"];

struct Scan<'a> {
    cursor: Cursor<'a>,
    blocks: Vec<Block<'a>>,
    by_name: HashMap<&'a str, usize>,
}

impl<'a> Scan<'a> {
    fn line(&mut self) -> Option<()> {
        let start = self.cursor.pos();
        self.cursor.blanks();
        match self.cursor.peek() {
            b'\n' => {
                self.cursor.advance(1);
                Some(())
            }
            b'#' => self.comment(start),
            _ => self.sample(start),
        }
    }

    fn comment(&mut self, start: usize) -> Option<()> {
        self.cursor.advance(1);
        self.cursor.blanks();
        let keyword = self.cursor.token();
        if !matches!(keyword, "HELP" | "TYPE") {
            self.cursor.line();
            return Some(());
        }
        self.cursor.blanks();
        let name = self.cursor.metric_name();
        if self.cursor.eat(b'\n') {
            return Some(());
        }
        if name.is_empty() || !self.cursor.blanks() {
            return None;
        }
        self.enter(name, start)?;
        if self.cursor.eat(b'\n') {
            return Some(());
        }
        let text = self.cursor.line();
        let block = self.blocks.last_mut()?;
        if keyword == "HELP" {
            let escapes = Quoted { raw: text, escaped: text.contains('\\') };
            if std::mem::replace(&mut block.has_help, true) || !known_escapes(escapes, b"\\n") {
                return None;
            }
        } else {
            let kind = match &*text.to_ascii_lowercase() {
                "counter" => MetricType::Counter,
                "gauge" => MetricType::Gauge,
                "histogram" => MetricType::Histogram,
                "summary" => MetricType::Summary,
                "untyped" => MetricType::Unknown,
                _ => return None,
            };
            if block.kind.replace(kind).is_some() {
                return None;
            }
        }
        Some(())
    }

    fn sample(&mut self, start: usize) -> Option<()> {
        let name = self.cursor.metric_name();
        if name.is_empty() {
            return None;
        }
        let block = self.enter(name, start)?;
        let kind = *block.kind.get_or_insert(MetricType::Unknown);
        block.has_samples = true;
        self.cursor.blanks();
        if self.cursor.eat(b'{') {
            self.labels(kind)?;
            self.cursor.blanks();
        }
        let value = float(self.cursor.token())?;
        if kind == MetricType::Histogram && value < 0.0 && !name.ends_with("_sum") {
            return None;
        }
        // nothing behind the value, because the gateway takes no timestamps
        self.cursor.eat(b'\n').then_some(())
    }

    fn labels(&mut self, kind: MetricType) -> Option<()> {
        let mut seen = HashSet::new();
        loop {
            self.cursor.blanks();
            if self.cursor.eat(b'}') {
                return Some(());
            }
            let name = self.cursor.label_name();
            self.cursor.blanks();
            if name.is_empty() || name == "__name__" || !seen.insert(name) || !self.cursor.eat(b'=') {
                return None;
            }
            self.cursor.blanks();
            let value = self.cursor.quoted("").ok()?;
            let number =
                matches!((kind, name), (MetricType::Histogram, "le") | (MetricType::Summary, "quantile"));
            if !known_escapes(value, b"\\n\"") || number && float(value.raw).is_none() {
                return None;
            }
            self.cursor.blanks();
            if !self.cursor.eat(b',') && self.cursor.peek() != b'}' {
                return None;
            }
        }
    }

    /// The block that a line of `name` belongs to; `None` if that block has ended.
    fn enter(&mut self, name: &'a str, start: usize) -> Option<&mut Block<'a>> {
        let known = self.by_name.get(name).copied().or_else(|| {
            SUFFIXES
                .iter()
                .filter_map(|suffix| self.by_name.get(name.strip_suffix(suffix)?).copied())
                .find(|i| self.blocks.get(*i).is_some_and(Block::owns_suffixed))
        });
        let last = self.blocks.len();
        match known {
            Some(index) if index + 1 == last => {}
            Some(_) => return None,
            None => {
                if let Some(before) = self.blocks.last_mut() {
                    before.range.end = start;
                }
                self.by_name.insert(name, last);
                self.blocks.push(Block {
                    name,
                    range: start..start,
                    kind: None,
                    has_help: false,
                    has_samples: false,
                });
            }
        }
        self.blocks.last_mut()
    }
}

/// Whether every backslash of `text` stands before one of `known`.
fn known_escapes(text: Quoted<'_>, known: &[u8]) -> bool {
    let mut bytes = text.raw.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'\\' && !bytes.next().is_some_and(|b| known.contains(&b)) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn cut(page: &str) -> Option<Vec<(&str, &str)>> {
        Some(families(page.as_bytes())?.into_iter().map(|(name, range)| (name, &page[range])).collect())
    }

    fn merged(older: &str, newer: &str) -> Option<String> {
        merge(older.as_bytes(), newer.as_bytes()).map(|m| String::from_utf8(m).unwrap())
    }

    const HISTOGRAM: &str = "# HELP h h\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";

    #[test]
    fn blocks_by_family() {
        let page =
            format!("# made today\n# TYPE a counter\n\na{{x=\"1\",}} 1\n# more\na 2\n{HISTOGRAM}c 1\n");
        assert_eq!(
            cut(&page),
            Some(vec![
                ("a", "# TYPE a counter\n\na{x=\"1\",} 1\n# more\na 2\n"),
                ("h", HISTOGRAM),
                ("c", "c 1\n")
            ])
        );
        assert_eq!(cut(""), Some(vec![]));
        assert_eq!(cut("# TYPE a counter\n# HELP b b\nb 1\n"), Some(vec![("b", "# HELP b b\nb 1\n")]));
    }

    #[test]
    fn what_the_gateway_refuses_or_cannot_be_cut() {
        for page in [
            "a 1",
            "a 1\nb 1\na{x=\"1\"} 1\n",
            "a 1 1700000000000\n",
            "a 1\r\n",
            "a 1\n# TYPE a gauge\n",
            "# HELP a a\n# HELP a a\na 1\n",
            "# HELP a \\b\na 1\n",
            "# TYPE a info\na 1\n",
            "# TYPE a counter \na 1\n",
            "# TYPE a-b counter\na 1\n",
            "a{x=\"\\b\"} 1\n",
            "a{x=\"1\" y=\"1\"} 1\n",
            "a{x=\"1\",x=\"1\"} 1\n",
            "a{__name__=\"b\"} 1\n",
            "a{} one\n",
            "{\"a\"} 1\n",
            "a \n",
            "# TYPE h histogram\nh_bucket{le=\"x\"} 1\n",
            "# TYPE h histogram\nh_count -1\n",
            "h_count 1\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\n",
            "a{x=\"\u{fffd}\"} 1\n# HELP b \\",
        ] {
            assert_eq!(cut(page), None, "{page:?}");
        }
        assert_eq!(families(b"a{x=\"\xff\"} 1\n"), None);
    }

    #[test]
    fn the_newer_family_replaces_the_older_one() {
        let newer = "# TYPE h gauge\nh 1\n";
        assert_eq!(
            merged(&format!("a 1\n{HISTOGRAM}z 1\n"), newer).as_deref(),
            Some(&*format!("a 1\nz 1\n{newer}"))
        );
        assert_eq!(merged("a{x=\"1\"} 1\n", "a{x=\"2\"} 1\n").as_deref(), Some("a{x=\"2\"} 1\n"));
        assert_eq!(merged("a 1\n", "").as_deref(), Some("a 1\n"));
        assert_eq!(merged("", "a 1\n").as_deref(), Some("a 1\n"));
        // a TYPE alone is no family
        assert_eq!(merged("a 1\n", "# TYPE a gauge\n").as_deref(), Some("a 1\n"));
    }

    #[test]
    fn a_clash_of_names_is_not_merged() {
        assert_eq!(merged("h_count 1\n", HISTOGRAM), None);
        assert_eq!(merged(HISTOGRAM, "# TYPE h_sum gauge\nh_sum 1\n"), None);
        assert!(merged("h_total 1\n", HISTOGRAM).is_some());
    }

    /// A page of families with the same few names, some of them histograms.
    fn page() -> impl Strategy<Value = String> {
        let family = (prop::sample::select(vec!["a", "b", "h", "h_count", "h_x"]), any::<bool>(), 0..100u8);
        prop::collection::btree_map("[abc]", family, 0..4).prop_map(|families| {
            families.into_values().fold(String::new(), |page, (name, histogram, value)| {
                page + &if histogram {
                    format!(
                        "# TYPE {name} histogram\n{name}_bucket{{le=\"1\"}} {value}\n{name}_count {value}\n"
                    )
                } else {
                    format!("{name} {value}\n")
                }
            })
        })
    }

    proptest! {
        #[test]
        fn merging_is_replacing_by_name(older in page(), newer in page()) {
            let map = |page| cut(page).map(|blocks| blocks.into_iter().collect::<BTreeMap<_, _>>());
            if let Some(merged) = merged(&older, &newer) {
                let mut expected = map(&older).unwrap();
                expected.extend(map(&newer).unwrap());
                prop_assert_eq!(map(&merged), Some(expected));
            } else if let (Some(older), Some(newer)) = (map(&older), map(&newer)) {
                let name = |n: &str| older.contains_key(n) || newer.contains_key(n);
                prop_assert!(name("h") && name("h_count"));
            }
        }

        #[test]
        fn any_bytes_get_an_answer(page in prop::collection::vec(any::<u8>(), 0..100), text in "(# (TYPE|HELP) )?[ab{}=,\"\\\\ 1\n#]{0,30}\n") {
            for page in [&page[..], text.as_bytes()] {
                for (_, range) in families(page).unwrap_or_default() {
                    prop_assert!(page.get(range).is_some_and(|block| block.ends_with(b"\n")));
                }
            }
        }
    }
}
