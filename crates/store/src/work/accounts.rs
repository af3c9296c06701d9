//! Accounts made, changed and ended: the record as any other record is written, and in the same transaction what makes it
//! an account: password, bindings, sessions, epoch, the last administrator, the audit trail.

use std::sync::Arc;

use portreeve_gate::{Authorized, DeleteUser, LASTING, Sessions, Touch, UpdateUser, UserCreation};
use portreeve_model::{Catalog, Collection, FieldId, Value, new_uuid};
use portreeve_policy::{Context, Snapshot};
use serde_json::{Map, Value as Json, json};

use super::access::keeps_administrator;
use super::audit::{Audited, By, audit};
use super::system::{ACTIVE, advance, gone, has_administrator, insert_binding};
use super::writes::{self, Own};
use super::{Connection, Parameter, Transaction, check_versions, finish, mail};
use crate::{AskedMail, Stale, StoreError, WriteOutcome};

pub(crate) async fn create_user<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<UserCreation>,
) -> Result<(WriteOutcome, i64), StoreError> {
    check_versions(transaction, authorized).await?;
    let (operation, context) = (authorized.operation(), authorized.context());
    let catalog = authorized.snapshot().catalog();
    let by = By::caller(authorized);
    insert_user(transaction, operation, context, catalog, &by).await
}

pub(crate) async fn first_administrator<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<UserCreation>,
) -> Result<i64, StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let now = transaction.clock().now();
    if has_administrator(transaction, authorized.snapshot(), now).await? {
        return Err(StoreError::AdministratorExists);
    }
    let (operation, context) = (authorized.operation(), authorized.context());
    let catalog = authorized.snapshot().catalog();
    let by = By::nobody(now);
    let made = insert_user(transaction, operation, context, catalog, &by).await?;
    Ok(made.1)
}

/// Makes an account, of which it is decided that it may be made.
pub(super) async fn insert_user<X: Transaction>(
    transaction: &X,
    operation: &UserCreation,
    context: &Context,
    catalog: &Catalog,
    by: &By<'_>,
) -> Result<(WriteOutcome, i64), StoreError> {
    let user = operation.user();
    let accounts = operation.template().collection();
    let text = |text: &str| Value::Text(text.to_owned());
    let mut given = vec![("id", text(&user.id))];
    let mut usual = vec![
        ("key", text(&user.key)),
        ("status", text(ACTIVE)),
        ("confirmed", Value::Boolean(false)),
        ("provider", text("local")),
    ];
    match &user.past {
        None => given.push(("created", Value::Integer(by.at))),
        Some(past) => {
            given.push(("created", Value::Integer(past.created)));
            given.push(("number", Value::Integer(past.number)));
            usual[1].1 = text(&past.status);
            usual[2].1 = Value::Boolean(past.confirmed);
            usual[3].1 = text(&past.provider);
        }
    }
    let own = Own {
        lasting: lasting(accounts)?,
        given: assigned(accounts, given)?,
        usual: assigned(accounts, usual)?,
    };
    transaction.mark().await?;
    let insert = async {
        let mut outcome =
            writes::create_user(transaction, operation, context, catalog, &own).await?;
        let WriteOutcome::Stored(stored) = &mut outcome else {
            return Ok((outcome, 0));
        };
        let after = Account::written(transaction, &user.id).await?;
        // The database has counted.
        let number = after.number()?;
        let counted = field(accounts, "number")?;
        for (_, value) in stored
            .shown
            .iter_mut()
            .filter(|(field, _)| *field == counted)
        {
            *value = Value::Integer(number);
        }
        if let Some(hash) = &user.password_hash {
            let sql = "INSERT INTO portreeve_credentials (\"user\", password_hash) VALUES (?1, ?2)";
            transaction
                .execute(sql, &[(&user.id).into(), hash.into()])
                .await?;
        }
        for binding in &user.bindings {
            insert_binding(transaction, &user.id, binding, by.actor.as_deref()).await?;
        }
        let told = json!({ "key": after.text("key") });
        let done = Audited {
            action: "user.create",
            target: &user.id,
            after: Some(&told),
            ..Audited::default()
        };
        audit(transaction, by, done).await?;
        if let Some(confirmation) = operation.confirmation() {
            let id = new_uuid(transaction.clock(), transaction.entropy());
            let asked = AskedMail {
                id: id.hyphenated().to_string(),
                template: "confirm".into(),
                login: confirmation.email.clone(),
                link: confirmation.link.clone(),
                at: by.at,
                limit: confirmation.at_most,
            };
            mail::ask(transaction, &asked).await?;
        }
        Ok((outcome, number))
    };
    let result = insert.await;
    finish(transaction, result).await
}

pub(crate) async fn update_user<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<UpdateUser>,
) -> Result<(WriteOutcome, Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    let user = named(operation.key())?;
    let before = judged(transaction, user, operation.touch(), operation.verified()).await?;
    let last = LastAdministrator::before(transaction, authorized.snapshot()).await?;
    let accounts = operation.template().collection();
    let own = Own {
        lasting: lasting(accounts)?,
        ..Own::default()
    };
    transaction.mark().await?;
    let update = async {
        let outcome = writes::update_user(transaction, authorized, &own).await?;
        if !matches!(outcome, WriteOutcome::Stored(_)) {
            return Ok((outcome, Stale::default()));
        }
        let before = before.ok_or(StoreError::Gone)?;
        // What was confirmed is another address.
        let sent = |name: &str| {
            let sent = operation.template().sent();
            sent.iter()
                .any(|field| &*accounts.field(*field).name == name)
        };
        let mut after = Account::written(transaction, user).await?;
        if after.text("email") != before.text("email") && !sent("confirmed") {
            let sql = "UPDATE portreeve_users SET confirmed = ?2 WHERE id = ?1";
            let parameters = [user.into(), Parameter::Integer(0)];
            transaction.execute(sql, &parameters).await?;
            after = Account::written(transaction, user).await?;
        }
        let mut sessions = &Sessions::GoOn;
        if let Some(hash) = operation.password_hash() {
            set_password(transaction, user, hash).await?;
            sessions = operation.sessions();
        }
        if after.text("status") != Some(ACTIVE) {
            sessions = &Sessions::End;
        }
        end_sessions(transaction, user, sessions).await?;
        last.is_left(transaction).await?;
        let epoch = advance(transaction, user).await?;
        let (was, is) = before.changes(&after);
        let by = By::caller(authorized);
        if !was.is_empty() || operation.password_hash().is_none() {
            let (was, is) = (Json::Object(was), Json::Object(is));
            let done = Audited {
                action: "user.update",
                target: user,
                before: Some(&was),
                after: Some(&is),
                ..Audited::default()
            };
            audit(transaction, &by, done).await?;
        }
        if operation.password_hash().is_some() {
            let done = Audited {
                action: "user.set_password",
                target: user,
                ..Audited::default()
            };
            audit(transaction, &by, done).await?;
        }
        Ok((outcome, Stale::of(user, epoch, *sessions != Sessions::GoOn)))
    };
    let result = update.await;
    finish(transaction, result).await
}

pub(crate) async fn delete_user<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<DeleteUser>,
) -> Result<(WriteOutcome, Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    let user = named(operation.key())?;
    let before = judged(transaction, user, operation.touch(), operation.verified()).await?;
    let last = LastAdministrator::before(transaction, authorized.snapshot()).await?;
    transaction.mark().await?;
    let delete = async {
        // Whatever belongs to the account alone goes with it by the references of its tables.
        let outcome = writes::delete_user(transaction, authorized).await?;
        if !matches!(outcome, WriteOutcome::Deleted) {
            return Ok((outcome, Stale::default()));
        }
        last.is_left(transaction).await?;
        let epoch = advance(transaction, user).await?;
        let told = Json::Object(before.ok_or(StoreError::Gone)?.told());
        let done = Audited {
            action: "user.delete",
            target: user,
            before: Some(&told),
            ..Audited::default()
        };
        audit(transaction, &By::caller(authorized), done).await?;
        Ok((outcome, Stale::of(user, epoch, true)))
    };
    let result = delete.await;
    finish(transaction, result).await
}

/// The hash of an account's password, where it has one.
pub(crate) async fn kept_hash<C: Connection>(
    connection: &C,
    user: &str,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT password_hash FROM portreeve_credentials WHERE \"user\" = ?1";
    let rows = connection.ask(sql, &[user.into()]).await?;
    Ok(rows
        .first()
        .and_then(|row| row.maybe_text(0))
        .map(str::to_owned))
}

/// Whether an account has this name.
pub(crate) async fn username_exists<C: Connection>(
    connection: &C,
    username: &str,
) -> Result<bool, StoreError> {
    let sql = "SELECT 1 FROM portreeve_users WHERE username = ?1";
    let rows = connection.ask(sql, &[username.into()]).await?;
    Ok(!rows.is_empty())
}

/// Replaces the hash of a password by another of the same password. Whether the old one was still there.
pub(crate) async fn upgrade_password<X: Transaction>(
    transaction: &X,
    user: &str,
    old: &str,
    new: &str,
) -> Result<bool, StoreError> {
    let sql = "UPDATE portreeve_credentials SET password_hash = ?3 WHERE \"user\" = ?1 AND password_hash = ?2";
    let changed = transaction
        .execute(sql, &[user.into(), old.into(), new.into()])
        .await?;
    Ok(changed > 0)
}

pub(super) async fn set_password<X: Transaction>(
    transaction: &X,
    user: &str,
    hash: &str,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO portreeve_credentials (\"user\", password_hash) VALUES (?1, ?2)
               ON CONFLICT (\"user\") DO UPDATE SET password_hash = excluded.password_hash";
    transaction
        .execute(sql, &[user.into(), hash.into()])
        .await
        .map_err(gone)
        .map(drop)
}

async fn end_sessions<X: Transaction>(
    transaction: &X,
    user: &str,
    which: &Sessions,
) -> Result<(), StoreError> {
    match which {
        Sessions::GoOn => Ok(()),
        Sessions::End => {
            let sql = "DELETE FROM portreeve_sessions WHERE \"user\" = ?1";
            transaction.execute(sql, &[user.into()]).await.map(drop)
        }
        Sessions::EndOthers(session) => {
            let sql = "DELETE FROM portreeve_sessions WHERE \"user\" = ?1 AND id <> ?2";
            let parameters = [user.into(), (&**session).into()];
            transaction.execute(sql, &parameters).await.map(drop)
        }
    }
}

// The account as it is, which has to be as it was when it was judged. One that is not there is answered like one that is
// out of reach, and has an epoch all the same once it was there.
async fn judged<X: Transaction>(
    transaction: &X,
    user: &str,
    touch: Touch,
    verified: Option<&str>,
) -> Result<Option<Account>, StoreError> {
    let account = Account::read(transaction, user).await?;
    if account.is_some() {
        same_epoch(transaction, user, touch).await?;
        same_password(transaction, user, verified).await?;
    }
    Ok(account)
}

// What was decided by the account's rights must still be so.
async fn same_epoch<X: Transaction>(
    transaction: &X,
    user: &str,
    touch: Touch,
) -> Result<(), StoreError> {
    if transaction.epoch(user).await? == touch.epoch {
        Ok(())
    } else {
        Err(StoreError::VersionChanged)
    }
}

// The password that was shown must still be the account's.
async fn same_password<X: Transaction>(
    transaction: &X,
    user: &str,
    verified: Option<&str>,
) -> Result<(), StoreError> {
    let Some(hash) = verified else {
        return Ok(());
    };
    let sql = "SELECT 1 FROM portreeve_credentials WHERE \"user\" = ?1 AND password_hash = ?2";
    let rows = transaction.ask(sql, &[user.into(), hash.into()]).await?;
    if rows.is_empty() {
        Err(StoreError::Gone)
    } else {
        Ok(())
    }
}

// Somebody always administers, once somebody has begun to.
struct LastAdministrator<'a> {
    snapshot: &'a Snapshot,
    now: i64,
    there: bool,
}

impl<'a> LastAdministrator<'a> {
    async fn before<X: Transaction>(
        transaction: &X,
        snapshot: &'a Snapshot,
    ) -> Result<Self, StoreError> {
        let now = transaction.clock().now();
        let there = keeps_administrator(transaction, snapshot, now).await?;
        Ok(Self {
            snapshot,
            now,
            there,
        })
    }

    async fn is_left<X: Transaction>(&self, transaction: &X) -> Result<(), StoreError> {
        if self.there && !keeps_administrator(transaction, self.snapshot, self.now).await? {
            return Err(StoreError::LastAdministrator);
        }
        Ok(())
    }
}

// A row of the accounts as it is now.
struct Account(Vec<(Arc<str>, Value)>);

impl Account {
    async fn read<X: Transaction>(transaction: &X, user: &str) -> Result<Option<Self>, StoreError> {
        let sql = "SELECT * FROM portreeve_users WHERE id = ?1";
        let (names, rows) = transaction.ask_named(sql, &[user.into()]).await?;
        let row = rows.into_iter().next();
        Ok(row.map(|row| Self(names.into_iter().zip(row.0).collect())))
    }

    // As it is after it was written.
    async fn written<X: Transaction>(transaction: &X, user: &str) -> Result<Self, StoreError> {
        let account = Self::read(transaction, user)
            .await?
            .ok_or(StoreError::Gone)?;
        // Otherwise somebody could be called like another one's address and take his sign-ins.
        let (username, email) = (account.text("username"), account.text("email"));
        let own = |name: &str| email.is_some_and(|email| email.eq_ignore_ascii_case(name));
        match username {
            Some(name) if name.contains('@') && !own(name) => Err(StoreError::NameIsAddress),
            _ => Ok(account),
        }
    }

    fn get(&self, name: &str) -> Option<&Value> {
        let mut columns = self.0.iter();
        columns
            .find(|(known, _)| **known == *name)
            .map(|(_, value)| value)
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(Value::as_text)
    }

    fn number(&self) -> Result<i64, StoreError> {
        let number = self.get("number").and_then(Value::as_integer);
        number.ok_or(StoreError::Gone)
    }

    fn told(&self) -> Map<String, Json> {
        let told = self.0.iter();
        told.map(|(name, value)| (name.to_string(), plain(value)))
            .collect()
    }

    // What is not in the other as it is in this one: as it was, and as it is.
    fn changes(&self, after: &Self) -> (Map<String, Json>, Map<String, Json>) {
        let (mut was, mut is) = (Map::new(), Map::new());
        for (name, old) in &self.0 {
            let new = after.get(name).unwrap_or(&Value::Null);
            if old != new {
                was.insert(name.to_string(), plain(old));
                is.insert(name.to_string(), plain(new));
            }
        }
        (was, is)
    }
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Boolean(bool) => (*bool).into(),
        Value::Integer(number) => (*number).into(),
        Value::Float(float) => (*float).into(),
        Value::Text(text) => text.as_str().into(),
    }
}

fn named(key: &Value) -> Result<&str, StoreError> {
    key.as_text()
        .ok_or_else(|| StoreError::Internal("an account's key is no text".into()))
}

fn lasting(accounts: &Collection) -> Result<Vec<FieldId>, StoreError> {
    let fields = LASTING.iter().map(|name| field(accounts, name));
    fields.collect()
}

fn assigned(
    accounts: &Collection,
    values: Vec<(&str, Value)>,
) -> Result<Vec<(FieldId, Value)>, StoreError> {
    let values = values.into_iter();
    values
        .map(|(name, value)| Ok((field(accounts, name)?, value)))
        .collect()
}

fn field(accounts: &Collection, name: &str) -> Result<FieldId, StoreError> {
    accounts
        .find_field(name)
        .ok_or_else(|| StoreError::Corrupt(format!("accounts have no column '{name}'")))
}
