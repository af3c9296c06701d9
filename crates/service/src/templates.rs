//! The words of mails, as those see them who look after the server.

use portreeve_gate::{Caller, RemoveTemplate, SetTemplate};
use portreeve_model::timestamp_text;
use serde::Serialize;

use crate::mail::{TEMPLATES, TemplateText, check_template};
use crate::{Portreeve, ServiceError};

/// The words of a kind of mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TemplateView {
    /// The kind.
    pub name: &'static str,
    /// One line.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML, where there is that.
    pub html: Option<String>,
    /// Whether nobody has put other words in their place.
    pub built_in: bool,
    /// Since when they are in force, where somebody has.
    pub updated: Option<String>,
    /// What they may name.
    pub variables: &'static [&'static str],
}

/// A mail that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MailView {
    /// Its id.
    pub id: String,
    /// The kind.
    pub template: String,
    /// To whom: the address it went to, what somebody typed, or the account.
    pub to: Option<String>,
    /// `waiting`, `sent` or `given_up`.
    pub state: String,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong last.
    pub error: Option<String>,
    /// When it was asked for.
    pub created: String,
    /// When that came to an end.
    pub finished: Option<String>,
}

/// Words for a kind of mail.
#[derive(Clone, Debug)]
pub struct NewTemplate {
    /// One line.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML; without it, mails are text alone.
    pub html: Option<String>,
}

impl Portreeve {
    /// The words of all kinds of mail.
    pub async fn templates(&self, caller: &Caller) -> Result<Vec<TemplateView>, ServiceError> {
        self.gate.list_templates(caller)?;
        let mut all = vec![];
        for kind in TEMPLATES {
            all.push(self.template_view(kind).await?);
        }
        Ok(all)
    }

    /// The mails that were asked for last, the newest first. For administrators.
    pub async fn mails(&self, caller: &Caller, limit: u32) -> Result<Vec<MailView>, ServiceError> {
        self.demand_administrator(caller)?;
        let mails = self.store.system().mails(limit).await?;
        let view = |mail: portreeve_store::QueuedMail| MailView {
            id: mail.id,
            template: mail.template,
            to: mail.to,
            state: mail.state,
            attempts: mail.attempts,
            error: mail.error,
            created: timestamp_text(mail.created),
            finished: mail.finished.map(timestamp_text),
        };
        Ok(mails.into_iter().map(view).collect())
    }

    /// The words of one kind.
    pub async fn template(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<TemplateView, ServiceError> {
        self.gate.list_templates(caller)?;
        self.template_view(find(name)?).await
    }

    /// Puts other words in the place of a kind's. What is wrong with them is told by line.
    pub async fn set_template(
        &self,
        caller: &Caller,
        name: &str,
        new: NewTemplate,
    ) -> Result<TemplateView, ServiceError> {
        self.gate.list_templates(caller)?;
        let kind = find(name)?;
        check_template(kind, "subject", &new.subject)?;
        check_template(kind, "text", &new.text)?;
        if let Some(html) = &new.html {
            check_template(kind, "html", html)?;
        }
        let operation = SetTemplate {
            name: kind.name.into(),
            subject: new.subject,
            text: new.text,
            html: new.html,
        };
        let set = self.gate.set_template(caller, operation)?;
        self.store.set_template(set).await?;
        self.template_view(kind).await
    }

    /// Goes back to the built-in words.
    pub async fn remove_template(&self, caller: &Caller, name: &str) -> Result<(), ServiceError> {
        self.gate.list_templates(caller)?;
        let name = find(name)?.name.to_owned();
        let remove = self.gate.remove_template(caller, RemoveTemplate { name })?;
        self.store.remove_template(remove).await?;
        Ok(())
    }

    async fn template_view(
        &self,
        kind: &'static TemplateText,
    ) -> Result<TemplateView, ServiceError> {
        let stored = self.store.system().template(kind.name).await?;
        Ok(match stored {
            Some(own) => TemplateView {
                name: kind.name,
                subject: own.subject,
                text: own.text,
                html: own.html,
                built_in: false,
                updated: Some(timestamp_text(own.updated)),
                variables: kind.variables,
            },
            None => TemplateView {
                name: kind.name,
                subject: kind.subject.into(),
                text: kind.text.into(),
                html: Some(kind.html.into()),
                built_in: true,
                updated: None,
                variables: kind.variables,
            },
        })
    }
}

fn find(name: &str) -> Result<&'static TemplateText, ServiceError> {
    TemplateText::find(name).ok_or(ServiceError::NotFound)
}
