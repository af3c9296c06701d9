//! What is known before any record is read: literals, `$user`, `$now`, `$request`, `$claims`.

use std::sync::Arc;

use portreeve_model::{Collection, FieldType, Literal, Operand, Slot, Variable};

use super::{Purpose, Resolved, Resolver, check_request, fail, literal_value};
use crate::suggestion;

impl Resolver<'_> {
    pub(super) fn own_type(&self, operand: &Operand) -> Resolved<Option<FieldType>> {
        Ok(match operand {
            Operand::Literal(Literal::Boolean(_)) => Some(FieldType::Boolean),
            Operand::Literal(Literal::Number(text)) => match text.split_once('.') {
                Some((_, fraction)) => Some(FieldType::Decimal(
                    u8::try_from(fraction.len()).unwrap_or(18).min(18),
                )),
                None => Some(FieldType::Integer),
            },
            Operand::Literal(Literal::Text(_)) => Some(FieldType::Text),
            Operand::Variable(variable) => self.variable_type(variable)?,
            _ => None,
        })
    }

    pub(super) fn variable_type(&self, variable: &Variable) -> Resolved<Option<FieldType>> {
        Ok(match variable {
            Variable::User(path) => match path.as_slice() {
                [] => Some(FieldType::Text),
                [name] => Some(self.user_column(name)?.1),
                _ => {
                    return fail(
                        "a path from $user reads the database, which 'when', presets and lists of values do not; use the account's own columns",
                    );
                }
            },
            Variable::Now { .. } => Some(FieldType::Timestamp),
            Variable::Request(name) => {
                check_request(name)?;
                Some(FieldType::Text)
            }
            Variable::Claims(_) => None,
        })
    }

    pub(super) fn user_column(&self, name: &str) -> Resolved<(Arc<str>, FieldType)> {
        if name == "roles" {
            return fail("'$user.roles' is a list; use it as: 'editor' in $user.roles");
        }
        let users = self.users()?;
        match users.find_field(name) {
            Some(id) => Ok((Arc::clone(&users.field(id).name), users.field(id).ty)),
            None => fail(format!(
                "accounts have no column '{name}'{}",
                suggestion(name, users.fields.iter().map(|field| &*field.name))
            )),
        }
    }

    pub(super) fn users(&self) -> Resolved<Arc<Collection>> {
        match self.catalog.find_text("users") {
            Some(users) => Ok(Arc::clone(users)),
            None => fail("there is no collection 'users'"),
        }
    }

    pub(super) fn list_variable(&self, variable: &Variable) -> Resolved<Slot> {
        if self.purpose == Purpose::Caller {
            return fail("variables work in rules only; send the values");
        }
        match variable {
            Variable::User(path) if path.as_slice() == ["roles"] => Ok(Slot::UserRoles),
            Variable::Claims(path) => Ok(Slot::Claims(path.clone())),
            other => fail(format!(
                "{} is not a list; use $user.roles or a list claim, or compare with =",
                crate::print_operand(&Operand::Variable(other.clone()))
            )),
        }
    }

    // A literal or variable as a slot of type `ty`; None for anything that reads a record.
    pub(super) fn slot(
        &mut self,
        operand: &Operand,
        ty: FieldType,
        by_number: bool,
    ) -> Resolved<Option<Slot>> {
        let slot = match operand {
            Operand::Literal(Literal::Null) => {
                return fail("a comparison with null is never true; write 'is null'");
            }
            Operand::Literal(Literal::Caller(index)) => {
                if self.caller_types.len() <= *index {
                    self.caller_types.resize(*index + 1, None);
                }
                self.caller_types[*index] = Some(ty);
                Slot::Caller(*index)
            }
            Operand::Literal(literal) => Slot::Literal(literal_value(literal, ty)?),
            Operand::Variable(variable) => {
                if self.purpose == Purpose::Caller {
                    return fail("variables work in rules only; send the value");
                }
                let own = self.variable_type(variable)?;
                match variable {
                    Variable::User(path) if path.is_empty() => {
                        let (name, column) =
                            self.user_column(if by_number { "number" } else { "id" })?;
                        if column != ty && !(ty == FieldType::Uuid && column == FieldType::Text) {
                            return fail(format!(
                                "$user is {column} and cannot be compared with {ty}"
                            ));
                        }
                        Slot::User(name)
                    }
                    Variable::User(path) => {
                        let (name, column) = self.user_column(&path[0])?;
                        if column != ty {
                            return fail(format!(
                                "$user.{name} is {column} and cannot be compared with {ty}"
                            ));
                        }
                        Slot::User(name)
                    }
                    Variable::Now { offset } => {
                        if ty != FieldType::Timestamp {
                            return fail(format!(
                                "$now is timestamp and cannot be compared with {ty}"
                            ));
                        }
                        Slot::Now(*offset)
                    }
                    Variable::Request(name) => {
                        if own != Some(ty) {
                            return fail(format!(
                                "$request.{name} is text and cannot be compared with {ty}"
                            ));
                        }
                        Slot::Request(Arc::from(name.as_str()))
                    }
                    Variable::Claims(path) => Slot::Claims(path.clone()),
                }
            }
            _ => return Ok(None),
        };
        Ok(Some(slot))
    }
}
