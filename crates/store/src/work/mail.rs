//! What waits to be sent. A row says to whom and about what; the text and the code in it are made in the moment it is sent,
//! so that nothing here opens an account.

use portreeve_gate::{Authorized, ChangeEmail};
use portreeve_model::new_uuid;
use serde_json::json;

use super::audit::{Audited, By, audit};
use super::codes::{Account, NewCode, account, insert_code, void};
use super::{Connection, Parameter, Row, Transaction, check_versions, finish};
use crate::{AskedMail, ClaimedMail, MailOutcome, MailUser, Prepare, PreparedMail, StoreError};

/// So many are looked at to find one that nobody else takes at the same moment.
const CANDIDATES: i64 = 8;

pub(crate) async fn ask<X: Transaction>(
    transaction: &X,
    asked: &AskedMail,
) -> Result<(), StoreError> {
    let limit = i64::try_from(asked.limit).unwrap_or(i64::MAX);
    let sql =
        "INSERT INTO portreeve_mails (id, template, login, link, state, attempts, due, created)
               SELECT ?1, ?2, ?3, ?4, 'waiting', 0, ?5, ?5
               WHERE (SELECT count(*) FROM portreeve_mails WHERE state = 'waiting') < ?6";
    let inserted = transaction
        .execute(
            sql,
            &[
                (&asked.id).into(),
                (&asked.template).into(),
                (&asked.login).into(),
                asked.link.as_ref().into(),
                asked.at.into(),
                limit.into(),
            ],
        )
        .await?;
    if inserted == 1 {
        Ok(())
    } else {
        Err(StoreError::Busy)
    }
}

/// A mail for an account.
pub(super) struct For<'a> {
    pub template: &'a str,
    pub user: &'a str,
    pub address: &'a str,
    pub about: Option<&'a str>,
    pub link: Option<&'a str>,
    pub email: Option<&'a str>,
    pub credential: Option<&'a str>,
    pub by: Option<&'a str>,
}

pub(super) async fn queue<X: Transaction>(
    transaction: &X,
    mail: For<'_>,
    at: i64,
) -> Result<(), StoreError> {
    let id = new_uuid(transaction.clock(), transaction.entropy())
        .hyphenated()
        .to_string();
    let sql = "INSERT INTO portreeve_mails (id, template, \"user\", address, about, link, email, credential, \"by\", state, attempts, due, created)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 'waiting', 0, ?10, ?10)";
    transaction
        .execute(
            sql,
            &[
                (&id).into(),
                mail.template.into(),
                mail.user.into(),
                mail.address.into(),
                mail.about.into(),
                mail.link.into(),
                mail.email.into(),
                mail.credential.into(),
                mail.by.into(),
                at.into(),
            ],
        )
        .await
        .map(drop)
}

pub(crate) async fn change_email<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<ChangeEmail>,
) -> Result<(), StoreError> {
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    let by = By::caller(authorized);
    let Some(current) = account(transaction, &operation.user).await? else {
        return Err(StoreError::Gone);
    };
    // The password that was verified is still the account's.
    if !current.has_password(&operation.verified) {
        return Err(StoreError::Gone);
    }
    transaction.mark().await?;
    let change = async {
        let (email, credential) = (current.email.as_deref(), current.credential.as_deref());
        let new = For {
            template: "change",
            user: &operation.user,
            address: &operation.email,
            about: Some(&operation.email),
            link: operation.link.as_deref(),
            email,
            credential,
            by: None,
        };
        queue(transaction, new, by.at).await?;
        if let Some(old) = email {
            let old = For {
                template: "changing",
                user: &operation.user,
                address: old,
                about: Some(&operation.email),
                link: None,
                email,
                credential,
                by: None,
            };
            queue(transaction, old, by.at).await?;
        }
        let done = Audited {
            action: "user.ask_email",
            target: &operation.user,
            after: Some(&json!({ "email": operation.email })),
            ..Audited::default()
        };
        audit(transaction, &by, done).await
    };
    let result = change.await;
    finish(transaction, result).await
}

pub(crate) async fn due<C: Connection>(
    connection: &C,
    now: i64,
) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT id FROM portreeve_mails WHERE state = 'waiting' AND due <= ?1 ORDER BY due, id LIMIT ?2";
    let rows = connection
        .ask(sql, &[now.into(), CANDIDATES.into()])
        .await?;
    rows.iter()
        .map(|row| row.text(0).map(str::to_owned))
        .collect()
}

pub(crate) async fn claim<X: Transaction>(
    transaction: &X,
    candidates: &[String],
    now: i64,
    until: i64,
) -> Result<Option<ClaimedMail>, StoreError> {
    for id in candidates {
        // Of several programs at this row one changes it: the others see that it is not due any more.
        let sql = "UPDATE portreeve_mails SET attempts = attempts + 1, due = ?3
                   WHERE id = ?1 AND state = 'waiting' AND due <= ?2";
        let claimed = transaction
            .execute(sql, &[id.into(), now.into(), until.into()])
            .await?;
        if claimed == 1 {
            let sql = "SELECT template, attempts, created FROM portreeve_mails WHERE id = ?1";
            let rows = transaction.ask(sql, &[id.into()]).await?;
            let row = rows.first().ok_or(StoreError::Gone)?;
            return Ok(Some(ClaimedMail {
                id: id.clone(),
                template: row.text(0)?.into(),
                attempts: row.integer(1)?,
                created: row.integer(2)?,
            }));
        }
    }
    Ok(None)
}

struct Waiting {
    user: Option<String>,
    login: Option<String>,
    address: Option<String>,
    about: Option<String>,
    link: Option<String>,
    email: Option<String>,
    credential: Option<String>,
    by: Option<String>,
}

fn waiting(row: &Row) -> Waiting {
    let text = |place| row.maybe_text(place).map(str::to_owned);
    Waiting {
        user: text(0),
        login: text(1),
        address: text(2),
        about: text(3),
        link: text(4),
        email: text(5),
        credential: text(6),
        by: text(7),
    }
}

async fn claimed_row<C: Connection>(
    connection: &C,
    claimed: &ClaimedMail,
) -> Result<Option<Waiting>, StoreError> {
    let sql = "SELECT \"user\", login, address, about, link, email, credential, \"by\" FROM portreeve_mails
               WHERE id = ?1 AND attempts = ?2 AND state = 'waiting'";
    let parameters = [(&claimed.id).into(), claimed.attempts.into()];
    let rows = connection.ask(sql, &parameters).await?;
    Ok(rows.first().map(waiting))
}

/// Whether a claimed mail is meant for anybody, as far as can be told without holding up others: whoever likes can have
/// one written to nobody.
pub(crate) async fn is_meant<C: Connection>(
    connection: &C,
    claimed: &ClaimedMail,
) -> Result<bool, StoreError> {
    let Some(row) = claimed_row(connection, claimed).await? else {
        return Ok(false);
    };
    let found = addressee(connection, &claimed.template, &row).await?;
    Ok(found.is_some())
}

/// Forgets a claimed mail that is meant for nobody.
pub(crate) async fn forget<X: Transaction>(
    transaction: &X,
    claimed: &ClaimedMail,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM portreeve_mails WHERE id = ?1 AND attempts = ?2 AND state = 'waiting'";
    let parameters = [(&claimed.id).into(), claimed.attempts.into()];
    transaction.execute(sql, &parameters).await.map(drop)
}

pub(crate) async fn prepare<X: Transaction>(
    transaction: &X,
    prepare: &Prepare,
) -> Result<Option<PreparedMail>, StoreError> {
    // Nobody changes the account meanwhile, and of two mails to one address each sees the other.
    transaction.alone().await?;
    let claimed = &prepare.mail;
    let Some(row) = claimed_row(transaction, claimed).await? else {
        return Ok(None);
    };
    transaction.mark().await?;
    let decide = async {
        let found = addressee(transaction, &claimed.template, &row).await?;
        let found = match found {
            Some((_, address)) if is_full(transaction, prepare, &address).await? => None,
            found => found,
        };
        let Some((account, address)) = found else {
            let sql = "DELETE FROM portreeve_mails WHERE id = ?1";
            transaction.execute(sql, &[(&claimed.id).into()]).await?;
            return Ok(None);
        };
        let sql = "UPDATE portreeve_mails SET address = ?2 WHERE id = ?1";
        let parameters = [(&claimed.id).into(), (&address).into()];
        transaction.execute(sql, &parameters).await?;
        if let Some(hash) = &prepare.code {
            if claimed.template == "invite" {
                // There is one invitation, and it stays good until the next one is on its way.
                void(transaction, &account.id).await?;
            }
            let code = NewCode {
                hash,
                purpose: &claimed.template,
                account: &account,
                address: &address,
                by: row.by.as_deref(),
                created: prepare.at,
                expires: prepare.expires,
            };
            insert_code(transaction, code).await?;
        }
        Ok(Some(PreparedMail {
            address,
            about: row.about.clone(),
            link: row.link.clone(),
            user: MailUser {
                id: account.id.as_str().into(),
                key: account.key,
                username: account.username,
                email: account.email,
            },
        }))
    };
    let result = decide.await;
    finish(transaction, result).await
}

// Whom a mail goes to, and where; nobody where it is not to be sent.
async fn addressee<C: Connection>(
    connection: &C,
    template: &str,
    row: &Waiting,
) -> Result<Option<(Account, String)>, StoreError> {
    let id = match (&row.user, &row.login) {
        (Some(user), _) => Some(user.clone()),
        (None, Some(login)) => {
            let known = super::system::credential(connection, login).await?;
            known.map(|known| known.user.to_string())
        }
        (None, None) => None,
    };
    let Some(id) = id else { return Ok(None) };
    let Some(account) = account(connection, &id).await? else {
        return Ok(None);
    };
    // What was asked under another address or password is not asked any more.
    let as_asked = account.email == row.email && account.credential == row.credential;
    let stored = account.email.clone();
    let address = match template {
        "reset" if account.is_active() => stored,
        "confirm" if account.may_confirm() && !account.confirmed => stored,
        "change" if account.is_active() && as_asked => {
            let sql = "SELECT id FROM portreeve_users WHERE lower(email) = lower(?1) AND id <> ?2";
            let parameters = [row.address.as_ref().into(), (&account.id).into()];
            let taken = !connection.ask(sql, &parameters).await?.is_empty();
            row.address.clone().filter(|_| !taken)
        }
        // Word of what is asked goes to the address that was there when it was.
        "changing" => row.address.clone(),
        "invite" if account.is_invited() && as_asked => stored,
        _ => None,
    };
    Ok(address.map(|address| (account, address)))
}

async fn is_full<X: Transaction>(
    transaction: &X,
    prepare: &Prepare,
    address: &str,
) -> Result<bool, StoreError> {
    let Some(limit) = prepare.limit else {
        return Ok(false);
    };
    // What is on its way in this moment counts like what has arrived. Each kind by itself: with what anybody may ask for, nobody
    // uses up what somebody needs.
    let sql = "SELECT count(*) FROM portreeve_mails WHERE lower(address) = lower(?1) AND id <> ?2 AND template = ?5
               AND ((state = 'sent' AND finished > ?3) OR (state = 'waiting' AND attempts > 0 AND due > ?4))";
    let rows = transaction
        .ask(
            sql,
            &[
                address.into(),
                (&prepare.mail.id).into(),
                prepare.since.into(),
                prepare.at.into(),
                (&prepare.mail.template).into(),
            ],
        )
        .await?;
    let count = rows.first().map_or(Ok(0), |row| row.integer(0))?;
    Ok(count >= i64::from(limit))
}

pub(crate) async fn settle<X: Transaction>(
    transaction: &X,
    mail: &ClaimedMail,
    outcome: &MailOutcome,
    at: i64,
) -> Result<(), StoreError> {
    let (state, due, error) = match outcome {
        MailOutcome::Sent => ("sent", None, None),
        MailOutcome::Again { due, error } => ("waiting", Some(*due), Some(error)),
        MailOutcome::GivenUp { error } => ("given_up", None, Some(error)),
    };
    let finished = due.is_none().then_some(at);
    transaction.mark().await?;
    let settle = async {
        // Whoever has lost his claim has nothing to say any more.
        let sql = "UPDATE portreeve_mails SET state = ?3, due = coalesce(?4, due), error = ?5, finished = ?6
                   WHERE id = ?1 AND attempts = ?2 AND state = 'waiting'";
        let settled = transaction
            .execute(
                sql,
                &[
                    (&mail.id).into(),
                    mail.attempts.into(),
                    state.into(),
                    due.into(),
                    error.into(),
                    finished.into(),
                ],
            )
            .await?;
        if settled == 1
            && let MailOutcome::GivenUp { error } = outcome
        {
            let after = json!({
                "template": mail.template,
                "attempts": mail.attempts,
                "error": error,
            });
            let done = Audited {
                action: "mail.give_up",
                target: &mail.id,
                after: Some(&after),
                ..Audited::default()
            };
            audit(transaction, &By::nobody(at), done).await?;
        }
        Ok(())
    };
    let result = settle.await;
    finish(transaction, result).await
}

pub(crate) async fn tidy<X: Transaction>(
    transaction: &X,
    now: i64,
    before: i64,
) -> Result<u64, StoreError> {
    transaction.mark().await?;
    let tidy = async {
        let sql = "DELETE FROM portreeve_codes WHERE expires <= ?1";
        let codes = transaction.execute(sql, &[Parameter::from(now)]).await?;
        let sql = "DELETE FROM portreeve_mails WHERE finished <= ?1";
        let mails = transaction.execute(sql, &[Parameter::from(before)]).await?;
        Ok(codes + mails)
    };
    let result = tidy.await;
    finish(transaction, result).await
}
