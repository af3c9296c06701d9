//! How often one may try, and who is kept out by others who try (catalogue T42, T53).

use portreeve_service::{Limit, RequestFacts, ServiceError};

use crate::home::{Home, SCHOOL};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;

fn from(address: &str) -> RequestFacts {
    RequestFacts {
        ip: Some(address.parse().unwrap()),
        ..RequestFacts::default()
    }
}

async fn attempt(home: &Home, login: &str, password: &str, address: &str) -> String {
    match home.sign_in(login, password, &from(address)).await {
        Ok(_) => "ok".into(),
        Err(error @ ServiceError::Throttled { .. }) => error.to_string(),
        Err(error) => error.code().into(),
    }
}

const SLOW: &str = "too many attempts in too short a time; try again in 6 s";

async fn school() -> Home {
    let home = Home::school().await;
    let new = portreeve_service::NewUser {
        username: Some("anna".into()),
        email: Some("anna@school.example".into()),
        password: Some("anna-password".into()),
        roles: vec!["student".into()],
        ..Default::default()
    };
    home.create_user(&home.operator(), new).await.unwrap();
    home
}

#[tokio::test]
async fn known_and_unknown_names_are_slowed_alike_t42() {
    let home = school().await;
    let mut answers = vec![];
    for (login, address) in [("anna", "192.0.2.1"), ("nobody", "192.0.2.2")] {
        let mut told = vec![];
        for _ in 0..12 {
            told.push(attempt(&home, login, "wrong", address).await);
        }
        home.clock.forward(6 * SECOND);
        told.push(attempt(&home, login, "wrong", address).await);
        told.push(attempt(&home, login, "wrong", address).await);
        answers.push(told);
    }
    assert_eq!(answers[0], answers[1]);
    let expected: Vec<&str> = std::iter::repeat_n("wrong_credentials", 10)
        .chain([SLOW, SLOW, "wrong_credentials", SLOW])
        .collect();
    assert_eq!(answers[0], expected);
}

#[tokio::test]
async fn however_a_name_is_written_it_is_one_t53() {
    let home = school().await;
    let names = ["anna", "ANNA", " anna ", "Anna\t"];
    for round in 0..10 {
        let answer = attempt(&home, names[round % names.len()], "wrong", "192.0.2.1").await;
        assert_eq!(answer, "wrong_credentials");
    }
    assert_eq!(
        attempt(&home, "anna", "anna-password", "192.0.2.1").await,
        SLOW
    );
}

#[tokio::test]
async fn name_and_address_of_an_account_share_a_counter_t53() {
    let home = school().await;
    for round in 0..10 {
        let name = if round % 2 == 0 {
            "anna"
        } else {
            "anna@school.example"
        };
        assert_eq!(
            attempt(&home, name, "wrong", "192.0.2.1").await,
            "wrong_credentials"
        );
    }
    for name in ["anna", "anna@school.example"] {
        assert_eq!(attempt(&home, name, "wrong", "192.0.2.1").await, SLOW);
    }
}

#[tokio::test]
async fn of_ipv6_one_has_a_whole_network_t53() {
    let home = school().await;
    for host in 0..10 {
        let address = format!("2001:db8::{host:x}:1");
        assert_eq!(
            attempt(&home, "anna", "wrong", &address).await,
            "wrong_credentials"
        );
    }
    assert_eq!(
        attempt(&home, "anna", "wrong", "2001:db8::ffff").await,
        SLOW
    );
    assert_eq!(
        attempt(&home, "anna", "wrong", "2001:db8:0:1::1").await,
        "wrong_credentials"
    );
}

#[tokio::test]
async fn one_address_cannot_try_many_names() {
    let home = school().await;
    for number in 0..60 {
        let answer = attempt(&home, &format!("user{number}"), "wrong", "192.0.2.1").await;
        assert_eq!(answer, "wrong_credentials");
    }
    let refused = home.sign_in("another", "wrong", &from("192.0.2.1")).await;
    assert!(matches!(
        refused,
        Err(ServiceError::Throttled { seconds: 1 })
    ));
}

#[tokio::test]
async fn attempts_at_the_same_time_do_not_get_past_it_t53() {
    let mut home = school().await;
    // Fewer than there are places for hashing.
    home.reopen(|options| options.throttle.per_name = Limit::per_minute(4))
        .await
        .unwrap();
    let mut tries = tokio::task::JoinSet::new();
    for number in 0..200 {
        let portreeve = home.portreeve.clone();
        tries.spawn(async move {
            // From many addresses, so that it is the name that is counted.
            let facts = from(&format!("198.51.100.{number}"));
            portreeve
                .sign_in("anna", "wrong", &facts)
                .await
                .err()
                .unwrap()
                .code()
        });
    }
    let all = tries.join_all().await;
    let count = |code: &str| all.iter().filter(|told| **told == code).count();
    let tried = count("wrong_credentials");
    assert!((1..=4).contains(&tried), "{tried}");
    // What was not tried because of all the others was not counted.
    assert_eq!(tried + count("throttled") + count("busy"), all.len());
    assert!(count("throttled") > 0);
}

#[tokio::test]
async fn who_has_been_here_before_is_not_locked_out_t53() {
    let home = school().await;
    assert_eq!(
        attempt(&home, "anna", "anna-password", "203.0.113.7").await,
        "ok"
    );
    let storm = async || {
        for number in 0..40 {
            attempt(&home, "anna", "wrong", &format!("198.51.100.{number}")).await;
        }
    };
    storm().await;
    // Strangers have used up what strangers have.
    let stranger = home
        .sign_in("anna", "anna-password", &from("192.0.2.99"))
        .await;
    assert!(matches!(stranger, Err(ServiceError::Throttled { .. })));
    assert_eq!(
        attempt(&home, "anna", "anna-password", "203.0.113.7").await,
        "ok"
    );
    // What he has himself is counted.
    for _ in 0..10 {
        assert_eq!(
            attempt(&home, "anna", "wrong", "203.0.113.7").await,
            "wrong_credentials"
        );
    }
    assert_eq!(
        attempt(&home, "anna", "anna-password", "203.0.113.7").await,
        SLOW
    );
    // It is known after a restart too, by the sessions there are.
    let mut home = home;
    home.reopen(|_| ()).await.unwrap();
    for number in 0..40 {
        attempt(&home, "anna", "wrong", &format!("198.51.100.{number}")).await;
    }
    assert_eq!(
        attempt(&home, "anna", "anna-password", "203.0.113.7").await,
        "ok"
    );
}

#[tokio::test]
async fn those_who_come_in_use_nothing_up() {
    let home = school().await;
    for _ in 0..50 {
        assert_eq!(
            attempt(&home, "anna", "anna-password", "192.0.2.1").await,
            "ok"
        );
    }
    let budget = home
        .sign_in_budget("anna", Some("192.0.2.1".parse().unwrap()))
        .unwrap();
    assert_eq!(
        (budget.limit, budget.remaining, budget.window, budget.reset),
        (10, 10, 60, 0)
    );
    attempt(&home, "anna", "wrong", "192.0.2.1").await;
    let budget = home
        .sign_in_budget(" ANNA", Some("192.0.2.1".parse().unwrap()))
        .unwrap();
    assert_eq!((budget.remaining, budget.reset), (9, 6));
}

#[tokio::test]
async fn the_requests_of_a_profiles_holders_are_limited() {
    let policy = format!(
        "{SCHOOL}{}",
        r#"
profiles:
  slow: { roles: [student], rate_limit: 3 }
  quicker: { roles: [student], rate_limit: 5 }
  free: { roles: [student] }
"#
    );
    let home = Home::with(&policy).await;
    for (name, profiles, limit) in [
        ("anna", &["slow"][..], Some(3)),
        ("bo", &["slow", "quicker"], Some(5)),
        ("cleo", &["slow", "free"], None),
        ("dan", &[], None),
    ] {
        let new = portreeve_service::NewUser {
            username: Some(name.into()),
            password: Some(format!("{name}-password")),
            roles: if profiles.is_empty() {
                vec!["student".into()]
            } else {
                vec![]
            },
            profiles: profiles.iter().map(ToString::to_string).collect(),
            ..Default::default()
        };
        home.create_user(&home.operator(), new).await.unwrap();
        let (one, two) = (
            home.session(name).await.token,
            home.session(name).await.token,
        );
        let mut good = 0;
        for round in 0..10 {
            // Two sessions of one account are one.
            let token = if round % 2 == 0 { &one } else { &two };
            match home.by_token(token).await {
                Ok(_) => good += 1,
                Err(error) => assert_eq!(error.code(), "throttled"),
            }
        }
        assert_eq!(good, limit.unwrap_or(10), "{name}");
        let budget = home.request_budget(&one, "native");
        assert_eq!(
            budget.map(|budget| budget.remaining),
            limit.map(|_| 0),
            "{name}"
        );
        home.clock.forward(MINUTE);
        home.by_token(&one).await.unwrap();
    }
}
