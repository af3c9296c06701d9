//! The requests over PostgreSQL: a pool as large as the product's, statements prepared once per connection.

use std::error::Error;

use anyhow::{Context, Result};
use deadpool_postgres::{Manager, ManagerConfig, Object, Pool, RecyclingMethod};
use tokio_postgres::types::{FromSql, ToSql, Type};
use tokio_postgres::{NoTls, Row};

use super::New;
use super::cells::{ARTICLE, Cell, List, POST, put};

/// As many as the product has by default.
const CONNECTIONS: usize = 10;

/// PostgreSQL counts from 2000.
const FROM_1970: i64 = 946_684_800_000_000;

const LIST: &str = "SELECT id, title, body, status, author, created, updated FROM articles WHERE author = $1 ORDER BY id LIMIT $2 + 1::int8";
const ONE: &str = "SELECT id, title, body, status, author, created, updated FROM articles WHERE id = $1::text::uuid AND author = $2";
const INSERT: &str = "INSERT INTO articles (id, title, body, status, author, created, updated)
VALUES (gen_random_uuid(), $1, $2, $3, $4, now(), now()) RETURNING id, title, body, status, author, created, updated";
const POSTS: &str = "
SELECT p.id, p.title,
  CASE WHEN p.author = $1 OR t.editor = $1 THEN p.body END,
  CASE WHEN p.author = $1 OR s.owner = $1 THEN p.status END,
  CASE WHEN p.author = $1 OR t.editor = $1 THEN p.author END,
  CASE WHEN p.author = $1 THEN p.topic END,
  CASE WHEN p.author = $1 THEN p.created END
FROM posts p JOIN topics t ON t.id = p.topic JOIN spaces s ON s.id = t.space
WHERE p.author = $1 OR t.editor = $1 OR s.owner = $1
ORDER BY p.id LIMIT $2 + 1::int8";

/// A database on a server.
pub struct Postgres {
    pool: Pool,
}

impl Postgres {
    pub fn new(url: &str) -> Result<Self> {
        let manager = Manager::from_config(
            url.parse().context("no URL of a database")?,
            NoTls,
            ManagerConfig {
                recycling_method: RecyclingMethod::Fast,
            },
        );
        let pool = Pool::builder(manager).max_size(CONNECTIONS).build()?;
        Ok(Self { pool })
    }

    pub async fn articles(&self, user: &str, limit: u32) -> Result<Vec<u8>> {
        self.list(LIST, &ARTICLE, user, limit).await
    }

    pub async fn posts(&self, user: &str, limit: u32) -> Result<Vec<u8>> {
        self.list(POSTS, &POST, user, limit).await
    }

    pub async fn article(&self, user: &str, id: &str) -> Result<Option<Vec<u8>>> {
        let rows = self.rows(ONE, &[&id, &user]).await?;
        rows.first().map(record).transpose()
    }

    pub async fn create(&self, user: &str, new: &New) -> Result<Vec<u8>> {
        let rows = self
            .rows(INSERT, &[&new.title, &new.body, &new.status, &user])
            .await?;
        record(rows.first().context("nothing was made")?)
    }

    async fn list(&self, sql: &str, columns: &[&[u8]], user: &str, limit: u32) -> Result<Vec<u8>> {
        let rows = self.rows(sql, &[&user, &i64::from(limit)]).await?;
        let mut list = List::new(limit);
        for row in &rows {
            let Some(out) = list.next() else { break };
            put_row(out, columns, row)?;
        }
        Ok(list.finish())
    }

    async fn rows(&self, sql: &str, parameters: &[&(dyn ToSql + Sync)]) -> Result<Vec<Row>> {
        let client: Object = self.pool.get().await?;
        let statement = client.prepare_cached(sql).await?;
        Ok(client.query(&statement, parameters).await?)
    }
}

fn record(row: &Row) -> Result<Vec<u8>> {
    let mut out = Vec::with_capacity(1024);
    out.extend_from_slice(b"{\"data\":");
    put_row(&mut out, &ARTICLE, row)?;
    out.push(b'}');
    Ok(out)
}

fn put_row(out: &mut Vec<u8>, columns: &[&[u8]], row: &Row) -> Result<()> {
    for (place, column) in columns.iter().enumerate() {
        out.extend_from_slice(column);
        let cell = row.try_get::<_, Option<Raw<'_>>>(place)?;
        put(out, &cell.map_or(Cell::Null, |Raw(cell)| cell));
    }
    out.push(b'}');
    Ok(())
}

struct Raw<'a>(Cell<'a>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(ty: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self(match *ty {
            Type::UUID => Cell::Uuid(raw.try_into()?),
            Type::TIMESTAMPTZ => Cell::Moment(i64::from_be_bytes(raw.try_into()?) + FROM_1970),
            Type::INT8 => Cell::Integer(i64::from_be_bytes(raw.try_into()?)),
            _ => Cell::Text(raw),
        }))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
