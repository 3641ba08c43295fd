//! Components that abuse the handles of their own channels.

use super::Cue::{Publish, Reload};
use super::{corpus, fails};
use crate::harness::guest::Guest;

fn handler() -> Guest {
    Guest::of(&["channel-handler"])
}

/// `open` answers with the handle that this leaves.
fn opens_with(handle: &str) -> Guest {
    handler().body("open", &format!("(i32.store (i32.const 2052) {handle}) (i32.const 2048)"))
}

corpus! {
    a_handle_out_of_thin_air: fails(
        opens_with("(i32.const 4711)"), Publish, "bad_output", "unknown handle index 4711",
    );
    a_handle_that_it_has_dropped: fails(
        opens_with(
            "(local.tee $n (call $resource-new (i32.const 7))) (call $resource-drop (local.get $n))",
        ),
        Publish, "bad_output", "unknown handle index",
    );
    a_handle_given_away_twice: fails(
        // The second channel is answered with the first one's handle.
        handler()
            .with("(global $first (mut i32) (i32.const 0))")
            .body("open", "
                (if (i32.eqz (global.get $first))
                  (then (global.set $first (call $resource-new (i32.const 7)))))
                (i32.store (i32.const 2052) (global.get $first)) (i32.const 2048)")
            .body("on-publish", "(drop (call $resource-rep (global.get $first))) (i32.const 1024)"),
        Publish, "bad_output", "unknown handle index",
    );
    a_handle_dropped_twice: fails(
        handler().body("on-publish", "
            (local.set $n (call $resource-new (i32.const 7)))
            (call $resource-drop (local.get $n)) (call $resource-drop (local.get $n)) (i32.const 1024)"),
        Publish, "bad_output", "unknown handle index",
    );
    a_look_behind_a_handle_of_nobody: fails(
        handler().body("on-publish", "(call $resource-rep (i32.const 99))"),
        Publish, "bad_output", "unknown handle index 99",
    );
    handles_without_end: fails(
        handler().body("on-publish", "(loop $l (drop (call $resource-new (i32.const 7))) (br $l)) unreachable"),
        Publish, "deadline", "it took more than 20 ms",
    );
    a_destructor_that_traps: fails(
        handler().body("drop", "unreachable"), Reload, "panic", "it panicked: in",
    );
    a_destructor_without_end: fails(
        handler().body("drop", "(loop $l (br $l))"), Reload, "deadline", "it took more than 20 ms",
    );
}
