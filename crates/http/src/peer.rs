//! The client's address.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::Extensions;

/// Where a request comes from, as the listener saw it. Put into a request's extensions by tests and by listeners that
/// are not TCP; a TCP listener's `ConnectInfo` serves as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The address of the other end of the connection. No header is believed: one that anybody can write must not move an
/// address rule.
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    let address = match extensions.get::<ConnectInfo<SocketAddr>>() {
        Some(ConnectInfo(address)) => address.ip(),
        None => extensions.get::<Peer>()?.0,
    };
    // A dual-stack listener sees IPv4 clients as mapped addresses; rules name them as people do.
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mapped_addresses_are_shown_as_ipv4() {
        let mut extensions = Extensions::new();
        assert_eq!(peer(&extensions), None);
        extensions.insert(Peer("10.0.0.1".parse().unwrap()));
        assert_eq!(peer(&extensions), Some("10.0.0.1".parse().unwrap()));
        let mapped: SocketAddr = "[::ffff:192.0.2.7]:80".parse().unwrap();
        extensions.insert(ConnectInfo(mapped));
        assert_eq!(peer(&extensions), Some("192.0.2.7".parse().unwrap()));
    }
}
