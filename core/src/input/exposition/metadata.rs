//! Lines that begin with `#`, and the families they tell of.

use super::lexer::Quoted;
use super::page::{FamilyRecord, Span};
use super::reader::Reader;
use super::{Format, MetricType};
use crate::error::Result;
use std::borrow::Cow;

enum Keyword {
    Help,
    Type,
    Unit,
}

impl<'a> Reader<'a> {
    /// A line that begins with `#`: `HELP` and `TYPE` after a blank, otherwise a comment.
    pub(super) fn text_comment(&mut self) -> Result<()> {
        self.cursor.advance(1);
        let keyword = match self.cursor.blanks().then(|| self.cursor.rest()) {
            Some([b'H', b'E', b'L', b'P', b' ' | b'\t', ..]) => Keyword::Help,
            Some([b'T', b'Y', b'P', b'E', b' ' | b'\t', ..]) => Keyword::Type,
            _ => {
                self.cursor.line();
                return Ok(());
            }
        };
        self.cursor.advance(4);
        self.cursor.blanks();
        self.metadata(&keyword)
    }

    /// A line that begins with `#`; true if it is `# EOF`.
    pub(super) fn openmetrics_comment(&mut self) -> Result<bool> {
        let keyword = match self.cursor.rest() {
            rest if rest.starts_with(b"# HELP ") => Keyword::Help,
            rest if rest.starts_with(b"# TYPE ") => Keyword::Type,
            rest if rest.starts_with(b"# UNIT ") => Keyword::Unit,
            rest if rest.starts_with(b"# EOF") => {
                self.cursor.advance(5);
                self.cursor.eat(b'\n');
                if self.cursor.at_end() {
                    return Ok(true);
                }
                return Err(self.cursor.expected("nothing after # EOF"));
            }
            _ => {
                return Err(self.cursor.expected(
                    "# HELP, # TYPE, # UNIT or # EOF with single spaces; OpenMetrics has no other comments",
                ));
            }
        };
        self.cursor.advance(7);
        self.metadata(&keyword)?;
        Ok(false)
    }

    /// The rest of a `HELP`, `TYPE` or `UNIT` line. Where there are several for one family, the last one holds.
    fn metadata(&mut self, keyword: &Keyword) -> Result<()> {
        let at = self.cursor.pos();
        let name = if self.cursor.peek() == b'"' {
            let quoted = self.cursor.quoted("a metric name")?;
            self.quoted_metric_name(quoted, at)?
        } else {
            match self.cursor.metric_name() {
                "" => return Err(self.cursor.expected("a metric name")),
                name => self.span(name),
            }
        };
        let separated = matches!(self.cursor.peek(), b' ' | b'\t' | b'\n');
        if !separated && (self.format == Format::OpenMetrics || !matches!(keyword, Keyword::Help)) {
            return Err(self.cursor.expected("a blank after the metric name"));
        }
        let blank_at = self.cursor.pos();
        let text = self.cursor.line();
        let value_at = blank_at + text.len().min(1);
        if !separated {
            // a HELP for `foo-bar`: Prometheus lets it pass, and here it is a comment, because it is no help of `foo`
            return Ok(());
        }
        let family = self.family_named(name) as usize;
        self.current = Some(family as u32);
        match keyword {
            Keyword::Help => {
                let text = text.get(1..).unwrap_or_default();
                let blank = self.format == Format::Text && text.bytes().all(|b| matches!(b, b' ' | b'\t'));
                let quotes = self.format == Format::OpenMetrics;
                let raw = Quoted { raw: if blank { "" } else { text }, escaped: text.contains('\\') };
                self.page.families[family].help = self.unescaped(raw, quotes);
            }
            Keyword::Type => match text.trim_matches([' ', '\t']).parse() {
                Ok(kind) => self.page.families[family].kind = kind,
                Err(error) => return Err(self.cursor.error_at(value_at, self.with_hint(text, error))),
            },
            Keyword::Unit => {
                let unit = text.get(1..).unwrap_or_default();
                let fits = self.page.str(name).strip_suffix(unit).is_some_and(|base| base.ends_with('_'));
                if !unit.is_empty() && !fits {
                    let rule = format!("unit {unit:?} must be the suffix of its metric's name, after _");
                    return Err(self.cursor.error_at(value_at, rule));
                }
                self.page.families[family].unit = self.span(unit);
            }
        }
        Ok(())
    }

    fn with_hint(&self, line: &str, error: impl std::fmt::Display) -> String {
        let hint = if line.ends_with('\r') { "; lines end with a line feed alone" } else { "" };
        format!("{error}{hint}")
    }

    /// The family of exactly this name, made if there is none.
    fn family_named(&mut self, name: Span) -> u32 {
        let text = self.page.str(name);
        if let Some(known) = self.by_name.get(text) {
            return *known;
        }
        let index = self.page.families.len() as u32;
        self.by_name.insert(self.key(name), index);
        let none = Span::default();
        self.page.families.push(FamilyRecord { name, kind: MetricType::Unknown, help: none, unit: none });
        index
    }

    /// The family of a sample: the current one if the name fits, else one of its very name, else one of the name
    /// without a suffix that the family's type has, else a new one.
    #[inline]
    pub(super) fn family_of(&mut self, name: Span) -> u32 {
        if let Some(current) = self.current {
            let family = &self.page.families[current as usize];
            if let Some(suffix) = self.page.str(name).strip_prefix(self.page.str(family.name))
                && (suffix.is_empty() || family.kind.suffixes().contains(&suffix))
            {
                return current;
            }
        }
        let found = self.family_elsewhere(name);
        self.current = Some(found);
        found
    }

    fn family_elsewhere(&mut self, name: Span) -> u32 {
        let text = self.page.str(name);
        if let Some(known) = self.by_name.get(text) {
            return *known;
        }
        // every suffix begins with the last underscore of the name
        if let Some((base, _)) = text.rsplit_once('_')
            && let Some(family) = self.by_name.get(base)
            && self.page.families[*family as usize].kind.suffixes().contains(&&text[base.len()..])
        {
            return *family;
        }
        self.family_named(name)
    }

    fn key(&self, name: Span) -> Cow<'a, str> {
        match self.page.in_text(name) {
            Some(text) => Cow::Borrowed(text),
            None => Cow::Owned(self.page.str(name).to_owned()),
        }
    }
}
