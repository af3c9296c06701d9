//! Entity tags: a name for what a caller sees of a record, so that he can say "if it is still so".

use sha2::{Digest, Sha256};

use crate::{Column, Columns, OwnedCell, OwnedCells, Value};

/// The hash of a record exactly as one caller reads it: what is hidden from him is not in it, so that a change of that
/// does not show.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EntityTag([u8; 16]);

impl EntityTag {
    /// The tag of a record as [`crate::write_json_record`] has written it.
    pub fn of_json(record: &[u8]) -> Self {
        let mut tag = [0; 16];
        tag.copy_from_slice(&Sha256::digest(record)[..16]);
        Self(tag)
    }

    /// The tag of the record that has these fields, as [`Self::of_json`] makes it of the same record when it is read.
    pub fn of_fields<'v>(fields: impl Iterator<Item = (Column, &'v Value)>) -> Self {
        let (mut list, mut cells) = (vec![], vec![]);
        for (column, value) in fields {
            list.push(column);
            cells.push(match value {
                Value::Null => OwnedCell::Null,
                Value::Boolean(bool) => OwnedCell::Integer(i64::from(*bool)),
                Value::Integer(number) => OwnedCell::Integer(*number),
                Value::Float(float) => OwnedCell::Float(*float),
                Value::Text(text) => OwnedCell::Text(text.clone()),
            });
        }
        let mut json = vec![];
        crate::write_json_record(&mut json, &Columns { list }, &OwnedCells(cells));
        Self::of_json(&json)
    }

    /// The tag as it stands in a header, without the quotes: 32 hexadecimal digits.
    pub fn text(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Reads [`Self::text`]. What is no tag of ours names no state of a record.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 32 {
            return None;
        }
        let digit = |byte: u8| match byte {
            b'0'..=b'9' => Some(byte - b'0'),
            b'a'..=b'f' => Some(byte - b'a' + 10),
            _ => None,
        };
        let mut tag = [0; 16];
        for (place, pair) in digits.chunks_exact(2).enumerate() {
            tag[place] = digit(pair[0])? << 4 | digit(pair[1])?;
        }
        Some(Self(tag))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{ColumnKind, FieldType};

    #[test]
    fn a_record_that_was_read_has_the_tag_of_its_fields() {
        let fields = [
            ("id", FieldType::Integer, Value::Integer(7)),
            ("rate", FieldType::Decimal(2), Value::Integer(150)),
            ("open", FieldType::Boolean, Value::Boolean(true)),
            ("weight", FieldType::Float, Value::Float(0.5)),
            ("at", FieldType::Timestamp, Value::Integer(0)),
            ("note", FieldType::Text, Value::from("a\"b")),
            ("extra", FieldType::Json, Value::from("{\"a\":1}")),
            ("none", FieldType::Text, Value::Null),
            (
                "_overflow",
                FieldType::Overflow,
                Value::from("{\"at\":1,\"colour\":\"red\"}"),
            ),
        ];
        let json = br#"{"id":7,"rate":"1.50","open":true,"weight":0.5,"at":"1970-01-01T00:00:00Z","note":"a\"b","extra":{"a":1},"none":null,"colour":"red"}"#;
        let of = |fields: &[(&str, FieldType, Value)]| {
            let fields = fields.iter().map(|(name, ty, value)| {
                let kind = match ty {
                    FieldType::Overflow => ColumnKind::Undeclared([Arc::from("at")].into()),
                    ty => ColumnKind::Scalar(*ty),
                };
                let name = (*name).into();
                (Column { name, kind }, value)
            });
            EntityTag::of_fields(fields)
        };
        assert_eq!(of(&fields), EntityTag::of_json(json));
        assert_ne!(of(&fields), of(&fields[1..]));
        let tag = of(&fields);
        assert_eq!(EntityTag::parse(&tag.text()), Some(tag));
        for wrong in [
            "",
            "*",
            "0",
            &"g".repeat(32),
            &"A".repeat(32),
            &"é".repeat(16),
        ] {
            assert_eq!(EntityTag::parse(wrong), None, "{wrong}");
        }
    }
}
