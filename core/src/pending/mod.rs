//! What waits to be sent. No network.

pub mod gateway;
pub mod queue;
pub mod source;
pub mod spool;
