//! What untrusted bytes must not bring about: one function a decoder, each taking any bytes and
//! panicking where an invariant breaks. libFuzzer calls them (`scripts/fuzz`), and so does
//! `tests/fuzz` with every run of the tests.

#[path = "targets/component.rs"]
mod component;
#[path = "targets/config.rs"]
mod config;
#[path = "targets/dialects.rs"]
mod dialects;
#[path = "targets/effects.rs"]
mod effects;
#[path = "targets/filter_bits.rs"]
mod filter_bits;
#[path = "targets/frames.rs"]
mod frames;
#[path = "targets/handshake.rs"]
mod handshake;
#[path = "targets/input.rs"]
mod input;
#[path = "targets/names_and_patterns.rs"]
mod names_and_patterns;
#[path = "targets/native_decode.rs"]
mod native_decode;
#[path = "targets/native_encode.rs"]
mod native_encode;
#[path = "targets/pusher.rs"]
mod pusher;
#[path = "targets/pusher_request.rs"]
mod pusher_request;
#[path = "targets/saved_state.rs"]
mod saved_state;
#[path = "targets/sent.rs"]
mod sent;

pub use component::component;
pub use config::config;
pub use dialects::dialects;
pub use effects::effects;
pub use filter_bits::filter_bits;
pub use frames::frames;
pub use handshake::handshake;
pub use names_and_patterns::names_and_patterns;
pub use native_decode::native_decode;
pub use native_encode::native_encode;
pub use pusher::pusher;
pub use pusher_request::pusher_request;
pub use saved_state::saved_state;

pub type Target = fn(&[u8]);

/// By name: a target's corpus is the folder of its name.
pub const TARGETS: [(&str, Target); 13] = [
    ("component", component),
    ("config", config),
    ("dialects", dialects),
    ("effects", effects),
    ("filter_bits", filter_bits),
    ("frames", frames),
    ("handshake", handshake),
    ("names_and_patterns", names_and_patterns),
    ("native_decode", native_decode),
    ("native_encode", native_encode),
    ("pusher", pusher),
    ("pusher_request", pusher_request),
    ("saved_state", saved_state),
];
