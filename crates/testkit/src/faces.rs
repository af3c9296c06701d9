//! Action tables of three faces that no wire speaks: what the registry for faces is tested with.

use portreeve_policy::cells::{ActionTable, On, Span, TableDefinition, WireAction};

const fn on(name: &'static str, needs: &'static [&'static str]) -> WireAction {
    WireAction::new(name, needs, On::Records)
}

const fn alone(name: &'static str, needs: &'static [&'static str]) -> WireAction {
    WireAction::new(name, needs, On::Nothing)
}

/// Yes or no for each function of each collection, and one role for each account.
pub const BOXES: TableDefinition = TableDefinition {
    face: "strapi",
    separator: None,
    span: Span::Each,
    shows: &[],
    judges_auth: true,
    actions: &[
        on("find", &["data.read.many"]),
        on("findone", &["data.read.one"]),
        on("count", &["data.read.count"]),
        on("create", &["data.create"]),
        on("update", &["data.update"]),
        on("delete", &["data.delete"]),
        WireAction::new("user.find", &["data.read.many"], On::Collection("users")),
        WireAction::new("user.findone", &["data.read.one"], On::Collection("users")),
        alone("user.me", &["account.read"]),
        alone("auth.callback", &["auth.sign_in"]),
        alone("auth.register", &["auth.register"]),
        alone("roles.update", &["access.author"]),
    ],
    wildcards: &[],
};

/// Five cells for each collection, in which whole statements stand.
pub const MATRIX: TableDefinition = TableDefinition {
    face: "directus",
    separator: None,
    span: Span::Each,
    shows: &[],
    judges_auth: false,
    actions: &[
        on("read", &["data.read"]),
        on("create", &["data.create"]),
        on("update", &["data.update"]),
        on("delete", &["data.delete"]),
        on("share", &["data.share"]),
    ],
    wildcards: &[],
};

/// Actions of controllers, with stars, several for one of ours, and no word for collections.
pub const CONTROLLERS: TableDefinition = TableDefinition {
    face: "kuzzle",
    separator: Some(':'),
    span: Span::All,
    shows: &[],
    judges_auth: true,
    actions: &[
        on("document:get", &["data.read.one"]),
        on("document:search", &["data.read.many"]),
        on("document:mGet", &["data.read.many"]),
        on("document:count", &["data.read.count"]),
        on("document:create", &["data.create.one"]),
        on("document:mCreate", &["data.create.many"]),
        on(
            "document:createOrReplace",
            &["data.create.one", "data.update.one"],
        ),
        on("document:update", &["data.update.one"]),
        on("document:replace", &["data.update.one"]),
        on("document:updateByQuery", &["data.update.many"]),
        on("document:delete", &["data.delete.one"]),
        on("document:deleteByQuery", &["data.delete.many"]),
        on("realtime:subscribe", &["data.subscribe"]),
        on("bulk:import", &["data.create.many", "data.update.many"]),
        on("collection:getMapping", &["data.schema.read"]),
        alone("auth:login", &["auth.sign_in"]),
        alone("auth:getCurrentUser", &["account.read"]),
        alone("auth:updateSelf", &["account.update"]),
        alone("server:now", &["server.now"]),
        alone("server:info", &["server.info"]),
        alone("security:createRole", &["access.author"]),
        alone("security:updateRole", &["access.author"]),
        WireAction::new(
            "security:getRole",
            &["data.read.one"],
            On::Collection("roles"),
        ),
        WireAction::new(
            "security:searchRoles",
            &["data.read.many"],
            On::Collection("roles"),
        ),
        WireAction::new(
            "security:searchUsers",
            &["data.read.many"],
            On::Collection("users"),
        ),
        WireAction::new(
            "security:createUser",
            &["data.create.one"],
            On::Collection("users"),
        ),
    ],
    wildcards: &[("*:*", "*"), ("document:*", "data")],
};

/// All three.
///
/// # Panics
/// Where one of them is not in order.
pub fn tables() -> Vec<ActionTable> {
    [&BOXES, &MATRIX, &CONTROLLERS]
        .into_iter()
        .map(|definition| ActionTable::new(definition).expect("a table in order"))
        .collect()
}
