//! What the store costs over the same SQL written by hand, without HTTP: list of 20, one record, create in groups.
//! `cargo run --release -p portreeve-store --example floor`

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use portreeve_gate::{ApplyPolicy, Caller, CreateUser, Gate, ListRequest};
use portreeve_model::{
    Cells, Clock, CollectionName, Columns, Entropy, Page, Query, RecordQuery, RecordSink,
    write_json_record, write_json_text,
};
use portreeve_policy::{Binding, BoundTo, Document, RequestFacts, Snapshot};
use portreeve_store::{Store, StoreOptions, Synchronous};
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use serde_json::json;

const POLICY: &str = "
collections:
  articles:
    key: { id: integer }
    fields:
      title: { type: text, required: true }
      body: { type: text, required: true }
      status: { type: text, required: true }
      author: { to: users, required: true, on_delete: cascade }
      created: { type: integer, required: true, default: 7 }
      updated: { type: integer, required: true, default: 7 }
roles:
  writer:
    permissions:
      - { allow: data.read, on: articles, rows: author = $user }
      - { allow: data.create, on: articles, fields: [title, body, status], presets: { author: $user } }
";

const ROWS: usize = 100_000;
const AUTHORS: usize = 20;
const NOW: i64 = 1_795_341_600_000_000;

struct Fixed(AtomicU64);

impl Clock for Fixed {
    fn now(&self) -> i64 {
        NOW
    }
}

impl Entropy for Fixed {
    fn fill(&self, bytes: &mut [u8]) {
        let next = self
            .0
            .fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed)
            .to_le_bytes();
        for (place, byte) in bytes.iter_mut().enumerate() {
            *byte = next[place % 8];
        }
    }
}

#[derive(Default)]
struct Json(Vec<u8>);

impl RecordSink for Json {
    fn record(&mut self, columns: &Columns, cells: &dyn Cells) {
        if self.0.len() > 1 {
            self.0.push(b',');
        }
        write_json_record(&mut self.0, columns, cells);
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .build()
        .expect("a runtime");
    runtime.block_on(compare());
}

async fn compare() {
    let folder = std::env::temp_dir().join(format!("portreeve-floor-{}", std::process::id()));
    let fixed = Arc::new(Fixed(AtomicU64::new(1)));
    let options = StoreOptions {
        synchronous: Synchronous::Normal,
        ..StoreOptions::new(&folder, fixed.clone(), fixed)
    };
    let store = Store::open(options).await.expect("a store");
    let empty = Snapshot::compile(&Document::default(), 0)
        .unwrap_or_else(|problems| panic!("{problems:?}"));
    let gate = Gate::new(empty, true);
    let document =
        Document::read("policy", POLICY).unwrap_or_else(|problems| panic!("{problems:?}"));
    let compiled =
        Snapshot::compile(&document, 1).unwrap_or_else(|problems| panic!("{problems:?}"));
    let compiled = Arc::new(compiled);
    let operation = ApplyPolicy {
        rights: true,
        tables: true,
        bindings: vec![],
        templates: vec![],
        document: Arc::new(document),
        compiled: Arc::clone(&compiled),
        planned_on: 0,
        summary: json!({}),
        drops: vec![],
        renames: vec![],
    };
    let authorized = gate
        .apply_policy(&gate.operator(NOW), operation)
        .expect("allowed");
    let _ = store.apply_policy(authorized).await.expect("applied");
    gate.publish(compiled);
    for number in 0..AUTHORS {
        let name = user(number);
        let operation = CreateUser {
            id: name.clone(),
            key: name.clone(),
            username: Some(name),
            email: None,
            password_hash: None,
            attributes: vec![],
            bindings: vec![Binding {
                to: BoundTo::Role("writer".into()),
                ..Binding::default()
            }],
            past: None,
        };
        let authorized = gate
            .create_user(&gate.operator(NOW), operation)
            .expect("allowed");
        store.create_user(authorized).await.expect("an account");
    }
    let path = folder.join("portreeve.db");
    seed(&path);
    let account = store
        .system()
        .credential_facts(&user(3))
        .await
        .expect("facts")
        .expect("an account");
    let caller = gate.admit(&account.facts, NOW, RequestFacts::default());
    let by_hand = connection(&path);
    for round in 0..3 {
        println!("round {round}");
        list(&store, &gate, &caller, &by_hand).await;
        record(&store, &gate, &caller, &by_hand).await;
        create(&store, &gate, &caller, &path).await;
    }
    drop(store);
    let _ = std::fs::remove_dir_all(folder);
}

fn user(number: usize) -> String {
    format!("018f0000-0000-7000-8000-{number:012}")
}

fn seed(path: &PathBuf) {
    let mut connection = connection(path);
    let transaction = connection.transaction().expect("begun");
    for number in 0..ROWS {
        let body = format!(
            "Body of article {number}: the quick brown fox jumps over the lazy dog and runs away from the \"bear\" in the woods."
        );
        let status = if number % 3 == 0 {
            "draft"
        } else {
            "published"
        };
        transaction
            .prepare_cached("INSERT INTO articles (title, body, status, author, created, updated) VALUES (?1, ?2, ?3, ?4, 7, 7)")
            .and_then(|mut insert| insert.execute((format!("Article number {number}"), body, status, user(number % AUTHORS))))
            .expect("a row");
    }
    transaction.commit().expect("committed");
}

fn connection(path: &PathBuf) -> Connection {
    let connection = Connection::open(path).expect("the database");
    connection
        .execute_batch(
            "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA busy_timeout=10000; PRAGMA cache_size=-16000;
             PRAGMA temp_store=MEMORY; PRAGMA mmap_size=268435456; PRAGMA foreign_keys=ON;",
        )
        .expect("settings");
    connection
}

fn row(out: &mut Vec<u8>, row: &rusqlite::Row<'_>) {
    const NAMES: [&str; 7] = [
        "\"id\":",
        ",\"title\":",
        ",\"body\":",
        ",\"status\":",
        ",\"author\":",
        ",\"created\":",
        ",\"updated\":",
    ];
    out.push(b'{');
    for (place, name) in NAMES.iter().enumerate() {
        out.extend_from_slice(name.as_bytes());
        match row.get_ref(place).expect("a column") {
            ValueRef::Text(text) => write_json_text(out, std::str::from_utf8(text).expect("text")),
            ValueRef::Integer(number) => out.extend_from_slice(number.to_string().as_bytes()),
            _ => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}

fn report(name: &str, floor: f64, ours: f64) {
    println!(
        "  {name:<8} by hand {floor:>7.2} us, store {ours:>7.2} us, ratio {:.2}",
        floor / ours
    );
}

// The time this thread was on a processor: what else the machine does is not in it.
struct Work(Duration);

impl Work {
    fn now() -> Self {
        Self(Self::read())
    }

    fn read() -> Duration {
        let text =
            std::fs::read_to_string("/proc/thread-self/schedstat").expect("the kernel's account");
        Duration::from_nanos(
            text.split(' ')
                .next()
                .and_then(|field| field.parse().ok())
                .expect("nanoseconds"),
        )
    }

    fn elapsed(&self) -> Duration {
        Self::read() - self.0
    }
}

// The time the whole process was on a processor.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").expect("the kernel's account");
    let ticks = |field: usize| -> u64 {
        let (_, rest) = text.rsplit_once(')').expect("a name");
        rest.split_ascii_whitespace()
            .nth(field)
            .and_then(|field| field.parse().ok())
            .expect("ticks")
    };
    Duration::from_millis((ticks(11) + ticks(12)) * 10)
}

async fn list(store: &Store, gate: &Gate, caller: &Caller, by_hand: &Connection) {
    const LIST: &str = "SELECT id,title,body,status,author,created,updated FROM articles WHERE author=?1 ORDER BY id LIMIT 20";
    const TIMES: usize = 20_000;
    let query = Query {
        collection: CollectionName::main("articles"),
        fields: None,
        filter: None,
        search: None,
        sort: vec![],
        page: Page::Offset,
        total: false,
        expand: vec![],
    };
    let begun = Work::now();
    for _ in 0..TIMES {
        let mut statement = by_hand.prepare_cached(LIST).expect("a statement");
        let mut rows = statement.query([user(3)]).expect("rows");
        let mut out = Vec::with_capacity(8_192);
        while let Some(found) = rows.next().expect("a row") {
            if !out.is_empty() {
                out.push(b',');
            }
            row(&mut out, found);
        }
        black_box(out);
    }
    let floor = begun.elapsed().as_secs_f64() * 1e6 / TIMES as f64;
    let request = || ListRequest {
        query: query.clone(),
        values: vec![],
        cursor: vec![],
        limit: 20,
        offset: 0,
    };
    let begun = Work::now();
    for _ in 0..TIMES {
        black_box(gate.list(caller, request()).expect("allowed"));
    }
    let decided = begun.elapsed().as_secs_f64() * 1e6 / TIMES as f64;
    let begun = Work::now();
    for _ in 0..TIMES {
        let authorized = gate.list(caller, request()).expect("allowed");
        let (sink, outcome) = store
            .read(&authorized, Json(Vec::with_capacity(8_192)))
            .await
            .expect("read");
        assert_eq!(outcome.count, 20);
        black_box(sink.0);
    }
    let ours = begun.elapsed().as_secs_f64() * 1e6 / TIMES as f64;
    report("list", floor, ours - decided);
    println!("           the gate before it {decided:.2} us");
}

async fn record(store: &Store, gate: &Gate, caller: &Caller, by_hand: &Connection) {
    const VIEW: &str = "SELECT id,title,body,status,author,created,updated FROM articles WHERE id=?1 AND author=?2";
    const TIMES: usize = 50_000;
    let key = |number: usize| 4 + (number as i64 % 1_000) * AUTHORS as i64;
    let begun = Work::now();
    for number in 0..TIMES {
        let mut statement = by_hand.prepare_cached(VIEW).expect("a statement");
        let mut rows = statement.query((key(number), user(3))).expect("rows");
        let mut out = Vec::with_capacity(512);
        row(&mut out, rows.next().expect("a row").expect("a row"));
        black_box(out);
    }
    let floor = begun.elapsed().as_secs_f64() * 1e6 / TIMES as f64;
    let ask = |number: usize| {
        let query = RecordQuery {
            collection: CollectionName::main("articles"),
            fields: None,
            expand: vec![],
        };
        gate.record(caller, query, &key(number).to_string())
            .expect("allowed")
    };
    let begun = Work::now();
    for number in 0..TIMES {
        black_box(ask(number));
    }
    let decided = begun.elapsed().as_secs_f64() * 1e6 / TIMES as f64;
    let begun = Work::now();
    for number in 0..TIMES {
        let (sink, outcome) = store
            .read(&ask(number), Json(Vec::with_capacity(512)))
            .await
            .expect("read");
        assert_eq!(outcome.count, 1);
        black_box(sink.0);
    }
    let ours = begun.elapsed().as_secs_f64() * 1e6 / TIMES as f64;
    report("record", floor, ours - decided);
    println!("           the gate before it {decided:.2} us");
}

const BODY: &str =
    "the quick brown fox jumps over the lazy dog and runs away from the bear in the woods";

type Asked = tokio::sync::oneshot::Sender<i64>;

async fn create(store: &Store, gate: &Gate, caller: &Caller, path: &PathBuf) {
    const TIMES: usize = 64_000;
    const AT_ONCE: usize = 16;
    let (sender, mut received) = tokio::sync::mpsc::channel::<Asked>(1_024);
    let by_hand = connection(path);
    let thread = std::thread::spawn(move || {
        while let Some(first) = received.blocking_recv() {
            let mut group = vec![first];
            while group.len() < 256 {
                match received.try_recv() {
                    Ok(next) => group.push(next),
                    Err(_) => break,
                }
            }
            by_hand.execute_batch("BEGIN IMMEDIATE").expect("begun");
            let mut done = vec![];
            for asked in group {
                let insert = "INSERT INTO articles (title, body, status, author, created, updated) VALUES (?1, ?2, ?3, ?4, 7, 7)";
                let mut insert = by_hand.prepare_cached(insert).expect("a statement");
                insert
                    .execute(("title", BODY, "draft", user(3)))
                    .expect("a row");
                done.push((asked, by_hand.last_insert_rowid()));
            }
            by_hand.execute_batch("COMMIT").expect("committed");
            for (asked, id) in done {
                let _ = asked.send(id);
            }
        }
    });
    let begun = processor_time();
    let to_thread = sender.clone();
    futures(AT_ONCE, TIMES / AT_ONCE, move |_| {
        let sender = to_thread.clone();
        async move {
            let (reply, answer) = tokio::sync::oneshot::channel();
            sender.send(reply).await.expect("sent");
            black_box(answer.await.expect("answered"));
        }
    })
    .await;
    let floor = (processor_time() - begun).as_secs_f64() * 1e6 / TIMES as f64;
    drop(sender);
    thread.join().expect("ended");
    let gate: &Gate = gate;
    let sent = || {
        vec![
            ("title".to_owned(), json!("title")),
            ("body".to_owned(), json!(BODY)),
            ("status".to_owned(), json!("draft")),
        ]
    };
    let begun = Instant::now();
    for _ in 0..TIMES {
        black_box(
            gate.create(caller, &CollectionName::main("articles"), sent())
                .expect("allowed"),
        );
    }
    let decided = begun.elapsed().as_secs_f64() * 1e6 / TIMES as f64;
    let begun = Instant::now();
    let authorized: Vec<_> = (0..TIMES)
        .map(|_| {
            gate.create(caller, &CollectionName::main("articles"), sent())
                .expect("allowed")
        })
        .collect();
    let prepared = begun.elapsed();
    let authorized = Arc::new(std::sync::Mutex::new(authorized));
    let begun = processor_time();
    let store = store.clone();
    futures(AT_ONCE, TIMES / AT_ONCE, move |_| {
        let (store, authorized) = (store.clone(), Arc::clone(&authorized));
        async move {
            let next = authorized.lock().expect("whole").pop().expect("one more");
            black_box(store.create(next).await.expect("stored"));
        }
    })
    .await;
    let ours = (processor_time() - begun).as_secs_f64() * 1e6 / TIMES as f64;
    report("create", floor, ours);
    println!("           the gate before it {decided:.2} us ({prepared:?})");
}

// So many tasks, each doing this so many times.
async fn futures<F: Future<Output = ()> + Send + 'static>(
    tasks: usize,
    times: usize,
    make: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
) {
    let mut set = tokio::task::JoinSet::new();
    for _ in 0..tasks {
        let make = make.clone();
        set.spawn(async move {
            for number in 0..times {
                make(number).await;
            }
        });
    }
    while let Some(done) = set.join_next().await {
        done.expect("done");
    }
}
