//! Inputs near the seeds: bytes flipped, words put in, pieces dropped, doubled and taken from
//! other seeds. Now and then one out of nothing.

/// What decoders look for, and where lengths tip over.
const WORDS: [&[u8]; 32] = [
    b"\"",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\u0000",
    b"\\ud800",
    b"\\\"",
    b"null",
    b"true",
    b"-0",
    b"1e999",
    b"\"id\":7",
    b"\"type\":\"publish\"",
    b"\"channel\":\"a\"",
    b"\"data\":",
    b"\"filter\":{",
    b"\xff",
    b"\xc3\xbc",
    b"\xed\xa0\x80",
    b"\0\0\0\0",
    b"\x7e\xff\xff",
    b"\x7f\0\0\0\0\0\x01\0\0",
    b"\x81\x80\0\0\0\0",
    b"\x89\x80\0\0\0\0",
    b"\n",
    b" = 0\n",
    b"[plugins.x]\n",
    b"*",
    b"$",
];
const MAX_BYTES: usize = 4096;

pub struct Mutator {
    seeds: Vec<Vec<u8>>,
    state: u64,
}

impl Mutator {
    /// The same name and seeds make the same stream.
    pub fn new(name: &str, seeds: Vec<Vec<u8>>) -> Self {
        let state = name.bytes().fold(0x9e37_79b9_7f4a_7c15, |state: u64, byte| {
            (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        Self { seeds, state: state | 1 }
    }

    pub fn next(&mut self) -> Vec<u8> {
        let mut input = match self.below(16) {
            0 => self.noise(),
            _ => self.seed().to_vec(),
        };
        for _ in 0..=self.below(6) {
            self.change(&mut input);
        }
        input.truncate(MAX_BYTES);
        input
    }

    fn change(&mut self, input: &mut Vec<u8>) {
        let (start, end) = self.range(input.len());
        match self.below(8) {
            0 if start < input.len() => input[start] ^= 1 << self.below(8),
            1 if start < input.len() => input[start] = self.below(256) as u8,
            2 => drop(input.drain(start..end)),
            3 => {
                let piece = input[start..end].to_vec();
                input.splice(start..start, piece);
            }
            4 => input.truncate(start),
            5 => {
                let noise = self.noise();
                let length = noise.len().min(8);
                input.splice(start..start, noise[..length].iter().copied());
            }
            6 => {
                let other = self.seed().to_vec();
                let (from, to) = self.range(other.len());
                input.splice(start..end, other[from..to].iter().copied());
            }
            _ => {
                let word = WORDS[self.below(WORDS.len())];
                input.splice(start..start, word.iter().copied());
            }
        }
    }

    fn seed(&mut self) -> &[u8] {
        let choice = self.below(self.seeds.len());
        &self.seeds[choice]
    }

    fn noise(&mut self) -> Vec<u8> {
        (0..self.below(64)).map(|_| self.below(256) as u8).collect()
    }

    /// Mostly short.
    fn range(&mut self, length: usize) -> (usize, usize) {
        let start = self.below(length + 1);
        let most = (length - start).min(if self.below(4) == 0 { length } else { 8 });
        (start, start + self.below(most + 1))
    }

    /// xorshift64*
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        (self.state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % bound.max(1)
    }
}
