//! The compiled engine over records held in memory: what `portreeve test` and the corpus run on. It drives the same
//! rights, conditions and judgements as the store does with SQL.

mod change;

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_model::{
    Catalog, CollectionId, FieldId, FieldType, KeySource, OnDelete, Rule, Value, too_much,
};

use crate::{
    Access, ActionId, CREATE_ONE, Context, DELETE_ONE, DeleteTemplate, Facts, Guards, Judgement,
    Purpose, READ_MANY, READ_ONE, Record, ResolveError, Resolver, Rights, RoleSet, Snapshot,
    Subject, UPDATE_ONE, WriteDenial, WriteKind, WriteRefusal, WriteTemplate, eval, keep,
};

/// Who asks a [`MemoryWorld`].
#[derive(Clone)]
pub struct Asker {
    /// The roles in force.
    pub roles: Arc<RoleSet>,
    /// What narrows them: all of these must allow, too.
    pub narrowing: Vec<Arc<RoleSet>>,
    /// The facts of the request.
    pub context: Context,
}

pub use change::MemoryStep;

/// Records in memory under a policy.
#[derive(Clone)]
pub struct MemoryWorld {
    snapshot: Arc<Snapshot>,
    records: HashMap<CollectionId, Vec<Arc<Record>>>,
}

/// A record as somebody sees it: the fields that exist for him, null where masked.
pub type Seen = Vec<(FieldId, Value)>;

/// What became of a write.
#[derive(Clone, Debug, PartialEq)]
pub enum MemoryOutcome {
    /// Done; the stored record.
    Stored(Record),
    /// Done.
    Deleted,
    /// Out of reach, or not there.
    NotFound,
    /// Seen, and not permitted.
    Forbidden,
    /// Refused for what was sent: an unknown field, a link out of reach, a required field missing.
    Invalid(String),
}

impl Facts for MemoryWorld {
    fn find(&self, collection: CollectionId, field: FieldId, value: &Value) -> Vec<Arc<Record>> {
        let records = self
            .records
            .get(&collection)
            .map(Vec::as_slice)
            .unwrap_or_default();
        records
            .iter()
            .filter(|record| record.get(field) == value)
            .cloned()
            .collect()
    }
}

struct AskerGuards<'a>(&'a MemoryWorld, &'a Asker);

impl Guards for AskerGuards<'_> {
    fn field(&self, collection: CollectionId, field: FieldId) -> Access {
        let rights = self.0.rights(self.1, collection, READ_MANY);
        rights
            .field(self.0.snapshot.catalog().get(collection), field)
            .clone()
    }

    fn reach(&self, collection: CollectionId) -> Access {
        self.0.rights(self.1, collection, READ_MANY).reach().clone()
    }
}

impl MemoryWorld {
    /// An empty world.
    pub fn new(snapshot: Arc<Snapshot>) -> Self {
        Self {
            snapshot,
            records: HashMap::new(),
        }
    }

    /// The policy.
    pub fn snapshot(&self) -> &Arc<Snapshot> {
        &self.snapshot
    }

    /// The collections.
    pub fn catalog(&self) -> &Catalog {
        self.snapshot.catalog()
    }

    /// Puts a record in, ruled by nothing.
    pub fn insert(&mut self, collection: CollectionId, record: Record) {
        self.records
            .entry(collection)
            .or_default()
            .push(Arc::new(record));
    }

    /// The records of a collection.
    pub fn records(&self, collection: CollectionId) -> &[Arc<Record>] {
        self.records
            .get(&collection)
            .map(Vec::as_slice)
            .unwrap_or_default()
    }

    /// The record with this key.
    pub fn get(&self, collection: CollectionId, key: &Value) -> Option<Arc<Record>> {
        self.find(collection, self.catalog().get(collection).key, key)
            .into_iter()
            .next()
    }

    /// What an asker may do with an action on a collection's records.
    pub fn rights(&self, asker: &Asker, collection: CollectionId, action: ActionId) -> Arc<Rights> {
        let ask =
            |roles: &Arc<RoleSet>| roles.rights(&self.snapshot, collection, action, &asker.context);
        asker.narrowing.iter().fold(ask(&asker.roles), |own, more| {
            Arc::new(Rights::narrowed(&own, &ask(more)))
        })
    }

    fn is_true(&self, asker: &Asker, access: &Access, subject: Subject<'_>) -> bool {
        match access {
            Access::Never => false,
            Access::Always => true,
            Access::When(condition) => eval(condition, subject, &asker.context, self) == Some(true),
        }
    }

    fn truths(
        &self,
        asker: &Asker,
        probes: &[portreeve_model::Condition],
        subject: Subject<'_>,
    ) -> Vec<bool> {
        probes
            .iter()
            .map(|probe| eval(probe, subject, &asker.context, self) == Some(true))
            .collect()
    }

    fn see(&self, asker: &Asker, rights: &Rights, record: &Record) -> Option<Seen> {
        let collection = self.catalog().get(rights.collection());
        let subject = Subject::read(record);
        self.is_true(asker, rights.reach(), subject).then(|| {
            let mut seen = vec![];
            for field in collection.field_ids() {
                let access = rights.field(collection, field);
                if *access != Access::Never {
                    let readable = self.is_true(asker, access, subject);
                    seen.push((
                        field,
                        if readable {
                            record.get(field).clone()
                        } else {
                            Value::Null
                        },
                    ));
                }
            }
            seen
        })
    }

    /// One record as the asker sees it.
    pub fn read(&self, asker: &Asker, collection: CollectionId, key: &Value) -> Option<Seen> {
        let record = self.get(collection, key)?;
        self.see(asker, &self.rights(asker, collection, READ_ONE), &record)
    }

    /// The records of a list, in order of key, as the asker sees them.
    pub fn list(
        &self,
        asker: &Asker,
        collection: CollectionId,
        filter: Option<&Rule>,
    ) -> Result<Vec<(Value, Seen)>, ResolveError> {
        let rights = self.rights(asker, collection, READ_MANY);
        let declared = Arc::clone(self.catalog().get(collection));
        if !rights.allows_something() {
            return Ok(vec![]);
        }
        let guards = AskerGuards(self, asker);
        let filter = match filter {
            None => Access::Always,
            Some(rule) => {
                let mut resolver =
                    Resolver::for_caller(self.catalog(), self.snapshot.rules(), &guards);
                Access::When(Arc::new(resolver.rule(Some(&declared), rule)?))
            }
        };
        let mut found = vec![];
        for record in self.records.get(&collection).into_iter().flatten() {
            if let Some(seen) = self.see(asker, &rights, record)
                && self.is_true(asker, &filter, Subject::read(record))
            {
                found.push((record.get(declared.key).clone(), seen));
            }
        }
        found.sort_by(|(a, _), (b, _)| crate::compare(a, b).unwrap_or(std::cmp::Ordering::Equal));
        Ok(found)
    }

    /// Whether the asker may see that a collection exists.
    pub fn knows(&self, asker: &Asker, collection: CollectionId) -> bool {
        (0..crate::RECORD_ACTIONS)
            .map(ActionId)
            .any(|action| self.rights(asker, collection, action).allows_something())
    }

    fn template(
        &self,
        asker: &Asker,
        kind: WriteKind,
        action: ActionId,
        collection: CollectionId,
        sent: Vec<FieldId>,
    ) -> Result<WriteTemplate, MemoryOutcome> {
        let (write, read) = (
            self.rights(asker, collection, action),
            self.rights(asker, collection, READ_ONE),
        );
        let refused = || {
            if self.knows(asker, collection) {
                MemoryOutcome::Forbidden
            } else {
                MemoryOutcome::NotFound
            }
        };
        let sealed = self.catalog().get(collection).is_sealed();
        if kind == WriteKind::Create && sealed {
            return Err(refused());
        }
        // System collections are written by typed operations only, and what has no key by nothing here; the record
        // decides what is told.
        let nothing = Rights::nothing(collection, action);
        let write = if sealed { &nothing } else { &*write };
        if kind == WriteKind::Update && !write.allows_something() && !read.allows_something() {
            return Err(MemoryOutcome::NotFound);
        }
        // Only who may write anything is told what he may not send.
        if write.allows_something()
            && let Some(outcome) = self.unwritable(collection, &sent)
        {
            return Err(outcome);
        }
        // Within reach is what can be read, one by one or in lists.
        let reach = |target| {
            let one = self.rights(asker, target, READ_ONE);
            one.reach()
                .or(self.rights(asker, target, READ_MANY).reach())
        };
        WriteTemplate::new(kind, write, &read, self.catalog(), sent, reach).map_err(|refusal| {
            match refusal {
                WriteRefusal::UnknownField(field) => MemoryOutcome::Invalid(format!(
                    "unknown field '{}'",
                    self.catalog().get(collection).field(field).name
                )),
                WriteRefusal::NotAllowed => refused(),
            }
        })
    }

    fn bad_link(&self, asker: &Asker, session: &crate::WriteSession<'_>) -> Option<MemoryOutcome> {
        session.links().find_map(|(link, value)| {
            let found = self.find(link.target, link.by, value);
            let reached = found
                .iter()
                .any(|target| self.is_true(asker, &link.reach, Subject::read(target)));
            (!reached)
                .then(|| MemoryOutcome::Invalid("a sent relation names no record in reach".into()))
        })
    }

    /// Creates a record; the world changes only where the answer is `Stored`.
    pub fn create(
        &mut self,
        asker: &Asker,
        collection: CollectionId,
        mut sent: Vec<(FieldId, Value)>,
    ) -> MemoryOutcome {
        sent.sort_by_key(|(field, _)| *field);
        let fields: Vec<FieldId> = sent.iter().map(|(field, _)| *field).collect();
        let template = match self.template(
            asker,
            WriteKind::Create,
            CREATE_ONE,
            collection,
            fields.clone(),
        ) {
            Ok(template) => template,
            Err(outcome) => return outcome,
        };
        let mut session = template.create(&sent, &asker.context);
        let mut invalid = None;
        while let Some(mut assignments) = session.next_attempt() {
            let bad_link = self.bad_link(asker, &session);
            if let Some(outcome) = bad_link.or_else(|| session.overfull().map(overfull)) {
                invalid = Some(outcome);
                continue;
            }
            let declared = self.catalog().get(collection);
            keep(declared, &mut assignments, None, &asker.context);
            let Some(record) = self.new_record(asker, collection, &assignments) else {
                invalid = Some(unstorable());
                continue;
            };
            let mut attempt = self.clone();
            attempt.insert(collection, record.clone());
            let subject = Subject {
                record: &record,
                old: None,
                sent: &fields,
                caller: &[],
            };
            let truths = attempt.truths(asker, template.probes_new(), subject);
            match session.judge(&truths) {
                Judgement::Accepted => {
                    *self = attempt;
                    return MemoryOutcome::Stored(record);
                }
                Judgement::TryNext => {}
                Judgement::Denied => return MemoryOutcome::Forbidden,
            }
        }
        invalid.unwrap_or(MemoryOutcome::Forbidden)
    }

    fn unwritable(&self, collection: CollectionId, sent: &[FieldId]) -> Option<MemoryOutcome> {
        let declared = self.catalog().get(collection);
        let why = |field: &FieldId| {
            let kept = declared.field(*field).kept.is_some();
            declared.unwritable(*field).filter(|_| kept).map(|why| {
                MemoryOutcome::Invalid(format!("'{}' {why}", declared.field(*field).name))
            })
        };
        sent.iter().find_map(why)
    }

    // None where a required field has no value, or a unique one is taken.
    fn new_record(
        &self,
        asker: &Asker,
        id: CollectionId,
        assignments: &[(FieldId, Value)],
    ) -> Option<Record> {
        let collection = self.catalog().get(id);
        let mut record = Record::draft(collection, assignments, asker.context.now);
        record.compose_key(collection);
        if record.get(collection.key).is_null() {
            record.0[collection.key.index()] = self.next_key(id)?;
        }
        self.storable(id, &record, None).then_some(record)
    }

    // Whether a database would take it: required fields, unique values, references that lead somewhere.
    fn storable(&self, id: CollectionId, record: &Record, replacing: Option<&Value>) -> bool {
        let collection = self.catalog().get(id);
        collection.field_ids().all(|field| {
            let (declared, value) = (collection.field(field), record.get(field));
            if value.is_null() {
                return declared.nullable || declared.is_filled();
            }
            let taken = || {
                let others = self.find(id, field, value);
                others
                    .iter()
                    .any(|other| Some(other.get(collection.key)) != replacing)
            };
            let dangling = || {
                declared.relation.is_some_and(|to| {
                    let itself = to.target == id && record.get(to.by) == value;
                    !itself && self.find(to.target, to.by, value).is_empty()
                })
            };
            !(declared.unique && taken() || dangling())
        })
    }

    fn next_key(&self, id: CollectionId) -> Option<Value> {
        let collection = self.catalog().get(id);
        let records = self.records.get(&id).map(Vec::as_slice).unwrap_or_default();
        match collection.key_source {
            KeySource::Sequence if collection.key_field().ty == FieldType::Integer => {
                let last = records
                    .iter()
                    .filter_map(|record| record.get(collection.key).as_integer())
                    .max();
                Some(Value::Integer(last.unwrap_or(0).max(0) + 1))
            }
            KeySource::Sequence | KeySource::Uuid => Some(Value::Text(format!(
                "00000000-0000-7000-8000-{:012x}",
                records.len() + 1
            ))),
            KeySource::Given => None,
        }
    }

    /// Changes a record; the world changes only where the answer is `Stored`.
    pub fn update(
        &mut self,
        asker: &Asker,
        collection: CollectionId,
        key: &Value,
        mut sent: Vec<(FieldId, Value)>,
    ) -> MemoryOutcome {
        sent.sort_by_key(|(field, _)| *field);
        let declared = Arc::clone(self.catalog().get(collection));
        let parts = declared.key_parts().unwrap_or_default();
        let values = declared.split_key(key).unwrap_or_default();
        let named = |field: FieldId| {
            let part = parts.iter().position(|part| *part == field);
            part.map_or(key, |part| values.get(part).unwrap_or(&Value::Null))
        };
        if sent
            .iter()
            .any(|(field, value)| declared.names_record(*field) && value != named(*field))
        {
            return MemoryOutcome::Invalid("a record's key cannot be changed".into());
        }
        sent.retain(|(field, _)| !declared.names_record(*field));
        let fields: Vec<FieldId> = sent.iter().map(|(field, _)| *field).collect();
        let template = match self.template(
            asker,
            WriteKind::Update,
            UPDATE_ONE,
            collection,
            fields.clone(),
        ) {
            Ok(template) => template,
            Err(outcome) => return outcome,
        };
        let Some(old) = self.get(collection, key) else {
            return MemoryOutcome::NotFound;
        };
        let before = Subject {
            record: &old,
            old: Some(&old),
            sent: &fields,
            caller: &[],
        };
        let truths = self.truths(asker, template.probes_old(), before);
        let mut session = match template.update(&sent, &asker.context, &old, truths) {
            Ok(session) => session,
            Err(WriteDenial::NotFound) => return MemoryOutcome::NotFound,
            Err(WriteDenial::Forbidden) => return MemoryOutcome::Forbidden,
        };
        let mut invalid = None;
        while let Some(mut assignments) = session.next_attempt() {
            let bad_link = self.bad_link(asker, &session);
            if let Some(outcome) = bad_link.or_else(|| session.overfull().map(overfull)) {
                invalid = Some(outcome);
                continue;
            }
            keep(&declared, &mut assignments, Some(&old), &asker.context);
            let mut record = (*old).clone();
            for (field, value) in assignments {
                record.0[field.index()] = value;
            }
            record.compose_key(self.catalog().get(collection));
            if !self.storable(collection, &record, Some(key)) {
                invalid = Some(unstorable());
                continue;
            }
            let mut attempt = self.clone();
            attempt.replace(collection, key, record.clone());
            let subject = Subject {
                record: &record,
                old: Some(&old),
                sent: &fields,
                caller: &[],
            };
            let truths = attempt.truths(asker, template.probes_new(), subject);
            match session.judge(&truths) {
                Judgement::Accepted => {
                    *self = attempt;
                    return MemoryOutcome::Stored(record);
                }
                Judgement::TryNext => {}
                Judgement::Denied => return MemoryOutcome::Forbidden,
            }
        }
        invalid.unwrap_or(MemoryOutcome::Forbidden)
    }

    fn replace(&mut self, collection: CollectionId, key: &Value, record: Record) {
        let key_field = self.catalog().get(collection).key;
        let record = Arc::new(record);
        for slot in self.records.entry(collection).or_default() {
            if slot.get(key_field) == key {
                *slot = Arc::clone(&record);
            }
        }
    }

    /// Deletes a record; the world changes only where the answer is `Deleted`.
    pub fn delete(
        &mut self,
        asker: &Asker,
        collection: CollectionId,
        key: &Value,
    ) -> MemoryOutcome {
        let delete = self.rights(asker, collection, DELETE_ONE);
        let read = self.rights(asker, collection, READ_ONE);
        let nothing = Rights::nothing(collection, DELETE_ONE);
        let delete = if self.catalog().get(collection).is_sealed() {
            &nothing
        } else {
            &*delete
        };
        let template = DeleteTemplate::new(delete, &read, self.catalog());
        let Some(record) = self.get(collection, key) else {
            return MemoryOutcome::NotFound;
        };
        let truths = self.truths(asker, template.probes(), Subject::read(&record));
        match template.judge(&truths) {
            Ok(()) => {
                let mut after = self.clone();
                if !after.remove(collection, key, 0) {
                    return MemoryOutcome::Invalid("another record depends on this one".into());
                }
                *self = after;
                MemoryOutcome::Deleted
            }
            Err(WriteDenial::NotFound) => MemoryOutcome::NotFound,
            Err(WriteDenial::Forbidden) => MemoryOutcome::Forbidden,
        }
    }

    // Takes a record away with what points at it, as declared; false where something must stay.
    fn remove(&mut self, collection: CollectionId, key: &Value, depth: usize) -> bool {
        let Some(record) = self.get(collection, key) else {
            return true;
        };
        let catalog = Arc::clone(self.snapshot.catalog());
        let key_field = catalog.get(collection).key;
        self.records
            .entry(collection)
            .or_default()
            .retain(|other| other.get(key_field) != key);
        for other in catalog
            .iter()
            .filter(|other| !other.system || other.name.name() == "users")
        {
            for field in other.field_ids() {
                let Some(to) = other
                    .field(field)
                    .relation
                    .filter(|to| to.target == collection)
                else {
                    continue;
                };
                for pointing in self.find(other.id, field, record.get(to.by)) {
                    let pointing_key = pointing.get(other.key).clone();
                    match to.on_delete {
                        OnDelete::Restrict => return false,
                        OnDelete::SetNull => {
                            let mut changed = (*pointing).clone();
                            changed.0[field.index()] = Value::Null;
                            self.replace(other.id, &pointing_key, changed);
                        }
                        OnDelete::Cascade if depth > 64 => return false,
                        OnDelete::Cascade => {
                            if !self.remove(other.id, &pointing_key, depth + 1) {
                                return false;
                            }
                        }
                    }
                }
            }
        }
        true
    }

    /// Whether an action that is not on records is allowed, on a record where one is named.
    pub fn can(
        &self,
        asker: &Asker,
        action: ActionId,
        on: Option<(CollectionId, Option<&Value>)>,
    ) -> bool {
        let collection = on.map(|(collection, _)| collection);
        let ask = |roles: &RoleSet| {
            roles.special(&self.snapshot, action, collection, &asker.context, true)
        };
        let mut rights = ask(&asker.roles);
        for narrowing in &asker.narrowing {
            rights = Arc::new(Rights::narrowed(&rights, &ask(narrowing)));
        }
        match (rights.reach(), on) {
            (Access::Never, _) => false,
            (Access::Always, _) => true,
            (reach, Some((collection, Some(key)))) => self
                .get(collection, key)
                .is_some_and(|record| self.is_true(asker, reach, Subject::read(&record))),
            // Allowed on some records, and none was named.
            (Access::When(_), _) => true,
        }
    }
}

fn overfull(name: &str) -> MemoryOutcome {
    MemoryOutcome::Invalid(format!("'{name}' {}", too_much()))
}

fn unstorable() -> MemoryOutcome {
    MemoryOutcome::Invalid(
        "a required field is missing, a unique value is taken, or a reference leads nowhere".into(),
    )
}

/// Checks that a rule is one a document could hold on this collection: for tests that make rules.
pub fn check_rule(
    snapshot: &Snapshot,
    collection: CollectionId,
    rule: &Rule,
    purpose: Purpose,
) -> Result<(), ResolveError> {
    let collection = Arc::clone(snapshot.catalog().get(collection));
    Resolver::for_policy(snapshot.catalog(), snapshot.rules(), purpose)
        .rule(Some(&collection), rule)
        .map(|_| ())
}
