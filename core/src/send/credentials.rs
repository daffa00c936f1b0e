//! Secrets that print as `***`, and where they come from.
//!
//! A secret is read when it is used, and read again after a 401, so that a rotated token is picked up without a
//! restart. A secret given by file or by environment variable is known here by that name alone until then.

use std::fmt;
use std::path::PathBuf;

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
