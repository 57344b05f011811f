//! `make session`: a terminal session on a healthy cluster and on a broken one, as README shows it.
//!
//! What is drawn is what the programs wrote to a terminal of [`COLUMNS`] columns, colours and all;
//! addresses and ports of the test are replaced.

use std::fmt::Write as _;
use std::path::Path;

use serde_json::json;
use tokio::process::Command;

use super::objects::{account, pod};
use super::stage::{READER, SHOP, Setting, Stage, mask};

/// How wide the terminal is.
const COLUMNS: usize = 110;

/// The width and height of a letter's cell, in pixels of the picture.
const CELL: (f64, f64) = (8.43, 19.0);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "draws README's pictures: `make session`"]
async fn a_session_is_drawn() {
    let stage = Setting::of("session").set().await;
    let web = pod(READER, &json!({ "metadata": { "generateName": null, "name": "web-0" } }));
    stage.create(SHOP, "pods", &web).await;
    let healthy = ["doctor", "explain pod web-0 -n shop"];
    draw(&stage, "healthy", &healthy).await;

    let typo = json!({ "eks.amazon.com/role-arn": "arn:aws:iam::111122223333:role/reports" });
    stage.create(SHOP, "serviceaccounts", &account("reports", &typo)).await;
    let report = json!({ "metadata": { "generateName": null, "name": "reports-0" } });
    stage.create(SHOP, "pods", &pod("reports", &report)).await;
    let broken = ["explain pod reports-0 -n shop", "doctor --only=annotations,missed-pods,probe"];
    draw(&stage, "broken", &broken).await;
}

async fn draw(stage: &Stage, name: &str, commands: &[&str]) {
    let mut screen = String::new();
    for command in commands {
        let binary = env!("CARGO_BIN_EXE_pod-identity-webhook");
        let line = format!("stty cols {COLUMNS} rows 60; {binary} {command}");
        let output = Command::new("script")
            .args(["--quiet", "--return", "--command", &line, "/dev/null"])
            .env("KUBECONFIG", stage.plane.kubeconfig())
            .env("LC_ALL", "C.UTF-8")
            .env("TERM", "xterm-256color")
            .env_remove("NO_COLOR")
            .output()
            .await
            .expect("script (util-linux) is what makes a terminal");
        let seen = String::from_utf8(output.stdout).unwrap().replace('\r', "");
        write!(screen, "\u{1b}[1m$ pod-identity-webhook {command}\u{1b}[0m\n{seen}\n").unwrap();
    }
    let file = format!("tests/it/doctor/session/{name}.svg");
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, picture(at_home(&screen, stage).trim_end())).unwrap();
}

/// As in a cluster of one's own, where nothing has the address and the port of a test.
fn at_home(screen: &str, stage: &Stage) -> String {
    let api_server = stage.plane.url().trim_start_matches("https://");
    mask(screen, stage)
        .replace("https://API-SERVER", "https://oidc.example")
        .replace(api_server, "oidc.example")
        .replace("PORT", "443")
        .replace("the key KEY", "the key ZyQ3")
}

/// Text with colours (ECMA-48, SGR) as a picture of a terminal.
fn picture(screen: &str) -> String {
    let lines: Vec<_> = screen.lines().collect();
    let width = f64::from(u32::try_from(COLUMNS).unwrap()) * CELL.0 + 32.0;
    let height = f64::from(u32::try_from(lines.len()).unwrap()) * CELL.1 + 32.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\">\n\
         <rect width=\"100%\" height=\"100%\" rx=\"8\" fill=\"#1e2227\"/>\n\
         <g font-family=\"ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace\" \
         font-size=\"14\" fill=\"#d7dae0\">\n"
    );
    let mut style = String::new();
    for (number, line) in lines.iter().enumerate() {
        let y = 28.0 + f64::from(u32::try_from(number).unwrap()) * CELL.1;
        write!(svg, "<text x=\"16\" y=\"{y:.0}\">").unwrap();
        let mut pieces = line.split("\u{1b}[");
        span(&mut svg, &style, pieces.next().unwrap_or_default());
        for piece in pieces {
            let (codes, text) = piece.split_once('m').unwrap_or(("", piece));
            for code in codes.split(';') {
                turn(&mut style, code);
            }
            span(&mut svg, &style, text);
        }
        svg.push_str("</text>\n");
    }
    svg + "</g>\n</svg>\n"
}

fn turn(style: &mut String, code: &str) {
    let more = match code {
        "1" => " font-weight=\"bold\"",
        "2" => " fill-opacity=\"0.65\"",
        "31" => " fill=\"#f07178\"",
        "32" => " fill=\"#9ece6a\"",
        "33" => " fill=\"#e5c07b\"",
        "34" => " fill=\"#7aa2f7\"",
        "35" => " fill=\"#c792ea\"",
        "36" => " fill=\"#7dcfff\"",
        _ => {
            style.clear();
            return;
        }
    };
    style.push_str(more);
}

fn span(svg: &mut String, style: &str, text: &str) {
    // Browsers draw a run of spaces as one, some of them whatever xml:space says: columns need U+00A0.
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace(' ', "\u{a0}");
    if style.is_empty() || text.is_empty() {
        svg.push_str(&text);
    } else {
        write!(svg, "<tspan{style}>{text}</tspan>").unwrap();
    }
}
