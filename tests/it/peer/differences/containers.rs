//! Which containers are meant, what they set themselves, and which platform they are for.

use serde_json::json;

use super::Compared::{In, Refused, Same};
use super::{Account, Difference};
use crate::peer::sketch::{LISTED, ROLE, WEB};

/// One whose annotation skips the container `side`.
pub(super) const SKIPS: Account =
    Account::of_a_role("skips", &[("role-arn", ROLE), ("skip-containers", "side")]);

pub(super) const DIFFERENCES: [Difference; 10] = [
    Difference {
        name: "all-variables-set",
        why: "mounts nothing where pair, region and STS are all set; section 2 has the mount come",
        account: WEB,
        alter: |sketch| {
            for name in ["AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_REGION"] {
                sketch.env(name, "of-the-author");
            }
            sketch.env("AWS_STS_REGIONAL_ENDPOINTS", "regional");
        },
        alone: [In(&["app.volumeMounts"]); 2],
        ours_first: [Same; 2],
        peer_first: [Same; 2],
    },
    Difference {
        name: "all-skipped",
        why: "Δ, the volume is for a container that uses it",
        account: WEB,
        alter: |sketch| {
            sketch.annotate("skip-containers", "app");
        },
        alone: [In(&["volumes"]); 2],
        ours_first: [In(&["volumes"]); 2],
        peer_first: [In(&["volumes"]); 2],
    },
    Difference {
        name: "all-skipped-listed",
        why: "N2 and Δ, volume and label are for a container that uses them",
        account: LISTED,
        alter: |sketch| {
            sketch.annotate("skip-containers", "app");
        },
        alone: [In(&["labels", "volumes"]); 2],
        ours_first: [In(&["labels", "volumes"]); 2],
        peer_first: [In(&["labels", "volumes"]); 2],
    },
    Difference {
        name: "skipped-with-spaces",
        why: "N26: a space behind the comma is a part of the name",
        account: WEB,
        alter: |sketch| {
            sketch.push("containers", json!({ "name": "side", "image": "side" }));
            sketch.annotate("skip-containers", "who, side");
        },
        alone: [In(&["side.env", "side.volumeMounts"]); 2],
        ours_first: [In(&["side.env", "side.volumeMounts"]); 2],
        peer_first: [In(&["side.env", "side.volumeMounts"]); 2],
    },
    Difference {
        name: "skipped-by-the-account",
        why: "O4, Δ: knows skip-containers on the Pod only",
        account: SKIPS,
        alter: |sketch| {
            sketch.push("containers", json!({ "name": "side", "image": "side" }));
        },
        alone: [In(&["side.env", "side.volumeMounts"]); 2],
        ours_first: [In(&["side.env", "side.volumeMounts"]); 2],
        peer_first: [In(&["side.env", "side.volumeMounts"]); 2],
    },
    Difference {
        name: "included",
        why: "Δ: has no include-containers",
        account: WEB,
        alter: |sketch| {
            sketch.push("containers", json!({ "name": "side", "image": "side" }));
            sketch.annotate("include-containers", "app");
        },
        alone: [In(&["side.env", "side.volumeMounts"]); 2],
        ours_first: [In(&["side.env", "side.volumeMounts"]); 2],
        peer_first: [In(&["side.env", "side.volumeMounts"]); 2],
    },
    Difference {
        name: "windows-by-os",
        why: "Δ: sees Windows in the node selector only",
        account: WEB,
        alter: |sketch| {
            sketch.pod["spec"]["os"] = json!({ "name": "windows" });
        },
        alone: [In(&["app.env"]); 2],
        ours_first: [Same; 2],
        peer_first: [In(&["app.env"]); 2],
    },
    Difference {
        name: "windows-by-affinity",
        why: "Δ: sees Windows in the node selector only",
        account: WEB,
        alter: |sketch| {
            let windows = json!([
                { "key": "kubernetes.io/os", "operator": "In", "values": ["windows"] },
            ]);
            let terms = json!([{ "matchExpressions": windows }]);
            let required = json!({ "nodeSelectorTerms": terms });
            sketch.pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"] =
                required;
        },
        alone: [In(&["app.env"]); 2],
        ours_first: [Same; 2],
        peer_first: [In(&["app.env"]); 2],
    },
    Difference {
        name: "label-of-the-author",
        why: "Δ: overwrites another value of the label",
        account: LISTED,
        alter: |sketch| {
            let label = json!({ "eks.amazonaws.com/pod-identity": "of-the-author" });
            sketch.pod["metadata"]["labels"] = label;
        },
        alone: [In(&["labels"]); 2],
        ours_first: [In(&["labels"]); 2],
        peer_first: [In(&["labels"]); 2],
    },
    Difference {
        name: "beyond-the-ceiling",
        why: "section 1: an expiration has a ceiling, over which the API server refuses it",
        account: WEB,
        alter: |sketch| {
            sketch.annotate("token-expiration", "4294967297");
        },
        alone: [Refused("may not specify a duration larger than 2^32 seconds"); 2],
        ours_first: [Same; 2],
        peer_first: [Refused("may not specify a duration larger than 2^32 seconds"); 2],
    },
];
