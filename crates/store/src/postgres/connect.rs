//! Where the server is, how it is spoken to, and the connections to it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, PoolError, RecyclingMethod, Runtime,
};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::error::failure;
use super::refused;
use crate::{OpenError, StoreError};

/// How long anybody waits for a connection.
const WAIT: Duration = Duration::from_secs(5);

/// What every connection begins with. Reads and writes of callers are short; what is not is given up by the server.
const SETTINGS: &str = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET extra_float_digits = 1; \
SET client_min_messages = warning; SET statement_timeout = '5s'; SET lock_timeout = '3s'; \
SET idle_in_transaction_session_timeout = '30s'; SET default_transaction_isolation = 'read committed'; \
SET standard_conforming_strings = on; SET synchronous_commit = on";

/// A server, as its URL says.
#[derive(Clone)]
pub(crate) struct Address {
    config: Config,
    tls: Option<MakeRustlsConnect>,
    /// For messages: without the password.
    pub shown: String,
}

impl Address {
    /// Reads `postgres://user:password@host:port/database?sslmode=…`.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let bad = |problem: String| OpenError::Address { problem };
        let (url, roots, mode) = take_tls(url).map_err(bad)?;
        // The driver's own text may repeat what was given, password and all.
        let no_url = "it is no URL of the form postgres://user:password@host:port/database with parameters that are known; escape what is special in a password, '@' as %40";
        let mut config = Config::from_str(&url).map_err(|_| bad(no_url.into()))?;
        let odd = |host: &Host| matches!(host, Host::Tcp(name) if name.is_empty() || name.contains(['@', ' ', '/']));
        if config.get_hosts().is_empty() || config.get_hosts().iter().any(odd) {
            return Err(bad(no_url.into()));
        }
        if config.get_application_name().is_none() {
            config.application_name("portreeve");
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(WAIT);
        }
        config
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        // With `hostaddr` it is that address which is connected to, whatever the host is called.
        let local = config.get_hosts().iter().all(is_local)
            && config.get_hostaddrs().iter().all(IpAddr::is_loopback);
        let tls = match mode {
            Some(Mode::Disable) => None,
            Some(Mode::Verify) => Some(verifying(roots.as_deref()).map_err(bad)?),
            // Nobody is between two programs of one machine.
            None if local => None,
            None => Some(verifying(roots.as_deref()).map_err(bad)?),
        };
        config.ssl_mode(if tls.is_some() {
            SslMode::Require
        } else {
            SslMode::Disable
        });
        let host = match config.get_hosts().first() {
            Some(Host::Tcp(name)) => name.clone(),
            #[cfg(unix)]
            Some(Host::Unix(path)) => path.display().to_string(),
            None => String::new(),
        };
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let database = config.get_dbname().or(config.get_user()).unwrap_or("");
        let shown = format!("postgres://{host}:{port}/{database}");
        Ok(Self { config, tls, shown })
    }

    /// Connections that are made when they are needed, at most so many.
    pub fn pool(&self, size: usize) -> Result<Pool, OpenError> {
        let manager_config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = match &self.tls {
            None => {
                Manager::from_config(self.config.clone(), tokio_postgres::NoTls, manager_config)
            }
            Some(tls) => Manager::from_config(self.config.clone(), tls.clone(), manager_config),
        };
        Pool::builder(manager)
            .max_size(size.max(2))
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(WAIT))
            .create_timeout(Some(WAIT))
            .recycle_timeout(Some(WAIT))
            .post_create(Hook::async_fn(|client, _| {
                Box::pin(async move {
                    client
                        .batch_execute(SETTINGS)
                        .await
                        .map_err(HookError::Backend)
                })
            }))
            .build()
            .map_err(|error| self.failed(error.into()))
    }

    /// A connection of its own, and what has to be polled for it to work: messages from the server come out of it.
    pub async fn alone(&self) -> Result<(tokio_postgres::Client, Notifications), StoreError> {
        match &self.tls {
            None => {
                let (client, connection) = self
                    .config
                    .connect(tokio_postgres::NoTls)
                    .await
                    .map_err(failure)?;
                Ok((client, Notifications::Plain(Box::new(connection))))
            }
            Some(tls) => {
                let (client, connection) =
                    self.config.connect(tls.clone()).await.map_err(failure)?;
                Ok((client, Notifications::Tls(Box::new(connection))))
            }
        }
    }

    /// Makes the first connection. What is in its way is told to whoever has to change something about it.
    pub async fn greet(&self, pool: &Pool) -> Result<(), OpenError> {
        match pool.get().await {
            Err(PoolError::Backend(error)) => Err(OpenError::Unfit {
                address: self.shown.clone(),
                problem: refused::why(&error).into(),
            }),
            // Everything else comes again with the first question.
            _ => Ok(()),
        }
    }

    /// What an error at the first connection means.
    pub fn unopened(&self, error: StoreError) -> OpenError {
        match error {
            StoreError::Unavailable => OpenError::Unfit {
                address: self.shown.clone(),
                problem: "no server answers there, or it does not let us in. Check host, port, user and password in the URL, and that the server runs".into(),
            },
            other => self.failed(other.into()),
        }
    }

    pub fn failed(&self, source: Box<dyn std::error::Error + Send + Sync>) -> OpenError {
        OpenError::Failed {
            path: self.shown.clone(),
            source,
        }
    }
}

type Plain = tokio_postgres::Connection<tokio_postgres::Socket, tokio_postgres::tls::NoTlsStream>;
type Encrypted = tokio_postgres::Connection<
    tokio_postgres::Socket,
    <MakeRustlsConnect as tokio_postgres::tls::MakeTlsConnect<tokio_postgres::Socket>>::Stream,
>;

/// A connection's other half.
pub(crate) enum Notifications {
    Plain(Box<Plain>),
    Tls(Box<Encrypted>),
}

impl Notifications {
    /// The next message; none when the connection has ended.
    pub async fn next(&mut self) -> Option<tokio_postgres::AsyncMessage> {
        let next = std::future::poll_fn(|context| match self {
            Self::Plain(connection) => connection.poll_message(context),
            Self::Tls(connection) => connection.poll_message(context),
        });
        next.await.and_then(Result::ok)
    }
}

enum Mode {
    Disable,
    Verify,
}

// `sslmode` and `sslrootcert` are ours to read: there is no encryption without knowing to whom.
fn take_tls(url: &str) -> Result<(String, Option<PathBuf>, Option<Mode>), String> {
    let Some((base, query)) = url.split_once('?') else {
        return Ok((url.to_owned(), None, None));
    };
    let (mut rest, mut roots, mut mode) = (vec![], None, None);
    for part in query.split('&').filter(|part| !part.is_empty()) {
        match part.split_once('=') {
            Some(("sslmode", "disable")) => mode = Some(Mode::Disable),
            Some(("sslmode", "require" | "verify-ca" | "verify-full")) => {
                mode = Some(Mode::Verify);
            }
            Some(("sslmode", _)) => {
                return Err("sslmode is 'disable' or 'verify-full': a server is trusted or known by its certificate, and nothing between".into());
            }
            Some(("sslrootcert", path)) => {
                roots = Some(PathBuf::from(path.replace("%2F", "/").replace("%20", " ")));
            }
            _ => rest.push(part),
        }
    }
    let url = if rest.is_empty() {
        base.to_owned()
    } else {
        format!("{base}?{}", rest.join("&"))
    };
    Ok((url, roots, mode))
}

fn is_local(host: &Host) -> bool {
    match host {
        Host::Tcp(name) => {
            name == "localhost"
                || name
                    .parse::<IpAddr>()
                    .is_ok_and(|address| address.is_loopback())
        }
        #[cfg(unix)]
        Host::Unix(_) => true,
    }
}

fn verifying(roots: Option<&std::path::Path>) -> Result<MakeRustlsConnect, String> {
    let mut store = rustls::RootCertStore::empty();
    match roots {
        Some(path) => {
            let unreadable = || format!("{} holds no certificate that can be read", path.display());
            let certificates = CertificateDer::pem_file_iter(path).map_err(|_| unreadable())?;
            for certificate in certificates {
                let certificate = certificate.map_err(|_| unreadable())?;
                store.add(certificate).map_err(|_| unreadable())?;
            }
        }
        None => {
            for certificate in rustls_native_certs::load_native_certs().certs {
                // The machine's own list; one that cannot be read serves nobody.
                let _ = store.add(certificate);
            }
        }
    }
    if store.is_empty() {
        return Err("there are no certificates to know the server by: name a file with sslrootcert, or say sslmode=disable".into());
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(store)
        .with_no_client_auth();
    Ok(MakeRustlsConnect::new(config))
}

/// What it means that no connection could be had.
pub(crate) fn unavailable(error: PoolError) -> StoreError {
    match error {
        PoolError::Timeout(deadpool_postgres::TimeoutType::Wait) => StoreError::Busy,
        PoolError::Timeout(_) => StoreError::Unavailable,
        PoolError::Closed => StoreError::Closed,
        PoolError::Backend(error) | PoolError::PostCreateHook(HookError::Backend(error)) => {
            match failure(error) {
                StoreError::Internal(error) => {
                    tracing::error!(%error, "no connection to the database");
                    StoreError::Unavailable
                }
                other => other,
            }
        }
        other => StoreError::Internal(other.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_spoken_to_in_the_clear() {
        let encrypted = |parameters: &str| {
            let url = format!("postgres://x@localhost/none?{parameters}");
            match Address::parse(&url) {
                Ok(address) => address.tls.is_some(),
                // It would be, if the machine knew whom to trust.
                Err(OpenError::Address { problem }) => {
                    assert!(problem.contains("certificates"), "{problem}");
                    true
                }
                Err(other) => panic!("{other}"),
            }
        };
        assert!(!encrypted(""));
        assert!(!encrypted("hostaddr=127.0.0.1"));
        assert!(encrypted("hostaddr=192.0.2.1"));
        assert!(!encrypted("hostaddr=192.0.2.1&sslmode=disable"));
    }
}
