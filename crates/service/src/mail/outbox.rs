//! Sending what waits: each mail is claimed for a while, decided about, written, and handed on.

use std::net::IpAddr;
use std::time::Duration;

use portreeve_model::{MICROS, timestamp_text};
use portreeve_store::{AskedMail, ClaimedMail, MailOutcome, Prepare, PreparedMail, StoreError};

use super::links::{link, with_parameter};
use super::{Mail, MailError, TemplateText, Words, address};
use crate::tokens::{code_hash, new_code};
use crate::{Portreeve, ServiceError};

const MINUTE: i64 = 60 * MICROS;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// How long a mail is nobody else's while it is sent; several times what sending may take.
const CLAIM: i64 = 5 * MINUTE;
/// Between two tries to write down how it went: so long first, then twice as long each time. All of them fit into a claim.
const FIRST_TRY: Duration = Duration::from_millis(250);
const LONGEST_TRY: Duration = Duration::from_secs(30);
const TRIES: u32 = 13;
/// The time after the first failure; four times as long after each further one.
const FIRST_PAUSE: i64 = 10 * MICROS;
const LONGEST_PAUSE: i64 = 6 * HOUR;
/// A mail that has not gone out in this time is given up.
const PATIENCE: i64 = DAY;
/// More often than this it is not even begun: what fails before it is sent (a row that cannot be read, say) has no pause of its own.
const MOST_ATTEMPTS: i64 = 50;
/// How long it is known what became of a mail.
const MEMORY: i64 = 7 * DAY;
/// What counts for the limit of an address.
const WINDOW: i64 = HOUR;
/// So many may wait; whoever asks for more is told to come again.
pub(crate) const WAITING: usize = 10_000;
const LONGEST_LOGIN: usize = 254;

/// What became of a mail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivered {
    /// It is on its way.
    Sent,
    /// It was not to be sent: nobody is meant, or what it speaks of is over, or there were too many.
    Dropped,
    /// It will be tried again.
    Again,
    /// It will not.
    GivenUp,
}

impl Portreeve {
    /// Sends the mail that is due next, or says that there is none.
    pub async fn deliver_next(&self) -> Result<Option<Delivered>, ServiceError> {
        let Some(mailer) = &self.mail.mailer else {
            return Ok(None);
        };
        let now = self.now();
        let system = self.store.system();
        let Some(claimed) = system.claim_mail(now, now.saturating_add(CLAIM)).await? else {
            return Ok(None);
        };
        let kind = TemplateText::find(&claimed.template);
        let Some(kind) = kind.filter(|_| claimed.attempts <= MOST_ATTEMPTS) else {
            // Written by a newer version of the program, or no good.
            let error = match kind {
                None => "unknown_template",
                Some(_) => "attempts",
            };
            tracing::error!(mail = claimed.id, error, "a mail is given up");
            let error = error.to_owned();
            let given_up = MailOutcome::GivenUp { error };
            system.settle_mail(claimed, given_up, now).await?;
            return Ok(Some(Delivered::GivenUp));
        };
        let lifetime = self.lifetime(kind.name);
        let code = new_code(&*self.entropy);
        let has_code = kind.variables.contains(&"code");
        let prepared = system
            .prepare_mail(Prepare {
                mail: claimed.clone(),
                code: code_hash(&code).filter(|_| has_code),
                expires: now.saturating_add(lifetime),
                at: now,
                since: now.saturating_sub(WINDOW),
                // Nobody must be able to use up the word that would warn somebody.
                limit: has_code.then_some(self.mail.per_address),
            })
            .await?;
        let Some(prepared) = prepared else {
            tracing::debug!(template = kind.name, "a mail was not to be sent");
            return Ok(Some(Delivered::Dropped));
        };
        let mail = self.write(&claimed, kind, prepared, code, lifetime).await?;
        let sent = match &mail {
            Some(mail) => mailer.send(mail, &self.mail.sender).await,
            // It has been stored by something that looked less closely.
            None => Err(MailError {
                temporary: false,
                class: "bad_address".into(),
            }),
        };
        let now = self.now();
        let (outcome, delivered) = outcome(&claimed, sent, now);
        let (mail, attempts) = (claimed.id.clone(), claimed.attempts);
        let settled = self.settled(claimed, &outcome, now).await;
        match &outcome {
            MailOutcome::Sent => {
                tracing::info!(mail, template = kind.name, "mail sent");
            }
            MailOutcome::Again { error, .. } => {
                tracing::warn!(
                    mail,
                    template = kind.name,
                    error,
                    attempts,
                    "a mail could not be sent; it will be tried again"
                );
            }
            MailOutcome::GivenUp { error } => {
                tracing::error!(
                    mail,
                    template = kind.name,
                    error,
                    "a mail could not be sent and is given up"
                );
            }
        }
        settled?;
        Ok(Some(delivered))
    }

    // What is not written down is sent again by whoever claims it next, so it is tried for as long as nobody does.
    async fn settled(
        &self,
        claimed: ClaimedMail,
        outcome: &MailOutcome,
        now: i64,
    ) -> Result<(), StoreError> {
        let (mut tries, mut pause) = (1, FIRST_TRY);
        loop {
            let system = self.store.system();
            let settled = system.settle_mail(claimed.clone(), outcome.clone(), now);
            match settled.await {
                Err(error) if tries < TRIES && !matches!(error, StoreError::Closed) => {
                    tracing::warn!(%error, mail = claimed.id, "what became of a mail could not be written down; trying again");
                }
                settled => return settled,
            }
            tokio::time::sleep(pause).await;
            (tries, pause) = (tries + 1, (pause * 2).min(LONGEST_TRY));
        }
    }

    /// Waits until a mail is asked for here. What is asked for elsewhere, or has to be tried again, has to be looked for.
    pub async fn mail_asked(&self) {
        self.mail_asked.notified().await;
    }

    /// Forgets codes that are over, and what became of old mails. How many there were.
    pub async fn tidy_mails(&self) -> Result<u64, ServiceError> {
        let now = self.now();
        let before = now.saturating_sub(MEMORY);
        Ok(self.store.system().tidy_mails(now, before).await?)
    }

    /// In development: the mails that would have gone out, the newest first.
    pub fn development_mails(&self) -> Option<Vec<super::DevelopmentMail>> {
        let mailer = self.mail.mailer.as_ref().filter(|_| self.development())?;
        mailer.kept()
    }

    /// Has a mail sent to whoever a name or address stands for, if there is somebody. Nothing of the answer or of the work
    /// depends on whether there is: that is looked for when the mail is sent. It is counted by `asker`, the address it is asked
    /// from, unless what it belongs to has been counted already.
    pub(crate) async fn ask_mail(
        &self,
        face: &str,
        template: &str,
        login: &str,
        link: Option<&str>,
        asker: Option<Option<IpAddr>>,
    ) -> Result<(), ServiceError> {
        self.demand_setup()?;
        self.demand_mail()?;
        if login.is_empty() || login.len() > LONGEST_LOGIN || login.chars().any(char::is_control) {
            return Err(ServiceError::invalid(
                "login",
                "is no name or e-mail address: one line of 1 to 254 bytes",
            ));
        }
        let link = self.page(face, template, link)?;
        if let Some(address) = asker {
            self.count_mail(address)?;
        }
        let asked = AskedMail {
            id: self.new_id().to_string(),
            template: template.into(),
            login: login.into(),
            link,
            at: self.now(),
            limit: WAITING,
        };
        self.store.system().ask_mail(asked).await?;
        self.mail_asked.notify_one();
        Ok(())
    }

    pub(crate) fn demand_mail(&self) -> Result<(), ServiceError> {
        match self.mail.mailer {
            Some(_) => Ok(()),
            None => Err(ServiceError::MailOff),
        }
    }

    /// The page a mail leads to, with the parameter its face has the code in; none where that is the usual one.
    pub(crate) fn page(
        &self,
        face: &str,
        template: &str,
        asked: Option<&str>,
    ) -> Result<Option<String>, ServiceError> {
        let chosen = self.chosen_link(asked)?;
        let parameters = &self.faces.get(Some(face)).1.links;
        let parameter = match template {
            TemplateText::RESET => &parameters.reset,
            TemplateText::INVITE => &parameters.invite,
            _ => &parameters.confirm,
        };
        if parameter == "code" {
            return Ok(chosen);
        }
        let usual = || self.mail.links.usual(template).map(str::to_owned);
        let page = chosen.or_else(usual);
        Ok(page.map(|page| with_parameter(&page, parameter)))
    }

    fn chosen_link(&self, asked: Option<&str>) -> Result<Option<String>, ServiceError> {
        let Some(asked) = asked else { return Ok(None) };
        let chosen = self.mail.links.chosen(asked);
        chosen.map(Some).ok_or_else(|| {
            ServiceError::invalid(
                "link",
                "is none of the addresses that links may lead to (mail.allowed_links of the configuration)",
            )
        })
    }

    fn lifetime(&self, template: &str) -> i64 {
        let lifetimes = &self.mail.lifetimes;
        match template {
            TemplateText::RESET => lifetimes.reset,
            TemplateText::INVITE => lifetimes.invite,
            _ => lifetimes.confirm,
        }
    }

    async fn write(
        &self,
        claimed: &ClaimedMail,
        kind: &TemplateText,
        prepared: PreparedMail,
        code: String,
        lifetime: i64,
    ) -> Result<Option<Mail>, ServiceError> {
        let Some(to) = address(&prepared.address) else {
            return Ok(None);
        };
        let at = self.now();
        let user = prepared.user;
        let name = [&user.username, &user.email].into_iter().flatten().next();
        let page = prepared.link.as_deref();
        let page = page.or_else(|| self.mail.links.usual(kind.name));
        let words = Words::default()
            .say("url", page.map(|page| link(page, &code)))
            .say("code", Some(code))
            .say("expires", Some(moment(at.saturating_add(lifetime))))
            .say("lifetime", Some(duration(lifetime)))
            .say("address", prepared.about)
            .say("server.name", Some(self.mail.server.clone()))
            .say("server.url", self.mail.links.public.clone())
            .say("user.name", Some(name.unwrap_or(&user.key).clone()))
            .say("user.id", Some(user.id.to_string()))
            .say("user.key", Some(user.key))
            .say("user.username", user.username)
            .say("user.email", user.email);
        let stored = self.store.system().template(kind.name).await?;
        let own = stored.map(|own| words.fill(&own.subject, &own.text, own.html.as_deref()));
        let filled = match own {
            Some(Ok(filled)) => filled,
            own => {
                if let Some(Err(error)) = own {
                    tracing::error!(template = kind.name, %error, "a stored template cannot be filled; the built-in one is sent");
                }
                let built_in = words.fill(kind.subject, kind.text, Some(kind.html));
                built_in.map_err(ServiceError::internal)?
            }
        };
        let (subject, text, html) = filled;
        Ok(Some(Mail {
            id: claimed.id.clone(),
            template: kind.name.into(),
            to,
            subject,
            text,
            html,
            at,
        }))
    }
}

fn outcome(
    claimed: &ClaimedMail,
    sent: Result<(), MailError>,
    now: i64,
) -> (MailOutcome, Delivered) {
    let Err(MailError { temporary, class }) = sent else {
        return (MailOutcome::Sent, Delivered::Sent);
    };
    let last = claimed.created.saturating_add(PATIENCE);
    if !temporary || now >= last {
        return (MailOutcome::GivenUp { error: class }, Delivered::GivenUp);
    }
    let due = now.saturating_add(pause(claimed.attempts)).min(last);
    (MailOutcome::Again { due, error: class }, Delivered::Again)
}

fn pause(attempts: i64) -> i64 {
    // Beyond the ninth it is the longest anyhow.
    let failures = attempts.clamp(1, 9) - 1;
    (FIRST_PAUSE << (2 * failures)).min(LONGEST_PAUSE)
}

// `2026-01-01 01:00 UTC`
fn moment(at: i64) -> String {
    let text = timestamp_text(at);
    match (text.get(..10), text.get(11..16)) {
        (Some(day), Some(time)) => format!("{day} {time} UTC"),
        _ => text,
    }
}

// In the largest unit that comes out even.
fn duration(micros: i64) -> String {
    let units = [(DAY, "day"), (HOUR, "hour"), (MINUTE, "minute")];
    // A day is said in hours, as it is meant.
    let unit = units
        .into_iter()
        .find(|(unit, _)| micros % unit == 0 && (*unit != DAY || micros > DAY));
    let (number, name) = match unit {
        Some((unit, name)) => (micros / unit, name),
        None => (micros / MICROS, "second"),
    };
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {name}{plural}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claimed(attempts: i64) -> ClaimedMail {
        ClaimedMail {
            id: "1".into(),
            template: "reset".into(),
            attempts,
            created: 0,
        }
    }

    fn failed(temporary: bool) -> Result<(), MailError> {
        Err(MailError {
            temporary,
            class: "450".into(),
        })
    }

    #[test]
    fn pauses_grow_from_ten_seconds_to_six_hours() {
        let seconds: Vec<i64> = (1..=9).map(|attempts| pause(attempts) / MICROS).collect();
        assert_eq!(
            seconds,
            [10, 40, 160, 640, 2_560, 10_240, 21_600, 21_600, 21_600]
        );
        assert_eq!(pause(i64::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn a_mail_is_tried_for_a_day() {
        let (mut now, mut attempts) = (0, 1);
        while let (MailOutcome::Again { due, .. }, _) =
            outcome(&claimed(attempts), failed(true), now)
        {
            assert!(due > now);
            (now, attempts) = (due, attempts + 1);
        }
        assert_eq!((now, attempts), (PATIENCE, 11));
        let (_, delivered) = outcome(&claimed(1), failed(false), 0);
        assert_eq!(delivered, Delivered::GivenUp);
        assert_eq!(outcome(&claimed(1), Ok(()), DAY * 9).1, Delivered::Sent);
    }

    #[test]
    fn moments_and_durations_are_said_as_people_do() {
        assert_eq!(moment(1_767_229_200_000_000), "2026-01-01 01:00 UTC");
        for (micros, said) in [
            (HOUR, "1 hour"),
            (DAY, "24 hours"),
            (7 * DAY, "7 days"),
            (90 * MINUTE, "90 minutes"),
            (MINUTE, "1 minute"),
            (MICROS, "1 second"),
        ] {
            assert_eq!(duration(micros), said);
        }
    }
}
