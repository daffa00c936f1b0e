//! How requests are written: samples to bodies. No I/O, no clock.

pub mod proto;
pub mod v1;
mod varint;
