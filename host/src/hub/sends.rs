//! The same bytes to many sockets by one system call, where the system has io_uring: some tenth less of the
//! processor for each of them than with a call of its own.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Once;

use io_uring::{IoUring, opcode, types};
use rustix::net::SendFlags;

/// Sockets a call.
const AT_ONCE: usize = 256;
/// For fewer the call costs as much as one for each.
const WORTH: usize = 8;
/// What is done comes back within the call: whatever a socket has no room for now, fails now.
const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
/// No result that the system gives.
const NOT_SENT: i32 = i32::MIN;

/// A shard's.
pub struct Sends {
    /// None: each socket is written by a call of its own.
    ring: Option<IoUring>,
    /// As the system gives them: bytes, or an error's number below zero.
    results: Vec<i32>,
}

impl Sends {
    /// Without: systems before Linux 5.6, and those that do not allow it, as containers with Docker's usual profile.
    pub fn new(io_uring: bool) -> Self {
        let ring = io_uring.then(|| IoUring::new(AT_ONCE as u32)).and_then(|ring| {
            ring.inspect_err(|error| {
                // Of all shards.
                static SAID: Once = Once::new();
                SAID.call_once(|| tracing::info!("no io_uring here ({error}): each socket has its own call"));
            })
            .ok()
        });
        Self { ring, results: Vec::new() }
    }

    /// Is it worth gathering so many sockets for one call?
    pub fn gathers(&self, sockets: usize) -> bool {
        self.ring.is_some() && sockets >= WORTH
    }

    /// Writes to each what it takes, and says what came of it. Where that was not all, tokio does not know
    /// that the socket is full: its own next write finds that out.
    pub fn send<T>(
        &mut self,
        bytes: &[u8],
        to: &[(T, BorrowedFd<'_>)],
        mut each: impl FnMut(&T, io::Result<usize>),
    ) {
        for to in to.chunks(AT_ONCE) {
            self.results.clear();
            self.results.resize(to.len(), NOT_SENT);
            if let Some(ring) = &mut self.ring
                && let Err(error) = send_all(ring, bytes, to, &mut self.results)
            {
                tracing::warn!("io_uring fails, each socket has its own call from now on: {error}");
                self.ring = None;
            }
            for ((one, descriptor), result) in to.iter().zip(&self.results) {
                let sent = match *result {
                    NOT_SENT => rustix::net::send(descriptor, bytes, FLAGS).map_err(io::Error::from),
                    failed @ ..0 => Err(io::Error::from_raw_os_error(-failed)),
                    written => Ok(written as usize),
                };
                each(one, sent);
            }
        }
    }
}

/// Says what came of each; after an error, not of those that nothing was sent to. At most [`AT_ONCE`].
///
/// # Errors
/// The ring is of no use any more.
fn send_all<T>(
    ring: &mut IoUring,
    bytes: &[u8],
    to: &[(T, BorrowedFd<'_>)],
    results: &mut [i32],
) -> io::Result<()> {
    let Ok(length) = u32::try_from(bytes.len()) else { return Ok(()) };
    for (at, (_, descriptor)) in to.iter().enumerate() {
        let send = opcode::Send::new(types::Fd(descriptor.as_raw_fd()), bytes.as_ptr(), length)
            .flags(FLAGS.bits() as i32)
            .build()
            .user_data(at as u64);
        #[allow(unsafe_code)]
        // SAFETY: the system reads `bytes` only until it says that the entry is done, and nobody leaves here
        // before it has said so of every entry that it has taken. Those that it has not taken, after an
        // error, it never takes: the caller drops the ring.
        unsafe { ring.submission().push(&send) }.map_err(io::Error::other)?;
    }
    let mut away = to.len();
    loop {
        for done in ring.completion() {
            away -= 1;
            results[done.user_data() as usize] = done.result();
        }
        if away == 0 {
            return Ok(());
        }
        match ring.submit_and_wait(away) {
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // What it has taken must come back first.
            Err(error) if ring.submission().len() == away => return Err(error),
            Err(_) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use proptest::prelude::*;

    use super::*;

    const TEXT: &[u8] = &[b'x'; 3000];

    #[derive(Clone, Copy, Debug)]
    enum State {
        Empty,
        Full,
        Gone,
    }

    /// A socket in that state, and who reads it.
    fn pair(state: State) -> (UnixStream, Option<UnixStream>) {
        let (stream, reader) = UnixStream::pair().unwrap();
        stream.set_nonblocking(true).unwrap();
        reader.set_nonblocking(true).unwrap();
        while matches!(state, State::Full) && (&stream).write(TEXT).is_ok() {}
        (stream, Some(reader).filter(|_| !matches!(state, State::Gone)))
    }

    /// What each is told.
    fn send(sends: &mut Sends, bytes: &[u8], ends: &[UnixStream]) -> Vec<Result<usize, io::ErrorKind>> {
        let to: Vec<_> = ends.iter().enumerate().map(|(at, end)| (at, end.as_fd())).collect();
        let mut told = Vec::new();
        sends.send(bytes, &to, |at, sent| {
            assert_eq!(*at, told.len());
            told.push(sent.map_err(|error| error.kind()));
        });
        told
    }

    /// And what its reader finds at its end.
    fn sent(sends: &mut Sends, states: &[State]) -> Vec<(Result<usize, io::ErrorKind>, usize)> {
        let (ends, readers): (Vec<_>, Vec<_>) = states.iter().map(|state| pair(*state)).unzip();
        let told = send(sends, TEXT, &ends);
        drop(ends);
        let found = readers.into_iter().map(|reader| {
            let mut all = Vec::new();
            reader.map_or(0, |mut reader| reader.read_to_end(&mut all).unwrap())
        });
        told.into_iter().zip(found).collect()
    }

    fn ring() -> Option<Sends> {
        Some(Sends::new(true)).filter(|sends| sends.ring.is_some())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn one_call_does_what_a_call_for_each_does(states in proptest::collection::vec(
            prop_oneof![6 => Just(State::Empty), 1 => Just(State::Full), 1 => Just(State::Gone)],
            0..40,
        )) {
            let Some(mut sends) = ring() else { return Ok(()) };
            let each = sent(&mut Sends::new(false), &states);
            prop_assert_eq!(sent(&mut sends, &states), each);
            prop_assert!(sends.ring.is_some());
        }
    }

    #[test]
    fn more_than_one_call_takes_are_several_calls() {
        let Some(mut sends) = ring() else { return };
        let states = vec![State::Empty; 2 * AT_ONCE + WORTH - 1];
        assert!(sent(&mut sends, &states).iter().all(|told| *told == (Ok(TEXT.len()), TEXT.len())));
    }

    #[test]
    fn a_socket_takes_what_it_has_room_for() {
        let Some(mut sends) = ring() else { return };
        let (ends, readers): (Vec<_>, Vec<_>) = (0..WORTH).map(|_| pair(State::Empty)).unzip();
        let large = vec![b'x'; 8 << 20];
        for (told, reader) in send(&mut sends, &large, &ends).into_iter().zip(readers) {
            let written = told.unwrap();
            assert!((1..large.len()).contains(&written), "{written}");
            let mut all = vec![0; large.len()];
            let (mut reader, mut read) = (reader.unwrap(), 0);
            while let Ok(more) = reader.read(&mut all[read..]) {
                read += more;
            }
            assert_eq!(read, written);
        }
    }

    #[test]
    fn without_a_ring_nobody_gathers() {
        assert!(!Sends::new(false).gathers(1000));
        if let Some(sends) = ring() {
            assert!(sends.gathers(WORTH) && !sends.gathers(WORTH - 1));
        }
    }
}
