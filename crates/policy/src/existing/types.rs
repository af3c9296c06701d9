//! Which type a column's values have here.

use portreeve_model::{ColumnLimit, FieldType};

use super::{FoundColumn, FoundDatabase};

/// The type of a column; `None` where it has none and is left out.
pub(super) fn field_type(database: FoundDatabase, column: &FoundColumn) -> Option<FieldType> {
    match database {
        FoundDatabase::Postgres => postgres(column),
        FoundDatabase::Sqlite => sqlite(column),
    }
}

/// What of its type a column takes. Only where the database sees to it as well: an SQLite file keeps texts of any length
/// whatever was declared.
pub(super) fn limit(
    database: FoundDatabase,
    column: &FoundColumn,
    ty: FieldType,
) -> Option<ColumnLimit> {
    if database == FoundDatabase::Sqlite {
        return None;
    }
    let first = || column.arguments.first().copied();
    match (column.base.as_str(), ty) {
        ("int2", _) => Some(ColumnLimit::Between(i16::MIN.into(), i16::MAX.into())),
        ("int4", _) => Some(ColumnLimit::Between(i32::MIN.into(), i32::MAX.into())),
        ("oid", _) => Some(ColumnLimit::Between(0, u32::MAX.into())),
        ("float4", _) => Some(ColumnLimit::Single),
        ("numeric", FieldType::Decimal(_)) => {
            let digits = u32::try_from(first()?).ok()?;
            let most = 10_i64.checked_pow(digits)? - 1;
            Some(ColumnLimit::Between(-most, most))
        }
        ("varchar" | "bpchar", FieldType::Text) => {
            Some(ColumnLimit::Characters(usize::try_from(first()?).ok()?))
        }
        ("enum", FieldType::Text) => Some(ColumnLimit::OneOf(column.labels.clone())),
        _ => None,
    }
}

// Numbers of up to 18 digits fit into a scaled integer.
fn decimal(arguments: &[i64]) -> Option<FieldType> {
    let (precision, scale) = match arguments {
        [precision] => (*precision, 0),
        [precision, scale] => (*precision, *scale),
        _ => return None,
    };
    let fits = (1..=18).contains(&precision) && (0..=precision).contains(&scale);
    u8::try_from(scale)
        .ok()
        .filter(|_| fits)
        .map(FieldType::Decimal)
}

fn postgres(column: &FoundColumn) -> Option<FieldType> {
    Some(match column.base.as_str() {
        "int2" | "int4" | "int8" | "oid" => FieldType::Integer,
        "float4" | "float8" => FieldType::Float,
        // As text it keeps every digit.
        "numeric" => decimal(&column.arguments).unwrap_or(FieldType::Text),
        "bool" => FieldType::Boolean,
        "text" | "varchar" | "bpchar" | "char" | "citext" | "name" | "enum" | "inet" | "cidr"
        | "macaddr" | "macaddr8" | "interval" | "time" | "timetz" | "money" | "bit" | "varbit"
        | "xml" => FieldType::Text,
        "uuid" => FieldType::Uuid,
        "json" | "jsonb" => FieldType::Json,
        "timestamptz" => FieldType::Timestamp,
        "timestamp" | "date" => FieldType::Datetime,
        _ => return None,
    })
}

// By the database's own rules of affinity, but for names that mean more to people than to it.
fn sqlite(column: &FoundColumn) -> Option<FieldType> {
    let base = column.base.as_str();
    let has = |part: &str| base.contains(part);
    Some(match base {
        "date" | "datetime" | "timestamp" => FieldType::Datetime,
        "bool" | "boolean" => FieldType::Boolean,
        "json" | "jsonb" => FieldType::Json,
        "" | "any" => return None,
        _ if has("int") => FieldType::Integer,
        _ if has("char") || has("clob") || has("text") => FieldType::Text,
        _ if has("blob") || has("binary") || has("geometry") => return None,
        _ if has("real") || has("floa") || has("doub") => FieldType::Float,
        "numeric" | "decimal" | "number" => decimal(&column.arguments).unwrap_or(FieldType::Float),
        // Affinity would make numbers of what looks like one; as text it stays what it was.
        _ => FieldType::Text,
    })
}
