//! Lines of tab-separated fields, percent-encoded.

use std::fmt::Write as _;
use std::str::FromStr;

/// A field as it was meant.
pub fn decode(field: &str) -> Result<String, String> {
    let bytes = field.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut i = 0;
    while i < bytes.len() {
        if bytes[i] == b'%' {
            let hex = field.get(i + 1..i + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
            out.push(hex.ok_or_else(|| format!("escape in {field}"))?);
            i += 3;
        } else {
            out.push(bytes[i]);
            i += 1;
        }
    }
    String::from_utf8(out).map_err(|_| format!("a Rust program has no such text: {field}"))
}

/// A whole line.
pub fn line(kind: &str, fields: impl IntoIterator<Item = String>) -> String {
    let mut out = kind.to_owned();
    for field in fields {
        out.push('\t');
        for byte in field.bytes() {
            match byte {
                b' '..=b'$' | b'&'..=b'~' => out.push(char::from(byte)),
                _ => {
                    let _ = write!(out, "%{byte:02x}");
                }
            }
        }
    }
    out.push('\n');
    out
}

/// The two fields of each pair.
pub fn pairs<'a>(fields: &[&'a str]) -> Result<Vec<(&'a str, &'a str)>, String> {
    let (pairs, rest) = fields.as_chunks();
    match rest {
        [] => Ok(pairs.iter().map(|[a, b]| (*a, *b)).collect()),
        _ => Err(format!("pairs: {fields:?}")),
    }
}

/// A whole number.
pub fn number<T: FromStr>(field: &str) -> Result<T, String> {
    field.parse().map_err(|_| format!("number: {field}"))
}

/// A value, by the hexadecimal digits of its bits, so that every one of them arrives.
pub fn bits(field: &str) -> Result<f64, String> {
    u64::from_str_radix(field, 16).map(f64::from_bits).map_err(|_| format!("value: {field}"))
}
