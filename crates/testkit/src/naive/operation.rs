//! What a request may ask to be changed, and how records that stand in each other become several.

use portreeve_model::{Rule, Value};
use portreeve_policy::RelationVia;

use super::schema::Collection;
use super::{Answer, Record, Referee, Request, World};

/// A change as one request asks for it.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// These records: all or nothing.
    Records {
        /// Whether the actions on many records are asked for, rather than those on one.
        many: bool,
        /// The records.
        items: Vec<Item>,
    },
    /// Those that a filter chooses.
    Mass(Mass),
}

/// A record to be written.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its collection.
    pub collection: String,
    /// What becomes of it.
    pub what: What,
    /// How it has to be.
    pub condition: Condition,
}

/// What becomes of a record.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// It is made.
    Create {
        /// The key as text, where one is sent.
        key: Option<String>,
        /// The fields sent, the key not among them.
        sent: Record,
        /// What stands in its relations.
        inner: Vec<(String, Inner)>,
    },
    /// It is changed.
    Update {
        /// The key as text.
        key: String,
        /// The fields sent.
        sent: Record,
        /// What stands in its relations.
        inner: Vec<(String, Inner)>,
    },
    /// It is changed where it is within reach, and made otherwise.
    Put {
        /// The key as text.
        key: String,
        /// The fields sent, the key not among them.
        sent: Record,
    },
    /// It is deleted.
    Delete {
        /// The key as text.
        key: String,
    },
}

/// What stands in a relation.
#[derive(Clone, Debug, PartialEq)]
pub enum Inner {
    /// The record that a field shall point at, made or changed.
    One(Box<Item>),
    /// Records that point here.
    Many(Members),
}

/// What is done with the records of a to-many relation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Members {
    /// New ones.
    pub create: Vec<Item>,
    /// Changes of its own ones.
    pub update: Vec<Item>,
    /// The end of its own ones.
    pub delete: Vec<String>,
    /// Others that shall be among them.
    pub link: Vec<String>,
    /// Its own ones that shall not be any more.
    pub unlink: Vec<String>,
}

/// How a record has to be for a change to happen.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Condition {
    /// As it likes.
    #[default]
    None,
    /// There.
    Present,
    /// Not there.
    Absent,
    /// As it was shown to the caller; nothing where it was not shown.
    Seen(Option<Record>),
}

/// Everything that a filter chooses, changed alike or deleted.
#[derive(Clone, Debug, PartialEq)]
pub struct Mass {
    /// The collection.
    pub collection: String,
    /// The caller's filter.
    pub filter: Rule,
    /// The fields sent; nothing to delete.
    pub set: Option<Record>,
    /// Whether those that may not be changed are left as they are.
    pub narrow: bool,
}

/// What an operation comes to.
#[derive(Clone, Debug, PartialEq)]
pub struct Done {
    /// The keys of the records asked for, in that order, or of those chosen and changed.
    pub keys: Vec<String>,
    /// What became of them.
    pub answers: Vec<Answer>,
    /// Everything there is then.
    pub world: World,
}

/// One record of an operation, with what ties it to others.
pub(super) struct Step {
    pub collection: Collection,
    pub todo: Todo,
    pub many: bool,
    // Fields that take the key of an earlier step's record.
    pub fills: Vec<(String, usize)>,
    // The field that has to point at an earlier step's record in the beginning, and that step.
    pub belongs: Option<(String, usize)>,
    pub condition: Condition,
    // Whether it was asked for, rather than along with another.
    pub asked: bool,
}

pub(super) enum Todo {
    Create { key: Option<String>, sent: Record },
    Update { key: String, sent: Record },
    Put { key: String, sent: Record },
    Delete { key: String },
}

// How a record hangs on the one it came along with.
enum Hold {
    Points(String, usize),
    Belongs(String, usize),
    Leaves(String, usize),
}

impl Item {
    /// A creation, update or deletion as one of several; reads are none.
    pub fn of(request: &Request) -> Option<Self> {
        let inner = vec![];
        let (collection, what) = match request.clone() {
            Request::Read { .. } | Request::List { .. } => return None,
            Request::Create {
                collection,
                key,
                sent,
            } => (collection, What::Create { key, sent, inner }),
            Request::Update {
                collection,
                key,
                sent,
            } => (collection, What::Update { key, sent, inner }),
            Request::Delete { collection, key } => (collection, What::Delete { key }),
        };
        Some(Self {
            collection,
            what,
            condition: Condition::None,
        })
    }
}

impl Referee<'_> {
    /// The records of an operation in the order in which they are written: those that a field points at first, since
    /// the field takes their key; those that point here last, since they take this one's.
    pub(super) fn steps(&self, many: bool, items: &[Item]) -> Result<Vec<Step>, Answer> {
        let mut steps = vec![];
        for item in items {
            let step = self.unfold(item, many, None, &mut steps)?;
            steps[step].asked = true;
        }
        Ok(steps)
    }

    fn unfold(
        &self,
        item: &Item,
        many: bool,
        hold: Option<Hold>,
        steps: &mut Vec<Step>,
    ) -> Result<usize, Answer> {
        let collection =
            Collection::named(&self.world.document, &item.collection).ok_or(Answer::NotFound)?;
        let (mut fills, mut belongs) = (vec![], None);
        let mut hang = |sent: &mut Record| {
            let (field, leaves) = match &hold {
                None => return Ok(()),
                Some(Hold::Belongs(field, step)) => {
                    belongs = Some((field.clone(), *step));
                    return Ok(());
                }
                Some(Hold::Points(field, step)) => {
                    fills.push((field.clone(), *step));
                    (field, false)
                }
                Some(Hold::Leaves(field, step)) => {
                    belongs = Some((field.clone(), *step));
                    (field, true)
                }
            };
            let known = sent.insert(field.clone(), Value::Null);
            if known.is_some() && !leaves {
                return Err(Answer::Invalid);
            }
            Ok(())
        };
        let (todo, inner) = match &item.what {
            What::Delete { key } => {
                hang(&mut Record::new())?;
                (Todo::Delete { key: key.clone() }, &vec![])
            }
            What::Put { key, sent } => {
                let (key, sent) = (key.clone(), sent.clone());
                (Todo::Put { key, sent }, &vec![])
            }
            What::Create { key, sent, inner } => {
                let (key, mut sent) = (key.clone(), sent.clone());
                hang(&mut sent)?;
                self.point(&collection, inner, &mut sent, &mut fills, steps)?;
                (Todo::Create { key, sent }, inner)
            }
            What::Update { key, sent, inner } => {
                let (key, mut sent) = (key.clone(), sent.clone());
                hang(&mut sent)?;
                self.point(&collection, inner, &mut sent, &mut fills, steps)?;
                (Todo::Update { key, sent }, inner)
            }
        };
        let new = matches!(todo, Todo::Create { .. });
        let step = steps.len();
        steps.push(Step {
            collection: collection.clone(),
            todo,
            many,
            fills,
            belongs,
            condition: item.condition.clone(),
            asked: false,
        });
        for (name, inner) in inner {
            if let Inner::Many(members) = inner {
                self.gather(&collection, name, members, (step, new), steps)?;
            }
        }
        Ok(step)
    }

    // The records that its fields shall point at.
    fn point(
        &self,
        collection: &Collection,
        inner: &[(String, Inner)],
        sent: &mut Record,
        fills: &mut Vec<(String, usize)>,
        steps: &mut Vec<Step>,
    ) -> Result<(), Answer> {
        for (name, inner) in inner {
            let Inner::One(item) = inner else {
                continue;
            };
            let to = collection.reference(name).ok_or(Answer::Invalid)?;
            let target = self.world.collection(&to.collection.to_string());
            // "A relation may be used by whoever knows its field."
            if !self.knows(&target) || !self.knows_field(collection, name) {
                return Err(Answer::Invalid);
            }
            let made = self.unfold(item, false, None, steps)?;
            fills.push((name.clone(), made));
            if sent.insert(name.clone(), Value::Null).is_some() {
                return Err(Answer::Invalid);
            }
        }
        Ok(())
    }

    // The records that shall point at it, or shall not.
    fn gather(
        &self,
        collection: &Collection,
        name: &str,
        members: &Members,
        (parent, new): (usize, bool),
        steps: &mut Vec<Step>,
    ) -> Result<(), Answer> {
        let relation = collection.relation(name).ok_or(Answer::Invalid)?;
        let target = self.world.collection(&relation.target.to_string());
        let own = [&members.delete, &members.unlink];
        let has_own = !members.update.is_empty() || own.iter().any(|keys| !keys.is_empty());
        let key = |key: &String| {
            Value::from_text(target.key_type, key).map_err(|_| Answer::NotFound)?;
            Ok(key.clone())
        };
        match &relation.via {
            RelationVia::Field(field) => {
                if !self.knows(&target) || !self.knows_field(&target, field) || new && has_own {
                    return Err(Answer::Invalid);
                }
                let by = |what| Item {
                    collection: target.name.clone(),
                    what,
                    condition: Condition::None,
                };
                let bare = |key| What::Update {
                    key,
                    sent: Record::new(),
                    inner: vec![],
                };
                for item in &members.create {
                    let hold = Hold::Points(field.clone(), parent);
                    self.unfold(item, true, Some(hold), steps)?;
                }
                for item in &members.update {
                    let hold = Hold::Belongs(field.clone(), parent);
                    self.unfold(item, true, Some(hold), steps)?;
                }
                for gone in &members.delete {
                    let hold = Hold::Belongs(field.clone(), parent);
                    let item = by(What::Delete { key: key(gone)? });
                    self.unfold(&item, true, Some(hold), steps)?;
                }
                for linked in &members.link {
                    let hold = Hold::Points(field.clone(), parent);
                    self.unfold(&by(bare(key(linked)?)), true, Some(hold), steps)?;
                }
                for unlinked in &members.unlink {
                    let hold = Hold::Leaves(field.clone(), parent);
                    self.unfold(&by(bare(key(unlinked)?)), true, Some(hold), steps)?;
                }
            }
            RelationVia::Through { junction, from, to } => {
                let junction = self.world.collection(&junction.to_string());
                let known = self.knows_field(&junction, from) && self.knows_field(&junction, to);
                // Links through a junction are its records; to undo that, those are deleted.
                if !self.knows(&target) || !known || has_own {
                    return Err(Answer::Invalid);
                }
                let link = |sent| Item {
                    collection: junction.name.clone(),
                    what: What::Create {
                        key: None,
                        sent,
                        inner: vec![],
                    },
                    condition: Condition::None,
                };
                for item in &members.create {
                    let made = self.unfold(item, true, None, steps)?;
                    let hold = Hold::Points(from.clone(), parent);
                    let sent = Record::from([(to.clone(), Value::Null)]);
                    let link = self.unfold(&link(sent), true, Some(hold), steps)?;
                    steps[link].fills.push((to.clone(), made));
                }
                for linked in &members.link {
                    let far = Value::from_text(target.key_type, linked);
                    let far = far.map_err(|_| Answer::Invalid)?;
                    let hold = Hold::Points(from.clone(), parent);
                    let sent = Record::from([(to.clone(), far)]);
                    self.unfold(&link(sent), true, Some(hold), steps)?;
                }
            }
        }
        Ok(())
    }

    // Whether anything the caller may do with records shows or takes the field.
    fn knows_field(&self, collection: &Collection, field: &str) -> bool {
        let deeds = [
            "data.read.one",
            "data.read.many",
            "data.create.one",
            "data.create.many",
            "data.update.one",
            "data.update.many",
        ];
        deeds
            .iter()
            .any(|deed| self.exists(deed, collection, field))
    }

    /// Whether the record is as it has to be.
    pub(super) fn is_as_wanted(
        &self,
        condition: &Condition,
        collection: &Collection,
        record: &Record,
    ) -> bool {
        const ACTION: &str = "data.read.one";
        match condition {
            Condition::None | Condition::Present => true,
            Condition::Absent => false,
            // "It names what you see of the record."
            Condition::Seen(seen) => {
                self.reaches(ACTION, collection, record)
                    && seen.as_ref() == Some(&self.visible(ACTION, collection, record))
            }
        }
    }
}

impl World {
    /// Takes a record away, and with it what goes along; what else points at it points at nothing.
    pub(super) fn remove(&mut self, collection: &str, key: &str) {
        let of = self.collection(collection);
        let records = self.records_mut(collection);
        let Some(gone) = records.remove(key) else {
            return;
        };
        let names: Vec<String> = self
            .document
            .collections
            .iter()
            .map(|it| it.name.to_string())
            .collect();
        for name in names {
            let pointing = self.collection(&name);
            for field in &pointing.fields {
                let Some(to) = field
                    .to
                    .as_ref()
                    .filter(|to| to.collection.to_string() == of.name)
                else {
                    continue;
                };
                let by = if to.by_number { "number" } else { &of.key };
                let value = &gone[by];
                let hit: Vec<String> = self
                    .all(&name)
                    .iter()
                    .filter(|(_, record)| record.get(&field.name) == Some(value))
                    .map(|(key, _)| key.clone())
                    .collect();
                for key in hit {
                    if to.on_delete == portreeve_model::OnDelete::Cascade {
                        self.remove(&name, &key);
                    } else if let Some(record) = self.records_mut(&name).get_mut(&key) {
                        record.remove(&field.name);
                    }
                }
            }
        }
    }

    /// All records of a collection.
    pub(super) fn records_mut(
        &mut self,
        collection: &str,
    ) -> &mut std::collections::BTreeMap<String, Record> {
        if collection == super::schema::USERS {
            &mut self.users
        } else {
            self.records.entry(collection.to_owned()).or_default()
        }
    }
}
