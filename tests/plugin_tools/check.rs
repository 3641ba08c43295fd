//! `tidegate plugin check`

use serde_json::{Value, json};

use crate::harness::cli::run;
use crate::plugin;

#[test]
fn says_what_a_component_is() {
    let said = plugin("check", "chat", &[]);
    assert_eq!((said.code, &*said.stderr), (Some(0), ""));
    for line in [
        "a server would load it as `chat`",
        "  version    1.0.0",
        "  contract   tidegate:plugin@0.1",
        "  exports    channel-handler, info",
        "  channels   chat:{room}, chat:*",
        "  imports    log",
        "  grants     none needed",
    ] {
        assert!(said.stdout.contains(line), "{line} in\n{}", said.stdout);
    }
}

#[test]
fn says_it_to_scripts_as_json() {
    let said = plugin("check", "tools", &["--json"]);
    let report: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&report["ok"], &report["name"]), (&json!(true), &json!("tools")));
    assert_eq!(report["actions"], json!(["echo", "send_message", "fail", "trap"]));
    assert!(report["bytes"].as_u64() > Some(1000) && report["compile_ms"].as_f64() > Some(0.0), "{report}");
}

#[test]
fn refuses_what_a_server_would_refuse_and_says_why() {
    for (name, why) in [
        ("core-module", "it is a core module, not a component"),
        ("from-the-future", "this server speaks 0.1"),
        ("wants-database", "it imports acme:db/query@1.0.0, which this server does not offer"),
    ] {
        let said = plugin("check", name, &["--json"]);
        assert_eq!(said.code, Some(1), "{said:?}");
        let report: Value = serde_json::from_str(&said.stdout).unwrap();
        assert_eq!(report["ok"], json!(false));
        assert!(report["error"].as_str().unwrap().contains(why), "{report}");
        assert!(said.stderr.starts_with("tidegate: ") && said.stderr.contains(why), "{}", said.stderr);
    }
    let said = run(&["plugin", "check", "nowhere.wasm"]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.starts_with("tidegate: cannot read nowhere.wasm: "), "{}", said.stderr);
}

#[test]
fn says_what_a_file_must_be_called() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("My_Chat.wasm");
    std::fs::copy(crate::plugins::path("chat"), &file).unwrap();
    let said = run(&["plugin", "check", &file.display().to_string()]);
    assert!(said.stdout.contains("call it my-chat.wasm"), "{}", said.stdout);
    assert!(said.stdout.contains("load it as `my-chat`"), "{}", said.stdout);
}
