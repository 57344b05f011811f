//! The Dockerfile against what other files say, and against what an image must not do.

use std::collections::BTreeSet;

use super::{channel, path, quoted, text};

/// The instructions of the Dockerfile: keyword and rest, continued lines joined.
fn instructions() -> Vec<(String, String)> {
    let lines: Vec<_> = text("Dockerfile")
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(str::to_owned)
        .collect();
    lines
        .join("\n")
        .replace("\\\n", " ")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(keyword, rest)| (keyword.to_owned(), rest.to_owned()))
        .collect()
}

/// What stands behind a keyword, each time.
fn all(keyword: &str) -> Vec<String> {
    let ours = |(found, rest): (String, String)| (found == keyword).then_some(rest);
    instructions().into_iter().filter_map(ours).collect()
}

/// The instructions of the last stage: what is shipped.
fn shipped() -> Vec<(String, String)> {
    let all = instructions();
    let from = all.iter().rposition(|(keyword, _)| keyword == "FROM").expect("a stage");
    all[from..].to_vec()
}

/// The value of a label of the image.
pub(super) fn label(name: &str) -> String {
    let labels = all("LABEL").concat();
    let (_, rest) = labels
        .split_once(&format!("{name}=\""))
        .unwrap_or_else(|| panic!("the image has no label {name}"));
    rest.split('"').next().unwrap_or_default().to_owned()
}

#[test]
fn the_image_is_built_by_the_pinned_compiler_from_pinned_images() {
    let channel = channel();
    let bases: Vec<_> = all("ARG")
        .into_iter()
        .filter(|arg| arg.split('=').next().unwrap().ends_with("_IMAGE"))
        .collect();
    assert_eq!(bases.len(), 1, "{bases:?}");
    assert!(bases[0].contains(&format!("/rust:{channel}-")), "{bases:?} is not Rust {channel}");
    let (_, digest) = bases[0].split_once("@sha256:").expect("the base image has a digest");
    assert!(digest.len() == 64 && digest.chars().all(|c| c.is_ascii_hexdigit()), "{digest}");
    assert_eq!(all("ENV"), [format!("RUSTUP_TOOLCHAIN={channel}")]);

    let stages: BTreeSet<_> =
        all("FROM").iter().filter_map(|from| Some(from.split_once(" AS ")?.1.to_owned())).collect();
    for from in all("FROM") {
        let image = from.split(' ').find(|word| !word.starts_with("--")).unwrap_or_default();
        assert!(
            ["${RUST_IMAGE}", "scratch"].contains(&image) || stages.contains(image),
            "{from}: give another image by an argument with a digest"
        );
    }
    assert!(!text("Dockerfile").contains(":latest"));
}

#[test]
fn the_image_is_one_static_program_on_nothing_run_by_nobody() {
    let shipped = shipped();
    assert_eq!(shipped[0], ("FROM".to_owned(), "scratch".to_owned()));
    let of = |keyword: &str| -> Vec<_> {
        shipped
            .iter()
            .filter(|(found, _)| found == keyword)
            .map(|(_, rest)| rest.as_str())
            .collect()
    };
    assert_eq!(of("USER"), ["65534:65534"], "a number: Kubernetes cannot judge a name");
    assert_eq!(of("ENTRYPOINT"), [r#"["/pod-identity-webhook"]"#], "no shell, and args follow");
    let cas = "--from=compiler /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/";
    assert_eq!(of("COPY"), [cas, "--from=binary /image/ /"]);
    for keyword in ["RUN", "CMD", "ENV", "ADD", "VOLUME"] {
        assert!(of(keyword).is_empty(), "{keyword} has no use in an image of one program");
    }
    let made = all("RUN").concat();
    assert!(made.contains("target-feature=+crt-static"));
    assert!(made.contains("ln --symbolic pod-identity-webhook /image/webhook"), "/webhook answers");
    for build in made.split("cargo ").filter(|part| part.contains("build --release")) {
        assert!(build.starts_with("auditable build --release --locked "), "{build}");
    }
}

#[test]
fn the_labels_of_the_image_are_what_cargo_says() {
    let cargo = text("Cargo.toml");
    for (name, key) in [("title", "name"), ("description", "description"), ("licenses", "license")]
    {
        let said = quoted(&cargo, &format!("{key} = "));
        assert_eq!(Some(label(&format!("org.opencontainers.image.{name}"))), said, "{name}");
    }
    for name in ["revision", "source"] {
        let label = label(&format!("org.opencontainers.image.{name}"));
        assert_eq!(label, format!("${}", name.to_uppercase()), "an argument of the build");
    }
}

/// Neither `target` nor `.git` is sent to the builder, and nothing that is copied is left out.
#[test]
fn what_the_image_is_made_of_is_exactly_what_the_builder_is_sent() {
    let ignore = text(".dockerignore");
    let lines: Vec<_> = ignore.lines().filter(|line| !line.starts_with('#')).collect();
    let [everything, sent @ ..] = lines.as_slice() else { panic!("empty") };
    assert_eq!(*everything, "*", "everything is left out, but for what follows");
    let sent: BTreeSet<_> = sent
        .iter()
        .map(|line| line.strip_prefix('!').expect("only exceptions").to_owned())
        .collect();
    let mut copied = BTreeSet::new();
    for copy in all("COPY").iter().filter(|copy| !copy.starts_with("--from=")) {
        let words: Vec<_> = copy.split(' ').collect();
        let (_, sources) = words.split_last().expect("sources and a target");
        copied.extend(sources.iter().map(|&source| source.to_owned()));
    }
    assert_eq!(sent, copied, ".dockerignore and Dockerfile");
    let members = text("Cargo.toml");
    let (_, members) = members.split_once("\nmembers = [").expect("a workspace");
    for member in members.split(']').next().unwrap_or_default().split(',') {
        let manifest = format!("{}/Cargo.toml", member.trim().trim_matches('"'));
        assert!(copied.contains(&manifest), "cargo needs {manifest} to read the workspace");
    }
    for name in copied {
        assert!(path(&name).exists(), "{name} is not there");
    }
}
