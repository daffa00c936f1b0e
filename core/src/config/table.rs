//! The table.

use super::parse::{duration, show_duration, show_size, size};
use super::{Config, Overflow, Source};
use crate::error::{Error, Result};
use crate::input::labels::NameScheme;
use crate::send::credentials::Secret;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Which faces an option means something to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Faces {
    /// Remote write only.
    Writer,
    /// The Pushgateway only: pusher and handler.
    Gateway,
    /// Both.
    Both,
}

/// An option: one row of the table.
pub struct OptionSpec {
    /// The key. One that ends in `.NAME` stands for all names.
    pub key: &'static str,
    /// The default as it would be set; none where the option is unset by default.
    pub default: Option<&'static str>,
    /// What it does, in a sentence or two.
    pub meaning: &'static str,
    /// Whom it concerns.
    pub faces: Faces,
    kind: Kind,
}

/// Type and range of an option, and where its value goes.
enum Kind {
    Duration(Duration, Duration, fn(&mut Config, Duration)),
    Count(u64, u64, fn(&mut Config, u64)),
    Size(u64, u64, fn(&mut Config, u64)),
    Bool(fn(&mut Config, bool)),
    Choice(&'static [&'static str], fn(&mut Config, usize)),
    Text(fn(&mut Config, &str)),
    Path(fn(&mut Config, PathBuf)),
    SecretUrl(fn(&mut Config, Secret)),
    Secret(fn(&mut Config) -> &mut Source),
    SecretFile(fn(&mut Config) -> &mut Source),
    SecretEnv(fn(&mut Config) -> &mut Source),
    Header,
    HeaderFile,
    HeaderEnv,
    Label,
}

impl OptionSpec {
    /// The type, in a word.
    #[must_use]
    pub fn type_name(&self) -> &'static str {
        match self.kind {
            Kind::Duration(..) => "duration",
            Kind::Count(..) => "integer",
            Kind::Size(..) => "size",
            Kind::Bool(_) => "boolean",
            Kind::Choice(..) => "choice",
            Kind::Text(_) | Kind::Label => "string",
            Kind::Path(_) | Kind::SecretFile(_) | Kind::HeaderFile => "path",
            Kind::SecretUrl(_) | Kind::Secret(_) | Kind::Header => "secret",
            Kind::SecretEnv(_) | Kind::HeaderEnv => "environment variable",
        }
    }

    /// Whether its value is shown as `***`.
    #[must_use]
    pub fn is_secret(&self) -> bool {
        self.type_name() == "secret"
    }

    /// The allowed values, in words; empty where all are.
    #[must_use]
    pub fn range(&self) -> String {
        match &self.kind {
            Kind::Duration(min, max, _) => format!("{} to {}", show_duration(*min), show_duration(*max)),
            Kind::Count(min, max, _) => format!("{min} to {max}"),
            Kind::Size(min, max, _) => format!("{} to {}", show_size(*min), show_size(*max)),
            Kind::Bool(_) => "true, false".to_owned(),
            Kind::Choice(names, _) => names.join(", "),
            _ => String::new(),
        }
    }

    /// The keyword argument of the Python binding: dots become underscores; options with names are dictionaries.
    #[must_use]
    pub fn keyword(&self) -> String {
        self.key.strip_suffix(".NAME").unwrap_or(self.key).replace('.', "_")
    }

    /// Sets `value`; `name` is what stands for NAME in `key`.
    pub(super) fn apply(&self, config: &mut Config, key: &str, name: &str, value: &str) -> Result<()> {
        let refuse = |rule: String| {
            let mut error = Error::invalid(key.to_owned(), value, rule);
            // what is no name of a variable is often the secret itself: base64 ends with =
            let hidden = self.is_secret() || matches!(self.kind, Kind::SecretEnv(_) | Kind::HeaderEnv);
            if let (true, Error::Invalid { value, .. }) = (hidden, &mut error) {
                *value = "***".to_owned();
            }
            error
        };
        let text = value.trim();
        match &self.kind {
            Kind::Duration(min, max, set) => match duration(text) {
                Some(value) if (*min..=*max).contains(&value) => set(config, value),
                _ => {
                    let rule = "must be seconds (2.5) or a duration such as 1m30s or 500ms, from";
                    return Err(refuse(format!("{rule} {}", self.range())));
                }
            },
            Kind::Count(min, max, set) => match text.parse() {
                Ok(value) if (*min..=*max).contains(&value) => set(config, value),
                _ => return Err(refuse(format!("must be a whole number from {}", self.range()))),
            },
            Kind::Size(min, max, set) => match size(text) {
                Some(value) if (*min..=*max).contains(&value) => set(config, value),
                _ => {
                    let rule = "must be bytes or a size such as 1MB or 64MiB, from";
                    return Err(refuse(format!("{rule} {}", self.range())));
                }
            },
            Kind::Bool(set) => match text.to_ascii_lowercase().as_str() {
                "true" => set(config, true),
                "false" => set(config, false),
                _ => return Err(refuse("must be true or false".into())),
            },
            Kind::Choice(names, set) => match names.iter().position(|name| *name == text) {
                Some(at) => set(config, at),
                None => return Err(refuse(format!("must be one of {}", self.range()))),
            },
            Kind::Text(set) => set(config, value),
            Kind::Path(set) => set(config, path(value).map_err(refuse)?),
            Kind::SecretUrl(set) => match value.is_empty() {
                true => return Err(refuse("must not be empty: leave the option out".into())),
                false => set(config, Secret::new(value)),
            },
            Kind::Secret(at) => at(config).literal = Some(Secret::new(value)),
            Kind::SecretFile(at) => at(config).file = Some(path(value).map_err(refuse)?),
            Kind::SecretEnv(at) => at(config).env = Some(variable(value).map_err(refuse)?),
            Kind::Header => config.header(name).literal = Some(Secret::new(value)),
            Kind::HeaderFile => {
                let file = path(value).map_err(refuse)?;
                config.header(name).file = Some(file);
            }
            Kind::HeaderEnv => {
                let variable = variable(value).map_err(refuse)?;
                config.header(name).env = Some(variable);
            }
            Kind::Label => {
                config.labels.retain(|(have, _)| have != name);
                config.labels.push((name.to_owned(), value.to_owned()));
            }
        }
        Ok(())
    }
}

impl fmt::Debug for OptionSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OptionSpec").field("key", &self.key).field("default", &self.default).finish()
    }
}

fn path(value: &str) -> std::result::Result<PathBuf, String> {
    match value.is_empty() || value.contains('\0') {
        true => Err("must be a path".into()),
        false => Ok(value.into()),
    }
}

fn variable(value: &str) -> std::result::Result<String, String> {
    match value.is_empty() || value.contains(['\0', '=']) {
        true => Err("must be the name of an environment variable".into()),
        false => Ok(value.into()),
    }
}

/// The option of `key`, and what stands there for NAME.
pub(super) fn find(key: &str) -> Option<(&'static OptionSpec, &str)> {
    OPTIONS.iter().find_map(|option| match option.key.strip_suffix("NAME") {
        Some(prefix) => key.strip_prefix(prefix).filter(|name| !name.is_empty()).map(|name| (option, name)),
        None => (option.key == key).then_some((option, "")),
    })
}

/// The key of a keyword argument ([`OptionSpec::keyword`]), with `.NAME` where it takes a dictionary.
#[must_use]
pub fn key_of_keyword(keyword: &str) -> Option<&'static str> {
    OPTIONS.iter().find(|option| option.keyword() == keyword).map(|option| option.key)
}

/// Refuses an option that `face` would pass over in silence. A key that is no option is [`Config::set`]'s to refuse.
///
/// # Errors
/// [`Error::Invalid`] naming the option; its value is not shown, because it may be a secret.
pub fn check_face(key: &str, face: Faces) -> Result<()> {
    match find(key) {
        Some((option, _)) if option.faces != Faces::Both && option.faces != face => {
            let rule = match face {
                Faces::Writer => "an option of Pusher and Handler, without meaning for a Writer",
                _ => "an option of Writer, without meaning here",
            };
            let field = key.to_owned().into();
            Err(Error::Invalid { field, value: "***".into(), rule: rule.into() })
        }
        _ => Ok(()),
    }
}

/// The key that looks most like `key`, whole or by its last part, if it looks like any.
pub(super) fn nearest(key: &str) -> Option<&'static str> {
    // a mistyped key is not this long, and the distance takes the product of the lengths
    if key.len() > 100 {
        return None;
    }
    let distance = |option: &OptionSpec| match option.key.strip_suffix(".NAME") {
        Some(prefix) => edits(key.split('.').next().unwrap_or(key), prefix),
        None => {
            let last = option.key.rsplit('.').next().unwrap_or(option.key);
            edits(key, option.key).min(edits(key, last))
        }
    };
    let (distance, option) =
        OPTIONS.iter().map(|option| (distance(option), option)).min_by_key(|(distance, _)| *distance)?;
    (distance <= 2.max(key.len() / 4)).then_some(option.key)
}

/// Levenshtein's distance.
fn edits(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replace = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

const MS: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);
const YEAR: Duration = Duration::from_secs(365 * 86_400);

use Faces::{Both, Writer};

const fn row(
    key: &'static str,
    kind: Kind,
    default: &'static str,
    faces: Faces,
    meaning: &'static str,
) -> OptionSpec {
    OptionSpec { key, default: Some(default), meaning, faces, kind }
}

const fn unset(key: &'static str, kind: Kind, faces: Faces, meaning: &'static str) -> OptionSpec {
    OptionSpec { key, default: None, meaning, faces, kind }
}

/// All options. No key is a prefix of another's names, so the order is only the reader's.
#[rustfmt::skip] // a row is a line or two: what it is, what it means
pub const OPTIONS: &[OptionSpec] = &[
    row("remote_timeout", Kind::Duration(MS, HOUR, |c, v| c.remote_timeout = v), "30s", Both,
        "The longest that one request may take, from the name's resolution to the last byte of the answer."),
    unset("basic_auth.username", Kind::Secret(|c| &mut c.username), Both,
        "User of basic authentication. One way to authenticate may be given: this, authorization, or user and password in the URL."),
    unset("basic_auth.username_file", Kind::SecretFile(|c| &mut c.username), Both,
        "File that holds the user; read again after a 401."),
    unset("basic_auth.username_env", Kind::SecretEnv(|c| &mut c.username), Both,
        "Environment variable that holds the user; read again after a 401."),
    unset("basic_auth.password", Kind::Secret(|c| &mut c.password), Both,
        "Password of basic authentication; empty if none is given. It leaves this process in requests alone."),
    unset("basic_auth.password_file", Kind::SecretFile(|c| &mut c.password), Both,
        "File that holds the password; read again after a 401."),
    unset("basic_auth.password_env", Kind::SecretEnv(|c| &mut c.password), Both,
        "Environment variable that holds the password; read again after a 401."),
    row("authorization.type", Kind::Text(|c, v| c.scheme = v.to_owned()), "Bearer", Both,
        "Scheme of the Authorization header that carries authorization.credentials."),
    unset("authorization.credentials", Kind::Secret(|c| &mut c.credentials), Both,
        "Token of the Authorization header. It leaves this process in requests alone."),
    unset("authorization.credentials_file", Kind::SecretFile(|c| &mut c.credentials), Both,
        "File that holds the token; read again after a 401."),
    unset("authorization.credentials_env", Kind::SecretEnv(|c| &mut c.credentials), Both,
        "Environment variable that holds the token; read again after a 401."),
    unset("headers.NAME", Kind::Header, Both,
        "Header NAME of every request, such as X-BK-TOKEN or X-Scope-OrgID. Taken for a secret; headers that promwrite sets are refused."),
    unset("headers_file.NAME", Kind::HeaderFile, Both,
        "File that holds the value of header NAME; read again after a 401."),
    unset("headers_env.NAME", Kind::HeaderEnv, Both,
        "Environment variable that holds the value of header NAME; read again after a 401."),
    unset("tls_config.ca_file", Kind::Path(|c, v| c.tls.ca_file = Some(v)), Both,
        "Certificates in PEM that are trusted beside the system's."),
    unset("tls_config.cert_file", Kind::Path(|c, v| c.tls.cert_file = Some(v)), Both,
        "Client certificate chain in PEM; needs tls_config.key_file."),
    unset("tls_config.key_file", Kind::Path(|c, v| c.tls.key_file = Some(v)), Both,
        "Private key of tls_config.cert_file in PEM."),
    row("tls_config.insecure_skip_verify", Kind::Bool(|c, v| c.tls.insecure_skip_verify = v), "false", Both,
        "Accept any certificate: whoever stands between can then read credentials and change metrics."),
    row("require_https", Kind::Bool(|c, v| c.require_https = v), "false", Both,
        "Refuse a URL that begins with http://."),
    unset("proxy_url", Kind::SecretUrl(|c, v| c.proxy_url = Some(v)), Both,
        "Proxy for all requests, http:// or https://; user and password may stand in it. It takes the place of the environment's proxies."),
    unset("no_proxy", Kind::Text(|c, v| c.no_proxy = Some(v.to_owned())), Both,
        "Hosts reached without a proxy, separated by commas, as in the environment variable no_proxy."),
    row("proxy_from_environment", Kind::Bool(|c, v| c.proxy_from_environment = v), "true", Both,
        "Honour http_proxy, https_proxy and no_proxy, as the clients that promwrite replaces do."),
    row("user_agent", Kind::Text(|c, v| c.user_agent = v.to_owned()), "", Both,
        "User-Agent header; empty means promwrite and its version."),
    row("queue_config.capacity", Kind::Count(1, 1_000_000_000, |c, v| c.capacity = v), "1000000", Both,
        "Samples, or pushes, that may wait."),
    row("queue_config.capacity_bytes", Kind::Size(1 << 10, 1 << 40, |c, v| c.capacity_bytes = v), "64MiB", Both,
        "Memory that waiting samples or pushes and the series registry may take."),
    row("queue_config.overflow", Kind::Choice(&["drop_oldest", "drop_newest", "error", "block"], |c, v| {
            c.overflow = [Overflow::DropOldest, Overflow::DropNewest, Overflow::Error, Overflow::Block][v];
        }), "drop_oldest", Both,
        "What happens when the queue is full. Every drop is counted and logged; only block makes a caller wait."),
    row("queue_config.block_timeout", Kind::Duration(Duration::ZERO, HOUR, |c, v| c.block_timeout = v), "5s", Both,
        "The longest that queue_config.overflow = block makes a caller wait."),
    row("queue_config.max_samples_per_send", Kind::Count(1, 1_000_000, |c, v| c.max_samples_per_send = v as usize), "2000", Writer,
        "Samples in a request."),
    row("queue_config.max_bytes_per_send", Kind::Size(256, 32 << 20, |c, v| c.max_bytes_per_send = v as usize), "1MB", Writer,
        "Bytes in a request before compression; several receivers refuse more than the default. A series whose labels alone are larger is refused."),
    row("queue_config.batch_send_deadline", Kind::Duration(Duration::ZERO, HOUR, |c, v| c.batch_send_deadline = v), "1s", Writer,
        "The longest that a sample waits for others to share its request; flush does not wait."),
    row("queue_config.min_backoff", Kind::Duration(MS, HOUR, |c, v| c.min_backoff = v), "500ms", Both,
        "Wait before the first retry; doubled each time, ± 10 % at random."),
    row("queue_config.max_backoff", Kind::Duration(MS, DAY, |c, v| c.max_backoff = v), "30s", Both,
        "The longest wait between retries."),
    row("queue_config.max_retry_after", Kind::Duration(Duration::ZERO, DAY, |c, v| c.max_retry_after = v), "5m", Both,
        "The longest wait that a receiver's Retry-After is granted."),
    row("queue_config.sample_age_limit", Kind::Duration(MS, YEAR, |c, v| c.sample_age_limit = v), "1h", Both,
        "What waits longer than this is dropped and counted as too_old."),
    row("queue_config.hold_interval", Kind::Duration(MS, DAY, |c, v| c.hold_interval = v), "30s", Both,
        "Wait between attempts after 401, 403, 404 or 3xx, which speak of the set-up and not of the data."),
    row("split_on_reject", Kind::Bool(|c, v| c.split_on_reject = v), "true", Both,
        "Send a request that was refused with 400 or 413 again in halves, so that one bad sample costs one sample."),
    row("out_of_order", Kind::Bool(|c, v| c.out_of_order = v), "false", Writer,
        "Send samples that are older than one already sent, for receivers that take them; otherwise they count as superseded."),
    row("metric_name_validation_scheme", Kind::Choice(&["legacy", "utf8"], |c, v| {
            c.metric_name_validation_scheme = [NameScheme::Legacy, NameScheme::Utf8][v];
        }), "legacy", Writer,
        "Allowed metric and label names: legacy is letters, digits, _ and : as every receiver takes them, utf8 is any text, as Prometheus 3 does."),
    row("metadata_config.send", Kind::Bool(|c, v| c.metadata_send = v), "true", Writer,
        "Send type, help and unit of metrics."),
    row("metadata_config.send_interval", Kind::Duration(MS, DAY, |c, v| c.metadata_send_interval = v), "1m", Writer,
        "How often they are sent again; a change is sent at once."),
    unset("labels.NAME", Kind::Label, Writer,
        "Label NAME of every series of the writer; a series' own label of that name wins."),
    unset("instance", Kind::Text(|c, v| c.instance = Some(v.to_owned())), Both,
        "Label instance of a Writer's series and of a Pusher's grouping key: the host name unless given, none if empty. Handlers add no label."),
    row("exit_timeout", Kind::Duration(Duration::ZERO, DAY, |c, v| c.exit_timeout = v), "30s", Both,
        "The longest that the end of the process waits for deliveries, all senders together."),
    row("exit_idle_timeout", Kind::Duration(Duration::ZERO, DAY, |c, v| c.exit_idle_timeout = v), "3s", Both,
        "The end of the process stops waiting this long after the last delivery. A receiver that takes longer for a request needs a larger value."),
    row("idle_thread_timeout", Kind::Duration(Duration::ZERO, DAY, |c, v| c.idle_thread_timeout = v), "5s", Both,
        "The sending thread ends after this time without work and starts again with the next."),
    row("series_idle_timeout", Kind::Duration(MS, YEAR, |c, v| c.series_idle_timeout = v), "5m", Writer,
        "A series without handle and waiting sample is forgotten after this time."),
    unset("spool_dir", Kind::Path(|c, v| c.spool_dir = Some(v)), Writer,
        "Directory for what cannot be sent: what is left when the writer is closed or the process ends, and what the queue has no room for. A later process with the same directory, URL and user sends it. Made if there is none; must belong to this user and be writable by nobody else."),
    row("spool_max_age", Kind::Duration(MS, YEAR, |c, v| c.spool_max_age = v), "1h", Writer,
        "What is in spool_dir for longer is dropped and counted as expired; most receivers refuse samples older than this."),
    row("spool_max_bytes", Kind::Size(4 << 10, 1 << 40, |c, v| c.spool_max_bytes = v), "64MiB", Writer,
        "Disk that all files of spool_dir may take together. The oldest file that no other living process has is removed first, and counted as spool_full."),
];
