//! Pushing to a Pushgateway without waiting: [`Pusher`] for one group, [`Handler`] for whoever makes the requests
//! itself, as prometheus_client does.
//!
//! A push is the state of its group: a newer PUT makes an older one needless, so what arrives is the newest state, however
//! late. Pushers and handlers of one gateway with equal options share one connection, because only so can the newest of
//! two pushes be known.

mod handler;
mod link;

pub use handler::{Call, Handed, Handler};

use crate::config::Config;
use crate::error::{Error, Result};
use crate::input::group::{Group, gateway_url};
use crate::pending::source::Headers;
use crate::send::endpoint::Endpoint;
use crate::send::transport::Method;
use crate::send::transport::http::HttpTransport;
use crate::sender::Report;
use std::sync::Arc;
use std::time::Duration;

/// Pushes the state of one group.
pub struct Pusher {
    handler: Handler,
    /// May hold user and password.
    target: String,
    url: String,
}

impl std::fmt::Debug for Pusher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pusher").field("url", &self.url).finish_non_exhaustive()
    }
}

impl Pusher {
    /// A pusher of the group `job` and `grouping_key` at `gateway` (`host:port` or a URL; a path before `/metrics` is kept).
    ///
    /// `instance` is added to the grouping key unless it has one or the option `instance` is empty, because two hosts that
    /// push one group overwrite each other.
    ///
    /// # Errors
    /// [`Error::Invalid`] for a gateway with a query, an empty job, a grouping label that breaks a rule.
    pub fn new(
        gateway: &str,
        job: &str,
        grouping_key: impl IntoIterator<Item = (String, String)>,
        config: Config,
    ) -> Result<Self> {
        let mut pairs: Vec<(String, String)> = grouping_key.into_iter().collect();
        if pairs.iter().all(|(name, _)| name != "instance") {
            let instance = config.instance.clone().unwrap_or_else(crate::sys::host_name);
            if !instance.is_empty() {
                pairs.push(("instance".to_owned(), instance));
            }
        }
        let group = Group::new(job, pairs)?;
        let gateway = gateway_url(gateway)?;
        let endpoint = Endpoint::parse(&gateway, "gateway", config.http())?;
        HttpTransport::new(Arc::new(endpoint.clone()))?;
        let path = group.path();
        let url = format!("{}{path}", endpoint.shown().trim_end_matches('/'));
        Ok(Pusher { handler: Handler::new(config)?, target: format!("{gateway}{path}"), url })
    }

    /// The group's URL, without user and password.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Replaces the group by `body` (PUT).
    ///
    /// # Errors
    /// As [`Handler::push`].
    pub fn push(&self, body: Vec<u8>, content_type: &str) -> Result<()> {
        self.request(Method::Put, body, content_type)
    }

    /// Replaces the families that `body` names (POST).
    ///
    /// # Errors
    /// As [`Handler::push`].
    pub fn add(&self, body: Vec<u8>, content_type: &str) -> Result<()> {
        self.request(Method::Post, body, content_type)
    }

    /// Removes the group (DELETE).
    ///
    /// # Errors
    /// As [`Handler::push`].
    pub fn delete(&self) -> Result<()> {
        self.request(Method::Delete, Vec::new(), "")
    }

    fn request(&self, method: Method, body: Vec<u8>, content_type: &str) -> Result<()> {
        let mut headers = Headers::default();
        if !content_type.is_empty() {
            headers.0.push(("Content-Type".to_owned(), content_type.to_owned()));
        }
        self.handler.push(Handed { url: &self.target, method, headers, body }).map_err(|error| match error {
            Error::Closed { .. } => Error::Closed { what: "pusher" },
            error => error,
        })
    }

    /// Flushes for at most `timeout`.
    #[must_use]
    pub fn flush(&self, timeout: Duration) -> Option<Report> {
        self.handler.start_flush(timeout).finish();
        self.handler.report().into_iter().next()
    }

    /// Accepts no more, flushes for at most `timeout`, gives up the rest.
    #[must_use]
    pub fn close(&self, timeout: Duration) -> Option<Report> {
        self.handler.start_close(timeout).finish();
        self.handler.finish_close().into_iter().next()
    }

    /// The handler behind it: flush, close and stats in steps.
    #[must_use]
    pub fn handler(&self) -> &Handler {
        &self.handler
    }
}

/// The error for a body that is no page at all is the gateway's to give; this names what a caller can get wrong here.
pub fn method(name: &str) -> Result<Method> {
    match name {
        "PUT" => Ok(Method::Put),
        "POST" => Ok(Method::Post),
        "DELETE" => Ok(Method::Delete),
        other => Err(Error::invalid("method", other, "must be PUT, POST or DELETE")),
    }
}
