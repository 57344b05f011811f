//! One Event after the other, each owner and reason a series of its own.
//!
//! A series begins with an object and goes on as a count in it, as client-go's does. Writes are
//! apart from each other, and those of one series further apart: what is told meanwhile is counted
//! with the next. So the API server is spared, however many Pods are refused.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::events::v1::{Event, EventSeries};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::events::Reporter;
use kube::{Api, Client};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use super::error::WriteError;
use super::form::Form;
use super::subject::Subject;
use super::waiting::{Next, Told, Waiting};
use crate::telemetry::events::{EventMetrics, Written};

/// Who reports.
const CONTROLLER: &str = "pod-identity-webhook";

/// What was done, as an Event's `action`.
const ACTION: &str = "PodCreation";

/// The longest name of who reports (`ReportingInstanceLengthLimit` of Kubernetes' validation).
const MAX_INSTANCE: usize = 128;

const CREATE: &str = "create";
const PATCH: &str = "patch";

/// Between two writes: at most ten a second.
const BETWEEN_WRITES: Duration = Duration::from_millis(100);

/// Between two writes of one series.
const WITHIN_SERIES: Duration = Duration::from_secs(10);

/// How long a series is taken up again (`finishTime` of client-go); then another begins.
const SERIES_LASTS: Duration = Duration::from_mins(6);

/// How soon it is looked again at what may not be written yet, and after what failed.
const PAUSE: Duration = Duration::from_secs(1);

/// How long the API server has for an answer.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// Writes what waits.
pub(super) struct Writer {
    client: Client,
    instance: String,
    waiting: Arc<Waiting>,
    metrics: EventMetrics,
    series: HashMap<Subject, Series>,
    /// By verb, what keeps Events from being written.
    trouble: HashMap<&'static str, WriteError>,
}

/// An Event that stands.
struct Series {
    name: String,
    count: i32,
    written: Instant,
}

// === impl Writer ===

impl Writer {
    pub(super) fn new(client: Client, waiting: Arc<Waiting>, metrics: EventMetrics) -> Self {
        let Reporter { controller, instance } = Reporter::from(CONTROLLER);
        let instance = instance.unwrap_or(controller).chars().take(MAX_INSTANCE).collect();
        Self { client, instance, waiting, metrics, series: HashMap::new(), trouble: HashMap::new() }
    }

    pub(super) async fn run(mut self) -> Infallible {
        loop {
            let may = |subject: &Subject| {
                self.series.get(subject).is_none_or(|s| s.written.elapsed() >= WITHIN_SERIES)
            };
            match self.waiting.take(may) {
                Next::Write(subject, told) => {
                    let pause = match timeout(ANSWER_WITHIN, self.write(subject, told)).await {
                        Ok(Ok(verb)) => self.wrote(verb),
                        Ok(Err((verb, error))) => self.failed(verb, error),
                        Err(_) => self.failed(CREATE, WriteError::NoAnswer),
                    };
                    sleep(pause).await;
                }
                Next::Later => sleep(PAUSE).await,
                Next::Nothing => self.waiting.come().await,
            }
        }
    }

    /// Writes one Event and says by which verb.
    async fn write(
        &mut self,
        subject: Subject,
        told: Told,
    ) -> Result<&'static str, (&'static str, WriteError)> {
        self.series.retain(|_, series| series.written.elapsed() < SERIES_LASTS);
        let api = Api::<Event>::namespaced(self.client.clone(), subject.namespace());
        if let Some(series) = self.series.get_mut(&subject) {
            let count = series.count.saturating_add(told.times);
            let last = MicroTime(told.last);
            let patch = json!({ "series": { "count": count, "lastObservedTime": last } });
            let written =
                api.patch(&series.name, &PatchParams::default(), &Patch::Merge(patch)).await;
            match written {
                Ok(_) => {
                    (series.count, series.written) = (count, Instant::now());
                    return Ok(PATCH);
                }
                // It was deleted: another series begins.
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => return Err((PATCH, WriteError::of(PATCH, &error))),
            }
        }
        let event = self.event(&subject, &told);
        let name = event.metadata.name.clone().unwrap_or_default();
        api.create(&PostParams::default(), &event)
            .await
            .map_err(|error| (CREATE, WriteError::of(CREATE, &error)))?;
        let series = Series { name, count: told.times, written: Instant::now() };
        self.series.insert(subject, series);
        Ok(CREATE)
    }

    fn event(&self, subject: &Subject, told: &Told) -> Event {
        let Told { note, times, first, last } = told;
        let form = Form {
            name: subject.event_name(Timestamp::now().as_nanosecond()),
            regarding: subject.regarding(),
            reason: subject.reason(),
            action: ACTION,
            note: note.clone(),
            at: *first,
            reporter: CONTROLLER,
            instance: &self.instance,
        };
        Event {
            // A series has at least two.
            series: (*times > 1)
                .then_some(EventSeries { count: *times, last_observed_time: MicroTime(*last) }),
            ..form.event()
        }
    }

    /// Counts an Event that was written; returns how long to wait for the next.
    fn wrote(&mut self, verb: &'static str) -> Duration {
        self.metrics.wrote(Written::Done);
        if self.trouble.remove(verb).is_some() {
            tracing::info!(verb, "Events are written again");
        }
        BETWEEN_WRITES
    }

    /// The same of one that was not; trouble is logged when it begins and when it changes.
    fn failed(&mut self, verb: &'static str, error: WriteError) -> Duration {
        self.metrics.wrote(match error {
            WriteError::Forbidden { .. } => Written::Forbidden,
            _ => Written::Failed,
        });
        if error.concerns_one_event() || self.trouble.get(verb) == Some(&error) {
            tracing::debug!(verb, reason = %error, "an Event could not be written");
        } else {
            tracing::warn!(verb, reason = %error, "Events cannot be written");
            self.trouble.insert(verb, error);
        }
        PAUSE
    }
}
