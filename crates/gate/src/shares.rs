//! Shares: one record and what it relates to, shown to whoever opens the share, as far as its creator may read it now.
//!
//! [`Shared`] is not a [`Caller`] and cannot be turned into one: it only opens [`Eyes`](crate::Eyes), which the reading
//! methods of the [`Gate`] take. What writes, subscribes or administers takes a `&Caller`, so none of it can be asked for:
//!
//! ```compile_fail
//! fn write(gate: &portreeve_gate::Gate, shared: &portreeve_gate::Shared, name: &portreeve_model::CollectionName) {
//!     let _ = gate.delete(shared, name, "1");
//! }
//! ```
//! ```compile_fail
//! fn turn(shared: &portreeve_gate::Shared) -> &portreeve_gate::Caller {
//!     shared.into()
//! }
//! ```

use std::sync::Arc;

use portreeve_model::{Collection, CollectionName, FieldId, Value};
use portreeve_policy::{
    Access, Context, DELETE_ONE, DeleteTemplate, FieldSet, Neighbourhood, READ_ONE, RequestFacts,
    RoleSet, SHARE,
};

use crate::planner::unknown_field;
use crate::{Authorized, Caller, CredentialFacts, Gate, Principal, Refused};

/// A share as it is stored, as far as it says what is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Its id.
    pub id: Arc<str>,
    /// The collection of the record.
    pub collection: CollectionName,
    /// The record's key as text.
    pub record: String,
    /// How much of it.
    pub shows: Shows,
}

/// How much a share shows, of what its creator may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shows {
    /// What this role may read of the record and of what it relates to.
    Role(String),
    /// These fields of the record, or `*`, and nothing else.
    Fields(Vec<String>),
}

/// Somebody who has opened a share.
#[derive(Clone)]
pub struct Shared {
    // Its creator, without what is allowed to whoever comes.
    caller: Caller,
    // What the role of the share allows, where it has one.
    role: Option<Arc<RoleSet>>,
    neighbourhood: Neighbourhood,
    share: Arc<Share>,
}

impl Shared {
    pub(crate) fn caller(&self) -> &Caller {
        &self.caller
    }

    /// What was opened.
    pub fn share(&self) -> &Share {
        &self.share
    }

    /// When its creator's roles change by themselves, microseconds since 1970.
    pub fn valid_until(&self) -> Option<i64> {
        self.caller.valid_until
    }
}

/// A share that is made or changed: whatever it says of what is shown is judged each time.
#[derive(Clone, Debug)]
pub struct NewShare {
    /// What it shows.
    pub share: Share,
    /// What people call it.
    pub name: String,
    /// The hash of its password.
    pub password: Password,
    /// From when it can be opened, microseconds since 1970.
    pub from: Option<i64>,
    /// Until when it can be opened and shows anything.
    pub until: Option<i64>,
    /// How often it can be opened.
    pub max_uses: Option<u32>,
}

/// What becomes of a share's password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// It stays; a new share has none.
    Keep,
    /// There is none.
    None,
    /// The hash of the one there is from now on.
    Hash(String),
}

/// A share within what its creator may share, if the record is. The store judges that in the transaction that writes.
pub struct JudgedShare {
    pub(crate) share: NewShare,
    pub(crate) creator: Arc<str>,
    pub(crate) record: RecordToShare,
    // Whether those who have opened it are sent away.
    pub(crate) shuts: bool,
}

/// A record that is shared, and how it is judged whether it may be.
#[derive(Clone)]
pub struct RecordToShare {
    pub(crate) template: Arc<DeleteTemplate>,
    pub(crate) key: Value,
}

impl RecordToShare {
    /// How it is judged.
    pub fn template(&self) -> &Arc<DeleteTemplate> {
        &self.template
    }

    /// Which record.
    pub fn key(&self) -> &Value {
        &self.key
    }
}

impl JudgedShare {
    /// What it says.
    pub fn share(&self) -> &NewShare {
        &self.share
    }

    /// Whose it is.
    pub fn creator(&self) -> &Arc<str> {
        &self.creator
    }

    /// The record.
    pub fn record(&self) -> &RecordToShare {
        &self.record
    }

    /// Whether those who have opened it are sent away.
    pub fn shuts(&self) -> bool {
        self.shuts
    }
}

/// Make a share.
pub struct CreateShare(pub(crate) JudgedShare);

/// Change one's own share.
pub struct UpdateShare(pub(crate) JudgedShare);

impl CreateShare {
    /// What is made.
    pub fn judged(&self) -> &JudgedShare {
        &self.0
    }
}

impl UpdateShare {
    /// What it becomes.
    pub fn judged(&self) -> &JudgedShare {
        &self.0
    }
}

/// End a share: one's own, or one whose record in `shares` may be deleted.
pub struct EndShare {
    pub(crate) id: String,
    pub(crate) own: Option<Arc<str>>,
    pub(crate) template: Arc<DeleteTemplate>,
    pub(crate) key: Value,
}

impl EndShare {
    /// Which.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Whose shares the caller may end as their creator.
    pub fn own(&self) -> Option<&Arc<str>> {
        self.own.as_ref()
    }

    /// How it is judged where it is somebody else's.
    pub fn template(&self) -> &Arc<DeleteTemplate> {
        &self.template
    }

    /// Its key.
    pub fn key(&self) -> &Value {
        &self.key
    }
}

/// Open a share: begins what is held by a token of its own.
pub struct OpenShare {
    /// The share.
    pub share: Arc<Share>,
    /// The record, which its creator must be able to share still.
    pub record: RecordToShare,
    /// The hash that the password was verified with; none where the share had none.
    pub verified: Option<String>,
    /// The hash of the token.
    pub token_hash: [u8; 32],
    /// Until when it holds, if the share does.
    pub expires: i64,
    /// How many may hold one at once.
    pub at_most: u32,
}

impl Gate {
    /// Whoever has opened a share, seen with the present rights of its creator. `None` where it shows nothing whatever the
    /// records are: the collection, the role or the fields are gone.
    pub fn shared(
        &self,
        creator: &CredentialFacts,
        share: Arc<Share>,
        now: i64,
        request: RequestFacts,
    ) -> Option<Shared> {
        let snapshot = self.snapshot();
        let declared = Arc::clone(snapshot.catalog().find(&share.collection)?);
        let key = declared.parse_key(&share.record).ok()?;
        let admission = snapshot.admit_bound(&creator.bindings, now);
        let (role, fields) = match &share.shows {
            Shows::Role(role) => (Some(snapshot.role_alone(role)?), FieldSet::All),
            Shows::Fields(names) => {
                let found = names.iter().map(|name| field(&declared, name));
                (None, set(found.flatten().collect()))
            }
        };
        let principal = Principal::Share {
            share: Arc::clone(&share.id),
            creator: Arc::clone(&creator.user),
        };
        let caller = Caller {
            principal,
            context: Context {
                user: Some(Arc::clone(&creator.attributes)),
                roles: Arc::clone(admission.roles.keys()),
                now,
                request,
                claims: Arc::default(),
            },
            roles: admission.roles,
            bindings: Arc::new([]),
            narrowing: vec![],
            session: None,
            epoch: creator.epoch,
            valid_until: admission.valid_until,
            snapshot,
        };
        let mut shared = Shared {
            caller,
            neighbourhood: Neighbourhood {
                collection: declared.id,
                key,
                fields,
                related: role.is_some(),
            },
            role,
            share,
        };
        self.limit(&mut shared);
        Some(shared)
    }

    /// The same in another request.
    pub fn shared_at(&self, shared: &Shared, now: i64, request: RequestFacts) -> Shared {
        let mut shared = shared.clone();
        shared.caller = shared.caller.at(now, request);
        self.limit(&mut shared);
        shared
    }

    /// Whether somebody who has opened a share is still as he was let in, but for the share itself.
    pub fn is_current_share(&self, shared: &Shared, now: i64) -> bool {
        self.is_current(&shared.caller, now)
    }

    // What the creator may share and read depends on the moment too.
    fn limit(&self, shared: &mut Shared) {
        shared.caller.narrowing.clear();
        let collection = shared.neighbourhood.collection;
        let share = self.rights(&shared.caller, collection, SHARE);
        let read = self.rights(&shared.caller, collection, READ_ONE);
        let both = self.join(share, read);
        let key = (both.id(), shared.neighbourhood.clone());
        let shown = self.neighbourhoods.get(&key).unwrap_or_else(|| {
            let snapshot = &shared.caller.snapshot;
            let made = snapshot.neighbourhood(&shared.neighbourhood, both.reach());
            self.neighbourhoods.put(key, Arc::clone(&made));
            made
        });
        let narrowing = &mut shared.caller.narrowing;
        narrowing.push(shown);
        narrowing.extend(shared.role.clone());
    }

    /// A new share.
    pub fn create_share(
        &self,
        caller: &Caller,
        share: NewShare,
    ) -> Result<Authorized<CreateShare>, Refused> {
        let judged = self.judge_share(caller, share, false)?;
        Ok(self.proof(caller, CreateShare(judged)))
    }

    /// A change of one's own share, as it is from then on. Whoever has opened it is sent away unless nothing of it `shuts`.
    pub fn update_share(
        &self,
        caller: &Caller,
        share: NewShare,
        shuts: bool,
    ) -> Result<Authorized<UpdateShare>, Refused> {
        let judged = self.judge_share(caller, share, shuts)?;
        Ok(self.proof(caller, UpdateShare(judged)))
    }

    /// Whose shares a caller has to do with as their creator. A caller who has less than his own rights would get at more by
    /// one of them: a share shows what the account may, not what the key does.
    pub fn own_shares(&self, caller: &Caller) -> Result<Arc<str>, Refused> {
        match caller.principal() {
            Principal::User(user) if !caller.is_narrowed() => Ok(Arc::clone(user)),
            _ => Err(Refused::Forbidden),
        }
    }

    fn judge_share(
        &self,
        caller: &Caller,
        share: NewShare,
        shuts: bool,
    ) -> Result<JudgedShare, Refused> {
        let creator = self.own_shares(caller)?;
        let collection = Self::find(caller, &share.share.collection)?;
        let declared = Arc::clone(caller.snapshot.catalog().get(collection));
        let read = self.rights(caller, collection, READ_ONE);
        if !read.allows_something() {
            return Err(self.refuse(caller, collection));
        }
        // What the share will show is without that which is allowed to whoever comes, so that decides.
        let mut bare = caller.clone();
        let bound = caller
            .snapshot
            .admit_bound(&caller.bindings, caller.context.now);
        bare.roles = bound.roles;
        let (may_share, may_read) = (
            self.rights(&bare, collection, SHARE),
            self.rights(&bare, collection, READ_ONE),
        );
        let key = declared
            .parse_key(&share.share.record)
            .map_err(|_| Refused::NotFound)?;
        if let Shows::Fields(names) = &share.share.shows {
            for name in names.iter().filter(|name| *name != "*") {
                let field = declared.find_field(name);
                let readable = |field| *read.field(&declared, field) != Access::Never;
                if !field.is_some_and(readable) {
                    return Err(unknown_field(&declared, &read, name));
                }
            }
        }
        let both = self.join(may_share, may_read);
        let record = RecordToShare {
            template: self.deletion(caller, &both, &read, false),
            key,
        };
        // Asked last: whether there is a role is told to nobody who may not share.
        if let Shows::Role(role) = &share.share.shows {
            if !both.allows_something() {
                return Err(Refused::Forbidden);
            }
            if !bare.roles.holds(role) {
                self.authority(caller).may_lend(&caller.snapshot, role)?;
            }
        }
        Ok(JudgedShare {
            share,
            creator,
            record,
            shuts,
        })
    }

    /// The end of a share.
    pub fn end_share(&self, caller: &Caller, id: &str) -> Result<Authorized<EndShare>, Refused> {
        let shares = Self::find(caller, &CollectionName::main("shares"))?;
        let delete = self.rights(caller, shares, DELETE_ONE);
        let read = self.rights(caller, shares, READ_ONE);
        let declared = caller.snapshot.catalog().get(shares);
        let end = EndShare {
            id: id.to_owned(),
            own: self.own_shares(caller).ok(),
            template: self.deletion(caller, &delete, &read, false),
            key: declared.parse_key(id).map_err(|_| Refused::NotFound)?,
        };
        Ok(self.proof(caller, end))
    }

    /// Opens a share whose password was verified.
    pub fn open_share(
        &self,
        shared: &Shared,
        verified: Option<String>,
        token_hash: [u8; 32],
        expires: i64,
        at_most: u32,
    ) -> Authorized<OpenShare> {
        let collection = shared.neighbourhood.collection;
        let mut creator = shared.caller.clone();
        creator.narrowing.clear();
        let share = self.rights(&creator, collection, SHARE);
        let read = self.rights(&creator, collection, READ_ONE);
        let both = self.join(share, Arc::clone(&read));
        let open = OpenShare {
            share: Arc::clone(&shared.share),
            record: RecordToShare {
                template: self.deletion(&creator, &both, &read, false),
                key: shared.neighbourhood.key.clone(),
            },
            verified,
            token_hash,
            expires,
            at_most,
        };
        self.proof(&shared.caller, open)
    }
}

fn field(collection: &Collection, name: &str) -> Option<Option<FieldId>> {
    match name {
        "*" => Some(None),
        name => collection.find_field(name).map(Some),
    }
}

// Every field where one is every field.
fn set(found: Vec<Option<FieldId>>) -> FieldSet {
    let fields: Option<Vec<FieldId>> = found.into_iter().collect();
    match fields {
        None => FieldSet::All,
        Some(mut fields) => {
            fields.sort_unstable();
            fields.dedup();
            FieldSet::Only(fields.into())
        }
    }
}
