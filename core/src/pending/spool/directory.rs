//! The directory: who may use it, what lies in it, how much that takes.

use super::record::Found;
use super::segment::{Segment, peek};
use crate::error::{Error, Result};
use crate::sys;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

/// What a file of the spool ends in, and what is added to one that cannot be read.
const ENDING: &str = ".spool";
const DAMAGED: &str = ".bad";

/// A directory in which nobody but this user can put, change or exchange files.
#[derive(Debug, Clone)]
pub struct Directory {
    path: PathBuf,
}

/// A file of the directory.
#[derive(Debug)]
pub struct Listed {
    /// Where it is.
    pub path: PathBuf,
    /// Its size in bytes.
    pub bytes: u64,
    /// What it says of itself; an error for what is no plain file of this user alone. None if it was set aside before.
    pub header: Option<io::Result<Found>>,
    /// When it was made, by its header, or last written to, in milliseconds since 1970.
    pub created_ms: i64,
}

impl Directory {
    /// Checks the directory, which is made if there is none, with its parents, for this user alone.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming `spool_dir` for one that is no directory or a symbolic link to one, belongs to another
    /// user, can be written to by others, or cannot be made.
    pub fn open(path: &Path) -> Result<Self> {
        let directory = Directory { path: path.to_owned() };
        directory.ensure().map_err(|error| {
            let rule = match error.get_ref() {
                Some(_) => error.to_string(),
                None => format!("must be a directory that this user can write to: {error}"),
            };
            Error::invalid("spool_dir", path.to_string_lossy().as_bytes(), rule)
        })?;
        Ok(directory)
    }

    /// Makes the directory if there is none, and checks it.
    pub fn ensure(&self) -> io::Result<()> {
        if matches!(fs::symlink_metadata(&self.path), Err(e) if e.kind() == io::ErrorKind::NotFound) {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.path)?;
        }
        // not followed, because whoever owns the link could point it elsewhere at any time
        let found = fs::symlink_metadata(&self.path)?;
        let refuse = |rule: &str| Err(io::Error::other(rule.to_owned()));
        if !found.is_dir() {
            return refuse("must be a directory and no symbolic link");
        }
        if found.uid() != sys::user() {
            return refuse("must belong to the user of this process");
        }
        if found.mode() & 0o022 != 0 {
            return refuse("must not be writable by other users (chmod go-w)");
        }
        Ok(())
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The spool files, oldest first. Others are passed over.
    pub fn list(&self) -> io::Result<Vec<Listed>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let entry = entry?;
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let set_aside = name.ends_with(&format!("{ENDING}{DAMAGED}"));
            if !set_aside && !name.ends_with(ENDING) {
                continue;
            }
            // one that has just been removed is no fault
            let Ok(found) = entry.metadata() else { continue };
            let path = entry.path();
            let header = (!set_aside).then(|| peek(&path));
            let created_ms = match &header {
                Some(Ok(Found::Header(header))) => header.created_ms,
                _ => found.mtime().saturating_mul(1000),
            };
            files.push(Listed { path, bytes: found.len(), header, created_ms });
        }
        files.sort_by(|a, b| (a.created_ms, &a.path).cmp(&(b.created_ms, &b.path)));
        Ok(files)
    }

    /// A path for a new file: host, boot, process, start of the process, and a random number. The name is for people and
    /// for being unique; whether its process lives is told by the lock alone.
    pub fn new_path(&self) -> PathBuf {
        let plain = |text: &str, longest: usize| -> String {
            let plain = |c: char| if c.is_ascii_alphanumeric() || ".-_".contains(c) { c } else { '_' };
            text.trim().chars().take(longest).map(plain).collect()
        };
        let host = plain(&sys::host_name(), 64);
        let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let boot = boot.split('-').next().map(|first| plain(first, 16)).unwrap_or_default();
        let pid = std::process::id();
        let name = format!("{host}-{boot}-{pid}-{}-{:016x}{ENDING}", started(), random());
        self.path.join(name)
    }

    /// Sets a file aside that cannot be read, so that nobody tries again.
    pub fn set_aside(&self, segment: Segment) -> io::Result<()> {
        let mut name = segment.path().as_os_str().to_owned();
        name.push(DAMAGED);
        fs::rename(segment.path(), name)
    }
}

/// When this process was started, in clock ticks since the machine was.
fn started() -> u64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // the second field is the program's name in parentheses and may hold anything
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    after_name.split_whitespace().nth(19).and_then(|ticks| ticks.parse().ok()).unwrap_or(0)
}

/// A random number, as good as the seed of a hash table.
pub fn random() -> u64 {
    RandomState::new().hash_one(sys::monotonic())
}
