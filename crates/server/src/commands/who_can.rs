//! `portreeve who-can ACTION [COLLECTION[/KEY]]`

use std::process::ExitCode;

use portreeve_service::{Entitled, MAX_WHO, PermissionPath, Through, WhoCanRequest};
use serde_json::{Value as Json, json};

use crate::cli::WhoCan;
use crate::config::Config;
use crate::fail::{Failure, NO};
use crate::output::Output;
use crate::wiring::{Mode, open};

/// Asks who can do something, and through what.
pub async fn run(asked: WhoCan, output: Output) -> Result<ExitCode, Failure> {
    let portreeve = open(&Config::load(&asked.data)?, Mode::Read).await?;
    let operator = portreeve.operator();
    let (collection, key) = match &asked.on {
        None => (None, None),
        Some(on) => {
            let (collection, key) = portreeve.target(on);
            portreeve.demand_collection(&operator, &collection)?;
            (Some(collection), key)
        }
    };
    let mut request = WhoCanRequest {
        action: asked.action,
        collection,
        key,
        field: asked.field,
        limit: MAX_WHO,
        after: None,
    };
    let mut found: Vec<Entitled> = vec![];
    let anonymous = loop {
        let page = portreeve.who_can(&operator, &request).await?;
        found.extend(page.data);
        if page.page.next.is_none() {
            break page.anonymous;
        }
        request.after = page.page.next;
    };
    let nobody = found.is_empty() && anonymous.is_none();
    output.result(
        || json!({ "users": found, "anonymous": anonymous }),
        || {
            let mut text = String::new();
            if let Some(paths) = &anonymous {
                text.push_str(&format!("anonymous: {}\n", said(paths)));
            }
            for one in &found {
                text.push_str(&format!("{}: {}\n", name(one), said(&one.paths)));
            }
            if nobody { "nobody".into() } else { text }
        },
    );
    Ok(if nobody {
        ExitCode::from(NO)
    } else {
        ExitCode::SUCCESS
    })
}

fn name(one: &Entitled) -> &str {
    let text = |field: &str| one.user.get(field).and_then(Json::as_str);
    ["username", "email", "key", "id"]
        .into_iter()
        .find_map(text)
        .unwrap_or_default()
}

/// Permissions and through what each is held, in a line.
pub fn said(paths: &[PermissionPath]) -> String {
    let all: Vec<String> = paths.iter().map(path).collect();
    all.join("; ")
}

fn path(path: &PermissionPath) -> String {
    let place = path.permission.map_or(String::new(), |place| {
        format!(" (permission {})", place + 1)
    });
    let through: Vec<String> = path.through.iter().map(way).collect();
    let denies = if path.effect == "deny" {
        "denied by "
    } else {
        ""
    };
    format!(
        "{denies}role '{}'{place} by {}",
        path.role,
        through.join(" or ")
    )
}

fn way(through: &Through) -> String {
    let mut text = match (&through.profile, through.by) {
        (Some(profile), _) => format!("profile '{profile}'"),
        (None, "role") => "a binding".into(),
        (None, "fallback") => "being the fallback".into(),
        (None, by) => format!("being {by}"),
    };
    if let Some(collections) = &through.restricted_to {
        text.push_str(&format!(" restricted to {}", collections.join(", ")));
    }
    if let Some(until) = through.until.as_ref().and_then(Json::as_str) {
        text.push_str(&format!(" until {until}"));
    }
    text
}
