//! Requests that a page of another site made a browser send. A cookie goes along with them, so what is asked with a cookie
//! and changes something must come from a page of this very site.

use axum::http::{HeaderMap, Method, header};

/// A request with a cookie that did not come from a page of this site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrossSite;

/// Refuses a request that changes something unless its browser says that a page of this site sent it: by `Sec-Fetch-Site`,
/// which no page can write, or where a browser is too old for that, by an `Origin` that is the `Host`.
pub fn check_same_origin(method: &Method, headers: &HeaderMap) -> Result<(), CrossSite> {
    if matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS) {
        return Ok(());
    }
    check_site(headers)
}

/// The same whatever the method.
pub fn check_site(headers: &HeaderMap) -> Result<(), CrossSite> {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    if let Some(site) = sites.next() {
        // `none` is what the user did himself.
        let here = site == "same-origin" || site == "none";
        return if here && sites.next().is_none() {
            Ok(())
        } else {
            Err(CrossSite)
        };
    }
    let one = |name: header::HeaderName| {
        let mut values = headers.get_all(name).iter();
        let value = values.next()?.to_str().ok()?;
        values.next().is_none().then_some(value)
    };
    let (origin, host) = (one(header::ORIGIN), one(header::HOST));
    let same = origin.zip(host).is_some_and(|(origin, host)| {
        let plain = origin.strip_prefix("http://").map(|name| (name, ":80"));
        let tls = origin.strip_prefix("https://").map(|name| (name, ":443"));
        plain.or(tls).is_some_and(|(name, port)| {
            let bare = |name: &str| {
                let name = name.to_ascii_lowercase();
                name.strip_suffix(port).map_or(name.clone(), str::to_owned)
            };
            !name.is_empty() && bare(name) == bare(host)
        })
    });
    if same { Ok(()) } else { Err(CrossSite) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(method: Method, pairs: &[(&'static str, &'static str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().unwrap());
        }
        check_same_origin(&method, &headers).is_ok()
    }

    #[test]
    fn what_changes_something_comes_from_this_site_t59() {
        let post = |pairs: &[(&'static str, &'static str)]| check(Method::POST, pairs);
        let host = ("host", "app.example");
        assert!(post(&[host, ("sec-fetch-site", "same-origin")]));
        assert!(post(&[host, ("origin", "https://app.example")]));
        assert!(post(&[host, ("origin", "https://APP.example:443")]));
        assert!(post(&[
            ("host", "app.example:8080"),
            ("origin", "http://app.example:8080")
        ]));
        for bad in [
            &[host][..],
            &[host, ("origin", "null")],
            &[host, ("origin", "https://evil.example")],
            &[host, ("origin", "https://app.example.evil.example")],
            &[host, ("origin", "https://app.example:444")],
            &[host, ("origin", "https://")],
            &[host, ("sec-fetch-site", "cross-site")],
            // A sibling is another site's business.
            &[host, ("sec-fetch-site", "same-site")],
            // What the browser says of itself counts for more.
            &[
                host,
                ("sec-fetch-site", "cross-site"),
                ("origin", "https://app.example"),
            ],
            &[
                host,
                ("origin", "https://app.example"),
                ("origin", "https://evil.example"),
            ],
            &[("origin", "https://app.example")],
            &[
                host,
                ("sec-fetch-site", "same-origin"),
                ("sec-fetch-site", "cross-site"),
            ],
        ] {
            assert!(!post(bad), "{bad:?}");
        }
        assert!(check(
            Method::GET,
            &[host, ("sec-fetch-site", "cross-site")]
        ));
        assert!(!check(Method::DELETE, &[host]));
    }
}
