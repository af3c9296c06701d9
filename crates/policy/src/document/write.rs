//! The document as JSON, in the shape it is read in: the shortest form that reads back the same.

use portreeve_model::{
    CollectionName, FieldType, KeySource, OnDelete, Operand, Rule, timestamp_text,
};
use serde_json::{Map, Value as Json, json};

use super::bookkeeping::bookkeeping_to_json;
use super::overflow::is_overflow;
use super::read::{USERS, default_source};
use super::yaml;
use super::{
    ActionDefinition, Ask, Binding, BoundTo, CollectionDefinition, Document, Effect, Expectation,
    ExpectedVerdict, FieldDefinition, FieldValue, Permission, PlacedBinding, ProfileDefinition,
    Registration, RelationDefinition, RelationVia, RoleDefinition, RuleDefinition,
    TemplateDefinition, TestCase, TestSubject,
};
use crate::{ExistingSection, NameMode, TablePattern, print_operand, print_rule};

impl Document {
    /// Writes the document as YAML, everything in the order it is held in. Read again it is the same document but for
    /// its places.
    pub fn to_yaml(&self) -> String {
        yaml::write(&self.to_json())
    }

    /// The document as JSON, in the shape of the YAML.
    pub fn to_json(&self) -> Json {
        let mut map = Map::new();
        let mut section = |name: &str, entries: Map<String, Json>| {
            if !entries.is_empty() {
                map.insert(name.into(), Json::Object(entries));
            }
        };
        section(
            "collections",
            named(
                self.declared(),
                |one| one.name.to_string(),
                collection_to_json,
            ),
        );
        if let Json::Object(existing) = existing_to_json(&self.existing) {
            section("existing", existing);
        }
        section(
            "actions",
            named(&self.actions, |one| one.name.clone(), action_to_json),
        );
        section(
            "rules",
            named(&self.rules, |one| one.name.clone(), rule_definition_to_json),
        );
        section(
            "roles",
            named(&self.roles, |one| one.key.clone(), role_to_json),
        );
        section(
            "profiles",
            named(&self.profiles, |one| one.key.clone(), profile_to_json),
        );
        if self.registration != Registration::default() {
            map.insert(
                "registration".into(),
                json!({ "roles": self.registration.roles }),
            );
        }
        let mut section = |name: &str, entries: Map<String, Json>| {
            if !entries.is_empty() {
                map.insert(name.into(), Json::Object(entries));
            }
        };
        section(
            "bindings",
            named(
                &self.bindings,
                |one| one.account.clone(),
                |one| one.bindings.iter().map(placed_binding).collect(),
            ),
        );
        section(
            "templates",
            named(&self.templates, |one| one.name.clone(), template),
        );
        if !self.tests.is_empty() {
            map.insert("tests".into(), self.tests.iter().map(test_case).collect());
        }
        Json::Object(map)
    }

    /// The collections it declares itself, without those that describe tables that were there before.
    pub fn declared(&self) -> impl Iterator<Item = &CollectionDefinition> {
        self.collections
            .iter()
            .filter(|collection| collection.existing.is_none())
    }

    /// The same document as if it had been written nowhere, to compare two by what they say.
    pub fn without_places(mut self) -> Self {
        for collection in &mut self.collections {
            collection.place = Default::default();
            for field in &mut collection.fields {
                field.place = Default::default();
            }
            for relation in &mut collection.relations {
                relation.place = Default::default();
            }
        }
        let ExistingSection { tables, except, .. } = &mut self.existing;
        for pattern in tables.iter_mut().chain(except) {
            pattern.place = Default::default();
        }
        for action in &mut self.actions {
            action.place = Default::default();
        }
        for rule in &mut self.rules {
            rule.place = Default::default();
        }
        for role in &mut self.roles {
            role.place = Default::default();
            for permission in &mut role.permissions {
                permission.place = Default::default();
            }
        }
        for profile in &mut self.profiles {
            profile.place = Default::default();
        }
        for account in &mut self.bindings {
            account.place = Default::default();
            for bound in &mut account.bindings {
                bound.place = Default::default();
            }
        }
        for template in &mut self.templates {
            template.place = Default::default();
        }
        for test in &mut self.tests {
            test.place = Default::default();
            for expectation in &mut test.expect {
                expectation.place = Default::default();
            }
        }
        self
    }
}

fn named<'t, T: 't>(
    all: impl IntoIterator<Item = &'t T>,
    name: impl Fn(&T) -> String,
    json: impl Fn(&T) -> Json,
) -> Map<String, Json> {
    all.into_iter().map(|one| (name(one), json(one))).collect()
}

/// A mapping that leaves out what says nothing.
#[derive(Default)]
struct Body(Map<String, Json>);

impl Body {
    fn put(&mut self, key: &str, value: impl Into<Json>) {
        self.0.insert(key.into(), value.into());
    }

    fn some(&mut self, key: &str, value: Option<impl Into<Json>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    fn text(&mut self, key: &str, text: &str) {
        if !text.is_empty() {
            self.put(key, text);
        }
    }

    fn flag(&mut self, key: &str, flag: bool) {
        if flag {
            self.put(key, true);
        }
    }

    fn list<T>(&mut self, key: &str, items: &[T], json: impl Fn(&T) -> Json) {
        if !items.is_empty() {
            self.put(key, items.iter().map(json).collect::<Json>());
        }
    }

    fn map(&mut self, key: &str, map: &Map<String, Json>) {
        if !map.is_empty() {
            self.put(key, map.clone());
        }
    }
}

fn texts(items: &[String]) -> Json {
    items.iter().cloned().map(Json::String).collect()
}

/// One text alone, several as a list.
fn one_or_many(items: &[String]) -> Json {
    match items {
        [one] => Json::String(one.clone()),
        _ => texts(items),
    }
}

fn rule(rule: &Rule) -> Json {
    match rule {
        Rule::Constant(constant) => Json::Bool(*constant),
        _ => Json::String(print_rule(rule)),
    }
}

/// A collection as JSON, without its name.
pub fn collection_to_json(collection: &CollectionDefinition) -> Json {
    let mut body = Body::default();
    let CollectionDefinition {
        key,
        key_type,
        key_source,
        ..
    } = collection;
    let unsaid = key == "id" && *key_type == FieldType::Uuid && *key_source == KeySource::Uuid;
    if !unsaid && collection.name != CollectionName::main(USERS) {
        let key = if *key_source == default_source(*key_type) {
            json!({ key: key_type.name() })
        } else {
            let source = match key_source {
                KeySource::Sequence => "sequence",
                KeySource::Uuid => "uuid",
                KeySource::Given => "given",
            };
            json!({ "name": key, "type": key_type.name(), "source": source })
        };
        body.put("key", key);
    }
    body.map(
        "fields",
        &named(
            collection
                .fields
                .iter()
                .filter(|field| field.kept.is_none() && !is_overflow(field)),
            |one| one.name.clone(),
            field,
        ),
    );
    body.map(
        "relations",
        &named(&collection.relations, |one| one.name.clone(), relation),
    );
    body.list("indexes", &collection.indexes, |index| texts(index));
    body.some("bookkeeping", bookkeeping_to_json(&collection.fields));
    body.flag("overflow", collection.fields.iter().any(is_overflow));
    Json::Object(body.0)
}

/// What is said about tables that were there before, as JSON.
pub fn existing_to_json(section: &ExistingSection) -> Json {
    let mut body = Body::default();
    if section.names == NameMode::SnakeCase {
        body.put("names", "snake_case");
    }
    let pattern = |pattern: &TablePattern| Json::String(pattern.text.clone());
    body.list("tables", &section.tables, pattern);
    body.list("except", &section.except, pattern);
    Json::Object(body.0)
}

fn field(field: &FieldDefinition) -> Json {
    let mut body = Body::default();
    body.some("type", field.ty.map(FieldType::name));
    if let Some(to) = &field.to {
        body.put("to", to.collection.to_string());
        if to.by_number {
            body.put("by", "number");
        }
        match to.on_delete {
            OnDelete::Restrict => {}
            OnDelete::SetNull => body.put("on_delete", "set_null"),
            OnDelete::Cascade => body.put("on_delete", "cascade"),
        }
    }
    body.flag("required", field.required);
    body.flag("unique", field.unique);
    body.some("default", field.default.clone());
    body.flag("self_writable", field.self_writable);
    match (field.ty, body.0.len()) {
        (Some(ty), 1) => Json::String(ty.name()),
        _ => Json::Object(body.0),
    }
}

fn relation(relation: &RelationDefinition) -> Json {
    let many = relation.target.to_string();
    match &relation.via {
        RelationVia::Field(by) => json!({ "many": many, "by": by }),
        RelationVia::Through { junction, from, to } => {
            json!({ "many": many, "through": junction.to_string(), "from": from, "to": to })
        }
    }
}

/// An action as JSON, without its name: its description.
pub fn action_to_json(action: &ActionDefinition) -> Json {
    Json::String(action.description.clone())
}

/// A named rule as JSON, without its name.
pub fn rule_definition_to_json(definition: &RuleDefinition) -> Json {
    if definition.parameters.is_empty() {
        return rule(&definition.rule);
    }
    json!({ "parameters": definition.parameters, "rule": rule(&definition.rule) })
}

/// A role as JSON, without its key.
pub fn role_to_json(role: &RoleDefinition) -> Json {
    let mut body = Body::default();
    body.text("label", &role.label);
    body.text("description", &role.description);
    body.flag("administrator", role.administrator);
    body.flag("implicit_allow", role.implicit_allow);
    body.flag("fallback", role.fallback);
    body.some("when", role.when.as_ref().map(rule));
    body.flag("enforce_tfa", role.enforce_tfa);
    body.flag("app_access", role.app_access);
    body.list("assignable_by", &role.assignable_by, |role| {
        Json::String(role.clone())
    });
    body.some("extra", role.extra.clone());
    body.list("permissions", &role.permissions, permission);
    Json::Object(body.0)
}

/// Permissions as a role has them.
pub(crate) fn permissions_to_json(permissions: &[Permission]) -> Json {
    permissions.iter().map(permission).collect()
}

fn permission(permission: &Permission) -> Json {
    let mut body = Body::default();
    let effect = match permission.effect {
        Effect::Allow => "allow",
        Effect::Deny => "deny",
    };
    body.put(effect, one_or_many(&permission.actions));
    if !permission.on.is_empty() {
        body.put("on", one_or_many(&permission.on));
    }
    if !permission.except.is_empty() {
        body.put("except", one_or_many(&permission.except));
    }
    body.some("rows", permission.rows.as_ref().map(rule));
    body.some("fields", permission.fields.as_deref().map(texts));
    body.some("check", permission.check.as_ref().map(rule));
    body.map("presets", &field_values(&permission.presets));
    body.map("defaults", &field_values(&permission.defaults));
    body.some("when", permission.when.as_ref().map(rule));
    body.some(
        "via",
        permission
            .via
            .as_ref()
            .map(|via| match via.operations.as_slice() {
                [] => json!(via.face),
                operations => json!({ "face": via.face, "operations": operations }),
            }),
    );
    body.some(
        "source",
        permission.source.as_ref().map(|source| {
            json!({ "face": source.face, "verbatim": source.verbatim, "hash": source.hash })
        }),
    );
    Json::Object(body.0)
}

fn field_values(values: &[(String, FieldValue)]) -> Map<String, Json> {
    let json = |value: &FieldValue| match value {
        FieldValue::Variable(variable) => {
            Json::String(print_operand(&Operand::Variable(variable.clone())))
        }
        FieldValue::Json(Json::String(text)) if text.starts_with('$') => {
            Json::String(format!("${text}"))
        }
        FieldValue::Json(json) => json.clone(),
    };
    values
        .iter()
        .map(|(field, value)| (field.clone(), json(value)))
        .collect()
}

/// A profile as JSON, without its key.
pub fn profile_to_json(profile: &ProfileDefinition) -> Json {
    let mut body = Body::default();
    body.text("label", &profile.label);
    body.text("description", &profile.description);
    body.some("parent", profile.parent.clone());
    body.list("roles", &profile.roles, |role| match &role.restricted_to {
        None => Json::String(role.role.clone()),
        Some(scopes) => json!({ "role": role.role, "restricted_to": scopes }),
    });
    if profile.rate_limit != 0 {
        body.put("rate_limit", profile.rate_limit);
    }
    body.list("addresses", &profile.addresses, |net| {
        Json::String(net.to_string())
    });
    body.list("assignable_by", &profile.assignable_by, |role| {
        Json::String(role.clone())
    });
    Json::Object(body.0)
}

fn test_case(test: &TestCase) -> Json {
    let mut body = Body::default();
    body.text("name", &test.name);
    body.put("as", subject(&test.subject));
    body.some("at", test.at.map(timestamp_text));
    let given: Map<String, Json> = test
        .given
        .iter()
        .map(|(collection, records)| {
            (
                collection.clone(),
                records.iter().cloned().map(Json::Object).collect(),
            )
        })
        .collect();
    body.map("given", &given);
    body.put(
        "expect",
        test.expect.iter().map(expectation).collect::<Json>(),
    );
    Json::Object(body.0)
}

fn subject(subject: &TestSubject) -> Json {
    if *subject == TestSubject::default() {
        return Json::String("anonymous".into());
    }
    // `roles` and `profiles` are read before `bindings`, so only plain ones at the front may go there.
    let mut rest = subject.bindings.as_slice();
    let mut plain = |name: fn(&BoundTo) -> Option<&String>| {
        let mut names = vec![];
        while let [first, others @ ..] = rest {
            let unlimited = Binding {
                to: first.to.clone(),
                ..Binding::default()
            };
            let Some(name) = name(&first.to).filter(|_| *first == unlimited) else {
                break;
            };
            names.push(name.clone());
            rest = others;
        }
        names
    };
    let roles = plain(|to| match to {
        BoundTo::Role(role) => Some(role),
        BoundTo::Profile(_) => None,
    });
    let profiles = plain(|to| match to {
        BoundTo::Profile(profile) => Some(profile),
        BoundTo::Role(_) => None,
    });
    let mut body = Body::default();
    body.some("user", subject.user.clone());
    if !roles.is_empty() {
        body.put("roles", texts(&roles));
    }
    if !profiles.is_empty() {
        body.put("profiles", texts(&profiles));
    }
    body.list("bindings", rest, binding_to_json);
    body.map("attributes", &subject.attributes);
    body.map("claims", &subject.claims);
    let request = subject
        .request
        .iter()
        .map(|(key, value)| (key.clone(), Json::String(value.clone())))
        .collect();
    body.map("request", &request);
    body.some(
        "narrowed_to",
        match (&subject.narrowed_to, &subject.scope) {
            (roles, None) => roles.as_deref().map(texts),
            (roles, Some(scope)) => {
                let mut narrowed = Body::default();
                narrowed.some("roles", roles.as_deref().map(texts));
                narrowed.put("permissions", scope.to_json());
                if !scope.everyone() {
                    narrowed.put("everyone", false);
                }
                Some(Json::Object(narrowed.0))
            }
        },
    );
    Json::Object(body.0)
}

// A role without limits is its name alone.
fn placed_binding(placed: &PlacedBinding) -> Json {
    let binding = &placed.binding;
    match &binding.to {
        BoundTo::Role(role) if *binding == Binding::to_role(role) => Json::String(role.clone()),
        _ => binding_to_json(binding),
    }
}

fn template(template: &TemplateDefinition) -> Json {
    let Some(words) = &template.words else {
        return Json::Null;
    };
    let mut body = Body::default();
    body.put("subject", words.subject.clone());
    body.put("text", words.text.clone());
    body.some("html", words.html.clone());
    Json::Object(body.0)
}

/// A binding as JSON.
pub fn binding_to_json(binding: &Binding) -> Json {
    let mut body = Body::default();
    match &binding.to {
        BoundTo::Role(role) => body.put("role", role.clone()),
        BoundTo::Profile(profile) => body.put("profile", profile.clone()),
    }
    body.some("restricted_to", binding.restricted_to.as_deref().map(texts));
    body.some("from", binding.from.map(timestamp_text));
    body.some("until", binding.until.map(timestamp_text));
    body.flag("primary", binding.primary);
    Json::Object(body.0)
}

fn expectation(expectation: &Expectation) -> Json {
    let mut body = Body::default();
    ask(&mut body, &expectation.ask);
    let verdict = match &expectation.verdict {
        ExpectedVerdict::Allow => json!("allow"),
        ExpectedVerdict::Deny => json!("deny"),
        ExpectedVerdict::Hidden => json!("hidden"),
        ExpectedVerdict::Keys(keys) => keys.iter().map(|key| record_key(key)).collect(),
    };
    body.put("is", verdict);
    body.some("shows", expectation.shows.clone());
    body.list("hides", &expectation.hides, |field| {
        Json::String(field.clone())
    });
    Json::Object(body.0)
}

fn ask(body: &mut Body, asked: &Ask) {
    match asked {
        Ask::Read { collection, key } => body.put("read", target(collection, Some(key))),
        Ask::List { collection, filter } => {
            body.put("list", collection.clone());
            body.some("where", filter.as_ref().map(rule));
        }
        Ask::Create { collection, send } => {
            body.put("create", collection.clone());
            body.map("send", send);
        }
        Ask::Update {
            collection,
            key,
            send,
        } => {
            body.put("update", target(collection, Some(key)));
            body.map("send", send);
        }
        Ask::Delete { collection, key } => body.put("delete", target(collection, Some(key))),
        Ask::Can {
            action,
            collection,
            key,
        } => {
            body.put("can", action.clone());
            let on = collection
                .as_ref()
                .map(|collection| target(collection, key.as_deref()));
            body.some("on", on);
        }
        Ask::Change(parts) => {
            let part = |part: &Ask| {
                let mut body = Body::default();
                ask(&mut body, part);
                Json::Object(body.0)
            };
            body.put("change", Json::Array(parts.iter().map(part).collect()));
        }
    }
}

/// `grades/1`, or a mapping where the last slash would not tell the key.
fn target(collection: &str, key: Option<&str>) -> Json {
    match key {
        None if !collection.contains('/') => json!(collection),
        None => json!({ "collection": collection }),
        Some(key) if key.is_empty() || key.contains('/') => {
            json!({ "collection": collection, "key": key })
        }
        Some(key) => json!(format!("{collection}/{key}")),
    }
}

/// A number where it reads back as the same text.
fn record_key(key: &str) -> Json {
    match key.parse::<i64>() {
        Ok(number) if number.to_string() == key => json!(number),
        _ => json!(key),
    }
}
