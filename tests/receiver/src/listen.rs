//! The listening socket, the thread that accepts, and the end of both.

use std::io;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::Options;
use crate::serve::{self, Setup};
use crate::state::Shared;

/// Far above what a test holds at once.
const BACKLOG: i32 = 1024;
/// How long the end waits for the threads of connections, which all have been told.
const END: Duration = Duration::from_secs(5);

/// A receiver that is up; dropping it takes the receiver down.
#[derive(Debug)]
pub(crate) struct Listening {
    addr: SocketAddr,
    shared: Arc<Shared>,
    accepting: Accepting,
}

#[derive(Debug)]
enum Accepting {
    Thread(Option<JoinHandle<()>>),
    /// The listener that accepts nothing, and the connections that fill its queue.
    Never {
        _listener: TcpListener,
        _queue: Vec<Socket>,
    },
}

impl Listening {
    pub fn start(
        addr: SocketAddr,
        options: &Options,
        shared: &Arc<Shared>,
        setup: &Arc<Setup>,
    ) -> io::Result<Self> {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        // Because connections of the time before going down may still linger on the port.
        socket.set_reuse_address(true)?;
        if let Some(bytes) = options.receive_buffer {
            // On the listener, because the window is agreed on before a connection is accepted.
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(&addr.into())?;
        socket.listen(if options.never_accept { 0 } else { BACKLOG })?;
        let listener = TcpListener::from(socket);
        let addr = listener.local_addr()?;
        shared.update(|state| state.control.down = false);
        let accepting = if options.never_accept {
            let queue = fill(addr)?;
            Accepting::Never { _listener: listener, _queue: queue }
        } else {
            let (shared, setup) = (shared.clone(), setup.clone());
            let name = "receiver-accept".to_owned();
            let thread =
                thread::Builder::new().name(name).spawn(move || accept(&listener, &shared, &setup))?;
            Accepting::Thread(Some(thread))
        };
        Ok(Listening { addr, shared: shared.clone(), accepting })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.shared.update(|state| {
            state.control.down = true;
            for tcp in state.control.live.values() {
                // It fails only if the client has closed already.
                let _ = tcp.shutdown(Shutdown::Both);
            }
        });
        if let Accepting::Thread(thread) = &mut self.accepting {
            // accept() cannot be interrupted otherwise.
            let _ = TcpStream::connect(self.addr);
            let _ = thread.take().map(JoinHandle::join);
        }
        self.shared.wait_until(|state| state.control.threads == 0, END);
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, setup: &Arc<Setup>) {
    while let Ok((tcp, _)) = listener.accept() {
        let tcp = Arc::new(tcp);
        // Checked and registered under one lock, so that going down misses no connection.
        let id = shared.update(|state| {
            if state.control.down {
                return None;
            }
            let id = state.connections;
            state.connections += 1;
            state.open_connections += 1;
            state.control.threads += 1;
            state.control.live.insert(id, tcp.clone());
            Some(id)
        });
        let Some(id) = id else { return };
        // Because a drip must leave one byte at a time.
        let _ = tcp.set_nodelay(true);
        let (for_thread, setup) = (shared.clone(), setup.clone());
        let spawned = thread::Builder::new().name(format!("receiver-{id}")).spawn(move || {
            let ended = Ended(for_thread.clone());
            serve::connection(&for_thread, &setup, id, tcp);
            drop(ended);
        });
        if spawned.is_err() {
            shared.update(|state| {
                state.control.threads -= 1;
                state.open_connections -= 1;
                state.control.live.remove(&id);
            });
        }
    }
}

/// Counts a thread out even if it panics.
struct Ended(Arc<Shared>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.update(|state| state.control.threads -= 1);
    }
}

/// Connects until the queue of a listener that accepts nothing is full.
fn fill(addr: SocketAddr) -> io::Result<Vec<Socket>> {
    const LONGER_THAN_LOOPBACK_NEEDS: Duration = Duration::from_millis(200);
    let mut queue = Vec::new();
    while queue.len() < 64 {
        let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
        match socket.connect_timeout(&addr.into(), LONGER_THAN_LOOPBACK_NEEDS) {
            Ok(()) => queue.push(socket),
            Err(e) if e.kind() == io::ErrorKind::TimedOut => return Ok(queue),
            Err(e) => return Err(e),
        }
    }
    Err(io::Error::other("this system queues connections without limit"))
}
