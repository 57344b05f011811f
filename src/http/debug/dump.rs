//! All that is known, written as it is read: an account a line, then the patterns of the mappings.
//!
//! Never more than a piece is held as text, however many accounts there are.

use std::io;

use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;

use super::super::Context;
use super::effective;
use crate::accounts::Census;
use crate::identity::Mapping;

/// How much is written at once, in bytes.
const PIECE: usize = 32 * 1024;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Pattern<'a> {
    key: &'a str,
    #[serde(rename = "roleARN", skip_serializing_if = "Option::is_none")]
    role_arn: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    audience: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sts_regional_endpoints: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    token_expiration: Option<u64>,
}

/// How far the text is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Part {
    Accounts(usize),
    Patterns,
    End,
}

/// The text of `census`; `permit` is given back once it has been read or given up.
pub(super) fn body(census: Census, context: Context, permit: OwnedSemaphorePermit) -> Body {
    let mut part = Part::Accounts(0);
    let pieces = std::iter::from_fn(move || {
        let _held = &permit;
        let (piece, next) = match part {
            Part::Accounts(from) => accounts(&census, from, &context),
            Part::Patterns => (patterns(&census), Part::End),
            Part::End => return None,
        };
        part = next;
        Some(piece.map(Bytes::from).map_err(io::Error::from))
    });
    Body::from_stream(stream::iter(pieces))
}

fn accounts(
    census: &Census,
    from: usize,
    context: &Context,
) -> (serde_json::Result<Vec<u8>>, Part) {
    let mut piece = Vec::with_capacity(PIECE + 1024);
    if from == 0 {
        piece.extend(b"{\"accounts\": [");
    }
    let mut at = from;
    while let Some(resident) = census.get(at).filter(|_| piece.len() < PIECE) {
        piece.extend(if at == 0 { &b"\n"[..] } else { b",\n" });
        if let Err(error) = effective::append(&mut piece, &resident, &context.0.settings) {
            return (Err(error), Part::End);
        }
        at += 1;
    }
    if at < census.len() {
        return (Ok(piece), Part::Accounts(at));
    }
    piece.extend(b"\n], \"patterns\": [");
    (Ok(piece), Part::Patterns)
}

fn patterns(census: &Census) -> serde_json::Result<Vec<u8>> {
    let mut piece = Vec::new();
    for (place, (key, mapping)) in census.mappings().patterns().enumerate() {
        let Mapping { role_arn, audience, sts_regional_endpoints, token_expiration } = mapping;
        piece.extend(if place == 0 { &b"\n"[..] } else { b",\n" });
        let pattern = Pattern {
            key: &key,
            role_arn: role_arn.as_deref(),
            audience: audience.as_deref(),
            sts_regional_endpoints: *sts_regional_endpoints,
            token_expiration: *token_expiration,
        };
        serde_json::to_writer(&mut piece, &pattern)?;
    }
    piece.extend(b"\n]}\n");
    Ok(piece)
}
