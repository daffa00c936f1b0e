//! No secret in anything a person could read, in any fault.

use crate::rig::*;
use promwrite_core::config::Config;
use promwrite_core::error::Error;
use promwrite_core::pending::source::Headers;
use promwrite_core::pusher::{Handed, Handler, Pusher};
use promwrite_core::send::transport::Method;
use promwrite_core::sender::{report_all, take_log};
use promwrite_core::writer::Writer;
use promwrite_receiver::{Behaviour, Cut, Phase, Receiver, Script};
use std::fmt::{Debug, Display};
use std::time::Duration;

const CANARY: &str = "s3cret-canary";
const TIME: Duration = Duration::from_millis(20);

/// Everything printed, to be searched at the end.
#[derive(Default)]
struct Output(Vec<String>);

impl Output {
    fn debug(&mut self, value: &impl Debug) {
        self.0.push(format!("{value:?}\n{value:#?}"));
    }

    fn error<T: Debug>(&mut self, result: &Result<T, Error>) {
        self.debug(result);
        if let Err(error) = result {
            self.display(error);
        }
    }

    fn display(&mut self, value: &impl Display) {
        self.0.push(value.to_string());
    }

    fn writer(&mut self, url: &str, config: &Config) {
        self.debug(config);
        let made = Writer::new(url, config.clone());
        self.error(&made);
        let Ok(writer) = made else { return };
        let series = plain_series(&writer, "m");
        series.append(1.0).unwrap();
        self.debug(&series);
        self.display(&writer.url());
        let report = writer.flush(TIME);
        report.failures.iter().for_each(|event| self.display(event));
        self.debug(&(report, writer.stats()));
        self.debug(&writer.close(Duration::ZERO));
        self.error(&series.append(2.0));
    }

    fn pusher(&mut self, url: &str, config: &Config) {
        let made = Pusher::new(url, "job", [], config.clone());
        self.error(&made);
        let handler = Handler::new(config.clone());
        self.error(&handler);
        if let Ok(handler) = handler {
            let url = format!("{url}/metrics/job/x");
            let headers = Headers(vec![("X-Own".into(), CANARY.into())]);
            let handed = || Handed {
                url: &url,
                method: Method::Put,
                headers: headers.clone(),
                body: b"m 1\n".to_vec(),
            };
            self.debug(&handed());
            let call = handler.call(handed(), 100);
            self.error(&call);
            if let Ok(call) = call {
                self.error(&call.send(Some(TIME)));
            }
            self.error(&handler.push(handed()));
            handler.start_close(TIME).finish();
            self.debug(&(handler.finish_close(), handler.stats()));
        }
        let Ok(pusher) = made else { return };
        self.error(&pusher.push(b"m 1\n".to_vec(), "text/plain"));
        self.display(&pusher.url());
        self.debug(&(pusher.flush(TIME), pusher.handler().stats(), pusher.close(Duration::ZERO)));
    }
}

/// Options with a secret in every place that takes one; some of them contradict each other and make errors.
fn configs() -> Vec<Config> {
    let quick = [("queue_config.min_backoff", "1ms"), ("instance", "")];
    let secret = CANARY;
    let proxy = format!("http://user:{CANARY}@127.0.0.1:1");
    let crlf = format!("{CANARY}\r\nX: y");
    let sets: Vec<Vec<(&str, &str)>> = vec![
        vec![("basic_auth.username", "me"), ("basic_auth.password", secret)],
        vec![("authorization.credentials", secret)],
        vec![("headers.X-BK-TOKEN", secret)],
        vec![("proxy_url", &proxy)],
        vec![("authorization.credentials", secret), ("basic_auth.password", secret)],
        vec![("headers.X-BK-TOKEN", &crlf)],
        vec![("authorization.credentials", &crlf)],
        vec![("basic_auth.password", &crlf), ("basic_auth.username", "me")],
        vec![],
    ];
    sets.into_iter()
        .map(|set| {
            let mut config = Config::default();
            quick.iter().for_each(|(key, value)| config.set(key, value).unwrap());
            if !set.iter().any(|(key, _)| *key == "proxy_url") {
                config.set("proxy_from_environment", "false").unwrap();
            }
            for (key, value) in set {
                config.set(key, value).unwrap();
            }
            config
        })
        .collect()
}

fn receivers() -> Vec<Receiver> {
    let mut all: Vec<Receiver> = [
        Behaviour::ok(),
        Behaviour::status(400),
        Behaviour::status(401),
        Behaviour::status(503),
        Behaviour::redirect(302, "http://127.0.0.1:1/"),
        Behaviour::garbage("nothing\r\n\r\n"),
        Behaviour::reset(Phase::AfterBody),
        Behaviour::cut(Phase::AfterBody, Cut::Stall),
    ]
    .into_iter()
    .map(|behaviour| start(Script::always(behaviour)))
    .collect();
    all.push(Dead::Refused.start());
    all.push(Dead::TlsStalls.start());
    all
}

#[test]
fn no_secret_shows_in_anything_printed() {
    let mut output = Output::default();
    for receiver in receivers() {
        let at = receiver.url("");
        let (scheme, host) = at.split_once("://").unwrap();
        for config in configs() {
            for url in [at.clone(), format!("{scheme}://me:{CANARY}@{host}")] {
                output.writer(&format!("{url}{PATH}?token={CANARY}"), &config);
                output.pusher(&url, &config);
            }
        }
    }
    let refused = |key: &str, value: &str| Config::default().set(key, value);
    output.error(&refused("proxy_url", ""));
    output.error(&refused("basic_auth.pasword", CANARY));
    output.error(&refused("headers_env.X", &format!("{CANARY}=")));
    for url in
        ["ftp://me:s3cret-canary@host/", "http://me:s3cret-canary@/", "http://me:s3cret-canary@host:99999/"]
    {
        output.error(&Writer::new(url, Config::default()));
        output.error(&Pusher::new(url, "job", [], Config::default()));
    }
    let log = take_log();
    assert!(!log.is_empty());
    log.iter().for_each(|event| output.display(event));
    output.debug(&(log, report_all()));
    assert!(output.0.len() > 500, "{}", output.0.len());
    let encoded = "czNjcmV0LWNhbmFyeQ"; // what base64 makes of the canary, where it begins a group of three
    for text in &output.0 {
        assert!(!text.contains(CANARY) && !text.contains(encoded), "a secret in: {text}");
    }
}
