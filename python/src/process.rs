//! Notices a new process: the first use in each one registers its exit hooks.

use promwrite_core::sys;
use pyo3::prelude::*;
use std::sync::atomic::{AtomicU32, Ordering};

static HOOKED: AtomicU32 = AtomicU32::new(0);

/// Called by whatever accepts data. Two loads, except for the first time in a process: a child of multiprocessing runs
/// neither its parent's hooks nor atexit, so hooks must be set in the child itself.
#[inline]
pub fn entered(py: Python<'_>) -> PyResult<()> {
    let generation = sys::generation();
    if HOOKED.load(Ordering::Relaxed) == generation {
        return Ok(());
    }
    hook(py, generation)
}

#[cold]
fn hook(py: Python<'_>, generation: u32) -> PyResult<()> {
    HOOKED.store(generation, Ordering::Relaxed);
    py.import("promwrite._exit")?.call_method0("hook_process")?;
    Ok(())
}
