//! Handing a request on to a real server and fetching its answer.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

use crate::http::Head;
use crate::reply::Answer;
use crate::script::Payload;

/// Sends the request to `upstream` on a connection of its own. An upstream that cannot be reached or breaks off is
/// a 502, as any gateway answers it.
pub(crate) fn forward(upstream: SocketAddr, head: &Head, body: &[u8]) -> Answer {
    exchange(upstream, head, body).unwrap_or_else(|error| Answer::Own {
        status: 502,
        headers: Vec::new(),
        body: Payload::Text(format!("upstream: {error}")),
    })
}

fn exchange(upstream: SocketAddr, head: &Head, body: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(upstream)?;
    let query = if head.query.is_empty() { String::new() } else { format!("?{}", head.query) };
    let mut request = format!("{} {}{query} HTTP/1.1\r\n", head.method, head.path);
    // The framing and the life of this connection are this proxy's own affair.
    const OWN: [&str; 4] = ["content-length", "transfer-encoding", "connection", "expect"];
    for (name, value) in head.headers.iter().filter(|(n, _)| !OWN.iter().any(|o| n.eq_ignore_ascii_case(o))) {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\nConnection: close\r\n\r\n", body.len()));
    stream.write_all(request.as_bytes())?;
    stream.write_all(body)?;

    let mut reader = BufReader::new(stream);
    let mut status_line = String::new();
    reader.read_line(&mut status_line)?;
    let status = status_line.split(' ').nth(1).and_then(|s| s.parse().ok());
    let status = status.ok_or_else(|| io::Error::other(format!("status line {status_line:?}")))?;
    let mut headers = Vec::new();
    let (mut length, mut chunked) = (None, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) =
            line.split_once(':').ok_or_else(|| io::Error::other(format!("header {line:?}")))?;
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse::<u64>().ok(),
            "transfer-encoding" => chunked = true,
            "connection" => {}
            _ => headers.push(line.to_owned()),
        }
    }
    let mut answer_body = Vec::new();
    if chunked {
        read_chunks(&mut reader, &mut answer_body)?;
    } else if !matches!(status, 204 | 304) {
        let expected = length.unwrap_or(u64::MAX);
        let got = reader.take(expected).read_to_end(&mut answer_body)? as u64;
        if length.is_some_and(|l| got < l) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let mut bytes = status_line.into_bytes();
    for line in headers {
        bytes.extend_from_slice(line.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    if !matches!(status, 204 | 304) {
        bytes.extend_from_slice(format!("Content-Length: {}\r\n", answer_body.len()).as_bytes());
    }
    bytes.extend_from_slice(b"\r\n");
    bytes.append(&mut answer_body);
    Ok(Answer::Upstream { status, bytes })
}

fn read_chunks(reader: &mut impl BufRead, body: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let size = line.trim_end().split(';').next().unwrap_or_default();
        let size =
            u64::from_str_radix(size, 16).map_err(|_| io::Error::other(format!("chunk size {line:?}")))?;
        let got = reader.take(size).read_to_end(body)? as u64;
        if got < size {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut end = String::new();
        reader.read_line(&mut end)?;
        if size == 0 {
            return Ok(());
        }
    }
}
