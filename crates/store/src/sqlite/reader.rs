//! Connections that only read: one per thread and store, and the threads that take over reads that turn out long.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rusqlite::Connection;

use super::open;
use crate::StoreError;

/// So many instructions of SQLite's machine pass between two looks at the budget.
const STRIDE: i32 = 1_000;

/// How many strides a read may take on the caller's thread: about 2 ms (measured: 60 to 120 instructions a
/// microsecond; a page of 20 takes 1 to 2 strides).
const INLINE_STRIDES: i64 = 150;

/// How long a read may take on a thread of its own.
const LONGEST: Duration = Duration::from_secs(5);

/// So many long reads may wait; more are refused, since they would not be answered in time anyway.
const WAITING: usize = 256;

/// A connection that only reads, under a budget.
pub(crate) struct Reader {
    connection: Connection,
    budget: Arc<Budget>,
}

struct Budget {
    strides: AtomicI64,
    // Nanoseconds after `from`, looked at once the strides are used up; 0 is none.
    deadline: AtomicU64,
    from: Instant,
}

impl Budget {
    // Whether to go no further.
    fn spend(&self) -> bool {
        if self.strides.fetch_sub(1, Ordering::Relaxed) > 0 {
            return false;
        }
        let deadline = self.deadline.load(Ordering::Relaxed);
        deadline == 0
            || u64::try_from(self.from.elapsed().as_nanos()).unwrap_or(u64::MAX) > deadline
    }

    fn set(&self, strides: i64, time: Option<Duration>) {
        let deadline = time.map_or(0, |time| {
            u64::try_from((self.from.elapsed() + time).as_nanos()).unwrap_or(u64::MAX)
        });
        self.deadline.store(deadline, Ordering::Relaxed);
        self.strides.store(strides, Ordering::Relaxed);
    }
}

impl Reader {
    fn open(path: &Path) -> Result<Self, StoreError> {
        let mut connection = open::read_connection(path).map_err(super::failure)?;
        let budget = Arc::new(Budget {
            strides: AtomicI64::new(0),
            deadline: AtomicU64::new(0),
            from: Instant::now(),
        });
        let spent = Arc::clone(&budget);
        connection
            .progress_handler(STRIDE, Some(move || spent.spend()))
            .map_err(super::failure)?;
        Ok(Self { connection, budget })
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.connection
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
            readers.push(kept);
        });
        result
    }
}

type Job = Box<dyn FnOnce(Result<&Reader, StoreError>) + Send>;

/// Threads for reads that are too long for the caller's own.
pub(crate) struct LongReads {
    jobs: Option<SyncSender<Job>>,
    threads: Vec<JoinHandle<()>>,
}

impl LongReads {
    pub fn start(path: &Path, threads: usize) -> std::io::Result<Self> {
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
            threads,
        })
    }

    /// Runs a read that may be long.
    pub async fn run<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Reader) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let (reply, answer) = tokio::sync::oneshot::channel();
        let job: Job = Box::new(move |reader| {
            let result = reader.and_then(|reader| {
                reader.budget.set(0, Some(LONGEST));
                run(reader)
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
    }
}
