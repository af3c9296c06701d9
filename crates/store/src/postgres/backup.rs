//! Backups of a PostgreSQL database: what is ours in it (the product's tables, and those of collections of our own
//! making), as of one moment, in one file. Tables that were there before are not ours to copy.

mod archive;
mod restore;

use std::io::{BufWriter, Write};

use futures_util::StreamExt;
use portreeve_model::{CollectionName, MAIN_NAMESPACE};
use portreeve_policy::Document;
use sha2::{Digest, Sha256};
use tokio_postgres::types::{ToSql, Type};

use super::connect::Address;
use super::migrations;
use super::session::{LOCK, Session};
use crate::backup::partial::Partial;
use crate::backup::{Backup, BackupError, BackupOptions, Stage, Watch};
use crate::sql::dialect::Dialect;
use crate::work::policy;
use crate::{OpenError, StoreError};
use archive::{Counter, Manifest, Table};

pub(crate) use archive::{check, is_archive};
pub(crate) use restore::restore;

/// However long it takes; and written as everywhere, so that the same rows are the same bytes.
const SETTINGS: &str = "SET statement_timeout = 0; SET lock_timeout = '60s'; SET idle_in_transaction_session_timeout = 0;
SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'; SET extra_float_digits = 1; SET bytea_output = 'hex'";

/// Nobody is signed in afterwards, so who is signed in now is nobody's business. What was about to be sent has been sent
/// when the backup is needed, and must not be sent again, nor do its codes come back to life.
const LEFT_OUT: [&str; 6] = [
    "codes",
    "mails",
    "refresh_tokens",
    "session_tokens",
    "sessions",
    "share_tokens",
];

/// Copies what is ours into a file.
pub(crate) fn make(
    url: &str,
    options: &BackupOptions<'_>,
    watch: &mut Watch<'_>,
) -> Result<Backup, BackupError> {
    run(made(url, options, watch))
}

// The caller has a thread for it that may wait; the connection lives on its runtime.
fn run<T>(work: impl Future<Output = Result<T, BackupError>>) -> Result<T, BackupError> {
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => runtime.block_on(work),
        Err(error) => Err(BackupError::Failed {
            path: "the database".into(),
            source: error.into(),
        }),
    }
}

async fn made(
    url: &str,
    options: &BackupOptions<'_>,
    watch: &mut Watch<'_>,
) -> Result<Backup, BackupError> {
    let address = Address::parse(url)?;
    let partial = Partial::begin(None, options.file, options.replace)?;
    let session = connect(&address).await?;
    migrations::run(&session, &address, None).await?;
    let client = session.client();
    let failed = failed(&address);
    // Nobody changes tables between the moment and the locks that keep them as they are; everything else goes on.
    let lock = format!("SELECT pg_advisory_lock_shared({LOCK})");
    client.batch_execute(&lock).await.map_err(&failed)?;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";
    client.batch_execute(begin).await.map_err(&failed)?;
    // This is the moment.
    let stored = policy::load(&session).await.map_err(store(&address))?;
    let taken = options.clock.now();
    let mut names = own_tables(&session, &address).await?;
    names.extend(of_collections(&stored.document));
    let all: Vec<String> = names
        .iter()
        .map(|(schema, name)| full(schema, name))
        .collect();
    let lock = format!("LOCK TABLE {} IN ACCESS SHARE MODE", all.join(", "));
    client.batch_execute(&lock).await.map_err(&failed)?;
    let unlock = format!("SELECT pg_advisory_unlock_shared({LOCK})");
    client.batch_execute(&unlock).await.map_err(&failed)?;

    let unusable = BackupError::of_system;
    let mut out = BufWriter::new(partial.file());
    out.write_all(archive::MAGIC)
        .map_err(unusable(options.file))?;
    let mut tables = vec![];
    let mut done = 0;
    for (schema, name) in names {
        let mut table = describe(&session, &address, &schema, &name).await?;
        let counted = read(&session, &address, &table, |bytes, rows| {
            out.write_all(bytes).map_err(unusable(options.file))?;
            watch.tell(Stage::Copying, done + rows, 0)
        });
        counted.await?.into_table(&mut table);
        done += table.rows;
        tables.push(table);
    }
    let sql = "SELECT number, checksum FROM portreeve.migrations ORDER BY number";
    let rows = client.query(sql, &[]).await.map_err(&failed)?;
    let migrations = rows
        .iter()
        .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)));
    let manifest = Manifest {
        taken,
        program: options.program.to_owned(),
        policy_version: stored.version,
        migrations: migrations.collect::<Result<_, _>>().map_err(&failed)?,
        tables,
    };
    manifest.write(&mut out).map_err(unusable(options.file))?;
    out.flush().map_err(unusable(options.file))?;
    drop(out);
    partial.sync()?;
    session.give_up();
    let checked = check(partial.path(), watch)?;
    partial.keep()?;
    Ok(Backup {
        file: options.file.to_owned(),
        ..checked
    })
}

async fn connect(address: &Address) -> Result<Session, BackupError> {
    let pool = address.pool(2)?;
    let session = Session::of(&pool).await.map_err(|error| match error {
        StoreError::Unavailable => BackupError::Open(OpenError::Unfit {
            address: address.shown.clone(),
            problem: "no server answers there, or it does not let us in. Check host, port, user and password in the URL, and that the server runs".into(),
        }),
        other => store(address)(other),
    })?;
    migrations::check_server(&session, address).await?;
    let set = session.client().batch_execute(SETTINGS).await;
    set.map_err(failed(address))?;
    Ok(session)
}

// The product's own tables, in an order in which each refers to what is before it.
async fn own_tables(
    session: &Session,
    address: &Address,
) -> Result<Vec<(String, String)>, BackupError> {
    let sql = "SELECT c.relname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE n.nspname = 'portreeve' AND c.relkind = 'r' ORDER BY c.relname <> 'users', 1";
    let rows = session.client().query(sql, &[]).await;
    let rows = rows.map_err(failed(address))?;
    let names = rows.iter().map(|row| row.try_get::<_, String>(0));
    let names: Vec<String> = names.collect::<Result<_, _>>().map_err(failed(address))?;
    let kept = names
        .into_iter()
        .filter(|name| !LEFT_OUT.contains(&name.as_str()));
    Ok(kept.map(|name| ("portreeve".to_owned(), name)).collect())
}

// The tables of collections of our own making. What was there before is not stored with them.
fn of_collections(document: &Document) -> impl Iterator<Item = (String, String)> {
    let own = document.collections.iter().filter(|collection| {
        collection.existing.is_none() && collection.name != CollectionName::main("users")
    });
    own.map(|collection| {
        let schema = match collection.name.namespace() {
            MAIN_NAMESPACE => "public",
            other => other,
        };
        (schema.to_owned(), collection.name.name().to_owned())
    })
}

// Its columns, its key, and where its numbers have got to.
async fn describe(
    session: &Session,
    address: &Address,
    schema: &str,
    name: &str,
) -> Result<Table, BackupError> {
    let client = session.client();
    let failed = failed(address);
    let place = full(schema, name);
    let ask = async |sql: &str| -> Result<Vec<(String, Option<i64>)>, BackupError> {
        let statement = client.prepare_typed(sql, &[Type::TEXT]).await;
        let statement = statement.map_err(&failed)?;
        let parameters: [&(dyn ToSql + Sync); 1] = [&place];
        let rows = client.query(&statement, &parameters).await;
        rows.map_err(&failed)?
            .iter()
            .map(|row| Ok((row.try_get(0)?, row.try_get(1)?)))
            .collect::<Result<_, _>>()
            .map_err(&failed)
    };
    let columns = ask(
        "SELECT attname::text, NULL::int8 FROM pg_attribute
         WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
    );
    let columns = columns.await?.into_iter().map(|(name, _)| name).collect();
    let key = ask("SELECT a.attname::text, NULL::int8 FROM pg_index i
         CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, place)
         JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
         WHERE i.indrelid = $1::regclass AND i.indisprimary ORDER BY k.place");
    let key = key.await?.into_iter().map(|(name, _)| name).collect();
    let counters = ask(
        "SELECT attname::text, pg_sequence_last_value(pg_get_serial_sequence($1, attname)::regclass)
         FROM pg_attribute WHERE attrelid = $1::regclass AND attidentity <> '' AND NOT attisdropped ORDER BY attnum",
    );
    let counters = counters.await?.into_iter();
    Ok(Table {
        schema: schema.to_owned(),
        name: name.to_owned(),
        columns,
        key,
        counters: counters
            .filter_map(|(column, last)| {
                Some(Counter {
                    column,
                    last: last?,
                })
            })
            .collect(),
        rows: 0,
        bytes: 0,
        sha256: String::new(),
    })
}

// What has been read of a table.
struct Counted {
    rows: u64,
    bytes: u64,
    hash: Sha256,
}

impl Counted {
    fn new() -> Self {
        Self {
            rows: 0,
            bytes: 0,
            hash: Sha256::new(),
        }
    }

    // A line is a row: the ends of lines within values are escaped.
    fn take(&mut self, bytes: &[u8]) {
        self.rows += bytes.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.bytes += bytes.len() as u64;
        self.hash.update(bytes);
    }

    fn into_table(self, table: &mut Table) {
        table.rows = self.rows;
        table.bytes = self.bytes;
        table.sha256 = archive::hex(&self.hash.finalize());
    }
}

// All rows of a table in the order of its key, as the server writes them.
async fn read(
    session: &Session,
    address: &Address,
    table: &Table,
    mut each: impl FnMut(&[u8], u64) -> Result<(), BackupError>,
) -> Result<Counted, BackupError> {
    let order = match table.key[..] {
        [] => String::new(),
        _ => format!(" ORDER BY {}", list(&table.key)),
    };
    let sql = format!(
        "COPY (SELECT {} FROM {}{order}) TO STDOUT",
        list(&table.columns),
        full(&table.schema, &table.name)
    );
    let failed = failed(address);
    let stream = session.client().copy_out(&sql).await.map_err(&failed)?;
    let mut stream = std::pin::pin!(stream);
    let mut counted = Counted::new();
    while let Some(bytes) = stream.next().await {
        let bytes = bytes.map_err(&failed)?;
        counted.take(&bytes);
        each(&bytes, counted.rows)?;
    }
    Ok(counted)
}

fn full(schema: &str, name: &str) -> String {
    let dialect = Dialect::Postgres;
    format!("{}.{}", dialect.name(schema), dialect.name(name))
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names
        .iter()
        .map(|name| Dialect::Postgres.name(name))
        .collect();
    names.join(", ")
}

// What the server says, without the rows it says it about.
fn failed(address: &Address) -> impl Fn(tokio_postgres::Error) -> BackupError + use<> {
    let path = address.shown.clone();
    move |error| {
        let said = match error.as_db_error() {
            Some(error) => error.message().to_owned(),
            None => error.to_string(),
        };
        BackupError::Failed {
            path: path.clone().into(),
            source: said.into(),
        }
    }
}

fn store(address: &Address) -> impl Fn(StoreError) -> BackupError + use<> {
    let path = address.shown.clone();
    move |error| BackupError::Failed {
        path: path.clone().into(),
        source: error.into(),
    }
}
