//! Puts a backup into an empty database, all of it in one transaction: the tables are made as migrations and catalog make
//! them, filled, read again and compared, and only then held together by references.

use bytes::Bytes;
use futures_util::SinkExt;
use portreeve_model::{new_uuid, timestamp_text};
use portreeve_policy::{Problem, build_catalog, describe_existing};
use serde_json::json;
use tokio_postgres::CopyInSink;

use super::archive::{Archive, Table};
use super::{
    check, connect, describe, failed, full, is_archive, list, of_collections, own_tables, read,
    run, store,
};
use crate::backup::{Backup, BackupError, RestoreOptions, Restored, Stage, Watch};
use crate::migration;
use crate::postgres::connect::Address;
use crate::postgres::session::{LOCK, Session};
use crate::postgres::{found, migrations};
use crate::sql::ddl::{self, Step};
use crate::sql::dialect::Dialect;
use crate::work::policy;

/// By so much versions and epochs go forward: other programs remember them, and only look for larger ones.
const STRIDE: i64 = 1_000;

/// The tables from which the others are known.
const POLICY: [&str; 4] = ["definitions", "policy", "profiles", "roles"];

/// Puts a backup back.
pub(crate) fn restore(
    url: &str,
    options: &RestoreOptions<'_>,
    watch: &mut Watch<'_>,
) -> Result<Restored, BackupError> {
    if !is_archive(options.file) {
        // What it is instead, or what is wrong with it.
        let backup = crate::sqlite::backup::check(options.file, watch)?;
        return Err(BackupError::OtherKind {
            file: backup.file,
            of: "a data folder",
        });
    }
    let backup = check(options.file, watch)?;
    run(restored(url, backup, options, watch))
}

async fn restored(
    url: &str,
    backup: Backup,
    options: &RestoreOptions<'_>,
    watch: &mut Watch<'_>,
) -> Result<Restored, BackupError> {
    let address = Address::parse(url)?;
    let mut archive = Archive::open(options.file)?;
    if archive.digest != backup.digest {
        return Err(damaged(options, "it was changed while it was read"));
    }
    let file = options.file.display().to_string();
    let newer = migration::missing(migration::POSTGRES, &archive.manifest.migrations, &file)?;
    let session = connect(&address).await?;
    let client = session.client();
    let failed = failed(&address);
    let execute = async |sql: String| client.batch_execute(&sql).await.map_err(&failed);
    // Whatever goes wrong from here on, the connection ends and nothing has been.
    execute(format!("BEGIN; SELECT pg_advisory_xact_lock({LOCK})")).await?;
    let there = "SELECT to_regclass('portreeve.migrations') IS NOT NULL";
    let there = client.query_one(there, &[]).await.map_err(&failed)?;
    if there.try_get(0).map_err(&failed)? {
        return Err(BackupError::OccupiedDatabase(address.shown));
    }
    execute(migrations::BEGINNING.to_owned()).await?;
    let known = migration::POSTGRES
        .iter()
        .filter(|one| !newer.iter().any(|newer| newer.number == one.number));
    for one in known {
        execute(one.sql.to_owned()).await?;
    }
    let own = own_tables(&session, &address).await?;
    for (schema, name) in &own {
        let table = full(schema, name);
        // What migrations have put into them is in the backup too; and nobody has to be told of every row.
        execute(format!(
            "TRUNCATE {table} CASCADE; ALTER TABLE {table} DISABLE TRIGGER USER"
        ))
        .await?;
    }
    let tables = archive.manifest.tables.clone();
    let allowed = |table: &Table| own.contains(&(table.schema.clone(), table.name.clone()));
    // Twice through the file: what the tables are stands in some of them.
    let mut filling = Filling {
        session: &session,
        address: &address,
        options,
        total: backup.rows(),
        done: 0,
    };
    for table in &tables {
        let wanted = allowed(table) && POLICY.contains(&table.name.as_str());
        filling.take(&mut archive, table, wanted, watch).await?;
    }
    let stored = policy::load(&session).await.map_err(store(&address))?;
    // Ours may point at tables that were there before.
    let found = found(&session).await.map_err(store(&address))?;
    let unfit = |problems: Vec<Problem>| {
        let problem = problems
            .first()
            .map_or_else(String::new, ToString::to_string);
        damaged(options, &format!("its policy does not fit: {problem}"))
    };
    let document = &stored.document;
    let ours = document
        .collections
        .iter()
        .filter(|one| one.existing.is_none());
    let mut collections: Vec<_> = ours.cloned().collect();
    let taken = collections.iter().map(|one| one.name.clone()).collect();
    let others = describe_existing(&found, &document.existing, &taken).map_err(unfit)?;
    let nothing = build_catalog(&others.collections).map_err(unfit)?;
    collections.extend(others.collections);
    let catalog = build_catalog(&collections).map_err(unfit)?;
    let now = options.clock.now();
    let steps = ddl::plan(Dialect::Postgres, &nothing, &catalog, &[], &[], now)
        .map_err(|problem| damaged(options, &problem))?;
    let mut references = vec![];
    for step in steps {
        match step {
            Step::Run(sql) if sql.contains(" FOREIGN KEY (") => references.push(sql),
            Step::Run(sql) => execute(sql).await?,
            // There is nothing yet that could stand in the way.
            Step::Require { .. } | Step::Convert(_) => {}
        }
    }
    let of_collections: Vec<_> = of_collections(document).collect();
    let mut archive = Archive::open(options.file)?;
    if archive.digest != backup.digest {
        return Err(damaged(options, "it was changed while it was read"));
    }
    for table in &tables {
        let place = (table.schema.clone(), table.name.clone());
        if !allowed(table) && !of_collections.contains(&place) {
            return Err(damaged(
                options,
                &format!("{} is no table of ours", full(&table.schema, &table.name)),
            ));
        }
        let wanted = !(allowed(table) && POLICY.contains(&table.name.as_str()));
        filling.take(&mut archive, table, wanted, watch).await?;
    }
    for sql in references {
        execute(sql).await?;
    }
    compare(&filling, &tables, watch).await?;
    for (schema, name) in &own {
        execute(format!(
            "ALTER TABLE {} ENABLE TRIGGER USER",
            full(schema, name)
        ))
        .await?;
    }
    for one in newer {
        execute(one.sql.to_owned()).await?;
        let sql =
            "INSERT INTO portreeve.migrations (number, name, checksum, at) VALUES ($1, $2, $3, $4)";
        client
            .execute(sql, &[&one.number, &one.name, &one.checksum(), &now])
            .await
            .map_err(&failed)?;
    }
    settle(&filling, &backup).await?;
    execute("COMMIT".into()).await?;
    if let Err(error) = execute("ANALYZE".into()).await {
        // All of it is there; plans are bad until the server does this by itself.
        tracing::warn!(%error, "the restored tables could not be analyzed");
    }
    Ok(Restored {
        backup,
        place: address.shown.clone(),
        sessions_ended: 0,
        aside: None,
    })
}

struct Filling<'a> {
    session: &'a Session,
    address: &'a Address,
    options: &'a RestoreOptions<'a>,
    total: u64,
    done: u64,
}

impl Filling<'_> {
    // Goes past a table in the file; where it is wanted, its rows go into the database.
    async fn take(
        &mut self,
        archive: &mut Archive,
        table: &Table,
        wanted: bool,
        watch: &mut Watch<'_>,
    ) -> Result<(), BackupError> {
        let failed = failed(self.address);
        let sql = format!(
            "COPY {} ({}) FROM STDIN",
            full(&table.schema, &table.name),
            list(&table.columns)
        );
        let client = self.session.client();
        let sink: Option<CopyInSink<Bytes>> = match wanted {
            true => Some(client.copy_in(&sql).await.map_err(&failed)?),
            false => None,
        };
        let mut sink = std::pin::pin!(sink);
        let (mut left, mut buffer) = (table.bytes, vec![]);
        while left > 0 {
            archive
                .read(left, &mut buffer)
                .map_err(BackupError::of_system(self.options.file))?;
            left -= buffer.len() as u64;
            if let Some(mut sink) = sink.as_mut().as_pin_mut() {
                let bytes = Bytes::copy_from_slice(&buffer);
                sink.send(bytes).await.map_err(&failed)?;
            }
            watch.tell(Stage::Copying, self.done, self.total)?;
        }
        let Some(sink) = sink.as_mut().as_pin_mut() else {
            return Ok(());
        };
        sink.finish().await.map_err(&failed)?;
        self.done += table.rows;
        for counter in &table.counters {
            let sql = "SELECT setval(pg_get_serial_sequence($1, $2), $3)";
            let place = full(&table.schema, &table.name);
            client
                .query(sql, &[&place, &counter.column, &counter.last])
                .await
                .map_err(&failed)?;
        }
        watch.tell(Stage::Copying, self.done, self.total)
    }
}

// Reads all of it again, as it was read when the backup was made.
async fn compare(
    filling: &Filling<'_>,
    tables: &[Table],
    watch: &mut Watch<'_>,
) -> Result<(), BackupError> {
    let mut done = 0;
    for table in tables {
        let (session, address) = (filling.session, filling.address);
        let mut found = describe(session, address, &table.schema, &table.name).await?;
        // In the order of the columns in which it was written.
        found.columns.clone_from(&table.columns);
        let counted = read(session, address, &found, |_, rows| {
            watch.tell(Stage::Checking, done + rows, filling.total)
        });
        counted.await?.into_table(&mut found);
        if found != *table {
            return Err(damaged(
                filling.options,
                &format!(
                    "{} became something else in the database",
                    full(&table.schema, &table.name)
                ),
            ));
        }
        done += table.rows;
    }
    Ok(())
}

// Whoever remembers a version or an epoch of the lost time finds it used for nothing else.
async fn settle(filling: &Filling<'_>, backup: &Backup) -> Result<(), BackupError> {
    let client = filling.session.client();
    let failed = failed(filling.address);
    let options = filling.options;
    client
        .batch_execute(&format!(
            "UPDATE portreeve.policy SET version = version + {STRIDE} WHERE version > 0;
             INSERT INTO portreeve.epochs (\"user\", epoch) SELECT id, 0 FROM portreeve.users ON CONFLICT DO NOTHING;
             UPDATE portreeve.epochs SET epoch = epoch + {STRIDE}"
        ))
        .await
        .map_err(&failed)?;
    let taken = timestamp_text(backup.taken);
    let detail = json!({
        "id": new_uuid(&*options.clock, &*options.entropy).to_string(),
        "taken": taken,
        "program": backup.program,
        "digest": backup.digest,
    })
    .to_string();
    let at = timestamp_text(options.clock.now());
    let sql = "INSERT INTO portreeve.audit (at, actor, action, target, \"after\")
               VALUES ($1::text::timestamptz, 'operator', 'store.restore', $2, $3::text::json)";
    client
        .execute(sql, &[&at, &taken, &detail])
        .await
        .map_err(&failed)?;
    let sql = format!(
        "INSERT INTO portreeve.audit_unsealed (line) VALUES ({})",
        Dialect::Postgres.last_number("audit")
    );
    client.execute(&sql, &[]).await.map(drop).map_err(&failed)
}

fn damaged(options: &RestoreOptions<'_>, what: &str) -> BackupError {
    BackupError::Damaged {
        file: options.file.to_owned(),
        what: what.to_owned(),
    }
}
