//! Roles, profiles, registration and bindings as they are changed one by one: judged by what is stored, in the
//! transaction that changes it.

use std::sync::Arc;

use portreeve_gate::{
    Author, Authored, Authority, Authorized, Bind, Judged, Reassign, Rebind, Unbind,
};
use portreeve_model::new_uuid;
use portreeve_policy::{
    Binding, BoundTo, ProfileDefinition, RoleDefinition, Snapshot, profile_from_json,
    profile_to_json, role_from_json, role_to_json,
};
use serde_json::{Value as Json, json};

use super::audit::{Audited, By, audit};
use super::policy::{parsed, parts, store_registration};
use super::sessions::end_with_roles;
use super::shares::release_role;
use super::system::{ACTIVE, advance, binding, insert_binding_as};
use super::{Connection, Parameter, Row, Transaction, check_versions, finish};
use crate::{Stale, StoreError};

/// A binding of an account, with its id.
pub(crate) type Bound = (String, Binding);

/// Whether an active account holds an administrator role for good: without end, from anywhere, at any time.
pub(super) async fn keeps_administrator<C: Connection>(
    connection: &C,
    snapshot: &Snapshot,
    now: i64,
) -> Result<bool, StoreError> {
    let (roles, profiles) = snapshot.lasting_administrators();
    let dialect = connection.dialect();
    let sql = format!(
        "SELECT count(*) FROM portreeve_bindings b JOIN portreeve_users u ON u.id = b.\"user\"
         WHERE u.status = ?1 AND b.until IS NULL AND b.restricted_to IS NULL
           AND coalesce(b.\"from\", ?2) <= ?2 AND ({} OR {})",
        dialect.among(false, "b.role", "?3"),
        dialect.among(false, "b.profile", "?4"),
    );
    let parameters = [
        ACTIVE.into(),
        now.into(),
        Parameter::List(&roles),
        Parameter::List(&profiles),
    ];
    let rows = connection.ask(&sql, &parameters).await?;
    Ok(rows.first().map_or(Ok(0), |row| row.integer(0))? > 0)
}

/// Does something and sees to it that an administrator is left where there was one.
pub(super) async fn keeping_administrator<T, X: Transaction>(
    transaction: &X,
    (before, after): (&Snapshot, &Snapshot),
    now: i64,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let kept = keeps_administrator(transaction, before, now).await?;
    let done = work.await?;
    if kept && !keeps_administrator(transaction, after, now).await? {
        return Err(StoreError::LastAdministrator);
    }
    Ok(done)
}

/// The bindings of an account, in their order.
pub(crate) async fn bindings_of<C: Connection>(
    connection: &C,
    user: &str,
) -> Result<Vec<Bound>, StoreError> {
    let sql =
        "SELECT role, profile, restricted_to, \"from\", until, \"primary\", id FROM portreeve_bindings
         WHERE \"user\" = ?1 ORDER BY id";
    let rows = connection.ask(sql, &[user.into()]).await?;
    let bound = |row: &Row| Ok((row.text(6)?.to_owned(), binding(row)?));
    rows.iter().map(bound).collect()
}

/// Refuses to touch an account that can do what the caller cannot: to be asked in the transaction that sets its name,
/// address, password, status, factors or keys.
pub(crate) async fn may_touch<X: Transaction>(
    transaction: &X,
    authority: &Authority,
    user: &str,
) -> Result<(), StoreError> {
    let bound = bindings_of(transaction, user).await?;
    authority
        .may_touch(&only(&bound))
        .map_err(|_| StoreError::Beyond)
}

pub(super) fn only(bound: &[Bound]) -> Vec<Binding> {
    bound.iter().map(|(_, binding)| binding.clone()).collect()
}

pub(super) fn shown(user: &str, binding: &Binding) -> Json {
    let (role, profile) = match &binding.to {
        BoundTo::Role(role) => (Some(role), None),
        BoundTo::Profile(profile) => (None, Some(profile)),
    };
    json!({
        "user": user,
        "role": role,
        "profile": profile,
        "restricted_to": binding.restricted_to,
        "from": binding.from,
        "until": binding.until,
        "primary": binding.primary,
    })
}

pub(super) async fn stale<X: Transaction>(
    transaction: &X,
    user: &str,
) -> Result<Stale, StoreError> {
    let epoch = advance(transaction, user).await?;
    let ended = end_with_roles(transaction, user).await?;
    Ok(Stale::of(user, epoch, ended))
}

/// Binds an account. Gives the binding's id.
pub(crate) async fn bind<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Judged<Bind>>,
) -> Result<(String, Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let (operation, authority) = (
        authorized.operation().operation(),
        authorized.operation().authority(),
    );
    let Bind { user, binding, why } = operation;
    let sql = "SELECT id FROM portreeve_users WHERE id = ?1";
    if transaction.ask(sql, &[user.into()]).await?.is_empty() {
        return Err(StoreError::Gone);
    }
    let before = bindings_of(transaction, user).await?;
    authority
        .may_bind(&only(&before), binding)
        .map_err(|_| StoreError::Beyond)?;
    let by = By::caller(authorized);
    let id = new_uuid(transaction.clock(), transaction.entropy())
        .hyphenated()
        .to_string();
    transaction.mark().await?;
    let bind = async {
        if binding.primary {
            one_primary(transaction, user).await?;
        }
        let (by_whom, why) = (by.actor.as_deref(), why.as_deref());
        insert_binding_as(transaction, &id, user, binding, by_whom, why).await?;
        let done = Audited {
            action: "binding.create",
            target: &id,
            after: Some(&shown(user, binding)),
            why,
            ..Audited::default()
        };
        audit(transaction, &by, done).await?;
        Ok((id.clone(), stale(transaction, user).await?))
    };
    let result = bind.await;
    finish(transaction, result).await
}

async fn one_primary<X: Transaction>(transaction: &X, user: &str) -> Result<(), StoreError> {
    let sql = "UPDATE portreeve_bindings SET \"primary\" = 0 WHERE \"user\" = ?1";
    transaction.execute(sql, &[user.into()]).await.map(drop)
}

// Whose binding it is, all his bindings and the place of this one.
async fn find<X: Transaction>(
    transaction: &X,
    id: &str,
) -> Result<(String, Vec<Bound>, usize), StoreError> {
    let sql = "SELECT \"user\" FROM portreeve_bindings WHERE id = ?1";
    let rows = transaction.ask(sql, &[id.into()]).await?;
    let user = rows.first().ok_or(StoreError::Gone)?.text(0)?.to_owned();
    let bound = bindings_of(transaction, &user).await?;
    let place = bound.iter().position(|(known, _)| known == id);
    Ok((user, bound, place.ok_or(StoreError::Gone)?))
}

/// Gives a binding other times.
pub(crate) async fn rebind<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Judged<Rebind>>,
) -> Result<((), Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation().operation();
    let (user, before, place) = find(transaction, &operation.id).await?;
    let old = &before[place].1;
    let new = Binding {
        from: operation.from.unwrap_or(old.from),
        until: operation.until.unwrap_or(old.until),
        primary: operation.primary.unwrap_or(old.primary),
        ..old.clone()
    };
    let authority = authorized.operation().authority();
    authority
        .may_rebind(&only(&before), place, &new)
        .map_err(|_| StoreError::Beyond)?;
    let (by, snapshot) = (By::caller(authorized), authorized.snapshot());
    transaction.mark().await?;
    let change = async {
        if new.primary && !old.primary {
            one_primary(transaction, &user).await?;
        }
        let sql = "UPDATE portreeve_bindings SET \"from\" = ?2, until = ?3, \"primary\" = ?4 WHERE id = ?1";
        let primary = i64::from(new.primary);
        let parameters = [
            (&operation.id).into(),
            new.from.into(),
            new.until.into(),
            primary.into(),
        ];
        transaction.execute(sql, &parameters).await?;
        let done = Audited {
            action: "binding.change",
            target: &operation.id,
            before: Some(&shown(&user, old)),
            after: Some(&shown(&user, &new)),
            why: operation.why.as_deref(),
        };
        audit(transaction, &by, done).await?;
        Ok(((), stale(transaction, &user).await?))
    };
    let result = keeping_administrator(transaction, (snapshot, snapshot), by.at, change).await;
    finish(transaction, result).await
}

/// Ends a binding.
pub(crate) async fn unbind<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Judged<Unbind>>,
) -> Result<((), Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation().operation();
    let (user, before, place) = find(transaction, &operation.id).await?;
    let authority = authorized.operation().authority();
    authority
        .may_unbind(&only(&before), place)
        .map_err(|_| StoreError::Beyond)?;
    let (by, snapshot) = (By::caller(authorized), authorized.snapshot());
    let why = operation.why.as_deref();
    transaction.mark().await?;
    let end = async {
        end_binding(transaction, &by, &user, &before[place], why).await?;
        Ok(((), stale(transaction, &user).await?))
    };
    let result = keeping_administrator(transaction, (snapshot, snapshot), by.at, end).await;
    finish(transaction, result).await
}

/// Changes what an account is bound to, as one.
pub(crate) async fn reassign<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Judged<Reassign>>,
) -> Result<((), Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation().operation();
    let user = &operation.user;
    let sql = "SELECT id FROM portreeve_users WHERE id = ?1";
    if transaction.ask(sql, &[user.into()]).await?.is_empty() {
        return Err(StoreError::Gone);
    }
    let (by, snapshot) = (By::caller(authorized), authorized.snapshot());
    transaction.mark().await?;
    let change = async {
        each_step(
            transaction,
            &by,
            operation,
            authorized.operation().authority(),
        )
        .await?;
        Ok(((), stale(transaction, user).await?))
    };
    let result = keeping_administrator(transaction, (snapshot, snapshot), by.at, change).await;
    finish(transaction, result).await
}

// Each by itself, judged by what the ones before have left.
async fn each_step<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    operation: &Reassign,
    authority: &Authority,
) -> Result<(), StoreError> {
    let Reassign { user, why, .. } = operation;
    let why = why.as_deref();
    let mut bound = bindings_of(transaction, user).await?;
    let placed = |bound: &[Bound], id: &String| {
        let place = bound.iter().position(|(known, _)| known == id);
        place.ok_or(StoreError::Gone)
    };
    for binding in &operation.make {
        authority
            .may_bind(&only(&bound), binding)
            .map_err(|_| StoreError::Beyond)?;
        if binding.primary {
            one_primary(transaction, user).await?;
            bound.iter_mut().for_each(|(_, one)| one.primary = false);
        }
        let id = new_uuid(transaction.clock(), transaction.entropy())
            .hyphenated()
            .to_string();
        insert_binding_as(transaction, &id, user, binding, by.actor.as_deref(), why).await?;
        let done = Audited {
            action: "binding.create",
            target: &id,
            after: Some(&shown(user, binding)),
            why,
            ..Audited::default()
        };
        audit(transaction, by, done).await?;
        bound.push((id, binding.clone()));
    }
    if let Some(id) = &operation.primary {
        let place = placed(&bound, id)?;
        let old = bound[place].1.clone();
        let new = Binding {
            primary: true,
            ..old.clone()
        };
        authority
            .may_rebind(&only(&bound), place, &new)
            .map_err(|_| StoreError::Beyond)?;
        one_primary(transaction, user).await?;
        let sql = "UPDATE portreeve_bindings SET \"primary\" = 1 WHERE id = ?1";
        transaction.execute(sql, &[id.into()]).await?;
        let done = Audited {
            action: "binding.change",
            target: id,
            before: Some(&shown(user, &old)),
            after: Some(&shown(user, &new)),
            why,
        };
        audit(transaction, by, done).await?;
        bound.iter_mut().for_each(|(_, one)| one.primary = false);
        bound[place].1 = new;
    }
    for id in &operation.end {
        let place = placed(&bound, id)?;
        authority
            .may_unbind(&only(&bound), place)
            .map_err(|_| StoreError::Beyond)?;
        let gone = bound.remove(place);
        end_binding(transaction, by, user, &gone, why).await?;
    }
    Ok(())
}

pub(super) async fn end_binding<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    user: &str,
    (id, binding): &Bound,
    why: Option<&str>,
) -> Result<(), StoreError> {
    let sql = "DELETE FROM portreeve_bindings WHERE id = ?1";
    transaction.execute(sql, &[id.into()]).await?;
    let done = Audited {
        action: "binding.delete",
        target: id,
        before: Some(&shown(user, binding)),
        why,
        ..Audited::default()
    };
    audit(transaction, by, done).await
}

/// Changes roles, profiles and registration, and advances the policy's version.
pub(crate) async fn author<X: Transaction>(
    transaction: &X,
    authorized: &Authorized<Judged<Author>>,
) -> Result<((), Stale), StoreError> {
    transaction.alone().await?;
    check_versions(transaction, authorized).await?;
    let operation = authorized.operation().operation();
    let (before, after) = (authorized.snapshot(), &operation.compiled);
    if after.version() != before.version() + 1 {
        return Err(StoreError::VersionChanged);
    }
    let by = By::caller(authorized);
    transaction.mark().await?;
    let change = async {
        let mut stale = Stale {
            policy: Some(after.version()),
            ..Stale::default()
        };
        let away: Vec<BoundTo> = operation
            .changes
            .iter()
            .filter_map(Authored::falls_away)
            .collect();
        if !away.is_empty() {
            let authority = authorized.operation().authority();
            stale.epochs = release(transaction, &by, authority, operation, &away).await?;
            stale.sessions = !stale.epochs.is_empty();
        }
        for change in &operation.changes {
            write(transaction, &by, change, operation.why.as_deref()).await?;
        }
        let version = i64::try_from(after.version()).unwrap_or(i64::MAX);
        let sql = "UPDATE portreeve_policy SET version = ?1";
        transaction.execute(sql, &[version.into()]).await?;
        Ok(((), stale))
    };
    let result = keeping_administrator(transaction, (before, after), by.at, change).await;
    finish(transaction, result).await
}

/// Somebody who is bound to something.
struct Holder {
    user: String,
    name: String,
    to: BoundTo,
}

// Whoever is bound to one of these, in the order of accounts.
async fn holders<X: Transaction>(
    transaction: &X,
    of: &[BoundTo],
) -> Result<Vec<Holder>, StoreError> {
    let (mut roles, mut profiles) = (vec![], vec![]);
    for what in of {
        match what {
            BoundTo::Role(role) => roles.push(role.as_str()),
            BoundTo::Profile(profile) => profiles.push(profile.as_str()),
        }
    }
    let dialect = transaction.dialect();
    let sql = format!(
        "SELECT DISTINCT u.number, u.id, coalesce(u.username, u.email, u.\"key\"), b.role, b.profile
         FROM portreeve_bindings b JOIN portreeve_users u ON u.id = b.\"user\"
         WHERE {} OR {} ORDER BY u.number",
        dialect.among(false, "b.role", "?1"),
        dialect.among(false, "b.profile", "?2"),
    );
    let parameters = [Parameter::List(&roles), Parameter::List(&profiles)];
    let rows = transaction.ask(&sql, &parameters).await?;
    let holder = |row: &Row| {
        let to = match row.maybe_text(3) {
            Some(role) => BoundTo::Role(role.into()),
            None => BoundTo::Profile(row.text(4)?.into()),
        };
        Ok(Holder {
            user: row.text(1)?.into(),
            name: row.text(2)?.into(),
            to,
        })
    };
    rows.iter().map(holder).collect()
}

fn refuse_held(holders: &[Holder]) -> Result<(), StoreError> {
    let Some(first) = holders.first() else {
        return Ok(());
    };
    let what = match &first.to {
        BoundTo::Role(role) => format!("role '{role}'"),
        BoundTo::Profile(profile) => format!("profile '{profile}'"),
    };
    let holders = holders.iter().filter(|holder| holder.to == first.to);
    Err(StoreError::Held {
        what,
        holders: holders.map(|holder| holder.name.clone()).collect(),
    })
}

/// Refuses another policy while somebody is bound to a role or profile that would fall away with it: made again later, it
/// would give him what its new author meant for others.
pub(super) async fn refuse_policy_without_held<X: Transaction>(
    transaction: &X,
    before: &Snapshot,
    after: &Snapshot,
) -> Result<(), StoreError> {
    let roles = before
        .role_keys()
        .filter(|key| after.is_administrator(key).is_none())
        .map(|key| BoundTo::Role(key.to_string()));
    let profiles = before
        .profile_keys()
        .filter(|key| after.profile_has_administrator(key).is_none())
        .map(|key| BoundTo::Profile(key.clone()));
    let away: Vec<BoundTo> = roles.chain(profiles).collect();
    if away.is_empty() {
        return Ok(());
    }
    refuse_held(&holders(transaction, &away).await?)
}

// Takes what falls away from whoever holds it, or refuses while somebody does: made again later, it would give him what
// its new author meant for others.
async fn release<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    authority: &Authority,
    operation: &Author,
    away: &[BoundTo],
) -> Result<Vec<(Arc<str>, u64)>, StoreError> {
    let holders = holders(transaction, away).await?;
    if !operation.unbind {
        refuse_held(&holders)?;
    }
    let mut users: Vec<&str> = holders.iter().map(|holder| &*holder.user).collect();
    users.dedup();
    let mut epochs = vec![];
    for user in users {
        let mut bound = bindings_of(transaction, user).await?;
        while let Some(place) = bound.iter().position(|(_, one)| away.contains(&one.to)) {
            authority
                .may_unbind(&only(&bound), place)
                .map_err(|_| StoreError::Beyond)?;
            let gone = bound.remove(place);
            end_binding(transaction, by, user, &gone, operation.why.as_deref()).await?;
        }
        epochs.push((Arc::from(user), advance(transaction, user).await?));
        end_with_roles(transaction, user).await?;
    }
    Ok(epochs)
}

async fn write<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    change: &Authored,
    why: Option<&str>,
) -> Result<(), StoreError> {
    let (action, before, after) = match change {
        Authored::Role(old, new) => {
            let definition = role_to_json(new);
            let words = [&new.key, &new.label, &new.description];
            put(transaction, "portreeve_roles", words, &definition).await?;
            let old = old.as_ref().map(|role| role_to_json(role));
            (
                if old.is_some() {
                    "role.change"
                } else {
                    "role.create"
                },
                old,
                Some(definition),
            )
        }
        Authored::NoRole(old) => {
            take(transaction, "portreeve_roles", &old.key).await?;
            release_role(transaction, by, &old.key).await?;
            ("role.delete", Some(role_to_json(old)), None)
        }
        Authored::Profile(old, new) => {
            let definition = profile_to_json(new);
            let words = [&new.key, &new.label, &new.description];
            put(transaction, "portreeve_profiles", words, &definition).await?;
            let old = old.as_ref().map(|profile| profile_to_json(profile));
            (
                if old.is_some() {
                    "profile.change"
                } else {
                    "profile.create"
                },
                old,
                Some(definition),
            )
        }
        Authored::NoProfile(old) => {
            take(transaction, "portreeve_profiles", &old.key).await?;
            ("profile.delete", Some(profile_to_json(old)), None)
        }
        Authored::Registration(old, new) => {
            store_registration(transaction, new).await?;
            ("registration.change", Some(json!(old)), Some(json!(new)))
        }
    };
    let done = Audited {
        action,
        target: change.target(),
        before: before.as_ref(),
        after: after.as_ref(),
        why,
    };
    audit(transaction, by, done).await
}

async fn put<X: Transaction>(
    transaction: &X,
    table: &str,
    [key, label, description]: [&String; 3],
    definition: &Json,
) -> Result<(), StoreError> {
    let definition = definition.to_string();
    let parameters = [
        key.into(),
        label.into(),
        description.into(),
        (&definition).into(),
    ];
    let sql = format!(
        "UPDATE {table} SET label = ?2, description = ?3, definition = ?4 WHERE \"key\" = ?1"
    );
    if transaction.execute(&sql, &parameters).await? > 0 {
        return Ok(());
    }
    let id = new_uuid(transaction.clock(), transaction.entropy())
        .hyphenated()
        .to_string();
    let sql = format!(
        "INSERT INTO {table} (\"key\", label, description, definition, position, id)
         VALUES (?1, ?2, ?3, ?4, (SELECT coalesce(max(position), -1) + 1 FROM {table}), ?5)"
    );
    let mut parameters = parameters.to_vec();
    parameters.push((&id).into());
    transaction.execute(&sql, &parameters).await.map(drop)
}

async fn take<X: Transaction>(transaction: &X, table: &str, key: &str) -> Result<(), StoreError> {
    let sql = format!("DELETE FROM {table} WHERE \"key\" = ?1");
    transaction.execute(&sql, &[key.into()]).await.map(drop)
}

/// A role as it is stored; none where it is not, as a built-in one may be.
pub(crate) async fn role<C: Connection>(
    connection: &C,
    key: &str,
) -> Result<Option<RoleDefinition>, StoreError> {
    let sql = "SELECT \"key\", definition FROM portreeve_roles WHERE \"key\" = ?1";
    let rows = connection.ask(sql, &[key.into()]).await?;
    Ok(parts(parsed(rows)?, role_from_json)?.pop())
}

/// The roles that are stored, in their order.
pub(crate) async fn roles<C: Connection>(
    connection: &C,
) -> Result<Vec<RoleDefinition>, StoreError> {
    let sql = "SELECT \"key\", definition FROM portreeve_roles ORDER BY position";
    parts(parsed(connection.ask(sql, &[]).await?)?, role_from_json)
}

/// The profiles, in their order.
pub(crate) async fn profiles<C: Connection>(
    connection: &C,
) -> Result<Vec<ProfileDefinition>, StoreError> {
    let sql = "SELECT \"key\", definition FROM portreeve_profiles ORDER BY position";
    parts(parsed(connection.ask(sql, &[]).await?)?, profile_from_json)
}
