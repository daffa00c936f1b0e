//! Threads, memory and sockets of a process that pushes.

use crate::job::{LONG, ledger, own_series, run, until, writer};
use promwrite_receiver::{Behaviour, Cut, Phase, Receiver, Script};
use std::collections::BTreeMap;
use std::fs;
use std::process::Command;
use std::time::Duration;

pub const TESTS: &[(&str, fn())] = &[
    ("threads::one_thread_from_the_first_sample_to_idleness_and_again", one_thread),
    ("threads::a_process_that_may_start_no_thread_accepts_and_delivers_later", no_thread),
    ("threads::memory_is_bounded_and_flat_while_the_receiver_is_dead", memory),
    ("threads::a_program_that_is_started_inherits_no_socket", no_socket),
];

pub const JOBS: &[crate::job::Job] = &[
    ("one thread", one_thread_job),
    ("no thread", no_thread_job),
    ("memory", memory_job),
    ("no socket", no_socket_job),
];

fn one_thread() {
    let receiver = Receiver::start(Script::default()).unwrap();
    run("one thread", &receiver, &[("idle_thread_timeout", "100ms")]).silently(0);
    assert_eq!(receiver.requests().len(), 2);
}

/// Threads of this process beside the first: name, and the signals that are blocked.
fn threads() -> BTreeMap<u32, (String, u64)> {
    let own = std::process::id();
    let field = |status: &str, key: &str| {
        let line = status.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    let ids = fs::read_dir("/proc/self/task").unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    ids.map(|id| id.parse::<u32>().unwrap())
        .filter(|id| *id != own)
        // one that ends meanwhile has no status
        .filter_map(|id| Some((id, fs::read_to_string(format!("/proc/self/task/{id}/status")).ok()?)))
        .map(|(id, status)| {
            let blocked = u64::from_str_radix(&field(&status, "SigBlk:"), 16).unwrap();
            (id, (field(&status, "Name:"), blocked))
        })
        .collect()
}

fn one_thread_job() -> u8 {
    let writer = writer();
    let series = own_series(&writer);
    let handler = promwrite_core::pusher::Handler::new(crate::job::config()).unwrap();
    assert!(threads().is_empty(), "{:?}", threads());
    for round in 0..2 {
        series.append(f64::from(round)).unwrap();
        until("the worker's name", || threads().values().any(|(name, _)| name == "promwrite"));
        let running = threads();
        assert_eq!(running.len(), 1, "{running:?}");
        for (_, blocked) in running.values() {
            for signal in
                [libc::SIGTERM, libc::SIGINT, libc::SIGHUP, libc::SIGPIPE, libc::SIGUSR1, libc::SIGURG]
            {
                assert_ne!(blocked & (1 << (signal - 1)), 0, "signal {signal}");
            }
        }
        assert!(writer.flush(LONG).complete());
        until("the worker's end", || threads().is_empty());
    }
    drop(handler);
    0
}

fn no_thread() {
    let receiver = Receiver::start(Script::default()).unwrap();
    run("no thread", &receiver, &[]).silently(0);
    let values: Vec<_> = receiver.store().series.into_values().flatten().map(|s| s.sample.value()).collect();
    assert_eq!(values, [1.0, 2.0, 3.0]);
}

/// Sets the number of threads that this user may have, as far as it may.
fn limit_threads(to: Option<libc::rlim_t>) {
    // SAFETY: plain calls on a struct that lives here.
    unsafe {
        let mut limit: libc::rlimit = std::mem::zeroed();
        assert_eq!(libc::getrlimit(libc::RLIMIT_NPROC, &raw mut limit), 0);
        limit.rlim_cur = to.unwrap_or(limit.rlim_max);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NPROC, &raw const limit), 0);
    }
}

fn no_thread_job() -> u8 {
    const NOBODY: libc::uid_t = 65534;
    let writer = writer();
    let series = own_series(&writer);
    // SAFETY: as above; root is bound by no such limit, so it becomes somebody who is.
    unsafe {
        if libc::geteuid() == 0 {
            assert_eq!(libc::setresuid(NOBODY, NOBODY, NOBODY), 0);
        }
    }
    limit_threads(Some(0));
    assert!(std::thread::Builder::new().spawn(|| {}).is_err(), "the limit does not bite");
    let at = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
    series.append_at(1.0, at - 2).unwrap();
    series.append_at(2.0, at - 1).unwrap();
    let stats = writer.stats().unwrap();
    // not tried again at every append
    assert_eq!((stats.requests.worker_start_failed, stats.balance.pending), (1, 2));
    assert!(stats.failures[0].message.contains("could not be started"), "{:?}", stats.failures);
    let report = writer.flush(Duration::from_millis(1200));
    assert_eq!((report.pending, writer.stats().unwrap().requests.worker_start_failed), (2, 2));
    limit_threads(None);
    series.append_at(3.0, at).unwrap();
    // nobody appends any more: the flush itself tries again
    let report = writer.flush(LONG);
    assert!(report.complete(), "{report:?}");
    assert_eq!(ledger(&writer).delivered, 3);
    0
}

fn memory() {
    let receiver = Receiver::start(Script::always(Behaviour::cut(Phase::AfterBody, Cut::Stall))).unwrap();
    let options = [("queue_config.capacity", "400000"), ("exit_idle_timeout", "0")];
    run("memory", &receiver, &options).silently(0);
}

/// Bytes of this process that are in memory.
fn resident() -> usize {
    let statm = fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

fn memory_job() -> u8 {
    const CAPACITY: usize = 400_000;
    const BOUND: usize = CAPACITY * 24;
    // thread, connection, one request encoded: what is there however large the queue is
    const FIXED: usize = 4 << 20;
    let writer = writer();
    let series: Vec<_> =
        (0..100).map(|i| writer.series("m", &[("i", i.to_string())], None).unwrap()).collect();
    let append = |count: usize| (0..count).for_each(|i| series[i % 100].append(i as f64).unwrap());
    let empty = resident();
    append(2 * CAPACITY);
    let full = resident();
    append(8 * CAPACITY);
    let end = resident();
    assert!(ledger(&writer).dropped_total() > 0);
    assert!(full - empty <= BOUND * 11 / 10 + FIXED, "{} bytes for {BOUND}", full - empty);
    assert!(full - empty >= BOUND / 2, "{} bytes for {BOUND}: the queue was never full", full - empty);
    assert!(end.saturating_sub(full) <= BOUND / 10, "grew by {} bytes", end - full);
    0
}

fn no_socket() {
    let receiver = Receiver::start(Script::default()).unwrap();
    run("no socket", &receiver, &[]).silently(0);
}

fn no_socket_job() -> u8 {
    let writer = writer();
    own_series(&writer).append(1.0).unwrap();
    assert!(writer.flush(LONG).complete());
    let links = fs::read_dir("/proc/self/fd").unwrap().filter_map(|e| fs::read_link(e.unwrap().path()).ok());
    let sockets = |text: &str| text.contains("socket:");
    assert!(links.into_iter().any(|link| sockets(&link.to_string_lossy())), "no connection is open");
    let listed = Command::new("ls").args(["-l", "/proc/self/fd"]).output().unwrap();
    let text = String::from_utf8_lossy(&listed.stdout);
    assert!(listed.status.success() && text.contains("->") && !sockets(&text), "{text}");
    0
}
