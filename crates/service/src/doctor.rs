//! What an operator should look at: rights that are wider than anybody means, or that nobody can use; accounts and
//! sessions that outlive their reasons; work that was not done. Findings have stable ids; nothing is changed.

mod never;
mod roles;
mod rows;

use portreeve_gate::Caller;
use portreeve_model::timestamp_text;
use portreeve_policy::{Binding, BoundTo, binding_to_json};
use serde::Serialize;
use serde_json::Value as Json;

use crate::{Portreeve, ServiceError};

/// So many accounts are read at a time.
const PAGE: u32 = 1_000;
/// What should be done by now.
const LATE: i64 = 5 * 60 * 1_000_000;
/// A session that holds for longer without being used is one without an end.
const LONG: i64 = 366 * 24 * 60 * 60 * 1_000_000;

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It works, and could work better.
    Notice,
    /// Somebody should decide whether this is meant.
    Warning,
    /// This is wrong.
    Error,
}

/// Something to look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// What kind of thing it is; stable.
    pub id: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Where: a way into the access document, an account, a setting.
    pub place: String,
    /// What is so, and why that matters.
    pub why: String,
    /// What to do.
    pub fix: String,
}

/// Who administers, and by which binding.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AdministratorView {
    /// The account's name, address or key.
    pub name: String,
    /// Its id.
    pub user: String,
    /// The binding, as an access file says it.
    pub binding: Json,
    /// Whether the account may sign in.
    pub active: bool,
    /// When it was last seen, where one of its sessions is left.
    pub seen: Option<String>,
}

/// All that was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// What to look at, the gravest first.
    pub findings: Vec<Finding>,
    /// Who administers.
    pub administrators: Vec<AdministratorView>,
}

/// Findings as they are made.
#[derive(Default)]
pub(crate) struct Findings(Vec<Finding>);

impl Findings {
    fn add(
        &mut self,
        id: &'static str,
        severity: Severity,
        place: impl Into<String>,
        why: impl Into<String>,
        fix: impl Into<String>,
    ) {
        self.0.push(Finding {
            id,
            severity,
            place: place.into(),
            why: why.into(),
            fix: fix.into(),
        });
    }
}

impl Diagnosis {
    /// Adds what was found elsewhere, and brings all of it in order.
    pub fn with(mut self, more: Vec<Finding>) -> Self {
        self.findings.extend(more);
        let key = |finding: &Finding| (std::cmp::Reverse(finding.severity), finding.id);
        self.findings.sort_by_key(key);
        self
    }
}

impl Portreeve {
    /// Looks at policy, accounts, sessions, audit trail and mails. For administrators.
    pub async fn diagnose(&self, caller: &Caller) -> Result<Diagnosis, ServiceError> {
        self.demand_administrator(caller)?;
        let now = self.now();
        let mut findings = Findings::default();
        let document = self.store.system().load_policy().await?.document;
        let bound = self.store.system().bound().await?;
        let snapshot = caller.snapshot();
        let held = |to: &BoundTo| bound.iter().any(|(known, _)| known == to);
        roles::unused(&document, held, &mut findings);
        roles::shadowed(snapshot, &document, now, &mut findings);
        roles::open_doors(snapshot, &document, now, &mut findings);
        roles::emptied_profiles(snapshot, &document, now, &mut findings);
        never::look(&document, now, &mut findings);
        rows::look(snapshot, &document, now, &mut findings);
        self.registration_hands_out(caller, &mut findings);
        self.emptied_bindings(caller, &mut findings).await?;
        let administrators = self.administrators(caller, &mut findings).await?;
        self.credentials(now, &mut findings).await?;
        self.undone(now, &mut findings).await?;
        let diagnosis = Diagnosis {
            findings: findings.0,
            administrators,
        };
        Ok(diagnosis.with(vec![]))
    }

    // What strangers get who make an account for themselves.
    fn registration_hands_out(&self, caller: &Caller, findings: &mut Findings) {
        let open: Vec<&str> = self
            .faces
            .iter()
            .filter(|(_, settings)| settings.registration.open)
            .map(|(face, _)| face)
            .collect();
        if open.is_empty() {
            return;
        }
        let snapshot = caller.snapshot();
        for role in snapshot.registration_roles() {
            let rights = roles::beyond_records(snapshot, role, caller.context().now);
            if !rights.is_empty() {
                findings.add(
                    "registration-privileged",
                    Severity::Error,
                    "registration.roles",
                    format!(
                        "whoever signs up ({}) gets the role '{role}', which may {}",
                        open.join(", "),
                        rights.join(", ")
                    ),
                    "name another role under 'registration:', or close registration",
                );
            }
        }
    }

    // Restrictions of bindings that leave nothing of the role.
    async fn emptied_bindings(
        &self,
        caller: &Caller,
        findings: &mut Findings,
    ) -> Result<(), ServiceError> {
        let who = self.gate.who_can(caller)?;
        let (snapshot, now) = (caller.snapshot(), caller.context().now);
        let mut seen: Vec<Binding> = vec![];
        let mut after = i64::MIN;
        loop {
            let page = self.store.members(&who, after, PAGE).await?;
            let last = page.len() < PAGE as usize;
            for member in page {
                after = member.number;
                for binding in &member.facts.bindings {
                    if binding.restricted_to.is_none()
                        || seen.iter().any(|known| known.leads_like(binding))
                    {
                        continue;
                    }
                    seen.push(binding.clone());
                    if roles::is_emptied(snapshot, binding, now) {
                        findings.add(
                            "restriction-empty",
                            Severity::Warning,
                            format!("user {}", member.facts.user),
                            format!(
                                "the binding {} is restricted to where it says nothing",
                                binding_to_json(binding)
                            ),
                            "end it, or restrict it to collections that its role is about",
                        );
                    }
                }
            }
            if last {
                return Ok(());
            }
        }
    }

    async fn administrators(
        &self,
        caller: &Caller,
        findings: &mut Findings,
    ) -> Result<Vec<AdministratorView>, ServiceError> {
        let system = self.store.system();
        let found = system.administrators(caller.snapshot()).await?;
        let now = self.now();
        let live = |binding: &Binding| {
            binding.from.is_none_or(|from| from <= now)
                && binding.until.is_none_or(|until| until > now)
        };
        let mut lasting: Vec<&str> = found
            .iter()
            .filter(|one| one.active && live(&one.binding) && one.binding.until.is_none())
            .map(|one| one.user.as_str())
            .collect();
        lasting.sort_unstable();
        lasting.dedup();
        match lasting.len() {
            0 => findings.add(
                "no-administrator",
                Severity::Error,
                "bindings",
                "nobody administers: nothing but setup works",
                "portreeve user create NAME --role admin",
            ),
            1 => findings.add(
                "one-administrator",
                Severity::Warning,
                found
                    .iter()
                    .find(|one| one.user == lasting[0])
                    .map_or_else(|| "bindings".into(), |one| format!("user {}", one.name)),
                "only one account administers for good: whoever loses it loses the administration",
                "portreeve role grant admin ANOTHER",
            ),
            _ => {}
        }
        let view = |one: &portreeve_store::Administrator| AdministratorView {
            name: one.name.clone(),
            user: one.user.clone(),
            binding: binding_to_json(&one.binding),
            active: one.active,
            seen: one.seen.filter(|seen| *seen > 0).map(timestamp_text),
        };
        Ok(found.iter().map(view).collect())
    }

    async fn credentials(&self, now: i64, findings: &mut Findings) -> Result<(), ServiceError> {
        let system = self.store.system();
        let foreign = system.foreign_hashes().await?;
        if foreign.count > 0 {
            findings.add(
                "foreign-hashes",
                Severity::Notice,
                format!("{} accounts: {}", foreign.count, listed(&foreign)),
                "their passwords are kept as another system kept them, until they sign in for the first time",
                "have them sign in, or ask those who do not to set a new password",
            );
        }
        let long = system.long_sessions(now.saturating_add(LONG)).await?;
        if long.count > 0 {
            findings.add(
                "sessions-endless",
                Severity::Warning,
                format!("{} accounts: {}", long.count, listed(&long)),
                "they have sessions that hold for more than a year, used or not: a token that is lost stays good",
                "set [sessions] life or idle, and end those there are: portreeve session end USER",
            );
        }
        Ok(())
    }

    async fn undone(&self, now: i64, findings: &mut Findings) -> Result<(), ServiceError> {
        let backlog = self.store.system().backlog(now - LATE).await?;
        if backlog.unsealed > 0 {
            findings.add(
                "audit-unsealed",
                Severity::Error,
                "audit",
                format!(
                    "{} lines of the audit trail wait for their seal for more than five minutes: they could be altered unseen",
                    backlog.unsealed
                ),
                "start the server, which seals within a second, and look at its log if they stay",
            );
        }
        if backlog.waiting > 0 || backlog.given_up > 0 {
            let said = backlog
                .error
                .map(|error| format!("; the last time: {error}"));
            findings.add(
                "mail-failing",
                Severity::Warning,
                "mail",
                format!(
                    "{} mails wait for more than five minutes, {} were given up{}",
                    backlog.waiting,
                    backlog.given_up,
                    said.unwrap_or_default()
                ),
                "look at them with: portreeve mail list; and at [mail] in the configuration",
            );
        }
        Ok(())
    }
}

fn listed(counted: &portreeve_store::Counted) -> String {
    let mut names = counted.names.join(", ");
    if counted.count > counted.names.len() as u64 {
        names.push_str(", …");
    }
    names
}
