//! What a limited administrator tries.

use std::sync::Arc;

use portreeve_gate::{Author, Authored, Bind, Caller, Rebind, Unbind};
use portreeve_policy::{
    Binding, BoundTo, ProfileDefinition, ProfileRole, RoleDefinition, Snapshot,
};
use portreeve_testkit::worlds;

use super::Walk;

const DAY: i64 = 86_400_000_000;

impl Walk {
    /// Tries something as one of his accounts, and tells what was done, if anything was.
    pub fn step(&mut self) -> Option<String> {
        let actor = self.dice.pick(&self.his).clone();
        let mut caller = self.caller(&self.accounts[&actor]);
        if self.dice.percent(6) {
            let roles: Vec<String> = self.roles.iter().map(|role| role.key.clone()).collect();
            let narrowed = (0..2).map(|_| self.dice.pick(&roles).clone());
            let mut narrowed: Vec<String> = narrowed.collect();
            narrowed.push("chief".into());
            caller = self.gate.narrow(&caller, &narrowed).unwrap_or(caller);
        }
        let done = match self.dice.below(20) {
            0..4 => self.make_role(&caller),
            4..8 => self.change_role(&caller),
            8 => self.delete_role(&caller),
            9..12 => self.put_profile(&caller),
            12..16 => self.bind(&caller),
            16 => self.rebind(&caller),
            17 => self.unbind(&caller),
            18 => self.make_account(&caller),
            _ if self.dice.percent(50) => self.touch(&caller),
            _ => self.welcome(&caller),
        };
        done.map(|done| format!("{actor}: {done}"))
    }

    fn author(&self, caller: &Caller, changes: Vec<Authored>, compiled: Snapshot) -> Option<()> {
        let compiled = Arc::new(compiled);
        let author = Author {
            changes,
            compiled: Arc::clone(&compiled),
            unbind: true,
            why: None,
        };
        self.gate.author(caller, author).ok()?;
        self.gate.publish(compiled);
        Some(())
    }

    fn put_role(&mut self, caller: &Caller, role: RoleDefinition) -> Option<()> {
        let snapshot = self.snapshot();
        let compiled = snapshot.with_role(&role, snapshot.version() + 1).ok()?;
        let place = self.roles.iter().position(|known| known.key == role.key);
        let old = place.map(|place| Box::new(self.roles[place].clone()));
        let change = Authored::Role(old, Box::new(role.clone()));
        self.author(caller, vec![change], compiled)?;
        match place {
            Some(place) => self.roles[place] = role,
            None => self.roles.push(role),
        }
        Some(())
    }

    fn make_role(&mut self, caller: &Caller) -> Option<String> {
        let role = self.new_role();
        let told = format!("{role:?}");
        self.put_role(caller, role)?;
        Some(format!("makes {told}"))
    }

    /// A role that is not there yet.
    pub fn new_role(&mut self) -> RoleDefinition {
        self.next += 1;
        let of = self.dice.pick(&self.roles).clone();
        let mut role =
            worlds::variant(&mut self.dice, &self.world, &of, &format!("n{}", self.next));
        role.administrator = of.administrator && self.dice.percent(50);
        role.fallback = self.dice.percent(5);
        if self.dice.percent(15) {
            role.permissions.clear();
        }
        if self.dice.percent(50) {
            role.assignable_by.clear();
        }
        role
    }

    fn change_role(&mut self, caller: &Caller) -> Option<String> {
        let role = self.other_role();
        let told = format!("{role:?}");
        self.put_role(caller, role)?;
        Some(format!("changes {told}"))
    }

    /// A role that is there, otherwise.
    pub fn other_role(&mut self) -> RoleDefinition {
        let old = self.dice.pick(&self.roles).clone();
        let mut role = match self.dice.below(5) {
            0 => {
                let mut role = old.clone();
                if !role.permissions.is_empty() {
                    let place = self.dice.below(role.permissions.len());
                    role.permissions.remove(place);
                }
                role
            }
            1 => {
                let mut role = old.clone();
                let other = self.dice.pick(&self.roles).clone();
                role.permissions
                    .extend(other.permissions.iter().take(1).cloned());
                role
            }
            2 => RoleDefinition {
                when: None,
                assignable_by: vec!["chief".into()],
                ..old.clone()
            },
            _ => worlds::variant(&mut self.dice, &self.world, &old, &old.key),
        };
        role.fallback = old.fallback && self.dice.percent(80);
        role
    }

    fn delete_role(&mut self, caller: &Caller) -> Option<String> {
        let role = self.dice.pick(&self.roles).clone();
        let snapshot = self.snapshot();
        let version = snapshot.version() + 1;
        let compiled = snapshot.without_role(&role.key, version)?;
        // As the store does it: from each who holds it, judged by what he has then.
        let to = BoundTo::Role(role.key.clone());
        let mut accounts = self.accounts.clone();
        let authority = self.gate.authority(caller);
        for bindings in accounts.values_mut() {
            while let Some(place) = bindings.iter().position(|it| it.to == to) {
                authority.may_unbind(bindings, place).ok()?;
                bindings.remove(place);
            }
        }
        let change = Authored::NoRole(Box::new(role.clone()));
        self.author(caller, vec![change], compiled)?;
        self.accounts = accounts;
        self.roles.retain(|known| known.key != role.key);
        Some(format!("deletes {}", role.key))
    }

    /// A profile, new or other than it is, and what it was.
    pub fn some_profile(&mut self) -> (Option<ProfileDefinition>, ProfileDefinition) {
        let old = (!self.profiles.is_empty() && self.dice.percent(50))
            .then(|| self.dice.pick(&self.profiles).clone());
        let mut profile = old.clone().unwrap_or_else(|| {
            self.next += 1;
            ProfileDefinition {
                key: format!("q{}", self.next),
                ..ProfileDefinition::default()
            }
        });
        for _ in 0..=self.dice.below(2) {
            match self.dice.below(7) {
                0 if !profile.roles.is_empty() => {
                    let place = self.dice.below(profile.roles.len());
                    profile.roles.remove(place);
                }
                1 => profile.assignable_by = vec!["chief".into()],
                2 => profile.addresses.clear(),
                3 if !self.profiles.is_empty() => {
                    profile.parent = Some(self.dice.pick(&self.profiles).key.clone());
                }
                4 => profile
                    .roles
                    .iter_mut()
                    .for_each(|it| it.restricted_to = None),
                _ => profile.roles.push(ProfileRole {
                    role: self.dice.pick(&self.roles).key.clone(),
                    restricted_to: self.dice.percent(25).then(|| vec!["main/*".into()]),
                }),
            }
        }
        (old, profile)
    }

    fn put_profile(&mut self, caller: &Caller) -> Option<String> {
        let (old, profile) = self.some_profile();
        let mut profiles = self.profiles.clone();
        match profiles.iter_mut().find(|known| known.key == profile.key) {
            Some(known) => *known = profile.clone(),
            None => profiles.push(profile.clone()),
        }
        let snapshot = self.snapshot();
        let compiled = snapshot
            .with_profiles(&profiles, snapshot.version() + 1)
            .ok()?;
        let told = format!("puts {profile:?}");
        let change = Authored::Profile(old.map(Box::new), Box::new(profile));
        self.author(caller, vec![change], compiled)?;
        self.profiles = profiles;
        Some(told)
    }

    fn somebody(&mut self) -> String {
        if self.dice.percent(70) {
            return self.dice.pick(&self.his).clone();
        }
        let all: Vec<String> = self.accounts.keys().cloned().collect();
        self.dice.pick(&all).clone()
    }

    /// A binding to something that is there.
    pub fn some_binding(&mut self) -> Binding {
        let to = if !self.profiles.is_empty() && self.dice.percent(40) {
            BoundTo::Profile(self.dice.pick(&self.profiles).key.clone())
        } else {
            BoundTo::Role(self.dice.pick(&self.roles).key.clone())
        };
        let from = self.dice.percent(8).then_some(self.now + DAY);
        let until = self.dice.percent(12).then_some(self.now + 2 * DAY);
        let restricted = self.dice.percent(8);
        Binding {
            to,
            from,
            until,
            restricted_to: restricted.then(|| vec!["main/*".into()]),
            primary: false,
        }
    }

    fn bind(&mut self, caller: &Caller) -> Option<String> {
        let (user, binding) = (self.somebody(), self.some_binding());
        let bind = Bind {
            user: user.clone(),
            binding: binding.clone(),
            why: None,
        };
        let allowed = self.gate.bind(caller, bind).ok()?;
        let before = self.accounts.get_mut(&user)?;
        let authority = allowed.operation().authority();
        authority.may_bind(before, &binding).ok()?;
        let told = format!("binds {user} to {binding:?}");
        before.push(binding);
        Some(told)
    }

    // An account with a binding, and the binding's place.
    fn some_place(&mut self) -> Option<(String, usize)> {
        let user = self.somebody();
        let count = self.accounts[&user].len();
        (count > 0).then(|| (user, self.dice.below(count)))
    }

    fn rebind(&mut self, caller: &Caller) -> Option<String> {
        let (user, place) = self.some_place()?;
        let mut binding = self.accounts[&user][place].clone();
        if self.dice.percent(50) {
            binding.until = self.dice.percent(50).then_some(self.now + DAY);
        } else {
            binding.from = self.dice.percent(50).then_some(self.now + DAY);
        }
        let rebind = Rebind {
            from: Some(binding.from),
            until: Some(binding.until),
            ..Rebind::default()
        };
        let allowed = self.gate.rebind(caller, rebind).ok()?;
        let before = self.accounts.get_mut(&user)?;
        let authority = allowed.operation().authority();
        authority.may_rebind(before, place, &binding).ok()?;
        let told = format!("gives {user} other times: {binding:?}");
        before[place] = binding;
        Some(told)
    }

    fn unbind(&mut self, caller: &Caller) -> Option<String> {
        let (user, place) = self.some_place()?;
        let allowed = self.gate.unbind(caller, Unbind::default()).ok()?;
        let before = self.accounts.get_mut(&user)?;
        let authority = allowed.operation().authority();
        authority.may_unbind(before, place).ok()?;
        let gone = before.remove(place);
        Some(format!("unbinds {user} from {gone:?}"))
    }

    fn make_account(&mut self, caller: &Caller) -> Option<String> {
        let count = self.dice.below(3);
        let bindings: Vec<Binding> = (0..count).map(|_| self.some_binding()).collect();
        self.gate.authority(caller).may_make(&bindings).ok()?;
        self.next += 1;
        let user = format!("made{}", self.next);
        self.accounts.insert(user.clone(), bindings.clone());
        self.his.push(user.clone());
        Some(format!("makes {user} with {bindings:?}"))
    }

    // He sets the password of somebody, and is that one from now on.
    fn touch(&mut self, caller: &Caller) -> Option<String> {
        let all: Vec<String> = self.accounts.keys().cloned().collect();
        let user = self.dice.pick(&all).clone();
        let authority = self.gate.authority(caller);
        authority.may_touch(&self.accounts[&user]).ok()?;
        if self.his.contains(&user) {
            return None;
        }
        self.his.push(user.clone());
        Some(format!("takes over {user}"))
    }

    // Other roles for new accounts; and he signs up.
    fn welcome(&mut self, caller: &Caller) -> Option<String> {
        let role = self.dice.pick(&self.roles).key.clone();
        let snapshot = self.snapshot();
        let old = snapshot.registration_roles().to_vec();
        let mut roles = old.clone();
        if self.dice.percent(30) && !roles.is_empty() {
            roles.pop();
        } else {
            roles.push(role);
        }
        let compiled = snapshot
            .with_registration(&roles, snapshot.version() + 1)
            .ok()?;
        let change = Authored::Registration(old, roles.clone());
        self.author(caller, vec![change], compiled)?;
        self.next += 1;
        let user = format!("signed-up{}", self.next);
        let bindings = roles.iter().map(|role| Binding {
            to: BoundTo::Role(role.clone()),
            ..Binding::default()
        });
        self.accounts.insert(user.clone(), bindings.collect());
        self.his.push(user.clone());
        Some(format!("signs up as {user} with {roles:?}"))
    }
}
