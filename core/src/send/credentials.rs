//! Secrets that print as `***`, and where they come from.
//!
//! A secret is read when a sender is made, and read again after a 401, so that a rotated token is picked up without
//! a restart. A secret given by file or by environment variable is known here by that name alone until then.

use super::endpoint::Endpoint;
use super::headers;
use crate::error::{Error, Result};
use base64::Engine as _;
use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Secrets are short; a larger file is the wrong file (`/dev/zero`, a log).
const MAX_SECRET: u64 = 64 * 1024;

/// A secret value. `Debug` prints `***`; there is no `Display`, no serialisation and no hash.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// The secret itself, for the one place that writes it into a header.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// Given as it is.
    Literal(Secret),
    /// The content of a file without its last line end, read anew after a 401.
    File(PathBuf),
    /// The value of an environment variable, read anew after a 401.
    Env(String),
}

impl SecretSource {
    /// Reads the secret of option `option`: a file of at most 64 KiB or a variable, less one line end at its end.
    ///
    /// # Errors
    ///
    /// [`Error::Invalid`] names the option with the suffix `_file` or `_env`, and the path or the variable, where
    /// that cannot be read, is empty, is not UTF-8, or holds a line break or NUL inside. The content is never shown.
    pub fn read(&self, option: &str) -> Result<Secret> {
        let (field, value, text) = match self {
            SecretSource::Literal(secret) => (option.to_owned(), "***".to_owned(), secret.0.clone()),
            SecretSource::File(path) => {
                let (field, value) = (format!("{option}_file"), path.to_string_lossy().into_owned());
                let mut bytes = Vec::new();
                File::open(path).and_then(|file| file.take(MAX_SECRET + 1).read_to_end(&mut bytes)).map_err(
                    |e| Error::invalid(field.clone(), &value, format!("the file cannot be read: {e}")),
                )?;
                if bytes.len() as u64 > MAX_SECRET {
                    return Err(Error::invalid(field, &value, "the file must hold at most 64 KiB"));
                }
                let text = String::from_utf8(bytes)
                    .map_err(|_| Error::invalid(field.clone(), &value, "the file must be UTF-8"))?;
                (field, value, text)
            }
            SecretSource::Env(name) => {
                let field = format!("{option}_env");
                let text = match std::env::var(name) {
                    Ok(text) => text,
                    Err(std::env::VarError::NotPresent) => {
                        return Err(Error::invalid(field, name, "the environment variable is not set"));
                    }
                    Err(std::env::VarError::NotUnicode(_)) => {
                        return Err(Error::invalid(field, name, "the environment variable must be UTF-8"));
                    }
                };
                (field, name.clone(), text)
            }
        };
        if let SecretSource::Literal(_) = self {
            return check_secret(field, value, &text).map(|()| Secret(text));
        }
        let text = text.strip_suffix('\n').map_or(text.as_str(), |t| t.strip_suffix('\r').unwrap_or(t));
        if text.is_empty() {
            return Err(Error::invalid(field, value, "must not be empty"));
        }
        check_secret(field, value, text).map(|()| Secret::new(text))
    }
}

fn check_secret(field: String, value: String, text: &str) -> Result<()> {
    if text.contains(['\r', '\n', '\0']) {
        return Err(Error::Invalid {
            field: field.into(),
            value,
            rule: "must hold no line break and no NUL".into(),
        });
    }
    Ok(())
}

/// How requests authenticate: at most one way, as in Prometheus's `remote_write`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Credentials {
    /// No `Authorization` header.
    #[default]
    None,
    /// `basic_auth`: user and password, UTF-8.
    Basic {
        /// `basic_auth.username`, `…_file` or `…_env`.
        username: SecretSource,
        /// `basic_auth.password`, `…_file` or `…_env`; an empty password where none is given.
        password: SecretSource,
    },
    /// `authorization`: a scheme and its credentials, `Bearer` by default.
    Authorization {
        /// `authorization.type`.
        scheme: String,
        /// `authorization.credentials`, `…_file` or `…_env`.
        credentials: SecretSource,
    },
}

impl Credentials {
    /// Reads the secrets and makes the value of the `Authorization` header, if there is one.
    fn header(&self) -> Result<Option<Secret>> {
        match self {
            Credentials::None => Ok(None),
            Credentials::Basic { username, password } => {
                let username = username.read("basic_auth.username")?;
                if username.0.contains(':') {
                    return Err(Error::Invalid {
                        field: "basic_auth.username".into(),
                        value: "***".into(),
                        rule: "must hold no colon (RFC 7617)".into(),
                    });
                }
                let password = password.read("basic_auth.password")?;
                Ok(Some(Secret(basic(&username, &password))))
            }
            Credentials::Authorization { scheme, credentials } => {
                let credentials = credentials.read("authorization.credentials")?;
                if credentials.0.is_empty() {
                    return Err(Error::Invalid {
                        field: "authorization.credentials".into(),
                        value: "***".into(),
                        rule: "must not be empty".into(),
                    });
                }
                Ok(Some(Secret(format!("{scheme} {}", credentials.0))))
            }
        }
    }
}

/// `Basic …` as RFC 7617 writes it, UTF-8.
pub(super) fn basic(username: &Secret, password: &Secret) -> String {
    let pair = format!("{}:{}", username.0, password.0);
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

/// The headers of an endpoint with their secrets read: once, and anew after [`CredentialStore::refresh`].
///
/// Nothing of it is ever shown: `Debug` prints the type's name alone.
pub struct CredentialStore {
    endpoint: Arc<Endpoint>,
    read: Mutex<Option<Arc<ResolvedHeaders>>>,
}

/// Names with the spelling that the user gave, and values as bytes of the wire.
pub type ResolvedHeaders = Vec<(String, Vec<u8>)>;

impl CredentialStore {
    /// Reads every secret of `endpoint` once, so that a missing file or variable is reported at construction.
    ///
    /// # Errors
    ///
    /// Those of [`SecretSource::read`], and [`Error::Invalid`] for a secret that no header can carry.
    pub fn new(endpoint: Arc<Endpoint>) -> Result<Self> {
        let store = CredentialStore { endpoint, read: Mutex::new(None) };
        store.headers()?;
        Ok(store)
    }

    /// The endpoint's own headers and `Authorization`.
    ///
    /// # Errors
    ///
    /// As [`CredentialStore::new`], where a secret became unreadable since; the next call tries again.
    pub fn headers(&self) -> Result<Arc<ResolvedHeaders>> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(headers) = &*read {
            return Ok(headers.clone());
        }
        let options = self.endpoint.options();
        let mut resolved = Vec::with_capacity(options.headers.len() + 1);
        for (name, source) in &options.headers {
            let option = format!("headers.{name}");
            let value = source.read(&option)?;
            resolved.push((name.clone(), headers::value_bytes(&option, value.reveal())?));
        }
        if let Some(value) = options.credentials.header()? {
            let value = headers::value_bytes("authorization.credentials", value.reveal())?;
            resolved.push(("Authorization".to_owned(), value));
        }
        Ok(read.insert(Arc::new(resolved)).clone())
    }

    /// Forgets what was read, because the receiver answered 401: a token file may have been rotated.
    pub fn refresh(&self) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl fmt::Debug for CredentialStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CredentialStore")
    }
}
