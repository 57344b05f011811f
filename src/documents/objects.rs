//! The Kubernetes objects in a value: itself, or what its List holds. A list is known by its kind
//! (`List`, `PodList`) and its `items`; everything else is one object, whatever it says.

use serde_json::Value;

/// A Kubernetes object in a document: the document itself, or an item of its List.
#[derive(Debug, Clone, PartialEq)]
pub struct Object<'a> {
    /// Where it stands in the document, as an RFC 6901 pointer: empty for the document itself.
    pub pointer: String,
    /// The object.
    pub value: &'a Value,
    /// Its kind; items of a `PodList` may leave it out, they are `Pod` then.
    pub kind: Option<&'a str>,
    /// Its apiVersion, or else its list's.
    pub api_version: Option<&'a str>,
}

/// The Kubernetes objects in a value, in order: itself, or the items of its List, with nested
/// Lists flattened.
pub fn objects(value: &Value) -> impl Iterator<Item = Object<'_>> {
    let mut ahead = vec![Object::new(String::new(), value, None)];
    std::iter::from_fn(move || {
        while let Some(object) = ahead.pop() {
            let Some(items) = object.items() else {
                return Some(object);
            };
            let list = Some(&object);
            ahead.extend(
                items
                    .iter()
                    .enumerate()
                    .rev()
                    .map(|(at, item)| {
                        Object::new(format!("{}/items/{at}", object.pointer), item, list)
                    })
                    .collect::<Vec<_>>(),
            );
        }
        None
    })
}

// === impl Object ===

impl<'a> Object<'a> {
    fn new(pointer: String, value: &'a Value, list: Option<&Object<'a>>) -> Self {
        let field = |name| value.get(name).and_then(Value::as_str);
        let implied = list
            .and_then(|list| list.kind)
            .and_then(|kind| kind.strip_suffix("List"))
            .filter(|kind| !kind.is_empty());
        let kind = field("kind").or(implied);
        let api_version =
            field("apiVersion").or_else(|| implied.and(list).and_then(|list| list.api_version));
        Self { pointer, value, kind, api_version }
    }

    /// The items of a list.
    fn items(&self) -> Option<&'a Vec<Value>> {
        self.kind.filter(|kind| kind.ends_with("List"))?;
        self.value.get("items")?.as_array()
    }
}
