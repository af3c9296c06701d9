//! What `when` says of requests through one face for one of its operations, without knowing the rest of them.

use portreeve_model::{CompareOp, List, Literal, Operand, Rule, Variable};

/// Whether a condition of the moment holds: always, never, or as it happens (`None`).
pub(super) fn holds(rule: &Rule, face: &str, operation: &str) -> Option<bool> {
    let known = |operand: &Operand| -> Option<String> {
        match operand {
            Operand::Variable(Variable::Request(name)) if name == "face" => Some(face.into()),
            Operand::Variable(Variable::Request(name)) if name == "operation" => {
                Some(operation.into())
            }
            Operand::Literal(Literal::Text(text)) => Some(text.clone()),
            _ => None,
        }
    };
    match rule {
        Rule::Constant(constant) => Some(*constant),
        Rule::All(rules) => {
            let parts = || rules.iter().map(|rule| holds(rule, face, operation));
            if parts().any(|part| part == Some(false)) {
                return Some(false);
            }
            parts().all(|part| part == Some(true)).then_some(true)
        }
        Rule::Any(rules) => {
            let parts = || rules.iter().map(|rule| holds(rule, face, operation));
            if parts().any(|part| part == Some(true)) {
                return Some(true);
            }
            parts().all(|part| part == Some(false)).then_some(false)
        }
        Rule::Not(rule) => holds(rule, face, operation).map(|truth| !truth),
        Rule::Compare { left, op, right } => {
            let (left, right) = (known(left)?, known(right)?);
            match op {
                CompareOp::Equal => Some(left == right),
                CompareOp::NotEqual => Some(left != right),
                _ => None,
            }
        }
        Rule::In {
            operand,
            list: List::Items(items),
        } => {
            let wanted = known(operand)?;
            let items: Option<Vec<String>> = items.iter().map(known).collect();
            items.map(|items| items.contains(&wanted))
        }
        Rule::IsNull(operand) => known(operand).map(|_| false),
        _ => None,
    }
}

/// True of every request but those through this face for one of these operations, and true where a request has none.
pub(super) fn beside(face: &str, operations: &[&str]) -> Rule {
    let request = |name: &str| Operand::Variable(Variable::Request(name.into()));
    let text = |text: &str| Operand::Literal(Literal::Text(text.into()));
    let differs = |name: &str, other: &str| Rule::Compare {
        left: request(name),
        op: CompareOp::NotEqual,
        right: text(other),
    };
    let other = match operations {
        [one] => differs("operation", one),
        many => Rule::Not(Box::new(Rule::In {
            operand: request("operation"),
            list: List::Items(many.iter().map(|one| text(one)).collect()),
        })),
    };
    Rule::Any(vec![
        Rule::IsNull(request("face")),
        differs("face", face),
        Rule::IsNull(request("operation")),
        other,
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{parse_rule, print_rule};

    #[test]
    fn what_leaves_out_one_operation_is_known_to() {
        for operations in [&["a:b"][..], &["a:b", "a:c"]] {
            let rule = parse_rule(&print_rule(&beside("kuzzle", operations))).unwrap();
            assert_eq!(holds(&rule, "kuzzle", "a:b"), Some(false));
            assert_eq!(holds(&rule, "kuzzle", "a:d"), Some(true));
            assert_eq!(holds(&rule, "native", "a:b"), Some(true));
        }
        for (text, expected) in [
            ("$request.face = 'kuzzle'", Some(true)),
            (
                "$request.face = 'kuzzle' and $now > '2026-01-01T00:00:00Z'",
                None,
            ),
            (
                "$request.face = 'bknd' and $now > '2026-01-01T00:00:00Z'",
                Some(false),
            ),
            ("$request.ip = '10.0.0.1'", None),
            ("not ($request.operation in ('a:b', 'x'))", Some(false)),
        ] {
            assert_eq!(
                holds(&parse_rule(text).unwrap(), "kuzzle", "a:b"),
                expected,
                "{text}"
            );
        }
    }
}
