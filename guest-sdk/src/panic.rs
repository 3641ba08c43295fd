//! A panic's text and place in the server's log: on `wasm32-unknown-unknown` nobody
//! would see them otherwise.

use std::sync::atomic::{AtomicBool, Ordering};

/// At the start of a call; only the first does anything.
#[doc(hidden)]
pub fn install_hook() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::Relaxed) {
        std::panic::set_hook(Box::new(|panic| {
            crate::error!("{panic}");
            // Here and not on std's way to the abort: the trap's backtrace is short,
            // and its frames are better spent on the plugin's functions.
            #[cfg(target_arch = "wasm32")]
            std::arch::wasm32::unreachable();
        }));
    }
}
