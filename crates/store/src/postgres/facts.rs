//! Related records for evaluation in memory, which asks in the middle of its thinking and cannot wait as a future: a
//! thread of its own with a connection of its own waits for it.

use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use portreeve_model::{Collection, FieldId, Value};
use portreeve_policy::Record;

use super::connect::Address;
use super::session::Session;
use crate::StoreError;
use crate::work::system;

struct Question {
    collection: Arc<Collection>,
    field: FieldId,
    wanted: Value,
    reply: SyncSender<Result<Vec<Record>, StoreError>>,
}

/// The way to the thread.
pub(crate) struct FactsThread {
    // Several may ask at once; none of them asks much.
    questions: Mutex<SyncSender<Question>>,
}

impl FactsThread {
    pub fn start(address: Address) -> Self {
        let (questions, asked) = sync_channel::<Question>(16);
        let work = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let (Ok(runtime), Ok(pool)) = (runtime, address.pool(2)) else {
                return;
            };
            while let Ok(question) = asked.recv() {
                let answer = runtime.block_on(async {
                    let session = Session::of(&pool).await?;
                    let Question {
                        collection,
                        field,
                        wanted,
                        ..
                    } = &question;
                    system::find(&session, collection, *field, wanted).await
                });
                // Who asked may have gone.
                let _ = question.reply.send(answer);
            }
        };
        // Without a thread every question is answered "closed".
        if let Err(error) = std::thread::Builder::new()
            .name("portreeve-facts".into())
            .spawn(work)
        {
            tracing::error!(%error, "no thread for related records");
        }
        Self {
            questions: Mutex::new(questions),
        }
    }

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
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .send(question)
            .map_err(|_| StoreError::Closed)?;
        answer.recv().map_err(|_| StoreError::Closed)?
    }
}
