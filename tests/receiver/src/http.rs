//! The head of an HTTP/1.1 request, read as a strict server reads it: what is ambiguous is refused.

/// A parsed request head.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Head {
    pub method: String,
    /// As sent.
    pub target: String,
    /// As sent, without the query.
    pub path: String,
    /// As sent, without the `?`; empty when there is none.
    pub query: String,
    pub minor_version: u8,
    /// Name as spelt by the client, value without surrounding blanks.
    pub headers: Vec<(String, String)>,
    pub length: BodyLength,
}

/// How the end of a request body is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum BodyLength {
    Known(u64),
    Chunked,
}

impl Head {
    /// The first header of that name, whatever its case.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Whether the client wants the connection to stay.
    pub fn keep_alive(&self) -> bool {
        match self.header("connection") {
            Some(value) if value.eq_ignore_ascii_case("close") => false,
            Some(value) if value.eq_ignore_ascii_case("keep-alive") => true,
            _ => self.minor_version >= 1,
        }
    }
}

pub(crate) fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
}

/// Parses a head, its final empty line included.
pub(crate) fn parse_head(bytes: &[u8]) -> Result<Head, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "the head is not UTF-8")?;
    let text = text.strip_suffix("\r\n\r\n").ok_or("the head does not end in an empty line")?;
    if text.replace("\r\n", "").contains(['\r', '\n']) {
        return Err("a bare CR or LF in the head".into());
    }
    let mut lines = text.split("\r\n");
    let request_line = lines.next().unwrap_or_default();
    let mut words = request_line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(format!("request line {request_line:?}"));
    };
    if method.is_empty() || !method.bytes().all(|b| b.is_ascii_uppercase()) {
        return Err(format!("method {method:?}"));
    }
    // The absolute form too, because that is what a client sends to a forward proxy.
    let origin_form = match target.strip_prefix("http://") {
        Some(rest) => rest.find('/').map(|slash| &rest[slash..]),
        None => Some(target).filter(|t| t.starts_with('/')),
    };
    let visible = target.bytes().all(|b| b.is_ascii_graphic() && b != b'#');
    let origin_form = origin_form.filter(|_| visible).ok_or_else(|| format!("request target {target:?}"))?;
    let minor_version = match version {
        "HTTP/1.1" => 1,
        "HTTP/1.0" => 0,
        _ => return Err(format!("version {version:?}")),
    };
    let headers = lines.map(header_line).collect::<Result<Vec<_>, _>>()?;
    let count = |name: &str| headers.iter().filter(|(n, _)| n.eq_ignore_ascii_case(name)).count();
    if minor_version == 1 && count("host") != 1 {
        return Err(format!("{} Host headers", count("host")));
    }
    let length = match (count("content-length"), count("transfer-encoding")) {
        (0, 0) => BodyLength::Known(0),
        (1, 0) => {
            let value = find(&headers, "content-length").unwrap_or_default();
            let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
            let length = value.parse().ok().filter(|_| digits);
            BodyLength::Known(length.ok_or_else(|| format!("Content-Length {value:?}"))?)
        }
        (0, 1) => match find(&headers, "transfer-encoding") {
            Some(value) if value.eq_ignore_ascii_case("chunked") => BodyLength::Chunked,
            other => return Err(format!("Transfer-Encoding {other:?}")),
        },
        (lengths, encodings) => {
            return Err(format!("{lengths} Content-Length and {encodings} Transfer-Encoding headers"));
        }
    };
    let (path, query) = origin_form.split_once('?').unwrap_or((origin_form, ""));
    Ok(Head {
        method: method.into(),
        target: target.into(),
        path: path.into(),
        query: query.into(),
        minor_version,
        headers,
        length,
    })
}

fn header_line(line: &str) -> Result<(String, String), String> {
    let (name, value) = line.split_once(':').ok_or_else(|| format!("header line {line:?}"))?;
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(format!("header name {name:?}"));
    }
    let value = value.trim_matches([' ', '\t']);
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("value of header {name:?} holds a control character"));
    }
    Ok((name.into(), value.into()))
}

/// The reason phrase of a status, for people who read a trace.
pub(crate) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        303 => "See Other",
        307 => "Temporary Redirect",
        308 => "Permanent Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        408 => "Request Timeout",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        425 => "Too Early",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        _ => "Status",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)] // a failed unwrap is a failed test
mod tests {
    use super::*;

    #[test]
    fn a_plain_request() {
        let head = parse_head(
            b"POST /api/v1/write?a=b HTTP/1.1\r\nHost: x\r\ncontent-LENGTH: 3\r\nX-A: \t b c \r\n\r\n",
        )
        .unwrap();
        assert_eq!(
            (head.method.as_str(), head.path.as_str(), head.query.as_str()),
            ("POST", "/api/v1/write", "a=b")
        );
        assert_eq!(head.length, BodyLength::Known(3));
        assert_eq!(head.header("x-a"), Some("b c"));
        assert!(head.keep_alive());
    }

    #[test]
    fn what_is_ambiguous_is_refused() {
        for head in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
            "GET / HTTP/1.1\nHost: x\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /a b HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/2\r\nHost: x\r\n\r\n",
            "get / HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET http://x HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET ftp://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /ä HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost : x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: x\r\nA: b\0c\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n",
        ] {
            assert!(parse_head(head.as_bytes()).is_err(), "{head:?}");
        }
    }
}
