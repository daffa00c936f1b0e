//! The ledger: what became of everything accepted, and the failures a person can act on.
//!
//! At every instant `accepted + adopted = delivered + rejected + dropped + superseded + pending + spooled`. A ledger lives
//! under the lock of the source that holds the items, so that no reader ever sees one side of a change; `pending` is
//! counted from what the source holds and not derived from the other numbers, or the equation would prove nothing.
//!
//! The spool is a place outside: items go there by `spooled` and come back by `adopted`, to whichever process that is.

use std::collections::VecDeque;
use std::fmt;

/// Why a receiver, or we in its name, refused items for good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rejected {
    /// A 4xx that says the request is wrong.
    BadRequest,
    /// A 400 after an attempt whose answer was lost: most likely the earlier attempt was stored.
    AfterAmbiguous,
    /// A 413 for a request that cannot be made smaller.
    TooLarge,
    /// Sending it made the worker panic twice.
    Panic,
}

/// Why items were given up without the receiver's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Dropped {
    /// The queue was full.
    QueueFull,
    /// Older than `queue_config.sample_age_limit`.
    TooOld,
    /// Still pending when the sender was closed or the process ended.
    Shutdown,
    /// In the spool for longer than `spool_max_age`.
    Expired,
    /// Removed from the spool to keep it within `spool_max_bytes`.
    SpoolFull,
    /// Found damaged in the spool.
    Damaged,
}

impl Rejected {
    /// All reasons, in the order of [`Ledger::rejected`].
    pub const ALL: [Rejected; 4] =
        [Rejected::BadRequest, Rejected::AfterAmbiguous, Rejected::TooLarge, Rejected::Panic];

    /// The reason as it stands in `stats` and log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Rejected::BadRequest => "bad_request",
            Rejected::AfterAmbiguous => "after_ambiguous",
            Rejected::TooLarge => "too_large",
            Rejected::Panic => "panic",
        }
    }
}

impl Dropped {
    /// All reasons, in the order of [`Ledger::dropped`].
    pub const ALL: [Dropped; 6] = [
        Dropped::QueueFull,
        Dropped::TooOld,
        Dropped::Shutdown,
        Dropped::Expired,
        Dropped::SpoolFull,
        Dropped::Damaged,
    ];

    /// The reason as it stands in `stats` and log lines.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Dropped::QueueFull => "queue_full",
            Dropped::TooOld => "too_old",
            Dropped::Shutdown => "shutdown",
            Dropped::Expired => "expired",
            Dropped::SpoolFull => "spool_full",
            Dropped::Damaged => "damaged",
        }
    }
}

/// The counters of one sender, of one kind of item: samples of a writer, pushes of a gateway. They only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ledger {
    /// Taken from callers.
    pub accepted: u64,
    /// Taken from the spool and settled: what another process left there, or this one put there before.
    pub adopted: u64,
    /// Answered with 2xx.
    pub delivered: u64,
    /// Made needless by a newer value: the same series and millisecond, or a newer state of the group.
    pub superseded: u64,
    /// Put into the spool. What is taken out again counts as adopted, so this only grows.
    pub spooled: u64,
    /// Refused, by reason, in the order of [`Rejected::ALL`].
    pub rejected: [u64; Rejected::ALL.len()],
    /// Given up, by reason, in the order of [`Dropped::ALL`].
    pub dropped: [u64; Dropped::ALL.len()],
}

impl Ledger {
    /// Counts refused items.
    pub fn reject(&mut self, why: Rejected, items: u64) {
        self.rejected[why as usize] += items;
    }

    /// Counts items given up.
    pub fn drop_items(&mut self, why: Dropped, items: u64) {
        self.dropped[why as usize] += items;
    }

    /// All refused items.
    #[must_use]
    pub fn rejected_total(&self) -> u64 {
        self.rejected.iter().sum()
    }

    /// All items given up.
    #[must_use]
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }

    /// Whether the equation holds with `pending` items held.
    #[must_use]
    pub fn balances(&self, pending: u64) -> bool {
        self.accepted + self.adopted
            == self.delivered
                + self.rejected_total()
                + self.dropped_total()
                + self.superseded
                + self.spooled
                + pending
    }

    /// What was counted since `before`.
    #[must_use]
    pub fn since(&self, before: &Ledger) -> Ledger {
        Ledger {
            accepted: self.accepted - before.accepted,
            adopted: self.adopted - before.adopted,
            delivered: self.delivered - before.delivered,
            superseded: self.superseded - before.superseded,
            spooled: self.spooled - before.spooled,
            rejected: std::array::from_fn(|i| self.rejected[i] - before.rejected[i]),
            dropped: std::array::from_fn(|i| self.dropped[i] - before.dropped[i]),
        }
    }

    /// Adds `other`, for totals over several senders of one kind.
    pub fn add(&mut self, other: &Ledger) {
        self.accepted += other.accepted;
        self.adopted += other.adopted;
        self.delivered += other.delivered;
        self.superseded += other.superseded;
        self.spooled += other.spooled;
        for (mine, theirs) in self.rejected.iter_mut().zip(other.rejected) {
            *mine += theirs;
        }
        for (mine, theirs) in self.dropped.iter_mut().zip(other.dropped) {
            *mine += theirs;
        }
    }
}

/// A ledger with what is pending at the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Balance {
    /// The counters.
    pub ledger: Ledger,
    /// Items held: waiting, being encoded, in flight or waiting for a retry.
    pub pending: u64,
    /// Bytes those items take, with the series registry where there is one.
    pub pending_bytes: u64,
}

/// What the requests of a sender came to. They only grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Requests {
    /// Requests answered with 2xx.
    pub succeeded: u64,
    /// Requests answered otherwise or not at all.
    pub failed: u64,
    /// Items sent again after an attempt that failed, each time counted.
    pub retried: u64,
    /// Compressed bytes of bodies answered with 2xx.
    pub bytes: u64,
    /// Times the worker thread could not be started.
    pub worker_start_failed: u64,
}

/// Something that went wrong, for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// When it was seen last, in milliseconds since 1970.
    pub at_ms: i64,
    /// The endpoint, without user, password and query.
    pub url: String,
    /// What happened and what to do about it.
    pub message: String,
    /// Items it cost; 0 while they are still pending.
    pub items: u64,
    /// How often it was seen in a row.
    pub times: u64,
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.message)?;
        if self.items > 0 {
            write!(f, " ({} lost)", self.items)?;
        }
        if self.times > 1 {
            write!(f, " ({} times)", self.times)?;
        }
        Ok(())
    }
}

/// A bounded ring of recent failures. Equal ones in a row are one entry, or an outage would push out its own cause.
#[derive(Debug, Default)]
pub struct Recent {
    events: VecDeque<Event>,
}

/// How many are kept.
const KEPT: usize = 16;

impl Recent {
    /// Notes `event`.
    pub fn note(&mut self, event: Event) {
        if let Some(last) = self.events.back_mut()
            && last.message == event.message
        {
            last.at_ms = event.at_ms;
            last.items += event.items;
            last.times += 1;
            return;
        }
        if self.events.len() == KEPT {
            self.events.pop_front();
        }
        self.events.push_back(event);
    }

    /// The failures, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.events.iter().cloned().collect()
    }

    /// The last failure.
    #[must_use]
    pub fn last(&self) -> Option<&Event> {
        self.events.back()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_at_their_own_place() {
        for (i, why) in Rejected::ALL.iter().enumerate() {
            assert_eq!(*why as usize, i);
        }
        for (i, why) in Dropped::ALL.iter().enumerate() {
            assert_eq!(*why as usize, i);
        }
    }

    #[test]
    fn the_equation() {
        let mut ledger =
            Ledger { accepted: 10, adopted: 1, delivered: 4, superseded: 1, ..Ledger::default() };
        ledger.reject(Rejected::TooLarge, 2);
        ledger.drop_items(Dropped::QueueFull, 1);
        assert!(ledger.balances(3) && !ledger.balances(2));
        let later = Ledger { delivered: 7, ..ledger };
        assert_eq!(later.since(&ledger), Ledger { delivered: 3, ..Ledger::default() });
    }

    #[test]
    fn an_outage_is_one_entry() {
        let mut recent = Recent::default();
        let event = |message: &str, items| Event {
            at_ms: 1,
            url: "http://gw".into(),
            message: message.into(),
            items,
            times: 1,
        };
        for i in 0..20 {
            recent.note(event(&format!("status {i}"), 1));
        }
        assert_eq!(recent.events().len(), KEPT);
        let mut twice = Recent::default();
        twice.note(event("refused", 2));
        twice.note(event("refused", 3));
        assert_eq!(twice.last().unwrap().to_string(), "http://gw: refused (5 lost) (2 times)");
    }
}
