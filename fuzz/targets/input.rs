//! Fields out of a fuzzer's bytes.

use std::borrow::Cow;

/// Where the bytes have run out, numbers are 0 and texts are empty.
pub struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self(data)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    pub fn bit(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    pub fn u16(&mut self) -> u16 {
        u16::from_le_bytes([self.byte(), self.byte()])
    }

    pub fn u64(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// A length of one byte, and so many bytes.
    pub fn bytes(&mut self) -> &'a [u8] {
        let length = self.byte();
        self.take(length.into())
    }

    pub fn text(&mut self) -> Cow<'a, str> {
        String::from_utf8_lossy(self.bytes())
    }

    /// A length of one byte, a number of times, and the bytes to repeat: few of them reach the
    /// limits of 64 KiB.
    pub fn long_bytes(&mut self) -> Vec<u8> {
        let times = match self.byte() {
            many @ 0xF0.. => usize::from(many - 0xEF) * 50,
            _ => 1,
        };
        self.bytes().repeat(times)
    }

    pub fn long_text(&mut self) -> String {
        String::from_utf8_lossy(&self.long_bytes()).into_owned()
    }

    pub fn rest(&mut self) -> &'a [u8] {
        self.take(usize::MAX)
    }

    fn take(&mut self, length: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        taken
    }
}
