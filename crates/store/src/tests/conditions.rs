//! Random rows and conditions, made of the choices of a test runner.

use std::sync::Arc;

use portreeve_model::{
    Catalog, Collection, CollectionId, CompareOp, Condition, DatePart, FieldId, FieldType, Hop,
    PathTerm, Pattern, Quantifier, Relation, Slot, Start, Term, TextOp, Value, Via,
};
use portreeve_policy::Record;

// Choices made by the test runner. Reading on after the last gives 0, the simplest choice, so that a shorter list is
// a simpler case: that is what makes failures shrink.
pub(super) struct Choices {
    list: Vec<u32>,
    at: usize,
}

impl Choices {
    pub fn new(list: Vec<u32>) -> Self {
        Self { list, at: 0 }
    }

    fn below(&mut self, count: usize) -> usize {
        let choice = self.list.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        choice as usize % count
    }

    pub fn pick<T: Clone>(&mut self, list: &[T]) -> T {
        list[self.below(list.len())].clone()
    }

    pub fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == count - 1
    }

    pub fn value(&mut self, ty: FieldType) -> Value {
        const DAY: i64 = 86_400_000_000;
        if self.one_in(4) {
            return Value::Null;
        }
        match ty {
            FieldType::Text => Value::from(self.pick(&[
                "a", "", "A", "ab", "b", "äb", "Ä", "aÄb", "😀", "b%", "_", "a'b\"", "\u{7f}",
                "ａ", "1", "\\",
            ])),
            FieldType::Integer => Value::Integer(self.pick(&[
                0,
                1,
                2,
                3,
                -1,
                i64::MAX,
                i64::MIN,
                5,
                1_900,
                11,
                22,
                i64::MAX - 1,
                1_969,
                1_970,
                12,
                31,
                59,
                7,
                4,
                6,
            ])),
            FieldType::Decimal(_) => {
                Value::Integer(self.pick(&[0, 100, 150, -5, 999_999_999_999_999_999]))
            }
            FieldType::Float => Value::Float(self.pick(&[
                0.0,
                1.0,
                -0.0,
                1.5,
                -1e300,
                5e-324,
                1e300,
                0.1,
                9_007_199_254_740_993.0,
            ])),
            FieldType::Boolean => Value::Boolean(self.one_in(2)),
            FieldType::Timestamp | FieldType::Datetime => Value::Integer(self.pick(&[
                0,
                1,
                -1,
                -999_999,
                -1_000_000,
                -1_000_001,
                -DAY,
                -DAY - 1,
                DAY - 1,
                951_782_400_000_000,
                1_795_341_600_000_000,
                -62_135_596_800_000_000,
                253_370_764_799_999_999,
                -12_219_292_800_000_001,
            ])),
            FieldType::Uuid => Value::from(self.pick(&[
                "00000000-0000-0000-0000-000000000000",
                "018f0000-0000-7000-8000-00000000000a",
            ])),
            FieldType::Json => Value::from(self.pick(&["{\"a\":1}", "null", "[]"])),
            FieldType::Overflow => Value::from(self.pick(&["{\"a\":1e-7}", "{\"n\":[1.10]}"])),
        }
    }

    pub fn rows(&mut self, collection: &Collection, count: usize) -> Vec<Arc<Record>> {
        let row = |choices: &mut Self, place: usize| {
            let values = collection.field_ids().map(|field| {
                let declared = collection.field(field);
                if field == collection.key {
                    return key(collection, place);
                }
                // Some lead nowhere; what ties others together does so more than once.
                let junction = collection.relations.is_empty();
                let target = |choices: &mut Self| {
                    choices.pick(if junction {
                        &[0, 1, 9, 1][..]
                    } else {
                        &[0, 1, 2, 3, 4, 9]
                    })
                };
                match declared.relation {
                    Some(_) if declared.ty == FieldType::Integer => match target(choices) {
                        9 => Value::Null,
                        other => Value::Integer(other),
                    },
                    Some(_) => match target(choices) {
                        9 => Value::Null,
                        other => Value::Text(format!("k{other}")),
                    },
                    None => choices.value(declared.ty),
                }
            });
            Arc::new(Record(values.collect()))
        };
        (0..count).map(|place| row(self, place)).collect()
    }
}

fn key(collection: &Collection, place: usize) -> Value {
    match collection.key_field().ty {
        FieldType::Text => Value::Text(format!("k{place}")),
        _ => Value::Integer(place as i64),
    }
}

/// Makes conditions over a collection.
pub(super) struct Maker<'a> {
    pub choices: &'a mut Choices,
    pub catalog: &'a Catalog,
    // Whether this is a check, which has an old record.
    pub check: bool,
}

impl Maker<'_> {
    pub fn condition(&mut self, on: &Collection, depth: usize) -> Condition {
        let leaf = depth == 0;
        match self.choices.below(if leaf { 8 } else { 14 }) {
            0 | 1 => self.compare(on, depth),
            2 => self.membership(on, depth),
            3 => {
                let ty = self.ty(true);
                Condition::IsNull(self.path_or_slot(on, ty, depth))
            }
            4 => {
                let (term, needle) = (
                    self.term(on, FieldType::Text, depth),
                    self.term(on, FieldType::Text, depth),
                );
                let op =
                    self.choices
                        .pick(&[TextOp::Contains, TextOp::StartsWith, TextOp::EndsWith]);
                Condition::Text {
                    term,
                    op,
                    ignore_case: self.choices.one_in(2),
                    needle,
                }
            }
            5 => {
                let pattern = self.choices.pick(&["^a", "b$", "ä", "^$", "(?i)A", "."]);
                let pattern = Pattern(regex::Regex::new(pattern).expect("a pattern"));
                Condition::Matches {
                    term: self.term(on, FieldType::Text, depth),
                    pattern,
                }
            }
            6 => {
                let ty = self.choices.pick(&[FieldType::Text, FieldType::Integer]);
                let list = match (ty, self.choices.below(4)) {
                    (FieldType::Text, 0) => Slot::UserRoles,
                    (_, 1) => Slot::Claims(vec!["empty".into()]),
                    (_, 2) => Slot::Claims(vec!["missing".into()]),
                    _ => Slot::Claims(vec!["list".into()]),
                };
                Condition::InVariable {
                    term: self.term(on, ty, depth),
                    list,
                }
            }
            7 if self.choices.one_in(2) => Condition::Constant(self.choices.one_in(2)),
            7 => Condition::Sent(self.choices.pick(&[FieldId(1), FieldId(2)])),
            8 | 9 => Condition::All(self.several(on, depth)),
            10 | 11 => Condition::Any(self.several(on, depth)),
            12 => Condition::Not(Box::new(self.condition(on, depth - 1))),
            _ => {
                let quantifier =
                    self.choices
                        .pick(&[Quantifier::Some, Quantifier::Every, Quantifier::None]);
                let relation = self.relation(on, depth);
                let target = Arc::clone(self.catalog.get(relation.target));
                let condition = Box::new(self.condition(&target, depth - 1));
                Condition::Quantified {
                    quantifier,
                    relation,
                    condition,
                }
            }
        }
    }

    fn several(&mut self, on: &Collection, depth: usize) -> Vec<Condition> {
        (0..self.choices.below(4))
            .map(|_| self.condition(on, depth - 1))
            .collect()
    }

    fn ty(&mut self, json: bool) -> FieldType {
        let types = [
            FieldType::Text,
            FieldType::Integer,
            FieldType::Decimal(2),
            FieldType::Float,
            FieldType::Boolean,
            FieldType::Timestamp,
            FieldType::Datetime,
            FieldType::Uuid,
            FieldType::Json,
        ];
        types[self.choices.below(if json { 9 } else { 8 })]
    }

    // An attribute may have come to have another type than the rule was made for: then nothing is known.
    fn compared(&mut self, on: &Collection, ty: FieldType, depth: usize) -> Term {
        if self.choices.one_in(12) {
            let other = self.ty(true);
            return Term::Slot(Slot::User(Arc::from(other.name())), ty);
        }
        self.term(on, ty, depth)
    }

    fn compare(&mut self, on: &Collection, depth: usize) -> Condition {
        let ty = self.ty(false);
        let ops = [
            CompareOp::Equal,
            CompareOp::NotEqual,
            CompareOp::Less,
            CompareOp::LessOrEqual,
            CompareOp::Greater,
            CompareOp::GreaterOrEqual,
        ];
        let op = ops[self
            .choices
            .below(if ty == FieldType::Boolean { 2 } else { 6 })];
        Condition::Compare {
            left: self.compared(on, ty, depth),
            op,
            right: self.term(on, ty, depth),
        }
    }

    fn membership(&mut self, on: &Collection, depth: usize) -> Condition {
        let ty = self.ty(false);
        let term = self.term(on, ty, depth);
        let items = (0..self.choices.below(4))
            .map(|_| {
                if self.choices.one_in(3) {
                    self.term(on, ty, depth)
                } else {
                    self.slot(ty)
                }
            })
            .collect();
        Condition::In { term, items }
    }

    fn term(&mut self, on: &Collection, ty: FieldType, depth: usize) -> Term {
        if ty == FieldType::Integer && depth > 0 {
            match self.choices.below(8) {
                4 | 6 => return Term::Count(Box::new(self.relation(on, depth))),
                5 | 7 => {
                    let part = self.choices.pick(&DatePart::ALL);
                    let ty = self
                        .choices
                        .pick(&[FieldType::Timestamp, FieldType::Datetime]);
                    return Term::Part(part, Box::new(self.path_or_slot(on, ty, depth)));
                }
                _ => {}
            }
        }
        self.path_or_slot(on, ty, depth)
    }

    fn path_or_slot(&mut self, on: &Collection, ty: FieldType, depth: usize) -> Term {
        if self.choices.one_in(3) {
            return self.slot(ty);
        }
        self.path(on, ty, depth)
            .map_or_else(|| self.slot(ty), Term::Path)
    }

    fn slot(&mut self, ty: FieldType) -> Term {
        let slot = match self.choices.below(7) {
            0 | 1 => Slot::Literal(self.choices.value(ty)),
            2 => Slot::Caller(
                CALLER
                    .iter()
                    .position(|(known, _)| *known == ty)
                    .unwrap_or(99),
            ),
            3 => Slot::User(Arc::from(ty.name())),
            4 if ty == FieldType::Timestamp => {
                Slot::Now(self.choices.pick(&[0, -1, 86_400_000_000]))
            }
            5 if ty == FieldType::Text => {
                Slot::Request(self.choices.pick(&["ip", "method"]).into())
            }
            _ => Slot::Claims(vec![
                self.choices.pick(&["object", "missing"]).into(),
                "value".into(),
            ]),
        };
        Term::Slot(slot, ty)
    }

    // A field of that type, of this record or of one that steps lead to.
    fn path(&mut self, on: &Collection, ty: FieldType, depth: usize) -> Option<PathTerm> {
        let hops = self.choices.below(if depth == 0 { 1 } else { 4 }).min(2);
        let mut here = Arc::new(on.clone());
        let mut route: Vec<(FieldId, Arc<Collection>)> = vec![];
        for _ in 0..hops {
            let name = self.choices.pick(&["up", "link"]);
            let field = here.find_field(name)?;
            let to = here.field(field).relation?;
            here = Arc::clone(self.catalog.get(to.target));
            route.push((field, Arc::clone(&here)));
        }
        let fields: Vec<FieldId> = here
            .field_ids()
            .filter(|field| here.field(*field).ty == ty)
            .collect();
        if fields.is_empty() {
            return None;
        }
        let last = self.choices.pick(&fields);
        let mut path = PathTerm {
            start: Start::Field(last),
            guard: None,
            hops: vec![],
            ty,
        };
        if let Some((first, _)) = route.first() {
            path.start = Start::Field(*first);
            for (place, (_, target)) in route.iter().enumerate() {
                let field = route.get(place + 1).map_or(last, |(field, _)| *field);
                let guard = self.guard(target, depth);
                path.hops.push(Hop {
                    target: target.id,
                    by: target.key,
                    field,
                    guard,
                });
            }
        }
        path.guard = self.guard(on, depth);
        let Start::Field(field) = path.start else {
            return Some(path);
        };
        match self.choices.below(8) {
            6 if self.check && on.id == CollectionId(6) => path.start = Start::Old(field),
            7 => {
                let first = path
                    .hops
                    .first()
                    .map_or(ty, |hop| self.catalog.get(hop.target).key_field().ty);
                path.start = Start::User(Arc::from(first.name()));
            }
            _ => {}
        }
        Some(path)
    }

    fn guard(&mut self, on: &Collection, depth: usize) -> Option<Arc<Condition>> {
        (depth > 0 && self.choices.one_in(5)).then(|| Arc::new(self.condition(on, depth - 1)))
    }

    fn relation(&mut self, on: &Collection, depth: usize) -> Relation {
        // Perhaps steps first, then a relation of where they lead.
        let stepped = depth > 0 && self.choices.one_in(4);
        let mut from = PathTerm {
            start: Start::Field(on.key),
            guard: None,
            hops: vec![],
            ty: on.key_field().ty,
        };
        let mut here = Arc::new(on.clone());
        if stepped && let Some(field) = on.find_field("up") {
            here = Arc::clone(
                self.catalog
                    .get(on.field(field).relation.map_or(on.id, |to| to.target)),
            );
            from.start = Start::Field(field);
            from.ty = here.key_field().ty;
            let guard = self.guard(&here, depth);
            from.hops.push(Hop {
                target: here.id,
                by: here.key,
                field: here.key,
                guard,
            });
        }
        if here.relations.is_empty() {
            // Junctions have none; pretend that they lead to themselves.
            let up = here.find_field("up").expect("a field");
            from.start = Start::Field(up);
            return Relation {
                from,
                target: here.id,
                via: Via::Field(up),
                far_by: here.key,
                guard: self.guard(&here, depth),
                junction_guard: None,
            };
        }
        from.guard = self.guard(on, depth);
        let relation = here.relations[self.choices.below(here.relations.len())].clone();
        let target = Arc::clone(self.catalog.get(relation.target));
        let junction_guard = match relation.via {
            Via::Field(_) => None,
            Via::Through { junction, .. } => {
                self.guard(&Arc::clone(self.catalog.get(junction)), depth)
            }
        };
        Relation {
            from,
            target: relation.target,
            via: relation.via,
            far_by: target.key,
            guard: self.guard(&target, depth),
            junction_guard,
        }
    }
}

/// The caller's values, by type.
pub(super) const CALLER: &[(FieldType, i64)] = &[
    (FieldType::Integer, 2),
    (FieldType::Timestamp, -1),
    (FieldType::Decimal(2), 150),
    (FieldType::Datetime, 1),
];
