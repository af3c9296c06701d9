//! A record and what it relates to, as a limit of what is read: what a share shows.

use std::collections::BTreeMap;
use std::sync::Arc;

use portreeve_model::{
    Collection, CollectionId, CompareOp, Condition, FieldId, PathTerm, Quantifier, Relation, Slot,
    Start, Term, Value, Via,
};

use crate::roleset::RoleEntry;
use crate::snapshot::{CompiledRole, Entry};
use crate::{Access, Body, Effect, FieldSet, READ_COUNT, READ_MANY, READ_ONE, RoleSet, Snapshot};

/// What explanations call its role. No stored role can have this name.
const NAME: &str = "(share)";

/// One record, and the records that its own relations lead to in one step: its to-one fields, its to-many relations, and
/// the records between it and those.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Neighbourhood {
    /// The collection of the record.
    pub collection: CollectionId,
    /// Its key.
    pub key: Value,
    /// Which fields of it.
    pub fields: FieldSet,
    /// Whether the records it relates to are in it.
    pub related: bool,
}

impl Snapshot {
    /// What reads are limited to by a neighbourhood, as long as its record fulfils `alive`: its records alone, to be read
    /// and nothing else. Where the record does not fulfil it, neither it nor what it relates to is shown.
    pub fn neighbourhood(&self, of: &Neighbourhood, alive: &Access) -> Arc<RoleSet> {
        let root = self.catalog.get(of.collection);
        let mut shown: BTreeMap<CollectionId, Vec<(Condition, FieldSet)>> = BTreeMap::new();
        let itself = match alive {
            Access::Never => None,
            Access::Always => Some(is_record(root, &of.key)),
            Access::When(alive) => Some(is_record(root, &of.key).and((**alive).clone())),
        };
        if let Some(itself) = itself {
            let own = (itself.clone(), of.fields.clone());
            shown.entry(root.id).or_default().push(own);
            if of.related {
                for (target, back) in self.relations_back(root) {
                    let related = Condition::Quantified {
                        quantifier: Quantifier::Some,
                        relation: back,
                        condition: Box::new(itself.clone()),
                    };
                    let records = shown.entry(target).or_default();
                    records.push((related, FieldSet::All));
                }
            }
        }
        let mut role = CompiledRole {
            key: Arc::from(NAME),
            administrator: false,
            implicit_allow: false,
            when: None,
            entries: Box::default(),
            wild: Box::default(),
            excepts: Box::default(),
            special: Box::default(),
            bodies: Box::default(),
            later: Box::default(),
        };
        let (mut entries, mut bodies) = (vec![], vec![]);
        for (collection, records) in shown {
            for (position, (rows, fields)) in records.into_iter().enumerate() {
                entries.push(Entry {
                    collection,
                    body: bodies.len() as u32,
                    actions: READ_ONE.bit() | READ_MANY.bit() | READ_COUNT.bit(),
                    position: position as u16,
                });
                bodies.push(Arc::new(Body {
                    rows: Some(Arc::new(rows)),
                    fields,
                    ..Body::plain(Effect::Allow)
                }));
            }
        }
        (role.entries, role.bodies) = (entries.into(), bodies.into());
        let table = self.catalog.len() * size_of::<u32>();
        self.sets
            .alone(vec![RoleEntry::bound(Arc::new(role))], table)
    }

    // The collections that a record's relations lead to, each with the way back from one of its records to that one.
    fn relations_back(&self, root: &Collection) -> Vec<(CollectionId, Relation)> {
        let mut back = vec![];
        for field in root.field_ids() {
            // Its own field holds a field of the target.
            if let Some(to) = root.field(field).relation {
                back.push((
                    to.target,
                    self.back(to.target, to.by, root, Via::Field(field)),
                ));
            }
        }
        let by = |collection: CollectionId, field: FieldId| {
            let relation = self.catalog.get(collection).field(field).relation;
            relation.map(|relation| relation.by)
        };
        for relation in &root.relations {
            match relation.via {
                Via::Field(field) => {
                    if let Some(held) = by(relation.target, field) {
                        let way = self.back(relation.target, field, root, Via::Field(held));
                        back.push((relation.target, way));
                    }
                }
                Via::Through {
                    junction,
                    near,
                    far,
                } => {
                    let (Some(held), Some(far_by)) = (by(junction, near), by(junction, far)) else {
                        continue;
                    };
                    let way = self.back(junction, near, root, Via::Field(held));
                    back.push((junction, way));
                    let (near, far) = (far, near);
                    let via = Via::Through {
                        junction,
                        near,
                        far,
                    };
                    let mut way = self.back(relation.target, far_by, root, via);
                    way.far_by = held;
                    back.push((relation.target, way));
                }
            }
        }
        back
    }

    // From a field of a collection to the records of `root` that it leads to.
    fn back(
        &self,
        collection: CollectionId,
        field: FieldId,
        root: &Collection,
        via: Via,
    ) -> Relation {
        Relation {
            from: path(self.catalog.get(collection), field),
            target: root.id,
            via,
            far_by: root.key,
            guard: None,
            junction_guard: None,
        }
    }
}

fn path(collection: &Collection, field: FieldId) -> PathTerm {
    PathTerm {
        start: Start::Field(field),
        guard: None,
        hops: vec![],
        ty: collection.field(field).ty,
    }
}

fn is_record(collection: &Collection, key: &Value) -> Condition {
    let ty = collection.key_field().ty;
    Condition::Compare {
        left: Term::Path(path(collection, collection.key)),
        op: CompareOp::Equal,
        right: Term::Slot(Slot::Literal(key.clone()), ty),
    }
}
