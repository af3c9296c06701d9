//! The configuration: a TOML file with one section per file here, then the environment, then flags, the later winning.
//! Every setting is a line in `keys`, too, from which the environment is read and the reference is written.
//! What is not known is an error with its place and the nearest name.

mod access;
mod audit;
mod data;
mod duration;
mod environment;
mod keys;
mod log;
mod mail;
#[cfg(test)]
mod reference;
mod registration;
mod schema;
mod secret;
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
pub use duration::NEVER;
pub use log::Log;
pub use mail::Mail;
#[cfg(test)]
pub use reference::reference;
pub use registration::Registration;
pub use schema::schema;
pub use server::Server;
pub use sessions::{Sessions, faces};
pub use subscriptions::Subscriptions;
pub use throttle::Throttle;

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
    /// The configuration file where one is named, then the environment, then flags.
    pub fn load(flags: &cli::Data) -> Result<Self, Failure> {
        Self::assemble(flags, |_| {})
    }

    /// The same for the server, whose flags cover the rest.
    pub fn load_server(flags: &cli::Serve) -> Result<Self, Failure> {
        Self::assemble(&flags.data, |config| {
            if let Some(dev) = flags.dev {
                config.server.development = dev;
            }
            if let Some(listen) = flags.listen {
                config.server.listen = listen;
            }
            if let Some(file) = &flags.access {
                config.access.file = Some(file.clone());
            }
            if let Some(file) = &flags.load {
                config.data.load = Some(file.clone());
            }
        })
    }

    fn assemble(flags: &cli::Data, more: impl FnOnce(&mut Self)) -> Result<Self, Failure> {
        let mut config = Self::read(flags.config.as_deref())?;
        if let Some(folder) = &flags.data {
            config.data.folder.clone_from(folder);
        }
        if let Some(database) = &flags.database {
            config.data.database = Some(database.clone());
            config.data.database_file = None;
        }
        if let Some(synchronous) = flags.synchronous {
            config.data.synchronous = synchronous.into();
        }
        more(&mut config);
        config.data.resolve(config.server.development)?;
        Ok(config)
    }

    /// Reads a file, where there is one, and the environment. Relative paths in the file begin where it stands.
    pub fn read(file: Option<&Path>) -> Result<Self, Failure> {
        let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
        environment::check(names)?;
        let name = file.map_or(String::new(), |file| file.display().to_string());
        let text = file.map_or(Ok(String::new()), crate::wiring::read_text)?;
        let mut config = Self::parse_under(&name, &text, |name| std::env::var(name).ok())?;
        let here = file.and_then(Path::parent).unwrap_or(Path::new(""));
        let beside = |path: &mut PathBuf| *path = here.join(&*path);
        if config.data.folder != Data::default().folder {
            beside(&mut config.data.folder);
        }
        config.data.load.as_mut().map(beside);
        config.data.database_file.as_mut().map(beside);
        config.access.file.as_mut().map(beside);
        config.mail.password_file.as_mut().map(beside);
        for sessions in std::iter::once(&mut config.sessions).chain(config.faces.values_mut()) {
            sessions.jwt_secret_file.as_mut().map(beside);
        }
        if let Ok(secret) = std::env::var(sessions::JWT_SECRET) {
            let strapi = config.faces.entry("strapi".to_owned()).or_default();
            strapi.take_secret(secret);
        }
        Ok(config)
    }

    // The file by itself first, whose mistakes have a place in it.
    fn parse_under(
        file: &str,
        text: &str,
        said: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, Failure> {
        let config = Self::parse(file, text)?;
        let mut table: toml::Table = toml::from_str(text).unwrap_or_default();
        let by = environment::overlay(&mut table, said)?;
        if by.is_empty() {
            return Ok(config);
        }
        Self::deserialize(table).map_err(|error| {
            let message = nearest(error.message().lines().next().unwrap_or_default());
            let by = by.join(", ");
            Failure::error("bad_config", format!("the environment ({by}): {message}"))
        })
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
                "registrations": self.throttle.registrations,
                "mails": self.throttle.mails,
                "address_changes": self.throttle.address_changes,
            },
            "data": {
                "folder": self.data.folder,
                "synchronous": synchronous,
                "readers": self.data.readers,
                // Not the URL itself, which may hold a password.
                "database": self.data.database.as_ref().map(|_| "given"),
                "database_file": self.data.database_file,
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
        let check = |name: &str| environment::check([name.to_owned()].into_iter());
        assert!(check("PORTREEVE_DATA").is_ok());
        assert!(check("PATH").is_ok());
        let said = format!("{:?}", check("PORTREEVE_LISTN").unwrap_err());
        assert!(said.contains("did you mean 'PORTREEVE_LISTEN'?"), "{said}");
    }

    // The names that serde knows of a section: it lists them when it is asked for another one.
    fn known(section: &str) -> Vec<String> {
        let text = if section.is_empty() {
            "no_such_name = 1\n".to_owned()
        } else {
            format!("[{section}]\nno_such_name = 1\n")
        };
        let error = toml::from_str::<Config>(&text).unwrap_err();
        let (_, names) = error.message().split_once("expected").unwrap();
        let names = names.split('`').skip(1).step_by(2);
        let mut names: Vec<String> = names.map(str::to_owned).collect();
        names.sort();
        names
    }

    #[test]
    fn the_table_of_settings_is_what_the_file_takes() {
        let mut sections: Vec<&str> = keys::SECTIONS.iter().map(|(name, _)| *name).collect();
        let in_table = |section: &str| {
            let keys = keys::KEYS.iter().filter(|key| key.section == section);
            let mut names: Vec<String> = keys.map(|key| key.name.to_owned()).collect();
            names.sort();
            names
        };
        for section in &sections {
            assert_eq!(in_table(section), known(section), "[{section}]");
        }
        assert_eq!(in_table(keys::SESSIONS), known("faces.kuzzle"));
        sections.push("faces");
        sections.sort_unstable();
        assert_eq!(sections, known(""));
        let shown = Config::default().to_json();
        for key in keys::KEYS {
            assert!(shown[key.section].get(key.name).is_some(), "{key:?}");
            if key.secret {
                let file = format!("{}_file", key.name);
                assert!(in_table(key.section).contains(&file), "{key:?}");
            }
        }
    }

    #[test]
    fn the_table_of_settings_has_the_defaults() {
        let mut text = String::new();
        for (section, _) in keys::SECTIONS {
            text.push_str(&format!("[{section}]\n"));
            for key in keys::KEYS.iter().filter(|key| key.section == *section) {
                if !key.default.is_empty() {
                    text.push_str(&format!("{} = {}\n", key.name, key.default));
                }
            }
        }
        let said = Config::parse("portreeve.toml", &text).unwrap();
        assert_eq!(said, Config::default());
    }

    #[test]
    fn the_environment_gives_every_setting() {
        let read = |text: &str, said: &[(&str, &str)]| {
            Config::parse_under("portreeve.toml", text, |name| {
                let found = said.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| (*value).to_owned())
            })
        };
        let config = read(
            "[server]\nname = \"A\"\n[mail]\npassword = \"old\"\nper_address = 5\n",
            &[
                ("PORTREEVE_SERVER_NAME", "B"),
                ("PORTREEVE_SERVER_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.1"),
                ("PORTREEVE_DEV", "yes"),
                ("PORTREEVE_MAIL_PASSWORD_FILE", "/run/secrets/mail"),
                ("PORTREEVE_THROTTLE_PER_NAME", "7"),
                ("PORTREEVE_FACES_KUZZLE_LIFE", "2d"),
                ("PORTREEVE_AUDIT_DENIALS", "none"),
            ],
        )
        .unwrap();
        assert_eq!(config.server.name, "B");
        assert_eq!(config.server.trusted_proxies, ["10.0.0.0/8", "192.0.2.1"]);
        assert!(config.server.development);
        assert_eq!((&config.mail.password, config.mail.per_address), (&None, 5));
        assert!(config.mail.password_file.is_some());
        assert_eq!(config.throttle.per_name, 7);
        assert!(config.faces["kuzzle"].life.is_some());
        assert_eq!(config.audit.denials.name(), "none");
        for (name, value, said) in [
            (
                "PORTREEVE_THROTTLE_PER_NAME",
                "many",
                "PORTREEVE_THROTTLE_PER_NAME: use a whole number",
            ),
            ("PORTREEVE_AUDIT_ONE_IN", "0", "of 1 or more"),
            (
                "PORTREEVE_DEV",
                "perhaps",
                "PORTREEVE_DEV: use true or false",
            ),
            (
                "PORTREEVE_AUDIT_DENIALS",
                "some",
                "the environment (PORTREEVE_AUDIT_DENIALS)",
            ),
            ("PORTREEVE_SESSIONS_LIFE", "long", "write a time as 30d"),
        ] {
            let failure = format!("{:?}", read("", &[(name, value)]).unwrap_err());
            assert!(failure.contains(said), "{failure}");
        }
        let both = [
            ("PORTREEVE_MAIL_PASSWORD", "a"),
            ("PORTREEVE_MAIL_PASSWORD_FILE", "b"),
        ];
        let mail = read("", &both).unwrap().mail;
        assert!(mail.password.is_some() && mail.password_file.is_some());
    }

    #[test]
    fn the_configuration_page_is_current() {
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
        if std::env::var_os("WRITE_PAGES").is_some() {
            std::fs::write(&path, reference()).unwrap();
        }
        let page = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            page == reference(),
            "write it anew: WRITE_PAGES=1 cargo test -p portreeve configuration_page"
        );
    }

    #[test]
    fn the_schema_knows_every_setting() {
        let schema = schema();
        for key in keys::KEYS {
            let section = match key.section {
                keys::SESSIONS => &schema["$defs"][keys::SESSIONS],
                section => &schema["properties"][section],
            };
            let found = &section["properties"][key.name];
            assert_eq!(found["description"], key.about, "{key:?}");
            assert_eq!(
                found["default"].is_null(),
                key.default.is_empty(),
                "{key:?}"
            );
            assert_eq!(section["additionalProperties"], false);
        }
        assert_eq!(
            schema["properties"]["faces"]["properties"]["strapi"]["$ref"],
            "#/$defs/sessions"
        );
    }

    #[cfg(unix)]
    #[test]
    fn a_secret_that_everybody_can_read_is_refused() {
        use std::os::unix::fs::PermissionsExt;
        let file = std::env::temp_dir().join(format!("portreeve-secret-{}", std::process::id()));
        std::fs::write(&file, "top secret\n").unwrap();
        let read = |mode: u32, development: bool| {
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
            secret::first_line("mail.password_file", &file, development)
        };
        assert_eq!(read(0o640, false).unwrap(), "top secret");
        let said = format!("{:?}", read(0o644, false).unwrap_err());
        assert!(
            said.contains("secret_exposed") && said.contains("chmod o-rwx"),
            "{said}"
        );
        assert!(!said.contains("top secret"), "{said}");
        assert!(read(0o602, false).is_err());
        assert_eq!(read(0o644, true).unwrap(), "top secret");
        std::fs::remove_file(&file).unwrap();
    }
}
