//! Who can do something: every active account for which [`Portreeve::check`] says yes.

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_gate::{Caller, CredentialFacts, Refused};
use portreeve_model::{Collection, CollectionName, Value};
use portreeve_policy::{
    Access, Asker, Binding, Clause, DELETE_ONE, Question, READ_COUNT, READ_MANY, READ_ONE,
    RequestFacts, Rights, Subject, UPDATE_ONE, eval, settled, suggestion,
};
use portreeve_store::StoreFacts;
use serde::Serialize;
use serde_json::{Map, Value as Json};

use super::{Accounts, Paths, PermissionPath, rights};
use crate::me::is_accounts;
use crate::{Portreeve, ServiceError};

/// So many accounts are told of at once at most.
pub const MAX_WHO: u32 = 1_000;

/// So many are looked at in one read.
const PAGE: u32 = 1_000;

/// Who can do what.
#[derive(Clone, Debug, Default)]
pub struct WhoCanRequest {
    /// What would be done, as [`crate::CheckRequest`] has it.
    pub action: String,
    /// To what.
    pub collection: Option<String>,
    /// To which record.
    pub key: Option<String>,
    /// Which field would be read.
    pub field: Option<String>,
    /// So many accounts at most, up to [`MAX_WHO`].
    pub limit: u32,
    /// Those after this one: the id that stood in `next`.
    pub after: Option<String>,
}

/// Who can.
#[derive(Clone, Debug, Serialize)]
pub struct WhoCan {
    /// Accounts, in the order they were made.
    pub data: Vec<Entitled>,
    /// What allows it to a request without a session; absent where it is denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anonymous: Option<Vec<PermissionPath>>,
    /// Whether the asker reads all accounts. Where he does not, there may be others, of whom he is told nothing.
    pub complete: bool,
    /// How it goes on.
    pub page: WhoPage,
    /// The policy version it was decided under.
    pub policy_version: u64,
}

/// A page.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WhoPage {
    /// So many at most.
    pub limit: u32,
    /// Whether there are more.
    pub more: bool,
    /// What `after` is to be for them.
    pub next: Option<String>,
}

/// Somebody who can.
#[derive(Clone, Debug, Serialize)]
pub struct Entitled {
    /// His account, as far as the asker reads it.
    pub user: Map<String, Json>,
    /// The permissions that suffice, none to spare, and through what he holds each.
    pub paths: Vec<PermissionPath>,
}

impl Portreeve {
    /// Who can do something. Takes `policy.who`; what is named must be known to the asker, a record in his reach.
    pub async fn who_can(
        &self,
        caller: &Caller,
        request: &WhoCanRequest,
    ) -> Result<WhoCan, ServiceError> {
        let proof = self.gate.who_can(caller)?;
        let operator = self.operator();
        let version = caller.snapshot().version();
        if operator.snapshot().version() != version {
            return Err(ServiceError::PolicyChanged);
        }
        // Judges by records beside the asker's rights; what he names of them is looked up under his own.
        let facts = self.store.facts(&self.gate.explain(&operator, None)?);
        let mut asking = self.asking(caller, request, &facts).await?;
        if asking.accounts {
            asking.target = match &request.key {
                Some(key) => Some(self.facts_of(key).await?),
                None => None,
            };
        }
        let accounts = Accounts::new(self, caller, &facts)?;
        let limit = request.limit.clamp(1, MAX_WHO);
        let mut after = self.position(&accounts, request.after.as_deref()).await?;
        let (mut data, mut next, mut more) = (vec![], None, false);
        'pages: loop {
            let members = self.store.members(&proof, after, PAGE).await?;
            let last = members.len() < PAGE as usize;
            // No more accounts are read than may be wanted, and those in one go.
            for some in members.chunks(limit as usize + 1) {
                let mut entitled = vec![];
                for member in some {
                    after = member.number;
                    let whom = self
                        .gate
                        .admit(&member.facts, asking.now, RequestFacts::default());
                    if let Some(clauses) = asking.clauses(&whom)? {
                        entitled.push((&member.facts, whom, clauses));
                    }
                }
                let ids: Vec<Value> = entitled
                    .iter()
                    .map(|(facts, ..)| Value::from(&*facts.user))
                    .collect();
                let mut shown = accounts.shown_of(&ids).await?;
                for (facts, whom, clauses) in entitled {
                    let Some(user) = shown.remove(&*facts.user) else {
                        continue;
                    };
                    if data.len() == limit as usize {
                        more = true;
                        break 'pages;
                    }
                    next = Some(facts.user.to_string());
                    let paths = asking.paths(&whom, &facts.bindings, &clauses);
                    data.push(Entitled { user, paths });
                }
            }
            if last {
                break;
            }
            // There may be many of them, and others wait.
            tokio::task::yield_now().await;
        }
        let nobody = self.gate.anonymous(asking.now, RequestFacts::default());
        let anonymous = asking
            .clauses(&nobody)?
            .map(|clauses| asking.paths(&nobody, &[], &clauses));
        Ok(WhoCan {
            data,
            anonymous,
            complete: accounts.all(),
            page: WhoPage {
                limit,
                more,
                next: next.filter(|_| more),
            },
            policy_version: version,
        })
    }

    // The number of the account that the page before ended with, which its reader has been told of.
    async fn position(
        &self,
        accounts: &Accounts<'_>,
        after: Option<&str>,
    ) -> Result<i64, ServiceError> {
        let Some(id) = after else {
            return Ok(i64::MIN);
        };
        let strange = || ServiceError::BadQuery("'after' is not what 'next' was".into());
        accounts.shown(id).await?.ok_or_else(strange)?;
        let account = self.store.system().credential_facts(id).await?;
        let number =
            account.and_then(|account| account.facts.attributes.get("number")?.as_integer());
        number.ok_or_else(strange)
    }

    async fn asking<'a>(
        &'a self,
        caller: &'a Caller,
        request: &'a WhoCanRequest,
        facts: &'a StoreFacts,
    ) -> Result<Asking<'a>, ServiceError> {
        let action = self.action(caller, &request.action, request.key.is_some())?;
        let collection = match &request.collection {
            None => None,
            Some(name) => {
                let name = CollectionName::parse(name).map_err(|_| ServiceError::NotFound)?;
                let found = caller.snapshot().catalog().find(&name);
                let known = found.filter(|found| self.gate.knows(caller, found.id));
                Some(Arc::clone(known.ok_or(ServiceError::NotFound)?))
            }
        };
        let (mut record, mut field) = (None, None);
        match &collection {
            None if action.is_record() || request.key.is_some() || request.field.is_some() => {
                return Err(ServiceError::invalid(
                    "collection",
                    "is missing; say where the action would be done",
                ));
            }
            None => {}
            Some(collection) => {
                let read = self.gate.record_rights(caller, collection.id, READ_ONE);
                if let Some(key) = &request.key {
                    record = Some(readable(caller, collection, &read, key, facts).await?);
                }
                if let Some(name) = &request.field {
                    if ![READ_ONE, READ_MANY, READ_COUNT].contains(&action) {
                        return Err(ServiceError::invalid(
                            "field",
                            "belongs to an action that reads; whether a field may be written depends on its value: ask POST /v1/check",
                        ));
                    }
                    let many = self.gate.record_rights(caller, collection.id, READ_MANY);
                    field = Some(known_field(collection, [&read, &many], name)?);
                }
            }
        }
        Ok(Asking {
            portreeve: self,
            caller,
            now: self.now(),
            key: request.key.as_deref(),
            question: Question {
                action,
                collection: collection.as_ref().map(|collection| collection.id),
                record: record.map(Arc::new),
                field,
                sent: vec![],
                created: None,
            },
            accounts: collection.as_deref().is_some_and(is_accounts),
            target: None,
            collection,
            facts,
            known: HashMap::new(),
        })
    }
}

// A record within the asker's reach; everything else is not there.
async fn readable(
    caller: &Caller,
    collection: &Collection,
    read: &Rights,
    key: &str,
    facts: &StoreFacts,
) -> Result<portreeve_policy::Record, ServiceError> {
    let key: Value = collection
        .parse_key(key)
        .map_err(|_| ServiceError::NotFound)?;
    let record = facts.record(collection.id, &key).await?;
    let record = record.ok_or(ServiceError::NotFound)?;
    let reached = match read.reach() {
        Access::Never => false,
        Access::Always => true,
        Access::When(condition) => {
            eval(condition, Subject::read(&record), caller.context(), facts) == Some(true)
        }
    };
    facts.answered()?;
    reached.then_some(record).ok_or(ServiceError::NotFound)
}

fn known_field(
    collection: &Collection,
    rights: [&Rights; 2],
    name: &str,
) -> Result<portreeve_model::FieldId, ServiceError> {
    let known = |field: &portreeve_model::FieldId| {
        let access = rights.map(|rights| rights.field(collection, *field));
        access.iter().any(|access| **access != Access::Never)
    };
    let found = collection.named_fields().filter(known);
    let found: Vec<_> = found.collect();
    let names = found.iter().map(|field| &*collection.field(*field).name);
    let place = names.clone().position(|known| *known == *name);
    match place {
        Some(place) => Ok(found[place]),
        None => Err(ServiceError::UnknownField(format!(
            "'{}' has no field '{name}'{}",
            collection.name,
            suggestion(name, names)
        ))),
    }
}

// The question, and what is known of it already: whoever holds the same is answered the same, unless rules look at who he
// is.
struct Asking<'a> {
    portreeve: &'a Portreeve,
    caller: &'a Caller,
    now: i64,
    key: Option<&'a str>,
    question: Question,
    collection: Option<Arc<Collection>>,
    // Whether it is about accounts, and about which.
    accounts: bool,
    target: Option<CredentialFacts>,
    facts: &'a StoreFacts,
    known: HashMap<(u64, u64), Option<Arc<[Clause]>>>,
}

impl Asking<'_> {
    /// The permissions that suffice for somebody, if there are.
    fn clauses(&mut self, whom: &Caller) -> Result<Option<Arc<[Clause]>>, ServiceError> {
        if !Arc::ptr_eq(whom.snapshot(), self.caller.snapshot()) {
            return Err(ServiceError::PolicyChanged);
        }
        let collection = self.collection.as_deref();
        let held = rights(whom, whom.roles(), self.question.action, collection);
        if *held.reach() == Access::Never {
            return Ok(None);
        }
        let read = collection.map(|_| rights(whom, whom.roles(), READ_ONE, collection));
        let same = (held.id(), read.as_ref().map_or(0, |read| read.id()));
        let bare = |rights: &Arc<Rights>| {
            let mut grants = rights.layers().iter().flat_map(|layer| layer.grants());
            grants.all(|grant| grant.body.rows.is_none() && grant.body.check.is_none())
        };
        let alike = self.question.record.is_none() || (bare(&held) && read.iter().all(bare));
        // What an account holds is compared with what each one holds.
        let alike = alike && !self.accounts;
        if alike && let Some(known) = self.known.get(&same) {
            return Ok(known.clone());
        }
        let asker = Asker {
            roles: Arc::clone(whom.roles()),
            narrowing: vec![],
            context: whom.context().clone(),
        };
        let found = settled(whom.snapshot(), &asker, &self.question, self.facts);
        self.facts.answered()?;
        let found = match found {
            Some(clauses) if self.passes(whom)? => Some(Arc::from(clauses)),
            _ => None,
        };
        if alike {
            self.known.insert(same, found.clone());
        }
        Ok(found)
    }

    // What the gate says to the operation itself, before any record is looked at.
    fn passes(&self, whom: &Caller) -> Result<bool, ServiceError> {
        let gate = &self.portreeve.gate;
        let (collection, key) = match (&self.collection, self.key) {
            (Some(collection), Some(key)) => (collection, key),
            (Some(collection), None) if self.accounts => (collection, ""),
            _ => return Ok(true),
        };
        let authorized = match self.question.action {
            action if self.accounts => gate.try_account(whom, action, self.target.as_ref(), None),
            UPDATE_ONE => gate.update(whom, &collection.name, key, vec![]).map(drop),
            DELETE_ONE => gate.delete(whom, &collection.name, key).map(drop),
            _ => Ok(()),
        };
        match authorized {
            Ok(()) => Ok(true),
            Err(Refused::NotFound | Refused::Forbidden) => Ok(false),
            Err(refused) => Err(refused.into()),
        }
    }

    fn paths(
        &self,
        whom: &Caller,
        bindings: &[Binding],
        clauses: &[Clause],
    ) -> Vec<PermissionPath> {
        let paths = Paths::new(whom, bindings);
        let collection = self.collection.as_deref();
        clauses
            .iter()
            .map(|clause| {
                let (role, place) = (clause.role.as_str(), clause.permission);
                paths.path(self.question.action, collection, role, place, clause.effect)
            })
            .collect()
    }
}
