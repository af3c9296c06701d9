//! When sessions were used: noted in memory, at most once a minute for each, and written down all together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use portreeve_model::MICROS;
use portreeve_store::SessionUse;

use crate::{Portreeve, ServiceError};

/// A use within this time of the one before is not noted.
pub(crate) const MINUTE: i64 = 60 * MICROS;

/// So long after a session has ended for want of use it is still kept, since another node may know of a later use.
pub(crate) const SLACK: i64 = 5 * MINUTE;

/// So many are noted before they are written; what comes after is noted at its next use.
const AT_MOST: usize = 65_536;

/// Uses that are not written down yet.
#[derive(Default)]
pub(crate) struct Uses(Mutex<HashMap<Arc<str>, Use>>);

#[derive(Clone, Copy)]
struct Use {
    at: i64,
    idle: Option<i64>,
}

impl Uses {
    /// Notes a use of a session that holds so long without one.
    pub fn note(&self, session: &Arc<str>, at: i64, idle: Option<i64>) {
        let mut uses = self.lock();
        if uses.len() < AT_MOST || uses.contains_key(session) {
            let noted = uses.entry(Arc::clone(session)).or_insert(Use { at, idle });
            noted.at = noted.at.max(at);
        }
    }

    /// When a session was last used, as far as that is noted here.
    pub fn last(&self, session: &str) -> Option<i64> {
        self.lock().get(session).map(|noted| noted.at)
    }

    fn take(&self) -> HashMap<Arc<str>, Use> {
        std::mem::take(&mut *self.lock())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Arc<str>, Use>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Portreeve {
    /// Writes down which sessions have been used since the last time. To be called every few seconds, and in the end.
    pub async fn write_uses(&self) -> Result<usize, ServiceError> {
        let taken = self.uses.take();
        if taken.is_empty() {
            return Ok(0);
        }
        let uses: Vec<SessionUse> = taken
            .iter()
            .map(|(session, noted)| SessionUse {
                session: Arc::clone(session),
                used: noted.at,
                idle_expires: noted.idle.map(|idle| noted.at.saturating_add(idle)),
            })
            .collect();
        let count = uses.len();
        if let Err(error) = self.store.system().note_uses(uses).await {
            // The next time.
            for (session, noted) in taken {
                self.uses.note(&session, noted.at, noted.idle);
            }
            return Err(error.into());
        }
        Ok(count)
    }
}
