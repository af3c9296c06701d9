//! One's own account: changed, given another password, ended. Its rights are `account.update`, `account.password` and
//! `account.delete`, whatever roles say of the records of `users`.

use std::sync::Arc;

use portreeve_gate::{Caller, ChangeUser, Sessions};
use portreeve_store::StoreError;
use serde_json::{Map, Value as Json};

use crate::authn::MAX_PASSWORD_BYTES;
use crate::passwords::check_password;
use crate::users::{account_error, check_name, deleted, own_columns, text};
use crate::{Portreeve, ServiceError, Written};

/// What the owner of an account changes about it; what is `None` stays as it is.
#[derive(Clone, Debug, Default)]
pub struct OwnChange {
    /// The name it signs in by.
    pub username: Option<String>,
    /// Own columns of `users` that are declared `self_writable`, by name.
    pub attributes: Map<String, Json>,
}

/// Another password for one's own account. Holds passwords: not to be logged.
#[derive(Clone)]
pub struct OwnPassword {
    /// The one it has; `None` for a face whose clients are not asked for it.
    pub current: Option<String>,
    /// The one it shall have.
    pub new: String,
    /// Whether the session this is asked in goes on.
    pub keeps: bool,
    /// Whether sessions end at all.
    pub ends: bool,
}

impl Portreeve {
    /// Changes what the owner of an account may change about it.
    pub async fn update_own(
        &self,
        caller: &Caller,
        change: OwnChange,
    ) -> Result<Written, ServiceError> {
        self.gate.may_own(caller, "account.update")?;
        if let Some(username) = &change.username {
            check_name("username", username)?;
        }
        own_columns(&change.attributes)?;
        let username = change.username.map(|name| ("username".into(), name.into()));
        let change = ChangeUser {
            sent: username.into_iter().chain(change.attributes).collect(),
            ..ChangeUser::default()
        };
        self.change_own(caller, None, change).await
    }

    /// Gives one's own account another password.
    pub async fn change_password(
        &self,
        caller: &Caller,
        passwords: OwnPassword,
    ) -> Result<(), ServiceError> {
        self.gate.may_own(caller, "account.password")?;
        let verified = self.shown(caller, "current", passwords.current).await?;
        let user = caller.user().ok_or(ServiceError::Forbidden)?;
        let account = self.facts_of(user).await?;
        let names = ["username", "email"].map(|name| text(&account, name));
        check_password(&passwords.new, &names)?;
        let new = passwords.new;
        let password_hash = Some(self.passwords.hash(new, &*self.entropy).await?);
        let sessions = match caller.session().filter(|_| passwords.keeps) {
            _ if !passwords.ends => Sessions::GoOn,
            Some(session) => Sessions::EndOthers(Arc::clone(session)),
            None => Sessions::End,
        };
        let change = ChangeUser {
            sent: vec![],
            password_hash,
            sessions,
        };
        self.change_own(caller, verified, change).await.map(drop)
    }

    /// Ends one's own account with everything that is its alone. `password` is its own; `None` for a face whose clients are
    /// not asked for it.
    pub async fn delete_own(
        &self,
        caller: &Caller,
        password: Option<String>,
    ) -> Result<(), ServiceError> {
        self.gate.may_own(caller, "account.delete")?;
        let verified = self.shown(caller, "password", password).await?;
        let _turn = self.administration.lock().await;
        let delete = self.gate.delete_own(caller, verified)?;
        let store = self.store.clone();
        let done = self.carry_out(async move { store.delete_user(delete).await });
        deleted(Ok(done.await?.map_err(changed_meanwhile)?))
    }

    async fn change_own(
        &self,
        caller: &Caller,
        verified: Option<String>,
        change: ChangeUser,
    ) -> Result<Written, ServiceError> {
        let _turn = self.administration.lock().await;
        let update = self.gate.update_own(caller, verified, change)?;
        let collection = Arc::clone(update.operation().template().collection());
        let store = self.store.clone();
        let done = self.carry_out(async move { store.update_user(update).await });
        let outcome = done.await?.map_err(changed_meanwhile)?;
        self.written(caller, collection, false, Ok(outcome))
    }

    // The hash of the account's password, if the one that is shown is it. An account without one has none to show.
    async fn shown(
        &self,
        caller: &Caller,
        what: &str,
        password: Option<String>,
    ) -> Result<Option<String>, ServiceError> {
        let Some(password) = password else {
            return Ok(None);
        };
        let user = caller.user().ok_or(ServiceError::Forbidden)?;
        let hash = self.store.system().password_hash(user).await?;
        // Whoever has got hold of a session must not find the password out by it.
        let trial = self.try_password(user, caller.context().request.ip).await?;
        let verified = if password.len() > MAX_PASSWORD_BYTES {
            false
        } else {
            self.tried(trial, password, hash.clone()).await?
        };
        match hash.filter(|_| verified) {
            Some(hash) => Ok(Some(hash)),
            None => Err(ServiceError::invalid(what, "is not the account's password")),
        }
    }
}

// The password has been changed while it was verified, or the account has gone.
fn changed_meanwhile(error: StoreError) -> ServiceError {
    match error {
        StoreError::Gone => ServiceError::PolicyChanged,
        other => account_error(other),
    }
}
