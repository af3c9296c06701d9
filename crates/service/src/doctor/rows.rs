//! Row rules that look at every record, since no index leads to those they let through.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_model::{
    Collection, CompareOp, Condition, FieldId, FieldType, PathTerm, Slot, Start, Term,
};
use portreeve_policy::{Binding, Context, Document, READ_MANY, Snapshot};

use super::{Findings, Severity};

/// How a condition can be met by looking something up.
enum Lookup {
    /// There is an index for it.
    Indexed,
    /// There would be one, if these fields had one each.
    Wants(Vec<FieldId>),
    /// It has to be asked of every record.
    No,
}

pub(super) fn look(
    snapshot: &Arc<Snapshot>,
    document: &Document,
    now: i64,
    findings: &mut Findings,
) {
    let mut wanted: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    for role in &document.roles {
        let set = snapshot.through(&Binding::to_role(&role.key), now);
        let context = Context {
            now,
            ..Context::default()
        };
        for collection in snapshot.catalog().iter() {
            // Whose tables were there before has his own indexes.
            if collection.existing.is_some() || collection.system {
                continue;
            }
            let rights = set.rights(snapshot, collection.id, READ_MANY, &context);
            for grant in rights.layers().iter().flat_map(|layer| &layer.allows) {
                let Some(rows) = &grant.body.rows else {
                    continue;
                };
                let Lookup::Wants(fields) = lookup(rows, collection) else {
                    continue;
                };
                for field in fields {
                    let field = collection.field(field).name.to_string();
                    let place = format!("roles.{}.permissions[{}].rows", role.key, grant.position);
                    let key = (collection.name.to_string(), field);
                    let places = wanted.entry(key).or_default();
                    if !places.contains(&place) {
                        places.push(place);
                    }
                }
            }
        }
    }
    for ((collection, field), places) in wanted {
        findings.add(
            "index-missing",
            Severity::Notice,
            places.join(", "),
            format!(
                "lists of '{collection}' compare '{field}' of every record, since it has no index"
            ),
            format!("collections.{collection}.indexes: add [{field}]"),
        );
    }
}

fn lookup(condition: &Condition, collection: &Collection) -> Lookup {
    match condition {
        Condition::Compare {
            left,
            op: CompareOp::Equal,
            right,
        } => match (left, right) {
            (Term::Path(path), Term::Slot(slot, _)) | (Term::Slot(slot, _), Term::Path(path)) => {
                compared(path, slot, collection)
            }
            (Term::Path(path), Term::Path(other)) | (Term::Path(other), Term::Path(path))
                if matches!(other.start, Start::User(_)) =>
            {
                field(path, collection)
            }
            _ => Lookup::No,
        },
        Condition::InVariable {
            term: Term::Path(path),
            ..
        } => field(path, collection),
        Condition::All(parts) => {
            let mut all = Lookup::No;
            for part in parts {
                match lookup(part, collection) {
                    Lookup::Indexed => return Lookup::Indexed,
                    Lookup::Wants(fields) if matches!(all, Lookup::No) => {
                        all = Lookup::Wants(fields);
                    }
                    _ => {}
                }
            }
            all
        }
        Condition::Any(parts) => {
            let mut all = vec![];
            for part in parts {
                match lookup(part, collection) {
                    Lookup::Indexed => {}
                    Lookup::Wants(fields) => all.extend(fields),
                    Lookup::No => return Lookup::No,
                }
            }
            if all.is_empty() {
                Lookup::Indexed
            } else {
                Lookup::Wants(all)
            }
        }
        _ => Lookup::No,
    }
}

// A literal divides the records into few heaps; what belongs to somebody is a small one.
fn compared(path: &PathTerm, slot: &Slot, collection: &Collection) -> Lookup {
    match slot {
        Slot::User(_) | Slot::Claims(_) => field(path, collection),
        _ => Lookup::No,
    }
}

fn field(path: &PathTerm, collection: &Collection) -> Lookup {
    let Start::Field(id) = &path.start else {
        return Lookup::No;
    };
    let field = collection.field(*id);
    let leads = |index: &Vec<FieldId>| index.first() == Some(id);
    // Relations have an index of their own.
    if *id == collection.key
        || field.unique
        || field.relation.is_some()
        || collection.indexes.iter().any(leads)
    {
        return Lookup::Indexed;
    }
    match field.ty {
        FieldType::Boolean | FieldType::Json | FieldType::Overflow => Lookup::No,
        _ if path.hops.is_empty() => Lookup::Wants(vec![*id]),
        _ => Lookup::No,
    }
}
