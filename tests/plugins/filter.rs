use serde_json::{Value, json};

use super::Examples;
use super::harness::Client;

const LEVELS: [(&str, usize); 6] =
    [("debug", 0), ("info", 1), ("warn", 2), ("warning", 2), ("error", 3), ("fatal", 4)];
/// So many, sent without waiting, that a batch of them has more bits than a word.
const ROUNDS: usize = 12;

fn wanting(examples: &Examples, params: &Value) -> Value {
    json!({ "channel": "logs", "filter": { "plugin": examples.filter, "params": params } })
}

/// Each subscriber gets its level and what is above, whatever else is published.
pub async fn scenario(examples: &Examples) {
    let server = examples.server().start();
    let mut readers = Vec::new();
    for (level, rank) in LEVELS {
        let mut reader = Client::connect(&server).await;
        reader.subscribe_with(wanting(examples, &json!({ "min": level, "more": 1 }))).await;
        readers.push((rank, reader));
    }
    let mut publisher = Client::connect(&server).await;
    for params in [json!(null), json!({}), json!({ "min": 4 }), json!({ "min": "loud" }), json!([])] {
        let mut asked = wanting(examples, &params);
        asked["type"] = json!("subscribe");
        let answer = publisher.ask(asked).await;
        assert_eq!(answer["code"], "invalid_params", "{params}");
        assert!(
            answer.to_string().contains("`min` must be one of debug, info, warn, error, fatal."),
            "{answer}"
        );
    }

    let mut sent = Vec::new();
    for round in 0..ROUNDS {
        for (level, rank) in LEVELS {
            sent.push((Some(rank), json!({ "at": [round], "text": "fatal", "level": level })));
        }
        let nothing = [json!(7), json!({}), json!({ "level": 3 }), json!({ "level": "loud" }), json!(null)];
        sent.extend(nothing.map(|data| (None, data)));
    }
    for (_, data) in &sent {
        publisher.send(json!({ "type": "publish", "channel": "logs", "data": data })).await;
    }
    let escaped = r#"{"type":"publish","channel":"logs","data":{"level":"\u0066atal","last":"ü"}}"#;
    publisher.send_text(escaped).await;
    sent.push((Some(4), json!({ "level": "fatal", "last": "ü" })));
    for (least, reader) in &mut readers {
        for (_, data) in sent.iter().filter(|(rank, _)| rank.is_some_and(|rank| rank >= *least)) {
            assert_eq!(reader.data().await, *data, "at least {least}");
        }
        reader.ping().await;
        assert_eq!(reader.left_over(), [], "at least {least}");
    }
}
