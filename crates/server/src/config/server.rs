//! `[server]`: how it is reached.

use std::net::SocketAddr;

use serde::{Deserialize, Deserializer};

/// How the server is reached.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Server {
    /// The address to listen on.
    #[serde(deserialize_with = "address")]
    pub listen: SocketAddr,
    /// Development mode.
    pub development: bool,
    /// The address it has for the world, such as `https://school.example`. No request says what it is.
    pub public_url: Option<String>,
    /// What it is called in mails.
    pub name: String,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7600)),
            development: false,
            public_url: None,
            name: "Portreeve".into(),
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    super::address(&text).map_err(serde::de::Error::custom)
}
