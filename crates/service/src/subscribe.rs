//! Subscriptions: a caller is told of changes for as long as he may be. Whatever changes his rights is noticed at once,
//! and nothing is told by rights that do not hold any more.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portreeve_gate::{Authorized, Caller, Principal, Subscribe, SubscribeRequest};
use portreeve_model::CollectionName;
use portreeve_policy::RequestFacts;
use portreeve_store::{Taken, Told};
use tokio::sync::watch;

use crate::sessions::Credential;
use crate::throttle::network;
use crate::{Portreeve, ServiceError};

/// How many subscriptions there may be at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SubscriptionLimits {
    /// For one account; for one address, where nobody is signed in.
    pub for_one: usize,
    /// In all.
    pub in_all: usize,
}

impl Default for SubscriptionLimits {
    fn default() -> Self {
        Self {
            for_one: 16,
            in_all: 1_024,
        }
    }
}

/// What a subscriber gets to know.
#[derive(Clone, Debug)]
pub enum Happening {
    /// A change of his list.
    Change(Told),
    /// What he knows may not be how things are: he lists anew and goes on.
    Reset(ResetReason),
    /// It is over.
    End(EndReason),
}

/// Why a subscriber has to list anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ResetReason {
    /// Where he was is not known any more, or never was.
    UnknownPosition,
    /// More has changed at once than is kept.
    TooManyChanges,
    /// His rights, or the collection, are others.
    RightsChanged,
}

impl ResetReason {
    /// As programs read it.
    pub fn code(self) -> &'static str {
        match self {
            Self::UnknownPosition => "unknown_position",
            Self::TooManyChanges => "too_many_changes",
            Self::RightsChanged => "rights_changed",
        }
    }
}

/// Why a subscription is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndReason {
    /// The session has ended.
    SessionEnded,
    /// He may not subscribe to this any more.
    NotAllowed,
    /// He reads more slowly than things change.
    TooSlow,
    /// The server stops.
    Stopping,
    /// Something of ours went wrong.
    Internal,
}

impl EndReason {
    /// As programs read it.
    pub fn code(self) -> &'static str {
        match self {
            Self::SessionEnded => "session_ended",
            Self::NotAllowed => "not_allowed",
            Self::TooSlow => "too_slow",
            Self::Stopping => "stopping",
            Self::Internal => "internal",
        }
    }
}

/// A subscription of one caller to one collection.
pub struct Subscription {
    portreeve: Arc<Portreeve>,
    token: Option<Credential>,
    facts: RequestFacts,
    request: SubscribeRequest,
    caller: Caller,
    // When the session, or a binding, ends.
    until: Option<i64>,
    revocations: u64,
    inner: portreeve_store::Subscription,
    stamp: u32,
    // What has been judged and not been told yet, and behind which change that begins.
    waiting: VecDeque<Told>,
    told: portreeve_store::Position,
    reset: Option<ResetReason>,
    ended: Option<EndReason>,
    resumed: bool,
    rights: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    _place: Place,
}

/// What all subscriptions have in common.
pub(crate) struct Subscriptions {
    limits: SubscriptionLimits,
    places: Mutex<HashMap<Who, usize>>,
    rights: watch::Sender<u64>,
    stopping: watch::Sender<bool>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
enum Who {
    User(Arc<str>),
    Nobody(Option<IpAddr>),
    Operator,
}

// A place among those there are; given back when it goes.
struct Place {
    portreeve: Arc<Portreeve>,
    who: Who,
}

impl Subscriptions {
    pub fn new(limits: SubscriptionLimits) -> Self {
        Self {
            limits,
            places: Mutex::default(),
            rights: watch::Sender::new(0),
            stopping: watch::Sender::new(false),
        }
    }

    /// Says that somebody's rights may have changed. Whoever is told of changes is judged anew before the next one.
    pub fn rights_changed(&self) {
        self.rights.send_modify(|count| *count += 1);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let places = &self.portreeve.subscriptions.places;
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = places.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                places.remove(&self.who);
            }
        }
    }
}

impl Portreeve {
    /// Begins a subscription, behind the place of `last` where that is still known.
    pub async fn subscribe(
        self: &Arc<Self>,
        token: Option<&str>,
        facts: RequestFacts,
        request: SubscribeRequest,
        last: Option<&str>,
    ) -> Result<Subscription, ServiceError> {
        let token = match token {
            Some(token) => Some(self.credential(token, &facts).await?),
            None => None,
        };
        if *self.subscriptions.stopping.borrow() {
            return Err(ServiceError::Busy);
        }
        // Looked at before anything is asked, so that no change in between goes unnoticed.
        let rights = self.subscriptions.rights.subscribe();
        let stopping = self.subscriptions.stopping.subscribe();
        let mut again = true;
        loop {
            let revocations = self.store.system().revocations();
            let (caller, until) = self.admitted(token, facts.clone()).await?;
            let subscribe = self.gate.subscribe(&caller, request.clone())?;
            let place = self.place(&caller, &facts)?;
            let stamp = stamp(&subscribe, &request);
            let from = last.and_then(|id| self.positions.read(id, stamp));
            let inner = match self.store.subscribe(subscribe, from).await {
                Err(portreeve_store::StoreError::VersionChanged) if again => {
                    again = false;
                    continue;
                }
                other => other?,
            };
            let told = inner.position();
            let resumed = from == Some(told);
            let reset = (last.is_some() && !resumed).then_some(ResetReason::UnknownPosition);
            return Ok(Subscription {
                portreeve: Arc::clone(self),
                token,
                facts,
                request,
                caller,
                until,
                revocations,
                inner,
                stamp,
                waiting: VecDeque::new(),
                told,
                reset,
                ended: None,
                resumed,
                rights,
                stopping,
                _place: place,
            });
        }
    }

    /// Ends all subscriptions and lets none begin: the server stops.
    pub fn end_subscriptions(&self) {
        self.subscriptions.stopping.send_replace(true);
    }

    fn place(
        self: &Arc<Self>,
        caller: &Caller,
        facts: &RequestFacts,
    ) -> Result<Place, ServiceError> {
        let who = match caller.principal() {
            Principal::User(user) => Who::User(Arc::clone(user)),
            Principal::Anonymous | Principal::Share { .. } => Who::Nobody(facts.ip.map(network)),
            Principal::Operator => Who::Operator,
        };
        let limits = self.subscriptions.limits;
        let places = &self.subscriptions.places;
        let mut places = places.lock().unwrap_or_else(PoisonError::into_inner);
        if places.get(&who).copied().unwrap_or(0) >= limits.for_one {
            return Err(ServiceError::TooManySubscriptions(limits.for_one));
        }
        if places.values().sum::<usize>() >= limits.in_all {
            return Err(ServiceError::Busy);
        }
        *places.entry(who.clone()).or_insert(0) += 1;
        drop(places);
        Ok(Place {
            portreeve: Arc::clone(self),
            who,
        })
    }
}

impl Subscription {
    /// The collection.
    pub fn collection(&self) -> &CollectionName {
        &self.request.query.collection
    }

    /// Whether it goes on where an earlier one was left.
    pub fn resumed(&self) -> bool {
        self.resumed
    }

    /// The id of the place it has come to: whoever comes back with it misses nothing.
    pub fn id(&self) -> String {
        self.portreeve.positions.id(self.told, self.stamp)
    }

    /// Waits for what there is to tell next. Can be given up and begun again. After an end there is nothing more.
    pub async fn next(&mut self) -> Happening {
        let mut confirmed = false;
        loop {
            if let Some(reason) = self.ended {
                return Happening::End(reason);
            }
            if *self.stopping.borrow() {
                return self.end(EndReason::Stopping);
            }
            // While nobody tells us what other programs change, it is asked of the database each time.
            let informed = confirmed || self.portreeve.store.informed().is_some();
            if !self.is_current() || !informed {
                self.renew().await;
                confirmed = true;
                continue;
            }
            if let Some(reason) = self.reset.take() {
                return Happening::Reset(reason);
            }
            if let Some(told) = self.waiting.pop_front() {
                self.told = told.position;
                return Happening::Change(told);
            }
            self.told = self.inner.position();
            if !self.inner.is_behind() {
                tokio::select! {
                    () = self.inner.changed() => {}
                    // Seen, and still to be answered.
                    _ = self.rights.changed() => self.rights.mark_changed(),
                    _ = self.stopping.changed() => {}
                    () = until(self.until, self.portreeve.now()) => {}
                }
                // Rights may have changed while it waited, and what has happened is judged by those of now.
                confirmed = false;
                continue;
            }
            match self.inner.take(self.portreeve.now()) {
                Ok(Taken::Told(told)) => self.waiting.extend(told),
                Ok(Taken::Missed) => self.reset = Some(ResetReason::TooManyChanges),
                // The new policy is in force in a moment.
                Ok(Taken::Stale) => {
                    tokio::select! {
                        _ = self.rights.changed() => self.rights.mark_changed(),
                        _ = self.stopping.changed() => {}
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a subscription could not be judged");
                    return self.end(EndReason::Internal);
                }
            }
        }
    }

    /// Waits until more has happened than is kept for it.
    pub async fn missed(&self) {
        self.inner.missed().await;
    }

    fn end(&mut self, reason: EndReason) -> Happening {
        self.ended = Some(reason);
        Happening::End(reason)
    }

    fn is_current(&self) -> bool {
        let now = self.portreeve.now();
        !self.rights.has_changed().unwrap_or(true)
            && self.until.is_none_or(|until| until > now)
            && self.portreeve.gate.is_current(&self.caller, now)
            && self.portreeve.store.system().revocations() == self.revocations
    }

    async fn renew(&mut self) {
        self.rights.mark_unchanged();
        self.revocations = self.portreeve.store.system().revocations();
        // What was judged by other rights is judged anew.
        self.waiting.clear();
        self.inner.go_back(self.told);
        let admitted = self
            .portreeve
            .admitted(self.token, self.facts.clone())
            .await;
        let (caller, until) = match admitted {
            Ok(admitted) => admitted,
            Err(ServiceError::InvalidToken) => {
                self.ended = Some(EndReason::SessionEnded);
                return;
            }
            Err(error) => {
                tracing::error!(%error, "a subscriber could not be admitted anew");
                self.ended = Some(EndReason::Internal);
                return;
            }
        };
        let Ok(subscribe) = self.portreeve.gate.subscribe(&caller, self.request.clone()) else {
            self.ended = Some(EndReason::NotAllowed);
            return;
        };
        self.stamp = stamp(&subscribe, &self.request);
        (self.caller, self.until) = (caller, until);
        if !self.inner.renew(subscribe) {
            self.reset = Some(ResetReason::RightsChanged);
        }
    }
}

async fn until(moment: Option<i64>, now: i64) {
    match moment {
        None => std::future::pending().await,
        Some(moment) => {
            let left = u64::try_from(moment.saturating_sub(now)).unwrap_or(0);
            tokio::time::sleep(Duration::from_micros(left)).await;
        }
    }
}

// What a place in the feed belongs to: one caller's rights, and what he has asked for.
fn stamp(subscribe: &Authorized<Subscribe>, request: &SubscribeRequest) -> u32 {
    let mut hasher = DefaultHasher::new();
    match subscribe.principal() {
        Principal::User(user) => user.hash(&mut hasher),
        Principal::Share { share, .. } => (3_u8, share).hash(&mut hasher),
        Principal::Anonymous => 1_u8.hash(&mut hasher),
        Principal::Operator => 2_u8.hash(&mut hasher),
    }
    subscribe.epoch().hash(&mut hasher);
    subscribe.snapshot().version().hash(&mut hasher);
    subscribe.context().roles.hash(&mut hasher);
    request.query.hash(&mut hasher);
    request.values.hash(&mut hasher);
    let hash = hasher.finish();
    (hash ^ (hash >> 32)) as u32
}
