//! Accounts of others: changed, given passwords, disabled, ended.

use std::sync::Arc;

use portreeve_gate::{Caller, ChangeUser, CredentialFacts, Sent};
use portreeve_store::{StoreError, WriteOutcome};
use serde_json::{Map, Value as Json};

use super::{account_error, check_email, check_name, own_columns};
use crate::passwords::check_password;
use crate::{Portreeve, ServiceError, Written};

/// What is changed about an account; what is `None` stays as it is. May hold a password: not to be logged.
#[derive(Clone, Default)]
pub struct UserChange {
    /// Its chosen key.
    pub key: Option<String>,
    /// The name it signs in by; none at all where it is `Some(None)`.
    pub username: Option<Option<String>>,
    /// The address it signs in by; likewise.
    pub email: Option<Option<String>>,
    /// Its status: `active`, or any other word, and then it cannot sign in and its sessions end.
    pub status: Option<String>,
    /// Whether its address counts as confirmed. Another address does not, unless that is said too.
    pub confirmed: Option<bool>,
    /// Who vouches for it.
    pub provider: Option<String>,
    /// Own columns of `users`, by name.
    pub attributes: Map<String, Json>,
    /// Its new password; its sessions end.
    pub password: Option<String>,
}

impl UserChange {
    pub(crate) fn check(&self) -> Result<(), ServiceError> {
        let username = self.username.clone().flatten();
        let names = [
            ("key", &self.key),
            ("username", &username),
            ("status", &self.status),
            ("provider", &self.provider),
        ];
        for (what, name) in names {
            name.as_deref()
                .map_or(Ok(()), |name| check_name(what, name))?;
        }
        let email = self.email.as_ref().and_then(Option::as_deref);
        email.map_or(Ok(()), check_email)?;
        own_columns(&self.attributes)
    }

    pub(crate) fn sent(&self) -> Sent {
        let mut sent: Sent = vec![];
        let mut send = |name: &str, json: Option<Json>| {
            sent.extend(json.map(|json| (name.to_owned(), json)));
        };
        send("key", self.key.clone().map(Json::from));
        send("username", self.username.clone().map(Json::from));
        send("email", self.email.clone().map(Json::from));
        send("status", self.status.clone().map(Json::from));
        send("confirmed", self.confirmed.map(Json::from));
        send("provider", self.provider.clone().map(Json::from));
        sent.extend(self.attributes.clone());
        sent
    }
}

impl Portreeve {
    /// Changes an account, by its id.
    pub async fn update_user(
        &self,
        caller: &Caller,
        user: &str,
        change: UserChange,
    ) -> Result<Written, ServiceError> {
        if change.password.is_some() {
            // Asked before it is hashed.
            self.gate.may_set_passwords(caller)?;
        }
        change.check()?;
        let target = self.facts_of(user).await?;
        let password_hash = match &change.password {
            None => None,
            Some(password) => {
                let said = [&change.username, &change.email];
                let said = said.map(|name| name.as_ref().and_then(Option::as_deref));
                let known = ["username", "email"].map(|name| text(&target, name));
                let names = [said[0], said[1], known[0], known[1]];
                check_password(password, &names)?;
                let password = password.clone();
                Some(self.passwords.hash(password, &*self.entropy).await?)
            }
        };
        let change = ChangeUser {
            sent: change.sent(),
            password_hash,
            ..ChangeUser::default()
        };
        let _turn = self.administration.lock().await;
        let update = self.gate.update_user(caller, &target, change)?;
        let collection = Arc::clone(update.operation().template().collection());
        let store = self.store.clone();
        let done = self.carry_out(async move { store.update_user(update).await });
        match done.await? {
            Ok(outcome) => self.written(caller, collection, false, Ok(outcome)),
            Err(error) => Err(account_error(error)),
        }
    }

    /// Gives an account a new password and ends its sessions.
    pub async fn set_password(
        &self,
        caller: &Caller,
        user: &str,
        password: String,
    ) -> Result<(), ServiceError> {
        let change = UserChange {
            password: Some(password),
            ..UserChange::default()
        };
        self.update_user(caller, user, change).await.map(drop)
    }

    /// Ends an account, by its id, with everything that is its alone.
    pub async fn delete_user(&self, caller: &Caller, user: &str) -> Result<(), ServiceError> {
        let target = self.facts_of(user).await?;
        let _turn = self.administration.lock().await;
        let delete = self.gate.delete_user(caller, &target)?;
        let store = self.store.clone();
        let done = self.carry_out(async move { store.delete_user(delete).await });
        deleted(done.await?)
    }

    // What decides whether somebody may touch an account. Of one that is not there nothing is known.
    pub(crate) async fn facts_of(&self, user: &str) -> Result<CredentialFacts, ServiceError> {
        let account = self.store.system().credential_facts(user).await?;
        Ok(account.map_or_else(
            || CredentialFacts {
                user: user.into(),
                attributes: Arc::default(),
                bindings: vec![],
                epoch: 0,
            },
            |account| account.facts,
        ))
    }
}

pub(crate) fn deleted(outcome: Result<WriteOutcome, StoreError>) -> Result<(), ServiceError> {
    match outcome {
        Ok(WriteOutcome::Deleted) => Ok(()),
        Ok(WriteOutcome::Forbidden) => Err(ServiceError::Forbidden),
        Ok(_) => Err(ServiceError::NotFound),
        Err(error) => Err(error.into()),
    }
}

pub(crate) fn text<'a>(target: &'a CredentialFacts, name: &str) -> Option<&'a str> {
    target
        .attributes
        .get(name)
        .and_then(|value| value.as_text())
}
