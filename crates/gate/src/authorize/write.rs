//! Writes of one record.

use std::sync::Arc;

use portreeve_model::{Collection, CollectionId, CollectionName, FieldId, Value, read_entries};
use portreeve_policy::{
    Access, ActionId, CREATE_ONE, DELETE_ONE, DeleteTemplate, READ_MANY, READ_ONE, Rights,
    UPDATE_ONE, WriteKind, WriteRefusal, WriteTemplate,
};

use super::{CachedWrite, Gate, WriteKey};
use crate::planner::unknown_field;
use crate::{Authorized, Caller, Create, Delete, Principal, Refused, Sent, Update};

impl Gate {
    /// A new record.
    pub fn create(
        &self,
        caller: &Caller,
        name: &CollectionName,
        sent: Sent,
    ) -> Result<Authorized<Create>, Refused> {
        let (template, values) =
            self.write(caller, name, WriteKind::Create, CREATE_ONE, READ_ONE, sent)?;
        Ok(self.proof(caller, Create { template, values }))
    }

    /// A change of one record.
    pub fn update(
        &self,
        caller: &Caller,
        name: &CollectionName,
        key: &str,
        sent: Sent,
    ) -> Result<Authorized<Update>, Refused> {
        let (template, key, values) = self.change_one(caller, name, UPDATE_ONE, key, sent)?;
        let update = Update {
            template,
            key,
            values,
        };
        Ok(self.proof(caller, update))
    }

    #[expect(clippy::type_complexity, reason = "a template and what is for it")]
    pub(super) fn change_one(
        &self,
        caller: &Caller,
        name: &CollectionName,
        action: ActionId,
        key: &str,
        sent: Sent,
    ) -> Result<(Arc<WriteTemplate>, Value, Vec<(FieldId, Value)>), Refused> {
        let collection = Self::find(caller, name)?;
        let declared = Arc::clone(caller.snapshot.catalog().get(collection));
        let value = self.key(caller, collection, key);
        // A key names its record for good, and so does each part of it; sending the same one back changes nothing.
        let mut rest = vec![];
        for (field, json) in sent {
            let named = declared.find_field(&field);
            if let Some(named) = named.filter(|named| declared.names_record(*named)) {
                let known = value
                    .as_ref()
                    .ok()
                    .and_then(|key| named_by(&declared, key, named));
                let same = Value::from_json(declared.field(named).ty, &json).ok() == known;
                if !same && self.knows(caller, collection) {
                    let message = "a record's key cannot be changed".into();
                    return Err(Refused::BadValue { field, message });
                }
            } else {
                rest.push((field, json));
            }
        }
        let (template, values) =
            self.write(caller, name, WriteKind::Update, action, READ_ONE, rest)?;
        Ok((template, value?, values))
    }

    /// The end of one record.
    pub fn delete(
        &self,
        caller: &Caller,
        name: &CollectionName,
        key: &str,
    ) -> Result<Authorized<Delete>, Refused> {
        let (template, key) = self.delete_one(caller, name, DELETE_ONE, key, false)?;
        Ok(self.proof(caller, Delete { template, key }))
    }

    pub(super) fn delete_one(
        &self,
        caller: &Caller,
        name: &CollectionName,
        action: ActionId,
        key: &str,
        sight: bool,
    ) -> Result<(Arc<DeleteTemplate>, Value), Refused> {
        let collection = Self::find(caller, name)?;
        let delete = self.rights(caller, collection, action);
        let read = self.rights(caller, collection, READ_ONE);
        let delete = self.writable(caller, delete);
        // A record that may be read but not deleted is forbidden, one that may not be read is not there: the
        // template tells them apart, so only what can be neither ends here.
        if !delete.allows_something() && !read.allows_something() {
            return Err(Refused::NotFound);
        }
        let key_value = self.key(caller, collection, key)?;
        Ok((self.deletion(caller, &delete, &read, sight), key_value))
    }

    pub(crate) fn deletion(
        &self,
        caller: &Caller,
        delete: &Rights,
        read: &Rights,
        sight: bool,
    ) -> Arc<DeleteTemplate> {
        let cache_key = (delete.id(), read.id(), sight);
        self.deletes.get(&cache_key).unwrap_or_else(|| {
            let make = if sight {
                DeleteTemplate::with_sight
            } else {
                DeleteTemplate::new
            };
            let template = Arc::new(make(delete, read, caller.snapshot.catalog()));
            self.deletes.put(cache_key, Arc::clone(&template));
            template
        })
    }

    #[expect(clippy::type_complexity, reason = "a template and the values for it")]
    pub(super) fn write(
        &self,
        caller: &Caller,
        name: &CollectionName,
        kind: WriteKind,
        action: ActionId,
        reading: ActionId,
        sent: Sent,
    ) -> Result<(Arc<WriteTemplate>, Vec<(FieldId, Value)>), Refused> {
        let id = Self::find(caller, name)?;
        let write = self.rights(caller, id, action);
        let read = self.rights(caller, id, reading);
        let write = self.writable(caller, write);
        self.write_under(caller, kind, &write, &read, sent)
    }

    /// The same under these rights to write and to read one record of it.
    #[expect(clippy::type_complexity, reason = "a template and the values for it")]
    pub(crate) fn write_under(
        &self,
        caller: &Caller,
        kind: WriteKind,
        write: &Rights,
        read: &Rights,
        sent: Sent,
    ) -> Result<(Arc<WriteTemplate>, Vec<(FieldId, Value)>), Refused> {
        let id = write.collection();
        let collection = Arc::clone(caller.snapshot.catalog().get(id));
        // A record that may be read but not changed is forbidden, one that may not be read is not there: the
        // template tells them apart, so only what can be neither ends here.
        if !write.allows_something() {
            if kind == WriteKind::Create {
                return Err(self.refuse(caller, id));
            }
            if !read.allows_something() {
                return Err(Refused::NotFound);
            }
        }
        // Where nothing may be changed, the record alone decides what is told, whatever is sent.
        let sent = if write.allows_something() {
            sent
        } else {
            vec![]
        };
        let (mut values, mut undeclared) = (vec![], vec![]);
        // Whoever may neither read nor write undeclared fields is told the same as where there can be none.
        let overflow = collection.overflow().filter(|field| {
            *read.field(&collection, *field) != Access::Never
                || *write.field(&collection, *field) != Access::Never
        });
        for (field_name, json) in sent {
            let Some(field) = collection.find_field(&field_name) else {
                if overflow.is_none() || collection.undeclared(&field_name).is_none() {
                    return Err(unknown_field(&collection, read, &field_name));
                }
                undeclared.push((field_name, json));
                continue;
            };
            // What an export wrote down comes back as it was: the command line alone may say it.
            let restored =
                caller.principal == Principal::Operator && collection.field(field).kept.is_some();
            if let Some(why) = collection.unwritable(field).filter(|_| !restored) {
                if *read.field(&collection, field) == Access::Never {
                    return Err(unknown_field(&collection, read, &field_name));
                }
                return Err(Refused::BadValue {
                    field: field_name,
                    message: why.into(),
                });
            }
            if values.iter().any(|(known, _)| *known == field) {
                return Err(Refused::BadValue {
                    field: field_name,
                    message: "is sent twice".into(),
                });
            }
            values.push((field, (field_name, json)));
        }
        values.sort_by_key(|(field, _)| *field);
        let overflow = overflow.filter(|_| !undeclared.is_empty());
        let declared = values.iter().map(|(field, _)| *field);
        let sent_fields: Vec<FieldId> = declared.chain(overflow).collect();
        let template = self.template(caller, kind, write, read, sent_fields)?;
        let mut typed = vec![];
        for (field, (field_name, json)) in values {
            let declared = collection.field(field);
            let value = Value::from_json(declared.ty, &json);
            match value.and_then(|value| declared.check(&value).map(|()| value)) {
                Ok(value) => typed.push((field, value)),
                Err(error) => {
                    return Err(Refused::BadValue {
                        field: field_name,
                        message: error.0,
                    });
                }
            }
        }
        if let Some(overflow) = overflow {
            let entries = undeclared.iter().map(|(name, json)| (name.as_str(), json));
            let value = read_entries(entries).map_err(|(field, error)| Refused::BadValue {
                field,
                message: error.0,
            })?;
            typed.push((overflow, value));
        }
        Ok((template, typed))
    }

    fn template(
        &self,
        caller: &Caller,
        kind: WriteKind,
        write: &Rights,
        read: &Rights,
        sent: Vec<FieldId>,
    ) -> Result<Arc<WriteTemplate>, Refused> {
        let key = WriteKey {
            kind,
            roles: Self::roles_key(caller),
            rights: (write.id(), read.id()),
            sent,
        };
        if let Some(known) = self
            .writes
            .get(&key)
            .filter(|known| self.unchanged(caller, &known.depends))
        {
            return Ok(Arc::clone(&known.template));
        }
        let collection = Arc::clone(caller.snapshot.catalog().get(write.collection()));
        let mut depends = vec![];
        // Within reach is what can be read, one by one or in lists.
        let reach = |target: CollectionId| {
            let one = self.rights(caller, target, READ_ONE);
            let many = self.rights(caller, target, READ_MANY);
            depends.push((target, READ_ONE, one.id()));
            depends.push((target, READ_MANY, many.id()));
            one.reach().or(many.reach())
        };
        let made = WriteTemplate::new(
            kind,
            write,
            read,
            caller.snapshot.catalog(),
            key.sent.clone(),
            reach,
        );
        let template = match made {
            Ok(template) => Arc::new(template),
            Err(WriteRefusal::UnknownField(field)) => {
                return Err(unknown_field(
                    &collection,
                    read,
                    &collection.field(field).name,
                ));
            }
            Err(WriteRefusal::NotAllowed) => return Err(self.refuse(caller, collection.id)),
        };
        self.writes.put(
            key,
            Arc::new(CachedWrite {
                template: Arc::clone(&template),
                depends,
            }),
        );
        Ok(template)
    }
}

// The value a key gives one of the fields that name the record.
fn named_by(collection: &Collection, key: &Value, field: FieldId) -> Option<Value> {
    if field == collection.key {
        return Some(key.clone());
    }
    let place = collection
        .key_parts()?
        .iter()
        .position(|part| *part == field)?;
    collection.split_key(key)?.into_iter().nth(place)
}
