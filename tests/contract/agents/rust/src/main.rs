//! The agent of the contract tests in Rust: a command line in, an answer out. `tests/contract/contract.py` has the protocol.

mod line;

use line::{bits, decode, number, pairs};
use promwrite_core::config::Config;
use promwrite_core::error::Error;
use promwrite_core::ledger::{Dropped, Event, Ledger, Rejected, Requests};
use promwrite_core::pusher::Pusher;
use promwrite_core::sender::{self, Kind};
use promwrite_core::writer::{Series, Writer};
use std::collections::HashMap;
use std::io::{self, BufRead, StdinLock, Write};
use std::process::ExitCode;
use std::time::Duration;

type Fields = Vec<String>;
/// An error of the library is an answer, one of the protocol ends the agent.
type Done = Result<Result<Fields, Error>, String>;

#[derive(Default)]
struct Agent {
    writers: HashMap<String, Writer>,
    series: HashMap<String, Series>,
    pushers: HashMap<String, Pusher>,
}

fn main() -> ExitCode {
    match Agent::default().run(&mut io::stdin().lock()) {
        Ok(code) => ExitCode::from(code),
        Err(wrong) => {
            let _ = writeln!(io::stderr(), "{wrong}");
            ExitCode::from(125)
        }
    }
}

/// The next command, fields decoded; none at the end of the input.
fn command(input: &mut StdinLock<'_>) -> Result<Option<Fields>, String> {
    let mut line = String::new();
    input.read_line(&mut line).map_err(|e| e.to_string())?;
    let fields = line.strip_suffix('\n').map(|line| line.split('\t').map(decode).collect());
    fields.transpose()
}

impl Agent {
    /// Does what the lines say and returns the exit code.
    fn run(&mut self, input: &mut StdinLock<'_>) -> Result<u8, String> {
        while let Some(fields) = command(input)? {
            let fields: Vec<&str> = fields.iter().map(String::as_str).collect();
            let answer = match fields[..] {
                ["fork"] => self.fork(input)?,
                ["exit", how, code] => return exit(how, number(code)?),
                _ => self.obey(&fields)?,
            };
            answer_with(answer)?;
        }
        Ok(0)
    }

    fn obey(&mut self, fields: &[&str]) -> Done {
        Ok(match *fields {
            ["writer", name, url, ref options @ ..] => self.writer(name, url, &pairs(options)?),
            ["series", name, writer, metric, ref labels @ ..] => {
                let series = find(&self.writers, writer)?.series(metric, &pairs(labels)?, None);
                series.map(|series| keep(&mut self.series, name, series))
            }
            ["append", series, value, "now"] => find(&self.series, series)?.append(bits(value)?).map(nothing),
            ["append", series, value, at] => {
                find(&self.series, series)?.append_at(bits(value)?, number(at)?).map(nothing)
            }
            ["append_many", series, ref samples @ ..] => {
                let (mut values, mut times) = (Vec::new(), Vec::new());
                for (value, at) in pairs(samples)? {
                    values.push(bits(value)?);
                    times.push(number(at)?);
                }
                find(&self.series, series)?.extend(&values, &times).map(nothing)
            }
            ["sample", writer, metric, value, at, ref labels @ ..] => {
                let at = if at == "now" { None } else { Some(number(at)?) };
                find(&self.writers, writer)?.append(metric, &pairs(labels)?, bits(value)?, at).map(nothing)
            }
            ["push_text", writer, page, content_type, ref labels @ ..] => {
                let labels: Vec<_> = pairs(labels)?.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect();
                let taken =
                    find(&self.writers, writer)?.push_text(page.as_bytes(), content_type, &labels, true);
                taken.map(|taken| vec![taken.to_string()])
            }
            ["pusher", name, gateway, job, group, ref more @ ..] => {
                let (group, options) = more.split_at_checked(2 * number::<usize>(group)?).ok_or("pairs")?;
                self.pusher(name, gateway, job, &pairs(group)?, &pairs(options)?)
            }
            ["drop", name] => {
                self.writers.remove(name).ok_or("nothing to drop")?;
                Ok(Fields::new())
            }
            ["put", pusher, page, content_type] => {
                find(&self.pushers, pusher)?.push(page.into(), content_type).map(nothing)
            }
            ["post", pusher, page, content_type] => {
                find(&self.pushers, pusher)?.add(page.into(), content_type).map(nothing)
            }
            ["delete", pusher] => find(&self.pushers, pusher)?.delete().map(nothing),
            ["flush", "*", timeout] => {
                sender::start_flush_all(milliseconds(timeout)?).finish();
                Ok(reports(sender::report_all()))
            }
            ["flush", name, timeout] => {
                let timeout = milliseconds(timeout)?;
                Ok(reports(match self.writers.get(name) {
                    Some(writer) => Some(writer.flush(timeout)),
                    None => find(&self.pushers, name)?.flush(timeout),
                }))
            }
            ["close", name, timeout] => {
                let timeout = milliseconds(timeout)?;
                Ok(reports(match self.writers.get(name) {
                    Some(writer) => Some(writer.close(timeout)),
                    None => find(&self.pushers, name)?.close(timeout),
                }))
            }
            ["shutdown", timeout] => {
                let flush = sender::start_close_all(milliseconds(timeout)?);
                flush.finish();
                Ok(reports(sender::finish_close_all(&flush)))
            }
            ["stats", name] => Ok(self.stats(name)?),
            _ => return Err(format!("not understood: {fields:?}")),
        })
    }

    fn writer(&mut self, name: &str, url: &str, options: &[(&str, &str)]) -> Result<Fields, Error> {
        let writer = Writer::new(url, Config::from_pairs(options.iter().copied())?)?;
        Ok(keep(&mut self.writers, name, writer))
    }

    fn pusher(
        &mut self,
        name: &str,
        gateway: &str,
        job: &str,
        group: &[(&str, &str)],
        options: &[(&str, &str)],
    ) -> Result<Fields, Error> {
        let group = group.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned()));
        let pusher = Pusher::new(gateway, job, group, Config::from_pairs(options.iter().copied())?)?;
        Ok(keep(&mut self.pushers, name, pusher))
    }

    fn stats(&self, name: &str) -> Result<Fields, String> {
        let all = match self.writers.get(name) {
            Some(writer) => writer.stats().into_iter().collect(),
            None => find(&self.pushers, name)?.handler().stats(),
        };
        Ok(all
            .into_iter()
            .flat_map(|s| {
                counters(s.kind, &s.balance.ledger, s.balance.pending, Some(&s.requests), &s.failures)
            })
            .collect())
    }

    /// The child answers and does what comes until `exit`; the parent waits for it and tells its exit code.
    fn fork(&mut self, input: &mut StdinLock<'_>) -> Done {
        // SAFETY: one thread runs here, and the child goes on with it alone.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error().to_string()),
            0 => {
                answer_with(Ok(Fields::new()))?;
                let code = self.run(input)?;
                std::process::exit(code.into());
            }
            child => {
                let mut status = 0;
                // SAFETY: `child` is ours and not waited for yet.
                if unsafe { libc::waitpid(child, &raw mut status, 0) } != child || !libc::WIFEXITED(status) {
                    return Err(format!("the child ended with status {status}"));
                }
                Ok(Ok(vec![libc::WEXITSTATUS(status).to_string()]))
            }
        }
    }
}

fn answer_with(answer: Result<Fields, Error>) -> Result<(), String> {
    let line = match answer {
        Ok(fields) => line::line("ok", fields),
        Err(e) => {
            line::line("error", [e.code().to_string(), u8::from(e.retryable()).to_string(), e.to_string()])
        }
    };
    let mut output = io::stdout().lock();
    output.write_all(line.as_bytes()).and_then(|()| output.flush()).map_err(|e| e.to_string())
}

/// `return` lets main return the code; the other ways do not come back.
fn exit(how: &str, code: u8) -> Result<u8, String> {
    match how {
        "return" => Ok(code),
        "exit" => std::process::exit(code.into()),
        // SAFETY: ends the process.
        "_exit" => unsafe { libc::_exit(code.into()) },
        _ => Err(format!("exit how: {how}")),
    }
}

fn find<'m, T>(map: &'m HashMap<String, T>, name: &str) -> Result<&'m T, String> {
    map.get(name).ok_or_else(|| format!("nothing is called {name}"))
}

fn keep<T>(map: &mut HashMap<String, T>, name: &str, thing: T) -> Fields {
    map.insert(name.to_owned(), thing);
    Fields::new()
}

fn nothing((): ()) -> Fields {
    Fields::new()
}

fn milliseconds(field: &str) -> Result<Duration, String> {
    Ok(Duration::from_millis(number(field)?))
}

fn reports(reports: impl IntoIterator<Item = sender::Report>) -> Fields {
    reports.into_iter().flat_map(|r| counters(r.kind, &r.ledger, r.pending, None, &r.failures)).collect()
}

fn counters(
    kind: Kind,
    ledger: &Ledger,
    pending: u64,
    requests: Option<&Requests>,
    failures: &[Event],
) -> Fields {
    let kind = match kind {
        Kind::Samples => "samples",
        Kind::Pushes => "pushes",
    };
    let mut out = vec!["kind".to_owned(), kind.to_owned()];
    let mut put = |name: &str, value: u64| out.extend([name.to_owned(), value.to_string()]);
    put("accepted", ledger.accepted);
    put("adopted", ledger.adopted);
    put("delivered", ledger.delivered);
    put("superseded", ledger.superseded);
    put("pending", pending);
    put("spooled", ledger.spooled);
    for (why, count) in Rejected::ALL.iter().zip(ledger.rejected) {
        put(&format!("rejected.{}", why.name()), count);
    }
    for (why, count) in Dropped::ALL.iter().zip(ledger.dropped) {
        put(&format!("dropped.{}", why.name()), count);
    }
    if let Some(requests) = requests {
        put("requests.succeeded", requests.succeeded);
        put("requests.failed", requests.failed);
    }
    for failure in failures {
        out.extend(["failure".to_owned(), failure.to_string()]);
    }
    out
}
