//! What webhooks tell: `{"time_ms":…,"events":[…]}`.

use serde::Serialize;
use serde_json::value::RawValue;

/// One event. Channels are named as the application names them.
#[derive(Debug, Serialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Event<'a> {
    ChannelOccupied {
        channel: &'a str,
    },
    ChannelVacated {
        channel: &'a str,
    },
    MemberAdded {
        channel: &'a str,
        user_id: &'a str,
    },
    MemberRemoved {
        channel: &'a str,
        user_id: &'a str,
    },
    ClientEvent {
        channel: &'a str,
        event: &'a str,
        data: &'a str,
        socket_id: &'a str,
        /// In presence channels.
        #[serde(skip_serializing_if = "Option::is_none")]
        user_id: Option<&'a str>,
    },
    CacheMiss {
        channel: &'a str,
    },
    SubscriptionCount {
        channel: &'a str,
        subscription_count: u64,
    },
}

#[derive(Serialize)]
struct Body<'a> {
    time_ms: u64,
    events: &'a [Box<RawValue>],
}

/// The body of a request that tells these events.
///
/// # Errors
/// None: all of it has JSON.
pub fn body(time_ms: u64, events: &[Box<RawValue>]) -> serde_json::Result<String> {
    serde_json::to_string(&Body { time_ms, events })
}

#[cfg(test)]
mod tests {
    use serde_json::value::to_raw_value;

    use super::*;

    #[test]
    fn events_are_worded_as_the_documentation_has_them() {
        let channel = "presence-a";
        let said = |user_id| Event::ClientEvent {
            channel,
            event: "client-x",
            data: "{}",
            socket_id: "1.2",
            user_id,
        };
        for (event, words) in [
            (Event::ChannelOccupied { channel }, r#"{"name":"channel_occupied","channel":"presence-a"}"#),
            (Event::ChannelVacated { channel }, r#"{"name":"channel_vacated","channel":"presence-a"}"#),
            (
                Event::MemberAdded { channel, user_id: "7" },
                r#"{"name":"member_added","channel":"presence-a","user_id":"7"}"#,
            ),
            (
                Event::MemberRemoved { channel, user_id: "7" },
                r#"{"name":"member_removed","channel":"presence-a","user_id":"7"}"#,
            ),
            (
                said(None),
                r#"{"name":"client_event","channel":"presence-a","event":"client-x","data":"{}","socket_id":"1.2"}"#,
            ),
            (
                said(Some("7")),
                r#"{"name":"client_event","channel":"presence-a","event":"client-x","data":"{}","socket_id":"1.2","user_id":"7"}"#,
            ),
            (Event::CacheMiss { channel }, r#"{"name":"cache_miss","channel":"presence-a"}"#),
            (
                Event::SubscriptionCount { channel, subscription_count: 3 },
                r#"{"name":"subscription_count","channel":"presence-a","subscription_count":3}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&event).unwrap(), words);
        }
        let events = [to_raw_value(&Event::CacheMiss { channel: "a" }).unwrap()];
        assert_eq!(
            body(5, &events).unwrap(),
            r#"{"time_ms":5,"events":[{"name":"cache_miss","channel":"a"}]}"#
        );
    }
}
