//! stub
use super::RuleError;
use portreeve_model::Rule;
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
