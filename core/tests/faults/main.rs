//! The public faces with their real worker and real sockets, against a receiver that misbehaves on purpose.
//!
//! Bounds on wall time are ten times the promise and at least two seconds, because a busy machine must not fail a test.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod batches;
mod breaks;
#[path = "../common/mod.rs"]
mod common;
mod enqueue;
mod gateway;
mod order;
mod panics;
mod rig;
mod secrets;
mod waits;
