//! Everything that is observed, once: requests to the API server, handshakes, one issuer.
//!
//! Only what the selected checks need. Nothing is written: the one Pod that is created is a dry run,
//! and the one token that is asked for is dropped once its claims are read. Each request is bounded
//! in time, and what fails is part of the answer.

mod cluster;
mod issuer;
mod probe;
mod rights;
mod served;

use std::collections::BTreeMap;
use std::time::SystemTime;

use kube::Client;

pub use cluster::Walked;
use rights::Uses;

use super::check::{Need, Selection};
use super::observed::{Accounts, Agent, Issuer, Observed, Pods, Probe, Told};
use crate::installation::{self, Documents, Look};

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The name of the webhook configuration.
    pub configuration: Box<str>,
    /// The one namespace whose accounts and Pods are looked at, if it is one.
    pub namespace: Option<Box<str>>,
    /// The API server's URL.
    pub api_server: http::Uri,
    /// From where.
    pub standpoint: Standpoint,
}

/// From where the cluster is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standpoint {
    /// From a Pod: addresses of other Pods are those of other Pods.
    Inside,
    /// From elsewhere: the same addresses may be anybody's.
    Outside,
}

/// Observes what `selection` needs; `pace` is told how far it is where that may take long.
pub async fn gather(
    client: &Client,
    question: &Question,
    selection: &Selection,
    pace: &impl Fn(Walked),
) -> Observed {
    let Question { configuration, namespace, api_server, standpoint: _ } = question;
    let within = namespace.as_deref();
    let needs = |need| selection.needs(need);
    let installation = installation::find(client, configuration).await;
    let found = installation.as_ref().ok();

    let documents = match found {
        Some(found) if needs(Need::Accounts) => Documents::read(client, found).await,
        _ => Documents::NONE,
    };
    let namespaces = if needs(Need::Namespaces) {
        cluster::namespaces(client).await
    } else {
        Ok(BTreeMap::new())
    };
    let accounts = if needs(Need::Accounts) {
        cluster::accounts(client, within, found, pace).await
    } else {
        Ok(BTreeMap::new())
    };
    let accounts = accounts.map(|all| Accounts::new(all, found, &documents));
    let called = cluster::Called {
        entries: found.map(|found| found.entries.as_slice()).unwrap_or_default(),
        namespaces: namespaces.as_ref().ok(),
    };
    let pods = match &accounts {
        Ok(accounts) if needs(Need::Pods) => {
            cluster::pods(client, within, accounts, &called, pace).await
        }
        _ => Ok(Pods::default()),
    };
    let agent = match &pods {
        Ok(pods) if needs(Need::Agent) && !pods.agents_needed.is_empty() => {
            cluster::agent(client, pods).await
        }
        _ => Ok(Agent::default()),
    };
    let served = match found {
        Some(found) if needs(Need::Served) => served::all(client, found, question).await,
        _ => Vec::new(),
    };
    // Before the probe, which may itself be let pass.
    let fail_open =
        if needs(Need::FailOpen) { probe::fail_open(client).await } else { Ok(BTreeMap::new()) };
    let chosen = accounts
        .as_ref()
        .ok()
        .and_then(|accounts| probe::choose(accounts, found, namespaces.as_ref().ok()));
    let probe = if needs(Need::Probe) {
        probed(client, &accounts, chosen.as_ref()).await
    } else {
        Probe::NoAccount("it was not asked for")
    };
    let token_of =
        accounts.as_ref().ok().and_then(|accounts| issuer::account(accounts, chosen.as_ref()));
    let token = if needs(Need::Token) {
        issuer::token(client, &accounts, token_of.as_ref()).await
    } else {
        Err("it was not asked for".to_owned())
    };
    let issuer = match &token {
        Ok(Some(token)) if needs(Need::Issuer) => issuer::look(client, token, api_server).await,
        _ => Issuer::default(),
    };
    let uses = Uses {
        question,
        selection,
        installation: found,
        probed: chosen.as_ref(),
        token_of: token_of.as_ref(),
        pods: &pods,
        agent: &agent,
    };
    let (rights, own_rights) = futures::join!(
        async {
            match found {
                Some(found) if needs(Need::Rights) => rights::of_webhook(client, found).await,
                _ => Vec::new(),
            }
        },
        rights::own(client, uses),
    );
    Observed {
        now: SystemTime::now(),
        within: namespace.clone(),
        installation,
        documents,
        namespaces,
        accounts,
        pods,
        served,
        rights,
        own_rights,
        fail_open,
        probe,
        token,
        issuer,
        agent,
    }
}

/// What becomes of a Pod of the account that was chosen.
async fn probed(client: &Client, accounts: &Look<Accounts>, chosen: Option<&Told>) -> Probe {
    match (accounts, chosen) {
        (Err(unseen), _) => Probe::NotTried(unseen.to_string()),
        (Ok(_), None) => Probe::NoAccount(
            "no ServiceAccount that the webhook is called for has an identity to inject",
        ),
        (Ok(accounts), Some(told)) => probe::pod(client, told, accounts).await,
    }
}
