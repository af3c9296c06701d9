//! What the server's errors mean. Their details hold values of records, which belong into no log and no answer.

use portreeve_model::{Collection, FieldId};
use tokio_postgres::error::SqlState;

use super::super::sql::dialect::Dialect;
use crate::StoreError;

/// What an error means, where no constraint of a collection is concerned.
pub(crate) fn failure(error: tokio_postgres::Error) -> StoreError {
    if error.is_closed() {
        return StoreError::Unavailable;
    }
    let Some(state) = error.code() else {
        // A value that its column's type cannot hold never leaves this program.
        return if is_encoding(&error) {
            StoreError::Check
        } else if error.as_db_error().is_none() && is_lost(&error) {
            StoreError::Unavailable
        } else {
            StoreError::Internal(error.into())
        };
    };
    let told = error.as_db_error();
    match state.code() {
        "23503" => StoreError::ForeignKey,
        "23505" => StoreError::Unique { fields: vec![] },
        // The last one is a trigger of somebody else's that refuses, in words of its own.
        "23514" | "23502" | "23P01" | "P0001" => StoreError::Check,
        // A statement's or the client's time is up.
        "57014" => StoreError::TooSlow,
        // A plan that was made from another catalog, a statement that the server has forgotten.
        "0A000" | "26000" => StoreError::Again,
        // Somebody else's transaction stood in the way.
        "40001" | "40P01" => StoreError::Again,
        "55P03" => StoreError::Busy,
        "53100" => StoreError::Full,
        "42P01" | "42703" | "3F000" => StoreError::SchemaChanged,
        "25006" => StoreError::ReadOnly,
        "57P01" | "57P02" | "57P03" => StoreError::Unavailable,
        code if code.starts_with("08") => StoreError::Unavailable,
        code if code.starts_with("53") => StoreError::Busy,
        // Data exceptions: a value does not fit.
        code if code.starts_with("22") => StoreError::Check,
        _ if *state == SqlState::DATA_CORRUPTED || *state == SqlState::INDEX_CORRUPTED => {
            StoreError::Corrupt("the server says that its files are damaged".into())
        }
        code => StoreError::Internal(Box::new(Told {
            code: code.to_owned(),
            // What the server itself says is about names; what is raised in a function may say anything.
            message: told
                .filter(|told| told.file() != Some("pl_exec.c"))
                .map(|told| told.message().to_owned()),
        })),
    }
}

/// An error of the server as far as it may be logged: without details, hints and the context of functions.
#[derive(Debug, thiserror::Error)]
#[error("the server says {code}{}", .message.as_ref().map_or(String::new(), |message| format!(": {message}")))]
struct Told {
    code: String,
    message: Option<String>,
}

fn is_encoding(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.is::<std::num::TryFromIntError>())
}

fn is_lost(error: &tokio_postgres::Error) -> bool {
    let source = std::error::Error::source(error);
    source.is_some_and(|source| source.is::<std::io::Error>())
}

/// The same for a write to a collection: names the fields, where all of them were sent, and never a value.
pub(crate) fn constraint(
    error: tokio_postgres::Error,
    collection: &Collection,
    sent: &[FieldId],
) -> StoreError {
    let Some(told) = error.as_db_error() else {
        return failure(error);
    };
    let here = told.table() == Some(Dialect::Postgres.bare_table(collection));
    let column = |name: &str| {
        collection
            .field_ids()
            .find(|field| Dialect::column_name(collection.field(*field)) == name)
    };
    match *told.code() {
        SqlState::UNIQUE_VIOLATION if here => {
            // 'Key (student, course)=(…) already exists.', in whatever language the server speaks.
            let names = told.detail().and_then(|detail| {
                let (_, rest) = detail.split_once('(')?;
                rest.split_once(")=(").map(|(names, _)| names)
            });
            let fields: Option<Vec<FieldId>> = names.and_then(|names| {
                names
                    .split(", ")
                    .map(|name| column(&name.trim_matches('"').replace("\"\"", "\"")))
                    .collect()
            });
            let fields = fields.filter(|fields| fields.iter().all(|field| sent.contains(field)));
            StoreError::Unique {
                fields: fields.unwrap_or_default(),
            }
        }
        SqlState::NOT_NULL_VIOLATION if here => match told.column().and_then(column) {
            Some(field) => StoreError::NotNull { field },
            None => StoreError::Check,
        },
        _ => failure(error),
    }
}
