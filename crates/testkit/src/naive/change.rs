//! Several records at once. "Named ids: all or nothing. By query: selection uses read rights. Rows judge the starting
//! state, checks the final one."

mod mass;

use std::collections::BTreeSet;

use portreeve_model::Value;
use portreeve_policy::Permission;

use super::operation::{Condition, Done, Item, Operation, Step, Todo};
use super::rights::Layer;
use super::schema::{Collection, key_text};
use super::write::{Outcome, Write, loan};
use super::{Answer, Record, Referee, Request, Subject, World, refused};

const ONE: &str = "data.read.one";
const MANY: &str = "data.read.many";

/// Judges creations, updates and deletions that happen together: what each comes to, or the answer that ends all of
/// them.
pub fn change(
    world: &World,
    subject: &Subject,
    requests: &[Request],
) -> Result<Vec<Answer>, Answer> {
    let items: Option<Vec<Item>> = requests.iter().map(Item::of).collect();
    let items = items.ok_or(Answer::Invalid)?;
    let operation = Operation::Records { many: true, items };
    perform(world, subject, &operation).map(|done| done.answers)
}

/// Judges a change as one request asks for it.
pub fn perform(world: &World, subject: &Subject, operation: &Operation) -> Result<Done, Answer> {
    let referee = Referee { world, subject };
    match operation {
        Operation::Mass(mass) => referee.mass(mass),
        Operation::Records { many, items } => {
            let steps = referee.steps(*many, items)?;
            let mut named = BTreeSet::new();
            let mut parts = vec![];
            for step in &steps {
                let part = referee.part(step, &steps, &mut named)?;
                parts.push(part);
            }
            let asked = |place: usize| steps[place].asked;
            referee.together(parts, asked)
        }
    }
}

enum Part<'a> {
    Delete(&'a Collection, String),
    Write(Box<Writing<'a>>),
}

struct Writing<'a> {
    write: Write<'a>,
    owner: Layer,
    narrowing: Vec<Layer>,
    // Fields that take the key of an earlier part's record.
    fills: Vec<(String, usize)>,
    // Who may lend presets and defaults, as soon as all that is sent is known, and who does.
    candidates: Option<Vec<Vec<Permission>>>,
    candidate: usize,
    // Why an attempt came to nothing before it was judged.
    invalid: bool,
}

impl Referee<'_> {
    // What a part is about, by the starting state.
    fn part<'a>(
        &'a self,
        step: &'a Step,
        steps: &[Step],
        named: &mut BTreeSet<(String, String)>,
    ) -> Result<Part<'a>, Answer> {
        let collection = &step.collection;
        match &step.todo {
            Todo::Delete { key } => {
                let action = action(step, "data.delete.one", "data.delete.many");
                let old = self
                    .world
                    .record(&collection.name, key)
                    .ok_or(Answer::NotFound)?;
                if collection.system || !self.reaches(action, collection, old) {
                    return Err(refused(self.reaches(ONE, collection, old)));
                }
                self.found(step, steps, key, old, named)?;
                Ok(Part::Delete(collection, key.clone()))
            }
            Todo::Create { key, sent } => self.creation(step, key.as_deref(), sent),
            Todo::Update { key, sent } => {
                let old = self.world.record(&collection.name, key);
                let part = self.update_of(step, key, old, sent)?;
                if let Some(old) = old {
                    self.found(step, steps, key, old, named)?;
                }
                Ok(part)
            }
            Todo::Put { key, sent } => {
                let update = action(step, "data.update.one", "data.update.many");
                let old = self.world.record(&collection.name, key).filter(|old| {
                    self.reaches(ONE, collection, old) || self.reaches(update, collection, old)
                });
                // "Changes the record if there is one you can reach, and makes it under that key otherwise; it is
                // judged as the one or the other."
                match old {
                    Some(old) => {
                        let part = self.update_of(step, key, Some(old), sent)?;
                        self.found(step, steps, key, old, named)?;
                        Ok(part)
                    }
                    None => {
                        let part = self.creation(step, Some(key), sent)?;
                        match step.condition {
                            Condition::None | Condition::Absent => Ok(part),
                            Condition::Present | Condition::Seen(_) => Err(Answer::Unmet),
                        }
                    }
                }
            }
        }
    }

    // What has to be so of a record that may be changed.
    fn found(
        &self,
        step: &Step,
        steps: &[Step],
        key: &str,
        old: &Record,
        named: &mut BTreeSet<(String, String)>,
    ) -> Result<(), Answer> {
        let collection = &step.collection;
        // "Has to belong to the record as far as he can read that."
        if let Some((field, parent)) = &step.belongs {
            let (Todo::Update { key: of, .. } | Todo::Delete { key: of }) = &steps[*parent].todo
            else {
                return Err(Answer::NotFound);
            };
            let value = old.get(field).map(key_text);
            if !self.readable(ONE, collection, old, field) || value.as_ref() != Some(of) {
                return Err(Answer::NotFound);
            }
        }
        if !self.is_as_wanted(&step.condition, collection, old) {
            return Err(Answer::Unmet);
        }
        if !named.insert((collection.name.clone(), key.to_owned())) {
            return Err(Answer::Invalid);
        }
        Ok(())
    }

    fn creation<'a>(
        &'a self,
        step: &'a Step,
        key: Option<&str>,
        sent: &Record,
    ) -> Result<Part<'a>, Answer> {
        let collection = &step.collection;
        let action = action(step, "data.create.one", "data.create.many");
        if collection.system || self.decision(action, collection).is_shut() {
            return Err(self.shut_out(collection));
        }
        let mut sent = sent.clone();
        if let Some(key) = key {
            let value = Value::from_text(collection.key_type, key);
            sent.insert(collection.key.clone(), value.map_err(|_| Answer::Invalid)?);
        }
        if !self.may_send(action, ONE, collection, &sent) {
            return Err(Answer::Invalid);
        }
        Ok(self.writing(step, action, None, sent))
    }

    fn update_of<'a>(
        &'a self,
        step: &'a Step,
        key: &str,
        old: Option<&'a Record>,
        sent: &Record,
    ) -> Result<Part<'a>, Answer> {
        let collection = &step.collection;
        let action = action(step, "data.update.one", "data.update.many");
        let readable = old.is_some_and(|old| self.reaches(ONE, collection, old));
        if collection.system || self.decision(action, collection).is_shut() {
            return Err(refused(readable));
        }
        let sent_key = sent.get(&collection.key);
        if !self.may_send(action, ONE, collection, sent)
            || sent_key.is_some_and(|value| key_text(value) != *key)
        {
            return Err(Answer::Invalid);
        }
        let mut sent = sent.clone();
        sent.remove(&collection.key);
        match old {
            // Whether it may be changed at all is asked before anything is written.
            Some(old) if self.reaches(action, collection, old) => {
                Ok(self.writing(step, action, Some(old), sent))
            }
            _ => Err(refused(readable)),
        }
    }

    fn writing<'a>(
        &self,
        step: &'a Step,
        action: &'static str,
        old: Option<&'a Record>,
        sent: Record,
    ) -> Part<'a> {
        let collection = &step.collection;
        let decision = self.decision(action, collection);
        let reading = ONE;
        Part::Write(Box::new(Writing {
            write: Write {
                action,
                reading,
                collection,
                key: old.map_or(Value::Null, |old| old[&collection.key].clone()),
                old,
                sent,
            },
            owner: decision.owner,
            narrowing: decision.narrowing,
            fills: step.fills.clone(),
            candidates: None,
            candidate: 0,
            invalid: false,
        }))
    }

    // Who may lend presets and defaults, in the order in which they are tried.
    fn lenders(&self, owner: &Layer, write: &Write) -> Vec<Vec<Permission>> {
        let lends = |allow: &Permission| !allow.presets.is_empty() || !allow.defaults.is_empty();
        let lending = owner.allows.iter().any(lends);
        let mut candidates: Vec<Vec<Permission>> = self
            .candidates(owner, write)
            .into_iter()
            .map(|allows| allows.into_iter().cloned().collect())
            .collect();
        // Who cannot carry it whatever is written, or lends nothing where nobody does, is not asked: each further
        // attempt of one record gives the others a further one too.
        let last = candidates.pop();
        candidates.retain(|allows| lending && self.could_carry(&allows[0], write));
        candidates.extend(last);
        candidates
    }

    // By its fields and the rows in the beginning.
    fn could_carry(&self, allow: &Permission, write: &Write) -> bool {
        let rows = write
            .old
            .is_none_or(|old| self.rows(allow, write.collection, old) == Some(true));
        let preset = |field: &String| allow.presets.iter().any(|(name, _)| name == field);
        rows && write.sent.keys().all(|field| {
            preset(field) || self.is_exempt(write, field) || super::rights::grants(allow, field)
        })
    }

    // Writes all of them, judges all of them, and lets whoever was not carried try the next lender.
    fn together(
        &self,
        mut parts: Vec<Part<'_>>,
        asked: impl Fn(usize) -> bool,
    ) -> Result<Done, Answer> {
        let makes: Vec<String> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Write(writing) if writing.write.old.is_none() => {
                    Some(writing.write.collection.name.clone())
                }
                _ => None,
            })
            .collect();
        loop {
            let mut world = self.world.clone();
            let mut made: Vec<(String, String)> = vec![];
            let mut keys: Vec<Value> = vec![];
            for part in &mut parts {
                let key = self.put(part, &makes, &keys, &mut world, &mut made)?;
                keys.push(key);
            }
            let after = Referee {
                world: &world,
                subject: self.subject,
            };
            let mut again = false;
            let mut answers = vec![];
            let mut forbidden = false;
            for (place, part) in parts.iter_mut().enumerate() {
                let writing = match part {
                    Part::Write(writing) => writing,
                    Part::Delete(..) => {
                        answers.push((place, Answer::Deleted));
                        continue;
                    }
                };
                let write = &writing.write;
                // Written, and taken along by the deletion of another.
                if world
                    .record(&write.collection.name, &key_text(&write.key))
                    .is_none()
                {
                    return Err(Answer::NotFound);
                }
                let candidates = writing.candidates.as_ref().expect("it was written");
                let allows: Vec<&Permission> = candidates[writing.candidate].iter().collect();
                let outcome = self.attempt(write, &allows, &world);
                let linked = self.late_links(&after, write, &outcome, &made);
                let carried = linked
                    && (writing.owner.administrator || self.carry(&allows, write, &outcome))
                    && writing.narrowing.iter().all(|layer| {
                        let allows: Vec<&Permission> = layer.allows.iter().collect();
                        layer.administrator || self.carry(&allows, write, &outcome)
                    });
                writing.invalid |= !linked;
                if !carried {
                    writing.candidate += 1;
                    if writing.candidate == candidates.len() {
                        return Err(writing.exhausted());
                    }
                    again = true;
                    continue;
                }
                let layers = std::iter::once(&writing.owner).chain(&writing.narrowing);
                let blocked = layers.into_iter().any(|layer| {
                    let blocks = |deny| self.blocks(deny, write, &outcome);
                    !layer.administrator && layer.denies.iter().any(blocks)
                });
                forbidden |= blocked;
                let key = key_text(&write.key);
                let record = outcome.record;
                answers.push((place, Answer::Stored { key, record }));
            }
            if again {
                continue;
            }
            if forbidden {
                return Err(Answer::Forbidden);
            }
            answers.retain(|(place, _)| asked(*place));
            return Ok(Done {
                keys: answers
                    .iter()
                    .map(|(place, _)| key_text(&keys[*place]))
                    .collect(),
                answers: answers.into_iter().map(|(_, answer)| answer).collect(),
                world,
            });
        }
    }

    // Writes one of them into the world as it is by now: the first lender from here on that the database takes. Gives
    // its key.
    fn put(
        &self,
        part: &mut Part<'_>,
        makes: &[String],
        keys: &[Value],
        world: &mut World,
        made: &mut Vec<(String, String)>,
    ) -> Result<Value, Answer> {
        let writing = match part {
            Part::Write(writing) => writing,
            Part::Delete(collection, key) => {
                // It may be gone already, along with another.
                world.remove(&collection.name, key);
                let key = Value::from_text(collection.key_type, key);
                return key.map_err(|_| Answer::NotFound);
            }
        };
        for (field, of) in &writing.fills {
            writing.write.sent.insert(field.clone(), keys[*of].clone());
        }
        if writing.candidates.is_none() {
            writing.candidates = Some(self.lenders(&writing.owner, &writing.write));
        }
        let candidates = writing.candidates.as_ref().expect("just found");
        while writing.candidate < candidates.len() {
            let now = Referee {
                world,
                subject: self.subject,
            };
            let write = &mut writing.write;
            // A new record's key is counted up from what is there by now.
            let key = match write.old {
                Some(_) => Some(write.key.clone()),
                None => now.new_key(write.collection, &write.sent),
            };
            let allows: Vec<&Permission> = candidates[writing.candidate].iter().collect();
            if let Some(key) = key {
                write.key = key;
                let outcome = now.outcome(write, &loan(&allows));
                if self.early_links(write, &outcome, makes) && now.can_be_stored(write, &outcome) {
                    *world = outcome.world;
                    if write.old.is_none() {
                        made.push((write.collection.name.clone(), key_text(&write.key)));
                    }
                    return Ok(write.key.clone());
                }
            }
            writing.invalid = true;
            writing.candidate += 1;
        }
        Err(Answer::Invalid)
    }

    // What a part has come to, in the world at the end.
    fn attempt(&self, write: &Write, allows: &[&Permission], world: &World) -> Outcome {
        let begun = self.outcome(write, &loan(allows));
        Outcome {
            record: world
                .record(&write.collection.name, &key_text(&write.key))
                .cloned()
                .unwrap_or_default(),
            named: begun.named,
            world: world.clone(),
        }
    }

    // Links to what is in reach in the beginning, or to what may yet be made.
    fn early_links(&self, write: &Write, outcome: &Outcome, makes: &[String]) -> bool {
        outcome.named.iter().all(|field| {
            let to = write.collection.reference(field);
            self.links_within_reach(write, std::slice::from_ref(field))
                || to.is_some_and(|to| makes.contains(&to.collection.to_string()))
        })
    }

    // The others lead to what was made, and within reach as it is in the end.
    fn late_links(
        &self,
        after: &Referee<'_>,
        write: &Write,
        outcome: &Outcome,
        made: &[(String, String)],
    ) -> bool {
        outcome.named.iter().all(|field| {
            let field = std::slice::from_ref(field);
            if self.links_within_reach(write, field) {
                return true;
            }
            let Some(to) = write.collection.reference(&field[0]) else {
                return true;
            };
            let name = to.collection.to_string();
            let target = after.world.collection(&name);
            let record = after.world.referred(to, &write.sent[&field[0]]);
            record.is_some_and(|record| {
                made.contains(&(name, key_text(&record[&target.key])))
                    && after.links_within_reach(write, field)
            })
        })
    }
}

impl Writing<'_> {
    fn exhausted(&self) -> Answer {
        if self.invalid {
            Answer::Invalid
        } else {
            Answer::Forbidden
        }
    }
}

fn action(step: &Step, one: &'static str, many: &'static str) -> &'static str {
    if step.many { many } else { one }
}
