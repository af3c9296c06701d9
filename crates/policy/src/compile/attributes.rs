//! Which own columns of accounts the rules read: those that an account's owner must not write unasked. And which roles
//! they ask for.

use portreeve_model::{List, Literal, Operand, Rule, Variable};

use super::Compiler;
use crate::snapshot::RoleReads;

impl Compiler<'_> {
    pub(super) fn note_attributes(&mut self, rule: &Rule) {
        match rule {
            Rule::All(rules) | Rule::Any(rules) => {
                rules.iter().for_each(|inner| self.note_attributes(inner))
            }
            Rule::Not(inner) | Rule::Quantified { rule: inner, .. } => self.note_attributes(inner),
            Rule::Compare { left, right, .. } => {
                [left, right].into_iter().for_each(|o| self.note_operand(o))
            }
            Rule::Between { operand, low, high } => {
                [operand, low, high]
                    .into_iter()
                    .for_each(|o| self.note_operand(o));
            }
            Rule::In { operand, list } => {
                self.note_operand(operand);
                match list {
                    List::Variable(Variable::User(path)) if path == &["roles"] => {
                        let read = match operand {
                            Operand::Literal(Literal::Text(role)) => {
                                RoleReads::Named([role.clone()].into())
                            }
                            _ => RoleReads::Any,
                        };
                        self.role_reads.extend(&read);
                    }
                    List::Items(items) => items.iter().for_each(|o| self.note_operand(o)),
                    List::Variable(variable) => self.note_variable(variable),
                }
            }
            Rule::IsNull(operand) | Rule::Matches { operand, .. } => self.note_operand(operand),
            Rule::Text {
                operand, needle, ..
            } => [operand, needle]
                .into_iter()
                .for_each(|o| self.note_operand(o)),
            Rule::Named { name, arguments } => {
                arguments.iter().for_each(|o| self.note_operand(o));
                // Cycles were refused before any role is compiled.
                if let Some(definition) = self.rules.get(name).cloned() {
                    self.note_attributes(&definition.rule);
                }
            }
            Rule::Constant(_) | Rule::Sent(_) => {}
        }
    }

    pub(super) fn note_operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Variable(variable) => self.note_variable(variable),
            Operand::Part(_, inner) => self.note_operand(inner),
            _ => {}
        }
    }

    pub(super) fn note_variable(&mut self, variable: &Variable) {
        if let Variable::User(path) = variable
            && let [name] = path.as_slice()
        {
            self.attributes.insert(name.clone());
        }
    }
}
