//! Accounts and mappings that the two read differently.

use serde_json::{Value, json};

use super::Compared::{In, Refused, Same};
use super::containers::SKIPS;
use super::{Account, Difference};
use crate::peer::sketch::{LISTED_ROLE, ROLE};

const ANNOTATED: Account = Account::of_nothing("annotated", &[("pod-identity", "true")]);
const ANNOTATED_ROLE: Account =
    Account::of_a_role("annotated-role", &[("pod-identity", "true"), ("role-arn", ROLE)]);
const REGIONAL: Account =
    Account::of_a_role("regional", &[("role-arn", ROLE), ("region", "ap-south-1")]);
const GLOBBED: Account = Account::of_a_role("globbed", &[]);
const BARE: Account = Account::of_a_role("bare", &[]);
const BRIEF: Account = Account::of_a_role("brief", &[]);
const SETTLED: Account = Account::of_a_role("settled", &[("audience", "custom.example")]);
const BLANK: Account = Account::of_nothing("blank", &[("role-arn", " ")]);

/// The accounts that only a difference needs.
pub(in crate::peer) const ACCOUNTS: [Account; 10] =
    [LISTED_ROLE, ANNOTATED, ANNOTATED_ROLE, REGIONAL, GLOBBED, BARE, BRIEF, SETTLED, BLANK, SKIPS];

/// Their mappings, each in every namespace.
pub(in crate::peer) fn mappings() -> [(&'static str, Value); 3] {
    let mapping = |audience: &str, expiration: u32| {
        json!({
            "RoleARN": ROLE,
            "Audience": audience,
            "UseRegionalSTS": true,
            "TokenExpiration": expiration,
        })
    };
    [
        ("bare", json!({ "RoleARN": ROLE })),
        ("brief", mapping("mapped.example", 300)),
        ("settled", mapping("mapped.example", 5400)),
    ]
}

pub(super) const DIFFERENCES: [Difference; 9] = [
    Difference {
        name: "region-of-the-account",
        why: "Δ: has no annotation region",
        account: REGIONAL,
        alter: |_| {},
        alone: [In(&["app.env"]); 2],
        ours_first: [Same; 2],
        peer_first: [In(&["app.env"]); 2],
    },
    Difference {
        name: "fargate-listed-with-a-role",
        why: "Δ, on Fargate a role wins: gives Pod Identity, for which there is no agent",
        account: LISTED_ROLE,
        alter: |sketch| {
            sketch.pod["spec"]["schedulerName"] = json!("fargate-scheduler");
        },
        alone: [In(&["app.env", "app.volumeMounts", "labels", "volumes"]); 2],
        ours_first: [In(&["app.env", "app.volumeMounts", "labels", "volumes"]); 2],
        peer_first: [In(&["app.env", "app.volumeMounts", "labels", "volumes"]); 2],
    },
    Difference {
        name: "annotated-for-pod-identity",
        why: "Δ: has no annotation pod-identity",
        account: ANNOTATED,
        alter: |_| {},
        alone: [In(&["app.env", "app.volumeMounts", "labels", "volumes"]); 2],
        ours_first: [Same; 2],
        peer_first: [Same; 2],
    },
    Difference {
        name: "annotated-for-both",
        why: "Δ: has no annotation pod-identity, and gives the role",
        account: ANNOTATED_ROLE,
        alter: |_| {},
        alone: [In(&["app.env", "app.volumeMounts", "labels", "volumes"]); 2],
        ours_first: [In(&["app.env", "app.volumeMounts", "volumes"]); 2],
        peer_first: [In(&["app.env", "app.volumeMounts", "volumes"]); 2],
    },
    Difference {
        name: "pattern",
        why: "Δ: knows a whole * for the namespace only",
        account: GLOBBED,
        alter: |_| {},
        alone: [In(&["app.env", "app.volumeMounts", "volumes"]); 2],
        ours_first: [Same; 2],
        peer_first: [Same; 2],
    },
    Difference {
        name: "mapping-without-audience",
        why: "N11: asks for the API server's audience",
        account: BARE,
        alter: |_| {},
        alone: [In(&["volumes"]), In(&["app.env", "volumes"])],
        ours_first: [Same; 2],
        peer_first: [In(&["volumes"]), In(&["app.env", "volumes"])],
    },
    Difference {
        name: "mapping-of-five-minutes",
        why: "N11: has no floor for a mapping's expiration",
        account: BRIEF,
        alter: |_| {},
        alone: [Refused("may not specify a duration less than 10 minutes"); 2],
        ours_first: [Same; 2],
        peer_first: [Refused("may not specify a duration less than 10 minutes"); 2],
    },
    Difference {
        name: "mapping-beside-annotations",
        why: "Δ: the account's annotations beat its mapping",
        account: SETTLED,
        alter: |_| {},
        alone: [In(&["volumes"]); 2],
        ours_first: [Same; 2],
        peer_first: [In(&["volumes"]); 2],
    },
    Difference {
        name: "blank-role",
        why: "section 1: an empty or blank value is an absent one",
        account: BLANK,
        alter: |_| {},
        alone: [In(&["app.env", "app.volumeMounts", "volumes"]); 2],
        ours_first: [In(&["app.env", "app.volumeMounts", "volumes"]); 2],
        peer_first: [In(&["app.env", "app.volumeMounts", "volumes"]); 2],
    },
];
