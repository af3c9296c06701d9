//! The lines themselves. What reads them is `load`.

use portreeve_model::{Collection, CollectionName};
use portreeve_policy::SYSTEM_COLLECTIONS;
use serde_json::{Value as Json, json};

use super::Row;

/// Whether these are the accounts, which have lines of their own.
pub(super) fn is_users(collection: &Collection) -> bool {
    collection.name == CollectionName::main("users")
}

/// Under which name the hash of an account's password comes along: no column of it has that name.
pub(super) const HASH: &str = "password_hash";

/// An account. Its password is not among what can be read.
pub(super) fn user(row: Row, bindings: &[Row]) -> Json {
    let ours: &[_] = SYSTEM_COLLECTIONS
        .iter()
        .find(|(name, _)| *name == "users")
        .map_or(&[], |(_, columns)| columns);
    let (mut user, mut own) = (Row::new(), Row::new());
    for (name, value) in row {
        if name == HASH || ours.iter().any(|(column, ..)| *column == name) {
            user.insert(name, value);
        } else {
            own.insert(name, value);
        }
    }
    let mut bindings: Vec<Json> = bindings.iter().map(binding).collect();
    // Their ids, by which they come, are made anew elsewhere; an export of an export has to be the same.
    bindings.sort_by_cached_key(Json::to_string);
    user.insert("bindings".into(), bindings.into());
    user.insert("values".into(), own.into());
    json!({ "user": user })
}

// What is not said of it is nothing.
fn binding(row: &Row) -> Json {
    let said = ["role", "profile", "restricted_to", "from", "until"];
    let mut binding: Row = said
        .into_iter()
        .filter_map(|name| Some((name.to_owned(), row.get(name)?.clone())))
        .filter(|(_, value)| !value.is_null())
        .collect();
    if row.get("primary") == Some(&Json::Bool(true)) {
        binding.insert("primary".into(), true.into());
    }
    binding.into()
}

/// A record.
pub(super) fn record(collection: &Collection, values: Row) -> Json {
    json!({ "record": { "collection": collection.name.to_string(), "values": values } })
}

/// What a record points at, where that comes after it.
pub(super) fn update(collection: &Collection, key: Json, values: Row) -> Json {
    json!({ "update": { "collection": collection.name.to_string(), "key": key, "values": values } })
}
