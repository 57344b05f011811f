//! What one object has that another has not, and that nothing else differs.
//!
//! Lists are taken as what they are in a Pod: things with a name (or a mount path), in an order.
//! Additions may stand anywhere between them; what was there keeps its order, its keys and theirs.

use serde_json::Value;

/// What `after` has more than `before`: each addition under its JSON pointer in `after`.
///
/// The error names the first place where something was changed, dropped or moved.
pub(super) fn additions(before: &Value, after: &Value) -> Result<Vec<(String, Value)>, String> {
    let mut found = Vec::new();
    let rest = grown("", before, after, &mut found)?;
    // Keys stand in the order in which the API server wrote them.
    let (rest, text) = (rest.to_string(), before.to_string());
    if rest != text {
        return Err(format!("without the additions it is not the same text:\n{rest}\n{text}"));
    }
    Ok(found)
}

/// Returns `after` without its additions.
fn grown(
    path: &str,
    before: &Value,
    after: &Value,
    found: &mut Vec<(String, Value)>,
) -> Result<Value, String> {
    match (before, after) {
        (Value::Object(old), Value::Object(new)) => {
            if let Some(lost) = old.keys().find(|key| !new.contains_key(*key)) {
                return Err(format!("{path}/{lost} was dropped"));
            }
            let mut rest = serde_json::Map::new();
            for (key, value) in new {
                let path = format!("{path}/{}", key.replace('~', "~0").replace('/', "~1"));
                match old.get(key) {
                    Some(old) => {
                        rest.insert(key.clone(), grown(&path, old, value, found)?);
                    }
                    None => found.push((path, value.clone())),
                }
            }
            Ok(Value::Object(rest))
        }
        (Value::Array(old), Value::Array(new)) => {
            let mut left = old.iter().peekable();
            let mut rest = Vec::new();
            for (index, value) in new.iter().enumerate() {
                let path = format!("{path}/{index}");
                match left.next_if(|old| is_same_thing(old, value)) {
                    Some(old) => rest.push(grown(&path, old, value, found)?),
                    None => found.push((path, value.clone())),
                }
            }
            match left.next() {
                Some(lost) => Err(format!("{path} lacks, or has elsewhere: {lost}")),
                None => Ok(Value::Array(rest)),
            }
        }
        (old, new) if old == new => Ok(new.clone()),
        (old, new) => Err(format!("{path} was {old} and is {new}")),
    }
}

/// Whether two elements of a list stand for the same thing, whatever was added to it.
fn is_same_thing(one: &Value, other: &Value) -> bool {
    let key = ["mountPath", "name"].into_iter().find(|key| one.get(key).is_some());
    match key {
        Some(key) => one.get(key) == other.get(key),
        None => one == other,
    }
}

mod tests {
    use serde_json::json;

    use super::additions;

    #[test]
    fn only_additions_are_additions() {
        let before = json!({"a": [{"name": "x", "v": 1}, {"name": "y"}], "m/p": {}});
        let after = json!({
            "a": [{"name": "new"}, {"name": "x", "v": 1, "w": 2}, {"name": "y"}],
            "m/p": {"l": "v"},
        });
        let found = additions(&before, &after).unwrap();
        assert_eq!(
            found,
            [
                ("/a/0".to_owned(), json!({"name": "new"})),
                ("/a/1/w".to_owned(), json!(2)),
                ("/m~1p/l".to_owned(), json!("v")),
            ]
        );
        assert!(additions(&after, &before).is_err());
        assert!(additions(&json!({"a": 1}), &json!({"a": 2})).is_err());
        assert!(additions(&json!({"a": 1, "b": 2}), &json!({"b": 2, "a": 1})).is_err());
        let moved = json!({"a": [{"name": "y"}, {"name": "x", "v": 1}], "m/p": {}});
        assert!(additions(&before, &moved).is_err());
    }
}
