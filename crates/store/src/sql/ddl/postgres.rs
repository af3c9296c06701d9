//! Changes of tables on PostgreSQL, which alters tables in place. Everything runs in one transaction, in this order:
//! what refers to tables falls away, columns change, and what refers to them is made anew.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_gate::{Drop, Rename};
use portreeve_model::{
    Catalog, Collection, FieldDefault, FieldId, FieldType, KeySource, OnDelete, Value,
};

use super::{Change, Conversion, Index, Step, followed, indexes, is_built_in, unconfirmed};
use crate::sql::dialect::Dialect;
use crate::sql::fragment::{BoundSlot, Fragment};

const DIALECT: Dialect = Dialect::Postgres;

/// Longer names PostgreSQL cuts off, and two might become one.
const LONGEST: usize = 63;

/// Under this name a column waits while another takes its place.
const WAITING: &str = "portreeve_waiting";

/// So many values are converted at once.
const CONVERTED: u32 = 1_000;

/// A name for an index or constraint that says what it is, short enough to be kept whole.
pub(crate) fn short(name: &str) -> String {
    if name.len() <= LONGEST {
        return name.to_owned();
    }
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let mut end = LONGEST - 17;
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    format!("{}~{hash:016x}", &name[..end])
}

fn index_name(collection: &Collection, index: &Index) -> String {
    format!(
        "{}.{}",
        DIALECT.name(Dialect::schema(collection)),
        DIALECT.name(&short(&index.name))
    )
}

fn key_name(collection: &Collection) -> String {
    DIALECT.name(&short(&format!("pk:{}", collection.name.name())))
}

/// The steps that make the tables of `new` out of those of `old`, keeping the data.
pub(super) fn plan(
    old: &Catalog,
    new: &Catalog,
    drops: &[Drop],
    renames: &[Rename],
    now: i64,
) -> Result<Vec<Step>, String> {
    let mut plan = Plan::default();
    let mut changes = vec![];
    let mut gone = vec![];
    for before in old.iter().filter(|collection| followed(collection)) {
        match new.find(&before.name).filter(|after| followed(after)) {
            Some(after) => changes.push(Change {
                dialect: DIALECT,
                old,
                new,
                before,
                after,
                drops,
                renames,
                now,
            }),
            None => {
                unconfirmed(before, drops)?;
                gone.push(before);
            }
        }
    }
    // References between tables: those that are not to be the same afterwards.
    let wanted: BTreeSet<Reference> = references(new).collect();
    let known: BTreeSet<Reference> = references(old).collect();
    let mut sources = vec![];
    for change in &changes {
        let (from, lost) = change.sources()?;
        sources.push((from, lost));
    }
    let mut made_anew = BTreeSet::new();
    for (change, (from, _)) in changes.iter().zip(&sources) {
        for (place, source) in from.iter().enumerate() {
            let field = FieldId::at(place);
            // A column whose type or name changes is not the one that was referred to or from.
            let same = source.is_some_and(|source| {
                let (before, after) = (change.before.field(source), change.after.field(field));
                before.ty == after.ty && before.name == after.name
            });
            if !same {
                made_anew.insert((
                    DIALECT.table(change.after),
                    change.after.field(field).name.to_string(),
                ));
                if let Some(source) = source {
                    made_anew.insert((
                        DIALECT.table(change.before),
                        change.before.field(*source).name.to_string(),
                    ));
                }
            }
        }
    }
    let touched = |reference: &Reference| {
        made_anew.contains(&(reference.table.clone(), reference.column.clone()))
            || made_anew.contains(&(reference.target.clone(), reference.by.clone()))
    };
    for reference in known
        .iter()
        .filter(|reference| !wanted.contains(*reference) || touched(reference))
    {
        plan.first(format!(
            "ALTER TABLE {} DROP CONSTRAINT {}",
            reference.table,
            reference.constraint()
        ));
    }
    for collection in gone {
        plan.first(format!("DROP TABLE {}", DIALECT.table(collection)));
    }
    for collection in new.iter().filter(|collection| followed(collection)) {
        if old
            .find(&collection.name)
            .is_none_or(|before| !followed(before))
        {
            create(collection, &mut plan);
        }
    }
    for (change, (from, _)) in changes.iter().zip(&sources) {
        change.columns(from, &mut plan);
    }
    for reference in wanted
        .iter()
        .filter(|reference| !known.contains(*reference) || touched(reference))
    {
        plan.last.push(Step::Require {
            sql: format!(
                "SELECT count(*) FROM {table} t WHERE t.{column} IS NOT NULL \
                 AND NOT EXISTS (SELECT 1 FROM {target} o WHERE o.{by} = t.{column})",
                table = reference.table,
                column = DIALECT.name(&reference.column),
                target = reference.target,
                by = DIALECT.name(&reference.by),
            ),
            message: format!(
                "'{}.{}' has values that point at no record; correct them before it becomes a relation",
                reference.collection, reference.column
            ),
        });
        plan.last.push(Step::Run(reference.add()));
    }
    Ok(plan
        .first
        .into_iter()
        .chain(plan.middle)
        .chain(plan.last)
        .collect())
}

#[derive(Default)]
struct Plan {
    first: Vec<Step>,
    middle: Vec<Step>,
    last: Vec<Step>,
}

impl Plan {
    fn first(&mut self, sql: String) {
        self.first.push(Step::Run(sql));
    }

    fn middle(&mut self, sql: String) {
        self.middle.push(Step::Run(sql));
    }
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Reference {
    collection: String,
    bare_table: String,
    table: String,
    column: String,
    target: String,
    by: String,
    on_delete: &'static str,
}

impl Reference {
    fn constraint(&self) -> String {
        DIALECT.name(&short(&format!("fk:{}:{}", self.bare_table, self.column)))
    }

    fn add(&self) -> String {
        format!(
            "ALTER TABLE {} ADD CONSTRAINT {} FOREIGN KEY ({}) REFERENCES {} ({}) ON DELETE {}",
            self.table,
            self.constraint(),
            DIALECT.name(&self.column),
            self.target,
            DIALECT.name(&self.by),
            self.on_delete
        )
    }
}

// Tables of others are pointed at without a constraint: it would be one more thing their owner has to know of.
fn references(catalog: &Catalog) -> impl Iterator<Item = Reference> + '_ {
    let of = move |collection: &Arc<Collection>| {
        let collection = Arc::clone(collection);
        (0..collection.fields.len()).filter_map(move |place| {
            let field = &collection.fields[place];
            let to = field.relation?;
            let target = catalog.get(to.target);
            target.existing.is_none().then(|| Reference {
                collection: collection.name.to_string(),
                bare_table: DIALECT.bare_table(&collection).to_owned(),
                table: DIALECT.table(&collection),
                column: field.name.to_string(),
                target: DIALECT.table(target),
                by: target.field(to.by).name.to_string(),
                on_delete: match to.on_delete {
                    OnDelete::Restrict => "RESTRICT",
                    OnDelete::SetNull => "SET NULL",
                    OnDelete::Cascade => "CASCADE",
                },
            })
        })
    };
    catalog
        .iter()
        .filter(|collection| followed(collection))
        .flat_map(of)
}

fn create(collection: &Collection, plan: &mut Plan) {
    let schema = Dialect::schema(collection);
    if schema != "public" {
        let name = DIALECT.name(schema);
        plan.middle(format!("CREATE SCHEMA IF NOT EXISTS {name}"));
    }
    let mut columns: Vec<String> = collection
        .field_ids()
        .map(|field| {
            let declared = collection.field(field);
            let mut column = definition(collection, field);
            if !declared.nullable && field != collection.key {
                column.push_str(" NOT NULL");
            }
            column
        })
        .collect();
    let key = DIALECT.column(collection.key_field());
    columns.push(format!(
        "CONSTRAINT {} PRIMARY KEY ({key})",
        key_name(collection)
    ));
    plan.middle(format!(
        "CREATE TABLE {} (\n  {}\n)",
        DIALECT.table(collection),
        columns.join(",\n  ")
    ));
    // See the migration that makes the function.
    plan.middle(format!(
        "CREATE TRIGGER portreeve_changes AFTER INSERT OR UPDATE OR DELETE ON {} \
         FOR EACH ROW EXECUTE FUNCTION portreeve.capture()",
        DIALECT.table(collection)
    ));
    for index in indexes(collection) {
        plan.middle(create_index(collection, &index));
    }
}

fn definition(collection: &Collection, field: FieldId) -> String {
    let declared = collection.field(field);
    let mut column = format!(
        "{} {}",
        DIALECT.column(declared),
        DIALECT.column_type(declared.ty)
    );
    if field == collection.key && collection.key_source == KeySource::Sequence {
        column.push_str(" GENERATED BY DEFAULT AS IDENTITY");
    }
    column
}

fn create_index(collection: &Collection, index: &Index) -> String {
    let columns: Vec<String> = index
        .fields
        .iter()
        .map(|field| DIALECT.column(collection.field(*field)))
        .collect();
    format!(
        "CREATE {}INDEX {} ON {} ({})",
        if index.unique { "UNIQUE " } else { "" },
        DIALECT.name(&short(&index.name)),
        DIALECT.table(collection),
        columns.join(", ")
    )
}

impl Change<'_> {
    fn columns(&self, sources: &[Option<FieldId>], plan: &mut Plan) {
        let (before, after) = (self.before, self.after);
        let table = DIALECT.table(after);
        let changed = |place: usize| match sources[place] {
            Some(source) => before.field(source).ty != after.fields[place].ty,
            None => true,
        };
        let wanted = indexes(after);
        let known = indexes(before);
        // A column that is another one now takes its indexes along.
        let kept = |index: &Index| {
            wanted.contains(index)
                && index.fields.iter().all(|field| {
                    let place = after.find_field(&before.field(*field).name);
                    place.is_some_and(|place| {
                        sources[place.index()] == Some(*field) && !changed(place.index())
                    })
                })
        };
        let still: Vec<&Index> = known.iter().filter(|index| kept(index)).collect();
        for index in known.iter().filter(|index| !kept(index)) {
            plan.first(format!("DROP INDEX {}", index_name(before, index)));
        }
        let key_place = after.key.index();
        let new_key = !after.system
            && (sources[key_place] != Some(before.key)
                || changed(key_place)
                || before.key_source != after.key_source
                || before.key_field().name != after.key_field().name);
        if new_key {
            plan.middle(format!(
                "ALTER TABLE {table} DROP CONSTRAINT {}",
                key_name(before)
            ));
            if before.key_source == KeySource::Sequence {
                plan.middle(format!(
                    "ALTER TABLE {table} ALTER COLUMN {} DROP IDENTITY IF EXISTS",
                    DIALECT.column(before.key_field())
                ));
            }
        }
        // Through names nobody has, so that two columns can exchange theirs, and the old values stay at hand.
        let waiting = |source: FieldId| format!("{WAITING}_{}", source.0);
        let moved: Vec<(usize, FieldId)> = sources
            .iter()
            .enumerate()
            .filter_map(|(place, source)| Some((place, (*source)?)))
            .filter(|(place, source)| {
                changed(*place) || before.field(*source).name != after.fields[*place].name
            })
            .collect();
        let rename = |from: &str, to: &str| {
            format!(
                "ALTER TABLE {table} RENAME COLUMN {} TO {}",
                DIALECT.name(from),
                DIALECT.name(to)
            )
        };
        for (_, source) in &moved {
            plan.middle(rename(&before.field(*source).name, &waiting(*source)));
        }
        // What nobody takes from any more goes first, since its name may be taken.
        for field in before
            .field_ids()
            .filter(|field| !sources.contains(&Some(*field)) && !is_built_in(before, *field))
        {
            plan.middle(format!(
                "ALTER TABLE {table} DROP COLUMN {}",
                DIALECT.column(before.field(field))
            ));
        }
        for (place, source) in moved.iter().filter(|(place, _)| !changed(*place)) {
            plan.middle(rename(&waiting(*source), &after.fields[*place].name));
        }
        for place in (0..after.fields.len()).filter(|place| changed(*place)) {
            let column = definition(after, FieldId::at(place));
            plan.middle(format!("ALTER TABLE {table} ADD COLUMN {column}"));
        }
        // The key the records have now, under the name it has now.
        let old_key = match sources
            .iter()
            .position(|source| *source == Some(before.key))
        {
            Some(place) if !changed(place) => after.fields[place].name.to_string(),
            Some(_) => waiting(before.key),
            None => before.key_field().name.to_string(),
        };
        for (place, source) in moved.iter().filter(|(place, _)| changed(*place)) {
            let conversion = self.conversion(&table, &old_key, *place, *source, &waiting(*source));
            plan.middle.push(Step::Convert(Box::new(conversion)));
        }
        for (place, source) in sources.iter().enumerate() {
            self.required(&table, place, *source, plan);
        }
        for (_, source) in moved.iter().filter(|(place, _)| changed(*place)) {
            plan.middle(format!(
                "ALTER TABLE {table} DROP COLUMN {}",
                DIALECT.name(&waiting(*source))
            ));
        }
        if new_key {
            self.new_key(&table, changed(key_place), plan);
        }
        for index in wanted.iter().filter(|index| !still.contains(index)) {
            if index.unique {
                plan.middle.push(super::unique(DIALECT, after, index));
            }
            plan.middle(create_index(after, index));
        }
    }

    fn conversion(
        &self,
        table: &str,
        old_key: &str,
        place: usize,
        source: FieldId,
        waiting: &str,
    ) -> Conversion {
        let (from, to) = (self.before.field(source), &self.after.fields[place]);
        let key_type = self.before.key_field().ty;
        let (key, waiting) = (DIALECT.name(old_key), DIALECT.name(waiting));
        let slots = vec![
            BoundSlot::Assigned(FieldId::at(place), to.ty),
            BoundSlot::Key(key_type),
        ];
        let page = |after: &str, slots: Vec<BoundSlot>| Fragment {
            sql: format!(
                "SELECT {key}, {waiting} FROM {table} WHERE {waiting} IS NOT NULL{after} ORDER BY {key} LIMIT {CONVERTED}"
            ),
            slots,
        };
        let last = BoundSlot::Key(key_type);
        let after = format!(" AND {key} > {}", DIALECT.parameter(1, &last));
        Conversion {
            first: page("", vec![]),
            next: page(&after, vec![last]),
            key: key_type,
            from: from.ty,
            to: to.ty,
            field: FieldId::at(place),
            write: Fragment {
                sql: format!(
                    "UPDATE {table} SET {} = {} WHERE {key} = {}",
                    DIALECT.column(to),
                    DIALECT.parameter(1, &slots[0]),
                    DIALECT.parameter(2, &slots[1])
                ),
                slots,
            },
            message: super::does_not_fit(&self.after.name, to),
        }
    }

    // What must have a value gets the default where it has none, and it is told where there is no default.
    fn required(&self, table: &str, place: usize, source: Option<FieldId>, plan: &mut Plan) {
        let (field, id) = (&self.after.fields[place], FieldId::at(place));
        let was_nullable = source.is_none_or(|source| {
            let before = self.before.field(source);
            before.nullable || before.ty != field.ty
        });
        let column = DIALECT.column(field);
        let is_key = id == self.after.key;
        if field.nullable && !is_key {
            if !was_nullable && source != Some(self.before.key) {
                plan.middle(format!(
                    "ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"
                ));
            } else if source == Some(self.before.key) {
                plan.last.push(Step::Run(format!(
                    "ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"
                )));
            }
            return;
        }
        if is_key || !was_nullable {
            return;
        }
        let default = match &field.default {
            Some(FieldDefault::Value(value)) if !value.is_null() => Some(value.clone()),
            Some(FieldDefault::Now) => Some(Value::Integer(self.now)),
            _ => None,
        };
        match default {
            Some(value) => plan.middle(format!(
                "UPDATE {table} SET {column} = {} WHERE {column} IS NULL",
                DIALECT.literal(&value, field.ty)
            )),
            None => plan.middle.push(super::no_value(
                self.after,
                field,
                source.is_some(),
                table,
                &column,
            )),
        }
        plan.middle(format!(
            "ALTER TABLE {table} ALTER COLUMN {column} SET NOT NULL"
        ));
    }

    fn new_key(&self, table: &str, made: bool, plan: &mut Plan) {
        let after = self.after;
        let key = DIALECT.column(after.key_field());
        plan.middle(format!(
            "ALTER TABLE {table} ADD CONSTRAINT {} PRIMARY KEY ({key})",
            key_name(after)
        ));
        if after.key_source != KeySource::Sequence || after.key_field().ty != FieldType::Integer {
            return;
        }
        if !made {
            plan.middle(format!(
                "ALTER TABLE {table} ALTER COLUMN {key} ADD GENERATED BY DEFAULT AS IDENTITY"
            ));
        }
        // A number is never used twice.
        plan.middle(format!(
            "SELECT setval(pg_get_serial_sequence({}, {}), greatest((SELECT max({key}) FROM {table}), 0) + 1, false)",
            DIALECT.literal(&Value::Text(table.to_owned()), FieldType::Text),
            DIALECT.literal(&Value::from(&*after.key_field().name), FieldType::Text),
        ));
    }
}
