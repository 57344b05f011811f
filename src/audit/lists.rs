//! Lists of any length, page by page: one page is held at a time, as text that views borrow from.
//!
//! Nothing of a page is ever logged or part of an error. An API server that is busy is asked again,
//! a few times; a list whose pages have expired on the way goes on from the token that the API
//! server gives for that, so whoever takes a page may be shown an object twice.

use std::time::Duration;

use kube::Client;
use kube::api::ListParams;
use kube::core::Request;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::sleep;

use crate::installation::{Look, Unseen, What, Why};
use crate::pod::{Text, from_object};

/// Objects in a page, as client-go has it.
const PAGE: u32 = 500;

/// How often a page is asked for.
const ATTEMPTS: u32 = 5;

/// The pause before the second attempt; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(500);

/// A list that can be asked for.
#[derive(Clone, Debug)]
pub(super) struct List {
    what: What,
    url: String,
    params: ListParams,
    form: Form,
}

/// What is sent of each object.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Form {
    Whole,
    Metadata,
}

/// A page of a list.
#[derive(Debug, Default, Deserialize)]
#[serde(remote = "Self")]
pub(super) struct Page<'a> {
    #[serde(borrow, default)]
    metadata: Option<PageMetadata<'a>>,
    #[serde(borrow, default)]
    items: Option<Vec<&'a RawValue>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", remote = "Self")]
struct PageMetadata<'a> {
    #[serde(borrow, default, rename = "continue")]
    next: Option<Text<'a>>,
    #[serde(default)]
    remaining_item_count: Option<u64>,
}

from_object!(Page, PageMetadata);

// === impl List ===

impl List {
    /// All objects of `what` that are at `url`.
    pub(super) fn new(what: What, url: String) -> Self {
        let params = ListParams { limit: Some(PAGE), ..ListParams::default() };
        Self { what, url, params, form: Form::Whole }
    }

    /// Of those, the ones with these fields.
    #[must_use]
    pub(super) fn fields(self, selector: &str) -> Self {
        Self { params: self.params.fields(selector), ..self }
    }

    /// Their metadata alone.
    #[must_use]
    pub(super) fn metadata(self) -> Self {
        Self { form: Form::Metadata, ..self }
    }

    /// Hands on every page.
    pub(super) async fn each(
        mut self,
        client: &Client,
        mut take: impl FnMut(&Page<'_>),
    ) -> Look<()> {
        loop {
            let next = match self.page(client).await {
                Ok(text) => {
                    let unreadable = |_| self.unseen(Why::Unreadable);
                    let page: Page<'_> = serde_json::from_str(&text).map_err(unreadable)?;
                    take(&page);
                    page.next()
                }
                Err(Failure::Expired { next }) => Some(next),
                Err(Failure::Unseen(unseen)) => return Err(unseen),
            };
            match next {
                Some(next) => self.params.continue_token = Some(next),
                None => return Ok(()),
            }
        }
    }

    fn unseen(&self, why: Why) -> Unseen {
        Unseen { verb: "list", what: self.what.clone(), why }
    }

    async fn page(&self, client: &Client) -> Result<String, Failure> {
        let mut pause = PAUSE;
        for attempt in 1.. {
            let failure = match self.ask(client).await {
                Ok(text) => return Ok(text),
                Err(failure) => failure,
            };
            if attempt >= ATTEMPTS || !failure.may_pass() {
                return Err(failure);
            }
            tracing::debug!(resource = self.what.resource, attempt, "a list is asked for again");
            sleep(pause).await;
            pause *= 2;
        }
        Err(Failure::Unseen(self.unseen(Why::NoAnswer)))
    }

    async fn ask(&self, client: &Client) -> Result<String, Failure> {
        let request = Request::new(self.url.as_str());
        let request = match self.form {
            Form::Whole => request.list(&self.params),
            Form::Metadata => request.list_metadata(&self.params),
        };
        let request = request.map_err(|_| Failure::Unseen(self.unseen(Why::Unreadable)))?;
        let mut expired = None;
        let answer = async {
            // As text, since kube logs an answer that it cannot read.
            let answer = client.request_text(request).await;
            if let Err(kube::Error::Api(status)) = &answer
                && status.code == 410
            {
                expired = status.metadata.as_ref().and_then(|metadata| metadata.continue_.clone());
            }
            answer
        };
        let answer = self.what.clone().ask("list", answer).await;
        match expired.filter(|next| !next.is_empty()) {
            Some(next) => Err(Failure::Expired { next }),
            None => answer.map_err(Failure::Unseen),
        }
    }
}

/// Why there is no page.
enum Failure {
    /// The list goes on here.
    Expired {
        next: String,
    },
    Unseen(Unseen),
}

// === impl Failure ===

impl Failure {
    /// Whether it may be otherwise soon.
    fn may_pass(&self) -> bool {
        match self {
            Self::Expired { .. } => false,
            Self::Unseen(Unseen { why, .. }) => match why {
                Why::Answered { code, .. } => *code == 429 || *code >= 500,
                Why::NoAnswer | Why::Unreachable(_) => true,
                _ => false,
            },
        }
    }
}

// === impl Page ===

impl<'a> Page<'a> {
    /// The objects, as JSON.
    pub(super) fn objects(&self) -> impl Iterator<Item = &'a str> {
        self.items.iter().flatten().map(|object| object.get())
    }

    fn next(&self) -> Option<String> {
        let next = self.metadata.as_ref()?.next.as_deref()?;
        (!next.is_empty()).then(|| next.to_owned())
    }

    /// How many objects follow, if the API server says so.
    pub(super) fn remaining(&self) -> Option<u64> {
        self.metadata.as_ref()?.remaining_item_count
    }
}
