//! The texts and runners of the named system statements. Texts are written for SQLite; what PostgreSQL wants otherwise
//! is [`Dialect::system`]'s business, so the words both reserve ("user", "from", "primary") stand in quotes.

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_gate::{Authorized, CreateUser, CredentialFacts, SetPassword};
use portreeve_model::{CollectionName, FieldType, Value, new_uuid};
use portreeve_policy::{Binding, BoundTo, Context, Record, Snapshot};
use serde_json::json;

use super::audit::{Audited, By, audit};
use super::{Connection, Parameter, Row, Transaction, check_versions, finish};
use crate::sql::binding::Binding as Slots;
use crate::sql::write;
use crate::{Account, AccountSummary, Credential, Stale, StoreError};

/// The only status that may sign in.
pub(super) const ACTIVE: &str = "active";

/// The name accounts have in the catalog.
fn users() -> CollectionName {
    CollectionName::main("users")
}

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

pub(crate) async fn create_user<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<CreateUser>,
) -> Result<i64, StoreError> {
    check_versions(transaction, authorized).await?;
    let by = By::caller(authorized);
    insert_user(
        transaction,
        authorized.operation(),
        authorized.snapshot(),
        &by,
    )
    .await
}

pub(crate) async fn first_administrator<X: Transaction>(
    transaction: &X,
    user: &CreateUser,
    snapshot: &Snapshot,
) -> Result<i64, StoreError> {
    transaction.alone().await?;
    let (version, _) = transaction.versions(None).await?;
    if snapshot.version() != version {
        return Err(StoreError::VersionChanged);
    }
    let now = transaction.clock().now();
    if has_administrator(transaction, snapshot, now).await? {
        return Err(StoreError::AdministratorExists);
    }
    insert_user(transaction, user, snapshot, &By::nobody(now)).await
}

pub(super) async fn insert_user<X: Transaction>(
    transaction: &X,
    user: &CreateUser,
    snapshot: &Snapshot,
    by: &By<'_>,
) -> Result<i64, StoreError> {
    let now = by.at;
    let catalog = snapshot.catalog();
    let accounts = catalog
        .find(&users())
        .ok_or_else(|| StoreError::Corrupt("there are no accounts".into()))?;
    let text = |text: &str| Value::Text(text.to_owned());
    let optional = |text: &Option<String>| text.as_deref().map_or(Value::Null, Value::from);
    let base = [
        ("id", text(&user.id)),
        ("key", text(&user.key)),
        ("username", optional(&user.username)),
        ("email", optional(&user.email)),
    ];
    let past = match &user.past {
        None => vec![
            ("status", text(ACTIVE)),
            ("confirmed", Value::Boolean(false)),
            ("provider", text("local")),
            ("created", Value::Integer(now)),
        ],
        Some(past) => vec![
            ("status", text(&past.status)),
            ("confirmed", Value::Boolean(past.confirmed)),
            ("provider", text(&past.provider)),
            ("created", Value::Integer(past.created)),
            ("number", Value::Integer(past.number)),
        ],
    };
    let mut assigned = vec![];
    for (name, value) in base.into_iter().chain(past) {
        let field = accounts
            .find_field(name)
            .ok_or_else(|| StoreError::Corrupt(format!("accounts have no column '{name}'")))?;
        assigned.push((field, value));
    }
    for (name, value) in &user.attributes {
        // Own columns only: the others are this statement's to set.
        let own = accounts.find_field(name).filter(|_| !is_built_in(name));
        let Some(field) = own else {
            return Err(StoreError::Internal(
                format!("accounts have no own column '{name}'").into(),
            ));
        };
        assigned.push((field, value.clone()));
    }
    for field in accounts.field_ids() {
        let default = match &accounts.field(field).default {
            Some(portreeve_model::FieldDefault::Value(value)) => value.clone(),
            Some(portreeve_model::FieldDefault::Now) => Value::Integer(now),
            None => continue,
        };
        if !assigned.iter().any(|(known, _)| *known == field) {
            assigned.push((field, default));
        }
    }
    let fields: Vec<_> = assigned.iter().map(|(field, _)| *field).collect();
    let dialect = transaction.dialect();
    let fragment = write::insert(dialect, accounts, &fields);
    let sent: Vec<_> = accounts.field_ids().collect();
    let context = Context::default();
    let slots = Slots {
        assigned: &assigned,
        ..Slots::new(&context)
    };
    transaction.mark().await?;
    let insert = async {
        transaction
            .insert(&fragment, &slots, accounts, &sent)
            .await?;
        let sql = "SELECT number FROM portreeve_users WHERE id = ?1";
        let rows = transaction.ask(sql, &[(&user.id).into()]).await?;
        let number = rows.first().ok_or(StoreError::Gone)?.integer(0)?;
        if let Some(hash) = &user.password_hash {
            let sql = "INSERT INTO portreeve_credentials (\"user\", password_hash) VALUES (?1, ?2)";
            transaction
                .execute(sql, &[(&user.id).into(), hash.into()])
                .await?;
        }
        for binding in &user.bindings {
            insert_binding(transaction, &user.id, binding, by.actor.as_deref()).await?;
        }
        let after = json!({ "key": user.key });
        let done = Audited {
            action: "user.create",
            target: &user.id,
            after: Some(&after),
            ..Audited::default()
        };
        audit(transaction, by, done).await?;
        Ok(number)
    };
    let result = insert.await;
    finish(transaction, result).await
}

fn is_built_in(name: &str) -> bool {
    crate::sql::ddl::USER_COLUMNS
        .iter()
        .any(|(column, _)| *column == name)
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

pub(crate) async fn set_password<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<SetPassword>,
) -> Result<((), Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    transaction.mark().await?;
    let set = async {
        let sql = "INSERT INTO portreeve_credentials (\"user\", password_hash) VALUES (?1, ?2)
                   ON CONFLICT (\"user\") DO UPDATE SET password_hash = excluded.password_hash";
        transaction
            .execute(
                sql,
                &[(&operation.user).into(), (&operation.password_hash).into()],
            )
            .await
            .map_err(gone)?;
        let sql = "DELETE FROM portreeve_sessions WHERE \"user\" = ?1";
        transaction
            .execute(sql, &[(&operation.user).into()])
            .await?;
        let epoch = advance(transaction, &operation.user).await?;
        let done = Audited {
            action: "user.set_password",
            target: &operation.user,
            ..Audited::default()
        };
        audit(transaction, &By::caller(authorized), done).await?;
        let stale = Stale {
            epochs: vec![(operation.user.as_str().into(), epoch)],
            sessions: true,
            ..Stale::default()
        };
        Ok(((), stale))
    };
    let result = set.await;
    finish(transaction, result).await
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

pub(crate) async fn find_user<C: Connection>(
    connection: &C,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let rows = connection
        .ask(
            "SELECT id FROM (
               SELECT id, 1 AS place FROM portreeve_users WHERE id = ?1
               UNION ALL SELECT id, 2 FROM portreeve_users WHERE \"key\" = ?1
               UNION ALL SELECT id, 3 FROM portreeve_users WHERE username = ?1
               UNION ALL SELECT id, 4 FROM portreeve_users WHERE lower(email) = lower(?1)
               UNION ALL SELECT id, 5 FROM portreeve_users WHERE number = ?2
             ) AS found ORDER BY place LIMIT 1",
            &[name.into(), name.parse::<i64>().ok().into()],
        )
        .await?;
    rows.first()
        .map(|row| row.text(0).map(str::to_owned))
        .transpose()
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
