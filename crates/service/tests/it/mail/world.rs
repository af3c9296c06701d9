//! A school whose mail goes to a server of the test's own.

use std::path::PathBuf;
use std::sync::Arc;

use portreeve_model::MICROS;
use portreeve_service::mail::{
    Delivered, Encryption, Links, MailOptions, Sender, SmtpMailer, SmtpOptions,
};
use portreeve_service::{
    BackupTo, Caller, Document, Location, NewUser, Options, Portreeve, Progress, RequestFacts,
    RestoreFrom, ServiceError, Synchronous, Watching,
};
use portreeve_store::{Store, StoreOptions};
use portreeve_testkit::postgres::{Postgres, TestDatabase};
use portreeve_testkit::smtp::{Received, SmtpSink};

use crate::home::{FakeClock, Folder, SCHOOL, entropy};

pub const SECOND: i64 = MICROS;
pub const MINUTE: i64 = 60 * SECOND;
pub const HOUR: i64 = 60 * MINUTE;

/// Where the data is.
enum Place {
    Folder(Folder),
    Postgres(Box<TestDatabase>),
}

impl Place {
    fn location(&self) -> Location {
        match self {
            Self::Folder(folder) => Location::Folder(folder.0.clone()),
            Self::Postgres(database) => Location::Postgres(database.url()),
        }
    }
}

/// Dropped in this order.
pub struct World {
    pub portreeve: Arc<Portreeve>,
    pub clock: Arc<FakeClock>,
    pub sink: SmtpSink,
    place: Place,
    // How often, so that no two draw the same.
    opened: u64,
}

impl std::ops::Deref for World {
    type Target = Portreeve;

    fn deref(&self) -> &Portreeve {
        &self.portreeve
    }
}

/// Runs a test on SQLite, and on PostgreSQL where there is one.
pub async fn on_both(test: impl AsyncFn(World)) {
    test(World::at(Place::Folder(Folder::new())).await).await;
    if let Some(server) = Postgres::find() {
        let database = Box::new(server.database());
        test(World::at(Place::Postgres(database)).await).await;
    }
}

/// Mail over this port.
pub fn mail(port: u16) -> MailOptions {
    let smtp = SmtpOptions {
        host: "127.0.0.1".into(),
        port,
        encryption: Encryption::None,
        account: None,
        hello: "school.example".into(),
    };
    MailOptions {
        mailer: Some(Arc::new(SmtpMailer::new(smtp).unwrap())),
        sender: Sender::parse("School <office@school.example>", None).unwrap(),
        server: "The School".into(),
        links: Links {
            public: Some("https://school.example".into()),
            reset: Some("https://school.example/reset".into()),
            confirm: Some("https://school.example/confirm".into()),
            invite: Some("https://school.example/#/come-in".into()),
            allowed: vec!["https://app.school.example/reset?lang=de".into()],
        },
        ..MailOptions::default()
    }
}

impl World {
    async fn at(place: Place) -> Self {
        let (clock, sink) = (Arc::new(FakeClock::new()), SmtpSink::start());
        let portreeve = open(&place, &clock, mail(sink.port()), 1).await;
        let world = Self {
            portreeve,
            clock,
            sink,
            place,
            opened: 100,
        };
        let document = Document::read("test.yaml", SCHOOL).unwrap();
        let plan = world.plan(&world.operator(), &document).await.unwrap();
        world.apply(&world.operator(), plan, false).await.unwrap();
        let root = NewUser {
            username: Some("root".into()),
            password: Some("root-password".into()),
            ..NewUser::default()
        };
        world.first_administrator(root).await.unwrap();
        world
    }

    /// A world on SQLite, for what has nothing to do with the database.
    pub async fn new() -> Self {
        Self::at(Place::Folder(Folder::new())).await
    }

    /// The same database opened anew with other options; on PostgreSQL beside the first one.
    pub async fn again(&mut self, mail: MailOptions) {
        let Place::Folder(folder) = &self.place else {
            panic!("a folder")
        };
        // The folder has to be given back first; what stands in for it meanwhile is of no use.
        let aside = Place::Folder(Folder::new());
        let other = open(&aside, &self.clock, MailOptions::default(), 9).await;
        drop(std::mem::replace(&mut self.portreeve, other));
        let place = Place::Folder(Folder(folder.0.clone()));
        self.opened += 1;
        self.portreeve = open(&place, &self.clock, mail, self.opened).await;
        std::mem::forget(place);
    }

    /// Goes back to what was there when this was asked: a backup, taken now, restored by what comes back.
    pub async fn backup(&self) -> PathBuf {
        let Place::Folder(folder) = &self.place else {
            panic!("a folder")
        };
        let file = folder.0.with_extension("backup");
        let to = BackupTo {
            location: self.place.location(),
            file: file.clone(),
            replace: true,
            program: "test",
            clock: self.clock.clone(),
        };
        portreeve_service::backup(to, unwatched()).await.unwrap();
        file
    }

    /// A world that has been restored from a backup, with the mail server there is.
    pub async fn restored(&self, file: PathBuf) -> (Folder, Arc<Portreeve>) {
        let folder = Folder::new();
        let place = Place::Folder(Folder(folder.0.join("data")));
        let from = RestoreFrom {
            file: file.clone(),
            location: place.location(),
            replace: false,
            clock: self.clock.clone(),
            entropy: entropy(5),
        };
        portreeve_service::restore(from, unwatched()).await.unwrap();
        std::fs::remove_file(file).unwrap();
        let portreeve = open(&place, &self.clock, mail(self.sink.port()), 6).await;
        std::mem::forget(place);
        (folder, portreeve)
    }

    /// Another program on the same database, where there can be one.
    pub async fn beside(&self) -> Option<Arc<Portreeve>> {
        match &self.place {
            Place::Folder(_) => None,
            Place::Postgres(_) => {
                Some(open(&self.place, &self.clock, mail(self.sink.port()), 7).await)
            }
        }
    }

    /// A digest of all there is, the audit trail apart.
    pub async fn digest(&self) -> [u8; 32] {
        let options = StoreOptions::at(self.place.location(), self.clock.clone(), entropy(3));
        let store = Store::open_read_only(options).await.unwrap();
        store.system().digest(false).await.unwrap()
    }

    /// Makes an account with the password `<name>-password` and the address `<name>@school.example`.
    pub async fn user(&self, name: &str, roles: &[&str]) -> String {
        let roles = roles.iter().copied().chain(["user"]);
        let new = NewUser {
            username: Some(name.into()),
            email: Some(format!("{name}@school.example")),
            password: Some(format!("{name}-password")),
            roles: roles.map(str::to_owned).collect(),
            ..NewUser::default()
        };
        self.create_user(&self.operator(), new).await.unwrap().id
    }

    pub async fn caller_of(&self, login: &str, password: &str) -> Caller {
        let token = self.token(login, password).await.unwrap();
        self.by_token(&token).await.unwrap()
    }

    pub async fn token(&self, login: &str, password: &str) -> Result<String, ServiceError> {
        let facts = RequestFacts::default();
        let signed_in = self.sign_in(login, password, &facts).await?;
        Ok(signed_in.token)
    }

    pub async fn by_token(&self, token: &str) -> Result<Caller, ServiceError> {
        self.caller(Some(token), RequestFacts::default()).await
    }

    /// Sends what is due.
    pub async fn deliver(&self) -> Vec<Delivered> {
        let mut delivered = vec![];
        while let Some(one) = self.deliver_next().await.unwrap() {
            delivered.push(one);
        }
        delivered
    }

    /// Sends what is due and gives the last mail that has arrived.
    pub async fn mailed(&self) -> Received {
        assert_eq!(self.deliver().await.last(), Some(&Delivered::Sent));
        self.sink.mails().pop().unwrap()
    }

    /// A code for a new password, as its reader has it.
    pub async fn reset_code(&self, login: &str) -> String {
        self.forgot_password(login, None, &crate::home::FACTS)
            .await
            .unwrap();
        self.mailed().await.code()
    }
}

fn unwatched() -> Watching<impl FnMut(Progress) + Send + 'static> {
    Watching {
        stop: Arc::default(),
        tell: |_| {},
    }
}

async fn open(
    place: &Place,
    clock: &Arc<FakeClock>,
    mail: MailOptions,
    seed: u64,
) -> Arc<Portreeve> {
    Portreeve::open(Options {
        synchronous: Synchronous::Normal,
        mail,
        ..Options::at(place.location(), clock.clone(), entropy(seed))
    })
    .await
    .unwrap()
}

/// What an error says to whoever caused it.
pub fn said<T>(result: Result<T, ServiceError>) -> String {
    match result {
        Ok(_) => panic!("it was done"),
        Err(error) => format!("{} {error}", error.code()),
    }
}

pub fn code<T>(result: Result<T, ServiceError>) -> &'static str {
    match result {
        Ok(_) => "done",
        Err(error) => error.code(),
    }
}

/// What the audit trail has of an action.
pub async fn audit(world: &World, action: &str) -> Vec<serde_json::Value> {
    let query = portreeve_model::Query {
        collection: portreeve_model::CollectionName::main("audit"),
        fields: None,
        filter: None,
        search: None,
        sort: vec![],
        page: portreeve_model::Page::Offset,
        total: false,
        expand: vec![],
    };
    let request = portreeve_service::ListRequest {
        query,
        values: vec![],
        cursor: vec![],
        limit: 1_000,
        offset: 0,
    };
    let sink = crate::home::Sink::default();
    let (sink, _) = world.list(&world.operator(), request, sink).await.unwrap();
    let rows = sink.0.into_iter();
    rows.filter(|row| row["action"] == action).collect()
}
