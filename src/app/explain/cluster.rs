//! Facts from a cluster: the Pod, its account, the webhook that is installed, the issuer.
//!
//! What is asked about and its account have to be seen; what cannot be seen besides is part of the
//! explanation. Objects are asked for as text, since kube logs an answer that it cannot read.

use std::borrow::Cow;
use std::fs;

use anyhow::{Context as _, anyhow, bail};
use k8s_openapi::api::core::v1::{Namespace, Pod, ServiceAccount};
use kube::api::GetParams;
use kube::core::Request;
use kube::{Api, Client, Resource};
use serde_json::Value;

use crate::accounts::{Credentials, EntryError, Mappings};
use crate::app::client;
use crate::cli::{
    ClusterQuestion, Composition, ConfigMapSource, ExplainSettings, Injection, SubjectRef,
};
use crate::explain::given::{
    Account, Calls, Document, Flags, Found, Issuer, Mapped, Others, State, Subject,
};
use crate::explain::{self, Explanation, Facts, Record};
use crate::identity::{Annotations, Guard, Key, Listed, RolePolicy};
use crate::installation::{
    self, Documents, Installation, Labels, Origin, Reach, Unseen, What, Why,
};
use crate::plan::Ask;
use crate::policy;

/// The path at which an API server tells about its tokens (`OpenID` Connect Discovery 1.0, section 4).
const DISCOVERY: &str = "/.well-known/openid-configuration";

/// Looks at what is asked about, and explains it.
pub(super) async fn look(
    settings: &ExplainSettings,
    question: &ClusterQuestion,
) -> anyhow::Result<Explanation> {
    let client = client(question.kubeconfig.clone(), question.kube_api.clone()).await?;
    let namespace = match &question.namespace {
        Some(namespace) => namespace.to_string(),
        None => client.default_namespace().to_owned(),
    };
    let (subject, installed, issuer) = futures::join!(
        seen(&client, &namespace, &question.subject),
        installation::find(&client, &question.webhook_configuration),
        issuer(&client, settings.issuer.as_deref()),
    );
    let seen = subject?;
    let webhook = Webhook::of(&client, settings, question, installed.as_ref()).await?;
    let prefix = &webhook.injection.settings.defaults.annotation_prefix;
    let annotations = seen.account.as_ref().map(|account| annotations(account, prefix));
    let text = match (&seen.pod, &question.subject) {
        (Some(pod), _) => pod.to_string(),
        (None, _) => explain::like_those_of(&seen.account_name, annotations.as_ref()),
    };
    let (ask, ephemeral) = explain::asks(&text)?;
    let (pod, account) =
        (seen.pod.as_ref().map(Record::read), seen.account.as_ref().map(Record::read));
    let mapped = webhook.mapped(&namespace, &seen.account_name);
    let listed = webhook.listed(&namespace, &seen.account_name);
    let (name, state, kind) = match (&question.subject, &pod) {
        (SubjectRef::Pod(name), Some(record)) => (name, State::Created(record), "Pod"),
        (SubjectRef::Pod(name) | SubjectRef::Account(name), _) => {
            (name, State::Account, "ServiceAccount")
        }
    };
    if let (State::Account, None) = (state, &annotations)
        && !is_named(&mapped, &listed)
    {
        bail!("there is no ServiceAccount {namespace}/{name}: see `kubectl -n {namespace} get sa`");
    }
    let roles = [
        annotations.as_ref().and_then(|annotations| annotations.value(Key::RoleArn)),
        match &mapped {
            Document::Says(Mapped { entry: Some((_, mapping)), .. }, _) => {
                mapping.role_arn.as_deref()
            }
            _ => None,
        },
    ];
    composed(&webhook.injection.composition, roles)?;
    let labels = seen.pod.as_ref().map(labels).unwrap_or_default();
    let calls = calls(&client, &namespace, &labels, installed.as_ref()).await;
    let facts = Facts {
        subject: Subject { kind, namespace: &namespace, name, state },
        ask: &ask,
        ephemeral: ephemeral.as_ref(),
        account: Account {
            name: &seen.account_name,
            found: match &annotations {
                Some(annotations) => Found::Known { annotations, record: account.as_ref() },
                None => Found::Absent,
            },
        },
        credentials_file: listed,
        mapping: mapped,
        guard: webhook.guard(&namespace),
        flags: Flags {
            settings: &webhook.injection.settings,
            given: settings.injection.given(),
            others: match &webhook.pod {
                Some(pod) => Others::OfPod { pod, unread: &webhook.unread },
                None => Others::Defaults,
            },
        },
        calls,
        issuer,
    };
    Ok(explain::explain(&facts))
}

/// What is asked about, as it is stored.
struct Seen {
    pod: Option<Value>,
    account_name: String,
    account: Option<Value>,
}

async fn seen(client: &Client, namespace: &str, subject: &SubjectRef) -> anyhow::Result<Seen> {
    let (pod, account_name) = match subject {
        SubjectRef::Account(name) => (None, name.to_string()),
        SubjectRef::Pod(name) => {
            let request = Request::new(Pod::url_path(&(), Some(namespace)))
                .get(name, &GetParams::default())?;
            let what = What::within("pods", namespace).named(name);
            let Some(pod) = object(client, what, request).await? else {
                bail!("there is no Pod {namespace}/{name}: see `kubectl -n {namespace} get pods`");
            };
            let text = pod.to_string();
            let (ask, _) = explain::asks(&text)?;
            let account_name = account_of(&ask).into_owned();
            (Some(pod), account_name)
        }
    };
    let request = Request::new(ServiceAccount::url_path(&(), Some(namespace)))
        .get_metadata(&account_name, &GetParams::default())?;
    let what = What::within("serviceaccounts", namespace).named(&account_name);
    let account = object(client, what, request).await?;
    Ok(Seen { pod, account_name, account })
}

/// An object, if there is one of that name.
async fn object(
    client: &Client,
    what: What,
    request: http::Request<Vec<u8>>,
) -> anyhow::Result<Option<Value>> {
    match what.ask("get", client.request_text(request)).await {
        Ok(text) => Ok(Some(serde_json::from_str(&text).context(
            "the API server's answer is no JSON: see what stands between it and this machine",
        )?)),
        Err(Unseen { why: Why::Answered { code: 404, .. }, .. }) => Ok(None),
        Err(unseen) => Err(unseen.into()),
    }
}

/// The name of the account of a Pod that is asked about.
pub(super) fn account_of<'a>(ask: &'a Ask<'_>) -> Cow<'a, str> {
    let named = ask.pod().and_then(|pod| pod.service_account_name());
    Cow::Borrowed(named.or(ask.account().ok()).unwrap_or("default"))
}

fn annotations(account: &Value, prefix: &str) -> Annotations {
    let found = account.pointer("/metadata/annotations").and_then(Value::as_object);
    let pairs = found.into_iter().flatten();
    Annotations::read(
        prefix,
        pairs.filter_map(|(name, value)| Some((name.as_str(), value.as_str()?))),
    )
}

fn labels(pod: &Value) -> Labels {
    let found = pod.pointer("/metadata/labels").and_then(Value::as_object);
    let pairs = found.into_iter().flatten();
    pairs.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Whether a role that is only a name could be completed.
///
/// # Errors
///
/// If it could not, since the webhook asks its node for what completes it.
pub(super) fn composed(composition: &Composition, roles: [Option<&str>; 2]) -> anyhow::Result<()> {
    let is_bare = |role: &str| !role.contains("arn:");
    match composition {
        Composition::Asks(_) if roles.into_iter().flatten().any(is_bare) => bail!(
            "the webhook completes role names with the account of its node: give --aws-account-id \
             and --aws-partition"
        ),
        Composition::Asks(_) | Composition::Settled => Ok(()),
    }
}

/// Who issues the cluster's tokens.
async fn issuer(client: &Client, given: Option<&str>) -> Issuer {
    if let Some(issuer) = given {
        return Issuer::Given(issuer.into());
    }
    let Ok(request) = http::Request::get(DISCOVERY).body(Vec::new()) else {
        return Issuer::Unknown("the API server cannot be asked".into());
    };
    let answer = What::all(DISCOVERY).ask("get", client.request_text(request)).await;
    let document = answer.map(|text| serde_json::from_str::<Value>(&text).unwrap_or_default());
    match document {
        Err(unseen) => Issuer::Unknown(unseen.to_string().into()),
        Ok(document) => match document.get("issuer").and_then(Value::as_str) {
            Some(issuer) => Issuer::Discovered(issuer.into()),
            None => Issuer::Unknown("the API server does not tell who issues tokens".into()),
        },
    }
}

/// Whether a webhook is called for a Pod with these labels in this namespace.
async fn calls(
    client: &Client,
    namespace: &str,
    pod: &Labels,
    installed: Result<&Installation, &Unseen>,
) -> Calls {
    let installation = match installed {
        Ok(installation) => installation,
        Err(unseen) => return Calls::Unseen(unseen.to_string().into()),
    };
    if installation.entries.is_empty() {
        let name = &installation.configuration;
        return Calls::Nobody(
            format!("there is no MutatingWebhookConfiguration {name}, nor one like it").into(),
        );
    }
    let api: Api<Namespace> = Api::all(client.clone());
    let found = What::all("namespaces").named(namespace).ask("get", api.get(namespace)).await;
    let of_namespace = match found {
        Ok(found) => found.metadata.labels.unwrap_or_default(),
        Err(unseen) => return Calls::Unseen(unseen.to_string().into()),
    };
    if let Some(entry) = installation.calling(&of_namespace, pod).next() {
        return Calls::Entry {
            configuration: entry.configuration.clone(),
            name: entry.name.clone(),
        };
    }
    let why = installation.entries.iter().map(|entry| {
        let name = &entry.name;
        match entry.reach(&of_namespace, pod) {
            Reach::NotByNamespace => {
                format!("the namespaceSelector of {name} leaves out namespace {namespace}")
            }
            Reach::NotByLabels => format!("the objectSelector of {name} leaves out this Pod"),
            Reach::NotByRules | Reach::Called => {
                format!("the rules of {name} do not name the creation of Pods")
            }
        }
    });
    Calls::Nobody(why.collect::<Vec<_>>().join(", ").into())
}

/// The webhook that is judged by.
struct Webhook {
    injection: Injection,
    /// The Pod whose flags count, `namespace/name`.
    pod: Option<String>,
    unread: Vec<Box<str>>,
    /// `None` where it is not known whether there are any.
    mappings: Option<installation::Document<Mappings>>,
    /// `None` where it is not known whether there is one.
    credentials: Option<installation::Document<Credentials>>,
    /// `None` where it is not known whether there is one.
    role_policy: Option<installation::Document<RolePolicy>>,
    /// The file that was given in place of the webhook's.
    credentials_file: Option<String>,
}

// === impl Webhook ===

impl Webhook {
    async fn of(
        client: &Client,
        settings: &ExplainSettings,
        question: &ClusterQuestion,
        installed: Result<&Installation, &Unseen>,
    ) -> anyhow::Result<Self> {
        let flags = installed.ok().map(Installation::flags);
        let base = flags.map(|flags| flags.settings.injection.clone()).unwrap_or_default();
        let from_pod = flags.filter(|flags| flags.origin == Origin::Container);
        let replica = installed.ok().and_then(Installation::replica).filter(|_| from_pod.is_some());
        // Which documents there are, only flags tell.
        let (mut mappings, mut credentials, mut role_policy) = match installed {
            Ok(installation) if from_pod.is_some() => {
                let Documents { mappings, credentials, role_policy } =
                    Documents::read(client, installation).await;
                (Some(mappings), Some(credentials), Some(role_policy))
            }
            Ok(_) | Err(_) => (None, None, None),
        };
        match question.config_map {
            Some(ConfigMapSource::Ignored) => mappings = Some(installation::Document::Unused),
            Some(ConfigMapSource::Watched) => {
                let of_webhook = flags.map(|flags| &*flags.settings.namespace);
                let default = crate::cli::defaults().namespace;
                let namespace = question.webhook_namespace.as_deref().or(of_webhook);
                let found = installation::mappings(client, namespace.unwrap_or(&default)).await;
                mappings = Some(found);
            }
            None => {}
        }
        if let Some(path) = &settings.credentials_file {
            let name = path.display().to_string();
            let bytes = fs::read(path).with_context(|| {
                format!("--watch-container-credentials-config: cannot read {name}")
            })?;
            let (entries, dropped) =
                Credentials::parse(&bytes).map_err(|error| anyhow!("{name}: {error}"))?;
            let place = What::all("file").named(&name);
            credentials = Some(installation::Document::Read { place, entries, dropped });
        }
        let injection = settings.injection.over(&base)?;
        if let (true, Some(path)) =
            (settings.injection.given().contains(&"role-policy"), &injection.role_policy)
        {
            let entries = policy::read(path).map_err(|error| anyhow!("--role-policy: {error}"))?;
            let place = What::all("file").named(&path.display().to_string());
            role_policy =
                Some(installation::Document::Read { place, entries, dropped: Vec::new() });
        }
        let unread = from_pod
            .map(|flags| flags.unread.iter().chain(&flags.unknown).cloned().collect())
            .unwrap_or_default();
        Ok(Self {
            injection,
            pod: replica.map(|(namespace, replica)| format!("{namespace}/{}", replica.pod)),
            unread,
            mappings,
            credentials,
            role_policy,
            credentials_file: settings.credentials_file.as_ref().map(|p| p.display().to_string()),
        })
    }

    fn mapped(&self, namespace: &str, name: &str) -> Document<Mapped<'_>> {
        use installation::Document as In;

        let nothing = || Mapped { entry: None, dropped: None };
        let Some(mappings) = &self.mappings else { return Document::Unknown };
        match mappings {
            In::Unused => Document::Unused,
            In::Missing { place } => Document::Says(nothing(), place.to_string().into()),
            In::Bad { error, .. } => Document::Unseen(error.to_string().into()),
            In::Unseen(unseen) => Document::Unseen(unseen.to_string().into()),
            In::OutOfSight => Document::Unseen("it cannot be seen from here".into()),
            In::Read { place, entries, dropped } => {
                let own = format!("{namespace}/{name}");
                let dropped = dropped.iter().find(|entry| entry.entry() == own);
                let entry = entries.key(namespace, name).zip(entries.find(namespace, name));
                let mapped = Mapped {
                    entry: entry.map(|(key, mapping)| (key.into(), mapping.as_ref())),
                    dropped: dropped.map(EntryError::reason),
                };
                Document::Says(mapped, place.to_string().into())
            }
        }
    }

    fn guard<'a>(&'a self, namespace: &'a str) -> Document<Guard<'a>> {
        use installation::Document as In;

        let Some(policy) = &self.role_policy else { return Document::Unknown };
        match policy {
            In::Unused => Document::Unused,
            In::Missing { place } => Document::Unseen(format!("there is no {place}").into()),
            In::Bad { error, .. } => Document::Unseen(error.to_string().into()),
            In::Unseen(unseen) => Document::Unseen(unseen.to_string().into()),
            In::OutOfSight => Document::Unseen(
                "the webhook's file cannot be seen from here; give a copy with --role-policy"
                    .into(),
            ),
            In::Read { place, entries, .. } => {
                Document::Says(Guard { policy: entries, namespace }, place.to_string().into())
            }
        }
    }

    fn listed(&self, namespace: &str, name: &str) -> Document<Listed> {
        use installation::Document as In;

        let Some(credentials) = &self.credentials else { return Document::Unknown };
        match credentials {
            In::Unused => Document::Unused,
            In::Missing { place } => Document::Says(Listed::No, place.to_string().into()),
            In::Bad { error, .. } => Document::Unseen(error.to_string().into()),
            In::Unseen(unseen) => Document::Unseen(unseen.to_string().into()),
            In::OutOfSight => Document::Unseen(
                "the webhook's file cannot be seen from here; give a copy with \
                 --watch-container-credentials-config"
                    .into(),
            ),
            In::Read { place, entries, .. } => {
                let place = match &self.credentials_file {
                    Some(file) => file.as_str().into(),
                    None => place.to_string().into(),
                };
                Document::Says(entries.listed(namespace, name), place)
            }
        }
    }
}

/// Whether a document names an account that does not exist.
fn is_named(mapped: &Document<Mapped<'_>>, listed: &Document<Listed>) -> bool {
    let by_mapping = match mapped {
        Document::Says(Mapped { entry: Some((key, _)), .. }, _) => !key.contains('*'),
        _ => false,
    };
    by_mapping || matches!(listed, Document::Says(Listed::Yes, _))
}
