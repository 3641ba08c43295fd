//! What a stream is asked for: channels, and where the client was in them.

use crate::core::names::NameError;
use crate::core::{ChannelName, Offset};
use crate::dialect::{Command, Request, query};
use crate::hub::letter::Wishes;
use crate::hub::slow::SlowPolicy;
use crate::hub::wire::{Epoch, Position};

/// Channels of one stream. A client's last place in all of them must fit into a header.
pub const MAX_CHANNELS: usize = 32;

/// One stream of events.
#[derive(Debug, PartialEq)]
pub struct Stream {
    channels: Vec<ChannelName>,
    /// By channel; a channel may be missing.
    places: Vec<(ChannelName, Position)>,
    history: usize,
    slow: Option<SlowPolicy>,
    /// Each message in a native `data` frame, whose channel and event it names.
    pub framed: bool,
}

/// For the client to read.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum BadRequest {
    #[error("channel: is required, as in /sse?channel=news")]
    NoChannel,
    #[error("channel: more than {MAX_CHANNELS} of them")]
    TooMany,
    #[error("channel: '{0}' {1}")]
    Name(String, NameError),
    #[error("{0}: is not percent-encoded UTF-8")]
    Encoding(String),
    #[error("history: is not a number")]
    History,
    #[error("policy: is not {}", SlowPolicy::WORDS)]
    Policy,
    #[error("envelope: is neither true nor false")]
    Envelope,
}

impl Stream {
    /// `last_event_id` is the header, which browsers send when they come back; in the query it is
    /// for those who cannot set one. Not understood, it is ignored: the client then gets what
    /// a new one gets.
    ///
    /// # Errors
    /// Which parameter cannot be what it is.
    pub fn parse(query: &str, last_event_id: Option<&str>) -> Result<Self, BadRequest> {
        let (mut channels, mut history, mut envelope, mut asked) = (Vec::new(), 0, None, None);
        let mut slow = None;
        for (name, value) in query::pairs(query) {
            let Some(value) = value else { return Err(BadRequest::Encoding(cut(&name))) };
            match &*name {
                "channel" => {
                    let channel =
                        ChannelName::parse(&value).map_err(|error| BadRequest::Name(cut(&value), error))?;
                    if !channels.contains(&channel) {
                        channels.push(channel);
                    }
                    if channels.len() > MAX_CHANNELS {
                        return Err(BadRequest::TooMany);
                    }
                }
                "history" => history = value.parse().map_err(|_| BadRequest::History)?,
                "policy" => slow = Some(SlowPolicy::parse(&value).ok_or(BadRequest::Policy)?),
                "envelope" => envelope = Some(value.parse().map_err(|_| BadRequest::Envelope)?),
                "last_event_id" => asked = Some(value),
                _ => {}
            }
        }
        if channels.is_empty() {
            return Err(BadRequest::NoChannel);
        }
        let id = last_event_id.or(asked.as_deref()).unwrap_or_default();
        let framed = channels.len() > 1 || envelope == Some(true);
        Ok(Self { places: places(id, &channels), channels, history, slow, framed })
    }

    /// A subscription a channel.
    pub fn requests(self) -> impl Iterator<Item = Request> {
        let Self { channels, places, history, slow, .. } = self;
        channels.into_iter().map(move |channel| {
            let recover = places.iter().find(|(of, _)| *of == channel).map(|(_, at)| *at);
            let command = Command::Subscribe {
                channel,
                params: None,
                filter: None,
                wishes: Wishes { recover, history, presence: false, cached: false, slow },
            };
            Request { id: None, command: Ok(command) }
        })
    }
}

/// `{epoch}:{offset}`, the place in a stream's only channel, or a list of
/// `{channel}={epoch}:{offset}`.
fn places(id: &str, channels: &[ChannelName]) -> Vec<(ChannelName, Position)> {
    if let ([channel], Some(position)) = (channels, position(id)) {
        return vec![(channel.clone(), position)];
    }
    let named = id.split(',').filter_map(|entry| {
        let (name, at) = entry.split_once('=')?;
        let name = unescaped(name)?;
        let channel = channels.iter().find(|channel| channel.as_str() == name)?;
        Some((channel.clone(), position(at)?))
    });
    named.collect()
}

/// What [`Epoch`] and [`Offset`] write, and nothing else that would parse as a number.
fn position(text: &str) -> Option<Position> {
    let (epoch, offset) = text.split_once(':')?;
    let fits = epoch.len() == 16
        && epoch.bytes().all(|b| b.is_ascii_hexdigit())
        && offset.bytes().all(|b| b.is_ascii_digit());
    if !fits {
        return None;
    }
    let epoch = u64::from_str_radix(epoch, 16).ok()?;
    Some(Position { epoch: Epoch(epoch), offset: Offset(offset.parse().ok()?) })
}

/// See [`super::encode::escaped`].
fn unescaped(text: &str) -> Option<String> {
    // The escape is percent-encoding with another mark; `%` itself and `+` are never in it.
    if text.contains(['%', '+']) {
        return None;
    }
    query::decode(&text.replace('~', "%"))
}

fn cut(name: &str) -> String {
    name.chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dialect::sse::encode::list;

    fn name(name: &str) -> ChannelName {
        ChannelName::parse(name).unwrap()
    }

    fn at(epoch: u64, offset: u64) -> Position {
        Position { epoch: Epoch(epoch), offset: Offset(offset) }
    }

    #[test]
    fn a_stream_has_its_channels_once_each() {
        let stream = Stream::parse("channel=a%20b&token=x&channel=c&channel=a+b", None).unwrap();
        assert_eq!((stream.channels, stream.framed), (vec![name("a b"), name("c")], true));
        assert!(!Stream::parse("channel=a", None).unwrap().framed);
        assert!(Stream::parse("channel=a&envelope=true", None).unwrap().framed);
    }

    #[test]
    fn a_stream_may_say_what_is_done_when_it_is_slow() {
        let stream = Stream::parse("channel=a&channel=b&policy=latest", None).unwrap();
        for request in stream.requests() {
            let Ok(Command::Subscribe { wishes, .. }) = request.command else { panic!("{request:?}") };
            assert_eq!(wishes.slow, Some(SlowPolicy::Latest));
        }
    }

    #[test]
    fn what_cannot_be_is_named() {
        let many: Vec<_> = (0..33).map(|n| format!("channel=c{n}")).collect();
        assert_eq!(Stream::parse("", None), Err(BadRequest::NoChannel));
        assert_eq!(Stream::parse(&many.join("&"), None), Err(BadRequest::TooMany));
        assert_eq!(Stream::parse(&many[..32].join("&"), None).unwrap().channels.len(), 32);
        assert!(matches!(Stream::parse("channel=$x", None), Err(BadRequest::Name(..))));
        let encoding = Err(BadRequest::Encoding("channel".into()));
        assert_eq!(Stream::parse("channel=a&channel=%ff", None), encoding);
        assert_eq!(Stream::parse("channel=a&history=-1", None), Err(BadRequest::History));
        assert_eq!(Stream::parse("channel=a&policy=drop", None), Err(BadRequest::Policy));
        assert_eq!(Stream::parse("channel=a&envelope=yes", None), Err(BadRequest::Envelope));
    }

    #[test]
    fn the_last_event_id_is_a_place_or_a_list_of_them() {
        let one = Stream::parse("channel=a", Some("00000000000000ff:7")).unwrap();
        assert_eq!(one.places, [(name("a"), at(255, 7))]);
        let asked = "channel=a&last_event_id=00000000000000ff:7";
        assert_eq!(Stream::parse(asked, None).unwrap().places, [(name("a"), at(255, 7))]);
        assert_eq!(Stream::parse(asked, Some("00000000000000ff:8")).unwrap().places[0].1, at(255, 8));
        let id = "b=0000000000000001:3,~C3~BC=0000000000000002:4,gone=0000000000000003:5";
        let stream = Stream::parse("channel=b&channel=%C3%BC", Some(id)).unwrap();
        assert_eq!(stream.places, [(name("b"), at(1, 3)), (name("ü"), at(2, 4))]);
        let requests: Vec<_> = stream.requests().map(|request| request.command.unwrap()).collect();
        assert!(
            matches!(requests[1], Command::Subscribe { wishes: Wishes { recover: Some(place), .. }, .. } if place == at(2, 4))
        );
    }

    #[test]
    fn one_that_is_not_understood_is_ignored() {
        for id in [
            "",
            ":",
            "7",
            "00000000000000ff:",
            "00000000000000ff:-1",
            "+0000000000000ff:1",
            "ff:1",
            "00000000000000ff:99999999999999999999",
            "a=1:1",
            "a",
            "=,=,",
            "~=00000000000000ff:1",
            "~zz=00000000000000ff:1",
        ] {
            assert_eq!(Stream::parse("channel=a", Some(id)).unwrap().places, [], "{id}");
        }
    }

    proptest! {
        #[test]
        fn places_come_back_as_they_went(
            names in proptest::collection::hash_set("[^\\x00-\\x20$\\x7f]\\PC{0,10}[^\\x00-\\x20\\x7f]", 1..5),
            epoch: u64, offset: u64,
        ) {
            let channels: Vec<_> = names.iter().filter_map(|name| ChannelName::parse(name).ok()).collect();
            let want: Vec<_> = channels.iter().map(|name| (name.clone(), at(epoch, offset))).collect();
            let mut id = bytes::BytesMut::new();
            list(&want, &mut id);
            let id = std::str::from_utf8(&id).unwrap();
            prop_assert_eq!(&places(id, &channels), &want);
            prop_assert_eq!(query::decode(id), Some(id.to_owned()), "it can stand in a query as it is");
        }

        #[test]
        fn nothing_panics(query in "\\PC{0,100}", id in "\\PC{0,100}") {
            let _ = Stream::parse(&query, Some(&id));
            let _ = Stream::parse("channel=a", Some(&id));
        }
    }
}
