//! Writes as statements. The columns an INSERT or UPDATE names depend on the attempt, everything else on the template.

use portreeve_model::{Catalog, Collection, Condition, FieldId};

use super::dialect::Dialect;
use super::fragment::{BoundSlot, Fragment, Holds};
use super::lower::{Lowering, Role, Scope, is_local};

/// Whether all these conditions can be answered by the written row alone, so that RETURNING can answer them.
pub(crate) fn all_local(probes: &[Condition]) -> bool {
    probes.iter().all(is_local)
}

// All columns in the collection's order, then each probe.
fn answers<'c>(lowering: &mut Lowering<'c>, scope: &Scope<'c>, probes: &[Condition]) -> String {
    let mut list: Vec<String> = scope
        .collection
        .field_ids()
        .map(|field| scope.column(lowering, field))
        .collect();
    for probe in probes {
        list.push(
            lowering
                .is_true(probe, scope, Role::Filters)
                .text()
                .to_owned(),
        );
    }
    list.join(", ")
}

/// `INSERT INTO t (…) VALUES (…) RETURNING …`: all columns, and the probes where `probes` has any.
pub(crate) fn insert(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    fields: &[FieldId],
    probes: &[Condition],
    sent: &[FieldId],
) -> Fragment {
    let mut lowering = Lowering::new(dialect, catalog, sent);
    let scope = Lowering::bare_scope(collection);
    let table = scope.table(&lowering);
    let names: Vec<String> = fields
        .iter()
        .map(|field| scope.column(&lowering, *field))
        .collect();
    let values: Vec<String> = fields
        .iter()
        .map(|field| lowering.parameter(BoundSlot::Assigned(*field)))
        .collect();
    let answers = answers(&mut lowering, &scope, probes);
    let sql = if fields.is_empty() {
        format!("INSERT INTO {table} DEFAULT VALUES RETURNING {answers}")
    } else {
        format!(
            "INSERT INTO {table} ({}) VALUES ({}) RETURNING {answers}",
            names.join(", "),
            values.join(", ")
        )
    };
    Fragment {
        sql,
        slots: lowering.into_slots(),
    }
}

/// `UPDATE t SET … WHERE key = ? RETURNING …`, as [`insert`]. With no fields there is nothing to run.
pub(crate) fn update(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    fields: &[FieldId],
    probes: &[Condition],
    sent: &[FieldId],
) -> Fragment {
    let mut lowering = Lowering::new(dialect, catalog, sent);
    let scope = Lowering::bare_scope(collection);
    let table = scope.table(&lowering);
    let set: Vec<String> = fields
        .iter()
        .map(|field| {
            let value = lowering.parameter(BoundSlot::Assigned(*field));
            format!("{} = {value}", scope.column(&lowering, *field))
        })
        .collect();
    let key = lowering.parameter(BoundSlot::Key);
    let key_column = scope.column(&lowering, collection.key);
    let answers = answers(&mut lowering, &scope, probes);
    let sql = format!(
        "UPDATE {table} SET {} WHERE {key_column} = {key} RETURNING {answers}",
        set.join(", ")
    );
    Fragment {
        sql,
        slots: lowering.into_slots(),
    }
}

/// All columns and the probes of the record with a key.
pub(crate) fn look(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    probes: &[Condition],
    sent: &[FieldId],
) -> Fragment {
    let mut lowering = Lowering::new(dialect, catalog, sent);
    let scope = lowering.scope(collection);
    let answers = answers(&mut lowering, &scope, probes);
    let key = lowering.parameter(BoundSlot::Key);
    let sql = format!(
        "SELECT {answers} FROM {} WHERE {} = {key}",
        scope.table(&lowering),
        scope.column(&lowering, collection.key)
    );
    Fragment {
        sql,
        slots: lowering.into_slots(),
    }
}

/// `DELETE FROM t WHERE key = ?`
pub(crate) fn delete(dialect: Dialect, collection: &Collection) -> Fragment {
    let table = dialect.name(&collection.table);
    let key = dialect.name(&collection.key_field().name);
    let sql = format!("DELETE FROM {table} WHERE {key} = {}", dialect.parameter(1));
    Fragment {
        sql,
        slots: vec![BoundSlot::Key],
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
    let key = lowering.parameter(BoundSlot::Key);
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

/// All columns of the records whose field has a value: for explanations.
pub(crate) fn find(dialect: Dialect, collection: &Collection, field: FieldId) -> Fragment {
    let columns: Vec<String> = collection
        .fields
        .iter()
        .map(|field| dialect.name(&field.name))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} WHERE {} = {} ORDER BY {}",
        columns.join(", "),
        dialect.name(&collection.table),
        dialect.name(&collection.field(field).name),
        dialect.parameter(1),
        dialect.name(&collection.key_field().name),
    );
    Fragment {
        sql,
        slots: vec![BoundSlot::Key],
    }
}
