//! What callers hand over: labels, series, pages of text, grouping keys. No I/O, no clock.

pub mod exposition;
pub mod group;
pub mod labels;
pub(crate) mod request;
pub mod series;
pub mod timestamp;
