//! Hashes that came from elsewhere, or were made when less was asked of them, are replaced when their password is shown.

use super::is_current;
use crate::Portreeve;

impl Portreeve {
    /// The hash that a verified password has now: a better one in the place of one that is not as they are made here. That
    /// it could not be replaced stands in nobody's way; it is tried again the next time.
    pub(crate) async fn upgraded(&self, user: &str, password: &str, hash: String) -> String {
        if is_current(&hash) {
            return hash;
        }
        let Ok(better) = self
            .passwords
            .hash(password.to_owned(), &*self.entropy)
            .await
        else {
            return hash;
        };
        let system = self.store.system();
        let replaced = system.upgrade_password(user, &hash, &better);
        match replaced.await {
            Ok(true) => better,
            // Somebody has been faster: another sign-in, which did the same, or a change of the password.
            Ok(false) => {
                let now = system.password_hash(user).await.ok().flatten();
                let same = self
                    .passwords
                    .verify(password.to_owned(), now.clone())
                    .await;
                now.filter(|_| same.unwrap_or(false)).unwrap_or(hash)
            }
            Err(error) => {
                tracing::warn!(%error, "the hash of a password could not be replaced by a better one");
                hash
            }
        }
    }
}
