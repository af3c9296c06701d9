//! `portreeve role …` and `portreeve profile …`: made, shown, handed out, taken away.

use std::path::Path;
use std::process::ExitCode;

use portreeve_model::{FieldType, Value};
use portreeve_service::{Binding, BoundTo, Portreeve, ServiceError, Terms, codes};
use serde_json::{Value as Json, json};

use crate::cli::Part;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::wiring::{Mode, document, open};

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Role,
    Profile,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Role => "role",
            Self::Profile => "profile",
        }
    }

    fn collection(self) -> &'static str {
        match self {
            Self::Role => "roles",
            Self::Profile => "profiles",
        }
    }
}

/// Makes, lists, hands out or takes away.
pub async fn run(kind: Kind, command: Part, output: Output) -> Result<ExitCode, Failure> {
    let word = kind.word();
    match command {
        Part::List { data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let rows = listed(&portreeve, kind).await?;
            let keys: Vec<&str> = rows.iter().map(|row| row[0].as_str()).collect();
            let head = match kind {
                Kind::Role => ["role", "permissions", "label"],
                Kind::Profile => ["profile", "roles", "label"],
            };
            output.result(
                || json!({ kind.collection(): keys }),
                || output::table(&head, &rows),
            );
        }
        Part::Show { key, data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let operator = portreeve.operator();
            let row = portreeve.part(&operator, kind.collection(), &key).await;
            let row = row.map_err(|error| missing(kind, &key, error))?;
            let text = serde_json::to_string_pretty(&row["definition"]).unwrap_or_default();
            output.result(|| Json::Object(row.clone()), || text);
        }
        Part::Create {
            key,
            file,
            why,
            data,
        } => {
            let definition = definition(kind, &key, &file)?;
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let operator = portreeve.operator();
            let terms = Terms { why, unbind: false };
            let made = match kind {
                Kind::Role => {
                    portreeve
                        .create_role(&operator, &key, &definition, terms)
                        .await
                }
                Kind::Profile => {
                    portreeve
                        .create_profile(&operator, &key, &definition, terms)
                        .await
                }
            };
            let version = made?.version;
            output.result(
                || json!({ word: key, "policy_version": version }),
                || format!("{word} '{key}' is there"),
            );
        }
        Part::Delete {
            key,
            unbind,
            why,
            data,
        } => {
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let operator = portreeve.operator();
            let terms = Terms { why, unbind };
            let gone = match kind {
                Kind::Role => portreeve.delete_role(&operator, &key, terms).await,
                Kind::Profile => portreeve.delete_profile(&operator, &key, terms).await,
            };
            let version = gone.map_err(|error| missing(kind, &key, error))?.version;
            output.result(
                || json!({ word: key, "policy_version": version }),
                || format!("{word} '{key}' is gone"),
            );
        }
        Part::Grant {
            key,
            user,
            only,
            from,
            until,
            primary,
            why,
            data,
        } => {
            let (from, until) = (moment("from", from)?, moment("until", until)?);
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let binding = Binding {
                to: to(kind, &key),
                restricted_to: (!only.is_empty()).then_some(only),
                from,
                until,
                primary,
            };
            let operator = portreeve.operator();
            let id = portreeve.bind(&operator, &user, binding, why).await?;
            output.result(
                || json!({ "id": id }),
                || format!("'{user}' has the {word} '{key}' ({id})"),
            );
        }
        Part::Revoke {
            key,
            user,
            why,
            data,
        } => {
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let operator = portreeve.operator();
            let mut ended = vec![];
            for binding in portreeve.user_bindings(&operator, &user).await? {
                if binding[word] != json!(key) {
                    continue;
                }
                let id = binding["id"].as_str().unwrap_or_default();
                portreeve.unbind(&operator, id, why.clone()).await?;
                ended.push(id.to_owned());
            }
            if ended.is_empty() {
                let line = format!("'{user}' is not bound to the {word} '{key}'");
                return Err(Failure::error(codes::NOT_FOUND, line));
            }
            output.result(
                || json!({ "ended": ended }),
                || format!("'{user}' has the {word} '{key}' no more"),
            );
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn listed(portreeve: &Portreeve, kind: Kind) -> Result<Vec<Vec<String>>, Failure> {
    let document = portreeve.document(&portreeve.operator()).await?;
    Ok(match kind {
        Kind::Role => {
            let mut roles = document.roles;
            for key in portreeve_policy::BUILT_IN_ROLES {
                if roles.iter().all(|role| role.key != key) {
                    roles.extend(portreeve_policy::built_in_role(key));
                }
            }
            let row = |role: portreeve_policy::RoleDefinition| {
                let permissions = match (role.administrator, role.permissions.len()) {
                    (true, _) => "everything".into(),
                    (false, count) => count.to_string(),
                };
                vec![role.key, permissions, role.label]
            };
            roles.into_iter().map(row).collect()
        }
        Kind::Profile => {
            let row = |profile: portreeve_policy::ProfileDefinition| {
                let roles: Vec<String> = profile.roles.into_iter().map(|it| it.role).collect();
                vec![profile.key, roles.join(", "), profile.label]
            };
            document.profiles.into_iter().map(row).collect()
        }
    })
}

fn to(kind: Kind, key: &str) -> BoundTo {
    match kind {
        Kind::Role => BoundTo::Role(key.into()),
        Kind::Profile => BoundTo::Profile(key.into()),
    }
}

// What the file, an access file, says of it.
fn definition(kind: Kind, key: &str, file: &Path) -> Result<Json, Failure> {
    let document = document(file)?;
    let found = match kind {
        Kind::Role => {
            let mut roles = document.roles.iter();
            let role = roles.find(|role| role.key == key);
            role.map(portreeve_policy::role_to_json)
        }
        Kind::Profile => {
            let mut profiles = document.profiles.iter();
            let profile = profiles.find(|profile| profile.key == key);
            profile.map(portreeve_policy::profile_to_json)
        }
    };
    found.ok_or_else(|| {
        let (file, word) = (file.display(), kind.word());
        let line = format!(
            "{file} has no {word} '{key}' under '{}:'",
            kind.collection()
        );
        Failure::error(codes::NOT_FOUND, line)
    })
}

fn moment(name: &str, text: Option<String>) -> Result<Option<i64>, Failure> {
    let Some(text) = text else {
        return Ok(None);
    };
    match Value::from_json(FieldType::Timestamp, &json!(text)) {
        Ok(Value::Integer(moment)) => Ok(Some(moment)),
        _ => {
            let line =
                format!("--{name}: '{text}' is no moment; write one such as 2027-01-31T12:00:00Z");
            Err(Failure::error(codes::INVALID, line))
        }
    }
}

fn missing(kind: Kind, key: &str, error: ServiceError) -> Failure {
    match error {
        ServiceError::NotFound => {
            let line = format!("there is no {} '{key}'", kind.word());
            Failure::error(codes::NOT_FOUND, line)
        }
        other => other.into(),
    }
}
