//! Every piece of SQL that differs between databases. Decided by the parity table: text by code point, ASCII case
//! folding only, never LIKE, decimals exact, times to the microsecond, nulls last.

use std::borrow::Cow;

use portreeve_model::{
    Collection, DatePart, Field, FieldType, MAIN_NAMESPACE, MICROS, TextOp, Value,
};
use portreeve_policy::SYSTEM_PREFIX;

use super::fragment::BoundSlot;
use super::pattern;

/// Which database the text is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// The embedded database.
    Sqlite,
    /// PostgreSQL 15 or newer.
    Postgres,
}

impl Dialect {
    /// A name of a table or column.
    pub fn name(self, name: &str) -> String {
        format!("\"{}\"", name.replace('"', "\"\""))
    }

    /// A collection's table. On PostgreSQL namespaces are schemas, and the product's own tables have one of their own.
    pub fn table(self, collection: &Collection) -> String {
        let table = self.name(self.bare_table(collection));
        match (self, Self::schema(collection)) {
            (Self::Sqlite, _) => table,
            (Self::Postgres, schema) => format!("{}.{table}", self.name(schema)),
        }
    }

    /// The name of a collection's table inside its schema.
    pub fn bare_table(self, collection: &Collection) -> &str {
        if let Some(existing) = &collection.existing {
            return &existing.table;
        }
        match self {
            Self::Sqlite => &collection.table,
            Self::Postgres if collection.system => collection
                .table
                .strip_prefix(SYSTEM_PREFIX)
                .unwrap_or(&collection.table),
            Self::Postgres => collection.name.name(),
        }
    }

    /// PostgreSQL: the schema a collection's table is in.
    pub fn schema(collection: &Collection) -> &str {
        let existing = collection.existing.as_ref();
        if let Some(schema) = existing.and_then(|table| table.schema.as_deref()) {
            schema
        } else if collection.system {
            "portreeve"
        } else if collection.name.namespace() == MAIN_NAMESPACE {
            "public"
        } else {
            collection.name.namespace()
        }
    }

    /// A column by itself.
    pub fn column(self, field: &Field) -> String {
        self.name(Self::column_name(field))
    }

    /// What the database calls a field's column.
    pub fn column_name(field: &Field) -> &str {
        let existing = field.existing.as_ref();
        existing.map_or(&*field.name, |column| &*column.column)
    }

    /// A named system statement, which is written for SQLite with numbered parameters and prefixed tables.
    pub fn system(self, sql: &str) -> Cow<'_, str> {
        match self {
            Self::Sqlite => Cow::Borrowed(sql),
            Self::Postgres => {
                // Addresses are folded as our columns fold them, not as the language of the database does.
                let sql = sql.replace("lower(?1)", "lower(?1 COLLATE \"C\")");
                Cow::Owned(sql.replace('?', "$").replace(SYSTEM_PREFIX, "portreeve."))
            }
        }
    }

    /// The number that the last insert into a table of the product's own has made, on this connection.
    pub fn last_number(self, table: &str) -> String {
        match self {
            Self::Sqlite => "last_insert_rowid()".into(),
            Self::Postgres => {
                format!("currval(pg_get_serial_sequence('portreeve.{table}', 'id'))")
            }
        }
    }

    /// A text or JSON column of the product's own as a text that tells every byte of it, see [`Dialect::exact_bytes`].
    /// SQLite does not see to it that what somebody else has written there is UTF-8.
    pub fn exact_text(self, column: &str) -> String {
        match self {
            Self::Sqlite => format!("CASE WHEN {column} IS NOT NULL THEN hex({column}) END"),
            Self::Postgres => format!("CAST({column} AS text)"),
        }
    }

    /// What [`Dialect::exact_text`] has given, as the bytes that are stored.
    pub fn exact_bytes(self, text: &str) -> Cow<'_, [u8]> {
        match self {
            Self::Sqlite => Cow::Owned(
                text.as_bytes()
                    .chunks(2)
                    .map(|pair| {
                        pair.iter().fold(0, |byte, digit| {
                            byte << 4
                                | u8::try_from(char::from(*digit).to_digit(16).unwrap_or(0))
                                    .unwrap_or(0)
                        })
                    })
                    .collect(),
            ),
            Self::Postgres => Cow::Borrowed(text.as_bytes()),
        }
    }

    /// The n-th parameter, counted from 1. PostgreSQL is told its type, since it cannot always guess it.
    pub fn parameter(self, number: usize, slot: &BoundSlot) -> String {
        match self {
            Self::Sqlite => format!("?{number}"),
            Self::Postgres => {
                let (ty, list) = match slot {
                    BoundSlot::Value(_, ty) | BoundSlot::Key(ty) | BoundSlot::Assigned(_, ty) => {
                        (*ty, "")
                    }
                    BoundSlot::List(_, ty) | BoundSlot::Keys(ty) => (*ty, "[]"),
                    BoundSlot::Limit | BoundSlot::Offset => (FieldType::Integer, ""),
                };
                let name = type_name(ty);
                format!("${number}::{name}{list}")
            }
        }
    }

    /// The type of a column in a table of our own.
    pub fn column_type(self, ty: FieldType) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Sqlite => match ty {
                FieldType::Text | FieldType::Json | FieldType::Uuid | FieldType::Overflow => "TEXT",
                FieldType::Float => "REAL",
                FieldType::Integer
                | FieldType::Decimal(_)
                | FieldType::Boolean
                | FieldType::Timestamp
                | FieldType::Datetime => "INTEGER",
            },
            Self::Postgres => match ty {
                FieldType::Text => "text COLLATE \"C\"",
                // Not jsonb, which would reorder members and respell numbers.
                FieldType::Json | FieldType::Overflow => "json",
                FieldType::Uuid => "uuid",
                FieldType::Float => "float8",
                FieldType::Integer => "int8",
                FieldType::Decimal(scale) => return Cow::Owned(format!("numeric(18, {scale})")),
                FieldType::Boolean => "bool",
                FieldType::Timestamp => "timestamptz",
                FieldType::Datetime => "timestamp",
            },
        })
    }

    /// No value, in the place of one of this type: PostgreSQL wants to know which function of a name is meant.
    pub fn null(self, ty: FieldType) -> String {
        match self {
            Self::Sqlite => "NULL".into(),
            Self::Postgres => format!("NULL::{}", type_name(ty)),
        }
    }

    /// A value written into a statement, as the column it belongs to wants it. For changes of tables alone: everything
    /// else binds its values.
    pub fn literal(self, value: &Value, ty: FieldType) -> String {
        let quoted = |text: &str| format!("'{}'", text.replace('\'', "''"));
        match (self, value) {
            (_, Value::Null) => "NULL".into(),
            (Self::Sqlite, Value::Boolean(bool)) => i64::from(*bool).to_string(),
            (Self::Postgres, Value::Boolean(bool)) => bool.to_string(),
            (Self::Sqlite, Value::Integer(number)) => number.to_string(),
            (Self::Postgres, Value::Integer(number)) => match ty {
                FieldType::Decimal(scale) => portreeve_model::decimal_text(*number, scale),
                FieldType::Timestamp => {
                    format!("'{}'", portreeve_model::timestamp_text(*number))
                }
                FieldType::Datetime => format!("'{}'", portreeve_model::datetime_text(*number)),
                _ => number.to_string(),
            },
            (_, Value::Float(float)) => format!("{float:?}"),
            (_, Value::Text(text)) => quoted(text),
        }
    }

    /// What an order of two values is asked by: PostgreSQL compares text by the language of the database unless told.
    pub fn ordered(self, ty: FieldType, value: &str) -> String {
        match (self, ty) {
            (Self::Postgres, FieldType::Text) => format!("{value} COLLATE \"C\""),
            _ => value.to_owned(),
        }
    }

    /// After a statement that looks at a record in order to change it: nobody else changes it meanwhile.
    pub fn for_update(self, alias: &str) -> String {
        match self {
            // There is one writer.
            Self::Sqlite => String::new(),
            Self::Postgres => format!(" FOR UPDATE OF {alias}"),
        }
    }

    /// Text search; both sides are expressions. Null where one of them is null.
    pub fn text_search(
        self,
        op: TextOp,
        negated: bool,
        ignore_case: bool,
        value: &str,
        needle: &str,
    ) -> String {
        let fold = |text: &str| match (ignore_case, self) {
            (false, _) => text.to_owned(),
            // Without ICU, which is not linked in, lower() folds A to Z and nothing else.
            (true, Self::Sqlite) => format!("lower({text})"),
            (true, Self::Postgres) => format!("lower({text} COLLATE \"C\")"),
        };
        let (value, needle) = (fold(value), fold(needle));
        let (equal, found) = if negated { ("<>", "= 0") } else { ("=", "> 0") };
        match (self, op) {
            (Self::Sqlite, TextOp::Contains) => format!("instr({value}, {needle}) {found}"),
            (Self::Sqlite, TextOp::StartsWith) => {
                format!("substr({value}, 1, length({needle})) {equal} {needle}")
            }
            // Where the needle is longer, the start is zero or negative and substr gives less than the needle's
            // length, which is never equal to it.
            (Self::Sqlite, TextOp::EndsWith) => {
                format!("substr({value}, length({value}) - length({needle}) + 1) {equal} {needle}")
            }
            (Self::Postgres, TextOp::Contains) => format!("strpos({value}, {needle}) {found}"),
            (Self::Postgres, TextOp::StartsWith) => {
                format!("left({value}, length({needle})) {equal} {needle}")
            }
            (Self::Postgres, TextOp::EndsWith) => {
                format!("right({value}, length({needle})) {equal} {needle}")
            }
        }
    }

    /// The text of a regular expression as this database takes it.
    pub fn pattern(self, regex: &str) -> String {
        match self {
            Self::Sqlite => regex.to_owned(),
            Self::Postgres => pattern::postgres(regex),
        }
    }

    /// A regular expression tried on a text. Null where the text is null.
    pub fn matches(self, negated: bool, pattern: &str, value: &str) -> String {
        match self {
            Self::Sqlite => format!(
                "{}portreeve_matches({pattern}, {value})",
                if negated { "NOT " } else { "" }
            ),
            Self::Postgres => format!(
                "{value} COLLATE \"C\" {} {pattern}",
                if negated { "!~" } else { "~" }
            ),
        }
    }

    /// Whether a value is among those of a list parameter.
    pub fn among(self, negated: bool, value: &str, list: &str) -> String {
        match self {
            Self::Sqlite => format!(
                "{value} {} (SELECT value FROM json_each({list}))",
                if negated { "NOT IN" } else { "IN" }
            ),
            Self::Postgres if negated => format!("{value} <> ALL ({list})"),
            Self::Postgres => format!("{value} = ANY ({list})"),
        }
    }

    /// A part of a moment. Where it is a number (SQLite), microseconds since 1970, division must round down before
    /// 1970 too.
    pub fn date_part(self, part: DatePart, ty: FieldType, moment: &str) -> String {
        match self {
            Self::Sqlite => {
                let floor = |by: i64| format!("({moment} / {by} - ({moment} % {by} < 0))");
                let day = 86_400 * MICROS;
                let in_day = || format!("(({moment} % {day} + {day}) % {day})");
                let civil = |format: &str| {
                    format!(
                        "CAST(strftime('{format}', {}, 'unixepoch') AS INTEGER)",
                        floor(MICROS)
                    )
                };
                match part {
                    DatePart::Year => civil("%Y"),
                    DatePart::Month => civil("%m"),
                    DatePart::Day => civil("%d"),
                    DatePart::Hour => format!("({} / {})", in_day(), 3_600 * MICROS),
                    DatePart::Minute => format!("({} / {} % 60)", in_day(), 60 * MICROS),
                    DatePart::Second => format!("({} / {} % 60)", in_day(), MICROS),
                    // 1970-01-01 was a Thursday, the fourth day.
                    DatePart::Weekday => format!("((({} + 3) % 7 + 7) % 7 + 1)", floor(day)),
                }
            }
            Self::Postgres => {
                let name = match part {
                    DatePart::Year => "year",
                    DatePart::Month => "month",
                    DatePart::Day => "day",
                    DatePart::Hour => "hour",
                    DatePart::Minute => "minute",
                    DatePart::Second => "second",
                    DatePart::Weekday => "isodow",
                };
                let moment = match ty {
                    FieldType::Timestamp => format!("({moment} AT TIME ZONE 'UTC')"),
                    _ => moment.to_owned(),
                };
                // Rounded down: seconds come with their fraction.
                format!("floor(extract({name} FROM {moment}))::int8")
            }
        }
    }

    /// One part of an order, nulls last either way.
    pub fn order(self, term: &str, descending: bool, nullable: bool) -> String {
        match (self, descending, nullable) {
            // Nulls are smallest here, so a descending order has them last anyway.
            (Self::Sqlite, true, _) | (Self::Postgres, true, false) => format!("{term} DESC"),
            (Self::Sqlite, false, true) => format!("{term} NULLS LAST"),
            // Nulls are largest here.
            (Self::Postgres, true, true) => format!("{term} DESC NULLS LAST"),
            (Self::Sqlite, false, false) | (Self::Postgres, false, _) => term.to_owned(),
        }
    }

    /// An expression as a column of a SELECT to be grouped: of its type even where it is a bare NULL, and a text that
    /// is ordered by code point.
    pub fn grouped(self, ty: FieldType, value: &str) -> String {
        match self {
            Self::Sqlite => value.to_owned(),
            Self::Postgres => self.ordered(ty, &format!("({value})::{}", type_name(ty))),
        }
    }

    /// The sum of a column of numbers, exact for all but floats; out of range is an error and never another number.
    pub fn sum(self, ty: FieldType, value: &str) -> String {
        match (self, ty) {
            (Self::Sqlite, _) => format!("portreeve_sum({value})"),
            (Self::Postgres, FieldType::Integer) => format!("sum({value})::int8"),
            // As many digits as a decimal is kept in anywhere.
            (Self::Postgres, FieldType::Decimal(scale)) => format!(
                "(sum({value}) * {})::int8 * {}",
                parts(scale),
                portreeve_model::decimal_text(1, scale)
            ),
            (Self::Postgres, _) => format!("sum({value})"),
        }
    }

    /// The mean of a column of numbers, as a float: the exact sum, rounded, through the exact count, rounded.
    pub fn average(self, ty: FieldType, value: &str) -> String {
        let scale = match ty {
            FieldType::Decimal(scale) => scale,
            _ => 0,
        };
        match (self, ty) {
            (Self::Sqlite, _) => format!("portreeve_avg({value}, {scale})"),
            (Self::Postgres, FieldType::Integer | FieldType::Decimal(_)) => {
                let parts = parts(scale);
                format!(
                    "(sum({value}) * {parts})::float8 / (count({value}) * {parts}::numeric)::float8"
                )
            }
            (Self::Postgres, _) => format!("avg({value})"),
        }
    }

    /// The least or the greatest of a column made by [`Dialect::grouped`].
    pub fn extreme(self, greatest: bool, ty: FieldType, value: &str) -> String {
        let function = if greatest { "max" } else { "min" };
        match (self, ty) {
            // Which PostgreSQL knows how to do since version 18; their text has the same order.
            (Self::Postgres, FieldType::Uuid) => {
                format!("{function}({value}::text COLLATE \"C\")::uuid")
            }
            _ => format!("{function}({value})"),
        }
    }
}

/// PostgreSQL's name of a type, where it stands in a cast.
fn type_name(ty: FieldType) -> &'static str {
    match ty {
        FieldType::Text => "text",
        FieldType::Json | FieldType::Overflow => "json",
        FieldType::Uuid => "uuid",
        FieldType::Float => "float8",
        FieldType::Integer => "int8",
        FieldType::Decimal(_) => "numeric",
        FieldType::Boolean => "bool",
        FieldType::Timestamp => "timestamptz",
        FieldType::Datetime => "timestamp",
    }
}

// How many of a decimal's smallest parts make one.
fn parts(scale: u8) -> i64 {
    10_i64.pow(u32::from(scale.min(18)))
}
