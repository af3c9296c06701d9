//! Puts the parts together: files into documents, configuration into an open Portreeve.

use std::path::Path;
use std::sync::Arc;

use portreeve_service::mail::MailOptions;
use portreeve_service::{Document, Options, Portreeve, ServiceError};

use crate::config::{Config, faces};
use crate::environment::{SystemClock, SystemEntropy};
use crate::fail::Failure;
use crate::sealing;

/// Whether a command writes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It only reads, so it works beside a running server.
    Read,
    /// It writes, so it needs the data folder to itself.
    Write,
    /// It writes, and goes on until it is stopped.
    Serve,
}

/// Opens the data folder of a configuration.
pub async fn open(config: &Config, mode: Mode) -> Result<Arc<Portreeve>, Failure> {
    let mail = match mode {
        Mode::Serve => config.mail.options(&config.server)?,
        // What is to be sent is sent by the server.
        Mode::Read | Mode::Write => MailOptions::default(),
    };
    let mut faces = faces(&config.sessions, &config.faces, config.server.development)?;
    if let Some(native) = faces.get_mut("native") {
        native.registration = config.registration.settings();
    }
    let opened = Portreeve::open(Options {
        mail,
        synchronous: config.data.synchronous(),
        development: config.server.development,
        read_only: mode == Mode::Read,
        follows: mode == Mode::Serve,
        readers: config.data.readers,
        connections: config.data.connections,
        change_limit: config.data.change_limit.get(),
        subscriptions: config.subscriptions.limits(),
        feed: config.subscriptions.feed(),
        denials: config.audit.denials(),
        faces,
        throttle: config.throttle.settings(),
        audit_sign_ins: config.audit.sign_ins,
        ..Options::at(
            config.data.location(),
            Arc::new(SystemClock),
            Arc::new(SystemEntropy),
        )
    });
    let opened = opened.await.map_err(|error| match error {
        ServiceError::BadPolicy(problems) => Failure::problems(problems).hint(
            "the stored policy does not fit this version of the program; apply a corrected access file with the version that wrote it",
        ),
        other => other.into(),
    })?;
    if mode == Mode::Write {
        sealing::when_ended(&opened);
    }
    Ok(opened)
}

/// Reads an access file, with all that is wrong with it.
pub fn document(file: &Path) -> Result<Document, Failure> {
    let text = read_text(file)?;
    Document::read(&file.display().to_string(), &text).map_err(Failure::problems)
}

/// Reads a text file.
pub fn read_text(file: &Path) -> Result<String, Failure> {
    std::fs::read_to_string(file).map_err(|error| {
        let name = file.display();
        let line = match error.kind() {
            std::io::ErrorKind::NotFound => format!("there is no file {name}"),
            std::io::ErrorKind::InvalidData => format!("{name} is not text in UTF-8"),
            _ => format!("cannot read {name}: {error}"),
        };
        Failure::error("no_file", line)
    })
}

/// What the program tells of its running goes to stderr.
pub fn log(filter: &str) -> Result<(), Failure> {
    let filter = tracing_subscriber::EnvFilter::try_new(filter).map_err(|error| {
        Failure::error(
            "bad_config",
            format!("the log filter '{filter}' cannot be understood: {error}"),
        )
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    Ok(())
}
