//! Which statements speak for a subject, and what they say of reading.

use std::net::IpAddr;

use portreeve_model::{CollectionName, Rule};
use portreeve_policy::{Binding, BoundTo, Effect, Permission, ProfileDefinition, RoleDefinition};

use super::predicate::{At, Truth};
use super::schema::Collection;
use super::{Record, Referee};

/// What may be done with records, down to the single deed.
const DEEDS: [&str; 11] = [
    "data.read.one",
    "data.read.many",
    "data.read.count",
    "data.create.one",
    "data.create.many",
    "data.update.one",
    "data.update.many",
    "data.delete.one",
    "data.delete.many",
    "data.share",
    "data.subscribe",
];

/// One path on which a role reaches the subject. "Several paths to a role add up."
struct Way {
    role: String,
    /// Permissions that are no role's.
    inline: Option<Vec<Permission>>,
    /// Every `restricted_to` on the way; all must cover the collection.
    clips: Vec<Vec<String>>,
    /// Whether the address lists on the way are met.
    met: bool,
    /// Whether what it allows does not count.
    denies_only: bool,
}

/// The statements about one action on one collection: those of the owner, or those of a narrowing.
pub struct Layer {
    /// Everything is allowed and no deny counts.
    pub administrator: bool,
    /// In the order in which they are tried.
    pub allows: Vec<Permission>,
    /// In no order that matters.
    pub denies: Vec<Permission>,
}

/// "Both the owner's decision and the narrowing must hold."
pub struct Decision {
    /// The owner's.
    pub owner: Layer,
    /// The narrowings', as many as there are.
    pub narrowing: Vec<Layer>,
    /// Whether a share that is looked at shows nothing of the kind.
    pub outside: bool,
}

impl Decision {
    /// Both layers, the owner's first.
    pub fn layers(&self) -> impl Iterator<Item = &Layer> {
        std::iter::once(&self.owner).chain(&self.narrowing)
    }

    /// Rule 1: nothing of the kind is allowed, whatever the record.
    pub fn is_shut(&self) -> bool {
        self.outside || self.layers().any(Layer::is_shut)
    }
}

impl Layer {
    /// "No allow → denied. A deny without rows, fields and check → denied, whoever allows."
    pub fn is_shut(&self) -> bool {
        !self.administrator
            && (self.allows.is_empty()
                || self
                    .denies
                    .iter()
                    .any(|deny| deny.fields.is_none() && is_plain(deny)))
    }

    /// Whether the field exists as far as this layer goes.
    fn knows(&self, field: &str) -> bool {
        self.administrator
            || self.allows.iter().any(|allow| grants(allow, field))
                && !self
                    .denies
                    .iter()
                    .any(|deny| is_plain(deny) && names(deny, field))
    }
}

fn is_plain(permission: &Permission) -> bool {
    let no_rows = matches!(permission.rows, None | Some(Rule::Constant(true)));
    no_rows && permission.check.is_none()
}

/// Whether an allow grants the field.
pub fn grants(allow: &Permission, field: &str) -> bool {
    allow.fields.is_none() || names(allow, field)
}

/// Whether a permission's field list has the field.
pub fn names(permission: &Permission, field: &str) -> bool {
    permission
        .fields
        .as_ref()
        .is_some_and(|fields| fields.iter().any(|name| name == field))
}

/// "Dotted names matched by prefix, `*` for all."
fn covers_action(pattern: &str, action: &str) -> bool {
    let below = |rest: &str| rest.is_empty() || rest.starts_with('.');
    pattern == "*" || action.strip_prefix(pattern).is_some_and(below)
}

/// "A resource `*` covers ordinary collections; system collections must be named."
fn covers_collection(pattern: &str, collection: &Collection) -> bool {
    if pattern == "*" {
        return !collection.system;
    }
    match pattern.strip_suffix("/*") {
        Some(namespace) => !collection.system && collection.namespace == namespace,
        None => CollectionName::parse(pattern).is_ok_and(|it| it.to_string() == collection.name),
    }
}

fn covers_somewhere(patterns: &[String], collection: &Collection) -> bool {
    patterns
        .iter()
        .any(|pattern| covers_collection(pattern, collection))
}

/// Whether a permission is about this action on this collection.
fn covers(permission: &Permission, action: &str, collection: &Collection) -> bool {
    let excepted = |left_out: &String| {
        covers_action(left_out, action) || covers_collection(left_out, collection)
    };
    permission
        .actions
        .iter()
        .any(|pattern| covers_action(pattern, action))
        && covers_somewhere(&permission.on, collection)
        && !permission.except.iter().any(excepted)
}

impl Referee<'_> {
    /// The decision about one action on one collection.
    pub fn decision(&self, action: &str, collection: &Collection) -> Decision {
        let narrowing = self.narrowings().into_iter();
        Decision {
            owner: self.layer(self.ways(), action, collection),
            narrowing: narrowing
                .map(|ways| self.layer(ways, action, collection))
                .collect(),
            outside: self.is_outside(action, collection),
        }
    }

    /// Whose rights a share shows, and what everybody's are limited by.
    pub fn owner_layer(&self, action: &str, collection: &Collection) -> Layer {
        self.layer(self.ways(), action, collection)
    }

    /// Rule 2 for one layer.
    pub fn layer_reaches(&self, layer: &Layer, collection: &Collection, record: &Record) -> bool {
        let rows = |permission: &Permission| self.rows(permission, collection, record);
        let mut denies = layer
            .denies
            .iter()
            .filter(|deny| deny.fields.is_none() && deny.check.is_none());
        layer.administrator
            || layer.allows.iter().any(|allow| rows(allow) == Some(true))
                && denies.all(|deny| rows(deny) == Some(false))
    }

    /// "`everyone` applies to keys, `fallback` never does."
    fn narrowings(&self) -> Vec<Vec<Way>> {
        let mut narrowings = vec![];
        if let Some(roles) = &self.subject.narrowed_to {
            let mut ways: Vec<Way> = roles.iter().map(|role| plain_way(role)).collect();
            ways.push(plain_way("everyone"));
            narrowings.push(ways);
        }
        if let Some(scope) = &self.subject.scope {
            let mut ways = vec![Way {
                inline: Some(scope.permissions().to_vec()),
                ..plain_way("")
            }];
            if scope.everyone() {
                ways.push(plain_way("everyone"));
            }
            narrowings.push(ways);
        }
        if let Some(role) = self.subject.share.iter().find_map(|it| it.role.as_ref()) {
            narrowings.push(vec![plain_way(role)]);
        }
        narrowings
    }

    fn layer(&self, ways: Vec<Way>, action: &str, collection: &Collection) -> Layer {
        let mut layer = Layer {
            administrator: false,
            allows: vec![],
            denies: vec![],
        };
        for way in ways {
            let role = match way.inline.clone() {
                None => self.role(&way.role),
                Some(permissions) => Some(RoleDefinition {
                    permissions,
                    ..RoleDefinition::default()
                }),
            };
            let Some(role) = role else {
                continue;
            };
            let speaks = way.met && !way.denies_only && self.is_met(role.when.as_ref());
            if role.administrator && speaks {
                // What is the product's own is written by operations of its own; it can be looked at, and shown.
                layer.administrator |= !collection.system
                    || action.starts_with("data.read.")
                    || action == "data.share";
            }
            if !way
                .clips
                .iter()
                .all(|clip| covers_somewhere(clip, collection))
            {
                continue;
            }
            // What covers a cell keeps `implicit_allow` out of it, at every moment and through every face.
            let covering: Vec<&Permission> = role
                .permissions
                .iter()
                .filter(|permission| covers(permission, action, collection))
                .collect();
            let through = |permission: &&&Permission| self.is_through_its_face(permission);
            for permission in covering.iter().filter(through) {
                match permission.effect {
                    // "An unmet address list or `when` removes allows only, never denies": the role's `when`. A deny's
                    // own makes it a statement or not, and like every deny it holds unless false.
                    Effect::Deny => {
                        if !self.is_ruled_out(permission.when.as_ref()) {
                            layer.denies.push((*permission).clone());
                        }
                    }
                    // "An allow with an empty field list is no allow."
                    Effect::Allow if permission.fields == Some(vec![]) => {}
                    Effect::Allow => {
                        if speaks && self.is_met(permission.when.as_ref()) {
                            layer.allows.push((*permission).clone());
                        }
                    }
                }
            }
            if role.implicit_allow && speaks && covering.is_empty() {
                layer.allows.push(Permission::default());
            }
        }
        layer
    }

    fn is_through_its_face(&self, permission: &Permission) -> bool {
        let asked = |name: &str| self.subject.request.get(name);
        permission.via.as_ref().is_none_or(|via| {
            asked("face") == Some(&via.face)
                && (via.operations.is_empty()
                    || asked("operation").is_some_and(|name| via.operations.contains(name)))
        })
    }

    fn is_ruled_out(&self, when: Option<&Rule>) -> bool {
        when.is_some_and(|when| self.truth(when, &At::nowhere()) == Some(false))
    }

    fn is_met(&self, when: Option<&Rule>) -> bool {
        when.is_none_or(|when| self.truth(when, &At::nowhere()) == Some(true))
    }

    /// A role as defined, or as built in.
    fn role(&self, key: &str) -> Option<RoleDefinition> {
        let mut roles = self.world.document.roles.iter();
        let built_in = ["admin", "user", "anonymous", "everyone"].contains(&key);
        let mut role = match roles.find(|role| role.key == key) {
            Some(role) => role.clone(),
            None if built_in => RoleDefinition {
                key: key.into(),
                ..RoleDefinition::default()
            },
            None => return None,
        };
        role.administrator |= key == "admin";
        Some(role)
    }

    /// "*Roles in force* for a user = live bindings, through profiles to roles, + `everyone`, + `fallback` iff no
    /// binding is stored, live or not, other than `user`. For anonymous: `anonymous`, `everyone`, `fallback`."
    fn ways(&self) -> Vec<Way> {
        let mut ways = vec![];
        let mut bare = true;
        if self.subject.user.is_none() {
            ways.push(plain_way("anonymous"));
        } else {
            for binding in &self.subject.bindings {
                bare &= binding.to == BoundTo::Role("user".into());
                if self.is_live(binding) {
                    ways.extend(self.bound(binding));
                }
            }
        }
        let mut public = vec![plain_way("everyone")];
        if bare {
            let fallback = self.world.document.roles.iter().find(|role| role.fallback);
            public.extend(fallback.map(|role| plain_way(&role.key)));
        }
        for way in &mut public {
            // "No anonymous, everyone, fallback": what they deny its creator they deny here too.
            way.denies_only = self.subject.share.is_some();
        }
        ways.extend(public);
        ways
    }

    fn is_live(&self, binding: &Binding) -> bool {
        let now = self.subject.now;
        binding.from.is_none_or(|from| from <= now) && binding.until.is_none_or(|until| now < until)
    }

    fn bound(&self, binding: &Binding) -> Vec<Way> {
        let mut ways = match &binding.to {
            BoundTo::Role(role) => vec![plain_way(role)],
            BoundTo::Profile(profile) => self.through_profile(profile),
        };
        for way in &mut ways {
            way.clips.extend(binding.restricted_to.clone());
        }
        ways
    }

    /// The parent's roles first, under the conditions of both.
    fn through_profile(&self, key: &str) -> Vec<Way> {
        let mut profiles = self.world.document.profiles.iter();
        let Some(profile) = profiles.find(|profile| profile.key == key) else {
            return vec![];
        };
        let mut ways = match &profile.parent {
            Some(parent) => self.through_profile(parent),
            None => vec![],
        };
        for entry in &profile.roles {
            ways.push(Way {
                clips: entry.restricted_to.iter().cloned().collect(),
                ..plain_way(&entry.role)
            });
        }
        for way in &mut ways {
            way.met &= self.is_within(profile);
        }
        ways
    }

    fn is_within(&self, profile: &ProfileDefinition) -> bool {
        let ip = self.subject.request.get("ip");
        let ip: Option<IpAddr> = ip.and_then(|text| text.parse().ok());
        profile.addresses.is_empty()
            || ip.is_some_and(|ip| profile.addresses.iter().any(|net| net.contains(&ip)))
    }

    /// `$user.roles`.
    pub fn roles_in_force(&self) -> Vec<String> {
        let ways = self.ways();
        ways.into_iter()
            .map(|way| way.role)
            .filter(|key| self.role(key).is_some())
            .collect()
    }

    /// What a permission's rows say of a record.
    pub fn rows(&self, permission: &Permission, collection: &Collection, record: &Record) -> Truth {
        match &permission.rows {
            Some(rows) => self.truth(rows, &At::rows(collection, record)),
            None => Some(true),
        }
    }

    /// Rule 2: "In reach iff some allow's rows hold and no field-less deny's rows do." "An allow holds iff true, a
    /// deny holds unless false." A deny with a check speaks of writes only.
    pub fn reaches(&self, action: &str, collection: &Collection, record: &Record) -> bool {
        let decision = self.decision(action, collection);
        !decision.outside
            && self.shares(collection, record)
            && decision
                .layers()
                .all(|layer| self.layer_reaches(layer, collection, record))
    }

    /// Whether a row rule, be it an allow's or a deny's, says which records.
    pub fn is_limited_by_rows(&self, action: &str, collection: &Collection) -> bool {
        let every = |allow: &Permission| matches!(allow.rows, None | Some(Rule::Constant(true)));
        let whole = |deny: &Permission| deny.fields.is_none() && deny.check.is_none();
        self.decision(action, collection).layers().any(|layer| {
            !layer.administrator
                && (!layer.allows.iter().any(every) || layer.denies.iter().any(whole))
        })
    }

    /// Rule 3: "f of r is readable iff some allow that grants f holds for r and no deny on f does." "The key of a
    /// record in reach is always readable."
    pub fn readable(
        &self,
        action: &str,
        collection: &Collection,
        record: &Record,
        field: &str,
    ) -> bool {
        let rows = |permission: &Permission| self.rows(permission, collection, record);
        self.reaches(action, collection, record)
            && self.shares_field(collection, field)
            && (field == collection.key
                || self.decision(action, collection).layers().all(|layer| {
                    let mut allows = layer.allows.iter().filter(|allow| grants(allow, field));
                    let mut denies = layer.denies.iter().filter(|deny| names(deny, field));
                    layer.administrator
                        || allows.any(|allow| rows(allow) == Some(true))
                            && denies.all(|deny| rows(deny) == Some(false))
                }))
    }

    /// Whether the field exists for the caller. "A field no statement grants does not exist."
    pub fn exists(&self, action: &str, collection: &Collection, field: &str) -> bool {
        let decision = self.decision(action, collection);
        collection.field(field).is_some()
            && !decision.is_shut()
            && self.shares_field(collection, field)
            && (field == collection.key || decision.layers().all(|layer| layer.knows(field)))
    }

    /// Whether the caller may do anything at all with records of the collection.
    pub fn knows(&self, collection: &Collection) -> bool {
        DEEDS
            .iter()
            .any(|deed| !self.decision(deed, collection).is_shut())
    }
}

fn plain_way(role: &str) -> Way {
    Way {
        role: role.into(),
        inline: None,
        clips: vec![],
        met: true,
        denies_only: false,
    }
}
