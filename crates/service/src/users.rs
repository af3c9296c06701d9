//! Accounts: made, listed, given passwords.

use portreeve_gate::{Caller, CreateUser, Past, SetPassword};
use portreeve_model::Value;
use portreeve_policy::{Binding, BoundTo, SYSTEM_COLLECTIONS, suggestion};
use portreeve_store::{AccountSummary, StoreError};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::{Portreeve, ServiceError};

const MAX_NAME_BYTES: usize = 254;
const PASSWORD_CHARACTERS: std::ops::RangeInclusive<usize> = 8..=128;

/// What no account may be called: other systems' words for nobody, oneself and everybody.
pub const RESERVED_KEYS: [&str; 8] = ["-1", "0", "me", "_me", "anonymous", "public", "null", "*"];

/// An account to be made. Holds a password: not to be logged.
#[derive(Clone, Default)]
pub struct NewUser {
    /// The chosen key; the id where none is chosen.
    pub key: Option<String>,
    /// The name it signs in by.
    pub username: Option<String>,
    /// The address it signs in by.
    pub email: Option<String>,
    /// Without one it cannot sign in until it is given one.
    pub password: Option<String>,
    /// Roles to bind it to. Where neither roles nor profiles are given, it gets what `registration:` says.
    pub roles: Vec<String>,
    /// Profiles to bind it to.
    pub profiles: Vec<String>,
    /// Own columns of `users`, by name.
    pub attributes: Map<String, Json>,
    /// What it was before, where it comes from an export.
    pub past: Option<PastUser>,
}

/// An account as it was where it comes from.
#[derive(Clone, Debug)]
pub struct PastUser {
    /// Its id.
    pub id: String,
    /// What it was bound to: exactly this, whatever `registration:` says.
    pub bindings: Vec<Binding>,
    /// The rest.
    pub rest: Past,
}

/// An account as administrators see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UserView {
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
    /// `active` or not.
    pub status: String,
    /// The roles it is bound to.
    pub roles: Vec<String>,
    /// The profiles it is bound to.
    pub profiles: Vec<String>,
}

impl UserView {
    // The number is the store's to give.
    pub(crate) fn of(user: &CreateUser) -> Self {
        let mut view = Self {
            id: user.id.clone(),
            key: user.key.clone(),
            number: 0,
            username: user.username.clone(),
            email: user.email.clone(),
            status: "active".into(),
            roles: vec![],
            profiles: vec![],
        };
        for binding in &user.bindings {
            match &binding.to {
                BoundTo::Role(role) => view.roles.push(role.clone()),
                BoundTo::Profile(profile) => view.profiles.push(profile.clone()),
            }
        }
        view
    }

    /// What to call it: its name, else its address, else its key.
    pub fn name(&self) -> &str {
        self.username
            .as_deref()
            .or(self.email.as_deref())
            .unwrap_or(&self.key)
    }
}

impl From<AccountSummary> for UserView {
    fn from(account: AccountSummary) -> Self {
        let (mut roles, mut profiles) = (vec![], vec![]);
        for bound in account.bindings {
            match bound.strip_prefix("profile:") {
                Some(profile) => profiles.push(profile.into()),
                None => roles.push(bound),
            }
        }
        Self {
            id: account.id,
            key: account.key,
            number: account.number,
            username: account.username,
            email: account.email,
            status: account.status,
            roles,
            profiles,
        }
    }
}

impl NewUser {
    // What can be said without looking at the policy.
    pub(crate) fn check(&self) -> Result<(), ServiceError> {
        if let Some(past) = &self.past {
            let id = uuid::Uuid::parse_str(&past.id);
            if id.is_ok_and(|id| id.hyphenated().to_string() == past.id) {
                check_name("status", &past.rest.status)?;
                check_name("provider", &past.rest.provider)?;
            } else {
                return Err(ServiceError::invalid("id", "is no UUID in small letters"));
            }
            if past.rest.number < 1 {
                return Err(ServiceError::invalid("number", "must be 1 or more"));
            }
        }
        // Who came from elsewhere may be known by nothing but a key.
        if self.username.is_none() && self.email.is_none() && self.past.is_none() {
            return Err(ServiceError::invalid(
                "username",
                "give a username or an e-mail address",
            ));
        }
        if let Some(key) = &self.key {
            check_name("key", key)?;
        }
        if let Some(username) = &self.username {
            check_name("username", username)?;
            // Otherwise somebody could be called like another one's address and take his sign-ins.
            let own = self
                .email
                .as_deref()
                .is_some_and(|email| email.eq_ignore_ascii_case(username));
            if username.contains('@') && !own {
                return Err(ServiceError::invalid(
                    "username",
                    "must not contain '@', unless it is the account's own e-mail address",
                ));
            }
        }
        if let Some(email) = &self.email {
            check_name("email", email)?;
            let parts = email.split_once('@');
            let good = parts.is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            });
            if !good || email.contains(char::is_whitespace) {
                return Err(ServiceError::invalid("email", "is not an e-mail address"));
            }
        }
        self.password.as_deref().map_or(Ok(()), check_password)
    }
}

impl Portreeve {
    /// Makes an account.
    pub async fn create_user(
        &self,
        caller: &Caller,
        new: NewUser,
    ) -> Result<UserView, ServiceError> {
        // Asked before the password is hashed, so that only those who may can make us work.
        self.demand_administrator(caller)?;
        new.check()?;
        let bindings = match &new.past {
            None => self.bindings(caller, &new.roles, &new.profiles)?,
            Some(past) => self.known(caller, past.bindings.clone())?,
        };
        let attributes = own_columns(caller, &new.attributes)?;
        let password_hash = match new.password {
            Some(password) => Some(self.passwords.hash(password, &*self.entropy).await?),
            None => None,
        };
        let _turn = self.administration.lock().await;
        let (id, past) = match new.past {
            None => (self.new_id().to_string(), None),
            Some(past) => (past.id, Some(past.rest)),
        };
        let user = CreateUser {
            key: new.key.unwrap_or_else(|| id.clone()),
            id,
            username: new.username,
            email: new.email,
            password_hash,
            attributes,
            bindings,
            past,
        };
        let mut view = UserView::of(&user);
        let create = self.gate.create_user(caller, user)?;
        view.number = self
            .store
            .create_user(create)
            .await
            .map_err(account_error)?;
        if !self.has_administrator() {
            self.note_administrator().await;
        }
        Ok(view)
    }

    /// Gives an account a new password and ends its sessions.
    pub async fn set_password(
        &self,
        caller: &Caller,
        user: &str,
        password: String,
    ) -> Result<(), ServiceError> {
        self.demand_administrator(caller)?;
        check_password(&password)?;
        let user = self.find_user(caller, user).await?;
        let password_hash = self.passwords.hash(password, &*self.entropy).await?;
        let _turn = self.administration.lock().await;
        let operation = SetPassword {
            user: user.clone(),
            password_hash,
        };
        let set = self.gate.set_password(caller, operation)?;
        let store = self.store.clone();
        self.carry_out(async move { store.set_password(set).await.map(|stale| ((), stale)) })
            .await?
            .map_err(|error| match error {
                StoreError::Gone => ServiceError::UnknownUser(user.clone()),
                other => other.into(),
            })
    }

    /// Accounts in order of number, after the given one.
    pub async fn list_users(
        &self,
        caller: &Caller,
        limit: u32,
        after: Option<i64>,
    ) -> Result<Vec<UserView>, ServiceError> {
        let list = self.gate.list_users(caller)?;
        let accounts = self.store.list_users(&list, limit, after).await?;
        Ok(accounts.into_iter().map(UserView::from).collect())
    }

    /// The id of the account with this id, key, name, address or number.
    pub async fn find_user(&self, caller: &Caller, name: &str) -> Result<String, ServiceError> {
        self.demand_administrator(caller)?;
        let found = self.store.system().find_user(name).await?;
        found.ok_or_else(|| ServiceError::UnknownUser(name.into()))
    }

    pub(crate) fn demand_administrator(&self, caller: &Caller) -> Result<(), ServiceError> {
        if self.gate.is_administrator(caller) {
            Ok(())
        } else {
            Err(ServiceError::Forbidden)
        }
    }

    pub(crate) fn bindings(
        &self,
        caller: &Caller,
        roles: &[String],
        profiles: &[String],
    ) -> Result<Vec<Binding>, ServiceError> {
        let roles = if roles.is_empty() && profiles.is_empty() {
            caller.snapshot().registration_roles()
        } else {
            roles
        };
        let roles = roles.iter().cloned().map(BoundTo::Role);
        let profiles = profiles.iter().cloned().map(BoundTo::Profile);
        let mut bindings: Vec<Binding> = vec![];
        for to in roles.chain(profiles) {
            if !bindings.iter().any(|known| known.to == to) {
                let primary = bindings.is_empty();
                bindings.push(Binding {
                    to,
                    primary,
                    ..Binding::default()
                });
            }
        }
        self.known(caller, bindings)
    }

    // Bindings to what there is.
    fn known(&self, caller: &Caller, bindings: Vec<Binding>) -> Result<Vec<Binding>, ServiceError> {
        let snapshot = caller.snapshot();
        for binding in &bindings {
            match &binding.to {
                BoundTo::Role(role) if snapshot.is_administrator(role).is_none() => {
                    let known: Vec<&str> = snapshot.role_keys().map(|key| &**key).collect();
                    let hint = suggestion(role, known);
                    return Err(ServiceError::UnknownRole {
                        name: role.clone(),
                        hint,
                    });
                }
                BoundTo::Profile(profile)
                    if snapshot.profile_has_administrator(profile).is_none() =>
                {
                    let mut known: Vec<&str> =
                        snapshot.profile_keys().map(String::as_str).collect();
                    known.sort_unstable();
                    let hint = suggestion(profile, known);
                    return Err(ServiceError::UnknownProfile {
                        name: profile.clone(),
                        hint,
                    });
                }
                _ => {}
            }
        }
        Ok(bindings)
    }
}

pub(crate) fn account_error(error: StoreError) -> ServiceError {
    match error {
        StoreError::Unique { .. } => ServiceError::UserExists,
        other => other.into(),
    }
}

pub(crate) fn own_columns(
    caller: &Caller,
    sent: &Map<String, Json>,
) -> Result<Vec<(String, Value)>, ServiceError> {
    let catalog = caller.snapshot().catalog();
    let Some(users) = catalog.find_text("users") else {
        return Err(ServiceError::internal("no collection of users"));
    };
    let ours: &[_] = SYSTEM_COLLECTIONS
        .iter()
        .find(|(name, _)| *name == "users")
        .map_or(&[], |(_, columns)| columns);
    let own = |name: &str| !ours.iter().any(|(column, ..)| *column == name);
    let mut columns = vec![];
    for (name, json) in sent {
        let Some(field) = users.find_field(name).filter(|_| own(name)) else {
            let known = users
                .fields
                .iter()
                .map(|field| &*field.name)
                .filter(|name| own(name));
            let known: Vec<&str> = known.collect();
            return Err(ServiceError::UnknownField(format!(
                "'users' has no own field '{name}'{}",
                suggestion(name, known)
            )));
        };
        let value = Value::from_json(users.field(field).ty, json).map_err(|error| {
            ServiceError::BadValue {
                field: name.clone(),
                message: error.to_string(),
            }
        })?;
        columns.push((name.clone(), value));
    }
    Ok(columns)
}

fn check_name(what: &str, name: &str) -> Result<(), ServiceError> {
    let wrong = |message: &str| Err(ServiceError::invalid(what, message));
    if name.is_empty() {
        return wrong("must not be empty");
    }
    if name.len() > MAX_NAME_BYTES {
        return wrong("must not be longer than 254 bytes");
    }
    if name.chars().any(char::is_control) {
        return wrong("must not contain control characters");
    }
    if name.trim() != name {
        return wrong("must not begin or end with a space");
    }
    if RESERVED_KEYS
        .iter()
        .any(|reserved| reserved.eq_ignore_ascii_case(name))
    {
        return Err(ServiceError::invalid(
            what,
            format!("'{name}' is reserved; choose another"),
        ));
    }
    Ok(())
}

pub(crate) fn check_password(password: &str) -> Result<(), ServiceError> {
    if PASSWORD_CHARACTERS.contains(&password.chars().count()) {
        Ok(())
    } else {
        Err(ServiceError::invalid(
            "password",
            "must have 8 to 128 characters",
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(username: &str) -> NewUser {
        NewUser {
            username: Some(username.into()),
            ..NewUser::default()
        }
    }

    #[test]
    fn names_that_mean_something_else_are_refused() {
        for name in RESERVED_KEYS {
            assert!(named(name).check().is_err(), "{name}");
        }
        for name in [
            "",
            " anna",
            "anna\n",
            "Public",
            "a@b.example",
            &"x".repeat(255),
        ] {
            assert!(named(name).check().is_err(), "{name:?}");
        }
        for name in ["anna", "Anna Å", "o'neil", &"x".repeat(254)] {
            assert!(named(name).check().is_ok(), "{name:?}");
        }
        let own = NewUser {
            email: Some("Anna@school.example".into()),
            ..named("anna@school.example")
        };
        assert!(own.check().is_ok());
    }

    #[test]
    fn passwords_are_counted_in_characters() {
        assert!(check_password("1234567").is_err());
        assert!(check_password("åäöåäöåä").is_ok());
        assert!(check_password(&"ö".repeat(128)).is_ok());
        assert!(check_password(&"ö".repeat(129)).is_err());
    }
}
