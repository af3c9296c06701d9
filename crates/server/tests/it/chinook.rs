//! The Chinook example, in both forms of the database: what each support agent sees is what plain SQL says he looks
//! after, to the record and to the cent; what is refused has changed nothing. The commands are those of the guide.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use portreeve_testkit::postgres::{Postgres, TestDatabase};
use portreeve_testkit::stats;
use serde_json::{Value as Json, json};

use crate::program::{Place, Ran, Server};

const GUIDE: &str = include_str!("../../../../docs/guide/your-postgresql-in-five-lines.md");
const ACCESS: &str = include_str!("../../../../examples/chinook/access.yaml");
const PASSWORD: &str = "sells-music-all-day";
const AGENTS: [(&str, i64); 3] = [("jane", 3), ("margaret", 4), ("steve", 5)];

/// The sample database lies beside the workspace, not in it.
fn data(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/chinook");
    let file = folder.join(name);
    assert!(
        file.exists(),
        "{} is missing: put the Chinook sample database (chinook.sqlite, chinook-postgresql.sql) there",
        file.display()
    );
    file
}

/// The data as plain SQL sees it.
fn plain() -> TestDatabase {
    let database = Postgres::get().database();
    let script = std::fs::read_to_string(data("chinook-postgresql.sql")).unwrap();
    // It makes and enters a database of its own.
    let script: Vec<&str> = script
        .lines()
        .filter(|line| !line.contains("DATABASE") && !line.starts_with("\\c"))
        .collect();
    database.sql(&script.join("\n"));
    database
}

/// The shop's program on one form of its database.
struct Shop {
    place: Place,
    database: String,
    server: Server,
    cases: u64,
}

impl Shop {
    /// Runs the five lines of the guide.
    fn open(place: Place, database: String) -> Self {
        place.write("access.yaml", ACCESS);
        let lines = block(1);
        assert_eq!(lines.len(), 5, "{lines:?}");
        let mut server = None;
        for line in &lines {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["export", setting] => assert!(setting.starts_with("PORTREEVE_DATABASE=")),
                ["portreeve", "serve"] => server = Some(place.serve(&["--database", &database])),
                ["portreeve", "user", "create", ..] => {
                    create(&place, &database, &words[3..]).good();
                }
                ["portreeve", rest @ ..] => {
                    run(&place, &database, rest).good();
                }
                _ => panic!("'{line}' is no command"),
            }
        }
        Self {
            place,
            database,
            server: server.expect("the guide starts a server"),
            cases: 0,
        }
    }

    #[track_caller]
    fn get(&mut self, token: &str, path: &str) -> Json {
        let (status, answer) = self.server.ask("GET", path, Some(token), None);
        assert_eq!(status, 200, "{path}: {answer}");
        self.cases += 1;
        answer
    }

    #[track_caller]
    fn refused(&mut self, wanted: u16, token: &str, method: &str, path: &str, body: Option<Json>) {
        let (status, answer) = self.server.ask(method, path, Some(token), body);
        assert_eq!(status, wanted, "{method} {path}: {answer}");
        self.cases += 1;
    }

    /// All keys of a list, page by page.
    fn keys(&mut self, token: &str, collection: &str, key: &str) -> Vec<i64> {
        let mut keys = vec![];
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/records/{collection}?fields={key}&limit=100{cursor}");
            let answer = self.get(token, &path);
            let records = answer["data"].as_array().unwrap();
            keys.extend(records.iter().map(|record| record[key].as_i64().unwrap()));
            let Some(next) = answer["page"]["next"].as_str() else {
                assert_eq!(answer["page"]["more"], false);
                return keys;
            };
            cursor = format!("&cursor={next}");
        }
    }
}

/// The lines of the n-th block of commands in the guide.
fn block(number: usize) -> Vec<String> {
    let blocks: Vec<&str> = GUIDE.split("```sh\n").collect();
    let (block, _) = blocks[number].split_once("```").unwrap();
    block.lines().map(str::to_owned).collect()
}

fn run(place: &Place, database: &str, arguments: &[&str]) -> Ran {
    let mut command = place.command(arguments);
    command.env("PORTREEVE_DATABASE", database);
    Ran::of(&command.output().unwrap())
}

// As the guide has it, but that nobody is asked at a terminal.
fn create(place: &Place, database: &str, arguments: &[&str]) -> Ran {
    let mut all = vec!["user", "create"];
    all.extend(arguments);
    all.push("--password-stdin");
    let mut command = place.command(&all);
    command
        .env("PORTREEVE_DATABASE", database)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let line = format!("{PASSWORD}\n");
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), line.as_bytes()).unwrap();
    Ran::of(&child.wait_with_output().unwrap())
}

fn numbers(answer: &str) -> Vec<i64> {
    answer.lines().map(|line| line.parse().unwrap()).collect()
}

// What every agent sees, against plain SQL on the same data.
fn agents_see_their_own(shop: &mut Shop, plain: &TestDatabase) {
    let invoices = "invoice i JOIN customer c USING (customer_id)";
    for (name, rep) in AGENTS {
        let token = shop.server.sign_in(name, PASSWORD);
        let own = |what: &str, from: &str, order: &str| {
            plain.sql(&format!(
                "SELECT {what} FROM {from} WHERE c.support_rep_id = {rep} {order}"
            ))
        };
        let customers = numbers(&own("customer_id", "customer c", "ORDER BY 1"));
        assert!(!customers.is_empty());
        assert_eq!(shop.keys(&token, "customer", "customer_id"), customers);
        let bought = numbers(&own("invoice_id", invoices, "ORDER BY 1"));
        assert_eq!(shop.keys(&token, "invoice", "invoice_id"), bought);
        let lines = format!("invoice_line l JOIN {invoices} USING (invoice_id)");
        let sold = numbers(&own("invoice_line_id", &lines, "ORDER BY 1"));
        assert_eq!(shop.keys(&token, "invoice_line", "invoice_line_id"), sold);

        // Totals, as a number beside a list and as sums of groups.
        for (collection, count) in [
            ("customer", customers.len()),
            ("invoice", bought.len()),
            ("invoice_line", sold.len()),
        ] {
            let path = format!("/v1/records/{collection}?limit=0&total=true");
            assert_eq!(shop.get(&token, &path)["page"]["total"], json!(count));
        }
        let sums = shop.get(
            &token,
            "/v1/aggregates/invoice?count=true&sum=total&max=invoice_date",
        );
        let truth = own(
            "count(*), sum(i.total), to_char(max(invoice_date), 'YYYY-MM-DD\"T\"HH24:MI:SS')",
            invoices,
            "",
        );
        let group = &sums["data"][0];
        let told = format!(
            "{}|{}|{}",
            group["count"],
            group["sum(total)"].as_str().unwrap(),
            group["max(invoice_date)"].as_str().unwrap()
        );
        assert_eq!(told, truth.trim());
        let years = shop.get(
            &token,
            "/v1/aggregates/invoice?group=year(invoice_date)&sum=total",
        );
        let told: Vec<String> = years["data"]
            .as_array()
            .unwrap()
            .iter()
            .map(|group| {
                let sum = group["sum(total)"].as_str().unwrap();
                format!("{}|{sum}", group["year(invoice_date)"])
            })
            .collect();
        let truth = own(
            "extract(year FROM invoice_date)::int, sum(i.total)",
            invoices,
            "GROUP BY 1 ORDER BY 1",
        );
        assert_eq!(told.join("\n"), truth.trim());

        // Filters and orders over decimals, dates and relations.
        for (path, what, order) in [
            (
                "/v1/records/invoice?filter=total%20%3E%3D%208.91&sort=-total,-invoice_date&limit=1000",
                "i.total >= 8.91",
                "i.total DESC, invoice_date DESC, invoice_id",
            ),
            (
                "/v1/records/invoice?filter=invoice_date%20%3C%20'2022-01-01'&sort=invoice_date&limit=1000",
                "invoice_date < '2022-01-01'",
                "invoice_date, invoice_id",
            ),
            (
                "/v1/records/invoice?filter=some%20invoice_line%20(unit_price%20%3D%201.99)&limit=1000",
                "EXISTS (SELECT 1 FROM invoice_line l WHERE l.invoice_id = i.invoice_id AND unit_price = 1.99)",
                "invoice_id",
            ),
        ] {
            let answer = shop.get(&token, path);
            let found: Vec<i64> = answer["data"]
                .as_array()
                .unwrap()
                .iter()
                .map(|record| record["invoice_id"].as_i64().unwrap())
                .collect();
            let truth = own(
                "invoice_id",
                invoices,
                &format!("AND {what} ORDER BY {order}"),
            );
            assert_eq!(found, numbers(&truth), "{path}");
        }

        // One record, with what belongs to it.
        let invoice = bought[0];
        let path = format!("/v1/records/invoice/{invoice}?expand=customer_id,invoice_line");
        let record = shop.get(&token, &path)["data"].clone();
        let told = format!(
            "{}|{}|{}",
            record["total"].as_str().unwrap(),
            record["customer_id"]["email"].as_str().unwrap(),
            record["invoice_line"].as_array().unwrap().len()
        );
        let truth = own(
            "i.total, c.email, (SELECT count(*) FROM invoice_line l WHERE l.invoice_id = i.invoice_id)",
            invoices,
            &format!("AND invoice_id = {invoice}"),
        );
        assert_eq!(told, truth.trim());

        // Of the employees himself alone, and no more than he needs.
        let employees = shop.get(&token, "/v1/records/employee");
        let record = employees["data"][0].as_object().unwrap();
        assert_eq!(employees["data"].as_array().unwrap().len(), 1);
        let fields: Vec<&str> = record.keys().map(String::as_str).collect();
        assert_eq!(
            fields,
            ["employee_id", "last_name", "first_name", "title", "email"]
        );
        assert_eq!(record["employee_id"], rep);
        let (hidden, unknown) = (
            "/v1/records/employee?filter=birth_date%20is%20null",
            "/v1/records/employee?filter=nothing_like_it%20is%20null",
        );
        shop.refused(400, &token, "GET", hidden, None);
        shop.refused(400, &token, "GET", unknown, None);
    }
}

// What is another's is not there, what may not be done is refused, and neither leaves a trace.
fn what_is_refused_leaves_no_trace(shop: &mut Shop, plain: &TestDatabase) {
    let admin = shop.server.sign_in("root", PASSWORD);
    let jane = shop.server.sign_in("jane", PASSWORD);
    let everything = |shop: &mut Shop| -> Vec<Json> {
        ["customer", "invoice", "invoice_line", "employee"]
            .map(|name| shop.get(&admin, &format!("/v1/records/{name}?limit=1000&total=true")))
            .to_vec()
    };
    let before = everything(shop);
    let one = |sql: &str| numbers(&plain.sql(&format!("{sql} ORDER BY 1 LIMIT 1")))[0];
    let own = one("SELECT customer_id FROM customer WHERE support_rep_id = 3");
    let others = one("SELECT customer_id FROM customer WHERE support_rep_id = 5");
    let their_invoice = one(
        "SELECT invoice_id FROM invoice JOIN customer USING (customer_id) WHERE support_rep_id = 5",
    );
    let record = |collection: &str, key: &str| format!("/v1/records/{collection}/{key}");
    let phone = || Some(json!({ "phone": "+1 555" }));
    for (status, method, path, body) in [
        (404, "GET", record("customer", &others.to_string()), None),
        (404, "GET", record("customer", "9999"), None),
        (404, "GET", record("customer", "x"), None),
        (
            404,
            "GET",
            record("invoice", &their_invoice.to_string()),
            None,
        ),
        (404, "GET", record("employee", "1"), None),
        (404, "GET", record("playlist", "1"), None),
        (404, "GET", record("playlist_track", "%5B1%2C3402%5D"), None),
        (
            404,
            "PATCH",
            record("customer", &others.to_string()),
            phone(),
        ),
        (404, "PATCH", record("customer", "9999"), phone()),
        (
            403,
            "PATCH",
            record("customer", &own.to_string()),
            Some(json!({ "support_rep_id": null })),
        ),
        // A colleague is out of her reach, like an employee there is not.
        (
            422,
            "PATCH",
            record("customer", &own.to_string()),
            Some(json!({ "support_rep_id": 5 })),
        ),
        (
            422,
            "PATCH",
            record("customer", &own.to_string()),
            Some(json!({ "support_rep_id": 99 })),
        ),
        (403, "DELETE", record("customer", &own.to_string()), None),
        (404, "DELETE", record("customer", &others.to_string()), None),
        (
            403,
            "POST",
            "/v1/records/invoice".into(),
            Some(json!({ "customer_id": own, "invoice_date": "2026-01-01", "total": "0" })),
        ),
        (
            403,
            "PATCH",
            record("employee", "3"),
            Some(json!({ "title": "General Manager" })),
        ),
    ] {
        shop.refused(status, &jane, method, &path, body);
    }
    let (status, _) = shop.server.ask("GET", "/v1/records/customer", None, None);
    assert_eq!(status, 404, "whoever has not signed in sees nothing");
    assert_eq!(everything(shop), before);

    // What is allowed is done, and only that.
    let path = record("customer", &own.to_string());
    let (status, answer) = shop.server.ask("PATCH", &path, Some(&jane), phone());
    assert_eq!(status, 200, "{answer}");
    assert_eq!(shop.get(&jane, &path)["data"]["phone"], "+1 555");
    let after = everything(shop);
    assert_eq!(after[1..], before[1..]);
    let changed = |list: &Json| -> Vec<Json> { list["data"].as_array().unwrap().clone() };
    let differing: Vec<(Json, Json)> = changed(&before[0])
        .into_iter()
        .zip(changed(&after[0]))
        .filter(|(before, after)| before != after)
        .collect();
    let [(mut was, is)] = differing.try_into().expect("one record has changed");
    was["phone"] = json!("+1 555");
    assert_eq!((&was, &is["customer_id"]), (&is, &json!(own)));
    shop.cases += 3;
}

// An administrator works with what the database has: keys of several columns, values it fills by itself.
fn an_administrator_writes_like_anybody_else(shop: &mut Shop) {
    let admin = shop.server.sign_in("root", PASSWORD);
    let key = "/v1/records/playlist_track/%5B1%2C3402%5D";
    let record = shop.get(&admin, key)["data"].clone();
    assert_eq!(
        record,
        json!({ "_key": "[1,3402]", "playlist_id": 1, "track_id": 3402 })
    );
    let first = shop.get(&admin, "/v1/records/playlist_track?limit=3&total=true");
    assert_eq!(first["page"]["total"], 8715);
    let next = first["page"]["next"].as_str().unwrap().to_owned();
    let second = shop.get(
        &admin,
        &format!("/v1/records/playlist_track?limit=2&cursor={next}"),
    );
    let keys = |answer: &Json| -> Vec<String> {
        let records = answer["data"].as_array().unwrap();
        records
            .iter()
            .map(|record| record["_key"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(keys(&first), ["[1,1]", "[1,2]", "[1,3]"]);
    assert_eq!(keys(&second), ["[1,4]", "[1,5]"]);
    let across = "/v1/records/playlist/18?expand=track";
    let tracks = shop.get(&admin, across)["data"]["track"].clone();
    assert_eq!(tracks[0]["track_id"], 597);

    let (status, made) = shop.server.ask(
        "POST",
        "/v1/records/playlist_track",
        Some(&admin),
        Some(json!({ "playlist_id": 18, "track_id": 1 })),
    );
    assert_eq!(
        (status, &made["data"]["_key"]),
        (201, &json!("[18,1]")),
        "{made}"
    );
    let again = Some(json!({ "playlist_id": 18, "track_id": 1 }));
    shop.refused(409, &admin, "POST", "/v1/records/playlist_track", again);
    let moved = Some(json!({ "track_id": 2 }));
    let path = "/v1/records/playlist_track/%5B18%2C1%5D";
    shop.refused(422, &admin, "PATCH", path, moved);
    let (status, _) = shop.server.ask("DELETE", path, Some(&admin), None);
    assert_eq!(status, 204);
    shop.refused(404, &admin, "GET", path, None);

    let sent = json!({
        "invoice_id": 1000, "customer_id": 1, "invoice_date": "2026-11-22T10:30:00", "total": "12.50"
    });
    let (status, made) = shop.server.ask(
        "POST",
        "/v1/records/invoice",
        Some(&admin),
        Some(sent.clone()),
    );
    assert_eq!(status, 201, "{made}");
    let read = shop.get(&admin, "/v1/records/invoice/1000")["data"].clone();
    for (field, value) in sent.as_object().unwrap() {
        assert_eq!(&read[field], value, "{field}");
    }
    // The database's own references hold.
    shop.refused(409, &admin, "DELETE", "/v1/records/customer/1", None);
    let (status, _) = shop
        .server
        .ask("DELETE", "/v1/records/invoice/1000", Some(&admin), None);
    assert_eq!(status, 204);
    shop.cases += 4;
}

fn session(place: Place, database: String, store: &str) {
    let plain = plain();
    session_on(place, database, &plain, store);
}

fn session_on(place: Place, database: String, plain: &TestDatabase, store: &str) {
    let before = run_test(&place, &database);
    let mut shop = Shop::open(place, database);
    for (name, email) in [
        ("margaret", "margaret@chinookcorp.com"),
        ("steve", "steve@chinookcorp.com"),
    ] {
        // SQLite has one writer, so accounts beside a running server are made by it.
        let admin = shop.server.sign_in("root", PASSWORD);
        let body =
            json!({ "username": name, "email": email, "password": PASSWORD, "roles": ["support"] });
        let (status, answer) = shop
            .server
            .ask("POST", "/v1/users", Some(&admin), Some(body));
        assert_eq!(status, 201, "{answer}");
    }
    agents_see_their_own(&mut shop, plain);
    the_guide_says_what_is_so(&mut shop);
    what_is_refused_leaves_no_trace(&mut shop, plain);
    an_administrator_writes_like_anybody_else(&mut shop);
    // Beside the running server, and with nothing left to do.
    let planned = run(&shop.place, &shop.database, &["plan", "access.yaml"]).good();
    assert_eq!(planned.out, "no changes\n");
    stats::count("chinook", store, shop.cases + before);
}

// The tests in the file, before anything of ours is in the database.
fn run_test(place: &Place, database: &str) -> u64 {
    place.write("access.yaml", ACCESS);
    let ran = run(place, database, &["test", "access.yaml", "--json"]).good();
    assert_eq!(ran.json()["failed"], 0, "{}", ran.out);
    ran.json()["passed"].as_u64().unwrap()
}

fn the_guide_says_what_is_so(shop: &mut Shop) {
    let token = shop.server.sign_in("jane", PASSWORD);
    let mut asked = 0;
    for line in block(2).iter().filter(|line| line.starts_with("curl ")) {
        let (_, rest) = line.split_once("\"localhost:7600").unwrap();
        let (path, _) = rest.split_once('"').unwrap();
        let answer = shop.get(&token, path);
        assert_ne!(answer["data"], json!([]), "{path}");
        asked += 1;
    }
    assert_eq!(asked, 4);
    let list = shop.get(
        &token,
        "/v1/records/customer?fields=first_name,last_name&limit=2&total=true",
    );
    let sums = shop.get(&token, "/v1/aggregates/invoice?count=true&sum=total");
    let spaced = |json: &Json| {
        json.to_string()
            .replace("\":", "\": ")
            .replace(",\"", ", \"")
    };
    for shown in [
        spaced(&list["data"][0]),
        spaced(&list["data"][1]),
        format!("\"total\": {}", list["page"]["total"]),
        spaced(&sums["data"][0]),
    ] {
        let shown = shown.replace(['{', '}'], "");
        assert!(
            GUIDE.contains(shown.trim()),
            "the guide does not say: {shown}"
        );
    }
}

#[test]
fn support_agents_of_an_sqlite_file() {
    let place = Place::new();
    let file = place.folder.join("chinook.sqlite");
    std::fs::write(&file, std::fs::read(data("chinook.sqlite")).unwrap()).unwrap();
    session(place, format!("sqlite:{}", file.display()), "SQLite");
}

#[test]
fn support_agents_of_a_postgresql_database() {
    let plain = plain();
    session_on(Place::new(), plain.url(), &plain, "PostgreSQL");
}
