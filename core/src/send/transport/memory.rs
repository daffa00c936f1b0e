//! A transport in memory: scripted answers and recorded requests, for tests of what stands above the transport.

use super::{Failure, HttpRequest, Method, Response, Transport};
use crate::error::SendErrorKind;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A request as it was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path_and_query: String,
    /// The headers of the request; an endpoint's own are not among them.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The attempt, from 0.
    pub attempt: u32,
    /// The deadline the caller gave.
    pub timeout: Duration,
}

type Answer = Box<dyn FnMut(&Recorded) -> std::result::Result<Response, Failure> + Send>;

/// What becomes of one request.
pub enum Reply {
    /// Answered.
    Response(Response),
    /// Failed.
    Failure(Failure),
    /// Decided by looking at the request, on the sending thread, with no lock held.
    Call(Answer),
    /// No answer: fails as [`SendErrorKind::Timeout`] once the caller's timeout has passed by the real clock, or as
    /// [`SendErrorKind::Cancelled`] at once when the transport is cancelled; ambiguous both times.
    Hang,
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reply::Response(response) => f.debug_tuple("Response").field(response).finish(),
            Reply::Failure(failure) => f.debug_tuple("Failure").field(failure).finish(),
            Reply::Call(_) => f.write_str("Call"),
            Reply::Hang => f.write_str("Hang"),
        }
    }
}

/// Answers from a queue of [`Reply`]s, and with 204 where the queue is empty; records every request.
#[derive(Debug, Default)]
pub struct MemoryTransport {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    requests: Vec<Recorded>,
    cancels: u64,
    refreshes: u64,
}

impl MemoryTransport {
    /// A transport that answers 204 to everything until told otherwise.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a reply to the end of the queue.
    pub fn push(&self, reply: Reply) {
        self.state().replies.push_back(reply);
    }

    /// Adds an answer of this status, without headers and body.
    pub fn answer(&self, status: u16) {
        self.push(Reply::Response(Response::new(status)));
    }

    /// Adds a failure.
    pub fn fail(&self, failure: Failure) {
        self.push(Reply::Failure(failure));
    }

    /// Adds a reply that is decided when the request comes.
    pub fn call(
        &self,
        answer: impl FnMut(&Recorded) -> std::result::Result<Response, Failure> + Send + 'static,
    ) {
        self.push(Reply::Call(Box::new(answer)));
    }

    /// Forgets the replies that were not used: from now on everything is answered 204.
    pub fn clear_replies(&self) {
        self.state().replies.clear();
    }

    /// Every request so far, oldest first; one that hangs is among them.
    #[must_use]
    pub fn requests(&self) -> Vec<Recorded> {
        self.state().requests.clone()
    }

    /// Waits until `count` requests have begun; false when `timeout` passed first.
    #[must_use]
    pub fn wait_for_requests(&self, count: usize, timeout: Duration) -> bool {
        let waiting =
            self.changed.wait_timeout_while(self.state(), timeout, |state| state.requests.len() < count);
        !waiting.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// Replies not used yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.state().replies.len()
    }

    /// How often [`Transport::cancel`] was called.
    #[must_use]
    pub fn cancels(&self) -> u64 {
        self.state().cancels
    }

    /// How often [`Transport::refresh_credentials`] was called.
    #[must_use]
    pub fn refreshes(&self) -> u64 {
        self.state().refreshes
    }
}

impl Transport for MemoryTransport {
    fn send(&self, request: &HttpRequest<'_>, timeout: Duration) -> std::result::Result<Response, Failure> {
        let recorded = Recorded {
            method: request.method,
            path_and_query: request.path_and_query.to_owned(),
            headers: request.headers.to_vec(),
            body: request.body.to_vec(),
            attempt: request.attempt,
            timeout,
        };
        let mut state = self.state();
        state.requests.push(recorded.clone());
        let reply = state.replies.pop_front();
        self.changed.notify_all();
        match reply {
            None => Ok(Response::new(204)),
            Some(Reply::Response(response)) => Ok(response),
            Some(Reply::Failure(failure)) => Err(failure),
            Some(Reply::Call(mut answer)) => {
                drop(state);
                answer(&recorded)
            }
            Some(Reply::Hang) => {
                let cancels = state.cancels;
                let waited =
                    self.changed.wait_timeout_while(state, timeout, |state| state.cancels == cancels);
                let failure = match waited.unwrap_or_else(PoisonError::into_inner).1.timed_out() {
                    true => Failure::new(SendErrorKind::Timeout, "no answer in time"),
                    false => Failure::new(SendErrorKind::Cancelled, "cancelled"),
                };
                Err(Failure { ambiguous: true, ..failure })
            }
        }
    }

    fn cancel(&self) {
        self.state().cancels += 1;
        self.changed.notify_all();
    }

    fn refresh_credentials(&self) {
        self.state().refreshes += 1;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const REQUEST: HttpRequest<'_> =
        HttpRequest { method: Method::Post, path_and_query: "/x", headers: &[], body: b"b", attempt: 2 };

    #[test]
    fn replies_come_in_order_and_requests_are_recorded() {
        let memory = MemoryTransport::new();
        memory.answer(503);
        memory.fail(Failure::new(SendErrorKind::Connect, "refused"));
        memory.call(|request| Ok(Response { body: request.body.clone(), ..Response::new(200) }));
        let second = Duration::from_secs(1);
        assert_eq!(memory.send(&REQUEST, second).unwrap().status, 503);
        assert_eq!(memory.send(&REQUEST, second).unwrap_err().message, "refused");
        assert_eq!(memory.send(&REQUEST, second).unwrap().body, b"b");
        assert_eq!(memory.send(&REQUEST, second).unwrap().status, 204);
        let requests = memory.requests();
        assert_eq!(requests.len(), 4);
        assert_eq!((requests[0].method, requests[0].attempt), (Method::Post, 2));
        assert_eq!(requests[0].path_and_query, "/x");
    }

    #[test]
    fn a_hanging_request_ends_by_cancel_or_timeout() {
        let memory = MemoryTransport::new();
        memory.push(Reply::Hang);
        memory.push(Reply::Hang);
        let failure = memory.send(&REQUEST, Duration::from_millis(1)).unwrap_err();
        assert_eq!((failure.kind, failure.ambiguous), (SendErrorKind::Timeout, true));
        std::thread::scope(|scope| {
            let sent = scope.spawn(|| memory.send(&REQUEST, Duration::from_secs(60)));
            assert!(memory.wait_for_requests(2, Duration::from_secs(10)));
            memory.cancel();
            assert_eq!(sent.join().unwrap().unwrap_err().kind, SendErrorKind::Cancelled);
        });
    }
}
