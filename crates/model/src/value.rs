//! Values and their types: what a field can hold, read from and written to JSON.

use std::fmt;
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Serialize};

/// Microseconds in a second.
pub const MICROS: i64 = 1_000_000;

// 0001-01-01T00:00:00Z to the end of 9998: both databases and all date functions cover this range.
const MIN_MICROS: i64 = -62_135_596_800 * MICROS;
const MAX_MICROS: i64 = 253_370_764_800 * MICROS - 1;

/// The type of a field. What it means is the same in memory, on SQLite and on PostgreSQL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldType {
    /// Unicode text without NUL, compared by code point.
    Text,
    /// A signed 64-bit integer.
    Integer,
    /// An exact number with this many decimal places; at most 18 digits in all.
    Decimal(u8),
    /// A finite 64-bit float; -0 is 0.
    Float,
    /// True or false.
    Boolean,
    /// A moment in UTC, to the microsecond.
    Timestamp,
    /// A date and time of day without a zone, to the microsecond.
    Datetime,
    /// Any JSON, kept in a canonical form; no paths into it in rules.
    Json,
    /// A UUID, kept as lower-case text with dashes.
    Uuid,
    /// The undeclared fields of a record, as a canonical JSON object; null where it has none. No declared field has
    /// this type.
    Overflow,
}

impl FieldType {
    /// The name used in documents: `text`, `decimal(2)`, …
    pub fn name(self) -> String {
        match self {
            Self::Text => "text".into(),
            Self::Integer => "integer".into(),
            Self::Decimal(scale) => format!("decimal({scale})"),
            Self::Float => "float".into(),
            Self::Boolean => "boolean".into(),
            Self::Timestamp => "timestamp".into(),
            Self::Datetime => "datetime".into(),
            Self::Json => "json".into(),
            Self::Uuid => "uuid".into(),
            Self::Overflow => "overflow".into(),
        }
    }

    /// The names a document may use, for error messages.
    pub const NAMES: [&'static str; 9] = [
        "text",
        "integer",
        "decimal(2)",
        "float",
        "boolean",
        "timestamp",
        "datetime",
        "json",
        "uuid",
    ];

    /// Reads a type's name.
    pub fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "text" => Self::Text,
            "integer" => Self::Integer,
            "float" => Self::Float,
            "boolean" => Self::Boolean,
            "timestamp" => Self::Timestamp,
            "datetime" => Self::Datetime,
            "json" => Self::Json,
            "uuid" => Self::Uuid,
            _ => {
                let scale: u8 = text
                    .strip_prefix("decimal(")?
                    .strip_suffix(')')?
                    .trim()
                    .parse()
                    .ok()?;
                (scale <= 18).then_some(Self::Decimal(scale))?
            }
        })
    }

    /// Whether `<` and its kin, sorting and `between` are defined.
    pub fn is_ordered(self) -> bool {
        !matches!(self, Self::Json | Self::Boolean | Self::Overflow)
    }

    /// Whether `contains` and its kin are defined.
    pub fn is_text(self) -> bool {
        matches!(self, Self::Text)
    }
}

impl fmt::Display for FieldType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// A value of some [`FieldType`], or null. Decimals and times are integers whose meaning the field's type gives.
#[derive(Clone, Debug)]
pub enum Value {
    /// No value.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An integer; also a decimal (scaled), a timestamp or a datetime (microseconds).
    Integer(i64),
    /// A finite float.
    Float(f64),
    /// Text; also a UUID (canonical) and JSON (canonical).
    Text(String),
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Integer(a), Self::Integer(b)) => a == b,
            (Self::Float(a), Self::Float(b)) => a == b,
            (Self::Text(a), Self::Text(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Value {}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        std::mem::discriminant(self).hash(state);
        match self {
            Self::Null => {}
            Self::Boolean(b) => b.hash(state),
            Self::Integer(i) => i.hash(state),
            Self::Float(f) => f.to_bits().hash(state),
            Self::Text(t) => t.hash(state),
        }
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

/// Why a value does not fit a type. The text names the value and what would fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueError(pub String);

impl fmt::Display for ValueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ValueError {}

fn shown(value: &serde_json::Value) -> String {
    let mut text = value.to_string();
    if text.len() > 60 {
        let cut = (0..=57)
            .rev()
            .find(|i| text.is_char_boundary(*i))
            .unwrap_or(0);
        text.truncate(cut);
        text.push('…');
    }
    text
}

fn misfit<T>(ty: FieldType, value: &serde_json::Value, hint: &str) -> Result<T, ValueError> {
    let article = if ty == FieldType::Integer { "an" } else { "a" };
    Err(ValueError(format!(
        "{} is not {article} {ty}{hint}",
        shown(value)
    )))
}

impl Value {
    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    /// The text, where this is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The integer, where this is one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            Self::Integer(number) => Some(*number),
            _ => None,
        }
    }

    /// Reads a JSON value as a value of `ty`. Null fits every type here; whether a field may be null is the field's.
    pub fn from_json(ty: FieldType, json: &serde_json::Value) -> Result<Self, ValueError> {
        use serde_json::Value as J;
        if json.is_null() {
            return Ok(Self::Null);
        }
        match (ty, json) {
            (FieldType::Text, J::String(text)) => {
                check_text(text)?;
                Ok(Self::Text(text.clone()))
            }
            (FieldType::Integer, J::Number(number)) => match number.as_i64() {
                Some(number) => Ok(Self::Integer(number)),
                None => misfit(
                    ty,
                    json,
                    ", a whole number from -9223372036854775808 to 9223372036854775807",
                ),
            },
            (FieldType::Decimal(scale), J::Number(number)) => {
                decimal(&number.to_string(), scale).map(Self::Integer)
            }
            (FieldType::Decimal(scale), J::String(text)) => decimal(text, scale).map(Self::Integer),
            (FieldType::Float, J::Number(number)) => {
                match number.as_f64().filter(|f| f.is_finite()) {
                    Some(float) => Ok(Self::Float(float + 0.0)),
                    None => misfit(ty, json, ", a finite number"),
                }
            }
            (FieldType::Boolean, J::Bool(bool)) => Ok(Self::Boolean(*bool)),
            (FieldType::Timestamp, J::String(text)) => timestamp(text).map(Self::Integer),
            (FieldType::Datetime, J::String(text)) => datetime(text).map(Self::Integer),
            (FieldType::Json, any) => {
                let mut text = String::new();
                canonical_json(any, &mut text)?;
                Ok(Self::Text(text))
            }
            (FieldType::Uuid, J::String(text)) => match uuid::Uuid::try_parse(text) {
                Ok(uuid) => Ok(Self::Text(uuid.hyphenated().to_string())),
                Err(_) => misfit(ty, json, ""),
            },
            (FieldType::Overflow, J::Object(map)) => {
                let entries = map.iter().map(|(name, json)| (name.as_str(), json));
                crate::read_entries(entries)
                    .map_err(|(name, error)| ValueError(format!("'{name}' {error}")))
            }
            (FieldType::Timestamp, _) => misfit(ty, json, ", such as \"2026-11-22T10:00:00Z\""),
            (FieldType::Datetime, _) => misfit(ty, json, ", such as \"2026-11-22T10:00:00\""),
            (ty, json) => misfit(ty, json, ""),
        }
    }

    /// Reads the text of a URL, a command line or a rule's literal as a value of `ty`.
    pub fn from_text(ty: FieldType, text: &str) -> Result<Self, ValueError> {
        let string = serde_json::Value::String(text.into());
        match ty {
            FieldType::Integer => match text.parse() {
                Ok(number) => Ok(Self::Integer(number)),
                Err(_) => misfit(ty, &string, ""),
            },
            FieldType::Float => match text.parse::<f64>().ok().filter(|f| f.is_finite()) {
                Some(float) => Ok(Self::Float(float + 0.0)),
                None => misfit(ty, &string, ""),
            },
            FieldType::Boolean => match text {
                "true" => Ok(Self::Boolean(true)),
                "false" => Ok(Self::Boolean(false)),
                _ => misfit(ty, &string, ""),
            },
            FieldType::Json | FieldType::Overflow => match serde_json::from_str(text) {
                Ok(json) => Self::from_json(ty, &json),
                Err(_) => misfit(ty, &string, ""),
            },
            _ => Self::from_json(ty, &string),
        }
    }

    /// This value of type `ty` as JSON.
    pub fn to_json(&self, ty: FieldType) -> serde_json::Value {
        use serde_json::Value as J;
        match (self, ty) {
            (Self::Null, _) => J::Null,
            (Self::Boolean(bool), _) => J::Bool(*bool),
            (Self::Integer(number), FieldType::Boolean) => J::Bool(*number != 0),
            (Self::Integer(number), FieldType::Decimal(scale)) => {
                J::String(decimal_text(*number, scale))
            }
            (Self::Integer(number), FieldType::Timestamp) => J::String(timestamp_text(*number)),
            (Self::Integer(number), FieldType::Datetime) => J::String(datetime_text(*number)),
            (Self::Integer(number), _) => J::from(*number),
            (Self::Float(float), _) => J::from(*float),
            (Self::Text(text), FieldType::Json | FieldType::Overflow) => {
                serde_json::from_str(text).unwrap_or(J::Null)
            }
            (Self::Text(text), _) => J::String(text.clone()),
        }
    }
}

/// Text may hold anything but NUL, which PostgreSQL cannot store.
pub fn check_text(text: &str) -> Result<(), ValueError> {
    if text.contains('\0') {
        return Err(ValueError("text must not contain the NUL character".into()));
    }
    Ok(())
}

/// Reads `12.50` as a scaled integer. Exponents (`1e3`) are read too, since JSON writers make them.
pub fn decimal(text: &str, scale: u8) -> Result<i64, ValueError> {
    let wrong = |why: &str| {
        ValueError(format!(
            "'{}' is not a decimal({scale}): {why}",
            text.escape_debug()
        ))
    };
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (
            mantissa,
            exponent
                .parse::<i32>()
                .map_err(|_| wrong("the exponent is not a number"))?,
        ),
        None => (text, 0),
    };
    let (negative, digits) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty()
        || !whole
            .bytes()
            .chain(fraction.bytes())
            .all(|b| b.is_ascii_digit())
    {
        return Err(wrong("use digits and one point"));
    }
    if whole.len() + fraction.len() > 60 || exponent.abs() > 60 {
        return Err(wrong("too many digits"));
    }
    let mut number: i128 = 0;
    for byte in whole.bytes().chain(fraction.bytes()) {
        number = number
            .checked_mul(10)
            .ok_or_else(|| wrong("too many digits"))?
            + i128::from(byte - b'0');
        if number > i128::MAX / 1_000 {
            return Err(wrong("too many digits"));
        }
    }
    let mut shift = exponent + i32::from(scale) - i32::try_from(fraction.len()).unwrap_or(60);
    while shift > 0 {
        number = number
            .checked_mul(10)
            .ok_or_else(|| wrong("at most 18 digits"))?;
        shift -= 1;
    }
    while shift < 0 {
        if number % 10 != 0 {
            return Err(wrong(&format!("at most {scale} decimal places")));
        }
        number /= 10;
        shift += 1;
    }
    let number = i64::try_from(number)
        .ok()
        .filter(|n| *n < 1_000_000_000_000_000_000);
    let number = number.ok_or_else(|| wrong("at most 18 digits"))?;
    Ok(if negative { -number } else { number })
}

/// Whether a text is a UUID as we keep them: lower-case, with dashes.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

/// Writes a scaled integer as `12.50`.
pub fn decimal_text(number: i64, scale: u8) -> String {
    if scale == 0 {
        return number.to_string();
    }
    let scale = usize::from(scale);
    let digits = format!("{:0>width$}", number.unsigned_abs(), width = scale + 1);
    let (whole, fraction) = digits.split_at(digits.len() - scale);
    format!("{}{whole}.{fraction}", if number < 0 { "-" } else { "" })
}

fn in_range(micros: i64, text: &str) -> Result<i64, ValueError> {
    if (MIN_MICROS..=MAX_MICROS).contains(&micros) {
        Ok(micros)
    } else {
        Err(ValueError(format!(
            "'{text}' is outside the years 1 to 9998"
        )))
    }
}

/// Reads an RFC 3339 timestamp with a zone as microseconds since 1970; finer digits are refused.
pub fn timestamp(text: &str) -> Result<i64, ValueError> {
    let wrong = || {
        ValueError(format!(
            "'{}' is not a timestamp: write it with a zone, such as 2026-11-22T10:00:00Z",
            text.escape_debug()
        ))
    };
    let moment: jiff::Timestamp = text.parse().map_err(|_| wrong())?;
    if moment.subsec_nanosecond() % 1_000 != 0 {
        return Err(ValueError(format!("'{text}' is finer than a microsecond")));
    }
    in_range(moment.as_microsecond(), text)
}

/// Reads a zone-less ISO 8601 date and time (or a date alone) as microseconds since 1970-01-01T00:00:00.
pub fn datetime(text: &str) -> Result<i64, ValueError> {
    let wrong = || {
        ValueError(format!(
            "'{}' is not a datetime: write it without a zone, such as 2026-11-22T10:00:00",
            text.escape_debug()
        ))
    };
    if text.ends_with(['Z', 'z']) {
        return Err(wrong());
    }
    let moment: jiff::civil::DateTime = text.parse().map_err(|_| wrong())?;
    if moment.subsec_nanosecond() % 1_000 != 0 {
        return Err(ValueError(format!("'{text}' is finer than a microsecond")));
    }
    let utc = moment
        .to_zoned(jiff::tz::TimeZone::UTC)
        .map_err(|_| wrong())?;
    in_range(utc.timestamp().as_microsecond(), text)
}

/// Writes microseconds since 1970 as RFC 3339 in UTC.
pub fn timestamp_text(micros: i64) -> String {
    let mut out = Vec::with_capacity(32);
    write_datetime(&mut out, micros);
    out.push(b'Z');
    String::from_utf8(out).unwrap_or_default()
}

/// Writes microseconds since 1970 as an ISO 8601 date and time without a zone.
pub fn datetime_text(micros: i64) -> String {
    let mut out = Vec::with_capacity(32);
    write_datetime(&mut out, micros);
    String::from_utf8(out).unwrap_or_default()
}

/// The same at the end of `out`, digit by digit: every list has one or two for each record.
pub fn write_datetime(out: &mut Vec<u8>, micros: i64) {
    let micros = micros.clamp(MIN_MICROS, MAX_MICROS);
    let (days, in_day) = (
        micros.div_euclid(86_400 * MICROS),
        micros.rem_euclid(86_400 * MICROS),
    );
    let (year, month, day) = civil(days);
    let (seconds, fraction) = (in_day / MICROS, in_day % MICROS);
    digits::<4>(out, year);
    for (before, value) in [
        (b'-', month),
        (b'-', day),
        (b'T', seconds / 3600),
        (b':', seconds / 60 % 60),
        (b':', seconds % 60),
    ] {
        out.push(before);
        digits::<2>(out, value);
    }
    if fraction != 0 {
        out.push(b'.');
        digits::<6>(out, fraction);
        while out.last() == Some(&b'0') {
            out.pop();
        }
    }
}

fn digits<const N: usize>(out: &mut Vec<u8>, mut value: i64) {
    let mut digits = [b'0'; N];
    for digit in digits.iter_mut().rev() {
        *digit += (value % 10) as u8;
        value /= 10;
    }
    out.extend_from_slice(&digits);
}

/// Days since 1970-01-01 as year, month, day of the proleptic Gregorian calendar.
pub fn civil(days: i64) -> (i64, i64, i64) {
    // Counting from 0000-03-01 puts the leap day at the end of the year, which makes the arithmetic regular.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_index = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_index + 2) / 5 + 1;
    let month = if month_index < 10 {
        month_index + 3
    } else {
        month_index - 9
    };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

fn canonical_json(json: &serde_json::Value, out: &mut String) -> Result<(), ValueError> {
    use serde_json::Value as J;
    match json {
        J::Object(map) => {
            let mut entries: Vec<_> = map.iter().collect();
            entries.sort_by(|a, b| a.0.cmp(b.0));
            out.push('{');
            for (i, (key, value)) in entries.into_iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                check_text(key)?;
                out.push_str(&J::String(key.clone()).to_string());
                out.push(':');
                canonical_json(value, out)?;
            }
            out.push('}');
        }
        J::Array(items) => {
            out.push('[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(',');
                }
                canonical_json(item, out)?;
            }
            out.push(']');
        }
        J::String(text) => {
            check_text(text)?;
            out.push_str(&json.to_string());
        }
        other => out.push_str(&other.to_string()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_exact_and_bounded() {
        assert_eq!(decimal("12.5", 2), Ok(1250));
        assert_eq!(decimal("-0.05", 2), Ok(-5));
        assert_eq!(decimal("1e3", 0), Ok(1000));
        assert_eq!(decimal("1.50", 1), Ok(15));
        assert!(decimal("0.005", 2).is_err());
        assert!(decimal("1000000000000000000", 0).is_err());
        assert!(decimal("1e999999999", 2).is_err());
        assert_eq!(decimal_text(-5, 2), "-0.05");
        assert_eq!(decimal_text(1250, 2), "12.50");
    }

    #[test]
    fn times_keep_their_zone_rules() {
        assert_eq!(
            timestamp("2026-11-22T12:00:00+02:00"),
            timestamp("2026-11-22T10:00:00Z")
        );
        assert!(timestamp("2026-11-22T12:00:00").is_err());
        assert!(datetime("2026-11-22T12:00:00Z").is_err());
        assert!(timestamp("2026-11-22T12:00:00.0000001Z").is_err());
        for text in [
            "0001-01-01T00:00:00",
            "1969-12-31T23:59:59.999999",
            "2024-02-29T12:00:00.5",
            "9998-12-31T23:59:59",
        ] {
            assert_eq!(datetime_text(datetime(text).unwrap()), text);
        }
    }

    #[test]
    fn json_is_canonical() {
        let a = serde_json::json!({"b": [1, {"y": 1, "x": null}], "a": "é"});
        assert_eq!(
            Value::from_json(FieldType::Json, &a).unwrap(),
            Value::from("{\"a\":\"é\",\"b\":[1,{\"x\":null,\"y\":1}]}")
        );
        assert!(Value::from_json(FieldType::Json, &serde_json::json!({"a": "\u{0}"})).is_err());
    }
}
