//! What a document says of single accounts and of mails, as changes of what is stored.

use std::collections::HashMap;

use portreeve_gate::{AccountRebinding, Caller};
use portreeve_policy::{
    AccountBindings, Binding, Document, PlacedBinding, Problem, TemplateDefinition, TemplateWords,
    binding_to_json, suggestion,
};

use super::{Change, ChangeKind, Part};
use crate::mail::{TEMPLATES, TemplateText, check_template};
use crate::{Portreeve, ServiceError};

/// So many accounts are read at a time.
const PAGE: u32 = 1_000;

/// What becomes of the bindings of single accounts and of the words of mails.
#[derive(Default)]
pub(crate) struct Beside {
    pub changes: Vec<Change>,
    pub bindings: Vec<AccountRebinding>,
    pub templates: Vec<TemplateDefinition>,
    /// All bindings of each account that changes, before and after, by its id.
    pub rebound: HashMap<String, [Vec<Binding>; 2]>,
}

impl Portreeve {
    /// Compares what a document says of accounts and mails with what there is, as far as the caller may see it.
    pub(crate) async fn beside(
        &self,
        caller: &Caller,
        document: &Document,
    ) -> Result<Beside, ServiceError> {
        let mut beside = Beside::default();
        let mut problems = vec![];
        if !document.templates.is_empty() {
            self.gate.list_templates(caller)?;
        }
        for template in &document.templates {
            self.plan_template(template, &mut beside, &mut problems)
                .await?;
        }
        if !document.bindings.is_empty() {
            self.may(caller, "access.grant")?;
            self.may(caller, "access.revoke")?;
        }
        let mut named: HashMap<String, &AccountBindings> = HashMap::new();
        for account in &document.bindings {
            let mut fail = |code, message| {
                problems.push(Problem {
                    place: account.place.clone(),
                    code,
                    message,
                });
            };
            let name = &account.account;
            let id = match self.find_user(caller, name).await {
                Ok(id) => id,
                Err(ServiceError::UnknownUser(_)) => {
                    fail(
                        "unknown_user",
                        format!("there is no account '{name}'; make it first"),
                    );
                    continue;
                }
                Err(other) => return Err(other),
            };
            if let Some(first) = named.insert(id.clone(), account) {
                let first = &first.account;
                fail(
                    "duplicate_key",
                    format!("'{name}' is the same account as '{first}'"),
                );
                continue;
            }
            self.plan_account(caller, &id, account, &mut beside).await?;
        }
        if problems.is_empty() {
            Ok(beside)
        } else {
            Err(ServiceError::BadPolicy(problems))
        }
    }

    async fn plan_account(
        &self,
        caller: &Caller,
        id: &str,
        account: &AccountBindings,
        beside: &mut Beside,
    ) -> Result<(), ServiceError> {
        let system = self.store.system();
        // The epoch first: what is read afterwards is at least as new.
        let facts = system.credential_facts(id).await?;
        let facts = facts.ok_or_else(|| ServiceError::UnknownUser(account.account.clone()))?;
        let all = system.bindings_of(id).await?;
        let mut there = all.clone();
        if !self.gate.is_administrator(caller) {
            // What he does not see is not his to end.
            let seen = self.user_bindings(caller, id).await?;
            let seen = |id: &str| seen.iter().any(|row| row.get("id") == Some(&id.into()));
            there.retain(|(id, _)| seen(id));
        }
        let (mut wanted, mut change): (Vec<&Binding>, Vec<(String, Binding)>) = (vec![], vec![]);
        for PlacedBinding { binding, .. } in &account.bindings {
            match there.iter().position(|(_, known)| known == binding) {
                Some(place) => drop(there.remove(place)),
                None => wanted.push(binding),
            }
        }
        let mut what = vec![];
        wanted.retain(|binding| {
            let like = there
                .iter()
                .position(|(_, known)| known.leads_like(binding));
            let Some(place) = like else {
                return true;
            };
            let (id, known) = there.remove(place);
            what.push(format!(
                "~ {} becomes {}",
                binding_to_json(&known),
                binding_to_json(binding)
            ));
            change.push((id, (*binding).clone()));
            false
        });
        let line = |sign: char, binding: &Binding| format!("{sign} {}", binding_to_json(binding));
        what.extend(there.iter().map(|(_, binding)| line('-', binding)));
        what.extend(wanted.iter().map(|binding| line('+', binding)));
        if what.is_empty() {
            return Ok(());
        }
        beside.changes.push(Change {
            change: ChangeKind::Change,
            part: Part::Bindings,
            name: account.account.clone(),
            what,
        });
        let mut after: Vec<Binding> = all
            .iter()
            .filter(|(id, _)| there.iter().all(|(gone, _)| gone != id))
            .map(|(id, known)| {
                let changed = change.iter().find(|(changed, _)| changed == id);
                changed.map_or(known, |(_, new)| new).clone()
            })
            .collect();
        after.extend(wanted.iter().map(|binding| (*binding).clone()));
        let before = all.into_iter().map(|(_, binding)| binding).collect();
        beside.rebound.insert(id.to_owned(), [before, after]);
        beside.bindings.push(AccountRebinding {
            user: id.to_owned(),
            epoch: facts.facts.epoch,
            end: there.into_iter().map(|(id, _)| id).collect(),
            change,
            make: wanted.into_iter().cloned().collect(),
        });
        Ok(())
    }

    async fn plan_template(
        &self,
        template: &TemplateDefinition,
        beside: &mut Beside,
        problems: &mut Vec<Problem>,
    ) -> Result<(), ServiceError> {
        let mut fail = |code, message| {
            problems.push(Problem {
                place: template.place.clone(),
                code,
                message,
            });
        };
        let Some(kind) = TemplateText::find(&template.name) else {
            let hint = suggestion(&template.name, TEMPLATES.iter().map(|kind| kind.name));
            fail(
                "unknown_template",
                format!("there is no kind of mail '{}'{hint}", template.name),
            );
            return Ok(());
        };
        if let Some(words) = &template.words {
            let parts = [
                ("subject", Some(&words.subject)),
                ("text", Some(&words.text)),
            ];
            for (part, source) in parts.into_iter().chain([("html", words.html.as_ref())]) {
                let checked = source.map_or(Ok(()), |source| check_template(kind, part, source));
                if let Err(error) = checked {
                    fail("bad_value", error.to_string());
                }
            }
        }
        let stored = self.store.system().template(kind.name).await?;
        let before = stored.map(|own| TemplateWords {
            subject: own.subject,
            text: own.text,
            html: own.html,
        });
        let change = match (&before, &template.words) {
            (before, after) if before == after => return Ok(()),
            (_, None) => ChangeKind::Delete,
            (None, Some(_)) => ChangeKind::Create,
            (Some(_), Some(_)) => ChangeKind::Change,
        };
        let what = match change {
            ChangeKind::Delete => vec!["the built-in words again".into()],
            _ => vec![],
        };
        beside.changes.push(Change {
            change,
            part: Part::Template,
            name: template.name.clone(),
            what,
        });
        beside.templates.push(template.clone());
        Ok(())
    }

    /// The words of mails that somebody has put in the place of the built-in ones, as a document says them.
    pub(crate) async fn own_templates(&self) -> Result<Vec<TemplateDefinition>, ServiceError> {
        let mut all = vec![];
        for kind in TEMPLATES {
            if let Some(own) = self.store.system().template(kind.name).await? {
                all.push(TemplateDefinition {
                    name: own.name,
                    words: Some(TemplateWords {
                        subject: own.subject,
                        text: own.text,
                        html: own.html,
                    }),
                    place: Default::default(),
                });
            }
        }
        Ok(all)
    }

    /// What all accounts are bound to, as a document says it: in order of number, each called by its name, its address
    /// or its key, whichever finds it again.
    pub(crate) async fn all_bindings(
        &self,
        caller: &Caller,
    ) -> Result<Vec<AccountBindings>, ServiceError> {
        self.demand_administrator(caller)?;
        let system = self.store.system();
        let (mut all, mut after) = (vec![], None);
        loop {
            let page = self.list_users(caller, PAGE, after).await?;
            after = page.last().map(|user| user.number);
            for user in &page {
                let names = [user.username.as_ref(), user.email.as_ref(), Some(&user.key)];
                let mut account = user.id.clone();
                for name in names.into_iter().flatten() {
                    // One that stands for others too is no name to call it by.
                    let found = self.find_user(caller, name).await;
                    if found.is_ok_and(|found| found == user.id) {
                        account.clone_from(name);
                        break;
                    }
                }
                let mut bindings: Vec<PlacedBinding> = system
                    .bindings_of(&user.id)
                    .await?
                    .into_iter()
                    .map(|(_, binding)| PlacedBinding {
                        binding,
                        place: Default::default(),
                    })
                    .collect();
                // Their ids, by which they come, are made anew elsewhere.
                bindings.sort_by_cached_key(|one| binding_to_json(&one.binding).to_string());
                all.push(AccountBindings {
                    account,
                    bindings,
                    place: Default::default(),
                });
            }
            if page.len() < PAGE as usize {
                return Ok(all);
            }
        }
    }
}
