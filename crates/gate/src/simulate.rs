//! Looking through another one's eyes, and asking who can.
//!
//! [`Simulated`] is not a [`Caller`] and cannot be turned into one: it only opens [`Eyes`], which the reading methods of
//! the [`Gate`] take. What writes, subscribes or administers takes a `&Caller`, so none of it can be asked for:
//!
//! ```compile_fail
//! fn write(gate: &portreeve_gate::Gate, as_another: &portreeve_gate::Simulated, name: &portreeve_model::CollectionName) {
//!     let _ = gate.delete(as_another, name, "1");
//! }
//! ```
//! ```compile_fail
//! fn turn(as_another: &portreeve_gate::Simulated) -> &portreeve_gate::Caller {
//!     as_another.into()
//! }
//! ```

use std::sync::Arc;

use portreeve_model::{Collection, CollectionId, FieldId};
use portreeve_policy::{
    Access, ActionId, Binding, CREATE_ONE, Context, READ_COUNT, READ_MANY, READ_ONE, RoleSet,
    Snapshot, UPDATE_ONE,
};

use crate::{Authorized, Caller, Gate, Principal, Refused, Shared};

/// What an answer to a read depends on: a caller's own eyes, or those he looks through.
#[derive(Clone, Copy)]
pub struct Eyes<'a>(&'a Caller);

impl<'a> From<&'a Caller> for Eyes<'a> {
    fn from(caller: &'a Caller) -> Self {
        Self(caller)
    }
}

impl<'a> From<&'a Simulated> for Eyes<'a> {
    fn from(simulated: &'a Simulated) -> Self {
        Self(&simulated.caller)
    }
}

impl<'a> From<&'a Shared> for Eyes<'a> {
    fn from(shared: &'a Shared) -> Self {
        Self(shared.caller())
    }
}

impl<'a> Eyes<'a> {
    pub(crate) fn caller(self) -> &'a Caller {
        self.0
    }

    /// Whose they are.
    pub fn principal(self) -> &'a Principal {
        self.0.principal()
    }

    /// His id, where there is a user.
    pub fn user(self) -> Option<&'a Arc<str>> {
        self.0.user()
    }

    /// The roles in force.
    pub fn roles(self) -> &'a Arc<RoleSet> {
        self.0.roles()
    }

    /// Whether he has less than his own rights.
    pub fn is_narrowed(self) -> bool {
        self.0.is_narrowed()
    }

    /// The facts of the request.
    pub fn context(self) -> &'a Context {
        self.0.context()
    }

    /// The policy it is judged by.
    pub fn snapshot(self) -> &'a Arc<Snapshot> {
        self.0.snapshot()
    }
}

/// Somebody whose eyes a caller looks through. It comes out of a [`Simulate`] that was authorized.
#[derive(Clone)]
pub struct Simulated {
    caller: Caller,
    label: Arc<str>,
}

impl Simulated {
    /// Who it is: `user:<id>`, `role:<key>,…` or `anonymous`.
    pub fn label(&self) -> &str {
        &self.label
    }
}

/// Look through somebody's eyes. The store writes down who did before it hands out whose eyes they are.
pub struct Simulate {
    simulated: Simulated,
}

impl Simulate {
    /// Whose eyes. For the store, once it is written down.
    pub fn simulated(&self) -> &Simulated {
        &self.simulated
    }
}

/// Ask who may do something: looks at every account and its bindings.
pub struct WhoCan;

impl Gate {
    /// Whoever holds these bindings and has no account.
    pub fn holder(&self, like: &Caller, bindings: &[Binding]) -> Caller {
        let admission = like.snapshot.admit(bindings, like.context.now);
        let mut caller = self.anonymous(like.context.now, like.context.request.clone());
        caller.context.roles = Arc::clone(admission.roles.keys());
        caller.roles = admission.roles;
        caller.valid_until = admission.valid_until;
        caller.snapshot = Arc::clone(&like.snapshot);
        caller
    }

    /// To look through somebody's eyes, in this request. Takes `policy.simulate`, and the right to see whatever he sees:
    /// administrators have it; of others, those to whom it is open without a condition. Out of sight is
    /// [`Refused::NotFound`].
    pub fn simulate(
        &self,
        caller: &Caller,
        whom: Caller,
        label: String,
    ) -> Result<Authorized<Simulate>, Refused> {
        self.may(caller, "policy.simulate")?;
        if !self.sees_all_of(caller, &whom) {
            return Err(Refused::NotFound);
        }
        let simulated = Simulated {
            caller: whom,
            label: label.into(),
        };
        Ok(self.proof(caller, Simulate { simulated }))
    }

    /// Who may do something.
    pub fn who_can(&self, caller: &Caller) -> Result<Authorized<WhoCan>, Refused> {
        self.may(caller, "policy.who")?;
        Ok(self.proof(caller, WhoCan))
    }

    /// Whether a caller sees all that another one sees, whatever the records are. Rules that name `$user` mean somebody
    /// else for each, so that the same text is no proof: what counts is what a caller sees without any condition.
    pub fn sees_all_of(&self, caller: &Caller, other: &Caller) -> bool {
        // Everybody can leave his token out.
        let nobody = other.principal == Principal::Anonymous
            && other.roles.id() == other.snapshot.admit_anonymous().id();
        if nobody || self.is_administrator(caller) {
            return true;
        }
        if !Arc::ptr_eq(&caller.snapshot, &other.snapshot) {
            return false;
        }
        let catalog = caller.snapshot.catalog();
        let accounts = catalog.find_text("users");
        let sees_account = other.user().is_none()
            || accounts.is_some_and(|users| {
                ["id", "key", "number", "username", "email"]
                    .iter()
                    .filter_map(|name| users.find_field(name))
                    .all(|field| self.sees_everywhere(caller, users, READ_ONE, Some(field)))
            });
        sees_account
            && catalog
                .iter()
                .filter(|collection| self.knows(other, collection.id))
                .all(|collection| self.covers(caller, other, collection))
    }

    /// Whether a caller sees every record there is of these collections, and every field of them.
    pub fn sees_all_in(&self, caller: &Caller, collections: &[CollectionId]) -> bool {
        let catalog = caller.snapshot.catalog();
        self.is_administrator(caller)
            || collections.iter().all(|id| {
                let collection = catalog.get(*id);
                let mut fields = collection.field_ids();
                fields.all(|field| self.sees_everywhere(caller, collection, READ_ONE, Some(field)))
            })
    }

    // Without a condition, and one field of it too.
    fn sees_everywhere(
        &self,
        caller: &Caller,
        collection: &Collection,
        action: ActionId,
        field: Option<FieldId>,
    ) -> bool {
        let rights = self.rights(caller, collection.id, action);
        *rights.reach() == Access::Always
            && field.is_none_or(|field| *rights.field(collection, field) == Access::Always)
    }

    fn covers(&self, caller: &Caller, other: &Caller, collection: &Collection) -> bool {
        if !self.knows(caller, collection.id) {
            return false;
        }
        let reads = [READ_ONE, READ_MANY, READ_COUNT].into_iter().all(|action| {
            let theirs = self.rights(other, collection.id, action);
            if *theirs.reach() == Access::Never {
                return true;
            }
            let counts =
                action == READ_COUNT && self.sees_everywhere(caller, collection, READ_MANY, None);
            if !counts && !self.sees_everywhere(caller, collection, action, None) {
                return false;
            }
            action == READ_COUNT
                || collection.field_ids().all(|field| {
                    *theirs.field(collection, field) == Access::Never
                        || self.sees_everywhere(caller, collection, action, Some(field))
                })
        });
        // What can be written and not read is still told of.
        reads
            && collection.field_ids().all(|field| {
                !self.names(other, collection, field) || self.names(caller, collection, field)
            })
    }

    // Whether a field exists for a caller.
    fn names(&self, caller: &Caller, collection: &Collection, field: FieldId) -> bool {
        let rights = |action| self.rights(caller, collection.id, action);
        [READ_ONE, READ_MANY]
            .into_iter()
            .any(|action| *rights(action).field(collection, field) != Access::Never)
            || [CREATE_ONE, UPDATE_ONE].into_iter().any(|action| {
                let write = rights(action);
                write.allows_something()
                    && write.layers().iter().all(|layer| {
                        let allows = layer.effective_allows();
                        allows.iter().any(|grant| grant.body.fields.contains(field))
                    })
            })
    }
}
