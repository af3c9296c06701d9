//! What nobody in his right mind sends is answered with a problem, and never with a failure.

use axum::body::Body;
use axum::http::{Request, header};

use crate::world::{ADMIN, PASSWORD, Reply, World, escaped};

fn refused(reply: &Reply, what: &str) -> String {
    assert!(
        reply.status.is_client_error(),
        "{what}: {} {}",
        reply.status,
        reply.text()
    );
    assert!(
        reply.body.len() < 4_096,
        "{what}: an answer of {} bytes",
        reply.body.len()
    );
    assert!(
        !echoes(&reply.body),
        "{what} is sent back: {}",
        reply.text()
    );
    reply.code()
}

// What these tests send at length is one character or one word many times over.
fn echoes(body: &[u8]) -> bool {
    (1..=12).any(|word| {
        let same = |at: usize| body[at] == body[at + word];
        let repeated = |window: std::ops::Range<usize>| window.clone().all(same);
        (0..body.len().saturating_sub(word + 80)).any(|at| repeated(at..at + 80))
    })
}

#[tokio::test]
async fn bodies() {
    let world = World::school().await;
    let token = world.token("tess").await;
    let huge = format!("{{\"comment\":\"{}\"}}", "x".repeat(2 * 1024 * 1024));
    let deep = format!(
        "{{\"comment\":{}1{}}}",
        "[".repeat(100_000),
        "]".repeat(100_000)
    );
    let long_name = format!("{{\"{}\":1}}", "n".repeat(500_000));
    let many: String = (0..20_000).map(|n| format!("\"f{n}\":1,")).collect();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("huge", huge.into_bytes(), "body_too_large"),
        ("deep", deep.into_bytes(), "invalid_json"),
        (
            "twice",
            b"{\"score\":1,\"score\":2}".to_vec(),
            "invalid_json",
        ),
        (
            "twice escaped",
            b"{\"score\":1,\"\\u0073core\":2}".to_vec(),
            "invalid_json",
        ),
        (
            "NUL",
            b"{\"comment\":\"a\\u0000b\"}".to_vec(),
            "invalid_json",
        ),
        (
            "raw NUL",
            b"{\"comment\":\"a\0b\"}".to_vec(),
            "invalid_json",
        ),
        (
            "bad UTF-8",
            b"{\"comment\":\"\xff\xfe\"}".to_vec(),
            "invalid_json",
        ),
        (
            "lone surrogate",
            b"{\"comment\":\"\\ud800\"}".to_vec(),
            "invalid_json",
        ),
        ("trailing", b"{\"score\":1} {}".to_vec(), "invalid_json"),
        ("cut off", b"{\"score\":".to_vec(), "invalid_json"),
        (
            "too large a number",
            b"{\"score\":1e999}".to_vec(),
            "invalid_json",
        ),
        (
            "too large an integer",
            b"{\"score\":9223372036854775808}".to_vec(),
            "bad_value",
        ),
        ("no integer", b"{\"score\":1.5}".to_vec(), "bad_value"),
        (
            "too many digits",
            b"{\"rate\":\"1.001\"}".to_vec(),
            "bad_value",
        ),
        (
            "a long text for a time",
            format!("{{\"graded_at\":\"{}\"}}", "x".repeat(1_000)).into_bytes(),
            "bad_value",
        ),
        (
            "a long decimal",
            format!("{{\"rate\":\"{}\"}}", "9".repeat(1_000)).into_bytes(),
            "bad_value",
        ),
        (
            "a long text for a number",
            format!("{{\"score\":\"{}\"}}", "x".repeat(1_000)).into_bytes(),
            "bad_value",
        ),
        ("a list", b"[1]".to_vec(), "bad_body"),
        ("a text", b"\"score\"".to_vec(), "bad_body"),
        ("null", b"null".to_vec(), "bad_body"),
        ("empty", vec![], "bad_body"),
        ("long name", long_name.into_bytes(), "unknown_field"),
        (
            "many names",
            format!("{{{}\"score\":1}}", many).into_bytes(),
            "unknown_field",
        ),
    ];
    for (what, body, code) in cases {
        let reply = world
            .raw(
                "PATCH",
                "/v1/records/grades/1",
                &token,
                "application/json",
                body.clone(),
            )
            .await;
        assert_eq!(refused(&reply, what), *code, "{what}: {}", reply.text());
    }
    for kind in [
        "",
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
    ] {
        let reply = world
            .raw(
                "PATCH",
                "/v1/records/grades/1",
                &token,
                kind,
                "{\"score\":1}",
            )
            .await;
        assert_eq!(reply.status, 415, "{kind}");
        assert_eq!(refused(&reply, kind), "unsupported_media_type");
    }
    let place = world
        .raw(
            "PATCH",
            "/v1/records/grades/1",
            &token,
            "application/json",
            "{\n  \"score\": x}",
        )
        .await;
    let place = place.json();
    assert_eq!(
        (&place["line"], &place["column"]),
        (&2.into(), &12.into()),
        "{place}"
    );
}

#[tokio::test]
async fn query_strings() {
    let world = World::school().await;
    let token = world.token("anna").await;
    let terms = |count: usize, word: &str| vec!["id=1"; count].join(word);
    let or = escaped(" or ").replace("%20", "+");
    let cases: Vec<(String, &str)> = vec![
        ("filter=score+%3E".into(), "bad_query"),
        ("filter=scroe+%3D+1".into(), "bad_query"),
        ("filter=score+%3D+'x'".into(), "bad_query"),
        ("filter=score+matches+'x'".into(), "bad_query"),
        ("filter=sent(score)".into(), "bad_query"),
        ("filter=$old.score+%3D+1".into(), "bad_query"),
        ("filter=%7B%22caller%22:0%7D".into(), "bad_query"),
        ("filter=%7B%22or%22:[],%22or%22:[]%7D".into(), "bad_query"),
        (
            format!("filter={}", terms(5_000, &or).replace('=', "%3D")),
            "bad_query",
        ),
        (
            format!("filter={}score%3D1", "(".repeat(5_000)),
            "bad_query",
        ),
        (
            format!("filter={}score%3D1", "not+".repeat(5_000)),
            "bad_query",
        ),
        (
            format!("filter={}", escaped(&"[".repeat(5_000))),
            "bad_query",
        ),
        (
            format!(
                "filter={}",
                escaped(&format!("{{\"not\":{}", "{\"not\":".repeat(2_000)))
            ),
            "bad_query",
        ),
        (
            format!("filter=score+%3D+{}", "9".repeat(5_000)),
            "bad_query",
        ),
        (format!("filter={}+%3D+1", "a".repeat(30_000)), "bad_query"),
        (
            format!("filter={}+%3D+1", vec!["course"; 5_000].join(".")),
            "bad_query",
        ),
        (
            format!("sort={}", vec!["score"; 5_000].join(",")),
            "bad_query",
        ),
        (
            format!("sort={}", vec!["course"; 5_000].join(".")),
            "bad_query",
        ),
        (
            format!("expand={}", vec!["course"; 5_000].join(".")),
            "bad_parameter",
        ),
        (
            format!(
                "expand={}",
                (0..5_000)
                    .map(|n| format!("a{n}"))
                    .collect::<Vec<_>>()
                    .join(",")
            ),
            "unknown_field",
        ),
        (format!("fields={}", "a".repeat(30_000)), "bad_parameter"),
        ("filter=%ff".into(), "bad_query_string"),
        ("filter=%00".into(), "bad_query_string"),
        ("filter=%2".into(), "bad_query_string"),
        ("limit=1001".into(), "bad_parameter"),
        ("limit=-1".into(), "bad_parameter"),
        ("offset=99999999999999999999".into(), "bad_parameter"),
        ("filtre=score".into(), "unknown_parameter"),
        (format!("{}=1", "x".repeat(30_000)), "unknown_parameter"),
        ("limit=1&limit=1".into(), "bad_parameter"),
        ("filter[score]=1".into(), "unknown_parameter"),
        ("cursor=e30".into(), "bad_parameter"),
    ];
    for (query, code) in &cases {
        let what = portreeve_http::shown(query);
        let reply = world
            .get(&format!("/v1/records/grades?{query}"), &token)
            .await;
        assert_eq!(refused(&reply, &what), *code, "{what}: {}", reply.text());
    }
    let wrong = world
        .get("/v1/records/grades?filter=score+%3E+7+nad+id+%3D+1", &token)
        .await
        .json();
    assert_eq!(
        (&wrong["column"], &wrong["parameter"]),
        (&11.into(), &"filter".into()),
        "{wrong}"
    );
    let near = world
        .get("/v1/records/grades?filtre=x", &token)
        .await
        .json();
    assert_eq!(near["suggestion"], "filter");
}

#[tokio::test]
async fn what_is_long_or_strange_and_means_nothing_is_answered() {
    let world = World::school().await;
    let token = world.token("anna").await;
    let wide = vec!["'x'"; 3_000].join(",");
    let reply = world
        .get(
            &format!(
                "/v1/records/grades?filter={}",
                escaped(&format!("comment in ({wide})"))
            ),
            &token,
        )
        .await;
    assert!(
        reply.status.is_success() || reply.status.is_client_error(),
        "{}",
        reply.text()
    );
    let search = escaped("'; drop table users; -- %_\\");
    let reply = world
        .get(&format!("/v1/records/grades?search={search}"), &token)
        .await;
    assert_eq!(reply.data(), serde_json::json!([]));
    for path in [
        "/v1/records/grades/1'%20or%20'1'='1",
        "/v1/records/grades/%00",
        "/v1/records/%00",
        "/v1/records/..%2F..%2Fetc",
        "/v1/records/grades%00",
        "/v1/records/grades/1%2F..%2F27",
    ] {
        let reply = world.get(path, &token).await;
        assert_eq!(reply.code(), "not_found", "{path}");
    }
    for path in [
        "/v1/records/grades/",
        "/v1/records//1",
        "/v1//me",
        "/V1/me",
        "/v1/me/",
        "/v1/records/grades/1/x",
    ] {
        let reply = world.get(path, &token).await;
        assert!(
            ["unknown_route", "not_found"].contains(&reply.code().as_str()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn tokens() {
    let world = World::school().await;
    let real = world.token("anna").await;
    let cut = &real[..real.len() - 1];
    let strange = format!("Bearer {}", "x".repeat(100_000));
    for value in [
        "",
        "Bearer",
        "Bearer ",
        "bearer x",
        "Basic YTpi",
        "Token x",
        &strange,
        &format!("Bearer {cut}"),
        &format!("Bearer {real}x"),
        &format!("Bearer  {real}"),
        &real,
        "Bearer eyJhbGciOiJub25lIn0.e30.",
    ] {
        let request = Request::builder()
            .uri("/v1/me")
            .header(header::AUTHORIZATION, value);
        let reply = world.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (401, "invalid_token"),
            "{value:.20}"
        );
        assert!(!reply.text().contains(&real[..10]));
    }
    let request = Request::builder()
        .uri("/v1/me")
        .header(header::AUTHORIZATION, format!("bearer {real}"))
        .body(Body::empty());
    assert_eq!(world.send(request.unwrap()).await.status, 200);
}

#[tokio::test]
async fn documents_and_questions() {
    let world = World::school().await;
    let root = world.token(ADMIN).await;
    let bomb = {
        let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x]\n");
        for n in 1..20 {
            let before = n - 1;
            text.push_str(&format!(
                "a{n}: &a{n} [*a{before},*a{before},*a{before},*a{before},*a{before},*a{before}]\n"
            ));
        }
        text
    };
    for (what, body) in [
        ("bomb", bomb),
        ("deep", "[".repeat(200_000)),
        (
            "deep mapping",
            "a:\n".to_owned()
                + &(1..2_000)
                    .map(|n| format!("{}a:\n", " ".repeat(n % 400)))
                    .collect::<String>(),
        ),
        ("no mapping", "- a\n- b\n".into()),
        ("NUL", "roles: \0".into()),
        ("two documents", "roles: {}\n---\nroles: {}\n".into()),
    ] {
        let reply = world
            .raw("POST", "/v1/access/plan", &root, "application/yaml", body)
            .await;
        assert!(reply.status.is_client_error(), "{what}: {}", reply.text());
        reply.code();
    }
    let not_text = world
        .raw(
            "POST",
            "/v1/access/plan",
            &root,
            "application/yaml",
            b"roles: \xff".to_vec(),
        )
        .await;
    assert_eq!(refused(&not_text, "bytes"), "bad_body");
    for (path, body) in [
        ("/v1/check", "{\"action\":1}"),
        ("/v1/check", "{}"),
        (
            "/v1/check",
            "{\"action\":\"read\",\"colection\":\"grades\"}",
        ),
        ("/v1/check", "{\"action\":\"read\",\"key\":\"1\"}"),
        (
            "/v1/check",
            "{\"action\":\"read\",\"collection\":\"grades\",\"key\":1.5}",
        ),
        (
            "/v1/check",
            "{\"action\":\"update\",\"collection\":\"grades\",\"key\":1,\"send\":[]}",
        ),
        ("/v1/auth/sign-in", "{\"login\":\"anna\"}"),
        (
            "/v1/auth/sign-in",
            "{\"login\":{\"$ne\":1},\"password\":{\"$ne\":1}}",
        ),
        ("/v1/setup", "{\"code\":1}"),
        ("/v1/collections", "{\"name\":\"a b\",\"fields\":{}}"),
        ("/v1/collections", "{\"fields\":{}}"),
        ("/v1/collections", "{\"name\":\"x\",\"felds\":{}}"),
    ] {
        let reply = world
            .raw("POST", path, &root, "application/json", body)
            .await;
        refused(&reply, &format!("{path} {body}"));
    }
    let long = format!(
        "{{\"login\":\"{}\",\"password\":\"{PASSWORD}\"}}",
        "x".repeat(900_000)
    );
    let reply = world
        .raw("POST", "/v1/auth/sign-in", "", "application/json", long)
        .await;
    assert_eq!(refused(&reply, "long login"), "wrong_credentials");
}

#[tokio::test]
async fn development_mode_answers_this_machine_only() {
    let world = World::empty(true).await;
    let ask = async |name: &str, value: &str| {
        let request = Request::builder()
            .uri("/v1/me")
            .header(name, value)
            .body(Body::empty());
        world.send(request.unwrap()).await
    };
    assert_eq!(ask("host", "localhost:7600").await.status, 200);
    assert_eq!(ask("host", "rebound.example").await.code(), "foreign_site");
    assert_eq!(
        ask("origin", "https://evil.example").await.code(),
        "foreign_site"
    );
    assert_eq!(ask("origin", "null").await.code(), "foreign_site");
    assert_eq!(ask("origin", "http://127.0.0.1:5173").await.status, 200);
}
