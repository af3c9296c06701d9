//! `/v1/subscribe`: server-sent events.

use std::io::Write as _;
use std::time::Duration;

use axum::http::HeaderMap;
use portreeve_http::{Events, event_stream, write_event, write_keep_alive};
use portreeve_model::{write_datetime, write_json_record, write_json_text};
use portreeve_service::{EndReason, Happening, ResetReason, Subscription, Told, ToldKind};

use crate::ask::{Answer, Ask};
use crate::decode;
use crate::decode::SUBSCRIBE;
use crate::encode::with_policy_version;
use crate::error::{BAD_QUERY, TOO_MANY_SUBSCRIPTIONS, UNKNOWN_FIELD};
use crate::route::{Route, Rule, get};

/// So many events wait for a reader besides what the connection itself takes.
const WAITING: usize = 4;
/// A quiet connection is written to so often, so that nothing in between takes it for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// Who takes nothing for so long is cut off, however little happens.
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// So long it is tried to tell him why.
const FAREWELL: Duration = Duration::from_secs(30);

const LAST_EVENT_ID: &str = "last-event-id";

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get(
            "/v1/subscribe",
            "subscribe",
            Rule::Records("data.subscribe", None),
            subscribe,
        )
        .about("Be told of changes")
        .query(SUBSCRIBE)
        .gives_as(200, "text/event-stream")
        .codes(&[&BAD_QUERY, &UNKNOWN_FIELD, &TOO_MANY_SUBSCRIPTIONS]),
    ]
}

pub(crate) async fn subscribe(ask: Ask) -> Answer {
    let request = decode::subscribe(ask.query())?;
    let last = last_event_id(ask.headers());
    let portreeve = ask.portreeve();
    let subscription = portreeve
        .subscribe(ask.token()?, ask.facts(), request, last)
        .await?;
    let (events, response) = event_stream(WAITING);
    tokio::spawn(tell(subscription, events));
    Ok(with_policy_version(portreeve, response))
}

// What is there and no text is no id, but not the same as none.
fn last_event_id(headers: &HeaderMap) -> Option<&str> {
    let sent = headers.get(LAST_EVENT_ID)?;
    Some(sent.to_str().unwrap_or_default())
}

async fn tell(mut subscription: Subscription, events: Events) {
    let mut event = vec![];
    write_ready(&mut event, &subscription);
    if events.send(&event).await.is_err() {
        return;
    }
    let start = tokio::time::Instant::now() + KEEP_ALIVE;
    let mut quiet = tokio::time::interval_at(start, KEEP_ALIVE);
    loop {
        event.clear();
        let happening = tokio::select! {
            happening = subscription.next() => happening,
            () = events.gone() => return,
            _ = quiet.tick() => {
                write_keep_alive(&mut event, &subscription.id());
                events.try_send(&event);
                continue;
            }
        };
        match happening {
            Happening::Change(told) => write_change(&mut event, &subscription, &told),
            Happening::Reset(reason) => write_reset(&mut event, &subscription, reason),
            Happening::End(reason) => return end(&events, reason).await,
        }
        tokio::select! {
            biased;
            sent = events.send(&event) => {
                if sent.is_err() {
                    return;
                }
            }
            // The feed does not wait for anybody.
            () = subscription.missed() => return end(&events, EndReason::TooSlow).await,
            () = tokio::time::sleep(LONGEST_WAIT) => {
                return end(&events, EndReason::TooSlow).await;
            }
        }
        quiet.reset();
    }
}

async fn end(events: &Events, reason: EndReason) {
    let message = match reason {
        EndReason::SessionEnded => "the session has ended; sign in again",
        EndReason::NotAllowed => "you may not subscribe to this any more",
        EndReason::TooSlow => {
            "this is read more slowly than things change; list anew and subscribe again"
        }
        EndReason::Stopping => "the server stops; come back in a moment",
        EndReason::Internal => "something went wrong on our side; list anew and subscribe again",
    };
    let mut event = vec![];
    write_event(&mut event, "end", None, &reasoned(reason.code(), message));
    // Who does not take it is cut off without.
    let _ = tokio::time::timeout(FAREWELL, events.send(&event)).await;
}

fn write_ready(out: &mut Vec<u8>, subscription: &Subscription) {
    let mut data = opened(subscription);
    // Writing into a Vec cannot fail.
    let _ = write!(data, ",\"resumed\":{}}}", subscription.resumed());
    write_event(out, "ready", Some(&subscription.id()), &data);
}

fn write_reset(out: &mut Vec<u8>, subscription: &Subscription, reason: ResetReason) {
    let message = match reason {
        ResetReason::UnknownPosition => {
            "what has happened since is not known any more; list anew, what follows is complete"
        }
        ResetReason::TooManyChanges => {
            "more has changed at once than is kept; list anew, what follows is complete"
        }
        ResetReason::RightsChanged => {
            "your rights or the collection have changed; list anew, what follows is complete"
        }
    };
    let data = reasoned(reason.code(), message);
    write_event(out, "reset", Some(&subscription.id()), &data);
}

fn write_change(out: &mut Vec<u8>, subscription: &Subscription, told: &Told) {
    let name = match told.kind {
        ToldKind::Create => "create",
        ToldKind::Update => "update",
        ToldKind::Delete => "delete",
    };
    let mut data = opened(subscription);
    let _ = write!(
        data,
        ",\"key\":{},\"at\":\"",
        told.key.to_json(told.key_type)
    );
    write_datetime(&mut data, told.at);
    data.extend_from_slice(b"Z\"");
    if let Some((columns, cells)) = told.record() {
        data.extend_from_slice(b",\"record\":");
        write_json_record(&mut data, columns, cells);
    }
    data.push(b'}');
    write_event(out, name, Some(&subscription.id()), &data);
}

fn opened(subscription: &Subscription) -> Vec<u8> {
    let mut data = b"{\"collection\":".to_vec();
    write_json_text(&mut data, &subscription.collection().to_string());
    data
}

fn reasoned(code: &str, message: &str) -> Vec<u8> {
    let mut data = b"{\"reason\":".to_vec();
    write_json_text(&mut data, code);
    data.extend_from_slice(b",\"message\":");
    write_json_text(&mut data, message);
    data.push(b'}');
    data
}
