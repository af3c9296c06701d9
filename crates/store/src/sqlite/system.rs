//! The texts and runners of the named system statements.

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_gate::{Authorized, CreateUser, CredentialFacts, SetPassword};
use portreeve_model::{CollectionName, Value, new_uuid};
use portreeve_policy::{Binding, BoundTo, Snapshot};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::policy::{actor, audit};
use super::values::{any, text};
use super::writer::{Shared, Writing};
use super::{constraint, failure};
use crate::sql::dialect::Dialect;
use crate::{Account, AccountSummary, Credential, SessionFacts, StoreError};

/// The only status that may sign in.
const ACTIVE: &str = "active";

/// The name accounts have in the catalog.
fn users() -> CollectionName {
    CollectionName::main("users")
}

pub(crate) fn credential(
    connection: &Connection,
    login: &str,
) -> Result<Option<Credential>, StoreError> {
    // A name wins over an address: an account cannot be shadowed by one that takes its name for an address.
    let mut statement = connection
        .prepare_cached(
            "SELECT u.id, u.status, c.password_hash FROM portreeve_users u
             LEFT JOIN portreeve_credentials c ON c.user = u.id
             WHERE u.username = ?1 OR lower(u.email) = lower(?1)
             ORDER BY u.username IS ?1 DESC LIMIT 1",
        )
        .map_err(failure)?;
    let found = statement.query_row([login], |row| {
        Ok(Credential {
            user: row.get::<_, String>(0)?.into(),
            status: row.get(1)?,
            password_hash: row.get(2)?,
        })
    });
    found.optional().map_err(failure)
}

pub(crate) fn credential_facts(
    connection: &Connection,
    shared: &Shared,
    user: &str,
) -> Result<Option<Account>, StoreError> {
    // The epoch first: if anything changes meanwhile, the facts are newer than the epoch says, and a write under them
    // is refused once for nothing; the other way round it would be let through.
    let epoch = shared.epoch(user);
    let mut statement = connection
        .prepare_cached("SELECT * FROM portreeve_users WHERE id = ?1")
        .map_err(failure)?;
    statement.raw_bind_parameter(1, user).map_err(failure)?;
    let mut rows = statement.raw_query();
    let Some(row) = rows.next().map_err(failure)? else {
        return Ok(None);
    };
    // Asked of the row, not of the prepared statement: that one still has the columns of before a change of tables.
    let names: Vec<Arc<str>> = row.as_ref().column_names().map(Arc::from).collect();
    let mut attributes = HashMap::with_capacity(names.len());
    let mut status = String::new();
    for (place, name) in names.into_iter().enumerate() {
        let value = untyped(row.get_ref(place).map_err(failure)?)?;
        let value = match (&*name, value) {
            ("confirmed", Value::Integer(number)) => Value::Boolean(number != 0),
            ("status", Value::Text(text)) => {
                status.clone_from(&text);
                Value::Text(text)
            }
            (_, value) => value,
        };
        attributes.insert(name, value);
    }
    drop(rows);
    let bindings = bindings(connection, user)?;
    let facts = CredentialFacts {
        user: Arc::from(user),
        attributes: Arc::new(attributes),
        bindings,
        epoch,
    };
    Ok(Some(Account { facts, status }))
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

fn bindings(connection: &Connection, user: &str) -> Result<Vec<Binding>, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT role, profile, restricted_to, \"from\", until, \"primary\" FROM portreeve_bindings
             WHERE user = ?1 ORDER BY id",
        )
        .map_err(failure)?;
    let mut rows = statement.query([user]).map_err(failure)?;
    let mut bindings = vec![];
    while let Some(row) = rows.next().map_err(failure)? {
        bindings.push(binding(row)?);
    }
    Ok(bindings)
}

fn binding(row: &Row<'_>) -> Result<Binding, StoreError> {
    let (role, profile): (Option<String>, Option<String>) =
        (row.get(0).map_err(failure)?, row.get(1).map_err(failure)?);
    let to = match (role, profile) {
        (Some(role), None) => BoundTo::Role(role),
        (None, Some(profile)) => BoundTo::Profile(profile),
        _ => {
            return Err(StoreError::Corrupt(
                "a binding leads to no role or profile, or to both".into(),
            ));
        }
    };
    let restricted_to = match row.get::<_, Option<String>>(2).map_err(failure)? {
        None => None,
        // A restriction that cannot be read must not read like none.
        Some(text) => Some(serde_json::from_str(&text).map_err(|_| {
            StoreError::Corrupt("a binding's restriction is no list of names".into())
        })?),
    };
    Ok(Binding {
        to,
        restricted_to,
        from: row.get(3).map_err(failure)?,
        until: row.get(4).map_err(failure)?,
        primary: row.get(5).map_err(failure)?,
    })
}

pub(crate) fn insert_session(
    writing: &Writing<'_>,
    token_hash: &[u8; 32],
    user: &str,
    now: i64,
    expires: i64,
) -> Result<(), StoreError> {
    let id = new_uuid(writing.clock, writing.entropy)
        .hyphenated()
        .to_string();
    writing.undoable(|_| {
        let session =
            "INSERT INTO portreeve_sessions (id, user, created, expires) VALUES (?1, ?2, ?3, ?4)";
        let mut statement = writing
            .connection
            .prepare_cached(session)
            .map_err(failure)?;
        statement
            .execute((&id, user, now, expires))
            .map_err(|error| match failure(error) {
                StoreError::ForeignKey => StoreError::Gone,
                other => other,
            })?;
        let token = "INSERT INTO portreeve_session_tokens (token_hash, session) VALUES (?1, ?2)";
        let mut statement = writing.connection.prepare_cached(token).map_err(failure)?;
        statement
            .execute((&token_hash[..], &id))
            .map(drop)
            .map_err(failure)
    })
}

pub(crate) fn session(
    connection: &Connection,
    token_hash: &[u8; 32],
) -> Result<Option<SessionFacts>, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT s.user, s.expires FROM portreeve_session_tokens t JOIN portreeve_sessions s ON s.id = t.session
             WHERE t.token_hash = ?1",
        )
        .map_err(failure)?;
    let found = statement.query_row([&token_hash[..]], |row| {
        Ok(SessionFacts {
            user: row.get::<_, String>(0)?.into(),
            expires: row.get(1)?,
        })
    });
    found.optional().map_err(failure)
}

pub(crate) fn delete_session(
    writing: &Writing<'_>,
    token_hash: &[u8; 32],
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM portreeve_sessions
               WHERE id = (SELECT session FROM portreeve_session_tokens WHERE token_hash = ?1)";
    let mut statement = writing.connection.prepare_cached(sql).map_err(failure)?;
    Ok(statement.execute([&token_hash[..]]).map_err(failure)? > 0)
}

pub(crate) fn expire_sessions(writing: &Writing<'_>, now: i64) -> Result<usize, StoreError> {
    let mut statement = writing
        .connection
        .prepare_cached("DELETE FROM portreeve_sessions WHERE expires <= ?1")
        .map_err(failure)?;
    statement.execute([now]).map_err(failure)
}

pub(crate) fn has_administrator(
    connection: &Connection,
    snapshot: &Snapshot,
    now: i64,
) -> Result<bool, StoreError> {
    let roles: Vec<&str> = snapshot
        .role_keys()
        .filter(|role| snapshot.is_administrator(role) == Some(true))
        .map(|role| &**role)
        .collect();
    let profiles: Vec<&String> = snapshot
        .profile_keys()
        .filter(|profile| snapshot.profile_has_administrator(profile) == Some(true))
        .collect();
    connection
        .query_row(
            "SELECT EXISTS (
               SELECT 1 FROM portreeve_bindings b JOIN portreeve_users u ON u.id = b.user
               WHERE u.status = ?1 AND b.until IS NULL AND coalesce(b.\"from\", ?2) <= ?2
                 AND (b.role IN (SELECT value FROM json_each(?3)) OR b.profile IN (SELECT value FROM json_each(?4))))",
            (ACTIVE, now, json!(roles).to_string(), json!(profiles).to_string()),
            |row| row.get(0),
        )
        .map_err(failure)
}

pub(crate) fn create_user(
    writing: &Writing<'_>,
    authorized: &Authorized<CreateUser>,
) -> Result<i64, StoreError> {
    writing.check_versions(authorized)?;
    let actor = actor(authorized.principal());
    insert_user(
        writing,
        authorized.operation(),
        authorized.snapshot(),
        authorized.context().now,
        actor.as_deref(),
    )
}

pub(crate) fn first_administrator(
    writing: &Writing<'_>,
    user: &CreateUser,
    snapshot: &Snapshot,
) -> Result<i64, StoreError> {
    if snapshot.version() != writing.shared.version() {
        return Err(StoreError::VersionChanged);
    }
    let now = writing.clock.now();
    if has_administrator(writing.connection, snapshot, now)? {
        return Err(StoreError::AdministratorExists);
    }
    insert_user(writing, user, snapshot, now, None)
}

fn insert_user(
    writing: &Writing<'_>,
    user: &CreateUser,
    snapshot: &Snapshot,
    now: i64,
    by: Option<&str>,
) -> Result<i64, StoreError> {
    let catalog = snapshot.catalog();
    let accounts = catalog
        .find(&users())
        .ok_or_else(|| StoreError::Corrupt("there are no accounts".into()))?;
    let dialect = Dialect::Sqlite;
    let mut columns = vec![
        "id",
        "key",
        "username",
        "email",
        "status",
        "confirmed",
        "provider",
        "created",
    ];
    let base = columns.len();
    let text = |text: &str| Value::Text(text.to_owned());
    let optional = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let mut values = vec![
        text(&user.id),
        text(&user.key),
        optional(&user.username),
        optional(&user.email),
        text(ACTIVE),
        Value::Boolean(false),
        text("local"),
        Value::Integer(now),
    ];
    for (name, value) in &user.attributes {
        // Own columns only: the others are this statement's to set.
        let own = accounts.find_field(name).filter(|_| !is_built_in(name));
        let Some(field) = own else {
            return Err(StoreError::Internal(
                format!("accounts have no own column '{name}'").into(),
            ));
        };
        columns.push(&accounts.field(field).name);
        values.push(value.clone());
    }
    for field in &accounts.fields {
        let default = match &field.default {
            Some(portreeve_model::FieldDefault::Value(value)) => value.clone(),
            Some(portreeve_model::FieldDefault::Now) => Value::Integer(now),
            None => continue,
        };
        if !columns[base..].contains(&&*field.name) {
            columns.push(&field.name);
            values.push(default);
        }
    }
    let names: Vec<String> = columns.iter().map(|name| dialect.name(name)).collect();
    let parameters: Vec<String> = (1..=columns.len())
        .map(|number| dialect.parameter(number))
        .collect();
    let sql = format!(
        "INSERT INTO portreeve_users ({}) VALUES ({}) RETURNING number",
        names.join(", "),
        parameters.join(", ")
    );
    let sent: Vec<_> = accounts.field_ids().collect();
    writing.undoable(|_| {
        let connection = writing.connection;
        let mut statement = connection.prepare_cached(&sql).map_err(failure)?;
        let number: i64 = statement
            .query_row(rusqlite::params_from_iter(values.iter().map(any)), |row| {
                row.get(0)
            })
            .map_err(|error| constraint(error, accounts, &sent))?;
        if let Some(hash) = &user.password_hash {
            let sql = "INSERT INTO portreeve_credentials (user, password_hash) VALUES (?1, ?2)";
            let mut statement = connection.prepare_cached(sql).map_err(failure)?;
            statement.execute((&user.id, hash)).map_err(failure)?;
        }
        for binding in &user.bindings {
            insert_binding(writing, &user.id, binding, by)?;
        }
        audit(
            connection,
            now,
            by,
            "user.create",
            &user.id,
            Some(&json!({ "key": user.key })),
        )?;
        Ok(number)
    })
}

fn is_built_in(name: &str) -> bool {
    crate::sql::ddl::USER_COLUMNS
        .iter()
        .any(|(column, _)| *column == name)
}

fn insert_binding(
    writing: &Writing<'_>,
    user: &str,
    binding: &Binding,
    by: Option<&str>,
) -> Result<(), StoreError> {
    let id = new_uuid(writing.clock, writing.entropy)
        .hyphenated()
        .to_string();
    let (role, profile) = match &binding.to {
        BoundTo::Role(role) => (Some(role), None),
        BoundTo::Profile(profile) => (None, Some(profile)),
    };
    let restricted_to = binding
        .restricted_to
        .as_ref()
        .map(|names| json!(names).to_string());
    let sql = "INSERT INTO portreeve_bindings (id, user, role, profile, restricted_to, \"from\", until, \"primary\", granted_by)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    let mut statement = writing.connection.prepare_cached(sql).map_err(failure)?;
    statement
        .execute((
            id,
            user,
            role,
            profile,
            restricted_to,
            binding.from,
            binding.until,
            binding.primary,
            by,
        ))
        .map(drop)
        .map_err(failure)
}

pub(crate) fn set_password(
    writing: &Writing<'_>,
    authorized: &Authorized<SetPassword>,
) -> Result<u64, StoreError> {
    writing.check_versions(authorized)?;
    let (operation, connection) = (authorized.operation(), writing.connection);
    writing.undoable(|_| {
        connection
            .execute(
                "INSERT INTO portreeve_credentials (user, password_hash) VALUES (?1, ?2)
                 ON CONFLICT (user) DO UPDATE SET password_hash = excluded.password_hash",
                (&operation.user, &operation.password_hash),
            )
            .map_err(|error| match failure(error) {
                StoreError::ForeignKey => StoreError::Gone,
                other => other,
            })?;
        connection
            .execute(
                "DELETE FROM portreeve_sessions WHERE user = ?1",
                [&operation.user],
            )
            .map_err(failure)?;
        let epoch = advance(connection, &operation.user)?;
        let actor = actor(authorized.principal());
        audit(
            connection,
            authorized.context().now,
            actor.as_deref(),
            "user.set_password",
            &operation.user,
            None,
        )?;
        Ok(epoch)
    })
}

// The next epoch of an account: whoever was admitted before is admitted anew.
fn advance(connection: &Connection, user: &str) -> Result<u64, StoreError> {
    let epoch: i64 = connection
        .query_row(
            "INSERT INTO portreeve_epochs (user, epoch) VALUES (?1, 1)
             ON CONFLICT (user) DO UPDATE SET epoch = epoch + 1 RETURNING epoch",
            [user],
            |row| row.get(0),
        )
        .map_err(failure)?;
    u64::try_from(epoch).map_err(|_| StoreError::Corrupt("an epoch is negative".into()))
}

/// What the writer knows before its first task.
pub(crate) fn load_shared(connection: &Connection) -> rusqlite::Result<Shared> {
    let shared = Shared::default();
    let version: i64 =
        connection.query_row("SELECT version FROM portreeve_policy", [], |row| row.get(0))?;
    shared.set_version(u64::try_from(version).unwrap_or(0));
    let mut statement = connection.prepare("SELECT user, epoch FROM portreeve_epochs")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (user, epoch): (String, i64) = (row.get(0)?, row.get(1)?);
        shared.set_epoch(&user, u64::try_from(epoch).unwrap_or(0));
    }
    Ok(shared)
}

pub(crate) fn find_user(connection: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id FROM (
               SELECT id, 1 AS place FROM portreeve_users WHERE id = ?1
               UNION ALL SELECT id, 2 FROM portreeve_users WHERE key = ?1
               UNION ALL SELECT id, 3 FROM portreeve_users WHERE username = ?1
               UNION ALL SELECT id, 4 FROM portreeve_users WHERE lower(email) = lower(?1)
               UNION ALL SELECT id, 5 FROM portreeve_users WHERE number = ?2
             ) ORDER BY place LIMIT 1",
        )
        .map_err(failure)?;
    statement
        .query_row((name, name.parse::<i64>().ok()), |row| row.get(0))
        .optional()
        .map_err(failure)
}

pub(crate) fn list_users(
    connection: &Connection,
    limit: u32,
    after: Option<i64>,
) -> Result<Vec<AccountSummary>, StoreError> {
    let mut statement = connection
        .prepare_cached(
            "SELECT id, key, number, username, email, status,
                    (SELECT json_group_array(coalesce(b.role, 'profile:' || b.profile) ORDER BY b.id)
                     FROM portreeve_bindings b WHERE b.user = u.id)
             FROM portreeve_users u WHERE number > ?1 ORDER BY number LIMIT ?2",
        )
        .map_err(failure)?;
    let rows = statement.query_map((after.unwrap_or(i64::MIN), limit), |row| {
        let bindings: String = row.get(6)?;
        Ok(AccountSummary {
            id: row.get(0)?,
            key: row.get(1)?,
            number: row.get(2)?,
            username: row.get(3)?,
            email: row.get(4)?,
            status: row.get(5)?,
            bindings: serde_json::from_str(&bindings).unwrap_or_default(),
        })
    });
    rows.map_err(failure)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failure)
}

pub(crate) fn setting(connection: &Connection, name: &str) -> Result<Option<String>, StoreError> {
    let mut statement = connection
        .prepare_cached("SELECT value FROM portreeve_settings WHERE name = ?1")
        .map_err(failure)?;
    statement
        .query_row([name], |row| row.get(0))
        .optional()
        .map_err(failure)
}

pub(crate) fn set_setting(
    writing: &Writing<'_>,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO portreeve_settings (name, value) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    let mut statement = writing.connection.prepare_cached(sql).map_err(failure)?;
    statement.execute((name, value)).map(drop).map_err(failure)
}

/// Every table's name and rows in order, hashed.
pub(crate) fn digest(connection: &Connection, with_audit: bool) -> Result<[u8; 32], StoreError> {
    let mut hash = Sha256::new();
    let mut tables = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")
        .map_err(failure)?;
    let tables: Vec<String> = tables
        .query_map([], |row| row.get(0))
        .map_err(failure)?
        .collect::<rusqlite::Result<_>>()
        .map_err(failure)?;
    for table in tables
        .iter()
        .filter(|table| with_audit || *table != "portreeve_audit")
    {
        hash.update(table.as_bytes());
        let name = Dialect::Sqlite.name(table);
        // The audit trail's counter grows with it.
        let rows = if table == "sqlite_sequence" && !with_audit {
            " WHERE name <> 'portreeve_audit'"
        } else {
            ""
        };
        let mut statement = connection
            .prepare(&format!("SELECT * FROM {name}{rows}"))
            .map_err(failure)?;
        let columns = statement.column_count();
        let order: Vec<String> = (1..=columns).map(|column| column.to_string()).collect();
        drop(statement);
        statement = connection
            .prepare(&format!(
                "SELECT * FROM {name}{rows} ORDER BY {}",
                order.join(", ")
            ))
            .map_err(failure)?;
        let mut rows = statement.query([]).map_err(failure)?;
        while let Some(row) = rows.next().map_err(failure)? {
            for column in 0..columns {
                // With its length before it, so that two cells never read like one.
                let (kind, bytes): (u8, Vec<u8>) = match row.get_ref(column).map_err(failure)? {
                    ValueRef::Null => (0, vec![]),
                    ValueRef::Integer(number) => (1, number.to_be_bytes().to_vec()),
                    ValueRef::Real(float) => (2, float.to_bits().to_be_bytes().to_vec()),
                    ValueRef::Text(text) => (3, text.to_vec()),
                    ValueRef::Blob(bytes) => (4, bytes.to_vec()),
                };
                hash.update([kind]);
                hash.update((bytes.len() as u64).to_be_bytes());
                hash.update(&bytes);
            }
        }
    }
    Ok(hash.finalize().into())
}
