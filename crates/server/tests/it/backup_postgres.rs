//! `backup` and `restore` over PostgreSQL.

use std::fs;

use portreeve_testkit::postgres::{Postgres, TestDatabase};
use serde_json::json;

use crate::export::{CIRCLES, LINES, next_number};
use crate::program::{ACCESS, Place, Ran};

// The program over one database.
struct On<'a> {
    place: &'a Place,
    url: String,
}

impl<'a> On<'a> {
    fn new(place: &'a Place, database: &TestDatabase) -> Self {
        Self {
            place,
            url: database.url(),
        }
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let there = ["--database", self.url.as_str()];
        self.place.run(&[arguments, &there].concat())
    }

    fn records(&self) -> String {
        let ran = self.run(&["export", "--records"]);
        // What is left out is told.
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran.out
    }
}

fn filled(place: &Place, database: &TestDatabase, access: &str, lines: &str) {
    place.write("access.yaml", access);
    place.write("lines.ndjson", lines);
    let on = On::new(place, database);
    on.run(&["apply", "access.yaml"]).good();
    on.run(&["load", "lines.ndjson"]).good();
}

// Whether nothing of ours is in a database.
#[track_caller]
fn untouched(database: &TestDatabase) {
    let found = database.sql(
        "SELECT n.nspname || '.' || c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE n.nspname IN ('portreeve', 'public')",
    );
    assert_eq!(found.trim(), "");
}

#[test]
fn the_chain_of_the_audit_trail_goes_along() {
    let Some(postgres) = Postgres::find() else {
        return;
    };
    let (from, to) = (postgres.database(), postgres.database());
    let place = Place::new();
    filled(&place, &from, ACCESS, crate::program::LINES);
    let (old, new) = (On::new(&place, &from), On::new(&place, &to));
    let head = old.run(&["audit", "head"]).good().out;
    let verify = ["audit", "verify", "--head", head.trim(), "--json"];
    let before = old.run(&verify).good().json();
    assert_eq!(
        (&before["waiting"], &before["good"]),
        (&json!(0), &json!(true))
    );
    old.run(&["backup", "b.backup"]).good();
    new.run(&["restore", "b.backup"]).good();
    let restored = new.run(&verify).good().json();
    assert_eq!(
        (&restored["waiting"], &restored["sealed"]),
        (&json!(1), &before["sealed"])
    );
    new.run(&["user", "create", "cy", "--no-password"]).good();
    let after = new.run(&verify).good().json();
    let sealed = before["sealed"].as_u64().map(|sealed| sealed + 2);
    assert_eq!(
        (&after["waiting"], after["sealed"].as_u64()),
        (&json!(0), sealed)
    );
    to.sql("UPDATE portreeve.audit SET why = 'because' WHERE id = 1");
    let told = new.run(&["audit", "verify"]);
    assert_eq!(told.code, 1, "{}", told.err);
    let said = "altered: line 1 does not say what was sealed at position 1";
    assert!(told.out.contains(said), "{}", told.out);
}

#[test]
fn what_is_backed_up_is_restored() {
    let Some(postgres) = Postgres::find() else {
        return;
    };
    let (from, to) = (postgres.database(), postgres.database());
    let place = Place::new();
    filled(&place, &from, CIRCLES, LINES);
    let (old, new) = (On::new(&place, &from), On::new(&place, &to));
    // Somebody else's table in the same database is not ours to copy.
    from.sql("CREATE TABLE diary (secret text); INSERT INTO diary VALUES ('dear diary')");
    let made = old.run(&["backup", "b.backup", "--json"]).good().json();
    assert_eq!(made["tables"]["portreeve.users"], 3, "{made}");
    assert_eq!(made["tables"]["public.folders"], 6, "{made}");
    assert!(made["tables"].get("public.diary").is_none(), "{made}");
    assert!(made["tables"].get("portreeve.sessions").is_none(), "{made}");
    let bytes = fs::read(place.folder.join("b.backup")).unwrap();
    assert!(!bytes.windows(10).any(|bytes| bytes == b"dear diary"));
    let checked = place
        .run(&["backup", "--check", "b.backup", "--json"])
        .good();
    assert_eq!(checked.json(), made);

    let restored = new.run(&["restore", "b.backup", "--json"]).good().json();
    assert_eq!(restored["sha256"], made["sha256"]);
    assert!(
        !restored["data"].as_str().unwrap().contains('@'),
        "{restored}"
    );
    assert!(old.run(&["export", "--records"]).err.contains("left out"));
    assert_eq!(new.records(), old.records());
    new.run(&["plan", "access.yaml"]).good();
    let version = to.sql("SELECT version FROM portreeve.policy");
    assert_eq!(version.trim(), "1001");
    next_number(&place, &["--database", &new.url]);
    // A key that counts up goes on where it had got to.
    place.write(
        "more.ndjson",
        r#"{"record": {"collection": "folders", "values": {"title": "next"}}}"#,
    );
    new.run(&["load", "more.ndjson"]).good();
    assert_eq!(to.sql("SELECT max(id) FROM folders").trim(), "32");
    // References hold again.
    place.write(
        "wrong.ndjson",
        r#"{"record": {"collection": "folders", "values": {"parent": 999}}}"#,
    );
    new.run(&["load", "wrong.ndjson"]).failed(&["line 1"]);
    let told = "SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal AND tgenabled = 'O'";
    assert_eq!(to.sql(told), from.sql(told));
    // Not over what is there.
    let before = new.records();
    new.run(&["restore", "b.backup", "--force"])
        .failed(&["holds Portreeve's tables already", "createdb"]);
    assert_eq!(new.records(), before);
}

#[test]
fn beside_a_server_everything_acknowledged_before_is_in_it_and_nobody_is_signed_in() {
    let Some(postgres) = Postgres::find() else {
        return;
    };
    let (from, to) = (postgres.database(), postgres.database());
    let place = Place::new();
    filled(&place, &from, ACCESS, crate::program::LINES);
    let (old, new) = (On::new(&place, &from), On::new(&place, &to));
    let server = place.serve(&["--dev", "--access", "access.yaml", "--database", &old.url]);
    let administrator = server.said("administrator: ");
    let (name, password) = administrator.split_once("  password: ").unwrap();
    let token = server.sign_in(name, password);
    let user = server.ask("GET", "/v1/me", Some(&token), None).1["user"]["id"].clone();
    let write = |id: i64| {
        let body = json!({ "id": id, "student": user, "score": 1 });
        let (status, answer) = server.ask("POST", "/v1/records/grades", Some(&token), Some(body));
        assert_eq!(status, 201, "{answer}");
    };
    for id in 10..30 {
        write(id);
    }
    let last = std::thread::scope(|scope| {
        let backing = scope.spawn(|| old.run(&["backup", "b.backup"]).good());
        let mut id = 30;
        while !backing.is_finished() {
            write(id);
            id += 1;
        }
        id
    });
    new.run(&["restore", "b.backup"]).good();
    let ids = to.sql("SELECT id FROM grades ORDER BY id");
    let ids: Vec<i64> = ids
        .lines()
        .map(|line| line.trim().parse().unwrap())
        .collect();
    let expected: Vec<i64> = [1, 2].into_iter().chain(10..).take(ids.len()).collect();
    assert_eq!(ids, expected);
    assert!(ids.len() >= 22 && ids.len() as i64 <= last - 8, "{ids:?}");
    let restored = place.serve(&["--database", &new.url]);
    let (status, refused) = restored.ask("GET", "/v1/me", Some(&token), None);
    assert_eq!((status, &refused["code"]), (401, &"invalid_token".into()));
    restored.sign_in("anna", "anna-learns-1");
}

#[test]
fn what_is_no_whole_backup_is_refused_and_leaves_nothing() {
    let Some(postgres) = Postgres::find() else {
        return;
    };
    let (from, to) = (postgres.database(), postgres.database());
    let place = Place::new();
    filled(&place, &from, ACCESS, crate::program::LINES);
    let (old, new) = (On::new(&place, &from), On::new(&place, &to));
    old.run(&["backup", "b.backup"]).good();
    old.run(&["backup", "b.backup"]).failed(&["exists already"]);
    let good = fs::read(place.folder.join("b.backup")).unwrap();
    let refused = |bytes: &[u8], said: &[&str]| {
        fs::write(place.folder.join("x.backup"), bytes).unwrap();
        place.run(&["backup", "--check", "x.backup"]).failed(said);
        new.run(&["restore", "x.backup"]).failed(said);
    };
    refused(b"", &["is not a Portreeve backup"]);
    refused(&good[..20], &["is not a Portreeve backup"]);
    for length in [28, 40, 100, good.len() / 2, good.len() - 41, good.len() - 1] {
        refused(&good[..length], &["x.backup is damaged"]);
    }
    refused(&[&good[..], b"x"].concat(), &["x.backup is damaged"]);
    for at in [
        30,
        good.len() / 2,
        good.len() - 60,
        good.len() - 20,
        good.len() - 3,
    ] {
        let mut changed = good.clone();
        changed[at] ^= 1;
        refused(&changed, &["x.backup is damaged"]);
    }
    let mut newer = good.clone();
    newer[26] = b'2';
    refused(&newer, &["newer version"]);
    untouched(&to);

    // One kind does not go into the other.
    new.run(&["restore", "b.backup"]).good();
    place
        .run(&["restore", "b.backup"])
        .failed(&["a PostgreSQL database", "export"]);
    place.run(&["init"]).good();
    place.run(&["backup", "folder.db"]).good();
    let empty = postgres.database();
    On::new(&place, &empty)
        .run(&["restore", "folder.db"])
        .failed(&["a data folder", "export"]);
    untouched(&empty);

    // What stands in the way in the middle of it takes all of it back.
    let taken = postgres.database();
    taken.sql("CREATE TABLE grades (diary text)");
    On::new(&place, &taken)
        .run(&["restore", "b.backup"])
        .failed(&["grades", "already exists"]);
    let left = taken.sql("SELECT count(*) FROM pg_namespace WHERE nspname = 'portreeve'");
    assert_eq!(left.trim(), "0");
    taken.sql("DROP TABLE grades");
    On::new(&place, &taken).run(&["restore", "b.backup"]).good();

    // Where there is nothing, nothing is copied, and no file is left.
    let nothing = postgres.database();
    On::new(&place, &nothing)
        .run(&["backup", "nothing.backup"])
        .failed(&["does not exist"]);
    assert!(!place.folder.join("nothing.backup").exists());
    assert!(!place.folder.join("nothing.backup.partial").exists());
}

#[test]
fn what_points_at_tables_that_were_there_before_wants_them_first() {
    let Some(postgres) = Postgres::find() else {
        return;
    };
    const CUSTOMERS: &str = "CREATE TABLE customers (id int8 PRIMARY KEY, name text); INSERT INTO customers VALUES (1, 'Ada')";
    let (from, to) = (postgres.database(), postgres.database());
    from.sql(CUSTOMERS);
    let place = Place::new();
    let access = "
collections:
  notes: { key: { id: integer }, fields: { text: text, customer: { to: customers, required: true } } }
";
    let line =
        r#"{"record": {"collection": "notes", "values": {"text": "called", "customer": 1}}}"#;
    filled(&place, &from, access, line);
    let (old, new) = (On::new(&place, &from), On::new(&place, &to));
    let made = old.run(&["backup", "b.backup", "--json"]).good().json();
    assert_eq!(made["tables"]["public.notes"], 1, "{made}");
    assert!(made["tables"].get("public.customers").is_none(), "{made}");
    new.run(&["restore", "b.backup"]).failed(&["customers"]);
    untouched(&to);
    to.sql(CUSTOMERS);
    new.run(&["restore", "b.backup"]).good();
    assert_eq!(new.records(), old.records());
    assert_eq!(to.sql("SELECT name FROM customers").trim(), "Ada");
}
