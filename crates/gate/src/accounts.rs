//! Accounts: what can be asked of them, and who may. An account is a record of `users` and is judged like one, field by
//! field and in the transaction that writes it; on top of that stands what makes a record an account: its password,
//! what it is bound to, and that nobody reaches through it what he does not hold himself.

use std::sync::Arc;

use portreeve_model::{Collection, CollectionName, FieldId, Value};
use portreeve_policy::{
    ActionId, Binding, BoundTo, CREATE_ONE, DELETE_ONE, DeleteTemplate, Layer, READ_ONE, Rights,
    UPDATE_ONE, WriteKind, WriteTemplate,
};

use crate::{Authorized, Caller, CredentialFacts, Eyes, Gate, Refused, Sent};

/// What is changed about an account only by those whose rights contain the account's: who gets hold of these gets hold
/// of the account.
pub const TOUCHING: [&str; 6] = [
    "key",
    "username",
    "email",
    "status",
    "confirmed",
    "provider",
];

/// What an account has once and for all.
pub const LASTING: [&str; 3] = ["id", "number", "created"];

/// The status of an account whose address has to be confirmed before it signs in.
pub const UNCONFIRMED: &str = "unconfirmed";

/// The mark of rights that were narrowed to statements which grant all fields.
const WHOLE: u64 = u64::MAX;

/// An account that shall be made.
#[derive(Clone)]
pub struct CreateUser {
    /// Its id.
    pub id: String,
    /// Its chosen key; the id where none was chosen.
    pub key: String,
    /// The name it signs in by.
    pub username: Option<String>,
    /// The address it signs in by.
    pub email: Option<String>,
    /// The hash of its password; without one it cannot sign in.
    pub password_hash: Option<String>,
    /// What else is said of it by name: its status, its own columns.
    pub attributes: Sent,
    /// What it is bound to.
    pub bindings: Vec<Binding>,
    /// What it was before, where it comes from an export.
    pub past: Option<Past>,
}

/// What an account was where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// Its number.
    pub number: i64,
    /// Its status.
    pub status: String,
    /// Whether its address was confirmed.
    pub confirmed: bool,
    /// Who vouched for it.
    pub provider: String,
    /// When it was made, microseconds since 1970.
    pub created: i64,
}

/// How an account shall be changed.
#[derive(Clone, Default)]
pub struct ChangeUser {
    /// Its fields by name, of the product's and its own.
    pub sent: Sent,
    /// The hash of its new password.
    pub password_hash: Option<String>,
    /// What becomes of its sessions where it gets a new password.
    pub sessions: Sessions,
}

/// What becomes of an account's sessions where it gets a new password.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sessions {
    /// All of them end.
    #[default]
    End,
    /// All but the one of this id.
    EndOthers(Arc<str>),
    /// They go on.
    GoOn,
}

/// Make an account.
pub struct UserCreation {
    pub(crate) template: Arc<WriteTemplate>,
    pub(crate) values: Vec<(FieldId, Value)>,
    pub(crate) user: CreateUser,
    pub(crate) confirmation: Option<Confirmation>,
}

/// A mail that asks whoever has an address to confirm it, written down with the account that was made with it.
#[derive(Clone, Debug)]
pub struct Confirmation {
    /// The address.
    pub email: String,
    /// The page it leads to, where that is not the usual one.
    pub link: Option<String>,
    /// So many mails may wait; with more, nothing is done.
    pub at_most: usize,
}

impl UserCreation {
    /// How it is judged.
    pub fn template(&self) -> &Arc<WriteTemplate> {
        &self.template
    }

    /// What was sent, in the order of [`WriteTemplate::sent`].
    pub fn values(&self) -> &[(FieldId, Value)] {
        &self.values
    }

    /// The rest.
    pub fn user(&self) -> &CreateUser {
        &self.user
    }

    /// Whom to ask for the confirmation of his address.
    pub fn confirmation(&self) -> Option<&Confirmation> {
        self.confirmation.as_ref()
    }
}

/// Change an account.
pub struct UpdateUser {
    pub(crate) template: Arc<WriteTemplate>,
    pub(crate) key: Value,
    pub(crate) values: Vec<(FieldId, Value)>,
    pub(crate) password_hash: Option<String>,
    pub(crate) sessions: Sessions,
    pub(crate) verified: Option<String>,
    pub(crate) touch: Touch,
}

impl UpdateUser {
    /// How it is judged.
    pub fn template(&self) -> &Arc<WriteTemplate> {
        &self.template
    }

    /// Which account.
    pub fn key(&self) -> &Value {
        &self.key
    }

    /// What was sent, in the order of [`WriteTemplate::sent`].
    pub fn values(&self) -> &[(FieldId, Value)] {
        &self.values
    }

    /// The hash of its new password.
    pub fn password_hash(&self) -> Option<&str> {
        self.password_hash.as_deref()
    }

    /// What becomes of its sessions where it gets a new password.
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }

    /// The hash of the password that was shown, which must still be the account's.
    pub fn verified(&self) -> Option<&str> {
        self.verified.as_deref()
    }

    /// Whether its rights stand in the way.
    pub fn touch(&self) -> Touch {
        self.touch
    }
}

/// Delete an account.
pub struct DeleteUser {
    pub(crate) template: Arc<DeleteTemplate>,
    pub(crate) key: Value,
    pub(crate) verified: Option<String>,
    pub(crate) touch: Touch,
}

impl DeleteUser {
    /// How it is judged.
    pub fn template(&self) -> &Arc<DeleteTemplate> {
        &self.template
    }

    /// Which account.
    pub fn key(&self) -> &Value {
        &self.key
    }

    /// The hash of the password that was shown, which must still be the account's.
    pub fn verified(&self) -> Option<&str> {
        self.verified.as_deref()
    }

    /// Whether its rights stand in the way.
    pub fn touch(&self) -> Touch {
        self.touch
    }
}

/// What was decided by the rights of the account that is written. It is told only of an account that may be written
/// otherwise, so that nobody learns from it of one he cannot see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    /// Whether nothing about it is beyond the writer.
    pub contained: bool,
    /// The account's epoch when that was looked at; a write asserts that it is still the same.
    pub epoch: u64,
}

impl Gate {
    /// A new account, as the law of records has it: each field needs its right, and a password one to all fields.
    pub fn create_user(
        &self,
        caller: &Caller,
        user: CreateUser,
    ) -> Result<Authorized<UserCreation>, Refused> {
        let users = Self::users(caller)?;
        // Who it was before is for those to say who may say everything.
        if user.past.is_some() && !self.is_administrator(caller) {
            return Err(Refused::Forbidden);
        }
        let write = self.user_rights(caller, CREATE_ONE, user.password_hash.is_some())?;
        let read = self.rights(caller, users.id, READ_ONE);
        if !write.allows_something() {
            return Err(self.refuse(caller, users.id));
        }
        if !self.may_hand_out(caller, &user.bindings) {
            return Err(Refused::Forbidden);
        }
        let mut sent = user.attributes.clone();
        let key = (user.key != user.id).then_some(&user.key);
        let named = [
            ("key", key),
            ("username", user.username.as_ref()),
            ("email", user.email.as_ref()),
        ];
        for (name, text) in named {
            sent.extend(text.map(|text| (name.to_owned(), text.clone().into())));
        }
        let (template, values) =
            self.write_under(caller, WriteKind::Create, &write, &read, sent)?;
        let creation = UserCreation {
            template,
            values,
            user,
            confirmation: None,
        };
        Ok(self.proof(caller, creation))
    }

    /// A new account of somebody who signs up: no rights are asked for, and nothing is taken that the owner of an account
    /// may not say of it. Where an address is to be confirmed it is [`UNCONFIRMED`] until then, and `active` otherwise.
    pub fn register(
        &self,
        caller: &Caller,
        mut user: CreateUser,
        confirmation: Option<Confirmation>,
    ) -> Result<Authorized<UserCreation>, Refused> {
        let users = Self::users(caller)?;
        for (name, _) in &user.attributes {
            if name == "username" || !own_writable(&users, name) {
                return Err(unknown_own(&users, name));
            }
        }
        if user.past.is_some() || user.key != user.id {
            return Err(Refused::Forbidden);
        }
        if confirmation.is_some() {
            user.attributes
                .push(("status".to_owned(), UNCONFIRMED.into()));
        }
        let mut everything = self.operator(caller.context.now);
        everything.snapshot = Arc::clone(&caller.snapshot);
        let mut creation = self.create_user(&everything, user)?.operation;
        creation.confirmation = confirmation;
        Ok(self.proof(caller, creation))
    }

    /// A change of an account. `target` is what is known of it, nothing where there is none: then it is answered like one
    /// that is out of reach.
    pub fn update_user(
        &self,
        caller: &Caller,
        target: &CredentialFacts,
        change: ChangeUser,
    ) -> Result<Authorized<UpdateUser>, Refused> {
        let users = Self::users(caller)?;
        let password = change.password_hash.is_some();
        let write = self.user_rights(caller, UPDATE_ONE, password)?;
        let read = self.rights(caller, users.id, READ_ONE);
        if !write.allows_something() && !read.allows_something() {
            return Err(Refused::NotFound);
        }
        if caller.user() == Some(&target.user) && !self.is_administrator(caller) {
            // Whoever has got hold of a session has not got hold of the account.
            if password {
                return Err(Refused::Forbidden);
            }
            refuse_attributes(caller, &users, &change.sent)?;
        }
        let touches = password
            || change
                .sent
                .iter()
                .any(|(name, _)| TOUCHING.contains(&name.as_str()));
        let (template, values) =
            self.write_under(caller, WriteKind::Update, &write, &read, change.sent)?;
        let update = UpdateUser {
            template,
            key: Value::from(&*target.user),
            values,
            password_hash: change.password_hash,
            sessions: change.sessions,
            verified: None,
            touch: self.judge_touch(caller, target, touches),
        };
        Ok(self.proof(caller, update))
    }

    /// A change of one's own account by `account.*`: of its name and of what its owner may write, and of its password,
    /// where the one that was shown is still the account's.
    pub fn update_own(
        &self,
        caller: &Caller,
        verified: Option<String>,
        change: ChangeUser,
    ) -> Result<Authorized<UpdateUser>, Refused> {
        let user = caller.user().ok_or(Refused::Forbidden)?;
        let users = Self::users(caller)?;
        if change.password_hash.is_some() {
            self.may(caller, "account.password")?;
        }
        if !change.sent.is_empty() || change.password_hash.is_none() {
            self.may(caller, "account.update")?;
        }
        for (name, _) in &change.sent {
            if !own_writable(&users, name) {
                return Err(unknown_own(&users, name));
            }
        }
        let mut everything = self.operator(caller.context.now);
        everything.snapshot = Arc::clone(&caller.snapshot);
        let write = self.rights(&everything, users.id, UPDATE_ONE);
        // What is shown of the account is what its owner may read of it.
        let read = self.rights(caller, users.id, READ_ONE);
        let (template, values) =
            self.write_under(caller, WriteKind::Update, &write, &read, change.sent)?;
        let update = UpdateUser {
            template,
            key: Value::from(&**user),
            values,
            password_hash: change.password_hash,
            sessions: change.sessions,
            verified,
            touch: Touch {
                contained: true,
                epoch: caller.epoch,
            },
        };
        Ok(self.proof(caller, update))
    }

    /// The end of an account.
    pub fn delete_user(
        &self,
        caller: &Caller,
        target: &CredentialFacts,
    ) -> Result<Authorized<DeleteUser>, Refused> {
        let users = Self::users(caller)?;
        let delete = self.rights(caller, users.id, DELETE_ONE);
        let read = self.rights(caller, users.id, READ_ONE);
        if !delete.allows_something() && !read.allows_something() {
            return Err(Refused::NotFound);
        }
        let delete = DeleteUser {
            template: self.deletion(caller, &delete, &read, false),
            key: Value::from(&*target.user),
            verified: None,
            touch: self.judge_touch(caller, target, true),
        };
        Ok(self.proof(caller, delete))
    }

    /// The end of one's own account by `account.delete`.
    pub fn delete_own(
        &self,
        caller: &Caller,
        verified: Option<String>,
    ) -> Result<Authorized<DeleteUser>, Refused> {
        let user = caller.user().ok_or(Refused::Forbidden)?;
        let users = Self::users(caller)?;
        self.may(caller, "account.delete")?;
        let mut everything = self.operator(caller.context.now);
        everything.snapshot = Arc::clone(&caller.snapshot);
        let delete = self.rights(&everything, users.id, DELETE_ONE);
        let delete = DeleteUser {
            template: self.deletion(&everything, &delete, &delete, false),
            key: Value::from(&**user),
            verified,
            touch: Touch {
                contained: true,
                epoch: caller.epoch,
            },
        };
        Ok(self.proof(caller, delete))
    }

    /// Whether a caller may do this to his own account.
    pub fn may_own(&self, caller: &Caller, action: &str) -> Result<(), Refused> {
        caller.user().ok_or(Refused::Forbidden)?;
        self.may(caller, action)
    }

    /// Whether somebody may make accounts at all: asked before work is done for him.
    pub fn may_create_users(&self, caller: &Caller, with_password: bool) -> Result<(), Refused> {
        let users = Self::users(caller)?;
        let write = self.user_rights(caller, CREATE_ONE, with_password)?;
        if write.allows_something() {
            Ok(())
        } else {
            Err(self.refuse(caller, users.id))
        }
    }

    /// Whether somebody may give any account a password: asked before work is done for him.
    pub fn may_set_passwords(&self, caller: &Caller) -> Result<(), Refused> {
        let users = Self::users(caller)?;
        let write = self.user_rights(caller, UPDATE_ONE, true)?;
        if write.allows_something() {
            return Ok(());
        }
        let read = self.rights(caller, users.id, READ_ONE);
        Err(if read.allows_something() {
            Refused::Forbidden
        } else {
            Refused::NotFound
        })
    }

    /// Whether what an account is bound to is contained in what a caller holds, so that he may touch it.
    pub fn may_touch(&self, caller: &Caller, target: &CredentialFacts) -> bool {
        caller.user() == Some(&target.user)
            || self.authority(caller).may_touch(&target.bindings).is_ok()
    }

    /// Whether a caller may make an account that is bound to these.
    pub fn may_hand_out(&self, caller: &Caller, bindings: &[Binding]) -> bool {
        self.authority(caller).may_make(bindings).is_ok()
    }

    /// What can be done with accounts by operations of their own: the rights to it, and whether what accounts hold, or whose
    /// they are, limits it further. Nothing for what no operation does.
    pub fn account_rights<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        action: ActionId,
    ) -> Option<(Arc<Rights>, bool)> {
        let caller = eyes.into().caller();
        let users = Self::users(caller).ok()?;
        let rights = self.rights(caller, users.id, action);
        let limited = match action {
            CREATE_ONE => {
                let limited = !self.may_hand_out(caller, &usual_bindings(caller));
                if limited && self.may(caller, "access.grant").is_err() {
                    return None;
                }
                limited
            }
            UPDATE_ONE | DELETE_ONE => !self.is_administrator(caller),
            _ => return None,
        };
        Some((rights, limited))
    }

    /// Whether a field of accounts is written by operations of their own, and whether a caller may write it of all accounts as
    /// far as his rights to records say so.
    pub fn account_field<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        action: ActionId,
        name: &str,
    ) -> (bool, bool) {
        let caller = eyes.into().caller();
        let read_by_rules = || {
            let users = Self::users(caller).ok();
            users.is_none_or(|users| {
                let field = users.find_field(name).map(|field| users.field(field));
                field.is_none_or(|field| !field.self_writable)
                    && caller.snapshot.rule_attributes().contains(name)
            })
        };
        // Nobody writes of himself what rules read of him, nor touches an account that holds more than he does.
        let limited = action == UPDATE_ONE
            && (TOUCHING.contains(&name) || read_by_rules())
            && !self.is_administrator(caller);
        (!LASTING.contains(&name), !limited)
    }

    /// Whether an operation on an account would get past the gate, before any record is looked at: of a new one, or of one of
    /// which this is known.
    pub fn try_account(
        &self,
        caller: &Caller,
        action: ActionId,
        target: Option<&CredentialFacts>,
        sent: Option<Sent>,
    ) -> Result<(), Refused> {
        let lasting = |(name, _): &(String, _)| LASTING.contains(&name.as_str());
        if sent.iter().flatten().any(lasting) {
            return Err(Refused::Forbidden);
        }
        let contained = match (action, target) {
            (CREATE_ONE, _) => {
                let users = Self::users(caller)?;
                let (_, limited) = self
                    .account_rights(caller, CREATE_ONE)
                    .ok_or_else(|| self.refuse(caller, users.id))?;
                if sent.is_some() {
                    let new = CreateUser {
                        id: String::new(),
                        key: String::new(),
                        username: None,
                        email: None,
                        password_hash: None,
                        attributes: sent.unwrap_or_default(),
                        // Whoever says himself what it is bound to can say nothing.
                        bindings: if limited {
                            vec![]
                        } else {
                            usual_bindings(caller)
                        },
                        past: None,
                    };
                    self.create_user(caller, new)?;
                } else {
                    self.may_create_users(caller, false)?;
                }
                true
            }
            (UPDATE_ONE, Some(target)) => {
                let change = ChangeUser {
                    sent: sent.unwrap_or_default(),
                    ..ChangeUser::default()
                };
                let update = self.update_user(caller, target, change)?;
                update.operation().touch().contained
            }
            (DELETE_ONE, Some(target)) => {
                let delete = self.delete_user(caller, target)?;
                delete.operation().touch().contained
            }
            _ => true,
        };
        if contained {
            Ok(())
        } else {
            Err(Refused::Forbidden)
        }
    }

    fn judge_touch(&self, caller: &Caller, target: &CredentialFacts, touches: bool) -> Touch {
        Touch {
            contained: !touches || self.may_touch(caller, target),
            epoch: target.epoch,
        }
    }

    // The rights to write accounts; of those that grant all fields only, where something is written that is no field.
    fn user_rights(
        &self,
        caller: &Caller,
        action: ActionId,
        whole: bool,
    ) -> Result<Arc<Rights>, Refused> {
        let rights = self.rights(caller, Self::users(caller)?.id, action);
        if !whole {
            return Ok(rights);
        }
        let key = (rights.id(), WHOLE);
        if let Some(known) = self.narrowed.get(&key) {
            return Ok(known);
        }
        let layers = rights.layers().iter().map(|layer| Layer {
            allows: layer
                .allows
                .iter()
                .filter(|grant| grant.body.fields.is_all())
                .cloned()
                .collect(),
            denies: layer.denies.clone(),
        });
        let narrowed = Rights::new(rights.collection(), action, layers.collect());
        let narrowed = Arc::new(narrowed);
        self.narrowed.put(key, Arc::clone(&narrowed));
        Ok(narrowed)
    }

    fn users(caller: &Caller) -> Result<Arc<Collection>, Refused> {
        let id = Self::find(caller, &CollectionName::main("users"))?;
        Ok(Arc::clone(caller.snapshot.catalog().get(id)))
    }
}

// What accounts are bound to where nothing else is said.
fn usual_bindings(caller: &Caller) -> Vec<Binding> {
    let roles = caller.snapshot.registration_roles().iter();
    let bound = roles.map(|role| Binding {
        to: BoundTo::Role(role.clone()),
        ..Binding::default()
    });
    bound.collect()
}

/// Whether the owner of an account may write this of it: its name, and own columns that are declared so.
pub fn own_writable(users: &Collection, name: &str) -> bool {
    name == "username"
        || users
            .find_field(name)
            .is_some_and(|field| users.field(field).self_writable)
}

// The same for a field that there is and its owner may not write, and for one that there is not.
fn unknown_own(users: &Collection, name: &str) -> Refused {
    let known: Vec<&str> = users
        .field_ids()
        .map(|field| &*users.field(field).name)
        .filter(|known| own_writable(users, known))
        .collect();
    Refused::UnknownField(format!(
        "there is no field '{name}' of an account that its owner may write{}",
        portreeve_policy::suggestion(name, known)
    ))
}

// No owner writes what rules read of him, unless it is declared so.
fn refuse_attributes(caller: &Caller, users: &Collection, sent: &Sent) -> Result<(), Refused> {
    let read_by_rules = |name: &str| {
        let field = users.find_field(name).map(|field| users.field(field));
        field.is_some_and(|field| !field.self_writable)
            && caller.snapshot.rule_attributes().contains(name)
    };
    if sent.iter().any(|(name, _)| read_by_rules(name)) {
        return Err(Refused::Forbidden);
    }
    Ok(())
}

/// Look at all accounts and what they are bound to, as the command line does.
pub struct ListUsers;

impl Gate {
    /// All accounts at once, for administrators; everybody else reads them as the records they are.
    pub fn list_users(&self, caller: &Caller) -> Result<Authorized<ListUsers>, Refused> {
        if self.is_administrator(caller) {
            Ok(self.proof(caller, ListUsers))
        } else {
            Err(Refused::Forbidden)
        }
    }
}
