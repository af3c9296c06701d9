//! The handle everything else holds.

use std::path::Path;
use std::sync::Arc;

use portreeve_gate::{
    ApplyPolicy, Authorized, Create, CreateUser, Delete, Explain, ListUsers, Read, SetPassword,
    Update,
};
use portreeve_model::{Catalog, CollectionId, FieldId, RecordSink, Value};
use portreeve_policy::{Facts, Record};

use crate::sqlite::Database;
use crate::{
    AccountSummary, OpenError, ReadOutcome, StoreError, StoreOptions, System, WriteOutcome,
};

/// An open data folder. Cheap to clone; the last clone to go ends the writer and releases the folder.
#[derive(Clone)]
pub struct Store {
    pub(crate) database: Arc<Database>,
}

impl Store {
    /// Opens the folder, making it and the product's own tables where they are missing.
    pub fn open(options: StoreOptions) -> Result<Self, OpenError> {
        Ok(Self {
            database: Arc::new(Database::open(&options)?),
        })
    }

    /// Opens the folder for reading beside whoever has it open: the command line beside a running server.
    pub fn open_read_only(folder: &Path) -> Result<Self, OpenError> {
        Ok(Self {
            database: Arc::new(Database::open_read_only(folder)?),
        })
    }

    /// What runs before or beside a caller.
    pub fn system(&self) -> System<'_> {
        System { store: self }
    }

    /// Reads records into `sink`, which comes back with what is to be said about them. Short reads run right here, on
    /// the calling thread; one that turns out long is started over on a thread of its own.
    pub async fn read<S: RecordSink + 'static>(
        &self,
        read: &Authorized<Read>,
        sink: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        self.database.read(read, sink).await
    }

    /// Creates a record.
    pub async fn create(&self, create: Authorized<Create>) -> Result<WriteOutcome, StoreError> {
        self.database.create(create).await
    }

    /// Changes a record.
    pub async fn update(&self, update: Authorized<Update>) -> Result<WriteOutcome, StoreError> {
        self.database.update(update).await
    }

    /// Deletes a record.
    pub async fn delete(&self, delete: Authorized<Delete>) -> Result<WriteOutcome, StoreError> {
        self.database.delete(delete).await
    }

    /// Puts a policy in force: tables, roles, profiles, version and audit in one transaction. Returns the new version.
    /// Publish the compiled snapshot to the gate before acknowledging it.
    pub async fn apply_policy(&self, apply: Authorized<ApplyPolicy>) -> Result<u64, StoreError> {
        self.database.apply_policy(apply).await
    }

    /// Makes an account. Returns its number.
    pub async fn create_user(&self, create: Authorized<CreateUser>) -> Result<i64, StoreError> {
        self.database.create_user(create).await
    }

    /// Gives an account a password and ends its sessions. Returns its new epoch, for [`portreeve_gate::Gate::advance_epoch`].
    pub async fn set_password(&self, set: Authorized<SetPassword>) -> Result<u64, StoreError> {
        self.database.set_password(set).await
    }

    /// Accounts in order of number, after the given number.
    pub async fn list_users(
        &self,
        _list: &Authorized<ListUsers>,
        limit: u32,
        after: Option<i64>,
    ) -> Result<Vec<AccountSummary>, StoreError> {
        self.database.list_users(limit, after)
    }

    /// Related records for an explanation: sees everything, as a rule's own predicates do.
    pub fn facts(&self, explain: &Authorized<Explain>) -> StoreFacts {
        StoreFacts {
            database: Arc::clone(&self.database),
            catalog: Arc::clone(explain.snapshot().catalog()),
        }
    }
}

/// Records as the policy's evaluation in memory reads them.
pub struct StoreFacts {
    database: Arc<Database>,
    catalog: Arc<Catalog>,
}

impl StoreFacts {
    /// The record of that key, with all its fields.
    pub fn record(
        &self,
        collection: CollectionId,
        key: &Value,
    ) -> Result<Option<Record>, StoreError> {
        let field = self.catalog.get(collection).key;
        let found = self
            .database
            .find(self.catalog.get(collection), field, key)?;
        Ok(found.into_iter().next())
    }
}

impl Facts for StoreFacts {
    fn find(&self, collection: CollectionId, field: FieldId, value: &Value) -> Vec<Arc<Record>> {
        match self
            .database
            .find(self.catalog.get(collection), field, value)
        {
            Ok(found) => found.into_iter().map(Arc::new).collect(),
            Err(error) => {
                // The interface has no room for failure; what is missing makes a rule unknown, which never allows.
                tracing::error!(%error, "related records could not be read for an explanation");
                vec![]
            }
        }
    }
}
