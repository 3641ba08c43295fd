//! What the HTTP API does to clients: leaves one out, ends a user's connections, remembers.

use serde_json::json;

use crate::harness::client::Arrived;
use crate::harness::pusher::{APP, App, builder};
use crate::pusher::Pusher;

#[tokio::test]
async fn the_connection_that_is_left_out_does_not_get_it() {
    let server = builder("").start();
    let (mut ada, mut bob) = (Pusher::connect(&server).await, Pusher::connect(&server).await);
    ada.subscribe("room").await;
    bob.subscribe("room").await;
    let event =
        |data: &str, id: &str| json!({ "name": "e", "channels": ["room"], "data": data, "socket_id": id });
    APP.post("/events", &event("1", &ada.socket_id)).done(&server).await;
    APP.post("/events", &event("2", "1.1")).done(&server).await;
    let batch = [json!({ "name": "e", "channel": "room", "data": "3", "socket_id": bob.socket_id })];
    APP.post("/batch_events", &json!({ "batch": batch })).done(&server).await;
    for (client, expected) in [(&mut ada, ["2", "3"]), (&mut bob, ["1", "2"])] {
        for data in expected {
            assert_eq!(client.next().await, json!({ "event": "e", "channel": "room", "data": data }));
        }
        client.silent().await;
    }
}

#[tokio::test]
async fn a_users_connections_are_ended_and_no_others() {
    let server = builder("").start();
    let mut clients = Vec::new();
    for user in ["ada", "ada", "bob", "ada l"] {
        let mut client = Pusher::connect(&server).await;
        client.sign_in(json!({ "id": user })).await;
        clients.push(client);
    }
    // Being there under that name is not being signed in.
    let mut there = Pusher::connect(&server).await;
    there.join("presence-room", json!({ "user_id": "ada" })).await;
    assert_eq!(APP.post("/users/ada/terminate_connections", &json!({})).done(&server).await, json!({}));
    let (mut first, mut second) = (clients.remove(0), clients.remove(0));
    for client in [&mut first, &mut second] {
        assert_eq!(client.error().await, (Some(4009), "You got disconnected by the app.".into()));
        assert!(matches!(client.client.next().await, Arrived::Closed(4009, _)));
    }
    there.silent().await;
    clients[0].silent().await;
    // The SDK for Python encodes the path after it has signed it.
    let short = |path: &str| APP.call("POST", path.into(), "{}");
    let target = short("/users/ada l/terminate_connections").target().replace(' ', "%20");
    let answer = crate::harness::http::request(&server, "POST", &target, &[], "{}").await;
    assert_eq!((answer.status, &*answer.body), (200, "{}"));
    assert_eq!(clients[1].error().await.0, Some(4009));
    let nobody = App { secret: "wrong", ..APP }.post("/users/bob/terminate_connections", &json!({}));
    assert_eq!(nobody.refused(&server).await.0, 401);
    clients[0].silent().await;
}

#[tokio::test]
async fn what_a_cache_channel_remembers_is_told() {
    let server = builder("").start();
    let nothing = json!({ "occupied": false, "cache": null });
    assert_eq!(APP.get("/channels/cache-x?info=cache").done(&server).await, nothing);
    APP.post("/events", &json!({ "name": "e", "channel": "cache-x", "data": "{\"a\": 1}" }))
        .done(&server)
        .await;
    let mut answer = APP.get("/channels/cache-x?info=cache").done(&server).await;
    let ttl = answer["cache"]["ttl"].take().as_u64().unwrap();
    assert!((1790..=1800).contains(&ttl), "{ttl}");
    assert_eq!(answer, json!({ "occupied": false, "cache": { "data": "{\"a\": 1}", "ttl": null } }));
    assert_eq!(APP.get("/channels/x?info=cache").done(&server).await, json!({ "occupied": false }));
}

#[tokio::test]
async fn a_signed_in_user_is_sent_to_and_not_listed() {
    let server = builder("").start();
    let mut ada = Pusher::connect(&server).await;
    ada.sign_in(json!({ "id": "ada" })).await;
    ada.ask("#server-to-user-ada", "", None).await;
    let event = json!({ "name": "e", "channels": ["#server-to-user-ada"], "data": "1" });
    APP.post("/events", &event).done(&server).await;
    assert_eq!(ada.next().await["data"], "1");
    assert_eq!(APP.get("/channels").done(&server).await, json!({ "channels": {} }));
}
