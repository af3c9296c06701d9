//! Development: mails go nowhere and can be looked at.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use portreeve_model::timestamp_text;
use serde::Serialize;

use super::{Mail, Mailer, Sender, Sending};

/// So many are kept; the oldest go.
const KEPT: usize = 200;

/// A mail as it can be looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DevelopmentMail {
    /// Its id in the outbox.
    pub id: String,
    /// Which template it was made from.
    pub template: String,
    /// When.
    pub at: String,
    /// Who from.
    pub from: String,
    /// Where to.
    pub to: String,
    /// Its subject.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
}

/// Keeps mails in memory instead of sending them.
#[derive(Default)]
pub struct DevelopmentOutbox(Mutex<VecDeque<DevelopmentMail>>);

impl Mailer for DevelopmentOutbox {
    fn send<'a>(&'a self, mail: &'a Mail, from: &'a Sender) -> Sending<'a> {
        Box::pin(async move {
            let kept = DevelopmentMail {
                id: mail.id.clone(),
                template: mail.template.clone(),
                at: timestamp_text(mail.at),
                from: from.from.to_string(),
                to: mail.to.to_string(),
                subject: mail.subject.clone(),
                text: mail.text.clone(),
                html: mail.html.clone(),
            };
            let mut mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            mails.truncate(KEPT - 1);
            mails.push_front(kept);
            // Not what is in it.
            tracing::info!(template = %mail.template, "a mail can be read at /v1/dev/mails");
            Ok(())
        })
    }

    fn kept(&self) -> Option<Vec<DevelopmentMail>> {
        let mails = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Some(mails.iter().cloned().collect())
    }
}
