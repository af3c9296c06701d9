//! `backup` and `restore`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::json;

use crate::program::{ACCESS, Place, Ran, data};

const FILLED: [(&str, u64); 4] = [
    ("grades", 2),
    ("portreeve_users", 2),
    ("portreeve_credentials", 1),
    ("portreeve_bindings", 2),
];

fn grades(place: &Place, folder: &str) -> Vec<i64> {
    let ran = place.run(&["export", "--records", "--data", folder]).good();
    ran.out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter_map(|line| line["record"]["values"]["id"].as_i64())
        .collect()
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

// The same however it is read.
fn same(place: &Place, one: &str, other: &str) {
    let of = |folder: &str| {
        let file = format!("{folder}.same");
        let json = place
            .run(&["backup", &file, "--data", folder, "--json"])
            .good()
            .json();
        let _ = fs::remove_file(place.folder.join(file));
        let mut tables = json["tables"].clone();
        // The restore is written down, and sealed later; epochs and sessions are its business.
        for changed in [
            "portreeve_audit",
            "portreeve_audit_unsealed",
            "portreeve_epochs",
            "portreeve_sessions",
        ] {
            tables.as_object_mut().unwrap().remove(changed);
        }
        tables
    };
    assert_eq!(of(one), of(other));
}

#[test]
fn what_is_backed_up_is_restored() {
    let place = Place::filled();
    let made = place.run(&["backup", "b.db", "--json"]).good().json();
    for (table, rows) in FILLED {
        assert_eq!(made["tables"][table], rows, "{made}");
    }
    assert_eq!(made["policy_version"], 1);
    let checked = place.run(&["backup", "--check", "b.db", "--json"]).good();
    assert_eq!(checked.json(), made);
    let restored = place
        .run(&["restore", "b.db", "--data", "again", "--json"])
        .good()
        .json();
    assert_eq!(restored["sha256"], made["sha256"]);
    assert_eq!(restored["moved_aside"], json!(null));
    assert_eq!(grades(&place, "again"), [1, 2]);
    same(&place, "portreeve-data", "again");
    place
        .run(&["can", "anna", "read", "grades/1", "--data", "again"])
        .good();
    let denied = place.run(&["can", "anna", "read", "grades/2", "--data", "again"]);
    assert_eq!(denied.code, 1);
    // Nothing is left lying about.
    assert_eq!(
        names(&place.folder.join("again")),
        ["portreeve.db", "portreeve.lock"]
    );
    assert_eq!(
        names(&place.folder),
        [
            "access.yaml",
            "again",
            "b.db",
            "lines.ndjson",
            "portreeve-data"
        ]
    );
    let said = place.run(&["backup", "c.db"]).good();
    assert!(said.out.contains("password hashes"), "{}", said.out);
    assert!(said.out.contains("grades"), "{}", said.out);
}

#[cfg(unix)]
#[test]
fn nobody_else_may_read_it() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::filled();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    place.run(&["backup", "b.db"]).good();
    assert_eq!(mode(&place.folder.join("b.db")), 0o600);
    place.run(&["restore", "b.db", "--data", "again"]).good();
    assert_eq!(mode(&place.folder.join("again")), 0o700);
    assert_eq!(mode(&place.folder.join("again/portreeve.db")), 0o600);
}

#[test]
fn beside_a_server_everything_acknowledged_before_is_in_it() {
    let place = Place::filled();
    place.write("dev.yaml", ACCESS);
    let server = place.serve(&["--dev", "--access", "dev.yaml"]);
    let administrator = server.said("administrator: ");
    let (name, password) = administrator.split_once("  password: ").unwrap();
    let token = server.sign_in(name, password);
    let anna = server.sign_in("anna", "anna-learns-1");
    let student = server.ask("GET", "/v1/me", Some(&anna), None).1["user"]["id"].clone();
    let write = |id: i64| {
        let body = json!({ "id": id, "student": student, "score": id % 100 });
        let (status, answer) = server.ask("POST", "/v1/records/grades", Some(&token), Some(body));
        assert_eq!(status, 201, "{answer}");
    };
    for id in 10..40 {
        write(id);
    }
    // What was acknowledged so far is in it, whatever is written meanwhile; and of that, no gap.
    let (files, last) = std::thread::scope(|scope| {
        let backing = scope.spawn(|| {
            ["one.db", "two.db", "three.db"].map(|file| {
                place.run(&["backup", file]).good();
                file
            })
        });
        let mut id = 40;
        while !backing.is_finished() {
            write(id);
            id += 1;
        }
        (backing.join().unwrap(), id)
    });
    for file in files {
        let folder = format!("{file}.restored");
        place.run(&["restore", file, "--data", &folder]).good();
        let ids = grades(&place, &folder);
        let expected: Vec<i64> = [1, 2].into_iter().chain(10..).take(ids.len()).collect();
        assert_eq!(ids, expected);
        assert!(ids.len() >= 32 && ids.len() as i64 <= last - 8, "{ids:?}");
        // Who was signed in when it was taken is not afterwards.
        let restored = place.serve(&["--data", &folder]);
        for token in [&token, &anna] {
            let (status, refused) = restored.ask("GET", "/v1/me", Some(token), None);
            assert_eq!((status, &refused["code"]), (401, &"invalid_token".into()));
        }
        restored.sign_in("anna", "anna-learns-1");
        assert_eq!(restored.stop(), 0);
    }
    // The server went on as if nothing had been.
    let (status, _) = server.ask("GET", "/v1/me", Some(&anna), None);
    assert_eq!(status, 200);
    assert_eq!(server.stop(), 0);
}

#[test]
fn what_is_only_in_the_log_of_a_killed_server_is_in_it() {
    let place = Place::filled();
    let server = place.serve(&["--dev", "--access", "access.yaml"]);
    let administrator = server.said("administrator: ");
    let (name, password) = administrator.split_once("  password: ").unwrap();
    let token = server.sign_in(name, password);
    let user = server.ask("GET", "/v1/me", Some(&token), None).1["user"]["id"].clone();
    let body = json!({ "id": 77, "student": user, "score": 1 });
    let (status, _) = server.ask("POST", "/v1/records/grades", Some(&token), Some(body));
    assert_eq!(status, 201);
    drop(server);
    assert!(data(&place).join("portreeve.db-wal").exists());
    place.run(&["backup", "b.db"]).good();
    place.run(&["restore", "b.db", "--data", "again"]).good();
    assert_eq!(grades(&place, "again"), [1, 2, 77]);
}

#[test]
fn no_file_is_overwritten_and_no_database_lost() {
    let place = Place::filled();
    place.write("b.db", "a diary");
    place
        .run(&["backup", "b.db"])
        .failed(&["b.db exists", "--force"]);
    assert_eq!(fs::read(place.folder.join("b.db")).unwrap(), b"a diary");
    place.run(&["backup", "b.db", "--force"]).good();
    place.run(&["backup", "--check", "b.db"]).good();
    // Not even with --force over what it is a copy of.
    let live = ["backup", "portreeve-data/portreeve.db", "--force"];
    place.run(&live).failed(&["lies in the data folder"]);
    place
        .run(&["backup", "no/such/b.db"])
        .failed(&["cannot use no/such"]);
    place.run(&["backup", "."]).failed(&["cannot use ."]);
    place
        .run(&["backup", "x.db", "--data", "empty"])
        .failed(&["empty/portreeve.db does not exist"]);
    assert!(!place.folder.join("empty").exists() && !place.folder.join("x.db").exists());

    // A database that is there stays, and with --force it is only moved.
    let more = r#"{"record": {"collection": "grades", "values": {"id": 3, "student": {"user": "bo"}, "score": 9}}}"#;
    place.write("more.ndjson", more);
    place.run(&["load", "more.ndjson"]).good();
    place.run(&["restore", "b.db"]).failed(&[
        "portreeve-data holds a database already",
        "--force",
        "--data",
    ]);
    assert_eq!(grades(&place, "portreeve-data"), [1, 2, 3]);
    let restored = place.run(&["restore", "b.db", "--force", "--json"]).good();
    let aside = restored.json()["moved_aside"].as_str().unwrap().to_owned();
    assert!(aside.starts_with("portreeve-data/replaced-"), "{aside}");
    assert_eq!(grades(&place, "portreeve-data"), [1, 2]);
    assert_eq!(grades(&place, &aside), [1, 2, 3]);
}

#[test]
fn while_a_server_runs_nothing_is_put_back() {
    let place = Place::filled();
    place.run(&["backup", "b.db"]).good();
    let server = place.serve(&["--dev", "--access", "access.yaml"]);
    let before = names(&data(&place));
    for arguments in [&["restore", "b.db", "--force"][..], &["restore", "b.db"]] {
        let pid = server.pid().to_string();
        place.run(arguments).failed(&["in use by process", &pid]);
    }
    assert_eq!(names(&data(&place)), before);
    server.sign_in("anna", "anna-learns-1");
}

// Each is refused by both, and nothing is touched.
#[track_caller]
fn refused(place: &Place, file: &str, said: &[&str]) {
    place.run(&["backup", "--check", file]).failed(said);
    let before = fs::read(data(place).join("portreeve.db")).unwrap();
    place.run(&["restore", file, "--force"]).failed(said);
    place
        .run(&["restore", file, "--data", "elsewhere"])
        .failed(said);
    assert!(!place.folder.join("elsewhere").exists());
    assert_eq!(fs::read(data(place).join("portreeve.db")).unwrap(), before);
    assert_eq!(names(&data(place)), ["portreeve.db", "portreeve.lock"]);
}

#[test]
fn what_is_no_whole_backup_is_refused() {
    let place = Place::filled();
    place.run(&["backup", "b.db"]).good();
    let good = fs::read(place.folder.join("b.db")).unwrap();
    let put = |bytes: &[u8]| fs::write(place.folder.join("x.db"), bytes).unwrap();

    refused(&place, "nowhere.db", &["cannot use nowhere.db"]);
    refused(&place, ".", &["cannot use ."]);
    put(b"");
    refused(&place, "x.db", &["x.db is not a Portreeve backup"]);
    put(&[b'x'; 5_000]);
    refused(&place, "x.db", &["x.db is not a Portreeve backup"]);
    put(&good[..99]);
    refused(&place, "x.db", &["x.db is not a Portreeve backup"]);
    // Cut off anywhere, or grown.
    for length in [
        100,
        4_096,
        good.len() / 2,
        good.len() - 4_096,
        good.len() - 1,
    ] {
        put(&good[..length]);
        refused(&place, "x.db", &["x.db is damaged", "bytes"]);
    }
    put(&[&good[..], b"x"].concat());
    refused(&place, "x.db", &["x.db is damaged", "bytes"]);
    // One letter of a value: every page still hangs together.
    let at = good.windows(4).position(|four| four == b"anna").unwrap();
    let mut changed = good.clone();
    changed[at] = b'A';
    put(&changed);
    refused(&place, "x.db", &["x.db is damaged"]);
    // A page of nothing.
    for page in [1, 5, good.len() / 4_096 - 1] {
        let mut holed = good.clone();
        holed[page * 4_096..(page + 1) * 4_096].fill(0);
        put(&holed);
        refused(&place, "x.db", &["x.db"]);
    }
    // The database itself is none: nothing in it says what belongs into it.
    fs::copy(data(&place).join("portreeve.db"), place.folder.join("x.db")).unwrap();
    refused(
        &place,
        "x.db",
        &[
            "is a Portreeve database and not a backup",
            "portreeve backup",
        ],
    );
}

#[test]
fn half_a_backup_has_no_name_and_the_next_one_takes_its_place() {
    let place = Place::filled();
    let lines: String = (10..6_000)
        .map(|id| {
            let record = json!({ "record": { "collection": "grades", "values": {
                "id": id, "student": { "user": "bo" }, "score": 1, "note": "x".repeat(400)
            }}});
            format!("{record}\n")
        })
        .collect();
    place.write("many.ndjson", &lines);
    place.run(&["load", "many.ndjson"]).good();
    let partial = place.folder.join("b.db.partial");
    let mut child = place
        .command(&["backup", "b.db"])
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    while !partial.exists() && child.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // It may have been quicker than we are.
    if place.folder.join("b.db").exists() {
        place.run(&["backup", "--check", "b.db"]).good();
        fs::remove_file(place.folder.join("b.db")).unwrap();
    }
    let made = place.run(&["backup", "b.db", "--json"]).good().json();
    assert_eq!(made["tables"]["grades"], 5_992);
    assert!(!partial.exists());
    // Told to stop, it takes back what it has begun.
    let told = place
        .command(&["backup", "c.db"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let partial = place.folder.join("c.db.partial");
    let mut told = told;
    while !partial.exists() && told.try_wait().unwrap().is_none() {
        std::thread::yield_now();
    }
    Command::new("kill")
        .args(["-TERM", &told.id().to_string()])
        .status()
        .unwrap();
    told.wait().unwrap();
    assert!(!partial.exists());
    if place.folder.join("c.db").exists() {
        place.run(&["backup", "--check", "c.db"]).good();
    }
}

// A limit on the size of files stands for a disk that is full.
#[cfg(target_os = "linux")]
#[test]
fn where_there_is_no_room_nothing_is_left() {
    let place = Place::filled();
    place.run(&["backup", "good.db"]).good();
    let before = names(&place.folder);
    let small = |arguments: &str| {
        let program = env!("CARGO_BIN_EXE_portreeve");
        let script = format!("trap '' XFSZ; ulimit -f 40; exec {program} {arguments}");
        let output = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&place.folder)
            .output()
            .unwrap();
        Ran::of(&output)
    };
    small("backup b.db").failed(&["b.db", "othing of it was kept"]);
    small("restore good.db --data again").failed(&["again"]);
    assert_eq!(names(&place.folder), before);
    small("restore good.db --force").failed(&["portreeve-data"]);
    assert_eq!(grades(&place, "portreeve-data"), [1, 2]);
    assert_eq!(names(&data(&place)), ["portreeve.db", "portreeve.lock"]);
}

#[test]
fn a_restore_that_was_interrupted_keeps_everybody_out_until_it_is_done() {
    let place = Place::filled();
    place.run(&["backup", "b.db"]).good();
    // As it is between moving the old one aside and putting the new one in its place.
    let folder = data(&place);
    let aside = folder.join("replaced-2026-01-01T00-00-00Z");
    fs::create_dir(&aside).unwrap();
    fs::write(
        folder.join("portreeve.restoring"),
        "replaced-2026-01-01T00-00-00Z",
    )
    .unwrap();
    fs::rename(folder.join("portreeve.db"), aside.join("portreeve.db")).unwrap();
    fs::write(
        folder.join("portreeve.db-wal"),
        "what belongs to the old one",
    )
    .unwrap();
    for arguments in [&["user", "list"][..], &["init"], &["backup", "c.db"]] {
        place
            .run(arguments)
            .failed(&["restore", "--force", "replaced-2026-01-01T00-00-00Z"]);
    }
    assert!(!folder.join("portreeve.db").exists());
    place.run(&["restore", "b.db"]).failed(&["--force"]);
    place.run(&["restore", "b.db", "--force"]).good();
    assert_eq!(grades(&place, "portreeve-data"), [1, 2]);
    assert_eq!(
        fs::read(aside.join("portreeve.db-wal")).unwrap(),
        b"what belongs to the old one"
    );
    assert!(!folder.join("portreeve.restoring").exists());
    // A mark that names somewhere else leads nowhere.
    fs::write(folder.join("portreeve.restoring"), "../../elsewhere").unwrap();
    place.run(&["restore", "b.db", "--force"]).good();
    assert!(!place.folder.join("elsewhere").exists());
}
