//! Signed-in users: their own channel, and who watches them.

use serde_json::{Value, json};

use super::{KEY, Pusher, publish, server, signed};

#[tokio::test]
async fn a_user_has_a_channel_that_nobody_else_gets_into() {
    let server = server();
    let (mut ada, mut eve) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    assert_eq!(ada.refused("#server-to-user-ada", "", None).await["status"], 401, "not signed in");
    ada.sign_in(json!({ "id": "ada" })).await;
    eve.sign_in(json!({ "id": "eve" })).await;
    ada.subscribe("#server-to-user-ada").await;
    let auth = signed(&[&eve.socket_id, ":", "#server-to-user-ada"]);
    assert_eq!(eve.refused("#server-to-user-ada", &auth, None).await["status"], 401);
    publish(&server, "#server-to-user-ada", "e", "1").await;
    assert_eq!(ada.next().await, json!({ "event": "e", "channel": "#server-to-user-ada", "data": "1" }));
    ada.silent().await;
    eve.silent().await;
}

#[tokio::test]
async fn who_signs_in_wrong_is_told_so_and_stays() {
    let server = server();
    let mut pusher = Pusher::connect(&server).await;
    let socket_id = pusher.socket_id.clone();
    let data = r#"{"id":"ada"}"#;
    let good = signed(&[&socket_id, "::user::", data]);
    let other = good.replace(KEY, "other");
    for (auth, user_data) in [
        ("", data),
        ("a:b", data),
        (&*other, data),
        (&signed(&[&socket_id, ":", data]), data),
        (&signed(&["1.1", "::user::", data]), data),
        (&good, r#"{"id":"eve"}"#),
        (&signed(&[&socket_id, "::user::", "{}"]), "{}"),
        (&signed(&[&socket_id, "::user::", r#"{"id":""}"#]), r#"{"id":""}"#),
        (&signed(&[&socket_id, "::user::", r#"{"id":5}"#]), r#"{"id":5}"#),
        (&signed(&[&socket_id, "::user::", r#"{"id":"a\nb"}"#]), r#"{"id":"a\nb"}"#),
    ] {
        pusher.send("pusher:signin", json!({ "auth": auth, "user_data": user_data })).await;
        assert_eq!(pusher.error().await.0, Some(4009), "{auth} {user_data}");
    }
    pusher.sign_in(json!({ "id": "ada" })).await;
    pusher.sign_in(json!({ "id": "ada" })).await;
    let data = r#"{"id":"eve"}"#;
    let auth = signed(&[&socket_id, "::user::", data]);
    pusher.send("pusher:signin", json!({ "auth": auth, "user_data": data })).await;
    let (code, words) = pusher.error().await;
    assert!(code == Some(4009) && words.contains("another user"), "{words}");
}

async fn seen(pusher: &mut Pusher) -> (String, String) {
    let told = pusher.next_data("pusher_internal:watchlist_events").await;
    let [event] = &told["events"].as_array().unwrap()[..] else { panic!("{told}") };
    (event["name"].as_str().unwrap().into(), event["user_ids"][0].as_str().unwrap().into())
}

#[tokio::test]
async fn who_watches_hears_of_the_first_connection_and_the_last() {
    let server = server();
    let mut bob = Pusher::connect(&server).await;
    bob.sign_in(json!({ "id": "bob" })).await;
    let mut ada = Pusher::connect(&server).await;
    ada.sign_in(json!({ "id": "ada", "watchlist": ["bob", "eve", "bob"] })).await;
    let mut states = [seen(&mut ada).await, seen(&mut ada).await];
    states.sort();
    let own = |state: &str, user: &str| (state.to_owned(), user.to_owned());
    assert_eq!(states, [own("offline", "eve"), own("online", "bob")]);

    let mut tabs = Vec::new();
    for _ in 0..2 {
        let mut eve = Pusher::connect(&server).await;
        eve.sign_in(json!({ "id": "eve" })).await;
        tabs.push(eve);
    }
    assert_eq!(seen(&mut ada).await, own("online", "eve"));
    ada.silent().await;
    tabs.pop().unwrap().gone().await;
    ada.silent().await;
    tabs.pop().unwrap().gone().await;
    assert_eq!(seen(&mut ada).await, own("offline", "eve"));
    bob.gone().await;
    assert_eq!(seen(&mut ada).await, own("offline", "bob"));
    let channels = crate::harness::http::get(&server, "/api/channels").await.json();
    assert!(!channels.to_string().contains('$'), "{channels}");
}

#[tokio::test]
async fn a_long_watchlist_is_watched_up_to_a_hundred() {
    let server = server();
    let users: Vec<Value> = (0..101).map(|n| json!(n.to_string())).collect();
    let mut ada = Pusher::connect(&server).await;
    ada.sign_in(json!({ "id": "ada", "watchlist": users })).await;
    assert_eq!(ada.error().await.0, Some(4302));
    let mut watched = Vec::new();
    for _ in 0..100 {
        watched.push(seen(&mut ada).await.1.parse::<u32>().unwrap());
    }
    watched.sort_unstable();
    assert_eq!(watched, (0..100).collect::<Vec<_>>());
    ada.silent().await;
}
