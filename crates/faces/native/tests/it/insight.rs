//! Through another one's eyes one sees what he sees, to the byte, and can do nothing; who can, and what somebody may.

use axum::http::StatusCode;
use serde_json::{Value as Json, json};

use crate::world::{ADMIN, Reply, World};

const SIMULATE: &str = "portreeve-simulate";

// All but what differs in each answer.
fn comparable(reply: &Reply) -> (StatusCode, Vec<(String, String)>, String) {
    let ids = [
        "x-request-id",
        "portreeve-decision-id",
        "portreeve-simulated",
        "content-length",
    ];
    let mut headers: Vec<(String, String)> = reply
        .headers
        .iter()
        .filter(|(name, _)| !ids.contains(&name.as_str()))
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    headers.sort();
    let mut text = reply.text();
    if reply.status.is_client_error() {
        let mut problem = reply.json();
        for id in ["request_id", "decision_id"] {
            problem.as_object_mut().unwrap().shift_remove(id);
        }
        text = problem.to_string();
    }
    (reply.status, headers, text)
}

struct Dice(u64);

impl Dice {
    fn pick<'a>(&mut self, of: &[&'a str]) -> &'a str {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        of[(self.0 >> 33) as usize % of.len()]
    }
}

fn path(dice: &mut Dice) -> String {
    let collection = dice.pick(&[
        "grades",
        "grades",
        "grades",
        "courses",
        "courses",
        "shop%2Forders",
        "users",
        "vault",
        "nothing",
        "roles",
    ]);
    let route = dice.pick(&[
        "me",
        "collections",
        "collection",
        "record",
        "list",
        "list",
        "list",
        "aggregate",
    ]);
    match route {
        "me" | "collections" => format!("/v1/{route}"),
        "collection" => format!("/v1/collections/{collection}"),
        "record" => {
            let key = dice.pick(&["1", "2", "26", "27", "99", "x"]);
            let query = dice.pick(&[
                "",
                "?expand=course",
                "?fields=id",
                "?fields=score,teacher_note",
            ]);
            format!("/v1/records/{collection}/{key}{query}")
        }
        "aggregate" => {
            let query = dice.pick(&[
                "count=true",
                "sum=score",
                "avg=score&group=course",
                "max=secret",
                "bad=1",
            ]);
            format!("/v1/aggregates/{collection}?{query}")
        }
        _ => {
            let mut query = vec![format!("limit={}", dice.pick(&["0", "1", "5", "50"]))];
            query.push(
                dice.pick(&[
                    "",
                    "filter=score+%3E+2",
                    "filter=teacher_note+%3D+'x'",
                    "filter=course.title+%3D+'Latin'",
                    "filter=title+%3D+'Hidden'",
                    "filter=(",
                ])
                .to_owned(),
            );
            query.push(
                dice.pick(&["", "sort=score", "sort=-id", "sort=secret"])
                    .to_owned(),
            );
            query.push(
                dice.pick(&[
                    "",
                    "total=true",
                    "expand=course",
                    "expand=grades",
                    "search=grade",
                ])
                .to_owned(),
            );
            query.retain(|part| !part.is_empty());
            format!("/v1/records/{collection}?{}", query.join("&"))
        }
    }
}

async fn audited(world: &World, root: &str) -> u64 {
    let path = "/v1/records/audit?filter=action+%3D+'policy.simulate'&total=true&limit=0";
    let reply = world.get(path, root).await;
    reply.json()["page"]["total"]
        .as_u64()
        .unwrap_or_else(|| panic!("{}", reply.text()))
}

#[tokio::test]
async fn another_ones_eyes_see_what_he_sees() {
    const REQUESTS: usize = 400;
    let world = World::school().await;
    let root = world.token(ADMIN).await;
    let mut tokens = vec![("anonymous".to_owned(), String::new())];
    for name in ["anna", "bo", "tess", ADMIN] {
        tokens.push((format!("user:{name}"), world.token(name).await));
    }
    for role in ["prefect", "counter"] {
        tokens.push((
            format!("user:{role}1"),
            world.newcomer(&format!("{role}1"), role).await,
        ));
    }
    let before = audited(&world, &root).await;
    let mut dice = Dice(7);
    let mut good = 0;
    for number in 0..REQUESTS {
        let (who, token) = &tokens[number % tokens.len()];
        let path = path(&mut dice);
        let own = world.get(&path, token).await;
        let seen = world
            .ask_if("GET", &path, &root, (SIMULATE, who), None)
            .await;
        assert_eq!(comparable(&seen), comparable(&own), "{who} {path}");
        good += usize::from(own.status.is_success());
        if let Some(label) = seen.headers.get("portreeve-simulated") {
            let kind = who.split(':').next().unwrap();
            assert!(label.to_str().unwrap().starts_with(kind));
        } else {
            // What could not even be understood was looked at by nobody.
            assert_eq!(seen.status, 400, "{path}: {}", seen.text());
        }
    }
    assert!(good > REQUESTS / 4, "{good}");
    let after = audited(&world, &root).await;
    assert!(after - before > (REQUESTS / 2) as u64, "{before} {after}");
    let trail = world
        .get(
            "/v1/records/audit?filter=action+%3D+'policy.simulate'&sort=-id&limit=1",
            &root,
        )
        .await;
    assert_eq!(trail.status, 200, "{}", trail.text());
}

#[tokio::test]
async fn another_ones_eyes_do_nothing() {
    let world = World::school().await;
    let root = world.token(ADMIN).await;
    let everything = async || {
        let mut all = vec![];
        for collection in [
            "users", "courses", "grades", "roles", "bindings", "sessions",
        ] {
            let path = format!("/v1/records/{collection}?limit=200");
            all.push(world.get(&path, &root).await.text());
        }
        all
    };
    let before = everything().await;
    let audit = audited(&world, &root).await;
    let body =
        json!({ "comment": "mine now", "student": 1, "action": "read", "collection": "grades" });
    for who in ["user:tess", "user:root", "role:teacher", "anonymous"] {
        for (method, path) in [
            ("POST", "/v1/records/grades"),
            ("PATCH", "/v1/records/grades/1"),
            ("PUT", "/v1/records/grades/1"),
            ("DELETE", "/v1/records/grades/1"),
            ("DELETE", "/v1/records/grades?filter=id+%3D+1"),
            ("POST", "/v1/changes"),
            ("GET", "/v1/subscribe?collection=grades"),
            ("GET", "/v1/users"),
            ("POST", "/v1/users"),
            ("POST", "/v1/users/anna/password"),
            ("GET", "/v1/users/anna/rights"),
            ("POST", "/v1/who-can"),
            ("POST", "/v1/check"),
            ("POST", "/v1/access/apply"),
            ("POST", "/v1/auth/sign-out"),
            ("DELETE", "/v1/collections/grades"),
        ] {
            let reply = world
                .ask_if(method, path, &root, (SIMULATE, who), Some(&body))
                .await;
            assert_eq!(
                (reply.status.as_u16(), reply.code().as_str()),
                (400, "bad_simulation"),
                "{who} {method} {path}: {}",
                reply.text()
            );
        }
    }
    assert_eq!(everything().await, before);
    assert_eq!(audited(&world, &root).await, audit);
}

#[tokio::test]
async fn only_who_may_see_it_sees_it() {
    let world = World::with_roles(
        r#"
  student:
    permissions:
      - { allow: data.read, on: grades, rows: "student = $user", fields: [id, student, score] }
      - { allow: policy.simulate }
  inspector:
    permissions:
      - { allow: [policy.simulate, policy.explain] }
      - { allow: data.read, on: [grades, users] }
  blind:
    permissions:
      - { allow: [policy.simulate, policy.explain] }
      - { allow: data.read, on: users, rows: "id = $user" }
  teacher:
    permissions:
      - { allow: data.read, on: [grades, courses] }
"#,
    )
    .await;
    let inspector = world.newcomer("ivy", "inspector").await;
    let blind = world.newcomer("ben", "blind").await;
    let (anna, tess, root) = (
        world.token("anna").await,
        world.token("tess").await,
        world.token(ADMIN).await,
    );
    let before = audited(&world, &root).await;
    let ask = async |token: &str, who: &str| {
        world
            .ask_if(
                "GET",
                "/v1/records/grades?limit=3",
                token,
                (SIMULATE, who),
                None,
            )
            .await
    };
    // Ivy reads all grades and accounts: she may see them as anna does.
    let own = world.get("/v1/records/grades?limit=3", &anna).await;
    let seen = ask(&inspector, "user:anna").await;
    assert_eq!(comparable(&seen), comparable(&own));
    assert_eq!(audited(&world, &root).await, before + 1);
    let anyone = ask(&blind, "anonymous").await;
    assert_eq!(
        comparable(&anyone),
        comparable(&world.get("/v1/records/grades?limit=3", "").await)
    );
    // Courses are not hers, so she is answered as if there were no tess.
    let unknown = comparable(&ask(&inspector, "user:nobody").await);
    let hidden = comparable(&ask(&inspector, "user:tess").await);
    assert_eq!(hidden.0, 404);
    assert_eq!(hidden.2.replace("tess", "nobody"), unknown.2);
    // The same text of a rule is not the same grades: bo's are not anna's.
    for (token, who) in [
        (&anna, "user:bo"),
        (&anna, "role:student"),
        (&inspector, "user:root"),
        (&inspector, "role:admin"),
        (&blind, "user:anna"),
    ] {
        let reply = ask(token, who).await;
        assert!(
            [404, 422].contains(&reply.status.as_u16()),
            "{who}: {}",
            reply.text()
        );
        assert!(!reply.headers.contains_key("portreeve-simulated"));
    }
    // Without the right nothing is said of who there is.
    for who in [
        "user:anna",
        "user:nobody",
        "role:student",
        "role:nobody",
        "anonymous",
    ] {
        let reply = ask(&tess, who).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (403, "forbidden"),
            "{who}"
        );
        assert_eq!(ask("", who).await.status, 401);
    }
    for who in [
        "",
        "anna",
        "user:",
        "role:",
        "role:a,,b",
        "key:1",
        "Anonymous",
    ] {
        let reply = ask(&root, who).await;
        assert_eq!(reply.code(), "bad_simulation", "{who}");
    }
    assert_eq!(audited(&world, &root).await, before + 2);

    // Rights of others: the same answer for whoever may not know, and of whoever is not there.
    let rights =
        async |token: &str, user: &str| world.get(&format!("/v1/users/{user}/rights"), token).await;
    let of_anna = rights(&inspector, "anna").await.json();
    let me = world.get("/v1/me", &anna).await.json();
    for member in ["user", "roles", "collections", "actions", "administrator"] {
        assert_eq!(of_anna[member], me[member], "{member}");
    }
    assert_eq!(
        of_anna["paths"]["grades"]["data.read.one"],
        json!([{ "role": "student", "permission": 0, "effect": "allow", "through": [{ "by": "role" }] }])
    );
    for token in [&tess, &blind] {
        let hidden = comparable(&rights(token, "anna").await);
        let missing = comparable(&rights(token, "nobody").await);
        assert_eq!(hidden.0, 404);
        assert_eq!(hidden.2.replace("anna", "nobody"), missing.2);
    }
}

#[tokio::test]
async fn who_can_tells_what_its_asker_may_know() {
    let world = World::with_roles(
        r#"
  student:
    permissions:
      - { allow: data.read, on: grades, rows: "student = $user", fields: [id, student, score] }
  clerk:
    permissions:
      - { allow: policy.who }
      - { allow: data.read, on: grades, rows: "score > 2", fields: [id, score] }
      - { allow: data.read, on: users, rows: "username <> 'anna'", fields: [id, username] }
  teacher:
    permissions:
      - { allow: data.read, on: grades }
"#,
    )
    .await;
    let clerk = world.newcomer("cleo", "clerk").await;
    let (root, tess) = (world.token(ADMIN).await, world.token("tess").await);
    let ask = async |token: &str, more: Json| {
        let mut body = json!({ "action": "read", "collection": "grades" });
        for (name, value) in more.as_object().unwrap() {
            body[name] = value.clone();
        }
        world.post("/v1/who-can", token, &body).await
    };
    let names = |reply: &Reply| -> Vec<String> {
        let data = reply.json()["data"]
            .as_array()
            .unwrap_or_else(|| panic!("{}", reply.text()))
            .clone();
        data.iter()
            .map(|one| one["user"]["username"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = ask(&root, json!({})).await;
    assert_eq!(names(&all), ["root", "anna", "bo", "tess", "cleo"]);
    assert_eq!(all.json()["complete"], true);
    assert_eq!(all.json().get("anonymous"), None);
    // Anna's second grade, whose score is 1; her fourth, whose score is 3.
    let second = ask(&root, json!({ "key": 2 })).await;
    assert_eq!(names(&second), ["root", "anna", "tess"]);
    let fourth = ask(&root, json!({ "key": 4 })).await;
    assert_eq!(names(&fourth), ["root", "anna", "tess", "cleo"]);
    let comments = ask(&root, json!({ "key": 4, "field": "comment" })).await;
    assert_eq!(names(&comments), ["root", "tess"]);
    // Cleo does not read anna's account: of her she is told nothing but that she reads not all.
    let told = ask(&clerk, json!({})).await;
    assert_eq!(names(&told), ["root", "bo", "tess", "cleo"]);
    let json = told.json();
    assert_eq!(json["complete"], false);
    let bo = json["data"][1]["user"].as_object().unwrap();
    assert_eq!(bo.keys().collect::<Vec<_>>(), ["id", "username"]);
    // Page by page the same.
    let mut paged = vec![];
    let mut after = Json::Null;
    loop {
        let page = ask(&clerk, json!({ "limit": 1, "after": after })).await;
        paged.extend(names(&page));
        after = page.json()["page"]["next"].clone();
        if after.is_null() {
            break;
        }
    }
    assert_eq!(paged, names(&told));
    // Records and fields out of her reach are as those that are not there.
    let missing = comparable(&ask(&clerk, json!({ "key": 999 })).await);
    assert_eq!(missing.0, 404);
    assert_eq!(comparable(&ask(&clerk, json!({ "key": 2 })).await), missing);
    assert_eq!(
        comparable(&ask(&clerk, json!({ "collection": "vault" })).await),
        missing
    );
    let field = ask(&clerk, json!({ "field": "comment" })).await;
    let no_field = ask(&clerk, json!({ "field": "nothing" })).await;
    assert_eq!(field.code(), "unknown_field");
    assert_eq!(
        comparable(&field).2.replace("comment", "nothing"),
        comparable(&no_field).2
    );
    let strange = ask(&clerk, json!({ "after": "nobody" })).await;
    let anna = &all.json()["data"][1]["user"]["id"];
    let hidden = ask(&clerk, json!({ "after": anna })).await;
    assert_eq!(comparable(&strange), comparable(&hidden));
    // The right itself.
    assert_eq!(ask(&tess, json!({})).await.code(), "forbidden");
    assert_eq!(ask("", json!({})).await.status, 401);
}
