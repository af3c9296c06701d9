//! The law, sentence by sentence, in a small school.

mod combining;
mod predicates;
mod roles;
mod writing;

use portreeve_model::{
    CollectionName, CompareOp, FieldType, KeySource, Literal, OnDelete, Operand, Path, Rule, Value,
    Variable,
};
use portreeve_policy::{
    Binding, BoundTo, CollectionDefinition, Document, Effect, FieldDefinition, FieldValue,
    Permission, Place, ReferenceDefinition, RelationDefinition, RelationVia, RoleDefinition,
};

use super::{Answer, Record, Request, Subject, World, answer};

const NOON: i64 = 1_795_348_800_000_000; // 2026-11-22T12:00:00Z, a Sunday

fn path(text: &str) -> Operand {
    Operand::Path(Path::parse(text))
}

fn text(text: &str) -> Operand {
    Operand::Literal(Literal::Text(text.into()))
}

fn number(number: i64) -> Operand {
    Operand::Literal(Literal::Number(number.to_string()))
}

fn user(field: &str) -> Operand {
    Operand::Variable(user_variable(field))
}

fn user_variable(field: &str) -> Variable {
    let path = field.split('.').filter(|step| !step.is_empty());
    Variable::User(path.map(str::to_owned).collect())
}

fn compare(left: Operand, op: CompareOp, right: Operand) -> Rule {
    Rule::Compare { left, op, right }
}

fn eq(left: Operand, right: Operand) -> Rule {
    compare(left, CompareOp::Equal, right)
}

fn at_least(left: Operand, right: Operand) -> Rule {
    compare(left, CompareOp::GreaterOrEqual, right)
}

fn not(rule: Rule) -> Rule {
    Rule::Not(Box::new(rule))
}

/// `student = $user`
fn own() -> Rule {
    eq(path("student"), user(""))
}

/// An allow for one action on one collection.
fn allow(action: &str, on: &str) -> Permission {
    Permission {
        actions: vec![action.into()],
        on: vec![on.into()],
        ..Permission::default()
    }
}

/// A deny for one action on one collection.
fn deny(action: &str, on: &str) -> Permission {
    Permission {
        effect: Effect::Deny,
        ..allow(action, on)
    }
}

/// What the tests add to a permission.
trait With {
    fn rows(self, rule: Rule) -> Self;
    fn check(self, rule: Rule) -> Self;
    fn when(self, rule: Rule) -> Self;
    fn fields(self, fields: &[&str]) -> Self;
    fn preset(self, field: &str, value: FieldValue) -> Self;
    fn fill(self, field: &str, value: FieldValue) -> Self;
    fn except(self, what: &str) -> Self;
}

impl With for Permission {
    fn rows(mut self, rule: Rule) -> Self {
        self.rows = Some(rule);
        self
    }
    fn check(mut self, rule: Rule) -> Self {
        self.check = Some(rule);
        self
    }
    fn when(mut self, rule: Rule) -> Self {
        self.when = Some(rule);
        self
    }
    fn fields(mut self, fields: &[&str]) -> Self {
        self.fields = Some(fields.iter().map(|field| (*field).into()).collect());
        self
    }
    fn preset(mut self, field: &str, value: FieldValue) -> Self {
        self.presets.push((field.into(), value));
        self
    }
    fn fill(mut self, field: &str, value: FieldValue) -> Self {
        self.defaults.push((field.into(), value));
        self
    }
    fn except(mut self, what: &str) -> Self {
        self.except.push(what.into());
        self
    }
}

fn role(key: &str, permissions: Vec<Permission>) -> RoleDefinition {
    RoleDefinition {
        key: key.into(),
        permissions,
        ..RoleDefinition::default()
    }
}

fn json(value: serde_json::Value) -> FieldValue {
    FieldValue::Json(value)
}

fn record(fields: &[(&str, Value)]) -> Record {
    let owned = fields
        .iter()
        .map(|(name, value)| ((*name).into(), value.clone()));
    owned.collect()
}

fn field(name: &str, ty: FieldType) -> FieldDefinition {
    FieldDefinition {
        name: name.into(),
        ty: Some(ty),
        to: None,
        required: false,
        unique: false,
        default: None,
        self_writable: false,
        kept: None,
        existing: None,
        place: Place::default(),
    }
}

fn link(name: &str, to: &str, by_number: bool) -> FieldDefinition {
    FieldDefinition {
        ty: None,
        to: Some(ReferenceDefinition {
            collection: CollectionName::main(to),
            by_number,
            by_field: None,
            on_delete: OnDelete::SetNull,
        }),
        ..field(name, FieldType::Text)
    }
}

fn collection(
    name: &str,
    fields: Vec<FieldDefinition>,
    relations: Vec<(&str, &str, RelationVia)>,
) -> CollectionDefinition {
    let relations = relations
        .into_iter()
        .map(|(name, target, via)| RelationDefinition {
            name: name.into(),
            target: CollectionName::main(target),
            via,
            place: Place::default(),
        });
    CollectionDefinition {
        name: CollectionName::main(name),
        key: "id".into(),
        key_type: FieldType::Integer,
        key_source: KeySource::Sequence,
        fields,
        relations: relations.collect(),
        indexes: vec![],
        existing: None,
        place: Place::default(),
    }
}

/// Anna (1, team red) and Bo (2, no team); courses 1 (open) and 2 (not said); grades 1 (anna, course 1, 80 points),
/// 2 (bo, course 2, 40) and 3 (nobody's, no course, no points). Course 1 has the tags 1 and 2.
fn school() -> World {
    let through = |from: &str, to: &str| RelationVia::Through {
        junction: CollectionName::main("taggings"),
        from: from.into(),
        to: to.into(),
    };
    let collections = vec![
        CollectionDefinition {
            key_type: FieldType::Text,
            ..collection("users", vec![field("team", FieldType::Text)], vec![])
        },
        collection(
            "courses",
            vec![
                field("title", FieldType::Text),
                field("open", FieldType::Boolean),
                link("teacher", "users", true),
            ],
            vec![
                ("grades", "grades", RelationVia::Field("course".into())),
                ("tags", "tags", through("course", "tag")),
            ],
        ),
        collection(
            "grades",
            vec![
                link("student", "users", false),
                link("course", "courses", false),
                field("points", FieldType::Integer),
                field("note", FieldType::Text),
                field("due", FieldType::Timestamp),
            ],
            vec![],
        ),
        collection("tags", vec![field("label", FieldType::Text)], vec![]),
        collection(
            "taggings",
            vec![link("course", "courses", false), link("tag", "tags", false)],
            vec![],
        ),
    ];
    let mut world = World {
        document: Document {
            collections,
            ..Document::default()
        },
        ..World::default()
    };
    for (id, number, team) in [("anna", 1, Value::from("red")), ("bo", 2, Value::Null)] {
        let fields = [
            ("id", id.into()),
            ("number", Value::from(number)),
            ("team", team),
        ];
        world.users.insert(id.into(), record(&fields));
    }
    let mut put = |name: &str, id: i64, fields: &[(&str, Value)]| {
        let mut fields = record(fields);
        fields.insert("id".into(), id.into());
        let records = world.records.entry(name.into()).or_default();
        records.insert(id.to_string(), fields);
    };
    let (one, two) = (|| Value::from(1), || Value::from(2));
    put(
        "courses",
        1,
        &[
            ("title", "Algebra".into()),
            ("open", Value::Boolean(true)),
            ("teacher", one()),
        ],
    );
    put("courses", 2, &[("title", "Botany".into())]);
    put(
        "grades",
        1,
        &[
            ("student", "anna".into()),
            ("course", one()),
            ("points", 80.into()),
            ("due", NOON.into()),
        ],
    );
    put(
        "grades",
        2,
        &[
            ("student", "bo".into()),
            ("course", two()),
            ("points", 40.into()),
        ],
    );
    put("grades", 3, &[("note", "lost".into())]);
    put("tags", 1, &[("label", "hard".into())]);
    put("tags", 2, &[("label", "Fun".into())]);
    put("taggings", 1, &[("course", one()), ("tag", one())]);
    put("taggings", 2, &[("course", one()), ("tag", two())]);
    put("taggings", 3, &[("course", one()), ("tag", two())]);
    world
}

/// The school in which the role `r` has these permissions.
fn school_with(permissions: Vec<Permission>) -> World {
    let mut world = school();
    world.document.roles.push(role("r", permissions));
    world
}

fn bound_to(role: &str) -> Binding {
    Binding {
        to: BoundTo::Role(role.into()),
        ..Binding::default()
    }
}

fn holding(user: &str, roles: &[&str]) -> Subject {
    Subject {
        user: Some(user.into()),
        bindings: roles.iter().map(|role| bound_to(role)).collect(),
        now: NOON,
        ..Subject::default()
    }
}

/// Anna, who holds `r`.
fn anna() -> Subject {
    holding("anna", &["r"])
}

fn read(collection: &str, key: &str) -> Request {
    Request::Read {
        collection: collection.into(),
        key: key.into(),
    }
}

fn list(collection: &str, filter: Option<Rule>) -> Request {
    Request::List {
        collection: collection.into(),
        filter,
    }
}

fn create(collection: &str, sent: &[(&str, Value)]) -> Request {
    Request::Create {
        collection: collection.into(),
        key: None,
        sent: record(sent),
    }
}

fn update(collection: &str, key: &str, sent: &[(&str, Value)]) -> Request {
    Request::Update {
        collection: collection.into(),
        key: key.into(),
        sent: record(sent),
    }
}

fn delete(collection: &str, key: &str) -> Request {
    Request::Delete {
        collection: collection.into(),
        key: key.into(),
    }
}

/// The keys that a list shows.
fn keys(world: &World, subject: &Subject, collection: &str, filter: Option<Rule>) -> Vec<String> {
    match answer(world, subject, &list(collection, filter)) {
        Answer::Listed(found) => found.into_iter().map(|(key, _)| key).collect(),
        other => panic!("not a list: {other:?}"),
    }
}

fn shown(world: &World, subject: &Subject, request: &Request) -> Record {
    match answer(world, subject, request) {
        Answer::Shown(record) => record,
        other => panic!("not shown: {other:?}"),
    }
}

fn stored(world: &World, subject: &Subject, request: &Request) -> Record {
    match answer(world, subject, request) {
        Answer::Stored { record, .. } => record,
        other => panic!("not stored: {other:?}"),
    }
}

/// Whether the rule brings the grade into a reader's reach.
fn holds(rule: Rule, grade: &str) -> bool {
    let world = school_with(vec![allow("data.read", "grades").rows(rule)]);
    answer(&world, &anna(), &read("grades", grade)) != Answer::NotFound
}
