//! What other programs on the same database have changed: the server tells it on a connection of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;
use tokio_postgres::AsyncMessage;

use super::connect::{Address, Notifications};
use crate::{Notice, StoreError};

/// So many notices are kept for one who is slow to take them; he learns that he has missed some.
const KEPT: usize = 1_024;

/// Between two tries to reach the server.
const PAUSE: Duration = Duration::from_millis(500);

/// So often it is asked whether the connection still is one: what breaks without a word would leave rights in force that
/// have been taken away.
const BEAT: Duration = Duration::from_secs(3);

/// So long the server may take to answer that.
const ANSWER: Duration = Duration::from_secs(3);

/// So long making a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

struct State {
    revocations: AtomicU64,
    connected: AtomicBool,
    // How often the connection was made.
    connections: AtomicU64,
    notices: broadcast::Sender<Notice>,
    // How often something was said about the table of changes.
    changes: watch::Sender<u64>,
}

impl State {
    fn revoke(&self) {
        self.revocations.fetch_add(1, Ordering::AcqRel);
    }

    fn hear(&self, message: &str) {
        if message == "changes" {
            self.changes.send_modify(|count| *count += 1);
        } else if let Some(notice) = read(message) {
            self.revoke();
            let _ = self.notices.send(notice);
        }
    }
}

/// The listening, until it is dropped.
pub(crate) struct Listening {
    state: Arc<State>,
    task: Option<JoinHandle<()>>,
}

impl Listening {
    /// None: for a program that only looks and goes.
    pub fn off() -> Self {
        Self {
            state: state(),
            task: None,
        }
    }

    pub fn start(address: Address) -> Self {
        let state = state();
        let task = tokio::spawn(listen(address, Arc::clone(&state)));
        Self {
            state,
            task: Some(task),
        }
    }

    pub fn revoke(&self) {
        self.state.revoke();
    }

    /// Grows whenever what was remembered about sessions and accounts may be wrong. While nobody tells us, that is
    /// always.
    pub fn revocations(&self) -> u64 {
        if !self.is_connected() {
            self.revoke();
        }
        self.state.revocations.load(Ordering::Acquire)
    }

    /// Which connection it is that tells us, counted from the first; none while there is none.
    pub fn connection(&self) -> Option<u64> {
        let connection = self.state.connections.load(Ordering::Acquire);
        self.is_connected().then_some(connection)
    }

    pub fn is_connected(&self) -> bool {
        self.state.connected.load(Ordering::Acquire)
    }

    /// Grows when there is something new in the table of changes.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.state.changes.subscribe()
    }

    pub fn notices(&self) -> broadcast::Receiver<Notice> {
        self.state.notices.subscribe()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

fn state() -> Arc<State> {
    Arc::new(State {
        revocations: AtomicU64::new(0),
        connected: AtomicBool::new(false),
        connections: AtomicU64::new(0),
        notices: broadcast::channel(KEPT).0,
        changes: watch::Sender::new(0),
    })
}

async fn listen(address: Address, state: Arc<State>) {
    let mut told = false;
    loop {
        let connected = tokio::time::timeout(CONNECT, connected(&address)).await;
        match connected.unwrap_or(Err(StoreError::Unavailable)) {
            Ok((client, mut messages)) => {
                told = false;
                state.revoke();
                let connection = 1 + state.connections.fetch_add(1, Ordering::AcqRel);
                state.connected.store(true, Ordering::Release);
                // Whatever was said while nobody listened.
                let _ = state.notices.send(Notice::Reconnected(connection));
                state.changes.send_modify(|count| *count += 1);
                let mut beats = tokio::time::interval(BEAT);
                beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    tokio::select! {
                        message = messages.recv() => match message {
                            Some(message) => state.hear(&message),
                            None => break,
                        },
                        _ = beats.tick() => if !answers(&client).await {
                            break;
                        },
                    }
                }
                state.connected.store(false, Ordering::Release);
                state.revoke();
                tracing::warn!("the connection on which the database tells of changes is lost");
            }
            Err(error) => {
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(%error, "cannot listen for changes of other programs; trying again");
                }
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

async fn answers(client: &tokio_postgres::Client) -> bool {
    let asked = tokio::time::timeout(ANSWER, client.batch_execute("SELECT 1")).await;
    matches!(asked, Ok(Ok(())))
}

type Messages = tokio::sync::mpsc::UnboundedReceiver<String>;

async fn connected(address: &Address) -> Result<(tokio_postgres::Client, Messages), StoreError> {
    let (client, connection) = address.alone().await?;
    let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
    // Has to be polled for the client to get anywhere; ends with the connection.
    tokio::spawn(forward(connection, sender));
    client
        .batch_execute("LISTEN portreeve")
        .await
        .map_err(super::error::failure)?;
    Ok((client, receiver))
}

async fn forward(
    mut connection: Notifications,
    sender: tokio::sync::mpsc::UnboundedSender<String>,
) {
    while let Some(message) = connection.next().await {
        if let AsyncMessage::Notification(notification) = message
            && sender.send(notification.payload().to_owned()).is_err()
        {
            return;
        }
    }
}

fn read(message: &str) -> Option<Notice> {
    let (kind, rest) = message.split_once(' ').unwrap_or((message, ""));
    match kind {
        "policy" => Some(Notice::Policy(rest.parse().ok()?)),
        "epoch" => {
            let (epoch, user) = rest.split_once(' ')?;
            Some(Notice::Epoch {
                user: user.into(),
                epoch: epoch.parse().ok()?,
            })
        }
        "sessions" => Some(Notice::Sessions),
        _ => None,
    }
}
