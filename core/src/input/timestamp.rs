//! Timestamps: which are taken, and what a refused one may have meant.

use crate::error::{Error, Result};

/// Earliest timestamp that is taken, 2001-01-01: what lies before is nearly always seconds where milliseconds are meant.
pub const EARLIEST_MS: i64 = 978_307_200_000;
/// How far ahead of now a timestamp may lie; receivers refuse what lies further ahead.
pub const AHEAD_MS: i64 = 600_000;

/// Checks a timestamp in milliseconds against `now_ms`.
///
/// # Errors
/// [`Error::InvalidTimestamp`] before 2001 or more than ten minutes ahead, with both readings of the number.
#[inline]
pub fn check_timestamp(timestamp_ms: i64, now_ms: i64) -> Result<()> {
    if timestamp_ms < EARLIEST_MS || timestamp_ms > now_ms.saturating_add(AHEAD_MS) {
        return Err(bad_timestamp(timestamp_ms));
    }
    Ok(())
}

/// Seconds since 1970 as milliseconds, checked against `now_ms`.
///
/// # Errors
/// As [`check_timestamp`], with both readings of the number of seconds; [`Error::Invalid`] for one that is not finite.
pub fn check_seconds(seconds: f64, now_ms: i64) -> Result<i64> {
    if !seconds.is_finite() {
        return Err(Error::invalid("timestamp", seconds.to_string(), "must be a finite number of seconds"));
    }
    // rounded, because 1.001 s is 1000.9999... ms; a cast of what is out of range saturates, and is refused
    let timestamp_ms = (seconds * 1000.0).round() as i64;
    check_timestamp(timestamp_ms, now_ms).map_err(|_| bad_timestamp(seconds as i64))?;
    Ok(timestamp_ms)
}

#[cold]
fn bad_timestamp(value: i64) -> Error {
    Error::InvalidTimestamp {
        value: value.to_string(),
        as_milliseconds: utc(value.div_euclid(1000)),
        as_seconds: utc(value),
    }
}

/// Seconds since 1970 as a UTC time, for messages.
fn utc(seconds: i64) -> String {
    let (days, rest) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    if days.abs() > 365 * 8000 {
        return format!(
            "{} the year {}",
            if days < 0 { "before" } else { "after" },
            if days < 0 { -6000 } else { 9000 }
        );
    }
    // days to a civil date in the proleptic Gregorian calendar, whose pattern repeats every 400 years
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", rest / 3600, rest / 60 % 60, rest % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_readings_of_a_timestamp_are_named() {
        let now = 1_700_000_000_000;
        assert!(check_timestamp(now, now).is_ok() && check_timestamp(now + AHEAD_MS, now).is_ok());
        let seconds = check_timestamp(1_700_000_000, now).unwrap_err().to_string();
        assert!(
            seconds.contains("1970-01-20T16:13:20Z") && seconds.contains("2023-11-14T22:13:20Z"),
            "{seconds}"
        );
        let micros = check_timestamp(1_700_000_000_000_000, now).unwrap_err().to_string();
        assert!(micros.contains("after the year 9000"), "{micros}");
        assert!(check_timestamp(i64::MIN, now).is_err() && check_timestamp(i64::MAX, now).is_err());
    }

    #[test]
    fn seconds_are_rounded_to_milliseconds_and_refused_by_the_number_given() {
        let now = 1_700_000_000_000;
        assert_eq!(check_seconds(1_699_999_999.001, now), Ok(1_699_999_999_001));
        let milliseconds = check_seconds(1_700_000_000_000.0, now).unwrap_err().to_string();
        assert!(milliseconds.contains("1700000000000 is refused"), "{milliseconds}");
        assert!(milliseconds.contains("as milliseconds it is 2023-11-14T22:13:20Z"), "{milliseconds}");
        for bad in [f64::NAN, f64::INFINITY, 1e300, -1e300, 0.0] {
            assert!(check_seconds(bad, now).is_err(), "{bad}");
        }
    }

    #[test]
    fn dates() {
        assert_eq!(utc(0), "1970-01-01T00:00:00Z");
        assert_eq!(utc(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(utc(EARLIEST_MS / 1000), "2001-01-01T00:00:00Z");
        assert_eq!(utc(-1), "1969-12-31T23:59:59Z");
    }
}
