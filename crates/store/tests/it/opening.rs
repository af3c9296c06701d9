use portreeve_store::{OpenError, Store};

use crate::world::{Folder, options};

#[tokio::test]
async fn a_missing_folder_is_made_and_taken() {
    let mut folder = Folder::new();
    let outer = folder.0.clone();
    folder.0 = outer.join("deep").join("down");
    let store = Store::open(options(&folder)).await.unwrap();
    let second = Store::open(options(&folder)).await.err().unwrap();
    let text = second.to_string();
    assert!(matches!(second, OpenError::InUse { .. }));
    assert!(
        text.contains(&format!("process {}", std::process::id())),
        "{text}"
    );
    drop(store);
    Store::open(options(&folder)).await.unwrap();
    let _ = std::fs::remove_dir_all(outer);
}

#[tokio::test]
async fn somebody_elses_file_is_left_alone() {
    for content in [&b"this is a diary, not a database, and it is longer than one hundred bytes, as real diaries tend to be, dear diary"[..], b"x"] {
        let folder = Folder::new();
        std::fs::create_dir_all(folder.path()).unwrap();
        let file = folder.path().join("portreeve.db");
        std::fs::write(&file, content).unwrap();
        let error = Store::open(options(&folder)).await.err().unwrap();
        assert!(matches!(error, OpenError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains("portreeve.db is not a Portreeve database. Choose another"), "{error}");
        assert_eq!(std::fs::read(&file).unwrap(), content);
    }
}

#[tokio::test]
async fn another_programs_database_is_left_alone() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let file = folder.path().join("portreeve.db");
    let connection = rusqlite::Connection::open(&file).unwrap();
    connection
        .execute_batch("CREATE TABLE recipes (a)")
        .unwrap();
    drop(connection);
    assert!(matches!(
        Store::open(options(&folder)).await.err().unwrap(),
        OpenError::Foreign { .. }
    ));
    assert!(matches!(
        Store::open_read_only(options(&folder)).await.err().unwrap(),
        OpenError::Foreign { .. }
    ));
}

#[tokio::test]
async fn a_path_that_is_a_file_is_told() {
    let folder = Folder::new();
    std::fs::create_dir_all(folder.path()).unwrap();
    let mut inside = Folder::new();
    inside.0 = folder.path().join("file");
    std::fs::write(&inside.0, "x").unwrap();
    let error = Store::open(options(&inside)).await.err().unwrap();
    assert!(matches!(error, OpenError::Unusable { .. }), "{error}");
}

#[tokio::test]
async fn read_only_beside_a_server_and_alone() {
    let folder = Folder::new();
    let missing = Store::open_read_only(options(&folder)).await.err().unwrap();
    assert!(missing.to_string().contains("portreeve init"), "{missing}");
    let store = Store::open(options(&folder)).await.unwrap();
    store.system().set_setting("colour", "green").await.unwrap();
    let beside = Store::open_read_only(options(&folder)).await.unwrap();
    assert_eq!(
        beside.system().setting("colour").await.unwrap().as_deref(),
        Some("green")
    );
    let refused = beside
        .system()
        .set_setting("colour", "red")
        .await
        .unwrap_err();
    assert!(matches!(refused, portreeve_store::StoreError::ReadOnly));
    drop((store, beside));
    let alone = Store::open_read_only(options(&folder)).await.unwrap();
    assert_eq!(
        alone.system().setting("colour").await.unwrap().as_deref(),
        Some("green")
    );
}

#[tokio::test]
async fn what_was_written_is_there_after_reopening() {
    let folder = Folder::new();
    let store = Store::open(options(&folder)).await.unwrap();
    store.system().set_setting("colour", "green").await.unwrap();
    let before = store.system().digest(true).await.unwrap();
    drop(store);
    let store = Store::open(options(&folder)).await.unwrap();
    assert_eq!(store.system().digest(true).await.unwrap(), before);
    let header = std::fs::read(folder.path().join("portreeve.db")).unwrap();
    assert_eq!(&header[68..72], b"Port");
}

#[test]
fn the_library_is_built_without_the_shared_lock() {
    let connection = rusqlite::Connection::open_in_memory().unwrap();
    let mut statement = connection.prepare("PRAGMA compile_options").unwrap();
    let options: Vec<String> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(
        options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0"),
        "{options:?}"
    );
    assert!(
        options.iter().any(|option| option == "DQS=0"),
        "{options:?}"
    );
    assert!(
        !options.iter().any(|option| option == "ENABLE_ICU"),
        "lower() must fold ASCII only"
    );
}
