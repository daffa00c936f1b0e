use super::*;
use std::collections::HashSet;

const CANARY: &str = "s3cr3t-canary";

fn refused(pairs: &[(&str, &str)]) -> String {
    let error = Config::from_pairs(pairs.iter().copied()).unwrap_err().to_string();
    assert!(!error.contains(CANARY), "{error}");
    error
}

/// A key and a value other than the default, for every row of the table.
fn examples() -> Vec<(String, &'static str)> {
    let value = |option: &OptionSpec| match (option.type_name(), option.default) {
        ("duration", _) => "7s",
        ("integer", _) => "7",
        ("size", _) => "7KiB",
        ("boolean", Some("true")) => "false",
        ("boolean", _) => "true",
        ("choice", Some("legacy")) => "utf8",
        ("choice", _) => "block",
        _ => "seven",
    };
    OPTIONS.iter().map(|option| (option.key.replace("NAME", "a-Name"), value(option))).collect()
}

#[test]
fn defaults_are_those_of_the_table_and_pass_their_own_rules() {
    let config = Config::default();
    assert_eq!(config.check(), Ok(()));
    let mut again = Config::default();
    for option in OPTIONS {
        if let Some(default) = option.default {
            assert_eq!(again.set(option.key, default), Ok(()), "{}", option.key);
        }
    }
    assert_eq!(again, config);
    assert_eq!(config.remote_timeout, Duration::from_secs(30));
    assert_eq!((config.capacity, config.capacity_bytes), (1_000_000, 64 << 20));
    assert_eq!((config.max_samples_per_send, config.max_bytes_per_send), (2000, 1_000_000));
    assert_eq!(
        (config.min_backoff, config.max_backoff),
        (Duration::from_millis(500), Duration::from_secs(30))
    );
    assert_eq!(
        (config.exit_timeout, config.exit_idle_timeout),
        (Duration::from_secs(30), Duration::from_secs(3))
    );
    assert!(config.split_on_reject && config.metadata_send && !config.out_of_order);
    assert_eq!((config.instance, config.overflow), (None, Overflow::DropOldest));
    assert_eq!(Config::default().http(), HttpOptions::default());
}

#[test]
fn every_option_changes_one_thing_and_no_other_changes_the_same() {
    let mut seen = vec![Config::default()];
    let mut prints = HashSet::from([Config::default().fingerprint()]);
    for (key, value) in examples() {
        let mut config = Config::default();
        config.set(&key, value).unwrap();
        assert!(!seen.contains(&config), "{key}");
        assert!(prints.insert(config.fingerprint()), "{key}");
        assert_eq!(config.clone().fingerprint(), config.fingerprint());
        seen.push(config);
    }
    let keys: HashSet<_> = OPTIONS.iter().map(|o| o.key).collect();
    let keywords: HashSet<_> = OPTIONS.iter().map(|o| o.keyword()).collect();
    assert_eq!((keys.len(), keywords.len()), (OPTIONS.len(), OPTIONS.len()));
    assert_eq!(key_of_keyword("queue_config_capacity"), Some("queue_config.capacity"));
    assert_eq!(key_of_keyword("headers"), Some("headers.NAME"));
    assert_eq!(key_of_keyword("queue_config.capacity"), None);
}

#[test]
fn a_value_outside_its_type_or_range_is_refused_naming_key_value_and_rule() {
    for (key, value, part) in [
        ("remote_timeout", "0", "from 1ms to 1h"),
        ("remote_timeout", "-1", "must be seconds (2.5) or a duration"),
        ("remote_timeout", "NaN", "must be seconds"),
        ("queue_config.capacity", "0", "must be a whole number from 1 to 1000000000"),
        ("queue_config.capacity", "1.5", "whole number"),
        ("queue_config.max_bytes_per_send", "33MiB", "from 256B to 32MiB"),
        ("queue_config.overflow", "drop", "must be one of drop_oldest, drop_newest, error, block"),
        ("require_https", "yes", "must be true or false"),
        ("tls_config.ca_file", "", "must be a path"),
    ] {
        let error = refused(&[(key, value)]);
        assert!(error.starts_with(&format!("{key}: \"{value}\" is refused: ")), "{error}");
        assert!(error.contains(part), "{error}");
    }
    assert_eq!(
        refused(&[("proxy_url", "")]),
        "proxy_url: *** is refused: must not be empty: leave the option out"
    );
    assert_eq!(
        refused(&[("headers_env.X-Token", "c2VjcmV0=")]),
        "headers_env.X-Token: *** is refused: must be the name of an environment variable"
    );
}

#[test]
fn a_refused_value_leaves_the_options_as_they_were() {
    for key in ["remote_timeout", "headers_file.X", "headers_env.X", "basic_auth.password_file"] {
        let mut config = Config::default();
        assert!(config.set(key, "\0=").is_err());
        assert_eq!(config, Config::default(), "{key}");
    }
}

#[test]
fn an_unknown_option_names_the_nearest() {
    for (key, nearest) in [
        ("remote_timout", Some("remote_timeout")),
        ("capacity", Some("queue_config.capacity")),
        ("queue_config.max_sample_per_send", Some("queue_config.max_samples_per_send")),
        ("basic_auth_password", Some("basic_auth.password")),
        ("header.X-Token", Some("headers.NAME")),
        ("label.job", Some("labels.NAME")),
        ("remote_write_version", None),
        ("labels.", Some("labels.NAME")),
        ("zzz", None),
    ] {
        let error = Config::default().set(key, CANARY).unwrap_err();
        assert_eq!(error, Error::UnknownOption { key: key.into(), nearest });
    }
    let error = Config::default().set(&format!("a\n{}", "x".repeat(1000)), "").unwrap_err().to_string();
    assert!(!error.contains('\n') && error.len() < 200, "{error}");
}

#[test]
fn options_that_contradict_each_other_are_named_together() {
    for (pairs, field, part) in [
        (
            &[("basic_auth.username", "u"), ("basic_auth.username_env", "U")][..],
            "basic_auth.username_env",
            "beside basic_auth.username:",
        ),
        (
            &[
                ("basic_auth.username", "u"),
                ("basic_auth.password_env", "P"),
                ("basic_auth.password_file", "/p"),
            ],
            "basic_auth.password_env",
            "beside basic_auth.password_file:",
        ),
        (&[("headers.X-A", CANARY), ("headers_file.x-a", "/p")], "headers_file.X-A", "beside headers.X-A:"),
        (
            &[("basic_auth.username", "u"), ("authorization.credentials", CANARY)],
            "authorization.credentials",
            "beside basic_auth.username:",
        ),
        (
            &[("authorization.credentials_file", "/t"), ("basic_auth.password", CANARY)],
            "authorization.credentials_file",
            "beside basic_auth.password:",
        ),
        (&[("basic_auth.password", CANARY)], "basic_auth.password", "needs basic_auth.username"),
        (&[("authorization.type", "Token")], "authorization.type", "needs authorization.credentials"),
        (
            &[("queue_config.min_backoff", "1m")],
            "queue_config.min_backoff",
            "above queue_config.max_backoff, which is 30s",
        ),
    ] {
        let error = refused(pairs);
        assert!(error.starts_with(&format!("{field}: ")) && error.contains(part), "{error}");
    }
}

#[test]
fn the_transport_gets_credentials_headers_tls_and_proxy() {
    let literal = |text: &str| SecretSource::Literal(Secret::new(text));
    let http = Config::from_pairs([
        ("basic_auth.username", "1300"),
        ("basic_auth.password_file", "/run/token"),
        ("headers.X-Scope-OrgID", "a"),
        ("headers.x-scope-orgid", "b"),
        ("headers_env.X-BK-TOKEN", "BK"),
        ("tls_config.ca_file", "/ca.pem"),
        ("proxy_url", "http://p:3128"),
        ("no_proxy", "localhost"),
        ("proxy_from_environment", "False"),
        ("user_agent", "job/1"),
        ("require_https", "true"),
    ])
    .unwrap()
    .http();
    let expected = HttpOptions {
        credentials: Credentials::Basic {
            username: literal("1300"),
            password: SecretSource::File("/run/token".into()),
        },
        headers: vec![
            ("X-Scope-OrgID".into(), literal("b")),
            ("X-BK-TOKEN".into(), SecretSource::Env("BK".into())),
        ],
        tls: TlsOptions { ca_file: Some("/ca.pem".into()), ..TlsOptions::default() },
        proxy: ProxyOptions {
            url: Some(literal("http://p:3128")),
            no_proxy: Some("localhost".into()),
            from_environment: false,
        },
        require_https: true,
        user_agent: "job/1".into(),
    };
    assert_eq!(http, expected);
    let bearer = Config::from_pairs([("authorization.credentials_env", "TOKEN")]).unwrap().http();
    let credentials = SecretSource::Env("TOKEN".into());
    assert_eq!(bearer.credentials, Credentials::Authorization { scheme: "Bearer".into(), credentials });
    let user = Config::from_pairs([("basic_auth.username", "u")]).unwrap().http();
    assert_eq!(user.credentials, Credentials::Basic { username: literal("u"), password: literal("") });
}

#[test]
fn writer_labels_and_instance() {
    let pairs = [("labels.job", "a"), ("labels.b", ""), ("labels.job", "etl"), ("instance", "")];
    let config = Config::from_pairs(pairs).unwrap();
    assert_eq!(config.labels, [("b".to_owned(), String::new()), ("job".to_owned(), "etl".to_owned())]);
    assert_eq!(config.instance.as_deref(), Some(""));
}

#[test]
fn literal_secrets_are_listed_and_shown_nowhere() {
    let url = format!("http://u:{CANARY}@p:3128");
    let secret = [
        ("basic_auth.password", CANARY),
        ("authorization.credentials", CANARY),
        ("headers.X-BK-TOKEN", CANARY),
        ("proxy_url", &url),
    ];
    for (key, value) in secret {
        let mut config = Config::default();
        config.set(key, value).unwrap();
        assert_eq!(config.literal_secrets(), [key]);
        let error = config.check_no_literal_secret().unwrap_err().to_string();
        assert!(error.starts_with(&format!("{key}: *** is refused: ")), "{error}");
        assert!(!format!("{config:?} {:?} {error}", config.http()).contains(CANARY));
    }
    let error = Config::from_pairs([("headers.X-BK-TOKEN", CANARY)]).unwrap().check_no_literal_secret();
    assert!(
        error.unwrap_err().to_string().ends_with("use headers_file.X-BK-TOKEN or headers_env.X-BK-TOKEN")
    );
    let safe = [
        ("basic_auth.username", "u"),
        ("basic_auth.password_env", "P"),
        ("headers_file.X-A", "/t"),
        ("proxy_url", "http://p:3128"),
    ];
    let config = Config::from_pairs(safe).unwrap();
    assert_eq!((config.literal_secrets(), config.check_no_literal_secret()), (vec![], Ok(())));
}

#[test]
fn the_reference_page_is_the_table() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/OPTIONS.md");
    if std::env::var_os("PROMWRITE_BLESS").is_some() {
        std::fs::write(path, reference_page()).unwrap();
    }
    let page = std::fs::read_to_string(path).unwrap();
    assert!(
        page == reference_page(),
        "core/OPTIONS.md is not what the table says: PROMWRITE_BLESS=1 writes it anew"
    );
}

#[test]
fn keywords_are_documented_with_type_default_and_range() {
    let writer = python_keywords(Faces::Writer);
    let gateway = python_keywords(Faces::Gateway);
    assert!(writer.contains(
        "queue_config_max_samples_per_send: int = 2000\n    Samples in a request. Allowed: 1 to 1000000.\n"
    ));
    assert!(
        writer.contains("\nheaders: Mapping[str, str]\n") && writer.contains("\nlabels: Mapping[str, str]\n")
    );
    assert!(gateway.contains("\nrequire_https: bool = False\n    Refuse") && !gateway.contains("\nlabels:"));
    assert!(gateway.starts_with("remote_timeout: float | str = \"30s\"\n"));
}
