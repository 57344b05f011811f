//! What stands at our volume's name, or at the token's path.

use serde_json::json;

use super::Compared::{In, Refused, Same};
use super::Difference;
use crate::peer::sketch::{LISTED, Path, WEB};

pub(super) const DIFFERENCES: [Difference; 11] = [
    Difference {
        name: "volume-name-taken",
        why: "O2: mounts whatever has its volume's name",
        account: WEB,
        alter: |sketch| {
            sketch.own_volume("aws-iam-token");
        },
        alone: [In(&["app.volumeMounts", "volumes"]); 2],
        ours_first: [Refused("must be unique"), Same],
        peer_first: [In(&["app.volumeMounts", "volumes"]); 2],
    },
    Difference {
        name: "volume-name-taken-listed",
        why: "O2, by Pod Identity",
        account: LISTED,
        alter: |sketch| {
            sketch.own_volume("eks-pod-identity-token");
        },
        alone: [In(&["app.volumeMounts", "volumes"]); 2],
        ours_first: [Refused("must be unique"), Same],
        peer_first: [In(&["app.volumeMounts", "volumes"]); 2],
    },
    Difference {
        name: "volume-of-another-audience",
        why: "O2: what has its volume's name is another token",
        account: WEB,
        alter: |sketch| {
            sketch.token_volume("aws-iam-token", "another.example");
        },
        alone: [In(&["app.volumeMounts", "volumes"]); 2],
        ours_first: [Refused("must be unique"), Same],
        peer_first: [In(&["app.volumeMounts", "volumes"]); 2],
    },
    Difference {
        name: "path-taken",
        why: "O3: mounts a second volume at the same path",
        account: WEB,
        alter: |sketch| {
            sketch.own_volume("own").mount("own", Path::WebIdentity.mount_path());
        },
        alone: [Refused("must be unique"); 2],
        ours_first: [Refused("must be unique"); 2],
        peer_first: [Refused("must be unique"); 2],
    },
    Difference {
        name: "path-taken-listed",
        why: "O3, by Pod Identity",
        account: LISTED,
        alter: |sketch| {
            sketch.own_volume("own").mount("own", Path::ContainerCredentials.mount_path());
        },
        alone: [Refused("must be unique"); 2],
        ours_first: [Refused("must be unique"); 2],
        peer_first: [Refused("must be unique"); 2],
    },
    Difference {
        name: "path-taken-with-a-slash",
        why: "O3: sees another path in the same one with a slash behind it",
        account: WEB,
        alter: |sketch| {
            sketch.own_volume("own").mount("own", &format!("{}/", Path::WebIdentity.mount_path()));
        },
        alone: [In(&["app.env", "app.volumeMounts", "volumes"]); 2],
        ours_first: [In(&["app.env", "app.volumeMounts", "volumes"]); 2],
        peer_first: [In(&["app.env", "app.volumeMounts", "volumes"]); 2],
    },
    Difference {
        name: "path-taken-by-a-device",
        why: "O3: sees no devices",
        account: WEB,
        alter: |sketch| {
            let claim = json!({ "name": "disk", "persistentVolumeClaim": { "claimName": "disk" } });
            let path = Path::WebIdentity.mount_path();
            sketch.push("volumes", claim);
            sketch.push_to_app("volumeDevices", json!({ "name": "disk", "devicePath": path }));
        },
        alone: [Refused("must not already exist as a path in volumeDevices"); 2],
        ours_first: [Refused("must not already exist as a path in volumeDevices"); 2],
        peer_first: [Refused("must not already exist as a path in volumeDevices"); 2],
    },
    Difference {
        name: "by-hand",
        why: "O3 and Δ, the volume is known by what it is: injected by hand under another name",
        account: WEB,
        alter: |sketch| {
            let audience = sketch.audience();
            sketch.token_volume("token", audience).mount("token", Path::WebIdentity.mount_path());
        },
        alone: [Refused("must be unique"); 2],
        ours_first: [Refused("must be unique"), In(&["volumes"])],
        peer_first: [Refused("must be unique"); 2],
    },
    Difference {
        name: "by-hand-unmounted",
        why: "Δ, the volume is known by what it is: there under another name, not mounted",
        account: WEB,
        alter: |sketch| {
            let audience = sketch.audience();
            sketch.token_volume("token", audience);
        },
        alone: [In(&["app.volumeMounts", "volumes"]); 2],
        ours_first: [Refused("must be unique"), In(&["volumes"])],
        peer_first: [In(&["app.volumeMounts", "volumes"]); 2],
    },
    Difference {
        name: "mounted-elsewhere",
        why: "Δ, a mount counts at our path only: takes the volume's mount elsewhere for its own",
        account: WEB,
        alter: |sketch| {
            let audience = sketch.audience();
            sketch.token_volume("aws-iam-token", audience).mount("aws-iam-token", "/elsewhere");
        },
        alone: [In(&["app.volumeMounts"]); 2],
        ours_first: [Same; 2],
        peer_first: [Same; 2],
    },
    Difference {
        name: "sub-path",
        why: "Δ, a mount counts without subPath: takes a part of the volume for all of it",
        account: WEB,
        alter: |sketch| {
            let audience = sketch.audience();
            let mount = json!({
                "name": "aws-iam-token",
                "mountPath": Path::WebIdentity.mount_path(),
                "subPath": "token",
            });
            sketch.token_volume("aws-iam-token", audience).push_to_app("volumeMounts", mount);
        },
        alone: [In(&["app.env"]); 2],
        ours_first: [In(&["app.env"]); 2],
        peer_first: [In(&["app.env"]); 2],
    },
];
