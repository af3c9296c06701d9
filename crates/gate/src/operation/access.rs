//! Rights as they are handed out: roles and profiles authored, bindings made, changed and ended.

use std::sync::Arc;

use portreeve_policy::{BoundTo, ProfileDefinition, RoleDefinition, Snapshot};

use crate::Authority;

/// Change roles, profiles or registration, as one.
pub struct Author {
    /// What becomes of which part.
    pub changes: Vec<Authored>,
    /// The policy with all of it; its version is the one to be stored.
    pub compiled: Arc<Snapshot>,
    /// Take what falls away from whoever holds it, instead of refusing while somebody does.
    pub unbind: bool,
    /// What whoever does it gives as reason.
    pub why: Option<String>,
}

/// One part of a policy that is authored.
pub enum Authored {
    /// A role as it is from now on, and as it was.
    Role(Option<Box<RoleDefinition>>, Box<RoleDefinition>),
    /// A role that falls away.
    NoRole(Box<RoleDefinition>),
    /// A profile as it is from now on, and as it was.
    Profile(Option<Box<ProfileDefinition>>, Box<ProfileDefinition>),
    /// A profile that falls away.
    NoProfile(Box<ProfileDefinition>),
    /// What new accounts are bound to, and what they were.
    Registration(Vec<String>, Vec<String>),
}

/// Bind an account to a role or profile.
#[derive(Clone, Debug, Default)]
pub struct Bind {
    /// The account's id.
    pub user: String,
    /// The new binding.
    pub binding: portreeve_policy::Binding,
    /// What whoever does it gives as reason.
    pub why: Option<String>,
}

/// Give a binding other times, or make it the one that single-role faces show.
#[derive(Clone, Debug, Default)]
pub struct Rebind {
    /// The binding's id.
    pub id: String,
    /// From when it holds; `None` leaves it as it is.
    pub from: Option<Option<i64>>,
    /// Until when.
    pub until: Option<Option<i64>>,
    /// Whether it is the primary one.
    pub primary: Option<bool>,
    /// What whoever does it gives as reason.
    pub why: Option<String>,
}

/// End a binding.
#[derive(Clone, Debug, Default)]
pub struct Unbind {
    /// The binding's id.
    pub id: String,
    /// What whoever does it gives as reason.
    pub why: Option<String>,
}

/// Change what an account is bound to, as one: first what is made, then what is marked, then what ends, so that it is at
/// no moment bound to less than before and after.
#[derive(Clone, Debug, Default)]
pub struct Reassign {
    /// The account's id.
    pub user: String,
    /// New bindings.
    pub make: Vec<portreeve_policy::Binding>,
    /// The binding that is to be the primary one, by id.
    pub primary: Option<String>,
    /// The bindings that end, by id.
    pub end: Vec<String>,
    /// What whoever does it gives as reason.
    pub why: Option<String>,
}

/// An operation whose last word depends on what is stored: judged in the transaction that carries it out.
pub struct Judged<O> {
    pub(crate) operation: O,
    pub(crate) authority: Authority,
}

impl<O> Judged<O> {
    /// What is to be done.
    pub fn operation(&self) -> &O {
        &self.operation
    }

    /// Who says whether it may be.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }
}

impl Authored {
    /// What an audit calls its target.
    pub fn target(&self) -> &str {
        match self {
            Self::Role(_, role) | Self::NoRole(role) => &role.key,
            Self::Profile(_, profile) | Self::NoProfile(profile) => &profile.key,
            Self::Registration(..) => "registration",
        }
    }

    /// The role or profile that falls away.
    pub fn falls_away(&self) -> Option<BoundTo> {
        match self {
            Self::NoRole(role) => Some(BoundTo::Role(role.key.clone())),
            Self::NoProfile(profile) => Some(BoundTo::Profile(profile.key.clone())),
            _ => None,
        }
    }
}
