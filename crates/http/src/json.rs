//! JSON as it must be: one value, no name twice, no NUL, not deeper than [`MAX_DEPTH`], and the place of what is wrong.

use std::fmt;

use serde::de::{DeserializeSeed, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// How deep arrays and objects may be nested.
pub const MAX_DEPTH: usize = 64;

/// Why a text is not the JSON we take, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JsonError {
    /// From 1.
    pub line: usize,
    /// From 1, in bytes.
    pub column: usize,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} at line {} column {}",
            self.message, self.line, self.column
        )
    }
}

impl std::error::Error for JsonError {}

/// Reads one JSON value and nothing behind it.
pub fn parse_json(bytes: &[u8]) -> Result<Value, JsonError> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut reader);
    value
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| place(&error))
}

fn place(error: &serde_json::Error) -> JsonError {
    let (line, column) = (error.line().max(1), error.column().max(1));
    let mut message = error.to_string();
    // serde_json appends the place, which we tell apart.
    if let Some(at) = message.rfind(" at line ") {
        message.truncate(at);
    }
    JsonError {
        line,
        column,
        message,
    }
}

// serde_json itself takes the last of two equal names and nests deeper; a body that two readers understand differently
// is how checks are passed by one value and effects made by another.
struct Strict {
    depth: usize,
}

impl Strict {
    fn inner<E: serde::de::Error>(&self) -> Result<Self, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format_args!(
                "nested deeper than {MAX_DEPTH} levels"
            )));
        }
        Ok(Self {
            depth: self.depth + 1,
        })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, bool: bool) -> Result<Value, E> {
        Ok(Value::Bool(bool))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::from(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: serde::de::Error>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(without_nul(text)?))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = vec![];
        while let Some(item) = items.next_element_seed(self.inner()?)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.inner::<A::Error>()?.depth;
        let mut map = Map::new();
        while let Some(name) = entries.next_key::<String>()? {
            let name = without_nul(name)?;
            if map.contains_key(&name) {
                return Err(A::Error::custom(format_args!(
                    "the name '{}' stands twice in one object",
                    crate::shown(&name)
                )));
            }
            let value = entries.next_value_seed(Self { depth: inner })?;
            map.insert(name, value);
        }
        Ok(Value::Object(map))
    }
}

fn without_nul<E: serde::de::Error>(text: String) -> Result<String, E> {
    if text.contains('\0') {
        return Err(E::custom("a text contains a NUL character"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &[u8]) -> (usize, usize, String) {
        let error = parse_json(text).unwrap_err();
        (error.line, error.column, error.message)
    }

    #[test]
    fn good_json_is_read_as_serde_json_reads_it() {
        let text = br#" {"a": [1, -2, 3.5, true, null, "\u00e9\n", {}], "b": {"a": 18446744073709551615}} "#;
        assert_eq!(
            parse_json(text).unwrap(),
            serde_json::from_slice::<Value>(text).unwrap()
        );
    }

    #[test]
    fn what_two_readers_could_read_differently_is_refused_with_its_place() {
        let (line, column, message) = complaint(b"{\n  \"a\": 1,\n  \"a\": 2\n}");
        assert_eq!((line, column), (3, 5), "{message}");
        assert_eq!(message, "the name 'a' stands twice in one object");
        assert_eq!(complaint(b"{} x").2, "trailing characters");
        assert_eq!(complaint(b"{}{}").2, "trailing characters");
        assert_eq!(
            complaint(b"\"a\\u0000\"").2,
            "a text contains a NUL character"
        );
        assert_eq!(
            complaint(b"{\"a\\u0000\": 1}").2,
            "a text contains a NUL character"
        );
        assert_eq!(complaint(b"{\"a\":1,}").2, "trailing comma");
        assert_eq!(complaint(b"").0, 1);
        for bad in [
            &b"\xff"[..],
            b"\"\xff\"",
            b"\"\\ud800\"",
            b"nul",
            b"1e999",
            b"'a'",
            b"\xef\xbb\xbf{}",
            b"[1",
            b"{\"a\"",
            b"NaN",
        ] {
            assert!(parse_json(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn depth_has_a_limit_and_no_stack_is_lost() {
        let nested = |depth: usize| [vec![b'['; depth], vec![b']'; depth]].concat();
        assert!(parse_json(&nested(MAX_DEPTH)).is_ok());
        assert_eq!(
            complaint(&nested(MAX_DEPTH + 1)).2,
            "nested deeper than 64 levels"
        );
        assert!(parse_json(&vec![b'['; 1_000_000]).is_err());
        let objects = "{\"a\":".repeat(1_000);
        assert_eq!(
            complaint(objects.as_bytes()).2,
            "nested deeper than 64 levels"
        );
    }
}
