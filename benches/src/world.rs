//! The worlds decisions are asked in: drawn from a seed, the same on every machine, with an oracle that answers by
//! looking at every permission of a caller's roles.

use portreeve_model::{
    CollectionName, CompareOp, FieldType, KeySource, OnDelete, Operand, Path, Rule, Variable,
};
use portreeve_policy::{
    Binding, BoundTo, CollectionDefinition, Document, Effect, FieldDefinition, Permission, Place,
    ReferenceDefinition, RoleDefinition,
};

/// The actions that are asked about, by the names the product gives them.
pub const ACTIONS: [&str; 8] = [
    "data.read.one",
    "data.read.many",
    "data.read.count",
    "data.create.one",
    "data.update.one",
    "data.delete.one",
    "data.share",
    "data.subscribe",
];

/// Collections per namespace.
pub const NAMESPACE_SIZE: usize = 20;

// A permission for any action names these, which are every action on records. A bare `*` would also name signing in,
// the server's and the policy's own actions, of which the floors know nothing.
const ANY_ACTION: [&str; 6] = [
    "data.read",
    "data.create",
    "data.update",
    "data.delete",
    "data.share",
    "data.subscribe",
];

/// How large a world is.
#[derive(Clone, Copy)]
pub struct Size {
    /// What the report calls it.
    pub name: &'static str,
    /// How many users.
    pub users: usize,
    /// How many roles.
    pub roles: usize,
    /// How many permissions each role has.
    pub per_role: usize,
    /// How many collections.
    pub collections: usize,
}

/// 2,000 permissions.
pub const SMALL: Size = Size {
    name: "2,000 permissions",
    users: 1_000,
    roles: 100,
    per_role: 20,
    collections: 200,
};

/// 1,000,000 permissions.
pub const LARGE: Size = Size {
    name: "1,000,000 permissions",
    users: 100_000,
    roles: 10_000,
    per_role: 100,
    collections: 2_000,
};

/// Which actions a permission covers.
#[derive(Clone, Copy)]
pub enum Act {
    /// Every one.
    Any,
    /// The one at this place of [`ACTIONS`].
    One(u32),
}

/// Which collections a permission covers.
#[derive(Clone, Copy)]
pub enum Target {
    /// Every one of a namespace.
    Namespace(u32),
    /// This one.
    One(u32),
}

/// A permission.
#[derive(Clone, Copy)]
pub struct Perm {
    /// Which actions.
    pub act: Act,
    /// Which collections.
    pub target: Target,
    /// Takes away instead of granting.
    pub deny: bool,
    /// Only records whose owner asks.
    pub owner: bool,
}

/// Who asks for what.
#[derive(Clone, Copy)]
pub struct Query {
    /// The user.
    pub user: u32,
    /// The action's place in [`ACTIONS`].
    pub action: u32,
    /// The collection.
    pub collection: u32,
}

/// What comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Denied.
    No,
    /// Allowed on every record.
    Yes,
    /// Allowed on one's own records.
    Depends,
}

/// Users, roles, and questions with their answers.
pub struct World {
    /// How large it is.
    pub size: Size,
    /// Each user's roles, ascending.
    pub users: Vec<Vec<u32>>,
    /// Each role's permissions.
    pub roles: Vec<Vec<Perm>>,
    /// What is asked.
    pub queries: Vec<Query>,
    /// The oracle's answers.
    pub expected: Vec<Answer>,
}

impl World {
    /// Draws a world and so many questions.
    pub fn new(size: Size, queries: usize) -> Self {
        let mut dice = Dice(42);
        let roles: Vec<Vec<Perm>> = (0..size.roles)
            .map(|_| {
                (0..size.per_role)
                    .map(|_| Perm::draw(&mut dice, size))
                    .collect()
            })
            .collect();
        let users: Vec<Vec<u32>> = (0..size.users)
            .map(|_| {
                let held = 1 + dice.below(5);
                let mut held: Vec<u32> = (0..held).map(|_| dice.below(size.roles) as u32).collect();
                held.sort_unstable();
                held.dedup();
                held
            })
            .collect();
        let mut world = Self {
            size,
            users,
            roles,
            queries: vec![],
            expected: vec![],
        };
        world.queries = (0..queries).map(|_| world.draw_query(&mut dice)).collect();
        world.expected = world
            .queries
            .iter()
            .map(|query| world.oracle(query))
            .collect();
        world
    }

    // Six in ten ask for something that one of their permissions is about, the others for anything.
    fn draw_query(&self, dice: &mut Dice) -> Query {
        let user = dice.below(self.users.len());
        let held = &self.users[user];
        let user = user as u32;
        if dice.below(100) >= 58 {
            return Query {
                user,
                action: dice.below(ACTIONS.len()) as u32,
                collection: dice.below(self.size.collections) as u32,
            };
        }
        let role = held[dice.below(held.len())] as usize;
        let perm = self.roles[role][dice.below(self.size.per_role)];
        let action = match perm.act {
            Act::Any => dice.below(ACTIONS.len()) as u32,
            Act::One(action) => action,
        };
        let collection = match perm.target {
            Target::Namespace(namespace) => {
                namespace * NAMESPACE_SIZE as u32 + dice.below(NAMESPACE_SIZE) as u32
            }
            Target::One(collection) => collection,
        };
        Query {
            user,
            action,
            collection,
        }
    }

    fn oracle(&self, query: &Query) -> Answer {
        let mut answer = Answer::No;
        for role in &self.users[query.user as usize] {
            for perm in &self.roles[*role as usize] {
                if !perm.covers(query) {
                    continue;
                }
                if perm.deny {
                    return Answer::No;
                }
                if !perm.owner {
                    answer = Answer::Yes;
                } else if answer == Answer::No {
                    answer = Answer::Depends;
                }
            }
        }
        answer
    }

    /// How many permissions there are.
    pub fn permissions(&self) -> usize {
        self.roles.iter().map(Vec::len).sum()
    }

    /// The access document that says the same.
    pub fn document(&self) -> Document {
        Document {
            collections: (0..self.size.collections).map(collection).collect(),
            roles: (0..self.roles.len()).map(|role| self.role(role)).collect(),
            ..Document::default()
        }
    }

    /// One role of it.
    pub fn role(&self, role: usize) -> RoleDefinition {
        RoleDefinition {
            key: role_key(role),
            permissions: self.roles[role].iter().map(Perm::permission).collect(),
            ..RoleDefinition::default()
        }
    }

    /// A user's roles as bindings.
    pub fn bindings(&self, user: usize) -> Vec<Binding> {
        self.users[user]
            .iter()
            .map(|role| Binding {
                to: BoundTo::Role(role_key(*role as usize)),
                ..Binding::default()
            })
            .collect()
    }
}

impl Perm {
    fn draw(dice: &mut Dice, size: Size) -> Self {
        let act = Act::One(dice.below(ACTIONS.len()) as u32);
        let target = Target::One(dice.below(size.collections) as u32);
        let plain = Self {
            act,
            target,
            deny: false,
            owner: false,
        };
        match dice.below(100) {
            0..8 => Self {
                act: Act::Any,
                ..plain
            },
            8..14 => Self {
                target: Target::Namespace(dice.below(size.collections / NAMESPACE_SIZE) as u32),
                ..plain
            },
            14..20 => Self {
                deny: true,
                ..plain
            },
            20..40 => Self {
                owner: true,
                ..plain
            },
            _ => plain,
        }
    }

    fn covers(&self, query: &Query) -> bool {
        let action = match self.act {
            Act::Any => true,
            Act::One(action) => action == query.action,
        };
        action
            && match self.target {
                Target::Namespace(namespace) => {
                    query.collection / NAMESPACE_SIZE as u32 == namespace
                }
                Target::One(collection) => collection == query.collection,
            }
    }

    fn permission(&self) -> Permission {
        Permission {
            effect: if self.deny {
                Effect::Deny
            } else {
                Effect::Allow
            },
            actions: match self.act {
                Act::Any => ANY_ACTION.iter().map(|name| (*name).to_owned()).collect(),
                Act::One(action) => vec![ACTIONS[action as usize].to_owned()],
            },
            on: vec![match self.target {
                Target::Namespace(namespace) => format!("ns{namespace}/*"),
                Target::One(collection) => collection_text(collection as usize),
            }],
            rows: self.owner.then(owned),
            ..Permission::default()
        }
    }
}

/// `owner = $user`
fn owned() -> Rule {
    Rule::Compare {
        left: Operand::Path(Path(vec!["owner".into()])),
        op: CompareOp::Equal,
        right: Operand::Variable(Variable::User(vec![])),
    }
}

fn collection(place: usize) -> CollectionDefinition {
    CollectionDefinition {
        name: collection_name(place),
        key: "id".into(),
        key_type: FieldType::Uuid,
        key_source: KeySource::Uuid,
        fields: vec![FieldDefinition {
            name: "owner".into(),
            ty: None,
            to: Some(ReferenceDefinition {
                collection: CollectionName::main("users"),
                by_number: false,
                by_field: None,
                on_delete: OnDelete::Cascade,
            }),
            required: true,
            unique: false,
            default: None,
            self_writable: false,
            kept: None,
            existing: None,
            place: Place::default(),
        }],
        relations: vec![],
        indexes: vec![],
        existing: None,
        place: Place::default(),
    }
}

/// A collection's name as people write it.
pub fn collection_text(place: usize) -> String {
    format!("ns{}/col{place}", place / NAMESPACE_SIZE)
}

/// A collection's name.
pub fn collection_name(place: usize) -> CollectionName {
    CollectionName::parse(&collection_text(place)).expect("letters and digits")
}

/// A role's key.
pub fn role_key(place: usize) -> String {
    format!("role{place}")
}

/// A user's key.
pub fn user_key(place: usize) -> String {
    format!("user-{place:08}")
}

/// Numbers without a pattern, repeatable (splitmix64).
pub struct Dice(pub u64);

impl Dice {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }

    /// From 0 to below `count`.
    pub fn below(&mut self, count: usize) -> usize {
        (self.next() % count as u64) as usize
    }
}
