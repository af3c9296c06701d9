//! What can be asked, as data, and the proof that it was allowed.

mod access;
mod change;

use std::sync::Arc;

use portreeve_model::{CollectionId, CollectionName, Value};
use portreeve_policy::{
    Binding, Context, DeleteTemplate, Document, Snapshot, TemplateDefinition, WriteTemplate,
};

use crate::{Principal, ReadPlan};

pub use access::*;
pub use change::*;

/// Proof that the gate has allowed `operation` for one caller under one policy version. The store executes nothing
/// else. It cannot be made, changed or turned into another outside this crate.
pub struct Authorized<O> {
    pub(crate) operation: O,
    pub(crate) context: Context,
    pub(crate) principal: Principal,
    pub(crate) epoch: u64,
    pub(crate) snapshot: Arc<Snapshot>,
}

impl<O> Authorized<O> {
    /// What was allowed.
    pub fn operation(&self) -> &O {
        &self.operation
    }

    /// The facts of the request it was allowed for.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// For whom.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// The principal epoch a write asserts.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The policy it was decided by; a write asserts its version.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }
}

/// Read records: a list, or one by its key.
pub struct Read {
    pub(crate) plan: Arc<ReadPlan>,
    pub(crate) values: Vec<Value>,
    pub(crate) window: Window,
}

/// Which records of the plan's.
#[derive(Clone, Debug, PartialEq)]
pub enum Window {
    /// The one with this key.
    Key(Value),
    /// So many, after skipping so many; one more is looked for to know whether there are more.
    Page {
        /// How many at most.
        limit: u32,
        /// How many to skip.
        offset: u64,
    },
}

impl Read {
    /// The resolved plan. Shared by all reads of one shape and one set of rights: a key for statement templates.
    pub fn plan(&self) -> &Arc<ReadPlan> {
        &self.plan
    }

    /// The values of `Slot::Caller`, by index, converted to the types the plan wants.
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    /// Which records.
    pub fn window(&self) -> &Window {
        &self.window
    }
}

/// Create a record.
pub struct Create {
    pub(crate) template: Arc<WriteTemplate>,
    pub(crate) values: Vec<(portreeve_model::FieldId, Value)>,
}

impl Create {
    /// How it is judged.
    pub fn template(&self) -> &Arc<WriteTemplate> {
        &self.template
    }

    /// What was sent, in the order of [`WriteTemplate::sent`].
    pub fn values(&self) -> &[(portreeve_model::FieldId, Value)] {
        &self.values
    }
}

/// Change a record.
pub struct Update {
    pub(crate) template: Arc<WriteTemplate>,
    pub(crate) key: Value,
    pub(crate) values: Vec<(portreeve_model::FieldId, Value)>,
}

impl Update {
    /// How it is judged.
    pub fn template(&self) -> &Arc<WriteTemplate> {
        &self.template
    }

    /// Which record.
    pub fn key(&self) -> &Value {
        &self.key
    }

    /// What was sent.
    pub fn values(&self) -> &[(portreeve_model::FieldId, Value)] {
        &self.values
    }
}

/// Delete a record.
pub struct Delete {
    pub(crate) template: Arc<DeleteTemplate>,
    pub(crate) key: Value,
}

impl Delete {
    /// How it is judged.
    pub fn template(&self) -> &Arc<DeleteTemplate> {
        &self.template
    }

    /// Which record.
    pub fn key(&self) -> &Value {
        &self.key
    }
}

/// Put a whole policy in force: collections, roles, profiles, rules, actions. Made by `plan`, executed as one.
pub struct ApplyPolicy {
    /// The policy as it is stored.
    pub document: Arc<Document>,
    /// The same, compiled; its version is the one to be stored.
    pub compiled: Arc<Snapshot>,
    /// The version it was planned against; another one in force means it must be planned anew.
    pub planned_on: u64,
    /// What changes, for the audit.
    pub summary: serde_json::Value,
    /// Collections and fields that fall away, with their data. Empty unless the plan was confirmed.
    pub drops: Vec<Drop>,
    /// Fields that keep their data under a new name.
    pub renames: Vec<Rename>,
    /// Whether it changes who may do what: roles, profiles, rules, actions, registration, the columns of accounts, or
    /// which tables of others are collections.
    pub rights: bool,
    /// Whether it changes tables.
    pub tables: bool,
    /// What becomes of the bindings of single accounts.
    pub bindings: Vec<AccountRebinding>,
    /// What becomes of the words of mails.
    pub templates: Vec<TemplateDefinition>,
}

/// What becomes of the bindings of an account.
#[derive(Clone, Debug)]
pub struct AccountRebinding {
    /// The account's id.
    pub user: String,
    /// Its epoch when that was planned; with another one it must be planned anew.
    pub epoch: u64,
    /// Those that end, by their ids.
    pub end: Vec<String>,
    /// Those that become others, which lead to the same.
    pub change: Vec<(String, Binding)>,
    /// Those that are new.
    pub make: Vec<Binding>,
}

/// Data that falls away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drop {
    /// The collection.
    pub collection: CollectionName,
    /// The field; the whole collection where there is none.
    pub field: Option<String>,
}

/// A field that keeps its data under a new name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rename {
    /// The collection.
    pub collection: CollectionName,
    /// The old name.
    pub from: String,
    /// The new name.
    pub to: String,
}

/// Tell why a decision falls as it does: reads records beside the asked-about caller's rights.
pub struct Explain {
    /// What the question is about.
    pub collection: Option<CollectionId>,
}
