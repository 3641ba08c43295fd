//! Who a member of a presence channel is: `channel_data`, and what the channel keeps of it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use bytes::Bytes;
use serde_json::value::RawValue;

use crate::core::UserId;
use crate::core::apps::MAX_USER;
use crate::dialect::fields::fields;
use crate::dialect::native::decode::string;

/// Fields that members have beside what they say of themselves.
const RESERVED: [&str; 3] = ["user_id", "joined_at", USER_INFO];
const USER_INFO: &str = "user_info";

/// `{"user_id":…,"user_info":…}`, or the sign-in's `{"id":…,"user_info":…}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub user: UserId,
    /// A JSON object: see [`metadata`].
    pub metadata: Bytes,
}

/// Why a member is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadMember {
    #[error("is not a JSON object")]
    NoObject,
    #[error("has no `{0}`, a text or a number")]
    NoUser(&'static str),
    #[error("has a `{0}` of more than {MAX_USER} characters")]
    LongUser(&'static str),
}

/// A member by the `channel_data` of its subscription. A number is the same user as its digits.
///
/// # Errors
/// It is no member.
pub fn member(channel_data: &str) -> Result<Member, BadMember> {
    let [user, info] =
        fields(channel_data.as_bytes(), ["user_id", USER_INFO]).map_err(|_| BadMember::NoObject)?;
    let user = user.and_then(id).ok_or(BadMember::NoUser("user_id"))?;
    named(user, info, "user_id")
}

/// Who signs in, by its `user_data`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub member: Member,
    /// The users that it wants to hear of.
    pub watchlist: Vec<String>,
}

/// A user by the `user_data` of its sign-in: its id is a text, and not empty.
///
/// # Errors
/// It is no user, or its watchlist is no list of texts.
pub fn user(user_data: &str) -> Result<User, BadMember> {
    let [user, info, watchlist] =
        fields(user_data.as_bytes(), ["id", USER_INFO, "watchlist"]).map_err(|_| BadMember::NoObject)?;
    let user = user.and_then(string).filter(|user| !user.is_empty()).ok_or(BadMember::NoUser("id"))?;
    let watchlist = watchlist.and_then(|list| serde_json::from_str(list).ok());
    Ok(User { member: named(user, info, "id")?, watchlist: watchlist.unwrap_or_default() })
}

fn named(user: Cow<'_, str>, info: Option<&str>, field: &'static str) -> Result<Member, BadMember> {
    if user.chars().nth(MAX_USER).is_some() {
        return Err(BadMember::LongUser(field));
    }
    Ok(Member { user: UserId(user.into()), metadata: metadata(info) })
}

fn id(raw: &str) -> Option<Cow<'_, str>> {
    match raw.as_bytes().first()? {
        b'"' => string(raw).filter(|user| !user.is_empty()),
        b'-' | b'0'..=b'9' => Some(Cow::Borrowed(raw)),
        _ => None,
    }
}

/// What the channel keeps of a `user_info`: an object as it is, so that native clients see its
/// fields; anything else, and an object with the server's own fields, as `{"user_info":…}`.
fn metadata(info: Option<&str>) -> Bytes {
    let Some(info) = info else { return Bytes::new() };
    let object: Option<BTreeMap<Cow<'_, str>, &RawValue>> = serde_json::from_str(info).ok();
    let is_plain = object.is_some_and(|object| !RESERVED.iter().any(|own| object.contains_key(*own)));
    if is_plain {
        Bytes::copy_from_slice(info.as_bytes())
    } else {
        format!("{{\"user_info\":{info}}}").into()
    }
}

/// The `user_info` of a member: an empty object where there is none, because clients want one.
pub(super) fn user_info(metadata: &[u8]) -> &[u8] {
    if metadata.is_empty() {
        return b"{}";
    }
    if metadata.starts_with(b"{\"user_info\":")
        && let Ok(object) = serde_json::from_slice::<BTreeMap<Cow<'_, str>, &RawValue>>(metadata)
        && object.len() == 1
        && let Some(info) = object.get(USER_INFO)
    {
        return info.get().as_bytes();
    }
    metadata
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kept(channel_data: &str) -> (String, String, String) {
        let member = member(channel_data).unwrap();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        (member.user.as_str().into(), text(&member.metadata), text(user_info(&member.metadata)))
    }

    #[test]
    fn what_a_member_says_of_itself_comes_out_as_it_is() {
        for (info, metadata) in [
            (r#"{"name": "Ada"}"#, r#"{"name": "Ada"}"#),
            ("{}", "{}"),
            (r#""Ada""#, r#"{"user_info":"Ada"}"#),
            ("[1 ,2]", r#"{"user_info":[1 ,2]}"#),
            (r#"{"user_info":1}"#, r#"{"user_info":{"user_info":1}}"#),
            (r#"{"user_id":"eve"}"#, r#"{"user_info":{"user_id":"eve"}}"#),
        ] {
            let (user, kept, out) = kept(&format!(r#"{{"user_id":"1","user_info":{info}}}"#));
            assert_eq!((&*user, &*kept, &*out), ("1", metadata, info));
        }
        let none = r#"{"user_id":"1"}"#;
        assert_eq!(kept(none), ("1".into(), String::new(), "{}".into()));
        // A native client's own.
        assert_eq!(user_info(br#"{"user_info":1,"b":2}"#), br#"{"user_info":1,"b":2}"#);
    }

    #[test]
    fn a_number_is_the_user_of_its_digits() {
        assert_eq!(kept(r#"{"user_id":10}"#).0, "10");
        assert_eq!(kept(r#"{"user_id":"10"}"#).0, "10");
    }

    #[test]
    fn who_is_nobody_is_told_why() {
        for (data, why) in [
            ("", BadMember::NoObject),
            ("[]", BadMember::NoObject),
            ("{}", BadMember::NoUser("user_id")),
            (r#"{"user_id":""}"#, BadMember::NoUser("user_id")),
            (r#"{"user_id":null}"#, BadMember::NoUser("user_id")),
            (r#"{"user_id":{}}"#, BadMember::NoUser("user_id")),
            (r#"{"user_id":true}"#, BadMember::NoUser("user_id")),
        ] {
            assert_eq!(member(data), Err(why), "{data}");
        }
        let long = format!(r#"{{"user_id":"{}"}}"#, "ü".repeat(129));
        assert_eq!(member(&long), Err(BadMember::LongUser("user_id")));
        assert!(member(&format!(r#"{{"user_id":"{}"}}"#, "ü".repeat(128))).is_ok());
        assert_eq!(user(r#"{"id":5}"#), Err(BadMember::NoUser("id")), "pusher-js takes a text alone");
        let ada = user(r#"{"id":"ada","watchlist":["bob","eve"]}"#).unwrap();
        assert_eq!((ada.member.user.as_str(), ada.watchlist.len()), ("ada", 2));
    }
}
