//! Rights over rights: who may hand out, author and take away what.

use std::sync::Arc;

use portreeve_policy::{Beyond, Binding, BoundTo, Holding, Snapshot, Writer};

use crate::{
    Author, Authored, Authorized, Bind, Caller, Gate, Judged, Principal, Reassign, Rebind, Refused,
    Unbind,
};

/// What one caller may do about the rights of others, bound to the policy and the epoch it was made under: whoever uses
/// it in a transaction asserts both there.
#[derive(Clone)]
pub struct Authority {
    // None: an administrator, who need not be asked.
    writer: Option<Arc<Writer>>,
}

impl Authority {
    /// Whether these bindings make an account whose name, address, password, status or factors the caller may set: one
    /// that can do nothing he cannot. Ask it with what is stored, in the transaction that sets them.
    pub fn may_touch(&self, bindings: &[Binding]) -> Result<(), Refused> {
        self.ask(|writer| writer.may_touch(bindings))
    }

    /// Whether the caller may make an account with these bindings.
    pub fn may_make(&self, bindings: &[Binding]) -> Result<(), Refused> {
        self.ask(|writer| writer.may_make(bindings))
    }

    /// Whether the caller may bind an account with these bindings to one more.
    pub fn may_bind(&self, before: &[Binding], binding: &Binding) -> Result<(), Refused> {
        self.ask(|writer| writer.may_bind(before, binding))
    }

    /// Whether the caller may make another binding of the one at this place.
    pub fn may_rebind(
        &self,
        before: &[Binding],
        place: usize,
        binding: &Binding,
    ) -> Result<(), Refused> {
        self.ask(|writer| writer.may_change(before, place, binding))
    }

    /// Whether the caller may end the binding at this place.
    pub fn may_unbind(&self, before: &[Binding], place: usize) -> Result<(), Refused> {
        self.ask(|writer| writer.may_unbind(before, place))
    }

    /// Whether the caller may have others read as a role of this name does. One that is not there is answered like one that
    /// goes beyond what he holds.
    pub(crate) fn may_lend(&self, snapshot: &Arc<Snapshot>, role: &str) -> Result<(), Refused> {
        if snapshot.role_alone(role).is_none() {
            return Err(Refused::Beyond(None));
        }
        let what = BoundTo::Role(role.into());
        self.ask(|writer| writer.contains(&Holding::of(snapshot, &what)))
    }

    // What somebody else holds is not told of.
    fn ask(&self, question: impl FnOnce(&Writer) -> Result<(), Beyond>) -> Result<(), Refused> {
        match &self.writer {
            None => Ok(()),
            Some(writer) => question(writer).map_err(|_| Refused::Beyond(None)),
        }
    }
}

impl Gate {
    /// What a caller may do about the rights of others.
    pub fn authority(&self, caller: &Caller) -> Authority {
        if self.is_administrator(caller) {
            return Authority { writer: None };
        }
        let (snapshot, now) = (&caller.snapshot, caller.context.now);
        let own = match caller.principal {
            Principal::User(_) => Holding::of_account(snapshot, &caller.bindings, now),
            Principal::Anonymous | Principal::Share { .. } | Principal::Operator => {
                Holding::of_roles(snapshot, &caller.roles)
            }
        };
        let narrowing = caller.narrowing.iter();
        let narrowing = narrowing.map(|roles| Holding::of_roles(snapshot, roles));
        Authority {
            writer: Some(Arc::new(Writer::new(
                own,
                narrowing,
                now,
                self.development(),
            ))),
        }
    }

    /// Other roles, profiles or registration.
    pub fn author(
        &self,
        caller: &Caller,
        operation: Author,
    ) -> Result<Authorized<Judged<Author>>, Refused> {
        self.may(caller, "access.author")?;
        let authority = self.authority(caller);
        if let Some(writer) = &authority.writer {
            writer
                .may_author(&operation.compiled)
                .map_err(|beyond| Refused::Beyond(Some(beyond.to_string())))?;
            if operation.changes.iter().any(widens_beside_permissions) {
                return Err(Refused::Beyond(Some(
                    "the second factor and the console are for administrators to give up".into(),
                )));
            }
        }
        Ok(self.judged(caller, operation, authority))
    }

    /// One more binding of an account.
    pub fn bind(
        &self,
        caller: &Caller,
        operation: Bind,
    ) -> Result<Authorized<Judged<Bind>>, Refused> {
        self.may(caller, "access.grant")?;
        let authority = self.authority(caller);
        Ok(self.judged(caller, operation, authority))
    }

    /// Other times of a binding. Whoever may shorten it may end it.
    pub fn rebind(
        &self,
        caller: &Caller,
        operation: Rebind,
    ) -> Result<Authorized<Judged<Rebind>>, Refused> {
        self.may(caller, "access.grant")?;
        if operation.from.is_some() || operation.until.is_some() {
            self.may(caller, "access.revoke")?;
        }
        let authority = self.authority(caller);
        Ok(self.judged(caller, operation, authority))
    }

    /// One binding less.
    pub fn unbind(
        &self,
        caller: &Caller,
        operation: Unbind,
    ) -> Result<Authorized<Judged<Unbind>>, Refused> {
        self.may(caller, "access.revoke")?;
        let authority = self.authority(caller);
        Ok(self.judged(caller, operation, authority))
    }

    /// Other bindings of an account.
    pub fn reassign(
        &self,
        caller: &Caller,
        operation: Reassign,
    ) -> Result<Authorized<Judged<Reassign>>, Refused> {
        if !operation.make.is_empty() || operation.primary.is_some() {
            self.may(caller, "access.grant")?;
        }
        if !operation.end.is_empty() {
            self.may(caller, "access.revoke")?;
        }
        let authority = self.authority(caller);
        Ok(self.judged(caller, operation, authority))
    }

    pub(crate) fn judged<O>(
        &self,
        caller: &Caller,
        operation: O,
        authority: Authority,
    ) -> Authorized<Judged<O>> {
        self.proof(
            caller,
            Judged {
                operation,
                authority,
            },
        )
    }
}

// What a role says beside its permissions.
fn widens_beside_permissions(change: &Authored) -> bool {
    match change {
        Authored::Role(before, after) => {
            let (tfa, console) = before
                .as_ref()
                .map_or((false, false), |role| (role.enforce_tfa, role.app_access));
            tfa && !after.enforce_tfa || !console && after.app_access
        }
        Authored::NoRole(role) => role.enforce_tfa,
        _ => false,
    }
}
