//! Looks at what tables a database has. Nothing is changed, and the product's own tables are left out.

#![expect(dead_code, reason = "stores of existing databases come next")]

mod postgres;
mod sqlite;
