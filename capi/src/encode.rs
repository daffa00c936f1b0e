//! Remote-write bodies for callers who send them themselves.

use crate::error::promwrite_error;
use crate::guard::{entry, query};
use promwrite_core::error::{Error, Result};
use promwrite_core::wire::v1;

/// Refuses a layout that this version does not know.
pub fn check_layout(layout: u32) -> Result<()> {
    match layout {
        crate::PROMWRITE_PACKED_WRITE_REQUEST | crate::PROMWRITE_PACKED_SORTED_REQUEST => Ok(()),
        other => {
            let rule = "must be PROMWRITE_PACKED_WRITE_REQUEST (1) or PROMWRITE_PACKED_SORTED_REQUEST (2)";
            Err(Error::invalid("layout", other.to_string(), rule))
        }
    }
}

/// The largest body that `promwrite_encode` makes of so many bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_encode_bound(packed_len: usize) -> usize {
    unsafe { query("promwrite_encode_bound", 0, |_| Some(v1::encode_bound(packed_len))) }
}

/// Makes a remote-write 1.0 body (snappy block format) of packed samples (`layout` as for `promwrite_writer_append_packed`): the labels of each
/// series are sorted by name, as receivers ask; nothing else is changed, checked or dropped, and nothing is queued. `body` has room for
/// `body_capacity` bytes, at least `promwrite_encode_bound(packed_len)`; `*body_len` becomes the length of the body.
///
/// Errors: `PROMWRITE_ERROR_INVALID` for bytes that are no such message, with the offset, or for an unknown layout;
/// `PROMWRITE_ERROR_TOO_LARGE` where `body_capacity` is too small.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn promwrite_encode(
    layout: u32,
    packed: *const u8,
    packed_len: usize,
    body: *mut u8,
    body_capacity: usize,
    body_len: *mut usize,
    error: *mut *mut promwrite_error,
) -> i32 {
    unsafe {
        entry("promwrite_encode", error, |c| {
            check_layout(layout)?;
            let packed = c.slice(packed, packed_len, "packed")?;
            let body = c.buffer(body, body_capacity, "body")?;
            let len = c.buffer(body_len, 1, "body_len")?;
            len[0] = match layout {
                crate::PROMWRITE_PACKED_SORTED_REQUEST => v1::encode_sorted_request(packed, body)?,
                _ => v1::encode_request(packed, body)?,
            };
            Ok(crate::PROMWRITE_OK)
        })
    }
}
