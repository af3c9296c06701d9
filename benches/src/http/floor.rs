//! The floor: a server that does nothing but these requests, written by hand over the same tables, statements, settings
//! and durability as the product's. Reads run on the runtime's own threads, writes wait for one thread that commits
//! what waits together.

use std::cell::RefCell;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segment, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::oneshot;

use super::data::{MEASURED, OWNERS, article, article_id, put_timestamp};

/// The argument that makes this program the server.
pub const CHILD: &str = "floor-server";

/// The token of the account that asks.
pub const TOKEN: &str = "cG9ydHJlZXZlLWJlbmNoLXRva2VuLW9mLW93bmVyLTM";

/// The token of an account that asks without a row rule.
pub const READER_TOKEN: &str = "cG9ydHJlZXZlLWJlbmNoLXRva2VuLW9mLXJlYWRlci0";

/// So many records at most are committed together.
const GROUP: usize = 256;

const TABLES: &str = "
CREATE TABLE users (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE articles (
  id TEXT NOT NULL PRIMARY KEY,
  title TEXT NOT NULL,
  body TEXT NOT NULL,
  status TEXT NOT NULL,
  author TEXT NOT NULL REFERENCES users (id) ON DELETE CASCADE,
  created INTEGER NOT NULL,
  updated INTEGER NOT NULL
) STRICT;
CREATE INDEX articles_author_id ON articles (author, id);";

// One more than asked for: the answer says whether there are more.
const LIST: &str = "SELECT id, title, body, status, author, created, updated FROM articles WHERE author = ?1 ORDER BY id LIMIT ?2 + 1";
const LIST_ALL: &str = "SELECT id, title, body, status, author, created, updated FROM articles ORDER BY id LIMIT ?1 + 1";
const ONE: &str = "SELECT id, title, body, status, author, created, updated FROM articles WHERE id = ?1 AND author = ?2";
const ONE_OF_ALL: &str =
    "SELECT id, title, body, status, author, created, updated FROM articles WHERE id = ?1";
const INSERT: &str = "INSERT INTO articles (id, title, body, status, author, created, updated) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6)";

const COLUMNS: [&[u8]; 7] = [
    b"{\"id\":",
    b",\"title\":",
    b",\"body\":",
    b",\"status\":",
    b",\"author\":",
    b",\"created\":",
    b",\"updated\":",
];

/// Whether SQLite was built as the product's is.
pub fn check_build() -> Result<()> {
    let connection = Connection::open_in_memory()?;
    let mut statement = connection.prepare("PRAGMA compile_options")?;
    let options: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    ensure!(
        options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"),
        "SQLite was built with memory statistics, which all readers wait for: build inside the workspace"
    );
    Ok(())
}

/// Fills a database.
pub fn seed(path: &Path, rows: usize) -> Result<()> {
    let mut connection = open(path, "NORMAL")?;
    connection.execute_batch(TABLES)?;
    let transaction = connection.transaction()?;
    for owner in 0..OWNERS {
        transaction.execute("INSERT INTO users (id) VALUES (?1)", [user_id(owner)])?;
    }
    {
        let mut insert = transaction.prepare(INSERT)?;
        for article in (0..rows).map(article) {
            insert.execute((
                &article.id,
                &article.title,
                &article.body,
                article.status,
                user_id(article.owner),
                article.created,
            ))?;
        }
    }
    transaction.commit()?;
    connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE)")?;
    Ok(())
}

fn user_id(owner: usize) -> String {
    format!("0194e29f-0000-7000-8000-{owner:012x}")
}

/// Opens a database with the settings of the product's.
pub fn open(path: &Path, synchronous: &str) -> Result<Connection> {
    let connection = Connection::open(path).context("cannot open the database")?;
    connection.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA busy_timeout = 10000;
         PRAGMA foreign_keys = ON; PRAGMA cache_size = -16000; PRAGMA temp_store = MEMORY;
         PRAGMA mmap_size = 268435456;"
    ))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}

// The server

struct Session {
    user: Arc<str>,
    // Whether the rule applies.
    ruled: bool,
    expires: Instant,
}

struct App {
    path: PathBuf,
    sessions: RwLock<HashMap<[u8; 32], Arc<Session>>>,
    writer: SyncSender<Insert>,
}

struct Insert {
    user: Arc<str>,
    new: New,
    answer: oneshot::Sender<Vec<u8>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    title: String,
    body: String,
    status: String,
}

#[derive(Deserialize)]
struct Page {
    limit: u32,
}

/// The server: says its port and serves until it is ended.
pub fn child(path: &str, synchronous: &str) -> Result<()> {
    let path = PathBuf::from(path);
    let (writer, inserts) = sync_channel(1024);
    let connection = open(&path, synchronous)?;
    std::thread::spawn(move || write(&connection, &inserts));
    let expires = Instant::now() + std::time::Duration::from_secs(86_400);
    let session = |token: &str, ruled| {
        let user = Arc::from(user_id(MEASURED));
        let hash: [u8; 32] = Sha256::digest(token).into();
        (
            hash,
            Arc::new(Session {
                user,
                ruled,
                expires,
            }),
        )
    };
    let sessions = [session(TOKEN, true), session(READER_TOKEN, false)];
    let app = Arc::new(App {
        path,
        sessions: RwLock::new(HashMap::from(sessions)),
        writer,
    });
    let router = Router::new()
        .route(
            "/healthz",
            get(async || json(b"{\"status\":\"ok\"}".to_vec())),
        )
        .route("/v1/records/articles", get(list).post(create))
        .route("/v1/records/articles/{id}", get(one))
        .with_state(app);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("{}", listener.local_addr()?.port());
        let listener = listener.tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(())
    })
}

impl App {
    fn session(&self, headers: &HeaderMap) -> Option<Arc<Session>> {
        let token = headers
            .get(header::AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        let sessions = self.sessions.read().unwrap_or_else(PoisonError::into_inner);
        let session = sessions.get(&hash)?;
        (session.expires > Instant::now()).then(|| Arc::clone(session))
    }

    fn read<T>(&self, run: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T> {
        thread_local!(static READER: RefCell<Option<Connection>> = const { RefCell::new(None) });
        READER.with_borrow_mut(|reader| {
            let connection = match reader {
                Some(connection) => connection,
                None => reader.insert(open(&self.path, "FULL")?),
            };
            Ok(run(connection)?)
        })
    }
}

fn json(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

fn answer(answer: Result<Option<Vec<u8>>>) -> Response {
    match answer {
        Ok(Some(bytes)) => json(bytes),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

async fn list(State(app): State<Arc<App>>, page: Query<Page>, headers: HeaderMap) -> Response {
    let Some(session) = app.session(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    answer(app.read(|connection| {
        let mut statement;
        let rows = if session.ruled {
            statement = connection.prepare_cached(LIST)?;
            statement.query((&*session.user, page.limit))?
        } else {
            statement = connection.prepare_cached(LIST_ALL)?;
            statement.query([page.limit])?
        };
        put_list(rows, page.limit).map(Some)
    }))
}

fn put_list(mut rows: rusqlite::Rows<'_>, limit: u32) -> rusqlite::Result<Vec<u8>> {
    let mut out = Vec::with_capacity(8 * 1024);
    out.extend_from_slice(b"{\"data\":[");
    let (mut count, mut more) = (0, false);
    while let Some(row) = rows.next()? {
        if count == limit {
            more = true;
            break;
        }
        if count > 0 {
            out.push(b',');
        }
        count += 1;
        put_row(&mut out, row)?;
    }
    out.extend_from_slice(b"],\"page\":{\"limit\":");
    out.extend_from_slice(limit.to_string().as_bytes());
    out.extend_from_slice(if more {
        b",\"more\":true}}"
    } else {
        b",\"more\":false}}"
    });
    Ok(out)
}

async fn one(
    State(app): State<Arc<App>>,
    Segment(id): Segment<String>,
    headers: HeaderMap,
) -> Response {
    let Some(session) = app.session(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    answer(app.read(|connection| {
        let mut statement;
        let mut rows = if session.ruled {
            statement = connection.prepare_cached(ONE)?;
            statement.query((&id, &*session.user))?
        } else {
            statement = connection.prepare_cached(ONE_OF_ALL)?;
            statement.query([&id])?
        };
        let Some(row) = rows.next()? else {
            return Ok(None);
        };
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(b"{\"data\":");
        put_row(&mut out, row)?;
        out.push(b'}');
        Ok(Some(out))
    }))
}

async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(session) = app.session(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let Ok(new) = serde_json::from_slice::<New>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (answer, answered) = oneshot::channel();
    let insert = Insert {
        user: Arc::clone(&session.user),
        new,
        answer,
    };
    // There is room for as many as there are connections, so this never waits.
    if app.writer.try_send(insert).is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match answered.await {
        Ok(bytes) => (StatusCode::CREATED, json(bytes)).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

// Ends with the program; a failure drops the answers, which the requests see.
fn write(connection: &Connection, inserts: &Receiver<Insert>) {
    let start = Instant::now();
    let mut next = 1 << 40;
    while let Ok(first) = inserts.recv() {
        let more = std::iter::from_fn(|| inserts.try_recv().ok());
        let group = std::iter::once(first).chain(more).take(GROUP);
        // A clock is not needed to find out how long a timestamp takes.
        let now = article(0).created + i64::try_from(start.elapsed().as_micros()).unwrap_or(0);
        let _ = commit(connection, group, now, &mut next);
    }
}

fn commit(
    connection: &Connection,
    group: impl Iterator<Item = Insert>,
    now: i64,
    next: &mut usize,
) -> rusqlite::Result<()> {
    connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
    let mut done = vec![];
    for insert in group {
        *next += 1;
        let id = article_id(*next);
        let New {
            title,
            body,
            status,
        } = &insert.new;
        connection.prepare_cached(INSERT)?.execute((
            &id,
            title,
            body,
            status,
            &*insert.user,
            now,
        ))?;
        done.push((insert, id));
    }
    connection.prepare_cached("COMMIT")?.execute([])?;
    for (insert, id) in done {
        let New {
            title,
            body,
            status,
        } = &insert.new;
        let mut out = Vec::with_capacity(1024);
        out.extend_from_slice(b"{\"data\":");
        let texts = [&id, title, body, status].map(String::as_str);
        for (column, text) in COLUMNS.iter().zip(texts.into_iter().chain([&*insert.user])) {
            out.extend_from_slice(column);
            put_text(&mut out, text.as_bytes());
        }
        for column in &COLUMNS[5..] {
            out.extend_from_slice(column);
            put_moment(&mut out, now);
        }
        out.extend_from_slice(b"}}");
        // Whoever asked may have gone.
        let _ = insert.answer.send(out);
    }
    Ok(())
}

// Rows become bytes straight from the library's buffers

fn put_row(out: &mut Vec<u8>, row: &Row<'_>) -> rusqlite::Result<()> {
    for (place, column) in COLUMNS.iter().enumerate() {
        out.extend_from_slice(column);
        match row.get_ref(place)? {
            ValueRef::Text(text) => put_text(out, text),
            ValueRef::Integer(micros) => put_moment(out, micros),
            _ => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
    Ok(())
}

/// Writes a moment as a JSON string.
pub fn put_moment(out: &mut Vec<u8>, micros: i64) {
    out.push(b'"');
    put_timestamp(out, micros);
    out.push(b'"');
}

/// Writes a JSON string.
pub fn put_text(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut clean_from = 0;
    for (place, byte) in text.iter().enumerate() {
        if *byte >= 0x20 && *byte != b'"' && *byte != b'\\' {
            continue;
        }
        out.extend_from_slice(&text[clean_from..place]);
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            _ => out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
        }
        clean_from = place + 1;
    }
    out.extend_from_slice(&text[clean_from..]);
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use portreeve_model::timestamp_text;

    use super::*;

    #[test]
    fn a_row_is_written_as_the_product_writes_it() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(TABLES).unwrap();
        let article = article(12);
        let author = user_id(article.owner);
        connection
            .execute("INSERT INTO users (id) VALUES (?1)", [&author])
            .unwrap();
        let values = (
            &article.id,
            "a\"b\\c\n",
            &article.body,
            article.status,
            &author,
            article.created,
        );
        connection.execute(INSERT, values).unwrap();
        let mut statement = connection.prepare(ONE).unwrap();
        let mut rows = statement.query((&article.id, &author)).unwrap();
        let mut out = vec![];
        put_row(&mut out, rows.next().unwrap().unwrap()).unwrap();
        let moment = timestamp_text(article.created);
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&out).unwrap(),
            serde_json::json!({
                "id": article.id, "title": "a\"b\\c\n", "body": article.body, "status": article.status,
                "author": author, "created": moment, "updated": moment,
            })
        );
    }
}
