//! Writes as statements. The columns an INSERT or UPDATE names depend on the attempt, everything else on the template.

use portreeve_model::{Catalog, Collection, Condition, Field, FieldId};

use super::dialect::Dialect;
use super::fragment::{BoundSlot, Fragment, Holds};
use super::lower::{Lowering, Role, Scope};

// The truth of each probe, as a column.
fn truths<'c>(lowering: &mut Lowering<'c>, scope: &Scope<'c>, probes: &[Condition]) -> Vec<String> {
    probes
        .iter()
        .map(|probe| {
            lowering
                .is_true(probe, scope, Role::Filters)
                .text()
                .to_owned()
        })
        .collect()
}

/// `INSERT INTO t (…) VALUES (…)`. Without RETURNING on SQLite, where it costs more than asking for the record
/// afterwards; on PostgreSQL, and in a table that was there before, it tells the key the database has made.
pub(crate) fn insert(dialect: Dialect, collection: &Collection, fields: &[FieldId]) -> Fragment {
    let table = dialect.table(collection);
    let names: Vec<String> = fields
        .iter()
        .map(|field| dialect.column(collection.field(*field)))
        .collect();
    let slots: Vec<BoundSlot> = fields
        .iter()
        .map(|field| BoundSlot::Assigned(*field, collection.field(*field).ty))
        .collect();
    let values: Vec<String> = slots
        .iter()
        .zip(fields)
        .enumerate()
        .map(|(place, (slot, field))| {
            dialect.stored(collection.field(*field), dialect.parameter(place + 1, slot))
        })
        .collect();
    let mut sql = if fields.is_empty() {
        format!("INSERT INTO {table} DEFAULT VALUES")
    } else {
        format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            names.join(", "),
            values.join(", ")
        )
    };
    let told = dialect == Dialect::Postgres || collection.existing.is_some();
    if told && !fields.contains(&collection.key) {
        sql.push_str(" RETURNING ");
        sql.push_str(&dialect.field(collection, collection.key, None));
    }
    Fragment { sql, slots }
}

/// `UPDATE t SET … WHERE key = ?`. There is at least one field.
pub(crate) fn update(dialect: Dialect, collection: &Collection, fields: &[FieldId]) -> Fragment {
    let slots: Vec<BoundSlot> = fields
        .iter()
        .map(|field| BoundSlot::Assigned(*field, collection.field(*field).ty))
        .chain([BoundSlot::Key(collection.key_field().ty)])
        .collect();
    let parameter = |place: usize| dialect.parameter(place + 1, &slots[place]);
    let set: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(place, field)| {
            let field = collection.field(*field);
            let stored = dialect.stored(field, parameter(place));
            format!("{} = {stored}", dialect.column(field))
        })
        .collect();
    let sql = format!(
        "UPDATE {} SET {} WHERE {}",
        dialect.table(collection),
        set.join(", "),
        dialect.has_key(collection, None, &parameter(fields.len()))
    );
    Fragment { sql, slots }
}

/// The truth of the probes over the record with a key.
pub(crate) fn probe(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    probes: &[Condition],
    sent: &[FieldId],
) -> Fragment {
    let mut lowering = Lowering::new(dialect, catalog, sent);
    let scope = lowering.scope(collection);
    let truths = truths(&mut lowering, &scope, probes);
    of_field(lowering, &scope, collection.key, &truths)
}

/// All columns and the probes of the record with a key, which is about to be changed.
pub(crate) fn look(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    probes: &[Condition],
    sent: &[FieldId],
) -> Fragment {
    look_by(dialect, catalog, collection, collection.key, probes, sent)
}

/// The same of the record whose field has a value.
pub(crate) fn look_by(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    by: FieldId,
    probes: &[Condition],
    sent: &[FieldId],
) -> Fragment {
    let (lowering, scope, results) = looking(dialect, catalog, collection, probes, sent);
    let lock = dialect.for_update(&scope.alias());
    let mut fragment = of_field(lowering, &scope, by, &results);
    fragment.sql.push_str(&lock);
    fragment
}

/// The same of a record that was written.
pub(crate) fn look_again(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    by: FieldId,
    probes: &[Condition],
    sent: &[FieldId],
) -> Fragment {
    let (lowering, scope, results) = looking(dialect, catalog, collection, probes, sent);
    of_field(lowering, &scope, by, &results)
}

fn looking<'c>(
    dialect: Dialect,
    catalog: &'c Catalog,
    collection: &'c Collection,
    probes: &[Condition],
    sent: &'c [FieldId],
) -> (Lowering<'c>, Scope<'c>, Vec<String>) {
    let mut lowering = Lowering::new(dialect, catalog, sent);
    let scope = lowering.scope(collection);
    let mut results: Vec<String> = collection
        .field_ids()
        .map(|field| scope.column(&lowering, field))
        .collect();
    results.extend(truths(&mut lowering, &scope, probes));
    (lowering, scope, results)
}

/// The keys of the records a condition is true of, at most [`BoundSlot::Limit`], in their order.
pub(crate) fn keys(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    condition: &Condition,
) -> Fragment {
    let mut lowering = Lowering::new(dialect, catalog, &[]);
    let scope = lowering.scope(collection);
    let held = lowering.is_true(condition, &scope, Role::Finds);
    let key = scope.column(&lowering, collection.key);
    let limit = lowering.parameter(BoundSlot::Limit);
    let sql = format!(
        "SELECT {key} FROM {}{} ORDER BY {key} LIMIT {limit}{}",
        scope.table(&lowering),
        held.clause(),
        dialect.for_update(&scope.alias())
    );
    Fragment {
        sql,
        slots: lowering.into_slots(),
    }
}

fn of_field<'c>(
    mut lowering: Lowering<'c>,
    scope: &Scope<'c>,
    by: FieldId,
    results: &[String],
) -> Fragment {
    let value = lowering.parameter(BoundSlot::Key(scope.collection.field(by).ty));
    let held = if by == scope.collection.key {
        scope.has_key(&lowering, &value)
    } else {
        Holds::when(format!("{} = {value}", scope.column(&lowering, by)))
    };
    let sql = format!(
        "SELECT {} FROM {} WHERE {}",
        results.join(", "),
        scope.table(&lowering),
        held.text()
    );
    Fragment {
        sql,
        slots: lowering.into_slots(),
    }
}

/// Whether a value becomes one of the type its column has: fails where it does not.
pub(crate) fn cast(dialect: Dialect, field: &Field, id: FieldId) -> Option<Fragment> {
    let column = field.existing.as_ref()?;
    let slot = BoundSlot::Assigned(id, field.ty);
    let value = dialect.parameter(1, &slot);
    Some(Fragment {
        sql: format!("SELECT CAST({value} AS {}) IS NULL", column.declared),
        slots: vec![slot],
    })
}

/// `DELETE FROM t WHERE key = ?`. On PostgreSQL, a table that was there before tells what the record was: nothing else
/// does.
pub(crate) fn delete(dialect: Dialect, collection: &Collection) -> Fragment {
    let slot = BoundSlot::Key(collection.key_field().ty);
    let mut sql = format!(
        "DELETE FROM {} WHERE {}",
        dialect.table(collection),
        dialect.has_key(collection, None, &dialect.parameter(1, &slot))
    );
    if dialect == Dialect::Postgres && collection.existing.is_some() {
        sql.push_str(" RETURNING ");
        sql.push_str(&columns(dialect, collection));
    }
    Fragment {
        sql,
        slots: vec![slot],
    }
}

/// Whether a record whose `by` has a value is in reach: the check of a sent relation.
pub(crate) fn link(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    by: FieldId,
    reach: Option<&Condition>,
) -> Fragment {
    let mut lowering = Lowering::new(dialect, catalog, &[]);
    let scope = lowering.scope(collection);
    let key = lowering.parameter(BoundSlot::Key(collection.field(by).ty));
    let by = Holds::when(format!("{} = {key}", scope.column(&lowering, by)));
    let reach = reach.map_or(Holds::Always, |reach| {
        lowering.is_true(reach, &scope, Role::Filters)
    });
    let held = Holds::all([by, reach]);
    let sql = format!("SELECT 1 FROM {}{}", scope.table(&lowering), held.clause());
    Fragment {
        sql,
        slots: lowering.into_slots(),
    }
}

fn columns(dialect: Dialect, collection: &Collection) -> String {
    let columns: Vec<String> = collection
        .field_ids()
        .map(|field| dialect.field(collection, field, None))
        .collect();
    columns.join(", ")
}

/// All columns of the records whose field points at a value, at most [`BoundSlot::Limit`], which nobody else changes
/// from now on.
pub(crate) fn pointing(dialect: Dialect, collection: &Collection, field: FieldId) -> Fragment {
    let slots = vec![BoundSlot::Key(collection.field(field).ty), BoundSlot::Limit];
    let sql = format!(
        "SELECT {} FROM {} t0 WHERE {} = {} LIMIT {}{}",
        columns(dialect, collection),
        dialect.table(collection),
        dialect.field(collection, field, None),
        dialect.parameter(1, &slots[0]),
        dialect.parameter(2, &slots[1]),
        dialect.for_update("t0"),
    );
    Fragment { sql, slots }
}

/// All columns of the records whose field has a value: for explanations.
pub(crate) fn find(dialect: Dialect, collection: &Collection, field: FieldId) -> Fragment {
    let slot = BoundSlot::Key(collection.field(field).ty);
    let parameter = dialect.parameter(1, &slot);
    let found = if field == collection.key {
        dialect.has_key(collection, None, &parameter)
    } else {
        format!("{} = {parameter}", dialect.field(collection, field, None))
    };
    let sql = format!(
        "SELECT {} FROM {} WHERE {found} ORDER BY {}",
        columns(dialect, collection),
        dialect.table(collection),
        dialect.field(collection, collection.key, None),
    );
    Fragment {
        sql,
        slots: vec![slot],
    }
}

/// All columns of the records of some keys, where the key is a column.
pub(crate) fn find_keys(dialect: Dialect, collection: &Collection) -> Fragment {
    let slot = BoundSlot::Keys(collection.key_field().ty);
    let parameter = dialect.parameter(1, &slot);
    let key = dialect.field(collection, collection.key, None);
    let sql = format!(
        "SELECT {} FROM {} WHERE {} ORDER BY {key}",
        columns(dialect, collection),
        dialect.table(collection),
        dialect.among(false, &key, &parameter),
    );
    Fragment {
        sql,
        slots: vec![slot],
    }
}
