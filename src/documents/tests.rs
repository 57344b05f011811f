//! The documents as a caller sees them: what is read, what is written, what is refused.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(text: &str) -> Stream {
    Stream::parse("pods.yaml", text).unwrap()
}

fn written(stream: &Stream) -> String {
    let mut out = Vec::new();
    stream.write(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

fn values(text: &str) -> Vec<Value> {
    parse(text)
        .documents()
        .map(|document| document.value().clone())
        .collect()
}

fn value(text: &str) -> Value {
    let mut found = values(text);
    assert_eq!(found.len(), 1, "{text:?} holds {found:?}");
    found.remove(0)
}

fn problem(text: &str) -> (usize, usize, Problem) {
    match Stream::parse("pods.yaml", text) {
        Err(DocumentsError::Unreadable {
            line,
            column,
            problem,
            ..
        }) => (line, column, problem),
        other => panic!("{text:?} gives {other:?}"),
    }
}

/// Sets `/changed` in every document that is an object, and writes all.
fn changed(text: &str) -> String {
    let mut stream = parse(text);
    for document in stream.documents_mut() {
        let mut value = document.value().clone();
        if let Some(fields) = value.as_object_mut() {
            fields.insert("changed".to_owned(), json!(true));
        }
        document.replace(value).unwrap();
    }
    written(&stream)
}

fn any_value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        any::<String>(),
        "[-+0-9_.eExob:~<#a-f ]{0,8}",
        "(on|off|yes|no|y|n|null|true|~|0644|1e3|0x10|2001-01-01|<<|=|---|\\.\\.\\.| a|a |a: b|# c)",
        "[a-z #:\\n\\t]{0,40}",
        "( {0,3}[a-z-]{0,4}\\n){0,5}",
        "[a-z ]{90,200}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>()
            .prop_filter("finite", |number| number.is_finite())
            .prop_map(Value::from),
        text.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::vec((text.clone(), inner), 0..6)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_text_is_refused_or_comes_back_byte_for_byte(text in any::<String>()) {
        if let Ok(stream) = Stream::parse("-", &text) {
            prop_assert_eq!(written(&stream), text);
        }
    }

    #[test]
    fn any_text_of_yaml_tokens_is_refused_or_comes_back_byte_for_byte(
        text in "((---|\\.\\.\\.|%YAML 1.2|a:|- |&a |\\*a|!!str |\\||>|\\{|\\}|\"|'|# c|<<: |\u{feff}|x| |\t|,|\\[|\\])(\n|\r\n| |)){0,24}"
    ) {
        if let Ok(stream) = Stream::parse("-", &text) {
            prop_assert_eq!(written(&stream), text);
        }
    }

    #[test]
    fn any_value_is_read_back_from_its_yaml(value in any_value()) {
        let text = to_yaml(&value).unwrap();
        let read = yaml::read(&text, 0).unwrap().value.unwrap_or_default();
        prop_assert_eq!(&read, &value, "{}", text);
        // Map equality does not look at the order; the JSON text does.
        prop_assert_eq!(read.to_string(), value.to_string());
    }

    #[test]
    fn any_value_replaces_a_document_between_others(value in any_value()) {
        let text = "a: 1 # one\n---\nb: 2\n---\nc: 3\n";
        let mut stream = parse(text);
        stream.documents_mut().nth(1).unwrap().replace(value.clone()).unwrap();
        let after = values(&written(&stream));
        let kept: Vec<_> = [json!({"a": 1}), value, json!({"c": 3})]
            .into_iter()
            .filter(|value| !value.is_null())
            .collect();
        prop_assert_eq!(after, kept);
    }
}
