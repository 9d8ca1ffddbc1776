//! What this program's TCP connections have carried, as the kernel counts it (`TCP_INFO`, Linux 4.19 and later): bytes with
//! TLS and HTTP in them, retransmissions, and segments, of which each has headers.
//!
//! A connection that closes between two looks takes what it carried since the last one with it; who looks after each request
//! loses a closing handshake.
#![allow(unsafe_code)] // one call: no safe wrapper of this workspace's crates reads TCP_INFO

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::{AsFd, AsRawFd as _, RawFd};

/// Bytes of a segment's headers: IPv6 40, TCP 20, time stamps 12. IPv4 has 20 fewer.
pub const HEADERS: u64 = 72;
/// Bytes around a connection that no counter of its tells: a name looked up, and its end.
pub const AROUND: u64 = 600;

/// What one connection has carried.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Carried {
    /// Bytes sent, retransmitted ones included.
    pub sent: u64,
    /// Bytes received.
    pub received: u64,
    /// Segments sent.
    pub segments_out: u64,
    /// Segments received.
    pub segments_in: u64,
}

impl Carried {
    /// Bytes on the wire, headers included.
    pub fn wire(self) -> u64 {
        let segments = self.segments_out.saturating_add(self.segments_in);
        self.sent.saturating_add(self.received).saturating_add(segments.saturating_mul(HEADERS))
    }
}

/// Bytes on the wire of every TCP connection of this process, by the socket's number. Those to this machine itself too: a
/// proxy may sit there.
pub fn connections() -> BTreeMap<u64, u64> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir("/proc/self/fd").into_iter().flatten().flatten() {
        let Some(fd) = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok()) else {
            continue;
        };
        let Some(socket) = fs::read_link(entry.path()).ok().and_then(|link| socket_number(link.to_str()?))
        else {
            continue;
        };
        // The descriptor may be another file by now: then it is none of TCP's, or counted by its own number next time.
        if let Some(carried) = of_raw(fd) {
            found.insert(socket, carried.wire());
        }
    }
    found
}

/// What a connection has carried; none for what is no TCP connection.
pub fn carried(connection: impl AsFd) -> Option<Carried> {
    of_raw(connection.as_fd().as_raw_fd())
}

fn socket_number(link: &str) -> Option<u64> {
    link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

fn of_raw(fd: RawFd) -> Option<Carried> {
    let mut info = [0_u8; 256];
    let mut length = libc::socklen_t::try_from(info.len()).ok()?;
    // SAFETY: the kernel writes at most `length` bytes into `info`, which has that many, and the number written into
    // `length`; both outlive the call. A descriptor that is closed or none of TCP's is an error, not undefined.
    let done = unsafe {
        libc::getsockopt(fd, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length)
    };
    if done != 0 {
        return None;
    }
    parse(info.get(..usize::try_from(length).ok()?)?)
}

/// `struct tcp_info` of linux/tcp.h, by offset: it only ever grows at its end. A kernel before 4.19 does not tell the bytes
/// sent; those that were acknowledged stand for them.
fn parse(info: &[u8]) -> Option<Carried> {
    let wide = |at: usize| Some(u64::from_ne_bytes(info.get(at..at + 8)?.try_into().ok()?));
    let narrow = |at: usize| Some(u64::from(u32::from_ne_bytes(info.get(at..at + 4)?.try_into().ok()?)));
    Some(Carried {
        sent: wide(200).or_else(|| wide(120))?,
        received: wide(128)?,
        segments_out: narrow(136)?,
        segments_in: narrow(140)?,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_tells_what_a_connection_carried_and_a_file_carries_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut there, _) = listener.accept().unwrap();
        here.write_all(&[7; 100_000]).unwrap();
        let mut got = vec![0; 100_000];
        there.read_exact(&mut got).unwrap();
        there.write_all(&[8; 10]).unwrap();
        here.read_exact(&mut got[..10]).unwrap();
        let carried = carried(&here).unwrap();
        assert_eq!((carried.sent, carried.received), (100_000, 10));
        assert!(carried.segments_out >= 2 && carried.wire() > 100_010 + 2 * HEADERS, "{carried:?}");
        assert!(connections().values().any(|bytes| *bytes >= carried.wire()));
        let file = tempfile::tempfile().unwrap();
        assert_eq!(super::carried(&file), None);
        let listening = super::carried(&listener).unwrap_or_default();
        assert_eq!((listening.sent, listening.received), (0, 0), "one that listens carries nothing");
    }

    #[test]
    fn an_old_or_strange_answer_is_read_as_far_as_it_goes() {
        let mut info = [0_u8; 232];
        info[120..128].copy_from_slice(&5_u64.to_ne_bytes());
        info[128..136].copy_from_slice(&6_u64.to_ne_bytes());
        info[200..208].copy_from_slice(&7_u64.to_ne_bytes());
        assert_eq!(parse(&info).unwrap().sent, 7);
        assert_eq!(parse(&info[..200]).unwrap().sent, 5);
        assert_eq!(parse(&info[..100]), None);
    }
}
