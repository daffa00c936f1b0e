//! Documentation made from the table.

use super::table::{Faces, OPTIONS, OptionSpec};
use std::fmt::Write as _;

/// The reference page of all options, in Markdown.
#[must_use]
pub fn reference_page() -> String {
    let mut page = String::from(
        "# Options\n\n\
         Made from the table in `core/src/config/table.rs`; a test compares (`PROMWRITE_BLESS=1` writes it anew).\n\n\
         Every binding takes the same keys and values. A duration is a number of seconds (`2`, `0.5`) or a string \
         such as `500ms`, `30s` or `1h30m`. A size is a number of bytes or a string such as `1MB` (1000000) or `64MiB`. \
         A file or an environment variable in place of a secret is read when sending begins and again after a 401.\n\n\
         | option | type | default | allowed | for | meaning |\n|---|---|---|---|---|---|\n",
    );
    for option in OPTIONS {
        let default = match option.default {
            None => String::new(),
            Some("") => "empty".to_owned(),
            Some(default) => format!("`{default}`"),
        };
        let faces = match option.faces {
            Faces::Writer => "writer",
            Faces::Gateway => "gateway",
            Faces::Both => "both",
        };
        let _ = writeln!(
            page,
            "| `{}` | {} | {default} | {} | {faces} | {} |",
            option.key,
            option.type_name(),
            option.range(),
            option.meaning.replace('|', "\\|"),
        );
    }
    page
}

/// The options of `faces` as keyword arguments of a Python docstring: name, type, default, meaning, range.
#[must_use]
pub fn python_keywords(faces: Faces) -> String {
    let mut text = String::new();
    for option in OPTIONS {
        if faces != Faces::Both && option.faces != Faces::Both && option.faces != faces {
            continue;
        }
        let _ = write!(text, "{}: {}", option.keyword(), python_type(option));
        if let Some(default) = option.default {
            let _ = write!(text, " = {}", python_default(option, default));
        }
        let _ = write!(text, "\n    {}", option.meaning);
        let range = option.range();
        if !range.is_empty() && option.type_name() != "boolean" {
            let _ = write!(text, " Allowed: {range}.");
        }
        text.push('\n');
    }
    text
}

fn python_type(option: &OptionSpec) -> &'static str {
    if option.key.ends_with(".NAME") {
        return "Mapping[str, str]";
    }
    match option.type_name() {
        "duration" => "float | str",
        "integer" => "int",
        "size" => "int | str",
        "boolean" => "bool",
        _ => "str",
    }
}

fn python_default(option: &OptionSpec, default: &str) -> String {
    match (option.type_name(), default) {
        ("boolean", "true") => "True".to_owned(),
        ("boolean", _) => "False".to_owned(),
        ("integer", number) => number.to_owned(),
        (_, text) => format!("\"{text}\""),
    }
}
