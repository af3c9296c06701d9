//! Parts of a document as the store keeps them, each as one JSON text in the shape of the YAML.

use serde_json::Value as Json;

use super::node::{Mark, Node};
use super::reader::Reader;
use super::report::Report;
use super::{
    ActionDefinition, CollectionDefinition, Permission, ProfileDefinition, RoleDefinition,
    RuleDefinition,
};
use crate::{ExistingSection, Problem};

/// What problems call the file of a part.
const STORED: &str = "stored";

/// Reads a collection that [`collection_to_json`](super::collection_to_json) wrote.
pub fn collection_from_json(name: &str, json: &Json) -> Result<CollectionDefinition, Vec<Problem>> {
    part("collections", name, json, Reader::collection_definition)
}

/// Reads what [`existing_to_json`](super::existing_to_json) wrote.
pub fn existing_from_json(json: &Json) -> Result<ExistingSection, Vec<Problem>> {
    part("existing", "", json, |reader, _, _, node| {
        reader.existing_section(node)
    })
}

/// Reads an action that [`action_to_json`](super::action_to_json) wrote.
pub fn action_from_json(name: &str, json: &Json) -> Result<ActionDefinition, Vec<Problem>> {
    part("actions", name, json, Reader::action)
}

/// Reads a named rule that [`rule_definition_to_json`](super::rule_definition_to_json) wrote.
pub fn rule_definition_from_json(name: &str, json: &Json) -> Result<RuleDefinition, Vec<Problem>> {
    part("rules", name, json, Reader::named_rule)
}

/// Reads a role that [`role_to_json`](super::role_to_json) wrote.
pub fn role_from_json(key: &str, json: &Json) -> Result<RoleDefinition, Vec<Problem>> {
    part("roles", key, json, Reader::role)
}

/// Reads a profile that [`profile_to_json`](super::profile_to_json) wrote.
pub fn profile_from_json(key: &str, json: &Json) -> Result<ProfileDefinition, Vec<Problem>> {
    part("profiles", key, json, Reader::profile)
}

/// Reads permissions that belong to no role: a list, as a role has it.
pub(crate) fn permissions_from_json(json: &Json) -> Result<Vec<Permission>, Vec<Problem>> {
    part("permissions", "", json, |reader, _, _, node| {
        reader.permissions(node)
    })
}

fn part<T>(
    section: &str,
    key: &str,
    json: &Json,
    read: impl FnOnce(&mut Reader<'static>, &str, Mark, &Node) -> Option<T>,
) -> Result<T, Vec<Problem>> {
    let mut report = Report::new(STORED, section);
    report.enter(key);
    let node = Node::from_json(json, &mut report);
    let mut reader = Reader::new(report, "");
    let part = node.and_then(|node| read(&mut reader, key, Mark::default(), &node));
    // Whoever returns `None` has reported why.
    reader.finish(part)?.ok_or_else(Vec::new)
}
