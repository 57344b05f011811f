//! Facts from documents: every workload, or if there is none, every ServiceAccount.

use std::io::Read;

use anyhow::{anyhow, bail};
use serde_json::Value;

use crate::cli::{ExplainSettings, Injection, Input};
use crate::documents::{Document, Stream};
use crate::explain::given::{
    Account, Calls, Document as Source, Flags, Found, Issuer, Mapped, Others, State, Subject,
};
use crate::explain::{self, Explanation, Facts, Record};
use crate::identity::{Key, Knowledge};
use crate::offline::{self, Given, OfflineError, Place, Workload};
use crate::plan::{Ask, Settings};

use super::cluster::composed;

/// Explains what `files` hold, and says what a person should know about them.
pub(super) fn read(
    settings: &ExplainSettings,
    files: &[Input],
    default_namespace: &str,
    stdin: &mut impl Read,
) -> anyhow::Result<(Vec<Explanation>, Vec<String>)> {
    let injection = settings.injection.over(&Injection::default())?;
    let told = |error: OfflineError| anyhow!(offline::sentence(&error));
    let streams = offline::streams(files, stdin).map_err(told)?;
    let prefix = &injection.settings.defaults.annotation_prefix;
    let file = settings.credentials_file.as_deref();
    let policy = injection.role_policy.as_deref();
    let given = Given::collect(&streams, prefix, default_namespace, file, policy).map_err(told)?;
    let documents = Documents {
        settings,
        injection: &injection,
        streams: &streams,
        given: &given,
        default_namespace,
    };
    let mut explanations = documents.workloads()?;
    if explanations.is_empty() {
        explanations = documents.accounts()?;
    }
    if explanations.is_empty() {
        bail!("there is no workload and no ServiceAccount among the documents: give some");
    }
    Ok((explanations, given.notes().map(str::to_owned).collect()))
}

/// What was given.
struct Documents<'a> {
    settings: &'a ExplainSettings,
    injection: &'a Injection,
    streams: &'a [Stream],
    given: &'a Given,
    default_namespace: &'a str,
}

// === impl Documents ===

impl Documents<'_> {
    fn workloads(&self) -> anyhow::Result<Vec<Explanation>> {
        let mut explanations = Vec::new();
        for document in self.streams.iter().flat_map(Stream::documents) {
            for object in document.objects() {
                let workload = Workload::of(&object, self.default_namespace);
                let Some((workload, template)) = workload.and_then(|workload| {
                    let template = workload.template()?;
                    Some((workload, template))
                }) else {
                    continue;
                };
                let text = template.to_string();
                workload
                    .pod(&text, &Place::of(document))
                    .map_err(|error| anyhow!(offline::sentence(&error)))?;
                let record = (!workload.is_template()).then(|| Record::read(object.value));
                let state = match record.as_ref().filter(|record| record.is_stored()) {
                    Some(record) => State::Created(record),
                    None => State::Planned,
                };
                let name = workload.subject.name.to_string();
                let subject = Subject {
                    kind: &workload.subject.kind,
                    namespace: &workload.subject.namespace,
                    name: &name,
                    state,
                };
                explanations.push(self.explain(subject, &text)?);
            }
        }
        Ok(explanations)
    }

    fn accounts(&self) -> anyhow::Result<Vec<Explanation>> {
        let mut explanations = Vec::new();
        for object in self.streams.iter().flat_map(Stream::documents).flat_map(Document::objects) {
            let is_account = object.kind == Some("ServiceAccount")
                && matches!(object.api_version, Some("v1") | None);
            let Some(name) = offline::name(&object).filter(|_| is_account) else { continue };
            let namespace = offline::namespace(&object, self.default_namespace);
            let (sources, _) = self.given.sources(namespace, name);
            let annotations = match sources.account {
                Knowledge::Known(annotations) => Some(annotations),
                Knowledge::Absent | Knowledge::Unknown(_) => None,
            };
            let text = explain::like_those_of(name, annotations);
            let subject =
                Subject { kind: "ServiceAccount", namespace, name, state: State::Account };
            explanations.push(self.explain(subject, &text)?);
        }
        Ok(explanations)
    }

    /// `text` is a Pod that was read before, or made.
    fn explain(&self, subject: Subject<'_>, text: &str) -> anyhow::Result<Explanation> {
        let (mut ask, ephemeral) = explain::asks(text)?;
        if let Ask::Create(pod) = &mut ask
            && let Some(metadata) = pod.metadata.as_mut().filter(|_| subject.kind != "Pod")
        {
            metadata.name = None;
        }
        let account = super::cluster::account_of(&ask);
        let namespace = subject.namespace;
        let (sources, _) = self.given.sources(namespace, &account);
        let record = self.record(namespace, &account);
        let role = match sources.account {
            Knowledge::Known(annotations) => annotations.value(Key::RoleArn),
            Knowledge::Absent | Knowledge::Unknown(_) => None,
        };
        let mapped = sources.mapping.and_then(|mapping| mapping.role_arn.as_deref());
        composed(&self.injection.composition, [role, mapped])?;
        let settings: &Settings = &self.injection.settings;
        let facts = Facts {
            subject,
            ask: &ask,
            ephemeral: ephemeral.as_ref(),
            account: Account {
                name: &account,
                found: match sources.account {
                    Knowledge::Known(annotations) => {
                        Found::Known { annotations, record: record.as_ref() }
                    }
                    Knowledge::Absent => Found::Absent,
                    Knowledge::Unknown(why) => Found::NotGiven(why),
                },
            },
            credentials_file: match self.given.credentials_file() {
                None => Source::Unused,
                Some(file) => Source::Says(sources.credentials_file, file.into()),
            },
            mapping: match self.given.mappings() {
                None => Source::Unused,
                Some((mappings, place)) => {
                    let key = mappings.key(namespace, &account);
                    let entry = key.zip(sources.mapping).map(|(key, m)| (key.into(), m));
                    let dropped = self.given.unmapped(&format!("{namespace}/{account}"));
                    Source::Says(Mapped { entry, dropped }, place.to_string().into())
                }
            },
            guard: match self.given.guard(namespace) {
                None => Source::Unused,
                Some((guard, file)) => Source::Says(guard, file.into()),
            },
            flags: Flags {
                settings,
                given: self.settings.injection.given(),
                others: Others::Defaults,
            },
            calls: Calls::NotAsked,
            issuer: match &self.settings.issuer {
                Some(issuer) => Issuer::Given(issuer.clone()),
                None => Issuer::Unknown("files do not tell who issues tokens".into()),
            },
        };
        Ok(explain::explain(&facts))
    }

    /// What else the documents have of an account; the last of several counts.
    fn record(&self, namespace: &str, name: &str) -> Option<Record> {
        let objects = self.streams.iter().flat_map(Stream::documents).flat_map(Document::objects);
        let accounts = objects.filter(|object| {
            let value: &Value = object.value;
            object.kind == Some("ServiceAccount")
                && value.pointer("/metadata/name").and_then(Value::as_str) == Some(name)
                && offline::namespace(object, self.default_namespace) == namespace
        });
        accounts.last().map(|object| Record::read(object.value))
    }
}
