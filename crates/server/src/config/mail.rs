//! `[mail]`: how mail goes out, who it comes from, where its links lead.

use std::path::PathBuf;
use std::sync::Arc;

use portreeve_service::mail::{
    DevelopmentOutbox, Encryption, Lifetimes, Links, MailOptions, Mailer, Sender, SmtpMailer,
    SmtpOptions,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Value as Json, json};

use super::{Server, secret};
use crate::fail::Failure;

/// How mail goes out.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Mail {
    /// The mail server. Without one no mail is sent; in development it can be read at `/v1/dev/mails` then.
    pub host: Option<String>,
    /// Its port; the usual one of the encryption where there is none.
    pub port: Option<u16>,
    /// What protects the way to it.
    pub encryption: Protection,
    /// The name to sign in to it with.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
    /// A file with the password in its first line.
    pub password_file: Option<PathBuf>,
    /// Who mail comes from: `Name <address>`, or an address.
    pub from: Option<String>,
    /// Where answers go.
    pub reply_to: Option<String>,
    /// The page that asks for a new password.
    pub reset_url: Option<String>,
    /// The page that confirms an address.
    pub confirm_url: Option<String>,
    /// The page that accepts an invitation.
    pub invite_url: Option<String>,
    /// Further pages that a request may choose, each exactly.
    pub allowed_links: Vec<String>,
    /// So many mails go to an address in an hour.
    pub per_address: u32,
    /// How long a code for a new password holds.
    #[serde(deserialize_with = "duration")]
    pub reset_lifetime: i64,
    /// How long a code that confirms an address holds.
    #[serde(deserialize_with = "duration")]
    pub confirm_lifetime: i64,
    /// How long an invitation holds.
    #[serde(deserialize_with = "duration")]
    pub invite_lifetime: i64,
}

// Never the password.
impl std::fmt::Debug for Mail {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.to_json())
    }
}

/// What protects the way to the mail server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// TLS from the first byte.
    #[default]
    Tls,
    /// TLS after a word in the clear, and nothing without it.
    StartTls,
    /// Nothing.
    None,
}

impl From<Protection> for Encryption {
    fn from(protection: Protection) -> Self {
        match protection {
            Protection::Tls => Self::Tls,
            Protection::StartTls => Self::StartTls,
            Protection::None => Self::None,
        }
    }
}

impl Default for Mail {
    fn default() -> Self {
        let lifetimes = Lifetimes::default();
        Self {
            host: None,
            port: None,
            encryption: Protection::default(),
            user: None,
            password: None,
            password_file: None,
            from: None,
            reply_to: None,
            reset_url: None,
            confirm_url: None,
            invite_url: None,
            allowed_links: vec![],
            per_address: MailOptions::default().per_address,
            reset_lifetime: lifetimes.reset,
            confirm_lifetime: lifetimes.confirm,
            invite_lifetime: lifetimes.invite,
        }
    }
}

impl Mail {
    /// The same in the service's words, or what is wrong with it.
    pub fn options(&self, server: &Server) -> Result<MailOptions, Failure> {
        let links = self.links(server)?;
        let usual = MailOptions::default();
        let sender = match &self.from {
            Some(from) => Some(
                Sender::parse(from, self.reply_to.as_deref())
                    .map_err(|problem| wrong("from", &format!("(or mail.reply_to): {problem}")))?,
            ),
            None => None,
        };
        let mailer: Option<Arc<dyn Mailer>> = match (&self.host, &sender) {
            (Some(_), None) => {
                return Err(wrong(
                    "from",
                    "is missing: say who mail comes from, such as \"School <office@school.example>\"",
                ));
            }
            (Some(host), Some(sender)) => {
                Some(Arc::new(self.smtp(host, sender, server.development)?))
            }
            (None, _) if self.user.is_some() || self.port.is_some() => {
                return Err(wrong("host", "is missing: name the mail server"));
            }
            (None, _) if server.development => Some(Arc::new(DevelopmentOutbox::default())),
            (None, _) => None,
        };
        Ok(MailOptions {
            mailer,
            sender: sender.unwrap_or(usual.sender),
            server: server.name.clone(),
            links,
            lifetimes: Lifetimes {
                reset: self.reset_lifetime,
                confirm: self.confirm_lifetime,
                invite: self.invite_lifetime,
            },
            per_address: self.per_address,
        })
    }

    fn links(&self, server: &Server) -> Result<Links, Failure> {
        let named = [
            ("server.public_url", &server.public_url),
            ("mail.reset_url", &self.reset_url),
            ("mail.confirm_url", &self.confirm_url),
            ("mail.invite_url", &self.invite_url),
        ];
        let named = named
            .into_iter()
            .filter_map(|(name, url)| url.as_ref().map(|url| (name, url)));
        let allowed = self
            .allowed_links
            .iter()
            .map(|url| ("mail.allowed_links", url));
        for (name, url) in named.chain(allowed) {
            if let Err(problem) = Links::check(url) {
                let line = format!("{name}: '{url}' {problem}");
                return Err(Failure::error("bad_config", line));
            }
        }
        Ok(Links {
            public: server.public_url.clone(),
            reset: self.reset_url.clone(),
            confirm: self.confirm_url.clone(),
            invite: self.invite_url.clone(),
            allowed: self.allowed_links.clone(),
        })
    }

    fn smtp(&self, host: &str, sender: &Sender, development: bool) -> Result<SmtpMailer, Failure> {
        let password = match (&self.password, &self.password_file) {
            (Some(_), Some(_)) => {
                return Err(wrong(
                    "password",
                    "is given twice, as mail.password and in mail.password_file",
                ));
            }
            (Some(password), None) => Some(password.clone()),
            (None, Some(file)) => {
                Some(secret::first_line("mail.password_file", file, development)?)
            }
            (None, None) => None,
        };
        let account = match (&self.user, password) {
            (Some(user), Some(password)) => Some((user.clone(), password)),
            (Some(_), None) => return Err(wrong("password", "is missing: there is a mail.user")),
            (None, Some(_)) => return Err(wrong("user", "is missing: there is a password")),
            (None, None) => None,
        };
        let encryption = Encryption::from(self.encryption);
        let here = ["localhost", "127.0.0.1", "::1"].contains(&host);
        if account.is_some() && encryption == Encryption::None && !here {
            return Err(wrong(
                "encryption",
                "is \"none\": a password is not sent to another machine in the clear; use \"tls\" or \"starttls\"",
            ));
        }
        let options = SmtpOptions {
            host: host.to_owned(),
            port: self.port.unwrap_or(encryption.port()),
            encryption,
            account,
            hello: sender.from.email.domain().to_owned(),
        };
        SmtpMailer::new(options).map_err(|problem| wrong("encryption", &problem))
    }

    /// As the file would say it, without the password.
    pub fn to_json(&self) -> Json {
        json!({
            "host": self.host,
            "port": self.port.unwrap_or(Encryption::from(self.encryption).port()),
            "encryption": match self.encryption {
                Protection::Tls => "tls",
                Protection::StartTls => "starttls",
                Protection::None => "none",
            },
            "user": self.user,
            "password": self.password.as_ref().map(|_| "given"),
            "password_file": self.password_file,
            "from": self.from,
            "reply_to": self.reply_to,
            "reset_url": self.reset_url,
            "confirm_url": self.confirm_url,
            "invite_url": self.invite_url,
            "allowed_links": self.allowed_links,
            "per_address": self.per_address,
            "reset_lifetime": text(self.reset_lifetime),
            "confirm_lifetime": text(self.confirm_lifetime),
            "invite_lifetime": text(self.invite_lifetime),
        })
    }
}

fn wrong(name: &str, problem: &str) -> Failure {
    Failure::error("bad_config", format!("mail.{name} {problem}"))
}

const UNITS: [(char, i64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];
const MICROS: i64 = 1_000_000;
/// A code that holds for longer is a password.
const LONGEST: i64 = 30 * 86_400;

fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i64, D::Error> {
    let text = String::deserialize(deserializer)?;
    let wrong =
        || serde::de::Error::custom("use a number and a unit up to 30 days, such as 30m, 1h or 7d");
    let unit = text.chars().last().ok_or_else(wrong)?;
    let (_, seconds) = UNITS
        .into_iter()
        .find(|(name, _)| *name == unit)
        .ok_or_else(wrong)?;
    let number: i64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    let total = number.checked_mul(seconds).ok_or_else(wrong)?;
    if (1..=LONGEST).contains(&total) {
        Ok(total * MICROS)
    } else {
        Err(wrong())
    }
}

// In the largest unit that comes out even.
fn text(micros: i64) -> String {
    let seconds = micros / MICROS;
    let unit = UNITS.into_iter().find(|(_, unit)| seconds % unit == 0);
    let (name, unit) = unit.unwrap_or(('s', 1));
    format!("{}{name}", seconds / unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(text: &str) -> Mail {
        toml::from_str(text).unwrap_or_else(|error| panic!("{error}"))
    }

    fn said(text: &str, server: &Server) -> String {
        match mail(text).options(server) {
            Ok(_) => panic!("'{text}' is taken"),
            Err(failure) => format!("{failure:?}"),
        }
    }

    #[test]
    fn what_does_not_fit_together_is_told() {
        let server = Server::default();
        for (text, wanted) in [
            ("host = 'm.example'", "mail.from is missing"),
            ("user = 'u'", "mail.host is missing"),
            ("host = 'm.example'\nfrom = 'x'", "neither an address"),
            (
                "host = 'm.example'\nfrom = 'a@b.example'\nreply_to = 'x'",
                "neither an address",
            ),
            (
                "host = 'm.example'\nfrom = 'a@b.example'\nuser = 'u'",
                "mail.password is missing",
            ),
            (
                "host = 'm.example'\nfrom = 'a@b.example'\npassword = 'p'",
                "mail.user is missing",
            ),
            (
                "host = 'm.example'\nfrom = 'a@b.example'\nuser = 'u'\npassword = 'p'\npassword_file = 'f'",
                "given twice",
            ),
            (
                "host = 'm.example'\nfrom = 'a@b.example'\nuser = 'u'\npassword = 'p'\nencryption = 'none'",
                "in the clear",
            ),
            (
                "host = 'm.example'\nfrom = 'a@b.example'\nuser = 'u'\npassword_file = '/nowhere/p'",
                "there is no file",
            ),
            ("reset_url = 'school.example/reset'", "mail.reset_url"),
            (
                "allowed_links = ['https://a@b.example']",
                "mail.allowed_links",
            ),
        ] {
            let said = said(text, &server);
            assert!(said.contains(wanted), "{text}: {said}");
            assert!(!said.contains("\"p\""), "{said}");
        }
        let server = Server {
            public_url: Some("javascript:alert(1)".into()),
            ..Server::default()
        };
        assert!(said("", &server).contains("server.public_url"));
    }

    #[test]
    fn without_a_server_there_is_mail_in_development_alone() {
        let mut server = Server::default();
        assert!(Mail::default().options(&server).unwrap().mailer.is_none());
        server.development = true;
        let options = Mail::default().options(&server).unwrap();
        assert_eq!(
            options.mailer.unwrap().kept().map(|kept| kept.len()),
            Some(0)
        );
        let sent = mail("host = 'm.example'\nfrom = 'a@b.example'\nencryption = 'none'");
        assert!(
            sent.options(&server)
                .unwrap()
                .mailer
                .unwrap()
                .kept()
                .is_none()
        );
    }

    #[test]
    fn durations_have_units_and_ends() {
        let with = |text: &str| toml::from_str::<Mail>(&format!("reset_lifetime = '{text}'"));
        for (given, shown) in [
            ("90m", "90m"),
            ("60m", "1h"),
            ("24h", "1d"),
            ("30d", "30d"),
            ("1s", "1s"),
        ] {
            assert_eq!(text(with(given).unwrap().reset_lifetime), shown);
        }
        for bad in [
            "",
            "h",
            "1",
            "0s",
            "-1h",
            "31d",
            "1w",
            "1 h",
            "9999999999999999999d",
            "1ü",
        ] {
            assert!(with(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_password_is_not_shown() {
        let mail = mail("password = 'top secret'\nuser = 'u'");
        assert!(!format!("{mail:?}{}", mail.to_json()).contains("top secret"));
    }
}
