//! The embedded database as the work written for both sees it. Every future here is ready at once.

use std::sync::Arc;

use portreeve_model::{
    Catalog, Clock, Collection, CollectionId, Entropy, FieldId, FieldType, Value,
};
use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, ValueRef};

use super::values::{bind, json_texts, text, value};
use super::writer::{Shared, Writing};
use super::{constraint, failure};
use crate::StoreError;
use crate::sql::binding::Binding;
use crate::sql::dialect::Dialect;
use crate::sql::fragment::Fragment;
use crate::work::{Connection, Parameter, Row, Statements, Transaction};

/// A connection that only reads.
pub(crate) struct Reading<'a> {
    pub connection: &'a rusqlite::Connection,
    pub shared: &'a Shared,
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self {
            Self::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Self::Integer(number) => ToSqlOutput::Borrowed(ValueRef::Integer(*number)),
            Self::Text(text) => ToSqlOutput::Borrowed(ValueRef::Text(text.as_bytes())),
            Self::Bytes(bytes) => ToSqlOutput::Borrowed(ValueRef::Blob(bytes)),
            Self::List(texts) => ToSqlOutput::from(json_texts(texts)),
        })
    }
}

fn rows(
    connection: &rusqlite::Connection,
    fragment: &Fragment,
    binding: &Binding<'_>,
    types: &[FieldType],
) -> Result<Vec<Vec<Value>>, StoreError> {
    let mut statement = connection.prepare_cached(&fragment.sql).map_err(failure)?;
    bind(&mut statement, &fragment.slots, binding)?;
    let mut rows = statement.raw_query();
    let mut found = vec![];
    while let Some(row) = rows.next().map_err(failure)? {
        let mut values = Vec::with_capacity(types.len());
        for (place, ty) in types.iter().enumerate() {
            values.push(value(row.get_ref(place).map_err(failure)?, *ty)?);
        }
        found.push(values);
    }
    Ok(found)
}

// The names of the columns are asked of the row, not of the prepared statement: that one still has the columns of
// before a change of tables.
fn ask(
    connection: &rusqlite::Connection,
    sql: &str,
    parameters: &[Parameter<'_>],
    mut names: Option<&mut Vec<Arc<str>>>,
) -> Result<Vec<Row>, StoreError> {
    let mut statement = connection.prepare_cached(sql).map_err(failure)?;
    for (place, parameter) in parameters.iter().enumerate() {
        statement
            .raw_bind_parameter(place + 1, parameter)
            .map_err(failure)?;
    }
    let mut rows = statement.raw_query();
    let mut found = vec![];
    while let Some(row) = rows.next().map_err(failure)? {
        let columns = row.as_ref().column_count();
        if let Some(names) = names.take() {
            *names = row.as_ref().column_names().map(Arc::from).collect();
        }
        let mut values = Vec::with_capacity(columns);
        for place in 0..columns {
            values.push(untyped(row.get_ref(place).map_err(failure)?)?);
        }
        found.push(Row(values));
    }
    Ok(found)
}

fn untyped(column: ValueRef<'_>) -> Result<Value, StoreError> {
    Ok(match column {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(number) => Value::Integer(number),
        ValueRef::Real(float) => Value::Float(float),
        ValueRef::Text(bytes) => Value::Text(text(bytes)?.to_owned()),
        ValueRef::Blob(_) => return Err(StoreError::Corrupt("a column holds bytes".into())),
    })
}

// An insert that tells the key, which in a table that was there before may be of any kind.
fn returning(
    connection: &rusqlite::Connection,
    fragment: &Fragment,
    binding: &Binding<'_>,
    collection: &Collection,
    sent: &[FieldId],
) -> Result<Option<Value>, StoreError> {
    let mut statement = connection.prepare_cached(&fragment.sql).map_err(failure)?;
    bind(&mut statement, &fragment.slots, binding)?;
    let told = statement.column_count() > 0;
    let mut rows = statement.raw_query();
    let mut key = None;
    // To the end, which is when the row is really there.
    while let Some(row) = rows
        .next()
        .map_err(|error| constraint(error, collection, sent))?
    {
        if told {
            key = Some(value(
                row.get_ref(0).map_err(failure)?,
                collection.key_field().ty,
            )?);
        }
    }
    Ok(key)
}

macro_rules! connection {
    ($type:ty) => {
        impl Connection for $type {
            fn dialect(&self) -> Dialect {
                Dialect::Sqlite
            }

            async fn rows(
                &self,
                fragment: &Fragment,
                binding: &Binding<'_>,
                types: &[FieldType],
            ) -> Result<Vec<Vec<Value>>, StoreError> {
                rows(self.connection, fragment, binding, types)
            }

            async fn ask(
                &self,
                sql: &str,
                parameters: &[Parameter<'_>],
            ) -> Result<Vec<Row>, StoreError> {
                ask(self.connection, sql, parameters, None)
            }

            async fn ask_named(
                &self,
                sql: &str,
                parameters: &[Parameter<'_>],
            ) -> Result<(Vec<Arc<str>>, Vec<Row>), StoreError> {
                let mut names = vec![];
                let rows = ask(self.connection, sql, parameters, Some(&mut names))?;
                Ok((names, rows))
            }

            async fn epoch(&self, user: &str) -> Result<u64, StoreError> {
                Ok(self.shared.epoch(user))
            }
        }
    };
}

connection!(Reading<'_>);
connection!(Writing<'_>);

impl Transaction for Writing<'_> {
    fn clock(&self) -> &dyn Clock {
        self.clock
    }

    fn entropy(&self) -> &dyn Entropy {
        self.entropy
    }

    fn statements(&self) -> &Statements {
        self.statements
    }

    async fn versions(&self, user: Option<&str>) -> Result<(u64, u64), StoreError> {
        let epoch = user.map_or(0, |user| self.shared.epoch(user));
        Ok((self.shared.version(), epoch))
    }

    // There is one writer, and whoever has to be alone has asked for such a turn.
    async fn alone(&self) -> Result<(), StoreError> {
        Ok(())
    }

    // There is one writer.
    async fn hold(
        &self,
        _: &Catalog,
        _: &[CollectionId],
        _: &[CollectionId],
    ) -> Result<(), StoreError> {
        Ok(())
    }

    async fn run(&self, fragment: &Fragment, binding: &Binding<'_>) -> Result<(), StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&fragment.sql)
            .map_err(failure)?;
        bind(&mut statement, &fragment.slots, binding)?;
        statement.raw_execute().map(drop).map_err(failure)
    }

    async fn write(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        collection: &Collection,
        sent: &[FieldId],
    ) -> Result<u64, StoreError> {
        let mut statement = self
            .connection
            .prepare_cached(&fragment.sql)
            .map_err(failure)?;
        bind(&mut statement, &fragment.slots, binding)?;
        let written = statement.raw_execute();
        written
            .map(|rows| rows as u64)
            .map_err(|error| constraint(error, collection, sent))
    }

    async fn insert(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        collection: &Collection,
        sent: &[FieldId],
    ) -> Result<Option<Value>, StoreError> {
        if collection.existing.is_some() {
            return returning(self.connection, fragment, binding, collection, sent);
        }
        self.write(fragment, binding, collection, sent).await?;
        let made = !binding
            .assigned
            .iter()
            .any(|(field, value)| *field == collection.key && !value.is_null());
        Ok(made.then(|| Value::Integer(self.connection.last_insert_rowid())))
    }

    async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64, StoreError> {
        let mut statement = self.connection.prepare_cached(sql).map_err(failure)?;
        for (place, parameter) in parameters.iter().enumerate() {
            statement
                .raw_bind_parameter(place + 1, parameter)
                .map_err(failure)?;
        }
        statement
            .raw_execute()
            .map(|rows| rows as u64)
            .map_err(failure)
    }

    async fn change_tables(&self, sql: &str) -> Result<(), StoreError> {
        self.connection.execute_batch(sql).map_err(failure)
    }

    async fn mark(&self) -> Result<(), StoreError> {
        Writing::mark(self)
    }

    async fn undo(&self) -> Result<(), StoreError> {
        Writing::undo(self)
    }

    async fn release(&self) -> Result<(), StoreError> {
        Writing::release(self)
    }
}
