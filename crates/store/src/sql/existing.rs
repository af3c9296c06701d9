//! Columns of tables that were there before. Our types are read out of theirs and written back in their own form; a
//! column that is of one of our types already stays bare, so that its indexes serve.

use portreeve_model::{Collection, ExistingColumn, Field, FieldId, FieldType};

use super::dialect::Dialect;

/// SQLite's five ways of keeping values, by the declared type, as its manual gives them.
#[derive(Clone, Copy, PartialEq)]
enum Affinity {
    Text,
    Integer,
    Real,
    Other,
}

impl Affinity {
    fn of(declared: &str) -> Self {
        let declared = declared.to_ascii_lowercase();
        let has = |part: &str| declared.contains(part);
        if has("int") {
            Self::Integer
        } else if has("char") || has("clob") || has("text") {
            Self::Text
        } else if has("real") || has("floa") || has("doub") {
            Self::Real
        } else {
            Self::Other
        }
    }
}

fn power(scale: u8) -> i64 {
    10_i64.pow(u32::from(scale.min(18)))
}

impl Dialect {
    /// A field's value as one of our types; `table` is the alias of its collection's table, or nothing.
    pub fn field(self, collection: &Collection, field: FieldId, table: Option<usize>) -> String {
        let place = |field: FieldId| {
            let declared = collection.field(field);
            let column = self.column(declared);
            let column = table.map_or(column.clone(), |alias| format!("t{alias}.{column}"));
            self.value(declared, column)
        };
        if let Some(parts) = collection.key_parts().filter(|_| field == collection.key) {
            let parts = parts
                .iter()
                .map(|part| (collection.field(*part), place(*part)));
            return self.composed(parts);
        }
        if !collection.is_column(field) {
            return match self {
                Self::Sqlite => "NULL".into(),
                Self::Postgres => "NULL::text".into(),
            };
        }
        place(field)
    }

    /// The terms by which records come in order of their key; none where they have none.
    pub fn key_order(self, collection: &Collection, table: usize) -> Vec<String> {
        let fields = match collection.key_parts() {
            Some(parts) => parts.to_vec(),
            None if collection.is_list_only() => vec![],
            None => vec![collection.key],
        };
        fields
            .into_iter()
            .map(|field| {
                self.sorted(
                    collection,
                    field,
                    self.field(collection, field, Some(table)),
                )
            })
            .collect()
    }

    /// A term that is a field's value, as it is sorted by: text of other people's tables in the order of code points.
    pub fn sorted(self, collection: &Collection, field: FieldId, term: String) -> String {
        let declared = collection.field(field);
        if declared.existing.is_some() || !collection.is_column(field) {
            self.ordered(declared.ty, &term)
        } else {
            term
        }
    }

    /// Whether a record has the key that stands in a parameter. Column by column, so that an index serves.
    pub fn has_key(self, collection: &Collection, table: Option<usize>, parameter: &str) -> String {
        if collection.is_list_only() {
            return "FALSE".into();
        }
        let Some(parts) = collection.key_parts() else {
            return format!(
                "{} = {parameter}",
                self.field(collection, collection.key, table)
            );
        };
        let equal: Vec<String> = parts
            .iter()
            .enumerate()
            .map(|(place, part)| {
                format!(
                    "{} = {}",
                    self.field(collection, *part, table),
                    self.part(collection.field(*part).ty, place, parameter)
                )
            })
            .collect();
        equal.join(" AND ")
    }

    /// A parameter as a field's column takes it.
    pub fn stored(self, field: &Field, parameter: String) -> String {
        match &field.existing {
            None => parameter,
            Some(column) => match self {
                Self::Sqlite => sqlite_stored(column, field.ty, parameter),
                Self::Postgres => postgres_stored(column, field.ty, parameter),
            },
        }
    }

    fn value(self, field: &Field, column: String) -> String {
        match &field.existing {
            None => column,
            Some(existing) => match self {
                Self::Sqlite => sqlite_value(existing, field.ty, column),
                Self::Postgres => postgres_value(existing, field.ty, column),
            },
        }
    }

    // As `Collection::compose_key` writes it: texts as JSON texts, everything else as the number it is held as.
    fn composed<'f>(self, parts: impl Iterator<Item = (&'f Field, String)>) -> String {
        let parts: Vec<(FieldType, String)> =
            parts.map(|(field, value)| (field.ty, value)).collect();
        match self {
            Self::Sqlite => {
                let values: Vec<&str> = parts.iter().map(|(_, value)| &**value).collect();
                format!("json_array({})", values.join(", "))
            }
            Self::Postgres => {
                let texts: Vec<String> = parts
                    .iter()
                    .map(|(ty, value)| match ty {
                        FieldType::Text | FieldType::Uuid => {
                            format!("to_json({value}::text)::text")
                        }
                        FieldType::Boolean => format!("{value}::int4::text"),
                        FieldType::Decimal(scale) => {
                            format!("({value} * {})::int8::text", power(*scale))
                        }
                        FieldType::Timestamp | FieldType::Datetime => {
                            format!("(extract(epoch FROM {value}) * 1000000)::int8::text")
                        }
                        _ => format!("{value}::text"),
                    })
                    .collect();
                format!("('[' || {} || ']')", texts.join(" || ',' || "))
            }
        }
    }

    // One value out of a key of several, as our type of its column.
    fn part(self, ty: FieldType, place: usize, parameter: &str) -> String {
        match self {
            Self::Sqlite => format!("json_extract({parameter}, '$[{place}]')"),
            Self::Postgres => {
                let text = format!("({parameter}::json ->> {place})");
                match ty {
                    FieldType::Uuid => format!("{text}::uuid"),
                    FieldType::Boolean => format!("({text}::int4 <> 0)"),
                    FieldType::Integer => format!("{text}::int8"),
                    FieldType::Decimal(scale) => {
                        format!("({text}::numeric / {})", power(scale))
                    }
                    FieldType::Timestamp => format!(
                        "(timestamptz '1970-01-01 00:00:00Z' + {text}::int8 * interval '1 microsecond')"
                    ),
                    FieldType::Datetime => format!(
                        "(timestamp '1970-01-01 00:00:00' + {text}::int8 * interval '1 microsecond')"
                    ),
                    FieldType::Text | FieldType::Json | FieldType::Float | FieldType::Overflow => {
                        text
                    }
                }
            }
        }
    }
}

fn sqlite_value(existing: &ExistingColumn, ty: FieldType, column: String) -> String {
    let affinity = Affinity::of(&existing.declared);
    match ty {
        // A column may have been declared to compare without case.
        FieldType::Text if affinity == Affinity::Text => format!("{column} COLLATE BINARY"),
        FieldType::Text | FieldType::Uuid => format!("CAST({column} AS TEXT) COLLATE BINARY"),
        FieldType::Integer => column,
        FieldType::Float if affinity == Affinity::Real => column,
        FieldType::Float => format!("CAST({column} AS REAL)"),
        // Kept as floats, or as integers where nothing stands behind the point.
        FieldType::Decimal(scale) => {
            let power = power(scale);
            format!(
                "CASE typeof({column}) WHEN 'integer' THEN {column} * {power} \
                 ELSE CAST(round({column} * {power}.0) AS INTEGER) END"
            )
        }
        FieldType::Boolean => format!(
            "CASE typeof({column}) WHEN 'text' THEN lower({column}) IN ('true', 't', 'yes', 'y', 'on', '1') \
             ELSE {column} <> 0 END"
        ),
        // A text, seconds since 1970 or a Julian day: the three forms the database's own functions know.
        FieldType::Datetime | FieldType::Timestamp => {
            format!("(CAST(round(unixepoch({column}, 'auto', 'subsec') * 1000) AS INTEGER) * 1000)")
        }
        FieldType::Json | FieldType::Overflow => {
            format!("CASE WHEN json_valid({column}) THEN json({column}) END")
        }
    }
}

fn sqlite_stored(existing: &ExistingColumn, ty: FieldType, parameter: String) -> String {
    match ty {
        FieldType::Decimal(0) => parameter,
        FieldType::Decimal(scale) => format!("{parameter} / {}.0", power(scale)),
        FieldType::Datetime | FieldType::Timestamp => {
            let seconds = format!("({parameter} / 1000000 - ({parameter} % 1000000 < 0))");
            if existing.declared.eq_ignore_ascii_case("date") {
                return format!("strftime('%Y-%m-%d', {seconds}, 'unixepoch')");
            }
            let micros = format!("(({parameter} % 1000000 + 1000000) % 1000000)");
            format!(
                "strftime('%Y-%m-%d %H:%M:%S', {seconds}, 'unixepoch') || \
                 CASE WHEN {micros} < 1000 THEN '' ELSE printf('.%03d', {micros} / 1000) END"
            )
        }
        _ => parameter,
    }
}

// What the server takes for text by itself.
fn is_plain_text(declared: &str) -> bool {
    declared == "text" || declared.starts_with("character varying")
}

fn postgres_value(existing: &ExistingColumn, ty: FieldType, column: String) -> String {
    let declared = &*existing.declared;
    match ty {
        FieldType::Text if !is_plain_text(declared) => format!("{column}::text"),
        FieldType::Datetime if !declared.starts_with("timestamp") => {
            format!("{column}::timestamp")
        }
        FieldType::Integer if !matches!(declared, "smallint" | "integer" | "bigint") => {
            format!("{column}::int8")
        }
        _ => column,
    }
}

fn postgres_stored(existing: &ExistingColumn, ty: FieldType, parameter: String) -> String {
    let declared = &*existing.declared;
    match ty {
        // Without its length: a cast would cut off what is too long, where the column itself refuses it.
        FieldType::Text if declared.starts_with("numeric") => format!("{parameter}::numeric"),
        FieldType::Text if declared != "text" && !declared.starts_with("character") => {
            format!("CAST({parameter} AS {declared})")
        }
        _ => parameter,
    }
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;
    use rusqlite::types::Value;

    use super::*;

    fn column(declared: &str) -> ExistingColumn {
        ExistingColumn {
            column: "c".into(),
            declared: declared.into(),
            generated: false,
            filled: false,
            limit: None,
        }
    }

    // What is written comes back, and what is in the file in between.
    fn through(declared: &str, ty: FieldType, value: Value) -> (Value, Value) {
        let connection = Connection::open_in_memory().expect("a database");
        let existing = column(declared);
        connection
            .execute_batch(&format!("CREATE TABLE t (c {declared})"))
            .expect("a table");
        let stored = sqlite_stored(&existing, ty, "?1".into());
        connection
            .execute(&format!("INSERT INTO t VALUES ({stored})"), [value])
            .expect("stored");
        let read = sqlite_value(&existing, ty, "c".into());
        connection
            .query_row(&format!("SELECT {read}, c FROM t"), [], |row| {
                Ok((row.get(0)?, row.get(1)?))
            })
            .expect("a row")
    }

    fn read(declared: &str, ty: FieldType, literal: &str) -> Value {
        let connection = Connection::open_in_memory().expect("a database");
        let value = sqlite_value(&column(declared), ty, "c".into());
        connection
            .execute_batch(&format!(
                "CREATE TABLE t (c {declared}); INSERT INTO t VALUES ({literal})"
            ))
            .expect("a row");
        connection
            .query_row(&format!("SELECT {value} FROM t"), [], |row| row.get(0))
            .expect("a value")
    }

    #[test]
    fn what_is_written_on_sqlite_comes_back_and_is_kept_in_the_tables_own_form() {
        let integer = Value::Integer;
        let text = |text: &str| Value::Text(text.into());
        let moment = |text: &str| integer(portreeve_model::datetime(text).expect("a moment"));
        for (declared, ty, value, kept) in [
            (
                "NUMERIC(10,2)",
                FieldType::Decimal(2),
                integer(199),
                Value::Real(1.99),
            ),
            (
                "NUMERIC(10,2)",
                FieldType::Decimal(2),
                integer(-200),
                integer(-2),
            ),
            (
                "DECIMAL(18,0)",
                FieldType::Decimal(0),
                integer(123_456_789_012_345_678),
                integer(123_456_789_012_345_678),
            ),
            (
                "NUMERIC(10,2)",
                FieldType::Decimal(2),
                Value::Null,
                Value::Null,
            ),
            (
                "DATETIME",
                FieldType::Datetime,
                moment("2021-01-02T03:04:05"),
                text("2021-01-02 03:04:05"),
            ),
            (
                "DATETIME",
                FieldType::Datetime,
                moment("1921-01-02T03:04:05.25"),
                text("1921-01-02 03:04:05.250"),
            ),
            (
                "DATE",
                FieldType::Datetime,
                moment("2021-01-02T00:00:00"),
                text("2021-01-02"),
            ),
            ("DATETIME", FieldType::Datetime, Value::Null, Value::Null),
            ("BOOLEAN", FieldType::Boolean, integer(1), integer(1)),
            ("NVARCHAR(10)", FieldType::Text, text("007"), text("007")),
            ("REAL", FieldType::Float, Value::Real(2.0), Value::Real(2.0)),
            (
                "FLOAT",
                FieldType::Float,
                Value::Real(0.1),
                Value::Real(0.1),
            ),
            ("NUMERIC", FieldType::Float, Value::Real(2.0), integer(2)),
        ] {
            let (back, inside) = through(declared, ty, value.clone());
            assert_eq!((back, inside), (value, kept), "{declared}");
        }
    }

    #[test]
    fn whatever_form_a_value_has_on_sqlite_it_is_read() {
        let integer = Value::Integer;
        let noon = integer(portreeve_model::datetime("2021-01-02T12:00:00").expect("a moment"));
        for (declared, ty, literal, value) in [
            (
                "DATETIME",
                FieldType::Datetime,
                "'2021-01-02T12:00:00'",
                noon.clone(),
            ),
            (
                "DATETIME",
                FieldType::Datetime,
                "'2021-01-02 14:00:00.000 +02:00'",
                noon.clone(),
            ),
            ("DATETIME", FieldType::Datetime, "1609588800", noon.clone()),
            ("DATETIME", FieldType::Datetime, "2459217.0", noon),
            ("DATETIME", FieldType::Datetime, "'yesterday'", Value::Null),
            ("BOOLEAN", FieldType::Boolean, "'T'", integer(1)),
            ("BOOLEAN", FieldType::Boolean, "'false'", integer(0)),
            (
                "NUMERIC(10,2)",
                FieldType::Decimal(2),
                "'1.98'",
                integer(198),
            ),
            (
                "NUMERIC(10,2)",
                FieldType::Decimal(2),
                "1.005",
                integer(100),
            ),
            (
                "JSON",
                FieldType::Json,
                "'{\"a\": 1}'",
                Value::Text("{\"a\":1}".into()),
            ),
            ("JSON", FieldType::Json, "'{a'", Value::Null),
            ("STRING", FieldType::Text, "'7'", Value::Text("7".into())),
        ] {
            assert_eq!(read(declared, ty, literal), value, "{declared} {literal}");
        }
    }
}
