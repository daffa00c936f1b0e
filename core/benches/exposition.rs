//! Reading a page: bytes a second, for a page as node_exporter or a server serves it.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use promwrite_core::input::exposition::{Format, ReadOptions, families, merge, read};
use std::fmt::Write as _;

/// About 5000 series: counters of four labels, histograms of 12 buckets, each with help and type.
fn page(format: Format) -> String {
    const BOUNDS: [&str; 12] =
        ["0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf"];
    let (total, suffix) = if format == Format::Text { ("_total", "") } else { ("", "_total") };
    let mut page = String::new();
    for family in 0..40 {
        let name = format!("http_requests_{family}{total}");
        let _ = writeln!(page, "# HELP {name} Requests that were answered, by method and status.");
        let _ = writeln!(page, "# TYPE {name} counter");
        for i in 0..50 {
            let labels =
                format!("method=\"GET\",handler=\"/api/v1/query/{i}\",status=\"200\",instance=\"h{i}:9100\"");
            let _ = writeln!(page, "{name}{suffix}{{{labels}}} {}", f64::from(i) * 12345.678);
        }
        let name = format!("request_duration_seconds_{family}");
        let _ = writeln!(page, "# HELP {name} Time to the answer.\n# TYPE {name} histogram");
        for i in 0..5 {
            let labels = format!("handler=\"/api/v1/query/{i}\"");
            for le in BOUNDS {
                let _ = writeln!(page, "{name}_bucket{{{labels},le=\"{le}\"}} {}", i * 1000);
            }
            let _ =
                writeln!(page, "{name}_sum{{{labels}}} 123.456789\n{name}_count{{{labels}}} {}", i * 1000);
        }
    }
    if format == Format::OpenMetrics {
        page.push_str("# EOF\n");
    }
    page
}

fn bench(c: &mut Criterion) {
    let mut group = c.benchmark_group("exposition");
    for (name, format) in [("text", Format::Text), ("openmetrics", Format::OpenMetrics)] {
        let page = page(format);
        group.throughput(Throughput::Bytes(page.len() as u64));
        group.bench_with_input(BenchmarkId::new("read", name), &page, |b, page| {
            b.iter(|| {
                read(page.as_bytes(), format, &ReadOptions::default()).map(|page| page.samples().len())
            });
        });
    }
    // the least that any reader has to do: see that the page is UTF-8
    let page = page(Format::Text);
    group.throughput(Throughput::Bytes(page.len() as u64));
    group.bench_function("from_utf8", |b| b.iter(|| std::str::from_utf8(page.as_bytes()).map(str::len)));
    group.bench_function("families", |b| b.iter(|| families(page.as_bytes()).map(|f| f.len())));
    group.bench_function("merge", |b| {
        b.iter(|| merge(page.as_bytes(), page.as_bytes()).map(|merged| merged.len()));
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
