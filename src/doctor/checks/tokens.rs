//! Tokens: who says that they issued them, with which keys, and for how long.

use super::{count, or_passed};
use crate::doctor::line::Line;
use crate::doctor::observed::{Issuer, Keys, Observed, Path, Published, Token};

/// By how many seconds a lifetime may be short before it counts as cut.
const SLACK: u64 = 5;

/// The token, or the one line of a check that has none to judge.
fn token(observed: &Observed) -> Result<&Token, Vec<Line>> {
    match &observed.token {
        Ok(Some(token)) => Ok(token),
        Ok(None) => Err(vec![Line::nothing("no ServiceAccount has an identity")]),
        Err(why) => Err(vec![Line::not_looked_at(why)]),
    }
}

pub(in crate::doctor) fn issuer(observed: &Observed) -> Vec<Line> {
    let Issuer { api_server, outside } = &observed.issuer;
    let token = match token(observed) {
        Ok(token) => token,
        Err(lines) => return lines,
    };
    let irsa = match &observed.accounts {
        Ok(accounts) => accounts.told().filter(|told| told.path == Some(Path::WebIdentity)).count(),
        Err(unseen) => return vec![Line::not_looked_at(unseen.to_string())],
    };
    if irsa == 0 {
        return vec![Line::nothing("no ServiceAccount uses IRSA, which alone needs the issuer")];
    }
    let Token { issuer, key, .. } = token;
    let mut lines = Vec::new();
    match api_server {
        Err(why) => lines.push(Line::not_looked_at(format!("the API server's discovery: {why}"))),
        Ok(published) => lines.extend(fits(token, published, "the API server")),
    }
    if token.is_issued_inside() {
        lines.push(Line::finding(
            format!("tokens are issued by {issuer}, which AWS cannot reach: IRSA cannot work"),
            "set the API server's --service-account-issuer to a public URL, publish its keys \
             there, and make it an IAM OIDC provider",
        ));
        return lines;
    }
    match outside {
        Keys::SameAsApiServer => {}
        Keys::NotAsked(why) => lines.push(Line::not_looked_at(format!("{issuer}: {why}"))),
        Keys::OutOfReach(why) => {
            lines.push(Line::not_looked_at(format!(
                "{issuer} from here, which AWS has to reach: {why}"
            )));
        }
        Keys::Unreadable(why) => lines.push(Line::finding(
            format!("{issuer} publishes no discovery document: {why}"),
            "publish /.well-known/openid-configuration there, as the API server has it",
        )),
        Keys::Published(published) => lines.extend(fits(token, published, issuer)),
    }
    or_passed(lines, format!("{issuer} publishes the key {} that signs tokens", short(key)))
}

/// What keeps a token from being verified by what `who` publishes.
fn fits(token: &Token, published: &Published, who: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    if published.issuer != token.issuer {
        lines.push(Line::finding(
            format!(
                "{who} says that the issuer is {}, and tokens say {}",
                published.issuer, token.issuer
            ),
            "make both the same, to the last slash",
        ));
    }
    if !published.keys.contains(&token.key) {
        lines.push(Line::finding(
            format!(
                "{} of {who} lack {}, which signs tokens",
                count(published.keys.len(), "published key"),
                short(&token.key)
            ),
            format!("publish it at {}: kubectl get --raw /openid/v1/jwks", published.jwks_uri),
        ));
    }
    lines
}

/// The name of a key as a sentence shows it.
fn short(key: &str) -> String {
    key.chars().take(8).collect()
}

pub(in crate::doctor) fn lifetime(observed: &Observed) -> Vec<Line> {
    let Token { account, lifetime, asked, .. } = match token(observed) {
        Ok(token) => token,
        Err(lines) => return lines,
    };
    if lifetime + SLACK < *asked {
        return vec![Line::note(
            format!(
                "a token of {account} is to live {asked} s and gets {lifetime} s: the API server \
                 allows no more"
            ),
            "nothing breaks, SDKs read it anew; or raise its --service-account-max-token-expiration",
        )];
    }
    vec![Line::passed(format!("{asked} s, as asked"))]
}
