//! What somebody may do, and through what he holds it.

use std::collections::BTreeMap;

use portreeve_gate::Caller;
use portreeve_model::Collection;
use portreeve_policy::{Effect, RequestFacts};
use serde::Serialize;

use super::{Accounts, Paths, PermissionPath, place, rights};
use crate::me::all_actions;
use crate::{Me, Portreeve, ServiceError};

/// What somebody may do, as [`Portreeve::me`] says it, and through what.
#[derive(Clone, Debug, Serialize)]
pub struct UserRights {
    /// The rights. Of the account, what the asker may read.
    #[serde(flatten)]
    pub me: Me,
    /// The permissions behind each action that is possible, by collection.
    pub paths: BTreeMap<String, ActionPaths>,
    /// The permissions behind each action that is not on records.
    pub action_paths: ActionPaths,
}

/// The permissions that count for an action, by action: allows first.
pub type ActionPaths = BTreeMap<String, Vec<PermissionPath>>;

impl Portreeve {
    /// What a user may do. For those who hold `policy.simulate` or `policy.explain` and may read his account; to everybody
    /// else there is no such user.
    pub async fn user_rights(
        &self,
        caller: &Caller,
        user: &str,
    ) -> Result<UserRights, ServiceError> {
        let may = |action| self.may(caller, action).is_ok();
        let unknown = || ServiceError::UnknownUser(user.into());
        if !may("policy.simulate") && !may("policy.explain") {
            return Err(unknown());
        }
        let id = self.find_user(caller, user).await?;
        let system = self.store.system();
        let account = system.credential_facts(&id).await?.ok_or_else(unknown)?;
        let operator = self.operator();
        let facts = self.store.facts(&self.gate.explain(&operator, None)?);
        let whom = self
            .gate
            .admit(&account.facts, self.now(), RequestFacts::default());
        let versions = [&whom, &operator].map(|caller| caller.snapshot().version());
        if versions != [caller.snapshot().version(); 2] {
            return Err(ServiceError::PolicyChanged);
        }
        let accounts = Accounts::new(self, caller, &facts)?;
        let shown = accounts.shown(&id).await?.ok_or_else(unknown)?;
        let mut me = self.me(&whom);
        if let Some(user) = &mut me.user {
            let read = |name: &str| shown.contains_key(name);
            user.key = user.key.take().filter(|_| read("key"));
            user.number = user.number.filter(|_| read("number"));
            user.username = user.username.take().filter(|_| read("username"));
            user.email = user.email.take().filter(|_| read("email"));
        }
        let paths = Paths::new(&whom, &account.facts.bindings);
        let catalog = whom.snapshot().catalog();
        let of_collection = |known: &crate::CollectionRights| {
            let collection = catalog.find_text(&known.name);
            let actions = known.actions.iter().map(|(action, _)| action.as_str());
            let permissions = permissions(&paths, collection.map(|found| &**found), actions);
            (known.name.clone(), permissions)
        };
        let by_collection = me.collections.iter().map(of_collection).collect();
        let special = me.actions.iter().map(String::as_str);
        let action_paths = permissions(&paths, None, special);
        Ok(UserRights {
            paths: by_collection,
            action_paths,
            me,
        })
    }
}

fn permissions<'a>(
    paths: &Paths<'_>,
    collection: Option<&Collection>,
    actions: impl Iterator<Item = &'a str>,
) -> ActionPaths {
    let known = paths.caller.snapshot().actions();
    let of_action = |name: &'a str| {
        let action = all_actions(known).find(|action| known.name(*action) == name)?;
        let held = rights(paths.caller, paths.caller.roles(), action, collection);
        let mut found: Vec<PermissionPath> = vec![];
        for layer in held.layers() {
            let allows = layer.effective_allows().into_iter();
            for grant in allows.chain(layer.effective_denies()) {
                let effect = match grant.body.effect {
                    Effect::Allow => "allow",
                    Effect::Deny => "deny",
                };
                let permission = place(grant.position);
                let path = paths.path(action, collection, &grant.role, permission, effect);
                if !found.contains(&path) {
                    found.push(path);
                }
            }
        }
        Some((name.to_owned(), found))
    };
    actions.filter_map(of_action).collect()
}
