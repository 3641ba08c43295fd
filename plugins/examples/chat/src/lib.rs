//! A chat: takes `{"text": "…"}`, checks it, and delivers it with the sender's name.

mod line;

use line::Line;
use tidegate_guest::prelude::*;

struct Chat;

impl Channel for Chat {
    fn open(_name: &str) -> Result<Self, String> {
        Ok(Chat)
    }

    fn on_publish(&mut self, message: &Message, _: &mut Context) -> Result<Verdict, Denial> {
        Verdict::replace_json(&Line::check(message)?)
    }
}

tidegate_guest::export!(
    channel: Chat,
    info: { version: env!("CARGO_PKG_VERSION"), summary: "A chat that checks and signs messages." },
);

#[cfg(test)]
mod tests {
    use super::*;

    fn publish(message: Message) -> Result<Verdict, Denial> {
        Chat::open("chat:lobby").unwrap().on_publish(&message, &mut Context::default())
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
