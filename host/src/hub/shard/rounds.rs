//! Large audiences that are served part by part, against a list of who is to hear what.

use std::collections::BTreeMap;
use std::rc::Rc;

use bytes::Bytes;
use proptest::prelude::*;

use super::fixture::{Wide, alone};
use super::{Publication, Shard};
use crate::core::{ChannelName, Payload};
use crate::hub::connection::Connection;
use crate::hub::letter::Subscribe;
use crate::hub::wire::WireId;

const CLIENTS: usize = 14;
const CHANNELS: [&str; 2] = ["a", "b"];

#[derive(Clone, Debug)]
enum Step {
    Publish {
        channel: usize,
        except: Option<usize>,
        /// How many it reaches is counted, and so it goes to all at once.
        receipt: bool,
    },
    Subscribe(usize, usize),
    Unsubscribe(usize, usize),
    Close(usize),
    Disconnect(usize),
    Turn,
}

fn step() -> impl Strategy<Value = Step> {
    let (channel, client) = (0..CHANNELS.len(), 0..CLIENTS);
    // Mostly the first, so that it is served alone for a while.
    let mostly = prop_oneof![4 => Just(0), 1 => channel.clone()];
    prop_oneof![
        12 => (mostly, prop::option::weighted(0.2, client.clone()), prop::bool::weighted(0.05))
            .prop_map(|(channel, except, receipt)| Step::Publish { channel, except, receipt }),
        2 => (client.clone(), channel.clone()).prop_map(|(client, channel)| Step::Subscribe(client, channel)),
        1 => (client.clone(), channel).prop_map(|(client, channel)| Step::Unsubscribe(client, channel)),
        1 => prop::bool::weighted(0.5).prop_flat_map(move |close| client.clone().prop_map(
            move |client| if close { Step::Close(client) } else { Step::Disconnect(client) })),
        16 => Just(Step::Turn),
    ]
}

struct Client {
    connection: Rc<Connection>,
    socket: Rc<Wide>,
    is_open: bool,
    /// In each channel that it hears.
    expected: [Option<Vec<usize>>; CHANNELS.len()],
    /// What it should have got in channels.
    all: BTreeMap<usize, Vec<usize>>,
}

impl Client {
    fn new(shard: &Shard) -> Self {
        let socket = Rc::new(Wide::default());
        let connection = shard.connect(WireId(0), socket.clone()).unwrap();
        Self { connection, socket, is_open: true, expected: [None, None], all: BTreeMap::new() }
    }

    /// Before the turn that brings those that are untaken.
    fn leaves(&mut self, channel: usize, untaken: &[(usize, usize)]) {
        let heard = self.expected[channel].take().unwrap_or_default().into_iter();
        let heard = heard.filter(|number| !untaken.contains(&(channel, *number)));
        self.all.entry(channel).or_default().extend(heard);
    }

    /// By channel, in the order in which it came.
    fn got(&self) -> BTreeMap<usize, Vec<usize>> {
        let bytes = self.socket.bytes.borrow();
        let text = std::str::from_utf8(&bytes).unwrap().trim_end_matches("bye");
        let mut got: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for message in text.split('"').filter(|piece| !piece.is_empty()) {
            let (channel, number) = message.split_at(1);
            let channel = CHANNELS.iter().position(|name| *name == channel).unwrap();
            got.entry(channel).or_default().push(number.parse().unwrap());
        }
        got
    }
}

/// `at_first`: how many subscribe to the first channel; the others to the second.
fn follows(at_first: usize, steps: Vec<Step>) {
    let (shard, _inbox) = alone();
    let channel = |at: usize| ChannelName::parse(CHANNELS[at]).unwrap();
    let mut clients: Vec<Client> = (0..CLIENTS).map(|_| Client::new(&shard)).collect();
    let subscribe = |client: &mut Client, at: usize| {
        let subscribe = Subscribe::plain(channel(at), client.connection.sender(), WireId(0));
        shard.subscribe(&client.connection, subscribe);
        client.expected[at] = Some(Vec::new());
    };
    for (index, client) in clients.iter_mut().enumerate() {
        subscribe(client, usize::from(index >= at_first));
    }
    // Published, and not yet in any turn: who leaves now does not hear them.
    let mut untaken: Vec<(usize, usize)> = Vec::new();
    let mut answers = Vec::new();
    for (number, step) in steps.into_iter().enumerate() {
        match step {
            Step::Publish { channel: at, except, receipt } => {
                let text = format!("\"{}{number}\"", CHANNELS[at]);
                let except_id = except.map(|client| clients[client].connection.id);
                let publication = Publication::new(channel(at), Bytes::new(), Payload::json(text));
                answers.push(shard.publish_as_server(Publication {
                    except: except_id,
                    receipt,
                    ..publication
                }));
                for (_, client) in clients.iter_mut().enumerate().filter(|(index, _)| except != Some(*index))
                {
                    client.expected[at].iter_mut().for_each(|heard| heard.push(number));
                }
                untaken.push((at, number));
            }
            Step::Subscribe(client, at) => {
                let client = &mut clients[client];
                if client.is_open && client.expected[at].is_none() {
                    subscribe(client, at);
                }
            }
            Step::Unsubscribe(client, at) => {
                let client = &mut clients[client];
                if client.is_open && client.expected[at].is_some() && client.connection.is_settled() {
                    client.leaves(at, &untaken);
                    shard.unsubscribe(&client.connection, channel(at), None);
                }
            }
            Step::Close(client) | Step::Disconnect(client) if !clients[client].is_open => {}
            Step::Close(client) => {
                let client = &mut clients[client];
                client.is_open = false;
                shard.close(&client.connection, 4000, "enough");
                (0..CHANNELS.len()).for_each(|at| client.leaves(at, &untaken));
            }
            Step::Disconnect(client) => {
                let client = &mut clients[client];
                client.is_open = false;
                shard.disconnect(&client.connection);
                (0..CHANNELS.len()).for_each(|at| client.leaves(at, &untaken));
            }
            Step::Turn => {
                shard.turn(Vec::new());
                untaken.clear();
            }
        }
    }
    turns(&shard);
    for (index, client) in clients.iter_mut().enumerate() {
        (0..CHANNELS.len()).for_each(|at| client.leaves(at, &[]));
        client.all.retain(|_, heard| !heard.is_empty());
        assert_eq!(client.got(), client.all, "client {index}");
    }
}

proptest! {
    #[test]
    fn everybody_hears_each_message_once_and_in_order(
        at_first in prop_oneof![Just(CLIENTS / 2), Just(CLIENTS - 2)],
        steps in prop::collection::vec(step(), 0..120),
    ) {
        on_a_runtime(async { follows(at_first, steps) });
    }
}

fn on_a_runtime(run: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, run);
}

fn publish(shard: &Shard, channel: &str, text: &'static str) {
    let channel = ChannelName::parse(channel).unwrap();
    drop(shard.publish_as_server(Publication::new(channel, Bytes::new(), Payload::json(text))));
}

fn subscribed(shard: &Shard, channels: &[&str]) -> Client {
    let client = Client::new(shard);
    for channel in channels {
        let channel = ChannelName::parse(channel).unwrap();
        let subscribe = Subscribe::plain(channel, client.connection.sender(), WireId(0));
        shard.subscribe(&client.connection, subscribe);
    }
    client
}

fn heard(clients: &[Client]) -> Vec<(String, usize)> {
    let of = |Client { socket, .. }: &Client| {
        (String::from_utf8(socket.bytes.take()).unwrap(), socket.writes.take())
    };
    clients.iter().map(of).collect()
}

/// Turns until the shard waits.
fn turns(shard: &Rc<Shard>) {
    while shard.post.queue.is_awake() {
        shard.turn(Vec::new());
    }
}

/// Large audiences that are spoken to by turns would only finish each other's rounds: nobody waits for the next part.
#[test]
fn several_audiences_by_turns_are_served_at_once() {
    on_a_runtime(async {
        let (shard, _inbox) = alone();
        let clients: Vec<Client> = (0..12).map(|_| subscribed(&shard, &CHANNELS)).collect();
        turns(&shard);
        for channel in CHANNELS.repeat(3) {
            publish(&shard, channel, "1");
            shard.turn(Vec::new());
            assert!(heard(&clients).iter().all(|(text, _)| text == "1"), "{channel}");
        }
    });
}

/// So many turns that a message takes, and the writes of all sockets in each of them.
#[test]
fn between_two_parts_comes_what_was_published_meanwhile() {
    on_a_runtime(async {
        let (shard, _inbox) = alone();
        let clients: Vec<Client> = (0..12).map(|_| subscribed(&shard, &["a"])).collect();
        publish(&shard, "a", "0");
        turns(&shard);
        assert!(heard(&clients).iter().all(|(text, _)| text == "0"));
        for text in ["1", "2", "3"] {
            publish(&shard, "a", text);
            shard.turn(Vec::new());
        }
        turns(&shard);
        let got = heard(&clients);
        assert!(got.iter().all(|(heard, _)| heard == "123"));
        let writes: Vec<usize> = got.iter().map(|(_, writes)| *writes).collect();
        assert_eq!(writes, [2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1]);
        publish(&shard, "a", "4");
        shard.turn(Vec::new());
        assert_eq!(clients.iter().filter(|client| client.socket.writes.get() > 0).count(), 4);
        shard.close(&clients[11].connection, 4000, "enough");
        shard.turn(Vec::new());
        let last = &clients[11].socket;
        assert_eq!(*last.bytes.borrow(), b"4bye", "what was on its way comes first");
    });
}
