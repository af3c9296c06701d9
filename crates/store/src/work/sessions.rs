//! Sessions, their tokens, and the keys the product makes for itself. Tokens are kept as hashes only; hashes are compared
//! in the database and never read.

use portreeve_gate::{Authorized, EndSessions, Which};
use portreeve_model::new_uuid;
use serde_json::json;

use super::audit::{Audited, By, actor, audit};
use super::system::{ACTIVE, gone};
use super::{Connection, Parameter, Row, Transaction, check_versions, finish};
use crate::system::{
    Begun, NewSession, Proof, Renewal, Rotated, Rotation, SessionFacts, SessionUse, StoredSession,
    Through,
};
use crate::{Stale, StoreError};

fn by(through: &Through, at: i64, actor: Option<String>) -> By<'_> {
    By {
        at,
        actor,
        face: through.face.as_deref(),
        request: through.request.as_deref(),
    }
}

pub(crate) async fn begin<X: Transaction>(
    transaction: &X,
    new: &NewSession,
) -> Result<(Begun, Stale), StoreError> {
    // Whoever changes a password ends the account's sessions, alone: a session begins before that, and is ended by it,
    // or after, and then the old password is no good any more.
    transaction.versions(Some(&new.user)).await?;
    let id = new_uuid(transaction.clock(), transaction.entropy())
        .hyphenated()
        .to_string();
    transaction.mark().await?;
    let begun = async {
        let good = match &new.proof {
            Proof::Password(verified) => {
                let sql =
                    "SELECT u.id FROM portreeve_users u JOIN portreeve_credentials c ON c.\"user\" = u.id
                     WHERE u.id = ?1 AND u.status = ?2 AND c.password_hash = ?3";
                let parameters = [(&new.user).into(), ACTIVE.into(), verified.into()];
                transaction.ask(sql, &parameters).await?
            }
            Proof::Other => {
                let sql = "SELECT id FROM portreeve_users WHERE id = ?1 AND status = ?2";
                transaction
                    .ask(sql, &[(&new.user).into(), ACTIVE.into()])
                    .await?
            }
        };
        if good.is_empty() {
            return Err(StoreError::Gone);
        }
        let sql = "INSERT INTO portreeve_sessions
                     (id, \"user\", created, expires, used, idle_expires, kind, face, address, agent, ends_with_roles)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
        let parameters = [
            (&id).into(),
            (&new.user).into(),
            new.now.into(),
            new.expires.into(),
            new.now.into(),
            new.idle_expires.into(),
            (&new.kind).into(),
            new.through.face.as_deref().into(),
            new.address.as_deref().into(),
            new.agent.as_deref().into(),
            i64::from(new.ends_with_roles).into(),
        ];
        transaction.execute(sql, &parameters).await.map_err(gone)?;
        insert_token(transaction, &new.token_hash, &id, new.token_expires).await?;
        if let Some(refresh) = &new.refresh {
            let sql = "INSERT INTO portreeve_refresh_tokens (family_hash, session, generation, token_hash, expires)
                       VALUES (?1, ?2, 1, ?3, ?4)";
            let parameters = [
                Parameter::Bytes(&refresh.family_hash),
                (&id).into(),
                Parameter::Bytes(&refresh.token_hash),
                refresh.expires.into(),
            ];
            transaction.execute(sql, &parameters).await?;
        }
        let mut stale = Stale::default();
        if let Some(at_most) = new.at_most {
            // Those that were used longest ago make room.
            let sql = "DELETE FROM portreeve_sessions WHERE id IN (
                         SELECT id FROM portreeve_sessions WHERE \"user\" = ?1 AND id <> ?2
                         ORDER BY used DESC, id DESC LIMIT 1000000 OFFSET ?3)";
            let kept = i64::from(at_most.saturating_sub(1));
            let parameters = [(&new.user).into(), (&id).into(), kept.into()];
            stale.sessions = transaction.execute(sql, &parameters).await? > 0;
        }
        if new.audited {
            let after = json!({ "kind": new.kind, "address": new.address });
            let done = Audited {
                action: "session.begin",
                target: &id,
                after: Some(&after),
                ..Audited::default()
            };
            audit(
                transaction,
                &by(&new.through, new.now, Some(new.user.clone())),
                done,
            )
            .await?;
        }
        let begun = Begun {
            session: id.as_str().into(),
        };
        Ok((begun, stale))
    };
    let result = begun.await;
    finish(transaction, result).await
}

async fn insert_token<X: Transaction>(
    transaction: &X,
    hash: &[u8; 32],
    session: &str,
    expires: Option<i64>,
) -> Result<(), StoreError> {
    let sql =
        "INSERT INTO portreeve_session_tokens (token_hash, session, expires) VALUES (?1, ?2, ?3)";
    let parameters = [Parameter::Bytes(hash), session.into(), expires.into()];
    transaction
        .execute(sql, &parameters)
        .await
        .map(drop)
        .map_err(gone)
}

pub(crate) async fn session<C: Connection>(
    connection: &C,
    token_hash: &[u8; 32],
) -> Result<Option<SessionFacts>, StoreError> {
    let rows = connection
        .ask(
            "SELECT s.id, s.\"user\", s.expires, t.expires, s.idle_expires, s.used, s.kind, s.face
             FROM portreeve_session_tokens t JOIN portreeve_sessions s ON s.id = t.session WHERE t.token_hash = ?1",
            &[Parameter::Bytes(token_hash)],
        )
        .await?;
    rows.first().map(facts).transpose()
}

fn facts(row: &Row) -> Result<SessionFacts, StoreError> {
    let expires = row.integer(2)?;
    Ok(SessionFacts {
        id: row.text(0)?.into(),
        user: row.text(1)?.into(),
        expires: row
            .maybe_integer(3)
            .map_or(expires, |token| token.min(expires)),
        idle_expires: row.maybe_integer(4),
        used: row.integer(5)?,
        kind: row.text(6)?.into(),
        face: row.maybe_text(7).map(Into::into),
    })
}

/// Ends the session of a token.
pub(crate) async fn end_by_token<X: Transaction>(
    transaction: &X,
    token_hash: &[u8; 32],
) -> Result<(Option<String>, Stale), StoreError> {
    let sql = "SELECT session FROM portreeve_session_tokens WHERE token_hash = ?1";
    let rows = transaction
        .ask(sql, &[Parameter::Bytes(token_hash)])
        .await?;
    end_first(transaction, &rows).await
}

/// The same by a refresh token, which has to be the one that is good.
pub(crate) async fn end_by_refresh<X: Transaction>(
    transaction: &X,
    token_hash: &[u8; 32],
    family_hash: &[u8; 32],
) -> Result<(Option<String>, Stale), StoreError> {
    let sql =
        "SELECT session FROM portreeve_refresh_tokens WHERE family_hash = ?1 AND token_hash = ?2";
    let parameters = [Parameter::Bytes(family_hash), Parameter::Bytes(token_hash)];
    let rows = transaction.ask(sql, &parameters).await?;
    end_first(transaction, &rows).await
}

// Of two who end it at once, one has ended it.
async fn end_first<X: Transaction>(
    transaction: &X,
    rows: &[Row],
) -> Result<(Option<String>, Stale), StoreError> {
    let Some(row) = rows.first() else {
        return Ok((None, Stale::default()));
    };
    let session = row.text(0)?.to_owned();
    let ended = end_one(transaction, &session).await?;
    Ok(((ended > 0).then_some(session), Stale::sessions()))
}

/// An account's sessions, those used last first.
pub(crate) async fn of_user<C: Connection>(
    connection: &C,
    user: &str,
) -> Result<Vec<StoredSession>, StoreError> {
    let sql = "SELECT id, created, expires, used, idle_expires, kind, face, address, agent
               FROM portreeve_sessions WHERE \"user\" = ?1 ORDER BY used DESC, id DESC";
    let rows = connection.ask(sql, &[user.into()]).await?;
    let one = |row: &Row| {
        let text = |place| row.maybe_text(place).map(str::to_owned);
        Ok(StoredSession {
            id: row.text(0)?.to_owned(),
            created: row.integer(1)?,
            expires: row.integer(2)?,
            used: row.integer(3)?,
            idle_expires: row.maybe_integer(4),
            kind: row.text(5)?.to_owned(),
            face: text(6),
            address: text(7),
            agent: text(8),
        })
    };
    rows.iter().map(one).collect()
}

pub(crate) async fn end<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<EndSessions>,
) -> Result<(u64, Stale), StoreError> {
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation();
    transaction.mark().await?;
    let ended = async {
        let (sql, session) = match &operation.which {
            Which::All => ("DELETE FROM portreeve_sessions WHERE \"user\" = ?1", None),
            Which::One(session) => (
                "DELETE FROM portreeve_sessions WHERE \"user\" = ?1 AND id = ?2",
                Some(session),
            ),
            Which::AllBut(session) => (
                "DELETE FROM portreeve_sessions WHERE \"user\" = ?1 AND id <> ?2",
                Some(session),
            ),
        };
        let user = (&operation.user).into();
        let ended = match session {
            None => transaction.execute(sql, &[user]).await?,
            Some(session) => {
                transaction
                    .execute(sql, &[user, (&**session).into()])
                    .await?
            }
        };
        // One's own are one's own business.
        let own = actor(authorized.principal()).as_deref() == Some(&operation.user);
        if ended > 0 && !own {
            let before = json!({ "sessions": ended });
            let done = Audited {
                action: "session.end",
                target: &operation.user,
                before: Some(&before),
                ..Audited::default()
            };
            audit(transaction, &By::caller(authorized), done).await?;
        }
        Ok(ended)
    };
    let result = ended.await;
    let ended = finish(transaction, result).await?;
    let stale = Stale {
        sessions: ended > 0,
        ..Stale::default()
    };
    Ok((ended, stale))
}

/// Uses a refresh token. Of all who come with the same one, one finds it still to be the one that is good.
pub(crate) async fn rotate<X: Transaction>(
    transaction: &X,
    rotation: &Rotation,
) -> Result<(Rotated, Stale), StoreError> {
    let Rotation { now, .. } = *rotation;
    let family = Parameter::Bytes(&rotation.family_hash);
    let (presented, next) = (
        Parameter::Bytes(&rotation.presented),
        Parameter::Bytes(&rotation.next),
    );
    transaction.mark().await?;
    let rotated = async {
        let sql = "UPDATE portreeve_refresh_tokens
                   SET previous_hash = token_hash, token_hash = ?3, generation = generation + 1, rotated = ?4, expires = ?5
                   WHERE family_hash = ?1 AND token_hash = ?2 AND expires > ?4";
        let parameters = [family, presented, next, now.into(), rotation.expires.into()];
        let won = transaction.execute(sql, &parameters).await? > 0;
        let sql = "SELECT s.id, s.\"user\", s.expires, s.idle_expires, s.face, u.status,
                     r.token_hash = ?2, coalesce(r.previous_hash = ?2, 1 = 0), r.token_hash = ?3, r.rotated
                   FROM portreeve_refresh_tokens r JOIN portreeve_sessions s ON s.id = r.session
                   JOIN portreeve_users u ON u.id = s.\"user\" WHERE r.family_hash = ?1";
        let rows = transaction.ask(sql, &[family, presented, next]).await?;
        let Some(row) = rows.first() else {
            return Ok((Rotated::Refused, Stale::default()));
        };
        let session = row.text(0)?;
        let expires = row.integer(2)?;
        if row.maybe_text(4).map(str::to_owned) != rotation.through.face {
            // Another face's: as if it were unknown there.
            return Err(StoreError::Gone);
        }
        let over = expires <= now || row.maybe_integer(3).is_some_and(|idle| idle <= now);
        if over || row.text(5)? != ACTIVE {
            end_one(transaction, session).await?;
            return Ok((Rotated::Refused, Stale::sessions()));
        }
        if !won {
            if row.boolean(6)? {
                // The right one, and too late.
                return Ok((Rotated::Refused, Stale::default()));
            }
            let again = row.boolean(7)?
                && row.boolean(8)?
                && row
                    .maybe_integer(9)
                    .is_some_and(|rotated| now < rotated.saturating_add(rotation.grace));
            if !again {
                // It has been used before: there are two who have it, and one of them should not.
                if end_one(transaction, session).await? == 0 {
                    return Ok((Rotated::Refused, Stale::default()));
                }
                let before = json!({ "user": row.text(1)?, "address": rotation.address });
                let done = Audited {
                    action: "session.reused",
                    target: session,
                    before: Some(&before),
                    ..Audited::default()
                };
                audit(transaction, &by(&rotation.through, now, None), done).await?;
                return Ok((Rotated::Reused, Stale::sessions()));
            }
        }
        let token_expires = rotation.token_expires.min(expires);
        insert_token(
            transaction,
            &rotation.token_hash,
            session,
            Some(token_expires),
        )
        .await?;
        let sql = "UPDATE portreeve_sessions SET used = ?2, idle_expires = ?3 WHERE id = ?1 AND used <= ?2";
        let parameters = [session.into(), now.into(), rotation.idle_expires.into()];
        transaction.execute(sql, &parameters).await?;
        let rotated = Rotated::Done {
            session: session.into(),
            user: row.text(1)?.into(),
            expires,
            token_expires,
        };
        Ok((rotated, Stale::default()))
    };
    let result = rotated.await;
    finish(transaction, result).await
}

async fn end_one<X: Transaction>(transaction: &X, session: &str) -> Result<u64, StoreError> {
    let sql = "DELETE FROM portreeve_sessions WHERE id = ?1";
    transaction.execute(sql, &[session.into()]).await
}

/// Puts another token in the place of one. Whether it was still to be renewed: a token is renewed once.
pub(crate) async fn renew<X: Transaction>(
    transaction: &X,
    renewal: &Renewal,
) -> Result<(bool, Stale), StoreError> {
    transaction.mark().await?;
    let renewed = async {
        let sql = "UPDATE portreeve_session_tokens SET renewed = ?2, expires = ?3
                   WHERE token_hash = ?1 AND renewed IS NULL AND (expires IS NULL OR expires > ?2)
                     AND session IN (SELECT id FROM portreeve_sessions WHERE kind = 'signed')";
        let parameters = [
            Parameter::Bytes(&renewal.old),
            renewal.now.into(),
            renewal.now.saturating_add(renewal.grace).into(),
        ];
        if transaction.execute(sql, &parameters).await? == 0 {
            return Ok(false);
        }
        insert_token(
            transaction,
            &renewal.new,
            &renewal.session,
            Some(renewal.expires),
        )
        .await?;
        let sql = "UPDATE portreeve_sessions SET expires = ?2, used = ?3 WHERE id = ?1";
        let parameters = [
            (&renewal.session).into(),
            renewal.expires.into(),
            renewal.now.into(),
        ];
        Ok(transaction.execute(sql, &parameters).await? > 0)
    };
    let result = renewed.await;
    let renewed = finish(transaction, result).await?;
    Ok((renewed, Stale::sessions()))
}

/// Ends the sessions of an account that a change of what it is bound to ends. Whether there were any.
pub(crate) async fn end_with_roles<X: Transaction>(
    transaction: &X,
    user: &str,
) -> Result<bool, StoreError> {
    let sql = "DELETE FROM portreeve_sessions WHERE \"user\" = ?1 AND ends_with_roles = (1 = 1)";
    Ok(transaction.execute(sql, &[user.into()]).await? > 0)
}

/// Writes down when sessions were used.
pub(crate) async fn note_uses<X: Transaction>(
    transaction: &X,
    uses: &[SessionUse],
) -> Result<(), StoreError> {
    // On two nodes the same session may have been used: the later use stays.
    let sql =
        "UPDATE portreeve_sessions SET used = ?2, idle_expires = ?3 WHERE id = ?1 AND used < ?2";
    for one in uses {
        let parameters = [
            (&*one.session).into(),
            one.used.into(),
            one.idle_expires.into(),
        ];
        transaction.execute(sql, &parameters).await?;
    }
    Ok(())
}

/// Forgets sessions and tokens that are over. Those that ended for want of use are left for a while: another node may know
/// of a use that it has not written down yet.
pub(crate) async fn expire<X: Transaction>(
    transaction: &X,
    now: i64,
    unused: i64,
) -> Result<usize, StoreError> {
    let sql = "DELETE FROM portreeve_sessions WHERE expires <= ?1 OR idle_expires <= ?2";
    let expired = transaction
        .execute(sql, &[now.into(), unused.into()])
        .await?;
    let sql = "DELETE FROM portreeve_session_tokens WHERE expires <= ?1";
    transaction.execute(sql, &[now.into()]).await?;
    let sql = "DELETE FROM portreeve_share_tokens WHERE expires <= ?1";
    transaction.execute(sql, &[now.into()]).await?;
    Ok(usize::try_from(expired).unwrap_or(usize::MAX))
}

/// The addresses an account's sessions began at, those used last first.
pub(crate) async fn addresses<C: Connection>(
    connection: &C,
    user: &str,
) -> Result<Vec<String>, StoreError> {
    let sql = "SELECT address FROM portreeve_sessions WHERE \"user\" = ?1 AND address IS NOT NULL
               ORDER BY used DESC LIMIT 100";
    let rows = connection.ask(sql, &[user.into()]).await?;
    rows.iter()
        .map(|row| row.text(0).map(str::to_owned))
        .collect()
}

/// Notes in the audit trail that somebody was not let in.
pub(crate) async fn note_refusal<X: Transaction>(
    transaction: &X,
    user: Option<&str>,
    through: &Through,
    address: Option<&str>,
    now: i64,
) -> Result<(), StoreError> {
    let after = json!({ "address": address });
    let done = Audited {
        action: "session.refused",
        // Not the name: people type passwords into that field.
        target: user.unwrap_or_default(),
        after: Some(&after),
        ..Audited::default()
    };
    audit(transaction, &by(through, now, None), done).await
}

/// A key of this name: the one there is, else this one from now on.
pub(crate) async fn secret<X: Transaction>(
    transaction: &X,
    name: &str,
    candidate: &str,
) -> Result<String, StoreError> {
    let now = transaction.clock().now();
    let sql = "INSERT INTO portreeve_secrets (name, value, created) VALUES (?1, ?2, ?3) ON CONFLICT (name) DO NOTHING";
    transaction
        .execute(sql, &[name.into(), candidate.into(), now.into()])
        .await?;
    let rows = stored_secret(transaction, name).await?;
    rows.ok_or_else(|| StoreError::Corrupt("a key is not kept".into()))
}

/// A key of this name, where there is one.
pub(crate) async fn stored_secret<C: Connection>(
    connection: &C,
    name: &str,
) -> Result<Option<String>, StoreError> {
    let sql = "SELECT value FROM portreeve_secrets WHERE name = ?1";
    let rows = connection.ask(sql, &[name.into()]).await?;
    rows.first()
        .map(|row| row.text(0).map(str::to_owned))
        .transpose()
}
