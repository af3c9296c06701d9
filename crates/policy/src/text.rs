//! The rule language as text and as JSON: one tree, read from and printed back in either form.

use portreeve_model::{Operand, Rule};

/// Why a text is no rule, and where in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleError {
    /// Byte offset into the text; 0 for JSON.
    pub offset: usize,
    /// One sentence that names the offending word and the fix.
    pub message: String,
}

/// Reads a rule.
pub fn parse_rule(_text: &str) -> Result<Rule, RuleError> {
    Err(RuleError {
        offset: 0,
        message: String::new(),
    })
}
/// Reads an operand.
pub fn parse_operand(_text: &str) -> Result<Operand, RuleError> {
    Err(RuleError {
        offset: 0,
        message: String::new(),
    })
}
/// Prints a rule.
pub fn print_rule(_rule: &Rule) -> String {
    String::new()
}
/// Prints an operand.
pub fn print_operand(_operand: &Operand) -> String {
    String::new()
}
/// Reads a rule from JSON.
pub fn rule_from_json(_json: &serde_json::Value) -> Result<Rule, RuleError> {
    Err(RuleError {
        offset: 0,
        message: String::new(),
    })
}
/// Writes a rule as JSON.
pub fn rule_to_json(_rule: &Rule) -> serde_json::Value {
    serde_json::Value::Null
}
