//! Signed tokens: HS256 and nothing else, one key for each face. A token names its session by an unpredictable handle in
//! its header, of which the database has the hash, so that its claims are what its face makes them and it ends with its
//! session at once. Whoever has the key can read and sign claims, and cannot make a token of a session.

use std::sync::OnceLock;

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{Error, ErrorKind};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, EncodingKey, Header, Validation, decode, encode,
};
use portreeve_model::MICROS;
use ring::hmac;
use serde_json::{Map, Value as Json};

use crate::faces::{NEVER, TokenSettings};

/// Where the handle stands in the header.
const HANDLE: &str = "sid";

/// Claims no face decides about.
const OURS: [&str; 5] = ["iat", "exp", "nbf", "iss", "aud"];

/// A key shorter than what it makes is the weakest part (RFC 7518, 3.2).
pub(crate) const SHORTEST_KEY: usize = 32;

/// A key to sign with and to verify by.
pub(crate) struct Key {
    encoding: EncodingKey,
    decoding: DecodingKey,
}

/// What a good token says.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verified {
    pub handle: String,
    /// Until when it holds, microseconds since 1970.
    pub expires: i64,
}

impl Key {
    pub fn new(secret: &[u8]) -> Self {
        install();
        Self {
            encoding: EncodingKey::from_secret(secret),
            decoding: DecodingKey::from_secret(secret),
        }
    }

    /// Makes a token.
    pub fn sign(
        &self,
        settings: &TokenSettings,
        handle: &str,
        mut claims: Map<String, Json>,
        now: i64,
        expires: i64,
    ) -> Result<String, Error> {
        for name in OURS {
            claims.shift_remove(name);
        }
        claims.insert("iat".into(), now.div_euclid(MICROS).into());
        if expires < NEVER {
            claims.insert("exp".into(), expires.div_euclid(MICROS).into());
        }
        let own = [("iss", &settings.issuer), ("aud", &settings.audience)];
        for (name, value) in own {
            if let Some(value) = value {
                claims.insert(name.into(), value.as_str().into());
            }
        }
        let token = encode(&header(settings, handle), &claims, &self.encoding)?;
        Ok(format!("{}{token}", settings.prefix))
    }

    /// What a token says, if it is one of this key and these settings and its time is now.
    pub fn verify(&self, settings: &TokenSettings, token: &str, now: i64) -> Option<Verified> {
        let token = token.strip_prefix(&settings.prefix)?;
        let mut validation = Validation::new(Algorithm::HS256);
        // Times are looked at below, by our clock and to the second.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        let data = decode::<Map<String, Json>>(token, &self.decoding, &validation).ok()?;
        let handle = data.header.extras.get::<String>(HANDLE).ok().flatten()?;
        // Exactly the header that is written here: no other type, and no key that a token brings or points at.
        if data.header != header(settings, &handle) {
            return None;
        }
        let claims = data.claims;
        let text = |name: &str| claims.get(name).and_then(Json::as_str);
        let same = |name: &str, wanted: &Option<String>| match wanted {
            Some(wanted) => text(name) == Some(wanted),
            None => !claims.contains_key(name),
        };
        if !same("iss", &settings.issuer) || !same("aud", &settings.audience) {
            return None;
        }
        let moment = |name: &str| match claims.get(name) {
            None => Some(None),
            Some(seconds) => Some(Some(seconds.as_i64()?.checked_mul(MICROS)?)),
        };
        moment("iat")??;
        let expires = moment("exp")?.unwrap_or(NEVER);
        let begun = moment("nbf")?.is_none_or(|begins| begins <= now);
        (begun && now < expires).then_some(Verified { handle, expires })
    }
}

fn header(settings: &TokenSettings, handle: &str) -> Header {
    let mut header = Header::new(Algorithm::HS256);
    header.typ = Some(settings.typ.clone());
    header.extras.insert(HANDLE, handle);
    header
}

// The library takes its cryptography from whoever has some. Ours is the one of TLS.
fn install() {
    static PROVIDER: CryptoProvider = CryptoProvider {
        signer_factory: |algorithm, key| {
            let key = Hs256::new(*algorithm, key.family(), key.as_bytes())?;
            Ok(Box::new(key) as Box<dyn JwtSigner>)
        },
        verifier_factory: |algorithm, key| {
            let key = Hs256::new(*algorithm, key.family(), key.try_get_as_bytes()?)?;
            Ok(Box::new(key) as Box<dyn JwtVerifier>)
        },
        key_utils: KeyUtils::new_unimplemented(),
    };
    static INSTALLED: OnceLock<()> = OnceLock::new();
    INSTALLED.get_or_init(|| {
        // Whoever was first has installed the same.
        let _ = PROVIDER.install_default();
    });
}

struct Hs256(hmac::Key);

impl Hs256 {
    fn new(algorithm: Algorithm, family: AlgorithmFamily, secret: &[u8]) -> Result<Self, Error> {
        if algorithm != Algorithm::HS256 || family != AlgorithmFamily::Hmac {
            return Err(ErrorKind::InvalidAlgorithm.into());
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }
}

impl Signer<Vec<u8>> for Hs256 {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(hmac::sign(&self.0, message).as_ref().to_vec())
    }
}

impl Verifier<Vec<u8>> for Hs256 {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        hmac::verify(&self.0, message, signature).map_err(|_| signature::Error::new())
    }
}

impl JwtSigner for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

impl JwtVerifier for Hs256 {
    fn algorithm(&self) -> Algorithm {
        Algorithm::HS256
    }
}

#[cfg(test)]
mod tests;
