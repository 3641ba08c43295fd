//! Which channels a token is for.

use serde_json::Value;

use super::object::Object;
use super::refused::Refused;
use crate::core::{ChannelName, Pattern};
use crate::plugin::AuthAction;

/// `channels` holds for both actions, `publish` narrows publishing. A list that is not there
/// limits nothing; an empty one allows nothing.
#[derive(Clone, Debug, Default)]
pub struct Grants {
    channels: Option<Vec<Pattern>>,
    publish: Option<Vec<Pattern>>,
}

impl Grants {
    pub fn read(claims: &Object) -> Result<Self, Refused> {
        Ok(Self { channels: patterns(claims, "channels")?, publish: patterns(claims, "publish")? })
    }

    pub fn allow(&self, action: AuthAction, channel: &ChannelName) -> bool {
        let covered = |list: &Option<Vec<Pattern>>| {
            list.as_ref().is_none_or(|list| list.iter().any(|pattern| pattern.matches(channel.as_str())))
        };
        covered(&self.channels) && (action == AuthAction::Subscribe || covered(&self.publish))
    }
}

fn patterns(claims: &Object, name: &str) -> Result<Option<Vec<Pattern>>, Refused> {
    let wrong = || Refused::Claim(name.into(), "a list of channel patterns");
    match claims.get(name) {
        None => Ok(None),
        Some(Value::Array(list)) => {
            let parsed = list.iter().map(|one| Pattern::parse(one.as_str()?).ok());
            parsed.collect::<Option<_>>().map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(claims: &str) -> Result<Grants, Refused> {
        Grants::read(&Object::parse(claims.as_bytes()).unwrap())
    }

    /// May subscribe, may publish.
    fn may(claims: &str, channel: &str) -> (bool, bool) {
        let (grants, channel) = (read(claims).unwrap(), ChannelName::parse(channel).unwrap());
        (grants.allow(AuthAction::Subscribe, &channel), grants.allow(AuthAction::Publish, &channel))
    }

    #[test]
    fn channels_limit_both_actions() {
        let claims = r#"{"channels":["room:*","news"]}"#;
        assert_eq!(may(claims, "room:1"), (true, true));
        assert_eq!(may(claims, "news"), (true, true));
        assert_eq!(may(claims, "newsroom"), (false, false));
        assert_eq!(may("{}", "anything"), (true, true));
        assert_eq!(may(r#"{"channels":[]}"#, "anything"), (false, false));
    }

    #[test]
    fn publish_narrows_and_never_widens() {
        let claims = r#"{"channels":["room:*"],"publish":["room:1","news"]}"#;
        assert_eq!(may(claims, "room:1"), (true, true));
        assert_eq!(may(claims, "room:2"), (true, false));
        assert_eq!(may(claims, "news"), (false, false));
        assert_eq!(may(r#"{"publish":[]}"#, "news"), (true, false));
    }

    #[test]
    fn a_list_that_is_none_is_refused_and_not_left_out() {
        for claims in [
            r#"{"channels":null}"#,
            r#"{"channels":"room:*"}"#,
            r#"{"channels":[1]}"#,
            r#"{"channels":[null]}"#,
            r#"{"channels":["a*b"]}"#,
            r#"{"channels":[""]}"#,
            r#"{"channels":{}}"#,
        ] {
            let reason = read(claims).expect_err(claims).to_string();
            assert_eq!(reason, "The token's 'channels' is not a list of channel patterns.");
        }
        assert!(read(r#"{"publish":null}"#).is_err());
    }
}
