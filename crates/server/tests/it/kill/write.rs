//! What somebody asks for, and what comes of it.

use std::collections::BTreeMap;

use portreeve_testkit::worlds::Dice;
use serde_json::{Value as Json, json};

/// More than that many folders, and one is deleted.
const FOLDERS: usize = 12;

/// His records by their tags.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Records {
    /// With debit, which is credit.
    pub folders: BTreeMap<String, i64>,
    /// With folder and amount.
    pub entries: BTreeMap<String, (String, i64)>,
    /// With the folder, if it is still there.
    pub remarks: BTreeMap<String, Option<String>>,
}

/// A write. Each is one transaction, however many records it is of.
#[derive(Clone, Debug)]
pub enum Write {
    Folder {
        tag: String,
        debit: i64,
    },
    Entry {
        tag: String,
        folder: String,
        amount: i64,
    },
    Remark {
        tag: String,
        folder: String,
    },
    Change {
        folder: String,
        debit: i64,
    },
    /// One that a check refuses once it is written.
    Wrong {
        folder: String,
    },
    /// The entries go along, the remarks stay without it.
    Delete {
        folder: String,
    },
    /// Folders, as one list.
    List(Vec<Write>),
    /// Some of each kind, in one request. With a wrong one among them nothing happens.
    Together(Vec<Write>),
    /// A folder with its entries in it.
    Filled {
        tag: String,
        debit: i64,
        entries: Vec<(String, i64)>,
    },
    /// All folders below a debit get another.
    Lift {
        below: i64,
        debit: i64,
    },
    /// All entries below an amount go.
    Sweep {
        below: i64,
    },
}

impl Write {
    /// Something to do with what there is.
    pub fn draw(dice: &mut Dice, records: &Records, tag: &str) -> Self {
        let folders: Vec<&String> = records.folders.keys().collect();
        let number = amount(dice);
        if folders.is_empty() {
            let tag = tag.to_owned();
            return Self::Folder { tag, debit: number };
        }
        if folders.len() > FOLDERS {
            let folder = (*dice.pick(&folders)).clone();
            return Self::Delete { folder };
        }
        match dice.below(100) {
            0..55 => Self::single(dice, &folders, tag),
            55..62 => {
                let new = (0..2 + dice.below(4)).map(|place| Self::Folder {
                    tag: format!("{tag}.{place}"),
                    debit: amount(dice),
                });
                Self::List(new.collect())
            }
            62..82 => Self::together(dice, &folders, tag),
            82..90 => Self::Filled {
                tag: tag.to_owned(),
                debit: number,
                entries: (0..1 + dice.below(12))
                    .map(|place| (format!("{tag}.{place}"), amount(dice)))
                    .collect(),
            },
            90..96 => Self::Lift {
                below: number,
                debit: amount(dice),
            },
            _ => Self::Sweep { below: number / 2 },
        }
    }

    fn single(dice: &mut Dice, folders: &[&String], tag: &str) -> Self {
        let tag = tag.to_owned();
        let folder = (*dice.pick(folders)).clone();
        let number = amount(dice);
        match dice.below(100) {
            0..20 => Self::Folder { tag, debit: number },
            20..50 => Self::Entry {
                tag,
                folder,
                amount: number,
            },
            50..60 => Self::Remark { tag, folder },
            60..80 => Self::Change {
                folder,
                debit: number,
            },
            80..88 => Self::Wrong { folder },
            _ => Self::Delete { folder },
        }
    }

    // Each record may be named once, and what is deleted is nothing to point at.
    fn together(dice: &mut Dice, folders: &[&String], tag: &str) -> Self {
        let mut free: Vec<&String> = folders.to_vec();
        let mut writes = vec![];
        if free.len() > 2 && dice.percent(40) {
            let folder = free.swap_remove(dice.below(free.len())).clone();
            writes.push(Self::Delete { folder });
        }
        let there = free.clone();
        for place in 0..2 + dice.below(24) {
            let write = Self::single(dice, &there, &format!("{tag}.{place}"));
            match &write {
                Self::Change { folder, .. } => {
                    if let Some(place) = free.iter().position(|it| *it == folder) {
                        free.swap_remove(place);
                        writes.push(write);
                    }
                }
                Self::Delete { .. } | Self::Wrong { .. } => {}
                _ => writes.push(write),
            }
        }
        if writes.is_empty() {
            let (tag, debit) = (tag.to_owned(), amount(dice));
            writes.push(Self::Folder { tag, debit });
        }
        // The last of all, when everything else is written already.
        if !free.is_empty() && dice.percent(12) {
            let folder = (*dice.pick(&free)).clone();
            writes.push(Self::Wrong { folder });
        }
        Self::Together(writes)
    }

    /// What it is answered with.
    pub fn status(&self) -> u16 {
        match self {
            _ if self.is_wrong() => 403,
            Self::Change { .. } | Self::Lift { .. } | Self::Sweep { .. } | Self::Together(_) => 200,
            Self::Delete { .. } => 204,
            _ => 201,
        }
    }

    fn is_wrong(&self) -> bool {
        match self {
            Self::Wrong { .. } => true,
            Self::Together(writes) => writes.iter().any(Self::is_wrong),
            _ => false,
        }
    }

    /// Whether it is of several records, named one by one or chosen.
    pub fn is_of_many(&self) -> bool {
        matches!(
            self,
            Self::List(_)
                | Self::Together(_)
                | Self::Filled { .. }
                | Self::Lift { .. }
                | Self::Sweep { .. }
        )
    }

    /// How it is asked for, by people who know the keys of folders.
    pub fn request(&self, keys: &BTreeMap<String, i64>) -> (&'static str, String, Option<Json>) {
        let records = |collection: &str| format!("/v1/records/{collection}");
        match self {
            Self::Folder { .. } | Self::Filled { .. } => {
                ("POST", records("folders"), Some(self.body(keys)))
            }
            Self::Entry { .. } => ("POST", records("entries"), Some(self.body(keys))),
            Self::Remark { .. } => ("POST", records("remarks"), Some(self.body(keys))),
            Self::Change { folder, .. } | Self::Wrong { folder } => {
                let path = format!("/v1/records/folders/{}", keys[folder]);
                ("PATCH", path, Some(self.body(keys)))
            }
            Self::Delete { folder } => {
                let path = format!("/v1/records/folders/{}", keys[folder]);
                ("DELETE", path, None)
            }
            Self::List(folders) => {
                let folders: Vec<Json> = folders.iter().map(|new| new.body(keys)).collect();
                ("POST", records("folders"), Some(Json::from(folders)))
            }
            Self::Together(writes) => {
                let changes: Vec<Json> = writes.iter().map(|write| write.part(keys)).collect();
                let body = json!({ "changes": changes });
                ("POST", "/v1/changes".into(), Some(body))
            }
            Self::Lift { below, debit } => {
                let filter = format!("debit < {below}");
                let body = json!({ "filter": filter, "set": { "debit": debit, "credit": debit } });
                ("PATCH", records("folders"), Some(body))
            }
            Self::Sweep { below } => {
                let path = format!("/v1/records/entries?filter=amount%20%3C%20{below}");
                ("DELETE", path, None)
            }
        }
    }

    // As it stands among others.
    fn part(&self, keys: &BTreeMap<String, i64>) -> Json {
        let set = self.body(keys);
        match self {
            Self::Entry { .. } => json!({ "create": "entries", "set": set }),
            Self::Remark { .. } => json!({ "create": "remarks", "set": set }),
            Self::Change { folder, .. } | Self::Wrong { folder } => {
                json!({ "update": "folders", "key": keys[folder], "set": set })
            }
            Self::Delete { folder } => json!({ "delete": "folders", "key": keys[folder] }),
            _ => json!({ "create": "folders", "set": set }),
        }
    }

    // The fields that are sent.
    fn body(&self, keys: &BTreeMap<String, i64>) -> Json {
        match self {
            Self::Folder { tag, debit } => json!({ "tag": tag, "debit": debit, "credit": debit }),
            Self::Entry {
                tag,
                folder,
                amount,
            } => json!({ "tag": tag, "folder": keys[folder], "amount": amount }),
            Self::Remark { tag, folder } => json!({ "tag": tag, "folder": keys[folder] }),
            Self::Change { debit, .. } => json!({ "debit": debit, "credit": debit }),
            Self::Wrong { .. } => json!({ "debit": 1, "credit": 2 }),
            Self::Filled {
                tag,
                debit,
                entries,
            } => {
                let entries: Vec<Json> = entries
                    .iter()
                    .map(|(tag, amount)| json!({ "tag": tag, "amount": amount }))
                    .collect();
                json!({ "tag": tag, "debit": debit, "credit": debit, "entries": { "create": entries } })
            }
            _ => Json::Null,
        }
    }

    /// The keys of the folders that were made.
    pub fn keys(&self, answer: &Json) -> Vec<(String, i64)> {
        let key = |record: &Json| record["id"].as_i64().unwrap_or_else(|| panic!("{answer}"));
        let data = &answer["data"];
        match self {
            Self::Folder { tag, .. } | Self::Filled { tag, .. } => vec![(tag.clone(), key(data))],
            Self::List(writes) | Self::Together(writes) if !self.is_wrong() => {
                let among = matches!(self, Self::Together(_));
                let made = writes.iter().enumerate().filter_map(|(place, write)| {
                    let Self::Folder { tag, .. } = write else {
                        return None;
                    };
                    let made = &data[place];
                    let record = if among { &made["record"] } else { made };
                    Some((tag.clone(), key(record)))
                });
                made.collect()
            }
            _ => vec![],
        }
    }
}

impl Records {
    /// As they are once it has happened.
    pub fn after(&self, write: &Write) -> Self {
        let mut next = self.clone();
        if !write.is_wrong() {
            next.take(write);
        }
        next
    }

    fn take(&mut self, write: &Write) {
        match write.clone() {
            Write::Folder { tag, debit } | Write::Change { folder: tag, debit } => {
                self.folders.insert(tag, debit);
            }
            Write::Entry {
                tag,
                folder,
                amount,
            } => {
                self.entries.insert(tag, (folder, amount));
            }
            Write::Remark { tag, folder } => {
                self.remarks.insert(tag, Some(folder));
            }
            Write::Wrong { .. } => {}
            Write::Delete { folder } => {
                self.folders.remove(&folder);
                self.entries.retain(|_, (of, _)| *of != folder);
                for of in self.remarks.values_mut() {
                    if of.as_ref() == Some(&folder) {
                        *of = None;
                    }
                }
            }
            Write::List(writes) | Write::Together(writes) => {
                writes.iter().for_each(|write| self.take(write));
            }
            Write::Filled {
                tag,
                debit,
                entries,
            } => {
                let filed = entries
                    .into_iter()
                    .map(|(entry, amount)| (entry, (tag.clone(), amount)));
                self.entries.extend(filed);
                self.folders.insert(tag, debit);
            }
            Write::Lift { below, debit } => {
                for known in self.folders.values_mut().filter(|known| **known < below) {
                    *known = debit;
                }
            }
            Write::Sweep { below } => self.entries.retain(|_, (_, amount)| *amount >= below),
        }
    }
}

fn amount(dice: &mut Dice) -> i64 {
    dice.below(1_000) as i64
}
