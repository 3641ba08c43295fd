//! Signed requests of the HTTP API: their queries read, and compared with their signatures. What
//! is signed are the values before any encoding, but SDKs differ in what they then encode.

use md5::{Digest, Md5};

use super::sign::SigningKey;
use crate::dialect::query;

/// A request whose clock differs from the server's by so many seconds is of no use any more.
pub const WINDOW_SECS: u64 = 600;
/// Of the signed text that a refusal shows, in characters.
const SHOWN: usize = 1000;

/// What is signed beside the parameters, as it came.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub query: &'a str,
}

/// How a query's values are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    /// As forms are encoded.
    Form,
    /// The same, but `+` is itself.
    Percent,
    /// As they stand: some SDKs encode nothing.
    Raw,
}

/// A request's parameters, sorted by their names in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Params(Vec<(String, String)>);

/// Why a request is nobody's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    #[error("{0} is missing in the query.")]
    Missing(&'static str),
    #[error("{0} stands twice in the query.")]
    Twice(&'static str),
    #[error("auth_key is not this application's.")]
    Key,
    #[error("auth_version is not 1.0.")]
    Version,
    #[error("auth_timestamp is no number of seconds.")]
    NoTime,
    #[error(
        "auth_timestamp is {0} s away from the server's clock; {WINDOW_SECS} s are too far: compare the clocks."
    )]
    Time(u64),
    /// What should have been signed, as far as it is shown: the sender knows all of it.
    #[error("auth_signature is not the HMAC-SHA256, in hexadecimal digits, of {0:?} under the secret.")]
    Signature(String),
    #[error("body_md5 is missing in the query, and the request has a body.")]
    NoDigest,
    #[error("body_md5 is not the body's.")]
    Digest,
}

/// The application's key that a request shows.
pub fn auth_key(query: &str) -> Option<String> {
    Params::read(query, Reading::Form)?.one("auth_key").ok().map(str::to_owned)
}

/// The parameters of a request that an application has signed; read as they were signed.
/// `now` in seconds of Unix time. [`Params::check_body`] remains to be asked.
///
/// # Errors
/// The application's client has not signed it, or long ago.
pub fn verify(key: &str, signing: &SigningKey, head: Head<'_>, now: u64) -> Result<Params, Denied> {
    let readings: &[_] = match head.query.contains(['%', '+']) {
        true => &[Reading::Form, Reading::Percent, Reading::Raw],
        false => &[Reading::Raw],
    };
    // The first reading's words are the likeliest.
    let mut denied = None;
    for params in readings.iter().filter_map(|reading| Params::read(head.query, *reading)) {
        match params.check(key, signing, head, now) {
            Ok(()) => return Ok(params),
            Err(reason) => denied = denied.or(Some(reason)),
        }
    }
    Err(denied.unwrap_or(Denied::Missing("auth_key")))
}

impl Params {
    /// None: some value is not well formed, read so.
    fn read(query: &str, reading: Reading) -> Option<Self> {
        let decode = |text: &str| match reading {
            Reading::Form => query::decode(text),
            Reading::Percent => query::decode_path(text),
            Reading::Raw => Some(text.to_owned()),
        };
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let pairs = pairs.map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(name)?.to_lowercase(), decode(value)?))
        });
        let mut pairs: Vec<_> = pairs.collect::<Option<_>>()?;
        // Of the same name in the order in which they came.
        pairs.sort_by(|(a, _), (b, _)| a.cmp(b));
        Some(Self(pairs))
    }

    fn check(&self, key: &str, signing: &SigningKey, head: Head<'_>, now: u64) -> Result<(), Denied> {
        if self.one("auth_key")? != key {
            return Err(Denied::Key);
        }
        if self.one("auth_version")? != "1.0" {
            return Err(Denied::Version);
        }
        let signed_at: u64 = self.one("auth_timestamp")?.parse().map_err(|_| Denied::NoTime)?;
        let away = now.abs_diff(signed_at);
        if away >= WINDOW_SECS {
            return Err(Denied::Time(away));
        }
        let shown = self.one("auth_signature")?;
        let query = self.to_sign();
        let is_signed = |path: &str| signing.request(head.method, path, &query).is(shown);
        // A library may have encoded in the path what its SDK has signed without.
        let decoded = query::decode_path(head.path).filter(|decoded| decoded != head.path);
        if is_signed(head.path) || decoded.is_some_and(|path| is_signed(&path)) {
            return Ok(());
        }
        let text = format!("{}\n{}\n{query}", head.method, head.path);
        Err(Denied::Signature(text.chars().take(SHOWN).collect()))
    }

    /// Is this the body that was signed? Its signature covers only what `body_md5` says of it.
    ///
    /// # Errors
    /// It is another one.
    pub fn check_body(&self, body: &[u8]) -> Result<(), Denied> {
        match self.one("body_md5") {
            Ok(digest) if digest.eq_ignore_ascii_case(&hex(&Md5::digest(body))) => Ok(()),
            Err(Denied::Missing(_)) if body.is_empty() => Ok(()),
            Err(Denied::Missing(_)) => Err(Denied::NoDigest),
            Ok(_) | Err(_) => Err(Denied::Digest),
        }
    }

    /// The value of a parameter, also of its first element where it is a list.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| is_it(known, name)).map(|(_, value)| value.as_str())
    }

    /// What a comma-separated parameter says: `info=a,b`, or `info[]=a&info[]=b`.
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        let values = self.0.iter().filter(move |(known, _)| is_it(known, name)).map(|(_, value)| value);
        values.flat_map(|value| value.split(',')).map(str::trim).filter(|item| !item.is_empty())
    }

    fn one(&self, name: &'static str) -> Result<&str, Denied> {
        let mut values = self.0.iter().filter(|(known, _)| known == name);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => Ok(value),
            (None, _) => Err(Denied::Missing(name)),
            (Some(_), Some(_)) => Err(Denied::Twice(name)),
        }
    }

    fn to_sign(&self) -> String {
        let mut text = String::new();
        for (name, value) in self.0.iter().filter(|(name, _)| name != "auth_signature") {
            let separator = if text.is_empty() { "" } else { "&" };
            text.extend([separator, name, "=", value]);
        }
        text
    }
}

/// Also an element of the list of that name.
fn is_it(known: &str, name: &str) -> bool {
    known.strip_suffix("[]").unwrap_or(known) == name
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const KEY: &str = "278d425bdf160c739803";
    const AT: u64 = 1_353_088_179;
    const BODY: &[u8] = br#"{"name":"foo","channels":["project-3"],"data":"{\"some\":\"data\"}"}"#;

    fn signing() -> SigningKey {
        SigningKey::new(b"7ad3773142a6692b25b8").unwrap()
    }

    fn check_at(now: u64, method: &str, path: &str, query: &str) -> Result<Params, Denied> {
        verify(KEY, &signing(), Head { method, path, query }, now)
    }

    /// A query with a signature of what `signed` says.
    fn signed(method: &str, path: &str, sent: &str, signed: &str) -> Result<Params, Denied> {
        let auth = format!("auth_key={KEY}&auth_timestamp={AT}&auth_version=1.0");
        let signature = signing().request(method, path, &format!("{auth}{signed}"));
        check_at(AT, method, path, &format!("{auth}{sent}&auth_signature={signature}"))
    }

    const QUERY: &str = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
        &body_md5=ec365a775a4cd0599faeb73354201b6f\
        &auth_signature=da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c";

    /// The documentation's own example.
    #[test]
    fn the_worked_request_is_good_for_ten_minutes() {
        for now in [AT - 599, AT, AT + 599] {
            let params = check_at(now, "POST", "/apps/3/events", QUERY).unwrap();
            assert_eq!(params.check_body(BODY), Ok(()));
        }
        for now in [0, AT - 600, AT + 600, u64::MAX] {
            let denied = check_at(now, "POST", "/apps/3/events", QUERY).unwrap_err();
            assert_eq!(denied, Denied::Time(now.abs_diff(AT)));
        }
    }

    #[test]
    fn nothing_of_it_can_be_another() {
        for (method, path, query) in [
            ("GET", "/apps/3/events", QUERY.to_owned()),
            ("POST", "/apps/4/events", QUERY.to_owned()),
            ("POST", "/apps/3/events", QUERY.replace("body_md5=e", "body_md5=f")),
            ("POST", "/apps/3/events", QUERY.replace("&body", "&a=b&body")),
            ("POST", "/apps/3/events", QUERY.replace("=da45", "=da46")),
            ("POST", "/apps/3/events", QUERY.replace("=da45", "=DA45")),
        ] {
            let denied = check_at(AT, method, path, &query).unwrap_err();
            assert!(matches!(denied, Denied::Signature(_)), "{method} {path} {query}: {denied}");
        }
    }

    #[test]
    fn what_is_missing_or_wrong_is_named() {
        for (old, new, denied) in [
            ("auth_key=", "key=", Denied::Missing("auth_key")),
            ("auth_key=2", "auth_key=3", Denied::Key),
            ("auth_version=1.0&", "", Denied::Missing("auth_version")),
            ("auth_version=1.0", "auth_version=1", Denied::Version),
            ("auth_timestamp=1353088179&", "", Denied::Missing("auth_timestamp")),
            ("=1353088179", "=now", Denied::NoTime),
            ("=1353088179", "=-1", Denied::NoTime),
            ("auth_signature=", "signature=", Denied::Missing("auth_signature")),
            ("&auth_version=1.0", "&auth_version=1.0&auth_version=1.0", Denied::Twice("auth_version")),
        ] {
            let query = QUERY.replace(old, new);
            assert_eq!(check_at(AT, "POST", "/apps/3/events", &query), Err(denied), "{query}");
        }
        assert_eq!(check_at(AT, "GET", "/", ""), Err(Denied::Missing("auth_key")));
    }

    #[test]
    fn a_body_is_the_one_that_was_signed() {
        let with = |query: &str| Params::read(query, Reading::Form).unwrap();
        let empty = "body_md5=d41d8cd98f00b204e9800998ecf8427e";
        assert_eq!(with("").check_body(b""), Ok(()));
        assert_eq!(with(empty).check_body(b""), Ok(()), "some SDKs send it with a GET too");
        assert_eq!(with("").check_body(b"{}"), Err(Denied::NoDigest));
        assert_eq!(with(empty).check_body(b"{}"), Err(Denied::Digest));
        assert_eq!(with(&format!("{empty}&{empty}")).check_body(b""), Err(Denied::Digest));
    }

    #[test]
    fn sdks_encode_as_they_like() {
        let path = "/apps/1/channels";
        for (sent, meant) in [
            ("&info=user_count%2Csubscription_count", "&info=user_count,subscription_count"),
            ("&info=user_count,subscription_count", "&info=user_count,subscription_count"),
            ("&info=a%2Bb", "&info=a+b"),
            ("&info=a+b", "&info=a b"),
            ("&info=a+b", "&info=a+b"),
            ("&info=a+b%20c", "&info=a+b c"),
            ("&info=50%", "&info=50%"),
            ("&info=%ff", "&info=%ff"),
            ("&Info=x", "&info=x"),
            ("&info[]=a&info[]=b", "&info[]=a&info[]=b"),
            ("&info%5B%5D=a", "&info[]=a"),
        ] {
            let params = signed("GET", path, sent, meant).unwrap_or_else(|denied| panic!("{sent}: {denied}"));
            assert!(meant.ends_with(params.get("info").unwrap()) || meant.contains("[]"), "{params:?}");
        }
        assert!(signed("GET", path, "&info=a%2Bb", "&info=a b").is_err());
    }

    #[test]
    fn a_path_is_signed_as_it_is_sent_or_before_it_was_encoded() {
        let query = |signed: &str| {
            let auth = format!("auth_key={KEY}&auth_timestamp={AT}&auth_version=1.0");
            format!("{auth}&auth_signature={}", signing().request("GET", signed, &auth))
        };
        for (sent, signed) in [
            ("/apps/1/channels/presence-a@b=,.;", "/apps/1/channels/presence-a@b=,.;"),
            ("/users/ada%20l/terminate_connections", "/users/ada l/terminate_connections"),
            ("/users/ada%20l/terminate_connections", "/users/ada%20l/terminate_connections"),
        ] {
            assert!(check_at(AT, "GET", sent, &query(signed)).is_ok(), "{sent}");
        }
        assert!(check_at(AT, "GET", "/a", &query("/%61")).is_err());
    }

    #[test]
    fn lists_come_in_one_or_in_many() {
        for query in ["info=a,b", "info[]=a&info[]=b", "info=a%2C%20b,"] {
            let params = Params::read(query, Reading::Form).unwrap();
            assert!(params.list("info").eq(["a", "b"]), "{query}");
        }
        assert_eq!(Params(Vec::new()).list("info").count(), 0);
    }

    proptest! {
        #[test]
        fn any_parameters_can_be_signed(pairs in prop::collection::vec(("[a-z]{1,3}", "\\PC{0,8}"), 0..5)) {
            let mut pairs = pairs;
            pairs.sort_by(|a, b| a.0.cmp(&b.0));
            // Behind those of the authentication.
            let plain: String = pairs.iter().map(|(name, value)| format!("&b{name}={value}")).collect();
            let encoded: String = pairs
                .iter()
                .map(|(name, value)| {
                    let bytes = value.bytes().map(|byte| format!("%{byte:02X}"));
                    format!("&b{name}={}", bytes.collect::<String>())
                })
                .collect();
            let params = signed("GET", "/", &encoded, &plain).unwrap();
            for (name, _) in &pairs {
                let first = pairs.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
                prop_assert_eq!(params.get(&format!("b{name}")), first);
            }
        }
    }
}
