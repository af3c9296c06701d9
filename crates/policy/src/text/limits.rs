//! How large a rule may be. Checked on the tree, so that what is read in one form can be written in the other.

use portreeve_model::{List, Operand, Rule};

/// How long a rule may be, in bytes of its text form.
pub(super) const MAX_RULE_BYTES: usize = 64 * 1024;
/// How deep its conditions may be nested.
pub(super) const MAX_RULE_DEPTH: usize = 64;
/// How many names a path may have: each step is a look-up for every record.
const MAX_PATH: usize = 64;
/// How many conditions and operands it may have, steps of paths included.
pub(super) const MAX_RULE_NODES: usize = 4096;

/// Why a rule that is too long is refused.
pub(super) fn too_long(bytes: usize) -> String {
    format!(
        "the rule has {bytes} bytes and may have {MAX_RULE_BYTES}; move parts of it into named rules"
    )
}

/// Why a rule that is too deep is refused.
pub(super) fn too_deep() -> String {
    format!(
        "the rule is nested deeper than {MAX_RULE_DEPTH} levels; move a part of it into a named rule"
    )
}

/// Why a rule with too many parts is refused.
pub(super) fn too_many() -> String {
    format!(
        "the rule has more than {MAX_RULE_NODES} conditions and operands; compare with a relation instead of a long list"
    )
}

/// Refuses a tree that is too large to be read back from its other form.
pub(super) fn check(rule: &Rule) -> Result<(), String> {
    let mut size = Size::default();
    size.rule(rule, 1);
    size.verdict()?;
    // Printing costs more than counting; only a rule that might be too long is printed.
    if size.bytes > MAX_RULE_BYTES {
        let bytes = super::print_rule(rule).len();
        if bytes > MAX_RULE_BYTES {
            return Err(too_long(bytes));
        }
    }
    Ok(())
}

/// The same for an operand that stands alone.
pub(super) fn check_operand(operand: &Operand) -> Result<(), String> {
    let mut size = Size::default();
    size.operand(operand, 1);
    size.verdict()
}

#[derive(Default)]
struct Size {
    nodes: usize,
    depth: usize,
    // The longest path.
    path: usize,
    // Never less than what the text form takes.
    bytes: usize,
}

impl Size {
    fn verdict(&self) -> Result<(), String> {
        if self.path > MAX_PATH {
            return Err(format!(
                "a path in the rule has {} names and may have {MAX_PATH}; follow fewer relations",
                self.path
            ));
        }
        if self.depth > MAX_RULE_DEPTH {
            return Err(too_deep());
        }
        if self.nodes > MAX_RULE_NODES {
            return Err(too_many());
        }
        Ok(())
    }

    fn node(&mut self, depth: usize) {
        self.nodes += 1;
        self.depth = self.depth.max(depth);
        // The longest words around a node, with their spaces and parentheses.
        self.bytes += 64;
    }

    fn text(&mut self, text: &str) {
        // Every character may be a quote that is doubled, and the whole in quotes.
        self.bytes += 2 * text.len() + 3;
    }

    fn names(&mut self, names: &[String]) {
        self.path = self.path.max(names.len());
        self.nodes += names.len().saturating_sub(1);
        for name in names {
            self.text(name);
        }
    }

    fn rule(&mut self, rule: &Rule, depth: usize) {
        self.node(depth);
        match rule {
            Rule::Constant(_) => {}
            Rule::All(rules) | Rule::Any(rules) => {
                for rule in rules {
                    self.rule(rule, depth + 1);
                }
            }
            Rule::Not(rule) => self.rule(rule, depth + 1),
            Rule::Compare { left, op: _, right } => {
                self.operand(left, depth);
                self.operand(right, depth);
            }
            Rule::In { operand, list } => {
                self.operand(operand, depth);
                match list {
                    List::Items(items) => {
                        for item in items {
                            self.operand(item, depth);
                        }
                    }
                    List::Variable(variable) => {
                        self.operand(&Operand::Variable(variable.clone()), depth);
                    }
                }
            }
            Rule::Between { operand, low, high } => {
                self.operand(operand, depth);
                self.operand(low, depth);
                self.operand(high, depth);
            }
            Rule::IsNull(operand) => self.operand(operand, depth),
            Rule::Text {
                operand, needle, ..
            } => {
                self.operand(operand, depth);
                self.operand(needle, depth);
            }
            Rule::Matches { operand, pattern } => {
                self.operand(operand, depth);
                self.text(pattern);
            }
            Rule::Quantified { relation, rule, .. } => {
                self.names(&relation.0);
                self.rule(rule, depth + 1);
            }
            Rule::Sent(name) => self.text(name),
            Rule::Named { name, arguments } => {
                self.text(name);
                for argument in arguments {
                    self.operand(argument, depth);
                }
            }
        }
    }

    fn operand(&mut self, operand: &Operand, depth: usize) {
        use portreeve_model::{Literal, Variable};
        self.node(depth);
        match operand {
            Operand::Literal(Literal::Number(text) | Literal::Text(text)) => self.text(text),
            Operand::Literal(Literal::Null | Literal::Boolean(_) | Literal::Caller(_)) => {}
            Operand::Path(path)
            | Operand::Old(path)
            | Operand::New(path)
            | Operand::Count(path) => self.names(&path.0),
            Operand::Variable(Variable::User(names) | Variable::Claims(names)) => {
                self.names(names);
            }
            Operand::Variable(Variable::Request(name)) | Operand::Parameter(name) => {
                self.text(name);
            }
            Operand::Variable(Variable::Now { .. }) => {}
            Operand::Part(_, inner) => self.operand(inner, depth + 1),
        }
    }
}
