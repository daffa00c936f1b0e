//! Every `unsafe` of the core: the fork generation, files that do not cross a fork, the signal mask of our threads, the exit
//! hook, the coarse clock.
//!
//! # Forks
//!
//! A fork copies memory and one thread. Locks that another thread held stay locked for ever in the child, threads are
//! gone, and sockets are shared: a child that used the parent's connection would read the parent's answers. So nothing
//! of the parent is touched in a child: [`generation`] counts forks, whatever must not cross a fork sits in a
//! [`ForkCell`], and the cell gives the child a fresh value while the parent's is leaked. The counter is bumped by
//! `pthread_atfork`, because `os.register_at_fork` does not see forks made in C (uWSGI).
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::{ManuallyDrop, MaybeUninit};
use std::os::fd::AsRawFd;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicU32, Ordering};
use std::time::Duration;

static GENERATION: AtomicU32 = AtomicU32::new(1);

/// The number of forks between the first process that used promwrite and this one, plus one.
#[inline]
pub fn generation() -> u32 {
    GENERATION.load(Ordering::Relaxed)
}

/// Starts counting forks. Everything that stores a generation calls this first.
pub fn watch_forks() {
    static WATCHING: AtomicBool = AtomicBool::new(false);
    extern "C" fn before() {
        FORKS_BEGUN.fetch_add(1, Ordering::SeqCst);
    }
    extern "C" fn in_parent() {
        FORKS_ENDED.fetch_add(1, Ordering::SeqCst);
    }
    extern "C" fn in_child() {
        // only atomics and close, because little else is safe between fork and exec in a process with threads
        GENERATION.fetch_add(1, Ordering::Relaxed);
        FORKS_ENDED.store(FORKS_BEGUN.load(Ordering::SeqCst), Ordering::SeqCst);
        for slot in &OWN_FILES {
            let fd = slot.swap(NO_FILE, Ordering::SeqCst);
            if fd >= 0 {
                // SAFETY: the child's copy of a file of `OwnFile`, whose value here is never dropped.
                unsafe { libc::close(fd) };
            }
        }
    }
    // an atomic and not a `Once`, because a fork could copy a `Once` that is just running
    if !WATCHING.swap(true, Ordering::SeqCst) {
        // SAFETY: the handler is a plain function of this library, which is never unloaded while in use.
        unsafe { libc::pthread_atfork(Some(before), Some(in_parent), Some(in_child)) };
    }
}

/// A value of one process: made on first use, made anew in each forked child, where the parent's is leaked untouched.
pub struct ForkCell<T> {
    entry: AtomicPtr<Entry<T>>,
}

struct Entry<T> {
    generation: u32,
    value: T,
}

impl<T> ForkCell<T> {
    /// An empty cell.
    #[must_use]
    pub const fn new() -> Self {
        ForkCell { entry: AtomicPtr::new(ptr::null_mut()) }
    }

    /// The value, if this process has made one.
    #[inline]
    pub fn get(&self) -> Option<&T> {
        // SAFETY: an entry is published whole, and freed only by `drop`; a replaced entry is leaked.
        let entry = unsafe { self.entry.load(Ordering::Acquire).as_ref() }?;
        (entry.generation == generation()).then_some(&entry.value)
    }

    /// The value, made by `make` if this process has none yet. Of two threads that race, one value is dropped.
    pub fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        match self.get_or_try_init(|| Ok::<T, std::convert::Infallible>(make())) {
            Ok(value) => value,
            Err(never) => match never {},
        }
    }

    /// As [`ForkCell::get_or_init`], where making the value can fail.
    ///
    /// # Errors
    /// What `make` returns; the cell stays as it was.
    pub fn get_or_try_init<E>(&self, make: impl FnOnce() -> Result<T, E>) -> Result<&T, E> {
        watch_forks();
        let old = self.entry.load(Ordering::Acquire);
        // of the pointer that is exchanged below, or the value of a thread that was faster would be replaced
        // SAFETY: as in `get`.
        if let Some(entry) = unsafe { old.as_ref() }
            && entry.generation == generation()
        {
            return Ok(&entry.value);
        }
        let new = Box::into_raw(Box::new(Entry { generation: generation(), value: make()? }));
        let current = match self.entry.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => new,
            Err(other) => {
                // SAFETY: `new` was never published.
                drop(unsafe { Box::from_raw(new) });
                other
            }
        };
        // SAFETY: `current` is published and of this generation, since only this process can have raced us.
        Ok(unsafe { &(*current).value })
    }
}

impl<T> Default for ForkCell<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Drop for ForkCell<T> {
    fn drop(&mut self) {
        let entry = *self.entry.get_mut();
        // SAFETY: `&mut self`: nobody else holds the entry. One of another generation is leaked, because dropping it
        // could lock or close what the parent still uses.
        unsafe {
            if entry.as_ref().is_some_and(|e| e.generation == generation()) {
                drop(Box::from_raw(entry));
            }
        }
    }
}

// SAFETY: the cell owns a `T` and hands out `&T`, as `OnceLock` does.
unsafe impl<T: Send + Sync> Sync for ForkCell<T> {}
// SAFETY: as above.
unsafe impl<T: Send> Send for ForkCell<T> {}

static FORKS_BEGUN: AtomicU32 = AtomicU32::new(0);
static FORKS_ENDED: AtomicU32 = AtomicU32::new(0);
/// The files that a child closes, by their numbers.
static OWN_FILES: [AtomicI32; 256] = [const { AtomicI32::new(NO_FILE) }; 256];
const NO_FILE: i32 = -1;
const TAKEN: i32 = -2;

/// A file that a forked child closes at once, because a lock of `flock` lasts as long as anybody has the file open, and is
/// freed for everybody by whoever unlocks it.
#[derive(Debug)]
pub struct OwnFile {
    file: ManuallyDrop<File>,
    slot: &'static AtomicI32,
    generation: u32,
}

impl OwnFile {
    /// A file that `open` opens, maybe several times: a fork just then would copy a file that its child does not know of.
    ///
    /// # Errors
    /// Those of `open`; too many such files are open.
    pub fn open(open: impl Fn() -> io::Result<File>) -> io::Result<Self> {
        watch_forks();
        let free = |slot: &&AtomicI32| {
            slot.compare_exchange(NO_FILE, TAKEN, Ordering::SeqCst, Ordering::SeqCst).is_ok()
        };
        let Some(slot) = OWN_FILES.iter().find(free) else {
            return Err(io::Error::other("this process has too many spool files open"));
        };
        let mut own = None;
        // where forks follow each other without a pause, the last try stands
        for _ in 0..1000 {
            let begun = FORKS_BEGUN.load(Ordering::SeqCst);
            let quiet = begun == FORKS_ENDED.load(Ordering::SeqCst);
            slot.store(TAKEN, Ordering::SeqCst);
            drop(own.take());
            let file = open().inspect_err(|_| slot.store(NO_FILE, Ordering::SeqCst))?;
            slot.store(file.as_raw_fd(), Ordering::SeqCst);
            own = Some(file);
            if quiet && begun == FORKS_BEGUN.load(Ordering::SeqCst) {
                break;
            }
            std::thread::yield_now();
        }
        match own {
            Some(file) => Ok(OwnFile { file: ManuallyDrop::new(file), slot, generation: generation() }),
            None => Err(io::Error::other("the file was not opened")),
        }
    }

    /// Locks the file for this process; false if somebody else has locked it.
    ///
    /// # Errors
    /// The file system has no locks.
    pub fn try_lock(&self) -> io::Result<bool> {
        // SAFETY: a call on a file that is open.
        if unsafe { libc::flock(self.file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } == 0 {
            return Ok(true);
        }
        match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            error => Err(error),
        }
    }
}

impl std::ops::Deref for OwnFile {
    type Target = File;

    fn deref(&self) -> &File {
        &self.file
    }
}

impl Drop for OwnFile {
    fn drop(&mut self) {
        // in a child the file is closed already, and its number may be another file's
        if self.generation != generation() {
            return;
        }
        // SAFETY: a call on a file that is open; the file is not used after this.
        unsafe {
            // a child that is being made could have the file for a moment longer
            libc::flock(self.file.as_raw_fd(), libc::LOCK_UN);
            self.slot.store(TAKEN, Ordering::SeqCst);
            ManuallyDrop::drop(&mut self.file);
        }
        self.slot.store(NO_FILE, Ordering::SeqCst);
    }
}

/// The user that files of this process belong to.
#[must_use]
pub fn user() -> u32 {
    // SAFETY: cannot fail and touches nothing.
    unsafe { libc::geteuid() }
}

/// Starts a thread in which every asynchronous signal is blocked, so that the host's handlers run on the host's threads:
/// a SIGPIPE that lands on a foreign thread kills a Go program.
///
/// # Errors
/// The thread could not be started, for instance because the process may have no more.
pub fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    let mut blocked = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are initialised by the calls that take them first. The mask is set before the start, because
    // the new thread inherits it and there must be no moment without it.
    unsafe {
        libc::sigfillset(blocked.as_mut_ptr());
        // faults stay open: they belong to the thread that made them
        for fault in [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGTRAP, libc::SIGPROF] {
            libc::sigdelset(blocked.as_mut_ptr(), fault);
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, blocked.as_ptr(), before.as_mut_ptr());
    }
    // small, because a job may run hundreds of processes; TLS and HTTP need well below this
    let started = std::thread::Builder::new().name(name.to_owned()).stack_size(512 * 1024).spawn(run);
    // SAFETY: `before` was filled by the call above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    started.map(drop)
}

/// Runs `hook` when the process ends by `exit` or by returning from `main`; a forked child inherits it.
pub fn at_exit(hook: extern "C" fn()) {
    // SAFETY: `hook` is a plain function of this library, which is never unloaded.
    unsafe { libc::atexit(hook) };
}

fn read(clock: libc::clockid_t) -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: the call writes the whole struct; it cannot fail for the clocks used here.
    let time = unsafe {
        libc::clock_gettime(clock, time.as_mut_ptr());
        time.assume_init()
    };
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Time since an arbitrary start, never set back.
#[must_use]
pub fn monotonic() -> Duration {
    read(libc::CLOCK_MONOTONIC)
}

/// Milliseconds since 1970, as of the last tick of the kernel (at most 4 ms ago), because the exact clock would cost an
/// append as much as all the rest of it.
#[inline]
#[must_use]
pub fn wall_ms() -> i64 {
    #[cfg(target_os = "linux")]
    const CLOCK: libc::clockid_t = libc::CLOCK_REALTIME_COARSE;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_REALTIME;
    let time = read(CLOCK);
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX / 1000) * 1000 + i64::from(time.subsec_millis())
}

/// The name of this host, for the `instance` label.
#[must_use]
pub fn host_name() -> String {
    let mut name = [0_u8; 256];
    // SAFETY: the buffer's true length is given; the last byte stays zero.
    let code = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len() - 1) };
    let length = name.iter().position(|b| *b == 0).unwrap_or(0);
    if code == 0 { String::from_utf8_lossy(&name[..length]).into_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_keeps_its_value_within_a_process() {
        let cell = ForkCell::new();
        assert_eq!(cell.get(), None);
        assert_eq!(*cell.get_or_init(|| 1), 1);
        assert_eq!(*cell.get_or_init(|| 2), 1);
        assert_eq!(cell.get_or_try_init(|| Err::<i32, _>("unused")), Ok(&1));
        let failed: ForkCell<i32> = ForkCell::new();
        assert_eq!(failed.get_or_try_init(|| Err::<i32, _>("no")), Err("no"));
    }

    #[test]
    fn threads_that_race_to_make_a_value_all_get_the_same() {
        for _ in 0..2000 {
            let (cell, together) = (ForkCell::new(), std::sync::Barrier::new(4));
            let values = std::thread::scope(|scope| {
                let threads = [1, 2, 3, 4].map(|i| {
                    let (cell, together) = (&cell, &together);
                    scope.spawn(move || {
                        together.wait();
                        std::ptr::from_ref(cell.get_or_init(|| i)) as usize
                    })
                });
                threads.map(|thread| thread.join().unwrap())
            });
            assert!(values.windows(2).all(|pair| pair[0] == pair[1]));
        }
    }

    #[test]
    fn a_child_has_a_cell_of_its_own() {
        let cell = ForkCell::new();
        cell.get_or_init(|| 1);
        let before = generation();
        // SAFETY: the child only reads atomics, allocates one box and leaves by `_exit`.
        let child = unsafe { libc::fork() };
        if child == 0 {
            let fresh = generation() == before + 1 && cell.get().is_none() && *cell.get_or_init(|| 2) == 2;
            // SAFETY: ends the child without running the parent's exit handlers.
            unsafe { libc::_exit(if fresh { 7 } else { 1 }) };
        }
        let mut status = 0;
        // SAFETY: waits for the child just made.
        unsafe { libc::waitpid(child, &raw mut status, 0) };
        assert_eq!(libc::WEXITSTATUS(status), 7);
        assert_eq!((generation(), cell.get()), (before, Some(&1)));
    }

    #[test]
    fn our_threads_block_signals_and_the_caller_keeps_its_mask() {
        let (send, receive) = std::sync::mpsc::channel();
        let mask = |path: &str| {
            let status = std::fs::read_to_string(path).unwrap();
            let line = status.lines().find(|l| l.starts_with("SigBlk:")).unwrap().to_owned();
            u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap()
        };
        let before = mask("/proc/thread-self/status");
        spawn("mask", move || send.send(mask("/proc/thread-self/status")).unwrap()).unwrap();
        let blocked = receive.recv().unwrap();
        for signal in [libc::SIGTERM, libc::SIGINT, libc::SIGPIPE, libc::SIGUSR1, libc::SIGCHLD, libc::SIGURG]
        {
            assert_ne!(blocked & (1 << (signal - 1)), 0, "signal {signal}");
        }
        assert_eq!(blocked & (1 << (libc::SIGSEGV - 1)), 0);
        assert_eq!(mask("/proc/thread-self/status"), before);
    }

    #[test]
    fn clocks_and_host() {
        let exact =
            std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis() as i64;
        assert!((wall_ms() - exact).abs() < 1000);
        assert!(monotonic() <= monotonic());
        assert!(!host_name().is_empty());
    }
}
