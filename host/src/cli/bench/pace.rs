//! How messages leave, and for how long.

use std::fmt;
use std::time::Duration;

use super::options::LoadOptions;

/// So long an open loop goes on if nobody says.
const OPEN_SECONDS: u64 = 10;

/// How messages leave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// As soon as fewer than so many of a publisher's are on their way.
    Window(u64),
    /// So many a second, of all publishers together.
    Rate(u64),
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Length {
    Messages(u64),
    Time(Duration),
}

impl Pace {
    pub fn of(load: &LoadOptions, window: u64) -> Self {
        load.rate.map_or(Self::Window(load.window.unwrap_or(window)), Self::Rate)
    }

    pub fn window(self) -> Option<u64> {
        match self {
            Self::Window(window) => Some(window),
            Self::Rate(_) => None,
        }
    }
}

impl Length {
    /// An open loop's is a number of messages, so that each has its time.
    pub fn of(load: &LoadOptions, messages: u64) -> Self {
        match (load.messages, load.seconds, load.rate) {
            (Some(messages), ..) => Self::Messages(messages),
            (None, seconds, Some(rate)) => Self::Messages(rate * seconds.unwrap_or(OPEN_SECONDS)),
            (None, Some(seconds), None) => Self::Time(Duration::from_secs(seconds)),
            (None, None, None) => Self::Messages(messages),
        }
    }

    pub fn messages(self) -> Option<u64> {
        match self {
            Self::Messages(messages) => Some(messages),
            Self::Time(_) => None,
        }
    }

    pub fn tenth(self) -> Self {
        match self {
            Self::Messages(messages) => Self::Messages(messages / 10),
            Self::Time(time) => Self::Time(time / 10),
        }
    }
}

impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Window(window) => write!(f, "window {window}"),
            Self::Rate(rate) => write!(f, "{rate} messages/s"),
        }
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(messages) => write!(f, "{messages} messages"),
            Self::Time(time) => write!(f, "{} s of messages", time.as_secs()),
        }
    }
}
