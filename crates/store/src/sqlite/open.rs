//! Opens the data folder: the lock, the file that must be ours, the connections and their settings.

use std::cell::RefCell;
use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};

use portreeve_model::{FieldType, Value};
use regex::Regex;
use rusqlite::config::DbConfig;
use rusqlite::functions::FunctionFlags;
use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use crate::{OpenError, Synchronous};

/// The database's name in its folder.
pub(crate) const FILE: &str = "portreeve.db";
pub(crate) const LOCK: &str = "portreeve.lock";

/// The mark of a folder whose database is being replaced; it names the folder in which the old one is.
pub(crate) const RESTORING: &str = "portreeve.restoring";

/// "Port", in the file's header: tells our databases from others.
const APPLICATION: i32 = 0x506F_7274;

const MAGIC: &[u8; 16] = b"SQLite format 3\0";

// The header's field that `PRAGMA application_id` sets.
const APPLICATION_AT: usize = 68;

/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 512;

/// Takes the lock beside a database file that is there already.
pub(crate) fn take_file(path: &Path) -> Result<File, OpenError> {
    check_database(path)?;
    let mut lock = path.as_os_str().to_owned();
    lock.push(".portreeve.lock");
    take_lock(Path::new(&lock), path)
}

/// Refuses what is no database file, without opening (and so changing) it.
pub(crate) fn check_database(path: &Path) -> Result<(), OpenError> {
    let shown = path.display().to_string();
    let header = match header(path) {
        Ok(header) => header,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(OpenError::NoDatabase { path: shown });
        }
        Err(source) => {
            return Err(OpenError::Unusable {
                path: shown,
                source,
            });
        }
    };
    // One that nothing was ever written to is empty.
    if header.is_empty() || header.starts_with(MAGIC) {
        Ok(())
    } else {
        Err(OpenError::NotADatabase { path: shown })
    }
}

fn header(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut header = vec![];
    File::open(path)?.take(100).read_to_end(&mut header)?;
    Ok(header)
}

/// Makes the folder where it is missing and takes its lock.
pub(crate) fn take_folder(folder: &Path) -> Result<(PathBuf, File), OpenError> {
    let unusable = |path: &Path| {
        let path = path.display().to_string();
        move |source| OpenError::Unusable { path, source }
    };
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    // Password hashes are in there: nobody else's business.
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder).map_err(unusable(folder))?;
    let lock = take_lock(&folder.join(LOCK), folder)?;
    Ok((folder.join(FILE), lock))
}

fn take_lock(lock_path: &Path, of: &Path) -> Result<File, OpenError> {
    let unusable = |source| OpenError::Unusable {
        path: lock_path.display().to_string(),
        source,
    };
    let mut lock = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(lock_path)
        .map_err(unusable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = lock.read_to_string(&mut pid);
            let pid = if pid.trim().is_empty() {
                "unknown".to_owned()
            } else {
                pid.trim().to_owned()
            };
            return Err(OpenError::InUse {
                path: of.display().to_string(),
                pid,
            });
        }
        Err(TryLockError::Error(source)) => return Err(unusable(source)),
    }
    let written = lock
        .set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| write!(lock, "{}", std::process::id()))
        .and_then(|()| lock.flush());
    written.map_err(unusable)?;
    Ok(lock)
}

/// Whether there is a database of ours, by the file's own header, without opening (and so changing) it.
pub(crate) fn is_ours(path: &Path) -> Result<bool, OpenError> {
    let unusable = |source| OpenError::Unusable {
        path: path.display().to_string(),
        source,
    };
    let header = match header(path) {
        Ok(header) => header,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unusable(error)),
    };
    if header.is_empty() {
        return Ok(false);
    }
    if is_our_header(&header) {
        return Ok(true);
    }
    Err(OpenError::Foreign {
        path: path.display().to_string(),
    })
}

/// Whether these are the first bytes of a database of ours.
pub(crate) fn is_our_header(header: &[u8]) -> bool {
    let application = header.get(APPLICATION_AT..APPLICATION_AT + 4);
    header.starts_with(MAGIC) && application == Some(&APPLICATION.to_be_bytes()[..])
}

/// Refuses a folder in which the database was being replaced and has not been.
pub(crate) fn check_restored(folder: &Path) -> Result<(), OpenError> {
    match std::fs::read_to_string(folder.join(RESTORING)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        aside => Err(OpenError::HalfRestored {
            path: folder.display().to_string(),
            aside: aside.unwrap_or_default(),
        }),
    }
}

/// The one connection that writes.
pub(crate) fn write_connection(
    path: &Path,
    synchronous: Synchronous,
    new: bool,
) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    if new {
        // Before the first table and before the log, so that no crash leaves a file that we do not know for ours.
        connection.pragma_update(None, "application_id", APPLICATION)?;
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    let synchronous = match synchronous {
        Synchronous::Full => "FULL",
        Synchronous::Normal => "NORMAL",
    };
    connection.pragma_update(None, "synchronous", synchronous)?;
    settings(&connection)?;
    // A log that once grew large is cut back after it has been written into the database.
    connection.execute_batch("PRAGMA journal_size_limit = 67108864")?;
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("portreeve_convert", 3, flags, |call| {
        let (value, from, to) = (
            call.get_raw(0),
            call.get::<String>(1)?,
            call.get::<String>(2)?,
        );
        Ok(convert(value, &from, &to))
    })?;
    Ok(connection)
}

/// Lets the library look over tables that have grown, so that it knows which of two indexes finds fewer records. It
/// looks at so many entries of an index at most, whatever the size of the table.
pub(crate) fn look_over(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("PRAGMA analysis_limit = 400; PRAGMA optimize = 0x10002")
}

/// A connection that only reads.
pub(crate) fn read_connection(path: &Path) -> rusqlite::Result<Connection> {
    // Not read-only for the operating system: the log's index has to be written even by readers.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    settings(&connection)?;
    connection.pragma_update(None, "query_only", true)?;
    Ok(connection)
}

pub(crate) fn settings(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(10))?;
    connection.pragma_update(None, "foreign_keys", true)?;
    connection.pragma_update(None, "cache_size", -16_000)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.execute_batch("PRAGMA mmap_size = 268435456")?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // Plans must not depend on bound values: otherwise statements are compiled anew when other values are bound.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    super::sums::register(connection)?;
    let known: RefCell<HashMap<String, Regex>> = RefCell::default();
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    connection.create_scalar_function("portreeve_matches", 2, flags, move |call| {
        let (ValueRef::Text(pattern), ValueRef::Text(text)) = (call.get_raw(0), call.get_raw(1))
        else {
            return Ok(None);
        };
        let failed = |error: Box<dyn std::error::Error + Send + Sync>| {
            rusqlite::Error::UserFunctionError(error)
        };
        let pattern = std::str::from_utf8(pattern).map_err(|error| failed(error.into()))?;
        let text = std::str::from_utf8(text).map_err(|error| failed(error.into()))?;
        let mut known = known.borrow_mut();
        if let Some(regex) = known.get(pattern) {
            return Ok(Some(regex.is_match(text)));
        }
        let regex = Regex::new(pattern).map_err(|error| failed(error.into()))?;
        let matched = regex.is_match(text);
        // Patterns come from policies, so there are few; a policy that is changed often must not pile them up.
        if known.len() >= 256 {
            known.clear();
        }
        known.insert(pattern.to_owned(), regex);
        Ok(Some(matched))
    })
}

// A stored value as one of another type; null where it does not fit.
fn convert(value: ValueRef<'_>, from: &str, to: &str) -> Option<rusqlite::types::Value> {
    use rusqlite::types::Value as Out;
    let (from, to) = (FieldType::parse(from)?, FieldType::parse(to)?);
    let value = super::values::value(value, from).ok()?;
    Some(match crate::sql::convert::convert(&value, from, to)? {
        Value::Null => return None,
        Value::Boolean(bool) => Out::Integer(i64::from(bool)),
        Value::Integer(number) => Out::Integer(number),
        Value::Float(float) => Out::Real(float),
        Value::Text(text) => Out::Text(text),
    })
}

/// Says so where the library was built without the switch that lets readers run beside each other.
pub(crate) fn check_build(connection: &Connection) -> rusqlite::Result<()> {
    let mut statement = connection.prepare("PRAGMA compile_options")?;
    let options: Vec<String> = statement
        .query_map([], |row| row.get(0))?
        .collect::<rusqlite::Result<_>>()?;
    if !options.iter().any(|option| option == "DEFAULT_MEMSTATUS=0") {
        tracing::warn!(
            "SQLite was built with memory statistics, which all readers wait for: build inside the workspace, or with \
             LIBSQLITE3_FLAGS=-DSQLITE_DEFAULT_MEMSTATUS=0"
        );
    }
    Ok(())
}
