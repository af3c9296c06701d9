//! The tables of a PostgreSQL database. One query that answers with one JSON text, so that reading it needs no more of
//! a driver than a text.

use portreeve_policy::{FoundColumn, FoundDatabase, FoundReference, FoundSchema, FoundTable};
use serde::Deserialize;

/// All tables and views this role may read, but the product's own, the system's and those of extensions. The answer is
/// one row with one text.
pub(crate) const SCHEMA: &str = r#"
WITH RECURSIVE behind AS (
  -- What a domain stands for, however many there are on the way.
  SELECT t.oid, t.oid AS last, t.typtype, t.typname, t.typbasetype, t.typtypmod AS typmod, t.typnotnull AS never_null
  FROM pg_catalog.pg_type t
  UNION ALL
  SELECT b.oid, t.oid, t.typtype, t.typname, t.typbasetype, CASE WHEN t.typtype = 'd' THEN t.typtypmod ELSE b.typmod END,
    b.never_null OR t.typnotnull
  FROM behind b JOIN pg_catalog.pg_type t ON t.oid = b.typbasetype WHERE b.typtype = 'd'
), base AS (
  SELECT oid, last, typname, typtype, typmod, never_null FROM behind WHERE typtype <> 'd'
), found AS (
  SELECT c.oid, n.nspname, c.relname, c.relkind
  FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition
    AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'portreeve') AND n.nspname !~ '^pg_(toast|temp)'
    AND pg_catalog.has_schema_privilege(n.oid, 'USAGE') AND pg_catalog.has_table_privilege(c.oid, 'SELECT')
    AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_depend d
      WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
), keyed AS (
  SELECT i.indrelid, i.indexrelid, i.indisprimary, i.indisunique,
    (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place)
     FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY k (number, place)
     JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
     WHERE k.place <= i.indnkeyatts) AS columns
  FROM pg_catalog.pg_index i WHERE i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
)
SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
  'schema', f.nspname, 'name', f.relname, 'view', f.relkind IN ('v', 'm'),
  'comment', pg_catalog.obj_description(f.oid, 'pg_class'),
  'columns', (SELECT coalesce(pg_catalog.json_agg(pg_catalog.json_build_object(
      'name', a.attname, 'declared', pg_catalog.format_type(a.atttypid, a.atttypmod),
      'base', CASE WHEN b.typtype = 'e' THEN 'enum' ELSE b.typname END,
      'labels', CASE WHEN b.typtype = 'e' THEN (SELECT pg_catalog.json_agg(e.enumlabel ORDER BY e.enumsortorder)
        FROM pg_catalog.pg_enum e WHERE e.enumtypid = b.last) END,
      'typmod', CASE WHEN a.atttypmod >= 0 THEN a.atttypmod ELSE b.typmod END,
      'nullable', NOT (a.attnotnull OR b.never_null),
      'generated', a.attgenerated <> '' OR a.attidentity = 'a',
      'filled', a.atthasdef OR a.attidentity <> ''
    ) ORDER BY a.attnum), '[]')
    FROM pg_catalog.pg_attribute a JOIN base b ON b.oid = a.atttypid
    WHERE a.attrelid = f.oid AND a.attnum > 0 AND NOT a.attisdropped
      AND pg_catalog.has_column_privilege(f.oid, a.attnum, 'SELECT')),
  'primary_key', (SELECT k.columns FROM keyed k WHERE k.indrelid = f.oid AND k.indisprimary),
  'unique', (SELECT pg_catalog.json_agg(k.columns ORDER BY k.columns::text) FROM keyed k
    WHERE k.indrelid = f.oid AND k.indisunique AND NOT k.indisprimary),
  'indexes', (SELECT pg_catalog.json_agg(k.columns ORDER BY k.columns::text) FROM keyed k WHERE k.indrelid = f.oid),
  'references', (SELECT pg_catalog.json_agg(pg_catalog.json_build_object(
      'columns', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place) FROM pg_catalog.unnest(r.conkey) WITH ORDINALITY k (number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.conrelid AND a.attnum = k.number),
      'schema', tn.nspname, 'table', tc.relname,
      'targets', (SELECT pg_catalog.json_agg(a.attname ORDER BY k.place) FROM pg_catalog.unnest(r.confkey) WITH ORDINALITY k (number, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = r.confrelid AND a.attnum = k.number),
      'on_delete', CASE r.confdeltype WHEN 'c' THEN 'CASCADE' WHEN 'n' THEN 'SET NULL' ELSE 'NO ACTION' END
    ) ORDER BY r.conname)
    FROM pg_catalog.pg_constraint r JOIN pg_catalog.pg_class tc ON tc.oid = r.confrelid
    JOIN pg_catalog.pg_namespace tn ON tn.oid = tc.relnamespace
    WHERE r.conrelid = f.oid AND r.contype = 'f' AND r.conparentid = 0)
) ORDER BY f.nspname::text COLLATE "C", f.relname::text COLLATE "C"), '[]')::text
FROM found f
"#;

#[derive(Deserialize)]
struct Table {
    schema: String,
    name: String,
    view: bool,
    comment: Option<String>,
    columns: Vec<Column>,
    primary_key: Option<Vec<String>>,
    unique: Option<Vec<Vec<String>>>,
    indexes: Option<Vec<Vec<String>>>,
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Column {
    name: String,
    declared: String,
    base: String,
    labels: Option<Vec<String>>,
    typmod: i64,
    nullable: bool,
    generated: bool,
    filled: bool,
}

#[derive(Deserialize)]
struct Reference {
    columns: Vec<String>,
    schema: String,
    table: String,
    targets: Vec<String>,
    on_delete: String,
}

/// Reads what [`SCHEMA`] answered.
pub(crate) fn schema(answer: &str) -> Result<FoundSchema, serde_json::Error> {
    let tables: Vec<Table> = serde_json::from_str(answer)?;
    Ok(FoundSchema {
        database: FoundDatabase::Postgres,
        tables: tables.into_iter().map(table).collect(),
    })
}

fn table(table: Table) -> FoundTable {
    FoundTable {
        schema: Some(table.schema),
        name: table.name,
        view: table.view,
        comment: table.comment,
        columns: table.columns.into_iter().map(column).collect(),
        primary_key: table.primary_key.unwrap_or_default(),
        unique: table.unique.unwrap_or_default(),
        indexes: table.indexes.unwrap_or_default(),
        references: table
            .references
            .unwrap_or_default()
            .into_iter()
            .map(|reference| FoundReference {
                columns: reference.columns,
                schema: Some(reference.schema),
                table: reference.table,
                targets: reference.targets,
                on_delete: reference.on_delete,
            })
            .collect(),
    }
}

fn column(column: Column) -> FoundColumn {
    let typmod = column.typmod - 4;
    let arguments = match column.base.as_str() {
        _ if typmod < 0 => vec![],
        // Eleven bits of scale, which may be negative.
        "numeric" => vec![(typmod >> 16) & 0xffff, ((typmod & 0x7ff) ^ 1024) - 1024],
        "varchar" | "bpchar" => vec![typmod],
        _ => vec![],
    };
    FoundColumn {
        name: column.name,
        declared: column.declared,
        base: column.base,
        arguments,
        labels: column.labels.unwrap_or_default(),
        nullable: column.nullable,
        generated: column.generated,
        filled: column.filled,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read() {
        let answer = r#"[{"schema": "sales", "name": "Order Details", "view": false, "comment": null,
            "columns": [
                {"name": "id", "declared": "integer", "base": "int4", "typmod": -1, "nullable": false, "generated": true, "filled": true},
                {"name": "cents", "declared": "cents", "base": "numeric", "typmod": 786438, "nullable": true, "generated": false, "filled": false},
                {"name": "tens", "declared": "numeric(5,-2)", "base": "numeric", "typmod": 329730, "nullable": true, "generated": false, "filled": false},
                {"name": "code", "declared": "short", "base": "varchar", "typmod": 9, "nullable": true, "generated": false, "filled": false},
                {"name": "mood", "declared": "mood", "base": "enum", "labels": ["calm", "loud"], "typmod": -1, "nullable": true, "generated": false, "filled": false}],
            "primary_key": ["id"], "unique": null, "indexes": [["id"]],
            "references": [{"columns": ["id"], "schema": "public", "table": "p", "targets": ["k"], "on_delete": "CASCADE"}]}]"#;
        let found = schema(answer).expect("a schema");
        let table = &found.tables[0];
        assert_eq!(table.shown(), "sales.Order Details");
        let arguments: Vec<&[i64]> = table
            .columns
            .iter()
            .map(|column| &*column.arguments)
            .collect();
        assert_eq!(arguments, [&[][..], &[12, 2], &[5, -2], &[5], &[]]);
        assert_eq!(table.columns[4].labels, ["calm", "loud"]);
        assert_eq!(table.references[0].schema.as_deref(), Some("public"));
        assert!(schema("[{}]").is_err());
    }
}
