//! The bytes of a spool file, pure: two copies of a header, then records, each a header of 48 bytes and its payload.
//!
//! A record's header has a checksum of its own, so that a damaged payload costs that record alone and a damaged header is
//! looked past for the next one. That checksum begins with the file's salt, because a payload holds bytes that others
//! chose, and none of them may look like a record. Numbers are little-endian.

use std::ops::Range;

/// Of one copy of the file's header. There are two, so that a flipped bit costs no file.
const HEADER: usize = 64;
/// Where the first record begins.
pub const START: usize = 2 * HEADER;
/// Of a record's header.
pub const RECORD: usize = 48;

const MAGIC: &[u8; 8] = b"pwspool\n";
const VERSION: u32 = 1;
const MARKER: [u8; 4] = *b"\xf1pwr";
const DATA: u8 = 1;
const ACK: u8 = 2;
const AMBIGUOUS: u8 = 1;

/// What a file says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// The endpoint that its records are for.
    pub fingerprint: [u8; 16],
    /// A random number that begins the checksum of each record.
    pub salt: u64,
    /// When the file was made, in milliseconds since 1970.
    pub created_ms: i64,
}

/// A header as it was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Whole.
    Header(Header),
    /// Whole, and of a format that this version does not know.
    OtherVersion,
    /// Neither of its copies is whole.
    Damaged,
}

impl Header {
    /// Both copies.
    pub fn encode(&self) -> [u8; START] {
        let mut copy = [0; HEADER];
        copy[..8].copy_from_slice(MAGIC);
        copy[8..12].copy_from_slice(&VERSION.to_le_bytes());
        copy[16..32].copy_from_slice(&self.fingerprint);
        copy[32..40].copy_from_slice(&self.salt.to_le_bytes());
        copy[40..48].copy_from_slice(&self.created_ms.to_le_bytes());
        let crc = crc32c::crc32c(&copy[..HEADER - 4]);
        copy[HEADER - 4..].copy_from_slice(&crc.to_le_bytes());
        let mut both = [0; START];
        both[..HEADER].copy_from_slice(&copy);
        both[HEADER..].copy_from_slice(&copy);
        both
    }

    /// Reads the header of a file that begins with `bytes`.
    pub fn decode(bytes: &[u8]) -> Found {
        let copies = bytes.chunks_exact(HEADER).take(2);
        let whole = |copy: &&[u8]| {
            copy.starts_with(MAGIC)
                && number::<4>(copy, HEADER - 4) == crc32c::crc32c(&copy[..HEADER - 4]).into()
        };
        let Some(copy) = copies.into_iter().find(whole) else { return Found::Damaged };
        if number::<4>(copy, 8) != u64::from(VERSION) {
            return Found::OtherVersion;
        }
        let mut fingerprint = [0; 16];
        fingerprint.copy_from_slice(&copy[16..32]);
        Found::Header(Header {
            fingerprint,
            salt: number::<8>(copy, 32),
            created_ms: number::<8>(copy, 40).cast_signed(),
        })
    }
}

/// The number of `N` bytes at `at`; 0 where there are fewer.
fn number<const N: usize>(bytes: &[u8], at: usize) -> u64 {
    let mut wide = [0; 8];
    if let Some(bytes) = bytes.get(at..at + N) {
        wide[..N].copy_from_slice(bytes);
    }
    u64::from_le_bytes(wide)
}

/// What a record says of its payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Samples in it.
    pub items: u32,
    /// The newest timestamp of these samples, in milliseconds since 1970.
    pub newest_ms: i64,
    /// When the first of them was accepted, in milliseconds since 1970.
    pub created_ms: i64,
    /// Whether the receiver may have stored it in an attempt whose answer was lost.
    pub ambiguous: bool,
}

/// A record in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// Its number in the file.
    pub seq: u64,
    /// What it says of its payload.
    pub meta: Meta,
    /// Where the payload begins.
    pub at: u64,
    /// Bytes of the payload.
    pub length: u32,
    /// Checksum of the payload.
    crc: u32,
}

impl Record {
    /// A record of `payload`, which will stand at `at`.
    pub fn new(seq: u64, meta: Meta, at: u64, payload: &[u8]) -> Self {
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        Record { seq, meta, at, length, crc: crc32c::crc32c(payload) }
    }

    /// Its header.
    pub fn encode(&self, salt: u64) -> [u8; RECORD] {
        let Meta { items, newest_ms, created_ms, ambiguous } = self.meta;
        let flags = if ambiguous { AMBIGUOUS } else { 0 };
        encode(salt, (DATA, flags, self.crc, self.length), items, self.seq, newest_ms, created_ms)
    }

    /// Whether `payload` is what was written.
    pub fn is_whole(&self, payload: &[u8]) -> bool {
        payload.len() == self.length as usize && crc32c::crc32c(payload) == self.crc
    }
}

/// The record that says that the one with number `seq` is settled.
pub fn encode_ack(salt: u64, seq: u64) -> [u8; RECORD] {
    encode(salt, (ACK, 0, crc32c::crc32c(&[]), 0), 0, seq, 0, 0)
}

fn encode(
    salt: u64,
    (kind, flags, payload_crc, length): (u8, u8, u32, u32),
    items: u32,
    seq: u64,
    newest_ms: i64,
    created_ms: i64,
) -> [u8; RECORD] {
    let mut out = [0; RECORD];
    out[..4].copy_from_slice(&MARKER);
    out[8..12].copy_from_slice(&payload_crc.to_le_bytes());
    out[12..16].copy_from_slice(&length.to_le_bytes());
    (out[16], out[17]) = (kind, flags);
    out[20..24].copy_from_slice(&items.to_le_bytes());
    out[24..32].copy_from_slice(&seq.to_le_bytes());
    out[32..40].copy_from_slice(&newest_ms.to_le_bytes());
    out[40..48].copy_from_slice(&created_ms.to_le_bytes());
    let crc = header_crc(salt, &out);
    out[4..8].copy_from_slice(&crc.to_le_bytes());
    out
}

fn header_crc(salt: u64, header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&salt.to_le_bytes()), &header[8..RECORD])
}

/// What the bytes of a file came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// Records that are not settled, oldest first.
    pub records: Vec<Record>,
    /// Records that are not settled and of which the header alone is whole.
    pub cut: Vec<Record>,
    /// Stretches of bytes that are no record; a torn end is not among them.
    pub damaged: u64,
    /// Where the last record ends: what follows is torn.
    pub end: u64,
    /// A number higher than that of any record.
    pub next_seq: u64,
}

/// Finds the records of a file. Whatever `bytes` are, each whole record is found and nothing is allocated by what they say.
pub fn scan(bytes: &[u8], salt: u64) -> Scan {
    let mut scan = Scan { end: START.min(bytes.len()) as u64, ..Scan::default() };
    let mut settled = Vec::new();
    let (mut at, mut skipped) = (START, false);
    while at + RECORD <= bytes.len() {
        let Some((kind, record, payload)) = read(bytes, at, salt) else {
            skipped = true;
            at = next_marker(bytes, at + 1);
            continue;
        };
        if std::mem::take(&mut skipped) {
            scan.damaged += 1;
        }
        scan.next_seq = scan.next_seq.max(record.seq.saturating_add(1));
        let body = &bytes[payload.clone()];
        match kind {
            ACK => settled.push(record.seq),
            _ if record.is_whole(body) => scan.records.push(record),
            _ => scan.cut.push(record),
        }
        at = payload.end;
        scan.end = at as u64;
    }
    settled.sort_unstable();
    for records in [&mut scan.records, &mut scan.cut] {
        records.retain(|record| settled.binary_search(&record.seq).is_err());
    }
    scan
}

/// The header at `at`, if it is whole and the file goes on for as long as it says.
fn read(bytes: &[u8], at: usize, salt: u64) -> Option<(u8, Record, Range<usize>)> {
    let header = bytes.get(at..at + RECORD).filter(|header| header.starts_with(&MARKER))?;
    let length = number::<4>(header, 12) as u32;
    let whole = number::<4>(header, 4) == u64::from(header_crc(salt, header));
    let payload = at + RECORD..at + RECORD + length as usize;
    if !whole || !matches!(header[16], DATA | ACK) || payload.end > bytes.len() {
        return None;
    }
    let meta = Meta {
        items: number::<4>(header, 20) as u32,
        newest_ms: number::<8>(header, 32).cast_signed(),
        created_ms: number::<8>(header, 40).cast_signed(),
        ambiguous: header[17] & AMBIGUOUS != 0,
    };
    let crc = number::<4>(header, 8) as u32;
    let record = Record { seq: number::<8>(header, 24), meta, at: payload.start as u64, length, crc };
    Some((header[16], record, payload))
}

fn next_marker(bytes: &[u8], from: usize) -> usize {
    let rest = bytes.get(from..).unwrap_or_default();
    let found = rest.windows(MARKER.len()).position(|window| window == MARKER);
    found.map_or(bytes.len(), |found| from + found)
}
