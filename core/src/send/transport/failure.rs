//! What broke, in words a person can act on. No text of ureq gets through: some of its errors quote the URL.

use super::Failure;
use super::exchange::{Exchange, Phase, is_disconnect};
use crate::error::SendErrorKind;
use rustls::{AlertDescription, CertificateError};
use std::io;
use std::time::Duration;

/// The words that a message needs.
pub(super) struct Context<'a> {
    /// `host:port` of the receiver.
    pub target: &'a str,
    /// `host:port` of the proxy, if there is one.
    pub proxy: Option<&'a str>,
    /// For the whole request.
    pub timeout: Duration,
    /// For the name, and for connection and handshake together.
    pub connect_timeout: Duration,
}

impl Context<'_> {
    /// Whom a connection is being made to.
    fn peer(&self, exchange: &Exchange) -> String {
        match self.proxy {
            Some(proxy) if exchange.to_proxy => format!("proxy {proxy}"),
            _ => self.target.to_owned(),
        }
    }

    /// Whom the request goes to.
    fn receiver(&self) -> String {
        match self.proxy {
            Some(proxy) => format!("{} (through proxy {proxy})", self.target),
            None => self.target.to_owned(),
        }
    }
}

/// `30 s`, `0.25 s`.
pub(super) fn seconds(duration: Duration) -> String {
    format!("{} s", (duration.as_secs_f64() * 1000.0).round() / 1000.0)
}

/// The failure that `error` is, seen from how far the request had come.
pub(super) fn describe(error: ureq::Error, exchange: &Exchange, context: &Context<'_>) -> Failure {
    let disconnect = matches!(&error, ureq::Error::Io(e) if is_disconnect(e));
    let mut failure = words(error, exchange, context);
    failure.reused = exchange.reused();
    failure.stale = disconnect && exchange.reused() && !exchange.answered;
    // a receiver that refuses the handshake or its certificate never sees the request, though TLS 1.3 let it go out
    failure.ambiguous = exchange.sent() && failure.kind != SendErrorKind::Tls;
    failure
}

fn words(error: ureq::Error, exchange: &Exchange, context: &Context<'_>) -> Failure {
    use SendErrorKind as Kind;
    let receiver = context.receiver();
    match error {
        ureq::Error::Other(ours) => match ours.downcast::<Failure>() {
            Ok(failure) => *failure,
            Err(_) => Failure::new(Kind::Protocol, format!("the request to {receiver} could not be made")),
        },
        ureq::Error::Timeout(_) => timeout(exchange, context),
        ureq::Error::HostNotFound => Failure::new(Kind::Dns, "the host name does not resolve"),
        ureq::Error::ConnectProxyFailed(reason) => {
            let status: String = reason.chars().filter(char::is_ascii_digit).take(3).collect();
            let status = if status.is_empty() { String::new() } else { format!(": status {status}") };
            let proxy = context.proxy.unwrap_or_default();
            Failure::new(Kind::Proxy, format!("proxy {proxy} refused a tunnel to {}{status}", context.target))
        }
        ureq::Error::Tls(_) => Failure::new(
            Kind::Tls,
            format!("{} is no name that a certificate can have", context.peer(exchange)),
        ),
        ureq::Error::Rustls(error) => tls(&error, &context.peer(exchange)),
        ureq::Error::Io(error) => match rustls_inside(&error) {
            Some(error) => tls(error, &context.peer(exchange)),
            None => io_failure(&error, exchange, context),
        },
        ureq::Error::Protocol(_) if exchange.phase == Phase::Tunnel => Failure::new(
            Kind::Proxy,
            format!("proxy {} does not speak HTTP", context.proxy.unwrap_or_default()),
        ),
        ureq::Error::Protocol(_) => {
            Failure::new(Kind::Protocol, format!("the answer of {receiver} is not HTTP"))
        }
        ureq::Error::LargeResponseHeader(_, limit) => Failure::new(
            Kind::Protocol,
            format!("{receiver} answered with more than {} KiB of headers", limit / 1024),
        ),
        ureq::Error::Http(_) | ureq::Error::BadUri(_) => {
            Failure::new(Kind::Protocol, "the path or a header of the request cannot be sent in HTTP")
        }
        _ => Failure::new(Kind::Protocol, format!("the request to {receiver} could not be made")),
    }
}

fn timeout(exchange: &Exchange, context: &Context<'_>) -> Failure {
    use SendErrorKind as Kind;
    let peer = context.peer(exchange);
    let receiver = context.receiver();
    let (connect, whole) = (seconds(context.connect_timeout), seconds(context.timeout));
    match exchange.phase {
        Phase::Resolve => Failure::new(Kind::Dns, format!("{peer} did not resolve within {connect}")),
        Phase::Connect => Failure::new(Kind::Connect, format!("no connection to {peer} within {connect}")),
        Phase::Tunnel => Failure::new(
            Kind::Proxy,
            format!("{peer} opened no tunnel to {} within {connect}", context.target),
        ),
        Phase::Handshake => Failure::new(Kind::Tls, format!("no TLS handshake with {peer} within {connect}")),
        Phase::Request if exchange.answered => {
            Failure::new(Kind::Timeout, format!("{receiver} did not finish its answer within {whole}"))
        }
        Phase::Request if exchange.sent() => {
            Failure::new(Kind::Timeout, format!("no answer from {receiver} within {whole}"))
        }
        Phase::Request => {
            Failure::new(Kind::Timeout, format!("{receiver} did not take the request within {whole}"))
        }
    }
}

fn io_failure(error: &io::Error, exchange: &Exchange, context: &Context<'_>) -> Failure {
    use SendErrorKind as Kind;
    let peer = context.peer(exchange);
    let receiver = context.receiver();
    match exchange.phase {
        Phase::Resolve | Phase::Connect if error.kind() == io::ErrorKind::ConnectionRefused => {
            Failure::new(Kind::Refused, format!("connection refused by {peer}"))
        }
        Phase::Resolve | Phase::Connect => {
            Failure::new(Kind::Unreachable, format!("{peer} cannot be reached: {}", reason(error)))
        }
        Phase::Tunnel => Failure::new(
            Kind::Proxy,
            format!("{peer} closed the connection before it opened a tunnel to {}", context.target),
        ),
        Phase::Handshake => Failure::new(
            Kind::Tls,
            format!("{peer} closed the connection in the TLS handshake: {}", reason(error)),
        ),
        Phase::Request => {
            let when = match (exchange.answered, exchange.sent()) {
                (true, _) => "within its answer",
                (false, true) => "before it answered",
                (false, false) => "while the request was sent",
            };
            Failure::new(
                Kind::Disconnected,
                format!("{receiver} closed the connection {when}: {}", reason(error)),
            )
        }
    }
}

/// The system's own words, or the kind where the text is somebody else's.
fn reason(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code).to_string(),
        None => error.kind().to_string(),
    }
}

fn rustls_inside(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn tls(error: &rustls::Error, peer: &str) -> Failure {
    use rustls::Error as E;
    let certificate = |what: &str| format!("certificate of {peer} {what}");
    let message = match error {
        E::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => {
                certificate("is not trusted: unknown issuer (option tls_config.ca_file)")
            }
            CertificateError::BadSignature => certificate(
                "is not trusted: its authority is another of the same name (option tls_config.ca_file)",
            ),
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => certificate("has expired"),
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                certificate("is not valid yet")
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                certificate("is for another name")
            }
            CertificateError::Revoked => certificate("is revoked"),
            other => certificate(&format!("is not valid: {other:?}")),
        },
        E::AlertReceived(alert) => {
            let hint = match alert {
                AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateUnknown
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRevoked
                | AlertDescription::UnknownCA
                | AlertDescription::AccessDenied => " (options tls_config.cert_file and tls_config.key_file)",
                _ => "",
            };
            format!("{peer} refused the TLS handshake: {alert:?}{hint}")
        }
        E::PeerIncompatible(_) => {
            format!("{peer} offers no TLS that is accepted here: 1.2 or newer is needed")
        }
        E::InvalidMessage(_) | E::InappropriateMessage { .. } => format!("{peer} does not speak TLS"),
        _ => format!("the TLS handshake with {peer} failed"),
    };
    Failure::new(SendErrorKind::Tls, message)
}
