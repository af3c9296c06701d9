//! The actions of a face, as data.

use std::collections::{BTreeSet, HashMap};

use crate::{ActionId, Actions, SYSTEM_COLLECTIONS, suggestion};

/// What one action of a face is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum On {
    /// Nothing in particular: `server:now`.
    Nothing,
    /// The records of the collection it names.
    Records,
    /// The product's own collection of that name: `security:searchUsers` is about `users`.
    Collection(&'static str),
}

/// Whether a face has a box for each collection, or one for all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// One for each.
    Each,
    /// One for all ordinary collections.
    All,
}

/// An action of a face, and the actions of ours it takes: all of them.
#[derive(Clone, Copy, Debug)]
pub struct WireAction {
    /// What the face calls it.
    pub name: &'static str,
    /// What it takes, each by its name or a prefix.
    pub needs: &'static [&'static str],
    /// What it is about.
    pub on: On,
}

impl WireAction {
    /// One action.
    pub const fn new(name: &'static str, needs: &'static [&'static str], on: On) -> Self {
        Self { name, needs, on }
    }
}

/// What a face says of its actions.
#[derive(Clone, Copy, Debug)]
pub struct TableDefinition {
    /// The face.
    pub face: &'static str,
    /// What stands between the parts of a name where `*` may stand for the last, or for all: `:` in `document:*`.
    pub separator: Option<char>,
    /// How it shows collections.
    pub span: Span,
    /// Collections of the product's own that it shows among the others, where it has a box for each.
    pub shows: &'static [&'static str],
    /// Whether signing in and what goes with it is asked for as a right.
    pub judges_auth: bool,
    /// Its actions.
    pub actions: &'static [WireAction],
    /// Names with `*`, and the prefix of ours that stands for them when all of it is granted.
    pub wildcards: &'static [(&'static str, &'static str)],
}

/// What a name of the face means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WireName(pub(crate) usize);

/// The actions of a face, found to be in order.
#[derive(Clone, Debug)]
pub struct ActionTable {
    face: &'static str,
    separator: Option<char>,
    span: Span,
    shows: &'static [&'static str],
    judges_auth: bool,
    actions: Vec<Known>,
    by_name: HashMap<&'static str, usize>,
    wildcards: Vec<(&'static str, &'static str)>,
}

#[derive(Clone, Debug)]
struct Known {
    name: &'static str,
    needs: Vec<ActionId>,
    on: On,
}

/// What is wrong with a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("action table of '{face}': {what}")]
pub struct TableProblem {
    /// The face.
    pub face: String,
    /// What.
    pub what: String,
}

impl ActionTable {
    /// Looks whether everything it names is there, and once.
    pub fn new(definition: &TableDefinition) -> Result<Self, TableProblem> {
        let wrong = |what: String| TableProblem {
            face: definition.face.into(),
            what,
        };
        let known = Actions::new([]);
        let mut table = Self {
            face: definition.face,
            separator: definition.separator,
            span: definition.span,
            shows: definition.shows,
            judges_auth: definition.judges_auth,
            actions: vec![],
            by_name: HashMap::new(),
            wildcards: vec![],
        };
        let is_own = |name: &str| SYSTEM_COLLECTIONS.iter().any(|(known, _)| *known == name);
        if let Some(name) = definition.shows.iter().find(|name| !is_own(name)) {
            return Err(wrong(format!(
                "it shows '{name}', which is no collection of the product's own"
            )));
        }
        for action in definition.actions {
            let name = action.name;
            if name.is_empty() || name.contains('*') {
                return Err(wrong(format!(
                    "'{name}' is no name of an action; '*' belongs under 'wildcards'"
                )));
            }
            let mut needs = BTreeSet::new();
            for need in action.needs {
                let found = known.covered(need);
                if found.is_empty() || *need == "*" {
                    let hint = suggestion(need, known.patterns());
                    return Err(wrong(format!(
                        "'{name}' takes '{need}', which is no action{hint}"
                    )));
                }
                needs.extend(found);
            }
            if needs.is_empty() {
                return Err(wrong(format!("'{name}' takes nothing")));
            }
            if !definition.judges_auth {
                needs.retain(|need| !known.name(*need).starts_with("auth."));
            }
            if action.on == On::Nothing && needs.iter().any(|need| need.is_record()) {
                return Err(wrong(format!(
                    "'{name}' takes an action on records, so it has to say on which"
                )));
            }
            if let On::Collection(collection) = action.on
                && !is_own(collection)
            {
                return Err(wrong(format!(
                    "'{name}' is about '{collection}', which is no collection of the product's own"
                )));
            }
            if table.by_name.insert(name, table.actions.len()).is_some() {
                return Err(wrong(format!("'{name}' is there twice")));
            }
            table.actions.push(Known {
                name,
                needs: needs.into_iter().collect(),
                on: action.on,
            });
        }
        for (pattern, ours) in definition.wildcards {
            if known.covered(ours).is_empty() {
                let hint = suggestion(ours, known.patterns());
                return Err(wrong(format!(
                    "'{pattern}' stands for '{ours}', which is no action{hint}"
                )));
            }
            if !table.is_wildcard(pattern) {
                return Err(wrong(format!("'{pattern}' stands for none of its actions")));
            }
            if table.wildcards.iter().any(|(known, _)| known == pattern) {
                return Err(wrong(format!("'{pattern}' is there twice")));
            }
            table.wildcards.push((pattern, ours));
        }
        Ok(table)
    }

    /// The face.
    pub fn face(&self) -> &'static str {
        self.face
    }

    /// How it shows collections.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Collections of the product's own that it shows among the others.
    pub fn shows(&self) -> &'static [&'static str] {
        self.shows
    }

    /// Whether signing in is asked for as a right.
    pub fn judges_auth(&self) -> bool {
        self.judges_auth
    }

    /// Its actions, in their order.
    pub fn names(&self) -> impl Iterator<Item = WireName> + use<> {
        (0..self.actions.len()).map(WireName)
    }

    /// The action of that name.
    pub fn find(&self, name: &str) -> Option<WireName> {
        self.by_name.get(name).copied().map(WireName)
    }

    /// What the face calls it.
    pub fn name(&self, action: WireName) -> &'static str {
        self.actions[action.0].name
    }

    /// What it takes: all of these. Nothing where it is open to everybody.
    pub fn needs(&self, action: WireName) -> &[ActionId] {
        &self.actions[action.0].needs
    }

    /// What it is about.
    pub fn on(&self, action: WireName) -> On {
        self.actions[action.0].on
    }

    /// The nearest name, for who has misspelt one.
    pub fn hint(&self, name: &str) -> String {
        suggestion(name, self.actions.iter().map(|known| known.name))
    }

    /// Whether a name is one of its actions, or stands for several of them.
    pub fn knows(&self, name: &str) -> bool {
        self.by_name.contains_key(name) || self.is_wildcard(name)
    }

    pub(super) fn wildcards(&self) -> &[(&'static str, &'static str)] {
        &self.wildcards
    }

    /// `*:*`, and `document:*` where there is such a controller.
    pub(super) fn is_wildcard(&self, name: &str) -> bool {
        let Some(group) = self.group_of(name).filter(|_| self.is_starred(name)) else {
            return false;
        };
        group == "*"
            || self
                .names()
                .any(|known| self.group_of(self.name(known)) == Some(group))
    }

    fn is_starred(&self, name: &str) -> bool {
        let last = self.separator.and_then(|by| name.rsplit(by).next());
        last == Some("*")
    }

    /// What stands before the last separator.
    pub(super) fn group_of<'n>(&self, name: &'n str) -> Option<&'n str> {
        Some(name.rsplit_once(self.separator?)?.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: TableDefinition = TableDefinition {
        face: "kuzzle",
        separator: Some(':'),
        span: Span::All,
        shows: &[],
        judges_auth: true,
        actions: &[
            WireAction::new("document:get", &["data.read.one"], On::Records),
            WireAction::new("auth:login", &["auth.sign_in"], On::Nothing),
        ],
        wildcards: &[("*:*", "*"), ("document:*", "data")],
    };

    fn wrong(definition: TableDefinition) -> String {
        ActionTable::new(&definition).unwrap_err().to_string()
    }

    #[test]
    fn a_table_that_names_what_is_not_there_is_refused() {
        assert!(ActionTable::new(&GOOD).is_ok());
        let of = |actions| TableDefinition {
            actions,
            wildcards: &[],
            ..GOOD
        };
        use On::{Collection, Nothing, Records};
        const ONE: [[WireAction; 1]; 5] = [
            [WireAction::new("a:b", &["data.raed"], Records)],
            [WireAction::new("a:b", &["data.read"], Nothing)],
            [WireAction::new("a:b", &["data.read"], Collection("posts"))],
            [WireAction::new("a:b", &[], Nothing)],
            [WireAction::new("a:*", &["data.read"], Records)],
        ];
        const TWICE: [WireAction; 2] = [
            WireAction::new("a:b", &["server.now"], Nothing),
            WireAction::new("a:b", &["server.info"], Nothing),
        ];
        for (actions, part) in [
            (
                &ONE[0][..],
                "takes 'data.raed', which is no action; did you mean 'data.read'?",
            ),
            (&TWICE, "'a:b' is there twice"),
            (&ONE[1], "has to say on which"),
            (&ONE[2], "no collection of the product's own"),
            (&ONE[3], "takes nothing"),
            (&ONE[4], "belongs under 'wildcards'"),
        ] {
            let said = wrong(of(actions));
            assert!(said.contains(part) && said.contains("'kuzzle'"), "{said}");
        }
        let starred = |wildcards| TableDefinition { wildcards, ..GOOD };
        assert!(wrong(starred(&[("a:*", "data")])).contains("none of its actions"));
        assert!(wrong(starred(&[("*:*", "date")])).contains("did you mean 'data'?"));
    }

    #[test]
    fn signing_in_is_asked_for_where_the_table_says_so() {
        let login = |judges_auth| {
            let table = ActionTable::new(&TableDefinition {
                judges_auth,
                ..GOOD
            })
            .unwrap();
            table.needs(table.find("auth:login").unwrap()).len()
        };
        assert_eq!((login(true), login(false)), (1, 0));
    }
}
