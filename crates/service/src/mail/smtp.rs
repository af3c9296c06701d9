//! Sending over SMTP: one connection for each mail, every step of it under one deadline.

use std::time::{Duration, SystemTime};

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{MultiPart, SinglePart};
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::extension::ClientId;

use super::{Mail, MailError, Mailer, Sender, Sending};

/// All of a mail's way, from the connection to the server's last word.
const DEADLINE: Duration = Duration::from_secs(60);
/// What a server may take to say goodbye after it has taken the mail.
const GOODBYE: Duration = Duration::from_secs(5);

/// What protects the way to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encryption {
    /// TLS from the first byte (port 465).
    Tls,
    /// TLS after a word in the clear, and nothing without it (port 587).
    StartTls,
    /// None.
    None,
}

impl Encryption {
    /// The usual port.
    pub fn port(self) -> u16 {
        match self {
            Self::Tls => 465,
            Self::StartTls => 587,
            Self::None => 25,
        }
    }
}

/// Where mail goes out. Holds a password: not to be logged.
#[derive(Clone)]
pub struct SmtpOptions {
    /// The server's name, which its certificate must have.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// What protects the way there.
    pub encryption: Encryption,
    /// Name and password, where the server wants them.
    pub account: Option<(String, String)>,
    /// What we call ourselves; the sender's domain is usual.
    pub hello: String,
}

/// Sends over SMTP.
pub struct SmtpMailer {
    options: SmtpOptions,
    hello: ClientId,
    tls: Option<TlsParameters>,
}

impl SmtpMailer {
    /// Checks what can be checked without the server.
    pub fn new(options: SmtpOptions) -> Result<Self, String> {
        let tls = match options.encryption {
            Encryption::None => None,
            Encryption::Tls | Encryption::StartTls => Some(
                TlsParameters::new(options.host.clone())
                    .map_err(|_| "the certificates of this machine cannot be used".to_owned())?,
            ),
        };
        Ok(Self {
            hello: ClientId::Domain(options.hello.clone()),
            options,
            tls,
        })
    }

    async fn connect(&self) -> Result<AsyncSmtpConnection, MailError> {
        let Encryption::Tls = self.options.encryption else {
            let mut connection = self.open(None).await?;
            if let Some(tls) = self.tls.clone() {
                let upgraded = connection.starttls(tls, &self.hello).await;
                upgraded.map_err(|_| again("tls"))?;
            }
            return Ok(connection);
        };
        self.open(self.tls.clone()).await
    }

    async fn open(&self, tls: Option<TlsParameters>) -> Result<AsyncSmtpConnection, MailError> {
        let server = (self.options.host.as_str(), self.options.port);
        let opened = AsyncSmtpConnection::connect_tokio1(server, None, &self.hello, tls, None);
        opened
            .await
            .map_err(|error| again(if error.is_tls() { "tls" } else { "connection" }))
    }

    async fn deliver(&self, message: &Message) -> Result<AsyncSmtpConnection, MailError> {
        // Until the mail itself is spoken of, what goes wrong is a matter of servers and passwords, which somebody will
        // put right: it is tried again whatever the number.
        let mut connection = self.connect().await?;
        if let Some((name, password)) = &self.options.account {
            let credentials = Credentials::new(name.clone(), password.clone());
            let signed_in = connection.auth(DEFAULT_MECHANISMS, &credentials).await;
            signed_in.map_err(|_| again("sign_in"))?;
        }
        let sent = connection
            .send(message.envelope(), &message.formatted())
            .await;
        match sent {
            Ok(_) => Ok(connection),
            Err(error) => Err(match error.status() {
                Some(code) => MailError {
                    temporary: !error.is_permanent(),
                    class: code.to_string(),
                },
                // It cannot take such an address or text, and will not be able to later.
                None if error.is_client() => MailError {
                    temporary: false,
                    class: "unsupported".into(),
                },
                None => again("connection"),
            }),
        }
    }
}

fn again(class: &str) -> MailError {
    MailError {
        temporary: true,
        class: class.into(),
    }
}

impl Mailer for SmtpMailer {
    fn send<'a>(&'a self, mail: &'a Mail, from: &'a Sender) -> Sending<'a> {
        Box::pin(async move {
            let message = compose(mail, from).ok_or_else(|| MailError {
                temporary: false,
                class: "malformed".into(),
            })?;
            let delivered = tokio::time::timeout(DEADLINE, self.deliver(&message)).await;
            let mut connection = delivered.map_err(|_| again("timeout"))??;
            // It has been taken: whether the server is polite afterwards must not make it go out twice.
            tokio::spawn(async move {
                let _ = tokio::time::timeout(GOODBYE, connection.abort()).await;
            });
            Ok(())
        })
    }
}

// Nothing where a part of it can be no header.
fn compose(mail: &Mail, from: &Sender) -> Option<Message> {
    if mail.subject.chars().any(char::is_control) {
        return None;
    }
    let micros = u64::try_from(mail.at).ok()?;
    let domain = from.from.email.domain();
    let mut message = Message::builder()
        .from(from.from.clone())
        .to(mail.to.clone().into())
        .subject(mail.subject.clone())
        .date(SystemTime::UNIX_EPOCH + Duration::from_micros(micros))
        .message_id(Some(format!("<{}@{domain}>", mail.id)))
        .raw_header(HeaderValue::new(
            HeaderName::new_from_ascii_str("Auto-Submitted"),
            "auto-generated".into(),
        ));
    if let Some(reply_to) = &from.reply_to {
        message = message.reply_to(reply_to.clone());
    }
    let text = SinglePart::builder()
        .header(ContentType::TEXT_PLAIN)
        .body(mail.text.clone());
    let composed = match &mail.html {
        None => message.singlepart(text),
        Some(html) => {
            let html = SinglePart::builder()
                .header(ContentType::TEXT_HTML)
                .body(html.clone());
            message.multipart(MultiPart::alternative().singlepart(text).singlepart(html))
        }
    };
    composed.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(subject: &str) -> Mail {
        Mail {
            id: "1".into(),
            template: "reset".into(),
            to: "anna@school.example".parse().unwrap(),
            subject: subject.into(),
            text: "Dear Anna".into(),
            html: Some("<p>Dear Anna</p>".into()),
            at: 1_767_225_600_000_000,
        }
    }

    #[test]
    fn a_mail_says_who_what_and_when() {
        let sender = Sender::parse("School <a@b.example>", Some("c@d.example")).unwrap();
        let message = compose(&mail("Prüfung"), &sender).unwrap();
        let text = String::from_utf8(message.formatted()).unwrap();
        for line in [
            "From: School <a@b.example>\r\n",
            "To: anna@school.example\r\n",
            "Reply-To: c@d.example\r\n",
            "Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n",
            "Message-ID: <1@b.example>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Content-Type: multipart/alternative;",
        ] {
            assert!(text.contains(line), "{line} is missing: {text}");
        }
    }

    #[test]
    fn a_subject_is_one_line() {
        let sender = Sender::parse("a@b.example", None).unwrap();
        for bad in ["Hello\r\nBcc: x@y.example", "Hello\nthere", "Hello\0"] {
            assert!(compose(&mail(bad), &sender).is_none(), "{bad:?}");
        }
    }
}
