//! The binary: lines in, lines out.
#![allow(missing_docs, clippy::unwrap_used)]

mod common;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};

struct Control {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
}

impl Control {
    fn start() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_promwrite-receiver"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        Control { input: child.stdin.take(), child, output }
    }

    fn line(&mut self, line: &str) -> Value {
        writeln!(self.input.as_mut().unwrap(), "{line}").unwrap();
        let mut answer = String::new();
        self.output.read_line(&mut answer).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn ok(&mut self, op: Value) -> Value {
        let answer = self.line(&op.to_string());
        assert_eq!(answer["ok"], true, "{op}: {answer}");
        answer
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        // The end of its input is all that it waits for; a child that stays hangs the test here.
        drop(self.input.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn exchange(port: &Value, request: &[u8]) -> String {
    let mut client = TcpStream::connect(("127.0.0.1", port.as_u64().unwrap() as u16)).unwrap();
    client.set_read_timeout(Some(common::LONG)).unwrap();
    client.write_all(request).unwrap();
    client.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_session() {
    let mut control = Control::start();
    let step =
        json!({"status": 429, "headers": [["Retry-After", "3"]], "body": {"repeat": "ab", "bytes": 5}});
    let started = control.ok(json!({"op": "start", "options": {"script": {"steps": [step]}}}));
    let (id, port) = (started["id"].clone(), started["port"].clone());
    assert_eq!(started["url"], format!("http://127.0.0.1:{port}"));
    assert_eq!(started["files"], Value::Null);

    let answer = exchange(&port, &common::plain());
    assert!(answer.contains("Retry-After: 3\r\n") && answer.ends_with("ababa"), "{answer}");
    let write = common::write_v1(&[(&[("__name__", "a")], &[(5, f64::INFINITY)])]);
    assert!(exchange(&port, &write).starts_with("HTTP/1.1 204 "));
    let waited = control.ok(json!({"op": "wait", "id": id, "what": "answered", "n": 2, "timeout_ms": 5000}));
    assert_eq!(waited["reached"], true);
    let waited = control.ok(json!({"op": "wait", "id": id, "what": "requests", "n": 3, "timeout_ms": 1}));
    assert_eq!(waited["reached"], false);

    let requests = control.ok(json!({"op": "requests", "id": id}));
    assert_eq!(requests["requests"][0]["body"], "MDEyMzQ1Njc4OQ==");
    assert_eq!(requests["requests"][0]["answered"], 429);
    assert_eq!(requests["requests"][1]["decoded"]["kind"], "write_v1");
    let later = control.ok(json!({"op": "requests", "id": id, "from": 1}));
    assert_eq!(later["requests"].as_array().unwrap().len(), 1);

    let store = control.ok(json!({"op": "store", "id": id}));
    let sample = &store["store"]["series"][0]["samples"][0];
    assert_eq!(
        (&sample["value_bits"], &sample["mark"]),
        (&json!(f64::INFINITY.to_bits()), &json!("in_order"))
    );

    control.ok(json!({"op": "rules", "id": id, "rules": {"auth": {"bearer": {"token": "t"}}}}));
    assert!(exchange(&port, &common::plain()).starts_with("HTTP/1.1 401 "));
    control.ok(json!({"op": "rules", "id": id, "rules": {"poison": [{"label_value": "x"}], "strictness": "prometheus"}}));
    control.ok(
        json!({"op": "behaviour", "id": id, "behaviour": {"fault": {"at": "after_accept", "how": "close"}}}),
    );
    assert_eq!(exchange(&port, b""), "");
    control.ok(json!({"op": "script", "id": id, "script": {"default": {"status": 500}}}));
    assert!(exchange(&port, &common::plain()).starts_with("HTTP/1.1 500 "));

    control.ok(json!({"op": "down", "id": id}));
    assert!(TcpStream::connect(("127.0.0.1", port.as_u64().unwrap() as u16)).is_err());
    control.ok(json!({"op": "up", "id": id}));
    assert!(exchange(&port, &common::plain()).starts_with("HTTP/1.1 500 "));
    let counts = control.ok(json!({"op": "counts", "id": id}));
    assert_eq!((&counts["connections"], &counts["requests"]), (&json!(6), &json!(5)));
    control.ok(json!({"op": "clear", "id": id}));
    assert_eq!(control.ok(json!({"op": "counts", "id": id}))["requests"], 0);
    control.ok(json!({"op": "stop", "id": id}));
    assert_eq!(control.line(&json!({"op": "counts", "id": id}).to_string())["ok"], false);
}

#[test]
fn a_held_request_is_released() {
    let mut control = Control::start();
    let started = control.ok(json!({"op": "start", "options": {"script": {"default": {"hold": true}}}}));
    let (id, port) = (started["id"].clone(), started["port"].clone());
    let client = std::thread::spawn(move || exchange(&port, &common::plain()));
    control.ok(json!({"op": "wait", "id": id, "what": "held", "n": 1, "timeout_ms": 5000}));
    control.ok(json!({"op": "release", "id": id}));
    assert!(client.join().unwrap().starts_with("HTTP/1.1 200 "));
}

#[test]
fn two_receivers_and_tls() {
    let mut control = Control::start();
    let tls = control.ok(json!({"op": "start", "options": {"tls": "client_cert"}}));
    assert!(std::fs::exists(tls["files"]["stranger_key"].as_str().unwrap()).unwrap());
    let upstream = control.ok(json!({"op": "start"}));
    let address = format!("127.0.0.1:{}", upstream["port"]);
    let proxy = control.ok(json!({"op": "start", "options": {"upstream": address}}));
    assert!(exchange(&proxy["port"], &common::plain()).starts_with("HTTP/1.1 200 "));
    assert_eq!(control.ok(json!({"op": "counts", "id": upstream["id"]}))["requests"], 1);
}

#[test]
fn mistakes_are_named() {
    let mut control = Control::start();
    for (line, expected) in [
        ("nonsense", "not understood"),
        (r#"{"op":"fly"}"#, "unknown variant `fly`"),
        (r#"{"op":"start","options":{"script":{"default":{"statsu":200}}}}"#, "unknown field `statsu`"),
        (r#"{"op":"release","id":7}"#, "no receiver 7"),
    ] {
        let answer = control.line(line);
        assert_eq!(answer["ok"], false);
        assert!(answer["error"].as_str().unwrap().contains(expected), "{answer}");
    }
    assert_eq!(control.ok(json!({"op": "start"}))["id"], 1);
}
