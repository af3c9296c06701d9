//! `portreeve can USER ACTION [COLLECTION[/KEY]]`

use std::process::ExitCode;

use portreeve_service::{CheckRequest, Explained};
use serde_json::{Map, Value as Json, json};

use crate::cli::Can;
use crate::config::Config;
use crate::fail::{Failure, NO};
use crate::output::{self, Output};
use crate::wiring::{Mode, open};

/// Asks whether a user may do something, and why.
pub async fn run(can: Can, output: Output) -> Result<ExitCode, Failure> {
    let send = can.send.as_deref().map(object).transpose()?;
    let portreeve = open(&Config::load(&can.data)?, Mode::Read).await?;
    let (collection, key) = match &can.on {
        None => (None, None),
        Some(on) => {
            let (collection, key) = portreeve.target(on);
            (Some(collection), key)
        }
    };
    let request = CheckRequest {
        subject: Some(can.user),
        action: can.action,
        collection,
        key,
        send,
    };
    let operator = portreeve.operator();
    let allowed = if can.explain {
        let explained = portreeve.explain(&operator, &request).await?;
        output.result(|| output::json(&explained), || text(&explained));
        explained.explanation.decision == "allow"
    } else {
        // A collection that is not there is denied to the one who asks for himself; here it is a slip of the pen.
        if let Some(name) = &request.collection {
            portreeve.demand_collection(&operator, name)?;
        }
        let answer = portreeve.check(&operator, &request).await?;
        output.result(
            || {
                let mut json = output::json(answer);
                json["decision"] = json!(if answer.allowed { "allow" } else { "deny" });
                json
            },
            || match (answer.allowed, answer.limited) {
                (true, Some(true)) => "allow, on some records or with some values".into(),
                (true, _) => "allow".into(),
                (false, _) => "deny".into(),
            },
        );
        answer.allowed
    };
    Ok(if allowed {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(NO)
    })
}

fn object(text: &str) -> Result<Map<String, Json>, Failure> {
    match serde_json::from_str(text) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err(Failure::error(
            "bad_value",
            "--send wants a JSON object: {\"score\": 5}",
        )),
        Err(error) => Err(Failure::error(
            "bad_value",
            format!("--send is not JSON: {error}"),
        )),
    }
}

/// An explanation as text.
pub(super) fn text(explained: &Explained) -> String {
    let explanation = &explained.explanation;
    let mut text = format!("{}: {}\n", explanation.decision, explanation.summary);
    let roles = explanation.roles.join(", ");
    text.push_str(&format!(
        "roles in force: {}\n",
        if roles.is_empty() { "none" } else { &roles }
    ));
    let clause = |clause: &portreeve_policy::Clause| {
        let place = clause
            .permission
            .map_or(String::new(), |place| format!(" permission {}", place + 1));
        format!(
            "{} of role '{}'{place}: {}",
            clause.effect, clause.role, clause.says
        )
    };
    if !explanation.settled_by.is_empty() {
        text.push_str("settled by\n");
        for settled in &explanation.settled_by {
            text.push_str(&format!("  {}\n", clause(settled)));
        }
    }
    if !explanation.considered.is_empty() {
        text.push_str("considered\n");
        for considered in &explanation.considered {
            let holds = if considered.holds {
                "holds"
            } else {
                "does not hold"
            };
            text.push_str(&format!("  {} — {holds}\n", clause(&considered.clause)));
            for failed in &considered.failed {
                let values: Vec<String> = failed
                    .values
                    .iter()
                    .map(|(name, value)| format!("{name} is {value}"))
                    .collect();
                let values = if values.is_empty() {
                    String::new()
                } else {
                    format!(": {}", values.join(", "))
                };
                text.push_str(&format!(
                    "    {} is {}{values}\n",
                    failed.part, failed.outcome
                ));
            }
            if !considered.not_granted.is_empty() {
                let fields = considered.not_granted.join(", ");
                text.push_str(&format!("    does not grant: {fields}\n"));
            }
        }
    }
    if let Some(suggestion) = &explanation.suggestion {
        text.push_str("nearest change that would allow it\n");
        for removed in &suggestion.remove {
            text.push_str(&format!("  take out: {}\n", clause(removed)));
        }
        for added in &suggestion.add {
            let said = output::json(added);
            let said: Vec<String> = said
                .as_object()
                .into_iter()
                .flatten()
                .filter(|(key, _)| *key != "role")
                .map(|(key, value)| format!("{key}: {value}"))
                .collect();
            text.push_str(&format!(
                "  add to role '{}': {{ {} }}\n",
                added.role,
                said.join(", ")
            ));
        }
    }
    text
}
