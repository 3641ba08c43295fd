//! Signatures of the Pusher Channels protocol: HMAC-SHA256 (RFC 2104) in lower-case hexadecimal
//! digits, under an application's secret. Compared in constant time.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// A signature as it stands on the wire.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature([u8; 32]);

/// What an application signs with. Never shown.
#[derive(Clone)]
pub struct SigningKey(Hmac<Sha256>);

impl SigningKey {
    /// # Errors
    /// None: a key of any length is one.
    pub fn new(secret: &[u8]) -> Result<Self, hmac::digest::InvalidLength> {
        Hmac::new_from_slice(secret).map(Self)
    }

    /// The signature of texts, one behind the other.
    pub fn sign(&self, parts: &[&str]) -> Signature {
        let mut mac = self.0.clone();
        parts.iter().for_each(|part| mac.update(part.as_bytes()));
        Signature(mac.finalize().into_bytes().into())
    }

    /// Of a subscription: with the client's `channel_data`, exactly as it was sent, where it sent any.
    pub fn channel(&self, socket_id: &str, channel: &str, channel_data: Option<&str>) -> Signature {
        match channel_data {
            Some(data) => self.sign(&[socket_id, ":", channel, ":", data]),
            None => self.sign(&[socket_id, ":", channel]),
        }
    }

    /// Of a sign-in.
    pub fn user(&self, socket_id: &str, user_data: &str) -> Signature {
        self.sign(&[socket_id, "::user::", user_data])
    }

    /// Of an HTTP request: `query` is its sorted parameters without the signature, `k=v` joined
    /// with `&`, not escaped.
    pub fn request(&self, method: &str, path: &str, query: &str) -> Signature {
        self.sign(&[method, "\n", path, "\n", query])
    }

    /// Of a webhook's body.
    pub fn webhook(&self, body: &str) -> Signature {
        self.sign(&[body])
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(secret)")
    }
}

impl Signature {
    /// Is this what somebody shows? It takes as long for any text of the right length.
    pub fn is(&self, shown: &str) -> bool {
        self.to_string().as_bytes().ct_eq(shown.as_bytes()).into()
    }
}

impl std::fmt::Display for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Not to be seen in a log: who has it, has what it signs.
impl std::fmt::Debug for Signature {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("(signature)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> SigningKey {
        SigningKey::new(b"7ad3773142a6692b25b8").unwrap()
    }

    /// The documentation's own examples.
    #[test]
    fn the_worked_values_come_out() {
        assert_eq!(
            key().channel("1234.1234", "private-foobar", None).to_string(),
            "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4"
        );
        let data = r#"{"user_id":10,"user_info":{"name":"Mr. Pusher"}}"#;
        assert_eq!(
            key().channel("1234.1234", "presence-foobar", Some(data)).to_string(),
            "afaed3695da2ffd16931f457e338e6c9f2921fa133ce7dac49f529792be6304c"
        );
        assert_eq!(
            key().user("1234.1234", r#"{"id":"12345"}"#).to_string(),
            "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba"
        );
        let query = "auth_key=278d425bdf160c739803&auth_timestamp=1353088179&auth_version=1.0\
                     &body_md5=ec365a775a4cd0599faeb73354201b6f";
        assert_eq!(
            key().request("POST", "/apps/3/events", query).to_string(),
            "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c"
        );
    }

    #[test]
    fn only_the_very_signature_is_taken() {
        let signature = key().sign(&["a"]);
        let text = signature.to_string();
        assert!(signature.is(&text));
        for other in
            ["", &text[1..], &text.to_uppercase(), &format!("{text} "), &key().sign(&["b"]).to_string()]
        {
            assert!(!signature.is(other), "{other}");
        }
        assert!(!format!("{signature:?}{:?}", key()).contains(&text[..8]));
    }
}
