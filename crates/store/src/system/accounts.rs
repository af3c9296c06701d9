//! Accounts made, changed and ended.

use portreeve_gate::{Authorized, DeleteUser, UpdateUser, UserCreation};

use crate::store::{asked, done, written};
use crate::work::accounts;
use crate::{Stale, Store, StoreError, System, WriteOutcome};

impl Store {
    /// Makes an account. What came of it, and its number.
    pub async fn create_user(
        &self,
        create: Authorized<UserCreation>,
    ) -> Result<(WriteOutcome, i64), StoreError> {
        written!(self, Shared, writing => accounts::create_user(writing, &create))
    }

    /// Changes an account.
    pub async fn update_user(
        &self,
        update: Authorized<UpdateUser>,
    ) -> Result<(WriteOutcome, Stale), StoreError> {
        done!(self, Alone, writing => accounts::update_user(writing, &update))
    }

    /// Ends an account.
    pub async fn delete_user(
        &self,
        delete: Authorized<DeleteUser>,
    ) -> Result<(WriteOutcome, Stale), StoreError> {
        done!(self, Alone, writing => accounts::delete_user(writing, &delete))
    }
}

impl System<'_> {
    /// Makes the first administrator; refused in the same transaction where there is one already. Returns its number.
    pub async fn first_administrator(
        &self,
        create: Authorized<UserCreation>,
    ) -> Result<i64, StoreError> {
        written!(self.store, Alone, writing => accounts::first_administrator(writing, &create))
    }

    /// The hash of an account's password, whether it may sign in or not; where it has one.
    pub async fn kept_hash(&self, user: &str) -> Result<Option<String>, StoreError> {
        asked!(self.store, connection => accounts::kept_hash(connection, user))
    }

    /// Whether an account has this name.
    pub async fn username_exists(&self, username: &str) -> Result<bool, StoreError> {
        asked!(self.store, connection => accounts::username_exists(connection, username))
    }

    /// Replaces the hash of a password by a better one of the same password, if it is still the account's.
    pub async fn upgrade_password(
        &self,
        user: &str,
        old: &str,
        new: &str,
    ) -> Result<bool, StoreError> {
        let (user, old, new) = (user.to_owned(), old.to_owned(), new.to_owned());
        written!(self.store, Shared, writing => accounts::upgrade_password(writing, &user, &old, &new))
    }
}
