//! Explanations are right, sufficient and minimal; suggestions flip what they promise to flip.

use std::sync::Arc;

use portreeve_model::{FieldId, Value};
use portreeve_policy::{
    ActionId, Addition, Asker, CREATE_ONE, Clause, DELETE_ONE, Document, Effect, MemoryWorld,
    Permission, Question, READ_ONE, Record, Scope, Snapshot, Suggestion, UPDATE_ONE, decision_with,
    explain, parse_rule,
};
use portreeve_testkit::naive::{Answer, Request, World};
use portreeve_testkit::{compiled, worlds};

struct Case {
    world: World,
    memory: MemoryWorld,
    asker: Asker,
    question: Question,
    // What the engine answers, where no link or constraint decides.
    answer: Option<bool>,
}

fn case(seed: u64) -> Option<Case> {
    let world = worlds::world(seed / 8);
    let memory = compiled::load(&world).expect("the worlds compile");
    let (subject, request) = worlds::request(&world, seed);
    let asker = compiled::asker(&memory, &world, &subject);
    let answer = match compiled::answer(&mut memory.clone(), &asker, &request) {
        Answer::Shown(_) | Answer::Stored { .. } | Answer::Deleted => Some(true),
        Answer::Forbidden | Answer::NotFound => Some(false),
        Answer::Listed(_) | Answer::Invalid | Answer::Partly(_) | Answer::Unmet => None,
    };
    let (Request::Read { collection, .. }
    | Request::Update { collection, .. }
    | Request::Delete { collection, .. }
    | Request::Create { collection, .. }
    | Request::List { collection, .. }) = &request;
    let declared = Arc::clone(memory.catalog().find_text(collection)?);
    let record = |key: &str| {
        let key = Value::from_text(declared.key_field().ty, key).ok()?;
        memory.get(declared.id, &key)
    };
    let ask =
        |action: ActionId, record: Option<Arc<Record>>, sent: Vec<(FieldId, Value)>| Question {
            action,
            collection: Some(declared.id),
            record,
            field: None,
            sent,
            created: None,
        };
    let question = match &request {
        Request::Read { key, .. } => ask(READ_ONE, Some(record(key)?), vec![]),
        Request::Delete { key, .. } => ask(DELETE_ONE, Some(record(key)?), vec![]),
        Request::Update { key, sent, .. } if !sent.contains_key(&*declared.key_field().name) => {
            let sent = compiled::fields_of(&memory, declared.id, sent);
            ask(UPDATE_ONE, Some(record(key)?), sent)
        }
        Request::Create { key, sent, .. } => {
            let mut sent = compiled::fields_of(&memory, declared.id, sent);
            if let Some(key) = key {
                sent.push((
                    declared.key,
                    Value::from_text(declared.key_field().ty, key).ok()?,
                ));
            }
            sent.sort_by_key(|(field, _)| *field);
            let created = Record::draft(&declared, &sent, asker.context.now);
            Question {
                created: Some(created),
                ..ask(CREATE_ONE, None, sent)
            }
        }
        _ => return None,
    };
    Some(Case {
        world,
        memory,
        asker,
        question,
        answer,
    })
}

#[test]
fn explanations_are_sufficient_and_minimal_and_suggestions_flip() {
    let wanted = crate::cases(10_000);
    let (mut denials, mut allows, mut without) = (0, 0, 0);
    for seed in 0.. {
        if denials >= wanted {
            break;
        }
        let Some(case) = case(seed) else { continue };
        let Case {
            memory,
            asker,
            question,
            ..
        } = &case;
        let snapshot = memory.snapshot();
        let explanation = explain(snapshot, asker, question, memory);
        let allowed = explanation.decision == "allow";
        // A create's key may be counted up or missing, and a link or constraint is no matter of rights.
        if let Some(answer) = case.answer
            && question.action != CREATE_ONE
            && (answer || question.action == READ_ONE || question.action == DELETE_ONE)
        {
            assert_eq!(allowed, answer, "case {seed}: {:?}", question.sent);
        }
        let named = &explanation.settled_by;
        let with =
            |keep: &dyn Fn(&Clause) -> bool| decision_with(snapshot, asker, question, memory, keep);
        if allowed {
            allows += 1;
            assert!(
                !named.is_empty(),
                "case {seed}: an allow names what allows it"
            );
            assert!(
                with(&|clause| named.contains(clause)),
                "case {seed}: the named clauses suffice"
            );
            for dropped in named {
                let fewer = |clause: &Clause| named.contains(clause) && clause != dropped;
                assert!(!with(&fewer), "case {seed}: {dropped:?} is not needed");
            }
        } else {
            denials += 1;
            let kept = |clause: &Clause| clause.effect == "allow" || named.contains(clause);
            assert!(!with(&kept), "case {seed}: the named denies deny");
            for dropped in named {
                let fewer = |clause: &Clause| kept(clause) && clause != dropped;
                assert!(with(&fewer), "case {seed}: {dropped:?} is not needed");
            }
            match &explanation.suggestion {
                None => without += 1,
                Some(suggestion) => {
                    let document = apply(&case.world.document, suggestion);
                    let flipped = flipped(&case, &document, suggestion, seed);
                    assert!(flipped, "case {seed}: {suggestion:?} does not flip it");
                }
            }
        }
    }
    assert!(
        without * 5 < denials,
        "{without} of {denials} denials are without a suggestion"
    );
    portreeve_testkit::stats::note(&format!(
        "explanations: {denials} denials ({without} without suggestion) and {allows} allows, sufficient and minimal"
    ));
}

fn flipped(case: &Case, document: &Document, suggestion: &Suggestion, seed: u64) -> bool {
    let snapshot = match Snapshot::compile(document, 2) {
        Ok(snapshot) => Arc::new(snapshot),
        Err(problems) => panic!(
            "case {seed}: the suggestion does not compile: {}",
            problems[0]
        ),
    };
    let memory = compiled::populate(&case.world, snapshot);
    let (mut subject, _) = worlds::request(&case.world, seed);
    // What is to be added to a scope is no role's.
    let to_scope = suggestion.add.iter().filter(|it| it.role == SCOPE);
    let added: Vec<Permission> = to_scope.map(permission).collect();
    if let Some(scope) = subject.scope.take() {
        let permissions = [scope.permissions(), &added].concat();
        subject.scope = Some(Scope::new(permissions, scope.everyone()).expect("allows alone"));
    }
    let asker = compiled::asker(&memory, &case.world, &subject);
    explain(memory.snapshot(), &asker, &case.question, &memory).decision == "allow"
}

/// What explanations call the role of a scope.
const SCOPE: &str = "(scope)";

fn permission(addition: &Addition) -> Permission {
    Permission {
        effect: Effect::Allow,
        actions: vec![addition.allow.clone()],
        on: addition.on.clone().into_iter().collect(),
        rows: addition
            .rows
            .as_deref()
            .map(|rows| parse_rule(rows).expect("a suggestion can be read")),
        fields: addition.fields.clone(),
        ..Permission::default()
    }
}

fn apply(document: &Document, suggestion: &Suggestion) -> Document {
    let mut document = document.clone();
    let mut removals: Vec<(&str, u16)> = suggestion
        .remove
        .iter()
        .filter_map(|c| Some((c.role.as_str(), c.permission?)))
        .collect();
    removals.sort_unstable();
    removals.dedup();
    for (role, place) in removals.into_iter().rev() {
        let role = document
            .roles
            .iter_mut()
            .find(|known| known.key == role)
            .expect("a role of the document");
        role.permissions.remove(usize::from(place));
    }
    for addition in suggestion.add.iter().filter(|it| it.role != SCOPE) {
        let permission = permission(addition);
        match document
            .roles
            .iter_mut()
            .find(|role| role.key == addition.role)
        {
            Some(role) => role.permissions.push(permission),
            None => document.roles.push(portreeve_policy::RoleDefinition {
                key: addition.role.clone(),
                permissions: vec![permission],
                ..Default::default()
            }),
        }
    }
    document
}
