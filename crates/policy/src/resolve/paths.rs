//! Paths over to-one steps and relations to many, with what a caller may read at every step.

use std::sync::Arc;

use portreeve_model::{Collection, Condition, FieldId, Hop, Path, PathTerm, Relation, Start, Via};

use super::{Access, ResolveError, Resolved, Resolver, and_guards, fail};
use crate::suggestion;

impl Resolver<'_> {
    pub(super) fn path(&mut self, collection: &Collection, path: &Path) -> Resolved<PathTerm> {
        let Some((first, rest)) = path.0.split_first() else {
            return fail("a field name is missing");
        };
        let first_id = self.field(collection, first)?;
        let mut term = PathTerm {
            start: Start::Field(first_id),
            guard: self.field_guard(collection, first_id),
            hops: vec![],
            ty: collection.field(first_id).ty,
        };
        let mut here = Arc::new(collection.clone());
        let mut field = first_id;
        for name in rest {
            let Some(relation) = here.field(field).relation else {
                return fail(format!(
                    "'{}' of '{}' is {} and leads nowhere; only a relation can be followed by '.{name}'",
                    here.field(field).name,
                    here.name,
                    here.field(field).ty
                ));
            };
            let target = Arc::clone(self.catalog.get(relation.target));
            let reach = self.reach_guard(&target, name)?;
            let next = self.field(&target, name)?;
            let guard = and_guards(reach, self.field_guard(&target, next));
            let guard = and_guards(guard, self.by_guard(&target, relation.by)?);
            term.hops.push(Hop {
                target: target.id,
                by: relation.by,
                field: next,
                guard,
            });
            term.ty = target.field(next).ty;
            here = target;
            field = next;
        }
        Ok(term)
    }

    pub(super) fn field_guard(
        &self,
        collection: &Collection,
        field: FieldId,
    ) -> Option<Arc<Condition>> {
        match self.guards?.field(collection.id, field) {
            Access::When(condition) => Some(condition),
            Access::Always | Access::Never => None,
        }
    }

    // Where the field that a step is matched on may be read; the key always may.
    pub(super) fn by_guard(
        &mut self,
        target: &Collection,
        by: FieldId,
    ) -> Resolved<Option<Arc<Condition>>> {
        self.field(target, &target.field(by).name)?;
        Ok(self.field_guard(target, by))
    }

    // A target wholly out of reach is answered like a field that is not there.
    pub(super) fn reach_guard(
        &self,
        target: &Collection,
        name: &str,
    ) -> Resolved<Option<Arc<Condition>>> {
        let Some(guards) = self.guards else {
            return Ok(None);
        };
        match guards.reach(target.id) {
            Access::Always => Ok(None),
            Access::When(condition) => Ok(Some(condition)),
            Access::Never => fail(format!("'{}' has no field '{name}'", target.name)),
        }
    }

    /// Resolves a to-many relation, possibly after to-one steps.
    pub fn relation(&mut self, collection: &Collection, path: &Path) -> Resolved<Relation> {
        let Some((name, steps)) = path.0.split_last() else {
            return fail("a relation's name is missing");
        };
        let mut here = Arc::new(collection.clone());
        let mut prefix: Option<PathTerm> = None;
        for (place, step) in steps.iter().enumerate() {
            let walked = self.path(collection, &Path(steps[..=place].to_vec()))?;
            let id = self.field(&here, step)?;
            let Some(relation) = here.field(id).relation else {
                return fail(format!("'{step}' of '{}' is no relation", here.name));
            };
            here = Arc::clone(self.catalog.get(relation.target));
            prefix = Some(walked);
        }
        let Some((_, relation)) = here.find_relation(name) else {
            let names: Vec<&str> = here
                .relations
                .iter()
                .map(|relation| &*relation.name)
                .collect();
            return fail(format!(
                "'{}' has no to-many relation '{name}'{}",
                here.name,
                suggestion(name, names.iter().copied())
            ));
        };
        let target = Arc::clone(self.catalog.get(relation.target));
        let hidden = || ResolveError(format!("'{}' has no to-many relation '{name}'", here.name));
        let guard = self.reach_guard(&target, name).map_err(|_| hidden())?;
        let (own_field, via, far_by, junction_guard, guard) = match relation.via {
            Via::Field(fk) => {
                // Following the relation reads the target's field that points here.
                self.field(&target, &target.field(fk).name)
                    .map_err(|_| hidden())?;
                let points = target.field(fk).relation.map_or(here.key, |to| to.by);
                let guard = and_guards(guard, self.field_guard(&target, fk));
                (points, relation.via, target.key, None, guard)
            }
            Via::Through {
                junction,
                near,
                far,
            } => {
                let junction = Arc::clone(self.catalog.get(junction));
                let reach = self.reach_guard(&junction, name).map_err(|_| hidden())?;
                self.field(&junction, &junction.field(near).name)
                    .map_err(|_| hidden())?;
                self.field(&junction, &junction.field(far).name)
                    .map_err(|_| hidden())?;
                let masks = and_guards(
                    self.field_guard(&junction, near),
                    self.field_guard(&junction, far),
                );
                let points = junction.field(near).relation.map_or(here.key, |to| to.by);
                let far_by = junction.field(far).relation.map_or(target.key, |to| to.by);
                let guard =
                    and_guards(guard, self.by_guard(&target, far_by).map_err(|_| hidden())?);
                (
                    points,
                    relation.via,
                    far_by,
                    and_guards(reach, masks),
                    guard,
                )
            }
        };
        // What the related records point at is read too: a number nobody may read must not be found out by counting.
        self.field(&here, &here.field(own_field).name)
            .map_err(|_| hidden())?;
        let own_guard = self.field_guard(&here, own_field);
        let from = match prefix {
            None => PathTerm {
                start: Start::Field(own_field),
                guard: own_guard,
                hops: vec![],
                ty: here.field(own_field).ty,
            },
            Some(mut walked) => {
                // The prefix ends at the record's pointer; one more hop reads the key it is known by over there.
                let last = here.field(own_field);
                let by = self.prefix_by(collection, steps)?;
                let reach = self.reach_guard(&here, name).map_err(|_| hidden())?;
                let guard = and_guards(and_guards(reach, own_guard), self.by_guard(&here, by)?);
                walked.hops.push(Hop {
                    target: here.id,
                    by,
                    field: own_field,
                    guard,
                });
                walked.ty = last.ty;
                walked
            }
        };
        Ok(Relation {
            from,
            target: target.id,
            via,
            far_by,
            guard,
            junction_guard,
        })
    }

    // Which field of the last step's target the last step's value equals.
    pub(super) fn prefix_by(&self, collection: &Collection, steps: &[String]) -> Resolved<FieldId> {
        let mut here = Arc::new(collection.clone());
        let mut by = here.key;
        for step in steps {
            let relation = here.find_field(step).and_then(|id| here.field(id).relation);
            let Some(relation) = relation else {
                return fail(format!("'{step}' is no relation"));
            };
            by = relation.by;
            here = Arc::clone(self.catalog.get(relation.target));
        }
        Ok(by)
    }
}
