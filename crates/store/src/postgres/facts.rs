//! Related records for evaluation in memory, which asks in the middle of its thinking and cannot wait as a future: a
//! thread of its own with connections of its own waits for it.

use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};

use deadpool_postgres::Pool;
use portreeve_model::{Collection, FieldId, Value};
use portreeve_policy::Record;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::mpsc;

use super::connect::Address;
use super::session::Session;
use super::{ATTEMPTS, settled};
use crate::StoreError;
use crate::work::system;

/// So many connections it has; whoever thinks asks one thing at a time.
const CONNECTIONS: usize = 4;

struct Question {
    collection: Arc<Collection>,
    field: FieldId,
    wanted: Value,
    reply: SyncSender<Result<Vec<Record>, StoreError>>,
}

/// The way to the thread.
pub(crate) struct FactsThread {
    // Everybody who asks waits for the answer, so there are never more of them than of those.
    questions: mpsc::UnboundedSender<Question>,
}

impl FactsThread {
    pub fn start(address: Address) -> Self {
        let (questions, asked) = mpsc::unbounded_channel::<Question>();
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            if let (Ok(runtime), Ok(pool)) = (runtime, address.pool(CONNECTIONS)) {
                runtime.block_on(serve(&pool, asked));
            }
        };
        // Without a thread every question is answered "closed".
        if let Err(error) = std::thread::Builder::new()
            .name("portreeve-facts".into())
            .spawn(work)
        {
            tracing::error!(%error, "no thread for related records");
        }
        Self { questions }
    }

    /// Waits on the calling thread. Where that runs the tasks of others too, they go on elsewhere meanwhile.
    pub fn find(
        &self,
        collection: &Arc<Collection>,
        field: FieldId,
        wanted: &Value,
    ) -> Result<Vec<Record>, StoreError> {
        let (reply, answer) = sync_channel(1);
        let question = Question {
            collection: Arc::clone(collection),
            field,
            wanted: wanted.clone(),
            reply,
        };
        self.questions
            .send(question)
            .map_err(|_| StoreError::Closed)?;
        let wait = || answer.recv().map_err(|_| StoreError::Closed)?;
        match Handle::try_current().map(|handle| handle.runtime_flavor()) {
            Ok(RuntimeFlavor::MultiThread) => tokio::task::block_in_place(wait),
            _ => wait(),
        }
    }
}

async fn serve(pool: &Pool, mut asked: mpsc::UnboundedReceiver<Question>) {
    while let Some(question) = asked.recv().await {
        let pool = pool.clone();
        // Each for itself: one that waits for a lock, or panics, is nobody else's.
        tokio::spawn(async move {
            let answer = answer(&pool, &question).await;
            // Who asked may have gone.
            let _ = question.reply.send(answer);
        });
    }
}

async fn answer(pool: &Pool, question: &Question) -> Result<Vec<Record>, StoreError> {
    let Question {
        collection,
        field,
        wanted,
        ..
    } = question;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let session = Session::of(pool).await?;
        match system::find(&session, collection, *field, wanted).await {
            // A plan of before a change of tables, or a server that has gone in between.
            Err(StoreError::Again) if attempt < ATTEMPTS => session.forget_statements(),
            Err(StoreError::Unavailable) if attempt < ATTEMPTS => session.give_up(),
            found => return found.map_err(settled),
        }
    }
}
