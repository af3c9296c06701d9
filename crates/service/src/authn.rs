//! Signing in and out, and who a request comes from.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use portreeve_gate::Caller;
use portreeve_policy::RequestFacts;
use portreeve_store::Proof;

use crate::callers::Admitted;
use crate::rates::rate;
use crate::sessions::{Credential, How, SINGLE_USE, SignedIn, through};
use crate::throttle::Budget;
use crate::uses::{MINUTE, SLACK};
use crate::{Portreeve, ServiceError, tokens};

/// A longer password is nobody's: it is not worth the hashing.
pub(crate) const MAX_PASSWORD_BYTES: usize = 1_024;

/// The only status that may sign in.
pub(crate) const ACTIVE: &str = "active";

impl Portreeve {
    /// Begins a session by password, held by one token. Whether the name is unknown, the password wrong or the account not
    /// active makes no difference to the answer, nor to the work behind it.
    pub async fn sign_in(
        &self,
        login: &str,
        password: &str,
        request: &RequestFacts,
    ) -> Result<SignedIn, ServiceError> {
        self.sign_in_as(login, password, &How::default(), request)
            .await
    }

    /// The same, held as the caller wants it.
    pub async fn sign_in_as(
        &self,
        login: &str,
        password: &str,
        how: &How<'_>,
        request: &RequestFacts,
    ) -> Result<SignedIn, ServiceError> {
        self.demand_setup()?;
        let credential = self.store.system().credential(login).await?;
        let known = credential.as_ref().map(|known| Arc::clone(&known.user));
        // Counted before anything is tried, so that tries at the same time are counted too.
        let trial = self
            .try_sign_in(login, known.as_deref(), request.ip)
            .await?;
        let (account, hash) = match credential {
            Some(known) if known.status == ACTIVE => (Some(known.user), known.password_hash),
            Some(known) => (None, known.password_hash),
            None => (None, None),
        };
        let verified = if password.len() > MAX_PASSWORD_BYTES {
            Ok(false)
        } else {
            self.passwords
                .verify(password.to_owned(), hash.clone())
                .await
        };
        let verified = match verified {
            Ok(verified) => verified,
            Err(error) => {
                // Nothing was tried.
                self.no_attempt(trial);
                return Err(error);
            }
        };
        let Some((user, password_hash)) = account.zip(hash).filter(|_| verified) else {
            self.tell_refusal(known.as_deref(), request).await;
            return Err(ServiceError::WrongCredentials);
        };
        let password_hash = self.upgraded(&user, password, password_hash).await;
        let begun = self
            .begin(
                Arc::clone(&user),
                Proof::Password(password_hash),
                how,
                request,
            )
            .await;
        match &begun {
            Ok(_) => self.signed_in(trial, &user, request.ip),
            Err(ServiceError::WrongCredentials) => {}
            Err(_) => self.no_attempt(trial),
        }
        begun
    }

    // Tells of an attempt that has failed. Not the name: people type passwords into that field.
    async fn tell_refusal(&self, user: Option<&str>, request: &RequestFacts) {
        tracing::info!(
            ip = request.ip.map(tracing::field::display),
            "a sign-in failed"
        );
        if self.audit_sign_ins {
            let system = self.store.system();
            let noted = system.note_refusal(
                user.map(str::to_owned),
                through(request),
                request.ip.map(|ip| ip.to_string()),
                self.now(),
            );
            if let Err(error) = noted.await {
                tracing::error!(%error, "a failed sign-in could not be written into the audit trail");
            }
        }
    }

    /// Who a request comes from: the user of the token's session, or anonymous where there is no token. A token that
    /// is not good is an error, never anonymous: its sender believes to be somebody.
    pub async fn caller(
        &self,
        token: Option<&str>,
        request: RequestFacts,
    ) -> Result<Caller, ServiceError> {
        self.demand_setup()?;
        let now = self.now();
        let Some(token) = token else {
            return Ok(self.anonymous(now, request));
        };
        if tokens::is_of_share(token) {
            // It only shows, and is no account: what looks asks for [`Portreeve::shared`].
            self.shared(token, request).await?;
            return Err(ServiceError::Forbidden);
        }
        let (known, caller) = match self.remembered(&tokens::hash(token), now, &request)? {
            Some(known) => known,
            None => {
                let credential = self.credential(token, &request).await?;
                self.admit(credential, now, &request).await?
            }
        };
        if known.rate > 0 {
            let (_, face) = self.faces.get(caller.context().request.face.as_deref());
            self.count_request(&caller, known.rate, face)?;
        }
        Ok(caller)
    }

    /// The same for a request whose caller has been asked for already: it is not counted again.
    pub async fn same_caller(
        &self,
        token: Option<&str>,
        request: RequestFacts,
    ) -> Result<Caller, ServiceError> {
        let credential = match token {
            Some(token) => Some(self.credential(token, &request).await?),
            None => None,
        };
        Ok(self.admitted(credential, request).await?.0)
    }

    /// Whether there are accounts whose requests are limited.
    pub fn limits_requests(&self) -> bool {
        self.rates.are_limited()
    }

    /// What is left of the requests of a token's account, where its profiles limit them.
    pub fn request_budget(&self, token: &str, face: &str) -> Option<Budget> {
        let known = self.callers.get(&tokens::hash(token))?;
        let (_, face) = self.faces.get(Some(face));
        (known.rate > 0).then(|| self.budget_of(&known.caller, known.rate, face))
    }

    /// Who is behind a credential, and until when that holds.
    pub(crate) async fn admitted(
        &self,
        credential: Option<Credential>,
        request: RequestFacts,
    ) -> Result<(Caller, Option<i64>), ServiceError> {
        self.demand_setup()?;
        let now = self.now();
        let Some(credential) = credential else {
            return Ok((self.anonymous(now, request), None));
        };
        let (known, caller) = match self.remembered(&credential.shown, now, &request)? {
            Some(known) => known,
            None => self.admit(credential, now, &request).await?,
        };
        let until = caller
            .valid_until()
            .map_or(known.expires, |until| until.min(known.expires));
        Ok((caller, Some(until)))
    }

    // The caller of a token that was seen before, as he is in this request.
    fn remembered(
        &self,
        shown: &tokens::TokenHash,
        now: i64,
        request: &RequestFacts,
    ) -> Result<Option<(Arc<Admitted>, Caller)>, ServiceError> {
        let Some(known) = self.callers.get(shown) else {
            return Ok(None);
        };
        if known.expires <= now {
            self.callers.remove(shown);
            return Err(ServiceError::InvalidToken);
        }
        demand_face(known.face.as_deref(), request)?;
        let used = known.used.load(Ordering::Relaxed);
        // It may have been used elsewhere meanwhile: the database knows.
        let over = known
            .idle
            .is_some_and(|idle| used.saturating_add(idle) <= now);
        // While nobody tells us what other programs end, it is asked of the database.
        let informed = self.callers.hold_under(self.store.informed());
        if over || !informed || !self.gate.is_current(&known.caller, now) {
            return Ok(None);
        }
        if now.saturating_sub(used) >= MINUTE
            && let Some(session) = known.caller.session()
        {
            known.used.store(now, Ordering::Relaxed);
            self.uses.note(session, now, known.idle);
        }
        let caller = known.caller.at(now, request.clone());
        Ok(Some((known, caller)))
    }

    /// Whoever holds the data folder: the command line and the first start.
    pub fn operator(&self) -> Caller {
        self.gate.operator(self.now())
    }

    /// Forgets sessions whose time is over. How many there were.
    pub async fn forget_expired_sessions(&self) -> Result<usize, ServiceError> {
        self.write_uses().await?;
        let (now, system) = (self.now(), self.store.system());
        Ok(system
            .expire_sessions(now, now.saturating_sub(SLACK))
            .await?)
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
        credential: Credential,
        now: i64,
        request: &RequestFacts,
    ) -> Result<(Arc<Admitted>, Caller), ServiceError> {
        let system = self.store.system();
        let before = system.revocations();
        self.callers.remove(&credential.shown);
        let session = system.session(&credential.session).await?;
        let session = session.filter(|session| {
            // A signed token names its session; what a session's own token is worth is only known there.
            credential.signed == (&*session.kind != "session")
        });
        let session = session.ok_or(ServiceError::InvalidToken)?;
        let used = self
            .uses
            .last(&session.id)
            .map_or(session.used, |at| at.max(session.used));
        let idle = session.idle_expires.map(|until| until - session.used);
        let expires = session.expires.min(credential.expires);
        if expires <= now || idle.is_some_and(|idle| used.saturating_add(idle) <= now) {
            return Err(ServiceError::InvalidToken);
        }
        demand_face(session.face.as_deref(), request)?;
        let account = system.credential_facts(&session.user).await?;
        let Some(account) = account.filter(|account| account.status == ACTIVE) else {
            return Err(ServiceError::InvalidToken);
        };
        let single = &*session.kind == SINGLE_USE;
        // Of two who come with it at once, one has ended it.
        if single && system.end_session(credential.session).await?.is_none() {
            return Err(ServiceError::InvalidToken);
        }
        let caller = self.gate.admit(&account.facts, now, request.clone());
        let caller = self.gate.in_session(&caller, Arc::clone(&session.id));
        let noted = now.saturating_sub(used) >= MINUTE;
        if noted && !single {
            self.uses.note(&session.id, now, idle);
        }
        let rate = rate(&account.facts.bindings, caller.snapshot(), now);
        self.rates.note_limit(rate);
        let admitted = Arc::new(Admitted {
            caller: caller.clone(),
            expires,
            idle,
            used: AtomicI64::new(if noted { now } else { used }),
            face: session.face,
            rate,
        });
        if !single {
            self.callers
                .put(credential.shown, Arc::clone(&admitted), || {
                    system.revocations() == before
                });
        }
        Ok((admitted, caller))
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

// A session is good at the face it was begun through.
fn demand_face(face: Option<&str>, request: &RequestFacts) -> Result<(), ServiceError> {
    match (face, request.face.as_deref()) {
        (Some(face), Some(here)) if face != here => Err(ServiceError::InvalidToken),
        _ => Ok(()),
    }
}
