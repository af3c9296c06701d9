//! Values in and out of the driver, bound by the column's type.

use portreeve_model::{FieldType, Value};
use rusqlite::Statement;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::StoreError;
use crate::sql::binding::{Binding, Bound};
use crate::sql::fragment::BoundSlot;
use crate::sqlite::failure;

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) | Self::Decimal(number, _) => {
                ToSqlOutput::Borrowed(ValueRef::Integer(*number))
            }
            Self::Float(float) => ToSqlOutput::Borrowed(ValueRef::Real(*float)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::List(values, _) => ToSqlOutput::from(json_list(values.iter())),
        })
    }
}

/// Values as a JSON list, as `json_each` reads it back: booleans as 0 and 1.
fn json_list<'v>(values: impl Iterator<Item = &'v Value>) -> String {
    let mut out = Vec::from(*b"[");
    for value in values {
        if out.len() > 1 {
            out.push(b',');
        }
        match value {
            Value::Null => out.extend_from_slice(b"null"),
            Value::Boolean(bool) => out.push(if *bool { b'1' } else { b'0' }),
            Value::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            Value::Float(float) => {
                out.extend_from_slice(serde_json::Value::from(*float + 0.0).to_string().as_bytes())
            }
            Value::Text(text) => portreeve_model::write_json_text(&mut out, text),
        }
    }
    out.push(b']');
    String::from_utf8(out).unwrap_or_default()
}

/// Binds all slots of a statement.
pub(crate) fn bind(
    statement: &mut Statement<'_>,
    slots: &[BoundSlot],
    binding: &Binding<'_>,
) -> Result<(), StoreError> {
    // A condition that was folded away may leave slots that the text does not use.
    let used = statement.parameter_count();
    for (place, slot) in slots.iter().take(used).enumerate() {
        statement
            .raw_bind_parameter(place + 1, binding.of(slot))
            .map_err(failure)?;
    }
    Ok(())
}

/// A result column as a value of its type.
pub(crate) fn value(column: ValueRef<'_>, ty: FieldType) -> Result<Value, StoreError> {
    Ok(match (column, ty) {
        (ValueRef::Null, _) => Value::Null,
        (ValueRef::Integer(number), FieldType::Boolean) => Value::Boolean(number != 0),
        (ValueRef::Integer(number), _) => Value::Integer(number),
        (ValueRef::Real(float), _) => Value::Float(float),
        (ValueRef::Text(text), _) => Value::Text(self::text(text)?.to_owned()),
        (ValueRef::Blob(_), _) => return Err(StoreError::Corrupt("a column holds bytes".into())),
    })
}

/// The text of a column.
pub(crate) fn text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes)
        .map_err(|_| StoreError::Corrupt("a column holds text that is not UTF-8".into()))
}

/// Texts as a JSON list.
pub(crate) fn json_texts(texts: &[&str]) -> String {
    serde_json::Value::from(texts.to_vec()).to_string()
}
