//! What the slots of a statement stand for in one execution, in the form both drivers bind.

use std::borrow::Cow;

use portreeve_model::{FieldId, FieldType, Slot, Value, is_uuid};
use portreeve_policy::{Context, Record};

use super::fragment::BoundSlot;

/// A value on its way into a statement, borrowed where it can be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Bound<'a> {
    Null,
    /// An integer, a boolean (0, 1), a timestamp or a datetime (microseconds since 1970).
    Integer(i64),
    /// A decimal, scaled by so many places.
    Decimal(i64, u8),
    Float(f64),
    Text(Cow<'a, str>),
    /// Values of one type.
    List(Cow<'a, [Value]>, FieldType),
}

/// A value of the type its column has. One of another type is null: a comparison with it is unknown, as in memory.
pub(crate) fn bound(value: &Value, ty: FieldType) -> Bound<'_> {
    match (value, ty) {
        (Value::Text(text), FieldType::Uuid) if !is_uuid(text) => Bound::Null,
        (
            Value::Text(text),
            FieldType::Text | FieldType::Json | FieldType::Uuid | FieldType::Overflow,
        ) => Bound::Text(Cow::Borrowed(text.as_str())),
        (Value::Boolean(bool), FieldType::Boolean) => Bound::Integer(i64::from(*bool)),
        // Minus zero is zero.
        (Value::Float(float), FieldType::Float) => Bound::Float(*float + 0.0),
        (Value::Integer(number), FieldType::Decimal(scale)) => Bound::Decimal(*number, scale),
        (
            Value::Integer(number),
            FieldType::Integer | FieldType::Timestamp | FieldType::Datetime,
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
    pub keys: &'a [Value],
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
            keys: &[],
            limit: 0,
            offset: 0,
        }
    }

    /// What a slot stands for.
    pub fn of(&self, slot: &'a BoundSlot) -> Bound<'a> {
        match slot {
            BoundSlot::Value(slot, ty) => self.value(slot, *ty),
            BoundSlot::List(slot, ty) => match self.context.list(slot, *ty) {
                Some(list) => Bound::List(Cow::Owned(list), *ty),
                None => Bound::Null,
            },
            BoundSlot::Key(ty) => self.key.map_or(Bound::Null, |key| bound(key, *ty)),
            BoundSlot::Keys(ty) => Bound::List(Cow::Borrowed(self.keys), *ty),
            BoundSlot::Limit => Bound::Integer(self.limit),
            BoundSlot::Offset => Bound::Integer(self.offset),
            BoundSlot::Assigned(field, ty) => self
                .assigned
                .iter()
                .find(|(assigned, _)| assigned == field)
                .map_or(Bound::Null, |(_, value)| bound(value, *ty)),
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
                Bound::Decimal(number, scale) => Bound::Decimal(number, scale),
                Bound::Float(float) => Bound::Float(float),
                Bound::Null | Bound::List(..) => Bound::Null,
            },
        }
    }
}
