//! What a receiver shall do: scripts of behaviours, and the rules it holds against every request.
//!
//! Every type here is also the JSON of the control protocol; a field that is left out has its default.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// Behaviours used once each, in order, a request each; after the last one the default serves for ever.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Script {
    /// One for each request to come.
    pub steps: Vec<Behaviour>,
    /// What happens when the steps are used up: by default, to answer as a healthy receiver does.
    pub default: Behaviour,
}

impl Script {
    /// The same for every request.
    pub fn always(default: Behaviour) -> Self {
        Script { steps: Vec::new(), default }
    }

    /// These first, then a healthy receiver.
    pub fn first(steps: impl IntoIterator<Item = Behaviour>) -> Self {
        Script { steps: steps.into_iter().collect(), default: Behaviour::ok() }
    }

    /// What follows the steps.
    pub fn then(mut self, default: Behaviour) -> Self {
        self.default = default;
        self
    }
}

/// What happens to one request. The parts combine: slow reading, a delay, a status and a cut may come together.
///
/// In time order: `fault` at the phases up to the body, `drip_read`, `early`, `store`, `hold`, `delay_ms`, `fault`
/// at [`Phase::AfterBody`], `interim`, then the answer with `drip_head`, `drip_body` and a `fault` at
/// [`Phase::MidResponse`], then `close`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Behaviour {
    /// Status to answer. `None`: what a real receiver answers (204 to a write, 200 to a PUT or POST of a push, 202
    /// to a DELETE), or what the upstream answers. A status outside 200..=299 stores nothing.
    pub status: Option<u16>,
    /// Headers of the answer, beside those that frame it.
    pub headers: Vec<(String, String)>,
    /// Body of the answer.
    pub body: Payload,
    /// How the length of the body is told.
    pub framing: Framing,
    /// Version in the status line, `HTTP/1.1` by default.
    pub version: Option<String>,
    /// One more header whose value has this many bytes.
    pub padding_header: usize,
    /// How many `102 Processing` come before the answer; [`ENDLESS`] for no end.
    pub interim: u64,
    /// These bytes instead of an answer, followed by a close.
    pub raw: Option<Vec<u8>>,
    /// Answer after the head of the request, its body unread.
    pub early: Option<Early>,
    /// Store the request as soon as it is complete, before anything that may go wrong.
    pub store: bool,
    /// Wait for [`crate::Receiver::release`] before answering.
    pub hold: bool,
    /// Wait this many milliseconds before answering.
    pub delay_ms: u64,
    /// Read the request (from its second byte on) at this pace.
    pub drip_read: Option<Drip>,
    /// Write status line and headers at this pace.
    pub drip_head: Option<Drip>,
    /// Write the body at this pace.
    pub drip_body: Option<Drip>,
    /// Break off at some point.
    pub fault: Option<Fault>,
    /// Close the connection after the answer without having announced it.
    pub close: bool,
}

/// For [`Behaviour::interim`]: without end.
pub const ENDLESS: u64 = u64::MAX;

/// The body of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Payload {
    /// This text.
    Text(String),
    /// A text over and over.
    Repeat {
        /// What is repeated.
        repeat: String,
        /// Size of the whole; `None`: without end (with [`Framing::Chunked`] or one that needs no length).
        bytes: Option<u64>,
    },
}

impl Default for Payload {
    fn default() -> Self {
        Payload::Text(String::new())
    }
}

/// How a client learns where the body ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// `Content-Length`.
    #[default]
    Length,
    /// `Transfer-Encoding: chunked`.
    Chunked,
    /// Neither, and the connection is closed at the end.
    UntilClose,
    /// Neither, and the connection stays open and silent.
    Missing,
}

/// An answer that does not wait for the body of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Early {
    /// Close at once. A client that is still writing meets a reset, which may destroy the answer before it is read.
    Close,
    /// Close the own half, then read and forget what still comes: the answer stays readable.
    HalfClose,
}

/// So many bytes, then a pause, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Drip {
    /// Bytes at a time, at least 1.
    pub bytes: usize,
    /// Milliseconds between two of them.
    pub every_ms: u64,
}

impl Drip {
    /// One byte per interval.
    pub fn byte_every(interval: Duration) -> Self {
        Drip { bytes: 1, every_ms: millis(interval) }
    }
}

/// The connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// When.
    pub at: Phase,
    /// How.
    pub how: Cut,
    /// For the `Mid…` phases: after how many bytes of that part; half of it by default.
    #[serde(default)]
    pub after_bytes: Option<u64>,
}

/// A moment in the life of a request, as the receiver sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The connection stands, nothing was read (with TLS: before the handshake). When such a step comes first for a
    /// request on an open connection, the connection breaks at the first byte.
    AfterAccept,
    /// One byte of the request was read.
    FirstByte,
    /// Within the head.
    MidHeaders,
    /// The head was read, no byte of the body.
    AfterHeaders,
    /// Within the body; a request without one breaks at its end.
    MidBody,
    /// The whole request was read, nothing was answered.
    AfterBody,
    /// Within the answer.
    MidResponse,
}

/// How a connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cut {
    /// RST (`SO_LINGER` 0).
    Reset,
    /// FIN, and the connection is forgotten. If bytes are unread, the system adds an RST.
    Close,
    /// FIN, and what the client still sends is read and forgotten until it closes.
    HalfClose,
    /// Nothing more is read or written; the connection stays until the receiver goes down or stops.
    Stall,
}

impl Behaviour {
    /// A healthy receiver.
    pub fn ok() -> Self {
        Behaviour::default()
    }

    /// That status, without a body.
    pub fn status(status: u16) -> Self {
        Behaviour { status: Some(status), ..Behaviour::default() }
    }

    /// A redirect to `location`.
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Behaviour::status(status).header("Location", location)
    }

    /// Breaks at that phase.
    pub fn cut(at: Phase, how: Cut) -> Self {
        Behaviour { fault: Some(Fault { at, how, after_bytes: None }), ..Behaviour::default() }
    }

    /// RST at that phase.
    pub fn reset(at: Phase) -> Self {
        Behaviour::cut(at, Cut::Reset)
    }

    /// Reads the request, never answers.
    pub fn stall() -> Self {
        Behaviour::cut(Phase::AfterBody, Cut::Stall)
    }

    /// Stores the request, then breaks without an answer: the client cannot know.
    pub fn swallow_ack(how: Cut) -> Self {
        Behaviour { store: true, ..Behaviour::cut(Phase::AfterBody, how) }
    }

    /// Closes after `bytes` bytes of the answer.
    pub fn truncate_at(bytes: u64) -> Self {
        let fault = Fault { at: Phase::MidResponse, how: Cut::Close, after_bytes: Some(bytes) };
        Behaviour { fault: Some(fault), ..Behaviour::default() }
    }

    /// These bytes instead of an answer.
    pub fn garbage(bytes: impl Into<Vec<u8>>) -> Self {
        Behaviour { raw: Some(bytes.into()), ..Behaviour::default() }
    }

    /// Waits for the release, then goes on as a healthy receiver.
    pub fn held() -> Self {
        Behaviour { hold: true, ..Behaviour::default() }
    }

    /// With one more header.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// With `Retry-After` in seconds.
    pub fn retry_after_seconds(self, seconds: i64) -> Self {
        self.header("Retry-After", seconds.to_string())
    }

    /// With `Retry-After` as a date (whole seconds, cut off).
    pub fn retry_after_date(self, when: SystemTime) -> Self {
        self.header("Retry-After", httpdate::fmt_http_date(when))
    }

    /// With that text as the body.
    pub fn body(mut self, text: impl Into<String>) -> Self {
        self.body = Payload::Text(text.into());
        self
    }

    /// With that much of a body (`None`: without end).
    pub fn big_body(mut self, bytes: Option<u64>, framing: Framing) -> Self {
        self.body = Payload::Repeat { repeat: "x".into(), bytes };
        self.framing = framing;
        self
    }

    /// Waits that long before answering.
    pub fn delay(mut self, time: Duration) -> Self {
        self.delay_ms = millis(time);
        self
    }

    /// Answers before the body is read.
    pub fn early(mut self, early: Early) -> Self {
        self.early = Some(early);
        self
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What holds for every request, before its behaviour has a say. A request that a rule refuses still uses up its
/// step.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// Credentials to demand, 401 without them.
    pub auth: Option<Auth>,
    /// 413 when `Content-Length` is larger; the body is then read and forgotten.
    pub body_limit: Option<u64>,
    /// After so many requests the connection dies at the first byte of the next one: a stale keep-alive connection.
    /// The request that meets it uses up no step.
    pub stale_after: Option<u64>,
    /// What is refused with 400.
    pub strictness: Strictness,
    /// Anything in a write request that makes the whole request a 400.
    pub poison: Vec<Poison>,
    /// As a receiver of 1.0 that does not look at the content type: 204 to a 2.0 request, nothing stored.
    pub v1_only: bool,
    /// Oldest and newest timestamp in milliseconds that [`Strictness::Prometheus`] takes.
    pub time_bounds: Option<(i64, i64)>,
}

/// How much a receiver puts up with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// Everything; what can be decoded is stored and its order judged, nothing is refused.
    #[default]
    AcceptAll,
    /// As Prometheus and the Pushgateway do, see [`crate::Store`].
    Prometheus,
}

/// Credentials a request must carry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// `Authorization: Basic …`.
    Basic {
        /// User name.
        user: String,
        /// Password.
        password: String,
    },
    /// `Authorization: Bearer …`.
    Bearer {
        /// The token.
        token: String,
    },
    /// Any header with exactly that value.
    Header {
        /// Header name, in any case.
        name: String,
        /// Header value.
        value: String,
    },
}

/// What makes a write request inedible.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Poison {
    /// A label, whatever its name, with this value.
    LabelValue(String),
    /// A sample whose value has these bits.
    ValueBits(u64),
}
