//! promwrite core.

#![deny(unsafe_code)]

pub mod clock;
pub mod config;
pub mod error;
pub mod input;
pub mod ledger;
pub mod pending;
pub mod pusher;
pub mod send;
pub mod sender;
pub mod sys;
pub mod wire;
pub mod writer;
