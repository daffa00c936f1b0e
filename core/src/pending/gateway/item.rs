//! A push that waits, a group of them, and what several POSTs are as one.

use super::Push;
use crate::clock::Mono;
use crate::input::exposition;
use crate::send::transport::Method;
use std::collections::VecDeque;
use std::sync::Arc;

/// What a push takes beside its body and path.
const OVERHEAD: u64 = 256;

impl Push {
    pub(super) fn bytes(&self) -> u64 {
        (self.body.len() + self.path.len()) as u64 + OVERHEAD
    }

    /// Whether its body is a text page as it is.
    fn is_plain_text(&self) -> bool {
        let encoded = self.headers.0.iter().any(|(n, _)| n.eq_ignore_ascii_case("content-encoding"));
        let kind = self.headers.0.iter().find(|(n, _)| n.eq_ignore_ascii_case("content-type"));
        !encoded && kind.is_none_or(|(_, v)| v.starts_with("text/plain"))
    }
}

/// A push as it waits.
pub struct Item {
    pub push: Push,
    /// Position among all pushes accepted.
    pub seq: u64,
    pub accepted: Mono,
    pub attempt: u32,
    pub ambiguous: bool,
    /// The pushes that `push` was merged from; each counts for itself if the merged one is refused.
    pub merged: Vec<Item>,
    /// `push` is only the first of `merged` as yet.
    pub unmerged: bool,
    /// Came back from a merged push that was refused.
    pub part: bool,
}

impl Item {
    /// How many pushes of callers it is.
    pub fn pushes(&self) -> u64 {
        self.merged.len().max(1) as u64
    }

    /// What it takes in memory.
    pub fn bytes(&self) -> u64 {
        self.push.bytes() + self.merged.iter().map(Item::bytes).sum::<u64>()
    }

    /// The number of the oldest of them.
    pub fn first_seq(&self) -> u64 {
        self.merged.first().map_or(self.seq, |first| first.seq)
    }

    /// Whether `newer` and this may be POSTed as one.
    pub fn may_merge(&self, newer: &Item) -> bool {
        [self, newer].iter().all(|i| i.push.method == Method::Post && !i.part && i.push.is_plain_text())
            && self.push.headers == newer.push.headers
    }

    /// The push of `parts`, of which there is at least one; still to be merged where there are more.
    pub fn of(mut parts: Vec<Item>) -> Item {
        let last = parts.remove(parts.len() - 1);
        let Some(first) = parts.first() else { return last };
        let (push, accepted, seq) = (first.push.clone(), first.accepted, last.seq);
        parts.push(last);
        Item { push, seq, accepted, attempt: 0, ambiguous: false, merged: parts, unmerged: true, part: false }
    }
}

/// A group: what was handed out, or is to be sent again, and what follows it, in order: at most one PUT or DELETE, and it
/// comes first.
#[derive(Default)]
pub struct Group {
    pub sending: Option<(u64, Item)>,
    pub next: VecDeque<Item>,
    /// Whether the group stands in `ready`.
    pub listed: bool,
    /// What stands in [`State::oldest`](super::state::State::oldest) and [`State::droppable`](super::state::State::droppable) for it.
    pub indexed: [Option<u64>; 2],
}

impl Group {
    /// The pushes that [`State::oldest`](super::state::State::oldest) and [`State::droppable`](super::state::State::droppable) list.
    pub fn firsts(&self) -> [Option<u64>; 2] {
        let next = self.next.front();
        let sending = self.sending.as_ref().map(|(_, item)| item.first_seq());
        [sending.or(next.map(Item::first_seq)), next.map(|item| item.seq)]
    }
}

/// The body with the effect of `bodies`, one POSTed after the other, and how many of them it covers: as many as it can
/// be known for.
pub fn merge(bodies: &[Arc<[u8]>]) -> (Vec<u8>, usize) {
    let mut merged = bodies[0].to_vec();
    for (covered, body) in bodies.iter().enumerate().skip(1) {
        match exposition::merge(&merged, body) {
            Some(both) => merged = both,
            None => return (merged, covered),
        }
    }
    (merged, bodies.len())
}
