//! What servers are spoken to in: Tidegate's own protocol, and what its peers speak.

use anyhow::{Context, Result, bail, ensure};
use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use clap::ValueEnum;
use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use super::frame;

#[derive(Clone, Copy, Debug, PartialEq, ValueEnum)]
pub enum Dialect {
    /// Tidegate's own
    Native,
    /// The frames `subscribe` and `publish` of it and nothing else, as benches/peers has it in Bun and Node
    Plain,
    /// Engine.IO 4 over a WebSocket; events `subscribe`, `publish` and `data`
    Socketio,
    /// Pusher Channels 7: client events on private channels
    Pusher,
}

/// What a frame that is no message says.
#[derive(Debug, PartialEq)]
pub enum Said {
    /// The server wants to be greeted before anything else.
    Hello,
    /// Subscriptions are taken now, by a client of this name if it has one.
    Ready(String),
    Subscribed,
    /// A sign of life is asked for.
    Ping,
    Refused(String),
    /// Nothing that a load waits for.
    Other,
}

impl Dialect {
    /// As on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Plain => "plain",
            Self::Socketio => "socketio",
            Self::Pusher => "pusher",
        }
    }

    /// Where servers have it.
    pub fn path(self) -> &'static str {
        match self {
            Self::Native | Self::Plain => "/ws",
            Self::Socketio => "/socket.io/?EIO=4&transport=websocket",
            Self::Pusher => "/app/app-key?protocol=7",
        }
    }

    /// May one subscribe without waiting for the server?
    pub fn is_ready_when_open(self) -> bool {
        matches!(self, Self::Native | Self::Plain)
    }

    /// Must one subscribe to publish?
    pub fn publishers_subscribe(self) -> bool {
        self == Self::Pusher
    }

    /// A channel's whole name.
    pub fn channel(self, name: &str) -> String {
        match self {
            Self::Pusher => format!("private-{name}"),
            _ => name.to_owned(),
        }
    }

    /// `more`: fields beside the channel, native only.
    pub fn subscribe(
        self,
        channel: &str,
        more: &str,
        client: &str,
        secret: &str,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        let name = json!(channel);
        let text = match self {
            Self::Native => format!(r#"{{"type":"subscribe","channel":{name}{more}}}"#),
            Self::Plain => format!(r#"{{"type":"subscribe","channel":{name}}}"#),
            Self::Socketio => format!(r#"42["subscribe",{name}]"#),
            Self::Pusher => {
                let (key, secret) = secret.split_once(':').context("--secret is KEY:SECRET")?;
                let signature = hmac_sha256_hex(secret, &format!("{client}:{channel}"))?;
                let data = json!({ "channel": channel, "auth": format!("{key}:{signature}") });
                json!({ "event": "pusher:subscribe", "data": data }).to_string()
            }
        };
        frame::text(&text, out);
        Ok(())
    }

    /// The text of a publish of some JSON.
    pub fn publish(self, channel: &str, data: &str) -> String {
        let channel = json!(channel);
        match self {
            Self::Native | Self::Plain => {
                format!(r#"{{"type":"publish","channel":{channel},"data":{data}}}"#)
            }
            Self::Socketio => format!(r#"42["publish",{channel},{data}]"#),
            Self::Pusher => format!(r#"{{"event":"client-bench","channel":{channel},"data":{data}}}"#),
        }
    }

    /// Answers to what the server asked.
    pub fn answer(self, said: &Said, out: &mut Vec<u8>) {
        match (self, said) {
            (Self::Socketio, Said::Hello) => frame::text("40", out),
            (Self::Socketio, Said::Ping) => frame::text("3", out),
            (Self::Pusher, Said::Ping) => frame::text(r#"{"event":"pusher:pong","data":{}}"#, out),
            _ => {}
        }
    }

    pub fn read(self, payload: &[u8]) -> Said {
        let refused = || Said::Refused(String::from_utf8_lossy(payload).into_owned());
        match self {
            Self::Native | Self::Plain => match payload {
                payload if payload.starts_with(br#"{"type":"subscribed""#) => Said::Subscribed,
                payload if payload.starts_with(br#"{"type":"error""#) => refused(),
                _ => Said::Other,
            },
            Self::Socketio => match payload {
                [b'0', ..] => Said::Hello,
                b"2" => Said::Ping,
                [b'4', b'0', ..] => Said::Ready(String::new()),
                [b'4', b'1' | b'4', ..] => refused(),
                payload if payload.starts_with(br#"42["subscribed""#) => Said::Subscribed,
                _ => Said::Other,
            },
            Self::Pusher => {
                let Ok(said) = serde_json::from_slice::<Value>(payload) else { return refused() };
                match said["event"].as_str().unwrap_or_default() {
                    "pusher:connection_established" => {
                        // The data is JSON in a string.
                        let data = said["data"].as_str().and_then(|data| serde_json::from_str(data).ok());
                        let data: Value = data.unwrap_or_else(|| said["data"].clone());
                        Said::Ready(data["socket_id"].as_str().unwrap_or_default().to_owned())
                    }
                    "pusher_internal:subscription_succeeded" => Said::Subscribed,
                    "pusher:ping" => Said::Ping,
                    "pusher:error" | "pusher:subscription_error" => refused(),
                    _ => Said::Other,
                }
            }
        }
    }

    /// # Errors
    /// Names what the dialect cannot.
    pub fn needs_native(self, what: &str) -> Result<()> {
        ensure!(self == Self::Native, "{what} is measured with --dialect native only");
        Ok(())
    }
}

fn hmac_sha256_hex(secret: &str, message: &str) -> Result<String> {
    let key = EncodingKey::from_secret(secret.as_bytes());
    let signed = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256)?;
    let Ok(bytes) = BASE64_URL_SAFE_NO_PAD.decode(signed) else { bail!("a signature that is no base64") };
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_dialect_knows_its_frames() {
        use Dialect::{Native, Plain, Pusher, Socketio};
        for (dialect, text, said) in [
            (Native, r#"{"type":"subscribed","channel":"a"}"#, Said::Subscribed),
            (Plain, r#"{"type":"data","channel":"a","data":1}"#, Said::Other),
            (Socketio, r#"0{"sid":"x"}"#, Said::Hello),
            (Socketio, r#"40{"sid":"x"}"#, Said::Ready(String::new())),
            (Socketio, r#"42["subscribed","a"]"#, Said::Subscribed),
            (Socketio, "2", Said::Ping),
            (
                Pusher,
                r#"{"event":"pusher:connection_established","data":"{\"socket_id\":\"1.2\"}"}"#,
                Said::Ready("1.2".into()),
            ),
            (Pusher, r#"{"event":"pusher_internal:subscription_succeeded","channel":"a"}"#, Said::Subscribed),
        ] {
            assert_eq!(dialect.read(text.as_bytes()), said, "{text}");
        }
        assert!(matches!(Native.read(br#"{"type":"error","message":"no"}"#), Said::Refused(_)));
        assert!(matches!(Pusher.read(b"not JSON"), Said::Refused(_)));
    }

    /// The example of the protocol's documentation on authenticating private channels.
    #[test]
    fn a_private_channel_is_signed_as_pusher_documents() {
        let signature = hmac_sha256_hex("7ad3773142a6692b25b8", "1234.1234:private-foobar").unwrap();
        assert_eq!(signature, "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4");
    }
}
