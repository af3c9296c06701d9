//! What was not done in time is found; what is about to be done is not.

use std::sync::Arc;

use portreeve_service::Options;
use portreeve_service::mail::DevelopmentOutbox;

use crate::home::Home;

const MINUTE: i64 = 60_000_000;

#[tokio::test]
async fn lines_that_wait_for_their_seal_are_found_after_a_while() {
    let home = Home::school().await;
    let ids = async || {
        let found = home.diagnose(&home.operator()).await.unwrap().findings;
        let ids = found.iter().map(|one| one.id).collect::<Vec<_>>();
        ids.contains(&"audit-unsealed")
    };
    home.user("vera", &["admin"]).await;
    assert!(!ids().await, "they were written just now");
    home.clock.forward(6 * MINUTE);
    assert!(ids().await);
    while home.seal_audit().await.unwrap() > 0 {}
    assert!(!ids().await);
}

#[tokio::test]
async fn mails_that_stay_are_found() {
    let mut home = Home::school().await;
    let outbox = |options: &mut Options| {
        options.mail.mailer = Some(Arc::new(DevelopmentOutbox::default()));
    };
    home.reopen(outbox).await.unwrap();
    home.user("vera", &["admin"]).await;
    let ids = async || {
        let found = home.diagnose(&home.operator()).await.unwrap().findings;
        found.iter().any(|one| one.id == "mail-failing")
    };
    home.forgot_password("vera", None, &crate::home::FACTS)
        .await
        .unwrap();
    assert!(!ids().await);
    home.clock.forward(6 * MINUTE);
    assert!(ids().await);
}

#[tokio::test]
async fn the_state_of_things_is_for_administrators() {
    let home = Home::school().await;
    home.user("vera", &["admin"]).await;
    home.user("tom", &["teacher"]).await;
    assert!(home.diagnose(&home.as_user("vera").await).await.is_ok());
    assert!(home.diagnose(&home.as_user("tom").await).await.is_err());
    assert!(home.mails(&home.as_user("tom").await, 1).await.is_err());
}
