//! How often one may try to sign in, ask for mail or sign up, and how many requests the holders of a profile may make.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};

use portreeve_gate::Caller;
use portreeve_model::MICROS;
use portreeve_policy::{Binding, BoundTo, Snapshot};

use crate::faces::FaceSettings;
use crate::throttle::{Budget, Exhausted, Key, Limit, Taken, Throttle, network, network_text};
use crate::{Portreeve, ServiceError};

/// So many budgets are kept of each kind.
const BUDGETS: usize = 65_536;

/// So long an address at which somebody has signed in counts as his.
const KNOWN: i64 = 30 * 24 * 60 * 60 * MICROS;

/// How often one may try to sign in, ask for mail or sign up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ThrottleSettings {
    /// From one address (of IPv6: one /64), whatever the name.
    pub per_address: Limit,
    /// With one name from one address.
    pub per_name_and_address: Limit,
    /// With one name from all addresses together at which it has not signed in before.
    pub per_name: Limit,
    /// Accounts that are made for themselves from one address.
    pub registrations: Limit,
    /// Mails that are asked for from one address.
    pub mails: Limit,
    /// Other addresses that one account asks for, each of which is a mail to two.
    pub address_changes: Limit,
}

impl Default for ThrottleSettings {
    fn default() -> Self {
        Self {
            per_address: Limit::per_minute(60),
            per_name_and_address: Limit::per_minute(10),
            per_name: Limit::per_minute(30),
            registrations: Limit::per_hour(60),
            mails: Limit::per_hour(60),
            address_changes: Limit::per_hour(5),
        }
    }
}

/// The budgets there are.
pub(crate) struct Rates {
    settings: ThrottleSettings,
    attempts: Throttle,
    known: Throttle,
    requests: Throttle,
    // Whether anybody's requests have been limited.
    limited: AtomicBool,
}

/// An attempt that may be made.
#[must_use]
pub(crate) struct Trial(Taken);

impl Rates {
    pub fn new(settings: ThrottleSettings) -> Self {
        Self {
            settings,
            attempts: Throttle::new(4 * BUDGETS),
            known: Throttle::new(BUDGETS),
            requests: Throttle::new(BUDGETS),
            limited: AtomicBool::new(false),
        }
    }

    /// Notes that somebody may make so many requests.
    pub fn note_limit(&self, rate: u32) {
        if rate > 0 {
            self.limited.store(true, Ordering::Relaxed);
        }
    }

    /// Whether anybody's requests have been limited since the start.
    pub fn are_limited(&self) -> bool {
        self.limited.load(Ordering::Relaxed)
    }
}

// A name is counted as it was meant: what lower and upper case or a space at the end make of it is no other one.
fn canonical(login: &str) -> String {
    login.trim().to_ascii_lowercase()
}

impl Portreeve {
    /// Whether an attempt to sign in as `login` may be made: `user` is whose name that is, where it is somebody's. Names
    /// that nobody has are counted like others.
    pub(crate) async fn try_sign_in(
        &self,
        login: &str,
        user: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Trial, ServiceError> {
        self.attempt(Some(&canonical(login)), user, address).await
    }

    /// Whether the password of an account may be tried where it is not signed in by: it is counted with its sign-ins, so that
    /// there is no other door to guess at.
    pub(crate) async fn try_password(
        &self,
        user: &str,
        address: Option<IpAddr>,
    ) -> Result<Trial, ServiceError> {
        self.attempt(None, Some(user), address).await
    }

    /// Whether a code may be tried. By the address alone: of whom it is, one only knows when it is good.
    pub(crate) fn try_code(&self, address: Option<IpAddr>) -> Result<Trial, ServiceError> {
        let place = network_text(address);
        let wanted = [(
            Key::of(&["address", &place]),
            self.rates.settings.per_address,
        )];
        let taken = self.rates.attempts.take(&wanted, self.now());
        taken.map(Trial).map_err(throttled)
    }

    /// Counts an account that somebody makes for himself.
    pub(crate) fn count_registration(&self, address: Option<IpAddr>) -> Result<(), ServiceError> {
        let limit = self.rates.settings.registrations;
        self.count(&["registration", &network_text(address)], limit)
    }

    /// Counts a mail that is asked for, whoever it is for.
    pub(crate) fn count_mail(&self, address: Option<IpAddr>) -> Result<(), ServiceError> {
        let limit = self.rates.settings.mails;
        self.count(&["mail", &network_text(address)], limit)
    }

    /// Counts another address that an account asks for.
    pub(crate) fn count_address_change(&self, user: &str) -> Result<(), ServiceError> {
        let limit = self.rates.settings.address_changes;
        self.count(&["address change", user], limit)
    }

    // What is not given back.
    fn count(&self, by: &[&str], limit: Limit) -> Result<(), ServiceError> {
        let taken = self
            .rates
            .attempts
            .take(&[(Key::of(by), limit)], self.now());
        taken.map(drop).map_err(throttled)
    }

    // Takes what an attempt costs: by the name that was typed, the account that is meant and where it comes from.
    async fn attempt(
        &self,
        name: Option<&str>,
        user: Option<&str>,
        address: Option<IpAddr>,
    ) -> Result<Trial, ServiceError> {
        let (rates, now) = (&self.rates, self.now());
        let settings = rates.settings;
        let place = network_text(address);
        let mut wanted = vec![(Key::of(&["address", &place]), settings.per_address)];
        if let Some(name) = name {
            wanted.push((pair(name, &place), settings.per_name_and_address));
        }
        // By the account too, so that its name and its address are not two.
        if let Some(user) = user {
            let key = Key::of(&["account and address", user, &place]);
            wanted.push((key, settings.per_name_and_address));
        }
        let own = wanted.len();
        if let Some(name) = name {
            wanted.push((Key::of(&["name", name]), settings.per_name));
        }
        if let Some(user) = user {
            wanted.push((Key::of(&["account", user]), settings.per_name));
        }
        let refused = match rates.attempts.take(&wanted, now) {
            Ok(taken) => return Ok(Trial(taken)),
            Err(refused) => refused,
        };
        // Where the account has signed in before, what strangers elsewhere try does not count.
        let here_before = self
            .knows_address(user.or(name).unwrap_or_default(), address, now)
            .await?;
        let again = here_before.then(|| rates.attempts.take(&wanted[..own], now));
        match again {
            Some(Ok(taken)) => Ok(Trial(taken)),
            Some(Err(refused)) => Err(throttled(refused)),
            None => Err(throttled(refused)),
        }
    }

    /// An attempt that has succeeded.
    pub(crate) fn signed_in(&self, trial: Trial, user: &str, address: Option<IpAddr>) {
        self.no_attempt(trial);
        let now = self.now();
        let key = Key::of(&[user, &network_text(address)]);
        self.rates
            .known
            .remember(key, now.saturating_add(KNOWN), now);
    }

    /// An attempt that was none.
    pub(crate) fn no_attempt(&self, trial: Trial) {
        self.rates.attempts.give_back(trial.0);
    }

    /// What is left of the attempts to sign in with a name from an address.
    pub fn sign_in_budget(&self, login: &str, address: Option<IpAddr>) -> Option<Budget> {
        let limit = self.rates.settings.per_name_and_address;
        let key = pair(&canonical(login), &network_text(address));
        let attempts = &self.rates.attempts;
        (limit.attempts > 0).then(|| attempts.budget("sign-in", key, limit, self.now()))
    }

    async fn knows_address(
        &self,
        user: &str,
        address: Option<IpAddr>,
        now: i64,
    ) -> Result<bool, ServiceError> {
        let key = Key::of(&[user, &network_text(address)]);
        if self.rates.known.remembers(key, now) {
            return Ok(true);
        }
        let Some(address) = address else {
            return Ok(false);
        };
        let addresses = self.store.system().session_addresses(user).await?;
        Ok(addresses.iter().any(|known| {
            known
                .parse()
                .is_ok_and(|known: IpAddr| network(known) == network(address))
        }))
    }

    /// Counts a request of a caller whose profiles limit them.
    pub(crate) fn count_request(
        &self,
        caller: &Caller,
        rate: u32,
        face: &FaceSettings,
    ) -> Result<(), ServiceError> {
        let wanted = [requests(caller, rate, face)];
        // Requests are not given back.
        let taken = self.rates.requests.take(&wanted, self.now());
        taken.map(drop).map_err(throttled)
    }

    pub(crate) fn budget_of(&self, caller: &Caller, rate: u32, face: &FaceSettings) -> Budget {
        let (key, limit) = requests(caller, rate, face);
        let requests = &self.rates.requests;
        requests.budget("requests", key, limit, self.now())
    }
}

fn requests(caller: &Caller, rate: u32, face: &FaceSettings) -> (Key, Limit) {
    let limit = Limit {
        attempts: rate,
        window: face.rate_window,
    };
    let user = caller.user().map_or("", |user| &**user);
    (Key::of(&["requests", user]), limit)
}

fn pair(name: &str, place: &str) -> Key {
    Key::of(&["name and address", name, place])
}

fn throttled(exhausted: Exhausted) -> ServiceError {
    ServiceError::Throttled {
        seconds: exhausted.seconds(),
    }
}

/// How many requests somebody with these bindings may make; 0 is as many as he likes, and so is it for whoever holds one
/// profile that says so.
pub(crate) fn rate(bindings: &[Binding], snapshot: &Snapshot, now: i64) -> u32 {
    let mut rate = 0;
    for binding in bindings {
        let live = binding.from.is_none_or(|from| from <= now)
            && binding.until.is_none_or(|until| now < until);
        if let (true, BoundTo::Profile(profile)) = (live, &binding.to) {
            match snapshot.rate_limit(profile) {
                0 => return 0,
                limit => rate = rate.max(limit),
            }
        }
    }
    rate
}
