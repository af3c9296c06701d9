//! Places in the change feed as subscribers get to see them: opaque, so that they do not tell how much happens that
//! nobody may know of, and good only for the subscription they were given to.

use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portreeve_model::Entropy;
use portreeve_store::Position;
use sha2::{Digest, Sha256};

const ROUNDS: u8 = 4;

/// Makes and reads them.
pub(crate) struct Positions {
    key: [u8; 32],
    // Makes two of one place differ: otherwise their being equal would tell that nothing at all has happened.
    next: AtomicU32,
}

impl Positions {
    /// With the key that all programs on a database share, or one of its own: then nobody else's are understood.
    pub fn new(shared: Option<Vec<u8>>, entropy: &dyn Entropy) -> Self {
        let key = match shared {
            Some(shared) => Sha256::digest(shared).into(),
            None => {
                let mut key = [0; 32];
                entropy.fill(&mut key);
                key
            }
        };
        // Others count too, and two alike of one place are not to come often.
        let mut start = [0; 4];
        entropy.fill(&mut start);
        Self {
            key,
            next: AtomicU32::new(u32::from_le_bytes(start)),
        }
    }

    /// The id of a place, for the subscription of that stamp.
    pub fn id(&self, position: Position, stamp: u32) -> String {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let rest = u64::from(stamp) << 32 | u64::from(number);
        let (mut left, mut right) = (position.0, rest);
        for round in 0..ROUNDS {
            (left, right) = (right, left ^ self.mixed(round, right));
        }
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&left.to_le_bytes());
        bytes[8..].copy_from_slice(&right.to_le_bytes());
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The place of an id; `None` for what is none of this subscription.
    pub fn read(&self, id: &str, stamp: u32) -> Option<Position> {
        // What is longer is not worth decoding.
        let bytes = Some(id).filter(|id| id.len() <= 32)?;
        let bytes: [u8; 16] = URL_SAFE_NO_PAD.decode(bytes).ok()?.try_into().ok()?;
        let half = |part: &[u8]| Some(u64::from_le_bytes(part.try_into().ok()?));
        let (mut left, mut right) = (half(&bytes[..8])?, half(&bytes[8..])?);
        for round in (0..ROUNDS).rev() {
            (left, right) = (right ^ self.mixed(round, left), left);
        }
        (right >> 32 == u64::from(stamp)).then_some(Position(left))
    }

    // Luby and Rackoff: four rounds with a pseudorandom function are a permutation nobody can tell from chance.
    fn mixed(&self, round: u8, half: u64) -> u64 {
        let mut hash = Sha256::new();
        hash.update(self.key);
        hash.update([round]);
        hash.update(half.to_le_bytes());
        let hash: [u8; 32] = hash.finalize().into();
        hash.first_chunk()
            .map_or(0, |first| u64::from_le_bytes(*first))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Filled(u8);

    impl Entropy for Filled {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn a_place_comes_back_to_its_own_subscription_only() {
        let positions = Positions::new(None, &Filled(1));
        for number in [0, 1, 77, u64::MAX] {
            let id = positions.id(Position(number), 7);
            assert_eq!(id.len(), 22);
            assert_eq!(positions.read(&id, 7), Some(Position(number)));
            assert_eq!(positions.read(&id, 8), None);
            assert_eq!(Positions::new(None, &Filled(2)).read(&id, 7), None);
        }
        for bad in ["", "7", "???", &"A".repeat(22), &"A".repeat(4_000)] {
            assert_eq!(positions.read(bad, 7), None, "{bad}");
        }
    }

    #[test]
    fn programs_with_the_same_secret_understand_each_other() {
        let new = |number| Positions::new(Some(vec![7; 32]), &Filled(number));
        assert_eq!(
            new(2).read(&new(1).id(Position(5), 7), 7),
            Some(Position(5))
        );
    }

    #[test]
    fn an_id_tells_nothing_of_its_place() {
        let positions = Positions::new(None, &Filled(1));
        let same = (positions.id(Position(5), 7), positions.id(Position(5), 7));
        assert_ne!(same.0, same.1);
        let (one, next) = (positions.id(Position(6), 7), positions.id(Position(7), 7));
        assert_ne!(one[..8], next[..8]);
    }
}
