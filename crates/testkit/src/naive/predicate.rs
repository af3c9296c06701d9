//! What a predicate says of a record: "Logic inside is three-valued (Kleene): a null, a missing variable or a type
//! mismatch is *unknown*; only `is null` always decides."

use std::cmp::Ordering;

use portreeve_model::{
    FieldType, List, Literal, Operand, Path, Quantifier, Rule, TextOp, Value, Variable,
};
use portreeve_policy::RelationVia;

use super::schema::{Collection, USERS, field_of};
use super::{Record, Referee};

/// True, false, or `None` for unknown.
pub type Truth = Option<bool>;

/// What a predicate is asked of.
#[derive(Clone, Copy)]
pub struct At<'a> {
    record: Option<(&'a Collection, &'a Record)>,
    write: Option<Change<'a>>,
    /// The operands are a caller's: they see only what he may read.
    caller: bool,
}

/// The write a check is about.
#[derive(Clone, Copy)]
pub struct Change<'a> {
    pub collection: &'a Collection,
    pub old: Option<&'a Record>,
    pub new: &'a Record,
    pub sent: &'a Record,
}

impl<'a> At<'a> {
    /// No record: `when`.
    pub fn nowhere() -> Self {
        Self {
            record: None,
            write: None,
            caller: false,
        }
    }

    /// A rule's own predicate: it sees everything.
    pub fn rows(collection: &'a Collection, record: &'a Record) -> Self {
        Self {
            record: Some((collection, record)),
            ..Self::nowhere()
        }
    }

    /// A check: a bare field is the new value.
    pub fn check(change: Change<'a>) -> Self {
        Self {
            record: Some((change.collection, change.new)),
            write: Some(change),
            caller: false,
        }
    }

    /// A caller's filter.
    pub fn operand_of_caller(collection: &'a Collection, record: &'a Record) -> Self {
        Self {
            caller: true,
            ..Self::rows(collection, record)
        }
    }
}

fn all(truths: impl IntoIterator<Item = Truth>) -> Truth {
    let truths: Vec<Truth> = truths.into_iter().collect();
    if truths.contains(&Some(false)) {
        Some(false)
    } else if truths.contains(&None) {
        None
    } else {
        Some(true)
    }
}

fn any(truths: impl IntoIterator<Item = Truth>) -> Truth {
    negated(all(truths.into_iter().map(negated)))
}

fn negated(truth: Truth) -> Truth {
    truth.map(|truth| !truth)
}

/// How two values of one type compare; nothing compares with null.
pub fn order(left: &Value, right: &Value) -> Option<Ordering> {
    match (left, right) {
        (Value::Boolean(left), Value::Boolean(right)) => Some(left.cmp(right)),
        (Value::Integer(left), Value::Integer(right)) => Some(left.cmp(right)),
        (Value::Float(left), Value::Float(right)) => left.partial_cmp(right),
        // UTF-8 sorts by bytes as it does by code points.
        (Value::Text(left), Value::Text(right)) => Some(left.as_bytes().cmp(right.as_bytes())),
        _ => None,
    }
}

fn equal(left: &Value, right: &Value) -> Truth {
    order(left, right).map(Ordering::is_eq)
}

impl Referee<'_> {
    pub fn truth(&self, rule: &Rule, at: &At) -> Truth {
        match rule {
            Rule::Constant(truth) => Some(*truth),
            Rule::All(rules) => all(rules.iter().map(|rule| self.truth(rule, at))),
            Rule::Any(rules) => any(rules.iter().map(|rule| self.truth(rule, at))),
            Rule::Not(rule) => negated(self.truth(rule, at)),
            Rule::Compare { left, op, right } => {
                let values = self.values(&[left, right], at);
                order(&values[0], &values[1]).map(|ordering| op.holds(ordering))
            }
            Rule::In { operand, list } => self.is_in(operand, list, at),
            Rule::Between { operand, low, high } => {
                let values = self.values(&[operand, low, high], at);
                all([
                    order(&values[0], &values[1]).map(Ordering::is_ge),
                    order(&values[0], &values[2]).map(Ordering::is_le),
                ])
            }
            Rule::IsNull(operand) => Some(self.values(&[operand], at)[0].is_null()),
            Rule::Text {
                operand,
                op,
                ignore_case,
                needle,
            } => {
                let mut text = self.text(operand, at)?;
                let mut needle = self.text(needle, at)?;
                if *ignore_case {
                    text.make_ascii_lowercase();
                    needle.make_ascii_lowercase();
                }
                Some(match op {
                    TextOp::Contains => text.contains(&needle),
                    TextOp::StartsWith => text.starts_with(&needle),
                    TextOp::EndsWith => text.ends_with(&needle),
                })
            }
            Rule::Matches { operand, pattern } => {
                let text = self.text(operand, at)?;
                regex::Regex::new(pattern)
                    .ok()
                    .map(|regex| regex.is_match(&text))
            }
            Rule::Quantified {
                quantifier,
                relation,
                rule,
            } => {
                let truths = self.related_through(relation, at, |target, record| {
                    let at = At {
                        record: Some((target, record)),
                        ..*at
                    };
                    self.truth(rule, &at)
                });
                match quantifier {
                    Quantifier::Some => any(truths),
                    Quantifier::Every => all(truths),
                    Quantifier::None => negated(any(truths)),
                }
            }
            Rule::Sent(field) => Some(at.write?.sent.contains_key(field)),
            Rule::Named { name, arguments } => {
                let named = self.world.document.rules.iter().find(|r| r.name == *name)?;
                let arguments: Vec<(&String, &Operand)> =
                    named.parameters.iter().zip(arguments).collect();
                self.truth(&filled_in(&named.rule, &arguments), at)
            }
        }
    }

    /// `in`: equality with one of the items; "empty `in` is false", whatever is looked for.
    fn is_in(&self, operand: &Operand, list: &List, at: &At) -> Truth {
        match list {
            List::Items(items) => {
                let operands: Vec<&Operand> = std::iter::once(operand).chain(items).collect();
                let values = self.values(&operands, at);
                any(values[1..].iter().map(|item| equal(&values[0], item)))
            }
            List::Variable(Variable::User(path)) if *path == ["roles"] => {
                let value = self.value(operand, FieldType::Text, at);
                let roles = self.roles_in_force();
                any(roles
                    .iter()
                    .map(|role| equal(&value, &Value::from(role.as_str()))))
            }
            List::Variable(Variable::Claims(path)) => {
                let ty = self.type_of(operand, at).unwrap_or(FieldType::Text);
                let value = self.value(operand, ty, at);
                let items = self.claim(path)?.as_array()?;
                any(items.iter().map(|item| {
                    let item = Value::from_json(ty, item).unwrap_or(Value::Null);
                    equal(&value, &item)
                }))
            }
            List::Variable(_) => None,
        }
    }

    fn text(&self, operand: &Operand, at: &At) -> Option<String> {
        let value = self.value(operand, FieldType::Text, at);
        value.as_text().map(str::to_owned)
    }

    /// The operands' values, read as the one type that their comparison has.
    fn values(&self, operands: &[&Operand], at: &At) -> Vec<Value> {
        let typed = operands
            .iter()
            .find_map(|operand| self.type_of(operand, at));
        let ty = typed
            .or_else(|| operands.iter().find_map(|operand| type_as_written(operand)))
            .unwrap_or(FieldType::Text);
        operands
            .iter()
            .map(|operand| self.value(operand, ty, at))
            .collect()
    }

    /// The type an operand has whatever it is compared with.
    pub(super) fn type_of(&self, operand: &Operand, at: &At) -> Option<FieldType> {
        match operand {
            Operand::Path(path) => self.type_at(at.record?.0, &path.0),
            Operand::Old(path) | Operand::New(path) => self.type_at(at.write?.collection, &path.0),
            Operand::Count(_) | Operand::Part(..) => Some(FieldType::Integer),
            Operand::Variable(Variable::User(path)) if !path.is_empty() => {
                self.type_at(&self.world.collection(USERS), path)
            }
            Operand::Variable(Variable::Now { .. }) => Some(FieldType::Timestamp),
            Operand::Variable(Variable::Request(_)) => Some(FieldType::Text),
            _ => None,
        }
    }

    fn type_at(&self, collection: &Collection, path: &[String]) -> Option<FieldType> {
        match path {
            [] => None,
            [field] => collection.type_of(&self.world.document, field),
            [field, rest @ ..] => {
                let to = collection.reference(field)?;
                self.type_at(&self.world.collection(&to.collection.to_string()), rest)
            }
        }
    }

    pub(super) fn value(&self, operand: &Operand, ty: FieldType, at: &At) -> Value {
        match operand {
            Operand::Literal(literal) => match literal {
                Literal::Boolean(boolean) if ty == FieldType::Boolean => Value::Boolean(*boolean),
                Literal::Number(text) | Literal::Text(text) => {
                    Value::from_text(ty, text).unwrap_or(Value::Null)
                }
                Literal::Null | Literal::Boolean(_) | Literal::Caller(_) => Value::Null,
            },
            Operand::Path(path) => at.record.map_or(Value::Null, |(collection, record)| {
                self.follow(collection, record, &path.0, at.caller)
            }),
            Operand::Old(path) => at
                .write
                .and_then(|change| Some((change.collection, change.old?)))
                .map_or(Value::Null, |(collection, old)| {
                    self.follow(collection, old, &path.0, at.caller)
                }),
            Operand::New(path) => at.write.map_or(Value::Null, |change| {
                self.follow(change.collection, change.new, &path.0, at.caller)
            }),
            Operand::Variable(variable) => self.variable(variable, ty),
            Operand::Count(path) => {
                let count = self.related_through(path, at, |_, _| ()).len();
                Value::Integer(i64::try_from(count).expect("a small world"))
            }
            Operand::Part(part, inner) => {
                match self.value(inner, FieldType::Timestamp, at).as_integer() {
                    Some(moment) => Value::Integer(part.of(moment)),
                    None => Value::Null,
                }
            }
            Operand::Parameter(_) => Value::Null,
        }
    }

    /// A variable's value, read as `ty`.
    pub fn variable(&self, variable: &Variable, ty: FieldType) -> Value {
        match variable {
            // "Bare `$user` compares with the right one": the number where numbers are kept, else the id.
            Variable::User(path) if path.is_empty() => {
                let field = if ty == FieldType::Integer {
                    "number"
                } else {
                    "id"
                };
                self.own(&[field.to_owned()])
            }
            Variable::User(path) => self.own(path),
            Variable::Now { offset } => Value::Integer(self.subject.now + offset),
            Variable::Request(name) => match self.subject.request.get(name) {
                Some(text) => Value::Text(text.clone()),
                None => Value::Null,
            },
            Variable::Claims(path) => self
                .claim(path)
                .and_then(|claim| Value::from_json(ty, claim).ok())
                .unwrap_or(Value::Null),
        }
    }

    /// A field of the caller's own account.
    fn own(&self, path: &[String]) -> Value {
        let user = self.subject.user.as_ref();
        match user.and_then(|id| self.world.users.get(id)) {
            Some(user) => self.follow(&self.world.collection(USERS), user, path, false),
            None => Value::Null,
        }
    }

    fn claim(&self, path: &[String]) -> Option<&serde_json::Value> {
        let (first, rest) = path.split_first()?;
        let mut claim = self.subject.claims.get(first)?;
        for step in rest {
            claim = claim.get(step)?;
        }
        Some(claim)
    }

    /// The field at the end of a path of to-one steps; null where a step leads nowhere. For a caller every field
    /// on the way counts only where he may read it.
    fn follow(&self, of: &Collection, record: &Record, path: &[String], caller: bool) -> Value {
        let [field, rest @ ..] = path else {
            return Value::Null;
        };
        if caller && !self.readable("data.read.many", of, record, field) {
            return Value::Null;
        }
        let value = field_of(record, field);
        if rest.is_empty() {
            return value;
        }
        let Some(to) = of.reference(field) else {
            return Value::Null;
        };
        match self.world.referred(to, &value) {
            Some(next) => {
                let target = self.world.collection(&to.collection.to_string());
                let known_by = if to.by_number {
                    "number"
                } else {
                    target.key.as_str()
                };
                if caller && !self.readable("data.read.many", &target, next, known_by) {
                    return Value::Null;
                }
                self.follow(&target, next, rest, caller)
            }
            None => Value::Null,
        }
    }

    /// `visit` for each record that some to-one steps and then a to-many relation lead to. A caller follows a
    /// relation only through fields he may read, to records in his reach.
    fn related_through<T>(
        &self,
        path: &Path,
        at: &At,
        visit: impl Fn(&Collection, &Record) -> T,
    ) -> Vec<T> {
        const ACTION: &str = "data.read.many";
        let (Some((name, steps)), Some((from, record))) = (path.0.split_last(), at.record) else {
            return vec![];
        };
        let (mut from, mut record) = (from.clone(), record);
        for step in steps {
            if at.caller && !self.readable(ACTION, &from, record, step) {
                return vec![];
            }
            let Some(to) = from.reference(step) else {
                return vec![];
            };
            let Some(next) = self.world.referred(to, &field_of(record, step)) else {
                return vec![];
            };
            let target = self.world.collection(&to.collection.to_string());
            let known_by = if to.by_number {
                "number"
            } else {
                target.key.as_str()
            };
            if at.caller && !self.readable(ACTION, &target, next, known_by) {
                return vec![];
            }
            (from, record) = (target, next);
        }
        let Some(relation) = from.relation(name) else {
            return vec![];
        };
        let held = self.world.held(&from, relation);
        if at.caller && !self.readable(ACTION, &from, record, &held) {
            return vec![];
        }
        let target = self.world.collection(&relation.target.to_string());
        let mut found = self.world.related(&from, record, relation);
        if at.caller {
            found.retain(|(candidate, between)| match &relation.via {
                RelationVia::Field(by) => self.readable(ACTION, &target, candidate, by),
                RelationVia::Through {
                    junction,
                    from: near,
                    to: far,
                } => {
                    let junction = self.world.collection(&junction.to_string());
                    self.reaches(ACTION, &target, candidate)
                        && between.iter().any(|middle| {
                            self.readable(ACTION, &junction, middle, near)
                                && self.readable(ACTION, &junction, middle, far)
                        })
                }
            });
        }
        found
            .into_iter()
            .map(|(record, _)| visit(&target, record))
            .collect()
    }

    /// Whether every name in a caller's filter exists for him. Rules of the document, variables and what only
    /// checks may say are not for callers.
    pub fn may_name(&self, rule: &Rule, collection: &Collection) -> bool {
        let operands: Vec<&Operand> = match rule {
            Rule::Constant(_) => vec![],
            Rule::All(rules) | Rule::Any(rules) => {
                return rules.iter().all(|rule| self.may_name(rule, collection));
            }
            Rule::Not(rule) => return self.may_name(rule, collection),
            Rule::Compare { left, right, .. } => vec![left, right],
            Rule::In { operand, list } => match list {
                List::Items(items) => std::iter::once(operand).chain(items).collect(),
                List::Variable(_) => return false,
            },
            Rule::Between { operand, low, high } => vec![operand, low, high],
            Rule::IsNull(operand) => vec![operand],
            Rule::Text {
                operand, needle, ..
            } => vec![operand, needle],
            Rule::Quantified { relation, rule, .. } => {
                return match self.may_follow(relation, collection) {
                    Some(target) => self.may_name(rule, &target),
                    None => false,
                };
            }
            Rule::Matches { .. } | Rule::Sent(_) | Rule::Named { .. } => return false,
        };
        operands
            .into_iter()
            .all(|operand| self.may_use(operand, collection))
    }

    pub(super) fn may_use(&self, operand: &Operand, collection: &Collection) -> bool {
        match operand {
            Operand::Literal(_) => true,
            Operand::Path(path) => match path.0.split_last() {
                Some((field, steps)) => {
                    let target = self.may_step(steps, collection);
                    target.is_some_and(|target| self.exists("data.read.many", &target, field))
                }
                None => false,
            },
            Operand::Count(path) => self.may_follow(path, collection).is_some(),
            Operand::Part(_, inner) => self.may_use(inner, collection),
            Operand::Variable(_) | Operand::Old(_) | Operand::New(_) | Operand::Parameter(_) => {
                false
            }
        }
    }

    fn may_step(&self, steps: &[String], from: &Collection) -> Option<Collection> {
        let [step, rest @ ..] = steps else {
            return Some(from.clone());
        };
        if !self.exists("data.read.many", from, step) {
            return None;
        }
        let to = from.reference(step)?;
        let target = self.world.collection(&to.collection.to_string());
        // A step matches on what the record is known by, and so reads it.
        let known_by = if to.by_number {
            "number"
        } else {
            target.key.as_str()
        };
        if !self.exists("data.read.many", &target, known_by) {
            return None;
        }
        self.may_step(rest, &target)
    }

    fn may_follow(&self, path: &Path, from: &Collection) -> Option<Collection> {
        const ACTION: &str = "data.read.many";
        let (name, steps) = path.0.split_last()?;
        let from = self.may_step(steps, from)?;
        let relation = from.relation(name)?;
        let target = self.world.collection(&relation.target.to_string());
        let known = match &relation.via {
            RelationVia::Field(by) => self.exists(ACTION, &target, by),
            RelationVia::Through { junction, from, to } => {
                let junction = self.world.collection(&junction.to_string());
                self.exists(ACTION, &junction, from)
                    && self.exists(ACTION, &junction, to)
                    && !self.decision(ACTION, &target).is_shut()
            }
        };
        let held = self.world.held(&from, relation);
        (known && self.exists(ACTION, &from, &held)).then_some(target)
    }
}

/// The type of a comparison in which nothing has a type of its own.
fn type_as_written(operand: &Operand) -> Option<FieldType> {
    match operand {
        Operand::Literal(Literal::Boolean(_)) => Some(FieldType::Boolean),
        Operand::Literal(Literal::Number(text)) => Some(if text.parse::<i64>().is_ok() {
            FieldType::Integer
        } else {
            FieldType::Float
        }),
        Operand::Literal(Literal::Text(_)) => Some(FieldType::Text),
        _ => None,
    }
}

/// A named rule with its arguments in the places of its parameters.
fn filled_in(rule: &Rule, arguments: &[(&String, &Operand)]) -> Rule {
    let operand = |operand: &Operand| argument_for(operand, arguments);
    let boxed = |rule: &Rule| Box::new(filled_in(rule, arguments));
    let each = |rules: &[Rule]| {
        rules
            .iter()
            .map(|rule| filled_in(rule, arguments))
            .collect()
    };
    match rule {
        Rule::Constant(_) | Rule::Sent(_) => rule.clone(),
        Rule::All(rules) => Rule::All(each(rules)),
        Rule::Any(rules) => Rule::Any(each(rules)),
        Rule::Not(rule) => Rule::Not(boxed(rule)),
        Rule::Compare { left, op, right } => Rule::Compare {
            left: operand(left),
            op: *op,
            right: operand(right),
        },
        Rule::In {
            operand: wanted,
            list,
        } => Rule::In {
            operand: operand(wanted),
            list: match list {
                List::Items(items) => List::Items(items.iter().map(operand).collect()),
                List::Variable(variable) => List::Variable(variable.clone()),
            },
        },
        Rule::Between {
            operand: middle,
            low,
            high,
        } => Rule::Between {
            operand: operand(middle),
            low: operand(low),
            high: operand(high),
        },
        Rule::IsNull(inner) => Rule::IsNull(operand(inner)),
        Rule::Text {
            operand: text,
            op,
            ignore_case,
            needle,
        } => Rule::Text {
            operand: operand(text),
            op: *op,
            ignore_case: *ignore_case,
            needle: operand(needle),
        },
        Rule::Matches {
            operand: text,
            pattern,
        } => Rule::Matches {
            operand: operand(text),
            pattern: pattern.clone(),
        },
        Rule::Quantified {
            quantifier,
            relation,
            rule,
        } => Rule::Quantified {
            quantifier: *quantifier,
            relation: relation.clone(),
            rule: boxed(rule),
        },
        Rule::Named {
            name,
            arguments: inner,
        } => Rule::Named {
            name: name.clone(),
            arguments: inner.iter().map(operand).collect(),
        },
    }
}

fn argument_for(operand: &Operand, arguments: &[(&String, &Operand)]) -> Operand {
    match operand {
        Operand::Parameter(name) => arguments
            .iter()
            .find(|(parameter, _)| *parameter == name)
            .map_or(Operand::Literal(Literal::Null), |(_, value)| {
                (*value).clone()
            }),
        Operand::Part(part, inner) => {
            Operand::Part(*part, Box::new(argument_for(inner, arguments)))
        }
        other => other.clone(),
    }
}
