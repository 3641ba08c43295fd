use serde_json::{Value, json};

use super::Examples;
use super::harness::{Client, cli, http};

const RULE: &str = "[[channel]]\npattern = \"chat:*\"\ndefault_response = true\n";

/// JSON is checked and rewritten, what is wrong is refused, who comes is welcomed.
pub async fn scenario(examples: &Examples) {
    let server = examples.server().config(RULE).start();
    let mut ada = Client::with_token(&server, &cli::token(&["ada"])).await;
    let mut bob = Client::with_token(&server, &cli::token(&["bob", "--channel", "chat:*"])).await;
    bob.subscribe("chat:lobby").await;
    let welcome = json!({ "text": "Welcome to lobby, bob.", "from": "server" });
    assert_eq!(bob.data().await, welcome);

    let hardly = "ü".repeat(499) + "𝄞";
    for (text, said) in [
        ("  hello \n", "hello"),
        ("\u{a0}\u{2003}\u{3000}hel lo\u{2028}\u{feff}x\u{202f}", "hel lo\u{2028}\u{feff}x"),
        ("\"quoted\" \\ back", "\"quoted\" \\ back"),
        ("\t\u{1}a\n b ", "\u{1}a\n b"),
        ("Grüße, 世界 𝄞", "Grüße, 世界 𝄞"),
        (hardly.as_str(), hardly.as_str()),
    ] {
        ada.publish("chat:lobby", json!({ "text": text, "more": [1, { "text": "no" }] })).await;
        let frame = bob.expect("data").await;
        assert_eq!(
            (&frame["data"], &frame["sender"]),
            (&json!({ "text": said, "from": "ada" }), &json!("ada"))
        );
    }
    let escaped = r#"{"type":"publish","channel":"chat:lobby","data":{"\u0074ext":"\u0068i \ud834\udd1e"}}"#;
    ada.send_text(escaped).await;
    assert_eq!(bob.data().await, json!({ "text": "hi 𝄞", "from": "ada" }));

    let shape = r#"A message looks like {"text":"hello"}."#;
    let long = "The text has 501 characters; at most 500 are allowed.";
    for (data, code, reason) in [
        (json!({ "text": " \n\t" }), 1, "Say something: the text is empty."),
        (json!({ "text": hardly.clone() + "x" }), 2, long),
        (json!({ "text": 5 }), 3, shape),
        (json!({}), 3, shape),
        (json!("hello"), 3, shape),
        (json!([]), 3, shape),
        (Value::Null, 3, shape),
    ] {
        let answer = ada.try_publish("chat:lobby", data).await;
        assert_eq!((&answer["code"], &answer["reason_code"]), (&json!("rejected"), &json!(code)), "{answer}");
        assert_eq!(answer["message"], reason);
    }

    let body = json!({ "channel": "chat:lobby", "data": { "text": "mind the gap" } });
    assert_eq!(http::post(&server, "/api/publish", &body.to_string()).await.status, 200);
    assert_eq!(bob.data().await, json!({ "text": "mind the gap", "from": "server" }));
    bob.ping().await;
    assert_eq!(bob.left_over(), []);
    many(&mut ada, &mut bob).await;
}

/// So much goes through that a runtime with a collector has to collect.
async fn many(ada: &mut Client, bob: &mut Client) {
    const MESSAGES: usize = 2000;
    let ballast = "x".repeat(10_000);
    for number in 0..MESSAGES {
        let data = json!({ "text": format!("{number}"), "ballast": ballast });
        ada.send(json!({ "type": "publish", "channel": "chat:lobby", "data": data })).await;
        if number % 100 == 99 {
            for number in number - 99..=number {
                assert_eq!(bob.data().await["text"], number.to_string());
            }
        }
    }
    ada.ping().await;
    assert_eq!(ada.left_over(), []);
}
