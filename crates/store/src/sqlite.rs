//! The driver for the embedded database.

use std::path::Path;

use portreeve_gate::{
    ApplyPolicy, Authorized, Create, CreateUser, Delete, Read, SetPassword, Update,
};
use portreeve_model::{Collection, FieldId, RecordSink, Value};
use portreeve_policy::{Record, Snapshot};
use std::sync::Arc;

use crate::{
    Account, AccountSummary, Credential, OpenError, ReadOutcome, SessionFacts, StoreError,
    StoreOptions, StoredPolicy, WriteOutcome,
};

/// An open database file.
pub(crate) struct Database {}

impl Database {
    pub fn open(_: &StoreOptions) -> Result<Self, OpenError> {
        Ok(Self {})
    }
    pub fn open_read_only(_: &Path) -> Result<Self, OpenError> {
        Ok(Self {})
    }
    pub async fn read<S: RecordSink + 'static>(
        &self,
        _: &Authorized<Read>,
        _: S,
    ) -> Result<(S, ReadOutcome), StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn create(&self, _: Authorized<Create>) -> Result<WriteOutcome, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn update(&self, _: Authorized<Update>) -> Result<WriteOutcome, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn delete(&self, _: Authorized<Delete>) -> Result<WriteOutcome, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn apply_policy(&self, _: Authorized<ApplyPolicy>) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn create_user(&self, _: Authorized<CreateUser>) -> Result<i64, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn set_password(&self, _: Authorized<SetPassword>) -> Result<u64, StoreError> {
        Err(StoreError::Closed)
    }
    pub fn list_users(&self, _: u32, _: Option<i64>) -> Result<Vec<AccountSummary>, StoreError> {
        Err(StoreError::Closed)
    }
    pub fn find(&self, _: &Collection, _: FieldId, _: &Value) -> Result<Vec<Record>, StoreError> {
        Err(StoreError::Closed)
    }
    pub fn load_policy(&self) -> Result<StoredPolicy, StoreError> {
        Err(StoreError::Closed)
    }
    pub fn credential(&self, _: &str) -> Result<Option<Credential>, StoreError> {
        Err(StoreError::Closed)
    }
    pub fn credential_facts(&self, _: &str) -> Result<Option<Account>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn insert_session(
        &self,
        _: [u8; 32],
        _: &str,
        _: i64,
        _: i64,
    ) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }
    pub fn session(&self, _: &[u8; 32]) -> Result<Option<SessionFacts>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn delete_session(&self, _: [u8; 32]) -> Result<bool, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn expire_sessions(&self, _: i64) -> Result<usize, StoreError> {
        Err(StoreError::Closed)
    }
    pub fn has_administrator(&self, _: &Snapshot) -> Result<bool, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn first_administrator(
        &self,
        _: CreateUser,
        _: Arc<Snapshot>,
    ) -> Result<i64, StoreError> {
        Err(StoreError::Closed)
    }
    pub fn find_user(&self, _: &str) -> Result<Option<String>, StoreError> {
        Err(StoreError::Closed)
    }
    pub fn setting(&self, _: &str) -> Result<Option<String>, StoreError> {
        Err(StoreError::Closed)
    }
    pub async fn set_setting(&self, _: &str, _: &str) -> Result<(), StoreError> {
        Err(StoreError::Closed)
    }
    pub fn digest(&self, _: bool) -> Result<[u8; 32], StoreError> {
        Err(StoreError::Closed)
    }
    pub fn revocations(&self) -> u64 {
        0
    }
}
