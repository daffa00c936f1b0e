//! What the worker sees of everything that waits: requests to take, and the word on what became of them.
//!
//! A source keeps what it handed out until the worker settles it, so at any instant it can say what is pending, and at
//! the end of the process everything that was not delivered is in one place.

use crate::clock::Mono;
use crate::ledger::{Balance, Dropped, Ledger, Rejected};
use crate::send::transport::Method;
use std::sync::Arc;

/// Headers of a request beside the endpoint's own; values may be secrets, so they are not printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl std::fmt::Debug for Headers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// An encoded request. Its bytes are made once: a retry sends the same bytes, because a receiver recognises a repeated
/// sample only by its being equal.
#[derive(Debug, Clone)]
pub struct Request {
    /// Names the request to its source; parts of a split request have numbers of their own.
    pub id: u64,
    /// The verb.
    pub method: Method,
    /// Path and query; the endpoint's own where there is none.
    pub path: Option<Arc<str>>,
    /// Content headers and those of the caller.
    pub headers: Arc<Headers>,
    /// The body as it goes over the wire.
    pub body: Arc<[u8]>,
    /// Samples or pushes in it.
    pub items: u64,
    /// The newest timestamp of its samples, in milliseconds since 1970; 0 where it has none.
    pub newest_ms: i64,
    /// When the first of its items was accepted.
    pub accepted: Mono,
    /// Attempts that failed so far.
    pub attempt: u32,
    /// Whether the receiver may have stored it in an attempt whose answer was lost.
    pub ambiguous: bool,
    /// Whether it is a part of a request that was split.
    pub part: bool,
}

/// What a source has for the worker.
#[derive(Debug)]
pub enum Take {
    /// Send this now.
    Request(Request),
    /// Nothing before this time, unless more arrives.
    NotBefore(Mono),
    /// Nothing at all.
    Nothing,
}

/// What a person should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// In words.
    pub message: String,
    /// Whether something went wrong; otherwise it is worth a line in the log alone.
    pub fault: bool,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Answered with 2xx.
    Delivered,
    /// Refused for good.
    Rejected(Rejected),
    /// Given up.
    Dropped(Dropped),
    /// Written to disk.
    Spooled,
    /// To be sent again, as it is or as the newer state that replaced it meanwhile.
    Again {
        /// The receiver may have stored it.
        ambiguous: bool,
    },
    /// To be sent again in two parts.
    Split,
}

/// Where the worker's requests come from: the queue of samples, the states of gateway groups, a spool.
pub trait Source: Send + Sync {
    /// The next request. Only the worker calls this, and it settles each request before it takes the next.
    /// What was accepted before position `flush_to` does not wait for more to come.
    fn take(&self, now: Mono, flush_to: u64) -> Take;

    /// Says what became of `request`. Returns the number of items that were settled by this for good; `None` if `request`
    /// could not be split, or is no longer held because the source was cleared meanwhile.
    fn settle(&self, request: &Request, outcome: Outcome) -> Option<u64>;

    /// Called after a panic between `take` and `settle`: what was in work is tried once more, then rejected. Returns the
    /// number of items rejected.
    fn recover(&self) -> u64;

    /// The position behind the last item accepted.
    fn position(&self) -> u64;

    /// Whether all that was accepted before `position` is settled.
    fn settled_to(&self, position: u64) -> bool;

    /// Gives up everything pending and accepts no more. Returns how many items that cost.
    fn clear(&self, why: Dropped) -> u64;

    /// Accepts no more.
    fn close(&self);

    /// The ledger alone, for the worker: it looks at each step, and what is pending takes a while to count.
    fn ledger(&self) -> Ledger;

    /// Ledger and pending, at one instant.
    fn balance(&self) -> Balance;

    /// When the oldest item pending was accepted.
    fn oldest(&self) -> Option<Mono>;

    /// Called by the worker before it waits out a back-off: moves to disk what would not fit soon. Returns when it wants to
    /// be called again.
    fn make_room(&self, _now: Mono) -> Option<Mono> {
        None
    }

    /// Whether [`Source::make_room`] has something to do now.
    fn wants_room(&self) -> bool {
        false
    }

    /// Takes what a person should know that has come up since the last call.
    fn notices(&self) -> Vec<Notice> {
        Vec::new()
    }

    /// Called by the worker now and then when it has nothing else to do, to let go of what is no longer used.
    fn tidy(&self, now: Mono);
}
