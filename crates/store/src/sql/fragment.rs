//! Text with typed slots, and how pieces of conditions are put together.

use portreeve_model::{FieldId, FieldType, Slot};

/// Where a bound value comes from. The n-th slot of a fragment is its parameter n.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum BoundSlot {
    /// A literal, an attribute of the caller, the time, a fact of the request, a claim, a value of the caller's.
    /// A value of another type than the one wanted is bound as null, so that comparing with it is unknown.
    Value(Slot, FieldType),
    /// A list variable; null where it is missing.
    List(Slot, FieldType),
    /// The key of the one record asked for, as the column it is compared with.
    Key(FieldType),
    /// Values by which related records are found, as the column they are compared with.
    Keys(FieldType),
    /// How many rows at most.
    Limit,
    /// How many rows to skip.
    Offset,
    /// The value a write gives a field.
    Assigned(FieldId, FieldType),
}

/// A statement or condition with its slots.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) struct Fragment {
    /// The text, with numbered parameters.
    pub sql: String,
    /// What each parameter stands for, the first one first.
    pub slots: Vec<BoundSlot>,
}

/// When a piece of SQL holds. "Holds" is always "is true": false and null are the same here, which is what makes the
/// two polarities of `lower` compose without asking for nulls at every step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Holds {
    Never,
    Always,
    When(Piece),
}

/// Text that is a boolean expression, and how tightly it binds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Piece {
    pub sql: String,
    joined: Joined,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Joined {
    Not,
    And,
    Or,
}

// SQLite refuses expressions deeper than 1,000. A plain chain of ANDs is as deep as it is long, so long ones are
// halved with brackets, which keeps the depth at the logarithm.
const CHAIN: usize = 64;

impl Holds {
    /// A comparison, EXISTS, a function call: nothing that needs brackets beside AND and OR.
    pub fn when(sql: String) -> Self {
        Self::When(Piece {
            sql,
            joined: Joined::Not,
        })
    }

    pub fn constant(bool: bool) -> Self {
        if bool { Self::Always } else { Self::Never }
    }

    /// All hold.
    pub fn all(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut pieces: Vec<Piece> = vec![];
        for part in parts {
            match part {
                Self::Never => return Self::Never,
                Self::Always => {}
                Self::When(piece) if pieces.contains(&piece) => {}
                Self::When(piece) => pieces.push(piece),
            }
        }
        if pieces.is_empty() {
            Self::Always
        } else {
            Self::When(join(pieces, Joined::And))
        }
    }

    /// One holds.
    pub fn any(parts: impl IntoIterator<Item = Self>) -> Self {
        let mut pieces: Vec<Piece> = vec![];
        for part in parts {
            match part {
                Self::Always => return Self::Always,
                Self::Never => {}
                Self::When(piece) if pieces.contains(&piece) => {}
                Self::When(piece) => pieces.push(piece),
            }
        }
        if pieces.is_empty() {
            Self::Never
        } else {
            Self::When(join(pieces, Joined::Or))
        }
    }

    /// It does not hold: it is false or null.
    pub fn not(self) -> Self {
        match self {
            Self::Never => Self::Always,
            Self::Always => Self::Never,
            Self::When(piece) => Self::when(format!("({}) IS NOT TRUE", piece.sql)),
        }
    }

    /// ` WHERE …`, or nothing where it always holds.
    pub fn clause(&self) -> String {
        match self {
            Self::Always => String::new(),
            other => format!(" WHERE {}", other.text()),
        }
    }

    /// As an expression.
    pub fn text(&self) -> &str {
        match self {
            Self::Never => "FALSE",
            Self::Always => "TRUE",
            Self::When(piece) => &piece.sql,
        }
    }
}

fn join(mut pieces: Vec<Piece>, by: Joined) -> Piece {
    if pieces.len() == 1 {
        return pieces.remove(0);
    }
    if pieces.len() > CHAIN {
        let right = join(pieces.split_off(pieces.len() / 2), by);
        let left = join(pieces, by);
        let word = if by == Joined::And { "AND" } else { "OR" };
        return Piece {
            sql: format!("({}) {word} ({})", left.sql, right.sql),
            joined: by,
        };
    }
    let word = if by == Joined::And { " AND " } else { " OR " };
    let mut sql = String::new();
    for (place, piece) in pieces.iter().enumerate() {
        if place > 0 {
            sql.push_str(word);
        }
        if by == Joined::And && piece.joined == Joined::Or {
            sql.push('(');
            sql.push_str(&piece.sql);
            sql.push(')');
        } else {
            sql.push_str(&piece.sql);
        }
    }
    Piece { sql, joined: by }
}
