//! A second server by hand, over the very tables the product has made, where the first one's are not enough: requests
//! over PostgreSQL, and a list whose rows and cells depend on two relations and three roles. Same rows, same indexes,
//! same statistics; the statements are what somebody would write who knows exactly this question.

mod cells;
mod postgres;
mod sqlite;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path as Segment, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::serve::ListenerExt;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::floor::TOKEN;

/// The argument that makes this program the server.
pub const CHILD: &str = "hand-server";

/// Where the tables are.
#[derive(Clone, Copy)]
pub enum Place<'a> {
    /// A database file.
    Sqlite(&'a Path),
    /// A database on a server, by its URL.
    Postgres(&'a str),
}

enum Database {
    Sqlite(sqlite::Sqlite),
    Postgres(postgres::Postgres),
}

struct App {
    database: Database,
    sessions: HashMap<[u8; 32], (Arc<str>, Instant)>,
}

/// What is sent to make a record.
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

/// The server for one account: says its port and serves until it is ended.
pub fn child(kind: &str, place: &str, user: &str) -> Result<()> {
    let expires = Instant::now() + std::time::Duration::from_secs(86_400);
    let hash: [u8; 32] = Sha256::digest(TOKEN).into();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let database = match kind {
            "sqlite" => Database::Sqlite(sqlite::Sqlite::new(place)),
            "postgres" => Database::Postgres(postgres::Postgres::new(place)?),
            _ => bail!("there is no database '{kind}'"),
        };
        let app = Arc::new(App {
            database,
            sessions: HashMap::from([(hash, (Arc::from(user), expires))]),
        });
        let router = Router::new()
            .route(
                "/healthz",
                get(async || json(b"{\"status\":\"ok\"}".to_vec())),
            )
            .route("/v1/records/articles", get(articles).post(create))
            .route("/v1/records/articles/{id}", get(article))
            .route("/v1/records/posts", get(posts))
            .with_state(app);
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
    fn user(&self, headers: &HeaderMap) -> Option<Arc<str>> {
        let token = headers
            .get(header::AUTHORIZATION)?
            .to_str()
            .ok()?
            .strip_prefix("Bearer ")?;
        let hash: [u8; 32] = Sha256::digest(token).into();
        let (user, expires) = self.sessions.get(&hash)?;
        (*expires > Instant::now()).then(|| Arc::clone(user))
    }

    fn postgres(&self) -> Result<&postgres::Postgres> {
        match &self.database {
            Database::Postgres(postgres) => Ok(postgres),
            Database::Sqlite(_) => bail!("the other floor measures this"),
        }
    }
}

fn json(bytes: Vec<u8>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], bytes).into_response()
}

fn answer(status: StatusCode, answer: Result<Option<Vec<u8>>>) -> Response {
    match answer {
        Ok(Some(bytes)) => (status, json(bytes)).into_response(),
        Ok(None) => StatusCode::NOT_FOUND.into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error:#}")).into_response(),
    }
}

async fn articles(State(app): State<Arc<App>>, page: Query<Page>, headers: HeaderMap) -> Response {
    let Some(user) = app.user(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let listed = async { app.postgres()?.articles(&user, page.limit).await.map(Some) };
    answer(StatusCode::OK, listed.await)
}

async fn article(
    State(app): State<Arc<App>>,
    Segment(id): Segment<String>,
    headers: HeaderMap,
) -> Response {
    let Some(user) = app.user(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let found = async { app.postgres()?.article(&user, &id).await };
    answer(StatusCode::OK, found.await)
}

async fn create(State(app): State<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let Some(user) = app.user(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let Ok(new) = serde_json::from_slice::<New>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let made = async { app.postgres()?.create(&user, &new).await.map(Some) };
    answer(StatusCode::CREATED, made.await)
}

async fn posts(State(app): State<Arc<App>>, page: Query<Page>, headers: HeaderMap) -> Response {
    let Some(user) = app.user(&headers) else {
        return StatusCode::UNAUTHORIZED.into_response();
    };
    let listed = match &app.database {
        Database::Sqlite(sqlite) => sqlite.posts(&user, page.limit),
        Database::Postgres(postgres) => postgres.posts(&user, page.limit).await,
    };
    answer(StatusCode::OK, listed.map(Some))
}

/// A running one.
pub struct Hand {
    running: crate::process::Running,
    /// Where it listens.
    pub address: std::net::SocketAddr,
}

impl Hand {
    /// Starts one for an account.
    pub fn start(place: Place<'_>, user: &str) -> Result<Self> {
        let program = std::env::current_exe().context("where is this program?")?;
        let mut command = std::process::Command::new(program);
        command.arg(CHILD);
        match place {
            Place::Sqlite(path) => command.arg("sqlite").arg(path),
            Place::Postgres(url) => command.arg("postgres").arg(url),
        };
        let (running, port) = crate::process::Running::start_and_listen(command.arg(user))?;
        let port: u16 = port
            .parse()
            .context("the server by hand did not say its port")?;
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], port));
        super::product::wait(address, Instant::now())?;
        Ok(Self { running, address })
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.running.pid()
    }
}
