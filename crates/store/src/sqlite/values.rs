//! Values in and out of the driver, bound by the column's type.

use std::borrow::Cow;

use portreeve_model::{FieldId, FieldType, Slot, Value};
use portreeve_policy::{Context, Record};
use rusqlite::Statement;
use rusqlite::types::{ToSql, ToSqlOutput, ValueRef};

use crate::StoreError;
use crate::sql::fragment::BoundSlot;
use crate::sqlite::failure;

/// A value on its way into a statement, borrowed where it can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bound<'a> {
    Null,
    Integer(i64),
    Float(f64),
    Text(Cow<'a, str>),
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(*number),
            Self::Float(float) => ValueRef::Real(*float),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

/// A value of the type its column has. One of another type is null: a comparison with it is unknown, as in memory.
pub(crate) fn bound(value: &Value, ty: FieldType) -> Bound<'_> {
    match (value, ty) {
        (Value::Text(text), FieldType::Text | FieldType::Json | FieldType::Uuid) => {
            Bound::Text(Cow::Borrowed(text.as_str()))
        }
        (Value::Boolean(bool), FieldType::Boolean) => Bound::Integer(i64::from(*bool)),
        // Minus zero is zero.
        (Value::Float(float), FieldType::Float) => Bound::Float(*float + 0.0),
        (
            Value::Integer(number),
            FieldType::Integer | FieldType::Decimal(_) | FieldType::Timestamp | FieldType::Datetime,
        ) => Bound::Integer(*number),
        _ => Bound::Null,
    }
}

/// What a statement's slots stand for in one execution.
#[derive(Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub context: &'a Context,
    pub caller: &'a [Value],
    pub old: Option<&'a Record>,
    pub assigned: &'a [(FieldId, Value)],
    pub key: Option<&'a Value>,
    pub keys: Option<&'a str>,
    pub limit: i64,
    pub offset: i64,
}

impl<'a> Binding<'a> {
    pub fn new(context: &'a Context) -> Self {
        Self {
            context,
            caller: &[],
            old: None,
            assigned: &[],
            key: None,
            keys: None,
            limit: 0,
            offset: 0,
        }
    }

    /// What a slot stands for.
    pub fn of(&self, slot: &'a BoundSlot) -> Bound<'a> {
        match slot {
            BoundSlot::Value(slot, ty) => self.value(slot, *ty),
            BoundSlot::List(slot, ty) => match self.context.list(slot, *ty) {
                Some(list) => Bound::Text(Cow::Owned(json_list(list.iter()))),
                None => Bound::Null,
            },
            BoundSlot::Key => self.key.map_or(Bound::Null, any),
            BoundSlot::Keys => self
                .keys
                .map_or(Bound::Null, |keys| Bound::Text(Cow::Borrowed(keys))),
            BoundSlot::Limit => Bound::Integer(self.limit),
            BoundSlot::Offset => Bound::Integer(self.offset),
            BoundSlot::Assigned(field) => self
                .assigned
                .iter()
                .find(|(assigned, _)| assigned == field)
                .map_or(Bound::Null, |(_, value)| any(value)),
        }
    }

    fn value(&self, slot: &'a Slot, ty: FieldType) -> Bound<'a> {
        match slot {
            Slot::Literal(value) => bound(value, ty),
            Slot::Caller(index) => self
                .caller
                .get(*index)
                .map_or(Bound::Null, |value| bound(value, ty)),
            Slot::Old(field) => self
                .old
                .map_or(Bound::Null, |old| bound(old.get(*field), ty)),
            Slot::User(name) => self
                .context
                .user
                .as_ref()
                .and_then(|user| user.get(name))
                .map_or(Bound::Null, |value| bound(value, ty)),
            other => match bound(&self.context.slot(other, ty), ty) {
                Bound::Text(text) => Bound::Text(Cow::Owned(text.into_owned())),
                Bound::Integer(number) => Bound::Integer(number),
                Bound::Float(float) => Bound::Float(float),
                Bound::Null => Bound::Null,
            },
        }
    }
}

/// A value whose column it was made for.
pub(crate) fn any(value: &Value) -> Bound<'_> {
    match value {
        Value::Null => Bound::Null,
        Value::Boolean(bool) => Bound::Integer(i64::from(*bool)),
        Value::Integer(number) => Bound::Integer(*number),
        Value::Float(float) => Bound::Float(*float + 0.0),
        Value::Text(text) => Bound::Text(Cow::Borrowed(text)),
    }
}

/// Values as a JSON list, as `json_each` reads it back: booleans as 0 and 1.
pub(crate) fn json_list<'v>(values: impl Iterator<Item = &'v Value>) -> String {
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
