use std::sync::Arc;

use portreeve_model::MICROS;
use portreeve_service::{
    Caller, DenialOptions, DeniedAsk, DeniedPrincipal, Portreeve, RequestFacts, ServiceError,
};

use crate::home::{FakeClock, Folder, Home, SCHOOL, grades, open, open_with};

fn asked(action: &str, key: &str) -> DeniedAsk {
    DeniedAsk {
        action: Some(action.into()),
        collection: Some("grades".into()),
        key: Some(key.into()),
    }
}

fn deny(portreeve: &Portreeve, caller: &Caller, action: &str, key: &str) -> String {
    let facts = RequestFacts {
        method: Some("GET".into()),
        ..RequestFacts::default()
    };
    let id = portreeve.remember_denial(
        Some(caller.into()),
        &facts,
        asked(action, key),
        &ServiceError::NotFound,
    );
    id.unwrap().to_string()
}

#[tokio::test]
async fn what_is_kept_is_explained_after_a_restart_and_under_another_policy() {
    let home = Home::school().await;
    let (anna_id, _) = grades(&home).await;
    let anna = home.as_user("anna").await;
    let id = deny(&home, &anna, "data.read.one", "2");
    assert_eq!(home.keep_denials().await.unwrap(), 1);
    let Home {
        portreeve,
        clock,
        folder,
    } = home;
    drop((portreeve, anna));
    let portreeve = open(&folder, &clock, 2).await;
    let home = Home {
        portreeve,
        clock,
        folder,
    };
    let operator = home.operator();
    let explained = home.explain_decision(&operator, &id).await.unwrap();
    assert_eq!(explained.denial.user.as_ref(), Some(&anna_id));
    assert_eq!(explained.denial.method.as_deref(), Some("GET"));
    assert!(!explained.policy_changed);
    let judged = explained.judged_again.unwrap();
    assert_eq!(judged.explanation.decision, "deny");
    let before = explained.denial.policy_version;
    let all = SCHOOL.replace("rows: \"student = $user\", ", "");
    home.apply_text(&all, false).await.unwrap();
    let operator = home.operator();
    let explained = home.explain_decision(&operator, &id).await.unwrap();
    assert!(explained.policy_changed);
    assert_eq!(explained.denial.policy_version, before);
    assert_eq!(explained.policy_version, before + 1);
    let judged = explained.judged_again.unwrap();
    assert_eq!(judged.explanation.decision, "allow");
    let notes = explained.notes.join("\n");
    assert!(notes.contains("it would be allowed now"), "{notes}");
    // Those who may not have it explained are told the same whatever they name.
    let anna = home.as_user("anna").await;
    for id in [&*id, "nonsense"] {
        let refused = home.explain_decision(&anna, id).await.unwrap_err();
        assert_eq!(refused.code(), "forbidden");
    }
}

async fn with(folder: &Folder, clock: &Arc<FakeClock>, denials: DenialOptions) -> Arc<Portreeve> {
    open_with(folder, clock, 7, |options| options.denials = denials).await
}

#[tokio::test]
async fn samples_and_bounds_are_kept_to() {
    let (folder, clock) = (Folder::new(), Arc::new(FakeClock::new()));
    let usual = DenialOptions::default();
    let sampled = DenialOptions {
        one_in: 3,
        per_minute: 4,
        ..usual
    };
    let home = with(&folder, &clock, sampled).await;
    let operator = home.operator();
    let ids: Vec<String> = (0..9)
        .map(|key| deny(&home, &operator, "data.read.one", &key.to_string()))
        .collect();
    assert_eq!(home.keep_denials().await.unwrap(), 3);
    // In memory they all are.
    for id in &ids {
        assert!(home.explain_decision(&operator, id).await.is_ok());
    }
    for key in 0..30 {
        deny(&home, &operator, "data.read.one", &key.to_string());
    }
    assert_eq!(home.keep_denials().await.unwrap(), 1);
    clock.forward(60 * MICROS);
    let last = deny(&home, &operator, "data.read.one", "1");
    assert_eq!(home.keep_denials().await.unwrap(), 1);
    drop((home, operator));

    let none = DenialOptions { one_in: 0, ..usual };
    let home = with(&folder, &clock, none).await;
    let operator = home.operator();
    assert!(home.explain_decision(&operator, &last).await.is_ok());
    let gone = home.explain_decision(&operator, &ids[1]).await.unwrap_err();
    assert_eq!(gone.code(), "not_found");
    let id = deny(&home, &operator, "data.read.one", "1");
    assert_eq!(home.keep_denials().await.unwrap(), 0);
    assert!(home.explain_decision(&operator, &id).await.is_ok());
    assert_eq!(home.forget_denials().await.unwrap(), 0);
    clock.forward(31 * 24 * 60 * 60 * MICROS);
    assert_eq!(home.forget_denials().await.unwrap(), 5);
    assert!(home.explain_decision(&operator, &last).await.is_err());
}

#[tokio::test]
async fn no_more_are_kept_than_may_be() {
    let (folder, clock) = (Folder::new(), Arc::new(FakeClock::new()));
    let options = DenialOptions {
        most: 2,
        ..DenialOptions::default()
    };
    let home = with(&folder, &clock, options).await;
    let operator = home.operator();
    for key in 0..5 {
        deny(&home, &operator, "data.read.one", &key.to_string());
        clock.forward(1);
    }
    assert_eq!(home.keep_denials().await.unwrap(), 5);
    assert_eq!(home.forget_denials().await.unwrap(), 3);
    assert_eq!(home.forget_denials().await.unwrap(), 0);
}

#[tokio::test]
async fn only_denials_are_remembered() {
    let home = Home::school().await;
    let operator = home.operator();
    let facts = RequestFacts::default();
    for error in [
        ServiceError::Busy,
        ServiceError::InvalidToken,
        ServiceError::Incomplete,
        ServiceError::UnknownField("x".into()),
    ] {
        let id = home.remember_denial(
            Some((&operator).into()),
            &facts,
            DeniedAsk::default(),
            &error,
        );
        assert_eq!(id, None, "{error}");
    }
    let nested = ServiceError::At {
        place: "changes[1]".into(),
        error: Box::new(ServiceError::Forbidden),
    };
    let id = home.remember_denial(None, &facts, DeniedAsk::default(), &nested);
    let id = id.unwrap().to_string();
    let explained = home.explain_decision(&operator, &id).await.unwrap();
    assert_eq!(explained.denial.principal, DeniedPrincipal::Unknown);
    assert_eq!(explained.denial.answer, "forbidden");
    assert!(explained.judged_again.is_none());
}

#[tokio::test]
async fn what_is_broken_off_loses_no_denial() {
    let home = Home::school().await;
    let operator = home.operator();
    deny(&home, &operator, "data.read.one", "1");
    let kept = tokio::select! {
        biased;
        kept = home.keep_denials() => kept.unwrap(),
        () = std::future::ready(()) => 0,
    };
    assert_eq!(kept + home.keep_denials().await.unwrap(), 1);
}
