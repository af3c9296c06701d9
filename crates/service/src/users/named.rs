//! Whom a name stands for: the one way to an account by what it is called, for every route and every command. It is looked
//! for among what the caller reads, so that nobody learns by a name what he may not see: what is out of his reach is
//! answered like what is not there.

use portreeve_gate::{Eyes, ListRequest, take_literals};
use portreeve_model::{
    Cells, CollectionName, Columns, CompareOp, Literal, Operand, Page, Path, Query, RecordQuery,
    RecordSink, Rule, TextOp, write_json_record,
};
use serde_json::Value as Json;
use uuid::Uuid;

use crate::{Portreeve, ServiceError};

/// A field that no two accounts share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UserField {
    /// The chosen key.
    Key,
    /// The number.
    Number,
    /// The name.
    Username,
    /// The address, in large or small letters.
    Email,
}

impl UserField {
    const ALL: [Self; 4] = [Self::Key, Self::Username, Self::Email, Self::Number];

    /// The field's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Number => "number",
            Self::Username => "username",
            Self::Email => "email",
        }
    }

    // `key:…`, `number:…`, `username:…` or `email:…`.
    fn read(name: &str) -> Option<(Self, &str)> {
        let (field, value) = name.split_once(':')?;
        let found = Self::ALL.into_iter().find(|known| known.name() == field)?;
        Some((found, value))
    }
}

/// Whether a name is an id, whichever account has it.
fn is_id(name: &str) -> bool {
    Uuid::parse_str(name).is_ok_and(|id| id.hyphenated().to_string() == name)
}

impl Portreeve {
    /// The id of the account that a name stands for, as far as the caller can tell. A name is an id; `key:`, `username:`,
    /// `email:` or `number:` and a value; or any of these values where exactly one account has it. One that stands for
    /// nobody, or for nobody he may read, is [`ServiceError::UnknownUser`].
    pub async fn find_user(
        &self,
        eyes: impl Into<Eyes<'_>>,
        name: &str,
    ) -> Result<String, ServiceError> {
        let eyes = eyes.into();
        let unknown = || ServiceError::UnknownUser(name.into());
        if is_id(name) {
            return match self.reads_account(eyes, name).await? {
                true => Ok(name.to_owned()),
                false => Err(unknown()),
            };
        }
        if let Some((field, value)) = UserField::read(name) {
            return match self.user_by(eyes, field, value).await {
                Err(ServiceError::NotFound) => Err(unknown()),
                found => found,
            };
        }
        let mut found: Option<String> = None;
        for field in UserField::ALL {
            let id = match self.user_by(eyes, field, name).await {
                Ok(id) => id,
                Err(ServiceError::NotFound) => continue,
                Err(error) => return Err(error),
            };
            if found.as_ref().is_some_and(|known| *known != id) {
                // Somebody is called what somebody else is known by: nobody gets what was meant for another.
                return Err(ServiceError::invalid(
                    "user",
                    format!(
                        "'{name}' stands for more than one account: say the id, or 'key:{name}', 'username:{name}', 'email:{name}' or 'number:{name}'"
                    ),
                ));
            }
            found = Some(id);
        }
        found.ok_or_else(unknown)
    }

    /// The same for an operation that judges by itself whether it reaches an account: an id is taken as it is, since
    /// somebody may write what he may not read. One that stands for nobody is [`ServiceError::NotFound`], as it is to such an operation.
    pub async fn addressed_user(
        &self,
        eyes: impl Into<Eyes<'_>>,
        name: &str,
    ) -> Result<String, ServiceError> {
        if is_id(name) {
            return Ok(name.to_owned());
        }
        self.find_user(eyes, name)
            .await
            .map_err(|error| match error {
                ServiceError::UnknownUser(_) => ServiceError::NotFound,
                other => other,
            })
    }

    /// The id of the account that has this value in this field, as far as the caller can tell: whoever may not read the
    /// field, or the account, is answered [`ServiceError::NotFound`] as if there were none.
    pub async fn user_by(
        &self,
        eyes: impl Into<Eyes<'_>>,
        field: UserField,
        value: &str,
    ) -> Result<String, ServiceError> {
        let left = Operand::Path(Path(vec![field.name().into()]));
        let text = || Operand::Literal(Literal::Text(value.into()));
        let equals = |right| Rule::Compare {
            op: CompareOp::Equal,
            left: left.clone(),
            right,
        };
        let rule = match field {
            UserField::Number => match value.parse::<i64>() {
                Ok(number) => equals(Operand::Literal(Literal::Number(number.to_string()))),
                Err(_) => return Err(ServiceError::NotFound),
            },
            UserField::Key | UserField::Username => equals(text()),
            // What begins and ends with it, and like it has one '@', is it.
            UserField::Email if value.contains('@') => {
                let also = |op| Rule::Text {
                    operand: left.clone(),
                    op,
                    ignore_case: true,
                    needle: text(),
                };
                Rule::All(vec![also(TextOp::StartsWith), also(TextOp::EndsWith)])
            }
            UserField::Email => return Err(ServiceError::NotFound),
        };
        let mut values = vec![];
        let filter = take_literals(rule, &mut values);
        let request = ListRequest {
            query: Query {
                collection: CollectionName::main("users"),
                fields: Some(vec!["id".into()]),
                filter: Some(filter),
                search: None,
                sort: vec![],
                page: Page::Offset,
                total: false,
                expand: vec![],
            },
            values,
            cursor: vec![],
            limit: 1,
            offset: 0,
        };
        let found = match self.list(eyes, request, Found::default()).await {
            Ok((found, _)) => found.0,
            // Whatever is wrong with the question is that he may not ask by this field.
            Err(
                ServiceError::UnknownField(_) | ServiceError::BadQuery(_) | ServiceError::Forbidden,
            ) => return Err(ServiceError::NotFound),
            Err(error) => return Err(error),
        };
        let id = found.first().and_then(|record| record.get("id")?.as_str());
        id.map(str::to_owned).ok_or(ServiceError::NotFound)
    }

    // Whether the account of this id is there, for whoever looks.
    async fn reads_account(&self, eyes: Eyes<'_>, id: &str) -> Result<bool, ServiceError> {
        let query = RecordQuery {
            collection: CollectionName::main("users"),
            fields: Some(vec!["id".into()]),
            expand: vec![],
        };
        match self.record(eyes, query, id, Found::default()).await {
            Ok(found) => Ok(!found.0.is_empty()),
            Err(ServiceError::NotFound | ServiceError::Forbidden) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

// What was read.
#[derive(Default)]
struct Found(Vec<Json>);

impl RecordSink for Found {
    fn record(&mut self, columns: &Columns, cells: &dyn Cells) {
        let mut bytes = vec![];
        write_json_record(&mut bytes, columns, cells);
        self.0.extend(serde_json::from_slice(&bytes).ok());
    }

    fn reset(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_is_of() {
        assert_eq!(UserField::read("key:a:b"), Some((UserField::Key, "a:b")));
        assert_eq!(UserField::read("number:7"), Some((UserField::Number, "7")));
        assert_eq!(UserField::read("anna"), None);
        assert_eq!(UserField::read("phone:1"), None);
        assert!(is_id("01a20235-8bb7-74ac-bf67-61d347586fe9"));
        assert!(!is_id("01A20235-8bb7-74ac-bf67-61d347586fe9"));
        assert!(!is_id("anna"));
    }
}
