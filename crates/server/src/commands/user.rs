//! `portreeve user create | password | list | show | update | disable | enable | delete`

mod change;

use std::process::ExitCode;

use portreeve_service::{NewUser, UserView};
use serde_json::json;

use crate::cli::User;
use crate::config::Config;
use crate::fail::Failure;
use crate::output::{self, Output};
use crate::password;
use crate::wiring::{Mode, open};

const PAGE: u32 = 1_000;

/// Makes, lists or changes accounts.
pub async fn run(command: User, output: Output) -> Result<ExitCode, Failure> {
    match command {
        User::Create {
            username,
            email,
            roles,
            profiles,
            password,
            no_password,
            data,
        } => {
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let password = if no_password {
                None
            } else {
                Some(password::read(password.password_stdin)?)
            };
            let new = NewUser {
                username: Some(username),
                email,
                password,
                roles,
                profiles,
                ..NewUser::default()
            };
            let made = portreeve.create_user(&portreeve.operator(), new).await?;
            output.result(
                || output::json(&made),
                || format!("created {} ({}): {}", made.name(), made.id, bound(&made)),
            );
        }
        User::Password {
            user,
            password,
            data,
        } => {
            let portreeve = open(&Config::load(&data)?, Mode::Write).await?;
            let operator = portreeve.operator();
            // Before anybody types a password for nobody.
            let id = portreeve.find_user(&operator, &user).await?;
            let password = password::read(password.password_stdin)?;
            portreeve.set_password(&operator, &id, password).await?;
            output.result(
                || json!({ "id": id }),
                || format!("'{user}' has a new password; its sessions have ended"),
            );
        }
        User::List { data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let operator = portreeve.operator();
            let mut users = vec![];
            let mut after = None;
            loop {
                let page = portreeve.list_users(&operator, PAGE, after).await?;
                after = page.last().map(|user| user.number);
                let last = page.len() < PAGE as usize;
                users.extend(page);
                if last {
                    break;
                }
            }
            output.result(|| json!({ "users": users }), || list(&users));
        }
        User::Show { user, data } => {
            let portreeve = open(&Config::load(&data)?, Mode::Read).await?;
            let operator = portreeve.operator();
            let id = portreeve.find_user(&operator, &user).await?;
            let shown = portreeve.show_user(&operator, &id).await?;
            output.result(|| shown.clone(), || change::shown(&shown));
        }
        User::Update(update) => change::update(*update, output).await?,
        User::Disable { user, data } => {
            change::set_status(&user, "disabled", &data, output).await?;
        }
        User::Enable { user, data } => change::set_status(&user, "active", &data, output).await?,
        User::Delete { user, data } => change::delete(&user, &data, output).await?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(users: &[UserView]) -> String {
    let rows: Vec<Vec<String>> = users
        .iter()
        .map(|user| {
            vec![
                user.number.to_string(),
                user.username.clone().unwrap_or_default(),
                user.email.clone().unwrap_or_default(),
                user.status.clone(),
                bound(user),
                user.id.clone(),
            ]
        })
        .collect();
    output::table(
        &["number", "username", "email", "status", "roles", "id"],
        &rows,
    )
}

fn bound(user: &UserView) -> String {
    let profiles = user
        .profiles
        .iter()
        .map(|profile| format!("profile {profile}"));
    let all: Vec<String> = user.roles.iter().cloned().chain(profiles).collect();
    if all.is_empty() {
        "no roles".into()
    } else {
        all.join(", ")
    }
}
