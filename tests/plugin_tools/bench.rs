//! `tidegate plugin bench`

use serde_json::{Value, json};

use crate::plugin;

fn report(name: &str, arguments: &[&str]) -> Value {
    let said = plugin("bench", name, &[arguments, &["--seconds", "0.05", "--json"]].concat());
    assert_eq!(said.code, Some(0), "{said:?}");
    serde_json::from_str(&said.stdout).unwrap()
}

#[test]
fn every_function_that_is_exported_is_measured() {
    let chat = report("chat", &[]);
    let functions = chat["functions"].as_array().unwrap();
    let names: Vec<&Value> = functions.iter().map(|line| &line["function"]).collect();
    assert_eq!(names, ["publish", "subscribe", "unsubscribe"]);
    for line in functions {
        assert!(line["calls"].as_u64() > Some(0) && line["p50_us"].as_f64() > Some(0.0), "{line}");
        assert!(line["p99_us"].as_f64() >= line["p50_us"].as_f64(), "{line}");
    }
    let text = &functions[0]["gave"]["verdict"]["replace"]["data"]["text"];
    assert_eq!(text.as_str().map(str::len), Some(89), "a message of 100 bytes");
    assert!(
        chat["instantiate_us"].as_f64() > Some(0.0) && chat["memory_bytes"].as_u64() >= Some(65_536),
        "{chat}"
    );

    let auth = report("token-auth", &[]);
    let names: Vec<&Value> =
        auth["functions"].as_array().unwrap().iter().map(|line| &line["function"]).collect();
    assert_eq!(names, ["authenticate", "authorize"]);
}

#[test]
fn what_was_given_takes_the_place_of_the_usual_and_what_fails_is_said() {
    let messages = vec![json!({ "data": { "level": "error" } }); 3];
    let filter = json!({ "params": { "min": "warn" }, "messages": messages }).to_string();
    let given = report("level-filter", &["--call", "filter", &filter]);
    assert_eq!(given["functions"][0]["gave"], json!({ "passes": [true, true, true] }));
    assert_eq!(given["functions"].as_array().map(Vec::len), Some(1));

    let usual = report("level-filter", &[]);
    assert!(usual["functions"][0]["gave"]["refused"].is_string(), "{usual}");
    let trapped = report("tools", &["--call", "action", r#"{"name":"trap"}"#]);
    assert_eq!(trapped["functions"][0]["gave"]["failed"], "panic");

    let said = plugin("bench", "chat", &["--seconds", "0.05"]);
    assert!(said.stdout.contains("function          calls/s"), "{}", said.stdout);
    assert!(said.stdout.contains("\n  publish  "), "{}", said.stdout);
    let wrong = plugin("bench", "chat", &["--call", "publish", "{}"]);
    assert!(wrong.stderr.contains("--call publish {}: missing field `channel`"), "{}", wrong.stderr);
}
