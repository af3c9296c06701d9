//! Shares and the tokens of those who have opened one.

use portreeve_gate::{Authorized, CreateShare, EndShare, OpenShare, UpdateShare};

use super::System;
use crate::store::{asked, done};
use crate::work::shares;
use crate::{Stale, Store, StoreError};

/// A share. Its password's hash is kept elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredShare {
    /// Its id.
    pub id: String,
    /// What people call it.
    pub name: String,
    /// The collection of the record.
    pub collection: String,
    /// The record's key as text.
    pub record: String,
    /// The role that narrows it.
    pub role: Option<String>,
    /// The fields it shows, where it has no role.
    pub fields: Option<Vec<String>>,
    /// Whether it has a password.
    pub protected: bool,
    /// From when it can be opened, microseconds since 1970.
    pub from: Option<i64>,
    /// Until when it can be opened and shows anything.
    pub until: Option<i64>,
    /// How often it can be opened.
    pub max_uses: Option<i64>,
    /// How often it was.
    pub times_used: i64,
    /// Whose rights it shows.
    pub created_by: String,
    /// When it was made.
    pub created: i64,
}

/// What has come of a change of a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShareOutcome {
    /// It is done.
    Done,
    /// The share or its record is not there, or out of reach.
    NotFound,
    /// The record can be read and not shared, or the share is somebody else's.
    Forbidden,
}

impl System<'_> {
    /// A share by its id.
    pub async fn share(&self, id: &str) -> Result<Option<StoredShare>, StoreError> {
        asked!(self.store, connection => shares::find(connection, id))
    }

    /// The hash of a share's password, where it has one.
    pub async fn share_password(&self, id: &str) -> Result<Option<String>, StoreError> {
        asked!(self.store, connection => shares::password(connection, id))
    }

    /// An account's shares, the newest first.
    pub async fn shares_of(&self, user: &str) -> Result<Vec<StoredShare>, StoreError> {
        asked!(self.store, connection => shares::of_user(connection, user))
    }

    /// All shares, the newest first.
    pub async fn shares(&self, limit: u32) -> Result<Vec<StoredShare>, StoreError> {
        asked!(self.store, connection => shares::all(connection, limit))
    }

    /// The share that a token opens, and until when the token holds. What is over is still found: compare.
    pub async fn share_of_token(
        &self,
        token_hash: &[u8; 32],
    ) -> Result<Option<(StoredShare, i64)>, StoreError> {
        asked!(self.store, connection => shares::of_token(connection, token_hash))
    }

    /// Takes a token of a share back. Whether it was there.
    pub async fn close_share(&self, token_hash: [u8; 32]) -> Result<(bool, Stale), StoreError> {
        done!(self.store, Shared, writing => shares::close(writing, &token_hash))
    }
}

impl Store {
    /// Makes a share.
    pub async fn create_share(
        &self,
        create: Authorized<CreateShare>,
    ) -> Result<(ShareOutcome, Stale), StoreError> {
        done!(self, Shared, writing => shares::create(writing, &create))
    }

    /// Changes a share.
    pub async fn update_share(
        &self,
        update: Authorized<UpdateShare>,
    ) -> Result<(ShareOutcome, Stale), StoreError> {
        done!(self, Shared, writing => shares::update(writing, &update))
    }

    /// Ends a share, and with it what is open of it.
    pub async fn end_share(
        &self,
        end: Authorized<EndShare>,
    ) -> Result<(ShareOutcome, Stale), StoreError> {
        done!(self, Shared, writing => shares::end(writing, &end))
    }

    /// Opens a share. Refused as [`StoreError::Gone`] where it cannot be opened now, whatever the reason.
    pub async fn open_share(
        &self,
        open: Authorized<OpenShare>,
        audited: bool,
    ) -> Result<((), Stale), StoreError> {
        done!(self, Shared, writing => shares::open(writing, &open, audited))
    }
}
