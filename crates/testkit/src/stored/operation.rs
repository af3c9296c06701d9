//! Changes as one request asks for them, before gate and store.

use portreeve_gate::{
    Asked, AskedWhat, Caller, MassRequest, Refused, RefusedAt, Sent, take_literals,
};
use portreeve_model::{Collection, CollectionName, EntityTag, Value};
use portreeve_policy::{Precondition, Refusal};
use portreeve_store::{ChangeResult, ChangedRecord, StoreError};
use serde_json::{Map, Value as Json};

use super::{JsonLines, StoredWorld, json, key_text, refusal};
use crate::naive::{Answer, Condition, Inner, Item, Mass, Operation, Record, What};

impl StoredWorld {
    /// The keys of the records asked for or chosen, or the refusal. `tag` is that of a record that is wanted as it was
    /// seen.
    pub async fn perform(
        &self,
        caller: &Caller,
        operation: &Operation,
        tag: EntityTag,
    ) -> Result<Vec<String>, Answer> {
        let result = match operation {
            Operation::Mass(mass) => {
                let request = self.mass_request(mass)?;
                let mass = self.gate.mass(caller, request).map_err(refusal)?;
                self.store.mass(mass).await
            }
            Operation::Records { many, items } => {
                let asked = items.iter().map(|item| self.asked(item, tag));
                let asked = asked.collect::<Result<_, _>>()?;
                let change = self.gate.change(caller, *many, asked);
                let change = change.map_err(|RefusedAt { refused, .. }| refusal(refused))?;
                let roots: Vec<usize> = change
                    .operation()
                    .roots()
                    .iter()
                    .map(|it| it.step)
                    .collect();
                return self
                    .store
                    .change(change)
                    .await
                    .map_err(broken)
                    .and_then(done)
                    .map(|keys| {
                        roots
                            .into_iter()
                            .filter_map(|it| keys[it].clone())
                            .collect()
                    });
            }
        };
        let keys = result.map_err(broken).and_then(done)?;
        let mut keys: Vec<String> = keys.into_iter().flatten().collect();
        keys.sort();
        Ok(keys)
    }

    /// The tag of a record as the caller reads it; that of nothing where he does not.
    pub async fn tag(&self, caller: &Caller, collection: &str, key: &str) -> EntityTag {
        let query = portreeve_model::RecordQuery {
            collection: self.collection(collection).name.clone(),
            fields: None,
            expand: vec![],
        };
        let Ok(read) = self.gate.record(caller, query, key) else {
            return EntityTag::of_json(b"");
        };
        let read = self.store.read(&read, JsonLines::default()).await;
        let (sink, _) = read.expect("readable");
        EntityTag::of_json(sink.0.trim_ascii_end())
    }

    fn mass_request(&self, mass: &Mass) -> Result<MassRequest, Answer> {
        let name = CollectionName::parse(&mass.collection).map_err(|_| Answer::NotFound)?;
        let mut values = vec![];
        Ok(MassRequest {
            collection: name,
            filter: take_literals(mass.filter.clone(), &mut values),
            values,
            set: mass
                .set
                .as_ref()
                .map(|set| json(&self.collection(&mass.collection), set)),
            narrow: mass.narrow,
        })
    }

    fn asked(&self, item: &Item, tag: EntityTag) -> Result<Asked, Answer> {
        let of = self.collection(&item.collection);
        let what = match &item.what {
            What::Create { key, sent, inner } => {
                let mut fields = self.fields(&of, sent, inner)?;
                if let Some(key) = key {
                    fields.push(key_field(&of, key)?);
                }
                AskedWhat::Create(fields)
            }
            What::Update { key, sent, inner } => AskedWhat::Update {
                key: Some(key.clone()),
                sent: self.fields(&of, sent, inner)?,
            },
            What::Put { key, sent } => AskedWhat::Upsert {
                on: None,
                key: Some(key.clone()),
                sent: json(&of, sent),
            },
            What::Delete { key } => AskedWhat::Delete { key: key.clone() },
        };
        Ok(Asked {
            place: String::new(),
            collection: of.name.clone(),
            what,
            condition: match &item.condition {
                Condition::None => Precondition::None,
                Condition::Present => Precondition::Present,
                Condition::Absent => Precondition::Absent,
                Condition::Seen(_) => Precondition::Matches(vec![tag]),
            },
        })
    }

    // What is sent, relations with what stands in them among it.
    fn fields(
        &self,
        of: &Collection,
        sent: &Record,
        inner: &[(String, Inner)],
    ) -> Result<Sent, Answer> {
        let mut fields = json(of, sent);
        for (name, inner) in inner {
            let mut object = Map::new();
            match inner {
                Inner::One(item) => {
                    let member = match item.what {
                        What::Update { .. } => "update",
                        _ => "create",
                    };
                    object.insert(member.into(), self.object(item)?);
                }
                Inner::Many(members) => {
                    let (_, to) = of.find_relation(name).ok_or(Answer::Invalid)?;
                    let snapshot = self.gate.snapshot();
                    let target = snapshot.catalog().get(to.target);
                    let items = |items: &[Item]| {
                        let items: Result<Vec<Json>, Answer> =
                            items.iter().map(|item| self.object(item)).collect();
                        items.map(Json::from)
                    };
                    let keys = |keys: &[String]| {
                        let keys: Result<Vec<Json>, Answer> = keys
                            .iter()
                            .map(|key| Ok(key_field(target, key)?.1))
                            .collect();
                        keys.map(Json::from)
                    };
                    object.insert("create".into(), items(&members.create)?);
                    object.insert("update".into(), items(&members.update)?);
                    object.insert("delete".into(), keys(&members.delete)?);
                    object.insert("link".into(), keys(&members.link)?);
                    object.insert("unlink".into(), keys(&members.unlink)?);
                }
            }
            fields.push((name.clone(), Json::Object(object)));
        }
        Ok(fields)
    }

    // A record as it stands in the relation of another: its key among its fields.
    fn object(&self, item: &Item) -> Result<Json, Answer> {
        let of = self.collection(&item.collection);
        let (key, sent, inner) = match &item.what {
            What::Create { key, sent, inner } => (key.as_ref(), sent, inner),
            What::Update { key, sent, inner } => (Some(key), sent, inner),
            What::Put { .. } | What::Delete { .. } => return Err(Answer::Invalid),
        };
        let mut fields = self.fields(&of, sent, inner)?;
        if let Some(key) = key {
            fields.retain(|(name, _)| **name != *of.key_field().name);
            fields.push(key_field(&of, key)?);
        }
        Ok(Json::Object(fields.into_iter().collect()))
    }
}

fn key_field(of: &Collection, key: &str) -> Result<(String, Json), Answer> {
    let field = of.key_field();
    let value = Value::from_text(field.ty, key).map_err(|_| Answer::Invalid)?;
    Ok((field.name.to_string(), value.to_json(field.ty)))
}

fn broken(error: StoreError) -> Answer {
    panic!("the store failed: {error}")
}

// The keys of what was changed, none for what was left as it is.
fn done(result: ChangeResult) -> Result<Vec<Option<String>>, Answer> {
    match result {
        ChangeResult::TooMany(most) => Err(refusal(Refused::TooMany(most))),
        ChangeResult::Refused { why, .. } => Err(match why {
            Refusal::NotFound => Answer::NotFound,
            Refusal::Forbidden => Answer::Forbidden,
            Refusal::Partly(count) => Answer::Partly(count),
            Refusal::Unmet => Answer::Unmet,
            Refusal::BadLink(_)
            | Refusal::Overfull(_)
            | Refusal::Unsendable
            | Refusal::Twice
            | Refusal::Unstorable(_) => Answer::Invalid,
        }),
        ChangeResult::Done(records) => Ok(records
            .iter()
            .map(|record| match record {
                ChangedRecord::Deleted { key } => Some(key_text(key)),
                ChangedRecord::Stored { stored, .. } => Some(key_text(&stored.key)),
                ChangedRecord::Left => None,
            })
            .collect()),
    }
}
