//! The boundary: every pointer cast of the C ABI, and the net under every call.
//!
//! An entry hands its pointers to the [`Caller`] of its call, which turns them into references after the checks that can
//! be made. What cannot be checked (that a handle is one, that a length is true) the header asks of the caller; an entry
//! states that once, by calling [`entry`], [`query`] or [`release`].

use crate::error::promwrite_error;
use promwrite_core::error::{Error, Result};
use promwrite_core::sys;
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A borrowed string: `len` bytes of UTF-8 at `data`, which need not end in NUL. It is not kept after the call. `data` may be
/// NULL where `len` is 0.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct promwrite_str {
    /// The bytes.
    pub data: *const std::ffi::c_char,
    /// How many they are.
    pub len: usize,
}

/// Whoever is calling, for as long as the call lasts.
pub struct Caller(());

/// A place for a handle, known to be there.
pub struct Place<'c, T>(&'c mut *mut T);

impl<T> Place<'_, T> {
    /// Gives the caller a handle.
    pub fn give(self, value: T) {
        *self.0 = Box::into_raw(Box::new(value));
    }
}

/// The body of an entry that returns a code: its result, or the code of the error and the error itself in `*error`.
///
/// # Safety
/// `error` is NULL or a place for a pointer. The pointers that `body` gives to the [`Caller`] are NULL or what the header
/// asks for, and stay so during the call.
#[inline]
pub unsafe fn entry(
    place: &'static str,
    error: *mut *mut promwrite_error,
    body: impl FnOnce(&Caller) -> Result<i32>,
) -> i32 {
    // SAFETY: as this function asks.
    let error = unsafe { error.as_mut() };
    match catching(place, || body(&Caller(()))).and_then(|result| result) {
        Ok(code) => {
            if let Some(error) = error {
                *error = std::ptr::null_mut();
            }
            code
        }
        Err(failed) => {
            let code = failed.code();
            if let Some(error) = error {
                *error = Box::into_raw(Box::new(promwrite_error::new(&failed)));
            }
            code
        }
    }
}

/// The body of an entry that returns a value and cannot fail: `otherwise` where a handle is NULL or the body panics.
///
/// # Safety
/// As for [`entry`].
pub unsafe fn query<T>(place: &'static str, otherwise: T, body: impl FnOnce(&Caller) -> Option<T>) -> T {
    match catching(place, || body(&Caller(()))) {
        Ok(Some(value)) => value,
        _ => otherwise,
    }
}

/// Frees a handle; NULL is fine.
///
/// # Safety
/// `handle` is NULL or was given by [`Place::give`] or [`handle`] and is not used any more.
pub unsafe fn release<T>(place: &'static str, handle: *mut T) {
    let _ = catching(place, || {
        if !handle.is_null() {
            // SAFETY: as this function asks.
            drop(unsafe { Box::from_raw(handle) });
        }
    });
}

/// A handle of `value`.
pub fn handle<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

#[inline]
fn catching<T>(place: &'static str, body: impl FnOnce() -> T) -> Result<T> {
    catch_unwind(AssertUnwindSafe(|| {
        enter();
        #[cfg(test)]
        crate::guard_tests::injected(place);
        body()
    }))
    .map_err(|panic| {
        let message = promwrite_core::send::worker::panic_text(&*panic);
        Error::Internal { place: place.into(), message }
    })
}

/// What the first call of a process sets up.
#[inline]
fn enter() {
    // an atomic and not a `Once`, because a fork could copy a `Once` that is just running
    static ENTERED: AtomicBool = AtomicBool::new(false);
    if !ENTERED.load(Ordering::Relaxed) && !ENTERED.swap(true, Ordering::SeqCst) {
        // our std is a copy of our own in what is shipped, so this silences nobody else; a panic is reported as a code
        #[cfg(not(test))]
        std::panic::set_hook(Box::new(|_| {}));
        sys::watch_forks();
    }
}

fn null(field: &'static str) -> Error {
    Error::Invalid { field: field.into(), value: "NULL".into(), rule: "must not be NULL".into() }
}

#[allow(clippy::mut_from_ref, clippy::needless_lifetimes)] // the memory is the caller's, and borrowed for the call
impl Caller {
    /// The object behind a handle.
    #[inline]
    pub fn handle<'c, T>(&'c self, handle: *const T, field: &'static str) -> Result<&'c T> {
        // SAFETY: NULL or a handle, as `entry` asks.
        unsafe { handle.as_ref() }.ok_or_else(|| null(field))
    }

    /// The object behind a handle that is used by one thread at a time.
    pub fn own<'c, T>(&'c self, handle: *mut T, field: &'static str) -> Result<&'c mut T> {
        // SAFETY: NULL or a handle that no other thread uses, as `entry` and the header ask.
        unsafe { handle.as_mut() }.ok_or_else(|| null(field))
    }

    /// A place for a result.
    pub fn place<'c, T>(&'c self, place: *mut *mut T, field: &'static str) -> Result<Place<'c, T>> {
        // SAFETY: NULL or a place, as `entry` asks.
        unsafe { place.as_mut() }.map(Place).ok_or_else(|| null(field))
    }

    /// A place for a result that the caller may not want.
    pub fn wanted<'c, T>(&'c self, place: *mut T) -> Option<&'c mut T> {
        // SAFETY: NULL or a place, as `entry` asks.
        unsafe { place.as_mut() }
    }

    /// An array.
    pub fn slice<'c, T>(&'c self, data: *const T, count: usize, field: &'static str) -> Result<&'c [T]> {
        check_extent::<T>(data.is_null(), data.is_aligned(), count, field)?;
        if count == 0 {
            return Ok(&[]);
        }
        // SAFETY: not NULL, aligned, of a size that can be; that the elements are there `entry` asks.
        Ok(unsafe { std::slice::from_raw_parts(data, count) })
    }

    /// An array to be written to.
    pub fn buffer<'c, T>(&'c self, data: *mut T, count: usize, field: &'static str) -> Result<&'c mut [T]> {
        check_extent::<T>(data.is_null(), data.is_aligned(), count, field)?;
        if count == 0 {
            return Ok(&mut []);
        }
        // SAFETY: as in `slice`, and nobody else uses it during the call, as `entry` asks.
        Ok(unsafe { std::slice::from_raw_parts_mut(data, count) })
    }

    /// A text.
    pub fn text<'c>(
        &'c self,
        data: *const std::ffi::c_char,
        len: usize,
        field: &'static str,
    ) -> Result<&'c str> {
        let bytes = self.slice(data.cast::<u8>(), len, field)?;
        std::str::from_utf8(bytes).map_err(|e| {
            Error::invalid(field, bytes, format!("must be UTF-8; byte {} is not", e.valid_up_to()))
        })
    }

    /// Pairs of names and values.
    pub fn pairs<'c>(
        &'c self,
        labels: *const promwrite_str,
        pairs: usize,
        field: &'static str,
    ) -> Result<Vec<(&'c str, &'c str)>> {
        let strings = pairs.checked_mul(2).ok_or_else(|| too_many(pairs, field))?;
        let strings = self.slice(labels, strings, field)?;
        let text = |s: &promwrite_str| self.text(s.data, s.len, field);
        strings.chunks_exact(2).map(|pair| Ok((text(&pair[0])?, text(&pair[1])?))).collect()
    }
}

fn too_many(count: usize, field: &'static str) -> Error {
    Error::invalid(field, count.to_string(), "length is more than memory can hold")
}

fn check_extent<T>(null_given: bool, aligned: bool, count: usize, field: &'static str) -> Result<()> {
    if count == 0 {
        return Ok(());
    }
    if null_given {
        return Err(null(field));
    }
    if count.checked_mul(size_of::<T>()).is_none_or(|bytes| isize::try_from(bytes).is_err()) {
        return Err(too_many(count, field));
    }
    if !aligned {
        let rule: Cow<'static, str> = format!("must be aligned to {} bytes", align_of::<T>()).into();
        return Err(Error::Invalid { field: field.into(), value: "the pointer".into(), rule });
    }
    Ok(())
}

/// A timeout in milliseconds.
pub fn timeout(ms: i64) -> Result<Duration> {
    match u64::try_from(ms) {
        Ok(ms) => Ok(Duration::from_millis(ms)),
        Err(_) if ms == crate::PROMWRITE_FOREVER => Ok(Duration::MAX),
        Err(_) => {
            let rule = "must not be negative; PROMWRITE_FOREVER (-1) means no limit";
            Err(Error::invalid("timeout_ms", ms.to_string(), rule))
        }
    }
}

/// A timestamp; none means now.
#[inline]
pub fn timestamp(ms: i64) -> Option<i64> {
    (ms != crate::PROMWRITE_NOW).then_some(ms)
}
