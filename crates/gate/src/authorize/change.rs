//! Changes of several records, and of records that stand in each other.

use std::sync::Arc;

use portreeve_model::{Collection, CollectionId, CollectionName, FieldId, ToMany, Value, Via};
use portreeve_policy::{
    Access, ActionId, CREATE_MANY, CREATE_ONE, DELETE_MANY, DELETE_ONE, Fill, Precondition,
    READ_MANY, READ_ONE, Step, UPDATE_MANY, UPDATE_ONE, Way, What, Write, WriteDenial, WriteKind,
};
use serde_json::Value as Json;

use super::Gate;
use crate::planner::unknown_field;
use crate::{
    Asked, AskedWhat, Authorized, Branch, Caller, Change, MAX_NESTING, MAX_STEPS, Refused,
    RefusedAt, Sent, Twig,
};

impl Gate {
    /// Several records, judged by the actions on one record each (`.one`) or on many.
    pub fn change(
        &self,
        caller: &Caller,
        many: bool,
        asked: Vec<Asked>,
    ) -> Result<Authorized<Change>, RefusedAt> {
        let mut builder = Builder {
            gate: self,
            caller,
            steps: vec![],
            places: vec![],
            unsendable: vec![],
        };
        let mut roots = Vec::with_capacity(asked.len());
        for asked in asked {
            roots.push(builder.add(asked, many, 0, None)?);
        }
        let change = Change {
            steps: builder.steps,
            places: builder.places,
            roots,
            unsendable: builder.unsendable,
        };
        Ok(self.proof(caller, change))
    }
}

struct Builder<'a> {
    gate: &'a Gate,
    caller: &'a Caller,
    steps: Vec<Step>,
    places: Vec<String>,
    unsendable: Vec<(usize, Refused)>,
}

/// How a record hangs on the one it came along with.
#[derive(Clone, Copy)]
enum Hold {
    // The field that takes the other's value.
    Fill(Fill),
    // The field that has to point at the other in the beginning.
    Belongs(Fill),
    // Both: it shall not point at it any more.
    Leave(Fill),
}

type Nested = (String, ToMany, serde_json::Map<String, Json>);

impl Builder<'_> {
    fn add(
        &mut self,
        asked: Asked,
        many: bool,
        depth: usize,
        hold: Option<Hold>,
    ) -> Result<Branch, RefusedAt> {
        let Asked {
            place,
            collection: name,
            what,
            condition,
        } = asked;
        let at = |refused| RefusedAt {
            place: place.clone(),
            refused,
        };
        let id = Gate::find(self.caller, &name).map_err(at)?;
        let declared = Arc::clone(self.caller.snapshot.catalog().get(id));
        let mut branch = Branch::default();
        let (mut fills, mut belongs) = (vec![], None);
        let mut hang = |sent: &mut Sent| -> Result<(), Refused> {
            let (fill, left) = match hold {
                None => return Ok(()),
                Some(Hold::Belongs(fill)) => {
                    belongs = Some(fill);
                    return Ok(());
                }
                Some(Hold::Leave(fill)) => (fill, true),
                Some(Hold::Fill(fill)) => (fill, false),
            };
            let field = declared.field(fill.field).name.to_string();
            if sent.iter().any(|(known, _)| *known == field) {
                let message = "is what the relation says; leave it out".into();
                return Err(Refused::BadValue { field, message });
            }
            sent.push((field, Json::Null));
            if left {
                belongs = Some(fill);
            } else {
                fills.push(fill);
            }
            Ok(())
        };
        let mut inner = vec![];
        let what = match what {
            AskedWhat::Delete { key } => {
                hang(&mut vec![]).map_err(at)?;
                let action = if many { DELETE_MANY } else { DELETE_ONE };
                let sight = belongs.is_some() || matches!(condition, Precondition::Matches(_));
                let (template, key) = self
                    .gate
                    .delete_one(self.caller, &name, action, &key, sight)
                    .map_err(at)?;
                What::Delete { template, key }
            }
            AskedWhat::Create(mut sent) => {
                hang(&mut sent).map_err(at)?;
                let sent = self.take_apart(
                    &declared,
                    sent,
                    &place,
                    depth,
                    &mut fills,
                    &mut inner,
                    &mut branch,
                )?;
                self.create(&name, many, sent)
                    .map(What::Create)
                    .map_err(at)?
            }
            AskedWhat::Update { key, mut sent } => {
                let key = match key {
                    Some(key) => key,
                    None => named(&declared, &mut sent).map_err(at)?,
                };
                hang(&mut sent).map_err(at)?;
                let sent = self.take_apart(
                    &declared,
                    sent,
                    &place,
                    depth,
                    &mut fills,
                    &mut inner,
                    &mut branch,
                )?;
                let action = if many { UPDATE_MANY } else { UPDATE_ONE };
                let (template, key, values) = self
                    .gate
                    .change_one(self.caller, &name, action, &key, sent)
                    .map_err(at)?;
                let values = values.into();
                let write = Write { template, values };
                What::Update { write, key }
            }
            AskedWhat::Upsert { on, key, mut sent } => {
                if let Some(key) = key {
                    self.tell(&declared, &key, &mut sent).map_err(at)?;
                }
                self.upsert(&declared, many, on.as_deref(), sent)
                    .map_err(at)?
            }
        };
        if self.steps.len() >= MAX_STEPS {
            return Err(at(Refused::TooMany(MAX_STEPS)));
        }
        let new = matches!(what, What::Create(_));
        let step = self.steps.len();
        branch.step = step;
        self.steps.push(Step {
            what,
            fills,
            belongs,
            condition,
        });
        self.places.push(place.clone());
        for (relation, to, members) in inner {
            let branches = self.many(step, new, &relation, &to, members, &place, depth + 1)?;
            branch.relations.push(Twig {
                name: relation,
                one: false,
                branches,
            });
        }
        Ok(branch)
    }

    fn create(&self, name: &CollectionName, many: bool, sent: Sent) -> Result<Write, Refused> {
        let action = if many { CREATE_MANY } else { CREATE_ONE };
        let (template, values) =
            self.gate
                .write(self.caller, name, WriteKind::Create, action, READ_ONE, sent)?;
        let values = values.into();
        Ok(Write { template, values })
    }

    // Puts the key that is told beside what is sent among it.
    fn tell(&self, declared: &Collection, key: &str, sent: &mut Sent) -> Result<(), Refused> {
        let ty = declared.key_field().ty;
        let value = self.gate.key(self.caller, declared.id, key)?;
        let name = &*declared.key_field().name;
        if let Some((_, json)) = sent.iter().find(|(field, _)| field == name) {
            if Value::from_json(ty, json).as_ref() == Ok(&value) {
                return Ok(());
            }
            let message = "is not the key the record was addressed by".into();
            let field = name.to_owned();
            return Err(Refused::BadValue { field, message });
        }
        sent.push((name.to_owned(), value.to_json(ty)));
        Ok(())
    }

    fn upsert(
        &mut self,
        declared: &Collection,
        many: bool,
        on: Option<&str>,
        sent: Sent,
    ) -> Result<What, Refused> {
        let key = &declared.key_field().name;
        let on = on.unwrap_or(key);
        let read = self.gate.rights(self.caller, declared.id, READ_ONE);
        let Some((_, json)) = sent.iter().find(|(name, _)| name == on) else {
            let field = on.to_owned();
            let message = "tells which record it is, and has to be sent".into();
            return Err(Refused::BadValue { field, message });
        };
        let by = declared.find_field(on).filter(|field| {
            *field == declared.key || *read.field(declared, *field) != Access::Never
        });
        let Some(by) = by else {
            return Err(unknown_field(declared, &read, on));
        };
        if by != declared.key && !declared.field(by).unique {
            let field = on.to_owned();
            let message = "is not unique, so it does not tell which record it is".into();
            return Err(Refused::BadValue { field, message });
        }
        let bad = |error: portreeve_model::ValueError| Refused::BadValue {
            field: on.to_owned(),
            message: error.0,
        };
        let value = Value::from_json(declared.field(by).ty, json).map_err(bad)?;
        if value.is_null() {
            let field = on.to_owned();
            let message = "tells which record it is, and cannot be null".into();
            return Err(Refused::BadValue { field, message });
        }
        let action = if many { UPDATE_MANY } else { UPDATE_ONE };
        // The key is no part of a change; where it is not what tells which record, it cannot be sent.
        let mut changes = sent.clone();
        if by == declared.key {
            changes.retain(|(name, _)| *name != **key);
        } else if sent.iter().any(|(name, _)| *name == **key) {
            let field = key.to_string();
            let message = format!("cannot be sent where '{on}' tells which record it is");
            return Err(Refused::BadValue { field, message });
        }
        // It is judged as the one or the other: what cannot be sent on one of the ways is told to whoever has to go it.
        let (mut update, mut barred) = (None, None);
        match self.change_of(&declared.name, action, changes) {
            Ok(write) => update = Some(write),
            Err(Refused::NotFound | Refused::Forbidden) => {}
            Err(refused) => {
                update = Some(self.change_of(&declared.name, action, vec![])?);
                barred = Some((Way::Update, refused));
            }
        }
        let create = match self.create(&declared.name, many, sent) {
            Ok(write) => Ok(write),
            Err(Refused::NotFound) => Err(WriteDenial::NotFound),
            Err(Refused::Forbidden) => Err(WriteDenial::Forbidden),
            Err(refused) if update.is_none() => return Err(refused),
            Err(refused) => match barred {
                Some((_, earlier)) => return Err(earlier),
                None => {
                    barred = Some((Way::Create, refused));
                    Err(WriteDenial::Forbidden)
                }
            },
        };
        match (&create, &update) {
            (Err(WriteDenial::NotFound), None) => return Err(Refused::NotFound),
            (Err(WriteDenial::Forbidden), None) => return Err(Refused::Forbidden),
            _ => {}
        }
        let unsendable = barred.map(|(way, refused)| {
            self.unsendable.push((self.steps.len(), refused));
            way
        });
        Ok(What::Upsert {
            by,
            value,
            create,
            update,
            unsendable,
        })
    }

    fn change_of(
        &self,
        name: &CollectionName,
        action: ActionId,
        changes: Sent,
    ) -> Result<Write, Refused> {
        let kind = WriteKind::Update;
        let (template, values) =
            self.gate
                .write(self.caller, name, kind, action, READ_ONE, changes)?;
        let values = values.into();
        Ok(Write { template, values })
    }

    // Nested records -------------------------------------------------------------------------------------------------

    // Takes records that stand in relations out of what is sent. Those a field points at come first, since the field
    // takes their value; those of to-many relations are left for later, since they take the value of this one.
    #[expect(clippy::too_many_arguments, reason = "they are the state of one step")]
    fn take_apart(
        &mut self,
        declared: &Arc<Collection>,
        sent: Sent,
        place: &str,
        depth: usize,
        fills: &mut Vec<Fill>,
        inner: &mut Vec<Nested>,
        branch: &mut Branch,
    ) -> Result<Sent, RefusedAt> {
        let mut rest = vec![];
        for (name, json) in sent {
            let Json::Object(members) = json else {
                rest.push((name, json));
                continue;
            };
            if let Some(field) = declared.find_field(&name)
                && let Some(to) = declared.field(field).relation
                && self.may_nest(declared, field, to.target)
            {
                let inside = within(place, &name);
                let target = Arc::clone(self.caller.snapshot.catalog().get(to.target));
                let asked = one(&target, members, &inside)?;
                let below = self.below(asked, false, depth + 1, None)?;
                let (step, by) = (below.step, to.by);
                fills.push(Fill { field, step, by });
                branch.relations.push(Twig {
                    name: name.clone(),
                    one: true,
                    branches: vec![below],
                });
                rest.push((name, Json::Null));
            } else if let Some((_, to)) = declared.find_relation(&name)
                && self.may_nest_many(to)
            {
                inner.push((name, to.clone(), members));
            } else {
                rest.push((name, Json::Object(members)));
            }
        }
        Ok(rest)
    }

    fn below(
        &mut self,
        asked: Asked,
        many: bool,
        depth: usize,
        hold: Option<Hold>,
    ) -> Result<Branch, RefusedAt> {
        if depth > MAX_NESTING {
            let message = format!("at most {MAX_NESTING} records may stand in each other");
            return Err(bad(asked.place, "", &message));
        }
        self.add(asked, many, depth, hold)
    }

    // What the caller knows nothing of is answered like a name that is none.
    fn may_nest(&self, declared: &Collection, field: FieldId, target: CollectionId) -> bool {
        self.gate.knows(self.caller, target) && self.knows_field(declared.id, field)
    }

    fn may_nest_many(&self, to: &ToMany) -> bool {
        self.gate.knows(self.caller, to.target)
            && match to.via {
                Via::Field(field) => self.knows_field(to.target, field),
                Via::Through {
                    junction,
                    near,
                    far,
                } => self.knows_field(junction, near) && self.knows_field(junction, far),
            }
    }

    fn knows_field(&self, collection: CollectionId, field: FieldId) -> bool {
        let declared = self.caller.snapshot.catalog().get(collection);
        let actions: [ActionId; 6] = [
            READ_ONE,
            READ_MANY,
            CREATE_ONE,
            CREATE_MANY,
            UPDATE_ONE,
            UPDATE_MANY,
        ];
        actions.into_iter().any(|action| {
            let rights = self.gate.rights(self.caller, collection, action);
            *rights.field(declared, field) != Access::Never
        })
    }

    #[expect(
        clippy::too_many_arguments,
        reason = "they are the place of one relation"
    )]
    fn many(
        &mut self,
        parent: usize,
        new: bool,
        relation: &str,
        to: &ToMany,
        mut members: serde_json::Map<String, Json>,
        place: &str,
        depth: usize,
    ) -> Result<Vec<Branch>, RefusedAt> {
        let inside = within(place, relation);
        let snapshot = Arc::clone(&self.caller.snapshot);
        let target = Arc::clone(snapshot.catalog().get(to.target));
        for name in members.keys() {
            if !MEMBERS.contains(&name.as_str()) {
                let message = format!("is none of {}", MEMBERS.join(", "));
                return Err(bad(inside, name, &message));
            }
        }
        let mut lists = vec![];
        for member in MEMBERS {
            let items = match members.shift_remove(*member) {
                None | Some(Json::Null) => vec![],
                Some(Json::Array(items)) => items,
                Some(_) => return Err(bad(inside, member, "must be a list")),
            };
            if new && !items.is_empty() && !["create", "link"].contains(member) {
                let message = "a new record has nothing in its relations yet";
                return Err(bad(inside, member, message));
            }
            lists.push((*member, items));
        }
        let mut branches = vec![];
        for (member, items) in lists {
            for (number, item) in items.into_iter().enumerate() {
                let place = format!("{inside}.{member}[{number}]");
                let branch = match to.via {
                    Via::Field(field) => {
                        let by = target.field(field).relation.map_or(target.key, |to| to.by);
                        let step = parent;
                        let fill = Fill { field, step, by };
                        let (what, hold) = through_field(member, item, &place, fill)?;
                        let asked = asked(&target, what, place);
                        self.below(asked, true, depth, Some(hold))?
                    }
                    Via::Through {
                        junction,
                        near,
                        far,
                    } => {
                        let junction = Arc::clone(snapshot.catalog().get(junction));
                        self.through(
                            parent,
                            &target,
                            &junction,
                            (near, far),
                            member,
                            item,
                            place,
                            depth,
                        )?
                    }
                };
                if !matches!(member, "delete" | "unlink") {
                    branches.push(branch);
                }
            }
        }
        Ok(branches)
    }

    // Links through a junction are records of the junction, made under the rights on it.
    #[expect(
        clippy::too_many_arguments,
        reason = "they are the place of one record"
    )]
    fn through(
        &mut self,
        parent: usize,
        target: &Arc<Collection>,
        junction: &Arc<Collection>,
        (near, far): (FieldId, FieldId),
        member: &str,
        item: Json,
        place: String,
        depth: usize,
    ) -> Result<Branch, RefusedAt> {
        let by = |field: FieldId| {
            let relation = junction.field(field).relation;
            relation.map_or(junction.key, |to| to.by)
        };
        let hold = Hold::Fill(Fill {
            field: near,
            step: parent,
            by: by(near),
        });
        let far_name = junction.field(far).name.to_string();
        match (member, item) {
            ("create", Json::Object(fields)) => {
                let new = AskedWhat::Create(fields.into_iter().collect());
                let made = self.below(asked(target, new, place.clone()), true, depth, None)?;
                let link = asked(
                    junction,
                    AskedWhat::Create(vec![(far_name, Json::Null)]),
                    place,
                );
                self.below(link, true, depth, Some(hold))?;
                if let Some(link) = self.steps.last_mut() {
                    link.fills.push(Fill {
                        field: far,
                        step: made.step,
                        by: by(far),
                    });
                }
                Ok(made)
            }
            ("link", key @ (Json::String(_) | Json::Number(_))) => {
                let link = asked(junction, AskedWhat::Create(vec![(far_name, key)]), place);
                self.below(link, true, depth, Some(hold))
            }
            ("link", _) => Err(bad(place, "", "must be a key")),
            ("create", _) => Err(bad(place, "", "must be an object of fields")),
            _ => {
                let message = format!(
                    "goes through '{}'; change or delete its records, or those of '{}'",
                    junction.name, target.name
                );
                Err(bad(place, "", &message))
            }
        }
    }
}

const MEMBERS: &[&str] = &["create", "update", "delete", "link", "unlink"];

fn within(place: &str, name: &str) -> String {
    if place.is_empty() {
        name.to_owned()
    } else {
        format!("{place}.{name}")
    }
}

fn bad(place: String, member: &str, message: &str) -> RefusedAt {
    let last = place.rsplit('.').next().unwrap_or_default();
    let field = if member.is_empty() { last } else { member }.to_owned();
    let message = message.to_owned();
    RefusedAt {
        place,
        refused: Refused::BadValue { field, message },
    }
}

fn asked(collection: &Collection, what: AskedWhat, place: String) -> Asked {
    Asked {
        place,
        collection: collection.name.clone(),
        what,
        condition: Precondition::None,
    }
}

// `{ "create": {…} }` or `{ "update": { key, … } }`: the record a field points at.
fn one(
    target: &Collection,
    mut members: serde_json::Map<String, Json>,
    place: &str,
) -> Result<Asked, RefusedAt> {
    let wrong = || {
        let message = "must be a key, { \"create\": {…} } or { \"update\": {…} }";
        bad(place.to_owned(), "", message)
    };
    if members.len() != 1 {
        return Err(wrong());
    }
    for (member, way) in [("create", false), ("update", true)] {
        if let Some(item) = members.shift_remove(member) {
            let Json::Object(fields) = item else {
                return Err(bad(place.to_owned(), member, "must be an object of fields"));
            };
            let place = within(place, member);
            let sent = fields.into_iter().collect();
            let what = if way {
                AskedWhat::Update { key: None, sent }
            } else {
                AskedWhat::Create(sent)
            };
            return Ok(asked(target, what, place));
        }
    }
    Err(wrong())
}

// Takes a record's key out of its fields.
fn named(declared: &Collection, sent: &mut Sent) -> Result<String, Refused> {
    let name = &*declared.key_field().name;
    let place = sent.iter().position(|(field, _)| field == name);
    let key = place.and_then(|place| key_text(&sent.remove(place).1));
    key.ok_or_else(|| Refused::BadValue {
        field: name.to_owned(),
        message: "tells which record it is, and has to be sent as a text or a number".into(),
    })
}

fn key_text(json: &Json) -> Option<String> {
    match json {
        Json::String(text) => Some(text.clone()),
        Json::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn through_field(
    member: &str,
    item: Json,
    place: &str,
    fill: Fill,
) -> Result<(AskedWhat, Hold), RefusedAt> {
    let wrong = |message| bad(place.to_owned(), "", message);
    match (member, item) {
        ("create", Json::Object(fields)) => {
            let what = AskedWhat::Create(fields.into_iter().collect());
            Ok((what, Hold::Fill(fill)))
        }
        ("update", Json::Object(fields)) => {
            let sent = fields.into_iter().collect();
            Ok((AskedWhat::Update { key: None, sent }, Hold::Belongs(fill)))
        }
        ("create" | "update", _) => Err(wrong("must be an object of fields")),
        (_, item) => {
            let key = key_text(&item).ok_or_else(|| wrong("must be a key"))?;
            let update = |key| AskedWhat::Update {
                key: Some(key),
                sent: vec![],
            };
            Ok(match member {
                "delete" => (AskedWhat::Delete { key }, Hold::Belongs(fill)),
                "link" => (update(key), Hold::Fill(fill)),
                _ => (update(key), Hold::Leave(fill)),
            })
        }
    }
}
