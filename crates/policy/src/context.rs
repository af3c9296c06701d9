//! What a request brings: the values of `$user`, `$now`, `$request` and `$claims`.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use portreeve_model::{FieldType, Slot, Value, is_uuid};

/// The facts of one request that no record holds.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// The caller's row of `users`, by column; `None` for anonymous.
    pub user: Option<Arc<HashMap<Arc<str>, Value>>>,
    /// The keys of the roles in force.
    pub roles: Arc<[Arc<str>]>,
    /// The moment of the request, microseconds since 1970.
    pub now: i64,
    /// What the transport knows.
    pub request: RequestFacts,
    /// The claims of the caller's token.
    pub claims: Arc<serde_json::Map<String, serde_json::Value>>,
}

/// What the transport knows of a request.
#[derive(Clone, Debug, Default)]
pub struct RequestFacts {
    /// The client's address.
    pub ip: Option<IpAddr>,
    /// `GET`, …
    pub method: Option<Arc<str>>,
    /// `native`, `kuzzle`, …
    pub face: Option<Arc<str>>,
    /// The face's own name for what is done.
    pub operation: Option<Arc<str>>,
    /// The id of the request, for logs and the audit trail; no rule sees it.
    pub id: Option<Arc<str>>,
}

impl Context {
    /// The value of a slot; `Old` and `Caller` belong to a write or a query and are null here.
    pub fn slot(&self, slot: &Slot, ty: FieldType) -> Value {
        match self.untyped(slot, ty) {
            // A text that is no UUID is of another type than the one wanted.
            Value::Text(text) if ty == FieldType::Uuid && !is_uuid(&text) => Value::Null,
            value => value,
        }
    }

    fn untyped(&self, slot: &Slot, ty: FieldType) -> Value {
        match slot {
            Slot::Literal(value) => value.clone(),
            Slot::User(name) => self.attribute(name),
            Slot::Now(offset) => self
                .now
                .checked_add(*offset)
                .map_or(Value::Null, Value::Integer),
            Slot::Request(name) => {
                let request = &self.request;
                let text = match &**name {
                    "ip" => request.ip.map(|ip| ip.to_string()),
                    "method" => request.method.as_deref().map(str::to_owned),
                    "face" => request.face.as_deref().map(str::to_owned),
                    _ => request.operation.as_deref().map(str::to_owned),
                };
                text.map_or(Value::Null, Value::Text)
            }
            Slot::Claims(path) => {
                let claim = self.claim(path);
                // A claim that does not fit the wanted type is missing, so that a comparison with it is unknown.
                claim
                    .and_then(|json| Value::from_json(ty, json).ok())
                    .unwrap_or(Value::Null)
            }
            Slot::Caller(_) | Slot::Old(_) | Slot::UserRoles => Value::Null,
        }
    }

    /// The values of a list slot, typed; `None` where it is missing.
    pub fn list(&self, slot: &Slot, ty: FieldType) -> Option<Vec<Value>> {
        match slot {
            Slot::UserRoles => Some(
                self.roles
                    .iter()
                    .map(|role| Value::Text(role.to_string()))
                    .collect(),
            ),
            Slot::Claims(path) => {
                let serde_json::Value::Array(items) = self.claim(path)? else {
                    return None;
                };
                Some(
                    items
                        .iter()
                        .map(|item| Value::from_json(ty, item).unwrap_or(Value::Null))
                        .collect(),
                )
            }
            _ => None,
        }
    }

    /// A column of the caller's account.
    pub fn attribute(&self, name: &str) -> Value {
        self.user
            .as_ref()
            .and_then(|user| user.get(name))
            .cloned()
            .unwrap_or(Value::Null)
    }

    fn claim(&self, path: &[String]) -> Option<&serde_json::Value> {
        let (first, rest) = path.split_first()?;
        rest.iter().try_fold(self.claims.get(first)?, |json, name| {
            json.as_object()?.get(name)
        })
    }
}
