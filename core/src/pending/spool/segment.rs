//! One file of the spool, open and locked. Whoever has the lock owns what lies in it.

use super::directory::{Directory, random};
use super::record::{Found, Header, Meta, RECORD, Record, START, Scan, encode_ack, scan};
use crate::sys::{self, OwnFile};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// A larger file is none of ours: it would be read into memory.
const MAX_FILE: u64 = 128 << 20;

/// A file that this process has locked.
#[derive(Debug)]
pub struct Segment {
    path: PathBuf,
    file: OwnFile,
    header: Header,
    /// Where the last whole record ends.
    end: u64,
    next_seq: u64,
}

/// What came of an attempt to take a file over.
#[derive(Debug)]
pub enum Adopted {
    /// Its owner lives, somebody else was faster, or it is gone.
    Busy,
    /// It is for another endpoint, or of another version.
    Foreign,
    /// It has no readable header.
    Damaged(Segment),
    /// Ours now, with what is in it.
    Taken(Segment, Scan),
}

impl Segment {
    /// A new file.
    pub fn create(directory: &Directory, fingerprint: [u8; 16], created_ms: i64) -> io::Result<Self> {
        directory.ensure()?;
        for _ in 0..8 {
            let path = directory.new_path();
            drop(OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path)?);
            let file = OwnFile::open(|| open(&path))?;
            // else an adopter took it for the empty file of a dead process, and removes it
            if !file.try_lock()? || !is_at(&file, &path) {
                continue;
            }
            let header = Header { fingerprint, salt: random(), created_ms };
            if let Err(error) = file.write_all_at(&header.encode(), 0) {
                let _ = fs::remove_file(&path);
                return Err(error);
            }
            return Ok(Segment { path, file, header, end: START as u64, next_seq: 1 });
        }
        Err(io::Error::other("each new spool file was taken by another process"))
    }

    /// Takes a file over if it is for `fingerprint` (any endpoint if not given) and nobody has it.
    ///
    /// # Errors
    /// What lies there is no plain file of this user alone, or cannot be read.
    pub fn adopt(path: &Path, fingerprint: Option<[u8; 16]>) -> io::Result<Adopted> {
        let file = match OwnFile::open(|| open(path)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Adopted::Busy),
            file => file?,
        };
        check(&file)?;
        // after the lock, because its last owner may have removed it meanwhile
        if !file.try_lock()? || !is_at(&file, path) {
            return Ok(Adopted::Busy);
        }
        let mut bytes = Vec::new();
        (&*file).take(MAX_FILE).read_to_end(&mut bytes)?;
        let none = Header { fingerprint: [0; 16], salt: 0, created_ms: 0 };
        let mut segment = Segment { path: path.to_owned(), file, header: none, end: 0, next_seq: 1 };
        match Header::decode(&bytes) {
            Found::Header(header) if fingerprint.is_none_or(|wanted| wanted == header.fingerprint) => {
                segment.header = header;
            }
            Found::Header(_) | Found::OtherVersion => return Ok(Adopted::Foreign),
            // its maker died before it wrote anything
            Found::Damaged if bytes.is_empty() => {}
            Found::Damaged => return Ok(Adopted::Damaged(segment)),
        }
        let scan = scan(&bytes, segment.header.salt);
        (segment.end, segment.next_seq) = (scan.end, scan.next_seq);
        Ok(Adopted::Taken(segment, scan))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes written.
    pub fn bytes(&self) -> u64 {
        self.end
    }

    /// Adds a record. The file is as before if that fails.
    pub fn append(&mut self, meta: Meta, payload: &[u8]) -> io::Result<Record> {
        let record = Record::new(self.next_seq, meta, self.end + RECORD as u64, payload);
        let mut bytes = Vec::with_capacity(RECORD + payload.len());
        bytes.extend_from_slice(&record.encode(self.header.salt));
        bytes.extend_from_slice(payload);
        self.write(&bytes)?;
        self.next_seq += 1;
        Ok(record)
    }

    /// Says that a record is settled.
    pub fn settle(&mut self, seq: u64) -> io::Result<()> {
        self.write(&encode_ack(self.header.salt, seq))
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Err(error) = self.file.write_all_at(bytes, self.end) {
            // a full disk takes a part of it
            let _ = self.file.set_len(self.end);
            return Err(error);
        }
        self.end += bytes.len() as u64;
        Ok(())
    }

    /// The payload of a record.
    pub fn read(&self, record: &Record) -> io::Result<Vec<u8>> {
        let mut payload = vec![0; record.length as usize];
        self.file.read_exact_at(&mut payload, record.at)?;
        match record.is_whole(&payload) {
            true => Ok(payload),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "the record is damaged")),
        }
    }

    /// Whether somebody removed the file: what is written to it then is lost with this process.
    pub fn is_gone(&self) -> bool {
        self.file.metadata().is_ok_and(|found| found.nlink() == 0)
    }

    /// Removes the file.
    pub fn remove(self) -> io::Result<()> {
        match fs::remove_file(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// What a file says of itself, whoever has it.
pub fn peek(path: &Path) -> io::Result<Found> {
    let file = open(path)?;
    check(&file)?;
    let mut start = [0; START];
    let read = file.read_at(&mut start, 0)?;
    Ok(Header::decode(&start[..read]))
}

fn open(path: &Path) -> io::Result<File> {
    // O_NONBLOCK, because a pipe that somebody put there would wait for its other end
    let flags = libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK;
    OpenOptions::new().read(true).write(true).custom_flags(flags).open(path)
}

/// A plain file that belongs to this user alone and has one name.
fn check(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    let refuse = |rule| Err(io::Error::other(rule));
    if !found.is_file() || found.nlink() > 1 {
        return refuse("is no plain file with one name");
    }
    if found.uid() != sys::user() || found.mode() & 0o077 != 0 {
        return refuse("is open to another user");
    }
    if found.len() > MAX_FILE {
        return refuse("is too large");
    }
    Ok(())
}

/// Whether the path still leads to this file.
fn is_at(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::symlink_metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}
