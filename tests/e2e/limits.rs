//! Limits of messages and bytes a second: by connection, user, address and channel.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::raw::{PING, PONG};
use crate::harness::{Client, Raw, Server, http};

/// A rate that gives nothing back while a test runs: so many messages, and that is all.
fn only(messages: u32) -> String {
    format!("rate = {{ messages_per_sec = {}, burst_secs = 3600 }}", f64::from(messages) / 3600.0)
}

fn server(config: &str) -> Server {
    let config = format!("{config}\n[[channel]]\npattern = '*'\n");
    Server::builder().plugins(&["test-auth", "tools"]).config(&config).shards(4).start()
}

/// How many of these many publishes pass, a connection each in turn.
async fn passed(clients: &mut [&mut Client], publishes: usize) -> usize {
    let mut passed = 0;
    for n in 0..publishes {
        let at = n % clients.len();
        passed += usize::from(clients[at].try_publish("room", json!(n)).await["type"] == "published");
    }
    passed
}

/// Publishes until it is refused: the wait that it is told.
async fn until_refused(client: &mut Client, channel: &str) -> Duration {
    for _ in 0..1000 {
        let answer = client.try_publish(channel, json!(1)).await;
        if answer["code"] == "rate_limited" {
            assert_eq!(
                (&answer["message"], &answer["channel"]),
                (&json!("Rate limit exceeded."), &json!(channel))
            );
            return Duration::from_secs_f64(answer["retry_after"].as_f64().unwrap());
        }
        assert_eq!(answer["type"], "published", "{answer}");
    }
    panic!("nothing is refused");
}

// === what a client is told ===

#[tokio::test]
async fn a_burst_passes_and_after_just_the_wait_that_is_told_the_next_one_does() {
    for table in ["connection", "user", "address"] {
        let server = server(&format!("[limits.{table}]\nrate = {{ messages_per_sec = 4, burst_secs = 2 }}"));
        let mut client = Client::with_token(&server, "ada").await;
        assert_eq!(passed(&mut [&mut client], 8).await, 8, "{table}");
        for _ in 0..3 {
            let wait = until_refused(&mut client, "room").await;
            assert!(wait > Duration::ZERO && wait <= Duration::from_millis(250), "{table}: {wait:?}");
            tokio::time::sleep(wait).await;
            client.publish("room", json!("in time")).await;
        }
    }
}

#[tokio::test]
async fn what_is_refused_does_nothing() {
    let server = server(&format!("[limits.connection]\n{}", only(3)));
    let (mut reader, mut client) = (Client::connect(&server).await, Client::connect(&server).await);
    reader.subscribe("room").await;
    for n in 0..3 {
        client.publish("room", json!(n)).await;
    }
    for frame in [
        json!({ "type": "publish", "channel": "room", "data": "late" }),
        json!({ "type": "subscribe", "channel": "room" }),
    ] {
        let answer = client.ask(frame).await;
        assert_eq!(
            (&answer["code"], &answer["channel"]),
            (&json!("rate_limited"), &json!("room")),
            "{answer}"
        );
    }
    let mut other = Client::connect(&server).await;
    other.publish("room", json!("end")).await;
    for n in [json!(0), json!(1), json!(2), json!("end")] {
        assert_eq!(reader.data().await, n);
    }
    assert_eq!(client.left_over(), []);
}

#[tokio::test]
async fn everything_that_a_client_sends_counts() {
    let server = server(&format!("limits.message_bytes = 1000\n[limits.connection]\n{}", only(9)));
    let mut client = Client::connect(&server).await;
    client.publish("room", json!(1)).await;
    client.subscribe("room").await;
    client.unsubscribe("room").await;
    client.ask(json!({ "type": "action", "channel": "echo", "data": 1 })).await;
    client.ask(json!({ "type": "auth", "token": "ada" })).await;
    client.send_text("no JSON").await;
    client.send_binary(b"\x04room...".to_vec()).await;
    client.send_text(&"x".repeat(1001)).await;
    // Ten pings are the ninth.
    for _ in 0..10 {
        client.ping().await;
    }
    for frame in [
        json!({ "type": "auth", "token": "ada" }),
        json!({ "type": "action", "channel": "echo" }),
        json!({ "type": "ping" }),
        json!({ "type": "dance" }),
    ] {
        let answer = client.ask(frame).await;
        assert_eq!((&answer["code"], answer.get("channel")), (&json!("rate_limited"), None), "{answer}");
    }
    for send in ["no JSON", &"x".repeat(1001)] {
        client.send_text(send).await;
        let refused = client.expect("error").await;
        assert!(refused["code"] == "bad_json" || refused["code"] == "too_large", "{refused}");
    }
    for _ in 0..2 {
        assert_eq!(client.expect("error").await["code"], "rate_limited");
    }
}

#[tokio::test]
async fn bytes_count_too_and_a_message_past_the_burst_is_paid_off() {
    let server = server("[limits.connection]\nrate = { bytes_per_sec = 10000, burst_secs = 0.2 }");
    let mut client = Client::connect(&server).await;
    client.publish("room", json!("x".repeat(3000))).await;
    let answer = client.try_publish("room", json!("x".repeat(500))).await;
    let wait = answer["retry_after"].as_f64().unwrap_or_else(|| panic!("no wait in {answer}"));
    assert!((0.0..=0.2).contains(&wait), "{answer}");
    tokio::time::sleep(Duration::from_secs_f64(wait)).await;
    client.publish("room", json!("x".repeat(500))).await;
}

#[tokio::test]
async fn where_the_rule_says_so_excess_ends_the_connection() {
    for table in ["connection", "user", "address"] {
        let server = server(&format!("[limits.{table}]\non_excess = 'disconnect'\n{}", only(2)));
        let mut client = Client::with_token(&server, "ada").await;
        assert_eq!(passed(&mut [&mut client], 2).await, 2);
        client.send(json!({ "type": "publish", "channel": "room", "data": 3 })).await;
        let (code, reason) = client.closed().await;
        assert_eq!(code, 4002, "{table}: {reason}");
        let wait =
            reason.strip_prefix("Rate limit exceeded. retry_after=").unwrap_or_else(|| panic!("{reason}"));
        let wait: f64 = wait.parse().unwrap();
        assert!((1700.0..=1800.0).contains(&wait), "{wait}");
        assert_eq!(client.left_over(), []);
    }
}

#[tokio::test]
async fn pings_of_the_transport_count_a_little() {
    let server = server(&format!("[limits.connection]\n{}", only(1)));
    let mut raw = Raw::open(&server).await;
    for n in 0..10_u8 {
        raw.send(PING, &[n]).await;
        let pong = raw.next().await;
        assert_eq!((pong.opcode(), &pong.payload[..]), (PONG, &[n][..]));
    }
    raw.send(PING, b"x").await;
    assert_eq!(raw.next().await.json()["code"], "rate_limited");
}

// === who shares ===

#[tokio::test]
async fn each_connection_has_its_own() {
    let server = server(&format!("[limits.connection]\n{}", only(3)));
    for _ in 0..4 {
        let mut client = Client::with_token(&server, "ada").await;
        assert_eq!(passed(&mut [&mut client], 10).await, 3);
    }
}

#[tokio::test]
async fn a_users_connections_share_one_on_however_many_shards() {
    let server = server(&format!("[limits.user]\n{}", only(10)));
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(Client::with_token(&server, "ada").await);
    }
    let mut all: Vec<_> = clients.iter_mut().collect();
    assert_eq!(passed(&mut all, 32).await, 10);
    let mut bob = Client::with_token(&server, "bob").await;
    assert_eq!(passed(&mut [&mut bob], 12).await, 10, "another user has its own");
    for _ in 0..2 {
        let mut anonymous = Client::connect(&server).await;
        assert_eq!(passed(&mut [&mut anonymous], 12).await, 12, "anonymous clients are nobody's");
    }
}

#[tokio::test]
async fn a_new_token_brings_its_users_limits() {
    let server = server(&format!("[limits.user]\n{}", only(5)));
    let mut client = Client::connect(&server).await;
    client.ask(json!({ "type": "auth", "token": "ada" })).await;
    assert_eq!(passed(&mut [&mut client], 9).await, 5);
    // An `auth` frame counts for whom the client is when it sends it.
    let refused = client.ask(json!({ "type": "auth", "token": "bob" })).await;
    assert_eq!(refused["code"], "rate_limited");
    let mut other = Client::with_token(&server, "bob").await;
    assert_eq!(passed(&mut [&mut other], 2).await, 2);
    let answer = other.ask(json!({ "type": "auth", "token": "ada" })).await;
    assert_eq!(answer["type"], "authenticated");
    assert_eq!(passed(&mut [&mut other], 1).await, 0, "it is ada now, who has used hers up");
}

#[tokio::test]
async fn to_come_back_is_no_way_around() {
    for table in ["user", "address"] {
        let server = server(&format!("[limits.{table}]\n{}", only(4)));
        let mut passed_in_all = 0;
        for _ in 0..4 {
            let mut client = Client::with_token(&server, "ada").await;
            passed_in_all += passed(&mut [&mut client], 3).await;
        }
        assert_eq!(passed_in_all, 4, "{table}");
    }
}

// === addresses ===

async fn from(server: &Server, header: (&str, &str)) -> Client {
    Client::open(server, "/ws", &[header]).await.0
}

#[tokio::test]
async fn an_address_shares_one_and_what_a_trusted_proxy_says_is_the_address() {
    let config = format!("trusted_proxies = ['127.0.0.1']\n[limits.address]\n{}", only(5));
    let server = server(&config);
    let name = "x-forwarded-for";
    for same in [
        ["192.0.2.1", "192.0.2.1"],
        ["192.0.2.2", "10.9.9.9, 192.0.2.2"],
        ["192.0.2.3", "192.0.2.3, 127.0.0.1"],
        ["2001:db8::1", "2001:db8::ffff:1"],
        ["192.0.2.4", "::ffff:192.0.2.4"],
    ] {
        let (mut one, mut two) = (from(&server, (name, same[0])).await, from(&server, (name, same[1])).await);
        assert_eq!(passed(&mut [&mut one, &mut two], 12).await, 5, "{same:?}");
    }
    let mut other = from(&server, (name, "2001:db8:0:1::1")).await;
    assert_eq!(passed(&mut [&mut other], 12).await, 5, "another /64");
}

#[tokio::test]
async fn what_anyone_else_says_of_its_address_is_not_believed() {
    for trusted in [
        "",
        "trusted_proxies = ['10.0.0.0/8']",
        "trusted_proxies = ['127.0.0.1']\nforwarded_header = 'forwarded'",
    ] {
        let server = server(&format!("{trusted}\n[limits.address]\n{}", only(5)));
        let mut one = from(&server, ("x-forwarded-for", "192.0.2.1")).await;
        let mut two = from(&server, ("x-forwarded-for", "192.0.2.2")).await;
        let mut three = Client::connect(&server).await;
        assert_eq!(passed(&mut [&mut one, &mut two, &mut three], 12).await, 5, "{trusted}");
    }
}

#[tokio::test]
async fn the_forwarded_header_is_read_where_the_proxies_write_it() {
    let config = "trusted_proxies = ['127.0.0.0/8']\nforwarded_header = 'forwarded'\n";
    let server = server(&format!("{config}[limits.address]\n{}", only(5)));
    let mut one = from(&server, ("forwarded", "for=192.0.2.1;proto=https")).await;
    let mut two = from(&server, ("forwarded", "for=192.0.2.9, For=\"192.0.2.1:1234\"")).await;
    assert_eq!(passed(&mut [&mut one, &mut two], 12).await, 5);
    let mut other = from(&server, ("forwarded", "for=192.0.2.2")).await;
    assert_eq!(passed(&mut [&mut other], 12).await, 5);
}

#[tokio::test]
async fn who_may_use_the_server_api_is_judged_by_the_clients_address() {
    let server = server("trusted_proxies = ['127.0.0.1']");
    let status = async |hops: &str| {
        let headers = [("X-Forwarded-For", hops)];
        http::request(&server, "POST", "/_broadcast", &headers, r#"{"channel":"room","data":1}"#).await.status
    };
    assert_eq!(status("192.0.2.1").await, 403);
    assert_eq!(status("127.0.0.1, 192.0.2.1").await, 403, "its own claim");
    assert_eq!(status("127.0.0.1").await, 200);
}

// === other ways in ===

#[tokio::test]
async fn a_bridge_counts_what_it_is_opened_with_and_each_frame() {
    let server = server(&format!("[limits.connection]\non_excess = 'disconnect'\n{}", only(3)));
    let (mut bridge, _) = Client::open(&server, "/ws/room", &[]).await;
    for text in ["one", "two"] {
        bridge.send_text(text).await;
        assert_eq!(bridge.next_text().await, text);
    }
    bridge.send_text("three").await;
    let (code, reason) = bridge.closed().await;
    assert!(code == 4002 && reason.contains("retry_after="), "{code} {reason}");
}

#[tokio::test]
async fn a_stream_of_events_that_may_not_subscribe_is_no_stream() {
    let server = server(&format!("[limits.address]\n{}", only(2)));
    let mut client = Client::connect(&server).await;
    assert_eq!(passed(&mut [&mut client], 1).await, 1);
    let refused = http::get(&server, "/sse?channel=a&channel=b").await;
    assert_eq!(
        (refused.status, &refused.json()["error"]),
        (429, &json!("Rate limit exceeded.")),
        "{refused:?}"
    );
}

// === channels ===

fn channel(rule: &str) -> Server {
    let config = format!("[[channel]]\npattern = '*'\n[[channel]]\npattern = 'feed:*'\n{rule}");
    Server::builder().plugins(&["tools"]).config(&config).shards(4).start()
}

#[tokio::test]
async fn a_channels_rate_holds_for_all_its_publishers_together() {
    let server = channel(&only(10));
    let mut clients = Vec::new();
    for _ in 0..16 {
        clients.push(Client::connect(&server).await);
    }
    for feed in ["feed:1", "feed:2"] {
        let mut passed = 0;
        for n in 0..32 {
            let answer = clients[n % 16].try_publish(feed, json!(n)).await;
            assert!(answer["type"] == "published" || answer["code"] == "rate_limited", "{answer}");
            passed += usize::from(answer["type"] == "published");
        }
        assert_eq!(passed, 10, "each channel has its own");
    }
    let mut reader = Client::connect(&server).await;
    reader.subscribe("feed:1").await;
    let posted = http::post(&server, "/_broadcast", r#"{"channel":"feed:1","data":"server"}"#).await;
    assert_eq!(posted.status, 200, "the server's own do not count");
    assert_eq!(reader.data().await, "server");
    let data = json!({ "channel": "feed:1", "text": "plugin" });
    reader.ask(json!({ "type": "action", "channel": "send_message", "data": data })).await;
    assert_eq!(reader.data().await["text"], "plugin");
    clients[0].publish("other", json!(1)).await;
}

#[tokio::test]
async fn a_channel_says_how_long_to_wait() {
    let server = channel("rate = { messages_per_sec = 4, burst_secs = 2 }");
    let mut client = Client::connect(&server).await;
    for _ in 0..2 {
        let wait = until_refused(&mut client, "feed:1").await;
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(250), "{wait:?}");
        tokio::time::sleep(wait).await;
        client.publish("feed:1", json!("in time")).await;
    }
}

#[tokio::test]
async fn a_channel_may_end_the_connection_of_who_exceeds_it() {
    let server = channel(&format!("on_excess = 'disconnect'\n{}", only(2)));
    let (mut one, mut two) = (Client::connect(&server).await, Client::connect(&server).await);
    two.publish("feed:1", json!(1)).await;
    one.publish("feed:1", json!(1)).await;
    one.send(json!({ "type": "publish", "channel": "feed:1", "data": 2 })).await;
    let (code, reason) = one.closed().await;
    assert!(code == 4002 && reason.contains("retry_after="), "{code} {reason}");
    two.ping().await;
    assert_eq!(two.left_over(), [], "nobody else is disturbed");
}

#[tokio::test]
async fn without_limits_nothing_is_refused() {
    let server = server("");
    let mut client = Client::with_token(&server, "ada").await;
    assert_eq!(passed(&mut [&mut client], 500).await, 500);
    assert_eq!(client.ask(json!({ "type": "ping" })).await, json!({ "type": "pong" }));
    assert_eq!(client.left_over(), Vec::<crate::harness::client::Arrived>::new());
    let _: Value = server.report().await;
}
