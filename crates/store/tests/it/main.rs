//! The store from outside: through the gate, as the service uses it. Everything that is not about a folder is asked of
//! both databases.

#![expect(
    clippy::duplicate_mod,
    reason = "the same tests, once for each database"
)]

mod backup;
#[macro_use]
mod existing;
mod existing_feed;
mod facts;
mod following;
mod opening;
mod server;
mod told;
mod world;

macro_rules! on {
    ($store:ident, $on:ident, $name:literal) => {
        // Its files are those of this folder.
        #[path = "."]
        mod $store {
            use crate::world::{On, World};

            mod account_changes;
            mod accounts;
            mod bookkeeping;
            mod catalog;
            mod changes;
            mod feed;
            mod overflow;
            mod reads;
            mod sealing;
            mod sessions;
            mod shares;
            mod writes;

            const ON: On = On::$on;

            async fn world(document: &str) -> World {
                let world = World::new(ON, document).await;
                // A test without a world of its own would count for nothing.
                portreeve_testkit::stats::count("conformance", $name, 1);
                world
            }
        }
    };
}

on!(sqlite, Sqlite, "SQLite");
on!(postgres, Postgres, "PostgreSQL");
