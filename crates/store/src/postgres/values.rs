//! Values in and out of the driver, in PostgreSQL's binary forms. A value is written as the type the server says the
//! parameter has, and read as the type it says the column has: existing tables have more types than we make.

use std::error::Error;

use bytes::{BufMut, BytesMut};
use portreeve_model::{FieldType, Value};
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type};

use crate::StoreError;
use crate::sql::binding::{Bound, bound};
use crate::sql::fragment::BoundSlot;
use crate::work::Parameter;

/// PostgreSQL counts microseconds from 2000-01-01.
const EPOCH: i64 = 946_684_800_000_000;

const DAY: i64 = 86_400 * portreeve_model::MICROS;

/// What it can hold: 4713 BC to 294276 AD, without the two infinities.
const FIRST: i64 = -211_813_488_000_000_000;
const LAST: i64 = 9_223_371_331_199_999_999;

type Failed = Box<dyn Error + Sync + Send>;

impl ToSql for Bound<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Integer(number) => integer(*number, ty, out)?,
            Self::Decimal(number, scale) => numeric(*number, *scale, out),
            Self::Float(float) => match *ty {
                #[expect(
                    clippy::cast_possible_truncation,
                    reason = "the column has no more digits"
                )]
                Type::FLOAT4 => out.put_f32(*float as f32),
                _ => out.put_f64(*float),
            },
            Self::Text(text) => return texts(text, ty, out),
            Self::List(values, of) => {
                let values: Vec<Bound<'_>> = values.iter().map(|value| bound(value, *of)).collect();
                return values.to_sql(ty, out);
            }
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
        match self {
            Self::Null => return Ok(IsNull::Yes),
            Self::Integer(number) => integer(*number, ty, out)?,
            Self::Text(text) => return texts(text, ty, out),
            Self::Bytes(bytes) => out.put_slice(bytes),
            Self::List(list) => return list.to_sql(ty, out),
        }
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    tokio_postgres::types::to_sql_checked!();
}

/// The type of a slot's parameter, the same that the statement's text casts it to.
pub(crate) fn slot_type(slot: &BoundSlot) -> Type {
    let (ty, list) = match slot {
        BoundSlot::Value(_, ty) | BoundSlot::Key(ty) | BoundSlot::Assigned(_, ty) => (*ty, false),
        BoundSlot::List(_, ty) | BoundSlot::Keys(ty) => (*ty, true),
        BoundSlot::Limit | BoundSlot::Offset => (FieldType::Integer, false),
    };
    let (one, many) = match ty {
        FieldType::Text => (Type::TEXT, Type::TEXT_ARRAY),
        FieldType::Json | FieldType::Overflow => (Type::JSON, Type::JSON_ARRAY),
        FieldType::Uuid => (Type::UUID, Type::UUID_ARRAY),
        FieldType::Float => (Type::FLOAT8, Type::FLOAT8_ARRAY),
        FieldType::Integer => (Type::INT8, Type::INT8_ARRAY),
        FieldType::Decimal(_) => (Type::NUMERIC, Type::NUMERIC_ARRAY),
        FieldType::Boolean => (Type::BOOL, Type::BOOL_ARRAY),
        FieldType::Timestamp => (Type::TIMESTAMPTZ, Type::TIMESTAMPTZ_ARRAY),
        FieldType::Datetime => (Type::TIMESTAMP, Type::TIMESTAMP_ARRAY),
    };
    if list { many } else { one }
}

fn integer(number: i64, ty: &Type, out: &mut BytesMut) -> Result<(), Failed> {
    match *ty {
        Type::BOOL => out.put_u8(u8::from(number != 0)),
        Type::INT2 => out.put_i16(i16::try_from(number)?),
        Type::INT4 => out.put_i32(i32::try_from(number)?),
        // What lies outside can be compared, and never stored.
        Type::TIMESTAMPTZ | Type::TIMESTAMP => {
            out.put_i64(number.saturating_sub(EPOCH).clamp(FIRST, LAST));
        }
        Type::NUMERIC => numeric(number, 0, out),
        _ => out.put_i64(number),
    }
    Ok(())
}

fn texts(text: &str, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Failed> {
    match *ty {
        // What is no UUID equals none.
        Type::UUID => match uuid::Uuid::parse_str(text) {
            Ok(uuid) => out.put_slice(uuid.as_bytes()),
            Err(_) => return Ok(IsNull::Yes),
        },
        Type::JSONB => {
            out.put_u8(1);
            out.put_slice(text.as_bytes());
        }
        _ => out.put_slice(text.as_bytes()),
    }
    Ok(IsNull::No)
}

// Groups of four decimal digits, the point between two groups.
fn numeric(number: i64, scale: u8, out: &mut BytesMut) {
    let whole = 10_u128.pow(u32::from(scale));
    let absolute = u128::from(number.unsigned_abs());
    let (integer, fraction) = (absolute / whole, absolute % whole);
    let padded = scale.div_ceil(4) * 4;
    let mut groups: Vec<i16> = vec![];
    let mut split = |mut rest: u128, count: Option<u8>| {
        let start = groups.len();
        let mut left = count.unwrap_or(u8::MAX);
        while left > 0 && (count.is_some() || rest > 0) {
            groups.push(i16::try_from(rest % 10_000).unwrap_or(0));
            rest /= 10_000;
            left -= 1;
        }
        groups[start..].reverse();
        groups.len() - start
    };
    let before = split(integer, None);
    split(
        fraction * 10_u128.pow(u32::from(padded - scale)),
        Some(padded / 4),
    );
    out.put_i16(i16::try_from(groups.len()).unwrap_or(0));
    out.put_i16(i16::try_from(before).unwrap_or(0) - 1);
    out.put_u16(if number < 0 { 0x4000 } else { 0 });
    out.put_u16(u16::from(scale));
    groups.iter().for_each(|group| out.put_i16(*group));
}

/// A column as it came, borrowed from the driver's buffers.
pub(crate) struct Raw<'a> {
    ty: Type,
    bytes: Option<&'a [u8]>,
}

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Failed> {
        Ok(Self {
            ty: ty.clone(),
            bytes: Some(raw),
        })
    }

    fn from_sql_null(ty: &Type) -> Result<Self, Failed> {
        Ok(Self {
            ty: ty.clone(),
            bytes: None,
        })
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

/// A value, borrowed where it can be.
#[derive(Debug, PartialEq)]
pub(crate) enum Scalar<'a> {
    Null,
    Integer(i64),
    Float(f64),
    Text(&'a str),
    Owned(String),
}

impl<'a> Raw<'a> {
    /// The value, as one of a field of this type.
    pub fn scalar(&self, field: Option<FieldType>) -> Result<Scalar<'a>, StoreError> {
        let Some(bytes) = self.bytes else {
            return Ok(Scalar::Null);
        };
        let scalar = match self.ty {
            Type::BOOL => Scalar::Integer(i64::from(fixed::<1>(bytes)? != [0])),
            Type::INT2 => Scalar::Integer(i16::from_be_bytes(fixed(bytes)?).into()),
            Type::INT4 => Scalar::Integer(i32::from_be_bytes(fixed(bytes)?).into()),
            Type::INT8 => Scalar::Integer(i64::from_be_bytes(fixed(bytes)?)),
            Type::OID => Scalar::Integer(u32::from_be_bytes(fixed(bytes)?).into()),
            Type::FLOAT4 => float(f32::from_be_bytes(fixed(bytes)?).into()),
            Type::FLOAT8 => float(f64::from_be_bytes(fixed(bytes)?)),
            Type::TIMESTAMPTZ | Type::TIMESTAMP => moment(i64::from_be_bytes(fixed(bytes)?)),
            Type::DATE => moment(i64::from(i32::from_be_bytes(fixed(bytes)?)).saturating_mul(DAY)),
            Type::NUMERIC => decimal(bytes, field)?,
            Type::UUID => {
                let uuid = uuid::Uuid::from_bytes(fixed(bytes)?);
                Scalar::Owned(uuid.hyphenated().to_string())
            }
            // PostgreSQL has respelt it; here it is in our own canonical form again.
            Type::JSONB => Scalar::Owned(canonical(text(bytes.get(1..).unwrap_or_default())?)?),
            Type::BYTEA => return Err(StoreError::Corrupt("a column holds bytes".into())),
            _ => Scalar::Text(text(bytes)?),
        };
        // A boolean that stands where a number is wanted is one, and the other way round: both are integers here.
        Ok(match (scalar, field) {
            (Scalar::Integer(number), Some(FieldType::Decimal(scale)))
                if self.ty != Type::NUMERIC =>
            {
                number
                    .checked_mul(10_i64.pow(u32::from(scale)))
                    .map_or(Scalar::Null, Scalar::Integer)
            }
            #[expect(clippy::cast_precision_loss, reason = "the field is a float")]
            (Scalar::Integer(number), Some(FieldType::Float)) => Scalar::Float(number as f64),
            (scalar, _) => scalar,
        })
    }

    /// The same as a value of its own; without a type of a field, as the column's own type says.
    pub fn value(&self, field: Option<FieldType>) -> Result<Value, StoreError> {
        let boolean = match field {
            Some(ty) => ty == FieldType::Boolean,
            None => self.ty == Type::BOOL,
        };
        Ok(match self.scalar(field)? {
            Scalar::Null => Value::Null,
            Scalar::Integer(number) if boolean => Value::Boolean(number != 0),
            Scalar::Integer(number) => Value::Integer(number),
            Scalar::Float(float) => Value::Float(float),
            Scalar::Text(text) => Value::Text(text.to_owned()),
            Scalar::Owned(text) => Value::Text(text),
        })
    }
}

fn fixed<const N: usize>(bytes: &[u8]) -> Result<[u8; N], StoreError> {
    bytes
        .try_into()
        .map_err(|_| StoreError::Corrupt("a column has another width than its type".into()))
}

fn text(bytes: &[u8]) -> Result<&str, StoreError> {
    std::str::from_utf8(bytes)
        .map_err(|_| StoreError::Corrupt("a column holds text that is not UTF-8".into()))
}

fn canonical(json: &str) -> Result<String, StoreError> {
    serde_json::from_str::<serde_json::Value>(json)
        .map(|json| json.to_string())
        .map_err(|_| StoreError::Corrupt("a column holds no JSON".into()))
}

// What no float or moment of ours is (NaN, infinities) is no value.
fn float(float: f64) -> Scalar<'static> {
    if float.is_finite() {
        Scalar::Float(float + 0.0)
    } else {
        Scalar::Null
    }
}

fn moment(micros: i64) -> Scalar<'static> {
    match micros {
        i64::MIN | i64::MAX => Scalar::Null,
        micros => Scalar::Integer(micros.saturating_add(EPOCH)),
    }
}

// To so many places as the field has; more are cut off, and what does not fit is no value.
fn decimal(bytes: &[u8], field: Option<FieldType>) -> Result<Scalar<'static>, StoreError> {
    let word = |place: usize| -> Result<i16, StoreError> {
        let bytes = bytes.get(place * 2..place * 2 + 2).unwrap_or_default();
        Ok(i16::from_be_bytes(fixed(bytes)?))
    };
    let (count, weight, sign, places) = (word(0)?, word(1)?, word(2)?, word(3)?);
    let negative = match sign {
        0 => false,
        0x4000 => true,
        _ => return Ok(Scalar::Null),
    };
    let scale = match field {
        Some(FieldType::Decimal(scale)) => i32::from(scale),
        Some(FieldType::Integer) => 0,
        _ => i32::from(places),
    };
    let mut number: i128 = 0;
    for place in 0..count {
        let group = word(4 + usize::try_from(place).unwrap_or(0))?;
        number = match number.checked_mul(10_000) {
            Some(number) => number + i128::from(group),
            None => return Ok(Scalar::Null),
        };
    }
    // The last group stands for so many powers of ten.
    let power = (i32::from(weight) - i32::from(count) + 1) * 4 + scale;
    let by = 10_i128.checked_pow(power.unsigned_abs());
    let number = match (by, power >= 0) {
        (Some(by), true) => number.checked_mul(by),
        (Some(by), false) => Some(number / by),
        (None, true) => (number == 0).then_some(0),
        (None, false) => Some(0),
    };
    let number = number.map(|number| if negative { -number } else { number });
    Ok(number
        .and_then(|number| i64::try_from(number).ok())
        .map_or(Scalar::Null, Scalar::Integer))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_decimal_comes_back_as_it_went(number in any::<i64>(), scale in 0_u8..=18) {
            let mut out = BytesMut::new();
            numeric(number, scale, &mut out);
            let back = decimal(&out, Some(FieldType::Decimal(scale))).expect("a number");
            prop_assert_eq!(back, Scalar::Integer(number));
            let untyped = decimal(&out, None).expect("a number");
            prop_assert_eq!(untyped, Scalar::Integer(number));
        }
    }

    #[test]
    fn moments_outside_are_put_at_the_ends() {
        for (number, stored) in [
            (i64::MIN, FIRST),
            (i64::MAX, i64::MAX - EPOCH),
            (0, -EPOCH),
            (EPOCH, 0),
        ] {
            let mut out = BytesMut::new();
            integer(number, &Type::TIMESTAMPTZ, &mut out).expect("a moment");
            assert_eq!(i64::from_be_bytes(fixed(&out).expect("8 bytes")), stored);
        }
    }
}
