//! Documents become snapshots; every mistake is a [`Problem`] with its place.

mod attributes;
mod coverage;
mod parts;
mod profiles;
mod scope;

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use portreeve_model::{Catalog, Collection, CollectionId, Condition, FieldId, Operand, Rule, Slot};

use crate::snapshot::{
    ANY_NAMESPACE, CompiledRole, Entry, Later, LaterOn, Namespaces, PLAIN_ALLOW, PLAIN_DENY,
    RoleReads, Snapshot, SpecialEntry, SpecialTarget, WildEntry,
};
use crate::{
    ActionId, Actions, Body, BoundTo, Document, Effect, FieldSet, FieldValue, Permission, Place,
    Problem, Purpose, Resolver, RoleDefinition, RuleDefinition, build_catalog, suggestion,
};

/// The roles that always exist.
pub const BUILT_IN_ROLES: [&str; 4] = ["admin", "user", "anonymous", "everyone"];

pub(crate) struct Compiler<'a> {
    catalog: &'a Catalog,
    namespaces: &'a Namespaces,
    actions: &'a Actions,
    rules: &'a HashMap<String, Arc<RuleDefinition>>,
    problems: Vec<Problem>,
    interned: HashSet<Arc<Body>>,
    attributes: BTreeSet<String>,
    role_reads: RoleReads,
}

impl Compiler<'_> {
    pub(crate) fn compile(document: &Document, version: u64) -> Result<Snapshot, Vec<Problem>> {
        let catalog = build_catalog(&document.collections)?;
        let actions = Actions::new(document.actions.iter().map(|action| action.name.as_str()));
        let rules: HashMap<String, Arc<RuleDefinition>> = document
            .rules
            .iter()
            .map(|rule| (rule.name.clone(), Arc::new(rule.clone())))
            .collect();
        let namespaces = Namespaces::new(&catalog);
        let mut compiler = Compiler {
            catalog: &catalog,
            namespaces: &namespaces,
            actions: &actions,
            rules: &rules,
            problems: vec![],
            interned: HashSet::new(),
            attributes: BTreeSet::new(),
            role_reads: RoleReads::Named(BTreeSet::new()),
        };
        compiler.declarations(document);
        // A rule that refers to itself would be expanded without end.
        if !compiler.problems.is_empty() {
            return Err(compiler.problems);
        }
        let mut definitions: Vec<RoleDefinition> = document.roles.clone();
        for key in BUILT_IN_ROLES {
            if !definitions.iter().any(|role| role.key == key) {
                definitions.extend(built_in_role(key));
            }
        }
        let mut roles = vec![];
        let mut places = HashMap::new();
        let mut fallback: Option<usize> = None;
        for definition in &definitions {
            if places.insert(definition.key.clone(), roles.len()).is_some() {
                compiler.fail(
                    &definition.place,
                    "duplicate_key",
                    format!("role '{}' is declared twice", definition.key),
                );
            }
            if definition.fallback {
                match fallback {
                    None => fallback = Some(roles.len()),
                    Some(first) => compiler.fail(
                        &definition.place,
                        "two_fallbacks",
                        format!(
                            "'{}' and '{}' are both marked fallback; only one role can be what is left when nothing else is bound",
                            definitions[first].key, definition.key
                        ),
                    ),
                }
            }
            roles.push(Arc::new(compiler.role(definition)));
        }
        let profiles = compiler.profiles(&document.profiles, &roles, &places);
        compiler.registration(&document.registration.roles, &roles, &places);
        compiler.bindings(document, &roles, &places);
        let roles_of = definitions.iter().map(|role| {
            let by: Arc<[String]> = role.assignable_by.clone().into();
            (BoundTo::Role(role.key.clone()), &role.place, by)
        });
        let profiles_of = document.profiles.iter().map(|profile| {
            let by: Arc<[String]> = profile.assignable_by.clone().into();
            (BoundTo::Profile(profile.key.clone()), &profile.place, by)
        });
        let mut assignable = HashMap::new();
        for (what, place, by) in roles_of.chain(profiles_of) {
            compiler.assigners(place, &by, &places);
            if !by.is_empty() {
                assignable.insert(what, by);
            }
        }
        let (problems, attributes) = (compiler.problems, compiler.attributes);
        let role_reads = compiler.role_reads;
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Snapshot {
            version,
            catalog: Arc::new(catalog),
            actions: Arc::new(actions),
            rules: Arc::new(rules),
            roles,
            role_places: Arc::new(places),
            profiles: Arc::new(profiles),
            fallback,
            registration: document.registration.roles.clone().into(),
            rule_attributes: Arc::new(attributes),
            role_reads: Arc::new(role_reads),
            assignable: Arc::new(assignable),
            namespaces: Arc::new(namespaces),
            sets: Arc::default(),
        })
    }

    pub(crate) fn replace_role(
        snapshot: &Snapshot,
        definition: &RoleDefinition,
        version: u64,
    ) -> Result<Snapshot, Vec<Problem>> {
        let mut compiler = Compiler::over(snapshot);
        let role = Arc::new(compiler.role(definition));
        let place = snapshot.role_places.get(&definition.key).copied();
        if definition.fallback
            && snapshot
                .fallback
                .is_some_and(|fallback| Some(fallback) != place)
        {
            compiler.fail(
                &definition.place,
                "two_fallbacks",
                "another role is marked fallback already".into(),
            );
        }
        // A role may name itself before it is there.
        let mut named = (*snapshot.role_places).clone();
        named.entry(definition.key.clone()).or_insert(usize::MAX);
        compiler.assigners(&definition.place, &definition.assignable_by, &named);
        let administrator_changed =
            place.is_some_and(|place| snapshot.roles[place].administrator != role.administrator);
        if administrator_changed
            && role.administrator
            && snapshot.profiles.values().any(|profile| {
                profile
                    .roles
                    .iter()
                    .any(|entry| Some(entry.place) == place && entry.restricted.is_some())
            })
        {
            compiler.fail(
                &definition.place,
                "conflict",
                format!(
                    "'{}' is restricted in a profile, which an administrator cannot be",
                    definition.key
                ),
            );
        }
        if !compiler.problems.is_empty() {
            return Err(compiler.problems);
        }
        let (attributes, role_reads) = (compiler.attributes, compiler.role_reads);
        let mut next = snapshot.clone();
        next.version = version;
        next.sets = Arc::default();
        let place = match place {
            Some(place) => {
                next.roles[place] = role;
                place
            }
            None => {
                next.roles.push(role);
                Arc::make_mut(&mut next.role_places)
                    .insert(definition.key.clone(), next.roles.len() - 1);
                next.roles.len() - 1
            }
        };
        if definition.fallback {
            next.fallback = Some(place);
        } else if next.fallback == Some(place) {
            next.fallback = None;
        }
        if !attributes.is_subset(&next.rule_attributes) {
            Arc::make_mut(&mut next.rule_attributes).extend(attributes);
        }
        let mut reads = (*next.role_reads).clone();
        reads.extend(&role_reads);
        if reads != *next.role_reads {
            next.role_reads = Arc::new(reads);
        }
        let what = BoundTo::Role(definition.key.clone());
        if next.assignable_by(&what) != definition.assignable_by {
            let assignable = Arc::make_mut(&mut next.assignable);
            if definition.assignable_by.is_empty() {
                assignable.remove(&what);
            } else {
                assignable.insert(what, definition.assignable_by.clone().into());
            }
        }
        Ok(next)
    }

    fn fail(&mut self, place: &Place, code: &'static str, message: String) {
        self.problems.push(Problem {
            place: place.clone(),
            code,
            message,
        });
    }

    fn declarations(&mut self, document: &Document) {
        let mut seen = HashSet::new();
        for action in &document.actions {
            if Actions::is_reserved(&action.name) {
                self.fail(
                    &action.place,
                    "reserved_name",
                    format!("'{}' begins like one of the product's own actions; choose another first word", action.name),
                );
            }
            if !seen.insert(&action.name) {
                self.fail(
                    &action.place,
                    "duplicate_key",
                    format!("action '{}' is declared twice", action.name),
                );
            }
        }
        let mut seen = HashSet::new();
        for rule in &document.rules {
            if !seen.insert(&rule.name) {
                self.fail(
                    &rule.place,
                    "duplicate_key",
                    format!("rule '{}' is declared twice", rule.name),
                );
            }
            let mut path = vec![rule.name.clone()];
            if let Some(cycle) = self.rule_cycle(&rule.rule, &mut path) {
                self.fail(
                    &rule.place,
                    "cycle",
                    format!("rule '{}' refers to itself: {cycle}", rule.name),
                );
            }
        }
    }

    // Follows named rules depth first; the answer is the way round, if there is one.
    fn rule_cycle(&self, rule: &Rule, path: &mut Vec<String>) -> Option<String> {
        match rule {
            Rule::All(rules) | Rule::Any(rules) => {
                rules.iter().find_map(|inner| self.rule_cycle(inner, path))
            }
            Rule::Not(inner) | Rule::Quantified { rule: inner, .. } => self.rule_cycle(inner, path),
            Rule::Named { name, .. } => {
                if path.first() == Some(name) {
                    return Some(format!("{} → {name}", path.join(" → ")));
                }
                if path.contains(name) || path.len() > 64 {
                    return None;
                }
                path.push(name.clone());
                let found = self
                    .rules
                    .get(name)
                    .and_then(|next| self.rule_cycle(&next.rule, path));
                path.pop();
                found
            }
            _ => None,
        }
    }

    fn role(&mut self, definition: &RoleDefinition) -> CompiledRole {
        if definition.key == "admin" && !definition.administrator {
            self.fail(
                &definition.place,
                "conflict",
                "the role 'admin' is built in and always an administrator; add 'administrator: true' or choose another name".into(),
            );
        }
        let when = definition
            .when
            .as_ref()
            .and_then(|rule| self.when(rule, &definition.place));
        let mut parts = Parts::default();
        self.permissions(&definition.permissions, &mut parts);
        parts.role(
            Arc::from(definition.key.as_str()),
            when,
            (definition.administrator, definition.implicit_allow),
        )
    }

    fn permissions(&mut self, permissions: &[Permission], parts: &mut Parts) {
        for (position, permission) in permissions.iter().enumerate() {
            match u16::try_from(position) {
                Ok(position) if position < u16::MAX => self.permission(permission, position, parts),
                _ => {
                    self.fail(
                        &permission.place,
                        "too_many",
                        "a role holds at most 65,534 permissions".into(),
                    );
                    break;
                }
            }
        }
    }

    fn when(&mut self, rule: &Rule, place: &Place) -> Option<Arc<Condition>> {
        self.note_attributes(rule);
        match Resolver::for_policy(self.catalog, self.rules, Purpose::When).rule(None, rule) {
            Ok(condition) => Some(Arc::new(condition)),
            Err(error) => {
                self.fail(place, "bad_rule", format!("when: {}", error.0));
                None
            }
        }
    }

    fn permission(&mut self, permission: &Permission, position: u16, parts: &mut Parts) {
        let place = &permission.place;
        let Some((record, special)) = self.covered_actions(permission) else {
            return;
        };
        let Some((targets, except)) = self.targets(permission, record != 0) else {
            return;
        };
        if record == 0 && (permission.rows.is_some() && targets.is_empty()) {
            self.fail(
                place,
                "conflict",
                "'rows' needs 'on': say which collection the rule is about".into(),
            );
            return;
        }
        if record == 0 && permission.fields.is_some() {
            self.fail(
                place,
                "conflict",
                "'fields' works for actions on records only".into(),
            );
            return;
        }
        let writes = (3..7).fold(0u16, |bits, place| bits | 1 << place);
        let only_writes = special.is_empty() && record & !writes == 0;
        for (given, key) in [
            (permission.check.is_some(), "check"),
            (!permission.presets.is_empty(), "presets"),
            (!permission.defaults.is_empty(), "defaults"),
        ] {
            if given && !only_writes {
                self.fail(
                    place,
                    "conflict",
                    format!("'{key}' works for data.create and data.update only; give the other actions a permission of their own"),
                );
                return;
            }
        }
        if permission.effect == Effect::Deny
            && (!permission.presets.is_empty() || !permission.defaults.is_empty())
        {
            self.fail(
                place,
                "conflict",
                "a deny has no presets or defaults; put them on the allow".into(),
            );
            return;
        }
        let when = match &permission.when {
            Some(rule) => match self.when(rule, place) {
                Some(when) => Some(when),
                None => return,
            },
            None => None,
        };
        // What names fields must be resolved against each collection it covers.
        let per_collection = permission.rows.is_some()
            || permission.fields.is_some()
            || permission.check.is_some()
            || !permission.presets.is_empty()
            || !permission.defaults.is_empty();
        let general = Body {
            when,
            via: permission.via.clone(),
            ..Body::plain(permission.effect)
        };
        parts.later(permission, record, &targets);
        for target in &targets {
            match target {
                SpecialTarget::Collection(id) => {
                    let collection = Arc::clone(self.catalog.get(*id));
                    if !except.contains(id) {
                        self.on_collection(
                            permission,
                            &general,
                            &collection,
                            record,
                            &special,
                            position,
                            parts,
                        );
                    }
                }
                wild if per_collection => {
                    for collection in self.wild_collections(wild) {
                        if !except.contains(&collection.id) {
                            self.on_collection(
                                permission,
                                &general,
                                &collection,
                                record,
                                &special,
                                position,
                                parts,
                            );
                        }
                    }
                }
                wild => {
                    let body = parts.body(&mut self.interned, general.clone());
                    let except: Box<[CollectionId]> = except.iter().copied().collect();
                    if record != 0 {
                        let namespace = match wild {
                            SpecialTarget::Namespace(name) => self.namespaces.find(name),
                            _ => ANY_NAMESPACE,
                        };
                        if !except.is_empty() {
                            parts.excepts.push(except.clone());
                        }
                        parts.wild.push(WildEntry {
                            namespace,
                            except: if except.is_empty() {
                                0
                            } else {
                                parts.excepts.len() as u32
                            },
                            body,
                            actions: record,
                            position,
                        });
                    }
                    for action in &special {
                        let except = except.clone();
                        parts.special.push(SpecialEntry {
                            action: *action,
                            on: wild.clone(),
                            except,
                            body,
                            position,
                        });
                    }
                }
            }
        }
    }

    fn wild_collections(&self, wild: &SpecialTarget) -> Vec<Arc<Collection>> {
        self.catalog
            .iter()
            .filter(|collection| !collection.system)
            .filter(|collection| match wild {
                SpecialTarget::Namespace(name) => collection.name.namespace() == &**name,
                _ => true,
            })
            .cloned()
            .collect()
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "one permission, one collection: all of it is needed"
    )]
    fn on_collection(
        &mut self,
        permission: &Permission,
        general: &Body,
        collection: &Collection,
        record: u16,
        special: &[ActionId],
        position: u16,
        parts: &mut Parts,
    ) {
        let Some(body) = self.body(permission, general, collection) else {
            return;
        };
        let body = parts.body(&mut self.interned, body);
        if record != 0 {
            parts.entries.push(Entry {
                collection: collection.id,
                body,
                actions: record,
                position,
            });
        }
        for action in special {
            let on = SpecialTarget::Collection(collection.id);
            parts.special.push(SpecialEntry {
                action: *action,
                on,
                except: Box::new([]),
                body,
                position,
            });
        }
    }

    fn body(
        &mut self,
        permission: &Permission,
        general: &Body,
        collection: &Collection,
    ) -> Option<Body> {
        let mut body = general.clone();
        let before = self.problems.len();
        body.rows = self.rule(
            permission,
            "rows",
            permission.rows.as_ref(),
            Purpose::Rows,
            collection,
        );
        body.check = self.rule(
            permission,
            "check",
            permission.check.as_ref(),
            Purpose::Check,
            collection,
        );
        if let Some(names) = &permission.fields
            && !names.iter().any(|name| name == "*")
        {
            let mut fields = vec![];
            for name in names {
                match self.field(permission, "fields", name, collection) {
                    Some(field) => fields.push(field),
                    None => return None,
                }
            }
            fields.sort_unstable();
            fields.dedup();
            body.fields = FieldSet::Only(fields.into());
        }
        body.presets = self.values(permission, "presets", &permission.presets, collection);
        body.defaults = self.values(permission, "defaults", &permission.defaults, collection);
        (self.problems.len() == before).then_some(body)
    }

    fn rule(
        &mut self,
        permission: &Permission,
        key: &str,
        rule: Option<&Rule>,
        purpose: Purpose,
        collection: &Collection,
    ) -> Option<Arc<Condition>> {
        let rule = rule?;
        self.note_attributes(rule);
        match Resolver::for_policy(self.catalog, self.rules, purpose).rule(Some(collection), rule) {
            Ok(Condition::Constant(true)) if purpose == Purpose::Rows => None,
            Ok(condition) => Some(Arc::new(condition)),
            Err(error) => {
                self.fail(&permission.place, "bad_rule", format!("{key}: {}", error.0));
                None
            }
        }
    }

    fn field(
        &mut self,
        permission: &Permission,
        key: &str,
        name: &str,
        collection: &Collection,
    ) -> Option<FieldId> {
        let found = collection.find_field(name);
        if found.is_none() {
            let names = collection.named_fields();
            let hint = suggestion(name, names.map(|field| &*collection.field(field).name));
            self.fail(
                &permission.place,
                "unknown_field",
                format!("{key}: '{}' has no field '{name}'{hint}", collection.name),
            );
        }
        found
    }

    fn values(
        &mut self,
        permission: &Permission,
        key: &str,
        values: &[(String, FieldValue)],
        collection: &Collection,
    ) -> Vec<(FieldId, Slot)> {
        let mut resolved = vec![];
        for (name, value) in values {
            let Some(field) = self.field(permission, key, name, collection) else {
                continue;
            };
            let declared = collection.field(field);
            if let Some(why) = collection.unwritable(field) {
                self.fail(
                    &permission.place,
                    "bad_value",
                    format!("{key}: '{name}' {why}"),
                );
                continue;
            }
            let by_number = declared
                .relation
                .is_some_and(|to| self.catalog.is_users_number(&to));
            let slot = match value {
                FieldValue::Json(json) => portreeve_model::Value::from_json(declared.ty, json)
                    .map(Slot::Literal)
                    .map_err(|error| error.0),
                FieldValue::Variable(variable) => {
                    self.note_variable(variable);
                    Resolver::for_policy(self.catalog, self.rules, Purpose::When)
                        .value(declared.ty, by_number, &Operand::Variable(variable.clone()))
                        .map_err(|error| error.0)
                }
            };
            match slot {
                Ok(slot) => resolved.push((field, slot)),
                Err(error) => self.fail(
                    &permission.place,
                    "wrong_type",
                    format!("{key}: {name}: {error}"),
                ),
            }
        }
        resolved
    }
}

#[derive(Default)]
struct Parts {
    entries: Vec<Entry>,
    wild: Vec<WildEntry>,
    excepts: Vec<Box<[CollectionId]>>,
    special: Vec<SpecialEntry>,
    bodies: Vec<Arc<Body>>,
    later: Vec<Later>,
}

impl Parts {
    fn role(
        mut self,
        key: Arc<str>,
        when: Option<Arc<Condition>>,
        (administrator, implicit_allow): (bool, bool),
    ) -> CompiledRole {
        self.entries
            .sort_by_key(|entry| (entry.collection, entry.position));
        CompiledRole {
            key,
            administrator,
            implicit_allow,
            when,
            entries: self.entries.into(),
            wild: self.wild.into(),
            excepts: self.excepts.into(),
            special: self.special.into(),
            bodies: self.bodies.into(),
            later: self.later.into(),
        }
    }

    // What `*` and namespaces say of what is not there yet.
    fn later(&mut self, permission: &Permission, record: u16, targets: &[SpecialTarget]) {
        let every_action = permission.actions.iter().any(|action| action == "*");
        if record == 0 && !every_action {
            return;
        }
        let limits = Permission {
            actions: vec![],
            on: vec![],
            except: vec![],
            source: None,
            place: Place::default(),
            ..permission.clone()
        };
        let plain = Permission {
            effect: permission.effect,
            ..Permission::default()
        };
        let limits = (limits != plain).then(|| Arc::new(limits));
        for target in targets {
            let on = match target {
                SpecialTarget::Anything => LaterOn::Anything,
                SpecialTarget::Namespace(name) => LaterOn::Namespace(name.clone()),
                SpecialTarget::Collection(_) => continue,
            };
            self.later.push(Later {
                on,
                actions: record,
                every_action,
                effect: permission.effect,
                limits: limits.clone(),
            });
        }
    }

    #[expect(
        clippy::mutable_key_type,
        reason = "a regular expression's inner cache is no part of its identity"
    )]
    fn body(&mut self, interned: &mut HashSet<Arc<Body>>, body: Body) -> u32 {
        if body.is_plain() {
            return if body.effect == Effect::Allow {
                PLAIN_ALLOW
            } else {
                PLAIN_DENY
            };
        }
        let shared = match interned.get(&body) {
            Some(shared) => Arc::clone(shared),
            None => {
                let shared = Arc::new(body);
                interned.insert(Arc::clone(&shared));
                shared
            }
        };
        match self
            .bodies
            .iter()
            .position(|known| Arc::ptr_eq(known, &shared))
        {
            Some(place) => place as u32,
            None => {
                self.bodies.push(shared);
                (self.bodies.len() - 1) as u32
            }
        }
    }
}

/// A role that always exists, as it is where nobody has written it otherwise.
pub fn built_in_role(key: &str) -> Option<RoleDefinition> {
    let own_account = || Permission {
        actions: vec!["account".into()],
        ..Permission::default()
    };
    BUILT_IN_ROLES.contains(&key).then(|| RoleDefinition {
        key: key.into(),
        administrator: key == "admin",
        permissions: (key == "user").then(own_account).into_iter().collect(),
        ..RoleDefinition::default()
    })
}
