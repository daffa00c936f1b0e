//! The options as a plain struct; the table follows.
#![allow(missing_docs)]
use crate::error::Result;
use crate::input::labels::NameScheme;
use crate::send::endpoint::HttpOptions;
use std::time::Duration;
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Overflow {
    DropOldest,
    DropNewest,
    Error,
    Block,
}
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub capacity: u64,
    pub capacity_bytes: u64,
    pub max_samples_per_send: usize,
    pub max_bytes_per_send: usize,
    pub batch_send_deadline: Duration,
    pub block_timeout: Duration,
    pub overflow: Overflow,
    pub out_of_order: bool,
    pub metadata_send: bool,
    pub metadata_send_interval: Duration,
    pub sample_age_limit: Duration,
    pub series_idle_timeout: Duration,
    pub min_backoff: Duration,
    pub max_backoff: Duration,
    pub max_retry_after: Duration,
    pub hold_interval: Duration,
    pub split_on_reject: bool,
    pub remote_timeout: Duration,
    pub idle_thread_timeout: Duration,
    pub exit_timeout: Duration,
    pub exit_idle_timeout: Duration,
    pub labels: Vec<(String, String)>,
    pub instance: Option<String>,
    pub metric_name_validation_scheme: NameScheme,
}
impl Default for Config {
    fn default() -> Self {
        let s = Duration::from_secs;
        Config {
            capacity: 1_000_000,
            capacity_bytes: 64 << 20,
            max_samples_per_send: 2000,
            max_bytes_per_send: 1_000_000,
            batch_send_deadline: s(1),
            block_timeout: s(5),
            overflow: Overflow::DropOldest,
            out_of_order: false,
            metadata_send: true,
            metadata_send_interval: s(60),
            sample_age_limit: s(3600),
            series_idle_timeout: s(300),
            min_backoff: Duration::from_millis(500),
            max_backoff: s(30),
            max_retry_after: s(300),
            hold_interval: s(30),
            split_on_reject: true,
            remote_timeout: s(30),
            idle_thread_timeout: s(5),
            exit_timeout: s(30),
            exit_idle_timeout: s(3),
            labels: vec![],
            instance: None,
            metric_name_validation_scheme: NameScheme::Legacy,
        }
    }
}
impl Config {
    pub fn check(&self) -> Result<()> {
        Ok(())
    }
    pub fn http(&self) -> HttpOptions {
        HttpOptions::default()
    }
    pub fn fingerprint(&self) -> u64 {
        0
    }
    pub fn from_pairs<'a>(_: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        Ok(Self::default())
    }
}
