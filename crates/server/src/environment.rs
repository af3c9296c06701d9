//! The real clock and the real entropy: the only places that read either.

use portreeve_model::{Clock, Entropy};

/// The system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one implementation of Clock over the real one"
    )]
    fn now(&self) -> i64 {
        // A clock before 1970 is wrong whatever we make of it.
        let since = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap_or_default();
        i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
    }
}

/// The system's entropy.
pub struct SystemEntropy;

impl Entropy for SystemEntropy {
    #[expect(
        clippy::disallowed_methods,
        reason = "the one implementation of Entropy over the real one"
    )]
    fn fill(&self, bytes: &mut [u8]) {
        // Going on with predictable bytes would make predictable tokens.
        getrandom::fill(bytes).expect("the system gives no entropy");
    }
}
