//! Changes of everything that a filter selects.

use std::sync::Arc;

use portreeve_model::{List, Operand, Page, Query, Rule};
use portreeve_policy::{Access, DELETE_MANY, READ_MANY, UPDATE_MANY, Write, WriteKind};

use super::Gate;
use crate::{Authorized, Caller, ListRequest, Mass, MassRequest, MassWhat, Refused};

impl Gate {
    /// All records of a selection. What selects them is what the caller may read in lists; what is done with each is
    /// judged like any other change.
    pub fn mass(&self, caller: &Caller, request: MassRequest) -> Result<Authorized<Mass>, Refused> {
        let name = request.collection;
        let id = Self::find(caller, &name)?;
        let declared = Arc::clone(caller.snapshot.catalog().get(id));
        let chooses = chooses(&request.filter, true);
        let list = ListRequest {
            query: Query {
                collection: name.clone(),
                fields: Some(vec![declared.key_field().name.to_string()]),
                filter: Some(request.filter),
                search: None,
                sort: vec![],
                page: Page::Offset,
                total: false,
                expand: vec![],
            },
            values: request.values,
            cursor: vec![],
            limit: self.most_selected,
            offset: 0,
        };
        let select = self.list(caller, list)?.operation;
        let action = match request.set {
            Some(_) => UPDATE_MANY,
            None => DELETE_MANY,
        };
        let rights = self.rights(caller, id, action);
        let rights = self.writable(caller, rights);
        if !rights.allows_something() {
            return Err(self.refuse(caller, id));
        }
        // Neither the caller nor his rights say which records.
        let read = self.rights(caller, id, READ_MANY);
        if !chooses && [rights.reach(), read.reach()] == [&Access::Always; 2] {
            return Err(Refused::Unconditional);
        }
        let what = match request.set {
            None => MassWhat::Delete(self.deletion(caller, &rights, &read, false)),
            Some(sent) => {
                let names = |field: &str| {
                    let field = declared.find_field(field);
                    field.is_some_and(|field| declared.names_record(field))
                };
                if let Some((field, _)) = sent.iter().find(|(field, _)| names(field)) {
                    return Err(Refused::BadValue {
                        field: field.clone(),
                        message: "a record's key cannot be changed".into(),
                    });
                }
                let (template, values) =
                    self.write(caller, &name, WriteKind::Update, action, READ_MANY, sent)?;
                MassWhat::Update(Write {
                    template,
                    values: values.into(),
                })
            }
        };
        let narrow = request.narrow;
        let mass = Mass {
            select,
            what,
            narrow,
            most: self.most_selected,
        };
        Ok(self.proof(caller, mass))
    }
}

// Whether a filter could leave a record out, by its form alone: what looks at no record is the same for every one of
// them, whatever it says, so it must not be all that stands in the way of one. A `not` around it turns `and` and `or`,
// hence `wanted`.
fn chooses(filter: &Rule, wanted: bool) -> bool {
    let every = |rules: &[Rule]| rules.iter().all(|rule| chooses(rule, wanted));
    let some = |rules: &[Rule]| rules.iter().any(|rule| chooses(rule, wanted));
    match filter {
        Rule::Constant(truth) => *truth != wanted,
        Rule::Not(rule) => chooses(rule, !wanted),
        Rule::All(rules) if wanted => some(rules),
        Rule::All(rules) => every(rules),
        Rule::Any(rules) if wanted => every(rules),
        Rule::Any(rules) => some(rules),
        Rule::Compare { left, right, .. } => looks(left) || looks(right),
        Rule::In { operand, list } => {
            looks(operand) || matches!(list, List::Items(items) if items.iter().any(looks))
        }
        Rule::Between { operand, low, high } => [operand, low, high].into_iter().any(looks),
        Rule::IsNull(operand) | Rule::Matches { operand, .. } => looks(operand),
        Rule::Text {
            operand, needle, ..
        } => looks(operand) || looks(needle),
        Rule::Quantified { .. } => true,
        Rule::Sent(_) => false,
        Rule::Named { arguments, .. } => arguments.iter().any(looks),
    }
}

fn looks(operand: &Operand) -> bool {
    match operand {
        Operand::Path(_) | Operand::Count(_) => true,
        Operand::Part(_, inner) => looks(inner),
        _ => false,
    }
}
