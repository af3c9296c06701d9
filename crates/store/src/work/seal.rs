//! The chain over the audit trail. A seal holds a digest of its line and a hash over the seal before it, that digest and
//! its own position; so whatever is changed, taken away, put between or given another order is missed in one place.

use sha2::{Digest, Sha256};

use super::{Connection, Row, Transaction, finish};
use crate::audit::{AuditFault, AuditHead, AuditReport};
use crate::sql::dialect::Dialect;
use crate::{StoreError, audit};

/// So many lines are sealed in one transaction.
pub(crate) const BATCH: usize = 500;

/// So many seals or lines are looked at with one statement.
const PAGE: i64 = 500;

/// What comes before the first seal.
pub(crate) const GENESIS: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// The columns of a line beside its number and its moment, in the order in which they are hashed.
const TEXTS: [&str; 8] = [
    "actor", "action", "target", "before", "after", "why", "face", "request",
];

type Hash = [u8; 32];

// The columns of a line `a`, as `content` reads them.
fn columns(dialect: Dialect) -> String {
    let texts = TEXTS.map(|name| dialect.exact_text(&format!("a.\"{name}\"")));
    format!("a.id, a.at, {}", texts.join(", "))
}

// A digest of a whole line, whose columns begin at this place of a row. Every text has its length before it, so that two
// lines never read like one.
fn content(dialect: Dialect, row: &Row, place: usize) -> Hash {
    let mut hash = Sha256::new();
    hash.update(b"portreeve audit line 1");
    for number in [row.maybe_integer(place), row.maybe_integer(place + 1)] {
        match number {
            None => hash.update([0]),
            Some(number) => {
                hash.update([1]);
                hash.update(number.to_be_bytes());
            }
        }
    }
    for text in (place + 2..).take(TEXTS.len()) {
        match row.maybe_text(text).map(|text| dialect.exact_bytes(text)) {
            None => hash.update([0]),
            Some(bytes) => {
                hash.update([2]);
                hash.update((bytes.len() as u64).to_be_bytes());
                hash.update(&bytes);
            }
        }
    }
    hash.finalize().into()
}

// The hash of a seal. Both hashes are taken as they are written down: what is no hash gives one that is none of ours.
fn link(before: &str, content: &str, position: u64) -> String {
    let mut hash = Sha256::new();
    hash.update(b"portreeve audit seal 1");
    for part in [before, content] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(position.to_be_bytes());
    hex(hash.finalize().into())
}

fn hex(hash: Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn broken() -> StoreError {
    StoreError::Corrupt("the head of the audit trail's chain is gone".into())
}

fn unreadable() -> StoreError {
    StoreError::Corrupt("a seal of the audit trail has no hash".into())
}

// A hash as it is written down, whatever is: bytes that are no text are no hash of ours either.
fn written(dialect: Dialect, row: &Row, place: usize) -> Option<String> {
    let bytes = dialect.exact_bytes(row.maybe_text(place)?);
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn position_of(row: &Row, place: usize) -> Result<u64, StoreError> {
    row.unsigned(place)
}

fn signed(position: u64) -> i64 {
    i64::try_from(position).unwrap_or(i64::MAX)
}

/// Whether a line waits for its seal.
pub(crate) async fn waits<C: Connection>(connection: &C) -> Result<bool, StoreError> {
    let sql = "SELECT u.line FROM portreeve_audit_unsealed u JOIN portreeve_audit a ON a.id = u.line
               WHERE NOT EXISTS (SELECT 1 FROM portreeve_audit_seals s WHERE s.line = u.line) LIMIT 1";
    connection.ask(sql, &[]).await.map(|rows| !rows.is_empty())
}

/// The last seal.
pub(crate) async fn head<C: Connection>(connection: &C) -> Result<AuditHead, StoreError> {
    let sql = "SELECT position, hash FROM portreeve_audit_head WHERE one = 1";
    let rows = connection.ask(sql, &[]).await?;
    let row = rows.first().ok_or_else(broken)?;
    Ok(AuditHead {
        position: position_of(row, 0)?,
        hash: row.text(1)?.to_owned(),
    })
}

/// Seals lines that wait for it, a batch of them; tells how many.
pub(crate) async fn seal<X: Transaction>(transaction: &X) -> Result<usize, StoreError> {
    transaction.mark().await?;
    let result = batch(transaction).await;
    finish(transaction, result).await
}

async fn batch<X: Transaction>(transaction: &X) -> Result<usize, StoreError> {
    let dialect = transaction.dialect();
    // Whoever has the head is the one who seals; others wait and find what he has left.
    let sql = format!(
        "SELECT h.position, h.hash FROM portreeve_audit_head h WHERE h.one = 1{}",
        dialect.for_update("h")
    );
    let rows = transaction.ask(&sql, &[]).await?;
    let row = rows.first().ok_or_else(broken)?;
    let (mut position, mut hash) = (position_of(row, 0)?, row.text(1)?.to_owned());
    let sql = format!(
        "SELECT {} FROM portreeve_audit_unsealed u JOIN portreeve_audit a ON a.id = u.line
         WHERE NOT EXISTS (SELECT 1 FROM portreeve_audit_seals s WHERE s.line = u.line)
         ORDER BY u.line LIMIT {BATCH}",
        columns(dialect)
    );
    let lines = transaction.ask(&sql, &[]).await?;
    for row in &lines {
        let line = row.integer(0)?;
        let content = hex(content(dialect, row, 0));
        position += 1;
        hash = link(&hash, &content, position);
        let sql = "INSERT INTO portreeve_audit_seals (position, line, content, hash) VALUES (?1, ?2, ?3, ?4)";
        transaction
            .execute(
                sql,
                &[
                    signed(position).into(),
                    line.into(),
                    (&content).into(),
                    (&hash).into(),
                ],
            )
            .await?;
        let sql = "DELETE FROM portreeve_audit_unsealed WHERE line = ?1";
        transaction.execute(sql, &[line.into()]).await?;
    }
    if !lines.is_empty() {
        let sql = "UPDATE portreeve_audit_head SET position = ?1, hash = ?2 WHERE one = 1";
        transaction
            .execute(sql, &[signed(position).into(), (&hash).into()])
            .await?;
    }
    Ok(lines.len())
}

/// A check of the whole chain, a page at a time: it holds no more than one page at once.
pub(crate) struct Check<'a> {
    report: AuditReport,
    noted: &'a [AuditHead],
    // Up to here seals have been looked at, and the hash of the last of them where that is known.
    position: u64,
    hash: Option<String>,
    // The same as it is stored: somebody else may have written one that is no position.
    after: i64,
    // Up to this position: what is sealed meanwhile is not looked at.
    end: u64,
}

impl<'a> Check<'a> {
    /// Begins, with the head as it is now. Every noted head has to be one of this chain.
    pub async fn begin<C: Connection>(
        connection: &C,
        noted: &'a [AuditHead],
    ) -> Result<Self, StoreError> {
        // One statement, so that both are of the same moment.
        let dialect = connection.dialect();
        let sql = format!(
            "SELECT (SELECT max(s.position) FROM portreeve_audit_seals s), h.position, {}
             FROM (SELECT 1 AS one) o LEFT JOIN portreeve_audit_head h ON h.one = o.one",
            dialect.exact_text("h.hash")
        );
        let rows = connection.ask(&sql, &[]).await?;
        let row = rows.first().ok_or_else(broken)?;
        let last = row
            .maybe_integer(0)
            .and_then(|last| u64::try_from(last).ok());
        let last = last.unwrap_or(0);
        let head = match (row.maybe_integer(1), written(dialect, row, 2)) {
            (Some(position), Some(hash)) => Some(AuditHead {
                position: u64::try_from(position).unwrap_or(0),
                hash,
            }),
            _ => None,
        };
        let mut report = AuditReport::new(head);
        match &report.head {
            None => report.find(
                AuditFault::Head,
                None,
                None,
                "the head of the chain is gone".into(),
            ),
            Some(head) if head.position > last => {
                let said = format!(
                    "the chain ends at position {last}, and its head says that it goes to {}",
                    head.position
                );
                report.find(AuditFault::CutOff, Some(last), None, said);
            }
            Some(head) if head.position < last => {
                let said = format!(
                    "the chain goes to position {last}, and its head says that it ends at {}",
                    head.position
                );
                report.find(AuditFault::Head, Some(last), None, said);
            }
            Some(_) => {}
        }
        for head in noted.iter().filter(|head| head.position > last) {
            let said = format!(
                "the chain ends at position {last}, and a head was noted at {}",
                head.position
            );
            report.find(AuditFault::CutOff, Some(last), None, said);
        }
        Ok(Self {
            report,
            noted,
            position: 0,
            hash: Some(GENESIS.into()),
            after: i64::MIN,
            end: last,
        })
    }

    /// Looks at the next seals; false after the last.
    pub async fn seals<C: Connection>(&mut self, connection: &C) -> Result<bool, StoreError> {
        let dialect = connection.dialect();
        let sql = format!(
            "SELECT s.position, s.line, {}, {}, {}
             FROM portreeve_audit_seals s LEFT JOIN portreeve_audit a ON a.id = s.line
             WHERE s.position > ?1 AND s.position <= ?2 ORDER BY s.position LIMIT {PAGE}",
            dialect.exact_text("s.content"),
            dialect.exact_text("s.hash"),
            columns(dialect)
        );
        let rows = connection
            .ask(&sql, &[self.after.into(), signed(self.end).into()])
            .await?;
        for row in &rows {
            self.seal(dialect, row)?;
        }
        Ok(!rows.is_empty())
    }

    fn seal(&mut self, dialect: Dialect, row: &Row) -> Result<(), StoreError> {
        // Positions are counted from 1, and in order; what is below is none of the product's.
        let (position, line) = (u64::try_from(row.integer(0)?).unwrap_or(0), row.integer(1)?);
        let hash_at = |place| written(dialect, row, place).ok_or_else(unreadable);
        let (sealed, hash) = (hash_at(2)?, hash_at(3)?);
        let (at, report) = (Some(position), &mut self.report);
        report.sealed += 1;
        let expected = self.position + 1;
        if position != expected {
            let said = match position.checked_sub(1) {
                Some(last) if last == expected => {
                    format!("the seal at position {expected} is gone")
                }
                Some(last) if last > expected => {
                    format!("the seals at positions {expected} to {last} are gone")
                }
                _ => format!("a seal stands at position {position}, where none can be"),
            };
            report.find(AuditFault::Gap, Some(expected), None, said);
            self.hash = None;
        }
        match row.maybe_integer(4) {
            None => {
                let said = format!("line {line}, sealed at position {position}, is gone");
                report.find(AuditFault::Dropped, at, Some(line), said);
            }
            Some(_) if hex(content(dialect, row, 4)) != sealed => {
                let said =
                    format!("line {line} does not say what was sealed at position {position}");
                report.find(AuditFault::Altered, at, Some(line), said);
            }
            Some(_) => {}
        }
        let follows = self.hash.as_deref();
        if follows.is_some_and(|before| link(before, &sealed, position) != hash) {
            let said = format!(
                "the seal at position {position} (line {line}) does not follow from the one before it"
            );
            report.find(AuditFault::Order, at, Some(line), said);
        }
        for head in self.noted.iter().filter(|head| head.position == position) {
            if head.hash != hash {
                let said =
                    format!("the chain has another hash at position {position} than was noted");
                report.find(AuditFault::Noted, at, Some(line), said);
            }
        }
        self.after = row.integer(0)?;
        self.position = position;
        self.hash = Some(hash);
        Ok(())
    }

    /// After the last seal: whether the head is this chain's.
    pub fn end_of_seals(&mut self) {
        let ends = (self.position, self.hash.as_deref().unwrap_or(GENESIS));
        let head = self.report.head.as_ref();
        if head.is_some_and(|head| head.position == ends.0 && head.hash != ends.1) {
            let said = format!(
                "the head of the chain has another hash than position {}",
                ends.0
            );
            self.report.find(AuditFault::Head, Some(ends.0), None, said);
        }
        for head in self.noted.iter().filter(|head| head.position == 0) {
            if head.hash != GENESIS {
                let said = "no chain begins with the head that was noted".to_owned();
                self.report.find(AuditFault::Noted, Some(0), None, said);
            }
        }
    }

    /// Looks at the next lines after this one, whether each is sealed or waits; gives the last, none after the end.
    pub async fn lines<C: Connection>(
        &mut self,
        connection: &C,
        after: i64,
    ) -> Result<Option<i64>, StoreError> {
        let sql = format!(
            "SELECT a.id, s.position, u.line FROM portreeve_audit a
             LEFT JOIN portreeve_audit_seals s ON s.line = a.id
             LEFT JOIN portreeve_audit_unsealed u ON u.line = a.id
             WHERE a.id > ?1 ORDER BY a.id LIMIT {PAGE}"
        );
        let rows = connection.ask(&sql, &[after.into()]).await?;
        for row in &rows {
            let line = row.integer(0)?;
            match (row.maybe_integer(1), row.maybe_integer(2)) {
                (Some(_), _) => {}
                (None, Some(_)) => self.report.waiting += 1,
                (None, None) => {
                    let said =
                        format!("line {line} was not written by Portreeve, or has lost its seal");
                    self.report.find(AuditFault::Added, None, Some(line), said);
                }
            }
        }
        rows.last().map(|row| row.integer(0)).transpose()
    }

    /// Looks for lines that have gone while they waited; gives the last of the page, none after the end.
    pub async fn orphans<C: Connection>(
        &mut self,
        connection: &C,
        after: i64,
    ) -> Result<Option<i64>, StoreError> {
        let sql = format!(
            "SELECT u.line FROM portreeve_audit_unsealed u
             WHERE u.line > ?1 AND NOT EXISTS (SELECT 1 FROM portreeve_audit a WHERE a.id = u.line)
             ORDER BY u.line LIMIT {PAGE}"
        );
        let rows = connection.ask(&sql, &[after.into()]).await?;
        for row in &rows {
            let line = row.integer(0)?;
            let said = format!("line {line}, which was not sealed yet, is gone");
            self.report
                .find(AuditFault::Dropped, None, Some(line), said);
        }
        rows.last().map(|row| row.integer(0)).transpose()
    }

    /// What has been found.
    pub fn finish(self) -> audit::AuditReport {
        self.report
    }
}
