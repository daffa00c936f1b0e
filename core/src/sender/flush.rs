//! Waiting for several senders, in slices.

use super::Sender;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A flush of several senders under way; waits in slices so that a caller can look after signals in between.
pub struct Flush {
    /// Each sender, and the position up to which it is flushed.
    pub(super) parts: Vec<(Arc<Sender>, u64)>,
    deadline: Instant,
}

impl Flush {
    /// Starts to flush `senders`; they share one deadline.
    #[must_use]
    pub fn start(senders: impl IntoIterator<Item = Arc<Sender>>, timeout: Duration) -> Self {
        let deadline = far(Instant::now(), timeout);
        Flush {
            parts: senders.into_iter().map(|s| (s.start_flush(), s)).map(|(p, s)| (s, p)).collect(),
            deadline,
        }
    }

    /// Starts to close `senders`: as [`Flush::start`], and no more is accepted.
    #[must_use]
    pub fn start_close(senders: impl IntoIterator<Item = Arc<Sender>>, timeout: Duration) -> Self {
        let deadline = far(Instant::now(), timeout);
        Flush {
            parts: senders.into_iter().map(|s| (s.start_close(), s)).map(|(p, s)| (s, p)).collect(),
            deadline,
        }
    }

    /// Waits at most `slice`; true when there is nothing more to wait for: all is settled or the deadline has passed.
    #[must_use]
    pub fn wait(&self, slice: Duration) -> bool {
        let until = self.deadline.min(far(Instant::now(), slice));
        let settled = self.parts.iter().all(|(sender, position)| sender.wait_settled(*position, until));
        settled || Instant::now() >= self.deadline
    }

    /// Waits until there is nothing more to wait for.
    pub fn finish(&self) {
        while !self.wait(Duration::from_secs(3600)) {}
    }
}

/// `from + by`, for waits that are given as "for ever".
pub(super) fn far(from: Instant, by: Duration) -> Instant {
    from.checked_add(by).unwrap_or_else(|| from + Duration::from_secs(365 * 24 * 3600))
}
