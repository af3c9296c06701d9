//! Listening: the socket, the router behind it, and stopping without dropping what is under way.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::signal;
use tokio::sync::watch;

use crate::fail::Failure;

/// How long requests under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// A socket that is bound.
pub struct Bound {
    listener: StdListener,
    /// Where, with the port that was given where any would do.
    pub address: SocketAddr,
}

/// Binds before anything else is done, so that a taken port changes nothing.
pub fn bind(address: SocketAddr) -> Result<Bound, Failure> {
    let bound = StdListener::bind(address).and_then(|listener| {
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    });
    bound.map_err(|error| {
        let line = match error.kind() {
            std::io::ErrorKind::AddrInUse => format!(
                "{address} is taken by another program. Stop it, or choose another address with --listen"
            ),
            std::io::ErrorKind::PermissionDenied => format!(
                "this user may not listen on {address}. Choose a port above 1023 with --listen"
            ),
            std::io::ErrorKind::AddrNotAvailable => format!(
                "{address} is no address of this machine. Choose another with --listen"
            ),
            _ => format!("cannot listen on {address}: {error}"),
        };
        Failure::error("cannot_listen", line)
    })
}

/// Serves until the process is told to stop, then lets requests under way finish.
pub async fn serve(bound: Bound, router: Router) -> Result<(), Failure> {
    let failed = |error: std::io::Error| {
        Failure::error("cannot_listen", format!("cannot go on listening: {error}"))
    };
    let listener = TcpListener::from_std(bound.listener)
        .map_err(failed)?
        .tap_io(|stream| {
            // Answers are written at once and whole; waiting for more to send would only delay them.
            if let Err(error) = stream.set_nodelay(true) {
                tracing::debug!(%error, "a connection keeps Nagle's algorithm");
            }
        });
    let (stopping, mut stopped) = watch::channel(false);
    let mut drained = stopped.clone();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
        told_to_stop().await;
        tracing::info!("stopping: requests under way may finish");
        stopping.send_replace(true);
    });
    tokio::select! {
        served = serving.into_future() => served.map_err(failed),
        () = async {
            let _ = stopped.wait_for(|stopping| *stopping).await;
            tokio::time::sleep(DRAIN).await;
        } => {
            tracing::warn!("some requests did not finish in time and were dropped");
            Ok(())
        }
        () = async {
            let _ = drained.wait_for(|stopping| *stopping).await;
            // Told twice: at once.
            told_to_stop().await;
        } => Ok(()),
    }
}

/// Waits until the process is told to stop.
pub async fn told_to_stop() {
    let interrupt = async {
        if signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    #[cfg(unix)]
    let terminate = async {
        match signal::unix::signal(signal::unix::SignalKind::terminate()) {
            Ok(mut terminate) => {
                terminate.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
}
