//! Where it happens: a store, the program over it, and which of them dies.

use std::fmt;
use std::time::{Duration, Instant};

use portreeve_testkit::postgres::{Postgres, Settings, TestDatabase};
use serde_json::{Value as Json, json};

use crate::program::{Place, Server, ask};

pub const PASSWORD: &str = "survives everything";
/// Long enough for a machine that does much else; nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(60);
pub const ADMINISTRATOR: &str = "vera";
/// Who is bound anew with every policy.
pub const READER: &str = "rita";

/// Every record somebody changes comes with another, or with a value, that the same transaction has to write: entries
/// go with their folder, remarks lose it, debit is credit, and who changed it last is written along. With notes there is
/// one more collection, a role over it, and somebody who is bound to that role and to another one no more.
pub fn document(with_notes: bool) -> Json {
    let keeper = json!({ "to": "users", "required": true });
    let tag = json!({ "type": "text", "required": true, "unique": true });
    let number = json!({ "type": "integer", "required": true });
    let key = json!({ "id": "integer" });
    let mut document = json!({
        "collections": {
            "folders": { "key": key, "fields": {
                "keeper": keeper, "tag": tag, "debit": number, "credit": number, "changed_by": { "to": "users" },
            }, "relations": { "entries": { "many": "entries", "by": "folder" } } },
            "entries": { "key": key, "fields": {
                "keeper": keeper, "tag": tag, "amount": number,
                "folder": { "to": "folders", "required": true, "on_delete": "cascade" },
            } },
            "remarks": { "key": key, "fields": {
                "keeper": keeper, "tag": tag, "folder": { "to": "folders", "on_delete": "set_null" },
            } },
        },
        "roles": { "keeper": { "permissions": [
            { "allow": ["data.read", "data.delete"], "on": ["folders", "entries", "remarks"], "rows": "keeper = $user" },
            { "allow": "data.create", "on": "folders", "fields": ["tag", "debit", "credit"],
              "check": "debit = credit", "presets": { "keeper": "$user", "changed_by": "$user" } },
            { "allow": "data.update", "on": "folders", "rows": "keeper = $user", "fields": ["debit", "credit"],
              "check": "debit = credit", "presets": { "changed_by": "$user" } },
            { "allow": "data.create", "on": "entries", "fields": ["tag", "folder", "amount"], "presets": { "keeper": "$user" } },
            { "allow": "data.create", "on": "remarks", "fields": ["tag", "folder"], "presets": { "keeper": "$user" } },
        ] } },
    });
    document["bindings"] = json!({ READER: [{ "role": "keeper", "primary": true }] });
    if with_notes {
        document["bindings"] = json!({ READER: [
            { "role": "noter", "primary": true }, { "role": "user", "until": "2100-01-01T00:00:00Z" },
        ] });
        document["collections"]["notes"] = json!({ "fields": { "text": "text" } });
        document["roles"]["noter"] =
            json!({ "permissions": [{ "allow": "data.read", "on": "notes" }] });
    }
    document
}

/// Who dies.
#[derive(Clone, Copy)]
pub enum Victim {
    /// `portreeve serve`.
    Program,
    /// The database server under it, which goes on.
    Database,
}

impl fmt::Display for Victim {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Program => "portreeve",
            Self::Database => "its database server",
        })
    }
}

/// A store and a folder.
pub struct Scene {
    place: Place,
    /// As the matrix calls it.
    pub store: &'static str,
    /// What every command is told about where the data is.
    data: Vec<String>,
    server: Option<(Postgres, TestDatabase)>,
}

impl Scene {
    pub fn sqlite() -> Self {
        Self {
            place: Place::new(),
            store: "SQLite",
            data: vec![],
            server: None,
        }
    }

    /// On a server that others use too, for deaths of the program; else on one of its own, which tells of a commit when
    /// it is on the disk. None where there is no PostgreSQL.
    pub fn postgres(victim: Victim) -> Option<Self> {
        let server = match victim {
            Victim::Program => Postgres::find()?,
            Victim::Database => Postgres::private(Settings {
                durable: true,
                ..Settings::default()
            })?,
        };
        let database = server.database();
        Some(Self {
            place: Place::new(),
            store: "PostgreSQL",
            data: vec!["--database".into(), database.url()],
            server: Some((server, database)),
        })
    }

    /// The access file in force, the keepers and the administrator.
    pub fn fill(&self, keepers: &[&str]) {
        // Whoever is bound to something has to be there first.
        let mut roles = document(false);
        roles.as_object_mut().unwrap().remove("bindings");
        self.place.write("roles.json", &roles.to_string());
        self.run(&["apply", "roles.json"]);
        let account = |name: &str, role: &str| {
            json!({ "user": { "username": name, "password": PASSWORD, "roles": [role] } })
                .to_string()
        };
        let mut lines = vec![account(ADMINISTRATOR, "admin"), account(READER, "keeper")];
        lines.extend(keepers.iter().map(|name| account(name, "keeper")));
        self.place.write("accounts.ndjson", &lines.join("\n"));
        self.run(&["load", "accounts.ndjson"]);
    }

    /// Starts the program. A death of the program alone must not depend on what the disk has been told, so half of the
    /// rounds do not wait for it.
    pub fn start(&self, round: u64) -> Server {
        let mode = if round.is_multiple_of(2) {
            "full"
        } else {
            "normal"
        };
        let mut arguments = vec!["--synchronous", mode];
        arguments.extend(self.data.iter().map(String::as_str));
        self.place.serve(&arguments)
    }

    /// Kills the victim and gives the program as it runs afterwards.
    pub fn strike(&self, victim: Victim, round: u64, server: Server) -> Server {
        match victim {
            Victim::Program => {
                server.kill();
                self.start(round + 1)
            }
            Victim::Database => {
                let (database, _) = self.server.as_ref().expect("a server to kill");
                database.kill();
                database.start();
                server
            }
        }
    }

    /// The file is sound: a backup reads every page and row of it, and says so when they do not hang together. What a
    /// PostgreSQL does for its files is its own affair.
    pub fn check(&self) {
        if self.server.is_none() {
            self.run(&["backup", "copy", "--force"]);
        }
    }

    fn run(&self, arguments: &[&str]) {
        let mut all = arguments.to_vec();
        all.extend(self.data.iter().map(String::as_str));
        self.place.run(&all).good();
    }
}

/// Whether somebody was told that nothing of what he asked for was done: the administrator came between, or there is no
/// database. Everything else that is no success must say that the outcome is unknown.
pub fn undone(answer: &Json) -> bool {
    ["policy_changed", "unavailable"]
        .iter()
        .any(|code| answer["code"] == *code)
}

/// Reads after it has happened: a program whose database has gone needs a moment to find it again, and says so.
pub fn read(address: &str, path: &str, token: &str) -> (u16, Json) {
    let begin = Instant::now();
    loop {
        let (status, answer) = ask(address, "GET", path, Some(token), None).unwrap();
        if status != 503 || begin.elapsed() > PATIENCE {
            return (status, answer);
        }
        std::thread::yield_now();
    }
}
