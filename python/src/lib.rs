//! The native half of the Python package `promwrite`: converts arguments, maps errors, and waits without the GIL.
//!
//! What can be Python is Python: this module is private to the package, whose typed surface is in `python/promwrite`.

#![deny(unsafe_code)]

mod decode;
mod errors;
mod gateway;
mod handler;
mod options;
mod process;
mod registry;
mod render;
mod report;
mod values;
mod wait;
mod writer;

use pyo3::prelude::*;

/// The native module of promwrite; private, use the package.
#[pymodule(gil_used = false)]
mod _promwrite {
    #[pymodule_export]
    use super::decode::{decode_write, snappy_frame, snappy_unframe};
    #[pymodule_export]
    use super::gateway::{Pusher, grouping_labels, push_url};
    #[pymodule_export]
    use super::handler::Handler;
    #[pymodule_export]
    use super::options::options_doc;
    #[pymodule_export]
    use super::render::render;
    #[pymodule_export]
    use super::report::{has_log, stats_all, take_log};
    #[pymodule_export]
    use super::wait::{Exit, drain, flush};
    #[pymodule_export]
    use super::writer::{Series, Writer};

    use super::{Bound, PyModule, PyResult};
    use promwrite_core::{sender, sys};
    use pyo3::types::PyModuleMethods;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        // silences our own std alone, which is a private copy; a panic is reported as an exception
        std::panic::set_hook(Box::new(|_| {}));
        sys::watch_forks();
        // Python's hooks run earlier, while the interpreter can still log
        sender::host_flushes_at_exit();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
