//! Invitations: an account that waits for whoever reads the mail.

use portreeve_gate::{Caller, CreateUser, Invite};
use portreeve_policy::{BoundTo, RequestFacts};
use portreeve_store::{Accept, GoodCode, StoreError};
use serde_json::{Map, Value as Json};

use crate::authn::ACTIVE;
use crate::flows::{check_address, code_error};
use crate::mail::TemplateText;
use crate::passwords::check_password;
use crate::users::{UserView, account_error, own_columns};
use crate::{NewUser, Portreeve, ServiceError};

/// Somebody to be invited.
#[derive(Clone, Debug, Default)]
pub struct Invitation {
    /// The address the mail goes to, which the account will have.
    pub email: String,
    /// Roles to bind it to. Where neither roles nor profiles are given, it gets what `registration:` says.
    pub roles: Vec<String>,
    /// Profiles to bind it to.
    pub profiles: Vec<String>,
    /// Own columns of `users`, by name.
    pub attributes: Map<String, Json>,
    /// The page the link leads to: one of the addresses the configuration allows.
    pub link: Option<String>,
}

impl Portreeve {
    /// Invites somebody. Invited once more, he gets another mail, and what was said last counts.
    pub async fn invite(
        &self,
        caller: &Caller,
        invitation: Invitation,
    ) -> Result<UserView, ServiceError> {
        let chosen = !(invitation.roles.is_empty() && invitation.profiles.is_empty());
        self.gate.may_invite(caller, &[], chosen)?;
        self.demand_mail()?;
        check_address(&invitation.email)?;
        let face = crate::flows::face_of(&caller.context().request);
        let link = self.page(face, TemplateText::INVITE, invitation.link.as_deref())?;
        let bindings = self.bindings(caller, &invitation.roles, &invitation.profiles)?;
        self.gate.may_invite(caller, &bindings, chosen)?;
        own_columns(&invitation.attributes)?;
        let attributes = invitation.attributes.into_iter().collect();
        let _turn = self.administration.lock().await;
        let id = self.new_id().to_string();
        let user = CreateUser {
            key: id.clone(),
            id,
            username: None,
            email: Some(invitation.email),
            password_hash: None,
            attributes,
            bindings,
            past: None,
        };
        let mut view = UserView::of(&user);
        view.status = "invited".into();
        let inviter = caller.user().map(ToString::to_string);
        let operation = Invite {
            user,
            inviter,
            link,
        };
        let invite = self.gate.invite(caller, operation)?;
        let store = self.store.clone();
        let invited = self
            .carry_out(async move { store.invite(invite).await })
            .await?;
        let (id, number) = invited.map_err(|error| match error {
            // The law of records, judged on what would be stored.
            StoreError::Check => ServiceError::Forbidden,
            other => account_error(other),
        })?;
        if id != view.id {
            // It has been waiting since the first time, under the key it was given then.
            view.key.clone_from(&id);
        }
        (view.id, view.number) = (id, number);
        self.mail_asked.notify_one();
        Ok(view)
    }

    /// Accepts an invitation: the account can sign in from now on. Refused like an unknown code where whoever invited may
    /// not do so any more.
    pub async fn accept_invitation(
        &self,
        code: &str,
        password: String,
        username: Option<String>,
        request: &RequestFacts,
    ) -> Result<(), ServiceError> {
        self.demand_setup()?;
        check_password(&password, &[username.as_deref()])?;
        let (hash, good) = self
            .good_code(code, &[TemplateText::INVITE], request)
            .await?;
        let named = NewUser {
            username: username.clone(),
            email: good.email.clone(),
            ..NewUser::default()
        };
        named.check()?;
        check_password(
            &password,
            &[good.username.as_deref(), good.email.as_deref()],
        )?;
        let password_hash = self.passwords.hash(password, &*self.entropy).await?;
        let _turn = self.administration.lock().await;
        let (version, inviter) = self.still_invited(&good).await?;
        let accept = Accept {
            code: hash,
            password_hash,
            username,
            version,
            inviter,
            at: self.now(),
        };
        let store = self.store.clone();
        let accepted = async move { store.system().accept_invitation(accept).await };
        self.carry_out(accepted).await?.map_err(code_error)?;
        if !self.has_administrator() {
            self.note_administrator().await;
        }
        Ok(())
    }

    // Whether whoever has invited may still invite somebody to this; under which version of the policy and which epoch of
    // his that was found.
    async fn still_invited(
        &self,
        good: &GoodCode,
    ) -> Result<(u64, Option<(String, u64)>), ServiceError> {
        let Some(by) = &good.by else {
            // Whoever holds the data folder.
            return Ok((self.policy_version(), None));
        };
        let system = self.store.system();
        let invited = system.credential_facts(&good.user).await?;
        let inviter = system.credential_facts(by).await?;
        let inviter = inviter.filter(|inviter| inviter.status == ACTIVE);
        let (Some(invited), Some(inviter)) = (invited, inviter) else {
            return Err(ServiceError::InvalidCode);
        };
        let caller = self
            .gate
            .admit(&inviter.facts, self.now(), RequestFacts::default());
        let bindings = &invited.facts.bindings;
        let given: Vec<&BoundTo> = bindings.iter().map(|binding| &binding.to).collect();
        let usual = caller.snapshot().registration_roles().iter();
        let usual: Vec<BoundTo> = usual.cloned().map(BoundTo::Role).collect();
        let chosen = given != usual.iter().collect::<Vec<_>>();
        let still = self.gate.may_invite(&caller, bindings, chosen).is_ok()
            && self.still_covers(&caller, &good.user).await?;
        match still {
            true => Ok((
                caller.snapshot().version(),
                Some((by.clone(), caller.epoch())),
            )),
            false => {
                tracing::info!(user = %good.user, %by, "an invitation was not accepted: whoever sent it may not invite any more");
                Err(ServiceError::InvalidCode)
            }
        }
    }

    // Whether somebody may make the account that waits, as it is.
    async fn still_covers(&self, inviter: &Caller, user: &str) -> Result<bool, ServiceError> {
        let users = inviter.snapshot().catalog().find_text("users");
        let users = users.ok_or_else(|| ServiceError::internal("no collection of users"))?;
        let explain = self.gate.explain(&self.operator(), Some(users.id))?;
        let facts = self.store.facts(&explain);
        let account = facts.record(users.id, &user.into()).await?;
        let covers = account.is_some_and(|it| self.gate.covers_creation(inviter, &it, &facts));
        facts.answered()?;
        Ok(covers)
    }
}
