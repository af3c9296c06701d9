//! Signing in and out, and who a request comes from.

use std::sync::Arc;

use portreeve_gate::Caller;
use portreeve_model::MICROS;
use portreeve_policy::RequestFacts;
use portreeve_store::StoreError;

use crate::callers::Admitted;
use crate::tokens::{TokenHash, new_token, token_hash};
use crate::{Portreeve, ServiceError};

/// How long a session holds, in microseconds, however much it is used.
pub const SESSION_LIFETIME: i64 = 30 * 24 * 60 * 60 * MICROS;

/// A longer password is nobody's: it is not worth the hashing.
pub(crate) const MAX_PASSWORD_BYTES: usize = 1_024;

/// The only status that may sign in.
pub(crate) const ACTIVE: &str = "active";

/// A session that has begun. Holds the token: not to be logged.
pub struct SignedIn {
    /// The account's id.
    pub user: Arc<str>,
    /// What requests show, as `Authorization: Bearer …`. It is not kept, so this is the only time it can be read.
    pub token: String,
    /// Until when, microseconds since 1970.
    pub expires: i64,
}

impl Portreeve {
    /// Begins a session by password. Whether the name is unknown, the password wrong or the account not active makes
    /// no difference to the answer, nor to the work behind it.
    pub async fn sign_in(
        &self,
        login: &str,
        password: &str,
        request: &RequestFacts,
    ) -> Result<SignedIn, ServiceError> {
        self.demand_setup()?;
        if password.len() > MAX_PASSWORD_BYTES {
            return Err(ServiceError::WrongCredentials);
        }
        let credential = self.store.system().credential(login).await?;
        let (account, hash) = match credential {
            Some(known) if known.status == ACTIVE => (Some(known.user), known.password_hash),
            Some(known) => (None, known.password_hash),
            None => (None, None),
        };
        let verified = self
            .passwords
            .verify(password.to_owned(), hash.clone())
            .await?;
        let Some((user, password_hash)) = account.zip(hash).filter(|_| verified) else {
            // Not the name: people type passwords into that field.
            tracing::info!(
                ip = request.ip.map(tracing::field::display),
                "a sign-in failed"
            );
            return Err(ServiceError::WrongCredentials);
        };
        let token = new_token(&*self.entropy);
        let hash =
            token_hash(&token).ok_or_else(|| ServiceError::internal("a token without a hash"))?;
        let now = self.now();
        let expires = now.saturating_add(SESSION_LIFETIME);
        self.store
            .system()
            .insert_session(hash, &user, &password_hash, now, expires)
            .await
            .map_err(|error| match error {
                // The password has been changed, or the account disabled, while it was verified.
                StoreError::Gone => ServiceError::WrongCredentials,
                other => other.into(),
            })?;
        Ok(SignedIn {
            user,
            token,
            expires,
        })
    }

    /// Ends the session of a token. One that has ended already is [`ServiceError::InvalidToken`].
    pub async fn sign_out(&self, token: &str) -> Result<(), ServiceError> {
        let hash = token_hash(token).ok_or(ServiceError::InvalidToken)?;
        let ended = self.store.system().delete_session(hash).await?;
        self.callers.remove(&hash);
        self.subscriptions.rights_changed();
        if ended {
            Ok(())
        } else {
            Err(ServiceError::InvalidToken)
        }
    }

    /// Who a request comes from: the user of the token's session, or anonymous where there is no token. A token that
    /// is not good is an error, never anonymous: its sender believes to be somebody.
    pub async fn caller(
        &self,
        token: Option<&str>,
        request: RequestFacts,
    ) -> Result<Caller, ServiceError> {
        let hash = match token {
            Some(token) => Some(token_hash(token).ok_or(ServiceError::InvalidToken)?),
            None => None,
        };
        Ok(self.admitted(hash, request).await?.0)
    }

    /// The same by the token's hash, and until when it holds.
    pub(crate) async fn admitted(
        &self,
        hash: Option<TokenHash>,
        request: RequestFacts,
    ) -> Result<(Caller, Option<i64>), ServiceError> {
        self.demand_setup()?;
        let now = self.now();
        let Some(hash) = hash else {
            return Ok((self.anonymous(now, request), None));
        };
        let until = |caller: &Caller, expires: i64| {
            Some(
                caller
                    .valid_until()
                    .map_or(expires, |until| until.min(expires)),
            )
        };
        if let Some(known) = self.callers.get(&hash) {
            if known.expires <= now {
                self.callers.remove(&hash);
                return Err(ServiceError::InvalidToken);
            }
            // While nobody tells us what other programs end, it is asked of the database.
            if self.store.is_informed() && self.gate.is_current(&known.caller, now) {
                let until = until(&known.caller, known.expires);
                return Ok((known.caller.at(now, request), until));
            }
        }
        let (caller, expires) = self.admit(hash, now, request).await?;
        let until = until(&caller, expires);
        Ok((caller, until))
    }

    /// Whoever holds the data folder: the command line and the first start.
    pub fn operator(&self) -> Caller {
        self.gate.operator(self.now())
    }

    /// Forgets sessions whose time is over. How many there were.
    pub async fn forget_expired_sessions(&self) -> Result<usize, ServiceError> {
        Ok(self.store.system().expire_sessions(self.now()).await?)
    }

    fn anonymous(&self, now: i64, request: RequestFacts) -> Caller {
        match self.callers.anonymous() {
            Some(known) if self.gate.is_current(&known, now) => known.at(now, request),
            _ => {
                let caller = self.gate.anonymous(now, request);
                self.callers.put_anonymous(caller.clone());
                caller
            }
        }
    }

    async fn admit(
        &self,
        hash: TokenHash,
        now: i64,
        request: RequestFacts,
    ) -> Result<(Caller, i64), ServiceError> {
        let system = self.store.system();
        let before = system.revocations();
        self.callers.remove(&hash);
        let session = system
            .session(&hash)
            .await?
            .filter(|session| session.expires > now);
        let Some(session) = session else {
            return Err(ServiceError::InvalidToken);
        };
        let account = system.credential_facts(&session.user).await?;
        let Some(account) = account.filter(|account| account.status == ACTIVE) else {
            return Err(ServiceError::InvalidToken);
        };
        let caller = self.gate.admit(&account.facts, now, request);
        let admitted = Admitted {
            caller: caller.clone(),
            expires: session.expires,
        };
        self.callers
            .put(hash, admitted, || system.revocations() == before);
        Ok((caller, session.expires))
    }

    // Closed until somebody administers it: whatever the policy gives to everybody, nobody answers for it yet.
    pub(crate) fn demand_setup(&self) -> Result<(), ServiceError> {
        if self.has_administrator() || self.development() {
            Ok(())
        } else {
            Err(ServiceError::SetupRequired)
        }
    }
}
