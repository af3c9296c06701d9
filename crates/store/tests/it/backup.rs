//! Backups, where one has to look into the file.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use portreeve_store::{
    Backup, BackupError, BackupOptions, OpenError, Progress, RestoreOptions, Restored, Stage,
    Store, Watch,
};
use rusqlite::Connection;

use crate::world::{Folder, NOW, On, World, options};

const NOTES: &str = r#"
collections:
  notes: { key: { id: integer }, fields: { text: text } }
roles:
  writer: { permissions: [ { allow: [data.create, data.read], on: notes } ] }
"#;

async fn world() -> World {
    let world = World::new(On::Sqlite, NOTES).await;
    let anna = world.user("anna", &["writer"]).await;
    for text in ["one", "two"] {
        world
            .put(&anna, "notes", serde_json::json!({ "text": text }))
            .await;
    }
    let session = crate::world::new_session([7; 32], "anna", "hash", NOW, NOW + 1);
    crate::world::begin(&world.store, session).await.unwrap();
    world
}

fn watched<T>(
    run: impl FnOnce(&mut Watch<'_>) -> T,
    mut tell: impl FnMut(Progress) -> ControlFlow<()>,
) -> T {
    let stop = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&stop);
    run(&mut Watch {
        stop,
        tell: &mut |progress| {
            if tell(progress).is_break() {
                told.store(true, Ordering::Relaxed);
            }
        },
    })
}

fn quietly<T>(run: impl FnOnce(&mut Watch<'_>) -> T) -> T {
    watched(run, |_| ControlFlow::Continue(()))
}

fn back_up(folder: &Folder, file: &Path) -> Result<Backup, BackupError> {
    let all = options(folder);
    let options = BackupOptions {
        file,
        replace: true,
        program: "1.2.3",
        clock: &*all.clock,
    };
    quietly(|watch| Store::backup(&all.location, &options, watch))
}

fn check(file: &Path) -> Result<Backup, BackupError> {
    quietly(|watch| Store::check_backup(file, watch))
}

fn restore(file: &Path, to: &Folder) -> Result<Restored, BackupError> {
    let all = options(to);
    let options = RestoreOptions {
        file,
        location: &all.location,
        replace: false,
        clock: all.clock,
        entropy: all.entropy,
    };
    quietly(|watch| Store::restore(&options, watch))
}

// A place for backups.
fn place() -> (Folder, PathBuf) {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("b.db");
    (folder, file)
}

fn change(file: &Path, sql: &str) {
    let connection = Connection::open(file).unwrap();
    connection.execute_batch(sql).unwrap();
}

#[tokio::test]
async fn what_is_put_back_is_the_same_but_for_sessions_and_what_was_counted() {
    let world = world().await;
    let (_place, file) = place();
    let made = back_up(world.home.folder(), &file).unwrap();
    assert_eq!(check(&file).unwrap(), made);
    assert_eq!((made.taken, &*made.program), (NOW, "1.2.3"));
    let to = Folder::new();
    let restored = restore(&file, &to).unwrap();
    assert_eq!((restored.sessions_ended, restored.aside), (1, None));
    let again = Store::open(options(&to)).await.unwrap();
    let (system, before) = (again.system(), world.store.system());
    assert_eq!(system.session(&[7; 32]).await.unwrap(), None);
    assert_eq!(
        system.credential("anna").await.unwrap(),
        before.credential("anna").await.unwrap()
    );
    let (old, new) = (
        before.load_policy().await.unwrap(),
        system.load_policy().await.unwrap(),
    );
    assert_eq!(old.document, new.document);
    // Whoever remembers a version or an epoch from after the backup finds it used for nothing else.
    assert_eq!(new.version, old.version + 1_000);
    let epoch = |account: portreeve_store::Account| account.facts.epoch;
    let old = before.credential_facts("anna").await.unwrap().map(epoch);
    let new = system.credential_facts("anna").await.unwrap().map(epoch);
    assert_eq!(new, old.map(|old| old + 1_000));
    drop(again);
    // Undone by hand, every row is what it was.
    change(
        &to.path().join("portreeve.db"),
        "PRAGMA foreign_keys = OFF; UPDATE portreeve_policy SET version = version - 1000;
         DELETE FROM portreeve_audit WHERE action = 'store.restore';
         DELETE FROM portreeve_audit_unsealed WHERE line NOT IN (SELECT id FROM portreeve_audit);
         UPDATE sqlite_sequence SET seq = seq - 1 WHERE name = 'portreeve_audit';
         DELETE FROM portreeve_epochs;",
    );
    world.store.system().end_session([7; 32]).await.unwrap();
    let again = Store::open(options(&to)).await.unwrap();
    assert_eq!(
        again.system().digest(true).await.unwrap(),
        world.store.system().digest(true).await.unwrap()
    );
}

#[tokio::test]
async fn a_backup_that_was_changed_is_told_from_one_that_was_not() {
    let world = world().await;
    let (_place, file) = place();
    let fails = |sql: &str| {
        back_up(world.home.folder(), &file).unwrap();
        change(&file, sql);
        let error = check(&file).unwrap_err();
        let to = Folder::new();
        let refused = restore(&file, &to).unwrap_err();
        assert_eq!(refused.to_string(), error.to_string());
        assert!(!to.path().exists());
        error
    };
    for sql in [
        "UPDATE notes SET text = 'three' WHERE id = 2",
        "DELETE FROM notes WHERE id = 2",
        "INSERT INTO portreeve_audit (at, action, target) VALUES (1, 'x', 'y')",
        "UPDATE portreeve_backup SET taken = taken + 1",
        "UPDATE portreeve_backup SET tables = '[]'",
        "UPDATE portreeve_backup SET tables = 'nonsense'",
        "DELETE FROM portreeve_backup",
        "CREATE TABLE more (a)",
        "DROP INDEX portreeve_users_email",
        "PRAGMA foreign_keys = OFF; DELETE FROM portreeve_users",
        "CREATE TRIGGER t AFTER DELETE ON portreeve_sessions BEGIN DELETE FROM portreeve_audit; END",
    ] {
        let error = fails(sql);
        assert!(
            matches!(error, BackupError::Damaged { .. }),
            "{sql}: {error}"
        );
    }
    let error = fails("UPDATE portreeve_backup SET format = 2, program = '9.9.9'");
    assert!(
        error.to_string().contains("newer version, 9.9.9"),
        "{error}"
    );
    let error = fails("PRAGMA application_id = 7");
    assert!(matches!(error, BackupError::Foreign(_)), "{error}");
    let error = fails("DROP TABLE portreeve_backup");
    assert!(matches!(error, BackupError::Unsealed(_)), "{error}");
    let error = fails("PRAGMA journal_mode = WAL");
    assert!(matches!(error, BackupError::Unsealed(_)), "{error}");
}

#[tokio::test]
async fn what_a_newer_version_has_written_is_not_copied_and_not_put_back() {
    let world = world().await;
    let (_place, file) = place();
    let database = world.home.folder().path().join("portreeve.db");
    change(
        &database,
        "INSERT INTO portreeve_migrations VALUES (99, 'of_tomorrow', 'x', 1)",
    );
    let error = back_up(world.home.folder(), &file).unwrap_err();
    assert!(
        matches!(error, BackupError::Open(OpenError::Newer { found: 99, .. })),
        "{error}"
    );
    assert!(!file.exists());
}

#[tokio::test]
async fn a_trigger_on_our_tables_is_not_put_back() {
    let world = world().await;
    let (_place, file) = place();
    change(
        &world.home.folder().path().join("portreeve.db"),
        "CREATE TRIGGER again AFTER DELETE ON portreeve_sessions BEGIN INSERT INTO portreeve_settings VALUES ('a', 'b'); END",
    );
    let error = back_up(world.home.folder(), &file).unwrap_err();
    assert!(
        matches!(error, BackupError::SourceDamaged { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("'again'"), "{error}");
    assert!(!file.exists());
}

#[tokio::test]
async fn told_to_stop_it_leaves_nothing() {
    let world = world().await;
    let (place, file) = place();
    let all = options(world.home.folder());
    let options = BackupOptions {
        file: &file,
        replace: false,
        program: "1",
        clock: &*all.clock,
    };
    for at in [Stage::Copying, Stage::Reading, Stage::Checking] {
        let stopped = watched(
            |watch| Store::backup(&all.location, &options, watch),
            |progress| {
                if progress.stage == at {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        );
        assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
        assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0);
    }
    back_up(world.home.folder(), &file).unwrap();
    let to = Folder::new();
    let all = crate::world::options(&to);
    let options = RestoreOptions {
        file: &file,
        location: &all.location,
        replace: false,
        clock: all.clock,
        entropy: all.entropy,
    };
    for at in [Stage::Checking, Stage::Copying] {
        let stopped = watched(
            |watch| Store::restore(&options, watch),
            |progress| {
                if progress.stage == at {
                    ControlFlow::Break(())
                } else {
                    ControlFlow::Continue(())
                }
            },
        );
        assert!(matches!(stopped, Err(BackupError::Stopped)), "{stopped:?}");
        assert!(!to.path().exists());
    }
}

#[tokio::test]
async fn writers_go_on_while_it_is_made_and_are_not_in_it() {
    let world = world().await;
    let anna = world.admit("anna").await;
    let (_place, file) = place();
    let all = options(world.home.folder());
    let options = BackupOptions {
        file: &file,
        replace: false,
        program: "1",
        clock: &*all.clock,
    };
    let (writing, wanted) = std::sync::mpsc::channel::<()>();
    let (written, done) = std::sync::mpsc::channel::<()>();
    let location = all.location.clone();
    std::thread::scope(|scope| {
        let backing = scope.spawn(move || {
            let mut first = true;
            watched(
                |watch| Store::backup(&location, &options, watch),
                |_| {
                    // In the middle of it a write is asked for, and waited for.
                    if std::mem::take(&mut first) {
                        writing.send(()).unwrap();
                        done.recv().unwrap();
                    }
                    ControlFlow::Continue(())
                },
            )
        });
        wanted.recv().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .build()
            .unwrap();
        let write = world.put(&anna, "notes", serde_json::json!({ "text": "three" }));
        scope.spawn(move || runtime.block_on(write)).join().unwrap();
        written.send(()).unwrap();
        let made = backing.join().unwrap().unwrap();
        let notes = made.tables.iter().find(|table| table.name == "notes");
        assert_eq!(notes.unwrap().rows, 2);
    });
}
