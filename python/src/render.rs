//! A registry as a page in the text format, byte for byte as prometheus_client pushes it.
//!
//! Two thirds of the time that prometheus_client holds a job for a push go into this rendering.

use crate::errors::guard;
use crate::registry::{Family, Sample, Sink, collect};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use std::fmt::Write as _;

/// The registry as text 0.0.4, equal to `generate_latest(registry)` of prometheus_client 0.26.
#[pyfunction]
pub fn render<'py>(py: Python<'py>, registry: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyBytes>> {
    guard(py, "render", || Ok(PyBytes::new(py, page(registry)?.as_bytes())))
}

/// The page of [`render`].
pub fn page(registry: &Bound<'_, PyAny>) -> PyResult<String> {
    let mut page = Page::default();
    collect(registry, &mut page)?;
    page.end_family();
    Ok(page.text)
}

/// Suffixes of samples that stand in gauge families of their own at the end, in the order in which those come.
const APART: [&str; 3] = ["_created", "_gcount", "_gsum"];

#[derive(Default)]
struct Page {
    text: String,
    /// Name and help of the family, and its samples that stand apart.
    name: String,
    help: String,
    apart: [String; APART.len()],
}

impl Page {
    fn header(&mut self, suffix: &str, kind: &str) {
        for (word, rest) in [("HELP", &*self.help), ("TYPE", kind)] {
            let _ = write!(self.text, "# {word} ");
            // the suffix is of allowed characters, so escaping the parts is escaping the whole
            escape_name(&self.name, true, &mut self.text);
            let _ = writeln!(self.text, "{suffix} {rest}");
        }
    }

    fn end_family(&mut self) {
        for (i, suffix) in APART.iter().enumerate() {
            if !self.apart[i].is_empty() {
                self.header(suffix, "gauge");
                self.text.push_str(&self.apart[i]);
                self.apart[i].clear();
            }
        }
    }
}

impl Sink for Page {
    fn family(&mut self, family: &Family<'_>) -> PyResult<()> {
        self.end_family();
        self.name.clear();
        self.name.push_str(family.name);
        self.help.clear();
        escape(family.help, false, &mut self.help);
        let (suffix, kind) = match family.kind {
            "counter" => ("_total", "counter"),
            "info" => ("_info", "gauge"),
            "stateset" => ("", "gauge"),
            "gaugehistogram" => ("", "histogram"),
            "unknown" => ("", "untyped"),
            other => ("", other),
        };
        self.header(suffix, kind);
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> PyResult<()> {
        let apart = sample.name.strip_prefix(&*self.name).and_then(|s| APART.iter().position(|a| *a == s));
        let out = match apart {
            Some(i) => &mut self.apart[i],
            None => &mut self.text,
        };
        escape_name(sample.name, true, out);
        for (i, (name, value)) in sample.labels.iter().enumerate() {
            out.push(if i == 0 { '{' } else { ',' });
            escape_name(name, false, out);
            out.push_str("=\"");
            escape(value, true, out);
            out.push('"');
        }
        if !sample.labels.is_empty() {
            out.push('}');
        }
        out.push(' ');
        write_float(sample.value, out);
        if let Some(ms) = sample.timestamp_ms {
            let _ = write!(out, " {ms}");
        }
        out.push('\n');
        Ok(())
    }
}

/// The name with `_` in place of what older servers do not take.
fn escape_name(name: &str, metric: bool, out: &mut String) {
    let allowed = |c: char| c.is_ascii_alphanumeric() || c == '_' || (metric && c == ':');
    let first_digit = name.starts_with(|c: char| c.is_ascii_digit());
    if !first_digit && name.bytes().all(|b| allowed(char::from(b))) {
        return out.push_str(name);
    }
    out.extend(name.chars().enumerate().map(|(i, c)| match allowed(c) && !(i == 0 && first_digit) {
        true => c,
        false => '_',
    }));
}

fn escape(text: &str, quotes: bool, out: &mut String) {
    let mut done = 0;
    for (i, byte) in text.bytes().enumerate() {
        let escaped = match byte {
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'"' if quotes => "\\\"",
            _ => continue,
        };
        out.push_str(&text[done..i]);
        out.push_str(escaped);
        done = i + 1;
    }
    out.push_str(&text[done..]);
}

/// As prometheus_client writes a value: Python's shortest digits, with Go's exponent from 1e+06 for positive ones.
fn write_float(value: f64, out: &mut String) {
    if value.is_nan() {
        return out.push_str("NaN");
    }
    if value.is_infinite() {
        return out.push_str(if value > 0.0 { "+Inf" } else { "-Inf" });
    }
    let start = out.len();
    // the shortest digits, with an exponent below 1e-4 and from 1e16, as Python's repr
    let _ = write!(out, "{value:?}");
    settle_tie(value, start, out);
    let digits = &out[start..];
    if let Some(at) = digits.find('e') {
        let exponent = digits[at + 1..].to_owned();
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', &*exponent), |rest| ('-', rest));
        out.truncate(start + at + 1);
        let _ = write!(out, "{sign}{exponent:0>2}");
        return;
    }
    let point = digits.find('.').unwrap_or(0);
    if value > 0.0 && point > 6 {
        let mantissa = format!("{}.{}{}", &digits[..1], &digits[1..point], &digits[point + 1..]);
        out.truncate(start);
        out.push_str(mantissa.trim_end_matches(['0', '.']));
        let _ = write!(out, "e+{:02}", point - 1);
    }
}

/// Of two shortest forms that are equally near, Python takes the one with the even last digit and Rust the upper one.
/// Up to 15 digits there is no such pair.
fn settle_tie(value: f64, start: usize, out: &mut String) {
    let significand = out[start..].split('e').next().unwrap_or_default();
    let count = significand.trim_start_matches(['-', '0', '.']).bytes().filter(u8::is_ascii_digit).count();
    if count < 16 {
        return;
    }
    // rounds the exact value to so many digits, a tie to the even one
    let exact = format!("{:.*e}", count - 1, value.abs());
    let mut exact = exact.bytes().filter(u8::is_ascii_digit);
    let mut leading = true;
    let mut settled = String::with_capacity(24);
    for c in significand.chars() {
        leading &= matches!(c, '-' | '0' | '.');
        let digit = if c == '.' || leading { None } else { exact.next() };
        settled.push(digit.map_or(c, char::from));
    }
    out.replace_range(start..start + settled.len(), &settled);
}
