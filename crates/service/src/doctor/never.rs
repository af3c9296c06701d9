//! Permissions that can never count: rules that hold for nothing, whatever the records are.

use portreeve_model::{CompareOp, List, Literal, Operand, Rule, Variable, timestamp};
use portreeve_policy::{Document, Effect, Permission};

use super::{Findings, Severity};

pub(super) fn look(document: &Document, now: i64, findings: &mut Findings) {
    for role in &document.roles {
        let place = format!("roles.{}", role.key);
        if role.when.as_ref().is_some_and(|when| never(when, now)) {
            add(
                &format!("{place}.when"),
                "no permission of it counts",
                findings,
            );
        }
        for (index, permission) in role.permissions.iter().enumerate() {
            let place = format!("{place}.permissions[{index}]");
            permission_is_dead(permission, &place, now, findings);
        }
    }
}

fn permission_is_dead(permission: &Permission, place: &str, now: i64, findings: &mut Findings) {
    let parts = [
        ("rows", &permission.rows),
        ("check", &permission.check),
        ("when", &permission.when),
    ];
    let (does, nothing) = match permission.effect {
        Effect::Allow => ("allows", "fields: []"),
        Effect::Deny => ("denies", ""),
    };
    for (name, rule) in parts {
        if rule.as_ref().is_some_and(|rule| never(rule, now)) {
            add(
                &format!("{place}.{name}"),
                &format!("it {does} nothing"),
                findings,
            );
        }
    }
    let fields = permission.fields.as_ref();
    if !nothing.is_empty() && fields.is_some_and(Vec::is_empty) {
        findings.add(
            "grant-never",
            Severity::Warning,
            place,
            "it names no field, so it allows nothing",
            "name fields, or take the permission out",
        );
    }
}

fn add(place: &str, so: &str, findings: &mut Findings) {
    findings.add(
        "grant-never",
        Severity::Warning,
        place,
        format!("this can hold no more, or never could: {so}"),
        "correct the rule, or take the permission out",
    );
}

/// Whether a rule holds for no record, nobody and no moment from now on. What cannot be told might hold.
fn never(rule: &Rule, now: i64) -> bool {
    match rule {
        Rule::Constant(constant) => !constant,
        Rule::All(rules) => rules.iter().any(|rule| never(rule, now)) || contradict(rules),
        Rule::Any(rules) => rules.iter().all(|rule| never(rule, now)),
        Rule::Not(rule) => matches!(**rule, Rule::Constant(true)),
        Rule::In { list, .. } => matches!(list, List::Items(items) if items.is_empty()),
        Rule::Compare { left, op, right } => compared(left, *op, right, now),
        Rule::Between { low, high, .. } => {
            matches!((number(low), number(high)), (Some(low), Some(high)) if low > high)
        }
        _ => false,
    }
}

// Two that cannot both hold: one operand that is to equal two values, or a value and nothing.
fn contradict(rules: &[Rule]) -> bool {
    let equals = |rule: &Rule| match rule {
        Rule::Compare {
            left,
            op: CompareOp::Equal,
            right: Operand::Literal(literal),
        } => Some((left.clone(), Some(literal.clone()))),
        Rule::IsNull(operand) => Some((operand.clone(), None)),
        _ => None,
    };
    let known: Vec<_> = rules.iter().filter_map(equals).collect();
    known.iter().enumerate().any(|(place, (operand, value))| {
        let mut others = known[place + 1..].iter();
        others.any(|(other, wanted)| other == operand && wanted != value)
    })
}

fn compared(left: &Operand, op: CompareOp, right: &Operand, now: i64) -> bool {
    let is_null = |operand: &Operand| matches!(operand, Operand::Literal(Literal::Null));
    if is_null(left) || is_null(right) {
        // Unknown whatever it is compared with; `is null` asks for it.
        return true;
    }
    // Now only grows.
    match (moment(left), moment(right)) {
        (Some(Moment::Now(offset)), Some(Moment::At(at))) => match op {
            CompareOp::Less | CompareOp::LessOrEqual | CompareOp::Equal => {
                now.saturating_add(offset) > at
            }
            _ => false,
        },
        (Some(Moment::At(at)), Some(Moment::Now(offset))) => match op {
            CompareOp::Greater | CompareOp::GreaterOrEqual | CompareOp::Equal => {
                now.saturating_add(offset) > at
            }
            _ => false,
        },
        _ => {
            matches!((left, op, right), (Operand::Literal(a), CompareOp::Equal, Operand::Literal(b)) if a != b)
        }
    }
}

enum Moment {
    Now(i64),
    At(i64),
}

fn moment(operand: &Operand) -> Option<Moment> {
    match operand {
        Operand::Variable(Variable::Now { offset }) => Some(Moment::Now(*offset)),
        Operand::Literal(Literal::Text(text)) => timestamp(text).ok().map(Moment::At),
        _ => None,
    }
}

fn number(operand: &Operand) -> Option<f64> {
    match operand {
        Operand::Literal(Literal::Number(text)) => text.parse().ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use portreeve_policy::parse_rule;

    use super::never;

    #[test]
    fn what_can_never_hold_is_told_from_what_might() {
        let now = portreeve_model::timestamp("2026-06-01T00:00:00Z").unwrap();
        let never = |text: &str| never(&parse_rule(text).unwrap(), now);
        for dead in [
            "false",
            "a = 1 and a = 2",
            "a = 1 and a is null",
            "b = 1 and false",
            "false or false",
            "$now < '2026-01-01T00:00:00Z'",
            "'2026-01-01T00:00:00Z' >= $now",
            "'x' = 'y'",
            "a between 9 and 1",
        ] {
            assert!(never(dead), "{dead}");
        }
        for alive in [
            "true",
            "a = 1 and b = 2",
            "a = 1 or false",
            "$now < '2027-01-01T00:00:00Z'",
            "$now > '2027-01-01T00:00:00Z'",
            "$now >= '2026-01-01T00:00:00Z'",
            "a in (1)",
            "a between 1 and 9",
            "not a = 1",
            "a is null",
        ] {
            assert!(!never(alive), "{alive}");
        }
    }
}
