//! What a face wrote, kept beside what was made of it. It is shown back as long as that is unchanged.

use portreeve_model::EntityTag;
use serde_json::{Map, Value as Json, json};

use super::{Permission, RoleDefinition, role_to_json};

/// What a face wrote: `source: { face, verbatim, hash }`.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// The face.
    pub face: String,
    /// What it wrote.
    pub verbatim: Json,
    /// Of what was made of it.
    pub hash: String,
}

// Where `extra` of a role keeps what a face wrote of the whole role.
const WHOLE: &str = "source";

impl Permission {
    /// Marks these as made of one thing that a face wrote.
    pub fn seal(face: &str, verbatim: Json, permissions: &mut [Self]) {
        let hash = hash(permissions.iter());
        for permission in permissions {
            permission.source = Some(Source {
                face: face.into(),
                verbatim: verbatim.clone(),
                hash: hash.clone(),
            });
        }
    }
}

impl RoleDefinition {
    /// What a face wrote, in the order of the first permission made of it, with the places of all of them. What has been
    /// changed since is left out.
    pub fn written_by(&self, face: &str) -> Vec<(&Json, Vec<usize>)> {
        let mut groups: Vec<(&Source, Vec<usize>)> = vec![];
        for (place, permission) in self.permissions.iter().enumerate() {
            let Some(source) = permission
                .source
                .as_ref()
                .filter(|source| source.face == face)
            else {
                continue;
            };
            match groups.iter_mut().find(|(known, _)| *known == source) {
                Some((_, places)) => places.push(place),
                None => groups.push((source, vec![place])),
            }
        }
        groups.retain(|(source, places)| {
            source.hash == hash(places.iter().map(|place| &self.permissions[*place]))
        });
        groups
            .into_iter()
            .map(|(source, places)| (&source.verbatim, places))
            .collect()
    }

    /// What a face wrote of the role as a whole, as long as its permissions are what was made of that.
    pub fn whole_written_by(&self, face: &str) -> Option<&Json> {
        let kept = self.extra.as_ref()?.get(WHOLE)?.get(face)?;
        let hash = kept.get("hash")?.as_str()?;
        (hash == self.whole_hash())
            .then(|| kept.get("verbatim"))
            .flatten()
    }

    /// Keeps what a face has written of the role as a whole. An `extra` that is no mapping has no room for it.
    pub fn seal_whole(&mut self, face: &str, verbatim: Json) {
        let kept = json!({ "verbatim": verbatim, "hash": self.whole_hash() });
        let extra = self.extra.get_or_insert_with(|| Json::Object(Map::new()));
        if let Json::Object(extra) = extra {
            let all = extra
                .entry(WHOLE)
                .or_insert_with(|| Json::Object(Map::new()));
            if let Json::Object(all) = all {
                all.insert(face.into(), kept);
            }
        }
    }

    fn whole_hash(&self) -> String {
        let mark = if self.implicit_allow { "implicit" } else { "" };
        format!("{}{mark}", hash(self.permissions.iter()))
    }
}

fn hash<'p>(permissions: impl Iterator<Item = &'p Permission>) -> String {
    let bare = RoleDefinition {
        permissions: permissions
            .map(|permission| Permission {
                source: None,
                ..permission.clone()
            })
            .collect(),
        ..RoleDefinition::default()
    };
    EntityTag::of_json(role_to_json(&bare).to_string().as_bytes()).text()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::role_from_json;

    fn role(permissions: Json) -> RoleDefinition {
        role_from_json("r", &json!({ "permissions": permissions })).unwrap()
    }

    #[test]
    fn what_was_written_is_shown_until_what_was_made_of_it_changes() {
        let mut role = role(json!([
            { "allow": "data.read", "on": "posts" },
            { "deny": "data.create", "on": "posts", "check": "title is null" },
            { "allow": "data.read", "on": "notes" },
        ]));
        Permission::seal("directus", json!({ "id": 1 }), &mut role.permissions[..2]);
        Permission::seal("directus", json!({ "id": 2 }), &mut role.permissions[2..]);
        let stored = role_from_json("r", &role_to_json(&role)).unwrap();
        assert_eq!(
            stored.written_by("directus"),
            [
                (&json!({ "id": 1 }), vec![0, 1]),
                (&json!({ "id": 2 }), vec![2])
            ]
        );
        assert!(stored.written_by("strapi").is_empty());
        let mut changed = stored.clone();
        changed.permissions.remove(1);
        assert_eq!(
            changed.written_by("directus"),
            [(&json!({ "id": 2 }), vec![1])]
        );
        let mut changed = stored;
        changed.permissions[2].fields = Some(vec!["title".into()]);
        assert_eq!(changed.written_by("directus").len(), 1);
    }

    #[test]
    fn a_whole_role_is_shown_as_it_was_written() {
        let mut role = role(json!([{ "allow": "data.read", "on": "posts" }]));
        let wrote = json!({ "controllers": { "document": { "actions": { "*": true } } } });
        role.seal_whole("kuzzle", wrote.clone());
        let mut stored = role_from_json("r", &role_to_json(&role)).unwrap();
        assert_eq!(stored.whole_written_by("kuzzle"), Some(&wrote));
        assert_eq!(stored.whole_written_by("bknd"), None);
        stored.label = "Another".into();
        assert_eq!(stored.whole_written_by("kuzzle"), Some(&wrote));
        stored.implicit_allow = true;
        assert_eq!(stored.whole_written_by("kuzzle"), None);
    }
}
