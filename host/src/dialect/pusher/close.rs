//! Close codes, and what clients do then: 4000 to 4099 they do not come back, 4100 to 4199 after a
//! second, 4200 to 4299 at once.

/// An end that a client of this protocol understands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ending {
    pub code: u16,
    pub reason: String,
}

impl Ending {
    pub fn no_such_app() -> Self {
        Self { code: 4001, reason: "Could not find an app with this key".into() }
    }

    pub fn quota(most: usize) -> Self {
        Self { code: 4004, reason: format!("The app has as many connections as it may: {most}") }
    }

    pub fn over_capacity(why: &dyn std::fmt::Display) -> Self {
        Self { code: 4100, reason: why.to_string() }
    }

    /// What a query's `protocol` says against serving it. Versions 5 to 7 are alike here.
    ///
    /// # Errors
    /// There is none, it is no number, or another version's.
    pub fn for_protocol(protocol: Option<&str>) -> Result<(), Self> {
        let ending = |code, reason: &str| Err(Self { code, reason: reason.into() });
        match protocol.map(str::parse::<u32>) {
            None => ending(4008, "No protocol version was given"),
            Some(Err(_)) => ending(4006, "The protocol version is not a number"),
            Some(Ok(5..=7)) => Ok(()),
            Some(Ok(_)) => ending(4007, "This protocol version is not supported: 5, 6 and 7 are"),
        }
    }
}

/// The server's close code in this protocol. Those below 4000 are RFC 6455's own.
pub(super) fn code_for(code: u16) -> u16 {
    match code {
        // Going away: the next server is there at once.
        1001 => 4200,
        // Idle.
        1000 => 4202,
        // No pong.
        4000 => 4201,
        // Too much at once, too slow, too many connections: in a while.
        4002 | 4008 | 4009 => 4100,
        // Not authenticated, forbidden, disconnected by the API: not to come back by itself.
        4001 | 4003 | 4004 => 4009,
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_one_that_is_spoken() {
        let code = |protocol| Ending::for_protocol(protocol).map_err(|ending| ending.code);
        for good in ["5", "6", "7"] {
            assert_eq!(code(Some(good)), Ok(()));
        }
        assert_eq!(code(None), Err(4008));
        assert_eq!(code(Some("")), Err(4006));
        assert_eq!(code(Some("seven")), Err(4006));
        assert_eq!(code(Some("4")), Err(4007));
        assert_eq!(code(Some("8")), Err(4007));
    }
}
