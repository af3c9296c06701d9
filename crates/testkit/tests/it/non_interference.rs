//! Non-interference: two databases that agree on everything a caller may read, and on what rules read, answer him
//! alike to the byte. Cells he may not read are changed in place between two runs of the same requests.

use std::collections::BTreeSet;

use portreeve_gate::{ListRequest, take_literals};
use portreeve_model::{
    CollectionName, Expand, FieldType, Literal, Operand, Page, Path, Query, SortBy, Value,
};
use portreeve_testkit::naive::{self, Aggregates, Answer, Request, Subject};
use portreeve_testkit::stats;
use portreeve_testkit::stored::{On, StoredWorld, json, list};
use portreeve_testkit::worlds::{self, Dice};

const REQUESTS_PER_SUBJECT: usize = 40;
const SUBJECTS_PER_WORLD: u64 = 4;

#[test]
fn what_may_not_be_read_cannot_be_told_from_answers() {
    cannot_be_told(On::Sqlite, crate::cases(20_000) as usize);
}

#[test]
fn what_may_not_be_read_cannot_be_told_from_answers_of_postgresql() {
    cannot_be_told(On::Postgres, crate::cases(6_000) as usize);
}

fn cannot_be_told(on: On, wanted: usize) {
    let (mut requests, mut changed, mut twins) = (0, 0, 0);
    crate::block_on(async {
        for seed in 0.. {
            if requests >= wanted {
                break;
            }
            let drawn = worlds::world(seed);
            let (first, _) = worlds::request(&drawn, seed);
            let mut stored = StoredWorld::new(on, &drawn, first.now).await;
            let named_in_rules = words(&drawn.document.to_yaml());
            for number in 0..SUBJECTS_PER_WORLD {
                let (subject, _) = worlds::request(&stored.world, seed * 100 + number);
                let asked: Vec<Asked> = (0..REQUESTS_PER_SUBJECT)
                    .map(|place| {
                        ask(
                            &stored,
                            &subject,
                            seed * 10_000 + number * 100 + place as u64,
                        )
                    })
                    .collect();
                let before = run(&stored, &subject, &asked).await;
                let hidden = hidden_cells(&stored, &subject, &named_in_rules);
                if hidden.is_empty() {
                    continue;
                }
                changed += change(&mut stored, &hidden, subject.now, seed).await;
                twins += 1;
                let after = run(&stored, &subject, &asked).await;
                for ((asked, before), after) in asked.iter().zip(&before).zip(&after) {
                    requests += 1;
                    assert_eq!(
                        before,
                        after,
                        "world {seed}, subject {number}: {subject:?}\n{asked:?}\nchanged: {hidden:?}\n{}",
                        stored.world.document.to_yaml()
                    );
                }
            }
        }
    });
    stats::count("non-interference", on.name(), requests as u64);
    stats::note(&format!(
        "non-interference on {}: {requests} requests over {twins} pairs of twins, {changed} unreadable cells changed, 0 differences",
        on.name()
    ));
}

#[derive(Debug)]
enum Asked {
    Plain(Request),
    List(Box<ListRequest>),
    Aggregates(Aggregates),
}

// A request of the whole grammar: fields, filters, sorts, search, totals, expansions, pages, readable or not.
fn ask(stored: &StoredWorld, subject: &Subject, seed: u64) -> Asked {
    let mut dice = Dice::new(seed);
    let (_, request) = worlds::request(&stored.world, seed);
    if dice.percent(35) {
        // Creates count up, and so answer differently by themselves; everything else is undone or refused.
        let harmless = !matches!(
            naive::answer(&stored.world, subject, &request),
            Answer::Stored { .. } | Answer::Deleted
        );
        if harmless {
            return Asked::Plain(request);
        }
    }
    if dice.percent(30) {
        let (_, aggregates) = worlds::aggregates(&stored.world, dice.throw());
        return Asked::Aggregates(aggregates);
    }
    let snapshot = stored.gate.snapshot();
    let collections: Vec<CollectionName> = snapshot
        .catalog()
        .iter()
        .filter(|collection| !collection.system || collection.name.to_string() == "users")
        .map(|collection| collection.name.clone())
        .collect();
    let name = dice.pick(&collections).clone();
    let collection = stored.collection(&name.to_string());
    let fields: Vec<String> = collection
        .fields
        .iter()
        .map(|field| field.name.to_string())
        .collect();
    let relations: Vec<String> = collection
        .fields
        .iter()
        .filter(|field| field.relation.is_some())
        .map(|field| field.name.to_string())
        .chain(
            collection
                .relations
                .iter()
                .map(|relation| relation.name.to_string()),
        )
        .collect();
    let mut asked = list(&name);
    let (_, other) = worlds::request(&stored.world, dice.throw());
    if let Request::List {
        collection,
        filter: Some(filter),
    } = other
        && collection == name.to_string()
    {
        asked.query.filter = Some(take_literals(filter, &mut asked.values));
    } else if dice.percent(50) {
        asked.query.filter = simple_filter(&mut dice, &collection, &mut asked.values);
    }
    let query: &mut Query = &mut asked.query;
    if dice.percent(50) {
        for _ in 0..=dice.below(2) {
            let field = dice.pick(&fields).clone();
            query.sort.push(SortBy {
                by: Operand::Path(Path(vec![field])),
                descending: dice.percent(50),
            });
        }
    }
    if dice.percent(25) {
        asked.values.push(Literal::Text(
            (*dice.pick(&["a", "b", "é", "x_", "1"])).into(),
        ));
        query.search = Some(Literal::Caller(asked.values.len() - 1));
    }
    query.total = dice.percent(40);
    if dice.percent(20) {
        query.fields = Some(vec![dice.pick(&fields).clone()]);
    }
    if !relations.is_empty() && dice.percent(30) {
        let relation = dice.pick(&relations).clone();
        query.expand.push(Expand {
            relation,
            fields: None,
            expand: vec![],
        });
    }
    query.page = Page::Offset;
    asked.limit = u32::try_from(1 + dice.below(6)).unwrap_or(1);
    asked.offset = dice.below(3) as u64;
    Asked::List(Box::new(asked))
}

// One comparison on any field, readable or not.
fn simple_filter(
    dice: &mut Dice,
    collection: &portreeve_model::Collection,
    values: &mut Vec<Literal>,
) -> Option<portreeve_model::Rule> {
    use portreeve_model::{CompareOp, Rule, TextOp};
    let field = dice.pick(&collection.fields).clone();
    let path = Operand::Path(Path(vec![field.name.to_string()]));
    if dice.percent(15) {
        return Some(Rule::IsNull(path));
    }
    let literal = match field.ty {
        FieldType::Text => Literal::Text((*dice.pick(&["", "a", "b", "é", "x_%"])).into()),
        FieldType::Integer => Literal::Number((*dice.pick(&["0", "1", "3"])).into()),
        FieldType::Decimal(_) => Literal::Number((*dice.pick(&["0.00", "0.50", "1.50"])).into()),
        FieldType::Boolean => Literal::Boolean(dice.percent(50)),
        FieldType::Timestamp => Literal::Text("2026-11-22T12:00:00Z".into()),
        _ => return None,
    };
    values.push(literal);
    let right = Operand::Literal(Literal::Caller(values.len() - 1));
    let text = field.ty == FieldType::Text && dice.percent(40);
    let rule = if text {
        Rule::Text {
            operand: path,
            op: TextOp::StartsWith,
            ignore_case: dice.percent(50),
            needle: right,
        }
    } else {
        let op = if field.ty == FieldType::Boolean {
            CompareOp::NotEqual
        } else {
            *dice.pick(&[
                CompareOp::Equal,
                CompareOp::NotEqual,
                CompareOp::Less,
                CompareOp::GreaterOrEqual,
            ])
        };
        Rule::Compare {
            left: path,
            op,
            right,
        }
    };
    Some(if dice.percent(30) {
        Rule::Not(Box::new(rule))
    } else {
        rule
    })
}

async fn run(stored: &StoredWorld, subject: &Subject, asked: &[Asked]) -> Vec<String> {
    let caller = stored.caller(subject);
    let mut answers = vec![];
    for asked in asked {
        answers.push(match asked {
            Asked::Plain(request) => format!("{:?}", stored.answer(&caller, request).await),
            Asked::List(request) => match stored.list(&caller, (**request).clone()).await {
                Ok((bytes, outcome)) => format!("{} {outcome:?}", String::from_utf8_lossy(&bytes)),
                Err(refused) => refused,
            },
            Asked::Aggregates(asked) => format!("{:?}", stored.aggregate(&caller, asked).await),
        });
    }
    answers
}

/// A cell: collection, key, field.
type Cell = (String, String, String);

// Cells that no read of the subject shows and no rule names. Keys, references and unique values stay: their
// collisions are answered in general words, and are no part of this property.
fn hidden_cells(stored: &StoredWorld, subject: &Subject, named: &BTreeSet<String>) -> Vec<Cell> {
    let mut hidden = vec![];
    for (name, records) in &stored.world.records {
        let collection = stored.collection(name);
        let listed = naive::answer(
            &stored.world,
            subject,
            &Request::List {
                collection: name.clone(),
                filter: None,
            },
        );
        for key in records.keys() {
            let request = Request::Read {
                collection: name.clone(),
                key: key.clone(),
            };
            let one = match naive::answer(&stored.world, subject, &request) {
                Answer::Shown(record) => record,
                _ => naive::Record::new(),
            };
            let many = match &listed {
                Answer::Listed(records) => records
                    .iter()
                    .find(|(known, _)| known == key)
                    .map(|(_, record)| record.clone()),
                _ => None,
            }
            .unwrap_or_default();
            for field in &collection.fields {
                let free = *field.name != *collection.key_field().name
                    && field.relation.is_none()
                    && !field.unique
                    && !named.contains(&*field.name);
                // A null that is shown may be a null that is there: only absence or a mask over a value hides.
                let stored_value = records[key].get(&*field.name);
                let shows = |record: &naive::Record| match (record.get(&*field.name), stored_value)
                {
                    (None, _) => false,
                    (Some(Value::Null), Some(_)) => false,
                    (Some(_), _) => true,
                };
                if free && stored_value.is_some() && !shows(&one) && !shows(&many) {
                    hidden.push((name.clone(), key.clone(), field.name.to_string()));
                }
            }
        }
    }
    hidden
}

async fn change(stored: &mut StoredWorld, hidden: &[Cell], now: i64, seed: u64) -> usize {
    let operator = stored.gate.operator(now);
    let mut dice = Dice::new(seed ^ 0x5EED);
    let mut changed = 0;
    for (name, key, field) in hidden {
        let collection = stored.collection(name);
        let declared = collection.field(collection.find_field(field).expect("a field"));
        let value = match declared.ty {
            FieldType::Text => Value::from(*dice.pick(&["hidden", "a", "b", "zzz", ""])),
            FieldType::Boolean => Value::Boolean(dice.percent(50)),
            FieldType::Timestamp => Value::Integer(now + 1_000_000 * dice.below(9_000) as i64),
            _ => Value::Integer(dice.below(900) as i64),
        };
        let mut record = naive::Record::from([(field.clone(), value.clone())]);
        // What is kept of the change itself may be readable, and the twins agree on that.
        let known = stored.world.records.get(name).and_then(|of| of.get(key));
        for kept in collection.fields.iter().filter(|it| it.kept.is_some()) {
            let as_it_was = known.and_then(|known| known.get(&*kept.name)).cloned();
            record
                .entry(kept.name.to_string())
                .or_insert(as_it_was.unwrap_or(Value::Null));
        }
        let update =
            stored
                .gate
                .update(&operator, &collection.name, key, json(&collection, &record));
        stored
            .store
            .update(update.expect("the operator may"))
            .await
            .expect("the store works");
        if let Some(known) = stored
            .world
            .records
            .get_mut(name)
            .and_then(|records| records.get_mut(key))
        {
            known.insert(field.clone(), value);
        }
        changed += 1;
    }
    changed
}

// Every word of the rules part of a document: what is not among them no rule reads.
fn words(yaml: &str) -> BTreeSet<String> {
    let rules = yaml.find("\nrules:").map_or(yaml, |place| &yaml[place..]);
    let mut words = BTreeSet::new();
    for line in rules.lines() {
        // Field lists grant; only rows, checks, presets and conditions read.
        let read = line.split("fields:").next().unwrap_or_default();
        for text in [read, line.split_once(']').map_or("", |(_, rest)| rest)] {
            words.extend(
                text.split(|c: char| !(c.is_alphanumeric() || c == '_'))
                    .map(str::to_owned),
            );
        }
    }
    words
}
