//! Resolves rules against a catalog: names become ids, literals get types, and every mistake an error. The one
//! compiler for rules, checks and callers' filters; a caller's filter brings [`Guards`] that say what he may read.

mod paths;
mod slots;

use std::collections::HashMap;
use std::sync::Arc;

use portreeve_model::{
    Catalog, Collection, CollectionId, CompareOp, Condition, FieldId, FieldType, List, Literal,
    Operand, Path, Pattern, Rule, Slot, Start, Term, TextOp, Value, Variable,
};

use crate::{RuleDefinition, suggestion};

/// Why a rule does not fit the catalog. One sentence that names the word and the fix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolveError(pub String);

type Resolved<T> = Result<T, ResolveError>;

fn fail<T>(message: impl Into<String>) -> Resolved<T> {
    Err(ResolveError(message.into()))
}

/// What a caller may read, asked while his own filter, sort or expansion is resolved.
pub trait Guards {
    /// Where a field of a record in reach may be read.
    fn field(&self, collection: CollectionId, field: FieldId) -> Access;
    /// Which records are in reach.
    fn reach(&self, collection: CollectionId) -> Access;
}

/// Where something may be read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Access {
    /// Nowhere: it does not exist for this caller.
    Never,
    /// Everywhere (for a field: on every record in reach).
    Always,
    /// Where this is true of the record.
    When(Arc<Condition>),
}

impl Access {
    /// Wherever one of the two holds.
    pub fn or(&self, other: &Self) -> Self {
        match (self, other) {
            (Self::Always, _) | (_, Self::Always) => Self::Always,
            (Self::Never, access) | (access, Self::Never) => access.clone(),
            (Self::When(a), Self::When(b)) if a == b => Self::When(Arc::clone(a)),
            (Self::When(a), Self::When(b)) => {
                Self::When(Arc::new(Condition::Any(vec![(**a).clone(), (**b).clone()])))
            }
        }
    }
}

/// Where a rule stands, which decides what it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// `rows:`.
    Rows,
    /// `check:`: also `$old`, `$new`, `sent`, `matches`.
    Check,
    /// `when:`: no fields.
    When,
    /// A caller's own filter or sort: fields and literals only.
    Caller,
}

/// Resolves rules of one purpose over one collection.
pub struct Resolver<'a> {
    catalog: &'a Catalog,
    rules: &'a HashMap<String, Arc<RuleDefinition>>,
    purpose: Purpose,
    guards: Option<&'a dyn Guards>,
    caller_types: Vec<Option<FieldType>>,
    depth: usize,
    quantifiers: usize,
}

const MAX_DEPTH: usize = 96;

type Bound<'r> = HashMap<&'r str, &'r Operand>;

impl<'a> Resolver<'a> {
    /// A resolver for rules of the policy itself: they see the whole database.
    pub fn for_policy(
        catalog: &'a Catalog,
        rules: &'a HashMap<String, Arc<RuleDefinition>>,
        purpose: Purpose,
    ) -> Self {
        Self {
            catalog,
            rules,
            purpose,
            guards: None,
            caller_types: vec![],
            depth: 0,
            quantifiers: 0,
        }
    }

    /// A resolver for a caller's own operands: they see what the guards let through.
    pub fn for_caller(
        catalog: &'a Catalog,
        rules: &'a HashMap<String, Arc<RuleDefinition>>,
        guards: &'a dyn Guards,
    ) -> Self {
        Self {
            catalog,
            rules,
            purpose: Purpose::Caller,
            guards: Some(guards),
            caller_types: vec![],
            depth: 0,
            quantifiers: 0,
        }
    }

    /// The types that [`Slot::Caller`] values must have, by index; `None` where a value stands nowhere.
    pub fn caller_types(&self) -> &[Option<FieldType>] {
        &self.caller_types
    }

    /// Resolves a rule over records of `collection` (none for `when`).
    pub fn rule(&mut self, collection: Option<&Collection>, rule: &Rule) -> Resolved<Condition> {
        self.condition(collection, rule, &Bound::new())
    }

    /// Resolves a variable or JSON literal as a value of `ty`: presets and defaults.
    pub fn value(
        &mut self,
        ty: FieldType,
        to_users_by_number: bool,
        operand: &Operand,
    ) -> Resolved<Slot> {
        match self.slot(operand, ty, to_users_by_number)? {
            Some(slot) => Ok(slot),
            None => fail("only a literal or a variable can stand here"),
        }
    }

    /// Resolves what a caller sorts, groups or aggregates by: something read from the record, never a value.
    pub fn operand(&mut self, collection: &Collection, operand: &Operand) -> Resolved<Term> {
        self.term(Some(collection), operand, &Bound::new())
    }

    /// Resolves what a caller sorts by.
    pub fn sort_key(&mut self, collection: &Collection, operand: &Operand) -> Resolved<Term> {
        let term = self.operand(collection, operand)?;
        let ty = term.ty();
        if !ty.is_ordered() && ty != FieldType::Boolean {
            let written = crate::print_operand(operand);
            return fail(format!("'{written}' is {ty}, which has no order"));
        }
        Ok(term)
    }

    fn condition(
        &mut self,
        at: Option<&Collection>,
        rule: &Rule,
        bound: &Bound<'_>,
    ) -> Resolved<Condition> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return fail(format!(
                "the rule is nested deeper than {MAX_DEPTH} levels, named rules included"
            ));
        }
        let result = self.condition_inner(at, rule, bound);
        self.depth -= 1;
        result
    }

    fn condition_inner(
        &mut self,
        at: Option<&Collection>,
        rule: &Rule,
        bound: &Bound<'_>,
    ) -> Resolved<Condition> {
        Ok(match rule {
            Rule::Constant(bool) => Condition::Constant(*bool),
            Rule::All(rules) => Condition::All(
                rules
                    .iter()
                    .map(|rule| self.condition(at, rule, bound))
                    .collect::<Resolved<_>>()?,
            ),
            Rule::Any(rules) => Condition::Any(
                rules
                    .iter()
                    .map(|rule| self.condition(at, rule, bound))
                    .collect::<Resolved<_>>()?,
            ),
            Rule::Not(rule) => Condition::Not(Box::new(self.condition(at, rule, bound)?)),
            Rule::Compare { left, op, right } => {
                let (left, right) = self.pair(at, left, right, bound)?;
                self.compare(left, *op, right)?
            }
            Rule::Between { operand, low, high } => {
                let (term, low) = self.pair(at, operand, low, bound)?;
                let (again, high) = self.pair(at, operand, high, bound)?;
                Condition::All(vec![
                    self.compare(term, CompareOp::GreaterOrEqual, low)?,
                    self.compare(again, CompareOp::LessOrEqual, high)?,
                ])
            }
            Rule::In {
                operand,
                list: List::Items(items),
            } => {
                if items.is_empty() {
                    // The operand must still be one the caller may name.
                    if matches!(self.bind(operand, bound), Operand::Path(_)) {
                        self.term(at, operand, bound)?;
                    }
                    return Ok(Condition::Constant(false));
                }
                let mut term = None;
                let mut list = vec![];
                for item in items {
                    let (left, right) = self.pair(at, operand, item, bound)?;
                    if left.ty() == FieldType::Json {
                        return fail("json fields cannot be compared; use 'is null'");
                    }
                    term = Some(left);
                    list.push(right);
                }
                Condition::In {
                    term: term.expect("the list is not empty"),
                    items: list,
                }
            }
            Rule::In {
                operand,
                list: List::Variable(variable),
            } => {
                let list = self.list_variable(variable)?;
                let term = match self.bind(operand, bound) {
                    Operand::Variable(Variable::User(path)) if path.len() > 1 => {
                        self.user_path(path)?
                    }
                    Operand::Literal(_) | Operand::Variable(_) => {
                        let slot = self.slot(self.bind(operand, bound), FieldType::Text, false)?;
                        Term::Slot(
                            slot.expect("literals and variables are slots"),
                            FieldType::Text,
                        )
                    }
                    _ => self.term(at, operand, bound)?,
                };
                if list == Slot::UserRoles && term.ty() != FieldType::Text {
                    return fail(format!("$user.roles holds text, not {}", term.ty()));
                }
                if term.ty() == FieldType::Json {
                    return fail("json fields cannot be compared; use 'is null'");
                }
                Condition::InVariable { term, list }
            }
            Rule::IsNull(operand) => match self.bind(operand, bound) {
                Operand::Literal(_) => {
                    return fail("a literal is never null; name a field or variable");
                }
                Operand::Variable(Variable::User(path)) if path.len() > 1 => {
                    Condition::IsNull(self.user_path(path)?)
                }
                Operand::Variable(variable) => {
                    let ty = self.variable_type(variable)?.unwrap_or(FieldType::Text);
                    let slot = self.slot(self.bind(operand, bound), ty, false)?;
                    Condition::IsNull(Term::Slot(slot.expect("variables are slots"), ty))
                }
                _ => Condition::IsNull(self.term(at, operand, bound)?),
            },
            Rule::Text {
                operand,
                op,
                ignore_case,
                needle,
            } => {
                let (term, needle) =
                    self.pair_as(at, operand, needle, bound, Some(FieldType::Text))?;
                Self::text(term, *op, *ignore_case, needle)?
            }
            Rule::Matches { operand, pattern } => {
                if self.purpose != Purpose::Check {
                    return fail(
                        "'matches' works in checks only; use contains, starts_with or ends_with",
                    );
                }
                let term = self.term(at, operand, bound)?;
                if term.ty() != FieldType::Text {
                    return fail(format!("'matches' needs text, not {}", term.ty()));
                }
                let regex = regex::RegexBuilder::new(pattern)
                    .size_limit(1 << 20)
                    .build();
                let regex = regex.map_err(|error| {
                    ResolveError(format!(
                        "'{pattern}' is not a regular expression: {}",
                        last_line(&error.to_string())
                    ))
                })?;
                Condition::Matches {
                    term,
                    pattern: Pattern(regex),
                }
            }
            Rule::Quantified {
                quantifier,
                relation,
                rule,
            } => {
                let collection = self.need_collection(at, &relation.to_string())?;
                let relation = self.relation(collection, relation)?;
                let target = Arc::clone(self.catalog.get(relation.target));
                self.quantifiers += 1;
                let condition = self.condition(Some(&target), rule, bound);
                self.quantifiers -= 1;
                let condition = Box::new(condition?);
                Condition::Quantified {
                    quantifier: *quantifier,
                    relation,
                    condition,
                }
            }
            Rule::Sent(name) => {
                self.need_check("sent()")?;
                let collection = self.need_collection(at, name)?;
                Condition::Sent(self.field(collection, name)?)
            }
            Rule::Named { name, arguments } => {
                if self.purpose == Purpose::Caller {
                    return fail(format!(
                        "'{name}(…)' is not an operator; named rules work in rules only"
                    ));
                }
                let Some(definition) = self.rules.get(name).cloned() else {
                    let names: Vec<&str> = self.rules.keys().map(String::as_str).collect();
                    return fail(format!(
                        "there is no rule '{name}'{}",
                        suggestion(name, names.iter().copied())
                    ));
                };
                if definition.parameters.len() != arguments.len() {
                    return fail(format!(
                        "rule '{name}' takes {} arguments, not {}",
                        definition.parameters.len(),
                        arguments.len()
                    ));
                }
                let arguments: Vec<&Operand> = arguments
                    .iter()
                    .map(|operand| self.bind(operand, bound))
                    .collect();
                let bound: Bound<'_> = definition
                    .parameters
                    .iter()
                    .map(String::as_str)
                    .zip(arguments)
                    .collect();
                self.condition(at, &definition.rule, &bound)?
            }
        })
    }

    fn bind<'r>(&self, operand: &'r Operand, bound: &Bound<'r>) -> &'r Operand {
        match operand {
            Operand::Parameter(name) => bound.get(name.as_str()).copied().unwrap_or(operand),
            other => other,
        }
    }

    fn compare(&self, left: Term, op: CompareOp, right: Term) -> Resolved<Condition> {
        let ty = left.ty();
        if ty == FieldType::Json {
            return fail("json fields cannot be compared; use 'is null'");
        }
        if !ty.is_ordered() && !matches!(op, CompareOp::Equal | CompareOp::NotEqual) {
            return fail(format!(
                "'{}' needs an ordered type, and {ty} has only = and <>",
                op.symbol()
            ));
        }
        Ok(Condition::Compare { left, op, right })
    }

    fn text(term: Term, op: TextOp, ignore_case: bool, needle: Term) -> Resolved<Condition> {
        if !term.ty().is_text() {
            return fail(format!("'{}' needs text, not {}", op.word(), term.ty()));
        }
        Ok(Condition::Text {
            term,
            op,
            ignore_case,
            needle,
        })
    }

    fn pair<'r>(
        &mut self,
        at: Option<&Collection>,
        left: &'r Operand,
        right: &'r Operand,
        bound: &Bound<'r>,
    ) -> Resolved<(Term, Term)> {
        self.pair_as(at, left, right, bound, None)
    }

    // Two operands of one type: what has a type of its own gives it to what has none.
    fn pair_as<'r>(
        &mut self,
        at: Option<&Collection>,
        left: &'r Operand,
        right: &'r Operand,
        bound: &Bound<'r>,
        wanted: Option<FieldType>,
    ) -> Resolved<(Term, Term)> {
        let (left, right) = (self.bind(left, bound), self.bind(right, bound));
        let left_term = self.typed(at, left, bound)?;
        let right_term = self.typed(at, right, bound)?;
        Ok(match (left_term, right_term) {
            (Some(a), Some(b)) => {
                if a.ty() != b.ty() {
                    return fail(format!(
                        "{} is {} and {} is {}; only equal types can be compared",
                        crate::print_operand(left),
                        a.ty(),
                        crate::print_operand(right),
                        b.ty()
                    ));
                }
                (a, b)
            }
            (Some(a), None) => {
                let b = self.slot_term(right, a.ty(), self.by_number(at, left))?;
                (a, b)
            }
            (None, Some(b)) => {
                let a = self.slot_term(left, b.ty(), self.by_number(at, right))?;
                (a, b)
            }
            (None, None) => {
                let ty = wanted
                    .or(self.own_type(left)?)
                    .or(self.own_type(right)?)
                    .unwrap_or(FieldType::Text);
                (
                    self.slot_term(left, ty, false)?,
                    self.slot_term(right, ty, false)?,
                )
            }
        })
    }

    // A term for an operand whose type is certain without its other side.
    fn typed(
        &mut self,
        at: Option<&Collection>,
        operand: &Operand,
        bound: &Bound<'_>,
    ) -> Resolved<Option<Term>> {
        match operand {
            Operand::Variable(Variable::User(path)) if path.len() > 1 => {
                self.user_path(path).map(Some)
            }
            Operand::Literal(_) | Operand::Variable(_) => Ok(None),
            _ => self.term(at, operand, bound).map(Some),
        }
    }

    fn slot_term(&mut self, operand: &Operand, ty: FieldType, by_number: bool) -> Resolved<Term> {
        match self.slot(operand, ty, by_number)? {
            Some(slot) => Ok(Term::Slot(slot, ty)),
            None => fail("a literal or variable is needed here"),
        }
    }

    // Whether `$user` beside this operand means the account's number.
    fn by_number(&self, at: Option<&Collection>, operand: &Operand) -> bool {
        let (Some(collection), Operand::Path(path) | Operand::New(path) | Operand::Old(path)) =
            (at, operand)
        else {
            return false;
        };
        let mut collection = Arc::new(collection.clone());
        let Some((last, steps)) = path.0.split_last() else {
            return false;
        };
        for step in steps {
            let Some(relation) = collection
                .find_field(step)
                .and_then(|id| collection.field(id).relation)
            else {
                return false;
            };
            collection = Arc::clone(self.catalog.get(relation.target));
        }
        collection
            .find_field(last)
            .and_then(|id| collection.field(id).relation)
            .is_some_and(|relation| self.catalog.is_users_number(&relation))
    }

    // `$user.team.name`: begins at the account's own row and reads the database from there.
    fn user_path(&mut self, path: &[String]) -> Resolved<Term> {
        if matches!(self.purpose, Purpose::When | Purpose::Caller) {
            return self
                .variable_type(&Variable::User(path.to_vec()))
                .and_then(|_| fail("this cannot stand here"));
        }
        let users = self.users()?;
        let mut term = self.path(&users, &Path(path.to_vec()))?;
        let Start::Field(first) = term.start else {
            return fail("$user needs a column");
        };
        term.start = Start::User(Arc::clone(&users.field(first).name));
        Ok(Term::Path(term))
    }

    fn need_collection<'c>(
        &self,
        at: Option<&'c Collection>,
        what: &str,
    ) -> Resolved<&'c Collection> {
        match at {
            Some(collection) => Ok(collection),
            None => fail(format!(
                "'{what}' names a field, and 'when' knows only $user, $request, $now and $claims"
            )),
        }
    }

    // Looks a field up as this caller may: one he may not read is answered like one that is not there.
    fn field(&self, collection: &Collection, name: &str) -> Resolved<FieldId> {
        let hidden = |id: FieldId| {
            self.guards
                .is_some_and(|guards| matches!(guards.field(collection.id, id), Access::Never))
        };
        match collection.find_field(name) {
            Some(id) if !hidden(id) => Ok(id),
            _ => {
                let visible = collection
                    .named_fields()
                    .filter(|id| !hidden(*id))
                    .map(|id| &*collection.field(id).name)
                    .collect::<Vec<_>>();
                fail(format!(
                    "'{}' has no field '{name}'{}",
                    collection.name,
                    suggestion(name, visible.iter().copied())
                ))
            }
        }
    }

    fn term(
        &mut self,
        at: Option<&Collection>,
        operand: &Operand,
        bound: &Bound<'_>,
    ) -> Resolved<Term> {
        match self.bind(operand, bound) {
            Operand::Path(path) => {
                let collection = self.need_collection(at, &path.to_string())?;
                Ok(Term::Path(self.path(collection, path)?))
            }
            Operand::New(path) => {
                self.need_check("$new")?;
                let collection = self.need_collection(at, &path.to_string())?;
                Ok(Term::Path(self.path(collection, path)?))
            }
            Operand::Old(path) => {
                self.need_check("$old")?;
                let collection = self.need_collection(at, &path.to_string())?;
                let mut term = self.path(collection, path)?;
                let Start::Field(field) = term.start else {
                    return fail("$old needs a field");
                };
                if term.hops.is_empty() {
                    return Ok(Term::Slot(Slot::Old(field), term.ty));
                }
                term.start = Start::Old(field);
                Ok(Term::Path(term))
            }
            Operand::Count(path) => {
                let collection = self.need_collection(at, &path.to_string())?;
                Ok(Term::Count(Box::new(self.relation(collection, path)?)))
            }
            Operand::Part(part, inner) => {
                let inner = match self.bind(inner, bound) {
                    variable @ Operand::Variable(Variable::Now { .. }) => {
                        self.slot_term(variable, FieldType::Timestamp, false)?
                    }
                    other => self.term(at, other, bound)?,
                };
                if !matches!(inner.ty(), FieldType::Timestamp | FieldType::Datetime) {
                    return fail(format!(
                        "{}() needs a timestamp or datetime, not {}",
                        part.word(),
                        inner.ty()
                    ));
                }
                Ok(Term::Part(*part, Box::new(inner)))
            }
            Operand::Variable(Variable::User(path)) if path.len() > 1 => self.user_path(path),
            Operand::Parameter(name) => fail(format!("':{name}' is not a parameter of this rule")),
            other @ (Operand::Literal(_) | Operand::Variable(_)) => fail(format!(
                "{} cannot stand here; name a field",
                crate::print_operand(other)
            )),
        }
    }

    fn need_check(&self, what: &str) -> Resolved<()> {
        if self.purpose != Purpose::Check {
            return fail(format!("{what} works in checks only"));
        }
        if self.quantifiers > 0 {
            return fail(format!(
                "{what} speaks of the record written and cannot stand inside some, every or none"
            ));
        }
        Ok(())
    }
}

fn and_guards(a: Option<Arc<Condition>>, b: Option<Arc<Condition>>) -> Option<Arc<Condition>> {
    match (a, b) {
        (None, other) | (other, None) => other,
        (Some(a), Some(b)) => Some(Arc::new((*a).clone().and((*b).clone()))),
    }
}

fn check_request(name: &str) -> Resolved<()> {
    const NAMES: [&str; 4] = ["ip", "method", "face", "operation"];
    if NAMES.contains(&name) {
        return Ok(());
    }
    fail(format!(
        "there is no '$request.{name}'{}",
        suggestion(name, NAMES)
    ))
}

fn literal_value(literal: &Literal, ty: FieldType) -> Resolved<Value> {
    let value = match (literal, ty) {
        (Literal::Boolean(bool), FieldType::Boolean) => Ok(Value::Boolean(*bool)),
        (Literal::Number(text), FieldType::Integer | FieldType::Float | FieldType::Decimal(_)) => {
            Value::from_text(ty, text)
        }
        (
            Literal::Text(text),
            FieldType::Text | FieldType::Timestamp | FieldType::Datetime | FieldType::Uuid,
        ) => Value::from_text(ty, text),
        (Literal::Boolean(bool), _) => {
            return fail(format!(
                "{bool} is boolean and cannot be compared with {ty}"
            ));
        }
        (Literal::Number(text), _) => {
            return fail(format!(
                "{text} is a number and cannot be compared with {ty}"
            ));
        }
        (Literal::Text(text), _) => {
            return fail(format!("'{text}' is text and cannot be compared with {ty}"));
        }
        (Literal::Null | Literal::Caller(_), _) => return fail("a literal is needed"),
    };
    value.map_err(|error| ResolveError(error.0))
}

fn last_line(text: &str) -> &str {
    text.lines()
        .last()
        .unwrap_or(text)
        .trim_start_matches("error: ")
}
