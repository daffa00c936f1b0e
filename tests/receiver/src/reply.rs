//! Writing an answer, whole or otherwise.

use crate::http::reason;
use crate::script::{Behaviour, Framing, Payload, Phase};
use crate::state::Shared;
use crate::wire::{Paced, Unwritten, Wire};

/// An answer before it is written.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Made here.
    Own { status: u16, headers: Vec<(String, String)>, body: Payload },
    /// The bytes of the upstream's answer.
    Upstream { status: u16, bytes: Vec<u8> },
}

impl Answer {
    pub fn status(&self) -> u16 {
        match self {
            Answer::Own { status, .. } | Answer::Upstream { status, .. } => *status,
        }
    }
}

/// Repeated text is written in pieces of at least this size, because a gigabyte must not take a minute.
const PIECE: usize = 64 << 10;

/// Writes the answer as the behaviour wants it.
pub(crate) fn write(
    wire: &mut Wire,
    shared: &Shared,
    answer: &Answer,
    behaviour: &Behaviour,
    announce_close: bool,
) -> Result<(), Unwritten> {
    let mut out = Paced { wire, shared, drip: None, left: None };
    let mut interim = 0;
    while interim < behaviour.interim {
        out.write(b"HTTP/1.1 102 Processing\r\n\r\n")?;
        interim += 1;
    }
    let (head, body, chunked) = match answer {
        Answer::Own { status, headers, body } => {
            let head = head(*status, headers, body, behaviour, announce_close);
            let empty = matches!(status, 204 | 304);
            (head, if empty { None } else { Some(Pieces::of(body)) }, behaviour.framing == Framing::Chunked)
        }
        Answer::Upstream { bytes, .. } => {
            let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
            let body = Pieces { piece: bytes[end..].to_vec(), left: Some((bytes.len() - end) as u64) };
            (bytes[..end].to_vec(), Some(body), false)
        }
    };
    if let Some(fault) = behaviour.fault.filter(|f| f.at == Phase::MidResponse) {
        let body_length = body.as_ref().and_then(|b| b.left).unwrap_or(0);
        let after = fault.after_bytes.unwrap_or((head.len() as u64 + body_length) / 2);
        if after == 0 {
            return Err(Unwritten::Limit);
        }
        out.left = Some(after);
    }
    out.drip = behaviour.drip_head;
    out.write(&head)?;
    out.drip = behaviour.drip_body;
    for piece in body.into_iter().flatten() {
        if chunked {
            out.write(format!("{:x}\r\n", piece.len()).as_bytes())?;
        }
        out.write(&piece)?;
        if chunked {
            out.write(b"\r\n")?;
        }
    }
    if chunked && !matches!(answer.status(), 204 | 304) {
        out.write(b"0\r\n\r\n")?;
    }
    Ok(())
}

fn head(
    status: u16,
    headers: &[(String, String)],
    body: &Payload,
    behaviour: &Behaviour,
    announce_close: bool,
) -> Vec<u8> {
    let version = behaviour.version.as_deref().unwrap_or("HTTP/1.1");
    let mut head = format!("{version} {status} {}\r\n", reason(status));
    let mut add = |name: &str, value: &str| {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    };
    if !matches!(status, 204 | 304) {
        match (behaviour.framing, Pieces::of(body).left) {
            (Framing::Length, Some(length)) => add("Content-Length", &length.to_string()),
            // A body without end has no length to tell, so the largest one that a client can believe.
            (Framing::Length, None) => add("Content-Length", &i64::MAX.to_string()),
            (Framing::Chunked, _) => add("Transfer-Encoding", "chunked"),
            (Framing::UntilClose | Framing::Missing, _) => {}
        }
    }
    for (name, value) in headers {
        add(name, value);
    }
    if behaviour.padding_header > 0 {
        add("X-Padding", &"p".repeat(behaviour.padding_header));
    }
    if announce_close {
        add("Connection", "close");
    }
    head.push_str("\r\n");
    head.into_bytes()
}

/// The body, piece by piece, so that an endless one takes no memory.
struct Pieces {
    piece: Vec<u8>,
    left: Option<u64>,
}

impl Pieces {
    fn of(body: &Payload) -> Self {
        match body {
            Payload::Text(text) => Pieces { piece: text.as_bytes().to_vec(), left: Some(text.len() as u64) },
            Payload::Repeat { repeat, .. } if repeat.is_empty() => {
                Pieces { piece: Vec::new(), left: Some(0) }
            }
            Payload::Repeat { repeat, bytes } => {
                let piece = repeat.repeat(PIECE.div_ceil(repeat.len())).into_bytes();
                Pieces { piece, left: *bytes }
            }
        }
    }
}

impl Iterator for Pieces {
    type Item = Vec<u8>;

    fn next(&mut self) -> Option<Vec<u8>> {
        let most = self.left.map_or(usize::MAX, |left| usize::try_from(left).unwrap_or(usize::MAX));
        let length = self.piece.len().min(most);
        if length == 0 {
            return None;
        }
        if let Some(left) = &mut self.left {
            *left -= length as u64;
        }
        Some(self.piece[..length].to_vec())
    }
}
