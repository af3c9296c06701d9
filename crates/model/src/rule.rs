//! The rule tree as people write it: names, not ids. `portreeve-policy` reads and prints it as text and as JSON
//! and resolves it to a [`crate::Condition`]. The same tree serves rules, checks and callers' filters.

/// A predicate over one record. Logic is three-valued: a null, a missing variable or a type mismatch is unknown.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// `true` or `false`.
    Constant(bool),
    /// `a and b and …`, two or more.
    All(Vec<Rule>),
    /// `a or b or …`, two or more.
    Any(Vec<Rule>),
    /// `not a`; also `x is not null` and `x not in (…)`.
    Not(Box<Rule>),
    /// `a = b` and its kin.
    Compare {
        /// The left side.
        left: Operand,
        /// The operator.
        op: CompareOp,
        /// The right side.
        right: Operand,
    },
    /// `a in (1, 2, 3)`; an empty list is false.
    In {
        /// What is looked for.
        operand: Operand,
        /// Where.
        list: List,
    },
    /// `a between 1 and 9`, both ends included.
    Between {
        /// What is compared.
        operand: Operand,
        /// The lower end.
        low: Operand,
        /// The upper end.
        high: Operand,
    },
    /// `a is null`.
    IsNull(Operand),
    /// `title contains 'x'` and its kin.
    Text {
        /// The text searched.
        operand: Operand,
        /// Where in it.
        op: TextOp,
        /// Whether ASCII letters are folded: `icontains` and its kin.
        ignore_case: bool,
        /// What is searched for.
        needle: Operand,
    },
    /// `code matches '^[A-Z]+$'`: a linear-time regular expression, in checks only.
    Matches {
        /// The text tried.
        operand: Operand,
        /// The expression.
        pattern: String,
    },
    /// `some answers (text = 'x')`, `every …`, `none …`.
    Quantified {
        /// Which of the related records must hold.
        quantifier: Quantifier,
        /// To-one steps and then one to-many relation.
        relation: Path,
        /// What is asked of each.
        rule: Box<Rule>,
    },
    /// `sent(field)`: whether the write names the field.
    Sent(String),
    /// `owner(student)`: a rule declared under `rules:`.
    Named {
        /// Its name.
        name: String,
        /// What its parameters stand for.
        arguments: Vec<Operand>,
    },
}

/// What a predicate compares.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Operand {
    /// A literal.
    Literal(Literal),
    /// A field, or a field of a record reached by to-one steps: `course.teacher`.
    Path(Path),
    /// `$old.field`: the value before the write; in checks only.
    Old(Path),
    /// `$new.field`: the value after the write, the same as `field`; in checks only.
    New(Path),
    /// `$user…`, `$now…`, `$request…`, `$claims…`.
    Variable(Variable),
    /// `count(answers)`: how many related records there are.
    Count(Path),
    /// `year(due)` and its kin.
    Part(DatePart, Box<Operand>),
    /// `:field` inside a named rule: stands for its argument.
    Parameter(String),
}

/// Names joined by dots.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Path(pub Vec<String>);

impl Path {
    /// Splits `a.b.c`.
    pub fn parse(text: &str) -> Self {
        Self(text.split('.').map(str::to_owned).collect())
    }
}

impl std::fmt::Display for Path {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.join("."))
    }
}

/// A literal, before the other side of its comparison gives it a type.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Literal {
    /// `null`: every comparison with it is unknown.
    Null,
    /// `true`, `false`.
    Boolean(bool),
    /// A number as written: `-12.50`.
    Number(String),
    /// `'text'`; also how timestamps, UUIDs and keys are written.
    Text(String),
    /// Only in a caller's filter: its n-th value, taken out so that one statement serves all values.
    Caller(usize),
}

/// What the request brings.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Variable {
    /// `$user` (empty path) or `$user.team`.
    User(Vec<String>),
    /// `$now`, `$now - 1 day`, `$now + 90 minutes`.
    Now {
        /// Microseconds added.
        offset: i64,
    },
    /// `$request.ip`, `.method`, `.face`, `.operation`.
    Request(String),
    /// `$claims.tenant`, a claim of the caller's token.
    Claims(Vec<String>),
}

/// What `in` looks into.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum List {
    /// `(1, 2, 3)`.
    Items(Vec<Operand>),
    /// `$user.roles`, the keys of the roles in force, or a list claim.
    Variable(Variable),
}

/// A comparison.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CompareOp {
    /// `=`
    Equal,
    /// `<>`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl CompareOp {
    /// As written.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::NotEqual => "<>",
            Self::Less => "<",
            Self::LessOrEqual => "<=",
            Self::Greater => ">",
            Self::GreaterOrEqual => ">=",
        }
    }

    /// Whether an ordering satisfies it.
    pub fn holds(self, ordering: std::cmp::Ordering) -> bool {
        match self {
            Self::Equal => ordering.is_eq(),
            Self::NotEqual => ordering.is_ne(),
            Self::Less => ordering.is_lt(),
            Self::LessOrEqual => ordering.is_le(),
            Self::Greater => ordering.is_gt(),
            Self::GreaterOrEqual => ordering.is_ge(),
        }
    }

    /// The operator with its sides exchanged.
    pub fn flipped(self) -> Self {
        match self {
            Self::Less => Self::Greater,
            Self::LessOrEqual => Self::GreaterOrEqual,
            Self::Greater => Self::Less,
            Self::GreaterOrEqual => Self::LessOrEqual,
            same => same,
        }
    }

    /// The operator that holds exactly where this one, both sides known, does not.
    pub fn negated(self) -> Self {
        match self {
            Self::Equal => Self::NotEqual,
            Self::NotEqual => Self::Equal,
            Self::Less => Self::GreaterOrEqual,
            Self::LessOrEqual => Self::Greater,
            Self::Greater => Self::LessOrEqual,
            Self::GreaterOrEqual => Self::Less,
        }
    }
}

/// Where text is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TextOp {
    /// Anywhere.
    Contains,
    /// At the start.
    StartsWith,
    /// At the end.
    EndsWith,
}

impl TextOp {
    /// As written, without case folding.
    pub fn word(self) -> &'static str {
        match self {
            Self::Contains => "contains",
            Self::StartsWith => "starts_with",
            Self::EndsWith => "ends_with",
        }
    }
}

/// Which of the related records must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Quantifier {
    /// At least one.
    Some,
    /// All; true of none.
    Every,
    /// Not one.
    None,
}

impl Quantifier {
    /// As written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Some => "some",
            Self::Every => "every",
            Self::None => "none",
        }
    }
}

/// A part of a date, as an integer; timestamps are read in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DatePart {
    /// 1 to 9999.
    Year,
    /// 1 to 12.
    Month,
    /// 1 to 31.
    Day,
    /// 0 to 23.
    Hour,
    /// 0 to 59.
    Minute,
    /// 0 to 59.
    Second,
    /// 1 (Monday) to 7 (Sunday).
    Weekday,
}

impl DatePart {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Year,
        Self::Month,
        Self::Day,
        Self::Hour,
        Self::Minute,
        Self::Second,
        Self::Weekday,
    ];

    /// As written.
    pub fn word(self) -> &'static str {
        match self {
            Self::Year => "year",
            Self::Month => "month",
            Self::Day => "day",
            Self::Hour => "hour",
            Self::Minute => "minute",
            Self::Second => "second",
            Self::Weekday => "weekday",
        }
    }

    /// The part of a moment given in microseconds since 1970.
    pub fn of(self, micros: i64) -> i64 {
        let day_micros = 86_400 * crate::MICROS;
        let (days, in_day) = (
            micros.div_euclid(day_micros),
            micros.rem_euclid(day_micros) / crate::MICROS,
        );
        let (year, month, day) = crate::civil(days);
        match self {
            Self::Year => year,
            Self::Month => month,
            Self::Day => day,
            Self::Hour => in_day / 3600,
            Self::Minute => in_day / 60 % 60,
            Self::Second => in_day % 60,
            // 1970-01-01 was a Thursday, the fourth day.
            Self::Weekday => (days + 3).rem_euclid(7) + 1,
        }
    }
}
