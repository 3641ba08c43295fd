//! Programs of Node, which start programs of their own: run to their end, within a bound.

use std::fs::File;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, Command};

use super::plugins::root;

/// How long one that was asked to end may take over it.
const LEAVE: Duration = Duration::from_secs(5);

/// `node` or `npm` in a folder of the repository that `scripts/setup` has set up.
pub fn command(program: &str, folder: &str) -> Command {
    let here = root().join(folder);
    assert!(here.join("node_modules").is_dir(), "no {folder}/node_modules: run scripts/setup");
    let mut command = Command::new(program);
    command.current_dir(here);
    command
}

/// What it said, if it ended well; else how it ended and what it said.
pub async fn run(mut command: Command, bound: Duration) -> Result<String, String> {
    let said = tempfile::NamedTempFile::new().unwrap();
    // A file and no pipe: a browser that is left over could hold a pipe open.
    command.stdin(Stdio::null()).stdout(output(said.path())).stderr(output(said.path()));
    // A group of its own, so that nobody is left over: npm starts a shell, which starts Node.
    let child = command.process_group(0).kill_on_drop(true).spawn().expect("no Node: run scripts/setup");
    let ended = end(child, bound).await;
    let said = std::fs::read_to_string(said.path()).unwrap();
    match ended {
        Some(status) if status.success() => Ok(said),
        Some(status) => Err(format!("{status}; it said\n{said}")),
        None => Err(format!("not done within {bound:?}; it said\n{said}")),
    }
}

fn output(path: &Path) -> File {
    File::options().append(true).open(path).unwrap()
}

/// None if it had to be stopped: asked first, so that it can take its browser along.
async fn end(mut child: Child, bound: Duration) -> Option<ExitStatus> {
    let group = child.id().and_then(|id| Pid::from_raw(id.cast_signed())).unwrap();
    if let Ok(status) = tokio::time::timeout(bound, child.wait()).await {
        return Some(status.unwrap());
    }
    let _ = kill_process_group(group, Signal::TERM);
    let _ = tokio::time::timeout(LEAVE, child.wait()).await;
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait().await;
    None
}
