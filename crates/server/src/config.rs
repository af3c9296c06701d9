//! The configuration: a TOML file with one section per file here, then the environment, then flags, the later winning.
//! What is not known is an error with its place and the nearest name.

mod access;
mod audit;
mod data;
mod duration;
mod log;
mod mail;
mod registration;
mod server;
mod sessions;
mod subscriptions;
mod throttle;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use portreeve_service::Synchronous;
use serde::Deserialize;

use crate::cli;
use crate::fail::Failure;

pub use access::Access;
pub use audit::Audit;
pub use data::Data;
pub use log::Log;
pub use mail::Mail;
pub use registration::Registration;
pub use server::Server;
pub use sessions::{Sessions, faces};
pub use subscriptions::Subscriptions;
pub use throttle::Throttle;

/// The environment variables that are understood, beside those that name no setting (`PORTREEVE_CONFIG`).
const VARIABLES: [&str; 11] = [
    "PORTREEVE_ACCESS",
    "PORTREEVE_CONFIG",
    "PORTREEVE_DATA",
    "PORTREEVE_DATABASE",
    "PORTREEVE_DEV",
    "PORTREEVE_LISTEN",
    "PORTREEVE_LOAD",
    "PORTREEVE_LOG",
    MAIL_PASSWORD,
    MAIL_PASSWORD_FILE,
    "PORTREEVE_SYNCHRONOUS",
];

const MAIL_PASSWORD: &str = "PORTREEVE_MAIL_PASSWORD";
const MAIL_PASSWORD_FILE: &str = "PORTREEVE_MAIL_PASSWORD_FILE";

/// A whole configuration.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[server]`
    pub server: Server,
    /// `[data]`
    pub data: Data,
    /// `[access]`
    pub access: Access,
    /// `[sessions]`: those of our own face.
    pub sessions: Sessions,
    /// `[faces.NAME]`: the same for the others.
    pub faces: BTreeMap<String, Sessions>,
    /// `[throttle]`
    pub throttle: Throttle,
    /// `[subscriptions]`
    pub subscriptions: Subscriptions,
    /// `[audit]`
    pub audit: Audit,
    /// `[log]`
    pub log: Log,
    /// `[mail]`
    pub mail: Mail,
    /// `[registration]`
    pub registration: Registration,
}

impl Config {
    /// The configuration file where one is named, then what environment and flags say of data and log.
    pub fn load(flags: &cli::Data) -> Result<Self, Failure> {
        let mut config = match &flags.config {
            Some(file) => Self::read(file)?,
            None => Self::default(),
        };
        if let Some(folder) = &flags.data {
            config.data.folder.clone_from(folder);
        }
        if let Some(database) = &flags.database {
            config.data.database = Some(database.clone());
        }
        if let Some(synchronous) = flags.synchronous {
            config.data.synchronous = synchronous.into();
        }
        if let Ok(filter) = std::env::var("PORTREEVE_LOG") {
            config.log.filter = filter;
        }
        Ok(config)
    }

    /// The same for the server, whose flags cover the rest.
    pub fn load_server(flags: &cli::Serve) -> Result<Self, Failure> {
        check_environment(std::env::vars_os().filter_map(|(name, _)| name.into_string().ok()))?;
        let mut config = Self::load(&flags.data)?;
        if let Some(dev) = flags.dev {
            config.server.development = dev;
        }
        if let Some(listen) = flags.listen {
            config.server.listen = listen;
        }
        // In the place of what the file says, whichever of the two that is.
        if let Ok(password) = std::env::var(MAIL_PASSWORD) {
            config.mail.password = Some(password);
            config.mail.password_file = None;
        }
        if let Some(file) = std::env::var_os(MAIL_PASSWORD_FILE) {
            config.mail.password = None;
            config.mail.password_file = Some(file.into());
        }
        if let Some(file) = &flags.access {
            config.access.file = Some(file.clone());
        }
        if let Some(file) = &flags.load {
            config.data.load = Some(file.clone());
        }
        if let Ok(secret) = std::env::var(sessions::JWT_SECRET) {
            let strapi = config.faces.entry("strapi".to_owned()).or_default();
            strapi.take_secret(secret);
        }
        Ok(config)
    }

    /// Reads a file. Relative paths in it begin where it stands.
    pub fn read(file: &Path) -> Result<Self, Failure> {
        let text = crate::wiring::read_text(file)?;
        let mut config = Self::parse(&file.display().to_string(), &text)?;
        let here = file.parent().unwrap_or(Path::new(""));
        let beside = |path: &mut PathBuf| *path = here.join(&*path);
        if config.data.folder != Data::default().folder {
            beside(&mut config.data.folder);
        }
        config.data.load.as_mut().map(beside);
        config.access.file.as_mut().map(beside);
        config.mail.password_file.as_mut().map(beside);
        for sessions in std::iter::once(&mut config.sessions).chain(config.faces.values_mut()) {
            sessions.jwt_secret_file.as_mut().map(beside);
        }
        Ok(config)
    }

    fn parse(file: &str, text: &str) -> Result<Self, Failure> {
        toml::from_str(text).map_err(|error| {
            let (line, column) = error.span().map_or((1, 1), |span| place(text, span.start));
            let message = nearest(error.message().lines().next().unwrap_or("is not TOML"));
            Failure::error("bad_config", format!("{file}:{line}:{column}: {message}"))
        })
    }

    /// The configuration as the file would say it.
    pub fn to_json(&self) -> serde_json::Value {
        let synchronous = match self.data.synchronous() {
            Synchronous::Full => "full",
            Synchronous::Normal => "normal",
        };
        serde_json::json!({
            "server": {
                "listen": self.server.listen.to_string(),
                "development": self.server.development,
                "public_url": self.server.public_url,
                "name": self.server.name,
                "trusted_proxies": self.server.trusted_proxies,
            },
            "sessions": self.sessions.to_json(),
            "faces": self
                .faces
                .iter()
                .map(|(name, sessions)| (name.clone(), sessions.to_json()))
                .collect::<serde_json::Map<_, _>>(),
            "throttle": {
                "per_address": self.throttle.per_address,
                "per_name_and_address": self.throttle.per_name_and_address,
                "per_name": self.throttle.per_name,
            },
            "data": {
                "folder": self.data.folder,
                "synchronous": synchronous,
                "readers": self.data.readers,
                // Not the URL itself, which may hold a password.
                "database": self.data.database.as_ref().map(|_| "given"),
                "connections": self.data.connections,
                "change_limit": self.data.change_limit,
                "load": self.data.load,
            },
            "access": { "file": self.access.file },
            "subscriptions": {
                "for_one": self.subscriptions.for_one,
                "in_all": self.subscriptions.in_all,
                "kept_changes": self.subscriptions.kept_changes,
                "kept_bytes": self.subscriptions.kept_bytes,
            },
            "audit": {
                "denials": self.audit.denials.name(),
                "one_in": self.audit.one_in,
                "denials_per_minute": self.audit.denials_per_minute,
                "denials_kept": self.audit.denials_kept,
                "denials_days": self.audit.denials_days,
                "sign_ins": self.audit.sign_ins,
            },
            "log": { "filter": self.log.filter },
            "mail": self.mail.to_json(),
            "registration": { "open": self.registration.open, "confirmation": self.registration.confirmation },
        })
    }
}

/// Refuses variables that look like ours and are not: a misspelt setting must not be silently without effect.
pub fn check_environment(names: impl Iterator<Item = String>) -> Result<(), Failure> {
    for name in names.filter(|name| name.starts_with("PORTREEVE_")) {
        if !VARIABLES.contains(&name.as_str()) {
            let hint = portreeve_policy::suggestion(&name, VARIABLES);
            let line = format!("there is no environment variable '{name}'{hint}");
            return Err(Failure::error("bad_config", line));
        }
    }
    Ok(())
}

/// Reads `127.0.0.1:7600`, `[::1]:7600`, `localhost:7600` or a port alone.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let wrong = || "use an address and a port, such as 127.0.0.1:7600".to_owned();
    if let Ok(port) = text.parse::<u16>() {
        return Ok(SocketAddr::from(([127, 0, 0, 1], port)));
    }
    if let Some(port) = text.strip_prefix("localhost:") {
        return port
            .parse()
            .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
            .map_err(|_| wrong());
    }
    text.parse().map_err(|_| wrong())
}

// "unknown field `lisen`, expected one of `listen`, `development`" becomes a sentence with the nearest name.
fn nearest(message: &str) -> String {
    let Some(rest) = message.strip_prefix("unknown field `") else {
        return message.to_owned();
    };
    let mut quoted = rest.split('`').step_by(2);
    let Some(word) = quoted.next() else {
        return message.to_owned();
    };
    let known: Vec<&str> = rest.split('`').skip(2).step_by(2).collect();
    let hint = portreeve_policy::suggestion(word, known);
    format!("there is no setting '{word}' here{hint}")
}

// Line and column, both from 1, of a byte.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
    (line, column)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(text: &str) -> String {
        format!("{:?}", Config::parse("portreeve.toml", text).unwrap_err())
    }

    #[test]
    fn nothing_said_is_the_default() {
        assert_eq!(
            Config::parse("portreeve.toml", "").unwrap(),
            Config::default()
        );
        assert_eq!(Config::default().server.listen, address("7600").unwrap());
    }

    #[test]
    fn what_is_said_is_taken() {
        let config = Config::parse(
            "portreeve.toml",
            "[server]\nlisten = \"[::1]:80\"\n[data]\nsynchronous = \"normal\"\nreaders = 4\nchange_limit = 50\n",
        )
        .unwrap();
        assert_eq!(config.server.listen, "[::1]:80".parse().unwrap());
        assert_eq!(config.data.synchronous(), Synchronous::Normal);
        assert_eq!(config.data.readers, 4);
        assert_eq!(config.data.change_limit.get(), 50);
        assert_eq!(Config::default().data.change_limit.get(), 10_000);
        assert!(failure("[data]\nchange_limit = 0\n").contains(":2:16"));
    }

    #[test]
    fn subscriptions_are_limited_as_it_is_said() {
        let text = "[subscriptions]\nfor_one = 3\nkept_changes = 10\n";
        let said = Config::parse("portreeve.toml", text).unwrap().subscriptions;
        let usual = Subscriptions::default();
        assert_eq!((said.limits().for_one, said.feed().changes), (3, 10));
        assert_eq!(said.limits().in_all, usual.limits().in_all);
        assert_eq!(said.feed().bytes, 16 * 1024 * 1024);
        assert_eq!((usual.limits().for_one, usual.limits().in_all), (16, 1_024));
        let said = failure("[subscriptions]\nin_all = 0\n");
        assert!(said.contains(":2:10") && said.contains("nonzero"), "{said}");
        let said = failure("[subscriptions]\nfor_all = 1\n");
        assert!(said.contains("no setting 'for_all'"), "{said}");
    }

    #[test]
    fn denials_are_kept_as_it_is_said() {
        let said = |text: &str| {
            let config = Config::parse("portreeve.toml", &format!("[audit]\n{text}\n"));
            config.unwrap().audit.denials()
        };
        assert_eq!((said("").one_in, said("").per_minute), (1, 600));
        assert_eq!((said("").most, said("").days), (100_000, 30));
        assert_eq!(said("denials = \"sample\"").one_in, 10);
        assert_eq!(said("denials = \"sample\"\none_in = 3").one_in, 3);
        assert_eq!(said("denials = \"none\"").one_in, 0);
        assert_eq!(said("denials_days = 7").days, 7);
        let said = failure("[audit]\ndenials = \"some\"\n");
        assert!(said.contains(":2:11") && said.contains("sample"), "{said}");
        let said = failure("[audit]\ndenial = \"all\"\n");
        assert!(said.contains("did you mean 'denials'?"), "{said}");
    }

    #[test]
    fn unknown_settings_name_place_and_nearest() {
        let said = failure("[server]\n\nlisten = \"7600\"\n  lisen = 1\n");
        assert!(said.contains("portreeve.toml:4:3"), "{said}");
        assert!(
            said.contains("no setting 'lisen' here; did you mean 'listen'?"),
            "{said}"
        );
        let said = failure("[sever]\n");
        assert!(
            said.contains(":1:2") && said.contains("did you mean 'server'?"),
            "{said}"
        );
    }

    #[test]
    fn wrong_values_name_their_place() {
        let said = failure("[data]\nsynchronous = \"ful\"\n");
        assert!(said.contains(":2:15") && said.contains("full"), "{said}");
        let said = failure("[server]\nlisten = \"nowhere\"\n");
        assert!(
            said.contains(":2:10") && said.contains("127.0.0.1:7600"),
            "{said}"
        );
        assert!(failure("[server\n").contains(":1:"));
    }

    #[test]
    fn variables_that_look_like_ours_are_ours() {
        let check = |name: &str| check_environment([name.to_owned()].into_iter());
        assert!(check("PORTREEVE_DATA").is_ok());
        assert!(check("PATH").is_ok());
        let said = format!("{:?}", check("PORTREEVE_LISTN").unwrap_err());
        assert!(said.contains("did you mean 'PORTREEVE_LISTEN'?"), "{said}");
    }
}
