//! WebSocket frames as a server sends them (RFC 6455, section 5.2): whole, unmasked,
//! appended to a buffer that many subscribers share.

use bytes::{BufMut, BytesMut};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    Text = 0x1,
    Binary = 0x2,
    Close = 0x8,
    Ping = 0x9,
    Pong = 0xA,
}

/// A control frame's payload is at most this long, in bytes.
pub const MAX_CONTROL: usize = 125;

/// Appends a frame whose payload `write` appends.
pub fn frame(opcode: Opcode, out: &mut BytesMut, write: impl FnOnce(&mut BytesMut)) {
    // Most messages take the four-byte head; the others move once.
    const GUESS: usize = 4;
    let start = out.len();
    out.put_bytes(0, GUESS);
    write(out);
    let length = out.len() - start - GUESS;
    let mut head = [0x80 | opcode as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let size = match length {
        0..126 => {
            head[1] = length as u8;
            2
        }
        126..0x1_0000 => {
            head[1] = 126;
            head[2..4].copy_from_slice(&(length as u16).to_be_bytes());
            4
        }
        _ => {
            head[1] = 127;
            head[2..10].copy_from_slice(&(length as u64).to_be_bytes());
            10
        }
    };
    if size > GUESS {
        out.put_bytes(0, size - GUESS);
    }
    if size != GUESS {
        out.copy_within(start + GUESS..start + GUESS + length, start + size);
        out.truncate(start + size + length);
    }
    out[start..start + size].copy_from_slice(&head[..size]);
}

/// A close frame; the reason is cut to what a control frame holds.
pub fn close(code: u16, reason: &str, out: &mut BytesMut) {
    let mut end = reason.len().min(MAX_CONTROL - 2);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    frame(Opcode::Close, out, |out| {
        out.put_u16(code);
        out.put_slice(&reason.as_bytes()[..end]);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_fit_their_length() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536, 70_000] {
            let mut out = BytesMut::from(&b"before"[..]);
            frame(Opcode::Text, &mut out, |out| out.put_bytes(b'x', length));
            let frame = &out[6..];
            assert_eq!(frame[0], 0x81);
            let (size, said) = match frame[1] {
                126 => (4, u16::from_be_bytes([frame[2], frame[3]]) as usize),
                127 => (10, u64::from_be_bytes(frame[2..10].try_into().unwrap()) as usize),
                short => (2, usize::from(short)),
            };
            assert_eq!(said, length);
            assert_eq!(frame.len(), size + length);
            assert!(frame[size..].iter().all(|b| *b == b'x'));
            assert_eq!(&out[..6], b"before");
        }
    }

    #[test]
    fn a_close_reason_is_cut_between_characters() {
        let mut out = BytesMut::new();
        close(4001, &"ü".repeat(100), &mut out);
        assert_eq!(out[1], 124);
        assert!(std::str::from_utf8(&out[4..]).is_ok());
    }
}
