//! Who gains and who loses what by a plan: the rights of everybody before and after, compared. Whoever is bound to the
//! same is looked at once.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use portreeve_gate::Caller;
use portreeve_model::{Collection, Value};
use portreeve_policy::{
    Access, ActionId, Binding, Context, FieldSet, RoleSet, Snapshot, binding_to_json, describe,
};
use serde::Serialize;

use crate::me::{all_actions, possible};
use crate::{Portreeve, Possible, ServiceError};

/// So many accounts are read at a time.
const PAGE: u32 = 1_000;
/// So many names are told of those whom the same happens to.
const NAMES: usize = 20;

/// What becomes of the rights of some people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Effect {
    /// The first of them, by name. Requests without a session are `anonymous`.
    pub who: Vec<String>,
    /// How many they are.
    pub count: usize,
    /// What they may do from now on, or without the limits there were.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gains: Vec<String>,
    /// What they may no more, or within limits only.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub loses: Vec<String>,
    /// What they may within other limits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

type Lines = [Vec<String>; 3];

/// Everybody who is bound to the same, before and after.
struct Class {
    bindings: [Vec<Binding>; 2],
    like: Arc<HashMap<Arc<str>, Value>>,
    names: Vec<String>,
    count: usize,
}

impl Portreeve {
    /// Who gains and who loses what from one policy to another. For administrators: it names everybody.
    pub(crate) async fn people(
        &self,
        caller: &Caller,
        after: &Arc<Snapshot>,
        rebound: &HashMap<String, [Vec<Binding>; 2]>,
    ) -> Result<Vec<Effect>, ServiceError> {
        let before = caller.snapshot();
        let now = self.now();
        let mut found: Vec<(Lines, Effect)> = vec![];
        let mut note = |lines: Lines, names: Vec<String>, count: usize| {
            if lines.iter().all(Vec::is_empty) {
                return;
            }
            let place = found.iter().position(|(known, _)| *known == lines);
            let place = place.unwrap_or_else(|| {
                found.push((lines, Effect::default()));
                found.len() - 1
            });
            let effect = &mut found[place].1;
            effect.count += count;
            let room = NAMES.saturating_sub(effect.who.len());
            effect.who.extend(names.into_iter().take(room));
        };
        let strangers = [before, after].map(|snapshot| snapshot.admit_anonymous());
        let lines = compare([before, after], &strangers, &context(None, now));
        note(lines, vec!["anonymous".into()], 1);
        for class in self.classes(caller, rebound).await? {
            let [old, new] = &class.bindings;
            let roles = [before.admit(old, now).roles, after.admit(new, now).roles];
            let lines = compare([before, after], &roles, &context(Some(class.like), now));
            note(lines, class.names, class.count);
        }
        let effects = found
            .into_iter()
            .map(|([gains, loses, changes], effect)| Effect {
                gains,
                loses,
                changes,
                ..effect
            });
        Ok(effects.collect())
    }

    async fn classes(
        &self,
        caller: &Caller,
        rebound: &HashMap<String, [Vec<Binding>; 2]>,
    ) -> Result<Vec<Class>, ServiceError> {
        let who = self.gate.who_can(caller)?;
        let mut classes: Vec<Class> = vec![];
        let mut places: HashMap<[String; 2], usize> = HashMap::new();
        let mut after = i64::MIN;
        loop {
            let page = self.store.members(&who, after, PAGE).await?;
            let last = page.len() < PAGE as usize;
            for member in page {
                after = member.number;
                let facts = member.facts;
                let bindings = match rebound.get(&*facts.user) {
                    Some(both) => both.clone(),
                    None => [facts.bindings.clone(), facts.bindings.clone()],
                };
                let said = |bindings: &Vec<Binding>| {
                    let all: Vec<String> = bindings
                        .iter()
                        .map(|binding| binding_to_json(binding).to_string())
                        .collect();
                    all.join(" ")
                };
                let key = [said(&bindings[0]), said(&bindings[1])];
                let place = *places.entry(key).or_insert_with(|| {
                    classes.push(Class {
                        bindings,
                        like: Arc::clone(&facts.attributes),
                        names: vec![],
                        count: 0,
                    });
                    classes.len() - 1
                });
                let class = &mut classes[place];
                class.count += 1;
                if class.names.len() < NAMES {
                    let text = |name: &str| match facts.attributes.get(name) {
                        Some(Value::Text(text)) => Some(text.to_string()),
                        _ => None,
                    };
                    let name = text("username").or_else(|| text("email"));
                    let name = name.or_else(|| text("key"));
                    class
                        .names
                        .push(name.unwrap_or_else(|| facts.user.to_string()));
                }
            }
            if last {
                return Ok(classes);
            }
        }
    }
}

fn context(user: Option<Arc<HashMap<Arc<str>, Value>>>, now: i64) -> Context {
    Context {
        user,
        now,
        ..Context::default()
    }
}

// What is gained, lost and otherwise changed.
fn compare(snapshots: [&Arc<Snapshot>; 2], roles: &[Arc<RoleSet>; 2], like: &Context) -> Lines {
    let mut lines = Lines::default();
    let contexts = [0, 1].map(|side: usize| Context {
        roles: Arc::clone(roles[side].keys()),
        ..like.clone()
    });
    let everything = [0, 1].map(|side: usize| {
        let keys = roles[side].keys();
        let snapshot = snapshots[side];
        keys.iter()
            .any(|role| snapshot.is_administrator(role) == Some(true))
    });
    match everything {
        [true, true] => return lines,
        [false, true] => {
            lines[0].push("everything".into());
            return lines;
        }
        [true, false] => {
            lines[1].push("everything but what is left".into());
            return lines;
        }
        [false, false] => {}
    }
    let mut names: Vec<String> = vec![];
    for snapshot in snapshots {
        let catalog = snapshot.catalog().iter();
        names.extend(catalog.map(|collection| collection.name.to_string()));
    }
    names.sort();
    names.dedup();
    for name in names.iter().map(Some).chain([None]) {
        let sides = [0, 1].map(|side: usize| {
            held(
                snapshots[side],
                &roles[side],
                name.map(String::as_str),
                &contexts[side],
            )
        });
        let mut told: BTreeMap<(usize, &str), Vec<&str>> = BTreeMap::new();
        let [old, new] = &sides;
        for action in new
            .keys()
            .chain(old.keys().filter(|key| !new.contains_key(*key)))
        {
            let no = (Possible::No, String::new());
            let old = old.get(action).unwrap_or(&no);
            let new = new.get(action).unwrap_or(&no);
            let verdict = match (old.0, new.0) {
                (Possible::No, Possible::Yes) => (0, ""),
                (Possible::No, Possible::Some) => (0, " (limited)"),
                (Possible::Some, Possible::Yes) => (0, " (no longer limited)"),
                (Possible::Some | Possible::Yes, Possible::No) => (1, ""),
                (Possible::Yes, Possible::Some) => (1, " (limited from now on)"),
                _ if old.1 != new.1 => (2, ""),
                _ => continue,
            };
            told.entry(verdict).or_default().push(action);
        }
        let known: Vec<&str> = sides
            .iter()
            .flat_map(|side| side.keys())
            .map(String::as_str)
            .collect();
        for ((list, limits), actions) in told {
            for action in folded(&actions, &known) {
                let on = name.map(|name| format!(" on {name}")).unwrap_or_default();
                lines[list].push(format!("{action}{on}{limits}"));
            }
        }
    }
    lines
}

// `data.read` for all of `data.read.one`, `.many` and `.count` that there is.
fn folded(actions: &[&str], known: &[&str]) -> Vec<String> {
    let mut folded: Vec<String> = vec![];
    for action in actions {
        let parent = action.rsplit_once('.').map_or("", |(parent, _)| parent);
        let sibling = |other: &&&str| other.rsplit_once('.').is_some_and(|(of, _)| of == parent);
        let all = !matches!(parent, "" | "data")
            && known
                .iter()
                .filter(sibling)
                .all(|one| actions.contains(one));
        let name = if all { parent } else { action };
        if folded.last().is_none_or(|last| last != name) && !folded.iter().any(|one| one == name) {
            folded.push(name.to_owned());
        }
    }
    folded
}

// What is possible of each action, and a text that is another one where its limits are.
fn held(
    snapshot: &Snapshot,
    roles: &RoleSet,
    collection: Option<&str>,
    context: &Context,
) -> BTreeMap<String, (Possible, String)> {
    let actions = snapshot.actions();
    let mut held = BTreeMap::new();
    let found = match collection {
        Some(name) => match snapshot.catalog().find_text(name) {
            Some(found) => Some(found),
            None => return held,
        },
        None => None,
    };
    for action in all_actions(actions).filter(|action| action.is_record() == found.is_some()) {
        let may = match found {
            Some(collection) => on_records(snapshot, roles, collection, action, context),
            None => {
                let rights = roles.special(snapshot, action, None, context, false);
                let may = if *rights.reach() == Access::Always {
                    Possible::Yes
                } else {
                    Possible::No
                };
                (may, String::new())
            }
        };
        held.insert(actions.name(action).to_owned(), may);
    }
    held
}

fn on_records(
    snapshot: &Snapshot,
    roles: &RoleSet,
    collection: &Collection,
    action: ActionId,
    context: &Context,
) -> (Possible, String) {
    let rights = roles.rights(snapshot, collection.id, action, context);
    let may = possible(&rights, action);
    if may == Possible::No {
        return (may, String::new());
    }
    let mut said: Vec<String> = vec![];
    let text = |condition: &Option<Arc<portreeve_model::Condition>>| {
        condition.as_ref().map_or_else(String::new, |condition| {
            describe(snapshot.catalog(), Some(collection.id), condition)
        })
    };
    for layer in rights.layers() {
        let allows = layer.effective_allows().into_iter();
        for grant in allows.chain(layer.effective_denies()) {
            let body = &grant.body;
            let name = |field| collection.field(field).name.to_string();
            let fields = match &body.fields {
                FieldSet::All => "*".to_owned(),
                FieldSet::Only(fields) => {
                    let mut names: Vec<String> = fields.iter().map(|field| name(*field)).collect();
                    names.sort();
                    names.join(",")
                }
            };
            let values = |values: &[(portreeve_model::FieldId, portreeve_model::Slot)]| {
                let mut said: Vec<String> = values
                    .iter()
                    .map(|(field, slot)| format!("{}={slot:?}", name(*field)))
                    .collect();
                said.sort();
                said.join(",")
            };
            said.push(format!(
                "{:?} [{}] [{fields}] [{}] [{}] [{}]",
                body.effect,
                text(&body.rows),
                text(&body.check),
                values(&body.presets),
                values(&body.defaults),
            ));
        }
    }
    said.sort();
    said.dedup();
    (may, said.join("; "))
}
