//! The undeclared fields of a record: one JSON object in a column of its own, whose entries stand beside the declared
//! fields wherever the record is shown, and which only those may touch who may touch all fields.

use serde_json::Value as Json;

use crate::{
    Collection, Column, ColumnKind, FieldId, FieldType, Value, ValueError, write_json_text,
};

/// The column that holds them. No declared field of such a collection has this name.
pub const OVERFLOW: &str = "_overflow";

/// How long the name of an undeclared field may be, in bytes.
pub const MAX_ENTRY_NAME: usize = 128;
/// How many undeclared fields a record may have.
pub const MAX_ENTRIES: usize = 256;
/// How deep lists and objects may stand in each other in one of them.
pub const MAX_ENTRY_DEPTH: usize = 32;
/// How long all of them together may be, in bytes of their canonical text.
pub const MAX_OVERFLOW: usize = 64 * 1024;

impl Collection {
    /// Where undeclared fields are kept, if they are.
    pub fn overflow(&self) -> Option<FieldId> {
        // It is made last, so that a collection without it is told at once.
        let last = self.fields.len().checked_sub(1)?;
        (self.fields[last].ty == FieldType::Overflow).then(|| FieldId::at(last))
    }

    /// The ids of the fields that have names: all but where the undeclared ones are kept.
    pub fn named_fields(&self) -> impl Iterator<Item = FieldId> + Clone + use<'_> {
        self.field_ids()
            .filter(|field| self.field(*field).ty != FieldType::Overflow)
    }

    /// Where a field of this name is kept if the collection does not declare it: nowhere where a relation has the name.
    pub fn undeclared(&self, name: &str) -> Option<FieldId> {
        self.overflow().filter(|_| !self.declares(name))
    }

    fn declares(&self, name: &str) -> bool {
        self.find_field(name).is_some() || self.find_relation(name).is_some()
    }

    /// The column in which a field is shown.
    pub fn column(&self, field: FieldId) -> Column {
        let declared = self.field(field);
        let kind = match declared.ty {
            FieldType::Overflow => {
                let fields = self.named_fields().map(|field| &self.field(field).name);
                let relations = self.relations.iter().map(|relation| &relation.name);
                ColumnKind::Undeclared(fields.chain(relations).cloned().collect())
            }
            ty => ColumnKind::Scalar(ty),
        };
        Column {
            name: declared.name.clone(),
            kind,
        }
    }
}

/// Reads undeclared fields as they were sent. A null in it takes the entry away. The name with the error is that of
/// the entry which is to blame.
pub fn read_entries<'j>(
    entries: impl Iterator<Item = (&'j str, &'j Json)>,
) -> Result<Value, (String, ValueError)> {
    let mut object = serde_json::Map::new();
    let mut bytes = 0;
    for (name, json) in entries {
        let wrong = |message: String| (name.to_owned(), ValueError(message));
        check_name(name).map_err(|error| (name.to_owned(), error))?;
        if object.contains_key(name) {
            return Err(wrong("is sent twice".into()));
        }
        if depth(json) > MAX_ENTRY_DEPTH {
            return Err(wrong(format!("is more than {MAX_ENTRY_DEPTH} levels deep")));
        }
        // Checks the texts in it as well.
        let text =
            Value::from_json(FieldType::Json, json).map_err(|error| (name.to_owned(), error))?;
        bytes += name.len() + text.as_text().map_or(4, str::len);
        object.insert(name.to_owned(), json.clone());
        if bytes > MAX_OVERFLOW || object.len() > MAX_ENTRIES {
            return Err(wrong(too_much()));
        }
    }
    Value::from_json(FieldType::Json, &Json::Object(object))
        .map_err(|error| (OVERFLOW.into(), error))
}

/// What a record may not have more of.
pub fn too_much() -> String {
    format!(
        "is more than the undeclared fields of a record may hold: {MAX_ENTRIES} of them, {} KiB together",
        MAX_OVERFLOW / 1024
    )
}

fn check_name(name: &str) -> Result<(), ValueError> {
    let wrong = if name.is_empty() {
        "cannot be empty".to_owned()
    } else if name.len() > MAX_ENTRY_NAME {
        format!("is longer than {MAX_ENTRY_NAME} bytes")
    } else if name.chars().any(char::is_control) {
        "cannot contain control characters".to_owned()
    } else {
        return Ok(());
    };
    Err(ValueError(format!(
        "the name of an undeclared field {wrong}"
    )))
}

fn depth(json: &Json) -> usize {
    match json {
        Json::Array(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Json::Object(map) => 1 + map.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// What a record keeps when it had `old` and `sent`, as [`read_entries`] has read it, is written: each sent entry takes
/// the place of the one of its name, a null takes it away, everything else stays. Null where nothing is left. `None`
/// where it is too much.
pub fn merged(old: &Value, sent: &Value) -> Option<Value> {
    // Both are in order of name.
    let (mut old, mut sent) = (entries(old).peekable(), entries(sent).peekable());
    let (mut out, mut count) = (String::new(), 0);
    loop {
        let next = match (old.peek(), sent.peek()) {
            (None, None) => break,
            (Some(kept), Some(new)) if kept.name < new.name => old.next(),
            (Some(kept), Some(new)) => {
                if kept.name == new.name {
                    old.next();
                }
                sent.next().filter(|entry| entry.json != "null")
            }
            (Some(_), None) => old.next(),
            (None, Some(_)) => sent.next().filter(|entry| entry.json != "null"),
        };
        let Some(entry) = next else { continue };
        out.push(if count == 0 { '{' } else { ',' });
        out.push_str(entry.text);
        count += 1;
    }
    if count == 0 {
        return Some(Value::Null);
    }
    out.push('}');
    (count <= MAX_ENTRIES && out.len() <= MAX_OVERFLOW).then_some(Value::Text(out))
}

/// Those of the kept entries whose names were sent: what their writer may be told where he may not read them.
pub fn only_sent(kept: &Value, sent: &Value) -> Value {
    let names: Vec<String> = entries(sent).map(|entry| entry.name).collect();
    let told: Vec<&str> = entries(kept)
        .filter(|entry| names.contains(&entry.name))
        .map(|entry| entry.text)
        .collect();
    if told.is_empty() {
        Value::Null
    } else {
        Value::Text(format!("{{{}}}", told.join(",")))
    }
}

/// The name of the first entry.
pub fn first_name(value: &Value) -> Option<String> {
    entries(value).next().map(|entry| entry.name)
}

/// Writes the entries as members of an object that has members already where `first` says no; those with a declared
/// name are left out. What a declared field may show is not for the rights on undeclared ones to say.
pub fn write_entries<N: AsRef<str>>(
    out: &mut Vec<u8>,
    text: &str,
    declared: &[N],
    first: &mut bool,
) {
    for entry in of_text(text) {
        if declared.iter().any(|name| name.as_ref() == entry.name) {
            continue;
        }
        if !std::mem::take(first) {
            out.push(b',');
        }
        write_json_text(out, &entry.name);
        out.push(b':');
        out.extend_from_slice(entry.json.as_bytes());
    }
}

struct Entry<'t> {
    name: String,
    json: &'t str,
    // Both, as they stand there.
    text: &'t str,
}

fn entries(value: &Value) -> Entries<'_> {
    of_text(value.as_text().unwrap_or_default())
}

fn of_text(text: &str) -> Entries<'_> {
    let inner = text
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'));
    Entries(inner.unwrap_or_default())
}

// The members of a canonical object, each as it is written: numbers are not read and written again, which could change
// them. Whatever is not canonical ends it.
struct Entries<'t>(&'t str);

impl<'t> Iterator for Entries<'t> {
    type Item = Entry<'t>;

    fn next(&mut self) -> Option<Entry<'t>> {
        let text = self.0;
        let colon = end(text, b':')?;
        let name: String = serde_json::from_str(&text[..colon]).ok()?;
        let rest = &text[colon + 1..];
        let comma = end(rest, b',').unwrap_or(rest.len());
        self.0 = rest.get(comma + 1..).unwrap_or_default();
        Some(Entry {
            name,
            json: &rest[..comma],
            text: &text[..colon + 1 + comma],
        })
    }
}

// Where this byte stands first outside of texts, lists and objects.
fn end(text: &str, wanted: u8) -> Option<usize> {
    let (mut inside, mut depth) = (false, 0_usize);
    let mut bytes = text.bytes().enumerate();
    while let Some((place, byte)) = bytes.next() {
        match byte {
            b'\\' if inside => {
                bytes.next();
            }
            b'"' => inside = !inside,
            _ if inside => {}
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            byte if byte == wanted && depth == 0 => return Some(place),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(json: &Json) -> Result<Value, (String, ValueError)> {
        let object = json.as_object().expect("an object");
        read_entries(object.iter().map(|(name, value)| (name.as_str(), value)))
    }

    fn good(json: &Json) -> Value {
        read(json).expect("it can be kept")
    }

    fn after(old: &Json, sent: &Json) -> Json {
        let old = merged(&Value::Null, &good(old)).expect("it fits");
        merged(&old, &good(sent))
            .expect("it fits")
            .to_json(FieldType::Json)
    }

    #[test]
    fn what_is_sent_takes_the_place_of_what_was_there_at_the_top_only() {
        let old =
            json!({ "b": { "x": 1, "y": [2, "},\"c\":{"] }, "a": "\\\"", "é,": null, "z": 1.5 });
        for (sent, kept) in [
            (
                json!({}),
                json!({ "a": "\\\"", "b": { "x": 1, "y": [2, "},\"c\":{"] }, "z": 1.5 }),
            ),
            (
                json!({ "b": { "x": null } }),
                json!({ "a": "\\\"", "b": { "x": null }, "z": 1.5 }),
            ),
            (
                json!({ "a": null, "b": null, "c": null }),
                json!({ "z": 1.5 }),
            ),
            (json!({ "a": null, "b": null, "z": null }), Json::Null),
        ] {
            assert_eq!(after(&old, &sent), kept, "{sent}");
        }
    }

    #[test]
    fn a_member_is_kept_to_the_letter() {
        let kept = Value::from("{\"a\":1e-7,\"b\":[1.10,{\"c\":\"\\u0001,\\\"\"}]}");
        assert_eq!(merged(&kept, &Value::Null), Some(kept.clone()));
        let more = merged(&kept, &Value::from("{\"aa\":true}"));
        assert_eq!(
            more,
            Some("{\"a\":1e-7,\"aa\":true,\"b\":[1.10,{\"c\":\"\\u0001,\\\"\"}]}".into())
        );
    }

    #[test]
    fn a_declared_name_hides_what_was_kept_under_it() {
        let (mut out, mut first) = (vec![b'{'], true);
        write_entries(
            &mut out,
            "{\"a\":1,\"b\":{\"a\":2},\"c\":3}",
            &["a", "c"],
            &mut first,
        );
        assert_eq!(out, b"{\"b\":{\"a\":2}");
        assert!(!first);
        let kept = Value::from("{\"a\":1,\"b\":2}");
        assert_eq!(
            only_sent(&kept, &"{\"b\":0,\"c\":0}".into()),
            "{\"b\":2}".into()
        );
        assert_eq!(only_sent(&kept, &"{\"c\":0}".into()), Value::Null);
    }

    #[test]
    fn names_depth_number_and_size_are_bounded() {
        let deep = |levels: usize| (1..levels).fold(json!([]), |inner, _| json!([inner]));
        assert!(read(&json!({ "a": deep(MAX_ENTRY_DEPTH) })).is_ok());
        let named = |name: &str| json!({ "ok": 1, name: 1 });
        let many = |count: usize| -> Json {
            (0..count)
                .map(|n| (n.to_string(), json!(n)))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        assert!(read(&many(MAX_ENTRIES)).is_ok());
        let (long, last) = ("n".repeat(MAX_ENTRY_NAME + 1), MAX_ENTRIES.to_string());
        for (sent, blamed) in [
            (named(""), ""),
            (named("a\nb"), "a\nb"),
            (named(&long), &*long),
            (json!({ "a": deep(MAX_ENTRY_DEPTH + 1) }), "a"),
            (json!({ "ok": 1, "a": ["\u{0}"] }), "a"),
            (json!({ "ok": 1, "big": "x".repeat(MAX_OVERFLOW) }), "big"),
            (many(MAX_ENTRIES + 1), &*last),
        ] {
            let (name, _) = read(&sent).expect_err(blamed);
            assert_eq!(name, blamed);
        }
        // Each part fits, and both together do not.
        let half = "x".repeat(MAX_OVERFLOW * 2 / 3);
        let old = good(&json!({ "a": half }));
        assert_eq!(merged(&old, &good(&json!({ "b": half }))), None);
        assert!(merged(&old, &good(&json!({ "b": half, "a": null }))).is_some());
        let old = good(&many(MAX_ENTRIES));
        assert_eq!(merged(&old, &good(&json!({ "x": 1 }))), None);
        assert!(merged(&old, &good(&json!({ "x": 1, "0": null }))).is_some());
    }
}
