//! A stored value as one of another type.

use portreeve_model::{FieldType, Value};

/// The value as one of another type; none where it is null or does not fit.
pub(crate) fn convert(value: &Value, from: FieldType, to: FieldType) -> Option<Value> {
    if value.is_null() {
        return None;
    }
    let json = value.to_json(from);
    let fits = Value::from_json(to, &json).or_else(|error| {
        let text = match &json {
            serde_json::Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        if to == FieldType::Json {
            Err(error)
        } else {
            Value::from_text(to, &text)
        }
    });
    fits.ok().filter(|value| !value.is_null())
}
