//! The resolver over the whole plan tree: every name a caller uses, at every node, is looked up in what this caller
//! may read. A name he may not read is answered like one that does not exist (invariant 3).

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portreeve_model::{
    Collection, CollectionId, Column, ColumnKind, Columns, CompareOp, Condition, Expand, FieldId,
    FieldType, Literal, Page, Path, PathTerm, Query, RecordQuery, Rule, Slot, Start, Term, TextOp,
};
use portreeve_policy::{
    Access, ActionId, Guards, READ_MANY, READ_ONE, Resolver, Rights, suggestion,
};

use crate::{Caller, Gate, Order, ReadPlan, Refused, Selected};

mod aggregate;

pub(crate) use aggregate::PlannedAggregate;

/// A plan and what it was made from, so that it is used again only while nothing of that has changed.
pub(crate) struct Planned {
    pub plan: Arc<ReadPlan>,
    pub types: Vec<Option<FieldType>>,
    pub depends: Vec<(CollectionId, ActionId, u64)>,
}

const MAX_EXPANSIONS: usize = 16;
const MAX_EXPANSION_DEPTH: usize = 4;

static NEXT_PLAN: AtomicU64 = AtomicU64::new(1);

pub(crate) struct Planner<'a> {
    gate: &'a Gate,
    caller: &'a Caller,
    depends: RefCell<Vec<(CollectionId, ActionId, u64)>>,
    expansions: usize,
}

impl Guards for Planner<'_> {
    fn field(&self, collection: CollectionId, field: FieldId) -> Access {
        let rights = self.rights(collection, READ_MANY);
        rights
            .field(self.caller.snapshot.catalog().get(collection), field)
            .clone()
    }

    fn reach(&self, collection: CollectionId) -> Access {
        self.rights(collection, READ_MANY).reach().clone()
    }
}

impl<'a> Planner<'a> {
    pub(crate) fn new(gate: &'a Gate, caller: &'a Caller) -> Self {
        Self {
            gate,
            caller,
            depends: RefCell::default(),
            expansions: 0,
        }
    }

    fn rights(&self, collection: CollectionId, action: ActionId) -> Arc<Rights> {
        let rights = self.gate.rights(self.caller, collection, action);
        let dependency = (collection, action, rights.id());
        let mut depends = self.depends.borrow_mut();
        if !depends.contains(&dependency) {
            depends.push(dependency);
        }
        rights
    }

    pub(crate) fn list(
        mut self,
        query: &Query,
        rights: &Rights,
        rows: bool,
    ) -> Result<Planned, Refused> {
        let collection = Arc::clone(self.caller.snapshot.catalog().get(rights.collection()));
        self.depends
            .borrow_mut()
            .push((collection.id, rights.action(), rights.id()));
        let snapshot = Arc::clone(&self.caller.snapshot);
        let guards = Planner::new(self.gate, self.caller);
        let mut resolver = Resolver::for_caller(snapshot.catalog(), snapshot.rules(), &guards);
        let (filter, search) = (query.filter.as_ref(), query.search.as_ref());
        let (mut condition, mut types) =
            guards.found(&mut resolver, &collection, rights, filter, search)?;
        let mut order = vec![];
        for by in &query.sort {
            if order.len() == 8 {
                return Err(Refused::BadQuery("at most 8 sort fields".into()));
            }
            let term = resolver
                .sort_key(&collection, &by.by)
                .map_err(|error| Refused::BadQuery(error.0))?;
            order.push(Order {
                term,
                descending: by.descending,
            });
        }
        // A key that is made of columns comes in their order, where an index may help; what has no key in the order
        // of all that is shown, so that pages of it fit together.
        let further: Vec<FieldId> = match collection.key_parts() {
            Some(parts) => parts.to_vec(),
            None if collection.is_list_only() => collection
                .field_ids()
                .filter(|field| {
                    collection.is_column(*field)
                        && *rights.field(&collection, *field) == Access::Always
                })
                .collect(),
            None => vec![],
        };
        order.extend(further.into_iter().map(|field| Order {
            term: Term::Path(plain_path(&collection, field)),
            descending: false,
        }));
        let mut counted = None;
        if let Page::After { first, nulls } = &query.page {
            if collection.is_list_only() {
                return Err(Refused::BadQuery(format!(
                    "'{}' has no key to continue after; use an offset",
                    collection.name
                )));
            }
            let key = Term::Path(plain_path(&collection, collection.key));
            counted = Some(condition.clone());
            condition = condition.and(after(&order, &key, *first, nulls)?);
            for (place, order) in order.iter().enumerate() {
                set_type(&mut types, first + place, order.term.ty());
            }
            set_type(&mut types, first + order.len(), collection.key_field().ty);
        }
        let depends = guards.depends.into_inner();
        self.depends.borrow_mut().extend(depends);
        let (columns, select) = if rows {
            self.columns(
                &collection,
                rights,
                query.fields.as_deref(),
                &query.expand,
                0,
            )?
        } else {
            (vec![], vec![])
        };
        let plan = ReadPlan {
            id: next_plan(),
            collection,
            columns: Arc::new(Columns { list: columns }),
            select,
            condition,
            counted,
            order,
            total: query.total,
            rows,
        };
        Ok(Planned {
            plan: Arc::new(plan),
            types,
            depends: self.depends.into_inner(),
        })
    }

    // Which records: those in reach that filter and search hold for, and the types of the values these compare with.
    // Asked of the planner that guards the resolver.
    fn found(
        &self,
        resolver: &mut Resolver<'_>,
        collection: &Collection,
        rights: &Rights,
        filter: Option<&Rule>,
        search: Option<&Literal>,
    ) -> Result<(Condition, Vec<Option<FieldType>>), Refused> {
        let mut condition = reach_condition(rights)?;
        if let Some(filter) = filter {
            let filter = resolver.rule(Some(collection), filter);
            condition = condition.and(filter.map_err(|error| Refused::BadQuery(error.0))?);
        }
        let mut types: Vec<Option<FieldType>> = resolver.caller_types().to_vec();
        if let Some(Literal::Caller(index)) = search {
            condition = condition.and(self.search(collection, *index));
            set_type(&mut types, *index, FieldType::Text);
        }
        Ok((condition, types))
    }

    pub(crate) fn record(
        mut self,
        query: &RecordQuery,
        rights: &Rights,
    ) -> Result<Planned, Refused> {
        let collection = Arc::clone(self.caller.snapshot.catalog().get(rights.collection()));
        let condition = reach_condition(rights)?;
        let (columns, select) = self.columns(
            &collection,
            rights,
            query.fields.as_deref(),
            &query.expand,
            0,
        )?;
        let plan = self.node(collection, columns, select, condition);
        self.depends
            .borrow_mut()
            .push((rights.collection(), rights.action(), rights.id()));
        Ok(Planned {
            plan,
            types: vec![],
            depends: self.depends.into_inner(),
        })
    }

    fn node(
        &self,
        collection: Arc<Collection>,
        columns: Vec<Column>,
        select: Vec<Selected>,
        condition: Condition,
    ) -> Arc<ReadPlan> {
        Arc::new(ReadPlan {
            id: next_plan(),
            collection,
            columns: Arc::new(Columns { list: columns }),
            select,
            condition,
            counted: None,
            order: vec![],
            total: false,
            rows: true,
        })
    }

    fn columns(
        &mut self,
        collection: &Arc<Collection>,
        rights: &Rights,
        fields: Option<&[String]>,
        expand: &[Expand],
        depth: usize,
    ) -> Result<(Vec<Column>, Vec<Selected>), Refused> {
        let mut columns = vec![];
        let mut select = vec![];
        let wanted: Vec<FieldId> = match fields {
            None => collection
                .field_ids()
                .filter(|field| *rights.field(collection, *field) != Access::Never)
                .collect(),
            Some(names) => {
                let mut wanted = vec![];
                for name in names {
                    let field = collection
                        .find_field(name)
                        .filter(|field| *rights.field(collection, *field) != Access::Never)
                        .ok_or_else(|| unknown_field(collection, rights, name))?;
                    if !wanted.contains(&field) {
                        wanted.push(field);
                    }
                }
                wanted
            }
        };
        let expanded = |field: FieldId| {
            expand
                .iter()
                .find(|expand| *expand.relation == *collection.field(field).name)
        };
        for field in wanted {
            if expanded(field).is_none() {
                columns.push(collection.column(field));
                select.push(Selected::Field {
                    field,
                    mask: mask(rights.field(collection, field)),
                });
            }
        }
        for expand in expand {
            self.expansions += 1;
            if self.expansions > MAX_EXPANSIONS || depth >= MAX_EXPANSION_DEPTH {
                return Err(Refused::BadQuery(format!(
                    "at most {MAX_EXPANSIONS} relations, {MAX_EXPANSION_DEPTH} deep, can be expanded at once"
                )));
            }
            let (column, selected) = self.expand(collection, rights, expand, depth)?;
            if columns
                .iter()
                .any(|known: &Column| known.name == column.name)
            {
                return Err(Refused::BadQuery(format!(
                    "'{}' is expanded twice",
                    expand.relation
                )));
            }
            columns.push(column);
            select.push(selected);
        }
        Ok((columns, select))
    }

    fn expand(
        &mut self,
        collection: &Arc<Collection>,
        rights: &Rights,
        expand: &Expand,
        depth: usize,
    ) -> Result<(Column, Selected), Refused> {
        let unknown = || unknown_relation(collection, &expand.relation);
        let snapshot = Arc::clone(&self.caller.snapshot);
        if let Some(field) = collection.find_field(&expand.relation) {
            let access = rights.field(collection, field);
            let Some(to) = collection
                .field(field)
                .relation
                .filter(|_| *access != Access::Never)
            else {
                return Err(unknown());
            };
            let target = Arc::clone(snapshot.catalog().get(to.target));
            // One record may be followed to by whoever may read it alone or in lists.
            let one = self.rights(to.target, READ_ONE);
            let target_rights = if one.allows_something() {
                one
            } else {
                self.rights(to.target, READ_MANY)
            };
            let plan = self
                .target(&target, &target_rights, expand, depth)
                .map_err(|error| error.unwrap_or_else(unknown))?;
            let column = Column {
                name: Arc::clone(&collection.field(field).name),
                kind: ColumnKind::One(Arc::clone(&plan.columns)),
            };
            return Ok((
                column,
                Selected::One {
                    field,
                    mask: mask(access),
                    by: to.by,
                    plan,
                },
            ));
        }
        let (_, declared) = collection
            .find_relation(&expand.relation)
            .ok_or_else(unknown)?;
        let name = Arc::clone(&declared.name);
        let target = Arc::clone(snapshot.catalog().get(declared.target));
        let guards = Planner::new(self.gate, self.caller);
        let mut resolver = Resolver::for_caller(snapshot.catalog(), snapshot.rules(), &guards);
        let relation = resolver
            .relation(collection, &Path(vec![expand.relation.clone()]))
            .map_err(|_| unknown())?;
        self.depends
            .borrow_mut()
            .extend(guards.depends.into_inner());
        let target_rights = self.rights(target.id, READ_MANY);
        let plan = self
            .target(&target, &target_rights, expand, depth)
            .map_err(|error| error.unwrap_or_else(unknown))?;
        let column = Column {
            name,
            kind: ColumnKind::Many(Arc::clone(&plan.columns)),
        };
        Ok((column, Selected::Many { relation, plan }))
    }

    // None: the target is wholly out of reach, so the relation is unknown to this caller.
    fn target(
        &mut self,
        target: &Arc<Collection>,
        rights: &Rights,
        expand: &Expand,
        depth: usize,
    ) -> Result<Arc<ReadPlan>, Option<Refused>> {
        let condition = reach_condition(rights).map_err(|_| None)?;
        let (columns, select) = self
            .columns(
                target,
                rights,
                expand.fields.as_deref(),
                &expand.expand,
                depth + 1,
            )
            .map_err(Some)?;
        Ok(self.node(Arc::clone(target), columns, select, condition))
    }

    // Some readable text field contains the caller value, ASCII case folded.
    fn search(&self, collection: &Collection, index: usize) -> Condition {
        let any = collection
            .field_ids()
            .filter(|field| collection.field(*field).ty == FieldType::Text)
            .filter_map(|field| {
                let guard = match self.field(collection.id, field) {
                    Access::Never => return None,
                    Access::Always => None,
                    Access::When(condition) => Some(condition),
                };
                Some(Condition::Text {
                    term: Term::Path(PathTerm {
                        guard,
                        ..plain_path(collection, field)
                    }),
                    op: TextOp::Contains,
                    ignore_case: true,
                    needle: Term::Slot(Slot::Caller(index), FieldType::Text),
                })
            })
            .collect();
        Condition::Any(any)
    }
}

fn next_plan() -> u64 {
    NEXT_PLAN.fetch_add(1, Ordering::Relaxed)
}

fn set_type(types: &mut Vec<Option<FieldType>>, index: usize, ty: FieldType) {
    if types.len() <= index {
        types.resize(index + 1, None);
    }
    types[index] = Some(ty);
}

fn reach_condition(rights: &Rights) -> Result<Condition, Refused> {
    match rights.reach() {
        Access::Never => Err(Refused::NotFound),
        Access::Always => Ok(Condition::Constant(true)),
        Access::When(condition) => Ok((**condition).clone()),
    }
}

fn mask(access: &Access) -> Option<Arc<Condition>> {
    match access {
        Access::When(condition) => Some(Arc::clone(condition)),
        Access::Always | Access::Never => None,
    }
}

fn plain_path(collection: &Collection, field: FieldId) -> PathTerm {
    PathTerm {
        start: Start::Field(field),
        guard: None,
        hops: vec![],
        ty: collection.field(field).ty,
    }
}

pub(crate) fn unknown_field(collection: &Collection, rights: &Rights, name: &str) -> Refused {
    let visible: Vec<&str> = collection
        .named_fields()
        .filter(|field| *rights.field(collection, *field) != Access::Never)
        .map(|field| &*collection.field(field).name)
        .collect();
    Refused::UnknownField(format!(
        "'{}' has no field '{name}'{}",
        collection.name,
        suggestion(name, visible.iter().copied())
    ))
}

fn unknown_relation(collection: &Collection, name: &str) -> Refused {
    Refused::UnknownField(format!(
        "'{}' has no relation '{name}' to expand",
        collection.name
    ))
}

// Records that come after the one with these sort values and key, nulls last either way.
fn after(order: &[Order], key: &Term, first: usize, nulls: &[bool]) -> Result<Condition, Refused> {
    if nulls.len() != order.len() {
        return Err(Refused::BadQuery(
            "the cursor belongs to a list with another sort".into(),
        ));
    }
    let value = |place: usize, ty| Term::Slot(Slot::Caller(first + place), ty);
    let mut any = vec![];
    let mut equal_so_far: Vec<Condition> = vec![];
    for (place, order) in order.iter().enumerate() {
        let ty = order.term.ty();
        let is_null = || Condition::IsNull(order.term.clone());
        if nulls[place] {
            equal_so_far.push(is_null());
            continue;
        }
        let op = if order.descending {
            CompareOp::Less
        } else {
            CompareOp::Greater
        };
        let beyond = Condition::Compare {
            left: order.term.clone(),
            op,
            right: value(place, ty),
        };
        let mut all = equal_so_far.clone();
        all.push(Condition::Any(vec![beyond, is_null()]));
        any.push(Condition::All(all));
        equal_so_far.push(Condition::Compare {
            left: order.term.clone(),
            op: CompareOp::Equal,
            right: value(place, ty),
        });
    }
    let last = value(order.len(), key.ty());
    equal_so_far.push(Condition::Compare {
        left: key.clone(),
        op: CompareOp::Greater,
        right: last,
    });
    any.push(if equal_so_far.len() == 1 {
        equal_so_far.remove(0)
    } else {
        Condition::All(equal_so_far)
    });
    Ok(if any.len() == 1 {
        any.remove(0)
    } else {
        Condition::Any(any)
    })
}
