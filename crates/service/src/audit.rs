//! The audit trail: sealing what was written, telling the head of its chain, checking all of it, and reading it from the
//! command line. Over the network it is read as the collection `audit`, under rules.

use std::sync::Arc;

use portreeve_gate::Caller;
use portreeve_model::timestamp;
use portreeve_store::{AuditHead, AuditReport};
use serde_json::{Map, Value as Json};

use crate::export::Pages;
use crate::{Portreeve, ServiceError};

/// Who did what was done by the command line.
const OPERATOR: &str = "operator";

/// Which lines of the audit trail; all that is said has to fit.
#[derive(Clone, Debug, Default)]
pub struct AuditFilter {
    /// From this moment or day on.
    pub since: Option<String>,
    /// By whom: an account by id, key, name, address or number, also one that is gone by its id; or `operator`.
    pub actor: Option<String>,
    /// What was done: `user.create`.
    pub action: Option<String>,
    /// To what, as it stands in the trail.
    pub target: Option<String>,
}

impl Portreeve {
    /// Seals what is committed and not sealed yet; tells how many lines there were.
    pub async fn seal_audit(&self) -> Result<usize, ServiceError> {
        let system = self.store.system();
        let mut sealed = 0;
        loop {
            match system.seal_audit().await? {
                0 => return Ok(sealed),
                more => sealed += more,
            }
        }
    }

    /// The last seal of the audit trail, for the log.
    pub async fn audit_head(&self) -> Result<AuditHead, ServiceError> {
        Ok(self.store.system().audit_head().await?)
    }

    /// Checks all of the audit trail; each of these heads has to be one of its own.
    pub async fn verify_audit(
        &self,
        caller: &Caller,
        noted: &[AuditHead],
    ) -> Result<AuditReport, ServiceError> {
        self.demand_administrator(caller)?;
        Ok(self.store.system().verify_audit(noted).await?)
    }

    /// Gives the lines of the audit trail, oldest first, until `take` says that it is enough.
    pub async fn audit_lines(
        &self,
        caller: &Caller,
        filter: &AuditFilter,
        mut take: impl FnMut(Map<String, Json>) -> bool,
    ) -> Result<(), ServiceError> {
        self.demand_administrator(caller)?;
        let filter = self.audit_filter(caller, filter).await?;
        let found = caller.snapshot().catalog().find_text("audit");
        let audit = Arc::clone(found.ok_or(ServiceError::NotFound)?);
        let mut pages = Pages::of(&audit, filter);
        while let Some(rows) = pages.next(self, caller).await? {
            for row in rows {
                if !take(row) {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn audit_filter(
        &self,
        caller: &Caller,
        filter: &AuditFilter,
    ) -> Result<Option<String>, ServiceError> {
        let mut parts = vec![];
        let mut demand = |field: &str, op: &str, text: &str| {
            parts.push(format!("{field} {op} '{}'", text.replace('\'', "''")));
        };
        if let Some(since) = &filter.since {
            let day = format!("{since}T00:00:00Z");
            let moment = [since, &day]
                .into_iter()
                .find(|text| timestamp(text).is_ok())
                .ok_or_else(|| {
                    let said = "use a day or a moment, such as 2026-11-22 or 2026-11-22T10:00:00Z";
                    ServiceError::invalid("since", said)
                })?;
            demand("at", ">=", moment);
        }
        if let Some(actor) = &filter.actor {
            // One that is gone has its id alone, and the command line is no account whatever accounts are called.
            let known = match actor.as_str() {
                OPERATOR => Err(ServiceError::UnknownUser(actor.clone())),
                name => self.find_user(caller, name).await,
            };
            match known {
                Ok(known) => demand("actor", "=", &known),
                Err(ServiceError::UnknownUser(_)) => demand("actor", "=", actor),
                Err(error) => return Err(error),
            }
        }
        for (field, wanted) in [("action", &filter.action), ("target", &filter.target)] {
            if let Some(wanted) = wanted {
                demand(field, "=", wanted);
            }
        }
        Ok((!parts.is_empty()).then(|| parts.join(" and ")))
    }
}
