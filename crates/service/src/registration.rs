//! Signing up: an account somebody makes for himself. Whether that is open, and what such an account is bound to, is set
//! for each face; it says of itself what the owner of an account may say, and nothing else.

use portreeve_gate::{Caller, Confirmation};
use portreeve_policy::{Binding, BoundTo};
use portreeve_store::StoreError;
use serde_json::{Map, Value as Json};

use crate::flows::check_address;
use crate::mail::{TemplateText, WAITING};
use crate::users::account_error;
use crate::{NewUser, Portreeve, ServiceError, UserView};

/// How one face takes accounts from strangers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registration {
    /// Whether it does.
    pub open: bool,
    /// What they are bound to; what `registration:` of the policy says where there is nothing.
    pub bound_to: Option<Vec<BoundTo>>,
    /// The role the account is shown with by faces that show one: its primary binding, beside the others.
    pub role: Option<String>,
    /// Whether that may be an administrator outside development. Otherwise registration is shut while it is.
    pub privileged: bool,
    /// Whether the address has to be confirmed first. Then nobody learns here whether an address has an account already.
    pub confirmation: bool,
}

/// What somebody who signs up says of himself. Holds a password: not to be logged.
#[derive(Clone, Default)]
pub struct NewRegistration {
    /// The name he signs in by.
    pub username: Option<String>,
    /// The address he signs in by.
    pub email: Option<String>,
    /// His password.
    pub password: String,
    /// Own columns of `users` that are declared `self_writable`, by name.
    pub attributes: Map<String, Json>,
}

/// What came of it.
#[derive(Clone, Debug)]
pub enum Registered {
    /// The account is there and can sign in.
    Ready(UserView),
    /// Whoever reads mail to the address knows more. To be told alike, whichever it is.
    Pending {
        /// The address.
        email: String,
    },
}

impl Portreeve {
    /// How a face takes accounts from strangers: not at all, where nothing is set for it.
    pub fn signing_up(&self, face: &str) -> Registration {
        let known = self.faces.iter().find(|(name, _)| *name == face);
        known.map_or_else(Registration::default, |(_, face)| face.registration.clone())
    }

    /// Makes an account for whoever asks, as far as this face takes accounts from strangers.
    pub async fn register(
        &self,
        caller: &Caller,
        face: &str,
        new: NewRegistration,
    ) -> Result<Registered, ServiceError> {
        self.demand_setup()?;
        let settings = &self.signing_up(face);
        let bindings = self.registration_bindings(caller, settings)?;
        if settings.confirmation {
            self.demand_mail()?;
            let email = new.email.as_deref().ok_or_else(|| {
                ServiceError::invalid("email", "is needed, since it is confirmed by mail")
            })?;
            check_address(email)?;
        }
        let (username, email) = (new.username.clone(), new.email.clone());
        let new = NewUser {
            username: new.username,
            email: new.email,
            password: Some(new.password),
            attributes: new.attributes,
            ..NewUser::default()
        };
        new.check()?;
        self.count_registration(caller.context().request.ip)?;
        // Before anything is looked at, so that the work is the same whatever is found.
        let user = self.new_user(new, bindings).await?;
        let mut view = UserView::of(&user);
        let link = self.page(face, TemplateText::CONFIRM, None)?;
        let confirmation = settings.confirmation.then(|| Confirmation {
            email: email.unwrap_or_default(),
            link,
            at_most: WAITING,
        });
        let create = self.gate.register(caller, user, confirmation.clone())?;
        let made = self.store.create_user(create).await;
        let Some(confirmation) = confirmation else {
            view.number = made.map_err(account_error)?.1;
            return Ok(Registered::Ready(view));
        };
        match made {
            Err(StoreError::Unique { .. }) => {
                self.pretend(caller, face, username, confirmation.clone())
                    .await?;
            }
            made => {
                made.map_err(account_error)?;
            }
        }
        // Who has the address is asked to confirm it if that is still to be done, and hears nothing otherwise.
        self.mail_asked.notify_one();
        Ok(Registered::Pending {
            email: confirmation.email,
        })
    }

    // The same as with a free address, for one that an account has: a name is told to be taken, whatever the address is,
    // so it is taken from now on here too, by an account that nobody can sign in to.
    async fn pretend(
        &self,
        caller: &Caller,
        face: &str,
        username: Option<String>,
        confirmation: Confirmation,
    ) -> Result<(), ServiceError> {
        let Some(username) = username else {
            let email = &confirmation.email;
            return self
                .ask_mail(face, TemplateText::CONFIRM, email, None, None)
                .await;
        };
        if self.store.system().username_exists(&username).await? {
            return Err(ServiceError::UserExists);
        }
        let nobody = NewUser {
            username: Some(username),
            ..NewUser::default()
        };
        let nobody = self.new_user(nobody, vec![]).await?;
        let create = self.gate.register(caller, nobody, Some(confirmation))?;
        let made = self.store.create_user(create).await;
        made.map(drop).map_err(account_error)
    }

    // What the account is bound to; an error where registration is shut.
    fn registration_bindings(
        &self,
        caller: &Caller,
        settings: &Registration,
    ) -> Result<Vec<Binding>, ServiceError> {
        if !settings.open {
            return Err(ServiceError::RegistrationClosed);
        }
        let snapshot = caller.snapshot();
        let bound_to = match &settings.bound_to {
            Some(bound_to) => bound_to.clone(),
            None => {
                let roles = snapshot.registration_roles().iter();
                roles.cloned().map(BoundTo::Role).collect()
            }
        };
        let mut bindings = self.first_bindings(caller, bound_to)?;
        if let Some(role) = &settings.role {
            let to = BoundTo::Role(role.clone());
            bindings.retain(|binding| binding.to != to);
            bindings
                .iter_mut()
                .for_each(|binding| binding.primary = false);
            bindings.extend(self.first_bindings(caller, vec![to])?);
        }
        let administers = bindings.iter().any(|binding| match &binding.to {
            BoundTo::Role(role) => snapshot.is_administrator(role) == Some(true),
            BoundTo::Profile(profile) => snapshot.profile_has_administrator(profile) == Some(true),
        });
        if administers && !settings.privileged && !self.development() {
            return Err(ServiceError::RegistrationClosed);
        }
        Ok(bindings)
    }
}
