//! A connection is a descriptor.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Room that is made at once: a table of a mebibyte in the kernel.
const ROOM: u64 = 1 << 17;

/// As many as the system lets this process have. Before the first thread is started: from the second
/// on, Linux stops whoever opens the descriptor that its table is too small for, some 10 to 30 ms
/// each time that it doubles, until all processors have let go of the smaller one.
pub fn raise_limit() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Refused, there are as many as there may be.
    let _ = setrlimit(Resource::Nofile, limit);
    let room = getrlimit(Resource::Nofile).current.map_or(ROOM, |most| most.min(ROOM));
    if let Ok(last) = i32::try_from(room.saturating_sub(1)) {
        // The table grows to hold it, and stays. Refused, it grows when it has to.
        let _ = rustix::io::fcntl_dupfd_cloexec(std::io::stderr(), last);
    }
}
