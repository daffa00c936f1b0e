//! What an attempt means for its request: delivered, try again, hold, split, rejected. Pure: no I/O, no clock.
//!
//! The table follows the remote-write specifications (2xx success, 5xx again, other 4xx not again, 429 may) and departs
//! where they would destroy data that can be kept: see [`judge`].

use crate::ledger::Rejected;
use crate::send::transport::{Failure, Response};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What to do with the request.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Verdict {
    /// Settled.
    Delivered,
    /// Send the same bytes again after `wait`.
    Retry {
        /// How long to wait.
        wait: Duration,
        /// The receiver asked for the wait, so a flush does not shorten it.
        asked: bool,
        /// The receiver may have stored the request.
        ambiguous: bool,
    },
    /// Keep it and try again after `wait`: the fault lies in credentials, address or roll-out, not in the data.
    Hold {
        /// How long to wait.
        wait: Duration,
        /// Read the credentials again first.
        refresh: bool,
    },
    /// Send it in two halves; if it cannot be split, or not so often, it is `otherwise`.
    Split {
        /// The reason if it cannot be split.
        otherwise: Rejected,
        /// The halves share a budget, because the receiver refuses content: one bad sample in a thousand costs twenty
        /// requests. Halving for size needs none.
        budget: bool,
    },
    /// Refused for good.
    Reject(Rejected),
}

/// Waits between attempts.
#[derive(Debug, Clone, Copy)]
pub struct Backoff {
    /// First wait.
    pub min: Duration,
    /// Longest wait.
    pub max: Duration,
    /// Longest wait that a Retry-After may ask for.
    pub max_retry_after: Duration,
    /// Wait between attempts of a held request.
    pub hold: Duration,
}

impl Backoff {
    /// The wait before attempt `attempt + 1`, doubled each time, ± 10 % by `jitter` in 0..1 so that the jobs of one host
    /// do not come back in step.
    #[must_use]
    pub fn wait(&self, attempt: u32, jitter: f64) -> Duration {
        let doubled = self.min.saturating_mul(1_u32.checked_shl(attempt.min(20)).unwrap_or(u32::MAX));
        doubled.min(self.max).mul_f64(0.9 + 0.2 * jitter.clamp(0.0, 1.0))
    }
}

/// What is known about an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The answer, or why there is none.
    pub result: Result<&'a Response, &'a Failure>,
    /// Attempts in a row that failed at this endpoint, before this one.
    pub failures: u32,
    /// Attempts of this request that failed, before this one.
    pub attempt: u32,
    /// Whether one of them may have been stored.
    pub ambiguous: bool,
    /// Bytes of the body.
    pub body: usize,
    /// Option `split_on_reject`.
    pub split: bool,
    /// Now, for a Retry-After that is a date; milliseconds since 1970.
    pub wall_ms: i64,
    /// A random number in 0..1.
    pub jitter: f64,
}

/// A body above this may be refused by closing the connection before the 413 can be read.
const LARGE: usize = 256 * 1024;
/// Resets in a row that are taken for such a refusal.
const RESETS: u32 = 3;

/// Judges one attempt.
///
/// | answer | verdict |
/// |---|---|
/// | 2xx | delivered |
/// | none, 408, 425, 429, 5xx | retry; Retry-After in seconds or as a date, capped; a smaller one does not undercut the back-off |
/// | 400 | split, because Prometheus stores nothing of a request with one bad sample; after an ambiguous attempt rejected, because the receiver most likely refuses what it has already |
/// | 413, or repeated resets of a large body | split |
/// | 401, 403, 404, 3xx | hold: a token that expired, an address that moved; nothing of this is in the data |
/// | anything else | rejected |
#[must_use]
pub fn judge(attempt: &Attempt<'_>, backoff: &Backoff) -> Verdict {
    let wait = backoff.wait(attempt.failures, attempt.jitter);
    let response = match attempt.result {
        Err(failure) => {
            let resets = failure.ambiguous || failure.kind == crate::error::SendErrorKind::Disconnected;
            if attempt.split && attempt.body > LARGE && resets && attempt.attempt + 1 >= RESETS {
                return Verdict::Split { otherwise: Rejected::TooLarge, budget: false };
            }
            return Verdict::Retry { wait, asked: false, ambiguous: failure.ambiguous };
        }
        Ok(response) => response,
    };
    let or_split = |otherwise, budget| {
        if attempt.split { Verdict::Split { otherwise, budget } } else { Verdict::Reject(otherwise) }
    };
    match response.status {
        200..=299 => Verdict::Delivered,
        // a proxy that answers for a server it lost cannot know whether that stored the request
        408 | 425 | 429 | 500..=599 => {
            let asked = retry_after(response, attempt.wall_ms).map(|d| d.min(backoff.max_retry_after));
            Verdict::Retry {
                wait: asked.unwrap_or_default().max(wait),
                asked: asked.is_some_and(|asked| asked >= wait),
                ambiguous: matches!(response.status, 500 | 502 | 504),
            }
        }
        400 if attempt.ambiguous => Verdict::Reject(Rejected::AfterAmbiguous),
        400 => or_split(Rejected::BadRequest, true),
        413 => or_split(Rejected::TooLarge, false),
        300..=399 | 401 | 403 | 404 => {
            Verdict::Hold { wait: backoff.hold, refresh: matches!(response.status, 401 | 403) }
        }
        _ => Verdict::Reject(Rejected::BadRequest),
    }
}

/// Retry-After as a wait: seconds or an HTTP date; nothing where it is absent, garbage, zero or past.
fn retry_after(response: &Response, wall_ms: i64) -> Option<Duration> {
    let value = response.header("retry-after")?.trim();
    let wait = match value.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = UNIX_EPOCH + Duration::from_millis(u64::try_from(wall_ms).ok()?);
            let then: SystemTime = httpdate::parse_http_date(value).ok()?;
            then.duration_since(now).ok()?
        }
    };
    (!wait.is_zero()).then_some(wait)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::SendErrorKind;

    const BACKOFF: Backoff = Backoff {
        min: Duration::from_millis(500),
        max: Duration::from_secs(30),
        max_retry_after: Duration::from_secs(300),
        hold: Duration::from_secs(30),
    };
    const MIDDLE: f64 = 0.5;

    fn attempt<'a>(result: Result<&'a Response, &'a Failure>) -> Attempt<'a> {
        Attempt {
            result,
            failures: 0,
            attempt: 0,
            ambiguous: false,
            body: 100,
            split: true,
            wall_ms: 1_700_000_000_000,
            jitter: MIDDLE,
        }
    }

    fn response(status: u16, retry_after: Option<&str>) -> Response {
        Response {
            status,
            headers: retry_after.map(|v| ("retry-after".to_owned(), v.to_owned())).into_iter().collect(),
            body: Vec::new(),
        }
    }

    fn on(status: u16) -> Verdict {
        judge(&attempt(Ok(&response(status, None))), &BACKOFF)
    }

    #[test]
    fn every_status_has_one_verdict() {
        for status in 200..=599 {
            let verdict = on(status);
            let expected = match status {
                200..=299 => matches!(verdict, Verdict::Delivered),
                300..=399 | 401 | 403 | 404 => matches!(verdict, Verdict::Hold { .. }),
                400 => verdict == Verdict::Split { otherwise: Rejected::BadRequest, budget: true },
                413 => verdict == Verdict::Split { otherwise: Rejected::TooLarge, budget: false },
                408 | 425 | 429 | 500..=599 => matches!(verdict, Verdict::Retry { asked: false, .. }),
                _ => verdict == Verdict::Reject(Rejected::BadRequest),
            };
            assert!(expected, "{status}: {verdict:?}");
        }
    }

    #[test]
    fn a_400_after_a_lost_answer_is_not_bisected() {
        let response = response(400, None);
        let again = Attempt { ambiguous: true, attempt: 1, ..attempt(Ok(&response)) };
        assert_eq!(judge(&again, &BACKOFF), Verdict::Reject(Rejected::AfterAmbiguous));
    }

    #[test]
    fn splitting_can_be_turned_off() {
        for (status, why) in [(400, Rejected::BadRequest), (413, Rejected::TooLarge)] {
            let response = response(status, None);
            let off = Attempt { split: false, ..attempt(Ok(&response)) };
            assert_eq!(judge(&off, &BACKOFF), Verdict::Reject(why));
        }
    }

    #[test]
    fn waits_double_with_a_tenth_of_jitter_and_the_first_is_within_a_second_and_a_half() {
        let ms = |attempt, jitter| BACKOFF.wait(attempt, jitter).as_millis();
        assert_eq!((ms(0, 0.0), ms(0, 0.5), ms(0, 1.0)), (450, 500, 550));
        assert_eq!((ms(1, 0.5), ms(5, 0.5), ms(6, 0.5), ms(100, 1.0)), (1000, 16000, 30000, 33000));
    }

    #[test]
    fn retry_after_in_seconds_and_as_a_date_is_capped_and_never_undercuts_the_backoff() {
        let wait = |value: &str| match judge(&attempt(Ok(&response(429, Some(value)))), &BACKOFF) {
            Verdict::Retry { wait, asked, .. } => (wait.as_millis(), asked),
            other => panic!("{other:?}"),
        };
        assert_eq!(wait("7"), (7000, true));
        assert_eq!(wait("31536000"), (300_000, true));
        assert_eq!(wait("Tue, 14 Nov 2023 22:13:30 GMT"), (10_000, true));
        for ignored in ["0", "-5", "soon", "Tue, 14 Nov 2000 22:13:30 GMT", ""] {
            assert_eq!(wait(ignored), (500, false), "{ignored}");
        }
    }

    #[test]
    fn a_large_body_that_is_reset_three_times_is_halved() {
        let reset = Failure::new(SendErrorKind::Disconnected, "reset");
        let large = Attempt { body: 300_000, ..attempt(Err(&reset)) };
        assert!(matches!(judge(&large, &BACKOFF), Verdict::Retry { .. }));
        let third = Attempt { attempt: 2, ..large };
        assert!(matches!(judge(&third, &BACKOFF), Verdict::Split { otherwise: Rejected::TooLarge, .. }));
        assert!(matches!(judge(&Attempt { body: 10, ..third }, &BACKOFF), Verdict::Retry { .. }));
    }
}
