//! Starting this program as a job, and what jobs have in common.

use promwrite_core::config::Config;
use promwrite_core::ledger::Ledger;
use promwrite_core::writer::{Series, Writer};
use promwrite_receiver::Receiver;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// The variable that names the job; its options follow as `key=value` lines in another one.
pub const NAME: &str = "PROMWRITE_TEST_JOB";
const URL: &str = "PROMWRITE_TEST_URL";
const OPTIONS: &str = "PROMWRITE_TEST_OPTIONS";

/// Longer than any job may take.
pub const LONG: Duration = Duration::from_secs(60);
/// What a wait may take on a busy machine beyond what was asked for.
pub const SLACK: Duration = Duration::from_secs(2);

/// A job's name and its main function, which returns the exit code.
pub type Job = (&'static str, fn() -> u8);

/// How a job ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub output: String,
    pub took: Duration,
}

impl Ended {
    /// The job ended with `code` and said nothing.
    pub fn silently(self, code: i32) -> Self {
        assert!(self.code == Some(code) && self.output.is_empty(), "{self:?}");
        self
    }
}

/// Starts a job.
pub fn start(name: &str, receiver: &Receiver, options: &[(&str, &str)]) -> Child {
    let options: Vec<String> = options.iter().map(|(key, value)| format!("{key}={value}")).collect();
    Command::new(std::env::current_exe().unwrap())
        .env(NAME, name)
        .env(URL, receiver.url(""))
        .env(OPTIONS, options.join("\n"))
        .env_remove("RUST_BACKTRACE")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Runs a job to its end.
pub fn run(name: &str, receiver: &Receiver, options: &[(&str, &str)]) -> Ended {
    let begun = Instant::now();
    let child = start(name, receiver, options);
    let pid = i32::try_from(child.id()).unwrap();
    let (send, ended) = mpsc::channel();
    std::thread::spawn(move || send.send(child.wait_with_output()));
    let Ok(output) = ended.recv_timeout(LONG) else {
        // SAFETY: the child is ours and not waited for yet.
        unsafe { libc::kill(pid, libc::SIGKILL) };
        panic!("job {name} did not end");
    };
    let (took, output) = (begun.elapsed(), output.unwrap());
    let text = [output.stdout, output.stderr].concat();
    Ended { code: output.status.code(), output: String::from_utf8_lossy(&text).into_owned(), took }
}

/// In a job: where to push.
pub fn url() -> String {
    std::env::var(URL).unwrap()
}

/// In a job: its options over those that every job has.
pub fn config() -> Config {
    let mut config = Config::default();
    for (key, value) in
        [("instance", ""), ("proxy_from_environment", "false"), ("metadata_config.send", "false")]
    {
        config.set(key, value).unwrap();
    }
    for line in std::env::var(OPTIONS).unwrap().lines() {
        let (key, value) = line.split_once('=').unwrap();
        config.set(key, value).unwrap();
    }
    config
}

/// In a job: a writer.
pub fn writer() -> Writer {
    Writer::new(&format!("{}/api/v1/write", url()), config()).unwrap()
}

/// A series that carries the number of this process.
pub fn own_series(writer: &Writer) -> Series {
    writer.series("m", &[("pid", std::process::id().to_string())], None).unwrap()
}

/// The ledger, checked against what is pending.
pub fn ledger(writer: &Writer) -> Ledger {
    let balance = writer.stats().unwrap().balance;
    assert!(balance.ledger.balances(balance.pending), "{balance:?}");
    balance.ledger
}

/// Tries `reached` until it holds; fails after [`LONG`].
pub fn until(what: &str, mut reached: impl FnMut() -> bool) {
    let end = Instant::now() + LONG / 2;
    while !reached() {
        assert!(Instant::now() < end, "never came: {what}");
        std::thread::yield_now();
    }
}
