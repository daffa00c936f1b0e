//! The spool: what cannot be sent is kept on disk, for this process to send later or for another one to take over.
//!
//! The files are the only truth. Each belongs to whoever has locked it, so a file that nobody has locked was left by a
//! process that ended, and the first one to lock it sends what is in it. A record stays in its file until the receiver has
//! taken or refused it, or it is too old. Nothing of this happens on a thread that appends.
//!
//! What this process moves to disk is older than what it has in memory and is sent before that, so the order of each
//! series is kept. What others left belongs to other series, as a rule: it waits for live data, and takes at most every
//! second request.

mod directory;
mod record;
mod segment;
mod source;
#[cfg(test)]
mod tests;
mod work;

pub use directory::Directory;
pub use source::{Place, Spooling};

use crate::clock::Mono;
use crate::ledger::Dropped;
use crate::pending::source::Notice;
use directory::Listed;
use record::{Found, Meta, Record, Scan};
use segment::{Adopted, Segment};
use std::collections::{HashSet, VecDeque};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The largest file; less where the directory may hold little.
const SEGMENT: u64 = 8 << 20;
/// How often files of processes that ended are looked for.
const SCAN: Duration = Duration::from_secs(30);
/// How soon after a failed write the disk is tried again.
const RETRY: Duration = Duration::from_secs(30);

/// Bounds of a spool.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Records older than this are dropped.
    pub max_age: Duration,
    /// Bytes of all files of the directory, whoever owns them.
    pub max_bytes: u64,
}

/// Whose record it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Written by this process.
    Own,
    /// Left by another.
    Other,
}

/// A file with what is still to be sent of it, oldest first. No file is kept that holds nothing.
#[derive(Debug)]
struct Held {
    segment: Segment,
    /// With the position in the queue of the first sample of each, where this process wrote it.
    records: VecDeque<(Record, u64)>,
    /// Whether the first record is in work: its items are counted by whoever has it.
    in_work: bool,
}

/// The files of one sender.
#[derive(Debug)]
pub struct Spool {
    directory: Directory,
    fingerprint: [u8; 16],
    limits: Limits,
    /// Oldest first; the last one is written to.
    own: VecDeque<Held>,
    other: Option<Held>,
    /// Bytes in the directory, as far as known without looking.
    bytes: u64,
    next_scan: Mono,
    broken_until: Mono,
    refused: HashSet<PathBuf>,
    /// Items given up and why, to be counted by the source.
    pub lost: Vec<(Dropped, u64)>,
    /// Whose record in work was removed with its file.
    pub withdrawn: Vec<From>,
    /// What a person should know.
    pub notices: Vec<Notice>,
}

impl Spool {
    /// The spool of the endpoint with this fingerprint; nothing is read or written yet.
    pub fn new(directory: Directory, fingerprint: [u8; 16], limits: Limits) -> Self {
        Spool {
            directory,
            fingerprint,
            limits,
            own: VecDeque::new(),
            other: None,
            // more than may be there, so that the first write looks
            bytes: u64::MAX,
            next_scan: Mono::ZERO,
            broken_until: Mono::ZERO,
            refused: HashSet::new(),
            lost: Vec::new(),
            withdrawn: Vec::new(),
            notices: Vec::new(),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// Its bounds.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Lets the next write try the disk, even if one has just failed: for the last chance to write.
    pub fn try_again(&mut self) {
        self.broken_until = Mono::ZERO;
    }

    /// Writes a request's body, whose first sample was queued at `position`. False if the disk does not take it, now or
    /// for a while.
    pub fn write(&mut self, body: &[u8], meta: Meta, position: u64, now: Mono) -> bool {
        if now < self.broken_until {
            return false;
        }
        let written = self.try_write(body, meta, position);
        if let Err(error) = &written {
            self.broken_until = now + RETRY;
            let at = self.path().display();
            self.tell(true, format!("spool: {at}: {error}; kept in memory, tried again in 30s"));
        }
        written.is_ok()
    }

    fn try_write(&mut self, body: &[u8], meta: Meta, position: u64) -> io::Result<()> {
        let bytes = (record::RECORD + body.len()) as u64;
        let largest = SEGMENT.min(self.limits.max_bytes / 8);
        let full = |held: &Held| held.segment.bytes() + bytes > largest || held.segment.is_gone();
        let rolls = self.own.back().is_none_or(full);
        let needed = if rolls { bytes + record::START as u64 } else { bytes };
        if rolls {
            // looks again, because other processes write there too: each may be wrong by one file
            self.bytes = u64::MAX;
        }
        self.free(needed)?;
        // freeing may have removed the file that was written to
        if rolls || self.own.is_empty() {
            let segment = Segment::create(&self.directory, self.fingerprint, meta.created_ms)?;
            self.own.push_back(Held { segment, records: VecDeque::new(), in_work: false });
        }
        let Some(held) = self.own.back_mut() else { return Err(io::Error::other("no spool file")) };
        match held.segment.append(meta, body) {
            Ok(record) => held.records.push_back((record, position)),
            Err(error) => {
                if held.records.is_empty()
                    && let Some(held) = self.own.pop_back()
                {
                    let _ = held.segment.remove();
                }
                return Err(error);
            }
        }
        self.bytes = self.bytes.saturating_add(needed);
        Ok(())
    }

    /// Sees to it that `needed` bytes may be written: removes the oldest files that this process may remove.
    fn free(&mut self, needed: u64) -> io::Result<()> {
        let max = self.limits.max_bytes;
        if self.bytes.saturating_add(needed) <= max {
            return Ok(());
        }
        // the count may be too high, since other processes remove files
        self.directory.ensure()?;
        let files = self.directory.list()?;
        self.bytes = files.iter().map(|file| file.bytes).sum();
        let mut lost = 0;
        for file in files {
            if self.bytes.saturating_add(needed) <= max {
                break;
            }
            if let Some(items) = self.remove(&file)? {
                lost += items;
                self.bytes -= file.bytes;
            }
        }
        if lost > 0 {
            self.lost.push((Dropped::SpoolFull, lost));
        }
        match self.bytes.saturating_add(needed) <= max {
            true => Ok(()),
            false if needed > max => Err(io::Error::other("a request is larger than spool_max_bytes")),
            false => Err(io::Error::other("spool_max_bytes is reached by files of processes that live")),
        }
    }

    /// Removes a file that is ours or nobody's; says how many items that cost.
    fn remove(&mut self, file: &Listed) -> io::Result<Option<u64>> {
        if let Some(at) = self.own.iter().position(|held| held.segment.path() == file.path) {
            return match self.own.remove(at) {
                Some(held) => self.drop_held(From::Own, held).map(Some),
                None => Ok(None),
            };
        }
        if let Some(held) = self.other.take_if(|held| held.segment.path() == file.path) {
            return self.drop_held(From::Other, held).map(Some);
        }
        if file.header.is_none() {
            return std::fs::remove_file(&file.path).map(|()| Some(0));
        }
        match Segment::adopt(&file.path, None) {
            Ok(Adopted::Taken(segment, scan)) => {
                let items = scan.records.iter().chain(&scan.cut).map(|r| u64::from(r.meta.items)).sum();
                segment.remove().map(|()| Some(items))
            }
            Ok(Adopted::Damaged(segment)) => segment.remove().map(|()| Some(0)),
            Ok(Adopted::Busy | Adopted::Foreign) | Err(_) => Ok(None),
        }
    }

    fn drop_held(&mut self, from: From, held: Held) -> io::Result<u64> {
        let items = held.records.iter().skip(usize::from(held.in_work)).map(items).sum();
        if held.in_work {
            self.withdrawn.push(from);
        }
        held.segment.remove().map(|()| items)
    }

    /// Where in the queue the oldest sample was that this process has on disk.
    pub fn own_from(&self) -> Option<u64> {
        self.own.front().and_then(|held| held.records.front()).map(|(_, position)| *position)
    }

    /// The next record to send, which stays where it is until [`Spool::settle`]. What is too old or damaged is given up.
    pub fn next(&mut self, from: From, now: Mono, wall_ms: i64) -> Option<(Record, Vec<u8>)> {
        let age = i64::try_from(self.limits.max_age.as_millis()).unwrap_or(i64::MAX);
        loop {
            if from == From::Other && self.other.is_none() {
                self.adopt(now, wall_ms);
            }
            let held = self.held(from)?;
            let (record, _) = *held.records.front()?;
            let why = if record.meta.created_ms.saturating_add(age) < wall_ms {
                Dropped::Expired
            } else {
                match held.segment.read(&record) {
                    Ok(body) => {
                        held.in_work = true;
                        return Some((record, body));
                    }
                    Err(error) => {
                        let at = held.segment.path().display().to_string();
                        self.tell(true, format!("spool: {at}: a record was given up: {error}"));
                        Dropped::Damaged
                    }
                }
            };
            self.lost.push((why, u64::from(record.meta.items)));
            self.settle(from, record.seq);
        }
    }

    fn held(&mut self, from: From) -> Option<&mut Held> {
        match from {
            From::Own => self.own.front_mut(),
            From::Other => self.other.as_mut(),
        }
    }

    /// Forgets the record with number `seq`, if it is still the next one.
    pub fn settle(&mut self, from: From, seq: u64) {
        let Some(held) = self.held(from) else { return };
        if held.records.front().is_none_or(|(record, _)| record.seq != seq) {
            return;
        }
        held.records.pop_front();
        held.in_work = false;
        let done = if held.records.is_empty() {
            let held = match from {
                From::Own => self.own.pop_front(),
                From::Other => self.other.take(),
            };
            held.map_or(Ok(()), |held| {
                self.bytes = self.bytes.saturating_sub(held.segment.bytes());
                held.segment.remove()
            })
        } else {
            held.segment.settle(seq)
        };
        if let Err(error) = done {
            let at = self.path().display();
            self.tell(true, format!("spool: {at}: {error}; what was delivered may be sent once more"));
        }
    }

    /// Takes over the oldest file that a process of the same endpoint left.
    fn adopt(&mut self, now: Mono, wall_ms: i64) {
        if now < self.next_scan {
            return;
        }
        self.next_scan = now + SCAN;
        let files = match self.directory.list() {
            Ok(files) => files,
            // nothing was ever written there, or it was removed
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => {
                self.tell(true, format!("spool: {}: {error}", self.path().display()));
                return;
            }
        };
        for file in files {
            let ours = match &file.header {
                Some(Ok(Found::Header(header))) => header.fingerprint == self.fingerprint,
                Some(Ok(Found::Damaged)) => true,
                Some(Ok(Found::OtherVersion)) | None => false,
                Some(Err(error)) => {
                    self.refuse(&file.path, error);
                    false
                }
            };
            if !ours {
                continue;
            }
            match Segment::adopt(&file.path, Some(self.fingerprint)) {
                Ok(Adopted::Taken(segment, scan)) => {
                    if self.take_over(segment, scan, wall_ms) {
                        // there may be more where this came from
                        self.next_scan = now;
                        return;
                    }
                }
                Ok(Adopted::Damaged(segment)) => self.set_aside(segment),
                Ok(Adopted::Busy | Adopted::Foreign) => {}
                Err(error) => self.refuse(&file.path, &error),
            }
        }
    }

    /// Makes a file our own that holds something to send; removes it otherwise.
    fn take_over(&mut self, mut segment: Segment, scan: Scan, wall_ms: i64) -> bool {
        let at = segment.path().display().to_string();
        if scan.damaged > 0 || !scan.cut.is_empty() {
            let places = scan.damaged + scan.cut.len() as u64;
            self.tell(true, format!("spool: {at}: damaged in {places} places, the rest is sent"));
        }
        for cut in &scan.cut {
            self.lost.push((Dropped::Damaged, u64::from(cut.meta.items)));
        }
        let newest = scan.records.iter().map(|record| record.meta.newest_ms).max();
        let Some(newest) = newest else {
            let _ = segment.remove();
            return false;
        };
        let records: VecDeque<_> = scan.records.into_iter().map(|record| (record, 0)).collect();
        let items: u64 = records.iter().map(items).sum();
        let age = wall_ms.saturating_sub(newest).max(0) / 1000;
        self.tell(
            false,
            format!("spool: took over {items} samples of a process that ended, the newest {age}s old ({at})"),
        );
        for cut in &scan.cut {
            // or the next to take it over would count it once more
            let _ = segment.settle(cut.seq);
        }
        self.other = Some(Held { segment, records, in_work: false });
        true
    }

    fn set_aside(&mut self, segment: Segment) {
        let at = segment.path().display().to_string();
        let told = match self.directory.set_aside(segment) {
            Ok(()) => "set aside as .bad".to_owned(),
            Err(error) => error.to_string(),
        };
        self.tell(true, format!("spool: {at}: has no readable header: {told}"));
    }

    fn tell(&mut self, fault: bool, message: String) {
        self.notices.push(Notice { message, fault });
    }

    /// Items for this endpoint in files that no process has, after giving back what was taken over.
    pub fn left(&mut self) -> u64 {
        // unlocks it, to be counted like the others
        self.other = None;
        let files = self.directory.list().unwrap_or_default();
        let free = files.iter().filter(|file| matches!(file.header, Some(Ok(Found::Header(_)))));
        let left = free.map(|file| match Segment::adopt(&file.path, Some(self.fingerprint)) {
            Ok(Adopted::Taken(_, scan)) => scan.records.iter().map(|r| u64::from(r.meta.items)).sum(),
            _ => 0_u64,
        });
        left.sum()
    }

    /// Says once that a file is not touched.
    fn refuse(&mut self, path: &Path, error: &io::Error) {
        if error.kind() != io::ErrorKind::NotFound && self.refused.insert(path.to_owned()) {
            self.tell(true, format!("spool: {}: not touched: {error}", path.display()));
        }
    }
}

fn items((record, _): &(Record, u64)) -> u64 {
    u64::from(record.meta.items)
}
