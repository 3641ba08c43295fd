//! A chat: takes `{"text": "…"}`, checks it, and delivers it with the sender's name.

mod line;

use line::Line;
use tidegate_guest::prelude::*;

struct Chat {
    room: String,
}

impl Channel for Chat {
    fn open(channel: &ChannelName) -> Result<Self, String> {
        Ok(Chat { room: channel.capture("room").unwrap_or(channel).to_owned() })
    }

    fn default_response(&mut self, who: &Caller, _: &Data) -> Result<Option<Response>, Denial> {
        let text = format!("Welcome to {}, {}.", self.room, who.user);
        Response::json(&Line { text, from: "server".to_owned() }).map(Some)
    }

    fn on_publish(&mut self, message: &Message, _: &mut Context) -> Result<Verdict, Denial> {
        Verdict::replace_json(&Line::check(message)?)
    }
}

tidegate_guest::export!(
    channel: Chat,
    info: {
        version: env!("CARGO_PKG_VERSION"),
        summary: "A chat that checks and signs messages.",
        channels: ["chat:{room}", "chat:*"],
    },
);

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(message: Message) -> Result<Verdict, Denial> {
        Chat::open(&"chat:lobby".into()).unwrap().on_publish(&message, &mut Context::default())
    }

    fn refusal(payload: &str) -> Denial {
        publish(Message::for_test("ada", payload)).unwrap_err()
    }

    #[test]
    fn signs_a_message_with_its_senders_name() {
        let verdict = publish(Message::for_test("ada", r#"{"text":"  hi \n","more":1}"#));
        assert_eq!(verdict, Ok(Verdict::replace(r#"{"text":"hi","from":"ada"}"#)));
    }

    #[test]
    fn welcomes_who_comes_by_name_into_the_room() {
        let welcome = |channel: &ChannelName| {
            let response =
                Chat::open(channel).unwrap().default_response(&Caller::for_test("ada"), &Data::null());
            response.unwrap().unwrap()
        };
        let said = |room: &str| {
            Response::raw_json(format!(r#"{{"text":"Welcome to {room}, ada.","from":"server"}}"#))
        };
        assert_eq!(welcome(&ChannelName::from("chat:lobby").with("room", "lobby")), said("lobby"));
        assert_eq!(welcome(&"chat:a:b".into()), said("chat:a:b"));
    }

    #[test]
    fn signs_the_servers_own_messages_with_server() {
        let verdict = publish(Message::from_server_for_test(r#"{"text":"hi"}"#));
        assert_eq!(verdict, Ok(Verdict::replace(r#"{"text":"hi","from":"server"}"#)));
    }

    #[test]
    fn refuses_a_text_of_blanks() {
        let expected = Denial::new(1, "Say something: the text is empty.");
        assert_eq!(refusal(r#"{"text":"  "}"#), expected);
    }

    #[test]
    fn counts_characters_and_not_bytes() {
        let text = |length| format!(r#"{{"text":"{}"}}"#, "ü".repeat(length));
        assert!(publish(Message::for_test("ada", text(500))).is_ok());
        let expected = Denial::new(2, "The text has 501 characters; at most 500 are allowed.");
        assert_eq!(refusal(&text(501)), expected);
    }

    #[test]
    fn refuses_what_is_no_chat_message() {
        for payload in ["", "7", "{}", r#"{"text":7}"#, r#"{"text":"hi""#] {
            assert_eq!(refusal(payload).code, 3, "{payload}");
        }
    }
}
