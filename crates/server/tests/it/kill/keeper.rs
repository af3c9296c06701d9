//! Somebody who writes records and remembers what he was told about them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;

use portreeve_testkit::worlds::Dice;
use serde_json::Value as Json;

use super::scene::{read, undone};
use super::write::{Records, Write};
use crate::program::ask;

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
    /// Of those acknowledged, the ones of several records.
    pub of_many: usize,
    pub unsure: usize,
    /// Of those cut off, the ones of several records.
    pub unsure_of_many: usize,
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
            of_many: 0,
            unsure: 0,
            unsure_of_many: 0,
            done_after_all: 0,
        }
    }

    /// Writes until nobody answers or it is over, telling of every write before it is sent.
    pub fn work(&mut self, address: &str, seed: u64, begun: &Sender<()>, over: &AtomicBool) {
        let mut dice = Dice::new(seed);
        while !over.load(Ordering::Relaxed) {
            self.next += 1;
            let tag = format!("{}-{}", self.name, self.next);
            let write = Write::draw(&mut dice, &self.records, &tag);
            // Nobody listens any more once the killer is at work.
            let _ = begun.send(());
            let (method, path, body) = write.request(&self.keys);
            match ask(address, method, &path, Some(&self.token), body) {
                Ok((_, answer)) if undone(&answer) => {}
                Ok((status, answer)) if answer["code"] != "outcome_unknown" => {
                    assert_eq!(status, write.status(), "{write:?}: {answer}");
                    self.keys.extend(write.keys(&answer));
                    self.records = self.records.after(&write);
                    self.acknowledged += 1;
                    self.of_many += usize::from(write.is_of_many());
                }
                _ => {
                    self.cut_off = Some(write);
                    return;
                }
            }
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
        self.unsure_of_many += usize::from(write.as_ref().is_some_and(Write::is_of_many));
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
