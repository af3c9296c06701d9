//! Brings the product's own tables up to date.

use std::path::Path;

use rusqlite::Connection;

use crate::OpenError;
use crate::migration::{self, Migration};

/// Runs what has not run yet.
pub(crate) fn run(connection: &Connection, path: &Path, now: i64) -> Result<(), OpenError> {
    run_these(connection, path, now, migration::SQLITE)
}

fn run_these(
    connection: &Connection,
    path: &Path,
    now: i64,
    migrations: &[Migration],
) -> Result<(), OpenError> {
    let failed = failed(path);
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS \"portreeve_migrations\" (
               \"number\" INTEGER PRIMARY KEY, \"name\" TEXT NOT NULL, \"checksum\" TEXT NOT NULL, \"at\" INTEGER NOT NULL
             ) STRICT",
        )
        .map_err(&failed)?;
    for one in missing(connection, path, migrations)? {
        let run = || {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            connection.execute_batch(one.sql)?;
            connection.execute(
                "INSERT INTO portreeve_migrations (number, name, checksum, at) VALUES (?1, ?2, ?3, ?4)",
                (one.number, one.name, one.checksum(), now),
            )?;
            connection.execute_batch("COMMIT")
        };
        if let Err(error) = run() {
            // The error to tell is the first one.
            let _ = connection.execute_batch("ROLLBACK");
            return Err(failed(error));
        }
    }
    Ok(())
}

/// Whether any has ever run.
pub(crate) fn any(connection: &Connection) -> bool {
    connection
        .prepare("SELECT 1 FROM portreeve_migrations")
        .is_ok()
}

/// Refuses a database that a newer or another program has written.
pub(crate) fn check_known(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    missing(connection, path, migration::SQLITE).map(drop)
}

fn missing<'m>(
    connection: &Connection,
    path: &Path,
    migrations: &'m [Migration],
) -> Result<Vec<&'m Migration>, OpenError> {
    let read = || -> rusqlite::Result<Vec<(i64, String)>> {
        let sql = "SELECT number, checksum FROM portreeve_migrations ORDER BY number";
        let mut statement = connection.prepare(sql)?;
        let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    };
    let run = read().map_err(failed(path))?;
    migration::missing(migrations, &run, &path.display().to_string())
}

fn failed(path: &Path) -> impl Fn(rusqlite::Error) -> OpenError {
    let path = path.display().to_string();
    move |source| OpenError::Failed {
        path: path.clone(),
        source: source.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn migration(number: i64, sql: &'static str) -> Migration {
        Migration {
            number,
            name: "one",
            sql,
        }
    }

    const FIRST: Migration = migration(1, "CREATE TABLE one (a INTEGER) STRICT");
    const SECOND: Migration = migration(
        2,
        "CREATE TABLE two (a INTEGER) STRICT; INSERT INTO two VALUES (7)",
    );
    const BROKEN: Migration = migration(
        3,
        "CREATE TABLE three (a INTEGER) STRICT; INSERT INTO nowhere VALUES (7)",
    );

    fn tables(connection: &Connection) -> i64 {
        connection
            .query_row(
                "SELECT count(*) FROM sqlite_schema WHERE type = 'table'",
                [],
                |row| row.get(0),
            )
            .unwrap()
    }

    #[test]
    fn each_runs_once_and_a_broken_one_leaves_nothing() {
        let connection = Connection::open_in_memory().unwrap();
        let path = Path::new("x.db");
        run_these(&connection, path, 5, &[FIRST]).unwrap();
        run_these(&connection, path, 6, &[FIRST, SECOND]).unwrap();
        run_these(&connection, path, 7, &[FIRST, SECOND]).unwrap();
        assert_eq!(
            connection.query_row("SELECT count(*) FROM two", [], |row| row.get::<_, i64>(0)),
            Ok(1)
        );
        let before = tables(&connection);
        assert!(matches!(
            run_these(&connection, path, 8, &[FIRST, SECOND, BROKEN]),
            Err(OpenError::Failed { .. })
        ));
        assert_eq!(tables(&connection), before);
        assert!(connection.is_autocommit());
    }

    #[test]
    fn a_newer_or_changed_database_is_refused() {
        let connection = Connection::open_in_memory().unwrap();
        let path = Path::new("x.db");
        run_these(&connection, path, 5, &[FIRST, SECOND]).unwrap();
        let newer = run_these(&connection, path, 5, &[FIRST]).unwrap_err();
        assert!(
            matches!(
                newer,
                OpenError::Newer {
                    found: 2,
                    known: 1,
                    ..
                }
            ),
            "{newer}"
        );
        let changed =
            run_these(&connection, path, 5, &[migration(1, "SELECT 1"), SECOND]).unwrap_err();
        assert!(
            matches!(changed, OpenError::Changed { number: 1, .. }),
            "{changed}"
        );
    }
}
