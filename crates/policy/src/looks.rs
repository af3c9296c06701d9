//! Which collections a condition looks into beside the record it is asked about.

use std::collections::BTreeSet;

use portreeve_model::{CollectionId, Condition, PathTerm, Relation, Term, Via};

/// Adds the collections whose records decide a condition; the record's own only where it is come to again.
pub(crate) fn looks_into(condition: &Condition, found: &mut BTreeSet<CollectionId>) {
    match condition {
        Condition::Constant(_) | Condition::Sent(_) => {}
        Condition::All(parts) | Condition::Any(parts) => {
            parts.iter().for_each(|part| looks_into(part, found));
        }
        Condition::Not(inner) => looks_into(inner, found),
        Condition::Compare { left, right, .. } => {
            term(left, found);
            term(right, found);
        }
        Condition::In { term: one, items } => {
            term(one, found);
            items.iter().for_each(|item| term(item, found));
        }
        Condition::InVariable { term: one, .. }
        | Condition::IsNull(one)
        | Condition::Matches { term: one, .. } => term(one, found),
        Condition::Text {
            term: one, needle, ..
        } => {
            term(one, found);
            term(needle, found);
        }
        Condition::Quantified {
            relation: one,
            condition,
            ..
        } => {
            relation(one, found);
            looks_into(condition, found);
        }
    }
}

fn term(one: &Term, found: &mut BTreeSet<CollectionId>) {
    match one {
        Term::Slot(..) => {}
        Term::Path(one) => path(one, found),
        Term::Count(one) => relation(one, found),
        Term::Part(_, inner) => term(inner, found),
    }
}

fn path(path: &PathTerm, found: &mut BTreeSet<CollectionId>) {
    if let Some(guard) = &path.guard {
        looks_into(guard, found);
    }
    for hop in &path.hops {
        found.insert(hop.target);
        if let Some(guard) = &hop.guard {
            looks_into(guard, found);
        }
    }
}

fn relation(relation: &Relation, found: &mut BTreeSet<CollectionId>) {
    path(&relation.from, found);
    found.insert(relation.target);
    if let Via::Through { junction, .. } = relation.via {
        found.insert(junction);
    }
    for guard in [&relation.guard, &relation.junction_guard]
        .into_iter()
        .flatten()
    {
        looks_into(guard, found);
    }
}
