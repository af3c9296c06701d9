//! The state of things, as `portreeve doctor` asks for it.

use portreeve_policy::{Binding, BoundTo, Snapshot};

use super::System;
use crate::StoreError;
use crate::store::asked;
use crate::work::{access, health};

/// A binding that makes somebody an administrator.
#[derive(Clone, Debug, PartialEq)]
pub struct Administrator {
    /// The binding's id.
    pub id: String,
    /// The account's id.
    pub user: String,
    /// The account's name, address or key.
    pub name: String,
    /// Whether it may sign in.
    pub active: bool,
    /// The binding.
    pub binding: Binding,
    /// When one of its sessions was last used, where there are any.
    pub seen: Option<i64>,
}

/// Some accounts: how many, and the first of them by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counted {
    /// How many.
    pub count: u64,
    /// The first of them.
    pub names: Vec<String>,
}

/// What should have been done and was not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Lines of the audit trail that wait for their seal.
    pub unsealed: u64,
    /// Mails that wait to be sent.
    pub waiting: u64,
    /// Mails that were given up.
    pub given_up: u64,
    /// What the mail server said last that was no success.
    pub error: Option<String>,
}

/// A mail that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMail {
    /// Its id.
    pub id: String,
    /// The kind.
    pub template: String,
    /// To whom: the address it went to, what somebody typed, or the account.
    pub to: Option<String>,
    /// `waiting`, `sent` or `given_up`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was asked for.
    pub created: i64,
    /// When that came to an end.
    pub finished: Option<i64>,
}

impl System<'_> {
    /// The roles and profiles that accounts are bound to, and how many are to each.
    pub async fn bound(&self) -> Result<Vec<(BoundTo, u64)>, StoreError> {
        asked!(self.store, connection => health::bound(connection))
    }

    /// Every binding that makes somebody an administrator.
    pub async fn administrators(
        &self,
        snapshot: &Snapshot,
    ) -> Result<Vec<Administrator>, StoreError> {
        asked!(self.store, connection => health::administrators(connection, snapshot))
    }

    /// Accounts whose passwords are kept as another system kept them.
    pub async fn foreign_hashes(&self) -> Result<Counted, StoreError> {
        asked!(self.store, connection => health::foreign_hashes(connection))
    }

    /// Accounts with sessions that go on after this moment, whether they are used or not.
    pub async fn long_sessions(&self, after: i64) -> Result<Counted, StoreError> {
        asked!(self.store, connection => health::long_sessions(connection, after))
    }

    /// What should have been done before this moment, and was not.
    pub async fn backlog(&self, before: i64) -> Result<Backlog, StoreError> {
        asked!(self.store, connection => health::backlog(connection, before))
    }

    /// The mails that were asked for last, the newest first.
    pub async fn mails(&self, limit: u32) -> Result<Vec<QueuedMail>, StoreError> {
        asked!(self.store, connection => health::mails(connection, limit))
    }

    /// The bindings of an account with their ids.
    pub async fn bindings_of(&self, user: &str) -> Result<Vec<(String, Binding)>, StoreError> {
        asked!(self.store, connection => access::bindings_of(connection, user))
    }
}
