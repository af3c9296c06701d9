//! Whether one condition follows from others, by their text alone.

use portreeve_model::Condition;

/// What must all hold for these to hold.
pub(super) fn parts<'c>(conditions: impl IntoIterator<Item = &'c Condition>) -> Vec<&'c Condition> {
    let mut parts = vec![];
    for condition in conditions {
        collect(condition, &mut parts);
    }
    parts
}

fn collect<'c>(condition: &'c Condition, parts: &mut Vec<&'c Condition>) {
    match condition {
        Condition::All(inner) => inner.iter().for_each(|one| collect(one, parts)),
        Condition::Constant(true) => {}
        Condition::Not(inner) => match &**inner {
            Condition::Not(twice) => collect(twice, parts),
            _ => parts.push(condition),
        },
        _ => parts.push(condition),
    }
}

/// Whether all of `wanted` are true wherever all of `given` are, and not false wherever none of `given` is: every part of
/// what is wanted stands among the parts of what is given, or is a choice that one of them makes.
pub(super) fn follows(wanted: &[&Condition], given: &[&Condition]) -> bool {
    wanted.iter().all(|part| {
        given.iter().any(|known| same(part, known))
            || match part {
                Condition::Any(choices) => choices
                    .iter()
                    .any(|choice| follows(&parts([choice]), given)),
                _ => false,
            }
    })
}

/// Whether two conditions say the same, apart from order.
fn same(a: &Condition, b: &Condition) -> bool {
    if a == b {
        return true;
    }
    let within = |these: &[Condition], those: &[Condition]| {
        these
            .iter()
            .all(|one| those.iter().any(|other| same(one, other)))
    };
    match (a, b) {
        (Condition::Any(these), Condition::Any(those)) => {
            within(these, those) && within(those, these)
        }
        (Condition::All(these), Condition::All(those)) => {
            within(these, those) && within(those, these)
        }
        (Condition::Not(this), Condition::Not(that)) => same(this, that),
        (
            Condition::Compare { left, op, right },
            Condition::Compare {
                left: other_left,
                op: other_op,
                right: other_right,
            },
        ) => left == other_right && right == other_left && op.flipped() == *other_op,
        _ => false,
    }
}

/// Whether it asks what a write names, which depends on how the write is put and not on what it does.
pub(super) fn asks_what_is_sent(condition: &Condition) -> bool {
    match condition {
        Condition::Sent(_) => true,
        Condition::All(inner) | Condition::Any(inner) => inner.iter().any(asks_what_is_sent),
        Condition::Not(inner) => asks_what_is_sent(inner),
        Condition::Quantified { condition, .. } => asks_what_is_sent(condition),
        _ => false,
    }
}
