//! The closed list of statements that run before or beside a caller: sign-in, sessions, the policy at start, settings.
//! Nothing here takes SQL, a condition or a name of a table.

mod accounts;
mod audit;
mod health;
mod insight;
mod mail;
mod sessions;
mod shares;

use std::sync::Arc;

use portreeve_gate::CredentialFacts;
use portreeve_policy::{Document, ProfileDefinition, RoleDefinition, Snapshot};

use crate::store::{asked, on, written};
use crate::work::{access, system};
use crate::{Store, StoreError};

pub use health::{Administrator, Backlog, Counted, QueuedMail};
pub use insight::Member;
pub use mail::{
    Accept, AskedMail, ClaimedMail, GoodCode, MailOutcome, MailUser, Prepare, PreparedMail,
    StoredTemplate,
};
pub use sessions::{
    Begun, NewRefresh, NewSession, Proof, Renewal, Rotated, Rotation, SessionFacts, SessionUse,
    StoredSession, Through,
};
pub use shares::{ShareOutcome, StoredShare};

/// The named system statements of a [`Store`].
pub struct System<'a> {
    pub(crate) store: &'a Store,
}

/// The policy as it was stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredPolicy {
    /// Collections, rules, actions, roles, profiles, registration.
    pub document: Document,
    /// Its version; 0 before the first one.
    pub version: u64,
}

/// What a sign-in is checked against.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// The account's id.
    pub user: Arc<str>,
    /// Its status; only `active` accounts may sign in.
    pub status: String,
    /// The hash of its password; without one it cannot sign in by password.
    pub password_hash: Option<String>,
}

/// An account in a list for the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSummary {
    /// Its id.
    pub id: String,
    /// Its chosen key.
    pub key: String,
    /// Its number.
    pub number: i64,
    /// The name it signs in by.
    pub username: Option<String>,
    /// The address it signs in by.
    pub email: Option<String>,
    /// Its status.
    pub status: String,
    /// The roles and profiles it is bound to, profiles as `profile:name`.
    pub bindings: Vec<String>,
}

/// What admission needs of an account.
#[derive(Clone, Debug)]
pub struct Account {
    /// For the gate.
    pub facts: CredentialFacts,
    /// Only `active` accounts are admitted.
    pub status: String,
}

impl System<'_> {
    /// The policy in force. Version 0 and an empty document before the first one.
    pub async fn load_policy(&self) -> Result<StoredPolicy, StoreError> {
        on!(self.store, database => database.load_policy(), database.load_policy().await)
    }

    /// What a sign-in by name or address is checked against. Addresses compare without case (ASCII).
    pub async fn credential(&self, login: &str) -> Result<Option<Credential>, StoreError> {
        asked!(self.store, connection => system::credential(connection, login))
    }

    /// What admission needs of an account: its row, its bindings, its epoch.
    pub async fn credential_facts(&self, user: &str) -> Result<Option<Account>, StoreError> {
        asked!(self.store, connection => system::credential_facts(connection, user))
    }

    /// Whether an active account holds an administrator role for good.
    pub async fn has_administrator(&self, snapshot: &Snapshot) -> Result<bool, StoreError> {
        on!(self.store, database => database.has_administrator(snapshot), database.has_administrator(snapshot).await)
    }

    /// A role as it is stored; none where it is not, as a built-in one may be.
    pub async fn role(&self, key: &str) -> Result<Option<RoleDefinition>, StoreError> {
        asked!(self.store, connection => access::role(connection, key))
    }

    /// The roles that are stored, in their order.
    pub async fn roles(&self) -> Result<Vec<RoleDefinition>, StoreError> {
        asked!(self.store, connection => access::roles(connection))
    }

    /// The profiles, in their order.
    pub async fn profiles(&self) -> Result<Vec<ProfileDefinition>, StoreError> {
        asked!(self.store, connection => access::profiles(connection))
    }

    /// A setting.
    pub async fn setting(&self, name: &str) -> Result<Option<String>, StoreError> {
        asked!(self.store, connection => system::setting(connection, name))
    }

    /// Changes a setting.
    pub async fn set_setting(&self, name: &str, value: &str) -> Result<(), StoreError> {
        let (name, value) = (name.to_owned(), value.to_owned());
        written!(self.store, Shared, writing => system::set_setting(writing, &name, &value))
    }

    /// A digest of every table's content in order, for tests that something changed nothing. The audit trail, which
    /// grows by design, can be left out.
    pub async fn digest(&self, with_audit: bool) -> Result<[u8; 32], StoreError> {
        on!(self.store, database => database.digest(with_audit), database.digest(with_audit).await)
    }

    /// A number that grows whenever a session is ended or an account's rights change: whatever was remembered about
    /// sessions and accounts under another number has to be asked anew.
    pub fn revocations(&self) -> u64 {
        on!(self.store, database => database.revocations())
    }
}
