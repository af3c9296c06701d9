//! One cell: whether what is new in it lies within what the writer holds there.

use ipnet::IpNet;
use portreeve_model::{CollectionId, Condition, FieldId};

use super::holding::{Holding, Stated};
use super::same::{asks_what_is_sent, follows, parts};
use crate::{Body, Effect, FaceScope, FieldSet, READ_ONE};

/// What rows, fields and checks mean depends on what is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Read,
    Create,
    Update,
    /// Deletions, shares, subscriptions, and what is not about records: rows alone.
    Other,
}

/// What is said in one cell.
pub(super) type Cell<'c, 'h> = [&'c Stated<'h>];

/// The cell as the writer holds it.
pub(super) struct Own<'c, 'h> {
    pub holding: &'h Holding,
    pub on: Option<CollectionId>,
    pub cell: &'c Cell<'c, 'h>,
    pub now: i64,
    /// Whether presets and defaults come from here: a narrowing lends nothing.
    pub lends: bool,
    /// Whether only what holds at any time and from anywhere counts: what a deny denied, it denied always.
    pub always: bool,
}

impl Own<'_, '_> {
    /// Whether an allow that is new lies within what is held here, where these are the denies beside it.
    pub fn covers(&self, kind: Kind, wanted: &Stated<'_>, after: &Cell<'_, '_>) -> bool {
        let held = |one: &&&Stated<'_>| {
            one.allows()
                && self.lasts(one, wanted)
                && asks_less(one, wanted)
                && (!self.always || is_unconditional(one))
        };
        let held: Vec<&&Stated<'_>> = self.cell.iter().filter(held).collect();
        if held.iter().any(|one| one.administrator) {
            return true;
        }
        if wanted.administrator {
            return false;
        }
        let writes = matches!(kind, Kind::Create | Kind::Update);
        let denies = || self.cell.iter().filter(|one| !one.allows());
        // Who may do everything here can do it whatever is lent.
        let whole = |one: &&&Stated<'_>| is_free(&one.body) && one.body.fields.is_all();
        if denies().next().is_none() && held.iter().any(whole) {
            return !writes || self.could_link(wanted);
        }
        if writes && self.lends && self.cell.iter().any(|one| one.allows() && one.lends()) {
            // What one of them lends may stand against what another one needs: only all of them together do the same.
            return !self.always
                && same_allows(self, after)
                && denies().all(|deny| self.shared(kind, deny, wanted, after));
        }
        let enough = |one: &&&Stated<'_>| {
            covers_fields(&one.body.fields, &wanted.body.fields)
                && covers_rows(kind, &one.body, &wanted.body)
        };
        if !held.iter().any(enough) {
            return false;
        }
        if writes && wanted.lends() && !self.could_send(&held, wanted) {
            return false;
        }
        denies().all(|deny| self.shared(kind, deny, wanted, after))
    }

    // Whether the writer could send what is lent himself, on whatever record.
    fn could_send(&self, held: &[&&Stated<'_>], wanted: &Stated<'_>) -> bool {
        let lent: Vec<FieldId> = lent(&wanted.body).collect();
        let conditions = |body: &Body| {
            [&body.rows, &body.check]
                .into_iter()
                .flatten()
                .any(|condition| asks_what_is_sent(condition))
        };
        let denied = self.cell.iter().filter(|one| !one.allows()).any(|deny| {
            conditions(&deny.body) || lent.iter().any(|field| deny.body.fields.contains(*field))
        });
        !denied
            && self.could_link(wanted)
            && !held.iter().any(|one| conditions(&one.body))
            && held.iter().any(|one| {
                is_free(&one.body) && lent.iter().all(|field| one.body.fields.contains(*field))
            })
    }

    // A lent value may point anywhere; one that is sent, at what its sender can read.
    fn could_link(&self, wanted: &Stated<'_>) -> bool {
        let Some(on) = self.on else {
            return true;
        };
        let catalog = &self.holding.snapshot.catalog;
        let collection = catalog.get(on);
        lent(&wanted.body)
            .filter_map(|field| collection.field(field).relation)
            .all(|to| {
                let cell = self.holding.on_records(to.target);
                let reads = |one: &&Stated<'_>| one.bits & READ_ONE.bit() != 0;
                let mut allows = cell.iter().filter(reads).filter(|one| {
                    one.allows()
                        && self.lasts(one, wanted)
                        && asks_less(one, wanted)
                        && one.body.rows.is_none()
                });
                let denied = cell
                    .iter()
                    .filter(reads)
                    .any(|one| !one.allows() && one.body.fields.is_all());
                allows.any(|one| one.administrator || !denied)
            })
    }

    // Whether a deny of the writer's stands beside what is wanted too, or does not touch it.
    fn shared(
        &self,
        kind: Kind,
        deny: &Stated<'_>,
        wanted: &Stated<'_>,
        after: &Cell<'_, '_>,
    ) -> bool {
        if !touches(kind, &deny.body, &wanted.body) {
            return true;
        }
        let from = wanted.held.from.max(deny.held.from).max(self.now);
        let until = wanted.held.until.min(deny.held.until);
        after.iter().any(|one| {
            !one.allows()
                && one.held.from <= from
                && one.held.until >= until
                && denies_more(&one.body, &deny.body)
        })
    }

    /// Whether the writer may have a deny taken away that stood in this cell: he can do all that it denied.
    pub fn outdoes(&self, kind: Kind, deny: &Stated<'_>, after: &Cell<'_, '_>) -> bool {
        if kind == Kind::Other && !deny.body.fields.is_all() {
            return true;
        }
        let body = Body {
            fields: deny.body.fields.clone(),
            ..Body::plain(Effect::Allow)
        };
        let region = Stated {
            body: std::sync::Arc::new(body),
            bits: deny.bits,
            held: deny.held,
            administrator: false,
        };
        Own {
            always: true,
            ..*self
        }
        .covers(kind, &region, after)
    }

    /// Whether the writer can do everything in this cell at any time, from anywhere.
    pub fn is_whole(&self, deny_held: &super::holding::Held) -> bool {
        let region = Stated {
            body: std::sync::Arc::new(Body::plain(Effect::Allow)),
            bits: 1,
            held: deny_held,
            administrator: false,
        };
        let free = |one: &&&Stated<'_>| {
            one.allows()
                && self.lasts(one, &region)
                && is_unconditional(one)
                && (one.administrator || is_free(&one.body) && one.body.fields.is_all())
        };
        let mut free = self.cell.iter().filter(free).peekable();
        match free.peek() {
            None => false,
            Some(_) => {
                free.any(|one| one.administrator) || self.cell.iter().all(|one| one.allows())
            }
        }
    }

    // Whether it is in force, and stays so as long as what is wanted.
    fn lasts(&self, one: &Stated<'_>, wanted: &Stated<'_>) -> bool {
        one.held.from <= self.now && one.held.until >= wanted.held.until
    }
}

fn is_unconditional(one: &Stated<'_>) -> bool {
    !one.body.is_conditional()
        && one.held.entry.addresses.is_empty()
        && one.held.entry.role.when.is_none()
}

/// Whether it allows on whatever record, whatever is stored, and lends nothing.
fn is_free(body: &Body) -> bool {
    body.rows.is_none()
        && parts(body.check.as_deref()).is_empty()
        && body.presets.is_empty()
        && body.defaults.is_empty()
}

fn lent(body: &Body) -> impl Iterator<Item = FieldId> {
    body.presets
        .iter()
        .chain(&body.defaults)
        .map(|(field, _)| *field)
}

/// Whether two say the same, at the same times and places.
pub(super) fn is_same(a: &Stated<'_>, b: &Stated<'_>) -> bool {
    a.administrator == b.administrator
        && a.body == b.body
        && a.held.entry.addresses == b.held.entry.addresses
        && a.held.entry.role.when == b.held.entry.role.when
}

// Whether what is wanted allows exactly what the writer's allows do, in their order.
fn same_allows(own: &Own<'_, '_>, after: &Cell<'_, '_>) -> bool {
    let allows = |cell: &Cell<'_, '_>| cell.iter().filter(|one| one.allows()).count();
    allows(own.cell) == allows(after)
        && own
            .cell
            .iter()
            .filter(|one| one.allows())
            .zip(after.iter().filter(|one| one.allows()))
            .all(|(mine, theirs)| is_same(mine, theirs) && own.lasts(mine, theirs))
}

// Whether the conditions of the moment are met wherever those of `wanted` are.
fn asks_less(held: &Stated<'_>, wanted: &Stated<'_>) -> bool {
    let addresses = |list: &[IpNet]| {
        wanted.held.entry.addresses.iter().any(|within| {
            within
                .iter()
                .all(|net| list.iter().any(|wide| wide.contains(net)))
        })
    };
    let held_at = [&held.held.entry.role.when, &held.body.when];
    let wanted_at = [&wanted.held.entry.role.when, &wanted.body.when];
    held.held.entry.addresses.iter().all(|list| addresses(list))
        && follows(
            &parts(held_at.into_iter().flatten().map(|when| &**when)),
            &parts(wanted_at.into_iter().flatten().map(|when| &**when)),
        )
        && covers_face(held.body.via.as_ref(), wanted.body.via.as_ref())
}

fn covers_face(held: Option<&FaceScope>, wanted: Option<&FaceScope>) -> bool {
    match (held, wanted) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(held), Some(wanted)) => {
            held.face == wanted.face
                && (held.operations.is_empty()
                    || !wanted.operations.is_empty()
                        && wanted
                            .operations
                            .iter()
                            .all(|operation| held.operations.contains(operation)))
        }
    }
}

fn covers_fields(held: &FieldSet, wanted: &FieldSet) -> bool {
    match (held, wanted) {
        (FieldSet::All, _) => true,
        (FieldSet::Only(_), FieldSet::All) => false,
        (FieldSet::Only(_), FieldSet::Only(wanted)) => {
            wanted.iter().all(|field| held.contains(*field))
        }
    }
}

fn covers_rows(kind: Kind, held: &Body, wanted: &Body) -> bool {
    fn rows(body: &Body) -> Option<&Condition> {
        body.rows.as_deref()
    }
    fn check(body: &Body) -> Option<&Condition> {
        body.check.as_deref()
    }
    let both = |body| parts(rows(body).into_iter().chain(check(body)));
    // What must be true after an update: the check, or the rows where there is none.
    let after = |body| parts(check(body).or(rows(body)));
    match kind {
        Kind::Read | Kind::Other => follows(&parts(rows(held)), &parts(rows(wanted))),
        Kind::Create => follows(&both(held), &both(wanted)),
        Kind::Update => {
            follows(&parts(rows(held)), &parts(rows(wanted)))
                && follows(&after(held), &after(wanted))
        }
    }
}

// Whether a deny may take away some of what an allow gives.
fn touches(kind: Kind, deny: &Body, allow: &Body) -> bool {
    let FieldSet::Only(denied) = &deny.fields else {
        return true;
    };
    kind != Kind::Other
        && (denied.iter().any(|field| allow.fields.contains(*field))
            || lent(allow).any(|field| denied.contains(&field)))
}

/// Whether a deny denies all that another one does.
pub(super) fn denies_more(more: &Body, less: &Body) -> bool {
    let less_at = |body: &Body| [body.rows.clone(), body.check.clone(), body.when.clone()];
    let (these, those) = (less_at(more), less_at(less));
    covers_fields(&more.fields, &less.fields)
        && covers_face(more.via.as_ref(), less.via.as_ref())
        && these
            .iter()
            .zip(&those)
            .all(|(this, that)| follows(&parts(this.as_deref()), &parts(that.as_deref())))
}
