//! Going through rows in the order of their key: what one reference leads to is joined to them, once for everybody who
//! asks about it, and no condition but those on the key may lead the database to another order.

use portreeve_model::{
    Catalog, Collection, CollectionId, CompareOp, Condition, FieldId, Hop, PathTerm, Start, Term,
};

use super::{Lowering, Role, Scope, equality, indexed, is_value, masked, selective};
use crate::sql::fragment::{Holds, Piece};

/// SQLite joins no more than 64 tables, and takes its time to arrange many.
const MOST: usize = 8;

/// The tables joined to the first one of a statement.
#[derive(Default)]
pub(super) struct Joins(Vec<Join>);

struct Join {
    /// The column that refers to it.
    from: String,
    target: CollectionId,
    by: FieldId,
    alias: usize,
    sql: String,
}

impl<'c> Lowering<'c> {
    /// For a statement that goes through the rows of its first table.
    pub fn walking(self) -> Self {
        Self {
            joins: Some(Joins::default()),
            ..self
        }
    }

    /// Whether this is such a statement.
    pub fn is_walking(&self) -> bool {
        self.joins.is_some()
    }

    /// The first table with all that was joined to it, for FROM.
    pub fn tables(&self, scope: &Scope<'c>) -> String {
        let mut sql = scope.table(self);
        for join in self.joins.iter().flat_map(|joins| &joins.0) {
            sql.push_str(&join.sql);
        }
        sql
    }

    /// Holds where a condition is true, and hides it from the choice of an index unless it is about the key.
    pub fn walked(&mut self, condition: &Condition, scope: &Scope<'c>) -> Holds {
        match condition {
            Condition::All(parts) => {
                let parts: Vec<Holds> = parts.iter().map(|part| self.walked(part, scope)).collect();
                Holds::all(parts)
            }
            other => match self.is_true(other, scope, Role::Filters) {
                Holds::When(Piece { sql, .. }) if !bounds_key(other, scope.collection) => {
                    Holds::when(format!("({sql}) IS TRUE"))
                }
                held => held,
            },
        }
    }

    /// The table a hop leads to from a column of the rows, where it leads to one record at most.
    pub(super) fn join(&mut self, near: &Scope<'c>, hop: &Hop, value: &str) -> Option<Scope<'c>> {
        let joins = self.joins.as_ref()?;
        // Not from a table in a subquery, which only that subquery knows.
        if near.alias != 0 && !joins.0.iter().any(|join| join.alias == near.alias) {
            return None;
        }
        let collection = self.catalog.get(hop.target);
        if let Some(known) = joins
            .0
            .iter()
            .find(|join| join.from == value && (join.target, join.by) == (hop.target, hop.by))
        {
            let alias = known.alias;
            return Some(Scope { collection, alias });
        }
        let ours = |collection: &Collection| collection.existing.is_none();
        let one = hop.by == collection.key || collection.field(hop.by).unique;
        if joins.0.len() == MOST || !one || !ours(collection) || !ours(near.collection) {
            return None;
        }
        let scope = self.scope(collection);
        let sql = format!(
            " LEFT JOIN {} ON {} = {value}",
            scope.table(self),
            scope.column(self, hop.by)
        );
        let join = Join {
            from: value.to_owned(),
            target: hop.target,
            by: hop.by,
            alias: scope.alias,
            sql,
        };
        self.joins.as_mut()?.0.push(join);
        Some(scope)
    }

    /// What a path leads to as a column of a joined table, null wherever it has no value.
    pub(super) fn joined_value(
        &mut self,
        path: &PathTerm,
        readable: &Holds,
        scope: &Scope<'c>,
    ) -> Option<String> {
        if self.joins.is_none() || path.hops.is_empty() || !matches!(path.start, Start::Field(_)) {
            return None;
        }
        let mut held = vec![readable.clone()];
        let mut near = scope.clone();
        let mut value = self.start(path, scope);
        for hop in &path.hops {
            near = self.join(&near, hop, &value)?;
            held.push(self.guard(hop.guard.as_ref(), &near));
            value = near.column(self, hop.field);
        }
        Some(masked(self.dialect, &Holds::all(held), value, path.ty))
    }
}

/// Whether the rows are found by indexes that do not give them in the order of their key. Then they have to be sorted,
/// all of them, however few are wanted.
pub(crate) fn found_unordered(
    condition: &Condition,
    collection: &Collection,
    catalog: &Catalog,
) -> bool {
    match condition {
        Condition::All(parts) => {
            !parts.iter().any(|part| finds_in_order(part, collection))
                && parts
                    .iter()
                    .any(|part| found_unordered(part, collection, catalog))
        }
        other => !finds_in_order(other, collection) && selective(other, collection, catalog),
    }
}

// One value of the key, of a unique field or of a relation, whose index has the key beside it.
fn finds_in_order(condition: &Condition, collection: &Collection) -> bool {
    let one = match condition {
        Condition::Compare { .. } => true,
        Condition::In { items, .. } => items.len() == 1,
        _ => false,
    };
    let Some(PathTerm {
        start: Start::Field(field),
        hops,
        ..
    }) = equality(condition).filter(|_| one)
    else {
        return false;
    };
    let declared = collection.field(*field);
    let ordered = *field == collection.key || declared.unique || declared.relation.is_some();
    hops.is_empty() && ordered && indexed(collection, *field)
}

// Where to begin or to end among the keys.
fn bounds_key(condition: &Condition, collection: &Collection) -> bool {
    match condition {
        Condition::Compare {
            left: Term::Path(path),
            op,
            right,
        } => {
            matches!(path.start, Start::Field(field) if field == collection.key)
                && path.hops.is_empty()
                && path.guard.is_none()
                && *op != CompareOp::NotEqual
                && is_value(right)
        }
        _ => false,
    }
}
