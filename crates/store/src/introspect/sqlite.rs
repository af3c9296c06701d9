//! The tables of a file of the embedded database.

use std::collections::BTreeMap;

use portreeve_policy::{
    FoundColumn, FoundDatabase, FoundReference, FoundSchema, FoundTable, SYSTEM_PREFIX,
};
use rusqlite::{Connection, Result, Row};

/// All tables and views but the product's own, and those that only serve others.
pub(crate) fn schema(connection: &Connection) -> Result<FoundSchema> {
    let listed: Vec<(String, bool, bool)> = rows(
        connection,
        "SELECT name, type = 'view', wr FROM pragma_table_list
         WHERE schema = 'main' AND type IN ('table', 'view') ORDER BY name",
        "",
        |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)),
    )?;
    let mut tables = vec![];
    for (name, view, without_rowid) in listed {
        if name.starts_with(SYSTEM_PREFIX) || name.starts_with("sqlite_") {
            continue;
        }
        match table(connection, &name, view, without_rowid) {
            Ok(table) => tables.push(table),
            // A view of something that is not there any more.
            Err(error) if view => {
                tracing::warn!(view = name, %error, "a view cannot be read and is left out");
            }
            Err(error) => return Err(error),
        }
    }
    resolve(&mut tables);
    Ok(FoundSchema {
        database: FoundDatabase::Sqlite,
        tables,
    })
}

fn rows<T>(
    connection: &Connection,
    sql: &str,
    name: &str,
    read: impl FnMut(&Row<'_>) -> Result<T>,
) -> Result<Vec<T>> {
    let mut statement = connection.prepare(sql)?;
    let parameters: &[&dyn rusqlite::ToSql] = if statement.parameter_count() == 0 {
        &[]
    } else {
        &[&name]
    };
    statement.query_map(parameters, read)?.collect()
}

fn table(
    connection: &Connection,
    name: &str,
    view: bool,
    without_rowid: bool,
) -> Result<FoundTable> {
    let mut keyed: Vec<(i64, String)> = vec![];
    let mut columns = rows(
        connection,
        "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden FROM pragma_table_xinfo(?1) WHERE hidden <> 1
         ORDER BY cid",
        name,
        |row| {
            let (name, declared): (String, String) = (row.get(0)?, row.get(1)?);
            let (key, hidden): (i64, i64) = (row.get(4)?, row.get(5)?);
            if key > 0 {
                keyed.push((key, name.clone()));
            }
            let (base, arguments) = type_parts(&declared);
            Ok(FoundColumn {
                name,
                declared,
                base,
                arguments,
                labels: vec![],
                nullable: !row.get::<_, bool>(2)?,
                generated: hidden != 0,
                filled: row.get(3)?,
            })
        },
    )?;
    keyed.sort();
    let primary_key: Vec<String> = keyed.into_iter().map(|(_, name)| name).collect();
    for column in &mut columns {
        if without_rowid && primary_key.contains(&column.name) {
            column.nullable = false;
        }
        // Another name for the row's own number, which counts up by itself.
        let row_number = primary_key == [column.name.clone()]
            && column.declared.eq_ignore_ascii_case("INTEGER")
            && !without_rowid;
        if row_number {
            column.nullable = false;
            column.filled = true;
        }
    }
    let mut unique = vec![];
    let mut indexes = vec![];
    for (index, is_unique, partial) in rows(
        connection,
        "SELECT name, \"unique\", partial FROM pragma_index_list(?1) ORDER BY name",
        name,
        |row| {
            Ok((
                row.get::<_, String>(0)?,
                row.get::<_, bool>(1)?,
                row.get::<_, bool>(2)?,
            ))
        },
    )? {
        let parts: Vec<Option<String>> = rows(
            connection,
            "SELECT name FROM pragma_index_xinfo(?1) WHERE key ORDER BY seqno",
            &index,
            |row| row.get(0),
        )?;
        // Without a name it is an expression, or the row's own number.
        let Some(parts) = parts.into_iter().collect::<Option<Vec<String>>>() else {
            continue;
        };
        if partial {
            continue;
        }
        if is_unique && parts != primary_key {
            unique.push(parts.clone());
        }
        indexes.push(parts);
    }
    Ok(FoundTable {
        schema: None,
        name: name.to_owned(),
        view,
        comment: None,
        columns,
        primary_key,
        unique,
        indexes,
        references: references(connection, name)?,
    })
}

fn references(connection: &Connection, name: &str) -> Result<Vec<FoundReference>> {
    let mut found: BTreeMap<i64, FoundReference> = BTreeMap::new();
    rows(
        connection,
        "SELECT id, \"table\", \"from\", \"to\", on_delete FROM pragma_foreign_key_list(?1) ORDER BY id DESC, seq",
        name,
        |row| {
            let (table, on_delete) = (row.get(1)?, row.get(4)?);
            let reference = found.entry(row.get(0)?).or_insert_with(|| FoundReference {
                columns: vec![],
                schema: None,
                table,
                targets: vec![],
                on_delete,
            });
            reference.columns.push(row.get(2)?);
            reference.targets.extend(row.get::<_, Option<String>>(3)?);
            Ok(())
        },
    )?;
    // They are numbered from the last one back.
    Ok(found.into_values().rev().collect())
}

// `NUMERIC(10,2)` as what it is called, in lower case, and its arguments.
fn type_parts(declared: &str) -> (String, Vec<i64>) {
    let (base, arguments) = declared.split_once('(').unwrap_or((declared, ""));
    let arguments = arguments.split_once(')').map_or("", |(inside, _)| inside);
    let numbers = arguments.split(',').map(|number| number.trim().parse());
    (
        base.trim().to_ascii_lowercase(),
        numbers
            .collect::<std::result::Result<_, _>>()
            .unwrap_or_default(),
    )
}

// Foreign keys name tables and columns as they were typed, which here may differ in case from what they are called.
fn resolve(tables: &mut [FoundTable]) {
    let known: Vec<(String, Vec<String>)> = tables
        .iter()
        .map(|table| {
            let columns = table.columns.iter().map(|column| column.name.clone());
            (table.name.clone(), columns.collect())
        })
        .collect();
    for (table, (_, own)) in tables.iter_mut().zip(&known) {
        for reference in &mut table.references {
            for column in &mut reference.columns {
                called(own, column);
            }
            let target = known
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(&reference.table));
            let Some((name, columns)) = target else {
                continue;
            };
            reference.table.clone_from(name);
            for column in &mut reference.targets {
                called(columns, column);
            }
        }
    }
}

fn called(names: &[String], name: &mut String) {
    if let Some(known) = names.iter().find(|known| known.eq_ignore_ascii_case(name)) {
        name.clone_from(known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(sql: &str) -> FoundSchema {
        let connection = Connection::open_in_memory().expect("a database");
        connection.execute_batch(sql).expect("the tables");
        schema(&connection).expect("a schema")
    }

    fn table<'s>(schema: &'s FoundSchema, name: &str) -> &'s FoundTable {
        schema
            .tables
            .iter()
            .find(|table| table.name == name)
            .expect("a table")
    }

    #[test]
    fn tables_are_found_as_they_were_declared() {
        let schema = found(
            "CREATE TABLE [Artist] ([ArtistId] INTEGER NOT NULL, [Name] NVARCHAR(120) DEFAULT 'x', PRIMARY KEY ([ArtistId]));
             CREATE TABLE \"al bum\" (id INT PRIMARY KEY, artist INTEGER REFERENCES artist (artistid) ON DELETE CASCADE,
                 price NUMERIC(10, 2) NOT NULL, taxed AS (price * 1.2) STORED, code TEXT UNIQUE, low TEXT);
             CREATE UNIQUE INDEX low_code ON \"al bum\" (lower(low));
             CREATE UNIQUE INDEX some_low ON \"al bum\" (low) WHERE price > 1;
             CREATE INDEX by_artist ON \"al bum\" (artist, code);
             CREATE TABLE line (a INTEGER, b TEXT, PRIMARY KEY (b, a)) WITHOUT ROWID;
             CREATE TABLE portreeve_users (id TEXT);
             CREATE VIRTUAL TABLE words USING fts5(word);
             CREATE VIEW names AS SELECT Name FROM Artist;
             CREATE VIEW broken AS SELECT * FROM nowhere;",
        );
        let names: Vec<&str> = schema.tables.iter().map(|table| &*table.name).collect();
        assert_eq!(names, ["Artist", "al bum", "line", "names"]);
        let artist = table(&schema, "Artist");
        assert_eq!(artist.primary_key, ["ArtistId"]);
        assert!(artist.columns[0].filled && !artist.columns[0].nullable);
        assert!(artist.columns[1].filled && artist.columns[1].nullable);
        let album = table(&schema, "al bum");
        assert_eq!(
            album.references,
            [FoundReference {
                columns: vec!["artist".into()],
                schema: None,
                table: "Artist".into(),
                targets: vec!["ArtistId".into()],
                on_delete: "CASCADE".into(),
            }]
        );
        let price = album.column("price").expect("a column");
        assert_eq!((&*price.base, &*price.arguments), ("numeric", &[10, 2][..]));
        assert!(album.column("taxed").expect("a column").generated);
        // INT is no INTEGER: it is no row number and counts nothing.
        assert!(!album.columns[0].filled && album.columns[0].nullable);
        assert_eq!(
            album.unique,
            [["code"]],
            "neither an expression nor a part of the rows"
        );
        assert!(
            album
                .indexes
                .contains(&vec!["artist".into(), "code".into()])
        );
        let line = table(&schema, "line");
        assert_eq!(line.primary_key, ["b", "a"]);
        assert!(
            line.columns
                .iter()
                .all(|column| !column.nullable && !column.filled)
        );
        assert!(table(&schema, "names").view);
    }

    #[test]
    fn foreign_keys_of_several_columns_keep_together() {
        let schema = found(
            "CREATE TABLE t (a INTEGER, b INTEGER, PRIMARY KEY (a, b));
             CREATE TABLE u (x INTEGER, y INTEGER, z INTEGER REFERENCES v, FOREIGN KEY (x, y) REFERENCES t (a, b));
             CREATE TABLE v (id INTEGER PRIMARY KEY);",
        );
        let shown: Vec<String> = table(&schema, "u")
            .references
            .iter()
            .map(|one| format!("{:?} {} {:?}", one.columns, one.table, one.targets))
            .collect();
        assert_eq!(shown, ["[\"z\"] v []", "[\"x\", \"y\"] t [\"a\", \"b\"]"]);
    }
}
