//! Somebody's own words.

use portreeve_service::{Invitation, NewTemplate, NewUser};

use super::world::{World, code, on_both, said};

fn words(subject: &str, text: &str, html: Option<&str>) -> NewTemplate {
    NewTemplate {
        subject: subject.into(),
        text: text.into(),
        html: html.map(Into::into),
    }
}

#[tokio::test]
async fn stored_words_take_the_place_of_the_built_in_ones() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let root = world.caller_of("root", "root-password").await;
        let own = words(
            "Passwort für {{ server.name }}",
            "Liebe {{ user.name }}: {{ url }}\n",
            None,
        );
        let set = world.set_template(&root, "reset", own).await.unwrap();
        assert!(!set.built_in && set.updated.is_some());
        world
            .forgot_password("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        let mail = world.mailed().await;
        let text = format!(
            "Liebe anna: https://school.example/reset?code={}",
            mail.code()
        );
        assert_eq!(mail.text().trim_end(), text);
        assert_eq!(mail.part("text/html"), None);
        let subject = mail.header("Subject").unwrap();
        assert!(
            subject.is_ascii() && subject.contains("=?utf-8?"),
            "{subject}"
        );
        world.remove_template(&root, "reset").await.unwrap();
        world.remove_template(&root, "reset").await.unwrap();
        assert!(world.template(&root, "reset").await.unwrap().built_in);
        world
            .forgot_password("anna", None, &crate::home::FACTS)
            .await
            .unwrap();
        assert!(world.mailed().await.text().contains("somebody has asked"));
    })
    .await;
}

#[tokio::test]
async fn others_neither_see_nor_change_them_and_bad_ones_are_refused() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        let (root, anna) = (
            world.caller_of("root", "root-password").await,
            world.caller_of("anna", "anna-password").await,
        );
        let before = world.digest().await;
        let good = || words("x", "{{ code }}", None);
        for caller in [
            &anna,
            &world.caller(None, Default::default()).await.unwrap(),
        ] {
            assert_eq!(code(world.templates(caller).await), "forbidden");
            assert_eq!(code(world.template(caller, "reset").await), "forbidden");
            assert_eq!(code(world.template(caller, "nothing").await), "forbidden");
            assert_eq!(
                code(world.set_template(caller, "reset", good()).await),
                "forbidden"
            );
            assert_eq!(
                code(world.remove_template(caller, "reset").await),
                "forbidden"
            );
        }
        assert_eq!(
            code(world.set_template(&root, "nothing", good()).await),
            "not_found"
        );
        assert_eq!(
            code(world.remove_template(&root, "nothing").await),
            "not_found"
        );
        for (bad, place) in [
            (
                words("x\r\nBcc: y@z.example", "x", None),
                "invalid subject: ",
            ),
            (
                words("x", "a\n{{ usr.name }}", None),
                "invalid text: line 2: there is no variable 'usr.name'",
            ),
            (
                words("x", "x", Some("{% for a in b %}")),
                "invalid html: line 1: ",
            ),
        ] {
            let refused = said(world.set_template(&root, "reset", bad).await);
            assert!(refused.starts_with(place), "{refused}");
        }
        assert_eq!(world.digest().await, before);
        assert_eq!(world.templates(&root).await.unwrap().len(), 5);
    })
    .await;
}

#[tokio::test]
async fn names_are_text_whatever_is_in_them() {
    let world = World::new().await;
    let root = world.caller_of("root", "root-password").await;
    let own = words(
        "For {{ user.name }}",
        "{{ code }}",
        Some("<b>{{ user.name }}</b>"),
    );
    world.set_template(&root, "reset", own).await.unwrap();
    let evil = "<img src=x onerror=alert(1)> {{ code }} ${7*7} <%= code %>";
    let new = NewUser {
        username: Some(evil.into()),
        email: Some("evil@school.example".into()),
        ..NewUser::default()
    };
    world.create_user(&world.operator(), new).await.unwrap();
    world
        .forgot_password(evil, None, &crate::home::FACTS)
        .await
        .unwrap();
    let mail = world.mailed().await;
    let html = mail.part("text/html").unwrap();
    assert!(
        html.contains("&lt;img src=x onerror=alert(1)&gt; {{ code }} ${7*7} &lt;%= code %&gt;"),
        "{html}"
    );
    assert!(mail.header("Subject").unwrap().contains("{{ code }}"));
    // Lines cannot be in a name, nor anything but an address in an address.
    for (username, email) in [
        ("a\r\nBcc: x@y.example", "a@school.example"),
        ("a", "a@school.example\r\nBcc: x@y.example"),
        ("a", "a@school.example\nx"),
    ] {
        let new = NewUser {
            username: Some(username.into()),
            email: Some(email.into()),
            ..NewUser::default()
        };
        assert_eq!(
            code(world.create_user(&world.operator(), new).await),
            "invalid"
        );
    }
    let invitation = Invitation {
        email: "a@school.example>\r\nDATA".into(),
        ..Invitation::default()
    };
    assert_eq!(code(world.invite(&root, invitation).await), "invalid");
}
