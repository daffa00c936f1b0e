//! Base-128 varints, the integers of protobuf.

/// Bytes that `value` takes as a varint, 1 to 10.
#[inline]
pub(super) const fn len(value: u64) -> usize {
    // one byte a begun group of seven bits; exact for every bit count from 1 to 64
    ((64 - (value | 1).leading_zeros()) as usize * 9 + 64) / 64
}

/// Writes `value` at the beginning of `out`, which must hold 10 bytes, and returns its length.
#[inline]
pub(super) fn put(out: &mut [u8], mut value: u64) -> usize {
    let mut at = 0;
    while value >= 0x80 {
        out[at] = value as u8 | 0x80;
        value >>= 7;
        at += 1;
    }
    out[at] = value as u8;
    at + 1
}

/// Appends `value`.
pub(super) fn push(out: &mut Vec<u8>, value: u64) {
    let mut buffer = [0; 10];
    let len = put(&mut buffer, value);
    out.extend_from_slice(&buffer[..len]);
}

/// Reads a varint off the front of `input`; none where it is cut short or longer than 10 bytes.
pub(super) fn take(input: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for (at, byte) in input.iter().take(10).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            *input = &input[at + 1..];
            return Some(value);
        }
    }
    None
}

/// Reads a length-delimited field off the front of `input`: its number and its content.
pub(super) fn take_field<'a>(input: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let tag = take(input)?;
    if tag & 7 != 2 {
        return None;
    }
    let len = usize::try_from(take(input)?).ok()?;
    let (content, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some((tag >> 3, content))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_and_bytes_are_those_of_prost() {
        let mut values = vec![0, u64::MAX];
        for bit in 0..64 {
            values.extend([(1_u64 << bit) - 1, 1 << bit, (1 << bit) + 1]);
        }
        for value in values {
            let mut expected = Vec::new();
            prost::encoding::encode_varint(value, &mut expected);
            let mut got = Vec::new();
            push(&mut got, value);
            assert_eq!(got, expected, "{value}");
            assert_eq!(len(value), expected.len(), "{value}");
            let mut rest = &got[..];
            assert_eq!((take(&mut rest), rest.len()), (Some(value), 0));
            assert_eq!(take(&mut &got[..got.len() - 1]), None);
        }
    }
}
