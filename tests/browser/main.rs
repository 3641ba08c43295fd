//! The playground page in a real browser: what a person sees who tries the server.

#[path = "../harness/mod.rs"]
mod harness;

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use harness::{Server, cli, plugins};

/// A little more than the browser gets: see `tests/browser/chromium`.
const BOUND: Duration = Duration::from_secs(75);

#[tokio::test]
async fn two_people_use_the_playground() {
    let here = plugins::root().join("tests/browser");
    assert!(here.join("node_modules/playwright-core").is_dir(), "no playwright-core: run scripts/setup");

    let server = Server::with(&["chat", "token-auth", "level-filter"]);
    let said = tempfile::NamedTempFile::new().unwrap();
    let mut command = Command::new("node");
    command.arg(here.join("playground.mjs")).arg(format!("http://{}/", server.address));
    command.arg("--chat").arg(server.plugin("chat")).arg("--next").arg(plugins::path("chat-v2"));
    command.args([cli::token(&["ada"]), cli::token(&["bob"])]);
    // A file and no pipe: a browser that is left over could hold a pipe open.
    command.stdin(Stdio::null()).stdout(output(said.path())).stderr(output(said.path()));
    let child = command.kill_on_drop(true).spawn().expect("no node: run scripts/setup");

    let ended = end(child).await;
    let said = std::fs::read_to_string(said.path()).unwrap();
    match ended {
        None => panic!("not done within {BOUND:?}; it said\n{said}"),
        Some(status) => assert!(status.success(), "{status}; it said\n{said}"),
    }
}

fn output(path: &Path) -> File {
    File::options().append(true).open(path).unwrap()
}

/// None if it had to be stopped: asked first, so that it can take its browser along.
async fn end(mut child: Child) -> Option<ExitStatus> {
    if let Ok(status) = tokio::time::timeout(BOUND, child.wait()).await {
        return Some(status.unwrap());
    }
    let pid = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
    let _ = kill_process(pid, Signal::TERM);
    if tokio::time::timeout(Duration::from_secs(5), child.wait()).await.is_err() {
        child.kill().await.unwrap();
    }
    None
}
