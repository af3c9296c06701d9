//! Development mode answers this machine only. A web page from elsewhere can make a browser post to loopback, and a
//! name that somebody points at 127.0.0.1 makes the browser believe it is the same site: both are told apart by the
//! `Host` and `Origin` a browser cannot be talked out of sending.

use std::net::{Ipv4Addr, Ipv6Addr};

use axum::http::{HeaderMap, Uri, header};

/// A request in development mode that a page of another site caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForeignSite {
    /// It was sent to a name that is not loopback.
    Host,
    /// A page that is not loopback sent it.
    Origin,
}

/// Refuses what did not come from this machine's own pages and programs.
pub fn check_loopback(uri: &Uri, headers: &HeaderMap) -> Result<(), ForeignSite> {
    let target = uri.authority().map(|authority| authority.as_str());
    if target.is_some_and(|target| !is_loopback(target)) {
        return Err(ForeignSite::Host);
    }
    for host in headers.get_all(header::HOST) {
        if !host.to_str().is_ok_and(is_loopback) {
            return Err(ForeignSite::Host);
        }
    }
    for origin in headers.get_all(header::ORIGIN) {
        let host = origin.to_str().ok().and_then(|origin| {
            origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"))
        });
        if !host.is_some_and(is_loopback) {
            return Err(ForeignSite::Origin);
        }
    }
    Ok(())
}

// `localhost`, `127.0.0.1:7600`, `[::1]:7600`.
fn is_loopback(authority: &str) -> bool {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => match rest.split_once(']') {
            Some((host, "")) => (host, None),
            Some((host, rest)) => (host, Some(rest.strip_prefix(':').unwrap_or("bad"))),
            None => return false,
        },
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return false;
    }
    if authority.starts_with('[') {
        return host.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback());
    }
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_names_and_nothing_that_looks_like_one() {
        for good in [
            "localhost",
            "LOCALHOST:80",
            "127.0.0.1",
            "127.9.9.9:7600",
            "[::1]",
            "[::1]:7600",
        ] {
            assert!(is_loopback(good), "{good}");
        }
        for bad in [
            "",
            "example.org",
            "localhost.example.org",
            "127.0.0.1.nip.io",
            "127.0.0.1:port",
            "127.1",
            "0.0.0.0",
            "2130706433",
            "0x7f.0.0.1",
            "[::]",
            "[::1",
            "[::1]x",
            "::1",
            "localhost:80:80",
            "user@localhost",
            "localhost.",
        ] {
            assert!(!is_loopback(bad), "{bad}");
        }
    }

    #[test]
    fn host_and_origin_are_both_looked_at() {
        let check = |uri: &str, pairs: &[(&'static str, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(*name, value.parse().unwrap());
            }
            check_loopback(&uri.parse().unwrap(), &headers)
        };
        assert_eq!(check("/v1/me", &[]), Ok(()));
        assert_eq!(check("/", &[("host", "localhost:7600")]), Ok(()));
        assert_eq!(check("/", &[("host", "evil.test")]), Err(ForeignSite::Host));
        assert_eq!(
            check("/", &[("host", "localhost"), ("host", "evil.test")]),
            Err(ForeignSite::Host)
        );
        assert_eq!(
            check("http://evil.test/", &[("host", "localhost")]),
            Err(ForeignSite::Host)
        );
        let origin = |origin| check("/", &[("host", "localhost"), ("origin", origin)]);
        assert_eq!(origin("http://localhost:5173"), Ok(()));
        assert_eq!(origin("https://[::1]"), Ok(()));
        for bad in [
            "null",
            "https://evil.test",
            "file://",
            "http://localhost@evil.test",
        ] {
            assert_eq!(origin(bad), Err(ForeignSite::Origin), "{bad}");
        }
    }
}
