//! The nearest change of the policy that would flip a denial.

use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::{Condition, FieldId};

use super::{Addition, Clause, Explaining, Suggestion, join};
use crate::describe::literal;
use crate::{Effect, FieldSet, Grant, IMPLICIT, Layer};

impl Explaining<'_> {
    pub(super) fn suggestion(&self, layers: &[Layer]) -> Option<Suggestion> {
        let denies =
            |layers: &[Layer]| self.clauses(layers, |grant| grant.body.effect == Effect::Deny);
        let all_denies: BTreeSet<Clause> = denies(layers).into_iter().collect();
        let remove = |layers: &[Layer], added: &[Layer]| -> Option<(Vec<Layer>, Vec<Clause>)> {
            let with: Vec<Layer> = layers
                .iter()
                .zip(added)
                .map(|(own, added)| join(own, added))
                .collect();
            let without: Vec<Layer> = with
                .iter()
                .map(|layer| Layer {
                    denies: vec![],
                    ..layer.clone()
                })
                .collect();
            if !self.allowed(&without) {
                return None;
            }
            // Put back every deny that does not matter.
            let mut kept = without;
            for place in 0..with.len() {
                for deny in &with[place].denies {
                    let mut more = kept.clone();
                    more[place].denies.push(deny.clone());
                    if self.allowed(&more) {
                        kept = more;
                    }
                }
            }
            let left: BTreeSet<Clause> = denies(&kept).into_iter().collect();
            let gone = all_denies.difference(&left).cloned().collect();
            Some((kept, gone))
        };
        let nothing: Vec<Layer> = layers.iter().map(|_| Layer::default()).collect();
        if let Some((_, gone)) = remove(layers, &nothing) {
            return Some(Suggestion {
                remove: gone,
                add: vec![],
            });
        }
        let additions = self.additions(layers)?;
        let added: Vec<Layer> = additions
            .iter()
            .map(|addition| Layer {
                allows: addition.iter().map(|(grant, _)| grant.clone()).collect(),
                denies: vec![],
            })
            .collect();
        let (_, gone) = remove(layers, &added)?;
        // A layer that allows without the addition does not need it.
        let mut needed = added;
        for place in 0..needed.len() {
            let mut fewer = needed.clone();
            fewer[place] = Layer::default();
            if remove(layers, &fewer).is_some_and(|(_, fewer_gone)| fewer_gone == gone) {
                needed = fewer;
            }
        }
        let mut add: Vec<Addition> = vec![];
        for (place, layer) in needed.iter().enumerate() {
            if !layer.allows.is_empty() {
                for (_, addition) in &additions[place] {
                    if !add.contains(addition) {
                        add.push(addition.clone());
                    }
                }
            }
        }
        Some(Suggestion { remove: gone, add })
    }

    // The narrowest allow that fits, for each layer: this action, this record, these fields.
    pub(super) fn additions(&self, layers: &[Layer]) -> Option<Vec<Vec<(Grant, Addition)>>> {
        let question = self.question;
        let collection = question
            .collection
            .map(|id| self.snapshot.catalog().get(id));
        let mut body = crate::Body::plain(Effect::Allow);
        let mut rows = None;
        let mut fields = None;
        if let Some(collection) = collection {
            if collection.system && question.action.0 >= 3 {
                return None;
            }
            if let Some(record) = &question.record {
                let key = record.get(collection.key);
                let ty = collection.key_field().ty;
                rows = Some(format!(
                    "{} = {}",
                    collection.key_field().name,
                    literal(key, ty)
                ));
                body.rows = Some(Arc::new(Condition::Compare {
                    left: portreeve_model::Term::Path(portreeve_model::PathTerm {
                        start: portreeve_model::Start::Field(collection.key),
                        guard: None,
                        hops: vec![],
                        ty,
                    }),
                    op: portreeve_model::CompareOp::Equal,
                    right: portreeve_model::Term::Slot(
                        portreeve_model::Slot::Literal(key.clone()),
                        ty,
                    ),
                }));
            }
            let mut only: Vec<FieldId> = question
                .sent
                .iter()
                .map(|(field, _)| *field)
                .chain(question.field)
                .collect();
            only.sort_unstable();
            only.dedup();
            // No list of fields covers undeclared ones.
            let undeclared = collection
                .overflow()
                .is_some_and(|field| only.contains(&field));
            if !only.is_empty() && !undeclared {
                body.fields = FieldSet::Only(only.into());
                fields = Some(self.field_names(collection.id, &body.fields));
            }
        }
        let body = Arc::new(body);
        let sets = std::iter::once(&self.asker.roles).chain(&self.asker.narrowing);
        let mut additions = vec![];
        for (roles, _) in sets.zip(layers) {
            let role = roles.receptive_role(question.collection, &self.asker.context)?;
            let grant = Grant {
                body: Arc::clone(&body),
                role: Arc::clone(&role),
                position: IMPLICIT - 1,
                administrator: false,
            };
            additions.push(vec![(
                grant,
                Addition {
                    role: role.to_string(),
                    allow: self.snapshot.actions().name(question.action).to_owned(),
                    on: collection.map(|collection| collection.name.to_string()),
                    rows: rows.clone(),
                    fields: fields.clone(),
                },
            )]);
        }
        Some(additions)
    }
}
