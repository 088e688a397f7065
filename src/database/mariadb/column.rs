//! The columns of a result, and their values in a row (`ProtocolBinary::ResultsetRow`).

use bytes::{BufMut, BytesMut};

use super::packet::Fields;
use super::temporal::{Moment, Span};
use super::wire::flags;
use crate::database::BigNumbers;
use crate::database::json;

const UNSIGNED: u16 = 1 << 5;
/// Bytes that are no text.
const NO_TEXT: u16 = 63;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    pub name: String,
    kind: u8,
    is_unsigned: bool,
    is_text: bool,
    is_json: bool,
    /// Digits behind the second.
    digits: usize,
}

/// A value, as it stands in a row.
enum Cell<'a> {
    Signed(i64),
    Unsigned(u64),
    Float(f32),
    Double(f64),
    Date(Moment),
    /// The second tells whether it is an instant.
    DateTime(Moment, bool),
    Time(Span),
    Decimal(&'a [u8]),
    Json(&'a [u8]),
    Text(&'a [u8]),
    Bytes(&'a [u8]),
}

impl Column {
    /// Reads a column's definition. None where it is none.
    pub fn read(body: &[u8], has: u64) -> Option<Self> {
        let mut fields = Fields(body);
        // Catalog, schema, table, and the table's own name.
        for _ in 0..4 {
            fields.bytes()?;
        }
        let name = String::from_utf8_lossy(fields.bytes()?).into_owned();
        let _own_name = fields.bytes()?;
        let mut format: &[u8] = &[];
        if has & flags::METADATA != 0 {
            let mut more = Fields(fields.bytes()?);
            while let (Some(what), Some(value)) = (more.u8(), more.bytes()) {
                if what == 1 {
                    format = value;
                }
            }
        }
        let _length_of_what_follows = fields.length()?;
        let charset = fields.u16()?;
        let _length = fields.u32()?;
        let kind = fields.u8()?;
        let flags = fields.u16()?;
        let digits = fields.u8()?;
        Some(Column {
            name,
            kind,
            is_unsigned: flags & UNSIGNED != 0,
            is_text: charset != NO_TEXT,
            is_json: format == b"json" || kind == 245,
            digits: usize::from(digits),
        })
    }

    /// Appends a value of a row as JSON, where it is not null. None where it cannot be read.
    pub fn write_json(
        &self,
        fields: &mut Fields<'_>,
        big: BigNumbers,
        into: &mut BytesMut,
    ) -> Option<()> {
        match self.cell(fields)? {
            Cell::Signed(number) => json::integer(number.to_string().as_bytes(), big, into),
            Cell::Unsigned(number) => json::integer(number.to_string().as_bytes(), big, into),
            Cell::Float(number) => into.put_slice(float(number).as_bytes()),
            Cell::Double(number) => into.put_slice(float(number).as_bytes()),
            Cell::Decimal(text) => json::decimal(text, big, into),
            Cell::Bytes(bytes) => json::bytes(bytes, into),
            // What a column holds may be older than what is known of it.
            Cell::Json(text) if serde_json::from_slice::<serde::de::IgnoredAny>(text).is_ok() => {
                json::document(text, into);
            }
            Cell::Json(text) | Cell::Text(text) => json::string(text, into),
            Cell::DateTime(moment, is_instant) if moment.is_day() => {
                let mut text = String::new();
                moment.write_date(&mut text);
                text.push('T');
                moment.write_clock(self.digits, &mut text);
                if is_instant {
                    text.push('Z');
                }
                json::string(text.as_bytes(), into);
            }
            other => json::string(&self.text(other), into),
        }
        Some(())
    }

    /// A value of a row in the words of the database, where it is not null. None where it cannot be read.
    pub fn read_text(&self, fields: &mut Fields<'_>) -> Option<Vec<u8>> {
        let cell = self.cell(fields)?;
        Some(self.text(cell))
    }

    fn text(&self, cell: Cell<'_>) -> Vec<u8> {
        let mut text = String::new();
        match cell {
            Cell::Signed(number) => text = number.to_string(),
            Cell::Unsigned(number) => text = number.to_string(),
            Cell::Float(number) => text = float(number),
            Cell::Double(number) => text = float(number),
            Cell::Date(moment) => moment.write_date(&mut text),
            Cell::DateTime(moment, _) => {
                moment.write_date(&mut text);
                text.push(' ');
                moment.write_clock(self.digits, &mut text);
            }
            Cell::Time(span) => span.write(self.digits, &mut text),
            Cell::Decimal(bytes) | Cell::Json(bytes) | Cell::Text(bytes) | Cell::Bytes(bytes) => {
                return bytes.to_vec();
            }
        }
        text.into_bytes()
    }

    fn cell<'a>(&self, fields: &mut Fields<'a>) -> Option<Cell<'a>> {
        Some(match self.kind {
            1 => self.integer(
                fields.array::<1>()?,
                |bytes| i8::from_le_bytes(bytes).into(),
                |bytes| u8::from_le_bytes(bytes).into(),
            ),
            2 => self.integer(
                fields.array::<2>()?,
                |bytes| i16::from_le_bytes(bytes).into(),
                |bytes| u16::from_le_bytes(bytes).into(),
            ),
            13 => Cell::Unsigned(fields.u16()?.into()),
            3 | 9 => self.integer(
                fields.array::<4>()?,
                |bytes| i32::from_le_bytes(bytes).into(),
                |bytes| u32::from_le_bytes(bytes).into(),
            ),
            8 => self.integer(fields.array::<8>()?, i64::from_le_bytes, u64::from_le_bytes),
            4 => Cell::Float(f32::from_le_bytes(fields.array()?)),
            5 => Cell::Double(f64::from_le_bytes(fields.array()?)),
            0 | 246 => Cell::Decimal(fields.bytes()?),
            10 | 14 => Cell::Date(moment(fields.bytes()?)?),
            7 | 17 => Cell::DateTime(moment(fields.bytes()?)?, true),
            12 | 18 => Cell::DateTime(moment(fields.bytes()?)?, false),
            11 | 19 => Cell::Time(span(fields.bytes()?)?),
            16 => {
                let bytes = fields.bytes()?;
                let fits = bytes.len() <= 8;
                let number = bytes
                    .iter()
                    .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
                fits.then_some(Cell::Unsigned(number))?
            }
            255 => Cell::Bytes(fields.bytes()?),
            _ if self.is_json => Cell::Json(fields.bytes()?),
            _ if self.is_text => Cell::Text(fields.bytes()?),
            _ => Cell::Bytes(fields.bytes()?),
        })
    }

    fn integer<'a, const N: usize>(
        &self,
        bytes: [u8; N],
        signed: impl Fn([u8; N]) -> i64,
        unsigned: impl Fn([u8; N]) -> u64,
    ) -> Cell<'a> {
        if self.is_unsigned {
            Cell::Unsigned(unsigned(bytes))
        } else {
            Cell::Signed(signed(bytes))
        }
    }
}

/// The shortest digits that are this number and no other. A database has neither `NaN` nor infinities.
fn float(number: impl serde::Serialize) -> String {
    let text = serde_json::to_string(&number).unwrap_or_default();
    match text.strip_suffix(".0") {
        Some(whole) => whole.to_owned(),
        None => text,
    }
}

fn moment(bytes: &[u8]) -> Option<Moment> {
    let mut fields = Fields(bytes);
    let mut moment = Moment::default();
    if !bytes.is_empty() {
        (moment.year, moment.month, moment.day) = (fields.u16()?, fields.u8()?, fields.u8()?);
    }
    if !fields.0.is_empty() {
        (moment.hour, moment.minute, moment.second) = (fields.u8()?, fields.u8()?, fields.u8()?);
    }
    if !fields.0.is_empty() {
        moment.micros = fields.u32()?;
    }
    Some(moment)
}

fn span(bytes: &[u8]) -> Option<Span> {
    let mut fields = Fields(bytes);
    let mut span = Span::default();
    if !bytes.is_empty() {
        span.is_negative = fields.u8()? != 0;
        span.days = fields.u32()?;
        (span.hour, span.minute, span.second) = (fields.u8()?, fields.u8()?, fields.u8()?);
    }
    if !fields.0.is_empty() {
        span.micros = fields.u32()?;
    }
    Some(span)
}
