//! `/v1/subscribe` over a real connection.

use axum::http::StatusCode;
use portreeve_service::{FeedLimits, Options, SubscriptionLimits};
use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::world::{ADMIN, World, escaped};

const POLICY: &str = "
collections:
  notes:
    key: { id: integer }
    fields:
      owner: text
      text: text
      secret: text
      due: timestamp
roles:
  reader:
    permissions:
      - { allow: [data.read, data.subscribe], on: notes, rows: owner = $user.username, fields: [id, owner, text, due] }
  lister:
    permissions:
      - { allow: data.read, on: notes }
";

struct Server {
    world: World,
    address: std::net::SocketAddr,
    admin: String,
    anna: String,
}

impl Server {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let world = World::with(change).await;
        world.administrator().await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = world.router.clone();
        tokio::spawn(async move { axum::serve(listener, router).await });
        world.apply(POLICY).await;
        for (name, role) in [("anna", "reader"), ("bo", "reader"), ("lis", "lister")] {
            world.account(name, &[role]).await;
        }
        Self {
            admin: world.token(ADMIN).await,
            anna: world.token("anna").await,
            world,
            address,
        }
    }

    async fn policy(&self, text: &str) {
        self.world.apply(text).await;
    }

    async fn subscribe(&self, token: &str, query: &str) -> Stream {
        self.resume(token, query, None).await
    }

    async fn resume(&self, token: &str, query: &str, last: Option<&str>) -> Stream {
        let last = last.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let request = format!(
            "GET /v1/subscribe?{query} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{last}\r\n"
        );
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        connection.write_all(request.as_bytes()).await.unwrap();
        Stream {
            connection,
            bytes: vec![],
            text: String::new(),
        }
    }

    async fn put(&self, values: Json) -> i64 {
        let reply = self
            .world
            .post("/v1/records/notes", &self.admin, &values)
            .await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        reply.data()["id"].as_i64().unwrap()
    }

    async fn patch(&self, key: i64, values: Json) {
        let path = format!("/v1/records/notes/{key}");
        let reply = self.world.patch(&path, &self.admin, &values).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
    }

    async fn list(&self, token: &str) -> Vec<Json> {
        let reply = self.world.get("/v1/records/notes?limit=1000", token).await;
        reply.data().as_array().unwrap().clone()
    }
}

/// An event as it was sent.
#[derive(Debug)]
struct Event {
    name: String,
    id: String,
    data: Json,
}

struct Stream {
    connection: TcpStream,
    // As they come, and what of them has been taken out of its chunks.
    bytes: Vec<u8>,
    text: String,
}

impl Stream {
    async fn more(&mut self) -> bool {
        let mut buffer = [0; 64 * 1024];
        let count = self.connection.read(&mut buffer).await.unwrap_or(0);
        self.bytes.extend_from_slice(&buffer[..count]);
        count > 0
    }

    async fn head(&mut self) -> String {
        loop {
            let end = self.bytes.windows(4).position(|four| four == b"\r\n\r\n");
            if let Some(end) = end {
                let head = self.bytes.drain(..end + 4).collect();
                return String::from_utf8(head).unwrap();
            }
            assert!(self.more().await, "closed");
        }
    }

    // The next chunk as text; none at the end.
    async fn chunk(&mut self) -> Option<String> {
        loop {
            if let Some(line) = self.bytes.windows(2).position(|two| two == b"\r\n") {
                let size = std::str::from_utf8(&self.bytes[..line]).unwrap();
                let size = usize::from_str_radix(size, 16).unwrap();
                if self.bytes.len() >= line + 2 + size + 2 {
                    let chunk = self.bytes[line + 2..line + 2 + size].to_vec();
                    self.bytes.drain(..line + 2 + size + 2);
                    return (size > 0).then(|| String::from_utf8(chunk).unwrap());
                }
            }
            if !self.more().await {
                return None;
            }
        }
    }

    /// The next event; none where the stream has ended.
    async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(end) = self.text.find("\n\n") {
                let event: String = self.text.drain(..end + 2).collect();
                let all = |name: &str| {
                    let prefix = format!("{name}: ");
                    let lines = event.lines().filter_map(|line| line.strip_prefix(&*prefix));
                    lines.collect::<Vec<_>>().join("\n")
                };
                if all("event").is_empty() {
                    continue;
                }
                return Some(Event {
                    name: all("event"),
                    id: all("id"),
                    data: serde_json::from_str(&all("data")).unwrap(),
                });
            }
            let chunk = self.chunk().await?;
            self.text.push_str(&chunk);
        }
    }

    async fn expect(&mut self, name: &str) -> Event {
        let event = self.event().await.expect("an event");
        assert_eq!(event.name, name, "{event:?}");
        event
    }

    async fn ready(&mut self) -> Event {
        let head = self.head().await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        let head = head.to_ascii_lowercase();
        for line in [
            "content-type: text/event-stream\r\n",
            "cache-control: no-store\r\n",
            "x-accel-buffering: no\r\n",
            "portreeve-policy-version: ",
        ] {
            assert!(head.contains(line), "{head}");
        }
        self.expect("ready").await
    }

    async fn end(&mut self) -> String {
        let end = self.expect("end").await;
        assert!(self.event().await.is_none(), "nothing after the end");
        end.data["reason"].as_str().unwrap().to_owned()
    }
}

#[tokio::test]
async fn changes_arrive_as_the_list_would_show_them() {
    let server = Server::new().await;
    let mut stream = server.subscribe(&server.anna, "collection=notes").await;
    let ready = stream.ready().await;
    assert_eq!(
        ready.data,
        json!({ "collection": "notes", "resumed": false })
    );
    let key = server
        .put(json!({ "owner": "anna", "text": "a\nb", "secret": "s", "due": "2026-11-22T10:00:00Z" }))
        .await;
    server
        .put(json!({ "owner": "bo", "text": "not hers" }))
        .await;
    let created = stream.expect("create").await;
    assert_eq!(created.data["collection"], "notes");
    assert_eq!(created.data["key"], key);
    assert_eq!(created.data["record"], server.list(&server.anna).await[0]);
    assert!(created.data["at"].as_str().unwrap().ends_with('Z'));
    server.patch(key, json!({ "secret": "t" })).await;
    server.patch(key, json!({ "text": "c" })).await;
    let updated = stream.expect("update").await;
    assert_eq!(updated.data["record"]["text"], "c");
    assert_eq!(updated.data["record"].get("secret"), None);
    // Out of her reach, and gone, are the same.
    let other = server.put(json!({ "owner": "anna" })).await;
    stream.expect("create").await;
    server.patch(key, json!({ "owner": "bo" })).await;
    let path = format!("/v1/records/notes/{other}");
    server.world.delete(&path, &server.admin).await;
    let (left, gone) = (stream.expect("delete").await, stream.expect("delete").await);
    for (event, key) in [(&left, key), (&gone, other)] {
        let mut members: Vec<_> = event.data.as_object().unwrap().keys().collect();
        members.sort();
        assert_eq!(members, ["at", "collection", "key"]);
        assert_eq!(event.data["key"], key);
    }
}

#[tokio::test]
async fn a_filter_and_fields_narrow_what_arrives() {
    let server = Server::new().await;
    let filter = escaped("text starts_with 'x'");
    let query = format!("collection=notes&filter={filter}&fields=text");
    let mut stream = server.subscribe(&server.anna, &query).await;
    stream.ready().await;
    for text in ["a", "x1"] {
        server.put(json!({ "owner": "anna", "text": text })).await;
    }
    let created = stream.expect("create").await;
    assert_eq!(created.data["record"], json!({ "text": "x1" }));
    server
        .patch(2, json!({ "due": "2026-11-22T10:00:00Z" }))
        .await;
    server.patch(1, json!({ "text": "x2" })).await;
    let entered = stream.expect("create").await;
    assert_eq!(entered.data["key"], 1);
}

#[tokio::test]
async fn who_comes_back_goes_on_where_he_was() {
    let server = Server::new().await;
    let mut stream = server.subscribe(&server.anna, "collection=notes").await;
    let ready = stream.ready().await;
    server.put(json!({ "owner": "anna", "text": "1" })).await;
    let first = stream.expect("create").await;
    drop(stream);
    server.put(json!({ "owner": "anna", "text": "2" })).await;
    for (from, expected) in [(&ready.id, &["1", "2"][..]), (&first.id, &["2"][..])] {
        let resumed = server
            .resume(&server.anna, "collection=notes", Some(from))
            .await;
        let mut stream = resumed;
        assert_eq!(stream.ready().await.data["resumed"], true);
        for text in expected {
            let event = stream.expect("create").await;
            assert_eq!(event.data["record"]["text"], *text);
        }
    }
    // An id of another subscription, of somebody else, of before another policy, or made up.
    let bo = server.world.token("bo").await;
    let narrower = "collection=notes&fields=id";
    for (token, query, id) in [
        (&server.anna, narrower, &*first.id),
        (&bo, "collection=notes", &*first.id),
        (&server.anna, "collection=notes", "7"),
        (&server.anna, "collection=notes", ""),
    ] {
        let mut stream = server.resume(token, query, Some(id)).await;
        assert_eq!(stream.ready().await.data["resumed"], false, "{query} {id}");
        let reset = stream.expect("reset").await;
        assert_eq!(reset.data["reason"], "unknown_position");
    }
    let other = POLICY.replace("[id, owner, text, due]", "[id, owner, text]");
    server.policy(&other).await;
    let mut stream = server
        .resume(&server.anna, "collection=notes", Some(&first.id))
        .await;
    assert_eq!(stream.ready().await.data["resumed"], false);
}

#[tokio::test]
async fn a_refused_subscription_is_answered_as_everywhere() {
    let server = Server::new().await;
    let world = &server.world;
    let lister = world.token("lis").await;
    let ask = async |token: &str, query: &str| {
        let reply = world.get(&format!("/v1/subscribe?{query}"), token).await;
        (reply.status, reply.code())
    };
    let anna = &*server.anna;
    for (token, query, status, code) in [
        (anna, "", 400, "bad_parameter"),
        (anna, "collection=notes&limit=1", 400, "unknown_parameter"),
        (anna, "collection=notes&fields=secret", 400, "unknown_field"),
        (
            anna,
            "collection=notes&fields=nothing",
            400,
            "unknown_field",
        ),
        (
            anna,
            "collection=notes&filter=secret+%3D+'s'",
            400,
            "bad_query",
        ),
        (anna, "collection=nothing", 404, "not_found"),
        (anna, "collection=users", 404, "not_found"),
        (anna, "collection=%2F", 404, "not_found"),
        ("", "collection=notes", 404, "not_found"),
        (&lister, "collection=notes", 403, "forbidden"),
        ("prt_wrong", "collection=notes", 401, "invalid_token"),
        (&server.admin, "collection=users", 400, "bad_query"),
    ] {
        let expected = (StatusCode::from_u16(status).unwrap(), code.to_owned());
        assert_eq!(ask(token, query).await, expected, "{query}");
    }
}

#[tokio::test]
async fn nobody_is_told_by_rights_he_has_lost() {
    let server = Server::new().await;
    let bo = server.world.token("bo").await;
    let mut anna = server.subscribe(&server.anna, "collection=notes").await;
    let mut other = server.subscribe(&bo, "collection=notes").await;
    anna.ready().await;
    other.ready().await;
    // The session ends.
    let reply = server
        .world
        .ask("POST", "/v1/auth/sign-out", &bo, None)
        .await;
    assert_eq!(reply.status, 204);
    server.put(json!({ "owner": "bo" })).await;
    assert_eq!(other.end().await, "session_ended");
    // Another policy that changes nothing for her is not noticed; one that shows her more is.
    server
        .policy(&POLICY.replace(
            "data.read, on: notes }",
            "data.read, on: notes, rows: id = 1 }",
        ))
        .await;
    server.put(json!({ "owner": "anna", "text": "1" })).await;
    let created = anna.expect("create").await;
    assert_eq!(created.data["record"].get("secret"), None);
    let wider = POLICY.replace("[id, owner, text, due]", "[id, owner, text, due, secret]");
    server.policy(&wider).await;
    let reset = anna.expect("reset").await;
    assert_eq!(reset.data["reason"], "rights_changed");
    server
        .put(json!({ "owner": "anna", "secret": "now" }))
        .await;
    let created = anna.expect("create").await;
    assert_eq!(created.data["record"]["secret"], "now");
    // Reading alone is not enough.
    server.policy(&POLICY.replace(", data.subscribe", "")).await;
    server
        .put(json!({ "owner": "anna", "secret": "later" }))
        .await;
    assert_eq!(anna.end().await, "not_allowed");
}

#[tokio::test]
async fn a_server_that_stops_says_so() {
    let server = Server::new().await;
    let mut stream = server.subscribe(&server.anna, "collection=notes").await;
    stream.ready().await;
    server.world.portreeve.end_subscriptions();
    assert_eq!(stream.end().await, "stopping");
    let reply = server
        .world
        .get("/v1/subscribe?collection=notes", &server.anna)
        .await;
    assert_eq!(
        (reply.status, &*reply.code()),
        (StatusCode::SERVICE_UNAVAILABLE, "busy")
    );
}

#[tokio::test]
async fn there_is_an_end_to_subscriptions() {
    let server = Server::with(|options| {
        options.subscriptions = SubscriptionLimits {
            for_one: 2,
            in_all: 3,
        };
    })
    .await;
    let bo = server.world.token("bo").await;
    let mut streams = vec![];
    for token in [&server.anna, &server.anna, &bo] {
        let mut stream = server.subscribe(token, "collection=notes").await;
        stream.ready().await;
        streams.push(stream);
    }
    for (token, status) in [(&server.anna, "429"), (&bo, "503")] {
        let mut stream = server.subscribe(token, "collection=notes").await;
        let head = stream.head().await;
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    }
    // Who goes makes room.
    drop(streams.remove(0));
    loop {
        let mut stream = server.subscribe(&server.anna, "collection=notes").await;
        let head = stream.head().await;
        if head.starts_with("HTTP/1.1 200 ") {
            break;
        }
        assert!(head.starts_with("HTTP/1.1 429 "), "{head}");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_does_not_read_is_cut_off_with_a_reason() {
    let server = Server::with(|options| {
        options.feed = FeedLimits {
            changes: 8,
            ..FeedLimits::default()
        };
    })
    .await;
    let mut slow = server.subscribe(&server.anna, "collection=notes").await;
    let mut quick = server
        .subscribe(&server.anna, "collection=notes&fields=id")
        .await;
    slow.ready().await;
    quick.ready().await;
    // More than a connection and all buffers on the way take.
    let text = "x".repeat(512 * 1024);
    for _ in 0..32 {
        let key = server.put(json!({ "owner": "anna", "text": text })).await;
        assert_eq!(quick.expect("create").await.data["key"], key);
    }
    let mut count = 0;
    let last = loop {
        let event = slow.event().await.expect("an end");
        if event.name != "create" {
            break event;
        }
        count += 1;
    };
    assert_eq!(last.name, "end");
    assert_eq!(last.data["reason"], "too_slow");
    assert!(count < 32, "nothing was dropped silently, and not all fits");
    assert!(slow.event().await.is_none());
}

#[tokio::test]
async fn hidden_values_make_no_difference() {
    let mut streams = vec![];
    for hidden in ["one", "another thing altogether"] {
        let server = Server::new().await;
        let mut stream = server.subscribe(&server.anna, "collection=notes").await;
        let mut seen = vec![stream.ready().await.data];
        for number in 0..3 {
            let text = number.to_string();
            server
                .put(json!({ "owner": "anna", "text": text, "secret": hidden }))
                .await;
            server.put(json!({ "owner": hidden, "text": hidden })).await;
        }
        server.patch(1, json!({ "secret": hidden.repeat(2) })).await;
        server.patch(2, json!({ "owner": "anna" })).await;
        server.patch(1, json!({ "owner": hidden })).await;
        server.patch(3, json!({ "text": "end" })).await;
        for name in ["create", "create", "create", "create", "delete", "update"] {
            let event = stream.expect(name).await;
            assert_eq!(event.id.len(), 22);
            let mut data = event.data;
            data.as_object_mut().unwrap().remove("at");
            // What came into her reach is shown, of course.
            if data["key"] == 2 {
                data["record"]["text"] = Json::Null;
            }
            seen.push(data);
        }
        streams.push(seen);
    }
    assert_eq!(streams[0], streams[1]);
}
