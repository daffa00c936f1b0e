//! How requests leave: the worker, the transport, the endpoint and its credentials, the verdict.

pub mod credentials;
pub mod endpoint;
pub mod headers;
pub mod transport;
mod url;
pub mod verdict;
pub mod worker;
