//! Events that clients send each other.

use std::time::Instant;

use super::Guest;
use super::judge::Verdict;
use crate::core::apps::{Access, ChannelKind};
use crate::core::{Payload, Refusal};
use crate::hub::letter::{Fate, Origin, PUBLICATIONS_A_MESSAGE, Publish};
use crate::hub::wire::Reply;
use crate::plugin::AuthAction;
use crate::session::standing::denied;

/// More client events than the application's limit.
const TOO_OFTEN: u16 = 4301;

impl Guest {
    pub(super) async fn whisper(&mut self, name: &str, event: &str, payload: Payload) {
        if !self.app.client_events {
            return self.error(None, "Client events are not enabled for this app");
        }
        let is_private = match ChannelKind::of(name).access {
            Access::Private | Access::Encrypted | Access::Presence => true,
            Access::Public | Access::User => false,
        };
        if !is_private {
            let words = "Client events are only supported on private and presence channels";
            return self.error(None, words);
        }
        let there = match self.app.channel(name) {
            Ok(channel) => {
                self.settled(&channel).await;
                Some(channel).filter(|channel| self.session.connection.is_subscribed(channel))
            }
            Err(_) => None,
        };
        let Some(channel) = there else {
            let words =
                format!("Cannot broadcast client event (connection not subscribed to channel {name})");
            return self.error(None, &words);
        };
        let most = self.app.limits.event_bytes;
        if payload.bytes.len() > most {
            return self.error(None, &format!("The data of a client event has at most {most} bytes"));
        }
        if !self.events.take(Instant::now()) {
            let most = self.app.limits.client_events_per_sec;
            let words = format!("Client event rejected: a connection sends at most {most} a second");
            return self.error(Some(TOO_OFTEN), &words);
        }
        let rule = self.session.known_rules.find(&self.session.context.rules, &channel);
        let mut allowed = rule.map_or(Ok(()), |rule| rule.payload(&channel, &payload));
        if allowed.is_ok() && self.judged.contains(&channel) {
            allowed = match self.judge(None, AuthAction::Publish, &channel).await {
                Ok(Verdict::Allowed(Some(_))) => Ok(()),
                Ok(_) => Err(denied(&self.session.connection, &channel)),
                Err(refusal) => Err(refusal),
            };
        }
        if let Err(refusal) = allowed {
            return self.refuse_event(channel, refusal);
        }
        let connection = &self.session.connection;
        let publish = Publish {
            origin: Origin::Client {
                sender: connection.sender_in(&channel),
                request: None,
                subscribed: true,
            },
            except: Some(connection.id),
            channel,
            event: event.to_owned().into(),
            payload,
            key: None,
            budget: PUBLICATIONS_A_MESSAGE,
            receipt: false,
            fate: Fate::Deliver,
            trace: connection.trace(),
        };
        self.session.context.shard.publish(connection, publish);
    }

    fn refuse_event(&self, channel: crate::core::ChannelName, refusal: Refusal) {
        self.session.reply(None, Reply::Refused { channel: Some(channel), refusal });
    }
}
