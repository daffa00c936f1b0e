//! Forks made in C: the child begins empty and can push at once, the parent loses nothing, and no connection is shared.

use crate::job::{LONG, config, ledger, own_series, run, until, url, writer};
use promwrite_core::pusher::Pusher;
use promwrite_core::writer::{Series, Writer};
use promwrite_receiver::{Behaviour, Decoded, Mark, Receiver, Script};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub const TESTS: &[(&str, fn())] = &[
    ("forks::of_an_idle_sender", || forked("fork idle", Script::default(), 3, 1)),
    ("forks::while_a_request_is_in_flight", || forked("fork sending", in_flight(), 3, 1)),
    ("forks::during_a_back_off", || forked("fork in back-off", unavailable(), 3, 1)),
    ("forks::before_the_first_sample", || forked("fork early", Script::default(), 1, 1)),
    ("forks::a_child_that_exits_delivers_its_own_and_nothing_of_its_parent", exits),
    ("forks::two_hundred_under_eight_threads_that_append", storm),
];

pub const JOBS: &[crate::job::Job] = &[
    ("fork idle", || fork_job(|writer, _| assert!(writer.flush(LONG).complete()))),
    ("fork sending", || {
        fork_job(|writer, _| {
            let _ = writer.start_flush(Duration::ZERO);
            until("a connection", connected);
        })
    }),
    ("fork in back-off", || fork_job(|writer, _| back_off(writer))),
    ("fork early", || {
        let writer = writer();
        let inherited = series(&writer, "inherited");
        wait_for(fork(|| in_child(&writer, &inherited)));
        own_series(&writer).append(1.0).unwrap();
        assert!(writer.flush(LONG).complete());
        0
    }),
    ("fork and exit", fork_and_exit_job),
    ("fork storm", storm_job),
];

/// A child pushes, flushes and closes within this: ten times what is promised.
const CHILD: Duration = Duration::from_secs(10);
/// A fork takes no longer than this, which is more than four hundred times what is promised.
const FORK: Duration = Duration::from_secs(2);

fn in_flight() -> Script {
    Script::first([Behaviour::ok().delay(Duration::from_millis(500))])
}

fn unavailable() -> Script {
    Script::first([Behaviour::status(503)])
}

fn back_off(writer: &Writer) {
    let _ = writer.start_flush(Duration::ZERO);
    until("a failed request", || writer.stats().unwrap().requests.failed > 0);
}

fn connected() -> bool {
    let port: u16 = url().rsplit(':').next().unwrap().parse().unwrap();
    let remote = format!(":{port:04X} 01 ");
    std::fs::read_to_string("/proc/self/net/tcp").unwrap().lines().any(|line| line.contains(&remote))
}

fn series(writer: &Writer, name: &str) -> Series {
    writer.series::<&str, &str>(name, &[], None).unwrap()
}

/// Forks as a C program does, without a word to anybody. The child runs `child` and ends with its code; a panic is code 1.
fn fork(child: impl FnOnce() -> i32) -> libc::pid_t {
    let begun = Instant::now();
    // SAFETY: the child goes on in Rust, which is what is tested here, and leaves without the parent's exit handlers.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(child)).unwrap_or(1);
        // SAFETY: ends the child.
        unsafe { libc::_exit(code) };
    }
    assert!(pid > 0 && begun.elapsed() < FORK, "{pid}: {:?}", begun.elapsed());
    pid
}

/// Waits for a child that is to end with 0.
fn wait_for(pid: libc::pid_t) {
    assert_eq!(code_of(pid), 0, "the child failed");
}

fn code_of(pid: libc::pid_t) -> i32 {
    let mut status = 0;
    // SAFETY: waits for a child of ours.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert!(libc::WIFEXITED(status), "the child was killed: {status:#x}");
    libc::WEXITSTATUS(status)
}

/// What a child does: it begins empty, uses what it inherited and something new, flushes and closes.
fn in_child(writer: &Writer, inherited: &Series) -> i32 {
    let begun = Instant::now();
    let own = own_series(writer);
    let stats = writer.stats().unwrap();
    assert_eq!((stats.balance.ledger.accepted, stats.balance.pending), (0, 0));
    assert!(stats.failures.is_empty() && stats.requests.failed == 0);
    own.append(1.0).unwrap();
    // a time of its own, or two descendants could fall on one millisecond
    let pid = std::process::id();
    inherited.append_at(f64::from(pid), 1_700_000_000_000 + i64::from(pid)).unwrap();
    let pusher = Pusher::new(&url(), "fork", [("pid".into(), pid.to_string())], config()).unwrap();
    pusher.push(b"m 1\n".to_vec(), "text/plain").unwrap();
    let report = writer.flush(CHILD);
    assert!(report.complete() && report.ledger.delivered == 2, "{report:?}");
    assert!(pusher.close(CHILD).unwrap().complete());
    let report = writer.close(CHILD);
    assert!(report.complete() && own.append(2.0).is_err(), "{report:?}");
    assert!(begun.elapsed() < CHILD, "{:?}", begun.elapsed());
    0
}

/// A parent that is brought into some state, forks a child and a grandchild, and goes on.
fn fork_job(bring: impl FnOnce(&Writer, &Series)) -> u8 {
    let writer = writer();
    let (own, inherited) = (own_series(&writer), series(&writer, "inherited"));
    own.append(1.0).unwrap();
    bring(&writer, &own);
    let child = fork(|| {
        wait_for(fork(|| in_child(&writer, &inherited)));
        in_child(&writer, &inherited)
    });
    own.append(2.0).unwrap();
    wait_for(child);
    own.append(3.0).unwrap();
    let report = writer.flush(LONG);
    assert_eq!((report.pending, ledger(&writer).delivered), (0, 3), "{report:?}");
    0
}

/// Runs the job and looks at what came: `parents` samples of the parent and one of each of its descendants, each once.
fn forked(job: &str, script: Script, parents: usize, each: usize) {
    let receiver = Receiver::start(script).unwrap();
    run(job, &receiver, &[("queue_config.min_backoff", "1s")]).silently(0);
    let by_pid = samples_by_pid(&receiver);
    let descendants = if job == "fork early" { 1 } else { 2 };
    let mut counts: Vec<usize> = by_pid.into_values().collect();
    counts.sort_unstable();
    let mut expected = vec![each; descendants];
    expected.push(parents);
    assert_eq!(counts, expected);
    let store = receiver.store();
    assert_eq!(store.samples(&[("__name__", "inherited")]).len(), descendants);
    assert_eq!(store.groups.len(), descendants);
    assert_eq!(store.count(Mark::Duplicate) + store.count(Mark::Conflict), 0, "something was sent twice");
    nobody_shares_a_connection(&receiver);
}

fn samples_by_pid(receiver: &Receiver) -> BTreeMap<String, usize> {
    let store = receiver.store();
    store.series.iter().filter_map(|(labels, s)| Some((labels.get("pid")?.clone(), s.len()))).collect()
}

/// Every connection carries the bodies of one process.
fn nobody_shares_a_connection(receiver: &Receiver) {
    let mut users: BTreeMap<u64, BTreeSet<String>> = BTreeMap::new();
    for request in receiver.requests() {
        assert!(request.complete, "a request was cut: {request:?}");
        let pids: Vec<String> = match &request.decoded {
            Decoded::WriteV1 { series, .. } => {
                let labels = series.iter().flat_map(|s| s.labels.iter());
                labels.filter(|(name, _)| name == "pid").map(|(_, value)| value.clone()).collect()
            }
            Decoded::Push { group, .. } => vec![group["pid"].clone()],
            other => panic!("{other:?}"),
        };
        assert!(!pids.is_empty());
        users.entry(request.connection).or_default().extend(pids);
    }
    assert!(users.len() > 1 && users.values().all(|pids| pids.len() == 1), "{users:?}");
    assert_eq!(receiver.inspect(|state| state.malformed.clone()), Vec::<String>::new());
}

fn exits() {
    let receiver = Receiver::start(unavailable()).unwrap();
    run(
        "fork and exit",
        &receiver,
        &[("queue_config.min_backoff", "1h"), ("queue_config.max_backoff", "1h")],
    )
    .silently(0);
    let counts: Vec<usize> = samples_by_pid(&receiver).into_values().collect();
    assert_eq!(counts, [1, 1]);
    nobody_shares_a_connection(&receiver);
}

fn fork_and_exit_job() -> u8 {
    let writer = writer();
    own_series(&writer).append(1.0).unwrap();
    back_off(&writer);
    let child = fork(|| {
        own_series(&writer).append(1.0).unwrap();
        // SAFETY: runs the exit handlers, ours among them.
        unsafe { libc::exit(5) }
    });
    assert_eq!(code_of(child), 5);
    // what the parent has pending is still its own to send
    assert_eq!(writer.stats().unwrap().balance.pending, 1);
    assert!(writer.flush(LONG).complete());
    0
}

const FORKS: usize = 200;

fn storm() {
    let receiver = Receiver::start(Script::default()).unwrap();
    run("fork storm", &receiver, &[("queue_config.batch_send_deadline", "10ms")]).silently(0);
    let store = receiver.store();
    let own = store.series.iter().filter(|(labels, _)| labels["__name__"] == "m");
    let (parents, children): (Vec<_>, Vec<_>) = own.map(|(_, samples)| samples).partition(|s| s.len() > 1);
    assert_eq!((parents.len(), children.len()), (1, FORKS));
    // without a gap and in order; that none is missing at the end is for the job to know
    let values: Vec<f64> = parents[0].iter().map(|s| s.sample.value()).collect();
    assert_eq!(values, (0..values.len()).map(|i| i as f64).collect::<Vec<_>>());
    assert_eq!(receiver.store().count(Mark::Duplicate), 0, "something was sent twice");
    nobody_shares_a_connection(&receiver);
}

fn storm_job() -> u8 {
    let writer = writer();
    let own = own_series(&writer);
    let base = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap() - 600_000;
    let (over, next) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (writer, own, over, next) = (&writer, &own, &over, &next);
            scope.spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    // one thread appends in order; all of them take every lock there is, so that forks meet them held
                    if thread == 0 {
                        let at = next.fetch_add(1, Ordering::SeqCst);
                        own.append_at(at as f64, base + at as i64).unwrap();
                    }
                    let labels = [("pid", std::process::id().to_string()), ("thread", thread.to_string())];
                    let other = writer.series("n", &labels, None).unwrap();
                    other.append(0.0).unwrap();
                    for _ in 0..50 {
                        ledger(writer);
                    }
                }
            });
        }
        for _ in 0..FORKS {
            wait_for(fork(|| {
                own_series(&writer).append(1.0).unwrap();
                i32::from(!writer.close(CHILD).complete())
            }));
        }
        over.store(true, Ordering::SeqCst);
    });
    let report = writer.flush(LONG);
    let ledger = ledger(&writer);
    assert_eq!((report.pending, ledger.rejected_total(), ledger.dropped_total()), (0, 0, 0), "{report:?}");
    assert_eq!(ledger.accepted, ledger.delivered + ledger.superseded);
    0
}
