//! `overflow:`, undeclared fields.

use portreeve_model::{FieldType, OVERFLOW};

use super::FieldDefinition;
use super::node::{Mark, Node};
use super::reader::Reader;
use super::report::shown;

impl Reader<'_> {
    /// `true` makes the column that undeclared fields are kept in.
    pub(super) fn overflow(&mut self, node: &Node) -> Option<FieldDefinition> {
        self.boolean(node)?.then(|| FieldDefinition {
            name: OVERFLOW.into(),
            ty: Some(FieldType::Overflow),
            to: None,
            required: false,
            unique: false,
            default: None,
            self_writable: false,
            kept: None,
            existing: None,
            place: self.place(node.mark),
        })
    }

    /// A field's name that is not that of this column.
    pub(super) fn free_name<'n>(&mut self, node: &'n Node) -> Option<&'n str> {
        let name = self.field_name(node)?;
        self.refuse_overflow_name(name, node.mark);
        Some(name)
    }

    /// Nothing else has the name of that column, in no collection: what is kept under it would come to be shown as
    /// undeclared fields the day they are allowed.
    pub(super) fn refuse_overflow_name(&mut self, name: &str, mark: Mark) {
        if name == OVERFLOW {
            let message = format!(
                "{} is the column undeclared fields are kept in; choose another name",
                shown(name)
            );
            self.problem(mark, "reserved_name", message);
        }
    }
}

/// Whether a field is where undeclared ones are kept.
pub(super) fn is_overflow(field: &FieldDefinition) -> bool {
    field.ty == Some(FieldType::Overflow)
}
