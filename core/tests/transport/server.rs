//! A receiver in a few lines: every connection goes to one closure on a thread of its own.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// A request as it came over the wire.
#[derive(Debug, Clone)]
pub struct Seen {
    pub head: String,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn line(&self) -> &str {
        self.head.lines().next().unwrap_or_default()
    }

    /// Every value of a header, in order.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).collect()
    }

    pub fn one(&self, name: &str) -> &str {
        let all = self.all(name);
        assert_eq!(all.len(), 1, "{name} in {}", self.head);
        all[0]
    }
}

pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

pub struct Server {
    pub address: SocketAddr,
    pub seen: Mutex<Receiver<Seen>>,
    pub connections: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// What a handler may use.
pub struct Connection {
    pub stream: TcpStream,
    pub number: usize,
    pub seen: Sender<Seen>,
}

impl Server {
    pub fn new(handler: impl Fn(Connection) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, seen) = channel();
        let stop = Arc::new(AtomicBool::new(false));
        let connections = Arc::new(AtomicUsize::new(0));
        let (stopped, counted, handler) = (stop.clone(), connections.clone(), Arc::new(handler));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                let number = counted.fetch_add(1, Ordering::SeqCst);
                let (handler, seen) = (handler.clone(), sender.clone());
                let stream = stream.unwrap();
                std::thread::spawn(move || handler(Connection { stream, number, seen }));
            }
        });
        Server { address, seen: Mutex::new(seen), connections, stop, thread: Some(thread) }
    }

    /// Answers every request of every connection with `answer`.
    pub fn answering(answer: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Server::new(move |connection| connection.serve(|_| answer.as_ref().to_vec()))
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn next(&self) -> Seen {
        self.seen.lock().unwrap().recv_timeout(std::time::Duration::from_secs(10)).expect("a request")
    }

    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect(self.address);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Connection {
    /// Answers requests until the peer closes.
    pub fn serve(self, answer: impl Fn(&Seen) -> Vec<u8>) {
        let Connection { mut stream, seen, .. } = self;
        serve(&mut stream, &seen, answer);
    }

    /// Reads one request and reports it.
    pub fn request(&mut self) -> Seen {
        let request = read_request(&mut self.stream).expect("a request");
        let _ = self.seen.send(request.clone());
        request
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref());
    }

    /// Waits until the client closes.
    pub fn until_closed(&mut self) {
        let mut sink = [0; 4096];
        while matches!(self.stream.read(&mut sink), Ok(n) if n > 0) {}
    }
}

pub fn serve(stream: &mut dyn Stream, seen: &Sender<Seen>, answer: impl Fn(&Seen) -> Vec<u8>) {
    while let Some(request) = read_request(stream) {
        let bytes = answer(&request);
        let _ = seen.send(request);
        if stream.write_all(&bytes).and_then(|()| stream.flush()).is_err() {
            return;
        }
    }
}

pub fn read_request(stream: &mut dyn Stream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|w| w == b"\r\n\r\n") {
            break at + 4;
        }
        let mut part = [0; 16384];
        match stream.read(&mut part) {
            Ok(n) if n > 0 => bytes.extend_from_slice(&part[..n]),
            _ => return None,
        }
    };
    let mut body = bytes.split_off(end);
    let mut seen = Seen { head: String::from_utf8_lossy(&bytes).into_owned(), body: Vec::new() };
    let length: usize = seen.all("content-length").first().map_or(0, |n| n.parse().unwrap());
    let mut part = vec![0; 65536];
    while body.len() < length {
        match stream.read(&mut part) {
            Ok(n) if n > 0 => body.extend_from_slice(&part[..n]),
            _ => return None,
        }
    }
    seen.body = body;
    Some(seen)
}
