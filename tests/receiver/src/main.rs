//! The receiver as a child process, for tests in other languages: one JSON object per line in, one per line out, in
//! order. It ends when its input does. `receiver.py` beside this crate is its Python client.
//!
//! ```text
//! {"op":"start","options":{…}}     → {"ok":true,"id":1,"url":…,"host":…,"port":…,"files":{…}|null}
//! {"op":"script","id":1,"script":{…}}      {"op":"behaviour","id":1,"behaviour":{…}}      {"op":"rules","id":1,"rules":{…}}
//! {"op":"requests","id":1,"from":0}        → {"ok":true,"requests":[…]}   bodies in base64
//! {"op":"wait","id":1,"what":"requests"|"answered"|"held"|"connections","n":3,"timeout_ms":2000} → {"ok":true,"reached":true}
//! {"op":"counts","id":1}  {"op":"store","id":1}  {"op":"release","id":1}  {"op":"clear","id":1}
//! {"op":"down","id":1}    {"op":"up","id":1}     {"op":"stop","id":1}
//! ```
//!
//! Scripts, behaviours, rules and options are the types of the library as JSON. A failure is
//! `{"ok":false,"error":…}`.

use std::collections::BTreeMap;
use std::io::{self, BufRead, Write};
use std::time::Duration;

use promwrite_receiver::{Behaviour, Options, Receiver, Rules, Script, Store};
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(tag = "op", rename_all = "snake_case", deny_unknown_fields)]
enum Op {
    Start {
        #[serde(default)]
        options: Box<Options>,
    },
    Script {
        id: u64,
        script: Script,
    },
    Behaviour {
        id: u64,
        behaviour: Box<Behaviour>,
    },
    Rules {
        id: u64,
        rules: Rules,
    },
    Requests {
        id: u64,
        #[serde(default)]
        from: u64,
    },
    Wait {
        id: u64,
        what: What,
        n: u64,
        timeout_ms: u64,
    },
    Counts {
        id: u64,
    },
    Store {
        id: u64,
    },
    Release {
        id: u64,
    },
    Clear {
        id: u64,
    },
    Down {
        id: u64,
    },
    Up {
        id: u64,
    },
    Stop {
        id: u64,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum What {
    Requests,
    Answered,
    Held,
    Connections,
}

#[derive(Default)]
struct Receivers {
    running: BTreeMap<u64, Receiver>,
    started: u64,
}

fn main() -> io::Result<()> {
    let mut receivers = Receivers::default();
    let mut out = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        let answer = serde_json::from_str(&line)
            .map_err(|e| format!("not understood: {e}"))
            .and_then(|op| receivers.perform(op))
            .unwrap_or_else(|error| json!({"ok": false, "error": error}));
        writeln!(out, "{answer}")?;
        out.flush()?;
    }
    Ok(())
}

impl Receivers {
    fn perform(&mut self, op: Op) -> Result<Value, String> {
        let mut answer = json!({"ok": true});
        match op {
            Op::Start { options } => return self.start(*options),
            Op::Script { id, script } => self.get(id)?.set_script(script),
            Op::Behaviour { id, behaviour } => self.get(id)?.push_behaviour(*behaviour),
            Op::Rules { id, rules } => self.get(id)?.set_rules(rules),
            Op::Requests { id, from } => {
                let requests =
                    self.get(id)?.requests().into_iter().filter(|r| r.seq >= from).collect::<Vec<_>>();
                answer["requests"] = json!(requests);
            }
            Op::Wait { id, what, n, timeout_ms } => {
                let receiver = self.get(id)?;
                let timeout = Duration::from_millis(timeout_ms);
                let count = usize::try_from(n).map_err(|e| format!("n: {e}"))?;
                answer["reached"] = json!(match what {
                    What::Requests => receiver.wait_for(count, timeout),
                    What::Answered => receiver.wait_answered(count, timeout),
                    What::Held => receiver.wait_held(count, timeout),
                    What::Connections => receiver.wait_until(|state| state.connections >= n, timeout),
                });
            }
            Op::Counts { id } => {
                return Ok(self.get(id)?.inspect(|state| {
                    json!({
                        "ok": true,
                        "connections": state.connections,
                        "open_connections": state.open_connections,
                        "begun": state.begun,
                        "requests": state.requests.len(),
                        "bytes": state.bytes,
                        "held": state.held,
                        "malformed": state.malformed,
                        "handshake_errors": state.handshake_errors,
                    })
                }));
            }
            Op::Store { id } => answer["store"] = store(&self.get(id)?.store()),
            Op::Release { id } => self.get(id)?.release(),
            Op::Clear { id } => self.get(id)?.clear(),
            Op::Down { id } => self.get_mut(id)?.down(),
            Op::Up { id } => self.get_mut(id)?.up().map_err(|e| format!("up: {e}"))?,
            Op::Stop { id } => self.running.remove(&id).ok_or_else(|| unknown(id))?.stop(),
        }
        Ok(answer)
    }

    fn start(&mut self, options: Options) -> Result<Value, String> {
        let receiver = Receiver::with(options).map_err(|e| format!("start: {e}"))?;
        self.started += 1;
        let id = self.started;
        let files = receiver.tls_files().map(|files| {
            json!({
                "ca": files.ca(),
                "client_cert": files.client_cert(),
                "client_key": files.client_key(),
                "stranger_cert": files.stranger_cert(),
                "stranger_key": files.stranger_key(),
            })
        });
        let addr = receiver.addr();
        let answer = json!({
            "ok": true, "id": id, "url": receiver.url(""), "host": addr.ip(), "port": addr.port(), "files": files,
        });
        self.running.insert(id, receiver);
        Ok(answer)
    }

    fn get(&self, id: u64) -> Result<&Receiver, String> {
        self.running.get(&id).ok_or_else(|| unknown(id))
    }

    fn get_mut(&mut self, id: u64) -> Result<&mut Receiver, String> {
        self.running.get_mut(&id).ok_or_else(|| unknown(id))
    }
}

fn unknown(id: u64) -> String {
    format!("no receiver {id}")
}

/// As lists, because a label set cannot be a key in JSON.
fn store(store: &Store) -> Value {
    let series: Vec<Value> =
        store.series.iter().map(|(labels, samples)| json!({"labels": labels, "samples": samples})).collect();
    let groups: Vec<Value> =
        store.groups.iter().map(|(key, families)| json!({"key": key, "families": families})).collect();
    json!({"series": series, "groups": groups})
}
