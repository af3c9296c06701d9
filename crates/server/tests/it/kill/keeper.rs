//! Somebody who writes records and remembers what he was told about them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use portreeve_testkit::worlds::Dice;
use serde_json::{Value as Json, json};

use super::scene::{read, undone};
use crate::program::ask;

/// More than that many folders, and one is deleted.
const FOLDERS: usize = 12;

/// His records by their tags.
#[derive(Clone, Debug, Default, PartialEq)]
struct Records {
    /// With debit, which is credit.
    folders: BTreeMap<String, i64>,
    /// With folder and amount.
    entries: BTreeMap<String, (String, i64)>,
    /// With the folder, if it is still there.
    remarks: BTreeMap<String, Option<String>>,
}

/// A write. Each is one transaction.
#[derive(Clone, Debug)]
enum Write {
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
}

impl Records {
    fn after(&self, write: &Write) -> Self {
        let mut next = self.clone();
        match write.clone() {
            Write::Folder { tag, debit } | Write::Change { folder: tag, debit } => {
                next.folders.insert(tag, debit);
            }
            Write::Entry {
                tag,
                folder,
                amount,
            } => {
                next.entries.insert(tag, (folder, amount));
            }
            Write::Remark { tag, folder } => {
                next.remarks.insert(tag, Some(folder));
            }
            Write::Wrong { .. } => {}
            Write::Delete { folder } => {
                next.folders.remove(&folder);
                next.entries.retain(|_, (of, _)| *of != folder);
                for of in next.remarks.values_mut() {
                    if of.as_ref() == Some(&folder) {
                        *of = None;
                    }
                }
            }
        }
        next
    }
}

/// Somebody who writes.
pub struct Keeper {
    name: String,
    token: String,
    records: Records,
    /// Keys of folders by their tags.
    keys: BTreeMap<String, i64>,
    next: usize,
    /// Sent, and nothing heard of it.
    cut_off: Option<Write>,
    pub acknowledged: usize,
    pub unsure: usize,
    pub done_after_all: usize,
}

impl Keeper {
    pub fn new(name: &str, token: String) -> Self {
        Self {
            name: name.to_owned(),
            token,
            records: Records::default(),
            keys: BTreeMap::new(),
            next: 0,
            cut_off: None,
            acknowledged: 0,
            unsure: 0,
            done_after_all: 0,
        }
    }

    /// Writes until nobody answers or it is over, telling of every write before it is sent.
    pub fn work(&mut self, address: &str, seed: u64, begun: &Sender<()>, over: &AtomicBool) {
        let mut dice = Dice::new(seed);
        while !over.load(Ordering::Relaxed) {
            let write = self.draw(&mut dice);
            // Nobody listens any more once the killer is at work.
            let _ = begun.send(());
            let (method, path, body) = self.request(&write);
            match ask(address, method, &path, Some(&self.token), body) {
                Ok((_, answer)) if undone(&answer) => {}
                Ok((status, answer)) if answer["code"] != "outcome_unknown" => {
                    let expected = match write {
                        Write::Change { .. } => 200,
                        Write::Delete { .. } => 204,
                        Write::Wrong { .. } => 403,
                        _ => 201,
                    };
                    assert_eq!(status, expected, "{write:?}: {answer}");
                    if let Write::Folder { tag, .. } = &write {
                        self.keys
                            .insert(tag.clone(), integer(&answer["data"]["id"]));
                    }
                    self.records = self.records.after(&write);
                    self.acknowledged += 1;
                }
                _ => {
                    self.cut_off = Some(write);
                    return;
                }
            }
        }
    }

    fn draw(&mut self, dice: &mut Dice) -> Write {
        self.next += 1;
        let tag = format!("{}-{}", self.name, self.next);
        let number = dice.below(1_000) as i64;
        let folders: Vec<&String> = self.records.folders.keys().collect();
        if folders.is_empty() {
            return Write::Folder { tag, debit: number };
        }
        let folder = (*dice.pick(&folders)).clone();
        if folders.len() > FOLDERS {
            return Write::Delete { folder };
        }
        match dice.below(100) {
            0..20 => Write::Folder { tag, debit: number },
            20..50 => Write::Entry {
                tag,
                folder,
                amount: number,
            },
            50..60 => Write::Remark { tag, folder },
            60..80 => Write::Change {
                folder,
                debit: number,
            },
            80..88 => Write::Wrong { folder },
            _ => Write::Delete { folder },
        }
    }

    fn request(&self, write: &Write) -> (&'static str, String, Option<Json>) {
        let create =
            |collection: &str, values| ("POST", format!("/v1/records/{collection}"), Some(values));
        let one = |folder: &String| format!("/v1/records/folders/{}", self.keys[folder]);
        match write {
            Write::Folder { tag, debit } => create(
                "folders",
                json!({ "tag": tag, "debit": debit, "credit": debit }),
            ),
            Write::Entry {
                tag,
                folder,
                amount,
            } => create(
                "entries",
                json!({ "tag": tag, "folder": self.keys[folder], "amount": amount }),
            ),
            Write::Remark { tag, folder } => create(
                "remarks",
                json!({ "tag": tag, "folder": self.keys[folder] }),
            ),
            Write::Change { folder, debit } => (
                "PATCH",
                one(folder),
                Some(json!({ "debit": debit, "credit": debit })),
            ),
            Write::Wrong { folder } => (
                "PATCH",
                one(folder),
                Some(json!({ "debit": 1, "credit": 2 })),
            ),
            Write::Delete { folder } => ("DELETE", one(folder), None),
        }
    }

    /// Everything he was told is so, and what he was not told is there wholly or not at all.
    pub fn compare(&mut self, address: &str, round: u64) {
        let (found, keys) = self.read(address);
        let write = self.cut_off.take();
        let after = write.as_ref().map(|write| self.records.after(write));
        if found != self.records {
            assert_eq!(
                Some(&found),
                after.as_ref(),
                "round {round}: neither as before nor as after {write:?}; before: {:#?}",
                self.records
            );
            self.done_after_all += 1;
        }
        self.unsure += usize::from(write.is_some());
        (self.records, self.keys) = (found, keys);
    }

    fn read(&self, address: &str) -> (Records, BTreeMap<String, i64>) {
        let mut found = Records::default();
        let mut keys = BTreeMap::new();
        let mut names = BTreeMap::new();
        for folder in self.list(address, "folders") {
            let (tag, debit) = (text(&folder["tag"]), integer(&folder["debit"]));
            assert_eq!(folder["credit"], debit, "{folder}");
            assert!(folder["changed_by"].is_string(), "{folder}");
            let key = integer(&folder["id"]);
            names.insert(key, tag.clone());
            keys.insert(tag.clone(), key);
            found.folders.insert(tag, debit);
        }
        // A folder that is not there would be a half of a deletion.
        let folder = |record: &Json| names[&integer(&record["folder"])].clone();
        for entry in self.list(address, "entries") {
            let value = (folder(&entry), integer(&entry["amount"]));
            found.entries.insert(text(&entry["tag"]), value);
        }
        for remark in self.list(address, "remarks") {
            let of = (!remark["folder"].is_null()).then(|| folder(&remark));
            found.remarks.insert(text(&remark["tag"]), of);
        }
        (found, keys)
    }

    // All of his records: page by page, since remarks stay.
    fn list(&self, address: &str, collection: &str) -> Vec<Json> {
        let mut all = vec![];
        let mut more = "&total=true".to_owned();
        let mut total = Json::Null;
        loop {
            let path = format!("/v1/records/{collection}?limit=1000{more}");
            let (status, mut page) = read(address, &path, &self.token);
            assert_eq!(status, 200, "{page}");
            if all.is_empty() {
                total = page["page"]["total"].take();
            }
            all.extend(page["data"].as_array().unwrap().iter().cloned());
            if page["page"]["more"] == false {
                assert_eq!(total, all.len(), "{collection}");
                return all;
            }
            more = format!("&cursor={}", page["page"]["next"].as_str().unwrap());
        }
    }
}

fn text(value: &Json) -> String {
    value.as_str().unwrap().to_owned()
}

fn integer(value: &Json) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value}"))
}
