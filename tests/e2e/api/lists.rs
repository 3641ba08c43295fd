//! `GET /api/channels`, `GET /api/connections` and one of them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{get, id, post};
use crate::harness::{Client, Server, cli, http, wait::eventually};

async fn names(server: &Server, path: &str) -> (Vec<String>, Option<String>) {
    let page = get(server, path).await;
    let names = page["channels"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap().to_owned());
    (names.collect(), page.get("next").map(|next| next.as_str().unwrap().to_owned()))
}

#[tokio::test]
async fn two_thousand_five_hundred_channels_come_in_pages_by_name() {
    let server = Server::builder().shards(3).start();
    let mut wanted: Vec<String> = (0..2500).map(|n| format!("room:{n}")).collect();
    for channels in wanted.chunks(1000) {
        post(&server, "/api/broadcast", json!({ "channels": channels, "data": 1 })).await;
    }
    post(&server, "/api/publish", json!({ "channel": "roo", "data": 1 })).await;
    post(&server, "/api/publish", json!({ "channel": "room;", "data": 1 })).await;
    wanted.sort();

    for limit in [1000, 999, 7] {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let (page, next) =
                names(&server, &format!("/api/channels?prefix=room:&limit={limit}{after}")).await;
            assert!(page.len() == limit || next.is_none());
            all.extend(page);
            // The small pages are looked at up to where two shards and more have been asked.
            match next {
                Some(next) if limit > 100 || all.len() < 100 => after = format!("&after={next}"),
                next => {
                    assert!(next.is_none() || limit < 100);
                    break;
                }
            }
        }
        assert_eq!(all, wanted[..all.len()], "in pages of {limit}");
        assert!(all.len() == 2500 || limit < 100);
    }
    assert_eq!(names(&server, "/api/channels").await.0.len(), 100, "a page has 100 where nothing is said");
    assert_eq!(names(&server, "/api/channels?prefix=none").await, (vec![], None));
    let (last, next) = names(&server, "/api/channels?after=room:999&limit=1000").await;
    assert_eq!((last, next), (vec!["room;".to_owned()], None));
    // A page that ends with the list has no next.
    let (whole, next) = names(&server, "/api/channels?after=room:998&limit=2").await;
    assert_eq!((whole.len(), next), (2, None));
}

#[tokio::test]
async fn a_channel_counts_its_subscribers_on_all_shards() {
    let server = Server::builder().shards(4).start();
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(&server).await;
        client.subscribe("räume/1").await;
        client.subscribe("räume/1").await;
        clients.push(client);
    }
    let count = async || get(&server, "/api/channels?prefix=r%C3%A4ume").await["channels"].clone();
    // The second subscription of each is counted for a moment, until the first is forgotten.
    let ten = json!([{ "name": "räume/1", "subscribers": 10 }]);
    eventually("ten subscribers", async || (count().await == ten).then_some(())).await;
    clients[0].unsubscribe("räume/1").await;
    clients.pop();
    eventually("eight subscribers", async || (count().await[0]["subscribers"] == 8).then_some(())).await;
}

#[tokio::test]
async fn connections_are_listed_in_pages_by_id() {
    let server = Server::builder().plugins(&["test-auth"]).shards(3).start();
    let mut clients = Vec::new();
    for n in 0..30 {
        let user = if n % 3 == 0 { "ada" } else { "bob" };
        let mut client = Client::with_token(&server, user).await;
        client.ping().await;
        clients.push(client);
    }
    let ids = async |query: &str| -> (Vec<String>, Option<String>) {
        let page = get(&server, &format!("/api/connections?{query}")).await;
        let ids =
            page["connections"].as_array().unwrap().iter().map(|c| c["client"].as_str().unwrap().to_owned());
        (ids.collect(), page["next"].as_str().map(str::to_owned))
    };
    let (all, next) = ids("limit=1000").await;
    assert_eq!((all.len(), next), (30, None));
    assert!(all.is_sorted(), "{all:?}");
    assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 30);
    let mut paged = Vec::new();
    let mut after = String::new();
    loop {
        let (page, next) = ids(&format!("limit=4{after}")).await;
        paged.extend(page);
        match next {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    assert_eq!(paged, all);
    assert_eq!(ids("user=ada&limit=100").await.0.len(), 10);
    assert_eq!(ids("user=nobody").await, (vec![], None));
}

#[tokio::test]
async fn one_connection_tells_of_itself_and_its_channels() {
    let server = Server::with(&["test-auth"]);
    let before = now();
    let mut ada = Client::with_token(&server, "ada").await;
    for channel in ["b", "a", "c"] {
        ada.subscribe(channel).await;
    }
    let client = get(&server, "/api/connections?user=ada").await["connections"][0].clone();
    let one = get(&server, &format!("/api/connections/{}", client["client"].as_str().unwrap())).await;
    assert_eq!((&one["user"], &one["subscriptions"]), (&json!("ada"), &json!(3)));
    assert_eq!(one["channels"], json!(["a", "b", "c"]));
    assert!(client.get("channels").is_none(), "{client}");
    let since = one["connected_at"].as_f64().unwrap();
    assert!(before - 0.01 <= since && since <= now(), "{since}");
    assert!(one["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{one}");

    let mut anonymous = Client::connect(&server).await;
    let its = id(&mut anonymous).await;
    assert_eq!(get(&server, &format!("/api/connections/{its}")).await["user"], Value::String(its.clone()));
    drop(anonymous);
    let gone =
        async || (http::get(&server, &format!("/api/connections/{its}")).await.status == 404).then_some(());
    eventually("it is gone", gone).await;
    for other in ["0000000000000000", "ffffffffffffffff"] {
        assert_eq!(http::get(&server, &format!("/api/connections/{other}")).await.status, 404);
    }
}

#[tokio::test]
async fn who_is_not_let_in_is_in_no_list_and_is_subscribed_to_nothing() {
    let config = "
        [[channel]]
        pattern = '*'
        [plugins.token-auth.config]
        anonymous = 'false'
    ";
    let server = Server::builder().plugins(&["token-auth"]).config(config).shards(1).start();
    let mut client = Client::connect(&server).await;
    let connections = async || get(&server, "/api/info").await["connections"].clone();
    eventually("it is connected", async || (connections().await == 1).then_some(())).await;
    let its = "0000000000000001";
    let subscribe = json!({ "client": its, "channel": "room" });
    let listed = async || get(&server, "/api/connections").await["connections"].as_array().unwrap().len();
    assert_eq!(listed().await, 0);
    assert_eq!(http::get(&server, &format!("/api/connections/{its}")).await.status, 404);
    assert_eq!(post(&server, "/api/subscribe", subscribe.clone()).await, json!({ "subscribed": 0 }));

    client.ask(json!({ "type": "auth", "token": cli::token(&["ada"]) })).await;
    assert_eq!(listed().await, 1);
    assert_eq!(post(&server, "/api/subscribe", subscribe).await, json!({ "subscribed": 1 }));
}

fn now() -> f64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64()
}
