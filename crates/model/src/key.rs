//! Names of collections and keys of records.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The namespace collections live in unless they say otherwise.
pub const MAIN_NAMESPACE: &str = "main";

/// A collection's name: `grades` in the main namespace, `shop/orders` in another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CollectionName {
    namespace: String,
    name: String,
}

/// Why a text is no name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameError(pub String);

impl fmt::Display for NameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for NameError {}

/// Checks a name of a collection, field, role, profile or rule: a letter or underscore, then letters, digits,
/// underscores and (where `dashes`) dashes, at most 63 bytes.
pub fn check_identifier(text: &str, dashes: bool) -> Result<(), NameError> {
    let mut characters = text.chars();
    let first = characters.next();
    let good = first.is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && characters
            .all(|c| c.is_ascii_alphanumeric() || c == '_' || (dashes && (c == '-' || c == '.')));
    if !good {
        return Err(NameError(format!(
            "'{}' is not a name: use letters, digits{} and '_', beginning with a letter or '_'",
            text.escape_debug(),
            if dashes { ", '-', '.'" } else { "" }
        )));
    }
    if text.len() > 63 {
        return Err(NameError(format!("'{text}' is longer than 63 bytes")));
    }
    Ok(())
}

impl CollectionName {
    /// A name in the main namespace, without a check: for names the program itself brings.
    pub fn main(name: &str) -> Self {
        Self {
            namespace: MAIN_NAMESPACE.into(),
            name: name.into(),
        }
    }

    /// Reads `name` or `namespace/name`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let (namespace, name) = text.split_once('/').unwrap_or((MAIN_NAMESPACE, text));
        check_identifier(namespace, true)?;
        check_identifier(name, true)?;
        Ok(Self {
            namespace: namespace.into(),
            name: name.into(),
        })
    }

    /// The namespace, `main` unless said otherwise.
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// The name inside the namespace.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for CollectionName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.namespace == MAIN_NAMESPACE {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.namespace, self.name)
        }
    }
}

impl Serialize for CollectionName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for CollectionName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
