//! The two things done to a database's address.

/// The address of another database of the same server.
pub fn with_database(url: &str, name: &str) -> String {
    let (address, settings) = match url.split_once('?') {
        Some((address, settings)) => (address, format!("?{settings}")),
        None => (url, String::new()),
    };
    let server = address.find("://").map_or(0, |at| at + 3);
    let end = address[server..]
        .find('/')
        .map_or(address.len(), |at| server + at);
    format!("{}/{name}{settings}", &address[..end])
}

/// The address as it may stand on a command line, which everybody on the machine can read, and the password apart.
pub fn without_password(url: &str) -> (String, Option<String>) {
    let server = url.find("://").map_or(0, |at| at + 3);
    let end = url[server..]
        .find(['/', '?'])
        .map_or(url.len(), |at| server + at);
    let authority = &url[server..end];
    let Some((account, host)) = authority.rsplit_once('@') else {
        return (url.to_owned(), None);
    };
    let Some((user, password)) = account.split_once(':') else {
        return (url.to_owned(), None);
    };
    let shown = format!("{}{user}@{host}{}", &url[..server], &url[end..]);
    (shown, Some(decoded(password)))
}

fn decoded(text: &str) -> String {
    let mut bytes = vec![];
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let pair = (byte == b'%').then(|| {
            let mut ahead = rest.clone();
            let digits = [ahead.next()?, ahead.next()?];
            u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()
        });
        if let Some(Some(value)) = pair {
            bytes.push(value);
            rest.nth(1);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_database_keeps_the_account_and_the_settings() {
        for (url, other) in [
            ("postgres://a:b@h:1/postgres", "postgres://a:b@h:1/x"),
            ("postgres://a:b@h:1", "postgres://a:b@h:1/x"),
            (
                "postgresql://h/p?sslmode=require&a=/b",
                "postgresql://h/x?sslmode=require&a=/b",
            ),
            (
                "postgres://h?sslmode=disable",
                "postgres://h/x?sslmode=disable",
            ),
        ] {
            assert_eq!(with_database(url, "x"), other);
        }
    }

    #[test]
    fn a_password_is_taken_out_and_decoded() {
        for (url, shown, password) in [
            (
                "postgres://a:b%40c%2@h:1/p?x=y",
                "postgres://a@h:1/p?x=y",
                Some("b@c%2"),
            ),
            ("postgres://a@h/p", "postgres://a@h/p", None),
            ("postgres://h/p?q=a:b@c", "postgres://h/p?q=a:b@c", None),
        ] {
            assert_eq!(
                without_password(url),
                (shown.to_owned(), password.map(str::to_owned))
            );
        }
    }
}
