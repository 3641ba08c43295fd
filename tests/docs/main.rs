//! The pages do as they say: their `console` blocks are typed into a shell, one page a shell, and
//! what they show must come out.
//!
//! In a page `<!-- file: NAME -->` before a block of settings writes it to that file, and
//! `<!-- run: COMMAND -->` runs what a reader has done before; `<!-- needs: PROGRAM -->` leaves the next
//! block out where scripts/setup has not installed it. A block that begins with
//! `$ wscat -c URL` is a WebSocket: `> ` is sent, `< ` is received. What differs from run to run
//! (numbers of five digits and more, fractions, epochs) is not compared, nor are spaces.

mod page;
mod shell;
mod socket;
#[path = "../harness/wait.rs"]
#[allow(dead_code)]
mod wait;

use std::path::PathBuf;

use page::{Line, Page, Step};
use shell::Shell;

fn read(name: &str) -> Page {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    Page::parse(name, &std::fs::read_to_string(path).unwrap())
}

async fn run(name: &str) {
    let page = read(name);
    let mut shell = Shell::start();
    for step in &page.steps {
        match step {
            Step::File { name, text } => shell.write(name, text),
            Step::Command { line, shows } => shell.run(line, shows).await,
            Step::Socket { url, says } => {
                let says: Vec<Line> = says.iter().map(|line| line.map(|text| shell.local(text))).collect();
                socket::talk(&shell.local(url), &says).await;
            }
        }
    }
    println!("{name}: {} steps", page.steps.len());
}

#[tokio::test]
async fn channels() {
    run("docs/channels.md").await;
}

#[tokio::test]
async fn auth() {
    run("docs/auth.md").await;
}

#[tokio::test]
async fn dialects() {
    run("docs/dialects.md").await;
}

#[tokio::test]
async fn grants() {
    run("docs/grants.md").await;
}

#[tokio::test]
async fn handlers() {
    run("docs/handlers.md").await;
}

#[tokio::test]
async fn http_api() {
    run("docs/http-api.md").await;
}

#[tokio::test]
async fn languages() {
    run("docs/languages.md").await;
}

#[tokio::test]
async fn limits() {
    run("docs/limits.md").await;
}

#[tokio::test]
async fn move_from_pusher() {
    run("docs/move-from-pusher.md").await;
}

#[tokio::test]
async fn plugin_versions() {
    run("docs/plugin-versions.md").await;
}

#[tokio::test]
async fn pusher() {
    run("docs/pusher.md").await;
}

#[tokio::test]
async fn plugin_tools() {
    run("docs/plugin-tools.md").await;
}

#[tokio::test]
async fn plugins() {
    run("docs/plugins.md").await;
}

#[tokio::test]
async fn plugins_at_work() {
    run("docs/plugins-at-work.md").await;
}

#[tokio::test]
async fn users() {
    run("docs/users.md").await;
}

#[tokio::test]
async fn readme() {
    run("README.md").await;
}

#[test]
fn every_page_is_run() {
    let this = include_str!("main.rs");
    let docs = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs");
    for entry in std::fs::read_dir(docs).unwrap() {
        let path = entry.unwrap().path();
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        // What benchmarks.md shows takes an hour and a quiet machine.
        if !name.ends_with(".md") || name == "benchmarks.md" {
            continue;
        }
        assert!(this.contains(&format!("run(\"docs/{name}\")")), "docs/{name} is run by no test here");
    }
}
