//! Denials, remembered by the id that their caller was given: the latest in memory, and as many as the settings say in
//! the database. Nothing of a record is kept and nothing that was sent, but for the names in the request's address.

mod explained;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use portreeve_gate::{Eyes, Principal};
use portreeve_model::MICROS;
use portreeve_policy::RequestFacts;
use portreeve_store::KeptDecision;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{Portreeve, ServiceError, codes};

pub use explained::ExplainedDecision;

/// So many are remembered in memory.
const REMEMBERED: usize = 4_096;

/// So many wait to be written at most; a database that is away for long costs the others.
const WAITING: usize = 8_192;

/// So many bytes of a name or key that somebody has sent are kept.
const LONGEST: usize = 200;

const MINUTE: i64 = 60 * MICROS;
const DAY: i64 = 24 * 60 * MINUTE;

/// Which denials are kept in the database, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DenialOptions {
    /// One in so many; 0 for none.
    pub one_in: u32,
    /// At most so many in a minute: whoever is denied can ask as often as he likes.
    pub per_minute: u32,
    /// At most so many in all.
    pub most: u32,
    /// For so many days.
    pub days: u32,
}

impl Default for DenialOptions {
    fn default() -> Self {
        Self {
            one_in: 1,
            per_minute: 600,
            most: 100_000,
            days: 30,
        }
    }
}

/// What was asked for, as far as the face can tell.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeniedAsk {
    /// The action: `data.read.one`.
    pub action: Option<String>,
    /// The collection as it was named.
    pub collection: Option<String>,
    /// The record's key as it was sent.
    pub key: Option<String>,
}

/// Who was denied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DeniedPrincipal {
    /// An account.
    User,
    /// Nobody signed in.
    Anonymous,
    /// Whoever has opened a share; `user` is the share's id.
    Share,
    /// The command line.
    Operator,
    /// It came to an end before it was known who asked.
    Unknown,
}

/// A denial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denial {
    /// The id its caller was given.
    pub id: Uuid,
    /// When, microseconds since 1970; as JSON a moment like any other.
    #[serde(with = "moment")]
    pub at: i64,
    /// What its caller was told: the code of an error.
    pub answer: String,
    /// Who it was.
    pub principal: DeniedPrincipal,
    /// The account.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub user: Option<String>,
    /// Whether he had less than his own rights.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub narrowed: bool,
    /// The face.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub face: Option<String>,
    /// The face's own name for what was asked.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub operation: Option<String>,
    /// `GET`, …
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub method: Option<String>,
    /// The client's address.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ip: Option<String>,
    /// The id of the request.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub request: Option<String>,
    /// The action.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub action: Option<String>,
    /// The collection as it was named.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub collection: Option<String>,
    /// The record's key as it was sent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// Whether a name or a key is not kept as it was sent, being too long or no plain text.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub shortened: bool,
    /// The policy version it was decided under.
    pub policy_version: u64,
}

mod moment {
    use portreeve_model::{timestamp, timestamp_text};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub fn serialize<S: Serializer>(at: &i64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&timestamp_text(*at))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
        let text = String::deserialize(deserializer)?;
        timestamp(&text).map_err(|_| D::Error::custom("no moment"))
    }
}

/// What is remembered.
pub(crate) struct Decisions {
    options: DenialOptions,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    ring: VecDeque<Arc<Denial>>,
    waiting: VecDeque<Arc<Denial>>,
    seen: u64,
    minute: i64,
    in_minute: u32,
    // Those that the bounds have cost, since it was last told.
    left_out: u64,
}

impl Decisions {
    pub fn new(options: DenialOptions) -> Self {
        Self {
            options,
            inner: Mutex::default(),
        }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, denial: Denial) {
        let (denial, mut inner) = (Arc::new(denial), self.inner());
        if inner.ring.len() >= REMEMBERED {
            inner.ring.pop_front();
        }
        inner.ring.push_back(Arc::clone(&denial));
        let one_in = u64::from(self.options.one_in);
        let sampled = one_in > 0 && inner.seen % one_in == 0;
        inner.seen = inner.seen.wrapping_add(1);
        if !sampled {
            return;
        }
        let minute = denial.at.div_euclid(MINUTE);
        if minute != inner.minute {
            (inner.minute, inner.in_minute) = (minute, 0);
        }
        if inner.in_minute >= self.options.per_minute || inner.waiting.len() >= WAITING {
            inner.left_out += 1;
            return;
        }
        inner.in_minute += 1;
        inner.waiting.push_back(denial);
    }

    fn find(&self, id: Uuid) -> Option<Denial> {
        let inner = self.inner();
        let found = inner.ring.iter().rev().find(|denial| denial.id == id);
        found.map(|denial| Denial::clone(denial))
    }
}

impl ServiceError {
    /// Whether it is rights that have decided, or may have: what is not there is answered like what is out of reach, so
    /// it is remembered like it too.
    pub fn is_denial(&self) -> bool {
        match self {
            Self::At { error, .. } => error.is_denial(),
            error => matches!(
                error.code(),
                codes::FORBIDDEN
                    | codes::BEYOND_OWN_RIGHTS
                    | codes::NOT_FOUND
                    | codes::PARTLY_FORBIDDEN
                    | codes::UNKNOWN_USER
                    | codes::UNKNOWN_COLLECTION
            ),
        }
    }
}

impl Portreeve {
    /// Remembers that something was denied, and gives the id under which whoever may have it explained finds it; nothing
    /// where it was no denial. A face calls this where it makes its answer of an error, and tells its caller the id.
    pub fn remember_denial(
        &self,
        caller: Option<Eyes<'_>>,
        facts: &RequestFacts,
        asked: DeniedAsk,
        error: &ServiceError,
    ) -> Option<Uuid> {
        if !error.is_denial() {
            return None;
        }
        let id = self.new_id();
        let (principal, user) = match caller.map(Eyes::principal) {
            None => (DeniedPrincipal::Unknown, None),
            Some(Principal::User(user)) => (DeniedPrincipal::User, Some(user.to_string())),
            Some(Principal::Share { share, .. }) => {
                (DeniedPrincipal::Share, Some(share.to_string()))
            }
            Some(Principal::Anonymous) => (DeniedPrincipal::Anonymous, None),
            Some(Principal::Operator) => (DeniedPrincipal::Operator, None),
        };
        let mut shortened = false;
        let mut kept = |text: Option<String>| text.map(|text| plain(text, &mut shortened));
        let (action, collection, key) =
            (kept(asked.action), kept(asked.collection), kept(asked.key));
        let text = |text: &Option<Arc<str>>| text.as_deref().map(str::to_owned);
        let version = caller.map_or_else(
            || self.policy_version(),
            |caller| caller.snapshot().version(),
        );
        self.decisions.remember(Denial {
            id,
            at: self.now(),
            answer: error.code().to_owned(),
            principal,
            user,
            narrowed: caller.is_some_and(Eyes::is_narrowed),
            face: text(&facts.face),
            operation: text(&facts.operation),
            method: text(&facts.method),
            ip: facts.ip.map(|ip| ip.to_string()),
            request: text(&facts.id),
            action,
            collection,
            key,
            shortened,
            policy_version: version,
        });
        Some(id)
    }

    /// Writes the denials that wait for it; tells how many. What cannot be written waits on.
    pub async fn keep_denials(&self) -> Result<usize, ServiceError> {
        let (waiting, left_out) = {
            let mut inner = self.decisions.inner();
            let left_out = std::mem::take(&mut inner.left_out);
            (Vec::from_iter(inner.waiting.iter().cloned()), left_out)
        };
        if left_out > 0 {
            tracing::warn!(left_out, "denials are not kept: there are too many at once");
        }
        if waiting.is_empty() {
            return Ok(0);
        }
        let kept = waiting.iter().map(|denial| KeptDecision {
            id: denial.id.to_string(),
            at: denial.at,
            decision: serde_json::to_string(&**denial).unwrap_or_default(),
        });
        self.store.system().keep_decisions(kept.collect()).await?;
        // They wait until they are written: what is broken off on the way, or fails, loses none.
        let mut inner = self.decisions.inner();
        for written in &waiting {
            let first = inner.waiting.front();
            if first.is_some_and(|first| Arc::ptr_eq(first, written)) {
                inner.waiting.pop_front();
            }
        }
        Ok(waiting.len())
    }

    /// Forgets denials that have been kept for long enough, and the oldest of too many. How many there were.
    pub async fn forget_denials(&self) -> Result<u64, ServiceError> {
        let options = self.decisions.options;
        let before = self.now().saturating_sub(i64::from(options.days) * DAY);
        let system = self.store.system();
        Ok(system.forget_decisions(before, options.most).await?)
    }

    async fn denial(&self, id: &str) -> Result<Denial, ServiceError> {
        let id = Uuid::parse_str(id).map_err(|_| ServiceError::NotFound)?;
        if let Some(found) = self.decisions.find(id) {
            return Ok(found);
        }
        let kept = self.store.system().decision(&id.to_string()).await?;
        let kept = kept.ok_or(ServiceError::NotFound)?;
        serde_json::from_str(&kept).map_err(ServiceError::internal)
    }
}

// What somebody has sent may be long, and may be no text a database takes.
fn plain(text: String, shortened: &mut bool) -> String {
    let odd = text.chars().any(char::is_control);
    if text.len() <= LONGEST && !odd {
        return text;
    }
    *shortened = true;
    let mut plain = String::with_capacity(LONGEST);
    for character in text.chars() {
        let character = if character.is_control() {
            char::REPLACEMENT_CHARACTER
        } else {
            character
        };
        if plain.len() + character.len_utf8() > LONGEST {
            break;
        }
        plain.push(character);
    }
    plain
}
