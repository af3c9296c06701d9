//! Ways in by mail: a forgotten password, an address to be confirmed, another address. Whoever asks is told the same
//! whether there is such an account or not; what a code can do, only its reader can.

use portreeve_gate::{Caller, ChangeEmail};
use portreeve_policy::RequestFacts;
use portreeve_store::{GoodCode, StoreError};

use crate::authn::MAX_PASSWORD_BYTES;
use crate::mail::{TemplateText, address};
use crate::passwords::check_password;
use crate::rates::Trial;
use crate::tokens::{TokenHash, code_hash};
use crate::users::account_error;
use crate::{NewUser, Portreeve, ServiceError};

impl Portreeve {
    /// Has a code for a new password sent to the address of whoever signs in by this name or address, if there is such an
    /// active account. `link` is one of the addresses the configuration allows.
    pub async fn forgot_password(
        &self,
        login: &str,
        link: Option<&str>,
        request: &RequestFacts,
    ) -> Result<(), ServiceError> {
        let (face, address) = (face_of(request), Some(request.ip));
        self.ask_mail(face, TemplateText::RESET, login, link, address)
            .await
    }

    /// Has a code sent that confirms the address of whoever signs in by this name or address, if there is such an active
    /// account and its address is not confirmed.
    pub async fn send_confirmation(
        &self,
        login: &str,
        link: Option<&str>,
        request: &RequestFacts,
    ) -> Result<(), ServiceError> {
        let (face, address) = (face_of(request), Some(request.ip));
        self.ask_mail(face, TemplateText::CONFIRM, login, link, address)
            .await
    }

    /// Sets a new password by a code. The account's sessions end and its other codes are void.
    pub async fn reset_password(
        &self,
        code: &str,
        password: String,
        request: &RequestFacts,
    ) -> Result<(), ServiceError> {
        self.demand_setup()?;
        // A password that will not do does not use the code up.
        check_password(&password, &[])?;
        let (hash, good) = self
            .good_code(code, &[TemplateText::RESET], request)
            .await?;
        check_password(
            &password,
            &[good.username.as_deref(), good.email.as_deref()],
        )?;
        let password_hash = self.passwords.hash(password, &*self.entropy).await?;
        let _turn = self.administration.lock().await;
        let (store, now) = (self.store.clone(), self.now());
        let reset = async move {
            store
                .system()
                .reset_password(hash, password_hash, now)
                .await
        };
        self.carry_out(reset).await?.map_err(code_error)
    }

    /// Confirms an address by a code: the account's own, or a new one that takes its place now.
    pub async fn confirm(&self, code: &str, request: &RequestFacts) -> Result<(), ServiceError> {
        self.confirm_with(code, None, request).await
    }

    /// The same with the password of an account that somebody has made for himself. Whoever reads the mail need not be who
    /// has chosen the password: unless he shows it, the account has none from now on, and he sets one by mail.
    pub async fn confirm_with(
        &self,
        code: &str,
        password: Option<String>,
        request: &RequestFacts,
    ) -> Result<(), ServiceError> {
        self.demand_setup()?;
        let purposes = [TemplateText::CONFIRM, TemplateText::CHANGE];
        let (hash, good) = self.good_code(code, &purposes, request).await?;
        let verified = match password {
            None => None,
            Some(password) if password.len() > MAX_PASSWORD_BYTES => {
                return Err(ServiceError::InvalidCode);
            }
            Some(password) => {
                let known = self.store.system().kept_hash(&good.user).await?;
                // Whoever reads the mail need not be who has chosen the password.
                let trial = self.try_password(&good.user, request.ip).await?;
                if !self.tried(trial, password, known.clone()).await? {
                    return Err(ServiceError::InvalidCode);
                }
                known
            }
        };
        let _turn = self.administration.lock().await;
        let (store, now) = (self.store.clone(), self.now());
        let confirm = async move {
            let system = store.system();
            system.confirm_address(hash, verified, now).await
        };
        self.carry_out(confirm).await?.map_err(code_error)
    }

    /// Asks for another address for the caller's own account. It takes the place of the old one when it is confirmed; the old
    /// one is told. Whether another account has it makes no difference to the answer.
    pub async fn change_email(
        &self,
        caller: &Caller,
        email: &str,
        password: String,
        link: Option<&str>,
    ) -> Result<(), ServiceError> {
        self.gate.may_change_own_account(caller)?;
        self.demand_mail()?;
        check_address(email)?;
        let face = face_of(&caller.context().request);
        let link = self.page(face, TemplateText::CHANGE, link)?;
        let Some(user) = caller.user() else {
            return Err(ServiceError::Forbidden);
        };
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(ServiceError::WrongCredentials);
        }
        let known = self.store.system().password_hash(user).await?;
        let address_of = caller.context().request.ip;
        let trial = self.try_password(user, address_of).await?;
        let verified = self.tried(trial, password, known.clone()).await?;
        let Some(known) = known.filter(|_| verified) else {
            return Err(ServiceError::WrongCredentials);
        };
        self.count_address_change(user)?;
        let operation = ChangeEmail {
            user: user.to_string(),
            email: email.into(),
            verified: known,
            link,
        };
        let change = self.gate.change_email(caller, operation)?;
        let changed = self.store.change_email(change).await;
        changed.map_err(|error| match error {
            // The password has been changed while it was verified.
            StoreError::Gone => ServiceError::WrongCredentials,
            other => other.into(),
        })?;
        self.mail_asked.notify_one();
        Ok(())
    }

    /// The hash of a code that is good for one of these, and what it is good for. All others are the same.
    pub(crate) async fn good_code(
        &self,
        code: &str,
        purposes: &[&str],
        request: &RequestFacts,
    ) -> Result<(TokenHash, GoodCode), ServiceError> {
        let trial = self.try_code(request.ip)?;
        let hash = code_hash(code).ok_or(ServiceError::InvalidCode)?;
        let good = self.store.system().code(&hash, self.now()).await;
        let good = match good {
            Ok(good) => good,
            Err(error) => {
                // Nothing was tried.
                self.no_attempt(trial);
                return Err(error.into());
            }
        };
        let good = good.filter(|good| purposes.contains(&good.purpose.as_str()));
        let good = good.ok_or(ServiceError::InvalidCode)?;
        self.no_attempt(trial);
        Ok((hash, good))
    }

    /// Whether a password is the one with this hash. Only where it is not, the attempt is counted.
    pub(crate) async fn tried(
        &self,
        trial: Trial,
        password: String,
        hash: Option<String>,
    ) -> Result<bool, ServiceError> {
        let verified = self.passwords.verify(password, hash).await;
        if !matches!(verified, Ok(false)) {
            self.no_attempt(trial);
        }
        verified
    }
}

/// An address that an account can have and mail can go to.
pub(crate) fn check_address(email: &str) -> Result<(), ServiceError> {
    let named = NewUser {
        email: Some(email.into()),
        ..NewUser::default()
    };
    named.check()?;
    match address(email) {
        Some(_) => Ok(()),
        None => Err(ServiceError::invalid("email", "is not an e-mail address")),
    }
}

pub(crate) fn code_error(error: StoreError) -> ServiceError {
    match error {
        // Somebody else was faster, or what it depends on has changed in this moment.
        StoreError::Gone => ServiceError::InvalidCode,
        other => account_error(other),
    }
}

/// The face a request comes through, whose pages may have codes in a parameter of their own.
pub(crate) fn face_of(request: &RequestFacts) -> &str {
    request.face.as_deref().unwrap_or("native")
}
