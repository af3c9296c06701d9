//! What was found in a database, whichever it is.

use portreeve_model::CollectionName;

/// The tables and views of a database, but the product's own. Two that are equal say the same schema.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FoundSchema {
    /// Whose types these are.
    pub database: FoundDatabase,
    /// In order of schema and name.
    pub tables: Vec<FoundTable>,
}

/// Whose types and rules are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FoundDatabase {
    /// A file of the embedded database.
    Sqlite,
    /// A PostgreSQL server.
    Postgres,
}

/// A table or view.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FoundTable {
    /// Its schema; `None` where the database has none.
    pub schema: Option<String>,
    /// Its name.
    pub name: String,
    /// Whether it is a view, and so is only read.
    pub view: bool,
    /// What the database says about it for people.
    pub comment: Option<String>,
    /// Its columns, in their order.
    pub columns: Vec<FoundColumn>,
    /// The columns of its primary key, in the key's order; empty where it has none.
    pub primary_key: Vec<String>,
    /// The columns of each further unique constraint that holds for all rows, in the constraint's order.
    pub unique: Vec<Vec<String>>,
    /// The columns of each index, in the index's order; those of expressions are left out.
    pub indexes: Vec<Vec<String>>,
    /// Its foreign keys.
    pub references: Vec<FoundReference>,
}

/// A column.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct FoundColumn {
    /// Its name.
    pub name: String,
    /// Its type as declared: `NUMERIC(10,2)`, `character varying(160)`, `mood`.
    pub declared: String,
    /// The name of the type that is behind it, in lower case and without its arguments: `numeric`, `varchar`; `enum`
    /// for every enumeration.
    pub base: String,
    /// The arguments of its type: `[10, 2]`.
    pub arguments: Vec<i64>,
    /// The values of an enumeration.
    pub labels: Vec<String>,
    /// Whether it may be null.
    pub nullable: bool,
    /// Whether the database computes it, so that it cannot be written.
    pub generated: bool,
    /// Whether the database gives it a value where none is sent.
    pub filled: bool,
}

/// A foreign key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FoundReference {
    /// The columns that point.
    pub columns: Vec<String>,
    /// The schema of the table they point into.
    pub schema: Option<String>,
    /// The table they point into.
    pub table: String,
    /// The columns they point at; empty is its primary key.
    pub targets: Vec<String>,
    /// What happens when the target is deleted: `CASCADE`, `SET NULL`, anything else.
    pub on_delete: String,
}

impl FoundTable {
    /// How people name it: `invoice`, `sales.invoice`.
    pub fn shown(&self) -> String {
        match self.schema.as_deref() {
            None | Some("public") => self.name.clone(),
            Some(schema) => format!("{schema}.{}", self.name),
        }
    }

    /// The name of the collection that would have such a table if it were one of our own making.
    pub fn own_name(&self) -> Option<CollectionName> {
        match self.schema.as_deref() {
            None | Some("public") => CollectionName::parse(&self.name).ok(),
            Some(schema) => CollectionName::parse(&format!("{schema}/{}", self.name)).ok(),
        }
    }

    /// The lists of columns of which no two rows have the same values: the primary key and what else is unique.
    pub fn uniques(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.primary_key)
            .filter(|key| !key.is_empty())
            .chain(&self.unique)
    }

    /// The column of that name.
    pub fn column(&self, name: &str) -> Option<&FoundColumn> {
        self.columns.iter().find(|column| column.name == name)
    }
}
