//! Tables that were there before: what they are called in their database, and how their records are named.

use crate::{Collection, Field, FieldId, FieldType, Value, ValueError};

/// The table of a collection that was there before: it is read and written under rules, and never changed itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingTable {
    /// The schema it is in; `None` where the database has none.
    pub schema: Option<String>,
    /// Its name, exactly as the database has it.
    pub table: String,
    /// What names a record of it.
    pub key: ExistingKey,
}

/// What names a record of an existing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExistingKey {
    /// One column: the collection's key.
    Column,
    /// Several columns. The collection's key is no column but made of them: a JSON array of their values, as
    /// [`Collection::compose_key`] writes it.
    Columns(Vec<FieldId>),
    /// Nothing does: a table without a key, or a view. Its records can be listed and nothing else; the collection's
    /// key is always null.
    Missing,
}

/// A column of an existing table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExistingColumn {
    /// Its name, exactly as the database has it.
    pub column: String,
    /// Its type, as the database declares it: `NUMERIC(10,2)`, `character varying(160)`.
    pub declared: String,
    /// The database computes it: it cannot be written.
    pub generated: bool,
    /// The database gives it a value where none is sent: a default, an identity.
    pub filled: bool,
    /// What of its type it takes, where that is not everything.
    pub limit: Option<ColumnLimit>,
}

/// What of a type's values a column takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ColumnLimit {
    /// Texts of so many characters, not counting spaces at the end.
    Characters(usize),
    /// Numbers from here to there, as they are held: decimals without the point.
    Between(i64, i64),
    /// Floats of single precision.
    Single,
    /// One of these texts.
    OneOf(Vec<String>),
}

impl ColumnLimit {
    /// Whether a value of the type is among them.
    pub fn check(&self, value: &Value, ty: FieldType) -> Result<(), ValueError> {
        let wanted = match (self, value) {
            (Self::Characters(most), Value::Text(text)) => {
                let too_long = text.chars().skip(*most).any(|char| char != ' ');
                too_long.then(|| format!("is longer than {most} characters"))
            }
            (Self::Between(least, most), Value::Integer(number)) => {
                let shown = |number: i64| match Value::Integer(number).to_json(ty) {
                    serde_json::Value::String(text) => text,
                    other => other.to_string(),
                };
                let outside = !(*least..=*most).contains(number);
                outside.then(|| format!("is not between {} and {}", shown(*least), shown(*most)))
            }
            (Self::Single, Value::Float(float)) => {
                #[expect(clippy::cast_possible_truncation, reason = "it is what is asked")]
                let single = *float as f32;
                let lost = !single.is_finite() || (single == 0.0 && *float != 0.0);
                lost.then(|| "is no number of single precision".to_owned())
            }
            (Self::OneOf(names), Value::Text(text)) => {
                let shown = || format!("is none of {}", some_of(names));
                (!names.contains(text)).then(shown)
            }
            _ => None,
        };
        wanted.map_or(Ok(()), |message| Err(ValueError(message)))
    }
}

// An error names no hundred of them.
fn some_of(names: &[String]) -> String {
    const NAMED: usize = 12;
    let mut shown: Vec<String> = names
        .iter()
        .take(NAMED)
        .map(|name| format!("'{name}'"))
        .collect();
    if names.len() > NAMED {
        shown.push(format!("{} more", names.len() - NAMED));
    }
    shown.join(", ")
}

impl Field {
    /// Whether the column takes a value of the field's type.
    pub fn check(&self, value: &Value) -> Result<(), ValueError> {
        let existing = self.existing.as_ref();
        match existing.and_then(|column| column.limit.as_ref()) {
            Some(limit) => limit.check(value, self.ty),
            None => Ok(()),
        }
    }

    /// Whether the database gives it a value where none is sent.
    pub fn is_filled(&self) -> bool {
        let existing = self.existing.as_ref();
        existing.is_some_and(|column| column.filled || column.generated)
    }
}

impl Collection {
    /// Whether no record of it can be named: it can be listed and nothing else.
    pub fn is_list_only(&self) -> bool {
        matches!(&self.existing, Some(table) if table.key == ExistingKey::Missing)
    }

    /// Whether its records are written by no operation on records: the product's own, by typed operations only, and
    /// what has no key, not at all.
    pub fn is_sealed(&self) -> bool {
        self.system || self.is_list_only()
    }

    /// The columns the key is made of, where it is no column itself.
    pub fn key_parts(&self) -> Option<&[FieldId]> {
        match &self.existing {
            Some(ExistingTable {
                key: ExistingKey::Columns(parts),
                ..
            }) => Some(parts),
            _ => None,
        }
    }

    /// Whether a field is a column of the table: all are, but a key that is made of others or missing.
    pub fn is_column(&self, field: FieldId) -> bool {
        field != self.key || !(self.is_list_only() || self.key_parts().is_some())
    }

    /// Whether a field names the record: the key, or a part of it.
    pub fn names_record(&self, field: FieldId) -> bool {
        field == self.key || self.key_parts().is_some_and(|parts| parts.contains(&field))
    }

    /// Whether a field can be written at all: it is a column, the database does not compute it, and the store does not
    /// keep it.
    pub fn is_writable(&self, field: FieldId) -> bool {
        self.unwritable(field).is_none()
    }

    /// Why nobody can write a field.
    pub fn unwritable(&self, field: FieldId) -> Option<&'static str> {
        let declared = self.field(field);
        let generated = declared
            .existing
            .as_ref()
            .is_some_and(|column| column.generated);
        if declared.kept.is_some() {
            Some("is kept by the system and cannot be written; leave it out")
        } else if generated || !self.is_column(field) {
            Some("is made by the database and cannot be written")
        } else {
            None
        }
    }

    /// Reads the text of a URL or a command line as a key of this collection.
    pub fn parse_key(&self, text: &str) -> Result<Value, ValueError> {
        if self.is_list_only() {
            return Err(ValueError(format!(
                "'{}' has no key, so its records can only be listed",
                self.name
            )));
        }
        let Some(parts) = self.key_parts() else {
            return Value::from_text(self.key_field().ty, text);
        };
        self.key_values(parts, text)
            .map(|values| compose(values.iter()))
            .ok_or_else(|| {
                ValueError(format!(
                    "a key of '{}' is a JSON array of {}",
                    self.name,
                    self.part_names(parts)
                ))
            })
    }

    /// The values of the columns a key is made of, in their order; `None` where it is no such key.
    pub fn split_key(&self, key: &Value) -> Option<Vec<Value>> {
        match key {
            Value::Text(text) => self.key_values(self.key_parts()?, text),
            _ => None,
        }
    }

    /// The key that is made of a record's values: null where one of them is.
    pub fn compose_key<'v>(&self, parts: impl Iterator<Item = &'v Value> + Clone) -> Value {
        if parts.clone().any(Value::is_null) {
            Value::Null
        } else {
            compose(parts)
        }
    }

    fn key_values(&self, parts: &[FieldId], text: &str) -> Option<Vec<Value>> {
        let items: Vec<serde_json::Value> = serde_json::from_str(text).ok()?;
        if items.len() != parts.len() {
            return None;
        }
        items
            .iter()
            .zip(parts)
            .map(|(item, part)| part_value(self.field(*part).ty, item))
            .collect()
    }

    fn part_names(&self, parts: &[FieldId]) -> String {
        let names: Vec<&str> = parts.iter().map(|part| &*self.field(*part).name).collect();
        names.join(" and ")
    }
}

// As it stands in a key: texts as texts, everything else as the number it is held as.
fn part_value(ty: FieldType, item: &serde_json::Value) -> Option<Value> {
    use serde_json::Value as J;
    match (ty, item) {
        (FieldType::Text | FieldType::Uuid, J::String(_)) => Value::from_json(ty, item).ok(),
        (FieldType::Boolean, J::Number(number)) => match number.as_i64()? {
            0 => Some(Value::Boolean(false)),
            1 => Some(Value::Boolean(true)),
            _ => None,
        },
        (
            FieldType::Integer | FieldType::Decimal(_) | FieldType::Timestamp | FieldType::Datetime,
            J::Number(number),
        ) => number.as_i64().map(Value::Integer),
        _ => None,
    }
}

fn compose<'v>(parts: impl Iterator<Item = &'v Value>) -> Value {
    let mut out = Vec::from(*b"[");
    for part in parts {
        if out.len() > 1 {
            out.push(b',');
        }
        match part {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Boolean(bool) => out.push(if *bool { b'1' } else { b'0' }),
            Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Float(float) => out.extend_from_slice(float.to_string().as_bytes()),
            Value::Text(text) => crate::write_json_text(&mut out, text),
        }
    }
    out.push(b']');
    Value::Text(String::from_utf8(out).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{CollectionId, CollectionName, KeySource};

    fn field(name: &str, ty: FieldType) -> Field {
        Field {
            name: Arc::from(name),
            ty,
            nullable: false,
            unique: false,
            default: None,
            relation: None,
            self_writable: false,
            kept: None,
            existing: None,
        }
    }

    fn collection(key: ExistingKey) -> Collection {
        Collection {
            id: CollectionId(0),
            name: CollectionName::main("line"),
            table: "line".into(),
            system: false,
            key: FieldId(0),
            key_source: KeySource::Given,
            fields: vec![
                field("_key", FieldType::Text),
                field("order", FieldType::Integer),
                field("code", FieldType::Text),
            ],
            relations: vec![],
            indexes: vec![],
            existing: Some(ExistingTable {
                schema: None,
                table: "Line".into(),
                key,
            }),
        }
    }

    #[test]
    fn a_key_of_several_columns_is_read_as_it_is_written() {
        let line = collection(ExistingKey::Columns(vec![FieldId(1), FieldId(2)]));
        let parts = [Value::Integer(7), Value::from("a\"/b")];
        let key = line.compose_key(parts.iter());
        assert_eq!(key, Value::from("[7,\"a\\\"/b\"]"));
        assert_eq!(line.split_key(&key).as_deref(), Some(&parts[..]));
        assert_eq!(line.parse_key(" [ 7 , \"a\\\"\\/b\" ] "), Ok(key));
        assert_eq!(
            line.compose_key([Value::Integer(7), Value::Null].iter()),
            Value::Null
        );
        for wrong in [
            "7",
            "[7]",
            "[\"7\",\"a\"]",
            "[7,\"a\",1]",
            "[7.5,\"a\"]",
            "[7,\"a\"",
            "{}",
            "",
        ] {
            let error = line.parse_key(wrong).expect_err(wrong);
            assert_eq!(error.0, "a key of 'line' is a JSON array of order and code");
        }
        assert!(line.names_record(FieldId(2)) && !line.is_writable(FieldId(0)));
    }

    #[test]
    fn what_a_column_does_not_take_is_said() {
        let texts = |limit: ColumnLimit, text: &str| limit.check(&text.into(), FieldType::Text);
        let long = || ColumnLimit::Characters(3);
        assert_eq!(texts(long(), "\u{e9}\u{e9}\u{e9}  "), Ok(()));
        let said = texts(long(), "abcd").expect_err("too long");
        assert_eq!(said.0, "is longer than 3 characters");
        let moods = || ColumnLimit::OneOf(vec!["calm".into(), "loud".into()]);
        assert_eq!(texts(moods(), "calm"), Ok(()));
        let said = texts(moods(), "Calm").expect_err("none of them");
        assert_eq!(said.0, "is none of 'calm', 'loud'");
        let prices = ColumnLimit::Between(-99_999, 99_999);
        let price = |number: i64| prices.check(&Value::Integer(number), FieldType::Decimal(2));
        assert_eq!((price(99_999), price(-99_999)), (Ok(()), Ok(())));
        let said = price(100_000).expect_err("too large");
        assert_eq!(said.0, "is not between -999.99 and 999.99");
        let single = |float| ColumnLimit::Single.check(&Value::Float(float), FieldType::Float);
        assert_eq!(
            (single(0.1), single(0.0), single(-3e38)),
            (Ok(()), Ok(()), Ok(()))
        );
        assert!(single(1e39).is_err() && single(1e-60).is_err());
        assert_eq!(long().check(&Value::Null, FieldType::Text), Ok(()));
    }

    #[test]
    fn without_a_key_no_record_can_be_named() {
        let line = collection(ExistingKey::Missing);
        assert!(line.is_list_only() && !line.is_column(FieldId(0)));
        assert!(line.parse_key("[7,\"a\"]").is_err());
    }
}
