//! The named statements of mail: what waits to be sent, the codes in it, and what a code does.

use std::sync::Arc;

use portreeve_gate::{Authorized, ChangeEmail, Invited, RemoveTemplate, SetTemplate};

use crate::store::{asked, done, written};
use crate::work::{codes, mail, templates};
use crate::{Stale, Store, StoreError, System};

/// A mail that somebody has asked for who is nobody yet.
#[derive(Clone, Debug)]
pub struct AskedMail {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub template: String,
    /// What was typed: a name or an address.
    pub login: String,
    /// The page its link leads to, where one was chosen.
    pub link: Option<String>,
    /// When, microseconds since 1970.
    pub at: i64,
    /// So many may wait.
    pub limit: usize,
}

/// A mail that is to be sent now, by nobody else for a while.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimedMail {
    /// Its id.
    pub id: String,
    /// Its kind.
    pub template: String,
    /// How often it has been tried, this time included: the claim is good as long as it says so.
    pub attempts: i64,
    /// Since when it waits, microseconds since 1970.
    pub created: i64,
}

/// What is decided in the moment a mail is sent.
#[derive(Clone, Debug)]
pub struct Prepare {
    /// Which one.
    pub mail: ClaimedMail,
    /// The hash of the code that will be in it, where its kind has one.
    pub code: Option<[u8; 32]>,
    /// Until when that code holds.
    pub expires: i64,
    /// Now.
    pub at: i64,
    /// Mails sent after this count for the limit.
    pub since: i64,
    /// So many go to an address; nothing where this kind is not limited.
    pub limit: Option<u32>,
}

/// A mail with all that is to be said in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreparedMail {
    /// Where to.
    pub address: String,
    /// A new address it speaks of.
    pub about: Option<String>,
    /// The page its link leads to, where one was chosen.
    pub link: Option<String>,
    /// The account it is for.
    pub user: MailUser,
}

/// An account, as far as mails speak of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MailUser {
    /// Its id.
    pub id: Arc<str>,
    /// Its chosen key.
    pub key: String,
    /// The name it signs in by.
    pub username: Option<String>,
    /// The address it signs in by.
    pub email: Option<String>,
}

/// How a mail has fared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MailOutcome {
    /// The next one has it.
    Sent,
    /// To be tried again then.
    Again {
        /// When.
        due: i64,
        /// What kind of failure.
        error: String,
    },
    /// Never to be tried again.
    GivenUp {
        /// What kind of failure.
        error: String,
    },
}

/// A code that is still good, and what it is good for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoodCode {
    /// What it is for.
    pub purpose: String,
    /// Whose it is.
    pub user: Arc<str>,
    /// The account's name.
    pub username: Option<String>,
    /// Its address.
    pub email: Option<String>,
    /// Who has invited.
    pub by: Option<String>,
}

/// An invitation that is accepted.
#[derive(Clone, Debug)]
pub struct Accept {
    /// The hash of its code.
    pub code: [u8; 32],
    /// The new account's password, hashed.
    pub password_hash: String,
    /// The name it wants.
    pub username: Option<String>,
    /// The policy, and the inviter with the epoch, under which it was found that the invitation still holds.
    pub version: u64,
    /// Who invited, where it was a user.
    pub inviter: Option<(String, u64)>,
    /// Now.
    pub at: i64,
}

/// Somebody's own words for a kind of mail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTemplate {
    /// The kind.
    pub name: String,
    /// One line.
    pub subject: String,
    /// Its text.
    pub text: String,
    /// The same as HTML, where there is that.
    pub html: Option<String>,
    /// Since when, microseconds since 1970.
    pub updated: i64,
}

impl System<'_> {
    /// Has a mail sent to whoever a name or an address stands for, if there is somebody. The same work for everybody.
    /// Refused as [`StoreError::Busy`] where too many wait already.
    pub async fn ask_mail(&self, asked: AskedMail) -> Result<(), StoreError> {
        written!(self.store, Shared, writing => mail::ask(writing, &asked))
    }

    /// The next mail that is due, claimed until then.
    pub async fn claim_mail(
        &self,
        now: i64,
        until: i64,
    ) -> Result<Option<ClaimedMail>, StoreError> {
        // Most of the time there is none, which is found without a turn to write.
        let due = asked!(self.store, connection => mail::due(connection, now))?;
        if due.is_empty() {
            return Ok(None);
        }
        written!(self.store, Shared, writing => mail::claim(writing, &due, now, until))
    }

    /// What is to be said in a claimed mail, with its code stored; nothing where it is not to be sent, and then it is gone.
    pub async fn prepare_mail(&self, prepare: Prepare) -> Result<Option<PreparedMail>, StoreError> {
        if !asked!(self.store, connection => mail::is_meant(connection, &prepare.mail))? {
            written!(self.store, Shared, writing => mail::forget(writing, &prepare.mail))?;
            return Ok(None);
        }
        written!(self.store, Alone, writing => mail::prepare(writing, &prepare))
    }

    /// Writes down how a claimed mail has fared.
    pub async fn settle_mail(
        &self,
        mail: ClaimedMail,
        outcome: MailOutcome,
        at: i64,
    ) -> Result<(), StoreError> {
        written!(self.store, Shared, writing => mail::settle(writing, &mail, &outcome, at))
    }

    /// Forgets codes that have expired by now, and mails that came to their end before then.
    pub async fn tidy_mails(&self, now: i64, before: i64) -> Result<u64, StoreError> {
        written!(self.store, Shared, writing => mail::tidy(writing, now, before))
    }

    /// The hash of an account's password, where it has one and is active.
    pub async fn password_hash(&self, user: &str) -> Result<Option<String>, StoreError> {
        asked!(self.store, connection => codes::password_hash(connection, user))
    }

    /// What a code is good for now; nothing where it is not good.
    pub async fn code(&self, code: &[u8; 32], now: i64) -> Result<Option<GoodCode>, StoreError> {
        asked!(self.store, connection => codes::good(connection, code, now))
    }

    /// Uses a code for a new password: the account's sessions end, its other codes are void. [`StoreError::Gone`] where it is
    /// not good (any more).
    pub async fn reset_password(
        &self,
        code: [u8; 32],
        password_hash: String,
        now: i64,
    ) -> Result<((), Stale), StoreError> {
        done!(self.store, Alone, writing => codes::reset_password(writing, &code, &password_hash, now))
    }

    /// Uses a code to confirm the account's address, or to put a new one in its place. An account that somebody has made for
    /// himself keeps its password only if it is the one with this hash.
    pub async fn confirm_address(
        &self,
        code: [u8; 32],
        verified: Option<String>,
        now: i64,
    ) -> Result<((), Stale), StoreError> {
        done!(self.store, Alone, writing => codes::confirm_address(writing, &code, verified.as_deref(), now))
    }

    /// Uses a code to accept an invitation.
    pub async fn accept_invitation(&self, accept: Accept) -> Result<((), Stale), StoreError> {
        done!(self.store, Alone, writing => codes::accept(writing, &accept))
    }

    /// Somebody's own words for a kind of mail, where there are.
    pub async fn template(&self, name: &str) -> Result<Option<StoredTemplate>, StoreError> {
        asked!(self.store, connection => templates::find(connection, name))
    }
}

impl Store {
    /// Makes an account that waits for whoever is invited, or renews an invitation. Returns its id and number.
    pub async fn invite(
        &self,
        invite: Authorized<Invited>,
    ) -> Result<((String, i64), Stale), StoreError> {
        done!(self, Alone, writing => codes::invite(writing, &invite))
    }

    /// Has a new address confirmed, and tells the old one.
    pub async fn change_email(&self, change: Authorized<ChangeEmail>) -> Result<(), StoreError> {
        written!(self, Shared, writing => mail::change_email(writing, &change))
    }

    /// Takes somebody's own words for a kind of mail.
    pub async fn set_template(&self, set: Authorized<SetTemplate>) -> Result<(), StoreError> {
        written!(self, Shared, writing => templates::set(writing, &set))
    }

    /// Goes back to the built-in words. Whether there were others.
    pub async fn remove_template(
        &self,
        remove: Authorized<RemoveTemplate>,
    ) -> Result<bool, StoreError> {
        written!(self, Shared, writing => templates::remove(writing, &remove))
    }
}
