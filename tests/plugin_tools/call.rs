//! `tidegate plugin call`

use std::path::Path;

use serde_json::{Value, json};

use crate::plugin;

/// What the calls gave, a line each.
fn called(name: &str, function: &str, calls: &[Value], host: Option<&Path>) -> Vec<Value> {
    let mut arguments = vec![function.to_owned()];
    for call in calls {
        arguments.extend(["--json".into(), call.to_string()]);
    }
    if let Some(host) = host {
        arguments.extend(["--host".into(), host.display().to_string()]);
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let said = plugin("call", name, &arguments);
    assert_eq!(said.code, Some(0), "{said:?}");
    said.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_handler_says_its_verdict() {
    let say = |text: &str| json!({ "channel": "chat:a", "user": "ada", "data": { "text": text } });
    let said = called("chat", "publish", &[say(" hi "), say(" ")], None);
    assert_eq!(
        said,
        [
            json!({ "verdict": { "replace": { "data": { "from": "ada", "text": "hi" } } }, "effects": [] }),
            json!({ "verdict": { "deny": { "code": 1, "reason": "Say something: the text is empty." } },
                    "effects": [] }),
        ]
    );
}

#[test]
fn a_channel_is_one_for_all_calls_and_has_its_captures() {
    let come = json!({ "channel": "greeter:a", "user": "ada", "respond": true });
    let said = called("greeter", "subscribe", &[come.clone(), come], None);
    let greeting = |n: usize| &said[n]["accepted"]["response"]["data"];
    assert_eq!((&greeting(0)["greeted"], &greeting(1)["greeted"]), (&json!(1), &json!(2)));

    let welcomed =
        called("chat", "subscribe", &[json!({ "channel": "chat:b", "user": "bo", "respond": true })], None);
    assert_eq!(welcomed[0]["accepted"]["response"]["data"]["text"], "Welcome to b, bo.");
    let told =
        json!({ "channel": "chat:b", "captures": { "room": "the hall" }, "user": "bo", "respond": true });
    let welcomed = called("chat", "subscribe", &[told], None);
    assert_eq!(welcomed[0]["accepted"]["response"]["data"]["text"], "Welcome to the hall, bo.");
}

#[test]
fn a_filter_judges_and_auth_and_actions_answer() {
    let messages =
        json!([{ "data": { "level": "info" } }, { "data": { "level": "error" } }, { "text": "x" }]);
    let calls = [json!({ "params": { "min": "warn" }, "messages": messages }), json!({ "messages": [] })];
    let judged = called("level-filter", "filter", &calls, None);
    assert_eq!(judged[0], json!({ "passes": [false, true, false] }));
    assert_eq!(judged[1], json!({ "refused": "`min` must be one of debug, info, warn, error, fatal." }));

    let refused = called("token-auth", "authenticate", &[json!({ "token": "nonsense" })], None);
    assert_eq!(refused, [json!({ "refused": "The token is malformed." })]);
    let may = json!({ "user": "bo", "action": "subscribe", "channel": "room" });
    assert_eq!(called("token-auth", "authorize", &[may], None), [json!({ "permission": "granted" })]);

    let echo = json!({ "name": "echo", "user": "ada", "data": [1, { "b": 2 }] });
    let echoed = called("tools", "action", &[echo], None);
    assert!(echoed[0]["reply"].to_string().contains(r#"[1,{"b":2}]"#), "{echoed:?}");
}

#[test]
fn settings_come_from_the_recorded_host() {
    let folder = tempfile::tempdir().unwrap();
    let host = folder.path().join("host.json");
    std::fs::write(
        &host,
        json!({ "config": { "secret": "a-secret-that-is-long-enough-0123456789" } }).to_string(),
    )
    .unwrap();
    let host = host.display().to_string();
    let arguments = ["authenticate", "--json", r#"{"token":"x"}"#, "--host", &host];
    let with = plugin("call", "token-auth", &arguments);
    let without = plugin("call", "token-auth", &arguments[..3]);
    assert_eq!((with.code, &*with.stderr), (Some(0), ""));
    assert!(
        without.stderr.contains("The setting `secret` is missing"),
        "the log is shown: {}",
        without.stderr
    );

    std::fs::write(folder.path().join("host.json"), r#"{"presense":{}}"#).unwrap();
    let wrong = plugin("call", "token-auth", &arguments);
    assert_eq!(wrong.code, Some(1));
    assert!(
        wrong.stderr.contains("is no recorded host: `presense`: unknown field `presense`"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn a_failure_ends_with_1_and_says_what_it_was() {
    let said = plugin("call", "tools", &["action", "--json", r#"{"name":"trap"}"#]);
    assert_eq!(said.code, Some(1));
    let line: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(line["failed"], "panic", "{line}");
    assert!(said.stderr.contains("action of "), "{}", said.stderr);

    let said = plugin("call", "tools", &["action", "--json", r#"{"name":"nothing"}"#]);
    assert!(said.stderr.contains("it has no action `nothing`; it has echo, send_message, fail, trap"));
    let said = plugin("call", "chat", &["timer", "--json", r#"{"channel":"chat:a"}"#]);
    assert!(said.stderr.contains("missing field `id`"), "{}", said.stderr);
    let said = plugin("call", "chat", &["filter", "--json", r#"{"messages":[]}"#]);
    assert!(said.stderr.contains("it does not export `filter`"), "{}", said.stderr);
}
