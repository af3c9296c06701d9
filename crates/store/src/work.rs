//! What is done in a database, written once for both: record writes and their judgement, the named system statements,
//! the storing of policies. Async functions over two traits that the drivers implement; on SQLite nothing in them ever
//! waits, so that a whole task runs in one go on the writing thread ([`ready`]).

pub(crate) mod access;
pub(crate) mod accounts;
pub(crate) mod audit;
pub(crate) mod change;
pub(crate) mod codes;
pub(crate) mod decisions;
pub(crate) mod health;
pub(crate) mod insight;
pub(crate) mod mail;
pub(crate) mod policy;
pub(crate) mod rebinding;
pub(crate) mod seal;
pub(crate) mod sessions;
pub(crate) mod shares;
pub(crate) mod system;
pub(crate) mod templates;
pub(crate) mod writes;

use std::collections::HashMap;
use std::future::Future;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use portreeve_gate::{Authorized, Principal};
use portreeve_model::{
    Catalog, Clock, Collection, CollectionId, Entropy, FieldId, FieldType, Value,
};

use portreeve_policy::Snapshot;

use crate::StoreError;
use crate::sql::binding::Binding;
use crate::sql::dialect::Dialect;
use crate::sql::fragment::Fragment;

/// A parameter of a named system statement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Parameter<'a> {
    Null,
    /// An integer, a boolean (0, 1), a moment (microseconds since 1970).
    Integer(i64),
    Text(&'a str),
    Bytes(&'a [u8]),
    /// Names to compare with, see [`Dialect::among`].
    List(&'a [&'a str]),
}

impl<'a> From<&'a str> for Parameter<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Parameter<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl From<i64> for Parameter<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl<'a, P: Into<Parameter<'a>>> From<Option<P>> for Parameter<'a> {
    fn from(value: Option<P>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// A row of a named system statement.
#[derive(Debug)]
pub(crate) struct Row(pub Vec<Value>);

impl Row {
    /// The text at this place; an error where there is none, since the statement's column cannot be null.
    pub fn text(&self, place: usize) -> Result<&str, StoreError> {
        self.maybe_text(place).ok_or_else(unexpected)
    }

    pub fn maybe_text(&self, place: usize) -> Option<&str> {
        self.0.get(place).and_then(Value::as_text)
    }

    pub fn integer(&self, place: usize) -> Result<i64, StoreError> {
        self.maybe_integer(place).ok_or_else(unexpected)
    }

    pub fn maybe_integer(&self, place: usize) -> Option<i64> {
        self.0.get(place).and_then(Value::as_integer)
    }

    pub fn boolean(&self, place: usize) -> Result<bool, StoreError> {
        match self.0.get(place) {
            Some(Value::Boolean(bool)) => Ok(*bool),
            Some(Value::Integer(number)) => Ok(*number != 0),
            _ => Err(unexpected()),
        }
    }

    pub fn unsigned(&self, place: usize) -> Result<u64, StoreError> {
        u64::try_from(self.integer(place)?).map_err(|_| unexpected())
    }
}

fn unexpected() -> StoreError {
    StoreError::Corrupt("a table of the product's own holds what it never wrote".into())
}

/// A connection to either database.
pub(crate) trait Connection {
    fn dialect(&self) -> Dialect;

    /// Runs a generated statement that changes nothing; its columns are of these types.
    async fn rows(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        types: &[FieldType],
    ) -> Result<Vec<Vec<Value>>, StoreError>;

    /// Runs a named system statement, written as [`Dialect::system`] says, and gives its rows.
    async fn ask(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, StoreError>;

    /// The same, with the names of the columns; for the accounts, whose columns the policy adds to.
    async fn ask_named(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<(Vec<Arc<str>>, Vec<Row>), StoreError>;

    /// A user's epoch; 0 until something of his changes.
    async fn epoch(&self, user: &str) -> Result<u64, StoreError>;
}

/// A connection inside a transaction.
pub(crate) trait Transaction: Connection {
    fn clock(&self) -> &dyn Clock;
    fn entropy(&self) -> &dyn Entropy;
    fn statements(&self) -> &Statements;

    /// The policy version and the user's epoch in force, which nobody changes before this transaction has ended.
    async fn versions(&self, user: Option<&str>) -> Result<(u64, u64), StoreError>;

    /// The same for whoever is about to change them: nobody else is at work under them.
    async fn alone(&self) -> Result<(), StoreError>;

    /// Says under which policy the transaction writes: whose catalog its tables are from.
    fn under(&self, _snapshot: &Arc<Snapshot>) {}

    /// Sees to it that nobody changes these tables while this transaction judges by them and writes to `written`. Asked
    /// before the first write.
    async fn hold(
        &self,
        catalog: &Catalog,
        written: &[CollectionId],
        looked_into: &[CollectionId],
    ) -> Result<(), StoreError>;

    /// Runs a generated statement that must not fail.
    async fn run(&self, fragment: &Fragment, binding: &Binding<'_>) -> Result<(), StoreError>;

    /// Runs a generated write. One that fails leaves nothing behind, and the transaction goes on; its error names the
    /// fields of a constraint where all of them are among `sent`.
    async fn write(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        collection: &Collection,
        sent: &[FieldId],
    ) -> Result<u64, StoreError>;

    /// The same for an insert; gives the key where the database has made it.
    async fn insert(
        &self,
        fragment: &Fragment,
        binding: &Binding<'_>,
        collection: &Collection,
        sent: &[FieldId],
    ) -> Result<Option<Value>, StoreError>;

    /// Runs a named system statement, and tells how many rows it has changed.
    async fn execute(&self, sql: &str, parameters: &[Parameter<'_>]) -> Result<u64, StoreError>;

    /// Runs statements that change tables.
    async fn change_tables(&self, sql: &str) -> Result<(), StoreError>;

    /// Says that what follows may have to be undone by [`Transaction::undo`], until [`Transaction::release`].
    async fn mark(&self) -> Result<(), StoreError>;

    /// Undoes everything since the mark, which stays.
    async fn undo(&self) -> Result<(), StoreError>;

    /// Forgets the mark.
    async fn release(&self) -> Result<(), StoreError>;
}

/// Ends what began with [`Transaction::mark`]: an error undoes it.
pub(crate) async fn finish<T, X: Transaction>(
    transaction: &X,
    result: Result<T, StoreError>,
) -> Result<T, StoreError> {
    if result.is_err() {
        transaction.undo().await?;
    }
    transaction.release().await?;
    result
}

/// Refuses what was authorized under other rights than those in force.
pub(crate) async fn check_versions<O, X: Transaction>(
    transaction: &X,
    authorized: &Authorized<O>,
) -> Result<(), StoreError> {
    let user = match authorized.principal() {
        Principal::User(user) | Principal::Share { creator: user, .. } => Some(&**user),
        Principal::Anonymous | Principal::Operator => None,
    };
    transaction.under(authorized.snapshot());
    let (version, epoch) = transaction.versions(user).await?;
    let same_epoch = user.is_none() || epoch == authorized.epoch();
    if same_epoch && authorized.snapshot().version() == version {
        Ok(())
    } else {
        Err(StoreError::VersionChanged)
    }
}

/// Statements of writes, by template and the fields an attempt names. Emptied when full.
#[derive(Default)]
pub(crate) struct Statements(Mutex<HashMap<StatementKey, Arc<Fragment>>>);

/// Which statement of which template.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct StatementKey {
    pub template: u64,
    pub part: Part,
    pub fields: Vec<FieldId>,
}

/// A template's statements.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    Write,
    Before,
    After,
    Final,
    Link,
}

const STATEMENTS: usize = 1_024;

impl Statements {
    pub fn get(&self, key: &StatementKey, make: impl FnOnce() -> Fragment) -> Arc<Fragment> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fragment) = known.get(key) {
            return Arc::clone(fragment);
        }
        if known.len() >= STATEMENTS {
            known.clear();
        }
        let fragment = Arc::new(make());
        known.insert(key.clone(), Arc::clone(&fragment));
        fragment
    }

    /// They were made from another catalog.
    pub fn clear(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}

/// Runs a future of the embedded database, which never waits for anything.
pub(crate) fn ready<T>(
    future: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => Err(StoreError::Internal(
            "the embedded database was made to wait".into(),
        )),
    }
}
