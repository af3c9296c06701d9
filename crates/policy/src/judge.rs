//! Judges writes by sections 4 to 9 of the law, without knowing where records are kept: it lists the conditions to
//! evaluate before and after the write (probes), gets their truth back, and says what follows. The store runs the
//! probes as SQL inside the transaction, the memory engine with [`crate::eval`].

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;

use portreeve_model::{
    Catalog, Collection, CollectionId, Condition, EntityTag, FieldId, Slot, Value, first_name,
    merged,
};

use crate::looks::looks_into;
use crate::rights::{Grant, Layer, Rights, rows_of};
use crate::roleset::next_id;
use crate::{Access, Context, FieldSet, Record};

/// Create or update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteKind {
    /// A new record.
    Create,
    /// A change of one.
    Update,
}

/// How one kind of write of one set of fields is judged for one caller's rights. Holds no values, so it is shared by
/// all writes of the same shape.
#[derive(Debug)]
pub struct WriteTemplate {
    id: u64,
    kind: WriteKind,
    collection: Arc<Collection>,
    sent: Vec<FieldId>,
    probes_old: Vec<Condition>,
    probes_new: Vec<Condition>,
    layers: Vec<Vec<AllowProbe>>,
    denies: Vec<DenyProbe>,
    candidates: Vec<Candidate>,
    read_reach_old: Probe,
    read_fields_old: Vec<Probe>,
    read_reach_new: Probe,
    read_fields_new: Vec<Probe>,
    links: Vec<Link>,
    looks_into: Vec<CollectionId>,
}

/// A relation that is sent: its target must be within the caller's read reach.
#[derive(Clone, Debug)]
pub struct Link {
    /// The field sent.
    pub field: FieldId,
    /// Where it points.
    pub target: CollectionId,
    /// The target's field it must equal.
    pub by: FieldId,
    /// Which targets are in reach.
    pub reach: Access,
}

/// Why a write is refused before anything is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteRefusal {
    /// A sent field does not exist for this caller.
    UnknownField(FieldId),
    /// Nothing allows it, or a deny denies it outright.
    NotAllowed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probe {
    Never,
    Always,
    At(usize),
}

#[derive(Debug)]
struct AllowProbe {
    fields: FieldSet,
    rows_old: Probe,
    /// After the write: the check, or the rows where there is none (update); both (create).
    after: Probe,
}

#[derive(Debug)]
struct DenyProbe {
    fields: FieldSet,
    // Each is the truth of "the condition is false": only then the deny does not hold.
    rows_old_false: Probe,
    rows_new_false: Probe,
    check_false: Option<Probe>,
}

#[derive(Debug)]
struct Candidate {
    // Alone: the allow at this place of the owner's layer. Otherwise all of them together.
    lender: Option<usize>,
    presets: Vec<(FieldId, Slot)>,
    defaults: Vec<(FieldId, Slot)>,
}

/// Where a write stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// It is allowed as written.
    Accepted,
    /// Undo it and write the next attempt.
    TryNext,
    /// Undo it: a deny holds.
    Denied,
}

/// Why a write ends before or without being accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WriteDenial {
    /// The record is out of reach: answered like a missing one.
    NotFound,
    /// The record may be read but not so written.
    Forbidden,
}

/// What one caller sees of one record: the fields that exist for him, and whether each may be read here; it is null
/// where it may not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight(Vec<(FieldId, bool)>);

impl Sight {
    // None where the record is out of reach.
    fn of(
        collection: &Collection,
        reach: Probe,
        fields: &[Probe],
        truths: &[bool],
    ) -> Option<Self> {
        let seen = |field: FieldId| match fields[field.index()] {
            Probe::Never => None,
            probe => Some((field, probe.holds(truths))),
        };
        reach
            .holds(truths)
            .then(|| Self(collection.field_ids().filter_map(seen).collect()))
    }

    /// Whether a field may be read.
    pub fn reads(&self, field: FieldId) -> bool {
        self.0.contains(&(field, true))
    }

    /// The record's tag for this caller: the one a read of it would give.
    pub fn tag<'v>(
        &self,
        collection: &Collection,
        value: impl Fn(FieldId) -> &'v Value,
    ) -> EntityTag {
        const HIDDEN: &Value = &Value::Null;
        EntityTag::of_fields(self.0.iter().map(|(field, readable)| {
            let value = if *readable { value(*field) } else { HIDDEN };
            (collection.column(*field), value)
        }))
    }
}

struct Probes(Vec<Condition>);

impl Probes {
    fn add(&mut self, condition: Condition) -> Probe {
        match condition {
            Condition::Constant(true) => Probe::Always,
            Condition::Constant(false) => Probe::Never,
            condition => Probe::At(
                self.0
                    .iter()
                    .position(|known| *known == condition)
                    .unwrap_or_else(|| {
                        self.0.push(condition);
                        self.0.len() - 1
                    }),
            ),
        }
    }

    fn access(&mut self, access: &Access) -> Probe {
        match access {
            Access::Never => Probe::Never,
            Access::Always => Probe::Always,
            Access::When(condition) => self.add((**condition).clone()),
        }
    }

    fn is_false(&mut self, condition: Condition) -> Probe {
        match condition {
            Condition::Constant(bool) => self.add(Condition::Constant(!bool)),
            condition => self.add(Condition::Not(Box::new(condition))),
        }
    }
}

impl Probe {
    fn holds(self, truths: &[bool]) -> bool {
        match self {
            Self::Never => false,
            Self::Always => true,
            Self::At(place) => truths[place],
        }
    }
}

impl WriteTemplate {
    /// Prepares the judging of writes of `sent` under `write`. `read` are the rights to read one record of the
    /// collection, `reach` tells them for the collections that sent relations point at.
    pub fn new(
        kind: WriteKind,
        write: &Rights,
        read: &Rights,
        catalog: &Catalog,
        sent: Vec<FieldId>,
        mut reach: impl FnMut(CollectionId) -> Access,
    ) -> Result<Self, WriteRefusal> {
        let collection = Arc::clone(catalog.get(write.collection()));
        // An update of a readable record is looked up all the same, to tell "forbidden" from "not there".
        if !write.allows_something() && kind == WriteKind::Create {
            return Err(WriteRefusal::NotAllowed);
        }
        // Where nothing may be changed, the record alone decides what is told.
        let judged = if write.allows_something() {
            sent.as_slice()
        } else {
            &[]
        };
        for field in judged {
            let readable = *read.field(&collection, *field) != Access::Never;
            let writable = *write.field(&collection, *field) != Access::Never;
            let preset = usable(&write.layers()[0])
                .iter()
                .any(|grant| sets(&grant.body.presets, *field));
            if !readable && !writable && !preset {
                return Err(WriteRefusal::UnknownField(*field));
            }
        }
        let (mut old, mut new) = (Probes(vec![]), Probes(vec![]));
        let mut layers = vec![];
        let mut denies = vec![];
        for layer in write.layers() {
            layers.push(
                usable(layer)
                    .iter()
                    .map(|grant| allow_probe(kind, grant, &mut old, &mut new))
                    .collect(),
            );
            for grant in layer.effective_denies() {
                let rows_old_false = match kind {
                    WriteKind::Create => Probe::Always,
                    WriteKind::Update => old.is_false(rows_of(&grant.body)),
                };
                denies.push(DenyProbe {
                    fields: grant.body.fields.clone(),
                    rows_old_false,
                    rows_new_false: new.is_false(rows_of(&grant.body)),
                    check_false: grant
                        .body
                        .check
                        .as_ref()
                        .map(|check| new.is_false((**check).clone())),
                });
            }
        }
        // So far the probes of what is stored are those that allow or deny it; those that only show it come after.
        let mut judged_by = BTreeSet::new();
        new.0
            .iter()
            .for_each(|condition| looks_into(condition, &mut judged_by));
        let candidates = candidates(&usable(&write.layers()[0]), collection.fields.len());
        let read_reach_old = old.access(read.reach());
        let read_fields_old = collection
            .field_ids()
            .map(|field| old.access(read.field(&collection, field)))
            .collect();
        let read_reach_new = new.access(read.reach());
        let read_fields_new = collection
            .field_ids()
            .map(|field| new.access(read.field(&collection, field)))
            .collect();
        let links = sent
            .iter()
            .filter_map(|field| {
                let to = collection.field(*field).relation?;
                Some(Link {
                    field: *field,
                    target: to.target,
                    by: to.by,
                    reach: reach(to.target),
                })
            })
            .collect();
        Ok(Self {
            id: next_id(),
            kind,
            collection,
            sent,
            probes_old: old.0,
            probes_new: new.0,
            layers,
            denies,
            candidates,
            read_reach_old,
            read_fields_old,
            read_reach_new,
            read_fields_new,
            links,
            looks_into: judged_by.into_iter().collect(),
        })
    }

    /// Distinguishes this template from every other; a key for what is derived from it.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Create or update.
    pub fn kind(&self) -> WriteKind {
        self.kind
    }

    /// The collection written to.
    pub fn collection(&self) -> &Arc<Collection> {
        &self.collection
    }

    /// What to evaluate over the record before the write. Judged by "is true".
    pub fn probes_old(&self) -> &[Condition] {
        &self.probes_old
    }

    /// What to evaluate over the stored record after each attempt. Judged by "is true".
    pub fn probes_new(&self) -> &[Condition] {
        &self.probes_new
    }

    /// The sent relations whose targets must be in reach.
    pub fn links(&self) -> &[Link] {
        &self.links
    }

    /// The collections whose records decide, beside the one that is written, whether it may be stored: nobody should
    /// change them between the judgement and the commit.
    pub fn looks_into(&self) -> &[CollectionId] {
        &self.looks_into
    }

    /// The fields sent.
    pub fn sent(&self) -> &[FieldId] {
        &self.sent
    }

    /// What the caller sees of the record before the write, by the truth of [`WriteTemplate::probes_old`].
    pub fn sight_old(&self, truths: &[bool]) -> Option<Sight> {
        let (reach, fields) = (self.read_reach_old, &self.read_fields_old);
        Sight::of(&self.collection, reach, fields, truths)
    }

    /// What the caller sees of the stored record, by the truth of [`WriteTemplate::probes_new`].
    pub fn sight_new(&self, truths: &[bool]) -> Option<Sight> {
        let (reach, fields) = (self.read_reach_new, &self.read_fields_new);
        Sight::of(&self.collection, reach, fields, truths)
    }

    /// Begins a create.
    pub fn create<'t>(
        &'t self,
        values: impl Into<Cow<'t, [(FieldId, Value)]>>,
        context: &'t Context,
    ) -> WriteSession<'t> {
        WriteSession::new(self, values.into(), context, None, vec![])
    }

    /// Begins an update of a record that was found.
    pub fn update<'t>(
        &'t self,
        values: impl Into<Cow<'t, [(FieldId, Value)]>>,
        context: &'t Context,
        old: &Record,
        truths: Vec<bool>,
    ) -> Result<WriteSession<'t>, WriteDenial> {
        self.may_update(&truths)?;
        let values = values.into();
        Ok(WriteSession::new(self, values, context, Some(old), truths))
    }

    /// Whether a record that was found may be changed at all.
    pub fn may_update(&self, truths: &[bool]) -> Result<(), WriteDenial> {
        let read = self.read_reach_old.holds(truths);
        let untouched = |deny: &&DenyProbe| deny.fields.is_all() && deny.check_false.is_none();
        let denied = self
            .denies
            .iter()
            .filter(untouched)
            .any(|deny| !deny.rows_old_false.holds(truths));
        let write = !denied
            && self
                .layers
                .iter()
                .all(|layer| layer.iter().any(|allow| allow.rows_old.holds(truths)));
        match (read, write) {
            (_, true) => Ok(()),
            (true, false) => Err(WriteDenial::Forbidden),
            (false, false) => Err(WriteDenial::NotFound),
        }
    }
}

// The allows of a layer that nothing denies outright.
fn usable(layer: &Layer) -> Vec<&Grant> {
    if layer.allows_something() {
        layer.effective_allows()
    } else {
        vec![]
    }
}

fn sets(values: &[(FieldId, Slot)], field: FieldId) -> bool {
    values.iter().any(|(set, _)| *set == field)
}

fn allow_probe(kind: WriteKind, grant: &Grant, old: &mut Probes, new: &mut Probes) -> AllowProbe {
    let rows = rows_of(&grant.body);
    let check = grant.body.check.as_ref().map(|check| (**check).clone());
    let (rows_old, after) = match kind {
        WriteKind::Create => {
            let both = rows.and(check.unwrap_or(Condition::Constant(true)));
            (Probe::Always, new.add(both))
        }
        WriteKind::Update => (old.add(rows.clone()), new.add(check.unwrap_or(rows))),
    };
    AllowProbe {
        fields: grant.body.fields.clone(),
        rows_old,
        after,
    }
}

// Who may lend presets and defaults, in the order they are tried. Where nobody lends anything, every attempt would
// write the same, and "all together" alone decides.
fn candidates(allows: &[&Grant], fields: usize) -> Vec<Candidate> {
    let lending = allows
        .iter()
        .any(|grant| !grant.body.presets.is_empty() || !grant.body.defaults.is_empty());
    let mut candidates = vec![];
    if lending {
        for (place, grant) in allows.iter().enumerate() {
            candidates.push(Candidate {
                lender: Some(place),
                presets: grant.body.presets.clone(),
                defaults: grant.body.defaults.clone(),
            });
        }
    }
    let mut together = Candidate {
        lender: None,
        presets: vec![],
        defaults: vec![],
    };
    for field in (0..fields).map(FieldId::at) {
        let first = |values: fn(&Grant) -> &Vec<(FieldId, Slot)>| {
            allows
                .iter()
                .find_map(|grant| values(grant).iter().find(|(set, _)| *set == field).cloned())
        };
        if let Some(preset) = first(|grant| &grant.body.presets) {
            together.presets.push(preset);
        } else if let Some(default) = first(|grant| &grant.body.defaults) {
            together.defaults.push(default);
        }
    }
    candidates.push(together);
    candidates
}

// Undeclared fields are sent one by one and stored as one: what was there stays beside them. Otherwise the name of one
// that was sent, where the record cannot hold them all.
fn settle(
    collection: &Collection,
    values: &mut Cow<'_, [(FieldId, Value)]>,
    old: Option<&Record>,
) -> Option<String> {
    let overflow = collection.overflow()?;
    let place = values.iter().position(|(field, _)| *field == overflow)?;
    let sent = &values[place].1;
    match merged(old.map_or(&Value::Null, |old| old.get(overflow)), sent) {
        Some(value) => {
            values.to_mut()[place].1 = value;
            None
        }
        None => first_name(sent),
    }
}

/// One write on its way: give it the truth of the probes after each attempt.
pub struct WriteSession<'t> {
    template: &'t WriteTemplate,
    values: Cow<'t, [(FieldId, Value)]>,
    context: &'t Context,
    old_truths: Vec<bool>,
    exempt: Vec<FieldId>,
    // The name of an undeclared field that was sent where the record cannot hold all of them.
    overfull: Option<String>,
    order: std::vec::IntoIter<usize>,
    current: usize,
}

impl<'t> WriteSession<'t> {
    fn new(
        template: &'t WriteTemplate,
        mut values: Cow<'t, [(FieldId, Value)]>,
        context: &'t Context,
        old: Option<&Record>,
        old_truths: Vec<bool>,
    ) -> Self {
        let overfull = settle(&template.collection, &mut values, old);
        // What is sent back unchanged is no change, provided the sender can know that it is unchanged.
        let exempt = old.map_or(vec![], |old| {
            let readable = |field: FieldId| {
                template.read_reach_old.holds(&old_truths)
                    && template.read_fields_old[field.index()].holds(&old_truths)
            };
            values
                .iter()
                .filter(|(field, value)| old.get(*field) == value && readable(*field))
                .map(|(field, _)| *field)
                .collect()
        });
        let overrules = |candidate: &Candidate| {
            candidate.presets.iter().any(|(field, slot)| {
                let ty = template.collection.field(*field).ty;
                values
                    .iter()
                    .any(|(sent, value)| sent == field && *value != context.slot(slot, ty))
            })
        };
        let last = template.candidates.len() - 1;
        let mut order: Vec<usize> = (0..last).collect();
        // First those that leave what was sent as it is; a stable sort keeps the document's order.
        order.sort_by_key(|place| overrules(&template.candidates[*place]));
        order.push(last);
        Self {
            template,
            values,
            context,
            old_truths,
            exempt,
            overfull,
            order: order.into_iter(),
            current: last,
        }
    }

    /// The relations that the present attempt writes as they were sent, and so must be in reach: neither those a
    /// preset overrules nor those sent back unchanged. Where one is not, the attempt fails and the next is tried.
    pub fn links(&self) -> impl Iterator<Item = (&'t Link, &Value)> {
        let presets = &self.template.candidates[self.current].presets;
        self.template
            .links
            .iter()
            .filter(|link| !self.exempt.contains(&link.field) && !sets(presets, link.field))
            .filter_map(|link| {
                let (_, value) = self.values.iter().find(|(field, _)| *field == link.field)?;
                (!value.is_null()).then_some((link, value))
            })
    }

    /// An undeclared field that was sent, where there are more of them now than a record can hold: no attempt can be
    /// written then.
    pub fn overfull(&self) -> Option<&str> {
        self.overfull.as_deref()
    }

    /// What to write next: `None` when every attempt has been judged, and the write is forbidden.
    pub fn next_attempt(&mut self) -> Option<Vec<(FieldId, Value)>> {
        self.advance().then(|| self.attempt())
    }

    /// Goes on to the next attempt; false when there is none.
    pub fn advance(&mut self) -> bool {
        while let Some(place) = self.order.next() {
            self.current = place;
            let candidate = &self.template.candidates[place];
            if candidate
                .lender
                .is_none_or(|lender| self.could_carry(candidate, lender))
            {
                return true;
            }
        }
        false
    }

    /// What the present attempt writes.
    pub fn attempt(&self) -> Vec<(FieldId, Value)> {
        let candidate = &self.template.candidates[self.current];
        let slot = |(field, slot): &(FieldId, Slot)| {
            let ty = self.template.collection.field(*field).ty;
            (*field, self.context.slot(slot, ty))
        };
        let mut assignments: Vec<(FieldId, Value)> = candidate.presets.iter().map(slot).collect();
        assignments.extend(
            self.values
                .iter()
                .filter(|(field, _)| !sets(&candidate.presets, *field))
                .cloned(),
        );
        for default in &candidate.defaults {
            if !assignments.iter().any(|(field, _)| *field == default.0) {
                assignments.push(slot(default));
            }
        }
        assignments
    }

    /// Whether a sent field has this value.
    pub fn has(&self, field: FieldId, value: &Value) -> bool {
        let mut values = self.values.iter();
        values.any(|(known, sent)| *known == field && sent == value)
    }

    /// Gives a sent field another value: one that is known only now, since another record had to be written first.
    pub fn set(&mut self, field: FieldId, value: Value) {
        // Whatever it was, it is a new value now.
        self.exempt.retain(|exempt| *exempt != field);
        for (known, old) in self.values.to_mut() {
            if *known == field {
                old.clone_from(&value);
            }
        }
    }

    // Whether the fields alone rule it out, before anything is written.
    fn could_carry(&self, candidate: &Candidate, lender: usize) -> bool {
        let allow = &self.template.layers[0][lender];
        self.needed(candidate)
            .all(|field| allow.fields.contains(field))
            && allow.rows_old.holds(&self.old_truths)
    }

    fn named<'s>(&'s self, candidate: &'s Candidate) -> impl Iterator<Item = FieldId> + 's {
        self.template
            .sent
            .iter()
            .copied()
            .filter(|field| !sets(&candidate.presets, *field))
    }

    fn needed<'s>(&'s self, candidate: &'s Candidate) -> impl Iterator<Item = FieldId> + 's {
        self.named(candidate)
            .filter(|field| !self.exempt.contains(field))
    }

    /// Judges the attempt that was just written by the truth of [`WriteTemplate::probes_new`].
    pub fn judge(&self, truths: &[bool]) -> Judgement {
        let candidate = &self.template.candidates[self.current];
        let holds = |allow: &AllowProbe| {
            allow.rows_old.holds(&self.old_truths) && allow.after.holds(truths)
        };
        for (place, layer) in self.template.layers.iter().enumerate() {
            let carried = match candidate.lender {
                Some(lender) if place == 0 => holds(&layer[lender]),
                _ => {
                    let mut needed = self.needed(candidate).peekable();
                    if needed.peek().is_none() {
                        layer.iter().any(holds)
                    } else {
                        needed.all(|field| {
                            layer
                                .iter()
                                .any(|allow| allow.fields.contains(field) && holds(allow))
                        })
                    }
                }
            };
            if !carried {
                return Judgement::TryNext;
            }
        }
        for deny in &self.template.denies {
            let concerned = match &deny.fields {
                FieldSet::All => true,
                FieldSet::Only(fields) => {
                    self.named(candidate).any(|field| fields.contains(&field))
                }
            };
            let rows =
                !deny.rows_old_false.holds(&self.old_truths) || !deny.rows_new_false.holds(truths);
            let check = deny
                .check_false
                .is_none_or(|is_false| !is_false.holds(truths));
            if concerned && rows && check {
                return Judgement::Denied;
            }
        }
        Judgement::Accepted
    }
}

/// How a deletion is judged.
#[derive(Debug)]
pub struct DeleteTemplate {
    id: u64,
    collection: Arc<Collection>,
    probes: Vec<Condition>,
    delete: Probe,
    read: Probe,
    // Of each field, where what the caller sees of the record matters; otherwise none.
    fields: Vec<Probe>,
}

impl DeleteTemplate {
    /// Prepares the judging of deletions under `delete`; `read` are the rights to read one record.
    pub fn new(delete: &Rights, read: &Rights, catalog: &Catalog) -> Self {
        let mut probes = Probes(vec![]);
        let reach = probes.access(delete.reach());
        let read = probes.access(read.reach());
        let collection = Arc::clone(catalog.get(delete.collection()));
        Self {
            id: next_id(),
            collection,
            probes: probes.0,
            delete: reach,
            read,
            fields: vec![],
        }
    }

    /// The same for a deletion that depends on what the caller sees of the record.
    pub fn with_sight(delete: &Rights, read: &Rights, catalog: &Catalog) -> Self {
        let mut template = Self::new(delete, read, catalog);
        let mut probes = Probes(std::mem::take(&mut template.probes));
        let collection = Arc::clone(&template.collection);
        template.fields = collection
            .field_ids()
            .map(|field| probes.access(read.field(&collection, field)))
            .collect();
        template.probes = probes.0;
        template
    }

    /// What the caller sees of the record, if the template was made to tell.
    pub fn sight(&self, truths: &[bool]) -> Option<Sight> {
        if self.fields.is_empty() {
            return None;
        }
        Sight::of(&self.collection, self.read, &self.fields, truths)
    }

    /// Distinguishes this template from every other.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The collection deleted from.
    pub fn collection(&self) -> &Arc<Collection> {
        &self.collection
    }

    /// What to evaluate over the record. Judged by "is true".
    pub fn probes(&self) -> &[Condition] {
        &self.probes
    }

    /// Whether a record that was found may be deleted.
    pub fn judge(&self, truths: &[bool]) -> Result<(), WriteDenial> {
        if self.delete.holds(truths) {
            Ok(())
        } else if self.read.holds(truths) {
            Err(WriteDenial::Forbidden)
        } else {
            Err(WriteDenial::NotFound)
        }
    }
}
