//! Filters whose calls are given up or trap while an instance is made to know them.

use std::time::Duration;

use bytes::Bytes;
use tidegate::core::PayloadKind;
use tidegate::plugin::{FilterBatch, Filters, PluginEngine, Registry};

use super::{loaded, on_a_shard, settings};

fn one_message() -> FilterBatch {
    let mut batch = FilterBatch::default();
    batch.push(b"", PayloadKind::Text, b"x");
    batch
}

#[test]
fn a_call_that_is_given_up_loses_no_filter() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let sleeper = loaded(&engine, "sleeper", &settings(&[])).await;
        let filters = Filters::new();
        filters.install(&Registry::default().with(sleeper.clone()));
        let good = filters.add(&sleeper, &Bytes::from_static(b"good")).await.unwrap();
        assert!(filters.evaluate(&sleeper.name, &[good], &one_message()).await.passes(0, 0));
        // The client went while its filter was made.
        let slow = Bytes::from_static(b"slow");
        let given_up = tokio::time::timeout(Duration::from_millis(5), filters.add(&sleeper, &slow)).await;
        assert!(given_up.is_err());
        assert!(filters.evaluate(&sleeper.name, &[good], &one_message()).await.passes(0, 0));
    });
}

#[test]
fn a_filter_that_a_new_version_traps_on_stops_only_itself() {
    on_a_shard(async {
        let engine = PluginEngine::new(None).unwrap();
        let old = loaded(&engine, "sleeper", &settings(&[])).await;
        let filters = Filters::new();
        let registry = Registry::default().with(old.clone());
        filters.install(&registry);
        let bad = filters.add(&old, &Bytes::from_static(b"poison")).await.unwrap();
        let good = filters.add(&old, &Bytes::from_static(b"good")).await.unwrap();

        let new = loaded(&engine, "sleeper", &settings(&[("poison", "yes")])).await;
        filters.install(&registry.with(new.clone()));
        for round in 0..6 {
            let bits = filters.evaluate(&new.name, &[bad, good], &one_message()).await;
            assert!(!bits.passes(0, 0), "the bad one, round {round}");
            assert!(bits.passes(0, 1), "the good one, round {round}");
        }
        let more = filters.add(&new, &Bytes::from_static(b"more")).await.unwrap();
        assert!(filters.evaluate(&new.name, &[more], &one_message()).await.passes(0, 0));
    });
}
