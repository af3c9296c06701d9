//! Prints resolved conditions as people write them, and finds the part of one that did not hold, with its values.

use std::fmt::Write as _;

use portreeve_model::{
    Catalog, Collection, CollectionId, Condition, FieldId, FieldType, Operand, PathTerm, Relation,
    Slot, Start, Term, Value, Variable, Via,
};
use serde::Serialize;

use crate::{Context, Facts, Subject, eval, term_value};

/// A comparison that did not hold, with what stood on its sides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailedPart {
    /// The comparison as written.
    pub part: String,
    /// Each named operand and its value, as JSON.
    pub values: Vec<(String, serde_json::Value)>,
    /// False, or unknown because something in it is missing.
    pub outcome: &'static str,
}

const MAX_PARTS: usize = 8;

/// Prints a condition over records of `collection`.
pub fn describe(
    catalog: &Catalog,
    collection: Option<CollectionId>,
    condition: &Condition,
) -> String {
    let mut out = String::new();
    Printer { catalog }.condition(
        &mut out,
        collection.map(|id| &**catalog.get(id)),
        condition,
        0,
    );
    out
}

/// The smallest parts of a condition that keep it from being true (`wanted`) or false.
pub fn failed_parts(
    catalog: &Catalog,
    collection: Option<CollectionId>,
    condition: &Condition,
    wanted: bool,
    subject: Subject<'_>,
    context: &Context,
    facts: &dyn Facts,
) -> Vec<FailedPart> {
    let mut parts = vec![];
    let finder = Finder {
        catalog,
        collection,
        subject,
        context,
        facts,
    };
    finder.find(condition, wanted, &mut parts);
    parts.truncate(MAX_PARTS);
    parts
}

struct Finder<'a> {
    catalog: &'a Catalog,
    collection: Option<CollectionId>,
    subject: Subject<'a>,
    context: &'a Context,
    facts: &'a dyn Facts,
}

impl Finder<'_> {
    fn find(&self, condition: &Condition, wanted: bool, parts: &mut Vec<FailedPart>) {
        let truth = eval(condition, self.subject, self.context, self.facts);
        if truth == Some(wanted) || parts.len() >= MAX_PARTS {
            return;
        }
        match condition {
            Condition::All(inner) | Condition::Any(inner) => {
                inner
                    .iter()
                    .for_each(|inner| self.find(inner, wanted, parts));
            }
            Condition::Not(inner) => self.find(inner, !wanted, parts),
            leaf => {
                let mut values = vec![];
                for term in terms(leaf) {
                    if matches!(term, Term::Slot(Slot::Literal(_), _)) {
                        continue;
                    }
                    let mut name = String::new();
                    let collection = self.collection.map(|id| &**self.catalog.get(id));
                    Printer {
                        catalog: self.catalog,
                    }
                    .term(&mut name, collection, term);
                    let value = term_value(term, self.subject, self.context, self.facts);
                    if !values.iter().any(|(known, _)| *known == name) {
                        values.push((name, value.to_json(term.ty())));
                    }
                }
                if let Condition::InVariable { list, term } = leaf {
                    let list_values = self.context.list(list, term.ty());
                    let json = list_values.map_or(serde_json::Value::Null, |list| {
                        list.iter().map(|value| value.to_json(term.ty())).collect()
                    });
                    values.push((slot_name(list, term.ty()), json));
                }
                parts.push(FailedPart {
                    part: describe(self.catalog, self.collection, leaf),
                    values,
                    outcome: match truth {
                        Some(true) => "true",
                        Some(false) => "false",
                        None => "unknown",
                    },
                });
            }
        }
    }
}

fn terms(condition: &Condition) -> Vec<&Term> {
    match condition {
        Condition::Compare { left, right, .. } => vec![left, right],
        Condition::In { term, items } => std::iter::once(term).chain(items).collect(),
        Condition::InVariable { term, .. }
        | Condition::IsNull(term)
        | Condition::Matches { term, .. } => vec![term],
        Condition::Text { term, needle, .. } => vec![term, needle],
        _ => vec![],
    }
}

struct Printer<'a> {
    catalog: &'a Catalog,
}

impl Printer<'_> {
    // Precedence: 0 or, 1 and, 2 not.
    fn condition(
        &self,
        out: &mut String,
        at: Option<&Collection>,
        condition: &Condition,
        precedence: u8,
    ) {
        match condition {
            Condition::Constant(bool) => out.push_str(if *bool { "true" } else { "false" }),
            Condition::All(all) if all.is_empty() => out.push_str("true"),
            Condition::Any(any) if any.is_empty() => out.push_str("false"),
            Condition::All(all) => self.joined(out, at, all, " and ", 1, precedence),
            Condition::Any(any) => self.joined(out, at, any, " or ", 0, precedence),
            Condition::Not(inner) => {
                out.push_str("not (");
                self.condition(out, at, inner, 0);
                out.push(')');
            }
            Condition::Compare { left, op, right } => {
                self.term(out, at, left);
                let _ = write!(out, " {} ", op.symbol());
                self.term(out, at, right);
            }
            Condition::In { term, items } => {
                self.term(out, at, term);
                out.push_str(" in (");
                for (place, item) in items.iter().enumerate() {
                    out.push_str(if place > 0 { ", " } else { "" });
                    self.term(out, at, item);
                }
                out.push(')');
            }
            Condition::InVariable { term, list } => {
                self.term(out, at, term);
                let _ = write!(out, " in {}", slot_name(list, FieldType::Text));
            }
            Condition::IsNull(term) => {
                self.term(out, at, term);
                out.push_str(" is null");
            }
            Condition::Text {
                term,
                op,
                ignore_case,
                needle,
            } => {
                self.term(out, at, term);
                let _ = write!(
                    out,
                    " {}{} ",
                    if *ignore_case { "i" } else { "" },
                    op.word()
                );
                self.term(out, at, needle);
            }
            Condition::Matches { term, pattern } => {
                self.term(out, at, term);
                let _ = write!(out, " matches {}", quoted(pattern.0.as_str()));
            }
            Condition::Quantified {
                quantifier,
                relation,
                condition,
            } => {
                let _ = write!(
                    out,
                    "{} {} (",
                    quantifier.word(),
                    self.relation_name(at, relation)
                );
                self.condition(out, Some(self.catalog.get(relation.target)), condition, 0);
                out.push(')');
            }
            Condition::Sent(field) => {
                let _ = write!(out, "sent({})", field_name(at, *field));
            }
        }
    }

    fn joined(
        &self,
        out: &mut String,
        at: Option<&Collection>,
        parts: &[Condition],
        word: &str,
        own: u8,
        precedence: u8,
    ) {
        let brackets = precedence > own;
        out.push_str(if brackets { "(" } else { "" });
        for (place, part) in parts.iter().enumerate() {
            out.push_str(if place > 0 { word } else { "" });
            self.condition(out, at, part, own + 1);
        }
        out.push_str(if brackets { ")" } else { "" });
    }

    fn term(&self, out: &mut String, at: Option<&Collection>, term: &Term) {
        match term {
            Term::Slot(Slot::Old(field), _) => {
                let _ = write!(out, "$old.{}", field_name(at, *field));
            }
            Term::Slot(slot, ty) => out.push_str(&slot_name(slot, *ty)),
            Term::Path(path) => out.push_str(&self.path_name(at, path)),
            Term::Count(relation) => {
                let _ = write!(out, "count({})", self.relation_name(at, relation));
            }
            Term::Part(part, inner) => {
                let _ = write!(out, "{}(", part.word());
                self.term(out, at, inner);
                out.push(')');
            }
        }
    }

    fn path_name(&self, at: Option<&Collection>, path: &PathTerm) -> String {
        let mut name = match &path.start {
            Start::Field(field) => field_name(at, *field),
            Start::Old(field) => format!("$old.{}", field_name(at, *field)),
            Start::User(attribute) => format!("$user.{attribute}"),
        };
        for hop in &path.hops {
            let _ = write!(
                name,
                ".{}",
                self.catalog.get(hop.target).field(hop.field).name
            );
        }
        name
    }

    fn relation_name(&self, at: Option<&Collection>, relation: &Relation) -> String {
        let (owner, prefix) = match relation.from.hops.last() {
            None => (at, String::new()),
            Some(hop) => {
                let name = self.path_name(at, &relation.from);
                let steps = name.rsplit_once('.').map_or("", |(steps, _)| steps);
                (Some(&**self.catalog.get(hop.target)), format!("{steps}."))
            }
        };
        let declared = owner.and_then(|owner| {
            owner.relations.iter().find(|declared| {
                declared.target == relation.target
                    && match (declared.via, relation.via) {
                        (Via::Field(a), Via::Field(b)) => a == b,
                        (a, b) => a == b,
                    }
            })
        });
        format!(
            "{prefix}{}",
            declared.map_or("related", |declared| &*declared.name)
        )
    }
}

fn field_name(at: Option<&Collection>, field: FieldId) -> String {
    at.map_or_else(
        || "?".to_owned(),
        |collection| collection.field(field).name.to_string(),
    )
}

fn slot_name(slot: &Slot, ty: FieldType) -> String {
    match slot {
        Slot::Literal(value) => literal(value, ty),
        Slot::Caller(index) => format!("?{index}"),
        Slot::User(name) if &**name == "id" || &**name == "number" => "$user".into(),
        Slot::User(name) => format!("$user.{name}"),
        Slot::UserRoles => "$user.roles".into(),
        Slot::Now(offset) => {
            crate::print_operand(&Operand::Variable(Variable::Now { offset: *offset }))
        }
        Slot::Request(name) => format!("$request.{name}"),
        Slot::Claims(path) => format!("$claims.{}", path.join(".")),
        Slot::Old(_) => "$old".into(),
    }
}

/// A value as a rule's literal.
pub fn literal(value: &Value, ty: FieldType) -> String {
    match value.to_json(ty) {
        serde_json::Value::String(text) if matches!(ty, FieldType::Decimal(_)) => text,
        serde_json::Value::String(text) => quoted(&text),
        other => other.to_string(),
    }
}

fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
