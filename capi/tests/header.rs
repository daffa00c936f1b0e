//! The header is what this crate says it is: made anew and compared. `PROMWRITE_BLESS=1` writes header and export list.

#![allow(missing_docs, clippy::unwrap_used)]

use promwrite_core::config::OPTIONS;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

const HEADER: &str = "include/promwrite/promwrite.h";
/// Its copy in the Go package, because the go tool does not notice a change of a header elsewhere.
const COPY: &str = "../go/promwrite.h";
const EXPORTS: &str = "exports";

/// What every C file reads first.
const PREAMBLE: &str = "\
/*
 * promwrite hands a job's metrics to Prometheus without ever blocking the job: remote write and Pushgateway.
 *
 * Made by `PROMWRITE_BLESS=1 cargo test -p promwrite-capi`; do not edit.
 *
 * Rules that hold everywhere:
 *
 * - Limits first. What ends without running exit handlers (_exit, a signal's default action, SIGKILL) loses what is pending: call
 *   promwrite_shutdown there. A full queue drops its oldest samples, counted, unless queue_config.overflow says otherwise. The library
 *   is never unloaded: dlclose leaves it in place, because it may own a thread.
 * - A function that can fail returns PROMWRITE_OK (0) or a negative code; flush and close may also return PROMWRITE_INCOMPLETE (1). Codes
 *   are never renumbered. `error`, the last argument, may be NULL; otherwise *error becomes NULL on success and an error to be freed on failure.
 * - Results (`**handle`, `*value`) are written on success only. A handle is freed by its own _free, which takes NULL and must not run
 *   while another thread uses the handle. Using a closed handle gives PROMWRITE_ERROR_CLOSED, using a freed one is undefined.
 * - A string is a pointer and a length in bytes, UTF-8, and need not end in NUL; the pointer may be NULL where the length is 0. Nothing is
 *   kept after a call. Strings that promwrite returns end in NUL.
 * - Times are milliseconds. Timestamps count from 1970 UTC, between 2001 and ten minutes from now; PROMWRITE_NOW is the time of the call.
 * - No function calls back, prints, sets a signal handler or raises a signal, and none but the waiting ones (flush, close, shutdown,
 *   promwrite_wait_poll) waits for anything. All but _free and promwrite_options_set may be called from any thread at any time.
 * - After fork a child has empty queues and connections of its own; handles stay valid. What was pending belongs to the parent.
 * - exit and a return from main flush what is pending: until 3 s after the last delivery, at most 30 s (options exit_idle_timeout, exit_timeout).
 */";

fn constants() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut out = format!(
        "\n/**\n * The version of this header; see promwrite_version.\n */\n#define PROMWRITE_VERSION \"{version}\"\n"
    );
    for (name, value) in [
        ("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ] {
        let _ = writeln!(out, "#define PROMWRITE_VERSION_{name} {value}");
    }
    out.push_str("\n/*\n * The options, for promwrite_options_set. One that ends in _PREFIX is followed by a name, as in \"labels.job\".\n */\n");
    for option in OPTIONS {
        let (key, suffix) = match option.key.strip_suffix("NAME") {
            Some(prefix) => (prefix, "_PREFIX"),
            None => (option.key, ""),
        };
        let name = key.trim_end_matches('.').replace('.', "_").to_uppercase();
        let default =
            option.default.map(|d| format!(" Default: {}.", if d.is_empty() { "empty" } else { d }));
        let _ = writeln!(
            out,
            "/**\n * {} ({}).{}\n */\n#define PROMWRITE_OPTION_{name}{suffix} \"{key}\"",
            option.meaning.trim_end_matches('.'),
            option.type_name(),
            default.unwrap_or_default()
        );
    }
    out
}

fn header() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config = cbindgen::Config::from_file(root.join("cbindgen.toml")).unwrap();
    config.header = Some(PREAMBLE.to_owned());
    config.after_includes = Some(constants());
    let mut made = Vec::new();
    cbindgen::generate_with_config(root, config).unwrap().write(&mut made);
    String::from_utf8(made).unwrap()
}

/// The functions that a header declares.
fn functions(header: &str) -> BTreeSet<&str> {
    let code = header.lines().filter(|line| !line.trim_start().starts_with('*'));
    code.filter_map(|line| {
        let before = &line[..line.find('(')?];
        let name = &before[before.rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')? + 1..];
        name.starts_with("promwrite_").then_some(name)
    })
    .collect()
}

fn compare(file: &str, made: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    if std::env::var_os("PROMWRITE_BLESS").is_some() {
        std::fs::write(&path, made).unwrap();
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == made, "{file} is stale: PROMWRITE_BLESS=1 cargo test -p promwrite-capi --test header");
}

#[test]
fn the_header_is_current_and_everything_in_it_documented() {
    let made = header();
    compare(HEADER, &made);
    compare(COPY, &made);
    let mut before = "";
    for line in made.lines() {
        let declares = line.starts_with("typedef") || functions(line).len() == 1;
        assert!(!declares || before == " */", "no documentation: {line}");
        if !declares || line.ends_with(';') {
            before = line;
        }
    }
}

#[test]
fn the_export_list_is_that_of_the_header() {
    let made = header();
    let names: String = functions(&made).iter().map(|name| format!("{name}\n")).collect();
    compare(EXPORTS, &names);
}

#[test]
fn the_codes_are_those_of_the_core() {
    use promwrite_core::error::{Error, SendErrorKind};
    let made = header();
    let text = String::new;
    for (error, name) in [
        (Error::invalid("", "", ""), "INVALID"),
        (Error::UnknownOption { key: text(), nearest: None }, "UNKNOWN_OPTION"),
        (
            Error::InvalidTimestamp { value: text(), as_milliseconds: text(), as_seconds: text() },
            "INVALID_TIMESTAMP",
        ),
        (Error::Exposition { line: 1, column: 1, rule: text() }, "EXPOSITION"),
        (Error::TooLarge { field: "".into(), size: 1, limit: 0 }, "TOO_LARGE"),
        (Error::QueueFull { samples: 0, bytes: 0, max_samples: 0, max_bytes: 0 }, "QUEUE_FULL"),
        (Error::Closed { what: "" }, "CLOSED"),
        (Error::SenderFailed, "SENDER_FAILED"),
        (Error::Send { url: text(), kind: SendErrorKind::Dns, message: text() }, "SEND"),
        (Error::Status { url: text(), status: 500, message: text() }, "STATUS"),
        (Error::Internal { place: "".into(), message: text() }, "INTERNAL"),
    ] {
        let line = format!("#define PROMWRITE_ERROR_{name} {}\n", error.code());
        assert!(made.contains(&line), "{line}");
    }
}
