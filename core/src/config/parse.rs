//! Values of options as text: durations, sizes, whole numbers.

use std::time::Duration;

/// Units of a Prometheus duration string with their milliseconds, in the order in which they must stand.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1000),
    ("ms", 1),
];

/// Seconds as a plain number (`2`, `0.5`), or a Prometheus duration string (`1h30m`, `500ms`).
pub(super) fn duration(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let mut rest = text;
    let mut total = 0_u64;
    let mut next_unit = 0;
    while !rest.is_empty() {
        let (number, after) = digits(rest)?;
        let unit_len = after.find(|c: char| !c.is_ascii_lowercase()).unwrap_or(after.len());
        let at = UNITS.iter().position(|(unit, _)| *unit == &after[..unit_len])?;
        if at < next_unit {
            return None;
        }
        next_unit = at + 1;
        total = total.checked_add(number.checked_mul(UNITS[at].1)?)?;
        rest = &after[unit_len..];
    }
    (!text.is_empty()).then(|| Duration::from_millis(total))
}

/// A duration as Prometheus writes it; parts below a millisecond as seconds with a fraction.
pub(super) fn show_duration(duration: Duration) -> String {
    if !duration.subsec_nanos().is_multiple_of(1_000_000) {
        return duration.as_secs_f64().to_string();
    }
    let mut left = duration.as_millis();
    if left == 0 {
        return "0s".to_owned();
    }
    let mut out = String::new();
    for (unit, length) in UNITS {
        let count = left / u128::from(length);
        // no weeks, because 7d reads better, and years only where nothing is left over
        if count == 0 || unit == "w" || unit == "y" && !left.is_multiple_of(u128::from(length)) {
            continue;
        }
        out.push_str(&format!("{count}{unit}"));
        left %= u128::from(length);
    }
    out
}

/// Bytes: a whole number, alone or with B, KB, MB, GB (thousands) or KiB, MiB, GiB (1024).
pub(super) fn size(text: &str) -> Option<u64> {
    let (number, unit) = digits(text)?;
    let factor = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "kb" => 1000,
        "mb" => 1_000_000,
        "gb" => 1_000_000_000,
        "kib" => 1 << 10,
        "mib" => 1 << 20,
        "gib" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(factor)
}

/// A size with the largest unit that leaves it whole.
pub(super) fn show_size(size: u64) -> String {
    let units = [
        ("GiB", 1 << 30),
        ("GB", 1_000_000_000),
        ("MiB", 1 << 20),
        ("MB", 1_000_000),
        ("KiB", 1 << 10),
        ("KB", 1000),
    ];
    match units.into_iter().find(|(_, factor)| size > 0 && size.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", size / factor),
        None => format!("{size}B"),
    }
}

fn digits(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    Some((text[..end].parse().ok()?, &text[end..]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_seconds_or_prometheus_strings() {
        let ms = |ms| Some(Duration::from_millis(ms));
        for (text, expected) in [
            ("2", ms(2000)),
            ("0.5", ms(500)),
            ("1e3", ms(1_000_000)),
            ("0", ms(0)),
            ("1h30m", ms(5_400_000)),
            ("500ms", ms(500)),
            ("1d", ms(86_400_000)),
            ("1y2w3d4h5m6s7ms", ms(33_019_506_007)),
            ("", None),
            ("-1", None),
            ("-1s", None),
            ("NaN", None),
            ("inf", None),
            ("1e400", None),
            ("s", None),
            ("30m1h", None),
            ("1m1m", None),
            ("1 s", None),
            ("1.5h", None),
            ("1sec", None),
            ("1sé", None),
            ("99999999999999999999s", None),
            ("999999999999999999y", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_have_units_of_thousands_and_of_1024() {
        for (text, expected) in [
            ("1000", Some(1000)),
            ("64MiB", Some(64 << 20)),
            ("1MB", Some(1_000_000)),
            ("2 kib", Some(2048)),
            ("7B", Some(7)),
            ("3GB", Some(3_000_000_000)),
            ("1GiB", Some(1 << 30)),
            ("", None),
            ("MB", None),
            ("-1", None),
            ("1.5MB", None),
            ("1TB", None),
            ("99999999999GiB", None),
        ] {
            assert_eq!(size(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(ms in 0..100_000_000_000_u64, bytes: u64) {
            prop_assert_eq!(duration(&show_duration(Duration::from_millis(ms))), Some(Duration::from_millis(ms)));
            prop_assert_eq!(size(&show_size(bytes)), Some(bytes));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            let _ = (duration(&text), size(&text));
        }
    }
}
