//! No value of a variable is ever told, whatever it is called and whatever is wrong.

use std::fs;

use super::{explain, text};

/// Stands in every value that nobody may repeat.
const MARKER: &str = "a-secret-of-theirs";

/// Every variable that explains anything, each with the marker.
const NAMES: [&str; 19] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_PROFILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_REGION",
    "AWS_ROLE_SESSION_NAME",
    "AWS_STS_REGIONAL_ENDPOINTS",
    "HTTP_PROXY",
    "DATABASE_PASSWORD",
    "X",
];

/// field.md N4.
#[test]
fn no_value_of_a_variable_is_told() {
    let folder = tempfile::TempDir::new().unwrap();
    let all: Vec<_> = NAMES.iter().map(|name| variable(name)).collect();
    let mut containers = vec![format!("  - name: all\n    env: [{}]\n", all.join(", "))];
    containers.extend(NAMES.iter().enumerate().map(|(at, name)| {
        format!(
            "  - name: c-{at}\n    env: [{}]\n    args: [{MARKER}]\n    command: [{MARKER}]\n",
            variable(name)
        )
    }));
    let mut seen = 0;
    for annotation in
        ["role-arn: arn:aws:iam::111122223333:role/web", "pod-identity: 'true'", "x: y"]
    {
        for created in ["", "  creationTimestamp: '2026-01-02T03:04:05Z'\n"] {
            let documents = format!(
                "kind: ServiceAccount\nmetadata:\n  name: web\n  annotations: {{eks.amazonaws.com/{annotation}}}\n\
                 ---\nkind: Pod\nmetadata:\n  name: web\n{created}spec:\n  serviceAccountName: web\n  \
                 initContainers:\n{}  containers:\n{}",
                containers[0].replace("all", "init"),
                containers.concat(),
            );
            fs::write(folder.path().join("pod.yaml"), documents).unwrap();
            for form in ["text", "json"] {
                let output = explain(folder.path(), &["-f", "pod.yaml", "--output", form]);
                let told = format!("{}{}", text(&output.stdout), text(&output.stderr));
                assert!(told.contains("web"), "{told}");
                assert!(!told.contains(MARKER), "{annotation}, {created:?}, {form}: {told}");
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 12);
}

fn variable(name: &str) -> String {
    format!("{{name: {name}, value: {MARKER}}}")
}
