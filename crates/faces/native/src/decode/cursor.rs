//! Cursors: where a list goes on. Opaque to clients; inside, the last record's sort values and key, and a stamp of the
//! list they belong to, so that a cursor of another list is told and not misread. They are no secret and no proof:
//! whoever makes one up asks for what he could as well have filtered by.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portreeve_model::Value;
use serde_json::{Value as Json, json};

/// A cursor that is longer does not fit into a URL everywhere.
const MAX_CURSOR: usize = 6 * 1024;

/// What tells one list from another: its collection, sort, filter and search as they were written.
pub(crate) fn stamp(collection: &str, parts: [Option<&str>; 3]) -> u64 {
    // FNV-1a: nothing here must resist anybody, and it stays the same from version to version.
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    let mut take = |byte: u8| hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    for part in [Some(collection)].into_iter().chain(parts) {
        // 0xff and 0xfe are in no UTF-8: no text can run into the next.
        take(if part.is_some() { 0xff } else { 0xfe });
        part.unwrap_or_default().bytes().for_each(&mut take);
    }
    hash
}

/// The cursor behind a record with these values; none where it has no key, or would be too long to be sent back.
pub(crate) fn next_cursor(stamp: u64, values: &[Value]) -> Option<String> {
    // Behind a record that nothing names there is no place to go on.
    values.last().filter(|key| !key.is_null())?;
    let values: Vec<Json> = values.iter().map(value_to_json).collect();
    let text = json!([format!("{stamp:016x}"), values]).to_string();
    (text.len() <= MAX_CURSOR / 4 * 3).then(|| URL_SAFE_NO_PAD.encode(text))
}

/// The values of a cursor; `None` for what is no cursor of this list. The last one is the key.
pub(crate) fn read_cursor(text: &str, stamp: u64) -> Option<Vec<Value>> {
    if text.len() > MAX_CURSOR {
        return None;
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (sent, values): (String, Vec<Json>) = serde_json::from_slice(&bytes).ok()?;
    if sent != format!("{stamp:016x}") {
        return None;
    }
    let values: Vec<Value> = values.iter().map(value_from_json).collect::<Option<_>>()?;
    values.last().filter(|key| !key.is_null())?;
    Some(values)
}

// As they are kept, not as they are shown: times and decimals stay the integers they are, floats their bits.
fn value_to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(bool) => json!(bool),
        Value::Integer(number) => json!(number),
        Value::Float(float) => json!({ "f": float.to_bits() }),
        Value::Text(text) => json!(text),
    }
}

fn value_from_json(json: &Json) -> Option<Value> {
    Some(match json {
        Json::Null => Value::Null,
        Json::Bool(bool) => Value::Boolean(*bool),
        Json::Number(number) => Value::Integer(number.as_i64()?),
        Json::String(text) if !text.contains('\0') => Value::Text(text.clone()),
        Json::Object(map) => {
            let float = f64::from_bits(map.get("f").filter(|_| map.len() == 1)?.as_u64()?);
            Value::Float(Some(float).filter(|float| float.is_finite())?)
        }
        Json::String(_) | Json::Array(_) => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_come_back_as_they_went() {
        let values = [
            Value::Null,
            Value::Boolean(true),
            Value::Integer(i64::MIN),
            Value::Integer(1_763_805_296_123_456),
            Value::Float(0.1 + 0.2),
            Value::Float(5e-324),
            Value::Float(1.0),
            Value::from("a\"é\n😀"),
            Value::Integer(i64::MAX),
        ];
        let cursor = next_cursor(7, &values).unwrap();
        assert_eq!(read_cursor(&cursor, 7).unwrap(), values);
        assert_eq!(read_cursor(&cursor, 8), None);
    }

    #[test]
    fn what_is_no_cursor_is_none() {
        let made = |text: &str| URL_SAFE_NO_PAD.encode(text);
        let one = format!("{:016x}", 1);
        assert!(read_cursor(&made(&format!("[\"{one}\",[1]]")), 1).is_some());
        for bad in [
            String::new(),
            "???".into(),
            made(""),
            made("[]"),
            made(&format!("[\"{one}\",[]]")),
            made(&format!("[\"{one}\",[null]]")),
            made(&format!("[\"{one}\",[[1]]]")),
            made(&format!("[\"{one}\",[1.5]]")),
            made(&format!("[\"{one}\",[18446744073709551615]]")),
            made(&format!("[\"{one}\",[\"\\u0000\"]]")),
            // An infinite float.
            made(&format!("[\"{one}\",[{{\"f\":9218868437227405312}}]]")),
            made(&format!(
                "[\"{one}\",{}1{}]",
                "[".repeat(2_000),
                "]".repeat(2_000)
            )),
        ] {
            assert_eq!(read_cursor(&bad, 1), None, "{bad}");
        }
        assert_eq!(next_cursor(1, &[Value::Text("x".repeat(10_000))]), None);
    }

    #[test]
    fn lists_are_told_apart() {
        let lists = [
            stamp("a", [None, None, None]),
            stamp("a", [Some(""), None, None]),
            stamp("a", [None, Some(""), None]),
            stamp("a", [Some("b"), None, None]),
            stamp("a", [None, Some("b"), None]),
            stamp("ab", [None, None, None]),
        ];
        for (place, list) in lists.iter().enumerate() {
            assert!(!lists[..place].contains(list));
        }
    }
}
