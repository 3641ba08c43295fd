//! What the configuration says of limits and rules, checked before anything starts.

use crate::harness::cli::run;
use crate::harness::plugins::root;

#[tokio::test]
async fn the_settings_that_our_pages_show_are_valid() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    let docs = std::fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut checked = 0;
    for page in docs.chain([root().join("README.md")]) {
        let Ok(text) = std::fs::read_to_string(&page) else { continue };
        for block in text.split("```toml\n").skip(1) {
            let block = block.split_once("```").unwrap().0;
            // The one file that a page has the reader make before.
            let secret = block.replace("\"secret\"", &format!("{:?}", dir.path().join("secret")));
            std::fs::write(dir.path().join("secret"), "x".repeat(32)).unwrap();
            std::fs::write(&file, secret).unwrap();
            let said = run(&["config", "check", file.to_str().unwrap()]);
            assert_eq!((said.code, &*said.stderr), (Some(0), ""), "{}: {block}", page.display());
            checked += 1;
        }
    }
    assert!(checked >= 3, "{checked}");
}

#[tokio::test]
async fn a_wrong_limit_or_rule_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("tidegate.toml");
    for (toml, words) in [
        ("limits.user.connections = 0", &["limits.user.connections = 0", "at least 1"][..]),
        ("limits.address.subscriptions = 0", &["limits.address.subscriptions"]),
        ("limits.user.in_flight_actions = 0", &["limits.user.in_flight_actions"]),
        ("[plugins.a]\ncall_ms = 0", &["plugins.a.call_ms = 0", "at least 1"]),
        ("[plugins.a]\nfilter_ms = 60_001", &["plugins.a.filter_ms", "minute"]),
        ("[plugins.a]\nmemory_bytes = 1000", &["plugins.a.memory_bytes", "64 KiB to 256 MiB"]),
        ("[plugins.a]\nmemory_bytes = 300_000_000", &["plugins.a.memory_bytes"]),
        ("[plugins.a]\nhostcall_bytes = 0", &["plugins.a.hostcall_bytes = 0"]),
        ("[plugins.a]\npayload_bytes = 100_000_000", &["plugins.a.payload_bytes", "64 MiB"]),
        ("[plugins.a]\nstores = 0", &["plugins.a.stores = 0"]),
        ("limits.connection.idle_secs = 0", &["limits.connection.idle_secs"]),
        (
            "limits.connection.rate.messages_per_sec = 0",
            &["limits.connection.rate.messages_per_sec = 0", "0.0001"],
        ),
        ("limits.connection.rate.messages_per_sec = nan", &["limits.connection.rate.messages_per_sec"]),
        ("limits.user.rate.bytes_per_sec = 0", &["limits.user.rate.bytes_per_sec = 0"]),
        ("limits.user.rate.bytes_per_sec = -1", &["bytes_per_sec", "line 1"]),
        (
            "limits.address.rate = { bytes_per_sec = 1, burst_secs = 0 }",
            &["limits.address.rate.burst_secs = 0"],
        ),
        ("limits.address.rate.burst_secs = 2", &["limits.address.rate.burst_secs", "needs"]),
        ("limits.user.on_excess = 'shout'", &["shout", "disconnect"]),
        ("limits.connection.connections = 1", &["connections", "unknown field"]),
        ("trusted_proxies = ['10.0.0.0/33']", &["10.0.0.0/33", "trusted_proxies"]),
        ("forwarded_header = 'via'", &["via", "x-forwarded-for"]),
        ("[[channel]]\npattern = 'a.{b'", &["a.{b", "no channel pattern"]),
        ("[[channel]]\npattern = 'a.{b}'\n[[channel]]\npattern = 'a.{c}'", &["a.{b}", "a.{c}", "same names"]),
        (
            "[[channel]]\npattern = 'a'\nrate.messages_per_sec = -1",
            &["[[channel]] `a` rate.messages_per_sec"],
        ),
        ("[[channel]]\npattern = 'a'\nmax_subscribers = 0", &["[[channel]] `a` max_subscribers"]),
        (
            "[[channel]]\npattern = 'a'\nexpire_after_secs = 0",
            &["[[channel]] `a` expire_after_secs", "at least 1"],
        ),
        ("[[channel]]\npattern = 'a'\nexpire_after_secs = -1", &["expire_after_secs"]),
        ("plugins.chat.hibernate_after_secs = 0", &["plugins.chat.hibernate_after_secs", "at least 1"]),
        ("[[channel]]\npattern = 'a'\ndefault_response = 5", &["default_response", "`{ data = …"]),
        ("[[channel]]\npattern = 'a'\ndefault_response = { date = 1 }", &["default_response", "`{ data = …"]),
        ("[[channel]]\npattern = 'a'\npayloads = []", &["[[channel]] `a` payloads"]),
        ("[[channel]]\npattern = 'a'\npayloads = ['xml']", &["xml", "binary"]),
        (
            "[[channel]]\npattern = 'a'\npayloads = ['text']\ndata_schema = {}",
            &["[[channel]] `a` payloads", "data_schema"],
        ),
        (
            "[[channel]]\npattern = 'a'\nparams_schema = { type = 'x' }",
            &["[[channel]] `a` params_schema", "/type"],
        ),
        (
            "[[channel]]\npattern = 'a'\ndata_schema = { '$schema' = 'x' }",
            &["[[channel]] `a` data_schema", "/$schema"],
        ),
        ("[[channel]]\npattern = 'a'\ndata_schema = 5", &["data_schema", "line 3"]),
    ] {
        std::fs::write(&file, toml).unwrap();
        let said = run(&["config", "check", file.to_str().unwrap()]);
        assert_eq!(said.code, Some(1), "{toml}");
        for word in words {
            assert!(said.stderr.contains(word), "`{word}` for {toml}: {}", said.stderr);
        }
    }
}
