//! The applications that are served in the Pusher Channels protocol, and their clients.

mod apps;

pub use apps::{App, Apps, Place, QuotaReached};
