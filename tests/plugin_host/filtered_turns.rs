//! What filters let pass leaves with the turn that brought it, and shares its write; a filter that takes
//! long delays only those who chose its plugin.

use std::rc::Rc;

use bytes::Bytes;
use tidegate::core::{ChannelName, Payload};
use tidegate::hub::shard::Publication;
use tidegate::server;

use super::on_a_shard;
use super::open_socket::OpenSocket;
use super::room::Room;

/// Long enough that a loop is seen to go on after its turn.
const FILTER_MS: u64 = 50;

impl Room {
    /// Somebody who hears these channels, by this filter.
    async fn listener(&self, channels: &[&str], params: Option<&'static str>) -> OpenSocket {
        let socket = OpenSocket::default();
        let connection = self.shard.connect(server::NATIVE, Rc::new(socket.clone())).unwrap();
        for name in channels {
            let params = params.map(|text| Bytes::from_static(text.as_bytes()));
            self.subscribe(&connection, name, params).await;
        }
        connection.until_settled().await;
        // The turn that has answered is over.
        tokio::task::yield_now().await;
        socket
    }

    /// All in one turn. Until that is over, and no longer.
    async fn publish(&self, messages: &[(&str, &'static str)]) {
        let publications = messages.iter().map(|(channel, json)| {
            let channel = ChannelName::parse(channel).unwrap();
            Publication::new(channel, Bytes::new(), Payload::json(*json))
        });
        let answers: Vec<_> = publications.map(|one| self.shard.publish_as_server(one)).collect();
        for answer in answers {
            answer.await.unwrap().unwrap();
        }
    }
}

/// How often it was written since.
async fn writes(socket: &OpenSocket, during: impl Future<Output = ()>) -> usize {
    let before = socket.writes();
    during.await;
    socket.writes() - before
}

#[test]
fn what_passes_leaves_with_its_turn_and_shares_its_write() {
    on_a_shard(async {
        let room = Room::open(FILTER_MS).await;
        let one = room.listener(&["a"], Some(r#"{"contains":"x"}"#)).await;
        let both = room.listener(&["a", "b"], Some(r#"{"contains":"x"}"#)).await;
        let half = room.listener(&["a", "b"], Some(r#"{"contains":"y"}"#)).await;
        let publish = async |messages: &[(&str, &'static str)]| {
            let listeners = [&one, &both, &half];
            let before = listeners.map(OpenSocket::writes);
            room.publish(messages).await;
            let mut after = listeners.map(OpenSocket::writes);
            after.iter_mut().zip(before).for_each(|(after, before)| *after -= before);
            after
        };
        assert_eq!(publish(&[("a", "\"x\"")]).await, [1, 1, 0]);
        assert_eq!(publish(&[("a", "\"x\""), ("a", "\"y\""), ("a", "\"x\"")]).await, [1, 1, 1]);
        assert_eq!(publish(&[("a", "\"x\""), ("b", "\"x\""), ("a", "\"xy\"")]).await, [1, 1, 1]);
        assert_eq!(publish(&[("b", "\"y\"")]).await, [0, 0, 1]);
    });
}

#[test]
fn who_waits_for_a_slow_filter_waits_alone() {
    on_a_shard(async {
        let room = Room::open(FILTER_MS).await;
        let plain = room.listener(&["a"], None).await;
        let quick = room.listener(&["b"], Some(r#"{"contains":"x"}"#)).await;
        let _endless = room.listener(&["a"], Some(r#"{"loop":true}"#)).await;
        assert_eq!(writes(&plain, room.publish(&[("a", "\"x\"")])).await, 1, "as if there were no filter");
        let before = (plain.writes(), quick.writes());
        room.publish(&[("a", "\"x\""), ("b", "\"x\"")]).await;
        assert_eq!((plain.writes() - before.0, quick.writes() - before.1), (1, 0), "in its plugin's order");
        while quick.writes() == before.1 {
            tokio::task::yield_now().await;
        }
        assert_eq!(writes(&quick, room.publish(&[("b", "\"x\"")])).await, 1, "the slow one pauses");
    });
}
