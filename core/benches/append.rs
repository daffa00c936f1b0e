//! What an append costs its caller, against a push into a `Mutex<Vec>` of the same 24 bytes, on one thread and on eight;
//! and what a pending sample weighs. The receiver is away, so the queue fills and then drops its oldest: the caller must
//! not notice either.
//!
//! Medians of rounds measured in turns within one run, because the machine's own noise then falls on both sides.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

use promwrite_core::config::Config;
use promwrite_core::wire::v1::RawSample;
use promwrite_core::writer::{Series, Writer};
use std::hint::black_box;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Appends of a thread in a round: enough that starting the threads is not what is measured.
const APPENDS: usize = 40_000;

/// A port where nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/api/v1/write", listener.local_addr().unwrap())
}

/// Nanoseconds an operation, `threads` doing `APPENDS` each.
fn round(threads: usize, work: &(dyn Fn(usize, usize) + Sync)) -> f64 {
    let start = Instant::now();
    if threads == 1 {
        work(0, APPENDS);
    } else {
        std::thread::scope(|scope| {
            for thread in 0..threads {
                scope.spawn(move || work(thread, APPENDS));
            }
        });
    }
    start.elapsed().as_nanos() as f64 / (threads * APPENDS) as f64
}

/// Median and lower decile: the machine's own noise only ever adds.
fn middle(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[values.len() / 10])
}

fn compare(name: &str, threads: usize, rounds: usize, series: &[Series]) {
    let plain: Mutex<Vec<RawSample>> = Mutex::new(Vec::with_capacity(4_000_000));
    let vec_push = |thread: usize, n: usize| {
        for i in 0..n {
            let sample =
                RawSample { series: thread as u32, value: i as f64, timestamp_ms: 1_700_000_000_000 };
            plain.lock().unwrap().push(black_box(sample));
        }
    };
    let append = |thread: usize, n: usize| {
        for i in 0..n {
            series[thread % series.len()].append(black_box(i as f64)).unwrap();
        }
    };
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        plain.lock().unwrap().clear();
        theirs.push(round(threads, &vec_push));
        ours.push(round(threads, &append));
    }
    let ((ours, best), (theirs, their_best)) = (middle(ours), middle(theirs));
    println!(
        "{name}, {threads} thread(s): append {ours:.1} ns (lower decile {best:.1}), Mutex<Vec> push {theirs:.1} ns \
         ({their_best:.1}), ratio {:.2} ({:.2})",
        ours / theirs,
        best / their_best
    );
}

fn resident_bytes() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

fn main() {
    let writer = Writer::new(&nobody(), Config::default()).unwrap();
    let series: Vec<Series> =
        (0..8).map(|i| writer.series("bench_total", &[("thread", i.to_string())], None).unwrap()).collect();
    series[0].append(0.0).unwrap();
    let before = resident_bytes();
    for i in 0..1_000_000 {
        series[0].append(f64::from(i)).unwrap();
    }
    let full = resident_bytes();
    println!("pending: {:.1} bytes a sample", (full - before) as f64 / 1e6);
    for i in 0..5_000_000 {
        series[0].append(f64::from(i)).unwrap();
    }
    let later = resident_bytes();
    println!(
        "memory with a dead receiver: {} KiB more after 5 million further appends",
        later.saturating_sub(full) / 1024
    );
    compare("queue full", 1, 101, &series);
    compare("queue full", 8, 51, &series);
    compare("queue full, one series", 8, 51, &series[..1]);
    let _ = writer.close(Duration::ZERO);

    let config =
        Config::from_pairs([("queue_config.capacity", "100000000"), ("queue_config.capacity_bytes", "4GiB")]);
    let writer = Writer::new(&nobody(), config.unwrap()).unwrap();
    let series: Vec<Series> =
        (0..8).map(|i| writer.series("bench_total", &[("thread", i.to_string())], None).unwrap()).collect();
    compare("queue growing", 1, 101, &series);
    compare("queue growing", 8, 21, &series);
    let _ = writer.close(Duration::ZERO);
}
