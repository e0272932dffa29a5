//! Records: the values of one row, of which the bytes come in pieces.

use super::{Table, Visitor};

/// Shorter values can't hold a secret.
const SHORTEST: u64 = 11;
/// Longest header of a record; SQLite allows 32,767 columns, few tables have more than some dozens.
const LONGEST_HEADER: usize = 64 << 10;

/// A big-endian number of one to nine bytes.
pub(super) fn varint(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let mut value = 0_u64;
    for count in 0..9 {
        let byte = *bytes.get(*at)?;
        *at += 1;
        if count == 8 {
            return Some((value << 8 | u64::from(byte)).cast_signed());
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte < 0x80 {
            break;
        }
    }
    Some(value.cast_signed())
}

/// Splits a record into its values and shows integers, long texts and blobs to a visitor. Dropping it ends the value under way.
pub(in crate::scan) struct Values<'a> {
    table: &'a Table,
    row: Option<i64>,
    visitor: &'a mut dyn Visitor,
    /// The record's header, until it is complete.
    header: Vec<u8>,
    /// Lengths of the values, and what they are; the last one first.
    to_come: Option<Vec<(u64, ValueKind)>>,
    column: usize,
    /// Bytes missing from the current value, and what it is.
    current: (u64, ValueKind),
}

/// What a value of a record is to the search.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ValueKind {
    /// A long text or blob.
    Shown,
    /// An integer, as far as it has been read.
    Integer(i64),
    Other,
}

impl<'a> Values<'a> {
    pub(super) fn new(table: &'a Table, row: Option<i64>, visitor: &'a mut dyn Visitor) -> Self {
        Self { table, row, visitor, header: Vec::new(), to_come: None, column: 0, current: (0, ValueKind::Other) }
    }

    /// Whether the visitor has had enough.
    pub(super) fn is_done(&self) -> bool {
        self.visitor.is_done()
    }

    /// Takes the next bytes of the record.
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        let mut bytes = bytes;
        if self.to_come.is_none() {
            let before = self.header.len();
            self.header.extend_from_slice(bytes);
            let Some((length, values)) = header(&self.header) else {
                if self.header.len() > LONGEST_HEADER {
                    (self.header, self.to_come) = (Vec::new(), Some(Vec::new()));
                }
                return;
            };
            // The header wasn't complete before these bytes came.
            bytes = &bytes[(length - before).min(bytes.len())..];
            self.to_come = Some(values);
        }
        while !bytes.is_empty() {
            if self.current.0 == 0 && !self.next_value() {
                return;
            }
            let count = usize::try_from(self.current.0).unwrap_or(usize::MAX).min(bytes.len());
            let (now, later) = bytes.split_at(count);
            match &mut self.current.1 {
                ValueKind::Shown => self.visitor.bytes(now),
                ValueKind::Integer(value) => now.iter().for_each(|byte| *value = *value << 8 | i64::from(*byte)),
                ValueKind::Other => {}
            }
            bytes = later;
            self.current.0 -= count as u64;
        }
    }

    /// Goes on to the next value that isn't empty.
    fn next_value(&mut self) -> bool {
        self.end();
        while let Some((length, kind)) = self.to_come.as_mut().and_then(Vec::pop) {
            self.column += 1;
            if length > 0 {
                let known = self.column <= self.table.columns.len();
                self.current = (length, if known { kind } else { ValueKind::Other });
                if self.current.1 == ValueKind::Shown {
                    self.visitor.begin(self.table, self.column - 1, self.row);
                }
                return true;
            }
        }
        false
    }

    fn end(&mut self) {
        match std::mem::replace(&mut self.current, (0, ValueKind::Other)).1 {
            ValueKind::Shown => self.visitor.end(),
            // Negative numbers aren't needed by anybody.
            ValueKind::Integer(value) => self.visitor.integer(self.column - 1, value),
            ValueKind::Other => {}
        }
    }
}

impl Drop for Values<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

/// Length of a record's header, and the values it announces, the last one first; `None` while it is incomplete.
fn header(bytes: &[u8]) -> Option<(usize, Vec<(u64, ValueKind)>)> {
    let mut at = 0;
    let length = usize::try_from(varint(bytes, &mut at)?).ok()?;
    let bytes = bytes.get(..length)?;
    let mut values = Vec::new();
    while let Some(kind) = varint(bytes, &mut at) {
        let kind = kind.cast_unsigned();
        values.push(match kind {
            1..=4 => (kind, ValueKind::Integer(0)),
            5 => (6, ValueKind::Integer(0)),
            6 | 7 => (8, ValueKind::Other),
            12.. => {
                let length = (kind - 12) / 2;
                (length, if length >= SHORTEST { ValueKind::Shown } else { ValueKind::Other })
            }
            _ => (0, ValueKind::Other),
        });
    }
    values.reverse();
    Some((length, values))
}
