//! The product's own tables are made and changed by numbered files, each run once, in one transaction, and never
//! changed afterwards. The two databases have the same numbers and names.

use sha2::{Digest, Sha256};

use crate::OpenError;

/// One of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Migration {
    pub number: i64,
    pub name: &'static str,
    pub sql: &'static str,
}

impl Migration {
    /// Tells whether it is the one that has run.
    pub fn checksum(&self) -> String {
        Sha256::digest(self.sql.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

macro_rules! migrations {
    ($folder:literal, $(($number:literal, $name:literal, $file:literal)),+ $(,)?) => {
        &[$(Migration {
            number: $number,
            name: $name,
            sql: include_str!(concat!("../migrations/", $folder, "/", $file, ".sql")),
        }),+]
    };
}

/// Those for SQLite, in order.
pub(crate) const SQLITE: &[Migration] = migrations!(
    "sqlite",
    (
        1,
        "accounts_policy_sessions_audit",
        "0001_accounts_policy_sessions_audit"
    ),
    (2, "change_feed", "0002_change_feed"),
    (3, "audit", "0003_audit"),
    (4, "sessions", "0004_sessions"),
    (5, "mail", "0005_mail"),
    (7, "shares", "0007_shares"),
    (10, "audit_chain", "0010_audit_chain"),
);

/// Those for PostgreSQL, in order.
pub(crate) const POSTGRES: &[Migration] = migrations!(
    "postgres",
    (
        1,
        "accounts_policy_sessions_audit",
        "0001_accounts_policy_sessions_audit"
    ),
    (2, "change_feed", "0002_change_feed"),
    (3, "audit", "0003_audit"),
    (4, "sessions", "0004_sessions"),
    (5, "mail", "0005_mail"),
    (7, "shares", "0007_shares"),
    (10, "audit_chain", "0010_audit_chain"),
);

/// What has still to run after these, which have run with these checksums; refuses a database that a newer or another
/// program has written.
pub(crate) fn missing<'m>(
    migrations: &'m [Migration],
    run: &[(i64, String)],
    place: &str,
) -> Result<Vec<&'m Migration>, OpenError> {
    for (number, checksum) in run {
        match migrations.iter().find(|one| one.number == *number) {
            None => {
                return Err(OpenError::Newer {
                    path: place.to_owned(),
                    found: *number,
                    known: migrations.last().map_or(0, |last| last.number),
                });
            }
            Some(known) if known.checksum() != *checksum => {
                return Err(OpenError::Changed {
                    path: place.to_owned(),
                    number: *number,
                });
            }
            Some(_) => {}
        }
    }
    Ok(migrations
        .iter()
        .filter(|one| !run.iter().any(|(number, _)| *number == one.number))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_come_in_pairs_and_in_order() {
        let names = |list: &[Migration]| -> Vec<(i64, &str)> {
            list.iter().map(|one| (one.number, one.name)).collect()
        };
        assert_eq!(names(SQLITE), names(POSTGRES));
        // Each has a number of its own, and whoever adds the next one takes a higher one.
        assert!(SQLITE.is_sorted_by(|one, next| one.number < next.number));
    }
}
