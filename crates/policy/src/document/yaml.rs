//! Writes JSON as YAML that people like to read: blocks for what is large, one line for what fits on one.

use serde_json::{Map, Value as Json};

const WIDTH: usize = 100;
/// YAML takes a key in a block only if its colon comes within 1024 characters. A byte may be written as six.
const LONG_KEY: usize = 150;

/// Writes a document: its sections as blocks with an empty line between.
pub(super) fn write(document: &Json) -> String {
    let mut out = String::new();
    match document {
        Json::Object(sections) if !sections.is_empty() => {
            for (name, section) in sections {
                if !out.is_empty() {
                    out.push('\n');
                }
                out.push_str(&scalar_text(name));
                out.push(':');
                match section {
                    Json::Object(entries) if !entries.is_empty() => {
                        out.push('\n');
                        map(entries, 2, &mut out);
                    }
                    other => value(other, 2, name.len() + 1, false, &mut out),
                }
            }
        }
        other => {
            flow(other, &mut out);
            out.push('\n');
        }
    }
    out
}

/// What follows `key:` or `-`, to the end of the line. A mapping on one line may hold others as an item of a list
/// only, where it reads like a sentence.
fn value(value: &Json, indent: usize, column: usize, item: bool, out: &mut String) {
    let mut line = String::new();
    let nested = match value {
        Json::Array(items) => !item && items.iter().any(Json::is_object),
        Json::Object(map) => {
            let inner = |value: &Json| match value {
                Json::Object(map) => !item || map.values().any(Json::is_object),
                Json::Array(items) => items.iter().any(Json::is_object),
                _ => false,
            };
            map.values().any(inner)
        }
        _ => false,
    };
    let long_key = |map: &Map<String, Json>| map.keys().any(|key| key.len() > LONG_KEY);
    let whole = match value {
        Json::Object(map) if long_key(map) => true,
        Json::Object(map) => map.is_empty(),
        Json::Array(items) => items.is_empty(),
        _ => true,
    };
    if !nested || whole {
        flow(value, &mut line);
    }
    if whole || !nested && column + 1 + line.chars().count() <= WIDTH {
        out.push(' ');
        out.push_str(&line);
        out.push('\n');
        return;
    }
    match value {
        Json::Object(entries) if item => {
            // The first key stands on the line of the dash.
            let mut block = String::new();
            map(entries, indent, &mut block);
            out.push(' ');
            out.push_str(block.trim_start());
        }
        Json::Object(entries) => {
            out.push('\n');
            map(entries, indent, out);
        }
        Json::Array(items) => {
            out.push('\n');
            for item in items {
                spaces(indent, out);
                out.push('-');
                self::value(item, indent + 2, indent + 1, true, out);
            }
        }
        _ => {}
    }
}

fn map(entries: &Map<String, Json>, indent: usize, out: &mut String) {
    for (key, entry) in entries {
        spaces(indent, out);
        let start = out.len();
        out.push_str(&scalar_text(key));
        out.push(':');
        let column = indent + out.len() - start;
        value(entry, indent + 2, column, false, out);
    }
}

fn spaces(count: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', count));
}

fn flow(value: &Json, out: &mut String) {
    match value {
        Json::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push_str(", ");
                }
                flow(item, out);
            }
            out.push(']');
        }
        Json::Object(map) if map.is_empty() => out.push_str("{}"),
        Json::Object(map) => {
            for (index, (key, value)) in map.iter().enumerate() {
                out.push_str(if index == 0 { "{ " } else { ", " });
                out.push_str(&scalar_text(key));
                out.push_str(": ");
                flow(value, out);
            }
            out.push_str(" }");
        }
        Json::String(text) => {
            // `on` is a text to us and a boolean to older readers; as a value it is quoted for them.
            if text == "on" {
                out.push_str("\"on\"");
            } else {
                out.push_str(&scalar_text(text));
            }
        }
        other => out.push_str(&other.to_string()),
    }
}

/// A text bare where no reader of YAML takes it for anything else, quoted as in JSON otherwise.
fn scalar_text(text: &str) -> String {
    const TAKEN: [&str; 11] = [
        "true", "false", "null", "yes", "no", "off", "y", "n", "nan", "inf", "infinity",
    ];
    let mut characters = text.chars();
    let first = characters.next();
    let bare = first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_' || c == '$')
        && characters.all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && text.len() <= 200
        && !TAKEN.contains(&text.to_ascii_lowercase().as_str());
    if bare {
        text.to_owned()
    } else {
        Json::from(text).to_string()
    }
}
