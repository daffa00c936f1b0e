//! The options: one table ([`OPTIONS`]) from which parsing, messages and documentation are made.
//!
//! Keys are flat and named as the paths of Prometheus's `remote_write` configuration where it has one. Every binding
//! hands over pairs of strings, so that an option means the same everywhere. `core/OPTIONS.md` is made from the table.

mod doc;
mod parse;
mod table;
#[cfg(test)]
mod tests;

pub use doc::{python_keywords, reference_page};
pub use table::{Faces, OPTIONS, OptionSpec, check_face, key_of_keyword};

use crate::error::{Error, Result, shown};
use crate::input::labels::NameScheme;
use crate::send::credentials::{Credentials, Secret, SecretSource};
use crate::send::endpoint::{HttpOptions, ProxyOptions, TlsOptions};
use once_cell::sync::OnceCell;
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::path::PathBuf;
use std::time::Duration;

/// What an append or a push does when the queue is full (option `queue_config.overflow`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Overflow {
    /// Make room by dropping the oldest.
    #[default]
    DropOldest,
    /// Drop what would be added.
    DropNewest,
    /// Refuse it with [`Error::QueueFull`].
    Error,
    /// Wait up to `queue_config.block_timeout`, then refuse it.
    Block,
}

/// The options of a sender, typed. Meanings, defaults and ranges are in [`OPTIONS`]; [`Config::set`] keeps to the
/// ranges, a field that is assigned does not. `Debug` shows no secret.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// `remote_timeout`.
    pub remote_timeout: Duration,
    /// `require_https`.
    pub require_https: bool,
    /// `user_agent`; empty means `promwrite/x.y.z`.
    pub user_agent: String,
    /// `queue_config.capacity`, in items.
    pub capacity: u64,
    /// `queue_config.capacity_bytes`.
    pub capacity_bytes: u64,
    /// `queue_config.overflow`.
    pub overflow: Overflow,
    /// `queue_config.block_timeout`.
    pub block_timeout: Duration,
    /// `queue_config.max_samples_per_send`.
    pub max_samples_per_send: usize,
    /// `queue_config.max_bytes_per_send`, before compression.
    pub max_bytes_per_send: usize,
    /// `queue_config.batch_send_deadline`.
    pub batch_send_deadline: Duration,
    /// `queue_config.min_backoff`.
    pub min_backoff: Duration,
    /// `queue_config.max_backoff`.
    pub max_backoff: Duration,
    /// `queue_config.max_retry_after`.
    pub max_retry_after: Duration,
    /// `queue_config.sample_age_limit`.
    pub sample_age_limit: Duration,
    /// `queue_config.hold_interval`.
    pub hold_interval: Duration,
    /// `split_on_reject`.
    pub split_on_reject: bool,
    /// `out_of_order`.
    pub out_of_order: bool,
    /// `metric_name_validation_scheme`.
    pub metric_name_validation_scheme: NameScheme,
    /// `metadata_config.send`.
    pub metadata_send: bool,
    /// `metadata_config.send_interval`.
    pub metadata_send_interval: Duration,
    /// `labels.NAME`, in the order given.
    pub labels: Vec<(String, String)>,
    /// `instance`: none means the host name, an empty one no such label.
    pub instance: Option<String>,
    /// `exit_timeout`.
    pub exit_timeout: Duration,
    /// `exit_idle_timeout`.
    pub exit_idle_timeout: Duration,
    /// `idle_thread_timeout`.
    pub idle_thread_timeout: Duration,
    /// `series_idle_timeout`.
    pub series_idle_timeout: Duration,
    /// `spool_dir`; none means no spool.
    pub spool_dir: Option<PathBuf>,
    /// `spool_max_age`.
    pub spool_max_age: Duration,
    /// `spool_max_bytes`.
    pub spool_max_bytes: u64,
    tls: TlsOptions,
    proxy_url: Option<Secret>,
    no_proxy: Option<String>,
    proxy_from_environment: bool,
    username: Source,
    password: Source,
    scheme: String,
    credentials: Source,
    headers: Vec<(String, Source)>,
}

/// A secret in its three forms, all kept until [`Config::check`] can name two that stand side by side.
#[derive(Debug, Clone, PartialEq, Default)]
struct Source {
    literal: Option<Secret>,
    file: Option<PathBuf>,
    env: Option<String>,
}

impl Source {
    fn get(&self) -> Option<SecretSource> {
        (self.literal.clone().map(SecretSource::Literal))
            .or_else(|| self.file.clone().map(SecretSource::File))
            .or_else(|| self.env.clone().map(SecretSource::Env))
    }

    /// The keys in use, of the three given.
    fn keys(&self, keys: [String; 3]) -> Vec<String> {
        let used = [self.literal.is_some(), self.file.is_some(), self.env.is_some()];
        keys.into_iter().zip(used).filter_map(|(key, used)| used.then_some(key)).collect()
    }

    fn hash(&self, hasher: &mut impl Hasher) {
        (self.literal.as_ref().map(Secret::reveal), &self.file, &self.env).hash(hasher);
    }
}

impl Default for Config {
    /// The defaults of the table.
    fn default() -> Self {
        let zero = Duration::ZERO;
        let mut config = Config {
            remote_timeout: zero,
            require_https: false,
            user_agent: String::new(),
            capacity: 0,
            capacity_bytes: 0,
            overflow: Overflow::default(),
            block_timeout: zero,
            max_samples_per_send: 0,
            max_bytes_per_send: 0,
            batch_send_deadline: zero,
            min_backoff: zero,
            max_backoff: zero,
            max_retry_after: zero,
            sample_age_limit: zero,
            hold_interval: zero,
            split_on_reject: false,
            out_of_order: false,
            metric_name_validation_scheme: NameScheme::default(),
            metadata_send: false,
            metadata_send_interval: zero,
            labels: Vec::new(),
            instance: None,
            exit_timeout: zero,
            exit_idle_timeout: zero,
            idle_thread_timeout: zero,
            series_idle_timeout: zero,
            spool_dir: None,
            spool_max_age: zero,
            spool_max_bytes: 0,
            tls: TlsOptions::default(),
            proxy_url: None,
            no_proxy: None,
            proxy_from_environment: false,
            username: Source::default(),
            password: Source::default(),
            scheme: String::new(),
            credentials: Source::default(),
            headers: Vec::new(),
        };
        for option in OPTIONS {
            if let Some(default) = option.default {
                // cannot fail: a test sets every default
                let _ = option.apply(&mut config, option.key, "", default);
            }
        }
        config
    }
}

impl Config {
    /// The defaults with `pairs` set over them, checked.
    ///
    /// # Errors
    /// As [`Config::set`] and [`Config::check`].
    pub fn from_pairs<K: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (K, V)>) -> Result<Self> {
        let mut config = Config::default();
        for (key, value) in pairs {
            config.set(key.as_ref(), value.as_ref())?;
        }
        config.check()?;
        Ok(config)
    }

    /// Sets one option; a later value of the same key replaces an earlier one.
    ///
    /// # Errors
    /// [`Error::UnknownOption`] with the nearest key, [`Error::Invalid`] for a value outside its type or range; the
    /// value of a secret is shown as `***`.
    pub fn set(&mut self, key: &str, value: &str) -> Result<()> {
        match table::find(key) {
            Some((option, name)) => option.apply(self, key, name, value),
            None => {
                let printable = key.len() <= 120 && key.bytes().all(|b| b.is_ascii_graphic());
                let shown = if printable { key.to_owned() } else { shown(key) };
                Err(Error::UnknownOption { key: shown, nearest: table::nearest(key) })
            }
        }
    }

    /// Checks what only several options together can break.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming both options: a secret given in two forms, two ways to authenticate, a password
    /// without a user, a scheme without credentials, a first back-off above the largest.
    pub fn check(&self) -> Result<()> {
        for (_, keys) in self.secrets() {
            if let [first, second, ..] = &keys[..] {
                return Err(conflict(second, format!("stands beside {first}: give one of them")));
            }
        }
        let first = |option: &str, source: &Source| source.keys(forms(option)).into_iter().next();
        let username = first("basic_auth.username", &self.username);
        let password = first("basic_auth.password", &self.password);
        let credentials = first("authorization.credentials", &self.credentials);
        if let (Some(basic), Some(other)) = (username.as_ref().or(password.as_ref()), &credentials) {
            return Err(conflict(other, format!("stands beside {basic}: give one way to authenticate")));
        }
        if let (None, Some(password)) = (&username, &password) {
            return Err(conflict(password, "needs basic_auth.username as well".into()));
        }
        if credentials.is_none() && self.scheme != "Bearer" {
            let rule = "needs authorization.credentials as well";
            return Err(Error::invalid("authorization.type", &self.scheme, rule));
        }
        if self.min_backoff > self.max_backoff {
            let largest = parse::show_duration(self.max_backoff);
            let rule = format!("must not be above queue_config.max_backoff, which is {largest}");
            let value = parse::show_duration(self.min_backoff);
            return Err(Error::invalid("queue_config.min_backoff", value, rule));
        }
        Ok(())
    }

    /// What the transport needs.
    #[must_use]
    pub fn http(&self) -> HttpOptions {
        let empty = || SecretSource::Literal(Secret::new(""));
        let credentials = if let Some(credentials) = self.credentials.get() {
            Credentials::Authorization { scheme: self.scheme.clone(), credentials }
        } else if let Some(username) = self.username.get() {
            Credentials::Basic { username, password: self.password.get().unwrap_or_else(empty) }
        } else {
            Credentials::None
        };
        let header = |(name, source): &(String, Source)| Some((name.clone(), source.get()?));
        HttpOptions {
            credentials,
            headers: self.headers.iter().filter_map(header).collect(),
            tls: self.tls.clone(),
            proxy: ProxyOptions {
                url: self.proxy_url.clone().map(SecretSource::Literal),
                no_proxy: self.no_proxy.clone(),
                from_environment: self.proxy_from_environment,
            },
            require_https: self.require_https,
            user_agent: self.user_agent.clone(),
        }
    }

    /// The keys of the options that hold a secret as it is. Any header counts as one, a user name does not, a proxy only
    /// with user or password in its URL.
    #[must_use]
    pub fn literal_secrets(&self) -> Vec<String> {
        let literal = |(source, keys): (&Source, Vec<String>)| {
            (source.literal.is_some() && keys[0] != "basic_auth.username").then(|| keys[0].clone())
        };
        let mut keys: Vec<_> = self.secrets().filter_map(literal).collect();
        if self.proxy_url.as_ref().is_some_and(|url| url.reveal().contains('@')) {
            keys.push("proxy_url".to_owned());
        }
        keys
    }

    /// Refuses options that hold a secret as it is: for what writes options down or sends them to another process.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the first such option and what to use instead.
    pub fn check_no_literal_secret(&self) -> Result<()> {
        let Some(key) = self.literal_secrets().into_iter().next() else { return Ok(()) };
        let instead = match key.strip_prefix("headers.") {
            Some(name) => format!("headers_file.{name} or headers_env.{name}"),
            None if key == "proxy_url" => "proxy_from_environment".to_owned(),
            None => format!("{key}_file or {key}_env"),
        };
        Err(conflict(&key, format!("a secret must not leave this process; use {instead}")))
    }

    /// A number that is equal for equal options within one process. Keyed at random for each process, because literal
    /// secrets go into it.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        static KEY: OnceCell<RandomState> = OnceCell::new();
        let mut hasher = KEY.get_or_init(RandomState::new).build_hasher();
        let h = &mut hasher;
        // taken apart, so that a new option cannot be forgotten here
        let Config {
            remote_timeout,
            require_https,
            user_agent,
            capacity,
            capacity_bytes,
            overflow,
            block_timeout,
            max_samples_per_send,
            max_bytes_per_send,
            batch_send_deadline,
            min_backoff,
            max_backoff,
            max_retry_after,
            sample_age_limit,
            hold_interval,
            split_on_reject,
            out_of_order,
            metric_name_validation_scheme,
            metadata_send,
            metadata_send_interval,
            labels,
            instance,
            exit_timeout,
            exit_idle_timeout,
            idle_thread_timeout,
            series_idle_timeout,
            spool_dir,
            spool_max_age,
            spool_max_bytes,
            tls,
            proxy_url,
            no_proxy,
            proxy_from_environment,
            username,
            password,
            scheme,
            credentials,
            headers,
        } = self;
        (remote_timeout, require_https, user_agent, capacity, capacity_bytes, overflow, block_timeout)
            .hash(h);
        (max_samples_per_send, max_bytes_per_send, batch_send_deadline, min_backoff, max_backoff).hash(h);
        (max_retry_after, sample_age_limit, hold_interval, split_on_reject, out_of_order).hash(h);
        (*metric_name_validation_scheme as u8, metadata_send, metadata_send_interval).hash(h);
        (labels, instance, exit_timeout, exit_idle_timeout, idle_thread_timeout, series_idle_timeout).hash(h);
        (spool_dir, spool_max_age, spool_max_bytes).hash(h);
        (tls, proxy_url.as_ref().map(Secret::reveal), no_proxy, proxy_from_environment, scheme).hash(h);
        for source in [username, password, credentials] {
            source.hash(h);
        }
        headers.len().hash(h);
        for (name, source) in headers {
            name.hash(h);
            source.hash(h);
        }
        hasher.finish()
    }

    /// Every secret with its keys in use, the literal one first.
    fn secrets(&self) -> impl Iterator<Item = (&Source, Vec<String>)> {
        let fixed = [
            ("basic_auth.username", &self.username),
            ("basic_auth.password", &self.password),
            ("authorization.credentials", &self.credentials),
        ];
        let headers = self.headers.iter().map(|(name, source)| {
            let forms = ["headers", "headers_file", "headers_env"].map(|form| format!("{form}.{name}"));
            (source, source.keys(forms))
        });
        let fixed = fixed.into_iter().map(|(option, source)| (source, source.keys(forms(option))));
        fixed.chain(headers).filter(|(_, keys)| !keys.is_empty())
    }

    /// The header `name`, made if it is new; names are equal whatever their case.
    fn header(&mut self, name: &str) -> &mut Source {
        let at = self.headers.iter().position(|(n, _)| n.eq_ignore_ascii_case(name)).unwrap_or_else(|| {
            self.headers.push((name.to_owned(), Source::default()));
            self.headers.len() - 1
        });
        &mut self.headers[at].1
    }
}

fn forms(option: &str) -> [String; 3] {
    [option.to_owned(), format!("{option}_file"), format!("{option}_env")]
}

/// An error that shows no value, because it may be a secret.
fn conflict(key: &str, rule: String) -> Error {
    Error::Invalid { field: key.to_owned().into(), value: "***".into(), rule: rule.into() }
}
