//! Keyword arguments to options: every key of the option table, by the names Python can write.

use crate::errors::{OrRaise, exception};
use promwrite_core::config::{Config, Faces, OPTIONS, check_face, key_of_keyword, python_keywords};
use promwrite_core::error::Error;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyMapping, PyString, PyTuple};

/// Options as given, and what they mean.
pub struct Options {
    /// The pairs, to make the same object in another process.
    pub pairs: Vec<(String, String)>,
    /// Their meaning.
    pub config: Config,
}

/// Reads `options` (keys of the table) and `keywords` (their names in Python), for one face.
pub fn read(
    py: Python<'_>,
    options: Option<&Bound<'_, PyAny>>,
    keywords: Option<&Bound<'_, PyDict>>,
    face: Faces,
) -> PyResult<Options> {
    let mut pairs = Vec::new();
    if let Some(options) = options.filter(|options| !options.is_none()) {
        for (key, value) in mapping("options", options)? {
            let key: String = key.extract()?;
            push(&mut pairs, &key, &value)?;
        }
    }
    for (name, value) in keywords.into_iter().flat_map(|keywords| keywords.iter()) {
        if !value.is_none() {
            keyword(py, &mut pairs, &name.extract::<String>()?, &value)?;
        }
    }
    for (key, _) in &pairs {
        check_face(key, face).or_raise(py)?;
    }
    let config = Config::from_pairs(pairs.iter().map(|(k, v)| (k, v))).or_raise(py)?;
    Ok(Options { pairs, config })
}

fn keyword(
    py: Python<'_>,
    pairs: &mut Vec<(String, String)>,
    name: &str,
    value: &Bound<'_, PyAny>,
) -> PyResult<()> {
    match name {
        "basic_auth" => {
            let pair = value.cast::<PyTuple>().ok().filter(|pair| pair.len() == 2);
            let Some(pair) = pair else {
                return Err(PyTypeError::new_err("basic_auth: must be a tuple (user, password)"));
            };
            push(pairs, "basic_auth.username", &pair.get_item(0)?)?;
            return push(pairs, "basic_auth.password", &pair.get_item(1)?);
        }
        "bearer_token" => return push(pairs, "authorization.credentials", value),
        _ => {}
    }
    match key_of_keyword(name).or_else(|| short(name)) {
        Some(key) => match key.strip_suffix("NAME") {
            Some(prefix) => {
                for (name, value) in mapping(prefix.trim_end_matches('.'), value)? {
                    let name: String = name.extract()?;
                    push(pairs, &format!("{prefix}{name}"), &value)?;
                }
                Ok(())
            }
            None => push(pairs, key, value),
        },
        // refuses it, with the nearest key
        None => Config::default().set(name, "").or_raise(py),
    }
}

/// `capacity` for `queue_config.capacity`, `ca_file` for `tls_config.ca_file`.
fn short(name: &str) -> Option<&'static str> {
    let last = |key: &str| match key.split_once('.') {
        Some(("queue_config" | "tls_config", last)) => last == name,
        _ => false,
    };
    OPTIONS.iter().map(|option| option.key).find(|key| last(key))
}

fn mapping<'py>(
    what: &str,
    value: &Bound<'py, PyAny>,
) -> PyResult<Vec<(Bound<'py, PyAny>, Bound<'py, PyAny>)>> {
    let Ok(mapping) = value.cast::<PyMapping>() else {
        let class = value.get_type().name()?;
        return Err(PyTypeError::new_err(format!("{what}: must be a mapping, not {class}")));
    };
    mapping.items()?.iter().map(|item| item.extract()).collect()
}

fn push(pairs: &mut Vec<(String, String)>, key: &str, value: &Bound<'_, PyAny>) -> PyResult<()> {
    if !value.is_none() {
        pairs.push((key.to_owned(), text(key, value)?));
    }
    Ok(())
}

/// The value of an option as the table takes it.
fn text(key: &str, value: &Bound<'_, PyAny>) -> PyResult<String> {
    if let Ok(flag) = value.cast::<PyBool>() {
        return Ok(flag.is_true().to_string());
    }
    if value.is_instance_of::<PyString>() {
        return value.extract();
    }
    if value.is_instance_of::<PyInt>() || value.is_instance_of::<PyFloat>() {
        return value.str()?.extract();
    }
    if let Ok(bytes) = value.cast::<PyBytes>() {
        // a header is ISO 8859-1
        return Ok(bytes.as_bytes().iter().map(|b| char::from(*b)).collect());
    }
    let py = value.py();
    if value.hasattr("__fspath__")? {
        return py.import("os")?.call_method1("fspath", (value,))?.extract();
    }
    if value.hasattr("total_seconds")? {
        return value.call_method0("total_seconds")?.str()?.extract();
    }
    let class = value.get_type().name()?;
    Err(PyTypeError::new_err(format!("{key}: must be a str, number, bool, path or timedelta, not {class}")))
}

impl Options {
    /// The pairs, for another process; `url` is what they are used with. A literal secret must not leave this process.
    pub fn portable(&self, py: Python<'_>, url: &str) -> PyResult<Vec<(String, String)>> {
        self.config.check_no_literal_secret().or_raise(py)?;
        let authority = url.split_once("://").map_or(url, |(_, rest)| rest);
        if authority.split(['/', '?', '#']).next().is_some_and(|authority| authority.contains('@')) {
            let rule = "holds user and password, and a secret must not leave this process; use \
                        basic_auth.username with basic_auth.password_file or basic_auth.password_env";
            let (field, value) = ("url".into(), "***".into());
            return Err(exception(py, &Error::Invalid { field, value, rule: rule.into() }));
        }
        Ok(self.pairs.clone())
    }
}

/// The keyword arguments of a face, for its docstring.
#[pyfunction]
pub fn options_doc(writer: bool) -> String {
    python_keywords(if writer { Faces::Writer } else { Faces::Gateway })
}
