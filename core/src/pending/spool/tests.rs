//! Files as processes leave them, and as disks and other people do.

use super::record::{self, Found, Header, Meta, scan};
use super::segment::{Adopted, Segment};
use super::{Directory, From, Limits, Spool};
use crate::clock::Mono;
use crate::ledger::Dropped;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;

const NOW: Mono = Duration::from_secs(1000);
const WALL: i64 = 1_700_000_000_000;
const ENDPOINT: [u8; 16] = *b"one endpoint    ";
const BODIES: [&[u8]; 3] = [b"first", b"", b"third \xf1pwr third"];

fn temp() -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o700)).unwrap();
    directory
}

fn meta(items: u32) -> Meta {
    Meta { items, newest_ms: WALL, created_ms: WALL, ambiguous: items == 2 }
}

fn spool_with(path: &Path, limits: impl FnOnce(&mut Limits)) -> Spool {
    let mut bounds = Limits { max_age: Duration::from_secs(3600), max_bytes: 64 << 20 };
    limits(&mut bounds);
    Spool::new(Directory::open(path).unwrap(), ENDPOINT, bounds)
}

fn spool(path: &Path) -> Spool {
    spool_with(path, |_| {})
}

/// The bytes of a file with three records of 1, 2 and 3 items.
fn three(directory: &Path) -> Vec<u8> {
    let mut spool = spool(directory);
    for (items, body) in (1..).zip(BODIES) {
        assert!(spool.write(body, meta(items), 0, NOW), "{:?}", spool.notices);
    }
    let bytes = fs::read(files(directory).pop().unwrap()).unwrap();
    drop(spool);
    fs::remove_file(files(directory).pop().unwrap()).unwrap();
    bytes
}

fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Sends everything that others left, which the receiver takes.
fn replay(spool: &mut Spool) -> Vec<Vec<u8>> {
    let mut bodies = Vec::new();
    while let Some((record, body)) = spool.next(From::Other, NOW, WALL) {
        bodies.push(body);
        spool.settle(From::Other, record.seq);
    }
    bodies
}

/// What of `bytes` a process sends that finds them in a file.
fn found(bytes: &[u8]) -> Vec<Vec<u8>> {
    let directory = temp();
    put(directory.path(), "a.spool", bytes);
    let bodies = replay(&mut spool(directory.path()));
    assert!(files(directory.path()).iter().all(|f| f.extension().is_some_and(|e| e == "bad")));
    bodies
}

fn put(directory: &Path, name: &str, bytes: &[u8]) -> PathBuf {
    let path = directory.join(name);
    fs::write(&path, bytes).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path
}

fn lost(spool: &Spool, why: Dropped) -> u64 {
    spool.lost.iter().filter(|(reason, _)| *reason == why).map(|(_, items)| items).sum()
}

#[test]
fn what_one_process_leaves_another_sends_and_the_file_is_gone() {
    let directory = temp();
    let bytes = three(directory.path());
    assert_eq!(found(&bytes), BODIES);
    let path = put(directory.path(), "a.spool", &bytes);
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    let mut spool = spool(directory.path());
    let ambiguous: Vec<bool> = std::iter::from_fn(|| {
        let (record, _) = spool.next(From::Other, NOW, WALL)?;
        spool.settle(From::Other, record.seq);
        Some(record.meta.ambiguous)
    })
    .collect();
    assert_eq!((ambiguous, path.exists()), (vec![false, true, false], false));
}

#[test]
fn what_was_settled_is_not_sent_again_after_a_kill() {
    let directory = temp();
    put(directory.path(), "a.spool", &three(directory.path()));
    let mut first = spool(directory.path());
    let (record, _) = first.next(From::Other, NOW, WALL).unwrap();
    first.settle(From::Other, record.seq);
    // in flight when the process is killed
    let _ = first.next(From::Other, NOW, WALL).unwrap();
    drop(first);
    assert_eq!(replay(&mut spool(directory.path())), BODIES[1..]);
}

#[test]
fn a_tail_torn_at_any_byte_costs_the_torn_record_alone() {
    let bytes = three(temp().path());
    let ends: Vec<usize> = BODIES
        .iter()
        .scan(record::START, |end, body| {
            *end += record::RECORD + body.len();
            Some(*end)
        })
        .collect();
    for length in 0..=bytes.len() {
        let whole = ends.iter().filter(|end| **end <= length).count();
        assert_eq!(found(&bytes[..length]), BODIES[..whole], "cut at {length}");
        // as after a crash of the machine, when blocks are missing that the size counts; a last byte may be zero anyway
        let mut zeros = bytes.clone();
        zeros[length..].fill(0);
        assert!(found(&zeros).starts_with(&BODIES.map(<[u8]>::to_vec)[..whole]), "zeros from {length}");
    }
}

#[test]
fn any_flipped_bit_costs_at_most_the_record_that_it_is_in() {
    let bytes = three(temp().path());
    let Found::Header(header) = Header::decode(&bytes) else { panic!("no header") };
    for bit in 0..bytes.len() * 8 {
        let mut flipped = bytes.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        let Found::Header(same) = Header::decode(&flipped) else { panic!("bit {bit} of the header") };
        assert_eq!(same, header);
        let scan = scan(&flipped, header.salt);
        let seqs: Vec<u64> = scan.records.iter().map(|record| record.seq).collect();
        let mut at = record::START;
        let expected: Vec<u64> = (1..)
            .zip(BODIES)
            .filter_map(|(seq, body)| {
                let range = at..at + record::RECORD + body.len();
                at = range.end;
                (!range.contains(&(bit / 8))).then_some(seq)
            })
            .collect();
        assert_eq!(seqs, expected, "bit {bit}");
    }
    // and once by way of files
    for byte in (0..bytes.len()).step_by(7) {
        let mut flipped = bytes.clone();
        flipped[byte] ^= 0x10;
        assert!(found(&flipped).len() >= 2, "byte {byte}");
    }
}

#[test]
fn a_payload_cannot_pass_for_a_record() {
    let inner = three(temp().path());
    let directory = temp();
    let mut outer = spool(directory.path());
    assert!(outer.write(&inner, meta(1), 0, NOW) && outer.write(b"next", meta(1), 0, NOW));
    drop(outer);
    let path = files(directory.path()).pop().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[record::START] ^= 1;
    assert_eq!(found(&bytes), [b"next"]);
}

#[test]
fn what_is_no_spool_file_harms_nobody() {
    let bytes = three(temp().path());
    let mut other_version = bytes.clone();
    for copy in [0, 64] {
        other_version[copy + 8] = 9;
        let crc = crc32c::crc32c(&other_version[copy..copy + 60]);
        other_version[copy + 60..copy + 64].copy_from_slice(&crc.to_le_bytes());
    }
    let directory = temp();
    let d = directory.path();
    put(d, "empty.spool", b"");
    let garbage: Vec<u8> =
        (0..100_000_u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    put(d, "garbage.spool", &garbage);
    put(d, "header.spool", &[&bytes[..record::START], &garbage[..]].concat());
    put(d, "version.spool", &other_version);
    put(d, "whole.spool", &bytes);
    put(d, "notes.txt", b"mine");
    let mut spool = spool(d);
    assert_eq!(replay(&mut spool), BODIES);
    let left: Vec<String> =
        files(d).iter().map(|f| f.file_name().unwrap().to_string_lossy().into_owned()).collect();
    assert_eq!(left, ["garbage.spool.bad", "notes.txt", "version.spool"]);
    assert!(
        spool.notices.iter().any(|n| n.message.contains("garbage.spool") && n.message.contains("set aside"))
    );
}

#[test]
fn a_damaged_payload_is_counted() {
    let mut bytes = three(temp().path());
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    let directory = temp();
    put(directory.path(), "a.spool", &bytes);
    let mut spool = spool(directory.path());
    assert_eq!(replay(&mut spool), BODIES[..2]);
    assert_eq!(lost(&spool, Dropped::Damaged), 3);
}

#[test]
fn of_two_that_take_over_one_does() {
    let directory = temp();
    let mut owner = spool(directory.path());
    assert!(owner.write(b"body", meta(1), 0, NOW));
    let (mut one, mut two) = (spool(directory.path()), spool(directory.path()));
    assert!(one.next(From::Other, NOW, WALL).is_none(), "the owner lives");
    drop(owner);
    let later = NOW + super::SCAN;
    assert!(one.next(From::Other, later, WALL).is_some());
    assert!(two.next(From::Other, later, WALL).is_none());
    drop(one);
    assert_eq!(two.next(From::Other, later + super::SCAN, WALL).unwrap().1, b"body");
}

#[test]
fn eight_threads_that_take_over_at_once_send_every_record_once() {
    let directory = temp();
    for i in 0..40_u8 {
        assert!(spool(directory.path()).write(&[i], meta(1), 0, NOW));
    }
    assert_eq!(files(directory.path()).len(), 40);
    let together = std::sync::Barrier::new(8);
    let mut sent: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut spool = spool(directory.path());
                    together.wait();
                    replay(&mut spool)
                })
            })
            .collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    sent.sort();
    assert_eq!(sent, (0..40).map(|i| vec![i]).collect::<Vec<_>>());
    assert!(files(directory.path()).is_empty());
}

#[test]
fn what_is_for_another_endpoint_stays() {
    let directory = temp();
    let mut other = spool(directory.path());
    other.fingerprint = *b"another endpoint";
    assert!(other.write(b"body", meta(1), 0, NOW));
    drop(other);
    assert!(replay(&mut spool(directory.path())).is_empty());
    assert_eq!(files(directory.path()).len(), 1);
}

#[test]
fn the_oldest_file_goes_first_when_the_directory_is_full() {
    let directory = temp();
    let body = vec![7; 6000];
    let limit = 64 << 10;
    // another process left something, and one that lives has something older
    let mut living = spool(directory.path());
    assert!(living.write(b"living", Meta { created_ms: WALL - 9, ..meta(1) }, 0, NOW));
    assert!(spool(directory.path()).write(b"left", Meta { created_ms: WALL - 5, ..meta(5) }, 0, NOW));
    let mut spool = spool_with(directory.path(), |l| l.max_bytes = limit);
    let total = |d: &Path| files(d).iter().map(|f| fs::metadata(f).unwrap().len()).sum::<u64>();
    for i in 0..100 {
        let meta = Meta { created_ms: WALL + i, ..meta(1) };
        assert!(spool.write(&body, meta, i.unsigned_abs(), NOW), "{:?}", spool.notices);
        assert!(total(directory.path()) <= limit);
    }
    // a file of 6 KB each, of which ten fit
    assert_eq!(lost(&spool, Dropped::SpoolFull), 5 + 90);
    assert_eq!(spool.own_from(), Some(90));
    let left: Vec<i64> = std::iter::from_fn(|| {
        let (record, _) = spool.next(From::Own, NOW, WALL)?;
        spool.settle(From::Own, record.seq);
        Some(record.meta.created_ms - WALL)
    })
    .collect();
    assert_eq!(left, (90..100).collect::<Vec<_>>());
    assert_eq!(files(directory.path()).len(), 1);
    assert_eq!(living.next(From::Own, NOW, WALL).unwrap().1, b"living");
}

#[test]
fn eight_writers_exceed_the_limit_by_a_file_each_at_most() {
    let directory = temp();
    let limit = 64 << 10;
    let mut spools: Vec<Spool> =
        (0..8).map(|_| spool_with(directory.path(), |l| l.max_bytes = limit)).collect();
    let (mut written, mut most) = (0, 0);
    for round in 0..200 {
        for spool in &mut spools {
            // one that finds no room tries again later
            let meta = Meta { created_ms: WALL + round, ..meta(1) };
            written += u64::from(spool.write(&[7; 900], meta, 0, NOW + super::RETRY * round as u32));
        }
        most = most.max(files(directory.path()).iter().map(|f| fs::metadata(f).unwrap().len()).sum::<u64>());
    }
    assert!(most > limit / 2 && most <= limit + 8 * (limit / 8), "{most}");
    let kept: u64 = spools.iter().flat_map(|s| &s.own).map(|held| held.records.len() as u64).sum();
    assert_eq!(written, kept + spools.iter().map(|s| lost(s, Dropped::SpoolFull)).sum::<u64>());
}

#[test]
fn what_is_too_old_is_not_sent() {
    let directory = temp();
    let mut first = spool(directory.path());
    assert!(first.write(b"old", Meta { created_ms: WALL - 3_600_001, ..meta(4) }, 0, NOW));
    assert!(first.write(b"new", Meta { created_ms: WALL - 3_599_000, ..meta(1) }, 0, NOW));
    drop(first);
    let mut second = spool(directory.path());
    assert_eq!(replay(&mut second), [b"new"]);
    assert_eq!(lost(&second, Dropped::Expired), 4);
}

#[test]
fn a_directory_that_is_removed_is_made_again() {
    let directory = temp();
    let path = directory.path().join("a/b");
    let mut spool = spool(&path);
    assert!(spool.write(b"one", meta(1), 0, NOW));
    fs::remove_dir_all(&path).unwrap();
    assert!(spool.write(b"two", meta(1), 1, NOW), "{:?}", spool.notices);
    assert_eq!(files(&path).len(), 1);
    // the first is still to be read by whoever has it open
    for body in [b"one", b"two"] {
        let (record, read) = spool.next(From::Own, NOW, WALL).unwrap();
        assert_eq!(read, body);
        spool.settle(From::Own, record.seq);
    }
}

#[test]
fn a_disk_that_takes_nothing_is_told_once_and_tried_again() {
    let directory = temp();
    let path = directory.path().join("spool");
    let mut spool = spool(&path);
    fs::remove_dir_all(&path).unwrap();
    fs::write(&path, b"in the way").unwrap();
    assert!(!spool.write(b"one", meta(1), 0, NOW) && !spool.write(b"one", meta(1), 0, NOW));
    assert_eq!(spool.notices.len(), 1, "{:?}", spool.notices);
    fs::remove_file(&path).unwrap();
    assert!(!spool.write(b"one", meta(1), 0, NOW + super::RETRY / 2));
    assert!(spool.write(b"one", meta(1), 0, NOW + super::RETRY));
}

#[test]
fn directories_that_others_can_change_are_refused() {
    let directory = temp();
    let d = directory.path();
    let refused = |path: &Path, part: &str| {
        let error = Directory::open(path).unwrap_err().to_string();
        assert!(error.starts_with("spool_dir: ") && error.contains(part), "{error}");
    };
    for mode in [0o777, 0o1777, 0o720, 0o702] {
        let open = d.join(format!("{mode:o}"));
        fs::create_dir(&open).unwrap();
        fs::set_permissions(&open, fs::Permissions::from_mode(mode)).unwrap();
        refused(&open, "writable by other users");
    }
    symlink(d, d.join("link")).unwrap();
    refused(&d.join("link"), "no symbolic link");
    fs::write(d.join("file"), b"").unwrap();
    refused(&d.join("file"), "must be a directory");
    refused(&d.join("file/below"), "must be a directory");
    if crate::sys::user() == 0 {
        let foreign = d.join("foreign");
        fs::create_dir(&foreign).unwrap();
        std::os::unix::fs::chown(&foreign, Some(1), None).unwrap();
        refused(&foreign, "must belong to the user");
    }
    let made = d.join("made/for/us");
    Directory::open(&made).unwrap();
    assert_eq!(fs::metadata(&made).unwrap().mode() & 0o777, 0o700);
}

#[test]
fn files_that_others_put_there_are_not_touched() {
    let bytes = three(temp().path());
    let (directory, elsewhere) = (temp(), temp());
    let d = directory.path();
    let target = put(elsewhere.path(), "target", &bytes);
    symlink(&target, d.join("link.spool")).unwrap();
    fs::hard_link(&target, d.join("hard.spool")).unwrap();
    let fifo = std::ffi::CString::new(d.join("fifo.spool").to_str().unwrap()).unwrap();
    make_fifo(&fifo);
    fs::set_permissions(put(d, "open.spool", &bytes), fs::Permissions::from_mode(0o644)).unwrap();
    fs::create_dir(d.join("directory.spool")).unwrap();
    let before = files(d);
    let mut spool = spool(d);
    assert!(replay(&mut spool).is_empty());
    assert_eq!(
        spool.notices.iter().filter(|n| n.message.contains("not touched")).count(),
        5,
        "{:?}",
        spool.notices
    );
    assert_eq!((files(d), fs::read(&target).unwrap()), (before, bytes));
    // told once
    spool.notices.clear();
    assert!(spool.next(From::Other, NOW + super::SCAN, WALL).is_none() && spool.notices.is_empty());
}

#[allow(unsafe_code)]
fn make_fifo(path: &std::ffi::CStr) {
    // SAFETY: a call with a string that ends in NUL.
    assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
}

#[test]
fn a_file_that_is_replaced_between_lock_and_look_is_left_alone() {
    let directory = temp();
    let path = put(directory.path(), "a.spool", &three(directory.path()));
    let Ok(Adopted::Taken(first, _)) = Segment::adopt(&path, None) else { panic!("not taken") };
    assert!(matches!(Segment::adopt(&path, None), Ok(Adopted::Busy)));
    first.remove().unwrap();
    assert!(matches!(Segment::adopt(&path, None), Ok(Adopted::Busy)));
}
