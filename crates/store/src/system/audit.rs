//! The audit trail's chain, and what is kept of denials.

use crate::audit::{AuditHead, AuditReport};
use crate::store::{asked, written};
use crate::work::decisions;
use crate::work::seal::{self, Check};
use crate::{KeptDecision, StoreError, System};

impl System<'_> {
    /// Seals audit lines that are committed and not sealed, one batch in one transaction; tells how many there were.
    pub async fn seal_audit(&self) -> Result<usize, StoreError> {
        // Nearly always there is nothing, and then nothing is to be written.
        if !asked!(self.store, connection => seal::waits(connection))? {
            return Ok(0);
        }
        written!(self.store, Shared, writing => seal::seal(writing))
    }

    /// The last seal of the audit trail.
    pub async fn audit_head(&self) -> Result<AuditHead, StoreError> {
        asked!(self.store, connection => seal::head(connection))
    }

    /// Looks at every seal and every line of the audit trail, as of now, a page at a time.
    pub async fn verify_audit(&self, noted: &[AuditHead]) -> Result<AuditReport, StoreError> {
        let mut check = asked!(self.store, connection => Check::begin(connection, noted))?;
        while asked!(self.store, connection => check.seals(connection))? {}
        check.end_of_seals();
        let mut after = i64::MIN;
        while let Some(last) = asked!(self.store, connection => check.lines(connection, after))? {
            after = last;
        }
        after = i64::MIN;
        while let Some(last) = asked!(self.store, connection => check.orphans(connection, after))? {
            after = last;
        }
        Ok(check.finish())
    }

    /// Keeps denials, so that they can be explained later.
    pub async fn keep_decisions(&self, kept: Vec<KeptDecision>) -> Result<(), StoreError> {
        written!(self.store, Shared, writing => decisions::keep(writing, &kept))
    }

    /// A denial that was kept.
    pub async fn decision(&self, id: &str) -> Result<Option<String>, StoreError> {
        asked!(self.store, connection => decisions::find(connection, id))
    }

    /// Forgets denials of before this moment, and the oldest beyond so many; tells how many there were.
    pub async fn forget_decisions(&self, before: i64, most: u32) -> Result<u64, StoreError> {
        let most = i64::from(most);
        written!(self.store, Shared, writing => decisions::forget(writing, before, most))
    }
}
