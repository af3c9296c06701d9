//! The keys tokens are signed with: those that are given, and those that are made once and kept in the database, so that
//! they outlive a restart and are the same on every node.

use std::collections::HashMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use portreeve_model::Entropy;
use portreeve_store::{Store, StoreError};
use ring::hmac;
use tokio::sync::OnceCell;

use crate::ServiceError;
use crate::faces::Faces;
use crate::jwt::{Key, SHORTEST_KEY};

/// The keys of all faces, each made or read when it is first needed.
pub(crate) struct Keys {
    signing: HashMap<String, OnceCell<Key>>,
    refresh: OnceCell<hmac::Key>,
}

impl Keys {
    /// Checks the keys that are given.
    pub fn new(faces: &Faces, development: bool) -> Result<Self, ServiceError> {
        let mut signing = HashMap::new();
        for (name, settings) in faces.iter() {
            let cell = match &settings.tokens.secret {
                None => OnceCell::new(),
                Some(secret) => {
                    let length = secret.bytes().len();
                    if length == 0 || (length < SHORTEST_KEY && !development) {
                        return Err(ServiceError::invalid(
                            format!("faces.{name}.jwt_secret"),
                            format!(
                                "has {length} bytes and needs {SHORTEST_KEY} at least; `openssl rand -base64 48` makes one"
                            ),
                        ));
                    }
                    OnceCell::new_with(Some(Key::new(secret.bytes())))
                }
            };
            signing.insert(name.to_owned(), cell);
        }
        Ok(Self {
            signing,
            refresh: OnceCell::new(),
        })
    }

    /// The key of a face.
    pub async fn signing(
        &self,
        face: &str,
        store: &Store,
        entropy: &dyn Entropy,
    ) -> Result<&Key, ServiceError> {
        let cell = self
            .signing
            .get(face)
            .ok_or_else(|| ServiceError::internal("a face without a key"))?;
        let make = async || {
            let name = format!("jwt.{face}");
            kept(&name, store, entropy).await.map(|key| Key::new(&key))
        };
        cell.get_or_try_init(make).await
    }

    /// What refresh tokens are made with.
    pub async fn refresh(
        &self,
        store: &Store,
        entropy: &dyn Entropy,
    ) -> Result<&hmac::Key, ServiceError> {
        let make = async || {
            let key = kept("refresh", store, entropy).await?;
            Ok(hmac::Key::new(hmac::HMAC_SHA256, &key))
        };
        self.refresh.get_or_try_init(make).await
    }
}

// The key of this name; one is made where there is none.
async fn kept(name: &str, store: &Store, entropy: &dyn Entropy) -> Result<Vec<u8>, ServiceError> {
    let stored = match store.system().stored_secret(name).await? {
        Some(stored) => stored,
        None => {
            let mut bytes = [0u8; SHORTEST_KEY];
            entropy.fill(&mut bytes);
            match store.system().secret(name, STANDARD.encode(bytes)).await {
                // Where nothing can be written there is nothing that was signed either.
                Err(StoreError::ReadOnly) => return Err(ServiceError::InvalidToken),
                other => other?,
            }
        }
    };
    STANDARD.decode(&stored).map_err(ServiceError::internal)
}
