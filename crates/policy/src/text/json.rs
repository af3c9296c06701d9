//! The JSON form: the same tree, for programs that build rules and for callers' filters.
//!
//! A condition is an object whose one key is the operator; a literal stands for itself, every other operand is an
//! object whose one key says what it is.

use portreeve_model::{List, Literal, Operand, Path, Rule};
use serde_json::{Map, Number, Value};

use super::parser::text_word;

mod reader;

pub use reader::rule_from_json;

/// Writes a rule as JSON; [`rule_from_json`] gives the same tree again, except for a caller's value, which only the
/// program itself puts into a tree.
pub fn rule_to_json(rule: &Rule) -> Value {
    match rule {
        Rule::Constant(value) => Value::Bool(*value),
        Rule::All(rules) => object("and", rules.iter().map(rule_to_json).collect()),
        Rule::Any(rules) => object("or", rules.iter().map(rule_to_json).collect()),
        Rule::Not(rule) => object("not", rule_to_json(rule)),
        Rule::Compare { left, op, right } => object(op.symbol(), operands([left, right])),
        Rule::In { operand, list } => {
            let list = match list {
                List::Items(items) => operands(items),
                List::Variable(variable) => operand_to_json(&Operand::Variable(variable.clone())),
            };
            object("in", Value::Array(vec![operand_to_json(operand), list]))
        }
        Rule::Between { operand, low, high } => object("between", operands([operand, low, high])),
        Rule::IsNull(operand) => object("is_null", operand_to_json(operand)),
        Rule::Text {
            operand,
            op,
            ignore_case,
            needle,
        } => object(text_word(*op, *ignore_case), operands([operand, needle])),
        Rule::Matches { operand, pattern } => object(
            "matches",
            Value::Array(vec![operand_to_json(operand), text(pattern)]),
        ),
        Rule::Quantified {
            quantifier,
            relation,
            rule,
        } => object(
            quantifier.word(),
            Value::Array(vec![path(relation), rule_to_json(rule)]),
        ),
        Rule::Sent(name) => object("sent", text(name)),
        Rule::Named { name, arguments } => {
            let list = std::iter::once(text(name)).chain(arguments.iter().map(operand_to_json));
            object("rule", list.collect())
        }
    }
}

fn operand_to_json(operand: &Operand) -> Value {
    match operand {
        Operand::Literal(Literal::Null) => Value::Null,
        Operand::Literal(Literal::Boolean(value)) => Value::Bool(*value),
        Operand::Literal(Literal::Number(number)) => match exact_number(number) {
            Some(number) => Value::Number(number),
            None => object("number", text(number)),
        },
        Operand::Literal(Literal::Text(value)) => text(value),
        Operand::Literal(Literal::Caller(index)) => object("caller", Value::from(*index)),
        Operand::Path(names) => object("field", path(names)),
        Operand::Old(names) => object("old", path(names)),
        Operand::New(names) => object("new", path(names)),
        Operand::Variable(_) => object("var", Value::String(super::print_operand(operand))),
        Operand::Count(names) => object("count", path(names)),
        Operand::Part(part, inner) => object(part.word(), operand_to_json(inner)),
        Operand::Parameter(name) => object("parameter", text(name)),
    }
}

fn operands<'a>(operands: impl IntoIterator<Item = &'a Operand>) -> Value {
    operands.into_iter().map(operand_to_json).collect()
}

fn object(key: &str, value: Value) -> Value {
    Value::Object(Map::from_iter([(key.to_owned(), value)]))
}

fn text(value: &str) -> Value {
    Value::String(value.to_owned())
}

// JSON needs no back quotes around unusual names, only around those that hold a dot or a back quote themselves.
fn path(path: &Path) -> Value {
    let names = path.0.iter().map(|name| {
        if name.contains(['.', '`']) {
            format!("`{}`", name.replace('`', "``"))
        } else {
            name.clone()
        }
    });
    Value::String(names.collect::<Vec<_>>().join("."))
}

// The number as JSON holds it, if reading it gives the same digits back. Up to fifteen of them and without an exponent
// any reader of doubles is exact; beyond, readers differ in the last digit, ours among them.
fn exact_number(text: &str) -> Option<Number> {
    let number = match text.parse::<i64>() {
        Ok(integer) => Number::from(integer),
        Err(_) if text.contains(['e', 'E']) => return None,
        Err(_) if text.bytes().filter(u8::is_ascii_digit).count() > 15 => return None,
        Err(_) => Number::from_f64(text.parse().ok()?)?,
    };
    (number.to_string() == text).then_some(number)
}
