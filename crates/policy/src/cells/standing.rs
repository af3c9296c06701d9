//! What a role says of one action at one place, to requests for one operation of a face.

use portreeve_model::{Collection, Rule};

use super::coverage::Names;
use super::request::holds;
use super::{ActionTable, At, WireName};
use crate::{ActionId, Effect, Permission, RoleDefinition};

/// What stands in a cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// Not allowed.
    Denied,
    /// Allowed, with limits: some records, fields, values, collections or moments.
    Limited,
    /// Allowed.
    Allowed,
}

/// A role as it looks through one operation of a face.
#[derive(Clone, Copy)]
pub(super) struct Look<'a> {
    pub names: Names<'a>,
    pub role: &'a RoleDefinition,
    pub face: &'a str,
    pub operation: &'a str,
}

impl<'a> Look<'a> {
    pub fn new(
        names: Names<'a>,
        role: &'a RoleDefinition,
        table: &ActionTable,
        action: WireName,
    ) -> Self {
        Self {
            names,
            role,
            face: table.face(),
            operation: table.name(action),
        }
    }

    /// Whether the statement speaks of requests for this operation; `None`: at times.
    pub fn speaks(&self, permission: &Permission) -> Option<bool> {
        let via = permission.via.as_ref().is_none_or(|via| {
            via.face == self.face
                && (via.operations.is_empty()
                    || via.operations.iter().any(|name| name == self.operation))
        });
        if !via {
            return Some(false);
        }
        let when = permission.when.as_ref();
        when.map_or(Some(true), |when| holds(when, self.face, self.operation))
    }

    /// What the role says of an action there.
    pub fn standing(&self, action: ActionId, at: At) -> Standing {
        match at {
            At::Nothing => self.of(|one| self.names.has_nothing(one, action)),
            At::Collection(id) => self.on(action, self.names.catalog.get(id)),
            At::Anywhere => {
                let later =
                    self.of(|one| self.names.has_later(one) && self.names.has_action(one, action));
                let there = self.names.ordinary();
                let all = there.map(|collection| self.on(action, collection));
                let (mut least, mut most) = (later, later);
                for standing in all {
                    least = least.min(standing);
                    most = most.max(standing);
                }
                match (least, most) {
                    (Standing::Allowed, _) => Standing::Allowed,
                    (_, Standing::Denied) => Standing::Denied,
                    _ => Standing::Limited,
                }
            }
        }
    }

    /// On one collection.
    pub fn on(&self, action: ActionId, collection: &Collection) -> Standing {
        self.of(|one| {
            self.names.has_action(one, action) && self.names.has_collection(one, collection)
        })
    }

    fn of(&self, covers: impl Fn(&Permission) -> bool) -> Standing {
        if self.role.administrator {
            return Standing::Allowed;
        }
        let mut covered = false;
        let (mut best, mut limited) = (Standing::Denied, false);
        for permission in self.role.permissions.iter().filter(|one| covers(one)) {
            covered = true;
            let speaks = self.speaks(permission);
            if speaks == Some(false) {
                continue;
            }
            let always = speaks == Some(true);
            match permission.effect {
                Effect::Allow if grants_nothing(permission) => {}
                Effect::Allow if always && is_unlimited(permission) => best = Standing::Allowed,
                Effect::Allow => best = best.max(Standing::Limited),
                Effect::Deny if always && denies_all(permission) => return Standing::Denied,
                Effect::Deny => limited = true,
            }
        }
        if !covered && self.role.implicit_allow {
            best = Standing::Allowed;
        }
        // Anything that is true of some holders at some moments only.
        if limited || self.role.when.is_some() {
            best = best.min(Standing::Limited);
        }
        best
    }
}

fn grants_nothing(permission: &Permission) -> bool {
    permission.fields.as_ref().is_some_and(Vec::is_empty)
        || permission.rows == Some(Rule::Constant(false))
        || permission.check == Some(Rule::Constant(false))
}

fn is_true(rule: &Option<Rule>) -> bool {
    rule.as_ref()
        .is_none_or(|rule| *rule == Rule::Constant(true))
}

fn is_unlimited(permission: &Permission) -> bool {
    is_true(&permission.rows)
        && is_true(&permission.check)
        && permission.fields.is_none()
        && permission.presets.is_empty()
        && permission.defaults.is_empty()
}

// A check of `true` holds after every write; the engine asks it all the same.
fn denies_all(permission: &Permission) -> bool {
    is_true(&permission.rows) && permission.check.is_none() && permission.fields.is_none()
}
