//! Every route there is, asked by nobody: a new one has to be written down here with what nobody gets.

use axum::http::header;

use crate::world::World;

/// Method, path, and the status nobody gets.
const ROUTES: &[(&str, &str, u16)] = &[
    ("GET", "/healthz", 200),
    ("GET", "/errors/{code}", 404),
    // A body is missing.
    ("POST", "/v1/setup", 415),
    ("POST", "/v1/auth/sign-in", 415),
    ("POST", "/v1/auth/sign-out", 401),
    ("POST", "/v1/auth/forgot-password", 415),
    ("POST", "/v1/auth/reset-password", 415),
    ("POST", "/v1/auth/send-confirmation", 415),
    ("POST", "/v1/auth/confirm", 415),
    ("POST", "/v1/auth/accept-invitation", 415),
    ("POST", "/v1/auth/refresh", 415),
    ("GET", "/v1/sessions", 401),
    ("DELETE", "/v1/sessions", 401),
    ("DELETE", "/v1/sessions/{session}", 401),
    ("GET", "/v1/shares", 401),
    ("POST", "/v1/shares", 401),
    ("GET", "/v1/shares/{id}", 401),
    ("PATCH", "/v1/shares/{id}", 401),
    ("DELETE", "/v1/shares/{id}", 401),
    // Of one that is not there it is told what is told of one with a password.
    ("GET", "/v1/shares/{id}/open", 200),
    ("POST", "/v1/shares/{id}/open", 415),
    ("GET", "/v1/users/{user}/sessions", 401),
    ("DELETE", "/v1/users/{user}/sessions", 401),
    ("DELETE", "/v1/users/{user}/sessions/{session}", 401),
    // Who I am and what I may do: nobody, nothing.
    ("GET", "/v1/me", 200),
    ("POST", "/v1/me/email", 401),
    ("POST", "/v1/invitations", 401),
    ("GET", "/v1/templates", 401),
    ("GET", "/v1/templates/{template}", 401),
    ("PUT", "/v1/templates/{template}", 401),
    ("DELETE", "/v1/templates/{template}", 401),
    // In development alone.
    ("GET", "/v1/dev/mails", 404),
    ("PATCH", "/v1/me", 401),
    ("DELETE", "/v1/me", 401),
    ("POST", "/v1/me/password", 401),
    ("POST", "/v1/auth/register", 415),
    // Accounts are records.
    ("GET", "/v1/users", 404),
    ("POST", "/v1/users", 415),
    ("GET", "/v1/users/{user}", 404),
    ("PATCH", "/v1/users/{user}", 415),
    ("DELETE", "/v1/users/{user}", 404),
    ("POST", "/v1/users/{user}/password", 415),
    ("GET", "/v1/users/{user}/bindings", 401),
    ("POST", "/v1/users/{user}/bindings", 401),
    ("PATCH", "/v1/bindings/{id}", 401),
    ("DELETE", "/v1/bindings/{id}", 401),
    // Records like others: there for nobody.
    ("GET", "/v1/roles", 404),
    ("POST", "/v1/roles", 401),
    ("GET", "/v1/roles/{role}", 401),
    ("PUT", "/v1/roles/{role}", 401),
    ("PATCH", "/v1/roles/{role}", 401),
    ("DELETE", "/v1/roles/{role}", 401),
    ("GET", "/v1/profiles", 404),
    ("POST", "/v1/profiles", 401),
    ("GET", "/v1/profiles/{profile}", 401),
    ("PUT", "/v1/profiles/{profile}", 401),
    ("PATCH", "/v1/profiles/{profile}", 401),
    ("DELETE", "/v1/profiles/{profile}", 401),
    ("GET", "/v1/registration", 401),
    ("PUT", "/v1/registration", 401),
    ("GET", "/v1/users/{user}/rights", 401),
    // An empty list.
    ("GET", "/v1/collections", 200),
    ("POST", "/v1/collections", 401),
    ("GET", "/v1/collections/{collection}", 404),
    ("PATCH", "/v1/collections/{collection}", 401),
    ("DELETE", "/v1/collections/{collection}", 401),
    ("GET", "/v1/records/{collection}", 404),
    ("POST", "/v1/records/{collection}", 415),
    ("PATCH", "/v1/records/{collection}", 415),
    // Nothing says which records.
    ("DELETE", "/v1/records/{collection}", 400),
    ("GET", "/v1/records/{collection}/{key}", 404),
    ("PUT", "/v1/records/{collection}/{key}", 415),
    ("PATCH", "/v1/records/{collection}/{key}", 415),
    ("DELETE", "/v1/records/{collection}/{key}", 404),
    ("GET", "/v1/aggregates/{collection}", 404),
    ("GET", "/v1/audit", 404),
    ("GET", "/v1/subscribe", 404),
    ("POST", "/v1/changes", 415),
    ("POST", "/v1/check", 415),
    ("POST", "/v1/explain", 401),
    ("POST", "/v1/who-can", 401),
    ("GET", "/v1/access", 401),
    ("POST", "/v1/access/plan", 401),
    ("POST", "/v1/access/apply", 401),
];

fn real(path: &str) -> String {
    path.replace("{collection}", "grades")
        .replace("{key}", "1")
        .replace("/v1/subscribe", "/v1/subscribe?collection=grades")
        .replace("{user}", "anna")
        .replace("{template}", "reset")
        .replace("{id}", "1")
        .replace("{role}", "teacher")
        .replace("{profile}", "none")
        .replace("{session}", "1")
}

#[test]
fn the_list_is_the_router() {
    let routes = portreeve_native::declared();
    let mut written: Vec<String> = routes
        .iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let mut listed: Vec<String> = ROUTES
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    written.sort();
    listed.sort();
    assert_eq!(written, listed);
}

#[tokio::test]
async fn nobody_gets_nothing_anywhere() {
    let world = World::school().await;
    for (method, path, status) in ROUTES {
        let reply = world.ask(method, &real(path), "", None).await;
        assert_eq!(
            reply.status.as_u16(),
            *status,
            "{method} {path}: {}",
            reply.text()
        );
        if reply.status.is_client_error() {
            reply.code();
        }
        // A token that is no good opens nothing, not even what nobody gets.
        if path.starts_with("/v1")
            && ![
                "/v1/setup",
                "/v1/auth/sign-in",
                "/v1/dev/mails",
                "/v1/shares/{id}/open",
            ]
            .contains(path)
        {
            let bad = world.ask(method, &real(path), "prt_nonsense", None).await;
            assert!(
                [401, 415].contains(&bad.status.as_u16()),
                "{method} {path}: {}",
                bad.text()
            );
        }
    }
    for path in ["/v1/records/grades", "/v1/check"] {
        let body = serde_json::json!({ "action": "read", "collection": "grades" });
        let reply = world.post(path, "", &body).await;
        assert!(!reply.text().contains("allow"), "{path}: {}", reply.text());
    }
}

#[tokio::test]
async fn other_methods_and_routes_are_told() {
    let world = World::school().await;
    let reply = world.ask("PUT", "/v1/records/grades", "", None).await;
    assert_eq!(
        (reply.status.as_u16(), reply.code().as_str()),
        (405, "method_not_allowed")
    );
    let allow = reply.headers[header::ALLOW].to_str().unwrap();
    for method in ["GET", "POST", "PATCH", "DELETE"] {
        assert!(allow.contains(method), "{allow}");
    }
    for path in ["/", "/v1", "/v2/me", "/v1/nothing", "/errors/nothing"] {
        let reply = world.get(path, "").await;
        assert_eq!(
            (reply.status.as_u16(), reply.code().as_str()),
            (404, "unknown_route"),
            "{path}"
        );
    }
    let known = world.get("/errors/not_found", "").await;
    assert_eq!(known.json()["status"], 404);
}
