//! Collections and actions that are made later: `*`, a namespace and `implicit_allow` reach them, a list of names does
//! not. What reaches them is compared by its text, since what it will mean is not known.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::Beyond;
use super::holding::{Held, Holding};
use super::writer::{Asked, Writer};
use crate::snapshot::{Later, LaterOn, is_open};
use crate::{Effect, Permission, RECORD_ACTIONS};

/// All actions on records, and one that stands for those that are not there yet.
const ALL: u32 = (1 << RECORD_ACTIONS) - 1;
const LATER_ACTION: u32 = 1 << 31;

/// What a held role says of a collection that is not there yet.
struct Said<'h> {
    held: &'h Held,
    effect: Effect,
    /// None: it says no more than its effect.
    limits: Option<&'h Arc<Permission>>,
    actions: u32,
    administrator: bool,
}

impl Said<'_> {
    fn allows(&self) -> bool {
        self.effect == Effect::Allow
    }

    fn lends(&self) -> bool {
        self.limits
            .is_some_and(|said| !said.presets.is_empty() || !said.defaults.is_empty())
    }

    // Whether its role is in force wherever the other one's is.
    fn asks_less(&self, other: &Self) -> bool {
        let (mine, theirs) = (&self.held.entry, &other.held.entry);
        (mine.addresses.is_empty() || mine.addresses == theirs.addresses)
            && (mine.role.when.is_none() || mine.role.when == theirs.role.when)
    }

    fn is_like(&self, other: &Self) -> bool {
        self.effect == other.effect && self.limits == other.limits
    }
}

// In a namespace, or in one that nobody names.
fn said<'h>(holding: &'h Holding, namespace: Option<&str>) -> Vec<Said<'h>> {
    let mut all = vec![];
    for held in &holding.entries {
        let entry = &held.entry;
        if entry.role.administrator() {
            all.push(Said {
                held,
                effect: Effect::Allow,
                limits: None,
                actions: ALL | LATER_ACTION,
                administrator: true,
            });
            continue;
        }
        if entry
            .clip
            .as_ref()
            .is_some_and(|clip| !is_open(clip, namespace))
        {
            continue;
        }
        let mut covered = 0;
        for later in &entry.role.later {
            let here = match &later.on {
                LaterOn::Anything => true,
                LaterOn::Namespace(name) => Some(&**name) == namespace,
            };
            if !here {
                continue;
            }
            let actions = actions(later);
            covered |= actions;
            all.push(Said {
                held,
                effect: later.effect,
                limits: later.limits.as_ref(),
                actions,
                administrator: false,
            });
        }
        let rest = (ALL | LATER_ACTION) & !covered;
        if entry.role.implicit_allow && rest != 0 {
            all.push(Said {
                held,
                effect: Effect::Allow,
                limits: None,
                actions: rest,
                administrator: false,
            });
        }
    }
    all
}

fn actions(later: &Later) -> u32 {
    u32::from(later.actions) | if later.every_action { LATER_ACTION } else { 0 }
}

impl Writer {
    /// Whether what is handed out reaches further into what is made later than what the writer holds.
    pub(super) fn later(
        &self,
        before: &Holding,
        after: &Holding,
        asked: Asked,
    ) -> Result<(), Beyond> {
        let reaches = |holding: &Holding| {
            holding.entries.iter().any(|held| {
                let role = &held.entry.role;
                role.implicit_allow || !role.later.is_empty()
            })
        };
        let concerned = reaches(after) || asked.sheds && reaches(before);
        if !concerned {
            return Ok(());
        }
        let mut namespaces: BTreeSet<Option<&str>> = BTreeSet::from([None]);
        namespaces.extend(
            after
                .snapshot
                .catalog
                .iter()
                .filter(|collection| !collection.system)
                .map(|collection| Some(collection.name.namespace())),
        );
        for holding in [before, after].into_iter().chain(&self.layers) {
            for held in &holding.entries {
                for later in &held.entry.role.later {
                    if let LaterOn::Namespace(name) = &later.on {
                        namespaces.insert(Some(name));
                    }
                }
            }
        }
        for namespace in namespaces {
            let (old, new) = (said(before, namespace), said(after, namespace));
            for own in self.layers.iter().map(|layer| said(layer, namespace)) {
                let within = (!asked.gains || self.gains_later(&old, &new, &own))
                    && (!asked.sheds || self.sheds_later(&old, &new, &own, asked.all));
                if !within {
                    let place = namespace.map_or("*".into(), |name| format!("{name}/*"));
                    return Err(Beyond::Reaches(place));
                }
            }
        }
        Ok(())
    }

    fn gains_later(&self, old: &[Said<'_>], new: &[Said<'_>], own: &[Said<'_>]) -> bool {
        let wanted = new.iter().filter(|one| one.allows() && !one.administrator);
        wanted.into_iter().all(|one| {
            let had = old.iter().any(|known| {
                known.is_like(one)
                    && known.actions & one.actions == one.actions
                    && known.held.entry.addresses == one.held.entry.addresses
                    && known.held.entry.role.when == one.held.entry.role.when
                    && known.held.from <= one.held.from.max(self.now)
                    && known.held.until >= one.held.until
            });
            had || self.covers_later(one, new, own)
        })
    }

    fn covers_later(&self, wanted: &Said<'_>, new: &[Said<'_>], own: &[Said<'_>]) -> bool {
        let mut missing = wanted.actions;
        let lending = own
            .iter()
            .any(|one| one.lends() && one.actions & wanted.actions != 0);
        for one in own.iter().filter(|one| one.allows()) {
            let like = one.limits == wanted.limits && !lending;
            let lasts = one.held.from <= self.now && one.held.until >= wanted.held.until;
            if lasts
                && one.asks_less(wanted)
                && (one.administrator
                    || one.limits.is_none() && !(wanted.lends() || lending)
                    || like)
            {
                missing &= !one.actions;
                if one.administrator {
                    return true;
                }
            }
        }
        missing == 0
            && own.iter().filter(|one| !one.allows()).all(|deny| {
                let touched = deny.actions & wanted.actions;
                touched == 0 || self.denied_later(deny, touched, new)
            })
    }

    // Whether what a deny denies is denied among these too.
    fn denied_later(&self, deny: &Said<'_>, actions: u32, new: &[Said<'_>]) -> bool {
        let mut missing = actions;
        for one in new.iter().filter(|one| !one.allows()) {
            let lasts =
                one.held.from <= deny.held.from.max(self.now) && one.held.until >= deny.held.until;
            if lasts && (one.limits.is_none() || one.limits == deny.limits) {
                missing &= !one.actions;
            }
        }
        missing == 0
    }

    fn sheds_later(&self, old: &[Said<'_>], new: &[Said<'_>], own: &[Said<'_>], all: bool) -> bool {
        let allowed: u32 = new
            .iter()
            .filter(|one| one.allows())
            .fold(0, |actions, one| actions | one.actions);
        let limits = old.iter().filter(|one| !one.allows() || one.lends());
        limits.into_iter().all(|limit| {
            let touched = if all {
                limit.actions & allowed
            } else {
                limit.actions
            };
            let stays = if limit.allows() {
                new.iter()
                    .any(|one| one.is_like(limit) && one.actions & limit.actions == limit.actions)
            } else {
                self.denied_later(limit, touched, new)
            };
            touched == 0 || stays || self.is_whole_later(limit, touched, own)
        })
    }

    // Whether the writer may do all of it, at any time and from anywhere.
    fn is_whole_later(&self, like: &Said<'_>, actions: u32, own: &[Said<'_>]) -> bool {
        let free = own.iter().filter(|one| {
            one.allows()
                && one.limits.is_none()
                && one.held.entry.addresses.is_empty()
                && one.held.entry.role.when.is_none()
                && one.held.from <= self.now
                && one.held.until >= like.held.until
        });
        let mut missing = actions;
        for one in free {
            if one.administrator {
                return true;
            }
            missing &= !one.actions;
        }
        missing == 0
            && !own
                .iter()
                .any(|one| (!one.allows() || one.lends()) && one.actions & actions != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Binding, BoundTo, Document, Snapshot};

    const POLICY: &str = r#"
collections: { notes: { key: { id: integer }, fields: { title: text } } }
roles:
  named: { permissions: [ { allow: data.read, on: notes } ] }
  all: { permissions: [ { allow: data.read, on: "*" } ] }
  titles: { permissions: [ { allow: data.read, on: "*", fields: title } ] }
  main: { permissions: [ { allow: data.read, on: main/* } ] }
  shop: { permissions: [ { allow: data.read, on: shop/* } ] }
  every: { permissions: [ { allow: "*", on: "*" } ] }
  prefixes: { permissions: [ { allow: [data, access, policy, auth, account, server, mail], on: "*" } ] }
  blind: { permissions: [ { deny: data.read, on: "*", rows: "title = 'x'" } ] }
"#;

    fn may(held: &[&str], wanted: &str, restricted_to: Option<&str>) -> bool {
        let document = Document::read("test", POLICY).unwrap();
        let snapshot = Arc::new(Snapshot::compile(&document, 1).unwrap());
        let role = |role: &str| Binding {
            to: BoundTo::Role(role.into()),
            ..Binding::default()
        };
        let held: Vec<Binding> = held.iter().map(|key| role(key)).collect();
        let own = Holding::of_account(&snapshot, &held, 0);
        let wanted = Binding {
            restricted_to: restricted_to.map(|name| vec![name.into()]),
            ..role(wanted)
        };
        Writer::new(own, None, 0, false)
            .may_hand_out(&wanted)
            .is_ok()
    }

    #[test]
    fn a_list_of_names_does_not_reach_what_comes_later() {
        for (held, wanted, restricted_to, expected) in [
            (&["named"][..], "named", None, true),
            (&["named"], "all", None, false),
            (&["named"], "main", None, false),
            (&["named"], "all", Some("notes"), true),
            (&["named"], "all", Some("main/*"), false),
            (&["main"], "all", Some("main/*"), true),
            (&["main"], "all", Some("*"), false),
            (&["main"], "shop", None, false),
            (&["shop"], "shop", None, true),
            (&["all"], "main", None, true),
            (&["all"], "shop", None, true),
            (&["all"], "titles", None, true),
            (&["titles"], "titles", None, true),
            (&["titles"], "all", None, false),
            // What is denied him there is denied with it or not handed out.
            (&["all", "blind"], "all", None, false),
            // Actions that are declared later are covered by nothing but all of them.
            (&["prefixes"], "every", None, false),
            (&["every"], "prefixes", None, true),
        ] {
            assert_eq!(
                may(held, wanted, restricted_to),
                expected,
                "{held:?} hands out {wanted} on {restricted_to:?}"
            );
        }
    }
}
