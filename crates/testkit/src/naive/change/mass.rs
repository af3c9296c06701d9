//! Everything that a filter chooses, changed alike or deleted.

use portreeve_model::{List, Operand, Rule};

use super::{MANY, Part};
use crate::naive::operation::{Condition, Done, Mass, Step, Todo};
use crate::naive::predicate::At;
use crate::naive::schema::Collection;
use crate::naive::{Answer, Referee};

impl Referee<'_> {
    // "By query: selection uses read rights. A mass change with no effective condition and no row rule is refused."
    pub(super) fn mass(&self, mass: &Mass) -> Result<Done, Answer> {
        let collection = Collection::named(&self.world.document, &mass.collection);
        let collection = collection.ok_or(Answer::NotFound)?;
        let action = match mass.set {
            Some(_) => "data.update.many",
            None => "data.delete.many",
        };
        if self.decision(MANY, &collection).is_shut() {
            return Err(self.shut_out(&collection));
        }
        if !self.may_name(&mass.filter, &collection) {
            return Err(Answer::Invalid);
        }
        if collection.system || self.decision(action, &collection).is_shut() {
            return Err(self.shut_out(&collection));
        }
        let limited = |action| self.is_limited_by_rows(action, &collection);
        if !can_spare(&mass.filter, true) && !limited(action) && !limited(MANY) {
            return Err(Answer::Invalid);
        }
        if let Some(set) = &mass.set
            && (set.contains_key(&collection.key) || !self.may_send(action, MANY, &collection, set))
        {
            return Err(Answer::Invalid);
        }
        let (mut steps, mut forbidden) = (vec![], 0);
        for (key, record) in self.world.all(&collection.name) {
            let at = At::operand_of_caller(&collection, record);
            if self.truth(&mass.filter, &at) != Some(true)
                || !self.reaches(MANY, &collection, record)
            {
                continue;
            }
            if !self.reaches(action, &collection, record) {
                forbidden += 1;
                continue;
            }
            let key = key.clone();
            let todo = match &mass.set {
                None => Todo::Delete { key },
                Some(set) => Todo::Update {
                    key,
                    sent: set.clone(),
                },
            };
            steps.push(Step {
                collection: collection.clone(),
                todo,
                many: true,
                fills: vec![],
                belongs: None,
                condition: Condition::None,
                asked: true,
            });
        }
        if forbidden > 0 && !mass.narrow {
            return Err(Answer::Partly(forbidden));
        }
        let parts = steps.iter().map(|step| match &step.todo {
            Todo::Delete { key } => Part::Delete(&step.collection, key.clone()),
            Todo::Create { .. } | Todo::Put { .. } => {
                unreachable!("what a filter chooses is there")
            }
            Todo::Update { key, sent } => {
                let old = self.world.record(&collection.name, key);
                let mut part = self.writing(step, action, old, sent.clone());
                if let Part::Write(writing) = &mut part {
                    writing.write.reading = MANY;
                }
                part
            }
        });
        self.together(parts.collect(), |_| true)
    }
}

// Whether a filter can leave a record out: whether it is false where everything that looks at the record is false, and
// everything else true, each in the place in which it stands.
fn can_spare(filter: &Rule, wanted: bool) -> bool {
    !chooses(filter, wanted)
}

fn chooses(filter: &Rule, wanted: bool) -> bool {
    match filter {
        Rule::Constant(truth) => *truth == wanted,
        Rule::Not(rule) => chooses(rule, !wanted),
        Rule::All(rules) if wanted => rules.iter().all(|rule| chooses(rule, wanted)),
        Rule::Any(rules) if !wanted => rules.iter().all(|rule| chooses(rule, wanted)),
        Rule::All(rules) | Rule::Any(rules) => rules.iter().any(|rule| chooses(rule, wanted)),
        Rule::Quantified { .. } => false,
        Rule::Compare { left, right, .. } => !looks(&[left, right]),
        Rule::In { operand, list } => match list {
            List::Items(items) => !looks(&items.iter().chain([operand]).collect::<Vec<_>>()),
            List::Variable(_) => !looks(&[operand]),
        },
        Rule::Between { operand, low, high } => !looks(&[operand, low, high]),
        Rule::IsNull(operand) | Rule::Matches { operand, .. } => !looks(&[operand]),
        Rule::Text {
            operand, needle, ..
        } => !looks(&[operand, needle]),
        Rule::Sent(_) => true,
        Rule::Named { arguments, .. } => !looks(&arguments.iter().collect::<Vec<_>>()),
    }
}

fn looks(operands: &[&Operand]) -> bool {
    operands.iter().any(|operand| match operand {
        Operand::Path(_) | Operand::Count(_) => true,
        Operand::Part(_, inner) => looks(&[inner]),
        _ => false,
    })
}
