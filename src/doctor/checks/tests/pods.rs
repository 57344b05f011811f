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

/// Identities that a document gives which nobody can read are not passed over.
#[test]
fn pods_whose_identity_or_webhook_is_not_known_are_not_passed() {
    let with = |mappings, credentials| Observed {
        documents: Documents { mappings, credentials, ..Documents::NONE },
        ..healthy()
    };
    let refused = Document::Unseen(forbidden("configmaps"));
    for (observed, why) in [
        (with(refused, Document::Unused), "by the mappings ConfigMap: cannot list configmaps"),
        (with(Document::Unused, Document::OutOfSight), "by the container-credentials file: it is"),
    ] {
        for id in ["missed-pods", "shadowing", "containers", "agent"] {
            let lines = lines(&observed, id);
            assert!(lines[0].mark <= Mark::Nothing, "{lines:#?}");
            let unseen = lines[1].mark == Mark::NotLookedAt && lines[1].text.contains(why);
            assert!(unseen, "{lines:#?}");
        }
    }
    let mut observed = healthy();
    if let Ok(pods) = &mut observed.pods {
        let (pod, lacks) = ("shop/a".to_owned(), Some(Verdict::Missing));
        pods.seen.push(Seen { pod, lacks, warnings: Vec::new() });
    }
    says(&observed, "missed-pods", Mark::Finding, "1 running Pod without the identity of now");
    observed.namespaces = Err(forbidden("namespaces"));
    says(
        &observed,
        "missed-pods",
        Mark::NotLookedAt,
        "whether the webhook is called for 1 running",
    );
    let mut observed = healthy();
    if let Ok(pods) = &mut observed.pods {
        pods.unread = 2;
    }
    let told = lines(&observed, "missed-pods");
    assert_eq!(told[1], Line::not_looked_at("2 running Pods, which cannot be read"));
}
