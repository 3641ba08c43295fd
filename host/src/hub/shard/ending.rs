//! The end of a server: what was acknowledged is delivered, then everyone is told goodbye.

use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::Shard;
use super::clients::LINGER;
use crate::core::ShardId;
use crate::hub::home::Homes;
use crate::plugin::saved::SavedChannel;

/// How long the messages that are on their way have to arrive.
const ARRIVAL: Duration = Duration::from_secs(1);
/// How long handlers have, beyond that of all shards' goodbyes, to hear who has left.
const DEPARTURES: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(5);

impl Shard {
    /// Says goodbye to everyone, once what homes have acknowledged has come, and waits until they
    /// are gone, at most as long as one goodbye takes. What is to be kept of the channels is the answer, where
    /// anything is.
    pub async fn drain(&self) -> Vec<SavedChannel> {
        let deadline = Instant::now() + LINGER + ARRIVAL / 4;
        self.deliver_all().await;
        loop {
            // Some may have begun since.
            let all: Vec<_> = self.delivery.borrow().connections().cloned().collect();
            let now = Instant::now();
            if all.is_empty() || now >= deadline + ARRIVAL / 4 {
                break;
            }
            for connection in all {
                self.close(&connection, 1001, "Server going away. retry_after=1");
                if now >= deadline {
                    connection.socket.shutdown();
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.tell_departures(deadline).await;
        if !self.settings.saves {
            return Vec::new();
        }
        // What departures have set off in channels of other shards has come there.
        self.until_done(Instant::now() + ARRIVAL, self.every_shard(), |_, _| ()).await;
        // The slowest shard's handlers have had their time by then.
        self.meet(2, deadline + 3 * ARRIVAL + DEPARTURES).await;
        self.save().await
    }

    /// Waits for the other shards, at the first or second such point.
    async fn meet(&self, point: usize, deadline: Instant) {
        self.post.mesh().arrive();
        while !self.post.mesh().have_all_arrived(point) && Instant::now() < deadline {
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Until the handlers of the channels that are at home here have heard that everyone has left.
    async fn tell_departures(&self, deadline: Instant) {
        let arrival = Instant::now() + ARRIVAL;
        // Their homes have heard it when they answer.
        self.until_done(arrival, self.every_shard(), |_, _| ()).await;
        self.meet(1, deadline + ARRIVAL).await;
        let saves = self.settings.saves;
        self.until_done(Instant::now() + ARRIVAL, std::iter::once(self.post.me()), move |_, homes| {
            // Where channels are saved, users may come back to the next server.
            if !saves {
                homes.end_graces();
            }
        })
        .await;
        let deadline = deadline.max(Instant::now()) + DEPARTURES;
        loop {
            let left = self.homes.borrow().departures();
            if left == 0 {
                return;
            }
            if Instant::now() >= deadline {
                let then = if saves { "; the next server tells them" } else { "" };
                return tracing::warn!(
                    "{left} clients have left, and their channels' handlers have not heard it{then}"
                );
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Every home sends what its channels have got; who answers after that has had a turn in which
    /// it left; and what comes to this shard is taken before a question of its own.
    async fn deliver_all(&self) {
        let deadline = Instant::now() + ARRIVAL;
        self.until_done(deadline, self.every_shard(), |there, homes| homes.seal_all(&there.post)).await;
        self.until_done(deadline, self.every_shard(), |_, _| ()).await;
        self.until_done(deadline, std::iter::once(self.post.me()), |_, _| ()).await;
        while !self.filtered.is_idle() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A shard that has ended has no more to say.
    pub(super) async fn until_done(
        &self,
        deadline: Instant,
        shards: impl Iterator<Item = ShardId>,
        errand: impl Fn(&Rc<Shard>, &mut Homes) + Copy + Send + 'static,
    ) {
        let done = |shard| {
            self.ask(shard, move |there, homes, answer| {
                errand(there, homes);
                // Who asked may have given up.
                let _ = answer.send(());
            })
        };
        let asked: Vec<_> = shards.map(done).collect();
        for answer in asked {
            let _ = timeout_at(deadline, answer).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ChannelName;
    use crate::hub::letter::{Origin, Subscribe};
    use crate::hub::mesh::Mesh;
    use crate::hub::shard::fixture::{self, Wide};
    use crate::hub::wire::WireId;
    use crate::plugin::Registry;

    /// Every shard on this one thread, so that what happens between them has one order.
    #[tokio::test]
    async fn what_was_acknowledged_comes_before_the_goodbye() {
        let run = async {
            let (mesh, inboxes) = Mesh::new(2);
            let mut shards = Vec::new();
            for (me, inbox) in mesh.shards().zip(inboxes) {
                let shard =
                    Shard::new(me, fixture::settings(), mesh.clone(), Registry::default().into()).unwrap();
                tokio::task::spawn_local(shard.clone().run(inbox));
                shards.push(shard);
            }
            let away = |name: &ChannelName| mesh.home(name) == ShardId(1);
            let mut names = (0..).map(|n| ChannelName::parse(&format!("c{n}")).unwrap());
            let channel = names.find(away).unwrap();
            let socket = Rc::new(Wide::default());
            let connection = shards[0].connect(WireId(0), socket.clone()).unwrap();
            let wire = WireId(0);
            shards[0].subscribe(&connection, Subscribe::plain(channel.clone(), connection.sender(), wire));
            connection.until_settled().await;
            assert!(connection.is_subscribed(&channel));

            // Not by a letter, so that nobody has a turn between the acknowledgement and the end.
            let origin = Origin::Client { sender: connection.sender(), request: None, subscribed: true };
            let last_words = fixture::publish(channel, origin, "last words;");
            shards[1].homes.borrow_mut().publish(last_words, &shards[1].post);
            let gone = async {
                while !socket.bytes.borrow().ends_with(b"bye") {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                shards[0].disconnect(&connection);
            };
            tokio::join!(shards[0].drain(), shards[1].drain(), gone);
            assert_eq!(String::from_utf8_lossy(&socket.bytes.borrow()), "last words;bye");
        };
        tokio::task::LocalSet::new().run_until(run).await;
    }

    #[tokio::test]
    async fn who_comes_during_the_goodbye_is_told_too() {
        let run = async {
            let (shard, inbox) = fixture::alone();
            tokio::task::spawn_local(shard.clone().run(inbox));
            let come = || {
                let socket = Rc::new(Wide::default());
                (shard.connect(WireId(0), socket.clone()).unwrap(), socket)
            };
            let told = async |socket: &Wide| {
                while !socket.bytes.borrow().ends_with(b"bye") {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            let (first, socket) = come();
            let clients = async {
                told(&socket).await;
                let (late, socket) = come();
                tokio::time::timeout(LINGER, told(&socket)).await.expect("the late one hears nothing");
                shard.disconnect(&first);
                shard.disconnect(&late);
            };
            tokio::join!(shard.drain(), clients);
        };
        tokio::task::LocalSet::new().run_until(run).await;
    }
}
