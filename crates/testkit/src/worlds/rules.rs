//! Predicates over one or several collections, with the types they need.

use portreeve_model::{
    CompareOp, DatePart, FieldType, List, Literal, Operand, Path, Quantifier, Rule, TextOp, Value,
    Variable, decimal_text, timestamp_text,
};
use portreeve_policy::{Document, Place, ReferenceDefinition, RuleDefinition};

use super::{DAY, Dice, NOON, schema};
use crate::naive::schema::{Collection, USERS, field_of};
use crate::naive::{Record, World};

/// What a predicate is for, and so what it may say.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    Rows,
    Check {
        /// Whether there is a record before.
        old: bool,
    },
    Filter,
}

/// Something a path leads to.
#[derive(Clone, PartialEq)]
struct Spot {
    path: Vec<String>,
    ty: FieldType,
    to: Option<ReferenceDefinition>,
}

impl Spot {
    fn names_a_user(&self) -> bool {
        let to = self.to.as_ref();
        to.is_some_and(|to| to.collection.to_string() == USERS)
    }

    fn path(&self) -> Path {
        Path(self.path.clone())
    }
}

/// All fields of a collection, and those behind so many to-one steps.
fn spots(document: &Document, collection: &Collection, steps: usize) -> Vec<Spot> {
    let mut found = vec![];
    for field in &collection.fields {
        found.push(Spot {
            path: vec![field.name.clone()],
            ty: collection
                .type_of(document, &field.name)
                .expect("a field has a type"),
            to: field.to.clone(),
        });
        if let Some(to) = field.to.as_ref().filter(|_| steps > 0) {
            let target = Collection::named(document, &to.collection.to_string());
            let target = target.expect("links point at declared collections");
            for mut spot in spots(document, &target, steps - 1) {
                spot.path.insert(0, field.name.clone());
                found.push(spot);
            }
        }
    }
    found
}

/// To-many relations, some behind a to-one step, with where they lead.
fn relations(document: &Document, collection: &Collection, steps: usize) -> Vec<(Path, String)> {
    let own = collection.relations.iter();
    let mut found: Vec<(Path, String)> = own
        .map(|relation| {
            let path = Path(vec![relation.name.clone()]);
            (path, relation.target.to_string())
        })
        .collect();
    let links = collection.fields.iter().filter(|_| steps > 0);
    for (field, to) in links.filter_map(|field| Some((field, field.to.as_ref()?))) {
        let target = Collection::named(document, &to.collection.to_string());
        let target = target.expect("links point at declared collections");
        for (mut path, to) in relations(document, &target, steps - 1) {
            path.0.insert(0, field.name.clone());
            found.push((path, to));
        }
    }
    found
}

/// The named rules that every document has.
pub fn named_rules() -> Vec<RuleDefinition> {
    let parameter = |name: &str| Operand::Parameter(name.into());
    let rule = |name: &str, parameters: &[&str], rule: Rule| RuleDefinition {
        name: name.into(),
        parameters: parameters.iter().map(|name| (*name).into()).collect(),
        rule,
        place: Place::default(),
    };
    let user = |path: &[&str]| {
        let path = path.iter().map(|step| (*step).into());
        Operand::Variable(Variable::User(path.collect()))
    };
    let owner = compare(parameter("field"), CompareOp::Equal, user(&[]));
    let team = compare(parameter("field"), CompareOp::Equal, user(&["team"]));
    let least = compare(
        parameter("field"),
        CompareOp::GreaterOrEqual,
        parameter("bound"),
    );
    let others = Rule::Named {
        name: "owner".into(),
        arguments: vec![parameter("field")],
    };
    vec![
        rule("owner", &["field"], owner),
        rule("same_team", &["field"], team),
        rule("at_least", &["field", "bound"], least),
        rule("not_owner", &["field"], Rule::Not(Box::new(others))),
    ]
}

fn compare(left: Operand, op: CompareOp, right: Operand) -> Rule {
    Rule::Compare { left, op, right }
}

fn literal(value: &Value, ty: FieldType) -> Operand {
    Operand::Literal(match (value, ty) {
        (Value::Null, _) => Literal::Null,
        (Value::Boolean(boolean), _) => Literal::Boolean(*boolean),
        (Value::Integer(number), FieldType::Decimal(scale)) => {
            Literal::Number(decimal_text(*number, scale))
        }
        (Value::Integer(number), FieldType::Timestamp) => Literal::Text(timestamp_text(*number)),
        (Value::Integer(number), _) => Literal::Number(number.to_string()),
        (Value::Float(number), _) => Literal::Number(number.to_string()),
        (Value::Text(text), _) => Literal::Text(text.clone()),
    })
}

/// A predicate that is valid over every one of the collections.
pub fn predicate(
    dice: &mut Dice,
    world: &World,
    on: &[Collection],
    purpose: Purpose,
    depth: usize,
) -> Rule {
    let mut author = Author {
        dice,
        world,
        on: on.to_vec(),
        purpose,
        depth,
        spots: vec![],
    };
    author.spots = author.shared_spots();
    author.rule()
}

/// Something to group by or to make a number of, with its type: a field, one behind to-one steps, a part of a date, how
/// many related records there are.
pub fn operand(dice: &mut Dice, world: &World, on: &Collection) -> (Operand, FieldType) {
    let document = &world.document;
    let steps = dice.weighted(&[(60, 0), (30, 1), (10, 2)]);
    if dice.percent(12) {
        let relations = relations(document, on, steps.min(1));
        if !relations.is_empty() {
            let (path, _) = dice.pick(&relations);
            return (Operand::Count(path.clone()), FieldType::Integer);
        }
    }
    let spot = dice.pick(&spots(document, on, steps)).clone();
    let field = Operand::Path(spot.path());
    if spot.ty == FieldType::Timestamp && dice.percent(50) {
        let part = *dice.pick(&DatePart::ALL);
        return (Operand::Part(part, Box::new(field)), FieldType::Integer);
    }
    (field, spot.ty)
}

struct Author<'a> {
    dice: &'a mut Dice,
    world: &'a World,
    on: Vec<Collection>,
    purpose: Purpose,
    /// How deep predicates may still be nested.
    depth: usize,
    spots: Vec<Spot>,
}

impl Author<'_> {
    fn shared_spots(&self) -> Vec<Spot> {
        let document = &self.world.document;
        let mut shared = spots(document, &self.on[0], 2);
        for other in &self.on[1..] {
            let others = spots(document, other, 2);
            shared.retain(|spot| others.contains(spot));
        }
        shared
    }

    fn rule(&mut self) -> Rule {
        if self.depth == 0 {
            return self.atom();
        }
        self.depth -= 1;
        let rule = match self.dice.below(100) {
            0..13 => {
                let rules = (0..self.dice.between(2, 3)).map(|_| self.rule());
                Rule::All(rules.collect())
            }
            13..32 => {
                let rules = (0..self.dice.between(2, 3)).map(|_| self.rule());
                Rule::Any(rules.collect())
            }
            32..42 => Rule::Not(Box::new(self.rule())),
            _ => self.atom(),
        };
        self.depth += 1;
        rule
    }

    /// A spot that suits, short paths more often than long ones.
    fn spot(&mut self, suits: impl Fn(&Spot) -> bool) -> Option<Spot> {
        let steps = self.dice.weighted(&[(60, 0), (30, 1), (10, 2)]);
        let fitting: Vec<Spot> = self.spots.iter().filter(|it| suits(it)).cloned().collect();
        let near = fitting.iter().filter(|it| it.path.len() <= steps + 1);
        let near: Vec<Spot> = near.cloned().collect();
        let from = if near.is_empty() { fitting } else { near };
        (!from.is_empty()).then(|| self.dice.pick(&from).clone())
    }

    /// The spot as an operand; in checks sometimes said to be old or new.
    fn operand(&mut self, spot: &Spot) -> Operand {
        match self.purpose {
            Purpose::Check { old: true } if self.dice.percent(30) => Operand::Old(spot.path()),
            Purpose::Check { .. } if self.dice.percent(20) => Operand::New(spot.path()),
            _ => Operand::Path(spot.path()),
        }
    }

    /// Something to compare the spot with; often what some record has there.
    fn value_for(&mut self, spot: &Spot) -> Operand {
        let of = &self.on[self.dice.below(self.on.len())];
        let records: Vec<&Record> = self.world.all(&of.name).values().collect();
        if spot.path.len() == 1 && !records.is_empty() && self.dice.percent(45) {
            let record = records[self.dice.below(records.len())];
            let value = field_of(record, &spot.path[0]);
            if !value.is_null() {
                return literal(&value, spot.ty);
            }
        }
        let value = match &spot.to {
            Some(to) => schema::some_link(self.dice, self.world, to),
            None if spot.path.last().is_some_and(|name| name == "id") => self.some_key(spot),
            None => schema::some_value(self.dice, spot.ty),
        };
        literal(&value, spot.ty)
    }

    fn some_key(&mut self, spot: &Spot) -> Value {
        match spot.ty {
            FieldType::Integer => Value::Integer(self.dice.between(1, 8) as i64),
            _ => Value::from("00000000-0000-7000-8000-000000000001"),
        }
    }

    fn atom(&mut self) -> Rule {
        let in_check = matches!(self.purpose, Purpose::Check { .. });
        let in_rule = self.purpose != Purpose::Filter;
        let kinds = [
            (34, Self::comparison as fn(&mut Self) -> Option<Rule>),
            (if in_rule { 13 } else { 0 }, Self::ownership),
            (8, Self::is_null),
            (7, Self::is_in),
            (5, Self::is_between),
            (9, Self::text_search),
            (8, Self::quantified),
            (5, Self::count),
            (3, Self::date_part),
            (if in_rule { 8 } else { 0 }, Self::named),
            (if in_check { 14 } else { 0 }, Self::sent),
            (if in_check { 4 } else { 0 }, Self::matches),
            (2, Self::constant),
        ];
        loop {
            let kind = self.dice.weighted(&kinds);
            if let Some(rule) = kind(self) {
                return rule;
            }
        }
    }

    fn constant(&mut self) -> Option<Rule> {
        Some(Rule::Constant(self.dice.percent(60)))
    }

    fn comparison(&mut self) -> Option<Rule> {
        let spot = self.spot(|_| true)?;
        let left = self.operand(&spot);
        let op = if spot.ty.is_ordered() && self.dice.percent(60) {
            *self.dice.pick(&[
                CompareOp::Less,
                CompareOp::LessOrEqual,
                CompareOp::Greater,
                CompareOp::GreaterOrEqual,
            ])
        } else if self.dice.percent(65) {
            CompareOp::Equal
        } else {
            CompareOp::NotEqual
        };
        let right = match self.dice.below(100) {
            0..18 => {
                let other = self.spot(|other| other.ty == spot.ty)?;
                self.operand(&other)
            }
            18..40 if self.purpose != Purpose::Filter => self.variable(spot.ty)?,
            _ => self.value_for(&spot),
        };
        Some(if self.dice.percent(12) {
            compare(right, op.flipped(), left)
        } else {
            compare(left, op, right)
        })
    }

    /// A variable with values of the type.
    fn variable(&mut self, ty: FieldType) -> Option<Operand> {
        let claim = |name: &str| Variable::Claims(vec![name.into()]);
        let mut found = match ty {
            FieldType::Text => vec![claim("team"), Variable::Request("method".into())],
            FieldType::Integer => vec![claim("level")],
            FieldType::Boolean => vec![claim("vip")],
            FieldType::Timestamp => {
                let offset = *self.dice.pick(&[0, -DAY, DAY]);
                vec![Variable::Now { offset }]
            }
            _ => vec![],
        };
        let users = self.world.collection(USERS);
        for spot in spots(&self.world.document, &users, 0) {
            let told = ["id", "number", "team", "level", "home"];
            if spot.ty == ty && told.contains(&spot.path[0].as_str()) {
                found.push(Variable::User(spot.path));
            }
        }
        (!found.is_empty()).then(|| Operand::Variable(self.dice.pick(&found).clone()))
    }

    /// `owner = $user` and its kin.
    fn ownership(&mut self) -> Option<Rule> {
        let spot = self.spot(Spot::names_a_user)?;
        let user = Operand::Variable(Variable::User(vec![]));
        let op = self
            .dice
            .weighted(&[(80, CompareOp::Equal), (20, CompareOp::NotEqual)]);
        Some(compare(self.operand(&spot), op, user))
    }

    fn is_null(&mut self) -> Option<Rule> {
        let spot = self.spot(|_| true)?;
        let rule = Rule::IsNull(self.operand(&spot));
        Some(if self.dice.percent(60) {
            Rule::Not(Box::new(rule))
        } else {
            rule
        })
    }

    fn is_in(&mut self) -> Option<Rule> {
        let spot = self.spot(|_| true)?;
        let operand = self.operand(&spot);
        let list = if self.purpose != Purpose::Filter
            && spot.ty == FieldType::Text
            && self.dice.percent(25)
        {
            List::Variable(Variable::Claims(vec!["teams".into()]))
        } else {
            let items = (0..self.dice.below(4)).map(|_| self.value_for(&spot));
            List::Items(items.collect())
        };
        Some(Rule::In { operand, list })
    }

    fn is_between(&mut self) -> Option<Rule> {
        let spot = self.spot(|spot| spot.ty.is_ordered() && spot.to.is_none())?;
        let operand = self.operand(&spot);
        let (low, high) = (self.value_for(&spot), self.value_for(&spot));
        Some(Rule::Between { operand, low, high })
    }

    fn text_search(&mut self) -> Option<Rule> {
        let spot = self.spot(|spot| spot.ty.is_text() && spot.to.is_none())?;
        let needle = match self.dice.below(100) {
            0..15 => {
                let other = self.spot(|other| other.ty.is_text())?;
                self.operand(&other)
            }
            15..25 if self.purpose != Purpose::Filter => self.variable(FieldType::Text)?,
            _ => self.value_for(&spot),
        };
        Some(Rule::Text {
            operand: self.operand(&spot),
            op: *self
                .dice
                .pick(&[TextOp::Contains, TextOp::StartsWith, TextOp::EndsWith]),
            ignore_case: self.dice.percent(40),
            needle,
        })
    }

    /// A to-many relation of the one collection that the predicate is about.
    fn relation(&mut self) -> Option<(Path, String)> {
        let [only] = &self.on[..] else { return None };
        let steps = usize::from(self.dice.percent(25));
        let found = relations(&self.world.document, only, steps);
        (!found.is_empty()).then(|| self.dice.pick(&found).clone())
    }

    fn quantified(&mut self) -> Option<Rule> {
        let (relation, target) = self.relation()?;
        let inner = match self.purpose {
            Purpose::Filter => Purpose::Filter,
            Purpose::Rows | Purpose::Check { .. } => Purpose::Rows,
        };
        let target = self.world.collection(&target);
        let depth = self.depth.saturating_sub(1);
        let rule = predicate(self.dice, self.world, &[target], inner, depth);
        Some(Rule::Quantified {
            quantifier: *self
                .dice
                .pick(&[Quantifier::Some, Quantifier::Every, Quantifier::None]),
            relation,
            rule: Box::new(rule),
        })
    }

    fn count(&mut self) -> Option<Rule> {
        let (relation, _) = self.relation()?;
        let op = *self
            .dice
            .pick(&[CompareOp::Equal, CompareOp::Greater, CompareOp::LessOrEqual]);
        let bound = self.dice.below(3).to_string();
        let bound = Operand::Literal(Literal::Number(bound));
        Some(compare(Operand::Count(relation), op, bound))
    }

    fn date_part(&mut self) -> Option<Rule> {
        let spot = self.spot(|spot| spot.ty == FieldType::Timestamp)?;
        let part = *self.dice.pick(&DatePart::ALL);
        let expected = part.of(NOON) - i64::from(self.dice.percent(40));
        let expected = Operand::Literal(Literal::Number(expected.to_string()));
        let part = Operand::Part(part, Box::new(self.operand(&spot)));
        let op = *self.dice.pick(&[CompareOp::Equal, CompareOp::Greater]);
        Some(compare(part, op, expected))
    }

    fn named(&mut self) -> Option<Rule> {
        let (name, arguments) = match self.dice.below(4) {
            0 => ("owner", vec![self.spot(Spot::names_a_user)?]),
            1 => ("not_owner", vec![self.spot(Spot::names_a_user)?]),
            2 => {
                let spot = self.spot(|spot| spot.ty.is_text() && spot.to.is_none())?;
                ("same_team", vec![spot])
            }
            _ => {
                let spot = self.spot(|spot| spot.ty == FieldType::Integer && spot.to.is_none())?;
                ("at_least", vec![spot])
            }
        };
        let bound = (name == "at_least").then(|| self.value_for(&arguments[0]));
        let mut operands = vec![self.operand(&arguments[0])];
        operands.extend(bound);
        Some(Rule::Named {
            name: name.into(),
            arguments: operands,
        })
    }

    /// `sent(f)`, alone or as the condition of something about it.
    fn sent(&mut self) -> Option<Rule> {
        let key = self.on[0].key.clone();
        let spot = self.spot(|spot| spot.path.len() == 1 && spot.path[0] != key)?;
        let sent = Rule::Sent(spot.path[0].clone());
        let about_it = compare(self.operand(&spot), CompareOp::Equal, self.value_for(&spot));
        let no = |rule: Rule| Rule::Not(Box::new(rule));
        Some(match self.dice.below(4) {
            0 => sent,
            1 => no(sent),
            2 => Rule::All(vec![sent, no(about_it)]),
            _ => Rule::Any(vec![no(sent), about_it]),
        })
    }

    fn matches(&mut self) -> Option<Rule> {
        let spot = self.spot(|spot| spot.ty.is_text() && spot.to.is_none())?;
        let pattern = *self.dice.pick(&["^[a-z]*$", "b$", "(?i)^A", "."]);
        Some(Rule::Matches {
            operand: self.operand(&spot),
            pattern: pattern.into(),
        })
    }
}

/// A predicate over `$user $request $now $claims`.
pub fn condition(dice: &mut Dice, roles: &[String]) -> Rule {
    let text = |text: &str| Operand::Literal(Literal::Text(text.into()));
    let variable = Operand::Variable;
    let user = |field: &str| variable(Variable::User(vec![field.into()]));
    let claim = |name: &str| Variable::Claims(vec![name.into()]);
    let rule = match dice.below(9) {
        0 => {
            let moment = timestamp_text(NOON - DAY + i64::from(dice.percent(40)) * 2 * DAY);
            let now = variable(Variable::Now { offset: 0 });
            compare(now, CompareOp::Greater, text(&moment))
        }
        1 => {
            let expected = if dice.percent(70) { "GET" } else { "POST" };
            let method = variable(Variable::Request("method".into()));
            compare(method, CompareOp::Equal, text(expected))
        }
        2 => Rule::Text {
            operand: variable(Variable::Request("ip".into())),
            op: TextOp::StartsWith,
            ignore_case: false,
            needle: text("10."),
        },
        3 => compare(variable(claim("team")), CompareOp::NotEqual, text("b")),
        4 => Rule::In {
            operand: user("team"),
            list: List::Variable(claim("teams")),
        },
        5 => {
            let bound = Operand::Literal(Literal::Number("1".into()));
            compare(user("level"), CompareOp::GreaterOrEqual, bound)
        }
        6 => Rule::Not(Box::new(Rule::IsNull(user("team")))),
        7 => {
            let hour = Operand::Part(
                DatePart::Hour,
                Box::new(variable(Variable::Now { offset: 0 })),
            );
            let noon = Operand::Literal(Literal::Number("12".into()));
            compare(hour, CompareOp::Equal, noon)
        }
        _ => Rule::In {
            operand: text(&roles[dice.below(roles.len())]),
            list: List::Variable(Variable::User(vec!["roles".into()])),
        },
    };
    if dice.percent(20) {
        Rule::Not(Box::new(rule))
    } else {
        rule
    }
}
