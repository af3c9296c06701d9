//! `/v1/roles`, `/v1/profiles` and `/v1/registration`: who may do what, part by part.

use axum::http::StatusCode;
use axum::response::Response;
use portreeve_model::{CollectionName, EntityTag};
use portreeve_service::{Applied, CellChange, Portreeve, RoleChange, Terms};
use serde_json::{Map, Value as Json, json};

use crate::ask::{Answer, Ask};
use crate::decode::LIST;
use crate::decode::{self, Object, condition};
use crate::encode::{data, json as answer, located, tagged};
use crate::error::Failure;
use crate::error::{
    BAD_CONDITION, BAD_POLICY, BAD_QUERY, BEYOND_OWN_RIGHTS, BUILT_IN, EXISTS, HELD, INVALID,
    LAST_ADMINISTRATOR, NAMED_BY_POLICY, PRECONDITION_FAILED, TOO_SLOW, UNAUTHENTICATED,
    UNKNOWN_FIELD, UNKNOWN_PROFILE, UNKNOWN_ROLE,
};
use crate::records;
use crate::route::{Route, Rule, delete, get, patch, post, put};

/// More changes at once are no change but another role.
const MAX_CHANGES: usize = 100;

// An account's change of the policy, tried once more where somebody else was faster.
macro_rules! author {
    ($ask:ident, $portreeve:ident, $caller:ident => $change:expr) => {{
        $ask.account().await?;
        let $portreeve = $ask.portreeve();
        $portreeve
            .as_caller($ask.token()?, $ask.facts(), async |$caller| $change.await)
            .await?
    }};
    // Of a role or profile that is there, if it is still so; then with its new tag.
    ($ask:ident, $collection:literal $what:literal, $portreeve:ident, $caller:ident => $change:expr) => {{
        let condition = &condition($ask.headers())?;
        let key = $ask.segment($what);
        let done = author!($ask, $portreeve, $caller => async {
            $portreeve
                .demand_part_state(&$caller, $collection, key, condition)
                .await?;
            $change.await
        });
        let response = changed($ask.portreeve(), StatusCode::OK, $what, key, done);
        tagged(response, tag(&$ask, $collection, key).await)
    }};
}

/// The routes of this noun.
pub(crate) fn routes() -> Vec<Route> {
    vec![
        get(
            "/v1/roles",
            "roles.list",
            Rule::Records("data.read.many", Some("roles")),
            roles,
        )
        .about("List roles")
        .query(LIST)
        .gives(200, "{ data: [Record], page: Page, builtin: [Record] }")
        .codes(&[&BAD_QUERY, &UNKNOWN_FIELD, &TOO_SLOW])
        .looks(),
        post(
            "/v1/roles",
            "roles.create",
            Rule::May(&["access.author"]),
            create_role,
        )
        .about("A new role: its key, and the members of its definition")
        .body(
            "NewDefinition",
            r#"{"key":"editor","label":"Editor","permissions":[{"allow":"data.read",
                    "on":"courses"}],"why":"a first one"}"#,
        )
        .gives(
            201,
            "{ role: text, changed: flag, policy_version: integer }",
        )
        .codes(&[
            &EXISTS,
            &BEYOND_OWN_RIGHTS,
            &BAD_POLICY,
            &BUILT_IN,
            &HELD,
            &INVALID,
            &LAST_ADMINISTRATOR,
            &NAMED_BY_POLICY,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
        ])
        .writes(),
        get(
            "/v1/roles/{role}",
            "roles.one",
            Rule::Records("data.read.many", Some("roles")),
            role,
        )
        .about("One role with its definition")
        .gives(200, "{ data: Record }")
        .codes(&[&UNAUTHENTICATED])
        .looks(),
        put(
            "/v1/roles/{role}",
            "roles.put",
            Rule::May(&["access.author"]),
            put_role,
        )
        .about("Another definition of a role, as a whole")
        .body(
            "Definition",
            r#"{"permissions":[{"allow":"data.read","on":"courses","fields":["id","title"]}]}"#,
        )
        .gives(
            200,
            "{ role: text, changed: flag, policy_version: integer }",
        )
        .codes(&[
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &BEYOND_OWN_RIGHTS,
            &BAD_POLICY,
            &BUILT_IN,
            &HELD,
            &INVALID,
            &LAST_ADMINISTRATOR,
            &NAMED_BY_POLICY,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
        ])
        .writes(),
        patch(
            "/v1/roles/{role}",
            "roles.change",
            Rule::May(&["access.author"]),
            change_role,
        )
        .about("Other members of a role")
        .body(
            "RoleChange",
            r#"{"label":"Pupil","add":[{"allow":"data.read","on":"courses",
                    "fields":["secret"]}]}"#,
        )
        .gives(
            200,
            "{ role: text, changed: flag, policy_version: integer }",
        )
        .codes(&[
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &BEYOND_OWN_RIGHTS,
            &BAD_POLICY,
            &BUILT_IN,
            &HELD,
            &INVALID,
            &LAST_ADMINISTRATOR,
            &NAMED_BY_POLICY,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
        ])
        .writes(),
        delete(
            "/v1/roles/{role}",
            "roles.delete",
            Rule::May(&["access.author"]),
            delete_role,
        )
        .about("A role falls away")
        .query(&["unbind", "why"])
        .gives(
            200,
            "{ role: text, changed: flag, policy_version: integer }",
        )
        .codes(&[
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &BEYOND_OWN_RIGHTS,
            &BAD_POLICY,
            &BUILT_IN,
            &HELD,
            &INVALID,
            &LAST_ADMINISTRATOR,
            &NAMED_BY_POLICY,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
        ])
        .writes(),
        get(
            "/v1/profiles",
            "profiles.list",
            Rule::Records("data.read.many", Some("profiles")),
            profiles,
        )
        .about("List profiles")
        .query(LIST)
        .gives(200, "{ data: [Record], page: Page }")
        .codes(&[&BAD_QUERY, &UNKNOWN_FIELD, &TOO_SLOW])
        .looks(),
        post(
            "/v1/profiles",
            "profiles.create",
            Rule::May(&["access.author"]),
            create_profile,
        )
        .about("A new profile: its key, and the members of its definition")
        .body("NewDefinition", r#"{"key":"class","roles":["student"]}"#)
        .gives(
            201,
            "{ profile: text, changed: flag, policy_version: integer }",
        )
        .codes(&[
            &EXISTS,
            &BEYOND_OWN_RIGHTS,
            &BAD_POLICY,
            &BUILT_IN,
            &HELD,
            &INVALID,
            &LAST_ADMINISTRATOR,
            &NAMED_BY_POLICY,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
        ])
        .writes(),
        get(
            "/v1/profiles/{profile}",
            "profiles.one",
            Rule::Records("data.read.many", Some("profiles")),
            profile,
        )
        .about("One profile with its definition")
        .gives(200, "{ data: Record }")
        .codes(&[&UNAUTHENTICATED])
        .looks(),
        put(
            "/v1/profiles/{profile}",
            "profiles.put",
            Rule::May(&["access.author"]),
            put_profile,
        )
        .about("Another definition of a profile, as a whole")
        .body("Definition", r#"{"roles":["student"],"label":"A class"}"#)
        .gives(
            200,
            "{ profile: text, changed: flag, policy_version: integer }",
        )
        .codes(&[
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &BEYOND_OWN_RIGHTS,
            &BAD_POLICY,
            &BUILT_IN,
            &HELD,
            &INVALID,
            &LAST_ADMINISTRATOR,
            &NAMED_BY_POLICY,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
        ])
        .writes(),
        patch(
            "/v1/profiles/{profile}",
            "profiles.change",
            Rule::May(&["access.author"]),
            change_profile,
        )
        .about("Other members of a profile")
        .body("Definition", r#"{"label":"A class"}"#)
        .gives(
            200,
            "{ profile: text, changed: flag, policy_version: integer }",
        )
        .codes(&[
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &BEYOND_OWN_RIGHTS,
            &BAD_POLICY,
            &BUILT_IN,
            &HELD,
            &INVALID,
            &LAST_ADMINISTRATOR,
            &NAMED_BY_POLICY,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
        ])
        .writes(),
        delete(
            "/v1/profiles/{profile}",
            "profiles.delete",
            Rule::May(&["access.author"]),
            delete_profile,
        )
        .about("A profile falls away")
        .query(&["unbind", "why"])
        .gives(
            200,
            "{ profile: text, changed: flag, policy_version: integer }",
        )
        .codes(&[
            &PRECONDITION_FAILED,
            &BAD_CONDITION,
            &BEYOND_OWN_RIGHTS,
            &BAD_POLICY,
            &BUILT_IN,
            &HELD,
            &INVALID,
            &LAST_ADMINISTRATOR,
            &NAMED_BY_POLICY,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
        ])
        .writes(),
        get(
            "/v1/registration",
            "registration.show",
            Rule::May(&["access.author"]),
            registration,
        )
        .about("What new accounts are bound to")
        .gives(200, "{ data: { roles: [text] } }"),
        put(
            "/v1/registration",
            "registration.put",
            Rule::May(&["access.author"]),
            set_registration,
        )
        .about("What new accounts are bound to from now on")
        .body(
            "{ roles: [text], why?: text | null }",
            r#"{"roles":["user","student"]}"#,
        )
        .gives(
            200,
            "{ roles: [text], changed: flag, policy_version: integer }",
        )
        .codes(&[
            &BEYOND_OWN_RIGHTS,
            &BAD_POLICY,
            &BUILT_IN,
            &HELD,
            &INVALID,
            &LAST_ADMINISTRATOR,
            &NAMED_BY_POLICY,
            &UNKNOWN_ROLE,
            &UNKNOWN_PROFILE,
        ])
        .writes(),
    ]
}

pub(crate) async fn roles(ask: Ask) -> Answer {
    // Those that are always there beside the list, which has pages.
    let asked = decode::list(CollectionName::main("roles"), ask.query())?;
    let sight = ask.sight().await?;
    let built_in = ask.portreeve().built_in_roles(&sight).await?;
    let beside = format!(",\"builtin\":{}", json!(built_in));
    records::list_beside(&ask, &sight, asked, &beside).await
}

pub(crate) async fn profiles(ask: Ask) -> Answer {
    records::list_of(ask, CollectionName::main("profiles")).await
}

pub(crate) async fn role(ask: Ask) -> Answer {
    one(ask, "roles", "role").await
}

pub(crate) async fn profile(ask: Ask) -> Answer {
    one(ask, "profiles", "profile").await
}

async fn one(ask: Ask, collection: &str, segment: &str) -> Answer {
    ask.no_parameters()?;
    if ask.token()?.is_none() {
        return Err(Failure::Unauthenticated);
    }
    let sight = ask.sight().await?;
    let portreeve = ask.portreeve();
    let row = portreeve
        .part(&sight, collection, ask.segment(segment))
        .await?;
    let tag = Portreeve::part_tag(&row);
    Ok(tagged(data(portreeve, StatusCode::OK, &row), Some(tag)))
}

// The tag of a role or profile after a change, as far as whoever has changed it reads it now.
async fn tag(ask: &Ask, collection: &str, key: &str) -> Option<EntityTag> {
    let portreeve = ask.portreeve();
    let caller = portreeve.same_caller(ask.token().ok()?, ask.facts()).await;
    let row = portreeve.part(&caller.ok()?, collection, key).await;
    row.ok().map(|row| Portreeve::part_tag(&row))
}

pub(crate) async fn create_role(mut ask: Ask) -> Answer {
    let (key, definition, terms) = created(&mut ask).await?;
    let definition = &Json::Object(definition);
    let key = key.as_str();
    let terms = &terms;
    let done = author!(ask, portreeve, caller =>
        portreeve.create_role(&caller, key, definition, terms.clone()));
    let response = changed(ask.portreeve(), StatusCode::CREATED, "role", key, done);
    Ok(located(response, "/v1/roles", &[key]))
}

pub(crate) async fn put_role(mut ask: Ask) -> Answer {
    let (definition, terms) = definition(&mut ask).await?;
    let definition = &Json::Object(definition);
    let key = ask.segment("role");
    let terms = &terms;
    Ok(author!(ask, "roles" "role", portreeve, caller =>
        portreeve.put_role(&caller, key, definition, terms.clone())))
}

pub(crate) async fn change_role(mut ask: Ask) -> Answer {
    let (mut members, terms) = definition(&mut ask).await?;
    let change = RoleChange {
        add: list(&mut members, "add")?,
        remove: list(&mut members, "remove")?,
        cells: cells(&mut members)?,
        set: members,
    };
    let key = ask.segment("role");
    let (change, terms) = (&change, &terms);
    Ok(author!(ask, "roles" "role", portreeve, caller =>
        portreeve.change_role(&caller, key, change.clone(), terms.clone())))
}

pub(crate) async fn delete_role(ask: Ask) -> Answer {
    let terms = &ended(&ask)?;
    let key = ask.segment("role");
    Ok(author!(ask, "roles" "role", portreeve, caller =>
        portreeve.delete_role(&caller, key, terms.clone())))
}

pub(crate) async fn create_profile(mut ask: Ask) -> Answer {
    let (key, definition, terms) = created(&mut ask).await?;
    let definition = &Json::Object(definition);
    let key = key.as_str();
    let terms = &terms;
    let done = author!(ask, portreeve, caller =>
        portreeve.create_profile(&caller, key, definition, terms.clone()));
    let response = changed(ask.portreeve(), StatusCode::CREATED, "profile", key, done);
    Ok(located(response, "/v1/profiles", &[key]))
}

pub(crate) async fn put_profile(ask: Ask) -> Answer {
    change_profile_to(ask, true).await
}

pub(crate) async fn change_profile(ask: Ask) -> Answer {
    change_profile_to(ask, false).await
}

async fn change_profile_to(mut ask: Ask, whole: bool) -> Answer {
    let (members, terms) = definition(&mut ask).await?;
    let key = ask.segment("profile");
    let (members, terms) = (&members, &terms);
    Ok(author!(ask, "profiles" "profile", portreeve, caller =>
        portreeve.change_profile(&caller, key, members.clone(), whole, terms.clone())))
}

pub(crate) async fn delete_profile(ask: Ask) -> Answer {
    let terms = &ended(&ask)?;
    let key = ask.segment("profile");
    Ok(author!(ask, "profiles" "profile", portreeve, caller =>
        portreeve.delete_profile(&caller, key, terms.clone())))
}

pub(crate) async fn registration(ask: Ask) -> Answer {
    ask.no_parameters()?;
    let caller = ask.account().await?;
    let roles = ask.portreeve().registration(&caller)?;
    let shown = json!({ "roles": roles });
    Ok(data(ask.portreeve(), StatusCode::OK, &shown))
}

pub(crate) async fn set_registration(mut ask: Ask) -> Answer {
    ask.no_parameters()?;
    ask.account().await?;
    let mut body = ask.object(&["roles", "why"]).await?;
    let roles = body.needed_texts("roles")?;
    let why = body.optional_text("why")?;
    let (roles, terms) = (&roles, &Terms { why, unbind: false });
    let done = author!(ask, portreeve, caller =>
        portreeve.set_registration(&caller, roles.clone(), terms.clone()));
    let body = json!({
        "roles": roles,
        "changed": done.changed,
        "policy_version": done.version,
    });
    Ok(answer(ask.portreeve(), StatusCode::OK, &body))
}

async fn body(ask: &mut Ask) -> Result<Map<String, Json>, Failure> {
    ask.no_parameters()?;
    ask.account().await?;
    match ask.json().await? {
        Json::Object(map) => Ok(map),
        _ => Err(Failure::member("body", "must be a JSON object")),
    }
}

// The members of a definition, and the reason beside them.
async fn definition(ask: &mut Ask) -> Result<(Map<String, Json>, Terms), Failure> {
    let mut members = body(ask).await?;
    let why = match members.shift_remove("why") {
        None | Some(Json::Null) => None,
        Some(Json::String(why)) => Some(why),
        Some(_) => return Err(Failure::member("why", "must be a text")),
    };
    let terms = Terms { why, unbind: false };
    Ok((members, terms))
}

async fn created(ask: &mut Ask) -> Result<(String, Map<String, Json>, Terms), Failure> {
    let (mut members, terms) = definition(ask).await?;
    match members.shift_remove("key") {
        Some(Json::String(key)) => Ok((key, members, terms)),
        _ => Err(Failure::member("key", "is missing; send a text")),
    }
}

// What a deletion says beside what is deleted.
fn ended(ask: &Ask) -> Result<Terms, Failure> {
    let mut parameters = ask.parameters()?;
    Ok(Terms {
        unbind: parameters.take_flag("unbind")?,
        why: parameters.take("why").map(Into::into),
    })
}

fn list(members: &mut Map<String, Json>, name: &'static str) -> Result<Vec<Json>, Failure> {
    match members.shift_remove(name) {
        None | Some(Json::Null) => Ok(vec![]),
        Some(Json::Array(items)) if items.len() <= MAX_CHANGES => Ok(items),
        Some(_) => Err(Failure::member(name, "must be a list of at most 100")),
    }
}

fn cells(members: &mut Map<String, Json>) -> Result<Vec<CellChange>, Failure> {
    let one = |(place, cell): (usize, Json)| {
        let known = &["action", "on", "permissions"];
        let mut cell = Object::read(&format!("cells[{place}]"), cell, known)?;
        let (action, on) = (cell.text("action")?, cell.text("on")?);
        let permissions = match cell.take("permissions") {
            None => vec![],
            Some(Json::Array(items)) => items,
            Some(_) => {
                return Err(Failure::member(
                    "cells",
                    "must each have a list of permissions",
                ));
            }
        };
        Ok(CellChange {
            action,
            on,
            permissions,
        })
    };
    let cells = list(members, "cells")?;
    cells.into_iter().enumerate().map(one).collect()
}

fn changed(
    portreeve: &Portreeve,
    status: StatusCode,
    what: &str,
    key: &str,
    applied: Applied,
) -> Response {
    let body = json!({
        what: key,
        "changed": applied.changed,
        "policy_version": applied.version,
    });
    answer(portreeve, status, &body)
}
