//! The job that seals the audit trail and writes down denials, and what a command seals when it has ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portreeve_service::Portreeve;
use tokio::time::{Instant, MissedTickBehavior};

/// How often it is looked for lines to seal: none waits for longer than a second.
const ROUND: Duration = Duration::from_millis(500);

/// How often the head is told to the log, which is kept elsewhere and tells later what has been cut off.
const NOTED: Duration = Duration::from_secs(60 * 60);

/// After a failure.
const PAUSE: Duration = Duration::from_secs(30);

/// Seals what is written, for as long as the server runs.
pub async fn run(portreeve: Arc<Portreeve>) {
    let mut rounds = tokio::time::interval(ROUND);
    rounds.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut noted: Option<Instant> = None;
    loop {
        let now = rounds.tick().await;
        let done = async {
            portreeve.seal_audit().await?;
            portreeve.keep_denials().await?;
            if noted.is_none_or(|last| now.duration_since(last) >= NOTED) {
                let head = portreeve.audit_head().await?;
                tracing::info!(%head, "the head of the audit trail");
                noted = Some(now);
            }
            Ok::<(), portreeve_service::ServiceError>(())
        };
        if let Err(error) = done.await {
            // What is not sealed is not lost: it waits.
            tracing::error!(%error, "the audit trail could not be sealed, or denials not be kept");
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What the command that runs has open for writing.
static WRITTEN: Mutex<Option<Arc<Portreeve>>> = Mutex::new(None);

/// Has [`seal`] seal what is written to it.
pub fn when_ended(portreeve: &Arc<Portreeve>) {
    *WRITTEN.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(portreeve));
}

/// Seals what the command has written, whether or not it has come to its end.
pub async fn seal() {
    let written = WRITTEN
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .take();
    if let Some(portreeve) = written
        && let Err(error) = portreeve.seal_audit().await
    {
        tracing::error!(%error, "the audit trail could not be sealed; the server or the next command does it");
    }
}
