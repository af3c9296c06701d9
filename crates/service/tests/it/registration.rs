//! Signing up.

use std::sync::Arc;

use portreeve_gate::Caller;
use portreeve_policy::{BoundTo, RequestFacts};
use portreeve_service::mail::{DevelopmentOutbox, Mailer};
use portreeve_service::{NewRegistration, Registered, Registration, UNCONFIRMED};
use serde_json::{Map, json};

use crate::home::Home;

const POLICY: &str = r#"
collections:
  users:
    fields:
      form: text
      nickname: { type: text, self_writable: true }
roles:
  guest: { permissions: [] }
  boss: { administrator: true }
profiles:
  bosses: { roles: [boss] }
registration: { roles: [user, guest] }
"#;

fn open() -> Registration {
    Registration {
        open: true,
        ..Registration::default()
    }
}

fn stranger(name: &str) -> NewRegistration {
    NewRegistration {
        username: Some(name.into()),
        email: Some(format!("{name}@school.example")),
        password: format!("{name}-password"),
        attributes: Map::new(),
    }
}

async fn home(registration: Registration) -> Home {
    Home::registering(POLICY, "native", registration, &Arc::default()).await
}

async fn register(
    home: &Home,
    caller: &Caller,
    new: NewRegistration,
) -> Result<Registered, String> {
    let registered = home.register(caller, "native", new).await;
    registered.map_err(|error| error.code().to_owned())
}

#[tokio::test]
async fn it_is_closed_unless_it_is_open() {
    let home = home(open()).await;
    let nobody = home.anonymous().await;
    let before = home.digest().await;
    let elsewhere = home.register(&nobody, "other", stranger("anna")).await;
    assert_eq!(elsewhere.unwrap_err().code(), "registration_closed");
    assert_eq!(home.digest().await, before);
    let made = register(&home, &nobody, stranger("anna")).await.unwrap();
    let Registered::Ready(anna) = made else {
        panic!("{made:?}")
    };
    assert_eq!(anna.roles, ["user", "guest"]);
    assert_eq!(
        home.as_user("anna").await.user().map(|id| &**id),
        Some(&*anna.id)
    );
    assert_eq!(
        register(&home, &nobody, stranger("anna"))
            .await
            .unwrap_err(),
        "user_exists"
    );
}

#[tokio::test]
async fn a_stranger_says_nothing_of_himself_that_his_account_may_not() {
    let home = home(open()).await;
    let nobody = home.anonymous().await;
    let before = home.digest().await;
    for (column, value) in [
        ("form", json!("8a")),
        ("status", json!("active")),
        ("confirmed", json!(true)),
        ("provider", json!("google")),
        ("id", json!("0")),
        ("number", json!(1)),
        ("created", json!("2026-01-01T00:00:00Z")),
        ("key", json!("admin")),
        ("username", json!("x")),
        ("roles", json!(["admin"])),
        ("password_hash", json!("x")),
    ] {
        let mut new = stranger("anna");
        new.attributes.insert(column.into(), value);
        assert_eq!(
            register(&home, &nobody, new).await.unwrap_err(),
            "unknown_field",
            "{column}"
        );
    }
    for bad in ["me", "", "x@y.example"] {
        let new = NewRegistration {
            username: Some(bad.into()),
            ..stranger("anna")
        };
        assert_eq!(register(&home, &nobody, new).await.unwrap_err(), "invalid");
    }
    for bad in ["short", "password1", "anna@school.example"] {
        let new = NewRegistration {
            password: bad.into(),
            ..stranger("anna")
        };
        assert_eq!(register(&home, &nobody, new).await.unwrap_err(), "invalid");
    }
    assert_eq!(home.digest().await, before);
    let mut new = stranger("anna");
    new.attributes.insert("nickname".into(), json!("Annie"));
    let Ok(Registered::Ready(anna)) = register(&home, &nobody, new).await else {
        panic!("the nickname is his to say")
    };
    let anna = home.get(&home.operator(), "users", &anna.id).await.unwrap();
    assert_eq!(
        (&anna["nickname"], &anna["status"], &anna["confirmed"]),
        (&json!("Annie"), &json!("active"), &json!(false))
    );
}

#[tokio::test]
async fn nobody_becomes_an_administrator_by_signing_up() {
    for to in [
        BoundTo::Role("admin".into()),
        BoundTo::Role("boss".into()),
        BoundTo::Profile("bosses".into()),
    ] {
        let settings = Registration {
            bound_to: Some(vec![BoundTo::Role("user".into()), to]),
            ..open()
        };
        let shut = home(settings.clone()).await;
        let before = shut.digest().await;
        let nobody = shut.anonymous().await;
        let error = register(&shut, &nobody, stranger("anna")).await;
        assert_eq!(error.unwrap_err(), "registration_closed");
        assert_eq!(shut.digest().await, before);
        let agreed = home(Registration {
            privileged: true,
            ..settings
        });
        let agreed = agreed.await;
        let nobody = agreed.anonymous().await;
        register(&agreed, &nobody, stranger("anna")).await.unwrap();
    }
}

#[tokio::test]
async fn nobody_learns_by_signing_up_whose_address_is_known() {
    let outbox = Arc::<DevelopmentOutbox>::default();
    let settings = Registration {
        confirmation: true,
        ..open()
    };
    let home = Home::registering(POLICY, "native", settings, &outbox).await;
    let nobody = home.anonymous().await;
    let pending = async |new| match register(&home, &nobody, new).await {
        Ok(Registered::Pending { email }) => email,
        other => panic!("{other:?}"),
    };
    // Who was written to, in the order of their mails.
    let written_to = async || {
        while home.deliver_next().await.unwrap().is_some() {}
        let mails = outbox.kept().unwrap().into_iter();
        mails.rev().map(|mail| mail.to).collect::<Vec<_>>()
    };
    let code = || {
        let text = outbox.kept().unwrap()[0].text.clone();
        let start = text.find("prc_").unwrap();
        text[start..].split_whitespace().next().unwrap().to_owned()
    };
    let email = pending(stranger("anna")).await;
    assert_eq!(email, "anna@school.example");
    let id = home.find_user(&home.operator(), "anna").await.unwrap();
    let account = async || home.get(&home.operator(), "users", &id).await.unwrap();
    assert_eq!(account().await["status"], UNCONFIRMED);
    let facts = Default::default();
    let sign_in = async |password: &str| {
        let begun = home.sign_in("anna", password, &facts).await;
        begun.map(drop).map_err(|error| error.code())
    };
    assert_eq!(sign_in("anna-password").await, Err("wrong_credentials"));
    // Somebody else with the same address; the mail goes to it as it is stored.
    let other = NewRegistration {
        username: Some("bo".into()),
        ..stranger("ANNA")
    };
    pending(other.clone()).await;
    assert_eq!(written_to().await, ["anna@school.example"; 2]);
    let before = home.digest().await;
    let same_name = NewRegistration {
        email: Some("free@school.example".into()),
        ..stranger("anna")
    };
    for new in [same_name, stranger("anna")] {
        assert_eq!(
            register(&home, &nobody, new).await.unwrap_err(),
            "user_exists"
        );
    }
    let no_address = NewRegistration {
        email: None,
        ..stranger("cleo")
    };
    assert_eq!(
        register(&home, &nobody, no_address).await.unwrap_err(),
        "invalid"
    );
    let wrong = home
        .confirm_with(&code(), Some("ANNA-password".into()), &crate::home::FACTS)
        .await;
    assert_eq!(wrong.unwrap_err().code(), "invalid_code");
    assert_eq!(home.digest().await, before);
    home.confirm_with(&code(), Some("anna-password".into()), &crate::home::FACTS)
        .await
        .unwrap();
    let now = account().await;
    assert_eq!(
        (&now["status"], &now["confirmed"]),
        (&json!("active"), &json!(true))
    );
    sign_in("anna-password").await.unwrap();
    // Whoever has a confirmed address hears nothing of it any more. A name is told to be taken by then, and whether it was
    // first used with a known address or a free one makes no difference.
    let named = |name: &str, address: &str| NewRegistration {
        username: Some(name.into()),
        email: Some(format!("{address}@school.example")),
        ..stranger("x")
    };
    for (name, first, then) in [("cy", "anna", "dora"), ("eva", "flo", "anna")] {
        pending(named(name, first)).await;
        let taken = register(&home, &nobody, named(name, then)).await;
        assert_eq!(taken.unwrap_err(), "user_exists", "{name}");
    }
    assert_eq!(
        written_to().await,
        [
            "anna@school.example",
            "anna@school.example",
            "flo@school.example"
        ]
    );
    // Nobody signs in to what was made for the sake of its name.
    let begun = home.sign_in("cy", "x-password", &Default::default()).await;
    assert_eq!(
        begun.err().map(|error| error.code()),
        Some("wrong_credentials")
    );
}

#[tokio::test]
async fn who_signs_up_with_anothers_address_does_not_get_his_account() {
    let outbox = Arc::<DevelopmentOutbox>::default();
    let settings = Registration {
        confirmation: true,
        ..open()
    };
    let home = Home::registering(POLICY, "native", settings, &outbox).await;
    let nobody = home.anonymous().await;
    let thief = NewRegistration {
        username: Some("thief".into()),
        ..stranger("anna")
    };
    register(&home, &nobody, thief).await.unwrap();
    while home.deliver_next().await.unwrap().is_some() {}
    let text = outbox.kept().unwrap()[0].text.clone();
    let start = text.find("prc_").unwrap();
    let code = text[start..].split_whitespace().next().unwrap();
    // Anna believes it is hers.
    home.confirm(code, &crate::home::FACTS).await.unwrap();
    for login in ["thief", "anna@school.example"] {
        let begun = home
            .sign_in(login, "anna-password", &crate::home::FACTS)
            .await;
        assert_eq!(begun.map(drop).unwrap_err().code(), "wrong_credentials");
    }
}

#[tokio::test]
async fn who_only_looks_like_somebody_is_somebody_else() {
    let home = home(open()).await;
    let nobody = home.anonymous().await;
    // A Kelvin sign, a dotless i, a Cyrillic a, a full-width a, an accent.
    let looks = [
        "kim",
        "\u{212a}im",
        "k\u{131}m",
        "k\u{456}m",
        "\u{ff4b}im",
        "k\u{ed}m",
    ];
    for name in looks {
        register(&home, &nobody, stranger(name)).await.unwrap();
    }
    let mut found = vec![];
    for name in looks {
        let login = format!("{name}@school.example");
        let password = format!("{name}-password");
        let signed_in = home.sign_in(&login, &password, &crate::home::FACTS).await;
        found.push(signed_in.unwrap().user.to_string());
        for other in looks.iter().filter(|other| **other != name) {
            let login = format!("{other}@school.example");
            let wrong = home.sign_in(&login, &password, &crate::home::FACTS).await;
            assert_eq!(wrong.map(drop).unwrap_err().code(), "wrong_credentials");
        }
    }
    found.sort();
    found.dedup();
    assert_eq!(found.len(), looks.len());
    let facts = Default::default();
    let shout = home
        .sign_in("KIM@SCHOOL.example", "kim-password", &facts)
        .await;
    assert!(shout.is_ok());
}

#[tokio::test]
async fn one_network_makes_so_many_accounts_and_no_more_t53() {
    let home = home(open()).await;
    let from = async |address: &str| {
        let request = RequestFacts {
            ip: Some(address.parse().unwrap()),
            ..RequestFacts::default()
        };
        home.caller(None, request).await.unwrap()
    };
    let mut made = 0;
    for number in 0..64 {
        let caller = from(&format!("2001:db8::{number:x}:1")).await;
        // What is refused costs as much as what is done: names are not tried out either.
        let name = format!("guest{}", number / 2);
        match register(&home, &caller, stranger(&name)).await {
            Ok(_) => made += 1,
            Err(code) => assert_eq!(
                code,
                if number < 60 {
                    "user_exists"
                } else {
                    "throttled"
                }
            ),
        }
    }
    assert_eq!(made, 30);
    let before = home.digest().await;
    let here = from("2001:db8::ffff").await;
    let refused = register(&home, &here, stranger("last")).await;
    assert_eq!(refused.unwrap_err(), "throttled");
    assert_eq!(home.digest().await, before);
    let elsewhere = from("2001:db8:0:1::1").await;
    register(&home, &elsewhere, stranger("last")).await.unwrap();
}
