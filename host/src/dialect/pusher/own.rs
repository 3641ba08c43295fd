//! What the server says for itself, of no channel's messages. `data` is a string in all frames but
//! `pusher:error` and `pusher:subscription_error`, whose `data` is an object, as the hosted service has it.

use bytes::{BufMut, Bytes, BytesMut};

use super::close::Ending;
use crate::dialect::frame::{self, Opcode, frame};
use crate::dialect::native::encode::{number, string};

/// The first frame of a connection.
pub fn established(socket_id: &str, activity_timeout_secs: u64) -> Bytes {
    let data = format!("{{\"socket_id\":\"{socket_id}\",\"activity_timeout\":{activity_timeout_secs}}}");
    own("pusher:connection_established", &data)
}

/// `user_data` exactly as it was signed.
pub fn signed_in(user_data: &str) -> Bytes {
    own("pusher:signin_success", &serde_json::json!({ "user_data": user_data }).to_string())
}

fn own(event: &str, data: &str) -> Bytes {
    let mut out = BytesMut::new();
    frame(Opcode::Text, &mut out, |out| {
        out.put_slice(b"{\"event\":");
        string(event, out);
        out.put_slice(b",\"data\":");
        string(data, out);
        out.put_u8(b'}');
    });
    out.freeze()
}

/// `pusher:error`. With no code it is for people alone.
pub fn error(code: Option<u16>, message: &str, out: &mut BytesMut) {
    frame(Opcode::Text, out, |out| {
        out.put_slice(b"{\"event\":\"pusher:error\",\"data\":{\"code\":");
        match code {
            Some(code) => number(code.into(), out),
            None => out.put_slice(b"null"),
        }
        out.put_slice(b",\"message\":");
        string(message, out);
        out.put_slice(b"}}");
    });
}

/// `pusher:subscription_error`: the connection stays.
pub fn refused(channel: &str, kind: &str, message: &str, status: u16, out: &mut BytesMut) {
    frame(Opcode::Text, out, |out| {
        out.put_slice(b"{\"event\":\"pusher:subscription_error\",\"channel\":");
        string(channel, out);
        out.put_slice(b",\"data\":{\"type\":");
        string(kind, out);
        out.put_slice(b",\"error\":");
        string(message, out);
        out.put_slice(b",\"status\":");
        number(status.into(), out);
        out.put_slice(b"}}");
    });
}

/// Says why, and closes.
pub fn end(ending: &Ending, out: &mut BytesMut) {
    if ending.code >= 4000 {
        error(Some(ending.code), &ending.reason, out);
    }
    frame::close(ending.code, &ending.reason, out);
}
