//! The dialogue with the mail server, and what is done when it goes wrong.

use std::sync::Arc;

use portreeve_service::mail::Delivered::{self, Again, GivenUp, Sent};
use portreeve_service::mail::{Encryption, MailOptions, SmtpMailer, SmtpOptions};
use portreeve_testkit::smtp::{At, Failing};
use serde_json::json;

use super::world::{HOUR, MINUTE, SECOND, World, audit, mail, on_both};

#[tokio::test]
async fn what_fails_for_now_is_tried_again_later_and_later() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let failures = [
            Failing::Answer(At::Greeting, 421),
            Failing::Answer(At::Mail, 451),
            Failing::Answer(At::Rcpt, 450),
            Failing::HangUp(At::Data),
            Failing::HangUp(At::Text),
            Failing::Answer(At::Text, 452),
        ];
        world
            .forgot_password("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        for (number, failing) in failures.into_iter().enumerate() {
            world.sink.fail_next(failing);
            assert_eq!(world.deliver().await, [Again], "{failing:?}");
            let pause = 10 * SECOND * 4_i64.pow(u32::try_from(number).unwrap());
            world.clock.forward(pause - 1);
            assert!(world.deliver().await.is_empty(), "{failing:?}");
            world.clock.forward(1);
        }
        assert!(world.sink.mails().is_empty());
        let mail = world.mailed().await;
        assert_eq!(world.sink.connections(), 7);
        // The code is as old as the mail in which it has arrived.
        world.clock.forward(HOUR - 1);
        world
            .reset_password(&mail.code(), "a new one".into(), &crate::home::FACTS)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_fails_for_good_is_given_up_and_written_down() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        for failing in [
            Failing::Answer(At::Rcpt, 550),
            Failing::Answer(At::Text, 554),
        ] {
            world.sink.fail_next(failing);
            world
                .forgot_password("anna", None, &crate::home::FACTS)
                .await
                .unwrap();
            assert_eq!(world.deliver().await, [GivenUp]);
            world.clock.forward(HOUR * 30);
            assert!(world.deliver().await.is_empty());
        }
        assert!(world.sink.mails().is_empty());
        let given_up = audit(&world, "mail.give_up").await;
        assert_eq!(given_up.len(), 2);
        let after = json!({ "template": "reset", "attempts": 1, "error": "550" });
        assert!(
            given_up.iter().any(|row| row["after"] == after),
            "{given_up:?}"
        );
        // Neither whom nor what.
        let all = format!("{given_up:?}");
        assert!(!all.contains("anna@") && !all.contains("prc_"), "{all}");
    })
    .await;
}

#[tokio::test]
async fn after_a_day_it_is_enough() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        world.sink.fail_always(Some(Failing::Answer(At::Rcpt, 451)));
        world
            .forgot_password("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        let mut last = vec![];
        for _ in 0..24 * 60 {
            last.extend(world.deliver().await);
            world.clock.forward(MINUTE);
        }
        last.extend(world.deliver().await);
        assert_eq!(last.pop(), Some(GivenUp));
        assert!(last.iter().all(|one| *one == Again));
        assert!((8..=12).contains(&last.len()), "{last:?}");
        assert_eq!(audit(&world, "mail.give_up").await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_server_that_has_the_mail_and_is_rude_gets_it_once() {
    let world = World::new().await;
    world.user("anna", &["student"]).await;
    world.sink.fail_next(Failing::HangUp(At::Quit));
    world
        .forgot_password("anna", None, &crate::home::FACTS)
        .await
        .unwrap();
    assert_eq!(world.deliver().await, [Sent]);
    world.clock.forward(HOUR);
    assert!(world.deliver().await.is_empty());
    assert_eq!(world.sink.mails().len(), 1);
}

#[tokio::test]
async fn a_server_that_does_not_say_whether_it_has_it_gets_it_again_under_the_same_id() {
    let world = World::new().await;
    world.user("anna", &["student"]).await;
    world.sink.fail_next(Failing::Mute);
    world
        .forgot_password("anna", None, &crate::home::FACTS)
        .await
        .unwrap();
    assert_eq!(world.deliver().await, [Again]);
    world.clock.forward(10 * SECOND);
    assert_eq!(world.deliver().await, [Sent]);
    let mails = world.sink.mails();
    let ids: Vec<_> = mails
        .iter()
        .map(|mail| mail.header("Message-ID").unwrap())
        .collect();
    assert_eq!(ids[0], ids[1]);
    // Whichever of them is read.
    world
        .reset_password(&mails[0].code(), "a new one".into(), &crate::home::FACTS)
        .await
        .unwrap();
}

#[tokio::test]
async fn two_programs_send_each_mail_once() {
    on_both(async |world: World| {
        let Some(other) = world.beside().await else {
            return;
        };
        for name in ["anna", "bo", "cleo", "dora"] {
            world.user(name, &["student"]).await;
            world
                .forgot_password(name, None, &crate::home::FACTS)
                .await
                .unwrap();
        }
        let all = async |one: Arc<portreeve_service::Portreeve>| {
            let mut sent = 0;
            while let Some(delivered) = one.deliver_next().await.unwrap() {
                assert_eq!(delivered, Delivered::Sent);
                sent += 1;
            }
            sent
        };
        let (here, there): (usize, usize) = tokio::join!(all(world.portreeve.clone()), all(other));
        assert_eq!(here + there, 4);
        let mut to: Vec<_> = world
            .sink
            .mails()
            .into_iter()
            .flat_map(|mail| mail.to)
            .collect();
        to.sort();
        to.dedup();
        assert_eq!(to.len(), 4);
    })
    .await;
}

#[tokio::test]
async fn a_mail_whose_sender_died_is_sent_by_the_next() {
    let mut world = World::new().await;
    world.user("anna", &["student"]).await;
    world
        .forgot_password("anna", None, &crate::home::FACTS)
        .await
        .unwrap();
    // Nobody answers at this door, and whoever stands before it is gone before he has given up.
    let door = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let sink = world.sink.port();
    world.again(mail(door.local_addr().unwrap().port())).await;
    let stuck = world.portreeve.clone();
    let sending = tokio::spawn(async move { stuck.deliver_next().await.map(drop) });
    let (door, _) = tokio::task::spawn_blocking(move || door.accept())
        .await
        .unwrap()
        .unwrap();
    sending.abort();
    assert!(sending.await.unwrap_err().is_cancelled());
    drop(door);
    world.again(mail(sink)).await;
    // As long as he could still be at it, he is left to it.
    assert!(world.deliver().await.is_empty());
    world.clock.forward(5 * MINUTE);
    let mail = world.mailed().await;
    world
        .reset_password(&mail.code(), "a new one".into(), &crate::home::FACTS)
        .await
        .unwrap();
}

#[tokio::test]
async fn it_signs_in_where_it_is_told_to() {
    let mut world = World::new().await;
    world.user("anna", &["student"]).await;
    let smtp = SmtpOptions {
        host: "127.0.0.1".into(),
        port: world.sink.port(),
        encryption: Encryption::None,
        account: Some(("post".into(), "öffice".into())),
        hello: "school.example".into(),
    };
    let options = MailOptions {
        mailer: Some(Arc::new(SmtpMailer::new(smtp).unwrap())),
        ..mail(0)
    };
    world.again(options).await;
    world
        .forgot_password("anna", None, &crate::home::FACTS)
        .await
        .unwrap();
    // A password that is not taken is somebody's mistake, not the mail's.
    world.sink.fail_next(Failing::Answer(At::Auth, 535));
    assert_eq!(world.deliver().await, [Again]);
    world.clock.forward(MINUTE);
    let account = world.mailed().await.account;
    assert_eq!(account, Some(("post".into(), "öffice".into())));
}

#[tokio::test]
async fn nothing_goes_out_in_the_clear_where_it_must_not() {
    let mut world = World::new().await;
    world.user("anna", &["student"]).await;
    for encryption in [Encryption::StartTls, Encryption::Tls] {
        let smtp = SmtpOptions {
            host: "127.0.0.1".into(),
            port: world.sink.port(),
            encryption,
            account: Some(("post".into(), "office".into())),
            hello: "school.example".into(),
        };
        let options = MailOptions {
            mailer: Some(Arc::new(SmtpMailer::new(smtp).unwrap())),
            ..mail(0)
        };
        world.again(options).await;
        // A server that answers a TLS greeting like a person, or offers no STARTTLS.
        world
            .sink
            .fail_next(Failing::HangUp(if encryption == Encryption::Tls {
                At::Greeting
            } else {
                At::Quit
            }));
        world
            .forgot_password("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        assert_eq!(world.deliver().await, [Again], "{encryption:?}");
        world.clock.forward(25 * HOUR);
        world.sink.fail_next(Failing::HangUp(At::Greeting));
        world.deliver().await;
    }
    assert!(world.sink.mails().is_empty());
}

#[tokio::test]
async fn no_mail_carries_more_headers_than_it_should() {
    let world = World::new().await;
    world.user("anna", &["student"]).await;
    world
        .forgot_password("anna", None, &crate::home::FACTS)
        .await
        .unwrap();
    let mut names = world.mailed().await.header_names();
    names.sort();
    assert_eq!(
        names,
        [
            "auto-submitted",
            "content-type",
            "date",
            "from",
            "message-id",
            "mime-version",
            "subject",
            "to"
        ]
    );
}
