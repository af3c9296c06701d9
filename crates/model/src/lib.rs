//! Plain types: ids, names, values, the catalog, rules and queries
