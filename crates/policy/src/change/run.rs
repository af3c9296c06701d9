//! A change on its way.

mod links;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use portreeve_model::{CollectionId, Condition, FieldId, Value};

use super::{ChangeOutcome, Changed, Demand, Refusal, Reply, Selection, Step, Way, What, Write};
use crate::{
    Access, Context, DeleteTemplate, Judgement, Link, Precondition, Record, Sight, WriteDenial,
    WriteSession, WriteTemplate,
};

/// A change on its way: tell it what it wants to know until it wants nothing more.
pub struct ChangeRun<'t, E> {
    steps: &'t [Step],
    context: &'t Context,
    selection: Selection,
    tasks: Vec<Task<'t, E>>,
    named: HashSet<(CollectionId, Value)>,
    // Whether a target was within reach in the beginning: many records of a batch often point at the same one.
    reached: HashMap<(u64, FieldId, Value), bool>,
    forbidden: usize,
    denied: Option<usize>,
    values: Vec<(FieldId, Value)>,
    phase: Phase,
    refused: Option<(usize, Refusal<E>)>,
}

// What a step has come to.
enum Task<'t, E> {
    Write(Box<Writing<'t, E>>),
    Delete(&'t Arc<DeleteTemplate>, &'t Value, Record),
    Left,
}

struct Writing<'t, E> {
    write: &'t Write,
    old: Option<Record>,
    truths: Vec<bool>,
    session: Option<WriteSession<'t>>,
    // The record as it was written last.
    record: Option<Record>,
    sight: Option<Sight>,
    // Relations that are judged once all is written, since their targets are made by this change.
    late: Vec<(usize, Value)>,
    invalid: Option<Refusal<E>>,
    // The present attempt has failed and the next one is to be written.
    failed: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Begin,
    Look(usize),
    Reach(usize, usize),
    Write(usize),
    After(usize),
    Late(usize, usize),
    Again,
    Ended,
}

impl<'t, E> ChangeRun<'t, E> {
    /// Begins a change.
    pub fn new(steps: &'t [Step], context: &'t Context, selection: Selection) -> Self {
        Self {
            steps,
            context,
            selection,
            tasks: Vec::with_capacity(steps.len()),
            named: HashSet::new(),
            reached: HashMap::new(),
            forbidden: 0,
            denied: None,
            values: vec![],
            phase: Phase::Begin,
            refused: None,
        }
    }

    /// Takes what was demanded last ([`Reply::Done`] in the beginning) and says what is needed next.
    pub fn next(&mut self, reply: Reply<E>) -> Demand<'_> {
        match (self.phase, reply) {
            (Phase::Begin, _) => self.look_at(0),
            (Phase::Look(step), Reply::Found(found)) => self.looked(step, found),
            (Phase::Reach(step, link), Reply::Holds(holds)) => {
                if let Some(key) = self.link_key(step, link) {
                    self.reached.insert(key, holds);
                }
                self.reach_from(step, link + 1);
            }
            (Phase::Write(step), reply) => self.wrote(step, reply),
            (Phase::After(step), Reply::Found(found)) => self.found_after(step, found),
            (Phase::Late(step, place), Reply::Holds(holds)) => self.late(step, place, holds),
            (Phase::Again, _) => {
                self.denied = None;
                self.write_at(0);
            }
            (Phase::Ended, _) => {}
            // An answer to another question: nothing can be concluded, so nothing is allowed.
            (Phase::Look(step) | Phase::Reach(step, _), _)
            | (Phase::After(step) | Phase::Late(step, _), _) => {
                self.refuse(step, Refusal::Forbidden);
            }
        }
        self.demand()
    }

    /// What came of it. Whatever was written for what was refused has to be undone.
    pub fn outcome(self) -> ChangeOutcome<E> {
        if let Some((step, why)) = self.refused {
            return ChangeOutcome::Refused { step, why };
        }
        // Left before its end: nothing was judged.
        if self.phase != Phase::Ended {
            let why = Refusal::Forbidden;
            return ChangeOutcome::Refused { step: 0, why };
        }
        let changed = self.tasks.into_iter().map(|task| match task {
            Task::Left => Changed::Left,
            Task::Delete(template, _, record) => Changed::Deleted {
                key: record.get(template.collection().key).clone(),
            },
            Task::Write(writing) => Changed::Stored {
                template: Arc::clone(&writing.write.template),
                created: writing.old.is_none(),
                sent: Arc::clone(&writing.write.values),
                record: writing.record.unwrap_or(Record(vec![])),
                sight: writing.sight,
            },
        });
        ChangeOutcome::Done(changed.collect())
    }

    // INVARIANT: each phase but the last stands at a step or relation that exists and needs what is demanded.
    fn demand(&self) -> Demand<'_> {
        match self.phase {
            Phase::Begin | Phase::Ended => Demand::Nothing,
            Phase::Look(step) => match &self.steps[step].what {
                What::Delete { template, key } => Demand::LookDelete { template, key },
                What::Update { write, key } => Demand::Look {
                    template: &write.template,
                    by: write.template.collection().key,
                    value: key,
                },
                What::Upsert {
                    by,
                    value,
                    update: Some(update),
                    ..
                } => Demand::Look {
                    template: &update.template,
                    by: *by,
                    value,
                },
                What::Create(_) | What::Upsert { .. } => Demand::Nothing,
            },
            Phase::Reach(step, link) => match (self.writing(step), self.start_value(step, link)) {
                (Some(writing), Some(value)) => {
                    let template = &writing.write.template;
                    reach(template, &template.links()[link], value)
                }
                _ => Demand::Nothing,
            },
            Phase::Write(step) => match &self.tasks[step] {
                Task::Delete(template, key, _) => Demand::Delete { template, key },
                Task::Left => Demand::Nothing,
                Task::Write(writing) => {
                    let (template, values) = (&writing.write.template, &*self.values);
                    match &writing.old {
                        None => Demand::Insert { template, values },
                        Some(old) => Demand::Update {
                            template,
                            key: old.get(template.collection().key),
                            old,
                            values,
                        },
                    }
                }
            },
            Phase::After(step) => match self.writing(step) {
                Some(Writing {
                    write,
                    old,
                    record: Some(record),
                    ..
                }) => Demand::After {
                    template: &write.template,
                    key: record.get(write.template.collection().key),
                    old: old.as_ref(),
                },
                _ => Demand::Nothing,
            },
            Phase::Late(step, place) => match self.writing(step) {
                Some(writing) => {
                    let (link, value) = &writing.late[place];
                    let template = &writing.write.template;
                    reach(template, &template.links()[*link], value)
                }
                None => Demand::Nothing,
            },
            Phase::Again => Demand::Undo,
        }
    }

    fn writing(&self, step: usize) -> Option<&Writing<'t, E>> {
        match self.tasks.get(step)? {
            Task::Write(writing) => Some(writing),
            Task::Delete(..) | Task::Left => None,
        }
    }

    fn writing_mut(&mut self, step: usize) -> Option<&mut Writing<'t, E>> {
        match self.tasks.get_mut(step)? {
            Task::Write(writing) => Some(writing),
            Task::Delete(..) | Task::Left => None,
        }
    }

    fn refuse(&mut self, step: usize, why: Refusal<E>) {
        self.refused = Some((step, why));
        self.phase = Phase::Ended;
    }

    // The starting state ---------------------------------------------------------------------------------------------

    fn look_at(&mut self, first: usize) {
        let steps = self.steps;
        for (step, Step { what, .. }) in steps.iter().enumerate().skip(first) {
            match what {
                What::Create(write) => self.tasks.push(new(write)),
                What::Upsert { update: None, .. } => {
                    if !self.make(step) {
                        return;
                    }
                }
                _ => return self.phase = Phase::Look(step),
            }
        }
        if self.forbidden > 0 && self.selection == Selection::Whole {
            return self.refuse(0, Refusal::Partly(self.forbidden));
        }
        self.reach_from(0, 0);
    }

    // Goes on with an upsert as a creation; false where that is refused.
    fn make(&mut self, step: usize) -> bool {
        let Step {
            what, condition, ..
        } = &self.steps[step];
        let wanted = matches!(condition, Precondition::Present | Precondition::Matches(_));
        let why = match what {
            What::Upsert {
                unsendable: Some(Way::Create),
                ..
            } => Refusal::Unsendable,
            What::Upsert {
                create: Err(WriteDenial::Forbidden),
                ..
            } => Refusal::Forbidden,
            What::Upsert { create: Ok(_), .. } if wanted => Refusal::Unmet,
            What::Upsert {
                create: Ok(write), ..
            } => {
                self.tasks.push(new(write));
                return true;
            }
            _ => Refusal::NotFound,
        };
        self.refuse(step, why);
        false
    }

    fn looked(&mut self, step: usize, found: Option<(Record, Vec<bool>)>) {
        match self.begin(step, found) {
            Ok(Some(task)) => self.tasks.push(task),
            Ok(None) if self.make(step) => {}
            Ok(None) => return,
            Err(Refusal::Forbidden | Refusal::NotFound) if self.selection != Selection::Named => {
                self.forbidden += 1;
                self.tasks.push(Task::Left);
            }
            Err(why) => return self.refuse(step, why),
        }
        self.look_at(step + 1);
    }

    // What a step that is about a record that is there has to do; nothing where there is none for an upsert.
    fn begin(
        &mut self,
        step: usize,
        found: Option<(Record, Vec<bool>)>,
    ) -> Result<Option<Task<'t, E>>, Refusal<E>> {
        let Step {
            what,
            belongs,
            condition,
            ..
        } = &self.steps[step];
        let upsert = matches!(what, What::Upsert { .. });
        let Some((old, truths)) = found else {
            return if upsert {
                Ok(None)
            } else {
                Err(Refusal::NotFound)
            };
        };
        let (judged, sight, collection) = match what {
            What::Delete { template, .. } => {
                let judged = template.judge(&truths);
                (judged, template.sight(&truths), template.collection())
            }
            What::Update { write, .. }
            | What::Upsert {
                update: Some(write),
                ..
            }
            | What::Create(write) => {
                let template = &write.template;
                let judged = template.may_update(&truths);
                (judged, template.sight_old(&truths), template.collection())
            }
            What::Upsert { update: None, .. } => return Ok(None),
        };
        match judged {
            Ok(()) => {}
            // What is out of reach is as if it were not there; making it then fails where the two collide.
            Err(WriteDenial::NotFound) if upsert => return Ok(None),
            Err(WriteDenial::NotFound) => return Err(Refusal::NotFound),
            Err(WriteDenial::Forbidden) => return Err(Refusal::Forbidden),
        }
        if let What::Upsert {
            unsendable: Some(Way::Update),
            ..
        } = what
        {
            return Err(Refusal::Unsendable);
        }
        if let Some(belongs) = belongs {
            let reads = sight
                .as_ref()
                .is_some_and(|sight| sight.reads(belongs.field));
            let other = self.old(belongs.step).map(|other| other.get(belongs.by));
            if !reads || other != Some(old.get(belongs.field)) {
                return Err(Refusal::NotFound);
            }
        }
        if !condition.holds(sight.as_ref(), &old, collection) {
            return Err(Refusal::Unmet);
        }
        if !self
            .named
            .insert((collection.id, old.get(collection.key).clone()))
        {
            return Err(Refusal::Twice);
        }
        Ok(Some(match what {
            What::Delete { template, key } => Task::Delete(template, key, old),
            What::Update { write, .. }
            | What::Upsert {
                update: Some(write),
                ..
            }
            | What::Create(write) => Task::Write(Box::new(Writing {
                old: Some(old),
                truths,
                ..blank(write)
            })),
            What::Upsert { update: None, .. } => Task::Left,
        }))
    }

    // A step's record as it was in the beginning.
    fn old(&self, step: usize) -> Option<&Record> {
        match self.tasks.get(step)? {
            Task::Write(writing) => writing.old.as_ref(),
            Task::Delete(_, _, record) => Some(record),
            Task::Left => None,
        }
    }

    fn reach_from(&mut self, first: usize, mut link: usize) {
        for step in first..self.tasks.len() {
            let links = self
                .writing(step)
                .map_or(0, |writing| writing.write.template.links().len());
            while link < links {
                if let Some(key) = self.link_key(step, link)
                    && !self.reached.contains_key(&key)
                {
                    return self.phase = Phase::Reach(step, link);
                }
                link += 1;
            }
            link = 0;
        }
        self.write_at(0);
    }

    // Writing --------------------------------------------------------------------------------------------------------

    fn write_at(&mut self, first: usize) {
        for step in first..self.tasks.len() {
            match &self.tasks[step] {
                Task::Left => {}
                Task::Delete(..) => return self.phase = Phase::Write(step),
                Task::Write(_) => return self.attempt(step),
            }
        }
        self.judge_at(0);
    }

    // Prepares a step's present attempt, or the next one that is not ruled out before it is written.
    fn attempt(&mut self, step: usize) {
        self.prepare(step);
        loop {
            let bad = self.bad_link(step);
            let Some(Writing {
                session: Some(session),
                invalid,
                late,
                ..
            }) = self.writing_mut(step)
            else {
                return self.refuse(step, Refusal::Forbidden);
            };
            match bad {
                None => return self.refuse_exhausted(step),
                Some(Err(field)) => {
                    invalid.get_or_insert(Refusal::BadLink(field));
                    if !session.advance() {
                        return self.refuse_exhausted(step);
                    }
                }
                Some(Ok(_)) if session.overfull().is_some() => {
                    let name = session.overfull().unwrap_or_default().to_owned();
                    invalid.get_or_insert(Refusal::Overfull(name));
                    if !session.advance() {
                        return self.refuse_exhausted(step);
                    }
                }
                Some(Ok(later)) => {
                    *late = later;
                    self.values = session.attempt();
                    return self.phase = Phase::Write(step);
                }
            }
        }
    }

    fn refuse_exhausted(&mut self, step: usize) {
        let why = self
            .writing_mut(step)
            .and_then(|writing| writing.invalid.take());
        self.refuse(step, why.unwrap_or(Refusal::Forbidden));
    }

    // Fills in what earlier steps have come to, and begins the session where this is the first time.
    fn prepare(&mut self, step: usize) {
        let filled: Vec<(FieldId, Value)> = self.steps[step]
            .fills
            .iter()
            .filter_map(|fill| Some((fill.field, self.now(fill.step)?.get(fill.by).clone())))
            .collect();
        let context = self.context;
        let Some(writing) = self.writing_mut(step) else {
            return;
        };
        if let Some(session) = &mut writing.session {
            for (field, value) in filled {
                if !session.has(field, &value) {
                    session.set(field, value);
                }
            }
            return;
        }
        let Write { template, values } = writing.write;
        let mut values = std::borrow::Cow::Borrowed(&**values);
        if !filled.is_empty() {
            for (field, value) in values.to_mut() {
                if let Some((_, filled)) = filled.iter().find(|(known, _)| known == field) {
                    value.clone_from(filled);
                }
            }
        }
        let truths = std::mem::take(&mut writing.truths);
        let session = match &writing.old {
            None => Ok(template.create(values, context)),
            Some(old) => template.update(values, context, old, truths),
        };
        // It was asked already whether the record may be changed at all.
        writing.session = session
            .ok()
            .and_then(|mut session| session.advance().then_some(session));
    }

    // A step's record as it stands now.
    fn now(&self, step: usize) -> Option<&Record> {
        match self.tasks.get(step)? {
            Task::Write(writing) => writing.record.as_ref().or(writing.old.as_ref()),
            Task::Delete(_, _, record) => Some(record),
            Task::Left => None,
        }
    }

    fn wrote(&mut self, step: usize, reply: Reply<E>) {
        let values = std::mem::take(&mut self.values);
        match (&mut self.tasks[step], reply) {
            (Task::Delete(..), Reply::Holds(false)) => self.refuse(step, Refusal::NotFound),
            (Task::Delete(..), Reply::Unstorable(error)) => {
                self.refuse(step, Refusal::Unstorable(error));
            }
            (Task::Delete(..) | Task::Left, _) => {
                self.write_at(step + 1);
            }
            (Task::Write(_), Reply::Unstorable(error)) => {
                // A relation that leads to nothing yet is what is wrong, more than what the database says of it.
                let why = self.dangling(step).unwrap_or(Refusal::Unstorable(error));
                let Some(writing) = self.writing_mut(step) else {
                    return self.refuse(step, why);
                };
                writing.invalid.get_or_insert(why);
                let more = writing.session.as_mut().is_some_and(WriteSession::advance);
                if more {
                    self.attempt(step);
                } else {
                    self.refuse_exhausted(step);
                }
            }
            (Task::Write(writing), reply) => {
                let record = match (reply, &writing.old) {
                    (Reply::Inserted(record), _) => Some(record),
                    (_, Some(old)) => {
                        let mut record = old.clone();
                        for (field, value) in values {
                            record.0[field.index()] = value;
                        }
                        Some(record)
                    }
                    (_, None) => None,
                };
                writing.record = record;
                self.write_at(step + 1);
            }
        }
    }

    // The final state ------------------------------------------------------------------------------------------------

    fn judge_at(&mut self, first: usize) {
        let next = (first..self.tasks.len()).find(|step| self.writing(*step).is_some());
        if let Some(step) = next {
            return self.phase = Phase::After(step);
        }
        let failed = self
            .tasks
            .iter()
            .any(|task| matches!(task, Task::Write(writing) if writing.failed));
        if failed {
            for task in &mut self.tasks {
                if let Task::Write(writing) = task {
                    writing.failed = false;
                    writing.record = None;
                }
            }
            self.phase = Phase::Again;
        } else if let Some(step) = self.denied {
            self.refuse(step, Refusal::Forbidden);
        } else {
            self.phase = Phase::Ended;
        }
    }

    fn found_after(&mut self, step: usize, found: Option<(Record, Vec<bool>)>) {
        // Written, and taken away again by the deletion of another.
        let Some((record, truths)) = found else {
            return self.refuse(step, Refusal::NotFound);
        };
        let Some(writing) = self.writing_mut(step) else {
            return self.refuse(step, Refusal::NotFound);
        };
        writing.record = Some(record);
        writing.truths = truths;
        self.late_from(step, 0);
    }

    fn late_from(&mut self, step: usize, place: usize) {
        let Some(writing) = self.writing(step) else {
            return self.judge_at(step + 1);
        };
        match writing.late.get(place) {
            None => self.judge(step),
            Some((link, value)) => {
                let link = &writing.write.template.links()[*link];
                if self.made(link, value) {
                    self.phase = Phase::Late(step, place);
                } else {
                    self.late(step, place, false);
                }
            }
        }
    }

    fn late(&mut self, step: usize, place: usize, holds: bool) {
        if holds {
            return self.late_from(step, place + 1);
        }
        if let Some(writing) = self.writing_mut(step)
            && let Some((link, _)) = writing.late.get(place)
        {
            let field = writing.write.template.links()[*link].field;
            writing.invalid.get_or_insert(Refusal::BadLink(field));
        }
        self.try_next(step);
    }

    fn judge(&mut self, step: usize) {
        let Some(Writing {
            write,
            session: Some(session),
            truths,
            sight,
            ..
        }) = self.writing_mut(step)
        else {
            return self.refuse(step, Refusal::Forbidden);
        };
        let judgement = session.judge(truths);
        *sight = write.template.sight_new(truths);
        match judgement {
            Judgement::Accepted => self.judge_at(step + 1),
            Judgement::TryNext => self.try_next(step),
            Judgement::Denied => {
                self.denied.get_or_insert(step);
                self.judge_at(step + 1);
            }
        }
    }

    fn try_next(&mut self, step: usize) {
        let Some(writing) = self.writing_mut(step) else {
            return self.refuse(step, Refusal::Forbidden);
        };
        writing.failed = true;
        if writing.session.as_mut().is_some_and(WriteSession::advance) {
            self.judge_at(step + 1);
        } else {
            self.refuse_exhausted(step);
        }
    }
}

fn reach<'r>(template: &'r Arc<WriteTemplate>, link: &'r Link, value: &'r Value) -> Demand<'r> {
    const NEVER: &Condition = &Condition::Constant(false);
    let reach = match &link.reach {
        Access::Always => None,
        Access::Never => Some(NEVER),
        Access::When(condition) => Some(&**condition),
    };
    Demand::Reach {
        template,
        link,
        value,
        reach,
    }
}

fn sent(write: &Write, field: FieldId) -> Option<&Value> {
    let mut values = write.values.iter();
    values
        .find(|(known, _)| *known == field)
        .map(|(_, value)| value)
}

fn blank<E>(write: &Write) -> Writing<'_, E> {
    Writing {
        write,
        old: None,
        truths: vec![],
        session: None,
        record: None,
        sight: None,
        late: vec![],
        invalid: None,
        failed: false,
    }
}

fn new<E>(write: &Write) -> Task<'_, E> {
    Task::Write(Box::new(blank(write)))
}
