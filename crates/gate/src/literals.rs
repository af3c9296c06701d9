//! Takes the literals out of a caller's filter, so that its shape can be compared and its values bound.

use portreeve_model::{FieldType, List, Literal, Operand, Rule, Value, ValueError};

/// The rule with every literal replaced by [`Literal::Caller`], counting on from `values`, which takes them up.
pub fn take_literals(rule: Rule, values: &mut Vec<Literal>) -> Rule {
    let mut take = |operand| take_operand(operand, values);
    match rule {
        Rule::Compare { left, op, right } => Rule::Compare {
            left: take(left),
            op,
            right: take(right),
        },
        Rule::In {
            operand,
            list: List::Items(items),
        } => {
            let operand = take(operand);
            Rule::In {
                operand,
                list: List::Items(items.into_iter().map(take).collect()),
            }
        }
        Rule::Between { operand, low, high } => {
            let operand = take(operand);
            Rule::Between {
                operand,
                low: take(low),
                high: take(high),
            }
        }
        Rule::Text {
            operand,
            op,
            ignore_case,
            needle,
        } => {
            let operand = take(operand);
            Rule::Text {
                operand,
                op,
                ignore_case,
                needle: take(needle),
            }
        }
        Rule::All(rules) => Rule::All(
            rules
                .into_iter()
                .map(|rule| take_literals(rule, values))
                .collect(),
        ),
        Rule::Any(rules) => Rule::Any(
            rules
                .into_iter()
                .map(|rule| take_literals(rule, values))
                .collect(),
        ),
        Rule::Not(rule) => Rule::Not(Box::new(take_literals(*rule, values))),
        Rule::Quantified {
            quantifier,
            relation,
            rule,
        } => Rule::Quantified {
            quantifier,
            relation,
            rule: Box::new(take_literals(*rule, values)),
        },
        other => other,
    }
}

fn take_operand(operand: Operand, values: &mut Vec<Literal>) -> Operand {
    match operand {
        // Null stays: comparing with it is an error of the rule, not of a value.
        Operand::Literal(Literal::Null) => Operand::Literal(Literal::Null),
        Operand::Literal(literal) => {
            values.push(literal);
            Operand::Literal(Literal::Caller(values.len() - 1))
        }
        other => other,
    }
}

/// A caller's literal as a value of the type its place in the query wants.
pub fn caller_value(literal: &Literal, ty: FieldType) -> Result<Value, ValueError> {
    let misfit = |shown: String| Err(ValueError(format!("{shown} cannot be compared with {ty}")));
    match (literal, ty) {
        (Literal::Boolean(bool), FieldType::Boolean) => Ok(Value::Boolean(*bool)),
        (Literal::Number(text), FieldType::Integer | FieldType::Float | FieldType::Decimal(_)) => {
            Value::from_text(ty, text)
        }
        (
            Literal::Text(text),
            FieldType::Text | FieldType::Timestamp | FieldType::Datetime | FieldType::Uuid,
        ) => Value::from_text(ty, text),
        (Literal::Text(text), _) => misfit(format!("'{text}'")),
        (Literal::Number(text), _) => misfit(text.clone()),
        (Literal::Boolean(bool), _) => misfit(bool.to_string()),
        (Literal::Null | Literal::Caller(_), _) => Ok(Value::Null),
    }
}
