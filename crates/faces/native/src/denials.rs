//! What was asked for when one of several changes was denied: which action of the policy, on what.

use portreeve_model::CollectionName;
use portreeve_service::{Asked, AskedWhat, DeniedAsk, ServiceError};

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
