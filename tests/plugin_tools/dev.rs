//! `tidegate dev`, with a compiler that takes its component from where the source says.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, ChildStderr, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::Duration;

use serde_json::json;

use crate::harness::cli::{command, run};
use crate::plugins;

/// Longer than a server takes to start on a busy machine.
const BOUND: Duration = Duration::from_secs(60);

/// A project in Python whose compiler copies the component that `plugin.py` names.
fn project(folder: &Path) {
    let compiler = folder.join(".venv/bin/componentize-py");
    std::fs::create_dir_all(compiler.parent().unwrap()).unwrap();
    let script = "#!/bin/sh\nfor out; do :; done\nread -r file <plugin.py\n\
                  [ -f \"$file\" ] || { echo \"plugin.py: there is no $file\" >&2; exit 1; }\ncp \"$file\" \"$out\"\n";
    std::fs::write(&compiler, script).unwrap();
    std::fs::set_permissions(&compiler, std::fs::Permissions::from_mode(0o755)).unwrap();
}

fn save(folder: &Path, component: &Path) {
    std::fs::write(folder.join("plugin.py"), format!("{}\n", component.display())).unwrap();
}

/// `tidegate dev`, killed when dropped.
struct Dev {
    child: Child,
    log: Receiver<String>,
}

impl Dev {
    fn start(folder: &Path) -> Self {
        let mut command = command();
        command.args(["dev", "--listen", "127.0.0.1:0"]).arg(folder);
        command.env("TIDEGATE_CACHE_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled"));
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = follow(child.stderr.take().unwrap());
        Self { child, log }
    }

    /// The next line with this in it.
    fn says(&self, what: &str) -> String {
        let mut said = Vec::new();
        loop {
            match self.log.recv_timeout(BOUND) {
                Ok(line) if line.contains(what) => return line,
                Ok(line) => said.push(line),
                Err(_) => panic!("it does not say `{what}`:\n{}", said.join("\n")),
            }
        }
    }
}

fn follow(stderr: ChildStderr) -> Receiver<String> {
    let (lines, log) = mpsc::channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            let _ = lines.send(line);
        }
    });
    log
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn what_is_saved_is_built_and_served_and_what_does_not_build_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let chat = folder.path().join("chat");
    project(&chat);
    save(&chat, &plugins::path("chat").canonicalize().unwrap());
    let dev = Dev::start(folder.path());
    dev.says("built chat in ");
    let listening = dev.says("listening on http://");
    let address = listening.split("http://").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let say = |text: &str| {
        let data = json!({ "text": text }).to_string();
        let said = run(&["publish", "chat:a", &data, "--url", &format!("ws://{address}/ws")]);
        assert!(said.stdout.contains("\"published\""), "{said:?}");
    };
    say("one");

    save(&chat, Path::new("/nowhere.wasm"));
    dev.says("plugin.py: there is no /nowhere.wasm");
    dev.says("the version before it keeps serving");
    say("two");

    save(&chat, &plugins::path("chat-v2").canonicalize().unwrap());
    dev.says("built chat in ");
    let swapped = dev.says("swapped ");
    assert!(swapped.contains("chat"), "{swapped}");
    say("three");
}

#[test]
fn a_folder_without_a_project_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let said = run(&["dev", &folder.path().display().to_string()]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("is no plugin's project"), "{}", said.stderr);
}
