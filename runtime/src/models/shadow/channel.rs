//! Whole messages with bytes in a sealed memfd beside them.

use std::fs::File;
use std::io::{IoSlice, IoSliceMut, Read as _, Seek as _, Write as _};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Bytes of a message, at most: the strongest few hundred detections.
const MOST: usize = 96 << 10;
/// Bytes beside a message, at most: a bundle.
const MOST_BESIDE: u64 = stopline_depot::bundle::MAX_UNPACKED;

/// A memfd that holds `bytes` and can never be changed again.
pub fn sealed(bytes: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = memfd_create("stopline", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut file = File::from(fd);
    file.write_all(bytes)?;
    file.rewind()?;
    fcntl_add_seals(&file, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(file.into())
}

/// Sends `message`, with `beside` where there is something.
pub fn send(socket: impl AsFd, message: &impl Serialize, beside: Option<&OwnedFd>) -> std::io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > MOST {
        return Err(std::io::Error::other(format!(
            "a message of {} bytes, at most {MOST} are sent",
            bytes.len()
        )));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let fds = beside.map(|fd| [fd.as_fd()]);
    if let Some(fds) = &fds {
        ancillary.push(SendAncillaryMessage::ScmRights(fds));
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

/// The next message, and what came beside it; `None`: the other side is gone.
pub fn receive<T: DeserializeOwned>(socket: impl AsFd) -> std::io::Result<Option<(T, Option<OwnedFd>)>> {
    let mut bytes = vec![0; MOST];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received =
        recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, RecvFlags::CMSG_CLOEXEC)?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let beside = ancillary.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut fds) => fds.next(),
        _ => None,
    });
    Ok(Some((serde_json::from_slice(&bytes[..received.bytes])?, beside)))
}

/// What a sealed memfd holds, of `length` bytes.
pub fn unsealed(beside: Option<OwnedFd>, length: u64) -> std::io::Result<Vec<u8>> {
    let wrong = |problem: &str| std::io::Error::other(problem.to_owned());
    let fd = beside.ok_or_else(|| wrong("no bytes came beside the message"))?;
    if length > MOST_BESIDE || !fcntl_get_seals(&fd)?.contains(SealFlags::WRITE | SealFlags::SHRINK) {
        return Err(wrong("what came beside the message is too long or not sealed"));
    }
    let mut file = File::from(fd);
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(length.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 == length { Ok(bytes) } else { Err(wrong("another length than the message says")) }
}
