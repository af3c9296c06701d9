use std::collections::BTreeSet;

use portreeve_model::{CollectionName, FieldType, KeySource, OnDelete};

use super::*;
use crate::{RelationVia, build_catalog};

fn column(text: &str) -> FoundColumn {
    // `name TYPE(10,2) null filled generated`
    let mut words = text.split(' ');
    let name = words.next().expect("a name").replace('~', " ");
    let declared = words.next().unwrap_or_default().replace('~', " ");
    let flags: Vec<&str> = words.collect();
    let (base, arguments) = declared.split_once('(').unwrap_or((&declared, ""));
    let has = |flag: &str| flags.contains(&flag);
    FoundColumn {
        name,
        base: base.to_lowercase(),
        arguments: arguments
            .trim_end_matches(')')
            .split(',')
            .filter_map(|number| number.parse().ok())
            .collect(),
        declared,
        labels: flags
            .iter()
            .filter_map(|flag| flag.strip_prefix('='))
            .map(str::to_owned)
            .collect(),
        nullable: has("null"),
        generated: has("generated"),
        filled: has("filled"),
    }
}

fn table(name: &str, key: &[&str], columns: &[&str]) -> FoundTable {
    FoundTable {
        name: name.into(),
        columns: columns.iter().map(|text| column(text)).collect(),
        primary_key: key.iter().map(|name| (*name).into()).collect(),
        ..FoundTable::default()
    }
}

impl FoundTable {
    fn points(mut self, column: &str, table: &str, target: &str, on_delete: &str) -> Self {
        self.references.push(FoundReference {
            columns: vec![column.into()],
            schema: self.schema.clone(),
            table: table.into(),
            targets: if target.is_empty() {
                vec![]
            } else {
                vec![target.into()]
            },
            on_delete: on_delete.into(),
        });
        self
    }

    fn unique(mut self, columns: &[&str]) -> Self {
        let columns = columns.iter().map(|name| (*name).into()).collect();
        self.unique.push(columns);
        self
    }

    fn schema(mut self, schema: &str) -> Self {
        self.schema = Some(schema.into());
        self
    }
}

fn describe_as(names: NameMode, tables: Vec<FoundTable>) -> Described {
    let found = FoundSchema {
        database: FoundDatabase::Sqlite,
        tables,
    };
    let section = ExistingSection {
        names,
        ..ExistingSection::default()
    };
    let described = describe_existing(&found, &section, &BTreeSet::new()).expect("a description");
    build_catalog(&described.collections).expect("a catalog of what is described");
    described
}

fn describe(tables: Vec<FoundTable>) -> Described {
    describe_as(NameMode::AsIs, tables)
}

fn find<'d>(described: &'d Described, name: &str) -> &'d CollectionDefinition {
    let mut all = described.collections.iter();
    all.find(|one| one.name.to_string() == name)
        .unwrap_or_else(|| panic!("no collection '{name}'"))
}

fn field<'d>(described: &'d Described, name: &str, field: &str) -> &'d FieldDefinition {
    let mut all = find(described, name).fields.iter();
    all.find(|one| one.name == field)
        .unwrap_or_else(|| panic!("no field '{name}.{field}'"))
}

fn relations(described: &Described, name: &str) -> Vec<String> {
    let relations = &find(described, name).relations;
    relations.iter().map(|one| one.name.clone()).collect()
}

fn notes(described: &Described) -> Vec<String> {
    described.notes.iter().map(ToString::to_string).collect()
}

#[test]
fn one_document_fits_both_ways_of_writing_names() {
    let camel = describe_as(
        NameMode::SnakeCase,
        vec![
            table(
                "Customer",
                &["CustomerId"],
                &["CustomerId INTEGER filled", "SupportRepId INTEGER null"],
            )
            .points("SupportRepId", "Employee", "EmployeeId", "NO ACTION"),
            table(
                "Employee",
                &["EmployeeId"],
                &["EmployeeId INTEGER filled", "LastName NVARCHAR(20)"],
            ),
        ],
    );
    let snake = describe_as(
        NameMode::SnakeCase,
        vec![
            table(
                "customer",
                &["customer_id"],
                &["customer_id INTEGER filled", "support_rep_id INTEGER null"],
            )
            .points("support_rep_id", "employee", "employee_id", "NO ACTION"),
            table(
                "employee",
                &["employee_id"],
                &["employee_id INTEGER filled", "last_name NVARCHAR(20)"],
            ),
        ],
    );
    let shape = |described: &Described| -> Vec<String> {
        let catalog = build_catalog(&described.collections).expect("a catalog");
        catalog
            .iter()
            .filter(|collection| collection.existing.is_some())
            .map(|collection| {
                let fields: Vec<String> = collection
                    .fields
                    .iter()
                    .map(|field| format!("{} {}", field.name, field.ty))
                    .collect();
                let relations: Vec<&str> =
                    collection.relations.iter().map(|one| &*one.name).collect();
                format!("{}: {fields:?} {relations:?}", collection.name)
            })
            .collect()
    };
    assert_eq!(shape(&camel), shape(&snake));
    assert_eq!(camel.notes, []);
    let rep = field(&camel, "customer", "support_rep_id");
    let column = rep.existing.as_ref().expect("a column");
    assert_eq!(
        (&*column.column, &*column.declared),
        ("SupportRepId", "INTEGER")
    );
    assert_eq!(relations(&camel, "employee"), ["customer"]);
    assert_eq!(find(&camel, "employee").key_source, KeySource::Sequence);
}

#[test]
fn a_key_is_the_primary_key_or_what_is_unique_and_never_null() {
    let described = describe(vec![
        table(
            "lines",
            &["order", "line"],
            &["order INTEGER", "line INTEGER", "_key TEXT null"],
        ),
        table("codes", &[], &["name TEXT null", "code TEXT", "other TEXT"])
            .unique(&["name"])
            .unique(&["other"])
            .unique(&["code"]),
        table("log", &[], &["at DATETIME null"]),
        table("blobs", &["hash"], &["hash BLOB", "n INTEGER"]),
        FoundTable {
            view: true,
            ..table("totals", &[], &["n INTEGER null"])
        },
    ]);
    let key = |name: &str| {
        let one = find(&described, name);
        let existing = one.existing.as_ref().expect("an existing table");
        (one.key.clone(), existing.key.clone())
    };
    let parts = vec!["order".to_owned(), "line".to_owned()];
    assert_eq!(
        key("lines"),
        ("_key_2".into(), ExistingKeyDefinition::Fields(parts))
    );
    assert_eq!(find(&described, "lines").key_type, FieldType::Text);
    assert!(matches!(key("codes"), (name, ExistingKeyDefinition::Column(..)) if name == "code"));
    for listed in ["log", "blobs", "totals"] {
        assert_eq!(
            key(listed),
            ("_key".into(), ExistingKeyDefinition::Missing),
            "{listed}"
        );
    }
    assert_eq!(
        notes(&described),
        [
            "log: has no primary key and no column that is unique and never null, so its records can only be listed",
            "blobs: column 'hash' (BLOB) is left out: its values have no type here",
            "blobs: has a primary key of a type that names no records, so they can only be listed",
            "totals: is a view, so its records can only be listed",
        ]
    );
    let catalog = build_catalog(&described.collections).expect("a catalog");
    let lines = catalog.find_text("lines").expect("lines");
    assert_eq!(lines.key_parts().expect("parts").len(), 2);
    assert!(catalog.find_text("totals").expect("a view").is_list_only());
}

#[test]
fn what_somebody_else_named_gets_a_name_of_its_own() {
    let described = describe(vec![
        table(
            "Order Details",
            &["id"],
            &["id INTEGER", "Unit~Price REAL", "Unit_Price REAL"],
        ),
        table("order details", &["id"], &["id INTEGER"]).schema("sales"),
        table("roles", &["id"], &["id INTEGER"]),
        table("users", &["id"], &["id INTEGER"]).schema("public"),
    ]);
    let names: Vec<String> = described
        .collections
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    assert_eq!(
        names,
        ["Order_Details", "sales/order_details", "roles_2", "users_2"]
    );
    let price = field(&described, "Order_Details", "Unit_Price_2");
    assert_eq!(
        price.existing.as_ref().map(|one| &*one.column),
        Some("Unit Price")
    );
    let notes = notes(&described);
    assert!(
        notes.contains(&"users: is the collection 'users_2'".to_owned()),
        "{notes:?}"
    );
    assert!(
        notes
            .contains(&"Order Details: column 'Unit Price' is the field 'Unit_Price_2'".to_owned()),
        "{notes:?}"
    );
    // What the document declares is no table of others, and its name is taken.
    let taken = BTreeSet::from([CollectionName::main("notes")]);
    let found = FoundSchema {
        database: FoundDatabase::Sqlite,
        tables: vec![
            table("Notes", &["id"], &["id INTEGER"]),
            table("notes", &["id"], &["id INTEGER"]),
        ],
    };
    let section = ExistingSection {
        names: NameMode::SnakeCase,
        ..ExistingSection::default()
    };
    let beside = describe_existing(&found, &section, &taken).expect("described");
    let names: Vec<String> = beside
        .collections
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    assert_eq!(names, ["notes_2"]);
}

#[test]
fn foreign_keys_are_relations_in_both_directions() {
    let described = describe(vec![
        table("country", &["id"], &["id INTEGER", "code CHAR(2)"]).unique(&["code"]),
        table(
            "person",
            &["id"],
            &[
                "id INTEGER",
                "city TEXT null",
                "nation CHAR(2) null",
                "wrong TEXT null",
                "boss INTEGER null",
            ],
        )
        .points("nation", "country", "code", "SET NULL")
        .points("wrong", "country", "id", "CASCADE")
        .points("boss", "person", "", "SET NULL")
        .points("city", "nowhere", "id", "CASCADE"),
        table(
            "city",
            &["id"],
            &[
                "id INTEGER",
                "mayor INTEGER",
                "founder INTEGER",
                "person TEXT null",
            ],
        )
        .points("mayor", "person", "id", "CASCADE")
        .points("founder", "person", "id", "SET NULL"),
        table("knows", &["who", "whom"], &["who INTEGER", "whom INTEGER"])
            .points("who", "person", "id", "CASCADE")
            .points("whom", "person", "id", "CASCADE"),
        table(
            "visit",
            &["person_id", "city_id"],
            &["person_id INTEGER", "city_id INTEGER"],
        )
        .points("person_id", "person", "id", "CASCADE")
        .points("city_id", "city", "id", "CASCADE"),
    ]);
    let nation = field(&described, "person", "nation")
        .to
        .as_ref()
        .expect("a relation");
    assert_eq!(
        (nation.by_field.as_deref(), nation.on_delete),
        (Some("code"), OnDelete::SetNull)
    );
    assert!(field(&described, "person", "wrong").to.is_none());
    assert!(field(&described, "person", "city").to.is_none());
    let founder = field(&described, "city", "founder")
        .to
        .as_ref()
        .expect("a relation");
    assert_eq!(
        founder.on_delete,
        OnDelete::Restrict,
        "it cannot become null"
    );
    assert_eq!(relations(&described, "country"), ["person"]);
    // `city` is a field there already, so the way across has another name; two ways back are told apart.
    assert_eq!(
        relations(&described, "person"),
        [
            "person",
            "city_by_mayor",
            "city_by_founder",
            "knows_by_who",
            "knows_by_whom",
            "visit",
            "person_through_knows",
            "person_through_knows_2",
            "city_through_visit",
        ]
    );
    assert_eq!(
        relations(&described, "city"),
        ["visit", "person_through_visit"]
    );
    let across = &find(&described, "city").relations[1];
    assert_eq!(
        across.via,
        RelationVia::Through {
            junction: CollectionName::main("visit"),
            from: "city_id".into(),
            to: "person_id".into(),
        }
    );
    assert_eq!(
        notes(&described),
        ["person: column 'wrong' is no relation: it is text and 'country.id' is integer"]
    );
}

#[test]
fn a_foreign_key_of_several_columns_is_told_and_is_no_relation() {
    let mut line = table("line", &["id"], &["id int4", "shop int4", "order int4"]);
    line.references.push(FoundReference {
        columns: vec!["shop".into(), "order".into()],
        schema: None,
        table: "order".into(),
        targets: vec!["shop".into(), "number".into()],
        on_delete: "CASCADE".into(),
    });
    let order = table("order", &["shop", "number"], &["shop int4", "number int4"]);
    let described = describe(vec![line, order]);
    assert_eq!(relations(&described, "order"), Vec::<&str>::new());
    assert_eq!(
        notes(&described),
        [
            "line: the foreign key (shop, order) to 'order' has several columns and is no relation; the database keeps to it all the same"
        ]
    );
}

#[test]
fn what_a_column_takes_is_known_where_the_database_sees_to_it() {
    use portreeve_model::ColumnLimit::{Between, Characters, OneOf, Single};
    let limit = |database, text: &str| {
        let column = column(&format!("c {text}"));
        let ty = types::field_type(database, &column).expect("a type");
        types::limit(database, &column, ty)
    };
    for (text, limited) in [
        ("int2", Some(Between(-32_768, 32_767))),
        ("int4", Some(Between(-2_147_483_648, 2_147_483_647))),
        ("int8", None),
        ("oid", Some(Between(0, 4_294_967_295))),
        ("float4", Some(Single)),
        ("float8", None),
        ("numeric(5,2)", Some(Between(-99_999, 99_999))),
        ("numeric(30,2)", None),
        ("numeric", None),
        ("varchar(20)", Some(Characters(20))),
        ("varchar", None),
        ("bpchar(2)", Some(Characters(2))),
        ("text", None),
        ("enum =a =b", Some(OneOf(vec!["a".into(), "b".into()]))),
    ] {
        assert_eq!(limit(FoundDatabase::Postgres, text), limited, "{text}");
    }
    for text in ["int2", "VARCHAR(20)", "NUMERIC(5,2)"] {
        assert_eq!(limit(FoundDatabase::Sqlite, text), None, "{text}");
    }
}

#[test]
fn types_follow_the_database() {
    let types = |database, columns: &[&str]| -> Vec<String> {
        let name = |column: FoundColumn| {
            types::field_type(database, &column).map_or("–".into(), FieldType::name)
        };
        columns
            .iter()
            .map(|text| name(column(&format!("c {text}"))))
            .collect()
    };
    assert_eq!(
        types(
            FoundDatabase::Sqlite,
            &[
                "NVARCHAR(160)",
                "NUMERIC(10,2)",
                "DECIMAL",
                "NUMERIC(19,2)",
                "DATETIME",
                "DATE",
                "BOOLEAN",
                "BIGINT",
                "POINT",
                "DOUBLE",
                "BLOB",
                "",
                "JSON",
                "UUID"
            ]
        ),
        [
            "text",
            "decimal(2)",
            "float",
            "float",
            "datetime",
            "datetime",
            "boolean",
            "integer",
            "integer",
            "float",
            "–",
            "–",
            "json",
            "text"
        ]
    );
    assert_eq!(
        types(
            FoundDatabase::Postgres,
            &[
                "int4",
                "float8",
                "numeric(10,2)",
                "numeric(18)",
                "numeric(19,2)",
                "numeric",
                "numeric(5,-2)",
                "bool",
                "varchar(160)",
                "enum",
                "inet",
                "uuid",
                "jsonb",
                "timestamptz",
                "timestamp",
                "date",
                "bytea",
                "_int4",
                "geometry"
            ]
        ),
        [
            "integer",
            "float",
            "decimal(2)",
            "decimal(0)",
            "text",
            "text",
            "text",
            "boolean",
            "text",
            "text",
            "text",
            "uuid",
            "json",
            "timestamp",
            "datetime",
            "datetime",
            "–",
            "–",
            "–"
        ]
    );
}

#[test]
fn a_pattern_that_names_no_table_is_a_problem_at_its_place() {
    let text = "existing: { names: snake_case, tables: [inv*, 'sales.*'], except: [invoise, tmp] }";
    let section = crate::Document::read("a.yaml", text)
        .expect("a document")
        .existing;
    let found = FoundSchema {
        database: FoundDatabase::Postgres,
        tables: vec![
            table("invoice", &["id"], &["id int4"]).schema("public"),
            table("tmp", &["id"], &["id int4"]).schema("sales"),
        ],
    };
    let problems =
        describe_existing(&found, &section, &BTreeSet::new()).expect_err("wrong patterns");
    let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(
        said,
        [
            "a.yaml:1:68 (existing.except[0]): no table of the database is named 'invoise'; did you mean 'invoice'? [unknown_table]",
            "a.yaml:1:77 (existing.except[1]): no table of the database is named 'tmp'; there is invoice, sales.tmp [unknown_table]",
        ]
    );
    let section = ExistingSection {
        except: vec![],
        ..section
    };
    let described = describe_existing(&found, &section, &BTreeSet::new()).expect("described");
    let names: Vec<String> = described
        .collections
        .iter()
        .map(|one| one.name.to_string())
        .collect();
    assert_eq!(names, ["invoice", "sales/tmp"]);
}
