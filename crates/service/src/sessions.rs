//! Sessions: how they begin, go on and end, and who may look at them.

use std::sync::Arc;

use portreeve_gate::{Caller, EndSessions, Which};
use portreeve_model::MICROS;
use portreeve_policy::RequestFacts;
use portreeve_store::{
    NewRefresh, NewSession, Proof, Renewal, Rotated, Rotation, StoreError, StoredSession, Through,
};

use crate::faces::{Claims, FaceSettings, NEVER};
use crate::tokens::{self, Refresh, Shown, TokenHash};
use crate::{Portreeve, ServiceError};

/// Of what a program says it is, so much is kept.
const AGENT: usize = 200;

/// How a session is held.
#[derive(Clone, Copy, Default)]
pub struct How<'a> {
    /// By what.
    pub mode: Mode,
    /// How long, in microseconds, instead of what the face's settings say.
    pub life: Option<i64>,
    /// By which program, in its own words.
    pub agent: Option<&'a str>,
    /// What signed tokens say; their account's id where nothing is given.
    pub claims: Option<Claims<'a>>,
}

/// By what a session is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// One token that says nothing.
    #[default]
    Token,
    /// One signed token.
    Signed,
    /// A signed token that holds for minutes, and a refresh token for the next one.
    Refresh,
    /// One signed token, for one request.
    SingleUse,
}

impl Mode {
    fn kind(self) -> &'static str {
        match self {
            Self::Token => "session",
            Self::Signed => "signed",
            Self::Refresh => "refresh",
            Self::SingleUse => SINGLE_USE,
        }
    }
}

/// The kind of a session whose token is good for one request.
pub(crate) const SINGLE_USE: &str = "single_use";

/// A session that has begun, or goes on. Holds tokens: not to be logged.
pub struct SignedIn {
    /// The account's id.
    pub user: Arc<str>,
    /// The session's id.
    pub session: Arc<str>,
    /// What requests show, as `Authorization: Bearer …`. It is not kept, so this is the only time it can be read.
    pub token: String,
    /// Until when that holds, microseconds since 1970; [`NEVER`] where it always does.
    pub expires: i64,
    /// What the next token is had for.
    pub refresh: Option<RefreshToken>,
}

/// A refresh token. Not to be logged.
pub struct RefreshToken {
    /// As it is shown.
    pub token: String,
    /// Until when it can be used, microseconds since 1970.
    pub expires: i64,
}

/// A session in its account's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionView {
    /// What is known of it.
    pub session: StoredSession,
    /// Whether it is the one that asks.
    pub current: bool,
}

/// Whole seconds, since signed tokens know no other.
fn whole(micros: i64) -> i64 {
    micros.div_euclid(MICROS) * MICROS
}

pub(crate) fn through(request: &RequestFacts) -> Through {
    Through {
        face: request.face.as_deref().map(str::to_owned),
        request: request.id.as_deref().map(str::to_owned),
    }
}

fn later(now: i64, life: i64) -> i64 {
    now.saturating_add(life).min(NEVER)
}

impl Portreeve {
    /// Begins a session of an account for which something else than a password was shown, and verified.
    pub async fn begin_session(
        &self,
        user: &str,
        how: &How<'_>,
        request: &RequestFacts,
    ) -> Result<SignedIn, ServiceError> {
        self.begin(user.into(), Proof::Other, how, request).await
    }

    pub(crate) async fn begin(
        &self,
        user: Arc<str>,
        proof: Proof,
        how: &How<'_>,
        request: &RequestFacts,
    ) -> Result<SignedIn, ServiceError> {
        let (_, face) = self.faces.get(request.face.as_deref());
        let now = self.now();
        let life = how.life.or(face.sessions.life).unwrap_or(NEVER);
        if life <= 0 {
            return Err(ServiceError::invalid("life", "must be longer than nothing"));
        }
        let mut expires = later(now, life);
        if how.mode != Mode::Token {
            expires = whole(expires);
        }
        let token_expires = match how.mode {
            Mode::Refresh => whole(later(now, face.tokens.access_life)).min(expires),
            _ => expires,
        };
        let handle = match how.mode {
            Mode::Token => tokens::new_token(&*self.entropy),
            _ => tokens::new_handle(&*self.entropy),
        };
        let refresh = (how.mode == Mode::Refresh).then(|| Refresh::first(&*self.entropy));
        let refresh_expires = later(now, face.tokens.refresh_life).min(expires);
        let token = match how.mode {
            Mode::Token => handle.clone(),
            _ => {
                self.signed(&user, &handle, token_expires, how, request)
                    .await?
            }
        };
        let agent = how.agent.map(|agent| {
            let plain = agent.chars().filter(|c| !c.is_control());
            plain.take(AGENT).collect::<String>()
        });
        let new = NewSession {
            user: user.to_string(),
            proof,
            kind: how.mode.kind().into(),
            through: through(request),
            address: request.ip.map(|ip| ip.to_string()),
            agent,
            now,
            idle_expires: idle(face, now),
            expires,
            ends_with_roles: face.sessions.end_with_roles,
            token_hash: tokens::hash(&handle),
            token_expires: (token_expires < expires).then_some(token_expires),
            refresh: refresh.as_ref().map(|refresh| NewRefresh {
                family_hash: refresh.family_hash(),
                token_hash: refresh.hash(),
                expires: refresh_expires,
            }),
            at_most: face.sessions.at_most,
            audited: self.audit_sign_ins,
        };
        let store = self.store.clone();
        let begun = self
            .carry_out(async move { store.system().begin_session(new).await })
            .await?
            .map_err(|error| match error {
                // The password has been changed, or the account disabled, while it was verified.
                StoreError::Gone => ServiceError::WrongCredentials,
                other => other.into(),
            })?;
        Ok(SignedIn {
            user,
            session: begun.session,
            token,
            expires: token_expires,
            refresh: refresh.map(|refresh| RefreshToken {
                token: refresh.text(),
                expires: refresh_expires,
            }),
        })
    }

    /// Gives the next token for a refresh token, and the refresh token after it. One that has been used before ends its
    /// session: somebody else has it too.
    pub async fn refresh(
        &self,
        token: &str,
        how: &How<'_>,
        request: &RequestFacts,
    ) -> Result<SignedIn, ServiceError> {
        self.demand_setup()?;
        let presented = Refresh::read(token).ok_or(ServiceError::InvalidToken)?;
        let (name, face) = self.faces.get(request.face.as_deref());
        let key = self.keys.refresh(&self.store, &*self.entropy).await?;
        // What can fail does so before the old token is used up.
        self.keys.signing(name, &self.store, &*self.entropy).await?;
        let next = presented.next(key);
        let handle = tokens::new_handle(&*self.entropy);
        let now = self.now();
        let refresh_expires = later(now, face.tokens.refresh_life);
        let rotation = Rotation {
            family_hash: presented.family_hash(),
            presented: presented.hash(),
            next: next.hash(),
            expires: refresh_expires,
            token_hash: tokens::hash(&handle),
            token_expires: whole(later(now, face.tokens.access_life)),
            idle_expires: idle(face, now),
            grace: face.tokens.refresh_grace,
            now,
            through: through(request),
            address: request.ip.map(|ip| ip.to_string()),
        };
        let store = self.store.clone();
        let rotated = self
            .carry_out(async move { store.system().rotate(rotation).await })
            .await?;
        match rotated {
            Ok(Rotated::Done {
                session,
                user,
                expires,
                token_expires,
            }) => {
                let token = self
                    .signed(&user, &handle, token_expires, how, request)
                    .await?;
                Ok(SignedIn {
                    user,
                    session,
                    token,
                    expires: token_expires,
                    refresh: Some(RefreshToken {
                        token: next.text(),
                        expires: refresh_expires.min(expires),
                    }),
                })
            }
            Ok(Rotated::Reused) => {
                tracing::warn!(
                    ip = request.ip.map(tracing::field::display),
                    "a refresh token was used again; its session has ended"
                );
                Err(ServiceError::InvalidToken)
            }
            Ok(Rotated::Refused) | Err(StoreError::Gone) => Err(ServiceError::InvalidToken),
            Err(other) => Err(other.into()),
        }
    }

    /// Puts another signed token in the place of one, which holds for the face's grace still and is renewed no more.
    pub async fn renew(
        &self,
        token: &str,
        how: &How<'_>,
        request: &RequestFacts,
    ) -> Result<SignedIn, ServiceError> {
        // As good as for any request.
        let caller = self.caller(Some(token), request.clone()).await?;
        let credential = self.credential(token, request).await?;
        let (_, face) = self.faces.get(request.face.as_deref());
        let (Some(user), Some(session)) = (caller.user(), caller.session()) else {
            return Err(ServiceError::InvalidToken);
        };
        if tokens::shown(token, &face.tokens.prefix) != Some(Shown::Signed) {
            return Err(ServiceError::InvalidToken);
        }
        let now = self.now();
        let life = how.life.or(face.sessions.life).unwrap_or(NEVER);
        let expires = whole(later(now, life));
        let handle = tokens::new_handle(&*self.entropy);
        let renewed = self.signed(user, &handle, expires, how, request).await?;
        let renewal = Renewal {
            session: session.to_string(),
            old: credential.session,
            new: tokens::hash(&handle),
            expires,
            grace: face.tokens.renew_grace,
            now,
        };
        let (store, of) = (self.store.clone(), Arc::clone(session));
        // What is remembered of the old one holds for too long.
        let renew = async move {
            let done = store.system().renew(renewal).await?;
            Ok(done.then_some(of))
        };
        let done = self.forget_ended(renew).await?;
        let done = done.map_err(|error| match error {
            StoreError::Gone => ServiceError::InvalidToken,
            other => other.into(),
        })?;
        if done.is_none() {
            return Err(ServiceError::InvalidToken);
        }
        Ok(SignedIn {
            user: Arc::clone(user),
            session: Arc::clone(session),
            token: renewed,
            expires,
            refresh: None,
        })
    }

    /// Ends the session of a token, of whatever kind. One that has ended already is [`ServiceError::InvalidToken`].
    pub async fn sign_out(&self, token: &str, request: &RequestFacts) -> Result<(), ServiceError> {
        let (_, face) = self.faces.get(request.face.as_deref());
        let store = self.store.clone();
        let ended = match tokens::shown(token, &face.tokens.prefix) {
            Some(Shown::Refresh) => {
                let refresh = Refresh::read(token).ok_or(ServiceError::InvalidToken)?;
                let (hash, family) = (refresh.hash(), refresh.family_hash());
                let end = async move { store.system().end_session_by_refresh(hash, family).await };
                self.forget_ended(end).await??
            }
            Some(Shown::Share) => return self.close_share(token).await,
            _ => {
                let credential = self.credential(token, request).await?;
                let end = async move { store.system().end_session(credential.session).await };
                self.forget_ended(end).await??
            }
        };
        ended.map(drop).ok_or(ServiceError::InvalidToken)
    }

    // Has a session ended and forgets what it is known by. In a task of its own: a client that goes away while it is asked
    // for must not leave a token that has ended and is still remembered.
    async fn forget_ended<S: AsRef<str> + Send + 'static>(
        &self,
        end: impl Future<Output = Result<Option<S>, StoreError>> + Send + 'static,
    ) -> Result<Result<Option<S>, StoreError>, ServiceError> {
        let (callers, subscriptions) = (Arc::clone(&self.callers), Arc::clone(&self.subscriptions));
        let ended = tokio::spawn(async move {
            let ended = end.await?;
            if let Some(session) = &ended {
                callers.remove_session(session.as_ref());
                subscriptions.rights_changed();
            }
            Ok(ended)
        });
        ended.await.map_err(ServiceError::internal)
    }

    /// One's own sessions, those used last first.
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionView>, ServiceError> {
        let user = self.gate.own_sessions(caller)?;
        let now = self.now();
        let stored = self.store.system().sessions_of(&user).await?;
        let live = stored.into_iter().filter_map(|mut session| {
            if let Some(used) = self.uses.last(&session.id).filter(|at| *at > session.used) {
                let idle = session.idle_expires.map(|until| until - session.used);
                session.idle_expires = idle.map(|idle| used.saturating_add(idle));
                session.used = used;
            }
            let over =
                session.expires <= now || session.idle_expires.is_some_and(|idle| idle <= now);
            let current = caller.session().is_some_and(|id| **id == session.id);
            (!over).then_some(SessionView { session, current })
        });
        Ok(live.collect())
    }

    /// Ends one of one's own sessions. Another account's is [`ServiceError::NotFound`], as if it were not there.
    pub async fn end_own_session(&self, caller: &Caller, id: &str) -> Result<(), ServiceError> {
        match self.end_own(caller, Which::One(id.into())).await? {
            0 => Err(ServiceError::NotFound),
            _ => Ok(()),
        }
    }

    /// Ends all of one's own sessions, the one that asks too unless it is to be spared. How many.
    pub async fn end_own_sessions(
        &self,
        caller: &Caller,
        but_this: bool,
    ) -> Result<u64, ServiceError> {
        let which = match caller.session() {
            Some(session) if but_this => Which::AllBut(Arc::clone(session)),
            _ => Which::All,
        };
        self.end_own(caller, which).await
    }

    async fn end_own(&self, caller: &Caller, which: Which) -> Result<u64, ServiceError> {
        let end = self.gate.end_own_sessions(caller, which)?;
        let store = self.store.clone();
        let ended = self
            .carry_out(async move { store.end_sessions(end).await })
            .await?;
        Ok(ended?)
    }

    /// Ends sessions of an account that the caller may change wholly: one, or all of them. How many.
    pub async fn end_sessions_of(
        &self,
        caller: &Caller,
        user: &str,
        session: Option<&str>,
    ) -> Result<u64, ServiceError> {
        let user = self.find_user(caller, user).await?;
        let operator = self.operator();
        let users = caller.snapshot().catalog().find_text("users");
        let users = users.ok_or_else(|| ServiceError::internal("no collection of users"))?;
        let explain = self.gate.explain(&operator, Some(users.id))?;
        let facts = self.store.facts(&explain);
        let key = users.parse_key(&user).map_err(|_| ServiceError::NotFound)?;
        let account = facts.record(users.id, &key).await?;
        let account = account.ok_or(ServiceError::NotFound)?;
        let operation = EndSessions {
            user,
            which: session.map_or(Which::All, |id| Which::One(id.into())),
        };
        let end = self.gate.end_sessions(caller, &account, &facts, operation);
        facts.answered()?;
        let end = end?;
        let store = self.store.clone();
        let ended = self
            .carry_out(async move { store.end_sessions(end).await })
            .await??;
        match ended {
            0 if session.is_some() => Err(ServiceError::NotFound),
            ended => Ok(ended),
        }
    }

    // A signed token of an account as it is now.
    async fn signed(
        &self,
        user: &str,
        handle: &str,
        expires: i64,
        how: &How<'_>,
        request: &RequestFacts,
    ) -> Result<String, ServiceError> {
        let (name, face) = self.faces.get(request.face.as_deref());
        let now = self.now();
        let claims = match how.claims {
            Some(claims) => {
                let account = self.store.system().credential_facts(user).await?;
                let account = account.ok_or(ServiceError::InvalidToken)?;
                claims(&self.gate.admit(&account.facts, now, request.clone()))
            }
            None => {
                let mut claims = serde_json::Map::new();
                claims.insert("sub".into(), user.into());
                claims
            }
        };
        let key = self.keys.signing(name, &self.store, &*self.entropy).await?;
        key.sign(&face.tokens, handle, claims, now, expires)
            .map_err(ServiceError::internal)
    }

    /// What a token is, as far as it can be said without its session.
    pub(crate) async fn credential(
        &self,
        token: &str,
        request: &RequestFacts,
    ) -> Result<Credential, ServiceError> {
        let (name, face) = self.faces.get(request.face.as_deref());
        let shown = tokens::hash(token);
        match tokens::shown(token, &face.tokens.prefix) {
            Some(Shown::Session) => Ok(Credential {
                shown,
                session: shown,
                expires: NEVER,
                signed: false,
            }),
            Some(Shown::Signed) => {
                let key = self.keys.signing(name, &self.store, &*self.entropy).await?;
                let verified = key
                    .verify(&face.tokens, token, self.now())
                    .ok_or(ServiceError::InvalidToken)?;
                Ok(Credential {
                    shown,
                    session: tokens::hash(&verified.handle),
                    expires: verified.expires,
                    signed: true,
                })
            }
            // A refresh token is none for requests, and whoever has opened a share is nobody's session.
            Some(Shown::Refresh | Shown::Share) | None => Err(ServiceError::InvalidToken),
        }
    }
}

/// A token that may be good: what it is remembered by, and what its session is found by.
#[derive(Clone, Copy)]
pub(crate) struct Credential {
    /// The hash of the whole token.
    pub shown: TokenHash,
    /// The hash its session is found by.
    pub session: TokenHash,
    /// Until when it holds, whatever its session does.
    pub expires: i64,
    /// Whether it is signed.
    pub signed: bool,
}

fn idle(face: &FaceSettings, now: i64) -> Option<i64> {
    face.sessions.idle.map(|idle| later(now, idle))
}

// Whether there was a record.
#[derive(Default)]
pub(crate) struct Seen(pub bool);

impl portreeve_model::RecordSink for Seen {
    fn record(&mut self, _columns: &portreeve_model::Columns, _cells: &dyn portreeve_model::Cells) {
        self.0 = true;
    }

    fn reset(&mut self) {
        self.0 = false;
    }
}
