//! The life of a connection: read a request, break where the behaviour says, record, judge, answer.

use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::ServerConfig;

use crate::decode::{Decoded, decode};
use crate::http::{BodyLength, Head};
use crate::proxy;
use crate::read::{Broken, Reading};
use crate::reply::{self, Answer};
use crate::script::{Auth, Behaviour, Cut, Early, Framing, Payload, Phase, Rules};
use crate::state::{Recorded, Shared};
use crate::store::Outcome;
use crate::wire::{Gone, Unwritten, Wire};

/// What does not change during the life of a receiver.
#[derive(Debug)]
pub(crate) struct Setup {
    pub tls: Option<Arc<ServerConfig>>,
    pub stall_handshake: bool,
    pub upstream: Option<SocketAddr>,
}

/// Serves one connection to its end.
pub(crate) fn connection(shared: &Arc<Shared>, setup: &Setup, id: u64, tcp: Arc<TcpStream>) {
    let wire = Wire::plain(shared.clone(), id, tcp);
    let at_accept = shared.update(|state| state.control.next_at_accept());
    if let Some(fault) = at_accept.and_then(|b| b.fault) {
        return wire.cut(fault.how);
    }
    if setup.stall_handshake {
        return wire.cut(Cut::Stall);
    }
    let wire = match &setup.tls {
        None => wire,
        Some(config) => match wire.secure(config.clone()) {
            Ok(wire) => wire,
            Err(reason) => return shared.update(|state| state.handshake_errors.push(reason)),
        },
    };
    let mut next = Some(wire);
    let mut index = 0;
    while let Some(wire) = next {
        next = Exchange { shared, setup, wire, id, index }.run();
        index += 1;
    }
}

/// One request and its answer.
struct Exchange<'a> {
    shared: &'a Shared,
    setup: &'a Setup,
    wire: Wire,
    id: u64,
    index: u64,
}

impl Exchange<'_> {
    /// The connection, if it may serve another request.
    fn run(mut self) -> Option<Wire> {
        if self.wire.buffered().is_empty() {
            self.wire.fill(1).ok()?;
        }
        let arrived = Instant::now();
        let (behaviour, rules, stale) = self.shared.update(|state| {
            state.begun += 1;
            let rules = state.control.rules.clone();
            let stale = rules.stale_after.is_some_and(|n| self.index >= n);
            let behaviour = if stale { Behaviour::ok() } else { state.control.next_behaviour() };
            (behaviour, rules, stale)
        });
        if stale {
            self.wire.cut(Cut::Close);
            return None;
        }
        let mut seq = None;
        match self.exchange(&behaviour, &rules, arrived, &mut seq) {
            Ok(true) => Some(self.wire),
            Ok(false) => None,
            Err(Broken::Cut(how)) => {
                self.wire.cut(how);
                None
            }
            Err(Broken::Gone(Gone::Over)) => None,
            Err(Broken::Gone(Gone::Malformed(reason))) => {
                let answer = own(400, reason.clone());
                self.shared.update(|state| state.malformed.push(reason));
                let sent = reply::write(&mut self.wire, self.shared, &answer, &Behaviour::ok(), true).is_ok();
                if let Some(seq) = seq.filter(|_| sent) {
                    self.shared.amend(seq, |r| r.answered = Some(400));
                }
                self.wire.half_close();
                None
            }
        }
    }

    /// Whether the connection may go on.
    fn exchange(
        &mut self,
        behaviour: &Behaviour,
        rules: &Rules,
        arrived: Instant,
        seq_out: &mut Option<u64>,
    ) -> Result<bool, Broken> {
        let fault = behaviour.fault;
        if let Some(fault) = fault.filter(|f| f.at <= Phase::FirstByte) {
            return Err(Broken::Cut(fault.how));
        }
        let head = self.reading(behaviour).head()?;
        let seq = self.record(&head, arrived);
        *seq_out = Some(seq);
        if let Some(fault) = fault.filter(|f| f.at == Phase::AfterHeaders) {
            return Err(Broken::Cut(fault.how));
        }
        let too_large =
            matches!((head.length, rules.body_limit), (BodyLength::Known(n), Some(limit)) if n > limit);
        if too_large || behaviour.early.is_some() {
            let answer = match too_large {
                true => own(413, "request body above the limit"),
                false => answer_of(behaviour, behaviour.status.unwrap_or(200)),
            };
            self.answer(seq, &answer, behaviour, true)?;
            if behaviour.early != Some(Early::Close) || too_large {
                self.wire.half_close();
            }
            return Ok(false);
        }
        if head.header("expect").is_some_and(|e| e.eq_ignore_ascii_case("100-continue")) {
            self.wire.write(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let mut body = Vec::new();
        let read = self.reading(behaviour).body(&head, &mut body);
        self.shared.amend(seq, |r| r.body.clone_from(&body));
        read?;
        let decoded = decode(&head, &body);
        self.shared.amend(seq, |r| {
            r.complete = true;
            r.decoded = decoded.clone();
        });
        let request = Request { head: &head, body: &body, decoded: &decoded, seq };
        // Decided before anything that may go wrong when the behaviour says so, and once in any case.
        let early_answer = behaviour.store.then(|| self.decide(&request, behaviour, rules));
        if behaviour.hold {
            self.shared.hold()?;
        }
        if behaviour.delay_ms > 0 {
            self.shared.pause(Duration::from_millis(behaviour.delay_ms))?;
        }
        if let Some(fault) = fault.filter(|f| f.at == Phase::AfterBody) {
            return Err(Broken::Cut(fault.how));
        }
        if let Some(raw) = &behaviour.raw {
            self.wire.write(raw)?;
            return Err(Broken::Cut(Cut::Close));
        }
        let answer = early_answer.unwrap_or_else(|| self.decide(&request, behaviour, rules));
        let until_close = behaviour.framing == Framing::UntilClose;
        let goes_on = head.keep_alive() && !until_close && behaviour.version.as_deref() != Some("HTTP/1.0");
        self.answer(seq, &answer, behaviour, !goes_on && behaviour.version.is_none())?;
        if behaviour.framing == Framing::Missing {
            self.wire.drain();
        }
        Ok(goes_on && !behaviour.close && behaviour.framing != Framing::Missing)
    }

    fn reading<'b>(&'b mut self, behaviour: &'b Behaviour) -> Reading<'b> {
        Reading { wire: &mut self.wire, shared: self.shared, behaviour }
    }

    fn record(&self, head: &Head, arrived: Instant) -> u64 {
        let (arrived_us, arrived_unix_ms) = self.shared.stamps(arrived);
        self.shared.update(|state| {
            let seq = state.control.next_seq;
            state.control.next_seq += 1;
            state.requests.push(Recorded {
                seq,
                connection: self.id,
                index_on_connection: self.index,
                arrived,
                arrived_us,
                arrived_unix_ms,
                method: head.method.clone(),
                target: head.target.clone(),
                path: head.path.clone(),
                query: head.query.clone(),
                headers: head.headers.clone(),
                body: Vec::new(),
                complete: false,
                decoded: Decoded::Other,
                stored: false,
                answered: None,
            });
            seq
        })
    }

    fn decide(&self, request: &Request, behaviour: &Behaviour, rules: &Rules) -> Answer {
        if let Some(auth) = rules.auth.as_ref().filter(|a| !authorised(a, request.head)) {
            let challenge = match auth {
                Auth::Basic { .. } => "Basic realm=\"promwrite\"",
                Auth::Bearer { .. } | Auth::Header { .. } => "Bearer",
            };
            let headers = vec![("WWW-Authenticate".into(), challenge.into())];
            return Answer::Own { status: 401, headers, body: Payload::Text("wrong credentials".into()) };
        }
        if let Some(status) = behaviour.status.filter(|s| !(200..300).contains(s)) {
            return answer_of(behaviour, status);
        }
        if let (Some(upstream), None) = (self.setup.upstream, behaviour.status) {
            let answer = proxy::forward(upstream, request.head, request.body);
            if (200..300).contains(&answer.status()) {
                self.shared.update(|state| state.store.apply(request.decoded, &Rules::default()));
                self.shared.amend(request.seq, |r| r.stored = true);
            }
            return answer;
        }
        let outcome = self.shared.update(|state| state.store.apply(request.decoded, rules));
        self.shared.amend(request.seq, |r| r.stored = outcome.stored);
        let Outcome { refusal, written, .. } = outcome;
        let mut answer = match refusal {
            Some((status, text)) => own(status, text),
            None => answer_of(behaviour, behaviour.status.unwrap_or(usual_status(request))),
        };
        if let (Some(written), Answer::Own { headers, .. }) = (written, &mut answer) {
            headers.push(("X-Prometheus-Remote-Write-Samples-Written".into(), written.to_string()));
        }
        answer
    }

    /// Writes the answer; what the behaviour breaks off is an error.
    fn answer(
        &mut self,
        seq: u64,
        answer: &Answer,
        behaviour: &Behaviour,
        close: bool,
    ) -> Result<(), Broken> {
        match reply::write(&mut self.wire, self.shared, answer, behaviour, close) {
            Ok(()) => {
                self.shared.amend(seq, |r| r.answered = Some(answer.status()));
                Ok(())
            }
            Err(Unwritten::Gone) => Err(Broken::Gone(Gone::Over)),
            Err(Unwritten::Limit) => Err(Broken::Cut(behaviour.fault.map_or(Cut::Close, |f| f.how))),
        }
    }
}

/// A request that came whole.
struct Request<'a> {
    head: &'a Head,
    body: &'a [u8],
    decoded: &'a Decoded,
    seq: u64,
}

/// What a real receiver answers when all is well.
fn usual_status(request: &Request) -> u16 {
    match request.decoded {
        Decoded::Push { verb, .. } if verb == "DELETE" => 202,
        Decoded::WriteV1 { .. } | Decoded::WriteV2 { .. } => 204,
        _ => 200,
    }
}

fn answer_of(behaviour: &Behaviour, status: u16) -> Answer {
    Answer::Own { status, headers: behaviour.headers.clone(), body: behaviour.body.clone() }
}

fn own(status: u16, text: impl Into<String>) -> Answer {
    Answer::Own { status, headers: Vec::new(), body: Payload::Text(text.into()) }
}

fn authorised(auth: &Auth, head: &Head) -> bool {
    let (name, expected) = match auth {
        Auth::Basic { user, password } => {
            ("authorization", format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
        }
        Auth::Bearer { token } => ("authorization", format!("Bearer {token}")),
        Auth::Header { name, value } => (name.as_str(), value.clone()),
    };
    head.header(name) == Some(expected.as_str())
}
