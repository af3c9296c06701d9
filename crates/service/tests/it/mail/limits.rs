//! Nobody is drowned in mail, and nobody drowns the server in it.

use portreeve_service::mail::Delivered::{Dropped, Sent};

use super::world::{HOUR, World, on_both};

#[tokio::test]
async fn an_address_gets_three_an_hour_and_nobody_is_told() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        world.user("bo", &["student"]).await;
        let ask = async |login: &str| {
            world
                .forgot_password(login, None, &crate::home::FACTS)
                .await
                .unwrap();
            world.deliver().await
        };
        for login in ["anna", "ANNA@school.example", "anna@school.example"] {
            assert_eq!(ask(login).await, [Sent]);
        }
        assert_eq!(ask("anna").await, [Dropped]);
        // What anybody may ask for uses up nothing of what somebody needs, and has its own bound.
        for _ in 0..3 {
            world
                .send_confirmation("ANNA@school.example", None, &crate::home::FACTS)
                .await
                .unwrap();
            assert_eq!(world.deliver().await, [Sent]);
        }
        world
            .send_confirmation("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        assert_eq!(world.deliver().await, [Dropped]);
        assert_eq!(ask("bo").await, [Sent]);
        // The word that somebody wants another address cannot be drowned.
        let anna = world.caller_of("anna", "anna-password").await;
        let change = world.change_email(&anna, "new@home.example", "anna-password".into(), None);
        change.await.unwrap();
        assert_eq!(world.deliver().await, [Sent, Sent]);
        world.clock.forward(HOUR);
        assert_eq!(ask("anna").await, [Sent]);
        assert_eq!(world.sink.mails().len(), 10);
    })
    .await;
}

#[tokio::test]
async fn what_became_of_mails_is_forgotten_after_a_week() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let before = world.digest().await;
        world.reset_code("anna").await;
        world.clock.forward(7 * 24 * HOUR - 1);
        // The code.
        assert_eq!(world.tidy_mails().await.unwrap(), 1);
        assert_ne!(world.digest().await, before);
        world.clock.forward(1);
        assert_eq!(world.tidy_mails().await.unwrap(), 1);
        assert_eq!(world.digest().await, before);
    })
    .await;
}
