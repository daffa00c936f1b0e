//! Reading a request, at the pace and up to the point that its behaviour wants.

use std::time::Duration;

use crate::http::{BodyLength, Head, parse_head};
use crate::script::{Behaviour, Cut, Fault, Phase};
use crate::state::Shared;
use crate::wire::{Gone, Wire};

/// A larger request head is malformed.
const HEAD_LIMIT: usize = 1 << 20;
/// A larger request body is malformed, so that a broken length cannot take all memory.
const BODY_LIMIT: u64 = 1 << 30;

/// One request being read.
pub(crate) struct Reading<'a> {
    pub wire: &'a mut Wire,
    pub shared: &'a Shared,
    pub behaviour: &'a Behaviour,
}

/// How an exchange ended, if not well.
pub(crate) enum Broken {
    Cut(Cut),
    Gone(Gone),
}

impl<E: Into<Gone>> From<E> for Broken {
    fn from(gone: E) -> Self {
        Broken::Gone(gone.into())
    }
}

impl Reading<'_> {
    pub fn head(&mut self) -> Result<Head, Broken> {
        let mid = self.behaviour.fault.filter(|f| f.at == Phase::MidHeaders);
        let end = loop {
            let buffered = self.wire.buffered();
            let end = buffered.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
            let first_line = buffered.windows(2).position(|w| w == b"\r\n").map(|at| at + 2);
            if let Some(Fault { how, after_bytes, .. }) = mid {
                // Without a number, after the request line, because the length of the head is not known yet.
                let enough = after_bytes.map_or(first_line.is_some(), |n| buffered.len() as u64 >= n);
                if enough || end.is_some() {
                    return Err(Broken::Cut(how));
                }
            }
            if let Some(end) = end {
                break end;
            }
            if buffered.len() > HEAD_LIMIT {
                return Err(Broken::Gone(Gone::Malformed(format!("a head above {HEAD_LIMIT} bytes"))));
            }
            // Byte by byte where the rest must stay unread.
            let careful = mid.is_some()
                || self.behaviour.early.is_some()
                || self.behaviour.fault.is_some_and(|f| f.at < Phase::AfterBody);
            self.fill(if careful { 1 } else { usize::MAX })?;
        };
        let bytes = self.wire.take(end);
        Ok(parse_head(&bytes).map_err(Gone::Malformed)?)
    }

    fn fill(&mut self, most: usize) -> Result<(), Broken> {
        match self.behaviour.drip_read {
            None => self.wire.fill(most)?,
            Some(drip) => {
                self.shared.pause(Duration::from_millis(drip.every_ms))?;
                self.wire.fill(most.min(drip.bytes))?;
            }
        }
        Ok(())
    }

    pub fn body(&mut self, head: &Head, body: &mut Vec<u8>) -> Result<(), Broken> {
        let mid = self.behaviour.fault.filter(|f| f.at == Phase::MidBody);
        let length = match head.length {
            BodyLength::Chunked => None,
            BodyLength::Known(n) if n > BODY_LIMIT => {
                return Err(Broken::Gone(Gone::Malformed(format!("a body above {BODY_LIMIT} bytes"))));
            }
            BodyLength::Known(n) => Some(n),
        };
        // Half of a chunked body cannot be known in advance: its first byte will do.
        let stop = mid.map(|f| f.after_bytes.unwrap_or(length.map_or(1, |n| n / 2)));
        match length {
            Some(length) => self.exactly(length, body, stop)?,
            None => self.chunks(body, stop)?,
        }
        mid.map_or(Ok(()), |fault| Err(Broken::Cut(fault.how)))
    }

    /// Reads `length` more bytes, or until `body` holds `stop`.
    fn exactly(&mut self, length: u64, body: &mut Vec<u8>, stop: Option<u64>) -> Result<(), Broken> {
        let end = body.len() as u64 + length;
        let end = stop.map_or(end, |stop| end.min(stop));
        while (body.len() as u64) < end {
            let missing = usize::try_from(end - body.len() as u64).unwrap_or(usize::MAX);
            if self.wire.buffered().is_empty() {
                self.fill(missing)?;
            }
            body.append(&mut self.wire.take(missing));
        }
        Ok(())
    }

    fn chunks(&mut self, body: &mut Vec<u8>, stop: Option<u64>) -> Result<(), Broken> {
        loop {
            let line = self.line()?;
            let size = line.split(';').next().unwrap_or_default();
            let size =
                u64::from_str_radix(size, 16).map_err(|_| Gone::Malformed(format!("chunk size {line:?}")))?;
            if size > BODY_LIMIT - body.len() as u64 {
                return Err(Broken::Gone(Gone::Malformed(format!("a body above {BODY_LIMIT} bytes"))));
            }
            if size == 0 {
                while !self.line()?.is_empty() {}
                return Ok(());
            }
            self.exactly(size, body, stop)?;
            if stop.is_some_and(|stop| body.len() as u64 >= stop) {
                return Ok(());
            }
            let end = self.line()?;
            if !end.is_empty() {
                return Err(Broken::Gone(Gone::Malformed(format!("after a chunk: {end:?}"))));
            }
        }
    }

    fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(at) = self.wire.buffered().windows(2).position(|w| w == b"\r\n") {
                let line = self.wire.take(at + 2);
                return Ok(String::from_utf8_lossy(&line[..at]).into_owned());
            }
            if self.wire.buffered().len() > HEAD_LIMIT {
                return Err(Broken::Gone(Gone::Malformed("an endless line in a chunked body".into())));
            }
            self.fill(usize::MAX)?;
        }
    }
}
