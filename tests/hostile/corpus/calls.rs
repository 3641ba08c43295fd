//! Components whose calls do not end well.

use super::Cue::{Act, Authorize, Connect, Filter, Judge, Leave, Publish, Reload, Subscribe};
use super::{corpus, fails};
use crate::harness::guest::Guest;

const FOREVER: &str = "(loop $l (br $l)) unreachable";
const TRAP: &str = "unreachable";

fn handler() -> Guest {
    Guest::of(&["channel-handler"])
}

fn publishing(body: &str) -> Guest {
    handler().body("on-publish", body)
}

fn filter() -> Guest {
    Guest::of(&["filter"])
}

fn auth() -> Guest {
    Guest::of(&["auth"])
}

/// One action, `act`.
fn acting() -> Guest {
    Guest::of(&["actions"])
        .with("(data (i32.const 3000) \"act\")")
        .words(3008, &[3000, 3])
        .answer("names", &[3008, 1])
}

corpus! {
    // === time ===
    a_loop: fails(publishing(FOREVER), Publish, "deadline", "it took more than 20 ms");
    a_loop_in_open: fails(handler().body("open", FOREVER), Publish, "deadline", "it took more than 100 ms");
    a_loop_in_on_subscribe: fails(
        handler().body("on-subscribe", FOREVER), Subscribe, "deadline", "it took more than 20 ms",
    );
    a_loop_in_on_unsubscribe: fails(
        handler().body("on-unsubscribe", FOREVER), Leave, "deadline", "it took more than 20 ms",
    );
    a_loop_in_save: fails(handler().body("save", FOREVER), Reload, "deadline", "it took more than 100 ms");
    a_loop_in_an_action: fails(acting().body("call", FOREVER), Act, "deadline", "it took more than 20 ms");
    a_loop_in_authenticate: fails(
        auth().body("authenticate", FOREVER), Connect, "deadline", "it took more than 50 ms",
    );
    a_loop_in_authorize: fails(
        auth().body("authorize", FOREVER), Authorize, "deadline", "it took more than 50 ms",
    );
    a_loop_in_add: fails(filter().body("add", FOREVER), Filter, "deadline", "it took more than 100 ms");
    a_loop_in_evaluate: fails(filter().body("evaluate", FOREVER), Judge, "deadline", "it took more than 5 ms");
    a_loop_that_fills_memory: fails(
        publishing("(loop $l (memory.fill (i32.const 0) (i32.const 1) (i32.const 4000000)) (br $l)) unreachable")
            .memory("64"),
        Publish, "deadline", "it took more than 20 ms",
    );
    // === stack ===
    recursion: fails(
        publishing("(call $f)").with("(func $f (result i32) (i32.add (call $f) (i32.const 1)))"),
        Publish, "stack_overflow", "its stack overflowed",
    );
    recursion_by_way_of_a_table: fails(
        publishing("(call $f)").with(
            "(type $t (func (result i32))) (table 1 funcref) (elem (i32.const 0) $f)
             (func $f (result i32) (i32.add (call_indirect (type $t) (i32.const 0)) (i32.const 1)))",
        ),
        Publish, "stack_overflow", "its stack overflowed",
    );
    frames_of_ten_thousand_locals: fails(
        publishing("(call $f (i64.const 0)) (i32.const 1024)").with(&format!(
            "(func $f (param i64) (local {0}) (call $f (i64.add (local.get 0) (i64.const 1)))
               {1})",
            "i64 ".repeat(9_999),
            (1..10_000).map(|n| format!("(local.set {n} (local.get {}))", n - 1)).collect::<String>(),
        )),
        Publish, "stack_overflow", "its stack overflowed",
    );
    // === memory ===
    memory_without_end: fails(
        publishing("(loop $l (drop (memory.grow (i32.const 64))) (br $l)) unreachable"),
        Publish, "memory", "its memory would grow past 67108864 bytes",
    );
    four_gigabytes_at_once: fails(
        publishing("(drop (memory.grow (i32.const 65535))) unreachable"),
        Publish, "memory", "its memory would grow past 67108864 bytes",
    );
    a_table_without_end: fails(
        publishing("(loop $l (drop (table.grow 0 (ref.null func) (i32.const 1000))) (br $l)) unreachable")
            .with("(table 1 funcref)"),
        Publish, "memory", "a table of it would grow past 20000 elements",
    );
    // === traps, one of every kind ===
    a_trap: fails(publishing(TRAP), Publish, "panic", "it panicked: in");
    a_trap_in_open: fails(handler().body("open", TRAP), Publish, "panic", "it panicked: in");
    a_trap_in_on_subscribe: fails(
        handler().body("on-subscribe", TRAP), Subscribe, "panic", "it panicked: in",
    );
    a_trap_in_on_unsubscribe: fails(handler().body("on-unsubscribe", TRAP), Leave, "panic", "it panicked: in");
    a_trap_in_save: fails(handler().body("save", TRAP), Reload, "panic", "it panicked: in");
    a_trap_in_an_action: fails(acting().body("call", TRAP), Act, "panic", "it panicked: in");
    a_trap_in_authenticate: fails(auth().body("authenticate", TRAP), Connect, "panic", "it panicked: in");
    a_trap_in_authorize: fails(auth().body("authorize", TRAP), Authorize, "panic", "it panicked: in");
    a_trap_in_add: fails(filter().body("add", TRAP), Filter, "panic", "it panicked: in");
    a_trap_in_evaluate: fails(filter().body("evaluate", TRAP), Judge, "panic", "it panicked: in");
    a_division_by_zero: fails(
        publishing("(i32.div_u (i32.const 1) (local.get $n))"),
        Publish, "trap", "it trapped: integer divide by zero",
    );
    a_number_that_is_none: fails(
        publishing("(i32.trunc_f64_s (f64.const nan))"),
        Publish, "trap", "it trapped: invalid conversion to integer",
    );
    a_read_outside_of_memory: fails(
        publishing("(i32.load (i32.const -8))"),
        Publish, "trap", "it trapped: out of bounds memory access",
    );
    a_write_over_all_of_memory: fails(
        publishing("(memory.fill (i32.const 0) (i32.const 255) (i32.const 0x7fffffff)) (i32.const 1024)"),
        Publish, "trap", "it trapped: out of bounds memory access",
    );
    a_call_of_nothing: fails(
        publishing("(call_indirect (result i32) (i32.const 1))").with("(table 2 funcref)"),
        Publish, "trap", "it trapped: uninitialized element",
    );
    a_call_outside_of_the_table: fails(
        publishing("(call_indirect (result i32) (i32.const 99))").with("(table 2 funcref)"),
        Publish, "trap", "it trapped: undefined element",
    );
    a_call_of_another_type: fails(
        publishing("(call_indirect (result i32) (i32.const 0))")
            .with("(table 1 funcref) (func $f (param f64)) (elem (i32.const 0) $f)"),
        Publish, "trap", "it trapped: indirect call type mismatch",
    );
    // === the allocator that the host must use ===
    an_allocator_that_traps: fails(handler().realloc(TRAP), Publish, "panic", "it panicked: in");
    an_allocator_without_end: fails(
        handler().realloc(FOREVER), Publish, "deadline", "it took more than 100 ms",
    );
    an_allocator_outside_of_memory: fails(
        handler().realloc("(i32.const 0x7fffff00)"), Publish, "bad_output", "realloc return: beyond end of memory",
    );
    an_allocator_that_takes_all_memory: fails(
        handler().realloc("(drop (memory.grow (i32.const 512))) (i32.const 4096)"),
        Publish, "memory", "its memory would grow past 67108864 bytes",
    );
    an_allocator_at_odd_addresses: fails(
        auth().realloc("(i32.const 4097)"), Connect, "bad_output", "realloc return: result not aligned",
    );
    // === re-entrance ===
    an_allocator_that_calls_the_server: fails(
        handler().import("config").realloc(
            "(call $config.get (i32.const 1024) (i32.const 1) (i32.const 2048)) (i32.const 4096)",
        ),
        Publish, "trap", "it trapped: cannot leave component instance",
    );
    an_end_of_a_call_that_calls_the_server: fails(
        handler().import("log").body(
            "after on-publish", "(call $log.write (i32.const 1) (i32.const 1024) (i32.const 1))",
        ),
        Publish, "trap", "it trapped: cannot leave component instance",
    );
    an_end_of_a_call_that_traps: fails(
        handler().body("after on-publish", TRAP), Publish, "panic", "it panicked: in",
    );
    an_end_of_a_call_without_end: fails(
        handler().body("after on-publish", "(loop $l (br $l))"),
        Publish, "deadline", "it took more than 20 ms",
    );
    // === calls of the server ===
    a_storm_of_log_lines: fails(
        publishing(
            "(loop $l (call $log.write (i32.const 4) (i32.const 3000) (i32.const 4)) (br $l)) unreachable",
        )
        .import("log")
        .with("(data (i32.const 3000) \"line\")"),
        Publish, "deadline", "it took more than 20 ms",
    );
    a_storm_of_questions: fails(
        publishing(
            "(loop $l (call $config.get (i32.const 3000) (i32.const 3) (i32.const 2048)) (br $l)) unreachable",
        )
        .import("config")
        .with("(data (i32.const 3000) \"key\")"),
        Publish, "deadline", "it took more than 20 ms",
    );
    a_log_line_of_two_gigabytes: fails(
        publishing(
            "(call $log.write (i32.const 2) (i32.const 0) (i32.const 0x7fffffff)) (i32.const 1024)",
        )
        .import("log"),
        Publish, "bad_output", "string pointer/length out of bounds of memory",
    );
    a_log_line_of_three_megabytes: fails(
        publishing("(call $log.write (i32.const 2) (i32.const 0) (i32.const 3000000)) (i32.const 1024)")
            .import("log")
            .memory("64"),
        Publish, "bad_output", "too much data",
    );
    a_log_line_that_is_not_utf_8: fails(
        publishing("(call $log.write (i32.const 2) (i32.const 3000) (i32.const 2)) (i32.const 1024)")
            .import("log")
            .with("(data (i32.const 3000) \"\\ff\\ff\")"),
        Publish, "bad_output", "invalid utf-8",
    );
    a_log_level_that_is_none: fails(
        publishing("(call $log.write (i32.const 77) (i32.const 1024) (i32.const 1)) (i32.const 1024)")
            .import("log"),
        Publish, "bad_output", "discriminant",
    );
}
