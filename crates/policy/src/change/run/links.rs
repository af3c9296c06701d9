//! The relations of a change: which lead to what was in reach in the beginning, and which to what is made on the way.

use portreeve_model::{CollectionId, FieldId, Value};

use super::{ChangeRun, Task, sent};
use crate::Link;
use crate::change::{Fill, Refusal};

impl<'t, E> ChangeRun<'t, E> {
    pub(super) fn fill(&self, step: usize, field: FieldId) -> Option<&'t Fill> {
        let steps = self.steps;
        steps[step].fills.iter().find(|fill| fill.field == field)
    }

    // What a relation is set to, as far as that is known before anything is written.
    pub(super) fn start_value(&self, step: usize, link: usize) -> Option<&Value> {
        let write = self.writing(step)?.write;
        let field = write.template.links().get(link)?.field;
        let value = match self.fill(step, field) {
            Some(fill) => self.old(fill.step)?.get(fill.by),
            None => sent(write, field)?,
        };
        (!value.is_null()).then_some(value)
    }

    pub(super) fn link_key(&self, step: usize, link: usize) -> Option<(u64, FieldId, Value)> {
        let value = self.start_value(step, link)?.clone();
        let template = &self.writing(step)?.write.template;
        Some((template.id(), template.links()[link].field, value))
    }

    // The first relation of the present attempt that leads out of reach, or those that only the end can tell of.
    pub(super) fn bad_link(&self, step: usize) -> Option<Result<Vec<(usize, Value)>, FieldId>> {
        let writing = self.writing(step)?;
        let template = &writing.write.template;
        let mut late = vec![];
        for (link, value) in writing.session.as_ref()?.links() {
            let key = (template.id(), link.field, value.clone());
            match self.reached.get(&key) {
                Some(true) => {}
                // What is there in the beginning is judged by how it is then; what is not may be made on the way.
                _ if self.makes(link.target) => {
                    let place = template
                        .links()
                        .iter()
                        .position(|it| it.field == link.field)?;
                    late.push((place, value.clone()));
                }
                _ => return Some(Err(link.field)),
            }
        }
        Some(Ok(late))
    }

    pub(super) fn makes(&self, collection: CollectionId) -> bool {
        self.tasks.iter().any(|task| match task {
            Task::Write(writing) => {
                writing.old.is_none() && writing.write.template.collection().id == collection
            }
            Task::Delete(..) | Task::Left => false,
        })
    }

    pub(super) fn made(&self, link: &Link, value: &Value) -> bool {
        self.tasks.iter().any(|task| match task {
            Task::Write(writing) => {
                writing.old.is_none()
                    && writing.write.template.collection().id == link.target
                    && writing
                        .record
                        .as_ref()
                        .is_some_and(|record| record.get(link.by) == value)
            }
            Task::Delete(..) | Task::Left => false,
        })
    }

    pub(super) fn dangling(&self, step: usize) -> Option<Refusal<E>> {
        let writing = self.writing(step)?;
        let links = writing.write.template.links();
        let mut late = writing.late.iter();
        let (link, _) = late.find(|(link, value)| !self.made(&links[*link], value))?;
        Some(Refusal::BadLink(links[*link].field))
    }
}
