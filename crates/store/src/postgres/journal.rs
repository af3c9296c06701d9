//! What a transaction changes in tables that were there before. Other people's tables have no triggers of ours, so whoever
//! changes their records through us writes it down himself: each record before its first change, and before the commit
//! each of them as it is then. What was undone on the way is no change; what their own triggers make of a record is.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use futures_util::future::{join, try_join_all};
use portreeve_model::{Catalog, Collection, CollectionId, FieldId, FieldType, OnDelete, Value};
use portreeve_policy::{Context, Record, Snapshot};

use super::error::failure;
use super::feed::{note_loss, text_of};
use super::session::{Session, Writing, decoded};
use crate::StoreError;
use crate::feed::{FeedLimits, bytes, is_captured};
use crate::sql::binding::Binding;
use crate::sql::dialect::Dialect;
use crate::sql::fragment::Fragment;
use crate::sql::write;
use crate::work::Connection;

/// So many records are read at once before the commit.
const AT_ONCE: usize = 256;

const NOTE: &str = "INSERT INTO portreeve.changes (\"version\", \"schema\", \"table\", \"before\", \"after\") \
    SELECT p.\"version\", n.s, n.t, n.b::json, n.a::json FROM portreeve.policy p, \
    unnest($1::text[], $2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS n (s, t, b, a, place) ORDER BY n.place";

/// What one transaction has touched.
pub(super) struct Journal {
    limits: FeedLimits,
    // Whose catalog the tables are from.
    snapshot: OnceLock<Arc<Snapshot>>,
    heard: AtomicBool,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    entries: Vec<Entry>,
    known: HashSet<(CollectionId, Value)>,
    bytes: usize,
    // How many entries there were at each mark that may be gone back to.
    marks: Vec<usize>,
}

enum Entry {
    Touched(Touched),
    /// Something has changed that is not told record by record.
    Lost,
}

struct Touched {
    collection: Arc<Collection>,
    key: Value,
    before: Option<Record>,
}

impl Touched {
    fn place(&self) -> (CollectionId, Value) {
        (self.collection.id, self.key.clone())
    }

    fn bytes(&self) -> usize {
        self.before.as_ref().map_or(0, bytes) + size_of::<Self>()
    }
}

/// What there was before a statement that is about to run.
#[derive(Default)]
pub(super) struct Before {
    wanted: bool,
    record: Option<Record>,
    // What the statement takes along by foreign keys.
    others: Vec<Touched>,
    lost: bool,
}

impl Journal {
    pub fn new(limits: FeedLimits) -> Self {
        Self {
            limits,
            snapshot: OnceLock::new(),
            heard: AtomicBool::new(false),
            state: Mutex::default(),
        }
    }

    /// Says under which policy the transaction writes.
    pub fn under(&self, snapshot: &Arc<Snapshot>) {
        self.snapshot.get_or_init(|| Arc::clone(snapshot));
    }

    /// Says whether anybody on any node listens.
    pub fn hear(&self, heard: bool) {
        self.heard.store(heard, Ordering::Relaxed);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // The catalog, where what is done to the collection is to be written down.
    fn wants(&self, collection: &Collection) -> Option<&Arc<Catalog>> {
        let wanted = collection.existing.is_some()
            && self.heard.load(Ordering::Relaxed)
            && is_captured(collection)
            && !matches!(self.state().entries.last(), Some(Entry::Lost));
        let snapshot = self.snapshot.get().filter(|_| wanted)?;
        Some(snapshot.catalog())
    }

    fn knows(&self, collection: CollectionId, key: &Value) -> bool {
        self.state().known.contains(&(collection, key.clone()))
    }

    fn add(&self, touched: Touched) {
        let mut state = self.state();
        if matches!(state.entries.last(), Some(Entry::Lost)) || !state.known.insert(touched.place())
        {
            return;
        }
        state.bytes += touched.bytes();
        let full = state.entries.len() >= self.limits.changes || state.bytes > self.limits.bytes;
        state.entries.push(if full {
            Entry::Lost
        } else {
            Entry::Touched(touched)
        });
    }

    fn lose(&self) {
        self.state().entries.push(Entry::Lost);
    }

    pub fn mark(&self) {
        let mut state = self.state();
        let entries = state.entries.len();
        state.marks.push(entries);
    }

    /// What was touched since the mark is as it was.
    pub fn undo(&self) {
        let mut state = self.state();
        let kept = state.marks.last().copied().unwrap_or(0);
        if state.entries.len() > kept {
            state.entries.truncate(kept);
            let touched = state.entries.iter().filter_map(|entry| match entry {
                Entry::Touched(touched) => Some(touched),
                Entry::Lost => None,
            });
            let (known, bytes) = touched.fold((HashSet::new(), 0), |(mut known, bytes), one| {
                known.insert(one.place());
                (known, bytes + one.bytes())
            });
            (state.known, state.bytes) = (known, bytes);
        }
    }

    pub fn release(&self) {
        self.state().marks.pop();
    }

    fn take(&self) -> Vec<Entry> {
        std::mem::take(&mut self.state().entries)
    }
}

// The fields of other tables that point at a collection, and the field they point at.
fn pointing(
    catalog: &Catalog,
    at: CollectionId,
) -> impl Iterator<Item = (&Arc<Collection>, FieldId, FieldId, OnDelete)> {
    catalog
        .iter()
        .filter(|one| one.existing.is_some() && is_captured(one))
        .flat_map(move |one| {
            one.field_ids().filter_map(move |field| {
                let relation = one.field(field).relation?;
                (relation.target == at).then_some((one, field, relation.by, relation.on_delete))
            })
        })
}

fn types(collection: &Collection) -> Vec<FieldType> {
    collection.fields.iter().map(|field| field.ty).collect()
}

impl Writing {
    /// What an update or a deletion is about to change, as far as it is to be told.
    pub(super) async fn before(
        &self,
        collection: &Collection,
        binding: &Binding<'_>,
    ) -> Result<Before, StoreError> {
        let (Some(catalog), Some(key)) = (self.journal().wants(collection), binding.key) else {
            return Ok(Before::default());
        };
        let mut before = Before {
            wanted: true,
            ..Before::default()
        };
        let deletes = binding.assigned.is_empty();
        let changes =
            |by: FieldId| deletes || binding.assigned.iter().any(|(assigned, _)| *assigned == by);
        if pointing(catalog, collection.id).any(|(_, _, by, _)| changes(by)) {
            let own = catalog.get(collection.id);
            // Whoever points at it from now on waits for the end.
            if deletes && !self.may_lock(own).await? {
                before.lost = true;
                return Ok(before);
            }
            before.record = self.look(own, key, deletes, binding.context).await?;
            if let Some(record) = before.record.clone() {
                let first: Vec<Option<FieldId>> = if deletes {
                    vec![None]
                } else {
                    let assigned = binding.assigned.iter();
                    assigned.map(|(field, _)| Some(*field)).collect()
                };
                self.take_along(catalog, own, record, first, binding.context, &mut before)
                    .await?;
            }
        } else if !deletes && !self.journal().knows(collection.id, key) {
            // It is locked already: an update looks at its record first.
            before.record = self.look(collection, key, false, binding.context).await?;
        }
        Ok(before)
    }

    /// Takes down what a statement has changed.
    pub(super) fn after(
        &self,
        collection: &Collection,
        key: &Value,
        before: Before,
        deleted: Option<&tokio_postgres::Row>,
    ) -> Result<(), StoreError> {
        let Some(catalog) = self.journal().wants(collection).filter(|_| before.wanted) else {
            return Ok(());
        };
        if before.lost {
            self.journal().lose();
            return Ok(());
        }
        let deleted = deleted.map(|row| decoded(row, &types(collection)));
        let record = match deleted.transpose()? {
            Some(values) => Some(Record(values)),
            None => before.record,
        };
        self.journal().add(Touched {
            collection: Arc::clone(catalog.get(collection.id)),
            key: key.clone(),
            before: record,
        });
        for other in before.others {
            self.journal().add(other);
        }
        Ok(())
    }

    /// Takes down a record that was made.
    pub(super) fn made(&self, collection: &Collection, key: Value) {
        if let Some(catalog) = self.journal().wants(collection) {
            self.journal().add(Touched {
                collection: Arc::clone(catalog.get(collection.id)),
                key,
                before: None,
            });
        }
    }

    // Everything that changes with a record by foreign keys, and with that in turn. `changed` are the fields of it that
    // change, or nothing where it goes.
    async fn take_along(
        &self,
        catalog: &Catalog,
        collection: &Arc<Collection>,
        record: Record,
        changed: Vec<Option<FieldId>>,
        context: &Context,
        before: &mut Before,
    ) -> Result<(), StoreError> {
        let mut waiting: Vec<(Arc<Collection>, Record, Option<FieldId>)> = changed
            .into_iter()
            .map(|field| (Arc::clone(collection), record.clone(), field))
            .collect();
        let mut seen = HashSet::new();
        while let Some((collection, record, changed)) = waiting.pop() {
            for (child, field, by, on_delete) in pointing(catalog, collection.id) {
                let value = record.get(by);
                if changed.is_some_and(|changed| changed != by) || value.is_null() {
                    continue;
                }
                if !self.may_lock(child).await? {
                    before.lost = true;
                    return Ok(());
                }
                let goes = changed.is_none() && on_delete == OnDelete::Cascade;
                for found in self.pointing_at(child, field, value, context).await? {
                    let key = found.get(child.key).clone();
                    if !seen.insert((child.id, key.clone(), (!goes).then_some(field))) {
                        continue;
                    }
                    // Under another key it would not be found again.
                    before.lost |= !goes && child.names_record(field);
                    before.lost |= seen.len() >= self.journal().limits.changes;
                    if before.lost {
                        return Ok(());
                    }
                    let changed = (!goes).then_some(field);
                    waiting.push((Arc::clone(child), found.clone(), changed));
                    before.others.push(Touched {
                        collection: Arc::clone(child),
                        key,
                        before: Some(found),
                    });
                }
            }
        }
        Ok(())
    }

    // Locking a row takes a right that deleting it does not.
    async fn may_lock(&self, collection: &Collection) -> Result<bool, StoreError> {
        let table = Dialect::Postgres.table(collection);
        let sql = "SELECT pg_catalog.has_any_column_privilege(?1, 'UPDATE')";
        let rows = self.ask(sql, &[(&table).into()]).await?;
        rows.first().map_or(Ok(false), |row| row.boolean(0))
    }

    async fn look(
        &self,
        collection: &Collection,
        key: &Value,
        lock: bool,
        context: &Context,
    ) -> Result<Option<Record>, StoreError> {
        let fragment = looking(collection, lock);
        let binding = Binding {
            key: Some(key),
            ..Binding::new(context)
        };
        let rows = self.rows(&fragment, &binding, &types(collection)).await?;
        Ok(rows.into_iter().next().map(Record))
    }

    // One more than is kept tells that there are too many.
    async fn pointing_at(
        &self,
        collection: &Collection,
        field: FieldId,
        value: &Value,
        context: &Context,
    ) -> Result<Vec<Record>, StoreError> {
        let fragment = write::pointing(Dialect::Postgres, collection, field);
        let most = self.journal().limits.changes.saturating_add(1);
        let binding = Binding {
            key: Some(value),
            limit: i64::try_from(most).unwrap_or(i64::MAX),
            ..Binding::new(context)
        };
        let rows = self.rows(&fragment, &binding, &types(collection)).await?;
        Ok(rows.into_iter().map(Record).collect())
    }

    /// Writes down what has changed. The last thing before the commit.
    pub(super) async fn note(&self) -> Result<(), StoreError> {
        let entries = self.journal().take();
        if entries.is_empty() {
            return Ok(());
        }
        // What a trigger has put off until the commit changes records too.
        self.batch("SET CONSTRAINTS ALL IMMEDIATE").await?;
        let mut touched = vec![];
        for entry in entries {
            match entry {
                Entry::Touched(one) => touched.push(one),
                Entry::Lost => return note_loss(self).await,
            }
        }
        let notes = self.notes(touched).await?;
        if notes.schemas.is_empty() {
            return Ok(());
        }
        let session = self.session()?;
        let statement = session.prepare(NOTE).await?;
        let client = session.client();
        let told = client.batch_execute("SELECT pg_notify('portreeve', 'changes')");
        let (noted, told) = join(
            client.execute(
                &statement,
                &[&notes.schemas, &notes.tables, &notes.before, &notes.after],
            ),
            told,
        )
        .await;
        noted.map_err(failure)?;
        told.map_err(failure)
    }

    async fn notes(&self, touched: Vec<Touched>) -> Result<Notes, StoreError> {
        let session = self.session()?;
        let context = Context::default();
        let mut looks: HashMap<CollectionId, Fragment> = HashMap::new();
        for one in &touched {
            looks
                .entry(one.collection.id)
                .or_insert_with(|| looking(&one.collection, false));
        }
        let mut notes = Notes::default();
        for part in touched.chunks(AT_ONCE) {
            let now = part
                .iter()
                .map(|one| now(session, &looks[&one.collection.id], one, &context));
            for (one, now) in part.iter().zip(try_join_all(now).await?) {
                if one.before != now {
                    notes.add(one, now.as_ref());
                }
            }
        }
        Ok(notes)
    }
}

fn looking(collection: &Collection, lock: bool) -> Fragment {
    let catalog = Catalog::default();
    let dialect = Dialect::Postgres;
    if lock {
        write::look(dialect, &catalog, collection, &[], &[])
    } else {
        write::look_again(dialect, &catalog, collection, collection.key, &[], &[])
    }
}

async fn now(
    session: &Session,
    look: &Fragment,
    touched: &Touched,
    context: &Context,
) -> Result<Option<Record>, StoreError> {
    let binding = Binding {
        key: Some(&touched.key),
        ..Binding::new(context)
    };
    let rows = session
        .rows(look, &binding, &types(&touched.collection))
        .await?;
    Ok(rows.into_iter().next().map(Record))
}

#[derive(Default)]
struct Notes {
    schemas: Vec<String>,
    tables: Vec<String>,
    before: Vec<Option<String>>,
    after: Vec<Option<String>>,
}

impl Notes {
    fn add(&mut self, touched: &Touched, now: Option<&Record>) {
        let collection = &touched.collection;
        self.schemas.push(Dialect::schema(collection).to_owned());
        let table = Dialect::Postgres.bare_table(collection);
        self.tables.push(table.to_owned());
        let before = touched.before.as_ref();
        self.before
            .push(before.map(|record| text_of(collection, record)));
        self.after
            .push(now.map(|record| text_of(collection, record)));
    }
}
