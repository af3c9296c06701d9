//! Connections that only read: one per thread and store, and the threads that take over reads that turn out long.

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;

use super::budget::Budget;
use super::open;
use crate::StoreError;

/// How many strides a read may take on the caller's thread: 0.7 to 3 ms. A page of 20 takes less than one.
const INLINE_STRIDES: i64 = 150;

/// How long a read may take on a thread of its own.
pub(crate) const LONGEST: Duration = Duration::from_secs(5);

/// So many long reads may wait; more are refused, since they would not be answered in time anyway.
const WAITING: usize = 256;

/// A connection that only reads, under a budget.
pub(crate) struct Reader {
    connection: Connection,
    budget: Arc<Budget>,
}

impl Reader {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = open::read_connection(path).map_err(super::failure)?;
        let budget = Budget::of(&mut connection).map_err(super::failure)?;
        Ok(Self { connection, budget })
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// What it may spend.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }
}

// Which store a thread's connection belongs to; the weak pointer tells when that store is gone.
struct Kept {
    alive: Weak<()>,
    reader: Reader,
}

thread_local! {
    static READERS: RefCell<Vec<Kept>> = const { RefCell::new(vec![]) };
}

/// Reads on the calling thread.
pub(crate) struct Inline {
    path: PathBuf,
    alive: Arc<()>,
}

impl Inline {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            alive: Arc::new(()),
        }
    }

    /// Runs a read whose length depends on data: interrupted when it has used up the budget of a short one.
    pub fn short<T>(
        &self,
        run: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.run(INLINE_STRIDES, run)
    }

    /// Runs a look-up whose length the program knows.
    pub fn look_up<T>(
        &self,
        run: impl FnOnce(&Connection) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        self.run(i64::MAX, |reader| run(reader.connection()))
    }

    fn run<T>(
        &self,
        strides: i64,
        run: impl FnOnce(&Reader) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Taken out while it is used, so that a sink that reads again gets another one.
        let kept = READERS.with(|readers| {
            let mut readers = readers.borrow_mut();
            let place = readers
                .iter()
                .position(|kept| kept.alive.as_ptr() == Arc::as_ptr(&self.alive))?;
            Some(readers.swap_remove(place))
        });
        let kept = match kept {
            Some(kept) => kept,
            None => Kept {
                alive: Arc::downgrade(&self.alive),
                reader: Reader::open(&self.path)?,
            },
        };
        kept.reader.budget.set(strides, None);
        let result = run(&kept.reader);
        READERS.with(|readers| {
            let mut readers = readers.borrow_mut();
            readers.retain(|kept| kept.alive.strong_count() > 0);
            // One that could not end its transaction would go on seeing the database as it was then.
            if kept.reader.connection.is_autocommit() {
                readers.push(kept);
            }
        });
        result
    }
}

type Job = Box<dyn FnOnce(Result<&Reader, StoreError>) + Send>;

/// Threads for reads that are too long for the caller's own.
pub(crate) struct LongReads {
    jobs: Option<SyncSender<Job>>,
    longest: Duration,
    threads: Vec<JoinHandle<()>>,
}

impl LongReads {
    pub fn start(path: &Path, threads: usize, longest: Duration) -> std::io::Result<Self> {
        let (jobs, received) = sync_channel::<Job>(WAITING);
        let received = Arc::new(Mutex::new(received));
        let threads = (0..threads.max(1))
            .map(|number| {
                let (path, received) = (path.to_owned(), Arc::clone(&received));
                std::thread::Builder::new()
                    .name(format!("portreeve-read-{number}"))
                    .spawn(move || serve(&path, &received))
            })
            .collect::<std::io::Result<_>>()?;
        Ok(Self {
            jobs: Some(jobs),
            longest,
            threads,
        })
    }

    /// Runs a read that may be long.
    pub async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let longest = self.longest;
        let job: Job = Box::new(move |reader| {
            let result = reader.and_then(|reader| {
                reader.budget.set(0, Some(longest));
                // The thread is everybody's, a panic only of whoever asked.
                let done = catch_unwind(AssertUnwindSafe(|| run(reader)));
                done.unwrap_or_else(|_| Err(StoreError::Internal("a read panicked".into())))
            });
            // Who asked may have gone.
            let _ = reply.send(result);
        });
        let jobs = self.jobs.as_ref().ok_or(StoreError::Closed)?;
        jobs.try_send(job).map_err(|error| match error {
            TrySendError::Full(_) => StoreError::Busy,
            TrySendError::Disconnected(_) => StoreError::Closed,
        })?;
        answer.await.map_err(|_| StoreError::Closed)?
    }
}

impl Drop for LongReads {
    fn drop(&mut self) {
        self.jobs = None;
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn serve(path: &Path, received: &Mutex<Receiver<Job>>) {
    let mut reader = None;
    loop {
        let job = received
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .recv();
        let Ok(job) = job else { return };
        // Opened when first needed: most stores never read anything long.
        if reader.is_none() {
            match Reader::open(path) {
                Ok(opened) => reader = Some(opened),
                Err(error) => {
                    job(Err(error));
                    continue;
                }
            }
        }
        if let Some(reader) = &reader {
            job(Ok(reader));
        }
        // One that could not end its transaction would go on seeing the database as it was then.
        reader = reader.filter(|reader| reader.connection.is_autocommit());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Counts to this number, a few instructions each.
    fn count(connection: &Connection, to: i64) -> Result<i64, StoreError> {
        let sql = "WITH RECURSIVE c (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c WHERE x < ?1) SELECT count(*) FROM c";
        connection
            .query_row(sql, [to], |row| row.get(0))
            .map_err(crate::sqlite::failure)
    }

    fn database() -> (PathBuf, Connection) {
        let path = std::env::temp_dir().join(format!("portreeve-budget-{}.db", std::process::id()));
        let connection = Connection::open(&path).expect("a database");
        connection
            .execute_batch("PRAGMA journal_mode = WAL; CREATE TABLE IF NOT EXISTS t (a)")
            .expect("a table");
        (path, connection)
    }

    #[tokio::test]
    async fn what_is_long_is_interrupted_and_what_is_longer_given_up() {
        let (path, connection) = database();
        let inline = Inline::new(path.clone());
        assert_eq!(
            inline
                .short(|reader| count(reader.connection(), 100))
                .expect("short"),
            100
        );
        for _ in 0..3 {
            let long = inline.short(|reader| count(reader.connection(), 1_000_000));
            assert!(matches!(long, Err(StoreError::TooSlow)), "{long:?}");
            // The budget is each read's own, and a look-up has none.
            assert_eq!(
                inline
                    .short(|reader| count(reader.connection(), 100))
                    .expect("short"),
                100
            );
            assert_eq!(
                inline
                    .look_up(|connection| count(connection, 100_000))
                    .expect("any"),
                100_000
            );
        }
        let long = LongReads::start(&path, 1, Duration::from_millis(100)).expect("a thread");
        assert_eq!(
            long.run(|reader| count(reader.connection(), 50_000))
                .await
                .expect("in time"),
            50_000
        );
        let longer = long
            .run(|reader| count(reader.connection(), i64::MAX))
            .await;
        assert!(matches!(longer, Err(StoreError::TooSlow)), "{longer:?}");
        drop((inline, long, connection));
        let _ = std::fs::remove_file(path);
    }

    #[tokio::test]
    async fn a_panic_is_of_whoever_panics() {
        let (path, _connection) = database();
        let long = LongReads::start(&path, 1, Duration::from_secs(60)).expect("a thread");
        let panics = |reader: &Reader| -> Result<i64, StoreError> {
            let begun = reader.connection().execute_batch("BEGIN; SELECT * FROM t");
            begun.map_err(crate::sqlite::failure)?;
            panic!("on purpose")
        };
        let answer = long.run(panics).await;
        assert!(matches!(answer, Err(StoreError::Internal(_))), "{answer:?}");
        let after = long.run(|reader| {
            assert!(reader.connection().is_autocommit());
            count(reader.connection(), 5)
        });
        assert_eq!(after.await.expect("another reader"), 5);
    }

    #[test]
    fn connections_of_closed_stores_are_given_up() {
        let (path, _connection) = database();
        let first = Inline::new(path.clone());
        first
            .look_up(|connection| count(connection, 1))
            .expect("read");
        // While one is in use, a second read on the same thread gets another connection.
        let nested = first.look_up(|_| first.look_up(|connection| count(connection, 2)));
        assert_eq!(nested.expect("read"), 2);
        drop(first);
        let second = Inline::new(path);
        second
            .look_up(|connection| count(connection, 1))
            .expect("read");
        assert_eq!(READERS.with(|readers| readers.borrow().len()), 1);
    }
}
