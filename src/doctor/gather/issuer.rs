//! A token, and what its issuer publishes, by the API server and at the issuer's own URL.
//!
//! The token is a credential: it is asked for the audience of AWS, its claims are read, and it is
//! wiped. AWS asks the issuer without credentials, and so does this.

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use http::{Request, Uri};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::PostParams;
use kube::{Api, Client};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;
use zeroize::Zeroizing;

use crate::doctor::observed::{Accounts, Issuer, Keys, Published, Token, Told};
use crate::installation::{Look, What, Why};

/// Where an issuer has its document (`OpenID` Connect Discovery 1.0, 4).
pub(super) const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Where an API server has its keys.
pub(super) const KEYS: &str = "/openid/v1/jwks";

/// How long an issuer may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// The claims that count.
#[derive(Deserialize)]
struct Claims {
    iss: String,
    exp: u64,
    iat: u64,
}

#[derive(Deserialize)]
struct Header {
    #[serde(default)]
    kid: String,
}

#[derive(Deserialize)]
struct Document {
    issuer: String,
    jwks_uri: String,
}

/// The account that a token is asked for: the one that was chosen, or any that has an identity.
pub(super) fn account(accounts: &Accounts, chosen: Option<&Told>) -> Option<Told> {
    chosen.cloned().or_else(|| accounts.told().find(Told::has_identity))
}

/// Asks for a token of an account, which is to live as long as the longest that some account asks
/// for.
pub(super) async fn token(
    client: &Client,
    accounts: &Look<Accounts>,
    told: Option<&Told>,
) -> Result<Option<Token>, String> {
    let accounts = accounts.as_ref().map_err(ToString::to_string)?;
    let Some(told) = told else { return Ok(None) };
    let longest = accounts.told().map(|told| told.expiration).max().unwrap_or_default();
    let api: Api<ServiceAccount> = Api::namespaced(client.clone(), &told.namespace);
    let request = TokenRequest {
        spec: TokenRequestSpec {
            audiences: vec![told.audience.clone().into()],
            expiration_seconds: i64::try_from(longest).ok(),
            ..TokenRequestSpec::default()
        },
        ..TokenRequest::default()
    };
    let params = PostParams::default();
    let what = What::within("serviceaccounts/token", &told.namespace).named(&told.name);
    let answer = what.ask("create", api.create_token_request(&told.name, &params, &request)).await;
    let answer = answer.map_err(|unseen| unseen.to_string())?;
    let token = Zeroizing::new(answer.status.map(|status| status.token).unwrap_or_default());
    let unreadable = || "the API server's token cannot be read".to_owned();
    let mut parts = token.split('.');
    let (header, claims) = (part::<Header>(parts.next()), part::<Claims>(parts.next()));
    let (Some(header), Some(claims)) = (header, claims) else { return Err(unreadable()) };
    Ok(Some(Token {
        account: told.account(),
        issuer: claims.iss,
        key: header.kid,
        lifetime: claims.exp.saturating_sub(claims.iat),
        asked: longest,
    }))
}

/// A part of a JWT.
fn part<T: for<'a> Deserialize<'a>>(text: Option<&str>) -> Option<T> {
    let json = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(text?).ok()?);
    serde_json::from_slice(&json).ok()
}

/// What is published about who issued `token`.
pub(super) async fn look(client: &Client, token: &Token, api_server: &Uri) -> Issuer {
    let here = ask(client, DISCOVERY, Some(KEYS)).await;
    let api_server_says = here.map_err(|why| why.to_string());
    let outside = match token.issuer.parse::<Uri>() {
        Err(_) => Keys::Unreadable("it is no URL".to_owned()),
        Ok(url) if url.scheme_str() != Some("https") => {
            Keys::Unreadable("it is no URL that begins with https://".to_owned())
        }
        Ok(url) if url.authority() == api_server.authority() => Keys::SameAsApiServer,
        Ok(_) if token.is_issued_inside() => Keys::NotAsked("only the cluster resolves it"),
        Ok(url) => outside(url).await,
    };
    Issuer { api_server: api_server_says, outside }
}

async fn outside(url: Uri) -> Keys {
    let published = async {
        let client = Client::try_from(kube::Config::new(url.clone())).map_err(|e| Why::of(&e))?;
        ask(&client, DISCOVERY, None).await
    };
    match timeout(ANSWER_WITHIN, published).await {
        Ok(Ok(published)) => Keys::Published(published),
        Ok(Err(why @ (Why::Answered { .. } | Why::Unreadable))) => {
            Keys::Unreadable(why.to_string())
        }
        Ok(Err(why)) => Keys::OutOfReach(why.to_string()),
        Err(_) => Keys::OutOfReach(Why::NoAnswer.to_string()),
    }
}

/// Reads a discovery document, and the keys at `keys`, or where the document says that they are.
async fn ask(client: &Client, document: &str, keys: Option<&str>) -> Result<Published, Why> {
    let Document { issuer, jwks_uri } = json(client, document).await?;
    let set: Value = match keys {
        Some(path) => json(client, path).await?,
        None => {
            let url: Uri = jwks_uri.parse().map_err(|_| Why::Unreadable)?;
            let path = url.path_and_query().map(ToString::to_string).unwrap_or_default();
            let mut base = url.into_parts();
            base.path_and_query = Some(http::uri::PathAndQuery::from_static("/"));
            let base = Uri::from_parts(base).map_err(|_| Why::Unreadable)?;
            let client = Client::try_from(kube::Config::new(base)).map_err(|e| Why::of(&e))?;
            json(&client, &path).await?
        }
    };
    let keys = set.get("keys").and_then(Value::as_array).into_iter().flatten();
    let keys = keys.filter_map(|key| key.get("kid")?.as_str().map(str::to_owned)).collect();
    Ok(Published { issuer, jwks_uri, keys })
}

async fn json<T: for<'a> Deserialize<'a>>(client: &Client, path: &str) -> Result<T, Why> {
    let exchange = async {
        let request = Request::get(path).body(Vec::new()).map_err(kube::Error::HttpError)?;
        client.request_text(request).await
    };
    let text = match timeout(ANSWER_WITHIN, exchange).await {
        Ok(answer) => answer.map_err(|error| Why::of(&error))?,
        Err(_) => return Err(Why::NoAnswer),
    };
    serde_json::from_str(&text).map_err(|_| Why::Unreadable)
}
