//! Bindings of accounts as a document puts them, within the transaction that puts it in force.

use portreeve_gate::{AccountRebinding, Authority};
use portreeve_model::new_uuid;
use portreeve_policy::Binding;

use super::Transaction;
use super::access::{Bound, bindings_of, end_binding, only, shown, stale};
use super::audit::{Audited, By, audit};
use super::system::insert_binding_as;
use crate::{Stale, StoreError};

/// Has the bindings of these accounts end, change and begin. Each step is judged as if it were done alone.
pub(super) async fn apply<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    authority: &Authority,
    accounts: &[AccountRebinding],
) -> Result<Stale, StoreError> {
    let mut all = Stale::default();
    for account in accounts {
        // What was planned was planned for what the account was bound to then.
        if transaction.epoch(&account.user).await? != account.epoch {
            return Err(StoreError::VersionChanged);
        }
        let mut bound = bindings_of(transaction, &account.user).await?;
        for id in &account.end {
            let place = place(&bound, id)?;
            authority
                .may_unbind(&only(&bound), place)
                .map_err(|_| StoreError::Beyond)?;
            let gone = bound.remove(place);
            end_binding(transaction, by, &account.user, &gone, None).await?;
        }
        for (id, new) in &account.change {
            let place = place(&bound, id)?;
            authority
                .may_rebind(&only(&bound), place, new)
                .map_err(|_| StoreError::Beyond)?;
            change(transaction, by, &account.user, &bound[place], new).await?;
            bound[place].1 = new.clone();
        }
        for new in &account.make {
            authority
                .may_bind(&only(&bound), new)
                .map_err(|_| StoreError::Beyond)?;
            let id = make(transaction, by, &account.user, new).await?;
            bound.push((id, new.clone()));
        }
        let one = stale(transaction, &account.user).await?;
        all.epochs.extend(one.epochs);
        all.sessions |= one.sessions;
    }
    Ok(all)
}

fn place(bound: &[Bound], id: &str) -> Result<usize, StoreError> {
    let place = bound.iter().position(|(known, _)| known == id);
    place.ok_or(StoreError::VersionChanged)
}

async fn change<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    user: &str,
    (id, old): &Bound,
    new: &Binding,
) -> Result<(), StoreError> {
    let sql =
        "UPDATE portreeve_bindings SET \"from\" = ?2, until = ?3, \"primary\" = ?4 WHERE id = ?1";
    let parameters = [
        id.into(),
        new.from.into(),
        new.until.into(),
        i64::from(new.primary).into(),
    ];
    transaction.execute(sql, &parameters).await?;
    let done = Audited {
        action: "binding.change",
        target: id,
        before: Some(&shown(user, old)),
        after: Some(&shown(user, new)),
        why: None,
    };
    audit(transaction, by, done).await
}

async fn make<X: Transaction>(
    transaction: &X,
    by: &By<'_>,
    user: &str,
    new: &Binding,
) -> Result<String, StoreError> {
    let id = new_uuid(transaction.clock(), transaction.entropy())
        .hyphenated()
        .to_string();
    insert_binding_as(transaction, &id, user, new, by.actor.as_deref(), None).await?;
    let done = Audited {
        action: "binding.create",
        target: &id,
        after: Some(&shown(user, new)),
        ..Audited::default()
    };
    audit(transaction, by, done).await?;
    Ok(id)
}
