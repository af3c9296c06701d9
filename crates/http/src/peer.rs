//! The client's address.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use ipnet::IpNet;

/// Where a request comes from, as the listener saw it. Put into a request's extensions by tests and by listeners that
/// are not TCP; a TCP listener's `ConnectInfo` serves as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer(pub IpAddr);

/// The client behind a proxy of ours, put into a request's extensions by the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Client(pub IpAddr);

/// The address of the client. No header is believed but what a trusted proxy adds: one that anybody can write must not
/// move an address rule.
pub fn peer(extensions: &Extensions) -> Option<IpAddr> {
    match extensions.get::<Client>() {
        Some(client) => Some(client.0),
        None => connected(extensions),
    }
}

// The address of the other end of the connection.
fn connected(extensions: &Extensions) -> Option<IpAddr> {
    let address = match extensions.get::<ConnectInfo<SocketAddr>>() {
        Some(ConnectInfo(address)) => address.ip(),
        None => extensions.get::<Peer>()?.0,
    };
    // A dual-stack listener sees IPv4 clients as mapped addresses; rules name them as people do.
    Some(address.to_canonical())
}

/// Proxies in front of us, by their networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proxies(pub Vec<IpNet>);

/// What a proxy says of its client is no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BadForward;

impl Proxies {
    /// Reads networks (`10.0.0.0/8`) and single addresses. The first that is neither is an error.
    pub fn read<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        let network = |text: &'t str| {
            let address = text.parse::<IpAddr>().ok().map(IpNet::from);
            text.parse().ok().or(address).ok_or_else(|| text.to_owned())
        };
        texts
            .into_iter()
            .map(network)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.0.iter().any(|network| network.contains(&address))
    }

    /// The client that proxies of ours speak for; none where the connection is nobody's we trust. `X-Forwarded-For` is
    /// read from its end, where the nearest proxy has written: the first that is none of ours is the client, and what
    /// stands before it is what the client says of himself.
    pub(crate) fn client(
        &self,
        extensions: &Extensions,
        headers: &HeaderMap,
    ) -> Result<Option<IpAddr>, BadForward> {
        let Some(connected) = connected(extensions).filter(|address| self.trusts(*address)) else {
            return Ok(None);
        };
        let mut client = connected;
        let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
        for line in lines.iter().rev() {
            let line = line.to_str().map_err(|_| BadForward)?;
            for one in line.rsplit(',') {
                client = address(one.trim()).ok_or(BadForward)?;
                if !self.trusts(client) {
                    return Ok(Some(client));
                }
            }
        }
        Ok(Some(client))
    }
}

// `192.0.2.1`, `192.0.2.1:80`, `2001:db8::1`, `[2001:db8::1]`, `[2001:db8::1]:80`.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'));
    let address: IpAddr = match (text.parse(), bare) {
        (Ok(address), _) => address,
        (Err(_), Some(bare)) => IpAddr::V6(bare.parse().ok()?),
        (Err(_), None) => text.parse::<SocketAddr>().ok()?.ip(),
    };
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

    fn client(from: &str, lines: &[&'static str]) -> Result<Option<String>, BadForward> {
        let proxies = Proxies(vec![
            "10.0.0.0/8".parse().unwrap(),
            "2001:db8:ffff::/48".parse().unwrap(),
        ]);
        let mut extensions = Extensions::new();
        extensions.insert(Peer(from.parse().unwrap()));
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("x-forwarded-for", line.parse().unwrap());
        }
        let client = proxies.client(&extensions, &headers)?;
        Ok(client.map(|address| address.to_string()))
    }

    #[test]
    fn only_what_our_proxies_say_is_believed_t56() {
        // From elsewhere the header says nothing.
        assert_eq!(client("192.0.2.1", &["198.51.100.1"]), Ok(None));
        assert_eq!(client("192.0.2.1", &["nonsense"]), Ok(None));
        let told = |lines: &[&'static str]| client("10.0.0.1", lines).map(Option::unwrap);
        assert_eq!(told(&[]), Ok("10.0.0.1".into()));
        assert_eq!(told(&["198.51.100.1"]), Ok("198.51.100.1".into()));
        // What the client has written stands before what the proxy has.
        assert_eq!(told(&["1.2.3.4, 198.51.100.1"]), Ok("198.51.100.1".into()));
        assert_eq!(
            told(&["nonsense, 198.51.100.1, 10.2.3.4"]),
            Ok("198.51.100.1".into())
        );
        assert_eq!(
            told(&["1.2.3.4", "198.51.100.1", "10.9.9.9"]),
            Ok("198.51.100.1".into())
        );
        assert_eq!(told(&["10.0.0.7"]), Ok("10.0.0.7".into()));
        for (written, read) in [
            ("198.51.100.1:4711", "198.51.100.1"),
            ("2001:db8::1", "2001:db8::1"),
            ("[2001:db8::1]", "2001:db8::1"),
            ("[2001:db8::1]:80", "2001:db8::1"),
            ("::ffff:198.51.100.1", "198.51.100.1"),
            ("198.51.100.1, 2001:db8:ffff::5", "198.51.100.1"),
        ] {
            assert_eq!(
                client("::ffff:10.0.0.1", &[written]),
                Ok(Some(read.into())),
                "{written}"
            );
        }
    }

    #[test]
    fn networks_and_addresses_are_read() {
        let read = Proxies::read(["10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "::1"]).unwrap();
        assert!(read.trusts("10.1.2.3".parse().unwrap()));
        assert!(read.trusts("::ffff:192.0.2.1".parse().unwrap()));
        assert!(!read.trusts("192.0.2.2".parse().unwrap()));
        assert_eq!(
            Proxies::read(["::1", "10.0.0.0/33"]),
            Err("10.0.0.0/33".into())
        );
    }

    #[test]
    fn an_address_that_is_none_is_a_refusal_and_not_passed_over_t56() {
        for bad in [
            "unknown",
            "",
            "198.51.100.1, ",
            "198.51.100.1, unknown",
            "198.51.100.256",
            "0x7f.0.0.1",
            "[198.51.100.1]",
            "198.51.100.1, , 10.0.0.2",
            "_hidden",
        ] {
            assert_eq!(client("10.0.0.1", &[bad]), Err(BadForward), "{bad:?}");
        }
    }
}
