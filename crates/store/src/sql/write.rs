//! Writes as statements. The columns an INSERT or UPDATE names depend on the attempt, everything else on the template.

use portreeve_model::{Catalog, Collection, Condition, FieldId};

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

/// `INSERT INTO t (…) VALUES (…)`. Without RETURNING, which costs more than asking for the record afterwards.
pub(crate) fn insert(dialect: Dialect, collection: &Collection, fields: &[FieldId]) -> Fragment {
    let table = dialect.name(&collection.table);
    let names: Vec<String> = fields
        .iter()
        .map(|field| dialect.name(&collection.field(*field).name))
        .collect();
    let values: Vec<String> = (1..=fields.len())
        .map(|number| dialect.parameter(number))
        .collect();
    let sql = if fields.is_empty() {
        format!("INSERT INTO {table} DEFAULT VALUES")
    } else {
        format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            names.join(", "),
            values.join(", ")
        )
    };
    Fragment {
        sql,
        slots: fields
            .iter()
            .map(|field| BoundSlot::Assigned(*field))
            .collect(),
    }
}

/// `UPDATE t SET … WHERE key = ?`. There is at least one field.
pub(crate) fn update(dialect: Dialect, collection: &Collection, fields: &[FieldId]) -> Fragment {
    let table = dialect.name(&collection.table);
    let set: Vec<String> = fields
        .iter()
        .enumerate()
        .map(|(place, field)| {
            format!(
                "{} = {}",
                dialect.name(&collection.field(*field).name),
                dialect.parameter(place + 1)
            )
        })
        .collect();
    let key = dialect.name(&collection.key_field().name);
    let sql = format!(
        "UPDATE {table} SET {} WHERE {key} = {}",
        set.join(", "),
        dialect.parameter(fields.len() + 1)
    );
    let slots = fields
        .iter()
        .map(|field| BoundSlot::Assigned(*field))
        .chain([BoundSlot::Key])
        .collect();
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
    of_key(lowering, &scope, &truths)
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
    let mut results: Vec<String> = collection
        .field_ids()
        .map(|field| scope.column(&lowering, field))
        .collect();
    results.extend(truths(&mut lowering, &scope, probes));
    of_key(lowering, &scope, &results)
}

fn of_key<'c>(mut lowering: Lowering<'c>, scope: &Scope<'c>, results: &[String]) -> Fragment {
    let key = lowering.parameter(BoundSlot::Key);
    let sql = format!(
        "SELECT {} FROM {} WHERE {} = {key}",
        results.join(", "),
        scope.table(&lowering),
        scope.column(&lowering, scope.collection.key)
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
