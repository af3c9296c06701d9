//! Time and entropy as parameters, so that tests are repeatable.

/// Tells the time. Only the binary and the test kit implement it.
pub trait Clock: Send + Sync {
    /// Microseconds since 1970-01-01T00:00:00Z.
    fn now(&self) -> i64;
}

/// Gives unpredictable bytes. Only the binary and the test kit implement it.
pub trait Entropy: Send + Sync {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}

/// A version 7 UUID: 48 bits of milliseconds, then entropy, so that keys sort by time of creation.
pub fn new_uuid(clock: &dyn Clock, entropy: &dyn Entropy) -> uuid::Uuid {
    let mut random = [0u8; 10];
    entropy.fill(&mut random);
    let millis = u64::try_from(clock.now() / 1_000).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}
