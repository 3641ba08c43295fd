//! The rules, and all that is known of one game.

use serde::{Deserialize, Serialize};
use tidegate_guest::prelude::*;

const LINES: [[usize; 3]; 8] =
    [[0, 1, 2], [3, 4, 5], [6, 7, 8], [0, 3, 6], [1, 4, 7], [2, 5, 8], [0, 4, 8], [2, 4, 6]];

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mark {
    X,
    O,
}

/// What subscribers get after each move, and what is saved.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub struct Game {
    /// Nine cells: `x`, `o` or `.`.
    board: String,
    /// Who plays, by user.
    x: Option<String>,
    o: Option<String>,
    next: Mark,
    /// Once it is over: `x wins`, `draw` and the like.
    result: Option<String>,
}

impl Default for Game {
    fn default() -> Self {
        Self { board: ".".repeat(9), x: None, o: None, next: Mark::X, result: None }
    }
}

impl Mark {
    fn other(self) -> Self {
        match self {
            Self::X => Self::O,
            Self::O => Self::X,
        }
    }

    fn letter(self) -> &'static str {
        match self {
            Self::X => "x",
            Self::O => "o",
        }
    }
}

impl Game {
    pub fn is_over(&self) -> bool {
        self.result.is_some()
    }

    /// The first who moves is x, the next one o.
    ///
    /// # Errors
    /// 1: it is another's turn; 2: the cell is taken; 3: there is no such cell; 4: the game is
    /// over; 5: two others play.
    pub fn play(&mut self, user: &str, cell: usize) -> Result<(), Denial> {
        if let Some(result) = &self.result {
            deny!(4, r#"The game is over ({result}). {{"new":true}} begins another."#);
        }
        let seat = match self.next {
            Mark::X => &self.x,
            Mark::O => &self.o,
        };
        let plays = |seat: &Option<String>| seat.as_deref() == Some(user);
        let is_free = seat.is_none() && !plays(&self.x);
        if !plays(seat) && !is_free {
            if plays(&self.x) || plays(&self.o) {
                deny!(1, "It is not your turn.");
            }
            deny!(5, "Two others play.");
        }
        match self.board.get(cell..=cell) {
            None => deny!(3, "There are cells 0 to 8."),
            Some(".") => self.board.replace_range(cell..=cell, self.next.letter()),
            Some(_) => deny!(2, "Cell {cell} is taken."),
        }
        let seat = match self.next {
            Mark::X => &mut self.x,
            Mark::O => &mut self.o,
        };
        *seat = Some(user.to_owned());
        let board = self.board.as_bytes();
        let mine = |cell: &usize| board[*cell] == self.next.letter().as_bytes()[0];
        if LINES.iter().any(|line| line.iter().all(mine)) {
            self.result = Some(format!("{} wins", self.next.letter()));
        } else if !self.board.contains('.') {
            self.result = Some("draw".to_owned());
        }
        self.next = self.next.other();
        Ok(())
    }

    /// Whose turn it is has not moved in time.
    pub fn run_out(&mut self) {
        let (late, wins) = (self.next.letter(), self.next.other().letter());
        self.result.get_or_insert_with(|| format!("{wins} wins: {late} took too long"));
    }
}
