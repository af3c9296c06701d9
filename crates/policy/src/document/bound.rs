//! What a document says of single accounts and of mails: `bindings:` and `templates:`.

use super::node::{Kind, Mark, Node};
use super::reader::Reader;
use super::{AccountBindings, Binding, BoundTo, PlacedBinding, TemplateDefinition, TemplateWords};

const TEMPLATE: &[&str] = &["subject", "text", "html"];

impl Binding {
    /// To a role, without limits.
    pub fn to_role(role: &str) -> Self {
        Self {
            to: BoundTo::Role(role.into()),
            ..Self::default()
        }
    }
}

impl Reader<'_> {
    pub(super) fn account_bindings(
        &mut self,
        key: &str,
        mark: Mark,
        node: &Node,
    ) -> Option<AccountBindings> {
        let place = self.place(mark);
        let one = |reader: &mut Self, node: &Node| {
            let place = reader.place(node.mark);
            let binding = match node.kind {
                Kind::Text(..) => Binding::to_role(reader.dashed_name(node)?),
                Kind::Map(_) => reader.binding(node)?,
                _ => {
                    reader.wrong_type(node, "a role (a text) or a binding (a mapping)");
                    return None;
                }
            };
            Some((PlacedBinding { binding, place }, node.mark))
        };
        let bindings = match &node.kind {
            Kind::Text(..) => vec![one(self, node)?],
            _ => self.list(node, "a list of bindings; [] is none", one)?,
        };
        let mut kept: Vec<PlacedBinding> = vec![];
        for (bound, mark) in bindings {
            if bound.binding.primary && kept.iter().any(|known| known.binding.primary) {
                self.problem(mark, "conflict", "one binding of an account is 'primary'");
            }
            kept.push(bound);
        }
        Some(AccountBindings {
            account: key.into(),
            bindings: kept,
            place,
        })
    }

    pub(super) fn template(
        &mut self,
        key: &str,
        mark: Mark,
        node: &Node,
    ) -> Option<TemplateDefinition> {
        let place = self.place(mark);
        let words = match node.kind {
            Kind::Null => None,
            _ => {
                let fields = self.fields(node, TEMPLATE)?;
                let subject = self.need(&fields, "subject", Self::owned_text);
                let text = self.need(&fields, "text", Self::owned_text);
                Some(TemplateWords {
                    html: self.get(&fields, "html", Self::owned_text),
                    subject: subject?,
                    text: text?,
                })
            }
        };
        Some(TemplateDefinition {
            name: key.into(),
            words,
            place,
        })
    }
}

impl Binding {
    /// Whether two lead to the same, with the same restriction, whatever their times.
    pub fn leads_like(&self, other: &Self) -> bool {
        let names = |binding: &Self| {
            let mut names = binding.restricted_to.clone();
            if let Some(names) = &mut names {
                names.sort();
            }
            names
        };
        self.to == other.to && names(self) == names(other)
    }
}
