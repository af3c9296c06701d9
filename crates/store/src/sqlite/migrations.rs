//! Brings the product's own tables up to date: numbered files, each run once, in one transaction, and never changed
//! afterwards.

use std::path::Path;

use rusqlite::{Connection, OptionalExtension};
use sha2::{Digest, Sha256};

use crate::OpenError;

/// A migration: its number, its name, its text.
type Migration = (i64, &'static str, &'static str);

/// All of them, in order.
const MIGRATIONS: &[Migration] = &[(
    1,
    "accounts_policy_sessions_audit",
    include_str!("../../migrations/sqlite/0001_accounts_policy_sessions_audit.sql"),
)];

/// Runs what has not run yet.
pub(crate) fn run(connection: &Connection, path: &Path, now: i64) -> Result<(), OpenError> {
    run_these(connection, path, now, MIGRATIONS)
}

fn run_these(
    connection: &Connection,
    path: &Path,
    now: i64,
    migrations: &[Migration],
) -> Result<(), OpenError> {
    let failed = |source: rusqlite::Error| OpenError::Failed {
        path: path.display().to_string(),
        source: source.into(),
    };
    connection
        .execute_batch(
            "CREATE TABLE IF NOT EXISTS \"portreeve_migrations\" (
               \"number\" INTEGER PRIMARY KEY, \"name\" TEXT NOT NULL, \"checksum\" TEXT NOT NULL, \"at\" INTEGER NOT NULL
             ) STRICT",
        )
        .map_err(failed)?;
    check(connection, path, migrations)?;
    for (number, name, sql) in migrations {
        let known: Option<i64> = connection
            .query_row(
                "SELECT number FROM portreeve_migrations WHERE number = ?1",
                [number],
                |row| row.get(0),
            )
            .optional()
            .map_err(failed)?;
        if known.is_some() {
            continue;
        }
        let run = || {
            connection.execute_batch("BEGIN IMMEDIATE")?;
            connection.execute_batch(sql)?;
            connection.execute(
                "INSERT INTO portreeve_migrations (number, name, checksum, at) VALUES (?1, ?2, ?3, ?4)",
                (number, name, checksum(sql), now),
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

/// Refuses a database that a newer or another program has written.
pub(crate) fn check_known(connection: &Connection, path: &Path) -> Result<(), OpenError> {
    check(connection, path, MIGRATIONS)
}

fn check(connection: &Connection, path: &Path, migrations: &[Migration]) -> Result<(), OpenError> {
    let failed = |source: rusqlite::Error| OpenError::Failed {
        path: path.display().to_string(),
        source: source.into(),
    };
    let mut statement = connection
        .prepare("SELECT number, checksum FROM portreeve_migrations ORDER BY number")
        .map_err(failed)?;
    let mut rows = statement.query([]).map_err(failed)?;
    while let Some(row) = rows.next().map_err(failed)? {
        let (number, stored): (i64, String) =
            (row.get(0).map_err(failed)?, row.get(1).map_err(failed)?);
        match migrations.iter().find(|(known, ..)| *known == number) {
            None => {
                let known = migrations.last().map_or(0, |(number, ..)| *number);
                return Err(OpenError::Newer {
                    path: path.display().to_string(),
                    found: number,
                    known,
                });
            }
            Some((.., sql)) if checksum(sql) != stored => {
                return Err(OpenError::Changed {
                    path: path.display().to_string(),
                    number,
                });
            }
            Some(_) => {}
        }
    }
    Ok(())
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Migration = (1, "one", "CREATE TABLE one (a INTEGER) STRICT");
    const SECOND: Migration = (
        2,
        "two",
        "CREATE TABLE two (a INTEGER) STRICT; INSERT INTO two VALUES (7)",
    );
    const BROKEN: Migration = (
        3,
        "three",
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
            run_these(&connection, path, 5, &[(1, "one", "SELECT 1"), SECOND]).unwrap_err();
        assert!(
            matches!(changed, OpenError::Changed { number: 1, .. }),
            "{changed}"
        );
    }
}
