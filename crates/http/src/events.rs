//! Server-sent events: a body that is written as things happen, with a bounded buffer in front of the connection.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use http_body::Frame;
use tokio::sync::mpsc;

use crate::bytes_response;

const EVENTS: &str = "text/event-stream";

// Proxies that hold answers back to send them in larger pieces must not do so here.
static UNBUFFERED: HeaderName = HeaderName::from_static("x-accel-buffering");

/// The way into an answer of events. Dropped, it ends the answer.
pub struct Events(mpsc::Sender<Bytes>);

/// Nobody reads the answer any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

/// An answer of events, of which so many wait at most for a reader.
pub fn event_stream(waiting: usize) -> (Events, Response) {
    let (sender, receiver) = mpsc::channel(waiting);
    let mut response = bytes_response(StatusCode::OK, EVENTS, Body::new(Frames(receiver)));
    response
        .headers_mut()
        .insert(&UNBUFFERED, HeaderValue::from_static("no"));
    (Events(sender), response)
}

impl Events {
    /// Hands over what [`write_event`] has written, when there is room. Given up, nothing of it is sent.
    pub async fn send(&self, event: &[u8]) -> Result<(), Gone> {
        let place = self.0.reserve().await.map_err(|_| Gone)?;
        place.send(Bytes::copy_from_slice(event));
        Ok(())
    }

    /// The same if there is room right now; otherwise it is left out.
    pub fn try_send(&self, event: &[u8]) {
        if let Ok(place) = self.0.try_reserve() {
            place.send(Bytes::copy_from_slice(event));
        }
    }

    /// Waits until nobody reads any more.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}

struct Frames(mpsc::Receiver<Bytes>);

impl http_body::Body for Frames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let next = self.0.poll_recv(context);
        next.map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Writes an event. Neither name nor id may hold a line break; data may.
pub fn write_event(out: &mut Vec<u8>, name: &str, id: Option<&str>, data: &[u8]) {
    let mut line = |field: &str, value: &[u8]| {
        out.extend_from_slice(field.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value);
        out.push(b'\n');
    };
    line("event", name.as_bytes());
    if let Some(id) = id {
        line("id", id.as_bytes());
    }
    // A line break in JSON stands between its parts: as good there as the one that joins lines of data.
    for part in data.split(|byte| matches!(byte, b'\n' | b'\r')) {
        line("data", part);
    }
    out.push(b'\n');
}

/// Writes what keeps a quiet connection open; the id is where a reader goes on who comes back.
pub fn write_keep_alive(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b": keep-alive\nid: ");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"\n\n");
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn events_arrive_as_they_are_sent_until_the_sender_goes() {
        let (events, response) = event_stream(2);
        let mut event = vec![];
        write_event(&mut event, "create", Some("7"), b"{\"a\":\n1}");
        events.send(&event).await.unwrap();
        event.clear();
        write_keep_alive(&mut event, "8");
        events.try_send(&event);
        events.try_send(b"no room");
        drop(events);
        assert_eq!(response.headers()["content-type"], EVENTS);
        let body = response.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(
            String::from_utf8_lossy(&body),
            "event: create\nid: 7\ndata: {\"a\":\ndata: 1}\n\n: keep-alive\nid: 8\n\n"
        );
    }

    #[tokio::test]
    async fn a_reader_who_has_gone_is_noticed() {
        let (events, response) = event_stream(1);
        events.send(b"x").await.unwrap();
        drop(response);
        events.gone().await;
        assert_eq!(events.send(b"y").await, Err(Gone));
    }
}
