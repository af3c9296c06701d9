//! `[server]`: how it is reached.

use std::net::SocketAddr;

use portreeve_http::Proxies;
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
    /// Proxies in front of it, which say for whom they ask: networks and addresses.
    #[serde(deserialize_with = "proxies")]
    pub trusted_proxies: Vec<String>,
}

impl Server {
    /// The proxies, read.
    pub fn proxies(&self) -> Proxies {
        // They were looked at when the file was read.
        Proxies::read(self.trusted_proxies.iter().map(String::as_str)).unwrap_or_default()
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 7600)),
            development: false,
            public_url: None,
            name: "Portreeve".into(),
            trusted_proxies: vec![],
        }
    }
}

fn address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SocketAddr, D::Error> {
    let text = String::deserialize(deserializer)?;
    super::address(&text).map_err(serde::de::Error::custom)
}

fn proxies<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let texts = Vec::<String>::deserialize(deserializer)?;
    match Proxies::read(texts.iter().map(String::as_str)) {
        Ok(_) => Ok(texts),
        Err(text) => Err(serde::de::Error::custom(format!(
            "'{text}' is no network and no address; write 10.0.0.0/8 or 192.0.2.1"
        ))),
    }
}
