//! The rule tree resolved against a catalog: ids and types instead of names. Evaluated in memory by
//! `portreeve-policy` and lowered to SQL by `portreeve-store`; both must agree (invariant 4).

use std::sync::Arc;

use crate::{
    CollectionId, CompareOp, DatePart, FieldId, FieldType, Quantifier, TextOp, Value, Via,
};

/// A resolved predicate over one record of a known collection.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Condition {
    /// Always true, or always false.
    Constant(bool),
    /// All hold.
    All(Vec<Condition>),
    /// One holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// A comparison of two terms of the same type (never JSON, never booleans for an order).
    Compare {
        /// The left side.
        left: Term,
        /// The operator.
        op: CompareOp,
        /// The right side.
        right: Term,
    },
    /// The term equals one of these. Empty is false.
    In {
        /// What is looked for.
        term: Term,
        /// Where.
        items: Vec<Term>,
    },
    /// The term equals one of a variable's list. Empty is false, missing is unknown.
    InVariable {
        /// What is looked for.
        term: Term,
        /// A list variable: [`Slot::UserRoles`] or [`Slot::Claims`].
        list: Slot,
    },
    /// The term is null (or a path to it is broken). Never unknown.
    IsNull(Term),
    /// Text search.
    Text {
        /// The text searched.
        term: Term,
        /// Where in it.
        op: TextOp,
        /// Whether ASCII letters are folded.
        ignore_case: bool,
        /// What is searched for.
        needle: Term,
    },
    /// A regular expression over text.
    Matches {
        /// The text tried.
        term: Term,
        /// The expression, compiled at load.
        pattern: Pattern,
    },
    /// Over the records a to-many relation leads to.
    Quantified {
        /// Which of them must hold.
        quantifier: Quantifier,
        /// The relation.
        relation: Relation,
        /// What is asked of each.
        condition: Box<Condition>,
    },
    /// Whether the write names the field.
    Sent(FieldId),
}

/// A typed operand.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Term {
    /// A value known before any record is read.
    Slot(Slot, FieldType),
    /// A value read from the record, or from one that to-one steps lead to.
    Path(PathTerm),
    /// How many records a relation leads to.
    Count(Box<Relation>),
    /// A part of a date.
    Part(DatePart, Box<Term>),
}

impl Term {
    /// The type of its values.
    pub fn ty(&self) -> FieldType {
        match self {
            Self::Slot(_, ty) => *ty,
            Self::Path(path) => path.ty,
            Self::Count(_) | Self::Part(..) => FieldType::Integer,
        }
    }
}

/// Where a value comes from that no record holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Slot {
    /// Written in the rule.
    Literal(Value),
    /// The n-th value of the caller's own filter, cursor or body.
    Caller(usize),
    /// A column of the caller's row of `users`, by name; null for anonymous.
    User(Arc<str>),
    /// The keys of the roles in force: a list of text.
    UserRoles,
    /// The moment of the request plus microseconds.
    Now(i64),
    /// `ip`, `method`, `face`, `operation`.
    Request(Arc<str>),
    /// A claim of the caller's token; converted to the wanted type, null where it does not fit.
    Claims(Vec<String>),
    /// The record's value before the write.
    Old(FieldId),
}

/// Where a path begins.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Start {
    /// A field of the record.
    Field(FieldId),
    /// A field of the record as it was before the write.
    Old(FieldId),
    /// A column of the caller's row of `users`.
    User(Arc<str>),
}

/// A field, or a field of a record reached by to-one steps. Null wherever a step leads nowhere or a guard is not true.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PathTerm {
    /// The first value: the field itself where there are no hops.
    pub start: Start,
    /// In a caller's operand: where the first value may be read; null elsewhere.
    pub guard: Option<Arc<Condition>>,
    /// The steps.
    pub hops: Vec<Hop>,
    /// The type of the last value.
    pub ty: FieldType,
}

/// One to-one step: the record of `target` whose `by` equals the value so far; then that record's `field`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Hop {
    /// The collection stepped into.
    pub target: CollectionId,
    /// The field that must equal the value so far.
    pub by: FieldId,
    /// The field read there.
    pub field: FieldId,
    /// In a caller's operand: where the target record is in reach and the field readable, over the target record.
    pub guard: Option<Arc<Condition>>,
}

/// A to-many relation, possibly after to-one steps.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Relation {
    /// The value related records must point at: this record's key, or the key of the record the steps lead to.
    pub from: PathTerm,
    /// The collection it leads to.
    pub target: CollectionId,
    /// How it gets there.
    pub via: Via,
    /// Many-to-many: the field of the target that the junction's `far` holds.
    pub far_by: FieldId,
    /// In a caller's operand: which target records are in reach, over the target record.
    pub guard: Option<Arc<Condition>>,
    /// In a caller's operand, many-to-many: which junction records may be followed, over the junction record.
    pub junction_guard: Option<Arc<Condition>>,
}

/// A compiled regular expression that compares and hashes by its text.
#[derive(Clone, Debug)]
pub struct Pattern(pub regex::Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl std::hash::Hash for Pattern {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

impl Condition {
    /// Both hold; constants are folded away.
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Constant(true), other) => other,
            (this, Self::Constant(true)) => this,
            (Self::All(mut a), Self::All(b)) => {
                a.extend(b);
                Self::All(a)
            }
            (Self::All(mut a), b) => {
                a.push(b);
                Self::All(a)
            }
            (a, b) => Self::All(vec![a, b]),
        }
    }
}
