//! Refuses messages that are too long, and counts the others.

use tidegate_guest::prelude::*;

/// Of a message, in bytes.
const LONGEST: usize = 200;

struct Room {
    messages: u64,
}

impl Channel for Room {
    fn open(_: &ChannelName) -> Result<Self, String> {
        Ok(Self { messages: 0 })
    }

    fn save(&self) -> Option<Vec<u8>> {
        Some(self.messages.to_string().into_bytes())
    }

    fn restore(_: &ChannelName, snapshot: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(snapshot).map_err(|error| error.to_string())?;
        let messages = text.parse().map_err(|_| format!("`{text}` is no count"))?;
        Ok(Self { messages })
    }

    fn default_response(&mut self, _: &Caller, _: &Data) -> Result<Option<Response>, Denial> {
        Ok(Some(Response::raw_json(format!(r#"{{"messages":{}}}"#, self.messages))))
    }

    fn on_publish(&mut self, message: &Message, _: &mut Context) -> Result<Verdict, Denial> {
        if message.bytes().len() > LONGEST {
            deny!(1, "A message has at most {LONGEST} bytes.");
        }
        self.messages += 1;
        Ok(Verdict::Pass)
    }
}

tidegate_guest::export!(
    channel: Room,
    info: {
        version: env!("CARGO_PKG_VERSION"),
        summary: "Counts messages, and refuses long ones.",
        channels: ["{{name}}:*"],
    },
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_is_not_too_long() {
        let mut room = Room::open(&"{{name}}:lobby".into()).unwrap();
        let mut publish = |text: &str| room.on_publish(&Message::for_test("ada", text), &mut Context::default());
        assert_eq!(publish("1"), Ok(Verdict::Pass));
        assert_eq!(publish(&"x".repeat(201)).unwrap_err().code, 1);
        assert_eq!(room.messages, 1);
    }
}
