//! Deciding allocates nothing, whatever kinds of permissions the roles hold. A program of its own, since it counts with
//! an allocator of its own.

use portreeve_policy::{ActionId, Binding, BoundTo, Document, Quick, RECORD_ACTIONS, Snapshot};

const ACCESS: &str = r#"
collections:
  posts:
    key: { id: uuid }
    fields:
      owner: { to: users, required: true }
      title: text
  shop/orders:
    key: { id: uuid }
    fields:
      owner: { to: users, required: true }
  shop/items:
    key: { id: uuid }
    fields:
      name: text
roles:
  plain:
    permissions:
      - { allow: data.read, on: posts }
      - { deny: data.delete, on: posts }
  own:
    permissions:
      - { allow: [data.read, data.update], on: [posts, shop/orders], rows: "owner = $user" }
      - { deny: data.update, on: posts, rows: "title = 'kept'" }
  some_fields:
    permissions:
      - { allow: data.read, on: posts, fields: [title] }
  shopkeeper:
    permissions:
      - { allow: data, on: "shop/*", except: [data.delete] }
      - { allow: data.read, on: "*", except: [shop/items] }
  mornings:
    when: "$request.ip = '127.0.0.1'"
    permissions:
      - { allow: data.read, on: "*" }
  open:
    implicit_allow: true
    permissions:
      - { deny: data.delete, on: "*" }
  everyone:
    permissions:
      - { allow: data.read, on: shop/items }
profiles:
  clipped:
    roles: [ { role: open, restricted_to: ["shop/*"] } ]
    addresses: [10.0.0.0/8]
"#;

#[test]
fn a_decision_allocates_nothing_merged_or_not() {
    let document = Document::read("access.yaml", ACCESS).expect("a valid document");
    let snapshot = Snapshot::compile(&document, 1).expect("a document that compiles");
    let role = |name: &str| BoundTo::Role(name.to_owned());
    let callers = [
        vec![role("plain")],
        vec![role("plain"), role("own"), role("some_fields")],
        vec![role("shopkeeper"), role("own")],
        vec![role("mornings"), role("open")],
        vec![BoundTo::Profile("clipped".to_owned()), role("plain")],
        vec![role("admin"), role("plain")],
        vec![],
    ];
    let mut seen = [0; 3];
    for bindings in callers {
        let bindings: Vec<Binding> = bindings
            .into_iter()
            .map(|to| Binding {
                to,
                ..Binding::default()
            })
            .collect();
        let mut admitted = None;
        let counted = allocation_counter::measure(|| {
            admitted = Some(snapshot.admit(&bindings, 0).roles);
        });
        let roles = admitted.expect("admission always answers");
        assert!(counted.count_total > 0, "the counter counts");
        for collection in snapshot.catalog().iter() {
            for action in (0..RECORD_ACTIONS).map(ActionId) {
                let (mut unmerged, mut merged) = (Quick::Denied, Quick::Denied);
                let counted = allocation_counter::measure(|| {
                    unmerged = roles.quick_unmerged(&snapshot, collection.id, action);
                });
                assert_eq!(counted.count_total, 0, "{} {action:?}", collection.name);
                // The first question merges.
                roles.quick(&snapshot, collection.id, action);
                let counted = allocation_counter::measure(|| {
                    merged = roles.quick(&snapshot, collection.id, action);
                });
                assert_eq!(counted.count_total, 0, "{} {action:?}", collection.name);
                assert_eq!(unmerged, merged, "{} {action:?}", collection.name);
                seen[unmerged as usize] += 1;
            }
        }
    }
    assert!(
        seen.iter().all(|count| *count > 20),
        "not every answer came up: {seen:?}"
    );
}
