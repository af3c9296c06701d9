//! The change feed: what was committed to collections, in order, with each record before and after. It is bounded, and
//! whoever falls behind is told so. Nothing of it leaves the store but what a subscription may be told ([`judge`]).
//!
//! A driver publishes into the ring what it has committed, in the order of its commits, before it answers; how it gets
//! to know of it is the driver's business (`sqlite/capture.rs`).

mod judge;

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use portreeve_gate::{Authorized, Subscribe};
use portreeve_model::{Collection, CollectionId, CollectionName, Value};
use portreeve_policy::{Record, Snapshot};
use tokio::sync::watch;

use crate::store::on;
use crate::{Store, StoreError};
pub use judge::{Told, ToldKind};

/// How much of the feed is kept for those who are behind or come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FeedLimits {
    /// So many changes at most.
    pub changes: usize,
    /// So many bytes of records at most, roughly.
    pub bytes: usize,
}

impl Default for FeedLimits {
    fn default() -> Self {
        Self {
            changes: 4_096,
            bytes: 16 * 1024 * 1024,
        }
    }
}

/// A committed change of one record.
#[derive(Debug)]
pub(crate) struct Change {
    /// Its place in the order of all changes.
    pub position: u64,
    /// The collection as it was declared when the change was made: what lays out the values.
    pub collection: Arc<Collection>,
    /// When it was committed.
    pub at: i64,
    /// Which changes were made together: before the first of them is what was, after the last is what is.
    pub transaction: u64,
    /// The record before; none where it was created.
    pub before: Option<Record>,
    /// The record after; none where it was deleted.
    pub after: Option<Record>,
    /// The policy version whose catalog the collection is from.
    pub version: u64,
}

impl Change {
    /// What it takes, roughly.
    pub fn bytes(&self) -> usize {
        let records = self.before.iter().chain(&self.after);
        records.map(bytes).sum::<usize>() + size_of::<Self>()
    }
}

/// What a record takes, roughly.
pub(crate) fn bytes(record: &Record) -> usize {
    let size = |value: &Value| match value {
        Value::Text(text) => size_of::<Value>() + text.len(),
        _ => size_of::<Value>(),
    };
    record.0.iter().map(size).sum()
}

/// Changes in order, where what one transaction does to a record is one change: nobody has seen what was in between.
#[derive(Default)]
pub(crate) struct Together {
    changes: Vec<Option<Change>>,
    // Where a record's change of a transaction is, by the key it has after it.
    last: HashMap<(u64, CollectionId, Value), usize>,
}

impl Together {
    /// One more.
    pub fn add(&mut self, mut change: Change) {
        let (key, collection) = (change.collection.key, change.collection.id);
        let place = |record: &Record| {
            let key = record.get(key).clone();
            (change.transaction, collection, key)
        };
        let earlier = change.before.as_ref().map(place);
        let earlier = earlier.and_then(|place| self.last.remove(&place));
        let later = change.after.as_ref().map(place);
        if let Some(earlier) = earlier.and_then(|place| self.changes[place].take()) {
            change.before = earlier.before;
        }
        // One that comes to nothing is kept as its place, so that what comes after it is part of it.
        if let Some(later) = later {
            self.last.insert(later, self.changes.len());
        }
        self.changes.push(Some(change));
    }

    /// What has come of them.
    pub fn take(self) -> Vec<Change> {
        let changes = self.changes.into_iter().flatten();
        changes
            .filter(|change| change.before != change.after)
            .collect()
    }
}

/// Whether changes of a collection are put into the feed: all that can be subscribed to, and accounts, which rules read.
pub(crate) fn is_captured(collection: &Collection) -> bool {
    let users = || collection.name == CollectionName::main("users");
    (!collection.system || users()) && !collection.is_list_only()
}

/// The changes of late. One for each open store.
#[derive(Debug)]
pub(crate) struct Ring {
    state: RwLock<State>,
    head: watch::Sender<u64>,
    listeners: AtomicUsize,
    limits: FeedLimits,
}

#[derive(Debug)]
struct State {
    changes: VecDeque<Arc<Change>>,
    bytes: usize,
    // Every change behind this position is in the ring.
    base: u64,
    head: u64,
    // Under which policy versions changes are being captured; none while nobody listens.
    captured: Option<Captured>,
    // Changes since the last listener has gone.
    unheard: usize,
}

// The policy version by whose catalog changes are laid out, and the last one known to have the same collections.
#[derive(Clone, Copy, Debug)]
struct Captured {
    by: u64,
    known: u64,
}

impl State {
    // Leaves a place where something is missing; the head behind it.
    fn forget(&mut self) -> u64 {
        self.changes.clear();
        self.bytes = 0;
        self.head += 1;
        self.base = self.head;
        self.head
    }
}

impl Captured {
    fn by(version: u64) -> Self {
        Self {
            by: version,
            known: version,
        }
    }
}

impl Ring {
    pub fn new(limits: FeedLimits) -> Self {
        Self {
            state: RwLock::new(State {
                changes: VecDeque::new(),
                bytes: 0,
                base: 0,
                head: 0,
                captured: None,
                unheard: 0,
            }),
            head: watch::Sender::new(0),
            listeners: AtomicUsize::new(0),
            limits,
        }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn limits(&self) -> FeedLimits {
        self.limits
    }

    /// The policy version by whose catalog changes are being captured.
    pub fn captured(&self) -> Option<u64> {
        self.read().captured.map(|captured| captured.by)
    }

    /// Whether what is captured is what a caller under this policy version may be told of.
    pub fn captures(&self, version: u64) -> bool {
        let captured = self.read().captured;
        captured.is_some_and(|captured| (captured.by..=captured.known).contains(&version))
    }

    /// Says that a policy has the same collections as the one before it.
    pub fn know(&self, version: u64) {
        if let Some(captured) = &mut self.write().captured
            && version == captured.known + 1
        {
            captured.known = version;
        }
    }

    /// Says that from now on changes are captured, laid out by the catalog of this version.
    pub fn capture(&self, version: u64) {
        let mut state = self.write();
        if state.captured.is_none() {
            // What was changed meanwhile is in nobody's feed: older positions lead nowhere.
            state.head += 1;
            state.base = state.head;
        }
        state.captured = Some(Captured::by(version));
        state.unheard = 0;
    }

    /// The same where the changes bring their own positions: begins anew behind `base`.
    pub fn restart(&self, version: u64, base: u64) {
        {
            let mut state = self.write();
            state.changes.clear();
            state.bytes = 0;
            (state.base, state.head) = (base, base);
            state.captured = Some(Captured::by(version));
            state.unheard = 0;
        }
        self.head.send_replace(base);
    }

    /// Says that changes are not captured any more, unless somebody listens. Whoever begins to listen counts himself before
    /// he looks whether they are, so one of the two sees the other.
    pub fn stop_if_abandoned(&self) -> bool {
        let mut state = self.write();
        let abandoned = self.listeners.load(Ordering::Acquire) == 0;
        if abandoned {
            state.captured = None;
            state.forget();
        }
        abandoned
    }

    /// Says that changes are not captured any more.
    pub fn stop(&self) {
        self.cut();
        self.write().captured = None;
    }

    /// Whether nobody has listened for as many changes as are kept, so that nobody can come back for them.
    pub fn is_unheard(&self) -> bool {
        self.listeners.load(Ordering::Acquire) == 0 && self.read().unheard >= self.limits.changes
    }

    /// Forgets everything: there are changes that are not in the feed. Whoever listens is told that he has missed some.
    pub fn cut(&self) {
        let head = self.write().forget();
        self.head.send_replace(head);
    }

    /// Takes up what was committed together, in order. Positions count on from the head, unless the changes bring their
    /// own, which are greater.
    pub fn publish(&self, changes: Vec<Change>) {
        if changes.is_empty() {
            return;
        }
        let heard = self.listeners.load(Ordering::Acquire) > 0;
        let head = {
            let mut state = self.write();
            state.unheard = if heard {
                0
            } else {
                state.unheard.saturating_add(changes.len())
            };
            for mut change in changes {
                change.position = change.position.max(state.head + 1);
                state.head = change.position;
                state.bytes += change.bytes();
                state.changes.push_back(Arc::new(change));
            }
            while state.changes.len() > self.limits.changes || state.bytes > self.limits.bytes {
                let Some(oldest) = state.changes.pop_front() else {
                    break;
                };
                state.bytes -= oldest.bytes();
                state.base = oldest.position;
            }
            state.head
        };
        self.head.send_replace(head);
    }

    /// Up to `most` changes behind a position; none where some of them are not kept any more.
    fn since(&self, position: u64, most: usize) -> Option<Vec<Arc<Change>>> {
        let state = self.read();
        if position < state.base {
            return None;
        }
        let from = state
            .changes
            .partition_point(|change| change.position <= position);
        Some(state.changes.range(from..).take(most).cloned().collect())
    }

    /// What a change and everything that came with or after it has done, in order; without `with`, what came after.
    fn done_since(&self, change: &Change, with: bool) -> Vec<Arc<Change>> {
        let state = self.read();
        let from = if with {
            0
        } else {
            state
                .changes
                .partition_point(|other| other.position <= change.position)
        };
        let wanted = |other: &&Arc<Change>| {
            if other.transaction == change.transaction {
                with
            } else {
                other.position > change.position
            }
        };
        state
            .changes
            .range(from..)
            .filter(wanted)
            .cloned()
            .collect()
    }

    fn covers(&self, position: u64) -> bool {
        let state = self.read();
        (state.base..=state.head).contains(&position)
    }
}

/// A place in the feed, for whoever comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(pub u64);

/// A caller's subscription: the changes of one collection as far as he may be told of them, in order.
pub struct Subscription {
    ring: Arc<Ring>,
    head: watch::Receiver<u64>,
    store: Store,
    subscribe: Authorized<Subscribe>,
    position: u64,
}

/// What comes of waiting for changes.
#[derive(Debug)]
pub enum Taken {
    /// These are told, in order; perhaps none of what has happened.
    Told(Vec<Told>),
    /// Some changes are not kept any more: what was told before is not enough to know how things are. Goes on with
    /// what comes next.
    Missed,
    /// The collection has been declared anew since the subscription was authorized: [`Subscription::renew`] it.
    Stale,
}

/// How many changes are judged at a time.
const BATCH: usize = 64;

impl Store {
    /// What positions are hidden with where several programs give them out; none where they are this one's own and
    /// mean nothing after it.
    pub async fn feed_secret(&self) -> Result<Option<Vec<u8>>, StoreError> {
        on!(self, database => {
            let _ = database;
            Ok(None)
        }, database.feed_secret().await.map(Some))
    }

    /// Says that tables are not what they were under the same policy version: from now on changes are laid out by this
    /// catalog.
    pub async fn tables_changed(&self, snapshot: &Arc<Snapshot>) -> Result<(), StoreError> {
        on!(self, database => database.tables_changed(snapshot).await, {
            database.tables_changed(snapshot);
            Ok(())
        })
    }

    /// Begins a subscription: from behind a position where it is still known, otherwise from now on. Whether it is
    /// the position that was asked for, [`Subscription::position`] tells.
    pub async fn subscribe(
        &self,
        subscribe: Authorized<Subscribe>,
        from: Option<Position>,
    ) -> Result<Subscription, StoreError> {
        let ring = Arc::clone(on!(self, database => database.ring()));
        // Before it is listened to, so that what is captured for it does not stop again.
        let listening = Listening::to(&ring);
        on!(self, database => database.listen(subscribe.snapshot()).await)?;
        let head = ring.head.subscribe();
        let position = match from {
            Some(Position(from)) if ring.covers(from) => from,
            _ => ring.read().head,
        };
        listening.keep();
        Ok(Subscription {
            ring,
            head,
            store: self.clone(),
            subscribe,
            position,
        })
    }
}

// Counts a listener, and takes him back unless he is kept.
struct Listening<'a>(Option<&'a Ring>);

impl<'a> Listening<'a> {
    fn to(ring: &'a Ring) -> Self {
        ring.listeners.fetch_add(1, Ordering::AcqRel);
        Self(Some(ring))
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Listening<'_> {
    fn drop(&mut self) {
        if let Some(ring) = self.0 {
            ring.listeners.fetch_sub(1, Ordering::AcqRel);
        }
    }
}

impl Subscription {
    /// What it was authorized for.
    pub fn subscribe(&self) -> &Authorized<Subscribe> {
        &self.subscribe
    }

    /// Behind which change it stands.
    pub fn position(&self) -> Position {
        Position(self.position)
    }

    /// Whether something has happened, to whatever collection, that it has not come to.
    pub fn is_behind(&self) -> bool {
        self.ring.read().head > self.position
    }

    /// Waits until something has happened, to whatever collection. Can be given up and begun again.
    pub async fn changed(&mut self) {
        let position = self.position;
        // The ring outlives this, so there always is somebody to hear from.
        let _ = self.head.wait_for(|head| *head > position).await;
    }

    /// Waits until something has been missed: the feed has gone on without this one. Can be given up and begun again.
    pub async fn missed(&self) {
        let mut head = self.head.clone();
        while self.ring.read().base <= self.position {
            if head.changed().await.is_err() {
                return;
            }
        }
    }

    /// What there is to tell of what has happened, judged by the rights it was authorized with, at this moment.
    pub fn take(&mut self, now: i64) -> Result<Taken, StoreError> {
        let Some(changes) = self.ring.since(self.position, BATCH) else {
            self.position = self.ring.read().head;
            return Ok(Taken::Missed);
        };
        let mut told = vec![];
        for change in &changes {
            let collection = self.subscribe.operation().collection();
            if change.collection.name == collection.name {
                if !change.collection.same_shape(collection) {
                    if change.version > self.subscribe.snapshot().version() {
                        return Ok(if told.is_empty() {
                            Taken::Stale
                        } else {
                            Taken::Told(told)
                        });
                    }
                    // From before the collection was declared as it is now.
                    self.position = change.position;
                    return Ok(Taken::Missed);
                }
                let judge = judge::Judge::new(&self.ring, &self.store, &self.subscribe, now);
                match judge.tell(change, &mut told) {
                    Ok(()) => {}
                    Err(error) if told.is_empty() => return Err(error),
                    // What is known is told first.
                    Err(_) => break,
                }
            }
            self.position = change.position;
        }
        Ok(Taken::Told(told))
    }

    /// Goes back to where it has been: what was taken since then is judged anew.
    pub fn go_back(&mut self, position: Position) {
        self.position = self.position.min(position.0);
    }

    /// Goes on under rights that were authorized later for the same caller. Whether it tells the same of every record
    /// as before; if not, what was told before does not show how things are for him now.
    pub fn renew(&mut self, subscribe: Authorized<Subscribe>) -> bool {
        let same = self.subscribe.tells_the_same(&subscribe);
        self.subscribe = subscribe;
        same
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.ring.listeners.fetch_sub(1, Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use portreeve_model::{Catalog, Field, FieldId, FieldType, KeySource};

    use super::*;

    fn collection() -> Arc<Collection> {
        let catalog = Catalog::new(vec![Collection {
            id: portreeve_model::CollectionId(0),
            name: CollectionName::main("notes"),
            table: "notes".into(),
            system: false,
            key: FieldId(0),
            key_source: KeySource::Sequence,
            fields: vec![Field {
                name: "id".into(),
                ty: FieldType::Integer,
                nullable: false,
                unique: true,
                default: None,
                relation: None,
                self_writable: false,
                kept: None,
                existing: None,
            }],
            relations: vec![],
            indexes: vec![],
            existing: None,
        }]);
        Arc::clone(catalog.get(portreeve_model::CollectionId(0)))
    }

    fn change(key: i64) -> Change {
        Change {
            position: 0,
            collection: collection(),
            at: 0,
            transaction: 0,
            before: None,
            after: Some(Record(vec![Value::Integer(key)])),
            version: 1,
        }
    }

    fn keys(changes: &[Arc<Change>]) -> Vec<i64> {
        let key = |change: &Arc<Change>| change.after.as_ref()?.get(FieldId(0)).as_integer();
        changes.iter().filter_map(key).collect()
    }

    #[test]
    fn the_ring_keeps_what_fits_and_knows_what_it_has_lost() {
        let ring = Ring::new(FeedLimits {
            changes: 3,
            ..FeedLimits::default()
        });
        ring.capture(1);
        let start = ring.read().head;
        ring.publish(vec![change(1), change(2)]);
        let seen = ring.since(start, 10).expect("all of it is there");
        assert_eq!(keys(&seen), [1, 2]);
        assert_eq!(keys(&ring.since(start, 1).expect("as many as wanted")), [1]);
        ring.publish(vec![change(3), change(4)]);
        assert!(ring.since(start, 10).is_none(), "the first one is gone");
        let rest = ring.since(seen[0].position, 10).expect("the rest is there");
        assert_eq!(keys(&rest), [2, 3, 4]);
        assert!(!ring.covers(start) && ring.covers(seen[0].position));
        assert!(!ring.covers(ring.read().head + 1), "what has not happened");
    }

    #[test]
    fn the_ring_is_bounded_by_bytes_too() {
        let ring = Ring::new(FeedLimits {
            changes: 1_000,
            bytes: 10 * change(1).bytes(),
        });
        ring.capture(1);
        ring.publish((0..100).map(change).collect());
        let base = ring.read().base;
        let kept = ring.since(base, 1_000).expect("what is kept");
        assert_eq!(keys(&kept), (90..100).collect::<Vec<_>>());
    }

    #[test]
    fn nobody_stops_what_somebody_has_begun_to_listen_to() {
        let ring = Ring::new(FeedLimits::default());
        ring.capture(1);
        let listening = Listening::to(&ring);
        assert!(!ring.stop_if_abandoned());
        assert_eq!(ring.captured(), Some(1));
        drop(listening);
        assert!(ring.stop_if_abandoned());
        assert_eq!(ring.captured(), None);
    }

    #[test]
    fn what_happened_unseen_lies_between_two_captures() {
        let ring = Ring::new(FeedLimits::default());
        ring.capture(1);
        ring.publish(vec![change(1)]);
        let seen = ring.read().head;
        assert!(ring.covers(seen));
        ring.stop();
        ring.capture(1);
        assert!(!ring.covers(seen));
        assert!(ring.since(seen, 10).is_none());
    }
}
