//! Argon2id, in memory that is kept from one hash to the next: to get 19 MiB from the system takes a tenth of a hash.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};

/// 19 MiB, two passes, one lane: OWASP's first choice for Argon2id.
pub(super) const MEMORY_KIB: u32 = 19 * 1024;
pub(super) const PASSES: u32 = 2;
pub(super) const LANES: u32 = 1;

/// What is verified where there is no account or no password, so that it takes as long. Nobody's password.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What hashes are made in.
#[derive(Default)]
pub(super) struct Memory(Vec<Block>);

impl Memory {
    /// Whether there is none yet.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The hash of a password as a PHC string.
    pub fn hash(&mut self, password: &[u8], salt: &[u8]) -> Result<String, argon2::Error> {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None)?;
        let (algorithm, version) = (Algorithm::Argon2id, Version::V0x13);
        let hash = PasswordHash {
            algorithm: algorithm.ident(),
            version: Some(version.into()),
            params: ParamsString::try_from(&params).map_err(|_| argon2::Error::AlgorithmInvalid)?,
            salt: Some(Salt::new(salt).map_err(|_| argon2::Error::SaltTooShort)?),
            hash: Some(self.output(Argon2::new(algorithm, version, params), password, salt)?),
        };
        Ok(hash.to_string())
    }

    /// Whether a password has this hash. Without a hash the answer is no, after the same work.
    pub fn verify(&mut self, password: &[u8], hash: Option<&str>) -> bool {
        let verified = self.matches(password, hash.unwrap_or(NOBODY));
        verified.unwrap_or(false) && hash.is_some()
    }

    // None: this is no hash.
    fn matches(&mut self, password: &[u8], hash: &str) -> Option<bool> {
        let hash = PasswordHash::new(hash).ok()?;
        let version = hash
            .version
            .map_or(Ok(Version::default()), Version::try_from);
        let argon2 = Argon2::new(
            Algorithm::try_from(hash.algorithm.as_str()).ok()?,
            version.ok()?,
            Params::try_from(&hash).ok()?,
        );
        let made = self.output(argon2, password, hash.salt.as_deref()?).ok()?;
        // Outputs are compared in a time that does not tell where they differ.
        Some(made == hash.hash?)
    }

    fn output(
        &mut self,
        argon2: Argon2<'_>,
        password: &[u8],
        salt: &[u8],
    ) -> Result<Output, argon2::Error> {
        let mut buffer = [0; Output::MAX_LENGTH];
        let length = argon2
            .params()
            .output_len()
            .unwrap_or(Params::DEFAULT_OUTPUT_LEN);
        let out = buffer
            .get_mut(..length)
            .ok_or(argon2::Error::OutputTooLong)?;
        self.0.resize(argon2.params().block_count(), Block::new());
        argon2.hash_password_into_with_memory(password, salt, out, &mut self.0)?;
        Output::new(out).map_err(|_| argon2::Error::OutputTooShort)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use argon2::password_hash::{PasswordHasher, PasswordVerifier};

    #[test]
    fn nobodys_hash_takes_the_same_work_as_a_real_one() {
        let nobody = PasswordHash::new(NOBODY).unwrap();
        let params = Params::try_from(&nobody).unwrap();
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
        let mut memory = Memory::default();
        assert!(!memory.verify(b"", Some(NOBODY)));
        assert!(!memory.verify(b"", None));
    }

    #[test]
    fn hashes_are_those_of_the_library_whatever_was_in_the_memory() {
        let mut memory = Memory::default();
        let params = Params::new(MEMORY_KIB, PASSES, LANES, None).unwrap();
        let library = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
        for (password, salt) in [
            ("a password", b"sixteen bytes of"),
            ("another", b"something else 2"),
        ] {
            let ours = memory.hash(password.as_bytes(), salt).unwrap();
            let theirs = library
                .hash_password_with_salt(password.as_bytes(), salt)
                .unwrap();
            assert_eq!(ours, theirs.to_string());
            assert!(memory.verify(password.as_bytes(), Some(&ours)));
            assert!(!memory.verify(b"wrong", Some(&ours)));
            library
                .verify_password(password.as_bytes(), ours.as_str())
                .unwrap();
        }
        // Of fewer blocks and with other parameters, in the same memory.
        let small = Argon2::new(
            Algorithm::Argon2i,
            Version::V0x10,
            Params::new(64, 3, 1, Some(24)).unwrap(),
        );
        let hash = small
            .hash_password_with_salt(b"old", b"from elsewhere..")
            .unwrap()
            .to_string();
        assert!(memory.verify(b"old", Some(&hash)));
        assert!(!memory.verify(b"new", Some(&hash)));
        for broken in [
            "",
            "no hash",
            "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5J3Mgc2FsdA",
        ] {
            assert!(!memory.verify(b"", Some(broken)), "{broken}");
        }
    }
}
