//! What the store keeps of each write: when, and by whom. Worked out here, so that it is the same in memory and in
//! both databases.

use std::sync::Arc;

use portreeve_model::{Collection, FieldId, Kept, Value};

use crate::{Context, Record};

/// Adds to what a write assigns what is kept of it. An update that changes nothing is none; what is assigned already
/// (a record that is put back as it was) stays.
pub fn keep(
    collection: &Collection,
    assignments: &mut Vec<(FieldId, Value)>,
    old: Option<&Record>,
    context: &Context,
) {
    let changed = old.is_none_or(|old| {
        assignments
            .iter()
            .any(|(field, value)| old.get(*field) != value)
    });
    if !changed {
        return;
    }
    let user = || {
        let user = context.user.as_ref();
        let id = user.and_then(|user: &Arc<_>| user.get("id"));
        id.cloned().unwrap_or(Value::Null)
    };
    for field in collection.field_ids() {
        let Some(kept) = collection.field(field).kept else {
            continue;
        };
        let made = matches!(kept, Kept::CreatedAt | Kept::CreatedBy);
        if made && old.is_some() || assignments.iter().any(|(assigned, _)| *assigned == field) {
            continue;
        }
        let value = if kept.is_user() {
            user()
        } else {
            Value::Integer(context.now)
        };
        assignments.push((field, value));
    }
}
