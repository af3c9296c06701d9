//! Roles like others: often a little less than they say, sometimes more.

use portreeve_model::Rule;
use portreeve_policy::{Permission, RoleDefinition};

use super::rules::{Purpose, condition, predicate};
use super::{Dice, rights};
use crate::naive::World;
use crate::naive::schema::Collection;

/// A role made from another one of the world's.
pub fn variant(dice: &mut Dice, world: &World, role: &RoleDefinition, key: &str) -> RoleDefinition {
    let mut variant = RoleDefinition {
        key: key.into(),
        fallback: false,
        ..role.clone()
    };
    let least = if dice.percent(30) { 100 } else { 65 };
    variant.permissions = dice.some_of(&role.permissions, least);
    for permission in &mut variant.permissions {
        for _ in 0..dice.weighted(&[(45, 0), (35, 1), (20, 2)]) {
            bend(dice, world, permission);
        }
    }
    if dice.percent(8) {
        let place = dice.below(variant.permissions.len() + 1);
        let other = rights::permission(dice, world, std::slice::from_ref(&role.key));
        variant.permissions.insert(place, other);
    }
    if dice.percent(6) {
        variant.when = Some(condition(dice, std::slice::from_ref(&role.key)));
    }
    if dice.percent(4) {
        variant.permissions.reverse();
    }
    variant
}

fn bend(dice: &mut Dice, world: &World, permission: &mut Permission) {
    let named = permission.on.iter().all(|name| !name.contains('*'));
    let about_records = permission
        .actions
        .iter()
        .all(|action| action.starts_with("data."));
    if !named || !about_records || permission.on.is_empty() {
        permission.when = Some(condition(dice, &["r1".into()]));
        return;
    }
    let on: Vec<Collection> = permission
        .on
        .iter()
        .map(|name| world.collection(name))
        .collect();
    let writes = permission
        .actions
        .iter()
        .all(|action| action.starts_with("data.create") || action.starts_with("data.update"));
    let more = |dice: &mut Dice, rule: Option<Rule>, purpose| {
        let other = predicate(dice, world, &on, purpose, 1);
        match rule {
            None => other,
            Some(rule) if dice.percent(85) => Rule::All(vec![other, rule]),
            Some(rule) => Rule::Any(vec![rule, other]),
        }
    };
    match dice.below(10) {
        0..3 => permission.rows = Some(more(dice, permission.rows.take(), Purpose::Rows)),
        3..5 if writes => {
            let purpose = Purpose::Check { old: false };
            permission.check = Some(more(dice, permission.check.take(), purpose));
        }
        5 if writes => permission.check = None,
        6 => permission.rows = None,
        7 => {
            permission.presets.clear();
            permission.defaults.clear();
        }
        8 => permission.when = Some(condition(dice, &["r1".into()])),
        _ => {
            let all: Vec<String> = match &permission.fields {
                Some(fields) => fields.clone(),
                None => rights::shared_fields(world, &on),
            };
            permission.fields = Some(dice.some_of(&all, 70));
        }
    }
}
