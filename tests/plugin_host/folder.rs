//! A plugin folder with what should not be in it, that comes late, goes and comes back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tidegate::plugin::{PluginHost, PluginsConfig};

use super::{plugins, settings};

/// How often the folder is looked at where no event tells of a change.
const POLL: Duration = Duration::from_secs(2);
const BOUND: Duration = Duration::from_secs(30);

fn host(dir: &Path, config: &[(&str, &str)]) -> PluginHost {
    let plugins = BTreeMap::from([("sleeper".to_owned(), settings(config))]);
    PluginHost::start(PluginsConfig { dir: dir.to_owned(), cache_dir: None, plugins }).unwrap()
}

fn put(name: &str, file: impl AsRef<Path>) {
    fs::copy(plugins::path(name), file).unwrap();
}

fn wait(what: &str, until: impl Fn() -> bool) {
    let began = Instant::now();
    while !until() {
        assert!(began.elapsed() < BOUND, "{what}: not within {BOUND:?}");
        // The host has no word for "something has changed": it is looked at again and again.
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// Four swaps in less time than four looks: so events tell of them.
fn swaps_by_events(host: &PluginHost, file: &Path) {
    let began = Instant::now();
    for name in ["chat-v2", "chat", "chat-v2", "chat"] {
        let before = host.registry().number;
        put(name, file);
        wait("the swap", || host.registry().number > before);
    }
    assert!(began.elapsed() < POLL * 2, "{:?}", began.elapsed());
}

#[test]
fn a_plugin_that_sleeps_when_asked_its_names_holds_nobody_up() {
    let dir = tempfile::tempdir().unwrap();
    put("sleeper", dir.path().join("sleeper.wasm"));
    let began = Instant::now();
    let host = host(dir.path(), &[("names-ms", "3600000")]);
    assert!(began.elapsed() < Duration::from_secs(60));
    assert!(host.report().plugins[0].error.is_some(), "{:?}", host.report());
}

#[test]
fn a_linked_folder_outside_is_not_followed() {
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    put("chat", outside.path().join("chat.wasm"));
    std::os::unix::fs::symlink(outside.path(), dir.path().join("sub")).unwrap();
    assert_eq!(host(dir.path(), &[]).registry().plugins().count(), 0);
}

#[test]
fn a_pipe_does_not_stop_the_server() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Command::new("mkfifo").arg(dir.path().join("x.wasm")).status().unwrap().success());
    let path = dir.path().to_owned();
    let (started, is_started) = mpsc::channel();
    std::thread::spawn(move || {
        drop(host(&path, &[]));
        started.send(())
    });
    is_started.recv_timeout(BOUND).expect("the start does not return");
}

#[test]
fn a_huge_file_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    // With holes: 3 GiB that take no place on the disk, but would in memory.
    fs::File::create(dir.path().join("x.wasm")).unwrap().set_len(3 << 30).unwrap();
    let error = host(dir.path(), &[]).report().plugins[0].error.as_ref().unwrap().message.clone();
    assert!(error.contains("3221225472"), "{error}");
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let kib: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(kib < 2 << 20, "{peak}");
}

#[test]
fn a_file_that_is_removed_is_no_error() {
    for writes_on in [false, true] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("chat.wasm");
        put("chat", &file);
        let host = host(dir.path(), &[]);
        fs::rename(&file, dir.path().join("chat.bak")).unwrap();
        if writes_on {
            // One more event while the file is missing.
            fs::write(&file, b"").unwrap();
            fs::remove_file(&file).unwrap();
        }
        wait("the retirement", || {
            let report = host.report();
            let error = report.plugins.iter().find_map(|plugin| plugin.error.as_ref());
            assert!(error.is_none(), "writes on: {writes_on}: {error:?}");
            host.registry().plugins().count() == 0
        });
    }
}

#[test]
fn a_folder_that_is_replaced_is_watched_again() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("plugins");
    fs::create_dir(&dir).unwrap();
    put("chat", dir.join("chat.wasm"));
    let host = host(&dir, &[]);
    fs::rename(&dir, root.path().join("old")).unwrap();
    fs::create_dir(&dir).unwrap();
    put("chat", dir.join("chat.wasm"));
    put("pass", dir.join("pass.wasm"));
    wait("the new folder is seen", || host.registry().plugins().any(|p| p.name.as_str() == "pass"));
    swaps_by_events(&host, &dir.join("chat.wasm"));
}

#[test]
fn a_folder_that_appears_is_watched() {
    let root = tempfile::tempdir().unwrap();
    let dir = root.path().join("plugins");
    let host = host(&dir, &[]);
    fs::create_dir(&dir).unwrap();
    put("chat", dir.join("chat.wasm"));
    wait("the folder is seen", || host.registry().plugins().count() > 0);
    swaps_by_events(&host, &dir.join("chat.wasm"));
}
