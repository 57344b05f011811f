//! The documents as a caller sees them: what is read, what is written, what is refused.

use std::fmt::Write as _;

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
    parse(text).documents().map(|document| document.value().clone()).collect()
}

fn value(text: &str) -> Value {
    let mut found = values(text);
    assert_eq!(found.len(), 1, "{text:?} holds {found:?}");
    found.remove(0)
}

fn problem(text: &str) -> (usize, usize, Problem) {
    match Stream::parse("pods.yaml", text) {
        Err(DocumentsError::Unreadable { line, column, problem, .. }) => (line, column, problem),
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
        any::<f64>().prop_filter("finite", |number| number.is_finite()).prop_map(Value::from),
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

#[test]
fn an_unchanged_stream_comes_back_byte_for_byte() {
    for text in [
        "",
        "\n",
        "# only a comment\n",
        "---\n",
        "---",
        "---\n---\n---\n",
        "a: 1",
        "a: 1\n",
        "a: 1\n\n\n",
        "\u{feff}a: 1 # comment\r\n---\r\n\r\nb: 2\r\n...\r\n",
        "\u{feff}---\na: 1\n",
        "--- # Source: chart/templates/a.yaml\na: 1\n--- \nb: 2\n---\t\nc: 3",
        "%YAML 1.1\n%TAG !e! tag:example.com,2000:\n---\na: !e!x 1\n...\n# after\n%YAML 1.1\n---\nb: 2\n",
        "--- {a: 1}\n--- |\n text\n--- !!map\na: 1\n",
        "---\n# Source: a.yaml\n---\n# Source: b.yaml\nkind:   Pod   # spaced\n",
        "a: |\n  ---\n  ...\n\n\n",
        "a: |+\n  x\n\n\n---\nb: >-\n  y\n  z  \n",
        "{\"a\":1}{\"b\":2}\n\n{ \"c\" : 3 }  \n",
        "{\n\t\"a\": 1\n}\n---\nb: 2\n---\n[1, 2]\n",
        "a: 1\rb: 2\r---\rc: 3\r",
        "'it''s': \"\\u00e9\"\n",
        "a: 012\nb: 1_000\non: yes\n",
    ] {
        let stream = parse(text);
        assert_eq!(written(&stream), text);
        for document in stream.documents() {
            assert!(!document.is_changed());
            assert!(!document.lost_comments());
            assert_eq!(document.render(), document.text());
        }
    }
}

#[test]
fn replacing_a_document_by_what_it_says_leaves_it_as_it_stood() {
    let text = "a:   1 # spaced\n";
    let mut stream = parse(text);
    stream.documents_mut().next().unwrap().replace(json!({"a": 1})).unwrap();
    assert_eq!(written(&stream), text);
}

#[test]
fn a_marker_in_column_0_ends_a_document_even_inside_a_block_scalar() {
    assert_eq!(
        values("a: |\n  x\n  ---\n  y\n---\nb: 1\n"),
        [json!({"a": "x\n---\ny\n"}), json!({"b": 1})]
    );
    assert_eq!(values("a: |\n  x\n---\nz\n"), [json!({"a": "x\n"}), json!("z")]);
    assert_eq!(value("a: x ---\nb: ---x\n"), json!({"a": "x ---", "b": "---x"}));
    assert_eq!(values("a: 1\n...\nb: 2\n"), [json!({"a": 1}), json!({"b": 2})]);
}

#[test]
fn content_behind_a_marker_belongs_to_the_document() {
    assert_eq!(
        values("--- {a: 1}\n--- |\n x\n--- # comment\nb: 2\n"),
        [json!({"a": 1}), json!("x\n"), json!({"b": 2})]
    );
}

#[test]
fn empty_documents_are_no_documents() {
    assert!(values("---\n# x\n---\n\n--- # y\n~\n---\nnull\n...\n").is_empty());
}

#[test]
fn plain_scalars_have_the_meaning_that_kubectl_gives_them() {
    for (text, expected) in [
        ("on", json!(true)),
        ("Yes", json!(true)),
        ("y", json!(true)),
        ("N", json!(false)),
        ("off", json!(false)),
        ("yES", json!("yES")),
        ("0644", json!(420)),
        ("0o644", json!(420)),
        ("-0644", json!(-420)),
        ("0x1F", json!(31)),
        ("0b101", json!(5)),
        ("0b-1", json!(-1)),
        ("1_000", json!(1000)),
        ("+5", json!(5)),
        ("08", json!(8.0)),
        ("1.0", json!(1.0)),
        ("2.5", json!(2.5)),
        (".5", json!(0.5)),
        ("1e3", json!(1000.0)),
        ("1e999", json!("1e999")),
        ("9223372036854775807", json!(i64::MAX)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("18446744073709551615", json!(u64::MAX)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        ("2001-01-01", json!("2001-01-01")),
        ("2001-01-01T00:00:00Z", json!("2001-01-01T00:00:00Z")),
        ("12:30:45", json!("12:30:45")),
        ("1.2.3", json!("1.2.3")),
        ("100m", json!("100m")),
        ("~", Value::Null),
        ("Null", Value::Null),
        ("nULL", json!("nULL")),
        ("!!str 12", json!("12")),
        ("!!str ~", json!("~")),
        ("! 12", json!("12")),
        ("!!int \"12\"", json!(12)),
        ("!!float 1", json!(1)),
        ("!!bool 'yes'", json!(true)),
        ("!!null ''", Value::Null),
        ("!!binary aGVs\n  bG8=", json!("hello")),
        ("!custom 12", json!("12")),
        ("\"on\"", json!("on")),
        ("'0644'", json!("0644")),
    ] {
        assert_eq!(value(&format!("a: {text}\n")), json!({"a": expected}), "{text}");
    }
}

#[test]
fn keys_have_the_name_that_kubectl_gives_them() {
    assert_eq!(
        value("on: 1\n'y': 2\nn: 3\n8080: 4\n0x10: 5\n1.10: 6\n\"0644\": 7\n1e6: 8\n.00001: 9\n"),
        json!({
            "true": 1, "y": 2, "false": 3, "8080": 4, "16": 5, "1.1": 6, "0644": 7, "1e+06": 8,
            "1e-05": 9
        })
    );
    for text in ["null: 1\n", "~: 1\n", "[a]: 1\n", "{a: 1}: 1\n", "? - a\n: 1\n"] {
        assert_eq!(problem(text).2, Problem::Key, "{text}");
    }
}

#[test]
fn a_changed_document_keeps_its_meaning_for_readers_of_yaml_1_1() {
    assert_eq!(
        changed(
            "on: yes\n'on': 'yes'\nmode: 0644\n\"0644\": '0644'\nsize: 1.0\n1__0: '1__0'\n\
             none:\nempty: ''\nlist: []\nmap: {}\nbig: 18446744073709551615\ndate: 2001-01-01\n"
        ),
        "\"true\": true\n\"on\": \"yes\"\nmode: 420\n\"0644\": \"0644\"\nsize: 1.0\n\"10\": \"1__0\"\n\
         none: null\nempty: \"\"\nlist: []\nmap: {}\nbig: 18446744073709551615\n\
         date: \"2001-01-01\"\nchanged: true\n"
    );
}

#[test]
fn lists_stand_where_those_of_the_text_stood() {
    let deeper =
        "# c\nspec:\n  containers:\n\n    # an app\n    - name: a\n      args:\n        - x\n";
    assert_eq!(
        changed(deeper),
        "# c\nspec:\n  containers:\n    - name: a\n      args:\n        - x\nchanged: true\n"
    );
    let at_key = "spec:\n  containers:\n  - name: a\n    args:\n      - x\n";
    assert_eq!(
        changed(at_key),
        "spec:\n  containers:\n  - name: a\n    args:\n    - x\nchanged: true\n"
    );
}

#[test]
fn lists_stand_at_the_indent_of_their_key_and_long_lines_are_not_folded() {
    let long = "word ".repeat(60) + "end";
    let text = format!("spec:\n    containers: [{{name: a, args: [x, '{long}']}}]\n");
    assert_eq!(
        changed(&text),
        format!(
            "spec:\n  containers:\n  - name: a\n    args:\n    - x\n    - {long}\nchanged: true\n"
        )
    );
}

#[test]
fn strings_with_lines_become_literal_blocks_where_that_is_exact() {
    assert_eq!(
        changed(
            "a: \"x\\ny\\n\"\nb: \"x\\ny\"\nc: \"x\\n\\n\"\nd: \"  x\\ny\\n\"\ne: \"x  \\ny\\n\"\n"
        ),
        "a: |\n  x\n  y\nb: |-\n  x\n  y\nc: |+\n  x\n\nd: |2\n    x\n  y\n\
         e: |\n  x  \n  y\nchanged: true\n"
    );
    // go-yaml refuses a block that begins with a tab, and `\r` would be lost in one.
    assert_eq!(
        changed("a: \"\\tx\\ny\\n\"\nb: \"x\\r\\ny\"\n"),
        "a: \"\\tx\\ny\\n\"\nb: \"x\\r\\ny\"\nchanged: true\n"
    );
}

#[test]
fn tricky_strings_survive_a_change() {
    let strings = [
        "a: b",
        "a #b",
        "#a",
        "*a",
        "&a",
        "!a",
        "%a",
        "@a",
        "`a",
        "- a",
        "? a",
        "a:",
        ":",
        "-",
        "",
        " ",
        " a",
        "a ",
        "\t",
        "a\tb",
        "'",
        "\"",
        "a'b\"c",
        "{a}",
        "[a]",
        "a,b",
        "null",
        "1e3",
        "0x10",
        "~",
        "---",
        "...",
        "--- a",
        "<<",
        "=",
        "é",
        "😀",
        "\u{85}",
        "\u{2028}",
        "\u{feff}",
        "\u{0}",
        "\u{7f}",
        "\\",
        "\\n",
        "$(VAR)",
        "{{ .Values.x }}",
        "\n",
        "\n\n",
        " \n",
        "\n ",
        "a\n\n\nb",
        "a\n  b\n",
        "---\na\n---\n",
        "#!/bin/sh\nset -e\n\techo \"$1\"\n",
        "\n\ta\n",
    ];
    for text in strings {
        let before = json!({"a": text, "b": [text, {"c": text}], text: [[text]]});
        assert_eq!(value(&to_yaml(&before).unwrap()), before);
        let mut stream = parse("x: 1\r\n");
        stream.documents_mut().next().unwrap().replace(before.clone()).unwrap();
        assert_eq!(values(&written(&stream)), [before]);
    }
}

#[test]
fn block_scalars_are_read_exactly() {
    assert_eq!(
        value(
            "a: |\n  x  \n\n   y\n\nb: >\n  x\n  y\n\n  z\nc: |-\n  x\n\nd: |+\n  x\n\ne: >2-\n    x\n"
        ),
        json!({"a": "x  \n\n y\n", "b": "x y\nz\n", "c": "x", "d": "x\n\n", "e": "  x"})
    );
    // No line feed at the end of the text, none in the string.
    assert_eq!(value("a: |\n  x"), json!({"a": "x"}));
    assert_eq!(value("a: |\n  x\n   "), json!({"a": "x\n "}));
    assert_eq!(value("a: |\n  x\n  "), json!({"a": "x\n"}));
    assert_eq!(values("a: |\n  x\n---\nb: |\n  y"), [json!({"a": "x\n"}), json!({"b": "y"})]);
}

#[test]
fn aliases_and_merge_keys_are_resolved() {
    let text = "base: &base {x: 1, v: 2}\nname: &n web\nuse:\n  <<: *base\n  v: 3\n  z: *n\n\
                two:\n  <<: [{x: 9}, *base]\nquoted: {'<<': 1}\n*n : key\n";
    let expected = json!({
        "base": {"x": 1, "v": 2}, "name": "web", "use": {"x": 1, "v": 3, "z": "web"},
        "two": {"x": 9, "v": 2}, "quoted": {"<<": 1}, "web": "key"
    });
    assert_eq!(value(text), expected);
    let mut after = expected;
    after.as_object_mut().unwrap().insert("changed".to_owned(), json!(true));
    assert_eq!(value(&changed(text)), after);
}

#[test]
fn a_merge_that_readers_disagree_about_is_refused() {
    // go-yaml lets the later `<<` win, the specification the key.
    assert_eq!(problem("a: &a {x: 1}\nb:\n  x: 2\n  <<: *a\n"), (4, 7, Problem::MergeOrder));
    assert_eq!(value("a: &a {x: 1}\nb:\n  x: 1\n  <<: *a\n")["b"], json!({"x": 1}));
    assert_eq!(problem("a:\n  <<: 1\n"), (2, 7, Problem::Merge));
}

#[test]
fn duplicate_keys_are_refused_by_line() {
    assert_eq!(problem("a: 1\n---\nb:\n  c: 1\n  c: 2\n"), (5, 3, Problem::DuplicateKey));
    assert_eq!(problem("0x10: a\n16: b\n").2, Problem::DuplicateKey);
    let (line, _, found) = problem("{\"a\": 1}\n{\n  \"b\": 1,\n  \"b\": 2\n}\n");
    assert_eq!((line, found), (4, Problem::DuplicateKey));
    let (line, _, found) = problem("a: 1\n---\n# x\n{\"b\": {\"c\": 1,\n \"c\": 2}}\n");
    assert_eq!((line, found), (5, Problem::DuplicateKey));
}

#[test]
fn what_json_cannot_say_is_refused() {
    assert_eq!(problem("a: .inf\n"), (1, 4, Problem::NotFinite));
    assert_eq!(problem("a: .NaN\n").2, Problem::NotFinite);
    assert_eq!(problem("a: !!int x\n").2, Problem::Tag);
    assert_eq!(problem("a: !!binary '%'\n").2, Problem::Tag);
    assert_eq!(problem("a: !!binary /w==\n").2, Problem::Tag);
}

#[test]
fn aliases_cannot_multiply_a_document_without_end() {
    let mut text = "a0: &a0 lol\n".to_owned();
    for level in 1..40 {
        let row = format!("*a{},", level - 1).repeat(9);
        writeln!(text, "a{level}: &a{level} [{row}]").unwrap();
    }
    assert_eq!(problem(&text).2, Problem::TooManyAliases);
    assert_eq!(problem("a: &a [*a]\n").2, Problem::RecursiveAlias);
    assert!(matches!(problem("a: *unknown\n").2, Problem::Yaml(_)));
}

#[test]
fn nesting_is_bounded_in_every_form() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}"), ("- ", ""), ("? ", ""), ("{a: ", "}")] {
        for depth in [200, 20_000] {
            let text = open.repeat(depth) + "1" + &close.repeat(depth);
            assert!(Stream::parse("-", &text).is_err(), "{open}");
        }
    }
    let lists = |depth| "[".repeat(depth) + &"]".repeat(depth);
    for text in [lists(127), format!("- {}", lists(126)), "- ".repeat(127) + "1"] {
        let read = value(&text);
        assert_eq!(value(&to_yaml(&read).unwrap()), read);
    }
    for text in [lists(128), format!("- {}", lists(127)), "- ".repeat(128) + "1"] {
        assert!(Stream::parse("-", &text).is_err());
    }
    let mut value = json!(1);
    for _ in 0..1_000 {
        value = json!([value]);
    }
    assert!(matches!(to_yaml(&value), Err(DocumentsError::Inexpressible)));
    let mut stream = parse("a: 1\n");
    let document = stream.documents_mut().next().unwrap();
    assert!(matches!(document.replace(value), Err(DocumentsError::Unwritable { .. })));
    assert!(!document.is_changed());
}

/// Were the line walked for each scalar in it, this would not end in an hour.
#[test]
fn a_text_of_one_line_costs_what_its_length_costs() {
    const MANY: usize = 300_000;

    let text = format!("a: [{}x]", "x, ".repeat(MANY));
    assert_eq!(value(&text)["a"].as_array().unwrap().len(), MANY + 1);
}

#[test]
fn errors_name_the_place_and_quote_nothing() {
    for text in [
        "a: 1\n---\npassword: \"s3cret\n",
        "a: 1\n---\n{\"password\": \"s3cret\n",
        "a: 1\n---\npassword: s3cret: x\n",
        "a: 1\n---\n  s3cret\n x: y\n",
        "a: 1\n---\npassword: !!int s3cret\n",
        "a: 1\n---\nx: {s3cret: 1, s3cret: 2}\n",
        "a: 1\n---\nx: {\"s3cret\": 1, \"s3cret\": 2}\n",
        "a: 1\n---\n{\"s3cret\": 1, \"s3cret\": 2}\n",
        "a: 1\n---\nx: *s3cret\n",
        "a: 1\n---\nx: !s3cret!tag 1\n",
        "a: 1\n---\nx: @s3cret\n",
        "a: 1\n---\n\ts3cret: [\n",
        "a: 1\n---\n[s3cret, }]\n",
    ] {
        let error = Stream::parse("secrets.yaml", text).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(shown.starts_with("secrets.yaml:"), "{shown}");
        assert!(!shown.contains("s3cret"), "{shown}");
        let DocumentsError::Unreadable { line, .. } = error else { panic!("{error}") };
        assert!(line >= 3, "{text:?}: {shown}");
    }
}

#[test]
fn an_error_counts_lines_from_the_start_of_the_stream() {
    assert_eq!(problem("a: 1\r\n---\r\n# c\r\nb: [\r\n").0, 4);
    assert_eq!(problem("%TAG !e! tag:x,1:\n---\na: !!int x\n").0, 3);
    assert!(matches!(problem("a: 1\n---\n{\"b\": 1,\n  \"c\" 2}\n"), (4, _, Problem::Json(_))));
    assert!(matches!(problem("{\"a\": 1}\n{\"b\": \n"), (_, _, Problem::Json(_))));
}

#[test]
fn a_document_knows_its_first_line() {
    let lines = |text: &str| parse(text).documents().map(Document::line).collect::<Vec<_>>();
    assert_eq!(lines("# x\n\na: 1\n---\n# Source: y\n\nb: 2\n--- {c: 3}\n"), [3, 7, 8]);
    assert_eq!(lines("%YAML 1.1\n---\na: 1\n"), [3]);
    assert_eq!(lines("{\"a\": 1}\n\n{\"b\": 2}\n---\n{}\n"), [1, 3, 5]);
}

#[test]
fn a_changed_document_keeps_markers_line_ends_and_the_comments_above_it() {
    assert_eq!(
        changed(
            "\u{feff}# top\r\n--- # Source: a.yaml\r\n\r\n# above\r\na:   1\r\n...\r\n---\r\nb: |\r\n  x\r\n"
        ),
        "\u{feff}# top\r\n--- # Source: a.yaml\r\n\r\n# above\r\na: 1\r\nchanged: true\r\n...\r\n---\r\n\
         b: |\r\n  x\r\nchanged: true\r\n"
    );
    assert_eq!(
        changed("--- {a: 1}\n---\n{b: 2}"),
        "---\na: 1\nchanged: true\n---\nb: 2\nchanged: true\n"
    );
    assert_eq!(
        changed("%TAG !e! tag:x,1:\n--- !e!y\na: 1\n"),
        "%TAG !e! tag:x,1:\n---\na: 1\nchanged: true\n"
    );
    assert_eq!(changed("a: 1"), "a: 1\nchanged: true\n");
}

#[test]
fn lost_comments_are_told() {
    let lost = |text: &str| {
        let mut stream = parse(text);
        let document = stream.documents_mut().next().unwrap();
        document.replace(json!({"other": 1})).unwrap();
        document.lost_comments()
    };
    for text in [
        "a: 1 # x\n",
        "a: 1\n# x\n",
        "a:\n# x\n- 1\n",
        "a: | # x\n  y\n",
        "a: 'x' # y\n",
        "--- {a: 1} # x\n",
        "a: [1, # x\n 2]\n",
        "a: |\n  x\n# y\nb: 2\n",
        "a: |\n  x\n# y\n",
        "a: &b # x\n  c\n",
        "a: b\n#",
    ] {
        assert!(lost(text), "{text:?}");
    }
    for text in [
        "# above\na: 1\n",
        "--- # x\n# y\na: 1\n",
        "a: 'x # y'\n",
        "a: \"x # y\"\n",
        "a: |\n  # x\n  y # z\n",
        "a: >-\n  x\n  # y\n",
        "a: x#y\n",
        "a: &b#c d\ne: *b#c\n",
        "a: 1\n... # x\n",
        "{\"a\": \" # x\"}\n",
        "a: é😀 # \n".trim_end_matches(" # \n"),
    ] {
        assert!(!lost(text), "{text:?}");
    }
}

#[test]
fn changed_json_keeps_its_indentation() {
    for (before, after) in [
        ("{\"a\":1}", "{\"a\":1,\"changed\":true}"),
        ("{\n  \"a\": 1\n}\n", "{\n  \"a\": 1,\n  \"changed\": true\n}\n"),
        ("{\n    \"a\": 1\n}", "{\n    \"a\": 1,\n    \"changed\": true\n}"),
        ("{\r\n\t\"a\": []\r\n}\r\n", "{\r\n\t\"a\": [],\r\n\t\"changed\": true\r\n}\r\n"),
        ("{\"a\":1}\n{\"b\":2}\n", "{\"a\":1,\"changed\":true}\n{\"b\":2,\"changed\":true}\n"),
        (
            "---\n{\"a\":1}\n---\nb: 2\n",
            "---\n{\"a\":1,\"changed\":true}\n---\nb: 2\nchanged: true\n",
        ),
        ("\u{feff}{\"a\":1}\n", "\u{feff}{\"a\":1,\"changed\":true}\n"),
    ] {
        assert_eq!(changed(before), after);
    }
    assert_eq!(parse("{\"a\":1}").documents().next().unwrap().format(), Format::Json);
    assert_eq!(parse("{a: 1}").documents().next().unwrap().format(), Format::Yaml);
}

#[test]
fn json_that_only_yaml_understands_is_yaml() {
    assert_eq!(value("{\"a\": 1, # comment\n}\n"), json!({"a": 1}));
    assert_eq!(value("{a: yes, b: [c]}"), json!({"a": true, "b": ["c"]}));
}

#[test]
fn objects_of_nested_lists_have_their_pointers_and_kinds() {
    let list = value(
        "apiVersion: v1\nkind: List\nitems:\n- {kind: Pod, apiVersion: v1, name: a}\n\
         - kind: DeploymentList\n  apiVersion: apps/v1\n  items: [{name: b}, {kind: Other, name: c}]\n\
         - {kind: List, items: []}\n- {name: d}\n",
    );
    let found: Vec<_> = objects(&list)
        .map(|object| {
            assert_eq!(list.pointer(&object.pointer), Some(object.value));
            (object.pointer.clone(), object.kind, object.api_version)
        })
        .collect();
    assert_eq!(
        found,
        [
            ("/items/0".to_owned(), Some("Pod"), Some("v1")),
            ("/items/1/items/0".to_owned(), Some("Deployment"), Some("apps/v1")),
            ("/items/1/items/1".to_owned(), Some("Other"), Some("apps/v1")),
            ("/items/3".to_owned(), None, None),
        ]
    );
    let one: Vec<_> = parse("kind: Pod\n")
        .documents()
        .flat_map(|document| document.objects().map(|object| object.pointer).collect::<Vec<_>>())
        .collect();
    assert_eq!(one, [""]);
    let no_items = value("kind: AllowList\nitems: text\n");
    assert_eq!(objects(&no_items).count(), 1);
}

#[test]
fn the_order_of_fields_is_kept() {
    let text = "z: 1\na: 2\nm: {x: 1, b: 2}\n";
    assert_eq!(changed(text), "z: 1\na: 2\nm:\n  x: 1\n  b: 2\nchanged: true\n");
}

#[test]
fn json_output_is_indented_by_two() {
    assert_eq!(to_json(&json!({"a": [1, {}]})).unwrap(), "{\n  \"a\": [\n    1,\n    {}\n  ]\n}\n");
}

#[test]
fn numbers_are_not_kept_as_text_anywhere() {
    // With serde_json's `arbitrary_precision` this number would be a map inside serde-saphyr.
    assert_eq!(to_yaml(&json!({"a": 2.5, "b": 7})).unwrap(), "a: 2.5\nb: 7\n");
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 512,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

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
