//! A data folder with a policy, and callers in front of it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use portreeve_gate::{
    ApplyPolicy, Author, Authored, Caller, ChangeUser, CredentialFacts, Drop, Gate, ListRequest,
    Rename,
};
use portreeve_model::{
    Clock, CollectionName, Columns, Entropy, Literal, Page, Query, RecordQuery, RecordSink, Rule,
    SortBy, Value, write_json_record,
};
use portreeve_policy::{Document, RequestFacts, Snapshot};
use portreeve_store::{
    Begun, Location, NewSession, Proof, ReadOutcome, Stale, Store, StoreError, StoreOptions,
    Stored, Through, WriteOutcome,
};
use portreeve_testkit::postgres::{Postgres, TestDatabase};
use serde_json::{Value as Json, json};

/// 2026-11-22T10:00:00Z.
pub const NOW: i64 = 1_795_341_600_000_000;

pub struct TestClock(AtomicI64);

impl Clock for TestClock {
    fn now(&self) -> i64 {
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
}

struct TestEntropy(AtomicU64);

impl Entropy for TestEntropy {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let next = self
                .0
                .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
                .wrapping_mul(0xBF58_476D_1CE4_E5B9);
            chunk.copy_from_slice(&next.to_le_bytes()[..chunk.len()]);
        }
    }
}

/// A folder of its own that goes away again.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("portreeve-store-{}-{number}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl std::ops::Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

pub fn options(folder: &Folder) -> StoreOptions {
    StoreOptions::new(
        folder.path(),
        Arc::new(TestClock(AtomicI64::new(NOW))),
        Arc::new(TestEntropy(AtomicU64::new(1))),
    )
}

/// Which database.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    Sqlite,
    Postgres,
}

/// A place for data that goes away again.
pub enum Home {
    Folder(Folder),
    Database(TestDatabase),
}

impl Home {
    pub fn new(on: On) -> Self {
        match on {
            On::Sqlite => Self::Folder(Folder::new()),
            On::Postgres => Self::Database(Postgres::get().database()),
        }
    }

    /// The folder, where it is one.
    pub fn folder(&self) -> &Folder {
        match self {
            Self::Folder(folder) => folder,
            Self::Database(_) => panic!("this is about folders"),
        }
    }

    pub fn options(&self) -> StoreOptions {
        match self {
            Self::Folder(folder) => options(folder),
            Self::Database(database) => StoreOptions::at(
                Location::Postgres(database.url()),
                Arc::new(TestClock(AtomicI64::new(NOW))),
                Arc::new(TestEntropy(AtomicU64::new(1))),
            ),
        }
    }
}

pub struct World {
    pub store: Store,
    pub gate: Gate,
    pub home: Home,
}

impl World {
    /// A new database under this policy.
    pub async fn new(on: On, document: &str) -> Self {
        Self::at(Home::new(on), document).await
    }

    /// The same at a place that is there.
    pub async fn at(home: Home, document: &str) -> Self {
        Self::opened(home, document, |_| {}).await
    }

    /// The same, opened otherwise.
    pub async fn with(on: On, document: &str, change: impl FnOnce(&mut StoreOptions)) -> Self {
        Self::opened(Home::new(on), document, change).await
    }

    async fn opened(home: Home, document: &str, change: impl FnOnce(&mut StoreOptions)) -> Self {
        let mut options = home.options();
        change(&mut options);
        let store = Store::open(options).await.unwrap();
        let gate = Gate::new(compile(&Document::default(), 0), true);
        let world = Self { store, gate, home };
        world.apply(document).await.unwrap();
        world
    }

    pub async fn apply(&self, document: &str) -> Result<u64, StoreError> {
        self.apply_with(document, vec![], vec![]).await
    }

    pub async fn apply_with(
        &self,
        text: &str,
        drops: Vec<Drop>,
        renames: Vec<Rename>,
    ) -> Result<u64, StoreError> {
        let document =
            Document::read("test", text).unwrap_or_else(|problems| panic!("{problems:?}"));
        let planned_on = self.gate.snapshot().version();
        let compiled = Arc::new(compile(&document, planned_on + 1));
        let operation = ApplyPolicy {
            rights: true,
            tables: true,
            bindings: vec![],
            templates: vec![],
            document: Arc::new(document),
            compiled: Arc::clone(&compiled),
            planned_on,
            summary: json!({}),
            drops,
            renames,
        };
        let authorized = self.gate.apply_policy(&self.operator(), operation).unwrap();
        let (version, _) = self.store.apply_policy(authorized).await?;
        self.gate.publish(compiled);
        Ok(version)
    }

    /// One more role, of no permissions.
    pub async fn author(&self, role: &str) {
        let mut document = self.store.system().load_policy().await.unwrap().document;
        let added = format!("roles: {{ {role}: {{ permissions: [] }} }}");
        let added = Document::read("test", &added).unwrap().roles.remove(0);
        document.roles.push(added.clone());
        let planned_on = self.gate.snapshot().version();
        let compiled = Arc::new(compile(&document, planned_on + 1));
        let operation = Author {
            changes: vec![Authored::Role(None, Box::new(added))],
            compiled: Arc::clone(&compiled),
            unbind: false,
            why: None,
        };
        let authorized = self.gate.author(&self.operator(), operation).unwrap();
        let (_, stale) = self.store.author(authorized).await.unwrap();
        assert_eq!(stale.policy, Some(planned_on + 1));
        self.gate.publish(compiled);
    }

    pub fn operator(&self) -> Caller {
        self.gate.operator(NOW)
    }

    /// An account with these roles, admitted.
    pub async fn user(&self, name: &str, roles: &[&str]) -> Caller {
        let bindings = roles
            .iter()
            .map(|role| portreeve_policy::Binding {
                to: portreeve_policy::BoundTo::Role((*role).into()),
                ..Default::default()
            })
            .collect();
        let operation = portreeve_gate::CreateUser {
            id: name.into(),
            key: name.into(),
            username: Some(name.into()),
            email: Some(format!("{name}@example.org")),
            password_hash: Some("hash".into()),
            attributes: vec![],
            bindings,
            past: None,
        };
        let authorized = self.gate.create_user(&self.operator(), operation).unwrap();
        self.store.create_user(authorized).await.unwrap();
        self.admit(name).await
    }

    /// What somebody would do to an account, as far as the gate lets him.
    pub async fn change_user(
        &self,
        caller: &Caller,
        user: &str,
        change: ChangeUser,
    ) -> Result<(WriteOutcome, Stale), StoreError> {
        let target = self.facts(user).await;
        let update = self.gate.update_user(caller, &target, change).unwrap();
        self.store.update_user(update).await
    }

    /// Gives an account another password.
    pub async fn set_password(&self, user: &str, hash: &str) -> Result<Stale, StoreError> {
        let change = ChangeUser {
            password_hash: Some(hash.into()),
            ..ChangeUser::default()
        };
        let operator = self.operator();
        let done = self.change_user(&operator, user, change).await?;
        Ok(done.1)
    }

    /// What is known of an account, as of one that is not there.
    pub async fn facts(&self, user: &str) -> CredentialFacts {
        let account = self.store.system().credential_facts(user).await.unwrap();
        account.map_or_else(
            || CredentialFacts {
                user: user.into(),
                attributes: Arc::default(),
                bindings: vec![],
                epoch: 0,
            },
            |account| account.facts,
        )
    }

    pub async fn admit(&self, name: &str) -> Caller {
        let account = self
            .store
            .system()
            .credential_facts(name)
            .await
            .unwrap()
            .unwrap();
        self.gate
            .admit(&account.facts, NOW, RequestFacts::default())
    }

    pub async fn create(
        &self,
        caller: &Caller,
        collection: &str,
        sent: Json,
    ) -> Result<WriteOutcome, StoreError> {
        let authorized = self
            .gate
            .create(caller, &name(collection), fields(sent))
            .unwrap();
        self.store.create(authorized).await
    }

    /// Creates a record that must be accepted, and gives its key.
    pub async fn put(&self, caller: &Caller, collection: &str, sent: Json) -> Value {
        match self.create(caller, collection, sent).await {
            Ok(WriteOutcome::Stored(stored)) => stored.key,
            other => panic!("not stored: {other:?}"),
        }
    }

    pub async fn update(
        &self,
        caller: &Caller,
        collection: &str,
        key: &str,
        sent: Json,
    ) -> Result<WriteOutcome, StoreError> {
        let authorized = self
            .gate
            .update(caller, &name(collection), key, fields(sent))
            .unwrap();
        self.store.update(authorized).await
    }

    pub async fn delete(
        &self,
        caller: &Caller,
        collection: &str,
        key: &str,
    ) -> Result<WriteOutcome, StoreError> {
        let authorized = self.gate.delete(caller, &name(collection), key).unwrap();
        self.store.delete(authorized).await
    }

    pub async fn get(&self, caller: &Caller, collection: &str, key: &str) -> Option<Json> {
        let query = RecordQuery {
            collection: name(collection),
            fields: None,
            expand: vec![],
        };
        let authorized = self.gate.record(caller, query, key).unwrap();
        let (sink, _) = self
            .store
            .read(&authorized, Lines::default())
            .await
            .unwrap();
        sink.0.into_iter().next()
    }

    pub async fn list(&self, caller: &Caller, list: List) -> (Vec<Json>, ReadOutcome) {
        let authorized = self.gate.list(caller, list.request()).unwrap();
        let (sink, outcome) = self
            .store
            .read(&authorized, Lines::default())
            .await
            .unwrap();
        (sink.0, outcome)
    }

    pub async fn digest(&self) -> [u8; 32] {
        self.store.system().digest(false).await.unwrap()
    }
}

pub fn compile(document: &Document, version: u64) -> Snapshot {
    match Snapshot::compile(document, version) {
        Ok(snapshot) => snapshot,
        Err(problems) => panic!("{problems:?}"),
    }
}

pub fn name(collection: &str) -> CollectionName {
    CollectionName::parse(collection).unwrap()
}

pub fn fields(sent: Json) -> Vec<(String, Json)> {
    sent.as_object()
        .unwrap()
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}

pub fn stored(outcome: Result<WriteOutcome, StoreError>) -> Stored {
    match outcome {
        Ok(WriteOutcome::Stored(stored)) => stored,
        other => panic!("not stored: {other:?}"),
    }
}

/// A list as a test asks for it.
pub struct List {
    query: Query,
    values: Vec<Literal>,
    cursor: Vec<Value>,
    limit: u32,
    offset: u64,
}

impl List {
    pub fn of(collection: &str) -> Self {
        let query = Query {
            collection: name(collection),
            fields: None,
            filter: None,
            search: None,
            sort: vec![],
            page: Page::Offset,
            total: false,
            expand: vec![],
        };
        Self {
            query,
            values: vec![],
            cursor: vec![],
            limit: 100,
            offset: 0,
        }
    }

    pub fn filter(mut self, rule: &str) -> Self {
        let rule: Rule = portreeve_policy::parse_rule(rule).unwrap();
        self.query.filter = Some(portreeve_gate::take_literals(rule, &mut self.values));
        self
    }

    pub fn search(mut self, text: &str) -> Self {
        self.values.push(Literal::Text(text.into()));
        self.query.search = Some(Literal::Caller(self.values.len() - 1));
        self
    }

    pub fn sort(mut self, path: &str, descending: bool) -> Self {
        self.query.sort.push(SortBy {
            by: portreeve_model::Operand::Path(portreeve_model::Path::parse(path)),
            descending,
        });
        self
    }

    pub fn fields(mut self, names: &[&str]) -> Self {
        self.query.fields = Some(names.iter().map(|name| (*name).to_owned()).collect());
        self
    }

    pub fn expand(
        mut self,
        relation: &str,
        fields: Option<&[&str]>,
        expand: Vec<portreeve_model::Expand>,
    ) -> Self {
        self.query
            .expand
            .push(self::expand(relation, fields, expand));
        self
    }

    pub fn page(mut self, limit: u32, offset: u64) -> Self {
        (self.limit, self.offset) = (limit, offset);
        self
    }

    pub fn after(mut self, last: Vec<Value>) -> Self {
        let (_, sort) = last.split_last().unwrap();
        let nulls = sort.iter().map(Value::is_null).collect();
        self.query.page = Page::After {
            first: self.values.len(),
            nulls,
        };
        self.cursor = last;
        self
    }

    pub fn total(mut self) -> Self {
        self.query.total = true;
        self
    }

    pub fn request(self) -> ListRequest {
        let Self {
            query,
            values,
            cursor,
            limit,
            offset,
        } = self;
        ListRequest {
            query,
            values,
            cursor,
            limit,
            offset,
        }
    }
}

pub fn expand(
    relation: &str,
    fields: Option<&[&str]>,
    expand: Vec<portreeve_model::Expand>,
) -> portreeve_model::Expand {
    let fields = fields.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
    portreeve_model::Expand {
        relation: relation.into(),
        fields,
        expand,
    }
}

/// Takes records as JSON.
#[derive(Default)]
pub struct Lines(pub Vec<Json>);

impl RecordSink for Lines {
    fn record(&mut self, columns: &Columns, cells: &dyn portreeve_model::Cells) {
        let mut out = vec![];
        write_json_record(&mut out, columns, cells);
        self.0.push(serde_json::from_slice(&out).unwrap());
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

/// The keys of a list.
pub fn keys(list: &[Json]) -> Vec<i64> {
    list.iter()
        .map(|record| record["id"].as_i64().unwrap())
        .collect()
}

/// A session on a password, with a token of this hash.
pub fn new_session(
    token_hash: [u8; 32],
    user: &str,
    verified: &str,
    now: i64,
    expires: i64,
) -> NewSession {
    NewSession {
        user: user.into(),
        proof: Proof::Password(verified.into()),
        kind: "session".into(),
        through: Through::default(),
        address: None,
        agent: None,
        now,
        idle_expires: None,
        expires,
        ends_with_roles: false,
        token_hash,
        token_expires: None,
        refresh: None,
        at_most: None,
        audited: false,
    }
}

/// Begins a session, with nobody there whom that makes stale.
pub async fn begin(store: &Store, new: NewSession) -> Result<Begun, StoreError> {
    let (begun, _) = store.system().begin_session(new).await?;
    Ok(begun)
}
