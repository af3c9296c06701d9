//! What a change of accounts or rights makes stale.

use std::sync::Arc;

use portreeve_store::{Stale, StoreError};

use crate::{Portreeve, ServiceError};

impl Portreeve {
    /// Has a change made and tells the gate and whoever listens what it makes stale. In a task of its own, so that nobody
    /// who goes away in the middle leaves sessions that have ended and still work.
    pub(crate) async fn carry_out<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<(T, Stale), StoreError>> + Send + 'static,
    ) -> Result<Result<T, StoreError>, ServiceError> {
        let (gate, callers) = (Arc::clone(&self.gate), Arc::clone(&self.callers));
        let subscriptions = Arc::clone(&self.subscriptions);
        let made = tokio::spawn(async move {
            let (value, stale) = change.await?;
            for (user, epoch) in &stale.epochs {
                gate.advance_epoch(user, *epoch);
            }
            if stale.sessions {
                callers.clear();
            }
            if !stale.is_nothing() {
                subscriptions.rights_changed();
            }
            Ok(value)
        });
        made.await.map_err(ServiceError::internal)
    }
}
