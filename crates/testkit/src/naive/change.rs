//! Several records at once. "Named ids: all or nothing. Rows judge the starting state, checks the final one."

use std::collections::BTreeSet;

use portreeve_policy::Permission;

use super::rights::Layer;
use super::schema::{Collection, key_text};
use super::write::{Outcome, Write, loan};
use super::{Answer, Record, Referee, Request, Subject, World, refused};

/// Judges creations, updates and deletions that happen together: what each comes to, or the answer that ends all of
/// them. Deletions do not take along what points at the record.
pub fn change(
    world: &World,
    subject: &Subject,
    requests: &[Request],
) -> Result<Vec<Answer>, Answer> {
    let referee = Referee { world, subject };
    let collections: Vec<Collection> = requests
        .iter()
        .map(|request| {
            let (Request::Read { collection, .. }
            | Request::List { collection, .. }
            | Request::Create { collection, .. }
            | Request::Update { collection, .. }
            | Request::Delete { collection, .. }) = request;
            Collection::named(&world.document, collection).ok_or(Answer::NotFound)
        })
        .collect::<Result<_, _>>()?;
    let mut named = BTreeSet::new();
    let mut parts = vec![];
    for (request, collection) in requests.iter().zip(&collections) {
        parts.push(referee.part(request, collection, &mut named)?);
    }
    referee.together(parts)
}

#[expect(clippy::large_enum_variant, reason = "a handful of them, for a moment")]
enum Part<'a> {
    Delete(&'a Collection, String),
    Write {
        write: Write<'a>,
        key: Option<portreeve_model::Value>,
        owner: Layer,
        narrowing: Option<Layer>,
        // Who may lend presets and defaults, in the order in which they are tried, and who does.
        candidates: Vec<Vec<Permission>>,
        candidate: usize,
        // Why an attempt came to nothing before it was judged.
        invalid: bool,
    },
}

impl Referee<'_> {
    // What a part is about, by the starting state.
    fn part<'a>(
        &'a self,
        request: &Request,
        collection: &'a Collection,
        named: &mut BTreeSet<(String, String)>,
    ) -> Result<Part<'a>, Answer> {
        match request {
            Request::Delete { key, .. } => {
                let old = self
                    .world
                    .record(&collection.name, key)
                    .ok_or(Answer::NotFound)?;
                if collection.system || !self.reaches("data.delete.many", collection, old) {
                    return Err(refused(self.reaches("data.read.one", collection, old)));
                }
                if !named.insert((collection.name.clone(), key.clone())) {
                    return Err(Answer::Invalid);
                }
                Ok(Part::Delete(collection, key.clone()))
            }
            Request::Create { key, sent, .. } => {
                const ACTION: &str = "data.create.many";
                if collection.system || self.decision(ACTION, collection).is_shut() {
                    return Err(self.shut_out(collection));
                }
                let mut sent = sent.clone();
                if let Some(key) = key {
                    let value = portreeve_model::Value::from_text(collection.key_type, key);
                    sent.insert(collection.key.clone(), value.map_err(|_| Answer::Invalid)?);
                }
                if !self.may_send(ACTION, collection, &sent) {
                    return Err(Answer::Invalid);
                }
                Ok(self.writing(ACTION, collection, None, sent))
            }
            Request::Update { key, sent, .. } => {
                const ACTION: &str = "data.update.many";
                let old = self.world.record(&collection.name, key);
                let readable =
                    old.is_some_and(|old| self.reaches("data.read.one", collection, old));
                if collection.system || self.decision(ACTION, collection).is_shut() {
                    return Err(refused(readable));
                }
                let sent_key = sent.get(&collection.key);
                if !self.may_send(ACTION, collection, sent)
                    || sent_key.is_some_and(|value| key_text(value) != *key)
                {
                    return Err(Answer::Invalid);
                }
                let mut sent = sent.clone();
                sent.remove(&collection.key);
                match old {
                    // Whether it may be changed at all is asked before anything is written.
                    Some(old) if self.reaches(ACTION, collection, old) => {
                        if !named.insert((collection.name.clone(), key.clone())) {
                            return Err(Answer::Invalid);
                        }
                        Ok(self.writing(ACTION, collection, Some(old), sent))
                    }
                    _ => Err(refused(readable)),
                }
            }
            Request::Read { .. } | Request::List { .. } => Err(Answer::Invalid),
        }
    }

    fn writing<'a>(
        &self,
        action: &'static str,
        collection: &'a Collection,
        old: Option<&'a Record>,
        sent: Record,
    ) -> Part<'a> {
        let decision = self.decision(action, collection);
        let (owner, narrowing) = (decision.owner, decision.narrowing);
        let write = Write {
            action,
            collection,
            key: old.map_or(portreeve_model::Value::Null, |old| {
                old[&collection.key].clone()
            }),
            old,
            sent,
        };
        let lends = |allow: &Permission| !allow.presets.is_empty() || !allow.defaults.is_empty();
        let lending = owner.allows.iter().any(lends);
        let mut candidates: Vec<Vec<Permission>> = self
            .candidates(&owner, &write)
            .into_iter()
            .map(|allows| allows.into_iter().cloned().collect())
            .collect();
        // Who cannot carry it whatever is written, or lends nothing where nobody does, is not asked: each further
        // attempt of one record gives the others a further one too.
        let last = candidates.pop();
        candidates.retain(|allows| lending && self.could_carry(&allows[0], &write));
        candidates.extend(last);
        Part::Write {
            key: old.map(|old| old[&collection.key].clone()),
            write,
            owner,
            narrowing,
            candidates,
            candidate: 0,
            invalid: false,
        }
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
    fn together(&self, mut parts: Vec<Part<'_>>) -> Result<Vec<Answer>, Answer> {
        let makes: Vec<String> = parts
            .iter()
            .filter_map(|part| match part {
                Part::Write { write, .. } if write.old.is_none() => {
                    Some(write.collection.name.clone())
                }
                _ => None,
            })
            .collect();
        loop {
            let mut world = self.world.clone();
            let mut made: Vec<(String, String)> = vec![];
            for part in &mut parts {
                self.put(part, &makes, &mut world, &mut made)?;
            }
            let after = Referee {
                world: &world,
                subject: self.subject,
            };
            let mut again = false;
            let mut answers = vec![];
            let mut forbidden = false;
            for part in &mut parts {
                let Part::Write {
                    write,
                    owner,
                    narrowing,
                    candidates,
                    candidate,
                    invalid,
                    ..
                } = part
                else {
                    answers.push(Answer::Deleted);
                    continue;
                };
                let allows: Vec<&Permission> = candidates[*candidate].iter().collect();
                let outcome = self.attempt(write, &allows, &world);
                let linked = self.late_links(&after, write, &outcome, &made);
                let carried = linked
                    && (owner.administrator || self.carry(&allows, write, &outcome))
                    && narrowing.as_ref().is_none_or(|layer| {
                        let allows: Vec<&Permission> = layer.allows.iter().collect();
                        layer.administrator || self.carry(&allows, write, &outcome)
                    });
                *invalid |= !linked;
                if !carried {
                    *candidate += 1;
                    if *candidate == candidates.len() {
                        return Err(if *invalid {
                            Answer::Invalid
                        } else {
                            Answer::Forbidden
                        });
                    }
                    again = true;
                    continue;
                }
                let blocked = std::iter::once(&*owner).chain(&*narrowing).any(|layer| {
                    let blocks = |deny| self.blocks(deny, write, &outcome);
                    !layer.administrator && layer.denies.iter().any(blocks)
                });
                forbidden |= blocked;
                answers.push(Answer::Stored {
                    key: key_text(&write.key),
                    record: outcome.record,
                });
            }
            if again {
                continue;
            }
            return if forbidden {
                Err(Answer::Forbidden)
            } else {
                Ok(answers)
            };
        }
    }

    // Writes one of them into the world as it is by now: the first lender from here on that the database takes.
    fn put(
        &self,
        part: &mut Part<'_>,
        makes: &[String],
        world: &mut World,
        made: &mut Vec<(String, String)>,
    ) -> Result<(), Answer> {
        let (write, key, candidates, candidate, invalid) = match part {
            Part::Delete(collection, key) => {
                let records = world.records.entry(collection.name.clone()).or_default();
                return records.remove(key).map(|_| ()).ok_or(Answer::NotFound);
            }
            Part::Write {
                write,
                key,
                candidates,
                candidate,
                invalid,
                ..
            } => (write, key, candidates, candidate, invalid),
        };
        while *candidate < candidates.len() {
            let now = Referee {
                world,
                subject: self.subject,
            };
            // A new record's key is counted up from what is there by now.
            let key = match key {
                Some(key) => Some(key.clone()),
                None => now.new_key(write.collection, &write.sent),
            };
            let allows: Vec<&Permission> = candidates[*candidate].iter().collect();
            if let Some(key) = key {
                write.key = key;
                let outcome = now.outcome(write, &loan(&allows));
                if self.early_links(write, &outcome, makes) && now.can_be_stored(write, &outcome) {
                    *world = outcome.world;
                    if write.old.is_none() {
                        made.push((write.collection.name.clone(), key_text(&write.key)));
                    }
                    return Ok(());
                }
            }
            *invalid = true;
            *candidate += 1;
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
