//! Shares: made, changed, ended, and opened so often as they may be. Passwords and tokens are kept as hashes, which are
//! compared in the database or by whoever verifies a password.

use portreeve_gate::{
    Authorized, CreateShare, EndShare, JudgedShare, OpenShare, Password, RecordToShare, Shows,
};
use portreeve_model::CollectionName;
use portreeve_policy::{Snapshot, WriteDenial};
use serde_json::{Value as Json, json};

use super::audit::{Audited, By, audit};
use super::system::ACTIVE;
use super::writes::judged;
use super::{Connection, Parameter, Row, Transaction, check_versions, finish};
use crate::system::{ShareOutcome, StoredShare};
use crate::{Stale, StoreError};

const COLUMNS: &str =
    "s.id, s.name, s.collection, s.record, s.role, s.fields, s.protected, s.\"from\", s.until,
    s.max_uses, s.times_used, s.created_by, s.created";

fn stored(row: &Row) -> Result<StoredShare, StoreError> {
    let fields = match row.maybe_text(5) {
        Some(text) => Some(serde_json::from_str(text).map_err(|error| {
            StoreError::Corrupt(format!("the fields of a share cannot be read: {error}"))
        })?),
        None => None,
    };
    Ok(StoredShare {
        id: row.text(0)?.to_owned(),
        name: row.text(1)?.to_owned(),
        collection: row.text(2)?.to_owned(),
        record: row.text(3)?.to_owned(),
        role: row.maybe_text(4).map(str::to_owned),
        fields,
        protected: row.boolean(6)?,
        from: row.maybe_integer(7),
        until: row.maybe_integer(8),
        max_uses: row.maybe_integer(9),
        times_used: row.integer(10)?,
        created_by: row.text(11)?.to_owned(),
        created: row.integer(12)?,
    })
}

async fn first<C: Connection>(
    connection: &C,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Option<StoredShare>, StoreError> {
    let rows = connection.ask(sql, parameters).await?;
    rows.first().map(stored).transpose()
}

pub(crate) async fn find<C: Connection>(
    connection: &C,
    id: &str,
) -> Result<Option<StoredShare>, StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM portreeve_shares s WHERE s.id = ?1");
    first(connection, &sql, &[id.into()]).await
}

/// The hash of a share's password, where it has one.
pub(crate) async fn password<C: Connection>(
    connection: &C,
    id: &str,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT password_hash FROM portreeve_share_passwords WHERE share = ?1";
    let rows = connection.ask(sql, &[id.into()]).await?;
    rows.first()
        .map(|row| row.text(0).map(str::to_owned))
        .transpose()
}

/// An account's shares, the newest first.
pub(crate) async fn of_user<C: Connection>(
    connection: &C,
    user: &str,
) -> Result<Vec<StoredShare>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM portreeve_shares s WHERE s.created_by = ?1 ORDER BY s.created DESC, s.id LIMIT 1000"
    );
    let rows = connection.ask(&sql, &[user.into()]).await?;
    rows.iter().map(stored).collect()
}

/// All of them, the newest first.
pub(crate) async fn all<C: Connection>(
    connection: &C,
    limit: u32,
) -> Result<Vec<StoredShare>, StoreError> {
    let sql =
        format!("SELECT {COLUMNS} FROM portreeve_shares s ORDER BY s.created DESC, s.id LIMIT ?1");
    let rows = connection.ask(&sql, &[i64::from(limit).into()]).await?;
    rows.iter().map(stored).collect()
}

/// The share that a token opens, and until when it does.
pub(crate) async fn of_token<C: Connection>(
    connection: &C,
    token_hash: &[u8; 32],
) -> Result<Option<(StoredShare, i64)>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS}, t.expires FROM portreeve_share_tokens t JOIN portreeve_shares s ON s.id = t.share
         WHERE t.token_hash = ?1"
    );
    let rows = connection
        .ask(&sql, &[Parameter::Bytes(token_hash)])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some((stored(row)?, row.integer(13)?)))
}

// Never the password's hash.
fn shown(share: &StoredShare) -> Json {
    json!({
        "name": share.name,
        "collection": share.collection,
        "record": share.record,
        "role": share.role,
        "fields": share.fields,
        "protected": share.protected,
        "from": share.from,
        "until": share.until,
        "max_uses": share.max_uses,
        "created_by": share.created_by,
    })
}

async fn judge_record<O, X: Transaction>(
    transaction: &X,
    authorized: &Authorized<O>,
    record: &RecordToShare,
) -> Result<Option<ShareOutcome>, StoreError> {
    let catalog = authorized.snapshot().catalog();
    let (template, key) = (record.template(), record.key());
    let denial = judged(transaction, template, key, authorized.context(), catalog).await?;
    Ok(denial.map(|denial| match denial {
        WriteDenial::NotFound => ShareOutcome::NotFound,
        WriteDenial::Forbidden => ShareOutcome::Forbidden,
    }))
}

async fn after<X: Transaction>(transaction: &X, id: &str) -> Result<Json, StoreError> {
    let found = find(transaction, id).await?;
    found.as_ref().map(shown).ok_or(StoreError::Gone)
}

async fn set_password<X: Transaction>(
    transaction: &X,
    id: &str,
    password: &Password,
) -> Result<(), StoreError> {
    if *password == Password::Keep {
        return Ok(());
    }
    let sql = "DELETE FROM portreeve_share_passwords WHERE share = ?1";
    transaction.execute(sql, &[id.into()]).await?;
    if let Password::Hash(hash) = password {
        let sql = "INSERT INTO portreeve_share_passwords (share, password_hash) VALUES (?1, ?2)";
        transaction.execute(sql, &[id.into(), hash.into()]).await?;
    }
    Ok(())
}

fn role_and_fields(shows: &Shows) -> (Option<&String>, Option<String>) {
    match shows {
        Shows::Role(role) => (Some(role), None),
        Shows::Fields(fields) => (None, Some(json!(fields).to_string())),
    }
}

fn count(number: Option<u32>) -> Option<i64> {
    number.map(i64::from)
}

pub(crate) async fn create<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<CreateShare>,
) -> Result<(ShareOutcome, Stale), StoreError> {
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation().judged();
    if let Some(denied) = judge_record(transaction, authorized, operation.record()).await? {
        return Ok((denied, Stale::default()));
    }
    let (new, by) = (operation.share(), By::caller(authorized));
    let (role, fields) = role_and_fields(&new.share.shows);
    let collection = new.share.collection.to_string();
    transaction.mark().await?;
    let create = async {
        let sql = "INSERT INTO portreeve_shares (id, name, collection, record, role, fields, protected, \"from\", until,
                     max_uses, times_used, created_by, created)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, ?11, ?12)";
        let parameters = [
            (&*new.share.id).into(),
            (&new.name).into(),
            (&collection).into(),
            (&new.share.record).into(),
            role.into(),
            fields.as_ref().into(),
            i64::from(matches!(new.password, Password::Hash(_))).into(),
            new.from.into(),
            new.until.into(),
            count(new.max_uses).into(),
            (&**operation.creator()).into(),
            by.at.into(),
        ];
        transaction.execute(sql, &parameters).await?;
        set_password(transaction, &new.share.id, &new.password).await?;
        let done = Audited {
            action: "share.create",
            target: &new.share.id,
            after: Some(&after(transaction, &new.share.id).await?),
            ..Audited::default()
        };
        audit(transaction, &by, done).await?;
        Ok((ShareOutcome::Done, Stale::default()))
    };
    let result = create.await;
    finish(transaction, result).await
}

// Whoever opens, changes or ends a share at the same time waits, and then sees what is there.
async fn alone_with<X: Transaction>(transaction: &X, id: &str) -> Result<bool, StoreError> {
    let sql = "UPDATE portreeve_shares SET times_used = times_used WHERE id = ?1";
    Ok(transaction.execute(sql, &[id.into()]).await? > 0)
}

pub(crate) async fn update<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<portreeve_gate::UpdateShare>,
) -> Result<(ShareOutcome, Stale), StoreError> {
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation().judged();
    if let Some(denied) = judge_record(transaction, authorized, operation.record()).await? {
        return Ok((denied, Stale::default()));
    }
    transaction.mark().await?;
    let result = write_update(transaction, &By::caller(authorized), operation).await;
    finish(transaction, result).await
}

async fn write_update<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    operation: &JudgedShare,
) -> Result<(ShareOutcome, Stale), StoreError> {
    let new = operation.share();
    let id = &*new.share.id;
    let missing = Ok((ShareOutcome::NotFound, Stale::default()));
    if !alone_with(transaction, id).await? {
        return missing;
    }
    // Its record never changes, nor whose it is: what was judged is what is written.
    let Some(before) = find(transaction, id).await?.filter(|before| {
        before.created_by == **operation.creator()
            && before.collection == new.share.collection.to_string()
            && before.record == new.share.record
    }) else {
        return missing;
    };
    // Fewer than it was opened already: it is used up.
    let max_uses = count(new.max_uses).map(|most| most.max(before.times_used));
    let (role, fields) = role_and_fields(&new.share.shows);
    let protected = match &new.password {
        Password::Keep => before.protected,
        Password::None => false,
        Password::Hash(_) => true,
    };
    let sql = "UPDATE portreeve_shares SET name = ?2, role = ?3, fields = ?4, protected = ?5, \"from\" = ?6, until = ?7,
                 max_uses = ?8 WHERE id = ?1";
    let parameters = [
        id.into(),
        (&new.name).into(),
        role.into(),
        fields.as_ref().into(),
        i64::from(protected).into(),
        new.from.into(),
        new.until.into(),
        max_uses.into(),
    ];
    transaction.execute(sql, &parameters).await?;
    set_password(transaction, id, &new.password).await?;
    let mut stale = Stale::default();
    if operation.shuts() {
        let sql = "DELETE FROM portreeve_share_tokens WHERE share = ?1";
        transaction.execute(sql, &[id.into()]).await?;
        stale = Stale::sessions();
    }
    let mut changed = after(transaction, id).await?;
    if new.password != Password::Keep {
        // That it is another one, and never which.
        changed["password_changed"] = true.into();
    }
    let done = Audited {
        action: "share.change",
        target: id,
        before: Some(&shown(&before)),
        after: Some(&changed),
        ..Audited::default()
    };
    audit(transaction, by, done).await?;
    Ok((ShareOutcome::Done, stale))
}

pub(crate) async fn end<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<EndShare>,
) -> Result<(ShareOutcome, Stale), StoreError> {
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    let Some(before) = find(transaction, operation.id()).await? else {
        return Ok((ShareOutcome::NotFound, Stale::default()));
    };
    let own = operation
        .own()
        .is_some_and(|own| **own == before.created_by);
    if !own {
        let catalog = authorized.snapshot().catalog();
        let (template, key) = (operation.template(), operation.key());
        let denial = judged(transaction, template, key, authorized.context(), catalog).await?;
        match denial {
            None => {}
            Some(WriteDenial::NotFound) => return Ok((ShareOutcome::NotFound, Stale::default())),
            Some(WriteDenial::Forbidden) => {
                return Ok((ShareOutcome::Forbidden, Stale::default()));
            }
        }
    }
    transaction.mark().await?;
    let end = async {
        let sql = "DELETE FROM portreeve_shares WHERE id = ?1";
        if transaction.execute(sql, &[(&before.id).into()]).await? == 0 {
            return Ok((ShareOutcome::NotFound, Stale::default()));
        }
        audit_end(transaction, &By::caller(authorized), &before).await?;
        Ok((ShareOutcome::Done, Stale::sessions()))
    };
    let result = end.await;
    finish(transaction, result).await
}

async fn audit_end<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    before: &StoredShare,
) -> Result<(), StoreError> {
    let done = Audited {
        action: "share.delete",
        target: &before.id,
        before: Some(&shown(before)),
        ..Audited::default()
    };
    audit(transaction, by, done).await
}

/// Opens a share: of all who come at once, as many as it may still be opened.
pub(crate) async fn open<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<OpenShare>,
    audited: bool,
) -> Result<((), Stale), StoreError> {
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    if judge_record(transaction, authorized, &operation.record)
        .await?
        .is_some()
    {
        return Err(StoreError::Gone);
    }
    let (by, id) = (By::caller(authorized), &*operation.share.id);
    transaction.mark().await?;
    let open = async {
        if !alone_with(transaction, id).await? {
            return Err(StoreError::Gone);
        }
        let now: Parameter<'_> = by.at.into();
        let condition = "UPDATE portreeve_shares SET times_used = times_used + 1
                         WHERE id = ?1 AND (\"from\" IS NULL OR \"from\" <= ?2) AND (until IS NULL OR until > ?2)
                           AND (max_uses IS NULL OR times_used < max_uses)
                           AND EXISTS (SELECT 1 FROM portreeve_users u WHERE u.id = created_by AND u.status = ?3)";
        let opened = match &operation.verified {
            None => {
                let sql = format!(
                    "{condition} AND NOT EXISTS (SELECT 1 FROM portreeve_share_passwords p WHERE p.share = ?1)"
                );
                transaction
                    .execute(&sql, &[id.into(), now, ACTIVE.into()])
                    .await?
            }
            Some(verified) => {
                let sql = format!(
                    "{condition} AND EXISTS (SELECT 1 FROM portreeve_share_passwords p
                     WHERE p.share = ?1 AND p.password_hash = ?4)"
                );
                transaction
                    .execute(&sql, &[id.into(), now, ACTIVE.into(), verified.into()])
                    .await?
            }
        };
        if opened == 0 {
            return Err(StoreError::Gone);
        }
        let sql = "INSERT INTO portreeve_share_tokens (token_hash, share, created, expires) VALUES (?1, ?2, ?3, ?4)";
        let parameters = [
            Parameter::Bytes(&operation.token_hash),
            id.into(),
            now,
            operation.expires.into(),
        ];
        transaction.execute(sql, &parameters).await?;
        // The oldest make room.
        let sql = "DELETE FROM portreeve_share_tokens WHERE share = ?1 AND token_hash IN (
                     SELECT token_hash FROM portreeve_share_tokens WHERE share = ?1
                     ORDER BY created DESC, token_hash LIMIT 1000000 OFFSET ?2)";
        let at_most = i64::from(operation.at_most);
        let gone = transaction
            .execute(sql, &[id.into(), at_most.into()])
            .await?;
        if audited {
            let done = Audited {
                action: "share.open",
                target: id,
                ..Audited::default()
            };
            audit(transaction, &by, done).await?;
        }
        let stale = Stale {
            sessions: gone > 0,
            ..Stale::default()
        };
        Ok(((), stale))
    };
    let result = open.await;
    finish(transaction, result).await
}

/// Takes a token back. The share it opened, where it did.
pub(crate) async fn close<X: Transaction>(
    transaction: &X,
    token_hash: &[u8; 32],
) -> Result<(bool, Stale), StoreError> {
    let sql = "DELETE FROM portreeve_share_tokens WHERE token_hash = ?1";
    let ended = transaction
        .execute(sql, &[Parameter::Bytes(token_hash)])
        .await?;
    Ok((ended > 0, Stale::sessions()))
}

/// Ends the shares that name this role: made again later, it would have them show what its new author meant for others.
pub(super) async fn release_role<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    role: &str,
) -> Result<(), StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM portreeve_shares s WHERE s.role = ?1 ORDER BY s.id");
    let rows = transaction.ask(&sql, &[role.into()]).await?;
    end_all(transaction, by, &rows, |_| true).await
}

/// Ends the shares whose collection, role or fields a policy no longer has, or has anew.
pub(super) async fn fit<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    after: &Snapshot,
    drops: &[portreeve_gate::Drop],
) -> Result<(), StoreError> {
    let sql = format!("SELECT {COLUMNS} FROM portreeve_shares s ORDER BY s.id");
    let rows = transaction.ask(&sql, &[]).await?;
    end_all(transaction, by, &rows, |share| {
        let Ok(name) = CollectionName::parse(&share.collection) else {
            return true;
        };
        let Some(collection) = after.catalog().find(&name) else {
            return true;
        };
        let fields = share.fields.as_deref().unwrap_or_default();
        let mut dropped = drops.iter().filter(|drop| drop.collection == name);
        let role = share.role.as_deref();
        dropped.any(|drop| match &drop.field {
            None => true,
            Some(field) => fields.contains(field),
        }) || role.is_some_and(|role| after.is_administrator(role).is_none())
            || fields
                .iter()
                .any(|field| field != "*" && collection.find_field(field).is_none())
    })
    .await
}

async fn end_all<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    rows: &[Row],
    ends: impl Fn(&StoredShare) -> bool,
) -> Result<(), StoreError> {
    for row in rows {
        let share = stored(row)?;
        if ends(&share) {
            let sql = "DELETE FROM portreeve_shares WHERE id = ?1";
            transaction.execute(sql, &[(&share.id).into()]).await?;
            audit_end(transaction, by, &share).await?;
        }
    }
    Ok(())
}
