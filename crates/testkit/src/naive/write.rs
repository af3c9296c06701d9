//! Creating and updating: who lends presets, what is sent, and what every deny says to the result.

use std::collections::BTreeMap;

use portreeve_model::{FieldType, Kept, KeySource, OVERFLOW, Value};
use portreeve_policy::{FieldValue, Permission};

use super::predicate::{At, Change, Truth};
use super::rights::{Layer, grants, names};
use super::schema::{Collection, field_of, key_text};
use super::{Answer, Record, Referee, World};

/// A create or update.
pub struct Write<'a> {
    pub action: &'static str,
    /// By which reading it is decided what the caller knows of the record.
    pub reading: &'static str,
    pub collection: &'a Collection,
    /// The record's key, which a create may have been given by counting up.
    pub key: Value,
    /// The record before; a create has none.
    pub old: Option<&'a Record>,
    /// What the caller sent.
    pub sent: Record,
}

/// What a write would come to with certain presets and defaults.
pub struct Outcome {
    /// The record as it would be stored.
    pub record: Record,
    /// The fields that are the caller's own doing: sent, and not ignored for a preset.
    pub named: Vec<String>,
    /// The database with the record in it.
    pub world: World,
}

/// What an allow, or several, bring along.
pub type Loan<'a> = (
    BTreeMap<&'a str, &'a FieldValue>,
    BTreeMap<&'a str, &'a FieldValue>,
);

/// "The earlier winning."
pub fn loan<'a>(allows: &[&'a Permission]) -> Loan<'a> {
    let (mut presets, mut defaults) = Loan::default();
    for allow in allows {
        for (field, value) in &allow.presets {
            presets.entry(field.as_str()).or_insert(value);
        }
        for (field, value) in &allow.defaults {
            defaults.entry(field.as_str()).or_insert(value);
        }
    }
    (presets, defaults)
}

/// Undeclared fields after a write: each that is sent instead of the one of its name, and none where null is sent.
fn overflow_after(old: Option<&Record>, sent: &Value) -> Value {
    let entries = |value: &Value| match value.to_json(FieldType::Json) {
        serde_json::Value::Object(entries) => entries,
        _ => serde_json::Map::new(),
    };
    let mut all = old.map_or_else(serde_json::Map::new, |old| {
        entries(&field_of(old, OVERFLOW))
    });
    all.extend(entries(sent));
    all.retain(|_, json| !json.is_null());
    if all.is_empty() {
        return Value::Null;
    }
    Value::from_json(FieldType::Json, &all.into()).expect("it is JSON")
}

impl Referee<'_> {
    /// Whether each sent name is one the caller knows: readable somewhere, or for him to write.
    pub fn may_send(
        &self,
        action: &str,
        reading: &str,
        collection: &Collection,
        sent: &Record,
    ) -> bool {
        let owner = self.decision(action, collection).owner;
        sent.keys().all(|field| {
            let is_preset =
                |allow: &Permission| allow.presets.iter().any(|(name, _)| name == field);
            let declared = collection.field(field);
            // What is kept of each write is sent by nobody.
            declared.is_some_and(|declared| declared.kept.is_none())
                && (*field == collection.key
                    || self.exists(reading, collection, field)
                    || self.exists(action, collection, field)
                    || owner.allows.iter().any(is_preset))
        })
    }

    /// The key of a new record: sent, or counted up. `None` where one must be sent, or the one sent is taken.
    pub fn new_key(&self, collection: &Collection, sent: &Record) -> Option<Value> {
        let records = self.world.all(&collection.name);
        match sent.get(&collection.key) {
            Some(Value::Null) => None,
            Some(key) => (!records.contains_key(&key_text(key))).then(|| key.clone()),
            None if collection.key_source == KeySource::Sequence => {
                let keys = records.values().map(|record| &record[&collection.key]);
                let highest = keys.filter_map(Value::as_integer).max();
                Some(Value::Integer(highest.unwrap_or(0).max(0) + 1))
            }
            None => None,
        }
    }

    /// Rules 4, 5, 7, 8 and the last of 9.
    pub fn judge(&self, write: &Write) -> Answer {
        let decision = self.decision(write.action, write.collection);
        let outcome = match self.lend(&decision.owner, write) {
            Ok(outcome) => outcome,
            Err(refusal) => return refusal,
        };
        // "Presets come from the owner's, and the narrowing must carry the result."
        for layer in &decision.narrowing {
            let allows: Vec<&Permission> = layer.allows.iter().collect();
            if !layer.administrator && !self.carry(&allows, write, &outcome) {
                return Answer::Forbidden;
            }
        }
        let blocks = |deny: &Permission| self.blocks(deny, write, &outcome);
        if decision
            .layers()
            .any(|layer| !layer.administrator && layer.denies.iter().any(blocks))
        {
            return Answer::Forbidden;
        }
        Answer::Stored {
            key: key_text(&write.key),
            record: outcome.record,
        }
    }

    /// Rule 8: "the first that alone carries the whole write without overruling a sent value, else the first that
    /// alone carries it, lends its presets and defaults; if none carries it alone, all of them do together." What no
    /// database would take carries nothing.
    fn lend(&self, owner: &Layer, write: &Write) -> Result<Outcome, Answer> {
        let mut only_the_database_minds = false;
        for allows in self.candidates(owner, write) {
            let outcome = self.outcome(write, &loan(&allows));
            let carried = self.links_within_reach(write, &outcome.named)
                && (owner.administrator || self.carry(&allows, write, &outcome));
            if carried && self.can_be_stored(write, &outcome) {
                return Ok(outcome);
            }
            only_the_database_minds |= carried;
        }
        // Whether a link leads nowhere or out of reach: the same answer, before any check can look behind it.
        let sent: Vec<String> = write.sent.keys().cloned().collect();
        if only_the_database_minds || !self.links_within_reach(write, &sent) {
            Err(Answer::Invalid)
        } else {
            Err(Answer::Forbidden)
        }
    }

    /// Who may lend, in the order in which they are tried.
    pub fn candidates<'l>(&self, owner: &'l Layer, write: &Write) -> Vec<Vec<&'l Permission>> {
        let overrules = |allow: &Permission| {
            allow.presets.iter().any(|(field, value)| {
                let sent = write.sent.get(field);
                sent.is_some_and(|sent| *sent != self.lent(write.collection, field, value))
            })
        };
        let alone = owner.allows.iter().map(|allow| vec![allow]);
        let gentle = alone.clone().filter(|allow| !overrules(allow[0]));
        let others = alone.filter(|allow| overrules(allow[0]));
        let together = std::iter::once(owner.allows.iter().collect());
        if owner.administrator {
            vec![vec![]]
        } else {
            gentle.chain(others).chain(together).collect()
        }
    }

    /// "`presets` always win (a sent value is ignored); `defaults` fill what was not sent."
    pub fn outcome(&self, write: &Write, (presets, defaults): &Loan) -> Outcome {
        let collection = write.collection;
        let key = key_text(&write.key);
        // An earlier part of the same change may have taken a link out of it.
        let there = self.world.record(&collection.name, &key);
        let mut record = match write.old {
            Some(old) => there.unwrap_or(old).clone(),
            None => self.declared_defaults(collection),
        };
        record.insert(collection.key.clone(), write.key.clone());
        for (field, value) in defaults {
            record.insert((*field).into(), self.lent(collection, field, value));
        }
        record.extend(write.sent.clone());
        if let Some(sent) = write.sent.get(OVERFLOW) {
            record.insert(OVERFLOW.into(), overflow_after(write.old, sent));
        }
        for (field, value) in presets {
            record.insert((*field).into(), self.lent(collection, field, value));
        }
        let changed = write.old.is_none_or(|old| {
            let assigned = defaults.keys().chain(presets.keys()).copied();
            assigned
                .chain(write.sent.keys().map(String::as_str))
                .any(|field| field_of(&record, field) != field_of(old, field))
        });
        if changed {
            self.keep(write, &mut record);
        }
        record.retain(|_, value| !value.is_null());
        let sent = write.sent.keys();
        let named = sent.filter(|field| !presets.contains_key(field.as_str()));
        let mut world = self.world.clone();
        if write.old.is_none() || there.is_some() {
            world
                .records_mut(&collection.name)
                .insert(key, record.clone());
        }
        Outcome {
            record,
            named: named.cloned().collect(),
            world,
        }
    }

    /// When a record was made and last changed, and by whom: "null for nobody". A change that changes nothing is none.
    fn keep(&self, write: &Write, record: &mut Record) {
        let user = self.subject.user.clone().map_or(Value::Null, Value::Text);
        for field in &write.collection.fields {
            let value = match field.kept {
                Some(Kept::CreatedAt | Kept::CreatedBy) if write.old.is_some() => continue,
                Some(Kept::CreatedAt | Kept::UpdatedAt) => Value::Integer(self.subject.now),
                Some(Kept::CreatedBy | Kept::UpdatedBy) => user.clone(),
                None => continue,
            };
            record.insert(field.name.clone(), value);
        }
    }

    fn declared_defaults(&self, collection: &Collection) -> Record {
        let mut record = Record::new();
        for field in &collection.fields {
            let value = match &field.default {
                Some(serde_json::Value::String(text)) if text == "$now" => {
                    Value::Integer(self.subject.now)
                }
                Some(json) => self.lent(collection, &field.name, &FieldValue::Json(json.clone())),
                None => Value::Null,
            };
            record.insert(field.name.clone(), value);
        }
        record
    }

    /// The value of a preset or default for a field.
    fn lent(&self, collection: &Collection, field: &str, value: &FieldValue) -> Value {
        let Some(ty) = collection.type_of(&self.world.document, field) else {
            return Value::Null;
        };
        match value {
            FieldValue::Variable(variable) => self.variable(variable, ty),
            FieldValue::Json(json) => Value::from_json(ty, json).unwrap_or(Value::Null),
        }
    }

    /// Rules 4 and 5: "each sent field needs an allow that grants it" and that holds for this write; where there is
    /// no such field, one allow that holds.
    pub fn carry(&self, allows: &[&Permission], write: &Write, outcome: &Outcome) -> bool {
        let holding: Vec<&Permission> = allows
            .iter()
            .copied()
            .filter(|allow| self.holds(allow, write, outcome))
            .collect();
        let mut needing = outcome
            .named
            .iter()
            .filter(|field| !self.is_exempt(write, field))
            .peekable();
        if needing.peek().is_none() {
            return !holding.is_empty();
        }
        needing.all(|field| holding.iter().any(|allow| grants(allow, field)))
    }

    /// Create: "rows *and* check are true of the stored record." Update: "rows were true before and whose check is
    /// true after; without `check`, its rows must hold after too."
    fn holds(&self, allow: &Permission, write: &Write, outcome: &Outcome) -> bool {
        let rows_after = || self.rows_after(allow, write, outcome) == Some(true);
        let check_after = || self.check_after(allow, write, outcome) == Some(true);
        match write.old {
            None => rows_after() && check_after(),
            Some(old) => {
                self.rows(allow, write.collection, old) == Some(true)
                    && if allow.check.is_some() {
                        check_after()
                    } else {
                        rows_after()
                    }
            }
        }
    }

    /// "An unchanged sent field is exempt only if it is readable."
    pub fn is_exempt(&self, write: &Write, field: &str) -> bool {
        write.old.is_some_and(|old| {
            let after = match (field, write.sent.get(field)) {
                (OVERFLOW, Some(sent)) => overflow_after(Some(old), sent),
                _ => field_of(&write.sent, field),
            };
            field_of(old, field) == after
                && self.readable(write.reading, write.collection, old, field)
        })
    }

    fn rows_after(&self, permission: &Permission, write: &Write, outcome: &Outcome) -> Truth {
        let after = Referee {
            world: &outcome.world,
            subject: self.subject,
        };
        after.rows(permission, write.collection, &outcome.record)
    }

    fn check_after(&self, permission: &Permission, write: &Write, outcome: &Outcome) -> Truth {
        let Some(check) = &permission.check else {
            return Some(true);
        };
        let after = Referee {
            world: &outcome.world,
            subject: self.subject,
        };
        let change = Change {
            collection: write.collection,
            old: write.old,
            new: &outcome.record,
            sent: &write.sent,
        };
        after.truth(check, &At::check(change))
    }

    /// Rule 7: "Field-less deny rows on the old state and on the stored new state; a deny with fields blocks a write
    /// that names one of them; a deny may carry `check` (denied iff it holds after)." It holds unless false.
    pub fn blocks(&self, deny: &Permission, write: &Write, outcome: &Outcome) -> bool {
        let is_about_it =
            deny.fields.is_none() || outcome.named.iter().any(|field| names(deny, field));
        let before = write
            .old
            .is_some_and(|old| self.rows(deny, write.collection, old) != Some(false));
        let after = self.rows_after(deny, write, outcome) != Some(false);
        is_about_it && (before || after) && self.check_after(deny, write, outcome) != Some(false)
    }

    /// Rule 9: "A caller may link only records within his read reach (presets aside)." A link that stays as it was is
    /// exempt like any other field, only if he can read it: else he could try out which one it is.
    pub fn links_within_reach(&self, write: &Write, fields: &[String]) -> bool {
        fields.iter().all(|field| {
            let value = &write.sent[field];
            let Some(to) = write.collection.reference(field) else {
                return true;
            };
            let target = self.world.collection(&to.collection.to_string());
            let within = |linked| {
                self.reaches("data.read.one", &target, linked)
                    || self.reaches("data.read.many", &target, linked)
            };
            value.is_null()
                || self.is_exempt(write, field)
                || self.world.referred(to, value).is_some_and(within)
        })
    }

    /// Required fields hold something and links lead somewhere, whoever brought them.
    pub fn can_be_stored(&self, write: &Write, outcome: &Outcome) -> bool {
        write.collection.fields.iter().all(|field| {
            let value = field_of(&outcome.record, &field.name);
            match &field.to {
                _ if value.is_null() => !field.required,
                Some(to) => outcome.world.referred(to, &value).is_some(),
                None => true,
            }
        })
    }
}
