//! Why there is no connection, for whoever has to change something about it. Only before anything is served: a caller
//! learns no more than that the database cannot be reached.

use std::error::Error;

use tokio_postgres::error::SqlState;

/// What is wrong and what to do, without anything of what was given.
pub(crate) fn why(error: &tokio_postgres::Error) -> &'static str {
    match error.as_db_error() {
        Some(told) => match *told.code() {
            SqlState::INVALID_PASSWORD => {
                "the user or the password is wrong. Check both in the URL; what is special in a password is escaped, '@' as %40"
            }
            // The server's words are in its own language, but these stand for its settings.
            SqlState::INVALID_AUTHORIZATION_SPECIFICATION => {
                "the server does not let this account in from here. Look at its pg_hba.conf; where it wants encryption, add sslmode=verify-full to the URL"
            }
            SqlState::INVALID_CATALOG_NAME => {
                "there is no such database on the server. Make it, for example with createdb, in UTF-8"
            }
            SqlState::TOO_MANY_CONNECTIONS => {
                "the server has no connection left. Raise its max_connections, or end others"
            }
            SqlState::CANNOT_CONNECT_NOW => "the server is starting or stopping. Try again",
            _ => "the server refuses the connection. Look at its log",
        },
        None if names(error, "certificate") => {
            "the server's certificate is not one to trust. Name the file of the authority that it is by with sslrootcert, and the server as in the certificate"
        }
        None if names(error, "TLS") => {
            "the server takes no encrypted connections. Switch them on there (ssl = on), or say sslmode=disable where nobody is in between"
        }
        None => "no server answers there. Check host and port in the URL, and that the server runs",
    }
}

// The driver and what it uses for encryption tell their errors apart by their texts alone.
fn names(error: &tokio_postgres::Error, word: &str) -> bool {
    let mut next: Option<&dyn Error> = Some(error);
    while let Some(error) = next {
        if error.to_string().contains(word) {
            return true;
        }
        next = error.source();
    }
    false
}
