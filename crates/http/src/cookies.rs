//! Cookies that hold a session: read strictly, and written so that no script and no other site gets at them.

use axum::http::{HeaderMap, HeaderValue, header};

/// The `Cookie` header is not one, or names the same cookie twice. Holds nothing of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedCookie;

impl std::fmt::Display for MalformedCookie {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(
            "the Cookie header cannot be understood; delete this site's cookies and sign in again",
        )
    }
}

impl std::error::Error for MalformedCookie {}

/// With which requests of other sites' pages a browser sends a cookie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// With none.
    Strict,
    /// With links that are followed.
    Lax,
}

/// A cookie of a face. Never for scripts, never for more than this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionCookie {
    /// Its name.
    pub name: String,
    /// Whether it is sent over TLS only; everything but development on this machine.
    pub secure: bool,
    /// With which requests of other sites' pages it is sent.
    pub same_site: SameSite,
}

impl SessionCookie {
    /// A cookie that browsers let nobody set but this host, over TLS; by the plain name where there is none.
    pub fn of_host(name: &str, secure: bool) -> Self {
        let prefix = if secure { "__Host-" } else { "" };
        Self {
            name: format!("{prefix}{name}"),
            secure,
            same_site: SameSite::Lax,
        }
    }

    /// The header that sets it for so many seconds. None for a value that cannot stand in a cookie.
    pub fn set(&self, value: &str, seconds: i64) -> Option<HeaderValue> {
        is_value(value)
            .then(|| self.header(value, seconds))
            .flatten()
    }

    /// The header that takes it away.
    pub fn clear(&self) -> Option<HeaderValue> {
        self.header("", 0)
    }

    fn header(&self, value: &str, seconds: i64) -> Option<HeaderValue> {
        let secure = if self.secure { "; Secure" } else { "" };
        let same_site = match self.same_site {
            SameSite::Strict => "Strict",
            SameSite::Lax => "Lax",
        };
        let text = format!(
            "{}={value}; Path=/; Max-Age={}; HttpOnly; SameSite={same_site}{secure}",
            self.name,
            seconds.max(0)
        );
        HeaderValue::from_str(&text).ok()
    }

    /// Its value in a request. The same name twice is an error: one of the two was set by somebody else.
    pub fn read<'h>(&self, headers: &'h HeaderMap) -> Result<Option<&'h str>, MalformedCookie> {
        let mut found = None;
        for line in headers.get_all(header::COOKIE) {
            let line = line.to_str().map_err(|_| MalformedCookie)?;
            for pair in line.split(';') {
                let Some((name, value)) = pair.trim().split_once('=') else {
                    continue;
                };
                if name == self.name && found.replace(value).is_some() {
                    return Err(MalformedCookie);
                }
            }
        }
        match found {
            Some(value) if !is_value(value) => Err(MalformedCookie),
            other => Ok(other),
        }
    }
}

// RFC 6265: no control characters, spaces, quotes, commas, semicolons and backslashes.
fn is_value(value: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b',' | b';' | b'\\');
    !value.is_empty() && value.len() <= 4_096 && value.bytes().all(good)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(lines: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(header::COOKIE, HeaderValue::from_static(line));
        }
        headers
    }

    #[test]
    fn it_is_for_this_host_over_tls_and_not_for_scripts_t59() {
        let cookie = SessionCookie::of_host("portreeve", true);
        assert_eq!(
            cookie.set("abc", 60).unwrap(),
            "__Host-portreeve=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure"
        );
        assert_eq!(
            cookie.clear().unwrap(),
            "__Host-portreeve=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure"
        );
        let here = SessionCookie::of_host("portreeve", false);
        assert_eq!(
            here.set("abc", 60).unwrap(),
            "portreeve=abc; Path=/; Max-Age=60; HttpOnly; SameSite=Lax"
        );
        for bad in ["", "a;b", "a b", "a\nb", "\"a\"", "é"] {
            assert!(cookie.set(bad, 60).is_none(), "{bad}");
        }
    }

    #[test]
    fn one_of_its_name_is_read_and_two_are_refused() {
        let cookie = SessionCookie::of_host("portreeve", true);
        let read = |lines: &[&'static str]| cookie.read(&with(lines)).map(|v| v.map(str::to_owned));
        assert_eq!(read(&[]), Ok(None));
        assert_eq!(read(&["other=1; portreeve=2"]), Ok(None));
        assert_eq!(
            read(&["a=1;__Host-portreeve=x.y-z ; b=2"]),
            Ok(Some("x.y-z".into()))
        );
        assert_eq!(read(&["__host-portreeve=x"]), Ok(None));
        assert_eq!(
            read(&["__Host-portreeve=x; __Host-portreeve=x"]),
            Err(MalformedCookie)
        );
        assert_eq!(
            read(&["__Host-portreeve=x", "__Host-portreeve=y"]),
            Err(MalformedCookie)
        );
        assert_eq!(read(&["__Host-portreeve="]), Err(MalformedCookie));
    }
}
