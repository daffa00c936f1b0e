//! The series that benchmarks and size tests write: what a job on a cluster pushes, 10 labels and 313 bytes a series
//! with one sample.

/// When the workload's samples begin, in ms.
pub const START_MS: i64 = 1_700_000_000_123;

/// Labels of series `index`, `__name__` first; `count` of 9 or 10 labels.
pub fn pairs(index: usize, count: usize) -> Vec<(&'static str, String)> {
    const FAMILIES: [&str; 5] = [
        "etl_rows_written_total",
        "etl_rows_dropped_total",
        "etl_rows_skipped_total",
        "etl_rows_retried_total",
        "etl_rows_spilled_total",
    ];
    let partition = index / FAMILIES.len();
    let mut pairs = vec![
        ("__name__", FAMILIES[index % FAMILIES.len()].into()),
        ("cluster", "shanghai-prod-3".into()),
        ("container", "spark-executor".into()),
        ("instance", format!("10.{:03}.{:03}.17:4040", 100 + partition % 7, 100 + partition / 7 % 100)),
        ("job", "nightly-warehouse-load".into()),
        ("namespace", "data-platform".into()),
        ("partition", format!("{partition:05}")),
        ("pod", format!("warehouse-load-{:08x}-exec-{:03}", hash(partition / 8), partition % 8)),
        ("stage", format!("join-{:02}", partition % 12)),
    ];
    if count == 10 {
        pairs.insert(1, ("attempt", format!("{:016x}", hash(index) << 16 | 1)));
    }
    pairs
}

/// A value as counters have it: different for each series and step, not a round number of bits.
pub fn value(series: usize, step: usize) -> f64 {
    (hash(series) % 100_000 + step as u64 * 37) as f64
}

fn hash(n: usize) -> u64 {
    (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32
}
