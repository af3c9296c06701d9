//! What is told of the audit trail's chain: its head, and what a check of it has found.

use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// So many findings are told one by one; the others are counted.
const TOLD: usize = 1_000;

/// The last seal at some moment. Kept somewhere else, it tells later whether everything up to it is still there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditHead {
    /// How many lines were sealed.
    pub position: u64,
    /// The hash of the last of them, 64 hexadecimal digits.
    pub hash: String,
}

impl fmt::Display for AuditHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.position, self.hash)
    }
}

/// A text that is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a head is a position, a colon and 64 hexadecimal digits, as `portreeve audit head` prints it"
)]
pub struct NoAuditHead;

impl FromStr for AuditHead {
    type Err = NoAuditHead;

    fn from_str(text: &str) -> Result<Self, NoAuditHead> {
        let (position, hash) = text.trim().split_once(':').ok_or(NoAuditHead)?;
        let digits = !position.is_empty() && position.bytes().all(|byte| byte.is_ascii_digit());
        let hexadecimal = hash.len() == 64 && hash.bytes().all(|byte| byte.is_ascii_hexdigit());
        if !digits || !hexadecimal {
            return Err(NoAuditHead);
        }
        Ok(Self {
            position: position.parse().map_err(|_| NoAuditHead)?,
            hash: hash.to_ascii_lowercase(),
        })
    }
}

/// What is wrong with the chain in one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AuditFault {
    /// A line does not say what it said when it was sealed.
    Altered,
    /// A line that was sealed, or waited for it, is gone.
    Dropped,
    /// Seals are missing in between.
    Gap,
    /// A seal does not follow from the one before it: one of them was changed, or they were given another order.
    Order,
    /// A line is there that the product has not written.
    Added,
    /// The chain ends before its head, or before a head that was noted.
    CutOff,
    /// The chain goes on after its head, or its head is not that of this chain, or gone.
    Head,
    /// The chain is not the one of which a head was noted.
    Noted,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditFinding {
    /// What kind of thing.
    pub fault: AuditFault,
    /// Where in the chain.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<u64>,
    /// The id of the line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    /// A sentence.
    pub message: String,
}

/// What a check of the whole chain has found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AuditReport {
    /// How many seals were looked at.
    pub sealed: u64,
    /// Lines that wait for their seal, as is right.
    pub waiting: u64,
    /// The head as it stands in the database.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub head: Option<AuditHead>,
    /// How many things are wrong.
    pub faults: u64,
    /// The first of them.
    pub findings: Vec<AuditFinding>,
}

impl AuditReport {
    pub(crate) fn new(head: Option<AuditHead>) -> Self {
        Self {
            sealed: 0,
            waiting: 0,
            head,
            faults: 0,
            findings: vec![],
        }
    }

    /// Whether nothing is wrong.
    pub fn is_good(&self) -> bool {
        self.faults == 0
    }

    pub(crate) fn find(
        &mut self,
        fault: AuditFault,
        position: Option<u64>,
        line: Option<i64>,
        message: String,
    ) {
        self.faults += 1;
        if self.findings.len() < TOLD {
            self.findings.push(AuditFinding {
                fault,
                position,
                line,
                message,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written() {
        let head = AuditHead {
            position: 17,
            hash: "0123456789abcdef".repeat(4),
        };
        assert_eq!(head.to_string().parse(), Ok(head.clone()));
        assert_eq!(head.to_string().to_uppercase().parse(), Ok(head.clone()));
        let hash = &head.hash;
        for wrong in [
            String::new(),
            "17".into(),
            hash.clone(),
            format!(":{hash}"),
            format!("+1:{hash}"),
            format!("99999999999999999999:{hash}"),
            format!("1:{hash}0"),
            format!("1:é{}", &hash[2..]),
        ] {
            assert_eq!(wrong.parse::<AuditHead>(), Err(NoAuditHead), "{wrong}");
        }
    }
}
