//! The job that seals the audit trail and writes down denials, and what a command seals when it has ended.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use portreeve_service::{Portreeve, ServiceError};
use tokio::sync::watch;
use tokio::time::Instant;

/// How often it is looked for lines to seal: none waits for longer than a second.
const ROUND: Duration = Duration::from_millis(500);

/// How often the head is told to the log, which is kept elsewhere and tells later what has been cut off.
const NOTED: Duration = Duration::from_secs(60 * 60);

/// After a failure it is tried again a little later, and later each time, up to this.
const LONGEST: Duration = Duration::from_secs(30);

/// Seals what is written and writes denials down, for as long as the server runs: until it is told to stop, after which
/// nothing of it is under way. Neither waits for the other.
pub async fn run(portreeve: Arc<Portreeve>, stopped: watch::Receiver<bool>) {
    let seal = seal_rounds(&portreeve, Rounds::new(ROUND, stopped.clone()));
    let keep = keep_rounds(&portreeve, Rounds::new(ROUND, stopped));
    tokio::join!(seal, keep);
}

async fn seal_rounds(portreeve: &Portreeve, mut rounds: Rounds) {
    let mut noted: Option<Instant> = None;
    loop {
        let sealed = async {
            portreeve.seal_audit().await?;
            if noted.is_none_or(|last| last.elapsed() >= NOTED) {
                let head = portreeve.audit_head().await?;
                tracing::info!(%head, "the head of the audit trail");
                noted = Some(Instant::now());
            }
            Ok::<(), ServiceError>(())
        };
        let sealed = sealed.await;
        if let Err(error) = &sealed {
            // What is not sealed is not lost: it waits.
            tracing::error!(%error, "the audit trail could not be sealed; trying again");
        }
        if !rounds.go_on(sealed.is_ok()).await {
            return;
        }
    }
}

async fn keep_rounds(portreeve: &Portreeve, mut rounds: Rounds) {
    loop {
        let kept = portreeve.keep_denials().await;
        if let Err(error) = &kept {
            tracing::error!(%error, "denials could not be kept; trying again");
        }
        if !rounds.go_on(kept.is_ok()).await {
            return;
        }
    }
}

// One round after the other until told to stop, later each time after failures.
struct Rounds {
    usual: Duration,
    next: Duration,
    stopped: watch::Receiver<bool>,
}

impl Rounds {
    fn new(usual: Duration, stopped: watch::Receiver<bool>) -> Self {
        Self {
            usual,
            next: usual,
            stopped,
        }
    }

    // Waits for the next one, as the last one has gone; false where there is none.
    async fn go_on(&mut self, well: bool) -> bool {
        self.next = if well {
            self.usual
        } else {
            (self.next * 2).min(LONGEST)
        };
        tokio::select! {
            () = tokio::time::sleep(self.next) => !*self.stopped.borrow(),
            // Whoever could say it may have gone too.
            told = self.stopped.changed() => told.is_ok() && !*self.stopped.borrow(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn rounds_come_later_after_failures_and_end_when_told_to() {
        let (stop, stopped) = watch::channel(false);
        let usual = Duration::from_millis(1);
        let mut rounds = Rounds::new(usual, stopped);
        for times in [2, 4, 8] {
            assert!(rounds.go_on(false).await);
            assert_eq!(rounds.next, usual * times);
        }
        assert!(rounds.go_on(true).await);
        assert_eq!(rounds.next, usual);
        rounds.next = LONGEST;
        stop.send_replace(true);
        assert!(!rounds.go_on(false).await, "without waiting for it");
        assert_eq!(rounds.next, LONGEST);
        drop(stop);
        assert!(!rounds.go_on(true).await);
    }
}
