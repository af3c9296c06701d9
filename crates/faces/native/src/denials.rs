//! What was asked for when it was denied: which action of the policy an operation of this face is, on what.

use portreeve_model::CollectionName;
use portreeve_service::{Asked, AskedWhat, DeniedAsk, ServiceError};

/// The action behind an operation, where there is one.
pub(crate) fn action(operation: &str) -> Option<&'static str> {
    Some(match operation {
        "records.list" | "audit.list" => "data.read.many",
        "records.one" => "data.read.one",
        "records.aggregate" => "data.read.count",
        "records.create" => "data.create.one",
        "records.put" | "records.update" => "data.update.one",
        "records.update-many" => "data.update.many",
        "records.delete" => "data.delete.one",
        "records.delete-many" => "data.delete.many",
        "subscribe" => "data.subscribe",
        "collections.create" | "collections.alter" | "collections.delete" => "policy.apply",
        "check" => "policy.simulate",
        "explain" => "policy.explain",
        "access.show" | "access.plan" => "policy.plan",
        "access.apply" => "policy.apply",
        "roles.create" | "roles.one" | "roles.list" | "roles.put" | "roles.change"
        | "roles.delete" | "profiles.create" | "profiles.one" | "profiles.list"
        | "profiles.put" | "profiles.change" | "profiles.delete" | "registration.show"
        | "registration.put" => "access.author",
        "bindings.create" | "bindings.change" => "access.grant",
        "bindings.delete" => "access.revoke",
        "templates.list" | "templates.one" | "templates.put" | "templates.delete" => {
            "server.settings"
        }
        _ => return None,
    })
}

/// The collection it is about, where the path does not name one.
pub(crate) fn collection(operation: &str) -> Option<&'static str> {
    (operation == "audit.list").then_some("audit")
}

/// What one of several changes was about: the one that the error names, or the one there is.
pub(crate) fn of_changes(asked: &[Asked], error: &ServiceError) -> Option<DeniedAsk> {
    let place = match error {
        ServiceError::At { place, .. } => place.as_str(),
        _ => "",
    };
    let found = match asked {
        [one] => Some(one),
        // What is nested in it has a longer place.
        several => several
            .iter()
            .filter(|one| place.starts_with(one.place.as_str()))
            .max_by_key(|one| one.place.len()),
    }?;
    Some(of_change(&found.collection, &found.what))
}

fn of_change(collection: &CollectionName, what: &AskedWhat) -> DeniedAsk {
    let (action, key) = match what {
        AskedWhat::Create(_) => ("data.create.many", None),
        AskedWhat::Update { key, .. } | AskedWhat::Upsert { key, .. } => {
            ("data.update.many", key.clone())
        }
        AskedWhat::Delete { key } => ("data.delete.many", Some(key.clone())),
    };
    DeniedAsk {
        action: Some(action.into()),
        collection: Some(collection.to_string()),
        key,
    }
}
