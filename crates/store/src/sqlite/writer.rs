//! The one thread that writes. Tasks that wait together are committed together: a commit costs a wait for the disk,
//! and one wait serves them all.

use std::cell::{Cell, RefCell};
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

/// So many groups get savepoints from the start after one that had something to undo: who is refused once is often
/// refused again.
const CAREFUL: usize = 64;

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
    undoing: Undoing,
    // What can only be undone together with everybody else's work.
    spoiled: Cell<bool>,
}

/// How a task undoes what it has done. A savepoint costs as much as an insert (measured: 2.7 of 5 us), and most tasks
/// never undo anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Undoing {
    /// Nobody else is in the transaction, so the transaction itself is undone.
    Transaction,
    /// It is not expected; if it happens, all of the group is undone and done again with savepoints.
    Unexpected,
    /// Each task has a savepoint.
    Savepoints,
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
    fn get(&self, key: &StatementKey, make: impl FnOnce() -> Fragment) -> Rc<Fragment> {
        let mut known = self.0.borrow_mut();
        if let Some(fragment) = known.get(key) {
            return Rc::clone(fragment);
        }
        if known.len() >= STATEMENTS {
            known.clear();
        }
        let fragment = Rc::new(make());
        known.insert(key.clone(), Rc::clone(&fragment));
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
    pub fn statement(&self, key: &StatementKey, make: impl FnOnce() -> Fragment) -> Rc<Fragment> {
        self.statements.get(key, make)
    }

    /// Runs what may have to be undone. `undo` undoes it within `run`, for another attempt; an error undoes it too.
    pub fn undoable<T>(
        &self,
        run: impl FnOnce(&Undo<'_>) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        let undo = Undo { writing: self };
        let savepoints = self.undoing == Undoing::Savepoints;
        if savepoints {
            execute(self.connection, "SAVEPOINT task").map_err(failure)?;
        }
        let result = run(&undo);
        if result.is_err() {
            undo.now()?;
        }
        if savepoints {
            execute(self.connection, "RELEASE task").map_err(failure)?;
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
        match self.writing.undoing {
            Undoing::Savepoints => execute(connection, "ROLLBACK TO task").map_err(failure),
            Undoing::Unexpected => {
                self.writing.spoiled.set(true);
                // Nobody gets to see this: the task is run again.
                Err(StoreError::Busy)
            }
            Undoing::Transaction => {
                // Some errors end the transaction by themselves.
                if !connection.is_autocommit() {
                    execute(connection, "ROLLBACK").map_err(failure)?;
                }
                execute(connection, "BEGIN IMMEDIATE").map_err(failure)
            }
        }
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(drop)
}

/// Something to be done in a transaction, perhaps more than once until it is committed.
trait Work: Send {
    fn run(&mut self, writing: Result<&Writing<'_>, &rusqlite::Error>);
    fn finish(self: Box<Self>, not_committed: Option<&rusqlite::Error>, shared: &Shared);
}

struct Job<T, R, F> {
    run: R,
    then: F,
    result: Option<Result<T, StoreError>>,
    reply: oneshot::Sender<Result<T, StoreError>>,
}

impl<T, R, F> Work for Job<T, R, F>
where
    T: Send,
    R: FnMut(&Writing<'_>) -> Result<T, StoreError> + Send,
    F: FnOnce(&T, &Shared) + Send,
{
    fn run(&mut self, writing: Result<&Writing<'_>, &rusqlite::Error>) {
        self.result = Some(
            writing
                .map_err(super::commit_failure)
                .and_then(&mut self.run),
        );
    }

    fn finish(self: Box<Self>, not_committed: Option<&rusqlite::Error>, shared: &Shared) {
        let result = match (self.result, not_committed) {
            (Some(Ok(value)), None) => {
                (self.then)(&value, shared);
                Ok(value)
            }
            (Some(Err(error)), _) => Err(error),
            (_, Some(error)) => Err(super::commit_failure(error)),
            (None, None) => Err(StoreError::Closed),
        };
        // Who asked may have gone.
        let _ = self.reply.send(result);
    }
}

struct Task {
    turn: Turn,
    work: Box<dyn Work>,
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
        run: impl FnMut(&Writing<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write_then(turn, run, |_, _| {}).await
    }

    /// The same; `then` makes known what has been committed, before anybody else's turn and before the answer.
    pub async fn write_then<T: Send + 'static>(
        &self,
        turn: Turn,
        run: impl FnMut(&Writing<'_>) -> Result<T, StoreError> + Send + 'static,
        then: impl FnOnce(&T, &Shared) + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let work = Box::new(Job {
            run,
            then,
            result: None,
            reply,
        });
        let tasks = self.tasks.as_ref().ok_or(StoreError::Closed)?;
        tasks
            .send(Task { turn, work })
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
    // So many groups get savepoints from the start, after one had something to undo.
    let mut careful = 0_usize;
    loop {
        let Some(first) = put_off.take().or_else(|| received.blocking_recv()) else {
            return;
        };
        let turn = first.turn;
        let mut group = vec![first.work];
        while turn == Turn::Shared && group.len() < GROUP {
            match received.try_recv() {
                Ok(task) if task.turn == Turn::Shared => group.push(task.work),
                Ok(task) => {
                    put_off = Some(task);
                    break;
                }
                Err(_) => break,
            }
        }
        let undoing = match (group.len(), careful) {
            (1, _) => Undoing::Transaction,
            (_, 0) => Undoing::Unexpected,
            _ => Undoing::Savepoints,
        };
        careful = careful.saturating_sub(1);
        let spoiled = Cell::new(false);
        let mut writing = Writing {
            connection,
            shared,
            clock,
            entropy,
            statements: &statements,
            undoing,
            spoiled,
        };
        if turn == Turn::Schema {
            switch_foreign_keys(connection, false);
        }
        let mut committed = run_group(&writing, &mut group);
        if writing.spoiled.take() {
            careful = CAREFUL;
            writing.undoing = Undoing::Savepoints;
            committed = run_group(&writing, &mut group);
        }
        if turn == Turn::Schema {
            switch_foreign_keys(connection, true);
        }
        if let Err(error) = &committed {
            tracing::error!(%error, "a group of {} writes was not committed", group.len());
        }
        for work in group {
            work.finish(committed.as_ref().err(), shared);
        }
        if turn != Turn::Shared {
            // Statements were made from another catalog.
            statements.0.borrow_mut().clear();
        }
    }
}

fn switch_foreign_keys(connection: &Connection, on: bool) {
    if let Err(error) = connection.pragma_update(None, "foreign_keys", on) {
        tracing::error!(%error, "foreign keys could not be switched");
    }
}

// One transaction for all of them. Nothing is committed where it fails, or where the group is spoiled.
fn run_group(writing: &Writing<'_>, group: &mut [Box<dyn Work>]) -> rusqlite::Result<()> {
    let connection = writing.connection;
    let mut broken = execute(connection, "BEGIN IMMEDIATE").err();
    for work in group {
        // A full disk and its like end the transaction with everything in it; outside one nothing may run.
        if broken.is_none() && connection.is_autocommit() {
            broken = Some(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT),
                Some("the transaction has ended by itself".into()),
            ));
        }
        work.run(broken.as_ref().map_or(Ok(writing), Err));
        if writing.spoiled.get() {
            break;
        }
    }
    let committed = match broken {
        Some(error) => Err(error),
        None if writing.spoiled.get() => Ok(()),
        None => execute(connection, "COMMIT"),
    };
    if !connection.is_autocommit()
        && let Err(error) = execute(connection, "ROLLBACK")
    {
        // Nothing better can be done than to try; the next BEGIN fails, and with it the next group.
        tracing::error!(%error, "a transaction could not be undone");
    }
    committed
}
