//! Evaluates conditions in memory, three-valued inside. The store's SQL means the same (invariant 4).

use std::cmp::Ordering;
use std::sync::Arc;

use portreeve_model::{
    Collection, CollectionId, Condition, FieldDefault, FieldId, FieldType, PathTerm, Quantifier,
    Relation, Slot, Start, Term, TextOp, Value, Via,
};

use crate::Context;

/// A record's values, by field.
#[derive(Clone, Debug, PartialEq)]
pub struct Record(pub Vec<Value>);

impl Record {
    /// A new record of a collection: what is assigned, then declared defaults, then null. The key may be missing.
    pub fn draft(collection: &Collection, assignments: &[(FieldId, Value)], now: i64) -> Self {
        let value = |field: FieldId| {
            let assigned = assignments.iter().find(|(assigned, _)| *assigned == field);
            match (assigned, &collection.field(field).default) {
                (Some((_, value)), _) => value.clone(),
                (None, Some(FieldDefault::Value(value))) => value.clone(),
                (None, Some(FieldDefault::Now)) => Value::Integer(now),
                (None, None) => Value::Null,
            }
        };
        Self(collection.field_ids().map(value).collect())
    }

    /// Makes the key anew where it is made of other fields.
    pub fn compose_key(&mut self, collection: &Collection) {
        if let Some(parts) = collection.key_parts() {
            let key = collection.compose_key(parts.iter().map(|part| self.get(*part)));
            self.0[collection.key.index()] = key;
        }
    }

    /// The value of a field.
    pub fn get(&self, field: FieldId) -> &Value {
        self.0.get(field.index()).unwrap_or(&Value::Null)
    }
}

/// Gives related records. The whole database: a rule's own predicates see everything.
pub trait Facts {
    /// All records of `collection` whose `field` equals `value`. Never asked for null.
    fn find(&self, collection: CollectionId, field: FieldId, value: &Value) -> Vec<Arc<Record>>;
}

/// What a condition is evaluated over, beside the request's context.
#[derive(Clone, Copy)]
pub struct Subject<'a> {
    /// The record: for a write's check, as it is after.
    pub record: &'a Record,
    /// The record before a write.
    pub old: Option<&'a Record>,
    /// The fields a write names.
    pub sent: &'a [FieldId],
    /// The caller's own values.
    pub caller: &'a [Value],
}

impl<'a> Subject<'a> {
    /// A record that is only read.
    pub fn read(record: &'a Record) -> Self {
        Self {
            record,
            old: None,
            sent: &[],
            caller: &[],
        }
    }
}

/// True, false, or `None` for unknown.
pub type Truth = Option<bool>;

/// Evaluates `condition`.
pub fn eval(
    condition: &Condition,
    subject: Subject<'_>,
    context: &Context,
    facts: &dyn Facts,
) -> Truth {
    Evaluation {
        subject,
        context,
        facts,
    }
    .condition(condition, subject.record)
}

/// Evaluates a condition that reads no record, as `when` does.
pub fn eval_when(condition: &Condition, context: &Context) -> Truth {
    struct NoFacts;
    impl Facts for NoFacts {
        fn find(&self, _: CollectionId, _: FieldId, _: &Value) -> Vec<Arc<Record>> {
            vec![]
        }
    }
    let nothing = Record(vec![]);
    eval(condition, Subject::read(&nothing), context, &NoFacts)
}

struct Evaluation<'a> {
    subject: Subject<'a>,
    context: &'a Context,
    facts: &'a dyn Facts,
}

impl Evaluation<'_> {
    fn condition(&self, condition: &Condition, record: &Record) -> Truth {
        match condition {
            Condition::Constant(bool) => Some(*bool),
            Condition::All(all) => all_of(all.iter().map(|inner| self.condition(inner, record))),
            Condition::Any(any) => any_of(any.iter().map(|inner| self.condition(inner, record))),
            Condition::Not(inner) => self.condition(inner, record).map(|truth| !truth),
            Condition::Compare { left, op, right } => {
                let ordering = compare(&self.term(left, record), &self.term(right, record))?;
                Some(op.holds(ordering))
            }
            Condition::In { term, items } => {
                let value = self.term(term, record);
                any_of(
                    items
                        .iter()
                        .map(|item| equal(&value, &self.term(item, record))),
                )
            }
            Condition::InVariable { term, list } => {
                let value = self.term(term, record);
                let list = self.context.list(list, term.ty())?;
                any_of(list.iter().map(|item| equal(&value, item)))
            }
            Condition::IsNull(term) => Some(self.term(term, record).is_null()),
            Condition::Text {
                term,
                op,
                ignore_case,
                needle,
            } => {
                let (value, needle) = (self.term(term, record), self.term(needle, record));
                let (value, needle) = (value.as_text()?, needle.as_text()?);
                Some(if *ignore_case {
                    search(
                        &value.to_ascii_lowercase(),
                        *op,
                        &needle.to_ascii_lowercase(),
                    )
                } else {
                    search(value, *op, needle)
                })
            }
            Condition::Matches { term, pattern } => {
                let value = self.term(term, record);
                Some(pattern.0.is_match(value.as_text()?))
            }
            Condition::Quantified {
                quantifier,
                relation,
                condition,
            } => {
                let related = self.related(relation, record);
                let some = match quantifier {
                    Quantifier::Every => {
                        return all_of(
                            related.iter().map(|other| self.condition(condition, other)),
                        );
                    }
                    _ => any_of(related.iter().map(|other| self.condition(condition, other))),
                };
                if *quantifier == Quantifier::None {
                    some.map(|truth| !truth)
                } else {
                    some
                }
            }
            Condition::Sent(field) => Some(self.subject.sent.contains(field)),
        }
    }

    fn is_true(&self, guard: Option<&Arc<Condition>>, record: &Record) -> bool {
        guard.is_none_or(|guard| self.condition(guard, record) == Some(true))
    }

    fn term(&self, term: &Term, record: &Record) -> Value {
        match term {
            Term::Slot(Slot::Old(field), _) => self.old(*field),
            Term::Slot(Slot::Caller(index), _) => self
                .subject
                .caller
                .get(*index)
                .cloned()
                .unwrap_or(Value::Null),
            Term::Slot(slot, ty) => self.context.slot(slot, *ty),
            Term::Path(path) => self.path(path, record),
            Term::Count(relation) => Value::Integer(
                i64::try_from(self.related(relation, record).len()).unwrap_or(i64::MAX),
            ),
            Term::Part(part, inner) => match self.term(inner, record) {
                Value::Integer(micros) => Value::Integer(part.of(micros)),
                _ => Value::Null,
            },
        }
    }

    fn old(&self, field: FieldId) -> Value {
        self.subject
            .old
            .map_or(Value::Null, |old| old.get(field).clone())
    }

    fn path(&self, path: &PathTerm, record: &Record) -> Value {
        let mut value = match &path.start {
            Start::Field(field) if self.is_true(path.guard.as_ref(), record) => {
                record.get(*field).clone()
            }
            Start::Field(_) => Value::Null,
            Start::Old(field) => self.old(*field),
            Start::User(name) => self.context.attribute(name),
        };
        for hop in &path.hops {
            if value.is_null() {
                return Value::Null;
            }
            let found = self.facts.find(hop.target, hop.by, &value);
            value = match found.first() {
                Some(target) if self.is_true(hop.guard.as_ref(), target) => {
                    target.get(hop.field).clone()
                }
                _ => Value::Null,
            };
        }
        value
    }

    fn related(&self, relation: &Relation, record: &Record) -> Vec<Arc<Record>> {
        let from = self.path(&relation.from, record);
        if from.is_null() {
            return vec![];
        }
        let mut found = match relation.via {
            Via::Field(fk) => self.facts.find(relation.target, fk, &from),
            Via::Through {
                junction,
                near,
                far,
            } => {
                let mut found = vec![];
                for between in self.facts.find(junction, near, &from) {
                    let far = between.get(far);
                    if !far.is_null() && self.is_true(relation.junction_guard.as_ref(), &between) {
                        // Led to twice, a record is still one record.
                        for other in self.facts.find(relation.target, relation.far_by, far) {
                            if !found.contains(&other) {
                                found.push(other);
                            }
                        }
                    }
                }
                found
            }
        };
        found.retain(|other| self.is_true(relation.guard.as_ref(), other));
        found
    }
}

fn all_of(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut result = Some(true);
    for truth in truths {
        match truth {
            Some(false) => return Some(false),
            None => result = None,
            Some(true) => {}
        }
    }
    result
}

fn any_of(truths: impl Iterator<Item = Truth>) -> Truth {
    let mut result = Some(false);
    for truth in truths {
        match truth {
            Some(true) => return Some(true),
            None => result = None,
            Some(false) => {}
        }
    }
    result
}

/// Orders two values of one type; `None` where one is null or the types differ.
pub fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Boolean(a), Value::Boolean(b)) => Some(a.cmp(b)),
        (Value::Integer(a), Value::Integer(b)) => Some(a.cmp(b)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn equal(a: &Value, b: &Value) -> Truth {
    compare(a, b).map(Ordering::is_eq)
}

fn search(text: &str, op: TextOp, needle: &str) -> bool {
    match op {
        TextOp::Contains => text.contains(needle),
        TextOp::StartsWith => text.starts_with(needle),
        TextOp::EndsWith => text.ends_with(needle),
    }
}

/// Whether values of this type may stand on both sides of `=`.
pub fn is_comparable(ty: FieldType) -> bool {
    !matches!(ty, FieldType::Json | FieldType::Overflow)
}

/// The value of a term: for those who show what a comparison saw.
pub fn term_value(
    term: &Term,
    subject: Subject<'_>,
    context: &Context,
    facts: &dyn Facts,
) -> Value {
    Evaluation {
        subject,
        context,
        facts,
    }
    .term(term, subject.record)
}
