//! What AWS has to know: the role's trust policy, and for Pod Identity the association.
//!
//! IRSA: the role trusts the cluster's issuer, which is an OIDC provider in the role's own account,
//! for this account and this audience (EKS User Guide, "Assign IAM roles to Kubernetes service
//! accounts"). Pod Identity: the role trusts EKS, which tags the session (EKS User Guide, "Create
//! IAM role with trust policy required by EKS Pod Identity"). What is not known is an upper-case
//! word to be filled in, and said.

use serde_json::json;

use crate::identity::Method;

use super::Case;
use super::explanation::Trust;
use super::facts::Issuer;

// === impl Case ===

impl Case<'_> {
    pub(super) fn trust(&self) -> Option<Trust> {
        let identity = self.decision.identity.as_ref()?;
        let (namespace, account) = (self.facts.subject.namespace, self.facts.account.name);
        let mut unknown = Vec::new();
        Some(match &identity.method {
            Method::WebIdentity { role, audience, .. } => {
                let (issuer, host) = match &self.facts.issuer {
                    Issuer::Given(issuer) | Issuer::Discovered(issuer) => {
                        (Some(issuer.to_string()), without_scheme(issuer))
                    }
                    Issuer::Unknown(why) => {
                        unknown.push(format!("ISSUER: {why}; give it with --issuer"));
                        (None, "ISSUER")
                    }
                };
                let (partition, owner) = role.partition_and_account().unwrap_or_else(|| {
                    unknown.push("ACCOUNT: the role's ARN does not tell; correct it".to_owned());
                    ("aws", "ACCOUNT")
                });
                let provider = format!("arn:{partition}:iam::{owner}:oidc-provider/{host}");
                let subject = format!("system:serviceaccount:{namespace}:{account}");
                let policy = json!({
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Effect": "Allow",
                        "Principal": { "Federated": provider },
                        "Action": "sts:AssumeRoleWithWebIdentity",
                        "Condition": { "StringEquals": {
                            format!("{host}:sub"): subject,
                            format!("{host}:aud"): audience.value,
                        }},
                    }],
                });
                Trust {
                    policy,
                    provider: Some(provider),
                    issuer,
                    subject: Some(subject),
                    audience: audience.value.to_owned(),
                    association: None,
                    unknown,
                }
            }
            Method::ContainerCredentials => Trust {
                policy: json!({
                    "Version": "2012-10-17",
                    "Statement": [{
                        "Effect": "Allow",
                        "Principal": { "Service": "pods.eks.amazonaws.com" },
                        "Action": ["sts:AssumeRole", "sts:TagSession"],
                    }],
                }),
                provider: None,
                issuer: None,
                subject: None,
                audience: self.settings.container_credentials.audience.to_string(),
                association: Some(format!(
                    "aws eks create-pod-identity-association --cluster-name CLUSTER \
                     --namespace {namespace} --service-account {account} --role-arn ROLE"
                )),
                unknown: vec![
                    "CLUSTER and ROLE: only EKS knows which role an association names".to_owned(),
                ],
            },
        })
    }
}

/// The issuer as IAM writes it.
fn without_scheme(issuer: &str) -> &str {
    issuer.strip_prefix("https://").unwrap_or(issuer)
}
