//! The settings as a JSON Schema, for editors and for whoever checks files elsewhere.

use portreeve_service::FACES;
use serde_json::{Map, Value as Json, json};

use super::keys::{KEYS, Key, Kind, SECTIONS, SESSIONS};

/// The JSON Schema of a configuration file.
pub fn schema() -> Json {
    let mut sections = Map::new();
    for (name, about) in SECTIONS {
        let section = if *name == SESSIONS {
            json!({ "$ref": "#/$defs/sessions", "description": about })
        } else {
            section(name, about)
        };
        sections.insert((*name).to_owned(), section);
    }
    let face = || json!({ "$ref": "#/$defs/sessions" });
    let faces: Map<String, Json> = FACES
        .into_iter()
        .filter(|face| *face != "native")
        .map(|name| (name.to_owned(), face()))
        .collect();
    sections.insert(
        "faces".into(),
        json!({
            "type": "object",
            "description": "The settings of [sessions] for the other faces",
            "properties": faces,
            "additionalProperties": false,
        }),
    );
    let about = SECTIONS.iter().find(|(name, _)| *name == SESSIONS);
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Configuration of Portreeve",
        "type": "object",
        "properties": sections,
        "additionalProperties": false,
        "$defs": { SESSIONS: section(SESSIONS, about.map_or("", |(_, about)| about)) },
    })
}

fn section(name: &str, about: &str) -> Json {
    let keys = KEYS.iter().filter(|key| key.section == name);
    let keys: Map<String, Json> = keys.map(|key| (key.name.to_owned(), of(key))).collect();
    json!({
        "type": "object",
        "description": about,
        "properties": keys,
        "additionalProperties": false,
    })
}

fn of(key: &Key) -> Json {
    let mut schema = match key.kind {
        Kind::Text | Kind::Path => json!({ "type": "string" }),
        Kind::Address => json!({ "type": "string", "pattern": "^([^ ]*:)?[0-9]{1,5}$" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Number(least) => json!({ "type": "integer", "minimum": least }),
        Kind::Time => json!({ "type": "string", "pattern": "^([0-9]+[smhd]|never)$" }),
        Kind::Word(words) => json!({ "enum": words }),
        Kind::List => json!({ "type": "array", "items": { "type": "string" } }),
    };
    schema["description"] = key.about.into();
    if let Some(default) = default(key) {
        schema["default"] = default;
    }
    if key.secret {
        schema["writeOnly"] = true.into();
    }
    schema
}

// The defaults of the table are JSON as well as TOML.
fn default(key: &Key) -> Option<Json> {
    serde_json::from_str(key.default).ok()
}
