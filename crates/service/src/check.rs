//! Whether somebody may do something, answered without doing it.

use std::sync::Arc;

use portreeve_gate::{Caller, Refused};
use portreeve_model::{
    Collection, CollectionId, CollectionName, FieldDefault, FieldId, Value, read_entries,
};
use portreeve_policy::{
    Access, ActionId, Actions, Asker, CREATE_ONE, DELETE_ONE, Facts, Question, READ_COUNT,
    READ_MANY, READ_ONE, Record, RequestFacts, SHARE, SUBSCRIBE, Subject, UPDATE_ONE, eval,
    explain, suggestion,
};
use portreeve_store::StoreFacts;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::me::{Possible, all_actions, is_accounts, possible};
use crate::{Portreeve, ServiceError};

/// A question about a decision.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// Whose rights: a user by id, key, name, address or number, or `anonymous`. Oneself where there is none.
    #[serde(default)]
    pub subject: Option<String>,
    /// What would be done: an action, or `read`, `list`, `count`, `create`, `update`, `delete`.
    pub action: String,
    /// To what.
    #[serde(default)]
    pub collection: Option<String>,
    /// To which record.
    #[serde(default)]
    pub key: Option<String>,
    /// What would be sent.
    #[serde(default)]
    pub send: Option<Map<String, Json>>,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct CheckAnswer {
    /// `true`: allowed. Without a record, whether it is allowed on any.
    pub allowed: bool,
    /// Whether rows, fields or values limit what is allowed. Said where no record is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limited: Option<bool>,
    /// The policy version it was decided under.
    pub policy_version: u64,
}

/// A question that names what there is.
pub(crate) struct Asked {
    pub caller: Caller,
    pub action: ActionId,
    pub collection: Option<Arc<Collection>>,
    pub sent: Vec<(FieldId, Value)>,
    pub record: Option<Arc<Record>>,
    pub facts: StoreFacts,
    // What the gate says before any record is looked at.
    pub refused: Option<Refused>,
    // A record was named, and there is none.
    pub missing: bool,
    // A sent relation whose target is out of reach.
    pub bad_link: Option<FieldId>,
}

impl Portreeve {
    /// Whether the subject may do it. About oneself always, about others with `policy.simulate` and for those who see all
    /// that the subject sees.
    pub async fn check(
        &self,
        caller: &Caller,
        request: &CheckRequest,
    ) -> Result<CheckAnswer, ServiceError> {
        if request.subject.is_some() {
            self.may(caller, "policy.simulate")?;
        }
        let subject = self.subject(caller, request.subject.as_deref()).await?;
        // By what another one may do with a record, and by what he may not, one learns that it is there.
        let seen = caller.principal() != subject.principal();
        let asked = self.asked(caller, subject, request, seen).await?;
        let policy_version = asked.caller.snapshot().version();
        let answer = |allowed, limited| {
            Ok(CheckAnswer {
                allowed,
                limited,
                policy_version,
            })
        };
        match &asked.refused {
            Some(Refused::NotFound | Refused::Forbidden) => return answer(false, None),
            Some(refused) => return Err(refused.clone().into()),
            None => {}
        }
        if asked.missing || asked.bad_link.is_some() {
            return answer(false, None);
        }
        let decided = explain(
            asked.caller.snapshot(),
            &asked.asker(),
            &asked.question(),
            &asked.facts,
        );
        asked.facts.answered()?;
        let allowed = decided.decision == "allow";
        let open = request.key.is_none() && request.send.is_none();
        let limited = match &asked.collection {
            Some(collection) if allowed && open => {
                Some(self.possible(&asked, collection) != Possible::Yes)
            }
            _ => None,
        };
        answer(allowed, limited)
    }

    fn possible(&self, asked: &Asked, collection: &Collection) -> Possible {
        if asked.action.is_record() {
            return self.possible_with((&asked.caller).into(), collection, asked.action);
        }
        let name = asked.caller.snapshot().actions().name(asked.action);
        let rights = self.gate.special(&asked.caller, name, Some(collection.id));
        rights.map_or(Possible::No, |rights| possible(&rights, asked.action))
    }

    /// Makes a question of what was asked for. Whoever calls this has looked whether the caller may ask it. With `seen`, a
    /// record out of the caller's own reach is as if it were not there.
    pub(crate) async fn asked(
        &self,
        caller: &Caller,
        subject: Caller,
        request: &CheckRequest,
        seen: bool,
    ) -> Result<Asked, ServiceError> {
        let snapshot = Arc::clone(subject.snapshot());
        let action = self.action(&subject, &request.action, request.key.is_some())?;
        // Asks for records beside the subject's rights; what of them is told is for the callers of this to decide.
        let operator = self.operator();
        if operator.snapshot().version() != snapshot.version() {
            return Err(ServiceError::PolicyChanged);
        }
        let (name, collection) = match &request.collection {
            None => (None, None),
            Some(text) => {
                let name = CollectionName::parse(text).ok();
                let found = name
                    .as_ref()
                    .and_then(|name| snapshot.catalog().find(name))
                    .cloned();
                (name, found)
            }
        };
        let id = collection.as_ref().map(|collection| collection.id);
        let explain = self.gate.explain(&operator, id)?;
        let mut asked = Asked {
            caller: subject,
            action,
            collection,
            sent: vec![],
            record: None,
            facts: self.store.facts(&explain),
            refused: None,
            missing: false,
            bad_link: None,
        };
        if request.collection.is_some() && asked.collection.is_none() {
            asked.refused = Some(Refused::NotFound);
            return Ok(asked);
        }
        if let (Some(name), true) = (&name, action.is_record()) {
            asked.refused = match &asked.collection {
                Some(found) if is_accounts(found) => self.refused_account(&asked, request).await?,
                _ => self.refused(&asked, name, request),
            }
            .err();
        }
        let Some(collection) = asked.collection.clone() else {
            return Ok(asked);
        };
        asked.sent = typed(&collection, request.send.as_ref());
        if let Some(key) = &request.key {
            let found = match collection.parse_key(key) {
                Ok(key) => asked.facts.record(collection.id, &key).await?,
                Err(_) => None,
            };
            let reached = |record: &Record| {
                !seen || self.reaches(caller, collection.id, record, &asked.facts)
            };
            asked.record = found.filter(reached).map(Arc::new);
            asked.missing = asked.record.is_none();
        }
        asked.bad_link = asked.bad_link(self, &collection);
        asked.facts.answered()?;
        Ok(asked)
    }

    // What the gate would say to the operation itself, before any record is looked at.
    fn refused(
        &self,
        asked: &Asked,
        name: &CollectionName,
        request: &CheckRequest,
    ) -> Result<(), Refused> {
        let send = request
            .send
            .clone()
            .unwrap_or_default()
            .into_iter()
            .collect();
        let key = request.key.as_deref();
        match (asked.action, key) {
            (CREATE_ONE, _) if request.send.is_some() => {
                self.gate.create(&asked.caller, name, send).map(|_| ())
            }
            (UPDATE_ONE, Some(key)) => self.gate.update(&asked.caller, name, key, send).map(|_| ()),
            (DELETE_ONE, Some(key)) => self.gate.delete(&asked.caller, name, key).map(|_| ()),
            _ => Ok(()),
        }
    }

    // The same for accounts, which have operations of their own.
    async fn refused_account(
        &self,
        asked: &Asked,
        request: &CheckRequest,
    ) -> Result<Result<(), Refused>, ServiceError> {
        let sent = request.send.clone().map(|send| send.into_iter().collect());
        let target = match &request.key {
            Some(key) => Some(self.facts_of(key).await?),
            None => None,
        };
        Ok(self
            .gate
            .try_account(&asked.caller, asked.action, target.as_ref(), sent))
    }

    /// Reads `grades` or `grades/1`, `shop/orders` or `shop/orders/1`: the longest beginning that names a collection,
    /// and the rest as a key.
    pub fn target(&self, text: &str) -> (String, Option<String>) {
        let snapshot = self.gate.snapshot();
        let known = |name: &str| snapshot.catalog().find_text(name).is_some();
        let longest = std::iter::once(text.len())
            .chain(text.rmatch_indices('/').map(|(place, _)| place))
            .find(|place| known(&text[..*place]));
        let place = longest.or_else(|| text.rfind('/')).unwrap_or(text.len());
        (
            text[..place].to_owned(),
            text.get(place + 1..).map(str::to_owned),
        )
    }

    /// Whether a collection of that name is there, for those who may know.
    pub fn demand_collection(&self, caller: &Caller, name: &str) -> Result<(), ServiceError> {
        self.may(caller, "policy.explain")?;
        let catalog = caller.snapshot().catalog();
        if catalog.find_text(name).is_some() {
            return Ok(());
        }
        let names: Vec<String> = catalog
            .iter()
            .map(|collection| collection.name.to_string())
            .collect();
        let hint = suggestion(name, names.iter().map(String::as_str));
        Err(ServiceError::UnknownCollection {
            name: name.into(),
            hint,
        })
    }

    /// Whose rights are asked about. Somebody else's only where the asker sees all that he sees: by what another one may, and
    /// by what he may not, one learns of the records themselves.
    pub(crate) async fn subject(
        &self,
        caller: &Caller,
        name: Option<&str>,
    ) -> Result<Caller, ServiceError> {
        let Some(name) = name else {
            return Ok(caller.clone());
        };
        if name == "anonymous" {
            return Ok(self.gate.anonymous(self.now(), RequestFacts::default()));
        }
        let unknown = || ServiceError::UnknownUser(name.into());
        let id = self.find_user(caller, name).await?;
        if caller.user().is_some_and(|own| **own == *id) {
            return Ok(caller.clone());
        }
        let subject = self.account_caller(&id).await?.ok_or_else(unknown)?;
        let seen = self.sees_all_of(caller, &subject)?;
        seen.then_some(subject).ok_or_else(unknown)
    }

    // Whether a caller sees all that another one sees, under one and the same policy.
    pub(crate) fn sees_all_of(
        &self,
        caller: &Caller,
        other: &Caller,
    ) -> Result<bool, ServiceError> {
        if caller.snapshot().version() != other.snapshot().version() {
            return Err(ServiceError::PolicyChanged);
        }
        Ok(self.gate.sees_all_of(caller, other))
    }

    /// Whether a record is in a caller's reach.
    pub(crate) fn reaches(
        &self,
        caller: &Caller,
        collection: CollectionId,
        record: &Record,
        facts: &dyn Facts,
    ) -> bool {
        match self
            .gate
            .record_rights(caller, collection, READ_ONE)
            .reach()
        {
            Access::Never => false,
            Access::Always => true,
            Access::When(condition) => {
                eval(condition, Subject::read(record), caller.context(), facts) == Some(true)
            }
        }
    }

    /// Somebody's account as a caller, to judge what he may.
    pub(crate) async fn account_caller(&self, id: &str) -> Result<Option<Caller>, ServiceError> {
        let account = self.store.system().credential_facts(id).await?;
        let (now, facts) = (self.now(), RequestFacts::default());
        Ok(account.map(|account| self.gate.admit(&account.facts, now, facts)))
    }

    pub(crate) fn action(
        &self,
        caller: &Caller,
        name: &str,
        keyed: bool,
    ) -> Result<ActionId, ServiceError> {
        let actions = caller.snapshot().actions();
        // The words people use, and the prefixes that stand for one action or its sibling.
        let plain = match name {
            "read" | "data.read" if keyed => Some(READ_ONE),
            "read" | "data.read" | "list" => Some(READ_MANY),
            "count" => Some(READ_COUNT),
            "create" | "data.create" => Some(CREATE_ONE),
            "update" | "data.update" => Some(UPDATE_ONE),
            "delete" | "data.delete" => Some(DELETE_ONE),
            "share" => Some(SHARE),
            "subscribe" => Some(SUBSCRIBE),
            name => actions.find(name),
        };
        plain.ok_or_else(|| {
            // The application's own actions are part of its policy: only those who may see that are told of them.
            let sees_policy = self.may(caller, "policy.explain").is_ok();
            let known: Vec<&str> = all_actions(actions)
                .map(|action| actions.name(action))
                .filter(|name| sees_policy || Actions::is_reserved(name))
                .collect();
            let hint = suggestion(name, known);
            ServiceError::UnknownAction {
                name: name.into(),
                hint,
            }
        })
    }
}

impl Asked {
    pub fn asker(&self) -> Asker {
        Asker {
            roles: Arc::clone(self.caller.roles()),
            narrowing: self.caller.narrowing().to_vec(),
            context: self.caller.context().clone(),
        }
    }

    pub fn question(&self) -> Question {
        Question {
            action: self.action,
            collection: self.collection.as_ref().map(|collection| collection.id),
            record: self.record.clone(),
            field: None,
            sent: self.sent.clone(),
            created: self.created(),
        }
    }

    // A new record before any preset: defaults of the fields, and what is sent.
    fn created(&self) -> Option<Record> {
        let collection = self.collection.as_ref()?;
        if !self.action.is_create() || self.sent.is_empty() {
            return None;
        }
        let mut values: Vec<Value> = collection
            .fields
            .iter()
            .map(|field| match &field.default {
                None => Value::Null,
                Some(FieldDefault::Value(value)) => value.clone(),
                Some(FieldDefault::Now) => Value::Integer(self.caller.context().now),
            })
            .collect();
        for (field, value) in &self.sent {
            values[field.index()] = value.clone();
        }
        Some(Record(values))
    }

    // The first sent relation that is changed and names no record within the subject's read reach.
    fn bad_link(&self, portreeve: &Portreeve, collection: &Collection) -> Option<FieldId> {
        if !self.action.is_create() && !self.action.is_update() {
            return None;
        }
        let reached = |target: CollectionId, by: FieldId, value: &Value| {
            let found = self.facts.find(target, by, value);
            found
                .iter()
                .any(|record| portreeve.reaches(&self.caller, target, record, &self.facts))
        };
        self.sent
            .iter()
            .filter(|(_, value)| !value.is_null())
            .filter(|(field, value)| {
                self.record
                    .as_ref()
                    .is_none_or(|record| record.get(*field) != value)
            })
            .find(|(field, value)| {
                let relation = collection.field(*field).relation;
                relation.is_some_and(|to| !reached(to.target, to.by, value))
            })
            .map(|(field, _)| *field)
    }
}

// What cannot be read as a value of its field was refused by the gate already.
fn typed(collection: &Collection, send: Option<&Map<String, Json>>) -> Vec<(FieldId, Value)> {
    let mut values: Vec<(FieldId, Value)> = send
        .into_iter()
        .flatten()
        .filter_map(|(name, json)| {
            let field = collection.find_field(name)?;
            Some((
                field,
                Value::from_json(collection.field(field).ty, json).ok()?,
            ))
        })
        .collect();
    values.sort_by_key(|(field, _)| *field);
    let undeclared = send
        .into_iter()
        .flatten()
        .filter(|(name, _)| collection.undeclared(name).is_some())
        .map(|(name, json)| (name.as_str(), json))
        .collect::<Vec<_>>();
    if let (Some(overflow), false) = (collection.overflow(), undeclared.is_empty()) {
        values.extend(
            read_entries(undeclared.into_iter())
                .ok()
                .map(|value| (overflow, value)),
        );
    }
    values
}
