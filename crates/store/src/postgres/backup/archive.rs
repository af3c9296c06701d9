//! The file: a few letters that say what it is, the rows of one table after the other as the server writes and reads
//! them, a manifest that says what belongs to what, its digest, and where it begins.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::{Counted, full};
use crate::backup::{Backup, BackupError, BackupTable, Stage, Watch};

/// How it begins. The number is the format's.
pub(super) const MAGIC: &[u8] = b"portreeve postgres backup 1\n";

/// Behind the manifest: its digest, and where it begins.
const END: u64 = 32 + 8;

/// Larger ones nobody has made.
const LARGEST_MANIFEST: u64 = 64 << 20;

/// So many bytes are read at once.
const CHUNK: usize = 1 << 16;

/// What is in it.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Manifest {
    /// As of when.
    pub taken: i64,
    /// By which version of the program.
    pub program: String,
    /// The version of the policy in it.
    pub policy_version: u64,
    /// The migrations that had run: number and checksum.
    pub migrations: Vec<(i64, String)>,
    /// The tables, in the order in which they stand in the file.
    pub tables: Vec<Table>,
}

/// A table in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Table {
    pub schema: String,
    pub name: String,
    /// Its columns, in the order in which a row has them.
    pub columns: Vec<String>,
    /// The columns by which rows are ordered.
    pub key: Vec<String>,
    /// Columns that count up.
    pub counters: Vec<Counter>,
    pub rows: u64,
    /// How much of the file is its.
    pub bytes: u64,
    pub sha256: String,
}

/// A column that counts up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Counter {
    pub column: String,
    /// The last number that was given out.
    pub last: i64,
}

impl Manifest {
    /// Puts it behind the tables.
    pub fn write(&self, out: &mut impl Write) -> std::io::Result<()> {
        let text = serde_json::to_vec(self)?;
        let tables: u64 = self.tables.iter().map(|table| table.bytes).sum();
        out.write_all(&text)?;
        out.write_all(&Sha256::digest(&text))?;
        out.write_all(&(MAGIC.len() as u64 + tables).to_be_bytes())
    }
}

/// Whether a file says that it is one. One that cannot be read does not.
pub(crate) fn is_archive(path: &Path) -> bool {
    let mut beginning = [0; MAGIC.len()];
    File::open(path).is_ok_and(|mut file| {
        file.read_exact(&mut beginning).is_ok()
            && beginning.starts_with(b"portreeve postgres backup ")
    })
}

/// One that is open, at its first table.
pub(super) struct Archive {
    pub manifest: Manifest,
    pub digest: String,
    pub bytes: u64,
    file: BufReader<File>,
}

impl Archive {
    /// Opens one and reads its manifest.
    pub fn open(path: &Path) -> Result<Self, BackupError> {
        let unusable = |error: std::io::Error| BackupError::of_system(path)(error);
        let damaged = |what: &str| BackupError::Damaged {
            file: path.to_owned(),
            what: what.to_owned(),
        };
        let mut file = File::open(path).map_err(unusable)?;
        let bytes = file.metadata().map_err(unusable)?.len();
        let mut beginning = [0; MAGIC.len()];
        if file.read_exact(&mut beginning).is_err()
            || !beginning.starts_with(&MAGIC[..MAGIC.len() - 2])
        {
            return Err(BackupError::Foreign(path.to_owned()));
        }
        if beginning != MAGIC {
            return Err(BackupError::Newer {
                file: path.to_owned(),
                program: "which writes another format".into(),
            });
        }
        let cut = || damaged("it is cut off, or something was added to it");
        let end = bytes.checked_sub(END).ok_or_else(cut)?;
        file.seek(SeekFrom::Start(end)).map_err(unusable)?;
        let (mut digest, mut place) = ([0; 32], [0; 8]);
        file.read_exact(&mut digest).map_err(unusable)?;
        file.read_exact(&mut place).map_err(unusable)?;
        let place = u64::from_be_bytes(place);
        let length = end
            .checked_sub(place)
            .filter(|length| *length <= LARGEST_MANIFEST && place >= MAGIC.len() as u64)
            .ok_or_else(cut)?;
        file.seek(SeekFrom::Start(place)).map_err(unusable)?;
        let mut text = vec![];
        Read::by_ref(&mut file)
            .take(length)
            .read_to_end(&mut text)
            .map_err(unusable)?;
        if Sha256::digest(&text)[..] != digest {
            return Err(damaged("what it says of itself was changed"));
        }
        let manifest: Manifest = serde_json::from_slice(&text)
            .map_err(|_| damaged("what it says of itself cannot be read"))?;
        let tables = manifest
            .tables
            .iter()
            .try_fold(MAGIC.len() as u64, |sum, table| {
                sum.checked_add(table.bytes)
            });
        if tables != Some(place) {
            return Err(cut());
        }
        file.seek(SeekFrom::Start(MAGIC.len() as u64))
            .map_err(unusable)?;
        Ok(Self {
            manifest,
            digest: hex(&digest),
            bytes,
            file: BufReader::with_capacity(CHUNK, file),
        })
    }

    /// The next bytes, so many at most.
    pub fn read(&mut self, left: u64, buffer: &mut Vec<u8>) -> std::io::Result<()> {
        let wanted = usize::try_from(left).unwrap_or(usize::MAX).min(CHUNK);
        buffer.resize(wanted, 0);
        self.file.read_exact(buffer)
    }

    /// What it is, for people.
    pub fn backup(&self, path: &Path) -> Backup {
        let tables = self.manifest.tables.iter().map(|table| BackupTable {
            name: format!("{}.{}", table.schema, table.name),
            rows: table.rows,
            digest: table.sha256.clone(),
        });
        Backup {
            file: path.to_owned(),
            bytes: self.bytes,
            taken: self.manifest.taken,
            program: self.manifest.program.clone(),
            policy_version: self.manifest.policy_version,
            tables: tables.collect(),
            digest: self.digest.clone(),
        }
    }
}

/// Reads all of one and compares it with its manifest.
pub(crate) fn check(path: &Path, watch: &mut Watch<'_>) -> Result<Backup, BackupError> {
    let mut archive = Archive::open(path)?;
    let tables = archive.manifest.tables.clone();
    let total = tables.iter().map(|table| table.rows).sum();
    let (mut done, mut buffer) = (0, vec![]);
    for expected in tables {
        let (mut left, mut counted) = (expected.bytes, Counted::new());
        while left > 0 {
            archive
                .read(left, &mut buffer)
                .map_err(BackupError::of_system(path))?;
            counted.take(&buffer);
            left -= buffer.len() as u64;
            watch.tell(Stage::Checking, done + counted.rows, total)?;
        }
        let mut found = expected.clone();
        counted.into_table(&mut found);
        if found != expected {
            return Err(BackupError::Damaged {
                file: path.to_owned(),
                what: format!(
                    "{} is not what it was",
                    full(&expected.schema, &expected.name)
                ),
            });
        }
        done += expected.rows;
    }
    watch.tell(Stage::Checking, done, total)?;
    Ok(archive.backup(path))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
