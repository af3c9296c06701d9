//! A face that writes a role changes what it has said otherwise, and nothing else.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use portreeve_model::{CollectionId, CollectionName, Condition, FieldType, KeySource};
use portreeve_policy::cells::{
    ActionTable, At, Cell, On, Rest, Rewritten, Said, Says, Standing, cells, statements,
    write_cells,
};
use portreeve_policy::{
    ActionId, Body, CollectionDefinition, Context, DEFAULT_NOW, Effect, FaceScope, Grant,
    Permission, Place, RequestFacts, RoleDefinition, RoleSet, Snapshot, role_from_json,
    role_to_json,
};
use portreeve_testkit::worlds::Dice;
use portreeve_testkit::{faces, stats, worlds};

/// A collection that is made after the role was written.
const LATER: &str = "later";

#[test]
fn cells_are_written_one_by_one() {
    let wanted = crate::cases(1_500);
    let tables = faces::tables();
    let (mut edits, mut touched, mut asked, mut kept) = (0, 0, 0, 0);
    for seed in 0.. {
        if edits >= wanted {
            break;
        }
        let mut world = worlds::world(seed);
        let mut dice = Dice::new(!seed ^ 0x00ce_1150);
        sprinkle(&mut dice, &mut world.document.roles);
        let Ok(snapshot) = Snapshot::compile(&world.document, 1) else {
            continue;
        };
        let later = CollectionDefinition {
            name: CollectionName::main(LATER),
            key: "id".into(),
            key_type: FieldType::Integer,
            key_source: KeySource::Sequence,
            fields: vec![],
            relations: vec![],
            indexes: vec![],
            existing: None,
            place: Place::default(),
        };
        let ordinary: Vec<CollectionId> = snapshot
            .catalog()
            .iter()
            .filter(|collection| !collection.system)
            .map(|collection| collection.id)
            .collect();
        for role in &world.document.roles {
            if role.administrator || !role.key.starts_with('r') {
                continue;
            }
            let table = dice.pick(&tables).clone();
            let shown = cells(role, &table, &snapshot, &ordinary);
            let back = said(
                &table,
                &snapshot,
                role,
                &shown.standing,
                &shown.inert,
                &BTreeSet::new(),
            );
            let same = write_cells(role, &table, &snapshot, &ordinary, &back, Rest::Off);
            let same = same.unwrap_or_else(|problem| panic!("{seed} {}: {problem}", role.key));
            assert_eq!(text(&same.role), text(role), "{seed} {}", role.key);
            assert!(same.touched.is_empty());
            kept += 1;

            let all: Vec<Cell> = shown.standing.keys().copied().collect();
            let turned = turn(&mut dice, &table, &shown.standing, &all);
            let new = said(
                &table,
                &snapshot,
                role,
                &shown.standing,
                &shown.inert,
                &turned,
            );
            let new = write_cells(role, &table, &snapshot, &ordinary, &new, Rest::Off);
            let new = new.unwrap_or_else(|problem| panic!("{seed} {}: {problem}", role.key));
            edits += 1;
            touched += new.touched.len();
            let written: BTreeSet<Cell> = new.touched.iter().copied().collect();
            assert_eq!(written, turned, "{seed} {}", role.key);

            // What is stored reads as it was written, and shows what was asked for.
            let stored = role_from_json(&role.key, &role_to_json(&new.role));
            let stored = stored.unwrap_or_else(|problems| panic!("{seed}: {}", problems[0]));
            assert_eq!(text(&stored), text(&new.role));
            let again = cells(&stored, &table, &snapshot, &ordinary);
            for (cell, standing) in &again.standing {
                let before = shown.standing[cell];
                if turned.contains(cell) {
                    assert_ne!(*standing == Standing::Denied, before == Standing::Denied);
                } else {
                    assert_eq!(
                        *standing,
                        before,
                        "{seed} {} {}",
                        role.key,
                        table.name(cell.action)
                    );
                }
            }

            let mut document = world.document.clone();
            document.collections.push(later.clone());
            let of = |role: &RoleDefinition| {
                let mut document = document.clone();
                let place = document
                    .roles
                    .iter()
                    .position(|known| known.key == role.key);
                document.roles[place.expect("the role")] = role.clone();
                let snapshot = Snapshot::compile(&document, 1).unwrap_or_else(|problems| {
                    panic!("{seed} {}: {}\n{}", role.key, problems[0], text(role))
                });
                let roles = snapshot.narrowing(std::slice::from_ref(&role.key));
                Held(snapshot, roles.expect("the role"), role.key.clone())
            };
            let question = Questions {
                seed,
                table: &table,
                role,
                old: of(role),
                new: of(&stored),
                edited: &snapshot,
                written: &new,
            };
            asked += question.ask(&shown.standing, &turned);
        }
    }
    assert!(touched > edits as usize, "{touched} cells in {edits} edits");
    stats::count("cells of faces", "memory", edits);
    stats::note(&format!(
        "cells of faces: {kept} roles written back as they were, {edits} with {touched} cells turned, {asked} questions beside them"
    ));
}

fn text(role: &RoleDefinition) -> String {
    role_to_json(role).to_string()
}

// What the worlds have little of: actions that are not on records, stars, faces, `implicit_allow`.
fn sprinkle(dice: &mut Dice, roles: &mut [RoleDefinition]) {
    let words = [
        "account",
        "account.read",
        "auth",
        "server",
        "server.now",
        "access.author",
        "data.schema",
    ];
    for role in roles.iter_mut().filter(|role| !role.administrator) {
        role.implicit_allow |= dice.percent(12);
        for _ in 0..dice.below(3) {
            let word = (*dice.pick(&words)).to_owned();
            let on = if word == "data.schema" {
                vec!["*".to_owned()]
            } else {
                vec![]
            };
            let mut one = Permission {
                actions: vec![word],
                on,
                ..Permission::default()
            };
            if dice.percent(15) {
                one.effect = Effect::Deny;
            }
            role.permissions.push(one);
        }
        if dice.percent(20) {
            let name = *dice.pick(&["roles", "users"]);
            role.permissions.push(Permission {
                actions: vec!["data.read".into()],
                on: vec![name.into(), "*".into()],
                ..Permission::default()
            });
        }
        if dice.percent(20) {
            role.permissions.push(Permission {
                actions: vec!["*".into()],
                on: vec!["*".into()],
                except: vec!["data.raw".into()],
                ..Permission::default()
            });
        }
        if dice.percent(35) {
            let operations = dice.some_of(
                &[
                    "document:search".to_owned(),
                    "document:get".into(),
                    "document:createOrReplace".into(),
                ],
                50,
            );
            let place = dice.below(role.permissions.len() + 1);
            role.permissions.insert(
                place,
                Permission {
                    effect: if dice.percent(25) {
                        Effect::Deny
                    } else {
                        Effect::Allow
                    },
                    actions: vec![
                        (*dice.pick(&["data.read", "data.create", "data.read.many"])).into(),
                    ],
                    on: vec!["*".into()],
                    via: Some(FaceScope {
                        face: (*dice.pick(&["kuzzle", "kuzzle", "strapi"])).into(),
                        operations,
                    }),
                    ..Permission::default()
                },
            );
        }
        if dice.percent(20) {
            role.permissions.push(Permission {
                actions: vec!["plugin:thing".into()],
                via: Some(FaceScope {
                    face: "kuzzle".into(),
                    operations: vec!["plugin:thing".into()],
                }),
                ..Permission::default()
            });
        }
    }
}

// The cells that shall say the opposite.
fn turn(
    dice: &mut Dice,
    table: &ActionTable,
    standing: &BTreeMap<Cell, Standing>,
    all: &[Cell],
) -> BTreeSet<Cell> {
    let percent = *dice.pick(&[3, 10, 40, 100]);
    let only = dice.below(3);
    all.iter()
        .copied()
        .filter(|cell| !table.needs(cell.action).is_empty())
        .filter(|cell| match only {
            0 => standing[cell] == Standing::Denied,
            1 => standing[cell] != Standing::Denied,
            _ => true,
        })
        .filter(|_| dice.percent(percent))
        .collect()
}

// The full set of cells, these turned. The matrix says all of what stands in the others.
fn said(
    table: &ActionTable,
    snapshot: &Snapshot,
    role: &RoleDefinition,
    standing: &BTreeMap<Cell, Standing>,
    inert: &[String],
    turned: &BTreeSet<Cell>,
) -> Vec<Said> {
    let mut all: Vec<Said> = standing
        .iter()
        .map(|(cell, standing)| {
            let collection = match (cell.at, table.on(cell.action)) {
                (At::Collection(id), On::Records) => Some(snapshot.catalog().get(id).name.clone()),
                _ => None,
            };
            let yes = (*standing != Standing::Denied) != turned.contains(cell);
            let mut said = Said::of(table.name(cell.action), collection, yes);
            if table.face() == "directus" && yes && !turned.contains(cell) {
                said.says = Says::Statements(statements(role, table, snapshot, *cell));
            }
            said
        })
        .collect();
    all.extend(inert.iter().map(|name| Said::of(name, None, true)));
    all
}

// A policy, somebody who holds the role, and its key.
struct Held(Snapshot, Arc<RoleSet>, String);

struct Questions<'a> {
    seed: u64,
    table: &'a ActionTable,
    role: &'a RoleDefinition,
    old: Held,
    new: Held,
    // Without the collection of later.
    edited: &'a Snapshot,
    written: &'a Rewritten,
}

impl Questions<'_> {
    fn ask(&self, standing: &BTreeMap<Cell, Standing>, turned: &BTreeSet<Cell>) -> u64 {
        let mut asked = 0;
        for cell in standing.keys() {
            let name = self.table.name(cell.action);
            for need in self.table.needs(cell.action) {
                for on in self.places(cell.at) {
                    asked += 1;
                    if !turned.contains(cell) {
                        self.same(*need, on, Some((self.table.face(), name)));
                        continue;
                    }
                    if self.role.when.is_some() {
                        continue;
                    }
                    let (allows, denies) =
                        in_force(&self.new, *need, on, Some((self.table.face(), name)));
                    if standing[cell] == Standing::Denied {
                        let open = allows.iter().any(is_unlimited) && denies.is_empty();
                        assert!(
                            open,
                            "{}: {name} on {on:?}: {allows:?} {denies:?}",
                            self.what()
                        );
                    }
                }
            }
            if turned.contains(cell) && standing[cell] != Standing::Denied {
                // Nowhere is all of it allowed any more.
                for on in self.places(cell.at) {
                    let some = self.table.needs(cell.action).iter().all(|need| {
                        let (allows, denies) =
                            in_force(&self.new, *need, on, Some((self.table.face(), name)));
                        !allows.is_empty() && !denies.iter().any(|deny| deny.is_plain())
                    });
                    assert!(!some, "{}: {name} on {on:?}", self.what());
                }
            }
        }
        // What no touched cell takes is as it was, through every face.
        let mut taken: BTreeSet<(ActionId, Option<CollectionId>)> = BTreeSet::new();
        let everywhere: Vec<Option<CollectionId>> = self
            .old
            .0
            .catalog()
            .iter()
            .map(|collection| Some(collection.id))
            .chain([None])
            .collect();
        for cell in &self.written.touched {
            for need in self.table.needs(cell.action) {
                if cell.at == At::Nothing {
                    taken.extend(everywhere.iter().map(|on| (*need, *on)));
                }
                taken.extend(self.places(cell.at).into_iter().map(|on| (*need, on)));
                if cell.at == At::Anywhere {
                    taken.insert((*need, None));
                }
            }
        }
        for action in self.old.0.actions().covered("*") {
            for on in &everywhere {
                if taken.contains(&(action, *on)) || action.is_record() && on.is_none() {
                    continue;
                }
                let through = [
                    None,
                    Some(("native", "")),
                    Some(("kuzzle", "document:search")),
                    Some(("strapi", "find")),
                    Some((self.table.face(), "unheard")),
                ];
                for request in through {
                    // A star says more than its parts: an action that no box names is its own.
                    asked += 1;
                    self.same(action, *on, request);
                }
            }
        }
        asked
    }

    // The collections a cell is about, in the catalog with one more.
    fn places(&self, at: At) -> Vec<Option<CollectionId>> {
        let named = |id: CollectionId| {
            let name = &self.edited.catalog().get(id).name;
            self.old.0.catalog().find(name).map(|found| found.id)
        };
        match at {
            At::Nothing => vec![None],
            At::Collection(id) => vec![named(id)],
            At::Anywhere => {
                let all = self.old.0.catalog().iter();
                all.filter(|collection| !collection.system)
                    .map(|collection| Some(collection.id))
                    .collect()
            }
        }
    }

    fn same(&self, action: ActionId, on: Option<CollectionId>, request: Option<(&str, &str)>) {
        let old = in_force(&self.old, action, on, request);
        let new = in_force(&self.new, action, on, request);
        assert!(
            old == new,
            "{}: {} on {:?} through {request:?}:\n{old:?}\n{new:?}",
            self.what(),
            self.old.0.actions().name(action),
            on.map(|id| self.old.0.catalog().get(id).name.to_string()),
        );
    }

    fn what(&self) -> String {
        let touched: Vec<String> = self
            .written
            .touched
            .iter()
            .map(|cell| format!("{} {:?}", self.table.name(cell.action), cell.at))
            .collect();
        format!(
            "world {} role {} under {}\n{}\n{}\ntouched {touched:?}\n",
            self.seed,
            self.role.key,
            self.table.face(),
            text(self.role),
            text(&self.written.role)
        )
    }
}

// The role's own statements for a request, without the conditions that have made them so.
fn in_force(
    Held(snapshot, roles, key): &Held,
    action: ActionId,
    on: Option<CollectionId>,
    request: Option<(&str, &str)>,
) -> (Vec<Body>, Vec<Body>) {
    let context = Context {
        now: DEFAULT_NOW,
        request: RequestFacts {
            face: request.map(|(face, _)| Arc::from(face)),
            operation: request.map(|(_, operation)| Arc::from(operation)),
            ..RequestFacts::default()
        },
        ..Context::default()
    };
    let rights = match on {
        Some(on) if action.is_record() => roles.rights(snapshot, on, action, &context),
        on => roles.special(snapshot, action, on, &context, true),
    };
    let own = |grants: &[Grant]| {
        let mut bodies: Vec<Body> = vec![];
        for grant in grants.iter().filter(|grant| *grant.role == **key) {
            let body = Body {
                when: None,
                via: None,
                ..(*grant.body).clone()
            };
            if !bodies.contains(&body) {
                bodies.push(body);
            }
        }
        bodies
    };
    let layer = &rights.layers()[0];
    let (mut allows, denies) = (own(&layer.allows), own(&layer.denies));
    // Whatever it allows there, nobody has it.
    if denies.iter().any(Body::is_plain) {
        allows.clear();
    }
    (allows, denies)
}

// A check of `true` is none.
fn is_unlimited(body: &Body) -> bool {
    let mut body = body.clone();
    body.check
        .take_if(|check| **check == Condition::Constant(true));
    body.is_plain()
}
