//! A random world in a real store behind a real gate, asked the same questions as the referee.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use portreeve_gate::{
    AggregateRequest, ApplyPolicy, Asked, AskedWhat, Caller, CreateUser, Eyes, Gate, ListRequest,
    Refused, Sent, take_literals,
};
use portreeve_model::{
    Aggregate, AggregateQuery, Cell, Clock, Collection, CollectionName, Columns, Entropy,
    FieldType, OVERFLOW, Page, Query, RecordQuery, RecordSink, Value, read_entries,
    write_json_record,
};
use portreeve_policy::{Binding, Document, Precondition, Refusal, Snapshot};
use portreeve_store::{
    ChangeResult, ChangedRecord, Location, ReadOutcome, Store, StoreError, StoreOptions,
    Synchronous, WriteOutcome,
};

use crate::naive::{Aggregates, Answer, Record, Request, Subject, World};

mod home;
mod operation;
mod shared;

use home::Home;
pub use home::{Folder, On};

/// A clock that stands still unless told.
pub struct StillClock(pub i64);

impl Clock for StillClock {
    fn now(&self) -> i64 {
        self.0
    }
}

/// Entropy that repeats itself in every run.
pub struct SeededEntropy(AtomicU64);

impl SeededEntropy {
    /// Begins with this number.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Entropy for SeededEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let mut bits = self.0.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
            bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
            chunk.copy_from_slice(&(bits ^ (bits >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Collects records as JSON.
#[derive(Default)]
pub struct JsonLines(pub Vec<u8>);

impl RecordSink for JsonLines {
    fn record(&mut self, columns: &Columns, cells: &dyn portreeve_model::Cells) {
        write_json_record(&mut self.0, columns, cells);
        self.0.push(b'\n');
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

/// Collects records as values: booleans and decimals as the integers they are kept as.
#[derive(Default)]
struct Rows(Vec<Vec<Value>>);

impl RecordSink for Rows {
    fn record(&mut self, columns: &Columns, cells: &dyn portreeve_model::Cells) {
        let values = (0..columns.list.len()).map(|place| match cells.cell(place) {
            Cell::Integer(number) => Value::Integer(number),
            Cell::Float(float) => Value::Float(float),
            Cell::Text(text) => Value::from(text),
            Cell::Null | Cell::One(_) | Cell::Many(_) => Value::Null,
        });
        self.0.push(values.collect());
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

/// A world in a store.
pub struct StoredWorld {
    /// The store.
    pub store: Store,
    /// The gate before it.
    pub gate: Gate,
    /// What is stored, as the referee knows it.
    pub world: World,
    bindings: BTreeMap<String, Vec<Binding>>,
    home: Home,
}

/// Where a world is stored that has been left: it goes away with this.
pub struct Kept(Home);

impl Kept {
    /// Where it is.
    pub fn location(&self) -> Location {
        self.0.location()
    }
}

impl StoredWorld {
    /// Stores a world's policy and as much of its records as a database takes; `world` is then what is stored.
    pub async fn new(on: On, world: &World, now: i64) -> Self {
        Self::bound(on, world, now, BTreeMap::new()).await
    }

    /// The same where these users are bound to these roles and profiles.
    pub async fn bound(
        on: On,
        world: &World,
        now: i64,
        bindings: BTreeMap<String, Vec<Binding>>,
    ) -> Self {
        let home = Home::new(on);
        let mut options = StoreOptions::at(
            home.location(),
            Arc::new(StillClock(now)),
            Arc::new(SeededEntropy::new(1)),
        );
        options.synchronous = Synchronous::Normal;
        options.readers = 1;
        options.connections = 2;
        let store = Store::open(options).await.expect("a new folder opens");
        let empty = Snapshot::compile(&Document::default(), 0).expect("nothing is valid");
        let gate = Gate::new(empty, true);
        let compiled = Arc::new(Snapshot::compile(&world.document, 1).expect("the worlds compile"));
        let apply = ApplyPolicy {
            rights: true,
            tables: true,
            bindings: vec![],
            templates: vec![],
            document: Arc::new(world.document.clone()),
            compiled: Arc::clone(&compiled),
            planned_on: 0,
            summary: serde_json::Value::Null,
            drops: vec![],
            renames: vec![],
        };
        let operator = gate.operator(now);
        let apply = gate
            .apply_policy(&operator, apply)
            .expect("the operator may");
        // Nobody is bound to anything yet.
        let _ = store
            .apply_policy(apply)
            .await
            .expect("the worlds can be stored");
        gate.publish(compiled);
        let mut stored = Self {
            store,
            gate,
            world: world.clone(),
            bindings,
            home,
        };
        stored.fill(world, now).await;
        stored.read_back(now).await;
        stored
    }

    /// Lets go of the store, so that something else can open it.
    pub fn leave(self) -> (World, Kept) {
        (self.world, Kept(self.home))
    }

    // Whatever can be stored whole is; where references go round in a circle, one record at a time does without its
    // optional ones until the others are there.
    async fn fill(&self, world: &World, now: i64) {
        let operator = self.gate.operator(now);
        let mut accounts: Vec<&Record> = world.users.values().collect();
        accounts.sort_by_key(|user| user.get("number").and_then(Value::as_integer));
        let mut records: Vec<(Arc<Collection>, Record)> = vec![];
        for (name, of) in &world.records {
            let collection = self.collection(name);
            records.extend(
                of.values()
                    .map(|record| (Arc::clone(&collection), record.clone())),
            );
        }
        let mut later: Vec<(Arc<Collection>, Record)> = vec![];
        loop {
            let before = (accounts.len(), records.len());
            let mut left = vec![];
            for (collection, record) in records {
                if !self.create(&operator, &collection, &record).await {
                    left.push((collection, record));
                }
            }
            records = left;
            let mut left = vec![];
            for account in accounts {
                if !self.create_account(&operator, account, false).await {
                    left.push(account);
                }
            }
            accounts = left;
            if records.is_empty() && accounts.is_empty() {
                break;
            }
            if before != (accounts.len(), records.len()) {
                continue;
            }
            if let Some((collection, record)) = records.pop() {
                let mut bare = record.clone();
                bare.retain(|name, _| {
                    let field = collection.field(collection.find_field(name).expect("a field"));
                    field.relation.is_none() || !field.nullable
                });
                if self.create(&operator, &collection, &bare).await {
                    later.push((collection, record));
                }
            } else if let Some(account) = accounts.pop() {
                self.create_account(&operator, account, true).await;
            }
        }
        for (collection, record) in later {
            let key = key_text(&record[&*collection.key_field().name]);
            // One by one: one that leads nowhere must not keep the others out.
            for field in collection
                .fields
                .iter()
                .filter(|field| field.relation.is_some())
            {
                if let Some(value) = record.get(&*field.name) {
                    let sent = vec![(field.name.to_string(), value.to_json(field.ty))];
                    let update = self.gate.update(&operator, &collection.name, &key, sent);
                    let _ = self.store.update(update.expect("the operator may")).await;
                }
            }
        }
    }

    async fn create(&self, operator: &Caller, collection: &Collection, record: &Record) -> bool {
        let mut record = record.clone();
        for field in collection
            .fields
            .iter()
            .filter(|field| !field.nullable && field.relation.is_none())
        {
            record
                .entry(field.name.to_string())
                .or_insert_with(|| match field.ty {
                    FieldType::Text | FieldType::Json | FieldType::Uuid => Value::from(""),
                    FieldType::Boolean => Value::Boolean(false),
                    FieldType::Float => Value::Float(0.0),
                    _ => Value::Integer(0),
                });
        }
        let create = self
            .gate
            .create(operator, &collection.name, json(collection, &record));
        let outcome = self.store.create(create.expect("the operator may")).await;
        matches!(outcome, Ok(WriteOutcome::Stored(_)))
    }

    async fn create_account(&self, operator: &Caller, user: &Record, bare: bool) -> bool {
        let users = self.collection("users");
        let text = |name: &str| user.get(name).and_then(Value::as_text).map(str::to_owned);
        let own = users.fields.iter().skip(9).filter_map(|field| {
            let value = user.get(&*field.name).filter(|value| !value.is_null())?;
            (!bare || field.relation.is_none())
                .then(|| (field.name.to_string(), value.to_json(field.ty)))
        });
        let create = CreateUser {
            id: text("id").expect("an account has an id"),
            key: text("key")
                .or_else(|| text("id"))
                .expect("an account has a key"),
            username: text("username"),
            email: text("email"),
            password_hash: None,
            attributes: own.collect(),
            bindings: text("id")
                .and_then(|id| self.bindings.get(&id).cloned())
                .unwrap_or_default(),
            past: None,
        };
        let create = self
            .gate
            .create_user(operator, create)
            .expect("the operator may");
        let made = self.store.create_user(create).await;
        matches!(made, Ok((WriteOutcome::Stored(_), _)))
    }

    /// Takes over what is stored now.
    pub async fn read_back(&mut self, now: i64) {
        self.world.users = self.all("users", now).await;
        let names: Vec<String> = self.world.records.keys().cloned().collect();
        for name in names {
            let records = self.all(&name, now).await;
            self.world.records.insert(name, records);
        }
    }

    /// Every record of a collection as it is stored, by key.
    pub async fn all(&self, name: &str, now: i64) -> BTreeMap<String, Record> {
        let operator = self.gate.operator(now);
        let collection = self.collection(name);
        let read = self
            .gate
            .list(&operator, list(&collection.name))
            .expect("the operator may");
        let (sink, _) = self
            .store
            .read(&read, JsonLines::default())
            .await
            .expect("readable");
        let mut records = BTreeMap::new();
        for line in sink
            .0
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
        {
            let record = parse(&collection, line, true);
            records.insert(key_text(&record[&*collection.key_field().name]), record);
        }
        records
    }

    /// The collection of that name.
    pub fn collection(&self, name: &str) -> Arc<Collection> {
        Arc::clone(
            self.gate
                .snapshot()
                .catalog()
                .find_text(name)
                .expect("a declared collection"),
        )
    }

    /// A subject admitted by the gate.
    pub fn caller(&self, subject: &Subject) -> Caller {
        let request = self.request_facts(subject);
        let caller = match &subject.user {
            None => self.gate.anonymous(subject.now, request),
            Some(user) => {
                let facts = self.facts(subject, user);
                self.gate.admit(&facts, subject.now, request)
            }
        };
        let caller = self.gate.with_claims(&caller, subject.claims.clone());
        let caller = match &subject.narrowed_to {
            None => caller,
            Some(roles) => self
                .gate
                .narrow(&caller, roles)
                .expect("the world's own roles"),
        };
        match &subject.scope {
            None => caller,
            Some(scope) => self.gate.narrow_to(&caller, scope),
        }
    }

    /// Reads a list through gate and store.
    pub async fn list(
        &self,
        caller: &Caller,
        request: ListRequest,
    ) -> Result<(Vec<u8>, ReadOutcome), String> {
        let read = self
            .gate
            .list(caller, request)
            .map_err(|refused| format!("{refused:?}"))?;
        let (sink, outcome) = self
            .store
            .read(&read, JsonLines::default())
            .await
            .map_err(|error| error.to_string())?;
        Ok((sink.0, outcome))
    }

    /// The groups that gate and store answer with, as values; otherwise the refusal.
    pub async fn aggregate(
        &self,
        caller: &Caller,
        asked: &Aggregates,
    ) -> Result<Vec<Vec<Value>>, Answer> {
        let mut values = vec![];
        let filter = asked.filter.clone();
        let aggregates = asked.aggregates.iter().cloned();
        let query = AggregateQuery {
            collection: CollectionName::parse(&asked.collection).expect("a name"),
            filter: filter.map(|filter| take_literals(filter, &mut values)),
            search: None,
            group: asked.group.clone(),
            aggregates: aggregates
                .map(|(function, of)| Aggregate { function, of })
                .collect(),
            sort: vec![],
        };
        let request = AggregateRequest {
            query,
            values,
            limit: 1_000,
            offset: 0,
        };
        let aggregates = self.gate.aggregate(caller, request).map_err(refusal)?;
        let read = self.store.aggregate(&aggregates, Rows::default()).await;
        Ok(read.expect("readable").0.0)
    }

    /// The answer of gate and store.
    pub async fn answer(&self, caller: &Caller, request: &Request) -> Answer {
        let (Request::Read { collection, .. }
        | Request::List { collection, .. }
        | Request::Create { collection, .. }
        | Request::Update { collection, .. }
        | Request::Delete { collection, .. }) = request;
        if self
            .gate
            .snapshot()
            .catalog()
            .find_text(collection)
            .is_none()
        {
            return Answer::NotFound;
        }
        match request {
            Request::Read { .. } | Request::List { .. } => self.look(caller.into(), request).await,
            Request::Create {
                collection,
                key,
                sent,
            } => {
                let collection = self.collection(collection);
                let mut fields = json(&collection, sent);
                if let Some(key) = key {
                    let ty = collection.key_field().ty;
                    let Ok(value) = Value::from_text(ty, key) else {
                        return Answer::Invalid;
                    };
                    fields.push((collection.key_field().name.to_string(), value.to_json(ty)));
                }
                match self.gate.create(caller, &collection.name, fields) {
                    Ok(create) => {
                        self.written(&collection, caller, self.store.create(create).await)
                            .await
                    }
                    Err(refused) => refusal(refused),
                }
            }
            Request::Update {
                collection,
                key,
                sent,
            } => {
                let collection = self.collection(collection);
                match self
                    .gate
                    .update(caller, &collection.name, key, json(&collection, sent))
                {
                    Ok(update) => {
                        self.written(&collection, caller, self.store.update(update).await)
                            .await
                    }
                    Err(refused) => refusal(refused),
                }
            }
            Request::Delete { collection, key } => {
                let collection = self.collection(collection);
                match self.gate.delete(caller, &collection.name, key) {
                    Ok(delete) => {
                        self.written(&collection, caller, self.store.delete(delete).await)
                            .await
                    }
                    Err(refused) => refusal(refused),
                }
            }
        }
    }

    /// The same of what only reads, through somebody's eyes.
    pub async fn look(&self, eyes: Eyes<'_>, request: &Request) -> Answer {
        if let Request::Read { collection, .. } | Request::List { collection, .. } = request
            && self
                .gate
                .snapshot()
                .catalog()
                .find_text(collection)
                .is_none()
        {
            return Answer::NotFound;
        }
        match request {
            Request::Read { collection, key } => {
                let collection = self.collection(collection);
                let query = RecordQuery {
                    collection: collection.name.clone(),
                    fields: None,
                    expand: vec![],
                };
                let read = match self.gate.record(eyes, query, key) {
                    Ok(read) => read,
                    // A collection that is known but not to be read record by record shows none.
                    Err(_) => return Answer::NotFound,
                };
                let (sink, outcome) = self
                    .store
                    .read(&read, JsonLines::default())
                    .await
                    .expect("readable");
                if outcome.count == 0 {
                    return Answer::NotFound;
                }
                Answer::Shown(parse(&collection, &sink.0, false))
            }
            Request::List { collection, filter } => {
                let collection = self.collection(collection);
                let mut request = list(&collection.name);
                request.query.filter = filter
                    .clone()
                    .map(|filter| take_literals(filter, &mut request.values));
                let read = match self.gate.list(eyes, request) {
                    Ok(read) => read,
                    Err(refused) => return refusal(refused),
                };
                let (sink, _) = self
                    .store
                    .read(&read, JsonLines::default())
                    .await
                    .expect("readable");
                let lines = sink
                    .0
                    .split(|byte| *byte == b'\n')
                    .filter(|line| !line.is_empty());
                Answer::Listed(
                    lines
                        .map(|line| {
                            let record = parse(&collection, line, false);
                            (key_text(&record[&*collection.key_field().name]), record)
                        })
                        .collect(),
                )
            }
            // What writes is asked of a caller.
            _ => Answer::NotFound,
        }
    }

    async fn written(
        &self,
        collection: &Collection,
        caller: &Caller,
        outcome: Result<WriteOutcome, StoreError>,
    ) -> Answer {
        match outcome {
            Ok(WriteOutcome::Stored(stored)) => {
                let key = key_text(&stored.key);
                let mut all = self
                    .all(&collection.name.to_string(), caller.context().now)
                    .await;
                let mut record = all.remove(&key).expect("what was stored is there");
                record.retain(|_, value| !value.is_null());
                Answer::Stored { key, record }
            }
            Ok(WriteOutcome::Deleted) => Answer::Deleted,
            Ok(WriteOutcome::NotFound) => Answer::NotFound,
            Ok(WriteOutcome::Forbidden) => Answer::Forbidden,
            Ok(WriteOutcome::BadLink { .. } | WriteOutcome::Overfull { .. }) => Answer::Invalid,
            Err(
                StoreError::Unique { .. }
                | StoreError::ForeignKey
                | StoreError::NotNull { .. }
                | StoreError::Check,
            ) => Answer::Invalid,
            Err(error) => panic!("the store failed: {error}"),
        }
    }

    /// The answers of gate and store to creations, updates and deletions that happen together, or the one that ends
    /// all of them.
    pub async fn change(
        &self,
        caller: &Caller,
        requests: &[Request],
    ) -> Result<Vec<Answer>, Answer> {
        let mut asked = vec![];
        for request in requests {
            let (Request::Create { collection, .. }
            | Request::Update { collection, .. }
            | Request::Delete { collection, .. }
            | Request::Read { collection, .. }
            | Request::List { collection, .. }) = request;
            let snapshot = self.gate.snapshot();
            let of = snapshot.catalog().find_text(collection);
            let of = of.ok_or(Answer::NotFound)?;
            let what = match request {
                Request::Create { key, sent, .. } => {
                    let mut fields = json(of, sent);
                    if let Some(key) = key {
                        let ty = of.key_field().ty;
                        let value = Value::from_text(ty, key).map_err(|_| Answer::Invalid)?;
                        fields.push((of.key_field().name.to_string(), value.to_json(ty)));
                    }
                    AskedWhat::Create(fields)
                }
                Request::Update { key, sent, .. } => AskedWhat::Update {
                    key: Some(key.clone()),
                    sent: json(of, sent),
                },
                Request::Delete { key, .. } => AskedWhat::Delete { key: key.clone() },
                Request::Read { .. } | Request::List { .. } => return Err(Answer::Invalid),
            };
            asked.push(Asked {
                place: String::new(),
                collection: of.name.clone(),
                what,
                condition: Precondition::None,
            });
        }
        let change = self.gate.change(caller, true, asked);
        let change = change.map_err(|refused| refusal(refused.refused))?;
        match self.store.change(change).await.expect("the store works") {
            ChangeResult::TooMany(_) => Err(Answer::Invalid),
            ChangeResult::Refused { why, .. } => Err(match why {
                Refusal::NotFound => Answer::NotFound,
                Refusal::Forbidden | Refusal::Partly(_) => Answer::Forbidden,
                Refusal::BadLink(_)
                | Refusal::Unsendable
                | Refusal::Overfull(_)
                | Refusal::Unmet
                | Refusal::Twice
                | Refusal::Unstorable(_) => Answer::Invalid,
            }),
            ChangeResult::Done(records) => {
                let mut answers = vec![];
                for record in records {
                    answers.push(match record {
                        ChangedRecord::Deleted { .. } | ChangedRecord::Left => Answer::Deleted,
                        ChangedRecord::Stored {
                            collection, stored, ..
                        } => {
                            let done = Ok(WriteOutcome::Stored(stored));
                            self.written(&collection, caller, done).await
                        }
                    });
                }
                Ok(answers)
            }
        }
    }

    /// Puts a record back as it was, or away where it was not.
    pub async fn undo(&self, name: &str, key: &str, before: Option<&Record>, now: i64) {
        let operator = self.gate.operator(now);
        let collection = self.collection(name);
        match before {
            None => {
                let delete = self
                    .gate
                    .delete(&operator, &collection.name, key)
                    .expect("the operator may");
                self.store.delete(delete).await.expect("the store works");
            }
            Some(record) => {
                let mut fields = json(&collection, record);
                fields.retain(|(name, _)| **name != *collection.key_field().name);
                // What came to be beside the others goes again.
                let now = self.all(name, now).await;
                for (name, _) in now
                    .get(key)
                    .map(|now| json(&collection, now))
                    .unwrap_or_default()
                {
                    if !fields.iter().any(|(known, _)| *known == name)
                        && collection.undeclared(&name).is_some()
                    {
                        fields.push((name, serde_json::Value::Null));
                    }
                }
                let update = self.gate.update(&operator, &collection.name, key, fields);
                self.store
                    .update(update.expect("the operator may"))
                    .await
                    .expect("the store works");
            }
        }
    }
}

/// A list of everything in a collection.
pub fn list(name: &CollectionName) -> ListRequest {
    ListRequest {
        query: Query {
            collection: name.clone(),
            fields: None,
            filter: None,
            search: None,
            sort: vec![],
            page: Page::Offset,
            total: false,
            expand: vec![],
        },
        values: vec![],
        cursor: vec![],
        limit: 1_000,
        offset: 0,
    }
}

fn refusal(refused: Refused) -> Answer {
    match refused {
        Refused::NotFound => Answer::NotFound,
        Refused::Forbidden | Refused::Beyond(_) => Answer::Forbidden,
        Refused::UnknownField(_)
        | Refused::BadQuery(_)
        | Refused::BadValue { .. }
        | Refused::TooMany(_)
        | Refused::Unconditional => Answer::Invalid,
    }
}

/// Values by name as they are sent.
pub fn json(collection: &Collection, sent: &Record) -> Sent {
    let one = |(name, value): (&String, &Value)| -> Sent {
        if name == OVERFLOW {
            let entries = match value.to_json(FieldType::Overflow) {
                serde_json::Value::Object(entries) => entries,
                _ => serde_json::Map::new(),
            };
            return entries.into_iter().collect();
        }
        let ty = collection
            .find_field(name)
            .map(|field| collection.field(field).ty);
        let json = value.to_json(ty.unwrap_or(FieldType::Text));
        vec![(name.clone(), json)]
    };
    sent.iter().flat_map(one).collect()
}

fn key_text(value: &Value) -> String {
    match value {
        Value::Text(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    }
}

fn parse(collection: &Collection, line: &[u8], without_nulls: bool) -> Record {
    let object: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(line).expect("records are JSON");
    let (undeclared, declared): (Vec<_>, Vec<_>) = object
        .into_iter()
        .partition(|(name, _)| collection.undeclared(name).is_some());
    let mut record: Record = declared
        .into_iter()
        .map(|(name, json)| {
            let field = collection
                .find_field(&name)
                .expect("a field of the collection");
            let value =
                Value::from_json(collection.field(field).ty, &json).expect("a value of its type");
            (name, value)
        })
        .filter(|(_, value)| !(without_nulls && value.is_null()))
        .collect();
    if !undeclared.is_empty() {
        let entries = undeclared.iter().map(|(name, json)| (name.as_str(), json));
        let value = read_entries(entries).expect("they were stored");
        record.insert(OVERFLOW.into(), value);
    }
    record
}
