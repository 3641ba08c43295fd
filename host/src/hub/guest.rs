//! A client of one of the server's applications: who it has signed in as, and what it is called in
//! channels whose members the application names.

use crate::core::{ChannelMap, UserId};

#[derive(Debug)]
pub struct Guest {
    /// The application's number.
    pub app: usize,
    pub(super) signed_in: Option<UserId>,
    pub(super) called: ChannelMap<UserId>,
}

impl Guest {
    pub fn new(app: usize) -> Self {
        Self { app, signed_in: None, called: ChannelMap::default() }
    }
}
