//! Sessions and their tokens.

use std::sync::Arc;

use portreeve_gate::{Authorized, EndSessions};

use super::System;
use crate::store::{asked, done, on, written};
use crate::work::sessions;
use crate::{Stale, Store, StoreError};

/// Through what something is asked, for the audit trail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Through {
    /// The face.
    pub face: Option<String>,
    /// The id of the request.
    pub request: Option<String>,
}

/// What a session is begun on.
#[derive(Clone, Debug)]
pub enum Proof {
    /// A password; its hash, which must still be the account's.
    Password(String),
    /// Something the caller of this has verified, and that does not change.
    Other,
}

/// A session to begin. Of its tokens there are hashes only.
#[derive(Clone, Debug)]
pub struct NewSession {
    /// The account's id.
    pub user: String,
    /// What it is begun on.
    pub proof: Proof,
    /// What kind of session it is, for whoever looks at a list.
    pub kind: String,
    /// Through what.
    pub through: Through,
    /// From where.
    pub address: Option<String>,
    /// By which program, in its own words.
    pub agent: Option<String>,
    /// Now, microseconds since 1970.
    pub now: i64,
    /// When it ends for want of use.
    pub idle_expires: Option<i64>,
    /// When it ends however much it is used.
    pub expires: i64,
    /// Whether a change of what its account is bound to ends it.
    pub ends_with_roles: bool,
    /// The hash of its token.
    pub token_hash: [u8; 32],
    /// When that token ends; with the session where nothing is said.
    pub token_expires: Option<i64>,
    /// Its refresh token, where it has one.
    pub refresh: Option<NewRefresh>,
    /// How many sessions its account may have, this one included.
    pub at_most: Option<u32>,
    /// Whether it is written down in the audit trail.
    pub audited: bool,
}

/// A refresh token.
#[derive(Clone, Debug)]
pub struct NewRefresh {
    /// The hash of what it has in common with those after it.
    pub family_hash: [u8; 32],
    /// The hash of the whole.
    pub token_hash: [u8; 32],
    /// Until when it can be used.
    pub expires: i64,
}

/// A session that has begun.
#[derive(Clone, Debug)]
pub struct Begun {
    /// Its id.
    pub session: Arc<str>,
}

/// A session that has not been ended. Whether it has expired is for the asker to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionFacts {
    /// Its id.
    pub id: Arc<str>,
    /// The account's id.
    pub user: Arc<str>,
    /// Until when it, or the token that was shown, holds, microseconds since 1970.
    pub expires: i64,
    /// When it ends for want of use.
    pub idle_expires: Option<i64>,
    /// When it was last used, as far as that is written down.
    pub used: i64,
    /// What kind of session it is.
    pub kind: Arc<str>,
    /// The face it was begun through.
    pub face: Option<Arc<str>>,
}

/// A session in its account's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSession {
    /// Its id.
    pub id: String,
    /// When it began, microseconds since 1970.
    pub created: i64,
    /// When it ends however much it is used.
    pub expires: i64,
    /// When it was last used, as far as that is written down.
    pub used: i64,
    /// When it ends for want of use.
    pub idle_expires: Option<i64>,
    /// What kind of session it is.
    pub kind: String,
    /// Through which face it was begun.
    pub face: Option<String>,
    /// From where.
    pub address: Option<String>,
    /// By which program, in its own words.
    pub agent: Option<String>,
}

/// A refresh token that is being used.
#[derive(Clone, Debug)]
pub struct Rotation {
    /// The hash of what the token has in common with its family.
    pub family_hash: [u8; 32],
    /// The hash of the token that is shown.
    pub presented: [u8; 32],
    /// The hash of the one after it.
    pub next: [u8; 32],
    /// Until when that can be used.
    pub expires: i64,
    /// The hash of the new token for requests.
    pub token_hash: [u8; 32],
    /// Until when that holds, if the session does.
    pub token_expires: i64,
    /// When the session ends for want of use from now on.
    pub idle_expires: Option<i64>,
    /// How long after its use a token may be used again, with the same answer; microseconds.
    pub grace: i64,
    /// Now.
    pub now: i64,
    /// Through what; a session of another face is not there.
    pub through: Through,
    /// From where.
    pub address: Option<String>,
}

/// What has come of a refresh token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotated {
    /// The one after it is good now.
    Done {
        /// The session.
        session: Arc<str>,
        /// Whose.
        user: Arc<str>,
        /// Until when it holds.
        expires: i64,
        /// Until when the new token for requests holds.
        token_expires: i64,
    },
    /// It had been used before, and its session has ended for that.
    Reused,
    /// It is unknown, or too old, or its session is over.
    Refused,
}

/// A token in whose place another one is put.
#[derive(Clone, Debug)]
pub struct Renewal {
    /// The session.
    pub session: String,
    /// The hash of the old token.
    pub old: [u8; 32],
    /// The hash of the new one.
    pub new: [u8; 32],
    /// Until when the new one, and with it the session, holds.
    pub expires: i64,
    /// How long the old one holds still; microseconds.
    pub grace: i64,
    /// Now.
    pub now: i64,
}

/// That a session was used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionUse {
    /// The session.
    pub session: Arc<str>,
    /// When.
    pub used: i64,
    /// When it ends for want of use from then on.
    pub idle_expires: Option<i64>,
}

impl System<'_> {
    /// Begins a session. Refused as [`StoreError::Gone`] unless the account is active and what it was begun on holds.
    pub async fn begin_session(&self, new: NewSession) -> Result<(Begun, Stale), StoreError> {
        done!(self.store, Shared, writing => sessions::begin(writing, &new))
    }

    /// The session of a token's hash. One that has expired is still found: compare.
    pub async fn session(&self, token_hash: &[u8; 32]) -> Result<Option<SessionFacts>, StoreError> {
        asked!(self.store, connection => sessions::session(connection, token_hash))
    }

    /// An account's sessions, those used last first.
    pub async fn sessions_of(&self, user: &str) -> Result<Vec<StoredSession>, StoreError> {
        asked!(self.store, connection => sessions::of_user(connection, user))
    }

    /// Ends the session of a token. Which, where there was one that nobody else has ended.
    pub async fn end_session(&self, token_hash: [u8; 32]) -> Result<Option<String>, StoreError> {
        let made =
            done!(self.store, Shared, writing => sessions::end_by_token(writing, &token_hash));
        made.map(|(ended, _)| ended)
    }

    /// The same by a refresh token that is good.
    pub async fn end_session_by_refresh(
        &self,
        token_hash: [u8; 32],
        family_hash: [u8; 32],
    ) -> Result<Option<String>, StoreError> {
        let made = done!(self.store, Shared, writing => sessions::end_by_refresh(writing, &token_hash, &family_hash));
        made.map(|(ended, _)| ended)
    }

    /// Uses a refresh token.
    pub async fn rotate(&self, rotation: Rotation) -> Result<(Rotated, Stale), StoreError> {
        done!(self.store, Shared, writing => sessions::rotate(writing, &rotation))
    }

    /// Puts another token in the place of one. Whether it was still to be renewed.
    pub async fn renew(&self, renewal: Renewal) -> Result<bool, StoreError> {
        let made = done!(self.store, Shared, writing => sessions::renew(writing, &renewal));
        made.map(|(renewed, _)| renewed)
    }

    /// Writes down when sessions were used.
    pub async fn note_uses(&self, uses: Vec<SessionUse>) -> Result<(), StoreError> {
        written!(self.store, Shared, writing => sessions::note_uses(writing, &uses))
    }

    /// Forgets sessions that had expired by `now`, or for want of use by `unused`. How many there were.
    pub async fn expire_sessions(&self, now: i64, unused: i64) -> Result<usize, StoreError> {
        on!(self.store, database => database.expire_sessions(now, unused).await)
    }

    /// The addresses an account's sessions began at, those used last first.
    pub async fn session_addresses(&self, user: &str) -> Result<Vec<String>, StoreError> {
        asked!(self.store, connection => sessions::addresses(connection, user))
    }

    /// Notes in the audit trail that somebody was not let in; whose account it was, where there is one.
    pub async fn note_refusal(
        &self,
        user: Option<String>,
        through: Through,
        address: Option<String>,
        now: i64,
    ) -> Result<(), StoreError> {
        written!(self.store, Shared, writing =>
            sessions::note_refusal(writing, user.as_deref(), &through, address.as_deref(), now))
    }

    /// A key of this name: the one there is, else `candidate` from now on, for all who use this database.
    pub async fn secret(&self, name: &str, candidate: String) -> Result<String, StoreError> {
        let name = name.to_owned();
        written!(self.store, Shared, writing => sessions::secret(writing, &name, &candidate))
    }

    /// A key of this name, where there is one.
    pub async fn stored_secret(&self, name: &str) -> Result<Option<String>, StoreError> {
        asked!(self.store, connection => sessions::stored_secret(connection, name))
    }
}

impl Store {
    /// Ends sessions of an account. How many.
    pub async fn end_sessions(
        &self,
        end: Authorized<EndSessions>,
    ) -> Result<(u64, Stale), StoreError> {
        done!(self, Shared, writing => sessions::end(writing, &end))
    }
}
