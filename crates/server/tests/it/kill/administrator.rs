//! Somebody who changes the policy, tables included, and makes accounts.

use std::sync::mpsc::Sender;

use portreeve_testkit::worlds::Dice;
use serde_json::{Value as Json, json};

use super::scene::{document, read, undone};
use crate::program::ask;

/// So many changes at most in a round: each makes everybody else wait.
const CHANGES: usize = 4;

#[derive(Clone, Debug)]
enum Change {
    /// Puts the other document in force.
    Policy,
    /// Makes an account that holds a role.
    Account(String),
}

/// Somebody who administers.
pub struct Administrator {
    token: String,
    /// Which of the two documents is in force.
    with_notes: bool,
    policy_version: u64,
    /// Of the last account that he knows.
    number: u64,
    accounts: Vec<String>,
    next: usize,
    cut_off: Option<Change>,
    pub acknowledged: usize,
}

impl Administrator {
    pub fn new(token: String, address: &str) -> Self {
        let get = |path: &str| {
            let (status, body) = ask(address, "GET", path, Some(&token), None).unwrap();
            assert_eq!(status, 200, "{body}");
            body
        };
        let policy_version = get("/v1/me")["policy_version"].as_u64().unwrap();
        let accounts = get("/v1/users?sort=number&limit=1000");
        let last = accounts["data"].as_array().unwrap().last().unwrap();
        let number = last["number"].as_u64().unwrap();
        Self {
            token,
            with_notes: false,
            policy_version,
            number,
            accounts: vec![],
            next: 0,
            cut_off: None,
            acknowledged: 0,
        }
    }

    /// Changes things until nobody answers, telling of every change before it is sent.
    pub fn work(&mut self, address: &str, seed: u64, begun: &Sender<()>) {
        let mut dice = Dice::new(seed);
        for _ in 0..CHANGES {
            let (change, path, body) = self.draw(&mut dice);
            let _ = begun.send(());
            match ask(address, "POST", path, Some(&self.token), Some(body)) {
                Ok((_, answer)) if undone(&answer) => {}
                Ok((status, answer)) if answer["code"] != "outcome_unknown" => {
                    assert!(status < 300, "{change:?}: {answer}");
                    self.done(change);
                    self.acknowledged += 1;
                }
                _ => {
                    self.cut_off = Some(change);
                    return;
                }
            }
        }
    }

    fn draw(&mut self, dice: &mut Dice) -> (Change, &'static str, Json) {
        if dice.percent(50) {
            let path = "/v1/access/apply?confirm_drops=true";
            return (Change::Policy, path, document(!self.with_notes));
        }
        self.next += 1;
        let name = format!("account{}", self.next);
        let body = json!({ "username": name, "roles": ["keeper"] });
        (Change::Account(name), "/v1/users", body)
    }

    fn done(&mut self, change: Change) {
        match change {
            Change::Policy => {
                self.with_notes = !self.with_notes;
                self.policy_version += 1;
            }
            Change::Account(name) => self.accounts.push(name),
        }
    }

    /// Document, version and tables are of one policy, and accounts have their roles.
    pub fn compare(&mut self, address: &str, round: u64) {
        let token = Some(self.token.as_str());
        let get = |path: &str| read(address, path, &self.token);
        let (status, list) = get("/v1/records/notes");
        assert!(matches!(status, 200 | 404), "round {round}: {list}");
        let with_notes = status == 200;
        let there = Some(document(with_notes));
        let (_, plan) = ask(address, "POST", "/v1/access/plan", token, there).unwrap();
        assert_eq!(plan["changes"], json!([]), "round {round}");
        let version = get("/v1/me").1["policy_version"].as_u64();
        let since = format!("limit=1000&filter=user.number%20%3E%20{}", self.number);
        let (status, bindings) = get(&format!("/v1/records/bindings?fields=user,role&{since}"));
        assert_eq!(status, 200, "round {round}: {bindings}");
        let bindings = bindings["data"].as_array().unwrap().clone();
        let since = format!(
            "limit=1000&sort=number&filter=number%20%3E%20{}",
            self.number
        );
        let (status, accounts) = get(&format!("/v1/users?{since}"));
        assert_eq!(status, 200, "round {round}: {accounts}");
        let accounts = accounts["data"].as_array().unwrap().clone();
        let names: Vec<String> = accounts
            .iter()
            .map(|account| {
                let own = bindings.iter().filter(|one| one["user"] == account["id"]);
                let roles: Vec<_> = own.map(|one| &one["role"]).collect();
                assert_eq!(roles, [&json!("keeper")], "round {round}: {account}");
                account["username"].as_str().unwrap().to_owned()
            })
            .collect();
        assert_eq!(bindings.len(), accounts.len(), "round {round}");
        let found = (with_notes, version, names);
        let known = |all: &Self| {
            (
                all.with_notes,
                Some(all.policy_version),
                all.accounts.clone(),
            )
        };
        let change = self.cut_off.take();
        if found != known(self) {
            let change = change.unwrap_or_else(|| {
                panic!("round {round}: {found:?} and not {:?}", known(self));
            });
            self.done(change);
            assert_eq!(found, known(self), "round {round}");
        }
        if let Some(last) = accounts.last() {
            self.number = last["number"].as_u64().unwrap();
            self.accounts.clear();
        }
        if with_notes {
            let note = json!({ "text": "the table is there" });
            let token = Some(self.token.as_str());
            let (status, answer) =
                ask(address, "POST", "/v1/records/notes", token, Some(note)).unwrap();
            assert_eq!(status, 201, "round {round}: {answer}");
        }
    }
}
