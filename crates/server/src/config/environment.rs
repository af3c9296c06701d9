//! The environment over the file: every setting has a variable.

use portreeve_service::FACES;
use toml::{Table, Value};

use super::keys::{KEYS, Key, Kind, SESSIONS, variable};
use crate::fail::Failure;

/// Variables that give no single setting.
const OTHERS: [&str; 1] = ["PORTREEVE_CONFIG"];

/// A setting that a variable gives: the way to it, and the setting.
struct Given {
    variable: String,
    section: Vec<String>,
    key: &'static Key,
}

fn all() -> impl Iterator<Item = Given> {
    let own = KEYS.iter().map(|key| Given {
        variable: key.variable(),
        section: vec![key.section.to_owned()],
        key,
    });
    let faces = FACES.into_iter().filter(|face| *face != "native");
    let of_faces = faces.flat_map(|face| {
        let keys = KEYS.iter().filter(|key| key.section == SESSIONS);
        keys.map(move |key| Given {
            variable: variable(&format!("faces.{face}"), key.name),
            section: vec!["faces".to_owned(), face.to_owned()],
            key,
        })
    });
    own.chain(of_faces)
}

/// The names of all variables.
pub fn variables() -> Vec<String> {
    let mut names: Vec<String> = all().map(|given| given.variable).collect();
    names.extend(OTHERS.map(str::to_owned));
    names
}

/// Puts what the environment says in the place of what the file says. Tells which variables did.
pub fn overlay(
    table: &mut Table,
    said: impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, Failure> {
    let mut by = vec![];
    for given in all() {
        let Some(text) = said(&given.variable) else {
            continue;
        };
        let (name, other) = match given.key.name.strip_suffix("_file") {
            Some(secret) if given.key.is_secret_file() => (given.key.name, Some(secret.to_owned())),
            _ if given.key.secret => (given.key.name, Some(format!("{}_file", given.key.name))),
            _ => (given.key.name, None),
        };
        let value = read(&given, &text)?;
        let mut here = &mut *table;
        for section in given.section {
            let next = here.entry(section).or_insert_with(|| Table::new().into());
            let Value::Table(next) = next else {
                // Told when the file is read.
                return Ok(by);
            };
            here = next;
        }
        // Whichever of the two the file says; of two in the environment both are kept, and refused.
        if let Some(other) = other
            && !by.contains(&variable_beside(&given.variable))
        {
            here.remove(&other);
        }
        here.insert(name.to_owned(), value);
        by.push(given.variable);
    }
    Ok(by)
}

fn variable_beside(variable: &str) -> String {
    match variable.strip_suffix("_FILE") {
        Some(without) => without.to_owned(),
        None => format!("{variable}_FILE"),
    }
}

fn read(given: &Given, text: &str) -> Result<Value, Failure> {
    let variable = &given.variable;
    let wrong = |what: &str| Failure::error("bad_config", format!("{variable}: {what}"));
    Ok(match given.key.kind {
        Kind::Text | Kind::Address | Kind::Time | Kind::Word(_) => text.into(),
        // Not beside the file: whoever sets a variable stands somewhere else.
        Kind::Path => {
            let path = std::path::absolute(text);
            let path = path.map_err(|error| wrong(&format!("is no path: {error}")))?;
            let path = path.into_os_string().into_string();
            path.map_err(|_| wrong("is no path in UTF-8"))?.into()
        }
        Kind::Flag => match text.to_lowercase().as_str() {
            "true" | "t" | "yes" | "y" | "on" | "1" => true.into(),
            "false" | "f" | "no" | "n" | "off" | "0" => false.into(),
            _ => return Err(wrong("use true or false")),
        },
        Kind::Number(least) => {
            let number = text.parse::<u32>().ok().filter(|number| *number >= least);
            let number =
                number.ok_or_else(|| wrong(&format!("use a whole number of {least} or more")))?;
            i64::from(number).into()
        }
        Kind::List => {
            let items = text
                .split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty());
            Value::Array(items.map(Into::into).collect())
        }
    })
}

/// Refuses variables that look like ours and are not: a misspelt setting must not be silently without effect.
pub fn check(names: impl Iterator<Item = String>) -> Result<(), Failure> {
    let known = variables();
    for name in names.filter(|name| name.starts_with("PORTREEVE_")) {
        if !known.contains(&name) {
            let hint = portreeve_policy::suggestion(&name, known.iter().map(String::as_str));
            let line = format!("there is no environment variable '{name}'{hint}");
            return Err(Failure::error("bad_config", line));
        }
    }
    Ok(())
}
