//! What is done for subscribers that do not read as fast as their channels speak.

/// What happens to a subscriber that reads slower than its channel speaks. Whatever is chosen,
/// what waits for it is bounded alike, so that a subscriber may choose for itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SlowPolicy {
    /// Its connection is closed with 4008.
    #[default]
    Disconnect,
    /// The oldest waiting messages of channels with this policy are left out.
    DropOldest,
    /// While its socket is full, only the channel's latest message of each key waits.
    Latest,
}

impl SlowPolicy {
    /// All of them, for refusals.
    pub const WORDS: &str = "`disconnect`, `drop_oldest` or `latest`";

    /// As it is asked for.
    pub fn word(self) -> &'static str {
        match self {
            Self::Disconnect => "disconnect",
            Self::DropOldest => "drop_oldest",
            Self::Latest => "latest",
        }
    }

    /// None: it is none.
    pub fn parse(word: &str) -> Option<Self> {
        match word {
            "disconnect" => Some(Self::Disconnect),
            "drop_oldest" => Some(Self::DropOldest),
            "latest" => Some(Self::Latest),
            _ => None,
        }
    }
}
