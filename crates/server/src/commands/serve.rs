//! `portreeve serve`

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use portreeve_service::{NewUser, Portreeve};
use serde_json::json;
use tokio::sync::watch;

use crate::cli::Serve;
use crate::commands::apply::put_in_force;
use crate::commands::load::lines;
use crate::config::Config;
use crate::fail::Failure;
use crate::listen;
use crate::output::{Output, say};
use crate::sealing;
use crate::wiring::{Mode, document, log, open};

/// How often it is written down which sessions were used.
const NOTING: Duration = Duration::from_secs(10);

/// How often sessions that have expired are forgotten.
const HOUSEKEEPING: Duration = Duration::from_secs(60 * 60);
/// How often mails are looked for that were asked for elsewhere, or have to be tried again.
const MAILS: Duration = Duration::from_secs(5);
/// How long a mail that is on its way may take once the server is told to stop. One that is cut off is sent by whoever runs
/// next, and may then arrive twice.
const LAST_MAIL: Duration = Duration::from_secs(10);
/// How long the job that seals may take to come to an end.
const LAST_SEAL: Duration = Duration::from_secs(10);

/// Starts the server and runs it until it is told to stop.
pub async fn run(flags: Serve, output: Output) -> Result<ExitCode, Failure> {
    let config = Config::load_server(&flags)?;
    log(&config.log.filter)?;
    let development = config.server.development;
    if development && !config.server.listen.ip().is_loopback() {
        let line = format!(
            "development mode is open to whoever reaches it, so it listens on loopback only, not on {}. Leave out --dev, or use --listen 127.0.0.1:{}",
            config.server.listen,
            config.server.listen.port()
        );
        return Err(Failure::error("not_loopback", line));
    }
    // Everything that can be wrong with what was typed comes before anything is changed.
    let policy = config.access.file.as_deref().map(document).transpose()?;
    let records = config
        .data
        .load
        .as_deref()
        .map(|file| lines(file).map(|lines| (file, lines)));
    let records = records.transpose()?;
    let bound = listen::bind(config.server.listen)?;
    let portreeve = open(&config, Mode::Serve).await?;
    if let Some(policy) = &policy {
        let plan = portreeve.plan(&portreeve.operator(), policy).await?;
        let applied = put_in_force(&portreeve, plan, false).await?;
        if applied.changed {
            tracing::info!(version = applied.version, "the access file is in force");
        }
    }
    if let Some((file, lines)) = records {
        let loaded = portreeve.load_once(&name(file), lines).await?;
        match loaded {
            Some(loaded) => {
                tracing::info!(users = loaded.users, records = loaded.records, "loaded");
            }
            None => tracing::info!("what is to be loaded has been loaded before"),
        }
    }
    let address = bound.address;
    administrator(&portreeve, policy.is_some(), address, output).await?;
    let housekeeping = tokio::spawn(housekeeping(Arc::clone(&portreeve)));
    let (stop_mails, stopped) = watch::channel(false);
    let mails = tokio::spawn(mails(Arc::clone(&portreeve), stopped));
    let (stop_sealing, stopped) = watch::channel(false);
    let sealing = tokio::spawn(sealing::run(Arc::clone(&portreeve), stopped));
    let noting = tokio::spawn(noting(Arc::clone(&portreeve)));
    let proxies = config.server.proxies();
    let router = portreeve_native::router_behind(Arc::clone(&portreeve), proxies);
    tell(
        output,
        &format!("listening on http://{address}"),
        || json!({ "listening": format!("http://{address}"), "development": development }),
    );
    let served = {
        let portreeve = Arc::clone(&portreeve);
        listen::serve(bound, router, move || portreeve.end_subscriptions()).await
    };
    // The last to hold the data folder closes it.
    housekeeping.abort();
    stop_mails.send_replace(true);
    let abandon = mails.abort_handle();
    if tokio::time::timeout(LAST_MAIL, mails).await.is_err() {
        tracing::warn!("a mail on its way did not arrive in time; it will be sent again");
        abandon.abort();
    }
    noting.abort();
    if let Err(error) = portreeve.write_uses().await {
        tracing::warn!(%error, "when sessions were last used could not be written down");
    }
    // Not in the middle of what it writes: what follows is the last of it.
    stop_sealing.send_replace(true);
    let abandon = sealing.abort_handle();
    if tokio::time::timeout(LAST_SEAL, sealing).await.is_err() {
        abandon.abort();
    }
    if let Err(error) = portreeve.seal_audit().await {
        tracing::error!(%error, "the last lines of the audit trail are not sealed yet");
    }
    if let Err(error) = portreeve.keep_denials().await {
        tracing::error!(%error, "the last denials are not kept");
    }
    served?;
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

// Nothing works without an administrator, so the way to the first one is printed.
async fn administrator(
    portreeve: &Portreeve,
    with_access: bool,
    address: SocketAddr,
    output: Output,
) -> Result<(), Failure> {
    if portreeve.has_administrator() {
        return Ok(());
    }
    if portreeve.development() && with_access {
        let password = portreeve.new_password();
        let new = NewUser {
            username: Some("admin".into()),
            password: Some(password.clone()),
            ..NewUser::default()
        };
        portreeve.first_administrator(new).await?;
        tell(
            output,
            &format!("administrator: admin  password: {password}"),
            || json!({ "administrator": "admin", "password": password }),
        );
        return Ok(());
    }
    if let Some(code) = portreeve.begin_setup().await? {
        tell(
            output,
            &format!("setup code: {code}"),
            || json!({ "setup_code": code }),
        );
        if !output.json {
            say(&format!(
                "make the first administrator with it:\n  curl -s http://{address}/v1/setup -H 'content-type: application/json' \\\n    -d '{{\"code\": \"{code}\", \"username\": \"admin\", \"password\": \"…\"}}'"
            ));
        }
    }
    Ok(())
}

fn tell(output: Output, line: &str, json: impl FnOnce() -> serde_json::Value) {
    if output.json {
        say(&json().to_string())
    } else {
        say(line)
    }
}

async fn noting(portreeve: Arc<Portreeve>) {
    let mut rounds = tokio::time::interval(NOTING);
    rounds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        rounds.tick().await;
        if let Err(error) = portreeve.write_uses().await {
            tracing::warn!(%error, "when sessions were last used could not be written down");
        }
    }
}

async fn housekeeping(portreeve: Arc<Portreeve>) {
    let mut rounds = tokio::time::interval(HOUSEKEEPING);
    loop {
        rounds.tick().await;
        match portreeve.forget_expired_sessions().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "expired sessions forgotten"),
            Err(error) => tracing::warn!(%error, "expired sessions could not be forgotten"),
        }
        match portreeve.forget_denials().await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "old denials forgotten"),
            Err(error) => tracing::warn!(%error, "old denials could not be forgotten"),
        }
        if let Err(error) = portreeve.tidy_mails().await {
            tracing::warn!(%error, "codes that are over could not be forgotten");
        }
    }
}

// One after the other, until told to stop; what is on its way then arrives first.
async fn mails(portreeve: Arc<Portreeve>, mut stopped: watch::Receiver<bool>) {
    let mut rounds = tokio::time::interval(MAILS);
    while !*stopped.borrow() {
        match portreeve.deliver_next().await {
            Ok(Some(_)) => continue,
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "mails that wait could not be looked for"),
        }
        tokio::select! {
            () = portreeve.mail_asked() => {}
            _ = rounds.tick() => {}
            _ = stopped.changed() => {}
        }
    }
}

fn name(file: &Path) -> String {
    file.file_name().map_or_else(
        || file.display().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}
