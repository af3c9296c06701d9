//! Brings the product's own tables, which are in a schema of their own, up to date.

use super::connect::Address;
use super::error::failure;
use super::session::{LOCK, Session};
use crate::OpenError;
use crate::migration;

/// Says what is wrong with a server we cannot work with.
pub(crate) async fn check_server(session: &Session, address: &Address) -> Result<(), OpenError> {
    let sql =
        "SELECT current_setting('server_version_num')::int8, current_setting('server_encoding')";
    let failed = |error: tokio_postgres::Error| address.failed(failure(error).into());
    let row = session.client().query_one(sql, &[]).await.map_err(failed)?;
    let (version, encoding): (i64, String) = (
        row.try_get(0).map_err(failed)?,
        row.try_get(1).map_err(failed)?,
    );
    let unfit = |problem: String| OpenError::Unfit {
        address: address.shown.clone(),
        problem,
    };
    if version < 150_000 {
        return Err(unfit(format!(
            "the server is PostgreSQL {}, and 15 or newer is needed",
            version / 10_000
        )));
    }
    if encoding != "UTF8" {
        return Err(unfit(format!(
            "the database is encoded in {encoding}, and UTF8 is needed: create one with ENCODING 'UTF8' TEMPLATE template0"
        )));
    }
    Ok(())
}

/// What there is before the first of them.
pub(crate) const BEGINNING: &str = "CREATE SCHEMA IF NOT EXISTS portreeve;
    REVOKE ALL ON SCHEMA portreeve FROM PUBLIC;
    CREATE TABLE portreeve.migrations (
      number int8 PRIMARY KEY, name text NOT NULL, checksum text NOT NULL, at int8 NOT NULL)";

/// Runs what has not run yet; two programs that start at once wait for each other. A reader only looks.
pub(crate) async fn run(
    session: &Session,
    address: &Address,
    now: Option<i64>,
) -> Result<(), OpenError> {
    let client = session.client();
    let failed = |error: tokio_postgres::Error| address.failed(failure(error).into());
    if now.is_some() {
        let begin = format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})");
        client.batch_execute(&begin).await.map_err(failed)?;
    }
    let there = "SELECT to_regclass('portreeve.migrations') IS NOT NULL";
    let row = client.query_one(there, &[]).await.map_err(failed)?;
    let there: bool = row.try_get(0).map_err(failed)?;
    match (there, now) {
        (true, _) => {}
        (false, None) => {
            return Err(OpenError::Missing {
                path: address.shown.clone(),
            });
        }
        (false, Some(_)) => {
            client.batch_execute(BEGINNING).await.map_err(|error| {
                let denied = error
                    .code()
                    .is_some_and(|code| code.code() == "42501");
                if denied {
                    OpenError::Unfit {
                        address: address.shown.clone(),
                        problem: "the account may not create the schema 'portreeve'; GRANT CREATE ON DATABASE … TO it, or create the schema for it".into(),
                    }
                } else {
                    failed(error)
                }
            })?;
        }
    }
    let sql = "SELECT number, checksum FROM portreeve.migrations ORDER BY number";
    let rows = client.query(sql, &[]).await.map_err(failed)?;
    let mut run = vec![];
    for row in rows {
        run.push((
            row.try_get(0).map_err(failed)?,
            row.try_get(1).map_err(failed)?,
        ));
    }
    let missing = migration::missing(migration::POSTGRES, &run, &address.shown)?;
    let Some(now) = now else {
        return Ok(());
    };
    for one in missing {
        client.batch_execute(one.sql).await.map_err(failed)?;
        let sql =
            "INSERT INTO portreeve.migrations (number, name, checksum, at) VALUES ($1, $2, $3, $4)";
        client
            .execute(sql, &[&one.number, &one.name, &one.checksum(), &now])
            .await
            .map_err(failed)?;
    }
    client.batch_execute("COMMIT").await.map_err(failed)
}
