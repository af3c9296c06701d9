//! Operations that have mail sent: invitations, changes of one's address, the words of mails.

use portreeve_model::{FieldDefault, FieldId};
use portreeve_policy::{
    Binding, CREATE_ONE, Facts, Grant, Layer, Record, SYSTEM_COLLECTIONS, Subject, eval,
};

use crate::{Authority, Authorized, Caller, CreateUser, Gate, Refused, UserCreation};

/// Invite somebody: an account that waits for him, and a mail.
pub struct Invite {
    /// The account, which has an address and no password. Its key and id are not used where somebody is invited once more.
    pub user: CreateUser,
    /// Who invites, where it is a user: what he may then is asked again when the invitation is accepted.
    pub inviter: Option<String>,
    /// The page the link leads to, where one was chosen.
    pub link: Option<String>,
}

/// An invitation that may be sent.
pub struct Invited {
    pub(crate) creation: UserCreation,
    pub(crate) authority: Authority,
    pub(crate) inviter: Option<String>,
    pub(crate) link: Option<String>,
}

impl Invited {
    /// The account, which is made unless it is there already.
    pub fn creation(&self) -> &UserCreation {
        &self.creation
    }

    /// What whoever invites may do about the rights of an account that is there already.
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Who invites, where it is a user.
    pub fn inviter(&self) -> Option<&str> {
        self.inviter.as_deref()
    }

    /// The page the link leads to, where one was chosen.
    pub fn link(&self) -> Option<&str> {
        self.link.as_deref()
    }
}

/// Put another address in the place of one's own, once it is confirmed.
pub struct ChangeEmail {
    /// The caller's account.
    pub user: String,
    /// The new address.
    pub email: String,
    /// The hash that his password was verified with.
    pub verified: String,
    /// The page the link leads to, where one was chosen.
    pub link: Option<String>,
}

/// Own words for a kind of mail.
pub struct SetTemplate {
    /// The kind.
    pub name: String,
    /// One line.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML, where there is that.
    pub html: Option<String>,
}

/// Back to the built-in words.
pub struct RemoveTemplate {
    /// The kind.
    pub name: String,
}

/// Look at the words of mails.
pub struct ListTemplates;

impl Gate {
    /// An invitation.
    pub fn invite(
        &self,
        caller: &Caller,
        operation: Invite,
    ) -> Result<Authorized<Invited>, Refused> {
        let invited = Invited {
            creation: self.create_user(caller, operation.user)?.operation,
            authority: self.authority(caller),
            inviter: operation.inviter,
            link: operation.link,
        };
        Ok(self.proof(caller, invited))
    }

    /// Whether this caller may invite somebody to be bound to these: whoever may make an account that is, `chosen` where that
    /// is something else than everybody who comes is bound to. Asked when he invites, and when it is accepted of what he may
    /// then.
    pub fn may_invite(
        &self,
        caller: &Caller,
        bindings: &[Binding],
        chosen: bool,
    ) -> Result<(), Refused> {
        self.may_create_users(caller, false)?;
        if chosen {
            self.may(caller, "access.grant")?;
        }
        if self.may_hand_out(caller, bindings) {
            Ok(())
        } else {
            Err(Refused::Beyond(None))
        }
    }

    /// Whether a caller could make this account as it is stored: its address and its own columns, field by field, by what
    /// he may now.
    pub fn covers_creation(&self, caller: &Caller, account: &Record, facts: &dyn Facts) -> bool {
        let Some(users) = caller.snapshot().catalog().find_text("users") else {
            return false;
        };
        let said: Vec<FieldId> = users
            .field_ids()
            .filter(|id| {
                let (field, value) = (users.field(*id), account.get(*id));
                let own = !is_ours(&field.name) || &*field.name == "email";
                let default = matches!(&field.default, Some(FieldDefault::Value(default)) if default == value);
                own && !value.is_null() && !default
            })
            .collect();
        let holds = |grant: &Grant| {
            let conditions = [&grant.body.rows, &grant.body.check].into_iter().flatten();
            let truths = conditions
                .map(|condition| eval(condition, Subject::read(account), caller.context(), facts));
            truths.collect::<Vec<_>>()
        };
        let covers = |layer: &Layer| {
            let allows = layer.effective_allows();
            let allowed = |field: FieldId| {
                allows.iter().any(|grant| {
                    let truths = holds(grant);
                    grant.body.fields.contains(field) && truths.iter().all(|t| *t == Some(true))
                })
            };
            // A deny holds unless it is false.
            let denied = layer.effective_denies().iter().any(|grant| {
                let named = said.iter().any(|field| grant.body.fields.contains(*field));
                named && holds(grant).iter().all(|truth| *truth != Some(false))
            });
            said.iter().all(|field| allowed(*field)) && !denied
        };
        let rights = self.rights(caller, users.id, CREATE_ONE);
        rights.allows_something() && rights.layers().iter().all(covers)
    }

    /// Whether this caller may change his own account.
    pub fn may_change_own_account(&self, caller: &Caller) -> Result<(), Refused> {
        match caller.user() {
            Some(_) => self.may(caller, "account.update"),
            None => Err(Refused::Forbidden),
        }
    }

    /// Another address for the caller's own account.
    pub fn change_email(
        &self,
        caller: &Caller,
        operation: ChangeEmail,
    ) -> Result<Authorized<ChangeEmail>, Refused> {
        self.may_change_own_account(caller)?;
        let own = caller.user().is_some_and(|user| **user == *operation.user);
        if !own {
            return Err(Refused::Forbidden);
        }
        Ok(self.proof(caller, operation))
    }

    /// Own words for a kind of mail. For administrators: words can send the code in them wherever their author likes.
    pub fn set_template(
        &self,
        caller: &Caller,
        operation: SetTemplate,
    ) -> Result<Authorized<SetTemplate>, Refused> {
        self.administrator(caller)?;
        Ok(self.proof(caller, operation))
    }

    /// Back to the built-in words.
    pub fn remove_template(
        &self,
        caller: &Caller,
        operation: RemoveTemplate,
    ) -> Result<Authorized<RemoveTemplate>, Refused> {
        self.administrator(caller)?;
        Ok(self.proof(caller, operation))
    }

    /// The words of mails.
    pub fn list_templates(&self, caller: &Caller) -> Result<Authorized<ListTemplates>, Refused> {
        self.may(caller, "server.settings")?;
        Ok(self.proof(caller, ListTemplates))
    }
}

// Whether a column of accounts is the product's own.
fn is_ours(name: &str) -> bool {
    let mut collections = SYSTEM_COLLECTIONS.iter();
    let users = collections.find(|(name, _)| *name == "users");
    users.is_some_and(|(_, columns)| columns.iter().any(|(column, ..)| *column == name))
}
