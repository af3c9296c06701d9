//! Mail: what is sent, by whom, and in which words.
//!
//! What has to be sent is a row of the outbox, written in the transaction of what it tells of. It holds no text and no
//! code: both are made when it is sent (`outbox`), so that no link that opens an account lies in the database. The words
//! are templates (`template`), the way out is a [`Mailer`]: SMTP, or in development an outbox to be looked at.

mod development;
mod links;
mod outbox;
mod smtp;
mod template;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use lettre::Address;
use lettre::message::Mailbox;
use portreeve_model::MICROS;

pub use development::{DevelopmentMail, DevelopmentOutbox};
pub use links::Links;
pub use outbox::Delivered;
pub(crate) use outbox::WAITING;
pub use smtp::{Encryption, SmtpMailer, SmtpOptions};
pub use template::{TEMPLATES, TemplateText};
pub(crate) use template::{Words, check_template};

/// A mail that is ready to go. Holds codes: not to be logged.
pub struct Mail {
    /// The same however often it is tried, so that whoever gets it twice can tell.
    pub id: String,
    /// Which template it was made from.
    pub template: String,
    /// Where to.
    pub to: Address,
    /// One line.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML, where the template has one.
    pub html: Option<String>,
    /// When, microseconds since 1970.
    pub at: i64,
}

/// Why a mail was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailError {
    /// Whether trying again may help.
    pub temporary: bool,
    /// What kind of failure: `connection`, `tls`, `sign_in`, `timeout`, or the number the server has answered with. Never its
    /// text, which may hold addresses.
    pub class: String,
}

/// What becomes of a mail.
pub type Sending<'a> = Pin<Box<dyn Future<Output = Result<(), MailError>> + Send + 'a>>;

/// Takes mails to where they are to go.
pub trait Mailer: Send + Sync {
    /// Sends one. Done means that the next one on its way has it.
    fn send<'a>(&'a self, mail: &'a Mail, from: &'a Sender) -> Sending<'a>;

    /// The mails that can be read here, the newest first; none where they really go out.
    fn kept(&self) -> Option<Vec<DevelopmentMail>> {
        None
    }
}

/// Who mails come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sender {
    /// The address, with or without a name.
    pub from: Mailbox,
    /// Where answers go, where that is somewhere else.
    pub reply_to: Option<Mailbox>,
}

impl Sender {
    /// Reads `Name <address>` or an address. What is wrong with it, where it is neither.
    pub fn parse(from: &str, reply_to: Option<&str>) -> Result<Self, String> {
        Ok(Self {
            from: mailbox(from)?,
            reply_to: reply_to.map(mailbox).transpose()?,
        })
    }
}

fn mailbox(text: &str) -> Result<Mailbox, String> {
    // A mailbox is one line, whatever the one who reads it makes of more.
    if text.chars().any(char::is_control) {
        return Err("must be one line".into());
    }
    text.parse()
        .map_err(|_| format!("'{text}' is neither an address nor `Name <address>`"))
}

/// An address mail can be sent to.
pub(crate) fn address(text: &str) -> Option<Address> {
    let plain = !text.chars().any(|c| c.is_control() || c.is_whitespace());
    plain.then(|| text.parse().ok()).flatten()
}

/// How long codes hold, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// To set a new password.
    pub reset: i64,
    /// To confirm an address, one's own or a new one.
    pub confirm: i64,
    /// To accept an invitation.
    pub invite: i64,
}

const HOUR: i64 = 60 * 60 * MICROS;

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            reset: HOUR,
            confirm: 24 * HOUR,
            invite: 7 * 24 * HOUR,
        }
    }
}

/// How mail is sent.
#[derive(Clone)]
pub struct MailOptions {
    /// The way out; without one nothing is sent, and whoever asks for mail is told so.
    pub mailer: Option<Arc<dyn Mailer>>,
    /// Who it comes from.
    pub sender: Sender,
    /// What the server is called in mails.
    pub server: String,
    /// Where links lead.
    pub links: Links,
    /// How long codes hold.
    pub lifetimes: Lifetimes,
    /// So many mails go to an address in an hour at most; what is asked beyond is not sent.
    pub per_address: u32,
}

impl Default for MailOptions {
    fn default() -> Self {
        // This machine's own; to be replaced where mail leaves it.
        let from = Mailbox::new(
            Some("Portreeve".into()),
            Address::new_dangerous("portreeve", "localhost"),
        );
        Self {
            mailer: None,
            sender: Sender {
                from,
                reply_to: None,
            },
            server: "Portreeve".into(),
            links: Links::default(),
            lifetimes: Lifetimes::default(),
            per_address: 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senders_are_addresses_on_one_line() {
        let sender = Sender::parse("School <office@school.example>", None).unwrap();
        assert_eq!(sender.from.email.to_string(), "office@school.example");
        assert!(Sender::parse("office@school.example", Some("head@school.example")).is_ok());
        for bad in [
            "",
            "School",
            "School <office@school.example",
            "a@b.example, c@d.example",
            "School\r\nBcc: x@y.example <a@b.example>",
        ] {
            assert!(Sender::parse(bad, None).is_err(), "{bad:?}");
            assert!(Sender::parse("a@b.example", Some(bad)).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn addresses_carry_nothing_else() {
        assert!(address("anna@school.example").is_some());
        for bad in [
            "",
            "anna",
            "anna@",
            "@school.example",
            "anna@school.example\r\nBcc: bo@school.example",
            "anna@school.example, bo@school.example",
            "Anna <anna@school.example>",
            "anna@school.example>\r\nRCPT TO:<bo@school.example",
            "anna @school.example",
            "anna@school.example\0",
        ] {
            assert!(address(bad).is_none(), "{bad:?}");
        }
    }
}
