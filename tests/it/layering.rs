//! The wall between the modules: what each may name, of ours and of others, as a table.
//!
//! Sources are parsed, not searched: paths in use trees, in code, in attributes and inside macros
//! count, `super` and `self` are resolved, and what is compiled for tests alone does not count.
//! Files are found as the compiler finds them, by `mod`. A module that is not there fails nothing;
//! one that is there and not in the table does.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Attribute, Item, ItemMod, UseTree};

/// What a module may name.
struct Wall {
    module: &'static str,
    /// The modules of ours besides itself.
    ours: &'static [&'static str],
    others: Others,
}

/// The crates, and the parts of the standard library, that a module may name.
enum Others {
    /// These crates and no others, and nothing of [`EFFECTS`]: the pure core.
    Only(&'static [&'static str]),
    /// All but these.
    AllBut(&'static [&'static str]),
}

/// What the pure core does not touch: clocks, randomness, files, sockets, threads, the environment.
const EFFECTS: [&str; 11] = [
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::os",
    "std::process",
    "std::sync",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "std::time::*",
];

const KUBE: [&str; 2] = ["kube", "k8s_openapi"];

use Others::{AllBut, Only};

const WALLS: &[Wall] = &[
    // The pure core.
    Wall { module: "identity", ours: &[], others: Only(&["serde", "thiserror"]) },
    Wall { module: "pod", ours: &[], others: Only(&["serde", "serde_json", "thiserror"]) },
    Wall { module: "plan", ours: &["identity", "pod"], others: Only(&["fnv", "thiserror"]) },
    Wall { module: "patch", ours: &["plan"], others: Only(&["serde"]) },
    Wall {
        module: "explain",
        ours: &["drift", "identity", "plan", "pod", "sentence"],
        others: Only(&["anstyle", "jiff", "serde", "serde_json", "textwrap"]),
    },
    Wall { module: "drift", ours: &["identity", "plan", "pod"], others: Only(&[]) },
    Wall {
        module: "admission",
        ours: &["identity", "patch", "plan", "pod", "sentence"],
        others: Only(&["base64", "serde", "serde_json", "thiserror"]),
    },
    // The edges.
    Wall {
        module: "cli",
        ours: &["authority", "duration", "identity", "plan", "telemetry", "version"],
        others: AllBut(&[
            "axum",
            "hyper",
            "json_patch",
            "k8s_openapi",
            "kube",
            "rustls",
            "std::env::var",
            "std::env::vars",
            "std::fs",
            "tokio",
            "tracing::debug",
            "tracing::error",
            "tracing::event",
            "tracing::info",
            "tracing::instrument",
            "tracing::span",
            "tracing::trace",
            "tracing::warn",
        ]),
    },
    Wall {
        module: "accounts",
        ours: &["identity", "policy", "sentence", "telemetry"],
        others: AllBut(&["axum", "clap", "json_patch", "rustls", "tokio_rustls"]),
    },
    // The file of the role policy, which `identity` judges by.
    Wall {
        module: "policy",
        ours: &["documents", "identity", "telemetry"],
        others: AllBut(&[
            "axum",
            "clap",
            "hyper",
            "json_patch",
            "k8s_openapi",
            "kube",
            "rustls",
            "tokio_rustls",
        ]),
    },
    // Pure as well, but for the types of time and randomness in keys.
    Wall {
        module: "authority",
        ours: &[],
        others: AllBut(&[
            "axum",
            "clap",
            "hyper",
            "k8s_openapi",
            "kube",
            "std::env",
            "std::fs",
            "std::net",
            "tokio",
            "tracing",
        ]),
    },
    Wall {
        module: "certificate",
        ours: &["authority", "keeper"],
        others: AllBut(&["axum", "clap", "hyper", "k8s_openapi", "tracing"]),
    },
    // The Kubernetes edge of certificates.
    Wall {
        module: "keeper",
        ours: &["authority", "sentence", "telemetry", "tls"],
        others: AllBut(&["axum", "clap", "hyper", "rustls"]),
    },
    // Events on the owners of refused Pods.
    Wall {
        module: "events",
        ours: &["identity", "sentence", "telemetry"],
        others: AllBut(&["axum", "clap", "hyper", "json_patch", "rustls", "tokio_rustls"]),
    },
    Wall {
        module: "http",
        ours: &[
            "accounts",
            "admission",
            "duration",
            "events",
            "identity",
            "plan",
            "pod",
            "server",
            "telemetry",
        ],
        others: AllBut(&["clap", "json_patch", "k8s_openapi", "kube", "rustls", "tokio_rustls"]),
    },
    Wall {
        module: "server",
        ours: &["telemetry"],
        others: AllBut(&[
            "axum",
            "clap",
            "json_patch",
            "k8s_openapi",
            "kube",
            "serde",
            "serde_json",
        ]),
    },
    Wall {
        module: "tls",
        ours: &["telemetry"],
        others: AllBut(&[
            "axum",
            "clap",
            "http",
            "http_body",
            "hyper",
            "hyper_util",
            "json_patch",
            "k8s_openapi",
            "kube",
            "std::net",
            "tokio::net",
        ]),
    },
    Wall { module: "duration", ours: &[], others: Only(&[]) },
    Wall { module: "version", ours: &[], others: Only(&[]) },
    Wall { module: "sentence", ours: &[], others: Only(&[]) },
    Wall {
        module: "telemetry",
        ours: &["sentence", "version"],
        others: AllBut(&["axum", "clap", "json_patch", "k8s_openapi", "kube", "rustls"]),
    },
    Wall {
        module: "imds",
        ours: &["identity"],
        others: AllBut(&["axum", "clap", "json_patch", "k8s_openapi", "kube", "rustls"]),
    },
    // What is in a cluster, for the commands that look at one.
    Wall {
        module: "installation",
        ours: &["accounts", "cli", "identity", "policy", "sentence"],
        others: AllBut(&["axum", "clap", "hyper", "rustls", "tracing"]),
    },
    Wall {
        module: "doctor",
        ours: &[
            "accounts",
            "authority",
            "certificate",
            "cli",
            "drift",
            "identity",
            "installation",
            "plan",
            "pod",
        ],
        others: AllBut(&["axum", "clap", "json_patch", "rustls", "std::env", "std::fs", "tracing"]),
    },
    Wall {
        module: "audit",
        ours: &[
            "accounts",
            "cli",
            "drift",
            "events",
            "identity",
            "installation",
            "plan",
            "pod",
            "policy",
            "sentence",
            "telemetry",
        ],
        others: AllBut(&["axum", "clap", "hyper", "json_patch", "rustls"]),
    },
    Wall {
        module: "documents",
        ours: &[],
        others: AllBut(&["axum", "clap", "hyper", "k8s_openapi", "kube", "rustls", "tokio"]),
    },
    Wall {
        module: "offline",
        ours: &["accounts", "cli", "documents", "identity", "pod", "policy", "sentence"],
        others: AllBut(&["axum", "clap", "hyper", "k8s_openapi", "kube", "rustls", "tokio"]),
    },
    Wall {
        module: "mutate",
        ours: &["cli", "documents", "identity", "offline", "patch", "plan", "pod", "sentence"],
        others: AllBut(&["axum", "clap", "hyper", "k8s_openapi", "kube", "rustls", "tokio"]),
    },
    Wall {
        module: "app",
        ours: &[
            "accounts",
            "admission",
            "audit",
            "authority",
            "certificate",
            "cli",
            "doctor",
            "documents",
            "duration",
            "events",
            "explain",
            "http",
            "identity",
            "imds",
            "installation",
            "keeper",
            "offline",
            "patch",
            "plan",
            "pod",
            "policy",
            "server",
            "telemetry",
            "tls",
        ],
        others: AllBut(&["clap", "json_patch"]),
    },
    // The binary names the library by its own name.
    Wall {
        module: "main",
        ours: &["app", "cli", "mutate", "telemetry"],
        others: AllBut(&[
            "axum",
            "clap",
            "hyper",
            "json_patch",
            "k8s_openapi",
            "kube",
            "rustls",
            "serde_json",
        ]),
    },
];

/// Where a task may be spawned: long tasks live in the `JoinSet`s of these two.
const SPAWNERS: [&str; 2] = ["app", "server"];

#[test]
fn every_module_names_only_what_the_table_allows() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let library = parse(&root.join("lib.rs"));
    let mut offences = Vec::new();
    for item in library.items.iter().filter(|item| !is_for_tests(attributes(item))) {
        let Item::Mod(module) = item else { continue };
        let name = module.ident.to_string();
        match WALLS.iter().find(|wall| wall.module == name) {
            None => offences.push(format!("{name} is not in the table")),
            Some(wall) => {
                let mut names = BTreeSet::new();
                collect_files(&root, &[name], &mut names);
                offences.extend(judge(wall, &names));
            }
        }
    }
    let mut names = Names::of("main", Vec::new());
    names.visit_file(&parse(&root.join("main.rs")));
    let wall = WALLS.iter().find(|wall| wall.module == "main").unwrap();
    offences.extend(judge(wall, &names.found));
    assert!(offences.is_empty(), "{}", offences.join("\n"));
}

#[test]
fn the_binary_s_own_file_is_short() {
    let main = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/main.rs");
    assert!(fs::read_to_string(main).unwrap().lines().count() <= 40);
}

#[test]
fn a_forbidden_name_is_seen_however_it_is_written() {
    for (module, source) in [
        ("plan", "use serde_json::Value;"),
        ("plan", "use std::{fmt, time::Instant};"),
        ("plan", "use std::time; fn f() { time::SystemTime::now(); }"),
        ("plan", "use crate::patch::Patch;"),
        ("plan", "use crate::{identity, admission::Review};"),
        ("plan", "use crate::admission as other;"),
        ("plan", "use super::admission::Review;"),
        ("plan", "use super::*;"),
        ("plan", "use crate::*;"),
        ("plan", "mod inner { use super::super::admission::Review; }"),
        ("plan", "fn f() { let _ = crate::admission::Review::read(b\"\"); }"),
        ("plan", "fn f() -> ::serde_json::Value { todo!() }"),
        ("plan", "fn f() { println!(\"{}\", crate::admission::MAX_WARNINGS); }"),
        ("plan", "fn f() { tracing::info!(\"x\"); }"),
        ("plan", "#[derive(serde::Serialize)] struct S;"),
        ("plan", "macro_rules! m { () => { $crate::admission::answer() } }"),
        ("plan", "#[tracing::instrument] fn f() {}"),
        ("plan", "extern crate tracing;"),
        ("identity", "pub use crate::pod::Pod;"),
        ("identity", "impl From<crate::plan::Reason> for X {}"),
        ("patch", "use crate::pod::Pod;"),
        ("admission", "use tokio::sync::Mutex;"),
        ("admission", "async fn f() {}"),
        ("http", "use json_patch::Patch;"),
        ("http", "use rustls as tls;"),
        ("accounts", "type T = crate::plan::Decision<'static>;"),
        ("cli", "fn f() { std::fs::read(\"x\"); }"),
        ("cli", "fn f() { let v = ::std::env::var(\"HOME\"); }"),
        ("mutate", "use clap::Parser;"),
        ("http", "fn f() { tokio::spawn(async {}); }"),
        ("tls", "use tokio::{net::TcpListener, task};"),
        ("accounts", "use tokio::task; fn f() { task::spawn(async {}); }"),
        ("accounts", "use tokio::task::spawn as go;"),
        ("accounts", "use tokio::{spawn};"),
        ("main", "fn main() { pod_identity_webhook::plan::decide(); }"),
    ] {
        assert_ne!(offences(module, source), Vec::<String>::new(), "{module}: {source}");
    }
}

#[test]
fn an_allowed_name_is_not_an_offence() {
    for (module, source) in [
        ("plan", "use crate::identity::Identity; use crate::pod::Pod;"),
        ("plan", "use crate::plan::edit::Edit; use std::borrow::Cow; use fnv::FnvHasher;"),
        ("plan", "use self::admission::Review;"),
        ("plan", "mod inner { use super::Reason; }"),
        ("plan", "#[cfg(test)] mod tests { use super::*; use serde_json::json; }"),
        ("plan", "#[cfg(test)] use tokio::time;"),
        ("plan", "#[cfg(all(test, unix))] fn f() { crate::admission::f(); }"),
        ("plan", "/// Not [`crate::admission::Review`], which is a text.\nstruct S;"),
        ("plan", "fn f() { let http = 1; http.max(2); }"),
        ("cli", "fn f(uri: http::Uri) {}"),
        ("server", "fn f() { tokio::spawn(async {}); }"),
        ("app", "fn f(set: &mut tokio::task::JoinSet<()>) { set.spawn(async {}); }"),
        ("accounts", "async fn f() {}"),
        ("main", "fn main() { pod_identity_webhook::cli::parse([\"x\"]); }"),
    ] {
        assert_eq!(offences(module, source), Vec::<String>::new(), "{module}: {source}");
    }
}

// === what is found and what is thought of it ===

fn offences(module: &str, source: &str) -> Vec<String> {
    let wall = WALLS.iter().find(|wall| wall.module == module).expect("the module is in the table");
    let place = if module == "main" { Vec::new() } else { vec![module.to_owned()] };
    let mut names = Names::of(module, place);
    names.visit_file(&syn::parse_str(source).expect("the source is Rust"));
    judge(wall, &names.found)
}

fn judge(wall: &Wall, found: &BTreeSet<String>) -> Vec<String> {
    let Wall { module, ours, others } = wall;
    let is_within = |name: &str, part: &str| {
        name.strip_prefix(part).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let offends = |name: &&String| {
        if let Some(rest) = name.strip_prefix("crate::") {
            let named = rest.split("::").next().unwrap_or_default();
            return named != *module && !ours.contains(&named);
        }
        if name.starts_with("tokio::") && name.ends_with("::spawn") && !SPAWNERS.contains(module) {
            return true;
        }
        match others {
            AllBut(parts) => parts.iter().any(|part| is_within(name, part)),
            Only(crates) => {
                *name == "async"
                    || EFFECTS.iter().any(|part| is_within(name, part))
                    || dependencies().iter().any(|crate_name| {
                        is_within(name, crate_name) && !crates.contains(&crate_name.as_str())
                    })
            }
        }
    };
    found.iter().filter(offends).map(|name| format!("{module} names {name}")).collect()
}

/// The crates of Cargo.toml, those that nobody may name yet among them.
fn dependencies() -> Vec<String> {
    let manifest = include_str!("../../Cargo.toml");
    let mut section = "";
    let mut crates: Vec<_> = KUBE.iter().map(|name| (*name).to_owned()).collect();
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        } else if section.ends_with("dependencies]")
            && let Some((name, _)) = line.split_once([' ', '=', '.'])
        {
            crates.push(name.trim().replace('-', "_"));
        }
    }
    crates
}

/// The names in the files of a module, its modules' among them.
fn collect_files(root: &Path, module: &[String], found: &mut BTreeSet<String>) {
    let mut folder: PathBuf = root.to_owned();
    folder.extend(module);
    let flat = folder.with_extension("rs");
    let source = parse(&if flat.is_file() { flat } else { folder.join("mod.rs") });
    let mut names = Names::of(&module[0], module.to_vec());
    names.visit_file(&source);
    found.append(&mut names.found);
    for inner in names.modules {
        let inner: Vec<_> = module.iter().cloned().chain([inner]).collect();
        collect_files(root, &inner, found);
    }
}

fn parse(file: &Path) -> syn::File {
    let source = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
    syn::parse_file(&source).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

/// Every path of a file, resolved to `crate::…`, or as it begins if it is another crate's.
struct Names {
    /// Whether it is the binary's file, for which the library is another crate.
    is_binary: bool,
    /// The module in which we are.
    place: Vec<String>,
    /// What the use trees call by another name.
    aliases: Vec<(String, String)>,
    found: BTreeSet<String>,
    /// The modules that stand in files of their own.
    modules: Vec<String>,
}

// === impl Names ===

impl Names {
    fn of(module: &str, place: Vec<String>) -> Self {
        Self {
            is_binary: module == "main",
            place,
            aliases: Vec::new(),
            found: BTreeSet::new(),
            modules: Vec::new(),
        }
    }

    /// Notes the path of `segments`.
    fn note(&mut self, segments: &[String]) {
        if let Some(name) = self.resolve(segments) {
            self.found.insert(name);
        }
    }

    fn resolve(&self, segments: &[String]) -> Option<String> {
        let (first, rest) = segments.split_first()?;
        match first.as_str() {
            "crate" => Some(join("crate", rest)),
            "pod_identity_webhook" if self.is_binary => Some(join("crate", rest)),
            "self" => Some(join("crate", &[&self.place, rest].concat())),
            "super" => {
                let ups = segments.iter().take_while(|segment| *segment == "super").count();
                let kept = self.place.len().saturating_sub(ups);
                let absolute = [&self.place[..kept], &segments[ups..]].concat();
                Some(join("crate", &absolute))
            }
            first => {
                let alias = self.aliases.iter().find(|(alias, _)| alias == first);
                match alias {
                    Some((_, meant)) => Some(join(meant, rest)),
                    None => Some(join(first, rest)),
                }
            }
        }
    }

    fn note_use(&mut self, tree: &UseTree, before: &[String]) {
        let with = |last: &syn::Ident| [before, &[last.to_string()]].concat();
        match tree {
            UseTree::Path(path) => self.note_use(&path.tree, &with(&path.ident)),
            UseTree::Name(name) => self.note_import(&with(&name.ident), &name.ident.to_string()),
            UseTree::Rename(to) => self.note_import(&with(&to.ident), &to.rename.to_string()),
            UseTree::Glob(_) => self.note(&[before, &["*".to_owned()]].concat()),
            UseTree::Group(group) => {
                for tree in &group.items {
                    self.note_use(tree, before);
                }
            }
        }
    }

    fn note_import(&mut self, segments: &[String], alias: &str) {
        // `use a::{self}` is `use a`.
        let segments = match segments {
            [path @ .., last] if last == "self" && !path.is_empty() => path,
            all => all,
        };
        self.note(segments);
        let alias =
            if alias == "self" { segments.last().map_or("", String::as_str) } else { alias };
        if let Some(meant) = self.resolve(segments)
            && meant != alias
        {
            self.aliases.push((alias.to_owned(), meant));
        }
    }

    /// Paths in tokens that are not parsed: the inside of macros and attributes.
    fn note_tokens(&mut self, mut tokens: Cursor<'_>) {
        let mut path: Vec<String> = Vec::new();
        let mut colons = 0;
        while !tokens.eof() {
            if let Some((ident, rest)) = tokens.ident() {
                if colons != 2 {
                    self.end_path(&mut path);
                }
                path.push(ident.to_string());
                (colons, tokens) = (0, rest);
            } else if let Some((_, rest)) = tokens.punct().filter(|(p, _)| p.as_char() == ':') {
                (colons, tokens) = (colons + 1, rest);
            } else {
                self.end_path(&mut path);
                if let Some((inner, _, _, _)) = tokens.any_group() {
                    self.note_tokens(inner);
                }
                let Some((_, rest)) = tokens.token_tree() else { break };
                (colons, tokens) = (0, rest);
            }
        }
        self.end_path(&mut path);
    }

    fn end_path(&mut self, path: &mut Vec<String>) {
        // One word alone is a variable or a keyword far more often than a crate.
        if path.len() > 1 {
            self.note(path);
        }
        path.clear();
    }
}

impl<'ast> Visit<'ast> for Names {
    fn visit_item(&mut self, item: &'ast Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'ast syn::ImplItem) {
        let attributes = match item {
            syn::ImplItem::Fn(item) => item.attrs.as_slice(),
            syn::ImplItem::Const(item) => item.attrs.as_slice(),
            _ => &[],
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let name = module.ident.to_string();
        if module.content.is_none() {
            self.modules.push(name);
            return;
        }
        self.place.push(name);
        visit::visit_item_mod(self, module);
        self.place.pop();
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.note_use(&item.tree, &[]);
    }

    fn visit_item_extern_crate(&mut self, item: &'ast syn::ItemExternCrate) {
        self.note(&[item.ident.to_string()]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let segments: Vec<_> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        if segments.len() > 1 {
            self.note(&segments);
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.note_tokens(TokenBuffer::new2(call.tokens.clone()).begin());
    }

    fn visit_attribute(&mut self, attribute: &'ast Attribute) {
        visit::visit_attribute(self, attribute);
        if let syn::Meta::List(list) = &attribute.meta {
            self.note_tokens(TokenBuffer::new2(list.tokens.clone()).begin());
        }
    }

    fn visit_signature(&mut self, signature: &'ast syn::Signature) {
        if signature.asyncness.is_some() {
            self.found.insert("async".to_owned());
        }
        visit::visit_signature(self, signature);
    }
}

fn join(first: &str, rest: &[String]) -> String {
    std::iter::once(first).chain(rest.iter().map(String::as_str)).collect::<Vec<_>>().join("::")
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether an item is compiled for tests alone: `#[test]`, `#[cfg(test)]`, `#[cfg(all(test, …))]`.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    fn needs_test(mut tokens: Cursor<'_>) -> bool {
        while let Some((ident, rest)) = tokens.ident() {
            if ident == "test" {
                return true;
            }
            // Of the other forms, only `all(…)` means what stands in it.
            let group = rest.any_group().filter(|_| ident == "all");
            if group.is_some_and(|(inner, _, _, _)| any_needs_test(inner)) {
                return true;
            }
            tokens = rest;
        }
        false
    }
    fn any_needs_test(mut tokens: Cursor<'_>) -> bool {
        while !tokens.eof() {
            if needs_test(tokens) {
                return true;
            }
            let Some((_, rest)) = tokens.token_tree() else { break };
            tokens = rest;
        }
        false
    }
    attributes.iter().any(|attribute| match &attribute.meta {
        syn::Meta::Path(path) => path.is_ident("test"),
        syn::Meta::List(list) => {
            list.path.is_ident("cfg") && needs_test(TokenBuffer::new2(list.tokens.clone()).begin())
        }
        syn::Meta::NameValue(_) => false,
    })
}
