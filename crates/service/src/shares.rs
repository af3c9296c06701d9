//! Shares: made, changed and ended by their creator, opened by whoever has the id and the password, and who has opened one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use portreeve_gate::{Caller, Eyes, NewShare, Password, Share, Shared, Shows};
use portreeve_model::{CollectionName, MICROS, RecordQuery};
use portreeve_policy::RequestFacts;
use portreeve_store::{ShareOutcome, StoreError, StoredShare};

use crate::authn::{ACTIVE, MAX_PASSWORD_BYTES};
use crate::sessions::Seen;
use crate::tokens::{self, TokenHash};
use crate::{Portreeve, ServiceError};

/// So long a token of a share holds, if the share does.
const LIFE: i64 = 60 * 60 * MICROS;
/// So many may have opened one share at the same time.
const AT_MOST: u32 = 1_000;
/// So many who have opened one are remembered.
const REMEMBERED: usize = 16_384;
const NAME: usize = 200;
const FIELDS: usize = 500;

/// A share to be made.
#[derive(Clone)]
pub struct ShareRequest {
    /// What people call it.
    pub name: String,
    /// The collection of the record.
    pub collection: CollectionName,
    /// The record's key as text.
    pub record: String,
    /// The role that narrows it, or
    pub role: Option<String>,
    /// the fields it shows.
    pub fields: Option<Vec<String>>,
    /// Its password.
    pub password: Option<String>,
    /// From when it can be opened, microseconds since 1970.
    pub from: Option<i64>,
    /// Until when it can be opened and shows anything.
    pub until: Option<i64>,
    /// How often it can be opened.
    pub max_uses: Option<u32>,
}

/// What is to be changed of a share; what is `None` stays.
#[derive(Clone, Default)]
pub struct ShareChange {
    /// What people call it.
    pub name: Option<String>,
    /// The role in the place of the role or fields it had, or
    pub role: Option<String>,
    /// the fields in their place.
    pub fields: Option<Vec<String>>,
    /// Another password, or none any more.
    pub password: Option<Option<String>>,
    /// From when it can be opened.
    pub from: Option<Option<i64>>,
    /// Until when.
    pub until: Option<Option<i64>>,
    /// How often.
    pub max_uses: Option<Option<u32>>,
}

/// A share that was opened. Holds its token: not to be logged.
pub struct Opened {
    /// Its id.
    pub share: Arc<str>,
    /// The collection of the record.
    pub collection: String,
    /// The record's key as text.
    pub record: String,
    /// What requests show. It is not kept, so this is the only time it can be read.
    pub token: String,
    /// Until when it holds, microseconds since 1970.
    pub expires: i64,
}

/// Those who have opened a share, by the hash of their token.
#[derive(Default)]
pub(crate) struct Visitors(RwLock<HashMap<TokenHash, Arc<Visitor>>>);

struct Visitor {
    shared: Shared,
    expires: i64,
}

impl Visitors {
    fn get(&self, hash: &TokenHash) -> Option<Arc<Visitor>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.get(hash).cloned()
    }

    // Under the lock that `clear` takes, so that what has ended meanwhile is not kept.
    fn put(&self, hash: TokenHash, visitor: Visitor, still_good: impl FnOnce() -> bool) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if !still_good() {
            return;
        }
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(hash, Arc::new(visitor));
    }

    pub fn clear(&self) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        known.clear();
    }
}

impl Portreeve {
    /// Makes a share of a record that the caller may share, showing no more than he may read.
    pub async fn create_share(
        &self,
        caller: &Caller,
        request: ShareRequest,
    ) -> Result<StoredShare, ServiceError> {
        self.gate.own_shares(caller)?;
        check_name(&request.name)?;
        let shows = shows(request.role, request.fields)?;
        let shows = shows.ok_or_else(|| {
            ServiceError::invalid("role", "or 'fields' must be sent: what the share shows")
        })?;
        check_times(request.from, request.until, request.max_uses, self.now())?;
        let mut bytes = [0; 16];
        self.entropy.fill(&mut bytes);
        // Whoever knows the id of a share without a password can open it, so nothing in it can be guessed.
        let id = uuid::Builder::from_random_bytes(bytes).into_uuid();
        let id = id.hyphenated().to_string();
        let new = NewShare {
            share: Share {
                id: id.as_str().into(),
                collection: request.collection,
                record: request.record,
                shows,
            },
            name: request.name,
            password: Password::Keep,
            from: request.from,
            until: request.until,
            max_uses: request.max_uses,
        };
        // Before the work of hashing: who may not is told at once.
        self.gate.create_share(caller, new.clone())?;
        let password = self.share_password(request.password.map(Some)).await?;
        let create = self
            .gate
            .create_share(caller, NewShare { password, ..new })?;
        let store = self.store.clone();
        let made = self
            .carry_out(async move { store.create_share(create).await })
            .await??;
        done(made)?;
        self.stored_share(&id).await
    }

    /// Changes one's own share. Whoever has opened it has to open it again, unless only its name or how often it can be
    /// opened is another.
    pub async fn update_share(
        &self,
        caller: &Caller,
        id: &str,
        change: ShareChange,
    ) -> Result<StoredShare, ServiceError> {
        let user = self.gate.own_shares(caller)?;
        let stored = self.store.system().share(id).await?;
        let Some(stored) = stored.filter(|stored| *stored.created_by == *user) else {
            return Err(self.not_own(caller, id).await?);
        };
        let shuts = change.role.is_some()
            || change.fields.is_some()
            || change.password.is_some()
            || change.from.is_some()
            || change.until.is_some();
        let shows = match shows(change.role, change.fields)? {
            Some(shows) => shows,
            None => stored_shows(&stored)?,
        };
        let name = change.name.unwrap_or_else(|| stored.name.clone());
        check_name(&name)?;
        let (from, until) = (
            change.from.unwrap_or(stored.from),
            change.until.unwrap_or(stored.until),
        );
        let known = stored
            .max_uses
            .map(|most| u32::try_from(most).unwrap_or(u32::MAX));
        let max_uses = change.max_uses.unwrap_or(known);
        if change.from.is_some() || change.until.is_some() || change.max_uses.is_some() {
            check_times(from, until, max_uses, i64::MIN)?;
        }
        let new = NewShare {
            share: Share {
                id: stored.id.as_str().into(),
                collection: collection(&stored)?,
                record: stored.record.clone(),
                shows,
            },
            name,
            password: Password::Keep,
            from,
            until,
            max_uses,
        };
        self.gate.update_share(caller, new.clone(), shuts)?;
        let password = self.share_password(change.password).await?;
        let new = NewShare { password, ..new };
        let update = self.gate.update_share(caller, new, shuts)?;
        let store = self.store.clone();
        let made = self
            .carry_out(async move { store.update_share(update).await })
            .await??;
        done(made)?;
        self.stored_share(id).await
    }

    /// Ends a share: one's own, or one whose record in `shares` one may delete. What is open of it is closed.
    pub async fn end_share(&self, caller: &Caller, id: &str) -> Result<(), ServiceError> {
        let end = self.gate.end_share(caller, id)?;
        let store = self.store.clone();
        let made = self
            .carry_out(async move { store.end_share(end).await })
            .await??;
        done(made)
    }

    /// One's own shares, the newest first.
    pub async fn own_shares(&self, caller: &Caller) -> Result<Vec<StoredShare>, ServiceError> {
        let user = self.gate.own_shares(caller)?;
        Ok(self.store.system().shares_of(&user).await?)
    }

    /// One's own share; none where there is none of this id that is one's own. Whoever reads `shares` under rules reads it
    /// as the record it is.
    pub async fn own_share(
        &self,
        caller: &Caller,
        id: &str,
    ) -> Result<Option<StoredShare>, ServiceError> {
        let Ok(user) = self.gate.own_shares(caller) else {
            return Ok(None);
        };
        let stored = self.store.system().share(id).await?;
        Ok(stored.filter(|stored| *stored.created_by == *user))
    }

    /// All shares, the newest first. For the command line.
    pub async fn all_shares(
        &self,
        caller: &Caller,
        limit: u32,
    ) -> Result<Vec<StoredShare>, ServiceError> {
        if !self.gate.is_administrator(caller) {
            return Err(ServiceError::Forbidden);
        }
        Ok(self.store.system().shares(limit).await?)
    }

    /// Whether a share may ask for a password. For the page that opens it: of one that is not there, or cannot be opened any
    /// more, it is told what is told of one with a password.
    pub async fn share_asks_for_password(&self, id: &str) -> Result<bool, ServiceError> {
        self.demand_setup()?;
        let openable = self.openable(id, &RequestFacts::default()).await?;
        Ok(openable.is_none_or(|(_, protected)| protected))
    }

    /// Opens a share. Whether it is unknown, not yet or no longer to be opened, used up, or the password wrong makes no
    /// difference to the answer, nor to the work behind it.
    pub async fn open_share(
        &self,
        id: &str,
        password: Option<&str>,
        request: &RequestFacts,
    ) -> Result<Opened, ServiceError> {
        self.demand_setup()?;
        // Counted before anything is tried, known or not.
        let counted = format!("share {}", id.to_ascii_lowercase());
        let trial = self.try_sign_in(&counted, None, request.ip).await?;
        let hash = self.store.system().share_password(id).await?;
        let openable = self.openable(id, request).await?;
        let hash = hash.filter(|_| openable.is_some());
        let verified = match (&openable, password.unwrap_or_default()) {
            (Some((_, false)), _) => Ok(true),
            (_, long) if long.len() > MAX_PASSWORD_BYTES => Ok(false),
            (_, given) => self.passwords.verify(given.to_owned(), hash.clone()).await,
        };
        let verified = match verified {
            Ok(verified) => verified,
            Err(error) => {
                // Nothing was tried.
                self.no_attempt(trial);
                return Err(error);
            }
        };
        let Some((shared, _)) = openable.filter(|_| verified) else {
            tracing::info!(
                ip = request.ip.map(tracing::field::display),
                "a share was not opened"
            );
            return Err(ServiceError::ShareNotOpened);
        };
        let opened = self.begin_visit(id, shared, hash, request).await;
        match &opened {
            Ok(_) => self.signed_in(trial, &counted, request.ip),
            Err(ServiceError::ShareNotOpened) => {}
            Err(_) => self.no_attempt(trial),
        }
        opened
    }

    async fn begin_visit(
        &self,
        id: &str,
        mut shared: Shared,
        verified: Option<String>,
        request: &RequestFacts,
    ) -> Result<Opened, ServiceError> {
        let mut again = true;
        loop {
            let token = tokens::new_share_token(&*self.entropy);
            let expires = self.now().saturating_add(LIFE);
            let hash = tokens::hash(&token);
            let open = self
                .gate
                .open_share(&shared, verified.clone(), hash, expires, AT_MOST);
            let (store, audited) = (self.store.clone(), self.audit_sign_ins);
            let made = self
                .carry_out(async move { store.open_share(open, audited).await })
                .await?;
            let share = shared.share();
            match made {
                Ok(()) => {
                    let until = self.store.system().share(id).await?;
                    let until = until.and_then(|stored| stored.until).unwrap_or(expires);
                    return Ok(Opened {
                        share: Arc::clone(&share.id),
                        collection: share.collection.to_string(),
                        record: share.record.clone(),
                        token,
                        expires: expires.min(until),
                    });
                }
                // Rights have changed while the password was verified.
                Err(StoreError::VersionChanged) if again => again = false,
                Err(StoreError::Gone) => return Err(ServiceError::ShareNotOpened),
                Err(other) => return Err(other.into()),
            }
            let now = self.openable(id, request).await?;
            shared = now.ok_or(ServiceError::ShareNotOpened)?.0;
        }
    }

    // Whoever would have opened a share, and whether it has a password; none where it cannot be opened now.
    async fn openable(
        &self,
        id: &str,
        request: &RequestFacts,
    ) -> Result<Option<(Shared, bool)>, ServiceError> {
        let Some(stored) = self.store.system().share(id).await? else {
            return Ok(None);
        };
        let now = self.now();
        let begun = stored.from.is_none_or(|from| from <= now);
        let left = stored.max_uses.is_none_or(|most| stored.times_used < most);
        if !begun || !left {
            return Ok(None);
        }
        let shared = self.visit(&stored, now, request.clone()).await?;
        Ok(shared.map(|shared| (shared, stored.protected)))
    }

    // Whoever sees a share, with the present rights of its creator.
    async fn visit(
        &self,
        stored: &StoredShare,
        now: i64,
        request: RequestFacts,
    ) -> Result<Option<Shared>, ServiceError> {
        if stored.until.is_some_and(|until| until <= now) {
            return Ok(None);
        }
        let account = self.store.system();
        let account = account.credential_facts(&stored.created_by).await?;
        let Some(account) = account.filter(|account| account.status == ACTIVE) else {
            return Ok(None);
        };
        let share = Share {
            id: stored.id.as_str().into(),
            collection: collection(stored)?,
            record: stored.record.clone(),
            shows: stored_shows(stored)?,
        };
        let share = Arc::new(share);
        Ok(self.gate.shared(&account.facts, share, now, request))
    }

    /// Who looks at a share by its token, with what its creator may read at this moment.
    pub async fn shared(&self, token: &str, request: RequestFacts) -> Result<Shared, ServiceError> {
        self.demand_setup()?;
        let (now, hash) = (self.now(), tokens::hash(token));
        if let Some(known) = self.callers.visitors.get(&hash)
            && known.expires > now
            && self.callers.hold_under(self.store.informed())
            && self.gate.is_current_share(&known.shared, now)
        {
            return Ok(self.gate.shared_at(&known.shared, now, request));
        }
        let system = self.store.system();
        let before = system.revocations();
        let found = system.share_of_token(&hash).await?;
        let (stored, expires) = found.ok_or(ServiceError::InvalidToken)?;
        if expires <= now || stored.from.is_some_and(|from| from > now) {
            return Err(ServiceError::InvalidToken);
        }
        let shared = self.visit(&stored, now, request).await?;
        let shared = shared.ok_or(ServiceError::InvalidToken)?;
        let visitor = Visitor {
            shared: shared.clone(),
            expires: stored.until.map_or(expires, |until| until.min(expires)),
        };
        let still_good = || system.revocations() == before;
        self.callers.visitors.put(hash, visitor, still_good);
        Ok(shared)
    }

    /// Whether a token is one of a share, by its looks.
    pub fn is_of_share(&self, token: &str) -> bool {
        tokens::is_of_share(token)
    }

    pub(crate) async fn close_share(&self, token: &str) -> Result<(), ServiceError> {
        let (store, hash) = (self.store.clone(), tokens::hash(token));
        let closed = self
            .carry_out(async move { store.system().close_share(hash).await })
            .await??;
        if closed {
            Ok(())
        } else {
            Err(ServiceError::InvalidToken)
        }
    }

    async fn stored_share(&self, id: &str) -> Result<StoredShare, ServiceError> {
        let stored = self.store.system().share(id).await?;
        // Ended again at once.
        stored.ok_or(ServiceError::NotFound)
    }

    // Somebody else's: forbidden for those who see it, and otherwise not there.
    async fn not_own(&self, caller: &Caller, id: &str) -> Result<ServiceError, ServiceError> {
        let query = RecordQuery {
            collection: CollectionName::main("shares"),
            fields: Some(vec![]),
            expand: vec![],
        };
        let Ok(read) = self.gate.record(Eyes::from(caller), query, id) else {
            return Ok(ServiceError::NotFound);
        };
        let (seen, _) = self.store.read(&read, Seen::default()).await?;
        Ok(if seen.0 {
            ServiceError::Forbidden
        } else {
            ServiceError::NotFound
        })
    }

    async fn share_password(
        &self,
        password: Option<Option<String>>,
    ) -> Result<Password, ServiceError> {
        let Some(password) = password else {
            return Ok(Password::Keep);
        };
        let Some(password) = password else {
            return Ok(Password::None);
        };
        if password.is_empty() || password.len() > MAX_PASSWORD_BYTES {
            return Err(ServiceError::invalid(
                "password",
                "is empty or longer than 1,024 bytes; leave it out to have none",
            ));
        }
        let hash = self.passwords.hash(password, &*self.entropy).await?;
        Ok(Password::Hash(hash))
    }
}

fn done(outcome: ShareOutcome) -> Result<(), ServiceError> {
    match outcome {
        ShareOutcome::Done => Ok(()),
        ShareOutcome::NotFound => Err(ServiceError::NotFound),
        ShareOutcome::Forbidden => Err(ServiceError::Forbidden),
    }
}

fn collection(stored: &StoredShare) -> Result<CollectionName, ServiceError> {
    CollectionName::parse(&stored.collection).map_err(ServiceError::internal)
}

fn stored_shows(stored: &StoredShare) -> Result<Shows, ServiceError> {
    match (&stored.role, &stored.fields) {
        (Some(role), None) => Ok(Shows::Role(role.clone())),
        (None, Some(fields)) => Ok(Shows::Fields(fields.clone())),
        _ => Err(ServiceError::internal("a share has no role and no fields")),
    }
}

fn shows(role: Option<String>, fields: Option<Vec<String>>) -> Result<Option<Shows>, ServiceError> {
    match (role, fields) {
        (None, None) => Ok(None),
        (Some(role), None) => Ok(Some(Shows::Role(role))),
        (None, Some(fields)) => {
            if fields.is_empty() || fields.len() > FIELDS {
                return Err(ServiceError::invalid(
                    "fields",
                    "names no field, or more than 500; [\"*\"] is the whole record",
                ));
            }
            Ok(Some(Shows::Fields(fields)))
        }
        (Some(_), Some(_)) => Err(ServiceError::invalid(
            "role",
            "and 'fields' exclude each other; send one of them",
        )),
    }
}

fn check_name(name: &str) -> Result<(), ServiceError> {
    if name.chars().count() > NAME || name.chars().any(char::is_control) {
        return Err(ServiceError::invalid(
            "name",
            "is longer than 200 characters, or no plain text",
        ));
    }
    Ok(())
}

fn check_times(
    from: Option<i64>,
    until: Option<i64>,
    max_uses: Option<u32>,
    now: i64,
) -> Result<(), ServiceError> {
    if max_uses == Some(0) {
        return Err(ServiceError::invalid("max_uses", "must be 1 at least"));
    }
    if let Some(until) = until
        && (from.is_some_and(|from| until <= from) || until <= now)
    {
        return Err(ServiceError::invalid(
            "until",
            "must be later than 'from', and than now",
        ));
    }
    Ok(())
}
