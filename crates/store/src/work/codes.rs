//! Codes: kept by their hash, for one account and one purpose, good once. What a code does is done in the transaction that
//! uses it up.

use portreeve_gate::{Authorized, Invited, UNCONFIRMED};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::access::may_touch;
use super::accounts::{insert_user, set_password};
use super::audit::{Audited, By, audit};
use super::mail::{For, queue};
use super::system::{ACTIVE, advance, insert_binding};
use super::{Connection, Parameter, Transaction, check_versions, finish};
use crate::{Accept, GoodCode, Stale, StoreError, WriteOutcome};

/// An account that waits for whoever is invited to it. It cannot sign in.
const INVITED: &str = "invited";

/// What a code depends on.
pub(super) struct Account {
    pub id: String,
    pub key: String,
    pub username: Option<String>,
    pub email: Option<String>,
    pub status: String,
    pub confirmed: bool,
    // A digest of its password's hash, to see that it is another one.
    pub credential: Option<String>,
}

impl Account {
    pub fn is_active(&self) -> bool {
        self.status == ACTIVE
    }

    /// Whether its address can be confirmed: it is active, or becomes so by that.
    pub fn may_confirm(&self) -> bool {
        self.is_active() || self.status == UNCONFIRMED
    }

    pub fn is_invited(&self) -> bool {
        self.status == INVITED
    }

    pub fn has_password(&self, hash: &str) -> bool {
        self.is_active() && self.credential.as_deref() == Some(&digest(hash))
    }
}

fn digest(password_hash: &str) -> String {
    let digest = Sha256::digest(password_hash);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(super) async fn account<C: Connection>(
    connection: &C,
    user: &str,
) -> Result<Option<Account>, StoreError> {
    let sql = "SELECT u.id, u.\"key\", u.username, u.email, u.status, u.confirmed, c.password_hash FROM portreeve_users u
               LEFT JOIN portreeve_credentials c ON c.\"user\" = u.id WHERE u.id = ?1";
    let rows = connection.ask(sql, &[user.into()]).await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    Ok(Some(Account {
        id: row.text(0)?.into(),
        key: row.text(1)?.into(),
        username: row.maybe_text(2).map(str::to_owned),
        email: row.maybe_text(3).map(str::to_owned),
        status: row.text(4)?.into(),
        confirmed: row.boolean(5)?,
        credential: row.maybe_text(6).map(digest),
    }))
}

pub(crate) async fn password_hash<C: Connection>(
    connection: &C,
    user: &str,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT c.password_hash FROM portreeve_credentials c JOIN portreeve_users u ON u.id = c.\"user\"
               WHERE u.id = ?1 AND u.status = ?2";
    let rows = connection.ask(sql, &[user.into(), ACTIVE.into()]).await?;
    Ok(rows
        .first()
        .and_then(|row| row.maybe_text(0))
        .map(str::to_owned))
}

/// A code that is sent.
pub(super) struct NewCode<'a> {
    pub hash: &'a [u8; 32],
    pub purpose: &'a str,
    pub account: &'a Account,
    pub address: &'a str,
    pub by: Option<&'a str>,
    pub created: i64,
    pub expires: i64,
}

pub(super) async fn insert_code<X: Transaction>(
    transaction: &X,
    code: NewCode<'_>,
) -> Result<(), StoreError> {
    let sql = "INSERT INTO portreeve_codes (hash, purpose, \"user\", address, email, credential, \"by\", created, expires)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    transaction
        .execute(
            sql,
            &[
                Parameter::Bytes(code.hash),
                code.purpose.into(),
                (&code.account.id).into(),
                code.address.into(),
                code.account.email.as_ref().into(),
                code.account.credential.as_ref().into(),
                code.by.into(),
                code.created.into(),
                code.expires.into(),
            ],
        )
        .await
        .map(drop)
}

struct Found {
    purpose: String,
    address: String,
    by: Option<String>,
    account: Account,
}

// A code that is good: not over, and its account has the address and the password it had.
async fn find<C: Connection>(
    connection: &C,
    hash: &[u8; 32],
    now: i64,
) -> Result<Option<Found>, StoreError> {
    let sql = "SELECT purpose, \"user\", address, email, credential, \"by\" FROM portreeve_codes
               WHERE hash = ?1 AND expires > ?2";
    let rows = connection
        .ask(sql, &[Parameter::Bytes(hash), now.into()])
        .await?;
    let Some(row) = rows.first() else {
        return Ok(None);
    };
    let Some(account) = account(connection, row.text(1)?).await? else {
        return Ok(None);
    };
    let purpose = row.text(0)?;
    let as_sent = row.maybe_text(3) == account.email.as_deref()
        && row.maybe_text(4) == account.credential.as_deref();
    let in_time = match purpose {
        "invite" => account.is_invited(),
        "confirm" => account.may_confirm(),
        _ => account.is_active(),
    };
    if !as_sent || !in_time {
        return Ok(None);
    }
    Ok(Some(Found {
        purpose: purpose.into(),
        address: row.text(2)?.into(),
        by: row.maybe_text(5).map(str::to_owned),
        account,
    }))
}

pub(crate) async fn good<C: Connection>(
    connection: &C,
    hash: &[u8; 32],
    now: i64,
) -> Result<Option<GoodCode>, StoreError> {
    let found = find(connection, hash, now).await?;
    Ok(found.map(|found| GoodCode {
        purpose: found.purpose,
        user: found.account.id.as_str().into(),
        username: found.account.username,
        email: found.account.email,
        by: found.by,
    }))
}

// Takes a code out of the world. Whoever comes second finds none.
async fn take<X: Transaction>(
    transaction: &X,
    hash: &[u8; 32],
    purposes: &[&str],
    now: i64,
) -> Result<Found, StoreError> {
    let found = find(transaction, hash, now).await?;
    let found = found.filter(|found| purposes.contains(&found.purpose.as_str()));
    let found = found.ok_or(StoreError::Gone)?;
    let sql = "DELETE FROM portreeve_codes WHERE hash = ?1";
    match transaction.execute(sql, &[Parameter::Bytes(hash)]).await? {
        1 => Ok(found),
        _ => Err(StoreError::Gone),
    }
}

pub(super) async fn void<X: Transaction>(transaction: &X, user: &str) -> Result<(), StoreError> {
    let sql = "DELETE FROM portreeve_codes WHERE \"user\" = ?1";
    transaction.execute(sql, &[user.into()]).await.map(drop)
}

// The account itself, by the code it was sent.
fn by(account: &Account, at: i64) -> By<'static> {
    By {
        actor: Some(account.id.clone()),
        ..By::nobody(at)
    }
}

async fn stale<X: Transaction>(
    transaction: &X,
    user: &str,
    sessions: bool,
) -> Result<Stale, StoreError> {
    let epoch = advance(transaction, user).await?;
    Ok(Stale::of(user, epoch, sessions))
}

pub(crate) async fn reset_password<X: Transaction>(
    transaction: &X,
    hash: &[u8; 32],
    password_hash: &str,
    now: i64,
) -> Result<((), Stale), StoreError> {
    transaction.alone().await?;
    transaction.mark().await?;
    let reset = async {
        let Found { account, .. } = take(transaction, hash, &["reset"], now).await?;
        set_password(transaction, &account.id, password_hash).await?;
        // Whoever has the code reads what is sent to the address.
        let sql = "UPDATE portreeve_users SET confirmed = ?2 WHERE id = ?1";
        let parameters = [(&account.id).into(), 1.into()];
        transaction.execute(sql, &parameters).await?;
        let sql = "DELETE FROM portreeve_sessions WHERE \"user\" = ?1";
        transaction.execute(sql, &[(&account.id).into()]).await?;
        void(transaction, &account.id).await?;
        let stale = stale(transaction, &account.id, true).await?;
        let done = Audited {
            action: "user.reset_password",
            target: &account.id,
            ..Audited::default()
        };
        audit(transaction, &by(&account, now), done).await?;
        Ok(((), stale))
    };
    let result = reset.await;
    finish(transaction, result).await
}

pub(crate) async fn confirm_address<X: Transaction>(
    transaction: &X,
    hash: &[u8; 32],
    verified: Option<&str>,
    now: i64,
) -> Result<((), Stale), StoreError> {
    transaction.alone().await?;
    transaction.mark().await?;
    let confirm = async {
        let found = take(transaction, hash, &["confirm", "change"], now).await?;
        let Found {
            account, address, ..
        } = found;
        // An account that signs in by its address as its name goes on doing so; the name must not stay behind for
        // whoever has the old address next.
        let same = |name: &str| {
            let email = account.email.as_deref();
            email.is_some_and(|email| email.eq_ignore_ascii_case(name))
        };
        let named = account.username.as_deref().is_some_and(same);
        let username = if named {
            Some(&address)
        } else {
            account.username.as_ref()
        };
        let sql = "UPDATE portreeve_users SET email = ?2, username = ?3, confirmed = ?4, status = ?5 WHERE id = ?1";
        let parameters = [
            (&account.id).into(),
            (&address).into(),
            username.into(),
            1.into(),
            ACTIVE.into(),
        ];
        transaction.execute(sql, &parameters).await?;
        // Whoever has made the account need not be who reads the mail.
        let own = verified.is_some_and(|hash| account.credential == Some(digest(hash)));
        if account.status == UNCONFIRMED && !own {
            let sql = "DELETE FROM portreeve_credentials WHERE \"user\" = ?1";
            transaction.execute(sql, &[(&account.id).into()]).await?;
        }
        void(transaction, &account.id).await?;
        let stale = stale(transaction, &account.id, false).await?;
        let before = json!({ "email": account.email, "confirmed": account.confirmed });
        let after = json!({ "email": address, "confirmed": true });
        let done = Audited {
            action: "user.confirm",
            target: &account.id,
            before: Some(&before),
            after: Some(&after),
            why: None,
        };
        audit(transaction, &by(&account, now), done).await?;
        Ok(((), stale))
    };
    let result = confirm.await;
    finish(transaction, result).await
}

pub(crate) async fn accept<X: Transaction>(
    transaction: &X,
    accept: &Accept,
) -> Result<((), Stale), StoreError> {
    transaction.alone().await?;
    let inviter = accept.inviter.as_ref();
    let (version, epoch) = transaction
        .versions(inviter.map(|(inviter, _)| inviter.as_str()))
        .await?;
    if version != accept.version || inviter.is_some_and(|(_, seen)| *seen != epoch) {
        return Err(StoreError::VersionChanged);
    }
    transaction.mark().await?;
    let come_in = async {
        let Found { account, .. } = take(transaction, &accept.code, &["invite"], accept.at).await?;
        set_password(transaction, &account.id, &accept.password_hash).await?;
        let username = accept.username.as_ref().or(account.username.as_ref());
        let sql =
            "UPDATE portreeve_users SET status = ?2, confirmed = ?3, username = ?4 WHERE id = ?1";
        let parameters = [
            (&account.id).into(),
            ACTIVE.into(),
            1.into(),
            username.into(),
        ];
        transaction.execute(sql, &parameters).await?;
        void(transaction, &account.id).await?;
        let stale = stale(transaction, &account.id, false).await?;
        let before = json!({ "status": INVITED });
        let after = json!({ "status": ACTIVE, "username": username });
        let done = Audited {
            action: "user.accept",
            target: &account.id,
            before: Some(&before),
            after: Some(&after),
            why: None,
        };
        audit(transaction, &by(&account, accept.at), done).await?;
        Ok(((), stale))
    };
    let result = come_in.await;
    finish(transaction, result).await
}

pub(crate) async fn invite<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Invited>,
) -> Result<((String, i64), Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    let user = operation.creation().user();
    let by = By::caller(authorized);
    let address = user.email.as_deref().ok_or(StoreError::Gone)?;
    transaction.mark().await?;
    let invite = async {
        let sql =
            "SELECT id, number FROM portreeve_users WHERE lower(email) = lower(?1) AND status = ?2";
        let rows = transaction
            .ask(sql, &[address.into(), INVITED.into()])
            .await?;
        let (id, number, stale) = match rows.first() {
            // Once more: what was said last counts. The code that was sent before stays good until another is sent, which
            // may not be now, and stands for whoever invites now.
            Some(row) => {
                let (id, number) = (row.text(0)?.to_owned(), row.integer(1)?);
                // Who may not touch it is told what he would be told of any account with this address.
                match may_touch(transaction, operation.authority(), &id).await {
                    Err(StoreError::Beyond) => return Err(StoreError::Unique { fields: vec![] }),
                    told => told?,
                }
                if !user.attributes.is_empty() {
                    return Err(StoreError::Unique { fields: vec![] });
                }
                let sql = "UPDATE portreeve_codes SET \"by\" = ?2 WHERE \"user\" = ?1";
                let parameters = [(&id).into(), operation.inviter().into()];
                transaction.execute(sql, &parameters).await?;
                let sql = "DELETE FROM portreeve_mails WHERE \"user\" = ?1 AND state = 'waiting'";
                transaction.execute(sql, &[(&id).into()]).await?;
                let sql = "DELETE FROM portreeve_bindings WHERE \"user\" = ?1";
                transaction.execute(sql, &[(&id).into()]).await?;
                for binding in &user.bindings {
                    insert_binding(transaction, &id, binding, by.actor.as_deref()).await?;
                }
                let stale = stale(transaction, &id, false).await?;
                (id, number, stale)
            }
            None => {
                let (creation, context) = (operation.creation(), authorized.context());
                let catalog = authorized.snapshot().catalog();
                let (outcome, number) =
                    insert_user(transaction, creation, context, catalog, &by).await?;
                if !matches!(outcome, WriteOutcome::Stored(_)) {
                    return Err(StoreError::Check);
                }
                let sql = "UPDATE portreeve_users SET status = ?2 WHERE id = ?1";
                let parameters = [(&user.id).into(), INVITED.into()];
                transaction.execute(sql, &parameters).await?;
                (user.id.clone(), number, Stale::default())
            }
        };
        // The address as it is stored, however it was written this time.
        let account = account(transaction, &id).await?.ok_or(StoreError::Gone)?;
        let address = account.email.as_deref().ok_or(StoreError::Gone)?;
        let mail = For {
            template: "invite",
            user: &id,
            address,
            about: None,
            link: operation.link(),
            email: account.email.as_deref(),
            credential: account.credential.as_deref(),
            by: operation.inviter(),
        };
        queue(transaction, mail, by.at).await?;
        let after = json!({ "email": address });
        let done = Audited {
            action: "user.invite",
            target: &id,
            after: Some(&after),
            ..Audited::default()
        };
        audit(transaction, &by, done).await?;
        Ok(((id, number), stale))
    };
    let result = invite.await;
    finish(transaction, result).await
}
