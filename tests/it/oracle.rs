//! What holds of every reply, and the means to say so: the way from a body to a reply, patches
//! applied twice over, and a Pod with the additions taken out again.
//!
//! A [`World`] answers with the functions that the server answers with. What it is measured by is
//! written here a second time, on purpose: nothing in this file may call `patch`, or know more of a
//! decision than the reply says.

use std::collections::HashMap;

use base64::Engine as _;
use pod_identity_webhook::accounts::{Credentials, Mappings};
use pod_identity_webhook::admission::{self, Endpoint, NotAReview, Review};
use pod_identity_webhook::identity::{Annotations, Guard, Knowledge, RolePolicy, Sources};
use pod_identity_webhook::plan::{self, Decision, Settings, Spread};
use serde_json::{Map, Value};

/// A namespace and a name.
pub(crate) type Name = (String, String);

/// Everything that a decision depends on besides the review.
#[derive(Debug, Default)]
pub(crate) struct World {
    pub(crate) settings: Settings,
    pub(crate) accounts: HashMap<Name, Annotations>,
    /// Why no account can be looked up, if none can.
    pub(crate) outage: Option<&'static str>,
    pub(crate) mappings: Mappings,
    pub(crate) credentials: Credentials,
    pub(crate) role_policy: Option<RolePolicy>,
}

/// A reply, taken apart.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The whole AdmissionReview.
    pub(crate) review: Value,
    /// The patch's operations, if it has a patch.
    pub(crate) patch: Option<Value>,
}

// === impl World ===

impl World {
    /// The bytes with which `body` is answered.
    pub(crate) fn bytes(&self, body: &[u8], endpoint: Endpoint) -> Result<Vec<u8>, NotAReview> {
        let (review, ask) = Review::read(body)?;
        let bytes = match ask {
            Err(error) => admission::answer(&review, &Decision::unreadable(&error), endpoint),
            Ok(ask) => match ask.account() {
                Err(reason) => admission::answer(&review, &Decision::skipped(reason), endpoint),
                Ok(account) => {
                    let sources = self.sources(review.namespace(), account);
                    let spread = Spread::by_request(review.uid());
                    let decision = plan::decide(&ask, &sources, spread, &self.settings);
                    admission::answer(&review, &decision, endpoint)
                }
            },
        };
        Ok(bytes.expect("a reply is text and numbers"))
    }

    /// The reply to `body`, which has to be a review; what every reply owes is asserted.
    pub(crate) fn reply(&self, body: &[u8], endpoint: Endpoint) -> Reply {
        let bytes = self.bytes(body, endpoint).expect("the body is a review");
        let again = self.bytes(body, endpoint).expect("the body is a review");
        assert!(bytes == again, "deciding twice gives two answers");
        let asked: Value = serde_json::from_slice(body).expect("the body is JSON");
        let reply = Reply::of(&bytes);
        reply.owes_what_every_reply_owes(&asked, endpoint);
        reply
    }

    fn sources<'a>(&'a self, namespace: &'a str, account: &str) -> Sources<'a> {
        let name = (namespace.to_owned(), account.to_owned());
        Sources {
            credentials_file: self.credentials.listed(namespace, account),
            account: match (self.outage, self.accounts.get(&name)) {
                (Some(why), _) => Knowledge::Unknown(why),
                (None, Some(annotations)) => Knowledge::Known(annotations),
                (None, None) => Knowledge::Absent,
            },
            mapping: self.mappings.find(namespace, account).map(AsRef::as_ref),
            guard: self.role_policy.as_ref().map(|policy| Guard { policy, namespace }),
        }
    }
}

// === impl Reply ===

impl Reply {
    fn of(bytes: &[u8]) -> Self {
        let review: Value = serde_json::from_slice(bytes).expect("a reply is JSON");
        let patch = review["response"].get("patch").map(|patch| {
            let text = patch.as_str().expect("a patch is text");
            let operations = base64::engine::general_purpose::STANDARD.decode(text);
            serde_json::from_slice(&operations.expect("a patch is base64")).expect("and JSON")
        });
        Self { review, patch }
    }

    pub(crate) fn response(&self) -> &Value {
        &self.review["response"]
    }

    pub(crate) fn allowed(&self) -> bool {
        self.response()["allowed"].as_bool().expect("a reply says whether it allows")
    }

    /// The reply without what is said elsewhere: the uid is the request's, the patch has a file.
    pub(crate) fn rest(&self) -> Value {
        let mut rest = self.response().clone();
        let members = rest.as_object_mut().expect("a response is an object");
        for said in ["uid", "patch", "patchType"] {
            members.shift_remove(said);
        }
        rest
    }

    fn owes_what_every_reply_owes(&self, asked: &Value, endpoint: Endpoint) {
        let Self { review, patch } = self;
        let response = self.response();
        for member in ["apiVersion", "kind"] {
            assert_eq!(review[member], asked[member], "{member} is echoed");
        }
        assert_eq!(response["uid"], asked["request"]["uid"], "the uid is echoed");
        match patch {
            None => assert_eq!(response.get("patchType"), None, "no patch and no type of it"),
            Some(patch) => {
                assert_eq!(response["patchType"], "JSONPatch");
                assert!(!patch.as_array().expect("a patch is an array").is_empty());
                assert!(self.allowed(), "who refuses has nothing to patch");
            }
        }
        if self.allowed() {
            assert_eq!(response.get("status"), None);
        } else {
            let (code, message) = (&response["status"]["code"], &response["status"]["message"]);
            assert!([400, 403, 503].iter().any(|known| code == known), "{code}");
            assert!(message.as_str().is_some_and(|m| !m.contains(char::is_control)), "{message}");
            let denies = message
                .as_str()
                .is_some_and(|m| m.contains("invalid-role-arn") || m.contains("role-not-allowed"));
            assert!(endpoint == Endpoint::Strict || denies, "refused: {message}");
        }
        let warnings = response.get("warnings").and_then(Value::as_array);
        assert!(warnings.is_none_or(|warnings| (1..=6).contains(&warnings.len())), "{warnings:?}");
        for (index, warning) in warnings.into_iter().flatten().enumerate() {
            let text = warning.as_str().expect("a warning is text");
            assert!(text.chars().count() <= 120, "{text} is long");
            assert!(!text.contains(char::is_control), "{text:?}");
            assert!(!text.to_lowercase().starts_with("warning"), "{text}");
            assert!(index < 5 || text.starts_with("and ") && text.ends_with(" more"), "{text}");
        }
    }
}

/// Checks what holds of every patch: it applies, in two opinions; the Pod that comes of it needs
/// no other; and without the additions it is the Pod that came.
pub(crate) fn check_patch(world: &World, asked: &Value, patch: &Value) {
    let pod = &asked["request"]["object"];
    let patched = apply(pod, patch);
    assert_eq!(
        text(&without_additions(&patched, pod, world)),
        text(pod),
        "the output without the additions is the input"
    );
    check_containers(&patched, pod, world);

    let mut second = asked.clone();
    second["request"]["uid"] = "00000000-0000-4000-8000-000000000002".into();
    second["request"]["object"] = patched;
    let body = serde_json::to_vec(&second).expect("a Value is JSON");
    for endpoint in [Endpoint::Lenient, Endpoint::Strict] {
        let reply = world.reply(&body, endpoint);
        assert_eq!(reply.patch, None, "the second pass finds nothing to do");
    }
}

/// No container is half injected: whoever got a variable has the mount; and a volume or a label is
/// there for somebody.
fn check_containers(output: &Value, input: &Value, world: &World) {
    let Settings { web_identity_mount_path, container_credentials, .. } = &world.settings;
    let ours = [web_identity_mount_path, &container_credentials.mount_path];
    let length =
        |pod: &Value, path: &str| pod.pointer(path).and_then(Value::as_array).map_or(0, Vec::len);
    let mut mounted = Vec::new();
    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for index in 0..length(output, &format!("/spec/{list}")) {
            let at = format!("/spec/{list}/{index}");
            let mounts = output.pointer(&format!("{at}/volumeMounts")).and_then(Value::as_array);
            let tokens: Vec<_> = mounts
                .into_iter()
                .flatten()
                .filter(|mount| {
                    let path = mount["mountPath"].as_str().unwrap_or_default();
                    ours.iter().any(|ours| path.trim_end_matches('/') == ours.trim_end_matches('/'))
                })
                .map(|mount| &mount["name"])
                .collect();
            let env = format!("{at}/env");
            let got = length(output, &env) > length(input, &env);
            assert!(!got || !tokens.is_empty(), "{at} has variables and no token");
            mounted.extend(tokens);
        }
    }
    if length(output, "/spec/volumes") > length(input, "/spec/volumes") {
        let volume = &output["spec"]["volumes"][0]["name"];
        assert!(mounted.contains(&volume), "nobody mounts {volume}");
    }
    if output["metadata"]["labels"] != input["metadata"]["labels"] {
        assert!(!mounted.is_empty(), "a label for nobody");
    }
}

/// The Pod with the patch applied, as json-patch has it and as we have it.
fn apply(pod: &Value, patch: &Value) -> Value {
    let mut theirs = pod.clone();
    let operations: json_patch::Patch =
        serde_json::from_value(patch.clone()).expect("the operations are RFC 6902's");
    json_patch::patch(&mut theirs, &operations).expect("the patch applies");
    let mut ours = pod.clone();
    for operation in patch.as_array().expect("a patch is an array") {
        let members: Vec<_> = operation.as_object().expect("an operation").keys().collect();
        assert_eq!(members, ["op", "path", "value"]);
        assert_eq!(operation["op"], "add", "a patch only adds");
        let pointer = operation["path"].as_str().expect("a path is text");
        add(&mut ours, pointer, operation["value"].clone()).expect("the patch applies");
    }
    assert_eq!(text(&ours), text(&theirs), "two ways to apply a patch agree");
    ours
}

/// RFC 6902, section 4.1, on the pointers of RFC 6901.
fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let fail = || format!("nothing can be added at {path}");
    let (parent, last) = path.rsplit_once('/').ok_or_else(fail)?;
    let mut target = document;
    for token in parent.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        target = match target {
            Value::Object(members) => members.get_mut(&token),
            Value::Array(elements) => {
                token.parse::<usize>().ok().and_then(|at| elements.get_mut(at))
            }
            _ => None,
        }
        .ok_or_else(fail)?;
    }
    let last = last.replace("~1", "/").replace("~0", "~");
    match target {
        Value::Object(members) => {
            members.insert(last, value);
        }
        Value::Array(elements) if last == "-" => elements.push(value),
        Value::Array(elements) => match last.parse::<usize>() {
            Ok(at) if at <= elements.len() => elements.insert(at, value),
            _ => return Err(fail()),
        },
        _ => return Err(fail()),
    }
    Ok(())
}

const VARIABLES: [&str; 8] = [
    "AWS_STS_REGIONAL_ENDPOINTS",
    "AWS_DEFAULT_REGION",
    "AWS_REGION",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_ROLE_SESSION_NAME",
];

/// `output` without what may be added to `input`: one volume in front, variables of ours behind
/// those of a container, one mount behind its mounts, and one label. The patch is not asked.
fn without_additions(output: &Value, input: &Value, world: &World) -> Value {
    let mut rest = output.clone();
    let length = |value: Option<&Value>| value.and_then(Value::as_array).map_or(0, Vec::len);

    if let Some(volumes) = rest.pointer_mut("/spec/volumes").and_then(Value::as_array_mut) {
        let before = length(input.pointer("/spec/volumes"));
        assert!(volumes.len() <= before + 1, "at most one volume is added");
        if volumes.len() > before {
            let volume = volumes.remove(0);
            let sources = volume["projected"]["sources"].as_array().expect("a projected volume");
            let [source] = sources.as_slice() else { panic!("one source: {volume}") };
            let token: Vec<_> =
                source["serviceAccountToken"].as_object().expect("a token").keys().collect();
            assert_eq!(token, ["audience", "expirationSeconds", "path"]);
        }
    }
    restore_missing(&mut rest, input, "/spec", "volumes");

    for list in ["initContainers", "containers", "ephemeralContainers"] {
        for index in 0..length(input.pointer(&format!("/spec/{list}"))) {
            let at = format!("/spec/{list}/{index}");
            let added = behind(&mut rest, input, &format!("{at}/env"));
            for variable in added {
                let name = variable["name"].as_str().expect("a variable has a name");
                assert!(VARIABLES.contains(&name), "{name} is none of ours");
            }
            restore_missing(&mut rest, input, &at, "env");
            let added = behind(&mut rest, input, &format!("{at}/volumeMounts"));
            assert!(added.len() <= 1, "at most one mount is added");
            for mount in added {
                assert_eq!(mount.as_object().map(Map::len), Some(3));
                assert_eq!(mount["readOnly"], true);
                let path = mount["mountPath"].as_str().expect("a mount has a path");
                let Settings { web_identity_mount_path, container_credentials, .. } =
                    &world.settings;
                assert!(
                    [web_identity_mount_path, &container_credentials.mount_path]
                        .iter()
                        .any(|ours| ***ours == *path)
                );
            }
            restore_missing(&mut rest, input, &at, "volumeMounts");
        }
    }

    let label = "eks.amazonaws.com/pod-identity";
    if input["metadata"]["labels"].get(label).is_none()
        && let Some(labels) = rest.pointer_mut("/metadata/labels").and_then(Value::as_object_mut)
    {
        let added = labels.shift_remove(label);
        assert!(added.is_none_or(|value| value == "enabled"));
    }
    restore_missing(&mut rest, input, "/metadata", "labels");
    restore_missing(&mut rest, input, "", "metadata");
    rest
}

/// Takes out what stands at `path` behind the elements that stood there before.
fn behind(rest: &mut Value, input: &Value, path: &str) -> Vec<Value> {
    let before = input.pointer(path).and_then(Value::as_array).map_or(0, Vec::len);
    match rest.pointer_mut(path).and_then(Value::as_array_mut) {
        Some(list) if list.len() > before => list.split_off(before),
        _ => Vec::new(),
    }
}

/// Makes a list or map that is empty by now what it was before: `null`, or not there.
fn restore_missing(rest: &mut Value, input: &Value, parent: &str, member: &str) {
    let is_empty = |value: &Value| {
        value.as_array().is_some_and(Vec::is_empty) || value.as_object().is_some_and(Map::is_empty)
    };
    let before = input.pointer(parent).and_then(|parent| parent.get(member));
    let Some(members) = rest.pointer_mut(parent).and_then(Value::as_object_mut) else { return };
    match (before, members.get(member)) {
        (None, Some(now)) if is_empty(now) => {
            members.shift_remove(member);
        }
        (Some(Value::Null), Some(now)) if is_empty(now) => {
            members.insert(member.to_owned(), Value::Null);
        }
        _ => {}
    }
}

/// JSON for people, so that differences are lines and the order counts.
pub(crate) fn text(value: &Value) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).expect("a Value is JSON"))
}
