//! Whoever hands out rights, and the questions about what he hands out.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::CollectionId;

use super::Beyond;
use super::cover::{Cell, Kind, Own, denies_more, is_same};
use super::holding::{Held, Holding, Stated};
use crate::snapshot::{CompiledProfile, Snapshot};
use crate::{ActionId, Binding, BoundTo};

/// Who hands out, authors or takes away, with what he holds. Not for administrators, who need not be asked.
#[derive(Clone)]
pub struct Writer {
    // His own, then what narrows him: each must contain what is handed out.
    pub(super) layers: Vec<Holding>,
    pub(super) now: i64,
    development: bool,
}

const KINDS: [(Kind, u16); 4] = [
    (Kind::Read, 0b111),
    (Kind::Create, 0b1_1000),
    (Kind::Update, 0b110_0000),
    (Kind::Other, 0b111_1000_0000),
];

// What is asked of the difference between two holdings.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    // New allows.
    pub gains: bool,
    // Denies and lenders that are gone.
    pub sheds: bool,
    // Whether the two are all that somebody holds; otherwise he may hold more beside.
    pub all: bool,
}

impl Writer {
    /// Whoever holds this, as far as all that narrows him lets him.
    pub fn new(
        own: Holding,
        narrowing: impl IntoIterator<Item = Holding>,
        now: i64,
        development: bool,
    ) -> Self {
        Self {
            layers: std::iter::once(own).chain(narrowing).collect(),
            now,
            development,
        }
    }

    fn snapshot(&self) -> &Arc<Snapshot> {
        &self.layers[0].snapshot
    }

    /// Whether this, held by somebody, is contained in what the writer holds.
    pub fn contains(&self, wanted: &Holding) -> Result<(), Beyond> {
        self.contains_all(wanted, &mut BTreeSet::new())
    }

    fn contains_all(
        &self,
        wanted: &Holding,
        seen: &mut BTreeSet<(bool, String)>,
    ) -> Result<(), Beyond> {
        let nothing = Holding::nothing(&wanted.snapshot);
        let asked = Asked {
            gains: true,
            sheds: false,
            all: false,
        };
        self.compare(&nothing, wanted, asked)?;
        self.named(&nothing, wanted)?;
        self.assigners(&nothing, wanted, seen)
    }

    /// Whether an account is within the writer's own rights, so that he may set its credentials: whoever can, can act
    /// as that account.
    pub fn may_touch(&self, bindings: &[Binding]) -> Result<(), Beyond> {
        let wanted = Holding::of_account(self.snapshot(), bindings, self.now);
        self.contains(&wanted)?;
        self.lacks_no_role(&wanted)
    }

    /// Whether the writer may make an account with these bindings, whose credentials he sets.
    pub fn may_make(&self, bindings: &[Binding]) -> Result<(), Beyond> {
        for binding in bindings {
            self.may_hand_out(binding)?;
        }
        // What comes with being an account at all, and with not being bound to what the writer is bound to.
        let (assigned, rest): (Vec<Binding>, Vec<Binding>) = bindings
            .iter()
            .cloned()
            .partition(|binding| self.assigns(&binding.to));
        if assigned.is_empty() {
            return self.may_touch(&rest);
        }
        let mut wanted = Holding::of_account(self.snapshot(), bindings, self.now);
        self.lacks_no_role(&wanted)?;
        wanted.entries.retain(|held| held.entry.public);
        self.contains(&wanted)?;
        for binding in &rest {
            self.contains(&Holding::of_binding(self.snapshot(), binding, self.now))?;
        }
        Ok(())
    }

    /// Whether the writer may bind an account that has bindings already to one more.
    pub fn may_bind(&self, before: &[Binding], binding: &Binding) -> Result<(), Beyond> {
        self.may_hand_out(binding)?;
        let mut after = before.to_vec();
        after.push(binding.clone());
        self.may_shed(before, &after)
    }

    /// Whether the writer may take a binding away: he could have granted it, and what goes with it limits nobody.
    pub fn may_unbind(&self, before: &[Binding], place: usize) -> Result<(), Beyond> {
        let mut after = before.to_vec();
        let gone = after.remove(place);
        self.may_hand_out(&gone)?;
        self.may_rebind(before, &after)
    }

    /// Whether the writer may give a binding other times.
    pub fn may_change(
        &self,
        before: &[Binding],
        place: usize,
        binding: &Binding,
    ) -> Result<(), Beyond> {
        self.may_hand_out(&before[place])?;
        self.may_hand_out(binding)?;
        let mut after = before.to_vec();
        after[place] = binding.clone();
        self.may_shed(before, &after)
    }

    /// Whether an account may go from these bindings to those, for reasons of its own: no right beyond the writer's comes
    /// with it.
    pub fn may_rebind(&self, before: &[Binding], after: &[Binding]) -> Result<(), Beyond> {
        let (before, after) = self.accounts(before, after);
        let asked = Asked {
            gains: true,
            sheds: true,
            all: true,
        };
        self.compare(&before, &after, asked)?;
        self.named(&before, &after)
    }

    fn may_shed(&self, before: &[Binding], after: &[Binding]) -> Result<(), Beyond> {
        let (before, after) = self.accounts(before, after);
        let asked = Asked {
            gains: false,
            sheds: true,
            all: true,
        };
        self.compare(&before, &after, asked)?;
        self.unnamed(&before, &after)
    }

    fn accounts(&self, before: &[Binding], after: &[Binding]) -> (Holding, Holding) {
        let of = |bindings| Holding::of_account(self.snapshot(), bindings, self.now);
        (of(before), of(after))
    }

    /// Whether the writer may hand out a binding to somebody.
    pub fn may_hand_out(&self, binding: &Binding) -> Result<(), Beyond> {
        let wanted = Holding::of_binding(self.snapshot(), binding, self.now);
        if wanted.has_administrator() || self.is_administrators(&binding.to) {
            return Err(Beyond::Administrator);
        }
        if self.assigns(&binding.to) {
            return Ok(());
        }
        self.contains(&wanted)
    }

    fn is_administrators(&self, what: &BoundTo) -> bool {
        match what {
            BoundTo::Role(role) => self.snapshot().is_administrator(role) == Some(true),
            BoundTo::Profile(profile) => {
                self.snapshot().profile_has_administrator(profile) == Some(true)
            }
        }
    }

    /// Whether a role or profile is the writer's to hand out whatever it holds, an administrator's apart.
    pub fn assigns(&self, what: &BoundTo) -> bool {
        !self.is_administrators(what) && self.assigns_as_long(what, None)
    }

    // As long and wherever `like` is held; now, where there is none.
    fn assigns_as_long(&self, what: &BoundTo, like: Option<&Held>) -> bool {
        let by = self.snapshot().assignable_by(what);
        !by.is_empty()
            && self.layers.iter().all(|layer| {
                layer.entries.iter().any(|held| {
                    is_assigner(held)
                        && by.iter().any(|role| **role == **held.entry.role.key())
                        && held.from <= self.now
                        && like.is_none_or(|like| held.until >= like.until)
                })
            })
    }

    /// Whether the writer may turn this policy into that one: both over the same collections, rules and actions.
    pub fn may_author(&self, after: &Arc<Snapshot>) -> Result<(), Beyond> {
        let before = self.snapshot();
        if !Arc::ptr_eq(&before.catalog, &after.catalog)
            || !Arc::ptr_eq(&before.rules, &after.rules)
        {
            return Err(Beyond::Administrator);
        }
        let mut roles: BTreeSet<&Arc<str>> = before.role_keys().collect();
        roles.extend(after.role_keys());
        for key in roles {
            let role = |snapshot: &Snapshot| {
                let place = snapshot.role_places.get(&**key).copied();
                place.map(|place| Arc::clone(&snapshot.roles[place]))
            };
            let (old, new) = (role(before), role(after));
            if let (Some(old), Some(new)) = (&old, &new)
                && Arc::ptr_eq(old, new)
            {
                continue;
            }
            if old.iter().chain(&new).any(|role| role.administrator()) {
                return Err(Beyond::Administrator);
            }
            self.replaces(after, &BoundTo::Role(key.to_string()))?;
        }
        let mut profiles: BTreeSet<&String> = before.profile_keys().collect();
        profiles.extend(after.profile_keys());
        for key in profiles {
            let (old, new) = (before.profiles.get(key), after.profiles.get(key));
            if let (Some(old), Some(new)) = (old, new)
                && same_profile(before, old, after, new)
            {
                continue;
            }
            let administrator = |snapshot: &Snapshot| snapshot.profile_has_administrator(key);
            if administrator(before) == Some(true) || administrator(after) == Some(true) {
                return Err(Beyond::Administrator);
            }
            self.replaces(after, &BoundTo::Profile(key.clone()))?;
        }
        self.may_name_assigners(after)?;
        self.may_welcome(after)
    }

    fn replaces(&self, after: &Arc<Snapshot>, what: &BoundTo) -> Result<(), Beyond> {
        let (old, new) = (Holding::of(self.snapshot(), what), Holding::of(after, what));
        let asked = Asked {
            gains: true,
            sheds: true,
            all: false,
        };
        self.compare(&old, &new, asked)?;
        self.named(&old, &new)?;
        self.assigners(&old, &new, &mut BTreeSet::new())
    }

    // Whoever is named in `assignable_by` may hand it out whatever it holds.
    fn may_name_assigners(&self, after: &Arc<Snapshot>) -> Result<(), Beyond> {
        for (what, by) in &*after.assignable {
            let known = self.snapshot().assignable_by(what);
            if by.iter().all(|role| known.contains(role)) {
                continue;
            }
            let wanted = Holding::of(after, what);
            if wanted.has_administrator() {
                return Err(Beyond::Administrator);
            }
            self.contains(&wanted)?;
        }
        Ok(())
    }

    // What strangers, accounts bound to nothing and new accounts hold.
    fn may_welcome(&self, after: &Arc<Snapshot>) -> Result<(), Beyond> {
        let before = self.snapshot();
        let new = |snapshot: &Arc<Snapshot>| {
            let roles = snapshot.registration_roles().iter();
            let bindings: Vec<Binding> = roles
                .map(|role| Binding {
                    to: BoundTo::Role(role.clone()),
                    ..Binding::default()
                })
                .collect();
            Holding::of_account(snapshot, &bindings, self.now)
        };
        let asked = Asked {
            gains: true,
            sheds: true,
            all: true,
        };
        let mut pairs = vec![];
        if before.fallback_role() != after.fallback_role() {
            pairs.push((Holding::of_strangers(before), Holding::of_strangers(after)));
            let nobody = |snapshot| Holding::of_account(snapshot, &[], self.now);
            pairs.push((nobody(before), nobody(after)));
        }
        if before.registration_roles() != after.registration_roles() {
            pairs.push((new(before), new(after)));
        }
        for (old, new) in &pairs {
            self.compare(old, new, asked)?;
            self.named(old, new)?;
            self.assigners(old, new, &mut BTreeSet::new())?;
        }
        Ok(())
    }

    // A role that rules ask for is a right to whatever they make of it.
    fn named(&self, before: &Holding, after: &Holding) -> Result<(), Beyond> {
        let old = before.keys();
        for held in &after.entries {
            let key = held.entry.role.key();
            let own = |layer: &Holding| {
                layer.entries.iter().any(|own| {
                    own.entry.role.key() == key && own.from <= self.now && own.until >= held.until
                })
            };
            if !old.contains(key) && self.asks_for(after, key) && !self.layers.iter().all(own) {
                return Err(Beyond::Named(key.to_string()));
            }
        }
        self.unnamed(before, after)
    }

    // And not to hold it may be one too.
    fn unnamed(&self, before: &Holding, after: &Holding) -> Result<(), Beyond> {
        let (old, new) = (before.keys(), after.keys());
        for key in old.difference(&new) {
            if self.asks_for(after, key) && self.layers.iter().any(|own| own.keys().contains(*key))
            {
                return Err(Beyond::Named(key.to_string()));
            }
        }
        Ok(())
    }

    fn lacks_no_role(&self, wanted: &Holding) -> Result<(), Beyond> {
        let held = wanted.keys();
        for layer in &self.layers {
            for key in layer.keys() {
                if !held.contains(key) && self.asks_for(wanted, key) {
                    return Err(Beyond::Named(key.to_string()));
                }
            }
        }
        Ok(())
    }

    fn asks_for(&self, after: &Holding, key: &str) -> bool {
        self.snapshot().role_reads.reads(key) || after.snapshot.role_reads.reads(key)
    }

    // A role whose holders hand out others is a right to those.
    fn assigners(
        &self,
        before: &Holding,
        after: &Holding,
        seen: &mut BTreeSet<(bool, String)>,
    ) -> Result<(), Beyond> {
        if after.snapshot.assignable.is_empty() {
            return Ok(());
        }
        for held in after.entries.iter().filter(|held| is_assigner(held)) {
            let key = held.entry.role.key();
            let known = |old: &Held| {
                is_assigner(old)
                    && old.entry.role.key() == key
                    && old.from <= held.from
                    && old.until >= held.until
            };
            let had = before.entries.iter().any(known);
            for (what, by) in &*after.snapshot.assignable {
                if !by.iter().any(|role| **role == **key) {
                    continue;
                }
                let handed = had
                    && before
                        .snapshot
                        .assignable_by(what)
                        .contains(&key.to_string());
                let name = match what {
                    BoundTo::Role(role) => (false, role.clone()),
                    BoundTo::Profile(profile) => (true, profile.clone()),
                };
                let wanted = Holding::of(&after.snapshot, what);
                // Nobody hands out administrators by this, so it is no right.
                if handed
                    || wanted.has_administrator()
                    || self.assigns_as_long(what, Some(held))
                    || !seen.insert(name.clone())
                {
                    continue;
                }
                self.contains_all(&wanted, seen)
                    .map_err(|_| Beyond::Assigns(name.1))?;
            }
        }
        Ok(())
    }

    fn compare(&self, before: &Holding, after: &Holding, mut asked: Asked) -> Result<(), Beyond> {
        // Mostly there is nothing to shed.
        asked.sheds = asked.sheds && before.limits();
        if !asked.gains && !asked.sheds {
            return Ok(());
        }
        if asked.gains {
            let known = |held: &Held| {
                before.entries.iter().any(|old| {
                    Arc::ptr_eq(&old.entry.role, &held.entry.role)
                        && old.from <= held.from
                        && old.until >= held.until
                })
            };
            let new = after
                .entries
                .iter()
                .any(|held| held.entry.role.administrator() && !known(held));
            if new {
                return Err(Beyond::Administrator);
            }
        }
        self.later(before, after, asked)?;
        let snapshot = &after.snapshot;
        for collection in snapshot.catalog.iter() {
            let id = collection.id;
            let (old, new) = (before.on_records(id), after.on_records(id));
            if !self.matters(&old, &new, asked) {
                continue;
            }
            let own: Vec<Vec<Stated<'_>>> = self
                .layers
                .iter()
                .map(|layer| layer.on_records(id))
                .collect();
            for (kind, mask) in KINDS {
                for bits in alike(mask, old.iter().chain(&new).chain(own.iter().flatten())) {
                    self.cell(kind, bits, &old, &new, &own, Some(id), asked)
                        .map_err(|lifts| {
                            self.beyond(ActionId(bits.trailing_zeros() as u16), Some(id), lifts)
                        })?;
                }
            }
        }
        let mut actions = before.special_actions();
        actions.extend(after.special_actions());
        let collections = snapshot
            .catalog
            .iter()
            .map(|collection| Some(collection.id));
        let places: Vec<Option<CollectionId>> = std::iter::once(None).chain(collections).collect();
        for action in actions {
            for place in &places {
                let old = before.on_special(*place, action, self.development);
                let new = after.on_special(*place, action, self.development);
                if !self.matters(&old, &new, asked) {
                    continue;
                }
                let own: Vec<Vec<Stated<'_>>> = self
                    .layers
                    .iter()
                    .map(|layer| layer.on_special(*place, action, self.development))
                    .collect();
                self.cell(Kind::Other, 1, &old, &new, &own, *place, asked)
                    .map_err(|lifts| self.beyond(action, *place, lifts))?;
            }
        }
        Ok(())
    }

    fn matters(&self, old: &[Stated<'_>], new: &[Stated<'_>], asked: Asked) -> bool {
        asked.gains && new.iter().any(Stated::allows)
            || asked.sheds && old.iter().any(|one| !one.allows() || one.lends())
    }

    fn beyond(&self, action: ActionId, on: Option<CollectionId>, lifts: bool) -> Beyond {
        let snapshot = self.snapshot();
        let action = snapshot.actions.name(action).to_owned();
        let collection = on.map(|id| snapshot.catalog.get(id).name.to_string());
        if lifts {
            Beyond::Lifts { action, collection }
        } else {
            Beyond::Allows { action, collection }
        }
    }

    // An error tells whether it is that a limit is lifted.
    #[expect(
        clippy::too_many_arguments,
        reason = "a cell of three holdings, and where it is"
    )]
    fn cell(
        &self,
        kind: Kind,
        bits: u16,
        old: &[Stated<'_>],
        new: &[Stated<'_>],
        own: &[Vec<Stated<'_>>],
        on: Option<CollectionId>,
        asked: Asked,
    ) -> Result<(), bool> {
        let of = |all: &'_ [Stated<'_>]| -> Vec<usize> {
            (0..all.len())
                .filter(|place| all[*place].bits & bits != 0)
                .collect()
        };
        let old: Vec<&Stated<'_>> = of(old).into_iter().map(|place| &old[place]).collect();
        let new: Vec<&Stated<'_>> = of(new).into_iter().map(|place| &new[place]).collect();
        let own: Vec<Vec<&Stated<'_>>> = own
            .iter()
            .map(|layer| of(layer).into_iter().map(|place| &layer[place]).collect())
            .collect();
        let layers: Vec<Own<'_, '_>> = own
            .iter()
            .enumerate()
            .map(|(place, cell)| Own {
                holding: &self.layers[place],
                on,
                cell,
                now: self.now,
                lends: place == 0,
                always: false,
            })
            .collect();
        if asked.gains {
            for wanted in new.iter().filter(|one| one.allows() && !one.administrator) {
                let had = |one: &&Stated<'_>| {
                    one.allows()
                        && is_same(one, wanted)
                        && one.held.from <= wanted.held.from.max(self.now)
                        && one.held.until >= wanted.held.until
                };
                if old.iter().any(had) {
                    continue;
                }
                if !layers.iter().all(|own| own.covers(kind, wanted, &new)) {
                    return Err(false);
                }
            }
        }
        // Who may do nothing in this cell gains nothing by the end of a limit, unless he holds more beside.
        if asked.sheds && (!asked.all || new.iter().any(|one| one.allows())) {
            // Nor when there is nothing left to limit.
            let allows = || new.iter().filter(|one| one.allows()).map(|one| one.held);
            let (mut first, mut last) = (i64::MIN, i64::MAX);
            if asked.all {
                first = allows().map(|held| held.from).min().unwrap_or(first);
                last = allows().map(|held| held.until).max().unwrap_or(last);
            }
            for deny in old.iter().filter(|one| !one.allows()) {
                let stays = new.iter().any(|one| {
                    !one.allows()
                        && denies_more(&one.body, &deny.body)
                        && one.held.from <= deny.held.from.max(self.now).max(first)
                        && one.held.until >= deny.held.until.min(last)
                });
                if !stays && !layers.iter().all(|own| own.outdoes(kind, deny, &new)) {
                    return Err(true);
                }
            }
            if matches!(kind, Kind::Create | Kind::Update)
                && let Some(lender) = old.iter().find(|one| one.allows() && one.lends())
                && !keeps_order(&old, &new)
                && !layers.iter().all(|own| own.is_whole(lender.held))
            {
                return Err(true);
            }
        }
        Ok(())
    }
}

// Which bits of the mask stand in the same statements, so that one judgement is enough for them.
fn alike<'s, 'h: 's>(mask: u16, stated: impl Iterator<Item = &'s Stated<'h>>) -> Vec<u16> {
    let mut groups = vec![mask];
    for one in stated {
        groups = groups
            .into_iter()
            .flat_map(|group| [group & one.bits, group & !one.bits])
            .filter(|group| *group != 0)
            .collect();
    }
    groups
}

// Whether everybody who lends still does, and still before the same others. Those who lend nothing may go.
fn keeps_order(old: &Cell<'_, '_>, new: &Cell<'_, '_>) -> bool {
    let mut new = new.iter().filter(|one| one.allows());
    let all: Vec<&&Stated<'_>> = new.clone().collect();
    old.iter().filter(|one| one.allows()).all(|one| {
        let stays = all.iter().any(|other| is_same(one, other));
        if !stays {
            return !one.lends();
        }
        new.any(|other| {
            is_same(one, other)
                && other.held.from <= one.held.from
                && other.held.until >= one.held.until
        })
    })
}

// A restriction confers no right over rights, and what everybody holds is nobody's office.
fn is_assigner(held: &Held) -> bool {
    !held.entry.public
        && held.entry.clip.is_none()
        && held.entry.addresses.is_empty()
        && held.entry.role.when.is_none()
}

fn same_profile(
    before: &Snapshot,
    old: &CompiledProfile,
    after: &Snapshot,
    new: &CompiledProfile,
) -> bool {
    old.roles.len() == new.roles.len()
        && old.roles.iter().zip(&new.roles).all(|(this, that)| {
            before.roles[this.place].key() == after.roles[that.place].key()
                && this.restricted == that.restricted
                && this.addresses == that.addresses
        })
}
