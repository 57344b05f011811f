//! Tokens and their issuer.

use super::*;

#[test]
fn an_issuer_must_be_public_and_publish_what_signs() {
    let with = |change: &dyn Fn(&mut Token, &mut Issuer)| {
        let mut observed = healthy();
        let mut token = observed.token.clone().unwrap().unwrap();
        change(&mut token, &mut observed.issuer);
        Observed { token: Ok(Some(token)), ..observed }
    };
    says(&healthy(), "issuer", Mark::Passed, "https://oidc.example/id publishes the key");
    let inside = with(&|token, issuer| {
        token.issuer = "https://kubernetes.default.svc".into();
        issuer.api_server = Ok(published(&token.issuer));
        issuer.outside = Keys::NotAsked("only the cluster resolves it");
    });
    says(&inside, "issuer", Mark::Finding, "which AWS cannot reach");
    let stale = with(&|_, issuer| {
        let mut published = published("https://oidc.example/id");
        published.keys = BTreeSet::from(["old".to_owned()]);
        issuer.outside = Keys::Published(published);
    });
    says(&stale, "issuer", Mark::Finding, "1 published key of https://oidc.example/id lack");
    let slash = with(&|_, issuer| {
        issuer.outside = Keys::Published(published("https://oidc.example/id/"));
    });
    says(&slash, "issuer", Mark::Finding, "says that the issuer is https://oidc.example/id/");
    let away = with(&|_, issuer| issuer.outside = Keys::OutOfReach("no route".into()));
    says(&away, "issuer", Mark::NotLookedAt, "which AWS has to reach: no route");
    let page = with(&|_, issuer| issuer.outside = Keys::Unreadable("404".into()));
    says(&page, "issuer", Mark::Finding, "publishes no discovery document");
}

#[test]
fn a_lifetime_that_the_api_server_cuts_is_noted() {
    let mut observed = healthy();
    let token = observed.token.clone().unwrap().unwrap();
    observed.token = Ok(Some(Token { lifetime: 3600, ..token }));
    says(&observed, "token-lifetime", Mark::Note, "is to live 86400 s and gets 3600 s");
}
