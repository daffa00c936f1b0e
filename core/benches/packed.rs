//! Many series in one call, as an uncompressed `WriteRequest`: handing it to a writer against prost and a batch, and making
//! a body of it against snappy alone. The writer's receiver is away, so its queue fills and drops its oldest.
//!
//! Medians of rounds measured in turns within one run, because the machine's own noise then falls on both sides.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod workload;

use promwrite_core::config::Config;
use promwrite_core::wire::proto::{Label, Sample, TimeSeries, WriteRequest};
use promwrite_core::wire::v1::{encode_bound, encode_request};
use promwrite_core::writer::Writer;
use prost::Message;
use std::hint::black_box;
use std::time::{Duration, Instant};

const SERIES: usize = 2000;
const ROUNDS: usize = 301;

/// A request of series with one sample each, from the first on or by great steps; the labels sorted, or turned around.
fn request(sorted: bool, step: usize) -> Vec<u8> {
    let series = (0..SERIES).map(|i| i * step % SERIES).map(|i| {
        let mut labels: Vec<_> = workload::pairs(i, 10)
            .into_iter()
            .map(|(name, value)| Label { name: name.into(), value })
            .collect();
        if !sorted {
            labels.reverse();
        }
        let samples = vec![Sample { value: workload::value(i, 0), timestamp: workload::START_MS }];
        TimeSeries { labels, samples, ..TimeSeries::default() }
    });
    WriteRequest { timeseries: series.collect(), metadata: Vec::new() }.encode_to_vec()
}

/// A writer that sends to a port where nobody listens.
fn writer(instance: &str) -> Writer {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/api/v1/write", listener.local_addr().unwrap());
    Writer::new(&url, Config::from_pairs([("instance", instance)]).unwrap()).unwrap()
}

fn by_batch(writer: &Writer, request: &[u8]) -> usize {
    let request = WriteRequest::decode(request).unwrap();
    let mut batch = writer.batch().unwrap();
    for series in &request.timeseries {
        let name = series.labels.iter().find(|l| l.name == "__name__").unwrap();
        for sample in &series.samples {
            let labels = series.labels.iter().filter(|l| l.name != "__name__");
            let labels = labels.map(|l| (l.name.as_str(), l.value.as_str()));
            batch.add(&name.value, labels, sample.value, Some(sample.timestamp), None).unwrap();
        }
    }
    let len = batch.len();
    batch.commit().unwrap();
    len
}

type Work<'w> = (&'static str, Box<dyn FnMut() -> usize + 'w>);

/// Prints medians and lower deciles in ns a series, all run in turns.
fn compare(title: &str, mut works: Vec<Work<'_>>) {
    let mut times = vec![Vec::new(); works.len()];
    for _ in 0..ROUNDS {
        for ((_, work), times) in works.iter_mut().zip(&mut times) {
            let begin = Instant::now();
            black_box(work());
            times.push(begin.elapsed().as_nanos() as f64 / SERIES as f64);
        }
    }
    println!("{title}");
    for ((name, _), mut times) in works.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        println!("  {name}: {:.1} ns a series (lower decile {:.1})", times[ROUNDS / 2], times[ROUNDS / 10]);
    }
}

fn main() {
    let (sorted, unsorted, other_order) = (request(true, 1), request(false, 1), request(true, 701));
    println!("{SERIES} series of 10 labels, {} bytes each with one sample", sorted.len() / SERIES);
    let (plain, labelled) = (writer(""), writer("host-1"));
    compare(
        "push_request",
        vec![
            ("sorted labels", Box::new(|| plain.push_request(&sorted).unwrap())),
            (
                "sorted labels, series in another order",
                Box::new(|| plain.push_request(&other_order).unwrap()),
            ),
            ("unsorted labels", Box::new(|| plain.push_request(&unsorted).unwrap())),
            ("sorted labels, the writer adds one", Box::new(|| labelled.push_request(&sorted).unwrap())),
        ],
    );
    // apart, because the structs leave caches and allocator in a state that no other runner would find
    compare("prost and a batch", vec![("sorted labels", Box::new(|| by_batch(&plain, &sorted)))]);
    for writer in [plain, labelled] {
        let _ = writer.close(Duration::ZERO);
    }
    let mut snappy = snap::raw::Encoder::new();
    let (mut first, mut second, mut third) = (
        vec![0; encode_bound(sorted.len())],
        vec![0; encode_bound(sorted.len())],
        vec![0; encode_bound(sorted.len())],
    );
    compare(
        "encode_request",
        vec![
            ("sorted labels", Box::new(|| encode_request(&sorted, &mut first).unwrap())),
            ("unsorted labels", Box::new(|| encode_request(&unsorted, &mut second).unwrap())),
            ("snappy alone", Box::new(|| snappy.compress(&sorted, &mut third).unwrap())),
        ],
    );
}
