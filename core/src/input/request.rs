//! An uncompressed `prometheus.WriteRequest` of remote write 1.0, read where it lies.
//!
//! The bytes come from a caller in another language, so nothing about them is trusted; and they are many, so nothing is
//! allocated for a series. What protobuf leaves open is read as its own decoders read it: fields in any order, the last
//! of a repeated scalar wins, unknown fields are skipped.

mod fields;

pub(crate) use fields::{Fields, PACKED, Read};

use fields::Fault;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Beside {
    /// Whether there are labels behind those at the beginning.
    pub(crate) labels: bool,
    /// Whether there is an exemplar.
    pub(crate) exemplars: bool,
    /// Whether there is a native histogram.
    pub(crate) histograms: bool,
}

/// The key of the field `labels`.
pub(crate) const LABEL_KEY: u8 = 0x0a;

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

    /// The label fields at the beginning as they stand: all there are, as every encoder writes them, unless
    /// [`TimeSeries::samples`] finds more. Not looked into.
    pub(crate) fn leading_labels(&self) -> Read<&'a [u8]> {
        let mut rest = self.message;
        while rest.bytes.get(rest.at) == Some(&LABEL_KEY) {
            rest.at += 1;
            rest.block().map_err(|f| self.locate(f))?;
        }
        Ok(&self.message.bytes[self.message.at..rest.at])
    }

    /// Hands each sample to `take`: value bits as given, time in ms. The first `skip` bytes are labels and were read.
    #[inline]
    pub(crate) fn samples(&self, skip: usize, take: impl FnMut(f64, i64)) -> Read<Beside> {
        self.read_samples(skip, take).map_err(|f| self.locate(f))
    }

    #[inline]
    fn read_samples(&self, skip: usize, mut take: impl FnMut(f64, i64)) -> Read<Beside> {
        let mut rest = self.message;
        rest.at += skip;
        let mut beside = Beside::default();
        loop {
            if let Some((value, time)) = usual_sample(rest.content()) {
                take(value, time);
                rest.at += USUAL_SAMPLE;
                continue;
            }
            let Some(field) = rest.next()? else { return Ok(beside) };
            match field.number {
                1 => beside.labels = field.block().map(|_| true)?,
                2 => {
                    let (value, time) = sample(field.block()?)?;
                    take(value, time);
                }
                3 => beside.exemplars = field.block().map(|_| true)?,
                4 => beside.histograms = field.block().map(|_| true)?,
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

    /// Its number for messages, none where there is no request around it: in one, nothing begins at offset 0.
    pub(crate) fn place(&self) -> Option<usize> {
        (self.message.at > 0).then_some(self.number)
    }

    #[cold]
    fn locate(&self, fault: Fault) -> Fault {
        Fault { series: self.place(), ..fault }
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

#[cfg(test)]
mod tests;
