//! One accepted connection: reading at a chosen pace, and the ways to break it.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::script::{Cut, Drip};
use crate::state::{Down, Shared};

/// How much is read at once when nobody asks for less.
const CHUNK: usize = 64 << 10;

/// Why a connection is done with.
#[derive(Debug)]
pub(crate) enum Gone {
    /// The client closed it or broke it, or the receiver went down.
    Over,
    /// What came is not HTTP.
    Malformed(String),
}

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Gone::Over
    }
}

impl From<Down> for Gone {
    fn from(_: Down) -> Self {
        Gone::Over
    }
}

pub(crate) struct Wire {
    stream: Stream,
    tcp: Arc<TcpStream>,
    /// Read and not yet used.
    buffer: Vec<u8>,
    shared: Arc<Shared>,
    id: u64,
}

/// Reads and writes a socket that going down can shut meanwhile.
#[derive(Debug)]
struct Socket(Arc<TcpStream>);

impl Read for Socket {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        (&*self.0).read(to)
    }
}

impl Write for Socket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self.0).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

enum Stream {
    Plain(Socket),
    Tls(Box<StreamOwned<ServerConnection, Socket>>),
}

impl Wire {
    pub fn plain(shared: Arc<Shared>, id: u64, tcp: Arc<TcpStream>) -> Self {
        Wire { stream: Stream::Plain(Socket(tcp.clone())), tcp, buffer: Vec::new(), shared, id }
    }

    /// Shakes hands; the error is what rustls says of the client's part.
    pub fn secure(mut self, config: Arc<ServerConfig>) -> Result<Self, String> {
        let mut session = ServerConnection::new(config).map_err(|e| e.to_string())?;
        let mut socket = Socket(self.tcp.clone());
        while session.is_handshaking() {
            session.complete_io(&mut socket).map_err(|e| e.to_string())?;
        }
        self.stream = Stream::Tls(Box::new(StreamOwned::new(session, socket)));
        Ok(self)
    }

    /// Reads up to `most` bytes into the buffer; an end of the stream is `Gone`.
    pub fn fill(&mut self, most: usize) -> Result<(), Gone> {
        let mut chunk = vec![0; most.clamp(1, CHUNK)];
        let n = match &mut self.stream {
            Stream::Plain(s) => s.read(&mut chunk)?,
            Stream::Tls(s) => s.read(&mut chunk)?,
        };
        if n == 0 {
            return Err(Gone::Over);
        }
        self.buffer.extend_from_slice(&chunk[..n]);
        self.shared.update(|state| state.bytes += n as u64);
        Ok(())
    }

    /// What was read and not used.
    pub fn buffered(&self) -> &[u8] {
        &self.buffer
    }

    /// Takes `n` buffered bytes, or all there are.
    pub fn take(&mut self, n: usize) -> Vec<u8> {
        let n = n.min(self.buffer.len());
        self.buffer.drain(..n).collect()
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        match &mut self.stream {
            Stream::Plain(s) => s.write_all(bytes)?,
            Stream::Tls(s) => {
                s.write_all(bytes)?;
                s.flush()?;
            }
        }
        Ok(())
    }

    /// Breaks the connection.
    pub fn cut(mut self, how: Cut) {
        match how {
            Cut::Reset => {
                // A failure shows in the tests as a FIN in place of the RST.
                let _ = socket2::SockRef::from(&*self.tcp).set_linger(Some(Duration::ZERO));
            }
            Cut::Close => {
                let _ = self.tcp.shutdown(Shutdown::Write);
            }
            Cut::HalfClose => self.half_close(),
            Cut::Stall => self.shared.wait_down(),
        }
    }

    /// Closes the own half, then reads and forgets until the client has closed too.
    pub fn half_close(&mut self) {
        let _ = self.tcp.shutdown(Shutdown::Write);
        self.drain();
    }

    /// Reads and forgets until the client closes.
    pub fn drain(&mut self) {
        let mut sink = vec![0; CHUNK];
        let mut tcp = &*self.tcp;
        while tcp.read(&mut sink).is_ok_and(|n| n > 0) {}
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        // The registry's share of the socket goes first, because the socket closes with its last owner, and closing
        // is what sends the FIN or the RST.
        self.shared.update(|state| {
            state.control.live.remove(&self.id);
            state.open_connections -= 1;
        });
    }
}

/// Bytes at a pace, and up to a limit.
pub(crate) struct Paced<'a> {
    pub wire: &'a mut Wire,
    pub shared: &'a Shared,
    pub drip: Option<Drip>,
    /// Bytes that may still be written before the connection breaks.
    pub left: Option<u64>,
}

/// Why an answer was not written to its end.
#[derive(Debug)]
pub(crate) enum Unwritten {
    /// The limit was reached.
    Limit,
    /// The connection is over.
    Gone,
}

impl Paced<'_> {
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Unwritten> {
        let allowed = self
            .left
            .map_or(bytes.len(), |left| bytes.len().min(usize::try_from(left).unwrap_or(usize::MAX)));
        let piece = self.drip.map_or(usize::MAX, |d| d.bytes.max(1));
        for part in bytes[..allowed].chunks(piece) {
            self.wire.write(part).map_err(|_| Unwritten::Gone)?;
            if let Some(drip) = self.drip {
                self.shared.pause(Duration::from_millis(drip.every_ms)).map_err(|_| Unwritten::Gone)?;
            }
        }
        if let Some(left) = &mut self.left {
            *left -= allowed as u64;
            if *left == 0 {
                return Err(Unwritten::Limit);
            }
        }
        Ok(())
    }
}
