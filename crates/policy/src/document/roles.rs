//! Roles with their permissions, and profiles.

use std::net::IpAddr;

use ipnet::IpNet;

use super::node::{Kind, Mark, Node};
use super::reader::{Fields, Reader};
use super::report::shown;
use super::{
    Effect, FaceScope, Permission, ProfileDefinition, ProfileRole, RoleDefinition, Source,
};

const ROLE: &[&str] = &[
    "label",
    "description",
    "permissions",
    "implicit_allow",
    "administrator",
    "fallback",
    "when",
    "enforce_tfa",
    "app_access",
    "assignable_by",
    "extra",
];
const PERMISSION: &[&str] = &[
    "allow", "deny", "on", "except", "rows", "fields", "check", "presets", "defaults", "when",
    "via", "source",
];
const PROFILE: &[&str] = &[
    "label",
    "description",
    "parent",
    "roles",
    "rate_limit",
    "addresses",
    "assignable_by",
];
const PROFILE_ROLE: &[&str] = &["role", "restricted_to"];

pub(super) const FACES: [(&str, &str); 6] = [
    ("native", "native"),
    ("kuzzle", "kuzzle"),
    ("strapi", "strapi"),
    ("hasura", "hasura"),
    ("bknd", "bknd"),
    ("directus", "directus"),
];

impl Reader<'_> {
    pub(super) fn role(&mut self, key: &str, mark: Mark, node: &Node) -> Option<RoleDefinition> {
        let place = self.place(mark);
        self.check_name(key, true, mark);
        let fields = self.body(node, ROLE)?;
        Some(RoleDefinition {
            key: key.into(),
            label: self
                .get(&fields, "label", Self::owned_text)
                .unwrap_or_default(),
            description: self
                .get(&fields, "description", Self::owned_text)
                .unwrap_or_default(),
            extra: self.get(&fields, "extra", Self::json),
            permissions: self
                .get(&fields, "permissions", Self::permissions)
                .unwrap_or_default(),
            implicit_allow: self
                .get(&fields, "implicit_allow", Self::boolean)
                .unwrap_or_default(),
            administrator: self
                .get(&fields, "administrator", Self::boolean)
                .unwrap_or_default(),
            fallback: self
                .get(&fields, "fallback", Self::boolean)
                .unwrap_or_default(),
            when: self.get(&fields, "when", Self::rule),
            enforce_tfa: self
                .get(&fields, "enforce_tfa", Self::boolean)
                .unwrap_or_default(),
            app_access: self
                .get(&fields, "app_access", Self::boolean)
                .unwrap_or_default(),
            assignable_by: self
                .get(&fields, "assignable_by", Self::dashed_names)
                .unwrap_or_default(),
            place,
        })
    }

    pub(super) fn permissions(&mut self, node: &Node) -> Option<Vec<Permission>> {
        self.list(node, "a list of permissions", Self::permission)
    }

    fn permission(&mut self, node: &Node) -> Option<Permission> {
        let fields = self.fields(node, PERMISSION)?;
        if fields.lacks(&["allow", "deny"]) {
            self.problem(
                fields.mark,
                "missing_key",
                "the key 'allow' or 'deny' is missing",
            );
        }
        let effect = if fields.has("deny") {
            Effect::Deny
        } else {
            Effect::Allow
        };
        if let Some(entry) = fields.entry("deny").filter(|_| fields.has("allow")) {
            let message = "a permission either allows or denies; write two";
            self.problem_of(entry, "conflict", message);
        }
        let mut actions = vec![];
        for key in ["allow", "deny"] {
            actions.extend(self.get(&fields, key, Self::actions).unwrap_or_default());
        }
        if effect == Effect::Deny {
            for entry in ["presets", "defaults"]
                .into_iter()
                .filter_map(|key| fields.entry(key))
            {
                let message = format!("a deny writes nothing, so it has no '{}'", entry.key);
                self.problem_of(entry, "conflict", message);
            }
        }
        let on = self.get(&fields, "on", |reader, node| {
            let on = reader.texts(node, "a list of collections (texts)", |reader, node| {
                if reader.text(node)? == "*" {
                    return Some("*");
                }
                reader.scope(node)
            })?;
            reader.not_empty(node, on, "names no collection; write \"*\" for all of them")
        });
        // Not `and_then`: an unreadable list of fields must not pass for every field.
        let granted = match self.get(&fields, "fields", Self::granted_fields) {
            Some(granted) => granted,
            None => fields.has("fields").then(Vec::new),
        };
        Some(Permission {
            effect,
            actions,
            on: on.unwrap_or_default(),
            except: self
                .get(&fields, "except", Self::except)
                .unwrap_or_default(),
            rows: self.get(&fields, "rows", Self::rule),
            fields: granted,
            check: self.get(&fields, "check", Self::rule),
            presets: self
                .get(&fields, "presets", Self::field_values)
                .unwrap_or_default(),
            defaults: self
                .get(&fields, "defaults", Self::field_values)
                .unwrap_or_default(),
            when: self.get(&fields, "when", Self::rule),
            via: self.get(&fields, "via", Self::via),
            source: self.get(&fields, "source", Self::source),
            place: self.place(fields.mark),
        })
    }

    /// An empty list here would silently mean nothing, or everything.
    fn not_empty<T>(&mut self, node: &Node, list: Vec<T>, why: &str) -> Option<Vec<T>> {
        if matches!(&node.kind, Kind::List(items) if items.is_empty()) {
            self.problem(node.mark, "bad_value", format!("the list {why}"));
            return None;
        }
        Some(list)
    }

    fn actions(&mut self, node: &Node) -> Option<Vec<String>> {
        let actions = self.texts(node, "a list of actions (texts)", |reader, node| {
            let text = reader.text(node)?;
            (text == "*" || reader.check_action(text, node.mark)).then_some(text)
        })?;
        self.not_empty(node, actions, "names no action")
    }

    /// `except:` holds collections and actions alike.
    fn except(&mut self, node: &Node) -> Option<Vec<String>> {
        self.texts(
            node,
            "a list of collections or actions (texts)",
            |reader, node| {
                let text = reader.text(node)?;
                if text == "*" {
                    let message = "'*' would leave nothing of the permission";
                    reader.problem(node.mark, "bad_value", message);
                    return None;
                }
                if text.contains('/') {
                    reader.scope(node)
                } else {
                    reader.dashed_name(node)
                }
            },
        )
    }

    /// `fields:`; the inner `None` is every field.
    #[expect(clippy::option_option, reason = "the outer one is: could not be read")]
    fn granted_fields(&mut self, node: &Node) -> Option<Option<Vec<String>>> {
        let fields = self.texts(
            node,
            "a list of field names, or \"*\" (texts)",
            |reader, node| {
                if reader.text(node)? == "*" {
                    return Some("*");
                }
                reader.field_name(node)
            },
        )?;
        if fields.iter().all(|field| field != "*") {
            return Some(Some(fields));
        }
        if fields.len() > 1 {
            let message = "'*' is every field already; write it alone, or the fields alone";
            self.problem(node.mark, "conflict", message);
        }
        Some(None)
    }

    fn via(&mut self, node: &Node) -> Option<FaceScope> {
        if let Kind::Text(..) = node.kind {
            let face = self.face(node)?.into();
            return Some(FaceScope {
                face,
                operations: vec![],
            });
        }
        if !matches!(node.kind, Kind::Map(_)) {
            self.wrong_type(
                node,
                "a face (a text) or a mapping with 'face' and 'operations'",
            );
            return None;
        }
        let fields = self.fields(node, &["face", "operations"])?;
        let face = self.need(&fields, "face", Self::face);
        let operations = self.get(&fields, "operations", |reader, node| {
            let all = reader.texts(node, "a list of operations (texts)", Self::text)?;
            reader.not_empty(
                node,
                all,
                "names no operation; leave 'operations' out for all of them",
            )
        });
        Some(FaceScope {
            face: face?.into(),
            operations: operations.unwrap_or_default(),
        })
    }

    fn source(&mut self, node: &Node) -> Option<Source> {
        let fields = self.fields(node, &["face", "verbatim", "hash"])?;
        let face = self.need(&fields, "face", Self::face);
        let verbatim = self.need(&fields, "verbatim", Self::json);
        let hash = self.need(&fields, "hash", Self::owned_text);
        Some(Source {
            face: face?.into(),
            verbatim: verbatim?,
            hash: hash?,
        })
    }

    fn face(&mut self, node: &Node) -> Option<&'static str> {
        self.word(node, &FACES)
    }

    pub(super) fn profile(
        &mut self,
        key: &str,
        mark: Mark,
        node: &Node,
    ) -> Option<ProfileDefinition> {
        let place = self.place(mark);
        self.check_name(key, true, mark);
        let fields = self.body(node, PROFILE)?;
        let roles = self.get(&fields, "roles", |reader, node| {
            reader.list(node, "a list of roles", Self::profile_role)
        });
        let addresses = self.get(&fields, "addresses", |reader, node| {
            match node.kind {
                Kind::Text(..) => reader.address(node).map(|address| vec![address]),
                _ => reader.list(node, "a list of addresses (texts)", Self::address),
            }
            // Empty is everywhere, which nobody means who writes the key.
            .and_then(|all| {
                reader.not_empty(
                    node,
                    all,
                    "names no address; leave 'addresses' out for everywhere",
                )
            })
        });
        Some(ProfileDefinition {
            key: key.into(),
            label: self
                .get(&fields, "label", Self::owned_text)
                .unwrap_or_default(),
            description: self
                .get(&fields, "description", Self::owned_text)
                .unwrap_or_default(),
            parent: self
                .get(&fields, "parent", Self::dashed_name)
                .map(str::to_owned),
            roles: roles.unwrap_or_default(),
            rate_limit: self
                .get(&fields, "rate_limit", Self::rate)
                .unwrap_or_default(),
            addresses: addresses.unwrap_or_default(),
            assignable_by: self
                .get(&fields, "assignable_by", Self::dashed_names)
                .unwrap_or_default(),
            place,
        })
    }

    fn profile_role(&mut self, node: &Node) -> Option<ProfileRole> {
        if let Kind::Text(..) = node.kind {
            let role = self.dashed_name(node)?.into();
            return Some(ProfileRole {
                role,
                restricted_to: None,
            });
        }
        if !matches!(node.kind, Kind::Map(_)) {
            self.wrong_type(
                node,
                "a role (a text) or a mapping with 'role' and 'restricted_to'",
            );
            return None;
        }
        let fields = self.fields(node, PROFILE_ROLE)?;
        let role = self.need(&fields, "role", Self::dashed_name);
        let restricted_to = self.restricted_to(&fields);
        Some(ProfileRole {
            role: role?.into(),
            restricted_to,
        })
    }

    pub(super) fn restricted_to(&mut self, fields: &Fields<'_>) -> Option<Vec<String>> {
        self.get(fields, "restricted_to", Self::scopes)
    }

    fn rate(&mut self, node: &Node) -> Option<u32> {
        let Kind::Number(number) = &node.kind else {
            self.wrong_type(node, "a number of requests per minute");
            return None;
        };
        let rate = number
            .as_u64()
            .and_then(|number| u32::try_from(number).ok());
        if rate.is_none() {
            let message = format!("{number} is no number of requests: write 0 to {}", u32::MAX);
            self.problem(node.mark, "bad_value", message);
        }
        rate
    }

    /// A network, or one address.
    fn address(&mut self, node: &Node) -> Option<IpNet> {
        let text = self.text(node)?;
        let net = text
            .parse()
            .ok()
            .or_else(|| text.parse::<IpAddr>().map(IpNet::from).ok());
        if net.is_none() {
            let message = format!(
                "{} is not an address: write one such as 10.0.0.1 or 10.0.0.0/8",
                shown(text)
            );
            self.problem(node.mark, "bad_value", message);
        }
        net
    }
}
