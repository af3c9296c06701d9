//! The driver for the embedded database: one file, one writing thread, readers on every thread that asks.

pub(crate) mod backup;
mod budget;
mod capture;
mod digest;
mod migrations;
pub(crate) mod open;
mod reader;
mod records;
pub(crate) mod session;
mod sums;
pub(crate) mod values;
pub(crate) mod writer;

use std::collections::HashMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use portreeve_gate::{Aggregates, ApplyPolicy, Authorized, Judged, Read, Window};
use portreeve_model::{Clock, Collection, Columns, FieldId, RecordSink, Value};
use portreeve_policy::{FoundSchema, Record, Snapshot};
use rusqlite::{ErrorCode, ffi};

use crate::feed::Ring;
use crate::introspect;
use crate::sql::aggregate;
use crate::sql::binding::Binding;
use crate::sql::dialect::Dialect;
use crate::sql::select::{self, Asked, ReadStatement};
use crate::work::{Transaction, finish, policy, ready, sessions, system};
use crate::{FeedLimits, OpenError, ReadOutcome, Stale, StoreError, StoreOptions, StoredPolicy};
use reader::{Inline, LongReads};
use records::Request;
use session::Reading;
use writer::{Shared, Turn, Writer};

/// An open database file.
pub(crate) struct Database {
    inline: Inline,
    long: LongReads,
    statements: RwLock<HashMap<(u64, Asked), Arc<ReadStatement>>>,
    shared: Arc<Shared>,
    ring: Arc<Ring>,
    clock: Option<Arc<dyn Clock>>,
    writer: Option<Writer>,
    // Whether others have tables in this file.
    shared_file: bool,
    // Last, so that the folder is released when nothing is at work in it any more.
    _lock: Option<File>,
}

/// How many read statements are kept; emptied when full.
const STATEMENTS: usize = 1_024;

impl Database {
    /// Opens a folder of our own.
    pub fn open(folder: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let (path, lock) = open::take_folder(folder)?;
        open::check_restored(folder)?;
        let new = !open::is_ours(&path)?;
        Self::open_at(path, lock, new, false, options)
    }

    /// Opens a file that is there already. It stays whose it is: nothing in it says that it is ours.
    pub fn open_file(path: &Path, options: &StoreOptions) -> Result<Self, OpenError> {
        let lock = open::take_file(path)?;
        Self::open_at(path.to_owned(), lock, false, true, options)
    }

    fn open_at(
        path: PathBuf,
        lock: File,
        new: bool,
        shared_file: bool,
        options: &StoreOptions,
    ) -> Result<Self, OpenError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Failed {
            path: path.display().to_string(),
            source,
        };
        let connection = open::write_connection(&path, options.synchronous, new)
            .map_err(|error| failed(error.into()))?;
        open::check_build(&connection).map_err(|error| failed(error.into()))?;
        migrations::run(&connection, &path, options.clock.now())?;
        if !shared_file {
            open::look_over(&connection).map_err(|error| failed(error.into()))?;
        }
        let shared = Arc::new(Shared::load(&connection).map_err(|error| failed(error.into()))?);
        let long = LongReads::start(&path, options.readers, reader::LONGEST)
            .map_err(|error| failed(error.into()))?;
        let ring = Arc::new(Ring::new(options.feed));
        let writer = Writer::start(
            connection,
            Arc::clone(&shared),
            Arc::clone(&options.clock),
            Arc::clone(&options.entropy),
            Arc::clone(&ring),
        )
        .map_err(|error| failed(error.into()))?;
        Ok(Self {
            inline: Inline::new(path),
            long,
            statements: RwLock::default(),
            shared,
            ring,
            clock: Some(Arc::clone(&options.clock)),
            writer: Some(writer),
            shared_file,
            _lock: Some(lock),
        })
    }

    pub fn open_read_only(folder: &Path) -> Result<Self, OpenError> {
        let path = folder.join(open::FILE);
        open::check_restored(folder)?;
        if !open::is_ours(&path)? {
            return Err(OpenError::Missing {
                path: path.display().to_string(),
            });
        }
        Self::read_only_at(path, false)
    }

    /// The same for a file that is there already.
    pub fn open_file_read_only(path: &Path) -> Result<Self, OpenError> {
        open::check_database(path)?;
        Self::read_only_at(path.to_owned(), true)
    }

    fn read_only_at(path: PathBuf, shared_file: bool) -> Result<Self, OpenError> {
        let failed = |source: Box<dyn std::error::Error + Send + Sync>| OpenError::Failed {
            path: path.display().to_string(),
            source,
        };
        let connection = open::read_connection(&path).map_err(|error| failed(error.into()))?;
        if shared_file && !migrations::any(&connection) {
            return Err(OpenError::Untouched {
                path: path.display().to_string(),
            });
        }
        migrations::check_known(&connection, &path)?;
        let shared = Arc::new(Shared::load(&connection).map_err(|error| failed(error.into()))?);
        let long =
            LongReads::start(&path, 1, reader::LONGEST).map_err(|error| failed(error.into()))?;
        Ok(Self {
            inline: Inline::new(path),
            long,
            statements: RwLock::default(),
            shared,
            ring: Arc::new(Ring::new(FeedLimits::default())),
            clock: None,
            writer: None,
            shared_file,
            _lock: None,
        })
    }

    /// The tables of others in this file; `None` where the file is ours alone.
    pub fn tables(&self) -> Result<Option<FoundSchema>, StoreError> {
        if !self.shared_file {
            return Ok(None);
        }
        self.inline
            .look_up(|connection| introspect::sqlite(connection).map_err(failure))
            .map(Some)
    }

    /// The tables of a file that nobody has to have opened yet.
    pub fn tables_of(path: &Path) -> Result<FoundSchema, OpenError> {
        open::check_database(path)?;
        open::read_connection(path)
            .and_then(|connection| introspect::sqlite(&connection))
            .map_err(|error| OpenError::Failed {
                path: path.display().to_string(),
                source: error.into(),
            })
    }

    /// Asks something of a connection that reads.
    pub fn look_up<T>(
        &self,
        run: impl AsyncFnOnce(&Reading<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.inline.look_up(|connection| {
            let reading = Reading {
                connection,
                shared: &self.shared,
            };
            ready(run(&reading))
        })
    }

    /// Does something in a transaction; readers hear what it makes stale before anybody is answered.
    pub async fn carry_out<T: Send + 'static>(
        &self,
        turn: Turn,
        run: impl FnMut(&writer::Writing<'_>) -> Result<(T, Stale), StoreError> + Send + 'static,
    ) -> Result<(T, Stale), StoreError> {
        let then = |(_, stale): &(T, Stale), shared: &Shared| {
            for (user, epoch) in &stale.epochs {
                shared.set_epoch(user, *epoch);
            }
            if let Some(version) = stale.policy {
                shared.set_version(version);
            }
            if !stale.is_nothing() {
                shared.revoke();
            }
        };
        self.writer()?.write_then(turn, run, then).await
    }

    pub fn writer(&self) -> Result<&Writer, StoreError> {
        self.writer.as_ref().ok_or(StoreError::ReadOnly)
    }

    fn statement(
        &self,
        key: (u64, Asked),
        build: impl FnOnce() -> ReadStatement,
    ) -> Arc<ReadStatement> {
        if let Some(known) = self
            .statements
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Arc::clone(known);
        }
        let statement = Arc::new(build());
        let mut known = self
            .statements
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        if known.len() >= STATEMENTS {
            known.clear();
        }
        known.insert(key, Arc::clone(&statement));
        statement
    }

    pub async fn read<S: RecordSink + 'static>(
        &self,
        read: &Authorized<Read>,
        sink: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        let operation = read.operation();
        let (plan, window) = (operation.plan(), operation.window());
        let (catalog, asked) = (read.snapshot().catalog(), Asked::of(window));
        let statement = self.statement((plan.id(), asked), || {
            select::read(Dialect::Sqlite, catalog, plan, asked)
        });
        let values = operation.values();
        self.run(
            statement,
            plan.columns(),
            read.context(),
            values,
            window,
            sink,
        )
        .await
    }

    pub async fn aggregate<S: RecordSink + 'static>(
        &self,
        asked: &Authorized<Aggregates>,
        sink: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        let operation = asked.operation();
        let (plan, window) = (operation.plan(), operation.window());
        let catalog = asked.snapshot().catalog();
        let statement = self.statement((plan.id(), Asked::of(window)), || {
            aggregate::aggregate(Dialect::Sqlite, catalog, plan)
        });
        let values = operation.values();
        self.run(
            statement,
            plan.columns(),
            asked.context(),
            values,
            window,
            sink,
        )
        .await
    }

    // Short ones right here, on the calling thread; one that turns out long is started over where it holds up nobody.
    async fn run<S: RecordSink + 'static>(
        &self,
        statement: Arc<ReadStatement>,
        columns: &Arc<Columns>,
        context: &portreeve_policy::Context,
        values: &[Value],
        window: &Window,
        mut sink: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        let short = self.inline.short(|reader| {
            let request = request(context, values, window);
            records::run(reader, &statement, columns, &request, &mut sink)
        });
        match short {
            Err(StoreError::TooSlow) => {}
            Err(error) => return Err(error),
            Ok(outcome) => return Ok((sink, outcome)),
        }
        sink.reset();
        let columns = Arc::clone(columns);
        let (context, values, window) = (context.clone(), values.to_vec(), window.clone());
        let run = move |reader: &reader::Reader| {
            let request = request(&context, &values, &window);
            let outcome = records::run(reader, &statement, &columns, &request, &mut sink)?;
            Ok((sink, outcome))
        };
        self.long.run(run).await
    }

    pub async fn apply_policy(
        &self,
        apply: Authorized<Judged<ApplyPolicy>>,
    ) -> Result<(u64, Stale), StoreError> {
        let ring = Arc::clone(&self.ring);
        let operation = apply.operation().operation();
        // Data that falls away or is called otherwise is not in the feed record by record.
        let lost = !operation.drops.is_empty() || !operation.renames.is_empty();
        let run = move |writing: &writer::Writing<'_>| {
            ready(async {
                Transaction::mark(writing).await?;
                let result = apply_uncaptured(writing, &apply).await;
                finish(writing, result).await
            })
        };
        self.writer()?
            .write_then(Turn::Schema, run, move |(version, stale), shared| {
                shared.set_version(*version);
                for (user, epoch) in &stale.epochs {
                    shared.set_epoch(user, *epoch);
                }
                if !stale.epochs.is_empty() {
                    shared.revoke();
                }
                if ring.captured().is_some() {
                    ring.capture(*version);
                    if lost {
                        ring.cut();
                    }
                }
            })
            .await
    }

    /// This policy has the same collections as the one before it, so what is captured goes on as it is.
    pub fn know(&self, snapshot: &Snapshot) {
        self.ring.know(snapshot.version());
    }

    /// The change feed.
    pub fn ring(&self) -> &Arc<Ring> {
        &self.ring
    }

    /// Has what is changed from now on put into the feed, laid out by the catalog of this policy.
    pub async fn listen(&self, snapshot: &Arc<Snapshot>) -> Result<(), StoreError> {
        let version = snapshot.version();
        // Asked of the writer, who is the one to stop: it knows of the listener by now.
        let captured =
            move |writing: &writer::Writing<'_>| Ok(writing.capture.ring().captures(version));
        if self.writer()?.write(Turn::Shared, captured).await? {
            return Ok(());
        }
        let (ring, snapshot) = (Arc::clone(&self.ring), Arc::clone(snapshot));
        let run = move |writing: &writer::Writing<'_>| {
            if writing.shared.version() != version {
                return Err(StoreError::VersionChanged);
            }
            ready(async {
                Transaction::mark(writing).await?;
                let catalog = snapshot.catalog();
                let result = writing.capture.listen(writing.connection, version, catalog);
                finish(writing, result).await
            })
        };
        self.writer()?
            .write_then(Turn::Alone, run, move |(), _| ring.capture(version))
            .await
    }

    /// Tables of others are not what they were: what is captured is laid out anew.
    pub async fn tables_changed(&self, snapshot: &Arc<Snapshot>) -> Result<(), StoreError> {
        let version = snapshot.version();
        let snapshot = Arc::clone(snapshot);
        let run = move |writing: &writer::Writing<'_>| {
            if writing.capture.ring().captured().is_none() {
                return Ok(false);
            }
            if writing.shared.version() != version {
                return Err(StoreError::VersionChanged);
            }
            ready(async {
                Transaction::mark(writing).await?;
                let catalog = snapshot.catalog();
                let result = writing.capture.listen(writing.connection, version, catalog);
                finish(writing, result.map(|()| true)).await
            })
        };
        match &self.writer {
            Some(writer) => {
                let ring = Arc::clone(&self.ring);
                let then = move |captured: &bool, _: &Shared| {
                    if *captured {
                        ring.capture(version);
                    }
                };
                writer.write_then(Turn::Alone, run, then).await.map(drop)
            }
            None => Ok(()),
        }
    }

    pub fn find(
        &self,
        collection: &Collection,
        field: FieldId,
        wanted: &Value,
    ) -> Result<Vec<Record>, StoreError> {
        self.look_up(async |reading| system::find(reading, collection, field, wanted).await)
    }

    pub fn load_policy(&self) -> Result<StoredPolicy, StoreError> {
        // From one state of the database.
        self.inline.look_up(|connection| {
            connection.execute_batch("BEGIN").map_err(failure)?;
            let reading = Reading {
                connection,
                shared: &self.shared,
            };
            let policy = ready(policy::load(&reading));
            connection.execute_batch("COMMIT").map_err(failure)?;
            policy
        })
    }

    pub async fn expire_sessions(&self, now: i64, unused: i64) -> Result<usize, StoreError> {
        let ours = !self.shared_file;
        let run = move |writing: &writer::Writing<'_>| {
            let expired = ready(sessions::expire(writing, now, unused))?;
            // This comes by every hour, and tables grow meanwhile.
            if ours {
                open::look_over(writing.connection).map_err(failure)?;
            }
            Ok(expired)
        };
        self.writer()?.write(Turn::Shared, run).await
    }

    pub fn has_administrator(&self, snapshot: &Snapshot) -> Result<bool, StoreError> {
        let now = self.clock.as_ref().map_or(i64::MAX, |clock| clock.now());
        self.look_up(async |reading| system::has_administrator(reading, snapshot, now).await)
    }

    pub fn digest(&self, with_audit: bool) -> Result<[u8; 32], StoreError> {
        self.inline
            .look_up(|connection| digest::digest(connection, with_audit))
    }

    pub fn revocations(&self) -> u64 {
        self.shared.revocations()
    }
}

// Replacing a table is no change of its records: while that happens, nothing is captured.
async fn apply_uncaptured(
    writing: &writer::Writing<'_>,
    apply: &Authorized<Judged<ApplyPolicy>>,
) -> Result<(u64, Stale), StoreError> {
    let (capture, connection) = (writing.capture, writing.connection);
    if capture.ring().captured().is_none() {
        return policy::apply(writing, apply).await;
    }
    capture.pause(connection)?;
    let (version, stale) = policy::apply(writing, apply).await?;
    let compiled = &apply.operation().operation().compiled;
    capture.listen(connection, version, compiled.catalog())?;
    Ok((version, stale))
}

fn request<'a>(
    context: &'a portreeve_policy::Context,
    caller: &'a [Value],
    window: &'a Window,
) -> Request<'a> {
    let binding = Binding {
        caller,
        ..Binding::new(context)
    };
    match window {
        Window::Key(key) => Request {
            binding: Binding {
                key: Some(key),
                ..binding
            },
            limit: None,
        },
        Window::Page { limit, offset } => Request {
            // One more than wanted tells whether there are more.
            binding: Binding {
                limit: i64::from(*limit) + 1,
                offset: i64::try_from(*offset).unwrap_or(i64::MAX),
                ..binding
            },
            limit: Some(*limit as usize),
        },
    }
}

/// What an error of the driver means, where no constraint of a collection is concerned.
fn failure(error: rusqlite::Error) -> StoreError {
    let rusqlite::Error::SqliteFailure(code, message) = &error else {
        return StoreError::Internal(error.into());
    };
    match (code.code, code.extended_code) {
        // Statements are made from the catalog, so it is the table that has become another.
        (ErrorCode::Unknown, _) if message.as_deref().is_some_and(is_change) => {
            StoreError::SchemaChanged
        }
        (_, ffi::SQLITE_CONSTRAINT_FOREIGNKEY | ffi::SQLITE_CONSTRAINT_TRIGGER) => {
            StoreError::ForeignKey
        }
        (_, ffi::SQLITE_CONSTRAINT_CHECK | ffi::SQLITE_CONSTRAINT_DATATYPE) => StoreError::Check,
        (
            _,
            ffi::SQLITE_CONSTRAINT_UNIQUE
            | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
            | ffi::SQLITE_CONSTRAINT_ROWID,
        ) => StoreError::Unique { fields: vec![] },
        (ErrorCode::OperationInterrupted, _) => StoreError::TooSlow,
        (_, sums::OUT_OF_RANGE) => StoreError::OutOfRange,
        (ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked, _) => StoreError::Busy,
        (ErrorCode::DiskFull, _) => StoreError::Full,
        (ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase, _) => StoreError::Corrupt(
            message
                .clone()
                .unwrap_or_else(|| "the file is malformed".into()),
        ),
        _ => StoreError::Internal(error.into()),
    }
}

fn is_change(message: &str) -> bool {
    message.starts_with("no such table: ")
        || message.starts_with("no such column: ")
        || message.contains(" has no column named ")
}

/// What a group's commit that failed means to each of its members.
fn commit_failure(error: &rusqlite::Error) -> StoreError {
    match error {
        rusqlite::Error::SqliteFailure(code, message) => {
            failure(rusqlite::Error::SqliteFailure(*code, message.clone()))
        }
        other => StoreError::Internal(other.to_string().into()),
    }
}

/// The same for a write to a collection: names the fields, where all of them were sent, and never a value.
fn constraint(error: rusqlite::Error, collection: &Collection, sent: &[FieldId]) -> StoreError {
    let rusqlite::Error::SqliteFailure(code, Some(message)) = &error else {
        return failure(error);
    };
    // "UNIQUE constraint failed: grades.student, grades.course"
    let fields = || -> Option<Vec<FieldId>> {
        let (_, names) = message.split_once(": ")?;
        let own = |name: &str| {
            let name = name.strip_prefix(&collection.table)?.strip_prefix('.')?;
            collection
                .field_ids()
                .find(|field| Dialect::column_name(collection.field(*field)) == name)
        };
        names.split(", ").map(own).collect()
    };
    match code.extended_code {
        ffi::SQLITE_CONSTRAINT_UNIQUE
        | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
        | ffi::SQLITE_CONSTRAINT_ROWID => {
            let fields = fields().filter(|fields| fields.iter().all(|field| sent.contains(field)));
            StoreError::Unique {
                fields: fields.unwrap_or_default(),
            }
        }
        ffi::SQLITE_CONSTRAINT_NOTNULL => match fields().as_deref() {
            Some([field]) => StoreError::NotNull { field: *field },
            _ => StoreError::Check,
        },
        _ => failure(error),
    }
}
