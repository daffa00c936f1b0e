//! The smallest parts of a page: names, quoted strings, tokens, escapes, and where an error stands.

use crate::error::{Error, Result, shown};
use std::fmt::Display;

/// A place in a page. Every method either moves forward or reports an error with line and column.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    text: &'a str,
    pos: usize,
}

/// A quoted string as it stands between its quotes, and whether it holds a backslash.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'a> {
    pub(super) raw: &'a str,
    pub(super) escaped: bool,
}

impl<'a> Cursor<'a> {
    /// The page as text.
    ///
    /// The whole page is checked at once, because that is faster than to check each value, and what follows can then
    /// borrow `str`s.
    pub(super) fn new(page: &'a [u8]) -> Result<Self> {
        match std::str::from_utf8(page) {
            Ok(text) => Ok(Cursor { text, pos: 0 }),
            Err(error) => {
                let at = error.valid_up_to();
                let rule = format!("bytes that are not UTF-8: {}", shown(&page[at..page.len().min(at + 4)]));
                Err(error_at(page, at, rule))
            }
        }
    }

    pub(super) fn text(&self) -> &'a str {
        self.text
    }

    pub(super) fn pos(&self) -> usize {
        self.pos
    }

    pub(super) fn at_end(&self) -> bool {
        self.pos >= self.text.len()
    }

    /// The next byte, or a line feed at the end of the page, because the last line need not end with one.
    #[inline]
    pub(super) fn peek(&self) -> u8 {
        self.text.as_bytes().get(self.pos).copied().unwrap_or(b'\n')
    }

    /// The bytes from here on.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.text.as_bytes()[self.pos..]
    }

    #[inline]
    pub(super) fn advance(&mut self, bytes: usize) {
        self.pos = (self.pos + bytes).min(self.text.len());
    }

    /// Moves over `wanted` if it stands here.
    #[inline]
    pub(super) fn eat(&mut self, wanted: u8) -> bool {
        let found = self.text.as_bytes().get(self.pos) == Some(&wanted);
        self.pos += usize::from(found);
        found
    }

    /// Moves over spaces and tabs; true if there was one.
    #[inline]
    pub(super) fn blanks(&mut self) -> bool {
        let start = self.pos;
        while matches!(self.peek(), b' ' | b'\t') {
            self.pos += 1;
        }
        self.pos > start
    }

    /// What stands before the next byte that `stop` names, or before the end of the line.
    #[inline]
    pub(super) fn until(&mut self, stop: impl Fn(u8) -> bool) -> &'a str {
        let start = self.pos;
        while !(self.peek() == b'\n' || stop(self.peek())) {
            self.pos += 1;
        }
        // `stop` names ASCII bytes only, so both ends are at the border of a character
        self.text.get(start..self.pos).unwrap_or_default()
    }

    /// What stands before the next space or tab.
    #[inline]
    pub(super) fn token(&mut self) -> &'a str {
        self.until(|b| matches!(b, b' ' | b'\t'))
    }

    /// The rest of the line without its line feed, which is passed over.
    pub(super) fn line(&mut self) -> &'a str {
        let rest = &self.text.as_bytes()[self.pos..];
        // position() is a vector search only in memchr; comments and HELP are a small part of a page
        let length = rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len());
        let line = self.text.get(self.pos..self.pos + length).unwrap_or_default();
        self.advance(length + 1);
        line
    }

    /// `[a-zA-Z_:][a-zA-Z0-9_:]*`, empty if none stands here.
    #[inline]
    pub(super) fn metric_name(&mut self) -> &'a str {
        self.name(IN_METRIC_NAME)
    }

    /// `[a-zA-Z_][a-zA-Z0-9_]*`, empty if none stands here.
    #[inline]
    pub(super) fn label_name(&mut self) -> &'a str {
        self.name(IN_LABEL_NAME)
    }

    #[inline]
    fn name(&mut self, class: u8) -> &'a str {
        let start = self.pos;
        let bytes = self.text.as_bytes();
        if bytes.get(start).is_some_and(|b| !b.is_ascii_digit()) {
            while bytes.get(self.pos).is_some_and(|b| CLASS[usize::from(*b)] & class != 0) {
                self.pos += 1;
            }
        }
        self.text.get(start..self.pos).unwrap_or_default()
    }

    /// A string from its opening to its closing quote; it must end on its line.
    ///
    /// Prometheus lets a label value of the text format run over several lines, the Pushgateway and OpenMetrics do
    /// not. Here it must end, because otherwise a forgotten quote in line 3 is reported at the end of the page.
    #[inline]
    pub(super) fn quoted(&mut self, what: &str) -> Result<Quoted<'a>> {
        let open = self.pos;
        if !self.eat(b'"') {
            return Err(self.expected(what));
        }
        let bytes = self.text.as_bytes();
        let mut escaped = false;
        loop {
            match bytes.get(self.pos) {
                Some(b'"') => break,
                Some(b'\\') => {
                    escaped = true;
                    // the escaped byte is passed over here, unless it ends the line, which the next turn reports
                    self.pos += if matches!(bytes.get(self.pos + 1), None | Some(b'\n')) { 1 } else { 2 };
                }
                None | Some(b'\n') => {
                    return Err(self.error_at(
                        open,
                        format_args!(
                            "{what}: its closing quote is missing on this line; write a line feed as \\n"
                        ),
                    ));
                }
                Some(_) => self.pos += 1,
            }
        }
        let raw = self.text.get(open + 1..self.pos).unwrap_or_default();
        self.pos += 1;
        Ok(Quoted { raw, escaped })
    }

    /// An error here, that says what should have stood here and what does.
    #[cold]
    pub(super) fn expected(&self, what: &str) -> Error {
        self.expected_at(self.pos, what)
    }

    /// [`Cursor::expected`] for another place.
    #[cold]
    pub(super) fn expected_at(&self, at: usize, what: &str) -> Error {
        let rest = &self.text.as_bytes()[at..];
        let line = &rest[..rest.iter().position(|b| *b == b'\n').unwrap_or(rest.len())];
        let hint = if line.ends_with(b"\r") {
            "; lines end with a line feed alone, this one ends with carriage return and line feed"
        } else {
            ""
        };
        if line.is_empty() {
            self.error_at(at, format_args!("expected {what}, found the end of the line"))
        } else {
            self.error_at(at, format_args!("expected {what}, found {}{hint}", shown(line)))
        }
    }

    /// An error at byte `at` of the page.
    #[cold]
    pub(super) fn error_at(&self, at: usize, rule: impl Display) -> Error {
        error_at(self.text.as_bytes(), at, rule)
    }
}

fn error_at(page: &[u8], at: usize, rule: impl Display) -> Error {
    let before = &page[..at.min(page.len())];
    let line_start = before.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1);
    Error::Exposition {
        line: 1 + before.iter().filter(|b| **b == b'\n').count(),
        column: 1 + before.len() - line_start,
        rule: rule.to_string(),
    }
}

/// Appends `raw` to `out` with `\\` and `\n` replaced, and `\"` if `quotes`. Any other escape stays as it stands, as
/// Prometheus keeps it.
pub(super) fn unescape(raw: &str, quotes: bool, out: &mut String) {
    let mut rest = raw;
    while let Some(at) = rest.find('\\') {
        out.push_str(&rest[..at]);
        let replaced = match rest.as_bytes().get(at + 1) {
            Some(b'\\') => '\\',
            Some(b'n') => '\n',
            Some(b'"') if quotes => '"',
            _ => {
                out.push('\\');
                rest = &rest[at + 1..];
                continue;
            }
        };
        out.push(replaced);
        rest = &rest[at + 2..];
    }
    out.push_str(rest);
}

const IN_LABEL_NAME: u8 = 1;
const IN_METRIC_NAME: u8 = 2;

// a table, because the name of every sample and label goes through it byte by byte
static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0u8;
    while byte < 128 {
        if byte.is_ascii_alphanumeric() || byte == b'_' {
            table[byte as usize] = IN_LABEL_NAME | IN_METRIC_NAME;
        } else if byte == b':' {
            table[byte as usize] = IN_METRIC_NAME;
        }
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_escapes_stay_and_a_backslash_is_read_once() {
        let read = |raw: &str, quotes| {
            let mut out = String::new();
            unescape(raw, quotes, &mut out);
            out
        };
        assert_eq!(read(r"a\nb\\nc\bd\", true), "a\nb\\nc\\bd\\");
        assert_eq!(read(r#"\""#, true), "\"");
        assert_eq!(read(r#"\""#, false), "\\\"");
    }

    #[test]
    fn an_error_counts_lines_and_bytes_from_one() {
        let error = Cursor::new(b"a 1\nb \xff\n").err().map(|e| e.to_string());
        assert_eq!(
            error.as_deref(),
            Some("exposition: line 2, column 3: bytes that are not UTF-8: \"\\xff\\n\"")
        );
    }
}
