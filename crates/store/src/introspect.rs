//! Looks at what tables a database has. Nothing is changed, and the product's own tables are left out.

mod postgres;
mod sqlite;

pub(crate) use postgres::{SCHEMA as POSTGRES_SCHEMA, schema as postgres};
pub(crate) use sqlite::schema as sqlite;
