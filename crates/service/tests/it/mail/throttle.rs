//! How often codes and passwords may be tried and mails be asked for, beside signing in (catalogue T42, T43, T53).

use portreeve_service::{Caller, OwnPassword, RequestFacts, ServiceError};

use super::world::{HOUR, SECOND, World, code, on_both};

fn from(address: &str) -> RequestFacts {
    RequestFacts {
        ip: Some(address.parse().unwrap()),
        ..RequestFacts::default()
    }
}

async fn as_from(world: &World, name: &str, address: &str) -> Caller {
    let request = from(address);
    let password = format!("{name}-password");
    let session = world.sign_in(name, &password, &request).await.unwrap();
    world.caller(Some(&session.token), request).await.unwrap()
}

// What each way that asks for one's own password says to a wrong one.
async fn guess(world: &World, caller: &Caller, way: usize) -> &'static str {
    let wrong = || "no-such-password".to_owned();
    let told: Result<(), ServiceError> = match way % 3 {
        0 => {
            let passwords = OwnPassword {
                current: Some(wrong()),
                new: "another-password".into(),
                keeps: true,
                ends: true,
            };
            world.change_password(caller, passwords).await
        }
        1 => world.delete_own(caller, Some(wrong())).await,
        _ => {
            world
                .change_email(caller, "new@home.example", wrong(), None)
                .await
        }
    };
    told.unwrap_err().code()
}

#[tokio::test]
async fn a_stolen_session_finds_no_password_out_by_any_door_t53() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let thief = as_from(&world, "anna", "192.0.2.1").await;
        let before = world.digest().await;
        let mut told = vec![];
        for way in 0..12 {
            told.push(guess(&world, &thief, way).await);
        }
        assert!(
            told[..10].iter().all(|code| *code != "throttled"),
            "{told:?}"
        );
        assert_eq!(told[10..], ["throttled", "throttled"]);
        // Signing in is the same door.
        let signed_in = world
            .sign_in("anna", "anna-password", &from("192.0.2.1"))
            .await;
        assert_eq!(code(signed_in.map(drop)), "throttled");
        // From another address of the same network too; from elsewhere the owner comes in.
        assert_eq!(world.digest().await, before);
        let owner = world
            .sign_in("anna", "anna-password", &from("203.0.113.7"))
            .await;
        assert_eq!(code(owner.map(drop)), "done");
        world.clock.forward(6 * SECOND);
        assert_eq!(guess(&world, &thief, 0).await, "invalid");
        assert_eq!(guess(&world, &thief, 0).await, "throttled");
    })
    .await;
}

#[tokio::test]
async fn guesses_at_the_same_time_do_not_get_past_it_t53() {
    let world = World::new().await;
    world.user("anna", &["student"]).await;
    let thief = as_from(&world, "anna", "192.0.2.1").await;
    let mut tries = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (portreeve, thief) = (world.portreeve.clone(), thief.clone());
        tries.spawn(async move {
            let told = portreeve.delete_own(&thief, Some("wrong".into())).await;
            told.unwrap_err().code()
        });
    }
    let all = tries.join_all().await;
    let count = |code: &str| all.iter().filter(|told| **told == code).count();
    assert!((1..=10).contains(&count("invalid")), "{all:?}");
    assert_eq!(
        count("invalid") + count("throttled") + count("busy"),
        all.len()
    );
}

#[tokio::test]
async fn right_passwords_and_good_codes_use_nothing_up() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        for round in 0..15 {
            let anna = as_from(&world, "anna", "192.0.2.1").await;
            let passwords = OwnPassword {
                current: Some("anna-password".into()),
                new: "anna-password".into(),
                keeps: false,
                ends: true,
            };
            let changed = world.change_password(&anna, passwords).await;
            assert_eq!(code(changed), "done", "{round}");
        }
    })
    .await;
}

#[tokio::test]
async fn codes_are_tried_so_often_from_one_network_t43_t53() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let good = world.reset_code("anna").await;
        let unknown = format!("prc_{}", "A".repeat(43));
        for round in 0..60 {
            // Each of another address of one network, by whichever door.
            let request = from(&format!("2001:db8::{round:x}:1"));
            let password = || "some-password".to_owned();
            let told = match round % 3 {
                0 => world.reset_password(&unknown, password(), &request).await,
                1 => world.confirm(&unknown, &request).await,
                _ => {
                    world
                        .accept_invitation(&unknown, password(), None, &request)
                        .await
                }
            };
            assert_eq!(code(told), "invalid_code", "{round}");
        }
        let here = from("2001:db8::ffff");
        let refused = world.confirm(&unknown, &here).await;
        assert!(matches!(
            refused,
            Err(ServiceError::Throttled { seconds: 1 })
        ));
        // Nothing is used up by one that is not tried, and nobody else is kept out.
        let late = world
            .reset_password(&good, "anna-other-password".into(), &here)
            .await;
        assert_eq!(code(late), "throttled");
        let elsewhere = from("2001:db8:0:1::1");
        let done = world
            .reset_password(&good, "anna-other-password".into(), &elsewhere)
            .await;
        assert_eq!(code(done), "done");
    })
    .await;
}

#[tokio::test]
async fn mails_are_asked_for_so_often_from_one_network_and_alike_for_everybody_t42_t53() {
    let world = World::new().await;
    world.user("anna", &["student"]).await;
    let mut answers = vec![];
    for (login, address) in [("anna", "192.0.2.1"), ("nobody", "192.0.2.2")] {
        let request = from(address);
        let mut told = vec![];
        for round in 0..62 {
            let asked = match round % 2 {
                0 => world.forgot_password(login, None, &request).await,
                _ => world.send_confirmation(login, None, &request).await,
            };
            told.push(match asked {
                Ok(()) => "done".to_owned(),
                Err(error) => error.to_string(),
            });
        }
        answers.push(told);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0][..60], ["done"; 60]);
    for told in &answers[0][60..] {
        assert!(told.contains("try again in 60 s"), "{told}");
    }
    // What cannot be meant is not counted.
    let request = from("192.0.2.3");
    for _ in 0..10 {
        let bad = world.forgot_password("a\nb", None, &request).await;
        assert_eq!(code(bad), "invalid");
    }
    assert_eq!(
        code(world.forgot_password("anna", None, &request).await),
        "done"
    );
}

#[tokio::test]
async fn nobody_has_the_old_address_flooded_t53() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let anna = as_from(&world, "anna", "192.0.2.1").await;
        let mut told = vec![];
        for round in 0..7 {
            let to = format!("new{round}@home.example");
            let asked = world.change_email(&anna, &to, "anna-password".into(), None);
            told.push(code(asked.await));
        }
        assert_eq!(told[..5], ["done"; 5]);
        assert_eq!(told[5..], ["throttled"; 2]);
        while !world.deliver().await.is_empty() {}
        let mails = world.sink.mails();
        let old = mails
            .iter()
            .filter(|mail| mail.to == ["anna@school.example"]);
        assert_eq!(old.count(), 5);
        world.clock.forward(HOUR);
        let asked = world.change_email(&anna, "last@home.example", "anna-password".into(), None);
        assert_eq!(code(asked.await), "done");
    })
    .await;
}
