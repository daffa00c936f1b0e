//! Numbers of a page: values as Go reads them, timestamps in milliseconds, `le` and `quantile` as Prometheus writes them.

use std::fmt::Write as _;

/// The one NaN of Prometheus. Any other payload is replaced by it, because one of them marks a series as ended.
pub(super) const NAN: f64 = f64::from_bits(0x7ff8_0000_0000_0001);

pub(super) const FLOAT_RULE: &str = "a number: a decimal, NaN, Inf, +Inf or -Inf";

/// A value as Go's `ParseFloat` reads it, without hexadecimal floats and underscores: `None` if it is not one, also
/// if it is too large for a float, which Go refuses and Rust reads as infinity.
#[inline]
pub(super) fn float(text: &str) -> Option<f64> {
    let value: f64 = text.parse().ok()?;
    if value.is_finite() {
        Some(value)
    } else if value.is_nan() {
        // Rust also reads a NaN with a sign
        text.eq_ignore_ascii_case("nan").then_some(NAN)
    } else {
        // "inf" and "infinity" have no digit, a number that overflowed has one
        (!text.bytes().any(|b| b.is_ascii_digit())).then_some(value)
    }
}

/// Seconds as a float to whole milliseconds, truncated as Prometheus does; `None` outside the range of an `i64`.
pub(super) fn seconds_to_ms(seconds: f64) -> Option<i64> {
    let ms = seconds * 1000.0;
    // the bounds are exact powers of two, so that the cast cannot saturate
    (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&ms).then_some(ms as i64)
}

/// Writes `value` as Prometheus 3 writes `le` and `quantile`: the shortest digits that read back equal, an exponent
/// below 1e-4 and from 1e+06, `.0` behind a whole number.
pub(super) fn write_label_float(value: f64, out: &mut String) {
    if value == 0.0 {
        return out.push_str("0.0");
    }
    if !value.is_finite() {
        return out.push_str(match value {
            v if v.is_nan() => "NaN",
            v if v > 0.0 => "+Inf",
            _ => "-Inf",
        });
    }
    if !(1e-4..1e6).contains(&value.abs()) {
        let start = out.len();
        let _ = write!(out, "{value:e}");
        let Some(at) = out[start..].find('e').map(|at| start + at) else { return };
        let exponent = out.split_off(at + 1);
        let (sign, digits) = exponent.strip_prefix('-').map_or(('+', &*exponent), |digits| ('-', digits));
        let _ = write!(out, "{sign}{digits:0>2}");
    } else {
        // Debug writes the shortest digits and `.0`, in this range without an exponent
        let _ = write!(out, "{value:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_as_go_reads_them() {
        for (text, value) in [
            ("1", 1.0),
            ("+1.", 1.0),
            (".5e1", 5.0),
            ("-0", -0.0),
            ("1e-400", 0.0),
            ("inf", f64::INFINITY),
            ("+INF", f64::INFINITY),
            ("-Infinity", f64::NEG_INFINITY),
            ("nAn", NAN),
        ] {
            assert_eq!(float(text).map(f64::to_bits), Some(value.to_bits()), "{text}");
        }
        for text in [
            "", "+", ".", "e5", "1e", "1e400", "-1e400", "+nan", "-nan", "0x10", "0x1p3", "1_0", "1 ",
            "infin",
        ] {
            assert_eq!(float(text), None, "{text}");
        }
    }

    #[test]
    fn label_floats_as_prometheus_writes_them() {
        // left as Go's strconv.FormatFloat(f, 'g', -1, 64) writes it, with ".0" where no '.' and no 'e' is
        for (value, text) in [
            (1.0, "1.0"),
            (-1.0, "-1.0"),
            (-0.0, "0.0"),
            (0.005, "0.005"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (999_999.0, "999999.0"),
            (1e6, "1e+06"),
            (1_234_567.0, "1.234567e+06"),
            (123_456.789, "123456.789"),
            (1e100, "1e+100"),
            (f64::MAX, "1.7976931348623157e+308"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            let mut out = String::from("x");
            write_label_float(value, &mut out);
            assert_eq!(&out[1..], text);
        }
    }

    #[test]
    fn seconds_are_truncated_and_bounded() {
        assert_eq!(seconds_to_ms(1_700_000_000.123), Some(1_700_000_000_123));
        assert_eq!(seconds_to_ms(-0.0015), Some(-1));
        assert_eq!(seconds_to_ms(1e16), None);
        assert_eq!(seconds_to_ms(f64::NAN), None);
    }
}
