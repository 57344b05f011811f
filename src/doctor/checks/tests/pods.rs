//! Pods that run.

use super::*;

#[test]
fn pods_that_their_own_labels_exclude_are_noted() {
    let mut observed = healthy();
    if let Ok(pods) = &mut observed.pods {
        pods.unlabelled = vec!["shop/a".to_owned(), "shop/b".to_owned()];
    }
    says(&observed, "missed-pods", Mark::Note, "2 running Pods with an identity have labels");
}

#[test]
fn the_agent_must_be_ready_where_a_pod_needs_it() {
    let with = |nodes: &[&str], sets: &[&str]| {
        let mut observed = healthy();
        if let Ok(pods) = &mut observed.pods {
            pods.agents_needed = [("node-1".into(), 2), ("node-2".into(), 1)].into();
        }
        observed.agent = Ok(Agent {
            daemon_sets: sets.iter().map(|set| (*set).to_owned()).collect(),
            nodes: nodes.iter().map(|node| (*node).into()).collect(),
        });
        observed
    };
    says(&healthy(), "agent", Mark::Nothing, "no running Pod uses Pod Identity");
    says(&with(&[], &[]), "agent", Mark::Finding, "there is no Pod Identity agent");
    let half = with(&["node-1"], &["-n kube-system eks-pod-identity-agent"]);
    says(&half, "agent", Mark::Finding, "ready on node-2, where 1 running Pod");
    says(&with(&["node-1", "node-2"], &[]), "agent", Mark::Passed, "ready on 2 nodes");
}
