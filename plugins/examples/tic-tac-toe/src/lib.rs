//! Tic-tac-toe: a channel is a game. It goes on over reloads, because the channel saves it.

mod game;

use std::time::Duration;

use game::Game;
use serde::Deserialize;
use tidegate_guest::prelude::*;

const TURN: u32 = 1;
/// Seconds for a move, without the setting `turn_secs`.
const TURN_SECS: u64 = 60;

struct Room {
    name: String,
    game: Game,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Request {
    Move { cell: usize },
    New { new: bool },
}

impl Channel for Room {
    fn open(channel: &ChannelName) -> Result<Self, String> {
        Ok(Self { name: channel.to_string(), game: Game::default() })
    }

    fn restore(channel: &ChannelName, snapshot: &[u8]) -> Result<Self, String> {
        let game = serde_json::from_slice(snapshot).map_err(|error| error.to_string())?;
        Ok(Self { name: channel.to_string(), game })
    }

    fn save(&self) -> Option<Vec<u8>> {
        serde_json::to_vec(&self.game).ok()
    }

    fn default_response(&mut self, _: &Caller, _: &Data) -> Result<Option<Response>, Denial> {
        Response::json(&self.game).map(Some)
    }

    fn on_publish(&mut self, message: &Message, ctx: &mut Context) -> Result<Verdict, Denial> {
        match message.json() {
            Ok(Request::Move { cell }) => self.game.play(message.user(), cell)?,
            Ok(Request::New { new: true }) if self.game.is_over() => self.game = Game::default(),
            Ok(Request::New { .. }) => deny!(6, "The game is not over."),
            Err(_) => deny!(3, r#"A move looks like {{"cell":4}}."#),
        }
        if self.game.is_over() || self.game == Game::default() {
            ctx.cancel_timer(TURN);
        } else {
            let seconds = config::get("turn_secs").and_then(|text| text.parse().ok());
            ctx.set_timer(TURN, Duration::from_secs(seconds.unwrap_or(TURN_SECS)));
        }
        Verdict::replace_json(&self.game)
    }

    fn on_timer(&mut self, _: u32, ctx: &mut Context) {
        self.game.run_out();
        if let Err(denial) = ctx.publish(self.name.as_str()).json(&self.game) {
            error!("{}", denial.reason);
        }
    }
}

tidegate_guest::export!(
    channel: Room,
    info: { version: env!("CARGO_PKG_VERSION"), summary: "Tic-tac-toe, a game a channel." },
);

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn room() -> Room {
        Room::open(&"tic-tac-toe:1".into()).unwrap()
    }

    /// What everybody sees after a move, or the code of its refusal.
    fn play(room: &mut Room, user: &str, payload: &str) -> Result<Value, u16> {
        let verdict = room.on_publish(&Message::for_test(user, payload), &mut Context::default());
        match verdict.map_err(|denial| denial.code)? {
            Verdict::Replace(bytes) => Ok(serde_json::from_slice(&bytes).unwrap()),
            other => panic!("{other:?}"),
        }
    }

    fn moves(room: &mut Room, cells: &[usize]) -> Value {
        let turns = ["ada", "bob"].into_iter().cycle().zip(cells);
        let seen = turns.map(|(user, cell)| play(room, user, &format!(r#"{{"cell":{cell}}}"#)).unwrap());
        seen.last().unwrap()
    }

    #[test]
    fn the_first_two_who_move_are_the_players() {
        let mut room = room();
        let seen = moves(&mut room, &[4]);
        assert_eq!(seen, json!({ "board": "....x....", "x": "ada", "o": null, "next": "o", "result": null }));
        for (user, payload, code) in [
            ("ada", r#"{"cell":0}"#, 1),
            ("bob", r#"{"cell":4}"#, 2),
            ("bob", r#"{"cell":9}"#, 3),
            ("bob", r#"{"sell":1}"#, 3),
            ("bob", r#"{"new":true}"#, 6),
        ] {
            assert_eq!(play(&mut room, user, payload), Err(code), "{user} {payload}");
        }
        assert_eq!(play(&mut room, "bob", r#"{"cell":0}"#).unwrap()["o"], "bob");
        assert_eq!(play(&mut room, "eve", r#"{"cell":1}"#), Err(5));
        assert_eq!(play(&mut room, "bob", r#"{"cell":1}"#), Err(1));
    }

    #[test]
    fn three_in_a_row_win_and_a_full_board_is_a_draw() {
        let mut room = room();
        assert_eq!(moves(&mut room, &[0, 3, 1, 4, 2])["result"], "x wins");
        assert_eq!(play(&mut room, "bob", r#"{"cell":5}"#), Err(4));
        assert_eq!(play(&mut room, "eve", r#"{"new":true}"#).unwrap()["board"], ".........");
        assert_eq!(moves(&mut room, &[0, 1, 2, 4, 3, 5, 7, 6, 8])["result"], "draw");
    }

    #[test]
    fn a_restored_game_goes_on() {
        let mut before = room();
        moves(&mut before, &[0, 3, 1]);
        let saved = before.save().unwrap();
        let mut after = Room::restore(&"tic-tac-toe:1".into(), &saved).unwrap();
        assert_eq!(after.game, before.game);
        assert_eq!(play(&mut after, "bob", r#"{"cell":8}"#).unwrap()["board"], "xx.o....o");
        assert!(Room::restore(&"tic-tac-toe:1".into(), b"[]").is_err());
    }

    #[test]
    fn who_takes_too_long_has_lost() {
        let (mut room, mut ctx) = (room(), Context::default());
        moves(&mut room, &[0]);
        room.on_timer(TURN, &mut ctx);
        assert!(matches!(ctx.effects(), [Effect::Publish(publication)] if publication.channel == room.name));
        assert_eq!(play(&mut room, "bob", r#"{"cell":1}"#), Err(4));
    }
}
