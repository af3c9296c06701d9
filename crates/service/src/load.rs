//! Loads accounts and records from lines of JSON, as whoever holds the data folder. For examples, tests and first
//! fillings: what it makes goes through the gate like everything else.
//!
//! * `{"user": {"username", "email", "password", "roles", "profiles", "values"}}`: an account; `values` are its own
//!   columns. Names alone are required. An account from an export has `id`, `number`, `status`, `confirmed`, `provider`,
//!   `created` and `bindings` too, all of them or none. `password_hash` instead of `password` is the hash of one, as this
//!   or another system keeps it.
//! * `{"record": {"collection", "values"}}`: a record. A value `{"user": "<username>"}` stands for that account.
//! * `{"update": {"collection", "key", "values"}}`: fields of a record of an earlier line, where two point at each other.

use std::collections::{HashMap, HashSet};
use std::future::Future;
use std::io::BufRead;
use std::pin::Pin;
use std::task::Poll;

use portreeve_gate::{Caller, Past, Sent};
use portreeve_model::{Collection, CollectionId, CollectionName, FieldType, Value};
use portreeve_policy::{Binding, BoundTo};
use serde::Deserialize;
use serde_json::{Map, Value as Json};

use crate::{NewUser, PastUser, Portreeve, ServiceError, UserView, Written};

/// How many records are on their way at once, so that they share commits.
const WINDOW: usize = 512;

/// What was loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Loaded {
    /// Accounts made.
    pub users: usize,
    /// Records made.
    pub records: usize,
}

/// A line that could not be loaded. Everything before it is loaded, and nothing from it on.
#[derive(Debug, thiserror::Error)]
#[error("line {line}: {message}. The {loaded} lines before it are loaded")]
pub struct LoadError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
    /// How many lines this call has loaded, all of them before this one.
    pub loaded: usize,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Line {
    User(Box<UserLine>),
    Record(RecordLine),
    Update(UpdateLine),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserLine {
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    password: Option<String>,
    #[serde(default)]
    password_hash: Option<String>,
    #[serde(default)]
    roles: Vec<String>,
    #[serde(default)]
    profiles: Vec<String>,
    #[serde(default)]
    values: Map<String, Json>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    number: Option<i64>,
    #[serde(default)]
    status: Option<String>,
    #[serde(default)]
    confirmed: Option<bool>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    created: Option<String>,
    #[serde(default)]
    bindings: Option<Vec<BindingLine>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BindingLine {
    #[serde(default)]
    role: Option<String>,
    #[serde(default)]
    profile: Option<String>,
    #[serde(default)]
    restricted_to: Option<Vec<String>>,
    #[serde(default)]
    from: Option<String>,
    #[serde(default)]
    until: Option<String>,
    #[serde(default)]
    primary: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateLine {
    collection: String,
    key: Json,
    values: Map<String, Json>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine {
    collection: String,
    values: Map<String, Json>,
}

type Pending<'a> = Pin<Box<dyn Future<Output = Result<Written, ServiceError>> + Send + 'a>>;

impl Portreeve {
    /// Loads all lines but the first `skip`, or says which one could not be loaded: what stands before it is loaded
    /// then, and nothing from it on, so that it can be corrected and the rest loaded later.
    pub async fn load(&self, lines: impl BufRead, skip: usize) -> Result<Loaded, ServiceError> {
        let mut loading = Loading {
            portreeve: self,
            operator: self.operator(),
            users: HashMap::new(),
            loaded: Loaded::default(),
            updates: 0,
            waiting: vec![],
            under_way: HashSet::new(),
        };
        for (place, line) in lines.lines().enumerate().skip(skip) {
            let number = place + 1;
            let line = match line {
                Ok(line) => line,
                Err(error) => return Err(loading.fail(number, error.to_string()).await),
            };
            if line.trim().is_empty() {
                continue;
            }
            if let Err(message) = loading.line(number, &line).await? {
                return Err(loading.fail(number, message).await);
            }
        }
        loading.settle().await?;
        Ok(loading.loaded)
    }
}

impl Portreeve {
    /// Loads all lines, unless lines under this name were loaded into this data folder before.
    pub async fn load_once(
        &self,
        name: &str,
        lines: impl BufRead,
    ) -> Result<Option<Loaded>, ServiceError> {
        let setting = format!("loaded:{name}");
        let system = self.store.system();
        if system.setting(&setting).await?.is_some() {
            return Ok(None);
        }
        // Lines are loaded for good one after the other, so that being stopped in the middle leaves some of them.
        let begun = format!("loading:{name}");
        if system.setting(&begun).await?.is_some() {
            return Err(ServiceError::invalid(
                "load",
                format!(
                    "loading '{name}' was begun before and not finished; begin with an empty data folder, or leave it out here and load the rest with `portreeve load {name} --skip LINES`"
                ),
            ));
        }
        system.set_setting(&begun, "begun").await?;
        let loaded = self.load(lines, 0).await?;
        let said = format!("{} users, {} records", loaded.users, loaded.records);
        system.set_setting(&setting, &said).await?;
        Ok(Some(loaded))
    }
}

struct Loading<'a> {
    portreeve: &'a Portreeve,
    operator: Caller,
    // Accounts by the names lines call them.
    users: HashMap<String, UserView>,
    loaded: Loaded,
    updates: usize,
    waiting: Vec<(usize, Pending<'a>)>,
    // Keys of what is on its way, where it may be overtaken by what points at it.
    under_way: HashSet<(CollectionId, String)>,
}

impl Loading<'_> {
    // The outer error is final: a line before this one failed. The inner one is this line's.
    async fn line(
        &mut self,
        number: usize,
        text: &str,
    ) -> Result<Result<(), String>, ServiceError> {
        let line: Line = match serde_json::from_str(text) {
            Ok(line) => line,
            Err(error) => return Ok(Err(said(&error))),
        };
        match line {
            Line::User(user) => {
                self.settle().await?;
                Ok(self.user(*user).await.map_err(|error| error.to_string()))
            }
            Line::Record(record) => {
                match self.record(record).await {
                    Ok(pending) => self.waiting.push((number, pending)),
                    // An earlier line, for which this one has waited.
                    Err(error @ ServiceError::NotLoaded(_)) => return Err(error),
                    Err(error) => return Ok(Err(error.to_string())),
                }
                if self.waiting.len() >= WINDOW {
                    self.settle().await?;
                }
                Ok(Ok(()))
            }
            Line::Update(update) => {
                self.settle().await?;
                Ok(self.update(update).await.map_err(|error| error.to_string()))
            }
        }
    }

    async fn user(&mut self, mut line: UserLine) -> Result<(), ServiceError> {
        let past = past(&mut line)?;
        let new = NewUser {
            past,
            key: line.key,
            username: line.username,
            email: line.email,
            password: line.password,
            password_hash: line.password_hash,
            roles: line.roles,
            profiles: line.profiles,
            attributes: line.values,
            ..NewUser::default()
        };
        let made = self.portreeve.create_user(&self.operator, new).await?;
        self.users.insert(made.name().to_owned(), made);
        self.loaded.users += 1;
        Ok(())
    }

    async fn update(&mut self, line: UpdateLine) -> Result<(), ServiceError> {
        let name = CollectionName::parse(&line.collection).map_err(|_| ServiceError::NotFound)?;
        let key = match line.key {
            Json::String(text) => text,
            other => other.to_string(),
        };
        let sent: Sent = line.values.into_iter().collect();
        let done = self.portreeve.update(&self.operator, &name, &key, sent);
        done.await?;
        self.updates += 1;
        Ok(())
    }
}

// What an account was, where its line comes from an export.
fn past(line: &mut UserLine) -> Result<Option<PastUser>, ServiceError> {
    let said = (
        line.id.take(),
        line.number.take(),
        line.status.take(),
        line.confirmed.take(),
        line.provider.take(),
        line.created.take(),
        line.bindings.take(),
    );
    let (id, number, status, confirmed, provider, created, bindings) = match said {
        (None, None, None, None, None, None, None) => return Ok(None),
        (Some(a), Some(b), Some(c), Some(d), Some(e), Some(f), Some(g)) => (a, b, c, d, e, f, g),
        _ => {
            let message = "an account from an export has id, number, status, confirmed, provider, created and bindings: give all of them or none";
            return Err(ServiceError::invalid("user", message));
        }
    };
    if !line.roles.is_empty() || !line.profiles.is_empty() {
        let message = "stand in bindings already; leave roles and profiles out";
        return Err(ServiceError::invalid("bindings", message));
    }
    let bindings = bindings.into_iter().map(BindingLine::read);
    Ok(Some(PastUser {
        id,
        bindings: bindings.collect::<Result<_, _>>()?,
        rest: Past {
            number,
            status,
            confirmed,
            provider,
            created: moment("created", &created)?,
        },
    }))
}

fn moment(what: &str, text: &str) -> Result<i64, ServiceError> {
    Value::from_text(FieldType::Timestamp, text)
        .ok()
        .and_then(|value| value.as_integer())
        .ok_or_else(|| ServiceError::invalid(what, "is no time such as 2026-01-31T12:00:00Z"))
}

impl BindingLine {
    fn read(self) -> Result<Binding, ServiceError> {
        let to = match (self.role, self.profile) {
            (Some(role), None) => BoundTo::Role(role),
            (None, Some(profile)) => BoundTo::Profile(profile),
            _ => {
                let message = "each leads to a role or to a profile, and not to both";
                return Err(ServiceError::invalid("bindings", message));
            }
        };
        let moment = |what, text: Option<String>| text.map(|text| moment(what, &text)).transpose();
        Ok(Binding {
            to,
            restricted_to: self.restricted_to,
            from: moment("from", self.from)?,
            until: moment("until", self.until)?,
            primary: self.primary,
        })
    }
}

impl<'a> Loading<'a> {
    async fn record(&mut self, line: RecordLine) -> Result<Pending<'a>, ServiceError> {
        let unknown = || ServiceError::UnknownCollection {
            name: line.collection.clone(),
            hint: String::new(),
        };
        let name = CollectionName::parse(&line.collection).map_err(|_| unknown())?;
        let found = self.operator.snapshot().catalog().find(&name).cloned();
        let collection = found.ok_or_else(unknown)?;
        let mut sent: Sent = vec![];
        for (field, value) in line.values {
            let value = self.value(&collection, &field, value).await?;
            sent.push((field, value));
        }
        if !self.portreeve.store.writes_in_order() {
            self.keep_order(&collection, &sent).await?;
        }
        let (portreeve, operator) = (self.portreeve, self.operator.clone());
        Ok(Box::pin(async move {
            portreeve.create(&operator, &name, sent).await
        }))
    }

    // What points at a record that is on its way waits until that is there.
    async fn keep_order(
        &mut self,
        collection: &Collection,
        sent: &Sent,
    ) -> Result<(), ServiceError> {
        let points = sent.iter().any(|(name, value)| {
            let to = collection
                .find_field(name)
                .and_then(|field| collection.field(field).relation);
            to.is_some_and(|to| self.under_way.contains(&(to.target, value.to_string())))
        });
        if points {
            self.settle().await?;
        }
        let key = &collection.key_field().name;
        if let Some((_, value)) = sent.iter().find(|(name, _)| *name == **key) {
            self.under_way.insert((collection.id, value.to_string()));
        }
        Ok(())
    }

    // `{"user": name}` becomes what the field holds of that account: its id, or its number.
    async fn value(
        &mut self,
        collection: &Collection,
        field: &str,
        value: Json,
    ) -> Result<Json, ServiceError> {
        let Json::Object(object) = &value else {
            return Ok(value);
        };
        let (1, Some(Json::String(username))) = (object.len(), object.get("user")) else {
            return Ok(value);
        };
        let Some(relation) = collection
            .find_field(field)
            .and_then(|field| collection.field(field).relation)
        else {
            return Ok(value);
        };
        let users = self.operator.snapshot().catalog().get(relation.target);
        let by_number = &*users.field(relation.by).name == "number";
        if !self.users.contains_key(username) {
            let known = self.known_user(username).await?;
            self.users.insert(username.clone(), known);
        }
        let user = &self.users[username];
        Ok(if by_number {
            user.number.into()
        } else {
            user.id.clone().into()
        })
    }

    // An account that was there before.
    async fn known_user(&self, username: &str) -> Result<UserView, ServiceError> {
        let unknown = || ServiceError::UnknownUser(username.into());
        let system = self.portreeve.store.system();
        let id = self.portreeve.find_user(&self.operator, username).await?;
        let account = system.credential_facts(&id).await?.ok_or_else(unknown)?;
        let number = account
            .facts
            .attributes
            .get("number")
            .and_then(|number| number.as_integer());
        Ok(UserView {
            id,
            key: username.into(),
            number: number.ok_or_else(unknown)?,
            username: Some(username.into()),
            email: None,
            status: account.status,
            roles: vec![],
            profiles: vec![],
        })
    }

    // Waits for what is on its way.
    async fn settle(&mut self) -> Result<(), ServiceError> {
        let (numbers, waiting): (Vec<usize>, Vec<Pending<'a>>) =
            std::mem::take(&mut self.waiting).into_iter().unzip();
        self.under_way.clear();
        let mut failed: Option<(usize, String)> = None;
        let mut beyond = vec![];
        for (number, result) in numbers.into_iter().zip(all_in_order(waiting).await) {
            match result {
                Ok(_) if failed.is_none() => self.loaded.records += 1,
                Ok(written) => beyond.push(written),
                Err(error) => failed = failed.or(Some((number, error.to_string()))),
            }
        }
        let Some((line, mut message)) = failed else {
            return Ok(());
        };
        // They were on their way beside the one that failed. The last first, since they may point at each other.
        for written in beyond.iter().rev() {
            let name = &written.collection().name;
            let key = written.key_text();
            if let Err(error) = self.portreeve.delete(&self.operator, name, &key).await {
                message.push_str(&format!(
                    "; '{name}/{key}' from a later line is loaded: {error}"
                ));
            }
        }
        Err(self.error(line, message))
    }

    async fn fail(&mut self, line: usize, message: String) -> ServiceError {
        match self.settle().await {
            Ok(()) => self.error(line, message),
            // An earlier line.
            Err(error) => error,
        }
    }

    fn error(&self, line: usize, message: String) -> ServiceError {
        let loaded = self.loaded.users + self.loaded.records + self.updates;
        ServiceError::NotLoaded(Box::new(crate::LoadError {
            line,
            message,
            loaded,
        }))
    }
}

// Without the place inside the line's text, which is one line for all of them.
fn said(error: &serde_json::Error) -> String {
    format!("{error}").replace(" at line 1 column", " at column")
}

// Begins all in their order, so that the writer gets them in their order, and waits for all.
async fn all_in_order<T>(mut waiting: Vec<Pin<Box<dyn Future<Output = T> + Send + '_>>>) -> Vec<T> {
    let mut done: Vec<Option<T>> = waiting.iter().map(|_| None).collect();
    std::future::poll_fn(|context| {
        let mut all = true;
        for (future, done) in waiting.iter_mut().zip(&mut done) {
            if done.is_none() {
                match future.as_mut().poll(context) {
                    Poll::Ready(value) => *done = Some(value),
                    Poll::Pending => all = false,
                }
            }
        }
        if all { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
    done.into_iter().flatten().collect()
}
