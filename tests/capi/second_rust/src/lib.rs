//! A Rust static library of somebody else: it allocates, panics and catches the panic.

use std::panic;

/// How many of `count` panics were caught.
#[unsafe(no_mangle)]
pub extern "C" fn second_catches(count: u32) -> u32 {
    let panics =
        |number: u32| panic::catch_unwind(|| panic!("panic {number} of the second library")).is_err();
    (0..count).map(|number| u32::from(panics(number))).sum()
}
