//! Invitations: whom they let in, and whose word they are.

use portreeve_service::mail::Delivered;
use portreeve_service::{Invitation, ServiceError, UserView};

use serde_json::json;

use super::world::{HOUR, World, code, on_both, said};

async fn invite(
    world: &World,
    by: &str,
    email: &str,
    role: &str,
) -> Result<UserView, ServiceError> {
    let caller = world.caller_of(by, &format!("{by}-password")).await;
    let invitation = Invitation {
        email: email.into(),
        roles: vec![role.into()],
        ..Invitation::default()
    };
    world.invite(&caller, invitation).await
}

#[tokio::test]
async fn whoever_reads_the_invitation_comes_in_once() {
    on_both(async |world: World| {
        let invited = invite(&world, "root", "cleo@home.example", "student")
            .await
            .unwrap();
        assert_eq!(
            (&*invited.status, invited.roles.as_slice()),
            ("invited", &["student".to_owned()][..])
        );
        let mail = world.mailed().await;
        assert_eq!(mail.to, ["cleo@home.example"]);
        let secret = mail.code();
        assert!(
            mail.text()
                .contains(&format!("https://school.example/#/come-in?code={secret}"))
        );
        assert!(mail.text().contains("(for 7 days)"));
        // Until then there is nobody: not by the address, not by a forgotten password.
        assert_eq!(
            code(world.token("cleo@home.example", "cleo-password").await),
            "wrong_credentials"
        );
        world
            .forgot_password("cleo@home.example", None, &crate::home::FACTS)
            .await
            .unwrap();
        assert_eq!(world.deliver().await, [Delivered::Dropped]);
        assert_eq!(
            code(
                world
                    .reset_password(&secret, "cleo-password".into(), &crate::home::FACTS)
                    .await
            ),
            "invalid_code"
        );
        // What does not fit does not use it up.
        let accept = async |password: &str, username: &str| {
            let accepted = world.accept_invitation(
                &secret,
                password.into(),
                Some(username.into()),
                &crate::home::FACTS,
            );
            code(accepted.await)
        };
        assert_eq!(accept("short", "cleo").await, "invalid");
        assert_eq!(accept("cleo-password", "me").await, "invalid");
        assert_eq!(accept("cleo-password", "a\nb").await, "invalid");
        assert_eq!(accept("cleo-password", "root").await, "user_exists");
        assert_eq!(accept("cleo-password", "cleo").await, "done");
        assert_eq!(accept("other-password", "dora").await, "invalid_code");
        let cleo = world.caller_of("cleo", "cleo-password").await;
        assert!(cleo.roles().keys().iter().any(|key| &**key == "student"));
        assert_eq!(cleo.user().map(|user| user.to_string()), Some(invited.id));
        // And is like everybody else.
        assert_eq!(
            code(invite(&world, "root", "Cleo@home.example", "student").await),
            "user_exists"
        );
    })
    .await;
}

#[tokio::test]
async fn two_accept_at_once_and_one_comes_in() {
    on_both(async |world: World| {
        invite(&world, "root", "cleo@home.example", "student")
            .await
            .unwrap();
        let secret = world.mailed().await.code();
        let other = world
            .beside()
            .await
            .unwrap_or_else(|| world.portreeve.clone());
        let one = world.accept_invitation(
            &secret,
            "cleo-password".into(),
            Some("cleo".into()),
            &crate::home::FACTS,
        );
        let two = other.accept_invitation(
            &secret,
            "thief-password".into(),
            Some("thief".into()),
            &crate::home::FACTS,
        );
        let (one, two) = tokio::join!(one, two);
        let mut codes = [code(one), code(two)];
        codes.sort_unstable();
        assert_eq!(codes, ["done", "invalid_code"]);
    })
    .await;
}

#[tokio::test]
async fn who_may_make_no_account_invites_nobody_and_leaves_no_trace() {
    on_both(async |world: World| {
        world.user("anna", &["student"]).await;
        world.user("tess", &["teacher"]).await;
        let (anna, tess) = (
            world.caller_of("anna", "anna-password").await,
            world.caller_of("tess", "tess-password").await,
        );
        let nobody = world.caller(None, Default::default()).await.unwrap();
        let before = world.digest().await;
        // Tess sees accounts.
        for (caller, told) in [
            (anna, "not_found"),
            (tess, "forbidden"),
            (nobody, "not_found"),
        ] {
            let invitation = Invitation {
                email: "cleo@home.example".into(),
                ..Invitation::default()
            };
            assert_eq!(code(world.invite(&caller, invitation).await), told);
        }
        let bad = async |change: fn(&mut Invitation)| {
            let mut invitation = Invitation {
                email: "cleo@home.example".into(),
                ..Invitation::default()
            };
            change(&mut invitation);
            code(world.invite(&world.operator(), invitation).await)
        };
        assert_eq!(
            bad(|one| one.roles = vec!["studnet".into()]).await,
            "unknown_role"
        );
        assert_eq!(bad(|one| one.email = "cleo".into()).await, "invalid");
        assert_eq!(
            bad(|one| one.email = "c@home.example\r\nBcc: x@y.example".into()).await,
            "invalid"
        );
        assert_eq!(
            bad(|one| one.link = Some("https://evil.example/".into())).await,
            "invalid"
        );
        assert_eq!(
            bad(|one| one.email = "ANNA@school.example".into()).await,
            "user_exists"
        );
        assert_eq!(world.digest().await, before);
        assert!(world.deliver().await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_invitation_is_worth_what_its_inviter_may_when_it_is_accepted() {
    on_both(async |world: World| {
        world.user("head", &["admin"]).await;
        invite(&world, "head", "cleo@home.example", "admin")
            .await
            .unwrap();
        let secret = world.mailed().await.code();
        // The head is an administrator no more: the role that made him one is gone from the policy, as far as he holds it.
        let without = crate::home::SCHOOL.replace(
            "  teacher:\n",
            "  chief: { administrator: true, permissions: [] }\n  teacher:\n",
        );
        let apply = async |policy: &str| {
            let document = portreeve_service::Document::read("test.yaml", policy).unwrap();
            let plan = world.plan(&world.operator(), &document).await.unwrap();
            world.apply(&world.operator(), plan, false).await.unwrap();
        };
        apply(&without).await;
        world.user("chief", &["chief"]).await;
        invite(&world, "chief", "dora@home.example", "student")
            .await
            .unwrap();
        let from_chief = world.mailed().await.code();
        apply(&without.replace("administrator: true", "administrator: false")).await;
        let before = world.digest().await;
        let refused = said(
            world
                .accept_invitation(
                    &from_chief,
                    "dora-password".into(),
                    None,
                    &crate::home::FACTS,
                )
                .await,
        );
        let unknown = format!("prc_{}", "A".repeat(43));
        let same = said(
            world
                .accept_invitation(&unknown, "dora-password".into(), None, &crate::home::FACTS)
                .await,
        );
        assert_eq!(refused, same);
        assert_eq!(world.digest().await, before);
        // He may again: the invitation is good again, as his word is.
        apply(&without).await;
        world
            .accept_invitation(
                &from_chief,
                "dora-password".into(),
                None,
                &crate::home::FACTS,
            )
            .await
            .unwrap();
        // Nobody has said anything about the head.
        world
            .accept_invitation(&secret, "cleo-password".into(), None, &crate::home::FACTS)
            .await
            .unwrap();
        let cleo = world.caller_of("cleo@home.example", "cleo-password").await;
        world.templates(&cleo).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn whoever_is_invited_once_more_has_the_last_word_that_was_said() {
    on_both(async |world: World| {
        let first = invite(&world, "root", "cleo@home.example", "teacher")
            .await
            .unwrap();
        let old = world.mailed().await.code();
        let second = invite(&world, "root", "CLEO@home.example", "student")
            .await
            .unwrap();
        assert_eq!((first.id, first.number), (second.id, second.number));
        let mail = world.mailed().await;
        assert_eq!(mail.to, ["cleo@home.example"]);
        assert_eq!(
            code(
                world
                    .accept_invitation(&old, "cleo-password".into(), None, &crate::home::FACTS)
                    .await
            ),
            "invalid_code"
        );
        world
            .accept_invitation(
                &mail.code(),
                "cleo-password".into(),
                None,
                &crate::home::FACTS,
            )
            .await
            .unwrap();
        let cleo = world.caller_of("cleo@home.example", "cleo-password").await;
        let keys: Vec<String> = cleo
            .roles()
            .keys()
            .iter()
            .map(ToString::to_string)
            .collect();
        assert!(
            keys.contains(&"student".into()) && !keys.contains(&"teacher".into()),
            "{keys:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn an_invitation_ends_to_the_moment() {
    on_both(async |world: World| {
        for (name, late) in [("cleo", 0), ("dora", 1)] {
            let email = format!("{name}@home.example");
            invite(&world, "root", &email, "student").await.unwrap();
            let secret = world.mailed().await.code();
            world.clock.forward(7 * 24 * HOUR - 1 + late);
            let accepted = world
                .accept_invitation(&secret, "some-password".into(), None, &crate::home::FACTS)
                .await;
            assert_eq!(
                code(accepted),
                if late == 0 { "done" } else { "invalid_code" }
            );
        }
    })
    .await;
}

const OFFICE: &str = r#"
registration: { roles: [student] }
"#;

fn office(clerk: &str) -> String {
    let school = crate::home::SCHOOL;
    format!("{school}  clerk:\n    permissions:\n{clerk}{OFFICE}")
}

const CLERK: &str = r#"
      - { allow: data.create, on: users, fields: [email, form], check: "form = '7b' or form is null" }
      - { allow: [data.read, data.create], on: posts }
      - { allow: data.read, on: grades, rows: "student = $user", fields: [student, score] }
      - { allow: data.read, on: users, fields: [id, email, form] }
"#;

async fn apply(world: &World, policy: &str) {
    let document = portreeve_service::Document::read("test.yaml", policy).unwrap();
    let plan = world.plan(&world.operator(), &document).await.unwrap();
    world.apply(&world.operator(), plan, true).await.unwrap();
}

fn to(email: &str, values: serde_json::Value) -> Invitation {
    Invitation {
        email: email.into(),
        attributes: values.as_object().cloned().unwrap_or_default(),
        ..Invitation::default()
    }
}

#[tokio::test]
async fn who_may_make_an_account_may_invite_to_it_within_what_he_holds_t57() {
    on_both(async |world: World| {
        apply(&world, &office(CLERK)).await;
        world.user("clara", &["clerk"]).await;
        let clara = world.caller_of("clara", "clara-password").await;
        let good = world.invite(&clara, to("cleo@home.example", json!({ "form": "7b" })));
        let good = good.await.unwrap();
        assert_eq!(good.roles, ["student"]);
        let secret = world.mailed().await.code();
        let before = world.digest().await;
        let told = async |invitation: Invitation| code(world.invite(&clara, invitation).await);
        // The law of records holds.
        let other = to("dora@home.example", json!({ "form": "8a" }));
        assert_eq!(told(other).await, "forbidden");
        let more = to("dora@home.example", json!({ "full_name": "Dora" }));
        assert_eq!(told(more).await, "unknown_field");
        // To say what somebody is bound to takes the right to grant.
        for role in ["student", "teacher", "admin"] {
            let chosen = Invitation {
                roles: vec![role.into()],
                ..to("dora@home.example", json!({}))
            };
            assert_eq!(told(chosen).await, "forbidden");
        }
        assert_eq!(world.digest().await, before);
        world
            .accept_invitation(&secret, "cleo-password".into(), None, &crate::home::FACTS)
            .await
            .unwrap();
        let cleo = world.caller_of("cleo@home.example", "cleo-password").await;
        assert_eq!(cleo.user().map(|user| user.to_string()), Some(good.id));

        // With that right, within what he holds.
        let granting = format!("{CLERK}      - {{ allow: access.grant }}\n");
        apply(&world, &office(&granting)).await;
        let clara = world.caller_of("clara", "clara-password").await;
        let as_role = |email: &str, role: &str| Invitation {
            roles: vec![role.into()],
            ..to(email, json!({}))
        };
        let before = world.digest().await;
        for role in ["teacher", "admin"] {
            let beyond = world
                .invite(&clara, as_role("dora@home.example", role))
                .await;
            assert_eq!(code(beyond), "beyond_own_rights", "{role}");
        }
        // Whoever waits already with more than she holds stays as he is, and she hears what she would of any account.
        invite(&world, "root", "tina@home.example", "teacher")
            .await
            .unwrap();
        world.mailed().await;
        assert_ne!(world.digest().await, before);
        let before = world.digest().await;
        let renewed = world.invite(&clara, as_role("tina@home.example", "student"));
        assert_eq!(code(renewed.await), "user_exists");
        assert_eq!(world.digest().await, before);
    })
    .await;
}

#[tokio::test]
async fn an_invitation_is_void_while_its_inviter_may_not_make_that_account_t57() {
    on_both(async |world: World| {
        apply(&world, &office(CLERK)).await;
        world.user("clara", &["clerk"]).await;
        let clara = world.caller_of("clara", "clara-password").await;
        world
            .invite(&clara, to("cleo@home.example", json!({ "form": "7b" })))
            .await
            .unwrap();
        let secret = world.mailed().await.code();
        let accept = async || {
            let accepted =
                world.accept_invitation(&secret, "cleo-password".into(), None, &crate::home::FACTS);
            code(accepted.await)
        };
        for less in [
            // No accounts at all, no more address, another form, what students may, a deny.
            CLERK.replace(
                "allow: data.create, on: users",
                "allow: data.update, on: users",
            ),
            CLERK.replace("fields: [email, form], check", "fields: [form], check"),
            CLERK.replace("form = '7b' or", "form = '8a' or"),
            CLERK.replace(
                "[data.read, data.create], on: posts",
                "data.read, on: posts",
            ),
            format!("{CLERK}      - {{ deny: data.create, on: users, rows: \"form = '7b'\" }}\n"),
            format!("{CLERK}      - {{ deny: data.create, on: users, fields: [form] }}\n"),
        ] {
            apply(&world, &office(&less)).await;
            let before = world.digest().await;
            assert_eq!(accept().await, "invalid_code", "{less}");
            assert_eq!(world.digest().await, before);
        }
        apply(&world, &office(CLERK)).await;
        let id = world.find_user(&world.operator(), "clara").await.unwrap();
        let status = async |status: &str| {
            let change = portreeve_service::UserChange {
                status: Some(status.into()),
                ..Default::default()
            };
            let operator = world.operator();
            world.update_user(&operator, &id, change).await.unwrap();
        };
        status("disabled").await;
        assert_eq!(accept().await, "invalid_code");
        status("active").await;
        assert_eq!(accept().await, "done");
    })
    .await;
}
