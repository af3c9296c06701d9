//! Tables that were there before: found in the database, described beside what the stored policy declares, and looked
//! at again and again, since others change them.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::time::Duration;

use portreeve_model::CollectionName;
use portreeve_policy::{Document, FoundSchema, Note, Problem, Snapshot, describe_existing};
use portreeve_store::{Store, StoreError};

use crate::{Portreeve, ServiceError};

/// So often the tables are looked at without a reason.
const EVERY: Duration = Duration::from_secs(30);

/// What tables were found when they were last looked at; nothing where the database is ours alone.
#[derive(Default)]
pub(crate) struct Existing(RwLock<Option<Arc<FoundSchema>>>);

impl Existing {
    pub async fn find(store: &Store) -> Result<Self, ServiceError> {
        Ok(Self(RwLock::new(store.tables().await?.map(Arc::new))))
    }

    fn found(&self) -> Option<Arc<FoundSchema>> {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn put(&self, found: Option<FoundSchema>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = found.map(Arc::new);
    }

    /// A document with the collections of the tables that were found, and what is to be said about them. `stored` are
    /// the collections in force, whose tables are ours even where the document lets them go.
    pub fn complete(
        &self,
        document: &Document,
        stored: &Document,
    ) -> Result<(Document, Vec<Note>), Vec<Problem>> {
        let Some(found) = self.found() else {
            return complete(document, &BTreeSet::new(), None);
        };
        let in_force: BTreeSet<CollectionName> =
            stored.declared().map(|one| one.name.clone()).collect();
        let clashes: Vec<Problem> = document
            .declared()
            .filter(|one| !in_force.contains(&one.name))
            .filter(|one| {
                let name = Some(one.name.clone());
                found.tables.iter().any(|table| table.own_name() == name)
            })
            .map(|one| Problem {
                place: one.place.clone(),
                code: "reserved_name",
                message: format!(
                    "the database has a table '{}' already, which is a collection without being declared; leave the declaration out, or choose another name",
                    one.name
                ),
            })
            .collect();
        if !clashes.is_empty() {
            return Err(clashes);
        }
        complete(document, &in_force, Some(&found))
    }
}

/// A document with the collections of these tables, for whoever has no store: tests of an access file.
pub fn with_tables(document: &Document, found: &FoundSchema) -> Result<Document, Vec<Problem>> {
    complete(document, &BTreeSet::new(), Some(found)).map(|(document, _)| document)
}

fn complete(
    document: &Document,
    in_force: &BTreeSet<CollectionName>,
    found: Option<&FoundSchema>,
) -> Result<(Document, Vec<Note>), Vec<Problem>> {
    let mut complete = document.clone();
    complete.collections.retain(|one| one.existing.is_none());
    let Some(found) = found else {
        return Ok((complete, vec![]));
    };
    let mut taken = in_force.clone();
    taken.extend(complete.collections.iter().map(|one| one.name.clone()));
    let described = describe_existing(found, &document.existing, &taken)?;
    complete.collections.extend(described.collections);
    Ok((complete, described.notes))
}

/// Looks at the tables now and then, as long as somebody uses them.
pub(crate) async fn watch(portreeve: Weak<Portreeve>) {
    loop {
        tokio::time::sleep(EVERY).await;
        let Some(portreeve) = portreeve.upgrade() else {
            return;
        };
        portreeve.look_at_tables().await;
    }
}

impl Portreeve {
    /// Looks at the tables that were there before, and puts what has become of them in force. Where a rule names what is
    /// gone, everything stays as it was: statements that need it fail, and so allow nothing.
    pub async fn look_at_tables(&self) {
        if let Err(error) = self.take_over_tables().await {
            match error {
                ServiceError::BadPolicy(problems) => {
                    for problem in &problems {
                        tracing::error!(%problem, "the policy does not fit the tables any more");
                    }
                }
                error => tracing::warn!(%error, "the tables could not be looked at"),
            }
        }
    }

    async fn take_over_tables(&self) -> Result<(), ServiceError> {
        let _turn = self.administration.lock().await;
        let found = self.store.tables().await?;
        if found.as_ref() == self.existing.found().as_deref() {
            return Ok(());
        }
        let stored = self.store.system().load_policy().await?;
        let known = Existing(RwLock::new(found.clone().map(Arc::new)));
        let (document, notes) = known
            .complete(&stored.document, &stored.document)
            .map_err(ServiceError::BadPolicy)?;
        let snapshot =
            Snapshot::compile(&document, stored.version).map_err(ServiceError::BadPolicy)?;
        self.existing.put(found);
        self.put_in_force(snapshot).await?;
        tracing::info!("tables have changed and are taken over");
        tell(&notes);
        Ok(())
    }

    /// Puts in force what came of a policy and the tables of now. Subscribers are told by it from now on.
    pub(crate) async fn put_in_force(&self, snapshot: Snapshot) -> Result<(), ServiceError> {
        let snapshot = Arc::new(snapshot);
        match self.store.tables_changed(&snapshot).await {
            // The policy has changed again, and whoever has changed it sees to this.
            Ok(()) | Err(StoreError::VersionChanged) => {}
            Err(error) => return Err(error.into()),
        }
        self.gate.publish(snapshot);
        self.subscriptions.rights_changed();
        Ok(())
    }

    /// What the store answers; where a statement did not fit its table any more, the tables are looked at first, so that
    /// the next attempt is made from what they are now.
    pub(crate) async fn minded<T>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if let Err(StoreError::SchemaChanged) = &answer {
            self.look_at_tables().await;
        }
        answer
    }
}

pub(crate) fn tell(notes: &[Note]) {
    for note in notes {
        tracing::info!(table = note.table, "{}", note.message);
    }
}
