//! Signing in: from then on the connection is its user's, who can be sent to, watched and
//! disconnected.

use std::collections::HashSet;

use super::Guest;
use crate::core::UserId;
use crate::core::apps::{MAX_USER, SERVER_TO_USER, online};
use crate::dialect::pusher::decode::shown;
use crate::dialect::pusher::member::{User, user};
use crate::dialect::pusher::own;
use crate::hub::letter::{About, Question, Subscribe, Wishes};

/// Not signed in, for whatever reason.
const UNAUTHORIZED: u16 = 4009;
const QUOTA: u16 = 4004;
/// The rest of a watchlist is passed over.
const LONG_WATCHLIST: u16 = 4302;

impl Guest {
    pub(super) async fn sign_in(&mut self, auth: &str, user_data: &str) {
        let User { member, watchlist } = match self.checked(auth, user_data) {
            Ok(user) => user,
            Err(why) => return self.error(Some(UNAUTHORIZED), &why),
        };
        if self.user.as_ref().is_some_and(|user| user.user == member.user) {
            return self.signed_in(user_data);
        }
        let connection = &self.session.connection;
        if let Some(allowance) = &self.session.allowance {
            if let Err(too_many) = allowance.set_user(member.user.as_str()) {
                return self.error(Some(QUOTA), &too_many.to_string());
            }
            connection.count_in(allowance.subscription_sums());
        }
        connection.sign_in(member.user.clone());
        self.signed_in(user_data);
        self.appear(&member.user);
        self.user = Some(member);
        self.watch(watchlist).await;
    }

    fn checked(&self, auth: &str, user_data: &str) -> Result<User, String> {
        let (key, given) = auth.split_once(':').unwrap_or(("", auth));
        if key != self.app.key || !self.app.signing.user(&self.socket_id, user_data).is(given) {
            return Err(format!(
                "Invalid signature: Expected HMAC SHA256 hex digest of {}::user::{}, but got {}",
                self.socket_id,
                shown(user_data),
                shown(auth)
            ));
        }
        let user = user(user_data).map_err(|bad| format!("The user_data {bad}"))?;
        let (id, most) = (user.member.user.as_str(), self.app.limits.member_bytes);
        if self.app.channel(&format!("{SERVER_TO_USER}{id}")).is_err() {
            return Err("The user's id cannot be part of a channel's name".into());
        }
        if user.member.metadata.len() > most {
            return Err(format!("The user_info has more than {most} bytes"));
        }
        match &self.user {
            Some(before) if before.user != user.member.user => {
                Err(format!("The connection is signed in as another user, '{}'", before.user.as_str()))
            }
            _ => Ok(user),
        }
    }

    fn signed_in(&self, user_data: &str) {
        let session = &self.session;
        session.context.shard.send(&session.connection, own::signed_in(user_data));
    }

    /// Those who watch the user hear that it is there, until its last connection ends.
    fn appear(&self, user: &UserId) {
        let connection = &self.session.connection;
        let question = Question {
            channel: online(&self.app.prefix, user.as_str()),
            sender: connection.sender(),
            wire: connection.wire,
            request: None,
            about: About::Join { metadata: None },
        };
        // One beside the subscriptions that it may have.
        let limit = self.session.context.max_subscriptions + 1;
        if let Err(refusal) = self.session.context.shard.question(connection, question, limit) {
            tracing::debug!(client = %connection.id, refusal = refusal.to_string(), "not shown as online");
        }
    }

    /// The first users of its list: each one's state at once, then its changes.
    async fn watch(&self, watchlist: Vec<String>) {
        let most = self.app.limits.watchlist;
        if watchlist.len() > most {
            let words = format!("A watchlist has at most {most} users; the others are passed over");
            self.error(Some(LONG_WATCHLIST), &words);
        }
        let connection = &self.session.connection;
        let mut seen = HashSet::new();
        // Nobody can have a longer id, or none.
        let possible = |user: &String| !user.is_empty() && user.chars().nth(MAX_USER).is_none();
        for user in watchlist.into_iter().take(most).filter(possible) {
            if !seen.insert(user.clone()) {
                continue;
            }
            let channel = online(&self.app.prefix, &user);
            let room = self.session.until_room(&channel, None).await;
            let asked = room.and_then(|()| {
                let plain = Subscribe::plain(channel, connection.sender(), connection.wire);
                self.session
                    .ask_home(Subscribe { wishes: Wishes { presence: true, ..Wishes::default() }, ..plain })
            });
            if let Err(refusal) = asked {
                return self.error(Some(LONG_WATCHLIST), &refusal.to_string());
            }
        }
    }
}
