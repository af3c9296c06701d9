//! `bookkeeping:`, in short and in full.

use portreeve_model::{CollectionName, FieldType, Kept, OnDelete};
use serde_json::{Map, Value as Json};

use super::node::{Kind, Mark, Node};
use super::read::USERS;
use super::reader::Reader;
use super::report::shown;
use super::{FieldDefinition, ReferenceDefinition};

impl Reader<'_> {
    /// `true`, or names for those that are wanted. They become fields, none of which may have a name that is taken.
    pub(super) fn bookkeeping(
        &mut self,
        node: &Node,
        taken: &[String],
    ) -> Option<Vec<FieldDefinition>> {
        let mut wanted: Vec<(Kept, String, Mark)> = vec![];
        match &node.kind {
            Kind::Boolean(false) => {}
            Kind::Boolean(true) => {
                wanted.extend(Kept::ALL.map(|kept| (kept, kept.word().into(), node.mark)));
            }
            Kind::Map(_) => {
                let fields = self.fields(node, &Kept::ALL.map(Kept::word))?;
                for kept in Kept::ALL {
                    let name = self.get(&fields, kept.word(), |reader, node| {
                        let name = reader.free_name(node)?;
                        Some((name.to_owned(), node.mark))
                    });
                    wanted.extend(name.map(|(name, mark)| (kept, name, mark)));
                }
            }
            _ => {
                let expected = "true, or a mapping such as { created_at: made_at }";
                self.wrong_type(node, expected);
                return None;
            }
        }
        let mut made: Vec<FieldDefinition> = vec![];
        for (kept, name, mark) in wanted {
            if taken.contains(&name) || made.iter().any(|field| field.name == name) {
                let message = format!(
                    "{} is taken already; name it otherwise: {{ {}: … }}",
                    shown(&name),
                    kept.word()
                );
                self.problem(mark, "conflict", message);
                continue;
            }
            let place = self.place(mark);
            let (ty, to) = if kept.is_user() {
                let to = ReferenceDefinition {
                    collection: CollectionName::main(USERS),
                    by_number: false,
                    by_field: None,
                    on_delete: OnDelete::SetNull,
                };
                (None, Some(to))
            } else {
                (Some(FieldType::Timestamp), None)
            };
            made.push(FieldDefinition {
                name,
                ty,
                to,
                required: false,
                unique: false,
                default: None,
                self_writable: false,
                kept: Some(kept),
                existing: None,
                place,
            });
        }
        Some(made)
    }
}

/// The same as JSON; `None` where nothing is kept.
pub(super) fn bookkeeping_to_json(fields: &[FieldDefinition]) -> Option<Json> {
    let kept: Vec<(Kept, &str)> = fields
        .iter()
        .filter_map(|field| Some((field.kept?, field.name.as_str())))
        .collect();
    if kept.is_empty() {
        return None;
    }
    if kept.len() == Kept::ALL.len() && kept.iter().all(|(kept, name)| kept.word() == *name) {
        return Some(Json::Bool(true));
    }
    let names = kept
        .iter()
        .map(|(kept, name)| (kept.word().to_owned(), Json::from(*name)));
    Some(Json::Object(names.collect::<Map<String, Json>>()))
}
