//! The contract of `wit/`, as Rust. One set of bindings for all interfaces: what a plugin
//! exports is found interface by interface.

wasmtime::component::bindgen!({
    path: "../wit",
    world: "plugin",
    imports: {
        // Who knows is another shard, mostly.
        "tidegate:plugin/presence": async,
        "tidegate:plugin/history": async,
        "tidegate:plugin/groups": async,
    },
    exports: { default: async },
    ownership: Borrowing { duplicate_if_necessary: true },
});

pub use self::exports::tidegate::plugin::{actions, auth, channel_handler, filter, info};
/// The contract's `store`: what a plugin keeps by key.
pub use self::tidegate::plugin::store as key_values;
pub use self::tidegate::plugin::{config, groups, history, log, presence, trace, types};
