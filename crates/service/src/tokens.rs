//! Tokens and the codes of mails: made from entropy, shown once, kept as a hash only.
//!
//! What a request shows is told apart here by how it begins, and nowhere else. To add a kind of token: a prefix, a
//! variant of [`Shown`], and what [`crate::Portreeve::caller`] makes of it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portreeve_model::Entropy;
use ring::hmac;
use sha2::{Digest, Sha256};

/// What every token of a session begins with, so that one that has leaked into a log or a repository is recognised.
const SESSION: &str = "prt_";
/// What every refresh token begins with.
const REFRESH: &str = "prr_";
/// What every token of a share begins with.
const SHARE: &str = "prs_";
/// What the codes in mails begin with.
const CODE: &str = "prc_";
const BYTES: usize = 32;
/// Base64 without padding: four characters for three bytes.
const LENGTH: usize = SESSION.len() + (BYTES * 4).div_ceil(3);
/// The two parts of a refresh token, each.
const PART_BYTES: usize = 24;
const PART: usize = PART_BYTES * 4 / 3;

/// The hash a token is kept and found by.
pub(crate) type TokenHash = [u8; 32];

/// What a request shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// A session's own token.
    Session,
    /// A signed token.
    Signed,
    /// A refresh token, which is none for requests.
    Refresh,
    /// A token of a share.
    Share,
}

/// What kind of token this is, by its looks.
pub(crate) fn shown(token: &str, signed_prefix: &str) -> Option<Shown> {
    if token.starts_with(SESSION) {
        (token.len() == LENGTH).then_some(Shown::Session)
    } else if token.starts_with(REFRESH) {
        Some(Shown::Refresh)
    } else if is_of_share(token) {
        (token.len() == LENGTH).then_some(Shown::Share)
    } else {
        let signed = token.strip_prefix(signed_prefix)?;
        (signed.bytes().filter(|byte| *byte == b'.').count() == 2).then_some(Shown::Signed)
    }
}

/// A new token of a session.
pub(crate) fn new_token(entropy: &dyn Entropy) -> String {
    format!("{SESSION}{}", new_handle(entropy))
}

/// A new token of a share.
pub(crate) fn new_share_token(entropy: &dyn Entropy) -> String {
    format!("{SHARE}{}", new_handle(entropy))
}

/// Whether it can be nothing but a token of a share.
pub(crate) fn is_of_share(token: &str) -> bool {
    token.starts_with(SHARE)
}

/// A new handle, by which a signed token names its session.
pub(crate) fn new_handle(entropy: &dyn Entropy) -> String {
    let mut bytes = [0u8; BYTES];
    entropy.fill(&mut bytes);
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A new code. Nothing in it has to be escaped in an address.
pub(crate) fn new_code(entropy: &dyn Entropy) -> String {
    format!("{CODE}{}", new_handle(entropy))
}

/// The hash of a code, or `None` for what can be none.
pub(crate) fn code_hash(code: &str) -> Option<TokenHash> {
    (code.len() == LENGTH && code.starts_with(CODE)).then(|| hash(code))
}

/// The hash of a token or handle. It is unpredictable, so a plain hash is enough, and the search by hash tells nothing
/// about the token by the time it takes.
pub(crate) fn hash(token: &str) -> TokenHash {
    Sha256::digest(token).into()
}

/// A refresh token: what it has in common with those before and after it, and what is its own.
pub(crate) struct Refresh {
    family: String,
    own: String,
}

impl Refresh {
    /// The first of a family.
    pub fn first(entropy: &dyn Entropy) -> Self {
        let part = || {
            let mut bytes = [0u8; PART_BYTES];
            entropy.fill(&mut bytes);
            URL_SAFE_NO_PAD.encode(bytes)
        };
        Self {
            family: part(),
            own: part(),
        }
    }

    /// Reads one; none where it can be none.
    pub fn read(token: &str) -> Option<Self> {
        let parts = token.strip_prefix(REFRESH)?;
        let plain = parts
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        if parts.len() != 2 * PART || !plain {
            return None;
        }
        let (family, own) = parts.split_at(PART);
        Some(Self {
            family: family.into(),
            own: own.into(),
        })
    }

    /// The one after it: the same for whoever comes with this one, and known to nobody who does not have the key.
    pub fn next(&self, key: &hmac::Key) -> Self {
        let tag = hmac::sign(key, self.text().as_bytes());
        Self {
            family: self.family.clone(),
            own: URL_SAFE_NO_PAD.encode(&tag.as_ref()[..PART_BYTES]),
        }
    }

    /// As it is shown.
    pub fn text(&self) -> String {
        format!("{REFRESH}{}{}", self.family, self.own)
    }

    /// The hash of what it has in common with its family.
    pub fn family_hash(&self) -> TokenHash {
        hash(&self.family)
    }

    /// The hash of the whole.
    pub fn hash(&self) -> TokenHash {
        hash(&self.text())
    }
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
    fn tokens_are_told_apart_by_their_looks() {
        let token = new_token(&Counting);
        assert_eq!(token.len(), LENGTH);
        assert_eq!(shown(&token, ""), Some(Shown::Session));
        assert_eq!(shown(&token[..LENGTH - 1], ""), None);
        assert_eq!(shown(&token[1..], ""), None);
        assert_eq!(shown("", ""), None);
        assert_eq!(shown("a.b.c", ""), Some(Shown::Signed));
        assert_eq!(shown("kauth-a.b.c", "kauth-"), Some(Shown::Signed));
        for bad in ["a.b.c", "kauth-a.b", "kauth-a.b.c.d", "kapikey-a.b.c"] {
            assert_eq!(shown(bad, "kauth-"), None, "{bad}");
        }
        let refresh = Refresh::first(&Counting).text();
        assert_eq!(shown(&refresh, ""), Some(Shown::Refresh));
        let share = new_share_token(&Counting);
        assert_eq!(shown(&share, ""), Some(Shown::Share));
        assert_eq!(shown(&share[..LENGTH - 1], ""), None);
        // A code is never taken for a token, nor a token for a code.
        let code = new_code(&Counting);
        assert!(code_hash(&code).is_some());
        assert!(shown(&code, "").is_none() && code_hash(&token).is_none());
    }

    #[test]
    fn refresh_tokens_follow_each_other() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"a key");
        let first = Refresh::first(&Counting);
        let read = Refresh::read(&first.text()).unwrap();
        assert_eq!(read.hash(), first.hash());
        let (next, same) = (first.next(&key), read.next(&key));
        assert_eq!(next.text(), same.text());
        assert_eq!(next.family_hash(), first.family_hash());
        assert_ne!(next.hash(), first.hash());
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"another");
        assert_ne!(first.next(&other).text(), next.text());
        let text = first.text();
        for bad in [
            &text[..text.len() - 1],
            &text[1..],
            &text.replace('A', "."),
            "",
        ] {
            assert!(Refresh::read(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn hashes_are_compared_in_full() {
        let a = hash(&new_token(&Counting));
        let mut b = a;
        assert!(same_hash(&a, &b));
        b[31] ^= 1;
        assert!(!same_hash(&a, &b));
    }
}
