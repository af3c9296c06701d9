//! Threads of their own for what takes long on purpose: few, with a short queue, and behind everything else that wants
//! the processor.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::argon::Memory;

/// How many jobs may wait per thread.
const QUEUE_PER_THREAD: usize = 8;

/// How long a thread without work keeps its memory: in a storm it is used again and again, and else given back.
const KEPT: Duration = Duration::from_secs(1);

/// What a thread does, in its memory.
pub(super) type Job = Box<dyn FnOnce(&mut Memory) + Send>;

/// The threads; they end with this.
pub(super) struct Pool(Arc<Queue>);

/// As many wait as may.
#[derive(Debug)]
pub(super) struct Full;

struct Queue {
    waiting: Mutex<Waiting>,
    changed: Condvar,
    most: usize,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    closed: bool,
}

enum Next {
    Do(Job),
    Idle,
    Closed,
}

impl Pool {
    /// One thread for each core, since signing in should not take longer than it has to while nothing else is going on.
    pub fn start() -> Self {
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let queue = Arc::new(Queue {
            waiting: Mutex::default(),
            changed: Condvar::new(),
            most: threads * QUEUE_PER_THREAD,
        });
        for number in 0..threads {
            let queue = Arc::clone(&queue);
            let started = std::thread::Builder::new()
                .name(format!("password-{number}"))
                .spawn(move || queue.serve());
            if let Err(error) = started {
                tracing::warn!(%error, "a thread for password hashes could not be started");
            }
        }
        Self(queue)
    }

    /// Has this done, unless too many wait.
    pub fn send(&self, job: Job) -> Result<(), Full> {
        let mut waiting = self.0.lock();
        if waiting.jobs.len() >= self.0.most {
            return Err(Full);
        }
        waiting.jobs.push_back(job);
        drop(waiting);
        self.0.changed.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.0.lock().closed = true;
        self.0.changed.notify_all();
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self) {
        step_back();
        let mut memory = Memory::default();
        loop {
            match self.next(&memory) {
                Next::Do(job) => job(&mut memory),
                Next::Idle => memory = Memory::default(),
                Next::Closed => return,
            }
        }
    }

    fn next(&self, memory: &Memory) -> Next {
        let mut waiting = self.lock();
        loop {
            if let Some(job) = waiting.jobs.pop_front() {
                return Next::Do(job);
            }
            if waiting.closed {
                return Next::Closed;
            }
            if memory.is_empty() {
                waiting = self
                    .changed
                    .wait(waiting)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let (woken, wait) = self
                .changed
                .wait_timeout(waiting, KEPT)
                .unwrap_or_else(PoisonError::into_inner);
            waiting = woken;
            if wait.timed_out() && waiting.jobs.is_empty() {
                return Next::Idle;
            }
        }
    }
}

// The threads of requests come first, about nine to one, so that these still get a share where requests never end.
#[cfg(target_os = "linux")]
const STEP: i32 = 10;

// On Linux alone does a thread have a priority of its own, and can be asked for less without privileges.
#[cfg(target_os = "linux")]
fn step_back() {
    use rustix::process::{getpriority_process, setpriority_process};
    const LAST: i32 = 19;
    // Without an id it is the calling thread, and not its process, whatever the name says.
    let stepped =
        getpriority_process(None).and_then(|own| setpriority_process(None, LAST.min(own + STEP)));
    if let Err(error) = stepped {
        tracing::debug!(%error, "password hashes run at the priority of requests");
    }
}

#[cfg(not(target_os = "linux"))]
fn step_back() {}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn what_waits_is_done_and_what_is_too_much_refused() {
        let pool = Pool::start();
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let (begun, beginnings) = channel();
        let (done, answers) = channel();
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().expect("the gate");
        let send = || {
            let (gate, begun, done) = (Arc::clone(&gate), begun.clone(), done.clone());
            pool.send(Box::new(move |_| {
                begun.send(()).expect("listened to");
                drop(gate.lock().expect("the gate"));
                done.send(()).expect("listened to");
            }))
        };
        for _ in 0..threads {
            send().expect("a thread is free");
        }
        for _ in 0..threads {
            beginnings.recv().expect("it begins");
        }
        let waiting = threads * QUEUE_PER_THREAD;
        for _ in 0..waiting {
            send().expect("there is room");
        }
        assert!(send().is_err(), "one more is too much");
        drop(held);
        for _ in 0..threads + waiting {
            answers.recv().expect("it is done");
        }
        assert!(send().is_ok(), "there is room again");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_threads_step_back_and_no_other_does() {
        let pool = Pool::start();
        let (tell, told) = channel();
        pool.send(Box::new(move |_| {
            let priority = rustix::process::getpriority_process(None);
            tell.send(priority.expect("a priority"))
                .expect("listened to");
        }))
        .expect("there is room");
        let own = rustix::process::getpriority_process(None).expect("a priority");
        assert_eq!(told.recv().expect("told"), 19.min(own + STEP));
    }
}
