//! A filter plugin's answer: words that may be too few or too many, for filters of which it may
//! not know all.

use tidegate::plugin::{Bits, Columns};

use super::input::Input;

pub fn filter_bits(data: &[u8]) {
    let mut input = Input::new(data);
    let (bits, filters) = matrix(&mut input);
    agree(&bits, &filters);
    // A batch that failed as a whole is judged filter by filter.
    let mut singly = vec![(bits, filters)];
    while !input.is_empty() && singly.len() < 4 {
        singly.push(matrix(&mut input));
    }
    let (bits, first): (Vec<_>, Vec<_>) =
        singly.into_iter().map(|(bits, filters)| (bits, filters.into_iter().next())).unzip();
    let first: Vec<Passes> =
        first.into_iter().map(|passes| passes.unwrap_or_else(|| Box::new(|_| false))).collect();
    agree(&Bits::Singly(bits), &first);
}

/// Whether a message passes one filter.
type Passes = Box<dyn Fn(usize) -> bool>;

/// An answer as the plugin gave it, and what it says by the contract.
fn matrix(input: &mut Input<'_>) -> (Bits, Vec<Passes>) {
    let known: Vec<bool> = input.bytes().iter().map(|byte| byte & 1 == 1).collect();
    let words: Vec<u64> = input
        .bytes()
        .chunks(8)
        .map(|chunk| chunk.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)))
        .collect();
    let width = known.iter().filter(|known| **known).count();
    let bits: Vec<bool> =
        words.iter().flat_map(|word| (0..64).map(move |bit| word >> bit & 1 == 1)).collect();
    let mut columns = Vec::new();
    let mut filters: Vec<Passes> = Vec::new();
    let mut next = 0;
    for known in known {
        columns.push(known.then_some(next));
        let (column, bits) = (next, bits.clone());
        filters.push(Box::new(move |message| {
            known && bits.get(message * width + column).is_some_and(|bit| *bit)
        }));
        next += usize::from(known);
    }
    (Bits::Matrix { words, width, columns: Columns::Some(columns) }, filters)
}

fn agree(bits: &Bits, filters: &[Passes]) {
    let messages = [0, 1, 2, 3, 7, 31, 63, 64, 65, 300, 1 << 20];
    for message in messages {
        for (filter, passes) in filters.iter().enumerate() {
            assert_eq!(bits.passes(message, filter), passes(message), "message {message}, filter {filter}");
        }
        assert!(!bits.passes(message, filters.len()), "nobody asked for this filter");
        assert!(!bits.passes(message, usize::MAX));
    }
}
