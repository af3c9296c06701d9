//! Admits callers and authorizes operations.

mod aggregate;
mod change;
mod mass;
mod write;

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use arc_swap::ArcSwap;
use portreeve_model::{
    CollectionId, CollectionName, FieldId, FieldType, Literal, Page, Query, RecordQuery, Value,
};
use portreeve_policy::{
    Access, ActionId, Context, DeleteTemplate, Neighbourhood, READ_COUNT, READ_MANY, READ_ONE,
    RequestFacts, Rights, RoleSet, Scope, Snapshot, WriteKind, WriteTemplate,
};

use crate::cache::Cache;
use crate::planner::{Planned, PlannedAggregate, Planner};
use crate::{
    ApplyPolicy, Authorized, Caller, CredentialFacts, Explain, Eyes, Judged, MAX_SELECTED,
    Principal, Read, Refused, Window, caller_value,
};

/// The one place that admits callers and authorizes what they ask.
pub struct Gate {
    snapshot: ArcSwap<Snapshot>,
    development: bool,
    most_selected: u32,
    epochs: RwLock<HashMap<Arc<str>, u64>>,
    plans: Cache<PlanKey, Planned>,
    aggregates: Cache<aggregate::AggregateKey, PlannedAggregate>,
    writes: Cache<WriteKey, CachedWrite>,
    deletes: Cache<(u64, u64, bool), DeleteTemplate>,
    pub(crate) narrowed: Cache<(u64, u64), Rights>,
    pub(crate) neighbourhoods: Cache<(u64, Neighbourhood), RoleSet>,
}

// The roles in force and all that narrows them.
type RolesKey = (u64, Vec<u64>);

#[derive(PartialEq, Eq, Hash, Clone)]
struct PlanKey {
    roles: RolesKey,
    shape: Shape,
}

#[derive(PartialEq, Eq, Hash, Clone)]
enum Shape {
    List(Box<Query>, ActionId),
    Record(RecordQuery),
}

#[derive(PartialEq, Eq, Hash, Clone)]
struct WriteKey {
    kind: WriteKind,
    roles: RolesKey,
    rights: (u64, u64),
    sent: Vec<FieldId>,
}

struct CachedWrite {
    template: Arc<WriteTemplate>,
    depends: Vec<(CollectionId, ActionId, u64)>,
}

/// A list as asked for: the query's shape, and the values and numbers that go into it.
#[derive(Clone, Debug)]
pub struct ListRequest {
    /// The shape; its literals are [`Literal::Caller`].
    pub query: Query,
    /// What they stand for.
    pub values: Vec<Literal>,
    /// The cursor's values, which begin at its `first` caller value, as they were given out.
    pub cursor: Vec<Value>,
    /// How many records at most; 0 asks for the total alone.
    pub limit: u32,
    /// How many to skip.
    pub offset: u64,
}

/// A write's fields as sent.
pub type Sent = Vec<(String, serde_json::Value)>;

impl Gate {
    /// A gate in front of this policy.
    pub fn new(snapshot: Snapshot, development: bool) -> Self {
        Self {
            snapshot: ArcSwap::from_pointee(snapshot),
            development,
            most_selected: MAX_SELECTED,
            epochs: RwLock::default(),
            plans: Cache::new(4_096),
            aggregates: Cache::new(1_024),
            writes: Cache::new(4_096),
            deletes: Cache::new(1_024),
            narrowed: Cache::new(4_096),
            neighbourhoods: Cache::new(1_024),
        }
    }

    /// Has one request change a selection of so many records at most.
    #[must_use]
    pub fn selecting_at_most(mut self, most: u32) -> Self {
        self.most_selected = most;
        self
    }

    /// The policy in force.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Whether this is development mode.
    pub fn development(&self) -> bool {
        self.development
    }

    /// Puts a policy in force. Called before the change that made it is acknowledged.
    pub fn publish(&self, snapshot: Arc<Snapshot>) {
        self.snapshot.store(snapshot);
        self.plans.clear();
        self.aggregates.clear();
        self.writes.clear();
        self.deletes.clear();
        self.narrowed.clear();
        self.neighbourhoods.clear();
    }

    /// Says that a user's bindings, status, password or keys have changed: whoever was admitted before is admitted anew.
    pub fn advance_epoch(&self, user: &str, epoch: u64) {
        self.epochs
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(Arc::from(user))
            .and_modify(|known| *known = epoch.max(*known))
            .or_insert(epoch);
    }

    /// Forgets what was said of epochs: for whoever has forgotten all callers as well.
    pub fn forget_epochs(&self) {
        self.epochs
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }

    /// Whether an admitted caller is still as it was admitted. Checked at each request that reuses an admission.
    pub fn is_current(&self, caller: &Caller, now: i64) -> bool {
        if caller.valid_until.is_some_and(|until| until <= now)
            || !Arc::ptr_eq(&caller.snapshot, &self.snapshot.load())
        {
            return false;
        }
        match &caller.principal {
            Principal::User(user) | Principal::Share { creator: user, .. } => {
                let epochs = self.epochs.read().unwrap_or_else(PoisonError::into_inner);
                epochs.get(user).is_none_or(|epoch| *epoch == caller.epoch)
            }
            Principal::Anonymous | Principal::Operator => true,
        }
    }

    /// Admits a user whose credential the service has verified.
    pub fn admit(&self, facts: &CredentialFacts, now: i64, request: RequestFacts) -> Caller {
        let snapshot = self.snapshot.load_full();
        let admission = snapshot.admit(&facts.bindings, now);
        let context = Context {
            user: Some(Arc::clone(&facts.attributes)),
            roles: Arc::clone(admission.roles.keys()),
            now,
            request,
            claims: Arc::default(),
        };
        Caller {
            principal: Principal::User(Arc::clone(&facts.user)),
            roles: admission.roles,
            bindings: facts.bindings.as_slice().into(),
            narrowing: vec![],
            session: None,
            context,
            epoch: facts.epoch,
            valid_until: admission.valid_until,
            snapshot,
        }
    }

    /// The same caller with the claims of its token.
    pub fn with_claims(
        &self,
        caller: &Caller,
        claims: serde_json::Map<String, serde_json::Value>,
    ) -> Caller {
        let mut caller = caller.clone();
        caller.context.claims = Arc::new(claims);
        caller
    }

    /// The same caller limited to what these roles would also allow, as in a request that names one of its roles, beside
    /// all that it was limited to before. `None` where a role does not exist.
    pub fn narrow(&self, caller: &Caller, roles: &[String]) -> Option<Caller> {
        let narrowing = caller.snapshot.narrowing(roles)?;
        let mut caller = caller.clone();
        caller.narrowing.push(narrowing);
        Some(caller)
    }

    /// The same caller limited to what a scope would also allow, beside all that it was limited to before.
    pub fn narrow_to(&self, caller: &Caller, scope: &Scope) -> Caller {
        let mut caller = caller.clone();
        caller.narrowing.push(caller.snapshot.scope(scope));
        caller
    }

    /// Admits a request without a session.
    pub fn anonymous(&self, now: i64, request: RequestFacts) -> Caller {
        let snapshot = self.snapshot.load_full();
        let roles = snapshot.admit_anonymous();
        let context = Context {
            user: None,
            roles: Arc::clone(roles.keys()),
            now,
            request,
            claims: Arc::default(),
        };
        Caller {
            principal: Principal::Anonymous,
            roles,
            bindings: Arc::new([]),
            narrowing: vec![],
            session: None,
            context,
            epoch: 0,
            valid_until: None,
            snapshot,
        }
    }

    /// Admits whoever holds the data folder: the command line. An administrator.
    pub fn operator(&self, now: i64) -> Caller {
        let snapshot = self.snapshot.load_full();
        let roles = snapshot
            .narrowing(&["admin".into()])
            .unwrap_or_else(|| snapshot.admit_anonymous());
        let context = Context {
            now,
            roles: Arc::clone(roles.keys()),
            ..Context::default()
        };
        Caller {
            principal: Principal::Operator,
            roles,
            bindings: Arc::new([]),
            narrowing: vec![],
            session: None,
            context,
            epoch: 0,
            valid_until: None,
            snapshot,
        }
    }

    /// What a caller may do with an action on a collection's records.
    pub(crate) fn rights(
        &self,
        caller: &Caller,
        collection: CollectionId,
        action: ActionId,
    ) -> Arc<Rights> {
        let ask =
            |roles: &RoleSet| roles.rights(&caller.snapshot, collection, action, &caller.context);
        let narrowing = caller.narrowing.iter();
        narrowing.fold(ask(&caller.roles), |own, more| self.join(own, ask(more)))
    }

    pub(crate) fn join(&self, own: Arc<Rights>, narrowing: Arc<Rights>) -> Arc<Rights> {
        let key = (own.id(), narrowing.id());
        if let Some(joined) = self.narrowed.get(&key) {
            return joined;
        }
        let joined = Arc::new(Rights::narrowed(&own, &narrowing));
        self.narrowed.put(key, Arc::clone(&joined));
        joined
    }

    /// What a caller may do with an action that is not on records.
    pub fn special<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        action: &str,
        collection: Option<CollectionId>,
    ) -> Option<Arc<Rights>> {
        let caller = eyes.into().caller();
        let action = caller.snapshot.actions().find(action)?;
        let ask = |roles: &RoleSet| {
            roles.special(
                &caller.snapshot,
                action,
                collection,
                &caller.context,
                self.development,
            )
        };
        let narrowing = caller.narrowing.iter();
        Some(narrowing.fold(ask(&caller.roles), |own, more| self.join(own, ask(more))))
    }

    /// Rights as [`Gate::rights`], for those who explain or show them.
    pub fn record_rights<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        collection: CollectionId,
        action: ActionId,
    ) -> Arc<Rights> {
        self.rights(eyes.into().caller(), collection, action)
    }

    pub(crate) fn may(&self, caller: &Caller, action: &str) -> Result<(), Refused> {
        let rights = self.special(caller, action, None);
        if rights.is_some_and(|rights| *rights.reach() == Access::Always) {
            Ok(())
        } else {
            Err(Refused::Forbidden)
        }
    }

    /// Whether a caller may see that a collection exists: something on its records is allowed.
    pub fn knows<'a>(&self, eyes: impl Into<Eyes<'a>>, collection: CollectionId) -> bool {
        let caller = eyes.into().caller();
        (0..portreeve_policy::RECORD_ACTIONS)
            .map(ActionId)
            .any(|action| self.rights(caller, collection, action).allows_something())
    }

    // System collections are written by typed operations only, and what has no key by nothing, whoever asks.
    fn writable(&self, caller: &Caller, rights: Arc<Rights>) -> Arc<Rights> {
        if caller
            .snapshot
            .catalog()
            .get(rights.collection())
            .is_sealed()
        {
            return Arc::new(Rights::nothing(rights.collection(), rights.action()));
        }
        rights
    }

    // Not allowed: forbidden where the collection can be seen, otherwise as if it were not there.
    pub(crate) fn refuse(&self, caller: &Caller, collection: CollectionId) -> Refused {
        if self.knows(caller, collection) {
            Refused::Forbidden
        } else {
            Refused::NotFound
        }
    }

    pub(crate) fn find(caller: &Caller, name: &CollectionName) -> Result<CollectionId, Refused> {
        caller
            .snapshot
            .catalog()
            .find(name)
            .map(|collection| collection.id)
            .ok_or(Refused::NotFound)
    }

    pub(crate) fn proof<O>(&self, caller: &Caller, operation: O) -> Authorized<O> {
        Authorized {
            operation,
            context: caller.context.clone(),
            principal: caller.principal.clone(),
            epoch: caller.epoch,
            snapshot: Arc::clone(&caller.snapshot),
        }
    }

    fn roles_key(caller: &Caller) -> RolesKey {
        let narrowing = caller.narrowing.iter().map(|roles| roles.id());
        (caller.roles.id(), narrowing.collect())
    }

    fn unchanged(&self, caller: &Caller, depends: &[(CollectionId, ActionId, u64)]) -> bool {
        depends
            .iter()
            .all(|(collection, action, id)| self.rights(caller, *collection, *action).id() == *id)
    }

    /// A list of records.
    pub fn list<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        request: ListRequest,
    ) -> Result<Authorized<Read>, Refused> {
        let caller = eyes.into().caller();
        let ListRequest {
            query,
            values,
            cursor,
            limit,
            offset,
        } = request;
        let collection = Self::find(caller, &query.collection)?;
        let mut rights = self.rights(caller, collection, READ_MANY);
        let rows = limit > 0;
        if !rights.allows_something() {
            // The right to count alone covers the whole collection's number and nothing finer.
            let plain = !rows && query.filter.is_none() && query.search.is_none();
            rights = self.rights(caller, collection, READ_COUNT);
            if !plain || !rights.allows_something() {
                return Err(self.refuse(caller, collection));
            }
        }
        let key = PlanKey {
            roles: Self::roles_key(caller),
            shape: Shape::List(Box::new(query), rights.action()),
        };
        let known = self
            .plans
            .get(&key)
            .filter(|planned| self.unchanged(caller, &planned.depends));
        let planned = match known {
            Some(planned) => planned,
            None => {
                let Shape::List(query, _) = &key.shape else {
                    return Err(Refused::NotFound);
                };
                let planned = Arc::new(Planner::new(self, caller).list(query, &rights, rows)?);
                self.plans.put(key.clone(), Arc::clone(&planned));
                planned
            }
        };
        let Shape::List(query, _) = &key.shape else {
            return Err(Refused::NotFound);
        };
        let values = typed(&planned.types, &values, &query.page, cursor)?;
        let plan = Arc::clone(&planned.plan);
        Ok(self.proof(
            caller,
            Read {
                plan,
                values,
                window: Window::Page { limit, offset },
            },
        ))
    }

    /// One record.
    pub fn record<'a>(
        &self,
        eyes: impl Into<Eyes<'a>>,
        query: RecordQuery,
        key: &str,
    ) -> Result<Authorized<Read>, Refused> {
        let caller = eyes.into().caller();
        let collection = Self::find(caller, &query.collection)?;
        let rights = self.rights(caller, collection, READ_ONE);
        if !rights.allows_something() {
            return Err(self.refuse(caller, collection));
        }
        let value = self.key(caller, collection, key)?;
        let shape = PlanKey {
            roles: Self::roles_key(caller),
            shape: Shape::Record(query),
        };
        let known = self
            .plans
            .get(&shape)
            .filter(|planned| self.unchanged(caller, &planned.depends));
        let planned = match known {
            Some(planned) => planned,
            None => {
                let Shape::Record(query) = &shape.shape else {
                    return Err(Refused::NotFound);
                };
                let planned = Arc::new(Planner::new(self, caller).record(query, &rights)?);
                self.plans.put(shape, Arc::clone(&planned));
                planned
            }
        };
        let plan = Arc::clone(&planned.plan);
        Ok(self.proof(
            caller,
            Read {
                plan,
                values: vec![],
                window: Window::Key(value),
            },
        ))
    }

    // A key that is no key of this collection names no record.
    fn key(&self, caller: &Caller, collection: CollectionId, key: &str) -> Result<Value, Refused> {
        let collection = caller.snapshot.catalog().get(collection);
        collection.parse_key(key).map_err(|_| Refused::NotFound)
    }

    /// A new policy.
    pub fn apply_policy(
        &self,
        caller: &Caller,
        operation: ApplyPolicy,
    ) -> Result<Authorized<Judged<ApplyPolicy>>, Refused> {
        self.may(caller, "policy.apply")?;
        let apart = !operation.bindings.is_empty() || !operation.templates.is_empty();
        if operation.tables || !apart {
            self.may(caller, "data.schema.sync")?;
        }
        if !operation.templates.is_empty() {
            self.administrator(caller)?;
        }
        for account in &operation.bindings {
            if !account.make.is_empty() || !account.change.is_empty() {
                self.may(caller, "access.grant")?;
            }
            if !account.end.is_empty() || !account.change.is_empty() {
                self.may(caller, "access.revoke")?;
            }
        }
        // Whole documents are not compared cell by cell: what is in them of rights is for administrators.
        if operation.rights {
            self.administrator(caller)?;
        }
        let authority = self.authority(caller);
        Ok(self.judged(caller, operation, authority))
    }

    /// Why a decision falls as it does.
    pub fn explain(
        &self,
        caller: &Caller,
        collection: Option<CollectionId>,
    ) -> Result<Authorized<Explain>, Refused> {
        self.may(caller, "policy.explain")?;
        Ok(self.proof(caller, Explain { collection }))
    }

    /// Whether this caller is an administrator, narrowed by nothing.
    pub fn is_administrator<'a>(&self, eyes: impl Into<Eyes<'a>>) -> bool {
        let caller = eyes.into().caller();
        caller.narrowing.is_empty()
            && self
                .special(caller, "access.grant", None)
                .is_some_and(|rights| {
                    rights
                        .layers()
                        .iter()
                        .all(portreeve_policy::Layer::administrator)
                })
    }

    pub(crate) fn administrator(&self, caller: &Caller) -> Result<(), Refused> {
        if self.is_administrator(caller) {
            Ok(())
        } else {
            Err(Refused::Forbidden)
        }
    }
}

fn typed(
    types: &[Option<FieldType>],
    literals: &[Literal],
    page: &Page,
    cursor: Vec<Value>,
) -> Result<Vec<Value>, Refused> {
    let mut values = Vec::with_capacity(types.len());
    for (index, literal) in literals.iter().enumerate() {
        values.push(match types.get(index).copied().flatten() {
            Some(ty) => caller_value(literal, ty).map_err(|error| Refused::BadQuery(error.0))?,
            None => Value::Null,
        });
    }
    if let Page::After { first, .. } = page {
        values.resize(*first, Value::Null);
        for (value, ty) in cursor.into_iter().zip(&types[*first..]) {
            let fits = match (&value, ty) {
                (Value::Null, _) => true,
                (Value::Text(_), Some(FieldType::Text | FieldType::Uuid)) => true,
                (Value::Float(_), Some(FieldType::Float)) => true,
                (Value::Boolean(_), Some(FieldType::Boolean)) => true,
                (Value::Integer(_), Some(ty)) => !matches!(
                    ty,
                    FieldType::Text
                        | FieldType::Uuid
                        | FieldType::Float
                        | FieldType::Json
                        | FieldType::Overflow
                        | FieldType::Boolean
                ),
                _ => false,
            };
            if !fits {
                return Err(Refused::BadQuery(
                    "the cursor does not belong to this list".into(),
                ));
            }
            values.push(value);
        }
    }
    if values.len() < types.len() {
        return Err(Refused::BadQuery(
            "the cursor does not belong to this list".into(),
        ));
    }
    Ok(values)
}
