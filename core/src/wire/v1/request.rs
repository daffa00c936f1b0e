//! The body of a request that its caller made and sends himself.

use crate::error::{Error, Result};
use crate::input::request::{Entry, Name, PACKED, Request, TimeSeries};
use std::cell::RefCell;

/// The largest request whose compressed form surely fits into the 4 GiB of the snappy format.
const MAX_REQUEST: usize = ((u32::MAX - 32) as u64 * 6 / 7) as usize;

thread_local! {
    // kept, because its table of 32 KiB would otherwise be allocated for every request
    static SNAPPY: RefCell<snap::raw::Encoder> = RefCell::new(snap::raw::Encoder::new());
}

/// How long the buffer for [`encode_request`] must be for a request of `len` bytes: somewhat more than `len`, because what
/// does not compress grows. 0 when the request is too large for the snappy format.
#[must_use]
pub fn encode_bound(len: usize) -> usize {
    snap::raw::max_compress_len(len)
}

/// Makes a body of `request`, an uncompressed `prometheus.WriteRequest` of remote write 1.0: sorts the labels of each
/// series by name as bytes, as receivers require, and compresses it with snappy (block format) into `out`. Returns the
/// length of the body.
///
/// Nothing else is changed, judged or left out: duplicate labels (in the order given), empty values, text that is not
/// UTF-8, exemplars, histograms, metadata, unknown fields and the bits of values arrive as they are. A request whose
/// labels are sorted is compressed from where it lies.
///
/// # Errors
/// [`Error::Invalid`] for bytes that are no such message, with the offset; [`Error::TooLarge`] for an `out` shorter than
/// [`encode_bound`], and beyond the 4 GiB of the snappy format. The content of `out` is then undefined.
pub fn encode_request(request: &[u8], out: &mut [u8]) -> Result<usize> {
    check_room(request, out)?;
    let mut copy = Copy { request, bytes: Vec::new(), copied: 0, labels: Vec::new(), others: Vec::new() };
    let mut entries = Request::new(request);
    while let Some(entry) = entries.next()? {
        if let Entry::Series(series) = entry
            && !series.is_sorted()?
        {
            copy.sort(&series)?;
        }
    }
    compress(copy.finish(), out)
}

/// As [`encode_request`] for a request that its caller has made himself, sorted: it is compressed and not looked at.
///
/// # Errors
/// [`Error::TooLarge`] as [`encode_request`].
pub fn encode_sorted_request(request: &[u8], out: &mut [u8]) -> Result<usize> {
    check_room(request, out)?;
    compress(request, out)
}

fn check_room(request: &[u8], out: &[u8]) -> Result<()> {
    let bound = encode_bound(request.len());
    if bound == 0 {
        return Err(Error::TooLarge { field: PACKED.into(), size: request.len(), limit: MAX_REQUEST });
    }
    if out.len() < bound {
        return Err(Error::TooLarge { field: "body".into(), size: bound, limit: out.len() });
    }
    Ok(())
}

/// A copy of the request, begun with the first series whose labels are not sorted.
struct Copy<'a> {
    request: &'a [u8],
    bytes: Vec<u8>,
    /// How much of the request was copied.
    copied: usize,
    labels: Vec<(Name<'a>, &'a [u8])>,
    others: Vec<&'a [u8]>,
}

impl<'a> Copy<'a> {
    /// Copies up to the end of `series`: its labels first, sorted, then its other fields. No length changes.
    fn sort(&mut self, series: &TimeSeries<'a>) -> Result<()> {
        if self.bytes.is_empty() {
            self.bytes.reserve_exact(self.request.len());
        }
        self.bytes.extend_from_slice(&self.request[self.copied..series.offset()]);
        self.copied = series.offset() + series.bytes().len();
        self.labels.clear();
        self.others.clear();
        series.fields(|whole, label| match label {
            Some(name) => self.labels.push((name, whole)),
            None => self.others.push(whole),
        })?;
        self.labels.sort_by_key(|(name, _)| *name);
        let sorted = self.labels.iter().map(|(_, whole)| whole);
        sorted.chain(&self.others).for_each(|whole| self.bytes.extend_from_slice(whole));
        Ok(())
    }

    /// The whole: the request itself where nothing was copied.
    fn finish(&mut self) -> &[u8] {
        if self.copied == 0 {
            return self.request;
        }
        self.bytes.extend_from_slice(&self.request[self.copied..]);
        &self.bytes
    }
}

fn compress(plain: &[u8], out: &mut [u8]) -> Result<usize> {
    let kept = SNAPPY.try_with(|kept| Some(kept.try_borrow_mut().ok()?.compress(plain, out)));
    // a thread that is ending has none any more
    let packed = kept.ok().flatten().unwrap_or_else(|| snap::raw::Encoder::new().compress(plain, out));
    packed.map_err(|error| Error::Internal { place: "snappy".into(), message: error.to_string() })
}

#[cfg(test)]
mod tests;
