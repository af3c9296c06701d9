//! Arbitrary trees, as far as they can be written: no comparison with null, no caller's values.

use portreeve_model::{
    CompareOp, DatePart, List, Literal, MICROS, Operand, Path, Quantifier, Rule, TextOp, Variable,
};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

const WORDS: [&str; 24] = [
    "and", "or", "not", "in", "is", "null", "between", "true", "false", "some", "every", "none",
    "AND", "And", "count", "year", "second", "sent", "matches", "contains", "user", "now", "a",
    "b",
];

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[a-z_][a-z0-9_]{0,6}",
        2 => "[A-Za-z_]([A-Za-z0-9_]|-[a-z0-9]){0,4}",
        2 => select(&WORDS[..]).prop_map(str::to_owned),
        1 => "[a-z.` '-]{1,5}",
        1 => any::<String>().prop_filter("a name is not empty", |name| !name.is_empty()),
    ]
}

fn names(least: usize) -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec(name(), least..4)
}

fn path() -> impl Strategy<Value = Path> {
    names(1).prop_map(Path)
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>()
            .prop_filter("it is written in digits", |number| number.is_finite())
            .prop_map(|number| number.to_string()),
        "-?[0-9]{1,3}(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?",
    ]
}

fn value() -> impl Strategy<Value = Literal> {
    prop_oneof![
        any::<bool>().prop_map(Literal::Boolean),
        number().prop_map(Literal::Number),
        "[a-z' ]{0,6}".prop_map(Literal::Text),
        any::<String>().prop_map(Literal::Text),
    ]
}

fn variable() -> impl Strategy<Value = Variable> {
    const UNITS: [i64; 6] = [
        1,
        MICROS,
        60 * MICROS,
        3600 * MICROS,
        86_400 * MICROS,
        604_800 * MICROS,
    ];
    let span = (-500_000_i64..500_000, select(&UNITS[..])).prop_map(|(amount, unit)| amount * unit);
    prop_oneof![
        names(0).prop_map(Variable::User),
        span.prop_map(|offset| Variable::Now { offset }),
        select(&["ip", "method", "face", "operation"][..])
            .prop_map(|name| Variable::Request(name.to_owned())),
        names(1).prop_map(Variable::Claims),
    ]
}

fn not_null() -> impl Strategy<Value = Operand> {
    let leaf = prop_oneof![
        4 => path().prop_map(Operand::Path),
        3 => value().prop_map(Operand::Literal),
        2 => variable().prop_map(Operand::Variable),
        1 => path().prop_map(Operand::Old),
        1 => path().prop_map(Operand::New),
        1 => path().prop_map(Operand::Count),
        1 => name().prop_map(Operand::Parameter),
    ];
    leaf.prop_recursive(3, 4, 1, |inner| {
        let inner = prop_oneof![9 => inner, 1 => Just(Operand::Literal(Literal::Null))];
        (select(&DatePart::ALL[..]), inner)
            .prop_map(|(part, inner)| Operand::Part(part, Box::new(inner)))
    })
}

/// Any operand.
pub fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![9 => not_null(), 1 => Just(Operand::Literal(Literal::Null))]
}

fn compare_op() -> impl Strategy<Value = CompareOp> {
    use CompareOp::*;
    select(&[Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual][..])
}

fn leaf() -> impl Strategy<Value = Rule> {
    let operands = || prop::collection::vec(operand(), 0..4);
    prop_oneof![
        any::<bool>().prop_map(Rule::Constant),
        (not_null(), compare_op(), not_null()).prop_map(|(left, op, right)| Rule::Compare {
            left,
            op,
            right
        }),
        path().prop_map(|path| Rule::Compare {
            left: Operand::Path(path),
            op: CompareOp::Equal,
            right: Operand::Literal(Literal::Boolean(true)),
        }),
        (operand(), operands()).prop_map(|(operand, items)| Rule::In {
            operand,
            list: List::Items(items)
        }),
        (operand(), variable()).prop_map(|(operand, list)| Rule::In {
            operand,
            list: List::Variable(list)
        }),
        (operand(), operand(), operand()).prop_map(|(operand, low, high)| Rule::Between {
            operand,
            low,
            high
        }),
        operand().prop_map(Rule::IsNull),
        (
            operand(),
            select(&[TextOp::Contains, TextOp::StartsWith, TextOp::EndsWith][..]),
            any::<bool>(),
            operand()
        )
            .prop_map(|(operand, op, ignore_case, needle)| Rule::Text {
                operand,
                op,
                ignore_case,
                needle
            }),
        (operand(), "[a-z'^$\\\\.*]{1,8}")
            .prop_map(|(operand, pattern)| Rule::Matches { operand, pattern }),
        name().prop_map(Rule::Sent),
        (name(), operands()).prop_map(|(name, arguments)| Rule::Named { name, arguments }),
    ]
}

/// Any rule.
pub fn rule() -> impl Strategy<Value = Rule> {
    leaf().prop_recursive(6, 24, 3, |inner| {
        let several = || prop::collection::vec(inner.clone(), 2..4);
        let quantifier = select(&[Quantifier::Some, Quantifier::Every, Quantifier::None][..]);
        prop_oneof![
            3 => several().prop_map(Rule::All),
            3 => several().prop_map(Rule::Any),
            3 => inner.clone().prop_map(|rule| Rule::Not(Box::new(rule))),
            2 => (quantifier, path(), inner.clone()).prop_map(|(quantifier, relation, rule)| {
                Rule::Quantified { quantifier, relation, rule: Box::new(rule) }
            }),
        ]
    })
}

/// Words and marks of the language in any order, which come closer to a rule than arbitrary text does.
pub fn words() -> impl Strategy<Value = String> {
    const MARKS: [&str; 40] = [
        "(",
        ")",
        ",",
        "=",
        "<>",
        "!=",
        "<",
        "<=",
        ">",
        ">=",
        "+",
        "-",
        "'x'",
        "'",
        "`",
        "`y z`",
        ".",
        "$user",
        "$now",
        "$now - 1 day",
        "$request.ip",
        "$old.a",
        "$claims.b",
        ":c",
        "1",
        "-2.5",
        "a.b",
        "owner(",
        "contains",
        "matches",
        "day",
        "like",
        "==",
        "&&",
        "\"",
        "é",
        "$",
        ":",
        "0.1.2",
        "\n",
    ];
    let word = prop_oneof![select(&MARKS[..]), select(&WORDS[..])];
    prop::collection::vec((word, select(&["", " "][..])), 0..16).prop_map(|words| {
        words
            .into_iter()
            .map(|(word, gap)| format!("{word}{gap}"))
            .collect()
    })
}

/// JSON that resembles a rule more or less.
pub fn json() -> impl Strategy<Value = Value> {
    const KEYS: [&str; 40] = [
        "and",
        "or",
        "not",
        "=",
        "<>",
        "<",
        "<=",
        ">",
        ">=",
        "!=",
        "in",
        "between",
        "is_null",
        "contains",
        "starts_with",
        "ends_with",
        "icontains",
        "istarts_with",
        "iends_with",
        "matches",
        "some",
        "every",
        "none",
        "sent",
        "rule",
        "field",
        "var",
        "old",
        "new",
        "count",
        "parameter",
        "number",
        "year",
        "day",
        "like",
        "$eq",
        "",
        "caller",
        "all",
        "xyz",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        words().prop_map(Value::from),
        name().prop_map(Value::from),
        path().prop_map(|path| json!({"field": path.to_string()})),
        variable().prop_map(|variable| {
            json!({"var": portreeve_policy::print_operand(&Operand::Variable(variable))})
        }),
    ];
    leaf.prop_recursive(5, 32, 3, |inner| {
        let object = (select(&KEYS[..]), inner.clone());
        let pair = (select(&KEYS[..]), inner.clone(), inner.clone());
        prop_oneof![
            2 => prop::collection::vec(inner, 0..4).prop_map(Value::from),
            2 => object.prop_map(|(key, value)| json!({ key: value })),
            4 => pair.prop_map(|(key, a, b)| json!({ key: [a, b] })),
            1 => prop::collection::vec((select(&KEYS[..]), Just(Value::Null)), 0..3).prop_map(
                |entries| Value::Object(Map::from_iter(
                    entries.into_iter().map(|(key, value)| (key.to_owned(), value))
                ))
            ),
        ]
    })
}
