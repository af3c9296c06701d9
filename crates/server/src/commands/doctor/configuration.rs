//! What is wrong with the configuration, or with the files it names, though each setting by itself is right.

use std::path::Path;

use portreeve_service::{Finding, Severity};

use crate::config::Config;
use crate::config::NEVER;

/// Looks at a configuration, and at the file it comes from where there is one.
pub fn look(config: &Config, file: Option<&Path>) -> Vec<Finding> {
    let mut findings = vec![];
    let mut add = |id, severity, place: &str, why: String, fix: &str| {
        findings.push(Finding {
            id,
            severity,
            place: place.to_owned(),
            why,
            fix: fix.to_owned(),
        });
    };
    let server = &config.server;
    let public = server.public_url.as_deref();
    let local = |url: &str| {
        ["://localhost", "://127.", "://[::1]"]
            .iter()
            .any(|part| url.contains(part))
    };
    if server.development
        && (public.is_some_and(|url| !local(url)) || !server.listen.ip().is_loopback())
    {
        add(
            "development-exposed",
            Severity::Error,
            "server.development",
            "development mode is open to whoever reaches it, and this server has an address for the world".into(),
            "set server.development = false, or take public_url out and listen on 127.0.0.1",
        );
    }
    if !server.development {
        if !server.listen.ip().is_loopback() && server.trusted_proxies.is_empty() {
            add(
                "no-tls",
                Severity::Warning,
                "server.listen",
                format!(
                    "it can be reached at {} without encryption: passwords and tokens can be read on their way",
                    server.listen
                ),
                "put a proxy that speaks TLS before it, listen where only the proxy is, and name it in server.trusted_proxies",
            );
        }
        if let Some(url) = public.filter(|url| url.starts_with("http://") && !local(url)) {
            add(
                "no-tls",
                Severity::Warning,
                "server.public_url",
                format!("'{url}' is not encrypted: passwords and tokens can be read on their way"),
                "put a proxy that speaks TLS before it and write https://",
            );
        }
        let behind = public.is_some_and(|url| url.starts_with("https://"));
        if behind && server.trusted_proxies.is_empty() && server.listen.ip().is_loopback() {
            add(
                "proxy-unknown",
                Severity::Warning,
                "server.trusted_proxies",
                "a proxy stands before it and is not named: all clients have the proxy's address, are throttled as one, and no rule about addresses means them".into(),
                "server.trusted_proxies = [\"127.0.0.1\"], if the proxy is on this machine",
            );
        }
    }
    for proxy in &server.trusted_proxies {
        if is_wide(proxy) {
            add(
                "proxy-trusts-all",
                Severity::Error,
                "server.trusted_proxies",
                format!(
                    "'{proxy}' is more than proxies: whoever comes from there says himself what his address is"
                ),
                "name the proxies, such as 10.0.0.5 or 10.0.0.0/24",
            );
        }
    }
    if config.sessions.life == Some(NEVER) && config.sessions.idle == Some(NEVER) {
        add(
            "sessions-endless",
            Severity::Warning,
            "sessions",
            "life and idle are both 'never': a token that is lost stays good".into(),
            "set one of the two",
        );
    }
    mail(config, &mut add);
    files(config, file, &mut add);
    findings
}

type Add<'a> = dyn FnMut(&'static str, Severity, &str, String, &str) + 'a;

fn mail(config: &Config, add: &mut Add<'_>) {
    if let Err(failure) = config.mail.options(&config.server) {
        let why = format!("mail cannot be sent: {}", failure.line());
        add(
            "mail-undeliverable",
            Severity::Error,
            "mail",
            why,
            "correct it; 'portreeve config check' says when it is right",
        );
        return;
    }
    if config.server.development {
        return;
    }
    match (&config.mail.host, config.registration.confirmation) {
        (None, true) => add(
            "mail-undeliverable",
            Severity::Error,
            "registration.confirmation",
            "addresses have to be confirmed by mail, and there is no mail server: nobody who signs up can ever sign in".into(),
            "name one in mail.host, or set registration.confirmation = false",
        ),
        (None, false) => add(
            "mail-missing",
            Severity::Notice,
            "mail.host",
            "without a mail server nobody who forgets a password can set a new one, and nobody can be invited".into(),
            "name one in mail.host",
        ),
        (Some(_), _) => {
            if config.mail.reset_url.is_none() {
                add(
                    "mail-links-missing",
                    Severity::Notice,
                    "mail.reset_url",
                    "mails about a new password show a code and no link".into(),
                    "name the page that asks for the new password",
                );
            }
        }
    }
}

fn files(config: &Config, file: Option<&Path>, add: &mut Add<'_>) {
    let inline = config.mail.password.is_some()
        || config.sessions.jwt_secret.is_some()
        || config.faces.values().any(|face| face.jwt_secret.is_some())
        || config
            .data
            .database
            .as_deref()
            .is_some_and(|url| url.contains('@'));
    let mut secrets: Vec<(&str, &Path)> = vec![];
    if let Some(file) = file.filter(|_| inline) {
        secrets.push(("the configuration file", file));
    }
    let named = [
        ("mail.password_file", &config.mail.password_file),
        ("data.database_file", &config.data.database_file),
        ("sessions.jwt_secret_file", &config.sessions.jwt_secret_file),
    ];
    secrets.extend(
        named
            .into_iter()
            .filter_map(|(name, file)| Some((name, file.as_deref()?))),
    );
    let of_faces = config.faces.values();
    secrets
        .extend(of_faces.filter_map(|face| {
            Some(("faces.*.jwt_secret_file", face.jwt_secret_file.as_deref()?))
        }));
    for (name, path) in secrets {
        if mode(path).is_some_and(|mode| mode & 0o006 != 0) {
            add(
                "secret-exposed",
                Severity::Error,
                name,
                format!(
                    "everybody on this machine can read or change {}, which holds a secret",
                    path.display()
                ),
                &format!("chmod o-rwx {}", path.display()),
            );
        }
    }
    if config.data.database.is_none()
        && mode(&config.data.folder).is_some_and(|mode| mode & 0o007 != 0)
    {
        let folder = config.data.folder.display();
        add(
            "data-exposed",
            Severity::Error,
            "data.folder",
            format!(
                "everybody on this machine can look into {folder}: password hashes are in there"
            ),
            &format!("chmod 700 {folder}"),
        );
    }
}

#[cfg(unix)]
fn mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    let found = std::fs::metadata(path).ok()?;
    Some(found.permissions().mode())
}

#[cfg(not(unix))]
fn mode(_: &Path) -> Option<u32> {
    None
}

// Whole continents are no proxies.
fn is_wide(network: &str) -> bool {
    let Some((address, length)) = network.split_once('/') else {
        return false;
    };
    let length: u32 = length.parse().unwrap_or(128);
    length < if address.contains(':') { 16 } else { 8 }
}
