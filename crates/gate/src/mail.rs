//! Operations that have mail sent: invitations, changes of one's address, the words of mails.

use portreeve_policy::Binding;

use crate::{Authorized, Caller, CreateUser, Gate, Refused, UserCreation};

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
    pub(crate) inviter: Option<String>,
    pub(crate) link: Option<String>,
}

impl Invited {
    /// The account, which is made unless it is there already.
    pub fn creation(&self) -> &UserCreation {
        &self.creation
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
        self.may_invite(caller, &operation.user.bindings)?;
        let invited = Invited {
            creation: self.create_user(caller, operation.user)?.operation,
            inviter: operation.inviter,
            link: operation.link,
        };
        Ok(self.proof(caller, invited))
    }

    /// Whether this caller may invite somebody to be bound to these. Asked when he invites, and when it is accepted of what
    /// he may then. Until rights over rights are finer, only administrators invite.
    pub fn may_invite(&self, caller: &Caller, _bindings: &[Binding]) -> Result<(), Refused> {
        if self.is_administrator(caller) {
            Ok(())
        } else {
            Err(Refused::Forbidden)
        }
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
