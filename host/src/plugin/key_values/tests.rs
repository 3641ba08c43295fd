use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

fn at(ms: u64) -> Nanos {
    Nanos(ms * 1_000_000)
}

fn get(store: &KeyValues, ms: u64, key: &str) -> Option<Vec<u8>> {
    store.get(at(ms), key).unwrap().map(|value| value.to_vec())
}

#[test]
fn a_value_ends_when_its_time_is_over() {
    let store = KeyValues::default();
    store.set(at(0), "a", b"1", Some(10)).unwrap();
    store.set(at(0), "b", b"2", None).unwrap();
    assert_eq!(get(&store, 9, "a"), Some(b"1".to_vec()));
    assert_eq!(get(&store, 10, "a"), None);
    assert_eq!(get(&store, u64::MAX / 1_000_000, "b"), Some(b"2".to_vec()));
    // One that is set again has its new time, whatever it had before.
    store.set(at(10), "a", b"1", Some(5)).unwrap();
    store.set(at(11), "a", b"1", None).unwrap();
    assert_eq!(get(&store, 100, "a"), Some(b"1".to_vec()));
    // Longer than the clock goes is for ever; no time at all is gone at once.
    store.set(at(11), "a", b"1", Some(u64::MAX)).unwrap();
    assert_eq!(get(&store, 100, "a"), Some(b"1".to_vec()));
    store.set(at(100), "a", b"1", Some(0)).unwrap();
    assert_eq!(get(&store, 100, "a"), None);
}

#[test]
fn a_counter_keeps_the_time_that_it_began_with() {
    let store = KeyValues::default();
    assert_eq!(store.increment(at(0), "n", 5, Some(10)), Ok(5));
    assert_eq!(store.increment(at(9), "n", -7, Some(10)), Ok(-2));
    assert_eq!(get(&store, 9, "n"), Some(b"-2".to_vec()));
    assert_eq!(store.increment(at(10), "n", 1, None), Ok(1));
}

#[test]
fn what_is_no_number_is_not_counted() {
    let store = KeyValues::default();
    for text in ["", "x", "+1", "1.5", " 1", "9223372036854775808", "\u{663}"] {
        store.set(at(0), "n", text.as_bytes(), None).unwrap();
        assert_eq!(store.increment(at(0), "n", 1, None), Err(StoreError::NotANumber), "{text:?}");
        assert_eq!(get(&store, 0, "n"), Some(text.as_bytes().to_vec()));
    }
    store.set(at(0), "n", i64::MAX.to_string().as_bytes(), None).unwrap();
    assert_eq!(store.increment(at(0), "n", 1, None), Err(StoreError::NotANumber));
    assert_eq!(store.increment(at(0), "n", -1, None), Ok(i64::MAX - 1));
}

#[test]
fn keys_and_values_have_their_lengths() {
    let store = KeyValues::default();
    let (longest, longer) = ("k".repeat(KEY_BYTES), "k".repeat(KEY_BYTES + 1));
    assert_eq!(store.set(at(0), &longest, &[0; VALUE_BYTES], None), Ok(()));
    for key in ["", longer.as_str()] {
        let error = StoreError::TooLarge(key.len());
        assert_eq!(store.get(at(0), key), Err(error));
        assert_eq!(store.set(at(0), key, b"", None), Err(error));
        assert_eq!(store.delete(at(0), key), Err(error));
        assert_eq!(store.increment(at(0), key, 1, None), Err(error));
        assert_eq!(store.compare_and_set(at(0), key, None, None, None), Err(error));
    }
    let (value, error) = (vec![0; VALUE_BYTES + 1], StoreError::TooLarge(VALUE_BYTES + 1));
    assert_eq!(store.set(at(0), "a", &value, None), Err(error));
    assert_eq!(store.compare_and_set(at(0), "a", None, Some(&value), None), Err(error));
}

#[test]
fn a_full_store_takes_no_more_until_something_goes() {
    let store = KeyValues::default();
    store.set_bounds(StoreBounds { bytes: 1 << 20, keys: 2 });
    store.set(at(0), "a", b"", Some(5)).unwrap();
    store.set(at(0), "b", b"", None).unwrap();
    assert_eq!(store.set(at(0), "c", b"", None), Err(StoreError::Full));
    assert_eq!(store.increment(at(0), "c", 1, None), Err(StoreError::Full));
    assert_eq!(store.compare_and_set(at(0), "c", None, Some(b""), None), Err(StoreError::Full));
    // What was compared in vain needs no room.
    assert_eq!(store.compare_and_set(at(0), "c", Some(b"x"), Some(b""), None), Ok(false));
    // What is over makes room.
    store.set(at(5), "c", b"", None).unwrap();
    let in_use = store.in_use(at(5));
    assert_eq!(in_use, StoreUse { keys: 2, bytes: 2 * (OVERHEAD_BYTES + 1) });
    // Fewer are allowed from now on: what is there can be changed, as long as it does not grow.
    store.set_bounds(StoreBounds { bytes: in_use.bytes - 1, keys: 1 });
    assert_eq!(store.set(at(5), "c", b"", None), Ok(()));
    assert_eq!(store.set(at(5), "c", b"1", None), Err(StoreError::Full));
    assert_eq!(store.delete(at(5), "c"), Ok(true));
    assert_eq!(store.set(at(5), "c", b"", None), Err(StoreError::Full));
}

#[test]
fn counters_of_many_threads_lose_nothing() {
    let store = KeyValues::default();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..1000).for_each(|_| assert!(store.increment(at(0), "n", 1, None).is_ok())));
        }
    });
    assert_eq!(store.increment(at(0), "n", 0, None), Ok(4000));
}

// === against the simplest thing that could be right ===

/// A list that is looked through, and cleaned by looking at everything.
#[derive(Default)]
struct Model(BTreeMap<String, (Vec<u8>, Option<u128>)>);

impl Model {
    fn clean(&mut self, now: u64) {
        self.0.retain(|_, (_, ends)| ends.is_none_or(|end| end > u128::from(now)));
    }

    fn bytes(&self) -> usize {
        self.0.iter().map(|(key, (value, _))| key.len() + value.len() + OVERHEAD_BYTES).sum()
    }

    fn put(
        &mut self,
        bounds: StoreBounds,
        key: &str,
        value: &[u8],
        ends: Option<u128>,
    ) -> Result<(), StoreError> {
        let before = self.bytes();
        let old = self.0.insert(key.to_owned(), (value.to_vec(), ends));
        let grows = old.is_none() || self.bytes() > before;
        if grows && (self.bytes() > bounds.bytes || self.0.len() > bounds.keys) {
            match old {
                Some(old) => self.0.insert(key.to_owned(), old),
                None => self.0.remove(key),
            };
            return Err(StoreError::Full);
        }
        Ok(())
    }
}

#[derive(Clone, Debug)]
enum Op {
    Get,
    Set(Vec<u8>, TimeToLive),
    Delete,
    Increment(i64, TimeToLive),
    CompareAndSet(Option<Vec<u8>>, Option<Vec<u8>>, TimeToLive),
    Bound(StoreBounds),
}

fn op() -> impl Strategy<Value = Op> {
    let value = || {
        prop_oneof![
            Just(Vec::new()),
            Just(b"7".to_vec()),
            Just(i64::MIN.to_string().into_bytes()),
            proptest::collection::vec(any::<u8>(), 0..40),
        ]
    };
    let ttl = || prop_oneof![Just(None), (0..20u64).prop_map(Some), Just(Some(u64::MAX))];
    let by = prop_oneof![-3..3i64, any::<i64>()];
    let maybe = || proptest::option::of(value());
    let bounds = (0..8 * OVERHEAD_BYTES, 0..6usize).prop_map(|(bytes, keys)| StoreBounds { bytes, keys });
    prop_oneof![
        4 => Just(Op::Get),
        4 => (value(), ttl()).prop_map(|(value, ttl)| Op::Set(value, ttl)),
        2 => Just(Op::Delete),
        4 => (by, ttl()).prop_map(|(by, ttl)| Op::Increment(by, ttl)),
        3 => (maybe(), maybe(), ttl()).prop_map(|(from, to, ttl)| Op::CompareAndSet(from, to, ttl)),
        1 => bounds.prop_map(Op::Bound),
    ]
}

proptest! {
    #[test]
    fn it_behaves_like_a_list(steps in proptest::collection::vec((0..6u64, 0..5u8, op()), 0..200)) {
        let (store, mut model, mut now) = (KeyValues::default(), Model::default(), 0);
        let mut bounds = StoreBounds::default();
        for (passed, key, op) in steps {
            now += passed;
            let key = format!("k{key}");
            model.clean(now);
            let ends = |ttl: TimeToLive| ttl.map(|ms| u128::from(now) + u128::from(ms));
            let known = model.0.get(&key).cloned();
            match op {
                Op::Get => prop_assert_eq!(get(&store, now, &key), known.map(|(value, _)| value)),
                Op::Set(value, ttl) => prop_assert_eq!(
                    store.set(at(now), &key, &value, ttl),
                    model.put(bounds, &key, &value, ends(ttl))
                ),
                Op::Delete => {
                    prop_assert_eq!(store.delete(at(now), &key), Ok(model.0.remove(&key).is_some()));
                }
                Op::Increment(by, ttl) => {
                    let (text, ends) = known.unwrap_or((b"0".to_vec(), ends(ttl)));
                    let number = String::from_utf8(text).ok().filter(|text| !text.starts_with('+'));
                    let number = number.and_then(|text| text.parse::<i128>().ok());
                    let sum = number.map(|number| number + i128::from(by)).and_then(|sum| i64::try_from(sum).ok());
                    let expected = match sum {
                        Some(sum) => model.put(bounds, &key, sum.to_string().as_bytes(), ends).map(|()| sum),
                        None => Err(StoreError::NotANumber),
                    };
                    prop_assert_eq!(store.increment(at(now), &key, by, ttl), expected);
                }
                Op::CompareAndSet(from, to, ttl) => {
                    let expected = match (known.map(|(value, _)| value) == from, &to) {
                        (false, _) => Ok(false),
                        (true, Some(to)) => model.put(bounds, &key, to, ends(ttl)).map(|()| true),
                        (true, None) => {
                            model.0.remove(&key);
                            Ok(true)
                        }
                    };
                    let done = store.compare_and_set(at(now), &key, from.as_deref(), to.as_deref(), ttl);
                    prop_assert_eq!(done, expected);
                }
                Op::Bound(new) => {
                    bounds = new;
                    store.set_bounds(new);
                }
            }
            // One with no time at all is gone at once, in both.
            model.clean(now);
            let in_use = StoreUse { keys: model.0.len(), bytes: model.bytes() };
            prop_assert_eq!(store.in_use(at(now)), in_use);
        }
    }
}
