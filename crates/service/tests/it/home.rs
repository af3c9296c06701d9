//! A data folder for one test, and what tests do over and over.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use portreeve_model::{
    Cells, Clock, CollectionName, Columns, Entropy, Page, Query, RecordQuery, RecordSink,
    write_json_record,
};
use portreeve_service::mail::{DevelopmentOutbox, Links, MailOptions};
use portreeve_service::{
    Caller, Document, Faces, ListRequest, NewUser, Options, Portreeve, Registration, RequestFacts,
    Sent, ServiceError, SignedIn, Synchronous, Written, parse_rule, take_literals,
};
use portreeve_store::{FeedLimits, Location, Store, StoreOptions};
use serde_json::{Value as Json, json};

/// 2026-01-01T00:00:00Z
pub const START: i64 = 1_767_225_600_000_000;

pub const SCHOOL: &str = r#"
collections:
  users:
    fields: { full_name: text, form: text }
  grades:
    key: { id: integer }
    fields:
      student: { to: users, required: true, on_delete: cascade }
      score: { type: integer, required: true }
      note: text
  posts:
    key: { id: integer }
    fields: { title: { type: text, required: true, unique: true }, body: text }
    indexes: [[title]]
roles:
  student:
    permissions:
      - { allow: data.read, on: grades, rows: "student = $user", fields: [student, score] }
      - { allow: [data.read, data.create], on: posts }
  teacher:
    permissions:
      - { allow: data, on: grades }
      - { allow: data.read, on: users, fields: [username, full_name] }
  anonymous:
    permissions:
      - { allow: data.read, on: posts, fields: [title] }
"#;

/// A request of which nothing is known.
pub static FACTS: LazyLock<RequestFacts> = LazyLock::new(RequestFacts::default);

/// Stands still until it is moved.
pub struct FakeClock(AtomicI64);

impl FakeClock {
    pub fn new() -> Self {
        Self(AtomicI64::new(START))
    }

    pub fn forward(&self, micros: i64) {
        self.0.fetch_add(micros, Ordering::SeqCst);
    }
}

impl Clock for FakeClock {
    fn now(&self) -> i64 {
        self.0.load(Ordering::SeqCst)
    }
}

/// SplitMix64: the same bytes on every run, none twice.
struct Seeded(Mutex<u64>);

impl Entropy for Seeded {
    fn fill(&self, bytes: &mut [u8]) {
        let mut state = self.0.lock().unwrap();
        for chunk in bytes.chunks_mut(8) {
            *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut z = *state;
            z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// The same bytes on every run with the same seed.
pub fn entropy(seed: u64) -> Arc<dyn Entropy> {
    Arc::new(Seeded(Mutex::new(seed)))
}

/// A folder that goes with its test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "portreeve-service-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// An open Portreeve in a folder of its own. Dropped in this order.
pub struct Home {
    pub portreeve: Arc<Portreeve>,
    pub clock: Arc<FakeClock>,
    pub folder: Folder,
}

impl std::ops::Deref for Home {
    type Target = Portreeve;

    fn deref(&self) -> &Portreeve {
        &self.portreeve
    }
}

pub async fn open(folder: &Folder, clock: &Arc<FakeClock>, seed: u64) -> Arc<Portreeve> {
    open_with(folder, clock, seed, |_| {}).await
}

/// The same, opened otherwise.
pub async fn open_with(
    folder: &Folder,
    clock: &Arc<FakeClock>,
    seed: u64,
    change: impl FnOnce(&mut Options),
) -> Arc<Portreeve> {
    let entropy = Arc::new(Seeded(Mutex::new(seed)));
    let mut options = Options::new(&folder.0, clock.clone(), entropy);
    options.synchronous = Synchronous::Normal;
    change(&mut options);
    Portreeve::open(options).await.unwrap()
}

impl Home {
    /// Closes it and opens it again, otherwise. Where that fails it stays closed, and is opened by the next one.
    pub async fn reopen(&mut self, change: impl FnOnce(&mut Options)) -> Result<(), ServiceError> {
        static SEED: AtomicU64 = AtomicU64::new(1_000);
        let seed = SEED.fetch_add(1, Ordering::Relaxed);
        let aside = Folder::new();
        // The last to hold the folder closes it.
        self.portreeve = open(&aside, &self.clock, seed).await;
        let mut options = Options {
            synchronous: Synchronous::Normal,
            ..Options::new(
                &self.folder.0,
                self.clock.clone(),
                Arc::new(Seeded(Mutex::new(seed))),
            )
        };
        change(&mut options);
        self.portreeve = Portreeve::open(options).await?;
        Ok(())
    }

    /// Everything that is stored, as one hash.
    pub async fn digest(&self) -> [u8; 32] {
        let options = StoreOptions {
            location: Location::Folder(self.folder.0.clone()),
            synchronous: Synchronous::Normal,
            readers: 1,
            connections: 1,
            feed: FeedLimits::default(),
            clock: self.clock.clone(),
            entropy: Arc::new(Seeded(Mutex::new(2))),
        };
        let store = Store::open_read_only(options).await.unwrap();
        store.system().digest(true).await.unwrap()
    }

    /// Empty: no policy, no accounts.
    pub async fn empty() -> Self {
        let folder = Folder::new();
        let clock = Arc::new(FakeClock::new());
        let portreeve = open(&folder, &clock, 1).await;
        Self {
            portreeve,
            clock,
            folder,
        }
    }

    /// Under a policy, with the administrator `root`.
    pub async fn with(policy: &str) -> Self {
        Self::empty().await.settled(policy).await
    }

    /// The same where strangers sign up through a face.
    pub async fn registering(
        policy: &str,
        face: &str,
        registration: Registration,
        outbox: &Arc<DevelopmentOutbox>,
    ) -> Self {
        let folder = Folder::new();
        let clock = Arc::new(FakeClock(AtomicI64::new(START)));
        let portreeve = Portreeve::open(Options {
            synchronous: Synchronous::Normal,
            faces: {
                let mut faces = Faces::default();
                faces.get_mut(face).unwrap().registration = registration;
                faces
            },
            mail: MailOptions {
                mailer: Some(outbox.clone()),
                links: Links {
                    public: Some("https://school.example".into()),
                    ..Links::default()
                },
                ..MailOptions::default()
            },
            ..Options::new(&folder.0, clock.clone(), Arc::new(Seeded(Mutex::new(1))))
        })
        .await
        .unwrap();
        let home = Self {
            portreeve,
            clock,
            folder,
        };
        home.settled(policy).await
    }

    async fn settled(self, policy: &str) -> Self {
        let home = self;
        home.apply_text(policy, false).await.unwrap();
        let root = NewUser {
            username: Some("root".into()),
            password: Some("root-password".into()),
            ..NewUser::default()
        };
        home.first_administrator(root).await.unwrap();
        home
    }

    /// The small school.
    pub async fn school() -> Self {
        Self::with(SCHOOL).await
    }

    pub async fn apply_text(
        &self,
        policy: &str,
        confirm: bool,
    ) -> Result<portreeve_service::Applied, ServiceError> {
        let document = Document::read("test.yaml", policy).map_err(ServiceError::BadPolicy)?;
        let plan = self.plan(&self.operator(), &document).await?;
        self.apply(&self.operator(), plan, confirm).await
    }

    /// Makes an account with the password `<name>-password`, and gives its id.
    pub async fn user(&self, name: &str, roles: &[&str]) -> String {
        let new = NewUser {
            username: Some(name.into()),
            password: Some(format!("{name}-password")),
            roles: roles.iter().map(ToString::to_string).collect(),
            ..NewUser::default()
        };
        self.create_user(&self.operator(), new).await.unwrap().id
    }

    pub async fn session(&self, name: &str) -> SignedIn {
        let password = format!("{name}-password");
        self.sign_in(name, &password, &RequestFacts::default())
            .await
            .unwrap()
    }

    pub async fn by_token(&self, token: &str) -> Result<Caller, ServiceError> {
        self.caller(Some(token), RequestFacts::default()).await
    }

    pub async fn as_user(&self, name: &str) -> Caller {
        let session = self.session(name).await;
        self.by_token(&session.token).await.unwrap()
    }

    pub async fn anonymous(&self) -> Caller {
        self.caller(None, RequestFacts::default()).await.unwrap()
    }

    pub async fn list_of(
        &self,
        caller: &Caller,
        collection: &str,
    ) -> Result<Vec<Json>, ServiceError> {
        self.list_where(caller, collection, None).await
    }

    pub async fn list_where(
        &self,
        caller: &Caller,
        collection: &str,
        filter: Option<&str>,
    ) -> Result<Vec<Json>, ServiceError> {
        let mut values = vec![];
        let filter = filter.map(|text| take_literals(parse_rule(text).unwrap(), &mut values));
        let query = Query {
            collection: name(collection),
            fields: None,
            filter,
            search: None,
            sort: vec![],
            page: Page::Offset,
            total: false,
            expand: vec![],
        };
        let request = ListRequest {
            query,
            values,
            cursor: vec![],
            limit: 100,
            offset: 0,
        };
        let (sink, _) = self.list(caller, request, Sink::default()).await?;
        Ok(sink.0)
    }

    pub async fn get(
        &self,
        caller: &Caller,
        collection: &str,
        key: &str,
    ) -> Result<Json, ServiceError> {
        let query = RecordQuery {
            collection: name(collection),
            fields: None,
            expand: vec![],
        };
        let sink = self.record(caller, query, key, Sink::default()).await?;
        Ok(sink.0[0].clone())
    }

    pub async fn put(
        &self,
        caller: &Caller,
        collection: &str,
        values: Json,
    ) -> Result<Written, ServiceError> {
        self.create(caller, &name(collection), sent(values)).await
    }
}

pub fn name(collection: &str) -> CollectionName {
    CollectionName::parse(collection).unwrap()
}

pub fn sent(values: Json) -> Sent {
    let Json::Object(values) = values else {
        panic!("an object")
    };
    values.into_iter().collect()
}

pub fn written(record: &Written) -> Json {
    let mut out = vec![];
    record.write_json(&mut out);
    serde_json::from_slice(&out).unwrap()
}

/// What was read, as JSON.
#[derive(Default)]
pub struct Sink(pub Vec<Json>);

impl RecordSink for Sink {
    fn record(&mut self, columns: &Columns, cells: &dyn Cells) {
        let mut out = vec![];
        write_json_record(&mut out, columns, cells);
        self.0.push(serde_json::from_slice(&out).unwrap());
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

/// Two students and a grade each.
pub async fn grades(home: &Home) -> (String, String) {
    let (anna, bo) = (
        home.user("anna", &["student"]).await,
        home.user("bo", &["student"]).await,
    );
    for (student, score) in [(&anna, 90), (&bo, 70)] {
        let values = json!({ "student": student, "score": score, "note": "quiet" });
        home.put(&home.operator(), "grades", values).await.unwrap();
    }
    (anna, bo)
}
