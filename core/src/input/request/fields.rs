//! The fields of a protobuf message, bounds-checked.

use crate::error::Error;

/// What is wrong with the bytes, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Offset from the beginning of what was given, in bytes.
    pub(super) at: usize,
    /// The series it is in, counted from 0.
    pub(super) series: Option<usize>,
    pub(super) rule: &'static str,
}

/// How errors name what is read here: the argument's name in C.
pub(crate) const PACKED: &str = "packed";

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let place = fault.series.map(|n| format!(" (series {n}, counted from 0)")).unwrap_or_default();
        let value = format!("byte {}", fault.at);
        Error::Invalid { field: PACKED.into(), value, rule: format!("{}{place}", fault.rule).into() }
    }
}

pub(crate) type Read<T> = std::result::Result<T, Fault>;

#[cold]
pub(super) fn fault<T>(at: usize, rule: &'static str) -> Read<T> {
    Err(Fault { at, series: None, rule })
}

/// A message, or what is left of it: `bytes` begin where everything begins, so that `at` is an offset for errors, and end
/// where the message ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) at: usize,
}

/// One field of a message.
pub(super) struct Field<'a> {
    pub(super) at: usize,
    pub(super) number: u64,
    pub(super) content: Content<'a>,
}

pub(super) enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Block(Fields<'a>),
    /// A group or four bytes: in no field that is known here.
    Other,
}

/// Groups within groups that are skipped; no schema has any, so more of them are an attack on the stack.
const GROUP_DEPTH: u32 = 64;

impl<'a> Fields<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Fields { bytes, at: 0 }
    }

    /// What is left, as it stands.
    #[inline]
    pub(crate) fn content(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// What is left, as text.
    pub(crate) fn text(&self) -> Read<&'a str> {
        let text = std::str::from_utf8(self.content());
        text.or_else(|error| fault(self.at + error.valid_up_to(), "text must be UTF-8"))
    }

    #[inline]
    fn varint(&mut self) -> Read<u64> {
        match self.bytes.get(self.at) {
            Some(byte) if *byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(*byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Read<u64> {
        let mut value = 0;
        for (n, byte) in self.content().iter().take(10).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * n);
            if *byte < 0x80 {
                if n == 9 && *byte > 1 {
                    return fault(self.at, "a number must fit into 64 bits");
                }
                self.at += n + 1;
                return Ok(value);
            }
        }
        fault(self.at, "a number must end within its message and after at most 10 bytes")
    }

    fn fixed<const N: usize>(&mut self) -> Read<[u8; N]> {
        match self.content().first_chunk() {
            Some(bytes) => {
                self.at += N;
                Ok(*bytes)
            }
            None => fault(self.at, "a number must end within its message"),
        }
    }

    /// A length and as many bytes.
    #[inline]
    pub(super) fn block(&mut self) -> Read<Fields<'a>> {
        let at = self.at;
        let len = self.varint()?;
        if len > (self.bytes.len() - self.at) as u64 {
            return fault(at, "a length must not pass the end of its message");
        }
        let inner = Fields { bytes: &self.bytes[..self.at + len as usize], at: self.at };
        self.at = inner.bytes.len();
        Ok(inner)
    }

    #[inline]
    pub(super) fn next(&mut self) -> Read<Option<Field<'a>>> {
        if self.at == self.bytes.len() {
            return Ok(None);
        }
        let at = self.at;
        let (number, wire_type) = self.key()?;
        let content = match wire_type {
            0 => Content::Varint(self.varint()?),
            1 => Content::Fixed64(u64::from_le_bytes(self.fixed()?)),
            2 => Content::Block(self.block()?),
            3 => self.skip_group(number, GROUP_DEPTH).map(|()| Content::Other)?,
            4 => return fault(at, "a group must begin before it ends"),
            5 => self.fixed::<4>().map(|_| Content::Other)?,
            _ => return fault(at, "a wire type must be one of 0 to 5"),
        };
        Ok(Some(Field { at, number, content }))
    }

    #[inline]
    fn key(&mut self) -> Read<(u64, u8)> {
        let at = self.at;
        let key = self.varint()?;
        if key < 8 || key > u64::from(u32::MAX) {
            return fault(at, "the number of a field must be 1 to 536870911");
        }
        Ok((key >> 3, key as u8 & 7))
    }

    fn skip_group(&mut self, number: u64, depth: u32) -> Read<()> {
        if depth == 0 {
            return fault(self.at, "groups must not be nested deeper than 64");
        }
        loop {
            let at = self.at;
            match self.key()? {
                (_, 0) => self.varint().map(drop)?,
                (_, 1) => self.fixed::<8>().map(drop)?,
                (_, 2) => self.block().map(drop)?,
                (inner, 3) => self.skip_group(inner, depth - 1)?,
                (ends, 4) if ends == number => return Ok(()),
                (_, 4) => return fault(at, "a group must end with its own number"),
                (_, 5) => self.fixed::<4>().map(drop)?,
                _ => return fault(at, "a wire type must be one of 0 to 5"),
            }
        }
    }
}

impl<'a> Field<'a> {
    #[inline]
    pub(super) fn block(self) -> Read<Fields<'a>> {
        match self.content {
            Content::Block(inner) => Ok(inner),
            _ => fault(self.at, "this field must have wire type 2, a length and bytes"),
        }
    }

    pub(super) fn varint(self) -> Read<u64> {
        match self.content {
            Content::Varint(value) => Ok(value),
            _ => fault(self.at, "this field must have wire type 0, a varint"),
        }
    }

    pub(super) fn fixed64(self) -> Read<u64> {
        match self.content {
            Content::Fixed64(value) => Ok(value),
            _ => fault(self.at, "this field must have wire type 1, eight bytes"),
        }
    }
}
