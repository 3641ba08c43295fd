//! `tidegate plugin test`

use std::path::Path;

use crate::harness::cli::Said;
use crate::{plugin, plugins};

fn script(name: &str) -> String {
    plugins::root().join("tests/plugin_tools/scripts").join(name).display().to_string()
}

/// A script of this text.
fn written(folder: &Path, name: &str, text: &str) -> String {
    let file = folder.join(name);
    std::fs::write(&file, text).unwrap();
    file.display().to_string()
}

/// A script that does not hold.
fn fails(name: &str, text: &str) -> Said {
    let folder = tempfile::tempdir().unwrap();
    let said = plugin("test", name, &[&written(folder.path(), "s.test", text)]);
    assert_eq!(said.code, Some(1), "{said:?}");
    said
}

#[test]
fn conversations_hold_with_a_real_server() {
    for (name, file, steps) in
        [("chat", "chat.test", 17), ("token-auth", "auth.test", 5), ("chat", "reload.test", 6)]
    {
        let said = plugin("test", name, &[&script(file)]);
        assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{}", said.stdout);
        assert_eq!(said.stdout, format!("ok      {}: {steps} steps\n", script(file)));
    }
}

#[test]
fn other_plugins_can_be_there() {
    let folder = tempfile::tempdir().unwrap();
    let text = r#"ada connect {"claims":{"sub":"ada"}}
ada subscribe logs {"filter":{"plugin":"level","params":{"min":"error"}}}
ada publish logs {"level":"info"}
ada publish logs {"level":"fatal"}
ada gets logs {"level":"fatal"}
ada action echo [1] answers {"data":[1]}
"#;
    let file = written(folder.path(), "s.test", text);
    let (auth, tools) = (plugins::path("token-auth"), plugins::path("tools"));
    let more = ["--with", &auth.display().to_string(), "--with", &tools.display().to_string()];
    let said = plugin("test", "level-filter", &[&[&*file], &more[..]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
}

#[test]
fn what_does_not_hold_is_shown_with_its_line_and_what_came() {
    let said = fails(
        "chat",
        "\nbo subscribe chat:a\nbo publish chat:a {\"text\":\"hi\"}\nbo gets chat:a {\"text\":\"ho\"}\n",
    );
    let expected = r#"s.test:4: bo gets chat:a {"text":"ho"}
  `data.text` is "hi", and not "ho"
  expected {"channel":"chat:a","data":{"text":"ho"},"type":"data"}
  got      {"channel":"chat:a","data":{"from":"bo","text":"hi"},"#;
    assert!(said.stdout.starts_with("FAILED  ") && said.stdout.contains(expected), "{}", said.stdout);
    assert_eq!(said.stderr, "tidegate: the script does not hold\n");

    for (text, why) in [
        ("bo subscribe chat:a refused", "it is not refused\n  got      {"),
        ("bo publish chat:a 7", "it is refused\n  got      {"),
        (
            "bo subscribe chat:a\nada publish chat:a {\"text\":\"x\"}\nbo gets nothing",
            "there is something\n  got      {",
        ),
        ("server GET /api/nothing", "the status is another\n  expected 200\n  got      404"),
        ("bo send {\"type\":\"auth\",\"token\":1}\nbo closed 4001", "does not come within"),
        ("server reload nothing.wasm", "cannot read "),
    ] {
        let said = fails("chat", text);
        assert!(said.stdout.contains(why), "{why} in\n{}", said.stdout);
    }
}

#[test]
fn what_is_no_script_is_said_before_anything_is_run() {
    let said = fails("chat", "ada subscribe chat:a\nada sings\n");
    assert_eq!(said.stdout, "");
    assert!(
        said.stderr.contains("s.test:2: `sings` is nothing that a client does: connect, "),
        "{}",
        said.stderr
    );

    let said = fails("chat", "---\nfoo = 1\n---\nada subscribe chat:a\n");
    assert!(said.stdout.contains("unknown field `foo`"), "{}", said.stdout);
    let said = fails("core-module", "ada subscribe chat:a\n");
    assert!(said.stdout.contains("it is a core module"), "{}", said.stdout);
}

#[test]
fn one_bad_script_of_several_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let bad = written(folder.path(), "bad.test", "ada subscribe chat:a refused\n");
    let said = plugin("test", "chat", &[&script("chat.test"), &bad]);
    assert_eq!((said.code, &*said.stderr), (Some(1), "tidegate: 1 of 2 scripts do not hold\n"));
    assert!(said.stdout.starts_with("ok      ") && said.stdout.contains("\nFAILED  "), "{}", said.stdout);
}
