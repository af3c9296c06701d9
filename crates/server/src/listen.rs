//! Listening: the socket, the router behind it, and stopping without dropping what is under way.

use std::net::{SocketAddr, TcpListener as StdListener};
use std::time::Duration;

use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::signal;
use tokio::sync::watch;

use crate::fail::Failure;

/// How long requests under way may take once the server is told to stop.
const DRAIN: Duration = Duration::from_secs(10);

/// How long sent data may wait for the other end to take it.
#[cfg(target_os = "linux")]
const STALLED: Duration = Duration::from_secs(60);

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

/// Serves until the process is told to stop, then lets requests under way finish; `stopping_requests` ends those that would go
/// on for ever.
pub async fn serve(
    bound: Bound,
    router: Router,
    stopping_requests: impl FnOnce() + Send + 'static,
) -> Result<(), Failure> {
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
            give_up_on_stalled(stream);
        });
    let (stopping, mut stopped) = watch::channel(false);
    let mut drained = stopped.clone();
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(async move {
        told_to_stop().await;
        tracing::info!("stopping: requests under way may finish");
        stopping_requests();
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

// Who takes nothing of what is sent to him, however politely, does not keep his connection and what waits for it.
#[cfg(target_os = "linux")]
fn give_up_on_stalled(stream: &TcpStream) {
    if let Err(error) = socket2::SockRef::from(stream).set_tcp_user_timeout(Some(STALLED)) {
        tracing::debug!(%error, "a connection is not given up when it stalls");
    }
}

#[cfg(not(target_os = "linux"))]
fn give_up_on_stalled(_: &TcpStream) {}

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
