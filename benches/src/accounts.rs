//! ServiceAccounts in the API server, in thousands.
//!
//! Every account is annotated; one in ten has the annotation of [`TENTH`] as well, so that a
//! webhook that is started with that prefix meets the same accounts with one in ten annotated.

use anyhow::{Context, Result};
use cluster::ControlPlane;
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::{
    Api, Client,
    api::{Patch, PatchParams, PostParams},
};
use serde_json::json;

use crate::review::NAMESPACE;

/// The prefix by which one account in ten has a role.
pub(crate) const TENTH: &str = "tenth.example";

/// How many requests are under way at once.
const LANES: usize = 16;

/// How many accounts a namespace has.
const PER_NAMESPACE: usize = 1_000;

/// The account with a role that direct calls ask about, and the one without.
pub(crate) const WITH_ROLE: &str = "with-role";
pub(crate) const WITHOUT_ROLE: &str = "without-role";

/// The accounts that are there so far.
pub(crate) struct Population {
    client: Client,
    count: usize,
}

/// Whether an account has a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Yes,
    No,
}

// === impl Population ===

impl Population {
    /// None but the two that direct calls ask about.
    pub(crate) async fn begin(plane: &ControlPlane) -> Result<Self> {
        let client = plane.client()?;
        let population = Self { client, count: 0 };
        population.namespace(NAMESPACE).await?;
        population.account(NAMESPACE, WITH_ROLE, Role::Yes).await?;
        population.account(NAMESPACE, WITHOUT_ROLE, Role::No).await?;
        Ok(population)
    }

    /// Adds accounts until there are `count`.
    pub(crate) async fn grow(&mut self, count: usize) -> Result<()> {
        let first = self.count;
        for number in first.div_ceil(PER_NAMESPACE)..count.div_ceil(PER_NAMESPACE) {
            self.namespace(&format!("bench-{number}")).await?;
        }
        stream::iter(first..count)
            .map(|number| {
                let population = &*self;
                async move {
                    let (namespace, name) = name(number);
                    population.account(&namespace, &name, Role::Yes).await
                }
            })
            .buffer_unordered(LANES)
            .try_collect::<Vec<()>>()
            .await?;
        self.count = count;
        Ok(())
    }

    /// Changes the role of every account that is there.
    pub(crate) async fn change(&self, turn: usize) -> Result<()> {
        stream::iter(0..self.count)
            .map(|number| async move {
                let (namespace, name) = name(number);
                let role = format!("arn:aws:iam::111122223333:role/team/{name}-{turn}");
                let patch = json!({"metadata": {"annotations": {
                    "eks.amazonaws.com/role-arn": role,
                }}});
                let accounts: Api<ServiceAccount> =
                    Api::namespaced(self.client.clone(), &namespace);
                accounts.patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await?;
                anyhow::Ok(())
            })
            .buffer_unordered(LANES)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// One more account with a role, in the namespace of direct calls.
    pub(crate) async fn add(&self, name: &str) -> Result<()> {
        self.account(NAMESPACE, name, Role::Yes).await
    }

    async fn namespace(&self, name: &str) -> Result<()> {
        let namespace: Namespace = serde_json::from_value(json!({"metadata": {"name": name}}))?;
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        match namespaces.create(&PostParams::default(), &namespace).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(error).with_context(|| format!("cannot create {name}")),
        }
    }

    async fn account(&self, namespace: &str, name: &str, has: Role) -> Result<()> {
        let role = format!("arn:aws:iam::111122223333:role/team/{name}");
        let mut annotations = serde_json::Map::new();
        if has == Role::Yes {
            annotations.insert("eks.amazonaws.com/role-arn".to_owned(), json!(role));
            if name == WITH_ROLE || name.ends_with('0') || name.starts_with("late") {
                annotations.insert(format!("{TENTH}/role-arn"), json!(role));
            }
        }
        let account: ServiceAccount = serde_json::from_value(json!({"metadata": {
            "name": name,
            "annotations": annotations,
            "labels": {"app.kubernetes.io/name": name, "app.kubernetes.io/managed-by": "Helm"},
        }}))?;
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), namespace);
        accounts
            .create(&PostParams::default(), &account)
            .await
            .with_context(|| format!("cannot create {namespace}/{name}"))?;
        Ok(())
    }
}

fn name(number: usize) -> (String, String) {
    (format!("bench-{}", number / PER_NAMESPACE), format!("app-{number}"))
}
