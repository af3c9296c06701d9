//! What an operator is told about the state of things: who is bound to what, who administers, what waits.

use portreeve_policy::{BoundTo, Snapshot};

use super::system::{ACTIVE, binding};
use super::{Connection, Parameter, Row};
use crate::{Administrator, Backlog, Counted, QueuedMail, StoreError};

/// So many names are told of each kind.
const NAMES: i64 = 20;

const NAME: &str = "coalesce(u.username, u.email, u.\"key\")";

/// The roles and profiles that accounts are bound to, and how many are to each.
pub(crate) async fn bound<C: Connection>(
    connection: &C,
) -> Result<Vec<(BoundTo, u64)>, StoreError> {
    let sql = "SELECT role, profile, count(*) FROM portreeve_bindings GROUP BY role, profile";
    let rows = connection.ask(sql, &[]).await?;
    let one = |row: &Row| {
        let to = match row.maybe_text(0) {
            Some(role) => BoundTo::Role(role.into()),
            None => BoundTo::Profile(row.text(1)?.into()),
        };
        Ok((to, row.unsigned(2)?))
    };
    rows.iter().map(one).collect()
}

/// Every binding that makes somebody an administrator.
pub(crate) async fn administrators<C: Connection>(
    connection: &C,
    snapshot: &Snapshot,
) -> Result<Vec<Administrator>, StoreError> {
    let roles = snapshot.role_keys().map(|role| &**role);
    let roles: Vec<&str> = roles
        .filter(|role| snapshot.is_administrator(role) == Some(true))
        .collect();
    let profiles = snapshot.profile_keys().map(String::as_str);
    let profiles: Vec<&str> = profiles
        .filter(|profile| snapshot.profile_has_administrator(profile) == Some(true))
        .collect();
    let dialect = connection.dialect();
    let sql = format!(
        "SELECT b.role, b.profile, b.restricted_to, b.\"from\", b.until, b.\"primary\", b.id, u.id, {NAME}, u.status,
           (SELECT max(s.used) FROM portreeve_sessions s WHERE s.\"user\" = u.id)
         FROM portreeve_bindings b JOIN portreeve_users u ON u.id = b.\"user\"
         WHERE {} OR {} ORDER BY u.number, b.id",
        dialect.among(false, "b.role", "?1"),
        dialect.among(false, "b.profile", "?2"),
    );
    let parameters = [Parameter::List(&roles), Parameter::List(&profiles)];
    let rows = connection.ask(&sql, &parameters).await?;
    let one = |row: &Row| {
        Ok(Administrator {
            binding: binding(row)?,
            id: row.text(6)?.into(),
            user: row.text(7)?.into(),
            name: row.text(8)?.into(),
            active: row.text(9)? == ACTIVE,
            seen: row.maybe_integer(10),
        })
    };
    rows.iter().map(one).collect()
}

/// Accounts whose passwords are kept as another system kept them.
pub(crate) async fn foreign_hashes<C: Connection>(connection: &C) -> Result<Counted, StoreError> {
    let from = "FROM portreeve_credentials c JOIN portreeve_users u ON u.id = c.\"user\"
                WHERE substr(c.password_hash, 1, 10) <> '$argon2id$'";
    counted(connection, from, &[]).await
}

/// Accounts with sessions that go on after this moment, whether they are used or not.
pub(crate) async fn long_sessions<C: Connection>(
    connection: &C,
    after: i64,
) -> Result<Counted, StoreError> {
    let from = "FROM portreeve_users u WHERE EXISTS
                (SELECT 1 FROM portreeve_sessions s WHERE s.\"user\" = u.id AND s.expires > ?1 AND s.idle_expires IS NULL)";
    counted(connection, from, &[after.into()]).await
}

async fn counted<C: Connection>(
    connection: &C,
    from: &str,
    parameters: &[Parameter<'_>],
) -> Result<Counted, StoreError> {
    let rows = connection
        .ask(&format!("SELECT count(*) {from}"), parameters)
        .await?;
    let count = rows.first().map_or(Ok(0), |row| row.unsigned(0))?;
    let sql = format!("SELECT {NAME} {from} ORDER BY u.number LIMIT {NAMES}");
    let rows = connection.ask(&sql, parameters).await?;
    let names = rows.iter().map(|row| row.text(0).map(str::to_owned));
    Ok(Counted {
        count,
        names: names.collect::<Result<_, _>>()?,
    })
}

/// What should have been done before this moment, and was not.
pub(crate) async fn backlog<C: Connection>(
    connection: &C,
    before: i64,
) -> Result<Backlog, StoreError> {
    let sql =
        "SELECT count(*) FROM portreeve_audit_unsealed u JOIN portreeve_audit a ON a.id = u.line
         WHERE a.at < ?1 AND NOT EXISTS (SELECT 1 FROM portreeve_audit_seals s WHERE s.line = u.line)";
    let rows = connection.ask(sql, &[before.into()]).await?;
    let unsealed = rows.first().map_or(Ok(0), |row| row.unsigned(0))?;
    let sql = "SELECT count(*) FROM portreeve_mails WHERE state = 'waiting' AND created < ?1";
    let rows = connection.ask(sql, &[before.into()]).await?;
    let waiting = rows.first().map_or(Ok(0), |row| row.unsigned(0))?;
    let sql = "SELECT count(*) FROM portreeve_mails WHERE state = 'given_up'";
    let rows = connection.ask(sql, &[]).await?;
    let given_up = rows.first().map_or(Ok(0), |row| row.unsigned(0))?;
    let sql = "SELECT error FROM portreeve_mails WHERE error IS NOT NULL ORDER BY created DESC, id DESC LIMIT 1";
    let rows = connection.ask(sql, &[]).await?;
    Ok(Backlog {
        unsealed,
        waiting,
        given_up,
        error: rows
            .first()
            .and_then(|row| row.maybe_text(0))
            .map(str::to_owned),
    })
}

/// The mails that were asked for last, the newest first.
pub(crate) async fn mails<C: Connection>(
    connection: &C,
    limit: u32,
) -> Result<Vec<QueuedMail>, StoreError> {
    let sql = format!(
        "SELECT m.id, m.template, coalesce(m.address, m.login, {NAME}), m.state, m.attempts, m.error, m.created, m.finished
         FROM portreeve_mails m LEFT JOIN portreeve_users u ON u.id = m.\"user\"
         ORDER BY m.created DESC, m.id DESC LIMIT ?1"
    );
    let rows = connection.ask(&sql, &[i64::from(limit).into()]).await?;
    let one = |row: &Row| {
        Ok(QueuedMail {
            id: row.text(0)?.into(),
            template: row.text(1)?.into(),
            to: row.maybe_text(2).map(str::to_owned),
            state: row.text(3)?.into(),
            attempts: row.integer(4)?,
            error: row.maybe_text(5).map(str::to_owned),
            created: row.integer(6)?,
            finished: row.maybe_integer(7),
        })
    };
    rows.iter().map(one).collect()
}
