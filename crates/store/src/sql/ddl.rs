//! Tables from the catalog, and what has to happen to the tables of one catalog so that they fit another.

use portreeve_gate::{Drop, Rename};
use portreeve_model::{
    Catalog, Collection, CollectionName, Field, FieldDefault, FieldId, FieldType, KeySource,
    OnDelete, Value,
};

use super::dialect::Dialect;
use super::fragment::Fragment;

pub(crate) mod postgres;

/// One step of a change of tables. Foreign keys are off while steps run, and are checked as a whole afterwards.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Step {
    /// Run this.
    Run(String),
    /// This counts what stands in the way; the message has `{count}` where the number belongs.
    Require {
        /// `SELECT count(*) …`
        sql: String,
        /// What to tell where it is not zero.
        message: String,
    },
    /// Convert the values of a column, one by one.
    Convert(Box<Conversion>),
}

/// How a column's values become another column's.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Conversion {
    /// Gives the key and the value of so many records that have one, in the order of their keys.
    pub first: Fragment,
    /// The same for the next ones, after a key.
    pub next: Fragment,
    /// The type of the keys.
    pub key: FieldType,
    /// The type of the values.
    pub from: FieldType,
    /// What they become.
    pub to: FieldType,
    /// The field that is written.
    pub field: FieldId,
    /// Writes one of them.
    pub write: Fragment,
    /// What to tell where some do not fit; `{count}` is their number.
    pub message: String,
}

/// Under this name a table is filled anew before it takes the place of the old one.
const REBUILD: &str = "portreeve_rebuild";

/// The columns of accounts as the first migration makes them; own columns come after them.
pub(crate) const USER_COLUMNS: &[(&str, &str)] = &[
    ("number", "INTEGER PRIMARY KEY AUTOINCREMENT"),
    ("id", "TEXT NOT NULL UNIQUE"),
    ("key", "TEXT NOT NULL UNIQUE"),
    ("username", "TEXT UNIQUE"),
    ("email", "TEXT"),
    ("status", "TEXT NOT NULL"),
    (
        "confirmed",
        "INTEGER NOT NULL CHECK (\"confirmed\" IN (0, 1))",
    ),
    ("provider", "TEXT NOT NULL"),
    ("created", "INTEGER NOT NULL"),
];

/// Addresses are unique without regard to case.
pub(crate) const USER_INDEXES: &[&str] =
    &["CREATE UNIQUE INDEX \"portreeve_users_email\" ON \"portreeve_users\" (lower(\"email\"))"];

/// An index with a name that says what it is, so that two of one name are the same.
#[derive(Clone, Debug, PartialEq)]
struct Index {
    name: String,
    fields: Vec<FieldId>,
    unique: bool,
}

/// The steps that make the tables of `new` out of those of `old`, keeping the data.
///
/// Refused, with the collection and field named, where data would fall away that `drops` does not name.
pub(crate) fn plan(
    dialect: Dialect,
    old: &Catalog,
    new: &Catalog,
    drops: &[Drop],
    renames: &[Rename],
    now: i64,
) -> Result<Vec<Step>, String> {
    if dialect == Dialect::Postgres {
        return postgres::plan(old, new, drops, renames, now);
    }
    let mut steps = vec![];
    for collection in old.iter().filter(|collection| followed(collection)) {
        if new.find(&collection.name).is_none() {
            unconfirmed(collection, drops)?;
            steps.push(Step::Run(format!(
                "DROP TABLE {}",
                dialect.table(collection)
            )));
        }
    }
    for collection in new.iter().filter(|collection| followed(collection)) {
        match old.find(&collection.name) {
            None => {
                steps.push(Step::Run(table(
                    dialect,
                    new,
                    collection,
                    &collection.table,
                )));
                for index in indexes(collection) {
                    steps.push(Step::Run(create_index(dialect, collection, &index)));
                }
            }
            Some(before) => {
                let change = Change {
                    dialect,
                    old,
                    new,
                    before,
                    after: collection,
                    drops,
                    renames,
                    now,
                };
                change.steps(&mut steps)?;
            }
        }
    }
    Ok(steps)
}

// Whether a table follows the document. Of the product's own only that of the accounts does, and none that was there
// before.
fn followed(collection: &Collection) -> bool {
    let accounts = || collection.name == CollectionName::main("users");
    collection.existing.is_none() && (!collection.system || accounts())
}

fn unconfirmed(collection: &Collection, drops: &[Drop]) -> Result<(), String> {
    let confirmed = drops
        .iter()
        .any(|drop| drop.collection == collection.name && drop.field.is_none());
    if confirmed {
        return Ok(());
    }
    Err(format!(
        "'{}' is not declared any more and its records would be lost; confirm that it shall be dropped",
        collection.name
    ))
}

fn does_not_fit(name: &CollectionName, field: &Field) -> String {
    format!(
        "'{name}.{}' cannot become {}: {{count}} records have a value that does not fit",
        field.name, field.ty
    )
}

// A field that must have a value, for which nothing is given where there is none.
fn no_value(
    collection: &Collection,
    field: &Field,
    was_there: bool,
    table: &str,
    value: &str,
) -> Step {
    let (name, field) = (&collection.name, &field.name);
    if was_there {
        Step::Require {
            sql: format!("SELECT count(*) FROM {table} WHERE {value} IS NULL"),
            message: format!(
                "'{name}.{field}' cannot be required: {{count}} records have no value; give it a default"
            ),
        }
    } else {
        Step::Require {
            sql: format!("SELECT count(*) FROM {table}"),
            message: format!(
                "'{name}.{field}' is required and {{count}} records have no value for it; give it a default"
            ),
        }
    }
}

struct Change<'a> {
    dialect: Dialect,
    old: &'a Catalog,
    new: &'a Catalog,
    before: &'a Collection,
    after: &'a Collection,
    drops: &'a [Drop],
    renames: &'a [Rename],
    now: i64,
}

impl Change<'_> {
    // For each field where its values come from, and whether something is lost.
    fn sources(&self) -> Result<(Vec<Option<FieldId>>, bool), String> {
        let sources: Vec<Option<FieldId>> = self
            .after
            .fields
            .iter()
            .map(|field| self.source(field))
            .collect();
        let mut lost = false;
        for field in self
            .before
            .field_ids()
            .filter(|field| !sources.contains(&Some(*field)))
        {
            let name = &*self.before.field(field).name;
            let confirmed = |drop: &Drop| {
                drop.collection == self.before.name
                    && drop.field.as_deref().is_none_or(|dropped| dropped == name)
            };
            if !self.drops.iter().any(confirmed) {
                return Err(format!(
                    "'{}.{name}' is not declared any more and its values would be lost; confirm that it shall be dropped, or rename it",
                    self.before.name
                ));
            }
            lost = true;
        }
        Ok((sources, lost))
    }

    fn steps(&self, steps: &mut Vec<Step>) -> Result<(), String> {
        let (sources, lost) = self.sources()?;
        let fits = |place: usize, source: &Option<FieldId>| match source {
            Some(source) => self.same_column(*source, FieldId::at(place)),
            None => self.after.fields[place].nullable,
        };
        let rebuild = lost
            || self.before.key_source != self.after.key_source
            || !sources
                .iter()
                .enumerate()
                .all(|(place, source)| fits(place, source));
        if rebuild {
            self.rebuild(&sources, steps)
        } else {
            self.alter(&sources, steps)
        }
        Ok(())
    }

    // The old field a new one takes its values from.
    fn source(&self, field: &Field) -> Option<FieldId> {
        if field.ty == FieldType::Overflow {
            return self.before.overflow();
        }
        let renamed = self
            .renames
            .iter()
            .find(|rename| rename.collection == self.after.name && rename.to == *field.name);
        self.before
            .find_field(renamed.map_or(&*field.name, |rename| &*rename.from))
    }

    fn same_column(&self, before: FieldId, after: FieldId) -> bool {
        let (old, new) = (self.before.field(before), self.after.field(after));
        let target = |catalog: &Catalog, field: &Field| {
            field.relation.map(|to| {
                let target = catalog.get(to.target);
                (
                    target.table.clone(),
                    target.field(to.by).name.to_string(),
                    to.on_delete,
                )
            })
        };
        let old_key = before == self.before.key;
        old.ty == new.ty
            && old.nullable == new.nullable
            && old_key == (after == self.after.key)
            && target(self.old, old) == target(self.new, new)
    }

    fn alter(&self, sources: &[Option<FieldId>], steps: &mut Vec<Step>) {
        let table = self.dialect.name(&self.after.table);
        let wanted = indexes(self.after);
        let kept = |index: &Index| {
            // A renamed column is in the index already, but the name of the index would say otherwise.
            wanted.iter().any(|wanted| wanted.name == index.name)
                && index.fields.iter().all(|field| {
                    let name = &self.before.field(*field).name;
                    self.after
                        .find_field(name)
                        .is_some_and(|after| sources[after.index()] == Some(*field))
                })
        };
        let known = indexes(self.before);
        for index in known.iter().filter(|index| !kept(index)) {
            steps.push(Step::Run(format!(
                "DROP INDEX {}",
                self.dialect.name(&index.name)
            )));
        }
        // Through names nobody has, so that two columns can exchange theirs.
        let renamed: Vec<(&str, &str)> = self
            .after
            .fields
            .iter()
            .zip(sources)
            .filter_map(|(field, source)| {
                Some((&*self.before.field((*source)?).name, &*field.name))
            })
            .filter(|(from, to)| from != to)
            .collect();
        let rename = |from: &str, to: &str| {
            Step::Run(format!(
                "ALTER TABLE {table} RENAME COLUMN {} TO {}",
                self.dialect.name(from),
                self.dialect.name(to)
            ))
        };
        steps.extend(
            renamed
                .iter()
                .enumerate()
                .map(|(place, (from, _))| rename(from, &format!("{REBUILD}_{place}"))),
        );
        steps.extend(
            renamed
                .iter()
                .enumerate()
                .map(|(place, (_, to))| rename(&format!("{REBUILD}_{place}"), to)),
        );
        for (place, _) in sources
            .iter()
            .enumerate()
            .filter(|(_, source)| source.is_none())
        {
            let column = column(self.dialect, self.new, self.after, FieldId::at(place));
            steps.push(Step::Run(format!(
                "ALTER TABLE {table} ADD COLUMN {column}"
            )));
        }
        for index in &wanted {
            if !known.iter().any(|old| old.name == index.name && kept(old)) {
                self.create_index(index, steps);
            }
        }
    }

    // The way SQLite's manual gives for what ALTER TABLE cannot do: fill a new table, put it in the old one's place.
    fn rebuild(&self, sources: &[Option<FieldId>], steps: &mut Vec<Step>) {
        let (old_table, name) = (self.dialect.name(&self.before.table), &self.after.name);
        let mut columns = vec![];
        let mut values = vec![];
        for (field, source) in self.after.fields.iter().zip(sources) {
            let default = match &field.default {
                Some(FieldDefault::Value(value)) if !value.is_null() => {
                    Some(self.dialect.literal(value, field.ty))
                }
                Some(FieldDefault::Now) => Some(self.now.to_string()),
                _ => None,
            };
            let mut value = match source {
                Some(source) => {
                    let before = self.before.field(*source);
                    let column = self.dialect.name(&before.name);
                    if before.ty == field.ty {
                        column
                    } else {
                        let converted = format!(
                            "portreeve_convert({column}, '{}', '{}')",
                            before.ty.name(),
                            field.ty.name()
                        );
                        steps.push(Step::Require {
                            sql: format!(
                                "SELECT count(*) FROM {old_table} WHERE {column} IS NOT NULL AND {converted} IS NULL"
                            ),
                            message: does_not_fit(name, field),
                        });
                        converted
                    }
                }
                None => "NULL".into(),
            };
            if !field.nullable {
                match default {
                    Some(default) => value = format!("coalesce({value}, {default})"),
                    None => steps.push(no_value(
                        self.after,
                        field,
                        source.is_some(),
                        &old_table,
                        &value,
                    )),
                }
            }
            columns.push(self.dialect.name(&field.name));
            values.push(value);
        }
        let rebuilt = self.dialect.name(REBUILD);
        let mut run = |sql: String| steps.push(Step::Run(sql));
        run(table(self.dialect, self.new, self.after, REBUILD));
        run(format!(
            "INSERT INTO {rebuilt} ({}) SELECT {} FROM {old_table}",
            columns.join(", "),
            values.join(", ")
        ));
        // A number is never used twice, not even one whose record is gone.
        run(format!(
            "DELETE FROM sqlite_sequence WHERE name = '{REBUILD}'"
        ));
        run(format!(
            "INSERT INTO sqlite_sequence (name, seq) SELECT '{REBUILD}', seq FROM sqlite_sequence WHERE name = {}",
            self.dialect
                .literal(&Value::from(self.before.table.as_str()), FieldType::Text)
        ));
        run(format!("DROP TABLE {old_table}"));
        run(format!(
            "ALTER TABLE {rebuilt} RENAME TO {}",
            self.dialect.name(&self.after.table)
        ));
        if self.after.system {
            USER_INDEXES.iter().for_each(|sql| run((*sql).into()));
        }
        for index in indexes(self.after) {
            self.create_index(&index, steps);
        }
    }

    fn create_index(&self, index: &Index, steps: &mut Vec<Step>) {
        if index.unique {
            steps.push(unique(self.dialect, self.after, index));
        }
        steps.push(Step::Run(create_index(self.dialect, self.after, index)));
    }
}

// Whether an index that shall be unique can be.
fn unique(dialect: Dialect, collection: &Collection, index: &Index) -> Step {
    let columns: Vec<String> = index
        .fields
        .iter()
        .map(|field| dialect.column(collection.field(*field)))
        .collect();
    let known: Vec<String> = columns
        .iter()
        .map(|column| format!("{column} IS NOT NULL"))
        .collect();
    Step::Require {
        sql: format!(
            "SELECT count(*) FROM (SELECT 1 FROM {} WHERE {} GROUP BY {} HAVING count(*) > 1) AS twice",
            dialect.table(collection),
            known.join(" AND "),
            columns.join(", ")
        ),
        message: format!(
            "'{}.{}' cannot be unique: {{count}} values stand in more than one record",
            collection.name,
            collection.field(index.fields[0]).name
        ),
    }
}

/// `CREATE TABLE` under the given name.
pub(crate) fn table(
    dialect: Dialect,
    catalog: &Catalog,
    collection: &Collection,
    name: &str,
) -> String {
    let mut columns = vec![];
    if collection.system {
        columns.extend(
            USER_COLUMNS
                .iter()
                .map(|(name, definition)| format!("{} {definition}", dialect.name(name))),
        );
    }
    columns.extend(
        collection
            .field_ids()
            .filter(|field| !is_built_in(collection, *field))
            .map(|field| column(dialect, catalog, collection, field)),
    );
    format!(
        "CREATE TABLE {} (\n  {}\n) STRICT",
        dialect.name(name),
        columns.join(",\n  ")
    )
}

fn is_built_in(collection: &Collection, field: FieldId) -> bool {
    collection.system
        && USER_COLUMNS
            .iter()
            .any(|(name, _)| **name == *collection.field(field).name)
}

fn column(dialect: Dialect, catalog: &Catalog, collection: &Collection, id: FieldId) -> String {
    let field = collection.field(id);
    let name = dialect.name(&field.name);
    let mut sql = format!("{name} {}", dialect.column_type(field.ty));
    if id == collection.key && !collection.system {
        // NOT NULL too: SQLite lets null into a primary key that is not an integer.
        sql.push_str(if collection.key_source == KeySource::Sequence {
            " PRIMARY KEY AUTOINCREMENT"
        } else {
            " NOT NULL PRIMARY KEY"
        });
    } else if !field.nullable {
        sql.push_str(" NOT NULL");
    }
    if field.ty == portreeve_model::FieldType::Boolean {
        sql.push_str(&format!(" CHECK ({name} IN (0, 1))"));
    }
    if let Some(to) = field.relation {
        let target = catalog.get(to.target);
        let on_delete = match to.on_delete {
            OnDelete::Restrict => "RESTRICT",
            OnDelete::SetNull => "SET NULL",
            OnDelete::Cascade => "CASCADE",
        };
        sql.push_str(&format!(
            " REFERENCES {} ({}) ON DELETE {on_delete}",
            dialect.name(&target.table),
            dialect.name(&target.field(to.by).name)
        ));
    }
    sql
}

// Relation columns as (column, key), since lists come in order of the key; what is declared, likewise; what is unique.
fn indexes(collection: &Collection) -> Vec<Index> {
    let mut indexes: Vec<Index> = vec![];
    let mut add = |mut fields: Vec<FieldId>, unique: bool| {
        if !unique && !fields.contains(&collection.key) {
            fields.push(collection.key);
        }
        let names: Vec<&str> = fields
            .iter()
            .map(|field| &*collection.field(*field).name)
            .collect();
        let name = format!(
            "{}:{}:{}",
            if unique { "ux" } else { "ix" },
            collection.table,
            names.join(",")
        );
        if !indexes.iter().any(|index| index.name == name) {
            indexes.push(Index {
                name,
                fields,
                unique,
            });
        }
    };
    for field in collection
        .field_ids()
        .filter(|field| *field != collection.key && !is_built_in(collection, *field))
    {
        let declared = collection.field(field);
        if declared.relation.is_some() {
            add(vec![field], false);
        }
        if declared.unique {
            add(vec![field], true);
        }
    }
    for fields in &collection.indexes {
        add(fields.clone(), false);
    }
    indexes
}

fn create_index(dialect: Dialect, collection: &Collection, index: &Index) -> String {
    let columns: Vec<String> = index
        .fields
        .iter()
        .map(|field| dialect.name(&collection.field(*field).name))
        .collect();
    format!(
        "CREATE {}INDEX {} ON {} ({})",
        if index.unique { "UNIQUE " } else { "" },
        dialect.name(&index.name),
        dialect.name(&collection.table),
        columns.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::*;

    // What a table is made of: columns, unique constraints, indexes with their terms.
    fn shape(connection: &Connection, table: &str) -> Vec<String> {
        let mut lines = vec![];
        for sql in [
            "SELECT name || ' ' || type || ' ' || \"notnull\" || ' ' || pk FROM pragma_table_info(?1)",
            "SELECT DISTINCT 'index ' || i.\"unique\" || ' ' || coalesce(x.name, 'expression')
             FROM pragma_index_list(?1) i, pragma_index_xinfo(i.name) x WHERE x.key ORDER BY 1",
        ] {
            let mut statement = connection.prepare(sql).expect("a statement");
            let rows = statement
                .query_map([table], |row| row.get::<_, String>(0))
                .expect("rows");
            lines.extend(rows.map(|row| row.expect("a row")));
        }
        lines
    }

    #[test]
    fn accounts_are_made_anew_as_the_migration_made_them() {
        let connection = Connection::open_in_memory().expect("a database");
        let migration =
            include_str!("../../migrations/sqlite/0001_accounts_policy_sessions_audit.sql");
        connection.execute_batch(migration).expect("the tables");
        let before = shape(&connection, "portreeve_users");
        assert!(
            before.contains(&"index 1 expression".to_owned()),
            "{before:?}"
        );
        let catalog = portreeve_policy::build_catalog(&[]).expect("a catalog");
        let users = catalog.find_text("users").expect("accounts");
        connection
            .execute_batch("DROP TABLE portreeve_users")
            .expect("dropped");
        connection
            .execute_batch(&table(Dialect::Sqlite, &catalog, users, &users.table))
            .expect("made");
        for sql in USER_INDEXES {
            connection.execute_batch(sql).expect("an index");
        }
        assert_eq!(shape(&connection, "portreeve_users"), before);
    }
}
