//! A client without manners or mercy: what it sends and what it sees are bytes.
#![allow(dead_code, missing_docs, clippy::unwrap_used, clippy::panic)]

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::Duration;

use promwrite_receiver::Receiver;

/// Longer than anything here takes; who waits this long has failed.
pub const LONG: Duration = Duration::from_secs(5);

/// How a connection came to its end, as the client sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Fin,
    Rst,
    /// Nothing came for as long as the client waited.
    Open,
}

pub struct Client(pub TcpStream);

impl Client {
    pub fn connect(receiver: &Receiver) -> Self {
        let stream = TcpStream::connect(receiver.addr()).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        Client(stream)
    }

    /// Sends; a receiver that breaks off while it does is what many tests are about.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let _ = self.0.write_all(bytes.as_ref());
        self
    }

    /// Everything until the end.
    pub fn rest(&mut self) -> (Vec<u8>, End) {
        let mut got = Vec::new();
        let mut chunk = [0; 65536];
        loop {
            match self.0.read(&mut chunk) {
                Ok(0) => return (got, End::Fin),
                Ok(n) => got.extend_from_slice(&chunk[..n]),
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return (got, End::Rst),
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return (got, End::Open);
                }
                Err(e) => panic!("{e}"),
            }
        }
    }

    /// As [`Client::rest`], but a silence of that length is an end too.
    pub fn rest_within(&mut self, patience: Duration) -> (Vec<u8>, End) {
        self.0.set_read_timeout(Some(patience)).unwrap();
        self.rest()
    }

    /// The rest as text, whatever the end.
    pub fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.rest().0).into_owned()
    }

    /// One answer that tells its length, head and body.
    pub fn answer(&mut self) -> String {
        let mut got = Vec::new();
        let mut byte = [0];
        while !got.ends_with(b"\r\n\r\n") {
            assert_eq!(
                self.0.read(&mut byte).unwrap(),
                1,
                "it ended after {:?}",
                String::from_utf8_lossy(&got)
            );
            got.push(byte[0]);
        }
        let head = String::from_utf8(got).unwrap();
        let length = head.lines().find_map(|l| l.strip_prefix("Content-Length: "));
        let mut body = vec![0; length.map_or(0, |l| l.parse().unwrap())];
        self.0.read_exact(&mut body).unwrap();
        head + &String::from_utf8(body).unwrap()
    }

    pub fn no_more_writing(&mut self) -> &mut Self {
        self.0.shutdown(Shutdown::Write).unwrap();
        self
    }
}

/// A POST with that body.
pub fn post(path: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: test\r\n{headers}Content-Length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

/// A POST with a body of no meaning.
pub fn plain() -> Vec<u8> {
    post("/x", "", b"0123456789")
}

/// Labels and samples of a series.
pub type OneSeries<'a> = (&'a [(&'a str, &'a str)], &'a [(i64, f64)]);

/// A remote-write 1.0 request with these series, written by hand: neither prost nor the receiver has a share in it.
pub fn write_v1(series: &[OneSeries]) -> Vec<u8> {
    let mut message = Vec::new();
    for (labels, samples) in series {
        let mut one = Vec::new();
        for (name, value) in *labels {
            let label = [field(1, name.as_bytes()), field(2, value.as_bytes())].concat();
            one.extend(field(1, &label));
        }
        for (ts, value) in *samples {
            let mut sample = vec![0x09];
            sample.extend(value.to_bits().to_le_bytes());
            sample.push(0x10);
            sample.extend(varint(*ts as u64));
            one.extend(field(2, &sample));
        }
        message.extend(field(1, &one));
    }
    request_v1(&message)
}

/// A remote-write 1.0 request with that message.
pub fn request_v1(message: &[u8]) -> Vec<u8> {
    let headers = "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n";
    post("/api/v1/write", headers, &snap::raw::Encoder::new().compress_vec(message).unwrap())
}

/// A remote-write 2.0 request with that message.
pub fn request_v2(message: &[u8]) -> Vec<u8> {
    let headers = "Content-Type: application/x-protobuf;proto=io.prometheus.write.v2.Request\r\n\
                   Content-Encoding: snappy\r\n";
    post("/api/v1/write", headers, &snap::raw::Encoder::new().compress_vec(message).unwrap())
}

/// A length-delimited protobuf field.
pub fn field(number: u8, bytes: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2], varint(bytes.len() as u64).as_slice(), bytes].concat()
}

pub fn varint(mut n: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
    out
}
