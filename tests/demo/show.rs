//! What the demo prints: plain text, no colours, as wide as a terminal.

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use pod_identity_webhook::documents::{to_json, to_yaml};
use serde_json::{Value, json};
use similar::TextDiff;

pub(super) fn chapter(title: &str) {
    println!("\n== {title}");
}

pub(super) fn line(text: &str) {
    println!("   {text}");
}

pub(super) fn yaml(value: &Value) -> Result<()> {
    indented(&to_yaml(value)?);
    Ok(())
}

pub(super) fn object(value: &Value) -> Result<()> {
    indented(&to_json(value)?);
    Ok(())
}

/// What is in `with` and not in `without`, of the parts that a user writes.
pub(super) fn diff(without: &Value, with: &Value) -> Result<()> {
    let (without, with) = (to_yaml(&written(without))?, to_yaml(&written(with))?);
    let diff = TextDiff::from_lines(&without, &with);
    indented(&diff.unified_diff().context_radius(2).to_string());
    Ok(())
}

/// The claims of a JSON Web Token; its signature is the AWS side's to check.
pub(super) fn claims(token: &str) -> Result<Value> {
    let payload = token.split('.').nth(1).context("the token is no JSON Web Token")?;
    Ok(serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload)?)?)
}

fn written(pod: &Value) -> Value {
    let mut written = serde_json::Map::new();
    if let Some(labels) = pod.pointer("/metadata/labels") {
        written.insert("metadata".to_owned(), json!({"labels": labels}));
    }
    written.insert("spec".to_owned(), pod.pointer("/spec").cloned().unwrap_or_default());
    Value::Object(written)
}

fn indented(text: &str) {
    for line in text.lines() {
        println!("     {line}");
    }
}
