//! A small school behind the router.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode, header};
use portreeve_model::{Clock, CollectionName, Entropy};
use portreeve_service::{Document, NewUser, Options, Portreeve};
use serde_json::{Value as Json, json};
use tower::ServiceExt;

pub const PASSWORD: &str = "correct horse";
pub const ADMIN: &str = "root";

const ACCESS: &str = r#"
collections:
  users:
    fields:
      full_name: text
  courses:
    key: { id: integer }
    fields:
      title: { type: text, required: true }
      teacher: { to: users }
      secret: text
    relations:
      grades: { many: grades, by: course }
  grades:
    key: { id: integer }
    fields:
      student: { to: users, required: true }
      course: { to: courses, required: true }
      score: integer
      weight: float
      rate: decimal(2)
      graded_at: timestamp
      comment: { type: text, unique: true }
      teacher_note: text
  shop/orders:
    key: { id: text }
    fields:
      label: text
  vault:
    key: { id: integer }
    fields:
      gold: text
roles:
  student:
    permissions:
      - allow: data.read
        on: grades
        rows: "student = $user"
        fields: [id, student, course, score, weight, rate, graded_at, comment]
      - allow: data.read
        on: courses
        rows: "title <> 'Hidden'"
        fields: [id, title, teacher]
  teacher:
    permissions:
      - allow: [data.read, data.create, data.update, data.delete]
        on: [grades, courses, shop/orders]
      - { allow: data.read, on: users, fields: [id, username, full_name] }
  # Sees everybody's grades, and the scores of those who have passed.
  prefect:
    permissions:
      - { allow: data.read, on: grades, fields: [id, course, student] }
      - { allow: data.read, on: grades, rows: "score >= 3", fields: [score] }
      - { allow: data.read, on: courses, fields: [id] }
      - { allow: data.read, on: courses, rows: "title <> 'Hidden'", fields: [title] }
  counter:
    permissions:
      - { allow: data.read.count, on: grades, rows: "score >= 3" }
"#;

struct Still(AtomicI64);

impl Clock for Still {
    fn now(&self) -> i64 {
        // Later each time, as clocks are.
        self.0.fetch_add(1_000, Ordering::Relaxed)
    }
}

struct Counted(AtomicU64);

impl Entropy for Counted {
    fn fill(&self, bytes: &mut [u8]) {
        // SplitMix64: repeatable, and no two fills alike.
        for chunk in bytes.chunks_mut(8) {
            let mut x = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
            x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            let all = (x ^ (x >> 31)).to_le_bytes();
            chunk.copy_from_slice(&all[..chunk.len()]);
        }
    }
}

/// A folder that goes when the test does.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("native-{}-{number}", std::process::id());
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = std::fs::remove_dir_all(&path);
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A Portreeve and its router.
pub struct World {
    pub portreeve: Arc<Portreeve>,
    pub router: Router,
    _folder: Folder,
}

/// An answer.
pub struct Reply {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(&self) -> Json {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The code of a problem that is one.
    pub fn code(&self) -> String {
        assert_eq!(
            self.headers[header::CONTENT_TYPE],
            "application/problem+json",
            "{}",
            self.text()
        );
        let json = self.json();
        assert_eq!(json["status"], self.status.as_u16(), "{json}");
        assert!(
            json["detail"].is_string() && json["title"].is_string(),
            "{json}"
        );
        let code = json["code"].as_str().unwrap().to_owned();
        assert_eq!(json["type"], format!("/errors/{code}"));
        code
    }

    /// A header that has to be there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }

    /// What is under `data`.
    pub fn data(&self) -> Json {
        assert!(self.status.is_success(), "{} {}", self.status, self.text());
        self.json()["data"].clone()
    }
}

impl World {
    /// An empty data folder without an administrator.
    pub async fn empty(development: bool) -> Self {
        Self::with(|options| options.development = development).await
    }

    /// The same, opened otherwise.
    pub async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let folder = Folder::new();
        let clock = Arc::new(Still(AtomicI64::new(1_763_805_296_123_456)));
        let entropy = Arc::new(Counted(AtomicU64::new(1)));
        let mut options = Options::new(&folder.0, clock, entropy);
        change(&mut options);
        let portreeve = Portreeve::open(options).await.unwrap();
        let router = portreeve_native::router(Arc::clone(&portreeve));
        Self {
            portreeve,
            router,
            _folder: folder,
        }
    }

    /// A school with an administrator, the students anna and bo, the teacher tess, courses and grades.
    pub async fn school() -> Self {
        Self::of(ACCESS).await
    }

    /// The same with other permissions for some of its roles.
    pub async fn with_roles(roles: &str) -> Self {
        let (head, _) = ACCESS.split_once("roles:\n").unwrap();
        let mut access = format!("{head}roles:\n{}\n", roles.trim_matches('\n'));
        for role in ["student", "teacher"] {
            if !roles.contains(&format!("  {role}:\n")) {
                access.push_str(&format!("  {role}: {{ permissions: [] }}\n"));
            }
        }
        Self::of(&access).await
    }

    async fn of(access: &str) -> Self {
        let world = Self::empty(false).await;
        let portreeve = &world.portreeve;
        let new = |username: &str, roles: &[&str]| NewUser {
            username: Some(username.into()),
            password: Some(PASSWORD.into()),
            roles: roles.iter().map(|role| (*role).into()).collect(),
            ..NewUser::default()
        };
        portreeve
            .first_administrator(new(ADMIN, &[]))
            .await
            .unwrap();
        let operator = portreeve.operator();
        let document = Document::read("test", access).unwrap();
        let plan = portreeve.plan(&operator, &document).await.unwrap();
        portreeve.apply(&operator, plan, false).await.unwrap();
        let operator = portreeve.operator();
        let mut ids = vec![];
        for (name, role) in [("anna", "student"), ("bo", "student"), ("tess", "teacher")] {
            ids.push(
                portreeve
                    .create_user(&operator, new(name, &[role]))
                    .await
                    .unwrap()
                    .id,
            );
        }
        for title in ["Latin", "Hidden"] {
            world
                .load(
                    "courses",
                    json!({ "title": title, "teacher": ids[2], "secret": "s" }),
                )
                .await;
        }
        // Anna has 25 grades, some without a score, some alike; Bo has 3.
        for number in 0..28_i64 {
            let values = json!({
                "student": ids[usize::from(number >= 25)],
                "course": 1 + number % 2,
                "score": if number % 5 == 0 { Json::Null } else { json!(number % 7) },
                "weight": number as f64 / 3.0,
                "rate": format!("{}.{:02}", number % 4, number),
                "graded_at": format!("2026-11-22T10:00:00.{:06}Z", number % 3),
                "comment": format!("grade {number}"),
                "teacher_note": "between us",
            });
            world.load("grades", values).await;
        }
        world
    }

    /// Makes the administrator.
    pub async fn administrator(&self) {
        let new = account(ADMIN, &[]);
        self.portreeve.first_administrator(new).await.unwrap();
    }

    /// Makes an account.
    pub async fn account(&self, name: &str, roles: &[&str]) {
        let operator = self.portreeve.operator();
        let new = account(name, roles);
        self.portreeve.create_user(&operator, new).await.unwrap();
    }

    /// Puts an access document in force, whatever data is lost.
    pub async fn apply(&self, document: &str) {
        let portreeve = &self.portreeve;
        let operator = portreeve.operator();
        let document = Document::read("test", document).unwrap();
        let plan = portreeve.plan(&operator, &document).await.unwrap();
        portreeve.apply(&operator, plan, true).await.unwrap();
    }

    /// A further account with this role; a token for it.
    pub async fn newcomer(&self, name: &str, role: &str) -> String {
        let user = NewUser {
            username: Some(name.into()),
            password: Some(PASSWORD.into()),
            roles: vec![role.into()],
            ..NewUser::default()
        };
        let operator = self.portreeve.operator();
        self.portreeve.create_user(&operator, user).await.unwrap();
        self.token(name).await
    }

    pub async fn load(&self, collection: &str, values: Json) {
        let Json::Object(values) = values else {
            panic!()
        };
        let operator = self.portreeve.operator();
        let name = CollectionName::main(collection);
        self.portreeve
            .create(&operator, &name, values.into_iter().collect())
            .await
            .unwrap();
    }

    /// A token for one of them.
    pub async fn token(&self, login: &str) -> String {
        let body = json!({ "login": login, "password": PASSWORD });
        let reply = self.post("/v1/auth/sign-in", "", &body).await;
        assert_eq!(reply.status, 200, "{}", reply.text());
        reply.json()["token"].as_str().unwrap().to_owned()
    }

    pub async fn send(&self, request: Request<Body>) -> Reply {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().into();
        let reply = Reply {
            status: parts.status,
            headers: parts.headers,
            body,
        };
        assert!(reply.headers.contains_key("x-request-id"));
        assert_eq!(reply.headers[header::CACHE_CONTROL], "no-store");
        reply
    }

    pub async fn ask(&self, method: &str, path: &str, token: &str, body: Option<&Json>) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let body = match body {
            None => Body::empty(),
            Some(json) => {
                request = request.header(header::CONTENT_TYPE, "application/json");
                Body::from(json.to_string())
            }
        };
        self.send(request.body(body).unwrap()).await
    }

    /// A request with one more header.
    pub async fn ask_if(
        &self,
        method: &str,
        path: &str,
        token: &str,
        condition: (&str, &str),
        body: Option<&Json>,
    ) -> Reply {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json")
            .header(condition.0, condition.1);
        let body = body.map_or(Body::empty(), |json| Body::from(json.to_string()));
        self.send(request.body(body).unwrap()).await
    }

    pub async fn get(&self, path: &str, token: &str) -> Reply {
        self.ask("GET", path, token, None).await
    }

    pub async fn post(&self, path: &str, token: &str, body: &Json) -> Reply {
        self.ask("POST", path, token, Some(body)).await
    }

    pub async fn patch(&self, path: &str, token: &str, body: &Json) -> Reply {
        self.ask("PATCH", path, token, Some(body)).await
    }

    pub async fn put(&self, path: &str, token: &str, body: &Json) -> Reply {
        self.ask("PUT", path, token, Some(body)).await
    }

    pub async fn delete(&self, path: &str, token: &str) -> Reply {
        self.ask("DELETE", path, token, None).await
    }

    /// A body as it is.
    pub async fn raw(
        &self,
        method: &str,
        path: &str,
        token: &str,
        kind: &str,
        body: impl Into<Body>,
    ) -> Reply {
        let mut request = Request::builder().method(method).uri(path);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        if !kind.is_empty() {
            request = request.header(header::CONTENT_TYPE, kind);
        }
        self.send(request.body(body.into()).unwrap()).await
    }
}

fn account(name: &str, roles: &[&str]) -> NewUser {
    NewUser {
        username: Some(name.into()),
        password: Some(PASSWORD.into()),
        roles: roles.iter().map(|role| (*role).into()).collect(),
        ..NewUser::default()
    }
}

/// A text as it stands in a query string.
pub fn escaped(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let one = |b: u8| {
        if plain(b) {
            char::from(b).to_string()
        } else {
            format!("%{b:02X}")
        }
    };
    text.bytes().map(one).collect()
}
