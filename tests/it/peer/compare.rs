//! Two Pods compared by the parts that a webhook may touch, and one Pod looked at for doubles.

use std::collections::BTreeMap;

use serde_json::{Value, json};

/// The parts in which two stored Pods differ: `labels`, `volumes`, `app.env`, `app.volumeMounts`,
/// and `the rest`, which no webhook touches.
pub(super) fn parts(one: &Value, other: &Value) -> Vec<String> {
    let (one, other) = (taken_apart(one), taken_apart(other));
    let keys = one.keys().chain(other.keys().filter(|key| !one.contains_key(*key)));
    let mut differ: Vec<_> = keys.filter(|key| one.get(*key) != other.get(*key)).cloned().collect();
    differ.sort();
    differ
}

/// What a Pod has twice: a variable or a path in one container, or the token of one audience.
pub(super) fn doubles(pod: &Value) -> Vec<String> {
    let mut doubles = Vec::new();
    let mut check = |of: &str, names: Vec<&str>| {
        for (index, name) in names.iter().enumerate() {
            if names[..index].contains(name) {
                doubles.push(format!("{of} {name}"));
            }
        }
    };
    for container in containers(pod) {
        let named = container["name"].as_str().unwrap();
        check(&format!("{named}.env"), fields(&container["env"], "name").collect());
        let paths = fields(&container["volumeMounts"], "mountPath");
        let paths = paths.map(|path| path.trim_end_matches('/')).collect();
        check(&format!("{named}.volumeMounts"), paths);
    }
    let volumes = pod["spec"]["volumes"].as_array().into_iter().flatten();
    let tokens = volumes
        .filter(|volume| !volume["name"].as_str().unwrap().starts_with("kube-api-access-"))
        .flat_map(|volume| volume["projected"]["sources"].as_array().into_iter().flatten())
        .filter_map(|source| source["serviceAccountToken"]["audience"].as_str());
    check("volumes", tokens.collect());
    doubles
}

fn containers(pod: &Value) -> impl Iterator<Item = &Value> {
    let lists = ["initContainers", "containers"].into_iter();
    lists.flat_map(|list| pod["spec"][list].as_array().into_iter().flatten())
}

fn fields<'a>(list: &'a Value, field: &'static str) -> impl Iterator<Item = &'a str> {
    list.as_array().into_iter().flatten().filter_map(move |element| element[field].as_str())
}

/// A Pod's parts, without what differs from one creation to the next: names and times, the volume
/// of the API server's own token, and a Pod Identity token's lifetime where it is spread.
fn taken_apart(pod: &Value) -> BTreeMap<String, Value> {
    let mut pod = settled(pod);
    let mut parts = BTreeMap::new();
    parts.insert("labels".to_owned(), pod["metadata"]["labels"].take());
    parts.insert("volumes".to_owned(), pod["spec"]["volumes"].take());
    for list in ["initContainers", "containers"] {
        for container in pod["spec"][list].as_array_mut().into_iter().flatten() {
            let name = container["name"].as_str().unwrap().to_owned();
            for part in ["env", "volumeMounts"] {
                parts.insert(format!("{name}.{part}"), container[part].take());
            }
        }
    }
    parts.insert("the rest".to_owned(), pod);
    parts
}

fn settled(pod: &Value) -> Value {
    let mut text = pod.to_string();
    let volume = "kube-api-access-";
    while let Some(at) = text.find(volume) {
        text.replace_range(at..at + volume.len() + 5, "api-access");
    }
    let mut pod: Value = serde_json::from_str(&text).unwrap();
    let metadata = pod["metadata"].as_object_mut().unwrap();
    for key in ["namespace", "uid", "creationTimestamp", "managedFields"] {
        metadata.shift_remove(key);
    }
    for volume in pod["spec"]["volumes"].as_array_mut().into_iter().flatten() {
        for source in volume["projected"]["sources"].as_array_mut().into_iter().flatten() {
            let Some(token) = source.get_mut("serviceAccountToken") else { continue };
            let seconds = token["expirationSeconds"].as_u64();
            if token["audience"] == "pods.eks.amazonaws.com"
                && seconds.is_some_and(|seconds| (79_200..=86_400).contains(&seconds))
            {
                token["expirationSeconds"] = json!("spread");
            }
        }
    }
    pod
}
