//! The texts and runners of the named system statements. Texts are written for SQLite; what PostgreSQL wants otherwise
//! is [`Dialect::system`]'s business, so the words both reserve ("user", "from", "primary") stand in quotes.

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_gate::CredentialFacts;
use portreeve_model::{FieldType, Value, new_uuid};
use portreeve_policy::{Binding, BoundTo, Context, Record, Snapshot};
use serde_json::json;

use super::{Connection, Parameter, Row, Transaction};
use crate::sql::binding::Binding as Slots;
use crate::sql::write;
use crate::{Account, AccountSummary, Credential, StoreError};

/// The only status that may sign in.
pub(super) const ACTIVE: &str = "active";

pub(crate) async fn credential<C: Connection>(
    connection: &C,
    login: &str,
) -> Result<Option<Credential>, StoreError> {
    // A name wins over an address: an account cannot be shadowed by one that takes its name for an address.
    let rows = connection
        .ask(
            "SELECT u.id, u.status, c.password_hash FROM portreeve_users u
             LEFT JOIN portreeve_credentials c ON c.\"user\" = u.id
             WHERE u.username = ?1 OR lower(u.email) = lower(?1)
             ORDER BY CASE WHEN u.username = ?1 THEN 0 ELSE 1 END LIMIT 1",
            &[login.into()],
        )
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Credential {
        user: row.text(0)?.into(),
        status: row.text(1)?.into(),
        password_hash: row.maybe_text(2).map(str::to_owned),
    }))
}

pub(crate) async fn credential_facts<C: Connection>(
    connection: &C,
    user: &str,
) -> Result<Option<Account>, StoreError> {
    // The epoch first: if anything changes meanwhile, the facts are newer than the epoch says, and a write under them
    // is refused once for nothing; the other way round it would be let through.
    let epoch = connection.epoch(user).await?;
    let sql = "SELECT * FROM portreeve_users WHERE id = ?1";
    let (names, rows) = connection.ask_named(sql, &[user.into()]).await?;
    let Some(Row(values)) = rows.into_iter().next() else {
        return Ok(None);
    };
    let attributes = attributes(&names, values);
    let status = match attributes.get("status") {
        Some(Value::Text(status)) => status.clone(),
        _ => String::new(),
    };
    let rows = connection
        .ask(
            "SELECT role, profile, restricted_to, \"from\", until, \"primary\" FROM portreeve_bindings
             WHERE \"user\" = ?1 ORDER BY id",
            &[user.into()],
        )
        .await?;
    let facts = CredentialFacts {
        user: Arc::from(user),
        attributes: Arc::new(attributes),
        bindings: rows.iter().map(binding).collect::<Result<_, _>>()?,
        epoch,
    };
    Ok(Some(Account { facts, status }))
}

/// An account's row by column, as rules see it.
pub(super) fn attributes(names: &[Arc<str>], values: Vec<Value>) -> HashMap<Arc<str>, Value> {
    let value = |name: &str, value| match (name, value) {
        ("confirmed", Value::Integer(number)) => Value::Boolean(number != 0),
        (_, value) => value,
    };
    let named = names.iter().zip(values);
    named
        .map(|(name, found)| (Arc::clone(name), value(name, found)))
        .collect()
}

pub(super) fn binding(row: &Row) -> Result<Binding, StoreError> {
    let to = match (row.maybe_text(0), row.maybe_text(1)) {
        (Some(role), None) => BoundTo::Role(role.into()),
        (None, Some(profile)) => BoundTo::Profile(profile.into()),
        _ => {
            return Err(StoreError::Corrupt(
                "a binding leads to no role or profile, or to both".into(),
            ));
        }
    };
    let restricted_to = match row.maybe_text(2) {
        None => None,
        // A restriction that cannot be read must not read like none.
        Some(text) => Some(serde_json::from_str(text).map_err(|_| {
            StoreError::Corrupt("a binding's restriction is no list of names".into())
        })?),
    };
    Ok(Binding {
        to,
        restricted_to,
        from: row.maybe_integer(3),
        until: row.maybe_integer(4),
        primary: row.boolean(5)?,
    })
}

// Where a reference leads nowhere, it is the account that is not there any more.
pub(super) fn gone(error: StoreError) -> StoreError {
    match error {
        StoreError::ForeignKey => StoreError::Gone,
        other => other,
    }
}

pub(crate) async fn has_administrator<C: Connection>(
    connection: &C,
    snapshot: &Snapshot,
    now: i64,
) -> Result<bool, StoreError> {
    let roles: Vec<&str> = snapshot
        .role_keys()
        .filter(|role| snapshot.is_administrator(role) == Some(true))
        .map(|role| &**role)
        .collect();
    let profiles: Vec<&str> = snapshot
        .profile_keys()
        .filter(|profile| snapshot.profile_has_administrator(profile) == Some(true))
        .map(|profile| &**profile)
        .collect();
    let dialect = connection.dialect();
    let sql = format!(
        "SELECT count(*) FROM portreeve_bindings b JOIN portreeve_users u ON u.id = b.\"user\"
         WHERE u.status = ?1 AND b.until IS NULL AND coalesce(b.\"from\", ?2) <= ?2 AND ({} OR {})",
        dialect.among(false, "b.role", "?3"),
        dialect.among(false, "b.profile", "?4"),
    );
    let rows = connection
        .ask(
            &sql,
            &[
                ACTIVE.into(),
                now.into(),
                Parameter::List(&roles),
                Parameter::List(&profiles),
            ],
        )
        .await?;
    Ok(rows.first().map_or(Ok(0), |row| row.integer(0))? > 0)
}

pub(super) async fn insert_binding<X: Transaction>(
    transaction: &X,
    user: &str,
    binding: &Binding,
    by: Option<&str>,
) -> Result<(), StoreError> {
    let id = new_uuid(transaction.clock(), transaction.entropy())
        .hyphenated()
        .to_string();
    insert_binding_as(transaction, &id, user, binding, by, None).await
}

/// The same with an id that is known, and a reason.
pub(super) async fn insert_binding_as<X: Transaction>(
    transaction: &X,
    id: &str,
    user: &str,
    binding: &Binding,
    by: Option<&str>,
    why: Option<&str>,
) -> Result<(), StoreError> {
    let (role, profile) = match &binding.to {
        BoundTo::Role(role) => (Some(role), None),
        BoundTo::Profile(profile) => (None, Some(profile)),
    };
    let restricted_to = binding
        .restricted_to
        .as_ref()
        .map(|names| json!(names).to_string());
    let sql = "INSERT INTO portreeve_bindings (id, \"user\", role, profile, restricted_to, \"from\", until, \"primary\", granted_by, reason)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    transaction
        .execute(
            sql,
            &[
                id.into(),
                user.into(),
                role.into(),
                profile.into(),
                restricted_to.as_ref().into(),
                binding.from.into(),
                binding.until.into(),
                i64::from(binding.primary).into(),
                by.into(),
                why.into(),
            ],
        )
        .await
        .map(drop)
}

// The next epoch of an account: whoever was admitted before is admitted anew.
pub(super) async fn advance<X: Transaction>(
    transaction: &X,
    user: &str,
) -> Result<u64, StoreError> {
    let sql = "INSERT INTO portreeve_epochs (\"user\", epoch) VALUES (?1, 1)
               ON CONFLICT (\"user\") DO UPDATE SET epoch = portreeve_epochs.epoch + 1";
    transaction.execute(sql, &[user.into()]).await?;
    let sql = "SELECT epoch FROM portreeve_epochs WHERE \"user\" = ?1";
    let rows = transaction.ask(sql, &[user.into()]).await?;
    rows.first().ok_or(StoreError::Gone)?.unsigned(0)
}

pub(crate) async fn list_users<C: Connection>(
    connection: &C,
    limit: u32,
    after: Option<i64>,
) -> Result<Vec<AccountSummary>, StoreError> {
    let rows = connection
        .ask(
            "SELECT id, \"key\", number, username, email, status FROM portreeve_users
             WHERE number > ?1 ORDER BY number LIMIT ?2",
            &[after.unwrap_or(i64::MIN).into(), i64::from(limit).into()],
        )
        .await?;
    let mut accounts = vec![];
    for row in rows {
        accounts.push(AccountSummary {
            id: row.text(0)?.into(),
            key: row.text(1)?.into(),
            number: row.integer(2)?,
            username: row.maybe_text(3).map(str::to_owned),
            email: row.maybe_text(4).map(str::to_owned),
            status: row.text(5)?.into(),
            bindings: vec![],
        });
    }
    let ids: Vec<&str> = accounts.iter().map(|account| &*account.id).collect();
    let sql = format!(
        "SELECT \"user\", role, profile FROM portreeve_bindings WHERE {} ORDER BY id",
        connection.dialect().among(false, "\"user\"", "?1")
    );
    let mut bindings: HashMap<String, Vec<String>> = HashMap::new();
    for row in connection.ask(&sql, &[Parameter::List(&ids)]).await? {
        let to = match (row.maybe_text(1), row.maybe_text(2)) {
            (Some(role), _) => role.to_owned(),
            (None, profile) => format!("profile:{}", profile.unwrap_or_default()),
        };
        bindings
            .entry(row.text(0)?.to_owned())
            .or_default()
            .push(to);
    }
    for account in &mut accounts {
        account.bindings = bindings.remove(&account.id).unwrap_or_default();
    }
    Ok(accounts)
}

pub(crate) async fn setting<C: Connection>(
    connection: &C,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT value FROM portreeve_settings WHERE name = ?1";
    let rows = connection.ask(sql, &[name.into()]).await?;
    rows.first()
        .map(|row| row.text(0).map(str::to_owned))
        .transpose()
}

pub(crate) async fn set_setting<X: Transaction>(
    transaction: &X,
    name: &str,
    value: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO portreeve_settings (name, value) VALUES (?1, ?2)
               ON CONFLICT (name) DO UPDATE SET value = excluded.value";
    transaction
        .execute(sql, &[name.into(), value.into()])
        .await
        .map(drop)
}

/// All records whose field has a value, whole: for explanations.
pub(crate) async fn find<C: Connection>(
    connection: &C,
    collection: &portreeve_model::Collection,
    field: portreeve_model::FieldId,
    wanted: &Value,
) -> Result<Vec<Record>, StoreError> {
    let fragment = write::find(connection.dialect(), collection, field);
    let types: Vec<FieldType> = collection.fields.iter().map(|field| field.ty).collect();
    let context = Context::default();
    let slots = Slots {
        key: Some(wanted),
        ..Slots::new(&context)
    };
    let rows = connection.rows(&fragment, &slots, &types).await?;
    Ok(rows.into_iter().map(Record).collect())
}

/// The records of those keys that there are.
pub(crate) async fn find_keys<C: Connection>(
    connection: &C,
    collection: &portreeve_model::Collection,
    keys: &[Value],
) -> Result<Vec<Record>, StoreError> {
    // A key of several columns is compared with one at a time.
    if keys.len() == 1 || !collection.is_column(collection.key) {
        let mut found = vec![];
        for key in keys {
            found.extend(find(connection, collection, collection.key, key).await?);
        }
        return Ok(found);
    }
    let fragment = write::find_keys(connection.dialect(), collection);
    let types: Vec<FieldType> = collection.fields.iter().map(|field| field.ty).collect();
    let context = Context::default();
    let slots = Slots {
        keys,
        ..Slots::new(&context)
    };
    let rows = connection.rows(&fragment, &slots, &types).await?;
    Ok(rows.into_iter().map(Record).collect())
}
