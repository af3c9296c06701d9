//! Conditions as SQL. Two lowerings that call each other: one text that is true exactly where a condition is true, one
//! that is true exactly where it is false. Unknown is in neither, so three-valued logic comes out right whatever the
//! texts give (false or null) where they do not hold. Means the same as `portreeve_policy::eval` (invariant 4).

use std::sync::Arc;

use portreeve_model::{
    Catalog, Collection, CompareOp, Condition, FieldId, FieldType, PathTerm, Quantifier, Relation,
    Slot, Start, Term, Value, Via,
};

use super::dialect::Dialect;
use super::fragment::{BoundSlot, Holds};
use joins::Joins;
pub(crate) use joins::found_unordered;

mod joins;

/// Lowers conditions and terms over one statement's tables, and collects the statement's slots.
pub(crate) struct Lowering<'c> {
    pub dialect: Dialect,
    catalog: &'c Catalog,
    /// The fields a write names; reads name none.
    sent: &'c [FieldId],
    slots: Vec<BoundSlot>,
    aliases: usize,
    /// Tables beside the first one, where the statement goes through its rows.
    joins: Option<Joins>,
}

/// A table in a statement.
#[derive(Clone)]
pub(crate) struct Scope<'c> {
    pub collection: &'c Collection,
    alias: usize,
}

/// How a condition stands to the rows of its scope.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Role {
    /// The rows have to be found by this condition: what leads to other tables is written so that an index can be
    /// entered from there (`fk IN (SELECT …)`).
    Finds,
    /// The rows are found by something else, and this is asked of each: what leads to other tables is looked up
    /// row by row (`EXISTS (SELECT … WHERE key = fk …)`).
    Filters,
}

type Leaf<'k, 'c> = &'k mut dyn FnMut(&mut Lowering<'c>, &str) -> Holds;

impl<'c> Scope<'c> {
    /// A column of the table.
    pub fn column(&self, lowering: &Lowering<'_>, field: FieldId) -> String {
        lowering
            .dialect
            .field(self.collection, field, Some(self.alias))
    }

    /// Whether the record has the key that stands in a parameter.
    pub fn has_key(&self, lowering: &Lowering<'_>, parameter: &str) -> Holds {
        let dialect = lowering.dialect;
        Holds::when(dialect.has_key(self.collection, Some(self.alias), parameter))
    }

    /// The terms by which records come in order of their key.
    pub fn key_order(&self, lowering: &Lowering<'_>) -> Vec<String> {
        lowering.dialect.key_order(self.collection, self.alias)
    }

    /// What the table is called in the statement.
    pub fn alias(&self) -> String {
        format!("t{}", self.alias)
    }

    /// The table with its alias, for FROM.
    pub fn table(&self, lowering: &Lowering<'_>) -> String {
        format!(
            "{} t{}",
            lowering.dialect.table(self.collection),
            self.alias
        )
    }
}

impl<'c> Lowering<'c> {
    pub fn new(dialect: Dialect, catalog: &'c Catalog, sent: &'c [FieldId]) -> Self {
        Self {
            dialect,
            catalog,
            sent,
            slots: vec![],
            aliases: 0,
            joins: None,
        }
    }

    /// The slots collected.
    pub fn into_slots(self) -> Vec<BoundSlot> {
        self.slots
    }

    /// A further table of the statement.
    pub fn scope(&mut self, collection: &'c Collection) -> Scope<'c> {
        let alias = self.aliases;
        self.aliases += 1;
        Scope { collection, alias }
    }

    /// The parameter of a slot; the same slot is bound once, however often it is used.
    pub fn parameter(&mut self, slot: BoundSlot) -> String {
        let place = self
            .slots
            .iter()
            .position(|known| *known == slot)
            .unwrap_or_else(|| {
                self.slots.push(slot);
                self.slots.len() - 1
            });
        self.dialect.parameter(place + 1, &self.slots[place])
    }

    fn value(&mut self, slot: &Slot, ty: FieldType) -> String {
        self.parameter(BoundSlot::Value(slot.clone(), ty))
    }

    /// Holds exactly where the condition is true.
    pub fn is_true(&mut self, condition: &Condition, scope: &Scope<'c>, role: Role) -> Holds {
        self.truth(condition, scope, true, role)
    }

    /// Holds exactly where the condition is false.
    #[cfg(test)]
    pub fn is_false(&mut self, condition: &Condition, scope: &Scope<'c>, role: Role) -> Holds {
        self.truth(condition, scope, false, role)
    }

    fn truth(
        &mut self,
        condition: &Condition,
        scope: &Scope<'c>,
        wanted: bool,
        role: Role,
    ) -> Holds {
        match condition {
            Condition::Constant(bool) => Holds::constant(*bool == wanted),
            Condition::Not(inner) => self.truth(inner, scope, !wanted, role),
            Condition::All(parts) | Condition::Any(parts) => {
                let conjunction = matches!(condition, Condition::All(_)) == wanted;
                if conjunction {
                    self.conjunction(parts, scope, wanted, role)
                } else {
                    self.disjunction(parts, scope, wanted, role)
                }
            }
            Condition::Compare { left, op, right } => {
                let op = if wanted { *op } else { op.negated() };
                let role = self.leaf_role(condition, scope.collection, role);
                let (dialect, ty) = (self.dialect, left.ty());
                let equality = matches!(op, CompareOp::Equal | CompareOp::NotEqual);
                self.leaf(left, scope, role, &mut |lowering, left| {
                    lowering.leaf(right, scope, role, &mut |_, right| {
                        // Equality is the same in every language, and an index of any serves it.
                        let right = if equality {
                            right.to_owned()
                        } else {
                            dialect.ordered(ty, right)
                        };
                        Holds::when(format!("{left} {} {right}", op.symbol()))
                    })
                })
            }
            Condition::In { term, items } => {
                self.membership(condition, term, items, scope, wanted, role)
            }
            Condition::InVariable { term, list } => {
                let parameter = self.parameter(BoundSlot::List(list.clone(), term.ty()));
                let dialect = self.dialect;
                if wanted {
                    let role = self.leaf_role(condition, scope.collection, role);
                    return self.leaf(term, scope, role, &mut |_, value| {
                        Holds::when(dialect.among(false, value, &parameter))
                    });
                }
                // Nothing is in an empty list, not even null, so the term must not be required to have a value; and a
                // missing list, which reads like an empty one, is unknown.
                let value = self.scalar(term, scope);
                Holds::all([
                    Holds::when(format!("{parameter} IS NOT NULL")),
                    Holds::when(dialect.among(true, &value, &parameter)),
                ])
            }
            Condition::IsNull(term) => self.is_null(term, scope, wanted),
            Condition::Text {
                term,
                op,
                ignore_case,
                needle,
            } => {
                let dialect = self.dialect;
                self.leaf(term, scope, Role::Filters, &mut |lowering, value| {
                    lowering.leaf(needle, scope, Role::Filters, &mut |_, needle| {
                        Holds::when(dialect.text_search(*op, !wanted, *ignore_case, value, needle))
                    })
                })
            }
            Condition::Matches { term, pattern } => {
                let dialect = self.dialect;
                let pattern = self.value(
                    &Slot::Literal(Value::Text(dialect.pattern(pattern.0.as_str()))),
                    FieldType::Text,
                );
                self.leaf(term, scope, Role::Filters, &mut |_, value| {
                    Holds::when(dialect.matches(!wanted, &pattern, value))
                })
            }
            Condition::Quantified {
                quantifier,
                relation,
                condition,
            } => match (quantifier, wanted) {
                (Quantifier::Some, true) | (Quantifier::None, false) => self.some(
                    relation,
                    scope,
                    role,
                    |lowering, inner, role| lowering.truth(condition, inner, true, role),
                    selective(condition, self.catalog.get(relation.target), self.catalog),
                ),
                (Quantifier::Every, false) => self.some(
                    relation,
                    scope,
                    Role::Filters,
                    |lowering, inner, role| lowering.truth(condition, inner, false, role),
                    false,
                ),
                // "There is not one of which it is not false": the inner text may be null, hence IS NOT TRUE.
                (Quantifier::Some, false) | (Quantifier::None, true) => {
                    self.none(relation, scope, |lowering, inner| {
                        lowering.truth(condition, inner, false, Role::Filters).not()
                    })
                }
                (Quantifier::Every, true) => self.none(relation, scope, |lowering, inner| {
                    lowering.truth(condition, inner, true, Role::Filters).not()
                }),
            },
            Condition::Sent(field) => Holds::constant(self.sent.contains(field) == wanted),
        }
    }

    fn conjunction(
        &mut self,
        parts: &[Condition],
        scope: &Scope<'c>,
        wanted: bool,
        role: Role,
    ) -> Holds {
        // One of them finds the rows: a column of this very table that has an index, else the first that leads to one.
        let finder = (role == Role::Finds && wanted)
            .then(|| {
                let catalog = self.catalog;
                parts
                    .iter()
                    .position(|part| anchors(part, scope.collection))
                    .or_else(|| {
                        parts
                            .iter()
                            .position(|part| selective(part, scope.collection, catalog))
                    })
            })
            .flatten();
        let parts: Vec<Holds> = parts
            .iter()
            .enumerate()
            .map(|(place, part)| {
                let role = if finder == Some(place) {
                    Role::Finds
                } else {
                    Role::Filters
                };
                self.truth(part, scope, wanted, role)
            })
            .collect();
        Holds::all(parts)
    }

    fn disjunction(
        &mut self,
        parts: &[Condition],
        scope: &Scope<'c>,
        wanted: bool,
        role: Role,
    ) -> Holds {
        // An index serves an OR only if every part of it has one.
        let catalog = self.catalog;
        let finds = role == Role::Finds
            && wanted
            && parts
                .iter()
                .all(|part| selective(part, scope.collection, catalog));
        let role = if finds { Role::Finds } else { Role::Filters };
        let parts: Vec<Holds> = parts
            .iter()
            .map(|part| self.truth(part, scope, wanted, role))
            .collect();
        Holds::any(parts)
    }

    fn leaf_role(&self, condition: &Condition, collection: &Collection, role: Role) -> Role {
        if role == Role::Finds && selective(condition, collection, self.catalog) {
            Role::Finds
        } else {
            Role::Filters
        }
    }

    fn membership(
        &mut self,
        condition: &Condition,
        term: &Term,
        items: &[Term],
        scope: &Scope<'c>,
        wanted: bool,
        role: Role,
    ) -> Holds {
        if items.is_empty() {
            return Holds::constant(!wanted);
        }
        if !items.iter().all(is_value) {
            // An item that is read from a record may be null or lead nowhere; as comparisons each is handled alone.
            let equal = |item: &Term| Condition::Compare {
                left: term.clone(),
                op: CompareOp::Equal,
                right: item.clone(),
            };
            let any = Condition::Any(items.iter().map(equal).collect());
            return self.truth(&any, scope, wanted, role);
        }
        let items: Vec<String> = items.iter().map(|item| self.scalar(item, scope)).collect();
        let role = self.leaf_role(condition, scope.collection, role);
        self.leaf(term, scope, role, &mut |_, value| {
            let list = items.join(", ");
            Holds::when(match (items.len(), wanted) {
                (1, true) => format!("{value} = {list}"),
                (1, false) => format!("{value} <> {list}"),
                (_, true) => format!("{value} IN ({list})"),
                (_, false) => format!("{value} NOT IN ({list})"),
            })
        })
    }

    fn is_null(&mut self, term: &Term, scope: &Scope<'c>, wanted: bool) -> Holds {
        match term {
            Term::Count(_) => return Holds::constant(!wanted),
            Term::Path(PathTerm {
                start: Start::Field(field),
                guard: None,
                hops,
                ..
            }) if hops.is_empty() && !scope.collection.field(*field).nullable => {
                return Holds::constant(!wanted);
            }
            _ => {}
        }
        let value = self.scalar(term, scope);
        Holds::when(format!(
            "{value} {}",
            if wanted { "IS NULL" } else { "IS NOT NULL" }
        ))
    }

    // What is asked of a term's value, where null is unknown either way: then the question can be put inside the
    // tables a path leads through, and a guard can stand beside it, both of which leave the columns bare for indexes.
    fn leaf(&mut self, term: &Term, scope: &Scope<'c>, role: Role, ask: Leaf<'_, 'c>) -> Holds {
        match term {
            Term::Slot(slot, ty) => {
                let value = self.value(slot, *ty);
                ask(self, &value)
            }
            Term::Path(path) => self.path_leaf(path, scope, role, ask),
            Term::Count(_) => {
                let value = self.scalar(term, scope);
                ask(self, &value)
            }
            Term::Part(part, inner) => {
                let (dialect, ty) = (self.dialect, inner.ty());
                self.leaf(inner, scope, Role::Filters, &mut |lowering, value| {
                    ask(lowering, &dialect.date_part(*part, ty, value))
                })
            }
        }
    }

    fn path_leaf(
        &mut self,
        path: &PathTerm,
        scope: &Scope<'c>,
        role: Role,
        ask: Leaf<'_, 'c>,
    ) -> Holds {
        let readable = match (&path.start, &path.guard) {
            (Start::Field(_), Some(guard)) => self.truth(guard, scope, true, Role::Filters),
            _ => Holds::Always,
        };
        if readable == Holds::Never {
            return Holds::Never;
        }
        let start = self.start(path, scope);
        let near = matches!(path.start, Start::Field(_)).then_some(scope);
        let asked = self.hop_leaf(path, 0, (near, &start), role, ask);
        Holds::all([readable, asked])
    }

    // From a value, which may be a column of a table whose rows the statement goes through.
    fn hop_leaf(
        &mut self,
        path: &PathTerm,
        place: usize,
        (near, value): (Option<&Scope<'c>>, &str),
        role: Role,
        ask: Leaf<'_, 'c>,
    ) -> Holds {
        let Some(hop) = path.hops.get(place) else {
            return ask(self, value);
        };
        if let Some(inner) = near.and_then(|near| self.join(near, hop, value)) {
            let guard = self.guard(hop.guard.as_ref(), &inner);
            let next = inner.column(self, hop.field);
            let rest = self.hop_leaf(path, place + 1, (Some(&inner), &next), role, ask);
            // Where there is no such record all its columns are null, and what is asked of null is not true.
            return Holds::all([guard, rest]);
        }
        let inner = self.scope(self.catalog.get(hop.target));
        let guard = self.guard(hop.guard.as_ref(), &inner);
        let next = inner.column(self, hop.field);
        let rest = self.hop_leaf(path, place + 1, (None, &next), role, ask);
        let by = inner.column(self, hop.by);
        let table = inner.table(self);
        match Holds::all([guard, rest]) {
            Holds::Never => Holds::Never,
            held if role == Role::Finds => Holds::when(format!(
                "{value} IN (SELECT {by} FROM {table}{})",
                held.clause()
            )),
            held => {
                let held = Holds::all([Holds::when(format!("{by} = {value}")), held]);
                Holds::when(format!("EXISTS (SELECT 1 FROM {table}{})", held.clause()))
            }
        }
    }

    fn guard(&mut self, guard: Option<&Arc<Condition>>, scope: &Scope<'c>) -> Holds {
        guard.map_or(Holds::Always, |guard| {
            self.truth(guard, scope, true, Role::Filters)
        })
    }

    fn start(&mut self, path: &PathTerm, scope: &Scope<'c>) -> String {
        let first_type = path
            .hops
            .first()
            .map_or(path.ty, |hop| self.catalog.get(hop.target).field(hop.by).ty);
        match &path.start {
            Start::Field(field) => scope.column(self, *field),
            Start::Old(field) => self.value(&Slot::Old(*field), first_type),
            Start::User(name) => self.value(&Slot::User(Arc::clone(name)), first_type),
        }
    }

    /// A term as one value, null wherever it has none.
    pub fn scalar(&mut self, term: &Term, scope: &Scope<'c>) -> String {
        match term {
            Term::Slot(slot, ty) => self.value(slot, *ty),
            Term::Path(path) => self.scalar_path(path, scope),
            Term::Part(part, inner) => {
                let ty = inner.ty();
                let inner = self.scalar(inner, scope);
                self.dialect.date_part(*part, ty, &inner)
            }
            Term::Count(relation) => {
                let from = self.scalar_path(&relation.from, scope);
                let related = self.related(relation);
                let joined = self.joined(&related, &from);
                // Led to twice through a junction, a record is still one record.
                let counted = match relation.via {
                    Via::Field(_) => "*".to_owned(),
                    Via::Through { .. } => {
                        format!(
                            "DISTINCT {}",
                            related.target.column(self, related.target.collection.key)
                        )
                    }
                };
                format!(
                    "(SELECT count({counted}) FROM {}{})",
                    related.tables,
                    joined.clause()
                )
            }
        }
    }

    fn scalar_path(&mut self, path: &PathTerm, scope: &Scope<'c>) -> String {
        let readable = match (&path.start, &path.guard) {
            (Start::Field(_), Some(guard)) => self.truth(guard, scope, true, Role::Filters),
            _ => Holds::Always,
        };
        if let Some(value) = self.joined_value(path, &readable, scope) {
            return value;
        }
        let start = self.start(path, scope);
        let ty = match (&path.start, path.hops.first()) {
            (Start::Field(field), _) => scope.collection.field(*field).ty,
            (_, Some(hop)) => self.catalog.get(hop.target).field(hop.by).ty,
            (_, None) => path.ty,
        };
        let start = masked(self.dialect, &readable, start, ty);
        if path.hops.is_empty() {
            return start;
        }
        let mut value = start;
        let mut tables = vec![];
        let mut held = vec![];
        for hop in &path.hops {
            let inner = self.scope(self.catalog.get(hop.target));
            held.push(Holds::when(format!(
                "{} = {value}",
                inner.column(self, hop.by)
            )));
            held.push(self.guard(hop.guard.as_ref(), &inner));
            tables.push(inner.table(self));
            value = inner.column(self, hop.field);
        }
        match Holds::all(held) {
            Holds::Never => self.dialect.null(path.ty),
            held => format!(
                "(SELECT {value} FROM {}{})",
                tables.join(", "),
                held.clause()
            ),
        }
    }

    /// A column as it may be shown: null wherever the mask is not true.
    pub fn masked_column(
        &mut self,
        field: FieldId,
        mask: Option<&Arc<Condition>>,
        scope: &Scope<'c>,
    ) -> String {
        let readable = self.guard(mask, scope);
        let ty = scope.collection.field(field).ty;
        masked(self.dialect, &readable, scope.column(self, field), ty)
    }

    fn some(
        &mut self,
        relation: &Relation,
        scope: &Scope<'c>,
        role: Role,
        asked: impl Fn(&mut Self, &Scope<'c>, Role) -> Holds,
        selective: bool,
    ) -> Holds {
        let role = if selective { role } else { Role::Filters };
        self.path_leaf(&relation.from, scope, role, &mut |lowering, from| {
            let related = lowering.related(relation);
            match role {
                Role::Finds => {
                    let asked = asked(lowering, &related.target, Role::Finds);
                    let held = Holds::all([related.held.clone(), asked]);
                    if held == Holds::Never {
                        return Holds::Never;
                    }
                    Holds::when(format!(
                        "{from} IN (SELECT {} FROM {}{})",
                        related.near,
                        related.tables,
                        held.clause()
                    ))
                }
                Role::Filters => {
                    let asked = asked(lowering, &related.target, Role::Filters);
                    let joined = lowering.joined(&related, from);
                    match Holds::all([joined, asked]) {
                        Holds::Never => Holds::Never,
                        held => Holds::when(format!(
                            "EXISTS (SELECT 1 FROM {}{})",
                            related.tables,
                            held.clause()
                        )),
                    }
                }
            }
        })
    }

    // There is not one related record for which `asked` holds. Where the path to them is broken there are none, so the
    // path stays a value here.
    fn none(
        &mut self,
        relation: &Relation,
        scope: &Scope<'c>,
        asked: impl Fn(&mut Self, &Scope<'c>) -> Holds,
    ) -> Holds {
        let from = self.scalar_path(&relation.from, scope);
        let related = self.related(relation);
        let asked = asked(self, &related.target);
        let joined = self.joined(&related, &from);
        match Holds::all([joined, asked]) {
            Holds::Never => Holds::Always,
            held => Holds::when(format!(
                "NOT EXISTS (SELECT 1 FROM {}{})",
                related.tables,
                held.clause()
            )),
        }
    }

    /// The tables a relation leads through, with everything that is asked of their rows but where they start.
    pub fn related(&mut self, relation: &Relation) -> Related<'c> {
        let catalog = self.catalog;
        match relation.via {
            Via::Field(fk) => {
                let target = self.scope(catalog.get(relation.target));
                let held = self.guard(relation.guard.as_ref(), &target);
                Related {
                    near: target.column(self, fk),
                    near_ty: target.collection.field(fk).ty,
                    tables: target.table(self),
                    held,
                    target,
                }
            }
            Via::Through {
                junction,
                near,
                far,
            } => {
                let between = self.scope(catalog.get(junction));
                let target = self.scope(catalog.get(relation.target));
                let held = Holds::all([
                    self.guard(relation.junction_guard.as_ref(), &between),
                    Holds::when(format!(
                        "{} = {}",
                        target.column(self, relation.far_by),
                        between.column(self, far)
                    )),
                    self.guard(relation.guard.as_ref(), &target),
                ]);
                let tables = format!("{}, {}", between.table(self), target.table(self));
                Related {
                    near: between.column(self, near),
                    near_ty: between.collection.field(near).ty,
                    tables,
                    held,
                    target,
                }
            }
        }
    }

    fn joined(&mut self, related: &Related<'c>, from: &str) -> Holds {
        Holds::all([
            Holds::when(format!("{} = {from}", related.near)),
            related.held.clone(),
        ])
    }
}

/// The tables a relation leads through.
pub(crate) struct Related<'c> {
    /// The column that holds where they start.
    pub near: String,
    /// Its type.
    pub near_ty: FieldType,
    /// For FROM.
    pub tables: String,
    /// The guards, and what ties a junction to the target.
    pub held: Holds,
    /// The target.
    pub target: Scope<'c>,
}

fn masked(dialect: Dialect, readable: &Holds, column: String, ty: FieldType) -> String {
    match readable {
        Holds::Always => column,
        Holds::Never => dialect.null(ty),
        Holds::When(piece) => format!("CASE WHEN {} THEN {column} END", piece.sql),
    }
}

/// Whether the term is known before any record is read.
fn is_value(term: &Term) -> bool {
    match term {
        Term::Slot(..) => true,
        Term::Path(path) => path.hops.is_empty() && !matches!(path.start, Start::Field(_)),
        Term::Count(_) | Term::Part(..) => false,
    }
}

fn indexed(collection: &Collection, field: FieldId) -> bool {
    let declared = collection.field(field);
    field == collection.key
        || declared.unique
        || declared.relation.is_some()
        || collection
            .indexes
            .iter()
            .any(|index| index.first() == Some(&field))
}

// The field an equality with a known value is about, with the path it is reached by.
fn equality(condition: &Condition) -> Option<&PathTerm> {
    match condition {
        Condition::Compare {
            left: Term::Path(path),
            op: CompareOp::Equal,
            right,
        } if is_value(right) => Some(path),
        Condition::Compare {
            left,
            op: CompareOp::Equal,
            right: Term::Path(path),
        } if is_value(left) => Some(path),
        Condition::In {
            term: Term::Path(path),
            items,
        } if items.iter().all(is_value) => Some(path),
        Condition::InVariable {
            term: Term::Path(path),
            ..
        } => Some(path),
        _ => None,
    }
}

/// Whether an index of this very table finds the rows.
fn anchors(condition: &Condition, collection: &Collection) -> bool {
    match equality(condition) {
        Some(PathTerm {
            start: Start::Field(field),
            hops,
            ..
        }) if hops.is_empty() => indexed(collection, *field),
        _ => match condition {
            Condition::All(parts) => parts.iter().any(|part| anchors(part, collection)),
            Condition::Any(parts) => {
                !parts.is_empty() && parts.iter().all(|part| anchors(part, collection))
            }
            _ => false,
        },
    }
}

/// Whether an index of this table, or of one that leads here, finds the rows.
fn selective(condition: &Condition, collection: &Collection, catalog: &Catalog) -> bool {
    if let Some(path) = equality(condition) {
        let Start::Field(field) = path.start else {
            return false;
        };
        return match path.hops.last() {
            None => indexed(collection, field),
            Some(hop) => indexed(collection, field) && indexed(catalog.get(hop.target), hop.field),
        };
    }
    match condition {
        Condition::All(parts) => parts
            .iter()
            .any(|part| selective(part, collection, catalog)),
        Condition::Any(parts) => {
            !parts.is_empty()
                && parts
                    .iter()
                    .all(|part| selective(part, collection, catalog))
        }
        Condition::Quantified {
            quantifier: Quantifier::Some,
            relation,
            condition,
        } => {
            let start = match relation.from.start {
                Start::Field(field) => indexed(collection, field),
                Start::Old(_) | Start::User(_) => false,
            };
            start && selective(condition, catalog.get(relation.target), catalog)
        }
        _ => false,
    }
}
