//! `/v1/sessions`, one's own, and `/v1/users/{user}/sessions`, those of accounts one may look after.

use axum::http::StatusCode;
use portreeve_http::JsonSink;
use portreeve_model::{CollectionName, Literal, Page, Query, timestamp_text};
use portreeve_service::{ListRequest, SessionView, parse_rule, take_literals};
use serde_json::{Value as Json, json};

use crate::ask::{Answer, Ask};
use crate::encode::{data, json_bytes, nothing};
use crate::error::Failure;
use crate::error::{UNAUTHENTICATED, UNKNOWN_FIELD};
use crate::route::{Route, Rule, delete, get};

/// No account has more than are listed.
const MOST: u32 = 1_000;

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get(
            "/v1/sessions",
            "sessions.list",
            Rule::May(&["account.sessions"]),
            list,
        )
        .about("One's own sessions")
        .gives(200, "{ data: [Session] }"),
        delete(
            "/v1/sessions",
            "sessions.end-all",
            Rule::May(&["account.sessions"]),
            end_all,
        )
        .about("End one's own sessions: all, or all others")
        .query(&["others"])
        .gives(200, "{ data: { ended: integer } }")
        .writes(),
        delete(
            "/v1/sessions/{session}",
            "sessions.end",
            Rule::May(&["account.sessions"]),
            end,
        )
        .about("End one of one's own sessions")
        .gives(204, "")
        .writes(),
        get(
            "/v1/users/{user}/sessions",
            "users.sessions",
            Rule::Records("data.read.many", Some("sessions")),
            list_of,
        )
        .about("The sessions of an account")
        .gives(200, "{ data: [Record] }")
        .codes(&[&UNAUTHENTICATED, &UNKNOWN_FIELD]),
        delete(
            "/v1/users/{user}/sessions",
            "users.end-sessions",
            Rule::Records("data.update.one", Some("users")),
            end_all_of,
        )
        .about("End the sessions of an account that one may change wholly")
        .gives(200, "{ data: { ended: integer } }")
        .codes(&[&UNAUTHENTICATED])
        .writes(),
        delete(
            "/v1/users/{user}/sessions/{session}",
            "users.end-session",
            Rule::Records("data.update.one", Some("users")),
            end_of,
        )
        .about("End one session of an account that one may change wholly")
        .gives(204, "")
        .codes(&[&UNAUTHENTICATED])
        .writes(),
    ]
}

pub(crate) async fn list(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let sessions = ask.portreeve().sessions(&caller).await?;
    let shown: Vec<Json> = sessions.iter().map(shown).collect();
    Ok(data(ask.portreeve(), StatusCode::OK, &shown))
}

fn shown(view: &SessionView) -> Json {
    let session = &view.session;
    json!({
        "id": session.id,
        "current": view.current,
        "created": timestamp_text(session.created),
        "used": timestamp_text(session.used),
        "expires": timestamp_text(session.expires),
        "idle_expires": session.idle_expires.map(timestamp_text),
        "kind": session.kind,
        "face": session.face,
        "address": session.address,
        "agent": session.agent,
    })
}

pub(crate) async fn end(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let session = ask.segment("session");
    ask.portreeve().end_own_session(&caller, session).await?;
    Ok(nothing())
}

pub(crate) async fn end_all(ask: Ask) -> Answer {
    let mut parameters = ask.parameters()?;
    let but_this = parameters.take_flag("others")?;
    let caller = ask.account().await?;
    let portreeve = ask.portreeve();
    let ended = portreeve.end_own_sessions(&caller, but_this).await?;
    Ok(data(portreeve, StatusCode::OK, &json!({ "ended": ended })))
}

pub(crate) async fn list_of(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let portreeve = ask.portreeve();
    let user = portreeve.find_user(&caller, ask.segment("user")).await?;
    // Records like others: whoever may read some of them sees those.
    let mut values = vec![];
    let rule = parse_rule("user = ''").map_err(|error| Failure::filter(None, error.message))?;
    let filter = Some(take_literals(rule, &mut values));
    let request = ListRequest {
        query: Query {
            collection: CollectionName::main("sessions"),
            fields: None,
            filter,
            search: None,
            sort: vec![],
            page: Page::Offset,
            total: false,
            expand: vec![],
        },
        values: vec![Literal::Text(user)],
        cursor: vec![],
        limit: MOST,
        offset: 0,
    };
    let sink = JsonSink::new(b"{\"data\":[", 1_024);
    let (sink, _) = portreeve.list(&caller, request, sink).await?;
    let mut bytes = sink.into_bytes();
    bytes.extend_from_slice(b"]}");
    Ok(json_bytes(portreeve, StatusCode::OK, bytes))
}

pub(crate) async fn end_all_of(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let portreeve = ask.portreeve();
    let ended = portreeve.end_sessions_of(&caller, ask.segment("user"), None);
    let ended = ended.await?;
    Ok(data(portreeve, StatusCode::OK, &json!({ "ended": ended })))
}

pub(crate) async fn end_of(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let (user, session) = (ask.segment("user"), ask.segment("session"));
    let portreeve = ask.portreeve();
    portreeve
        .end_sessions_of(&caller, user, Some(session))
        .await?;
    Ok(nothing())
}
