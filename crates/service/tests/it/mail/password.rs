//! A forgotten password.

use portreeve_service::NewUser;
use portreeve_service::mail::Delivered;

use super::world::{HOUR, MINUTE, SECOND, World, audit, code, on_both, said};

#[tokio::test]
async fn a_forgotten_password_is_set_anew_by_what_the_mail_says() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let before = world.token("anna", "anna-password").await.unwrap();
        world
            .forgot_password("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        let mail = world.mailed().await;
        assert_eq!(mail.to, ["anna@school.example"]);
        assert_eq!(mail.from, "office@school.example");
        assert_eq!(
            mail.header("Subject").as_deref(),
            Some("Set a new password for The School")
        );
        let secret = mail.code();
        let link = format!("https://school.example/reset?code={secret}");
        assert!(mail.text().contains(&link), "{}", mail.text());
        assert!(
            mail.text()
                .contains("until 2026-01-01 01:00 UTC (for 1 hour)")
        );
        assert!(
            mail.part("text/html")
                .unwrap()
                .contains(&format!("href=\"{link}\""))
        );
        world.by_token(&before).await.unwrap();

        world
            .reset_password(&secret, "a new one".into(), &crate::home::FACTS)
            .await
            .unwrap();
        assert_eq!(code(world.by_token(&before).await), "invalid_token");
        assert_eq!(
            code(world.token("anna", "anna-password").await),
            "wrong_credentials"
        );
        let after = world.caller_of("anna@school.example", "a new one").await;
        // Whoever has read the mail has the address.
        let confirmed = after.context().attribute("confirmed");
        assert_eq!(confirmed, portreeve_model::Value::Boolean(true));
        // And once is all.
        let again = world
            .reset_password(&secret, "another one".into(), &crate::home::FACTS)
            .await;
        assert_eq!(code(again), "invalid_code");
        assert_eq!(
            code(world.token("anna", "another one").await),
            "wrong_credentials"
        );
    })
    .await;
}

#[tokio::test]
async fn whoever_asks_is_told_nothing_and_who_is_not_there_gets_nothing() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let nameless = NewUser {
            username: Some("bo".into()),
            password: Some("bo-password".into()),
            ..NewUser::default()
        };
        world
            .create_user(&world.operator(), nameless)
            .await
            .unwrap();
        let before = world.digest().await;
        for login in [
            "nobody",
            "nobody@school.example",
            "bo",
            "ANNA",
            "anna@school.example ",
            "änna@school.example",
            "anna@schoöl.example",
            "anna@school.example,x@y.example",
        ] {
            world
                .forgot_password(login, None, &crate::home::FACTS)
                .await
                .unwrap();
            world
                .send_confirmation(login, None, &crate::home::FACTS)
                .await
                .unwrap();
            assert_eq!(
                world.deliver().await,
                [Delivered::Dropped, Delivered::Dropped],
                "{login}"
            );
        }
        // Not even what was typed is kept.
        assert_eq!(world.digest().await, before);
        assert!(world.sink.mails().is_empty());
        // It goes where the account says, not where whoever asks would like.
        world
            .forgot_password("Anna@School.Example", None, &crate::home::FACTS)
            .await
            .unwrap();
        assert_eq!(world.mailed().await.to, ["anna@school.example"]);
    })
    .await;
}

#[tokio::test]
async fn a_code_is_good_once_however_many_use_it_at_once() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let secret = world.reset_code("anna").await;
        let other = world
            .beside()
            .await
            .unwrap_or_else(|| world.portreeve.clone());
        let one = world.reset_password(&secret, "the first one".into(), &crate::home::FACTS);
        let two = other.reset_password(&secret, "the second one".into(), &crate::home::FACTS);
        let (one, two) = tokio::join!(one, two);
        let mut codes = [code(one), code(two)];
        let winner = if codes[0] == "done" {
            "the first one"
        } else {
            "the second one"
        };
        codes.sort_unstable();
        assert_eq!(codes, ["done", "invalid_code"]);
        world.token("anna", winner).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn what_is_no_good_code_is_all_the_same() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        world.user("bo", &["student"]).await;
        let good = world.reset_code("anna").await;
        world
            .send_confirmation("bo", None, &crate::home::FACTS)
            .await
            .unwrap();
        let of_another_purpose = world.mailed().await.code();
        let before = world.digest().await;
        let never = format!("prc_{}", "A".repeat(43));
        let cut = &good[..good.len() - 1];
        let same = said(
            world
                .reset_password(&never, "a new one".into(), &crate::home::FACTS)
                .await,
        );
        assert!(same.starts_with("invalid_code "), "{same}");
        for bad in [
            "",
            "prc_",
            "%",
            "{\"$ne\":null}",
            cut,
            &of_another_purpose,
            &good.to_uppercase(),
            &format!("{good} "),
        ] {
            assert_eq!(
                said(
                    world
                        .reset_password(bad, "a new one".into(), &crate::home::FACTS)
                        .await
                ),
                same,
                "{bad}"
            );
        }
        assert_eq!(
            code(world.confirm(&good, &crate::home::FACTS).await),
            "invalid_code"
        );
        let accepted = world
            .accept_invitation(&good, "a new one".into(), None, &crate::home::FACTS)
            .await;
        assert_eq!(code(accepted), "invalid_code");
        // A password that will not do does not use it up.
        assert_eq!(
            code(
                world
                    .reset_password(&good, "short".into(), &crate::home::FACTS)
                    .await
            ),
            "invalid"
        );
        assert_eq!(world.digest().await, before);
        world.clock.forward(HOUR);
        let late = world
            .reset_password(&good, "a new one".into(), &crate::home::FACTS)
            .await;
        assert_eq!(said(late), same);
        world.token("anna", "anna-password").await.unwrap();
        // Forgotten with time.
        assert_eq!(world.tidy_mails().await.unwrap(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_code_holds_to_its_last_moment() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let good = world.reset_code("anna").await;
        world.clock.forward(HOUR - 1);
        world
            .reset_password(&good, "a new one".into(), &crate::home::FACTS)
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_change_of_password_voids_what_was_sent_before() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let (first, second) = (
            world.reset_code("anna").await,
            world.reset_code("anna").await,
        );
        assert_ne!(first, second);
        let anna = world.find_user(&world.operator(), "anna").await.unwrap();
        world
            .set_password(&world.operator(), &anna, "set by root".into())
            .await
            .unwrap();
        for void in [first, second] {
            let reset = world
                .reset_password(&void, "a new one".into(), &crate::home::FACTS)
                .await;
            assert_eq!(code(reset), "invalid_code");
        }
        let (third, fourth) = {
            world.clock.forward(HOUR + SECOND);
            (
                world.reset_code("anna").await,
                world.reset_code("anna").await,
            )
        };
        world
            .reset_password(&third, "a new one".into(), &crate::home::FACTS)
            .await
            .unwrap();
        let reset = world
            .reset_password(&fourth, "a newer one".into(), &crate::home::FACTS)
            .await;
        assert_eq!(code(reset), "invalid_code");
        world.token("anna", "a new one").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn links_lead_where_the_configuration_says() {
    let world = World::new().await;
    world.user("anna", &["student"]).await;
    let allowed = "https://app.school.example/reset?lang=de";
    world
        .forgot_password("anna", Some(allowed), &crate::home::FACTS)
        .await
        .unwrap();
    let mail = world.mailed().await;
    assert!(
        mail.text()
            .contains(&format!("{allowed}&code={}", mail.code()))
    );
    // Said before anything is looked up, so it says nothing about anybody.
    for bad in [
        "https://evil.example/",
        "https://app.school.example/reset",
        "https://app.school.example/reset?lang=de&x=<b>",
    ] {
        let refused = said(
            world
                .forgot_password("anna", Some(bad), &crate::home::FACTS)
                .await,
        );
        assert!(refused.starts_with("invalid link: "), "{refused}");
        assert_eq!(
            said(
                world
                    .forgot_password("nobody", Some(bad), &crate::home::FACTS)
                    .await
            ),
            refused
        );
    }
    assert!(world.deliver().await.is_empty());
    for bad in ["", "a\nb", &"x".repeat(255)] {
        assert_eq!(
            code(world.forgot_password(bad, None, &crate::home::FACTS).await),
            "invalid"
        );
    }
}

#[tokio::test]
async fn a_server_that_sends_no_mail_says_so() {
    let mut world = World::new().await;
    world.user("anna", &["student"]).await;
    world
        .again(portreeve_service::mail::MailOptions::default())
        .await;
    let refused = said(
        world
            .forgot_password("anna", None, &crate::home::FACTS)
            .await,
    );
    assert!(refused.starts_with("mail_off "), "{refused}");
    assert_eq!(
        said(
            world
                .forgot_password("nobody", None, &crate::home::FACTS)
                .await
        ),
        refused
    );
    assert_eq!(world.deliver_next().await.unwrap(), None);
    world.clock.forward(MINUTE);
}

#[tokio::test]
async fn what_a_backup_brings_back_is_neither_sent_again_nor_good() {
    let world = World::new().await;
    world.user("anna", &["student"]).await;
    let secret = world.reset_code("anna").await;
    world
        .forgot_password("anna", None, &crate::home::FACTS)
        .await
        .unwrap();
    let file = world.backup().await;
    let (_folder, restored) = world.restored(file).await;
    assert_eq!(restored.deliver_next().await.unwrap(), None);
    let reset = restored
        .reset_password(&secret, "a new one".into(), &crate::home::FACTS)
        .await;
    assert_eq!(code(reset), "invalid_code");
    // Where it was taken from nothing has happened.
    world.mailed().await;
    world
        .reset_password(&secret, "a new one".into(), &crate::home::FACTS)
        .await
        .unwrap();
}

#[tokio::test]
async fn what_is_done_by_code_is_written_down_without_the_code() {
    on_both(async |world: World| {
        let anna = world.user("anna", &["student"]).await;
        let (reset, other) = (
            world.reset_code("anna").await,
            world.reset_code("anna").await,
        );
        assert_eq!(
            code(
                world
                    .reset_password("prc_x", "a new one".into(), &crate::home::FACTS)
                    .await
            ),
            "invalid_code"
        );
        assert!(audit(&world, "user.reset_password").await.is_empty());
        world
            .reset_password(&reset, "a new one".into(), &crate::home::FACTS)
            .await
            .unwrap();
        let written = audit(&world, "user.reset_password").await;
        assert_eq!(written.len(), 1);
        assert_eq!(
            (written[0]["actor"].as_str(), written[0]["target"].as_str()),
            (Some(&*anna), Some(&*anna))
        );
        let caller = world.caller_of("anna", "a new one").await;
        let change = world.change_email(&caller, "new@home.example", "a new one".into(), None);
        change.await.unwrap();
        world.deliver().await;
        let mails = world.sink.mails();
        let mail = mails
            .iter()
            .find(|mail| mail.to == ["new@home.example"])
            .unwrap();
        world
            .confirm(&mail.code(), &crate::home::FACTS)
            .await
            .unwrap();
        let confirmed = audit(&world, "user.confirm").await;
        assert_eq!(confirmed[0]["before"]["email"], "anna@school.example");
        assert_eq!(confirmed[0]["after"]["email"], "new@home.example");
        let all = format!(
            "{written:?}{confirmed:?}{:?}",
            audit(&world, "user.ask_email").await
        );
        for secret in [&reset, &other, &mail.code(), "a new one", "argon2"] {
            assert!(!all.contains(secret), "{all}");
        }
    })
    .await;
}
