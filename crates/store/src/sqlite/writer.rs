//! The one thread that writes. Tasks that wait together are committed together: a commit costs a wait for the disk,
//! and one wait serves them all.

use std::cell::Cell;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use portreeve_model::{Clock, Entropy};
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::budget::Budget;
use super::capture::Capture;
use super::failure;
use super::reader::LONGEST;
use crate::StoreError;
use crate::feed::Ring;
use crate::work::Statements;

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
    /// What the writer knows before its first task.
    pub fn load(connection: &Connection) -> rusqlite::Result<Self> {
        let shared = Self::default();
        let version: i64 =
            connection.query_row("SELECT version FROM portreeve_policy", [], |row| row.get(0))?;
        shared.set_version(u64::try_from(version).unwrap_or(0));
        let mut statement = connection.prepare("SELECT \"user\", epoch FROM portreeve_epochs")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (user, epoch): (String, i64) = (row.get(0)?, row.get(1)?);
            shared.set_epoch(&user, u64::try_from(epoch).unwrap_or(0));
        }
        Ok(shared)
    }

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
    pub capture: &'a Capture,
    pub statements: &'a Statements,
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

impl Writing<'_> {
    pub(super) fn mark(&self) -> Result<(), StoreError> {
        if self.undoing == Undoing::Savepoints {
            execute(self.connection, "SAVEPOINT task").map_err(failure)?;
        }
        Ok(())
    }

    pub(super) fn undo(&self) -> Result<(), StoreError> {
        match self.undoing {
            Undoing::Savepoints => execute(self.connection, "ROLLBACK TO task").map_err(failure),
            Undoing::Unexpected => {
                self.spoiled.set(true);
                // Nobody gets to see this: the task is run again.
                Err(StoreError::Busy)
            }
            Undoing::Transaction => {
                // Some errors end the transaction by themselves.
                if !self.connection.is_autocommit() {
                    execute(self.connection, "ROLLBACK").map_err(failure)?;
                }
                execute(self.connection, "BEGIN IMMEDIATE").map_err(failure)
            }
        }
    }

    pub(super) fn release(&self) -> Result<(), StoreError> {
        if self.undoing == Undoing::Savepoints {
            execute(self.connection, "RELEASE task").map_err(failure)?;
        }
        Ok(())
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.raw_execute().map(drop)
}

/// Something to be done in a transaction, perhaps more than once until it is committed.
trait Work: Send {
    fn run(&mut self, writing: &Writing<'_>);
    /// Says that the run has ended by a panic, with nothing to answer.
    fn broke(&mut self);
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
    fn run(&mut self, writing: &Writing<'_>) {
        self.result = Some((self.run)(writing));
    }

    fn broke(&mut self) {
        self.result = Some(Err(StoreError::Internal("a write panicked".into())));
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
        mut connection: Connection,
        shared: Arc<Shared>,
        clock: Arc<dyn Clock>,
        entropy: Arc<dyn Entropy>,
        ring: Arc<Ring>,
    ) -> std::io::Result<Self> {
        let (tasks, received) = mpsc::channel(WAITING);
        let budget = Budget::of(&mut connection).map_err(std::io::Error::other)?;
        let capture = Capture::on(&connection, ring).map_err(std::io::Error::other)?;
        let thread = std::thread::Builder::new()
            .name("portreeve-write".into())
            .spawn(move || {
                let tools = Tools {
                    connection: &connection,
                    budget: &budget,
                    capture: &capture,
                    clock: &*clock,
                    entropy: &*entropy,
                };
                serve(&tools, received, &shared);
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

// What the thread has.
struct Tools<'a> {
    connection: &'a Connection,
    budget: &'a Budget,
    capture: &'a Capture,
    clock: &'a dyn Clock,
    entropy: &'a dyn Entropy,
}

fn serve(tools: &Tools<'_>, mut received: mpsc::Receiver<Task>, shared: &Shared) {
    let Tools {
        connection,
        budget,
        capture,
        clock,
        entropy,
    } = *tools;
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
            capture,
            statements: &statements,
            undoing,
            spoiled,
        };
        if turn == Turn::Schema {
            switch_foreign_keys(connection, false);
        }
        // Rules are asked of what is written, and a rule that is never done must not hold up everybody.
        let longest = (turn == Turn::Shared).then_some(LONGEST);
        let mut ended = run_group(&writing, budget, longest, &mut group);
        if let Ended::Spoiled = ended {
            careful = CAREFUL;
            writing.spoiled.set(false);
            writing.undoing = Undoing::Savepoints;
            ended = run_group(&writing, budget, longest, &mut group);
        }
        let mut answers: Vec<Ended> = vec![];
        if ended.by_one() && group.len() > 1 {
            // One of them has taken the whole transaction with it; nobody else shall suffer for that.
            writing.undoing = Undoing::Transaction;
            for work in &mut group {
                answers.push(run_group(
                    &writing,
                    budget,
                    longest,
                    std::slice::from_mut(work),
                ));
            }
        }
        if turn == Turn::Schema {
            switch_foreign_keys(connection, true);
        }
        for (place, work) in group.into_iter().enumerate() {
            let failure = answers.get(place).unwrap_or(&ended).failure();
            let finish = AssertUnwindSafe(|| work.finish(failure.as_ref(), shared));
            // The hook has told of it, and the answer is lost; the thread is everybody's.
            let _ = catch_unwind(finish);
        }
        if turn == Turn::Schema {
            // Statements were made from another catalog.
            statements.clear();
        }
        if capture.is_idle() {
            capture.rest(connection);
        }
    }
}

fn switch_foreign_keys(connection: &Connection, on: bool) {
    if let Err(error) = connection.pragma_update(None, "foreign_keys", on) {
        tracing::error!(%error, "foreign keys could not be switched");
    }
}

/// How a group's transaction has ended.
enum Ended {
    Committed,
    /// Nothing is committed: it could not be begun, or not be committed.
    Failed(rusqlite::Error),
    /// Nothing is committed: somebody has to undo what only all together can.
    Spoiled,
    /// Nothing is committed: a full disk, an interruption, a panic and their like end the transaction with everything in
    /// it.
    Lost,
}

impl Ended {
    // Whether it is the doing of some of those in the transaction, and not of all of them.
    fn by_one(&self) -> bool {
        match self {
            Self::Lost => true,
            // What is checked at the end, as a foreign key of somebody else's table may be.
            Self::Failed(error) => is_constraint(error),
            Self::Committed | Self::Spoiled => false,
        }
    }

    fn failure(&self) -> Option<rusqlite::Error> {
        let aborted = |why: &str| {
            let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT);
            Some(rusqlite::Error::SqliteFailure(code, Some(why.into())))
        };
        match self {
            Self::Committed => None,
            Self::Failed(rusqlite::Error::SqliteFailure(code, message)) => {
                Some(rusqlite::Error::SqliteFailure(*code, message.clone()))
            }
            Self::Failed(error) => aborted(&error.to_string()),
            Self::Spoiled | Self::Lost => aborted("the transaction has ended by itself"),
        }
    }
}

fn is_constraint(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::ConstraintViolation)
}

// One transaction for all of them.
fn run_group(
    writing: &Writing<'_>,
    budget: &Budget,
    longest: Option<Duration>,
    group: &mut [Box<dyn Work>],
) -> Ended {
    let connection = writing.connection;
    let give_up = |ended: Ended| {
        if !connection.is_autocommit()
            && let Err(error) = execute(connection, "ROLLBACK")
        {
            // Nothing better can be done than to try; the next BEGIN fails, and with it the next group.
            tracing::error!(%error, "a transaction could not be undone");
        }
        ended
    };
    let failed = |error: rusqlite::Error, group: usize| {
        if is_constraint(&error) {
            tracing::debug!(%error, "a group of {group} writes breaks a constraint at its end");
        } else {
            tracing::error!(%error, "a group of {group} writes was not committed");
        }
        give_up(Ended::Failed(error))
    };
    budget.set(i64::MAX, None);
    writing.capture.begin();
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        return failed(error, group.len());
    }
    for work in group.iter_mut() {
        match longest {
            Some(longest) => budget.set(0, Some(longest)),
            None => budget.set(i64::MAX, None),
        }
        writing.capture.next_task();
        if catch_unwind(AssertUnwindSafe(|| work.run(writing))).is_err() {
            // What it has done on the way goes with the transaction.
            work.broke();
            return give_up(Ended::Lost);
        }
        if writing.spoiled.get() {
            return give_up(Ended::Spoiled);
        }
        // Outside a transaction nothing more may run.
        if connection.is_autocommit() {
            return Ended::Lost;
        }
    }
    budget.set(i64::MAX, None);
    let collected = match writing.capture.collect(connection, writing.clock) {
        Ok(collected) => collected,
        Err(error) => return failed(error, group.len()),
    };
    match execute(connection, "COMMIT") {
        Ok(()) => {
            writing.capture.publish(collected);
            Ended::Committed
        }
        Err(error) => failed(error, group.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;
    use crate::FeedLimits;
    use crate::work::{Transaction, finish, ready};

    struct Still;

    impl Clock for Still {
        fn now(&self) -> i64 {
            0
        }
    }

    impl Entropy for Still {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(7);
        }
    }

    fn writer() -> Arc<Writer> {
        let connection = Connection::open_in_memory().expect("a database");
        connection
            .execute_batch("CREATE TABLE t (a INTEGER NOT NULL UNIQUE) STRICT")
            .expect("a table");
        let ring = Arc::new(Ring::new(FeedLimits::default()));
        let writer = Writer::start(
            connection,
            Arc::default(),
            Arc::new(Still),
            Arc::new(Still),
            ring,
        );
        Arc::new(writer.expect("a thread"))
    }

    fn insert(writing: &Writing<'_>, number: i64) -> Result<i64, StoreError> {
        writing
            .connection
            .execute("INSERT INTO t VALUES (?1)", [number])
            .map_err(failure)?;
        Ok(number)
    }

    type Run = Box<dyn FnMut(&Writing<'_>) -> Result<i64, StoreError> + Send>;

    // Everything that is given to it waits until all of it is there, and so is one group.
    async fn together(writer: &Arc<Writer>, runs: Vec<Run>) -> Vec<Result<i64, StoreError>> {
        let (go, wait) = std::sync::mpsc::channel::<()>();
        let first = Arc::clone(writer);
        let first = tokio::spawn(async move {
            first
                .write(Turn::Alone, move |_| {
                    let _ = wait.recv();
                    Ok(())
                })
                .await
        });
        let tasks: Vec<_> = runs
            .into_iter()
            .map(|run| {
                let writer = Arc::clone(writer);
                tokio::spawn(async move { writer.write(Turn::Shared, run).await })
            })
            .collect();
        // On one thread: all of them have sent their task by then.
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
        go.send(()).expect("the first is waiting");
        first.await.expect("whole").expect("done");
        let mut answers = vec![];
        for task in tasks {
            answers.push(task.await.expect("whole"));
        }
        answers
    }

    async fn rows(writer: &Writer) -> Vec<i64> {
        let all = |writing: &Writing<'_>| {
            let mut statement = writing
                .connection
                .prepare("SELECT a FROM t ORDER BY a")
                .map_err(failure)?;
            let rows = statement.query_map([], |row| row.get(0)).map_err(failure)?;
            rows.collect::<rusqlite::Result<Vec<i64>>>()
                .map_err(failure)
        };
        writer.write(Turn::Shared, all).await.expect("read")
    }

    #[tokio::test]
    async fn who_is_undone_in_a_group_takes_nobody_along() {
        let writer = writer();
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let answers = together(
            &writer,
            vec![
                Box::new(move |writing| {
                    counted.fetch_add(1, Ordering::Relaxed);
                    insert(writing, 1)
                }),
                Box::new(|writing| {
                    ready(async {
                        Transaction::mark(writing).await?;
                        insert(writing, 2)?;
                        Transaction::undo(writing).await?;
                        let result = insert(writing, 3);
                        finish(writing, result).await
                    })
                }),
                Box::new(|writing| {
                    ready(async {
                        Transaction::mark(writing).await?;
                        let result = insert(writing, 4).and(Err(StoreError::Check));
                        finish(writing, result).await
                    })
                }),
                Box::new(|writing| insert(writing, 1)),
                Box::new(|writing| insert(writing, 5)),
            ],
        )
        .await;
        assert!(matches!(
            &answers[..],
            [
                Ok(1),
                Ok(3),
                Err(StoreError::Check),
                Err(StoreError::Unique { .. }),
                Ok(5)
            ]
        ));
        assert_eq!(rows(&writer).await, [1, 3, 5]);
        // Once in hope, once with savepoints.
        assert_eq!(runs.load(Ordering::Relaxed), 2);
    }

    #[tokio::test]
    async fn who_ends_the_transaction_takes_nobody_along() {
        let writer = writer();
        let answers = together(
            &writer,
            vec![
                Box::new(|writing| insert(writing, 1)),
                Box::new(|writing| {
                    insert(writing, 2)?;
                    writing
                        .connection
                        .execute_batch("ROLLBACK")
                        .map_err(failure)?;
                    Err(StoreError::Full)
                }),
                Box::new(|writing| insert(writing, 3)),
            ],
        )
        .await;
        assert!(
            matches!(&answers[..], [Ok(1), Err(StoreError::Full), Ok(3)]),
            "{answers:?}"
        );
        assert_eq!(rows(&writer).await, [1, 3]);
    }

    #[tokio::test]
    async fn a_commit_that_fails_fails_whoever_is_the_cause() {
        let writer = writer();
        writer
            .write(Turn::Alone, |writing| {
                let sql = "CREATE TABLE u (a REFERENCES t (a) DEFERRABLE INITIALLY DEFERRED)";
                writing.connection.execute_batch(sql).map_err(failure)
            })
            .await
            .expect("made");
        let answers = together(
            &writer,
            vec![
                Box::new(|writing| insert(writing, 1)),
                Box::new(|writing| {
                    writing
                        .connection
                        .execute("INSERT INTO u VALUES (77)", [])
                        .map_err(failure)?;
                    Ok(2)
                }),
                Box::new(|_| Err(StoreError::Check)),
                Box::new(|writing| insert(writing, 3)),
            ],
        )
        .await;
        assert!(
            matches!(
                &answers[..],
                [
                    Ok(1),
                    Err(StoreError::ForeignKey),
                    Err(StoreError::Check),
                    Ok(3)
                ]
            ),
            "{answers:?}"
        );
        assert_eq!(rows(&writer).await, [1, 3]);
        assert!(matches!(
            writer
                .write(Turn::Shared, |writing| insert(writing, 9))
                .await,
            Ok(9)
        ));
    }

    #[tokio::test]
    async fn a_panic_is_of_whoever_panics() {
        let writer = writer();
        let panics = |writing: &Writing<'_>| -> Result<i64, StoreError> {
            ready(async {
                Transaction::mark(writing).await?;
                insert(writing, 2)
            })?;
            panic!("on purpose")
        };
        let answers = together(
            &writer,
            vec![
                Box::new(|writing| insert(writing, 1)),
                Box::new(panics),
                Box::new(|writing| insert(writing, 3)),
            ],
        )
        .await;
        assert!(
            matches!(&answers[..], [Ok(1), Err(StoreError::Internal(_)), Ok(3)]),
            "{answers:?}"
        );
        for turn in [Turn::Alone, Turn::Schema] {
            let alone = writer.write(turn, panics).await;
            assert!(matches!(alone, Err(StoreError::Internal(_))), "{alone:?}");
        }
        let told = writer
            .write_then(Turn::Shared, |_| Ok(()), |(), _| panic!("on purpose"))
            .await;
        assert!(matches!(told, Err(StoreError::Closed)), "{told:?}");
        assert_eq!(rows(&writer).await, [1, 3]);
    }

    #[tokio::test]
    async fn what_was_committed_is_known_before_the_next_turn() {
        let writer = writer();
        let then = |_: &(), shared: &Shared| shared.set_epoch("anna", 4);
        let (first, second) = tokio::join!(
            writer.write_then(Turn::Alone, |_| Ok(()), then),
            writer.write(Turn::Shared, |writing| Ok(writing.shared.epoch("anna"))),
        );
        first.expect("done");
        assert_eq!(second.expect("done"), 4);
    }
}
