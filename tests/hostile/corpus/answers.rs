//! Components whose answers lie.
//!
//! In words of 32 bits, an outcome is: verdict (0 pass, 1 replace, 2 drop, 3 deny), three words of
//! that, address and length of the effects. An answer to `open` is: 1 for a refusal, its text.

use super::Cue::{Act, Authorize, Connect, Judge, Publish, Reload, Subscribe};
use super::{corpus, fails};
use crate::harness::guest::Guest;

fn handler() -> Guest {
    Guest::of(&["channel-handler"])
}

fn outcome(words: [u32; 6]) -> Guest {
    handler().answer("on-publish", &words)
}

fn acting() -> Guest {
    Guest::of(&["actions"])
        .with("(data (i32.const 3200) \"act\")")
        .answer("names", &[ACT, 1])
        .words(ACT, &[3200, 3])
}

/// Where the names of the actions lie.
const ACT: u32 = 3208;

/// An effect that publishes JSON from an address to the channel `x`, whose name lies at 3000.
fn publication(payload: u32, bytes: u32) -> [u32; 14] {
    [0, 0, 3000, 1, 0, 0, 0, 0, payload, bytes, 0, 0, 0, 0]
}

/// Bytes at 3000.
fn saying(guest: Guest, bytes: &str) -> Guest {
    guest.with(&format!("(data (i32.const 3000) \"{bytes}\")"))
}

corpus! {
    // === texts ===
    a_reason_of_four_gigabytes: fails(
        outcome([3, 7, 0, u32::MAX, 0, 0]), Publish, "bad_output", "it breaks the contract: ",
    );
    a_reason_outside_of_memory: fails(
        outcome([3, 7, 0x7fff_0000, 9, 0, 0]), Publish, "bad_output", "it breaks the contract: ",
    );
    a_reason_that_is_not_utf_8: fails(
        saying(outcome([3, 7, 3000, 4, 0, 0]), "\\f0\\9f\\92\\20"), Publish, "bad_output", "invalid utf-8",
    );
    a_reason_of_half_a_character_pair: fails(
        saying(outcome([3, 7, 3000, 3, 0, 0]), "\\ed\\a0\\80"), Publish, "bad_output", "invalid utf-8",
    );
    a_reason_of_three_megabytes: fails(
        outcome([3, 7, 0, 3_000_000, 0, 0]).memory("64"), Publish, "bad_output", "too much data",
    );
    a_refusal_to_open_that_is_not_utf_8: fails(
        saying(handler().answer("open", &[1, 3000, 2]), "\\ff\\fe"), Publish, "bad_output", "invalid utf-8",
    );
    // === lists ===
    a_list_of_effects_that_is_not_there: fails(
        outcome([0, 0, 0, 0, 8, 0x0800_0000]), Publish, "bad_output", "it breaks the contract: ",
    );
    a_list_of_effects_whose_length_runs_over: fails(
        outcome([0, 0, 0, 0, 8, 0xffff_ffff]), Publish, "bad_output", "it breaks the contract: ",
    );
    a_list_of_effects_at_an_odd_address: fails(
        outcome([0, 0, 0, 0, 1025, 1]), Publish, "bad_output", "it breaks the contract: ",
    );
    a_payload_outside_of_memory: fails(
        outcome([1, 65_530, 100, 0, 0, 0]), Publish, "bad_output", "it breaks the contract: ",
    );
    a_payload_of_three_megabytes: fails(
        outcome([1, 0, 3_000_000, 0, 0, 0]).memory("64"), Publish, "bad_output", "too much data",
    );
    a_payload_past_its_limit: fails(
        outcome([1, 0, 70_000, 0, 0, 0]).memory("64"), Publish, "bad_output",
        "a payload of 70000 bytes; at most 65536 are allowed",
    );
    a_payload_that_is_no_json: fails(
        saying(outcome([1, 3000, 4, 0, 0, 0]), "{not"), Publish, "bad_output", "not valid JSON",
    );
    a_payload_that_is_not_utf_8: fails(
        saying(outcome([1, 3000, 3, 0, 0, 0]), "\\22\\ff\\22"), Publish, "bad_output", "not UTF-8",
    );
    a_payload_of_sixty_thousand_brackets: fails(
        outcome([1, 65_536, 60_000, 0, 0, 0]).memory("64").body(
            "on-unsubscribe", "(i32.const 1024)",
        ).with("(func $f (memory.fill (i32.const 65536) (i32.const 0x5b) (i32.const 60000))) (start $f)"),
        Publish, "bad_output", "not valid JSON",
    );
    half_a_megabyte_of_publications_of_which_the_last_is_no_json: fails(
        saying(outcome([0, 0, 0, 0, 131_072, 9]), "x")
            .memory("4")
            .words(131_072, &[[publication(65_536, 60_000); 8].concat(), publication(0, 4).to_vec()].concat())
            .with("(func $f (memory.fill (i32.const 65536) (i32.const 0x31) (i32.const 60000))) (start $f)"),
        Publish, "bad_output", "not valid JSON",
    );
    two_megabytes_of_publications: fails(
        saying(outcome([0, 0, 0, 0, 131_072, 32]), "x")
            .memory("4")
            .words(131_072, &[publication(65_536, 60_000); 32].concat())
            .with("(func $f (memory.fill (i32.const 65536) (i32.const 0x31) (i32.const 60000))) (start $f)"),
        Publish, "bad_output", "too much data",
    );
    // === discriminants and addresses ===
    a_verdict_that_is_none: fails(
        outcome([77, 0, 0, 0, 0, 0]), Publish, "bad_output", "it breaks the contract: ",
    );
    an_effect_that_is_none: fails(
        outcome([0, 0, 0, 0, 3000, 1]).with("(data (i32.const 3000) \"\\fe\")"),
        Publish, "bad_output", "it breaks the contract: ",
    );
    an_event_that_is_neither_there_nor_none: fails(
        saying(outcome([0, 0, 0, 0, 3008, 1]), "x")
            .words(3008, &[0, 0, 3000, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        Publish, "bad_output", "invalid option discriminant",
    );
    an_answer_at_an_odd_address: fails(
        handler().body("on-publish", "(i32.const 1027)"), Publish, "bad_output", "it breaks the contract: ",
    );
    an_answer_outside_of_memory: fails(
        handler().body("on-publish", "(i32.const -16)"), Publish, "bad_output", "it breaks the contract: ",
    );
    an_answer_to_subscribe_outside_of_memory: fails(
        handler().body("on-subscribe", "(i32.const -16)"), Subscribe, "bad_output", "it breaks the contract: ",
    );
    // === state ===
    a_snapshot_of_two_megabytes_and_more: fails(
        handler().answer("save", &[1, 0, 3_000_000]).memory("64"), Reload, "bad_output", "too much data",
    );
    a_snapshot_past_its_limit: fails(
        handler().answer("save", &[1, 0, (1 << 20) + 1]).memory("64"), Reload, "bad_output",
        "a snapshot of 1048577 bytes; at most 1048576 are allowed",
    );
    a_snapshot_outside_of_memory: fails(
        handler().answer("save", &[1, 65_530, 100]), Reload, "bad_output", "it breaks the contract: ",
    );
    // === actions, auth, filters ===
    a_reply_that_is_no_json: fails(
        saying(acting().answer("call", &[0, 3000, 2, 0, 0]), "no"), Act, "bad_output", "not valid JSON",
    );
    a_reply_outside_of_memory: fails(
        acting().answer("call", &[0, 65_530, 100, 0, 0]), Act, "bad_output", "it breaks the contract: ",
    );
    a_user_of_four_gigabytes: fails(
        Guest::of(&["auth"]).answer("authenticate", &[0, 0, 0, u32::MAX, 0, 0, 0, 0, 0, 0]),
        Connect, "bad_output", "it breaks the contract: ",
    );
    a_user_of_sixty_thousand_letters: fails(
        Guest::of(&["auth"])
            .memory("4")
            .answer("authenticate", &[0, 0, 65_536, 60_000, 0, 0, 0, 0, 0, 0])
            .with("(func $f (memory.fill (i32.const 65536) (i32.const 0x61) (i32.const 60000))) (start $f)"),
        Connect, "bad_output", "a user of 60000 bytes; at most 255 are allowed",
    );
    claims_of_a_quarter_of_a_megabyte: fails(
        Guest::of(&["auth"])
            .memory("64")
            .answer("authenticate", &[0, 0, 0, 0, 3000, 1, 0, 0, 0, 0])
            .words(3000, &[65_536, 1, 65_536, 1 << 18]),
        Connect, "bad_output", "claims of 262145 bytes; at most 65536 are allowed",
    );
    a_permission_that_is_none: fails(
        Guest::of(&["auth"]).answer("authorize", &[77, 0, 0]),
        Authorize, "bad_output", "it breaks the contract: ",
    );
    bits_that_are_not_there: fails(
        Guest::of(&["filter"]).answer("evaluate", &[8, 0x0800_0000]),
        Judge, "bad_output", "it breaks the contract: ",
    );
    bits_by_the_megabyte: fails(
        Guest::of(&["filter"]).memory("64").answer("evaluate", &[8, 400_000]),
        Judge, "bad_output", "too much data",
    );
}
