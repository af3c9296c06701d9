//! Reads the JSON form.

use portreeve_model::{List, Literal, Operand, Path, Rule};
use serde_json::{Map, Value};

use crate::suggestion;
use crate::text::RuleError;
use crate::text::lexer::{is_number, shown};
use crate::text::limits::{self, MAX_RULE_BYTES, MAX_RULE_DEPTH, MAX_RULE_NODES};
use crate::text::parser::{
    NULL_COMPARED, comparison, date_part, parse_operand, quantifier, text_op,
};

const OPERATORS: [&str; 24] = [
    "and",
    "or",
    "not",
    "=",
    "<>",
    "<",
    "<=",
    ">",
    ">=",
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
];

const OPERANDS: [&str; 14] = [
    "field",
    "var",
    "old",
    "new",
    "count",
    "parameter",
    "number",
    "year",
    "month",
    "day",
    "hour",
    "minute",
    "second",
    "weekday",
];

/// Reads a rule from JSON: `{"=": [{"field": "student"}, {"var": "$user"}]}`.
///
/// The limits are those of the text form. The message of an error begins with the way to the place, such as
/// `in /and/1: …`.
pub fn rule_from_json(json: &Value) -> Result<Rule, RuleError> {
    let mut reader = Reader::default();
    let read = reader.rule(json, 1);
    let read = read.and_then(|rule| limits::check(&rule).map(|()| rule));
    read.map_err(|message| RuleError {
        offset: 0,
        message: match reader.place.as_slice() {
            [] => message,
            place => format!("in /{}: {message}", place.join("/")),
        },
    })
}

type Read<T> = Result<T, String>;

#[derive(Default)]
struct Reader {
    nodes: usize,
    // The way to what is being read; left as it is when something is wrong.
    place: Vec<String>,
}

impl Reader {
    fn inside<T>(
        &mut self,
        step: impl ToString,
        read: impl FnOnce(&mut Self) -> Read<T>,
    ) -> Read<T> {
        self.place.push(step.to_string());
        let result = read(self)?;
        self.place.pop();
        Ok(result)
    }

    fn node(&mut self, depth: usize) -> Read<()> {
        self.nodes += 1;
        if depth > MAX_RULE_DEPTH {
            return Err(limits::too_deep());
        }
        if self.nodes > MAX_RULE_NODES {
            return Err(limits::too_many());
        }
        Ok(())
    }

    fn rule(&mut self, json: &Value, depth: usize) -> Read<Rule> {
        self.node(depth)?;
        if let Value::Bool(value) = json {
            return Ok(Rule::Constant(*value));
        }
        let Value::Object(object) = json else {
            return Err(format!(
                "{} stands where a condition is expected; it is an object with one operator, or true or false",
                kind(json)
            ));
        };
        let (key, value) = only_key(object, "operator", r#"join conditions by {"and": […]}"#)?;
        if key != "!=" && !OPERATORS.contains(&key) {
            return Err(unknown_operator(key));
        }
        self.inside(key, |reader| reader.operator(key, value, depth))
    }

    fn operator(&mut self, key: &str, value: &Value, depth: usize) -> Read<Rule> {
        let symbol = if key == "!=" { "<>" } else { key };
        if let Some(op) = comparison(symbol) {
            let [left, right] = self.operands(key, value, depth)?;
            if [&left, &right].contains(&&Operand::Literal(Literal::Null)) {
                return Err(NULL_COMPARED.into());
            }
            return Ok(Rule::Compare { left, op, right });
        }
        if let Some((op, ignore_case)) = text_op(key) {
            let [operand, needle] = self.operands(key, value, depth)?;
            return Ok(Rule::Text {
                operand,
                op,
                ignore_case,
                needle,
            });
        }
        if let Some(quantifier) = quantifier(key) {
            let [relation, rule] = parts(key, value, "a relation and a condition")?;
            let relation = self.inside(0, |_| path(relation, "a relation"))?;
            let rule = self.inside(1, |reader| reader.rule(rule, depth + 1))?;
            return Ok(Rule::Quantified {
                quantifier,
                relation,
                rule: Box::new(rule),
            });
        }
        Ok(match key {
            "and" | "or" => self.joined(key, value, depth)?,
            "not" => Rule::Not(Box::new(self.rule(value, depth + 1)?)),
            "in" => self.list(value, depth)?,
            "between" => {
                let [operand, low, high] = self.operands(key, value, depth)?;
                Rule::Between { operand, low, high }
            }
            "is_null" => Rule::IsNull(self.operand(value, depth)?),
            "matches" => {
                let [operand, pattern] = parts(key, value, "an operand and a regular expression")?;
                let operand = self.inside(0, |reader| reader.operand(operand, depth))?;
                // An empty one is one too, as in text: it is found everywhere.
                let pattern = self.inside(1, |_| match pattern {
                    Value::String(pattern) => Ok(pattern.clone()),
                    other => name(other, "a regular expression"),
                })?;
                Rule::Matches { operand, pattern }
            }
            "sent" => Rule::Sent(name(value, "a field")?),
            "rule" => self.named(value, depth)?,
            _ => return Err(unknown_operator(key)),
        })
    }

    fn joined(&mut self, key: &str, value: &Value, depth: usize) -> Read<Rule> {
        let Value::Array(items) = value else {
            return Err(format!(
                "{} stands where a list of conditions is expected after '{key}'",
                kind(value)
            ));
        };
        let mut rules = vec![];
        for (place, item) in items.iter().enumerate() {
            rules.push(self.inside(place, |reader| reader.rule(item, depth + 1))?);
        }
        // Programs join what they have gathered. One condition is itself; of none it would be a guess whether they
        // meant all records or no record, and a wrong guess opens a door.
        if rules.len() < 2 {
            return rules.pop().ok_or_else(|| {
                format!(
                    "the list after '{key}' is empty; write true for every record or false for none"
                )
            });
        }
        Ok(if key == "and" {
            Rule::All(rules)
        } else {
            Rule::Any(rules)
        })
    }

    fn list(&mut self, value: &Value, depth: usize) -> Read<Rule> {
        let [operand, list] = parts("in", value, "an operand and a list")?;
        let operand = self.inside(0, |reader| reader.operand(operand, depth))?;
        let list = self.inside(1, |reader| match list {
            Value::Array(items) => {
                let mut operands = vec![];
                for (place, item) in items.iter().enumerate() {
                    operands.push(reader.inside(place, |reader| reader.operand(item, depth))?);
                }
                Ok(List::Items(operands))
            }
            Value::Object(object) if object.contains_key("var") => {
                match reader.operand(list, depth)? {
                    Operand::Variable(variable) => Ok(List::Variable(variable)),
                    _ => Err("a list variable such as $user.roles is expected".into()),
                }
            }
            other => Err(format!(
                r#"{} stands where a list or {{"var": "$user.roles"}} is expected; compare with one value by ="#,
                kind(other)
            )),
        })?;
        Ok(Rule::In { operand, list })
    }

    fn named(&mut self, value: &Value, depth: usize) -> Read<Rule> {
        let Some((first, rest)) = value.as_array().and_then(|list| list.split_first()) else {
            return Err(format!(
                "{} stands where a list of the rule's name and its arguments is expected after 'rule'",
                kind(value)
            ));
        };
        let name = self.inside(0, |_| name(first, "a named rule"))?;
        let mut arguments = vec![];
        for (place, argument) in rest.iter().enumerate() {
            arguments.push(self.inside(place + 1, |reader| reader.operand(argument, depth))?);
        }
        Ok(Rule::Named { name, arguments })
    }

    fn operands<const N: usize>(
        &mut self,
        key: &str,
        value: &Value,
        depth: usize,
    ) -> Read<[Operand; N]> {
        let what = if N == 2 {
            "two operands"
        } else {
            "three operands"
        };
        let parts: [&Value; N] = parts(key, value, what)?;
        let mut operands = std::array::from_fn(|_| Operand::Literal(Literal::Null));
        for (place, (part, operand)) in parts.into_iter().zip(&mut operands).enumerate() {
            *operand = self.inside(place, |reader| reader.operand(part, depth))?;
        }
        Ok(operands)
    }

    fn operand(&mut self, json: &Value, depth: usize) -> Read<Operand> {
        self.node(depth)?;
        let object = match json {
            Value::Null => return Ok(Operand::Literal(Literal::Null)),
            Value::Bool(value) => return Ok(Operand::Literal(Literal::Boolean(*value))),
            Value::Number(number) => {
                return Ok(Operand::Literal(Literal::Number(number.to_string())));
            }
            Value::String(text) => return Ok(Operand::Literal(Literal::Text(text.clone()))),
            Value::Array(_) => {
                return Err(
                    "a list stands where an operand is expected; lists go with 'in'".into(),
                );
            }
            Value::Object(object) => object,
        };
        let hint = r#"a field is {"field": "name"}"#;
        let (key, value) = only_key(object, "kind of operand", hint)?;
        if !OPERANDS.contains(&key) {
            return Err(unknown_operand(key));
        }
        self.inside(key, |reader| {
            Ok(match key {
                "field" => Operand::Path(path(value, "a field")?),
                "old" => Operand::Old(path(value, "a field")?),
                "new" => Operand::New(path(value, "a field")?),
                "count" => Operand::Count(path(value, "a relation")?),
                "parameter" => Operand::Parameter(name(value, "a parameter")?),
                "number" => Operand::Literal(Literal::Number(number(value)?)),
                "var" => variable(value)?,
                _ => match date_part(key) {
                    Some(part) => Operand::Part(part, Box::new(reader.operand(value, depth + 1)?)),
                    None => return Err(unknown_operand(key)),
                },
            })
        })
    }
}

fn only_key<'a>(
    object: &'a Map<String, Value>,
    what: &str,
    hint: &str,
) -> Read<(&'a str, &'a Value)> {
    let mut entries = object.iter();
    match (entries.next(), entries.next()) {
        (Some((key, value)), None) => Ok((key, value)),
        (None, _) => Err(format!(
            "the object is empty where one key, the {what}, is expected"
        )),
        (Some((first, _)), Some((second, _))) => Err(format!(
            "the object has the keys '{}' and '{}' where one, the {what}, is expected; {hint}",
            shown(first),
            shown(second)
        )),
    }
}

fn parts<'a, const N: usize>(key: &str, value: &'a Value, what: &str) -> Read<[&'a Value; N]> {
    let Value::Array(list) = value else {
        return Err(format!(
            "{} stands where a list of {what} is expected after '{key}'",
            kind(value)
        ));
    };
    let found = list.len();
    let parts: Vec<&Value> = list.iter().take(N + 1).collect();
    parts
        .try_into()
        .map_err(|_| format!("the list after '{key}' has length {found} where {what} are expected"))
}

fn unknown_operator(key: &str) -> String {
    const FOREIGN: [(&str, &str); 15] = [
        ("eq", "use '='"),
        ("==", "use '='"),
        ("ne", "use '<>'"),
        ("neq", "use '<>'"),
        ("lt", "use '<'"),
        ("lte", "use '<='"),
        ("gt", "use '>'"),
        ("gte", "use '>='"),
        ("nin", r#"use {"not": {"in": […]}}"#),
        ("not_in", r#"use {"not": {"in": […]}}"#),
        ("is_not_null", r#"use {"not": {"is_null": …}}"#),
        ("like", "use contains, starts_with or ends_with"),
        ("ilike", "use icontains, istarts_with or iends_with"),
        ("all", "use 'and' for conditions, 'every' for a relation"),
        ("any", "use 'or' for conditions, 'some' for a relation"),
    ];
    let word = key.trim_start_matches(['_', '$']);
    let hint = match FOREIGN.iter().find(|(wrong, _)| *wrong == word) {
        Some((_, hint)) => format!("; {hint}"),
        None if OPERANDS.contains(&key) => {
            format!(
                r#"; {{"{key}": …}} is an operand, compare it: {{"=": [{{"{key}": …}}, true]}}"#
            )
        }
        None => match suggestion(&shown(word), OPERATORS) {
            near if !near.is_empty() => near,
            _ => r#"; a field is compared as in {"=": [{"field": "name"}, "value"]}"#.to_owned(),
        },
    };
    format!("'{}' is not an operator{hint}", shown(key))
}

fn unknown_operand(key: &str) -> String {
    if OPERATORS.contains(&key) {
        return format!("'{key}' makes a condition where an operand is expected");
    }
    let hint = match suggestion(&shown(key), OPERANDS) {
        near if !near.is_empty() => near,
        _ => r#"; a field is {"field": "name"}, a variable {"var": "$user"}"#.to_owned(),
    };
    format!("'{}' is not a kind of operand{hint}", shown(key))
}

fn kind(json: &Value) -> String {
    match json {
        Value::Null => "null".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text '{}'", shown(text)),
        Value::Array(list) if list.is_empty() => "an empty list".into(),
        Value::Array(_) => "a list".into(),
        Value::Object(_) => "an object".into(),
    }
}

fn name(json: &Value, what: &str) -> Read<String> {
    match json {
        Value::String(name) if !name.is_empty() => Ok(name.clone()),
        Value::String(_) => Err(format!("the text is empty where {what} is expected")),
        other => Err(format!(
            "{} stands where {what}, as text, is expected",
            kind(other)
        )),
    }
}

// `a.b`, with back quotes around a name that holds a dot or a back quote.
fn path(json: &Value, what: &str) -> Read<Path> {
    let text = name(json, what)?;
    if text.len() > MAX_RULE_BYTES {
        return Err(limits::too_long(text.len()));
    }
    let wrong = || {
        format!(
            "'{}' is not the name of {what}; names are joined by single dots",
            shown(&text)
        )
    };
    let mut names = vec![];
    let mut rest = text.as_str();
    loop {
        let mut name = String::new();
        match rest.strip_prefix('`') {
            None => {
                let end = rest.find(['.', '`']).unwrap_or(rest.len());
                name.push_str(&rest[..end]);
                rest = &rest[end..];
            }
            Some(quoted) => {
                rest = quoted;
                loop {
                    let (piece, behind) = rest.split_once('`').ok_or_else(wrong)?;
                    name.push_str(piece);
                    rest = behind;
                    match rest.strip_prefix('`') {
                        Some(behind) => {
                            name.push('`');
                            rest = behind;
                        }
                        None => break,
                    }
                }
            }
        }
        if name.is_empty() {
            return Err(wrong());
        }
        names.push(name);
        if rest.is_empty() {
            return Ok(Path(names));
        }
        rest = rest.strip_prefix('.').ok_or_else(wrong)?;
    }
}

fn number(json: &Value) -> Read<String> {
    let text = name(json, "a number")?;
    if is_number(&text) {
        return Ok(text);
    }
    Err(format!(
        "'{}' is not a number; digits are expected, such as -12.50",
        shown(&text)
    ))
}

fn variable(json: &Value) -> Read<Operand> {
    let text = name(json, "a variable")?;
    match parse_operand(&text).map_err(|error| error.message)? {
        variable @ Operand::Variable(_) => Ok(variable),
        Operand::Old(_) => {
            Err(r#"'$old' is not written as a variable; use {"old": "field"}"#.into())
        }
        Operand::New(_) => {
            Err(r#"'$new' is not written as a variable; use {"new": "field"}"#.into())
        }
        _ => Err(format!(
            "'{}' is not a variable; it begins with '$', such as $user",
            shown(&text)
        )),
    }
}
