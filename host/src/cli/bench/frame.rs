//! WebSocket frames, as little of them as a load needs: what goes out is masked with zeros,
//! which leaves the bytes as they are; what comes in is looked at where it lies.

use anyhow::{Result, bail};

pub const TEXT: u8 = 0x1;
pub const CLOSE: u8 = 0x8;
pub const PING: u8 = 0x9;
pub const PONG: u8 = 0xA;
const FIN: u8 = 0x80;
const MASKED: u8 = 0x80;

/// The longest frame that is taken from a server, in bytes.
const LONGEST: usize = 16 << 20;

/// One whole message of a server.
#[derive(Debug, PartialEq)]
pub struct Frame<'a> {
    pub opcode: u8,
    pub payload: &'a [u8],
}

/// Appends a client's frame.
pub fn write(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(FIN | opcode);
    match payload.len() {
        length @ 0..126 => out.push(MASKED | length as u8),
        length @ 126..0x1_0000 => {
            out.push(MASKED | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            out.push(MASKED | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

/// Appends a client's text frame.
pub fn text(text: &str, out: &mut Vec<u8>) {
    write(TEXT, text.as_bytes(), out);
}

/// The first frame and how many bytes it took; none while it is not whole.
///
/// # Errors
/// With a frame that no server here sends: in fragments, masked, or over 16 MiB.
pub fn split(bytes: &[u8]) -> Result<Option<(Frame<'_>, usize)>> {
    let &[first, second, ref rest @ ..] = bytes else { return Ok(None) };
    let (head, length) = match second {
        126 => match rest.first_chunk::<2>() {
            Some(length) => (4, usize::from(u16::from_be_bytes(*length))),
            None => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (10, usize::try_from(u64::from_be_bytes(*length)).unwrap_or(usize::MAX)),
            None => return Ok(None),
        },
        short if short & MASKED == 0 => (2, usize::from(short)),
        _ => bail!("the server sent a masked frame"),
    };
    if first & !0x0f != FIN {
        bail!("the server sent a frame in fragments or with an extension, which nobody asked for");
    }
    if length > LONGEST {
        bail!("the server sent a frame of {length} bytes; at most {LONGEST} are taken");
    }
    let payload = bytes.get(head..head + length);
    Ok(payload.map(|payload| (Frame { opcode: first & 0x0f, payload }, head + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_server(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        write(opcode, payload, &mut masked);
        let head = masked.len() - payload.len() - 4;
        masked[1] &= !MASKED;
        masked.drain(head..head + 4);
        masked
    }

    #[test]
    fn what_is_written_is_read_at_every_length_and_cut() {
        for length in [0, 1, 125, 126, 127, 65_535, 65_536] {
            let payload = vec![7; length];
            let bytes = from_server(TEXT, &payload);
            let frame = Frame { opcode: TEXT, payload: &payload };
            assert_eq!(split(&bytes).unwrap(), Some((frame, bytes.len())));
            for cut in [0, 1, 2, 3, 9, bytes.len() - 1] {
                assert_eq!(split(&bytes[..cut.min(bytes.len() - 1)]).unwrap(), None, "{length} cut at {cut}");
            }
        }
    }

    #[test]
    fn what_no_server_should_send_is_an_error() {
        for bytes in [&[0x81, 0x80][..], &[0x01, 0x00], &[0xC1, 0x00], &[0x81, 127, 1, 0, 0, 0, 0, 0, 0, 0]] {
            assert!(split(bytes).is_err(), "{bytes:?}");
        }
    }
}
