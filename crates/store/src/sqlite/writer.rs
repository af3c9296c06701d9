//! The one thread that writes. Tasks that wait together are committed together: a commit costs a wait for the disk,
//! and one wait serves them all.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;

use portreeve_gate::{Authorized, Principal};
use portreeve_model::{Clock, Entropy, FieldId};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::failure;
use crate::StoreError;
use crate::sql::fragment::Fragment;

/// So many tasks at most share a commit.
const GROUP: usize = 256;

/// So many tasks may wait; more wait for their place.
const WAITING: usize = 1_024;

/// What readers and the writer both know, always as committed.
#[derive(Default)]
pub(crate) struct Shared {
    version: AtomicU64,
    epochs: RwLock<HashMap<Arc<str>, u64>>,
    revocations: AtomicU64,
}

impl Shared {
    /// The policy version in force.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub fn set_version(&self, version: u64) {
        self.version.store(version, Ordering::Release);
    }

    /// A user's epoch; 0 until something of his changes.
    pub fn epoch(&self, user: &str) -> u64 {
        self.epochs
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(user)
            .copied()
            .unwrap_or(0)
    }

    pub fn set_epoch(&self, user: &str, epoch: u64) {
        self.epochs
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(Arc::from(user), epoch);
    }

    /// Grows whenever what was remembered about sessions and accounts may be wrong.
    pub fn revocations(&self) -> u64 {
        self.revocations.load(Ordering::Acquire)
    }

    pub fn revoke(&self) {
        self.revocations.fetch_add(1, Ordering::AcqRel);
    }
}

/// What a task works with, inside an open transaction.
pub(crate) struct Writing<'a> {
    pub connection: &'a Connection,
    pub shared: &'a Shared,
    pub clock: &'a dyn Clock,
    pub entropy: &'a dyn Entropy,
    statements: &'a Statements,
    // Whether nobody else is in this transaction: then the transaction itself can be undone, without a savepoint.
    sole: bool,
}

/// Statements of writes, by template and the fields an attempt names. Emptied when full.
#[derive(Default)]
pub(crate) struct Statements(RefCell<HashMap<StatementKey, Rc<Fragment>>>);

/// Which statement of which template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StatementKey {
    pub template: u64,
    pub part: Part,
    pub fields: Vec<FieldId>,
}

/// A template's statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Write,
    Before,
    After,
    Link,
}

const STATEMENTS: usize = 1_024;

impl Statements {
    fn get(&self, key: StatementKey, make: impl FnOnce() -> Fragment) -> Rc<Fragment> {
        let mut known = self.0.borrow_mut();
        if let Some(fragment) = known.get(&key) {
            return Rc::clone(fragment);
        }
        if known.len() >= STATEMENTS {
            known.clear();
        }
        let fragment = Rc::new(make());
        known.insert(key, Rc::clone(&fragment));
        fragment
    }
}

impl Writing<'_> {
    /// Refuses what was authorized under other rights than those in force.
    pub fn check_versions<O>(&self, authorized: &Authorized<O>) -> Result<(), StoreError> {
        let same_epoch = match authorized.principal() {
            Principal::User(user) => self.shared.epoch(user) == authorized.epoch(),
            Principal::Anonymous | Principal::Operator => true,
        };
        if same_epoch && authorized.snapshot().version() == self.shared.version() {
            Ok(())
        } else {
            Err(StoreError::VersionChanged)
        }
    }

    /// A statement of a write template.
    pub fn statement(&self, key: StatementKey, make: impl FnOnce() -> Fragment) -> Rc<Fragment> {
        self.statements.get(key, make)
    }

    /// Runs what may have to be undone. `undo` undoes it within `run`, for another attempt; an error undoes it too.
    pub fn undoable<T>(
        &self,
        run: impl FnOnce(&Undo<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let undo = Undo { writing: self };
        if !self.sole {
            self.connection
                .prepare_cached("SAVEPOINT task")
                .and_then(|mut sql| sql.execute([]))
                .map_err(failure)?;
        }
        let result = run(&undo);
        if result.is_err() {
            undo.now()?;
        }
        if !self.sole {
            self.connection
                .prepare_cached("RELEASE task")
                .and_then(|mut sql| sql.execute([]))
                .map_err(failure)?;
        }
        result
    }
}

/// Undoes what a task has done so far.
pub(crate) struct Undo<'a> {
    writing: &'a Writing<'a>,
}

impl Undo<'_> {
    pub fn now(&self) -> Result<(), StoreError> {
        let connection = self.writing.connection;
        if !self.writing.sole {
            let mut sql = connection
                .prepare_cached("ROLLBACK TO task")
                .map_err(failure)?;
            return sql.execute([]).map(drop).map_err(failure);
        }
        // Some errors end the transaction by themselves.
        if !connection.is_autocommit() {
            connection.execute_batch("ROLLBACK").map_err(failure)?;
        }
        connection.execute_batch("BEGIN IMMEDIATE").map_err(failure)
    }
}

type Finish = Box<dyn FnOnce(Option<&rusqlite::Error>, &Shared) + Send>;
type Run = Box<dyn FnOnce(Result<&Writing<'_>, &rusqlite::Error>) -> Finish + Send>;

struct Task {
    turn: Turn,
    run: Run,
}

/// With whom a task shares its transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// With whoever waits too.
    Shared,
    /// With nobody: it changes what others are checked against.
    Alone,
    /// With nobody, and with foreign keys off while it runs, since it replaces tables; they are checked before the end.
    Schema,
}

/// The way to the writing thread.
pub(crate) struct Writer {
    tasks: Option<mpsc::Sender<Task>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub fn start(
        connection: Connection,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
    ) -> std::io::Result<Self> {
        let (tasks, received) = mpsc::channel(WAITING);
        let thread = std::thread::Builder::new()
            .name("portreeve-write".into())
            .spawn(move || {
                serve(&connection, received, &shared, &*clock, &*entropy);
                // Leaves a file without a log beside it; a failure costs nothing but that.
                let _ = connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
            })?;
        Ok(Self {
            tasks: Some(tasks),
            thread: Some(thread),
        })
    }

    /// Has `run` run inside a transaction; what it gives comes back once that is committed.
    pub async fn write<T: Send + 'static>(
        &self,
        turn: Turn,
        run: impl FnOnce(&Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_then(turn, run, |_, _| {}).await
    }

    /// The same; `then` makes known what has been committed, before anybody else's turn and before the answer.
    pub async fn write_then<T: Send + 'static>(
        &self,
        turn: Turn,
        run: impl FnOnce(&Writing<'_>) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(&T, &Shared) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let run: Run = Box::new(move |writing| {
            let result = writing.map_err(super::commit_failure).and_then(run);
            Box::new(move |not_committed, shared| {
                let result = match (result, not_committed) {
                    (Ok(value), None) => {
                        then(&value, shared);
                        Ok(value)
                    }
                    (Ok(_), Some(error)) => Err(super::commit_failure(error)),
                    (Err(error), _) => Err(error),
                };
                // Who asked may have gone.
                let _ = reply.send(result);
            })
        });
        let tasks = self.tasks.as_ref().ok_or(StoreError::Closed)?;
        tasks
            .send(Task { turn, run })
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.tasks = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(
    connection: &Connection,
    mut received: mpsc::Receiver<Task>,
    shared: &Shared,
    clock: &dyn Clock,
    entropy: &dyn Entropy,
) {
    let statements = Statements::default();
    let mut put_off: Option<Task> = None;
    loop {
        let Some(first) = put_off.take().or_else(|| received.blocking_recv()) else {
            return;
        };
        let turn = first.turn;
        let mut group = vec![first];
        while turn == Turn::Shared && group.len() < GROUP {
            match received.try_recv() {
                Ok(task) if task.turn == Turn::Shared => group.push(task),
                Ok(task) => {
                    put_off = Some(task);
                    break;
                }
                Err(_) => break,
            }
        }
        let writing = Writing {
            connection,
            shared,
            clock,
            entropy,
            statements: &statements,
            sole: group.len() == 1,
        };
        run_group(&writing, turn, group);
        if turn != Turn::Shared {
            // Statements were made from another catalog.
            statements.0.borrow_mut().clear();
        }
    }
}

fn run_group(writing: &Writing<'_>, turn: Turn, group: Vec<Task>) {
    let connection = writing.connection;
    let begin = || {
        if turn == Turn::Schema {
            connection.execute_batch("PRAGMA foreign_keys = OFF")?;
        }
        connection
            .prepare_cached("BEGIN IMMEDIATE")
            .and_then(|mut sql| sql.execute([]))
            .map(drop)
    };
    let mut finishes = Vec::with_capacity(group.len());
    let mut broken = begin().err();
    for task in group {
        // A full disk and its like end the transaction with everything in it; outside one nothing may run.
        if broken.is_none() && connection.is_autocommit() {
            broken = Some(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
                Some("the transaction has ended by itself".into()),
            ));
        }
        finishes.push((task.run)(broken.as_ref().map_or(Ok(writing), Err)));
    }
    let committed = match broken {
        Some(error) => Err(error),
        None => connection
            .prepare_cached("COMMIT")
            .and_then(|mut sql| sql.execute([]))
            .map(drop),
    };
    if committed.is_err() && !connection.is_autocommit() {
        // Nothing better can be done than to try.
        if let Err(error) = connection.execute_batch("ROLLBACK") {
            tracing::error!(%error, "a transaction could not be undone");
        }
    }
    if turn == Turn::Schema
        && let Err(error) = connection.execute_batch("PRAGMA foreign_keys = ON")
    {
        tracing::error!(%error, "foreign keys could not be switched on again");
    }
    let error = committed.err();
    if let Some(error) = &error {
        tracing::error!(%error, "a group of {} writes was not committed", finishes.len());
    }
    for finish in finishes {
        finish(error.as_ref(), writing.shared);
    }
}
