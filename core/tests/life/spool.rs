//! What is on disk survives every end of a process and is sent by another one, once.

use crate::job::{self, LONG, config, own_series, run, until, url, writer};
use promwrite_core::config::Config;
use promwrite_core::error::Result;
use promwrite_core::sender::{Report, finish_drain, start_drain};
use promwrite_receiver::{Behaviour, Mark, Receiver, Script, State};
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::time::Duration;

pub const TESTS: &[(&str, fn())] = &[
    ("spool::what_an_exit_leaves_the_next_process_sends", exits),
    ("spool::a_drain_sends_what_was_left_and_nothing_of_another_user", drains),
    ("spool::fifty_kills_lose_nothing_that_was_on_disk", kills),
    ("spool::a_replay_that_is_killed_is_taken_up_by_the_next", replays),
    ("spool::a_child_neither_holds_nor_frees_the_lock_of_its_parent", forks),
    ("spool::a_disk_that_takes_a_part_of_a_record_loses_nothing", full_disk),
    ("spool::twenty_processes_at_once_send_every_record_once", twenty),
];

pub const JOBS: &[crate::job::Job] = &[
    ("spool and exit", || {
        let series = own_series(&writer());
        (0..SAMPLES).for_each(|at| series.append_at(f64::from(at), base() + i64::from(at)).unwrap());
        5
    }),
    ("overflow", overflow_job),
    ("replay", || {
        let pid = std::process::id().to_string();
        writer().series("replayer", &[("pid", pid)], None).unwrap().append(1.0).unwrap();
        until("the end of the spool", || directory_is_empty(config().spool_dir.unwrap()));
        0
    }),
    ("spool and fork", fork_job),
    ("full disk", full_disk_job),
];

const SAMPLES: i32 = 5000;
/// Quick to give up, so that tests do not wait for exits.
const QUICK: [(&str, &str); 2] =
    [("exit_idle_timeout", "50ms"), ("queue_config.max_samples_per_send", "100")];

fn base() -> i64 {
    i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap() - 600_000
}

fn directory_is_empty(path: impl AsRef<Path>) -> bool {
    std::fs::read_dir(path).unwrap().next().is_none()
}

fn with<'a>(directory: &'a Path, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    let directory = ("spool_dir", directory.to_str().unwrap());
    [directory].into_iter().chain(QUICK).chain(more.iter().copied()).collect()
}

fn drain(directory: &Path, url: &str, config: Config, timeout: Duration) -> Result<Report> {
    let flush = start_drain(directory, url, config, timeout)?;
    flush.finish();
    Ok(finish_drain(&flush).pop().unwrap())
}

/// Values of all series of the jobs that spool, each in the order in which they came.
fn values(receiver: &Receiver) -> Vec<Vec<i32>> {
    let store = receiver.store();
    let of_jobs = store.series.iter().filter(|(labels, _)| labels["__name__"] == "m");
    of_jobs.map(|(_, samples)| samples.iter().map(|s| s.sample.value() as i32).collect()).collect()
}

/// A receiver that is away: it refuses connections, so that nothing is in flight when a job ends.
fn away() -> Receiver {
    let mut receiver = Receiver::start(Script::default()).unwrap();
    receiver.down();
    receiver
}

/// Sends everything that is in the directory to the receiver, which takes requests from now on.
fn drain_to(directory: &Path, receiver: &mut Receiver) {
    receiver.up().unwrap();
    receiver.set_script(Script::default());
    let options = [("proxy_from_environment", "false")];
    let config = Config::from_pairs(options).unwrap();
    let report = drain(directory, &receiver.url("/api/v1/write"), config, LONG).unwrap();
    assert!(report.complete() && report.ledger.adopted == report.ledger.delivered, "{report:?}");
    assert!(directory_is_empty(directory), "{report:?}");
}

fn exits() {
    let directory = tempfile::tempdir().unwrap();
    let mut receiver = away();
    run("spool and exit", &receiver, &with(directory.path(), &[])).silently(5);
    assert!(!directory_is_empty(directory.path()));
    receiver.up().unwrap();
    run("replay", &receiver, &with(directory.path(), &[])).silently(0);
    assert_eq!(values(&receiver), [(0..SAMPLES).collect::<Vec<_>>()], "not all, or out of order");
}

fn drains() {
    let directory = tempfile::tempdir().unwrap();
    let mut receiver = away();
    let user = [("basic_auth.username", "somebody"), ("basic_auth.password", "canary")];
    run("spool and exit", &receiver, &with(directory.path(), &user)).silently(5);
    let timeout = Duration::from_millis(300);
    let config = Config::from_pairs(user).unwrap();
    let report = drain(directory.path(), &receiver.url("/api/v1/write"), config, timeout).unwrap();
    assert!(!report.complete() && report.pending == SAMPLES as u64, "{report:?}");
    assert_eq!((report.ledger.adopted, report.ledger.delivered), (SAMPLES as u64, 0));
    receiver.up().unwrap();
    let send = |pairs: &[(&str, &str)]| {
        let pairs = pairs.iter().copied().chain([("proxy_from_environment", "false")]);
        let config = Config::from_pairs(pairs).unwrap();
        drain(directory.path(), &receiver.url("/api/v1/write"), config, LONG).unwrap().ledger.adopted
    };
    assert_eq!(send(&[]), 0);
    assert_eq!(send(&[("basic_auth.username", "another"), ("basic_auth.password", "canary")]), 0);
    for file in std::fs::read_dir(directory.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        for secret in [&b"canary"[..], b"somebody"] {
            assert!(bytes.windows(secret.len()).all(|window| window != secret), "a secret is on disk");
        }
    }
    // another password is still the same user
    let rotated = [("basic_auth.username", "somebody"), ("basic_auth.password", "rotated")];
    assert_eq!(send(&rotated), SAMPLES as u64);
    assert_eq!(receiver.store().count(Mark::InOrder), SAMPLES as usize);
    let missing = directory.path().join("missing");
    let refused = drain(&missing, "http://127.0.0.1:9/", Config::default(), LONG).unwrap_err();
    assert!(refused.to_string().contains("must be a directory that exists"), "{refused}");
}

/// Appends until it is killed, and says after each request's worth how many samples were on disk.
fn overflow_job() -> u8 {
    let writer = writer();
    let series = own_series(&writer);
    let base = base();
    for at in 0.. {
        series.append_at(f64::from(at), base + i64::from(at)).unwrap();
        if at % 100 == 99 {
            let spooled = writer.stats().unwrap().balance.ledger.spooled;
            // a line of its own system call, so that it is whole or not there
            std::io::Write::write_all(&mut std::io::stdout(), format!("{spooled}\n").as_bytes()).unwrap();
            std::thread::yield_now();
        }
    }
    0
}

fn kills() {
    let directory = tempfile::tempdir().unwrap();
    let mut receiver = away();
    // block, so that there is no gap that a drop would make
    let options = with(
        directory.path(),
        &[("queue_config.capacity", "1000"), ("queue_config.overflow", "block"), ("spool_max_bytes", "1GiB")],
    );
    let mut promised = 0;
    for round in 0..50_u64 {
        let mut child = job::start("overflow", &receiver, &options);
        let mut lines =
            BufReader::new(child.stdout.take().unwrap()).lines().map(|l| l.unwrap().parse::<u64>());
        // killed at another point each time, the first ones before anything was written
        let wanted = round * 37;
        let mut last = lines.by_ref().find_map(|n| n.ok().filter(|n| *n >= wanted)).unwrap();
        child.kill().unwrap();
        // what it said before it was killed counts too
        last = lines.filter_map(|line| line.ok()).last().unwrap_or(last).max(last);
        child.wait().unwrap();
        promised += last;
    }
    drain_to(directory.path(), &mut receiver);
    let store = receiver.store();
    let stored = store.series.values().map(Vec::len).sum::<usize>() as u64;
    assert!(promised > 1000 && stored >= promised, "{stored} arrived of {promised} on disk");
    assert_eq!(store.count(Mark::InOrder) as u64, stored);
    for values in values(&receiver) {
        assert_eq!(values, (0..values.len() as i32).collect::<Vec<_>>(), "a gap");
    }
}

fn replays() {
    let directory = tempfile::tempdir().unwrap();
    let mut slow = away();
    run("spool and exit", &slow, &with(directory.path(), &[])).silently(5);
    slow.up().unwrap();
    slow.set_script(Script::always(Behaviour::ok().delay(Duration::from_millis(20))));
    for round in 1..=5 {
        let mut child = job::start("replay", &slow, &with(directory.path(), &[]));
        let stored = |wanted| move |s: &State| s.requests.iter().filter(|r| r.stored).count() > wanted;
        assert!(slow.wait_until(stored(6 * round), LONG), "no replay");
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(!directory_is_empty(directory.path()), "nothing was left to kill");
    }
    drain_to(directory.path(), &mut slow);
    let store = slow.store();
    // each kill may repeat the request in flight, and nothing else
    let repeated = store.count(Mark::Duplicate);
    let mut arrived = values(&slow).pop().unwrap();
    assert!(arrived.len() == SAMPLES as usize + repeated && repeated <= 5 * 100, "{repeated} repeated");
    arrived.sort_unstable();
    arrived.dedup();
    assert_eq!(arrived, (0..SAMPLES).collect::<Vec<_>>());
    assert_eq!(store.count(Mark::Conflict) + store.count(Mark::OutOfOrder), 0);
}

/// Has something on disk, forks a child that ends and one that stays, and is killed.
fn fork_job() -> u8 {
    let writer = writer();
    let series = own_series(&writer);
    let directory = config().spool_dir.unwrap();
    let base = base();
    let append = |from: i32, to: i32| {
        (from..to).for_each(|at| series.append_at(f64::from(at), base + i64::from(at)).unwrap());
    };
    append(0, 1000);
    until("a failed request", || writer.stats().unwrap().requests.failed > 0);
    append(1000, 2000);
    until("something on disk", || writer.stats().unwrap().balance.ledger.spooled >= 500);
    let locked = || {
        let config = Config::from_pairs([("proxy_from_environment", "false")]).unwrap();
        let url = format!("{}/api/v1/write", url());
        drain(&directory, &url, config, Duration::from_secs(5)).unwrap().ledger.adopted == 0
            && !directory_is_empty(&directory)
    };
    // SAFETY: the child only waits to be killed.
    let idle = unsafe { libc::fork() };
    if idle == 0 {
        loop {
            // SAFETY: waits for a signal.
            unsafe { libc::pause() };
        }
    }
    // SAFETY: the child leaves without the exit handlers.
    let quick = unsafe { libc::fork() };
    if quick == 0 {
        // uses the writer, whose files it does not have
        let _ = writer.series::<&str, &str>("child", &[], None);
        // SAFETY: ends the child.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: waits for a child of ours.
    unsafe { libc::waitpid(quick, &raw mut status, 0) };
    assert_eq!(status, 0);
    assert!(locked(), "the end of a child freed the lock");
    std::io::Write::write_all(&mut std::io::stdout(), format!("{idle}\n").as_bytes()).unwrap();
    // SAFETY: ends this process as the system does when memory is short, and not the child.
    unsafe { libc::raise(libc::SIGKILL) };
    1
}

/// A process that stays until this is dropped.
struct Idle(libc::pid_t);

impl Drop for Idle {
    fn drop(&mut self) {
        // SAFETY: ends a process that a job started, which waits for nothing else.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

fn forks() {
    let directory = tempfile::tempdir().unwrap();
    let mut receiver = away();
    let options = with(
        directory.path(),
        &[
            ("queue_config.capacity", "2100"),
            ("queue_config.min_backoff", "1h"),
            ("queue_config.max_backoff", "1h"),
        ],
    );
    let mut job = job::start("spool and fork", &receiver, &options);
    let mut said = String::new();
    BufReader::new(job.stdout.take().unwrap()).read_line(&mut said).unwrap();
    let idle = Idle(said.trim().parse().unwrap());
    job.wait().unwrap();
    // SAFETY: asks whether the child is still there.
    assert_eq!(unsafe { libc::kill(idle.0, 0) }, 0);
    // what was on disk: the child that lives does not hold the lock
    drain_to(directory.path(), &mut receiver);
    let on_disk = values(&receiver).pop().unwrap();
    assert!(on_disk.len() >= 500 && on_disk == (0..on_disk.len() as i32).collect::<Vec<_>>());
}

fn twenty() {
    let directory = tempfile::tempdir().unwrap();
    let mut away = away();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            let options = with(directory.path(), &[]);
            let away = &away;
            scope.spawn(move || run("spool and exit", away, &options).silently(5));
        }
    });
    away.up().unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            let options = with(directory.path(), &[]);
            let receiver = &away;
            scope.spawn(move || run("replay", receiver, &options).silently(0));
        }
    });
    assert_eq!(values(&away), vec![(0..SAMPLES).collect::<Vec<_>>(); 20]);
    let store = away.store();
    assert_eq!(store.count(Mark::Duplicate) + store.count(Mark::Conflict), 0);
}

/// Lets no file of this process grow beyond so many bytes, which is how a full disk looks to it.
fn limit_files(bytes: libc::rlim_t) {
    let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a whole struct is given; the signal that comes with the limit is ignored.
    unsafe {
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
        assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit), 0);
    }
}

fn full_disk_job() -> u8 {
    let directory = config().spool_dir.unwrap();
    limit_files(1000);
    let writer = writer();
    let (series, base) = (own_series(&writer), base());
    for at in 0..900 {
        series.append_at(at as f64, base + at).unwrap();
    }
    let told = || writer.stats().unwrap().failures.iter().any(|f| f.message.contains("kept in memory"));
    until("a full disk", told);
    let balance = writer.stats().unwrap().balance;
    assert_eq!((balance.ledger.spooled + balance.pending, balance.ledger.dropped_total()), (900, 0));
    for file in std::fs::read_dir(&directory).unwrap() {
        // the header and whole records: of the one that did not fit nothing is left
        assert!(file.unwrap().metadata().unwrap().len() < 1000);
    }
    limit_files(libc::RLIM_INFINITY);
    let report = writer.close(Duration::ZERO);
    assert_eq!((report.ledger.spooled, report.ledger.dropped_total()), (900, 0), "{report:?}");
    0
}

fn full_disk() {
    let directory = tempfile::tempdir().unwrap();
    let mut receiver = away();
    let options = with(
        directory.path(),
        &[
            ("queue_config.capacity", "1000"),
            ("queue_config.min_backoff", "1h"),
            ("queue_config.max_backoff", "1h"),
        ],
    );
    run("full disk", &receiver, &options).silently(0);
    drain_to(directory.path(), &mut receiver);
    assert_eq!(values(&receiver), [(0..900).collect::<Vec<_>>()]);
}
