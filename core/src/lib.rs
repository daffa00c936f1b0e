//! promwrite core.

#![deny(unsafe_code)]

pub mod config;
pub mod error;
pub mod input;
pub mod pending;
pub mod send;
pub mod wire;
