//! Which actions and collections a permission covers.

use std::collections::BTreeSet;

use portreeve_model::CollectionId;

use super::Compiler;
use crate::snapshot::SpecialTarget;
use crate::{ActionId, Permission, Place, pattern_covers, suggestion};

impl Compiler<'_> {
    pub(super) fn covered_actions(
        &mut self,
        permission: &Permission,
    ) -> Option<(u16, Vec<ActionId>)> {
        let mut covered = BTreeSet::new();
        for pattern in &permission.actions {
            let found = self.actions.covered(pattern);
            if found.is_empty() {
                // A face's own names are kept, inert: the face that stored them shows them back.
                if permission.via.is_some() {
                    continue;
                }
                let message = if pattern.split('.').next() == Some("files") {
                    format!("'{pattern}' is reserved for a later version")
                } else {
                    let hint = suggestion(pattern, self.actions.patterns());
                    format!(
                        "there is no action '{pattern}'{hint}; declare your own under 'actions:'"
                    )
                };
                self.fail(&permission.place, "unknown_action", message);
                return None;
            }
            covered.extend(found);
        }
        for pattern in &permission.except {
            if self.actions.patterns().contains(&pattern.as_str()) {
                covered.retain(|action| !pattern_covers(pattern, self.actions.name(*action)));
            }
        }
        let record = covered
            .iter()
            .filter(|action| action.is_record())
            .fold(0, |bits, action| bits | action.bit());
        Some((
            record,
            covered
                .into_iter()
                .filter(|action| !action.is_record())
                .collect(),
        ))
    }

    // What `on` and `except` name; None where something is wrong.
    pub(super) fn targets(
        &mut self,
        permission: &Permission,
        needs: bool,
    ) -> Option<(Vec<SpecialTarget>, BTreeSet<CollectionId>)> {
        let place = &permission.place;
        if permission.on.is_empty() {
            if needs
                && permission
                    .actions
                    .iter()
                    .any(|action| action.starts_with("data"))
            {
                self.fail(
                    place,
                    "missing_key",
                    "'on' is missing: name the collections, or \"*\" for all".into(),
                );
                return None;
            }
            return Some((vec![SpecialTarget::Anything], self.excepted(permission)?));
        }
        let mut targets = vec![];
        for name in &permission.on {
            if name == "*" {
                targets.push(SpecialTarget::Anything);
            } else if let Some(namespace) = name.strip_suffix("/*") {
                targets.push(SpecialTarget::Namespace(namespace.into()));
            } else {
                targets.push(SpecialTarget::Collection(
                    self.collection(place, "on", name)?,
                ));
            }
        }
        Some((targets, self.excepted(permission)?))
    }

    pub(super) fn excepted(&mut self, permission: &Permission) -> Option<BTreeSet<CollectionId>> {
        let mut except = BTreeSet::new();
        for name in &permission.except {
            // A word that is both a collection's name and the beginning of an action leaves both out.
            if let Some(collection) = self.catalog.find_text(name) {
                except.insert(collection.id);
                continue;
            }
            if self.actions.patterns().contains(&name.as_str()) {
                continue;
            }
            if let Some(namespace) = name.strip_suffix("/*") {
                except.extend(
                    self.catalog
                        .iter()
                        .filter(|collection| collection.name.namespace() == namespace)
                        .map(|collection| collection.id),
                );
            } else {
                except.insert(self.collection(&permission.place, "except", name)?);
            }
        }
        Some(except)
    }

    pub(super) fn collection(
        &mut self,
        place: &Place,
        key: &str,
        name: &str,
    ) -> Option<CollectionId> {
        if let Some(collection) = self.catalog.find_text(name) {
            return Some(collection.id);
        }
        let names: Vec<String> = self
            .catalog
            .iter()
            .map(|collection| collection.name.to_string())
            .collect();
        let hint = suggestion(name, names.iter().map(String::as_str));
        self.fail(
            place,
            "unknown_collection",
            format!("{key}: there is no collection '{name}'{hint}"),
        );
        None
    }
}
