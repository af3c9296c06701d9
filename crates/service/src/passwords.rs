//! Password hashes: Argon2id in a few threads of their own with a short queue, so that a storm of sign-ins neither
//! starves other requests nor fills the memory.

mod argon;
mod hashes;
mod policy;
mod pool;
mod upgrade;

use std::sync::OnceLock;

use portreeve_model::Entropy;
use tokio::sync::oneshot;

use crate::ServiceError;
use argon::Memory;
use pool::{Full, Pool};

pub(crate) use hashes::{check as check_hash, is_current};
pub(crate) use policy::check_password;

/// How many random bytes are hashed with a password.
const SALT_BYTES: usize = 16;

/// The threads; started when first needed.
#[derive(Default)]
pub(crate) struct Passwords {
    pool: OnceLock<Pool>,
}

impl Passwords {
    /// The hash of a password as a PHC string.
    pub async fn hash(
        &self,
        password: String,
        entropy: &dyn Entropy,
    ) -> Result<String, ServiceError> {
        let mut salt = [0u8; SALT_BYTES];
        entropy.fill(&mut salt);
        self.run(move |memory| memory.hash(password.as_bytes(), &salt))
            .await?
            .map_err(|error| ServiceError::internal(error.to_string()))
    }

    /// Whether a password has this hash, ours or another system's. Without a hash the answer is no, after the same work.
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, ServiceError> {
        self.run(move |memory| match hash.as_deref() {
            Some(hash) if !is_current(hash) => {
                // Some of theirs are had in no time: a wrong password takes no less work than for nobody.
                hashes::verify(&password, hash) || memory.verify(password.as_bytes(), None)
            }
            hash => memory.verify(password.as_bytes(), hash),
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Memory) -> T + Send + 'static,
    ) -> Result<T, ServiceError> {
        let (answer, answered) = oneshot::channel();
        let job = Box::new(move |memory: &mut Memory| {
            // Whoever asked may be gone, and then nobody wants to know.
            if !answer.is_closed() {
                let _ = answer.send(work(memory));
            }
        });
        match self.pool.get_or_init(Pool::start).send(job) {
            Ok(()) => answered.await.map_err(ServiceError::internal),
            Err(Full) => Err(ServiceError::Busy),
        }
    }
}
