//! Walks of a limited administrator: whatever he tries, he and the accounts he gets hold of can never do more than he
//! could in the beginning, apart from what he was told to hand out.

mod measure;
mod steps;
mod stored;

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_gate::{Caller, CredentialFacts, Gate};
use portreeve_model::Value;
use portreeve_policy::{
    Binding, BoundTo, Permission, ProfileDefinition, RequestFacts, RoleDefinition, Snapshot,
};
use portreeve_testkit::naive::World;
use portreeve_testkit::worlds::Dice;
use portreeve_testkit::{stats, worlds};

use measure::Measure;

const STEPS_PER_WALK: u64 = 250;

/// 2026-11-22T12:00:00Z
const NOON: i64 = 1_795_348_800_000_000;

/// A policy and accounts, behind the gate that serves.
pub struct Walk {
    pub dice: Dice,
    pub world: World,
    pub gate: Gate,
    pub roles: Vec<RoleDefinition>,
    pub profiles: Vec<ProfileDefinition>,
    pub accounts: BTreeMap<String, Vec<Binding>>,
    // Those he is, has made or has set the credentials of.
    pub his: Vec<String>,
    // Whose row of `users` all of them are measured with.
    pub user: String,
    pub now: i64,
    next: usize,
}

// In two halves, side by side.
#[test]
fn nobody_walks_beyond_what_he_had() {
    walk_from(0);
}

#[test]
fn nobody_walks_beyond_what_he_had_elsewhere() {
    walk_from(1_000_000);
}

fn walk_from(first: u64) {
    let wanted = crate::cases(100_000) / 2;
    let (mut steps, mut done, mut measured) = (0, 0, 0);
    for seed in first.. {
        if steps >= wanted {
            break;
        }
        let Some(mut walk) = Walk::begin(seed) else {
            continue;
        };
        let measure = Measure::begin(&walk);
        let mut trail = vec![];
        for number in 0..STEPS_PER_WALK {
            steps += 1;
            if let Some(step) = walk.step() {
                done += 1;
                trail.push(step);
                // A step that goes too far is mostly still too far some steps later.
                if done % 40 == 0 {
                    measured += measure.check(&walk, seed, &trail);
                }
            }
            if number + 1 == STEPS_PER_WALK {
                measured += measure.check(&walk, seed, &trail);
            }
        }
    }
    assert!(done * 12 > steps, "{done} of {steps} steps are allowed");
    stats::count("walks", "memory", steps);
    stats::note(&format!(
        "walks of limited administrators: {steps} steps, {done} allowed, {measured} questions, none beyond"
    ));
}

impl Walk {
    /// A world with a limited administrator in it; none where it has no place for one.
    pub fn begin(seed: u64) -> Option<Self> {
        let mut world = worlds::world_of_variants(seed);
        let mut dice = Dice::new(!seed ^ 0x3a1e_55ed);
        let mut actions = vec!["access.author", "access.grant", "access.revoke"];
        if dice.percent(20) {
            actions.remove(dice.below(3));
        }
        world.document.roles.push(RoleDefinition {
            key: "chief".into(),
            permissions: vec![Permission {
                actions: actions.into_iter().map(Into::into).collect(),
                ..Permission::default()
            }],
            ..RoleDefinition::default()
        });
        // What he is told to hand out; it may hold what he does not.
        for profile in &mut world.document.profiles {
            if dice.percent(30) {
                profile.assignable_by = vec!["chief".into()];
            }
        }
        for role in &mut world.document.roles {
            if dice.percent(6) {
                role.assignable_by = vec!["chief".into()];
            } else if dice.percent(3) {
                role.assignable_by = vec!["r1".into()];
            }
        }
        let snapshot = Snapshot::compile(&world.document, 1).ok()?;
        let mut accounts = BTreeMap::new();
        let mut ids = world.users.keys().cloned();
        let user = ids.next()?;
        let mut bindings = worlds::bindings(&world, seed);
        bindings.retain(|it| it.to != BoundTo::Role("admin".into()));
        bindings.retain(|it| {
            let administrator = match &it.to {
                BoundTo::Role(role) => snapshot.is_administrator(role),
                BoundTo::Profile(profile) => snapshot.profile_has_administrator(profile),
            };
            administrator != Some(true)
        });
        bindings.push(Binding {
            to: BoundTo::Role("chief".into()),
            ..Binding::default()
        });
        accounts.insert(user.clone(), bindings);
        for (number, id) in ids.enumerate() {
            accounts.insert(id, worlds::bindings(&world, seed * 100 + number as u64));
        }
        Some(Self {
            dice,
            roles: world.document.roles.clone(),
            profiles: world.document.profiles.clone(),
            gate: Gate::new(snapshot, false),
            accounts,
            his: vec![user.clone()],
            user,
            now: NOON,
            next: 0,
            world,
        })
    }

    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.gate.snapshot()
    }

    /// Somebody with these bindings, otherwise like him.
    pub fn caller(&self, bindings: &[Binding]) -> Caller {
        let row = &self.world.users[&self.user];
        let attributes = row
            .iter()
            .map(|(name, value)| (Arc::from(name.as_str()), value.clone()))
            .collect::<std::collections::HashMap<Arc<str>, Value>>();
        let facts = CredentialFacts {
            user: Arc::from(self.user.as_str()),
            attributes: Arc::new(attributes),
            bindings: bindings.to_vec(),
            epoch: 0,
        };
        self.gate.admit(&facts, self.now, RequestFacts::default())
    }
}
