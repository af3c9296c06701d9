//! `tests:`, what a document says of itself.

use std::net::IpAddr;

use super::node::{Kind, Node};
use super::reader::{Fields, Reader};
use super::report::shown;
use super::roles::FACES;
use super::{Ask, Binding, BoundTo, Expectation, ExpectedVerdict, TestCase, TestSubject};
use crate::Scope;

const TEST: &[&str] = &["name", "as", "at", "given", "expect"];
const SUBJECT: &[&str] = &[
    "user",
    "roles",
    "profiles",
    "bindings",
    "attributes",
    "claims",
    "request",
    "narrowed_to",
];
const NARROWED: &[&str] = &["roles", "permissions", "everyone"];
const BINDING: &[&str] = &[
    "role",
    "profile",
    "restricted_to",
    "from",
    "until",
    "primary",
];
const REQUEST: &[&str] = &["ip", "method", "face", "operation"];
const ASKS: &[&str] = &[
    "read", "list", "create", "update", "delete", "change", "can",
];
const PARTS: &[&str] = &["create", "update", "delete", "send"];
const EXPECTATION: &[&str] = &[
    "read", "list", "create", "update", "delete", "change", "can", "on", "where", "send", "is",
    "shows", "hides",
];

impl Reader<'_> {
    pub(super) fn test_case(&mut self, node: &Node) -> Option<TestCase> {
        let fields = self.fields(node, TEST)?;
        let given = self.get(&fields, "given", |reader, node| {
            let mut given = vec![];
            for entry in reader.section(node, "a mapping of collections to records") {
                let records = reader.inside(&entry.key, |reader| {
                    reader.check_collection(&entry.key, entry.mark);
                    reader.list(&entry.value, "a list of records", Self::json_map)
                });
                given.push((entry.key.clone(), records.unwrap_or_default()));
            }
            Some(given)
        });
        let subject = self.need(&fields, "as", Self::subject);
        let expect = self.need(&fields, "expect", |reader, node| {
            reader.list(node, "a list of expectations", Self::expectation)
        });
        Some(TestCase {
            name: self
                .get(&fields, "name", Self::owned_text)
                .unwrap_or_default(),
            subject: subject.unwrap_or_default(),
            at: self.get(&fields, "at", Self::timestamp),
            given: given.unwrap_or_default(),
            expect: expect.unwrap_or_default(),
            place: self.place(fields.mark),
        })
    }

    fn subject(&mut self, node: &Node) -> Option<TestSubject> {
        if let Kind::Text(..) = node.kind {
            return self
                .word(node, &[("anonymous", ())])
                .map(|()| TestSubject::default());
        }
        if !matches!(node.kind, Kind::Map(_)) {
            self.wrong_type(node, "'anonymous' (a text) or a mapping with 'user'");
            return None;
        }
        let fields = self.fields(node, SUBJECT)?;
        if fields.lacks(&["user"]) {
            for key in ["roles", "profiles", "bindings", "attributes"] {
                if let Some(entry) = fields.entry(key) {
                    let message =
                        format!("'{key}' belong to a user, and the key 'user' is missing");
                    self.problem_of(entry, "missing_key", message);
                }
            }
        }
        let mut bindings = vec![];
        for (key, bound) in [
            ("roles", BoundTo::Role as fn(_) -> _),
            ("profiles", BoundTo::Profile),
        ] {
            let names = self
                .get(&fields, key, Self::dashed_names)
                .unwrap_or_default();
            bindings.extend(names.into_iter().map(|name| Binding {
                to: bound(name),
                ..Binding::default()
            }));
        }
        bindings.extend(
            self.get(&fields, "bindings", |reader, node| {
                reader.list(node, "a list of bindings", Self::binding)
            })
            .unwrap_or_default(),
        );
        let (narrowed_to, scope) = self
            .get(&fields, "narrowed_to", Self::narrowed_to)
            .unwrap_or_default();
        Some(TestSubject {
            user: self.get(&fields, "user", Self::owned_text),
            bindings,
            attributes: self
                .get(&fields, "attributes", Self::json_map)
                .unwrap_or_default(),
            claims: self
                .get(&fields, "claims", Self::json_map)
                .unwrap_or_default(),
            request: self
                .get(&fields, "request", Self::request)
                .unwrap_or_default(),
            narrowed_to,
            scope,
        })
    }

    /// Roles, or a mapping with `permissions` and perhaps roles beside them.
    fn narrowed_to(&mut self, node: &Node) -> Option<(Option<Vec<String>>, Option<Scope>)> {
        if !matches!(node.kind, Kind::Map(_)) {
            return Some((Some(self.dashed_names(node)?), None));
        }
        let fields = self.fields(node, NARROWED)?;
        let roles = self.get(&fields, "roles", Self::dashed_names);
        let everyone = self.get(&fields, "everyone", Self::boolean);
        let permissions = self.need(&fields, "permissions", Self::permissions)?;
        match Scope::new(permissions, everyone.unwrap_or(true)) {
            Ok(scope) => Some((roles, Some(scope))),
            Err(problems) => {
                for problem in problems {
                    self.problem(fields.mark, problem.code, problem.message);
                }
                None
            }
        }
    }

    pub(super) fn binding(&mut self, node: &Node) -> Option<Binding> {
        let fields = self.fields(node, BINDING)?;
        let role = self.get(&fields, "role", Self::dashed_name);
        let profile = self.get(&fields, "profile", Self::dashed_name);
        if fields.lacks(&["role", "profile"]) {
            self.problem(
                fields.mark,
                "missing_key",
                "the key 'role' or 'profile' is missing",
            );
        }
        if let Some(entry) = fields.entry("profile").filter(|_| fields.has("role")) {
            let message = "a binding leads to a role or to a profile; write two";
            self.problem_of(entry, "conflict", message);
        }
        let restricted_to = self.restricted_to(&fields);
        let from = self.get(&fields, "from", Self::timestamp);
        let until = self.get(&fields, "until", Self::timestamp);
        if let (Some(from), Some(until), Some(entry)) = (from, until, fields.entry("until"))
            && until <= from
        {
            self.problem_of(entry, "conflict", "'until' must be later than 'from'");
        }
        let primary = self
            .get(&fields, "primary", Self::boolean)
            .unwrap_or_default();
        let to = match (role, profile) {
            (Some(role), _) => BoundTo::Role(role.into()),
            (None, profile) => BoundTo::Profile(profile?.into()),
        };
        Some(Binding {
            to,
            restricted_to,
            from,
            until,
            primary,
        })
    }

    fn request(&mut self, node: &Node) -> Option<Vec<(String, String)>> {
        let fields = self.fields(node, REQUEST)?;
        let mut request = vec![];
        for key in REQUEST {
            let value = self.get(&fields, key, |reader, node| match *key {
                "face" => reader.word(node, &FACES).map(str::to_owned),
                "ip" => {
                    let text = reader.text(node)?;
                    if text.parse::<IpAddr>().is_err() {
                        let message = format!(
                            "{} is not an address: write one such as 10.0.0.1",
                            shown(text)
                        );
                        reader.problem(node.mark, "bad_value", message);
                    }
                    Some(text.to_owned())
                }
                _ => reader.owned_text(node),
            });
            request.extend(value.map(|value| ((*key).to_owned(), value)));
        }
        Some(request)
    }

    fn expectation(&mut self, node: &Node) -> Option<Expectation> {
        let fields = self.fields(node, EXPECTATION)?;
        let ask = self.ask(&fields);
        let list = matches!(ask, Some(Ask::List { .. }));
        let verdict = self.need(&fields, "is", |reader, node| reader.verdict(node, list));
        Some(Expectation {
            shows: self.get(&fields, "shows", Self::json_map),
            hides: self
                .get(&fields, "hides", Self::field_names)
                .unwrap_or_default(),
            place: self.place(fields.mark),
            ask: ask?,
            verdict: verdict?,
        })
    }

    fn ask(&mut self, fields: &Fields<'_>) -> Option<Ask> {
        let mut asked = ASKS.iter().filter_map(|key| fields.entry(key));
        let Some(entry) = asked.next() else {
            if fields.lacks(ASKS) {
                let message = "what is asked is missing: write read, list, create, update, delete, change or can";
                self.problem(fields.mark, "missing_key", message);
            }
            return None;
        };
        if let Some(second) = asked.next() {
            let message = format!(
                "'{}' is asked already; write another expectation",
                entry.key
            );
            self.problem_of(second, "conflict", message);
        }
        let asks = entry.key.as_str();
        for (key, with) in [
            ("on", &["can"][..]),
            ("where", &["list"]),
            ("send", &["create", "update"]),
        ] {
            if let Some(entry) = fields.entry(key).filter(|_| !with.contains(&asks)) {
                let message = format!("'{key}' goes with '{}' only", with.join("' and '"));
                self.problem_of(entry, "conflict", message);
            }
        }
        let target = &entry.value;
        let send = self.get(fields, "send", Self::json_map).unwrap_or_default();
        let filter = self.get(fields, "where", Self::rule);
        if asks == "can" {
            let action = self.inside("can", |reader| {
                let action = reader.text(target)?;
                reader
                    .check_action(action, target.mark)
                    .then(|| action.to_owned())
            });
            let on = self.get(fields, "on", |reader, node| reader.target(node, true));
            let (collection, key) = match on {
                Some((collection, key)) => (Some(collection), key),
                None => (None, None),
            };
            return Some(Ask::Can {
                action: action?,
                collection,
                key,
            });
        }
        if asks == "change" {
            return self.inside(asks, |reader| {
                let parts = reader.list(target, "a list of changes", |reader, node| {
                    let fields = reader.fields(node, PARTS)?;
                    reader.ask(&fields)
                });
                Some(Ask::Change(parts?))
            });
        }
        self.inside(asks, |reader| {
            if matches!(asks, "list" | "create") {
                let collection = reader.collection_text(target)?.to_owned();
                return Some(match asks {
                    "list" => Ask::List { collection, filter },
                    _ => Ask::Create { collection, send },
                });
            }
            let (collection, key) = reader.target(target, false)?;
            let key = key?;
            Some(match asks {
                "read" => Ask::Read { collection, key },
                "update" => Ask::Update {
                    collection,
                    key,
                    send,
                },
                _ => Ask::Delete { collection, key },
            })
        })
    }

    /// `grades/1`, `shop/orders/7`, or `{ collection: shop/orders, key: 7 }` where the text would not do. The key is
    /// what stands after the last slash; it may be missing where `whole`.
    fn target(&mut self, node: &Node, whole: bool) -> Option<(String, Option<String>)> {
        if !matches!(node.kind, Kind::Text(..)) {
            if !matches!(node.kind, Kind::Map(_)) {
                self.wrong_type(node, "a record such as grades/1 (a text)");
                return None;
            }
            let fields = self.fields(node, &["collection", "key"])?;
            let collection = self.need(&fields, "collection", Self::collection_text);
            let key = if whole && !fields.has("key") {
                None
            } else {
                Some(self.need(&fields, "key", Self::record_key)?)
            };
            return Some((collection?.to_owned(), key));
        }
        let text = self.text(node)?;
        let (collection, key) = match text.rsplit_once('/') {
            Some((collection, key)) => (collection, Some(key)),
            None => (text, None),
        };
        self.check_collection(collection, node.mark)?;
        if key.is_some_and(str::is_empty) || key.is_none() && !whole {
            let message = format!(
                "{} names no record: write a collection, '/' and a key",
                shown(text)
            );
            self.problem(node.mark, "bad_value", message);
            return None;
        }
        Some((collection.to_owned(), key.map(str::to_owned)))
    }

    /// A key as text; a number is taken as it stands.
    fn record_key(&mut self, node: &Node) -> Option<String> {
        match &node.kind {
            Kind::Text(text, _) => Some(text.clone()),
            Kind::Number(number) => Some(number.to_string()),
            _ => {
                self.wrong_type(node, "a key (a number or a text)");
                None
            }
        }
    }

    fn verdict(&mut self, node: &Node, list: bool) -> Option<ExpectedVerdict> {
        if let Kind::List(_) = node.kind {
            let keys = self.list(node, "a list of keys", Self::record_key)?;
            if !list {
                let message =
                    "only a 'list' is expected to be a list of keys; write allow, deny or hidden";
                self.problem(node.mark, "conflict", message);
            }
            return Some(ExpectedVerdict::Keys(keys));
        }
        let words = [("allow", 0), ("deny", 1), ("hidden", 2)];
        Some(match self.word(node, &words)? {
            0 => ExpectedVerdict::Allow,
            1 => ExpectedVerdict::Deny,
            _ => ExpectedVerdict::Hidden,
        })
    }
}
