//! The body of a request while it is written: protobuf in, snappy block format out, 64 KiB at a time.
//!
//! Snappy compresses each 64 KiB by itself, so a block can be compressed as soon as it is full. An encoder then holds
//! one block and the compressed body instead of two buffers of the largest request, and pushes less of its host's data
//! out of the processor's cache. It costs no time.

use super::RawSample;
use crate::error::{Error, Result};
use crate::wire::varint;

const SERIES: u8 = 0x0a; // WriteRequest.timeseries = 1
const SAMPLE: u8 = 0x12; // TimeSeries.samples = 2
pub(super) const VALUE: u8 = 0x09; // Sample.value = 1, 8 bytes
pub(super) const TIMESTAMP: u8 = 0x10; // Sample.timestamp = 2

/// What snappy compresses by itself; the length of one block is a varint of 3 bytes.
const BLOCK: usize = 1 << 16;
/// Room before the compressed bytes for the length of the whole, which is known last.
const HEAD: usize = 8;
/// Bytes that writing one sample or one varint may touch.
const SLACK: usize = 24;

pub(super) struct Body {
    window: Vec<u8>,
    filled: usize,
    packed: Vec<u8>,
    packed_len: usize,
    flushed: usize,
    failure: Option<snap::Error>,
    snappy: snap::raw::Encoder,
}

impl Body {
    pub(super) fn new() -> Self {
        Body {
            window: Vec::new(),
            filled: 0,
            packed: Vec::new(),
            packed_len: HEAD,
            flushed: 0,
            failure: None,
            snappy: snap::raw::Encoder::new(),
        }
    }

    /// Forgets what was written and keeps the memory.
    pub(super) fn clear(&mut self) {
        (self.filled, self.packed_len, self.flushed, self.failure) = (0, HEAD, 0, None);
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.window.capacity() + self.packed.capacity()
    }

    /// The window from where writing goes on, with room for `len` bytes and [`SLACK`].
    #[inline(always)]
    fn room(&mut self, len: usize) -> &mut [u8] {
        let end = self.filled + len + SLACK;
        if end > self.window.len() {
            self.grow(end);
        }
        &mut self.window[self.filled..end]
    }

    #[cold]
    fn grow(&mut self, end: usize) {
        self.window.resize(end.max(2 * self.window.len()), 0);
    }

    #[inline]
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        self.room(bytes.len())[..bytes.len()].copy_from_slice(bytes);
        self.advance(bytes.len());
    }

    /// The beginning of a `TimeSeries` of `len` bytes: all but its samples.
    #[inline(always)]
    pub(super) fn series(&mut self, len: usize, labels: &[u8]) {
        let room = self.room(labels.len());
        room[0] = SERIES;
        let used = 1 + varint::put(&mut room[1..], len as u64);
        room[used..used + labels.len()].copy_from_slice(labels);
        self.advance(used + labels.len());
    }

    #[inline(always)]
    pub(super) fn sample(&mut self, sample: &RawSample) {
        let len = self.room(0).first_chunk_mut().map_or(0, |room| put_sample(room, sample));
        self.advance(len);
    }

    #[inline(always)]
    fn advance(&mut self, len: usize) {
        self.filled += len;
        if self.filled >= BLOCK {
            self.flush();
        }
    }

    #[cold]
    fn flush(&mut self) {
        let mut from = 0;
        while self.filled - from >= BLOCK {
            self.pack(from, from + BLOCK);
            from += BLOCK;
        }
        self.window.copy_within(from..self.filled, 0);
        self.filled -= from;
    }

    /// Compresses a part of the window behind what is packed.
    fn pack(&mut self, from: usize, to: usize) {
        let plain = &self.window[from..to];
        // snappy puts the length of the block before it: let it overwrite what stands there, and put that back
        let head = varint::len(plain.len() as u64);
        let at = self.packed_len - head;
        let room = at + snap::raw::max_compress_len(plain.len());
        if self.packed.len() < room {
            self.packed.resize(room, 0);
        }
        let mut kept = [0; 3];
        kept[..head].copy_from_slice(&self.packed[at..self.packed_len]);
        match self.snappy.compress(plain, &mut self.packed[at..]) {
            Ok(len) => {
                self.packed[at..self.packed_len].copy_from_slice(&kept[..head]);
                self.packed_len = at + len;
                self.flushed += plain.len();
            }
            Err(error) => self.failure = Some(error),
        }
    }

    /// The compressed body in memory of its exact size, empty if nothing was written, and its length before compression.
    ///
    /// # Errors
    /// [`Error::TooLarge`] beyond the 4 GiB of the snappy format.
    pub(super) fn finish(&mut self) -> Result<(Vec<u8>, usize)> {
        if self.filled > 0 {
            self.pack(0, self.filled);
        }
        if let Some(error) = self.failure.take() {
            return Err(Error::Internal { place: "snappy".into(), message: error.to_string() });
        }
        let (size, limit) = (self.flushed, u32::MAX as usize);
        if size > limit {
            return Err(Error::TooLarge { field: "remote-write body".into(), size, limit });
        }
        if size == 0 {
            return Ok((Vec::new(), 0));
        }
        let begin = HEAD - varint::len(size as u64);
        varint::put(&mut self.packed[begin..], size as u64);
        Ok((self.packed[begin..self.packed_len].to_vec(), size))
    }
}

/// Bytes of a sample inside its `TimeSeries`, tag and length included.
#[inline]
pub(super) fn sample_len(sample: &RawSample) -> usize {
    let value = if sample.value.to_bits() == 0 { 0 } else { 9 };
    let time = sample.timestamp_ms as u64;
    2 + value + if time == 0 { 0 } else { 1 + varint::len(time) }
}

/// Writes a sample and returns its length.
#[inline]
fn put_sample(out: &mut [u8; SLACK], sample: &RawSample) -> usize {
    let (value, time) = (sample.value.to_bits(), sample.timestamp_ms as u64);
    let mut len = 2;
    if value != 0 {
        out[2] = VALUE;
        out[3..11].copy_from_slice(&value.to_le_bytes());
        len = 11;
    }
    if len == 11 && time >> 35 != 0 && time >> 42 == 0 {
        // 1971 to 2109, a varint of six bytes: the groups of seven bits moved apart at once, a third of a loop's time
        let apart = (time & 0x7f)
            | (time & 0x7f << 7) << 1
            | (time & 0x7f << 14) << 2
            | (time & 0x7f << 21) << 3
            | (time & 0x7f << 28) << 4
            | (time & 0x7f << 35) << 5;
        out[11] = TIMESTAMP;
        out[12..20].copy_from_slice(&(apart | 0x80_8080_8080).to_le_bytes());
        len = 18;
    } else if time != 0 {
        out[len] = TIMESTAMP;
        len += 1;
        len += varint::put(&mut out[len..], time);
    }
    out[0] = SAMPLE;
    out[1] = (len - 2) as u8;
    len
}
