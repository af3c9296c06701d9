//! Session tokens and the codes of mails: made from entropy, shown once, kept as a hash only.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portreeve_model::Entropy;
use sha2::{Digest, Sha256};

/// What every token begins with, so that one that has leaked into a log or a repository is recognised.
const PREFIX: &str = "prt_";
/// The same for the codes in mails.
const CODE_PREFIX: &str = "prc_";
const BYTES: usize = 32;
/// Base64 without padding: four characters for three bytes.
const LENGTH: usize = PREFIX.len() + (BYTES * 4).div_ceil(3);

/// The hash a token is kept and found by.
pub(crate) type TokenHash = [u8; 32];

/// A new token.
pub(crate) fn new_token(entropy: &dyn Entropy) -> String {
    secret(PREFIX, entropy)
}

/// A new code. Nothing in it has to be escaped in an address.
pub(crate) fn new_code(entropy: &dyn Entropy) -> String {
    secret(CODE_PREFIX, entropy)
}

fn secret(prefix: &str, entropy: &dyn Entropy) -> String {
    let mut bytes = [0u8; BYTES];
    entropy.fill(&mut bytes);
    format!("{prefix}{}", URL_SAFE_NO_PAD.encode(bytes))
}

/// The hash of a token, or `None` for what can be none. The token is unpredictable, so a plain hash is enough, and the
/// search by hash tells nothing about the token by the time it takes.
pub(crate) fn token_hash(token: &str) -> Option<TokenHash> {
    (token.len() == LENGTH && token.starts_with(PREFIX)).then(|| Sha256::digest(token).into())
}

/// The same of a code.
pub(crate) fn code_hash(code: &str) -> Option<TokenHash> {
    (code.len() == LENGTH && code.starts_with(CODE_PREFIX)).then(|| Sha256::digest(code).into())
}

/// Whether two hashes are the same, in a time that does not tell where they differ.
pub(crate) fn same_hash(a: &TokenHash, b: &TokenHash) -> bool {
    let difference = a.iter().zip(b).fold(0u8, |all, (a, b)| all | (a ^ b));
    std::hint::black_box(difference) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;

    impl Entropy for Counting {
        fn fill(&self, bytes: &mut [u8]) {
            for (place, byte) in bytes.iter_mut().enumerate() {
                *byte = u8::try_from(place % 256).unwrap();
            }
        }
    }

    #[test]
    fn a_token_has_the_length_that_is_looked_for() {
        let token = new_token(&Counting);
        assert!(token.starts_with("prt_"));
        assert_eq!(token.len(), LENGTH);
        assert!(token_hash(&token).is_some());
        assert!(token_hash(&token[1..]).is_none());
        assert!(token_hash("").is_none());
        let code = new_code(&Counting);
        assert!(code_hash(&code).is_some());
        // One is never taken for the other.
        assert!(token_hash(&code).is_none() && code_hash(&token).is_none());
    }

    #[test]
    fn hashes_are_compared_in_full() {
        let a = token_hash(&new_token(&Counting)).unwrap();
        let mut b = a;
        assert!(same_hash(&a, &b));
        b[31] ^= 1;
        assert!(!same_hash(&a, &b));
    }
}
