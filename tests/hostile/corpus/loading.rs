//! Components that must not be loaded.

use super::{corpus, refused};
use crate::harness::guest::Guest;

fn handler() -> Guest {
    Guest::of(&["channel-handler"])
}

fn telling() -> Guest {
    Guest::of(&["channel-handler", "info"])
}

fn acting() -> Guest {
    Guest::of(&["actions"])
}

const FOREVER: &str = "(loop $l (br $l)) unreachable";

corpus! {
    // === starting ===
    a_start_that_never_ends: refused(
        handler().with("(func $f (loop $l (br $l))) (start $f)"),
        "it does not start: it took more than 250 ms",
    );
    a_start_that_traps: refused(
        handler().with("(func $f unreachable) (start $f)"),
        "it does not start: it panicked: in",
    );
    a_start_without_end_of_calls: refused(
        handler().with("(func $f (call $f) (call $f)) (start $f)"),
        "it does not start: its stack overflowed",
    );
    a_start_that_takes_memory: refused(
        handler().with("(func $f (loop $l (drop (memory.grow (i32.const 64))) (br $l))) (start $f)"),
        "it does not start: its memory would grow past 67108864 bytes",
    );
    a_start_that_writes_outside_of_memory: refused(
        handler().with("(func $f (i32.store (i32.const -4) (i32.const 1))) (start $f)"),
        "it does not start: it trapped: out of bounds memory access",
    );
    data_outside_of_memory: refused(
        handler().with("(data (i32.const 65530) \"more than there is room for\")"),
        "it does not start: it trapped: out of bounds memory access",
    );
    elements_outside_of_the_table: refused(
        handler().with("(table 2 funcref) (func $f) (elem (i32.const 1) $f $f $f)"),
        "it does not start: it trapped: undefined element: out of bounds table access",
    );
    // === size ===
    more_memory_than_it_may_have: refused(
        handler().memory("2000"),
        "it does not start: its memory would grow past 67108864 bytes",
    );
    more_memory_than_any_may_have: refused(handler().memory("65536"), "memory");
    a_table_of_a_million: refused(
        handler().with("(table 1000000 funcref)"),
        "table",
    );
    ten_tables: refused(
        handler().with(&"(table 1 funcref)".repeat(10)),
        "tables",
    );
    ten_memories: refused(
        handler().with(&"(memory 1)".repeat(10)),
        "memories",
    );
    a_function_with_too_many_locals: refused(
        handler().with(&format!("(func (local {}))", "i64 ".repeat(60_000))),
        "it is not a valid component, or cut off: ",
    );
    // === describing itself ===
    a_description_without_end: refused(
        telling().body("describe", FOREVER),
        "it does not start: it took more than 100 ms",
    );
    a_description_that_traps: refused(
        telling().body("describe", "unreachable"),
        "it does not start: it panicked: in",
    );
    a_description_that_is_not_utf_8: refused(
        telling().with("(data (i32.const 3000) \"\\ff\\fe\")").answer("describe", &[3000, 2, 0, 0, 0, 0]),
        "it does not start: it breaks the contract: invalid utf-8",
    );
    a_description_of_four_gigabytes: refused(
        telling().answer("describe", &[0, u32::MAX, 0, 0, 0, 0]),
        "it does not start: it breaks the contract: ",
    );
    a_description_with_a_lying_list: refused(
        telling().answer("describe", &[0, 0, 0, 0, 8, 1 << 28]),
        "it does not start: it breaks the contract: ",
    );
    a_description_with_a_list_that_is_too_long: refused(
        telling().memory("60").answer("describe", &[0, 0, 0, 0, 8, 400_000]),
        "it does not start: it breaks the contract: ",
    );
    a_description_at_an_odd_address: refused(
        telling().body("describe", "(i32.const 1025)"),
        "it does not start: it breaks the contract: ",
    );
    a_description_outside_of_memory: refused(
        telling().body("describe", "(i32.const 0x7ffffff0)"),
        "it does not start: it breaks the contract: ",
    );
    a_pattern_that_is_none: refused(
        telling()
            .with("(data (i32.const 3000) \"a**b\")")
            .words(3008, &[3000, 4])
            .answer("describe", &[0, 0, 0, 0, 3008, 1]),
        "its `info` names the channel pattern",
    );
    a_thousand_patterns: refused(
        telling()
            .with("(data (i32.const 3000) \"a:*\")")
            .memory("4")
            .body(
                "describe",
                "(loop $l
                   (i32.store (i32.add (i32.const 65536) (i32.shl (local.get $n) (i32.const 3))) (i32.const 3000))
                   (i32.store (i32.add (i32.const 65540) (i32.shl (local.get $n) (i32.const 3))) (i32.const 3))
                   (local.set $n (i32.add (local.get $n) (i32.const 1)))
                   (br_if $l (i32.lt_u (local.get $n) (i32.const 1000))))
                 (i32.store (i32.const 2064) (i32.const 65536))
                 (i32.store (i32.const 2068) (i32.const 1000))
                 (i32.const 2048)",
            ),
        "its `info` names 1000 channel patterns; at most 64 are allowed",
    );
    // === naming its actions ===
    names_without_end: refused(
        acting().body("names", FOREVER),
        "it does not start: it took more than 100 ms",
    );
    names_that_trap: refused(
        acting().body("names", "unreachable"),
        "it does not start: it panicked: in",
    );
    names_that_lie: refused(
        acting().answer("names", &[16, 0x0fff_ffff]),
        "it does not start: it breaks the contract: ",
    );
    names_that_are_not_utf_8: refused(
        acting()
            .with("(data (i32.const 3000) \"\\c0\\80\")")
            .words(3008, &[3000, 2])
            .answer("names", &[3008, 1]),
        "it does not start: it breaks the contract: invalid utf-8",
    );
}
