//! Cells cut out of a statement that covers more.

use std::collections::{BTreeMap, BTreeSet};

use portreeve_model::{CollectionId, Rule};

use super::At;
use super::coverage::Names;
use crate::{ActionId, FaceScope, Permission};

/// What becomes of a statement in a cell it covers.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Becomes {
    /// Nothing.
    Gone,
    /// The same for requests of which this is true as well.
    When(Rule),
    /// The same for these operations of the face only.
    Via(FaceScope),
}

/// The statement with something else said of these cells. What comes of it stands in its place, in this order.
pub(super) fn cut(
    names: Names<'_>,
    permission: &Permission,
    cells: &BTreeMap<(ActionId, At), Becomes>,
) -> Vec<Permission> {
    let touched: Vec<(ActionId, At, &Becomes)> = cells
        .iter()
        .filter(|((action, at), _)| names.touches(permission, *action, *at))
        .map(|((action, at), becomes)| (*action, *at, becomes))
        .collect();
    if touched.is_empty() {
        return vec![permission.clone()];
    }
    // What a face wrote was this statement, not what is left of it.
    let whole = Permission {
        source: None,
        ..permission.clone()
    };
    let mut parts = rest(names, whole.clone(), &touched);
    let mut others: Vec<(&Becomes, Vec<(ActionId, At)>)> = vec![];
    for (action, at, becomes) in &touched {
        if **becomes == Becomes::Gone {
            continue;
        }
        match others.iter_mut().find(|(known, _)| known == becomes) {
            Some((_, cells)) => cells.push((*action, *at)),
            None => others.push((becomes, vec![(*action, *at)])),
        }
    }
    for (becomes, cells) in others {
        for mut piece in pieces(names, &whole, &cells) {
            match becomes {
                Becomes::Gone => {}
                Becomes::When(rule) => piece.when = Some(both(piece.when.take(), rule)),
                Becomes::Via(scope) => piece.via = Some(scope.clone()),
            }
            parts.push(piece);
        }
    }
    parts
}

// Two conditions; of one that is there already, nothing more is said.
fn both(old: Option<Rule>, new: &Rule) -> Rule {
    match old {
        None => new.clone(),
        Some(Rule::All(mut parts)) => {
            if !parts.contains(new) {
                parts.push(new.clone());
            }
            Rule::All(parts)
        }
        Some(old) if old == *new => old,
        Some(old) => Rule::All(vec![old, new.clone()]),
    }
}

// What the statement says of all other cells.
fn rest(
    names: Names<'_>,
    whole: Permission,
    touched: &[(ActionId, At, &Becomes)],
) -> Vec<Permission> {
    let at = |wanted: At| -> Vec<ActionId> {
        let those = touched.iter().filter(|(_, at, _)| *at == wanted);
        those.map(|(action, ..)| *action).collect()
    };
    let mut parts = vec![];
    // There is no word for "where it is about nothing": such an action goes for all collections alike.
    let whole = without_actions(names, whole, &at(At::Nothing));
    let (system, ordinary) = system_and_ordinary(names, whole, !at(At::Anywhere).is_empty());
    parts.extend(system);
    parts.extend(ordinary.map(|one| without_actions(names, one, &at(At::Anywhere))));
    let mut by_actions: BTreeMap<Vec<ActionId>, BTreeSet<CollectionId>> = BTreeMap::new();
    let mut of: BTreeMap<CollectionId, Vec<ActionId>> = BTreeMap::new();
    for (action, at, _) in touched {
        if let At::Collection(id) = at {
            of.entry(*id).or_default().push(*action);
        }
    }
    for (id, actions) in of {
        by_actions.entry(actions).or_default().insert(id);
    }
    for (actions, collections) in by_actions {
        let mut next = vec![];
        for part in parts {
            let covered: Vec<CollectionId> = collections
                .iter()
                .copied()
                .filter(|id| {
                    actions
                        .iter()
                        .any(|action| names.touches(&part, *action, At::Collection(*id)))
                })
                .collect();
            if covered.is_empty() {
                next.push(part);
                continue;
            }
            next.extend(without_collections(names, &part, &covered));
            let there = only(names, &part, &covered);
            next.push(without_actions(names, there, &actions));
        }
        parts = next;
    }
    parts.retain(|part| !is_empty(names, part));
    parts
}

// The statement in these cells alone.
fn pieces(names: Names<'_>, whole: &Permission, cells: &[(ActionId, At)]) -> Vec<Permission> {
    let mut by_place: BTreeMap<At, Vec<ActionId>> = BTreeMap::new();
    for (action, at) in cells {
        by_place.entry(*at).or_default().push(*action);
    }
    let mut by_actions: Vec<(Vec<ActionId>, Vec<At>)> = vec![];
    for (at, actions) in by_place {
        match by_actions.iter_mut().find(|(known, _)| *known == actions) {
            Some((_, places)) => places.push(at),
            None => by_actions.push((actions, vec![at])),
        }
    }
    let mut made = vec![];
    for (actions, places) in by_actions {
        let words = names.words(&actions);
        let mut collections = vec![];
        for at in places {
            match at {
                At::Collection(id) => collections.push(id),
                At::Nothing => made.push(Permission {
                    actions: words.clone(),
                    on: vec![],
                    except: vec![],
                    ..whole.clone()
                }),
                At::Anywhere => {
                    let (_, ordinary) = system_and_ordinary(names, whole.clone(), true);
                    made.extend(ordinary.map(|ordinary| {
                        let mut ordinary = explicit(ordinary);
                        ordinary.except.retain(|word| is_place(names, word));
                        Permission {
                            actions: words.clone(),
                            ..ordinary
                        }
                    }));
                }
            }
        }
        if !collections.is_empty() {
            made.push(Permission {
                actions: words,
                except: vec![],
                ..only(names, whole, &collections)
            });
        }
    }
    made
}

/// A statement in one cell alone, for these of its actions.
pub(super) fn in_cell(
    names: Names<'_>,
    permission: &Permission,
    actions: &[ActionId],
    at: At,
) -> Permission {
    let mut one = Permission {
        actions: names.words(actions),
        source: None,
        place: crate::Place::default(),
        ..permission.clone()
    };
    match at {
        At::Nothing => one.on = vec![],
        At::Anywhere => {
            let (_, ordinary) = system_and_ordinary(names, one.clone(), true);
            one.on = ordinary.map_or(vec![], |ordinary| explicit(ordinary).on);
        }
        At::Collection(id) => one.on = vec![names.collection(id)],
    }
    one.except
        .retain(|word| at == At::Anywhere && is_place(names, word));
    one
}

// A statement that names no collection is about all of them.
fn explicit(mut permission: Permission) -> Permission {
    if permission.on.is_empty() {
        permission.on = vec!["*".into()];
    }
    permission
}

// Whether a word of `except` leaves out collections and nothing else.
fn is_place(names: Names<'_>, word: &str) -> bool {
    word.ends_with("/*") || names.catalog.find_text(word).is_some()
}

// The two halves of what it covers, where they have to be told apart.
fn system_and_ordinary(
    names: Names<'_>,
    whole: Permission,
    apart: bool,
) -> (Option<Permission>, Option<Permission>) {
    let system = |word: &String| {
        let found = names.catalog.find_text(word);
        found.is_some_and(|found| found.system)
    };
    if !apart || !whole.on.iter().any(system) {
        return (None, Some(whole));
    }
    let (of_system, ordinary): (Vec<String>, Vec<String>) =
        whole.on.iter().cloned().partition(system);
    let half = |on: Vec<String>| {
        (!on.is_empty()).then(|| Permission {
            on,
            ..whole.clone()
        })
    };
    (half(of_system), half(ordinary))
}

fn without_actions(names: Names<'_>, mut part: Permission, actions: &[ActionId]) -> Permission {
    let covered: Vec<ActionId> = actions
        .iter()
        .copied()
        .filter(|action| names.has_action(&part, *action))
        .collect();
    if covered.is_empty() {
        return part;
    }
    for word in names.words(&covered) {
        part.actions
            .retain(|known| !crate::pattern_covers(&word, known));
        let left = names.actions.covered(&word);
        if !left.iter().any(|action| names.has_action(&part, *action)) {
            continue;
        }
        // A word that is a collection's name too would leave that out as well.
        if names.catalog.find_text(&word).is_some() {
            let all = names.actions.covered("*");
            let kept: Vec<ActionId> = all
                .into_iter()
                .filter(|action| names.has_action(&part, *action) && !left.contains(action))
                .collect();
            part.actions = names.words(&kept);
            continue;
        }
        part.except
            .retain(|known| is_place(names, known) || !crate::pattern_covers(&word, known));
        part.except.push(word);
    }
    shorten(names, &mut part);
    part
}

// `except: [data.read.one, data.read.many, data.read.count]` is `except: data.read`.
fn shorten(names: Names<'_>, part: &mut Permission) {
    let (places, words): (Vec<String>, Vec<String>) = part
        .except
        .drain(..)
        .partition(|word| is_place(names, word));
    let mut left_out = vec![];
    for word in &words {
        left_out.extend(names.actions.covered(word));
    }
    part.except = places;
    let short = names.words(&left_out);
    part.except.extend(if short.len() < words.len() {
        short
    } else {
        words
    });
}

fn without_collections(
    names: Names<'_>,
    part: &Permission,
    gone: &[CollectionId],
) -> Option<Permission> {
    let mut rest = explicit(part.clone());
    for id in gone {
        let collection = names.catalog.get(*id);
        rest.on
            .retain(|word| word.ends_with('*') || !names.on(word, collection));
        if rest.on.iter().any(|word| names.on(word, collection)) {
            rest.except.push(names.collection(*id));
        }
    }
    (!rest.on.is_empty()).then_some(rest)
}

fn only(names: Names<'_>, part: &Permission, collections: &[CollectionId]) -> Permission {
    let mut there = part.clone();
    there.on = collections.iter().map(|id| names.collection(*id)).collect();
    there.except.retain(|word| !is_place(names, word));
    there
}

// Whether it covers nothing that is there or may come.
fn is_empty(names: Names<'_>, part: &Permission) -> bool {
    // What only a face knows is covered by nothing and stays.
    let means = |word: &String| !names.actions.covered(word).is_empty();
    if !part.actions.is_empty() && !part.actions.iter().any(means) {
        return false;
    }
    let all = names.actions.covered("*");
    !all.into_iter().any(|action| names.has_action(part, action))
}
