//! Bodies and parameters about several records.

use portreeve_model::CollectionName;
use portreeve_service::{Asked, AskedWhat, MAX_STEPS, MassRequest, Precondition, ServiceError};
use serde_json::Value as Json;

use super::list::{filter, filter_json};
use super::object::{fields_at, sent_fields};
use super::{Object, Parameters};
use crate::error::Failure;

/// Records of one collection: named one by one, or selected.
pub(crate) enum Batch {
    /// Each by its key.
    Named(Vec<Asked>),
    /// By a filter.
    Selected(MassRequest),
}

const UPDATE: &[&str] = &["keys", "records", "filter", "set", "narrow"];
pub(crate) const DELETE: &[&str] = &["keys", "filter", "narrow"];
const CHANGES: &[&str] = &["changes"];
const CHANGE: &[&str] = &["create", "update", "delete", "upsert", "key", "on", "set"];
const DOERS: [&str; 4] = ["create", "update", "delete", "upsert"];

/// `[{…}, {…}]`: new records.
pub(crate) fn creations(
    collection: &CollectionName,
    items: Vec<Json>,
) -> Result<Vec<Asked>, Failure> {
    few("body", items.len())?;
    let asked = items.into_iter().enumerate().map(|(number, item)| {
        let place = format!("[{number}]");
        let sent = fields_at(&place, item)?;
        Ok(named(place, collection, AskedWhat::Create(sent)))
    });
    asked.collect()
}

/// `{ "keys": […], "set": {…} }`, `{ "records": [{…}] }` or `{ "filter": …, "set": {…}, "narrow": … }`.
pub(crate) fn updates(collection: CollectionName, json: Json) -> Result<Batch, Failure> {
    let mut body = Object::read("", json, UPDATE)?;
    let (keys, records, condition) = (body.take("keys"), body.take("records"), body.take("filter"));
    let set = body
        .take("set")
        .map(|set| fields_at("set", set))
        .transpose()?;
    let narrow = body.flag("narrow")?;
    if narrow && condition.is_none() {
        return Err(Failure::member("narrow", "goes with 'filter' only"));
    }
    match (keys, records, condition, set) {
        (Some(keys), None, None, Some(set)) => {
            let keys = key_list("keys", keys)?;
            let update = |(number, key)| {
                let key = Some(key);
                let sent = set.clone();
                let what = AskedWhat::Update { key, sent };
                named(format!("keys[{number}]"), &collection, what)
            };
            Ok(Batch::Named(
                keys.into_iter().enumerate().map(update).collect(),
            ))
        }
        (None, Some(Json::Array(records)), None, None) => {
            few("records", records.len())?;
            let update = |(number, record)| {
                let place = format!("records[{number}]");
                let sent = fields_at(&place, record)?;
                let what = AskedWhat::Update { key: None, sent };
                Ok(named(place, &collection, what))
            };
            let asked: Result<_, Failure> = records.into_iter().enumerate().map(update).collect();
            Ok(Batch::Named(asked?))
        }
        (None, Some(_), None, None) => Err(Failure::member(
            "records",
            "must be a list of objects, each with its key",
        )),
        (None, None, Some(condition), Some(set)) => {
            selected(collection, condition, Some(set), narrow).map(Batch::Selected)
        }
        _ => Err(Failure::member(
            "body",
            "must say which records: 'keys' and 'set', 'records', or 'filter' and 'set'",
        )),
    }
}

/// `keys=1,2` or `filter=…`, perhaps with `narrow=true`: records to delete.
pub(crate) fn deletions(collection: CollectionName, query: &str) -> Result<Batch, Failure> {
    let mut parameters = Parameters::read(query, DELETE)?;
    let narrow = parameters.take_flag("narrow")?;
    match (parameters.take("keys"), parameters.take("filter")) {
        (Some(_), None) if narrow => Err(Failure::parameter("narrow", "goes with filter only")),
        (Some(keys), None) => {
            let keys = parameter_keys(&keys)?;
            if keys.len() > MAX_STEPS {
                let message = format!("names more than {MAX_STEPS} records; send fewer");
                return Err(Failure::parameter("keys", message));
            }
            let delete = |(number, key)| {
                named(
                    format!("keys[{number}]"),
                    &collection,
                    AskedWhat::Delete { key },
                )
            };
            Ok(Batch::Named(
                keys.into_iter().enumerate().map(delete).collect(),
            ))
        }
        (None, Some(text)) => {
            let mut values = vec![];
            let filter = filter(&text, &mut values)?;
            let set = None;
            Ok(Batch::Selected(MassRequest {
                collection,
                filter,
                values,
                set,
                narrow,
            }))
        }
        (Some(_), Some(_)) => Err(Failure::parameter(
            "keys",
            "cannot be used with filter; leave one of them out",
        )),
        (None, None) => Err(Failure::parameter(
            "keys",
            "is missing; say which records with keys=1,2 or with filter=…",
        )),
    }
}

/// `{ "changes": [ { "create": "grades", "set": {…} }, … ] }`
pub(crate) fn changes(json: Json) -> Result<Vec<Asked>, Failure> {
    let mut body = Object::read("", json, CHANGES)?;
    let Some(Json::Array(items)) = body.take("changes") else {
        return Err(Failure::member("changes", "must be a list of changes"));
    };
    few("changes", items.len())?;
    let asked = items
        .into_iter()
        .enumerate()
        .map(|(number, item)| change(format!("changes[{number}]"), item));
    asked.collect()
}

fn change(place: String, item: Json) -> Result<Asked, Failure> {
    let mut body = Object::read(&place, item, CHANGE)?;
    let mut doers = vec![];
    for doer in DOERS {
        if let Some(name) = body.optional_text(doer)? {
            doers.push((doer, name));
        }
    }
    let wrong = |member: &str, message: &'static str| {
        let member = if member.is_empty() {
            place.clone()
        } else {
            format!("{place}.{member}")
        };
        Failure::member(&member, message)
    };
    let Ok([(doer, name)]) = <[_; 1]>::try_from(doers) else {
        let message = "must have one of 'create', 'update', 'delete' and 'upsert', with the name of a collection";
        return Err(wrong("", message));
    };
    let (key, on) = (body.optional_key("key")?, body.optional_text("on")?);
    let set = body.take("set");
    let sent = match set {
        Some(set) => Some(fields_at(&format!("{place}.set"), set)?),
        None => None,
    };
    let what = match (doer, key, on, sent) {
        ("create", None, None, sent) => AskedWhat::Create(sent.unwrap_or_default()),
        ("update", Some(key), None, Some(sent)) => AskedWhat::Update {
            key: Some(key),
            sent,
        },
        ("delete", Some(key), None, None) => AskedWhat::Delete { key },
        ("upsert", key @ Some(_), None, Some(sent)) => AskedWhat::Upsert {
            on: None,
            key,
            sent,
        },
        ("upsert", None, on, Some(sent)) => AskedWhat::Upsert {
            on,
            key: None,
            sent,
        },
        ("create", ..) => return Err(wrong("", "goes with 'set' only; the key is a field of it")),
        ("update", ..) => return Err(wrong("", "needs 'key' and 'set', and nothing else")),
        ("delete", ..) => return Err(wrong("", "needs 'key', and nothing else")),
        _ => return Err(wrong("", "needs 'set', and 'key' or 'on' but not both")),
    };
    match CollectionName::parse(&name) {
        Ok(collection) => Ok(named(place, &collection, what)),
        // What is no name cannot be there.
        Err(_) => Err(Failure::Service(ServiceError::At {
            place,
            error: Box::new(ServiceError::NotFound),
        })),
    }
}

fn named(place: String, collection: &CollectionName, what: AskedWhat) -> Asked {
    Asked {
        place,
        collection: collection.clone(),
        what,
        condition: Precondition::None,
    }
}

fn selected(
    collection: CollectionName,
    condition: Json,
    set: Option<Vec<(String, Json)>>,
    narrow: bool,
) -> Result<MassRequest, Failure> {
    let mut values = vec![];
    let filter = match &condition {
        Json::String(text) => filter(text, &mut values)?,
        json => filter_json(json, &mut values)?,
    };
    Ok(MassRequest {
        collection,
        filter,
        values,
        set,
        narrow,
    })
}

fn few(member: &str, count: usize) -> Result<(), Failure> {
    if count == 0 {
        return Err(Failure::member(
            member,
            "is an empty list; say what shall be done",
        ));
    }
    if count > MAX_STEPS {
        let message = format!("has {count} records, and at most {MAX_STEPS} may be sent at once");
        return Err(Failure::member(member, message));
    }
    Ok(())
}

fn key_list(member: &str, json: Json) -> Result<Vec<String>, Failure> {
    let wrong = || {
        Failure::member(
            member,
            "must be a list of keys, each a text or a whole number",
        )
    };
    let Json::Array(items) = json else {
        return Err(wrong());
    };
    few(member, items.len())?;
    items
        .into_iter()
        .map(|item| key_text(item).ok_or_else(wrong))
        .collect()
}

fn key_text(json: Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text),
        Json::Number(number) if number.is_i64() => Some(number.to_string()),
        _ => None,
    }
}

// `1,2,3`, or a JSON list where a key has a comma in it.
fn parameter_keys(text: &str) -> Result<Vec<String>, Failure> {
    let wrong = || {
        let message =
            "is a list of keys with commas between, or a JSON list: 1,2 or [\"a\",\"b,c\"]";
        Failure::parameter("keys", message)
    };
    if text.starts_with('[') {
        let Ok(Json::Array(items)) = portreeve_http::parse_json(text.as_bytes()) else {
            return Err(wrong());
        };
        let keys: Option<Vec<String>> = items.into_iter().map(key_text).collect();
        return keys.filter(|keys| !keys.is_empty()).ok_or_else(wrong);
    }
    let keys: Vec<String> = text.split(',').map(str::to_owned).collect();
    if keys.iter().any(String::is_empty) {
        return Err(wrong());
    }
    Ok(keys)
}

/// One record or several, as a creation is sent.
pub(crate) enum Creation {
    /// The fields of one.
    One(Vec<(String, Json)>),
    /// Several.
    Many(Vec<Asked>),
}

/// Reads the body of a creation.
pub(crate) fn creation(collection: &CollectionName, json: Json) -> Result<Creation, Failure> {
    match json {
        Json::Array(items) => creations(collection, items).map(Creation::Many),
        json => sent_fields(json).map(Creation::One),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn grades() -> CollectionName {
        CollectionName::main("grades")
    }

    #[test]
    fn records_are_named_or_selected() {
        let named = |json| match updates(grades(), json).ok() {
            Some(Batch::Named(asked)) => asked.into_iter().map(|asked| asked.place).collect(),
            _ => vec![],
        };
        assert_eq!(
            named(json!({ "keys": [1, "b"], "set": { "score": 1 } })),
            ["keys[0]", "keys[1]"]
        );
        assert_eq!(named(json!({ "records": [{ "id": 1 }] })), ["records[0]"]);
        for filter in [
            json!("score > 7"),
            json!({ ">": [{ "field": "score" }, 7] }),
        ] {
            let body = json!({ "filter": filter, "set": {}, "narrow": true });
            let Ok(Batch::Selected(mass)) = updates(grades(), body) else {
                panic!()
            };
            assert!(mass.narrow && mass.values.len() == 1 && mass.set.is_some());
        }
        for wrong in [
            json!([]),
            json!({}),
            json!({ "keys": [1] }),
            json!({ "set": {} }),
            json!({ "keys": [], "set": {} }),
            json!({ "keys": [1.5], "set": {} }),
            json!({ "keys": 1, "set": {} }),
            json!({ "keys": [1], "filter": "a = 1", "set": {} }),
            json!({ "records": [1] }),
            json!({ "records": {} }),
            json!({ "records": [{}], "set": {} }),
            json!({ "filter": 1, "set": {} }),
            json!({ "filter": "a = ", "set": {} }),
            json!({ "keys": [1], "set": {}, "narrow": true }),
            json!({ "key": [1], "set": {} }),
            json!({ "keys": vec![1; MAX_STEPS + 1], "set": {} }),
        ] {
            assert!(updates(grades(), wrong.clone()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn deletions_stand_in_the_query() {
        let keys = |query| match deletions(grades(), query).ok() {
            Some(Batch::Named(asked)) => asked.len(),
            _ => 0,
        };
        assert_eq!(keys("keys=1,2,3"), 3);
        assert_eq!(keys("keys=%5B%22a%2Cb%22%2C7%5D"), 2);
        assert!(matches!(
            deletions(grades(), "filter=score+%3E+1&narrow=true"),
            Ok(Batch::Selected(MassRequest {
                set: None,
                narrow: true,
                ..
            }))
        ));
        for wrong in [
            "",
            "keys=",
            "keys=1,,2",
            "keys=%5B%5D",
            "keys=%5B1",
            "keys=1&filter=a",
            "narrow=true",
            "keys=1&narrow=true",
            "filter=",
        ] {
            assert!(deletions(grades(), wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn changes_say_what_they_do() {
        let good = json!({ "changes": [
            { "create": "grades", "set": {} },
            { "update": "grades", "key": 1, "set": { "score": 1 } },
            { "delete": "shop/orders", "key": "a" },
            { "upsert": "courses", "on": "title", "set": { "title": "a" } },
            { "upsert": "courses", "key": 7, "set": {} },
        ] });
        let asked = changes(good).ok().unwrap();
        assert_eq!(asked[4].place, "changes[4]");
        for wrong in [
            json!({ "create": "grades" }),
            json!({ "changes": [] }),
            json!({ "changes": [{}] }),
            json!({ "changes": [{ "set": {} }] }),
            json!({ "changes": [{ "create": "grades", "delete": "grades", "key": 1 }] }),
            json!({ "changes": [{ "create": "grades", "key": 1, "set": {} }] }),
            json!({ "changes": [{ "update": "grades", "set": {} }] }),
            json!({ "changes": [{ "delete": "grades", "key": 1, "set": {} }] }),
            json!({ "changes": [{ "upsert": "grades", "key": 1, "on": "a", "set": {} }] }),
            json!({ "changes": [{ "create": "no name", "set": {} }] }),
            json!({ "changes": [{ "create": 1, "set": {} }] }),
        ] {
            assert!(changes(wrong.clone()).is_err(), "{wrong}");
        }
    }
}
