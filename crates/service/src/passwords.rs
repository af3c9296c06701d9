//! Password hashes: Argon2id in a few threads of their own with a short queue, so that a storm of sign-ins neither
//! starves other requests nor fills the memory.

use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use argon2::password_hash::phc::{PasswordHash, Salt};
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use portreeve_model::Entropy;
use tokio::sync::oneshot;

use crate::ServiceError;

/// 19 MiB, two passes, one lane: OWASP's first choice for Argon2id.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const LANES: u32 = 1;

/// How many hashes may wait per thread; beyond that the answer is "busy" at once.
const QUEUE_PER_THREAD: usize = 8;

/// What is verified where there is no account or no password, so that it takes as long. Nobody's password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

type Job = Box<dyn FnOnce() + Send>;

/// The threads; started when first needed.
#[derive(Default)]
pub(crate) struct Passwords {
    queue: OnceLock<SyncSender<Job>>,
}

impl Passwords {
    /// The hash of a password as a PHC string.
    pub async fn hash(
        &self,
        password: String,
        entropy: &dyn Entropy,
    ) -> Result<String, ServiceError> {
        let mut salt = [0u8; Salt::RECOMMENDED_LENGTH];
        entropy.fill(&mut salt);
        let hashed = self.run(move || {
            argon2()?
                .hash_password_with_salt(password.as_bytes(), &salt)
                .map(|hash| hash.to_string())
        });
        hashed
            .await?
            .map_err(|error| ServiceError::internal(error.to_string()))
    }

    /// Whether a password has this hash. Without a hash the answer is no, after the same work.
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, ServiceError> {
        self.run(move || {
            let real = hash.is_some();
            let hash = hash.as_deref().unwrap_or(NOBODY);
            let verified =
                PasswordHash::new(hash)
                    .ok()
                    .zip(argon2().ok())
                    .is_some_and(|(hash, argon2)| {
                        argon2.verify_password(password.as_bytes(), &hash).is_ok()
                    });
            verified && real
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move || {
            // Whoever asked may be gone.
            let _ = answer.send(work());
        });
        match self.queue.get_or_init(start).try_send(job) {
            Ok(()) => answered.await.map_err(ServiceError::internal),
            Err(TrySendError::Full(_)) => Err(ServiceError::Busy),
            Err(error @ TrySendError::Disconnected(_)) => {
                Err(ServiceError::internal(error.to_string()))
            }
        }
    }
}

fn argon2() -> argon2::password_hash::Result<Argon2<'static>> {
    let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

fn start() -> SyncSender<Job> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let (queue, jobs) = sync_channel(threads * QUEUE_PER_THREAD);
    let jobs = Arc::new(Mutex::new(jobs));
    for number in 0..threads {
        let jobs = Arc::clone(&jobs);
        let started = std::thread::Builder::new()
            .name(format!("password-{number}"))
            .spawn(move || {
                while let Some(job) = next(&jobs) {
                    job()
                }
            });
        if let Err(error) = started {
            tracing::warn!(%error, "a thread for password hashes could not be started");
        }
    }
    queue
}

// Ends when the queue's other end is gone.
fn next(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobodys_hash_takes_the_same_work_as_a_real_one() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&nobody).unwrap();
        let real = argon2().unwrap();
        assert_eq!(nobody.algorithm, Algorithm::Argon2id.ident());
        assert_eq!(
            (
                params.m_cost(),
                params.t_cost(),
                params.p_cost(),
                params.output_len()
            ),
            (MEMORY_KIB, PASSES, LANES, Some(Params::DEFAULT_OUTPUT_LEN)),
        );
        assert!(real.verify_password(b"", &nobody).is_err());
    }
}
