//! Walks through the gate into a store: what is judged there is what is judged in memory, a denial leaves no trace, and
//! the policy that is changed part by part is the policy that is stored.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_gate::{Author, Authored, Bind, Caller, Rebind, Unbind};
use portreeve_policy::{Binding, BoundTo, RequestFacts, Snapshot};
use portreeve_store::StoreError;
use portreeve_testkit::stats;
use portreeve_testkit::stored::{On, StoredWorld};

use super::measure::Measure;
use super::{NOON, Walk};

const STEPS_PER_WALK: u64 = 25;

#[test]
fn walks_are_kept_within_bounds_by_sqlite() {
    keep_within_bounds(On::Sqlite, crate::cases(5_000));
}

#[test]
fn walks_are_kept_within_bounds_by_postgresql() {
    keep_within_bounds(On::Postgres, crate::cases(300));
}

fn keep_within_bounds(on: On, wanted: u64) {
    let (mut steps, mut done) = (0, 0);
    crate::block_on(async {
        for seed in 0.. {
            if steps >= wanted {
                break;
            }
            let Some(walk) = Walk::begin(seed) else {
                continue;
            };
            let measure = Measure::begin(&walk);
            let mut stored = Stored::begin(on, walk).await;
            let mut trail = vec![];
            for _ in 0..STEPS_PER_WALK {
                steps += 1;
                if let Some(step) = stored.step().await {
                    done += 1;
                    trail.push(step);
                }
            }
            stored.look().await;
            measure.check(&stored.walk, seed, &trail);
        }
    });
    assert!(done * 12 > steps, "{done} of {steps} steps are allowed");
    stats::count("walks", on.name(), steps);
}

struct Stored {
    walk: Walk,
    world: StoredWorld,
    // By id: whose it is, and what.
    bindings: BTreeMap<String, (String, Binding)>,
}

impl Stored {
    async fn begin(on: On, mut walk: Walk) -> Self {
        let world = StoredWorld::new(on, &walk.world, NOON).await;
        walk.accounts
            .retain(|user, _| world.world.users.contains_key(user));
        let operator = walk.gate.operator(NOON);
        let mut bindings = BTreeMap::new();
        for (user, bound) in &walk.accounts {
            for binding in bound {
                let bind = Bind {
                    user: user.clone(),
                    binding: binding.clone(),
                    why: None,
                };
                let bind = walk.gate.bind(&operator, bind).expect("the operator may");
                let (id, _) = world.store.bind(bind).await.expect("he is bound");
                bindings.insert(id, (user.clone(), binding.clone()));
            }
        }
        Self {
            walk,
            world,
            bindings,
        }
    }

    async fn stored(&self, user: &str) -> Vec<Binding> {
        let account = self.world.store.system().credential_facts(user).await;
        let account = account.expect("an answer").expect("an account");
        account.facts.bindings
    }

    async fn actor(&self) -> Caller {
        let system = self.world.store.system();
        let account = system.credential_facts(&self.walk.user).await;
        let account = account.expect("an answer").expect("an account");
        self.walk
            .gate
            .admit(&account.facts, NOON, RequestFacts::default())
    }

    // What has been stored is what is asked about.
    async fn look(&mut self) {
        let users: Vec<String> = self.walk.accounts.keys().cloned().collect();
        for user in users {
            let stored = self.stored(&user).await;
            self.walk.accounts.insert(user, stored);
        }
        let policy = self.world.store.system().load_policy().await;
        let policy = policy.expect("a policy");
        let snapshot = self.walk.snapshot();
        assert_eq!(policy.version, snapshot.version());
        let compiled = Snapshot::compile(&policy.document, policy.version);
        let compiled = Arc::new(compiled.expect("what is stored compiles"));
        let whole: Vec<&Arc<str>> = compiled.role_keys().collect();
        for key in snapshot.role_keys() {
            assert!(whole.contains(&key), "{key} is stored");
        }
        assert_eq!(whole.len(), snapshot.role_keys().count());
        // Compiled as a whole it is measured like what was changed part by part.
        self.walk.gate.publish(compiled);
    }

    async fn step(&mut self) -> Option<String> {
        let caller = self.actor().await;
        let looked = self.walk.dice.percent(10);
        let before = if looked { self.digest().await } else { [0; 32] };
        let done = match self.walk.dice.below(10) {
            0..3 => {
                let role = if self.walk.dice.percent(50) {
                    self.walk.new_role()
                } else {
                    self.walk.other_role()
                };
                let snapshot = self.walk.snapshot();
                let compiled = snapshot.with_role(&role, snapshot.version() + 1).ok()?;
                let place = self.walk.roles.iter().position(|it| it.key == role.key);
                let old = place.map(|place| Box::new(self.walk.roles[place].clone()));
                let change = Authored::Role(old, Box::new(role.clone()));
                let done = self.author(&caller, change, compiled).await;
                if done.is_some() {
                    match place {
                        Some(place) => self.walk.roles[place] = role.clone(),
                        None => self.walk.roles.push(role.clone()),
                    }
                }
                done.map(|()| format!("puts {role:?}"))
            }
            3 => {
                let role = self.walk.roles[self.walk.dice.below(self.walk.roles.len())].clone();
                let snapshot = self.walk.snapshot();
                let compiled = snapshot.without_role(&role.key, snapshot.version() + 1)?;
                let change = Authored::NoRole(Box::new(role.clone()));
                let done = self.author(&caller, change, compiled).await;
                if done.is_some() {
                    self.walk.roles.retain(|known| known.key != role.key);
                    let to = BoundTo::Role(role.key.clone());
                    self.bindings.retain(|_, (_, binding)| binding.to != to);
                }
                done.map(|()| format!("deletes {}", role.key))
            }
            4 => {
                let (old, profile) = self.walk.some_profile();
                let mut profiles = self.walk.profiles.clone();
                match profiles.iter_mut().find(|known| known.key == profile.key) {
                    Some(known) => *known = profile.clone(),
                    None => profiles.push(profile.clone()),
                }
                let snapshot = self.walk.snapshot();
                let compiled = snapshot
                    .with_profiles(&profiles, snapshot.version() + 1)
                    .ok()?;
                let change = Authored::Profile(old.map(Box::new), Box::new(profile.clone()));
                let done = self.author(&caller, change, compiled).await;
                if done.is_some() {
                    self.walk.profiles = profiles;
                }
                done.map(|()| format!("puts {profile:?}"))
            }
            5..8 => self.bind(&caller).await,
            8 => self.rebind(&caller).await,
            _ => self.unbind(&caller).await,
        };
        if done.is_none() && looked {
            assert_eq!(before, self.digest().await, "a denial leaves no trace");
        }
        done
    }

    async fn digest(&self) -> [u8; 32] {
        let system = self.world.store.system();
        system.digest(true).await.expect("a digest")
    }

    async fn author(
        &mut self,
        caller: &Caller,
        change: Authored,
        compiled: Snapshot,
    ) -> Option<()> {
        let compiled = Arc::new(compiled);
        let author = Author {
            changes: vec![change],
            compiled: Arc::clone(&compiled),
            unbind: true,
            why: None,
        };
        let author = self.walk.gate.author(caller, author).ok()?;
        match self.world.store.author(author).await {
            Ok(_) => {
                self.walk.gate.publish(compiled);
                Some(())
            }
            Err(StoreError::Beyond | StoreError::LastAdministrator) => None,
            Err(error) => panic!("{error:?}"),
        }
    }

    async fn bind(&mut self, caller: &Caller) -> Option<String> {
        let users: Vec<String> = self.walk.accounts.keys().cloned().collect();
        let user = self.walk.dice.pick(&users).clone();
        let binding = self.walk.some_binding();
        let bind = Bind {
            user: user.clone(),
            binding: binding.clone(),
            why: Some("a walk".into()),
        };
        let bind = self.walk.gate.bind(caller, bind).ok()?;
        let before = self.stored(&user).await;
        let judged = bind.operation().authority().may_bind(&before, &binding);
        let done = self.world.store.bind(bind).await;
        assert_eq!(done.is_ok(), judged.is_ok(), "{done:?}");
        let (id, _) = done.ok()?;
        let told = format!("binds {user} to {binding:?}");
        self.bindings.insert(id, (user, binding));
        Some(told)
    }

    // Somebody's binding.
    fn some_bound(&mut self) -> Option<(String, String, Binding)> {
        let all: Vec<&String> = self.bindings.keys().collect();
        if all.is_empty() {
            return None;
        }
        let id = self.walk.dice.pick(&all).to_string();
        let (user, binding) = self.bindings[&id].clone();
        Some((id, user, binding))
    }

    async fn rebind(&mut self, caller: &Caller) -> Option<String> {
        let (id, user, old) = self.some_bound()?;
        let until = self.walk.dice.percent(50).then_some(NOON + 86_400_000_000);
        let new = Binding {
            until,
            ..old.clone()
        };
        let rebind = Rebind {
            id: id.clone(),
            until: Some(until),
            ..Rebind::default()
        };
        let rebind = self.walk.gate.rebind(caller, rebind).ok()?;
        let before = self.stored(&user).await;
        let place = before
            .iter()
            .position(|it| *it == old)
            .expect("it is stored");
        let judged = rebind
            .operation()
            .authority()
            .may_rebind(&before, place, &new);
        match self.world.store.rebind(rebind).await {
            Err(StoreError::LastAdministrator) => None,
            done => {
                assert_eq!(done.is_ok(), judged.is_ok(), "{done:?}");
                let ((), _) = done.ok()?;
                let told = format!("gives {user} other times: {new:?}");
                self.bindings.insert(id, (user, new));
                Some(told)
            }
        }
    }

    async fn unbind(&mut self, caller: &Caller) -> Option<String> {
        let (id, user, old) = self.some_bound()?;
        let unbind = Unbind {
            id: id.clone(),
            why: None,
        };
        let unbind = self.walk.gate.unbind(caller, unbind).ok()?;
        let before = self.stored(&user).await;
        let place = before
            .iter()
            .position(|it| *it == old)
            .expect("it is stored");
        let judged = unbind.operation().authority().may_unbind(&before, place);
        match self.world.store.unbind(unbind).await {
            Err(StoreError::LastAdministrator) => None,
            done => {
                assert_eq!(done.is_ok(), judged.is_ok(), "{done:?}");
                let ((), _) = done.ok()?;
                self.bindings.remove(&id);
                Some(format!("unbinds {user} from {old:?}"))
            }
        }
    }
}
