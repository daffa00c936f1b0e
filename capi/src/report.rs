//! What a flush achieved, and everything counted: by name, so that a new counter is no new symbol.

use crate::error::promwrite_error;
use crate::guard::{Caller, entry, handle, query, release};
use crate::text::c_string;
use promwrite_core::error::Error;
use promwrite_core::ledger::{Dropped, Event, Ledger, Rejected};
use promwrite_core::sender::{Kind, Report, Stats};
use std::ffi::{CStr, CString, c_char};
use std::ptr;

/// What a flush or a close achieved since the last report, or everything counted since the start: an entry a sender, which is
/// a queue with its connection. A writer and a pusher have one entry, none in a forked child that has not used them.
///
/// Counters, by name: `accepted` + `adopted` = `delivered` + `rejected` + `dropped` + `superseded` + `pending` + `spooled`;
/// `rejected.REASON` (`bad_request`, `after_ambiguous`, `too_large`, `panic`); `dropped.REASON` (`queue_full`, `too_old`, `shutdown`,
/// `expired`, `spool_full`, `damaged`). What is put into the directory of the option spool_dir counts as `spooled`, what is taken out of
/// it again and settled, by this process or another one, as `adopted`.
/// Statistics have `pending_bytes`, `oldest_pending_age_ms`, `requests.succeeded`, `requests.failed`, `requests.retried_items`,
/// `requests.bytes`, `worker_start_failed` and `failed` (0 or 1) as well.
pub struct promwrite_report {
    senders: Vec<Entry>,
    complete: bool,
}

struct Entry {
    url: CString,
    kind: &'static CStr,
    counters: Vec<(CString, u64)>,
    failures: Vec<CString>,
}

impl Entry {
    fn new(url: &str, kind: Kind, ledger: &Ledger, pending: u64, failures: &[Event]) -> Self {
        let mut entry = Entry {
            url: c_string(url),
            kind: match kind {
                Kind::Samples => c"samples",
                Kind::Pushes => c"pushes",
            },
            counters: Vec::new(),
            failures: failures.iter().map(|event| c_string(&event.to_string())).collect(),
        };
        entry.count("accepted", ledger.accepted);
        entry.count("adopted", ledger.adopted);
        entry.count("delivered", ledger.delivered);
        entry.count("superseded", ledger.superseded);
        entry.count("pending", pending);
        entry.count("spooled", ledger.spooled);
        entry.count("rejected", ledger.rejected_total());
        for (why, count) in Rejected::ALL.iter().zip(ledger.rejected) {
            entry.count(&format!("rejected.{}", why.name()), count);
        }
        entry.count("dropped", ledger.dropped_total());
        for (why, count) in Dropped::ALL.iter().zip(ledger.dropped) {
            entry.count(&format!("dropped.{}", why.name()), count);
        }
        entry
    }

    fn of_stats(stats: &Stats) -> Self {
        let balance = &stats.balance;
        let mut entry = Entry::new(&stats.url, stats.kind, &balance.ledger, balance.pending, &stats.failures);
        let age = stats.oldest_pending_age.unwrap_or_default().as_millis();
        entry.count("pending_bytes", balance.pending_bytes);
        entry.count("oldest_pending_age_ms", u64::try_from(age).unwrap_or(u64::MAX));
        entry.count("requests.succeeded", stats.requests.succeeded);
        entry.count("requests.failed", stats.requests.failed);
        entry.count("requests.retried_items", stats.requests.retried);
        entry.count("requests.bytes", stats.requests.bytes);
        entry.count("worker_start_failed", stats.requests.worker_start_failed);
        entry.count("failed", u64::from(stats.failed));
        entry
    }

    fn count(&mut self, name: &str, value: u64) {
        self.counters.push((c_string(name), value));
    }
}

/// Gives `reports` to a caller who may not want them, and the code of the call.
pub fn give(caller: &Caller, reports: &[Report], to: *mut *mut promwrite_report) -> i32 {
    let complete = reports.iter().all(Report::complete);
    if let Some(to) = caller.wanted(to) {
        let entry = |r: &Report| Entry::new(&r.url, r.kind, &r.ledger, r.pending, &r.failures);
        *to = handle(promwrite_report { senders: reports.iter().map(entry).collect(), complete });
    }
    if complete { crate::PROMWRITE_OK } else { crate::PROMWRITE_INCOMPLETE }
}

/// Everything counted, as a report.
pub fn of_stats(stats: &[Stats]) -> promwrite_report {
    let complete = |s: &Stats| {
        s.balance.pending == 0
            && s.balance.ledger.rejected_total() == 0
            && s.balance.ledger.dropped_total() == 0
    };
    promwrite_report {
        senders: stats.iter().map(Entry::of_stats).collect(),
        complete: stats.iter().all(complete),
    }
}

/// How many senders the report has; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_senders(report: *const promwrite_report) -> usize {
    unsafe { query("promwrite_report_senders", 0, |c| Some(c.handle(report, "report").ok()?.senders.len())) }
}

/// Whether nothing is pending, rejected or dropped; false for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_complete(report: *const promwrite_report) -> bool {
    unsafe { query("promwrite_report_complete", false, |c| Some(c.handle(report, "report").ok()?.complete)) }
}

/// The endpoint of a sender (from 0), without user, password and query. Valid until the report is freed; NULL beyond the last
/// sender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_url(
    report: *const promwrite_report,
    sender: usize,
) -> *const c_char {
    unsafe {
        query("promwrite_report_url", ptr::null(), |c| {
            Some(c.handle(report, "report").ok()?.senders.get(sender)?.url.as_ptr())
        })
    }
}

/// What a sender counts: `samples` of a writer or `pushes` of a gateway. Never freed; NULL beyond the last sender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_kind(
    report: *const promwrite_report,
    sender: usize,
) -> *const c_char {
    unsafe {
        query("promwrite_report_kind", ptr::null(), |c| {
            Some(c.handle(report, "report").ok()?.senders.get(sender)?.kind.as_ptr())
        })
    }
}

/// How many counters a sender has; 0 beyond the last sender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_counters(report: *const promwrite_report, sender: usize) -> usize {
    unsafe {
        query("promwrite_report_counters", 0, |c| {
            Some(c.handle(report, "report").ok()?.senders.get(sender)?.counters.len())
        })
    }
}

/// The name of a counter (from 0). Valid until the report is freed; NULL beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_counter_name(
    report: *const promwrite_report,
    sender: usize,
    counter: usize,
) -> *const c_char {
    unsafe {
        query("promwrite_report_counter_name", ptr::null(), |c| {
            let sender = c.handle(report, "report").ok()?.senders.get(sender)?;
            Some(sender.counters.get(counter)?.0.as_ptr())
        })
    }
}

/// The value of a counter; 0 beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_counter_value(
    report: *const promwrite_report,
    sender: usize,
    counter: usize,
) -> u64 {
    unsafe {
        query("promwrite_report_counter_value", 0, |c| {
            let sender = c.handle(report, "report").ok()?.senders.get(sender)?;
            Some(sender.counters.get(counter)?.1)
        })
    }
}

/// The counter of that name of a sender, into `*value`.
///
/// Errors: `PROMWRITE_ERROR_INVALID` where there is no such sender or counter.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_get(
    report: *const promwrite_report,
    sender: usize,
    name: *const c_char,
    name_len: usize,
    value: *mut u64,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_report_get", error, |c| {
            let report = c.handle(report, "report")?;
            let name = c.text(name, name_len, "name")?;
            let to = c.buffer(value, 1, "value")?;
            let entry = report.senders.get(sender).ok_or_else(|| {
                let rule = format!("the report has {}, counted from 0", report.senders.len());
                Error::invalid("sender", sender.to_string(), rule)
            })?;
            let known = entry.counters.iter().find(|(known, _)| known.as_bytes() == name.as_bytes());
            let known = known.ok_or_else(|| Error::invalid("name", name, "no counter has this name"))?;
            to[0] = known.1;
            Ok(crate::PROMWRITE_OK)
        })
    }
}

/// How many recent failures a sender has; 0 beyond the last sender.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_failures(report: *const promwrite_report, sender: usize) -> usize {
    unsafe {
        query("promwrite_report_failures", 0, |c| {
            Some(c.handle(report, "report").ok()?.senders.get(sender)?.failures.len())
        })
    }
}

/// A recent failure (from 0, oldest first), in words. Valid until the report is freed; NULL beyond the last.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_failure(
    report: *const promwrite_report,
    sender: usize,
    failure: usize,
) -> *const c_char {
    unsafe {
        query("promwrite_report_failure", ptr::null(), |c| {
            let sender = c.handle(report, "report").ok()?.senders.get(sender)?;
            Some(sender.failures.get(failure)?.as_ptr())
        })
    }
}

/// Frees a report; NULL is fine.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_report_free(report: *mut promwrite_report) {
    unsafe { release("promwrite_report_free", report) }
}
