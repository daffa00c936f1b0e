//! The life of a process that pushes: its threads, its forks, its end.
//!
//! Each test starts this program again as the job that is tested, so that a job has a process of its own, with a `main`
//! that returns, and no thread but those it is about.
#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod exits;
mod forks;
mod job;
mod spool;
mod threads;

use libtest_mimic::{Arguments, Trial};
use std::process::ExitCode;

fn main() -> ExitCode {
    if let Ok(name) = std::env::var(job::NAME) {
        let jobs = exits::JOBS.iter().chain(threads::JOBS).chain(forks::JOBS).chain(spool::JOBS);
        let (_, run) = jobs.into_iter().find(|(known, _)| *known == name).expect("a job of that name");
        return ExitCode::from(run());
    }
    let tests = exits::TESTS.iter().chain(threads::TESTS).chain(forks::TESTS).chain(spool::TESTS);
    let trials = tests.map(|(name, run)| {
        Trial::test(*name, || {
            run();
            Ok(())
        })
    });
    libtest_mimic::run(&Arguments::from_args(), trials.collect()).exit_code()
}
