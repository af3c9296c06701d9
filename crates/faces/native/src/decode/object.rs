//! The members of a JSON body: each known, each of its type.

use portreeve_model::{FieldType, MAX_ENTRY_NAME, Value};
use serde_json::{Map, Value as Json};

use crate::error::Failure;

/// A JSON object that is read member by member.
pub(crate) struct Object {
    // Where it stands in the body, with a point behind; empty at the top.
    at: String,
    map: Map<String, Json>,
}

impl Object {
    /// Reads a JSON value that must be an object with these members and no others. `at` is where it stands.
    pub fn read(at: &str, json: Json, known: &'static [&'static str]) -> Result<Self, Failure> {
        let Json::Object(map) = json else {
            let name = if at.is_empty() { "body" } else { at };
            return Err(Failure::member(name, "must be a JSON object"));
        };
        if let Some(name) = map.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(Failure::unknown_member(at, name, known));
        }
        let at = if at.is_empty() {
            String::new()
        } else {
            format!("{at}.")
        };
        Ok(Self { at, map })
    }

    fn wrong(&self, name: &str, message: &'static str) -> Failure {
        Failure::member(&format!("{}{name}", self.at), message)
    }

    /// A member of any type; null is the same as not sent.
    pub fn take(&mut self, name: &str) -> Option<Json> {
        self.map.shift_remove(name).filter(|json| !json.is_null())
    }

    /// A text that must be there.
    pub fn text(&mut self, name: &str) -> Result<String, Failure> {
        let text = self.optional_text(name)?;
        text.ok_or_else(|| self.wrong(name, "is missing; send a text"))
    }

    /// Whether it was sent, be it as null.
    pub fn names(&self, name: &str) -> bool {
        self.map.contains_key(name)
    }

    /// Whether it is there.
    pub fn has(&self, name: &str) -> bool {
        self.map.get(name).is_some_and(|json| !json.is_null())
    }

    /// A text that may be there.
    pub fn optional_text(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.wrong(name, "must be a text")),
        }
    }

    /// A text that may be sent, or null to have none.
    pub fn nullable_text(&mut self, name: &str) -> Result<Option<Option<String>>, Failure> {
        match self.map.shift_remove(name) {
            None => Ok(None),
            Some(Json::Null) => Ok(Some(None)),
            Some(Json::String(text)) => Ok(Some(Some(text))),
            Some(_) => Err(self.wrong(name, "must be a text or null")),
        }
    }

    /// A key: a text, or a number as keys of some collections are.
    pub fn optional_key(&mut self, name: &str) -> Result<Option<String>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::String(text)) => Ok(Some(text)),
            Some(Json::Number(number)) if number.is_i64() => Ok(Some(number.to_string())),
            Some(_) => Err(self.wrong(name, "must be a text or a whole number")),
        }
    }

    /// `true` or `false`; false where it was not sent.
    pub fn flag(&mut self, name: &str) -> Result<bool, Failure> {
        match self.take(name) {
            None => Ok(false),
            Some(Json::Bool(bool)) => Ok(bool),
            Some(_) => Err(self.wrong(name, "must be true or false")),
        }
    }

    /// A list of texts; empty where it was not sent.
    pub fn texts(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        let wrong = || self.wrong(name, "must be a list of texts");
        match self.map.get(name) {
            None | Some(Json::Null) => Ok(vec![]),
            Some(Json::Array(items)) => {
                let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
                texts.collect::<Option<_>>().ok_or_else(wrong)
            }
            Some(_) => Err(wrong()),
        }
    }

    /// `true` or `false`, where it was sent.
    pub fn optional_flag(&mut self, name: &str) -> Result<Option<bool>, Failure> {
        match self.map.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(_) => self.flag(name).map(Some),
        }
    }

    /// A list of texts, where it was sent.
    pub fn optional_texts(&mut self, name: &str) -> Result<Option<Vec<String>>, Failure> {
        match self.map.get(name) {
            None | Some(Json::Null) => Ok(None),
            Some(_) => self.texts(name).map(Some),
        }
    }

    /// A list of texts that must be there.
    pub fn needed_texts(&mut self, name: &str) -> Result<Vec<String>, Failure> {
        match self.map.get(name) {
            None | Some(Json::Null) => Err(self.wrong(name, "is missing; send a list of texts")),
            Some(_) => self.texts(name),
        }
    }

    /// A moment, as records have them; the inner `None` where null was sent.
    pub fn moment(&mut self, name: &str) -> Result<Option<Option<i64>>, Failure> {
        let Some(json) = self.map.shift_remove(name) else {
            return Ok(None);
        };
        if json.is_null() {
            return Ok(Some(None));
        }
        match Value::from_json(FieldType::Timestamp, &json) {
            Ok(Value::Integer(moment)) => Ok(Some(Some(moment))),
            _ => Err(self.wrong(
                name,
                "must be a moment such as 2027-01-31T12:00:00Z, or null",
            )),
        }
    }

    /// An object with names of its own.
    pub fn optional_map(&mut self, name: &str) -> Result<Option<Map<String, Json>>, Failure> {
        match self.take(name) {
            None => Ok(None),
            Some(Json::Object(map)) => Ok(Some(map)),
            Some(_) => Err(self.wrong(name, "must be a JSON object")),
        }
    }

    /// The same; empty where it was not sent.
    pub fn map(&mut self, name: &str) -> Result<Map<String, Json>, Failure> {
        Ok(self.optional_map(name)?.unwrap_or_default())
    }
}

/// The fields of a record that is written.
pub(crate) fn sent_fields(json: Json) -> Result<Vec<(String, Json)>, Failure> {
    fields_at("body", json)
}

/// The same at this place of the body. A name that is too long to be one is cut, so that the error does not send it all
/// back; it stays too long.
pub(crate) fn fields_at(at: &str, json: Json) -> Result<Vec<(String, Json)>, Failure> {
    let Json::Object(map) = json else {
        return Err(Failure::member(
            at,
            "must be a JSON object of fields and their values",
        ));
    };
    let cut = |mut name: String| {
        let end = (MAX_ENTRY_NAME + 1..name.len()).find(|end| name.is_char_boundary(*end));
        name.truncate(end.unwrap_or(name.len()));
        name
    };
    Ok(map
        .into_iter()
        .map(|(name, json)| (cut(name), json))
        .collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const KNOWN: &[&str] = &["login", "roles", "key", "admin"];

    fn object(json: Json) -> Object {
        Object::read("", json, KNOWN).ok().unwrap()
    }

    #[test]
    fn members_have_their_types() {
        let mut good = object(json!({ "login": "a", "roles": ["b"], "key": 7, "admin": true }));
        assert_eq!(good.text("login").ok(), Some("a".into()));
        assert_eq!(good.texts("roles").ok(), Some(vec!["b".into()]));
        assert_eq!(good.optional_key("key").ok(), Some(Some("7".into())));
        assert_eq!(good.flag("admin").ok(), Some(true));
        assert_eq!(
            object(json!({ "key": null })).optional_key("key").ok(),
            Some(None)
        );
        assert!(object(json!({})).text("login").is_err());
        assert!(object(json!({ "login": 1 })).text("login").is_err());
        assert!(object(json!({ "roles": ["a", 1] })).texts("roles").is_err());
        assert!(object(json!({ "key": 1.5 })).optional_key("key").is_err());
        assert!(object(json!({ "admin": "true" })).flag("admin").is_err());
        assert!(Object::read("", json!({ "logn": "a" }), KNOWN).is_err());
        assert!(Object::read("", json!([]), KNOWN).is_err());
    }
}
