//! How records leave the store: pushed row by row into a sink, borrowed from the driver's buffers.

use std::sync::Arc;

use crate::FieldType;

/// The columns of the records of one answer, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Columns {
    /// Each column.
    pub list: Vec<Column>,
}

/// One column of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// The name of the field or relation.
    pub name: Arc<str>,
    /// What stands in it.
    pub kind: ColumnKind,
}

/// What stands in a column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnKind {
    /// A value.
    Scalar(FieldType),
    /// A related record or null.
    One(Arc<Columns>),
    /// A list of related records.
    Many(Arc<Columns>),
    /// Undeclared fields, which stand beside the other columns; but for those of these names, which are declared.
    Undeclared(Arc<[Arc<str>]>),
}

/// A cell, borrowed. Booleans, decimals and times come as integers whose meaning the column's type gives.
#[derive(Clone, Copy)]
pub enum Cell<'a> {
    /// No value.
    Null,
    /// An integer, boolean (0, 1), scaled decimal, timestamp or datetime (microseconds).
    Integer(i64),
    /// A float.
    Float(f64),
    /// Text, a UUID or JSON.
    Text(&'a str),
    /// A related record.
    One(&'a dyn Cells),
    /// Related records.
    Many(&'a [Box<dyn Cells>]),
}

/// A record's cells.
pub trait Cells: Send {
    /// The cell at this place of the answer's [`Columns`].
    fn cell(&self, place: usize) -> Cell<'_>;
}

/// Takes records as they are read. A face's encoder is one; nothing in between owns the values.
pub trait RecordSink: Send {
    /// Takes one record.
    fn record(&mut self, columns: &Columns, cells: &dyn Cells);

    /// Forgets everything taken so far: the read starts over.
    fn reset(&mut self);
}

/// A record with values of its own.
#[derive(Default)]
pub struct OwnedCells(pub Vec<OwnedCell>);

/// A cell with a value of its own.
pub enum OwnedCell {
    /// No value.
    Null,
    /// See [`Cell::Integer`].
    Integer(i64),
    /// A float.
    Float(f64),
    /// See [`Cell::Text`].
    Text(String),
    /// A related record.
    One(Box<dyn Cells>),
    /// Related records.
    Many(Vec<Box<dyn Cells>>),
}

impl Cells for OwnedCells {
    fn cell(&self, place: usize) -> Cell<'_> {
        match &self.0[place] {
            OwnedCell::Null => Cell::Null,
            OwnedCell::Integer(number) => Cell::Integer(*number),
            OwnedCell::Float(float) => Cell::Float(*float),
            OwnedCell::Text(text) => Cell::Text(text),
            OwnedCell::One(record) => Cell::One(&**record),
            OwnedCell::Many(records) => Cell::Many(records),
        }
    }
}

/// Writes a record as a JSON object: the one place where cells become JSON.
pub fn write_json_record(out: &mut Vec<u8>, columns: &Columns, cells: &dyn Cells) {
    out.push(b'{');
    let mut first = true;
    for (place, column) in columns.list.iter().enumerate() {
        if let ColumnKind::Undeclared(declared) = &column.kind {
            if let Cell::Text(text) = cells.cell(place) {
                crate::write_entries(out, text, declared, &mut first);
            }
            continue;
        }
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        write_json_text(out, &column.name);
        out.push(b':');
        write_json_cell(out, &column.kind, cells.cell(place));
    }
    out.push(b'}');
}

/// Writes a cell as JSON.
pub fn write_json_cell(out: &mut Vec<u8>, kind: &ColumnKind, cell: Cell<'_>) {
    use std::io::Write;
    let written = match (cell, kind) {
        (Cell::Null, _) => {
            out.extend_from_slice(b"null");
            Ok(())
        }
        (Cell::Integer(number), ColumnKind::Scalar(ty)) => match ty {
            FieldType::Boolean => {
                out.extend_from_slice(if number == 0 { b"false" } else { b"true" });
                Ok(())
            }
            FieldType::Decimal(scale) => write!(out, "\"{}\"", crate::decimal_text(number, *scale)),
            FieldType::Timestamp | FieldType::Datetime => {
                out.push(b'"');
                crate::write_datetime(out, number);
                out.extend_from_slice(if *ty == FieldType::Timestamp {
                    b"Z\""
                } else {
                    b"\""
                });
                Ok(())
            }
            _ => write!(out, "{number}"),
        },
        (Cell::Float(float), _) => write!(out, "{}", serde_json::Value::from(float)),
        (Cell::Text(text), ColumnKind::Scalar(FieldType::Json)) => {
            out.extend_from_slice(text.as_bytes());
            Ok(())
        }
        (Cell::Text(text), _) => {
            write_json_text(out, text);
            Ok(())
        }
        (Cell::One(record), ColumnKind::One(columns)) => {
            write_json_record(out, columns, record);
            Ok(())
        }
        (Cell::Many(records), ColumnKind::Many(columns)) => {
            out.push(b'[');
            for (place, record) in records.iter().enumerate() {
                if place > 0 {
                    out.push(b',');
                }
                write_json_record(out, columns, &**record);
            }
            out.push(b']');
            Ok(())
        }
        (Cell::Integer(number), _) => write!(out, "{number}"),
        (Cell::One(_) | Cell::Many(_), _) => {
            out.extend_from_slice(b"null");
            Ok(())
        }
    };
    // Writing into a Vec cannot fail.
    debug_assert!(written.is_ok());
}

/// Writes a JSON string.
pub fn write_json_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    let bytes = text.as_bytes();
    let mut clean_from = 0;
    for (place, byte) in bytes.iter().enumerate() {
        let escaped: &[u8] = match byte {
            b'"' => b"\\\"",
            b'\\' => b"\\\\",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            b'\t' => b"\\t",
            0..=0x1f => b"",
            _ => continue,
        };
        out.extend_from_slice(&bytes[clean_from..place]);
        if escaped.is_empty() {
            const HEX: &[u8; 16] = b"0123456789abcdef";
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
        } else {
            out.extend_from_slice(escaped);
        }
        clean_from = place + 1;
    }
    out.extend_from_slice(&bytes[clean_from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_text_round_trips() {
        for text in ["", "plain", "a\"b\\c\n\r\t\u{1}\u{1f}é😀", "\u{7f}"] {
            let mut out = Vec::new();
            write_json_text(&mut out, text);
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
