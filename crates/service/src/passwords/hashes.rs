//! Hashes of passwords as other systems keep them, so that people who come from there sign in with the password they
//! have. Each is replaced by one of our own the first time its password is shown.
//!
//! | written | what |
//! | --- | --- |
//! | `$argon2id$v=19$m=…,t=…,p=…$salt$hash` | Argon2 in its three kinds (Directus) |
//! | `$2a$10$…`, `$2b$`, `$2y$` | bcrypt (Strapi, Hasura, bknd) |
//! | `$scrypt$ln=…,r=…,p=…$salt$hash` | scrypt |
//! | `$pbkdf2-sha512$i=…$salt$hash`, `$pbkdf2-sha256$…` | PBKDF2 (Kuzzle: `i=10000`, its salt's text as the salt) |
//! | 64 hexadecimal digits | SHA-256 without salt (bknd) |
//!
//! What would cost more to verify than a sign-in may is refused when it comes in, and verifies nothing.

use argon2::password_hash::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256, Sha512};

use super::argon::{LANES, MEMORY_KIB, PASSES};

/// Nothing that is longer is one.
const MAX_BYTES: usize = 2_048;
/// 128 MiB.
const MAX_MEMORY_KIB: u32 = 128 * 1024;
/// Argon2: memory times passes.
const MAX_WORK_KIB: u64 = 512 * 1024;
const MAX_LANES: u32 = 16;
/// bcrypt: about a second.
const MAX_COST: u32 = 14;
const MAX_ROUNDS: u32 = 1_000_000;
/// bcrypt does not look at what comes behind.
const BCRYPT_BYTES: usize = 72;

/// Which kind a hash is, with what it takes to verify it.
enum Kind<'a> {
    Argon2(Box<PasswordHash>),
    Bcrypt(&'a str),
    Scrypt {
        params: scrypt::Params,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    Pbkdf2 {
        wide: bool,
        rounds: u32,
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
    Sha256([u8; 32]),
}

/// Whether this is a hash that can be verified, or what is wrong with it.
pub(crate) fn check(text: &str) -> Result<(), &'static str> {
    read(text).map(drop)
}

/// Whether a password has this hash.
pub(crate) fn verify(password: &str, text: &str) -> bool {
    read(text).is_ok_and(|kind| kind.verify(password.as_bytes()))
}

/// Whether this is how hashes are made here now.
pub(crate) fn is_current(text: &str) -> bool {
    let Ok(Kind::Argon2(hash)) = read(text) else {
        return false;
    };
    let same = |params: Params| {
        (params.m_cost(), params.t_cost(), params.p_cost()) == (MEMORY_KIB, PASSES, LANES)
            && params.output_len() == Some(Params::DEFAULT_OUTPUT_LEN)
    };
    hash.algorithm == argon2::Algorithm::Argon2id.ident()
        && hash.version == Some(argon2::Version::V0x13.into())
        && Params::try_from(&*hash).is_ok_and(same)
}

fn read(text: &str) -> Result<Kind<'_>, &'static str> {
    const UNKNOWN: &str = "is no hash of a kind that is known here";
    if text.len() > MAX_BYTES {
        return Err("is too long to be a hash");
    }
    if let Some(digest) = hexadecimal(text) {
        return Ok(Kind::Sha256(digest));
    }
    let mut parts = text.split('$');
    if parts.next() != Some("") {
        return Err(UNKNOWN);
    }
    match parts.next() {
        Some("argon2i" | "argon2d" | "argon2id") => argon2(text),
        Some("2a" | "2b" | "2y") => bcrypt(text),
        Some("scrypt") => scrypt(parts),
        Some("pbkdf2-sha256") => pbkdf2(parts, false),
        Some("pbkdf2-sha512") => pbkdf2(parts, true),
        _ => Err(UNKNOWN),
    }
}

fn argon2(text: &str) -> Result<Kind<'_>, &'static str> {
    const WRONG: &str = "is no Argon2 hash in the form $argon2id$v=19$m=…,t=…,p=…$salt$hash";
    let hash = PasswordHash::new(text).map_err(|_| WRONG)?;
    let params = Params::try_from(&hash).map_err(|_| WRONG)?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(WRONG);
    }
    let work = u64::from(params.m_cost()) * u64::from(params.t_cost());
    if params.m_cost() > MAX_MEMORY_KIB || work > MAX_WORK_KIB || params.p_cost() > MAX_LANES {
        return Err("would take too much to verify: at most m=131072, m times t 524288, p=16");
    }
    Ok(Kind::Argon2(Box::new(hash)))
}

fn bcrypt(text: &str) -> Result<Kind<'_>, &'static str> {
    const WRONG: &str = "is no bcrypt hash in the form $2b$10$ and 53 characters";
    // $2b$10$ and then 22 characters of salt, 31 of hash.
    let rest = text.get(4..).ok_or(WRONG)?;
    let (cost, digits) = rest.split_once('$').ok_or(WRONG)?;
    let good = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'/';
    if cost.len() != 2 || digits.len() != 53 || !digits.bytes().all(good) {
        return Err(WRONG);
    }
    match number(cost) {
        Some(4..=MAX_COST) => Ok(Kind::Bcrypt(text)),
        Some(_) => {
            Err("would take too much to verify, or nothing at all: bcrypt's cost is 4 to 14")
        }
        None => Err(WRONG),
    }
}

fn scrypt<'a>(parts: std::str::Split<'_, char>) -> Result<Kind<'a>, &'static str> {
    const WRONG: &str = "is no scrypt hash in the form $scrypt$ln=…,r=…,p=…$salt$hash";
    const DEAR: &str = "would take too much to verify: scrypt with 128 MiB and p=16 at most";
    let [settings, salt, hash] = three(parts).ok_or(WRONG)?;
    let (mut ln, mut r, mut p) = (None, None, None);
    for setting in settings.split(',') {
        let (name, value) = setting.split_once('=').ok_or(WRONG)?;
        let place = match name {
            "ln" => &mut ln,
            "r" => &mut r,
            "p" => &mut p,
            _ => return Err(WRONG),
        };
        *place = number(value);
    }
    let (Some(ln), Some(r), Some(p)) = (ln, r, p) else {
        return Err(WRONG);
    };
    if !(1..=20).contains(&ln) || !(1..=64).contains(&r) || !(1..=MAX_LANES).contains(&p) {
        return Err(DEAR);
    }
    // Of all lanes together, as they are worked through one after the other.
    let kib = (u64::from(r) << ln) / 8;
    if kib > u64::from(MAX_MEMORY_KIB) || kib * u64::from(p) > MAX_WORK_KIB {
        return Err(DEAR);
    }
    let ln = u8::try_from(ln).map_err(|_| WRONG)?;
    Ok(Kind::Scrypt {
        params: scrypt::Params::new(ln, r, p).map_err(|_| WRONG)?,
        salt: decoded(salt).ok_or(WRONG)?,
        hash: long_enough(decoded(hash)).ok_or(WRONG)?,
    })
}

fn pbkdf2<'a>(parts: std::str::Split<'_, char>, wide: bool) -> Result<Kind<'a>, &'static str> {
    const WRONG: &str = "is no PBKDF2 hash in the form $pbkdf2-sha512$i=…$salt$hash";
    let [settings, salt, hash] = three(parts).ok_or(WRONG)?;
    let hash = long_enough(decoded(hash)).ok_or(WRONG)?;
    let mut rounds = None;
    for setting in settings.split(',') {
        match setting.split_once('=') {
            Some(("i", value)) => rounds = number(value),
            Some(("l", value)) if number(value).map(|l| l as usize) == Some(hash.len()) => {}
            // Others write the number alone.
            None => rounds = number(setting),
            Some(_) => return Err(WRONG),
        }
    }
    match rounds {
        Some(rounds @ 1..=MAX_ROUNDS) => Ok(Kind::Pbkdf2 {
            wide,
            rounds,
            salt: decoded(salt).ok_or(WRONG)?,
            hash,
        }),
        Some(_) => Err("would take too much to verify: PBKDF2 with 1000000 rounds at most"),
        None => Err(WRONG),
    }
}

impl Kind<'_> {
    fn verify(&self, password: &[u8]) -> bool {
        match self {
            Self::Argon2(hash) => Argon2::default().verify_password(password, &**hash).is_ok(),
            // What bcrypt would not look at must not be anything one likes, nor what others take for the end.
            Self::Bcrypt(_) if password.len() > BCRYPT_BYTES || password.contains(&0) => false,
            Self::Bcrypt(text) => bcrypt::verify(password, text).unwrap_or(false),
            Self::Scrypt { params, salt, hash } => {
                let mut made = vec![0; hash.len()];
                scrypt::scrypt(password, salt, params, &mut made).is_ok() && same(&made, hash)
            }
            // Each block of the output is made for itself: the first is as good as all of them.
            Self::Pbkdf2 {
                wide: true,
                rounds,
                salt,
                hash,
            } => {
                let mut made = vec![0; hash.len().min(64)];
                pbkdf2::pbkdf2_hmac::<Sha512>(password, salt, *rounds, &mut made);
                same(&made, &hash[..made.len()])
            }
            Self::Pbkdf2 {
                wide: false,
                rounds,
                salt,
                hash,
            } => {
                let mut made = vec![0; hash.len().min(32)];
                pbkdf2::pbkdf2_hmac::<Sha256>(password, salt, *rounds, &mut made);
                same(&made, &hash[..made.len()])
            }
            Self::Sha256(digest) => same(&Sha256::digest(password), digest),
        }
    }
}

fn three<'a>(mut parts: std::str::Split<'a, char>) -> Option<[&'a str; 3]> {
    let three = [parts.next()?, parts.next()?, parts.next()?];
    parts.next().is_none().then_some(three)
}

// Digits alone: a sign is none.
fn number(text: &str) -> Option<u32> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

// Base 64 without padding; some write a point for the plus sign.
fn decoded(text: &str) -> Option<Vec<u8>> {
    let text = text.trim_end_matches('=').replace('.', "+");
    STANDARD_NO_PAD.decode(text).ok()
}

// A hash of which little is left is had by chance.
fn long_enough(hash: Option<Vec<u8>>) -> Option<Vec<u8>> {
    hash.filter(|hash| (16..=1_024).contains(&hash.len()))
}

fn hexadecimal(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut digest = [0; 32];
    for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
    }
    Some(digest)
}

// Takes as long wherever they differ.
fn same(one: &[u8], other: &[u8]) -> bool {
    let differences = one.iter().zip(other).fold(0, |all, (a, b)| all | (a ^ b));
    one.len() == other.len() && differences == 0
}

#[cfg(test)]
mod tests;
