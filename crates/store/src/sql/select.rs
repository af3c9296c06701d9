//! Reads as statements: one per node of the plan.

use std::sync::atomic::AtomicBool;

use portreeve_gate::{MANY_LIMIT, ReadPlan, Selected, Window};
use portreeve_model::{Catalog, Collection, ColumnKind, FieldType, PathTerm, Start, Term, Via};

use super::dialect::Dialect;
use super::fragment::{BoundSlot, Fragment, Holds};
use super::lower::{Lowering, Role, Scope, found_unordered};

/// A read, ready to be bound and run.
#[derive(Debug)]
pub(crate) struct ReadStatement {
    /// The records; `None` where only their number is wanted.
    pub rows: Option<Node>,
    /// Another way to the same records in the same order, which is the shorter one where many match.
    pub walk: Option<Walk>,
    /// How many match in all, where that is wanted.
    pub total: Option<Fragment>,
}

/// The rows of the table are gone through in the order of their key until enough match, instead of all that match being
/// found and sorted. Which takes less depends on how many match, which nobody knows beforehand.
#[derive(Debug)]
pub(crate) struct Walk {
    /// The statement.
    pub node: Node,
    /// Whether this was the shorter way when it was last tried.
    pub favoured: AtomicBool,
}

/// The records of one node of the plan.
#[derive(Debug)]
pub(crate) struct Node {
    /// The statement.
    pub fragment: Fragment,
    /// For each column of the answer, where it comes from.
    pub places: Vec<Place>,
    /// For each column of the answer, its type; none where it is a relation.
    pub types: Vec<Option<FieldType>>,
    /// Result columns of the sort terms and then of the key, with their types.
    pub last: Vec<(usize, FieldType)>,
    /// In a node below the first: the result column that says which parent's the record is, and its type.
    pub parent: (usize, FieldType),
    /// The relations to follow.
    pub expansions: Vec<Expansion>,
}

/// Where a column of the answer comes from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Place {
    /// This result column.
    Column(usize),
    /// This expansion.
    Expansion(usize),
}

/// A relation that is followed for each record.
#[derive(Debug)]
pub(crate) struct Expansion {
    /// The result column whose value related records point at, or that points at them, and its type.
    pub from: (usize, FieldType),
    /// Whether there is a list of them.
    pub many: bool,
    /// The related records, asked for by [`BoundSlot::Keys`].
    pub node: Node,
}

/// Which of a plan's statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Asked {
    /// One record by its key.
    One,
    /// A page.
    Page,
}

impl Asked {
    pub fn of(window: &Window) -> Self {
        match window {
            Window::Key(_) => Self::One,
            Window::Page { .. } => Self::Page,
        }
    }
}

// The columns a statement selects; one that is wanted twice is selected once.
struct Results(Vec<String>);

impl Results {
    fn place(&mut self, sql: String) -> usize {
        self.0
            .iter()
            .position(|known| *known == sql)
            .unwrap_or_else(|| {
                self.0.push(sql);
                self.0.len() - 1
            })
    }
}

/// Builds the statement of a plan.
pub(crate) fn read(
    dialect: Dialect,
    catalog: &Catalog,
    plan: &ReadPlan,
    asked: Asked,
) -> ReadStatement {
    let lowering = || Lowering::new(dialect, catalog, &[]);
    let rows = plan.rows().then(|| page(lowering(), catalog, plan, asked));
    let walk = walks(dialect, catalog, plan, asked).then(|| Walk {
        node: page(lowering().walking(), catalog, plan, asked),
        favoured: AtomicBool::new(false),
    });
    let total = (plan.total() || !plan.rows()).then(|| {
        let mut lowering = Lowering::new(dialect, catalog, &[]);
        let scope = lowering.scope(plan.collection());
        let held = match asked {
            Asked::One => reached(&mut lowering, plan, &scope, asked),
            Asked::Page => lowering.is_true(plan.counted(), &scope, Role::Finds),
        };
        let sql = format!(
            "SELECT count(*) FROM {}{}",
            scope.table(&lowering),
            held.clause()
        );
        Fragment {
            sql,
            slots: lowering.into_slots(),
        }
    });
    ReadStatement { rows, walk, total }
}

// PostgreSQL weighs the two ways itself, knowing how many rows are wanted.
fn walks(dialect: Dialect, catalog: &Catalog, plan: &ReadPlan, asked: Asked) -> bool {
    let collection = plan.collection();
    dialect == Dialect::Sqlite
        && asked == Asked::Page
        && plan.rows()
        && plan.order().is_empty()
        && collection.existing.is_none()
        && found_unordered(plan.condition(), collection, catalog)
}

fn reached<'c>(
    lowering: &mut Lowering<'c>,
    plan: &ReadPlan,
    scope: &Scope<'c>,
    asked: Asked,
) -> Holds {
    match asked {
        Asked::One => {
            let key = lowering.parameter(BoundSlot::Key(plan.collection().key_field().ty));
            let key = scope.has_key(lowering, &key);
            let held = lowering.is_true(plan.condition(), scope, Role::Filters);
            Holds::all([key, held])
        }
        Asked::Page if lowering.is_walking() => lowering.walked(plan.condition(), scope),
        Asked::Page => lowering.is_true(plan.condition(), scope, Role::Finds),
    }
}

fn page<'c>(
    mut lowering: Lowering<'c>,
    catalog: &'c Catalog,
    plan: &'c ReadPlan,
    asked: Asked,
) -> Node {
    let dialect = lowering.dialect;
    let scope = lowering.scope(plan.collection());
    let mut results = Results(vec![]);
    let (places, expansions) = columns(&mut lowering, catalog, plan, &scope, &mut results);
    let key_field = plan.collection().key_field();
    let key = scope.column(&lowering, plan.collection().key);
    let mut last = vec![];
    let mut order = vec![];
    if asked == Asked::Page {
        // What comes after the whole key decides nothing.
        let mut undecided = scope.key_order(&lowering);
        let keyless = undecided.is_empty();
        for part in plan.order() {
            let term = lowering.scalar(&part.term, &scope);
            last.push((results.place(term.clone()), part.term.ty()));
            if keyless || !undecided.is_empty() {
                let term = sorted(dialect, catalog, &part.term, plan.collection(), term);
                order.push(dialect.order(
                    &term,
                    part.descending,
                    may_be_null(&part.term, plan.collection()),
                ));
                undecided.retain(|key| *key != term);
            }
        }
        order.append(&mut undecided);
        last.push((results.place(key), key_field.ty));
    }
    let held = reached(&mut lowering, plan, &scope, asked);
    if results.0.is_empty() {
        results.0.push("1".into());
    }
    let mut sql = format!(
        "SELECT {} FROM {}{}",
        results.0.join(", "),
        lowering.tables(&scope),
        held.clause()
    );
    if asked == Asked::Page {
        let (limit, offset) = (
            lowering.parameter(BoundSlot::Limit),
            lowering.parameter(BoundSlot::Offset),
        );
        if !order.is_empty() {
            sql.push_str(&format!(" ORDER BY {}", order.join(", ")));
        }
        sql.push_str(&format!(" LIMIT {limit} OFFSET {offset}"));
    }
    Node {
        fragment: Fragment {
            sql,
            slots: lowering.into_slots(),
        },
        places,
        types: types(plan),
        last,
        parent: (0, key_field.ty),
        expansions,
    }
}

fn types(plan: &ReadPlan) -> Vec<Option<FieldType>> {
    let columns = plan.columns().list.iter();
    columns
        .map(|column| match &column.kind {
            ColumnKind::Scalar(ty) => Some(*ty),
            ColumnKind::Undeclared(_) => Some(FieldType::Overflow),
            ColumnKind::One(_) | ColumnKind::Many(_) => None,
        })
        .collect()
}

fn columns<'c>(
    lowering: &mut Lowering<'c>,
    catalog: &'c Catalog,
    plan: &ReadPlan,
    scope: &Scope<'c>,
    results: &mut Results,
) -> (Vec<Place>, Vec<Expansion>) {
    let mut expansions = vec![];
    let mut places = vec![];
    for selected in plan.select() {
        places.push(match selected {
            Selected::Field { field, mask } => {
                Place::Column(results.place(lowering.masked_column(*field, mask.as_ref(), scope)))
            }
            Selected::One {
                field,
                mask,
                by,
                plan,
            } => {
                let ty = scope.collection.field(*field).ty;
                let from = (
                    results.place(lowering.masked_column(*field, mask.as_ref(), scope)),
                    ty,
                );
                let node = related_one(lowering.dialect, catalog, plan, *by);
                expansions.push(Expansion {
                    from,
                    many: false,
                    node,
                });
                Place::Expansion(expansions.len() - 1)
            }
            Selected::Many { relation, plan } => {
                let from = Term::Path(relation.from.clone());
                let from = (results.place(lowering.scalar(&from, scope)), from.ty());
                let node = related_many(lowering.dialect, catalog, plan, relation);
                expansions.push(Expansion {
                    from,
                    many: true,
                    node,
                });
                Place::Expansion(expansions.len() - 1)
            }
        });
    }
    (places, expansions)
}

fn related_one(
    dialect: Dialect,
    catalog: &Catalog,
    plan: &ReadPlan,
    by: portreeve_model::FieldId,
) -> Node {
    let mut lowering = Lowering::new(dialect, catalog, &[]);
    let scope = lowering.scope(plan.collection());
    let mut results = Results(vec![]);
    let (places, expansions) = columns(&mut lowering, catalog, plan, &scope, &mut results);
    let ty = plan.collection().field(by).ty;
    let by = scope.column(&lowering, by);
    let parent = (results.place(by.clone()), ty);
    let keys = lowering.parameter(BoundSlot::Keys(ty));
    let wanted = Holds::when(dialect.among(false, &by, &keys));
    let reach = lowering.is_true(plan.condition(), &scope, Role::Filters);
    let held = Holds::all([wanted, reach]);
    let sql = format!(
        "SELECT {} FROM {}{}",
        results.0.join(", "),
        scope.table(&lowering),
        held.clause()
    );
    Node {
        fragment: Fragment {
            sql,
            slots: lowering.into_slots(),
        },
        places,
        types: types(plan),
        last: vec![],
        parent,
        expansions,
    }
}

fn related_many(
    dialect: Dialect,
    catalog: &Catalog,
    plan: &ReadPlan,
    relation: &portreeve_model::Relation,
) -> Node {
    let mut lowering = Lowering::new(dialect, catalog, &[]);
    let mut relation = relation.clone();
    // The relation's guard and the plan's reach are usually the same condition.
    if relation.guard.as_deref() == Some(plan.condition()) {
        relation.guard = None;
    }
    let related = lowering.related(&relation);
    let scope = related.target.clone();
    let mut results = Results(vec![]);
    let (places, expansions) = columns(&mut lowering, catalog, plan, &scope, &mut results);
    let parent = (results.place(related.near.clone()), related.near_ty);
    let keys = lowering.parameter(BoundSlot::Keys(related.near_ty));
    let wanted = Holds::when(dialect.among(false, &related.near, &keys));
    let reach = lowering.is_true(plan.condition(), &scope, Role::Filters);
    let held = Holds::all([wanted, related.held.clone(), reach]);
    let near = &related.near;
    let mut key = scope.key_order(&lowering).join(", ");
    if key.is_empty() {
        key.clone_from(near);
    }
    // Led to twice through a junction, a record is still one record: all its copies have one place.
    let (place, once) = match relation.via {
        Via::Field(_) => (
            format!("row_number() OVER (PARTITION BY {near} ORDER BY {key}) AS place"),
            "",
        ),
        Via::Through { .. } => (
            format!(
                "dense_rank() OVER (PARTITION BY {near} ORDER BY {key}) AS place, \
                 row_number() OVER (PARTITION BY {near}, {key}) AS copy"
            ),
            " AND copy = 1",
        ),
    };
    // A cap per parent, not over all of them; the columns get names because the outer SELECT has to repeat them.
    let named: Vec<String> = results
        .0
        .iter()
        .enumerate()
        .map(|(place, sql)| format!("{sql} AS c{place}"))
        .collect();
    let names: Vec<String> = (0..results.0.len())
        .map(|place| format!("c{place}"))
        .collect();
    let sql = format!(
        "SELECT {} FROM (SELECT {}, {place} FROM {}{}) AS related \
         WHERE place <= {MANY_LIMIT}{once} ORDER BY place",
        names.join(", "),
        named.join(", "),
        related.tables,
        held.clause(),
    );
    Node {
        fragment: Fragment {
            sql,
            slots: lowering.into_slots(),
        },
        places,
        types: types(plan),
        last: vec![],
        parent,
        expansions,
    }
}

// A term as it is sorted by, which for text of other people's tables is more than its value.
fn sorted(
    dialect: Dialect,
    catalog: &Catalog,
    term: &Term,
    collection: &Collection,
    value: String,
) -> String {
    let Term::Path(path) = term else { return value };
    match (path.hops.last(), &path.start) {
        (Some(hop), _) => dialect.sorted(catalog.get(hop.target), hop.field, value),
        (None, Start::Field(field)) => dialect.sorted(collection, *field, value),
        (None, _) => value,
    }
}

fn may_be_null(term: &Term, collection: &Collection) -> bool {
    match term {
        Term::Path(PathTerm {
            start: Start::Field(field),
            guard: None,
            hops,
            ..
        }) if hops.is_empty() => collection.field(*field).nullable,
        _ => true,
    }
}
