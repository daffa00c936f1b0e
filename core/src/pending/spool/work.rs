//! The records in work: requests made of what lies on disk, and the ledger of what became of them.

use super::From;
use super::record::Record;
use crate::clock::Mono;
use crate::ledger::{Dropped, Ledger};
use crate::pending::source::{Headers, Outcome, Request};
use crate::send::transport::Method;
use crate::wire::v1::Part;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Numbers of requests that come from the spool have this bit, those of the queue have not.
const FROM_SPOOL: u64 = 1 << 63;

/// Whether the request with this number comes from the spool.
pub fn is_from_spool(id: u64) -> bool {
    id & FROM_SPOOL != 0
}

/// A record that is being sent, in as many parts as it was split into.
struct Work {
    seq: u64,
    parts: VecDeque<Request>,
}

/// What callers may ask for at any time, under a lock that is never held across I/O.
#[derive(Default)]
pub struct Counts {
    /// Of the spool alone.
    pub ledger: Ledger,
    /// See [`super::Spool::own_from`]; none once the spool was given up, because nobody of this process sends it then.
    pub own_from: Option<u64>,
    /// What a drain that has ended left: counted as adopted, and pending.
    pub left: u64,
    own: Option<Work>,
    other: Option<Work>,
    next_id: u64,
    panics: u32,
}

impl Counts {
    fn work(&mut self, from: From) -> &mut Option<Work> {
        match from {
            From::Own => &mut self.own,
            From::Other => &mut self.other,
        }
    }

    /// The next part of the record in work.
    pub fn next(&mut self, from: From) -> Option<Request> {
        self.work(from).as_ref()?.parts.front().cloned()
    }

    /// Takes a record into work.
    pub fn begin(
        &mut self,
        from: From,
        (record, body): (Record, Vec<u8>),
        headers: Arc<Headers>,
        (now, wall_ms): (Mono, i64),
    ) -> Request {
        let waited = u64::try_from(wall_ms.saturating_sub(record.meta.created_ms)).unwrap_or(0);
        let request = Request {
            id: self.number(),
            method: Method::Post,
            path: None,
            headers,
            body: body.into(),
            items: u64::from(record.meta.items),
            newest_ms: record.meta.newest_ms,
            accepted: now.saturating_sub(Duration::from_millis(waited)),
            attempt: 0,
            ambiguous: record.meta.ambiguous,
            part: false,
        };
        *self.work(from) = Some(Work { seq: record.seq, parts: [request.clone()].into() });
        request
    }

    /// Forgets what is in work: the records are still on disk.
    pub fn give_back(&mut self) {
        (self.own, self.other, self.own_from) = (None, None, None);
    }

    /// Settles the part with this number, which is split into `parts` if these are given. Returns the items settled for
    /// good, and the record that is settled by this as a whole.
    pub fn settle(
        &mut self,
        id: u64,
        outcome: Outcome,
        parts: Option<(Part, Part)>,
    ) -> Option<(u64, Option<(From, u64)>)> {
        let from = self.find(id)?;
        self.panics = 0;
        let numbers = [self.number(), self.number()];
        let work = self.work(from).as_mut()?;
        if let Outcome::Again { ambiguous } = outcome {
            let first = work.parts.front_mut()?;
            first.attempt += 1;
            first.ambiguous |= ambiguous;
            return Some((0, None));
        }
        let whole = work.parts.pop_front()?;
        if let Some((older, newer)) = parts {
            for (part, id) in [newer, older].into_iter().zip(numbers) {
                work.parts.push_front(Request {
                    id,
                    body: part.body.into(),
                    items: part.samples as u64,
                    attempt: 0,
                    part: true,
                    ..whole.clone()
                });
            }
            return Some((0, None));
        }
        let done = work.parts.is_empty().then_some((from, work.seq));
        if done.is_some() {
            *self.work(from) = None;
        }
        let ledger = &mut self.ledger;
        ledger.adopted += whole.items;
        match outcome {
            Outcome::Delivered => ledger.delivered += whole.items,
            Outcome::Rejected(why) => ledger.reject(why, whole.items),
            Outcome::Dropped(why) => ledger.drop_items(why, whole.items),
            // the first says where it is already, the others have returned above
            Outcome::Spooled | Outcome::Again { .. } | Outcome::Split => ledger.spooled += whole.items,
        }
        Some((whole.items, done))
    }

    /// Gives up what is left of the record in work.
    pub fn give_up(&mut self, from: From, why: Dropped) -> Option<u64> {
        let work = self.work(from).take()?;
        let items = work.parts.iter().map(|part| part.items).sum();
        self.ledger.adopted += items;
        self.ledger.drop_items(why, items);
        Some(work.seq)
    }

    /// Counts a panic while the part with this number was in work; true for the second in a row. None if it is not.
    pub fn panicked(&mut self, id: u64) -> Option<bool> {
        self.find(id)?;
        self.panics += 1;
        Some(self.panics > 1)
    }

    /// Whose record the next part with this number belongs to.
    fn find(&mut self, id: u64) -> Option<From> {
        [From::Own, From::Other].into_iter().find(|from| {
            let first = self.work(*from).as_ref().and_then(|work| work.parts.front());
            first.is_some_and(|first| first.id == id)
        })
    }

    /// The number of a new request.
    fn number(&mut self) -> u64 {
        self.next_id += 1;
        FROM_SPOOL | self.next_id
    }
}
