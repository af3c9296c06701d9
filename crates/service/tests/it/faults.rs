//! What fails lets nobody in, leaves nothing half done, and works again by itself (catalogue T67).

use std::sync::Arc;

use portreeve_service::mail::{DevelopmentOutbox, MailOptions, Mailer};
use portreeve_service::{
    CheckRequest, Document, Faces, Limit, NewRegistration, NewUser, Options, OwnChange,
    OwnPassword, Portreeve, Registration, RequestFacts, ServiceError, Synchronous,
    ThrottleSettings,
};
use portreeve_store::{Location, Store, StoreOptions};
use portreeve_testkit::postgres::{Postgres, Settings};
use serde_json::Map;

use crate::home::{FACTS, FakeClock, SCHOOL, entropy, name};

const SECOND: i64 = 1_000_000;

fn options(url: &str, clock: &Arc<FakeClock>, outbox: &Arc<DevelopmentOutbox>) -> Options {
    let open = Registration {
        open: true,
        ..Registration::default()
    };
    let few = Limit::per_minute(6);
    let mut faces = Faces::default();
    faces.get_mut("native").unwrap().registration = open;
    Options {
        synchronous: Synchronous::Normal,
        faces,
        throttle: ThrottleSettings {
            per_address: few,
            per_name_and_address: few,
            per_name: few,
            ..ThrottleSettings::default()
        },
        mail: MailOptions {
            mailer: Some(outbox.clone() as Arc<dyn Mailer>),
            ..MailOptions::default()
        },
        ..Options::at(Location::Postgres(url.into()), clock.clone(), entropy(1))
    }
}

async fn digest(url: &str, clock: &Arc<FakeClock>) -> [u8; 32] {
    let location = Location::Postgres(url.into());
    let options = StoreOptions::at(location, clock.clone(), entropy(2));
    let store = Store::open_read_only(options).await.unwrap();
    store.system().digest(true).await.unwrap()
}

// Everything that may be asked without the database knowing anything of it.
async fn everything(portreeve: &Portreeve, token: &str) -> Vec<(&'static str, ServiceError)> {
    let mut told = vec![];
    let mut tell = |what: &'static str, result: Result<(), ServiceError>| {
        told.push((what, result.expect_err(what)));
    };
    let facts = &*FACTS;
    let signed_in = portreeve.sign_in("anna", "anna-password", facts).await;
    tell("sign in", signed_in.map(drop));
    let caller = portreeve.caller(Some(token), RequestFacts::default()).await;
    tell("come with a token", caller.map(drop));
    let unknown = format!("{}AAAAAAAA", &token[..token.len() - 8]);
    let stranger = portreeve.caller(Some(&unknown), RequestFacts::default());
    tell("come with another token", stranger.await.map(drop));
    tell("sign out", portreeve.sign_out(token, facts).await);
    let forgot = portreeve.forgot_password("anna", None, facts).await;
    tell("forget a password", forgot);
    let code = format!("prc_{}", "A".repeat(43));
    let password = || "another-password".to_owned();
    let reset = portreeve.reset_password(&code, password(), facts).await;
    tell("reset a password", reset);
    tell("confirm", portreeve.confirm(&code, facts).await);
    let accept = portreeve
        .accept_invitation(&code, password(), None, facts)
        .await;
    tell("accept", accept);
    let nobody = portreeve.caller(None, RequestFacts::default()).await;
    let new = NewRegistration {
        username: Some("new".into()),
        email: None,
        password: password(),
        attributes: Map::new(),
    };
    let nobody = nobody.expect("nobody is somebody without a database");
    let registered = portreeve.register(&nobody, "native", new).await;
    tell("sign up", registered.map(drop));
    let check = CheckRequest {
        action: "read".into(),
        collection: Some("posts".into()),
        key: Some("1".into()),
        ..CheckRequest::default()
    };
    let checked = portreeve.check(&nobody, &check).await;
    tell("check", checked.map(drop));
    let operator = portreeve.operator();
    let user = NewUser {
        username: Some("new".into()),
        password: Some(password()),
        ..NewUser::default()
    };
    let made = portreeve.create_user(&operator, user).await;
    tell("make an account", made.map(drop));
    let put = portreeve
        .create(
            &operator,
            &name("posts"),
            vec![("title".into(), "never".into())],
        )
        .await;
    tell("write", put.map(drop));
    told
}

#[tokio::test]
async fn while_the_database_is_away_nobody_is_let_in_and_nothing_is_done_t67() {
    let Some(server) = Postgres::private(Settings::default()) else {
        return;
    };
    let database = server.database();
    let (clock, outbox) = (Arc::new(FakeClock::new()), Arc::default());
    let portreeve = Portreeve::open(options(&database.url(), &clock, &outbox))
        .await
        .unwrap();
    let document = Document::read("test.yaml", SCHOOL).unwrap();
    let operator = portreeve.operator();
    let plan = portreeve.plan(&operator, &document).await.unwrap();
    portreeve.apply(&operator, plan, false).await.unwrap();
    for (user, role) in [("root", "admin"), ("anna", "user")] {
        let new = NewUser {
            username: Some(user.into()),
            password: Some(format!("{user}-password")),
            roles: vec![role.into()],
            ..NewUser::default()
        };
        match user {
            "root" => portreeve.first_administrator(new).await.map(drop),
            _ => {
                let operator = portreeve.operator();
                portreeve.create_user(&operator, new).await.map(drop)
            }
        }
        .unwrap();
    }
    let session = portreeve
        .sign_in("anna", "anna-password", &FACTS)
        .await
        .unwrap();
    let anna = portreeve
        .caller(Some(&session.token), RequestFacts::default())
        .await
        .unwrap();
    let before = digest(&database.url(), &clock).await;

    for _ in 0..2 {
        server.stop_immediate();
        // More often than anybody may try: what could not be tried is not counted.
        for _ in 0..10 {
            let told = everything(&portreeve, &session.token).await;
            for (what, error) in &told {
                assert_eq!(error.code(), "unavailable", "{what}: {error}");
                let text = error.to_string();
                assert!(
                    !text.contains("password") && !text.contains("postgres"),
                    "{text}"
                );
            }
        }
        // Somebody who was let in before does nothing either.
        let change = OwnChange {
            username: Some("other".into()),
            ..OwnChange::default()
        };
        let passwords = OwnPassword {
            current: Some("anna-password".into()),
            new: "another-password".into(),
            keeps: true,
            ends: true,
        };
        for refused in [
            portreeve.update_own(&anna, change).await.map(drop),
            portreeve.change_password(&anna, passwords).await,
            portreeve
                .delete_own(&anna, Some("anna-password".into()))
                .await,
        ] {
            assert_eq!(refused.unwrap_err().code(), "unavailable");
        }
        clock.forward(SECOND);
        server.start();
        assert_eq!(digest(&database.url(), &clock).await, before);
    }
    // Nobody has to be told that it is there again.
    let again = portreeve.sign_in("anna", "anna-password", &FACTS).await;
    again.unwrap();
    portreeve
        .caller(Some(&session.token), RequestFacts::default())
        .await
        .unwrap();
    portreeve
        .forgot_password("anna", None, &FACTS)
        .await
        .unwrap();
}
