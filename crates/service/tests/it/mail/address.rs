//! Confirming an address, and changing it.

use portreeve_model::Value;
use portreeve_service::NewUser;
use portreeve_service::mail::Delivered;

use super::world::{HOUR, World, code, on_both, said};

#[tokio::test]
async fn an_address_is_confirmed_by_its_reader() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let token = world.token("anna", "anna-password").await.unwrap();
        let confirmed = async || {
            let caller = world.by_token(&token).await.unwrap();
            caller.context().attribute("confirmed")
        };
        assert_eq!(confirmed().await, Value::Boolean(false));
        world
            .send_confirmation("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        let mail = world.mailed().await;
        assert!(
            mail.text()
                .contains("https://school.example/confirm?code=prc_")
        );
        world
            .confirm(&mail.code(), &crate::home::FACTS)
            .await
            .unwrap();
        // Acts on the next request, in the session there is.
        assert_eq!(confirmed().await, Value::Boolean(true));
        assert_eq!(
            code(world.confirm(&mail.code(), &crate::home::FACTS).await),
            "invalid_code"
        );
        // There is nothing more to confirm.
        world
            .send_confirmation("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        assert_eq!(world.deliver().await, [Delivered::Dropped]);
    })
    .await;
}

#[tokio::test]
async fn a_new_address_takes_its_place_when_it_is_confirmed() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let anna = world.caller_of("anna", "anna-password").await;
        let password = || "anna-password".to_owned();
        world
            .change_email(&anna, "Anna@home.example", password(), None)
            .await
            .unwrap();
        assert_eq!(world.deliver().await, [Delivered::Sent, Delivered::Sent]);
        let mut mails = world.sink.mails();
        mails.sort_by_key(|mail| mail.to.clone());
        let [new, old] = mails.as_slice() else {
            panic!("{mails:?}")
        };
        assert_eq!(
            (&*new.to[0], &*old.to[0]),
            ("Anna@home.example", "anna@school.example")
        );
        assert!(old.text().contains("Anna@home.example") && !old.text().contains("prc_"));
        // Nothing has changed yet.
        world
            .token("anna@school.example", "anna-password")
            .await
            .unwrap();
        assert_eq!(
            code(world.token("anna@home.example", "anna-password").await),
            "wrong_credentials"
        );
        // What was sent to the old address before is void when the new one is there.
        let reset = world.reset_code("anna").await;
        world
            .confirm(&new.code(), &crate::home::FACTS)
            .await
            .unwrap();
        world
            .token("anna@home.example", "anna-password")
            .await
            .unwrap();
        assert_eq!(
            code(world.token("anna@school.example", "anna-password").await),
            "wrong_credentials"
        );
        assert_eq!(
            code(
                world
                    .reset_password(&reset, "a new one".into(), &crate::home::FACTS)
                    .await
            ),
            "invalid_code"
        );
        world
            .forgot_password("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        assert_eq!(world.mailed().await.to, ["Anna@home.example"]);
    })
    .await;
}

#[tokio::test]
async fn without_the_password_nothing_is_asked_for() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let anna = world.caller_of("anna", "anna-password").await;
        let before = world.digest().await;
        let ask = async |email: &str, password: &str| {
            let asked = world
                .change_email(&anna, email, password.into(), None)
                .await;
            code(asked)
        };
        assert_eq!(ask("anna@home.example", "wrong").await, "wrong_credentials");
        assert_eq!(
            ask("anna@home.example", &"x".repeat(2_000)).await,
            "wrong_credentials"
        );
        for bad in [
            "",
            "anna",
            "anna@home.example\r\nBcc: bo@home.example",
            "a@b@c",
            "Anna <anna@home.example>",
            "anna@home.example, bo@home.example",
        ] {
            assert_eq!(ask(bad, "anna-password").await, "invalid", "{bad:?}");
        }
        for nobody in [
            world.caller(None, Default::default()).await.unwrap(),
            world.operator(),
        ] {
            let asked =
                world.change_email(&nobody, "anna@home.example", "anna-password".into(), None);
            assert_eq!(code(asked.await), "forbidden");
        }
        assert_eq!(world.digest().await, before);
        assert!(world.deliver().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_address_that_is_taken_is_answered_like_any_other() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        world.user("bo", &["student"]).await;
        let anna = world.caller_of("anna", "anna-password").await;
        let ask = async |email: &str| {
            world
                .change_email(&anna, email, "anna-password".into(), None)
                .await
                .unwrap();
            world.deliver().await
        };
        // The owner of the account is told what was asked, the owner of the address nothing.
        let mut delivered = ask("BO@school.example").await;
        delivered.sort_by_key(|one| *one == Delivered::Dropped);
        assert_eq!(delivered, [Delivered::Sent, Delivered::Dropped]);
        assert_eq!(world.sink.mails()[0].to, ["anna@school.example"]);
        // Taken while the mail was under way: whoever confirms last is told.
        ask("shared@school.example").await;
        let mails = world.sink.mails();
        let mail = mails
            .iter()
            .find(|mail| mail.to == ["shared@school.example"])
            .unwrap();
        let shared = NewUser {
            email: Some("Shared@school.example".into()),
            ..NewUser::default()
        };
        world.create_user(&world.operator(), shared).await.unwrap();
        let before = world.digest().await;
        assert_eq!(
            code(world.confirm(&mail.code(), &crate::home::FACTS).await),
            "user_exists"
        );
        assert_eq!(world.digest().await, before);
        world
            .token("anna@school.example", "anna-password")
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_new_password_voids_a_change_that_is_asked_for() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let anna = world.caller_of("anna", "anna-password").await;
        let ask = world.change_email(&anna, "thief@evil.example", "anna-password".into(), None);
        ask.await.unwrap();
        world.deliver().await;
        let mails = world.sink.mails();
        let to_thief = mails
            .iter()
            .find(|mail| mail.to == ["thief@evil.example"])
            .unwrap();
        // And one that waits still.
        let ask = world.change_email(&anna, "thief@evil.example", "anna-password".into(), None);
        ask.await.unwrap();
        let anna = world.find_user(&world.operator(), "anna").await.unwrap();
        world
            .set_password(&world.operator(), &anna, "a new one".into())
            .await
            .unwrap();
        assert_eq!(
            code(world.confirm(&to_thief.code(), &crate::home::FACTS).await),
            "invalid_code"
        );
        let mut delivered = world.deliver().await;
        delivered.sort_by_key(|one| *one == Delivered::Dropped);
        assert_eq!(delivered, [Delivered::Sent, Delivered::Dropped]);
        world
            .token("anna@school.example", "a new one")
            .await
            .unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_name_that_is_the_address_goes_with_it() {
    on_both(async |world: World| {
        let new = NewUser {
            username: Some("Anna@school.example".into()),
            email: Some("anna@school.example".into()),
            password: Some("anna-password".into()),
            ..NewUser::default()
        };
        world.create_user(&world.operator(), new).await.unwrap();
        let anna = world
            .caller_of("anna@school.example", "anna-password")
            .await;
        let ask = world.change_email(&anna, "anna@home.example", "anna-password".into(), None);
        ask.await.unwrap();
        world.deliver().await;
        let mails = world.sink.mails();
        let mail = mails
            .iter()
            .find(|mail| mail.to == ["anna@home.example"])
            .unwrap();
        world
            .confirm(&mail.code(), &crate::home::FACTS)
            .await
            .unwrap();
        // Whoever gets the old address is not shadowed by the account that had it.
        let other = NewUser {
            email: Some("anna@school.example".into()),
            password: Some("other-password".into()),
            ..NewUser::default()
        };
        let other = world.create_user(&world.operator(), other).await.unwrap();
        let caller = world
            .caller_of("Anna@school.example", "other-password")
            .await;
        assert_eq!(caller.user().map(|user| user.to_string()), Some(other.id));
        world
            .token("anna@home.example", "anna-password")
            .await
            .unwrap();
        world.clock.forward(HOUR);
        assert!(
            said(world.confirm(&mail.code(), &crate::home::FACTS).await)
                .starts_with("invalid_code")
        );
    })
    .await;
}
