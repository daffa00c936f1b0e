//! Encoding and compressing a remote-write 1.0 request against snappy alone on the same bytes, against prost structs,
//! and against one sample a message, as Prometheus sends.
//!
//! The lines at the end are ratios of medians measured in turns within one run, because the machine's own noise then
//! falls on both sides.

#![allow(missing_docs, clippy::unwrap_used, clippy::print_stdout)]

mod workload;

use criterion::{Criterion, Throughput};
use promwrite_core::input::labels::{Labels, METRIC_NAME, NameScheme};
use promwrite_core::wire::proto::{Label, Sample, TimeSeries, WriteRequest};
use promwrite_core::wire::v1::{Encoder, Limits, RawSample, SeriesBytes, encode_labels};
use prost::Message;
use std::hint::black_box;
use std::time::Instant;

const LIMITS: Limits = Limits { max_bytes: 1_000_000, out_of_order: true };

struct Table(Vec<(Box<[u8]>, i64)>);

impl SeriesBytes for Table {
    fn labels(&self, series: u32) -> &[u8] {
        &self.0[series as usize].0
    }
    fn last_cut(&self, series: u32) -> i64 {
        self.0[series as usize].1
    }
    fn set_last_cut(&mut self, series: u32, timestamp_ms: i64) {
        self.0[series as usize].1 = timestamp_ms;
    }
}

/// One shape of a batch, and everything that writes it.
struct Case {
    name: &'static str,
    samples: Vec<RawSample>,
    table: Table,
    pairs: Vec<Vec<(&'static str, String)>>,
    encoder: Encoder,
    snappy: snap::raw::Encoder,
    scratch: Vec<u8>,
    plain: Vec<u8>,
    plain_single: Vec<u8>,
}

impl Case {
    /// `series` × `steps` samples in the order in which a job appends them: all series, step by step.
    fn new(name: &'static str, series: usize, steps: usize) -> Self {
        let pairs: Vec<_> = (0..series).map(|i| workload::pairs(i, 10)).collect();
        let table = pairs.iter().map(|pairs| {
            let rest = pairs.iter().filter(|(n, _)| *n != METRIC_NAME).map(|(n, v)| (*n, v.as_str()));
            (encode_labels(&Labels::new(&pairs[0].1, rest, &[], NameScheme::Legacy).unwrap()), i64::MIN)
        });
        let table = Table(table.collect());
        let samples = (0..steps).flat_map(|step| {
            (0..series).map(move |i| RawSample {
                series: i as u32,
                value: workload::value(i, step),
                timestamp_ms: workload::START_MS + 1000 * step as i64,
            })
        });
        let mut case = Case {
            name,
            samples: samples.collect(),
            table,
            pairs,
            encoder: Encoder::new(),
            snappy: snap::raw::Encoder::new(),
            scratch: Vec::new(),
            plain: Vec::new(),
            plain_single: Vec::new(),
        };
        let body = case.promwrite();
        case.plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        case.plain_single = case.single_messages().encode_to_vec();
        case.scratch = vec![0; snap::raw::max_compress_len(case.plain_single.len())];
        case
    }

    fn promwrite(&mut self) -> Vec<u8> {
        let got = self.encoder.encode(&self.samples, &mut self.table, [], LIMITS).unwrap();
        assert_eq!(got.taken, self.samples.len());
        got.body
    }

    fn snappy_alone(&mut self) -> usize {
        self.snappy.compress(&self.plain, &mut self.scratch).unwrap()
    }

    /// Structs built and encoded for every batch, coalesced as ours is.
    fn prost(&mut self) -> usize {
        let mut series: Vec<_> = self.pairs.iter().map(|pairs| message(pairs)).collect();
        for sample in &self.samples {
            series[sample.series as usize]
                .samples
                .push(Sample { value: sample.value, timestamp: sample.timestamp_ms });
        }
        let plain = WriteRequest { timeseries: series, metadata: vec![] }.encode_to_vec();
        self.snappy.compress(&plain, &mut self.scratch).unwrap()
    }

    /// The same samples, each in a message of its own.
    fn single_messages(&self) -> WriteRequest {
        let one = |sample: &RawSample| {
            let mut series = message(&self.pairs[sample.series as usize]);
            series.samples.push(Sample { value: sample.value, timestamp: sample.timestamp_ms });
            series
        };
        WriteRequest { timeseries: self.samples.iter().map(one).collect(), metadata: vec![] }
    }

    /// Medians in seconds of `a` and `b`, run in turns.
    fn in_turns<A, B>(&mut self, a: fn(&mut Self) -> A, b: fn(&mut Self) -> B) -> (f64, f64) {
        let mut times: Vec<_> = (0..501).map(|_| (seconds(|| a(self)), seconds(|| b(self)))).collect();
        let middle = times.len() / 2;
        times.sort_by(|x, y| x.0.total_cmp(&y.0));
        let first = times[middle].0;
        times.sort_by(|x, y| x.1.total_cmp(&y.1));
        (first, times[middle].1)
    }

    fn report(&mut self) {
        let per_sample = 1e9 / self.samples.len() as f64;
        let (ours, snappy) = self.in_turns(Self::promwrite, Self::snappy_alone);
        // apart, because the structs leave caches and allocator in a state that no other runner would find
        let (ours_by_prost, prost) = self.in_turns(Self::promwrite, Self::prost);
        let bytes = self.promwrite().len();
        let single = self.snappy.compress(&self.plain_single, &mut self.scratch).unwrap();
        let count = self.samples.len() as f64;
        println!(
            "{}: encode + compress {:.1} ns a sample, snappy alone {:.1}, ratio {:.2}; prost {:.1}, ratio {:.2}; {:.1} bytes a sample ({:.1} uncompressed), one sample a message {:.1}, ratio {:.2}",
            self.name,
            ours * per_sample,
            snappy * per_sample,
            ours / snappy,
            prost * per_sample,
            ours_by_prost / prost,
            bytes as f64 / count,
            self.plain.len() as f64 / count,
            single as f64 / count,
            bytes as f64 / single as f64,
        );
    }
}

fn message(pairs: &[(&'static str, String)]) -> TimeSeries {
    let label = |(name, value): &(&'static str, String)| Label { name: (*name).into(), value: value.clone() };
    TimeSeries { labels: pairs.iter().map(label).collect(), ..TimeSeries::default() }
}

fn seconds<T>(work: impl FnOnce() -> T) -> f64 {
    let begin = Instant::now();
    drop(black_box(work()));
    begin.elapsed().as_secs_f64()
}

fn main() {
    let mut cases =
        [Case::new("2000 series x 1 sample", 2000, 1), Case::new("200 series x 10 samples", 200, 10)];
    let mut criterion = Criterion::default().configure_from_args();
    for case in &mut cases {
        let mut group = criterion.benchmark_group(case.name);
        group.throughput(Throughput::Elements(case.samples.len() as u64));
        group.bench_function("encode and compress", |b| b.iter(|| case.promwrite()));
        group.bench_function("snappy alone", |b| b.iter(|| case.snappy_alone()));
        group.bench_function("prost structs", |b| b.iter(|| case.prost()));
        group.finish();
    }
    criterion.final_summary();
    println!();
    for case in &mut cases {
        case.report();
    }
}
