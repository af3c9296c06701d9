//! New statements for cells that are allowed from now on.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::CollectionId;

use super::coverage::Names;
use super::{ActionTable, At, Said, Says, Span, WireName};
use crate::{ActionId, FaceScope, Permission};

/// What is to be granted: by action and place, to all, or to these operations of the face.
#[derive(Default)]
pub(super) struct Grants {
    pub plain: BTreeSet<(ActionId, At)>,
    pub via: BTreeMap<Via, BTreeSet<(ActionId, At)>>,
}

/// The operations something is granted to, and the collections it is not granted on.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Via {
    pub operations: Vec<WireName>,
    pub except: Vec<String>,
}

impl Grants {
    /// The statements. `shared` says which places a face has boxes for with an action, `fresh` whether a group of its
    /// actions has nothing but new ones among those that are allowed.
    pub fn statements(
        mut self,
        names: Names<'_>,
        table: &ActionTable,
        said: &[Said],
        shared: &BTreeMap<(ActionId, At), Vec<WireName>>,
        fresh: impl Fn(&str) -> bool,
    ) -> Vec<Permission> {
        let mut made = self.stars(names, table, said, shared, fresh);
        made.extend(listed(names, &self.plain, None));
        for (Via { operations, except }, cells) in &self.via {
            let scope = FaceScope {
                face: table.face().into(),
                operations: operations
                    .iter()
                    .map(|operation| table.name(*operation).to_owned())
                    .collect(),
            };
            let except = except.clone();
            made.extend(
                listed(names, cells, Some(scope))
                    .into_iter()
                    .map(|one| Permission {
                        except: except.clone(),
                        ..one
                    }),
            );
        }
        made
    }

    // A star that is new, as one statement, so that it covers what comes to be below it.
    fn stars(
        &mut self,
        names: Names<'_>,
        table: &ActionTable,
        said: &[Said],
        shared: &BTreeMap<(ActionId, At), Vec<WireName>>,
        fresh: impl Fn(&str) -> bool,
    ) -> Vec<Permission> {
        let mut made = vec![];
        if table.span() == Span::Each {
            return made;
        }
        let mut wildcards = table.wildcards().to_vec();
        wildcards.sort_by_key(|(_, ours)| *ours != "*");
        for (pattern, ours) in wildcards {
            let yes = said
                .iter()
                .any(|entry| entry.action == pattern && entry.says == Says::Yes);
            if !yes || !fresh(pattern) {
                continue;
            }
            let everything = ours == "*";
            let scope = names.actions.covered(ours);
            let whole = |action: &ActionId| {
                let mut places = shared
                    .keys()
                    .filter(|(known, _)| known == action)
                    .peekable();
                if everything {
                    places.all(|place| self.plain.contains(place))
                } else {
                    self.plain.contains(&(*action, At::Anywhere))
                }
            };
            let (granted, left): (Vec<ActionId>, Vec<ActionId>) =
                scope.into_iter().partition(whole);
            let except = names.words(&left);
            let ambiguous = except
                .iter()
                .any(|word| names.catalog.find_text(word).is_some());
            if !granted.iter().any(|action| self.is_plain(*action)) || ambiguous {
                continue;
            }
            let mut on = vec!["*".to_owned()];
            if everything {
                let system = names.catalog.iter().filter(|collection| collection.system);
                on.extend(system.map(|collection| collection.name.to_string()));
            }
            self.plain.retain(|(action, at)| {
                !granted.contains(action) || !everything && *at != At::Anywhere
            });
            made.push(Permission {
                actions: vec![ours.into()],
                on,
                except,
                ..Permission::default()
            });
        }
        made
    }

    fn is_plain(&self, action: ActionId) -> bool {
        self.plain.iter().any(|(known, _)| *known == action)
    }
}

/// Statements that allow these cells, as few as can be read easily.
pub(super) fn listed(
    names: Names<'_>,
    cells: &BTreeSet<(ActionId, At)>,
    via: Option<FaceScope>,
) -> Vec<Permission> {
    let mut by_place: BTreeMap<At, Vec<ActionId>> = BTreeMap::new();
    for (action, at) in cells {
        by_place.entry(*at).or_default().push(*action);
    }
    let mut by_actions: Vec<(Vec<ActionId>, Vec<CollectionId>)> = vec![];
    let mut made = vec![];
    let statement = |actions: &[ActionId], on: Vec<String>| Permission {
        actions: names.words(actions),
        on,
        via: via.clone(),
        ..Permission::default()
    };
    for (at, actions) in by_place {
        match at {
            At::Nothing => made.push(statement(&actions, vec![])),
            At::Anywhere => made.push(statement(&actions, vec!["*".into()])),
            At::Collection(id) => {
                match by_actions.iter_mut().find(|(known, _)| *known == actions) {
                    Some((_, collections)) => collections.push(id),
                    None => by_actions.push((actions, vec![id])),
                }
            }
        }
    }
    made.extend(by_actions.into_iter().map(|(actions, collections)| {
        let on = collections.iter().map(|id| names.collection(*id));
        statement(&actions, on.collect())
    }));
    made
}
