//! Accounts: made and listed. How they are changed and ended is in `change`, what may be said of them in `checks`, how they
//! are found by what they are called in `named`.

mod change;
mod checks;
mod named;

use std::sync::Arc;

use portreeve_gate::{Caller, CreateUser, Past, Sent};
use portreeve_policy::{Binding, BoundTo, suggestion};
use portreeve_store::{AccountSummary, StoreError};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::passwords::{check_hash, check_password};
use crate::{Portreeve, ServiceError, Written};

pub use change::UserChange;
pub(crate) use change::{deleted, text};
pub(crate) use checks::{check_email, check_name, own_columns};
pub use named::UserField;

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
    /// The hash of its password instead, as this or another system has made it: for administrators, who bring accounts
    /// from elsewhere.
    pub password_hash: Option<String>,
    /// Roles to bind it to. Where neither roles nor profiles are given, it gets what `registration:` says.
    pub roles: Vec<String>,
    /// Profiles to bind it to.
    pub profiles: Vec<String>,
    /// Its status, where it is not to be active at once.
    pub status: Option<String>,
    /// Whether its address counts as confirmed.
    pub confirmed: Option<bool>,
    /// Who vouches for it, where that is somebody else.
    pub provider: Option<String>,
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

/// An account that was made.
#[derive(Clone, Debug)]
pub struct MadeUser {
    /// What was asked for.
    pub view: UserView,
    /// The record, as far as whoever made it may know it.
    pub record: Written,
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
        let names = [
            ("key", &self.key),
            ("username", &self.username),
            ("status", &self.status),
            ("provider", &self.provider),
        ];
        for (what, name) in names {
            name.as_deref()
                .map_or(Ok(()), |name| check_name(what, name))?;
        }
        // Otherwise somebody could be called like another one's address and take his sign-ins.
        let (username, email) = (self.username.as_deref(), self.email.as_deref());
        let own = |name: &str| email.is_some_and(|email| email.eq_ignore_ascii_case(name));
        if username.is_some_and(|name| name.contains('@') && !own(name)) {
            return Err(StoreError::NameIsAddress.into());
        }
        email.map_or(Ok(()), check_email)?;
        own_columns(&self.attributes)?;
        if let Some(hash) = &self.password_hash {
            if self.password.is_some() {
                let message = "is given, so leave the password out";
                return Err(ServiceError::invalid("password_hash", message));
            }
            check_hash(hash).map_err(|wrong| ServiceError::invalid("password_hash", wrong))?;
        }
        let names = [self.username.as_deref(), self.email.as_deref()];
        let password = self.password.as_deref();
        password.map_or(Ok(()), |password| check_password(password, &names))
    }

    // What is sent of it beside its names.
    fn sent(&self) -> Sent {
        let text = |name: &str, text: &Option<String>| {
            text.clone().map(|text| (name.to_owned(), Json::from(text)))
        };
        let confirmed = self
            .confirmed
            .map(|yes| ("confirmed".to_owned(), yes.into()));
        let own = self.attributes.clone().into_iter();
        text("status", &self.status)
            .into_iter()
            .chain(text("provider", &self.provider))
            .chain(confirmed)
            .chain(own)
            .collect()
    }
}

impl Portreeve {
    /// Makes an account, and says what it is.
    pub async fn create_user(
        &self,
        caller: &Caller,
        new: NewUser,
    ) -> Result<UserView, ServiceError> {
        Ok(self.make_user(caller, new).await?.view)
    }

    /// Makes an account, and says of it what its maker may know.
    pub async fn make_user(&self, caller: &Caller, new: NewUser) -> Result<MadeUser, ServiceError> {
        // Asked before the password is hashed, so that only those who may can make us work.
        self.gate.may_create_users(caller, new.password.is_some())?;
        if new.password_hash.is_some() {
            self.demand_administrator(caller)?;
        }
        // What is not said is what the policy gives to everybody who comes.
        if !(new.roles.is_empty() && new.profiles.is_empty()) {
            self.may(caller, "access.grant")?;
        }
        new.check()?;
        let bindings = match &new.past {
            None => self.bindings(caller, &new.roles, &new.profiles)?,
            Some(past) => self.known(caller, past.bindings.clone())?,
        };
        let user = self.new_user(new, bindings).await?;
        let _turn = self.administration.lock().await;
        let mut view = UserView::of(&user);
        let create = self.gate.create_user(caller, user)?;
        let collection = Arc::clone(create.operation().template().collection());
        let (outcome, number) = self
            .store
            .create_user(create)
            .await
            .map_err(account_error)?;
        view.number = number;
        let record = self.written(caller, collection, true, Ok(outcome))?;
        if !self.has_administrator() {
            self.note_administrator().await;
        }
        Ok(MadeUser { view, record })
    }

    // With its id, and the hash of its password.
    pub(crate) async fn new_user(
        &self,
        new: NewUser,
        bindings: Vec<Binding>,
    ) -> Result<CreateUser, ServiceError> {
        let attributes = new.sent();
        let password_hash = match new.password {
            Some(password) => Some(self.passwords.hash(password, &*self.entropy).await?),
            None => new.password_hash,
        };
        let (id, past) = match new.past {
            None => (self.new_id().to_string(), None),
            Some(past) => (past.id, Some(past.rest)),
        };
        Ok(CreateUser {
            key: new.key.unwrap_or_else(|| id.clone()),
            id,
            username: new.username,
            email: new.email,
            password_hash,
            attributes,
            bindings,
            past,
        })
    }

    /// Accounts in order of number, after the given one, with what they are bound to: for administrators. Everybody else
    /// reads the records of `users`.
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

    /// An account with all its fields and what it is bound to, for administrators.
    pub async fn show_user(&self, caller: &Caller, user: &str) -> Result<Json, ServiceError> {
        self.demand_administrator(caller)?;
        let account = self.store.system().credential_facts(user).await?;
        let facts = account.ok_or(ServiceError::NotFound)?.facts;
        let users = caller.snapshot().catalog().find_text("users");
        let users = users.ok_or_else(|| ServiceError::internal("no collection of users"))?;
        let mut shown = Map::new();
        for field in &users.fields {
            let value = facts.attributes.get(&field.name);
            let json = value.map_or(Json::Null, |value| value.to_json(field.ty));
            shown.insert(field.name.to_string(), json);
        }
        let bound = facts.bindings.iter().map(|binding| match &binding.to {
            BoundTo::Role(role) => format!("role '{role}'"),
            BoundTo::Profile(profile) => format!("profile '{profile}'"),
        });
        shown.insert("bound_to".into(), bound.collect());
        Ok(shown.into())
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
        self.first_bindings(caller, roles.chain(profiles).collect())
    }

    // Each once, the first as the one that is shown where one alone can be.
    pub(crate) fn first_bindings(
        &self,
        caller: &Caller,
        bound_to: Vec<BoundTo>,
    ) -> Result<Vec<Binding>, ServiceError> {
        let mut bindings: Vec<Binding> = vec![];
        for to in bound_to {
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
