//! An uncompressed `prometheus.WriteRequest` of remote write 1.0, read where it lies.
//!
//! The bytes come from a caller in another language, so nothing about them is trusted; and they are many, so nothing is
//! allocated for a series. What protobuf leaves open is read as its own decoders read it: fields in any order, the last
//! of a repeated scalar wins, unknown fields are skipped.

use crate::error::Error;

/// What is wrong with the bytes, and where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fault {
    /// Offset from the beginning of what was given, in bytes.
    at: usize,
    /// The series it is in, counted from 0.
    series: Option<usize>,
    rule: &'static str,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        let place = fault.series.map(|n| format!(" (series {n}, counted from 0)")).unwrap_or_default();
        let value = format!("byte {}", fault.at);
        Error::Invalid { field: "packed".into(), value, rule: format!("{}{place}", fault.rule).into() }
    }
}

pub(crate) type Read<T> = std::result::Result<T, Fault>;

#[cold]
fn fault<T>(at: usize, rule: &'static str) -> Read<T> {
    Err(Fault { at, series: None, rule })
}

/// A message, or what is left of it: `bytes` begin where everything begins, so that `at` is an offset for errors, and end
/// where the message ends.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
    at: usize,
}

/// One field of a message.
struct Field<'a> {
    at: usize,
    number: u64,
    content: Content<'a>,
}

enum Content<'a> {
    Varint(u64),
    Fixed64(u64),
    Block(Fields<'a>),
    /// A group or four bytes: in no field that is known here.
    Other,
}

/// Groups within groups that are skipped; no schema has any, so more of them are an attack on the stack.
const GROUP_DEPTH: u32 = 64;

impl<'a> Fields<'a> {
    const fn new(bytes: &'a [u8]) -> Self {
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
    fn block(&mut self) -> Read<Fields<'a>> {
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
    fn next(&mut self) -> Read<Option<Field<'a>>> {
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
    fn block(self) -> Read<Fields<'a>> {
        match self.content {
            Content::Block(inner) => Ok(inner),
            _ => fault(self.at, "this field must have wire type 2, a length and bytes"),
        }
    }

    fn varint(self) -> Read<u64> {
        match self.content {
            Content::Varint(value) => Ok(value),
            _ => fault(self.at, "this field must have wire type 0, a varint"),
        }
    }

    fn fixed64(self) -> Read<u64> {
        match self.content {
            Content::Fixed64(value) => Ok(value),
            _ => fault(self.at, "this field must have wire type 1, eight bytes"),
        }
    }
}

/// A request: iterates its series and metadata in their order.
pub(crate) struct Request<'a> {
    rest: Fields<'a>,
    series: usize,
}

/// What a request is made of.
pub(crate) enum Entry<'a> {
    Series(TimeSeries<'a>),
    Metadata(MetricMetadata<'a>),
}

impl<'a> Request<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Request { rest: Fields::new(bytes), series: 0 }
    }

    /// The next series or metadata, none at the end.
    #[inline]
    pub(crate) fn next(&mut self) -> Read<Option<Entry<'a>>> {
        while let Some(field) = self.rest.next()? {
            match field.number {
                1 => {
                    self.series += 1;
                    let message = field.block()?;
                    return Ok(Some(Entry::Series(TimeSeries { number: self.series - 1, message })));
                }
                3 => return MetricMetadata::read(field.block()?).map(|m| Some(Entry::Metadata(m))),
                _ => {}
            }
        }
        Ok(None)
    }
}

/// A series of a request.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TimeSeries<'a> {
    /// Which of the request's series it is, counted from 0.
    pub(crate) number: usize,
    message: Fields<'a>,
}

/// What [`TimeSeries::samples`] found beside the samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Found<'a> {
    /// All label fields as they stand, where they stand together at the beginning as every encoder writes them; otherwise
    /// nothing. Not looked into.
    pub(crate) labels: &'a [u8],
    /// Whether there is an exemplar.
    pub(crate) exemplars: bool,
    /// Whether there is a native histogram.
    pub(crate) histograms: bool,
}

const LABEL_KEY: u8 = 0x0a;

impl<'a> TimeSeries<'a> {
    /// Bytes that are the fields of a series without a request around them.
    pub(crate) fn alone(bytes: &'a [u8]) -> Self {
        TimeSeries { number: 0, message: Fields::new(bytes) }
    }

    /// The message as it stands.
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.message.content()
    }

    /// Offset of the message from the beginning of what was given.
    pub(crate) fn offset(&self) -> usize {
        self.message.at
    }

    /// Hands each sample to `take`: value bits as given, time in ms.
    #[inline]
    pub(crate) fn samples(&self, take: impl FnMut(f64, i64)) -> Read<Found<'a>> {
        self.read_samples(take).map_err(|f| self.locate(f))
    }

    #[inline]
    fn read_samples(&self, mut take: impl FnMut(f64, i64)) -> Read<Found<'a>> {
        let mut rest = self.message;
        while rest.bytes.get(rest.at) == Some(&LABEL_KEY) {
            rest.at += 1;
            rest.block()?;
        }
        let labels = &self.message.bytes[self.message.at..rest.at];
        let mut found = Found { labels, exemplars: false, histograms: false };
        loop {
            if let Some((value, time)) = usual_sample(rest.content()) {
                take(value, time);
                rest.at += USUAL_SAMPLE;
                continue;
            }
            let Some(field) = rest.next()? else { return Ok(found) };
            match field.number {
                1 => found.labels = field.block().map(|_| &[][..])?,
                2 => {
                    let (value, time) = sample(field.block()?)?;
                    take(value, time);
                }
                3 => found.exemplars = field.block().map(|_| true)?,
                4 => found.histograms = field.block().map(|_| true)?,
                _ => {}
            }
        }
    }

    /// Hands each label to `take`: name and value.
    pub(crate) fn labels(&self, mut take: impl FnMut(&'a str, &'a str)) -> Read<()> {
        let mut read = || {
            let mut rest = self.message;
            while let Some(field) = rest.next()? {
                if field.number == 1 {
                    let (name, value) = label(field.block()?)?;
                    take(name.text()?, value.text()?);
                }
            }
            Ok(())
        };
        read().map_err(|f| self.locate(f))
    }

    /// Whether the labels stand in the order of their names as bytes. Everything but exemplars and histograms is looked
    /// into; that text is UTF-8 is not asked.
    #[inline]
    pub(crate) fn is_sorted(&self) -> Read<bool> {
        self.read_order().map_err(|f| self.locate(f))
    }

    #[inline]
    fn read_order(&self) -> Read<bool> {
        let mut rest = self.message;
        let mut sorted = true;
        let mut last = Name::new(&[]);
        loop {
            while let Some(label) = UsualLabel::read(rest.content()) {
                sorted &= last <= label.name;
                last = label.name;
                rest.at += label.len;
            }
            if usual_sample(rest.content()).is_some() {
                rest.at += USUAL_SAMPLE;
                continue;
            }
            let Some(field) = rest.next()? else { return Ok(sorted) };
            match field.number {
                1 => {
                    let name = Name::new(label(field.block()?)?.0.content());
                    sorted &= last <= name;
                    last = name;
                }
                2 => sample(field.block()?).map(drop)?,
                3 | 4 => field.block().map(drop)?,
                _ => {}
            }
        }
    }

    /// Hands each field to `take`, whole as it stands, with the name where it is a label.
    pub(crate) fn fields(&self, mut take: impl FnMut(&'a [u8], Option<Name<'a>>)) -> Read<()> {
        let mut rest = self.message;
        loop {
            let at = rest.at;
            if let Some(label) = UsualLabel::read(rest.content()) {
                rest.at += label.len;
                take(&rest.bytes[at..rest.at], Some(label.name));
                continue;
            }
            let Some(field) = rest.next()? else { return Ok(()) };
            let name =
                if field.number == 1 { Some(Name::new(label(field.block()?)?.0.content())) } else { None };
            take(&rest.bytes[at..rest.at], name);
        }
    }

    #[cold]
    fn locate(&self, fault: Fault) -> Fault {
        Fault { series: Some(self.number), ..fault }
    }
}

/// The name of a label, ordered by its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Name<'a> {
    /// The first eight bytes, zeros behind a shorter name: names that differ there are compared without a call.
    head: u64,
    bytes: &'a [u8],
}

impl<'a> Name<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        let mut head = [0; 8];
        head.iter_mut().zip(bytes).for_each(|(to, from)| *to = *from);
        Name { head: u64::from_be_bytes(head), bytes }
    }
}

/// A label at the beginning of some bytes, if it stands there as every encoder writes it, is shorter than 128 bytes and not
/// the last of them: read at once for the same reason as a sample.
struct UsualLabel<'a> {
    name: Name<'a>,
    /// Length of the whole field.
    len: usize,
}

impl<'a> UsualLabel<'a> {
    #[inline]
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let [LABEL_KEY, len, 0x0a, name_len, h0, h1, h2, h3, h4, h5, h6, h7, ..] = *bytes else {
            return None;
        };
        let (len, name_len) = (usize::from(len), usize::from(name_len));
        let [0x12, value_len] = *bytes.get(4 + name_len..6 + name_len)? else { return None };
        let (whole, expected) = (2 + len, 6 + name_len + usize::from(value_len));
        // lengths of two bytes or more have the eighth bit set
        if len >= 0x80 || value_len >= 0x80 || expected != whole || whole > bytes.len() {
            return None;
        }
        let head = u64::from_be_bytes([h0, h1, h2, h3, h4, h5, h6, h7]);
        let head = if name_len < 8 { head & !(u64::MAX >> (8 * name_len)) } else { head };
        Some(UsualLabel { name: Name { head, bytes: &bytes[4..4 + name_len] }, len: whole })
    }
}

/// Name and value of a `Label`.
#[inline]
fn label(message: Fields<'_>) -> Read<(Fields<'_>, Fields<'_>)> {
    let mut rest = message;
    let nothing = Fields { bytes: &message.bytes[..message.at], at: message.at };
    let (mut name, mut value) = (nothing, nothing);
    while let Some(field) = rest.next()? {
        match field.number {
            1 => name = field.block()?,
            2 => value = field.block()?,
            _ => {}
        }
    }
    Ok((name, value))
}

/// Length of a sample with a value other than 0 and a time from 1971 to 2109, its key and length included.
const USUAL_SAMPLE: usize = 18;

/// The sample at the beginning of `bytes` if it stands there as every encoder writes it: read at once, because reading it
/// field by field takes longer than all else that is done for a sample.
#[inline]
fn usual_sample(bytes: &[u8]) -> Option<(f64, i64)> {
    let [0x12, 0x10, 0x09, v0, v1, v2, v3, v4, v5, v6, v7, 0x10, t0, t1, t2, t3, t4, t5] =
        *bytes.first_chunk::<USUAL_SAMPLE>()?
    else {
        return None;
    };
    let time = u64::from_le_bytes([t0, t1, t2, t3, t4, t5, 0, 0]);
    if time & 0x8080_8080_8080 != 0x80_8080_8080 {
        return None;
    }
    // the groups of seven bits moved together
    let time = (time & 0x7f)
        | (time >> 1 & 0x7f << 7)
        | (time >> 2 & 0x7f << 14)
        | (time >> 3 & 0x7f << 21)
        | (time >> 4 & 0x7f << 28)
        | (time >> 5 & 0x7f << 35);
    Some((f64::from_le_bytes([v0, v1, v2, v3, v4, v5, v6, v7]), time as i64))
}

/// Value and time of a `Sample`.
fn sample(mut message: Fields<'_>) -> Read<(f64, i64)> {
    let (mut value, mut time) = (0.0, 0);
    while let Some(field) = message.next()? {
        match field.number {
            1 => value = f64::from_bits(field.fixed64()?),
            2 => time = field.varint()? as i64,
            _ => {}
        }
    }
    Ok((value, time))
}

/// What a request says about a family. Texts are not looked into.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MetricMetadata<'a> {
    /// The number of the type.
    pub(crate) kind: u64,
    pub(crate) family: Fields<'a>,
    pub(crate) help: Fields<'a>,
    pub(crate) unit: Fields<'a>,
}

impl<'a> MetricMetadata<'a> {
    fn read(mut message: Fields<'a>) -> Read<Self> {
        let nothing = Fields::new(&[]);
        let mut read = MetricMetadata { kind: 0, family: nothing, help: nothing, unit: nothing };
        while let Some(field) = message.next()? {
            match field.number {
                1 => read.kind = field.varint()?,
                2 => read.family = field.block()?,
                4 => read.help = field.block()?,
                5 => read.unit = field.block()?,
                _ => {}
            }
        }
        Ok(read)
    }
}
